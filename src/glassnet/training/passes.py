"""Layerwise: one forward and one backward pass of a network, layer by layer, with all that went through."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from glassnet._compile import forgetful
from glassnet._precision import default_float
from glassnet._types import Array, Params, State
from glassnet.encoding.objectives import as_target, encoded
from glassnet.errors import DataError
from glassnet.models.model import Model
from glassnet.nn.layers import Layer
from glassnet.nn.losses import Loss
from glassnet.nn.network import Network, each_layer
from glassnet.training.batches import Data


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
    >>> from glassnet.nn.layers import Dense
    >>> from glassnet.nn.losses import MeanSquaredError
    >>> net, x = Network([Dense(2), "relu", Dense(1)]), np.ones((4, 3), np.float32)
    >>> params, state, _ = net.init(keys.key(0), (3,))
    >>> found = pass_through(net, params, state, x, np.zeros((4, 1), np.float32), MeanSquaredError())
    >>> [layer.name for layer in found.layers]
    ['layer 0 (Dense)', 'layer 1 (ReLU)', 'layer 2 (Dense)']
    """
    paths, layers, parts = zip(*each_layer(network, params, state), strict=True)
    own, kept = ([part[k] for part in parts] for k in (0, 1))
    skeleton = tuple(layer.skeleton() for layer in layers)
    through = _through(own, kept, x, target, layers=skeleton, loss=loss)
    ys, dxs, dparams = jax.tree.map(np.asarray, through)
    first = np.asarray(x, default_float())
    passed = zip(paths, layers, own, [first, *ys], ys, dxs, dparams, strict=False)
    each = (LayerPass(".".join(map(str, path)), *parts) for path, *parts in passed)
    return Pass(tuple(each), ys[-1], dxs[-1])


def encoded_rows(model: Model, X: Any, y: Any) -> Data:
    """Return rows and targets as the network and its loss take them.

    Raises
    ------
    DataError: rows or targets that the model cannot take, not one target a row, or none at all.
    """
    x = model.inputs(X)
    if y is None:
        raise DataError("y is None, but what is asked for needs the true targets: give y.")
    t = as_target(encoded(y, model.target), model.loss, model.dtype)
    if len(x) != len(t):
        raise DataError(
            f"X has {len(x)} rows and y has {len(t)}: each row needs exactly one target."
        )
    return Data(x, t)


@forgetful
@partial(jax.jit, static_argnames=("layers", "loss"))
def _through(
    params: Any, state: Any, x: Array, target: Array, *, layers: tuple[Layer, ...], loss: Loss
) -> Any:
    """Return each layer's output, the gradients by each layer's input and by the logits, by parameters."""
    x = jnp.asarray(x, default_float())
    ys, caches = [], []
    for layer, p, s in zip(layers, params, state, strict=True):
        x, _, cache = layer.forward(p, s, x, train=not layer.random)
        ys.append(x)
        caches.append(cache)
    dy = loss.gradient(x, target)
    dxs, dparams = [dy], []
    for layer, p, cache in reversed(list(zip(layers, params, caches, strict=True))):
        dy, dp = layer.backward(p, cache, dy)
        dxs.append(dy)
        dparams.append(dp)
    return ys, dxs[::-1], dparams[::-1]
