"""Values of every origin become columns in one of three normal forms, without loss."""

from __future__ import annotations

import datetime as dt
import enum
from decimal import Decimal
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassnet.data.tables import Table, as_table, column_of, is_table
from glassnet.errors import DataError

pytestmark = pytest.mark.lowest

NOON = dt.datetime(2024, 2, 29, 12)
BERLIN_NOON = NOON.replace(tzinfo=dt.timezone(dt.timedelta(hours=1)))
NAN = float("nan")


class Colour(enum.Enum):
    RED = 1


# values, kind, normal form as a list
PLAIN = [
    ([1, 2], "number", [1.0, 2.0]),
    ([1, None], "number", [1.0, NAN]),
    ([1, 2.5, Decimal("0.5"), np.float32(3)], "number", [1.0, 2.5, 0.5, 3.0]),
    ([None, NAN, pd.NA], "number", [NAN, NAN, NAN]),
    ([], "number", []),
    ([float("inf"), -(10**400)], "number", [float("inf"), -float("inf")]),
    ([Decimal("NaN"), Decimal("sNaN"), 1], "number", [NAN, NAN, 1.0]),
    ([dt.timedelta(minutes=1), None], "number", [60.0, NAN]),
    ([np.timedelta64(1, "h"), np.timedelta64("NaT", "h")], "number", [3600.0, NAN]),
    ([dt.time(1, 0, 1, 500_000)], "number", [3601.5]),
    (["a", None], "category", ["a", None]),
    (["a", NAN, pd.NA], "category", ["a", None, None]),
    (["", "é"], "category", ["", "é"]),
    ([True, False, None], "category", ["True", "False", None]),
    ([np.True_], "category", ["True"]),
    (["a", 1, None, 2.5], "category", ["a", "1", None, "2.5"]),
    ([True, 2], "category", ["True", "2"]),
    ([dt.date(2024, 1, 1), 2], "category", ["2024-01-01", "2"]),
    ([b"caf\xc3\xa9"], "category", ["café"]),
    ([Colour.RED], "category", ["Colour.RED"]),
    ([dt.date(2024, 2, 29), None], "date", [dt.datetime(2024, 2, 29), None]),
    ([NOON, pd.NaT], "date", [NOON, None]),
    ([BERLIN_NOON], "date", [dt.datetime(2024, 2, 29, 11)]),
    ([np.datetime64("2024-02-29"), pd.Timestamp(NOON)], "date", [dt.datetime(2024, 2, 29), NOON]),
]


def check(column: np.ndarray, kind: str, expected: list[Any]) -> None:
    dtype = {"number": "float64", "category": "object", "date": "datetime64[us]"}[kind]
    assert column.dtype == np.dtype(dtype)
    assert Table({"x": column}).kind("x") == kind
    values = column.tolist()
    assert len(values) == len(expected)
    for seen, wanted in zip(values, expected, strict=True):
        assert type(seen) is type(wanted)
        assert seen == wanted or (seen != seen and wanted != wanted)


@pytest.mark.parametrize(("values", "kind", "expected"), PLAIN)
def test_a_list_becomes_a_column_of_the_kind_its_values_share(values, kind, expected):
    check(column_of(values), kind, expected)
    check(column_of(tuple(values)), kind, expected)
    as_objects = np.empty(len(values), dtype=object)
    as_objects[:] = values
    check(column_of(as_objects), kind, expected)
    check(column_of(pd.Series(values, dtype=object)), kind, expected)


TYPED = [
    (np.array([1, 2], dtype=np.uint8), "number", [1.0, 2.0]),
    (np.array([1.5, NAN], dtype=np.float16), "number", [1.5, NAN]),
    (np.array([True, False]), "category", ["True", "False"]),
    (np.array(["a", "bc"]), "category", ["a", "bc"]),
    (np.array([b"a"]), "category", ["a"]),
    (np.array(["a", "long enough to leave the arena"], dtype="T"), "category",
     ["a", "long enough to leave the arena"]),
    (np.array(["2024-02-29", "NaT"], dtype="datetime64[D]"), "date",
     [dt.datetime(2024, 2, 29), None]),
    (np.array([90, "NaT"], dtype="timedelta64[m]"), "number", [5400.0, NAN]),
    (np.ma.array([1, 2], mask=[False, True]), "number", [1.0, NAN]),
    (np.ma.array([True, False], mask=[False, True]), "category", ["True", None]),
    (pd.Index([3, 4]), "number", [3.0, 4.0]),
    (pa.array([1, None]), "number", [1.0, NAN]),
    (range(2), "number", [0.0, 1.0]),
    (iter("ab"), "category", ["a", "b"]),
]  # fmt: skip


