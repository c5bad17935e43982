"""Hold one traced step of training as plain arrays, layer by layer and parameter by parameter."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glassnet.nn.activations import Activation
from glassnet.nn.layers import Layer

Values = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Parameter:
    """One array of parameters before, during and after the step.

    value: before the step. gradient: of the loss alone. penalty: what L1 and L2 add to the gradient.
    update: the optimizer's change to the value. new: after the step. moments, past: the optimizer's running
    averages after and before the step, by name. factor: on this parameter's learning rate (`gn.Trait`).
    Without a target all arrays but `value` are None.
    """

    name: str
    value: Values
    gradient: Values | None = None
    penalty: Values | None = None
    update: Values | None = None
    new: Values | None = None
    moments: dict[str, Values] = field(default_factory=dict)
    past: dict[str, Values] = field(default_factory=dict)
    factor: float = 1.0

    @property
    def total_gradient(self) -> Values | None:
        """The gradient of loss and penalty, which the optimizer receives; None without a target."""
        if self.gradient is None:
            return None
        return self.gradient if self.penalty is None else self.gradient + self.penalty

    @property
    def effective_rate(self) -> Values | None:
        """The rate at which plain gradient descent takes the same step, -Δw / g; NaN where g = 0."""
        g = self.total_gradient
        if g is None or self.update is None:
            return None
        return np.divide(-self.update, g, out=np.full_like(g, np.nan), where=g != 0)


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """One layer of a trace: its inputs and outputs in both passes. The first axis is the batch.

    path: the layer's number, "2"; inside a nested network "2.0". input, output: of the forward pass.
    d_output, d_input: dL/d(output) and dL/d(input), L the loss; None without a target.
    parameters: by name ("W", "b", "gamma", ...). state, new_state: what the layer keeps between batches.
    cache: what `forward` kept for `backward`, by name, unless it only repeats input or output: dropout's
    "mask" (0, or 1 / (1 - rate)), batch norm's "x_hat", "scale" and "shares"; of a layer of your own, a cache
    that is a dictionary of arrays.
    """

    path: str
    layer: Layer
    input: Values
    output: Values
    d_output: Values | None
    d_input: Values | None
    parameters: dict[str, Parameter]
    state: dict[str, Values]
    new_state: dict[str, Values]
    cache: dict[str, Values] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The name of the layer's class."""
        return type(self.layer).__name__

    @property
    def a(self) -> Values:
        """The activations: the input of a layer of neurons, or the output of an activation function."""
        return self.output if isinstance(self.layer, Activation) else self.input

    @property
    def z(self) -> Values:
        """The logits: the output of a layer of neurons, or the input of an activation function."""
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
        arrays: dict[str, Values | None] = {"a": self.a, "z": self.z, "delta": self.delta}
        for name, parameter in self.parameters.items():
            arrays |= {name: parameter.value, f"d{name}": parameter.gradient}
            arrays[f"Δ{name}"] = parameter.update
        return {name: norm(array) for name, array in arrays.items() if array is not None}


class OptimizerStep(NamedTuple):
    """The optimizer's step as a whole.

    optimizer: with its hyperparameters. rate: its learning rate; NaN if it has none. number: the number of
    the step, from 1. norm: that of the whole gradient, penalty included. finite: whether loss and gradient
    are finite; if not, no parameter changes.
    """

    optimizer: Any
    rate: float
    number: int
    norm: float
    finite: bool


def norm(array: Any) -> float:
    """Return the root of the sum of all squares.

    >>> norm([[3.0], [4.0]])
    5.0
    """
    return float(np.linalg.norm(np.asarray(array, np.float64)))
