"""The row of a format is enough to recognise, read and list it, also for a new format."""

from __future__ import annotations

import configparser
import gzip
import json
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
from PIL import Image
from typer.testing import CliRunner

import glassnet as gn
from glassnet import cli
from glassnet.cli.options import Data
from glassnet.data import formats
from glassnet.data.datasets import Dataset, Request
from glassnet.data.formats import FORMATS, REFUSED, Candidate, Format, format_of
from glassnet.data.read import read
from glassnet.data.tables import as_table
from glassnet.errors import DataError

pytestmark = pytest.mark.lowest

# --------------------------------------------------------------------- one example of each format


def write_text(path: Path) -> None:
    path.write_text("a,b\n1,x\n2,y\n")


def write_json(path: Path) -> None:
    path.write_text(json.dumps([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]))


def write_parquet(path: Path) -> None:
    pl.DataFrame({"a": [1, 2], "b": ["x", "y"]}).write_parquet(path)


def write_duckdb(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE t AS SELECT * FROM (VALUES (1, 'x'), (2, 'y')) AS t(a, b)")


def write_sqlite(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (a INTEGER, b TEXT)")
    connection.execute("INSERT INTO t VALUES (1, 'x'), (2, 'y')")
    connection.commit()
    connection.close()


def write_npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, a=np.array([1, 2]), b=np.array(["x", "y"]))


def write_idx(path: Path) -> None:
    path.write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">3I", 2, 3, 4) + bytes(range(24)))


def write_pictures(path: Path) -> None:
    for label in "xy":
        (path / label).mkdir(parents=True)
        Image.new("L", (4, 3), ord(label)).save(path / label / "1.png")


EXAMPLES: dict[str, Callable[[Path], None]] = {
    "CSV or TSV": write_text,
    "JSON": write_json,
    "Parquet": write_parquet,
    "DuckDB": write_duckdb,
    "SQLite": write_sqlite,
    "NumPy .npz": write_npz,
    "IDX (as MNIST)": write_idx,
    "folder of pictures (one subfolder per class)": write_pictures,
}
ROW = pytest.mark.parametrize("row", FORMATS, ids=lambda row: row.name)


@ROW
def test_each_format_is_recognised_only_by_its_row_and_read(tmp_path: Path, row: Format) -> None:
    path = tmp_path / "example.xyz"  # the name does not reveal the format
    EXAMPLES[row.name](path)
    assert format_of(path) is row
    head = b"" if path.is_dir() else path.read_bytes()[:4096]
    matches = [other for other in FORMATS[:-1] if other.recognises(Candidate(path, head))]
    assert matches == ([] if row is FORMATS[-1] else [row])
    data = read(str(path))
    if isinstance(data.X, np.ndarray):
        assert data.X.shape == (2, 3, 4)
    else:
        assert as_table({"a": [1, 2], "b": ["x", "y"]}) == data.X


@ROW
def test_a_gzipped_file_is_read_as_the_file_itself(tmp_path: Path, row: Format) -> None:
    path = tmp_path / "plain"
    EXAMPLES[row.name](path)
    if path.is_dir():
        return
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert format_of(packed) is row
    one, other = read(str(path)), read(str(packed))
    assert np.array_equal(one.X, other.X) if isinstance(one.X, np.ndarray) else one.X == other.X


@ROW
def test_a_pattern_is_united_or_refused(tmp_path: Path, row: Format) -> None:
    for name in ("1.part", "2.part"):
        EXAMPLES[row.name](tmp_path / name)
    source = str(tmp_path / "*.part")
    if row.unites:
        assert len(read(source).X) == 4
    elif (tmp_path / "1.part").is_dir():
        with pytest.raises(DataError, match="No file matches"):
            read(source)
    else:
        with pytest.raises(
            DataError, match=r"names 2 files, but only one file of the format .* can be read"
        ):
            read(source)


@ROW
def test_only_databases_have_tables_to_choose_from(tmp_path: Path, row: Format) -> None:
    path = tmp_path / "example"
    EXAMPLES[row.name](path)
    if row.has_tables:
        assert len(read(str(path), table="t").X) == 2
        assert len(read(str(path), query="SELECT a FROM t WHERE a > 1").X) == 1
        with pytest.raises(DataError, match="give one of them"):
            read(str(path), table="t", query="SELECT 1")
    else:
        for option in ("table", "query"):
            with pytest.raises(DataError, match=f"not a DuckDB or SQLite file.* no {option}:"):
                read(str(path), **{option: "t"})  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------ the listings


