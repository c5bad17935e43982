"""Neurons: one neuron of a trace opened into its equations, from its inputs to its new weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from glassnet._checks import check_count
from glassnet.display.html import clean, escape
from glassnet.errors import ConfigurationError, DataError
from glassnet.nn.activations import Activation
from glassnet.nn.layers import Dense
from glassnet.tracing.expressions import DIGITS, TERMS, Equation, largest
from glassnet.tracing.layer_equations import Pen, backward, forward, from_next, gradients
from glassnet.tracing.records import LayerTrace, Traced
from glassnet.tracing.step_equations import loss_slope, output, weight_step
from glassnet.tracing.symbols import ONE_TO_ONE, letter, sub


@dataclass(frozen=True)
class Neuron:
    """One neuron, or one weight, in equations with numbers in; print it, or take its `equations`.

    title: what it is. equations: in the order of computation. legend: what the symbols stand for.
    """

    title: str
    equations: tuple[Equation, ...]
    legend: tuple[str, ...] = ()

    def __getitem__(self, symbol: str) -> Equation:
        """Return the equation of a symbol: neuron["z₂"]."""
        for found in self.equations:
            if found.symbol == symbol:
                return found
        raise KeyError(symbol)

    def __str__(self) -> str:
        return "\n  ".join([self.title, *map(str, self.equations), *self.legend])

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values that JSON can hold."""
        equations = [each.to_dict() for each in self.equations]
        return {"title": self.title, "equations": equations, "legend": list(self.legend)}

    def _repr_html_(self) -> str:
        lines = "<br>\n".join(escape(line, 4000) for line in self.equations)
        legend = "<br>\n".join(escape(line, 1000) for line in self.legend)
        return f"<p><b>{escape(self.title)}</b><br>\n{lines}</p>\n" + (
            f"<p>{legend}</p>" if legend else ""
        )


def neuron(
    traced: Traced,
    labels: list[tuple[str, ...] | None],
    at: int | str,
    index: int | tuple[int, ...],
    row: int,
    digits: int = DIGITS,
    terms: int = TERMS,
) -> Neuron:
    """Return one neuron's equations; see `Trace.neuron`."""
    k = _layer_number(traced, at)
    layer = traced.layers[k]
    pen = pen_of(traced, row, digits, terms)
    j = _place(layer, index)
    chain = [k]
    while chain[-1] + 1 < len(traced.layers) and isinstance(
        traced.layers[chain[-1] + 1].layer, ONE_TO_ONE
    ):
        chain.append(chain[-1] + 1)
    letters = _letters(traced, chain)
    there: list[Equation] = []
    for number, into, out in zip(chain, letters[:-1], letters[1:], strict=True):
        there += forward(pen, traced.layers[number], j, into, out)
    last = chain[-1] + 1 == len(traced.layers)
    if last:
        there += output(pen, j, letters[-1])
    back = [] if traced.target is None else _back(pen, chain, letters, j)
    gradient = _slope(traced, chain, 0, letters, j)
    found = [*there, *back, *gradients(pen, layer, j, letters[0], gradient)]
    if isinstance(layer.layer, Dense):
        found += _new_weights(pen, layer, j)
    title = f"Layer {layer.place} ({layer.kind}), neuron {index} counted from 0, row {row}"
    return Neuron(title, tuple(found), _legend(pen, layer, j, labels[k], letters[0], last))


def pen_of(traced: Traced, row: int, digits: int, terms: int) -> Pen:
    """Return a pen, what it is told checked."""
    check_count("digits", digits)
    check_count("terms", terms)
    if not 0 <= row < traced.rows:
        raise DataError(
            f"row is {row}, but the trace has {traced.rows} rows: give one from 0 to {traced.rows - 1}."
        )
    return Pen(traced, row, digits, terms)


def _layer_number(traced: Traced, at: int | str) -> int:
    try:
        return traced.number(at)
    except (IndexError, ValueError):
        places = ", ".join(f"{layer.place} ({layer.kind})" for layer in traced.layers)
        raise ConfigurationError(f"There is no layer {at!r}. The layers are: {places}.") from None


def _place(layer: LayerTrace, index: int | tuple[int, ...]) -> int:
    """Return where a neuron stands among the numbers that a layer puts out for a row."""
    shape = layer.output.shape[1:]
    try:
        if isinstance(index, tuple):
            return int(np.ravel_multi_index(index, shape))
        if 0 <= int(index) < int(np.prod(shape)):
            return int(index)
    except (TypeError, ValueError):
        pass
    count = int(np.prod(shape))
    raise ConfigurationError(
        f"Layer {layer.place} ({layer.kind}) has no neuron {index!r}: it puts out {count} numbers a row,"
        f" counted from 0 to {count - 1}."
    )


