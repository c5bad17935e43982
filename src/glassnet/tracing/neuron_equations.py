"""Write all equations of one neuron of a trace, from its inputs to its new weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from glassnet._checks import check_count
from glassnet.display.html import clean, escape
from glassnet.errors import ConfigurationError, DataError
from glassnet.tracing.expressions import DIGITS, TERMS, Equation
from glassnet.tracing.layer_equations import LayerEquations, Names, equations_of
from glassnet.tracing.loss_equations import loss_gradient, output
from glassnet.tracing.pen import Gradient, Pen
from glassnet.tracing.records import LayerTrace
from glassnet.tracing.step_equations import weight_step
from glassnet.tracing.symbols import sub

if TYPE_CHECKING:
    from glassnet.tracing.trace import Trace


@dataclass(frozen=True)
class Neuron:
    """One neuron, or one weight, in equations with numbers; print it, or read its `equations`.

    title: names the neuron. equations: in the order of computation. legend: the meaning of the symbols.
    """

    title: str
    equations: tuple[Equation, ...]
    legend: tuple[str, ...] = ()

    def __getitem__(self, symbol: str) -> Equation:
        """Return the equation of a symbol: neuron["z₂"]."""
        for equation in self.equations:
            if equation.symbol == symbol:
                return equation
        raise KeyError(symbol)

    def __str__(self) -> str:
        return "\n  ".join([self.title, *map(str, self.equations), *self.legend])

    def to_dict(self) -> dict[str, Any]:
        """Return title, equations and legend as plain values that JSON can hold."""
        equations = [equation.to_dict() for equation in self.equations]
        return {"title": self.title, "equations": equations, "legend": list(self.legend)}

    def _repr_html_(self) -> str:
        lines = "<br>\n".join(escape(line, 4000) for line in self.equations)
        legend = "<br>\n".join(escape(line, 1000) for line in self.legend)
        return f"<p><b>{escape(self.title)}</b><br>\n{lines}</p>\n" + (
            f"<p>{legend}</p>" if legend else ""
        )


@dataclass(frozen=True)
class _Chain:
    """Neuron j of a layer and of the elementwise layers that follow, such as its activation function.

    first: the index of the layer. layers: this layer and those that follow. symbols: of the first layer's
    input, then of each layer's output. at_end: whether the chain ends with the network's last layer.
    """

    j: int
    first: int
    layers: tuple[LayerTrace, ...]
    symbols: tuple[str, ...]
    at_end: bool

    @classmethod
    def of(cls, trace: Trace, first: int, j: int) -> _Chain:
        """Return the chain of a neuron."""
        end = first + 1
        while end < len(trace.layers) and _row(trace.layers[end]).elementwise:
            end += 1
        layers = trace.layers[first:end]
        symbols = [_row(layers[0]).input_symbol or ("a⁻" if first else "x")]
        for layer in layers:
            symbol = _row(layer).symbol
            while symbol in symbols:
                symbol += "′"
            symbols.append(symbol)
        return cls(j, first, layers, tuple(symbols), end == len(trace.layers))

    def slope(self, k: int) -> str:
        """Return the symbol of dL/d(output j) of the chain's k-th layer: δ of logits, else ∂L/∂a."""
        is_logit = _row(self.layers[k]).symbol == "z"
        return ("δ" if is_logit else f"∂L/∂{self.symbols[k + 1]}") + sub(self.j)

    def forward(self, pen: Pen) -> Iterator[Equation]:
        """Yield the forward pass, up to the output if the chain ends the network."""
        for k, layer in enumerate(self.layers):
            yield from _row(layer).forward(pen, layer, self.j, *self.symbols[k : k + 2])
        if self.at_end:
            yield from output(pen, self.j, self.symbols[-1])

    def backward(self, pen: Pen) -> Iterator[Equation]:
        """Yield the backward pass: from the loss or the next layer to the input of an elementwise layer."""
        last = len(self.layers) - 1
        symbol = self.slope(last)
        if self.at_end:
            yield loss_gradient(pen, self.layers[last], self.j, symbol, self.symbols[-1])
        else:
            after = pen.trace.layers[self.first + len(self.layers)]
            yield from _row(after).backward(pen, after, self.j, symbol, "", "")
        for k in range(last, -1, -1):
            if _row(self.layers[k]).elementwise:
                x, y = self.symbols[k : k + 2]
                first = f"{'δ' if x == 'z' else f'∂L/∂{x}'}{sub(self.j)}"
                symbol = self.slope(k - 1) if k else first
                yield from _row(self.layers[k]).backward(pen, self.layers[k], self.j, symbol, x, y)


def _row(layer: LayerTrace) -> LayerEquations:
    return equations_of(layer.layer)


