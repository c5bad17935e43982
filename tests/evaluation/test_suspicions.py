"""Test that every suspicion is reported where it is planted, and none for healthy data."""

import numpy as np
import pytest
from sklearn import datasets

from glassnet.data.tables import as_table
from glassnet.errors import DataError
from glassnet.evaluation.suspicions import CHECKS, suspicions

N = 200
rng = np.random.default_rng(0)
GROUP = rng.choice(["a", "b", "c"], N)
HEIGHT = rng.normal(170, 10, N)
LABEL = np.where(rng.random(N) < 0.5, "yes", "no").astype(object)
PRICE = rng.lognormal(12, 1, N)
HEALTHY = {"group": GROUP, "height": HEIGHT}


def some_missing(column, share):
    return np.where(np.arange(N) < share * N, np.nan, column)


def with_class(name, rows):
    label = LABEL.copy()
    label[:rows] = name
    return label


PLANTED = {
    "class by number": ("gives the target away", ("leak",), np.where(LABEL == "yes", 3, 8), LABEL),
    "class by text": (
        "gives the target away",
        ("leak",),
        np.where(LABEL == "yes", rng.choice(["p", "r", "t"], N), rng.choice(["q", "s"], N)),
        LABEL,
    ),
    "class by missing": (
        "gives the target away",
        ("leak",),
        np.where(LABEL == "yes", np.nan, HEIGHT),
        LABEL,
    ),
    "class by missing text": (
        "gives the target away",
        ("leak",),
        np.where(LABEL == "yes", None, rng.choice(["p", "q"], N)),
        LABEL,
    ),
    "value by rank": ("gives the target away", ("leak",), np.log(PRICE), PRICE),
    "value by copy": ("gives the target away", ("leak",), PRICE * 1e300, PRICE * 1e302),
    "numbered rows": ("identifier", ("leak",), np.arange(1, N + 1), LABEL),
    "shuffled numbers": ("identifier", ("leak",), rng.permutation(N), LABEL),
    "names": ("identifier", ("leak",), [f"person {i}" for i in range(N)], LABEL),
    "no value": ("all missing", ("leak",), [None] * N, LABEL),
    "one number": ("constant", ("leak",), [4.0] * N, LABEL),
    "one text": ("constant", ("leak",), ["cm"] * N, PRICE),
    "copy of a number": ("duplicate columns", ("height", "leak"), HEIGHT, LABEL),
    "copy of a text": ("duplicate columns", ("group", "leak"), GROUP, PRICE),
    "few values": ("mostly missing", ("leak",), some_missing(rng.normal(size=N), 0.7), LABEL),
    "one row": ("class of one row", (), rng.normal(size=N), with_class("maybe", 1)),
    "rare class": ("imbalance", (), rng.normal(size=N), with_class("maybe", 3)),
}


@pytest.mark.parametrize(("kind", "columns", "column", "y"), PLANTED.values(), ids=PLANTED)
def test_exactly_the_planted_problem_is_reported(kind, columns, column, y):
    reported = suspicions(as_table(HEALTHY | {"leak": column}), y)
    assert [(s.kind, s.columns) for s in reported] == [(kind, columns)]
    if columns:
        assert "--drop leak" in reported[0].message


def test_every_check_is_tested():
    planted = {kind for kind, *_ in PLANTED.values()}
    assert planted | {"rows in both"} == set(CHECKS)


@pytest.mark.parametrize(
    "y", [LABEL, PRICE, None, np.stack([PRICE, PRICE], 1)], ids=["class", "value", "none", "two"]
)
def test_healthy_data_are_not_suspicious(y):
    assert suspicions(as_table(HEALTHY), y, np.arange(100), np.arange(100, N)) == ()


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "diabetes"])
def test_the_data_sets_of_scikit_learn_are_not_suspicious(name):
    bunch = getattr(datasets, f"load_{name}")()
    assert suspicions(bunch.data, bunch.target) == ()


def test_rows_in_both_are_counted():
    columns = {"a": [1, 2, 2, 3, None, None], "b": ["x", "x", "x", "x", None, None]}
    for X in (
        as_table(columns),
        np.array([[1, 0], [2, 0], [2, 0], [3, 0], [np.nan, 0], [np.nan, 0]]),
    ):
        reported = [
            s for s in suspicions(X, None, [0, 1, 4], [2, 3, 5]) if s.kind == "rows in both"
        ]
        assert len(reported) == 1 and "2 of 3 test rows (66.67%)" in reported[0].message
    mask = np.array([True, True, False, False, True, False])
    assert any(s.kind == "rows in both" for s in suspicions(columns, None, mask, ~mask))


def test_columns_of_pictures_are_not_checked():
    pictures = np.zeros((100, 4, 4), np.uint8)
    pictures[:, 0, 0] = np.arange(100)
    y = np.arange(100) % 2
    assert suspicions(pictures, y, np.arange(50), np.arange(50, 100)) == ()
    pictures[70] = pictures[3]
    (suspicion,) = suspicions(pictures, y, np.arange(50), np.arange(50, 100))
    assert suspicion.kind == "rows in both" and "1 of 50" in suspicion.message


def test_imbalance_of_two_classes_begins_below_five_percent():
    for rare, kinds in ((10, []), (9, ["imbalance"]), (2, ["imbalance"])):
        y = np.arange(N) < rare
        assert [s.kind for s in suspicions(as_table(HEALTHY), y)] == kinds


def test_a_column_name_is_quoted_for_the_shell():
    (suspicion,) = suspicions({"two words": [1.0, 1.0]}, None)
    assert "--drop 'two words'" in suspicion.message


def test_the_task_can_be_given():
    y = np.repeat([0.0, 1.0, 2.0, 3.0], 50)
    assert any("class" in s.message for s in suspicions({"c": y * 2}, y))
    (suspicion,) = suspicions({"c": y * 2}, y, task="regression")
    assert "variance" in suspicion.message


def test_unusual_data_raise_no_unexpected_error():
    odd = {"huge": [1e308, -1e308] * 15, "infinite": [np.inf, 1.0, -np.inf] * 10}
    for y in ([1e308, -1e308, 0.5] * 10, [np.inf, 1.0] * 15, [None, "a"] * 15, ["2024-01-01"] * 30):
        assert isinstance(suspicions(as_table(odd), y), tuple)
    assert suspicions(as_table({"a": []}), []) == ()


def test_different_lengths_are_refused():
    with pytest.raises(DataError, match=r"2 rows, but y has 3"):
        suspicions({"a": [1, 2]}, [1, 2, 3])


def test_many_classes_of_few_rows_cause_no_python_warning():
    rng = np.random.default_rng(0)
    table = as_table({"a": rng.normal(size=60), "b": rng.normal(size=60)})
    labels = [f"class {place % 40}" for place in range(60)]
    assert "leak" not in {s.kind for s in suspicions(table, labels, task="classification")}
