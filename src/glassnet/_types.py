"""Name the types that the library's signatures use."""

from __future__ import annotations

from typing import Any, TypeAlias

import jax
import numpy as np

Array: TypeAlias = jax.Array  # NumPy arrays work too, except inside compiled functions
Key: TypeAlias = jax.Array | np.ndarray  # two words, uint32, or a `jax.random.key`: see keys.py
Shape: TypeAlias = tuple[int, ...]

# A layer's tree is a mapping of arrays by name; a network's is a tuple of its layers' trees. A network is a
# layer, so both need one type, and a union of the two could not be indexed without a check. Instead,
# tests/nn/test_gradients.py checks the names and shapes of every layer's trees.
Params: TypeAlias = Any  # arrays that the optimizer changes
State: TypeAlias = Any  # arrays that a layer keeps between batches
Cache: TypeAlias = Any  # whatever a layer's backward needs from its forward
