"""Divergence is located by step and layer, never reaches the weights, and can be rolled back."""

from __future__ import annotations

import pickle
import re
import warnings
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from typer.testing import CliRunner

import glassnet as gn
from glassnet import cli
from glassnet.errors import (
    ConfigurationError,
    DataWarning,
    DivergenceError,
    TrainingWarning,
)
from glassnet.fit.train import network_job
from glassnet.fit.variations import vary
from glassnet.nn.penalties import Penalty
from glassnet.training.divergence import Trouble, as_policy, where_it_began
from glassnet.training.jobs import finished_model, run_jobs
from glassnet.training.loop import start
from helpers import assert_same_bits, blobs

X, Y = blobs(50)
VALUES = (X @ [1.0, -2.0, 0.5, 0.0] + 0.3).astype(np.float32)
NET = gn.Network([gn.Dense(4), gn.ReLU(), gn.Dense(1)])
OPTIONS: dict[str, Any] = {"loss": "squared_error", "batch_size": 16, "epochs": 8}


RISING = gn.Momentum(gn.WarmUp(0.5, 160))  # its rate rises until training diverges


def diverge(net: Any = NET, x: Any = X, y: Any = VALUES, **changes: Any) -> DivergenceError:
    with pytest.raises(DivergenceError) as caught:
        gn.train(net, x, y, **(OPTIONS | changes))
    return caught.value


# --- where it begins ------------------------------------------------------------------------------


def by_numpy(rate: float, steps: int) -> tuple[int, str]:
    """Return the step and the part at which gradient descent breaks in float32, computed with NumPy."""
    job = network_job(NET, X, VALUES, **(OPTIONS | {"batch_size": None}))
    (one, _, two) = jax.tree.map(np.array, job.states[0].params)
    x, y = X.astype(np.float32), VALUES[:, None]
    with np.errstate(all="ignore"):
        for step in range(1, steps):
            z = x @ one["W"].T + one["b"]
            a = np.maximum(z, 0)
            out = a @ two["W"].T + two["b"]
            slope = (2 * (out - y) / np.float32(len(x))).astype(np.float32)
            hidden = (slope @ two["W"]) * (z > 0)
            seen = {
                "output of layer 0": z,
                "output of layer 2": out,
                "loss": np.mean((out - y) ** 2),
                "weights of layer 2": slope.T @ a,
                "back by layer 2": slope @ two["W"],
                "weights of layer 0": hidden.T @ x,
            }
            for name, numbers in seen.items():
                if not np.isfinite(numbers).all():
                    return step, name
            grads = [slope.T @ a, slope.sum(0), hidden.T @ x, hidden.sum(0)]
            if not np.isfinite(sum((g.astype(np.float32) ** 2).sum() for g in grads)):
                return step, "gradient grew beyond"
            steps_down = [np.float32(rate) * g for g in grads]
            two = {"W": two["W"] - steps_down[0], "b": two["b"] - steps_down[1]}
            one = {"W": one["W"] - steps_down[2], "b": one["b"] - steps_down[3]}
    raise AssertionError("it did not break")


@pytest.mark.parametrize("rate", [0.9, 5.0, 1e4, 1e12, 1e30])
def test_numpy_breaks_at_the_same_step_and_layer(rate):
    error = diverge(batch_size=None, epochs=60, optimizer=gn.SGD(rate))
    step, where = by_numpy(rate, 60)
    assert (error.step, error.epoch) == (step, step)
    assert where in error.where and error.where in str(error)
    assert error.learning_rate == pytest.approx(rate) and f"{rate:g}" in str(error)
    assert len(str(error)) < 480


@dataclass(frozen=True)
class Breaks(gn.Layer):
    """Return the input, but break one of the passes after some steps, which the only weight counts."""

    forward_: bool
    number: float = float("nan")

    def init(self, key: Any, in_shape: Any) -> Any:
        return {"count": np.ones(1, np.float32)}, {}, in_shape

    def forward(self, params: Any, state: Any, x: Any, **context: Any) -> Any:
        over = params["count"] < 0.35  # its gradient is 1: each step subtracts the learning rate
        return jnp.where(over & self.forward_, self.number, x), state, over

    def backward(self, params: Any, cache: Any, dy: Any) -> Any:
        return jnp.where(cache & (not self.forward_), self.number, dy), {"count": jnp.ones(1)}


