"""Files of all kinds are read as the right columns, or refused with one clear message."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import os
import sqlite3
import struct
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn import datasets as sklearn_datasets

from glassnet.data.read import read
from glassnet.data.samples import SAMPLES
from glassnet.data.tables import Table, as_table, column_of
from glassnet.errors import DataError

pytestmark = pytest.mark.lowest

NAN = float("nan")


def write(path: Path, data: str | bytes, encoding: str = "utf-8") -> str:
    path.write_bytes(data if isinstance(data, bytes) else data.encode(encoding))
    return str(path)


def table_of(source: str, **options: Any) -> Table:
    X = read(source, **options).X
    assert isinstance(X, Table)
    return X


# ---------------------------------------------------------------------------- delimited text

# the text of a file, and the columns expected from it
TEXTS: dict[str, tuple[str, dict[str, list[Any]]]] = {
    "comma": ("a,b\n1,x\n2,y\n", {"a": [1, 2], "b": ["x", "y"]}),
    "semicolon": ("a;b\n1;x\n2;y\n", {"a": [1, 2], "b": ["x", "y"]}),
    "tab": ("a\tb\n1\tx\n2\ty\n", {"a": [1, 2], "b": ["x", "y"]}),
    "bar": ("a|b\n1|x\n2|y\n", {"a": [1, 2], "b": ["x", "y"]}),
    "no newline at the end": ("a,b\n1,2\n3,4", {"a": [1, 3], "b": [2, 4]}),
    "windows": ("a,b\r\n1,2\r\n3,4\r\n", {"a": [1, 3], "b": [2, 4]}),
    "old mac": ("a,b\r1,2\r3,4\r", {"a": [1, 3], "b": [2, 4]}),
    "mixed line ends": ("a,b\r\n1,2\n3,4\r\n", {"a": [1, 3], "b": [2, 4]}),
    "blank lines": ("a,b\n\n1,2\n\n3,4\n\n", {"a": [1, 3], "b": [2, 4]}),
    "delimiter at the line's end": ("a,b\n1,2,\n3,4,\n", {"a": [1, 3], "b": [2, 4]}),
    "one column": ("a\n1\n2\n", {"a": [1, 2]}),
    "one column, a cell missing": ("a\n1\n\n3\n", {"a": [1, None, 3]}),
    "one column of sentences": ("text\nhi, you\nbye\n", {"text": ["hi, you", "bye"]}),
    "one column, decimal commas": ("x\n1,5\n2,5\n", {"x": [1.5, 2.5]}),
    "one row": ("a,b\n1,x\n", {"a": [1], "b": ["x"]}),
    "text only": ("name,city\nanna,ulm\nbob,bonn\n",
                  {"name": ["anna", "bob"], "city": ["ulm", "bonn"]}),
    "no header": ("1.5,2,x\n2.5,3,y\n", {"column1": [1.5, 2.5], "column2": [2, 3],
                                        "column3": ["x", "y"]}),
    "years as names": ("land,2019,2020\na,x,1\nb,y,2\n", {"land": ["a", "b"], "2019": ["x", "y"],
                                                          "2020": [1, 2]}),
    "names": ('"b c",größe,"d ""e""", f \n1,2,3,4\n',
              {"b c": [1], "größe": [2], 'd "e"': [3], "f": [4]}),
    "names with SQL": ('"a""; DROP TABLE cells; --",b\n1,2\n',
                       {'a"; DROP TABLE cells; --': [1], "b": [2]}),
    "names with case": ("a,A\n1,2\n", {"a": [1], "A": [2]}),
    "no name": (",a\n0,5\n1,6\n", {"column1": [0, 1], "a": [5, 6]}),
    "repeated names": ("a,a,a_2\n1,2,3\n", {"a": [1], "a_3": [2], "a_2": [3]}),
    "quoted": ('a,b\n"x, y",1\n"say ""hi""",2\n', {"a": ["x, y", 'say "hi"'], "b": [1, 2]}),
    "quoted lines": ('a,b\n"x\ny",1\nz,2\n', {"a": ["x\ny", "z"], "b": [1, 2]}),
    "quote inside": ('a,b\n5" disk,1\nz,2\n', {"a": ['5" disk', "z"], "b": [1, 2]}),
    "delimiters in quotes": ('a;b\n"1,2,3,4";1\n"5,6,7,8";2\n',
                             {"a": ["1,2,3,4", "5,6,7,8"], "b": [1, 2]}),
    "spaces": ("age, work, n\n39, Private, 3\n40, ?, 5\n",
               {"age": [39, 40], "work": ["Private", None], "n": [3, 5]}),
    "spaces before quotes": ('a, b\n1, "x, y"\n2, "z"\n', {"a": [1, 2], "b": ["x, y", "z"]}),
    "all missing": ("a,b\n1,\n2,NA\n", {"a": [1, 2], "b": [None, None]}),
    "codes": ("id,n\n007,1\n010,2\n", {"id": ["007", "010"], "n": [1, 2]}),
    "booleans": ("a,b\ntrue,TRUE\nFalse,\n", {"a": ["True", "False"], "b": ["True", None]}),
    "numbers": ("a,b,c\n+1,1e3,.5\n-2,-2.5E-1,5.\n", {"a": [1, -2], "b": [1000, -0.25],
                                                     "c": [0.5, 5]}),
    "infinite": ("a,b\n1,inf\n2,-Infinity\n", {"a": [1, 2], "b": [float("inf"), -float("inf")]}),
    "beyond double": ("a,b\n1,1e400\n2,-1e400\n", {"a": [1, 2],
                                                  "b": [float("inf"), -float("inf")]}),
    "no numbers": ("a,b\n1_000,0x10\n2_000,0x11\n", {"a": ["1_000", "2_000"],
                                                    "b": ["0x10", "0x11"]}),
    "thousands": ('a,b\n"1,234.56",1\n"7.5",2\n', {"a": [1234.56, 7.5], "b": [1, 2]}),
    "thousands only": ('a,b\n"1,234",1\n"12,000",2\n', {"a": [1234, 12000], "b": [1, 2]}),
    "thousands with tabs": ("a\tb\n1,234\t1\n12,000\t2\n", {"a": [1234, 12000], "b": [1, 2]}),
    "millions": ("a;b\n1,234,567;1\n2;2\n", {"a": [1234567, 2], "b": [1, 2]}),
    "european": ("a;b\n1.234,56;1\n7,1;2\n", {"a": [1234.56, 7.1], "b": [1, 2]}),
    "european, all of three digits": ("a;b\n1,234;1\n7,125;2\n", {"a": [1.234, 7.125],
                                                                 "b": [1, 2]}),
    "european by another column": ("a;b\n1.234;0,5\n7.125;1,5\n", {"a": [1234, 7125],
                                                                  "b": [0.5, 1.5]}),
    "points of three digits": ("a,b\n1.234,1\n7.125,2\n", {"a": [1.234, 7.125], "b": [1, 2]}),
    "points and semicolons": ("a;b\n1.5;1,234\n2.5;2,345\n", {"a": [1.5, 2.5],
                                                             "b": [1234, 2345]}),
    "days": ("d,n\n2024-02-29,1\n,2\n", {"d": [dt.date(2024, 2, 29), None], "n": [1, 2]}),
    "moments": ("d,n\n2024-02-29 10:11:12,1\n2024-02-29T10:11,2\n",
                {"d": [dt.datetime(2024, 2, 29, 10, 11, 12), dt.datetime(2024, 2, 29, 10, 11)],
                 "n": [1, 2]}),
    "time zones": ("d,n\n2024-02-29T10:00:00Z,1\n2024-02-29 10:00:00+02:00,2\n",
                   {"d": [dt.datetime(2024, 2, 29, 10), dt.datetime(2024, 2, 29, 8)],
                    "n": [1, 2]}),
    "german days": ("d;n\n29.02.2024;1\n01.03.2024;2\n",
                    {"d": [dt.date(2024, 2, 29), dt.date(2024, 3, 1)], "n": [1, 2]}),
    "american days": ("d,n\n02/29/2024,1\n3/1/2024,2\n",
                      {"d": [dt.date(2024, 2, 29), dt.date(2024, 3, 1)], "n": [1, 2]}),
    "british days": ("d,n\n29/02/2024,1\n1/3/2024 10:30,2\n",
                     {"d": [dt.datetime(2024, 2, 29), dt.datetime(2024, 3, 1, 10, 30)],
                      "n": [1, 2]}),
    "no day": ("d,n\n2024-02-30,1\n2024-03-01,2\n", {"d": ["2024-02-30", "2024-03-01"],
                                                    "n": [1, 2]}),
    "times": ("t,n\n00:01,1\n01:00:00.5,2\n", {"t": [60, 3600.5], "n": [1, 2]}),
    "no time": ("t,n\n25:01,1\n01:00,2\n", {"t": ["25:01", "01:00"], "n": [1, 2]}),
    "mixed": ("a,b\n1,x\nz,y\n", {"a": ["1", "z"], "b": ["x", "y"]}),
    "none is a category": ("a,b\nnone,1\nbank,2\n", {"a": ["none", "bank"], "b": [1, 2]}),
    "wide characters": ("名前,年齢\n太郎,31\n花子,44\n", {"名前": ["太郎", "花子"],
                                                  "年齢": [31, 44]}),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_text_is_read_as_the_expected_columns(tmp_path, name):
    text, columns = TEXTS[name]
    assert table_of(write(tmp_path / "x.csv", text)) == as_table(columns)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("packed", [False, True])
