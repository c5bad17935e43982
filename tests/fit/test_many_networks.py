"""Networks trained in one program: sweeps, members and folds equal the networks trained separately."""

import math
import pickle

import jax
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GroupKFold, StratifiedKFold

import glassnet as gn
from glassnet.errors import ConfigurationError, DataWarning, DivergenceError
from glassnet.fit.train import network_job
from glassnet.fit.variations import grid, vary, with_number
from glassnet.training import jobs
from glassnet.training.history import History
from glassnet.training.jobs import run_jobs
from helpers import assert_same_bits

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 5)).astype(np.float32)
Y = (X[:, 0] * X[:, 1] + X[:, 2] > 0).astype(int)
# no bias before batch norm: its gradient is only rounding, which Adam would amplify
NET = gn.Network([gn.Dense(8, bias=False), gn.BatchNorm(), gn.Tanh(), gn.Dropout(0.1), gn.Dense(2)])


def assert_alike(a, b, rtol=2e-3, atol=2e-4):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=atol)


SWEPT = {
    "rates": ({"learning_rate": [1e-3, 1e-2, 0.1]}, "adam"),
    "seeds": ({"seed": [0, 1, 7]}, "sgd"),
    "dropout and penalties": ([{"dropout": 0.5}, {"l1": 1e-2}, {"dropout": 0.0, "l2": 0.1}], "adam"),
    "decay": ({"weight_decay": [0.0, 0.3], "beta1": [0.5, 0.9]}, gn.AdamW(gn.WarmUp(gn.Cosine(0.01)))),
    "clipping": ({"max_norm": [0.1, 10.0]}, gn.ClipByNorm(gn.Momentum(0.1))),
}  # fmt: skip


@pytest.mark.parametrize(("over", "optimizer"), SWEPT.values(), ids=SWEPT)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_each_network_equals_the_one_trained_alone(over, optimizer, dtype):
    job = network_job(
        NET, X, Y, optimizer=optimizer, batch_size=16, epochs=8, validation=0.2, dtype=dtype,
        early_stopping=gn.EarlyStopping(patience=2), metrics=["accuracy"],
    )  # fmt: skip
    varied = [vary(job, settings) for settings in grid(over)]
    tolerance = {"rtol": 1e-9, "atol": 1e-10} if dtype == "float64" else {}
    for alone, (together,) in zip(varied, run_jobs(varied), strict=True):
        ((expected,),) = run_jobs([alone])
        assert together.status == expected.status
        assert together.history.n_epochs == expected.history.n_epochs
        assert_alike(dict(together.history), dict(expected.history), **tolerance)
        assert_alike(together.state, jax.tree.map(np.asarray, expected.state), **tolerance)


def test_a_sweep_equals_separate_runs_of_train():
    rates = [0.01, 0.2]
    result = gn.sweep(NET, X, Y, over={"learning_rate": rates, "dropout": [0.0, 0.4]}, epochs=5,
                     optimizer="momentum", batch_size=16, dtype="float64", l2=0.01)  # fmt: skip
    for trial in result.trials:
        net = gn.Network([*NET.layers[:3], gn.Dropout(trial.settings["dropout"]), NET.layers[4]])
        run = gn.train(net, X, Y, optimizer=gn.Momentum(trial.settings["learning_rate"]), epochs=5,
                       batch_size=16, dtype="float64", l2=0.01)  # fmt: skip
        assert trial.fitted.model.network == net
        np.testing.assert_allclose(trial.fitted.model.outputs(X), run.model.outputs(X), rtol=1e-9)
        assert trial.score == pytest.approx(run.history["loss"][-1])


