"""Compute scores of predictions with scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet.nn.losses import LossTask

Scores = dict[str, float]


def _class_scores(codes: NDArray[Any], predicted: NDArray[Any], proba: Any) -> Scores:
    from sklearn import metrics  # lazily: it takes a second to import

    with warnings.catch_warnings():
        # a small test set may lack a class, which scikit-learn warns about
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


SCORES: dict[LossTask, Callable[[NDArray[Any], NDArray[Any], Any], Scores]] = {
    "classification": _class_scores,
    "labels": _label_scores,
    "regression": _value_scores,
}
"""Task -> scores of truth, prediction and probabilities, classes as codes; the headline first."""
