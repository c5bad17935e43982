"""Convert one-dimensional values of any origin to one of the three normal forms of `tables`."""

from __future__ import annotations

import datetime
import decimal
import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from glassnet.errors import DataError, NestedValueError

Kind = Literal["number", "category", "date"]
Column: TypeAlias = NDArray[Any]

KIND_OF_DTYPE: dict[str, Kind] = {"f": "number", "O": "category", "M": "date"}
MISSING: dict[Kind, Any] = {"number": np.nan, "category": None, "date": np.datetime64("NaT", "us")}
_NESTED: frozenset[type] = frozenset({list, tuple, dict, set, frozenset, np.ndarray})


def column_of(values: Any, *, name: str | None = None) -> Column:
    """Return one-dimensional values (list, array, Series) as a column in its normal form.

    Numbers become float64, dates become datetime64[us], and everything else, also a mixture of kinds,
    becomes text. `name` is used in messages only. Raises `DataError` if the values are not
    one-dimensional, or are lists, records, raw bytes or complex numbers.

    >>> column_of([1, None, 2.5])
    array([1. , nan, 2.5])
    >>> column_of(["a", 1, None]).tolist()
    ['a', '1', None]
    """
    if _is_series(values):
        return _from_series(values, name)
    if isinstance(values, str | bytes | Mapping | set | frozenset) or np.isscalar(values):
        raise _unsupported(f"{_article(type(values).__name__)}, not a sequence of values", name)
    if hasattr(values, "to_pylist"):  # Arrow arrays, whose NumPy form makes nulls NaN or refuses
        values = values.to_pylist()
    array = values if isinstance(values, np.ndarray) else _array_of(values, name)
    if array.ndim != 1:
        raise _unsupported(f"of shape {array.shape} where one dimension is needed", name)
    mask = np.ma.getmaskarray(array) if isinstance(array, np.ma.MaskedArray) else None
    convert = _FROM_DTYPE.get(array.dtype.kind)
    if convert is None:
        raise _unsupported(f"of type {array.dtype}", name)
    column = convert(np.asarray(array), name)
    if mask is not None and mask.any():
        column = column.copy()
        column[mask] = MISSING[KIND_OF_DTYPE[column.dtype.kind]]
    return column


def missing_in(column: Column) -> NDArray[np.bool_]:
    """Return whether each value of a column in normal form is missing.

    >>> missing_in(column_of([1, None]))
    array([False,  True])
    """
    if column.dtype.kind == "O":
        return np.asarray(column == None, dtype=bool)  # noqa: E711 - compares value by value
    return np.isnat(column) if column.dtype.kind == "M" else np.isnan(column)


# ----------------------------------------------------------------------- data frames and series


def _is_series(values: object) -> bool:
    if isinstance(values, np.ndarray | list | tuple):
        return False
    import narwhals as nw  # lazily: only data frames need it

    return isinstance(values, nw.Series) or bool(nw.dependencies.is_into_series(values))


def _from_series(values: Any, name: str | None) -> Column:
    import narwhals as nw  # lazily: only data frames need it

    series = nw.from_native(values, series_only=True)
    dtype = series.dtype
    if dtype.is_nested() or dtype == nw.Binary:
        raise _unsupported(f"of type {dtype}", name)
    if dtype.is_numeric():
        return np.array(series.cast(nw.Float64).to_numpy(), dtype=np.float64)
    if isinstance(dtype, nw.Datetime):
        if dtype.time_zone is not None:
            series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return np.array(series.to_numpy(), dtype="datetime64[us]")
    if dtype == nw.Date:
        return np.array(series.cast(nw.Datetime("us")).to_numpy(), dtype="datetime64[us]")
    items = series.to_list()
    # pandas: values of any type
    untyped = str(getattr(series.to_native(), "dtype", "")) == "object"
    if dtype in (nw.Categorical, nw.Enum, nw.String, nw.Boolean) and not untyped:
        return _text(items, [_is_missing(item) for item in items])
    return _from_objects(_array_of(items, name), name)


# ------------------------------------------------------------------ NumPy arrays, by dtype kind


def _array_of(values: Any, name: str | None) -> Column:
    """Return values as an array of their own dtype, or of objects if they have none."""
    if hasattr(values, "__array__"):
        return np.asarray(values)
    try:
        return np.fromiter(values, dtype=object)
    except TypeError:
        raise _unsupported(f"{_article(type(values).__name__)}, not a sequence", name) from None


