"""Contestants: the models that `compare` sets beside a network, all scikit-learn's; a new one is one row.

They stand in the order of their simplicity: what can be said in a word (a guess), read as one number a
column (a linear model), drawn on a page (a small tree), explained by examples (the nearest rows), and
what only predicts (hundreds of trees). Between models that the data cannot tell apart, the simpler
one is preferred.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glassnet.data.tables import Table
from glassnet.encoding.table_encoder import TableEncoder
from glassnet.encoding.target_kinds import Task
from glassnet.evaluation.baselines import most_rows


class Size(NamedTuple):
    """Of what a contestant is fitted on; outputs: classes, or 1. fewest: rows of the rarest class."""

    rows: int
    features: int
    outputs: int
    fewest: int
    pictures: bool


class Contestant(NamedTuple):
    """One model: what it is, how it is made, and how many rows it takes at most."""

    about: str
    make: Callable[[Task, Size, int], Any]
    most: Callable[[Size], float] = lambda size: np.inf


TUNED_NUMBERS = 3_000_000
"""Rows x features x outputs up to which the linear model's strength is chosen by cross-validation."""
STRENGTHS = tuple(10.0**k for k in range(-4, 5, 2))
NEAREST_ROWS = 20_000  # finding neighbours takes time with each row that is kept
BOOSTED = 3e8  # rows x features x outputs: some minutes
LEAVES = 16  # of the small tree: as many as can be drawn and read


def _guess(task: Task, size: Size, seed: int) -> Any:
    from sklearn.dummy import DummyClassifier, DummyRegressor  # lazily: a second to import

    return DummyClassifier() if task == "classification" else DummyRegressor()


def _linear(task: Task, size: Size, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # left at its default, the strength of the penalty decides many a comparison on few rows or on
    # classes that a plane parts
    estimator: Any = RidgeCV(np.array(STRENGTHS))
    if task == "classification":
        estimator = LogisticRegression(max_iter=300)
        cheap = size.rows * size.features * size.outputs <= TUNED_NUMBERS
        if cheap and size.fewest >= 6:  # two rows of each class in each of three parts
            estimator = GridSearchCV(estimator, {"C": STRENGTHS}, scoring="neg_log_loss", cv=3)
    return make_pipeline(StandardScaler(), estimator)


def _tree(task: Task, size: Size, seed: int) -> Any:
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    kind = DecisionTreeClassifier if task == "classification" else DecisionTreeRegressor
    return kind(max_leaf_nodes=LEAVES, min_samples_leaf=5, random_state=seed)


def _neighbours(task: Task, size: Size, seed: int) -> Any:
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kind = KNeighborsClassifier if task == "classification" else KNeighborsRegressor
    nearest = kind(n_neighbors=min(5, size.rows))
    # pixels share one unit; a column that is mostly constant would else decide what is near
    return nearest if size.pictures else make_pipeline(StandardScaler(), nearest)


def _boosting(task: Task, size: Size, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    classes = task == "classification"
    kind = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    return kind(random_state=seed)


def _most_linear(size: Size) -> float:
    return most_rows(size.features, size.outputs)


CONTESTANTS: dict[str, Contestant] = {
    "guess": Contestant("the classes' shares as probabilities, or the mean", _guess),
    "linear": Contestant(
        "logistic or ridge regression, its penalty chosen on inner folds", _linear, _most_linear
    ),
    "tree": Contestant(f"a decision tree of at most {LEAVES} leaves", _tree),
    "neighbours": Contestant(
        "the mean of the 5 nearest training rows", _neighbours, lambda size: NEAREST_ROWS
    ),
    "boosting": Contestant(
        "scikit-learn's HistGradientBoosting", _boosting, lambda size: BOOSTED / size.features / size.outputs
    ),
}  # fmt: skip
"""Key (as in `verdicts.TITLES`) -> contestant, the simplest first."""


# -------------------------------------------------------------------------------------- what they see


class Features:
    """The encoding that all contestants share, learned from training rows alone.

    A table becomes what `TableEncoder` makes of it, with numbers scaled but not clipped: clipping bends
    a straight line, and data that are linear would no longer look so. Pictures become rows of pixels.
    """

    def __init__(self, X: Any) -> None:
        self._scale, self._encoder = 1.0, None
        if isinstance(X, np.ndarray) and X.ndim > 2:
            self._scale = 1 / (float(np.abs(X).max()) or 1.0)
        else:
            self._encoder = TableEncoder.fit(X, clip=False)

    def of(self, X: Table | NDArray[Any]) -> NDArray[Any]:
        """Return the features of rows, (n, features), float32."""
        if self._encoder is not None:
            return self._encoder.transform(X)
        return np.asarray(X, np.float32).reshape(len(X), -1) * np.float32(self._scale)


def memory_of(thing: Any) -> int:
    """Return the bytes of all arrays that an object holds, each counted once: what a model keeps.

    >>> memory_of({"weights": np.zeros((3, 4)), "names": ["a"]})
    96
    """
    seen: dict[int, Any] = {}  # kept alive meanwhile: an id is unique only among living objects
    total, waiting = 0, [thing]
    while waiting:
        part = waiting.pop()
        if id(part) in seen or isinstance(part, str | bytes | int | float | type | None):
            continue
        seen[id(part)] = part
        if isinstance(getattr(part, "nbytes", None), int):
            total += part.nbytes
        elif isinstance(part, dict):
            waiting += part.values()
        elif isinstance(part, list | tuple | set | frozenset):
            waiting += part
        elif not callable(part):
            waiting.append(part.__getstate__())
    return total
