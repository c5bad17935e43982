"""Experiment: from a data set to a model, its test and its baselines; what `glassnet train` runs.

Nothing is printed here: the command prints, and a test reads the record.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from glassnet.data.datasets import Dataset
from glassnet.data.splits import split
from glassnet.data.tables import Table, no_such_column, rows_at
from glassnet.encoding.target_kinds import Task, sniff_task
from glassnet.encoding.targets import LabelsEncoder, TargetScaler
from glassnet.errors import ConfigurationError, DataError
from glassnet.evaluation.evaluation import Evaluation, evaluate
from glassnet.evaluation.single_split import with_baselines
from glassnet.evaluation.suspicions import Suspicion, suspicions
from glassnet.fit.estimators import NeuralClassifier, NeuralRegressor
from glassnet.models.model import Model
from glassnet.training.history import History
from glassnet.training.loop import Callback


@dataclass(frozen=True)
class Plan:
    """What a person may choose beside the data.

    task: None: recognised from the target (`targets.sniff_task`).
    test_share: of the rows, set aside to test on, unless a test set came with the data.
    parameters: of the estimator.
    """

    task: Task | None = None
    test_share: float = 0.2
    seed: int = 0
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """What came out. `rows` counts training, validation and test rows; `status` is the run's end.

    `estimator` has the histories and last weights of all members, by which a diagnosis is made.
    """

    model: Model
    history: History
    evaluation: Evaluation
    suspicions: tuple[Suspicion, ...]
    rows: dict[str, int]
    seconds: float
    status: str
    test_rows: np.ndarray | None
    estimator: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Prepared:
    """Rows to train and to test on, and what is suspicious about them."""

    task: Task
    train: tuple[Any, np.ndarray]
    test: tuple[Any, np.ndarray]
    test_rows: np.ndarray | None
    suspicions: tuple[Suspicion, ...]
    targets: tuple[str, ...] = ()


def prepare(data: Dataset, plan: Plan) -> Prepared:
    """Recognise the task, set the test rows aside, and look for what is suspicious.

    Raises
    ------
    DataError: no target, one class only, fewer than a handful of rows.
    """
    if data.y is None:
        raise DataError(
            f"Nothing says what to predict in '{data.name}': name the column with --target COLUMN."
        )
    task: Task = plan.task or sniff_task(data.y)
    names = names_of(data.target)
    y = target_values(data.y, task)
    check_finite(data.X)
    if data.test is not None and data.test[1] is not None:
        test_X, test_y = data.test[0], target_values(data.test[1], task)
        check_finite(test_X)
        if task == "classification":
            check_classes(y, test_y)
        found = suspicions(data.X, data.y, task=task)
        return Prepared(task, (data.X, y), (test_X, test_y), None, found, names)
    if len(y) < 5:
        raise DataError(
            f"'{data.name}' has {len(y)} usable rows: that is too few to train and to test on."
        )
    train, test = split(
        y, plan.test_share, plan.seed, stratify=task == "classification" and y.ndim == 1
    )
    found = suspicions(data.X, data.y, train, test, task=task)
    known, unknown = (rows_at(data.X, train), y[train]), (rows_at(data.X, test), y[test])
    return Prepared(task, known, unknown, test, found, names)


def without(found: Dataset, names: Sequence[str]) -> Dataset:
    """Return a data set without some of its columns."""
    if not names:
        return found
    if not isinstance(found.X, Table):
        raise DataError("--drop leaves out columns of a table, but these data are no table.")
    for name in names:
        if name not in found.X:
            raise DataError(no_such_column(name, found.X.names))
    if len(set(names)) == len(found.X.names):
        raise DataError("--drop leaves no column to learn from.")
    return replace(found, X=found.X.without(*names))


def run_experiment(
    prepared: Prepared, plan: Plan, callbacks: Sequence[Callback] = ()
) -> Experiment:
    """Train on the training rows and test, beside the baselines, on the test rows."""
    kind = NeuralClassifier if prepared.task == "classification" else NeuralRegressor
    known = kind().get_params()
    extra = [name for name in plan.parameters if name not in known]
    if extra:
        raise ConfigurationError(f"{extra[0]} does not apply to a {prepared.task}.")
    estimator = kind(random_state=plan.seed, callbacks=callbacks, **plan.parameters)
    began = time.perf_counter()
    estimator.fit(*prepared.train)
    seconds = time.perf_counter() - began
    model = named(estimator.model_, prepared.targets)
    tested = evaluate(model, *prepared.test)
    tested = with_baselines(tested, *prepared.train, *prepared.test, model, plan.seed)
    n_train, n_held = len(prepared.train[1]), estimator.n_validation_
    return Experiment(
        model,
        estimator.history_,
        tested,
        prepared.suspicions,
        {"training": n_train - n_held, "validation": n_held, "test": len(prepared.test[1])},
        seconds,
        estimator.status_,
        prepared.test_rows,
        estimator,
    )


class Comparable(NamedTuple):
    """Rows to compare models on, the network to compare, and what was decided about them."""

    X: Any
    y: np.ndarray
    estimator: Any
    notes: tuple[str, ...]


def comparable(
    data: Dataset, task: Task | None, seed: int, parameters: dict[str, Any]
) -> Comparable:
    """Return what `compare` takes: of data with a test set of their own, the training rows.

    Raises
    ------
    DataError: no target, or several; an infinite number.
    """
    if data.y is None:
        raise DataError(
            f"Nothing says what to predict in '{data.name}': name the column with --target COLUMN."
        )
    if isinstance(data.y, Table):
        raise DataError(
            "Models are compared on one target at a time: give one with --target COLUMN."
        )
    task = task or sniff_task(data.y)
    check_finite(data.X)
    kind = NeuralClassifier if task == "classification" else NeuralRegressor
    notes = list(data.notes)
    notes += [s.message for s in suspicions(data.X, data.y, task=task)]
    if data.test is not None:
        notes.append(
            "Models are compared on the training rows; the test rows that came with them wait."
        )
    y = target_values(data.y, task)
    return Comparable(data.X, y, kind(random_state=seed, **parameters), tuple(notes))


def described(
    result: Experiment, target: str | tuple[str, ...] | None, data: str, task: Task
) -> Experiment:
    """Return the experiment with what its model file should tell later."""
    info = {
        "data": data,
        "target": list(names_of(target)),
        "task": task,
        "rows": result.rows,
        "scores": result.evaluation.scores,
        "baselines": result.evaluation.baselines,
    }
    return replace(result, model=replace(result.model, info=info))


def names_of(target: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the names of the columns to predict."""
    return (target,) if isinstance(target, str) else (target or ())


