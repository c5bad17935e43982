"""Read NumPy's .npz files, which hold inputs and targets as arrays with the usual names."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet.data.datasets import Dataset, Inputs, Targets, dropped_rows, split_target
from glassnet.data.files import unpacked_path
from glassnet.data.tables import Table, as_table, column_of, is_table, missing_in, rows_at
from glassnet.errors import DataError, did_you_mean

_X_NAMES = ("x_train", "train_x", "train_images", "x", "data", "images", "features", "inputs")
_Y_NAMES = ("y_train", "train_y", "train_labels", "y", "target", "labels", "label", "targets")
_X_TEST = ("x_test", "test_x", "test_images")
_Y_TEST = ("y_test", "test_y", "test_labels")
_MAX_LISTED = 20  # arrays in a message


def read_npz(path: Path, target: str | None) -> Dataset:
    """Return the data set in a .npz file.

    The inputs are the array x_train, X, data, ..., the target y_train, y, labels, ... (in any
    case), or the array called `target`. If all arrays are one-dimensional, they are the columns of a table.
    Raises `DataError` for a damaged file, for arrays of objects, and if no array holds inputs.
    """
    with unpacked_path(path) as plain:
        arrays = _load(plain, path)
    names = {name.lower(): name for name in arrays}
    x, y, x_test, y_test = (
        next((names[choice] for choice in choices if choice in names), None)
        for choices in (_X_NAMES, _Y_NAMES, _X_TEST, _Y_TEST)
    )
    shapes = [f"{name} {array.shape}" for name, array in arrays.items()]
    listed = ", ".join(shapes[:_MAX_LISTED])
    if x is None:
        if arrays and all(array.ndim == 1 for array in arrays.values()):
            return split_target(as_table(arrays), target, name=str(path))
        raise DataError(
            f"'{path}' has no array called X or x_train, so it is unclear which are the "
            f"inputs: save them as numpy.savez(file, X=X, y=y). Its arrays are: {listed}."
        )
    if target is not None:
        if target not in arrays:
            hint = did_you_mean(target, arrays)
            raise DataError(f"'{path}' has no array '{target}'.{hint} Its arrays are: {listed}.")
        y = target
    inputs, targets, notes = _same_rows(path, arrays, x, y)
    test = None
    if x_test is not None:
        test_inputs, test_targets, test_notes = _same_rows(path, arrays, x_test, y_test)
        test, notes = (test_inputs, test_targets), [*notes, *test_notes]
    size = f"Read {len(inputs)} rows of {x} {arrays[x].shape[1:]} from {path.name}."
    return Dataset(inputs, targets, test, str(path), y, (size, *notes))


def _load(plain: Path, path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of the unpacked file `plain`; messages name `path`."""
    try:
        # opened here, because NumPy leaves a damaged file open
        with plain.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except ValueError as error:
        if "pickle" not in str(error).lower():
            raise DataError(f"'{path}' is a damaged .npz file: copy or save it again.") from None
        raise DataError(
            f"'{path}' holds arrays of Python objects, which can run code when they are read: "
            "save them as numbers or text."
        ) from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        KeyError,
        MemoryError,
        RuntimeError,  # an encrypted entry, or a compression that Python does not know
    ):
        raise DataError(f"'{path}' is a damaged .npz file: copy or save it again.") from None


def _same_rows(
    path: Path, arrays: Mapping[str, NDArray[Any]], x: str, y: str | None
) -> tuple[Inputs, Targets, list[str]]:
    """Return inputs and targets without the rows whose target is missing, and notes."""
    inputs = _inputs(path, x, arrays[x])
    if y is None:
        return inputs, None, []
    values = arrays[y].reshape(len(arrays[y]), -1) if arrays[y].ndim else arrays[y]
    if values.ndim != 2 or len(values) != len(inputs):
        raise DataError(
            f"In '{path}' the array {x} has {len(inputs)} rows but {y} has shape "
            f"{arrays[y].shape}: both need the same number of rows."
        )
    columns = [column_of(values[:, j], name=y) for j in range(values.shape[1])]
    present = ~np.logical_or.reduce([missing_in(column) for column in columns])
    notes = dropped_rows(present, y)
    if not present.all():
        columns = [column[present] for column in columns]
        inputs = rows_at(inputs, present)
    if len(columns) == 1:
        return inputs, columns[0], notes
    return inputs, Table({f"{y}{j}": column for j, column in enumerate(columns)}), notes


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
