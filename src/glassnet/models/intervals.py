"""Intervals: where a value will lie, from the errors that networks made on rows they had not seen.

What a model says of a new row, plus an error drawn from those made on held-out rows, is a distribution of
what the value may be; an interval is what lies between two of its quantiles. Where each member of an
ensemble had other rows held out, each brings its own errors, so that every row of the training set
serves as a held-out one. The mean of the members errs a little less than each does, by their spread;
that they chose their best epochs on those same rows about makes up for it.

Vovk, "Cross-conformal predictors", 2015; Barber, Candès, Ramdas and Tibshirani, "Predictive Inference
with the Jackknife+", 2021.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet._checks import check_range
from glassnet.data.weighted_statistics import distribution, quantiles
from glassnet.errors import DataError

MOST_ERRORS = 5000  # kept of each target: more of them are told by their quantiles
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

    It goes from the quantile (1 - coverage) / 2 of the errors to (1 + coverage) / 2, each moved outward
    by as much as one more row could move it.

    Parameters
    ----------
    answers: (rows, targets). errors: (targets, count), ascending. coverage: in (0, 1).

    Raises
    ------
    ConfigurationError: no coverage in (0, 1). DataError: too few errors for so large a coverage.

    >>> interval(np.zeros((2, 1)), np.arange(-5.0, 6.0)[None], coverage=0.5)[0].tolist()
    [[-3.0, 3.0]]
    """
    check_range("coverage", coverage, 0, 1, open_low=True)
    count, outside = errors.shape[1], (1 - coverage) / 2
    rank = int(np.floor(outside * (count + 1) + ROUNDING))  # of the error at which it begins
    if rank < 1:
        raise DataError(
            f"{count} held-out rows cannot tell an interval of coverage {coverage:g}: it takes at least"
            f" {int(np.ceil(1 / outside - ROUNDING)) - 1}. Ask for a smaller coverage, or train on more rows."
        )
    ends = errors[:, [rank - 1, count - rank]]
    return np.asarray(answers[:, :, None] + ends)
