"""Test the statistics of comparisons by simulation, their texts, and verdicts where the truth is known."""

from __future__ import annotations

import itertools
import json
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats
from sklearn import metrics
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_digits, load_iris
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsRegressor
from sklearn.tree import DecisionTreeClassifier

import glassnet as gn
from glassnet.evaluation.comparison import Standing, field_of
from glassnet.evaluation.contestants import CONTESTANTS, limited_threads, sample_rows
from glassnet.evaluation.features import Features
from glassnet.evaluation.race import memory_of
from glassnet.evaluation.verdicts import (
    GUESS,
    NETWORK,
    Difference,
    Field,
    paired_folds,
    paired_rows,
    row_errors,
    rows_needed,
    verdict,
)
from glassnet.reports.comparison_page import comparison_html


def network(hidden: Any = (32,), epochs: int = 60, kind: Any = gn.NeuralClassifier) -> Any:
    """Return a small network that trains quickly."""
    return kind(hidden, members=2, epochs=epochs, embedding="none", random_state=0)


def values(hidden: Any = (32,), epochs: int = 60) -> Any:
    return network(hidden, epochs, gn.NeuralRegressor)


# ---------------------------------------------------------------------------------------- statistics


def test_without_correction_the_interval_is_that_of_the_paired_t_test():
    rng = np.random.default_rng(0)
    a, b = rng.normal([[0.3], [0.0]], size=(2, 12))
    known = stats.ttest_rel(a, b, alternative="greater")
    ends = stats.ttest_rel(a, b).confidence_interval(0.95)
    for difference in (paired_rows(a - b), paired_folds(a - b, ratio=0)):
        assert difference.p == pytest.approx(known.pvalue)
        assert (difference.low, difference.high) == pytest.approx((ends.low, ends.high))


def test_the_correction_widens_the_interval_as_nadeau_and_bengio_derived():
    d = np.random.default_rng(1).normal(size=10)
    plain, corrected = paired_folds(d, 0), paired_folds(d, 1 / 4)
    width = (corrected.high - corrected.low) / (plain.high - plain.low)
    assert width == pytest.approx(np.sqrt((1 / 10 + 1 / 4) / (1 / 10)))
    assert corrected.mean == plain.mean


def test_the_interval_of_one_fold_is_infinite():
    difference = paired_folds([0.4], 1 / 4)
    assert (difference.low, difference.high, difference.p) == (-np.inf, np.inf, 1.0)
    assert paired_folds([0.1, 0.1, 0.1], 1 / 4).low == pytest.approx(0.1)


def fold_errors(x: np.ndarray, y: np.ndarray, degrees: Any, repeats: int) -> np.ndarray:
    """Return the cross-validated errors (models, folds) of one polynomial per column and degree."""
    errors = []
    for repeat in range(repeats):
        for train, test in KFold(5, shuffle=True, random_state=repeat).split(x):
            fits = [np.polyfit(x[train, j], y[train], k) for j, k in degrees]
            pairs = zip(fits, degrees, strict=True)
            errors.append(
                [np.mean((y[test] - np.polyval(f, x[test, j])) ** 2) for f, (j, _) in pairs]
            )
    return np.array(errors).T


def test_equally_good_models_differ_significantly_no_more_often_than_promised():
    """Each model sees one of two equally informative columns; the uncorrected test errs far more often."""
    rng = np.random.default_rng(0)
    corrected = naive = 0
    for _ in range(200):
        x = rng.normal(size=(80, 2))
        y = x.sum(axis=1) / 2 + rng.normal(size=80)
        errors = fold_errors(x, y, [(0, 1), (1, 1)], repeats=2)
        for_real, too_sure = (paired_folds(errors[1] - errors[0], ratio) for ratio in (1 / 4, 0))
        corrected += not for_real.low <= 0 <= for_real.high
        naive += not too_sure.low <= 0 <= too_sure.high
    assert corrected <= 0.05 * 200 < naive


