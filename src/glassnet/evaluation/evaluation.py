"""Evaluation: how well a model does on new rows, beside guessing, a linear model and boosting."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glassnet.data.splits import split
from glassnet.data.tables import Table, as_table, is_table
from glassnet.encoding.table_encoder import TableEncoder
from glassnet.encoding.targets import ClassEncoder, LabelsEncoder, TargetScaler
from glassnet.errors import ConfigurationError, DataError
from glassnet.evaluation.baselines import (
    FITS,
    Kind,
    Predicted,
    Rows,
    few_threads,
    most_boosted,
    most_rows,
    scaled,
)
from glassnet.evaluation.verdicts import (
    GUESS,
    GUESSES,
    NETWORK,
    TITLES,
    Field,
    paired_rows,
    row_errors,
)
from glassnet.evaluation.verdicts import verdict as verdict_on
from glassnet.models.model import Model
from glassnet.nn.losses import Task

Scores = dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """What a test gives, in plain values.

    Parameters
    ----------
    task: "classification", "regression", or "labels" (several yes-or-no answers a row).
    y_true, y_pred: classes (n,), values (n,) or (n, targets) in their own unit, or labels
        (n, labels) of 0 and 1.
    proba: the probability of each class (n, classes) or label (n, labels); None for regression.
    classes: the classes in the order of `proba`, or the labels' names; None for regression.
    scores: by name, the first one the headline (see `SCORES`).
    baselines: the scores of "majority" or "mean", of "linear" and of "boosting", under the same names;
        "fitted_on", where it is there, is the number of rows that this baseline was fitted on.
    errors: of "network" and of each baseline the error of each test row (`verdicts.row_errors`), by
        which they are compared; empty without baselines.
    X: the rows, as they were given; None if they were not kept.
    """

    task: Task
    y_true: NDArray[Any]
    y_pred: NDArray[Any]
    proba: NDArray[Any] | None
    classes: NDArray[Any] | None
    scores: Scores
    baselines: dict[str, Scores] = field(default_factory=dict)
    errors: dict[str, NDArray[Any]] = field(default_factory=dict, repr=False, compare=False)
    X: Any = field(default=None, repr=False, compare=False)


def evaluate(model: Model, X: Any, y: Any) -> Evaluation:
    """Return what the model predicts for rows X and how that compares with the truth y.

    The scores are scikit-learn's: accuracy, balanced accuracy, macro F1 and log-loss (natural
    logarithm) of classes; subset accuracy (all labels of a row right), macro F1 and log-loss (mean
    over labels) of labels; R², RMSE and MAE (in the target's unit, mean over targets) of values. A
    score that is not defined (R² of one row) is left out. Baselines are left empty (`beside_baselines`).

    Raises
    ------
    DataError: X and y have different lengths, a class that training had not seen, unusable rows.

    >>> from sklearn.datasets import load_iris
    >>> from glassnet.fit.estimators import NeuralClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = NeuralClassifier(random_state=0, epochs=50).fit(X, y).model_
    >>> list(evaluate(model, X, y).scores)
    ['accuracy', 'balanced_accuracy', 'macro_f1', 'log_loss']
    """
    task = task_of(model)
    truth = _truth(model, y)
    rows = len(X) if not hasattr(X, "shape") else X.shape[0]
    if rows != len(truth):
        raise DataError(
            f"X has {rows} rows and y has {len(truth)}: each row needs exactly one target to be "
            "tested. Give the same rows to both."
        )
    y_pred = model.predict(X)
    proba = None if task == "regression" else model.predict_proba(X)
    classes = _classes(model, proba)
    if task == "classification":
        scores = SCORES[task](truth, _truth(model, y_pred), proba)
        y_true = truth if model.classes is None else model.classes[truth]
        return Evaluation(task, y_true, y_pred, proba, classes, scores, X=X)
    truth = _like(truth, y_pred)
    return Evaluation(task, truth, y_pred, proba, classes, SCORES[task](truth, y_pred, proba), X=X)


def baselines(
    X_train: Any, y_train: Any, X_test: Any, y_test: Any, model: Model, seed: int = 0
) -> dict[str, Scores]:
    """Return the test scores of the simplest models, fitted on the training rows.

    "majority" (for values "mean") always says the same: the most frequent class or label, with the
    classes' shares as probabilities, or the mean. "linear" is a logistic (for values a ridge)
    regression, "boosting" scikit-learn's histogram gradient boosting, both on the features that the
    network sees, standardised, with scikit-learn's defaults. Large data (see `baselines.most_rows`)
    have them fitted on a random part of the rows, whose number then stands under "fitted_on"; boosting is
    left out where it would take minutes. Raises `DataError` as `evaluate` does.

    >>> from sklearn.datasets import load_iris
    >>> from glassnet.fit.estimators import NeuralClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = NeuralClassifier(random_state=0, epochs=5).fit(X, y).model_
    >>> found = baselines(X, y, X, y, model)
    >>> {name: round(scores["accuracy"], 2) for name, scores in found.items()}
    {'majority': 0.33, 'linear': 0.97, 'boosting': 1.0}
    """
    found = _baselines(X_train, y_train, X_test, y_test, model, seed)
    return {name: each.scores for name, each in found.items()}


def beside_baselines(
    tested: Evaluation,
    X_train: Any,
    y_train: Any,
    X_test: Any,
    y_test: Any,
    model: Model,
    seed: int = 0,
) -> Evaluation:
    """Return an evaluation on these test rows with the scores and the errors of the `baselines` beside."""
    found = _baselines(X_train, y_train, X_test, y_test, model, seed)
    truth = _truth(model, y_test)
    predicted = tested.y_pred
    if tested.task != "classification":
        truth = _like(truth, predicted)
    own = _row_errors(truth, predicted, tested.proba)
    return replace(
        tested,
        baselines={name: each.scores for name, each in found.items()},
        errors={NETWORK: own} | {name: each.errors for name, each in found.items()},
    )


def verdict(evaluation: Evaluation) -> str:
    """Return in a sentence which model the test rows speak for, and whether the network is worth it.

    The models, their order and the words are those of `compare`: the simplest model is to be used that no
    more complex one beats, by the errors of the test rows, paired (`verdicts.verdict`). One split tells
    less than many: how much other training rows would change is not in the intervals. Returns "" without
    the baselines' errors.

    >>> y, scores = np.zeros(100), {"accuracy": 0.75}
    >>> both, errors = {"majority": scores, "linear": scores}, np.tile([0, 0, 0, 1.0], 25)
    >>> same = {"majority": errors, "linear": errors, "network": errors}
    >>> verdict(Evaluation("classification", y, y, None, None, scores, both, same))
    'Use no model: nothing beats guessing the most frequent class beyond chance in 100 test rows.'
    """
    scores = {_key(name): found for name, found in evaluation.baselines.items()}
    scores[NETWORK] = evaluation.scores
    found = {_key(name): errors for name, errors in evaluation.errors.items()}
    errors = {key: found[key] for key in (GUESS, *TITLES) if key in found and scores.get(key)}
    if not {GUESS, "linear", NETWORK} <= set(errors):
        return ""
    scale = float(errors[GUESS].mean()) or 1.0
    return verdict_on(
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


def task_of(model: Model) -> Task:
    """Return what the model predicts: classes, values, or labels."""
    if isinstance(model.target, ClassEncoder):
        return "classification"
    return model.loss.task


# ------------------------------------------------------------------------------------------ scores


def _class_scores(codes: NDArray[Any], predicted: NDArray[Any], proba: Any) -> Scores:
    from sklearn import metrics  # lazily: it takes a second to import

    with warnings.catch_warnings():
        # few test rows lack some class: the scores are those of the classes that are there
        warnings.simplefilter("ignore")
        return {
            "accuracy": float(metrics.accuracy_score(codes, predicted)),
            "balanced_accuracy": float(metrics.balanced_accuracy_score(codes, predicted)),
            "macro_f1": float(metrics.f1_score(codes, predicted, average="macro", zero_division=0)),
            "log_loss": float(metrics.log_loss(codes, proba, labels=range(proba.shape[1]))),
        }


def _label_scores(truth: NDArray[Any], predicted: NDArray[Any], proba: Any) -> Scores:
    from sklearn import metrics  # lazily: it takes a second to import

    columns = list(zip(truth.T, predicted.T, np.asarray(proba).T, strict=True))
    f1 = [metrics.f1_score(t, p, zero_division=0) for t, p, _ in columns]
    losses = [
        metrics.log_loss(t, np.stack([1 - q, q], axis=1), labels=[0, 1]) for t, _, q in columns
    ]
    return {
        "subset_accuracy": float((truth == predicted).all(axis=1).mean()),
        "macro_f1": float(np.mean(f1)),
        "log_loss": float(np.mean(losses)),
    }


def _value_scores(truth: NDArray[Any], predicted: NDArray[Any], proba: Any = None) -> Scores:
    from sklearn import metrics  # lazily: it takes a second to import

    with np.errstate(over="ignore", invalid="ignore"):
        scores = {
            "r2": float(metrics.r2_score(truth, predicted)) if len(truth) > 1 else np.nan,
            "rmse": float(metrics.root_mean_squared_error(truth, predicted)),
            "mae": float(metrics.mean_absolute_error(truth, predicted)),
        }
    return {name: score for name, score in scores.items() if np.isfinite(score)}


SCORES: dict[Task, Callable[[NDArray[Any], NDArray[Any], Any], Scores]] = {
    "classification": _class_scores,
    "labels": _label_scores,
    "regression": _value_scores,
}
"""Task -> scores of truth, prediction and probabilities, classes as codes; the headline first."""


# --------------------------------------------------------------------------------------- baselines


class _Baseline(NamedTuple):
    """How one baseline did: its scores, and its error on each test row."""

    scores: Scores
    errors: NDArray[Any]


def _baselines(
    X_train: Any, y_train: Any, X_test: Any, y_test: Any, model: Model, seed: int
) -> dict[str, _Baseline]:
    task = task_of(model)
    train, test = _truth(model, y_train), _truth(model, y_test)
    count, width = _class_count(model, y_train), int(np.prod(model.in_shape))
    outputs = max(count, 1 if train.ndim == 1 else train.shape[1])
    X_train, X_test = _indexable(X_train), _indexable(X_test)
    linear, boosted = most_rows(width, count), most_boosted(width, outputs)
    kept = _sample(train, model, max(linear, boosted), seed)
    if len(kept) < len(train):
        X_train = X_train.rows(kept) if isinstance(X_train, Table) else X_train[kept]
    known = train[kept]
    encode = _encoding(model, X_train)
    features = scaled(Rows(_flat(encode(X_train)), known, _flat(encode(X_test))))
    guess = Rows(np.zeros((len(train), 1)), train, np.zeros((len(test), 1)))
    first = "mean" if task == "regression" else "majority"
    plans: dict[str, tuple[Kind, int]] = {"linear": ("linear", linear)}
    if boosted:
        plans["boosting"] = ("boosting", boosted)
    with warnings.catch_warnings(), few_threads(features.x.size):
        # a linear model cut off before it has converged is still a baseline
        warnings.simplefilter("ignore")
        found = {first: _judged(task, test, FITS[task](guess, count, "guess"))}
        for name, (kind, most) in plans.items():
            some = _sample(known, model, most, seed)
            rows = Rows(features.x[some], known[some], features.x_test)
            found[name] = _judged(task, test, FITS[task](rows, count, kind))
            if len(some) < len(train):
                found[name].scores["fitted_on"] = float(len(some))
    return found


def _encoding(model: Model, X_train: Any) -> Callable[[Any], NDArray[Any]]:
    """Return what turns rows into features: the model's encoding, or one without codes (no numbers)."""
    if model.encoder is not None and model.encoder.places:
        return TableEncoder.fit(X_train).transform
    return model.inputs


def _judged(task: Task, truth: NDArray[Any], predicted: Predicted) -> _Baseline:
    return _Baseline(SCORES[task](truth, *predicted), _row_errors(truth, *predicted))


def _row_errors(truth: NDArray[Any], predicted: NDArray[Any], proba: Any) -> NDArray[Any]:
    """Return the errors that decide, several values in units of their own deviations."""
    if proba is None and truth.ndim == 2:
        scale = truth.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        return row_errors(truth / scale, predicted.reshape(truth.shape) / scale, None)
    if proba is None:
        predicted = predicted.reshape(truth.shape)
    return row_errors(truth, predicted, proba)


def _sample(target: NDArray[Any], model: Model, most: int, seed: int) -> NDArray[np.intp]:
    """Return the rows that a baseline is fitted on: all, or as many as take a few seconds."""
    if len(target) <= most:
        return np.arange(len(target))
    stratify = task_of(model) == "classification"
    return split(target, 1 - most / len(target), seed, stratify=stratify)[0]


def _flat(x: Any) -> NDArray[Any]:
    return np.reshape(x, (len(x), -1))


def _indexable(X: Any) -> Any:
    """Return X as a table or an array, of which rows can be taken."""
    if is_table(X):
        return as_table(X)
    return X if hasattr(X, "shape") else np.asarray(X)


# ----------------------------------------------------------------------------------------- targets


def _truth(model: Model, y: Any) -> NDArray[Any]:
    """Return the target as codes (n,), labels (n, labels), or values in their own unit."""
    if y is None:
        raise DataError("y is None, but a test needs the true targets: give y.")
    target = model.target
    if isinstance(target, ClassEncoder):
        return target.transform(y)
    if isinstance(target, LabelsEncoder):
        return target.transform(y).astype(int)
    if isinstance(target, TargetScaler):
        target.transform(y, np.float64)  # raises for missing, infinite and wrong values
        if isinstance(y, Table):
            return np.stack([y[name] for name in y], axis=1)
        return np.asarray(y, dtype=np.float64)
    if model.loss.task == "regression":
        return np.asarray(y, dtype=np.float64)
    codes = np.asarray(y)
    # a network trained on probabilities (n, classes) has no encoder: the likeliest is the truth
    truth: NDArray[Any] = codes.argmax(axis=1) if codes.ndim == 2 else codes.astype(np.intp)
    return truth


def _classes(model: Model, proba: NDArray[Any] | None) -> NDArray[Any] | None:
    if isinstance(model.target, LabelsEncoder):
        return np.array(model.target.names, dtype=object)
    if model.classes is not None:
        return model.classes
    return None if proba is None else np.arange(proba.shape[1])


def _class_count(model: Model, y: Any) -> int:
    """Return the number of classes or labels, 0 for values."""
    classes = _classes(model, None)
    if classes is not None:
        return len(classes)
    if model.loss.task == "regression":
        return 0
    return int(np.shape(y)[1] if np.ndim(y) == 2 else np.max(y) + 1)


def _like(truth: NDArray[Any], predicted: NDArray[Any]) -> NDArray[Any]:
    if truth.size != predicted.size:
        raise ConfigurationError(
            f"The model puts out shape {predicted.shape}, but the target has shape {truth.shape}: "
            "this network cannot be tested against it."
        )
    return truth.reshape(predicted.shape)


def confusion(evaluation: Evaluation) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the classes and how many rows of each (down) were predicted as each (across).

    >>> y_true, y_pred = np.array(["a", "b", "b"]), np.array(["a", "a", "b"])
    >>> classes = np.array(["a", "b"])
    >>> confusion(Evaluation("classification", y_true, y_pred, None, classes, {}))[1].tolist()
    [[1, 0], [1, 1]]
    """
    y_true, y_pred = evaluation.y_true, evaluation.y_pred
    classes = evaluation.classes
    if classes is None:
        classes = np.unique(np.concatenate([y_true, y_pred]))
    place = {label: code for code, label in enumerate(classes.tolist())}
    true = np.array([place[label] for label in y_true.tolist()])
    predicted = np.array([place[label] for label in y_pred.tolist()])
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (true, predicted), 1)
    return classes, counts
