"""Choose what a person left open, by the size and the kind of the data."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeVar

import numpy as np

from glassnet._checks import check_count, check_range
from glassnet._types import Shape
from glassnet.data.tables import Table, rows_at
from glassnet.encoding.table_encoder import TableEncoder
from glassnet.errors import ConfigurationError
from glassnet.fit.parameters import check_flag, is_auto, widths_of
from glassnet.nn.augmentation import RandomShift
from glassnet.nn.embeddings import Embedding, Periodic, Scale
from glassnet.nn.layers import Dense, Flatten, Layer, Rescale
from glassnet.nn.network import Network, hidden_layers
from glassnet.nn.optimizer_wrappers import Averaged
from glassnet.nn.optimizers import AdamW
from glassnet.nn.schedules import WarmUp
from glassnet.training.loop import EarlyStopping

Choice = TypeVar("Choice")

FEW_ROWS = 40  # fewer rows are all needed for training
VALIDATION_SHARE = 0.125  # where all members watch the same rows
MAX_ROWS_WATCHED = 3_000  # enough to choose an epoch
FOLDS = 8  # or one a member, if there are more members
MAX_ROWS_IN_FOLDS = 50_000  # more rows are not copied for each member
SIDE_OF_A_SHIFT = 28  # pixels of a picture's side for one pixel of shift
MANY_COLUMNS = 256  # get no waves, and more dropout
ROWS_TO_COMPARE_COLUMNS = 4_000
MIN_EFFECTIVE_SHARE = 0.2  # below this, columns mostly repeat one another, see `say_the_same`
MAX_LEVELS_ONE_HOT = 64  # a category of more is looked up in a table


class Recipe(NamedTuple):
    """The choices of one run, all made."""

    hidden: tuple[int, ...]
    dropout: float
    optimizer: Any
    batch_size: int
    epochs: int
    early_stopping: EarlyStopping | None
    members: int


def steady(rate: float, warm_up: int = 50, weight_decay: float = 0.01) -> Averaged:
    """Return the optimizer: with a steady rate, because early stopping decides the length of the run."""
    after = WarmUp(rate, warm_up=warm_up)
    return Averaged(AdamW(after, weight_decay=weight_decay, beta2=0.95), share=0.1)


def recipe_for(n_rows: int, columns: int = 1, *, pictures: bool = False) -> Recipe:
    """Return the choices for so many training rows and columns, each made on inner splits of many tables.

    - members: 8 up to 20 000 rows, 4 up to 100 000, else 2; of pictures 4 up to 5 000, else 2.
    - hidden: three layers of 128 neurons; of pictures twice 384.
    - dropout: 0.1 from 40 rows on, 0.3 beyond 256 columns, of which most may say nothing; none with fewer
      rows: each counts, and a row of weight 2 equals two rows. Strong dropout makes members agree, so that
      their mean gains nothing.
    - batch_size: 64 up to 5 000 rows, 128 up to 20 000, 256 up to 100 000, else 512; of pictures 64 up to
      5 000, else 256.
    - optimizer: AdamW at a steady rate, averaged: 4e-3, from 5 000 to 20 000 rows 5.6e-3; of pictures 6e-4.
    - early stopping from 40 rows on: a patience of 12 epochs, fewer the more steps they have, at least 3;
      of pictures 10.
    - epochs: until 3 000 000 rows or 2 700 000 pictures have been seen; at least 30, at most 400.

    >>> recipe_for(150).batch_size, recipe_for(500_000).members
    (64, 2)
    >>> recipe_for(150).dropout, recipe_for(150, columns=2_000).dropout
    (0.1, 0.3)
    >>> recipe_for(60_000, pictures=True).epochs
    45
    """
    few = n_rows < FEW_ROWS
    by_rows = round(float(np.clip(12 * math.sqrt(10_000 / max(n_rows, 1)), 3, 12)))
    patience = 10 if pictures else by_rows
    stopping = None if few else EarlyStopping(patience, calibrated=True)
    seen = 2_700_000 if pictures else 3_000_000
    epochs = 100 if few else int(np.clip(seen / max(n_rows, 1), 30, 400))
    if pictures:
        return Recipe(
            hidden=(384, 384),
            dropout=0.0 if few else 0.1,
            optimizer=steady(6e-4, warm_up=100, weight_decay=0.03),
            batch_size=_by_rows(n_rows, ((5_000, 64),), 256),
            epochs=epochs,
            early_stopping=stopping,
            members=_by_rows(n_rows, ((5_000, 4),), 2),
        )
    sizes = (5_000, (64, 4e-3)), (20_000, (128, 5.6e-3)), (100_000, (256, 4e-3))
    batch_size, rate = _by_rows(n_rows, sizes, (512, 4e-3))
    return Recipe(
        hidden=(128, 128, 128),
        dropout=0.0 if few else 0.3 if columns > MANY_COLUMNS else 0.1,
        optimizer=steady(rate),
        batch_size=batch_size,
        epochs=epochs,
        early_stopping=stopping,
        members=_by_rows(n_rows, ((20_000, 8), (100_000, 4)), 2),
    )


def _by_rows(n_rows: int, steps: tuple[tuple[int, Choice], ...], beyond: Choice) -> Choice:
    return next((value for limit, value in steps if n_rows <= limit), beyond)


def chosen_recipe(estimator: Any, auto: Recipe, *, partial: bool, own_rows: bool) -> Recipe:
    """Return all choices of an estimator's run: the person's, checked, where there are any, else `auto`'s.

    partial: one epoch, judged by nobody (`partial_fit`). own_rows: the person gave rows to watch.

    Raises
    ------
    ConfigurationError: a parameter has a value that is not allowed.
    """

    def choice(name: str) -> Any:
        given = getattr(estimator, name)
        return getattr(auto, name) if is_auto(given) else given

    check_range("l2", estimator.l2, 0, np.inf)
    check_range("dropout", choice("dropout"), 0, 1)
    for name in ("batch_norm", "warm_start"):
        check_flag(name, getattr(estimator, name))
    for name in ("epochs", "members"):
        check_count(name, choice(name))
    stopping = choice("early_stopping")
    if is_auto(estimator.early_stopping):
        if stopping is None and own_rows:
            stopping = EarlyStopping(max(10, auto.epochs // 3), calibrated=True)
    elif isinstance(stopping, bool | np.bool_):
        stopping = EarlyStopping() if stopping else None
    elif not isinstance(stopping, EarlyStopping | None):
        raise ConfigurationError(
            f"early_stopping is {stopping!r}, but it must be 'auto', True, False, or"
            " gn.EarlyStopping(patience=...)."
        )
    return Recipe(
        hidden=widths_of(choice("hidden")),
        dropout=choice("dropout"),
        optimizer=choice("optimizer"),
        batch_size=choice("batch_size"),
        epochs=1 if partial else choice("epochs"),
        early_stopping=None if partial else stopping,
        members=choice("members"),
    )


def table_front(embedding: Any, X: Table | np.ndarray, encoder: TableEncoder) -> list[Layer]:
    """Return the `embedding_front` for rows of a table that is encoded so."""
    count = len(encoder.numeric.names)
    alike = False
    if is_auto(embedding) and len(X) >= FEW_ROWS and count <= MANY_COLUMNS:
        sample = np.arange(0, len(X), 1 + len(X) // ROWS_TO_COMPARE_COLUMNS)
        rows = rows_at(X, sample)
        alike = say_the_same(encoder.transform(rows)[:, :count])
    return embedding_front(embedding, count, encoder.places, alike=alike)


def say_the_same(numbers: np.ndarray) -> bool:
    """Return whether columns of numbers, shape (n, columns), mostly repeat one another, as pixels do.

    k² / Σ r² is how many of k columns there seem to be, r the correlation of each with each (the
    participation ratio of their principal components): whether that is less than a fifth of k.

    >>> x = np.random.default_rng(0).normal(size=(100, 12))
    >>> say_the_same(x), say_the_same(x[:, :1] + 0.1 * x)
    (False, True)
    """
    varying = numbers[:, numbers.std(axis=0) > 0]
    if varying.shape[1] < 2:
        return False
    return bool(np.mean(np.corrcoef(varying.T) ** 2) > 1 / (MIN_EFFECTIVE_SHARE * varying.shape[1]))


def embedding_front(
    embedding: Any, n_numbers: int, codes: tuple[int, ...] = (), *, alike: bool = False
) -> list[Layer]:
    """Return the layers before the first layer of neurons, for a table of so many columns of numbers.

    codes: the number of codes of each coded feature (`TableEncoder.places`); these are looked up first.
    embedding: "auto" ("periodic" for up to 256 columns of numbers that are not mostly `alike`, else "scale"),
    "periodic" (a learned scale for each input, and waves of the numbers), "scale" (the scale alone), "none",
    or a layer of one's own.

    >>> [type(layer).__name__ for layer in embedding_front("auto", 3)]
    ['Scale', 'Periodic']
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
    looked_up: list[Layer] = [Embedding(codes)] if codes else []
    if embedding == "none":
        return looked_up
    plain = embedding == "auto" and (alike or n_numbers > MANY_COLUMNS)
    if n_numbers == 0 or embedding == "scale" or plain:
        return [*looked_up, Scale()]
    return [*looked_up, Scale(), Periodic(n_numbers)]