def test_on_noise_models_rarely_beat_guessing():
    rng = np.random.default_rng(0)
    keys = [GUESS, "linear", "tree", "neighbours", "boosting", NETWORK]
    wrong = 0
    for _ in range(100):
        errors = fold_errors(
            rng.normal(size=(60, 1)), rng.normal(size=60), [(0, k) for k in range(6)], 2
        )
        decision = verdict(field_of(dict(zip(keys, map(standing, errors), strict=True)), 5, 60))
        wrong += decision.use != GUESS
        assert decision.use == GUESS or decision.beats_guess
    assert wrong <= 5


def standing(errors: Any, seconds: float = 0.1) -> Standing:
    ones = np.ones(len(errors))
    return Standing(
        "some model", "", np.array(errors), {"rmse": errors**0.5}, seconds * ones, ones, 8
    )


def test_row_errors_are_brier_scores_and_squared_errors():
    rng = np.random.default_rng(0)
    truth, p = rng.integers(0, 2, 50), rng.uniform(size=50)
    errors = row_errors(truth, truth, np.stack([1 - p, p], axis=1))
    assert errors.mean() == pytest.approx(2 * metrics.brier_score_loss(truth, p))
    y, z = rng.normal(size=(2, 50))
    assert row_errors(y, z, None).mean() == pytest.approx(metrics.mean_squared_error(y, z))
    labels = rng.integers(0, 2, (50, 3))
    assert row_errors(labels, labels, labels.astype(float)).tolist() == [0.0] * 50


def test_the_rows_needed_would_make_the_lead_significant():
    """A lead whose interval includes 0 at n rows just excludes it at the number of rows needed."""
    lead = Difference(0.02, -0.01, 0.05, 0.1)
    needed = rows_needed(400, lead)
    assert needed is not None
    half = 0.03 * np.sqrt(400 / needed)
    assert half == pytest.approx(0.02, rel=0.05)
    assert rows_needed(400, Difference(-0.1, -1, 1, 0.9)) is None


# --------------------------------------------------------------------------------------------- words


def field(
    leads: dict[str, float], p: dict[tuple[str, str], float] | None = None, half: float = 0.05
) -> Field:
    """Return models with given shares explained; leads of less than `half` are not significant."""

    def difference(a: str, b: str) -> Difference:
        mean = leads[a] - leads[b]
        known = 0.0001 if mean > half else 0.2 if mean > 0 else 0.8
        return Difference(mean, mean - half, mean + half, (p or {}).get((a, b), known))

    titles = {key: f"model {key}" for key in leads} | {NETWORK: "the network"}
    shown = {key: {"accuracy": 0.5 + share / 2} for key, share in leads.items()}
    seconds = {key: 0.1 if key != NETWORK else 9.0 for key in leads}
    return Field({key: titles[key] for key in leads}, leads, difference, shown, seconds, 200)


@pytest.mark.parametrize(
    ("leads", "use", "answer", "message"),
    [
        ({"guess": 0, "linear": 0.5, "boosting": 0.6, NETWORK: 0.8}, NETWORK, "yes",
         "Use the network: accuracy 0.9 against 0.8 for model boosting, the best of the simpler models,"
         " fitted in 9.0 s instead of 0.10 s."),
        ({"guess": 0, "linear": 0.5, "boosting": 0.52, NETWORK: 0.54}, "linear", "undecided",
         "Use model linear, not the network: it is simpler, and the network's lead, accuracy 0.77 against"
         " 0.75, is within the noise of 200 rows (about 310 rows would decide it)."),
        ({"guess": 0, "linear": 0.5, "boosting": 0.8, NETWORK: 0.6}, "boosting", "no",
         "it is better, accuracy 0.9 against 0.8, fitted in 0.10 s instead of 9.0 s"),
        ({"guess": 0, "linear": 0.5, NETWORK: 0.5001}, "linear", "no", "the network is no better"),
        ({"guess": 0, "linear": -0.1, NETWORK: -0.2}, GUESS, "no", "Use no model: nothing beats"),
        ({"guess": 0, "linear": 0.02, NETWORK: 0.04}, GUESS, "no", "is real, about 310 rows would show it"),
        ({"guess": 0, "linear": 0.5}, "linear", "absent", "Use model linear: accuracy 0.75 against 0.5"),
        ({"guess": 0, NETWORK: 0.5}, NETWORK, "yes", "for model guess"),
    ],
)  # fmt: skip
def test_the_verdict_as_a_sentence(leads, use, answer, message):
    decision = verdict(field(leads))
    assert (decision.use, decision.network) == (use, answer)
    assert message in decision.sentence
    assert decision.sentence.endswith(".") and "\n" not in decision.sentence


