"""Choose which rows each step sees.

Each epoch visits all rows once, in an order that depends only on the seed and the epoch. If the last batch is
short, rows of weight 0 pad it: every batch has the same shape, no row is dropped, and nothing is recompiled.
If one batch holds all rows, they are not shuffled.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from glassnet import keys
from glassnet._precision import default_float
from glassnet._types import Array, Key


class Data(NamedTuple):
    """Rows for training or for validation: inputs, targets, and weights (None: all 1)."""

    x: Any
    y: Any
    weight: Any = None

    def at(self, rows: Any) -> Data:
        """Return the rows with these indices."""
        return Data(self.x[rows], self.y[rows], None if self.weight is None else self.weight[rows])


def batch_count(n_rows: int, batch_size: int) -> int:
    """Return the number of steps in an epoch.

    >>> batch_count(150, 16)
    10
    """
    return math.ceil(n_rows / batch_size)


class Batches(NamedTuple):
    """The row indices of each batch, (batches, batch_size); `present` is 0 for padding (None: no padding)."""

    rows: Array
    present: Array | None


def epoch_batches(order: Key, epoch: Array, n_rows: int, batch_size: int) -> Batches | None:
    """Return the batches of an epoch, shuffled; None if one batch holds all rows."""
    if batch_size >= n_rows:
        return None
    # -1, -2, ...: dropout folds step numbers, from 0, into the same key
    shuffled = keys.permutation(keys.fold_in(order, -1 - epoch), n_rows)
    return _batches(shuffled, n_rows, batch_size)


def rows_in_order(n_rows: int, batch_size: int) -> Batches:
    """Return the batches of all rows in their original order."""
    return _batches(jnp.arange(n_rows, dtype=jnp.int32), n_rows, batch_size)


def _batches(rows: Array, n_rows: int, batch_size: int) -> Batches:
    """Split row indices into batches; row 0 pads the last one."""
    missing = batch_count(n_rows, batch_size) * batch_size - n_rows
    filled = jnp.pad(rows, (0, missing)).reshape(-1, batch_size)
    return Batches(filled, padding(n_rows, batch_size))


def padding(n_rows: int, batch_size: int) -> Array | None:
    """Return 1 for rows and 0 for padding, shape (batches, batch_size); None if no batch is short.

    >>> padding(3, 2).tolist()
    [[1.0, 1.0], [1.0, 0.0]]
    """
    if n_rows % batch_size == 0:
        return None
    positions = np.arange(batch_count(n_rows, batch_size) * batch_size).reshape(-1, batch_size)
    return jnp.asarray((positions < n_rows).astype(default_float()))


def take(data: Data, rows: Array, present: Array | None) -> Data:
    """Return a batch: its rows, with weight 0 for padding."""
    x, y = data.x[rows], data.y[rows]
    weight = None if data.weight is None else data.weight[rows]
    if present is not None:
        weight = present if weight is None else (weight.T * present).T
    return Data(x, y, weight)
