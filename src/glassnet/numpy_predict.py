"""Predict with NumPy alone: this one file needs no JAX, and nothing else of glassnet; copy it where you like.

    from numpy_predict import load
    model = load("churn.glassnet")
    model.predict({"age": [31, 44], "city": ["Ulm", None]})

It answers as `Model.predict` and `predict_proba` do, to the same rows: arrays, pictures, dictionaries of
columns, data frames. What it cannot use is a ValueError. A layer is one function and one row of `LAYERS`.
Files from strangers belong into `glassnet.load`, which checks more; here too nothing in a file is run.
"""

from __future__ import annotations

import datetime
import decimal
import json
import math
import numbers
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

FORMAT = 1
BATCH = 4096  # rows worked on at once, so that memory stays small
TASKS = {"CrossEntropy": "classification", "BinaryCrossEntropy": "labels"}  # else: regression
DAY = 86_400_000_000  # microseconds
Arrays = Mapping[str, np.ndarray]
Record = Mapping[str, Any]


def _sigmoid(z: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(z))
    return np.asarray(np.where(z >= 0, 1, e) / (1 + e))


def _softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def _gelu(z: np.ndarray) -> np.ndarray:
    erf: Any = np.frompyfunc(math.erf, 1, 1)(z * math.sqrt(0.5))  # NumPy has none: number by number
    return np.asarray(z * 0.5 * (1 + np.asarray(erf, z.dtype)))


def _selu(z: np.ndarray) -> np.ndarray:
    below = 1.6732632423543772 * np.expm1(np.minimum(z, 0))
    return np.asarray(1.0507009873554805 * np.where(z > 0, z, below))


def _dense(layer: Record, own: Arrays, x: np.ndarray) -> np.ndarray:
    return x @ own["W"].T + (own["b"] if layer["bias"] else 0)


def _batch_norm(layer: Record, own: Arrays, x: np.ndarray) -> np.ndarray:
    x_hat = (x - own["mean"]) * (1 / np.sqrt(own["variance"] + layer["eps"]))
    return np.asarray(own["gamma"] * x_hat + own["beta"])


def _periodic(layer: Record, own: Arrays, x: np.ndarray) -> np.ndarray:
    first = x[:, : layer["columns"]].T[:, :, None]
    turns = first * own["f"][:, None] + own["phase"][:, None]
    # cos(2π t) = sin(2π (1/4 - |t - round(t)|)): whole turns are taken off exactly
    waves = np.sin(2 * math.pi * (0.25 - np.abs(turns - np.rint(turns))))
    mixed = waves @ own["W"].transpose(0, 2, 1) + own["b"][:, None]
    count = layer["columns"] * layer["outputs"]
    return np.concatenate([x, mixed.transpose(1, 0, 2).reshape(len(x), count)], axis=1)


def _embedding(layer: Record, own: Arrays, x: np.ndarray) -> np.ndarray:
    most = np.array(layer["places"])
    plain = x.shape[1] - len(most)
    codes = np.clip(x[:, plain:], 0, most - 1).astype(np.int64) + np.cumsum(most) - most
    found = own["E"][codes].reshape(len(x), len(most) * layer["size"])
    return np.concatenate([x[:, :plain], found], axis=1)


LAYERS: dict[str, Callable[[Record, Arrays, np.ndarray], np.ndarray]] = {
    "Dense": _dense,
    "BatchNorm": _batch_norm,
    "Flatten": lambda layer, own, x: x.reshape(len(x), math.prod(x.shape[1:])),
    "Rescale": lambda layer, own, x: x * layer["scale"] + layer["shift"],
    "Scale": lambda layer, own, x: own["s"] * x,
    "Periodic": _periodic,
    "Embedding": _embedding,
    **dict.fromkeys(("Dropout", "RandomShift", "Identity"), lambda layer, own, x: x),
    "Sigmoid": lambda layer, own, z: _sigmoid(z),
    "Tanh": lambda layer, own, z: np.tanh(z),
    "ReLU": lambda layer, own, z: np.maximum(z, 0),
    "LeakyReLU": lambda layer, own, z: np.where(z > 0, z, layer["slope"] * z),
    "Softplus": lambda layer, own, z: np.logaddexp(z, 0),
    "SiLU": lambda layer, own, z: z * _sigmoid(z),
    "GELU": lambda layer, own, z: _gelu(z),
    "SELU": lambda layer, own, z: _selu(z),
    "Mish": lambda layer, own, z: z * np.tanh(np.logaddexp(z, 0)),
}
OUTPUTS: Mapping[str, Any] = {
    "classification": _softmax, "labels": _sigmoid, "regression": np.asarray
}  # fmt: skip


