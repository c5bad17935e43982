"""Predict with NumPy only. This file needs nothing else from glassnet and can be copied anywhere.

    from numpy_predict import load
    model = load("churn.glassnet")
    model.predict({"age": [31, 44], "city": ["Ulm", None]})

It returns what `Model.predict` and `predict_proba` return for the same rows: arrays, pictures, dictionaries
of columns, data frames. Rows and files that it cannot use raise a ValueError. A layer is one function and one
row of `LAYERS`. No code in a file is run; `glassnet.load` checks files from strangers more thoroughly.
"""

from __future__ import annotations

import contextlib
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
BATCH = 4096  # rows predicted at once, to bound the memory
TASKS = {"CrossEntropy": "classification", "BinaryCrossEntropy": "labels"}  # all others: regression
DAY = 86_400_000_000  # microseconds
Arrays = dict[str, np.ndarray]
Path = tuple[str, ...]  # of a layer: ("2",), or in a nested network ("2", "0")
Record = Mapping[str, Any]


def _sigmoid(z: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(z))
    return np.asarray(np.where(z >= 0, 1, e) / (1 + e))


def _softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def _gelu(z: np.ndarray) -> np.ndarray:
    erf: Any = np.frompyfunc(math.erf, 1, 1)(z * math.sqrt(0.5))  # NumPy itself has no erf
    return np.asarray(z * 0.5 * (1 + np.asarray(erf, z.dtype)))


def _selu(z: np.ndarray) -> np.ndarray:
    below = 1.6732632423543772 * np.expm1(np.minimum(z, 0))
    return np.asarray(1.0507009873554805 * np.where(z > 0, z, below))


def _dense(layer: Record, arrays: Arrays, x: np.ndarray) -> np.ndarray:
    return x @ arrays["W"].T + (arrays["b"] if layer["bias"] else 0)


def _batch_norm(layer: Record, arrays: Arrays, x: np.ndarray) -> np.ndarray:
    x_hat = (x - arrays["mean"]) * (1 / np.sqrt(arrays["variance"] + layer["eps"]))
    return np.asarray(arrays["gamma"] * x_hat + arrays["beta"])


def _periodic(layer: Record, arrays: Arrays, x: np.ndarray) -> np.ndarray:
    first = x[:, : layer["columns"]].T[:, :, None]
    turns = first * arrays["f"][:, None] + arrays["phase"][:, None]
    # cos(2π t) = sin(2π (1/4 - |t - round(t)|)): dropping whole turns first keeps all digits
    waves = np.sin(2 * math.pi * (0.25 - np.abs(turns - np.rint(turns))))
    mixed = waves @ arrays["W"].transpose(0, 2, 1) + arrays["b"][:, None]
    count = layer["columns"] * layer["outputs"]
    return np.concatenate([x, mixed.transpose(1, 0, 2).reshape(len(x), count)], axis=1)


def _embedding(layer: Record, arrays: Arrays, x: np.ndarray) -> np.ndarray:
    sizes = np.array(layer["places"])
    plain = x.shape[1] - len(sizes)
    codes = np.clip(x[:, plain:], 0, sizes - 1).astype(np.int64) + np.cumsum(sizes) - sizes
    embedded = arrays["E"][codes].reshape(len(x), len(sizes) * layer["size"])
    return np.concatenate([x[:, :plain], embedded], axis=1)


LAYERS: dict[str, Callable[[Record, Arrays, np.ndarray], np.ndarray]] = {
    "Dense": _dense,
    "BatchNorm": _batch_norm,
    "Flatten": lambda layer, arrays, x: x.reshape(len(x), math.prod(x.shape[1:])),
    "Rescale": lambda layer, arrays, x: x * layer["scale"] + layer["shift"],
    "Scale": lambda layer, arrays, x: arrays["s"] * x,
    "Periodic": _periodic,
    "Embedding": _embedding,
    **dict.fromkeys(("Dropout", "RandomShift", "Identity"), lambda layer, arrays, x: x),
    "Sigmoid": lambda layer, arrays, z: _sigmoid(z),
    "Tanh": lambda layer, arrays, z: np.tanh(z),
    "ReLU": lambda layer, arrays, z: np.maximum(z, 0),
    "LeakyReLU": lambda layer, arrays, z: np.where(z > 0, z, layer["slope"] * z),
    "Softplus": lambda layer, arrays, z: np.logaddexp(z, 0),
    "SiLU": lambda layer, arrays, z: z * _sigmoid(z),
    "GELU": lambda layer, arrays, z: _gelu(z),
    "SELU": lambda layer, arrays, z: _selu(z),
    "Mish": lambda layer, arrays, z: z * np.tanh(np.logaddexp(z, 0)),
}
OUTPUTS: Any = {"classification": _softmax, "labels": _sigmoid, "regression": np.asarray}


