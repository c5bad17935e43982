"""Describe a layer's arrays by their shapes, without making the arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from glassnet._types import Shape


class Shapes(NamedTuple):
    """The shapes of a layer's parameters and state, by name, and of its output for one row.

    For a network, params and state are tuples of its layers' shapes.
    """

    params: Any
    state: Any
    out: Shape


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
