"""Wrappers of optimizers, calibrated early stopping and time limits, each through a whole training."""

from __future__ import annotations

from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss

import glassnet as gn
from glassnet._precision import precision
from glassnet.errors import ConfigurationError
from glassnet.fit.estimator_inputs import estimator_job
from glassnet.nn.optimizer_wrappers import WRAPPERS
from glassnet.training.loop import TimeLimit
from glassnet.training.state import TEMPERATURES
from helpers import assert_same_bits, blobs

X, y = blobs(200, classes=3)
X = X.astype(np.float32)
HELD_OUT = blobs(90, classes=3, seed=0)
NET = gn.Network([gn.Dense(8), gn.BatchNorm(), gn.Tanh(), gn.Dropout(0.1), gn.Dense(3)])
PLAIN = gn.Network([gn.Dense(8), gn.Tanh(), gn.Dense(3)])


# --- every nesting of wrappers -----------------------------------------------------------------------

RATE, SHARE, STEPS = 0.2, 0.5, 7
VALUES = X @ np.array([1.0, -2.0, 0.5, 0.0], np.float32) + 0.3
LINE = gn.Network([gn.Dense(1)])


class HeavyBall:
    """Momentum in NumPy."""

    def __init__(self) -> None:
        self.velocity = 0.0

    def __call__(self, g: np.ndarray) -> np.ndarray:
        self.velocity = 0.9 * self.velocity + g
        return -RATE * self.velocity


INNERMOST = {
    "glassnet": gn.Momentum(RATE),
    "optax": optax.sgd(RATE, momentum=0.9),
}
NESTINGS = [kinds for depth in range(4) for kinds in product(["Clip", "Averaged"], repeat=depth)]


def nested(kinds: tuple[str, ...], innermost: Any) -> Any:
    """Return the optimizer inside these wrappers, the first one outermost; the inner ones clip harder."""
    for depth, kind in reversed(list(enumerate(kinds))):
        if kind == "Clip":
            innermost = gn.ClipByNorm(innermost, max_norm=1.0 / (1 + depth))
        else:
            innermost = gn.Averaged(innermost, share=SHARE)
    return innermost