def _forward(layer: Record, arrays: dict[Path, Arrays], path: Path, x: np.ndarray) -> np.ndarray:
    """Return the output of the layer, or the network, at a path."""
    if layer["type"] != "Network":
        return LAYERS[layer["type"]](layer, arrays.get(path, {}), x)
    for i, part in enumerate(layer["layers"]):
        x = _forward(part, arrays, (*path, str(i)), x)
    return x


# --- columns as float64, as datetime64[us], or as texts and None ----------------------------------------


def _present(values: np.ndarray) -> np.ndarray:
    """Return which values are not None, NaN, NaT, or pandas's NA."""
    nulls = ("NoneType", "NAType", "NaTType")
    return np.array([type(v).__name__ not in nulls and v == v for v in values], bool)


def _as_column(values: Any, name: str) -> np.ndarray:
    """Return values of any type as a column of one of these three types."""
    if hasattr(values, "to_pylist"):  # Arrow's
        values = values.to_pylist()
    array = np.asarray(values) if hasattr(values, "__array__") else np.fromiter(values, object)
    if array.ndim != 1 or array.dtype.kind not in "biufmMUSTO":
        raise ValueError(f"Column {name!r} must hold one number, text or date per row.")
    if array.dtype.kind in "iuf":
        return array.astype(np.float64)
    if array.dtype.kind == "M":
        return array.astype("datetime64[us]")
    if array.dtype.kind == "m":
        return np.asarray(array / np.timedelta64(1, "s"), np.float64)
    present = _present(array)
    values = [v.item() if isinstance(v, np.generic) else v for v in array[present]]
    kinds = {
        "boolean" if isinstance(v, bool) else
        "number" if isinstance(v, numbers.Real | decimal.Decimal) else
        "date" if isinstance(v, datetime.date) else "text"
        for v in values
    }  # fmt: skip
    if kinds == {"date"}:
        return _spread(present, [_date(v) for v in values], "date")
    if kinds <= {"number"}:
        return _spread(present, [float(v) for v in values], "number")
    decoded = (v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in values)
    return _spread(present, [str(v) for v in decoded], "category")


_MISSING: dict[str, tuple[Any, ...]] = {
    "number": (np.nan, np.float64),
    "category": (None, object),
    "date": (np.datetime64("NaT", "us"), "datetime64[us]"),
}


def _spread(present: np.ndarray, values: list[Any], kind: str) -> np.ndarray:
    """Return a column with these values where they are present, and missing values elsewhere."""
    column = np.full(len(present), *_MISSING[kind])
    column[present] = values
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
    """Return a column converted to the kind that it had in training, if possible."""
    kind = {"f": "number", "O": "category", "M": "date"}[column.dtype.kind]
    if kind == wanted:
        return column
    present = _present(column)
    if present.any() and {kind, wanted} == {"number", "date"}:
        raise ValueError(f"Column {name!r} holds {kind} values, but {wanted} values in training.")
    if wanted == "category":
        return _spread(present, _levels_of(column[present], levels), wanted)
    try:
        parse: Callable[[str], Any] = _number if wanted == "number" else _date
        return _spread(present, [parse(text) for text in column[present]], wanted)
    except (ValueError, OverflowError):
        raise ValueError(f"Column {name!r} holds a text that is not a {wanted}.") from None


