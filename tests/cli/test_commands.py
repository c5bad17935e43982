"""Test the command: all kinds of data and options, what is printed where, exit codes, and mistakes."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import signal
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import glassnet as gn
from glassnet import cli
from helpers import blobs

pytestmark = pytest.mark.lowest

X, codes = blobs(60, features=2, classes=2)
KINDS = np.array(["no", "yes"])[codes]
HEADER = ["size", "city", "kind"]
ROWS = [
    [round(float(a), 3), "Ulm" if b > 0 else "Bonn", kind]
    for (a, b), kind in zip(X, KINDS, strict=True)
]
FAST = ("--epochs", "2", "--hidden", "4")


def run(*arguments: object) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


def train(*arguments: object) -> Result:
    return run("train", *arguments, *FAST)


def done(result: Result) -> Result:
    assert result.exit_code == 0, result.output
    assert result.exception is None
    return result


def write(path: Path, rows: Any = ROWS, header: Any = HEADER, delimiter: str = ",") -> Path:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerows([*([header] if header else []), *rows])
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def columns(rows: Any = ROWS, header: Any = HEADER) -> dict[str, list[Any]]:
    return {name: [row[i] for row in rows] for i, name in enumerate(header)}


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """Return a folder with a table, and a model trained on it."""
    folder = tmp_path_factory.mktemp("home")
    write(folder / "data.csv")
    done(train(folder / "data.csv", "-t", "kind", "--out", folder / "m.glassnet"))
    return folder


# ----------------------------------------------------------------------------- kinds of data


def database(path: Path, *names: str) -> None:
    with sqlite3.connect(path) as connection:
        for name in names:
            connection.execute(f"create table {name} (size real, city text, kind text)")
            connection.executemany(f"insert into {name} values (?, ?, ?)", ROWS)
    connection.close()


def idx(path: Path, array: np.ndarray) -> None:
    head = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(head + array.astype(np.uint8).tobytes())


PICTURES = (
    np.random.default_rng(0).integers(0, 99, (60, 4, 5)) + codes[:, None, None] * 99
).astype(np.uint8)


def make_table(folder: Path, ending: str) -> list[object]:
    path = folder / f"table{ending}"
    if ending == ".parquet":
        pl.DataFrame(columns()).write_parquet(path)
    elif ending == ".json":
        path.write_text(json.dumps([dict(zip(HEADER, row, strict=True)) for row in ROWS]))
    else:
        write(path, delimiter="," if ending == ".csv" else "\t")
    return [path, "--target", "kind"]


def make_pattern(folder: Path) -> list[object]:
    write(folder / "1.csv", ROWS[:30])
    write(folder / "2.csv", ROWS[30:])
    return [folder / "*.csv", "--target", "kind"]


def make_database(folder: Path, *chosen: str) -> list[object]:
    database(folder / "data.db", "one", "two")
    return [folder / "data.db", *chosen, "--target", "kind"]


def make_npz(folder: Path) -> list[object]:
    np.savez(folder / "data.npz", X=X, y=KINDS)
    return [folder / "data.npz"]


def make_pictures(folder: Path) -> list[object]:
    for i, (picture, kind) in enumerate(zip(PICTURES, KINDS, strict=True)):
        (folder / kind).mkdir(exist_ok=True)
        Image.fromarray(picture).save(folder / kind / f"{i}.png")
    return [folder]


def make_idx(folder: Path) -> list[object]:
    for part, prefix in ((slice(0, 48), "train"), (slice(48, None), "t10k")):
        idx(folder / f"{prefix}-images-idx3-ubyte", PICTURES[part])
        idx(folder / f"{prefix}-labels-idx1-ubyte", codes[part])
    return [folder]


# each writes its data into a folder and returns the arguments that name them
FORMS: dict[str, Callable[[Path], list[object]]] = {
    **{
        end: partial(make_table, ending=end)
        for end in (".csv", ".tsv", ".tsv.gz", ".parquet", ".json")
    },
    "pattern": make_pattern,
    "table": lambda folder: make_database(folder, "--table", "two"),
    "query": lambda folder: make_database(folder, "--query", "select * from one"),
    "npz": make_npz,
    "pictures": make_pictures,
    "idx": make_idx,
    "iris": lambda folder: ["sample:iris"],
    "diabetes": lambda folder: ["sample:diabetes"],
}


@pytest.mark.parametrize("name", FORMS)
def test_train_predict_evaluate_inspect(name, tmp_path):
    source = FORMS[name](tmp_path)
    model = tmp_path / "m.glassnet"
    trained = done(train(*source, "--out", model, "--json"))
    document = json.loads(trained.stdout)
    rows = document["rows"]
    total = {"iris": 150, "diabetes": 442}.get(name, 60)
    assert sum(rows.values()) == total
    assert f"Wrote {model}" in trained.stderr
    data = [a for a in source if a not in ("--target", "kind")]

    predicted = done(run("predict", model, *data))
    lines = list(csv.reader(io.StringIO(predicted.stdout)))
    expected = rows["test"] if name == "idx" else total  # IDX brings a test set: that is predicted
    assert len(lines) == 1 + expected
    target = document["target"][0] if document["target"] else "prediction"
    assert lines[0][0] == target
    if name == "diabetes":
        assert len(lines[0]) == 1
    else:
        assert all(column.startswith("probability ") for column in lines[0][1:])
        assert sum(map(float, lines[1][1:])) == pytest.approx(1, abs=1e-5)

    tested = json.loads(done(run("evaluate", model, *data, "--json")).stdout)
    assert tested["rows"] == expected
    assert tested["scores"].keys() == document["scores"].keys()
    if name == "idx":  # the same rows as in training's own test: the same scores
        assert tested["scores"] == pytest.approx(document["scores"])
    shown = json.loads(done(run("inspect", model, "--json")).stdout)
    assert shown["info"]["scores"] == document["scores"]
    assert ("regression" in run("inspect", model).stdout) == (name == "diabetes")


def test_formats_of_one_table_give_one_model(tmp_path):
    sources = [FORMS[name](tmp_path) for name in (".csv", ".parquet", "query")]
    scores = [json.loads(done(train(*source, "--json")).stdout)["scores"] for source in sources]
    assert scores[0] == scores[1] == scores[2]


# ----------------------------------------------------------------------------------- targets


@pytest.mark.parametrize(
    ("target", "task", "score"),
    [("kind", "classification", "accuracy"),
     ("size", "regression", "r2"),
     ("p,q", "classification", "subset_accuracy"),
     ("size,width", "regression", "r2")],
)  # fmt: skip
def test_each_kind_of_target_is_learned(target, task, score, tmp_path):
    wide = [[*row, 2 * row[0], c, 1 - c] for row, c in zip(ROWS, codes, strict=True)]
    data = write(tmp_path / "d.csv", wide, [*HEADER, "width", "p", "q"])
    model = tmp_path / "m.glassnet"
    document = json.loads(done(train(data, "-t", target, "--json", "-o", model)).stdout)
    names = target.split(",")
    assert (document["task"], document["target"]) == (task, names)
    assert next(iter(document["scores"])) == score
    guess = "mean" if task == "regression" else "majority"
    assert set(document["baselines"]) == {guess, "linear", "boosting"}
    header = done(run("predict", model, data)).stdout.splitlines()[0].split(",")
    assert header[: len(names)] == names
    tested = done(run("evaluate", model, data, "--json"))
    assert json.loads(tested.stdout)["scores"].keys() == document["scores"].keys()


def test_a_task_can_be_forced(tmp_path):
    rows = [[*row[:2], c] for row, c in zip(ROWS, codes, strict=True)]
    data = write(tmp_path / "d.csv", rows)
    for task in ("classification", "regression"):
        document = json.loads(done(train(data, "-t", "kind", "--task", task, "--json")).stdout)
        assert document["task"] == task
    assert train(data, "-t", "kind", "--task", "guess").exit_code == 2


# ----------------------------------------------------------------------------------- options


class ReachedError(Exception):
    """Ends a run where the estimator would train."""


@pytest.mark.parametrize(
    ("options", "parameters"),
    [(["--hidden", "12,6"], {"hidden": (12, 6)}),
     (["--activation", "tanh"], {"activation": "tanh"}),
     (["--dropout", "0.3"], {"dropout": 0.3}),
     (["--batch-norm"], {"batch_norm": True}),
     (["--members", "3"], {"members": 3}),
     (["--max-seconds", "2.5"], {"max_seconds": 2.5}),
     (["--optimizer", "momentum"], {"optimizer": gn.Momentum()}),
     (["--optimizer", "sgd", "--learning-rate", "0.5"], {"optimizer": gn.SGD(0.5)}),
     (["--learning-rate", "0.5"], {"optimizer": gn.AdamW(0.5)}),
     (["--batch-size", "7"], {"batch_size": 7}),
     (["--epochs", "9"], {"epochs": 9}),
     (["--l2", "0.01"], {"l2": 0.01}),
     (["--patience", "4"], {"early_stopping": gn.EarlyStopping(4, calibrated=True)}),
     (["--class-weight", "balanced"], {"class_weight": "balanced"}),
     (["--seed", "5"], {"random_state": 5}),
     ([], {})],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)  # fmt: skip
def test_every_option_reaches_the_estimator(home, monkeypatch, options, parameters):
    def fit(self, X, y):
        raise ReachedError(self.get_params())

    monkeypatch.setattr(gn.NeuralClassifier, "fit", fit)
    result = run("train", home / "data.csv", "-t", "kind", *options)
    assert isinstance(result.exception, ReachedError)
    (parameters_used,) = result.exception.args
    expected = gn.NeuralClassifier(random_state=0).get_params() | parameters
    assert {k: v for k, v in parameters_used.items() if k != "callbacks"} == {
        k: v for k, v in expected.items() if k != "callbacks"
    }


def test_split_and_columns_can_be_chosen(home):
    arguments = (home / "data.csv", "-t", "kind", "--json")
    document = json.loads(done(train(*arguments, "--test", "0.5")).stdout)
    assert document["rows"] == {"training": 30, "validation": 0, "test": 30}
    out = home / "less.glassnet"
    done(train(*arguments, "--drop", "city", "-o", out))
    assert gn.load(out).encoder.names == ("size",)
    assert "size" in train(*arguments, "--drop", "sise").stderr  # the nearest name


def test_train_prints_scores_and_writes_a_report(home, tmp_path):
    report, data = tmp_path / "r.html", home / "data.csv"
    result = done(train(data, "-t", "kind", "--report", report))
    assert "Classification of kind: rows 42 training, 6 validation" in result.stdout
    for word in ("network", "majority", "linear", "accuracy", "linear model"):
        assert word in result.stdout
    assert "Read 60 rows" in result.stderr and "Read" not in result.stdout
    page = report.read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>") and "data.csv" in page


def test_a_saved_model_gets_a_report_on_rows_whose_target_is_known(home, tmp_path):
    page, model, data = tmp_path / "r.html", home / "m.glassnet", home / "data.csv"
    shown = done(run("inspect", model, data, "--report", page))
    assert shown.stdout == done(run("inspect", model)).stdout
    html = page.read_text(encoding="utf-8")
    sections = re.findall('<section id="([^"]*)"', html)
    assert sections == ["result", "diagnosis", "errors", "examples", "reasons", "data", "network", "use",
                     "versions"]  # fmt: skip
    scores = json.loads(done(run("evaluate", model, data, "--json")).stdout)["scores"]
    assert f"{scores['log_loss']:.4g}" in html  # on all rows
    stored = json.loads(done(run("inspect", model, "--json")).stdout)["info"]
    assert f"{stored['baselines']['linear']['log_loss']:.4g}" in html  # and on the test rows then
    assert "trained on data of the same name" in html


def test_json_is_one_strict_document_even_with_undefined_numbers(home, capsys):
    from glassnet.cli.console import print_json

    print_json({"a": [float("nan"), float("inf"), 1.5], "b": (1, "ü")})
    assert json.loads(capsys.readouterr().out) == {"a": [None, None, 1.5], "b": [1, "ü"]}
    warned = done(train(home / "data.csv", "-t", "kind", "--json"))
    document = json.loads(warned.stdout)
    assert document["status"] == "finished"
    assert len(document["history"]["loss"]) == document["epochs"] == 2


# -------------------------------------------------------------------------------- prediction


def test_prediction_needs_no_target_and_no_order(home, tmp_path):
    model = home / "m.glassnet"
    reference = done(run("predict", model, home / "data.csv")).stdout
    turned = write(tmp_path / "t.csv", [[b, "x", a] for a, b, _ in ROWS], ["city", "more", "size"])
    assert done(run("predict", model, turned)).stdout == reference
    bare = write(tmp_path / "b.csv", [row[:2] for row in ROWS], HEADER[:2])
    assert done(run("predict", model, bare)).stdout == reference
    assert reference.splitlines()[0] == "kind,probability no,probability yes"
    records = json.loads(done(run("predict", model, bare, "--json")).stdout)
    assert [record["kind"] for record in records] == [
        row["kind"] for row in csv.DictReader(io.StringIO(reference))
    ]
    for name, text in (("p.csv", reference), ("p.json", json.dumps(records, ensure_ascii=False))):
        written = done(run("predict", model, bare, "--out", tmp_path / name))
        assert written.stdout == ""
        assert (tmp_path / name).read_text(encoding="utf-8").strip() == text.strip()


def test_a_file_without_header(home, tmp_path):
    headerless = write(tmp_path / "h.csv", header=None)
    trained = done(train(headerless, "-t", "column2", "--json", "-o", tmp_path / "m.glassnet"))
    assert json.loads(trained.stdout)["rows"]["training"] == 42
    predicted = done(run("predict", tmp_path / "m.glassnet", headerless))
    assert len(predicted.stdout.splitlines()) == 61
    tested = json.loads(done(run("evaluate", tmp_path / "m.glassnet", headerless, "--json")).stdout)
    assert tested["rows"] == 60


def test_a_model_made_in_python(tmp_path):
    soft = np.eye(2)[codes]
    network = gn.Network([gn.Dense(2)])
    gn.save(
        gn.train(network, X, soft, loss="cross_entropy", epochs=1).model, tmp_path / "m.glassnet"
    )
    np.savez(tmp_path / "d.npz", X=X)
    lines = done(run("predict", tmp_path / "m.glassnet", tmp_path / "d.npz")).stdout.splitlines()
    assert lines[0] == "prediction,probability 0,probability 1"
    assert len(lines) == 61
    done(run("inspect", tmp_path / "m.glassnet"))


# ----------------------------------------------------------------------------------- mistakes


def with_cells(column: int, *values: Any) -> list[list[Any]]:
    """Return the rows with other values in a column's first cells."""
    rows = [list(row) for row in ROWS]
    for row, value in zip(rows, values, strict=False):
        row[column] = value
    return rows


