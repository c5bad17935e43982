"""Compare a trace with `jax.grad`, and name the layer whose backward is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from glassnet.nn.network import Network, each_layer
from glassnet.tracing.records import LayerTrace

if TYPE_CHECKING:
    from glassnet.tracing.trace import Trace

TOLERANCES = {"float32": 1e-4, "float64": 1e-9}  # of the largest gradient of a layer


class Check(NamedTuple):
    """A trace compared with `jax.grad`: the largest relative difference, and where it is.

    largest: |our gradient - jax.grad's|. relative: the same, divided by the layer's largest gradient.
    where: the array. compared: the number of numbers. tolerance: the relative difference that rounding can
    explain. suspect: the layer whose backward is wrong, or "".
    """

    largest: float
    relative: float
    where: str
    compared: int
    tolerance: float
    suspect: str

    @property
    def ok(self) -> bool:
        """Whether rounding explains every difference."""
        return self.relative <= self.tolerance

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        summary = (
            f"{self.compared} numbers compared with jax.grad: the largest difference is"
            f" {self.largest:.2g}, in {self.where}"
        )
        if self.ok:
            return f"{summary}. The trace is right."
        text = f"{summary}, which is more than rounding."
        if self.suspect:
            text += f" The backward of {self.suspect} is not the derivative of its forward."
        return text


def compare_gradients(
    trace: Trace, network: Network, params: Any, outputs: Any, d_input: Any
) -> Check:
    """Return the largest relative difference, and the layer at fault if it is more than rounding.

    params, outputs, d_input: the gradients by `jax.grad`, as `recording.jax_gradients` returns them.
    """
    tolerance = TOLERANCES[trace.dtype]
    differences: list[_Difference] = []
    suspect, before = "", d_input
    for layer, (path, _, (gradients,)) in zip(
        trace.layers, each_layer(network, params), strict=True
    ):
        after = outputs[path]
        received, *computed = _differences(layer, gradients, after, before)
        differences += [received, *computed]
        wrong = any(difference.relative > tolerance for difference in computed)
        if received.relative <= tolerance and wrong:
            suspect = f"layer {layer.path} ({layer.kind})"
        before = after
    count = sum(difference.size for difference in differences)
    worst = max(differences, key=lambda difference: difference.relative)
    return Check(
        largest=worst.largest,
        relative=worst.relative,
        where=worst.where,
        compared=count,
        tolerance=tolerance,
        suspect=suspect,
    )


class _Difference(NamedTuple):
    where: str
    largest: float
    relative: float
    size: int


def _differences(layer: LayerTrace, gradients: Any, after: Any, before: Any) -> list[_Difference]:
    """Return the differences in dL/d(output), then in dL/d(input) and dL/d(parameter) of a layer."""
    of_layer = f"of layer {layer.path} ({layer.kind})"
    pairs = [
        (f"dL/d(output) {of_layer}", layer.d_output, after),
        (f"dL/d(input) {of_layer}", layer.d_input, np.reshape(before, layer.input.shape)),
    ]
    for parameter in layer.parameters.values():
        ours, theirs = parameter.total_gradient, gradients[parameter.name]
        pairs.append((f"d{parameter.name} {of_layer}", ours, theirs))
    # one scale for the layer: a sum that cancels, like db before batch norm, has the error of its terms
    scale = max(
        (float(np.abs(theirs).max()) for _, _, theirs in pairs if np.size(theirs)), default=1.0
    )
    return [
        _Difference(where, largest, largest / (scale or 1.0), int(np.size(theirs)))
        for where, ours, theirs in pairs
        for largest in [_largest_difference(ours, theirs)]
    ]


def _largest_difference(ours: Any, theirs: Any) -> float:
    """Return the largest difference between two arrays; infinite if a number is NaN in only one of them."""
    a, b = (np.asarray(array, np.float64) for array in (ours, theirs))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(a - b))
    return float(np.nan_to_num(difference, nan=np.inf).max(initial=0.0))
