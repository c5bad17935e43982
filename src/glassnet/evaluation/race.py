"""Race: every model is fitted and tested on every fold, with the clock running."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import KFold, StratifiedKFold

from glassnet.data.tables import Table
from glassnet.encoding.target_kinds import Task
from glassnet.encoding.targets import ClassEncoder
from glassnet.errors import DivergenceError
from glassnet.evaluation.comparison import SHOWN, Standing
from glassnet.evaluation.contestants import CONTESTANTS, Size, limited_threads, sample_rows
from glassnet.evaluation.features import Features
from glassnet.evaluation.scores import SCORES
from glassnet.evaluation.verdicts import GUESS, GUESSES, NETWORK, TITLES, row_errors
from glassnet.fit.base import NeuralEstimator
from glassnet.training.progress import StepBar

Split = tuple[np.ndarray, np.ndarray]


class _Found(NamedTuple):
    """What one fold gives."""

    error: float
    scores: dict[str, float]
    fit_seconds: float
    predict_seconds: float
    bytes: int
    fitted_on: int | None


@dataclass
class Record:
    """What a model did so far, a value a fold."""

    errors: list[float] = field(default_factory=list)
    scores: list[dict[str, float]] = field(default_factory=list)
    fit_seconds: list[float] = field(default_factory=list)
    predict_seconds: list[float] = field(default_factory=list)
    bytes: int = 0
    fitted_on: int | None = None

    def add(self, found: _Found) -> None:
        """Take up one more fold."""
        self.errors.append(found.error)
        self.scores.append(found.scores)
        self.fit_seconds.append(found.fit_seconds)
        self.predict_seconds.append(found.predict_seconds)
        self.bytes, self.fitted_on = found.bytes, found.fitted_on


class _Shared:
    """The features of one split, encoded when the first model asks for them."""

    def __init__(self, X: Any, train: Any, test: Any) -> None:
        self._rows = (X, train, test)
        self._done: tuple[Features, Any, Any, float] | None = None

    def encoded(self) -> tuple[Features, Any, Any, float]:
        """Return the encoder, the features to train and to test on, and the seconds the former took."""
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
    """The time is up: this model does not get its turn."""


class _LeftOutError(Exception):
    """This model cannot take data of this size."""


@dataclass
class Race:
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
    done: dict[str, Record] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def columns(self) -> int:
        """How many there are; of pictures, the pixels."""
        return len(self.X.names) if isinstance(self.X, Table) else int(np.prod(self.X.shape[1:]))

    @property
    def classes(self) -> int:
        """How many there are; 1 for values."""
        return 1 if self.labels is None else len(self.labels.classes)

    def title(self, key: str) -> str:
        """Return what a model is called in a sentence."""
        return TITLES.get(key, GUESSES[self.task])

    def splits(self, folds: int, seed: int) -> list[Split]:
        """Return the training and the test rows of each fold, classes in equal shares."""
        kind = KFold if self.labels is None else StratifiedKFold
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # a class of fewer rows than folds is in as many as it can
            return list(kind(folds, shuffle=True, random_state=seed).split(self.truth, self.truth))

    def run(self, splits: Sequence[Split]) -> None:
        """Fit and test each model on each split, the network after the others.

        Where time is limited, half of what is left is kept for the network: when the others have used
        theirs, and did two splits, it catches up, and all go on side by side.
        """
        half = (time.perf_counter() + self.deadline) / 2
        begun = 0
        for begun, (train, test) in enumerate(splits, start=1):
            self._others(train, test)
            if begun > 1 and time.perf_counter() > half:
                break
        for train, test in splits[:begun]:
            self._network(train, test)
        for train, test in splits[begun:]:
            self._others(train, test)
            self._network(train, test)

    def _network(self, train: Any, test: Any) -> None:
        self._turn(NETWORK, train, test, _Shared(self.X, train, test), self.done)

    def _others(self, train: Any, test: Any) -> None:
        shared = _Shared(self.X, train, test)
        for key in CONTESTANTS:
            self._turn(key, train, test, shared, self.done)

    def again(self, splits: Sequence[Split], rows: int, seed: int) -> dict[str, np.ndarray] | None:
        """Return each model's errors by fold after so many training rows; None if time ran out."""
        done: dict[str, Record] = {}
        for number, (train, test) in enumerate(splits):
            part = train[sample_rows(self.truth[train], rows, seed + number, self.task)]
            shared = _Shared(self.X, part, test)
            for key in [key for key in self.done if key not in (GUESS, *self.failed)]:
                self._turn(key, part, test, shared, done)
                if key not in done or len(done[key].errors) != number + 1:
                    return None
        return {key: np.array(record.errors) for key, record in done.items()}

    def _turn(
        self, key: str, train: Any, test: Any, shared: _Shared, done: dict[str, Record]
    ) -> None:
        """Fit and test one model on one split, if there is time; a model left out once stays so."""
        self.bar.step(self.title(key))
        before = done.get(key)
        # a fit cannot be cut short: what the last one took tells whether there is time for this one
        expected = min(before.fit_seconds) if before else 0.0
        if key in self.failed or time.perf_counter() + expected > self.deadline:
            return
        try:
            found = self._tested(key, train, test, shared)
        except _OutOfTimeError:
            return
        except (DivergenceError, _LeftOutError) as error:
            self.failed[key] = str(error)
            return
        done.setdefault(key, Record()).add(found)

    def _tested(self, key: str, train: Any, test: Any, shared: _Shared) -> _Found:
        """Fit one model on the training rows of a split, and test it on the rest."""
        encoder: Features | None = None
        if key == NETWORK and isinstance(self.network, NeuralEstimator):
            x, x_test, encoding = rows_at(self.X, train), rows_at(self.X, test), 0.0
        else:
            encoder, x, x_test, encoding = shared.encoded()
        model, kept = self._model(key, x, train)
        if kept is not None:
            x, train = x[kept], train[kept]
        with warnings.catch_warnings(), limited_threads(x.size if encoder else 0):
            # a linear model cut off before it has converged is still a contestant
            warnings.simplefilter("ignore")
            began = time.perf_counter()
            model.fit(x, self.y[train])
            fitting = time.perf_counter() - began + encoding
            self._check_end(model)
            began = time.perf_counter()
            predicted, proba = self._predicted(model, x_test)
            took = time.perf_counter() - began
            scores = SCORES[self.task](self.truth[test], predicted, proba)
        return _Found(
            error=float(row_errors(self.truth[test], predicted, proba).mean()),
            scores={name: scores.get(name, math.nan) for name in SHOWN[self.task]},
            fit_seconds=fitting,
            predict_seconds=took * 1000 / len(test),
            bytes=memory_of(model.model_ if encoder is None else (model, encoder)),
            fitted_on=None if kept is None else len(kept),
        )

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
        runner_up = 0
        if self.labels is not None:
            runner_up = int(np.sort(np.bincount(truth, minlength=2))[-2])
        pictures = isinstance(self.X, np.ndarray) and self.X.ndim > 2
        size = Size(len(x), int(x.shape[1]), self.classes, runner_up, pictures)
        contestant = CONTESTANTS[key]
        limit = int(min(size.rows, contestant.max_rows(size)))
        if not limit:
            raise _LeftOutError(
                f"with {size.features} features and {size.outputs} outputs a fit takes minutes."
            )
        kept = None
        if limit < size.rows:
            kept = sample_rows(truth, limit, self.seed, self.task)
        return contestant.make(self.task, size._replace(rows=limit), self.seed), kept

    def _check_end(self, model: Any) -> None:
        """Raise if a network was stopped before its end: half a training says little."""
        if getattr(model, "status_", "") == "interrupted":
            raise KeyboardInterrupt
        ends = [c for c in getattr(model, "callbacks", None) or () if isinstance(c, _Deadline)]
        if any(end.passed for end in ends):
            raise _OutOfTimeError

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
            title = self.title(key)
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
            title = self.title(key)
            title = title[0].upper() + title[1:]
            folds = len(self.done[key].errors) if key in self.done else 0
            if key in self.failed:
                notes.append(f"{title} is left out: {self.failed[key]}")
            elif not folds:
                notes.append(f"{title} did not get its turn: {why}.")
            elif folds < planned:
                less = "; with one fold it does not count" if folds == 1 else ""
                notes.append(f"{title} was tested on {folds} of {planned} folds, then {why}{less}.")
            if key in self.done and self.done[key].fitted_on is not None:
                notes.append(
                    f"{title} was fitted on {self.done[key].fitted_on} rows a fold, drawn at random."
                )
        if no_curve:
            ended = self.interrupted or time.perf_counter() > self.deadline
            notes.append(
                f"There is no learning curve: {why if ended else 'there are too few rows'}."
            )
        return tuple(notes)


class _Deadline:
    """A callback that stops a training when the time is up."""

    coarse = True

    def __init__(self, at: float) -> None:
        self.at, self.passed = at, False

    def __call__(self, event: Any) -> bool:
        self.passed = time.perf_counter() > self.at
        return self.passed


def memory_of(model: Any) -> int:
    """Return the bytes of all arrays that an object holds, counting each once: what a model keeps.

    >>> memory_of({"weights": np.zeros((3, 4)), "names": ["a"]})
    96
    """
    seen: dict[int, Any] = {}  # keeps the objects alive: an id is unique only among living ones
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


def rows_at(X: Any, places: np.ndarray) -> Any:
    """Return some rows of a table or an array."""
    return X.rows(places) if isinstance(X, Table) else X[places]
