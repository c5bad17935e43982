"""Decide from the values of a target whether it needs classification or regression."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from glassnet.data.columns import column_of
from glassnet.data.tables import Table
from glassnet.data.weighted_statistics import Floats
from glassnet.errors import DataError

Task = Literal["classification", "regression"]

MAX_CLASSES = 20
ROWS_PER_CLASS = 10


def sniff_task(y: Any) -> Task:
    """Return the task of a target, "classification" or "regression".

    Text and booleans are classes. Whole numbers are classes if exactly two are distinct, or at most
    20 with at least ten rows each on average; all other numbers are values to predict. Several
    targets are a multilabel classification if all values are 0 or 1. Missing values do not count.

    Raises `DataError` for dates.

    >>> sniff_task(["no", "yes"]), sniff_task([0, 1, 1]), sniff_task([3, 1, 2])
    ('classification', 'classification', 'regression')
    """
    columns = target_columns(y)
    if any(column.dtype.kind == "M" for column in columns):
        raise DataError(
            "The target holds dates, which are neither classes nor numbers: turn them into numbers, "
            "such as days since a fixed date."
        )
    if len(columns) > 1:
        return "classification" if all(is_indicator(column) for column in columns) else "regression"
    (column,) = columns
    if column.dtype.kind == "O":
        return "classification"
    known = column[~np.isnan(column)]
    distinct = np.unique(known)
    if not (np.isfinite(distinct).all() and (distinct == np.floor(distinct)).all()):
        return "regression"
    few = len(distinct) <= MAX_CLASSES and len(distinct) * ROWS_PER_CLASS <= len(known)
    return "classification" if few or len(distinct) == 2 else "regression"


def target_columns(y: Any) -> list[NDArray[Any]]:
    """Return each target as a column in the form of `column_of`."""
    if isinstance(y, Table):
        return [y[name] for name in y]
    array = y if hasattr(y, "shape") else as_array(y)
    if len(array.shape) == 1:
        return [column_of(y, name="the target")]
    if len(array.shape) != 2 or array.shape[1] == 0:
        raise DataError(
            f"The target has shape {tuple(array.shape)}: give one value for each row, or a matrix "
            "(rows, targets)."
        )
    array = np.asarray(array)
    return [column_of(array[:, index], name=f"target {index}") for index in range(array.shape[1])]


def as_array(y: Any) -> NDArray[Any]:
    """Return a target as an array; raises `DataError` for rows of different lengths."""
    try:
        return np.asarray(y)
    except ValueError:
        raise DataError(
            "The rows of the target have different lengths: give every row the same number."
        ) from None


def is_indicator(column: NDArray[Any]) -> bool:
    """Return whether a column holds only 0 and 1, or only True and False."""
    if column.dtype.kind == "O":
        return set(column.tolist()) <= {"False", "True"}
    return column.dtype.kind == "f" and bool(np.isin(column, (0.0, 1.0)).all())


def as_numbers(column: NDArray[Any]) -> Floats:
    """Return a column of numbers, or of True and False, as numbers."""
    return np.asarray(column == "True" if column.dtype.kind == "O" else column, dtype=np.float64)