def neuron(
    trace: Trace,
    names: list[Names | None],
    layer: int | str,
    index: int | tuple[int, ...],
    row: int,
    digits: int = DIGITS,
    terms: int = TERMS,
) -> Neuron:
    """Return one neuron's equations; see `Trace.neuron`.

    names: of each layer's inputs, as `layer_equations.input_names` gives them.
    """
    number = _layer_number(trace, layer)
    traced = trace.layers[number]
    pen = pen_of(trace, row, digits, terms)
    chain = _Chain.of(trace, number, _flat_index(traced, index))
    equations = list(chain.forward(pen))
    if trace.target is not None:
        equations += chain.backward(pen)
        gradients = list(
            _row(traced).gradients(pen, traced, chain.j, chain.symbols[0], chain.slope(0))
        )
        equations += [gradient.equation for gradient in gradients]
        equations += [_new_value(pen, traced, gradient) for gradient in gradients]
    title = f"Layer {traced.path} ({traced.kind}), neuron {index} counted from 0, row {row}"
    return Neuron(title, tuple(equations), _legend(pen, chain, names[number]))


def pen_of(trace: Trace, row: int, digits: int, terms: int) -> Pen:
    """Return a pen for a row of a trace, with checked settings."""
    check_count("digits", digits)
    check_count("terms", terms)
    if not 0 <= row < trace.rows:
        raise DataError(
            f"row is {row}, but the trace has {trace.rows} rows: give one from 0 to {trace.rows - 1}."
        )
    return Pen(trace, row, digits, terms)


def _layer_number(trace: Trace, layer: int | str) -> int:
    try:
        return trace.number(layer)
    except (IndexError, ValueError):
        layers = ", ".join(f"{known.path} ({known.kind})" for known in trace.layers)
        raise ConfigurationError(
            f"There is no layer {layer!r}. The layers are: {layers}."
        ) from None


def _flat_index(layer: LayerTrace, index: int | tuple[int, ...]) -> int:
    """Return a neuron's index in the flattened output of one row."""
    shape = layer.output.shape[1:]
    count = int(np.prod(shape))
    try:
        if isinstance(index, tuple):
            return int(np.ravel_multi_index(index, shape))
        if 0 <= int(index) < count:
            return int(index)
    except (TypeError, ValueError):
        pass
    raise ConfigurationError(
        f"Layer {layer.path} ({layer.kind}) has no neuron {index!r}: its {count} neurons are"
        f" counted from 0 to {count - 1}."
    )


def _decays(layer: LayerTrace, name: str) -> bool:
    """Return whether penalties and weight decay apply to a parameter."""
    trait = layer.layer.traits().get(name)
    return trait is not None and bool(trait.decay)


def _new_value(pen: Pen, layer: LayerTrace, gradient: Gradient) -> Equation:
    """Return the new value of a number whose gradient has been written."""
    name = gradient.name
    decays = _decays(layer, name)
    return weight_step(pen, layer.parameters[name], gradient.index, gradient.symbol, decays)[-1]


def _legend(pen: Pen, chain: _Chain, names: Names | None) -> tuple[str, ...]:
    """Return the names of the inputs, and the meaning of ⁻ and ⁺ if they occur."""
    layer, x = chain.layers[0], chain.symbols[0]
    lines = []
    inputs = _row(layer).inputs(pen, layer, chain.j)
    if inputs and names is not None:
        features = [f"{x + sub(i)} {clean(names[i], 60)}" for i in inputs]
        lines.append("Inputs: " + ", ".join(features))
    signs = ["⁻ is the layer before"] if x.endswith("⁻") else []
    if not chain.at_end and pen.trace.target is not None:
        signs.append("⁺ the next layer" if signs else "⁺ is the next layer")
    if signs:
        lines.append("; ".join(signs))
    return tuple(lines)


def weight(
    trace: Trace,
    layer: int | str,
    index: Any,
    name: str,
    digits: int = DIGITS,
    terms: int = TERMS,
) -> Neuron:
    """Return one weight's equations: its gradient, the optimizer's moments, its new value."""
    traced = trace.layers[_layer_number(trace, layer)]
    pen = pen_of(trace, 0, digits, terms)
    if name not in traced.parameters:
        raise ConfigurationError(
            f"Layer {traced.path} ({traced.kind}) has no parameter {name!r}:"
            f" it has {', '.join(traced.parameters) or 'none'}."
        )
    parameter = traced.parameters[name]
    shape = parameter.value.shape
    at = tuple(index) if isinstance(index, tuple | list) else (index,)
    inside = len(at) == len(shape) and all(0 <= k < size for k, size in zip(at, shape, strict=True))
    if not inside:
        raise ConfigurationError(
            f"{name} of layer {traced.path} has shape {shape}, so there is no number at {index!r}."
        )
    if parameter.gradient is None:
        raise DataError("Without a target there is no gradient and no step: give y to gn.trace.")
    symbol = ("w" if name == "W" else name) + (sub(*at) if at else "")
    gradient = pen.write(f"∂L/∂{symbol}", float(parameter.gradient[at]))
    steps = weight_step(pen, parameter, at, symbol, _decays(traced, name))
    title = f"Layer {traced.path} ({traced.kind}), {name}{list(at)} counted from 0"
    return Neuron(title, (gradient, *steps))