@pytest.mark.parametrize(
    ("layer", "where"),
    [
        (Breaks(True), r"output of layer 1\.1 \(Breaks\) became undefined \(NaN\) in the forward"),
        (Breaks(True, np.inf), r"output of layer 1\.1 \(Breaks\) became infinite in the forward"),
        (Breaks(False), r"passed back by layer 1\.1 \(Breaks\) became undefined .* backward pass"),
    ],
)
def test_a_layer_inside_a_nested_network_is_named(layer, where):
    inner = gn.Network(["tanh", layer])
    net = gn.Network([gn.Dense(3), inner, gn.Dense(1)])
    error = diverge(net, optimizer=gn.SGD(0.1))
    assert error.step == 8 and error.epoch == 2  # 1 - 7 · 0.1 < 0.35, and four steps an epoch
    assert re.search(where, error.where)


def first_broken_part(loss: Any = "squared_error", **arrays: Any) -> str:
    """Return the part of a step on one batch that breaks."""
    job = network_job(NET, X, VALUES, **(OPTIONS | {"loss": loss}))
    batch = job.data[0].at(slice(0, 16))
    state = job.states[0]
    if "params" in arrays:
        state = state._replace(params=arrays["params"](state.params))
    return where_it_began(job.plan, state, batch._replace(**arrays.get("batch", {})), Penalty())


def test_each_part_of_a_step_that_breaks_is_named():
    def steep(logits: Any, target: Any) -> Any:
        return jnp.sqrt(jnp.abs(logits - logits)).sum(1)  # finite, but its gradient is 0 / 0

    def high(logits: Any, target: Any) -> Any:
        return logits[:, 0] * 0 + jnp.inf

    def ruin(params: Any) -> Any:
        return (*params[:2], params[2] | {"b": np.array([np.inf], np.float32)})

    def large(params: Any) -> Any:
        return (
            params[0],
            *params[1:2],
            {"W": params[2]["W"] * np.float32(1e18), "b": params[2]["b"]},
        )

    assert first_broken_part() == ""
    assert (
        first_broken_part(params=ruin)
        == "the previous update made the weights of layer 2 (Dense) infinite"
    )
    assert (
        first_broken_part(batch={"x": np.full((16, 4), np.nan)})
        == "the inputs are undefined (NaN) in float32"
    )
    assert first_broken_part(gn.CustomLoss(high)).startswith("the loss became infinite though")
    assert (
        first_broken_part(gn.CustomLoss(steep)) == "the gradient of the loss became undefined (NaN)"
    )
    assert "grew beyond what float32 can hold" in first_broken_part(params=large)


def test_unknown_numbers_are_left_out_of_the_message():
    message = str(Trouble(3, 1, float("nan"), "", float("nan")))
    assert "nan" not in message.lower().replace("(nan)", "") or "largest" in message
    assert "the loss or its gradient became infinite or undefined. Try" in message
    error = Trouble(3, 1, 0.5, "x", 1.0).error()
    again = pickle.loads(pickle.dumps(error))  # as joblib sends it between processes
    assert (again.step, again.epoch, again.learning_rate, again.where) == (3, 1, 0.5, "x")
    assert str(again) == str(error)


# --- the last good state --------------------------------------------------------------------------


def test_the_error_does_not_depend_on_where_the_run_is_cut():
    changes = {"optimizer": RISING, "epochs": 40}
    errors = [diverge(chunk=chunk, **changes) for chunk in (1, 2, 3, 40, None)]
    first = errors[0]
    for error in errors[1:]:
        assert str(error) == str(first)
        assert_same_bits((error.state, error.model.params), (first.state, first.model.params))
        assert_same_bits(error.history.to_dict(), first.history.to_dict())
    losses = first.history["loss"]
    assert first.history.n_epochs == first.epoch
    lowest = int(np.argmin(np.where(np.isfinite(losses), losses, np.inf)))
    assert int(first.state.epoch) == lowest > 2  # the start of the epoch of the lowest loss
    assert np.isfinite(first.model.predict(X)).all()
    good = gn.train(NET, X, VALUES, **(OPTIONS | changes | {"epochs": lowest}))
    assert_same_bits(first.model.params, good.model.params)


