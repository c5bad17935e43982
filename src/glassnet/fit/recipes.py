"""Choose the settings that the user left open, by the size and kind of the data."""

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

FEW_ROWS = 40  # with fewer rows none is set aside for validation
VALIDATION_SHARE = 0.125  # if all members set aside the same rows
MAX_ROWS_WATCHED = 3_000  # of validation: enough to choose an epoch
FOLDS = 8  # or one for each member, if there are more
MAX_ROWS_IN_FOLDS = 50_000  # beyond this, a copy for each member takes too much memory
PIXELS_PER_SHIFT = 28  # pixels of a picture's side for each pixel of shift
MANY_COLUMNS = 256  # beyond this: no periodic embedding, and more dropout
ROWS_TO_COMPARE_COLUMNS = 4_000
MIN_EFFECTIVE_SHARE = 0.2  # below this, columns are mostly redundant: see `mostly_redundant`
MAX_LEVELS_ONE_HOT = 64  # a category of more levels gets an embedding


class Recipe(NamedTuple):
    """The settings of one run, with none left open."""

    hidden: tuple[int, ...]
    dropout: float
    optimizer: Any
    batch_size: int
    epochs: int
    early_stopping: EarlyStopping | None
    members: int


def default_optimizer(rate: float, warm_up: int = 50, weight_decay: float = 0.01) -> Averaged:
    """Return averaged AdamW at a constant rate: early stopping, not a schedule, ends the run."""
    after = WarmUp(rate, warm_up=warm_up)
    return Averaged(AdamW(after, weight_decay=weight_decay, beta2=0.95), share=0.1)


def recipe_for(n_rows: int, columns: int = 1, *, pictures: bool = False) -> Recipe:
    """Return the settings for a number of training rows and columns.

    Each was chosen by validation on inner splits of many tables.

    - members: 8 up to 20 000 rows, 4 up to 100 000, else 2; for pictures 4 up to 5 000, else 2.
    - hidden: three layers of 128 neurons; for pictures two of 384.
    - dropout: 0.1, or 0.3 beyond 256 columns, most of which may be uninformative; 0 with fewer than 40
      rows, so that a row of weight 2 equals two rows exactly. Stronger dropout makes the members agree, so
      that averaging them gains nothing.
    - batch_size: 64 up to 5 000 rows, 128 up to 20 000, 256 up to 100 000, else 512; for pictures 64 up
      to 5 000, else 256.
    - optimizer: averaged AdamW at a constant rate: 4e-3, from 5 000 to 20 000 rows 5.6e-3; for pictures
      6e-4.
    - early stopping from 40 rows on: a patience of 12 epochs up to 10 000 rows, fewer beyond, at least 3;
      for pictures 10.
    - epochs: enough to see 3 000 000 rows or 2 700 000 pictures, between 30 and 400; 100 with fewer than
      40 rows.

    >>> recipe_for(150).batch_size, recipe_for(500_000).members
    (64, 2)
    >>> recipe_for(150).dropout, recipe_for(150, columns=2_000).dropout
    (0.1, 0.3)
    >>> recipe_for(60_000, pictures=True).epochs
    45
    """
    few = n_rows < FEW_ROWS
    table_patience = round(float(np.clip(12 * math.sqrt(10_000 / max(n_rows, 1)), 3, 12)))
    patience = 10 if pictures else table_patience
    stopping = None if few else EarlyStopping(patience, calibrated=True)
    rows_to_see = 2_700_000 if pictures else 3_000_000
    epochs = 100 if few else int(np.clip(rows_to_see / max(n_rows, 1), 30, 400))
    if pictures:
        return Recipe(
            hidden=(384, 384),
            dropout=0.0 if few else 0.1,
            optimizer=default_optimizer(6e-4, warm_up=100, weight_decay=0.03),
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
        optimizer=default_optimizer(rate),
        batch_size=batch_size,
        epochs=epochs,
        early_stopping=stopping,
        members=_by_rows(n_rows, ((20_000, 8), (100_000, 4)), 2),
    )


def _by_rows(n_rows: int, steps: tuple[tuple[int, Choice], ...], beyond: Choice) -> Choice:
    return next((value for limit, value in steps if n_rows <= limit), beyond)


