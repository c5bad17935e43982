"""Every public function that takes a key accepts one from `jax.random`, and rejects anything else.

The functions are found by their signatures, so that a new one is tested without a new test.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_gradients import LAYER_CASES, in_shape_of

import glassnet as gn
from glassnet import keys
from glassnet.errors import ConfigurationError
from glassnet.fit.train import network_job
from glassnet.nn.initializers import INITIALIZERS
from helpers import assert_close, assert_same_bits

Call = Callable[[Any], Any]  # from a key to a result

ARGUMENTS: dict[str, tuple[Any, ...]] = {  # the arguments of gn.keys functions after the key
    "fold_in": (3,),
    "bits": ((4,),),
    "uniform": ((4,),),
    "normal": ((4,),),
    "permutation": (9,),
    "needed": ("Dropout",),
}


def takes_key(function: Any) -> bool:
    """Return whether a function has a parameter of type Key."""
    return any("Key" in str(p.annotation) for p in inspect.signature(function).parameters.values())


def layer_calls(layer: Any) -> Iterator[tuple[str, Call]]:
    """Yield the calls of a layer that take a key."""
    in_shape = in_shape_of(layer)
    params, state, _ = layer.init(keys.key(0), in_shape)
    x = jnp.arange(3.0 * np.prod(in_shape)).reshape(3, *in_shape) % 3
    yield "init", lambda key: layer.init(key, in_shape)[:2]
    yield "forward", lambda key: layer.forward(params, state, x, key=key, train=True)[:2]


def dropped(key: Any) -> Any:
    """Return the title of `figures.dropout` for a key."""
    network = gn.Network([gn.Dense(6), "relu", gn.Dropout(0.5), gn.Dense(1)])
    model = gn.figures.untrained(network, (2,))
    return [[ord(c) for c in gn.figures.dropout(model, [[1.0, 2.0]], key=key).get_title()]]


def key_functions() -> dict[str, Call]:
    """Return a call of each public function that takes a key, by name."""
    calls: dict[str, Call] = {"figures.dropout": dropped}
    for name, function in inspect.getmembers(keys, inspect.isfunction):
        if not name.startswith("_") and name != "key" and takes_key(function):
            arguments = ARGUMENTS[name]
            calls[f"keys.{name}"] = lambda key, f=function, a=arguments: f(key, *a)
    for case in LAYER_CASES:
        (layer,) = case.values
        for method, call in layer_calls(layer):
            calls[f"{case.id}.{method}"] = call
    for name, initializer in INITIALIZERS.items():
        calls[f"{name}.draw"] = lambda key, i=initializer: i.draw(key, (2, 3))
    return calls


CALLS = key_functions()
CASES = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


def test_no_public_function_that_takes_a_key_is_left_out() -> None:
    public = {name: getattr(gn, name) for name in gn.__all__}
    methods = {
        method
        for item in public.values()
        if inspect.isclass(item)
        for method, function in inspect.getmembers(item, inspect.isfunction)
        if not method.startswith("_") and takes_key(function)
    }
    assert methods <= {"init", "forward", "draw"}
    assert not [n for n, item in public.items() if inspect.isfunction(item) and takes_key(item)]
    drawn = {n for n in gn.figures.__all__ if takes_key(getattr(gn.figures, n))}
    assert {f"figures.{name}" for name in drawn} == {n for n in CALLS if n.startswith("figures.")}


@CASES
def test_keys_of_jax_are_keys(call: Call) -> None:
    typed, legacy = call(jax.random.key(7)), call(jax.random.PRNGKey(7))
    assert_same_bits(typed, legacy)
    words = np.array([0, 7], np.uint32)  # JAX's words for the seed 7
    assert_close(jax.tree.map(np.asarray, call(words)), jax.tree.map(np.asarray, typed), 1e-5)


@CASES
def test_anything_else_is_rejected_with_an_explanation(call: Call) -> None:
    first, second = (jax.tree.leaves(call(keys.key(seed))) for seed in (1, 2))
    if all(np.array_equal(a, b) for a, b in zip(first, second, strict=True)):
        return  # nothing is drawn, so the key is not used
    refused: dict[str, Any] = {
        r"key is 7, which is a seed: give gn\.keys\.key\(7\)": 7,
        r"key is 1\.5, but it must be a key: give gn\.keys\.key\(0\) or jax\.random\.key\(0\)": 1.5,
        "key is 'seed', but it must be a key": "seed",
        r"key has shape \(3, 2\), but one key is needed": np.zeros((3, 2), np.uint32),
        r"key has shape \(3,\), but one key": jax.random.split(jax.random.key(0), 3),
        "of 4 words, but glassnet's keys have 2": jax.random.key(0, impl="rbg"),
    }
    for message, key in refused.items():
        with pytest.raises(ConfigurationError, match=message):
            call(key)


def test_the_calls_that_draw_are_tested() -> None:
    drawn = {
        "keys.bits",
        "keys.permutation",
        "Dropout0.forward",
        "RandomShift0.forward",
        "Dense0.init",
    }
    drawn |= {"Periodic0.init", "Embedding0.init", "Network0.init", "Network0.forward", "he.draw"}
    for name in drawn:
        results = {str(jax.tree.leaves(CALLS[name](keys.key(seed)))) for seed in range(8)}
        assert len(results) > 1, name


def test_a_seed_may_be_a_key_of_jax() -> None:
    typed, legacy = keys.key(jax.random.key(7)), keys.key(jax.random.PRNGKey(7))
    assert np.array_equal(typed, [0, 7]) and np.array_equal(legacy, [0, 7])
    assert np.array_equal(keys.key(keys.key(7)), keys.key(7))
    for wrong in (1.5, "7", None, np.zeros(2), jax.random.split(jax.random.key(0))):
        with pytest.raises(ConfigurationError, match="key"):
            keys.key(wrong)


def test_keys_of_jax_are_taken_inside_compiled_functions() -> None:
    typed = jax.random.key(3)
    expected = keys.bits(jax.random.PRNGKey(3), (4,))
    assert_same_bits(jax.jit(lambda key: keys.bits(key, (4,)))(typed), expected)
    several = jax.random.split(typed, 3)
    drawn = jax.vmap(lambda key: keys.bits(key, (4,)))(several)
    assert_same_bits(drawn, jnp.stack([keys.bits(key, (4,)) for key in several]))


def test_training_takes_a_key_of_jax_as_its_seed() -> None:
    X = np.random.default_rng(0).normal(size=(20, 3))
    network = gn.Network([gn.Dense(4), "relu", gn.Dropout(0.5), gn.Dense(1)])
    one, other = (
        gn.train(network, X, X[:, 0], epochs=2, validation=0.2, seed=seed)
        for seed in (jax.random.key(3), jax.random.PRNGKey(3))
    )
    assert_same_bits(one.model.params, other.model.params)


def test_each_key_of_jax_sets_other_rows_aside() -> None:
    X = np.random.default_rng(0).normal(size=(20, 3))
    network = gn.Network([gn.Dense(1)])
    one, other = (
        network_job(network, X, X[:, 0], validation=0.2, seed=jax.random.key(seed))
        for seed in (3, 4)
    )
    assert not np.array_equal(one.validation[0].x, other.validation[0].x)


def test_a_trace_takes_a_key_of_jax_as_its_seed() -> None:
    X = np.random.default_rng(0).normal(size=(6, 3))
    network = gn.Network([gn.Dense(8), gn.Dropout(0.5), gn.Dense(1)])
    run = gn.train(network, X, X[:, 0], epochs=1)
    typed, legacy, other = (
        gn.trace(run, X, X[:, 0], seed=seed).layers[1].output
        for seed in (jax.random.key(3), jax.random.PRNGKey(3), jax.random.key(4))
    )
    assert_same_bits(typed, legacy)
    assert not np.array_equal(typed, other)
