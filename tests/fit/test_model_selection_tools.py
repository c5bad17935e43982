"""scikit-learn's tools around an estimator: cloning, stacking, searches, metadata routing, callbacks."""

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
def test_a_clone_of_a_fitted_estimator_is_unfitted(make):
    fitted = make().fit(X, y)
    copy = clone(fitted)
    assert vars(copy).keys() == vars(make()).keys()  # no fitted attribute was copied
    assert copy.get_params() == fitted.get_params()
    assert_same_bits(copy.fit(X, y).predict(X), fitted.predict(X))


@pytest.mark.parametrize("make", [classifier, regressor])
def test_with_few_rows_a_weight_equals_repeated_rows_to_the_bit(make):
    """Also with small batches, dropout, early stopping, members and float32."""
    rng = np.random.default_rng(2)
    rows, target = X[:12].copy(), y[:12] if make is classifier else X[:12] @ [0.1, 0.3, 1.0, 7.0]
    rows[3, 1] = np.nan
    weight = rng.integers(0, 4, 12)
    weight[:3] = 1
    indices = rng.permutation(np.repeat(np.arange(12), weight))
    chosen = {
        "batch_size": 4, "dropout": 0.2, "batch_norm": True, "early_stopping": True, "members": 2,
        "dtype": "float32",
    }  # fmt: skip
    weighted = make(**chosen).fit(rows, target, sample_weight=weight)
    repeated = make(**chosen).fit(rows[indices], target[indices])
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
    calibrated = CalibratedClassifierCV(classifier(epochs=30), cv=2, ensemble=ensemble)
    calibrated.fit(X, y, sample_weight=weight)
    proba = calibrated.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert calibrated.score(X, y) > 0.8 and calibrated.classes_.tolist() == [0, 1, 2]


def test_permutation_importance_finds_the_column_that_matters():
    values = 5 * X[:, 1]
    fitted = regressor(epochs=60).fit(X, values)
    importance = permutation_importance(fitted, X, values, n_repeats=2, random_state=0)
    assert importance.importances.shape == (4, 2)
    assert importance.importances_mean.argmax() == 1


def test_learning_curve():
    sizes, train, test = learning_curve(
        classifier(epochs=30), X, y, train_sizes=[15, 30], cv=2, shuffle=True, random_state=0,
        error_score="raise",
    )  # fmt: skip
    assert sizes.tolist() == [15, 30]
    assert train.shape == test.shape == (2, 2) and (train > 0.5).all() and (test > 0.3).all()


@pytest.mark.slow
def test_a_million_rows_are_predicted_in_bounded_memory():
    """Rows are predicted in parts of 8192, with the same results as for parts of other sizes."""
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
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300
    )
    assert process.returncode == 0, process.stderr
    assert int(process.stdout) < 150_000  # KiB; the hidden layer's output alone would be 1 000 000


@pytest.mark.parametrize("make", [classifier, regressor])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_prediction_has_the_same_bits_in_any_batch(make, dtype):
    fitted = make(hidden=(33, 7), epochs=1, dtype=dtype).fit(X, y)
    outputs = fitted.model_.outputs
    one_by_one = np.concatenate([outputs(X[i : i + 1]) for i in range(60)])
    assert_same_bits(outputs(X), one_by_one)
    assert_same_bits(np.concatenate([outputs(X[:9]), outputs(X[9:])]), one_by_one)


# --------------------------------------------------------------------------------- processes