def test_training_continues_from_the_state_in_the_error():
    error = diverge(optimizer=gn.Momentum(0.3), epochs=40)
    slower = gn.train(
        NET,
        X,
        VALUES,
        state=error.state,
        history=error.history,
        **(OPTIONS | {"optimizer": gn.Momentum(1e-3), "epochs": 20}),
    )
    assert slower.history["epoch"].tolist() == list(range(1, 21))
    assert np.isfinite(slower.history["loss"]).all() and slower.status == "finished"


def test_stop_keeps_the_last_good_model():
    with pytest.warns(TrainingWarning, match="diverged at step .* last good one"):
        run = gn.train(
            NET, X, VALUES, **(OPTIONS | {"optimizer": gn.SGD(1e30)}), on_divergence="stop"
        )
    assert run.status == "diverged" and not np.isfinite(run.history["loss"][-1])
    assert np.isfinite(run.model.predict(X)).all()


def test_an_epoch_whose_update_overflows_is_never_the_best():
    """Gradient and loss are finite, but the weights after the step are not."""
    changes = {"optimizer": gn.SGD(3e38), "batch_size": None, "early_stopping": True}
    error = diverge(x=X * 10, **changes)
    assert error.epoch == 1 and "the previous update made the weights of layer" in error.where
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(error.model.params))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(error.state.best.params))


def test_an_epoch_with_infinite_weights_is_never_the_best():
    """With a bias of -inf before softplus, the outputs and the score of this epoch are finite."""
    net = gn.Network([gn.Dense(1), "softplus", gn.Dense(1)])
    zeros, low = np.zeros((4, 1), np.float32), np.full(4, -1e12, np.float32)
    options = {
        "loss": "absolute_error",
        "optimizer": gn.SGD(1e30),
        "batch_size": None,
        "validation": (zeros, low),
        "early_stopping": True,
    }
    state = gn.train(net, zeros, low, epochs=0, **options).state
    large = state.params[2] | {"W": np.full((1, 1), 1e10, np.float32)}
    state = state._replace(params=(*state.params[:2], large))
    error = diverge(net, zeros, low, epochs=3, state=state, **options)
    assert np.isfinite(error.history["validation_loss"]).all() and error.epoch == 1
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(error.model.params))


def test_the_batch_that_breaks_is_the_one_examined():
    rows = X.copy()
    rows[7, 0] = 1e30  # one row, in one batch of four
    error = diverge(x=rows, optimizer=gn.SGD(1e-3))
    assert error.epoch == 1 and error.where and "is 1e+30)" in str(error)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_never_wins_and_later_ones_can(number):
    """The validation loss is `number` in the epochs in which the weight of `Odd` is in an interval."""

    @dataclass(frozen=True)
    class Odd(Breaks):
        def forward(
            self, params: Any, state: Any, x: Any, *, train: bool = False, **context: Any
        ) -> Any:
            odd = (params["count"] > 0.65) & (params["count"] < 0.85) & (not train)
            return jnp.where(odd, jnp.nan, x), state, odd & False

        # otherwise it would be derived from this forward, which does not count steps
        backward = Breaks.backward

    def loss(logits: Any, target: Any) -> Any:
        plain = ((logits - target) ** 2).sum(1)
        return jnp.where(jnp.isnan(plain), number, plain)

    net = gn.Network([gn.Dense(1), Odd(False)])
    run = gn.train(
        net,
        X,
        VALUES[:, None],
        loss=gn.CustomLoss(loss),
        batch_size=None,
        epochs=9,
        optimizer=gn.SGD(0.05),
        validation=(X, VALUES[:, None]),
        early_stopping=gn.EarlyStopping(50),
    )
    scores = run.history["validation_loss"]
    assert 0 < np.isfinite(scores).sum() < len(scores) and not np.isfinite(scores[4])
    best = int(run.state.best.epoch)
    assert run.status == "finished" and best == run.history.best_epoch
    assert scores[best - 1] == scores[np.isfinite(scores)].min() == float(run.state.best.score)


# --- rollback -------------------------------------------------------------------------------------

