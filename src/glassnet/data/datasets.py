"""Data sets: everything that the command can train on, read by one function.

| source                          | what it becomes                                            |
|---------------------------------|------------------------------------------------------------|
| CSV, TSV, `.gz`, `data/*.csv`   | a Table; files of a pattern are united by column name      |
| Parquet, JSON                   | a Table                                                    |
| DuckDB or SQLite file           | one table, or the rows of one query                        |
| folder of pictures              | (n, h, w) or (n, h, w, 3) uint8; subfolders are classes    |
| IDX files (MNIST), `.gz`        | (n, h, w) uint8; labels are classes                        |
| `.npz`                          | arrays X, y (x_train, y_train, x_test, y_test)             |
| `sample:digits`, `sample:iris`  | scikit-learn's bundled sets                                |

What a file is, its content decides, not its name.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from glassnet.data.databases import read_columnar, read_database
from glassnet.data.delimited import read_delimited
from glassnet.data.files import Format, find, format_of, list_folder, needs_copy, plain_copy
from glassnet.data.pictures import (
    LabelledPictures,
    is_idx_name,
    is_picture_folder,
    read_idx_files,
    read_picture_folder,
)
from glassnet.data.tables import (
    Column,
    Table,
    as_table,
    column_of,
    is_table,
    missing_in,
    no_such_column,
)
from glassnet.errors import DataError, did_you_mean

Inputs: TypeAlias = Table | NDArray[Any]
Targets: TypeAlias = Column | Table | None

SAMPLES = ("digits", "iris", "wine", "breast_cancer", "diabetes")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs and target of a data set, with what its reader decided.

    X: a Table, pictures (n, h, w[, c]) uint8, or numbers (n, d). y: the target as a column in
    normal form, a Table for several targets, None if no target was named. test: (X, y) of a test
    set that came with the data, or None. name: where the data come from. target: the name of the
    target, the names of several, or None. notes: one sentence for each decision.
    """

    X: Inputs
    y: Targets
    test: tuple[Inputs, Targets] | None
    name: str
    target: str | tuple[str, ...] | None
    notes: tuple[str, ...]


def read(
    source: str,
    *,
    target: str | None = None,
    query: str | None = None,
    table: str | None = None,
    expected: Sequence[str] = (),
) -> Dataset:
    """Read the data set that `source` names; the module's table lists what it can be.

    target: the column to predict, "a,b" for several; None keeps all columns in X. Pictures, IDX
    and samples bring their own. Rows whose target is missing are dropped, which a note counts.
    expected: names of columns that should be there, to tell a header line from a row of data.
    table, query: for a DuckDB or SQLite file, the table to read or the SELECT to run.
    Raises `DataError` if there is no such file or column, or the data cannot be read.

    >>> data = read("sample:iris")
    >>> data.X
    Table(150 rows; sepal length (cm): number, ... petal width (cm): number)
    >>> data.target, data.y[0]
    ('target', 'setosa')
    """
    if source.startswith("sample:"):
        _refuse_sql(source, table, query)
        return _sample(source, target)
    paths = find(source)
    if paths[0].is_dir():
        _refuse_sql(source, table, query)
        return _folder(paths[0], target)
    formats = {format_of(path) for path in paths}
    if len(formats) > 1:
        raise DataError(f"The files of '{source}' are of several formats: {', '.join(formats)}.")
    (kind,) = formats
    if kind not in ("duckdb", "sqlite"):
        _refuse_sql(source, table, query)
    elif len(paths) > 1:
        raise DataError(f"'{source}' names {len(paths)} databases: name one of them.")
    if kind in ("idx", "npz"):
        if len(paths) > 1:
            raise DataError(f"'{source}' names {len(paths)} files: name one, or their folder.")
        return _own_target(paths[0], kind, target)
    columns, notes = _read_table(paths, kind, [*_names(target), *expected], table, query)
    said = f"Read {len(columns)} rows, {len(columns.names)} columns from {_files(paths)}."
    return split_target(columns, target, name=source, notes=(said, *notes))


