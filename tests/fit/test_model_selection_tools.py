"""What scikit-learn does with an estimator beside fitting it, each on the smallest network."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier, StackingRegressor
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_validate, learning_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import glassnet as gn
from glassnet.fit import sklearn_callbacks
from helpers import assert_same_bits, blobs

X, y = blobs(60)
TINY = {
    "hidden": (4,), "epochs": 3, "members": 1, "embedding": "none", "dropout": 0.0,
    "optimizer": gn.Adam(0.05), "early_stopping": False, "random_state": 0,
}  # fmt: skip


def classifier(**chosen: Any) -> gn.NeuralClassifier:
    return gn.NeuralClassifier(**TINY | chosen)


def regressor(**chosen: Any) -> gn.NeuralRegressor:
    return gn.NeuralRegressor(**TINY | chosen)


# ------------------------------------------------------------------------------------- tools


@pytest.mark.parametrize("make", [classifier, regressor])
def test_a_clone_of_a_fitted_estimator_is_as_new(make):
    fitted = make().fit(X, y)
    copy = clone(fitted)
    assert vars(copy).keys() == vars(make()).keys()  # nothing fitted went along
    assert copy.get_params() == fitted.get_params()
    assert_same_bits(copy.fit(X, y).predict(X), fitted.predict(X))


@pytest.mark.parametrize("make", [classifier, regressor])
def test_of_few_rows_a_weight_is_repetition_to_the_bit(make):
    """Whatever else is asked for: small batches, dropout, rows set aside, members, float32."""
    rng = np.random.default_rng(2)
    rows, target = X[:12].copy(), y[:12] if make is classifier else X[:12] @ [0.1, 0.3, 1.0, 7.0]
    rows[3, 1] = np.nan
    weight = rng.integers(0, 4, 12)
    weight[:3] = 1
    places = rng.permutation(np.repeat(np.arange(12), weight))
    chosen = {
        "batch_size": 4, "dropout": 0.2, "batch_norm": True, "early_stopping": True, "members": 2,
        "dtype": "float32",
    }  # fmt: skip
    weighted = make(**chosen).fit(rows, target, sample_weight=weight)
    repeated = make(**chosen).fit(rows[places], target[places])
    assert_same_bits(weighted.model_.params, repeated.model_.params)
    assert_same_bits(weighted.predict(rows), repeated.predict(rows))


def test_stacking_learns_from_out_of_fold_predictions():
    many = {"epochs": 30, "batch_size": None}
    stack = StackingClassifier([("net", classifier(**many))], LogisticRegression(), cv=2)
    stack.fit(X, y)
    assert stack.score(X, y) > 0.8
    proba = stack.named_estimators_["net"].predict_proba(X)
    np.testing.assert_array_equal(stack.transform(X), proba)
    values = StackingRegressor([("net", regressor(**many))], Ridge(), cv=2).fit(X, X[:, 0])
    assert values.score(X, X[:, 0]) > 0.5


@pytest.mark.parametrize("ensemble", [True, False])
def test_calibration(ensemble):
    weight = np.arange(60) % 3 + 1.0
    found = CalibratedClassifierCV(classifier(epochs=30), cv=2, ensemble=ensemble)
    found.fit(X, y, sample_weight=weight)
    proba = found.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert found.score(X, y) > 0.8 and found.classes_.tolist() == [0, 1, 2]


def test_permutation_importance_finds_the_column_that_matters():
    values = 5 * X[:, 1]
    fitted = regressor(epochs=60).fit(X, values)
    found = permutation_importance(fitted, X, values, n_repeats=2, random_state=0)
    assert found.importances.shape == (4, 2)
    assert found.importances_mean.argmax() == 1


def test_learning_curve():
    sizes, train, test = learning_curve(
        classifier(epochs=30), X, y, train_sizes=[15, 30], cv=2, shuffle=True, random_state=0,
        error_score="raise",
    )  # fmt: skip
    assert sizes.tolist() == [15, 30]
    assert train.shape == test.shape == (2, 2) and (train > 0.5).all() and (test > 0.3).all()


@pytest.mark.slow
def test_a_million_rows_are_predicted_in_bounded_memory():
    """Parts of 8192 rows are computed one by one, and answer as any other parts do."""
    code = """
