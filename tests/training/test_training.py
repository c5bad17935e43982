"""Training gives the same bits wherever it is cut or continued, and one clear error for each bad input."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glassnet import _compile, keys
from glassnet._compile import program_count
from glassnet._precision import precision
from glassnet.data.splits import split
from glassnet.errors import ConfigurationError, DataError, DivergenceError, GlassnetError
from glassnet.fit.sweeps import sweep
from glassnet.fit.train import train
from glassnet.nn.activations import Tanh
from glassnet.nn.layers import BatchNorm, Dense, Dropout
from glassnet.nn.losses import CrossEntropy
from glassnet.nn.network import Network
from glassnet.nn.optimizer_wrappers import ClipByNorm
from glassnet.nn.optimizers import SGD, Adam
from glassnet.training import program
from glassnet.training.batches import Data, epoch_batches, padding, take
from glassnet.training.history import History
from glassnet.training.loop import CAPACITY, EarlyStopping
from helpers import assert_close, assert_same_bits, blobs

X, Y = blobs(50)
VALUES = X @ [1.0, -2.0, 0.5, 0.0] + 0.3
FULL = Network([Dense(6), BatchNorm(), "relu", Dropout(0.3), Dense(3)])
SMALL = Network([Dense(5), Tanh(), Dense(3)])
LINE = Network([Dense(1)])


def full_run(**changes: Any) -> Any:
    """Return a run with dropout, batch norm, short batches, validation and early stopping."""
    settings: dict[str, Any] = {
        "optimizer": Adam(0.02),
        "batch_size": 16,
        "epochs": 43,
        "validation": 0.2,
        "early_stopping": EarlyStopping(patience=12),
        "l2": 1e-3,
        "metrics": ["accuracy"],
    }
    return train(FULL, X, Y, **(settings | changes))


def everything(run: Any) -> Any:
    return run.state, run.history.to_dict(), run.model.params, run.model.layer_state, run.status


# --- the same bits --------------------------------------------------------------------------------


def test_cuts_and_callbacks_change_no_bit() -> None:
    whole = full_run()
    assert whole.history.n_epochs > 13
    for changes in ({"chunk": 1}, {"chunk": 7}, {"chunk": 40}, {"callbacks": [lambda event: None]}):
        run = full_run(**changes)
        assert_same_bits(everything(run)[0], everything(whole)[0])
        assert everything(run)[1] == everything(whole)[1] and run.status == whole.status
        assert_same_bits(everything(run)[2:4], everything(whole)[2:4])


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    assert_same_bits(full_run(epochs=3).state, full_run(epochs=3).state)
    one, other = full_run(epochs=3).model, full_run(epochs=3, seed=1).model
    assert np.abs(one.params[0]["W"] - other.params[0]["W"]).max() > 0.01
    full_run(epochs=1, seed=-7), full_run(epochs=1, seed=2**40)  # any whole number is a seed


def test_dropout_depends_only_on_the_seed() -> None:
    net = Network([Dense(6), Dropout(0.5), Dense(3)])
    straight = train(net, X, Y, epochs=2, batch_size=None)
    again = train(net, X, Y, epochs=2, batch_size=None)
    assert_same_bits(straight.state, again.state)


def test_a_continued_run_equals_an_uninterrupted_one() -> None:
    straight = full_run()
    cut = full_run(epochs=5)
    resumed = full_run(state=cut.state, history=cut.history)
    assert_same_bits(everything(resumed)[0], everything(straight)[0])
    assert everything(resumed)[1] == everything(straight)[1]
    assert (
        full_run(state=straight.state, history=straight.history).history.n_epochs
        == straight.history.n_epochs
    )


def test_a_network_of_a_sweep_continues_alone_as_in_the_longer_sweep() -> None:
    """Its state holds the order of rows, which all networks of the sweep share, whatever their seeds."""
    settings: dict[str, Any] = {"optimizer": SGD(0.1), "batch_size": 16}
    shorter, longer = (
        sweep(SMALL, X, Y, over={"seed": [0, 1]}, epochs=epochs, **settings).runs
        for epochs in (2, 4)
    )
    for begun, whole in zip(shorter, longer, strict=True):
        separate = train(
            SMALL, X, Y, state=begun.state, history=begun.history, epochs=4, **settings
        )
        np.testing.assert_allclose(separate.history["loss"], whole.history["loss"], rtol=1e-5)
        assert_close(separate.state.params, whole.state.params, 1e-5)


def test_more_epochs_than_one_call_holds() -> None:
    run = train(LINE, X, VALUES, batch_size=None, epochs=CAPACITY + 44, chunk=10_000)
    np.testing.assert_array_equal(run.history["epoch"], np.arange(1, CAPACITY + 45))
    assert (np.diff(run.history["loss"]) < 1e-6).all()  # the rows are in order


def test_changed_settings_compile_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_compile, "MAX_PROGRAMS", 10**6)  # so that none is dropped
    full_run(epochs=1)
    before = program_count()
    full_run(epochs=3)
    full_run(epochs=1, optimizer=Adam(0.1, beta1=0.5))
    full_run(epochs=1, seed=5)
    full_run(epochs=1, l2=0.5)
    full_run(epochs=1, l1=0.5, l2=0)
    full_run(epochs=1, early_stopping=EarlyStopping(3, min_delta=0.1))
    full_run(epochs=2, chunk=1)
    other_rate = Network([Dense(6), BatchNorm(), "relu", Dropout(0.5), Dense(3)])
    other = train(
        other_rate,
        X,
        Y,
        batch_size=16,
        epochs=1,
        validation=0.2,
        early_stopping=True,
        l2=1.0,
        metrics=["accuracy"],
    )
    assert program_count() == before
    assert np.asarray(other.state.layer_state[3]["rate"]) == np.float32(0.5)
    assert other.model.network == other_rate  # the network as given, not its skeleton
    full_run(epochs=1, batch_size=10)
    assert program_count() == before + 1  # the count does change


# --- the right numbers ----------------------------------------------------------------------------


def by_numpy(rows: Any, weight: Any, rate: float, seed: int) -> Any:
    """Return parameters and loss after SGD over batches of rows of a 4-5-3 network, in NumPy."""
    with precision("float64"):
        params, _, _ = SMALL.init(keys.fold_in(keys.key(seed), 0), (4,))
    (W, b), (V, c) = ((np.array(params[i]["W"]), np.array(params[i]["b"])) for i in (0, 2))
    losses, shares = [], []
    for batch in rows:
        x, t, w = X[batch], np.eye(3)[Y[batch]], weight[batch]
        a = np.tanh(x @ W.T + b)
        z = a @ V.T + c
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        losses.append(-(w * np.log((p * t).sum(axis=1))).sum() / w.sum())
        shares.append(w.sum())
        dz = (w / w.sum())[:, None] * (p - t)
        da = dz @ V * (1 - a**2)
        V, c = V - rate * dz.T @ a, c - rate * dz.sum(axis=0)
        W, b = W - rate * da.T @ x, b - rate * da.sum(axis=0)
    return ({"W": W, "b": b}, {}, {"W": V, "b": c}), np.average(losses, weights=shares)


@pytest.mark.parametrize("weighted", [False, True])
def test_epochs_with_short_batches_equal_those_of_numpy(weighted: bool) -> None:
    weight = np.random.default_rng(0).uniform(0.5, 2, 50) if weighted else np.ones(50)
    run = train(
        SMALL,
        X,
        Y,
        optimizer=SGD(0.3),
        batch_size=16,
        epochs=2,
        dtype="float64",
        seed=4,
        sample_weight=weight if weighted else None,
    )
    batches = [epoch_batches(run.state.order, jnp.asarray(e), 50, 16) for e in (0, 1)]
    orders = [np.asarray(epoch.rows).ravel()[:50] for epoch in batches if epoch]
    assert (orders[0] != orders[1]).any()  # each epoch is shuffled
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(50))  # no sample is dropped
    batches = [batch for order in orders for batch in np.split(order, [16, 32, 48])]
    _, first = by_numpy(batches[:4], weight, 0.3, seed=4)
    params, both = by_numpy(batches, weight, 0.3, seed=4)
    assert_close(jax.tree.map(np.asarray, run.state.params), params, 1e-12)
    np.testing.assert_allclose(run.history["loss"], [first, 2 * both - first], rtol=1e-12)
    assert int(run.state.step) == 8


def test_batch_size_none_is_plain_gradient_descent() -> None:
    run = train(SMALL, X, Y, optimizer=SGD(0.3), batch_size=None, epochs=5, dtype="float64")
    params, _ = by_numpy([np.arange(50)] * 5, np.ones(50), 0.3, seed=0)
    assert_close(jax.tree.map(np.asarray, run.state.params), params, 1e-12)
    assert int(run.state.step) == 5


def full_batch(X: Any, y: Any, **settings: Any) -> Any:
    net = Network([Dense(5), BatchNorm(), Tanh(), Dense(3)])
    run = train(net, X, y, batch_size=None, epochs=5, dtype="float64", l2=0.1, **settings)
    return run.state.params, run.state.layer_state


def test_weight_2_equals_a_repeated_row_and_weight_0_a_missing_one() -> None:
    weight = np.ones(50)
    weight[:10], weight[10:17] = 2, 0
    repeated = np.r_[np.arange(50), np.arange(10)]
    repeated = repeated[weight[repeated] > 0]
    by_weight = full_batch(X, Y, sample_weight=weight)
    assert_close(by_weight, full_batch(X[repeated], Y[repeated]), 1e-10)
    assert_close(by_weight, full_batch(X, Y, sample_weight=7.5 * weight), 1e-10)


def test_rows_of_weight_0_may_hold_anything_in_small_batches() -> None:
    weight = np.where(np.arange(50) % 5 == 0, 0.0, 1.0)
    strange = np.where(weight[:, None] == 0, 1e6, X)
    runs = [
        train(SMALL, x, Y, sample_weight=weight, batch_size=16, epochs=3, dtype="float64")
        for x in (X, strange)
    ]
    assert_close(runs[0].state.params, runs[1].state.params, 1e-12)


def test_padding_fills_the_last_batch_with_rows_of_weight_0() -> None:
    present = padding(10, 4)
    assert present is not None and present.sum() == 10 and padding(8, 4) is None
    data = Data(jnp.asarray(X[:10]), jnp.asarray(Y[:10]), jnp.full(10, 0.5))
    batches = epoch_batches(keys.key(0), jnp.asarray(3), 10, 4)
    assert batches is not None and batches.present is not None
    last = take(data, batches.rows[2], batches.present[2])
    np.testing.assert_array_equal(last.weight, [0.5, 0.5, 0, 0])


def test_the_columns_of_the_history_equal_direct_measurements() -> None:
    run = full_run(epochs=6, early_stopping=False, sample_weight=np.linspace(0.5, 2, 50))
    history = run.history
    _, held_out = split(Y, 0.2, 0, stratify=True)
    with precision("float32"):
        logits = run.model.logits(X[held_out])
        loss = CrossEntropy().value(
            jnp.asarray(logits),
            jnp.asarray(Y[held_out]),
            jnp.asarray(np.linspace(0.5, 2, 50)[held_out]),
        )
    np.testing.assert_allclose(history["validation_loss"][-1], loss, rtol=1e-5)
    hits = run.model.predict(X[held_out]) == Y[held_out]
    expected = np.average(hits, weights=np.linspace(0.5, 2, 50)[held_out])
    np.testing.assert_allclose(history["validation_accuracy"][-1], expected, rtol=1e-5)
    W, V = run.state.params[0]["W"], run.state.params[4]["W"]
    l2 = 1e-3 / 2 * float((W**2).sum() + (V**2).sum())
    np.testing.assert_allclose(history["penalty"][-1], l2, rtol=1e-5)
    assert {len(column) for column in history.values()} == {6}
    assert set(history) == {
        "epoch",
        "loss",
        "gradient_norm",
        "accuracy",
        "learning_rate",
        "penalty",
        "validation_loss",
        "validation_accuracy",
    }


@pytest.mark.parametrize("form", ["codes", "one-hot", "text"])
def test_accuracy_is_the_fraction_of_correct_rows(form: str) -> None:
    y = {"codes": Y, "one-hot": np.eye(3)[Y], "text": np.array(["a", "b", "c"])[Y]}[form]
    net, frozen = Network([Dense(3)]), SGD(0.0)
    run = train(net, X, y, loss="cross_entropy", metrics="accuracy", optimizer=frozen, epochs=1)
    right = (run.model.logits(X).argmax(axis=1) == Y).mean()
    np.testing.assert_allclose(run.history["accuracy"], [right], rtol=1e-6)


# --- stopping -------------------------------------------------------------------------------------


def test_early_stopping_waits_for_its_patience_and_keeps_the_best_epoch() -> None:
    run = full_run(optimizer=Adam(0.3), epochs=200, early_stopping=EarlyStopping(patience=5))
    losses = run.history["validation_loss"]
    best = int(losses.argmin())
    assert run.status == "stopped early"
    assert run.history.n_epochs == best + 1 + 5 < 200
    assert run.history.best_epoch == best + 1
    until_best = full_run(optimizer=Adam(0.3), epochs=best + 1, early_stopping=False)
    assert_same_bits(run.model.params, until_best.model.params)
    assert_same_bits(run.model.layer_state, until_best.model.layer_state)


def test_min_delta_ignores_small_improvements() -> None:
    run = full_run(epochs=30, early_stopping=EarlyStopping(patience=4, min_delta=1e6))
    assert run.history.n_epochs == 5  # the first epoch counts as the best; none is that much better
    assert run.status == "stopped early"


def test_without_validation_the_training_loss_is_watched() -> None:
    run = train(
        LINE,
        X,
        VALUES,
        optimizer=SGD(0.1),
        batch_size=None,
        epochs=5000,
        dtype="float64",
        early_stopping=EarlyStopping(patience=3, min_delta=1e-6),
    )
    assert run.status == "converged" and run.history.n_epochs < 5000
    np.testing.assert_allclose(run.model.predict(X).ravel(), VALUES, atol=0.05)


def test_a_run_of_all_its_epochs_is_finished() -> None:
    assert full_run(epochs=2).status == "finished"
    assert full_run(epochs=2, early_stopping=EarlyStopping(np.inf)).status == "finished"
    assert train(LINE, X, VALUES, epochs=0).history.n_epochs == 0


@pytest.mark.parametrize("batch_size", [16, None])
def test_divergence_is_raised_with_its_step_and_without_a_warning(batch_size: int | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DivergenceError, match=r"at step (\d+), in epoch \d+.* tenth") as caught:
            train(LINE, X * 100, VALUES, optimizer=SGD(10.0), batch_size=batch_size, epochs=100)
    assert isinstance(caught.value, ValueError)


def test_clipping_keeps_a_run_from_diverging() -> None:
    clipped = ClipByNorm(SGD(0.01), 1.0)
    run = train(LINE, X * 100, VALUES, optimizer=clipped, batch_size=16, epochs=20)
    assert np.isfinite(run.history["loss"]).all()


def test_a_step_that_is_not_finite_changes_nothing() -> None:
    state = None
    with pytest.raises(DivergenceError):
        # the step that breaks is within the first epoch, so the parameters before it are kept

        def remember(event: Any) -> None:
            nonlocal state
            state = event.state

        train(LINE, X * 1e10, VALUES, optimizer=SGD(1e25), epochs=3, callbacks=[remember])
    assert state is not None and int(state.status) == program.DIVERGED
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))


def test_any_callback_can_stop_the_run_and_all_are_called() -> None:
    calls: list[tuple[str, int]] = []

    def stop_after_three(event: Any) -> bool:
        calls.append(("a", event.epoch))
        return event.epoch == 3

    run = full_run(callbacks=[stop_after_three, lambda event: calls.append(("b", event.epoch))])
    assert run.history.n_epochs == 3
    assert calls == [(name, epoch) for epoch in (1, 2, 3) for name in ("a", "b")]


def test_a_callback_receives_the_run_so_far() -> None:
    events: list[Any] = []
    full_run(epochs=4, chunk=2, callbacks=events.append)
    assert [(e.epoch, e.epochs, e.history.n_epochs, int(e.state.epoch)) for e in events] == [
        (2, 4, 2, 2),
        (4, 4, 4, 4),
    ]
    assert 0 < events[0].seconds < events[1].seconds


def test_ctrl_c_ends_cleanly_with_the_model_so_far() -> None:
    before = signal.getsignal(signal.SIGINT)

    def press(event: Any) -> None:
        if event.epoch == 3:
            os.kill(os.getpid(), signal.SIGINT)

    run = full_run(callbacks=[press])
    assert run.status == "interrupted" and run.history.n_epochs == 3
    assert signal.getsignal(signal.SIGINT) is before
    assert run.model.predict(X).shape == (50,)
    resumed = full_run(state=run.state, history=run.history)
    assert_same_bits(resumed.state, full_run().state)


def test_a_second_ctrl_c_interrupts_at_once() -> None:
    # a shell starts background jobs with SIGINT ignored; Python's own handler must be there
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.getsignal(signal.SIGINT)

    def press_twice(event: Any) -> None:
        for _ in range(2):  # raised in this thread: two signals to a process may arrive as one
            signal.raise_signal(signal.SIGINT)

    try:
        with pytest.raises(KeyboardInterrupt):
            full_run(callbacks=[press_twice])
        assert signal.getsignal(signal.SIGINT) is before
    finally:
        signal.signal(signal.SIGINT, inherited)


def test_training_works_outside_the_main_thread() -> None:
    runs: list[Any] = []
    thread = threading.Thread(target=lambda: runs.append(full_run(epochs=2)))
    thread.start()
    thread.join()
    assert_same_bits(runs[0].state, full_run(epochs=2).state)


# --- validation -----------------------------------------------------------------------------------


def test_a_validation_share_is_stratified_and_never_trained_on() -> None:
    y = np.repeat([0, 1, 2], [30, 15, 5])
    training, held_out = split(y, 0.2, 3, stratify=True)
    assert np.bincount(y[held_out]).tolist() == [6, 3, 1]
    assert sorted([*training, *held_out]) == list(range(50))
    by_share = train(SMALL, X, y, validation=0.2, epochs=3, seed=3)
    by_rows = train(
        SMALL, X[training], y[training], validation=(X[held_out], y[held_out]), epochs=3, seed=3
    )
    assert_same_bits(by_share.state, by_rows.state)


def test_given_validation_rows_may_have_weights() -> None:
    weight = np.r_[np.ones(10), np.zeros(40)]
    weighted = train(SMALL, X, Y, validation=(X, Y, weight), epochs=2)
    first = train(SMALL, X, Y, validation=(X[:10], Y[:10]), epochs=2)
    np.testing.assert_allclose(
        weighted.history["validation_loss"], first.history["validation_loss"], rtol=1e-5
    )


# --- progress -------------------------------------------------------------------------------------


@pytest.mark.lowest
def test_the_progress_bar_is_silent_without_a_terminal(
    capfd: pytest.CaptureFixture[str],
) -> None:
    full_run(epochs=3, progress=True)
    assert capfd.readouterr() == ("", "")


@pytest.mark.lowest
def test_the_progress_bar_shows_the_scores_and_ends_with_the_run(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # so that rich treats the output as a terminal

    def fail(event: Any) -> None:
        if event.epoch == 2:  # the bar has been drawn
            raise RuntimeError("an error of a callback")

    full_run(epochs=3, progress=True)
    full_run(
        epochs=3, progress=True, callbacks=[lambda event: True]
    )  # the run ends before the bar is full
    with pytest.raises(RuntimeError, match="of a callback"):
        full_run(epochs=3, progress=True, callbacks=[fail])
    out, err = capfd.readouterr()
    assert out == "" and "loss" in err and "validation" in err and "accuracy" in err
    drawing = [t for t in threading.enumerate() if type(t).__module__.startswith("rich")]
    for thread in drawing:  # it has been stopped, and ends at its next tick
        thread.join(timeout=10)
    assert not any(thread.is_alive() for thread in drawing)  # no bar is still drawing


# --- bad input ------------------------------------------------------------------------------------

TOO_BIG = np.where(np.arange(200).reshape(50, 4) == 9, 1e39, X)
MISSING = np.where(np.arange(200).reshape(50, 4) == 9, np.nan, X)
DONE = train(SMALL, X, Y, epochs=1)

BAD = {  # name: (changes to a good call, error, part of its message)
    "no rows": ({"X": X[:0], "y": Y[:0]}, DataError, "0 sample"),
    "no columns": ({"X": X[:, :0]}, DataError, "0 feature"),
    "lengths": ({"y": Y[:7]}, DataError, "50 rows and y has 7"),
    "one row flat": ({"X": X[:, 0]}, DataError, r"reshape\(-1, 1\)"),
    "missing": ({"X": MISSING}, DataError, "row 2"),
    "1e39": ({"X": TOO_BIG}, DataError, "float32, first in row 2"),
    "text": ({"X": [["a"] * 4] * 50}, DataError, "array of numbers"),
    "complex": ({"X": X + 1j}, DataError, "complex"),
    "dates": ({"X": np.full((50, 4), "2020-01-01", "M8[D]")}, DataError, "datetime"),
    "ragged X": ({"X": [[1], [1, 2]] * 25}, DataError, "array of numbers"),
    "ragged y": ({"y": [[1], [1, 2]] * 25}, DataError, "ragged"),
    "one class": ({"y": np.zeros(50, int)}, DataError, "same class, 0"),
    "missing classes": ({"y": ["a", None] * 25}, DataError, "25 rows"),
    "text columns": ({"y": np.full((50, 2), "a")}, DataError, "probabilities"),
    "no probabilities": ({"y": np.ones((50, 3), int)}, DataError, "sum 1"),
    "missing values": ({"y": np.r_[np.nan, VALUES[1:]], "network": LINE}, DataError, "NaN"),
    "1e39 value": ({"y": np.r_[1e39, VALUES[1:]], "network": LINE}, DataError, "float32"),
    "outputs": ({"network": Network([Dense(2)])}, ConfigurationError, r"3 classes.*Dense\(3\)"),
    "outputs of values": ({"y": VALUES}, ConfigurationError, r"Dense\(1\)"),
    "three by one": (
        {"network": LINE, "loss": "binary_cross_entropy"},
        ConfigurationError,
        "cross-entropy takes two",
    ),
    "pictures": ({"X": X.reshape(50, 2, 2)}, ConfigurationError, r"gn.Flatten\(\)"),
    "no network": ({"network": [Dense(3)]}, ConfigurationError, "gn.Network"),
    "loss's name": ({"loss": "cros_entropy"}, ConfigurationError, "Did you mean 'cross_entropy'"),
    "loss's class": ({"loss": CrossEntropy}, ConfigurationError, "is not a loss"),
    "optimizer's name": ({"optimizer": "adm"}, ConfigurationError, "Did you mean 'adam'"),
    "optimizer's class": ({"optimizer": Adam}, ConfigurationError, "is not an optimizer"),
    "rate of text": ({"optimizer": Adam("fast")}, ConfigurationError, "learning_rate is 'fast'"),
    "negative rate": ({"optimizer": Adam(-0.1)}, ConfigurationError, "learning_rate is -0.1"),
    "text in an optimizer": ({"optimizer": Adam(0.1, "b")}, ConfigurationError, "'b' where a number"),
    "metric's name": ({"metrics": ["acuracy"]}, ConfigurationError, "Did you mean 'accuracy'"),
    "metric of values": ({"metrics": ["absolute_error"]}, ConfigurationError, "does not fit"),
    "epochs": ({"epochs": 1.5}, ConfigurationError, "epochs is 1.5"),
    "negative epochs": ({"epochs": -1}, ConfigurationError, "epochs is -1"),
    "batch size": ({"batch_size": 0}, ConfigurationError, "batch_size is 0"),
    "chunk": ({"chunk": 0}, ConfigurationError, "chunk is 0"),
    "dtype": ({"dtype": "float16"}, ConfigurationError, "'float32' or 'float64'"),
    "seed": ({"seed": 1.5}, ConfigurationError, "seed is 1.5"),
    "negative l2": ({"l2": -1}, ConfigurationError, "l2 is -1"),
    "l1 of nan": ({"l1": np.nan}, ConfigurationError, "l1 is nan"),
    "patience": ({"early_stopping": 5}, ConfigurationError, "EarlyStopping"),
    "callback": ({"callbacks": [3]}, ConfigurationError, "cannot be called"),
    "weights' length": ({"sample_weight": [1, 2]}, DataError, "one weight per row"),
    "weights' form": ({"sample_weight": np.ones((50, 3))}, DataError, "one weight per row"),
    "negative weights": ({"sample_weight": -np.ones(50)}, DataError, "at least 0"),
    "no weight at all": ({"sample_weight": np.zeros(50)}, DataError, "at least one row"),
    "weights of text": ({"sample_weight": ["a"] * 50}, DataError, "not a number"),
    "weight 1e39": ({"sample_weight": np.full(50, 1e39)}, DataError, "float32 cannot add up"),
    "share": ({"validation": 1.5}, ConfigurationError, "validation is 1.5"),
    "parts": ({"validation": (X,)}, DataError, "1 parts"),
    "validation's columns": ({"validation": (X[:, :2], Y)}, DataError, "2 numbers per row instead of 4"),
    "validation's rows": ({"validation": (X, Y[:4])}, DataError, "50 rows and y has 4"),
    "validation's classes": ({"validation": (X, Y + 1)}, DataError, "class 3, which was not in the"),
    "state": ({"state": 3}, ConfigurationError, "run.state"),
    "another state": ({"state": DONE.state, "metrics": "accuracy"}, ConfigurationError, "run.state"),
    "state of another optimizer": (
        {"state": DONE.state, "optimizer": SGD(0.1)},
        ConfigurationError,
        "same network, inputs, optimizer",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "error", "message"), BAD.values(), ids=BAD)
def test_bad_input_gives_one_clear_error(
    changes: dict[str, Any], error: type[GlassnetError], message: str
) -> None:
    good: dict[str, Any] = {"network": SMALL, "X": X, "y": Y, "epochs": 1}
    call = good | changes
    with pytest.raises(error, match=message) as caught:
        train(call.pop("network"), call.pop("X"), call.pop("y"), **call)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


def test_the_good_call_behind_the_bad_ones_works() -> None:
    train(SMALL, X, Y, epochs=1)  # so that the test above fails for the right reason
    train(SMALL, X, Y, epochs=2, state=DONE.state)
    train(SMALL, TOO_BIG, Y, epochs=1, dtype="float64")


@pytest.mark.parametrize("bad", [MISSING, TOO_BIG, X[:, :2], X[0], X[:0], [["a"] * 4]])
def test_bad_rows_at_prediction_give_one_clear_error(bad: Any) -> None:
    with pytest.raises(DataError):
        DONE.model.predict(bad)


def test_a_loss_function_in_numpy_is_refused() -> None:
    def in_numpy(z: Any, y: Any) -> Any:
        return np.abs(np.asarray(z)[:, 0] - np.asarray(y)[:, 0])

    with pytest.raises(ConfigurationError, match=r"jax\.numpy"):
        train(LINE, X, VALUES, loss=in_numpy, epochs=1)
    with pytest.raises(ConfigurationError, match=r"for 25 rows\. It must return one loss per row"):
        train(LINE, X, VALUES, loss=lambda z, y: jnp.mean(z - y), epochs=1, batch_size=25)


def test_histories_are_columns_of_equal_length() -> None:
    one = History({"epoch": np.array([1]), "loss": np.array([0.5])})
    both = one.extend({"epoch": np.array([2]), "loss": np.array([0.25])})
    assert both.to_dict() == {"epoch": [1, 2], "loss": [0.5, 0.25]}
    assert both.best_epoch == 2 and one.n_epochs == 1 and History().best_epoch == 0
    assert History({"epoch": np.array([1, 2]), "loss": np.array([np.nan, 1.0])}).best_epoch == 2
