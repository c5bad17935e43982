"""scikit-learn's tests of MLPClassifier and MLPRegressor, adapted to our estimators.

Each test keeps its name from sklearn/neural_network/tests/test_mlp.py (scikit-learn 1.9.1).
These tests are left out:

- covered by our own tests, with independent oracles: test_gradient (test_gradients.py), test_alpha
  (test_l2_shrinks_weights), test_sparse_matrices (test_sparse_rows_equal_dense_rows), test_early_stopping and
  test_n_iter_no_change (test_early_stopping_keeps_the_best_epoch), test_multioutput_regression
  (test_predicted_values_are_in_the_units_of_the_targets), test_mlp_sample_weight_with_early_stopping
  (test_weights_of_one_change_nothing, and below with early stopping), test_warm_start_full_iteration and
  test_mlp_warm_start_no_convergence (test_warm_start_continues_the_last_fit): all in test_estimators.py
- of a solver that we do not have: test_lbfgs_classification, test_lbfgs_regression, test_lbfgs_*_maxfun, and
  the end of test_partial_fit_errors
- of a parameter that we do not have: test_shuffle (rows are always shuffled if there are several batches),
  test_tolerance (`tol`: here gn.EarlyStopping(min_delta=...), below),
  test_n_iter_no_change_inf (gn.EarlyStopping(math.inf), in test_training.py),
  test_adaptive_learning_rate and test_learning_rate_warmstart (schedules depend only on the step,
  in test_optimizers.py), test_verbose_sgd (gn.ProgressBar, in test_training.py)
- of a loss that we do not have: test_mlp_vs_poisson_glm_equivalent. Below, squared error is compared with
  LinearRegression, and cross-entropy with LogisticRegression.
- with other behaviour here: test_nonfinite_params (numbers are softly clipped, so rows near the largest
  float train; test_extreme_numbers_still_train), test_mlp_diverging_loss (a DivergenceError, or
  on_divergence; test_divergence.py), test_mlp_partial_fit_after_fit (it continues, without early
  stopping; below),
  test_early_stopping_stratified (a class of one row stays in training; below), test_mlp_param_dtypes
  (`dtype`; test_dtype), test_minimum_input_sample_size (one row of two can be set aside; below)
"""

from __future__ import annotations

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_multilabel_classification
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import roc_auc_score

import glassnet as gn
from glassnet.errors import DataError
from helpers import assert_same_bits, blobs

X, y = blobs(60)
SMALL = {
    "hidden": (8,), "dropout": 0.0, "epochs": 15, "random_state": 0, "optimizer": gn.Adam(0.02),
    "members": 1, "embedding": "none", "early_stopping": False, "batch_size": 32,
}  # fmt: skip
BOTH = pytest.mark.parametrize("kind", [gn.NeuralClassifier, gn.NeuralRegressor])


def test_fit():
    """One step by hand: 3 inputs, 2 sigmoids, one output, binary cross-entropy, rate 0.1, penalty 0.1.

    scikit-learn's worked example, plus a row of weight 0, since we require two classes. Their computation
    multiplies the third input's gradients by 0.6 (and compares three digits); here they are multiplied by
    the input itself, 0.7.
    """
    network = gn.Network([gn.Dense(2), "sigmoid", gn.Dense(1)])
    x, t = np.array([[0.6, 0.8, 0.7], [9.0, 9.0, 9.0]]), np.array([0, 1])
    W = np.array([[0.1, 0.3, 0.5], [0.2, 0.1, 0.0]])
    weights = [
        {"W": W, "b": np.array([0.1, 0.1])}, {}, {"W": np.array([[0.1, 0.2]]), "b": np.array([1.0])}
    ]  # fmt: skip
    options = {
        "loss": "binary_cross_entropy", "optimizer": gn.SGD(0.1), "l2": 0.1, "dtype": "float64",
        "sample_weight": [1.0, 0.0],
    }  # fmt: skip
    state = gn.train(network, x, t, epochs=0, **options).state._replace(params=tuple(weights))
    run = gn.train(network, x, t, epochs=1, state=state, **options)
    params = run.model.params
    after = [[0.098, 0.2956664, 0.493832], [0.195756, 0.096008, -0.00262]]
    np.testing.assert_allclose(params[0]["W"], after, atol=2e-4)
    np.testing.assert_allclose(params[2]["W"], [[0.04706, 0.154089]], atol=2e-4)
    np.testing.assert_allclose(params[0]["b"], [0.098333, 0.09626], atol=2e-4)
    np.testing.assert_allclose(params[2]["b"], [0.9235], atol=2e-4)
    np.testing.assert_allclose(run.model.outputs(x[:1]), [[0.739]], atol=1e-3)


