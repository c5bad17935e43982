"""Check the data for problems that would make a good score meaningless, before training.

Each check is one row of `CHECKS`: a function that takes the `CheckedData` (columns, target, split) and yields
suspicions. No check changes the data; that is for a person to decide.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glassnet.data.columns import column_of, missing_in
from glassnet.data.tables import Column, Table, as_table, is_table
from glassnet.encoding.encoders import numbered
from glassnet.encoding.target_kinds import Task, sniff_task
from glassnet.errors import DataError
from glassnet.evaluation.single_column import as_ranks, evidence_of_a_leak

SAMPLE_ROWS = 5000
"""The most rows that are searched for leaks."""
MAX_COLUMNS = 300
"""Wider arrays are pictures or signals, in which constant and equal columns are normal."""
MIN_ROWS = 20
"""In fewer rows, consecutive numbers or texts that all differ may be chance."""


@dataclass(frozen=True)
class Suspicion:
    """A problem that the data may have: its kind and the columns concerned.

    `message` says what was seen, why it matters, and what to type next.
    """

    kind: str
    columns: tuple[str, ...]
    message: str


@dataclass(frozen=True)
class CheckedData:
    """The data to check.

    `table` is None if single columns have no meaning (pictures). `task` is None unless there is one
    target of text or numbers.
    """

    table: Table | None
    rows: Table | NDArray[Any]
    target: Column | None
    task: Task | None
    train_rows: NDArray[np.intp] | None
    test_rows: NDArray[np.intp] | None

    @cached_property
    def columns(self) -> dict[str, Column]:
        """The columns to check one by one."""
        return {} if self.table is None else self.table.columns

    @cached_property
    def varying(self) -> dict[str, Column]:
        """The columns with at least two different values, not counting missing ones."""
        return {name: c for name, c in self.columns.items() if len(_distinct(c)) > 1}

    @cached_property
    def classes(self) -> tuple[Column, NDArray[np.intp]]:
        """The classes and their numbers of rows; empty unless the task is a classification."""
        if self.task != "classification" or self.target is None:
            return np.array([], object), np.array([], np.intp)
        return np.unique(self.target[~missing_in(self.target)], return_counts=True)


def suspicions(
    X: Any,
    y: Any = None,
    train_rows: ArrayLike | None = None,
    test_rows: ArrayLike | None = None,
    *,
    task: Task | None = None,
) -> tuple[Suspicion, ...]:
    """Return what is suspicious about X (a table, or an array of rows) and the target y (rows,).

    `train_rows` and `test_rows` are the row numbers of the split, to find rows that are in both. `task`
    is "classification" or "regression" (default: `sniff_task(y)`). The columns of pictures (three or
    more dimensions, type uint8, or more than 300 columns) are not checked, nor are several targets.

    Raises `DataError` if X and y have different lengths.

    >>> table = {"age": [20, 30, 20, 40], "unit": ["cm"] * 4}
    >>> [(s.kind, s.columns) for s in suspicions(table, ["a", "b", "a", "b"])]
    [('constant', ('unit',))]
    """
    rows: Table | NDArray[Any] = as_table(X) if is_table(X) else np.asarray(X)
    target = None if y is None or isinstance(y, Table) or np.ndim(y) != 1 else column_of(y)
    if target is not None and len(target) != len(rows):
        raise DataError(
            f"X has {len(rows)} rows, but y has {len(target)}: give one target for each row."
        )
    if target is None or target.dtype.kind == "M" or missing_in(target).all():
        task = None
    else:
        task = task or sniff_task(target)
    split = (_row_numbers(train_rows), _row_numbers(test_rows))
    data = CheckedData(_columns_of(rows), rows, target, task, *split)
    return tuple(suspicion for check in CHECKS.values() for suspicion in check(data))


def _columns_of(rows: Table | NDArray[Any]) -> Table | None:
    if isinstance(rows, Table):
        return rows
    if rows.ndim != 2 or rows.dtype == np.uint8 or rows.shape[1] > MAX_COLUMNS:
        return None
    if rows.dtype.kind not in "biuf":
        return None
    numbers = rows.astype(np.float64)
    return Table(dict(zip(numbered(rows.shape[1]), numbers.T, strict=True)))


def _row_numbers(rows: ArrayLike | None) -> NDArray[np.intp] | None:
    if rows is None:
        return None
    array = np.asarray(rows)
    return np.flatnonzero(array) if array.dtype == np.bool_ else array.astype(np.intp)


def all_missing(data: CheckedData) -> Iterator[Suspicion]:
    """Find columns without any value."""
    for name, column in data.columns.items():
        if missing_in(column).all() and len(column):
            yield Suspicion(
                "all missing",
                (name,),
                f"Column {name!r} has no value in any row, so nothing can be learned from it. "
                f"Leave it out: {_drop(name)}.",
            )


def mostly_missing(data: CheckedData) -> Iterator[Suspicion]:
    """Find columns of which more than half is missing."""
    for name, column in data.columns.items():
        share = missing_in(column).mean() if len(column) else 0.0
        if 0.5 < share < 1:
            yield Suspicion(
                "mostly missing",
                (name,),
                f"Column {name!r} is missing in {share:.1%} of the rows, so little can be learned "
                f"from it. Find out why it is missing. To leave it out: {_drop(name)}.",
            )


def constant(data: CheckedData) -> Iterator[Suspicion]:
    """Find columns that have the same value in every row."""
    for name, column in data.columns.items():
        if name not in data.varying and len(column) > 1 and not missing_in(column).any():
            yield Suspicion(
                "constant",
                (name,),
                f"Column {name!r} has the same value in every row ({_shown(column[0])}), so "
                f"nothing can be learned from it. Leave it out: {_drop(name)}.",
            )


def duplicate_columns(data: CheckedData) -> Iterator[Suspicion]:
    """Find columns that equal another column in every row."""
    groups: dict[bytes, list[str]] = {}
    for name, column in data.varying.items():
        groups.setdefault(_digest(column), []).append(name)
    for names in groups.values():
        if len(names) > 1:
            yield Suspicion(
                "duplicate columns",
                tuple(names),
                f"Columns {_listed(names)} are equal in every row, so the same information "
                f"counts {len(names)} times. Keep one: {_drop(*names[1:])}.",
            )


def identifiers(data: CheckedData) -> Iterator[Suspicion]:
    """Find text columns with almost only different values, and whole numbers that count the rows."""
    for name, column in data.varying.items():
        present = column[~missing_in(column)]
        if len(present) < MIN_ROWS or column.dtype.kind == "M":
            continue
        distinct = _distinct(column)
        if column.dtype.kind == "O":
            is_identifier = len(distinct) >= 0.95 * len(present)
            seen = f"has {len(distinct)} different texts in {len(present)} rows"
        else:
            is_identifier = _numbers_rows(present, distinct)
            seen = f"numbers the rows from {_shown(distinct[0])} to {_shown(distinct[-1])}"
        if is_identifier:
            yield Suspicion(
                "identifier",
                (name,),
                f"Column {name!r} {seen}. An identifier says nothing about new rows, and with "
                f"it a network can memorise the training rows. Leave it out: {_drop(name)}.",
            )


def _numbers_rows(values: Column, distinct: Column) -> bool:
    """Return whether numbers are whole, all different, and almost without gaps."""
    whole = bool(np.isfinite(distinct).all() and (distinct == np.floor(distinct)).all())
    return (
        whole
        and len(distinct) == len(values)
        and float(distinct[-1]) - float(distinct[0]) < 1.05 * len(values)
    )


def leaks(data: CheckedData) -> Iterator[Suspicion]:
    """Find columns that give the target away because one of them alone predicts it almost without error."""
    if data.task is None or data.target is None:
        return
    known = np.flatnonzero(~missing_in(data.target))
    if len(known) > SAMPLE_ROWS:
        known = np.sort(np.random.default_rng(0).choice(known, SAMPLE_ROWS, replace=False))
    if len(known) < MIN_ROWS:
        return
    target = data.target[known]
    for name, column in data.varying.items():
        evidence = evidence_of_a_leak(column[known], target, data.task)
        if evidence:
            yield Suspicion(
                "gives the target away",
                (name,),
                f"Column {name!r} alone {evidence}. Such a column is often a copy of the target, or "
                "becomes known only after it; then the score means nothing for new rows. If so, "
                f"leave it out: {_drop(name)}.",
            )


def one_row_classes(data: CheckedData) -> Iterator[Suspicion]:
    """Find classes with a single row."""
    names, counts = data.classes
    single = [_shown(name) for name in names[counts == 1]]
    if single:
        yield Suspicion(
            "class of one row",
            (),
            f"{_plural(len(single), 'class has', 'classes have')} a single row ({_listed(single)}), "
            "which cannot be in both training and test: the class is either not learned or not "
            "tested. Collect more rows, merge such classes, or drop them.",
        )


def imbalance(data: CheckedData) -> Iterator[Suspicion]:
    """Find a class with less than a tenth of an equal share of the rows (5 % of two classes)."""
    names, counts = data.classes
    if len(names) < 2 or counts.sum() < MIN_ROWS:
        return
    rarest = int(counts.argmin())
    share = counts[rarest] / counts.sum()
    if share < 0.1 / len(names) and counts[rarest] > 1:
        yield Suspicion(
            "imbalance",
            (),
            f"Class {_shown(names[rarest])} has {counts[rarest]} of {counts.sum()} rows "
            f"({share:.2%}): a model that never predicts it is almost always right. Look at the "
            "scores of each class, and try --class-weight balanced.",
        )


def rows_in_both(data: CheckedData) -> Iterator[Suspicion]:
    """Find test rows that are equal to a training row in every column."""
    if data.train_rows is None or data.test_rows is None or not len(data.test_rows):
        return
    digests = _row_digests(data.rows)
    trained = {digests[row] for row in data.train_rows}
    count = sum(digests[row] in trained for row in data.test_rows)
    if count:
        share = count / len(data.test_rows)
        yield Suspicion(
            "rows in both",
            (),
            f"{count} of {len(data.test_rows)} test rows ({share:.2%}) equal a training row in "
            "every column: on these the score measures memory. Remove repeated rows from the data, "
            "or keep all rows of one person or item on one side of the split.",
        )


def _row_digests(rows: Table | NDArray[Any]) -> list[bytes]:
    """Return a digest of 16 bytes per row, the same for equal rows (missing equals missing)."""
    if isinstance(rows, Table):
        codes = [np.unique(as_ranks(rows[name]), return_inverse=True)[1] for name in rows]
        rows = np.stack(codes, axis=1) if codes else np.empty((0, 0))
    flat = np.ascontiguousarray(rows.reshape(len(rows), -1))
    if flat.dtype.kind == "f":
        flat = flat + flat.dtype.type(0)  # turns -0.0 into 0.0
    return [hashlib.blake2b(row.data, digest_size=16).digest() for row in flat]


CHECKS: dict[str, Callable[[CheckedData], Iterable[Suspicion]]] = {
    "gives the target away": leaks,
    "identifier": identifiers,
    "all missing": all_missing,
    "constant": constant,
    "duplicate columns": duplicate_columns,
    "mostly missing": mostly_missing,
    "rows in both": rows_in_both,
    "class of one row": one_row_classes,
    "imbalance": imbalance,
}
"""Kind of suspicion -> its check, the most serious first; a new check is a new row."""


def _distinct(column: Column) -> Column:
    present = column[~missing_in(column)]
    if column.dtype.kind == "O":
        return np.array(sorted(set(present)), object)
    return np.unique(present)


def _digest(column: Column) -> bytes:
    """Return a digest of 16 bytes, the same for columns of one kind that are equal in every row."""
    if column.dtype.kind == "O":
        # with lengths, so that ("ab", "c") and ("a", "bc") differ
        texts = ["-" if value is None else f"{len(value)}:{value}" for value in column]
        content = "".join(texts).encode("utf-8", "surrogatepass")
    else:
        missing = missing_in(column)
        content = missing.tobytes() + column[~missing].tobytes()
    return hashlib.blake2b(column.dtype.char.encode() + content, digest_size=16).digest()


def _drop(*names: str) -> str:
    return " ".join(f"--drop {shlex.quote(name)}" for name in names[:10])


def _shown(value: Any) -> str:
    if isinstance(value, float):  # np.float64 is one
        return f"{value:.10g}"
    return repr(str(value))


def _listed(names: list[str], limit: int = 10) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _plural(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
