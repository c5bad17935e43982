"""Fit a random forest, whose score on unseen rows a network is compared with."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]

TREES, FEWEST = 50, 50
"""Trees of the forest, and rows that it needs: each row is out of the bag of a third of the trees."""


class Forest(NamedTuple):
    """How a forest did beside a model, in shares of the guess's squared error.

    explained: of rows that were in no bag of the trees asked. lead: over what the model explains of the same
    rows.
    error: the lead's standard error.
    """

    explained: float
    lead: float
    error: float


def beside_forest(x: Values, truth: Values, outputs: Values, *, one_class: bool) -> Forest:
    """Return what a random forest explains out of bag, beside a model's outputs for the same rows.

    x: rows of any shape. truth: values, 0 and 1, or one-hot (n, outputs). one_class: whether each row has
    one class. Breiman, "Random Forests", 2001.

    >>> x = np.linspace(0, 1, 100)[:, None]
    >>> forest = beside_forest(x, x > 0.5, np.full((100, 1), 0.5), one_class=False)
    >>> forest.explained > 0.9, forest.lead > 0.9
    (True, True)
    """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor  # lazily: a second

    x, truth = x.reshape(len(x), -1), np.asarray(truth, np.float64)
    mean = truth.mean(axis=0)
    guessed = np.tile(mean, (len(truth), 1))
    if one_class:
        grown = RandomForestClassifier(TREES, oob_score=True, random_state=0)
        grown.fit(x, truth.argmax(axis=1))
        guessed[:, grown.classes_] = grown.oob_decision_function_
    else:  # values, and labels and probabilities as values between 0 and 1
        grown = RandomForestRegressor(TREES, oob_score=True, random_state=0)
        guessed = grown.fit(x, truth.squeeze()).oob_prediction_.reshape(truth.shape)
    ahead = ((truth - outputs) ** 2 - (truth - guessed) ** 2).sum(axis=1)
    ahead = ahead / ((truth - mean) ** 2).sum(axis=1).mean()
    error = float(ahead.std(ddof=1)) / math.sqrt(len(ahead))
    return Forest(share_explained(truth, guessed), float(ahead.mean()), error)


def one_hot(target: Values, width: int) -> Values:
    """Return classes as rows of 0 and 1; probabilities as they are.

    >>> one_hot(np.array([1, 0]), 2).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    target = np.asarray(target)
    return target if target.ndim == 2 else np.eye(width)[target]


def share_explained(truth: Values, predicted: Values) -> float:
    """Return 1 - squared error / squared error of the mean; 0 where there is nothing to explain.

    >>> share_explained(np.array([[0.0], [2.0]]), np.array([[0.0], [1.0]]))
    0.5
    """
    scale = float(((truth - truth.mean(axis=0)) ** 2).sum())
    return 1 - float(((truth - predicted) ** 2).sum()) / scale if scale > 0 else 0.0
