"""Encode a table, or an array of numbers, as the inputs of a network.

`TableEncoder` holds one encoder for all numeric columns, one for each category and each date, and
the names of the dropped columns with the reasons. All of it is plain numbers and texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from glassnet.data.conversion import converted
from glassnet.data.tables import Column, Kind, Table, as_table, dense, is_table, missing_in
from glassnet.data.weighted_statistics import Floats, check_weights, counted_rows
from glassnet.encoding.dates import DateEncoder
from glassnet.encoding.encoders import CategoryEncoder, NumericEncoder, Scaling, numbered
from glassnet.encoding.target_kinds import sniff_task
from glassnet.encoding.targets import ClassEncoder, LabelsEncoder, TargetScaler
from glassnet.errors import DataError, did_you_mean
from glassnet.storage.fields import Fields, refuse_field

__all__ = [
    "CategoryEncoder",
    "ClassEncoder",
    "DateEncoder",
    "LabelsEncoder",
    "NumericEncoder",
    "TableEncoder",
    "TargetScaler",
    "sniff_task",
]

KINDS: tuple[Kind, ...] = ("number", "category", "date")
IDENTIFIER_LEVELS = 20
IDENTIFIER_SHARE = 0.5


@dataclass(frozen=True)
class TableEncoder:
    """The encoding of a table or an array of numbers, as a fitted model keeps it.

    The order of the features: numbers, their "missing" indicators, categories and dates in the order
    of their columns, and last the coded categories (more than `code_above` levels). These columns of
    a table are dropped:

    - columns whose values are all missing, or all the same with none missing;
    - text with more than 20 levels, and more than half as many levels as known values: it names
      rows (or is free text), and says nothing about new rows.

    An array keeps all its columns in order (constant ones become 0). If a table has no column left,
    there is one feature, always 0.

    >>> table = as_table({"age": [20, 40, 30], "sex": ["f", "m", "m"], "unit": ["cm", "cm", "cm"]})
    >>> encoder = TableEncoder.fit(table)
    >>> encoder.feature_names, encoder.dropped
    (('age', 'sex=m'), {'unit': "every value is the same ('cm')"})
    >>> encoder.transform({"age": [30], "sex": ["m"]})
    array([[0., 1.]], dtype=float32)
    """

    kind: Literal["array", "table"]
    names: tuple[str, ...]
    kinds: tuple[Kind, ...]
    numeric: NumericEncoder
    others: tuple[CategoryEncoder | DateEncoder, ...]
    dropped: dict[str, str]

    @classmethod
    def fit(
        cls,
        X: Any,
        weight: ArrayLike | None = None,
        *,
        scaling: Scaling = "robust",
        clip: bool = True,
        max_levels: int = 64,
        code_above: int | None = None,
    ) -> TableEncoder:
        """Learn the encoding of X: a table, or numbers of shape (rows, columns).

        Raises `DataError` for infinite numbers, an unusable shape or weights, `ConfigurationError`
        for an unknown option.
        """
        X = _table_or_matrix(X)
        weight = check_weights(weight, len(X))
        if not isinstance(X, Table):
            names, kinds = numbered(X.shape[1]), ("number",) * X.shape[1]
            numeric = NumericEncoder.fit(X, weight, scaling=scaling, clip=clip)
            return cls("array", names, kinds, numeric, (), {})
        rows = counted_rows(weight)
        counted = X if rows is None else X.rows(rows)
        reasons = {name: _useless(counted[name]) for name in X}
        dropped = {name: reason for name, reason in reasons.items() if reason}
        used = X.without(*dropped)
        numbers = tuple(name for name in used if used.kind(name) == "number")
        numeric = NumericEncoder.fit(
            _matrix(used, numbers), weight, names=numbers, scaling=scaling, clip=clip
        )
        others: list[CategoryEncoder | DateEncoder] = []
        for name in used:
            if used.kind(name) == "category":
                category = CategoryEncoder.fit(
                    used[name], weight, name=name, max_levels=max_levels, code_above=code_above
                )
                others.append(category)
            elif used.kind(name) == "date":
                others.append(
                    DateEncoder.fit(used[name], weight, name=name, scaling=scaling, clip=clip)
                )
        kinds = tuple(X.kind(name) for name in X)
        return cls("table", X.names, kinds, numeric, tuple(others), dropped)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features that `transform` returns."""
        names = self.numeric.feature_names
        for encoder in self.in_order:
            names += encoder.feature_names
        return names or ("constant",)

    @property
    def feature_columns(self) -> tuple[str, ...]:
        """The column that each feature comes from; "" for the feature that is always 0."""
        numbers = self.numeric
        indicated = zip(numbers.names, numbers.missing, strict=True)
        names = numbers.names + tuple(name for name, missing in indicated if missing)
        for encoder in self.in_order:
            names += (encoder.name,) * len(encoder.feature_names)
        return names or ("",)

    @property
    def in_order(self) -> list[CategoryEncoder | DateEncoder]:
        """The encoders of categories and dates in the order of their features."""
        return sorted(self.others, key=lambda encoder: getattr(encoder, "coded", False))

    @property
    def places(self) -> tuple[int, ...]:
        """The number of codes of each coded feature; these features come last."""
        coded = (e for e in self.others if isinstance(e, CategoryEncoder) and e.coded)
        return tuple(encoder.places for encoder in coded)

    @property
    def n_features(self) -> int:
        """The number of features that `transform` returns, at least 1."""
        return len(self.feature_names)

    def transform(self, X: Any, dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """Return the features of X, (rows, features) of the dtype.

        Columns of a table are looked up by name, in any order; columns that training did not have,
        or dropped, are ignored. A column whose kind differs from training is converted where
        possible: the text "3" to a number, numbers to levels that look like numbers, text to
        dates. The columns of an array are taken by position. Raises `DataError`, which names what
        is missing or cannot be converted.
        """
        X = _table_or_matrix(X)
        if not isinstance(X, Table) and self.kind == "array":
            self._check_width(X.shape[1])
            return self.numeric.transform(X, dtype)
        used = self.used_columns(X)
        parts = [self.numeric.transform(_matrix(used, self.numeric.names, len(X)), dtype)]
        parts += [encoder.transform(used[encoder.name], dtype) for encoder in self.in_order]
        features = np.concatenate(parts, axis=1)
        return features if features.shape[1] else np.zeros((len(X), 1), dtype)

    def used_columns(self, X: Any) -> Table:
        """Return the columns that the features come from, converted to their kinds in training.

        Raises `DataError` as `transform` does.
        """
        table = self._named(_table_or_matrix(X))
        encoders = {encoder.name: encoder for encoder in self.others}
        kinds = dict(zip(self.names, self.kinds, strict=True))
        return Table(
            {
                name: converted(
                    table[name], kinds[name], name, getattr(encoders.get(name), "levels", ())
                )
                for name in (*self.numeric.names, *encoders)
            }
        )

    def extra_columns(self, X: Any) -> tuple[str, ...]:
        """Return a table's columns that training did not have; `transform` ignores them."""
        if self.kind == "array" or not is_table(X):
            return ()
        return tuple(name for name in as_table(X) if name not in self.names)

    def _check_width(self, columns: int) -> None:
        if columns != len(self.names):
            raise DataError(  # scikit-learn's wording
                f"X has {columns} features, but the model is expecting {len(self.names)} features "
                "as input."
            )

    def _named(self, X: Table | NDArray[Any]) -> Table:
        """Return X with the column names of training, by position if X or training had no names."""
        if not isinstance(X, Table):
            self._check_width(X.shape[1])
            by_position = {n: X[:, j].astype(np.float64) for j, n in enumerate(self.names)}
            return Table(by_position)
        if self.kind == "array":
            self._check_width(len(X.names))
            return Table(dict(zip(self.names, X.columns.values(), strict=True)))
        absent = [n for n in self.names if n not in X.columns and n not in self.dropped]
        if absent:
            near = did_you_mean(absent[0], [n for n in X if n not in self.names])
            raise DataError(
                f"X lacks {_quoted(absent)}, which the model was trained on.{near} Add or rename "
                f"the column; X has: {_quoted(X.names)}."
            )
        return X

    def to_spec(self) -> dict[str, Any]:
        """Return the record as strict JSON values."""
        return {
            "kind": self.kind,
            "names": list(self.names),
            "kinds": list(self.kinds),
            "numeric": self.numeric.to_spec(),
            "others": [encoder.to_spec() for encoder in self.others],
            "dropped": dict(self.dropped),
        }

    @classmethod
    def from_spec(cls, spec: object) -> TableEncoder:
        """Return the encoder that `to_spec` described; raises `ModelFormatError`."""
        fields = Fields.of(
            spec, "columns", ("kind", "names", "kinds", "numeric", "others", "dropped")
        )
        names = fields.texts("names")
        kinds = fields.items("kinds", len(names))
        if not all(kind in KINDS for kind in kinds):
            fields.refuse("kinds", f"a list of {', '.join(KINDS)}")
        kind_of = dict(zip(names, kinds, strict=True))
        dropped = fields.values["dropped"]
        if not isinstance(dropped, dict) or not all(isinstance(v, str) for v in dropped.values()):
            fields.refuse("dropped", "a record of texts")
        numeric = NumericEncoder.from_spec(fields.values["numeric"])
        used = {n: k for n, k in kind_of.items() if n not in dropped}
        expected = [(n, k) for n, k in used.items() if k != "number"]
        others: list[CategoryEncoder | DateEncoder] = []
        for (name, kind), part in zip(expected, fields.items("others", len(expected)), strict=True):
            encoder = _ENCODERS[kind].from_spec(part)
            if encoder.name != name:
                refuse_field("columns.others", f"the encoder of {name!r}", encoder.name)
            others.append(encoder)
        if numeric.names != tuple(n for n, k in used.items() if k == "number"):
            fields.refuse("numeric", "the encoder of all numeric columns")
        shape: Literal["array", "table"] = (
            "array" if fields.text("kind", ("array", "table")) == "array" else "table"
        )
        if not set(dropped) <= set(names) or (shape == "array" and (others or dropped)):
            fields.refuse("dropped", "a record of columns of the table")
        return cls(shape, names, tuple(kinds), numeric, tuple(others), dict(dropped))


_ENCODERS: dict[str, type[CategoryEncoder] | type[DateEncoder]] = {
    "category": CategoryEncoder,
    "date": DateEncoder,
}


def _table_or_matrix(X: Any) -> Table | NDArray[Any]:
    """Return X as a Table, or as an array of numbers (rows, columns)."""
    rows: Table | NDArray[Any] = as_table(X) if is_table(X) else _array(X)
    if isinstance(rows, np.ndarray) and rows.dtype.kind in "OUST" and rows.ndim == 2:
        rows = as_table(rows.astype(object))
    if isinstance(rows, np.ndarray):
        if rows.dtype.kind == "c":
            raise DataError("Complex data not supported: X holds complex numbers; give real ones.")
        if rows.dtype.kind not in "biuf":
            raise DataError(
                f"X is of type {rows.dtype}: give numbers of shape (rows, columns), or a table."
            )
        if rows.ndim != 2:
            raise DataError(
                f"X has shape {rows.shape}, but (rows, columns) is needed. Reshape your data: "
                "X.reshape(len(X), -1) makes one row of each sample, X.reshape(-1, 1) one column."
            )
    columns = len(rows.names) if isinstance(rows, Table) else rows.shape[1]
    if not columns:
        raise DataError(
            f"Found array with 0 feature(s) (shape=({len(rows)}, 0)) while a minimum of 1 is "
            "required: X needs at least one column."
        )
    return rows


def _array(X: Any) -> NDArray[Any]:
    try:
        return np.asarray(dense(X))
    except ValueError:
        raise DataError(
            "The rows of X have different lengths: give each the same number of values."
        ) from None


def _matrix(table: Table, names: tuple[str, ...], rows: int | None = None) -> Floats:
    if not names:
        return np.empty((len(table) if rows is None else rows, 0))
    return np.stack([table[name] for name in names], axis=1)


def _useless(column: Column) -> str | None:
    """Return why a column is dropped, or None."""
    missing = missing_in(column)
    known = column[~missing]
    if not len(known):
        return "every value is missing"
    levels = len(set(known)) if column.dtype.kind == "O" else len(np.unique(known))
    if levels == 1 and not missing.any():
        value = known[0] if known.dtype.kind == "O" else str(known[0])
        return f"every value is the same ({value!r})"
    if (
        column.dtype.kind == "O"
        and levels > IDENTIFIER_LEVELS
        and levels > IDENTIFIER_SHARE * len(known)
    ):
        return f"it names rows ({levels} different texts in {len(known)} rows)"
    return None


def _quoted(names: Any, limit: int = 20) -> str:
    names = [repr(name) for name in names]
    return ", ".join(names[:limit]) + (f", ... ({len(names)} in all)" if len(names) > limit else "")
