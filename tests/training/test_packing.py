"""Packing moves parameters into one vector, can be undone, and changes no result."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import glassnet as gn
from glassnet.nn.layers import Layer, Trait
from glassnet.training import packing
from glassnet.training.packing import Layout

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 3)).astype(np.float32), RNG.integers(0, 2, 60)
PARAMS = ({"W": jnp.arange(6.0).reshape(2, 3), "b": jnp.ones(2)}, {}, {"W": jnp.zeros((1, 2))})


def assert_equal_trees(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def test_unpack_undoes_pack():
    layout = Layout.of(PARAMS)
    assert layout.pack(PARAMS).vector.shape == (10,)
    assert_equal_trees(layout.unpack(layout.pack(PARAMS)), PARAMS)
    assert layout.spread(jax.tree.map(lambda _: 2.0, PARAMS)).vector == 2.0
    names = layout.spread(({"W": 1.0, "b": 0.0}, {}, {"W": 3.0}))
    assert names.vector.tolist() == [1] * 6 + [0] * 2 + [3] * 2


@pytest.mark.parametrize("optimizer", [gn.SGD(), gn.Adam(), gn.ClipByNorm(gn.Momentum())], ids=repr)
def test_an_optimizers_state_is_packed_and_unpacked(optimizer):
    layout, state = Layout.of(PARAMS), optimizer.init(PARAMS)
    packed = layout.pack_within(state)
    assert all(leaf.shape in [(), (10,)] for leaf in jax.tree.leaves(packed))
    assert_equal_trees(layout.unpack_within(packed), state)


def test_large_or_mixed_parameters_stay_as_they_are():
    large = {"W": jnp.zeros((packing.MAX_PACKED, 1)), "b": jnp.zeros(1)}
    mixed = {"W": jnp.zeros((2, 2)), "n": jnp.zeros(2, jnp.int32)}
    for params in (large, mixed):
        layout = Layout.of(params)
        assert layout.pack(params) is params and layout.unpack(params) is params


@dataclass(frozen=True)
class Scale(Layer):
    """Multiply by a parameter with a learning-rate factor."""

    factor: float

    def init(self, key, in_shape):
        return {"s": jnp.ones(in_shape)}, {}, in_shape

    def forward(self, params, state, x, **context):
        return x * params["s"], state, None

    def traits(self):
        return {"s": Trait(factor=self.factor)}


def trained(factor, optimizer=None):
    network = gn.Network([Scale(factor), gn.Dense(8), gn.Tanh(), gn.Dropout(0.2), gn.Dense(2)])
    return gn.train(
        network,
        X,
        Y,
        optimizer=optimizer or gn.AdamW(0.01),
        epochs=5,
        l2=1e-3,
        validation=0.2,
        early_stopping=True,
    )


@pytest.mark.parametrize("factor", [0.0, 1.0, 6.0])
def test_packed_and_unpacked_runs_agree(factor, monkeypatch):
    packed = trained(factor)
    monkeypatch.setattr(packing, "MAX_PACKED", 0)
    jax.clear_caches()
    unpacked = trained(factor)
    jax.clear_caches()
    for a, b in zip(jax.tree.leaves(packed.state), jax.tree.leaves(unpacked.state), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def test_a_learning_rate_factor_slows_or_stops_one_parameter(monkeypatch):
    for limit in (packing.MAX_PACKED, 0):
        monkeypatch.setattr(packing, "MAX_PACKED", limit)
        jax.clear_caches()
        changes = [
            abs(trained(f, gn.SGD(0.1)).state.params[0]["s"] - 1).max() for f in (0.0, 0.5, 1.0)
        ]
        assert changes[0] == 0 and 0 < changes[1] < changes[2]
    jax.clear_caches()