def test_encodings_are_recognised(tmp_path, encoding, packed):
    data = "größe,stadt\n1,Köln\n2,Nîmes\n".encode(encoding)
    path = write(tmp_path / "x.csv.gz", gzip.compress(data) if packed else data)
    assert table_of(path) == as_table({"größe": [1, 2], "stadt": ["Köln", "Nîmes"]})


def test_bytes_that_cp1252_lacks_are_read_as_latin_1(tmp_path):
    path = write(tmp_path / "x.csv", b"a,b\n\xe9\x81,1\n")
    assert table_of(path)["a"].tolist() == ["é\x81"]


@pytest.mark.parametrize("mark", ["", "?", "-", "NA", "N/A", "n/a", "NaN", "nan", "null", "None"])
def test_marks_for_missing_values(tmp_path, mark):
    path = write(tmp_path / "x.csv", f'n,c,q\n1,a,b\n{mark},{mark},"{mark}"\n')
    expected = {"n": [1, None], "c": ["a", None], "q": ["b", None]}
    assert table_of(path) == as_table(expected)


@pytest.mark.parametrize("last", ["x", "1.5", ""])
def test_the_last_row_of_a_long_file_can_change_the_type(tmp_path, last):
    rows = "".join(f"{i},{i}\n" for i in range(60_000))
    table = table_of(write(tmp_path / "x.csv", f"a,b\n{rows}{last},0\n"))
    assert len(table) == 60_001
    assert table.kind("a") == ("category" if last == "x" else "number")
    assert table["b"][:3].tolist() == [0, 1, 2]
    assert table["b"][59_999] == 59_999


