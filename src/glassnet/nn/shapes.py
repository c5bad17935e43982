"""Describe arrays of parameters by their shapes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from glassnet._types import Shape


class Shapes(NamedTuple):
    """The shapes of a layer's parameters and state, by name, and of its output for one row.

    For a network, params and state are tuples of its layers' shapes.
    """

    params: Any
    state: Any
    out: Shape


def parameter_count(params: Any) -> int:
    """Return how many numbers a tree of arrays holds.

    >>> parameter_count(({"W": np.zeros((3, 2)), "b": np.zeros(3)}, {}))
    9
    """
    return sum(math.prod(np.shape(leaf)) for leaf in jax.tree.leaves(params))


def shapes_in(arrays: Any) -> Any:
    """Return the shapes of the arrays in a tree of dictionaries and tuples.

    >>> shapes_in(({"W": np.zeros((3, 2))}, {}))
    ({'W': (3, 2)}, {})
    """
    if isinstance(arrays, Mapping):
        return {name: shapes_in(array) for name, array in arrays.items()}
    if isinstance(arrays, tuple):
        return tuple(map(shapes_in, arrays))
    return np.shape(arrays)
