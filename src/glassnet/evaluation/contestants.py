"""Define the simple models that a network is compared with; a new one is one row of `CONTESTANTS`.

All are scikit-learn's. They are listed from simple to complex: a guess, a linear model (one number per
column), a small tree (fits on a page), the nearest neighbours (explained by examples), and boosting
(hundreds of trees, too many to read). If the data cannot distinguish models, the simplest is preferred.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glassnet.evaluation.verdicts import GUESS
from glassnet.nn.losses import LossTask

MAX_NUMBERS = 2e7
"""Limit on rows x features for a linear model: about 160 MB in float64."""
MAX_LINEAR_WORK = 1e8
"""Limit on rows x features x outputs for a linear model: a step of its solver takes 0.1 s."""
MIN_STEPS, MAX_STEPS = 40, 300
"""Limits on the steps of logistic regression: on the largest data, 40 steps are enough for the best score."""
MAX_TUNING_WORK = 3e6
"""Limit on rows x features x outputs for choosing a linear model's penalty: a few seconds at worst."""
PENALTIES = tuple(10.0**k for k in range(-4, 5, 2))
TUNING_FOLDS = 3
MAX_NEIGHBOUR_ROWS = 20_000  # every stored row slows down every prediction
MAX_BOOSTING_WORK = 5e7
"""Limit on (rows + SPLIT_SEARCH) x features x outputs for boosting: about half a minute."""
SPLIT_SEARCH = 8000
"""Searching the splits of 31 leaves with 255 bins takes as long as the histograms of this many rows."""
MIN_BOOSTING_ROWS = 1000  # boosting is left out rather than fitted on a smaller part of the rows
MAX_LEAVES = 16  # of the small tree, so that it can be drawn and read
FEW_NUMBERS = 1_000_000


class Size(NamedTuple):
    """The size of the data that a model is fitted on, which decides how many rows it can take.

    outputs: classes, labels, or target columns. runner_up: rows of the second most frequent class.
    """

    rows: int
    features: int
    outputs: int
    runner_up: int = 0
    pictures: bool = False

    @property
    def work(self) -> int:
        """Rows x features x outputs."""
        return self.rows * self.features * self.outputs


class Contestant(NamedTuple):
    """A model: a description, its constructor, and the most rows that it takes (0: it is left out)."""

    about: str
    make: Callable[[LossTask, Size, int], Any]
    max_rows: Callable[[Size], float] = lambda size: np.inf


def _guess(task: LossTask, size: Size, seed: int) -> Any:
    from sklearn.dummy import DummyClassifier, DummyRegressor  # lazily: a second to import

    return DummyClassifier() if task == "classification" else DummyRegressor()


def _linear(task: LossTask, size: Size, seed: int) -> Any:
    """Return a linear model whose penalty is chosen by cross-validation.

    The default penalty would decide many comparisons if there are few rows, or if a plane separates the
    classes. The best penalty on a sample of the rows is also good for all rows: it corresponds to a prior
    on the coefficients, which does not depend on the number of rows.
    """
    from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    tuning_rows = max(100, int(MAX_TUNING_WORK / (size.features * size.outputs)))
    folds = _TuningFolds(task, tuning_rows, seed)
    if task == "regression":
        if size.rows <= tuning_rows:
            several = size.outputs > 1
            return make_pipeline(
                StandardScaler(), RidgeCV(np.array(PENALTIES), alpha_per_target=several)
            )
        # in float32, targets such as seconds since 1970 would lose their differences
        in_float64 = FunctionTransformer(_as_float64)
        search = GridSearchCV(Ridge(), {"alpha": PENALTIES}, cv=folds)
        return make_pipeline(StandardScaler(), in_float64, search)
    steps = MAX_LINEAR_WORK * MIN_STEPS / size.work
    estimator: Any = LogisticRegression(max_iter=int(np.clip(steps, MIN_STEPS, MAX_STEPS)))
    # choosing a penalty needs two classes with two rows in each fold
    if size.runner_up * min(1.0, tuning_rows / size.rows) >= 2 * TUNING_FOLDS:
        estimator = GridSearchCV(
            estimator, {"C": PENALTIES}, scoring="neg_log_loss", cv=folds, error_score="raise"
        )
    return make_pipeline(StandardScaler(), estimator)