def chosen_recipe(estimator: Any, auto: Recipe, *, partial: bool, validation_rows: bool) -> Recipe:
    """Return the settings of an estimator's run: the user's, checked, and `auto`'s where they are "auto".

    partial: one epoch without early stopping (`partial_fit`). validation_rows: whether `fit` was given some.

    Raises
    ------
    ConfigurationError: a parameter has a value that is not allowed.
    """

    def choice(name: str) -> Any:
        value = getattr(estimator, name)
        return getattr(auto, name) if is_auto(value) else value

    check_range("l2", estimator.l2, 0, np.inf)
    check_range("dropout", choice("dropout"), 0, 1)
    for name in ("batch_norm", "warm_start"):
        check_flag(name, getattr(estimator, name))
    for name in ("epochs", "members"):
        check_count(name, choice(name))
    stopping = choice("early_stopping")
    if is_auto(estimator.early_stopping):
        if stopping is None and validation_rows:
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
    """Return the layers of `embedding_front` for the rows of a table and its encoder."""
    count = len(encoder.numeric.names)
    redundant = False
    if is_auto(embedding) and len(X) >= FEW_ROWS and count <= MANY_COLUMNS:
        sample = np.arange(0, len(X), 1 + len(X) // ROWS_TO_COMPARE_COLUMNS)
        rows = rows_at(X, sample)
        redundant = mostly_redundant(encoder.transform(rows)[:, :count])
    return embedding_front(embedding, count, encoder.places, redundant=redundant)


def mostly_redundant(numbers: np.ndarray) -> bool:
    """Return whether numeric columns, shape (n, k), are mostly redundant, as pixels are.

    The effective number of columns is k² / Σ r², where r are the correlations of all pairs (the
    participation ratio of the principal components). Columns are redundant if it is below a fifth of k.

    >>> x = np.random.default_rng(0).normal(size=(100, 12))
    >>> mostly_redundant(x), mostly_redundant(x[:, :1] + 0.1 * x)
    (False, True)
    """
    varying = numbers[:, numbers.std(axis=0) > 0]
    if varying.shape[1] < 2:
        return False
    return bool(np.mean(np.corrcoef(varying.T) ** 2) > 1 / (MIN_EFFECTIVE_SHARE * varying.shape[1]))


def embedding_front(
    embedding: Any, n_numbers: int, codes: tuple[int, ...] = (), *, redundant: bool = False
) -> list[Layer]:
    """Return the layers before the first layer of neurons, for a table with `n_numbers` numeric columns.

    codes: the number of codes of each coded feature (`TableEncoder.places`), which gets an embedding.
    embedding: "auto" ("periodic" for up to 256 numeric columns that are not mostly `redundant`, else
    "scale"), "periodic" (a learned scale for each input, and waves of the numbers), "scale" (only the scale),
    "none", or a layer.

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
    code_layers: list[Layer] = [Embedding(codes)] if codes else []
    if embedding == "none":
        return code_layers
    scale_only = embedding == "auto" and (redundant or n_numbers > MANY_COLUMNS)
    if n_numbers == 0 or embedding == "scale" or scale_only:
        return [*code_layers, Scale()]
    return [*code_layers, Scale(), Periodic(n_numbers)]


def build_network(
    hidden: tuple[int, ...], activation: Any, dropout: float, batch_norm: bool, outputs: int
) -> Network:
    """Return a network of hidden layers and an output layer.

    >>> [type(layer).__name__ for layer in build_network((8,), "relu", 0.0, False, 3)]
    ['Dense', 'ReLU', 'Dense']
    """
    blocks = hidden_layers(hidden, activation=activation, dropout=dropout, batch_norm=batch_norm)
    return Network([*blocks, Dense(outputs, initializer="lecun")])


def picture_front(pictures: np.ndarray, embedding: Any = "auto") -> list[Layer]:
    """Return the layers that turn pictures into vectors with mean 0 and standard deviation 1 over all pixels.

    embedding: "auto" (from 40 pictures on, a random shift in training by up to a 28th of the smaller side,
        rounded to whole pixels), "none", or a layer to put before `Flatten`.

    >>> picture_front(np.array([[[0, 2]]], np.uint8))
    [Rescale(scale=1.0, shift=-1.0), Flatten()]
    >>> picture_front(np.zeros((500, 28, 28), np.uint8))[1]
    RandomShift(pixels=1)
    """
    sample = pictures[:: max(1, len(pictures) // 10_000)].astype(np.float64)
    mean, deviation = float(sample.mean()), float(sample.std()) or 1.0
    pixels = 0 if len(pictures) < FEW_ROWS else round(min(pictures.shape[1:3]) / PIXELS_PER_SHIFT)
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
