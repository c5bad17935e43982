"""Fuzz estimators, readers and the command: a clear error or a right result, and nothing overwritten.

Few epochs, tiny networks and shapes from a small set, since each new shape is compiled.
"""

from __future__ import annotations

import contextlib
import datetime
import gzip
import io
import json
import os
import sqlite3
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

import glassnet as gn
from glassnet import cli
from glassnet.data.dialects import MAX_COLUMNS
from glassnet.data.read import read
from glassnet.errors import DataError, GlassnetError, GlassnetWarning
from helpers import blobs

FUZZED = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)

# --- estimators -----------------------------------------------------------------------------------


class Odd:
    """An object that is not data."""


VALUES: list[Any] = [
    0, 1, -1, 1.5, np.nan, np.inf, -np.inf, 1e308, -1e308, 1e39, 5e-324, 10**400, 2**64, True, None,
    "a", "", "é",
    "\ud800", "nan", b"x", 1 + 2j, (1,), [1], {"a": 1}, Odd(), datetime.date(2024, 1, 1),
    datetime.timedelta(1),
    np.datetime64("NaT", "us"), pd.NA, np.float32(1), np.int8(3),
]  # fmt: skip
NAMES: list[Any] = [
    "a",
    "b",
    "é",
    "",
    "\x1b[31m",
    "\u202e",
    "a: missing",
    "x" * 1000,
    1,
    None,
    ("x", "y"),
    3.5,
]
DTYPES = ("f8", "f8", "f4", "f2", "i8", "u1", "?", "c16", "M8[us]", "m8[s]", "U3", "S2", "O")
ROWS = st.sampled_from([0, 1, 2, 7, 7])


