"""Suspicions: what in the data makes a good score mean little, said before the score is believed.

Each check is one row of `CHECKS`: a function from the facts (the columns, the target, the split) to
suspicions. None of them changes the data; a person decides.
"""

from __future__ import annotations

import hashlib
import shlex
import warnings
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

SAMPLE = 5000
"""Rows that the search for columns that give the target away looks at."""
MOST_COLUMNS = 300
"""Wider arrays are pictures or signals, in which constant and equal columns are ordinary."""
FEWEST_ROWS = 20
"""In fewer rows whole numbers in a row, or texts that all differ, are no surprise."""


@dataclass(frozen=True)
class Suspicion:
    """One thing to look at: its kind, the columns it is about, and what to do.

    `message` says what was seen, why it matters and what to type next.
    """

    kind: str
    columns: tuple[str, ...]
    message: str


@dataclass(frozen=True)
class Facts:
    """What the checks look at; `table` is None where single columns mean nothing (pictures).

    `task` is None without a single target of texts or numbers.
    """

    table: Table | None
    rows: Table | NDArray[Any]
    target: Column | None
    task: Task | None
    train_rows: NDArray[np.intp] | None
    test_rows: NDArray[np.intp] | None

    @cached_property
    def columns(self) -> dict[str, Column]:
        """The columns to look at one by one."""
        return {} if self.table is None else self.table.columns

    @cached_property
    def varying(self) -> dict[str, Column]:
        """The columns that have at least two different values, missing values aside."""
        return {name: c for name, c in self.columns.items() if len(_distinct(c)) > 1}

    @cached_property
    def classes(self) -> tuple[Column, NDArray[np.intp]]:
        """The classes and how many rows each has; empty unless the task is a classification."""
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

    `train_rows` and `test_rows` are the row numbers of the split, to look for rows in both. `task`
    is "classification" or "regression" (default: `sniff_task(y)`). Pictures (three dimensions and
    more, whole numbers of one byte, or more than 300 columns) are not looked at column by column;
    nor is a y of several targets.

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
    facts = Facts(_columns_of(rows), rows, target, task, *split)
    return tuple(suspicion for check in CHECKS.values() for suspicion in check(facts))


def _columns_of(rows: Table | NDArray[Any]) -> Table | None:
    if isinstance(rows, Table):
        return rows
    if rows.ndim != 2 or rows.dtype == np.uint8 or rows.shape[1] > MOST_COLUMNS:
        return None
    if rows.dtype.kind not in "biuf":
        return None
    numbers = rows.astype(np.float64)
    return Table({name: numbers[:, place] for place, name in enumerate(numbered(rows.shape[1]))})


def _row_numbers(rows: ArrayLike | None) -> NDArray[np.intp] | None:
    if rows is None:
        return None
    array = np.asarray(rows)
    return np.flatnonzero(array) if array.dtype == np.bool_ else array.astype(np.intp)


def all_missing(facts: Facts) -> Iterator[Suspicion]:
    """Find columns without a single value."""
    for name, column in facts.columns.items():
        if missing_in(column).all() and len(column):
            yield Suspicion(
                "all missing",
                (name,),
                f"Column {name!r} has no value in any row, so that nothing can be learned from it. "
                f"Leave it out: {_drop(name)}.",
            )


def mostly_missing(facts: Facts) -> Iterator[Suspicion]:
    """Find columns of which more than half is missing."""
    for name, column in facts.columns.items():
        share = missing_in(column).mean() if len(column) else 0.0
        if 0.5 < share < 1:
            yield Suspicion(
                "mostly missing",
                (name,),
                f"Column {name!r} is missing in {share:.1%} of the rows: what is learned from it "
                f"rests on few rows. Find out why it is missing; to leave it out: {_drop(name)}.",
            )


def constant(facts: Facts) -> Iterator[Suspicion]:
    """Find columns that have the same value in every row."""
    for name, column in facts.columns.items():
        if name not in facts.varying and len(column) > 1 and not missing_in(column).any():
            yield Suspicion(
                "constant",
                (name,),
                f"Column {name!r} has the same value in every row ({_shown(column[0])}), so that "
                f"nothing can be learned from it. Leave it out: {_drop(name)}.",
            )


def duplicate_columns(facts: Facts) -> Iterator[Suspicion]:
    """Find columns that are equal to another in every row."""
    groups: dict[bytes, list[str]] = {}
    for name, column in facts.varying.items():
        groups.setdefault(_digest(column), []).append(name)
    for names in groups.values():
        if len(names) > 1:
            yield Suspicion(
                "duplicate columns",
                tuple(names),
                f"Columns {_listed(names)} are equal in every row: the same fact counts "
                f"{len(names)} times. Keep one: {_drop(*names[1:])}.",
            )


