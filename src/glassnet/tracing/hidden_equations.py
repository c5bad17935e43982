"""Write the equations of Dense, activation functions, Dropout and BatchNorm."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from glassnet._precision import precision
from glassnet._types import Cache
from glassnet.nn.activations import Activation
from glassnet.tracing.expressions import (
    Called,
    Equation,
    Expression,
    Minus,
    Number,
    Product,
    Quotient,
    Sum,
)
from glassnet.tracing.pen import Gradient, Pen, column, entry, input_index
from glassnet.tracing.records import LayerTrace
from glassnet.tracing.symbols import function_name, sub

# --------------------------------------------------------------------------------------- Dense


def dense(pen: Pen, layer: LayerTrace, j: int, x: str, y: str) -> Iterator[Equation]:
    """Yield z = Σ w·a + b."""
    weights, inputs = layer.parameters["W"].value[j], layer.input[pen.row]
    bias = layer.parameters.get("b")
    further = () if bias is None else (entry(bias.value, j),)
    right = pen.sum(zip(weights, inputs, strict=True), *further)
    yield pen.write(y + sub(j), pen.value(layer.output, j), right)


def dense_backward(
    pen: Pen, layer: LayerTrace, j: int, symbol: str, x: str, y: str
) -> Iterator[Equation]:
    """Yield dL/d(input j) = Σ w·δ over the neurons of the layer."""
    assert layer.d_output is not None
    weights, deltas = layer.parameters["W"].value[:, j], layer.d_output[pen.row]
    right = pen.sum(zip(weights, deltas, strict=True))
    yield pen.write(symbol, pen.value(layer.d_input, j), right, f"Σ w⁺ₖ{sub(j)}·δ⁺ₖ")


def dense_gradients(pen: Pen, layer: LayerTrace, j: int, x: str, slope: str) -> Iterator[Gradient]:
    """Yield dL/dw of the largest gradients, then dL/db."""
    gradient, slopes = layer.parameters["W"].gradient, column(layer.d_output, j)
    assert gradient is not None
    for i in pen.largest(gradient[j]):
        factors, formula = (slopes, column(layer.input, i)), f"{slope}·{x + sub(i)}"
        yield pen.gradient(
            layer, "W", index=(j, i), symbol="w" + sub(j, i), factors=factors, formula=formula
        )
    if "b" in layer.parameters:
        yield pen.gradient(
            layer, "b", index=(j,), symbol="b" + sub(j), factors=(slopes,), formula=slope
        )


def dense_inputs(pen: Pen, layer: LayerTrace, j: int) -> list[int]:
    """Return the inputs of the largest products."""
    return pen.largest(layer.parameters["W"].value[j] * layer.input[pen.row])


# ------------------------------------------------------------------------- activation functions


def activation(pen: Pen, layer: LayerTrace, j: int, x: str, y: str) -> Iterator[Equation]:
    """Yield a = φ(z)."""
    phi: Any = layer.layer
    right = Called(function_name(phi), partial(_evaluated, phi.value), pen.number(layer.input, j))
    yield pen.write(y + sub(j), pen.value(layer.output, j), right, note=_options(phi))


def activation_backward(
    pen: Pen, layer: LayerTrace, j: int, symbol: str, x: str, y: str
) -> Iterator[Equation]:
    """Yield dL/dz = dL/da · φ′(z)."""
    phi: Any = layer.layer
    name, at = function_name(phi) + "′", sub(j)
    derivative = partial(_evaluated, lambda z: phi.derivative(z, phi.value(z)))
    slope = Called(name, derivative, pen.number(layer.input, j))
    right = Product((pen.number(layer.d_output, j), slope))
    formula = f"∂L/∂{y + at}·{name}({x + at})"
    yield pen.write(symbol, pen.value(layer.d_input, j), right, formula, _options(phi))


def _evaluated(function: Callable[[Any], Any], number: float) -> float:
    with precision("float64"):
        return float(function(jnp.asarray(number, np.float64)))


def _options(phi: Activation) -> str:
    return ", ".join(f"{name} {value}" for name, value in vars(phi).items())


# ------------------------------------------------------------------------------------- Dropout


def dropout(pen: Pen, layer: LayerTrace, j: int, x: str, y: str) -> Iterator[Equation]:
    """Yield x·m with the mask m of this step."""
    at, value = sub(j), pen.value(layer.output, j)
    if not layer.cache:
        yield pen.write(y + at, value, formula=x + at, note="nothing is dropped in prediction")
        return
    mask = pen.number(layer.cache["mask"], j)
    note = "kept, times 1 / (1 - rate)" if mask.number else "dropped in this step"
    right = Product((pen.number(layer.input, j), mask))
    yield pen.write(y + at, value, right, f"{x + at}·m{at}", note)


def dropout_backward(
    pen: Pen, layer: LayerTrace, j: int, symbol: str, x: str, y: str
) -> Iterator[Equation]:
    """Yield dL/dx = dL/dy · m."""
    at, value = sub(j), pen.value(layer.d_input, j)
    if not layer.cache:
        yield pen.write(symbol, value, formula=f"∂L/∂{y + at}")
        return
    right = Product((pen.number(layer.d_output, j), pen.number(layer.cache["mask"], j)))
    yield pen.write(symbol, value, right, f"∂L/∂{y + at}·m{at}")


# ----------------------------------------------------------------------------------- BatchNorm


def batch_norm(pen: Pen, layer: LayerTrace, j: int, x: str, y: str) -> Iterator[Equation]:
    """Yield mean, variance and the normalised output."""
    norm: Any = layer.layer
    at = sub(j)
    if "shares" in layer.cache:
        inputs = column(layer.input, j).astype(np.float64)
        shares = layer.cache["shares"].astype(np.float64)
        mean = float(shares @ inputs)
        deviations = inputs - mean
        variance = float(shares @ deviations**2)
        note = f"over {len(inputs)} row{'s' * (len(inputs) > 1)}"
        right = pen.sum(zip(shares, inputs, strict=True))
        yield pen.write("μ" + at, mean, right, f"Σ share·{x + at}", note)
        right = pen.sum(zip(shares, deviations, deviations, strict=True))
        yield pen.write("σ²" + at, variance, right, f"Σ share·({x + at} - μ{at})²", note)
    else:
        mean, variance = (entry(layer.state[name], j).number for name in ("mean", "variance"))
        yield pen.write("μ" + at, mean, note="the moving mean")
        yield pen.write("σ²" + at, variance, note="the moving variance")
    gamma, beta = (entry(layer.parameters[name].value, j) for name in ("gamma", "beta"))
    root = Called("sqrt", math.sqrt, Sum((Number(variance), Number(norm.eps))))
    deviation = Sum((pen.number(layer.input, j), Minus(Number(mean))))
    right = Sum((Product((gamma, Quotient(deviation, root))), beta))
    formula = f"γ{at}·({x + at} - μ{at})/sqrt(σ²{at} + ε) + β{at}"
    yield pen.write(y + at, pen.value(layer.output, j), right, formula)


def batch_norm_backward(
    pen: Pen, layer: LayerTrace, j: int, symbol: str, x: str, y: str
) -> Iterator[Equation]:
    """Yield dL/dx, in training with the part that passes through the statistics."""
    at, value = sub(j), pen.value(layer.d_input, j)
    gamma, scale = entry(layer.parameters["gamma"].value, j), entry(layer.cache["scale"], j)
    slope: Expression = pen.number(layer.d_output, j)
    formula = f"∂L/∂{y + at}"
    if "shares" in layer.cache:
        dgamma, dbeta = (entry(layer.parameters[name].gradient, j) for name in ("gamma", "beta"))
        share = Number(float(layer.cache["shares"][pen.row]))
        statistics = Sum((dbeta, Product((pen.number(layer.cache["x_hat"], j), dgamma))))
        slope = Sum((slope, Minus(Product((share, statistics)))))
        formula = f"({formula} - share·(∂L/∂β{at} + x̂{at}·∂L/∂γ{at}))"
    right = Product((gamma, scale, slope))
    yield pen.write(symbol, value, right, f"γ{at}·(1/σ{at})·{formula}")


def batch_norm_gradients(
    pen: Pen, layer: LayerTrace, j: int, x: str, slope: str
) -> Iterator[Gradient]:
    """Yield dL/dγ and dL/dβ."""
    slopes, x_hat = column(layer.d_output, j), column(layer.cache["x_hat"], j)
    index = input_index(layer, j)
    for name, letter, factors, formula in (
        ("gamma", "γ", (slopes, x_hat), f"{slope}·x̂{sub(j)}"),
        ("beta", "β", (slopes,), slope),
    ):
        symbol = letter + sub(j)
        yield pen.gradient(
            layer, name, index=index, symbol=symbol, factors=factors, formula=formula
        )


def batch_norm_cache(cache: Cache) -> dict[str, Any]:
    """Return x̂, 1 / deviation and, in training, the rows' shares."""
    x_hat, scale, shares = cache
    return {"x_hat": x_hat, "scale": scale} | ({} if shares is None else {"shares": shares})