@pytest.mark.parametrize(("values", "kind", "expected"), TYPED)
def test_arrays_keep_their_meaning(values, kind, expected):
    check(column_of(values), kind, expected)


# one row for each type of column that a data frame can hold
SERIES = {
    "pandas": [
        (pd.Series([1, 2], dtype="int32"), "number", [1.0, 2.0]),
        (pd.Series([1, None], dtype="Int64"), "number", [1.0, NAN]),
        (pd.Series([1.5, None], dtype="Float32"), "number", [1.5, NAN]),
        (pd.Series([1, None], dtype="int64[pyarrow]"), "number", [1.0, NAN]),
        (pd.Series([True, False]), "category", ["True", "False"]),
        (pd.Series([True, None], dtype="boolean"), "category", ["True", None]),
        (pd.Series(["a", None]), "category", ["a", None]),
        (pd.Series(["a", None], dtype="str"), "category", ["a", None]),
        (pd.Series(["a", None], dtype="string"), "category", ["a", None]),
        (pd.Series(["a", None], dtype="string[pyarrow]"), "category", ["a", None]),
        (pd.Series(["a", None], dtype="category"), "category", ["a", None]),
        (pd.Series([3, 1, None], dtype="category"), "category", ["3", "1", None]),
        (pd.Series([NOON, None]), "date", [NOON, None]),
        (pd.Series([BERLIN_NOON, None]), "date", [dt.datetime(2024, 2, 29, 11), None]),
        (pd.Series([dt.timedelta(seconds=2), None]), "number", [2.0, NAN]),
        (pd.Series(pd.period_range("2024-01", periods=2, freq="M")), "category",
         ["2024-01", "2024-02"]),
        (pd.Series(pd.arrays.SparseArray([0.0, 1.0])), "number", [0.0, 1.0]),
        (pd.Series([Decimal("1.5"), None], dtype=object), "number", [1.5, NAN]),
    ],
    "polars": [
        (pl.Series([1, None]), "number", [1.0, NAN]),
        (pl.Series([1, None], dtype=pl.UInt8), "number", [1.0, NAN]),
        (pl.Series([Decimal("1.5"), None]), "number", [1.5, NAN]),
        (pl.Series([True, None]), "category", ["True", None]),
        (pl.Series(["a", None]), "category", ["a", None]),
        (pl.Series(["a", None], dtype=pl.Categorical), "category", ["a", None]),
        (pl.Series(["a", None], dtype=pl.Enum(["a"])), "category", ["a", None]),
        (pl.Series([dt.date(2024, 2, 29), None]), "date", [dt.datetime(2024, 2, 29), None]),
        (pl.Series([NOON, None]), "date", [NOON, None]),
        (pl.Series([BERLIN_NOON, None]), "date", [dt.datetime(2024, 2, 29, 11), None]),
        (pl.Series([dt.timedelta(seconds=2), None]), "number", [2.0, NAN]),
        (pl.Series([dt.time(0, 1), None]), "number", [60.0, NAN]),
        (pl.Series([None, None]), "number", [NAN, NAN]),
        (pl.Series([], dtype=pl.String), "category", []),
    ],
    "pyarrow": [
        (pa.chunked_array([[1], [None]]), "number", [1.0, NAN]),
        (pa.chunked_array([[Decimal("1.5"), None]]), "number", [1.5, NAN]),
        (pa.chunked_array([[True, None]]), "category", ["True", None]),
        (pa.chunked_array([["a", None]]), "category", ["a", None]),
        (pa.chunked_array([pa.array(["a", None]).dictionary_encode()]), "category", ["a", None]),
        (pa.chunked_array([[dt.date(2024, 2, 29), None]]), "date",
         [dt.datetime(2024, 2, 29), None]),
        (pa.chunked_array([pa.array([BERLIN_NOON, None], pa.timestamp("ns", "+01:00"))]), "date",
         [dt.datetime(2024, 2, 29, 11), None]),
        (pa.chunked_array([[None, None]]), "number", [NAN, NAN]),
    ],
}  # fmt: skip
FRAMES = {
    "pandas": lambda series: pd.DataFrame({"x": series}),
    "polars": lambda series: pl.DataFrame({"x": series}),
    "pyarrow": lambda series: pa.table({"x": series}),
}