def identifiers(facts: Facts) -> Iterator[Suspicion]:
    """Find texts that nearly all differ, and whole numbers that number the rows."""
    for name, column in facts.varying.items():
        there = column[~missing_in(column)]
        if len(there) < FEWEST_ROWS or column.dtype.kind == "M":
            continue
        distinct = _distinct(column)
        if column.dtype.kind == "O":
            found = len(distinct) >= 0.95 * len(there)
            seen = f"has {len(distinct)} different texts in {len(there)} rows"
        else:
            found = _numbers_rows(there, distinct)
            seen = f"numbers the rows from {_shown(distinct[0])} to {_shown(distinct[-1])}"
        if found:
            yield Suspicion(
                "identifier",
                (name,),
                f"Column {name!r} {seen}: an identifier says nothing about new rows, and a network "
                f"can learn the training rows by heart with it. Leave it out: {_drop(name)}.",
            )


def _numbers_rows(there: Column, distinct: Column) -> bool:
    """Return whether all numbers are whole and different, and fill their range but for a few."""
    whole = bool(np.isfinite(distinct).all() and (distinct == np.floor(distinct)).all())
    return (
        whole
        and len(distinct) == len(there)
        and float(distinct[-1]) - float(distinct[0]) < 1.05 * len(there)
    )


def leaks(facts: Facts) -> Iterator[Suspicion]:
    """Find columns that give the target away: alone they predict it almost without error."""
    if facts.task is None or facts.target is None:
        return
    known = np.flatnonzero(~missing_in(facts.target))
    if len(known) > SAMPLE:
        known = np.sort(np.random.default_rng(0).choice(known, SAMPLE, replace=False))
    if len(known) < FEWEST_ROWS:
        return
    target = facts.target[known]
    judge = _class_evidence if facts.task == "classification" else _value_evidence
    for name, column in facts.varying.items():
        evidence = judge(column[known], target)
        if evidence:
            yield Suspicion(
                "gives the target away",
                (name,),
                f"Column {name!r} alone {evidence}. Often such a column is a copy of the target or "
                "is known only after it, and then the score means nothing for new rows. If so, "
                f"leave it out: {_drop(name)}.",
            )


def _class_evidence(column: Column, target: Column) -> str | None:
    """Return how well a tree on one column predicts the class, if it is nearly always right."""
    _, codes, counts = np.unique(target, return_inverse=True, return_counts=True)
    if len(counts) < 2:
        return None
    guessed = _cross_predicted(column, codes, classify=True)
    wrong, at_chance = float((guessed != codes).mean()), 1 - counts.max() / len(codes)
    if wrong > 0.01 or wrong > at_chance / 10:
        return None
    return (
        f"predicts the class of {1 - wrong:.1%} of the rows ({1 - at_chance:.1%} are of one class)"
    )


def _value_evidence(column: Column, target: Column) -> str | None:
    """Return how well one column predicts the value, if it is nearly exact."""
    if target.dtype.kind != "f" or not np.isfinite(target).all() or (target == target[0]).all():
        return None
    target = target / np.abs(target).max()  # sums of values near 1e308 would overflow
    there = ~missing_in(column)
    if column.dtype.kind != "O" and there.mean() > 0.5:
        from scipy.stats import rankdata  # lazily: scipy takes long to import

        values = column.astype(np.float64)[there]  # dates: microseconds
        if len(np.unique(values)) > 10 and len(np.unique(target[there])) > 1:
            rank = abs(np.corrcoef(rankdata(values), rankdata(target[there]))[0, 1])
            if rank > 0.999:
                return f"ranks the rows as the target does (rank correlation {rank:.4f})"
    scaled = (target - target.mean()) / target.std()
    explained = 1 - float(((_cross_predicted(column, scaled, classify=False) - scaled) ** 2).mean())
    return f"explains {explained:.2%} of the target's variance" if explained > 0.999 else None


