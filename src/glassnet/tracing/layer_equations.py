"""Write what each kind of layer computes for one neuron, forward and backward.

Each kind of layer is a row of `EQUATIONS`. The number after the last "=" of an equation is the one that the
layer computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from glassnet._types import Cache
from glassnet.nn.activations import Activation
from glassnet.nn.augmentation import RandomShift
from glassnet.nn.embeddings import Embedding, Periodic, Scale
from glassnet.nn.layers import BatchNorm, Dense, Dropout, Flatten, Layer, Rescale
from glassnet.tracing import hidden_equations as hidden
from glassnet.tracing import input_equations as front
from glassnet.tracing.expressions import Equation
from glassnet.tracing.pen import Gradient, Pen
from glassnet.tracing.records import LayerTrace
from glassnet.tracing.symbols import sub

Names = tuple[str, ...]

# ----------------------------------------------------------------------- layers without a row


def _forward(pen: Pen, layer: LayerTrace, j: int, x: str, y: str) -> Iterator[Equation]:
    note = f"computed by {layer.kind}.forward"
    yield pen.write(y + sub(j), pen.value(layer.output, j), note=note)


def _backward(
    pen: Pen, layer: LayerTrace, j: int, symbol: str, x: str, y: str
) -> Iterator[Equation]:
    note = f"computed by {layer.kind}.backward"
    yield pen.write(symbol, pen.value(layer.d_input, j), note=note)


def _gradients(pen: Pen, layer: LayerTrace, j: int, x: str, slope: str) -> Iterable[Gradient]:
    return ()


def _inputs(pen: Pen, layer: LayerTrace, j: int) -> Sequence[int]:
    return (j,) if equations_of(layer.layer).elementwise else ()


def _output_names(layer: Layer, names: Names) -> Names | None:
    return names if equations_of(layer).elementwise else None


def _arrays_by_name(cache: Cache) -> dict[str, Any]:
    arrays = (jax.Array, np.ndarray)
    if isinstance(cache, Mapping) and all(isinstance(part, arrays) for part in cache.values()):
        return {str(name): part for name, part in cache.items()}
    return {}


@dataclass(frozen=True)
class LayerEquations:
    """The equations of one kind of layer: a row of `EQUATIONS`; every field has a default.

    symbol: the letter of the outputs. input_symbol: that of the inputs, if it is always the same.
    elementwise: whether output j depends only on input j.
    forward(pen, layer, j, x, y): how output j is computed; x and y are the letters of input and output.
    backward(pen, layer, j, symbol, x, y): how dL/d(input j), named `symbol`, follows from dL/d(output).
    gradients(pen, layer, j, x, slope): dL/d(parameter) for the parameters of neuron j; `slope` names
        dL/d(output j).
    inputs(pen, layer, j): which inputs these equations mention, for the legend; elementwise, input j.
    output_names(layer, names): the outputs' names, given the inputs'; None if outputs mix inputs;
        elementwise, the same names.
    shown_cache(cache): the part of the cache that a trace keeps, arrays by name.
    """

    symbol: str = "y"
    input_symbol: str = ""
    elementwise: bool = False
    forward: Callable[[Pen, LayerTrace, int, str, str], Iterable[Equation]] = _forward
    backward: Callable[[Pen, LayerTrace, int, str, str, str], Iterable[Equation]] = _backward
    gradients: Callable[[Pen, LayerTrace, int, str, str], Iterable[Gradient]] = _gradients
    inputs: Callable[[Pen, LayerTrace, int], Sequence[int]] = _inputs
    output_names: Callable[[Any, Names], Names | None] = _output_names
    shown_cache: Callable[[Cache], dict[str, Any]] = _arrays_by_name


def equations_of(layer: Layer) -> LayerEquations:
    """Return the row of a layer's class.

    A class without a row uses the row of the class from which it inherits both `forward` and `backward`.
    All others get the defaults: "computed by Sine.forward".
    """
    cls = type(layer)
    for base in cls.__mro__:
        if base in EQUATIONS:
            inherited = (cls.forward, cls.backward) == (base.forward, base.backward)
            return EQUATIONS[base] if inherited else GENERIC
    return GENERIC


def input_names(layers: Iterable[LayerTrace], features: Sequence[str]) -> list[Names | None]:
    """Return the names of the inputs of each layer; None if they come from neurons."""
    by_layer: list[Names | None] = []
    names: Names | None = tuple(features)
    for layer in layers:
        by_layer.append(names)
        if names is not None:
            names = equations_of(layer.layer).output_names(layer.layer, names)
    return by_layer


GENERIC = LayerEquations()
EQUATIONS: dict[type[Any], LayerEquations] = {
    Dense: LayerEquations(
        "z",
        forward=hidden.dense,
        backward=hidden.dense_backward,
        gradients=hidden.dense_gradients,
        inputs=hidden.dense_inputs,
    ),
    Activation: LayerEquations(
        "a",
        elementwise=True,
        input_symbol="z",
        forward=hidden.activation,
        backward=hidden.activation_backward,
    ),
    Dropout: LayerEquations(
        "ã",
        elementwise=True,
        forward=hidden.dropout,
        backward=hidden.dropout_backward,
        shown_cache=lambda mask: {} if mask is None else {"mask": mask},
    ),
    BatchNorm: LayerEquations(
        "ẑ",
        elementwise=True,
        forward=hidden.batch_norm,
        backward=hidden.batch_norm_backward,
        gradients=hidden.batch_norm_gradients,
        shown_cache=hidden.batch_norm_cache,
    ),
    Scale: LayerEquations(
        elementwise=True,
        forward=front.scale,
        backward=front.scale_backward,
        gradients=front.scale_gradients,
    ),
    Rescale: LayerEquations(
        elementwise=True, forward=front.rescale, backward=front.rescale_backward
    ),
    Flatten: LayerEquations(
        elementwise=True, forward=front.flatten, backward=front.flatten_backward
    ),
    RandomShift: LayerEquations(
        forward=front.random_shift,
        shown_cache=front.random_shift_cache,
    ),
    Periodic: LayerEquations(
        forward=front.periodic,
        inputs=front.periodic_inputs,
        output_names=front.periodic_names,
        shown_cache=front.periodic_cache,
    ),
    Embedding: LayerEquations(
        forward=front.embedding,
        inputs=front.embedding_inputs,
        output_names=front.embedding_names,
    ),
}
"""Class of layer -> its equations; subclasses that compute the same use them too."""
