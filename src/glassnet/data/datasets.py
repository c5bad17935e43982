"""Hold the inputs and target of a data set, with notes on what its reader decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from glassnet.data.tables import Column, Table, no_such_column
from glassnet.errors import DataError

Inputs: TypeAlias = Table | NDArray[Any]
Targets: TypeAlias = Column | Table | None


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


@dataclass(frozen=True)
class Request:
    """A request to a reader: files of one format, and which columns or rows to read.

    source: as the user typed it. target, table, query, expected: as for `read`.
    """

    source: str
    paths: tuple[Path, ...]
    target: str | None = None
    table: str | None = None
    query: str | None = None
    expected: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The file or folder, for formats that are read one at a time."""
        (path,) = self.paths
        return path

    @property
    def header_names(self) -> list[str]:
        """Names that a header line would contain: the expected columns and the targets."""
        targets = (
            [] if self.target is None else [self.target, *map(str.strip, self.target.split(","))]
        )
        return [*targets, *self.expected]

    def dataset(self, columns: Table, notes: Sequence[str] = ()) -> Dataset:
        """Return the data set that was asked for, from all columns of its files."""
        files = self.path.name if len(self.paths) == 1 else f"{len(self.paths)} files"
        size = f"Read {len(columns)} rows, {len(columns.names)} columns from {files}."
        return split_target(columns, self.target, name=self.source, notes=(size, *notes))


def split_target(
    columns: Table, target: str | None, *, name: str, notes: Sequence[str] = ()
) -> Dataset:
    """Return a data set in which the named columns are the target and the others are X.

    target: a column's name, or several separated by commas; a column whose own name contains commas
    is recognised. Rows in which any target is missing are dropped with a note. Raises `DataError`
    if a column does not exist, or if no target or no other column is left.

    >>> from glassnet.data.tables import as_table
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
        raise DataError(f"The target '{target}' names a column twice: name each column once.")
    if len(names) == len(columns.names):
        raise DataError(
            f"'{name}' has no column besides the target '{target}', so there is nothing to "
            "predict it from."
        )
    targets = columns.only(names)
    present = ~np.logical_or.reduce([targets.missing(part) for part in names])
    notes = [*notes, *dropped_rows(present, target)]
    if not present.all():
        targets, columns = targets.rows(present), columns.rows(present)
    y: Targets = targets[names[0]] if len(names) == 1 else targets
    label = names[0] if len(names) == 1 else tuple(names)
    return Dataset(columns.without(*names), y, None, name, label, tuple(notes))


def dropped_rows(present: NDArray[np.bool_], target: str) -> list[str]:
    """Return a note on the rows whose target is missing, if any; raises `DataError` if all are."""
    missing, rows = int((~present).sum()), len(present)
    if missing == rows:
        raise DataError(
            f"The target '{target}' is missing in all {rows} rows: there is nothing to learn from."
        )
    were, its = ("was", "its") if missing == 1 else ("were", "their")
    note = f"{missing} of {rows} rows {were} dropped, because {its} target '{target}' is missing."
    return [note] if missing else []
