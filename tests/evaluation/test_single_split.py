"""Test that train and compare fit the same simple models, and fit them fairly."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import glassnet as gn
from glassnet.cli.experiment import Choices, prepare, run_experiment
from glassnet.data.datasets import Dataset
from glassnet.data.tables import as_table
from glassnet.evaluation import contestants
from glassnet.evaluation.single_split import baselines


def heavy_tailed_sum(rows: int = 800) -> tuple[np.ndarray, np.ndarray]:
    """Return five columns, four of them heavy-tailed, and their sum."""
    rng = np.random.default_rng(0)
    X = np.stack(
        [
            rng.normal(size=rows),
            rng.standard_t(2, size=rows),
            rng.lognormal(sigma=1.5, size=rows),
            1000 * rng.standard_t(2, size=rows),
            0.01 * rng.lognormal(sigma=1.5, size=rows),
        ],
        axis=1,
    )
    return X, (X / X.std(axis=0)).sum(axis=1)


@pytest.mark.parametrize("form", ["table", "array"])
def test_the_linear_model_of_train_explains_a_sum_of_heavy_tailed_columns(form):
    X, y = heavy_tailed_sum()
    rows = as_table({f"c{j}": X[:, j] for j in range(5)}) if form == "table" else X
    choices = Choices(parameters={"hidden": (4,), "members": 1, "epochs": 1})
    data = Dataset(rows, y, None, "sum", "y", ())
    evaluation = run_experiment(prepare(data, choices), choices).evaluation
    assert evaluation.baselines["linear"]["r2"] > 0.999


def test_the_linear_model_of_compare_explains_a_sum_of_heavy_tailed_columns():
    X, y = heavy_tailed_sum()
    comparison = gn.compare(X, y, estimator=LinearRegression(), repeats=1)
    assert comparison.explained("linear").min() > 0.999


def small_model(X: np.ndarray, y: np.ndarray, classes: bool) -> gn.Model:
    kind = gn.NeuralClassifier if classes else gn.NeuralRegressor
    return kind((4,), members=1, epochs=1, random_state=0).fit(X, y).model_


def test_baselines_accept_numbers_beyond_float32():
    X, y = heavy_tailed_sum(200)
    X[7, 0], X[8, 1] = 1e300, -1e308
    scores = baselines(X, y, X, y, small_model(X, y, classes=False))
    assert all(np.isfinite(score) for score in scores["linear"].values())


def test_train_and_compare_fit_boosting_on_equally_many_rows(monkeypatch):
    X, y = heavy_tailed_sum(400)
    network = small_model(X, y, classes=False)
    monkeypatch.setattr(contestants, "MAX_BOOSTING_WORK", 300 * X.shape[1])
    monkeypatch.setattr(contestants, "MIN_BOOSTING_ROWS", 10)
    monkeypatch.setattr(contestants, "SPLIT_SEARCH", 0)
    beside = baselines(X[:320], y[:320], X[320:], y[320:], network)
    compared = gn.compare(X, y, estimator=LinearRegression(), repeats=1)
    assert beside["boosting"]["fitted_on"] == compared.standings["boosting"].fitted_on == 300


def test_boosting_is_left_out_of_train_and_compare_where_it_would_take_minutes(monkeypatch):
    X, y = heavy_tailed_sum(400)
    monkeypatch.setattr(contestants, "MAX_BOOSTING_WORK", 100)
    beside = baselines(X[:320], y[:320], X[320:], y[320:], small_model(X, y, classes=False))
    compared = gn.compare(X, y, estimator=LinearRegression(), repeats=1)
    assert set(beside) == {"mean", "linear"} and "boosting" not in compared.standings
    assert any(note.startswith("Gradient boosting is left out") for note in compared.notes)


def test_the_penalty_is_tuned_even_if_a_class_is_rare():
    """Pure noise in many columns: only a strong penalty keeps the linear model near the guess."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(120, 40)), np.r_[np.arange(118) % 2, 2, 2]
    X_test, y_test = rng.normal(size=(400, 40)), np.arange(400) % 2
    scores = baselines(X, y, X_test, y_test, small_model(X, y, classes=True))
    untuned = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    loss = log_loss(y_test, untuned.predict_proba(X_test), labels=range(3))
    guess = scores["majority"]["log_loss"]
    assert scores["linear"]["log_loss"] - guess < (loss - guess) / 4


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_penalty_is_tuned_on_a_sample_of_large_data(monkeypatch, task):
    monkeypatch.setattr(contestants, "MAX_TUNING_WORK", 1)
    size = contestants.Size(rows=500, features=5, outputs=2, runner_up=200)
    model = contestants.CONTESTANTS["linear"].make(task, size, 0)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 5))
    y = np.arange(500) % 2 if task == "classification" else rng.normal(size=500)
    model.fit(X, y)
    folds = list(model[-1].cv.split(X, y))
    assert all(len(train) + len(test) == 100 for train, test in folds) and len(folds) == 3
    assert all(not set(train) & set(test) for train, test in folds)
    assert model[-1].best_params_ in ({"C": 1e-4}, {"C": 1e-2}, {"alpha": 1e2}, {"alpha": 1e4})