def test_almost_numeric_columns_are_noted(tmp_path):
    path = write(tmp_path / "x.csv", "a,b\n" + "1,1\n" * 20 + "many,1\n")
    notes = read(path).notes
    assert any("'a' is text, because 1 of its 21 cells" in note for note in notes)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("1,2\n3,4\n", "No header line"),
        ("a,a\n1,2\n", "renamed to 'a_2'"),
        ('a,b\n"1,234",2\n', "thousands marks in: a"),
        ("a;b\n1,5;2\n", "decimal marks in: a"),
        ("a,b\n01/02/2024,1\n", "month first"),
        ("a;b\n01/02/2024;1\n", "day first"),
        ("a,b\n\xe9,1\n", "cp1252"),
    ],
)
def test_decisions_are_noted(tmp_path, text, note):
    path = write(tmp_path / "x.csv", text, "latin-1")
    assert any(note in seen for seen in read(path).notes)


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r", exclude_categories=["Cs"]))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(CELL, CELL, st.integers(-999, 999)), min_size=1, max_size=8),
    st.sampled_from(",;\t|"),
    st.booleans(),
)
def test_text_written_by_pythons_csv_module_is_read(tmp_path_factory, rows, delimiter, all_quoted):
    """The oracle is Python's csv module; brackets make every cell text."""
    rows = [(f"<{a}>", f"<{b}>", n) for a, b, n in rows]
    text = io.StringIO()
    quoting = csv.QUOTE_ALL if all_quoted else csv.QUOTE_MINIMAL
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator="\n")
    writer.writerows([("first", "second", "third"), *rows])
    path = write(tmp_path_factory.mktemp("csv") / "x.csv", text.getvalue())
    table = table_of(path)
    assert table.names == ("first", "second", "third")
    assert list(zip(*(table[name].tolist() for name in table), strict=True)) == rows


# text that is not a table, and what the message must say
BAD_TEXTS: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "is empty"),
    "spaces": (" \n\n", "nothing to learn from"),
    "header only": ("a,b\n", "no rows"),
    "header only, one column": ("a", "no rows"),
    "short line": ("a,b,c\n1,2,3\n4,5\n6,7,8\n", "Line 3 .* has 2 cells .* 3"),
    "long line": ("a,b,c\n1,2,3\n4,5,6\n6,7,8,9\n", "Line 4 .* has 4 cells .* 3"),
    "ragged most": ("a,b,c\n1,2\n1,2\n1,2\n", "Line 2 .* has 2 cells .* 3"),
    "open quote": ('a,b\n"1,2\n3,4\n', "quote that opens in line 2"),
    "binary": (bytes(range(256)) * 20, "neither text nor another format"),
    "zeros": (b"\0" * 1000, "neither text nor another format"),
    "zeros late": (b"a,b\n" + b"1,2\n" * 2000 + b"\0\0,3\n", "neither text nor another format"),
    "a picture": (b"\x89PNG\r\n\x1a\n", "one picture"),
    "a pickle": (b"\x80\x04\x95junk", "pickle"),
    "an ARFF file": ("% about\n@relation x\n@data\n1,2\n", "ARFF"),
    "an Excel workbook": (b"PK\x03\x04" + b"\0" * 26 + b"[Content_Types].xml", "Excel"),
    "another zip": (b"PK\x03\x04" + b"\0" * 26 + b"readme.txt", "zip archive"),
    "short gzip": (gzip.compress(b"a,b\n" + b"1,2\n" * 99)[:-12], "truncated gzip"),
    "false gzip": (b"\x1f\x8bjunk, not gzip at all", "gzip"),
    "half utf-16": ("a,b\n1,2\n".encode("utf-16")[:-1], "neither text"),
    "damaged parquet": (b"PAR1\x15junk", "Parquet cannot be read"),
    "damaged duckdb": (b"\0" * 8 + b"DUCK" + b"\1" * 99, "failed"),
    "damaged sqlite": (b"SQLite format 3\0" + b"\1" * 99, "failed"),
    "damaged npz": (b"PK\x03\x04" + b"\0" * 26 + b"x.npy", "damaged .npz"),
}


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_a_file_that_cannot_be_read_gives_one_message_that_names_it(tmp_path, name):
    data, reason = BAD_TEXTS[name]
    path = write(tmp_path / "given.csv", data)
    with pytest.raises(DataError, match=reason) as error:
        read(path)
    assert "given.csv" in str(error.value)
    assert "\n" not in str(error.value)
    assert os.listdir(tmp_path) == ["given.csv"]