MODEL, DATA, OUT = "m.glassnet", "d.csv", "o.glassnet"
TRAIN = ("train", DATA, "-t", "kind", "--out", OUT)
PREDICT = ("predict", MODEL, DATA, "--out", OUT)
MISTAKES: dict[str, tuple[Any, tuple[str, ...], int, str]] = {
    # name: (the rows or the whole text of the file, the command, the exit code, part of the message)
    "no such file": (None, ("train", "dd.csv", "-t", "kind", "--out", OUT), 3, "dd.csv"),
    "empty file": ("", TRAIN, 3, "empty"),
    "header only": ([], TRAIN, 3, "no rows"),
    "no such target": (ROWS, ("train", DATA, "-t", "kinde", "--out", OUT), 3, "Did you mean 'kind'"),
    "no target": (ROWS, ("train", DATA, "--out", OUT), 3, "--target COLUMN"),
    "one class": ([[*row[:2], "yes"] for row in ROWS], TRAIN, 3, "same class, 'yes'"),
    "target always missing": ([[*row[:2], ""] for row in ROWS], TRAIN, 3, "missing in all 60"),
    "infinite value": (with_cells(0, "inf"), TRAIN, 3, "'size' holds an infinite value in row 0"),
    "infinite target": (
        with_cells(0, "inf"), ("train", DATA, "-t", "size", "--out", OUT), 3, "infinity"),
    "fewer rows than classes": ([[i, "Ulm", f"c{i}"] for i in range(9)], TRAIN, 3, "a single row"),
    "few rows": (ROWS[:3], TRAIN, 3, "too few"),
    "only the target": ([[row[2]] for row in ROWS], TRAIN, 3, "no column besides"),
    "no output folder": (ROWS, (*TRAIN[:-1], "nowhere/o.glassnet"), 3, "nowhere does not exist"),
    "output is a folder": (ROWS, (*TRAIN[:-1], "folder"), 3, "is a folder"),
    "output is the data": (ROWS, (*TRAIN[:-1], DATA), 3, "would destroy it"),
    "report is the model": (ROWS, (*TRAIN, "--report", OUT), 2, "both name"),
    "output is the model": (ROWS, (*PREDICT[:-1], MODEL), 3, "would destroy it"),
    "output is a device": (ROWS, (*TRAIN[:-1], os.devnull), 3, "not a file"),
    "seed below 0": (ROWS, (*TRAIN, "--seed", "-1"), 2, "--seed is -1"),
    "seed too large": (ROWS, (*TRAIN, "--seed", str(2**40)), 2, "--seed is"),
    "no test rows": (ROWS, (*TRAIN, "--test", "0"), 2, "between 0 and 1"),
    "all rows for the test": (ROWS, (*TRAIN, "--test", "1"), 2, "between 0 and 1"),
    "widths of text": (ROWS, (*TRAIN, "--hidden", "wide"), 2, "such as 128,64"),
    "widths of 0": (ROWS, (*TRAIN, "--hidden", "0"), 2, "at least 1"),
    "no epochs": (ROWS, (*TRAIN, "--epochs", "0"), 2, "at least 1"),
    "unknown optimizer": (ROWS, (*TRAIN, "--optimizer", "adm"), 2, "Did you mean 'adam'"),
    "unknown activation": (ROWS, (*TRAIN, "--activation", "rleu"), 2, "Did you mean 'relu'"),
    "all dropped out": (ROWS, (*TRAIN, "--dropout", "1"), 2, "in [0, 1)"),
    "no patience": (ROWS, (*TRAIN, "--patience", "0"), 2, "patience is 0"),
    "unknown class weight": (ROWS, (*TRAIN, "--class-weight", "equal"), 2, "'balanced'"),
    "weights of values": (
        ROWS, ("train", DATA, "-t", "size", "--class-weight", "balanced"), 2, "does not apply"),
    "every column dropped": (ROWS, (*TRAIN, "--drop", "size", "--drop", "city"), 3, "leaves no column"),
    "text as value": (ROWS, (*TRAIN, "--task", "regression"), 3, "holds text"),
    "a query of a text file": (ROWS, (*TRAIN, "--query", "select 1"), 3, "no query"),
    "diverged": (
        ROWS, ("train", DATA, "-t", "size", "--optimizer", "sgd", "--learning-rate", "1e30",
               "--out", OUT), 5, "diverged"),
    "text in a number": (with_cells(0, *["large"] * 60), PREDICT, 3, "'large' in row 0"),
    "missing column": ([row[1:] for row in ROWS], PREDICT, 3, "lacks 'size'"),
    "infinite at prediction": (with_cells(0, "inf"), PREDICT, 3, "infinite"),
    "no rows to predict": ([], PREDICT, 3, "no rows"),
    "no model": (ROWS, ("predict", "mm.glassnet", DATA, "--out", OUT), 3, "mm.glassnet"),
    "model cut short": (ROWS, ("predict", "cut.glassnet", DATA, "--out", OUT), 4, "not a usable glassnet"),
    "no model file": (ROWS, ("inspect", DATA), 4, "not a usable glassnet"),
    "a report on nothing": (ROWS, ("inspect", MODEL, "--report", "r.html"), 2, "DATA --report r.html"),
    "rows for nothing": (ROWS, ("inspect", MODEL, DATA), 2, "--report FILE.html"),
    "a target for nothing": (ROWS, ("inspect", MODEL, "-t", "kind"), 2, "need DATA and --report"),
    "a report over its model": (
        ROWS, ("inspect", MODEL, DATA, "--report", MODEL), 3, "would destroy it"),
    "a report without truth": (
        [row[:2] for row in ROWS], ("inspect", MODEL, DATA, "--report", "r.html"), 3, "'kind'"),
    "unknown class": ([[*row[:2], "maybe"] for row in ROWS], ("evaluate", MODEL, DATA), 3, "'maybe'"),
    "target absent": ([row[:2] for row in ROWS], ("evaluate", MODEL, DATA), 3, "'kind'"),
    "wrong number of features": (
        None, ("predict", "array.glassnet", "three.npz", "--out", OUT), 3, "3 features"),
}  # fmt: skip