def test_multilabel_classification():
    rows, labels = make_multilabel_classification(50, random_state=0)
    fitted = gn.NeuralClassifier(**SMALL | {"epochs": 150, "hidden": (50,)}).fit(rows, labels)
    assert fitted.score(rows, labels) > 0.97
    parts = gn.NeuralClassifier(**SMALL | {"hidden": (50,)})
    for _ in range(100):
        parts.partial_fit(rows, labels, classes=np.arange(5) if _ == 0 else None)
    assert parts.score(rows, labels) > 0.9
    stopping = gn.NeuralClassifier(**SMALL | {"early_stopping": True})  # labels are not stratified
    assert stopping.fit(rows, labels).predict(rows).shape == labels.shape


def test_predict_proba():
    """test_predict_proba_binary, _multiclass and _multilabel; the logarithm of 0 gives no warning."""
    for target in (y == 1, y, np.stack([y == 0, y > 0, y == 2], axis=1).astype(int)):
        fitted = gn.NeuralClassifier(**SMALL | {"epochs": 60}).fit(X, target)
        proba, logarithm = fitted.predict_proba(X), fitted.predict_log_proba(X)
        assert proba.shape == (60, 2 if target is not y and target.ndim == 1 else 3)
        np.testing.assert_array_equal(logarithm, np.log(proba))
        np.testing.assert_array_equal(logarithm.argmax(axis=1), proba.argmax(axis=1))
        if target.ndim == 2:
            assert np.square(proba.sum(axis=1) - 1).sum() > 1e-10  # no softmax over labels
            np.testing.assert_array_equal(fitted.predict(X), proba > 0.5)
        elif proba.shape[1] == 2:
            assert roc_auc_score(target, proba[:, 1]) > 0.98
    saturated = gn.NeuralClassifier(**SMALL | {"optimizer": gn.SGD(1e3), "epochs": 2}).fit(X, y)
    assert (saturated.predict_log_proba(X) == -np.inf).any()  # where a probability is 0


def test_partial_fit_classes_error():
    net = gn.NeuralClassifier(**SMALL).partial_fit([[3, 2]], [0], classes=[0, 1])
    with pytest.raises(ValueError, match="class"):
        net.partial_fit([[3, 2]], [2])
    with pytest.raises(ValueError, match="classes"):
        net.partial_fit([[3, 2]], [0], classes=[1, 2])
    net.partial_fit([[3, 2]], [1], classes=[1, 0])


def test_partial_fit_errors():
    with pytest.raises(ValueError, match="same class, 2"):
        gn.NeuralClassifier(**SMALL).partial_fit([[3, 2], [1, 6]], [1, 0], classes=[2])


def test_partial_fit_unseen_classes():
    net = gn.NeuralClassifier(**SMALL)
    net.partial_fit([[1], [2], [3]], ["a", "b", "c"], classes=["a", "b", "c", "d"])
    net.partial_fit([[4]], ["d"])
    assert net.score([[1], [2], [3], [4]], ["a", "b", "c", "d"]) > 0


@pytest.mark.parametrize("momentum", [gn.SGD(0.01), gn.Momentum(0.01)], ids=["plain", "momentum"])
def test_partial_fit_regression(momentum):
    values = X @ [1.0, 2.0, -1.0, 0.5]
    options = SMALL | {"optimizer": momentum, "batch_size": None}
    whole = gn.NeuralRegressor(**options | {"epochs": 9}).fit(X, values)
    parts = gn.NeuralRegressor(**options)
    for _ in range(9):
        parts.partial_fit(X, values)
    assert_same_bits(parts.predict(X), whole.predict(X))


@pytest.mark.parametrize(
    ("others", "refused"),
    [([0] * 30 + [1] * 30, False), ([0, 1, 3] * 20, True), ([0, 1, 2, 3] * 15, True)],
    ids=["fewer", "another", "more"],
)
def test_warm_start(others, refused):
    """Classes that the first fit did not see are refused; fewer classes are allowed."""
    net = gn.NeuralClassifier(**SMALL | {"warm_start": True, "epochs": 1}).fit(X, y).fit(X, y)
    if refused:
        with pytest.raises(DataError, match="class 3, which was not in the training data"):
            net.fit(X, others)
    else:
        assert net.fit(X, others).classes_.tolist() == [0, 1, 2]


def test_tolerance():
    """A loss that falls by less than `min_delta` ends the run."""
    stopping = gn.EarlyStopping(10, min_delta=0.5)
    net = gn.NeuralClassifier(**SMALL | {"early_stopping": stopping, "epochs": 300})
    net.fit([[3, 2], [1, 6]], [1, 0], validation=([[3, 2], [1, 6]], [1, 0]))
    assert net.n_iter_ < 300 and net.status_ == "stopped early"