# -------------------------------------------------------------------------------------- paths


def test_a_wrong_path_suggests_the_nearest_file(tmp_path):
    write(tmp_path / "titanic.csv", "a\n1\n")
    with pytest.raises(DataError, match=r"Did you mean 'titanic.csv'\?"):
        read(str(tmp_path / "titanik.csv"))
    with pytest.raises(DataError, match=r"folder .* does not exist"):
        read(str(tmp_path / "nowhere" / "x.csv"))
    with pytest.raises(DataError, match="No file matches"):
        read(str(tmp_path / "*.parquet"))
    with pytest.raises(DataError, match="web address"):
        read("https://example.org/x.csv")
    for source in ("", "a\0b", "x" * 5000, "~nobody_at_all/x.csv"):
        with pytest.raises(DataError):
            read(source)


@pytest.mark.parametrize(
    "name", ["x[1].csv", "a b.csv", "ü.csv", "it's.csv", "star*.csv", "x?.csv"]
)
def test_file_names_that_look_like_patterns_name_files(tmp_path, name):
    write(tmp_path / "x1.csv", "other\n1\n")
    assert table_of(write(tmp_path / name, "a\n5\n")) == as_table({"a": [5]})


def test_devices_and_pipes_are_refused_without_blocking(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", str(tmp_path / "pipe"), str(tmp_path / "pip*")):
        with pytest.raises(DataError, match="a device, a pipe"):
            read(path)


def test_a_file_without_read_permission(tmp_path, monkeypatch):
    path = write(tmp_path / "x.csv", "a\n1\n")

    def refuse(self, *_):  # works for root too
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"x\.csv' cannot be read: permission denied"):
        read(path)


def test_a_folder_with_nothing_usable(tmp_path):
    with pytest.raises(DataError, match="no format that can be read"):
        read(str(tmp_path))
    write(tmp_path / "x.csv", "a\n1\n")
    with pytest.raises(DataError, match="give a pattern"):
        read(str(tmp_path))


def test_a_pattern_unites_files_by_column_name(tmp_path):
    write(tmp_path / "1.csv", "a,b\n1,x\n")
    write(tmp_path / "2.csv", "b;c\n7;2,5\n")
    write(tmp_path / "3.csv.gz", gzip.compress(b"a,b\nlast,y\n"))
    data = read(str(tmp_path / "*.csv*"))
    assert (
        as_table({"a": ["1", None, "last"], "b": ["x", "7", "y"], "c": [NAN, 2.5, NAN]}) == data.X
    )
    assert any("same columns" in note for note in data.notes)


def test_a_pattern_of_several_formats_is_refused(tmp_path):
    write(tmp_path / "1.csv", "a\n1\n")
    write(tmp_path / "2.json", '[{"a": 1}]')
    with pytest.raises(DataError, match="several formats"):
        read(str(tmp_path / "*"))


# ------------------------------------------------------------------------------------- targets


