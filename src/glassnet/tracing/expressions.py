"""Write equations with numbers so that the printed numbers add up.

An expression is a tree of numbers. It can be printed with a given number of digits, and the printed numbers
can be evaluated. An equation uses the fewest digits for which its printed numbers give the printed value to
its last digit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

DIGITS = 4  # the fewest significant digits in an equation
MAX_DIGITS = 17  # exact for every float64
TERMS = 8  # terms of a sum that are written out


def written(value: float, digits: int = DIGITS) -> str:
    """Return a number with a decimal point and at most `digits` significant digits, without trailing zeros.

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
    """The right side of an equation: its text and its value when numbers have a given number of digits."""

    def text(self, digits: int) -> str:
        """Return the expression as it is printed."""
        raise NotImplementedError

    def value(self, digits: int) -> float:
        """Return the value of the printed numbers."""
        raise NotImplementedError


@dataclass(frozen=True)
class Number(Expression):
    """A number; its note follows in square brackets."""

    number: float
    note: str = ""

    def text(self, digits: int) -> str:
        """The number."""
        return written(self.number, digits) + (f" [{self.note}]" if self.note else "")

    def value(self, digits: int) -> float:
        """The printed number."""
        return float(written(self.number, digits))


@dataclass(frozen=True)
class Whole(Expression):
    """A whole number that belongs to a formula, such as a count."""

    number: int

    def text(self, digits: int) -> str:
        """The number."""
        return str(self.number)

    def value(self, digits: int) -> float:
        """The number."""
        return float(self.number)


@dataclass(frozen=True)
class Product(Expression):
    """Factors, joined by dots."""

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
    """Terms, added or subtracted according to their sign."""

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
    """The negative of an expression."""

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
    """One expression divided by another."""

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
    """A named function of one number."""

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


def summed(products: Sequence[tuple[float, ...]], *further: Expression, limit: int = TERMS) -> Sum:
    """Return a sum: the `limit` largest products, the sum of the other products as one number, further terms.

    >>> summed([(0.5, 1.0), (0.5, 4.0), (0.5, 2.0)], Number(0.1), limit=1).text(3)
    '0.5·4.0 + 1.5 [the other 2] + 0.1'
    """
    sizes = [math.prod(factors) for factors in products]
    shown = largest(sizes, limit)
    parts: list[Expression] = [Product(tuple(map(Number, products[k]))) for k in shown]
    if len(shown) < len(sizes):
        others = set(range(len(sizes))) - set(shown)
        rest = math.fsum(sizes[k] for k in others)
        parts.append(Number(rest, f"the other {len(others)}"))
    return Sum((*parts, *further) or (Number(0.0),))


def largest(values: Sequence[float], limit: int) -> list[int]:
    """Return the sorted indices of the `limit` values largest in size, or of all `limit` + 1 values.

    >>> largest([0.1, -3.0, 2.0], 2), largest([0.1, -3.0, 2.0, 5.0], 1)
    ([0, 1, 2], [3])
    """
    if len(values) <= limit + 1:
        return list(range(len(values)))
    by_size = sorted(range(len(values)), key=lambda k: -abs(values[k]))
    return sorted(by_size[:limit])


@dataclass(frozen=True)
class Equation:
    """One equation with numbers: symbol = formula = numbers = result  (note).

    symbol: what is computed ("z₂"). formula: in symbols, or "". numbers: the formula with numbers, or "".
    result: the printed value. value: the number that the network computed. note: a remark, or "".

    `numbers` evaluates to `result`, to its last digit. If the network's arithmetic (float32) is less
    exact, `result` has fewer digits.
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
    """Return an equation with the fewest digits for which it is true.

    >>> print(equation("z", 0.36, summed([(0.31, 1.0)], Number(0.05))))
    z = 0.31·1.0 + 0.05 = 0.36
    """
    value = float(value)
    if right is None or not math.isfinite(value):
        return Equation(symbol, formula, "", written(value, digits), value, note)
    shown, numbers = _rounded(right, value, digits)
    if numbers == shown:  # nothing was computed
        numbers = ""
    return Equation(symbol, formula, numbers, shown, value, note)


def _rounded(right: Expression, value: float, digits: int) -> tuple[str, str]:
    """Return the value and the numbers as printed."""
    for half_unit, shown in _roundings(value, digits):
        for more in range(digits, MAX_DIGITS + 1):
            if abs(right.value(more) - float(shown)) <= half_unit:
                return shown, right.text(more)
    return written(value, digits), right.text(MAX_DIGITS)


def _roundings(value: float, digits: int) -> Iterator[tuple[float, str]]:
    """Yield the value with fewer and fewer digits, down to "0.0", each with half a unit of its last digit."""
    size = math.floor(math.log10(abs(value))) if value else -12  # 0 is a sum that cancels
    for fewer in range(digits, 0, -1):
        yield _half_unit(size - fewer + 1), written(value, fewer)
    for power in range(size + 1, size + 12):
        yield _half_unit(power), written(round(value, -power), 1)


def _half_unit(power: int) -> float:
    return 0.5 * float(10.0**power) * (1 + 1e-9)
