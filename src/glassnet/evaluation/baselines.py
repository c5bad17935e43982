"""Baselines: always guessing the same, a linear model, gradient boosting: all scikit-learn's."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from glassnet.encoding.targets import TargetScaler
from glassnet.nn.losses import Task

MOST_NUMBERS = 2e7
"""Numbers (rows x features) that the linear model is fitted on at most: some 80 MB in float32."""
MOST_WORK = 1e8
"""Rows x features x classes that it is fitted on at most: a step of its solver takes 0.1 s."""
MOST_STEPS = 200
FEWEST_STEPS = 40  # on so much data more of them no longer improve the test score
BLOCK_ROWS = 8192
FEW_NUMBERS = 1_000_000
MOST_BOOSTED = 2e7
"""Rows x features x classes that boosting is fitted on at most."""
MOST_SPLIT = 1_000
"""Features x classes from which on boosting is left out: it would take longer than the network."""

Kind = Literal["guess", "linear", "boosting"]


@dataclass(frozen=True)
class Rows:
    """What a baseline is fitted on and predicts: features (n, d), encoded targets, features."""

    x: NDArray[Any]
    y: NDArray[Any]
    x_test: NDArray[Any]


Predicted = tuple[NDArray[Any], NDArray[Any] | None]
"""Codes, labels or values, and the probabilities (n, classes), None for values."""


def _fit_classes(rows: Rows, count: int, kind: Kind) -> Predicted:
    """Return the predicted codes and the probabilities (n, count); classes without rows have 0."""
    if len(np.unique(rows.y)) < 2:
        kind = "guess"
    estimator = _classifier(kind, rows.x.size * count).fit(rows.x, rows.y)
    found = np.concatenate([estimator.predict_proba(part) for part in _blocks(rows.x_test)])
    proba = np.zeros((len(found), count))
    proba[:, estimator.classes_] = found
    return proba.argmax(axis=1), proba


def _fit_labels(rows: Rows, count: int, kind: Kind) -> Predicted:
    each = [_fit_classes(Rows(rows.x, y, rows.x_test), 2, kind)[1] for y in rows.y.T]
    proba = np.stack([found[:, 1] for found in each if found is not None], axis=1)
    return (proba > 0.5).astype(int), proba


def _fit_values(rows: Rows, count: int, kind: Kind) -> Predicted:
    # standardised, so that neither very large nor very small units cost precision
    scaler = TargetScaler.fit(rows.y)
    z = scaler.transform(rows.y, np.float64)
    estimator = _regressor(kind).fit(rows.x, z)
    found = np.concatenate([estimator.predict(part) for part in _blocks(rows.x_test)])
    return scaler.inverse(found.reshape(-1, z.shape[1])), None


FITS: dict[Task, Callable[[Rows, int, Kind], Predicted]] = {
    "classification": _fit_classes,
    "labels": _fit_labels,
    "regression": _fit_values,
}
"""Task -> what a baseline, fitted on rows, predicts: (rows, number of classes, which)."""


def _classifier(kind: Kind, work: int) -> Any:
    from sklearn.dummy import DummyClassifier  # lazily: it takes a second to import
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    if kind == "guess":
        return DummyClassifier()
    if kind == "boosting":
        return HistGradientBoostingClassifier(random_state=0)
    steps = int(np.clip(MOST_WORK * FEWEST_STEPS / max(work, 1), FEWEST_STEPS, MOST_STEPS))
    return LogisticRegression(max_iter=steps)


def _regressor(kind: Kind) -> Any:
    from sklearn.dummy import DummyRegressor  # lazily, as above
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import Ridge
    from sklearn.multioutput import MultiOutputRegressor

    if kind == "guess":
        return DummyRegressor()
    if kind == "linear":
        return Ridge()
    return MultiOutputRegressor(HistGradientBoostingRegressor(random_state=0))


def most_rows(features: int, outputs: int) -> int:
    """Return how many rows the linear model can be fitted on in a few seconds.

    >>> most_rows(features=784, outputs=10)
    12755
    """
    work = features * max(1, outputs)
    return int(max(100, min(MOST_NUMBERS / features, MOST_WORK / work)))


def most_boosted(features: int, outputs: int) -> int:
    """Return how many rows boosting can be fitted on in a few seconds; 0 where it would take minutes.

    >>> most_boosted(features=64, outputs=10), most_boosted(features=784, outputs=10)
    (31250, 0)
    """
    width = features * max(1, outputs)
    return 0 if width > MOST_SPLIT else int(MOST_BOOSTED / width)


def few_threads(numbers: int) -> AbstractContextManager[Any]:
    """Return a context in which scikit-learn's work on so few numbers runs in one thread.

    Its threads spin while they wait for each other. On small data that costs more than it brings, and
    on a busy machine very much more (measured: boosting on digits, 44 s in two threads, 2.4 s in one).
    """
    import sklearn.ensemble  # noqa: F401  # loaded first: only what is there can be limited
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1) if numbers <= FEW_NUMBERS else nullcontext()


def scaled(rows: Rows) -> Rows:
    """Return features of mean 0 and deviation 1 (constant ones 0), in float32 unless float64."""
    # a copy, even of floats: it is scaled in place, and may be the caller's own array
    x: NDArray[Any] = rows.x.astype(np.float64 if rows.x.dtype == np.float64 else np.float32)
    mean = x.mean(axis=0, dtype=np.float64)
    deviation = x.std(axis=0, dtype=np.float64)
    shift = mean.astype(x.dtype)
    # the smallest deviations are rounding of constant columns
    scale = np.where(deviation > 1e-6 * (1 + np.abs(mean)), deviation, np.inf).astype(x.dtype)
    np.subtract(x, shift, out=x)
    np.divide(x, scale, out=x)
    x_test = np.empty(rows.x_test.shape, x.dtype)
    for first in range(0, len(x_test), BLOCK_ROWS):
        part = slice(first, first + BLOCK_ROWS)
        x_test[part] = (rows.x_test[part] - shift) / scale
    return Rows(x, rows.y, x_test)


def _blocks(x: NDArray[Any]) -> list[NDArray[Any]]:
    return [x[first : first + BLOCK_ROWS] for first in range(0, len(x), BLOCK_ROWS)]