def numbers(draw: Any, n: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    array: Any = rng.normal(size=(n, width)) * draw(
        st.sampled_from([1, 1, 1e3, 1e300, 1e-300, 1e38])
    )
    dtype = draw(st.sampled_from(DTYPES))
    if dtype in ("U3", "S2", "M8[us]", "m8[s]"):
        array = rng.integers(0, 3, (n, width)).astype("S2" if dtype == "S2" else "i8")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        array = array.astype(dtype)
    if array.size and dtype in ("f8", "f4", "O"):
        array.flat[0] = draw(
            st.sampled_from([1.0, np.nan, np.inf, *(VALUES if dtype == "O" else ())])
        )
    return np.asarray(array)


def columns(draw: Any, n: int) -> dict[Any, Any]:
    rng = np.random.default_rng(n)
    makers = [
        lambda: [draw(st.sampled_from(VALUES)) for _ in range(n)],
        lambda: list(rng.normal(size=n)),
        lambda: [draw(st.sampled_from("xyz")) for _ in range(n)],
        lambda: pd.date_range(
            "2024-01-01", periods=n, tz=draw(st.sampled_from([None, "Europe/Berlin"]))
        ),
        lambda: [draw(st.sampled_from([None, 1, 2])) for _ in range(n)],
        lambda: [1] * (n + 1),
    ]
    names = draw(st.lists(st.sampled_from(NAMES), max_size=2, unique=True))
    return {name: draw(st.sampled_from(makers))() for name in names}


@st.composite
def inputs(draw: Any, n: int) -> Any:
    """Return rows of almost any kind."""
    kind = draw(st.sampled_from(["array"] * 3 + ["list", "flat", "sparse", "pictures", "odd", "dict",
        "pandas",
                                                 "twice", "category", "polars"]))  # fmt: skip
    if kind == "pictures":
        return (
            np.random.default_rng(0)
            .integers(0, 255, (n, 2, 2, draw(st.sampled_from([1, 3]))))
            .astype("u1")
        )
    if kind == "odd":
        return draw(
            st.sampled_from([None, "text", 3, Odd(), [[]], [[1], [2, 3]], range(3), *VALUES])
        )
    array = numbers(draw, n, draw(st.sampled_from([0, 1, 2])))
    if kind in ("array", "list", "flat", "sparse"):
        try:
            return {"list": array.tolist, "flat": array.ravel, "array": lambda: array,
                    "sparse": lambda: scipy.sparse.csr_matrix(array)}[kind]()  # fmt: skip
        except (ValueError, TypeError):
            return array
    table = columns(draw, n)
    try:
        if kind == "polars":
            return pl.DataFrame({str(name): v for name, v in table.items()}, strict=False)
        frame = pd.DataFrame(table)
        if kind == "twice":
            return pd.concat([frame, frame], axis=1)
        return {"dict": table, "pandas": frame, "category": frame.astype("category")}[kind]
    except Exception:  # input that pandas or polars refuses never reaches glassnet
        return table


@st.composite
def answers(draw: Any, n: int) -> Any:
    """Return targets of almost any kind."""
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    targets: list[Any] = [
        rng.integers(0, 2, n), rng.normal(size=n), rng.normal(size=n) * 1e300, np.array(["a", "b",
        "c"])[np.arange(n) % 3],
        np.zeros(n), rng.integers(0, 2, (n, 2)), rng.integers(0, 2, (n, 1)), pd.Series(rng.integers(0,
        2, n), dtype="Int64"),
        None, "a", [], np.arange(n + 1), np.full(n, np.nan), [[1], [2, 3]], {"a": [0] * n},
        rng.normal(size=(n, 2, 2)),
        [draw(st.sampled_from(VALUES)) for _ in range(n)],
    ]  # fmt: skip
    return draw(st.sampled_from(targets))


POOLS: list[list[Any]] = [
    [0, 1, -1, 1.5, np.nan, None, 1e308, -1e308, 1e39, 5e-324, "a", "", "é", True, pd.NA, "\ud800", 2**63],
    ["x", "y", "z"], ["1", "2", None, "x"], [1e308, -1e308, 0.0], [1e-320, 0.0], [2**53, 2**53 + 1],
    [None, True],
    [datetime.date(1, 1, 1), datetime.date(9999, 12, 31), None], [datetime.timedelta(1), None], [1.0,
    2.5, -3e38],
]  # fmt: skip
TARGETS: list[Any] = [
    np.arange(7) % 2, np.arange(7) % 3, np.array(["a", "b", "\ud800"])[np.arange(7) % 3],
    np.arange(7.0) * 1e300,
    np.arange(7.0) * 1e-320, np.array([-1e308, 1e308])[np.arange(7) % 2], np.eye(7, 2, dtype=int), np.ones(7),
]  # fmt: skip


@st.composite
def usable(draw: Any) -> tuple[Any, Any]:
    """Return rows and targets in a usable form, with unusual values."""
    names = draw(
        st.lists(
            st.sampled_from([n for n in NAMES if isinstance(n, str)]),
            min_size=1,
            max_size=2,
            unique=True,
        )
    )
    pools = {name: draw(st.sampled_from(POOLS)) for name in names}
    table = {name: [draw(st.sampled_from(pool)) for _ in range(7)] for name, pool in pools.items()}
    array = numbers(draw, 7, 2)
    X = draw(st.sampled_from([table, pd.DataFrame(table), array]))
    return X, draw(st.sampled_from(TARGETS))


@settings(FUZZED, max_examples=200)
@given(st.data())
def test_an_estimator_refuses_or_predicts(data: Any) -> None:
    n = data.draw(ROWS)
    X, y = data.draw(inputs(n)), data.draw(answers(n))
    if data.draw(st.booleans()):
        n = 7
        X, y = data.draw(usable())
    weights = [
        None,
        None,
        None,
        np.ones(n),
        -np.ones(n),
        np.full(n, 1e300),
        np.zeros(n),
        "a",
        np.ones((n, 2)),
    ]
    weight = data.draw(st.sampled_from(weights))
    kind = data.draw(st.sampled_from([gn.NeuralClassifier, gn.NeuralRegressor]))
    model = kind(
        (2,),
        epochs=1,
        members=1,
        embedding="none",
        early_stopping=False,
        dtype="float32",
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlassnetWarning)
        warnings.filterwarnings(
            "ignore", "A column-vector y|X .* feature names"
        )  # scikit-learn's own
        try:
            model.fit(X, y, sample_weight=weight)
            predicted = model.predict(X)
        except GlassnetError:
            return
        assert len(predicted) == n
        if kind is gn.NeuralClassifier:
            assert np.isfinite(model.predict_proba(X)).all()
        with contextlib.suppress(ValueError):
            model.predict(data.draw(inputs(data.draw(ROWS))))


@pytest.mark.parametrize("weight", [1e300, 1e-300, [1e31, 1, 1, 1]])
def test_weights_that_cannot_be_added_up_are_refused(weight: Any) -> None:
    with pytest.raises(DataError, match="divide them by their mean"):
        gn.NeuralClassifier().fit(np.eye(4), [0, 1, 0, 1], sample_weight=np.ones(4) * weight)


def test_names_of_several_types_are_a_data_error() -> None:
    with pytest.raises(DataError, match=r"X\.columns\.astype\(str\)"):
        gn.NeuralClassifier().fit(pd.DataFrame({1: [0.0, 1.0], "a": [1.0, 2.0]}), [0, 1])


# --- files ------------------------------------------------------------------------------------------

PIECES = [
    b"a,b,kind\n", b"1,x,yes\n", b"2,y,no\n", b"a;b\n1,5;x\n", b"a\tb\n", b'"q,""z"', b"\0",
    b'"', b",", b";", b"\t", b"|",
    b"\n", b"\r", b"\r\n", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\x80", b"\xc3\xa9",
    b"1e999", b"nan", b"inf",
    b"9" * 400, b"2024-02-30", b"294248-01-01 00:00:00", b"31.12.2020", b"99:99", b"{", b"[", b"null",
    b'{"a":1}\n',
    b'[{"a":1,"b":[1]}]',
    b"'; DROP TABLE cells0; --", b"COLUMNS(*)", b"\x1b[31m", b"PAR1", b"PK\x03\x04", b"\x0b\x85",
]  # fmt: skip


def seeds(folder: Path) -> dict[str, bytes]:
    """Return a small file of each kind."""
    table = {"a": [1.0, 2.0, None], "kind": ["x", "y", "x"]}
    pl.DataFrame(table).write_parquet(folder / "parquet")
    connection = sqlite3.connect(folder / "sqlite")
    connection.execute("create table t (a real, kind text)")
    connection.executemany("insert into t values (?, ?)", [(1.0, "x"), (None, "y")])
    connection.commit()
    connection.close()
    np.savez_compressed(folder / "npz.npz", X=np.ones((4, 3)), y=np.array(["a", "b", "a", "b"]))
    idx = struct.pack(">BBBB3I", 0, 0, 8, 3, 3, 2, 2) + bytes(12)
    csv = b"a,b,kind\n1,x,yes\n2,y,no\n"
    return {
        "parquet": (folder / "parquet").read_bytes(), "sqlite": (folder / "sqlite").read_bytes(),
        "npz": (folder / "npz.npz").read_bytes(), "idx": idx, "csv": csv, "gzip": gzip.compress(csv * 9),
        "json": b'[{"a": 1, "kind": "x"}, {"a": null, "kind": "y"}]', "utf-16": csv.decode().encode("utf-16"),
    }  # fmt: skip


@pytest.fixture(scope="module")
def seed_files(tmp_path_factory: Any) -> dict[str, bytes]:
    return seeds(tmp_path_factory.mktemp("seeds"))


@settings(FUZZED, max_examples=250)
@given(st.data())
def test_any_bytes_give_a_table_or_a_short_error(
    tmp_path: Path, seed_files: Any, data: Any
) -> None:
    whole = bytearray(data.draw(st.sampled_from([b"", *seed_files.values()])))
    whole += b"".join(data.draw(st.lists(st.sampled_from(PIECES), max_size=0 if whole else 12)))
    for _ in range(data.draw(st.integers(0, 3))):
        position = data.draw(st.integers(0, len(whole)))
        kind = data.draw(st.sampled_from(["flip", "cut", "insert", "insert"]))
        if kind == "insert":
            whole[position:position] = data.draw(st.sampled_from(PIECES))
        elif kind == "cut":
            del whole[position:]
        elif position < len(whole):
            whole[position] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path / data.draw(st.sampled_from(["f", "f.csv", "f.json", "f.gz"]))
    path.write_bytes(bytes(whole))
    try:
        dataset = read(str(path))
        assert len(dataset.X) > 0 and not any("\n" in note for note in dataset.notes)
    except DataError as error:
        assert len(str(error)) < 3000
    finally:
        path.unlink()
    assert os.listdir(tmp_path) == []


# --- the command ------------------------------------------------------------------------------------


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


X, CODES = blobs(60, features=2, classes=2)
SQL = "\"; DROP TABLE cells0; SELECT * FROM read_text('/etc/passwd'); --"


def table(names: Any = ("size", "width", "kind"), delimiter: str = ",", end: str = "\n") -> str:
    rows = [
        f"{a:.3f}{delimiter}{b:.3f}{delimiter}{'yes' if c else 'no'}"
        for (a, b), c in zip(X, CODES, strict=True)
    ]
    head = delimiter.join('"' + name.replace('"', '""') + '"' for name in names)
    return end.join([head, *rows, ""])


WIDE = ",".join(f"c{i}" for i in range(100_000)) + "\n" + ",".join(["1"] * 100_000) + "\n"
TEXTS: dict[str, tuple[bytes, str]] = {  # the file, and the message; "" if it is trained on
    "random bytes": (np.random.default_rng(0).bytes(5000), "neither text"),
    "a truncated gzip": (gzip.compress(table().encode())[:-20], "truncated gzip"),
    "a gzip with a flipped bit": (gzip.compress(table().encode())[:100] + b"\xff" * 400, "gzip"),
    "NUL bytes": (table().replace("yes", "y\0s").encode(), "neither text"),
    "a line of 10 MB": ((table() + "x" * 10**7 + ",1,yes\n").encode(), ""),
    "a first line of 10 MB": (b"a" * 10**7 + b",b\n1,2\n", "never closed"),
    "10 MB in one line": (b"1," * 5_000_000, "columns"),
    "one cell of 10 MB": (b"x" * 10**7, "never closed"),
    "100 000 columns": (WIDE.encode(), f"100000 columns, but text may have at most {MAX_COLUMNS}"),
    "encodings mixed": (table().encode() + "1,2,nö\n".encode("latin-1") + "1,2,nö\n".encode(), ""),
    "UTF-8 and UTF-16 mixed": (table().encode() + table().encode("utf-16"), "neither text"),
    "line ends mixed": ((table() + "1,2,yes\r\n1,2,no\r").encode(), ""),
    "SQL for names": (table(names=(SQL, "c0", "kind")).encode(), ""),
    "names twice": (table(names=("size", "size", "kind")).encode(), ""),
    "no names": (table(names=("", "", "kind")).encode(), ""),
    "names of formulas": (table(names=("=1+1", "@SUM(A1)", "kind")).encode(), ""),
    "quotes never closed": ((table() + '1,"2,yes\n').encode(), "never closed"),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_the_command_refuses_or_trains(name: str, tmp_path: Path) -> None:
    data, message = TEXTS[name]
    path = tmp_path / f"{SQL.replace('/', '')}.csv"  # the file's own name is SQL too
    path.write_bytes(data)
    (tmp_path / "m").write_bytes(b"old")
    result = run(
        "train",
        path,
        "-t",
        "kind",
        "-o",
        tmp_path / "m",
        "--epochs",
        1,
        "--hidden",
        2,
        "--members",
        1,
    )
    assert isinstance(result.exception, SystemExit | None), result.exception
    assert "Traceback" not in result.output
    if message:
        assert result.exit_code == 3 and message in result.stderr
        assert result.stderr.splitlines()[-1].startswith("Error: ")
        assert (tmp_path / "m").read_bytes() == b"old"
    else:
        assert result.exit_code == 0, result.output
        assert run("predict", tmp_path / "m", path).exit_code == 0
    assert path.read_bytes() == data


def test_paths_that_are_not_files_are_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "pool")
    (tmp_path / "pool").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "d.csv").write_text(table())
    for name in ("loop", "pipe", "/dev/zero", "/dev/null", "/dev/full"):
        source = tmp_path / name
        for command in (["train", source, "-t", "kind"], ["evaluate", source, tmp_path / "d.csv"],
                        ["predict", source, source], ["inspect", source]):  # fmt: skip
            result = run(*command)
            assert result.exit_code == 3 and isinstance(result.exception, SystemExit), result.output
        result = run(
            "train", tmp_path / "d.csv", "-t", "kind", "-o", source, "--epochs", 1, "--hidden", 2
        )
        assert result.exit_code == 3, result.output
    assert (tmp_path / "pipe").is_fifo() and (tmp_path / "loop").is_symlink()