def _levels_of(values: np.ndarray, levels: Sequence[str]) -> list[str]:
    """Return numbers or dates spelled like the levels of training: 3.0 as "3", "3.0" or "003"."""
    if values.dtype.kind == "M":
        return [str(np.datetime_as_string(values[i : i + 1])[0]) for i in range(len(values))]
    written: dict[float, str] = {}
    for level in levels:
        with contextlib.suppress(ValueError):
            written.setdefault(_number(level), level)
    whole = (math.isfinite(v) and v.is_integer() for v in values.tolist())
    texts = [str(int(v)) if w else repr(v) for v, w in zip(values.tolist(), whole, strict=True)]
    known = set(levels)
    return [t if t in known else written.get(float(t), t) for t in texts]


def _scaled(record: Record, X: np.ndarray, dtype: Any) -> np.ndarray:
    """Return numbers (n, columns), scaled and clipped, then the indicators of missing ones."""
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


def _categories(record: Record, column: np.ndarray, dtype: Any) -> np.ndarray:
    """Return a category as its code, as +1 and -1 for two levels, or one-hot."""
    levels, other, missing = record["levels"], record["other"], record["missing"]
    codes = {level: code for code, level in enumerate(levels)}
    if record["coded"]:
        coded = [0 if v is None else codes.get(v, -1) + 2 for v in column]
        return np.array(coded, dtype).reshape(-1, 1)
    width = len(levels) + other + missing
    unseen = len(levels) if other else width
    absent = width - 1 if missing else width
    index = np.array([absent if v is None else codes.get(v, unseen) for v in column], np.intp)
    rows = np.eye(width + 1, width, dtype=dtype)
    signed = len(levels) == 2 and not other
    return np.asarray((rows[:, :1] - rows[:, 1:2] if signed else rows)[index])


