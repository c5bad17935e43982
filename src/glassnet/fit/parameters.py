"""Check the parameters of an estimator."""

from __future__ import annotations

from typing import Any

import numpy as np

from glassnet._checks import check_count
from glassnet.errors import ConfigurationError, DataError


def is_auto(choice: Any) -> bool:
    """Return whether a choice is left to the recipe."""
    return isinstance(choice, str) and choice == "auto"


def widths_of(hidden: Any) -> tuple[int, ...]:
    """Return the widths of hidden layers, checked."""
    single = isinstance(hidden, str) or not hasattr(hidden, "__iter__")
    widths = (hidden,) if single else tuple(hidden)
    for units in widths:
        check_count("each width in hidden", units)
    return tuple(int(units) for units in widths)


def seed_of(random_state: Any) -> int:
    """Return the seed of the run for a number, a RandomState, or None."""
    from sklearn.utils import check_random_state  # lazily: the command's help does not need it

    try:
        return int(check_random_state(random_state).randint(2**31 - 1))
    except ValueError as error:
        raise ConfigurationError(
            f"random_state is {random_state!r}: {error}. Give a whole number such as 0, or None."
        ) from None


def check_flag(name: str, value: Any) -> None:
    """Raise unless the value is True or False, because any non-empty text would count as True."""
    if not isinstance(value, bool | np.bool_):
        raise ConfigurationError(f"{name} is {value!r}, but it must be True or False.")


def as_array(name: str, rows: Any) -> np.ndarray:
    """Return the values of a list, a Series or a data frame as an array."""
    try:
        return np.asarray(rows)
    except ValueError:
        raise DataError(
            f"The rows of {name} have different lengths: give each the same number of values."
        ) from None


def targets_of(y: Any) -> np.ndarray:
    """Return targets as an array."""
    array = as_array("y", y)
    if array.ndim == 0:
        raise DataError(
            f"y is of type {type(y).__name__}, but it must be a column of targets, or several: a list,"
            " an array, or a data frame."
        )
    return array
