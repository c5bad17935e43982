"""Express a change as parameters to apply and as text to type."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from glassnet.nn.activations import Activation, Identity, ReLU
from glassnet.nn.as_code import arguments, flags
from glassnet.nn.layers import BatchNorm, Dense, Dropout, Layer
from glassnet.nn.network import Network, each_layer
from glassnet.nn.optimizer_wrappers import as_optimizer, innermost, map_innermost

Door = Literal["train", "estimator", "command"]
USUAL_STEP = 1e-3
"""The size of a step relative to the weights, ‖ΔW‖ / ‖W‖, that suits most networks.

Karpathy, CS231n, "Neural Networks Part 3: Ratio of weights:updates": "somewhere around 1e-3".
"""
USUAL_RATE = 1e-3
"""The learning rate proposed for Adam (Kingma and Ba, 2015), also the default of AdamW and RMSprop."""
LARGE_STEP, SMALL_STEP = 10 * USUAL_STEP, USUAL_STEP / 10
LEARNED = 0.9
"""A network that explains this share of its training rows has little left to learn."""
LayerChange = Callable[[Layer], Sequence[Layer]]


def remedy(door: Door, parameters: Mapping[str, Any], purpose: str) -> str:
    """Return the text to type that applies parameters through one of the doors, and its purpose.

    >>> remedy("command", {"class_weight": "balanced"}, "each class counts as much")
    'glassnet train ... --class-weight balanced: each class counts as much'
    """
    templates = {
        "train": "gn.train(..., {})",
        "estimator": "set_params({})",
        "command": "glassnet train ... {}",
    }
    if door == "command" and "network" in parameters:
        door = "estimator"  # the command has no option for a network
    text = (flags if door == "command" else arguments)(parameters)
    return f"{templates[door].format(text)}: {purpose}"


def changed(network: Network, change: LayerChange) -> Network:
    """Return a network with each layer replaced by what `change` returns, in nested networks too.

    >>> from glassnet.nn.activations import LeakyReLU
    >>> from glassnet.nn.as_code import typed
    >>> net = Network([Dense(2), "relu", Dense(1)])
    >>> typed(changed(net, lambda layer: [LeakyReLU()] if isinstance(layer, ReLU) else [layer]))
    'gn.Network([gn.Dense(2), gn.LeakyReLU(), gn.Dense(1)])'
    """
    layers: list[Layer] = []
    for layer in network.layers:
        layers += [changed(layer, change)] if isinstance(layer, Network) else change(layer)
    return Network(layers)


def with_activation(network: Network, kind: Any, activation: Activation) -> Network:
    """Return a network in which one activation function replaces all of the given kind."""
    return changed(network, lambda layer: [activation] if isinstance(layer, kind) else [layer])


def with_initializer(network: Network, initializer: str) -> Network:
    """Return a network whose Dense layers use another initializer."""

    def reinitialized(layer: Layer) -> list[Layer]:
        return [replace(layer, initializer=initializer) if isinstance(layer, Dense) else layer]

    return changed(network, reinitialized)


def with_scaled_inputs(network: Network) -> Network:
    """Return a network with batch normalization before its first Dense layer."""
    inserted = False

    def scaled(layer: Layer) -> list[Layer]:
        nonlocal inserted
        if inserted or not isinstance(layer, Dense):
            return [layer]
        inserted = True
        return [BatchNorm(), layer]

    return changed(network, scaled)


def with_batch_norm(network: Network) -> Network:
    """Return a network with batch normalization before each activation function."""
    return changed(
        network, lambda layer: [BatchNorm(), layer] if isinstance(layer, Activation) else [layer]
    )


def with_relu_between(network: Network) -> Network:
    """Return a network with ReLU between Dense layers that have no activation or Identity between them."""
    layers: list[Layer] = []
    linear = False  # whether a Dense layer came last, with no activation function since
    for layer in network.layers:
        if isinstance(layer, Identity):
            continue
        if linear and isinstance(layer, Dense):
            layers.append(ReLU())
        layers.append(layer)
        if isinstance(layer, Dense | Activation):
            linear = isinstance(layer, Dense)
    return Network(layers)


def with_widths(network: Network, widths: Sequence[int]) -> Network:
    """Return a network with these widths of its hidden layers; one hidden layer is added if it has none.

    >>> from glassnet.nn.as_code import typed
    >>> typed(with_widths(Network([Dense(4), "tanh", Dense(1)]), [8]))
    'gn.Network([gn.Dense(8), gn.Tanh(), gn.Dense(1)])'
    """
    remaining = list(widths)
    hidden = sum(isinstance(layer, Dense) for _, layer, _ in each_layer(network)) - 1

    def resized(layer: Layer) -> list[Layer]:
        if not isinstance(layer, Dense) or not remaining:
            return [layer]  # the output layer keeps its width: no width remains for it
        units = remaining.pop(0)
        return [replace(layer, units=units)] if hidden else [Dense(units), ReLU(), layer]

    return changed(network, resized)


def with_dropout(network: Network, rate: float) -> Network:
    """Return a network whose dropout layers use another rate.

    >>> with_dropout(Network([Dense(4), Dropout(0.1)]), 0.5).layers[1]
    Dropout(rate=0.5)
    """
    return changed(
        network, lambda layer: [Dropout(rate)] if isinstance(layer, Dropout) else [layer]
    )


def with_rate(optimizer: Any, rate: float) -> Any:
    """Return an optimizer with another, constant learning rate.

    >>> from glassnet.nn.optimizers import SGD
    >>> with_rate(SGD(0.5), 0.001)
    SGD(learning_rate=0.001)
    """

    def at_rate(inside: Any) -> Any:
        return inside._replace(learning_rate=rate) if hasattr(inside, "learning_rate") else inside

    return map_innermost(at_rate, as_optimizer(optimizer))


def inner(optimizer: Any) -> Any:
    """Return the optimizer inside all wrappers, given by name or as an object.

    >>> inner("sgd")
    SGD(learning_rate=0.01)
    """
    return innermost(as_optimizer(optimizer))


def rounded(value: float) -> float:
    """Return a number rounded to one significant digit.

    >>> rounded(0.0274), rounded(310.0)
    (0.03, 300.0)
    """
    return round(value, -math.floor(math.log10(abs(value)))) if value else value