def build_network(
    hidden: tuple[int, ...], activation: Any, dropout: float, batch_norm: bool, outputs: int
) -> Network:
    """Return hidden layers with an output layer behind them.

    >>> [type(layer).__name__ for layer in build_network((8,), "relu", 0.0, False, 3)]
    ['Dense', 'ReLU', 'Dense']
    """
    blocks = hidden_layers(hidden, activation=activation, dropout=dropout, batch_norm=batch_norm)
    return Network([*blocks, Dense(outputs, initializer="lecun")])


def picture_front(pictures: np.ndarray, embedding: Any = "auto") -> list[Layer]:
    """Return the layers that turn pictures into vectors of mean 0 and deviation 1 over all pixels.

    embedding: "auto" (pictures are moved by up to a 28th of their smaller side while training, where that is
        at least half a pixel and they are not few), "none", or a layer of one's own before `Flatten`.

    >>> picture_front(np.array([[[0, 2]]], np.uint8))
    [Rescale(scale=1.0, shift=-1.0), Flatten()]
    >>> picture_front(np.zeros((500, 28, 28), np.uint8))[1]
    RandomShift(pixels=1)
    """
    sample = pictures[:: max(1, len(pictures) // 10_000)].astype(np.float64)
    mean, deviation = float(sample.mean()), float(sample.std()) or 1.0
    pixels = 0 if len(pictures) < FEW_ROWS else round(min(pictures.shape[1:3]) / SIDE_OF_A_SHIFT)
    if isinstance(embedding, Layer):
        between = [embedding]
    elif not isinstance(embedding, str) or embedding not in ("auto", "none"):
        raise ConfigurationError(
            f"embedding is {embedding!r}, but for pictures it must be 'auto', 'none', or a layer such as"
            " gn.RandomShift(2); 'periodic' and 'scale' are for tables."
        )
    else:
        between = [RandomShift(pixels)] if embedding == "auto" and pixels else []
    return [Rescale(1 / deviation, -mean / deviation), *between, Flatten()]


def is_pictures(shape: Shape) -> bool:
    """Return whether an array of this shape holds pictures: (n, h, w) or (n, h, w, c)."""
    return len(shape) in (3, 4)
