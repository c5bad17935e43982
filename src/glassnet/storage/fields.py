"""Read the records of a model file and check every field before it is used.

A model file may come from anywhere, so nothing in it is trusted. Each field has a type, a length and a
range, stated where it is read. Whatever is wrong raises `ModelFormatError` and no other exception.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NoReturn

from glassnet.errors import ModelFormatError


def is_integer(value: object) -> bool:
    """Return whether a value of a JSON document is a whole number; `true` is not one.

    >>> is_integer(3), is_integer(True), is_integer(3.0)
    (True, False, False)
    """
    return isinstance(value, int) and not isinstance(value, bool)


def is_finite_number(value: object) -> bool:
    """Return whether a value of a JSON document is a number that fits a finite float64.

    >>> is_finite_number(3), is_finite_number(float("nan")), is_finite_number(10**400)
    (True, False, False)
    """
    if not (is_integer(value) or isinstance(value, float)):
        return False
    try:
        return math.isfinite(value)  # type: ignore[arg-type]
    except OverflowError:  # a whole number beyond float64
        return False


@dataclass(frozen=True)
class Fields:
    """The fields of one record, each read by a method that checks it.

    `of` raises `ModelFormatError` unless the record has exactly the fields it should have. The other
    methods raise it if a field is not what they return.

    >>> fields = Fields.of({"clip": True, "scale": [1.0, 2]}, "numeric", {"clip", "scale"})
    >>> fields.flag("clip"), fields.numbers("scale", length=2)
    (True, (1.0, 2.0))
    >>> fields.numbers("scale", length=3)
    Traceback (most recent call last):
    glassnet.errors.ModelFormatError: The model file is damaged: numeric.scale should be a list of
    3 finite numbers, but is [1.0, 2]. Use another copy of the file, or train the model again.
    """

    values: dict[str, Any]
    where: str

    @classmethod
    def of(cls, spec: object, where: str, names: Collection[str]) -> Fields:
        """Return the fields of a record that must have exactly these names."""
        if not isinstance(spec, dict) or set(spec) != set(names):
            refuse_field(where, f"a record of {', '.join(sorted(names))}", spec)
        return cls(spec, where)

    def refuse(self, name: str, wanted: str) -> NoReturn:
        """Raise `ModelFormatError`, because a field is not what it should be."""
        refuse_field(f"{self.where}.{name}", wanted, self.values[name])

    def flag(self, name: str) -> bool:
        """Return a field that is true or false."""
        value = self.values[name]
        if not isinstance(value, bool):
            self.refuse(name, "true or false")
        return value

    def text(self, name: str, choices: Collection[str] | None = None) -> str:
        """Return a field that is text, and one of the choices if any are given."""
        value = self.values[name]
        if not isinstance(value, str):
            self.refuse(name, "text")
        if choices is not None and value not in choices:
            self.refuse(name, f"one of {', '.join(choices)}")
        return value

    def items(self, name: str, length: int | None = None) -> list[Any]:
        """Return a field that is a list, of a given length if given."""
        value = self.values[name]
        if not isinstance(value, list) or (length is not None and len(value) != length):
            self.refuse(name, "a list" if length is None else f"a list of {length}")
        return value

    def numbers(
        self, name: str, length: int | None = None, *, at_least: float = -math.inf
    ) -> tuple[float, ...]:
        """Return a field that is a list of finite numbers, none below `at_least`."""
        count = "" if length is None else f"{length} "
        bound = "" if at_least == -math.inf else f" of at least {at_least:g}"
        wanted = f"a list of {count}finite numbers{bound}"
        value = self.values[name]
        if not isinstance(value, list) or (length is not None and len(value) != length):
            self.refuse(name, wanted)
        if not all(is_finite_number(item) and item >= at_least for item in value):
            self.refuse(name, wanted)
        return tuple(float(item) for item in value)

    def flags(self, name: str, length: int) -> tuple[bool, ...]:
        """Return a field that is a list of true and false, of this length."""
        value = self.items(name, length)
        if not all(isinstance(item, bool) for item in value):
            self.refuse(name, f"a list of {length} true or false")
        return tuple(value)

    def texts(self, name: str, choices: Collection[str] | None = None) -> tuple[str, ...]:
        """Return a field that is a list of different texts, each one of the choices if any are given."""
        value = self.items(name)
        if not all(isinstance(item, str) for item in value) or len(set(value)) < len(value):
            self.refuse(name, "a list of different texts")
        if choices is not None and not set(value) <= set(choices):
            self.refuse(name, f"a list of texts from: {', '.join(choices)}")
        return tuple(value)


def refuse_field(where: str, wanted: str, seen: object) -> NoReturn:
    """Raise `ModelFormatError`: the field `where` holds something other than what was wanted."""
    shown = repr(seen)
    if len(shown) > 80:
        shown = shown[:77] + "..."
    raise ModelFormatError(
        f"The model file is damaged: {where} should be {wanted}, but is {shown}. "
        "Use another copy of the file, or train the model again."
    )
