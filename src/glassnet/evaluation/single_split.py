"""Compare a trained model with simple models on one test set, and say in a sentence which to use."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glassnet.data.tables import indexable, rows_at
from glassnet.encoding.targets import TargetScaler
from glassnet.evaluation.contestants import CONTESTANTS, Size, limited_threads, sample_rows
from glassnet.evaluation.evaluation import (
    Evaluation,
    class_count,
    in_shape_of,
    task_of,
    true_targets,
)
from glassnet.evaluation.features import BLOCK_ROWS, Features
from glassnet.evaluation.scores import SCORES, Scores
from glassnet.evaluation.verdicts import (
    GUESS,
    GUESSES,
    NETWORK,
    TITLES,
    Field,
    paired_rows,
    row_errors,
    verdict,
)
from glassnet.models.model import Model
from glassnet.nn.losses import LossTask

MAX_LEVELS = 64  # columns that `Features` makes of a category
BASELINES = (GUESS, "linear", "boosting")
"""The contestants that are fitted beside a network on a single split."""


def baselines(
    X_train: Any, y_train: Any, X_test: Any, y_test: Any, model: Model, seed: int = 0
) -> dict[str, Scores]:
    """Return the test scores of simple models, fitted on the training rows.

    They are three of `compare`'s models (`contestants.CONTESTANTS`). "majority" (for values "mean")
    ignores all columns: it predicts the most frequent class or label, with the classes' shares as
    probabilities, or the mean. "linear" is a logistic or ridge regression on standardised, unclipped
    features; its penalty is chosen by cross-validation. "boosting" is histogram gradient boosting.

    On large data a model is fitted on a random sample of the rows, whose number is returned as
    "fitted_on"; boosting is left out where it would take minutes. Raises `DataError` as
    `evaluate` does.

    >>> from sklearn.datasets import load_iris
    >>> from glassnet.fit.estimators import NeuralClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = NeuralClassifier(random_state=0, epochs=5).fit(X, y).model_
    >>> scores = baselines(X, y, X, y, model)
    >>> {name: round(by_name["accuracy"], 2) for name, by_name in scores.items()}
    {'majority': 0.33, 'linear': 0.99, 'boosting': 1.0}
    """
    tested = _tested(X_train, y_train, X_test, y_test, model, seed)
    return {name: baseline.scores for name, baseline in tested.items()}


def with_baselines(
    evaluation: Evaluation,
    X_train: Any,
    y_train: Any,
    X_test: Any,
    y_test: Any,
    model: Model,
    seed: int = 0,
) -> Evaluation:
    """Return an evaluation on these test rows with the scores and errors of the `baselines` added."""
    tested = _tested(X_train, y_train, X_test, y_test, model, seed)
    truth = true_targets(model, y_test)
    if evaluation.task != "classification":
        truth = in_shape_of(evaluation.y_pred, truth)
    errors = {NETWORK: _row_errors(truth, evaluation.y_pred, evaluation.proba)}
    return replace(
        evaluation,
        baselines={name: baseline.scores for name, baseline in tested.items()},
        errors=errors | {name: baseline.errors for name, baseline in tested.items()},
    )


def verdict_of(evaluation: Evaluation) -> str:
    """Return a sentence that says which model to use, and whether the network is worth its cost.

    The models, their order and the wording are those of `compare`: use the simplest model that no more
    complex one beats, by the paired errors of the test rows (`verdicts.verdict`). One split says less than
    many, because the intervals do not include how much other training rows would change the models.
    Returns "" without the errors of the baselines.

    >>> y, scores = np.zeros(100), {"accuracy": 0.75}
    >>> both, errors = {"majority": scores, "linear": scores}, np.tile([0, 0, 0, 1.0], 25)
    >>> same = {"majority": errors, "linear": errors, "network": errors}
    >>> verdict_of(Evaluation("classification", y, y, None, None, scores, both, same))
    'Use no model: nothing beats guessing the most frequent class beyond chance in 100 test rows.'
    """
    scores = {_key(name): by_name for name, by_name in evaluation.baselines.items()}
    scores[NETWORK] = evaluation.scores
    by_key = {_key(name): errors for name, errors in evaluation.errors.items()}
    errors = {key: by_key[key] for key in (GUESS, *TITLES) if key in by_key and scores.get(key)}
    if not {GUESS, "linear", NETWORK} <= set(errors):
        return ""
    scale = float(errors[GUESS].mean()) or 1.0
    return verdict(
        Field(
            titles={key: TITLES.get(key, GUESSES[evaluation.task]) for key in errors},
            explained={key: 1 - float(error.mean()) / scale for key, error in errors.items()},
            difference=lambda a, b: paired_rows((errors[b] - errors[a]) / scale),
            shown=scores,
            seconds={},
            rows=len(evaluation.y_true),
            noun="test row",
        )
    ).sentence


def _key(name: str) -> str:
    return GUESS if name in ("majority", "mean") else name


# -------------------------------------------------------------------------------- fit and predict


class _Tested(NamedTuple):
    """The scores of a baseline, and its error on each test row."""

    scores: Scores
    errors: NDArray[Any]


class _Rows(NamedTuple):
    """Features and encoded targets to fit a model on, features to predict, and their size."""

    x: NDArray[Any]
    y: NDArray[Any]
    x_test: NDArray[Any]
    size: Size


Predictions = tuple[NDArray[Any], NDArray[Any] | None]
"""Class codes, labels or values, and the probabilities (n, classes); None for values."""


def _tested(
    X_train: Any, y_train: Any, X_test: Any, y_test: Any, model: Model, seed: int
) -> dict[str, _Tested]:
    task = task_of(model)
    train, test = true_targets(model, y_train), true_targets(model, y_test)
    X_train, X_test = indexable(X_train), indexable(X_test)
    outputs = class_count(model, y_train) or (1 if train.ndim == 1 else train.shape[1])
    width = int(np.prod(model.in_shape))
    if model.encoder is not None:
        # a category that is one code for the network has a column per level here
        width += sum(min(MAX_LEVELS, levels) - 1 for levels in model.encoder.places)
    size = Size(len(train), width, outputs, pictures=len(model.in_shape) > 1)
    samples = {key: _fitted_rows(key, size, train, seed, task) for key in BASELINES}
    # a larger sample contains every smaller one, so rows are encoded only once
    encoded = max((rows for key, rows in samples.items() if key != GUESS), key=len)
    if len(encoded) < len(train):
        X_train = rows_at(X_train, encoded)
    encoder = Features(X_train)
    x, x_test = encoder.of(X_train), encoder.of(X_test)
    tested = {}
    with warnings.catch_warnings(), limited_threads(x.size):
        # a linear model stopped before it has converged is still a baseline
        warnings.simplefilter("ignore")
        for key, sample in samples.items():
            if not len(sample):
                continue
            known = train[sample]
            if key == GUESS:
                rows = _Rows(np.zeros((len(train), 1)), known, np.zeros((len(test), 1)), size)
            else:
                part = x if len(sample) == len(x) else x[np.searchsorted(encoded, sample)]
                rows = _Rows(part, known, x_test, size._replace(rows=len(sample)))
            predicted = PREDICT[task](key, rows, seed)
            name = key if key != GUESS else "mean" if task == "regression" else "majority"
            tested[name] = _Tested(SCORES[task](test, *predicted), _row_errors(test, *predicted))
            if len(sample) < len(train):
                tested[name].scores["fitted_on"] = float(len(sample))
    return tested


def _fitted_rows(
    key: str, size: Size, target: NDArray[Any], seed: int, task: LossTask
) -> NDArray[np.intp]:
    """Return the rows that a baseline is fitted on: all, or as many as it can take."""
    limit = CONTESTANTS[key].max_rows(size)
    if size.rows <= limit:
        return np.arange(size.rows)
    return sample_rows(target, int(limit), seed, task)


def _predicted_classes(key: str, rows: _Rows, seed: int) -> Predictions:
    """Return codes and probabilities (n, classes); a class without training rows has probability 0."""
    counts = np.sort(np.bincount(rows.y))
    runner_up = int(counts[-2]) if len(counts) > 1 else 0
    if not runner_up:
        key = GUESS  # the others refuse a single class
    size = rows.size._replace(runner_up=runner_up)
    estimator = CONTESTANTS[key].make("classification", size, seed).fit(rows.x, rows.y)
    known = np.concatenate([estimator.predict_proba(block) for block in _blocks(rows.x_test)])
    proba = np.zeros((len(known), size.outputs))
    proba[:, estimator.classes_] = known
    return proba.argmax(axis=1), proba


def _predicted_labels(key: str, rows: _Rows, seed: int) -> Predictions:
    size = rows.size._replace(outputs=2)
    by_label = [_predicted_classes(key, rows._replace(y=y, size=size), seed)[1] for y in rows.y.T]
    proba = np.stack([p[:, 1] for p in by_label if p is not None], axis=1)
    return (proba > 0.5).astype(int), proba


def _predicted_values(key: str, rows: _Rows, seed: int) -> Predictions:
    # standardised, so that neither very large nor very small units cost precision
    scaler = TargetScaler.fit(rows.y)
    z = scaler.transform(rows.y, np.float64)
    several = z.shape[1] > 1
    estimator = CONTESTANTS[key].make("regression", rows.size, seed)
    estimator.fit(rows.x, z if several else z[:, 0])
    predicted = np.concatenate([estimator.predict(block) for block in _blocks(rows.x_test)])
    return scaler.inverse(predicted.reshape(-1, z.shape[1])), None


PREDICT: dict[LossTask, Callable[[str, _Rows, int], Predictions]] = {
    "classification": _predicted_classes,
    "labels": _predicted_labels,
    "regression": _predicted_values,
}
"""Task -> function of (contestant, rows, seed) that fits the contestant and predicts the test rows."""


def _row_errors(truth: NDArray[Any], predicted: NDArray[Any], proba: Any) -> NDArray[Any]:
    """Return the errors that models are compared by, with several targets in standard deviations."""
    if proba is None and truth.ndim == 2:
        scale = truth.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        return row_errors(truth / scale, predicted.reshape(truth.shape) / scale, None)
    if proba is None:
        predicted = predicted.reshape(truth.shape)
    return row_errors(truth, predicted, proba)


def _blocks(x: NDArray[Any]) -> list[NDArray[Any]]:
    return [x[start : start + BLOCK_ROWS] for start in range(0, len(x), BLOCK_ROWS)]