def test_with_more_models_a_lead_must_be_more_significant():
    leads = {"guess": 0, "linear": -0.1, "tree": -0.1, "boosting": -0.1, NETWORK: 0.2}
    almost = {(NETWORK, GUESS): 0.02}
    assert verdict(field(leads, almost)).use == GUESS
    assert verdict(field({"guess": 0, NETWORK: 0.2}, almost)).use == NETWORK


def test_a_significant_but_tiny_lead_does_not_count():
    tiny = field({"guess": 0, "linear": 0.5, NETWORK: 0.503}, half=0.001)
    assert verdict(tiny).use == "linear"
    almost_perfect = field({"guess": 0, "linear": 0.98, NETWORK: 0.989}, half=0.001)
    assert verdict(almost_perfect).use == NETWORK  # nearly half of the errors that were left


# ----------------------------------------------------------------------------- where the truth is known


def askew(columns: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return columns @ np.linalg.qr(rng.normal(size=(columns.shape[1],) * 2))[0]


def separable(rng):
    X = rng.normal(size=(300, 4))
    score = X @ [1, -1, 0.5, 0.3]
    apart = abs(score) > 0.3
    return X[apart], (score[apart] > 0).astype(int), network()


def line(rng):
    x = rng.uniform(-2, 2, (200, 1))
    return x, 3 * x[:, 0] + 1 + rng.normal(size=200) / 2, values()


def noise(rng):
    return rng.normal(size=(60, 5)), rng.integers(0, 2, 60), network(epochs=30)


def noisy_values(rng):
    return rng.normal(size=(60, 5)), rng.normal(size=60), values(epochs=30)


def xor(rng):
    X = rng.normal(size=(800, 6))
    a, b = (X @ rng.normal(size=(6, 2))).T
    return X, (a * b > 0).astype(int), network((32, 32))


def spirals(rng):
    """Return two spirals in a rotated plane of five columns."""
    t, arm = np.sqrt(rng.uniform(0.02, 1, 800)), rng.integers(0, 2, 800)
    angle = 2 * np.pi * t + np.pi * arm
    plane = np.stack([t * np.cos(angle), t * np.sin(angle)], axis=1)
    return (
        askew(np.hstack([plane, rng.normal(size=(800, 3)) / 2]), rng),
        arm,
        network((64, 64), 200),
    )


def steps(rng):
    """Return step functions of single columns, most of which are irrelevant."""
    X = rng.uniform(size=(1200, 20))
    y = sum(np.floor(6 * X[:, j]) % 2 * (j + 2) for j in range(3))
    return X, y + rng.normal(size=1200) * 0.3, values()


@cache
def compared(make: Any) -> Any:
    X, y, estimator = make(np.random.default_rng(0))
    return gn.compare(X, y, estimator=estimator, repeats=1)


@pytest.mark.parametrize(
    ("make", "use"),
    [(separable, "linear"), (line, "linear"), (noise, GUESS), (noisy_values, GUESS), (xor, NETWORK),
     (spirals, NETWORK), (steps, "boosting")],
)  # fmt: skip
def test_the_verdict_is_right_where_the_truth_is_known(make, use):
    comparison = compared(make)
    assert comparison.verdict.use == use, comparison
    assert (comparison.verdict.network == "yes") == (use == NETWORK)
    start = (
        "Use no model: nothing beats guessing"
        if use == GUESS
        else f"Use {comparison.standings[use].title}"
    )
    assert comparison.verdict.sentence.startswith(start)


@pytest.fixture
def few_contestants():
    """Keep only the guess and the linear model; restore all in their order afterwards."""
    every = dict(CONTESTANTS)
    for key in ("tree", "neighbours", "boosting"):
        del CONTESTANTS[key]
    yield
    CONTESTANTS.clear()
    CONTESTANTS.update(every)


@pytest.mark.slow
def test_on_digits_the_network_beats_the_linear_model(few_contestants):
    X, y = load_digits(return_X_y=True)
    estimator = gn.NeuralClassifier(random_state=0)
    comparison = gn.compare(X.reshape(-1, 8, 8), y, estimator=estimator, repeats=1)
    assert comparison.verdict.network == "yes" and "linear" in comparison.verdict.network_beats


@pytest.mark.slow
def test_the_default_network_is_not_recommended_for_a_straight_line():
    X, y, _ = line(np.random.default_rng(1))
    assert gn.compare(X, y, repeats=1).verdict.use == "linear"


# --------------------------------------------------------------------------------------- same for all


def test_scores_equal_those_of_scikit_learn_on_the_same_folds():
    """Trees are invariant to the scaling of columns, so their scores equal those on raw columns."""
    X, y = load_iris(return_X_y=True)
    comparison = gn.compare(X, y, estimator=GaussianNB(), folds=4, repeats=1, seed=3)
    folds = StratifiedKFold(4, shuffle=True, random_state=3)
    tree = DecisionTreeClassifier(max_leaf_nodes=16, min_samples_leaf=5, random_state=3)
    np.testing.assert_allclose(
        comparison.standings["tree"].scores["accuracy"], cross_val_score(tree, X, y, cv=folds)
    )
    np.testing.assert_allclose(
        comparison.standings[NETWORK].scores["accuracy"],
        cross_val_score(GaussianNB(), X, y, cv=folds), atol=0.03,
    )  # fmt: skip


def test_the_share_explained_is_r2():
    comparison = compared(steps)
    X, y, _ = steps(np.random.default_rng(0))
    folds = KFold(5, shuffle=True, random_state=0)
    boosting = HistGradientBoostingRegressor(random_state=0)
    with limited_threads(X.size):
        known = cross_val_score(boosting, X, y, cv=folds, scoring="r2")
    assert comparison.explained("boosting").mean() == pytest.approx(known.mean(), abs=0.01)
    assert comparison.explained(GUESS).mean() == pytest.approx(0)


def mixed() -> tuple[dict[str, list[Any]], list[str]]:
    rng = np.random.default_rng(0)
    size, city = rng.normal(size=150), rng.choice(["Ulm", "Bonn", "Köln"], 150)
    kind = np.where(size + (city == "Ulm") + rng.normal(size=150) / 2 > 0.3, "yes", "no")
    sizes = [None if i % 9 == 0 else float(v) for i, v in enumerate(size)]
    cities = [None if i % 11 == 0 else str(c) for i, c in enumerate(city)]
    return {"size": sizes, "city": cities}, kind.tolist()


@pytest.mark.parametrize("form", [dict, pd.DataFrame, pl.DataFrame])
def test_tables_may_have_text_and_missing_values(form):
    X, y = mixed()
    comparison = gn.compare(form(X), y, estimator=LogisticRegression(), folds=3, repeats=3)
    assert comparison.columns == 2 and list(comparison.standings) == [*CONTESTANTS, NETWORK]
    assert (
        comparison.verdict.use == "linear" and comparison.difference(NETWORK, "linear").mean < 0.05
    )


def test_each_folds_encoding_is_learned_from_its_training_rows(monkeypatch):
    seen = []

    class Spy(Features):
        def __init__(self, X: Any) -> None:
            seen.append(np.asarray(X)[:, 0])
            super().__init__(X)

    monkeypatch.setattr("glassnet.evaluation.race.Features", Spy)
    X = np.arange(40.0).reshape(-1, 1)
    gn.compare(
        X, np.arange(40) % 7 * 1.0, estimator=HistGradientBoostingRegressor(), folds=4, repeats=1
    )
    tests = [train for train, _ in KFold(4, shuffle=True, random_state=0).split(X)]
    assert [list(rows) for rows in seen] == [list(rows) for rows in tests * 2]


def test_some_folds_may_lack_a_class():
    X, y = load_iris(return_X_y=True)
    few = np.r_[0:40, 50:90, 100:103]
    comparison = gn.compare(X[few], y[few], estimator=GaussianNB(), repeats=1)
    assert all(np.isfinite(s.errors).all() for s in comparison.standings.values())


def test_pictures_become_rows_of_pixels_for_all_but_the_network():
    X, y = load_digits(n_class=2, return_X_y=True)
    comparison = gn.compare(
        X[:80].reshape(-1, 8, 8), y[:80], estimator=network((8,), 3), folds=2, repeats=1
    )
    assert comparison.columns == 64 and comparison.difference("linear", GUESS).low > 0.5


def test_memory_counts_each_array_once_for_every_model():
    X = np.ones((10, 4))
    assert memory_of([X, X, {"again": X}]) == X.nbytes  # one array is one array
    few, many = (memory_by_model(rows) for rows in (40, 400))
    assert many["neighbours"] > 5 * few["neighbours"]
    assert many["linear"] == few["linear"]


def memory_by_model(rows: int) -> dict[str, int]:
    X = np.random.default_rng(0).normal(size=(rows, 3))
    comparison = gn.compare(X, np.arange(rows) % 2, estimator=GaussianNB(), folds=2, repeats=1)
    return {key: standing.bytes for key, standing in comparison.standings.items()}


# -------------------------------------------------------------------------------- time, ends, mistakes


class Ends(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn publishes no types
    """A model that fails in its third fit."""

    fits = itertools.count()

    def __init__(self, error: Any = None) -> None:
        self.error = error

    def fit(self, X: Any, y: Any) -> Any:
        if next(self.fits) % 3 == 2:
            raise self.error
        self.model_ = GaussianNB().fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X: Any) -> Any:
        return self.model_.predict_proba(X)


@pytest.fixture
def clock(monkeypatch):
    """Make every look at the clock take a second."""
    ticks = itertools.count()
    fake = SimpleNamespace(perf_counter=lambda: float(next(ticks)))
    monkeypatch.setattr("glassnet.evaluation.race.time", fake)
    monkeypatch.setattr("glassnet.evaluation.compare.time", fake)


def test_a_time_limit_gives_a_result_on_the_folds_done(clock):
    X, y = load_iris(return_X_y=True)
    comparison = gn.compare(
        X, y, estimator=GaussianNB(), repeats=1, max_seconds=90, learning_curve=True
    )
    done = [len(s.errors) for s in comparison.standings.values()]
    assert (
        max(done) < 5
        and max(done) - min(done) <= 1
        and min(done) >= 2
        and comparison.verdict.network != "absent"
    )
    assert (
        f"The network was tested on {done[-1]} of 5 folds, then the time was up."
        in comparison.notes
    )
    assert (
        comparison.curve is None
        and "There is no learning curve: the time was up." in comparison.notes
    )


def test_notes_name_the_models_that_were_not_tested(clock):
    X, y = load_iris(return_X_y=True)
    comparison = gn.compare(X, y, estimator=GaussianNB(), repeats=1, max_seconds=45)
    assert NETWORK not in comparison.standings and comparison.verdict.network == "absent"
    assert any("network was not tested" in note for note in comparison.notes)
    assert "network" not in comparison.verdict.sentence
    with pytest.raises(gn.ConfigurationError, match="no two models"):
        gn.compare(X, y, estimator=GaussianNB(), max_seconds=5)


def test_an_interruption_or_a_divergence_keeps_the_results_so_far():
    X, y = load_iris(return_X_y=True)
    Ends.fits = itertools.count()
    comparison = gn.compare(X, y, estimator=Ends(KeyboardInterrupt()), repeats=1)
    assert comparison.interrupted and len(comparison.standings[NETWORK].errors) == 2
    Ends.fits = itertools.count()
    comparison = gn.compare(
        X, y, estimator=Ends(gn.DivergenceError("The loss became infinite.")), repeats=1
    )
    assert not comparison.interrupted and comparison.verdict.network == "absent"
    assert "The network is left out: The loss became infinite." in comparison.notes


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"folds": 1}, gn.ConfigurationError, "folds"),
        ({"repeats": 0}, gn.ConfigurationError, "repeats"),
        ({"max_seconds": 0}, gn.ConfigurationError, "max_seconds is 0"),
        ({"task": "labels"}, gn.ConfigurationError, "choose 'classification' or 'regression'"),
        (
            {"task": "regression", "estimator": GaussianNB()},
            gn.ConfigurationError,
            "GaussianNB is for class",
        ),
        ({"estimator": 3}, gn.ConfigurationError, "3 is not an estimator"),
        ({"y": np.zeros((150, 2))}, gn.DataError, "one at a time"),
        ({"y": np.zeros(150), "task": "classification"}, gn.DataError, "class"),
        ({"y": np.zeros(150), "task": "regression"}, gn.DataError, "the same"),
        ({"y": np.zeros(149)}, gn.DataError, "150 rows and y has 149"),
        ({"X": np.zeros((6, 2)), "y": np.arange(6) % 2}, gn.DataError, "too few"),
        ({"X": np.zeros(150)}, gn.DataError, "reshape"),
    ],
)
def test_wrong_arguments_are_refused_with_a_reason(changed, error, message):
    X, y = load_iris(return_X_y=True)
    with pytest.raises(error, match=message):
        gn.compare(**{"X": X, "y": y, "estimator": None, **changed})


