"""Recipes: what the estimators do where a person chose nothing, by the size and the kind of the data."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from glassnet._types import Shape
from glassnet.batches import batch_count
from glassnet.fitting import EarlyStopping
from glassnet.layers import Dense, Flatten, Layer, Rescale
from glassnet.network import Network, hidden_layers
from glassnet.optimizers import AdamW
from glassnet.schedules import Cosine, WarmUp

STEADY = AdamW(WarmUp(2e-3, warm_up=50), weight_decay=0.01)
"""The optimizer of a run that goes on: how long it will be is not known, so that no schedule can end it."""
ROWS_TO_STOP_EARLY = 500  # fewer rows are all needed for training
VALIDATION_SHARE = 0.1
FEWEST_STEPS = 2000


class Recipe(NamedTuple):
    """The choices of one run, all made."""

    hidden: tuple[int, ...]
    dropout: float
    optimizer: Any
    batch_size: int
    epochs: int
    early_stopping: EarlyStopping | None


def recipe_for(n_rows: int, n_inputs: int) -> Recipe:
    """Return the choices for so many training rows of so many inputs.

    - hidden: two layers, 128 and 64 neurons; 256 and 128 for more than 200 inputs or 20 000 rows.
    - dropout: 0.1 from 500 rows on; with fewer, each row counts, and a row of weight 2 equals two rows.
    - batch_size: 32 up to 2 000 rows, 64 up to 10 000, 128 up to 100 000, else 512.
    - epochs: 600 000 / rows, between 10 and 100, and at least 2 000 steps.
    - early stopping from 500 rows on, with a patience of a third of the epochs, at least 10.
    - AdamW with rate 2e-3 after a short warm-up, along a cosine, decay 0.01.

    >>> recipe_for(150, 4).epochs, recipe_for(60_000, 784).epochs
    (400, 10)
    """
    wide = n_inputs > 200 or n_rows > 20_000
    batch_size = next(b for most, b in _BATCHES if n_rows <= most)
    epochs = int(np.clip(600_000 / max(n_rows, 1), 10, 100))
    epochs = max(epochs, -(-FEWEST_STEPS // batch_count(n_rows, batch_size)))
    few = n_rows < ROWS_TO_STOP_EARLY
    stopping = None if few else EarlyStopping(max(10, epochs // 3))
    optimizer = AdamW(WarmUp(Cosine(2e-3), warm_up=50), weight_decay=0.01)
    return Recipe(
        hidden=(256, 128) if wide else (128, 64),
        dropout=0.0 if few else 0.1,
        optimizer=optimizer,
        batch_size=batch_size,
        epochs=epochs,
        early_stopping=stopping,
    )


_BATCHES = ((2_000, 32), (10_000, 64), (100_000, 128), (np.inf, 512))


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
