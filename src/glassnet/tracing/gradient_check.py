"""Gradient check: a trace held against `jax.grad`, and the layer at fault if they differ."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from glassnet.nn.network import Network, each_layer
from glassnet.tracing.records import LayerTrace, Traced


class Check(NamedTuple):
    """A trace held against `jax.grad`: the largest difference, and where it is.

    largest: |ours - jax.grad's|. relative: the same over the largest number of that array (or 1).
    where: the array. compared: how many numbers. tolerance: what rounding explains. suspect: the layer
    whose own backward is wrong, if any.
    """

    largest: float
    relative: float
    where: str
    compared: int
    tolerance: float
    suspect: str

    @property
    def ok(self) -> bool:
        """Whether all differences are rounding."""
        return self.relative <= self.tolerance

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        said = (
            f"{self.compared} numbers compared with jax.grad: the largest difference is"
            f" {self.largest:.2g}, in {self.where}"
        )
        if self.ok:
            return f"{said}. The trace is right."
        found = f" The backward of {self.suspect} is not the derivative of its forward." * bool(
            self.suspect
        )
        return f"{said}, which is more than rounding.{found}"


def compared(traced: Traced, network: Network, params: Any, outputs: Any, d_input: Any) -> Check:
    """Return the largest of all differences, and the layer at fault if it is no rounding.

    params, outputs, d_input: the gradients by `jax.grad`, as `recording.automatic` gives them.
    """
    tolerance = TOLERANCES[traced.dtype]
    found: list[_Difference] = []
    suspect, before, count = "", d_input, 0
    for layer, (place, _, (own,)) in zip(traced.layers, each_layer(network, params), strict=True):
        after = outputs[place]
        differences = _of_layer(layer, own, after, before)
        count += sum(each.size for each in differences)
        found += differences
        given, *made = differences
        if given.relative <= tolerance and any(each.relative > tolerance for each in made):
            suspect = f"layer {layer.place} ({layer.kind})"
        before = after
    worst = max(found, key=lambda each: each.relative)
    return Check(worst.largest, worst.relative, worst.where, count, tolerance, suspect)


TOLERANCES = {"float32": 1e-4, "float64": 1e-9}  # of the largest gradient of a layer


class _Difference(NamedTuple):
    where: str
    largest: float
    relative: float
    size: int


def _of_layer(layer: LayerTrace, own: Any, after: Any, before: Any) -> list[_Difference]:
    """Return the differences of dL/d(output), dL/d(input) and dL/d(each parameter) of a layer."""
    name = f"of layer {layer.place} ({layer.kind})"
    both = [(f"dL/d(output) {name}", layer.d_output, after)]
    both.append((f"dL/d(input) {name}", layer.d_input, np.reshape(before, layer.input.shape)))
    for parameter in layer.parameters.values():
        assert parameter.gradient is not None and parameter.penalty is not None
        ours = parameter.gradient + parameter.penalty
        both.append((f"d{parameter.name} {name}", ours, own[parameter.name]))
    # one scale for the layer: sums that cancel, as db before batch norm, are as inexact as their terms
    scale = max(
        (float(np.abs(theirs).max()) for _, _, theirs in both if np.size(theirs)), default=1.0
    )
    return [
        _Difference(where, apart, apart / (scale or 1.0), int(np.size(theirs)))
        for where, ours, theirs in both
        for apart in [_apart(ours, theirs)]
    ]


def _apart(ours: Any, theirs: Any) -> float:
    """Return the largest difference of two arrays; infinite where one is undefined and the other is not."""
    a, b = (np.asarray(array, np.float64) for array in (ours, theirs))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        apart = np.where(same, 0.0, np.abs(a - b))
    return float(np.nan_to_num(apart, nan=np.inf).max(initial=0.0))