@ROW
def test_each_format_is_listed_in_the_help_and_the_messages(tmp_path: Path, row: Format) -> None:
    (option,) = Data.__metadata__  # type: ignore[attr-defined]
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    (tmp_path / "folder").mkdir()
    messages = []
    for source in ("binary", "folder"):
        with pytest.raises(DataError) as error:
            read(str(tmp_path / source))
        messages.append(str(error.value))
    for text in (option.help, " ".join((gn.read.__doc__ or "").split()), *messages):
        assert row.name in text


# ------------------------------------------------------------------------------------ refused files

HEADS = (
    b"\x89PNG\r\n", b"\xff\xd8\xff\xe0", b"%PDF-1.7", b"\x93NUMPY\1\0", b"\x28\xb5\x2f\xfd\1", b"BZh9",
    b"\xfd7zXZ\0", b"\xd0\xcf\x11\xe0\xa1", b"ARROW1\0\0", b"\x80\x04\x95", b"\x80\x05\x95",
    b"PK\x03\x04" + b"\0" * 26 + b"xl/workbook.xml", b"PK\x03\x04" + b"\0" * 26 + b"readme.txt",
    b"% a comment\n@RELATION x\n@data\n",
)  # fmt: skip


@pytest.mark.parametrize("row", range(len(REFUSED)))
def test_an_unreadable_format_is_refused_with_advice(tmp_path: Path, row: int) -> None:
    path = tmp_path / "x.json"  # the content counts, not the name
    advice = REFUSED[row][1]
    first_match = {
        next(k for k, (test, _) in enumerate(REFUSED) if test(Candidate(path, head))): head
        for head in HEADS
    }
    path.write_bytes(first_match[row])
    with pytest.raises(DataError, match=r"x\.json' is ") as error:
        format_of(path)
    assert advice in str(error.value)


@pytest.mark.parametrize("text", ["name,id\nDUCK,1\n", "PAR1,PAR2\n1,2\n", "BZ,a\n1,2\n"])
def test_text_that_starts_like_another_format_is_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    assert format_of(path) is FORMATS[-1]
    assert len(read(str(path)).X) == 1


def test_messages_about_a_gzipped_database_name_the_original_file(tmp_path: Path) -> None:
    for row in FORMATS:
        if row.has_tables:
            EXAMPLES[row.name](tmp_path / "plain")
            packed = tmp_path / "packed.db.gz"
            packed.write_bytes(gzip.compress((tmp_path / "plain").read_bytes()))
            (tmp_path / "plain").unlink()
            with pytest.raises(DataError, match=r"packed\.db\.gz' has no table 'u'"):
                read(str(packed), table="u")


# -------------------------------------------------------------------------------------- a new format


def read_ini(request: Request) -> Dataset:
    """Read an INI file: a section is a row, and its options are the columns."""
    parser = configparser.ConfigParser()
    parser.read(request.path)
    rows = [dict(parser[section]) for section in parser.sections()]
    columns = {name: [row.get(name) for row in rows] for name in rows[0]}
    size = [float(value) for value in columns.pop("size")]  # type: ignore[arg-type]
    return request.dataset(as_table({"size": size, **columns}), [f"{len(rows)} sections."])


INI = Format("INI", formats.starts_with(b"[row"), read_ini)


def test_a_new_format_is_one_function_and_one_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "fruit.conf"
    rows = [(k, "apple" if k % 2 else "melon") for k in range(40)]
    path.write_text("".join(f"[row{k}]\nsize = {k}\nkind = {kind}\n" for k, kind in rows))
    with pytest.raises(DataError):
        gn.read(str(path), target="kind")
    monkeypatch.setattr(formats, "FORMATS", (INI, *FORMATS))
    data = gn.read(str(path), target="kind")
    assert as_table({"size": [float(k) for k, _ in rows]}) == data.X
    assert data.y.tolist() == [kind for _, kind in rows]  # type: ignore[union-attr]
    assert data.notes == ("Read 40 rows, 2 columns from fruit.conf.", "40 sections.")
    train = ["train", path, "-t", "kind", "--epochs", "1", "--hidden", "4", "--members", "1"]
    model = tmp_path / "m.glassnet"
    for arguments in ([*train, "-o", model], ["predict", model, path]):
        done = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
        assert done.exit_code == 0, done.output
    assert done.stdout.count("\n") == 41
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    with pytest.raises(DataError, match=r"The formats are: .*, INI\."):
        gn.read(str(tmp_path / "binary"))
