"""Cross-validate an estimator, with the networks of all folds trained together."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.model_selection import check_cv

from glassnet.data.tables import as_table, is_table
from glassnet.errors import ConfigurationError, DataError
from glassnet.fit.base import NeuralEstimator, fitted
from glassnet.fit.estimator_inputs import estimator_job
from glassnet.fit.inputs import as_callbacks
from glassnet.fit.parameters import as_array, seed_of
from glassnet.training.checkpoints import as_checkpoint
from glassnet.training.jobs import run_jobs
from glassnet.training.loop import Callback
from glassnet.training.progress import ProgressBar


@dataclass(frozen=True)
class CrossValidation:
    """What `cross_validate` returns.

    estimators: the fitted estimator of each fold. scores: `estimator.score` on each fold's test rows.
    test_rows: the numbers of these rows, by fold. predictions: the prediction for each row, by the
    estimator that did not train on it. probabilities: (n, classes), the same with `predict_proba`; None
    for a regressor.
    """

    estimators: tuple[Any, ...]
    scores: np.ndarray
    test_rows: tuple[np.ndarray, ...]
    predictions: np.ndarray
    probabilities: np.ndarray | None

    @property
    def mean(self) -> float:
        """The mean score."""
        return float(self.scores.mean())

    @property
    def deviation(self) -> float:
        """The standard deviation of the scores over the folds."""
        return float(self.scores.std(ddof=1)) if len(self.scores) > 1 else 0.0

    def __str__(self) -> str:
        return f"score {self.mean:.4f} ± {self.deviation:.4f} over {len(self.scores)} folds"


def cross_validate(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    cv: Any = 5,
    sample_weight: Any = None,
    groups: Any = None,
    callbacks: Sequence[Callback] = (),
    progress: bool = False,
) -> CrossValidation:
    """Fit an estimator for each fold on the other rows, and score it on the rows of the fold.

    The encoders of each fold see only its training rows, as with `fit`. Folds of the same size train in one
    program (n rows in k folds have at most two sizes), and give the same result as separate calls of `fit`.

    Parameters
    ----------
    estimator: a `NeuralClassifier` or `NeuralRegressor`; it is not changed.
    X, y, sample_weight: as for its `fit`.
    cv: the number of folds, made as scikit-learn does (stratified for a classifier, not shuffled), or one
        of scikit-learn's splitters. Default 5.
    groups: the group of each row, for splitters that keep groups together.
    callbacks, progress: as for `train`.

    Raises
    ------
    ConfigurationError: the estimator is not one of glassnet's.
    DataError: unusable X or y, or more folds than rows.
    DivergenceError: all networks of a fold diverged.

    >>> import glassnet as gn
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> result = cross_validate(gn.NeuralClassifier((16,), random_state=0), X, y)
    >>> result.scores.shape, result.mean > 0.9, result.predictions.shape
    ((5,), True, (150,))
    """
    if not isinstance(estimator, NeuralEstimator):
        raise ConfigurationError(
            f"{type(estimator).__name__} is not an estimator of glassnet: give gn.NeuralClassifier() or"
            " gn.NeuralRegressor(), or use sklearn.model_selection.cross_validate."
        )
    rows = as_table(X) if is_table(X) else X if hasattr(X, "shape") else as_array("X", X)
    targets = as_array("y", y)
    weight = None if sample_weight is None else as_array("sample_weight", sample_weight)
    one_class_each = targets.ndim == 1 or targets.shape[1] == 1
    splitter = check_cv(
        cv, targets if one_class_each else None, classifier=is_classifier(estimator)
    )
    try:
        folds = list(splitter.split(np.zeros(len(targets)), targets, groups))
    except ValueError as error:
        raise DataError(str(error)) from error
    state = estimator.random_state
    seed = state if isinstance(state, int) else seed_of(state)
    models, jobs = [], []
    for train, _ in folds:
        model = copy.copy(estimator)
        model.random_state = (
            seed  # the same for all folds, so that all see the rows in the same order
        )
        fold_weight = None if weight is None else weight[train]
        jobs.append(estimator_job(model, _select(rows, train), targets[train], fold_weight))
        models.append(model)
    bar: list[Callback] = [ProgressBar()] if progress else []
    checkpoint = as_checkpoint(estimator.checkpoint)
    outcomes = run_jobs(jobs, [*as_callbacks(callbacks), *bar], checkpoint=checkpoint)
    estimators = list(map(fitted, models, jobs, outcomes))
    tests = tuple(test for _, test in folds)
    return _scored(estimators, rows, targets, weight, tests)


def _select(rows: Any, indices: np.ndarray) -> Any:
    return rows.rows(indices) if is_table(rows) else rows[indices]


def _scored(
    models: Sequence[Any], rows: Any, y: np.ndarray, weight: np.ndarray | None, tests: Any
) -> CrossValidation:
    """Score the estimator of each fold, and collect its predictions for the fold's test rows."""
    scores, predictions, probabilities = [], None, None
    for model, test in zip(models, tests, strict=True):
        held = _select(rows, test)
        fold_weight = None if weight is None else weight[test]
        scores.append(model.score(held, y[test], sample_weight=fold_weight))
        values = model.predict(held)
        if predictions is None:
            predictions = np.zeros((len(y), *values.shape[1:]), values.dtype)
        predictions[test] = values
        if is_classifier(model):
            proba = model.predict_proba(held)
            if probabilities is None:
                probabilities = np.full((len(y), *proba.shape[1:]), np.nan, proba.dtype)
            probabilities[test] = proba
    assert predictions is not None
    return CrossValidation(tuple(models), np.array(scores), tests, predictions, probabilities)
