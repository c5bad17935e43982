"""Fit a random forest and compare a network with it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]

TREES = 50
"""Trees of the forest. Each row is out of bag for about a third of them."""
MIN_ROWS = 50
"""Rows that a forest needs."""


class Forest(NamedTuple):
    """How well a forest predicts compared with a model, in shares of a constant guess's squared error.

    explained: the share that the forest explains, out of bag.
    lead: how much more it explains than the model does on the same rows. error: the lead's standard error.
    """

    explained: float
    lead: float
    error: float


def compare_with_forest(x: Values, truth: Values, outputs: Values, *, one_class: bool) -> Forest:
    """Return how much a random forest explains out of bag, compared with a model's outputs for the same rows.

    x: rows of any shape. truth: values, 0 and 1, or one-hot (n, outputs). one_class: whether each row has
    exactly one class. Breiman, "Random Forests", 2001.

    >>> x = np.linspace(0, 1, 100)[:, None]
    >>> forest = compare_with_forest(x, x > 0.5, np.full((100, 1), 0.5), one_class=False)
    >>> forest.explained > 0.9, forest.lead > 0.9
    (True, True)
    """
    # lazily, since the import takes a second
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    x, truth = x.reshape(len(x), -1), np.asarray(truth, np.float64)
    mean = truth.mean(axis=0)
    predicted = np.tile(mean, (len(truth), 1))
    if one_class:
        forest = RandomForestClassifier(TREES, oob_score=True, random_state=0)
        forest.fit(x, truth.argmax(axis=1))
        predicted[:, forest.classes_] = forest.oob_decision_function_
    else:  # values; labels and probabilities too, as values between 0 and 1
        forest = RandomForestRegressor(TREES, oob_score=True, random_state=0)
        predicted = forest.fit(x, truth.squeeze()).oob_prediction_.reshape(truth.shape)
    lead = ((truth - outputs) ** 2 - (truth - predicted) ** 2).sum(axis=1)
    lead = lead / ((truth - mean) ** 2).sum(axis=1).mean()
    error = float(lead.std(ddof=1)) / math.sqrt(len(lead))
    return Forest(share_explained(truth, predicted), float(lead.mean()), error)


def one_hot(target: Values, width: int) -> Values:
    """Return classes as rows of 0 and 1, and probabilities unchanged.

    >>> one_hot(np.array([1, 0]), 2).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    target = np.asarray(target)
    return target if target.ndim == 2 else np.eye(width)[target]


def share_explained(truth: Values, predicted: Values) -> float:
    """Return 1 - squared error / squared error of the mean; 0 if the truth is constant.

    >>> share_explained(np.array([[0.0], [2.0]]), np.array([[0.0], [1.0]]))
    0.5
    """
    scale = float(((truth - truth.mean(axis=0)) ** 2).sum())
    return 1 - float(((truth - predicted) ** 2).sum()) / scale if scale > 0 else 0.0
