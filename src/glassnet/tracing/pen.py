"""Write equations with the numbers of one row of a trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from glassnet.tracing.expressions import (
    Equation,
    Expression,
    Number,
    equation,
    largest,
    summed,
)
from glassnet.tracing.records import LayerTrace

if TYPE_CHECKING:
    from glassnet.tracing.trace import Trace


@dataclass(frozen=True)
class Gradient:
    """The equation of dL/d(one number of a parameter).

    name: of the parameter. index: of the number in it. symbol: of the number ("w₂₁").
    """

    name: str
    index: tuple[int, ...]
    symbol: str
    equation: Equation


@dataclass(frozen=True)
class Pen:
    """The trace and the row to write, and the number of digits and terms.

    digits: the fewest significant digits. terms: those written out in a long sum; the others are summed.
    """

    trace: Trace
    row: int
    digits: int
    terms: int

    def write(
        self,
        symbol: str,
        value: float,
        right: Expression | None = None,
        formula: str = "",
        note: str = "",
    ) -> Equation:
        """Return an equation; see `expressions.equation`."""
        return equation(symbol, value, right, formula=formula, note=note, digits=self.digits)

    def value(self, batch: Any, j: int) -> float:
        """Return number j of this row of a batch."""
        return float(np.reshape(batch[self.row], -1)[j])

    def number(self, batch: Any, j: int) -> Number:
        """Return number j of this row of a batch as an expression."""
        return Number(self.value(batch, j))

    def sum(self, products: Any, *further: Expression) -> Expression:
        """Return a sum of products of which the largest are written out."""
        factors = [tuple(map(float, product)) for product in products]
        return summed(factors, *further, limit=self.terms)

    def largest(self, values: Any) -> list[int]:
        """Return the indices of the numbers that are written out, the largest in size."""
        return largest([float(value) for value in values], self.terms)

    def gradient(
        self,
        layer: LayerTrace,
        name: str,
        index: tuple[int, ...],
        symbol: str,
        factors: tuple[Any, ...],
        formula: str,
    ) -> Gradient:
        """Return how the gradient of one number of a parameter is summed over the rows of the batch.

        factors: one number per row in each array; their product is the row's share. formula: of that product.
        """
        gradient = layer.parameters[name].gradient
        assert gradient is not None
        rows = self.trace.rows
        sign, note = ("Σ ", f"over {rows} rows") if rows > 1 else ("", "")
        right = self.sum(zip(*factors, strict=True))
        line = self.write(f"∂L/∂{symbol}", float(gradient[index]), right, sign + formula, note)
        return Gradient(name, index, symbol, line)


def column(batch: Any, j: int) -> Any:
    """Return number j of every row of a batch.

    >>> column(np.arange(6).reshape(2, 3), 1).tolist()
    [1, 4]
    """
    return np.reshape(batch, (len(batch), -1))[:, j]


def entry(array: Any, j: int) -> Number:
    """Return number j of an array that has no axis of rows, as an expression."""
    return Number(float(np.reshape(array, -1)[j]))


def input_index(layer: LayerTrace, j: int) -> tuple[int, ...]:
    """Return the index of input j in the array of one row."""
    return tuple(int(k) for k in np.unravel_index(j, layer.input.shape[1:]))