def _forward(
    layer: Record, arrays: Mapping[tuple[str, ...], Arrays], place: tuple[str, ...], x: np.ndarray
) -> np.ndarray:
    """Return what leaves a layer at its place, or a network's last layer."""
    if layer["type"] != "Network":
        return LAYERS[layer["type"]](layer, arrays.get(place, {}), x)
    for i, part in enumerate(layer["layers"]):
        x = _forward(part, arrays, (*place, str(i)), x)
    return x


# --- columns in the three forms: float64, datetime64[us], texts and None -------------------------------


def _there(values: np.ndarray) -> np.ndarray:
    """Return which values are not None, NaN, NaT, or what pandas puts in their places."""
    missing = (v is None or type(v).__name__ in ("NAType", "NaTType") or v != v for v in values)
    return np.array([not gone for gone in missing], bool)


def _normal(values: Any, name: str) -> np.ndarray:
    """Return values of any type as a column in one of the three forms."""
    if hasattr(values, "to_pylist"):  # Arrow's
        values = values.to_pylist()
    array = np.asarray(values) if hasattr(values, "__array__") else np.fromiter(values, object)
    if array.ndim != 1 or array.dtype.kind not in "biufmMUSTO":
        raise ValueError(f"Column {name!r} must hold one number, text or date a row.")
    if array.dtype.kind in "iuf":
        return array.astype(np.float64)
    if array.dtype.kind == "M":
        return array.astype("datetime64[us]")
    if array.dtype.kind == "m":
        return np.asarray(array / np.timedelta64(1, "s"), np.float64)
    there = _there(array)
    present = [v.item() if isinstance(v, np.generic) else v for v in array[there]]
    kinds = {
        "boolean" if isinstance(v, bool) else
        "number" if isinstance(v, numbers.Real | decimal.Decimal) else
        "date" if isinstance(v, datetime.date) else "text"
        for v in present
    }  # fmt: skip
    if kinds == {"date"}:
        return _placed(there, [_date(v) for v in present], "date")
    if kinds <= {"number"}:
        return _placed(there, [float(v) for v in present], "number")
    decoded = (v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in present)
    return _placed(there, [str(v) for v in decoded], "category")


_GAPS: dict[str, tuple[Any, ...]] = {
    "number": (np.nan, np.float64),
    "category": (None, object),
    "date": (np.datetime64("NaT", "us"), "datetime64[us]"),
}


def _placed(there: np.ndarray, values: list[Any], kind: str) -> np.ndarray:
    """Return a column of a kind: the values where they are there, else missing."""
    column = np.full(len(there), *_GAPS[kind])
    column[there] = values
    return column


def _date(time: Any) -> np.datetime64:
    time = datetime.datetime.fromisoformat(time) if isinstance(time, str) else time
    if isinstance(time, datetime.datetime) and time.tzinfo is not None:
        time = time.astimezone(datetime.UTC).replace(tzinfo=None)
    return np.datetime64(time, "us")


def _number(text: str) -> float:
    if "_" in text:  # float() takes 1_000
        raise ValueError(text)
    return {"True": 1.0, "False": 0.0}[text] if text in ("True", "False") else float(text)


def _converted(column: np.ndarray, wanted: str, name: str, levels: Sequence[str]) -> np.ndarray:
    """Return a column as one of the kind that it had in training, where that is possible."""
    seen = {"f": "number", "O": "category", "M": "date"}[column.dtype.kind]
    if seen == wanted:
        return column
    there = _there(column)
    if there.any() and {seen, wanted} == {"number", "date"}:
        raise ValueError(f"Column {name!r} holds {seen} values, but held {wanted} values before.")
    if wanted == "category":
        return _placed(there, _levels_of(column[there], levels), wanted)
    try:
        parse: Callable[[str], Any] = _number if wanted == "number" else _date
        return _placed(there, [parse(text) for text in column[there]], wanted)
    except (ValueError, OverflowError):
        raise ValueError(f"Column {name!r} holds a text that is no {wanted}.") from None


def _levels_of(values: np.ndarray, levels: Sequence[str]) -> list[str]:
    """Return each number or date as the level that is written so: 3.0 is "3", or "3.0", or "003"."""
    if values.dtype.kind == "M":
        return [str(np.datetime_as_string(values[i : i + 1])[0]) for i in range(len(values))]
    written: dict[float, str] = {}
    for level in levels:
        try:
            written.setdefault(_number(level), level)
        except ValueError:
            continue
    whole = (math.isfinite(v) and v.is_integer() for v in values.tolist())
    texts = [str(int(v)) if w else repr(v) for v, w in zip(values.tolist(), whole, strict=True)]
    known = set(levels)
    return [t if t in known else written.get(float(t), t) for t in texts]


