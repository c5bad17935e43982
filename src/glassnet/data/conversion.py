"""Convert a column to the kind that it had in training."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from glassnet.data.columns import KIND_OF_DTYPE, Column, Kind, missing_in
from glassnet.errors import DataError


def converted(column: Column, wanted: Kind, name: str, levels: tuple[str, ...] = ()) -> Column:
    """Return a column of any kind as a column of the wanted kind.

    Text is parsed as numbers or dates. A number becomes the level in `levels` that spells it, or else
    its own text. A column whose values are all missing becomes an empty one. Raises `DataError` with
    the column, row and value that cannot be converted.

    >>> converted(np.array(["3", None], object), "number", "age")
    array([ 3., nan])
    >>> converted(np.array([3.0, 4.5]), "category", "code", levels=("003",)).tolist()
    ['003', '4.5']
    """
    seen = KIND_OF_DTYPE[column.dtype.kind]
    if seen == wanted:
        return column
    missing = missing_in(column)
    if missing.all():  # an empty column may have any kind
        return np.full(len(column), *_EMPTY[wanted])
    convert = _CONVERSIONS.get((seen, wanted))
    if convert is None:
        raise DataError(
            f"Column {name!r} holds {seen} values, but held {wanted} values in training: give it "
            "in the same form as in training."
        )
    return convert(column, missing, name, levels)


_EMPTY: dict[Kind, tuple[Any, ...]] = {
    "number": (np.nan, np.float64),
    "category": (None, object),
    "date": (np.datetime64("NaT", "us"), "datetime64[us]"),
}


_BOOLEANS = {"True": 1.0, "False": 0.0}


def _number(text: str) -> float:
    """Return the number that a text spells (True is 1, False is 0); raises ValueError."""
    if "_" in text:  # float() would accept 1_000
        raise ValueError(text)
    return float(_BOOLEANS.get(text, text))


def _texts_as_numbers(column: Column, missing: Column, name: str, levels: object) -> Column:
    return _parsed(column, missing, name, "number", _number)


def _texts_as_dates(column: Column, missing: Column, name: str, levels: object) -> Column:
    return _parsed(column, missing, name, "date", _date)


def _date(text: str) -> np.datetime64:
    time = datetime.datetime.fromisoformat(text)
    if time.tzinfo is not None:
        time = time.astimezone(datetime.UTC).replace(tzinfo=None)
    return np.datetime64(time, "us")


def _parsed(
    column: Column, missing: Column, name: str, kind: Kind, parse: Callable[[str], Any]
) -> Column:
    out = np.full(len(column), *_EMPTY[kind])
    for row in np.flatnonzero(~missing):
        try:
            out[row] = parse(column[row])
        except (ValueError, OverflowError):
            raise DataError(
                f"Column {name!r} held {kind} values in training, but {column[row]!r} in row {row} "
                f"(the first row is 0) is not a {kind}. Correct it, or leave the cell empty."
            ) from None
    return out


def _numbers_as_texts(
    column: Column, missing: Column, name: str, levels: tuple[str, ...]
) -> Column:
    """Return each number as the level that spells it: 3.0 as "3", "3.0" or "003"."""
    spelling: dict[float, str] = {}
    for level in levels:
        try:
            spelling.setdefault(_number(level), level)
        except ValueError:
            continue
    out = np.full(len(column), None, object)
    for row in np.flatnonzero(~missing):
        value = float(column[row])
        text = str(int(value)) if math.isfinite(value) and value.is_integer() else repr(value)
        out[row] = text if text in levels else spelling.get(value, text)
    return out


def _dates_as_texts(column: Column, missing: Column, name: str, levels: object) -> Column:
    out = np.full(len(column), None, object)
    for row in np.flatnonzero(~missing):
        out[row] = str(np.datetime_as_string(column[row : row + 1], unit="auto")[0])
    return out


_CONVERSIONS: dict[tuple[Kind, Kind], Callable[..., Column]] = {
    ("category", "number"): _texts_as_numbers,
    ("category", "date"): _texts_as_dates,
    ("number", "category"): _numbers_as_texts,
    ("date", "category"): _dates_as_texts,
}