def test_target_columns_leave_X_and_rows_without_target_are_dropped(tmp_path):
    path = write(tmp_path / "x.csv", 'a,b,"c,d"\n1,x,5\n2,,6\n3,y,\n')
    one = read(path, target="b")
    assert as_table({"a": [1, 3], "c,d": [5, None]}) == one.X
    assert one.y.tolist() == ["x", "y"]
    assert one.target == "b"
    assert any("1 of 3 rows was dropped" in note for note in one.notes)
    two = read(path, target="a, b")
    assert two.y == as_table({"a": [1, 3], "b": ["x", "y"]})
    assert two.target == ("a", "b")
    whole = read(path, target="c,d")
    assert whole.y.tolist() == [5, 6]
    none = read(path)
    assert none.y is None
    assert none.X.names == ("a", "b", "c,d")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("agee", r"no column 'agee'\. Did you mean 'age'\? The columns are: age, b, gone\."),
        ("age,c", "no column 'c'"),
        ("age,age", "twice"),
        ("age,b,gone", "no column besides"),
        ("gone", "missing in all 2 rows"),
        ("", "no column ''"),
    ],
)
def test_a_target_that_cannot_be_used(tmp_path, target, reason):
    path = write(tmp_path / "x.csv", "age,b,gone\n1,2,\n3,4,\n")
    with pytest.raises(DataError, match=reason):
        read(path, target=target)


def test_a_line_of_numbers_that_contains_the_target_is_a_header(tmp_path):
    path = write(tmp_path / "x.csv", "2019,2020\n1,2\n3,4\n")
    assert read(path, target="2020").y.tolist() == [2, 4]


# ------------------------------------------------------------------- Parquet, JSON, databases

FRAME = {
    "i": pl.Series([1, None], dtype=pl.Int8),
    "u": pl.Series([1, 2**63], dtype=pl.UInt64),
    "f": pl.Series([1.5, None]),
    "dec": pl.Series(["1.25", None]).cast(pl.Decimal(10, 2)),
    "b": pl.Series([True, None]),
    "s": pl.Series(["a", None]),
    "cat": pl.Series(["a", None], dtype=pl.Categorical),
    "empty text": pl.Series([None, None], dtype=pl.String),
    "day": pl.Series([dt.date(2024, 2, 29), None]),
    "moment": pl.Series([dt.datetime(2024, 2, 29, 1), None]),
    "zone": pl.Series([dt.datetime(2024, 2, 29, 1), None]).dt.replace_time_zone("Asia/Tokyo"),
    "time": pl.Series([dt.time(0, 1), None]),
    "span": pl.Series([dt.timedelta(days=1, seconds=2), None]),
}


def test_parquet_keeps_its_types(tmp_path):
    """The oracle is `as_table`, which reads the data frame without DuckDB."""
    frame = pl.DataFrame(FRAME)
    frame.with_columns(nested=pl.Series([[1], [2]])).write_parquet(tmp_path / "x.parquet")
    data = read(str(tmp_path / "x.parquet"))
    got, expected = data.X, as_table(frame)
    assert isinstance(got, Table)
    for name in expected:
        if name != "span":  # polars writes it to Parquet as a plain integer
            assert got.only([name]) == expected.only([name])
    assert any("'nested' was left out" in note for note in data.notes)


def test_parquet_files_are_united(tmp_path):
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "1.parquet")
    pl.DataFrame({"b": ["x"], "a": [2]}).write_parquet(tmp_path / "2[.parquet")
    assert table_of(str(tmp_path / "*.parquet")) == as_table({"a": [1, 2], "b": [None, "x"]})


@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_json_records(tmp_path, lines, packed):
    records = [{"a": 1, "b": "x", "d": "2024-02-29"}, {"a": None, "d": None, "m": 1.5, "t": True}]
    text = "\n".join(map(json.dumps, records)) if lines else json.dumps(records, indent=1)
    path = write(tmp_path / "x.txt", gzip.compress(text.encode()) if packed else text)
    assert table_of(path) == as_table(
        {"a": [1, None], "b": ["x", None], "d": [dt.date(2024, 2, 29), None], "m": [None, 1.5],
         "t": [None, True]}
    )  # fmt: skip


def test_json_of_mixed_types_is_text(tmp_path):
    path = write(tmp_path / "x.json", '[{"a": 1, "n": 1}, {"a": "x", "n": 2}]')
    assert table_of(path)["a"].tolist() == ["1", "x"]


@pytest.mark.parametrize("text", ["[]", "[1, 2]", '"x"', '{"a": 1,', "{}", "[[1, 2]]"])
def test_json_without_records_is_refused(tmp_path, text):
    path = write(tmp_path / "x.json", text)
    with pytest.raises(DataError):
        read(path)


def make_database(path: Path, kind: str, *statements: str) -> str:
    connection = duckdb.connect(str(path)) if kind == "duckdb" else sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    if kind == "sqlite":
        connection.commit()
    connection.close()
    return str(path)


BOTH = pytest.mark.parametrize("kind", ["duckdb", "sqlite"])
ONE = ("CREATE TABLE \"we \"\"ird\" (a INTEGER, b VARCHAR)",
       "INSERT INTO \"we \"\"ird\" VALUES (1, 'x'), (NULL, NULL)")  # fmt: skip


@BOTH
def test_the_only_table_of_a_database(tmp_path, kind):
    path = make_database(tmp_path / "x.db", kind, *ONE)
    expected = as_table({"a": [1, None], "b": ["x", None]})
    assert table_of(path) == expected
    assert table_of(path, table='we "ird') == expected
    assert read(path, target="b").y.tolist() == ["x"]