def _scaled(record: Record, X: np.ndarray, dtype: Any) -> np.ndarray:
    """Return numbers (n, columns) scaled, clipped, and their "missing" indicators."""
    infinite = np.isinf(X).any(axis=0)
    if infinite.any():
        raise ValueError(f"Column {record['names'][int(infinite.argmax())]!r} is infinite.")
    center, scale = np.array(record["center"]), np.array(record["scale"])
    missing = np.isnan(X)
    with np.errstate(over="ignore"):
        z = np.where(missing, center, X) * 0.5 - center / 2
        z = z / np.where(scale == 0, np.inf, scale / 2)
        if record["clip"]:
            z = np.clip(z, -1e150, 1e150)
            z = z / np.sqrt(1 + np.square(z / 3))
        features = np.concatenate([z, missing[:, np.flatnonzero(record["missing"])]], axis=1)
        return features.astype(dtype)


def _places(record: Record, column: np.ndarray, dtype: Any) -> np.ndarray:
    """Return the places of a category: one of them 1, or +1 and -1, or the number of the place."""
    levels, other, missing = record["levels"], record["other"], record["missing"]
    codes = {level: code for code, level in enumerate(levels)}
    if record["coded"]:
        found = [0 if v is None else codes.get(v, -1) + 2 for v in column]
        return np.array(found, dtype).reshape(-1, 1)
    nowhere = len(levels) + other + missing
    unseen = len(levels) if other else nowhere
    absent = nowhere - 1 if missing else nowhere
    place = np.array([absent if v is None else codes.get(v, unseen) for v in column], np.intp)
    rows = np.eye(nowhere + 1, nowhere, dtype=dtype)
    signed = len(levels) == 2 and not other
    return np.asarray((rows[:, :1] - rows[:, 1:2] if signed else rows)[place])


