"""The types that the library's signatures speak of."""

from __future__ import annotations

from typing import Any, TypeAlias

import jax

Array: TypeAlias = jax.Array  # NumPy's arrays are welcome wherever nothing is compiled
Key: TypeAlias = Any  # uint32, shape (2,): a seed, see keys.py
Params: TypeAlias = Any  # a tree of arrays that the optimizer moves
State: TypeAlias = Any  # a tree of arrays that a layer keeps between batches
Cache: TypeAlias = Any  # what a forward pass leaves for its backward pass
Shape: TypeAlias = tuple[int, ...]