def _from_durations(values: Column, name: str | None) -> Column:
    try:
        return np.asarray(values / np.timedelta64(1, "s"), dtype=np.float64)
    except TypeError:  # months, years and durations without a unit have no length in seconds
        raise _unsupported(f"of type {values.dtype}", name) from None


def _from_objects(values: Column, name: str | None) -> Column:
    """Return an array of objects as the kind that all its values share, or else as text."""
    types = set(map(type, values))
    if types & _NESTED:
        nested = min(kind.__name__ for kind in types & _NESTED)
        raise NestedValueError(
            str(_unsupported(f"made of nested values ({_article(nested)})", name))
        )
    if types <= {str, type(None)} and str in types:
        return values.copy()
    missing = [_is_missing(value) for value in values]
    present = [v for v, gone in zip(values, missing, strict=True) if not gone]
    families = {_family(kind) for kind in set(map(type, present))}
    if "complex" in families:
        raise _unsupported("made of complex numbers", name)
    if families - {"number", "date"} or len(families) > 1:
        return _text(values, missing)
    if families == {"date"}:
        dates = np.full(len(values), np.datetime64("NaT", "us"), dtype="datetime64[us]")
        dates[~np.array(missing)] = [_date(value) for value in present]
        return dates
    column = np.full(len(values), np.nan)
    column[~np.array(missing, dtype=bool)] = [_number(value) for value in present]
    return column


def _text(values: Iterable[object], missing: Iterable[bool]) -> Column:
    items = [None if gone else _string(v) for v, gone in zip(values, missing, strict=True)]
    column = np.empty(len(items), dtype=object)
    column[:] = items
    return column


_FROM_DTYPE: dict[str, Callable[[Column, str | None], Column]] = {
    "b": lambda values, name: _text(values, [False] * len(values)),
    "i": lambda values, name: values.astype(np.float64),
    "u": lambda values, name: values.astype(np.float64),
    "f": lambda values, name: values.astype(np.float64),
    "M": lambda values, name: values.astype("datetime64[us]"),
    "m": _from_durations,
    "U": lambda values, name: values.astype(object),
    "S": lambda values, name: _text(values.tolist(), [False] * len(values)),
    "T": lambda values, name: _from_objects(values.astype(object), name),
    "O": _from_objects,
}


# -------------------------------------------------------------------------------- single values


def _is_missing(value: object) -> bool:
    if value is None:
        return True
    if isinstance(value, str):
        return False
    if type(value).__name__ in ("NAType", "NaTType"):  # pandas.NA and NaT, without importing pandas
        return True
    if isinstance(value, float | np.floating | np.datetime64 | np.timedelta64):
        return bool(value != value)
    return isinstance(value, decimal.Decimal) and value.is_nan()


_FAMILIES: tuple[tuple[str, tuple[type, ...]], ...] = (  # the first that fits is taken
    ("boolean", (bool, np.bool_)),
    ("date", (datetime.date, np.datetime64)),
    ("number", (datetime.timedelta, datetime.time, np.timedelta64)),
    ("number", (numbers.Real, decimal.Decimal)),
    ("complex", (numbers.Complex,)),
)


def _family(kind: type) -> str:
    return next((name for name, bases in _FAMILIES if issubclass(kind, bases)), "text")


def _number(value: Any) -> float:
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, np.timedelta64):
        return float(value / np.timedelta64(1, "s"))
    if isinstance(value, datetime.time):
        return value.hour * 3600 + value.minute * 60 + value.second + value.microsecond / 1e6
    try:
        return float(value)
    except OverflowError:  # an integer beyond 1.8e308
        return float("inf") if value > 0 else float("-inf")


def _date(value: Any) -> np.datetime64:
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        value = value.astimezone(datetime.UTC).replace(tzinfo=None)
    return np.datetime64(value, "us")


def _string(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


# ------------------------------------------------------------------------------------- messages


def _unsupported(description: str, name: str | None) -> DataError:
    subject = "The values are" if name is None else f"Column '{name}' is"
    return DataError(
        f"{subject} {description}, but an argument must be a date, a string or a number: leave the "
        "column out, or turn it into columns with one plain value per row."
    )


def _article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
