"""Traced: what a trace consists of, as plain arrays: layers with all that passed through, and the step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from glassnet.nn.activations import Activation
from glassnet.nn.layers import Layer
from glassnet.nn.losses import Loss
from glassnet.nn.network import Network, each_layer
from glassnet.nn.penalties import Penalty
from glassnet.tracing.recording import Step, moments
from glassnet.training.state import TrainState

Values = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Parameter:
    """One array that the optimizer moves, before, during and after the step.

    value: before. gradient: dL/d(it), of the loss alone. penalty: what L1 and L2 add to the gradient.
    update: what the optimizer adds. new: after. moments: the optimizer's, after the step, by name.
    factor: on the learning rate, of this parameter (`gn.Trait`). All but `value` are None without a target.
    """

    name: str
    value: Values
    gradient: Values | None = None
    penalty: Values | None = None
    update: Values | None = None
    new: Values | None = None
    moments: dict[str, Values] = field(default_factory=dict)
    past: dict[str, Values] = field(default_factory=dict)  # the moments before the step
    factor: float = 1.0

    @property
    def effective_rate(self) -> Values | None:
        """The rate at which plain gradient descent would take the same step, -Δw / g; NaN where g is 0."""
        if self.gradient is None or self.update is None:
            return None
        g = self.gradient + (0 if self.penalty is None else self.penalty)
        return np.divide(-self.update, g, out=np.full_like(g, np.nan), where=g != 0)


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """One layer of a trace: what it was given and gave, there and back. Arrays have one row an example.

    place: "2"; in a network inside the network "2.0". input, output: of the forward pass.
    d_output, d_input: dL/d(output) and dL/d(input), L the loss; None without a target.
    parameters: by name ("W", "b", "gamma", ...). state, new_state: what the layer keeps between batches.
    cache: dropout's mask (0, or 1 / (1 - rate)), batch norm's x̂, scale and shares; None of other layers.
    """

    place: str
    layer: Layer
    input: Values
    output: Values
    d_output: Values | None
    d_input: Values | None
    parameters: dict[str, Parameter]
    state: dict[str, Values]
    new_state: dict[str, Values]
    cache: Any = None

    @property
    def kind(self) -> str:
        """The name of the layer's class."""
        return type(self.layer).__name__

    @property
    def a(self) -> Values:
        """The activations in the unit's sense: what comes in; of an activation function what comes out."""
        return self.output if isinstance(self.layer, Activation) else self.input

    @property
    def z(self) -> Values:
        """The logits: what leaves a layer of neurons, and what enters an activation function."""
        return self.input if isinstance(self.layer, Activation) else self.output

    @property
    def delta(self) -> Values | None:
        """δ = dL/dz."""
        return self.d_input if isinstance(self.layer, Activation) else self.d_output

    @property
    def dW(self) -> Values | None:  # noqa: N802  # the unit's symbol
        """dL/dW, or None without a W or a target."""
        return self.parameters["W"].gradient if "W" in self.parameters else None

    @property
    def db(self) -> Values | None:
        """dL/db, or None without a b or a target."""
        return self.parameters["b"].gradient if "b" in self.parameters else None

    @property
    def norms(self) -> dict[str, float]:
        """The norm of each array, the root of its sum of squares, by name: "a", "z", "delta", "dW", ..."""
        found: dict[str, Values | None] = {"a": self.a, "z": self.z, "delta": self.delta}
        for name, parameter in self.parameters.items():
            found |= {name: parameter.value, f"d{name}": parameter.gradient}
            found[f"Δ{name}"] = parameter.update
        return {name: norm(array) for name, array in found.items() if array is not None}


class Taken(NamedTuple):
    """The optimizer's step as a whole: its name and rate, the step's number from 1, the gradient's norm."""

    optimizer: Any
    rate: float
    number: int
    norm: float
    finite: bool


@dataclass(frozen=True, eq=False, repr=False)
class Traced:
    """What one step of training consists of; see `tracing.Trace`."""

    layers: tuple[LayerTrace, ...]
    logits: Values
    output: Values
    target: Values | None
    sample_weight: Values | None
    loss_function: Loss
    loss: float | None
    penalties: Penalty
    penalty: float
    step: Taken | None
    train: bool
    dtype: str

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.logits)

    @property
    def total(self) -> float | None:
        """What training makes small: loss + penalty."""
        return None if self.loss is None else self.loss + self.penalty

    def layer(self, at: int | str) -> LayerTrace:
        """Return a layer by its number, or by its place ("2.0")."""
        return self.layers[self.number(at)]

    def number(self, at: int | str) -> int:
        """Return where a layer stands in `layers`; raises `IndexError`."""
        places = [layer.place for layer in self.layers]
        if isinstance(at, str) and at in places:
            return places.index(at)
        number = int(at)
        if str(number) in places:  # a layer's number counts networks inside the network as one
            return places.index(str(number))
        if number < 0:
            number += len(places)
        if not 0 <= number < len(places) or "." in "".join(places):
            raise IndexError(at)
        return number


def layer_traces(
    network: Network, before: TrainState, recorded: Step, factors: Any
) -> tuple[LayerTrace, ...]:
    """Return what was recorded layer by layer, as NumPy arrays."""
    host: Any = jax.tree.map(np.asarray, (before, recorded))
    state, step = host
    after = step.after
    kept = {} if after is None else _moments(after)
    past = {} if after is None else _moments(state)
    trees = (
        state.params, state.layer_state, factors, step.penalty_gradients, step.updates,
        None if after is None else after.params, *kept.values(), *past.values(),
    )  # fmt: skip
    found = []
    for place, layer, parts in each_layer(network, *trees):
        params, layer_state, factor, extra, updates, new, *own = parts
        seen = step.passed[place]
        parameters = {}
        for name, value in params.items():
            given = (seen.gradients, extra, updates, new)
            gradient, penalty, moved, then = (None if t is None else t[name] for t in given)
            now, before_it = own[: len(kept)], own[len(kept) :]
            parameters[name] = Parameter(
                name, value, gradient, penalty, moved, then,
                {moment: part[name] for moment, part in zip(kept, now, strict=True)},
                {moment: part[name] for moment, part in zip(past, before_it, strict=True)},
                factor[name],
            )  # fmt: skip
        at = ".".join(map(str, place))
        there, back = (seen.input, seen.output), (seen.d_output, seen.d_input)
        told = (layer_state, seen.state, seen.cache)
        found.append(LayerTrace(at, layer, *there, *back, parameters, *told))
    return tuple(found)


def _moments(state: TrainState) -> dict[str, Any]:
    """Return what the optimizer keeps of each parameter, and the average along the way where there is one."""
    average = {"average": state.average[0]} if state.average else {}
    return moments(state.optimizer_state, state.params) | average


def norm(array: Any) -> float:
    """Return the root of the sum of all squares.

    >>> norm([[3.0], [4.0]])
    5.0
    """
    return float(np.linalg.norm(np.asarray(array, np.float64)))
