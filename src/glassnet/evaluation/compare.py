"""Compare a network with simpler models on the same folds, to say whether the network is worth it."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from sklearn.base import is_classifier

from glassnet._checks import check_count
from glassnet.data.tables import as_table, dense, is_table
from glassnet.encoding.target_kinds import Task, sniff_task
from glassnet.encoding.targets import ClassEncoder, TargetScaler
from glassnet.errors import ConfigurationError, DataError
from glassnet.evaluation.comparison import Comparison, field_of
from glassnet.evaluation.contestants import CONTESTANTS
from glassnet.evaluation.learning_curves import curve_of, sizes_of
from glassnet.evaluation.race import Problem, Race
from glassnet.evaluation.verdicts import verdict
from glassnet.fit.estimators import NeuralClassifier, NeuralRegressor
from glassnet.fit.parameters import as_array, targets_of
from glassnet.training.progress import StepBar


def compare(
    X: Any,
    y: Any,
    *,
    task: Task | None = None,
    estimator: Any = None,
    folds: int = 5,
    repeats: int | str = "auto",
    learning_curve: bool = False,
    max_seconds: float | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Comparison:
    """Compare a network with simpler models on the same folds, and say which to use.

    The simpler models are scikit-learn's (`contestants.CONTESTANTS`): a guess that ignores all columns, a
    linear model, a small tree, k nearest neighbours, gradient boosting. In each fold the encoding is
    learned from the training rows alone. Models are compared by the share explained, 1 - error / error of
    the guess, with squared errors, or for classes the probabilities' Brier scores. Differences are paired
    over the folds, with the 95 % intervals of Nadeau & Bengio (2003). The verdict is the simplest model
    that no more complex one beats.

    Parameters
    ----------
    X: numbers (n, columns), pictures (n, h, w) or (n, h, w, c), or a table with text, dates and missing
        values (pandas, polars, Arrow, a dictionary of columns).
    y: one class or one value per row.
    task: "classification" or "regression". Default: recognised from the estimator, or else from y.
    estimator: the network to compare: `NeuralClassifier` or `NeuralRegressor` with your own parameters, or
        any scikit-learn estimator, which then sees the encoded features. Default: glassnet's, with its
        default parameters.
    folds: the number of folds, stratified by class. Default 5.
    repeats: how often the folds are shuffled and run again. "auto": 4 up to 500 rows, 2 up to 5 000,
        else 1.
    learning_curve: whether to train also on an eighth, a quarter and a half of the rows (in the folds of
        one repeat), to see whether more rows would help. Costs about one more repeat.
    max_seconds: the time limit. A fit that has not begun by then is left out, and a network that is
        training is stopped; the notes say what is missing. Default: no limit.
    seed: of the folds and of all models.
    progress: whether to draw a progress bar on the standard error output.

    Raises
    ------
    DataError: X or y is unusable, y has several columns, or there are too few rows.
    ConfigurationError: a parameter is impossible, or the time was too short to compare two models.

    >>> import glassnet as gn
    >>> from sklearn.datasets import load_iris
    >>> network = gn.NeuralClassifier((16,), members=1, epochs=20, random_state=0)
    >>> comparison = compare(*load_iris(return_X_y=True), estimator=network, repeats=1)
    >>> list(comparison.standings), len(comparison.standings["linear"].errors)
    (['guess', 'linear', 'tree', 'neighbours', 'boosting', 'network'], 5)
    >>> comparison.verdict.use == "guess", comparison.difference("linear", "guess").low > 0.5
    (False, True)
    """
    began = time.perf_counter()
    check_count("folds", folds, 2)
    if max_seconds is not None and not max_seconds > 0:
        raise ConfigurationError(f"max_seconds is {max_seconds}, but it must be more than 0.")
    deadline = np.inf if max_seconds is None else began + max_seconds
    problem = _problem(X, y, task, estimator, folds, seed)
    rows = len(problem.truth)
    if repeats == "auto":
        repeats = 4 if rows <= 500 else 2 if rows <= 5_000 else 1
    check_count("repeats", repeats)
    rounds = [problem.splits(folds, seed + number) for number in range(int(repeats))]
    sizes = sizes_of(len(rounds[0][0][0])) if learning_curve else ()
    steps = (len(CONTESTANTS) + 1) * folds * (int(repeats) + len(sizes))
    bar = StepBar("compare", steps, progress)
    race = Race(problem, deadline, bar)
    curve, interrupted = None, False
    try:
        for splits in rounds:
            race.run(splits)
        if sizes and race.standings():
            curve = curve_of(
                lambda size: race.again(rounds[0], size, seed),
                race.standings(),
                sizes,
                folds,
                [len(train) for train, _ in rounds[0]],
            )
    except KeyboardInterrupt:
        interrupted = True
    finally:
        bar.close()
    standings = race.standings()
    if sum(len(standing.errors) > 1 for standing in standings.values()) < 2:
        if interrupted:
            raise KeyboardInterrupt
        raise ConfigurationError(
            f"In {max_seconds} s no two models could be tested on two folds each, so there is nothing"
            " to compare: give more time, or fewer rows."
        )
    return Comparison(
        task=problem.task,
        rows=rows,
        columns=problem.columns,
        folds=folds,
        repeats=int(repeats),
        standings=standings,
        verdict=verdict(field_of(standings, folds, rows)),
        curve=curve,
        seconds=time.perf_counter() - began,
        notes=race.notes(
            folds * int(repeats),
            interrupted=interrupted,
            lacks_curve=learning_curve and curve is None,
        ),
        interrupted=interrupted,
    )


def _problem(X: Any, y: Any, task: Task | None, estimator: Any, folds: int, seed: int) -> Problem:
    """Return the rows and the network to compare, checked."""
    rows = _rows(X)
    target = _target(y, len(rows), folds)
    if task not in (None, "classification", "regression"):
        raise ConfigurationError(f"task is {task!r}: choose 'classification' or 'regression'.")
    if task is None:
        task = sniff_task(y) if estimator is None else _task_of(estimator)
    elif estimator is not None and _task_of(estimator) != task:
        raise ConfigurationError(
            f"{type(estimator).__name__} is for {_task_of(estimator)}, but the task is {task}:"
            " give an estimator for it."
        )
    if estimator is None:
        kind = NeuralClassifier if task == "classification" else NeuralRegressor
        estimator = kind(random_state=seed)
    if task == "regression":
        TargetScaler.fit(target)  # raises for text, missing and infinite values
        values = np.asarray(target, np.float64)
        if values.min() == values.max():
            raise DataError("All target values are the same: there is nothing to predict.")
        return Problem(task, rows, values, values, labels=None, network=estimator, seed=seed)
    labels = ClassEncoder.fit(target)
    codes = labels.transform(target)
    if (np.bincount(codes) > 1).sum() < 2:
        raise DataError(
            "Fewer than two classes have two rows or more, and every fold needs two classes to tell"
            " apart: give more rows."
        )
    classes = labels.inverse(codes)
    return Problem(task, rows, classes, codes, labels=labels, network=estimator, seed=seed)


def _target(y: Any, rows: int, folds: int) -> np.ndarray:
    """Return the target as an array (n,)."""
    target = targets_of(y)
    target = target[:, 0] if target.ndim == 2 and target.shape[1] == 1 else target
    if target.ndim > 1:
        raise DataError(
            f"The target has {target.shape[1]} columns, but models are compared on one at a time:"
            " give one column."
        )
    if len(target) != rows:
        raise DataError(f"X has {rows} rows and y has {len(target)}: give one target for each row.")
    if rows < max(10, 2 * folds):
        raise DataError(
            f"There are {rows} rows, too few to compare models on {folds} folds: give at least"
            f" {max(10, 2 * folds)}."
        )
    return target


def _rows(X: Any) -> Any:
    if is_table(X):
        return as_table(X)
    X = dense(X)
    X = X if hasattr(X, "shape") else as_array("X", X)
    if X.ndim < 2:
        raise DataError(
            f"X has shape {X.shape}, but (rows, columns) is needed:"
            " X.reshape(-1, 1) makes one column."
        )
    return as_table(X.astype(object)) if X.dtype.kind in "OUST" else X


def _task_of(estimator: Any) -> Task:
    if not hasattr(estimator, "fit") or not hasattr(estimator, "get_params"):
        raise ConfigurationError(
            f"{estimator!r} is not an estimator: give gn.NeuralClassifier(...) or one of scikit-learn's."
        )
    if is_classifier(estimator) and not hasattr(estimator, "predict_proba"):
        raise ConfigurationError(
            f"{type(estimator).__name__} gives no probabilities (predict_proba),"
            " by which models are compared."
        )
    return "classification" if is_classifier(estimator) else "regression"
