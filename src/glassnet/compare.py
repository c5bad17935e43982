"""Compare: a network and simpler models on the same folds, to say whether the network is worth it."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.model_selection import KFold, StratifiedKFold

from glassnet._resolve import check_count
from glassnet.choices import as_array, targets_of
from glassnet.comparison import SHOWN, Comparison, Standing, field_of
from glassnet.contestants import CONTESTANTS, Features, Size, few_threads, memory_of
from glassnet.curves import curve_of, sizes_of, some_rows
from glassnet.errors import ConfigurationError, DataError, DivergenceError
from glassnet.estimators import NeuralClassifier, NeuralRegressor
from glassnet.evaluation import SCORES
from glassnet.neural_estimator import NeuralEstimator
from glassnet.progress import StepBar
from glassnet.tables import Table, as_table, is_table
from glassnet.targets import ClassEncoder, TargetScaler
from glassnet.tasks import Task, sniff_task
from glassnet.verdicts import GUESS, NETWORK, row_errors, verdict

Split = tuple[np.ndarray, np.ndarray]


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
    >>> network = gn.NeuralClassifier((16,), epochs=20, random_state=0)
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
    if len(next(iter(standings.values())).errors) < 2 or len(standings) < 2:
        if race.interrupted:
            raise KeyboardInterrupt
        raise ConfigurationError(
            f"In {max_seconds} s no two models could be tested on two folds: give more time, or fewer rows."
        )
    found = verdict(field_of(standings, folds, n))
    spent = time.perf_counter() - began
    return Comparison(
        race.task, n, race.columns, folds, int(repeats), standings, found, curve, spent,
        race.notes(folds * int(repeats), bool(sizes) and curve is None), race.interrupted,
    )  # fmt: skip


@dataclass
class _Record:
    """What a model did so far, a value a fold."""

    errors: list[float] = field(default_factory=list)
    scores: list[dict[str, float]] = field(default_factory=list)
    fit_seconds: list[float] = field(default_factory=list)
    predict_seconds: list[float] = field(default_factory=list)
    bytes: int = 0
    fitted_on: int | None = None


class _OutOfTime(Exception):
    """The time is up: this model does not get its turn."""


@dataclass
class _Race:
    """The rows, the models, and what came out so far."""

    task: Task
    X: Any
    y: np.ndarray
    truth: np.ndarray
    labels: ClassEncoder | None
    network: Any
    seed: int
    deadline: float = math.inf
    bar: StepBar = field(default_factory=lambda: StepBar("compare", 0, False))
    done: dict[str, _Record] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def columns(self) -> int:
        return len(self.X.names) if isinstance(self.X, Table) else int(np.prod(self.X.shape[1:]))

    @property
    def classes(self) -> int:
        return 1 if self.labels is None else len(self.labels.classes)

    def splits(self, folds: int, seed: int) -> list[Split]:
        kind = KFold if self.labels is None else StratifiedKFold
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a class of fewer rows than folds is in as many as it can
            return list(kind(folds, shuffle=True, random_state=seed).split(self.truth, self.truth))

    def run(self, splits: Sequence[Split]) -> None:
        """Fit and test each model on each split; the network, which takes longest, after all others."""
        for train, test in splits:
            features: list[Any] = []
            for key in CONTESTANTS:
                self._turn(key, train, test, features, self.done)
        for train, test in splits:
            self._turn(NETWORK, train, test, [], self.done)

    def again(self, splits: Sequence[Split], rows: int, seed: int) -> dict[str, np.ndarray] | None:
        """Return each model's errors by fold after so many training rows; None if time ran out."""
        done: dict[str, _Record] = {}
        for number, (train, test) in enumerate(splits):
            part = train[some_rows(self.truth[train], rows, seed + number, self.task)]
            features: list[Any] = []
            for key in [key for key in self.done if key not in (GUESS, *self.failed)]:
                self._turn(key, part, test, features, done)
                if key not in done or len(done[key].errors) != number + 1:
                    return None
        return {key: np.array(record.errors) for key, record in done.items()}

    def _turn(
        self, key: str, train: Any, test: Any, features: list[Any], done: dict[str, _Record]
    ) -> None:
        """Fit and test one model on one split, if there is time; `features` are encoded once for all."""
        title = _title(key)
        self.bar.step(title)
        before = done.get(key)
        # a fit cannot be cut short: what the last one took tells whether there is time for this one
        expected = min(before.fit_seconds) if before else 0.0
        if key in self.failed or time.perf_counter() + expected > self.deadline:
            return
        if before is not None and before is not self.done.get(key) and not before.errors:
            return
        try:
            record = self._fitted(key, train, test, features)
        except _OutOfTime:
            return
        except DivergenceError as error:
            self.failed[key] = str(error)
            return
        into = done.setdefault(key, _Record())
        into.errors += record.errors
        into.scores += record.scores
        into.fit_seconds += record.fit_seconds
        into.predict_seconds += record.predict_seconds
        into.bytes, into.fitted_on = record.bytes, record.fitted_on

    def _fitted(self, key: str, train: Any, test: Any, features: list[Any]) -> _Record:
        record, truth = _Record(), self.truth[test]
        neural = key == NETWORK and isinstance(self.network, NeuralEstimator)
        encoding = 0.0
        if neural:
            x, x_test = _at(self.X, train), _at(self.X, test)
        else:
            if not features:
                features += self._encoded(train, test)
            x, x_test, encoding = features
        model, kept = self._model(key, x, train)
        if kept is not None:
            x, train = x[kept], train[kept]
            record.fitted_on = len(kept)
        with warnings.catch_warnings(), few_threads(0 if neural else x.size):
            # a linear model cut off before it has converged is still a contestant
            warnings.simplefilter("ignore")
            began = time.perf_counter()
            model.fit(x, self.y[train])
            record.fit_seconds.append(time.perf_counter() - began + encoding)
            self._check_end(model)
            began = time.perf_counter()
            predicted, proba = self._predicted(model, x_test)
            took = time.perf_counter() - began
            scores = SCORES[self.task](truth, predicted, proba)
        record.predict_seconds.append(took * 1000 / len(test))
        record.errors.append(float(row_errors(truth, predicted, proba).mean()))
        record.scores.append({name: scores.get(name, math.nan) for name in SHOWN[self.task]})
        record.bytes = memory_of(model.model_ if neural else model)
        return record

    def _encoded(self, train: Any, test: Any) -> list[Any]:
        began = time.perf_counter()
        rows = _at(self.X, train)
        encoder = Features(rows)
        x = encoder.of(rows)
        spent = time.perf_counter() - began
        return [x, encoder.of(_at(self.X, test)), spent]

    def _model(self, key: str, x: Any, train: Any) -> tuple[Any, np.ndarray | None]:
        """Return an estimator to be fitted, and which rows it takes where it cannot take all."""
        if key == NETWORK:
            model = clone(self.network)
            if isinstance(model, NeuralEstimator):
                given = model.callbacks
                given = tuple(given) if isinstance(given, list | tuple) else (given,)
                model.callbacks = (*given, _Deadline(self.deadline))
            return model, None
        truth = self.truth[train]
        fewest = 0 if self.labels is None else int(np.unique(truth, return_counts=True)[1].min())
        size = Size(len(x), int(x.shape[1]), self.classes, fewest)
        contestant = CONTESTANTS[key]
        most = contestant.most(size)
        kept = None
        if key != GUESS and size.rows > most:
            kept = some_rows(truth, int(most), self.seed, self.task)
        return contestant.make(self.task, size, self.seed), kept

    def _check_end(self, model: Any) -> None:
        """Raise if a network was stopped before its end: half a training says little."""
        if getattr(model, "status_", "") == "interrupted":
            raise KeyboardInterrupt
        ends = [c for c in getattr(model, "callbacks", None) or () if isinstance(c, _Deadline)]
        if any(end.passed for end in ends):
            raise _OutOfTime

    def _predicted(self, model: Any, x: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """Return codes and probabilities (n, classes), those of classes without rows 0; or values, None."""
        if self.labels is None:
            return np.asarray(model.predict(x), np.float64).reshape(len(x)), None
        found = np.asarray(model.predict_proba(x), np.float64)
        proba = np.zeros((len(found), self.classes))
        proba[:, self.labels.transform(model.classes_)] = found
        return proba.argmax(axis=1), proba

    def standings(self) -> dict[str, Standing]:
        """Return how each model did that has been tested, the simplest first."""
        found = {}
        for key in (*CONTESTANTS, NETWORK):
            if key not in self.done or key in self.failed:
                continue
            record = self.done[key]
            about = CONTESTANTS[key].about if key in CONTESTANTS else type(self.network).__name__
            title = _guess_title(self.task) if key == GUESS else _title(key)
            names = SHOWN[self.task]
            found[key] = Standing(
                title, about, np.array(record.errors),
                {name: np.array([scores[name] for scores in record.scores]) for name in names},
                np.array(record.fit_seconds), np.array(record.predict_seconds),
                record.bytes, record.fitted_on,
            )  # fmt: skip
        return found

    def notes(self, planned: int, no_curve: bool) -> tuple[str, ...]:
        """Return what was left out, and why."""
        why = "it was interrupted" if self.interrupted else "the time was up"
        notes = []
        for key in (*CONTESTANTS, NETWORK):
            title, folds = _title(key).capitalize(), len(self.done[key].errors) if key in self.done else 0
            if key in self.failed:
                notes.append(f"{title} is left out: {self.failed[key]}")
            elif not folds:
                notes.append(f"{title} did not get its turn: {why}.")
            elif folds < planned:
                less = "; with one fold it does not count" if folds == 1 else ""
                notes.append(f"{title} was tested on {folds} of {planned} folds, then {why}{less}.")
            if key in self.done and self.done[key].fitted_on is not None:
                notes.append(f"{title} was fitted on {self.done[key].fitted_on} rows a fold, drawn at random.")
        if no_curve:
            notes.append(f"There is no learning curve: {why}.")
        return tuple(notes)


class _Deadline:
    """A callback that stops a training when the time is up."""

    coarse = True

    def __init__(self, at: float) -> None:
        self.at, self.passed = at, False

    def __call__(self, event: Any) -> bool:
        self.passed = time.perf_counter() > self.at
        return self.passed


def _race(X: Any, y: Any, task: Task | None, estimator: Any, folds: int, seed: int) -> _Race:
    """Check what was given and return it in its normal form."""
    rows = _rows(X)
    if task not in (None, "classification", "regression"):
        raise ConfigurationError(f"task is {task!r}: choose 'classification' or 'regression'.")
    if task is None:
        task = sniff_task(y) if estimator is None else _task_of(estimator)
    elif estimator is not None and _task_of(estimator) != task:
        raise ConfigurationError(
            f"{type(estimator).__name__} is for {_task_of(estimator)}, but the task is {task}: give one that fits."
        )
    if estimator is None:
        kind = NeuralClassifier if task == "classification" else NeuralRegressor
        estimator = kind(random_state=seed)
    target = targets_of(y)
    target = target[:, 0] if target.ndim == 2 and target.shape[1] == 1 else target
    if target.ndim > 1:
        raise DataError(
            f"The target has {target.shape[1]} columns: models are compared on one at a time. Give one column."
        )
    if len(target) != len(rows):
        raise DataError(f"X has {len(rows)} rows and y has {len(target)}: each row needs one target.")
    if len(target) < 2 * folds or len(target) < 10:
        raise DataError(
            f"There are {len(target)} rows, too few to compare models on {folds} folds: give at least"
            f" {max(10, 2 * folds)}."
        )
    if task == "regression":
        TargetScaler.fit(target)  # raises for text, missing and infinite values
        values = np.asarray(target, np.float64)
        if values.min() == values.max():
            raise DataError("Every value of the target is the same: there is nothing to predict.")
        return _Race(task, rows, values, values, None, estimator, seed)
    labels = ClassEncoder.fit(target)
    codes = labels.transform(target)
    if (np.bincount(codes) > 1).sum() < 2:
        raise DataError(
            "Fewer than two classes have two rows or more: each fold needs two classes to tell apart."
        )
    return _Race(task, rows, labels.inverse(codes), codes, labels, estimator, seed)


def _rows(X: Any) -> Any:
    if is_table(X):
        return as_table(X)
    X = X.toarray() if hasattr(X, "toarray") else X
    X = X if hasattr(X, "shape") else as_array("X", X)
    if X.ndim < 2:
        raise DataError(f"X has shape {X.shape}, but (rows, columns) is needed: X.reshape(-1, 1) makes one column.")
    return as_table(X.astype(object)) if X.dtype.kind in "OUST" else X


def _task_of(estimator: Any) -> Task:
    if not hasattr(estimator, "fit") or not hasattr(estimator, "get_params"):
        raise ConfigurationError(
            f"{estimator!r} is no estimator: give gn.NeuralClassifier(...) or one of scikit-learn's."
        )
    if is_classifier(estimator) and not hasattr(estimator, "predict_proba"):
        raise ConfigurationError(
            f"{type(estimator).__name__} gives no probabilities (predict_proba), by which models are compared."
        )
    return "classification" if is_classifier(estimator) else "regression"


def _title(key: str) -> str:
    return CONTESTANTS[key].title if key in CONTESTANTS else "the network"


def _guess_title(task: Task) -> str:
    return "guessing the classes' shares" if task == "classification" else "guessing the mean"


def _at(X: Any, places: np.ndarray) -> Any:
    return X.rows(places) if isinstance(X, Table) else X[places]