import resource
import numpy as np
import glassnet as gn
X = np.random.default_rng(0).normal(size=(1_000_000, 4)).astype(np.float32)
y = (X[:60, 0] > 0).astype(int)
model = gn.NeuralClassifier((256,), members=1, epochs=1, embedding="none", random_state=0)
model.fit(X[:60], y)
model.predict_proba(X[:20_000])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
proba, classes = model.predict_proba(X), model.predict(X)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
parts = [model.predict_proba(part) for part in np.split(X, [7, 4_096, 300_001])]
np.testing.assert_allclose(proba, np.concatenate(parts), rtol=1e-5)
assert (classes == proba.argmax(axis=1)).all() and proba.shape == (1_000_000, 2)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert told.returncode == 0, told.stderr
    assert int(told.stdout) < 150_000  # KiB; the hidden layer's output alone would be 1 000 000


@pytest.mark.parametrize("make", [classifier, regressor])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_has_the_same_bits_whatever_rows_stand_beside_it(make, dtype):
    fitted = make(hidden=(33, 7), epochs=1, dtype=dtype).fit(X, y)
    answer = fitted.model_.outputs
    alone = np.concatenate([answer(X[i : i + 1]) for i in range(60)])
    assert_same_bits(answer(X), alone)
    assert_same_bits(np.concatenate([answer(X[:9]), answer(X[9:])]), alone)


# --------------------------------------------------------------------------------- processes

FORKS = """
import os, warnings
import numpy as np
from sklearn.model_selection import cross_val_score
import jax, joblib
import glassnet as gn
warnings.simplefilter("ignore")  # JAX warns of each fork
X = np.random.default_rng(0).normal(size=(40, 2))
y = (X[:, 0] > 0).astype(int)
model = gn.NeuralClassifier((4,), members=1, epochs=1, embedding="none", random_state=0)

def in_a_fork(call):
    if os.fork() == 0:
        try:
            call()
            print("computed", flush=True)
        except gn.ConfigurationError as error:
            print(error, flush=True)
        os._exit(0)
    os.wait()

in_a_fork(lambda: model.fit(X, y))  # nothing was computed before
jax.numpy.zeros(3) + 1  # not by glassnet
in_a_fork(lambda: model.fit(X, y))
model.fit(X, y)  # this process goes on
in_a_fork(lambda: model.predict(X))
with joblib.parallel_backend("multiprocessing", n_jobs=2):
    try:
        cross_val_score(model, X, y, cv=2, error_score="raise")
    except gn.ConfigurationError as error:
        print(error)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_is_refused_instead_of_hanging():
    """By hand and through joblib's 'multiprocessing', but for one of a process that had computed nothing."""
    told = subprocess.run(
        [sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=300
    )
    assert told.returncode == 0, told.stderr
    first, *others = told.stdout.splitlines()
    assert first == "computed"
    assert len(others) == 3
    for said in others:
        assert "is a fork of one" in said and "'loky'" in said and "spawn" in said


@pytest.mark.slow
def test_a_search_in_other_processes_is_the_search_alone():
    """joblib's own backend, loky, whose processes start anew, though this one has computed."""
    grid = {"l2": [0.0, 0.1]}
    alone = GridSearchCV(classifier(), grid, cv=2).fit(X, y)
    search = GridSearchCV(classifier(), grid, cv=2, n_jobs=2, error_score="raise").fit(X, y)
    for name in ("split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(search.cv_results_[name], alone.cv_results_[name])
    assert_same_bits(search.predict_proba(X), alone.predict_proba(X))


# --------------------------------------------------------------------------- metadata routing

WEIGHT = np.where(y == 2, 0.0, 1.0)  # without class 2 there are two classes


@pytest.mark.parametrize("make", [classifier, regressor])
def test_metadata_routing_brings_weights_and_validation_rows(make):
    held = (X[:12], y[:12])
    with config_context(enable_metadata_routing=True):
        asked = make().set_fit_request(sample_weight=True, validation=True)
        scaler = StandardScaler(with_mean=False, with_std=False)  # changes nothing
        pipeline = make_pipeline(scaler.set_fit_request(sample_weight=False), asked)
        pipeline.fit(X, y, sample_weight=WEIGHT + 1, validation=held)
        direct = make().fit(X, y, WEIGHT + 1, held)
        assert_same_bits(pipeline.predict(X), direct.predict(X))
        assert pipeline[-1].n_validation_ == 12

        scaler = StandardScaler().set_fit_request(sample_weight=False)
        silent = make_pipeline(scaler, make().set_fit_request(sample_weight=False))
        silent.fit(X, y)
        with pytest.raises(TypeError, match="sample_weight"):
            silent.fit(X, y, sample_weight=WEIGHT)


def test_metadata_routing_reaches_through_a_search():
    grid = {"neuralclassifier__l2": [0.0, 0.1]}
    with config_context(enable_metadata_routing=True):
        asked = (
            classifier().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        )
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=True), asked)
        search = GridSearchCV(pipeline, grid, cv=2, error_score="raise")
        search.fit(X, y, sample_weight=WEIGHT)
        assert search.classes_.tolist() == [0, 1]  # rows of weight 0 are left out, in each fold
        unasked = GridSearchCV(make_pipeline(StandardScaler(), classifier()), grid, cv=2)
        with pytest.raises(Exception, match="not explicitly set as requested or not"):
            unasked.fit(X, y, sample_weight=WEIGHT)


