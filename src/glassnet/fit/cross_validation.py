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

    estimators: the fitted estimator of each fold. scores: `estimator.score` on the rows it has not seen.
    test_rows: those rows, by fold. predictions: for each row what the estimator that has not seen it
    predicts; probabilities: (n, classes), the same for `predict_proba`, None for values.
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
    """Fit an estimator on every fold of the rows and score it on the rest.

    Each fold is encoded by its own rows alone, as `fit` would. Folds of one size train in one program (with
    n rows and k folds there are at most two sizes), and each comes out as it would alone.

    Parameters
    ----------
    estimator: a `NeuralClassifier` or `NeuralRegressor`; it stays as it is.
    X, y, sample_weight: as for its `fit`.
    cv: how many folds (stratified and in order of the rows for a classifier, as scikit-learn's), or one of
        scikit-learn's splitters. Default 5.
    groups: of the rows, for splitters that keep groups together.
    callbacks, progress: as for `train`.

    Raises
    ------
    ConfigurationError: not an estimator of glassnet. DataError: unusable X or y, or more folds than rows.
    DivergenceError: a fold's networks all diverged.

    >>> import glassnet as gn
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> found = cross_validate(gn.NeuralClassifier((16,), random_state=0), X, y)
    >>> found.scores.shape, found.mean > 0.9, found.predictions.shape
    ((5,), True, (150,))
    """
    if not isinstance(estimator, NeuralEstimator):
        raise ConfigurationError(
            f"{type(estimator).__name__} is not an estimator of glassnet: give gn.NeuralClassifier() or"
            " gn.NeuralRegressor(); for others there is sklearn.model_selection.cross_validate."
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
    given = estimator.random_state
    seed = given if isinstance(given, int) else seed_of(given)
    models, jobs = [], []
    for train, _ in folds:
        model = copy.copy(estimator)
        model.random_state = seed  # one for all, so that all meet the rows in one order
        fold_weight = None if weight is None else weight[train]
        jobs.append(estimator_job(model, _at(rows, train), targets[train], fold_weight))
        models.append(model)
    bar: list[Callback] = [ProgressBar()] if progress else []
    checkpoint = as_checkpoint(estimator.checkpoint)
    outcomes = run_jobs(jobs, [*as_callbacks(callbacks), *bar], checkpoint=checkpoint)
    done = list(map(fitted, models, jobs, outcomes))
    tests = tuple(test for _, test in folds)
    return _judged(done, rows, targets, weight, tests)


def _at(rows: Any, indices: np.ndarray) -> Any:
    return rows.rows(indices) if is_table(rows) else rows[indices]


def _judged(
    models: Sequence[Any], rows: Any, y: np.ndarray, weight: np.ndarray | None, tests: Any
) -> CrossValidation:
    """Score each fold's estimator, and collect its predictions for the rows it has not seen."""
    scores, predictions, probabilities = [], None, None
    for model, test in zip(models, tests, strict=True):
        held = _at(rows, test)
        fold_weight = None if weight is None else weight[test]
        scores.append(model.score(held, y[test], sample_weight=fold_weight))
        answers = model.predict(held)
        if predictions is None:
            predictions = np.zeros((len(y), *answers.shape[1:]), answers.dtype)
        predictions[test] = answers
        if is_classifier(model):
            shares = model.predict_proba(held)
            if probabilities is None:
                probabilities = np.full((len(y), *shares.shape[1:]), np.nan, shares.dtype)
            probabilities[test] = shares
    assert predictions is not None
    return CrossValidation(tuple(models), np.array(scores), tests, predictions, probabilities)
