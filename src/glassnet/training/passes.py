"""Pass rows forward and backward through a trained network, for diagnoses and figures."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np

from glassnet._compile import limit_programs
from glassnet._types import Array, Params, State
from glassnet.data.tables import check_one_target_per_row
from glassnet.encoding.objectives import as_target, encoded
from glassnet.errors import DataError
from glassnet.models.model import Model
from glassnet.nn.losses import Loss
from glassnet.nn.network import Network, each_layer
from glassnet.nn.walk import LayerPass, walk
from glassnet.training.batches import Data


def pass_through(
    network: Network, params: Params, state: State, rows: Data, loss: Loss
) -> tuple[LayerPass, ...]:
    """Return each layer's record of passing rows forward and their mean loss backward, as NumPy arrays.

    Batch norm uses the rows' own mean and deviation, as in training, but no neuron is dropped. The caches
    are left out.

    >>> from glassnet import keys
    >>> from glassnet.nn.layers import Dense
    >>> from glassnet.nn.losses import MeanSquaredError
    >>> net = Network([Dense(2), "relu", Dense(1)])
    >>> rows = Data(np.ones((4, 3), np.float32), np.zeros((4, 1), np.float32))
    >>> params, state, _ = net.init(keys.key(0), (3,))
    >>> passes = pass_through(net, params, state, rows, MeanSquaredError())
    >>> [layer.name for layer in passes]
    ['layer 0 (Dense)', 'layer 1 (ReLU)', 'layer 2 (Dense)']
    """
    passes = _walk(params, state, rows.x, rows.y, network=network.skeleton(), loss=loss)
    layers = (layer for _, layer, _ in each_layer(network))  # the layers, not their skeletons
    return tuple(
        replace(jax.tree.map(np.asarray, record), layer=layer)
        for record, layer in zip(passes, layers, strict=True)
    )


@limit_programs
@partial(jax.jit, static_argnames=("network", "loss"))
def _walk(
    params: Params, state: State, x: Array, target: Array, *, network: Network, loss: Loss
) -> tuple[LayerPass, ...]:
    passes = walk(
        network, params, state, x, train=True, gradient=lambda logits: loss.gradient(logits, target)
    )
    return tuple(replace(record, cache=None) for record in passes)


def encoded_rows(model: Model, X: Any, y: Any) -> Data:
    """Return rows and targets encoded for the network and its loss.

    Raises
    ------
    DataError: the model cannot take these rows or targets, y is None, or not every row has one target.
    """
    x = model.inputs(X)
    if y is None:
        raise DataError("y is None, but the loss needs the true targets: give y.")
    t = as_target(encoded(y, model.target_encoder), model.loss, model.dtype)
    check_one_target_per_row(x, t)
    return Data(x, t)
