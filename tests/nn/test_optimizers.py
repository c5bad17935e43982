"""Optimizers and schedules equal those of optax step by step, and their numbers are traced values."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from glassnet._precision import precision
from glassnet.errors import ConfigurationError
from glassnet.fit.train import train
from glassnet.nn.layers import Dense
from glassnet.nn.network import Network
from glassnet.nn.optimizer_wrappers import (
    Averaged,
    ClipByNorm,
    Transformation,
    as_optimizer,
    bind_schedules,
)
from glassnet.nn.optimizers import OPTIMIZERS, SGD, Adam, AdamW, Momentum, RMSprop
from glassnet.nn.schedules import (
    SCHEDULES,
    Constant,
    Cosine,
    Exponential,
    OneCycle,
    Schedule,
    Step,
    WarmUp,
)
from glassnet.training.loop import as_leaves
from helpers import assert_close, assert_same_bits, blobs

pytestmark = pytest.mark.lowest

STEPS = 100

SAME_IN_OPTAX = {  # one for every row of OPTIMIZERS
    "sgd": optax.sgd(0.01),
    "momentum": optax.sgd(0.01, momentum=0.9),
    "nesterov": optax.sgd(0.01, momentum=0.9, nesterov=True),
    "rmsprop": optax.rmsprop(1e-3, decay=0.9, eps=1e-8, eps_in_sqrt=False),
    "adam": optax.adam(1e-3),
    "adamw": optax.adamw(1e-3, weight_decay=0.01),
}
PAIRS = {
    **{name: (OPTIMIZERS[name], SAME_IN_OPTAX[name]) for name in OPTIMIZERS},
    "adam, no defaults": (Adam(0.05, 0.7, 0.9, 1e-3), optax.adam(0.05, 0.7, 0.9, 1e-3)),
    "adamw, strong": (AdamW(0.05, 0.3), optax.adamw(0.05, weight_decay=0.3)),
    "rmsprop, no defaults": (
        RMSprop(0.02, 0.5, 1e-2),
        optax.rmsprop(0.02, decay=0.5, eps=1e-2, eps_in_sqrt=False),
    ),
    "clipped": (
        ClipByNorm(Momentum(0.05, 0.8), 1.5),
        optax.chain(optax.clip_by_global_norm(1.5), optax.sgd(0.05, momentum=0.8)),
    ),
    "clipped optax": (
        as_optimizer(ClipByNorm(optax.adam(0.05), 1.5)),
        optax.chain(optax.clip_by_global_norm(1.5), optax.adam(0.05)),
    ),
    "adam on a cosine": (
        Adam(Cosine(0.1, steps=60)),
        optax.adam(optax.cosine_decay_schedule(0.1, 60)),
    ),
    "momentum on a staircase": (
        Momentum(Step(0.1, factor=0.5, every=30)),
        optax.sgd(
            optax.piecewise_constant_schedule(0.1, {30: 0.5, 60: 0.5, 90: 0.5}), momentum=0.9
        ),
    ),
    "adamw on a cosine": (
        AdamW(Cosine(0.1, steps=60), 0.1),
        optax.adamw(optax.cosine_decay_schedule(0.1, 60), weight_decay=0.1),
    ),
}

START = {"W": np.linspace(-1, 1, 6).reshape(2, 3), "b": np.array([0.5, -2.0])}
CURVES = {"W": np.linspace(0.1, 3, 6).reshape(2, 3), "b": np.array([1.0, 0.3])}


def trajectory(optimizer: Any, dtype: str, update: Any = None) -> Any:
    """Return the parameters after each of 100 steps on a noisy quadratic function."""
    params = jax.tree.map(partial(jnp.asarray, dtype=dtype), START)
    curves = jax.tree.map(partial(jnp.asarray, dtype=dtype), CURVES)
    noise = jnp.asarray(np.random.default_rng(0).normal(size=(STEPS, 2, 3)), dtype)
    update = update or optimizer.update

    def step(carry: Any, noise: Any) -> Any:
        params, state = carry
        grads = jax.tree.map(jnp.multiply, curves, params)
        grads = {"W": grads["W"] + noise, "b": grads["b"] + noise[:, 0]}
        updates, state = update(grads, state, params)
        params = jax.tree.map(jnp.add, params, updates)
        return (params, state), params

    run = jax.jit(lambda noise: jax.lax.scan(step, (params, optimizer.init(params)), noise)[1])
    return run(noise)


def test_every_optimizer_has_its_counterpart() -> None:
    assert set(SAME_IN_OPTAX) == set(OPTIMIZERS)


PAIRS_AND_DTYPES = [
    pytest.param(*pair, dtype, id=f"{name}, {dtype}")
    for name, pair in PAIRS.items()
    for dtype in (["float32", "float64"] if name in OPTIMIZERS else ["float64"])
]


@pytest.mark.parametrize(("ours", "theirs", "dtype"), PAIRS_AND_DTYPES)
def test_a_hundred_steps_equal_those_of_optax(ours: Any, theirs: Any, dtype: str) -> None:
    tolerance = {"float32": 1e-5, "float64": 1e-12}[dtype]
    with precision(dtype):
        mine = trajectory(as_leaves(ours), dtype)  # with arrays, as in a training program
        assert_close(mine, trajectory(theirs, dtype), tolerance)
        assert {leaf.dtype for leaf in jax.tree.leaves(mine)} == {np.dtype(dtype)}
        assert np.abs(mine["W"][-1] - START["W"]).max() > 1e-3  # the parameters have changed


def test_an_averaged_optimizer_steps_as_the_one_inside() -> None:
    assert_close(trajectory(Averaged(Adam(0.05)), "float32"), trajectory(Adam(0.05), "float32"), 0)
    assert as_optimizer(Averaged("sgd")).optimizer == SGD()
    bound = bind_schedules(Averaged(Adam(OneCycle(0.1))), 70)
    assert bound.optimizer.learning_rate.steps == 70


def test_the_average_weights_the_last_share_of_the_steps() -> None:
    points = np.random.default_rng(0).normal(size=(400, 2))
    whole, recent, expected = points[0], points[0], points[0]
    for step, point in enumerate(points[1:], start=1):
        whole = Averaged(share=1.0).average(whole, point, step)
        recent = Averaged(share=0.1).average(recent, point, step)
        expected = expected + (point - expected) / (1 + 0.1 * step)
    np.testing.assert_allclose(whole, points.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(recent, expected, atol=1e-5)
    counts = Averaged().average({"n": jnp.array(1)}, {"n": jnp.array(5)}, 3)
    assert counts["n"] == 5  # whole numbers are not averaged


def test_weight_decay_is_masked_as_in_optax() -> None:
    mask = {"W": 1.0, "b": 0.0}
    ours = AdamW(0.05, 0.3)
    theirs = optax.adamw(0.05, weight_decay=0.3, mask={"W": True, "b": False})
    with precision("float64"):
        masked = trajectory(ours, "float64", partial(ours.update, decay=mask))
        assert_close(masked, trajectory(theirs, "float64"), 1e-12)
        plain = trajectory(Adam(0.05), "float64")
    np.testing.assert_array_equal(masked["b"], plain["b"])
    assert np.abs(masked["W"] - plain["W"]).max() > 0.01


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_state_counts_good_steps_and_no_others(name: str) -> None:
    optimizer, params = OPTIMIZERS[name], jax.tree.map(partial(jnp.asarray, dtype="float32"), START)
    _, first = optimizer.update(params, optimizer.init(params), params)
    plain = optimizer.update(params, first, params)
    assert (first.step, plain[1].step) == (1, 2)
    assert_close(optimizer.update(params, first, params, ok=jnp.array(True)), plain, 1e-6)
    assert_same_bits(optimizer.update(params, first, params, ok=jnp.array(False))[1], first)


def test_training_decays_weights_and_nothing_else() -> None:
    X, y = blobs(12)
    net = Network([Dense(3)])
    # the first steps differ only in the decay, so only the weights may differ
    plain, decayed = (
        train(net, X, y, optimizer=o, epochs=1, batch_size=None, dtype="float64").state.params[0]
        for o in (Adam(0.1), AdamW(0.1, 0.5))
    )
    np.testing.assert_array_equal(plain["b"], decayed["b"])
    assert np.abs(plain["W"] - decayed["W"]).max() > 0.01


# --- schedules ------------------------------------------------------------------------------------

RATES = {  # each schedule and its counterpart in optax
    "Constant": (Constant(0.1), optax.constant_schedule(0.1)),
    "Step": (Step(0.1, 0.5, 10), optax.exponential_decay(0.1, 10, 0.5, staircase=True)),
    "Exponential": (Exponential(0.1, 0.01, 40), optax.exponential_decay(0.1, 40, 0.01)),
    "Cosine": (Cosine(0.1, 0.02, 40), optax.cosine_decay_schedule(0.1, 40, alpha=0.2)),
    "WarmUp": (
        WarmUp(Cosine(0.1, 0.0, 30), 5),
        optax.join_schedules(
            [optax.linear_schedule(0.02, 0.1, 4), optax.cosine_decay_schedule(0.1, 30)], [5]
        ),
    ),
    "OneCycle": (
        OneCycle(0.1, steps=40),
        optax.cosine_onecycle_schedule(40, 0.1, 0.3, div_factor=25, final_div_factor=1e4 / 25),
    ),
}


def test_every_schedule_has_its_counterpart() -> None:
    assert set(RATES) == set(SCHEDULES)
    assert {type(ours) for ours, _ in RATES.values()} == set(SCHEDULES.values())


@pytest.mark.parametrize(("ours", "theirs"), RATES.values(), ids=RATES)
def test_learning_rates_equal_those_of_optax(ours: Any, theirs: Any) -> None:
    with precision("float64"):
        steps = jnp.arange(45)  # beyond the end too
        np.testing.assert_allclose(
            jnp.broadcast_to(ours.rate(steps), steps.shape),
            [float(theirs(step)) for step in range(45)],
            rtol=1e-9,
        )


def test_schedules_are_bound_to_the_length_of_the_run_unless_they_have_one() -> None:
    assert bind_schedules(ClipByNorm(Adam(OneCycle(0.1))), 70).optimizer.learning_rate.steps == 70
    assert bind_schedules(Adam(OneCycle(0.1, steps=30)), 70).learning_rate.steps == 30
    assert bind_schedules(SGD(WarmUp(Cosine(0.1), 20)), 70).learning_rate.after.steps == 50
    assert bind_schedules(SGD(0.1), 70) == SGD(0.1)
    assert all(isinstance(ours, Schedule) for ours, _ in RATES.values())
    with pytest.raises(ValueError, match="no length yet"):
        Cosine(0.1).rate(0)


def test_the_history_records_the_learning_rate_of_the_schedule() -> None:
    X, y = blobs(30)
    run = train(Network([Dense(3)]), X, y, optimizer=Adam(Cosine(0.1)), epochs=4, batch_size=8)
    last_steps = np.array([4, 8, 12, 16]) - 1
    expected = 0.05 * (1 + np.cos(math.pi * last_steps / 16))
    np.testing.assert_allclose(run.history["learning_rate"], expected, rtol=1e-5)


# --- programs -------------------------------------------------------------------------------------


def test_hyperparameters_are_traced_and_compile_nothing() -> None:
    params = jax.tree.map(partial(jnp.asarray, dtype=jnp.float32), START)

    @jax.jit
    def step(optimizer: Any, params: Any) -> Any:
        return optimizer.update(params, optimizer.init(params), params)[0]

    variations = [
        [SGD(0.1), SGD(0.2)],
        [Momentum(0.1), Momentum(0.2, 0.5), Momentum(0.3, nesterov=True)],
        [RMSprop(), RMSprop(0.1, 0.5, 0.1)],
        [Adam(), Adam(0.1, 0.5, 0.5, 0.1)],
        [AdamW(), AdamW(0.1, 0.5, 0.5, 0.5, 0.1)],
        [ClipByNorm(), ClipByNorm(Adam(0.5), 7.0)],
        [SGD(Cosine(0.1, steps=5)), SGD(Cosine(0.2, 0.1, steps=9))],
        [SGD(WarmUp(0.1, 3)), SGD(WarmUp(0.2, 5))],
    ]
    for settings in variations:
        before = step._cache_size()
        updates = [step(as_leaves(optimizer), params) for optimizer in settings]
        assert step._cache_size() == before + 1
        assert np.abs(updates[0]["W"] - updates[1]["W"]).max() > 0  # but the result changes


def test_learning_rates_can_be_swept_by_vmap() -> None:
    rates = jnp.array([0.1, 0.2, 0.4])
    swept = jax.vmap(lambda rate: trajectory(Adam(rate), "float32")["W"])(rates)
    for rate, W in zip(rates, swept, strict=True):
        np.testing.assert_allclose(W, trajectory(Adam(rate), "float32")["W"], rtol=1e-5, atol=1e-6)


def test_clipping_leaves_short_and_zero_gradients_as_they_are() -> None:
    clipped = ClipByNorm(SGD(1.0), 5.0)
    for g in ([3.0, 4.0], [0.3, 0.4], [0.0, 0.0]):
        grads = jnp.array(g)
        np.testing.assert_array_equal(clipped.update(grads, clipped.init(grads))[0], -grads)


TRANSFORMATIONS = {
    "adam": optax.adam(0.05),
    "lion on a schedule": optax.lion(optax.cosine_decay_schedule(0.01, 50)),
    "chain": optax.chain(optax.clip(0.5), optax.trace(0.9), optax.scale(-0.05)),
    "lamb": optax.lamb(0.05),
    "masked decay": optax.masked(optax.sgd(0.05), mask=lambda p: jax.tree.map(lambda _: True, p)),
    "injected": optax.inject_hyperparams(optax.sgd)(learning_rate=0.05),
    "accumulated": optax.MultiSteps(optax.sgd(0.05), every_k_schedule=2).gradient_transformation(),
    "adafactor": optax.adafactor(0.05),
}


@pytest.mark.parametrize("transformation", TRANSFORMATIONS.values(), ids=TRANSFORMATIONS)
def test_any_optax_transformation_trains(transformation: Any) -> None:
    X, y = blobs(24)
    net = Network([Dense(3)])
    run = train(net, X, y, optimizer=transformation, epochs=20, batch_size=8)
    assert run.history.n_epochs == 20
    assert run.history["loss"][-1] < 0.9 * run.history["loss"][0]
    assert np.isnan(run.history["learning_rate"]).all()  # glassnet cannot see it


def test_a_training_with_adam_equals_one_with_the_adam_of_optax() -> None:
    X, y = blobs(24)
    net = Network([Dense(3)])
    ours, theirs = (
        train(net, X, y, optimizer=o, epochs=20, batch_size=8, dtype="float64").state.params
        for o in (Adam(0.05), optax.adam(0.05))
    )
    assert_close(ours, theirs, 1e-10)


def test_as_optimizer_accepts_names_objects_and_optax() -> None:
    assert as_optimizer("adam") == Adam()
    assert as_optimizer(Adam(0.1)) == Adam(0.1)
    assert isinstance(as_optimizer(optax.sgd(0.1)), Transformation)
    assert isinstance(as_optimizer(ClipByNorm(optax.sgd(0.1))).optimizer, Transformation)
    assert as_optimizer(ClipByNorm("sgd")).optimizer == SGD()
    for wrong in ("adm", 0.1, None, Adam, object()):
        with pytest.raises(ConfigurationError, match="adam"):
            as_optimizer(wrong)
