"""Shapes: those of a network's arrays, known without making one.

A model file may claim any size, so its reader must know what an architecture asks for before it makes
an array. A layer without arrays needs no line here; of one that has some, and none here, the arrays
are made to see their shapes.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import numpy as np

from glassnet import keys
from glassnet._types import Shape
from glassnet.errors import ConfigurationError
from glassnet.nn.embeddings import Embedding, Periodic, Scale
from glassnet.nn.layers import BatchNorm, Dense, Dropout, Layer
from glassnet.nn.network import Network


class Shapes(NamedTuple):
    """The shapes of a layer's parameters and state, and of a row that it puts out.

    As in `Layer.init` each is a record by name, and of a network a tuple of its layers' records.
    """

    params: Any
    state: Any
    out: Shape


def _dense(layer: Dense, shape: Shape) -> Shapes:
    (inputs,) = shape
    bias = {"b": (layer.units,)} if layer.bias else {}
    return Shapes({"W": (layer.units, inputs), **bias}, {}, (layer.units,))


def _batch_norm(layer: BatchNorm, shape: Shape) -> Shapes:
    return Shapes({"gamma": shape, "beta": shape}, {"mean": shape, "variance": shape}, shape)


def _periodic(layer: Periodic, shape: Shape) -> Shapes:
    (inputs,) = shape
    waves, outputs = (layer.columns, layer.waves), (layer.columns, layer.outputs)
    params = {"f": waves, "phase": waves, "W": (*outputs, layer.waves), "b": outputs}
    if inputs < layer.columns:
        raise ConfigurationError(f"waves of {layer.columns} columns for rows of shape {shape}")
    return Shapes(params, {}, (inputs + prod(outputs),))


def _embedding(layer: Embedding, shape: Shape) -> Shapes:
    (inputs,) = shape
    plain = inputs - len(layer.places)
    if plain < 0:
        raise ConfigurationError(f"{len(layer.places)} codes to look up in rows of shape {shape}")
    table = (sum(layer.places), layer.size)
    return Shapes({"E": table}, {}, (plain + len(layer.places) * layer.size,))


KNOWN: dict[type[Layer], Callable[[Any, Shape], Shapes]] = {
    Dense: _dense,
    BatchNorm: _batch_norm,
    Dropout: lambda layer, shape: Shapes({}, {"rate": ()}, shape),
    Scale: lambda layer, shape: Shapes({"s": shape}, {}, shape),
    Periodic: _periodic,
    Embedding: _embedding,
}


def shapes_of(layer: Layer, in_shape: Shape) -> Shapes:
    """Return the shapes of the arrays of a layer, or a network, for rows of a shape.

    Raises
    ------
    ConfigurationError, ValueError: the layer cannot take such rows.

    >>> shapes_of(Dense(3), (2,))
    Shapes(params={'W': (3, 2), 'b': (3,)}, state={}, out=(3,))
    """
    if isinstance(layer, Network):
        parts, shape = [], in_shape
        for part in layer:
            parts.append(shapes_of(part, shape))
            shape = parts[-1].out
        return Shapes(tuple(p.params for p in parts), tuple(p.state for p in parts), shape)
    if type(layer) in KNOWN:
        return KNOWN[type(layer)](layer, in_shape)
    params, state, out = layer.init(keys.key(0), in_shape)
    return Shapes(_shapes(params), _shapes(state), out)


def _shapes(arrays: Any) -> dict[str, Shape]:
    return {name: np.shape(array) for name, array in arrays.items()}
