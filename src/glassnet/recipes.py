"""Recipes: what the estimators do where a person chose nothing, by the size and the kind of the data."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from glassnet._types import Shape
from glassnet.embeddings import Periodic, Scale
from glassnet.errors import ConfigurationError
from glassnet.fitting import EarlyStopping
from glassnet.layers import Dense, Flatten, Layer, Rescale
from glassnet.network import Network, hidden_layers
from glassnet.optimizers import AdamW
from glassnet.schedules import WarmUp
from glassnet.wrappers import Averaged

STEADY = Averaged(AdamW(WarmUp(2e-3, warm_up=50), weight_decay=0.01, beta2=0.95), share=0.1)
"""The optimizer: at a steady rate, since how long the run will be is found out on the way."""
FEW_ROWS = 100  # fewer rows are all needed for training
VALIDATION_SHARE = 0.125  # where all members watch the same rows
FOLDS = 8  # each member watches one of them, where there are not more members than that
MOST_ROWS_IN_FOLDS = 50_000  # more rows are not copied for each member
WAVES = 16  # a column, of Periodic
MOST_WAVES = 1024  # of all columns together
FREQUENCY = 0.3


class Recipe(NamedTuple):
    """The choices of one run, all made."""

    hidden: tuple[int, ...]
    dropout: float
    optimizer: Any
    batch_size: int
    epochs: int
    early_stopping: EarlyStopping | None
    members: int


def recipe_for(n_rows: int, *, pictures: bool = False) -> Recipe:
    """Return the choices for so many training rows, each made on inner splits of many tables.

    - members: 8 up to 20 000 rows, 4 up to 100 000, else 2; of pictures 1.
    - hidden: three layers of 256 neurons.
    - dropout: 0.1 from 100 rows on; with fewer, each row counts, and a row of weight 2 equals two rows.
    - batch_size: 32 up to 2 000 rows, 64 up to 5 000, 128 up to 20 000, 256 up to 100 000, else 512.
    - early stopping from 100 rows on: a patience of 16 epochs, fewer the more steps they have, at least 3.
    - epochs: at most 400, fewer the more rows, at least 30.

    >>> recipe_for(150).batch_size, recipe_for(500_000).members
    (32, 2)
    """
    few = n_rows < FEW_ROWS
    patience = round(float(np.clip(16 * math.sqrt(10_000 / max(n_rows, 1)), 3, 16)))
    return Recipe(
        hidden=(256, 256, 256),
        dropout=0.0 if few else 0.1,
        optimizer=STEADY,
        batch_size=_by_rows(n_rows, ((2_000, 32), (5_000, 64), (20_000, 128), (100_000, 256)), 512),
        epochs=100 if few else int(np.clip(3_000_000 / max(n_rows, 1), 30, 400)),
        early_stopping=None if few else EarlyStopping(patience, calibrated=True),
        members=1 if pictures else _by_rows(n_rows, ((20_000, 8), (100_000, 4)), 2),
    )


def _by_rows(n_rows: int, steps: tuple[tuple[int, int], ...], beyond: int) -> int:
    return next((value for most, value in steps if n_rows <= most), beyond)


def embedding_front(embedding: Any, n_numbers: int) -> list[Layer]:
    """Return the layers before the first layer of neurons, for a table of so many columns of numbers.

    embedding: "auto" ("periodic" where all columns together get at most 1 024 waves and each at least 4, else
    "scale"), "periodic" (a learned scale for each input, and waves of the numbers), "scale" (the scale
    alone), "none", or a layer of one's own.

    >>> embedding_front("auto", 3)
    [Scale(factor=6.0), Periodic(columns=3, waves=16, frequency=0.3)]
    >>> embedding_front("auto", 2_000)
    [Scale(factor=6.0)]
    """
    if isinstance(embedding, Layer):
        return [embedding]
    if not isinstance(embedding, str) or embedding not in ("auto", "periodic", "scale", "none"):
        raise ConfigurationError(
            f"embedding is {embedding!r}, but it must be 'auto', 'periodic', 'scale', 'none', or a layer"
            " such as gn.Periodic(columns=3)."
        )
    waves = min(WAVES, max(MOST_WAVES // max(n_numbers, 1), 1))
    if embedding == "none":
        return []
    if n_numbers == 0 or embedding == "scale" or (embedding == "auto" and waves < 4):
        return [Scale()]
    return [Scale(), Periodic(n_numbers, waves, FREQUENCY)]


def build_network(
    hidden: tuple[int, ...], activation: Any, dropout: float, batch_norm: bool, outputs: int
) -> Network:
    """Return hidden layers with an output layer behind them.

    >>> [type(layer).__name__ for layer in build_network((8,), "relu", 0.0, False, 3)]
    ['Dense', 'ReLU', 'Dense']
    """
    blocks = hidden_layers(hidden, activation=activation, dropout=dropout, batch_norm=batch_norm)
    return Network([*blocks, Dense(outputs, initializer="lecun")])


def picture_front(pictures: np.ndarray) -> list[Layer]:
    """Return the layers that turn pictures into vectors of mean 0 and deviation 1 over all pixels.

    >>> picture_front(np.array([[[0, 2]]], np.uint8))
    [Rescale(scale=1.0, shift=-1.0), Flatten()]
    """
    sample = pictures[:: max(1, len(pictures) // 10_000)].astype(np.float64)
    mean, deviation = float(sample.mean()), float(sample.std()) or 1.0
    return [Rescale(1 / deviation, -mean / deviation), Flatten()]


def is_pictures(shape: Shape) -> bool:
    """Return whether an array of this shape holds pictures: (n, h, w) or (n, h, w, c)."""
    return len(shape) in (3, 4)
