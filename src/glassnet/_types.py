"""Name the types that the library's signatures use."""

from __future__ import annotations

from typing import Any, TypeAlias

import jax
import numpy as np

Array: TypeAlias = jax.Array  # NumPy's arrays are welcome wherever nothing is compiled
Key: TypeAlias = jax.Array | np.ndarray  # two words, uint32, or a `jax.random.key`: see keys.py
Shape: TypeAlias = tuple[int, ...]

# A layer's trees are mappings of arrays by name; a network's are tuples of its layers' trees. A network is a
# layer, so that one signature covers both, and a union of the two could be indexed by neither. The form is
# checked at run time instead: tests/nn/test_gradients.py checks names and shapes for every layer.
Params: TypeAlias = Any  # arrays that the optimizer changes
State: TypeAlias = Any  # arrays that a layer keeps between batches
Cache: TypeAlias = Any  # whatever a layer's backward needs from its forward
