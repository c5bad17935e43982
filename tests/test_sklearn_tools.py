"""What scikit-learn does with an estimator beside fitting it, each on the smallest network."""

from __future__ import annotations

import os
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
from glassnet import fit_tasks
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


def test_a_million_rows_are_predicted_in_bounded_memory():
    """As much as the answer needs, and no row depends on those beside it."""
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
assert proba.tobytes() == np.concatenate(parts).tobytes()
assert (classes == proba.argmax(axis=1)).all() and proba.shape == (1_000_000, 2)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert told.returncode == 0, told.stderr
    assert int(told.stdout) < 150_000  # KiB; the hidden layer's output alone would be 1 000 000


@pytest.mark.parametrize("make", [classifier, regressor])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_is_predicted_the_same_whatever_stands_beside_it(make, dtype):
    fitted = make(hidden=(33, 7), epochs=1, dtype=dtype).fit(X, y)
    answer = fitted.model_.outputs
    alone = np.concatenate([answer(X[i : i + 1]) for i in range(60)])
    assert_same_bits(answer(X), alone)
    assert_same_bits(np.concatenate([answer(X[:9]), answer(X[9:])]), alone)


# --------------------------------------------------------------------------------- processes

FORKED = """
import os, warnings
import numpy as np
from sklearn.model_selection import cross_val_score
import joblib
import glassnet as gn
from glassnet.forks import check_fork
warnings.simplefilter("ignore")
X = np.random.default_rng(0).normal(size=(40, 2))
y = (X[:, 0] > 0).astype(int)
model = gn.NeuralClassifier((4,), members=1, epochs=1, embedding="none", random_state=0)
"""


def said_by(code: str) -> str:
    told = subprocess.run(
        [sys.executable, "-c", FORKED + code], capture_output=True, text=True, timeout=60
    )
    assert told.returncode == 0, told.stderr
    return told.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("by", ["model.fit(X, y)", "import jax; jax.numpy.zeros(3) + 1"])
def test_a_fork_is_refused_instead_of_hanging(by):
    """Through joblib's 'multiprocessing', and by hand; whether it was glassnet that had used JAX or not."""
    code = f"""
{by}
with joblib.parallel_backend("multiprocessing", n_jobs=2):
    try:
        cross_val_score(model, X, y, cv=2, error_score="raise")
    except gn.ConfigurationError as error:
        print(error)
if os.fork() == 0:
    for call in (model.fit, model.predict) if hasattr(model, "model_") else (model.fit,):
        try:
            call(X, y) if call == model.fit else call(X)
        except gn.ConfigurationError as error:
            print("by hand:", error, flush=True)
    os._exit(0)
os.wait()
model.fit(X, y)  # this process goes on
"""
    said = said_by(code)
    assert said.count("is a fork of one") == (3 if "fit" in by else 2)
    assert "by hand: This process" in said
    assert "'loky'" in said and "spawn" in said


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_of_a_process_that_computed_nothing_may_compute():
    said = said_by("""
if os.fork() == 0:
    print(model.fit(X, y).n_iter_, flush=True)
    os._exit(0)
os.wait()
""")
    assert said == "1\n"
