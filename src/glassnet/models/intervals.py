"""Compute prediction intervals from the errors of networks on rows that they were not trained on.

Adding the errors on held-out rows to the prediction for a new row gives a distribution of its value, and an
interval lies between two quantiles of that distribution. If each member of an ensemble held out different
rows, all members contribute errors, so that every training row can count as held out. The mean of the members
has slightly smaller errors than a single member. But the members chose their best epochs on the same rows,
which makes their errors slightly too small; the two effects roughly cancel.

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

MAX_ERRORS = 5000  # per target; more errors are reduced to this many quantiles
ROUNDING = 1e-9  # because 0.05 · 20 may be slightly below 1 in floating point


def kept_errors(errors: NDArray[Any], weight: NDArray[Any] | None = None) -> NDArray[np.float64]:
    """Return errors (rows, targets) sorted per target, (targets, count), with count at most MAX_ERRORS.

    >>> kept_errors(np.array([[2.0], [-1.0], [0.5]]))
    array([[-1. ,  0.5,  2. ]])
    """
    count = min(len(errors), MAX_ERRORS)
    levels = (np.arange(count) + 0.5) / count
    total = None if weight is None else np.asarray(weight, np.float64)
    return np.array([quantiles(*distribution(column, total), *levels) for column in errors.T])


def interval(
    predictions: NDArray[Any], errors: NDArray[Any], coverage: float
) -> NDArray[np.float64]:
    """Return the interval for each row and target, (rows, targets, 2).

    It adds the quantiles (1 - coverage) / 2 and (1 + coverage) / 2 of the errors to the prediction. Each
    quantile is taken slightly further out, as far as one more row could shift it.

    Parameters
    ----------
    predictions: (rows, targets). errors: (targets, count), ascending. coverage: in (0, 1).

    Raises
    ------
    ConfigurationError: coverage outside (0, 1). DataError: too few errors for this coverage.

    >>> interval(np.zeros((2, 1)), np.arange(-5.0, 6.0)[None], coverage=0.5)[0].tolist()
    [[-3.0, 3.0]]
    """
    check_range("coverage", coverage, 0, 1, open_low=True)
    count, outside = errors.shape[1], (1 - coverage) / 2
    rank = int(np.floor(outside * (count + 1) + ROUNDING))  # of the error at the lower end
    if rank < 1:
        raise DataError(
            f"{count} held-out rows are too few for intervals of coverage {coverage:g}, which need at least"
            f" {int(np.ceil(1 / outside - ROUNDING)) - 1}. Choose a smaller coverage, or train on more rows."
        )
    ends = errors[:, [rank - 1, count - rank]]
    return np.asarray(predictions[:, :, None] + ends)