def test_a_network_that_diverges_does_not_affect_the_others():
    over = {"learning_rate": [0.01, 1e30, 0.1]}
    options = {"epochs": 6, "optimizer": "sgd", "batch_size": 16, "loss": "squared_error"}
    net = gn.Network([gn.Dense(4), gn.ReLU(), gn.Dense(1)])
    values = X[:, 0]
    result = gn.sweep(net, X, values, over=over, **options)
    healthy = gn.sweep(net, X, values, over={"learning_rate": [0.01, 0.1]}, **options)
    assert [trial.status for trial in result.trials] == ["finished", "diverged", "finished"]
    assert result.trials[1].fitted is None and result.trials[1].score == math.inf
    for a, b in zip([result.runs[0], result.runs[2]], healthy.runs, strict=True):
        assert_alike(a.model.params, b.model.params, 1e-5, 1e-6)
    assert result.best in (result.trials[0], result.trials[2])
    lost = gn.sweep(net, X, values, over={"learning_rate": [1e30, 1e29]}, **options)
    assert lost.runs == [None, None]


def test_each_network_stops_early_independently():
    result = gn.sweep(NET, X, Y, over={"learning_rate": [1e-6, 0.05, 0.5]}, epochs=40, validation=0.3,
                     batch_size=16, early_stopping=gn.EarlyStopping(patience=3))  # fmt: skip
    lengths = [trial.history.n_epochs for trial in result.trials]
    assert len(set(lengths)) > 1 and min(lengths) >= 4
    for trial in result.trials:
        assert trial.score == trial.history["validation_loss"].min()
        stopped = trial.history.n_epochs < 40
        assert trial.status == ("stopped early" if stopped else "finished")
        assert not stopped or trial.history.best_epoch == trial.history.n_epochs - 3


@pytest.mark.parametrize("limit", ["MAX_PARAMETERS", "MAX_STACKED_NUMBERS"])
def test_networks_too_large_for_one_program_train_in_several(monkeypatch, limit):
    model = gn.NeuralClassifier((4,), epochs=4, batch_size=16, random_state=0, members=3)

    def outcome():
        fold = gn.cross_validate(model, X, Y, cv=3)
        swept = gn.sweep(NET, X, Y, over={"seed": range(3)}, epochs=3)
        return [fold.probabilities, [run.model.params for run in swept.runs]]

    together = outcome()
    monkeypatch.setattr(jobs, limit, 1)
    assert_alike(together, outcome())


def test_the_chunk_size_of_a_sweep_does_not_change_a_bit():
    job = network_job(NET, X, Y, batch_size=16, epochs=7, validation=0.2, early_stopping=True)
    varied = [vary(job, {"seed": seed}) for seed in range(3)]
    for a, b in zip(run_jobs(varied, chunk=7), run_jobs(varied, chunk=2), strict=True):
        assert_same_bits(a[0].state, b[0].state)
        assert_same_bits(dict(a[0].history), dict(b[0].history))


def test_callbacks_get_the_mean_history():
    seen = []
    result = gn.sweep(NET, X, Y, over={"seed": range(3)}, epochs=3, callbacks=seen.append)
    losses = [trial.history["loss"] for trial in result.trials]
    assert [event.epoch for event in seen] == [1, 2, 3]
    np.testing.assert_allclose(seen[-1].history["loss"], np.mean(losses, axis=0), rtol=1e-6)


def test_optax_optimizers_can_be_swept():
    import optax

    result = gn.sweep(NET, X, Y, over={"seed": [0, 1]}, epochs=3, optimizer=optax.adam(1e-2))
    alone = gn.train(NET, X, Y, epochs=3, optimizer=optax.adam(1e-2))
    assert_alike(result.runs[0].model.params, alone.model.params)


def test_sweeping_an_estimator_equals_fitting_it():
    model = gn.NeuralClassifier((8,), members=2, epochs=3, random_state=3)
    before = dict(vars(model))
    result = gn.sweep(model, X, Y, over={"learning_rate": [1e-3, 1e-2], "dropout": [0.1, 0.3]})
    assert vars(model) == before
    for trial in result.trials:
        fitted = trial.fitted
        assert fitted.dropout == trial.settings["dropout"]
        alone = clone(fitted).fit(X, Y)  # `fitted` has the parameters of the trial
        np.testing.assert_allclose(fitted.predict_proba(X), alone.predict_proba(X), atol=2e-4)