@pytest.mark.parametrize(
    ("library", "series", "kind", "expected"),
    [(library, *row) for library, rows in SERIES.items() for row in rows],
)
def test_every_type_of_data_frame_column(library, series, kind, expected):
    check(column_of(series), kind, expected)
    frame = FRAMES[library](series)
    assert is_table(frame)
    check(as_table(frame)["x"], kind, expected)
    check(as_table(nw.from_native(frame))["x"], kind, expected)


def test_a_lazy_frame_is_collected():
    lazy = pl.LazyFrame({"x": [1, 2]})
    assert is_table(lazy)
    assert as_table(lazy) == as_table(nw.from_native(lazy)) == as_table({"x": [1, 2]})


def test_a_column_does_not_share_memory_with_its_source():
    for source in (np.array([1.0, 2.0]), pd.Series([1.0, 2.0]), np.array(["a", "b"], dtype=object)):
        column = column_of(source)
        column[0] = column[1]
        assert source[0] != source[1]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([[1, 2], [3]], "nested values (a list)"),
        ([{"a": 1}, None], "nested values (a dict)"),
        (pl.Series([[1], [2]]), "of type List"),
        (pl.Series([b"a"]), "of type Binary"),
        ([1j], "complex"),
        (np.array([1j]), "complex128"),
        (np.zeros((2, 2)), "shape (2, 2)"),
        (np.array(1.0), "shape ()"),
        ("abc", "a str"),
        (5, "an int"),
        (None, "a NoneType"),
        ({1, 2}, "a set"),
        (np.array([1], dtype="timedelta64[M]"), "timedelta64[M]"),
    ],
)
def test_unusable_values_are_refused_with_the_column_name(values, reason):
    with pytest.raises(DataError) as error:
        column_of(values, name="price")
    assert "'price'" in str(error.value)
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("X", "expected"),
    [
        ({"a": [1]}, True),
        (Table({}), True),
        (np.array([["a", "b"]]), True),
        (np.array([["a", 1]], dtype=object), True),
        (np.array([(1, "a")], dtype=[("n", int), ("s", "U1")]), True),
        (np.zeros((2, 2)), False),
        (np.array(["a"], dtype=object), False),
        ([[1, 2]], False),
        ([{"a": 1}], False),
        (pd.Series([1]), False),
        ("abc", False),
        (None, False),
    ],
)
def test_is_table(X, expected):
    assert is_table(X) is expected
    if expected:
        as_table(X)
    else:
        with pytest.raises(DataError, match="not a table with named columns"):
            as_table(X)


def test_columns_of_object_arrays_are_named_by_number():
    table = as_table(np.array([["a", 1], [None, 2]], dtype=object))
    assert table == as_table({"0": ["a", None], "1": [1, 2]})


def test_structured_arrays_keep_their_names():
    array = np.array([(1, "a"), (2, "b")], dtype=[("n", int), ("s", "U1")])
    assert as_table(array) == as_table({"n": [1, 2], "s": ["a", "b"]})


def test_names_become_text():
    frame = pd.DataFrame([[1, "a", 2.0]], columns=[0, "größe", ("a", 1)])
    assert as_table(frame).names == ("0", "größe", "('a', 1)")


@pytest.mark.parametrize(
    "X",
    [
        pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]),
    ],
)
def test_repeated_names_are_refused(X):
    with pytest.raises(DataError, match="More than one column is called 'a'"):
        as_table(X)


@pytest.mark.parametrize("X", [{0: [1], "0": [2]}, pd.DataFrame([[1, 2]], columns=[0, "0"])])
def test_names_that_are_equal_as_text_are_refused(X):
    with pytest.raises(DataError, match="More than one column is called '0'"):
        as_table(X)


