"""Column encoders, compared with their definitions and with scikit-learn."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from glassnet.encoding.dates import DateEncoder
from glassnet.encoding.encoders import CategoryEncoder, NumericEncoder
from glassnet.encoding.table_encoder import TableEncoder
from glassnet.errors import ConfigurationError, DataError

FINITE = st.floats(allow_nan=False, allow_infinity=False)
NUMBERS = st.one_of(FINITE, st.just(np.nan), st.integers(-3, 3).map(float))


@st.composite
def weighted_matrix(draw: Any) -> tuple[np.ndarray, np.ndarray]:
    rows = draw(st.integers(1, 8))
    X = draw(hnp.arrays(np.float64, (rows, 2), elements=NUMBERS))
    weight = draw(hnp.arrays(np.int64, rows, elements=st.integers(0, 3)))
    weight[draw(st.integers(0, rows - 1))] = 1
    return X, weight


def texts(*values: str | None) -> np.ndarray:
    return np.array(values, dtype=object)


def dates(*values: str) -> np.ndarray:
    return np.array(values, dtype="datetime64[us]")


# numbers


@given(weighted_matrix(), st.sampled_from(["robust", "standard", "none"]))
@settings(deadline=None, max_examples=150)
def test_whole_weights_are_repeated_rows(data, scaling):
    X, weight = data
    weighted = NumericEncoder.fit(X, weight, scaling=scaling)
    repeated = NumericEncoder.fit(np.repeat(X, weight, axis=0), scaling=scaling)
    assert weighted == repeated
    assert repr(weighted) == repr(repeated)  # also the sign of zero


@given(weighted_matrix(), st.sampled_from(["robust", "standard"]))
@settings(deadline=None, max_examples=150)
def test_scaling_keeps_finite_numbers_finite_and_in_order(data, scaling):
    X, _ = data
    encoder = NumericEncoder.fit(X, scaling=scaling)
    z = encoder.transform(X)
    assert np.isfinite(z).all()
    assert (np.abs(z[:, :2]) <= 3).all()
    for column in range(2):
        known = ~np.isnan(X[:, column])
        ordered = z[known, column][np.argsort(X[known, column])]
        assert (np.diff(ordered) >= 0).all()


def test_robust_scaling_follows_its_definition():
    x = np.array([1.0, 2.0, 4.0, 8.0, 100.0])
    centre, scale = np.quantile(x, 0.5), np.quantile(x, 0.75) - np.quantile(x, 0.25)
    z = (np.array([3.0, 1e6]) - centre) / scale
    expected = z / np.sqrt(1 + (z / 3) ** 2)
    encoder = NumericEncoder.fit(x[:, None])
    scaled = encoder.transform(np.array([[3.0], [1e6]]), np.float64)[:, 0]
    np.testing.assert_allclose(scaled, expected, rtol=1e-14)


def test_equal_quartiles_scale_by_half_the_range_and_a_constant_becomes_zero():
    X = np.array([[0, 7]] * 9 + [[4, 7]], dtype=np.float32)
    encoder = NumericEncoder.fit(X, clip=False)
    assert encoder.scale == (2.0, 0.0)
    np.testing.assert_array_equal(encoder.transform(np.array([[4, 7], [2, 9]])), [[2, 0], [1, 0]])


def test_standard_scaling_equals_scikit_learns():
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    X, weight = rng.normal(5, 3, (50, 3)), rng.uniform(0, 2, 50)
    encoder = NumericEncoder.fit(X, weight, scaling="standard", clip=False)
    oracle = StandardScaler().fit(X, sample_weight=weight)
    np.testing.assert_allclose(encoder.transform(X, np.float64), oracle.transform(X), rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.bool_])
def test_the_dtype_of_the_numbers_does_not_matter(dtype):
    X = np.random.default_rng(0).integers(0, 2 if dtype == np.bool_ else 200, (40, 3))
    weight = np.arange(40)
    for w in (None, weight):
        encoder = NumericEncoder.fit(X.astype(dtype), w)
        assert encoder == NumericEncoder.fit(X.astype(np.float64), w)
    z = encoder.transform(X.astype(dtype))
    np.testing.assert_array_equal(z, encoder.transform(X.astype(np.float64)))


def test_negative_zero_becomes_zero():
    assert repr(NumericEncoder.fit(np.array([[-0.0], [-0.0]])).center) == "(0.0,)"


def test_the_block_size_does_not_change_the_result(monkeypatch):
    X = np.random.default_rng(0).normal(size=(30, 7))
    X[::4, 2] = np.nan
    whole = NumericEncoder.fit(X)
    z = whole.transform(X)
    monkeypatch.setattr("glassnet.encoding.encoders.BLOCK", 25)
    assert NumericEncoder.fit(X) == whole
    np.testing.assert_array_equal(whole.transform(X), z)


def test_missing_numbers_become_zero_with_an_indicator_if_training_had_some():
    X = np.array([[1, 1, np.nan], [np.nan, 2, np.nan], [3, 3, np.nan]])
    encoder = NumericEncoder.fit(X)
    assert encoder.feature_names == ("x0", "x1", "x2", "x0: missing")
    z = encoder.transform(np.array([[np.nan, np.nan, 5.0]]))
    np.testing.assert_array_equal(z, [[0, 0, 0, 1]])


def test_scaling_none_neither_scales_nor_clips():
    X = np.array([[0.0], [255.0]])
    np.testing.assert_array_equal(NumericEncoder.fit(X, scaling="none").transform(X), X)


def test_a_number_beyond_float32_is_scaled_in_float64_or_refused():
    X = np.array([[1e39], [2e39], [3e39]])
    np.testing.assert_allclose(
        NumericEncoder.fit(X, clip=False).transform(X).ravel(), [-0.5, 0, 0.5]
    )
    plain = NumericEncoder.fit(X, scaling="none")
    with pytest.raises(DataError, match=r"'x0'.*float32.*row 0"):
        plain.transform(X)
    np.testing.assert_array_equal(plain.transform(X, np.float64), X)


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_an_infinite_number_is_reported_with_its_column_and_row(bad):
    X = np.zeros((9, 3))
    X[4, 1] = X[6, 2] = bad
    with pytest.raises(DataError, match=r"'b'.*inf in row 4"):
        NumericEncoder.fit(X, names=("a", "b", "c"))
    encoder = NumericEncoder.fit(np.zeros((2, 3)))
    with pytest.raises(DataError, match=r"'x1'.*inf in row 4"):
        encoder.transform(X)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1, 1, 1], "2 rows"),
        ([1, -1], "-1.0"),
        ([np.nan, 1], "nan"),
        ([0, 0], "zero"),
        (["a", 1], "num"),
    ],
)
def test_unusable_weights_are_refused(weight, message):
    with pytest.raises(DataError, match=message):
        NumericEncoder.fit(np.zeros((2, 1)), weight)


def test_an_unknown_scaling_is_refused_with_a_suggestion():
    with pytest.raises(ConfigurationError, match="Did you mean 'robust'"):
        NumericEncoder.fit(np.zeros((2, 1)), scaling="robsut")


# categories


def test_two_levels_are_one_signed_feature():
    encoder = CategoryEncoder.fit(texts("m", "f", "m", None), name="sex")
    assert encoder.feature_names == ("sex=m",)
    np.testing.assert_array_equal(
        encoder.transform(texts("m", "f", None, "other")), [[1], [-1], [0], [0]]
    )


def test_levels_are_sorted_by_frequency_then_name_for_any_row_order():
    column = texts("c", "b", "b", "a", "d", "d", "d")
    for seed in range(5):
        shuffled = np.random.default_rng(seed).permutation(column)
        assert CategoryEncoder.fit(shuffled).levels == ("d", "b", "a", "c")


def test_rare_and_unseen_levels_share_the_other_feature():
    column = texts("a", "a", "a", "b", "b", "c", "d", None)
    encoder = CategoryEncoder.fit(column, name="k", max_levels=2)
    assert encoder.feature_names == ("k=a", "k=b", "k: other", "k: missing")
    codes = encoder.transform(texts("a", "b", "c", "unseen", None))
    np.testing.assert_array_equal(codes, np.eye(4)[[0, 1, 2, 2, 3]])


@given(
    st.lists(
        st.tuples(st.sampled_from([None, "a", "b", "c"]), st.integers(0, 3)), min_size=1
    ).filter(lambda rows: any(weight for _, weight in rows)),
    st.integers(1, 3),
)
@settings(deadline=None)
def test_whole_weights_are_repeated_categories(rows, max_levels):
    column, weight = texts(*(value for value, _ in rows)), np.array([weight for _, weight in rows])
    weighted = CategoryEncoder.fit(column, weight, max_levels=max_levels)
    repeated = CategoryEncoder.fit(np.repeat(column, weight), max_levels=max_levels)
    assert weighted == repeated


# dates


def test_dates_become_days_and_points_on_circles():
    column = dates("2024-01-01T00:00", "2024-04-01T06:00", "NaT", "2024-07-01T12:00")
    encoder = DateEncoder.fit(column, name="t", clip=False)
    parts = [f"t: {p} {w}" for p in ("month", "hour") for w in ("sin", "cos")]
    # all three are Mondays: the weekday does not vary
    assert encoder.feature_names == ("t: days", "t: missing", *parts)
    z = encoder.transform(column, np.float64)
    np.testing.assert_array_equal(z[2], [0, 1, 0, 0, 0, 0])
    np.testing.assert_allclose(z[1], [0, 0, 1, 0, 1, 0], atol=1e-12)  # a quarter of both circles
    np.testing.assert_allclose(z[3, 0] - z[1, 0], 91.25 / 182.5)


def test_the_weekday_follows_the_calendar():
    column = dates(*(f"1969-12-{day}" for day in range(22, 32)), "2024-02-29")
    encoder = DateEncoder.fit(column)
    sine = encoder.transform(column)[:, encoder.feature_names.index("x0: weekday sin")]
    weekday = np.array([day.weekday() for day in column.tolist()])
    np.testing.assert_allclose(sine, np.sin(2 * np.pi * weekday / 7), atol=1e-6)


def test_a_category_of_many_levels_becomes_a_code():
    column = np.array(
        [*(f"c{i}" for i in range(5) for _ in range(4)), "rare", "rare", None], object
    )
    encoder = CategoryEncoder.fit(column, name="city", code_above=4)
    assert encoder.coded and encoder.levels == ("c0", "c1", "c2", "c3", "c4")
    assert encoder.feature_names == ("city: code",) and encoder.places == 7
    codes = encoder.transform(np.array(["c0", "c4", "rare", "new", None], object))
    assert codes.tolist() == [[2.0], [6.0], [1.0], [1.0], [0.0]]
    assert CategoryEncoder.from_spec(encoder.to_spec()) == encoder
    weighted = CategoryEncoder.fit(
        np.array([f"c{i}" for i in range(5)], object), np.full(5, 4), name="city", code_above=4
    )
    assert weighted.levels == encoder.levels  # a weight of 4 is four rows
    assert not CategoryEncoder.fit(column, name="city", code_above=6).coded


def test_codes_follow_all_other_features():
    names = [f"c{i}" for i in range(6) for _ in range(4)]
    table = {"city": names, "size": list(range(24)), "kind": ["a", "b", "c", "d"] * 6}
    encoder = TableEncoder.fit(table, code_above=4)
    assert encoder.feature_names == ("size", "kind=a", "kind=b", "kind=c", "kind=d", "city: code")
    assert encoder.places == (8,)
    assert encoder.transform(table)[:5, -1].tolist() == [2, 2, 2, 2, 3]
    loaded = TableEncoder.from_spec(encoder.to_spec())
    np.testing.assert_array_equal(loaded.transform(table), encoder.transform(table))