BACK: dict[str, Any] = OPTIONS | {
    "optimizer": RISING, "epochs": 40, "on_divergence": gn.Rollback(12),
}  # fmt: skip


def train_with_rollback(**changes: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        return gn.train(NET, X, VALUES, **(BACK | changes))


def everything(run: Any) -> Any:
    return run.state, run.history.to_dict(), run.model.params, run.status


def test_rollback_halves_the_rate_until_training_succeeds():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        run = gn.train(NET, X, VALUES, **BACK)
    messages = [str(warning.message) for warning in seen if warning.category is TrainingWarning]
    assert messages and all(
        re.search(rf"Rolled back to .* with {0.5**k:g} of .* \(rollback {k} of 12\)", text)
        for k, text in enumerate(messages, start=1)
    )
    rates = run.history["learning_rate"]
    halvings = np.log2(0.5 * np.arange(4, 161, 4) / 160 / rates)
    assert run.status == "finished" and round(float(halvings[-1])) == len(messages)
    np.testing.assert_allclose(halvings, np.round(halvings), atol=1e-5)
    assert abs(halvings[0]) < 1e-5  # it never returned to the start
    assert (np.diff(halvings) > -1e-5).all()
    assert run.history["epoch"].tolist() == list(range(1, 41))
    assert run.history["loss"][-1] < run.history["loss"][0]


def test_rollback_does_not_depend_on_where_the_run_is_cut():
    first = train_with_rollback()
    for chunk in (1, 3, 40):
        assert_same_bits(everything(train_with_rollback(chunk=chunk)), everything(first))


def test_a_run_with_rollbacks_resumes_from_checkpoints(tmp_path):
    whole = train_with_rollback()
    for epoch in (1, 2, 5, 20):
        train_with_rollback(
            checkpoint=tmp_path, every=1, resume=True, callbacks=[lambda e, n=epoch: e.epoch >= n]
        )
    assert_same_bits(
        everything(train_with_rollback(checkpoint=tmp_path, resume=True)), everything(whole)
    )


def test_no_checkpoint_holds_a_state_that_raises(tmp_path):
    with pytest.raises(DivergenceError):
        gn.train(
            NET, X, VALUES, **(BACK | {"on_divergence": "raise"}), checkpoint=tmp_path, every=1
        )
    finished = train_with_rollback(
        checkpoint=tmp_path, every=1, resume=True
    )  # the same run, with rollbacks
    assert finished.status == "finished"
    with pytest.warns(TrainingWarning):
        settings = BACK | {"on_divergence": "stop"}
        stopped = gn.train(NET, X, VALUES, **settings, checkpoint=tmp_path / "s", every=1)
    with pytest.warns(TrainingWarning, match="diverged at step"):
        again = gn.train(NET, X, VALUES, **settings, checkpoint=tmp_path / "s", resume=True)
    assert_same_bits(everything(again), everything(stopped))


def test_rollbacks_end_after_the_given_number():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        error = diverge(optimizer=gn.SGD(1e30), on_divergence=gn.Rollback(2, 0.1))
    assert error.learning_rate == pytest.approx(1e28, rel=1e-4)


def test_rollback_slows_any_schedule():
    run = train_with_rollback(optimizer=gn.Momentum(gn.WarmUp(gn.Cosine(0.5), 3)))
    plain = gn.WarmUp(gn.Cosine(0.5), 3).bind(40 * 4)
    factor = run.history["learning_rate"][-2] / float(plain.rate(39 * 4 - 1))
    assert factor < 1 and np.log2(factor) == pytest.approx(round(np.log2(factor)), abs=1e-4)


def test_impossible_policies_are_refused():
    with pytest.raises(ConfigurationError, match="cannot be changed from outside"):
        gn.train(NET, X, VALUES, optimizer=optax.sgd(0.1), on_divergence="rollback")
    with pytest.raises(ConfigurationError, match="Did you mean 'rollback'"):
        as_policy("rolback")
    with pytest.raises(ConfigurationError, match="'raise', 'stop', 'rollback'"):
        gn.NeuralClassifier(on_divergence=None).fit(X, Y)
    for wrong in ({"times": 0}, {"factor": 1.0}, {"factor": 0.0}):
        with pytest.raises(ConfigurationError, match="Rollback's"):
            gn.Rollback(**wrong)


# --- one network of several------------------------------------------------------------------------


def test_a_network_that_diverges_affects_no_other_and_can_roll_back():
    outcomes = {}
    for policy in ("raise", gn.Rollback(60)):
        job = network_job(NET, X, VALUES, **(OPTIONS | {"optimizer": "sgd"}), on_divergence=policy)
        varied = [vary(job, {"learning_rate": rate}) for rate in (0.01, 10.0, 0.02)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TrainingWarning)
            outcomes[str(policy)] = [outcome for (outcome,) in run_jobs(varied)]
    without_rollback, rolled_back = outcomes.values()
    assert [outcome.status for outcome in without_rollback] == ["finished", "diverged", "finished"]
    assert [outcome.status for outcome in rolled_back] == ["finished"] * 3
    for k in (0, 2):
        assert_same_bits(without_rollback[k][:2], rolled_back[k][:2])
    separate = train_with_rollback(optimizer=gn.SGD(10.0), epochs=8, on_divergence=gn.Rollback(60))
    np.testing.assert_allclose(rolled_back[1].history["loss"], separate.history["loss"], rtol=1e-3)
    np.testing.assert_array_equal(rolled_back[1].history["epoch"], np.arange(8) + 1)
    with pytest.warns(DataWarning, match="1 of 3 members diverged and are left out"):
        model = finished_model(job.blueprint, without_rollback)
    assert model.members == 2 and without_rollback[1].trouble is not None


def test_estimators_can_stop_or_roll_back_and_do_not_end_a_search():
    diverging = gn.NeuralRegressor(
        (4,), members=2, epochs=4, random_state=0, optimizer=gn.SGD(1e30)
    )
    with pytest.raises(DivergenceError) as caught:
        clone(diverging).fit(X, VALUES)
    assert caught.value.model.predict(X).shape == (50,) and caught.value.model.members == 2
    with pytest.warns(TrainingWarning, match="last good one"):
        stopped = clone(diverging).set_params(on_divergence="stop").fit(X, VALUES)
    assert stopped.status_ == "diverged" and stopped.n_iter_ >= 1
    assert np.isfinite(stopped.predict(X)).all()
    with pytest.warns(TrainingWarning, match="Rolled back"):
        rolled_back = (
            clone(diverging).set_params(on_divergence=gn.Rollback(200, 0.1)).fit(X, VALUES)
        )
    assert rolled_back.status_ == "finished" and np.isfinite(rolled_back.predict(X)).all()
    rates = {"optimizer": [gn.SGD(1e30), gn.SGD(0.01)]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of fits that failed
        search = GridSearchCV(diverging, rates, cv=2, error_score=np.nan).fit(X, VALUES)
    assert search.best_params_["optimizer"] == gn.SGD(0.01)


def test_the_command_keeps_the_last_good_model_if_asked(tmp_path):
    table, out = tmp_path / "d.csv", tmp_path / "m.glassnet"
    table.write_text("\n".join(["a,b,value", *(f"{a},{b},{a - b}" for a, b in X[:, :2])]))
    command = [
        "train",
        table,
        "-t",
        "value",
        "--optimizer",
        "sgd",
        "--learning-rate",
        "1e30",
        "--epochs",
        "2",
        "--hidden",
        "4",
        "--members",
        "2",
        "--out",
        out,
    ]
    raised = CliRunner().invoke(cli.app, [*map(str, command)])
    assert (
        raised.exit_code == 5 and "Error: Training diverged" in raised.stderr and not out.exists()
    )
    stopped = CliRunner().invoke(cli.app, [*map(str, command), "--on-divergence", "stop"])
    assert stopped.exit_code == 5 and "Warning: Training diverged at step" in stopped.stderr
    assert np.isfinite(gn.load(out).predict({"a": X[:, 0], "b": X[:, 1]})).all()


def test_after_divergence_in_the_first_epoch_the_last_good_state_is_the_start():
    error = diverge(optimizer=gn.SGD(1e30))
    job = network_job(NET, X, VALUES, **OPTIONS)
    fresh, _ = start(job.plan, NET, "sgd", (4,), job.keys[0])
    assert error.epoch == 1 and int(error.state.epoch) == 0
    assert_same_bits(error.state.params, fresh.params)