@pytest.fixture
def workshop(home, tmp_path, monkeypatch):
    """Return a folder to make mistakes in: models, arrays, and an older output."""
    model = (home / "m.glassnet").read_bytes()
    (tmp_path / MODEL).write_bytes(model)
    (tmp_path / "cut.glassnet").write_bytes(model[:-40])
    np.savez(tmp_path / "three.npz", X=np.ones((4, 3)))
    (tmp_path / "folder").mkdir()
    (tmp_path / OUT).write_bytes(b"an older result")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def array_model() -> gn.Model:
    return gn.NeuralClassifier(hidden=(4,), epochs=1).fit(X, KINDS).model_


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gives_one_sentence_and_destroys_nothing(name, workshop, array_model):
    data, command, code, reason = MISTAKES[name]
    gn.save(array_model, "array.glassnet")
    if isinstance(data, str):
        Path(DATA).write_text(data)
    elif data is not None:
        widths = {1: HEADER[2:], 2: HEADER[1:] if "column" in name else HEADER[:2]}
        write(Path(DATA), data, widths.get(len(data[0]) if data else 3, HEADER))
    before = {path: path.read_bytes() for path in workshop.iterdir() if path.is_file()}
    result = run(*command)
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)  # an end on purpose, no traceback
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1 and errors[0] == result.stderr.splitlines()[-1]
    assert reason in errors[0]
    assert len(errors[0]) < 500
    assert result.stdout == ""
    assert {path: path.read_bytes() for path in workshop.iterdir() if path.is_file()} == before