def line_by_numpy(kinds: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return a linear regression's last weights and those used for prediction, by gradient descent."""
    with precision("float64"):
        params, _, _ = LINE.init(gn.keys.fold_in(gn.keys.key(0), 0), (4,))
    step_of = HeavyBall()
    rows = np.column_stack([X, np.ones(len(X))])
    w = mean = weights(params)
    for t in range(1, STEPS + 1):
        g = 2 * rows.T @ (rows @ w - VALUES) / len(rows)
        for depth, kind in enumerate(kinds):
            if kind == "Clip":
                g = g * min(1.0, 1 / (1 + depth) / np.linalg.norm(g))
        w = w + step_of(g)
        mean = mean + (w - mean) / (1 + SHARE * t)
    return w, mean if "Averaged" in kinds else w


def weights(params: Any) -> np.ndarray:
    return np.r_[np.asarray(params[0]["W"])[0], np.asarray(params[0]["b"])]


def test_every_wrapper_is_nested() -> None:
    assert set(WRAPPERS) == {gn.ClipByNorm, gn.Averaged}  # those that NESTINGS combines


@pytest.mark.parametrize("innermost", INNERMOST.values(), ids=INNERMOST)
@pytest.mark.parametrize("kinds", NESTINGS, ids=lambda kinds: "-".join(kinds) or "bare")
def test_every_nesting_of_wrappers_trains_as_numpy_does(kinds: Any, innermost: Any) -> None:
    optimizer = nested(kinds, innermost)
    settings = {"batch_size": None, "epochs": STEPS, "dtype": "float64", "optimizer": optimizer}
    if kinds.count("Averaged") > 1:
        with pytest.raises(ConfigurationError, match=r"One gn\.Averaged is inside another"):
            gn.train(LINE, X, VALUES, **settings)
        return
    run = gn.train(LINE, X, VALUES, **settings)
    last, predicting = line_by_numpy(kinds)
    np.testing.assert_allclose(weights(run.state.params), last, rtol=1e-6)
    np.testing.assert_allclose(weights(run.model.params), predicting, rtol=1e-6)


# --- averaged parameters --------------------------------------------------------------------------


def test_the_model_predicts_with_the_average_of_the_steps() -> None:
    """Compare with a loop of four lines, with one batch per epoch."""
    run = gn.train(
        PLAIN, X, y, optimizer=gn.Averaged(gn.SGD(0.3), share=0.5), batch_size=None, epochs=7
    )
    params, state, _ = PLAIN.init(gn.keys.fold_in(gn.keys.key(0), 0), (4,))
    loss, mean = gn.CrossEntropy(), params
    for step in range(1, 8):
        logits, state, cache = PLAIN.forward(params, state, X, train=True)
        _, grads = PLAIN.backward(params, cache, loss.gradient(logits, jnp.asarray(y)))
        params = jax.tree.map(lambda p, g: p - 0.3 * g, params, grads)
        mean = jax.tree.map(lambda m, p, t=step: m + (p - m) / (1 + 0.5 * t), mean, params)
    for ours, theirs in zip(jax.tree.leaves(run.model.params), jax.tree.leaves(mean), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    np.testing.assert_allclose(run.state.params[0]["W"], params[0]["W"], atol=1e-5)


@pytest.mark.parametrize(
    "optimizer", [gn.Averaged(gn.Adam(0.02)), gn.ClipByNorm(gn.Averaged(gn.SGD(0.1)))]
)
def test_the_validation_loss_is_that_of_the_average(optimizer: object) -> None:
    run = gn.train(
        NET,
        X,
        y,
        optimizer=optimizer,
        epochs=12,
        validation=HELD_OUT,
        early_stopping=gn.EarlyStopping(50),
    )
    measured = log_loss(HELD_OUT[1], run.model.predict_proba(HELD_OUT[0]))
    assert measured == pytest.approx(run.history["validation_loss"].min(), rel=1e-4)


def test_cutting_and_continuing_change_no_bit_of_the_average() -> None:
    settings = {"optimizer": gn.Averaged(gn.AdamW(0.01)), "batch_size": 32, "validation": HELD_OUT}
    whole = gn.train(NET, X, y, epochs=9, **settings)
    cut = gn.train(NET, X, y, epochs=9, chunk=2, **settings)
    first = gn.train(NET, X, y, epochs=4, **settings)
    rest = gn.train(NET, X, y, epochs=9, state=first.state, history=first.history, **settings)
    assert_same_bits(whole.model.params, cut.model.params)
    assert_same_bits(whole.state, rest.state)


def test_the_model_keeps_the_temperature_of_the_best_epoch() -> None:
    noisy = np.where(np.random.default_rng(0).random(len(y)) < 0.3, (y + 1) % 3, y)
    stopping = gn.EarlyStopping(30, calibrated=True)
    wide = gn.Network([gn.Dense(64), gn.Tanh(), gn.Dense(3)])
    held_out = (X[:80], noisy[:80])
    run = gn.train(
        wide,
        X[80:],
        noisy[80:],
        optimizer=gn.Adam(0.05),
        epochs=60,
        validation=held_out,
        early_stopping=stopping,
    )
    model, temperature = run.model, run.model.temperature
    best = run.history.best_epoch - 1
    assert run.history["temperature"][best] == pytest.approx(temperature)
    assert min(TEMPERATURES) <= temperature <= max(TEMPERATURES)
    logits = model.logits(held_out[0]) / temperature  # the network's own logits

    def loss_at(t: float) -> float:
        return log_loss(held_out[1], np.asarray(jax.nn.softmax(t * logits)))

    assert loss_at(temperature) == pytest.approx(run.history["validation_loss"].min(), rel=1e-4)
    assert loss_at(temperature) == min(loss_at(t) for t in TEMPERATURES)
    finest = minimize_scalar(loss_at, bounds=(0.2, 3), method="bounded").fun
    assert loss_at(temperature) - finest < 0.003  # the grid of temperatures is fine enough
    assert loss_at(temperature) < loss_at(1.0)  # there was something to calibrate


def test_a_calibrated_model_predicts_the_same_after_saving(tmp_path: object) -> None:
    model = gn.NeuralClassifier((8,), members=2, embedding="none", epochs=8, random_state=0).fit(
        X, y
    )
    assert model.model_.temperature != 1
    model.save(f"{tmp_path}/m")
    again = gn.load(f"{tmp_path}/m")
    assert again.temperature == model.model_.temperature
    assert_same_bits(again.predict_proba(X), model.predict_proba(X))


def test_training_ends_when_the_time_is_up() -> None:
    settings = {
        "members": 2,
        "embedding": "none",
        "epochs": 100_000,
        "early_stopping": gn.EarlyStopping(1e9),
    }
    model = gn.NeuralClassifier((8,), random_state=0, max_seconds=0.5, **settings).fit(X, y)
    assert model.status_ == "out of time"
    assert 0 < model.n_iter_ < 100_000
    assert model.score(X, y) > 0.5
    with pytest.raises(ConfigurationError, match="max_seconds"):
        TimeLimit(0)


def test_members_hold_out_different_rows_and_together_learn_from_all() -> None:
    model = gn.NeuralClassifier((4,), members=8, embedding="none", epochs=1, random_state=0)
    job = estimator_job(model, X, y)
    all_rows = sorted_rows(job.data[0].x, job.validation[0].x)
    for data, held_out in zip(job.data, job.validation, strict=True):
        assert (len(data.x), len(held_out.x)) == (175, 25)
        assert np.abs(np.bincount(held_out.y) - 25 / 3).max() <= 1  # a share of each class
        np.testing.assert_array_equal(sorted_rows(data.x, held_out.x), all_rows)
    watched = sorted_rows(*(held_out.x for held_out in job.validation))
    np.testing.assert_array_equal(watched, all_rows)


def sorted_rows(*parts: np.ndarray) -> np.ndarray:
    rows = np.concatenate(parts)
    return rows[np.lexsort(rows.T)]
