"""Equations: what one layer computes for one neuron, there and back, with the numbers of a trace in them.

Each function takes a `Pen` (trace, row, digits), a layer, the neuron's place in it, from 0, and the letters
of what comes in and goes out. What stands behind the last "=" is what the layer itself computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from glassnet._precision import precision
from glassnet.nn.activations import Activation
from glassnet.nn.augmentation import RandomShift
from glassnet.nn.embeddings import Embedding, Periodic, Scale
from glassnet.nn.layers import BatchNorm, Dense, Dropout, Flatten, Rescale
from glassnet.tracing.expressions import (
    Called,
    Equation,
    Expression,
    Minus,
    Number,
    Product,
    Quotient,
    Sum,
    equation,
    largest,
    summed,
)
from glassnet.tracing.records import LayerTrace, Traced
from glassnet.tracing.symbols import function_name, sub


@dataclass(frozen=True)
class Pen:
    """How equations are written: of which row of which trace, with so many digits and terms at least."""

    traced: Traced
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
        """Return an equation."""
        return equation(symbol, value, right, formula=formula, note=note, digits=self.digits)

    def of(self, array: Any, place: int) -> float:
        """Return one number of this row of a batch."""
        return float(np.reshape(array[self.row], -1)[place])

    def sum(self, products: Any, *further: Expression) -> Expression:
        """Return a sum of products, the largest written out."""
        return summed(
            [tuple(map(float, factors)) for factors in products], *further, most=self.terms
        )


# ------------------------------------------------------------------------------------------- there


def forward(pen: Pen, layer: LayerTrace, j: int, into: str, out: str) -> list[Equation]:
    """Return how a layer computes its output j from its input."""
    for kind, write in _FORWARD:
        if isinstance(layer.layer, kind):
            return list(write(pen, layer, j, into, out))
    note = f"as {layer.kind}'s own forward computed it"
    return [pen.write(out + sub(j), pen.of(layer.output, j), note=note)]


def _dense(pen: Pen, layer: LayerTrace, j: int, into: str, out: str) -> Iterator[Equation]:
    w, a = layer.parameters["W"].value[j], layer.input[pen.row]
    bias = layer.parameters.get("b")
    further = () if bias is None else (Number(float(bias.value[j])),)
    value = pen.of(layer.output, j)
    yield pen.write(out + sub(j), value, pen.sum(zip(w, a, strict=True), *further))


def _activation(pen: Pen, layer: LayerTrace, j: int, into: str, out: str) -> Iterator[Equation]:
    phi = layer.layer
    assert isinstance(phi, Activation)
    right = Called(
        function_name(phi), partial(_evaluated, phi.value), Number(pen.of(layer.input, j))
    )
    yield pen.write(out + sub(j), pen.of(layer.output, j), right, note=_options(phi))


def _evaluated(function: Callable[[Any], Any], number: float) -> float:
    with precision("float64"):
        return float(function(jnp.asarray(number, np.float64)))


def _options(phi: Activation) -> str:
    return ", ".join(f"{name} {value}" for name, value in vars(phi).items())


def _dropout(pen: Pen, layer: LayerTrace, j: int, into: str, out: str) -> Iterator[Equation]:
    x, symbol, value = pen.of(layer.input, j), out + sub(j), pen.of(layer.output, j)
    if layer.cache is None:
        yield pen.write(
            symbol, value, formula=into + sub(j), note="nothing is dropped in prediction"
        )
        return
    mask = pen.of(layer.cache, j)
    note = "kept, times 1 / (1 - rate)" if mask else "dropped in this step"
    right = Product((Number(x), Number(mask)))
    yield pen.write(symbol, value, right, f"{into + sub(j)}·m{sub(j)}", note)


def _batch_norm(pen: Pen, layer: LayerTrace, j: int, into: str, out: str) -> Iterator[Equation]:
    norm = layer.layer
    assert isinstance(norm, BatchNorm)
    x, at = pen.of(layer.input, j), sub(j)
    shares = layer.cache[2]
    if shares is None:
        mean, variance = (float(layer.state[n].reshape(-1)[j]) for n in ("mean", "variance"))
        yield pen.write("μ" + at, mean, note="the moving mean")
        yield pen.write("σ²" + at, variance, note="the moving variance")
    else:
        column = layer.input.reshape(len(layer.input), -1)[:, j].astype(np.float64)
        weights = shares.astype(np.float64)
        mean = float(weights @ column)
        apart = column - mean
        variance = float(weights @ apart**2)
        note = f"over the batch's {_rows(len(column))}"
        share = f"{into + at}·share"
        yield pen.write(
            "μ" + at, mean, pen.sum(zip(weights, column, strict=True)), f"Σ {share}", note
        )
        squares = pen.sum(zip(weights, apart, apart, strict=True))
        yield pen.write("σ²" + at, variance, squares, f"Σ share·({into + at} - μ{at})²", note)
    gamma, beta = (float(layer.parameters[n].value.reshape(-1)[j]) for n in ("gamma", "beta"))
    root = Called("sqrt", math.sqrt, Sum((Number(variance), Number(norm.eps))))
    apart_here = Sum((Number(x), Minus(Number(mean))))
    right = Sum((Product((Number(gamma), Quotient(apart_here, root))), Number(beta)))
    formula = f"γ{at}·({into + at} - μ{at})/sqrt(σ²{at} + ε) + β{at}"
    yield pen.write(out + at, pen.of(layer.output, j), right, formula)


def _scale(pen: Pen, layer: LayerTrace, j: int, into: str, out: str) -> Iterator[Equation]:
    s = float(layer.parameters["s"].value.reshape(-1)[j])
    right = Product((Number(s), Number(pen.of(layer.input, j))))
    yield pen.write(out + sub(j), pen.of(layer.output, j), right, f"s{sub(j)}·{into + sub(j)}")


def _rescale(pen: Pen, layer: LayerTrace, j: int, into: str, out: str) -> Iterator[Equation]:
    fixed = layer.layer
    assert isinstance(fixed, Rescale)
    scaled = Product((Number(fixed.scale), Number(pen.of(layer.input, j))))
    right = Sum((scaled, Number(fixed.shift)))
    yield pen.write(out + sub(j), pen.of(layer.output, j), right, f"scale·{into + sub(j)} + shift")


def _flatten(pen: Pen, layer: LayerTrace, j: int, into: str, out: str) -> Iterator[Equation]:
    place = tuple(int(k) for k in np.unravel_index(j, layer.input.shape[1:]))
    yield pen.write(out + sub(j), pen.of(layer.output, j), note=f"what stands at {place}")


def _random_shift(pen: Pen, layer: LayerTrace, j: int, into: str, out: str) -> Iterator[Equation]:
    symbol, value = out + sub(j), pen.of(layer.output, j)
    if layer.cache is None:
        yield pen.write(symbol, value, formula=into + sub(j), note="nothing is moved in prediction")
        return
    shape = layer.input.shape[1:]
    (i, k, *channel) = (int(place) for place in np.unravel_index(j, shape))
    _, rows, columns = layer.cache
    taken = (int(rows[pen.row, i, 0]), int(columns[pen.row, 0, k]), *channel)
    right = into + sub(int(np.ravel_multi_index(taken, shape)))
    yield pen.write(
        symbol, value, formula=right, note=f"what stood at {taken} moved to {(i, k, *channel)}"
    )


def _periodic(pen: Pen, layer: LayerTrace, j: int, into: str, out: str) -> Iterator[Equation]:
    waves_of, value = layer.layer, pen.of(layer.output, j)
    assert isinstance(waves_of, Periodic)
    place = j - layer.input.shape[1]
    if place < 0:
        yield pen.write(out + sub(j), value, formula=into + sub(j), note="the input itself")
        return
    column, mixture = divmod(place, waves_of.outputs)
    w = layer.parameters["W"].value[column, mixture]
    waves = layer.cache[2][column, pen.row]
    right = pen.sum(
        zip(w, waves, strict=True), Number(float(layer.parameters["b"].value[column, mixture]))
    )
    formula = f"Σ wₖ·cos(2π(fₖ·{into + sub(column)} + φₖ)) + b"
    yield pen.write(out + sub(j), value, right, formula)


def _embedding(pen: Pen, layer: LayerTrace, j: int, into: str, out: str) -> Iterator[Equation]:
    table, value = layer.layer, pen.of(layer.output, j)
    assert isinstance(table, Embedding)
    plain = layer.input.shape[1] - len(table.places)
    if j < plain:
        yield pen.write(out + sub(j), value, formula=into + sub(j), note="the input itself")
        return
    code, number = divmod(j - plain, table.size)
    place = int(pen.of(layer.input, plain + code))
    note = f"number {number + 1} of place {place}, where {into + sub(plain + code)} looks it up"
    yield pen.write(out + sub(j), value, note=note)


_FORWARD: tuple[tuple[type[Any], Callable[..., Iterator[Equation]]], ...] = (
    (Dense, _dense),
    (Activation, _activation),
    (Dropout, _dropout),
    (BatchNorm, _batch_norm),
    (Scale, _scale),
    (Rescale, _rescale),
    (Flatten, _flatten),
    (RandomShift, _random_shift),
    (Periodic, _periodic),
    (Embedding, _embedding),
)


# ------------------------------------------------------------------------------------------ and back


def backward(
    pen: Pen, layer: LayerTrace, j: int, slope: str, into: str, out: str
) -> list[Equation]:
    """Return how dL/d(input j) comes from dL/d(output) where output j has input j alone for its own.

    slope: the symbol of what is computed; into, out: the letters of input and output.
    """
    assert layer.d_input is not None and layer.d_output is not None
    value, dy = pen.of(layer.d_input, j), Number(pen.of(layer.d_output, j))
    at, kind = sub(j), layer.layer
    if isinstance(kind, Activation):
        z, name = Number(pen.of(layer.input, j)), function_name(kind) + "′"
        phi: Any = partial(_evaluated, lambda z: kind.derivative(z, kind.value(z)))
        right: Expression = Product((dy, Called(name, phi, z)))
        return [
            pen.write(slope, value, right, f"∂L/∂{out + at}·{name}({into + at})", _options(kind))
        ]
    if isinstance(kind, Dropout) and layer.cache is not None:
        right = Product((dy, Number(pen.of(layer.cache, j))))
        return [pen.write(slope, value, right, f"∂L/∂{out + at}·m{at}")]
    if isinstance(kind, BatchNorm):
        return [_batch_norm_back(pen, layer, j, slope, out)]
    if isinstance(kind, Scale):
        s = Number(float(layer.parameters["s"].value.reshape(-1)[j]))
        return [pen.write(slope, value, Product((s, dy)), f"s{at}·∂L/∂{out + at}")]
    if isinstance(kind, Rescale):
        right = Product((Number(kind.scale), dy))
        return [pen.write(slope, value, right, f"scale·∂L/∂{out + at}")]
    return [pen.write(slope, value, formula=f"∂L/∂{out + at}")]


def _batch_norm_back(pen: Pen, layer: LayerTrace, j: int, slope: str, out: str) -> Equation:
    assert layer.d_input is not None and layer.d_output is not None
    x_hat, scale, shares = layer.cache
    at, dy = sub(j), Number(pen.of(layer.d_output, j))
    gamma, dgamma, dbeta = layer.parameters["gamma"], *_gradients(layer, "gamma", "beta")
    front = (Number(float(gamma.value.reshape(-1)[j])), Number(float(np.reshape(scale, -1)[j])))
    value = pen.of(layer.d_input, j)
    if shares is None:
        formula = f"γ{at}·(1/σ{at})·∂L/∂{out + at}"
        return pen.write(slope, value, Product((*front, dy)), formula)
    through = Sum((Number(dbeta[j]), Product((Number(pen.of(x_hat, j)), Number(dgamma[j])))))
    right = Sum((dy, Minus(Product((Number(float(shares[pen.row])), through)))))
    formula = f"γ{at}·(1/σ{at})·(∂L/∂{out + at} - share·(∂L/∂β{at} + x̂{at}·∂L/∂γ{at}))"
    return pen.write(slope, value, Product((*front, right)), formula)


def _gradients(layer: LayerTrace, *names: str) -> list[list[float]]:
    gradients = (layer.parameters[name].gradient for name in names)
    return [[] if g is None else [float(v) for v in g.reshape(-1)] for g in gradients]


def from_next(pen: Pen, after: LayerTrace, j: int, symbol: str) -> Equation:
    """Return how dL/d(output j of the layers before) comes back from a layer that mixes its inputs."""
    assert after.d_input is not None and after.d_output is not None
    value = pen.of(after.d_input, j)
    if not isinstance(after.layer, Dense):
        return pen.write(symbol, value, note=f"as {after.kind}'s own backward computed it")
    w, delta = after.parameters["W"].value[:, j], after.d_output[pen.row]
    formula = f"Σ w⁺ₖ{sub(j)}·δ⁺ₖ"
    return pen.write(symbol, value, pen.sum(zip(w, delta, strict=True)), formula)


# -------------------------------------------------------------------------------------- parameters


def gradients(pen: Pen, layer: LayerTrace, j: int, into: str, slope: str) -> list[Equation]:
    """Return dL/d(parameter) of each of the neuron's parameters, the largest of many, as sums over rows."""
    kind = layer.layer
    if layer.d_output is None:
        return []
    dy = layer.d_output.reshape(pen.traced.rows, -1)[:, j]
    x = layer.input.reshape(pen.traced.rows, -1)
    if isinstance(kind, Dense):
        gradient = layer.parameters["W"].gradient
        assert gradient is not None
        found = [
            _over_rows(
                pen, f"w{sub(j, i)}", gradient[j, i], (dy, x[:, i]), f"{slope}·{into + sub(i)}"
            )
            for i in largest([float(g) for g in gradient[j]], pen.terms)
        ]
        if kind.bias:
            bias = layer.parameters["b"].gradient
            assert bias is not None
            found.append(_over_rows(pen, f"b{sub(j)}", bias[j], (dy,), slope))
        return found
    if isinstance(kind, BatchNorm):
        x_hat = layer.cache[0].reshape(pen.traced.rows, -1)[:, j]
        dgamma, dbeta = _gradients(layer, "gamma", "beta")
        return [
            _over_rows(pen, f"γ{sub(j)}", dgamma[j], (dy, x_hat), f"{slope}·x̂{sub(j)}"),
            _over_rows(pen, f"β{sub(j)}", dbeta[j], (dy,), slope),
        ]
    if isinstance(kind, Scale):
        (ds,) = _gradients(layer, "s")
        return [_over_rows(pen, f"s{sub(j)}", ds[j], (dy, x[:, j]), f"{slope}·{into + sub(j)}")]
    return []


def _over_rows(pen: Pen, name: str, value: Any, factors: tuple[Any, ...], formula: str) -> Equation:
    rows = len(factors[0])
    sign, note = ("Σ ", f"over {_rows(rows)}") if rows > 1 else ("", "")
    right = pen.sum(zip(*factors, strict=True))
    return pen.write(f"∂L/∂{name}", float(value), right, sign + formula, note)


def _rows(count: int) -> str:
    return f"{count} row{'s' * (count > 1)}"