def split_target(
    columns: Table, target: str | None, *, name: str, notes: Sequence[str] = ()
) -> Dataset:
    """Return a data set in which the named columns are the target and the others are X.

    target: a column's name, or several with commas between; a name with a comma in it is taken
    whole if there is such a column. Rows in which any target is missing are dropped with a note.
    Raises `DataError` if a column is not there, if no target is left, or no other column.

    >>> split_target(as_table({"a": [1, 2], "b": ["x", None]}), "b", name="example").notes
    ("1 of 2 rows was dropped, because its target 'b' is missing.",)
    """
    if len(columns) == 0:
        raise DataError(f"'{name}' has columns but no rows: there is nothing to learn from.")
    if target is None:
        return Dataset(columns, None, None, name, None, tuple(notes))
    names = [target] if target in columns else [part.strip() for part in target.split(",")]
    for part in names:
        if part not in columns:
            raise DataError(no_such_column(part, columns.names))
    if len(set(names)) < len(names):
        raise DataError(f"The target '{target}' names a column twice: name each once.")
    if len(names) == len(columns.names):
        raise DataError(
            f"'{name}' has no column besides the target '{target}', so that there is nothing to "
            "predict it from."
        )
    targets = columns.only(names)
    present = ~np.logical_or.reduce([targets.missing(part) for part in names])
    notes = [*notes, *_dropped(present, target)]
    if not present.all():
        targets, columns = targets.rows(present), columns.rows(present)
    y: Targets = targets[names[0]] if len(names) == 1 else targets
    label = names[0] if len(names) == 1 else tuple(names)
    return Dataset(columns.without(*names), y, None, name, label, tuple(notes))


def _dropped(present: NDArray[np.bool_], target: str) -> list[str]:
    missing, rows = int((~present).sum()), len(present)
    if missing == rows:
        raise DataError(
            f"The target '{target}' is missing in all {rows} rows: there is nothing to learn from."
        )
    were, its = ("was", "its") if missing == 1 else ("were", "their")
    note = f"{missing} of {rows} rows {were} dropped, because {its} target '{target}' is missing."
    return [note] if missing else []


def _names(target: str | None) -> list[str]:
    """Return what a person's target may name: one column, or several with commas between."""
    return [] if target is None else [target, *map(str.strip, target.split(","))]


def _read_table(
    paths: Sequence[Path],
    kind: Format,
    wanted: Sequence[str],
    table: str | None,
    query: str | None,
) -> tuple[Table, list[str]]:
    if kind == "text":
        return read_delimited(paths, wanted)
    if kind in ("parquet", "json"):
        return read_columnar(paths, kind)
    assert kind in ("duckdb", "sqlite")
    with TemporaryDirectory(prefix="glassnet-") as folder:
        path = plain_copy(paths[0], Path(folder)) if needs_copy(paths[0]) else paths[0]
        return read_database(path, kind, table, query)


def _refuse_sql(source: str, table: str | None, query: str | None) -> None:
    if table is not None or query is not None:
        what = "table" if query is None else "query"
        raise DataError(
            f"'{source}' is not a DuckDB or SQLite file, so that it has no {what}: leave it out."
        )


def _files(paths: Sequence[Path]) -> str:
    return paths[0].name if len(paths) == 1 else f"{len(paths)} files"


# ------------------------------------------------------------- sources that bring their own target


def _folder(folder: Path, target: str | None) -> Dataset:
    if any(is_idx_name(entry.name) for entry in list_folder(folder)):
        return _own_target(folder, "idx", target)
    if is_picture_folder(folder):
        return _from_pictures(folder, read_picture_folder(folder), target)
    names = [entry.name for entry in list_folder(folder) if entry.is_file()]
    hint = f" For its files give a pattern, such as '{folder}/*.csv'." if names else ""
    raise DataError(f"The folder '{folder}' has no pictures and no IDX files in it.{hint}")


def _own_target(path: Path, kind: str, target: str | None) -> Dataset:
    if kind == "idx":
        return _from_pictures(path, read_idx_files(path), target)
    return _read_npz(path, target)


def _from_pictures(path: Path, data: LabelledPictures, target: str | None) -> Dataset:
    if target not in (None, "label"):
        raise DataError(
            f"The pictures of '{path}' have no column '{target}': their classes are the target, "
            "so leave the target out."
        )
    if target is not None and data.y is None:
        raise DataError(f"The pictures of '{path}' have no classes: put each class in a subfolder.")
    shape = "x".join(map(str, data.X.shape[1:]))
    tests = f" and {len(data.test[0])} for testing" if data.test else ""
    said = f"Read {len(data.X)} pictures of {shape}{tests} from {path.name or path}."
    label = None if data.y is None else "label"
    return Dataset(data.X, data.y, data.test, str(path), label, (said, *data.notes))


def _sample(source: str, target: str | None) -> Dataset:
    name = source.removeprefix("sample:")
    if name not in SAMPLES:
        hint = did_you_mean(name, SAMPLES)
        raise DataError(
            f"There is no sample '{name}'.{hint} The samples are: {', '.join(SAMPLES)}."
        )
    from sklearn import datasets  # lazily: needed for samples only

    bunch = getattr(datasets, f"load_{name}")()
    if name == "digits":
        y = column_of([str(label) for label in bunch.target])
        pictures = LabelledPictures(bunch.images.astype(np.uint8), y, None, ())
        return _from_pictures(Path(source), pictures, target)
    features = dict(zip(bunch.feature_names, bunch.data.T, strict=True))
    answers = bunch.target if name == "diabetes" else np.asarray(bunch.target_names)[bunch.target]
    table = as_table({**features, "target": answers})
    said = f"Read {len(table)} rows, {len(table.names)} columns from {source}."
    return split_target(table, target or "target", name=source, notes=(said,))


