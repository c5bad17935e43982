"""Expressions: equations with numbers in, written so that what is printed adds up.

An expression is a tree of numbers that can be written and evaluated with so many digits. The numbers of an
equation are written with as few digits as make it true: evaluated, they give the printed value to its last
digit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

DIGITS = 4  # significant ones, of what an equation says at least
MOST_DIGITS = 17  # any float64 is exact in so many
TERMS = 8  # of a sum that are written out


def written(value: float, digits: int = DIGITS) -> str:
    """Return a number with so many significant digits, always with a point, never in more than it needs.

    >>> written(0.123456), written(-2.0), written(1234567.0), written(1.25e-7), written(math.inf)
    ('0.1235', '-2.0', '1234567.0', '1.25e-07', 'inf')
    """
    if not math.isfinite(value) or value == 0:
        return "0.0" if value == 0 else str(value)
    size = math.floor(math.log10(abs(value)))
    if -5 < size < 9:
        text = f"{value:.{max(digits - 1 - size, 0)}f}"
        text = text.rstrip("0") if "." in text else text + "."
        return text + "0" * text.endswith(".")
    return f"{value:.{digits}g}"


class Expression:
    """What stands on the right of an equation: text and value for so many digits."""

    def text(self, digits: int) -> str:
        """Return it as a person reads it."""
        raise NotImplementedError

    def value(self, digits: int) -> float:
        """Return what the written numbers give."""
        raise NotImplementedError


@dataclass(frozen=True)
class Number(Expression):
    """One number, written; `note` follows in brackets."""

    number: float
    note: str = ""

    def text(self, digits: int) -> str:
        """The number."""
        return written(self.number, digits) + (f" [{self.note}]" if self.note else "")

    def value(self, digits: int) -> float:
        """The number as it is written."""
        return float(written(self.number, digits))


@dataclass(frozen=True)
class Whole(Expression):
    """A whole number that is part of a formula, such as a count."""

    number: int

    def text(self, digits: int) -> str:
        """The number."""
        return str(self.number)

    def value(self, digits: int) -> float:
        """The number."""
        return float(self.number)


@dataclass(frozen=True)
class Product(Expression):
    """Factors with a point between."""

    factors: tuple[Expression, ...]

    def text(self, digits: int) -> str:
        """u·v."""
        first, *others = (_factor(factor, digits) for factor in self.factors)
        return "·".join(
            [first, *(f"({text})" if text.startswith("-") else text for text in others)]
        )

    def value(self, digits: int) -> float:
        """u v."""
        return math.prod(factor.value(digits) for factor in self.factors)


@dataclass(frozen=True)
class Sum(Expression):
    """Terms, added or subtracted by their sign."""

    terms: tuple[Expression, ...]

    def text(self, digits: int) -> str:
        """u + v - w."""
        first, *others = (term.text(digits) for term in self.terms)
        signed = (f" - {t[1:]}" if t.startswith("-") else f" + {t}" for t in others)
        return first + "".join(signed)

    def value(self, digits: int) -> float:
        """u + v - w."""
        return math.fsum(term.value(digits) for term in self.terms)


@dataclass(frozen=True)
class Minus(Expression):
    """What is subtracted."""

    part: Expression

    def text(self, digits: int) -> str:
        """-u."""
        text = _factor(self.part, digits)
        return f"-({text})" if text.startswith("-") else f"-{text}"

    def value(self, digits: int) -> float:
        """-u."""
        return -self.part.value(digits)


@dataclass(frozen=True)
class Quotient(Expression):
    """One part over another."""

    over: Expression
    under: Expression

    def text(self, digits: int) -> str:
        """u/v."""
        return f"{_factor(self.over, digits)}/{_under(self.under, digits)}"

    def value(self, digits: int) -> float:
        """u / v."""
        under = self.under.value(digits)
        return self.over.value(digits) / under if under else math.nan


@dataclass(frozen=True)
class Called(Expression):
    """A function of one number by name."""

    name: str
    function: Callable[[float], float]
    argument: Expression

    def text(self, digits: int) -> str:
        """φ(u)."""
        return f"{self.name}({self.argument.text(digits)})"

    def value(self, digits: int) -> float:
        """φ(u)."""
        return float(self.function(self.argument.value(digits)))


def _factor(part: Expression, digits: int) -> str:
    text = part.text(digits)
    return f"({text})" if isinstance(part, Sum) and len(part.terms) > 1 else text


def _under(part: Expression, digits: int) -> str:
    text = part.text(digits)
    bare = isinstance(part, Number | Whole | Called) and not text.startswith("-")
    return text if bare else f"({text})"


def summed(products: Sequence[tuple[float, ...]], *further: Expression, most: int = TERMS) -> Sum:
    """Return the sum of products: all of them if few, else the largest and what the others add up to.

    >>> summed([(0.5, 1.0), (0.5, 4.0), (0.5, 2.0)], Number(0.1), most=1).text(3)
    '0.5·4.0 + 1.5 [the other 2] + 0.1'
    """
    sizes = [math.prod(factors) for factors in products]
    shown = largest(sizes, most)
    parts: list[Expression] = [Product(tuple(map(Number, products[place]))) for place in shown]
    if len(shown) < len(sizes):
        left = set(range(len(sizes))) - set(shown)
        rest = math.fsum(sizes[place] for place in left)
        parts.append(Number(rest, f"the other {len(left)}"))
    return Sum((*parts, *further) or (Number(0.0),))


def largest(values: Sequence[float], most: int) -> list[int]:
    """Return the places of the largest values in size, in order; all if one more would be all.

    >>> largest([0.1, -3.0, 2.0], 2), largest([0.1, -3.0, 2.0, 5.0], 1)
    ([0, 1, 2], [3])
    """
    if len(values) <= most + 1:
        return list(range(len(values)))
    by_size = sorted(range(len(values)), key=lambda place: -abs(values[place]))
    return sorted(by_size[:most])


@dataclass(frozen=True)
class Equation:
    """One equation with numbers in: symbol = formula = numbers = value.

    symbol: what is computed ("z₂"). formula: in symbols, or "". numbers: the same with numbers in, or "".
    result: the value as it is written. value: the number as the network computed it. note: what to know.

    `numbers` evaluated gives `result` to its last digit. Where the network's own arithmetic (float32) is
    less exact than that, `result` has fewer digits.
    """

    symbol: str
    formula: str
    numbers: str
    result: str
    value: float
    note: str = ""

    def __str__(self) -> str:
        parts = [self.symbol, self.formula, self.numbers, self.result]
        return " = ".join(part for part in parts if part) + (
            f"  ({self.note})" if self.note else ""
        )

    def to_dict(self) -> dict[str, object]:
        """Return the parts and the whole line as plain values."""
        return {**vars(self), "text": str(self)}


def equation(
    symbol: str,
    value: float,
    right: Expression | None = None,
    *,
    formula: str = "",
    note: str = "",
    digits: int = DIGITS,
) -> Equation:
    """Return an equation whose numbers have as few digits as make it true.

    >>> print(equation("z", 0.36, summed([(0.31, 1.0)], Number(0.05))))
    z = 0.31·1.0 + 0.05 = 0.36
    """
    value = float(value)
    if right is None or not math.isfinite(value):
        return Equation(symbol, formula, "", written(value, digits), value, note)
    shown, numbers = _settled(right, value, digits)
    if numbers == shown:  # nothing was computed
        numbers = ""
    return Equation(symbol, formula, numbers, shown, value, note)


def _settled(right: Expression, value: float, digits: int) -> tuple[str, str]:
    """Return the value and the numbers as they are written."""
    for kept, shown in _roundings(value, digits):
        for more in range(digits, MOST_DIGITS + 1):
            if abs(right.value(more) - float(shown)) <= kept:
                return shown, right.text(more)
    return written(value, digits), right.text(MOST_DIGITS)


def _roundings(value: float, digits: int) -> Iterator[tuple[float, str]]:
    """Yield the value in ever fewer digits, down to "0.0", each with half a unit of its last digit."""
    size = (
        math.floor(math.log10(abs(value))) if value else -12
    )  # 0 is a sum that cancels to many digits
    for fewer in range(digits, 0, -1):
        yield _half(size - fewer + 1), written(value, fewer)
    for place in range(size + 1, size + 12):
        yield _half(place), written(round(value, -place), 1)


def _half(place: int) -> float:
    return 0.5 * float(10.0**place) * (1 + 1e-9)