@BOTH
def test_several_tables_are_listed_and_chosen(tmp_path, kind):
    path = make_database(tmp_path / "x.db", kind, *ONE, "CREATE TABLE cars (c INTEGER)",
                         "INSERT INTO cars VALUES (7)")  # fmt: skip
    with pytest.raises(DataError, match="several tables: name one of cars, we"):
        read(path)
    with pytest.raises(DataError, match=r"no table 'carz'\. Did you mean 'cars'"):
        read(path, table="carz")
    assert table_of(path, table="cars") == as_table({"c": [7]})


@BOTH
def test_a_query(tmp_path, kind):
    path = make_database(tmp_path / "x.db", kind, *ONE)
    query = 'SELECT a + 1 AS n, b, a AS n FROM "we ""ird" WHERE a > 0 ;\n'
    data = read(path, query=query)
    assert as_table({"n": [2], "b": ["x"], "n_2": [1]}) == data.X
    with pytest.raises(DataError, match="one of them"):
        read(path, query=query, table="cars")
    with pytest.raises(DataError, match="no rows"):
        read(path, query='SELECT * FROM "we ""ird" WHERE a > 5')


@BOTH
def test_a_query_can_neither_write_nor_read_other_files(tmp_path, kind):
    path = make_database(tmp_path / "x.db", kind, *ONE)
    write(tmp_path / "secret.csv", "a\n1\n")
    before = Path(path).read_bytes()
    for query in (
        'DROP TABLE "we ""ird"',
        'DELETE FROM "we ""ird"',
        "CREATE TABLE z (a INTEGER)",
        f"ATTACH '{tmp_path}/new.db' AS n",
        f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
        f"SELECT * FROM read_csv('{tmp_path}/secret.csv')",
        f"SELECT * FROM '{tmp_path}/secret.csv'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "PRAGMA journal_mode = DELETE",
        f"VACUUM INTO '{tmp_path}/copy.db'",
        "SELECT load_extension('x')",
        "SELEKT 1",
        "SELECT 1; SELECT 2",
        "",
    ):
        with pytest.raises(DataError):
            read(path, query=query)
    assert Path(path).read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["secret.csv", "x.db"]


@BOTH
def test_databases_without_tables_or_rows(tmp_path, kind):
    path = make_database(tmp_path / "x.db", kind, "CREATE TABLE t (a INTEGER)")
    with pytest.raises(DataError, match="no rows"):
        read(path)
    # a table is dropped, because an empty SQLite database is an empty file
    path = make_database(tmp_path / "y.db", kind, "CREATE TABLE t (a INTEGER)", "DROP TABLE t")
    with pytest.raises(DataError, match="holds no table"):
        read(path)


def test_tables_in_schemas(tmp_path):
    path = make_database(tmp_path / "x.db", "duckdb", "CREATE SCHEMA s",
                         "CREATE TABLE s.t AS SELECT 1 AS a", "CREATE TABLE t AS SELECT 2 AS a")  # fmt: skip
    assert table_of(path, table="s.t") == as_table({"a": [1]})
    assert table_of(path, table="t") == as_table({"a": [2]})


def test_only_databases_take_tables_and_queries(tmp_path):
    path = write(tmp_path / "x.csv", "a\n1\n")
    picture(tmp_path / "pictures" / "x.png", 1)
    for source in (path, "sample:iris", str(tmp_path / "pictures")):
        with pytest.raises(DataError, match="not a DuckDB or SQLite file"):
            read(source, table="t")


# ------------------------------------------------------------------------------------ pictures


def picture(path: Path, value: Any, size: tuple[int, int] = (4, 3), mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)


def test_a_folder_of_gray_pictures(tmp_path):
    for k, ending in enumerate(["png", "bmp", "gif", "tif"]):
        picture(tmp_path / "cat" / f"{k}.{ending}", 10 * k)
    picture(tmp_path / "dog" / "deep" / "x.PNG", 200)
    write(tmp_path / "dog" / "notes.txt", "not a picture")
    write(tmp_path / "dog" / ".hidden.png", "not a picture")
    (tmp_path / "empty").mkdir()
    data = read(str(tmp_path))
    assert data.X.dtype == np.uint8
    assert data.X.shape == (5, 3, 4)
    assert [int(x[0, 0]) for x in data.X] == [0, 10, 20, 30, 200]
    assert data.y.tolist() == ["cat"] * 4 + ["dog"]
    assert (data.test, data.target) == (None, "label")
    assert any("empty" in note for note in data.notes)


