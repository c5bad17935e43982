"""Tables of a trace: layers, neurons and weights as columns of equal length; all of it as plain values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from glassnet._checks import resolve
from glassnet.errors import ConfigurationError
from glassnet.tracing.records import LayerTrace, Parameter, Traced

Columns = dict[str, np.ndarray]


def table_of(traced: Traced, what: str) -> Columns:
    """Return a table by its name; see `Trace.to_columns`."""
    columns: Columns = resolve("table of a trace", what, TABLES)(traced)
    return columns


def _layers(traced: Traced) -> Columns:
    """Return a row a layer: the norm of each array that any layer has; NaN where it has none."""
    norms = [layer.norms for layer in traced.layers]
    names = dict.fromkeys(name for each in norms for name in each)
    columns = {name: np.array([each.get(name, np.nan) for each in norms]) for name in names}
    return {
        "layer": np.array([layer.place for layer in traced.layers]),
        "kind": np.array([layer.kind for layer in traced.layers]),
        **columns,
    }


def _neurons(traced: Traced) -> Columns:
    """Return a row a layer, row and neuron; the network's own inputs come first."""
    first = traced.layers[0]
    blocks = [("input", "input", first.input, first.d_input)]
    blocks += [(la.place, la.kind, la.output, la.d_output) for la in traced.layers]
    parts = []
    for place, kind, output, slope in blocks:
        flat = output.reshape(traced.rows, -1)
        row, neuron = np.indices(flat.shape).reshape(2, -1)
        part = {"layer": np.full(flat.size, place), "kind": np.full(flat.size, kind)}
        part |= {"row": row, "neuron": neuron, "output": flat.ravel()}
        if traced.target is not None:
            part["d_output"] = np.reshape(np.asarray(slope), -1)
        parts.append(part)
    return _stacked(parts)


def _weights(traced: Traced) -> Columns:
    """Return a row a number that the optimizer moves."""
    parts = [_weight(layer, p) for layer in traced.layers for p in layer.parameters.values()]
    if not parts:
        raise ConfigurationError("No layer of this network has parameters: there are no weights.")
    return _stacked(parts)


def _weight(layer: LayerTrace, parameter: Parameter) -> Columns:
    value = parameter.value
    flat = value.reshape(len(value), -1) if value.ndim else value.reshape(1, 1)
    neuron, place = np.indices(flat.shape).reshape(2, -1)
    part = {
        "layer": np.full(value.size, layer.place),
        "kind": np.full(value.size, layer.kind),
        "parameter": np.full(value.size, parameter.name),
        "neuron": neuron,
        "input": place if value.ndim > 1 else np.full(value.size, -1),
        "value": value.ravel(),
    }
    if parameter.gradient is None:
        return part
    told = {
        "gradient": parameter.gradient,
        "penalty": parameter.penalty,
        "update": parameter.update,
        "effective_rate": parameter.effective_rate,
        "new": parameter.new,
        **parameter.moments,
    }
    return part | {name: np.ravel(np.asarray(array)) for name, array in told.items()}


TABLES: dict[str, Callable[[Traced], Columns]] = {
    "layers": _layers,
    "neurons": _neurons,
    "weights": _weights,
}


def _stacked(parts: list[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def as_plain(traced: Traced) -> dict[str, Any]:
    """Return a trace as plain values: arrays as lists, infinite and undefined numbers as None."""
    step = traced.step
    return {
        "rows": traced.rows,
        "train": traced.train,
        "dtype": traced.dtype,
        "loss_function": type(traced.loss_function).__name__,
        "loss": _list(traced.loss),
        "penalty": _list(traced.penalty),
        "l1": float(traced.penalties.l1),
        "l2": float(traced.penalties.l2),
        "target": _list(traced.target),
        "sample_weight": _list(traced.sample_weight),
        "logits": _list(traced.logits),
        "output": _list(traced.output),
        "step": None
        if step is None
        else {
            "optimizer": type(step.optimizer).__name__,
            "learning_rate": _list(step.rate),
            "number": step.number,
            "gradient_norm": _list(step.norm),
            "finite": step.finite,
        },
        "layers": [_layer(layer) for layer in traced.layers],
    }


def _layer(layer: LayerTrace) -> dict[str, Any]:
    arrays = {name: getattr(layer, name) for name in ("input", "output", "d_output", "d_input")}
    return {
        "place": layer.place,
        "kind": layer.kind,
        **{name: _list(array) for name, array in arrays.items()},
        "norms": {name: _list(value) for name, value in layer.norms.items()},
        "state": {name: _list(array) for name, array in layer.state.items()},
        "new_state": {name: _list(array) for name, array in layer.new_state.items()},
        "parameters": {
            name: {
                part: _list(getattr(p, part))
                for part in ("value", "gradient", "penalty", "update", "effective_rate", "new")
            }
            | {"moments": {moment: _list(array) for moment, array in p.moments.items()}}
            for name, p in layer.parameters.items()
        },
    }


def _list(value: Any) -> Any:
    """Return numbers as plain lists; what JSON cannot hold is None."""
    if value is None:
        return None
    array = np.asarray(value)
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return array.tolist()
    plain = array.astype(object)
    plain[~np.isfinite(array)] = None
    return plain.tolist() if array.ndim else None