# ------------------------------------------------------------------------------------------- npz

_X_NAMES = ("x_train", "train_x", "train_images", "x", "data", "images", "features", "inputs")
_Y_NAMES = ("y_train", "train_y", "train_labels", "y", "target", "labels", "label", "targets")
_X_TEST = ("x_test", "test_x", "test_images")
_Y_TEST = ("y_test", "test_y", "test_labels")


def _read_npz(path: Path, target: str | None) -> Dataset:
    with TemporaryDirectory(prefix="glassnet-") as folder:
        arrays = _arrays(plain_copy(path, Path(folder)) if needs_copy(path) else path, path)
    lower = {key.lower(): key for key in arrays}
    found = [next((lower[n] for n in names if n in lower), None)
             for names in (_X_NAMES, _Y_NAMES, _X_TEST, _Y_TEST)]  # fmt: skip
    listed = ", ".join(f"{key} {array.shape}" for key, array in list(arrays.items())[:20])
    if target is not None and found[0] is not None:
        if target not in arrays:
            hint = did_you_mean(target, arrays)
            raise DataError(f"'{path}' has no array '{target}'.{hint} Its arrays are: {listed}.")
        found[1] = target
    x, y, x_test, y_test = found
    if x is None:
        if arrays and all(array.ndim == 1 for array in arrays.values()):
            return split_target(as_table(arrays), target, name=str(path))
        raise DataError(f"'{path}' has no array called X or x_train; its arrays are: {listed}.")
    inputs, answers, notes = _pair(path, arrays, x, y)
    test = None
    if x_test is not None:
        tested, test_answers, more = _pair(path, arrays, x_test, y_test)
        test, notes = (tested, test_answers), [*notes, *more]
    said = f"Read {len(inputs)} rows of {x} {arrays[x].shape[1:]} from {path.name}."
    return Dataset(inputs, answers, test, str(path), y, (said, *notes))


def _arrays(path: Path, shown: Path) -> dict[str, NDArray[Any]]:
    try:
        # opened here, because NumPy leaves a damaged file open
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except ValueError as error:
        if "pickle" not in str(error).lower():
            raise DataError(f"'{shown}' is a damaged .npz file: copy or save it again.") from None
        raise DataError(
            f"'{shown}' holds arrays of Python objects, which can run code when they are read: "
            "save them as numbers or text."
        ) from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        KeyError,
        MemoryError,
        RuntimeError,  # an encrypted member; NotImplementedError: a way of packing that Python lacks
    ):
        raise DataError(f"'{shown}' is a damaged .npz file: copy or save it again.") from None


def _pair(
    path: Path, arrays: Mapping[str, NDArray[Any]], x: str, y: str | None
) -> tuple[Inputs, Targets, list[str]]:
    """Return X and y of the same rows, those without a target dropped."""
    inputs = _inputs(path, x, arrays[x])
    if y is None:
        return inputs, None, []
    answers = arrays[y].reshape(len(arrays[y]), -1) if arrays[y].ndim else arrays[y]
    if answers.ndim != 2 or len(answers) != len(inputs):
        raise DataError(
            f"In '{path}' the array {x} has {len(inputs)} rows but {y} has shape "
            f"{arrays[y].shape}: both need the same number of rows."
        )
    columns = [column_of(answers[:, j], name=y) for j in range(answers.shape[1])]
    present = ~np.logical_or.reduce([missing_in(column) for column in columns])
    notes = _dropped(present, y)
    kept = inputs
    if not present.all():
        columns = [column[present] for column in columns]
        kept = inputs.rows(present) if isinstance(inputs, Table) else inputs[present]
    if len(columns) == 1:
        return kept, columns[0], notes
    return kept, Table({f"{y}{j}": column for j, column in enumerate(columns)}), notes


def _inputs(path: Path, name: str, array: NDArray[Any]) -> Inputs:
    if is_table(array):
        return as_table(array)
    if array.ndim not in (2, 3, 4) or array.dtype.kind not in "biuf" or 0 in array.shape:
        raise DataError(
            f"In '{path}' the array {name} has shape {array.shape} and type {array.dtype}: it must "
            "be numbers (n, d), or pictures (n, h, w) or (n, h, w, c)."
        )
    if array.ndim == 2:
        return array if array.dtype.kind == "f" else array.astype(np.float64)
    if array.dtype.kind in "bi" and array.min() >= 0 and array.max() <= 255:
        return array.astype(np.uint8)
    return array if array.dtype == np.uint8 or array.dtype.kind == "f" else array.astype(np.float32)
