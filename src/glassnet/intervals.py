"""Intervals: where a value will lie, from the errors that networks made on rows they had not seen.

What a network says of a new row, plus an error drawn from those it made on held-out rows, is a
distribution of what the value may be; an interval is what lies between two of its quantiles. Where
each member of an ensemble had other rows held out, each brings its own answer and its own errors
(CV+): then every row of the training set has served as a held-out row.

Barber, Candès, Ramdas and Tibshirani, "Predictive Inference with the Jackknife+", 2021.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet._resolve import check_range
from glassnet.errors import DataError
from glassnet.weighted import distribution, quantiles

MOST_ERRORS = (
    1000  # kept of each target and group of rows: more of them are told by their quantiles
)
HALVINGS = 50
ROUNDING = 1e-9  # 0.05 times 20 is a hair below 1 in floating point


def kept_errors(errors: NDArray[Any], weight: NDArray[Any] | None = None) -> NDArray[np.float64]:
    """Return the errors of rows (rows, targets) in ascending order, (targets, at most MOST_ERRORS).

    >>> kept_errors(np.array([[2.0], [-1.0], [0.5]]))
    array([[-1. ,  0.5,  2. ]])
    """
    count = min(len(errors), MOST_ERRORS)
    levels = (np.arange(count) + 0.5) / count
    total = None if weight is None else np.asarray(weight, np.float64)
    return np.array([quantiles(*distribution(column, total), *levels) for column in errors.T])


def interval(answers: NDArray[Any], errors: NDArray[Any], coverage: float) -> NDArray[np.float64]:
    """Return the interval of each row and target, (rows, targets, 2), that holds a share `coverage`.

    It ends at the quantiles (1 - coverage) / 2 and (1 + coverage) / 2 of the answers plus their errors,
    each moved outward by as much as one more row could move it.

    Parameters
    ----------
    answers: (groups, rows, targets). errors: (groups, targets, count), ascending. coverage: in (0, 1).

    Raises
    ------
    ConfigurationError: no coverage in (0, 1). DataError: too few errors for so large a coverage.

    >>> interval(np.zeros((1, 2, 1)), np.arange(-5.0, 6.0)[None, None], coverage=0.5)[0].round(6).tolist()
    [[-3.0, 3.0]]
    """
    check_range("coverage", coverage, 0, 1, open_low=True)
    count = errors.shape[0] * errors.shape[2]
    outside = (1 - coverage) / 2
    below = int(np.floor(outside * (count + 1) + ROUNDING))  # the rank at which it begins
    if below < 1:
        raise DataError(
            f"{count} held-out rows cannot tell an interval of coverage {coverage:g}: it takes at least"
            f" {int(np.ceil(1 / outside - ROUNDING)) - 1}. Ask for a smaller coverage, or train on more rows."
        )
    spread = np.array([errors.min(), errors.max()])
    ends = [_ranked(answers, errors, rank, spread) for rank in (below, count + 1 - below)]
    return np.stack(ends, axis=-1)


def _ranked(
    answers: NDArray[Any], errors: NDArray[Any], rank: int, spread: NDArray[Any]
) -> NDArray[np.float64]:
    """Return for each row and target the rank-th smallest of all answers plus errors, by halving."""
    low = answers.min(axis=0) + spread[0]
    high = answers.max(axis=0) + spread[1]
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        enough = _counted(answers, errors, middle) >= rank
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.asarray(high)


def _counted(answers: NDArray[Any], errors: NDArray[Any], bound: NDArray[Any]) -> NDArray[np.intp]:
    """Return how many answers plus errors are at most `bound`, (rows, targets)."""
    counts = np.zeros(bound.shape, np.intp)
    for answer, group in zip(answers, errors, strict=True):
        for target, sorted_errors in enumerate(group):
            gap = bound[:, target] - answer[:, target]
            counts[:, target] += np.searchsorted(sorted_errors, gap, side="right")
    return counts
