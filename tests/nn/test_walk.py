"""A walk records what Network.forward and Network.backward compute, layer by layer."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glassnet import keys
from glassnet.nn.layers import BatchNorm, Dense, Dropout
from glassnet.nn.network import Network, each_layer
from glassnet.nn.walk import walk, wrap_layers
from helpers import assert_same_bits, normal

INNER = Network([Dropout(0.5), Dense(3), "softplus"])
NETWORK = Network([Dense(4), BatchNorm(), "tanh", INNER, Dropout(0.3), Dense(2)])
PATHS = [(0,), (1,), (2,), (3, 0), (3, 1), (3, 2), (4,), (5,)]
PARAMS, STATE, _ = NETWORK.init(keys.key(0), (3,))
X, DY = normal((6, 3), 1, np.float32), jnp.asarray(normal((6, 2), 2, np.float32))


@pytest.mark.parametrize("weight", [None, jnp.array([1.0, 2.0, 0.0, 1.0, 0.5, 1.0])])
@pytest.mark.parametrize("train", [False, True])
def test_a_walk_equals_the_networks_own_passes(train: bool, weight: Any) -> None:
    context: Any = {"key": keys.key(1), "train": train, "weight": weight}
    passes = walk(NETWORK, PARAMS, STATE, X, **context, gradient=lambda y: DY)
    assert [p.path for p in passes] == PATHS
    assert [p.layer for p in passes] == [layer for _, layer, _ in each_layer(NETWORK)]

    y, state, cache = NETWORK.forward(PARAMS, STATE, X, **context)
    dx, gradients = NETWORK.backward(PARAMS, cache, DY)
    assert_same_bits(passes[-1].output, y)
    assert_same_bits(passes[-1].d_output, DY)
    assert_same_bits(passes[0].d_input, dx)
    trees = (PARAMS, state, gradients)
    for record, (_, _, parts) in zip(passes, each_layer(NETWORK, *trees), strict=True):
        assert_same_bits([record.params, record.state, record.gradients], parts)
    for before, after in itertools.pairwise(passes):
        assert_same_bits(before.output, after.input)
        assert_same_bits(before.d_output, after.d_input)


def test_each_record_is_the_layers_own_forward_and_backward() -> None:
    key = keys.key(1)
    passes = walk(NETWORK, PARAMS, STATE, X, key=key, train=True, gradient=lambda y: DY)
    for record, (path, layer, (params, state)) in zip(
        passes, each_layer(NETWORK, PARAMS, STATE), strict=True
    ):
        layer_key = reduce(keys.fold_in, path, key)
        y, _, cache = layer.forward(params, state, record.input, key=layer_key, train=True)
        dx, gradients = layer.backward(params, cache, record.d_output)
        assert_same_bits([record.output, record.d_input, record.gradients], [y, dx, gradients])
    masks = [record.cache for record in passes if isinstance(record.layer, Dropout)]
    assert [bool((mask == 0).any()) for mask in masks] == [True, True]


def test_without_a_gradient_a_walk_goes_forward_only() -> None:
    for record in walk(NETWORK, PARAMS, STATE, X):
        assert record.d_output is record.d_input is record.gradients is None


def test_without_a_key_nothing_is_drawn_and_batch_norm_still_trains() -> None:
    passes = walk(NETWORK, PARAMS, STATE, X, train=True)
    for record in passes:
        if isinstance(record.layer, Dropout):
            assert_same_bits(record.output, record.input)
        if isinstance(record.layer, BatchNorm):
            np.testing.assert_allclose(record.output.mean(axis=0), 0, atol=1e-6)


def test_records_come_out_of_compiled_functions() -> None:
    def walked(params: Any) -> Any:
        return walk(NETWORK, params, STATE, X, gradient=lambda y: DY)

    compiled, eager = jax.jit(walked)(PARAMS), walked(PARAMS)
    assert [p.name for p in compiled] == [p.name for p in eager]
    for one, other in zip(compiled, eager, strict=True):
        np.testing.assert_allclose(one.output, other.output, rtol=1e-5, atol=1e-6)


def test_a_network_with_its_own_forward_is_one_layer() -> None:
    @dataclass(frozen=True, init=False)
    class Doubled(Network):
        def forward(self, params: Any, state: Any, x: Any, **context: Any) -> Any:
            y, state, cache = super().forward(params, state, x, **context)
            return 2 * y, state, cache

        def backward(self, params: Any, cache: Any, dy: Any) -> Any:
            return super().backward(params, cache, 2 * dy)

    network = Network([Doubled([Dense(2), "relu"]), Dense(1)])
    params, state, _ = network.init(keys.key(0), (3,))
    passes = walk(network, params, state, X, gradient=jnp.ones_like)
    assert [p.name for p in passes] == ["layer 0 (Doubled)", "layer 1 (Dense)"]
    wrapped = wrap_layers(network, lambda layer, path: layer)
    assert wrapped == network
