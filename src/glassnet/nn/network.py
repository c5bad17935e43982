"""Define a network. Read its two loops first: the forward pass and the backward pass."""

from __future__ import annotations

import math
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from glassnet import keys
from glassnet._checks import resolve
from glassnet._precision import default_float
from glassnet._types import Array, Cache, Key, Params, Shape, State
from glassnet.display.text import text_table
from glassnet.errors import ConfigurationError
from glassnet.nn.activations import ACTIVATIONS, Activation
from glassnet.nn.augmentation import AUGMENTATIONS
from glassnet.nn.embeddings import EMBEDDINGS
from glassnet.nn.initializers import Zeros
from glassnet.nn.layers import LAYERS, BatchNorm, Dense, Dropout, Layer, Trait
from glassnet.nn.shapes import Shapes


@dataclass(frozen=True)
class Network(Layer):
    """A sequence of layers. A network is itself a layer, so that networks can be nested.

    A network of one `Dense` is a perceptron.

    Parameters
    ----------
    layers: the layers from input to output; an activation may be given by name ("relu").

    Raises
    ------
    ConfigurationError: the list is empty, or an item is not a layer.

    >>> net = Network([Dense(4), "tanh", Dense(1)])
    >>> print(net.summary((3,)))
    layer  name   output  parameters
    0      Dense  4       16 = W 4×3 + b 4
    1      Tanh   4       0
    2      Dense  1       5 = W 1×4 + b 1
    21 parameters
    """

    layers: tuple[Layer, ...]

    def __init__(self, layers: Iterable[Layer | str]) -> None:
        named = tuple(resolve("activation", layer, ACTIVATIONS) for layer in layers)
        if not named:
            raise ConfigurationError(
                "A network needs at least one layer: gn.Network([gn.Dense(1)])."
            )
        for layer in named:
            if not isinstance(layer, Layer):
                raise ConfigurationError(
                    f"{layer!r} is not a layer. A layer is an object such as gn.Dense(64) or gn.ReLU(),"
                    " or the name of an activation such as 'relu'."
                )
        object.__setattr__(self, "layers", named)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def init(self, key: Key, in_shape: Shape) -> tuple[Params, State, Shape]:
        """Initialise each layer with its branch of the key and the output shape of the layer before it."""
        params, state, shape = [], [], tuple(in_shape)
        for i, layer in enumerate(self.layers):
            layer_params, layer_state, shape = layer.init(keys.fold_in(key, i), shape)
            params.append(layer_params)
            state.append(layer_state)
        return tuple(params), tuple(state), shape

    def shapes(self, in_shape: Shape) -> Shapes:
        """Return the shapes of each layer's arrays, and of the output of the last layer."""
        shapes, shape = [], tuple(in_shape)
        for layer in self.layers:
            shapes.append(layer.shapes(shape))
            shape = shapes[-1].out
        return Shapes(tuple(s.params for s in shapes), tuple(s.state for s in shapes), shape)

    def forward(
        self,
        params: Params,
        state: State,
        x: Array,
        *,
        key: Key | None = None,
        train: bool = False,
        weight: Array | None = None,
    ) -> tuple[Array, State, Cache]:
        """Pass the input through the layers, from the first to the last.

        The input may have any numeric type, such as bytes, and becomes the current float type here.
        """
        x = jnp.asarray(x, default_float())
        caches, new_state = [], []
        for i, layer in enumerate(self.layers):
            layer_key = None if key is None else keys.fold_in(key, i)
            x, layer_state, cache = layer.forward(
                params[i], state[i], x, key=layer_key, train=train, weight=weight
            )
            caches.append(cache)
            new_state.append(layer_state)
        return x, tuple(new_state), tuple(caches)

    def backward(self, params: Params, cache: Cache, dy: Array) -> tuple[Array, Params]:
        """Pass the gradient back through the layers, from the last to the first: the chain rule."""
        dparams = []
        for layer, p, c in zip(
            reversed(self.layers), reversed(params), reversed(cache), strict=True
        ):
            dy, dp = layer.backward(p, c, dy)
            dparams.append(dp)
        return dy, tuple(reversed(dparams))

    def traits(self) -> Any:
        """Return the traits of all layers, in order."""
        return tuple(layer.traits() for layer in self.layers)

    def skeleton(self) -> Network:
        """Return the network of the layers' skeletons."""
        return Network([layer.skeleton() for layer in self.layers])

    def blank(self) -> Network:
        """Return the network with zero initializers: its `init` gives the shapes and draws no numbers."""

        def plain(layer: Layer) -> Layer:
            if isinstance(layer, Network):
                return layer.blank()
            return replace(layer, initializer=Zeros()) if isinstance(layer, Dense) else layer

        return Network([plain(layer) for layer in self])

    def summary(self, in_shape: Shape) -> str:
        """Return a table of layers, output shapes and parameter counts, for rows of shape `in_shape`."""
        rows, total, shape = [("layer", "name", "output", "parameters")], 0, tuple(in_shape)
        for i, layer in enumerate(self.layers):
            params, _, shape = layer.init(keys.key(0), shape)
            sizes = [
                (_name(path), np.shape(leaf))
                for path, leaf in jax.tree_util.tree_leaves_with_path(params)
            ]
            count = sum(math.prod(s) for _, s in sizes)
            total += count
            parts = " + ".join(f"{name} {'×'.join(map(str, s))}" for name, s in sizes)
            size = f"{count} = {parts}" if count else "0"
            rows.append((str(i), type(layer).__name__, "×".join(map(str, shape)), size))
        return f"{text_table(rows, left=None)}\n{total} parameters"