def _cross_predicted(column: Column, target: Column, *, classify: bool) -> Column:
    """Return what a tree on one column predicts for rows it was not fitted on (three folds)."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor  # lazily: a second

    x = _ordered(column)[:, None]
    fold = np.random.default_rng(0).permutation(len(x)) % 3
    guessed = np.empty_like(target)
    make = DecisionTreeClassifier if classify else DecisionTreeRegressor
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # many classes of few rows are said by other checks
        for k in range(3):
            # five rows a leaf: a tree must not find a single row by its identifier
            tree = make(min_samples_leaf=5, max_leaf_nodes=256, random_state=0)
            guessed[fold == k] = tree.fit(x[fold != k], target[fold != k]).predict(x[fold == k])
    return guessed


def _ordered(column: Column) -> NDArray[np.float64]:
    """Return a column as finite numbers for a tree; missing values come first, by themselves."""
    missing = missing_in(column)
    if column.dtype.kind == "O":
        codes = {level: code for code, level in enumerate(sorted(set(column[~missing])))}
        values = np.array([codes.get(value, -1) for value in column], np.float64)
    else:
        # ranks: a tree asks for the order only, and 1e308 would not fit its float32
        _, place = np.unique(column, return_inverse=True)
        values = place.astype(np.float64)
    values[missing] = -1
    return values


def one_row_classes(facts: Facts) -> Iterator[Suspicion]:
    """Find classes that have one row."""
    names, counts = facts.classes
    lone = [_shown(name) for name in names[counts == 1]]
    if lone:
        yield Suspicion(
            "class of one row",
            (),
            f"{_plural(len(lone), 'class has', 'classes have')} a single row ({_listed(lone)}), "
            "which cannot be in both training and test: it is either not learned or not tested. "
            "Collect more rows, merge such classes, or drop them.",
        )


def imbalance(facts: Facts) -> Iterator[Suspicion]:
    """Find a class with less than a tenth of an equal share of the rows (of two classes: 5 %)."""
    names, counts = facts.classes
    if len(names) < 2 or counts.sum() < FEWEST_ROWS:
        return
    rarest = int(counts.argmin())
    share = counts[rarest] / counts.sum()
    if share < 0.1 / len(names) and counts[rarest] > 1:
        yield Suspicion(
            "imbalance",
            (),
            f"Class {_shown(names[rarest])} has {counts[rarest]} of {counts.sum()} rows "
            f"({share:.2%}): a model that never predicts it is right almost always. Look at the "
            "score of each class, and try --class-weight balanced.",
        )


def rows_in_both(facts: Facts) -> Iterator[Suspicion]:
    """Find test rows that are equal to a training row in every column."""
    if facts.train_rows is None or facts.test_rows is None or not len(facts.test_rows):
        return
    digests = _row_digests(facts.rows)
    trained = {digests[row] for row in facts.train_rows}
    count = sum(digests[row] in trained for row in facts.test_rows)
    if count:
        share = count / len(facts.test_rows)
        yield Suspicion(
            "rows in both",
            (),
            f"{count} of {len(facts.test_rows)} test rows ({share:.2%}) are equal to a training "
            "row in every column: on these the score tests memory. Remove repeated rows from the "
            "data, or keep all rows of one person or thing on one side.",
        )


def _row_digests(rows: Table | NDArray[Any]) -> list[bytes]:
    """Return 16 bytes for each row, equal for equal rows (missing equals missing)."""
    if isinstance(rows, Table):
        codes = [np.unique(_ordered(rows[name]), return_inverse=True)[1] for name in rows]
        rows = np.stack(codes, axis=1) if codes else np.empty((0, 0))
    flat = np.ascontiguousarray(rows.reshape(len(rows), -1))
    if flat.dtype.kind == "f":
        flat = flat + flat.dtype.type(0)  # one zero, not two
    return [hashlib.blake2b(row.data, digest_size=16).digest() for row in flat]


CHECKS: dict[str, Callable[[Facts], Iterable[Suspicion]]] = {
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
"""Kind of suspicion -> its check, the gravest first; a new check is a new row."""


def _distinct(column: Column) -> Column:
    there = column[~missing_in(column)]
    return np.array(sorted(set(there)), object) if column.dtype.kind == "O" else np.unique(there)


def _digest(column: Column) -> bytes:
    """Return 16 bytes, equal for columns of one kind that are equal in every row."""
    if column.dtype.kind == "O":
        # lengths first: ("ab", "c") is not ("a", "bc")
        texts = ["-" if value is None else f"{len(value)}:{value}" for value in column]
        data = "".join(texts).encode("utf-8", "surrogatepass")
    else:
        missing = missing_in(column)
        data = missing.tobytes() + column[~missing].tobytes()
    return hashlib.blake2b(column.dtype.char.encode() + data, digest_size=16).digest()


def _drop(*names: str) -> str:
    return " ".join(f"--drop {shlex.quote(name)}" for name in names[:10])


def _shown(value: Any) -> str:
    if isinstance(value, float):  # np.float64 is one
        return f"{value:.10g}"
    return repr(str(value))


def _listed(names: list[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f", ... ({len(names)} in all)" if len(names) > most else "")


def _plural(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
