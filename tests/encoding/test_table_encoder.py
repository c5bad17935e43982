"""Table encoders and splits: features, conversions, and damaged records."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from glassnet.data.splits import duplicate_groups, folds, split
from glassnet.data.tables import Table, as_table
from glassnet.encoding.table_encoder import (
    CategoryEncoder,
    DateEncoder,
    NumericEncoder,
    TableEncoder,
)
from glassnet.errors import ConfigurationError, DataError, ModelFormatError


def texts(*values: str | None) -> np.ndarray:
    return np.array(values, dtype=object)


def dates(*values: str) -> np.ndarray:
    return np.array(values, dtype="datetime64[us]")


# tables


def mixed() -> Table:
    return as_table(
        {
            "age": [20.0, 30.0, None, 50.0],
            "city": ["Ulm", "Bonn", "Ulm", None],
            "day": dates("2024-01-01", "2024-01-02", "2024-01-05", "NaT"),
            "unit": ["cm"] * 4,
            "nothing": [None] * 4,
            "code": ["003", "004", "005", "003"],
        }
    )


def test_a_table_is_encoded_by_name_without_its_useless_columns():
    encoder = TableEncoder.fit(mixed())
    assert encoder.feature_names[:3] == ("age", "age: missing", "city=Ulm")
    assert encoder.feature_names[-3:] == ("code=003", "code=004", "code=005")
    assert set(encoder.dropped) == {"unit", "nothing"}
    z = encoder.transform(mixed())
    assert z.shape == (4, encoder.n_features) and z.dtype == np.float32
    columns = {name: mixed()[name] for name in reversed(mixed().names)}
    reordered = as_table(columns | {"new": [1] * 4})
    np.testing.assert_array_equal(encoder.transform(reordered), z)
    assert encoder.extra_columns(reordered) == ("new",)
    np.testing.assert_array_equal(encoder.transform(mixed().without("unit", "nothing")), z)


def test_rows_of_weight_zero_do_not_count():
    weight = np.array([1, 0, 2, 1])
    repeated = mixed().rows(np.repeat(np.arange(4), weight))
    assert TableEncoder.fit(mixed(), weight) == TableEncoder.fit(repeated)


def test_data_frames_are_tables():
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    columns = {"age": [20.0, 30.0, 50.0], "city": ["Ulm", "Bonn", "Ulm"]}
    encoder = TableEncoder.fit(as_table(columns))
    for frame in (pd.DataFrame(columns), pl.DataFrame(columns)):
        assert TableEncoder.fit(frame) == encoder
        np.testing.assert_array_equal(encoder.transform(frame), encoder.transform(columns))


@pytest.mark.parametrize(
    ("changed", "same_as"),
    [
        ({"age": ["20", "30.0", None, "5e1"]}, {}),
        ({"code": [3.0, 4.0, 5.0, 3.0]}, {}),
        ({"code": [3, 4, 5, 3]}, {}),
        ({"day": ["2024-01-01", "2024-01-02T00:00:00Z", "2024-01-05", None]}, {}),
        ({"city": [None] * 4}, {"city": ["unseen"] * 4}),
        ({"day": [None] * 4}, {"day": dates(*["NaT"] * 4)}),
        ({"age": [True, False, True, None]}, {"age": [1, 0, 1, None]}),
    ],
)
def test_a_column_of_another_kind_is_converted_where_possible(changed, same_as):
    encoder = TableEncoder.fit(mixed())
    features = encoder.transform(mixed().columns | changed)
    np.testing.assert_array_equal(features, encoder.transform(mixed().columns | same_as))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"age": ["20", "old", "1", "2"]}, r"'age'.*'old' in row 1"),
        ({"age": ["20", "1_0", "1", "2"]}, r"'1_0' in row 1"),
        ({"age": ["20", "1", "1", "inf"]}, r"'age'.*infinite.*row 3"),
        ({"day": ["2024-01-01", "soon", None, None]}, r"'day'.*'soon' in row 1"),
        ({"day": [1, 2, 3, 4]}, r"'day' holds number values.*date"),
        ({"age": dates(*["2024-01-01"] * 4)}, r"'age' holds date values.*number"),
    ],
)
def test_a_column_that_cannot_be_converted_is_reported_with_its_row(changed, message):
    with pytest.raises(DataError, match=message):
        TableEncoder.fit(mixed()).transform(mixed().columns | changed)


def test_a_missing_column_is_reported_with_a_suggestion():
    renamed = {("agee" if name == "age" else name): c for name, c in mixed().columns.items()}
    with pytest.raises(DataError, match=r"lacks 'age'.*Did you mean 'agee'"):
        TableEncoder.fit(mixed()).transform(renamed)


def test_identifiers_and_free_text_are_dropped_but_few_levels_are_not():
    ids = [f"row {i}" for i in range(40)]
    encoder = TableEncoder.fit(as_table({"id": ids, "group": ["a", "b", "c", "d"] * 10}))
    assert list(encoder.dropped) == ["id"] and "40 different texts" in encoder.dropped["id"]
    assert not TableEncoder.fit(as_table({"id": ids[:20]})).dropped


def test_constant_data_still_has_one_feature():
    encoder = TableEncoder.fit(as_table({"a": [1, 1], "b": ["x", "x"]}))
    np.testing.assert_array_equal(encoder.transform({"a": [5, 6, 7]}), np.zeros((3, 1)))
    assert encoder.n_features == 1


def test_arrays_keep_their_columns_and_check_their_number():
    X = np.array([[1, 5, 0], [2, 5, 1]])
    encoder = TableEncoder.fit(X)
    assert encoder.feature_names == ("x0", "x1", "x2") and encoder.kind == "array"
    with pytest.raises(
        DataError, match=r"X has 2 features, but .* is expecting 3 features as input"
    ):
        encoder.transform(X[:, :2])
    by_name = {"a": [1, 2], "b": [5, 5], "c": [0, 1]}
    np.testing.assert_array_equal(encoder.transform(by_name), encoder.transform(X))
    np.testing.assert_array_equal(encoder.transform(X.tolist()), encoder.transform(X))
    named = TableEncoder.fit(by_name)
    assert named.transform(X).shape == (2, 2)
    with pytest.raises(DataError, match="is expecting 3 features"):
        named.transform(X[:, :2])


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros(3), "Reshape your data"),
        (np.zeros((2, 2, 2)), "Reshape your data"),
        (np.zeros((3, 0)), "0 feature"),
        (np.zeros((3, 1), complex), "Complex data not supported"),
        ([[1, 2], [3]], "different lengths"),
    ],
)
def test_unusable_shapes_are_refused(X, message):
    with pytest.raises(DataError, match=message):
        TableEncoder.fit(X)


# records


ENCODERS: dict[str, Any] = {
    "numeric": NumericEncoder.fit(np.array([[0.1, np.nan], [1 / 3, 2], [1e308, 5e-324]])),
    "category": CategoryEncoder.fit(texts("ä", "b", None, "c")),
    "date": DateEncoder.fit(dates("2024-01-01", "2024-05-02T03:00", "NaT")),
    "table": TableEncoder.fit(mixed()),
    "array": TableEncoder.fit(np.arange(6).reshape(3, 2)),
}


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
def test_records_survive_strict_json(encoder):
    text = json.dumps(encoder.to_spec(), allow_nan=False)
    assert type(encoder).from_spec(json.loads(text)) == encoder


def damages(value: Any) -> Iterator[Any]:
    """Yield copies of a JSON value, each damaged in one place."""
    if isinstance(value, dict):
        for key in value:
            yield {k: v for k, v in value.items() if k != key}
            for bad in damages(value[key]):
                yield value | {key: bad}
        yield value | {"surplus": 1}
    elif isinstance(value, list):
        yield [*value, None]
        for index, item in enumerate(value):
            yield [*value[:index], *value[index + 1 :], {}]
            for bad in damages(item):
                yield [*value[:index], bad, *value[index + 1 :]]
    yield from (None, [None], 7j)
    if isinstance(value, float):
        yield from (float("nan"), float("inf"), 10**400, "1", True)


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
def test_damaged_records_all_raise_the_same_exception(encoder):
    spec = encoder.to_spec()
    dropped = spec.pop("dropped", None)  # not damaged: its reasons are free text
    count = 0
    for damaged in damages(spec):
        record = damaged
        if dropped is not None and isinstance(damaged, dict):
            record = damaged | {"dropped": dropped}
        with pytest.raises(ModelFormatError, match="damaged"):
            type(encoder).from_spec(record)
        count += 1
    assert count > 10


@pytest.mark.parametrize(
    "change",
    [
        {"names": ["age", "age", "day", "unit", "nothing", "code"]},
        {"dropped": {"unit": "", "nothing": "", "elsewhere": ""}},
        {"dropped": {"unit": ""}},
        {"dropped": ["unit", "nothing"]},
        {"kind": "array"},
        {"kinds": ["number"] * 6},
        {"others": []},
        {"others": list(reversed(ENCODERS["table"].to_spec()["others"]))},
        {
            "others": [
                CategoryEncoder("elsewhere", ("a",), False, False).to_spec(),
                *ENCODERS["table"].to_spec()["others"][1:],
            ]
        },
    ],
    ids=str,
)
def test_records_that_contradict_themselves_are_refused(change):
    with pytest.raises(ModelFormatError):
        TableEncoder.from_spec(ENCODERS["table"].to_spec() | change)


def test_negative_scales_are_refused():
    spec = ENCODERS["numeric"].to_spec()
    with pytest.raises(ModelFormatError, match="at least 0"):
        NumericEncoder.from_spec(spec | {"scale": [-1.0, 1.0]})


# splits


@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=20),
    st.floats(0.05, 0.95),
    st.integers(0, 5),
    st.booleans(),
)
@settings(deadline=None, max_examples=400)
def test_a_split_is_a_partition_that_keeps_every_class_in_training(y, fraction, seed, stratify):
    if stratify and len(set(y)) == len(y):
        with pytest.raises(DataError, match="single row"):
            split(y, fraction, seed, stratify=True)
        return
    train, aside = split(y, fraction, seed, stratify=stratify)
    assert sorted([*train, *aside]) == list(range(len(y)))
    assert list(train) == sorted(train) and list(aside) == sorted(aside)
    assert len(train) and len(aside)
    if stratify:
        assert set(np.array(y)[train]) == set(y)


def test_a_class_whose_rows_are_all_drawn_keeps_one_in_training():
    y = np.array([0, 0, 1, 1, 1, 1, 1, 1, 2])
    for seed in range(20):
        train, aside = split(y, 0.625, seed, stratify=True)
        assert set(y[train]) == {0, 1, 2} and 4 <= len(aside) <= 6


def test_a_stratified_split_keeps_the_class_shares_and_follows_its_seed():
    y = np.array(["a"] * 80 + ["b"] * 20)
    _, aside = split(y, 0.1, 0, stratify=True)
    assert sorted(y[aside]) == ["a"] * 8 + ["b"] * 2
    again, other = split(y, 0.1, 0, stratify=True)[1], split(y, 0.1, 1, stratify=True)[1]
    assert (again == aside).all() and (other != aside).any()


def test_rows_of_weight_zero_stay_in_training_and_do_not_change_the_draw():
    y, weight = np.array([0, 1] * 20), np.array([1, 1, 0, 0] * 10)
    _, aside = split(y, 0.3, 0, stratify=True, weight=weight)
    _, aside_of_counted = split(y[weight > 0], 0.3, 0, stratify=True)
    np.testing.assert_array_equal(aside, np.flatnonzero(weight)[aside_of_counted])


@given(st.integers(8, 90), st.integers(2, 8), st.integers(0, 5), st.booleans())
def test_folds_hold_out_each_row_at_most_once_in_parts_of_one_size(n, count, seed, stratify):
    y = np.random.default_rng(seed).integers(0, 3, n)
    dealt = folds(y, count, seed, stratify=stratify)
    assert {len(held) for _, held in dealt} == {n // count}
    for train, held in dealt:
        np.testing.assert_array_equal(np.sort([*train, *held]), np.arange(n))
        if stratify:
            share = np.bincount(y, minlength=3) / count
            assert (np.abs(np.bincount(y[held], minlength=3) - share) < 2).all()
    watched = np.concatenate([held for _, held in dealt])
    assert len(np.unique(watched)) == len(watched) == n // count * count
    with pytest.raises(DataError, match="folds"):
        folds(y[:1], 2, seed, stratify=stratify)


@given(
    st.lists(st.integers(0, 60), min_size=120, max_size=160),
    st.integers(2, 8),
    st.integers(0, 5),
    st.booleans(),
)
def test_equal_rows_fall_into_one_fold(rows, count, seed, stratify):
    x = np.random.default_rng(0).normal(size=(61, 3))[rows]
    numbers = duplicate_groups(x)
    assume(numbers is not None)
    assert (numbers[:, None] == numbers).tolist() == (x[:, None] == x).all(axis=2).tolist()
    y = np.asarray(rows) % 3
    dealt = folds(y, count, seed, stratify=stratify, groups=numbers)
    held = [rest for _, rest in dealt]
    assert len({len(rest) for rest in held}) == 1
    assert len(set(np.concatenate(held).tolist())) == sum(map(len, held))
    for train, rest in dealt:
        assert sorted([*train, *rest]) == list(range(len(y)))
        # within each class, a fold splits at most one group at its start and one at its end,
        # and it may have been cut short
        both = np.intersect1d(numbers[train], numbers[rest])
        assert len(both) <= 3 * (len(np.unique(y)) if stratify else 1)


def test_rare_classes_leave_no_fold_empty():
    y, numbers = np.repeat(np.arange(30), 2), np.repeat(np.arange(20), 3)
    for dealt in (
        folds(y, 8, 0, stratify=True, groups=numbers),
        folds(np.arange(9), 8, 0, stratify=True, groups=[0] * 9),
    ):
        held = [rest for _, rest in dealt]
        assert len({len(rest) for rest in held}) == 1 and len(held[0]) > 0
    assert [
        len(np.unique(y[rest])) for _, rest in folds(y, 2, 0, stratify=True, groups=numbers)
    ] == [30, 30]


def test_rows_with_few_distinct_values_are_not_grouped_as_duplicates():
    corners = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    assert duplicate_groups(np.tile(corners, (20, 1))) is None
    assert duplicate_groups(corners) is None
    assert duplicate_groups(np.empty((3, 0))) is None


def test_unusable_splits_are_refused():
    with pytest.raises(DataError, match="too few"):
        split([1], 0.5, 0, stratify=False)
    with pytest.raises(ConfigurationError, match="between 0 and 1"):
        split([1, 2, 3], 1.0, 0, stratify=False)
