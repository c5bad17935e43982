"""Passes: one forward and one backward pass of a network, layer by layer, with all that went through."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from glassnet._types import Array, Params, State, default_float
from glassnet.layers import Dropout, Layer
from glassnet.losses import Loss
from glassnet.network import Network


class LayerPass(NamedTuple):
    """What one layer took and gave in a pass, forward and backward; rows first."""

    number: str  # from 0, as in `Network.summary`; inside a nested network "2.1"
    layer: Layer
    params: Params
    x: np.ndarray  # its input
    y: np.ndarray  # its output
    dx: np.ndarray  # the gradient of the loss by its input
    dparams: Params  # and by its parameters

    @property
    def name(self) -> str:
        """The layer as a message names it: "layer 1 (ReLU)"."""
        return f"layer {self.number} ({type(self.layer).__name__})"


class Pass(NamedTuple):
    """A whole pass: layers from input to output, the logits, and dL/dlogits."""

    layers: tuple[LayerPass, ...]
    logits: np.ndarray
    dlogits: np.ndarray


def pass_through(
    network: Network, params: Params, state: State, x: Any, target: Any, loss: Loss
) -> Pass:
    """Carry rows forward and the gradient of their mean loss back, as training does, but drop no neuron.

    Batch norm takes the rows' own mean and deviation, as it must before the first step.

    >>> from glassnet import keys
    >>> from glassnet.layers import Dense
    >>> from glassnet.losses import MeanSquaredError
    >>> net, x = Network([Dense(2), "relu", Dense(1)]), np.ones((4, 3), np.float32)
    >>> params, state, _ = net.init(keys.key(0), (3,))
    >>> found = pass_through(net, params, state, x, np.zeros((4, 1), np.float32), MeanSquaredError())
    >>> [layer.name for layer in found.layers]
    ['layer 0 (Dense)', 'layer 1 (ReLU)', 'layer 2 (Dense)']
    """
    named = list(flat(network))
    places = [_part(params, path) for path, _ in named]
    skeleton = tuple(layer.skeleton() for _, layer in named)
    states = [_part(state, path) for path, _ in named]
    through = _through(places, states, x, target, layers=skeleton, loss=loss)
    ys, dxs, dparams = jax.tree.map(np.asarray, through)
    first = np.asarray(x, default_float())
    layers = tuple(
        LayerPass(".".join(map(str, path)), layer, p, before, y, dx, dp)
        for (path, layer), p, before, y, dx, dp in zip(
            named, places, [first, *ys], ys, dxs, dparams, strict=False
        )
    )
    return Pass(layers, ys[-1], dxs[-1])


def flat(network: Network, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Layer]]:
    """Yield each layer with its path, those of nested networks one by one."""
    for place, layer in enumerate(network.layers):
        if isinstance(layer, Network):
            yield from flat(layer, (*path, place))
        else:
            yield (*path, place), layer


def _part(tree: Any, path: tuple[int, ...]) -> Any:
    for place in path:
        tree = tree[place]
    return tree


@partial(jax.jit, static_argnames=("layers", "loss"))
def _through(
    params: Any, state: Any, x: Array, target: Array, *, layers: tuple[Layer, ...], loss: Loss
) -> Any:
    """Return each layer's output, the gradients by each layer's input and by the logits, by parameters."""
    x = jnp.asarray(x, default_float())
    ys, caches = [], []
    for layer, p, s in zip(layers, params, state, strict=True):
        x, _, cache = layer.forward(p, s, x, train=not isinstance(layer, Dropout))
        ys.append(x)
        caches.append(cache)
    dy = loss.gradient(x, target)
    dxs, dparams = [dy], []
    for layer, p, cache in reversed(list(zip(layers, params, caches, strict=True))):
        dy, dp = layer.backward(p, cache, dy)
        dxs.append(dy)
        dparams.append(dp)
    return ys, dxs[::-1], dparams[::-1]
