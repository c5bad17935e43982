"""Turn names into objects and check parameters, so that the rest of the code need not do so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from glassnet.errors import ConfigurationError, did_you_mean

T = TypeVar("T")


def resolve(kind: str, given: Any, table: Mapping[str, T]) -> Any:
    """Look a name up in a table, and return anything but a string unchanged.

    >>> resolve("optimizer", "adm", {"adam": 1, "sgd": 2})
    Traceback (most recent call last):
    glassnet.errors.ConfigurationError: 'adm' is not a known optimizer. Did you mean 'adam'? Choose one of:
    adam, sgd.
    """
    if not isinstance(given, str):
        return given
    if given not in table:
        raise ConfigurationError(
            f"'{given}' is not a known {kind}.{did_you_mean(given, table)}"
            f" Choose one of: {', '.join(sorted(table))}."
        )
    return table[given]


def check_range(
    name: str,
    value: Any,
    low: float,
    high: float,
    *,
    open_low: bool = False,
    open_high: bool = True,
) -> None:
    """Raise a ConfigurationError unless `value` is a number from `low` to `high`.

    >>> check_range("rate", 1.5, 0, 1)
    Traceback (most recent call last):
    glassnet.errors.ConfigurationError: rate is 1.5, but it must be a number in [0, 1).
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    above = number > low if open_low else number >= low
    below = number < high if open_high else number <= high
    if not (above and below):
        interval = f"{'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"
        raise ConfigurationError(f"{name} is {value!r}, but it must be a number in {interval}.")


def check_count(name: str, value: Any, low: int = 1) -> None:
    """Raise a ConfigurationError unless `value` is a whole number of at least `low`.

    >>> check_count("units", 0)
    Traceback (most recent call last):
    glassnet.errors.ConfigurationError: units is 0, but it must be a whole number of at least 1.
    """
    whole = isinstance(value, int) or (hasattr(value, "__index__") and not isinstance(value, bool))
    if isinstance(value, bool) or not whole or int(value) < low:
        raise ConfigurationError(
            f"{name} is {value!r}, but it must be a whole number of at least {low}."
        )