def test_without_metadata_routing_weights_go_by_the_name_of_the_step():
    pipeline = make_pipeline(StandardScaler(), classifier())
    pipeline.fit(X, y, neuralclassifier__sample_weight=WEIGHT)
    assert pipeline.classes_.tolist() == [0, 1]
    found = cross_validate(pipeline, X, y, cv=2, params={"neuralclassifier__sample_weight": WEIGHT})
    assert found["test_score"].shape == (2,)
    with pytest.raises(RuntimeError, match="enable_metadata_routing"):
        classifier().set_fit_request(sample_weight=True)


# --------------------------------------------------------------------------------- callbacks


class Recorder:
    """A callback after scikit-learn's protocol that writes down what it is told, and may stop."""

    def __init__(self, stop_after: int = 1_000) -> None:
        self.told: list[tuple[str, str, int]] = []
        self.fitted: list[Any] = []
        self.given: list[Any] = []
        self.asked: int | None = -1
        self.stop_after = stop_after

    def setup(self, estimator, context):
        self.told.append(("setup", context.task_name, context.task_id))

    def teardown(self, estimator, context):
        self.told.append(("teardown", context.task_name, context.task_id))

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None):
        self.told.append(("begin", context.task_name, context.task_id))
        self.given.append((X, y, metadata))
        if context.task_name == "fit":
            self.asked = context.max_subtasks

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.told.append(("end", context.task_name, context.task_id))
        self.fitted.append(fitted_estimator)
        return context.task_name == "epoch" and context.task_id + 1 == self.stop_after


needs_callbacks = pytest.mark.skipif(
    not hasattr(gn.NeuralClassifier, "set_callbacks"),
    reason="this scikit-learn has no callbacks (1.9 is the first that has)",
)


@needs_callbacks
@pytest.mark.parametrize("make", [classifier, regressor])
@pytest.mark.parametrize("members", [1, 2])
def test_callbacks_are_told_of_each_epoch_in_turn(make, members):
    told = Recorder()
    weight = np.ones(60)
    fitted = make(members=members).set_callbacks(told).fit(X, y, sample_weight=weight)
    epochs = [(what, "epoch", i) for i in range(3) for what in ("begin", "end")]
    inner = [("begin", "fit", 0), *epochs, ("end", "fit", 0)]
    assert told.told == [("setup", "fit", 0), *inner, ("teardown", "fit", 0)]
    assert told.asked == 3
    assert all(a is X and b is y and c == {"sample_weight": weight} for a, b, c in told.given)
    for epoch, snapshot in enumerate(told.fitted[:-1], start=1):  # as if `fit` had ended there
        assert snapshot.n_iter_ == epoch
        shorter = make(members=members, epochs=epoch).fit(X, y, sample_weight=weight)
        assert_same_bits(snapshot.predict(X), shorter.predict(X))
    assert_same_bits(told.fitted[-1].predict(X), fitted.predict(X))