def test_settings_are_listed_or_combined():
    assert grid({"a": [1, 2], "b": [3]}) == [{"a": 1, "b": 3}, {"a": 2, "b": 3}]
    assert grid([{"a": 1}, {"b": 2}]) == [{"a": 1}, {"b": 2}]
    columns = gn.sweep(NET, X, Y, over=[{"seed": 1}, {"l2": 0.1}], epochs=1).to_dict()
    assert columns["seed"] == [1, None] and columns["l2"] == [None, 0.1]
    for wrong in ({}, [], [{}], 3, {"seed": 3}, {"seed": "abc"}):
        with pytest.raises(ConfigurationError):
            grid(wrong)


def test_a_setting_that_cannot_vary_is_refused():
    for over, words in (
        ({"learning_rat": [1.0]}, "Did you mean 'learning_rate'"),
        ({"momentum": [0.9]}, "cannot vary here"),
        ({"l2": [-1.0]}, "l2"),
        ({"learning_rate": [-1.0]}, "learning_rate"),
        ({"dropout": [1.0]}, "[Dd]ropout"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            gn.sweep(NET, X, Y, over=over, epochs=1)
    with pytest.raises(ConfigurationError, match="no dropout layer"):
        gn.sweep(gn.Network([gn.Dense(2)]), X, Y, over={"dropout": [0.1]})
    with pytest.raises(ConfigurationError, match="Did you mean 'epochs'"):
        gn.sweep(NET, X, Y, over={"seed": [0]}, epoch=1)
    with pytest.raises(ConfigurationError, match="neither a network nor an estimator"):
        gn.sweep("net", X, Y, over={"seed": [0]})


def test_numbers_of_schedules_are_replaced_in_place():
    optimizer = gn.AdamW(gn.WarmUp(gn.Cosine(0.1), warm_up=7))
    assert with_number(optimizer, "learning_rate", 0.2).learning_rate.after.learning_rate == 0.2
    assert with_number(optimizer, "warm_up", 3).learning_rate.warm_up == 3
    steady = gn.AdamW(gn.WarmUp(0.1))
    assert with_number(steady, "learning_rate", 0.2).learning_rate.after == 0.2
    whole = with_number(optimizer, "learning_rate", gn.Constant(0.3))
    assert whole.learning_rate == gn.Constant(0.3)


def test_the_best_learning_rate_has_the_lowest_median_loss():
    net = gn.Network([gn.Dense(8), gn.Tanh(), gn.Dense(1)])
    test = gn.find_learning_rate(net, X, X[:, 0] - X[:, 1], low=1e-5, high=1e8, points=14, repeats=2,
                                  optimizer="sgd", loss="squared_error")  # fmt: skip
    assert test.losses.shape == (14, 2)
    assert np.isinf(test.losses[-1]).all() and np.isfinite(test.losses[0]).all()
    best = int(np.argmin(np.median(test.losses, axis=1)))
    assert test.best == test.rates[best] and 1e-3 <= test.best <= 10
    assert np.median(test.losses[best]) < 0.2 * test.untrained
    assert "<- best" in str(test).splitlines()[1 + best]

    import matplotlib as mpl

    mpl.use("Agg")
    ax = test.plot()
    lines = {line.get_label(): line for line in ax.get_lines()}
    drawn = lines["median loss"].get_xydata()
    np.testing.assert_allclose(drawn[:, 1], np.median(test.losses, axis=1)[: len(drawn)])
    assert ax.get_xscale() == "log" and ax.get_xlabel() == "learning rate"
    assert lines["diverged"].get_xdata()[-1] == test.rates[-1]
    assert lines[f"best: {test.best:.2g}"].get_xdata()[0] == test.best


PLAIN = {"members": 1, "embedding": "none", "random_state": 1}
ALL_ROWS = PLAIN | {"early_stopping": False, "epochs": 6}
ESTIMATORS = {
    "classes": (gn.NeuralClassifier((8,), batch_size=16, **ALL_ROWS), Y),
    "text": (gn.NeuralClassifier((8,), **ALL_ROWS), np.array(["no", "yes"])[Y]),
    "labels": (gn.NeuralClassifier((8,), **ALL_ROWS), np.stack([Y, 1 - Y], 1)),
    "values": (gn.NeuralRegressor((8,), **ALL_ROWS), 100 + 50 * X[:, 0]),
    "early stopping": (gn.NeuralRegressor((8,), epochs=60, early_stopping=gn.EarlyStopping(2), **PLAIN),
                 X[:, :2] @ [[1, 2], [3, 4]]),
}  # fmt: skip


@pytest.mark.parametrize(("single", "y"), ESTIMATORS.values(), ids=ESTIMATORS)
def test_members_predict_their_mean_and_report_their_spread(single, y, tmp_path):
    # with a given share all members set aside the same rows; otherwise each has its own fold
    held = 0.2 if single.early_stopping else None
    many = clone(single).set_params(members=3).fit(X, y, validation=held)
    single = clone(single).fit(X, y, validation=held)
    model = many.model_
    assert model.members == 3 and len(many.states_) == len(many.histories_) == 3
    outputs = model.outputs_by_member(X)
    assert outputs.shape == (3, *single.model_.outputs(X).shape)
    # the first member is `single`
    np.testing.assert_allclose(outputs[0], single.model_.outputs(X), atol=2e-3)
    assert np.abs(outputs[1] - outputs[2]).max() > 1e-3  # the others differ
    np.testing.assert_allclose(model.outputs(X), outputs.mean(axis=0), rtol=1e-4, atol=1e-6)
    if hasattr(many, "predict_proba"):
        assert many.spread(X).shape == many.predict_proba(X).shape
        np.testing.assert_allclose(many.spread(X), outputs.std(axis=0), rtol=1e-4, atol=1e-6)
    else:
        assert many.spread(X).shape == many.predict(X).shape
        expected = np.std([model.target_encoder.inverse(values) for values in outputs], axis=0)
        np.testing.assert_allclose(many.spread(X), expected, rtol=1e-4, atol=1e-6)
        assert (single.spread(X) == 0).all()
    many.save(tmp_path / "many.glassnet")
    for copied in (gn.load(tmp_path / "many.glassnet"), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(copied.predict(X), model.predict(X))
        np.testing.assert_array_equal(copied.outputs_by_member(X), outputs)


def test_warm_start_and_partial_fit_continue_all_members():
    whole = gn.NeuralClassifier((8,), epochs=6, members=3, random_state=0, optimizer="adam").fit(
        X, Y
    )
    twice = gn.NeuralClassifier((8,), epochs=3, members=3, random_state=0, optimizer="adam",
                                warm_start=True).fit(X, Y).fit(X, Y)  # fmt: skip
    assert_alike(whole.model_.params, twice.model_.params)
    assert twice.n_iter_ == 6 and all(history.n_epochs == 6 for history in twice.histories_)
    with pytest.raises(ConfigurationError, match="members is 2"):
        twice.set_params(members=2).fit(X, Y)
    steps = gn.NeuralClassifier((8,), members=2, random_state=0)
    for _ in range(3):
        steps.partial_fit(X, Y)
    assert steps.n_iter_ == 3 and steps.model_.members == 2


def test_members_that_stopped_at_different_epochs_continue_together():
    y = RNG.normal(size=90)  # noise: members stop early, at different epochs
    stopping = gn.EarlyStopping(4)
    model = gn.NeuralRegressor((8,), epochs=60, members=4, random_state=1, warm_start=True,
                               optimizer=gn.Adam(0.02), early_stopping=stopping).fit(X, y)  # fmt: skip
    lengths = {history.n_epochs for history in model.histories_}
    assert len(lengths) > 1
    before = model.n_iter_
    model.set_params(epochs=1).fit(X, y)
    assert {int(state.epoch) for state in model.states_} == {before + 1}


def test_members_that_diverge_are_left_out():
    net = gn.Network([gn.Dense(4), gn.ReLU(), gn.Dense(1)])
    job = network_job(net, X, X[:, 0], loss="squared_error", optimizer="sgd", epochs=5)
    varied = [vary(job, {"learning_rate": rate}) for rate in (0.01, 1e30, 0.02)]
    outcomes = [outcome for (outcome,) in run_jobs(varied)]
    with pytest.warns(DataWarning, match="1 of 3 members diverged"):
        model = jobs.finished_model(job.blueprint, outcomes)
    assert model.members == 2 and np.isfinite(model.outputs(X)).all()
    with pytest.raises(DivergenceError):
        jobs.finished_model(job.blueprint, [outcomes[1], outcomes[1]])


def test_members_must_be_a_positive_whole_number():
    for wrong in (0, -1, 1.5, True, "many"):
        with pytest.raises(ConfigurationError, match="members"):
            gn.NeuralClassifier(members=wrong).fit(X, Y)


@pytest.mark.parametrize(
    "settings",
    [
        {"members": 2, "epochs": 5, "embedding": "none"},
        pytest.param({"epochs": 10}, marks=pytest.mark.slow, id="default"),
    ],
)
def test_each_fold_equals_a_separate_fit(settings):
    iris, species = load_iris(return_X_y=True)
    model = gn.NeuralClassifier((8,), random_state=0, **settings)
    folds = StratifiedKFold(4, shuffle=True, random_state=0)  # of two sizes
    result = gn.cross_validate(model, iris, species, cv=folds)
    assert result.scores.shape == (4,) and not hasattr(model, "model_")
    for fitted, score, (train, test) in zip(
        result.estimators, result.scores, folds.split(iris, species), strict=True
    ):
        alone = clone(model).fit(iris[train], species[train])
        np.testing.assert_allclose(
            fitted.predict_proba(iris), alone.predict_proba(iris), rtol=1e-6, atol=1e-8
        )
        assert score == alone.score(iris[test], species[test])
        np.testing.assert_array_equal(result.predictions[test], fitted.predict(iris[test]))
        np.testing.assert_array_equal(result.probabilities[test], fitted.predict_proba(iris[test]))
    assert f"{result.mean:.4f}" in str(result) and result.deviation == result.scores.std(ddof=1)


def test_folds_of_tables_with_text_weights_and_groups():
    table = {
        "size": X[:, 0].tolist(),
        "kind": np.array(["a", "b", "c"])[np.arange(90) % 3].tolist(),
    }
    groups, weight = np.arange(90) // 9, np.linspace(0.5, 2, 90)
    model = gn.NeuralRegressor((4,), members=2, epochs=5, random_state=0)
    result = gn.cross_validate(model, table, 3 * X[:, 0], cv=GroupKFold(5), groups=groups,
                              sample_weight=weight)  # fmt: skip
    assert result.probabilities is None and result.predictions.shape == (90,)
    assert sorted(np.concatenate(result.test_rows)) == list(range(90))
    with pytest.raises(gn.DataError):
        gn.cross_validate(model, X, X[:, 0], cv=500)
    with pytest.raises(ConfigurationError, match="not an estimator of glassnet"):
        gn.cross_validate(NET, X, Y)


def test_the_mean_history_averages_the_networks_that_reached_an_epoch():
    short = History({"epoch": np.array([1]), "loss": np.array([4.0])})
    long = History({"epoch": np.array([1, 2]), "loss": np.array([2.0, 1.0])})
    assert History.mean([short, long])["loss"].tolist() == [3.0, 1.0]