@pytest.mark.parametrize("target", ["size", "kind"])
@pytest.mark.parametrize("scale", [1e300, 1e-300, 1e-320])
def test_huge_and_tiny_values_end_in_a_report(scale: float, target: str, tmp_path: Path) -> None:
    rows = [
        f"{a * scale!r},{b * scale!r},{'yes' if c else 'no'}"
        for (a, b), c in zip(X.tolist(), CODES, strict=True)
    ]
    (tmp_path / "d.csv").write_text("\n".join(["size,width,kind", *rows, ""]))
    result = run("train", tmp_path / "d.csv", "-t", target, "--report", tmp_path / "r.html", "-o",
        tmp_path / "m",
                 "--epochs", 1, "--hidden", 2, "--members", 1, "--json")  # fmt: skip
    assert result.exit_code in (0, 3, 5), result.output
    assert isinstance(result.exception, SystemExit | None), result.exception
    if result.exit_code == 0:
        json.loads(result.stdout)
        assert (tmp_path / "r.html").read_text("utf-8").endswith("</html>\n")


def test_json_output_cannot_steer_a_terminal(tmp_path: Path) -> None:
    evil = "\x9b31m\u202e\x1b"
    (tmp_path / "d.csv").write_text(table().replace("yes", evil), "utf-8")
    model = tmp_path / "m"
    assert (
        run(
            "train", tmp_path / "d.csv", "-t", "kind", "-o", model, "--epochs", 1, "--hidden", 2
        ).exit_code
        == 0
    )
    shown = run("predict", model, tmp_path / "d.csv", "--json").stdout
    assert shown.rstrip("\n").isprintable()
    assert set(json.loads(shown)[0]) == {"kind", "probability no", f"probability {evil}"}


def test_a_wide_table_is_read_like_a_narrow_one(tmp_path: Path) -> None:
    """Columns are processed in blocks, so mistakes would show in the first and last of each."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 130)).round(3)
    names = [f"n{j}" for j in range(130)]
    text = io.StringIO()
    pd.DataFrame(values, columns=names).assign(
        n63=["x", "y", None], n64=["1,5", "2,5", "3,5"]
    ).to_csv(text, index=False)
    (tmp_path / "d.csv").write_text(text.getvalue())
    table = read(str(tmp_path / "d.csv")).X
    assert table.names == tuple(names)
    for j, name in enumerate(names):
        if j == 63:
            assert table[name].tolist() == ["x", "y", None]
        else:
            np.testing.assert_array_equal(table[name], [1.5, 2.5, 3.5] if j == 64 else values[:, j])
