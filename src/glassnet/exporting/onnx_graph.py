"""Build an ONNX graph from plain records, without the package onnx."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

ELEMENTS = {"float32": 1, "uint8": 2, "int64": 7, "str": 8, "bool": 9, "float64": 11, "uint64": 13}
"""ONNX's codes for the element types (TensorProto.DataType), which Cast takes."""
OPSET, ML_OPSET, IR_VERSION = 18, 3, 8
"""The versions of ONNX 1.13 (2022): every newer runtime reads them, and most have float64 kernels."""


class Node(NamedTuple):
    """One operator of the graph, with its inputs and output by name."""

    op: str
    inputs: tuple[str, ...]
    output: str
    domain: str
    attributes: dict[str, Any]


class Value(NamedTuple):
    """An input or output of the graph; `shape` is that of one row."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class Graph:
    """Nodes and constants, each with a unique name.

    dtype: "float32" or "float64", the type that the network computes in. A Python float becomes a constant of
    this type, and a Python int one of type int64.
    taken: names that are already in use.

    >>> graph = Graph("float32")
    >>> graph.add("Add", graph.add("Mul", "x", 2.0), 1.0)
    'Add_4'
    >>> graph.constants
    {'constant_1': array(2., dtype=float32), 'constant_3': array(1., dtype=float32)}
    """

    def __init__(self, dtype: str, taken: Iterable[str] = ()) -> None:
        self.dtype = dtype
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}
        self.taken = set(taken)

    def free(self, name: str) -> str:
        """Return the name, with underscores appended if it is taken, and reserve it."""
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def _numbered(self, name: str) -> str:
        return self.free(f"{name}_{len(self.nodes) + len(self.constants) + 1}")

    def constant(self, value: Any) -> str:
        """Add a constant, a number or an array, and return its name."""
        if type(value) is float:  # not np.float64, which stays float64
            value = np.asarray(value, self.dtype)
        name = self._numbered("constant")
        self.constants[name] = np.asarray(value, order="C")
        return name

    def add(
        self, op: str, *inputs: Any, domain: str = "", output: str = "", **attributes: Any
    ) -> str:
        """Add an operator on values (by name) and constants, and return the name of its output."""
        named = tuple(v if isinstance(v, str) else self.constant(v) for v in inputs)
        name = output or self._numbered(op)
        self.nodes.append(Node(op, named, name, domain, attributes))
        return name

    def cast(self, x: str, dtype: DTypeLike) -> str:
        """Return a value converted to another type."""
        return self.add("Cast", x, to=ELEMENTS[np.dtype(dtype).name])

    def reshape(self, x: str, *shape: int) -> str:
        """Return a value in another shape; 0 keeps the size of an axis."""
        return self.add("Reshape", x, np.array(shape, np.int64))
