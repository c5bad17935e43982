"""Fit and test every model on every fold, and measure the time."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import KFold, StratifiedKFold

from glassnet.data.tables import Table, rows_at
from glassnet.encoding.target_kinds import Task
from glassnet.encoding.targets import ClassEncoder
from glassnet.errors import DivergenceError
from glassnet.evaluation.comparison import SHOWN, Standing
from glassnet.evaluation.contestants import CONTESTANTS, Size, limited_threads, sample_rows
from glassnet.evaluation.features import Features
from glassnet.evaluation.scores import SCORES
from glassnet.evaluation.verdicts import GUESS, GUESSES, NETWORK, TITLES, row_errors
from glassnet.fit.base import NeuralEstimator
from glassnet.fit.inputs import as_callbacks
from glassnet.training.progress import StepBar

Split = tuple[np.ndarray, np.ndarray]


class _Result(NamedTuple):
    """A model's result on one fold."""

    error: float
    scores: dict[str, float]
    fit_seconds: float
    predict_seconds: float
    bytes: int
    fitted_on: int | None


_Results = dict[str, list[_Result]]
"""Key of a model -> its results so far, one per fold."""


def _errors(results: Sequence[_Result]) -> np.ndarray:
    return np.array([result.error for result in results])


class _Encoded:
    """The features of one split, encoded when the first model needs them."""

    def __init__(self, X: Any, train: Any, test: Any) -> None:
        self._rows = (X, train, test)
        self._done: tuple[Features, Any, Any, float] | None = None

    def features(self) -> tuple[Features, Any, Any, float]:
        """Return the encoder, training features, test features, and the seconds for encoder and training."""
        if self._done is None:
            X, train, test = self._rows
            began = time.perf_counter()
            rows = rows_at(X, train)
            encoder = Features(rows)
            x = encoder.of(rows)
            spent = time.perf_counter() - began
            self._done = (encoder, x, encoder.of(rows_at(X, test)), spent)
        return self._done


class _OutOfTimeError(Exception):
    """The time was up before this model was fitted."""


class _LeftOutError(Exception):
    """A fit of this model would take too long on data of this size."""


@dataclass(frozen=True)
class Problem:
    """The rows that models are compared on, and the network to compare.

    y: the targets as given to `fit`. truth: class codes, or the values. labels: the encoder of the
    classes, None for a regression. network: an estimator, cloned for each fit.
    """

    task: Task
    X: Any
    y: np.ndarray
    truth: np.ndarray
    labels: ClassEncoder | None
    network: Any
    seed: int

    @property
    def columns(self) -> int:
        """The number of columns; of pictures, the number of pixels."""
        return len(self.X.names) if isinstance(self.X, Table) else int(np.prod(self.X.shape[1:]))

    @property
    def classes(self) -> int:
        """The number of classes; 1 for values."""
        return 1 if self.labels is None else len(self.labels.classes)

    def title(self, key: str) -> str:
        """Return what a model is called in a sentence."""
        return TITLES.get(key, GUESSES[self.task])

    def splits(self, folds: int, seed: int) -> list[Split]:
        """Return the training and test rows of each fold; every fold has the same shares of classes."""
        kind = KFold if self.labels is None else StratifiedKFold
        with warnings.catch_warnings():
            # scikit-learn warns of classes with fewer rows than folds, which is accepted here
            warnings.simplefilter("ignore")
            return list(kind(folds, shuffle=True, random_state=seed).split(self.truth, self.truth))


