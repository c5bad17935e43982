"""Own units: a row as the person gave it, beside the numbers that the network takes it for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from glassnet.data.tables import Table, as_table, is_table, missing_in
from glassnet.display.html import clean
from glassnet.encoding.table_encoder import TableEncoder
from glassnet.encoding.targets import ClassEncoder, TargetScaler
from glassnet.errors import DataError
from glassnet.models.model import Model
from glassnet.tracing.records import Traced
from glassnet.tracing.symbols import pixel_names


class GivenColumn(NamedTuple):
    """One column of a row: its name, its value as given (None: missing), and the network's inputs from it.

    kind: "number", "category", "date" or "pixel". inputs: by name. note: why it has none.
    """

    name: str
    value: float | str | None
    kind: str
    inputs: dict[str, float]
    note: str = ""


def as_rows(model: Model, x: Any) -> Any:
    """Return rows as a table or an array with an axis of rows, also where a single row was given.

    A row of a table is a dictionary of values, or what a data frame gives for one.
    """
    if hasattr(x, "to_dict") and not is_table(x):  # a row of pandas, named by its columns
        x = x.to_dict()
    if isinstance(x, Mapping) and not hasattr(x, "toarray"):
        x = {name: [v] if np.ndim(v) == 0 else v for name, v in x.items()}
    if is_table(x):
        return as_table(x)
    try:
        array = x.toarray() if hasattr(x, "toarray") else np.asarray(x)
    except ValueError:
        raise DataError("The rows of x have different lengths: give each as many values.") from None
    width = model.in_shape if model.encoder is None else (len(model.encoder.names),)
    if array.ndim and array.shape == tuple(width):
        array = array[None]
    return as_table(array.astype(object)) if array.dtype.kind in "OUS" else array


def as_targets(y: Any, rows: int) -> Any:
    """Return targets with an axis of rows, also where that of a single row was given."""
    if is_table(y):
        return y
    array = np.asarray(y)
    if array.ndim == 0 or (rows == 1 and array.ndim == 1 and len(array) > 1):
        return array[None]
    return y


def feature_names(model: Model) -> tuple[str, ...]:
    """Return the names of the numbers that the network takes of a row."""
    if model.encoder is not None:
        return model.encoder.feature_names
    return pixel_names(model.in_shape)


def columns_of(model: Model, given: Any, x: np.ndarray, row: int) -> tuple[GivenColumn, ...]:
    """Return a row column by column, in its own units, with the inputs that each became."""
    numbers = dict(zip(feature_names(model), (float(v) for v in x[row].reshape(-1)), strict=True))
    encoder = model.encoder
    if encoder is None:
        values = np.asarray(given)[row].reshape(-1)
        kind = "pixel" if len(model.in_shape) > 1 else "number"
        both = zip(numbers.items(), values, strict=True)
        return tuple(GivenColumn(name, float(v), kind, {name: n}) for (name, n), v in both)
    parts = _features(encoder)
    table = given if isinstance(given, Table) else None
    found = []
    for place, (name, kind) in enumerate(zip(encoder.names, encoder.kinds, strict=True)):
        if table is None:
            value = _plain(np.asarray(given)[row : row + 1, place].astype(np.float64))
        elif name in table or encoder.kind == "array":
            column = table[name if name in table else table.names[place]]
            value = _plain(column[row : row + 1])
        else:
            value = None  # of no use to the network, and not there
        inputs = {feature: numbers[feature] for feature in parts.get(name, ())}
        note = encoder.dropped.get(name, "")
        found.append(GivenColumn(name, value, kind, inputs, note and f"not used: {note}"))
    return tuple(found)


def _features(encoder: TableEncoder) -> dict[str, tuple[str, ...]]:
    """Return by column the names of the features that it becomes."""
    numeric = encoder.numeric
    parts = {
        name: (name, *([f"{name}: missing"] if missing else []))
        for name, missing in zip(numeric.names, numeric.missing, strict=True)
    }
    return parts | {other.name: other.feature_names for other in encoder.others}


def _plain(column: np.ndarray) -> float | str | None:
    """Return the one value of a column in normal form as a plain one."""
    if missing_in(column)[0]:
        return None
    if column.dtype.kind == "M":
        return str(np.datetime_as_string(column, unit="auto")[0])
    return clean(column[0], 60) if column.dtype.kind == "O" else float(column[0])


def value_text(value: float | str | None) -> str:
    """Return a value as a person writes it.

    >>> value_text(44.0), value_text("Ulm"), value_text(None)
    ('44', 'Ulm', 'missing')
    """
    if value is None:
        return "missing"
    return f"{value:.6g}" if isinstance(value, float) else clean(value, 60)


class Answer(NamedTuple):
    """One output of a row: the class, label or target that it is for, its value, and what it should be."""

    name: str
    value: float
    target: float | None


def answers_of(model: Model, traced: Traced, row: int) -> tuple[Answer, ...]:
    """Return what leaves the network for a row: probabilities, or values in the target's own unit."""
    output, target = traced.output[row], None if traced.target is None else traced.target[row]
    encoder = model.target_encoder
    if isinstance(encoder, TargetScaler):
        both = [output] if target is None else [output, np.reshape(target, output.shape)]
        own = [np.reshape(encoder.inverse(values[None]), -1) for values in both]
        truth = own[1] if target is not None else [None] * len(own[0])
        found = zip(encoder.names, own[0], truth, strict=True)
        return tuple(
            Answer(name, float(v), None if t is None else float(t)) for name, v, t in found
        )
    if isinstance(encoder, ClassEncoder):
        names = [value_text(str(label)) for label in encoder.labels]
        if len(output) == 1:  # one output stands for the second of two classes
            names = names[-1:]
    else:
        names = list(getattr(encoder, "names", ())) or [f"output {k}" for k in range(len(output))]
    each: Any = [None] * len(output)
    if target is not None:
        code = np.ndim(target) == 0 and len(output) > 1
        each = np.arange(len(output)) == target if code else np.reshape(target, -1)
    found = zip(names, output, each, strict=True)
    return tuple(
        Answer(clean(n, 60), float(v), None if t is None else float(t)) for n, v, t in found
    )