def _calendar(record: Record, column: np.ndarray, dtype: Any) -> np.ndarray:
    """Return a date in days, and as sine and cosine of its share of the year, the week and the day."""
    present = ~np.isnat(column)
    number = np.where(present, column.astype(np.int64), 0)
    months = number.view("datetime64[us]").astype("datetime64[M]").astype(np.int64)
    shares = {
        "month": months % 12 / 12,
        "weekday": (number // DAY + 3) % 7 / 7,
        "hour": number % DAY / DAY,
    }
    parts = [_scaled(record["days"], np.where(present, number / DAY, np.nan)[:, None], dtype)]
    for part in record["parts"]:
        angle = 2 * np.pi * shares[part]
        waves = np.stack([np.sin(angle), np.cos(angle)], axis=1)
        parts.append(np.where(present[:, None], waves, 0).astype(dtype))
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
    """The model of a file.

    record: what `glassnet inspect MODEL --json` shows. tensors: its arrays, by their names in the file.
    """

    def __init__(self, record: Record, tensors: Mapping[str, np.ndarray]) -> None:
        self.record, self.dtype = record, np.dtype(record["dtype"])
        self.task = TASKS.get(record["loss"]["type"], "regression")
        self._target = record["target"]["type"] if record["target"] else None
        self._members: list[dict[Path, Arrays]] = [{} for _ in range(record["members"])]
        for name, array in tensors.items():
            _, *path, array_name = name.split("/")  # such as "params/0/W"
            by_member = array if len(self._members) > 1 else array[None]
            for layers, values in zip(self._members, by_member, strict=True):
                layers.setdefault(tuple(path), {})[array_name] = values

    @property
    def classes(self) -> np.ndarray | None:
        """The classes in the order of `predict_proba`'s columns; None if they have no names."""
        if self._target != "classes":
            return None
        record = self.record["target"]["record"]
        return np.array(record["classes"], record["dtype"])

    def predict(self, X: Any) -> np.ndarray:
        """Return the class of each row, its labels, or its value in the unit of the target."""
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
            raise ValueError("This model predicts values, not probabilities: use predict.")
        p = self.outputs(X)
        single = p.shape[1] == 1 and self._target != "labels"
        return np.concatenate([1 - p, p], axis=1) if single else p

    def outputs(self, X: Any) -> np.ndarray:
        """Return the mean of the members' probabilities, or of their values in the network's unit."""
        x = self._array(X) if self.record["encoder"] is None else self._features(X)
        if len(x) == 0:
            raise ValueError("X is empty, so there is no row to predict.")
        output, t, means = OUTPUTS[self.task], self.dtype.type(self.record["temperature"]), []
        with np.errstate(over="ignore", under="ignore"):
            for first in range(0, len(x), BATCH):
                rows = x[first : first + BATCH].astype(self.dtype)
                logits = (_forward(self.record["network"], m, (), rows) for m in self._members)
                means.append(np.mean([output(t * z) for z in logits], axis=0, dtype=self.dtype))
        return np.concatenate(means)

    def _array(self, X: Any) -> np.ndarray:
        """Return rows as an array, for a model without an encoder."""
        shape = tuple(self.record["in_shape"])
        x = np.asarray(X.toarray() if hasattr(X, "toarray") else X)
        x = x if x.dtype.kind in "biu" else x.astype(self.dtype)
        if x.ndim < 2 or x.shape[1:] != shape:
            raise ValueError(f"X has shape {x.shape}, but the model takes rows of shape {shape}.")
        if x.dtype.kind == "f" and not np.isfinite(x).all():
            raise ValueError("X holds missing or infinite numbers, which this model cannot use.")
        return x

    def _features(self, X: Any) -> np.ndarray:
        """Return the features of a table, matching columns by name, or of an array, by position."""
        encoder = self.record["encoder"]
        names, named, by_position = encoder["names"], _named(X), encoder["kind"] == "array"
        if named is None:
            X = np.asarray(X.toarray() if hasattr(X, "toarray") else X)
            if X.ndim != 2:
                raise ValueError(f"X has shape {X.shape}, but (rows, columns) is needed.")
            by_position = by_position or X.dtype.kind in "biuf"
            X = X.astype(np.float64) if X.dtype.kind == "b" else X
            named = {str(k): column for k, column in enumerate(X.T)}
        if by_position:
            if len(named) != len(names):
                raise ValueError(f"X has {len(named)} columns, but the model expects {len(names)}.")
            named = dict(zip(names, named.values(), strict=True))
        kinds = zip(names, encoder["kinds"], strict=True)
        wanted = {name: kind for name, kind in kinds if name not in encoder["dropped"]}
        for name in wanted:
            if name not in named:
                raise ValueError(f"X lacks the column {name!r}; it has: {', '.join(named)[:500]}.")
        levels = {part["name"]: part.get("levels", ()) for part in encoder["others"]}
        used = {
            name: _converted(_as_column(named[name], name), kind, name, levels.get(name, ()))
            for name, kind in wanted.items()
        }
        rows = len(next(iter((used or named).values())))
        numeric = (used[name] for name in encoder["numeric"]["names"])
        X = np.stack([np.zeros(rows), *numeric], axis=1)[:, 1:]
        parts = [_scaled(encoder["numeric"], X, self.dtype)]
        for part in sorted(encoder["others"], key=lambda part: bool(part.get("coded", False))):
            encode = _calendar if "days" in part else _categories
            parts.append(encode(part, used[part["name"]], self.dtype))
        features = np.concatenate(parts, axis=1)
        return features if features.shape[1] else np.zeros((rows, 1), self.dtype)


def load(path: str | os.PathLike[str]) -> Predictor:
    """Return the model of a file that glassnet wrote; ValueError if it is not such a file."""
    with open(path, "rb") as file:
        return loads(file.read())


def loads(data: bytes) -> Predictor:
    """Return the model in the bytes of such a file; ValueError if they are damaged."""
    try:
        start = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:start])
        header.pop("errors", None)  # for intervals, which this file does not compute
        record = json.loads(header.pop("__metadata__")["glassnet"])
        if record["format"] != FORMAT:
            raise ValueError(f"format {record['format']}, but this reads format {FORMAT}")
        types, body, tensors = {"F32": "<f4", "F64": "<f8"}, memoryview(data)[start:], {}
        for name, part in header.items():
            array = np.frombuffer(body[slice(*part["data_offsets"])], types[part["dtype"]])
            tensors[name] = array.reshape(part["shape"])
        return Predictor(record, tensors)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise ValueError(f"This is not a usable glassnet model file: {error!r}") from None
