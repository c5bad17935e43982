"""Write the encoding of columns as ONNX operators, and turn rows into the graph's inputs.

A table has one input (rows, 1) for each column, named like the column:

    number     float64, NaN for missing          category   text, "" for missing
    date       int64, microseconds since 1970-01-01, the smallest int64 for missing (NumPy's NaT)

An array of numbers has one input "X", (rows, columns), float64. ONNX has no missing texts: if "" was a
level in training, it stays that level, and no text of that column can be missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from glassnet.data.tables import Table
from glassnet.encoding.dates import DAY, PARTS, DateEncoder
from glassnet.encoding.encoders import FAR, CategoryEncoder, NumericEncoder
from glassnet.encoding.table_encoder import TableEncoder
from glassnet.errors import ConfigurationError
from glassnet.exporting.onnx_graph import Graph, Value

TYPES = {"number": "float64", "category": "str", "date": "int64"}
NO_DATE = np.iinfo(np.int64).min


def column_inputs(encoder: TableEncoder) -> list[Value]:
    """Return the graph's inputs for an encoder.

    >>> column_inputs(TableEncoder.fit({"age": [20, 40], "sex": ["f", "m"]}))
    [Value(name='age', dtype='float64', shape=(1,)), Value(name='sex', dtype='str', shape=(1,))]
    """
    if encoder.kind == "array":
        return [Value("X", "float64", (len(encoder.names),))]
    used = {encoder.name for encoder in encoder.others} | set(encoder.numeric.names)
    if not used or "" in used:
        problem = "its column without a name" if used else "none of its columns"
        raise ConfigurationError(
            f"This model cannot be exported to ONNX: it uses {problem}, but every ONNX input needs a name."
            " Train it on named columns that hold more than one value."
        )
    kinds = zip(encoder.names, encoder.kinds, strict=True)
    return [Value(name, TYPES[kind], (1,)) for name, kind in kinds if name in used]


def feeds(encoder: TableEncoder, X: Any) -> dict[str, np.ndarray]:
    """Return rows as the graph's inputs.

    >>> encoder = TableEncoder.fit({"age": [20, 40], "sex": ["f", "m"]})
    >>> feeds(encoder, {"age": [30], "sex": [None]})
    {'age': array([[30.]]), 'sex': array([['']], dtype=object)}
    """
    used = encoder.used_columns(X)
    if encoder.kind == "array":
        return {"X": np.stack([used[name] for name in encoder.names], axis=1)}
    inputs = {}
    for name in used:
        column = used[name]
        if column.dtype.kind == "O":
            column = np.array(["" if text is None else text for text in column], object)
        elif column.dtype.kind == "M":
            column = column.astype(np.int64)
        inputs[name] = column[:, None]
    return inputs


def write_features(g: Graph, encoder: TableEncoder, sources: Mapping[str, str]) -> str:
    """Write the encoding of columns, given by name, or of a matrix, given by ""; return the features."""
    parts = []
    if encoder.numeric.names:
        parts += _numbers(g, encoder.numeric, _matrix(g, encoder, sources))
    for part in encoder.in_order:
        source = sources.get(part.name)
        if source is None:
            raise ConfigurationError(
                f"The column {part.name!r} does not hold numbers, so it needs its own input: give every"
                " column of the table an input with its name."
            )
        if isinstance(part, DateEncoder):
            parts += _date(g, part, source)
        else:
            parts.append(_category(g, part, source))
    return parts[0] if len(parts) == 1 else g.add("Concat", *parts, axis=1)


def _matrix(g: Graph, encoder: TableEncoder, sources: Mapping[str, str]) -> str:
    """Return the numeric columns as one matrix, float64."""
    names = encoder.numeric.names
    if "" in sources:
        X = g.cast(sources[""], np.float64)
        indices = np.array([encoder.names.index(name) for name in names])
        return X if names == encoder.names else g.add("Gather", X, indices, axis=1)
    columns = [g.cast(sources[name], np.float64) for name in names]
    return columns[0] if len(columns) == 1 else g.add("Concat", *columns, axis=1)


def _numbers(g: Graph, encoder: NumericEncoder, X: str) -> list[str]:
    """Write z = (x - center) / scale, clipped, and the indicators of missing values, computed in float64.

    x, center and scale are halved, so that differences do not overflow.
    """
    center, scale = np.array(encoder.center), np.array(encoder.scale)
    missing = g.add("IsNaN", X)
    z = g.add("Mul", g.add("Where", missing, center, X), np.float64(0.5))
    z = g.add("Div", g.add("Sub", z, center / 2), np.where(scale == 0, np.inf, scale / 2))
    if encoder.clip:
        z = g.add("Clip", z, np.float64(-FAR), np.float64(FAR))
        third = g.add("Div", z, np.float64(3))
        root = g.add("Sqrt", g.add("Add", g.add("Mul", third, third), np.float64(1)))
        z = g.add("Div", z, root)
    features = [g.cast(z, g.dtype)]
    indicated = np.flatnonzero(encoder.missing)
    if len(indicated):
        features.append(g.add("Gather", g.cast(missing, g.dtype), indicated, axis=1))
    return features


def _category(g: Graph, encoder: CategoryEncoder, text: str) -> str:
    """Write the index of a text's level, and a lookup of the features of that level."""
    gap = [] if "" in encoder.levels else [("", None)]
    texts, column = zip(*[*((level, level) for level in encoder.levels), *gap], strict=True)
    # the encoder's features for each level, for a missing text, and for an unseen text
    rows = encoder.transform(np.array([*column, "\0unseen"], object), g.dtype)
    index = g.add(
        "LabelEncoder", text, domain="ai.onnx.ml", keys_strings=list(texts),
        values_int64s=list(range(len(texts))), default_int64=len(texts),
    )  # fmt: skip
    return g.add("Gather", rows, g.reshape(index, -1), axis=0)


