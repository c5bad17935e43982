"""Compare: a network and simpler models on the same folds, to say whether the network is worth it."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from sklearn.base import is_classifier

from glassnet._checks import check_count
from glassnet.data.tables import as_table, is_table
from glassnet.encoding.target_kinds import Task, sniff_task
from glassnet.encoding.targets import ClassEncoder, TargetScaler
from glassnet.errors import ConfigurationError, DataError
from glassnet.evaluation.comparison import Comparison, field_of
from glassnet.evaluation.contestants import CONTESTANTS
from glassnet.evaluation.learning_curves import curve_of, sizes_of
from glassnet.evaluation.race import Race
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
    linear model, a small tree, k nearest neighbours, gradient boosting. Each fold's encoding is learned from
    its training rows alone. What decides is the share explained, 1 - error / error of the guess, of squared
    errors or of the probabilities' (Brier) errors; differences are paired over the folds, with the 95 %
    intervals of Nadeau & Bengio (2003), and the simplest model is preferred that no more complex one beats.

    Parameters
    ----------
    X: numbers (n, columns), pictures (n, h, w) or (n, h, w, c), or a table with text, dates and missing
        values (pandas, polars, Arrow, a dictionary of columns).
    y: one class or one value a row.
    task: "classification" or "regression"; recognised from y, or from the estimator, if not given.
    estimator: what stands for the network: `NeuralClassifier` or `NeuralRegressor` with parameters of your
        own, or any of scikit-learn's, which then sees the encoded features. Default: glassnet's, as it comes.
    folds: how many (of each class the same share). Default 5.
    repeats: of all folds, shuffled anew. "auto": 4 up to 500 rows, 2 up to 5 000, else 1.
    learning_curve: whether to train also on an eighth, a quarter and a half of the rows of one repeat's
        folds, to tell whether more rows would help; costs about one more repeat.
    max_seconds: time to spend. Fits that have not begun by then are left out, a network that is training is
        stopped; what is done by then counts, and the notes say what is lacking. Default: no limit.
    seed: of the folds and of all models.
    progress: whether to draw a bar on the standard error output.

    Raises
    ------
    DataError: X or y unfit, several targets, too few rows. ConfigurationError: an impossible parameter.

    >>> import glassnet as gn
    >>> from sklearn.datasets import load_iris
    >>> network = gn.NeuralClassifier((16,), members=1, epochs=20, random_state=0)
    >>> found = compare(*load_iris(return_X_y=True), estimator=network, repeats=1)
    >>> list(found.standings), len(found.standings["linear"].errors)
    (['guess', 'linear', 'tree', 'neighbours', 'boosting', 'network'], 5)
    >>> found.verdict.use == "guess", found.difference("linear", "guess").low > 0.5
    (False, True)
    """
    began = time.perf_counter()
    check_count("folds", folds, 2)
    if max_seconds is not None and not max_seconds > 0:
        raise ConfigurationError(f"max_seconds is {max_seconds}, but it must be more than 0.")
    race = _race(X, y, task, estimator, folds, seed)
    if max_seconds is not None:
        race.deadline = began + max_seconds
    n = len(race.truth)
    if repeats == "auto":
        repeats = 4 if n <= 500 else 2 if n <= 5_000 else 1
    check_count("repeats", repeats)
    rounds = [race.splits(folds, seed + number) for number in range(int(repeats))]
    sizes = sizes_of(len(rounds[0][0][0])) if learning_curve else ()
    steps = (len(CONTESTANTS) + 1) * folds * (int(repeats) + len(sizes))
    race.bar = StepBar("compare", steps, progress)
    curve = None
    try:
        for splits in rounds:
            race.run(splits)
        if sizes and race.standings():
            curve = curve_of(
                lambda rows: race.again(rounds[0], rows, seed), race.standings(), sizes, folds,
                [len(train) for train, _ in rounds[0]],
            )  # fmt: skip
    except KeyboardInterrupt:
        race.interrupted = True
    finally:
        race.bar.close()
    standings = race.standings()
    if sum(len(standing.errors) > 1 for standing in standings.values()) < 2:
        if race.interrupted:
            raise KeyboardInterrupt
        raise ConfigurationError(
            f"In {max_seconds} s no two models could be tested on two folds: give more time, or fewer rows."
        )
    found = verdict(field_of(standings, folds, n))
    no_curve = learning_curve and curve is None
    spent = time.perf_counter() - began
    return Comparison(
        race.task, n, race.columns, folds, int(repeats), standings, found, curve, spent,
        race.notes(folds * int(repeats), no_curve), race.interrupted,
    )  # fmt: skip


def _race(X: Any, y: Any, task: Task | None, estimator: Any, folds: int, seed: int) -> Race:
    """Check what was given and return it in its normal form."""
    rows = _rows(X)
    target = _target(y, len(rows), folds)
    if task not in (None, "classification", "regression"):
        raise ConfigurationError(f"task is {task!r}: choose 'classification' or 'regression'.")
    if task is None:
        task = sniff_task(y) if estimator is None else _task_of(estimator)
    elif estimator is not None and _task_of(estimator) != task:
        raise ConfigurationError(
            f"{type(estimator).__name__} is for {_task_of(estimator)}, but the task is {task}:"
            " give one that fits."
        )
    if estimator is None:
        kind = NeuralClassifier if task == "classification" else NeuralRegressor
        estimator = kind(random_state=seed)
    if task == "regression":
        TargetScaler.fit(target)  # raises for text, missing and infinite values
        values = np.asarray(target, np.float64)
        if values.min() == values.max():
            raise DataError("Every value of the target is the same: there is nothing to predict.")
        return Race(task, rows, values, values, None, estimator, seed)
    labels = ClassEncoder.fit(target)
    codes = labels.transform(target)
    if (np.bincount(codes) > 1).sum() < 2:
        raise DataError(
            "Fewer than two classes have two rows or more: each fold needs two classes to tell apart."
        )
    return Race(task, rows, labels.inverse(codes), codes, labels, estimator, seed)


def _target(y: Any, rows: int, folds: int) -> np.ndarray:
    """Return one target a row, in an array."""
    target = targets_of(y)
    target = target[:, 0] if target.ndim == 2 and target.shape[1] == 1 else target
    if target.ndim > 1:
        raise DataError(
            f"The target has {target.shape[1]} columns: models are compared on one at a time."
            " Give one column."
        )
    if len(target) != rows:
        raise DataError(
            f"X has {rows} rows and y has {len(target)}: each row needs exactly one target."
        )
    if rows < max(10, 2 * folds):
        raise DataError(
            f"There are {rows} rows, too few to compare models on {folds} folds: give at least"
            f" {max(10, 2 * folds)}."
        )
    return target


def _rows(X: Any) -> Any:
    if is_table(X):
        return as_table(X)
    X = X.toarray() if hasattr(X, "toarray") else X
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
            f"{estimator!r} is no estimator: give gn.NeuralClassifier(...) or one of scikit-learn's."
        )
    if is_classifier(estimator) and not hasattr(estimator, "predict_proba"):
        raise ConfigurationError(
            f"{type(estimator).__name__} gives no probabilities (predict_proba),"
            " by which models are compared."
        )
    return "classification" if is_classifier(estimator) else "regression"
