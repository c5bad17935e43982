"""Target encoders: compared with scikit-learn, and damaged records."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glassnet.data.tables import as_table
from glassnet.encoding.target_kinds import sniff_task
from glassnet.encoding.targets import ClassEncoder, LabelsEncoder, TargetScaler
from glassnet.errors import DataError, ModelFormatError

rng = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (rng.integers(3, 10, 4000), "classification"),  # wine quality
        ([0, 1, 1, 0], "classification"),
        ([1.0, 2.0], "classification"),
        ([0.0, 1.0, np.nan] * 3, "classification"),
        (np.repeat([0, 1, 2], 50), "classification"),  # iris
        (np.arange(100) % 10, "classification"),  # digits
        (np.arange(90) % 10, "regression"),  # fewer than ten rows each
        (rng.normal(2e5, 5e4, 300).round(), "regression"),  # house prices
        (rng.poisson(200, 5000), "regression"),  # counts
        (rng.integers(18, 90, 5000), "regression"),  # ages
        (rng.integers(1970, 2024, 5000), "regression"),  # years
        ([0.5, 1.5] * 50, "regression"),
        ([np.inf, 1.0] * 50, "regression"),
        (["a", "b", None], "classification"),
        (np.array([True, False]), "classification"),
        (np.array(["x", 1], object), "classification"),
        ([[0, 1], [1, 1]], "classification"),
        ([[0.5, 1], [1, 1]], "regression"),
        (as_table({"a": [1, 2], "b": [1.5, 2]}), "regression"),
        (as_table({"a": [True, False], "b": [0, 1]}), "classification"),
    ],
)
def test_the_task_follows_from_the_target(y, task):
    assert sniff_task(y) == task


def test_dates_are_refused_as_a_target():
    with pytest.raises(DataError, match="dates"):
        sniff_task(np.array(["2024-01-01"], "datetime64[us]"))


TARGETS = {
    "str": np.array(["b", "a", "ä", "a"]),
    "object": np.array(["b", "a", "a"], object),
    "int": np.array([3, -1, 3, 7]),
    "uint8": np.array([3, 1], np.uint8),
    "float": np.array([2.0, 1.0, -0.0]),
    "bool": np.array([True, False]),
    "list": ["no", "yes"],
}


@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)
def test_classes_are_sorted_like_unique_and_keep_their_type(y):
    encoder = ClassEncoder.fit(y)
    expected, codes = np.unique(y, return_inverse=True)
    loaded = ClassEncoder.from_spec(json.loads(json.dumps(encoder.to_spec(), allow_nan=False)))
    assert loaded == encoder
    for e in (encoder, loaded):
        assert e.classes.dtype.kind == np.asarray(y).dtype.kind
        np.testing.assert_array_equal(e.classes, expected)
        np.testing.assert_array_equal(e.transform(y), codes)
        assert e.transform(y).dtype == np.int32
        np.testing.assert_array_equal(e.inverse(codes), y)


def test_numbers_in_an_object_array_become_integer_classes():
    assert ClassEncoder.fit(np.array([2, 1], object)).classes.dtype == np.int64


def test_a_label_may_be_written_as_integer_float_or_text():
    numbers, names = ClassEncoder.fit([3, 5]), ClassEncoder.fit(np.array(["3", "5"], object))
    for y in ([3, 5, 3], [3.0, 5.0, 3.0], ["3", "5", "3"]):
        np.testing.assert_array_equal(numbers.transform(y), [0, 1, 0])
        np.testing.assert_array_equal(names.transform(y), [0, 1, 0])


def test_an_unseen_label_is_reported_with_a_suggestion():
    with pytest.raises(DataError, match=r"'setsa'.*Did you mean 'setosa'"):
        ClassEncoder.fit(["setosa", "virginica"]).transform(["setosa", "setsa"])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0.5, 1.0], "Unknown label type"),
        ([1.0, np.nan, np.nan], r"2 rows .*row 1"),
        ([1.0, np.inf], "infinity"),
        (np.array(["a", None], object), r"1 rows .*row 1"),
        (np.array(["a", 1], object), "mixes"),
        (np.zeros((2, 2), int), "one value for each row"),
        (np.array(["2024-01-01"], "datetime64[us]"), "Unknown label type"),
        ([1j], "Unknown label type"),
        ([[1, 2], [3]], "different lengths"),
    ],
)
def test_unusable_labels_are_refused(y, message):
    with pytest.raises(DataError, match=message):
        ClassEncoder.fit(y)


@pytest.mark.parametrize(
    "spec",
    [
        None,
        {"dtype": "int64"},
        {"dtype": "complex128", "classes": [1]},
        {"dtype": "int64", "classes": []},
        {"dtype": "int64", "classes": [1, 1]},
        {"dtype": "int64", "classes": [2, 1]},
        {"dtype": "int64", "classes": [True, 2]},
        {"dtype": "uint8", "classes": [1, 300]},
        {"dtype": "float64", "classes": [0.5, 1.5]},
        {"dtype": "float64", "classes": [0, float("nan")]},
        {"dtype": "float64", "classes": [0, 10**400]},
        {"dtype": "bool", "classes": [0, 1]},
        {"dtype": "str", "classes": ["a", 1]},
        {"dtype": "str", "classes": "ab"},
        {"dtype": ["str"], "classes": ["a"]},
    ],
)
def test_damaged_classes_are_refused(spec):
    with pytest.raises(ModelFormatError, match="damaged"):
        ClassEncoder.from_spec(spec)


def test_labels_are_columns_of_zero_and_one():
    table = as_table({"red": [True, False], "round": [1, 1]})
    encoder = LabelsEncoder.fit(table)
    np.testing.assert_array_equal(encoder.transform(table), [[1, 1], [0, 1]])
    assert LabelsEncoder.from_spec(json.loads(json.dumps(encoder.to_spec()))) == encoder
    for bad, message in (([[0, 2]], "'round'"), ([[0, np.nan]], "'round'"), ([[1]], "1 columns")):
        with pytest.raises(DataError, match=message):
            encoder.transform(bad)
    for spec in ({"names": []}, {"names": ["a", "a"]}, {}, {"names": [1]}):
        with pytest.raises(ModelFormatError):
            LabelsEncoder.from_spec(spec)


@given(
    st.lists(
        st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 3)), min_size=1
    ).filter(lambda rows: any(weight for _, weight in rows))
)
@settings(deadline=None)
def test_whole_weights_are_repeated_targets_and_nothing_overflows(rows):
    y, weight = np.array([v for v, _ in rows]), np.array([w for _, w in rows])
    scaler = TargetScaler.fit(y, weight)
    assert scaler == TargetScaler.fit(np.repeat(y, weight))
    assert (
        TargetScaler.from_spec(json.loads(json.dumps(scaler.to_spec(), allow_nan=False))) == scaler
    )
    assert np.isfinite(scaler.transform(y)).all()


def test_standardised_targets_can_be_inverted():
    from sklearn.preprocessing import StandardScaler

    y, weight = rng.normal(7, 3, (20, 2)), rng.uniform(0, 1, 20)
    scaler = TargetScaler.fit(y, weight, names=("a", "b"))
    oracle = StandardScaler().fit(y, sample_weight=weight)
    z = scaler.transform(y, np.float64)
    np.testing.assert_allclose(z, oracle.transform(y), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(scaler.inverse(z), y, rtol=1e-12)
    one = TargetScaler.fit(y[:, 0])
    assert one.transform(y[:, 0]).shape == (20, 1)
    assert one.inverse(one.transform(y[:, 0])).shape == (20,)
    assert TargetScaler.fit(y[:, :1]).inverse(z[:, :1]).shape == (20, 1)
    assert TargetScaler.fit([5, 5, 5]).scale == (1.0,)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([1.0, np.nan], r"NaN.*row 1"),
        ([1.0, -np.inf], r"-inf in row 1"),
        (["a", "b"], "'a'"),
        (np.zeros((2, 2, 2)), "shape"),
        ([[1, 2], [3]], "different lengths"),
    ],
)
def test_unusable_regression_targets_are_refused(y, message):
    with pytest.raises(DataError, match=message):
        TargetScaler.fit(y)


@pytest.mark.parametrize(
    "change",
    [
        {"scale": [0.0]},
        {"scale": [-1.0]},
        {"center": [float("nan")]},
        {"center": [1.0, 2.0]},
        {"names": ["a", "b"], "scale": [1.0, 1.0], "center": [0.0, 0.0]},
        {"names": [], "scale": [], "center": []},
        {"one_dimensional": 1},
    ],
)
def test_damaged_scalers_are_refused(change):
    with pytest.raises(ModelFormatError, match="damaged"):
        TargetScaler.from_spec(TargetScaler.fit([1.0, 2.0]).to_spec() | change)


def test_targets_of_data_frames_and_tables():
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    names = ["b", "a", "b"]
    for y in (
        pd.Series(names),
        pd.Series(names, dtype="category"),
        pl.Series(names),
        as_table({"y": names}),
        pd.DataFrame({"y": names}),
    ):
        assert ClassEncoder.fit(y).transform(y).tolist() == [1, 0, 1]
        assert sniff_task(y) == "classification"
    numbers = pd.Series([1, 2, 4], dtype="Int64")
    assert ClassEncoder.fit(numbers).classes.tolist() == [1, 2, 4]
    assert TargetScaler.fit(numbers) == TargetScaler.fit([1, 2, 4])
    with pytest.raises(DataError, match="row 1"):
        ClassEncoder.fit(pd.Series([1, None, 4], dtype="Int64"))
    with pytest.raises(DataError, match="'a'"):
        TargetScaler.fit(as_table({"y": [None, "a"]}))