def _date(g: Graph, encoder: DateEncoder, time: str) -> list[str]:
    """Write a date in days, and as sine and cosine of its share of the year, the week and the day."""
    missing = g.add("Equal", time, np.int64(NO_DATE))
    time = g.add("Where", missing, np.int64(0), time)
    days = g.add("Div", g.cast(time, np.float64), np.float64(DAY))
    parts = _numbers(g, encoder.days, g.add("Where", missing, np.float64(np.nan), days))
    for part in encoder.parts:
        angle = g.add("Mul", SHARES[part](g, time), np.float64(2 * np.pi))
        # cos(a) = sin(a + π/2): older runtimes have no Cos in float64
        for phase in (angle, g.add("Add", angle, np.float64(np.pi / 2))):
            wave = g.add("Where", missing, np.float64(0), g.add("Sin", phase))
            parts.append(g.cast(wave, g.dtype))
    return parts


def _floor(g: Graph, x: str, by: int) -> str:
    """Return ⌊x / by⌋ of whole numbers; ONNX's Div rounds towards 0."""
    return g.add("Div", g.add("Sub", x, g.add("Mod", x, by)), by)


def _month(g: Graph, time: str) -> str:
    """Return the month as a share of the year, from days in eras of 400 years that begin in March.

    Hinnant, "chrono-Compatible Low-Level Date Algorithms", 2013.
    """
    day = g.add("Mod", g.add("Add", _floor(g, time, DAY), 719_468), 146_097)  # of the era
    leaps = g.add("Add", g.add("Div", day, 1460), g.add("Div", day, 146_096))
    year = g.add("Sub", day, g.add("Sub", leaps, g.add("Div", day, 36_524)))
    year = g.add("Div", year, 365)
    leaps = g.add("Sub", g.add("Div", year, 4), g.add("Div", year, 100))
    day = g.add("Sub", day, g.add("Add", g.add("Mul", year, 365), leaps))
    march = g.add("Div", g.add("Add", g.add("Mul", day, 5), 2), 153)  # months since March
    month = g.add("Mod", g.add("Add", march, 2), 12)
    return g.add("Div", g.cast(month, np.float64), np.float64(12))


def _weekday(g: Graph, time: str) -> str:
    day = g.add("Mod", g.add("Add", _floor(g, time, DAY), 3), 7)
    return g.add("Div", g.cast(day, np.float64), np.float64(7))


def _hour(g: Graph, time: str) -> str:
    return g.add("Div", g.cast(g.add("Mod", time, DAY), np.float64), np.float64(DAY))


SHARES = {"month": _month, "weekday": _weekday, "hour": _hour}
"""Part of a date, as in `dates.PARTS` -> function that writes its share."""
assert set(SHARES) == set(PARTS)


def sample(encoder: TableEncoder, rows: int) -> Any:
    """Return random rows with usual and extreme numbers, all levels, unseen levels and missing values."""
    rng = np.random.default_rng(0)

    def numbers(part: NumericEncoder) -> np.ndarray:
        far = np.where(np.arange(rows) % 8, 1, 1e3)[:, None]
        z = far * rng.normal(size=(rows, len(part.names)))
        X: np.ndarray = np.array(part.center) + z * np.array(part.scale)
        X[rng.random(X.shape) < 0.1] = np.nan
        return X

    X = numbers(encoder.numeric)
    if encoder.kind == "array":
        return X
    columns: dict[str, Any] = dict(zip(encoder.numeric.names, X.T, strict=True))
    for part in encoder.others:
        if isinstance(part, DateEncoder):
            days = numbers(part.days)[:, 0]
            time = np.clip(np.nan_to_num(days), -700_000, 2_000_000) * DAY
            dates = time.astype(np.int64).view("datetime64[us]")
            dates[np.isnan(days)] = np.datetime64("NaT", "us")
            columns[part.name] = dates
        else:
            gap = [] if "" in part.levels else [None]
            texts = np.array([*part.levels[: rows // 2], "never seen: ☃", *gap], object)
            columns[part.name] = texts[rng.integers(0, len(texts), rows)]
    unused = np.full(rows, np.nan)
    return Table({name: columns.get(name, unused) for name in encoder.names})