FORKS = """
import os, warnings
import numpy as np
from sklearn.model_selection import cross_val_score
import jax, joblib
import glassnet as gn
warnings.simplefilter("ignore")  # JAX warns about each fork
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

in_a_fork(lambda: model.fit(X, y))  # nothing was computed before the fork
jax.numpy.zeros(3) + 1  # JAX has computed, though not glassnet
in_a_fork(lambda: model.fit(X, y))
model.fit(X, y)  # the parent process still works
in_a_fork(lambda: model.predict(X))
with joblib.parallel_backend("multiprocessing", n_jobs=2):
    try:
        cross_val_score(model, X, y, cv=2, error_score="raise")
    except gn.ConfigurationError as error:
        print(error)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_is_refused_instead_of_hanging():
    """By os.fork and through joblib's 'multiprocessing'; a fork before any computation is allowed."""
    process = subprocess.run(
        [sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=300
    )
    assert process.returncode == 0, process.stderr
    first, *others = process.stdout.splitlines()
    assert first == "computed"
    assert len(others) == 3
    for message in others:
        assert "is a fork of one" in message and "'loky'" in message and "spawn" in message


@pytest.mark.slow
def test_a_search_in_other_processes_gives_the_same_result():
    """joblib's default backend, loky, starts new processes, so no process is a fork of this one."""
    grid = {"l2": [0.0, 0.1]}
    serial = GridSearchCV(classifier(), grid, cv=2).fit(X, y)
    search = GridSearchCV(classifier(), grid, cv=2, n_jobs=2, error_score="raise").fit(X, y)
    for name in ("split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(search.cv_results_[name], serial.cv_results_[name])
    assert_same_bits(search.predict_proba(X), serial.predict_proba(X))


# --------------------------------------------------------------------------- metadata routing

WEIGHT = np.where(y == 2, 0.0, 1.0)  # without class 2, two classes remain


@pytest.mark.parametrize("make", [classifier, regressor])
def test_metadata_routing_passes_weights_and_validation_rows(make):
    held = (X[:12], y[:12])
    with config_context(enable_metadata_routing=True):
        requesting = make().set_fit_request(sample_weight=True, validation=True)
        scaler = StandardScaler(with_mean=False, with_std=False)  # changes nothing
        pipeline = make_pipeline(scaler.set_fit_request(sample_weight=False), requesting)
        pipeline.fit(X, y, sample_weight=WEIGHT + 1, validation=held)
        direct = make().fit(X, y, WEIGHT + 1, held)
        assert_same_bits(pipeline.predict(X), direct.predict(X))
        assert pipeline[-1].n_validation_ == 12

        scaler = StandardScaler().set_fit_request(sample_weight=False)
        ignoring = make_pipeline(scaler, make().set_fit_request(sample_weight=False))
        ignoring.fit(X, y)
        with pytest.raises(TypeError, match="sample_weight"):
            ignoring.fit(X, y, sample_weight=WEIGHT)


def test_metadata_routing_works_within_a_search():
    grid = {"neuralclassifier__l2": [0.0, 0.1]}
    with config_context(enable_metadata_routing=True):
        requesting = (
            classifier().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        )
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=True), requesting)
        search = GridSearchCV(pipeline, grid, cv=2, error_score="raise")
        search.fit(X, y, sample_weight=WEIGHT)
        assert search.classes_.tolist() == [0, 1]  # rows of weight 0 are dropped in each fold
        undecided = GridSearchCV(make_pipeline(StandardScaler(), classifier()), grid, cv=2)
        with pytest.raises(Exception, match="not explicitly set as requested or not"):
            undecided.fit(X, y, sample_weight=WEIGHT)


def test_without_metadata_routing_weights_are_passed_by_step_name():
    pipeline = make_pipeline(StandardScaler(), classifier())
    pipeline.fit(X, y, neuralclassifier__sample_weight=WEIGHT)
    assert pipeline.classes_.tolist() == [0, 1]
    scores = cross_validate(
        pipeline, X, y, cv=2, params={"neuralclassifier__sample_weight": WEIGHT}
    )
    assert scores["test_score"].shape == (2,)
    with pytest.raises(RuntimeError, match="enable_metadata_routing"):
        classifier().set_fit_request(sample_weight=True)


# --------------------------------------------------------------------------------- callbacks


class Recorder:
    """A callback with scikit-learn's protocol that records its calls and may stop the training."""

    def __init__(self, stop_after: int = 1_000) -> None:
        self.calls: list[tuple[str, str, int]] = []
        self.fitted: list[Any] = []
        self.arguments: list[Any] = []
        self.max_subtasks: int | None = -1
        self.stop_after = stop_after

    def setup(self, estimator, context):
        self.calls.append(("setup", context.task_name, context.task_id))

    def teardown(self, estimator, context):
        self.calls.append(("teardown", context.task_name, context.task_id))

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None):
        self.calls.append(("begin", context.task_name, context.task_id))
        self.arguments.append((X, y, metadata))
        if context.task_name == "fit":
            self.max_subtasks = context.max_subtasks

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.calls.append(("end", context.task_name, context.task_id))
        self.fitted.append(fitted_estimator)
        return context.task_name == "epoch" and context.task_id + 1 == self.stop_after


needs_callbacks = pytest.mark.skipif(
    not hasattr(gn.NeuralClassifier, "set_callbacks"),
    reason="this scikit-learn has no callbacks (1.9 is the first that has)",
)


