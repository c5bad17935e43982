"""Test experiments: the task, the split, the names, and what is refused before training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from glassnet.cli.experiment import (
    Choices,
    comparable,
    prepare,
    run_experiment,
    target_values,
    without_columns,
)
from glassnet.data.datasets import Dataset
from glassnet.data.tables import as_table
from glassnet.errors import ConfigurationError, DataError
from helpers import assert_same_bits, blobs

X, y = blobs(60, classes=2)
COLUMNS = {"a": X[:, 0], "b": X[:, 1], "c": [["u", "v"][i % 2] for i in range(60)]}
FAST = {"hidden": (4,), "epochs": 3}


def dataset(target, **changes) -> Dataset:
    """Return a table with one target, or several as a dictionary."""
    several = isinstance(target, dict)
    names = tuple(target) if several else "y"
    column = as_table(target) if several else as_table({"y": target})["y"]
    data = Dataset(as_table(COLUMNS), column, None, "example", names, ())
    return replace(data, **changes)


@pytest.mark.parametrize(
    ("target", "task", "dtype"),
    [([["no", "yes"][c] for c in y], "classification", object),
     (y, "classification", np.int64),
     (y * 2.5, "regression", np.float64),
     ({"p": y, "q": 1 - y}, "classification", np.int64),
     ({"p": [bool(c) for c in y], "q": y}, "classification", np.int64),
     ({"p": X[:, 0], "q": X[:, 1]}, "regression", np.float64)],
    ids=["text", "whole numbers", "numbers", "labels", "yes and no", "several values"],
)  # fmt: skip
def test_the_task_follows_from_the_target(target, task, dtype):
    prepared = prepare(dataset(target), Choices(test_share=0.25))
    assert prepared.task == task
    assert prepared.train[1].dtype == prepared.test[1].dtype == dtype
    assert (len(prepared.train[1]), len(prepared.test[1])) == (45, 15)
    np.testing.assert_array_equal(prepared.test[0]["a"], X[prepared.test_rows, 0])


def test_a_task_can_be_chosen():
    assert prepare(dataset(y), Choices("regression")).task == "regression"
    counts = prepare(dataset(np.arange(60) % 20), Choices("classification"))
    assert counts.train[1].dtype == np.int64


def test_the_seed_fixes_split_and_bits():
    one, again, other = (prepare(dataset(y), Choices(seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.test_rows, again.test_rows)
    assert not np.array_equal(one.test_rows, other.test_rows)
    runs = [run_experiment(one, Choices(seed=1, parameters=FAST)) for _ in range(2)]
    assert_same_bits(runs[0].model.params, runs[1].model.params)
    assert runs[0].rows == {"training": 42, "validation": 6, "test": 12}
    assert set(runs[0].evaluation.baselines) == {"majority", "linear", "boosting"}


@pytest.mark.parametrize("values", [y, X[:, 0]], ids=["labels", "values"])
def test_several_targets_keep_their_names(values):
    data = dataset({"first": values, "second": np.roll(values, 1)})
    choices = Choices(parameters=FAST)
    result = run_experiment(prepare(data, choices), choices)
    assert result.model.target_encoder.names == ("first", "second")
    if result.evaluation.task == "labels":
        assert result.evaluation.classes.tolist() == ["first", "second"]


def test_the_model_records_its_data_and_scores():
    choices = Choices(parameters=FAST)
    result = run_experiment(prepare(dataset(y, name="data/example.csv"), choices), choices)
    assert result.model.info == {
        "data": "example.csv",
        "target": ["y"],
        "task": "classification",
        "rows": result.rows,
        "scores": result.evaluation.scores,
        "baselines": result.evaluation.baselines,
    }
    assert result.status == result.estimator.status_ == "finished"
    assert result.history.n_epochs == 3


def test_a_comparison_takes_one_target_and_the_training_rows():
    test = (as_table(COLUMNS).rows(np.arange(9)), as_table({"y": y[:9]})["y"])
    rows = comparable(dataset(y, test=test), Choices(parameters=FAST))
    assert len(rows.X) == len(rows.y) == 60
    assert "not used" in rows.notes[-1]
    assert type(rows.estimator).__name__ == "NeuralClassifier"
    with pytest.raises(DataError, match="one target at a time"):
        comparable(dataset({"p": y, "q": y}), Choices())


def test_data_may_come_with_a_test_set():
    test = (as_table({**COLUMNS, "a": X[:, 0] + 1}).rows(np.arange(9)), as_table({"y": y[:9]})["y"])
    prepared = prepare(dataset(y, test=test), Choices())
    assert (len(prepared.train[1]), len(prepared.test[1])) == (60, 9)
    assert prepared.test_rows is None


def test_suspicions_are_recorded():
    data = dataset(y)
    data = replace(data, X=as_table({**COLUMNS, "same": ["x"] * 60, "copy": y * 10.0}))
    recorded = {(s.kind, s.columns) for s in prepare(data, Choices()).suspicions}
    assert ("constant", ("same",)) in recorded
    assert any("copy" in columns for _, columns in recorded)


def test_columns_can_be_left_out():
    assert without_columns(dataset(y), ["a", "c"]).X.names == ("b",)
    with pytest.raises(DataError, match="no column"):
        without_columns(dataset(y), ["A"])
    with pytest.raises(DataError, match="leaves no column"):
        without_columns(dataset(y), ["a", "b", "c"])
    with pytest.raises(DataError, match="not a table"):
        without_columns(dataset(y, X=X), ["a"])


INFINITE = as_table({**COLUMNS, "b": [*X[:59, 1], np.inf]})


@pytest.mark.parametrize(
    ("data", "reason"),
    [(dataset(y, y=None), "--target COLUMN"),
     (dataset(y[:4], X=as_table(COLUMNS).rows(np.arange(4))), "4 usable rows"),
     (dataset(y, X=INFINITE), "'b' holds an infinite value in row 59"),
     (dataset(y, X=np.where(X[7, 2] == X, -np.inf, X)), "in row 7"),
     (dataset(y, test=(INFINITE, as_table({"y": y})["y"])), "in row 59"),
     (dataset(y, test=(as_table(COLUMNS), as_table({"y": y + 2})["y"])), "class 2, which no training"),
     (dataset({"p": y, "q": y / 2}), "'q' holds values other than 0 and 1"),
     (dataset({"p": y, "q": ["u", "v"] * 30}), "one model per column"),
     (dataset(np.arange(60).astype("M8[D]")), "dates")],
    ids=["no target", "few rows", "inf in table", "inf in array", "inf in test", "new class",
         "no label", "text label", "dates"],
)  # fmt: skip
def test_unusable_data_are_refused_before_training(data, reason):
    task = "classification" if isinstance(data.target, tuple) else None
    with pytest.raises(DataError) as caught:
        prepare(data, Choices(task))
    assert reason in str(caught.value)


def test_a_regression_takes_neither_text_nor_class_weights():
    with pytest.raises(DataError, match="'no'"):
        target_values(as_table({"y": ["no", "yes"]})["y"], "regression")
    choices = Choices("regression", parameters={"class_weight": "balanced"})
    with pytest.raises(ConfigurationError, match="does not apply to a regression"):
        run_experiment(prepare(dataset(X[:, 0]), choices), choices)


@pytest.mark.parametrize("value", [1e300, np.inf, 2.0**53])
def test_numbers_too_large_for_int64_stay_floats(value):
    values = target_values(np.array([0.0, 1.0, value]), "classification")
    assert values.dtype == np.float64
    assert values[2] == value