@needs_callbacks
def test_a_callback_stops_the_run():
    told = Recorder(stop_after=2)
    fitted = classifier().set_callbacks(told).fit(X, y)
    assert fitted.n_iter_ == 2
    assert told.told[-3:] == [("end", "epoch", 1), ("end", "fit", 0), ("teardown", "fit", 0)]


@needs_callbacks
def test_networks_that_train_one_after_the_other(monkeypatch):
    """As where they are too many for memory: one walk of epochs a part, and each snapshot has all so far."""
    monkeypatch.setattr("glassnet.training.jobs.MAX_PARAMETERS", 1)
    told = Recorder()
    classifier(members=2).set_callbacks(told).fit(X, y)
    assert told.asked is None
    assert [name for what, name, _ in told.told if what == "end"] == ["epoch"] * 6 + ["fit"]
    assert [f.model_.members for f in told.fitted] == [1] * 3 + [2] * 4
    stopping = Recorder(stop_after=2)
    fitted = classifier(members=2).set_callbacks(stopping).fit(X, y)
    assert [len(history["epoch"]) for history in fitted.histories_] == [2, 1]


@needs_callbacks
def test_early_stopping_a_rollback_and_an_error_end_the_tasks():
    told = Recorder()
    stopping = gn.EarlyStopping(1)
    fitted = classifier(epochs=50, early_stopping=stopping, optimizer=gn.SGD(5.0))
    fitted.set_callbacks(told).fit(X, y)
    assert fitted.status_ == "stopped early"
    begun, ended = ([t[1:] for t in told.told if t[0] == what] for what in ("begin", "end"))
    assert sorted(begun) == sorted(ended) and len(ended) == fitted.n_iter_ + 1
    told = Recorder()
    wild = {"optimizer": gn.SGD(1e30), "epochs": 2}
    with pytest.raises(gn.DivergenceError):
        classifier(**wild).set_callbacks(told).fit(X, y)
    assert told.told[-1] == ("teardown", "fit", 0)
    told = Recorder()
    back = gn.Rollback(times=9, factor=1e-31)
    with pytest.warns(gn.TrainingWarning, match="Rolled back"):
        classifier(**wild, on_divergence=back).set_callbacks(told).fit(X, y)
    assert told.asked is None and told.told[-2:] == [("end", "fit", 0), ("teardown", "fit", 0)]


@needs_callbacks
def test_scikit_learns_own_callbacks(capsys):
    from sklearn.callback import ProgressBar, ScoringMonitor

    monitor = ScoringMonitor(scoring="accuracy")
    net = classifier().set_callbacks(monitor)
    grid = {"neuralclassifier__l2": [0.0, 0.1]}
    search = GridSearchCV(make_pipeline(StandardScaler(), net), grid, cv=2)
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(X, y)
    assert "NeuralClassifier - fit" in capsys.readouterr().out
    log = monitor.get_logs().data
    assert len(log) == 5 * (3 + 1)  # four candidates and splits, one refit: epochs and `fit`
    last = next(row for row in log if row["task_name"] == "fit" and len(row["task_id_path"]) == 3)
    assert last["accuracy"] == search.score(X, y)


def test_callbacks_are_no_part_of_the_parameters_and_of_partial_fit():
    told = Recorder()
    net = classifier()
    if hasattr(net, "set_callbacks"):
        net.set_callbacks(told)
    net.partial_fit(X, y)
    assert not told.told
    assert sklearn_callbacks.CallbackSupportMixin in gn.NeuralClassifier.__mro__


def test_where_scikit_learn_has_no_callbacks_there_are_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)  # as before 1.9: no such module
    names = runpy.run_path(sklearn_callbacks.__file__)
    assert not hasattr(names["CallbackSupportMixin"], "set_callbacks")
    assert names["with_callbacks"](len) is len
