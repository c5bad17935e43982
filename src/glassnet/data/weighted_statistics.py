"""Compute statistics of a column with row weights.

A row of weight 3 counts as three equal rows, and a row of weight 0 as none. With whole weights the
results equal those of repeated rows to the last bit, because both are computed from the distribution
(the distinct values and the total weight of each), which is the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glassnet.errors import DataError

Floats = NDArray[np.float64]
LARGEST = float(np.finfo(np.float64).max)
HUGE = 2.0**900
SMALLEST = float(np.finfo(np.float64).tiny)


def check_weights(weight: ArrayLike | None, n_rows: int) -> Floats | None:
    """Return sample weights as float64 (rows,), or None; a single number applies to all rows.

    Raises `DataError` unless each row has one finite weight of at least 0, and some weight is above 0.

    >>> check_weights([1, 2], n_rows=2)
    array([1., 2.])
    """
    if weight is None:
        return None
    try:
        values = np.asarray(weight, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(
            "sample_weight holds a value that is not a number: give one weight per row."
        ) from None
    if values.ndim == 0:
        values = np.full(n_rows, values)
    if values.shape != (n_rows,):
        raise DataError(
            f"sample_weight has shape {values.shape}, but X has {n_rows} rows: give one weight per row."
        )
    wrong = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if len(wrong):
        raise DataError(
            f"sample_weight is {values[wrong[0]]} in row {wrong[0]} (the first row is 0): weights cannot be"
            " negative, missing or infinite: give numbers of at least 0."
        )
    if n_rows and not values.any():
        raise DataError("All sample weights are zero: at least one row must count.")
    return values


def counted_rows(weight: Floats | None) -> NDArray[np.intp] | None:
    """Return the rows with a weight above 0, or None if all rows have one.

    >>> counted_rows(np.array([1.0, 0.0, 2.0]))
    array([0, 2])
    """
    if weight is None or weight.all():
        return None
    return np.flatnonzero(weight)


def distribution(
    values: NDArray[Any], weight: NDArray[np.float64] | None = None
) -> tuple[Floats, Floats]:
    """Return the distinct values in ascending order, and the total weight of each.

    The values are numbers without NaN; without weights each row counts 1.

    >>> distribution(np.array([5, 3, 5]), np.array([1.0, 4.0, 2.0]))
    (array([3., 5.]), array([4., 3.]))
    """
    total: NDArray[Any]
    scaled = weight
    if weight is not None and weight.max(initial=0.0) > HUGE:
        scaled = weight / HUGE  # a power of two is exact, and sums stay finite
    if values.dtype == np.uint8:  # pictures: counting is ten times quicker than sorting
        distinct, total = np.arange(256), np.bincount(values, weights=scaled, minlength=256)
    elif scaled is None:
        distinct, total = np.unique(values, return_counts=True)
    else:
        distinct, index = np.unique(values, return_inverse=True)
        total = np.bincount(index, weights=scaled, minlength=len(distinct))
    present = total > 0
    # + 0.0 turns -0.0 into 0.0
    return distinct[present].astype(np.float64) + 0.0, total[present].astype(np.float64)


def quantiles(values: Floats, weight: Floats, *levels: float) -> tuple[float, ...]:
    """Return for each level q the smallest v with F(v) ≥ q, F being the weighted distribution function.

    `values` and `weight` come from `distribution`.

    >>> quantiles(np.array([1.0, 2.0, 3.0, 4.0]), np.ones(4), 0.25, 0.5, 0.75)
    (1.0, 2.0, 3.0)
    """
    cumulative = np.cumsum(weight)
    indices = np.searchsorted(cumulative, np.array(levels) * cumulative[-1])
    return tuple(float(value) for value in values[indices])


def difference(high: float, low: float) -> float:
    """Return high - low, limited to the largest float64 (1e308 - -1e308 would overflow).

    >>> difference(1.0, -1.0), difference(1e308, -1e308) == LARGEST
    (2.0, True)
    """
    half = high / 2 - low / 2
    return high - low if half < LARGEST / 2 else LARGEST


def mean_and_deviation(values: Floats, weight: Floats) -> tuple[float, float]:
    """Return the mean Σwx / Σw and the population standard deviation √(Σw(x - mean)² / Σw).

    `values` and `weight` come from `distribution`. No sum overflows for any values.

    >>> mean_and_deviation(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    (2.0, 1.0)
    """
    share = weight / weight.sum()
    half = values / 2  # so that differences stay finite
    centre = float(np.clip((share * half).sum(), half[0], half[-1]))
    apart = half - centre
    size = float(np.abs(apart).max())
    if size < SMALLEST:
        return 2 * centre, 0.0
    deviation = size * float(np.sqrt((share * (apart / size) ** 2).sum()))
    return 2 * centre, min(deviation, LARGEST / 2) * 2
