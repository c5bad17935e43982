"""Evaluation: how well a model does on new rows, beside guessing and a linear model."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet.baselines import FITS, Rows, most_rows, scaled
from glassnet.errors import ConfigurationError, DataError
from glassnet.losses import Task
from glassnet.model import Model
from glassnet.splits import split
from glassnet.tables import Table, as_table, is_table
from glassnet.targets import ClassEncoder, LabelsEncoder, TargetScaler

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
    baselines: the scores of "majority" or "mean" and of "linear", under the same names;
        "fitted_on", where it is there, is the number of rows that this baseline was fitted on.
    X: the rows, as they were given; None if they were not kept.
    """

    task: Task
    y_true: NDArray[Any]
    y_pred: NDArray[Any]
    proba: NDArray[Any] | None
    classes: NDArray[Any] | None
    scores: Scores
    baselines: dict[str, Scores] = field(default_factory=dict)
    X: Any = field(default=None, repr=False, compare=False)


def evaluate(model: Model, X: Any, y: Any) -> Evaluation:
    """Return what the model predicts for rows X and how that compares with the truth y.

    The scores are scikit-learn's: accuracy, balanced accuracy, macro F1 and log-loss (natural
    logarithm) of classes; subset accuracy (all labels of a row right), macro F1 and log-loss (mean
    over labels) of labels; R², RMSE and MAE (in the target's unit, mean over targets) of values. A
    score that is not defined (R² of one row) is left out. Baselines are left empty (`baselines`).

    Raises
    ------
    DataError: X and y have different lengths, a class that training had not seen, unusable rows.

    >>> from sklearn.datasets import load_iris
    >>> from glassnet.estimators import NeuralClassifier
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
    regression on the features that the network sees, standardised, with scikit-learn's defaults.
    Large data (see `baselines.most_rows`) have it fitted on a random part of the rows, whose
    number then stands under "fitted_on". Raises `DataError` as `evaluate` does.

    >>> from sklearn.datasets import load_iris
    >>> from glassnet.estimators import NeuralClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = NeuralClassifier(random_state=0, epochs=5).fit(X, y).model_
    >>> found = baselines(X, y, X, y, model)
    >>> {name: round(scores["accuracy"], 2) for name, scores in found.items()}
    {'majority': 0.33, 'linear': 0.97}
    """
    task = task_of(model)
    train, test = _truth(model, y_train), _truth(model, y_test)
    guess = Rows(np.zeros((len(train), 1)), train, np.zeros((len(test), 1)))
    kept = _sample(train, model, seed)
    X_train, X_test = _indexable(X_train), _indexable(X_test)
    if len(kept) < len(train):
        X_train = X_train.rows(kept) if isinstance(X_train, Table) else X_train[kept]
    features = Rows(_flat(model.inputs(X_train)), train[kept], _flat(model.inputs(X_test)))
    fit, count = FITS[task], _class_count(model, y_train)
    first = "mean" if task == "regression" else "majority"
    with warnings.catch_warnings():
        # a linear model cut off before it has converged is still a baseline
        warnings.simplefilter("ignore")
        predicted = {first: fit(guess, count, False), "linear": fit(scaled(features), count, True)}
    scores = {name: SCORES[task](test, *found) for name, found in predicted.items()}
    if len(kept) < len(train):
        scores["linear"]["fitted_on"] = float(len(kept))
    return scores


def verdict(evaluation: Evaluation) -> str:
    """Return in a sentence or two whether the network is better than the baselines, by how much.

    The headline score decides (accuracy, subset accuracy, R²; RMSE where R² is not defined). A lead
    of less than two standard errors of the difference, √((a (1 - a) + b (1 - b)) / n) for shares a
    and b of n rows, is called noise. Returns "" without a linear baseline.

    >>> y, scores = np.zeros(100), {"accuracy": 0.75}
    >>> linear = {"linear": {"accuracy": 0.75}}
    >>> verdict(Evaluation("classification", y, y, None, None, scores, linear))
    'The network is no better than the linear model: accuracy 0.75 against 0.75.'
    """
    if "linear" not in evaluation.baselines or not evaluation.scores:
        return ""
    name, network = next(iter(evaluation.scores.items()))
    linear = evaluation.baselines["linear"].get(name, np.nan)
    seen, other = f"{network:.4g}", f"{linear:.4g}"
    shown = f"{SHORT_NAMES.get(name, name)} {seen} against {other}"
    sentence = f"The network is better than the linear model: {shown}."
    if not _better(name, network, linear) or seen == other:
        sentence = f"The network is no better than the linear model: {shown}."
    elif evaluation.task != "regression":
        rows = len(evaluation.y_true)
        if network - linear < 2 * np.sqrt((network * (1 - network) + linear * (1 - linear)) / rows):
            sentence = (
                "The network's lead over the linear model is within the noise of "
                f"{rows} test {'row' if rows == 1 else 'rows'}: {shown}."
            )
    for guess, what in GUESSES.items():
        score = evaluation.baselines.get(guess, {}).get(name)
        if score is not None and not _better(name, network, score):
            return f"{sentence} It is no better than {what} either ({score:.4g})."
    return sentence


SHORT_NAMES = {
    "accuracy": "accuracy",
    "subset_accuracy": "subset accuracy",
    "r2": "R²",
    "rmse": "RMSE",
    "mae": "MAE",
}
LOWER_IS_BETTER = ("log_loss", "rmse", "mae")
GUESSES = {
    "majority": "always guessing what is most frequent",
    "mean": "always guessing the mean",
}


def _better(name: str, score: float, other: float) -> bool:
    return score < other if name in LOWER_IS_BETTER else score > other


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


def _sample(target: NDArray[Any], model: Model, seed: int) -> NDArray[np.intp]:
    """Return the rows that the linear model is fitted on: all, or as many as take a few seconds."""
    most = most_rows(int(np.prod(model.in_shape)), _class_count(model, target))
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