def _letters(traced: Traced, chain: list[int]) -> list[str]:
    """Return the letters of what goes into the first layer of a chain, and comes out of each."""
    first = traced.layers[chain[0]].layer
    found = ["z" if isinstance(first, Activation) else "x" if chain[0] == 0 else "a⁻"]
    for number in chain:
        new = letter(traced.layers[number].layer)
        while new in found:
            new += "′"
        found.append(new)
    return found


def _slope(traced: Traced, chain: list[int], place: int, letters: list[str], j: int) -> str:
    """Return the symbol of dL/d(output) of a layer of the chain: δ for neurons."""
    neurons = isinstance(traced.layers[chain[place]].layer, Dense)
    return ("δ" if neurons else f"∂L/∂{letters[place + 1]}") + sub(j)


def _back(pen: Pen, chain: list[int], letters: list[str], j: int) -> list[Equation]:
    """Return the way back, from the loss or the next layer to the first layer of the chain."""
    layers = pen.traced.layers
    symbol = _slope(pen.traced, chain, len(chain) - 1, letters, j)
    end = chain[-1]
    if end + 1 == len(layers):
        found = [loss_slope(pen, layers[end], j, symbol, letters[-1])]
    else:
        found = [from_next(pen, layers[end + 1], j, symbol)]
    for place in range(len(chain) - 1, -1, -1):
        layer, (into, out) = layers[chain[place]], letters[place : place + 2]
        if not isinstance(layer.layer, ONE_TO_ONE):
            continue
        first = f"{'δ' if into == 'z' else f'∂L/∂{into}'}{sub(j)}"
        symbol = _slope(pen.traced, chain, place - 1, letters, j) if place else first
        found += backward(pen, layer, j, symbol, into, out)
    return found


def _new_weights(pen: Pen, layer: LayerTrace, j: int) -> list[Equation]:
    """Return the new value of the bias and of each weight whose gradient stands above."""
    found = []
    gradient = layer.parameters["W"].gradient
    if gradient is not None:
        for i in largest([float(g) for g in gradient[j]], pen.terms):
            found += weight_step(pen, layer.parameters["W"], (j, i), "w" + sub(j, i), True)[-1:]
        if "b" in layer.parameters:
            found += weight_step(pen, layer.parameters["b"], (j,), "b" + sub(j), False)[-1:]
    return found


def _legend(
    pen: Pen, layer: LayerTrace, j: int, names: tuple[str, ...] | None, into: str, last: bool
) -> tuple[str, ...]:
    """Return what the inputs are, where they come from a person's columns, and the signs of other layers."""
    lines = []
    if isinstance(layer.layer, Dense) and names is not None:
        products = [float(v) for v in layer.parameters["W"].value[j] * layer.input[pen.row]]
        told = [f"{into + sub(i)} {clean(names[i], 60)}" for i in largest(products, pen.terms)]
        lines.append("Inputs: " + ", ".join(told))
    signs = ["⁻ is the layer before"] if into.endswith("⁻") else []
    signs += [] if last or pen.traced.target is None else ["⁺ the next layer"]
    if signs:
        lines.append("; ".join(signs).replace("⁺ the", "⁺ is the" if len(signs) == 1 else "⁺ the"))
    return tuple(lines)


def weight(
    traced: Traced,
    at: int | str,
    index: Any,
    name: str,
    row: int,
    digits: int = DIGITS,
    terms: int = TERMS,
) -> Neuron:
    """Return one weight's equations: its gradient, the optimizer's moments, its new value."""
    layer = traced.layers[_layer_number(traced, at)]
    pen = pen_of(traced, row, digits, terms)
    if name not in layer.parameters:
        raise ConfigurationError(
            f"Layer {layer.place} ({layer.kind}) has no parameter {name!r}:"
            f" it has {', '.join(layer.parameters) or 'none'}."
        )
    parameter = layer.parameters[name]
    place = tuple(index) if isinstance(index, tuple | list) else (index,)
    inside = len(place) == parameter.value.ndim and all(
        0 <= p < size for p, size in zip(place, parameter.value.shape, strict=True)
    )
    if not inside:
        raise ConfigurationError(
            f"{name} of layer {layer.place} has shape {parameter.value.shape}, and no place {index!r}."
        )
    small = "w" if name == "W" else name
    symbol = small + sub(*place)
    if parameter.gradient is None:
        raise DataError("Without a target there is no gradient and no step: give y to gn.trace.")
    decays = layer.layer.traits().get(name)
    steps = weight_step(pen, parameter, place, symbol, decays is not None and decays.decay)
    first = pen.write(f"∂L/∂{symbol}", float(parameter.gradient[place]))
    title = f"Layer {layer.place} ({layer.kind}), {name}{list(place)} counted from 0"
    return Neuron(title, (first, *steps))
