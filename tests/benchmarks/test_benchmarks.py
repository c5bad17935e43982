"""Check the parts of the benchmarks that need no peer: contestants, the floor, the page and its targets."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmarks.cases import Case, data_for
from benchmarks.contestants import CONTESTANTS, PEERS
from benchmarks.kinds import KINDS, noisy
from benchmarks.targets import TARGETS, verdicts
from sklearn.metrics import log_loss

from benchmarks import accuracy, many, page, scores, steps

DOCS = Path(__file__).parents[2] / "docs"
TINY = Case("tiny", (5, 8, 3), 60, 16, 3)


@pytest.fixture(scope="module")
def known():
    return json.loads((DOCS / "benchmarks.json").read_text())


@pytest.mark.parametrize("name", ["glassnet", "JAX + optax", "scikit-learn"])
def test_a_contestant_continues_to_learn(name):
    X, y = data_for(TINY)
    go = CONTESTANTS[name](TINY, X, y)
    losses = [go() for _ in range(4)]
    assert np.isfinite(losses).all()
    assert losses == sorted(losses, reverse=True)


def test_our_contestant_takes_batch_norm_and_dropout():
    X, y = data_for(TINY)
    assert np.isfinite(CONTESTANTS["glassnet"](TINY, X, y, True)())


def test_the_floor_grows_with_the_network():
    narrow, wide = steps.floor(TINY), steps.floor(TINY._replace(widths=(5, 512, 512, 3)))
    assert 0 < narrow["microseconds"] < wide["microseconds"]
    assert narrow["microseconds"] == pytest.approx(narrow["products"] + narrow["traffic"])


def test_a_ratio_is_the_median_of_the_ratios_within_the_rounds():
    times = {
        "glassnet": [1.0, 2.0, 1.0],
        "PyTorch": [5.0, 10.0, 7.0],
        "Keras": [9.0] * 3,
        "floor": [0.5] * 3,
    }
    summary = steps._summary(TINY, times, {})
    assert summary["times faster than"] == {"PyTorch": 5.0, "Keras": 9.0}
    assert summary["times faster than the best peer"] == 5.0
    assert summary["times the floor"] == 2.0
    assert summary["microseconds"]["glassnet"] == 1.0


def test_many_networks_are_measured_by_case_and_count(monkeypatch):
    monkeypatch.setattr(
        many, "CASES", (TINY, TINY._replace(name="other"), TINY._replace(name="no"))
    )
    monkeypatch.setattr(many, "SIZES", {"tiny": 1, "other": 1})
    results = json.loads(json.dumps(many.measure(rounds=1, counts=(1, 2))))
    assert {case: list(counts) for case, counts in results.items()} == {
        "tiny": ["1", "2"],
        "other": ["1", "2"],
    }
    assert results["tiny"]["1"]["times one"] == 1


def test_every_target_finds_its_number(known):
    met = verdicts(known)
    assert len(met) == len(TARGETS)
    assert all(number > 0 for _, number, _, _ in met)


def test_the_page_is_up_to_date_with_the_results(known, tmp_path):
    page.write(known, tmp_path)
    assert (tmp_path / "benchmarks.md").read_text() == (DOCS / "benchmarks.md").read_text()
    drawn = (tmp_path / "benchmarks.svg").read_text()
    assert all(name in drawn for name in (*PEERS, "the floor", *(c.name for c in steps.CASES)))


def test_a_single_part_gives_a_page(known, tmp_path):
    page.write({"prediction": known["prediction"]}, tmp_path)
    text = (tmp_path / "benchmarks.md").read_text()
    assert "## Prediction" in text and "predict one row" in text and "## Growth" not in text
    assert not (tmp_path / "benchmarks.svg").exists()


# Accuracy ----------------------------------------------------------------------------------------------


def test_scores_of_classes_are_those_of_their_definitions():
    y = np.array(["a", "b", "c", "a"])
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.4, 0.6]])
    values = scores.of_classes(y, p, np.array(["a", "b"]))  # "c" was never trained on
    assert values["error"] == 0.5
    assert values["logloss"] == pytest.approx(log_loss(y, np.column_stack([p, [0, 0, 0, 0]])))
    # bins of .9, .8, .5 and .6, one row each: |1 - .9| + |1 - .8| + |0 - .5| + |0 - .6|
    assert values["ece"] == pytest.approx(1.4 / 4)


def test_calibration_error_of_calibrated_and_of_overconfident_probabilities():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 100_000)
    right = rng.random(100_000) < confidence
    assert scores.calibration_error(confidence, right) < 0.01
    assert scores.calibration_error(np.ones(100_000), right) == pytest.approx(0.25, abs=0.01)


def test_scores_of_values():
    y = np.array([1.0, 2.0, 3.0])
    assert scores.of_values(y, np.full(3, y.mean()))["nrmse"] == pytest.approx(1)
    assert scores.coverage(y, np.array([[0, 1], [2.5, 3], [0, 9]])) == pytest.approx(2 / 3)


def test_a_summary_leaves_out_the_tables_on_which_a_model_failed():
    def row(table, model, **rest):
        return {"table": table, "model": model, **rest}

    rows = [
        row("s", "one", error=0.09, seconds=1.0),
        row("s", "two", error=0.19, seconds=2.0),
        row("t", "one", error=0.39, seconds=3.0),
        row("t", "two", failed="ValueError: no"),
        row("u", "one", nrmse=0.5, seconds=4.0),
        row("u", "two", nrmse=0.4, seconds=5.0),
    ]
    summary = scores.summary(rows)
    assert summary["one"] == pytest.approx({"rank": 1.5, "error": 0.09, "nrmse": 0.5, "seconds": 5})
    assert summary["two"]["nrmse"] == pytest.approx(0.4)
    assert scores.changes(summary, "one")["two"]["nrmse"] == pytest.approx(-20)
    assert scores.summary(rows[3:4]) == {}


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_what_it_says(name):
    kind = KINDS[name]
    task, X, y, X_test, y_test = kind(0)
    assert len(X) == len(y) == kind.rows and len(X_test) == len(y_test)
    assert list(X.columns) == list(X_test.columns)
    assert list(X.index) == list(range(len(X)))
    assert y.dtype == float if task == "regression" else y.dtype.kind == "U"
    assert all(X[c].dtype == object for c in X.select_dtypes(exclude="number"))
    again, other = kind(0), kind(1)
    pd.testing.assert_frame_equal(X, again[1])
    pd.testing.assert_frame_equal(X_test, again[3])
    assert (y == again[2]).all() and (y_test == again[4]).all()
    assert (y[:1000] != other[2][:1000]).any()


def test_the_kinds_have_the_traits_they_are_made_for():
    _, X, _, X_test, _ = KINDS["many levels"](0)
    assert X["place"].nunique() > 3000 and (~X_test["place"].isin(X["place"])).mean() > 0.1
    _, _, y, _, _ = KINDS["imbalanced"](0)
    assert 0.02 < (y == "yes").mean() < 0.04
    _, X, *_ = KINDS["missing values"](0)
    assert X["x0"].max() > 0.8 and X["x0"].isna().mean() > 0.1 and X["text"].isna().any()
    _, X, *_ = KINDS["repeated rows"](0)
    assert (X.groupby(list(X.columns)).size() == 3).all()
    _, X, *_ = KINDS["constant columns"](0)
    assert X["empty"].isna().all() and X["same"].nunique() == X["one"].nunique() == 1
    assert KINDS["2000 columns"](0)[1].shape[1] == 2000
    assert len(np.unique(KINDS["many classes"](0)[2])) == 50


def test_noise_has_the_requested_size():
    rng = np.random.default_rng(0)
    f = rng.normal(size=100_000)
    y = noisy(rng, f, 0.3)
    assert scores.of_values(y, f)["nrmse"] == pytest.approx(0.3, abs=0.01)


def test_inner_splits_never_see_the_test_rows():
    table = KINDS["50 rows"](0)
    _, X, y, X_held, y_held = accuracy.inner_split(table, 3)
    assert (len(y), len(y_held)) == (37, 13)
    assert sorted([*X["x0"], *X_held["x0"]]) == sorted(table[1]["x0"])
    assert not np.array_equal(accuracy.inner_split(table, 4)[1]["x0"], X["x0"])


@pytest.fixture
def real(tmp_path):
    """Return a folder of real tables as `--shared` expects it, with stored scores for its only table."""
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "tables.py").write_text(
        "from benchmarks.kinds import KINDS\nTABLES = ['t']\ndef load(name): return KINDS['50 rows'](0)\n"
    )
    stored = {"error": 0.2, "logloss": 0.5, "s": 10.0}
    models = ("linear", "mlp", "hgb", "realmlp", "catboost")
    (folder / "anchors.json").write_text(json.dumps({f"t/{model}": stored for model in models}))
    return folder


def test_accuracy_from_end_to_end(real, tmp_path, capsys):
    machine = {"date": "today", "processor": "any", "python": "3"}
    machine |= {name: "1" for name in ("jax", "torch", "keras", "scikit-learn", "optax")}
    options = ["--shared", str(real), "--models", "linear,mlp", "--test", "--write"]
    accuracy.main(options, tmp_path, machine)
    part = json.loads((tmp_path / "accuracy.json").read_text())["tables"]
    assert list(part["summary"]) == ["linear", "mlp", "hgb, stored", "RealMLP-TD", "CatBoost"]
    mlp = next(row for row in part["rows"] if row["model"] == "mlp")
    assert part["speed"] == pytest.approx(mlp["seconds"] / 10)
    assert part["summary"]["RealMLP-TD"]["seconds"] == pytest.approx(mlp["seconds"])
    text = (tmp_path / "accuracy.md").read_text()
    assert (
        "## Real tables" in text
        and "RealMLP-TD" in text
        and "stored: 0.2000" in capsys.readouterr().out
    )
    accuracy.main(
        ["--kinds", "--tables", "50 rows", "--models", "linear,guess", "--write"], tmp_path, machine
    )
    text = (tmp_path / "accuracy.md").read_text()
    assert "## Real tables" in text and "## Generated tables" in text and "best possible" in text


def test_inner_splits_are_not_compared_with_stored_scores(real, tmp_path, capsys):
    accuracy.main(["--shared", str(real), "--models", "linear", "--inner", "0", "1"], tmp_path, {})
    text = capsys.readouterr().out
    assert "t #0" in text and "t #1" in text and "RealMLP" not in text and "stored" not in text
    assert not (tmp_path / "accuracy.md").exists()


def test_an_ablation_shows_the_change_from_the_default(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(accuracy.MODELS, "glassnet", accuracy.PEERS["guess"])
    monkeypatch.setattr(accuracy, "ABLATIONS", {"linear": accuracy.PEERS["linear"]})
    accuracy.main(["--kinds", "--tables", "50 rows,noise", "--ablation"], tmp_path, {})
    assert "| change from the default |" in capsys.readouterr().out


def test_a_failure_is_a_row_and_stops_nothing():
    class Refuses:
        def fit(self, X, y):
            raise ValueError("not these")

    models = {"refuses": lambda task, seed: Refuses(), "guess": accuracy.PEERS["guess"]}
    rows = accuracy.measure(iter([("t", "t", KINDS["50 rows"](0))]), models)
    assert rows[0]["failed"] == "ValueError: not these" and "error" in rows[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--shared", "nowhere"], "nowhere has no tables.py"),
        (["--kinds", "--models", "forest"], "no model 'forest'"),
        (["--kinds", "--tables", "nonesuch"], "no table 'nonesuch'"),
    ],
)
def test_an_unknown_name_is_reported(options, words, tmp_path):
    with pytest.raises(SystemExit, match=words):
        accuracy.main(options, tmp_path, {})


def test_without_the_real_tables_only_the_generated_ones_are_measured(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(accuracy, "DEFAULT_FOLDER", tmp_path)
    monkeypatch.delenv("GLASSNET_SHARED", raising=False)
    accuracy.main(["--tables", "50 rows", "--models", "guess"], tmp_path, {})
    assert "The real tables are not here" in capsys.readouterr().out


def test_the_default_network_is_measured_with_its_intervals():
    rows = accuracy.measure(
        iter([("t", "200 rows", KINDS["200 rows"](0)), ("u", "50 rows", KINDS["50 rows"](0))]),
        {"glassnet": accuracy.network(epochs=3)},
    )
    assert all("failed" not in row for row in rows)
    assert rows[0]["nrmse"] > 0 and rows[0]["best"] == 0.3 and rows[1]["error"] <= 1
    import glassnet as gn

    assert ("coverage" in rows[0]) == hasattr(gn.NeuralRegressor, "predict_interval")