# ------------------------------------------------------------------------------------- learning curves


@pytest.mark.parametrize(("wave", "message"), [(True, "yes"), (False, "hardly")])
def test_learning_curves_say_whether_more_rows_would_help(wave, message):
    """Neighbours need many rows to follow waves, but a straight line needs few."""
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(400, 3))
    y = np.sin(7 * X).sum(axis=1) if wave else X.sum(axis=1) + rng.normal(size=400) / 10
    estimator = KNeighborsRegressor(3) if wave else LinearRegression()
    comparison = gn.compare(X, y, estimator=estimator, repeats=1, learning_curve=True)
    assert comparison.curve is not None and comparison.curve.rows == (40, 80, 160, 320)
    np.testing.assert_allclose(
        comparison.curve.explained["linear"][-1], comparison.explained("linear")
    )
    assert f"or the network {message}" in comparison.curve.sentence


def test_larger_samples_contain_smaller_ones_and_keep_the_shares_of_classes():
    target = np.repeat([0, 1, 2], [60, 30, 10])
    small, large = (sample_rows(target, count, 5, "classification") for count in (20, 50))
    assert set(small) < set(large) and len(small) == 20
    assert np.bincount(target[large], minlength=3) == pytest.approx([30, 15, 5], abs=1)


# ---------------------------------------------------------------------------------------------- forms