def named(model: Model, targets: tuple[str, ...]) -> Model:
    """Return a model whose values or labels have the names of their columns: arrays had lost them."""
    encoder = model.target_encoder
    if isinstance(encoder, (LabelsEncoder, TargetScaler)) and len(encoder.names) == len(targets):
        return replace(model, target_encoder=replace(encoder, names=targets))
    return model


def target_values(y: Any, task: Task) -> np.ndarray:
    """Return a target column, or several, as the estimators take them; whole-number classes as such."""
    if isinstance(y, Table):
        columns = [y[name] for name in y]
        texts = [c for c in columns if c.dtype.kind not in "f"]
        values = np.stack([_indicator(c) for c in columns] if texts else columns, axis=1)
        if task == "regression":
            return values
        for name, column in zip(y, values.T, strict=True):
            if not np.isin(column, (0, 1)).all():
                raise DataError(
                    f"Target '{name}' holds something other than 0 and 1: with several targets a"
                    " classification needs columns of 0 (no) and 1 (yes). Train one model a column."
                )
        return values.astype(np.int64)
    if y.dtype.kind == "M":
        raise DataError(
            "The target holds dates: a network predicts classes or numbers. Name another column."
        )
    if task == "regression" and y.dtype.kind == "O":
        raise DataError(
            f"The target holds text ({str(y[0])!r}), which a regression cannot predict: leave --task out."
        )
    return _whole(y) if task == "classification" and y.dtype.kind == "f" else np.asarray(y)


def _whole(values: np.ndarray) -> np.ndarray:
    """Return numbers as int64 if every one of them is a whole number that float64 holds exactly."""
    with np.errstate(invalid="ignore"):
        exact = (values == np.floor(values)) & (np.abs(values) < 2**53)
    return values.astype(np.int64) if exact.all() else values


def check_finite(X: Any) -> None:
    """Raise for an infinite number, before the work begins and with its row as the file counts it.

    Missing values are no concern: they have their encoding.
    """
    columns = X.columns.items() if isinstance(X, Table) else [("", X)]
    for name, column in columns:
        if column.dtype.kind == "f" and np.isinf(column).any():
            row = int(np.argwhere(np.isinf(column.reshape(len(column), -1)))[0, 0])
            where = f"Column {name!r}" if name else "The array of inputs"
            raise DataError(
                f"{where} holds an infinite value in row {row} (the first row is 0), with which nothing can"
                " be computed. Put a finite number there, or leave it empty (NaN) for missing."
            )


def check_classes(y: np.ndarray, test_y: np.ndarray) -> None:
    """Raise for a class of the test set that the training set lacks, before the work begins."""
    if y.ndim > 1:
        return
    unseen = sorted(set(test_y.tolist()) - set(y.tolist()), key=str)
    if unseen:
        raise DataError(
            f"The test set holds the class {unseen[0]!r}, of which the training set has no row: a network"
            " cannot learn it. Add rows of it to the training set, or drop it from the test set."
        )


def _indicator(column: np.ndarray) -> np.ndarray:
    if column.dtype.kind == "O" and set(column.tolist()) <= {"False", "True"}:
        return np.asarray(column == "True").astype(np.float64)
    if column.dtype.kind == "f":
        return column
    raise DataError(
        "Several targets must be columns of numbers, or of yes and no (0 and 1); this one holds text:"
        f" {str(column[0])!r}. Train one model a column."
    )