def test_early_stopping_stratified():
    rows = [[1, 2], [2, 3], [3, 4], [4, 5]]
    net = gn.NeuralClassifier(**SMALL | {"early_stopping": True}).fit(rows, [0, 0, 0, 1])
    assert net.n_validation_ == 1 and net.classes_.tolist() == [0, 1]


def test_minimum_input_sample_size():
    net = gn.NeuralRegressor(**SMALL | {"early_stopping": True})
    assert net.fit([[1.0], [2.0]], [1.0, 2.0]).n_validation_ == 1
    with pytest.raises(DataError, match="too few rows to set any aside"):
        net.fit([[1.0]], [1.0])


def test_mlp_early_stopping_string_labels():
    names = np.array(["class_a", "class_b", "class_c"], dtype=object)[y]
    net = gn.NeuralClassifier(**SMALL | {"early_stopping": True}).fit(X, names)
    losses = net.history_["validation_loss"]
    assert len(losses) == net.n_iter_ and np.isfinite(losses).all()


@BOTH
def test_mlp_dtypes_casting(kind):
    """test_mlp_classifier_dtypes_casting, test_mlp_regressor_dtypes_casting: X's dtype hardly matters."""
    few = X[:36], y[:36]  # a few rows of float64 are computed in float64
    double = kind(**SMALL).fit(*few)
    single = kind(**SMALL).fit(few[0].astype(np.float32), few[1])
    assert (double.model_.dtype, single.model_.dtype) == ("float64", "float32")
    np.testing.assert_allclose(double.predict(X), single.predict(X.astype(np.float32)), rtol=5e-4)


@BOTH
def test_mlp_warm_start_with_early_stopping(kind):
    net = kind(**SMALL | {"early_stopping": True, "warm_start": True, "epochs": 3}).fit(X, y)
    before = len(net.history_["validation_loss"])
    net.set_params(epochs=2).fit(X, y)
    assert len(net.history_["validation_loss"]) == before + 2


@BOTH
def test_mlp_partial_fit_after_fit(kind):
    """scikit-learn refuses this with early stopping; here it trains one more epoch without."""
    net = kind(**SMALL | {"early_stopping": True, "epochs": 2}).fit(X, y)
    assert net.partial_fit(X, y).n_iter_ == 3
    assert net.n_validation_ == 0


def test_mlp_loading_from_joblib_partial_fit(tmp_path):
    """A loaded estimator continues to learn, and the saved one does not change."""
    options = SMALL | {"optimizer": gn.Adam(0.01)}
    net = gn.NeuralRegressor(**options | {"epochs": 20}).fit([[2], [3]], [4.0, 6.0])
    joblib.dump(net, tmp_path / "net.pkl")
    loaded = joblib.load(tmp_path / "net.pkl")
    for _ in range(200):
        loaded.partial_fit([[2]], [1.0])
    np.testing.assert_allclose(loaded.predict([[2]]), [1.0], rtol=1e-3)
    assert abs(net.predict([[2]])[0] - 1) > 0.5  # the saved estimator did not change


@BOTH
def test_preserve_feature_names(kind):
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    net = kind(**SMALL | {"early_stopping": True, "epochs": 1})
    net.fit(frame, pd.Series(y, name="target"))  # a warning would be an error here
    assert net.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    assert np.isfinite(net.score(frame, y))


@BOTH
def test_mlp_sample_weight_with_early_stopping(kind):
    options = SMALL | {"early_stopping": True, "epochs": 3}
    weighted = kind(**options).fit(X, y, sample_weight=np.ones(60))
    np.testing.assert_allclose(weighted.predict(X), kind(**options).fit(X, y).predict(X), rtol=1e-6)


def test_linear_models():
    """As test_mlp_vs_poisson_glm_equivalent: a network of one layer is the linear model."""
    options = {
        "epochs": 600,
        "batch_size": None,
        "dtype": "float64",
        "optimizer": gn.Adam(gn.Cosine(0.3)),
    }
    values = X @ [1.0, 2.0, -1.0, 0.5] + np.sin(np.arange(60))
    model = gn.train(gn.Network([gn.Dense(1)]), X, values, **options).model
    np.testing.assert_allclose(
        model.predict(X), LinearRegression().fit(X, values).predict(X), atol=1e-5
    )
    noisy = np.where(np.arange(60) % 3 == 0, (np.arange(60) // 3) % 3, y)
    proba = gn.train(gn.Network([gn.Dense(3)]), X, noisy, **options).model.predict_proba(X)
    linear = LogisticRegression(C=np.inf, tol=1e-9, max_iter=1000).fit(X, noisy)
    np.testing.assert_allclose(proba, linear.predict_proba(X), atol=1e-4)
