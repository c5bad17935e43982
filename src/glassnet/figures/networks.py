"""Read the Dense layers of a network and run its forward pass, for drawing."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from glassnet import keys
from glassnet._precision import precision
from glassnet._types import Key, Shape
from glassnet.encoding.objectives import encode_target, resolve_loss
from glassnet.errors import ConfigurationError, DataError
from glassnet.models.model import Model, model_of
from glassnet.nn.activations import Activation, Identity
from glassnet.nn.layers import Dense, Layer
from glassnet.nn.losses import MeanSquaredError
from glassnet.nn.network import Network, each_layer
from glassnet.nn.walk import LayerPass, walk


def untrained(
    network: Network, in_shape: Shape, y: Any = None, *, loss: Any = "auto", seed: int = 0
) -> Model:
    """Return a model with the weights that `gn.train` would start from, to draw or to compare with.

    Parameters
    ----------
    network: the layers. in_shape: the shape of one row.
    y: targets, which give the names of the classes. Default: the model outputs plain values.
    loss: as for `gn.train`. Default "auto". seed: of the weights. Default 0.

    >>> model = untrained(Network([Dense(2), "relu", Dense(1)]), (3,))
    >>> model.params[0]["W"].shape
    (2, 3)
    """
    params, state, _ = network.init(keys.fold_in(keys.key(seed), 0), tuple(in_shape))
    loss_function, target = MeanSquaredError() if y is None else resolve_loss(loss, y), None
    if y is not None:
        target, _ = encode_target(y, loss_function)
    return Model(
        network=network,
        params=params,
        layer_state=state,
        loss=loss_function,
        in_shape=tuple(in_shape),
        target_encoder=target,
    )


def first_member(model: Any) -> Model:
    """Return the model of a run or a fitted estimator, or its first member if it has several.

    Raises
    ------
    ConfigurationError: it is not one of these, or is not fitted.
    """
    return model_of(model).member(0)


def one_row(model: Model, x: Any) -> np.ndarray:
    """Return one encoded row, (1, ...).

    Raises
    ------
    DataError: there is not exactly one row.
    """
    rows = model.inputs(np.asarray(x)[None] if np.shape(x) == model.in_shape else x)
    if len(rows) != 1:
        raise DataError(f"x has {len(rows)} rows, but the figure shows one: give X[:1].")
    return rows


def forward_pass(
    model: Model, x: Any, *, key: Key | None = None, train: bool = False
) -> tuple[LayerPass, ...]:
    """Return the record of each layer in a forward pass of encoded rows, as NumPy arrays."""
    with precision(model.dtype):
        passes = walk(model.network, model.params, model.layer_state, x, key=key, train=train)
    return tuple(jax.tree.map(np.asarray, record) for record in passes)


class DenseLayer(NamedTuple):
    """A Dense layer as it is drawn: its weights and its activation function.

    number: of the Dense layer, from 0. W: (units, inputs). b: (units,), zeros if it has no biases.
    activation: the activation function that follows it, or Identity.
    position: its index among all layers, with nested ones counted one by one.
    """

    number: int
    W: np.ndarray
    b: np.ndarray
    activation: Activation
    position: int

    @property
    def units(self) -> int:
        """The number of neurons."""
        return len(self.W)

    @property
    def function(self) -> str:
        """The name of the activation, such as "Tanh"."""
        return type(self.activation).__name__


def dense_layers(model: Model) -> list[DenseLayer]:
    """Return the Dense layers of a model.

    Raises
    ------
    ConfigurationError: the network has none.
    """
    layers: list[DenseLayer] = []
    for index, (_, layer, (params,)) in enumerate(each_layer(model.network, model.params)):
        if isinstance(layer, Dense):
            W = np.asarray(params["W"])
            b = np.asarray(params.get("b", np.zeros(len(W))))
            layers.append(DenseLayer(len(layers), W, b, Identity(), index))
        elif layers and isinstance(layer, Activation):
            layers[-1] = layers[-1]._replace(activation=layer)
    if not layers:
        raise ConfigurationError(
            "This network has no Dense layer, so there are no neurons to draw."
        )
    return layers


def dense_layer(model: Model, layer: int) -> DenseLayer:
    """Return one Dense layer, counted from 0; a negative number counts from the end.

    Raises
    ------
    ConfigurationError: there is no such layer.
    """
    layers = dense_layers(model)
    try:
        return layers[layer]
    except (IndexError, TypeError):
        raise ConfigurationError(
            f"layer is {layer!r}, but this network has {len(layers)} Dense layers: count from 0 to"
            f" {len(layers) - 1}."
        ) from None


def without_random_layers(network: Network) -> Network:
    """Return a network with the same parameters, without its random layers."""
    return Network([_deterministic(layer) for layer in network])


def _deterministic(layer: Layer) -> Layer:
    if isinstance(layer, Network):
        return without_random_layers(layer)
    return Identity() if layer.random else layer
