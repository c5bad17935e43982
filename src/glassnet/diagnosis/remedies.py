"""Write what to change as parameters that can be applied and as the text to type."""

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
"""The size of a step beside the weights, ‖ΔW‖ / ‖W‖, that suits most networks.

Karpathy, CS231n, "Neural Networks Part 3: Ratio of weights:updates": "somewhere around 1e-3".
"""
USUAL_RATE = 1e-3
"""The learning rate that Adam was proposed with (Kingma and Ba, 2015), AdamW's and RMSprop's default too."""
LARGE_STEP, SMALL_STEP = 10 * USUAL_STEP, USUAL_STEP / 10
LEARNED = 0.9
"""A network that explains this share of its rows has little left to learn."""
CHANGE = Callable[[Layer], Sequence[Layer]]


def remedy(door: Door, parameters: Mapping[str, Any], purpose: str) -> str:
    """Return what to type to apply parameters, for one of the doors, and the purpose.

    >>> remedy("command", {"class_weight": "balanced"}, "each class counts as much")
    'glassnet train ... --class-weight balanced: each class counts as much'
    """
    heads = {
        "train": "gn.train(..., {})",
        "estimator": "set_params({})",
        "command": "glassnet train ... {}",
    }
    if door == "command" and "network" in parameters:
        door = "estimator"  # the command has no option for a network
    given = (flags if door == "command" else arguments)(parameters)
    return f"{heads[door].format(given)}: {purpose}"


def changed(network: Network, change: CHANGE) -> Network:
    """Return a network whose layers are replaced one by one; nested networks too.

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
    """Return a network with another activation function in the place of those of a kind."""
    return changed(network, lambda layer: [activation] if isinstance(layer, kind) else [layer])


def with_initializer(network: Network, initializer: str) -> Network:
    """Return a network whose layers of neurons draw their first weights otherwise."""

    def other(layer: Layer) -> list[Layer]:
        return [replace(layer, initializer=initializer) if isinstance(layer, Dense) else layer]

    return changed(network, other)


def with_scaled_inputs(network: Network) -> Network:
    """Return a network with batch normalization before its first neurons: inputs of mean 0, deviation 1."""
    done: list[bool] = []

    def scaled(layer: Layer) -> list[Layer]:
        if done or not isinstance(layer, Dense):
            return [layer]
        done.append(True)
        return [BatchNorm(), layer]

    return changed(network, scaled)


def with_batch_norm(network: Network) -> Network:
    """Return a network with batch normalization before each activation function."""
    return changed(
        network, lambda layer: [BatchNorm(), layer] if isinstance(layer, Activation) else [layer]
    )


def bent(network: Network) -> Network:
    """Return a network with ReLU for Identity, and between layers of neurons that follow each other."""
    layers: list[Layer] = []
    waiting = False  # a layer of neurons, and no activation function since
    for layer in network.layers:
        if isinstance(layer, Identity):
            continue
        if waiting and isinstance(layer, Dense):
            layers.append(ReLU())
        layers.append(layer)
        if isinstance(layer, Dense | Activation):
            waiting = isinstance(layer, Dense)
    return Network(layers)


def with_widths(network: Network, widths: Sequence[int]) -> Network:
    """Return a network with so many neurons in its hidden layers, first to last; with one if it had none.

    >>> from glassnet.nn.as_code import typed
    >>> typed(with_widths(Network([Dense(4), "tanh", Dense(1)]), [8]))
    'gn.Network([gn.Dense(8), gn.Tanh(), gn.Dense(1)])'
    """
    left = list(widths)
    hidden = sum(isinstance(layer, Dense) for _, layer, _ in each_layer(network)) - 1

    def sized(layer: Layer) -> list[Layer]:
        if not isinstance(layer, Dense) or not left:
            return [layer]  # the output layer is the last, after all widths
        units = left.pop(0)
        return [replace(layer, units=units)] if hidden else [Dense(units), ReLU(), layer]

    return changed(network, sized)


def with_dropout(network: Network, rate: float) -> Network:
    """Return a network whose dropout layers drop another share."""
    return changed(
        network, lambda layer: [Dropout(rate)] if isinstance(layer, Dropout) else [layer]
    )


def with_rate(optimizer: Any, rate: float) -> Any:
    """Return an optimizer at another, constant learning rate.

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
    """Return a number in one digit.

    >>> rounded(0.0274), rounded(310.0)
    (0.03, 300.0)
    """
    return round(value, -math.floor(math.log10(abs(value)))) if value else value