def _calendar(record: Record, column: np.ndarray, dtype: Any) -> np.ndarray:
    """Return a date's days, and its places on the circles of year, week and day."""
    there = ~np.isnat(column)
    number = np.where(there, column.astype(np.int64), 0)
    months = number.view("datetime64[us]").astype("datetime64[M]").astype(np.int64)
    shares = {
        "month": months % 12 / 12,
        "weekday": (number // DAY + 3) % 7 / 7,
        "hour": number % DAY / DAY,
    }
    parts = [_scaled(record["days"], np.where(there, number / DAY, np.nan)[:, None], dtype)]
    for part in record["parts"]:
        angle = 2 * np.pi * shares[part]
        waves = np.stack([np.sin(angle), np.cos(angle)], axis=1)
        parts.append(np.where(there[:, None], waves, 0).astype(dtype))
    return np.concatenate(parts, axis=1)


def _named(X: Any) -> dict[str, Any] | None:
    """Return the columns of a table by name; None if X is an array or a list of rows."""
    if isinstance(X, np.ndarray) and X.dtype.names:
        return {name: X[name] for name in X.dtype.names}
    if isinstance(X, Mapping):
        return {str(name): values for name, values in X.items()}
    names = getattr(X, "column_names", getattr(X, "columns", None))  # Arrow's, or a data frame's
    return None if names is None else {str(name): X[name] for name in names}


class Predictor:
    """A model of a file: what it predicts for a person's rows.

    record: what `glassnet inspect MODEL --json` shows. tensors: its arrays, by the names in the file.
    """

    def __init__(self, record: Record, tensors: Mapping[str, np.ndarray]) -> None:
        self.record, self.dtype = record, np.dtype(record["dtype"])
        self.task = TASKS.get(record["loss"]["type"], "regression")
        self._target = record["target"]["type"] if record["target"] else None
        self._members: list[dict[tuple[str, ...], dict[str, np.ndarray]]] = []
        for member in range(record["members"]):
            places: dict[tuple[str, ...], dict[str, np.ndarray]] = {}
            for name, array in tensors.items():
                _, *place, own = name.split(
                    "/"
                )  # params or state, the layer's place, the array's name
                array = array[member] if record["members"] > 1 else array
                places.setdefault(tuple(place), {})[own] = array
            self._members.append(places)

    @property
    def classes(self) -> np.ndarray | None:
        """The classes in the order of `predict_proba`'s columns; None if they have no names."""
        if self._target != "classes":
            return None
        record = self.record["target"]["record"]
        return np.array(record["classes"], record["dtype"])

    def predict(self, X: Any) -> np.ndarray:
        """Return the class of each row, its labels, or its value in the target's own unit."""
        outputs = self.outputs(X)
        if self.task == "regression":
            if self._target is None:
                return outputs
            record = self.record["target"]["record"]
            values = outputs.astype(np.float64) * record["scale"] + record["center"]
            return np.asarray(values[:, 0] if record["one_dimensional"] else values)
        if self.task == "labels" and (self._target == "labels" or outputs.shape[1] > 1):
            return (outputs > 0.5).astype(np.int64)
        codes = outputs.argmax(axis=1) if self.task == "classification" else outputs[:, 0] > 0.5
        codes, classes = codes.astype(np.int64), self.classes
        return codes if classes is None else np.asarray(classes[codes])

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class (n, classes), or of each label (n, labels)."""
        if self.task == "regression":
            raise ValueError(
                "This model predicts values, which have no probabilities: use predict."
            )
        p = self.outputs(X)
        single = p.shape[1] == 1 and self._target != "labels"
        return np.concatenate([1 - p, p], axis=1) if single else p

    def outputs(self, X: Any) -> np.ndarray:
        """Return the mean over the networks of their probabilities, or values before their own unit."""
        x = self._array(X) if self.record["encoder"] is None else self._features(X)
        if len(x) == 0:
            raise ValueError("There is no row to predict: X is empty.")
        output, t, found = OUTPUTS[self.task], self.dtype.type(self.record["temperature"]), []
        with np.errstate(over="ignore", under="ignore"):
            for first in range(0, len(x), BATCH):
                rows = x[first : first + BATCH].astype(self.dtype)
                ends = (_forward(self.record["network"], own, (), rows) for own in self._members)
                found.append(np.mean([output(t * z) for z in ends], axis=0, dtype=self.dtype))
        return np.concatenate(found)

    def _array(self, X: Any) -> np.ndarray:
        """Return rows of a model that takes arrays as they are."""
        shape = tuple(self.record["in_shape"])
        x = np.asarray(X.toarray() if hasattr(X, "toarray") else X)
        x = x if x.dtype.kind in "biu" else x.astype(self.dtype)
        if x.ndim < 2 or x.shape[1:] != shape:
            raise ValueError(f"X has shape {x.shape}, but the model takes rows of shape {shape}.")
        if x.dtype.kind == "f" and not np.isfinite(x).all():
            raise ValueError(
                "X holds missing or infinite numbers: nothing can be computed of them."
            )
        return x

    def _features(self, X: Any) -> np.ndarray:
        """Return the features of a table's columns, found by their names, or of an array's, by place."""
        encoder = self.record["encoder"]
        names, named, by_place = encoder["names"], _named(X), encoder["kind"] == "array"
        if named is None:
            X = np.asarray(X.toarray() if hasattr(X, "toarray") else X)
            if X.ndim != 2:
                raise ValueError(f"X has shape {X.shape}, but (rows, columns) is needed.")
            by_place = by_place or X.dtype.kind in "biuf"
            X = X.astype(np.float64) if X.dtype.kind == "b" else X
            named = {str(place): column for place, column in enumerate(X.T)}
        if by_place:
            if len(named) != len(names):
                raise ValueError(f"X has {len(named)} columns, but the model expects {len(names)}.")
            named = dict(zip(names, named.values(), strict=True))
        kinds = zip(names, encoder["kinds"], strict=True)
        wanted = {name: kind for name, kind in kinds if name not in encoder["dropped"]}
        absent = [name for name in wanted if name not in named]
        if absent:
            raise ValueError(f"X lacks the column {absent[0]!r}; it has: {', '.join(named)[:500]}.")
        levels = {part["name"]: part.get("levels", ()) for part in encoder["others"]}
        used = {
            name: _converted(_normal(named[name], name), kind, name, levels.get(name, ()))
            for name, kind in wanted.items()
        }
        rows = len(next(iter((used or named).values())))
        plain = (used[name] for name in encoder["numeric"]["names"])
        X = np.stack([np.zeros(rows), *plain], axis=1)[:, 1:]
        parts = [_scaled(encoder["numeric"], X, self.dtype)]
        for part in sorted(encoder["others"], key=lambda part: bool(part.get("coded", False))):
            encode = _calendar if "days" in part else _places
            parts.append(encode(part, used[part["name"]], self.dtype))
        features = np.concatenate(parts, axis=1)
        return features if features.shape[1] else np.zeros((rows, 1), self.dtype)


def load(path: str | os.PathLike[str]) -> Predictor:
    """Return the model of a file that glassnet wrote; raises ValueError if it is none."""
    with open(path, "rb") as file:
        return loads(file.read())


def loads(data: bytes) -> Predictor:
    """Return the model in the bytes of a file that glassnet wrote; raises ValueError if it is none."""
    try:
        start = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:start])
        header.pop("errors", None)  # for intervals, which need more than a prediction
        record = json.loads(header.pop("__metadata__")["glassnet"])
        if record["format"] != FORMAT:
            raise ValueError(f"format {record['format']}, but this reads format {FORMAT}")
        tensors = {
            name: np.frombuffer(
                data[start:][slice(*part["data_offsets"])],
                {"F32": "<f4", "F64": "<f8"}[part["dtype"]],
            ).reshape(part["shape"])
            for name, part in header.items()
        }
        return Predictor(record, tensors)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise ValueError(f"This is not a usable glassnet model file: {error!r}") from None
