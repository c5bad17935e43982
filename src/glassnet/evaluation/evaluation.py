"""Evaluate a model on new rows by comparing its predictions with the truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet.data.tables import Table
from glassnet.encoding.targets import ClassEncoder, LabelsEncoder, TargetScaler
from glassnet.errors import ConfigurationError, DataError
from glassnet.evaluation.scores import SCORES, Scores
from glassnet.models.model import Model
from glassnet.nn.losses import LossTask


@dataclass(frozen=True)
class Evaluation:
    """The result of testing a model, in plain values.

    Parameters
    ----------
    task: "classification", "regression", or "labels" (several yes-or-no answers a row).
    y_true, y_pred: classes (n,); values (n,) or (n, targets) in their original unit; or labels
        (n, labels) of 0 and 1.
    proba: the probability of each class (n, classes) or label (n, labels); None for regression.
    classes: the classes in the order of `proba`, or the labels' names; None for regression.
    scores: by name, the most important first (see `scores.SCORES`).
    baselines: the scores of "majority" or "mean", "linear" and "boosting", under the same names. A
        baseline fitted on a sample of the rows also has "fitted_on", the number of these rows.
    errors: for "network" and each baseline, the error of each test row (`verdicts.row_errors`), by
        which models are compared; empty without baselines.
    X: the test rows as they were given; None if they were not kept.
    """

    task: LossTask
    y_true: NDArray[Any]
    y_pred: NDArray[Any]
    proba: NDArray[Any] | None
    classes: NDArray[Any] | None
    scores: Scores
    baselines: dict[str, Scores] = field(default_factory=dict)
    errors: dict[str, NDArray[Any]] = field(default_factory=dict, repr=False, compare=False)
    X: Any = field(default=None, repr=False, compare=False)


def evaluate(model: Model, X: Any, y: Any) -> Evaluation:
    """Return what the model predicts for rows X, and its scores against the truth y.

    The scores are scikit-learn's. Classes: accuracy, balanced accuracy, macro F1 and log-loss (natural
    logarithm). Labels: subset accuracy (all labels of a row right), macro F1 and log-loss (mean over
    labels). Values: R², RMSE and MAE (in the target's unit, mean over targets). A score that is not
    defined, such as R² of one row, is left out. `single_split.with_baselines` adds the baselines.

    Raises
    ------
    DataError: X and y have different lengths, y has a class that training lacked, or X is unusable.

    >>> from sklearn.datasets import load_iris
    >>> from glassnet.fit.estimators import NeuralClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = NeuralClassifier(random_state=0, epochs=50).fit(X, y).model_
    >>> list(evaluate(model, X, y).scores)
    ['accuracy', 'balanced_accuracy', 'macro_f1', 'log_loss']
    """
    task = task_of(model)
    truth = true_targets(model, y)
    rows = len(X) if not hasattr(X, "shape") else X.shape[0]
    if rows != len(truth):
        raise DataError(
            f"X has {rows} rows and y has {len(truth)}: a test needs one target for each row. "
            "Give the same rows to both."
        )
    y_pred = model.predict(X)
    proba = None if task == "regression" else model.predict_proba(X)
    classes = _classes(model, proba)
    if task == "classification":
        scores = SCORES[task](truth, true_targets(model, y_pred), proba)
        y_true = truth if model.classes is None else model.classes[truth]
        return Evaluation(task, y_true, y_pred, proba, classes, scores, X=X)
    truth = in_shape_of(y_pred, truth)
    return Evaluation(task, truth, y_pred, proba, classes, SCORES[task](truth, y_pred, proba), X=X)


def task_of(model: Model) -> LossTask:
    """Return the kind of target that a model predicts."""
    if isinstance(model.target_encoder, ClassEncoder):
        return "classification"
    return model.loss.task


def true_targets(model: Model, y: Any) -> NDArray[Any]:
    """Return the target as codes (n,), labels (n, labels), or values in their own unit."""
    if y is None:
        raise DataError("y is None, but a test needs the true targets: give y.")
    target = model.target_encoder
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
    # trained on probabilities (n, classes), without an encoder: the most probable class counts
    truth: NDArray[Any] = codes.argmax(axis=1) if codes.ndim == 2 else codes.astype(np.intp)
    return truth


def _classes(model: Model, proba: NDArray[Any] | None) -> NDArray[Any] | None:
    if isinstance(model.target_encoder, LabelsEncoder):
        return np.array(model.target_encoder.names, dtype=object)
    if model.classes is not None:
        return model.classes
    return None if proba is None else np.arange(proba.shape[1])


def class_count(model: Model, y: Any) -> int:
    """Return the number of classes or labels; 0 for values."""
    classes = _classes(model, None)
    if classes is not None:
        return len(classes)
    if model.loss.task == "regression":
        return 0
    return int(np.shape(y)[1] if np.ndim(y) == 2 else np.max(y) + 1)


def in_shape_of(predicted: NDArray[Any], truth: NDArray[Any]) -> NDArray[Any]:
    """Return the truth in the shape of the predictions."""
    if truth.size != predicted.size:
        raise ConfigurationError(
            f"The model predicts values of shape {predicted.shape}, but the target has shape "
            f"{truth.shape}: give targets of the predicted shape."
        )
    return truth.reshape(predicted.shape)


def confusion(evaluation: Evaluation) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the classes, and the number of rows by true class (down) and predicted class (across).

    >>> y_true, y_pred = np.array(["a", "b", "b"]), np.array(["a", "a", "b"])
    >>> classes = np.array(["a", "b"])
    >>> confusion(Evaluation("classification", y_true, y_pred, None, classes, {}))[1].tolist()
    [[1, 0], [1, 1]]
    """
    y_true, y_pred = evaluation.y_true, evaluation.y_pred
    classes = evaluation.classes
    if classes is None:
        classes = np.unique(np.concatenate([y_true, y_pred]))
    codes = {label: code for code, label in enumerate(classes.tolist())}
    true = np.array([codes[label] for label in y_true.tolist()])
    predicted = np.array([codes[label] for label in y_pred.tolist()])
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (true, predicted), 1)
    return classes, counts


def most_confused(counts: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Return the mistakes of a confusion matrix, most rows first: (true code, predicted code, rows).

    >>> most_confused(np.array([[9, 1, 0], [3, 8, 0], [0, 0, 7]]))
    [(1, 0, 3), (0, 1, 1)]
    """
    mistakes = counts - np.diag(np.diag(counts))
    order = np.argsort(-mistakes, axis=None, kind="stable")[: np.count_nonzero(mistakes)]
    true, predicted = np.unravel_index(order, mistakes.shape)
    rows = mistakes[true, predicted]
    return list(zip(true.tolist(), predicted.tolist(), rows.tolist(), strict=True))
