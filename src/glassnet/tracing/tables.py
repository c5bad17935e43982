"""Turn a trace into tables of columns, and into plain values that JSON can hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from glassnet._checks import resolve
from glassnet.errors import ConfigurationError
from glassnet.tracing.records import LayerTrace, OptimizerStep, Parameter

if TYPE_CHECKING:
    from glassnet.tracing.trace import Trace

Columns = dict[str, np.ndarray]


def table_of(trace: Trace, name: str) -> Columns:
    """Return a table by its name; see `Trace.to_columns`."""
    columns: Columns = resolve("table of a trace", name, TABLES)(trace)
    return columns


def _layers(trace: Trace) -> Columns:
    """Return one row for each layer: the norms of its arrays, NaN where it has no such array."""
    norms = [layer.norms for layer in trace.layers]
    names = dict.fromkeys(name for by_name in norms for name in by_name)
    columns = {name: np.array([by_name.get(name, np.nan) for by_name in norms]) for name in names}
    return {
        "layer": np.array([layer.path for layer in trace.layers]),
        "kind": np.array([layer.kind for layer in trace.layers]),
        **columns,
    }


def _neurons(trace: Trace) -> Columns:
    """Return one row for each layer, row of the batch, and neuron; the network's inputs come first."""
    first = trace.layers[0]
    blocks = [("input", "input", first.input, first.d_input)]
    blocks += [(layer.path, layer.kind, layer.output, layer.d_output) for layer in trace.layers]
    parts = []
    for path, kind, output, d_output in blocks:
        flat = output.reshape(trace.rows, -1)
        row, neuron = np.indices(flat.shape).reshape(2, -1)
        part = {"layer": np.full(flat.size, path), "kind": np.full(flat.size, kind)}
        part |= {"row": row, "neuron": neuron, "output": flat.ravel()}
        if trace.target is not None:
            part["d_output"] = np.reshape(np.asarray(d_output), -1)
        parts.append(part)
    return _stacked(parts)


def _weights(trace: Trace) -> Columns:
    """Return one row for each number that the optimizer updates."""
    parts = [_weight(layer, p) for layer in trace.layers for p in layer.parameters.values()]
    if not parts:
        raise ConfigurationError("No layer of this network has parameters: there are no weights.")
    return _stacked(parts)


def _weight(layer: LayerTrace, parameter: Parameter) -> Columns:
    value = parameter.value
    flat = value.reshape(len(value), -1) if value.ndim else value.reshape(1, 1)
    first_index, other_index = np.indices(flat.shape).reshape(2, -1)
    columns = {
        "layer": np.full(value.size, layer.path),
        "kind": np.full(value.size, layer.kind),
        "parameter": np.full(value.size, parameter.name),
        "neuron": first_index,
        "input": other_index if value.ndim > 1 else np.full(value.size, -1),
        "value": value.ravel(),
    }
    if parameter.gradient is None:
        return columns
    arrays = {
        "gradient": parameter.gradient,
        "penalty": parameter.penalty,
        "update": parameter.update,
        "effective_rate": parameter.effective_rate,
        "new": parameter.new,
        **parameter.moments,
    }
    return columns | {name: np.ravel(np.asarray(array)) for name, array in arrays.items()}


TABLES: dict[str, Callable[[Trace], Columns]] = {
    "layers": _layers,
    "neurons": _neurons,
    "weights": _weights,
}


def _stacked(parts: list[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def as_plain(trace: Trace) -> dict[str, Any]:
    """Return a trace as plain values: arrays as lists, infinite and undefined numbers as None."""
    return {
        "rows": trace.rows,
        "train": trace.train,
        "dtype": trace.dtype,
        "loss_function": type(trace.loss_function).__name__,
        "loss": _list(trace.loss),
        "penalty": _list(trace.penalty),
        "l1": float(trace.penalties.l1),
        "l2": float(trace.penalties.l2),
        "target": _list(trace.target),
        "sample_weight": _list(trace.sample_weight),
        "logits": _list(trace.logits),
        "output": _list(trace.output),
        "step": None if trace.step is None else _step(trace.step),
        "layers": [_layer(layer) for layer in trace.layers],
    }


def _step(step: OptimizerStep) -> dict[str, Any]:
    return {
        "optimizer": type(step.optimizer).__name__,
        "learning_rate": _list(step.rate),
        "number": step.number,
        "gradient_norm": _list(step.norm),
        "finite": step.finite,
    }


def _layer(layer: LayerTrace) -> dict[str, Any]:
    arrays = {name: getattr(layer, name) for name in ("input", "output", "d_output", "d_input")}
    return {
        "path": layer.path,
        "kind": layer.kind,
        **_lists(arrays),
        "norms": _lists(layer.norms),
        "state": _lists(layer.state),
        "new_state": _lists(layer.new_state),
        "cache": _lists(layer.cache),
        "parameters": {name: _parameter(p) for name, p in layer.parameters.items()},
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    names = ("value", "gradient", "penalty", "update", "effective_rate", "new")
    arrays = {name: getattr(parameter, name) for name in names}
    return {**_lists(arrays), "moments": _lists(parameter.moments)}


def _lists(arrays: dict[str, Any]) -> dict[str, Any]:
    return {name: _list(array) for name, array in arrays.items()}


def _list(value: Any) -> Any:
    """Return numbers as plain lists, with None for those that JSON cannot hold."""
    if value is None:
        return None
    array = np.asarray(value)
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return array.tolist()
    plain = array.astype(object)
    plain[~np.isfinite(array)] = None
    return plain.tolist() if array.ndim else None
