"""Write how a loss turns logits into outputs, and its gradient; each loss is a row of `LOSS_EQUATIONS`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from glassnet._precision import precision
from glassnet.nn.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
)
from glassnet.tracing.expressions import (
    MAX_DIGITS,
    Called,
    Equation,
    Expression,
    Minus,
    Number,
    Product,
    Quotient,
    Sum,
    Whole,
)
from glassnet.tracing.pen import Pen
from glassnet.tracing.records import LayerTrace
from glassnet.tracing.symbols import sub

Slope = tuple[tuple[Expression, ...], str]  # factors of dl/d(logit), and its formula


def _no_output(pen: Pen, j: int, z: str) -> Iterable[Equation]:
    return ()


def _slope(pen: Pen, j: int, z: str) -> Slope:
    logits, target = _arrays(pen)
    with precision(pen.trace.dtype):
        slopes = np.asarray(pen.trace.loss_function.slopes(logits, target))
    return (Number(float(slopes[pen.row, j])),), f"∂l/∂{z + sub(j)}"


@dataclass(frozen=True)
class LossEquations:
    """The equations of one loss: a row of `LOSS_EQUATIONS`.

    output(pen, j, z): how output j, such as a probability, is computed from the logits, whose letter is z.
    slope(pen, j, z): the derivative of one row's loss l by logit j, as factors, and its formula.
    """

    output: Callable[[Pen, int, str], Iterable[Equation]] = _no_output
    slope: Callable[[Pen, int, str], Slope] = _slope


def output(pen: Pen, j: int, z: str) -> list[Equation]:
    """Return how the loss turns logit j into an output; empty if the output is the logit itself."""
    return list(_row(pen).output(pen, j, z))


def loss_gradient(pen: Pen, last: LayerTrace, j: int, symbol: str, z: str) -> Equation:
    """Return dL/d(logit j), where L is the mean of the losses l, weighted if the rows are."""
    trace = pen.trace
    factors, formula = _row(pen).slope(pen, j, z)
    slope = factors[0] if len(factors) == 1 else Product(factors)
    value = pen.value(last.d_output, j)
    outputs = _averaged_outputs(pen)
    if trace.sample_weight is None:
        count = trace.rows * outputs
        if count == 1:
            return pen.write(symbol, value, slope, formula)
        right = Quotient(slope, Whole(count))
        return pen.write(
            symbol, value, right, f"{formula}/{count}", f"L is the mean of {count} losses"
        )
    weights = trace.sample_weight.astype(np.float64)
    share = Number(float(weights[pen.row] / weights.sum() / outputs))
    return pen.write(symbol, value, Product((share, *factors)), f"share·{formula}")


def _row(pen: Pen) -> LossEquations:
    return LOSS_EQUATIONS.get(type(pen.trace.loss_function), LossEquations())


def _arrays(pen: Pen) -> tuple[Any, Any]:
    with precision(pen.trace.dtype):
        return jnp.asarray(pen.trace.logits), jnp.asarray(pen.trace.target)


def _averaged_outputs(pen: Pen) -> int:
    """Return the number of outputs that the loss averages over in each row."""
    logits, target = _arrays(pen)
    with precision(pen.trace.dtype):
        terms = pen.trace.loss_function.terms(logits, target)
    return int(logits.shape[1]) if np.ndim(terms) == 2 else 1


def _prediction(pen: Pen, j: int) -> Number:
    return Number(float(pen.trace.output[pen.row, j]))


# ------------------------------------------------------------------------------ classes and labels


def _softmax(pen: Pen, j: int, z: str) -> Iterator[Equation]:
    logits = [float(value) for value in pen.trace.logits[pen.row]]
    top, at = max(logits), sub(j)

    def power(value: float) -> Expression:
        return Called("exp", math.exp, Sum((Number(value), Minus(Number(top)))))

    total: Expression = Sum(tuple(map(power, logits)))
    if len(logits) > pen.terms:
        total = Number(math.fsum(math.exp(value - top) for value in logits))
    note = f"softmax; m = {top:.{pen.digits}g}, the largest logit, keeps exp small"
    formula = f"exp({z + at} - m)/Σ exp({z}ₖ - m)"
    right = Quotient(power(logits[j]), total)
    yield pen.write("p" + at, _prediction(pen, j).number, right, formula, note)


def _sigmoid(pen: Pen, j: int, z: str) -> Iterator[Equation]:
    power = Called("exp", math.exp, Minus(pen.number(pen.trace.logits, j)))
    right = Quotient(Whole(1), Sum((Whole(1), power)))
    yield pen.write("p" + sub(j), _prediction(pen, j).number, right, f"σ({z + sub(j)})")


def _probability_slope(pen: Pen, j: int, z: str) -> Slope:
    """p - t; for classes only if the targets of the row sum to 1."""
    loss: Any = pen.trace.loss_function
    logits, target = _arrays(pen)
    with precision(pen.trace.dtype):
        probabilities = np.asarray(loss.probabilities(logits, target))[pen.row]
    if loss.task == "classification" and not math.isclose(probabilities.sum(), 1, abs_tol=1e-6):
        return _slope(pen, j, z)
    t = Minus(Number(float(probabilities[j])))
    return (Sum((_prediction(pen, j), t)),), f"(p{sub(j)} - t{sub(j)})"


# ----------------------------------------------------------------------------------------- values


def _error(pen: Pen, j: int, z: str) -> tuple[Sum, str]:
    """Return prediction - target."""
    error = Sum((_prediction(pen, j), Minus(pen.number(pen.trace.target, j))))
    return error, f"({z + sub(j)} - y{sub(j)})"


def _squared_slope(pen: Pen, j: int, z: str) -> Slope:
    error, formula = _error(pen, j, z)
    return (Whole(2), error), f"2·{formula}"


def _absolute_slope(pen: Pen, j: int, z: str) -> Slope:
    error, formula = _error(pen, j, z)
    return (Called("sign", np.sign, error),), f"sign{formula}"


def _huber_slope(pen: Pen, j: int, z: str) -> Slope:
    huber: Any = pen.trace.loss_function
    error, formula = _error(pen, j, z)
    if abs(error.value(MAX_DIGITS)) <= huber.delta:
        return (error,), formula
    return (Number(huber.delta), Called("sign", np.sign, error)), f"delta·sign{formula}"


LOSS_EQUATIONS: dict[type[Loss], LossEquations] = {
    CrossEntropy: LossEquations(_softmax, _probability_slope),
    BinaryCrossEntropy: LossEquations(_sigmoid, _probability_slope),
    MeanSquaredError: LossEquations(slope=_squared_slope),
    MeanAbsoluteError: LossEquations(slope=_absolute_slope),
    Huber: LossEquations(slope=_huber_slope),
}
"""Class of loss -> its equations; the slope of a loss without a row is written as ∂l/∂z."""