def test_all_pictures_get_colour_if_one_has_and_the_commonest_size(tmp_path):
    picture(tmp_path / "a" / "1.png", 7)
    picture(tmp_path / "a" / "2.png", 7)
    picture(tmp_path / "b" / "3.png", (255, 0, 0), (8, 8), "RGB")
    data = read(str(tmp_path))
    assert data.X.shape == (3, 3, 4, 3)
    assert data.X[0, 0, 0].tolist() == [7, 7, 7]
    assert data.X[2, 1, 1].tolist() == [255, 0, 0]
    assert any("1 pictures were resized to the commonest size, 4x3" in n for n in data.notes)


def test_gray_pictures_in_other_modes_stay_gray(tmp_path):
    picture(tmp_path / "a" / "rgb.png", (9, 9, 9), mode="RGB")
    picture(tmp_path / "a" / "bit.png", 1, mode="1")
    picture(tmp_path / "a" / "clear.png", (0, 0, 0, 0), mode="RGBA")
    picture(tmp_path / "a" / "deep.png", 65535, mode="I;16")
    data = read(str(tmp_path))
    assert data.X.shape == (4, 3, 4)
    assert data.X[:, 0, 0].tolist() == [255, 255, 255, 9]  # bit, clear on white, deep, rgb


def test_rotated_pictures_are_turned_upright(tmp_path):
    image = Image.new("L", (4, 2), 0)
    image.paste(255, (0, 0, 2, 2))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was rotated by 90 degrees
    (tmp_path / "a").mkdir()
    image.save(tmp_path / "a" / "x.png", exif=exif)
    X = read(str(tmp_path)).X
    assert X.shape == (1, 4, 2)
    assert X[0, :, 0].tolist() == [255, 255, 0, 0]


def test_train_and_test_folders(tmp_path):
    for part, label, value in (("train", "a", 1), ("train", "b", 2), ("test", "b", 3)):
        picture(tmp_path / part / label / "x.png", value)
    picture(tmp_path / "val" / "a" / "x.png", 4)
    data = read(str(tmp_path))
    assert data.X[:, 0, 0].tolist() == [1, 2]
    assert data.y.tolist() == ["a", "b"]
    assert data.test[0][:, 0, 0].tolist() == [3]
    assert data.test[1].tolist() == ["b"]
    assert any("val" in note for note in data.notes)


def test_pictures_without_classes_are_for_prediction(tmp_path):
    picture(tmp_path / "x.png", 1)
    data = read(str(tmp_path))
    assert data.X.shape == (1, 3, 4)
    assert (data.y, data.target) == (None, None)
    with pytest.raises(DataError, match="of each class in a subfolder"):
        read(str(tmp_path), target="label")


def test_a_picture_that_cannot_be_read_is_named(tmp_path):
    picture(tmp_path / "a" / "good.png", 1)
    write(tmp_path / "a" / "bad.png", b"junk")
    with pytest.raises(DataError, match=r"a/bad\.png"):
        read(str(tmp_path))
    noise = np.random.default_rng(0).integers(0, 255, (40, 40), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a" / "bad.png")
    whole = (tmp_path / "a" / "bad.png").read_bytes()
    write(tmp_path / "a" / "bad.png", whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"a/bad\.png"):
        read(str(tmp_path))


def test_pictures_have_no_columns(tmp_path):
    picture(tmp_path / "a" / "x.png", 1)
    with pytest.raises(DataError, match="leave the target out"):
        read(str(tmp_path), target="kind")


# ----------------------------------------------------------------------------------------- IDX


def idx(array: np.ndarray) -> bytes:
    code = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}[array.dtype.str[1:]]
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return (
        bytes([0, 0, code, array.ndim])
        + sizes
        + array.astype(array.dtype.newbyteorder(">")).tobytes()
    )


IMAGES = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
LABELS = np.array([3, 0, 3, 9], dtype=np.uint8)


def mnist(folder: Path, packed: bool = False) -> dict[str, Path]:
    arrays = {"train-images-idx3-ubyte": IMAGES, "train-labels-idx1-ubyte": LABELS,
              "t10k-images-idx3-ubyte": IMAGES[:2], "t10k-labels-idx1-ubyte": LABELS[:2]}  # fmt: skip
    paths = {}
    for name, array in arrays.items():
        data = idx(array)
        paths[name[:8]] = folder / (name + ".gz" * packed)
        write(paths[name[:8]], gzip.compress(data) if packed else data)
    return paths