class Race:
    """All models, fitted and tested fold by fold until all folds are done or the deadline has passed."""

    def __init__(self, problem: Problem, deadline: float, bar: StepBar) -> None:
        self.problem, self._deadline, self._bar = problem, deadline, bar
        self._done: _Results = {}
        self._left_out: dict[str, str] = {}  # key -> reason

    def run(self, splits: Sequence[Split]) -> None:
        """Fit and test each model on each split, the network after the others.

        With a deadline, half of the time left is kept for the network. When the other models have used
        their half, and have done two splits, the network catches up, and then all take turns.
        """
        half_time = (time.perf_counter() + self._deadline) / 2
        done = 0
        for done, (train, test) in enumerate(splits, start=1):
            self._others(train, test)
            if done > 1 and time.perf_counter() > half_time:
                break
        for train, test in splits[:done]:
            self._network(train, test)
        for train, test in splits[done:]:
            self._others(train, test)
            self._network(train, test)

    def _network(self, train: Any, test: Any) -> None:
        self._turn(NETWORK, train, test, _Encoded(self.problem.X, train, test), self._done)

    def _others(self, train: Any, test: Any) -> None:
        encoded = _Encoded(self.problem.X, train, test)
        for key in CONTESTANTS:
            self._turn(key, train, test, encoded, self._done)

    def again(self, splits: Sequence[Split], rows: int, seed: int) -> dict[str, np.ndarray] | None:
        """Return each model's errors by fold when fitted on fewer rows; None if time ran out."""
        done: _Results = {}
        for number, (train, test) in enumerate(splits):
            part = train[
                sample_rows(self.problem.truth[train], rows, seed + number, self.problem.task)
            ]
            encoded = _Encoded(self.problem.X, part, test)
            for key in [key for key in self._done if key not in (GUESS, *self._left_out)]:
                self._turn(key, part, test, encoded, done)
                if key not in done or len(done[key]) != number + 1:
                    return None
        return {key: _errors(results) for key, results in done.items()}

    def _turn(self, key: str, train: Any, test: Any, encoded: _Encoded, done: _Results) -> None:
        """Fit and test one model on one split, if there is time and it was not left out before."""
        self._bar.step(self.problem.title(key))
        # a fit cannot be stopped, so the shortest one so far decides whether there is time for another
        expected = min((result.fit_seconds for result in done.get(key, ())), default=0.0)
        if key in self._left_out or time.perf_counter() + expected > self._deadline:
            return
        try:
            result = self._tested(key, train, test, encoded)
        except _OutOfTimeError:
            return
        except (DivergenceError, _LeftOutError) as error:
            self._left_out[key] = str(error)
            return
        done.setdefault(key, []).append(result)

    def _tested(self, key: str, train: Any, test: Any, encoded: _Encoded) -> _Result:
        """Fit one model on the training rows of a split, and test it on the rest."""
        encoder: Features | None = None
        if key == NETWORK and isinstance(self.problem.network, NeuralEstimator):
            x, x_test = rows_at(self.problem.X, train), rows_at(self.problem.X, test)
            encoding = 0.0
        else:
            encoder, x, x_test, encoding = encoded.features()
        model, kept = self._model(key, x, train)
        if kept is not None:
            x, train = x[kept], train[kept]
        with warnings.catch_warnings(), limited_threads(x.size if encoder else 0):
            # a linear model stopped before it has converged is still a contestant
            warnings.simplefilter("ignore")
            began = time.perf_counter()
            model.fit(x, self.problem.y[train])
            fitting = time.perf_counter() - began + encoding
            self._check_end(model)
            began = time.perf_counter()
            predicted, proba = self._predicted(model, x_test)
            took = time.perf_counter() - began
            scores = SCORES[self.problem.task](self.problem.truth[test], predicted, proba)
        return _Result(
            error=float(row_errors(self.problem.truth[test], predicted, proba).mean()),
            scores={name: scores.get(name, math.nan) for name in SHOWN[self.problem.task]},
            fit_seconds=fitting,
            predict_seconds=took * 1000 / len(test),
            bytes=memory_of(model.model_ if encoder is None else (model, encoder)),
            fitted_on=None if kept is None else len(kept),
        )

    def _model(self, key: str, x: Any, train: Any) -> tuple[Any, np.ndarray | None]:
        """Return an unfitted estimator, and the rows it is fitted on (None: all)."""
        if key == NETWORK:
            model = clone(self.problem.network)
            if isinstance(model, NeuralEstimator):
                callbacks = as_callbacks(model.callbacks)
                model.set_params(callbacks=[*callbacks, _Deadline(self._deadline)])
            return model, None
        truth = self.problem.truth[train]
        runner_up = 0
        if self.problem.labels is not None:
            runner_up = int(np.sort(np.bincount(truth, minlength=2))[-2])
        pictures = isinstance(self.problem.X, np.ndarray) and self.problem.X.ndim > 2
        size = Size(len(x), int(x.shape[1]), self.problem.classes, runner_up, pictures)
        contestant = CONTESTANTS[key]
        limit = int(min(size.rows, contestant.max_rows(size)))
        if not limit:
            raise _LeftOutError(
                f"with {size.features} features and {size.outputs} outputs a fit takes minutes."
            )
        kept = None
        if limit < size.rows:
            kept = sample_rows(truth, limit, self.problem.seed, self.problem.task)
        return contestant.make(
            self.problem.task, size._replace(rows=limit), self.problem.seed
        ), kept

    def _check_end(self, model: Any) -> None:
        """Raise if the time limit or the user stopped training: a half-trained network says little."""
        if getattr(model, "status_", "") == "interrupted":
            raise KeyboardInterrupt
        ends = [c for c in getattr(model, "callbacks", None) or () if isinstance(c, _Deadline)]
        if any(end.passed for end in ends):
            raise _OutOfTimeError

    def _predicted(self, model: Any, x: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """Return codes and probabilities (n, classes), 0 for classes without rows; or values and None."""
        if self.problem.labels is None:
            return np.asarray(model.predict(x), np.float64).reshape(len(x)), None
        known = np.asarray(model.predict_proba(x), np.float64)
        proba = np.zeros((len(known), self.problem.classes))
        proba[:, self.problem.labels.transform(model.classes_)] = known
        return proba.argmax(axis=1), proba

    def standings(self) -> dict[str, Standing]:
        """Return the results of each model that was tested, the simplest first."""
        standings = {}
        for key in (*CONTESTANTS, NETWORK):
            if key not in self._done or key in self._left_out:
                continue
            results = self._done[key]
            about = type(self.problem.network).__name__
            standings[key] = Standing(
                title=self.problem.title(key),
                about=CONTESTANTS[key].about if key in CONTESTANTS else about,
                errors=_errors(results),
                scores={
                    name: np.array([result.scores[name] for result in results])
                    for name in SHOWN[self.problem.task]
                },
                fit_seconds=np.array([result.fit_seconds for result in results]),
                predict_seconds=np.array([result.predict_seconds for result in results]),
                bytes=results[-1].bytes,
                fitted_on=results[-1].fitted_on,
            )
        return standings

    def notes(self, folds: int, *, interrupted: bool, lacks_curve: bool) -> tuple[str, ...]:
        """Return what was left out, and why; folds: how many were planned."""
        reason = "it was interrupted" if interrupted else "the time was up"
        notes = []
        for key in (*CONTESTANTS, NETWORK):
            title = self.problem.title(key)
            title = title[0].upper() + title[1:]
            results = self._done.get(key, [])
            done = len(results)
            if key in self._left_out:
                notes.append(f"{title} is left out: {self._left_out[key]}")
            elif not done:
                notes.append(f"{title} was not tested: {reason}.")
            elif done < folds:
                ignored = "; with one fold it does not count" if done == 1 else ""
                notes.append(
                    f"{title} was tested on {done} of {folds} folds, then {reason}{ignored}."
                )
            if results and results[-1].fitted_on is not None:
                notes.append(
                    f"{title} was fitted on {results[-1].fitted_on} random rows in each fold."
                )
        if lacks_curve:
            stopped = interrupted or time.perf_counter() > self._deadline
            reason = reason if stopped else "there are too few rows"
            notes.append(f"There is no learning curve: {reason}.")
        return tuple(notes)


class _Deadline:
    """A callback that stops training when the time is up."""

    coarse = True

    def __init__(self, at: float) -> None:
        self.at, self.passed = at, False

    def __call__(self, event: Any) -> bool:
        self.passed = time.perf_counter() > self.at
        return self.passed


def memory_of(model: Any) -> int:
    """Return the bytes of all arrays that an object, such as a fitted model, holds, each counted once.

    >>> memory_of({"weights": np.zeros((3, 4)), "names": ["a"]})
    96
    """
    # keeps the objects alive, because an id is unique only among live objects
    seen: dict[int, Any] = {}
    total, queue = 0, [model]
    while queue:
        part = queue.pop()
        if id(part) in seen or isinstance(part, str | bytes | int | float | type | None):
            continue
        seen[id(part)] = part
        if isinstance(getattr(part, "nbytes", None), int):
            total += part.nbytes
        elif isinstance(part, dict):
            queue += part.values()
        elif isinstance(part, list | tuple | set | frozenset):
            queue += part
        elif not callable(part):
            queue.append(part.__getstate__())
    return total
