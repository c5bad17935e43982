"""The vocabulary of the library's types, and the one place that knows the float in force."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import jax
import numpy as np

from glassnet.forks import check_fork

Array: TypeAlias = jax.Array  # NumPy's arrays are welcome wherever nothing is compiled
Key: TypeAlias = Any  # uint32, shape (2,): a seed, see keys.py
Params: TypeAlias = Any  # a tree of arrays that the optimizer moves
State: TypeAlias = Any  # a tree of arrays that a layer keeps between batches
Cache: TypeAlias = Any  # what a forward pass leaves for its backward pass
Shape: TypeAlias = tuple[int, ...]


def default_float() -> np.dtype[Any]:
    """Return float64 inside `precision("float64")`, float32 outside."""
    return np.dtype(jax.dtypes.canonicalize_dtype(np.float64))


@contextmanager
def precision(dtype: str | np.dtype[Any]) -> Iterator[None]:
    """Compute in float32 or float64 inside the block; no global switch is touched.

    Raises
    ------
    ConfigurationError: nothing can be computed in this process (`forks`).

    >>> with precision("float64"):
    ...     default_float()
    dtype('float64')
    """
    check_fork()
    with jax.enable_x64(np.dtype(dtype) == np.float64):
        yield
