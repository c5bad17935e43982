"""Pass rows through a network and record every layer's inputs and outputs, forward and backward.

Each layer is wrapped in a `Recorder`, which calls the layer and records the call. The records therefore
come from `Network.forward` and `Network.backward` themselves: there is no second implementation of the two
loops. Traces, diagnoses, figures and the search for a diverging layer all use this walk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Unpack

import jax

from glassnet._types import Array, Cache, Key, Params, State
from glassnet.nn.layers import Context, Layer
from glassnet.nn.network import LayerPath, Network, is_plain


@partial(
    jax.tree_util.register_dataclass,
    data_fields=[
        "params",
        "input",
        "output",
        "state",
        "cache",
        "d_output",
        "d_input",
        "gradients",
    ],
    meta_fields=["path", "layer"],
)
@dataclass(frozen=True)
class LayerPass:
    """What went into and came out of one layer in a pass. Batches have the rows as their first axis.

    path: the layer's index; in a nested network, the indices from the outermost network inwards.
    layer, params: the layer and its parameters.
    input, output: of `forward`. state: the layer's state after it. cache: what `backward` needs from it.
    d_output, d_input: the gradients with respect to output and input; None without a backward pass.
    gradients: the gradients with respect to the parameters; None without a backward pass.
    """

    path: LayerPath
    layer: Layer
    params: Params
    input: Any
    output: Any
    state: State
    cache: Cache
    d_output: Any = None
    d_input: Any = None
    gradients: Any = None

    @property
    def name(self) -> str:
        """The layer as a message names it: "layer 1 (ReLU)"."""
        return layer_name(self.path, self.layer)


def layer_name(path: LayerPath, layer: Layer) -> str:
    """Return a layer's number, as in `Network.summary`, and its kind.

    >>> from glassnet.nn.layers import Dense
    >>> layer_name((2, 1), Dense(3))
    'layer 2.1 (Dense)'
    """
    return f"layer {'.'.join(map(str, path))} ({type(layer).__name__})"


def walk(
    network: Network,
    params: Params,
    state: State,
    x: Any,
    *,
    key: Key | None = None,
    train: bool = False,
    weight: Array | None = None,
    gradient: Callable[[Array], Array] | None = None,
) -> tuple[LayerPass, ...]:
    """Return one record per layer of a pass, from input to output; nested networks layer by layer.

    Parameters
    ----------
    network, params, state, x, train, weight: as for `Network.forward`.
    key: the key of the pass. Without one, layers that draw random numbers act as in prediction.
    gradient: a function from the network's output to dL/d(output). Default: only the forward pass.

    >>> from glassnet import keys
    >>> from glassnet.nn.layers import Dense
    >>> net = Network([Dense(2), "relu", Dense(1)])
    >>> params, state, _ = net.init(keys.key(0), (3,))
    >>> passes = walk(net, params, state, [[1.0, 2.0, 3.0]], gradient=lambda y: 2 * y)
    >>> [(layer.name, layer.output.shape) for layer in passes]
    [('layer 0 (Dense)', (1, 2)), ('layer 1 (ReLU)', (1, 2)), ('layer 2 (Dense)', (1, 1))]
    >>> passes[0].gradients["W"].shape, passes[0].d_input.shape
    ((2, 3), (1, 3))
    """
    log: dict[LayerPath, LayerPass] = {}
    recorded = wrap_layers(
        network,
        lambda layer, path: Recorder(
            layer, path, log, train=train and not (layer.random and key is None)
        ),
    )
    y, _, cache = recorded.forward(params, state, x, key=key, train=train, weight=weight)
    if gradient is not None:
        recorded.backward(params, cache, gradient(y))
    return tuple(log.values())


@dataclass(frozen=True)
class Recorder(Layer):
    """A layer that calls another layer and records the call in a log, under its path.

    train: whether the layer acts as in training, whatever the pass around it does.
    """

    layer: Layer
    path: LayerPath
    log: dict[LayerPath, LayerPass] = field(compare=False)
    train: bool

    def forward(
        self, params: Params, state: State, x: Array, **context: Unpack[Context]
    ) -> tuple[Array, State, Cache]:
        """Return what the layer returns."""
        context["train"] = self.train
        y, state, cache = self.layer.forward(params, state, x, **context)
        self.log[self.path] = LayerPass(self.path, self.layer, params, x, y, state, cache)
        return y, state, cache

    def backward(self, params: Params, cache: Cache, dy: Array) -> tuple[Array, Params]:
        """Return what the layer returns."""
        dx, dparams = self.layer.backward(params, cache, dy)
        self.log[self.path] = replace(
            self.log[self.path], d_output=dy, d_input=dx, gradients=dparams
        )
        return dx, dparams

    def traits(self) -> Any:
        """Return the layer's traits."""
        return self.layer.traits()


def wrap_layers(
    network: Network, wrap: Callable[[Layer, LayerPath], Layer], path: LayerPath = ()
) -> Network:
    """Return the network with each layer replaced by `wrap(layer, path)`, in nested networks too."""

    def wrapped(layer: Layer, path: LayerPath) -> Layer:
        if is_plain(layer):
            assert isinstance(layer, Network)
            return wrap_layers(layer, wrap, path)
        return wrap(layer, path)

    return Network([wrapped(layer, (*path, i)) for i, layer in enumerate(network)])
