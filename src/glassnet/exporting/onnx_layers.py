"""Write layers as ONNX operators: for each class of layer, a function and a row of `WRITERS`.

    write(graph, layer, arrays, x, shape) -> name of the layer's output

x has shape (members, rows, ...): every operator computes all members at once. `arrays` are the layer's
parameters and state by name, with the members as first axis. `shape` is the output's shape for one row.

The operators are chosen so that float64 works and nothing overflows: ONNX Runtime has no Erf in float64, and
the formula by which ONNX defines Softplus is infinite from 90 on in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from glassnet._types import Params, Shape, State
from glassnet.errors import ConfigurationError
from glassnet.exporting.onnx_graph import Graph
from glassnet.nn.activations import (
    GELU,
    SELU,
    Identity,
    LeakyReLU,
    Mish,
    ReLU,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)
from glassnet.nn.augmentation import RandomShift
from glassnet.nn.embeddings import Embedding, Periodic, Scale
from glassnet.nn.layers import BatchNorm, Dense, Dropout, Flatten, Layer, Rescale
from glassnet.nn.network import Network

Arrays = Mapping[str, np.ndarray]


def write_network(
    g: Graph, network: Network, params: Params, state: State, x: str, shape: Shape
) -> str:
    """Write a network layer by layer; `shape` is the input's shape for one row.

    Raises
    ------
    ConfigurationError: a layer has no row of `WRITERS`.
    """
    for layer, layer_params, layer_state in zip(network, params, state, strict=True):
        out_shape = layer.shapes(shape).out
        if isinstance(layer, Network):
            x = write_network(g, layer, layer_params, layer_state, x, shape)
        elif type(layer) in WRITERS:
            write = WRITERS[type(layer)]
            x = write(g, layer, {**layer_params, **layer_state}, x, out_shape)
        else:
            raise ConfigurationError(
                f"A layer of your own ({type(layer).__name__}) cannot be exported: ONNX has no code for it."
                " Build the network from glassnet's layers"
                f" ({', '.join(known.__name__ for known in WRITERS)})."
            )
        shape = out_shape
    return x


def by_member(array: np.ndarray) -> np.ndarray:
    """Return an array of shape (members, ...) as (members, 1, ...), to broadcast over rows."""
    return array[:, None]


def _dense(g: Graph, layer: Any, arrays: Arrays, x: str, shape: Shape) -> str:
    z = g.add("MatMul", x, arrays["W"].transpose(0, 2, 1))
    return g.add("Add", z, by_member(arrays["b"])) if layer.bias else z


def _batch_norm(g: Graph, layer: Any, arrays: Arrays, x: str, shape: Shape) -> str:
    """Subtract the mean first: merged into the shift, a large mean would cost digits."""
    scale = arrays["gamma"].astype(np.float64) / np.sqrt(
        arrays["variance"].astype(np.float64) + layer.eps
    )
    x_hat = g.add(
        "Mul", g.add("Sub", x, by_member(arrays["mean"])), by_member(scale.astype(g.dtype))
    )
    return g.add("Add", x_hat, by_member(arrays["beta"]))


def _flatten(g: Graph, layer: Any, arrays: Arrays, x: str, shape: Shape) -> str:
    return g.reshape(x, 0, 0, math.prod(shape))


def _rescale(g: Graph, layer: Any, arrays: Arrays, x: str, shape: Shape) -> str:
    return g.add("Add", g.add("Mul", x, float(layer.scale)), float(layer.shift))


def _scale(g: Graph, layer: Any, arrays: Arrays, x: str, shape: Shape) -> str:
    return g.add("Mul", x, by_member(arrays["s"]))


def _sliced(g: Graph, x: str, first: int, last: int) -> str:
    """Return the inputs from index `first` up to but not including `last`."""
    ends = (np.array([first]), np.array([last]), np.array([2]))
    return g.add("Slice", x, *ends)


def _periodic(g: Graph, layer: Any, arrays: Arrays, x: str, shape: Shape) -> str:
    columns = g.add("Transpose", _sliced(g, x, 0, layer.columns), perm=[0, 2, 1])
    columns = g.add("Unsqueeze", columns, np.array([3]))  # members, columns, rows, 1
    turns = g.add("Mul", columns, arrays["f"][:, :, None])
    turns = g.add("Add", turns, arrays["phase"][:, :, None])
    # cos(2π t) = sin(2π (1/4 - |t - round(t)|)), which stays exact for many turns
    away = g.add("Abs", g.add("Sub", turns, g.add("Round", turns)))
    waves = g.add("Sin", g.add("Mul", g.add("Sub", 0.25, away), 2 * math.pi))
    mixed = g.add("MatMul", waves, arrays["W"].transpose(0, 1, 3, 2))
    mixed = g.add("Add", mixed, arrays["b"][:, :, None])
    beside = g.reshape(
        g.add("Transpose", mixed, perm=[0, 2, 1, 3]), 0, 0, layer.columns * layer.outputs
    )
    return g.add("Concat", x, beside, axis=2)


def _embedding(g: Graph, layer: Any, arrays: Arrays, x: str, shape: Shape) -> str:
    sizes = np.array(layer.places)
    count, total = len(sizes), int(sizes.sum())
    plain = shape[0] - count * layer.size
    codes = g.add("Max", _sliced(g, x, plain, plain + count), 0.0)
    codes = g.cast(g.add("Min", codes, (sizes - 1).astype(g.dtype)), np.int64)
    # the tables of all members are stacked into one, in which each code has an offset
    member = np.arange(len(arrays["E"]))[:, None, None] * total
    codes = g.add("Add", codes, member + np.cumsum(sizes) - sizes)
    embedded = g.add("Gather", arrays["E"].reshape(-1, layer.size), codes, axis=0)
    embedded = g.reshape(embedded, 0, 0, count * layer.size)
    return g.add("Concat", _sliced(g, x, 0, plain), embedded, axis=2) if plain else embedded


# --- activations: a from z -----------------------------------------------------------------------------


def _leaky_relu(g: Graph, layer: Any, arrays: Arrays, z: str, shape: Shape) -> str:
    return g.add("Where", g.add("Greater", z, 0.0), z, g.add("Mul", z, float(layer.slope)))


def _softplus(g: Graph, z: str) -> str:
    """max(z, 0) + ln(1 + e), e = exp(-|z|).

    ln(1 + e) = e ln(u) / (u - 1), u = 1 + e: Kahan's formula, exact for small e too.
    """
    e = g.add("Exp", g.add("Neg", g.add("Abs", z)))
    u = g.add("Add", e, 1.0)
    log = g.add("Div", g.add("Mul", g.add("Log", u), e), g.add("Sub", u, 1.0))
    return g.add("Add", g.add("Max", z, 0.0), g.add("Where", g.add("Equal", u, 1.0), e, log))


def _silu(g: Graph, z: str) -> str:
    if g.dtype == "float64":  # older runtimes fuse z σ(z) into an operator that knows float32 only
        return g.add("Div", z, g.add("Add", g.add("Exp", g.add("Neg", z)), 1.0))
    return g.add("Mul", z, g.add("Sigmoid", z))


def _mish(g: Graph, z: str) -> str:
    return g.add("Mul", z, g.add("Tanh", _softplus(g, z)))


def _selu(g: Graph, z: str) -> str:
    """exp(z) - 1 is computed as tanh(z/2) (exp(z) + 1), which loses no digits near 0."""
    low = g.add("Min", z, 0.0)
    less = g.add("Mul", g.add("Tanh", g.add("Mul", low, 0.5)), g.add("Add", g.add("Exp", low), 1.0))
    alpha, factor = 1.6732632423543772, 1.0507009873554805
    below = g.add("Mul", less, alpha)
    return g.add("Mul", g.add("Where", g.add("Greater", z, 0.0), z, below), factor)


def _gelu(g: Graph, z: str) -> str:
    if g.dtype == "float64":
        return g.add("Mul", z, _normal_probability(g, z))
    erf = g.add("Erf", g.add("Mul", z, math.sqrt(0.5)))
    return g.add("Mul", g.add("Mul", z, 0.5), g.add("Add", erf, 1.0))


def _normal_probability(g: Graph, z: str) -> str:
    """Φ(z) in float64, from erfc(a) = t exp(-a² + P(2 t - 1)), t = 2 / (2 + a), a = |z| / √2.

    P is a Chebyshev series, in the form of Press et al., "Numerical Recipes", section 6.2.2.
    """
    a = g.add("Mul", g.add("Abs", z), math.sqrt(0.5))
    t = g.add("Div", 2.0, g.add("Add", a, 2.0))
    twice = g.add("Sub", g.add("Mul", t, 4.0), 2.0)
    first, *rest = _erfc_series()
    b, before = g.add("Mul", t, 0.0), g.add("Mul", t, 0.0)
    for coefficient in reversed(rest):  # Clenshaw's recurrence
        ahead = g.add("Sub", g.add("Mul", twice, b), before)
        b, before = g.add("Add", ahead, coefficient), b
    series = g.add("Sub", g.add("Mul", g.add("Mul", twice, 0.5), b), before)
    series = g.add("Add", series, first)
    half = g.add("Exp", g.add("Sub", series, g.add("Mul", a, a)))
    half = g.add("Mul", g.add("Mul", half, t), 0.5)
    return g.add("Where", g.add("Greater", z, 0.0), g.add("Sub", 1.0, half), half)


@cache
def _erfc_series() -> tuple[float, ...]:
    """Return P's coefficients, from scipy's erfcx(a) = exp(a²) erfc(a), which does not underflow."""
    from scipy.special import erfcx  # lazily: only this activation in float64 needs it

    def exponent(u: Any) -> Any:
        t = (u + 1) / 2
        return np.log(erfcx(2 / t - 2) / t)

    return tuple(np.polynomial.chebyshev.chebinterpolate(exponent, 28).tolist())


def _without_settings(write: Callable[[Graph, str], str]) -> Callable[..., str]:
    """Return a writer for a layer that has neither settings nor arrays."""
    return lambda g, layer, arrays, z, shape: write(g, z)


WRITERS: dict[type[Layer], Callable[[Graph, Any, Arrays, str, Shape], str]] = {
    Dense: _dense,
    BatchNorm: _batch_norm,
    Dropout: _without_settings(lambda g, z: z),
    Flatten: _flatten,
    Rescale: _rescale,
    RandomShift: _without_settings(lambda g, z: z),
    Scale: _scale,
    Periodic: _periodic,
    Embedding: _embedding,
    Identity: _without_settings(lambda g, z: z),
    Sigmoid: _without_settings(lambda g, z: g.add("Sigmoid", z)),
    Tanh: _without_settings(lambda g, z: g.add("Tanh", z)),
    ReLU: _without_settings(lambda g, z: g.add("Max", z, 0.0)),
    LeakyReLU: _leaky_relu,
    Softplus: _without_settings(_softplus),
    SiLU: _without_settings(_silu),
    GELU: _without_settings(_gelu),
    SELU: _without_settings(_selu),
    Mish: _without_settings(_mish),
}
