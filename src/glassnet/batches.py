"""Batches: which rows each step sees.

Each epoch walks all rows once, in an order that depends on (seed, epoch) alone. The last short batch is
padded with rows of weight 0, so that every batch has the same shape, no sample is dropped and nothing
recompiles. When one batch holds all rows there is nothing to shuffle.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from glassnet import keys
from glassnet._types import Array, Key, default_float


class Data(NamedTuple):
    """Rows to learn from or to be measured on: inputs, targets, and weights (None: all 1)."""

    x: Any
    y: Any
    weight: Any = None


def batch_count(n_rows: int, batch_size: int) -> int:
    """Return the number of steps in an epoch.

    >>> batch_count(150, 16)
    10
    """
    return math.ceil(n_rows / batch_size)


def epoch_rows(key: Key, epoch: Array, n_rows: int, batch_size: int) -> Array:
    """Return the rows of each batch of an epoch, shape (batches, batch_size), shuffled.

    The last batch is filled up with row 0 (see `padding`).
    """
    # counted down from -1, so that no epoch shares its key with a step
    order = keys.permutation(keys.fold_in(key, -1 - epoch), n_rows)
    return _fill(order, n_rows, batch_size)


def rows_in_order(n_rows: int, batch_size: int) -> Array:
    """Return the rows of each batch in order, shape (batches, batch_size)."""
    return _fill(jnp.arange(n_rows, dtype=jnp.int32), n_rows, batch_size)


def _fill(order: Array, n_rows: int, batch_size: int) -> Array:
    missing = batch_count(n_rows, batch_size) * batch_size - n_rows
    return jnp.pad(order, (0, missing)).reshape(-1, batch_size)


def padding(n_rows: int, batch_size: int) -> Array | None:
    """Return 1 for rows and 0 for padding, shape (batches, batch_size); None if no batch is short.

    >>> padding(3, 2).tolist()
    [[1.0, 1.0], [1.0, 0.0]]
    """
    if n_rows % batch_size == 0:
        return None
    places = np.arange(batch_count(n_rows, batch_size) * batch_size).reshape(-1, batch_size)
    return jnp.asarray((places < n_rows).astype(default_float()))


def take(data: Data, rows: Array, present: Array | None) -> Data:
    """Return a batch: its rows, each weighted by its weight and by whether it is there."""
    x, y = data.x[rows], data.y[rows]
    weight = None if data.weight is None else data.weight[rows]
    if present is not None:
        weight = present if weight is None else (weight.T * present).T
    return Data(x, y, weight)
