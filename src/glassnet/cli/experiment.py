"""Prepare a data set, train on it and test the model: what `glassnet train` and `glassnet compare` run.

Nothing is printed here: the command prints the record that these functions return.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from glassnet.cli.console import plain
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

MIN_ROWS = 5  # fewer rows cannot be split into training and test rows


@dataclass(frozen=True)
class Choices:
    """The user's choices besides the data.

    task: None if it is to be recognised from the target (`sniff_task`).
    test_share: the share of rows set aside for the test, unless the data come with a test set.
    parameters: parameters of the estimator.
    """

    task: Task | None = None
    test_share: float = 0.2
    seed: int = 0
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    """Rows to train and to test on, the names of the data and the targets, and what looks suspicious.

    test_rows: indices of the test rows in the data; None if the data came with a test set.
    """

    task: Task
    train: tuple[Any, np.ndarray]
    test: tuple[Any, np.ndarray]
    test_rows: np.ndarray | None
    suspicions: tuple[Suspicion, ...]
    name: str
    targets: tuple[str, ...]


@dataclass(frozen=True)
class Experiment:
    """A fitted estimator, the model to save, and its test.

    model: the estimator's model, with the names of the targets and the information for its file.
    rows: the numbers of training, validation and test rows.
    seconds: the training time.
    """

    prepared: Prepared
    estimator: NeuralClassifier | NeuralRegressor
    model: Model
    evaluation: Evaluation
    rows: dict[str, int]
    seconds: float

    @property
    def history(self) -> History:
        """The losses and scores of each epoch."""
        return self.estimator.history_

    @property
    def status(self) -> str:
        """How the training ended."""
        return self.estimator.status_


def prepare(data: Dataset, choices: Choices) -> Prepared:
    """Recognise the task, set the test rows aside, and look for anything suspicious.

    Raises
    ------
    DataError: there is no target, only one class, or too few rows.
    """
    target = known_target(data)
    task: Task = choices.task or sniff_task(target)
    y = target_values(target, task)
    check_finite(data.X)
    name, names = plain(Path(data.name).name), target_columns(data)
    if data.test is not None and data.test[1] is not None:
        test_X, test_y = data.test[0], target_values(data.test[1], task)
        check_finite(test_X)
        if task == "classification":
            check_classes(y, test_y)
        notices = suspicions(data.X, target, task=task)
        return Prepared(
            task,
            train=(data.X, y),
            test=(test_X, test_y),
            test_rows=None,
            suspicions=notices,
            name=name,
            targets=names,
        )
    if len(y) < MIN_ROWS:
        raise DataError(
            f"'{data.name}' has {len(y)} usable rows, which is too few to train and test on:"
            f" give at least {MIN_ROWS}."
        )
    stratify = task == "classification" and y.ndim == 1
    train, test = split(y, choices.test_share, choices.seed, stratify=stratify)
    return Prepared(
        task,
        train=(rows_at(data.X, train), y[train]),
        test=(rows_at(data.X, test), y[test]),
        test_rows=test,
        suspicions=suspicions(data.X, target, train, test, task=task),
        name=name,
        targets=names,
    )


def run_experiment(
    prepared: Prepared, choices: Choices, callbacks: Sequence[Callback] = ()
) -> Experiment:
    """Train on the training rows, and test the model and the baselines on the test rows."""
    kind = estimator_class(prepared.task)
    unknown = sorted(set(choices.parameters) - set(inspect.signature(kind).parameters))
    if unknown:
        raise ConfigurationError(f"{unknown[0]} does not apply to a {prepared.task}.")
    estimator = kind(random_state=choices.seed, callbacks=callbacks, **choices.parameters)
    began = time.perf_counter()
    estimator.fit(*prepared.train)
    seconds = time.perf_counter() - began
    model = with_target_names(estimator.model_, prepared.targets)
    evaluation = with_baselines(
        evaluate(model, *prepared.test), *prepared.train, *prepared.test, model, choices.seed
    )
    n_train, n_validation = len(prepared.train[1]), estimator.n_validation_
    rows = {
        "training": n_train - n_validation,
        "validation": n_validation,
        "test": len(prepared.test[1]),
    }
    info = {
        "data": prepared.name,
        "target": list(prepared.targets),
        "task": prepared.task,
        "rows": rows,
        "scores": evaluation.scores,
        "baselines": evaluation.baselines,
    }
    return Experiment(
        prepared=prepared,
        estimator=estimator,
        model=replace(model, info=info),
        evaluation=evaluation,
        rows=rows,
        seconds=seconds,
    )


class Comparable(NamedTuple):
    """Rows to compare models on, the network to compare, and a note for each decision."""

    X: Any
    y: np.ndarray
    estimator: NeuralClassifier | NeuralRegressor
    notes: tuple[str, ...]


def comparable(data: Dataset, choices: Choices) -> Comparable:
    """Return what `gn.compare` takes. If the data come with a test set, only the training rows are used.

    Raises
    ------
    DataError: no target, several targets, or an infinite number.
    """
    target = known_target(data)
    if isinstance(target, Table):
        raise DataError(
            "Models are compared on one target at a time: name one with --target COLUMN."
        )
    task = choices.task or sniff_task(target)
    check_finite(data.X)
    notes = [*data.notes, *(s.message for s in suspicions(data.X, target, task=task))]
    if data.test is not None:
        notes.append(
            "Models are compared on the training rows; the test rows of these data are not used."
        )
    estimator = estimator_class(task)(random_state=choices.seed, **choices.parameters)
    return Comparable(data.X, target_values(target, task), estimator, tuple(notes))


def estimator_class(task: Task) -> type[NeuralClassifier | NeuralRegressor]:
    """Return the estimator for a task."""
    return NeuralClassifier if task == "classification" else NeuralRegressor


def without_columns(data: Dataset, names: Sequence[str]) -> Dataset:
    """Return a data set without some of its columns."""
    if not names:
        return data
    if not isinstance(data.X, Table):
        raise DataError("--drop leaves out columns of a table, but these data are not a table.")
    for name in names:
        if name not in data.X:
            raise DataError(no_such_column(name, data.X.names))
    if len(set(names)) == len(data.X.names):
        raise DataError("--drop leaves no column to learn from: drop fewer.")
    return replace(data, X=data.X.without(*names))


def known_target(data: Dataset) -> Any:
    """Return the target of a data set; raises `DataError` if it has none."""
    if data.y is None:
        raise DataError(
            f"'{data.name}' does not say what to predict: name the column with --target COLUMN."
        )
    return data.y


def target_columns(data: Dataset) -> tuple[str, ...]:
    """Return the names of the columns to predict; () if they have none."""
    return (data.target,) if isinstance(data.target, str) else tuple(data.target or ())


def with_target_names(model: Model, names: tuple[str, ...]) -> Model:
    """Return a model with the names of its targets, which the arrays given to an estimator do not have."""
    encoder = model.target_encoder
    if isinstance(encoder, (LabelsEncoder, TargetScaler)) and len(encoder.names) == len(names):
        return replace(model, target_encoder=replace(encoder, names=names))
    return model


def target_values(y: Any, task: Task) -> np.ndarray:
    """Return one or several target columns as estimators take them, whole-number classes as int64."""
    if isinstance(y, Table):
        return _several_targets(y, task)
    if y.dtype.kind == "M":
        raise DataError(
            "The target holds dates, but a network predicts classes or numbers: name another column."
        )
    if task == "regression" and y.dtype.kind == "O":
        raise DataError(
            f"The target holds text ({str(y[0])!r}), which a regression cannot predict: omit --task"
            " regression, or name a column of numbers."
        )
    return (
        _as_whole_numbers(y) if task == "classification" and y.dtype.kind == "f" else np.asarray(y)
    )


def _several_targets(y: Table, task: Task) -> np.ndarray:
    """Return several target columns as an array, shape (n, targets)."""
    columns = [y[name] for name in y]
    if any(column.dtype.kind != "f" for column in columns):
        columns = [_indicator(column) for column in columns]
    values = np.stack(columns, axis=1)
    if task == "regression":
        return values
    for name, column in zip(y, values.T, strict=True):
        if not np.isin(column, (0, 1)).all():
            raise DataError(
                f"Target '{name}' holds values other than 0 and 1. With several targets, a classification"
                " needs columns of 0 (no) and 1 (yes). Train one model per column instead."
            )
    return values.astype(np.int64)


def _as_whole_numbers(values: np.ndarray) -> np.ndarray:
    """Return numbers as int64 if each is a whole number that float64 holds exactly."""
    with np.errstate(invalid="ignore"):
        exact = (values == np.floor(values)) & (np.abs(values) < 2**53)
    return values.astype(np.int64) if exact.all() else values


def check_finite(X: Any) -> None:
    """Raise for an infinite number before training starts, and name its row.

    Missing values are allowed, because they are encoded.
    """
    columns = X.columns.items() if isinstance(X, Table) else [("", X)]
    for name, column in columns:
        if column.dtype.kind == "f" and np.isinf(column).any():
            row = int(np.argwhere(np.isinf(column.reshape(len(column), -1)))[0, 0])
            where = f"Column {name!r}" if name else "The array of inputs"
            raise DataError(
                f"{where} holds an infinite value in row {row} (the first row is 0), and nothing can be"
                " computed with it. Put a finite number there, or leave it empty (NaN) if it is missing."
            )


def check_classes(y: np.ndarray, test_y: np.ndarray) -> None:
    """Raise before training starts if the test set has a class that the training set lacks."""
    if y.ndim > 1:
        return
    unseen = sorted(set(test_y.tolist()) - set(y.tolist()), key=str)
    if unseen:
        raise DataError(
            f"The test set holds the class {unseen[0]!r}, which no training row has, so no network can learn"
            " it. Add rows of this class to the training set, or drop it from the test set."
        )


def _indicator(column: np.ndarray) -> np.ndarray:
    if column.dtype.kind == "O" and set(column.tolist()) <= {"False", "True"}:
        return np.asarray(column == "True").astype(np.float64)
    if column.dtype.kind == "f":
        return column
    raise DataError(
        "Several targets must be columns of numbers, or of yes and no (0 and 1), but one of them holds text:"
        f" {str(column[0])!r}. Train one model per column instead."
    )