@needs_callbacks
@pytest.mark.parametrize("make", [classifier, regressor])
@pytest.mark.parametrize("members", [1, 2])
def test_callbacks_are_called_for_each_epoch_in_order(make, members):
    recorder = Recorder()
    weight = np.ones(60)
    fitted = make(members=members).set_callbacks(recorder).fit(X, y, sample_weight=weight)
    epochs = [(what, "epoch", i) for i in range(3) for what in ("begin", "end")]
    inner = [("begin", "fit", 0), *epochs, ("end", "fit", 0)]
    assert recorder.calls == [("setup", "fit", 0), *inner, ("teardown", "fit", 0)]
    assert recorder.max_subtasks == 3
    assert all(
        a is X and b is y and c == {"sample_weight": weight} for a, b, c in recorder.arguments
    )
    for epoch, snapshot in enumerate(
        recorder.fitted[:-1], start=1
    ):  # as if `fit` had ended after this epoch
        assert snapshot.n_iter_ == epoch
        shorter = make(members=members, epochs=epoch).fit(X, y, sample_weight=weight)
        assert_same_bits(snapshot.predict(X), shorter.predict(X))
    assert_same_bits(recorder.fitted[-1].predict(X), fitted.predict(X))


@needs_callbacks
def test_a_callback_stops_the_run():
    recorder = Recorder(stop_after=2)
    fitted = classifier().set_callbacks(recorder).fit(X, y)
    assert fitted.n_iter_ == 2
    assert recorder.calls[-3:] == [("end", "epoch", 1), ("end", "fit", 0), ("teardown", "fit", 0)]


@needs_callbacks
def test_callbacks_when_networks_train_in_several_programs(monkeypatch):
    """Each program calls the epochs again, and each snapshot contains all networks so far."""
    monkeypatch.setattr("glassnet.training.jobs.MAX_PARAMETERS", 1)
    recorder = Recorder()
    classifier(members=2).set_callbacks(recorder).fit(X, y)
    assert recorder.max_subtasks is None
    assert [name for what, name, _ in recorder.calls if what == "end"] == ["epoch"] * 6 + ["fit"]
    assert [f.model_.members for f in recorder.fitted] == [1] * 3 + [2] * 4
    stopping = Recorder(stop_after=2)
    fitted = classifier(members=2).set_callbacks(stopping).fit(X, y)
    assert [len(history["epoch"]) for history in fitted.histories_] == [2, 1]


@needs_callbacks
def test_tasks_end_after_early_stopping_a_rollback_and_an_error():
    recorder = Recorder()
    stopping = gn.EarlyStopping(1)
    fitted = classifier(epochs=50, early_stopping=stopping, optimizer=gn.SGD(5.0))
    fitted.set_callbacks(recorder).fit(X, y)
    assert fitted.status_ == "stopped early"
    begun, ended = ([t[1:] for t in recorder.calls if t[0] == what] for what in ("begin", "end"))
    assert sorted(begun) == sorted(ended) and len(ended) == fitted.n_iter_ + 1
    recorder = Recorder()
    diverging = {"optimizer": gn.SGD(1e30), "epochs": 2}
    with pytest.raises(gn.DivergenceError):
        classifier(**diverging).set_callbacks(recorder).fit(X, y)
    assert recorder.calls[-1] == ("teardown", "fit", 0)
    recorder = Recorder()
    back = gn.Rollback(times=9, factor=1e-31)
    with pytest.warns(gn.TrainingWarning, match="Rolled back"):
        classifier(**diverging, on_divergence=back).set_callbacks(recorder).fit(X, y)
    assert recorder.max_subtasks is None and recorder.calls[-2:] == [
        ("end", "fit", 0),
        ("teardown", "fit", 0),
    ]


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
    assert len(log) == 5 * (3 + 1)  # 2 candidates x 2 splits + 1 refit; 3 epochs + `fit`
    last = next(row for row in log if row["task_name"] == "fit" and len(row["task_id_path"]) == 3)
    assert last["accuracy"] == search.score(X, y)


def test_partial_fit_does_not_call_scikit_learns_callbacks():
    recorder = Recorder()
    net = classifier()
    if hasattr(net, "set_callbacks"):
        net.set_callbacks(recorder)
    net.partial_fit(X, y)
    assert not recorder.calls
    assert sklearn_callbacks.CallbackSupportMixin in gn.NeuralClassifier.__mro__


def test_without_scikit_learns_callbacks_the_replacements_do_nothing(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)  # as before version 1.9
    names = runpy.run_path(sklearn_callbacks.__file__)
    assert not hasattr(names["CallbackSupportMixin"], "set_callbacks")
    assert names["with_callbacks"](len) is len