def _name(path: Any) -> str:
    """Return the last name on a path in a tree of parameters."""
    return str(getattr(path[-1], "key", getattr(path[-1], "idx", path[-1])))


LayerPath: TypeAlias = tuple[
    int, ...
]  # a layer's index, preceded by the indices of the enclosing networks


def is_plain(layer: Layer) -> bool:
    """Return whether a layer is a plain sequence: a network that overrides neither forward nor backward."""
    cls = type(layer)
    passes = (cls.forward, cls.backward)
    return isinstance(layer, Network) and passes == (Network.forward, Network.backward)


def each_layer(
    network: Network, *trees: Any, path: LayerPath = ()
) -> Iterator[tuple[LayerPath, Layer, list[Any]]]:
    """Yield each layer's path, the layer, and its part of each tree (parameters, state, ...).

    The layers of a nested network are yielded one by one. If a tree is None, so are its parts.

    >>> [path for path, _, _ in each_layer(Network([Dense(2), Network([Dense(1), "relu"])]))]
    [(0,), (1, 0), (1, 1)]
    """
    for i, layer in enumerate(network):
        parts = [None if tree is None else tree[i] for tree in trees]
        if is_plain(layer):
            assert isinstance(layer, Network)
            yield from each_layer(layer, *parts, path=(*path, i))
        else:
            yield (*path, i), layer, parts


def spread_traits(layer: Layer, params: Params) -> Params:
    """Return a tree like `params` that holds the `Trait` of each parameter."""

    def spread(traits: Any, params: Any) -> Any:
        if isinstance(params, tuple):
            return tuple(spread(t, p) for t, p in zip(traits, params, strict=True))
        return {name: traits.get(name, Trait()) for name in params}

    return spread(layer.traits(), params)


def hidden_layers(
    widths: Iterable[int],
    *,
    activation: Activation | str = "relu",
    dropout: float = 0.0,
    batch_norm: bool = False,
) -> list[Layer]:
    """Return a block per width: Dense, BatchNorm (if asked), activation, Dropout (if its rate is above 0).

    >>> [type(layer).__name__ for layer in hidden_layers([8], dropout=0.1, batch_norm=True)]
    ['Dense', 'BatchNorm', 'ReLU', 'Dropout']
    """
    layers: list[Layer] = []
    for units in widths:
        layers.append(Dense(units))
        if batch_norm:
            layers.append(BatchNorm())
        layers.append(resolve("activation", activation, ACTIVATIONS))
        if dropout:
            layers.append(Dropout(dropout))
    return layers


LAYER_TYPES: Mapping[str, type[Layer]] = ChainMap(
    LAYERS,
    AUGMENTATIONS,
    EMBEDDINGS,
    {
        "Network": Network,
        **{type(activation).__name__: type(activation) for activation in ACTIVATIONS.values()},
    },
)
"""Every layer that a model file may hold, by name; a view, so new rows of `LAYERS` appear in it."""
