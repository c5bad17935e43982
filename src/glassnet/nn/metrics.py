"""Compute metrics alongside the loss in training, as means over rows.

A metric is a function from (logits, target) to one number per row. To add one, write a function and a row of
`METRICS`. Scores of finished models come from scikit-learn's metrics instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from glassnet._types import Array


def accuracy(logits: Array, target: Array) -> Array:
    """Return 1 where the largest logit is the target's class, else 0.

    With several labels (targets in the shape of the logits) or one logit, return the share of logits on the
    right side of 0.

    >>> accuracy(jnp.array([[2.0, 1.0], [0.0, 3.0]]), jnp.array([0, 0])).tolist()
    [1.0, 0.0]
    """
    if jnp.issubdtype(target.dtype, jnp.integer) and target.ndim == 1 and logits.shape[1] > 1:
        return (jnp.argmax(logits, axis=1) == target).astype(logits.dtype)
    predicted, true = logits > 0, target.reshape(logits.shape) > 0.5
    return jnp.mean((predicted == true).astype(logits.dtype), axis=1)


def absolute_error(logits: Array, target: Array) -> Array:
    """Return |ŷ - y|, averaged over outputs.

    >>> absolute_error(jnp.array([[1.0]]), jnp.array([[3.0]])).tolist()
    [2.0]
    """
    return jnp.mean(jnp.abs(logits - target.reshape(logits.shape)), axis=1)


def squared_error(logits: Array, target: Array) -> Array:
    """Return (ŷ - y)², averaged over outputs.

    >>> squared_error(jnp.array([[1.0]]), jnp.array([[3.0]])).tolist()
    [4.0]
    """
    return jnp.mean((logits - target.reshape(logits.shape)) ** 2, axis=1)


METRICS: dict[str, Callable[[Any, Any], Any]] = {
    "accuracy": accuracy,
    "absolute_error": absolute_error,
    "squared_error": squared_error,
}