@pytest.mark.parametrize(
    ("rows", "message"),
    [([[*row[:2], "" if i < 7 else row[2]] for i, row in enumerate(ROWS)], "7 of 60 rows were dropped"),
     ([["", *row[1:]] for row in ROWS], "'size' has no value in any row"),
     (with_cells(0, "1e39"), "Read 60 rows")],
    ids=["missing targets", "column all missing", "1e39"],
)  # fmt: skip
def test_odd_data_are_trained_on_with_a_message(rows, message, tmp_path):
    model = tmp_path / "m.glassnet"
    result = done(train(write(tmp_path / "d.csv", rows), "-t", "kind", "--json", "-o", model))
    assert message in result.stderr
    assert all(np.isfinite(v) for v in json.loads(result.stdout)["scores"].values())
    done(run("predict", model, tmp_path / "d.csv"))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_really_without_write_access_is_refused(home, tmp_path):
    tmp_path.chmod(0o500)
    result = train(home / "data.csv", "-t", "kind", "-o", tmp_path / "m.glassnet")
    assert result.exit_code == 3 and "is not writable" in result.stderr


def test_a_folder_without_write_access_is_refused(home, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    result = train(home / "data.csv", "-t", "kind", "-o", tmp_path / "m.glassnet")
    assert result.exit_code == 3 and "is not writable" in result.stderr
    assert "Read" not in result.stderr  # before the work began


def test_names_with_escapes_do_no_harm(tmp_path):
    evil = "\x1b[31mred\x1b]0;title\x07\u202e"
    rows = [[a, b, evil if kind == "yes" else "no"] for a, b, kind in ROWS]
    data = write(tmp_path / "d.csv", rows, [evil + "a", "b", evil])
    model = tmp_path / "m.glassnet"
    for result in (
        done(train(data, "-t", evil, "-o", model, "--report", tmp_path / "r.html")),
        done(run("inspect", model)),
        done(run("evaluate", model, data)),
        train(data, "-t", evil + "x"),
        run("predict", model, write(tmp_path / "less.csv", [["1"]], ["b"])),
    ):
        for character in "\x1b\x07\u202e":
            assert character not in result.output
    assert evil in done(run("predict", model, data)).stdout  # data in a pipe are not escaped


# -------------------------------------------------------------------------- real processes


def command(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "glassnet", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def test_help_is_quick_to_import():
    code = (
        "import sys\nfrom glassnet.cli import main\nsys.argv = ['glassnet', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'jax', 'sklearn', 'duckdb', 'matplotlib', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    for word in ("train", "predict", "evaluate", "inspect", "Exit codes"):
        assert word in process.stdout


def test_ctrl_c_saves_the_model_so_far(home, tmp_path):
    model = tmp_path / "m.glassnet"
    code = (  # the progress bar says when training is under way
        "import sys\nfrom glassnet.cli import main\nfrom glassnet.training.progress import ProgressBar\n"
        "ProgressBar.__call__ = lambda self, event: print('epoch', file=sys.stderr, flush=True)\n"
        "main()\n"
    )
    options = ["train", home / "data.csv", "-t", "kind", "--epochs", 10**8, "--json", "-o", model]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, options)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert any(line == "epoch\n" for line in process.stderr)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "Traceback" not in err and "Interrupted after epoch" in err
    document = json.loads(out)
    assert document["status"] == "interrupted" and 0 < document["epochs"] < 10**8
    assert len(gn.load(model).predict({"size": [1.0], "city": ["Ulm"]})) == 1


def test_a_closed_pipe_is_not_an_error(home, tmp_path):
    many = write(tmp_path / "many.csv", ROWS * 200)  # more than a pipe holds
    process = command("predict", home / "m.glassnet", many)
    assert process.stdout.readline().startswith("kind,")
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=60) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_gives_one_sentence(home):
    with open("/dev/full", "w") as full:
        process = subprocess.Popen(
            [sys.executable, "-m", "glassnet", "predict", home / "m.glassnet", home / "data.csv"],
            stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        err = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert err.startswith("Error: ") and len(err.splitlines()) == 1


def test_a_terminal_with_another_encoding_shows_escapes(home):
    environment = os.environ | {"PYTHONIOENCODING": "cp1251", "PYTHONUTF8": "0"}  # has no ²
    process = command("train", home / "data.csv", "-t", "size", *FAST, env=environment)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "R\\xb2" in out


def test_the_version_is_that_of_the_package():
    result = CliRunner().invoke(cli.app, ["--version"])
    assert result.exit_code == 0 and result.stdout == f"glassnet {version('glassnet')}\n"


# ------------------------------------------------------------------------------------------- compare


CHEAP = (*FAST, "--members", "1", "--repeats", "1", "--folds", "2")


def test_compare_says_which_model_to_use(tmp_path):
    data, page = write(tmp_path / "d.csv"), tmp_path / "c.html"
    result = done(run("compare", data, "-t", "kind", *CHEAP, "--report", page))
    lines = result.stdout.splitlines()
    assert lines[0].startswith("Classification, 60 rows, 2 folds")
    assert [line.split()[0] for line in lines[2:8]] == [
        "guessing", "linear", "small", "k", "gradient", "network"
    ]  # fmt: skip
    assert lines[-1].startswith("Use ")
    assert page.read_text().startswith("<!DOCTYPE html>") and lines[-1][:20] in page.read_text()
    assert f"Wrote {page}" in result.stderr


def test_compare_prints_json_with_a_learning_curve(tmp_path):
    data = write(tmp_path / "d.csv")
    options = ("--json", "--learning-curve", "--drop", "city", "--folds", "4")
    result = done(run("compare", data, "-t", "size", *CHEAP, *options))
    document = json.loads(result.stdout)
    assert (document["task"], document["columns"], document["folds"]) == ("regression", 1, 4)
    assert list(document["models"])[-1] == "network" == document["differences"][-1]["first"]
    assert document["learning_curve"]["sentence"].startswith("Would more training rows help?")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ((), 3, "--target"),
        (("-t", "kind,size"), 3, "one target at a time"),
        (("-t", "kind", "--folds", "1"), 2, "folds"),
        (("-t", "kind", "--max-seconds", "0"), 2, "max_seconds"),
        (("-t", "kind", "--max-seconds", "1e-9"), 2, "give more time"),
        (("-t", "kind", "--task", "labels"), 2, "--task"),
        (("-t", "kind", "--report", "nowhere/c.html"), 3, "does not exist"),
    ],
)
def test_mistakes_of_compare(options, code, message, tmp_path):
    result = run("compare", write(tmp_path / "d.csv"), *options)
    assert result.exit_code == code and message in result.stderr


def test_train_gives_the_short_form_of_the_verdict(tmp_path):
    output = done(train(write(tmp_path / "d.csv"), "-t", "kind")).stdout
    assert re.search(r"^Use .*\.$", output, flags=re.M)
    assert "boosting" in output and "`glassnet compare`" in output
