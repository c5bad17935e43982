"""Show rows and answers in the units of the data, next to the network's numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from glassnet.data.tables import Table, as_table, dense, is_sparse, is_table, missing_in
from glassnet.display.html import clean
from glassnet.encoding.table_encoder import TableEncoder
from glassnet.encoding.targets import ClassEncoder, TargetScaler
from glassnet.errors import DataError
from glassnet.models.model import Model
from glassnet.tracing.symbols import pixel_names

if TYPE_CHECKING:
    from glassnet.tracing.trace import Trace


class GivenColumn(NamedTuple):
    """One column of a row, and the inputs of the network that it becomes.

    value: as given; None if it is missing. kind: "number", "category", "date" or "pixel". inputs: the
    network's inputs, by name. note: why there are none, or "".
    """

    name: str
    value: float | str | None
    kind: str
    inputs: dict[str, float]
    note: str = ""


def as_rows(model: Model, x: Any) -> Any:
    """Return rows as a table, or as an array whose first axis is the rows; a single row gets that axis.

    A single row of a table is a dictionary of values, or a row of a data frame.
    """
    if hasattr(x, "to_dict") and not is_table(x):  # a row of pandas, named by its columns
        x = x.to_dict()
    if isinstance(x, Mapping) and not is_sparse(x):
        x = {name: [v] if np.ndim(v) == 0 else v for name, v in x.items()}
    if is_table(x):
        return as_table(x)
    try:
        array = np.asarray(dense(x))
    except ValueError:
        raise DataError(
            "The rows of x have different lengths: give every row the same number of values."
        ) from None
    width = model.in_shape if model.encoder is None else (len(model.encoder.names),)
    if array.ndim and array.shape == tuple(width):
        array = array[None]
    return as_table(array.astype(object)) if array.dtype.kind in "OUS" else array


def as_targets(y: Any, rows: int) -> Any:
    """Return targets whose first axis is the rows; the target of a single row gets that axis."""
    if is_table(y):
        return y
    array = np.asarray(y)
    if array.ndim == 0 or (rows == 1 and array.ndim == 1 and len(array) > 1):
        return array[None]
    return y


def feature_names(model: Model) -> tuple[str, ...]:
    """Return the names of the network's inputs."""
    if model.encoder is not None:
        return model.encoder.feature_names
    return pixel_names(model.in_shape)


def given_columns(model: Model, given: Any, x: np.ndarray, row: int) -> tuple[GivenColumn, ...]:
    """Return the columns of a row in the units of the data, each with the inputs that it becomes."""
    numbers = dict(zip(feature_names(model), (float(v) for v in x[row].reshape(-1)), strict=True))
    encoder = model.encoder
    if encoder is None:
        values = np.asarray(given)[row].reshape(-1)
        kind = "pixel" if len(model.in_shape) > 1 else "number"
        pairs = zip(numbers.items(), values, strict=True)
        return tuple(GivenColumn(name, float(v), kind, {name: n}) for (name, n), v in pairs)
    features = _features(encoder)
    columns = []
    for k, (name, kind) in enumerate(zip(encoder.names, encoder.kinds, strict=True)):
        inputs = {feature: numbers[feature] for feature in features.get(name, ())}
        reason = encoder.dropped.get(name, "")
        note = f"not used: {reason}" if reason else ""
        columns.append(GivenColumn(name, _value(encoder, given, row, k), kind, inputs, note))
    return tuple(columns)


def _value(encoder: TableEncoder, given: Any, row: int, k: int) -> float | str | None:
    """Return the value of column k in a row; None if it is missing, or was not given because it is unused."""
    if not isinstance(given, Table):
        return _plain(np.asarray(given)[row : row + 1, k].astype(np.float64))
    name = encoder.names[k]
    if name in given:
        return _plain(given[name][row : row + 1])
    if encoder.kind == "array":
        return _plain(given[given.names[k]][row : row + 1])
    return None


def _features(encoder: TableEncoder) -> dict[str, tuple[str, ...]]:
    """Return the names of the features that each column becomes."""
    numeric = encoder.numeric
    features = {
        name: (name, *([f"{name}: missing"] if missing else []))
        for name, missing in zip(numeric.names, numeric.missing, strict=True)
    }
    return features | {other.name: other.feature_names for other in encoder.others}


def _plain(column: np.ndarray) -> float | str | None:
    """Return the value of a column of one row as a plain Python value."""
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
    """One output for a row: the name of its class, label or target, its value, and the target if known."""

    name: str
    value: float
    target: float | None


def answers_of(model: Model, trace: Trace, row: int) -> tuple[Answer, ...]:
    """Return the outputs for a row: probabilities, or values in the unit of the target."""
    output = trace.output[row]
    target = None if trace.target is None else trace.target[row]
    if isinstance(model.target_encoder, TargetScaler):
        return _scaled_answers(model.target_encoder, output, target)
    truths: Any = [None] * len(output)
    if target is not None:
        is_class = np.ndim(target) == 0 and len(output) > 1
        truths = np.arange(len(output)) == target if is_class else np.reshape(target, -1)
    return tuple(
        Answer(clean(name, 60), float(value), None if truth is None else float(truth))
        for name, value, truth in zip(
            _output_names(model, len(output)), output, truths, strict=True
        )
    )


def _scaled_answers(scaler: TargetScaler, output: Any, target: Any) -> tuple[Answer, ...]:
    values = np.reshape(scaler.inverse(output[None]), -1)
    truths: Any = [None] * len(values)
    if target is not None:
        truths = np.reshape(scaler.inverse(np.reshape(target, (1, *output.shape))), -1)
    return tuple(
        Answer(name, float(value), None if truth is None else float(truth))
        for name, value, truth in zip(scaler.names, values, truths, strict=True)
    )


def _output_names(model: Model, count: int) -> list[str]:
    """Return the names of the outputs: classes, labels or targets."""
    if isinstance(model.target_encoder, ClassEncoder):
        names = [value_text(str(label)) for label in model.target_encoder.labels]
        return names[-1:] if count == 1 else names  # a single output is that of the second class
    return list(getattr(model.target_encoder, "names", ())) or [f"output {k}" for k in range(count)]
