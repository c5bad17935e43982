"""Write objects as code, for advice that can be copied and pasted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

import numpy as np

from glassnet.nn.optimizer_wrappers import innermost
from glassnet.nn.optimizers import OPTIMIZERS


def typed(value: Any) -> str:
    """Return the code that creates an object of the library, leaving out fields at their defaults.

    >>> from glassnet.nn.optimizers import SGD
    >>> from glassnet.nn.layers import Dense
    >>> typed(SGD(0.05)), typed(Dense(8, "glorot")), typed((64, 32)), typed(0.1)
    ('gn.SGD(0.05)', "gn.Dense(8, initializer='glorot')", '(64, 32)', '0.1')
    """
    if isinstance(value, bool | str | None):
        return repr(value)
    if isinstance(value, int | float | np.number) or getattr(value, "shape", None) == ():
        return f"{float(value):.6g}"
    if hasattr(value, "layers"):
        return f"gn.Network([{', '.join(typed(layer) for layer in value.layers)}])"
    if hasattr(value, "_fields"):
        return _call(value, {n: value._field_defaults.get(n, MISSING) for n in value._fields})
    if is_dataclass(value):
        return _call(value, {f.name: f.default for f in fields(value) if f.init})
    if isinstance(value, tuple):
        items = ", ".join(typed(item) for item in value)
        return f"({items},)" if len(value) == 1 else f"({items})"
    return "..." if isinstance(value, np.ndarray) else repr(value)


def _call(value: Any, defaults: Mapping[str, Any]) -> str:
    """Return the call that creates an object; every argument but the first is passed by name."""
    parts = []
    for index, (name, default) in enumerate(defaults.items()):
        code = typed(getattr(value, name))
        if default is not MISSING and code == typed(default):
            continue
        parts.append(code if index == 0 else f"{name}={code}")
    return f"gn.{type(value).__name__}({', '.join(parts)})"


def arguments(parameters: Mapping[str, Any]) -> str:
    """Return parameters as the arguments of a call.

    >>> arguments({"l2": 0.01, "early_stopping": True})
    'l2=0.01, early_stopping=True'
    """
    return ", ".join(f"{name}={typed(value)}" for name, value in parameters.items())


def flags(parameters: Mapping[str, Any]) -> str:
    """Return an estimator's parameters as options of the command.

    >>> flags({"hidden": (64, 64), "batch_norm": True, "class_weight": "balanced"})
    '--hidden 64,64 --batch-norm --class-weight balanced'
    >>> from glassnet.nn.optimizers import SGD
    >>> flags({"optimizer": SGD(0.08)})
    '--optimizer sgd --learning-rate 0.08'
    """
    parts = []
    for name, value in parameters.items():
        option = f"--{name.replace('_', '-')}"
        if name == "early_stopping":
            parts.append(f"--patience {value.patience:g}")
        elif name == "optimizer":
            parts.append(_optimizer_flags(value))
        elif value is True:
            parts.append(option)
        elif isinstance(value, tuple):
            parts.append(f"{option} {','.join(map(str, value))}")
        else:
            parts.append(f"{option} {value}")
    return " ".join(parts)


def _optimizer_flags(optimizer: Any) -> str:
    """Return the command's options for an optimizer; there are none for its wrappers."""
    optimizer = innermost(optimizer)
    kinds = {(type(known), getattr(known, "nesterov", None)): n for n, known in OPTIMIZERS.items()}
    name = kinds[type(optimizer), getattr(optimizer, "nesterov", None)]
    return f"--optimizer {name} --learning-rate {typed(optimizer.learning_rate)}"
