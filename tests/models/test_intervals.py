"""Prediction intervals are quantiles of errors, have their coverage, and need held-out rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import glassnet as gn
from glassnet.errors import ConfigurationError, DataError
from glassnet.models.intervals import MAX_ERRORS, interval, kept_errors
from helpers import assert_same_bits


@pytest.mark.parametrize(("count", "coverage"), [(19, 0.9), (40, 0.5), (7, 0.75)])
def test_the_ends_of_an_interval_are_order_statistics(count: int, coverage: float) -> None:
    rng = np.random.default_rng(0)
    predictions, errors = rng.normal(size=(5, 2)), np.sort(rng.normal(size=(2, count)))
    ends = interval(predictions, errors, coverage)
    rank = {19: 1, 40: 10, 7: 1}[count]  # of (1 - coverage) / 2 · (count + 1)
    for target in range(2):
        low, high = errors[target, rank - 1], errors[target, -rank]
        expected = predictions[:, target, None] + [low, high]
        np.testing.assert_allclose(ends[:, target], expected)


def test_an_interval_of_smaller_coverage_lies_within_a_larger_one() -> None:
    rng = np.random.default_rng(1)
    predictions, errors = rng.normal(size=(9, 1)), np.sort(rng.normal(size=(1, 99)))
    inner, outer = (interval(predictions, errors, c) for c in (0.5, 0.95))
    assert (outer[..., 0] < inner[..., 0]).all() and (inner[..., 1] < outer[..., 1]).all()


def test_the_coverage_holds_on_average_over_samples() -> None:
    rng = np.random.default_rng(2)
    covered = [
        ((ends := interval(np.zeros((1, 1)), kept_errors(e), 0.8)[0, 0])[0] <= x <= ends[1])
        for e, x in zip(rng.exponential(size=(4000, 30, 1)), rng.exponential(size=4000), strict=True)
    ]  # fmt: skip
    assert np.mean(covered) == pytest.approx(0.8, abs=0.03)  # ranks 3 and 28 of 30: 25/31 = 0.806


def test_many_errors_are_reduced_to_quantiles_and_weights_repeat_rows() -> None:
    rng = np.random.default_rng(3)
    errors, weight = rng.normal(size=(50, 1)), rng.integers(1, 4, 50)
    many = kept_errors(rng.normal(size=(20_000, 1)))
    assert many.shape == (1, MAX_ERRORS)
    assert np.abs(np.quantile(many[0], [0.1587, 0.5, 0.8413]) - [-1, 0, 1]).max() < 0.05
    middle = kept_errors(errors, weight.astype(float))[0, 25]
    assert abs(middle - np.median(np.repeat(errors, weight))) < 0.2


def rows(n: int, seed: int) -> tuple[Any, Any]:
    X = np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)
    return X, 10 + 3 * X[:, 0] + np.random.default_rng(seed + 1).normal(size=n)


@pytest.mark.parametrize("options", [{"members": 3}, {"members": 1}, {"members": 3, "share": 0.3}])
def test_an_estimator_covers_new_rows(options: dict[str, Any], tmp_path: Any) -> None:
    share = options.pop("share", None)
    model = gn.NeuralRegressor((8,), embedding="none", epochs=40, random_state=0, **options)
    model.fit(*rows(600, 0), validation=share)
    X, y = rows(2000, 7)
    ends = model.predict_interval(X, coverage=0.9)
    assert ends.shape == (2000, 2)
    covered = ((ends[:, 0] <= y) & (y <= ends[:, 1])).mean()
    assert covered == pytest.approx(0.9, abs=0.05)
    model.save(tmp_path / "m")
    assert_same_bits(gn.load(tmp_path / "m").predict_interval(X), ends)


def test_each_of_several_targets_has_its_own_interval() -> None:
    X, y = rows(300, 0)
    model = gn.NeuralRegressor((8,), members=2, epochs=5, embedding="none", random_state=0)
    ends = model.fit(X, np.stack([y, 100 * y], axis=1)).predict_interval(X[:7])
    assert ends.shape == (7, 2, 2)
    widths = ends[..., 1] - ends[..., 0]
    assert (widths[:, 1] > 20 * widths[:, 0]).all()


def test_a_model_without_intervals_says_why() -> None:
    X, y = rows(60, 0)
    settings = {"members": 1, "epochs": 2, "embedding": "none", "early_stopping": False}
    plain = gn.NeuralRegressor((4,), **settings).fit(X, y)
    with pytest.raises(ConfigurationError, match="trained on all its rows"):
        plain.predict_interval(X)
    classes = gn.NeuralClassifier((4,), members=1, epochs=2, embedding="none").fit(X, y > 10)
    with pytest.raises(ConfigurationError, match="predict_proba"):
        classes.model_.predict_interval(X)
    few = gn.NeuralRegressor((4,), members=1, epochs=2, embedding="none").fit(X, y, validation=0.1)
    with pytest.raises(DataError, match="at least 39"):
        few.predict_interval(X, coverage=0.95)
    with pytest.raises(ConfigurationError, match="coverage"):
        few.predict_interval(X, coverage=1.0)
