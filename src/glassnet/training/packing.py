"""Pack the small parameters of a network into one vector while it trains.

The time of a small step depends on the number of operations, not on their size: updating one long vector is
faster than updating each weight matrix and each bias (measured: 20 instead of 27 µs for 64-64-10). The time
of a large step depends on memory traffic: copying a large gradient into a vector would cost more than it
saves, so large parameters stay as they are. Packing changes no parameter's value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from glassnet._types import Params, Shape

# parameters: 128 KiB in float32, so a few copies fit into the second-level cache
MAX_PACKED = 32_768


class Packed(NamedTuple):
    """A tree of parameters, with the small ones in one vector and the large ones as they are."""

    vector: Any
    large: tuple[Any, ...]


@dataclass(frozen=True)
class Layout:
    """The shape of each parameter, in the order of the tree, and whether it is in the vector."""

    structure: Any
    shapes: tuple[Shape, ...]
    small: tuple[bool, ...]

    @classmethod
    def of(cls, params: Params, n_networks: int = 1, allowed: bool = True) -> Layout:
        """Return the layout of parameters: the smallest are packed, up to MAX_PACKED numbers in total.

        `params` are those of one network; if several train together, MAX_PACKED limits their sum.

        >>> Layout.of({"W": jnp.ones((2, 2)), "b": jnp.zeros(2)}).small
        (True, True)
        """
        leaves, structure = jax.tree.flatten(params)
        shapes = tuple(leaf.shape for leaf in leaves)
        sizes = [math.prod(shape) for shape in shapes]
        order = np.argsort(sizes, kind="stable")
        small = np.zeros(len(leaves), bool)
        small[order] = np.cumsum(np.array(sizes, np.int64)[order]) * n_networks <= MAX_PACKED
        if not allowed or len({leaf.dtype for leaf in leaves}) != 1 or small.sum() < 2:
            small[:] = False
        return cls(structure, shapes, tuple(map(bool, small)))

    @property
    def packs(self) -> bool:
        """Whether any parameter is packed."""
        return any(self.small)

    def pack(self, tree: Params) -> Any:
        """Return a tree of parameters (or gradients) as `Packed`, or unchanged if nothing is packed."""
        if not self.packs:
            return tree
        leaves = jax.tree.leaves(tree)
        flat = [jnp.ravel(leaf) for leaf, small in zip(leaves, self.small, strict=True) if small]
        large = [leaf for leaf, small in zip(leaves, self.small, strict=True) if not small]
        return Packed(jnp.concatenate(flat), tuple(large))

    def unpack(self, packed: Any) -> Params:
        """Return the tree of parameters that was given to `pack`."""
        if not self.packs:
            return packed
        leaves, large, first = [], iter(packed.large), 0
        for shape, small in zip(self.shapes, self.small, strict=True):
            if small:
                end = first + math.prod(shape)
                leaves.append(packed.vector[first:end].reshape(shape))
                first = end
            else:
                leaves.append(next(large))
        return jax.tree.unflatten(self.structure, leaves)

    def spread(self, numbers: Params) -> Any:
        """Return a tree of one float per parameter, in a form that can multiply packed parameters."""
        if not self.packs:
            return numbers
        rows = list(zip(jax.tree.leaves(numbers), self.shapes, self.small, strict=True))
        distinct = {number for number, _, small in rows if small}
        vector = np.concatenate([np.full(math.prod(s), n) for n, s, small in rows if small])
        large = tuple(number for number, _, small in rows if not small)
        return Packed(distinct.pop() if len(distinct) == 1 else vector, large)

    def pack_within(self, tree: Any) -> Any:
        """Return an optimizer's state with each branch that has the parameters' structure packed."""
        if not self.packs:
            return tree

        def is_like_params(branch: Any) -> bool:
            return bool(jax.tree.structure(branch) == self.structure)

        return jax.tree.map(
            lambda branch: self.pack(branch) if is_like_params(branch) else branch,
            tree,
            is_leaf=is_like_params,
        )

    def unpack_within(self, tree: Any) -> Any:
        """Return the optimizer's state that was given to `pack_within`."""

        def is_packed(branch: Any) -> bool:
            return isinstance(branch, Packed)

        return jax.tree.map(
            lambda branch: self.unpack(branch) if is_packed(branch) else branch,
            tree,
            is_leaf=is_packed,
        )
