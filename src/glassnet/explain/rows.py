"""Hold the rows to explain as the user gave them and as the network takes them, and show values as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet.data.conversion import converted
from glassnet.data.tables import Kind, Table, as_table, dense, is_sparse, is_table, rows_at
from glassnet.encoding.encoders import numbered
from glassnet.encoding.target_kinds import as_array
from glassnet.encoding.targets import ClassEncoder, LabelsEncoder
from glassnet.errors import DataError
from glassnet.models.model import Model

MAX_SHOWN = 8  # columns of a row that fit into a line of the terminal


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows to explain, as they were given and as the network takes them.

    model: the model to explain. X: the rows as given, a `Table` or an array. x: encoded, (n, *in_shape).
    indices: their row numbers among the `given` rows from which they were sampled.
    """

    model: Model
    X: Table | NDArray[Any]
    x: NDArray[Any]
    indices: NDArray[np.intp]
    given: int

    @classmethod
    def of(cls, model: Model, X: Any, limit: int | None = None, seed: int = 0) -> Rows:
        """Return rows X, or a random sample of at most `limit` of them.

        Raises
        ------
        DataError: the model cannot take these rows, or there are none.
        """
        if is_table(X):
            X = as_table(X)
        elif is_sparse(X):
            X = dense(X)
        elif not hasattr(X, "shape"):
            X = as_array(X)
        if isinstance(X, np.ndarray) and X.ndim < 2:
            model.inputs(X)  # raises with what is wrong
        given = len(X)
        indices = np.arange(given)
        if limit is not None and given > limit:
            indices = np.sort(np.random.default_rng(seed).permutation(given)[:limit])
            X = rows_at(X, indices)
        if given == 0:
            raise DataError("There is no row to explain: X is empty.")
        return cls(model, X, model.inputs(X), indices, given)

    def truth(self, y: Any) -> NDArray[Any]:
        """Return the true targets of these rows, in the form of predictions.

        Raises
        ------
        DataError: y has another length than the given rows, or a class that training lacked.
        """
        y = np.stack([y[name] for name in y], axis=1) if isinstance(y, Table) else np.asarray(y)
        if y.ndim == 0 or len(y) != self.given:
            raise DataError(
                f"X has {self.given} rows and y has {len(y) if y.ndim else 1}: each row needs exactly one"
                " target. Give the same rows to both."
            )
        y, target = y[self.indices], self.model.target_encoder
        if isinstance(target, ClassEncoder):
            return target.inverse(target.transform(y))
        return target.transform(y).astype(np.int64) if isinstance(target, LabelsEncoder) else y

    @property
    def pictures(self) -> bool:
        """Whether the rows are pictures, which have pixels instead of columns."""
        return len(self.model.in_shape) > 1

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that the network uses; empty for pictures."""
        encoder = self.model.encoder
        if encoder is not None:
            return tuple(name for name in encoder.names if name not in encoder.dropped)
        return () if self.pictures else numbered(self.model.in_shape[0])

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the network's inputs; empty for pictures."""
        encoder = self.model.encoder
        return self.columns if encoder is None else encoder.feature_names

    @property
    def codes(self) -> int:
        """The number of category codes, which are the last inputs; a code is not a quantity to draw."""
        encoder = self.model.encoder
        return 0 if encoder is None else len(encoder.places)

    @property
    def column_indices(self) -> NDArray[np.intp]:
        """For each input of the network, the index of its column in `columns`."""
        encoder = self.model.encoder
        owners = self.columns if encoder is None else encoder.feature_columns
        indices = {name: index for index, name in enumerate(self.columns)}
        return np.array([indices[name] for name in owners if name in indices], np.intp)

    def by_column(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return values of the inputs (n, inputs), summed over the inputs of each column."""
        if self.pictures:
            return values
        out = np.zeros((len(values), len(self.columns)))
        np.add.at(out.T, self.column_indices, values.T[: len(self.column_indices)])
        return out

    def key(self, name: str) -> Any:
        """Return the key of a column in X: its name in a table, its index in an array.

        If the model or X has no column names, columns are matched by position.
        """
        if isinstance(self.X, Table) and name in self.X:
            return name
        encoder = self.model.encoder
        index = (self.columns if encoder is None else encoder.names).index(name)
        return self.X.names[index] if isinstance(self.X, Table) else index

    def kind(self, name: str) -> Kind:
        """Return the kind that a column had in training."""
        encoder = self.model.encoder
        return "number" if encoder is None else encoder.kinds[encoder.names.index(name)]

    def column(self, name: str) -> NDArray[Any]:
        """Return a column in its original unit, with the kind that it had in training."""
        key, encoder = self.key(name), self.model.encoder
        if not isinstance(self.X, Table):
            return self.X[:, key].astype(np.float64)
        others = () if encoder is None else encoder.others
        levels = next((getattr(other, "levels", ()) for other in others if other.name == name), ())
        return converted(self.X[key], self.kind(name), name, levels)

    def cells(self, rows: Sequence[int] | NDArray[Any]) -> list[dict[str, Any]]:
        """Return the given rows as records of plain values in original units; empty for pictures."""
        columns = {name: self.column(name) for name in self.columns}
        return [{name: as_plain(column[row]) for name, column in columns.items()} for row in rows]


def as_plain(value: Any) -> Any:
    """Return a value of a column in a form that JSON can hold: missing as None, dates as text.

    >>> as_plain(np.float64("nan")), as_plain(np.datetime64("2024-05-01T00:00:00.000000"))
    (None, '2024-05-01')
    """
    if isinstance(value, np.datetime64):
        return (
            None if np.isnat(value) else str(value.astype("datetime64[s]")).replace("T00:00:00", "")
        )
    value = value.item() if isinstance(value, np.generic) else value
    return None if value is None or value != value else value


def as_text(value: Any) -> str:
    """Return a value as text for a table in the terminal.

    >>> as_text(0.123456), as_text(None), as_text("Ulm")
    ('0.1235', 'missing', 'Ulm')
    """
    if value is None:
        return "missing"
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:40]


def described(cells: Mapping[str, Any]) -> str:
    """Return the first columns of a row as one line.

    >>> described({"age": 31.0, "city": None})
    'age 31, city missing'
    """
    shown = [f"{name} {as_text(value)}" for name, value in list(cells.items())[:MAX_SHOWN]]
    left = len(cells) - len(shown)
    return ", ".join(shown) + (f", and {left} more" if left else "")
