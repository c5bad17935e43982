"""Experiment: from a data set to a model, its test and its baselines; what `glassnet train` runs.

Nothing is printed here: the command prints, and a test reads the record.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from glassnet.datasets import Dataset
from glassnet.errors import ConfigurationError, DataError
from glassnet.estimators import NeuralClassifier, NeuralRegressor
from glassnet.evaluation import Evaluation, baselines, evaluate
from glassnet.fitting import Callback
from glassnet.history import History
from glassnet.model import Model
from glassnet.preprocessing import split
from glassnet.suspicions import Suspicion, suspicions
from glassnet.tables import Table
from glassnet.targets import sniff_task

Task = Literal["classification", "regression"]


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
    """What came out. `rows` counts training, validation and test rows; `status` is the run's end."""

    model: Model
    history: History
    evaluation: Evaluation
    suspicions: tuple[Suspicion, ...]
    rows: dict[str, int]
    seconds: float
    status: str
    test_rows: np.ndarray | None


@dataclass(frozen=True)
class Prepared:
    """Rows to train and to test on, and what is suspicious about them."""

    task: Task
    train: tuple[Any, np.ndarray]
    test: tuple[Any, np.ndarray]
    test_rows: np.ndarray | None
    suspicions: tuple[Suspicion, ...]


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
    y = target_values(data.y, task)
    if data.test is not None and data.test[1] is not None:
        test_X, test_y = data.test[0], target_values(data.test[1], task)
        found = suspicions(data.X, data.y, task=task)
        return Prepared(task, (data.X, y), (test_X, test_y), None, found)
    if len(y) < 5:
        raise DataError(
            f"'{data.name}' has {len(y)} usable rows: that is too few to train and to test on."
        )
    train, test = split(
        y, plan.test_share, plan.seed, stratify=task == "classification" and y.ndim == 1
    )
    found = suspicions(data.X, data.y, train, test, task=task)
    return Prepared(
        task, (rows_of(data.X, train), y[train]), (rows_of(data.X, test), y[test]), test, found
    )


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
    tested = evaluate(estimator.model_, *prepared.test)
    tested = replace(
        tested, baselines=baselines(*prepared.train, *prepared.test, estimator.model_, plan.seed)
    )
    n_train, n_held = len(prepared.train[1]), estimator.n_validation_
    return Experiment(
        estimator.model_,
        estimator.history_,
        tested,
        prepared.suspicions,
        {"training": n_train - n_held, "validation": n_held, "test": len(prepared.test[1])},
        seconds,
        estimator.status_,
        prepared.test_rows,
    )


def target_values(y: Any, task: Task) -> np.ndarray:
    """Return a target column, or several, as the estimators take them; whole-number classes as such."""
    if isinstance(y, Table):
        columns = [y[name] for name in y]
        texts = [c for c in columns if c.dtype.kind not in "f"]
        values = (
            np.stack([_indicator(c) for c in columns], axis=1)
            if texts
            else np.stack(columns, axis=1)
        )
        return values.astype(np.int64) if task == "classification" else values
    if y.dtype.kind == "M":
        raise DataError(
            "The target holds dates: a network predicts classes or numbers. Name another column."
        )
    if task == "regression" and y.dtype.kind == "O":
        raise DataError(
            f"The target holds text ({str(y[0])!r}), which a regression cannot predict: leave --task out."
        )
    whole = task == "classification" and y.dtype.kind == "f" and (y == np.floor(y)).all()
    return np.asarray(y.astype(np.int64) if whole else y)


def _indicator(column: np.ndarray) -> np.ndarray:
    if column.dtype.kind == "O" and set(column.tolist()) <= {"False", "True"}:
        return np.asarray(column == "True").astype(np.float64)
    if column.dtype.kind == "f":
        return column
    raise DataError(
        "Several targets must be columns of numbers, or of yes and no (0 and 1); this one holds text:"
        f" {str(column[0])!r}. Train one model a column."
    )


def rows_of(X: Any, places: np.ndarray) -> Any:
    """Return some rows of a table or an array."""
    return X.rows(places) if isinstance(X, Table) else X[places]