def _as_float64(x: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(x, np.float64)


class _TuningFolds:
    """Cross-validation on a sample of the rows, leaving out classes too rare to be in every fold."""

    def __init__(self, task: LossTask, rows: int, seed: int) -> None:
        self.task, self.rows, self.seed = task, rows, seed

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        return TUNING_FOLDS

    def split(
        self, X: Any, y: Any, groups: Any = None
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        from sklearn.model_selection import KFold, StratifiedKFold

        rows = sample_rows(np.asarray(y), self.rows, self.seed, self.task)
        kind = KFold
        if self.task == "classification":
            codes, counts = np.unique(y[rows], return_counts=True)
            rows = rows[np.isin(y[rows], codes[counts >= TUNING_FOLDS])]
            kind = StratifiedKFold
        folds = kind(TUNING_FOLDS, shuffle=True, random_state=self.seed)
        for train, test in folds.split(rows, y[rows]):
            yield rows[train], rows[test]


def _tree(task: LossTask, size: Size, seed: int) -> Any:
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    kind = DecisionTreeClassifier if task == "classification" else DecisionTreeRegressor
    return kind(max_leaf_nodes=MAX_LEAVES, min_samples_leaf=5, random_state=seed)


def _neighbours(task: LossTask, size: Size, seed: int) -> Any:
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kind = KNeighborsClassifier if task == "classification" else KNeighborsRegressor
    nearest = kind(n_neighbors=min(5, size.rows))
    # pixels share one unit; standardised, a pixel that is nearly always black would count most
    return nearest if size.pictures else make_pipeline(StandardScaler(), nearest)


def _boosting(task: LossTask, size: Size, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.multioutput import MultiOutputRegressor

    if task == "classification":
        return HistGradientBoostingClassifier(random_state=seed)
    estimator = HistGradientBoostingRegressor(random_state=seed)
    return MultiOutputRegressor(estimator) if size.outputs > 1 else estimator


def max_linear_rows(size: Size) -> int:
    """Return how many rows a linear model can be fitted on in a few seconds.

    >>> max_linear_rows(Size(rows=60_000, features=784, outputs=10))
    12755
    """
    width = size.features * size.outputs
    return int(max(100, min(MAX_NUMBERS / size.features, MAX_LINEAR_WORK / width)))


def max_boosting_rows(size: Size) -> int:
    """Return how many rows boosting can be fitted on in about half a minute; 0 if it is left out.

    On few rows the trees have few leaves, so the search for splits is short.

    >>> max_boosting_rows(Size(rows=60_000, features=64, outputs=10))
    70125
    >>> max_boosting_rows(Size(rows=60_000, features=784, outputs=10))
    0
    """
    searched = min(SPLIT_SEARCH, 13 * size.rows)
    rows = int(MAX_BOOSTING_WORK / (size.features * size.outputs) - searched)
    return rows if rows >= min(size.rows, MIN_BOOSTING_ROWS) else 0


CONTESTANTS: dict[str, Contestant] = {
    GUESS: Contestant("the classes' shares as probabilities, or the mean", _guess),
    "linear": Contestant(
        "logistic or ridge regression, its penalty chosen by cross-validation",
        _linear,
        max_linear_rows,
    ),
    "tree": Contestant(f"a decision tree of at most {MAX_LEAVES} leaves", _tree),
    "neighbours": Contestant(
        "the mean of the 5 nearest training rows", _neighbours, lambda size: MAX_NEIGHBOUR_ROWS
    ),
    "boosting": Contestant("scikit-learn's HistGradientBoosting", _boosting, max_boosting_rows),
}
"""Key (as in `verdicts.TITLES`) -> contestant, the simplest first."""


def sample_rows(target: NDArray[Any], count: int, seed: int, task: LossTask) -> NDArray[np.intp]:
    """Return the indices of a random sample of rows; a larger sample contains every smaller one.

    Classes keep their shares: the i-th of a class's m rows, in random order, gets the rank (i + u) / m
    with u uniform between 0 and 1, and the lowest ranks are taken.

    >>> sample_rows(np.array([0, 0, 0, 0, 1, 1]), 3, 0, "classification").shape
    (3,)
    """
    rng = np.random.default_rng(seed)
    if task != "classification":
        return np.sort(rng.permutation(len(target))[:count])
    rank = np.empty(len(target))
    for label in np.unique(target):
        rows = rng.permutation(np.flatnonzero(target == label))
        rank[rows] = (np.arange(len(rows)) + rng.uniform(size=len(rows))) / len(rows)
    return np.sort(np.argsort(rank)[:count])


def limited_threads(numbers: int) -> AbstractContextManager[Any]:
    """Return a context in which scikit-learn works on few numbers in a single thread.

    Its threads spin while they wait for each other. On small data that costs more than it gains, and
    on a busy machine far more (measured: boosting on digits, 44 s in two threads, 2.4 s in one).
    """
    import sklearn.ensemble  # noqa: F401  # only libraries that are loaded can be limited
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1) if numbers <= FEW_NUMBERS else nullcontext()