def test_columns_of_unequal_length_are_refused():
    with pytest.raises(DataError, match="a: 1, b: 2"):
        as_table({"a": [1], "b": [1, 2]})


def test_a_table_accepts_only_normal_forms():
    with pytest.raises(DataError, match="'a' is an array of int"):
        Table({"a": np.array([1, 2])})


# ------------------------------------------------------------------------------------ the Table

TABLE = as_table({"n": [1, None, 3], "c": ["a", None, "b"], "d": [None, NOON, NOON]})


def test_rows_by_slice_mask_and_numbers():
    wanted = as_table({"n": [1, 3], "c": ["a", "b"], "d": [None, NOON]})
    assert TABLE.rows(slice(None, None, 2)) == wanted
    assert TABLE.rows(np.array([True, False, True])) == wanted
    assert TABLE.rows(np.array([0, 2])) == wanted
    assert len(TABLE.rows(slice(0))) == 0


def test_without_and_only():
    assert TABLE.without("c").names == ("n", "d")
    assert TABLE.only(["d", "n"]).names == ("d", "n")
    assert TABLE.names == ("n", "c", "d")
    for call in (TABLE.without, TABLE.only, TABLE.kind, TABLE.missing, TABLE.__getitem__):
        with pytest.raises(DataError, match="no column"):
            call(["x"]) if call == TABLE.only else call("x")


def test_missing_values_of_every_kind():
    for name, where in (("n", 1), ("c", 1), ("d", 0)):
        assert TABLE.missing(name).tolist() == [i == where for i in range(3)]


def test_an_unknown_column_suggests_the_nearest_and_lists_at_most_twenty():
    table = as_table({f"column_{i}": [0] for i in range(30)})
    with pytest.raises(DataError) as error:
        table["colum_7"]
    assert "Did you mean 'column_7'?" in str(error.value)
    assert "column_19, ... (10 more)" in str(error.value)
    assert "column_20" not in str(error.value)


def test_equality_compares_names_order_kinds_and_values():
    assert as_table(TABLE) is TABLE
    assert TABLE.rows(slice(None)) == TABLE
    assert TABLE.only(["c", "n", "d"]) != TABLE
    assert TABLE.without("d") != TABLE
    assert as_table({"a": [None]}) != Table({"a": np.array([None], dtype=object)})
    assert as_table({"a": ["1"]}) != as_table({"a": [1]})
    assert TABLE != 1


def test_repr_is_short():
    assert repr(TABLE) == "Table(3 rows; n: number, c: category, d: date)"
    assert len(repr(as_table({str(i): [0] for i in range(1000)}))) < 400


def test_an_empty_table():
    assert len(Table({})) == 0
    assert repr(Table({})) == "Table(0 rows; )"


CELLS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.decimals(), st.dates(),
    st.datetimes(timezones=st.none() | st.just(dt.UTC)), st.timedeltas(), st.times(),
)  # fmt: skip


@given(st.lists(CELLS))
def test_any_list_of_plain_values_becomes_a_column_that_stays_the_same(values):
    column = column_of(values)
    again = column_of(column)
    assert Table({"x": column}) == Table({"x": again}) or all(v is None for v in column.tolist())
    table = Table({"x": column})
    for value, missing in zip(values, table.missing("x"), strict=True):
        if isinstance(value, float | Decimal):
            assert missing == ("nan" in str(value).lower())
        else:
            assert missing == (value is None)


@given(st.lists(st.none() | st.floats() | st.integers(-(2**53), 2**53)))
def test_numbers_survive_every_kind_of_frame(values):
    values = [None if v is None else float(v) for v in values]
    expected = Table({"x": np.array([NAN if v is None else v for v in values], dtype=float)})
    for make in (
        lambda: {"x": values},
        lambda: pd.DataFrame({"x": pd.Series(values, dtype="float64")}),
        lambda: pd.DataFrame({"x": pd.Series(values, dtype="Float64")}),
        lambda: pl.DataFrame({"x": pl.Series(values, dtype=pl.Float64)}),
        lambda: pa.table({"x": pa.array(values, pa.float64())}),
    ):
        assert as_table(make()) == expected