@cache
def small() -> Any:
    X, y = load_iris(return_X_y=True)
    return gn.compare(X, y, estimator=GaussianNB(), repeats=1, learning_curve=True)


def test_the_text_has_a_line_for_each_model_and_ends_with_the_verdict():
    lines = str(small()).splitlines()
    assert lines[0].startswith("Classification, 150 rows, 5 folds")
    assert lines[1].split()[:3] == ["model", "accuracy", "log-loss"]
    assert len({len(line) for line in lines[1:8]}) == 1
    assert lines[-1] == small().verdict.sentence


def test_the_json_document_is_complete():
    document = json.loads(json.dumps(small().to_dict()))
    assert document["verdict"]["use"] == small().verdict.use
    assert list(document["models"]) == list(small().standings)
    assert len(document["models"]["linear"]["folds"]["accuracy"]) == 5
    pair = next(
        d for d in document["differences"] if (d["first"], d["second"]) == (NETWORK, "linear")
    )
    assert pair["low"] <= pair["mean"] <= pair["high"]
    assert document["learning_curve"]["rows"] == list(small().curve.rows)


def test_the_page_is_one_file_with_all_text_escaped():
    evil = "<script>alert(1)</script>"
    html = comparison_html(
        small(), title=evil, target=evil, command="glassnet compare", notes=[evil]
    )
    assert "<script" not in html and "&lt;script&gt;" in html
    assert "src=" not in html and "https://" not in html
    assert small().verdict.sentence in html and small().curve.sentence in html
    assert html.count("<svg") == 3 and html == comparison_html(
        small(), title=evil, target=evil, command="glassnet compare", notes=[evil]
    )
    for heading in ("Verdict", "Models", "Differences", "Do you have enough data?", "Folds"):
        assert f">{heading}</h2>" in html


def test_the_same_seed_gives_the_same_verdict():
    X, y = load_iris(return_X_y=True)
    again = gn.compare(X, y, estimator=GaussianNB(), repeats=1)
    for key, standing in again.standings.items():
        np.testing.assert_array_equal(standing.errors, small().standings[key].errors)