@pytest.mark.parametrize("packed", [False, True])
def test_idx_from_a_folder_and_from_the_images_file(tmp_path, packed):
    paths = mnist(tmp_path, packed)
    data = read(str(tmp_path))
    assert data.X.dtype == np.uint8
    assert np.array_equal(data.X, IMAGES)
    assert data.y.tolist() == ["3", "0", "3", "9"]
    assert np.array_equal(data.test[0], IMAGES[:2])
    assert data.test[1].tolist() == ["3", "0"]
    alone = read(str(paths["train-im"]))
    assert np.array_equal(alone.X, IMAGES)
    assert alone.y.tolist() == data.y.tolist()
    assert alone.test is None


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
def test_every_type_of_idx(tmp_path, dtype):
    array = np.arange(6).reshape(3, 2).astype(dtype)
    data = read(write(tmp_path / "vectors.idx2", idx(array)))
    assert data.X.dtype.kind == "f"
    assert data.X.tolist() == array.tolist()
    assert data.y is None


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: data[:-1], "23"),
        (lambda data: data + b"\0", "more"),
        (lambda data: data[:10], "should hold"),
        (lambda data: b"\0\0\x0a" + data[3:], "not an IDX file"),
        (lambda data: data[:4] + b"\xff" * 12 + data[16:], "should hold"),
    ],
)
def test_damaged_idx_is_refused(tmp_path, damage, reason):
    paths = mnist(tmp_path)
    write(paths["train-im"], damage(idx(IMAGES)))
    with pytest.raises(DataError, match=reason) as error:
        read(str(tmp_path))
    assert "train-images" in str(error.value)


def test_idx_labels_must_fit(tmp_path):
    paths = mnist(tmp_path)
    write(paths["train-la"], idx(LABELS[:3]))
    with pytest.raises(DataError, match="labels for the 4 pictures"):
        read(str(tmp_path))
    with pytest.raises(DataError, match="holds labels, not pictures"):
        read(str(paths["t10k-lab"]))


# ----------------------------------------------------------------------------------------- npz


def npz(path: Path, **arrays: Any) -> str:
    np.savez(path, **{name: np.asarray(array) for name, array in arrays.items()})
    return str(path)


def test_npz_with_train_and_test(tmp_path):
    data = read(npz(tmp_path / "x.npz", x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:1],
                    y_test=LABELS[:1]))  # fmt: skip
    assert np.array_equal(data.X, IMAGES)
    assert data.X.dtype == np.uint8
    assert data.y.tolist() == [3, 0, 3, 9]
    assert data.test[0].shape == (1, 2, 3)
    assert data.target == "y_train"


def test_npz_of_numbers_text_and_missing_targets(tmp_path):
    data = read(npz(tmp_path / "x.npz", X=[[1, 2], [3, 4], [5, 6]], y=[1.5, NAN, 2.5]))
    assert data.X.tolist() == [[1, 2], [5, 6]]
    assert data.X.dtype == np.float64
    assert data.y.tolist() == [1.5, 2.5]
    assert any("1 of 3 rows" in note for note in data.notes)
    text = read(npz(tmp_path / "t.npz", X=[["a", "b"]], y=["yes"]))
    assert as_table({"0": ["a"], "1": ["b"]}) == text.X
    assert text.y.tolist() == ["yes"]
    two = read(npz(tmp_path / "y.npz", X=[[1.0], [2.0]], y=[[1, 2], [3, 4]]))
    assert two.y == as_table({"y0": [1, 3], "y1": [2, 4]})
    named = read(npz(tmp_path / "n.npz", X=[[1.0], [2.0]], y=[1, 2], z=[5, 6]), target="z")
    assert named.y.tolist() == [5, 6]


def test_npz_of_columns_is_a_table(tmp_path):
    path = npz(tmp_path / "x.npz", age=[31, 44], city=["Ulm", "Bonn"])
    data = read(path, target="city")
    assert as_table({"age": [31, 44]}) == data.X


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"X": [[1.0], [2.0]], "y": [1]}, "same number of rows"),
        ({"X": 5.0, "y": [1]}, "shape"),
        ({"X": np.zeros((0, 2)), "y": []}, "shape"),
        ({"X": [[1j]], "y": [1]}, "complex"),
        ({"first": [[1.0]]}, "no array called X"),
        ({"X": np.array([[{}]], dtype=object), "y": [1]}, "can run code"),
    ],
)
def test_npz_that_cannot_be_used(tmp_path, arrays, reason):
    with pytest.raises(DataError, match=reason):
        read(npz(tmp_path / "x.npz", **arrays))


# ------------------------------------------------------------------------------------- samples


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_equal_scikit_learns(name):
    bunch = getattr(sklearn_datasets, f"load_{name}")()
    data = read(f"sample:{name}")
    if name == "digits":
        assert data.X.dtype == np.uint8
        assert np.array_equal(data.X, bunch.images)
        assert data.y.tolist() == [str(label) for label in bunch.target]
        return
    assert isinstance(data.X, Table)
    assert np.array_equal(np.column_stack(list(data.X.columns.values())), bunch.data)
    expected = bunch.target if name == "diabetes" else bunch.target_names[bunch.target]
    assert data.y.tolist() == column_of(expected).tolist()


def test_an_unknown_sample_suggests_the_nearest():
    with pytest.raises(DataError, match="Did you mean 'iris'"):
        read("sample:irish")
