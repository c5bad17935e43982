"""Describe what determines the bits of a run, so that only the same run uses a checkpoint."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import jax
import numpy as np

from glassnet.errors import ConfigurationError
from glassnet.training.state import Plan

PACKAGES = ("glassnet", "jax", "jaxlib", "numpy")


def identity(
    plan: Plan,
    *,
    optimizers: Sequence[Any],
    penalties: Sequence[Any],
    early_stopping: Any,
    data: Any,
    validation: Any,
    state: Any,
    dtype: str,
) -> dict[str, str]:
    """Return everything that determines the bits of a run, under readable names.

    Callbacks, time limits, the number of epochs (if no schedule depends on it) and the policy on divergence
    are left out: they determine how far a run goes, not what it computes.

    >>> from glassnet.training.batches import Data
    >>> digest(Data(np.zeros((2, 3), np.float32), np.zeros(2)))[:26]
    '2 x 3 float32, 2 float64, '
    """
    devices = f"{jax.device_count()} {jax.default_backend()}"
    return {package: version(package) for package in PACKAGES} | {
        "the kind of machine": f"{platform.system()} {platform.machine()}, {devices}",
        "the network": _text(plan.network),
        "the loss": _text(plan.loss),
        "the batch size": str(plan.batch_size),
        "the optimizer": _texts(optimizers),
        "the penalty": _texts(penalties),
        "early stopping": str(early_stopping),
        "the metrics": ", ".join(plan.metrics) or "none",
        "dtype": dtype,
        "the number of networks": str(len(optimizers)),
        "the training rows": digest(data),
        "the validation rows": "none" if validation is None else digest(validation),
        "the start (seed, first weights, or the state to continue from)": digest(state),
    }


def digest(tree: Any) -> str:
    """Return the shapes and the SHA-256 of a tree's arrays, as a short text.

    Raises
    ------
    ConfigurationError: a leaf of the tree is not a plain array.
    """
    sha, shapes = hashlib.sha256(), []
    for leaf in jax.tree.leaves(tree):
        try:
            array = np.asarray(leaf)
        except TypeError as error:
            raise ConfigurationError(
                f"This run cannot be written to a checkpoint: {error}. The state of its optimizer must"
                " consist of plain arrays."
            ) from None
        shape = " x ".join(map(str, array.shape))
        shapes.append(f"{shape} {array.dtype}".strip())
        sha.update(f"{shapes[-1]}\n".encode())
        sha.update(np.ascontiguousarray(array).data)
    summary = ", ".join(shapes) if len(shapes) <= 3 else f"{len(shapes)} arrays"
    return f"{summary}, {sha.hexdigest()[:32]}"


def _texts(values: Sequence[Any]) -> str:
    """Return the texts of several objects, or a single text if all are equal."""
    texts = [_text(value) for value in values]
    return texts[0] if len(set(texts)) == 1 else "; ".join(texts)


def _text(value: Any) -> str:
    """Return a text for an object that is the same in every process: without memory addresses."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        inside = ", ".join(f"{n}={_text(v)}" for n, v in zip(value._fields, value, strict=True))
        return f"{type(value).__name__}({inside})"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_text, value))}]"
    fields = getattr(value, "__dataclass_fields__", None)
    if fields is not None:
        inside = ", ".join(f"{n}={_text(getattr(value, n))}" for n in fields)
        return f"{type(value).__name__}({inside})"
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        return str(np.asarray(value).tolist())
    if callable(value) or " object at 0x" in repr(value):
        return str(getattr(value, "__qualname__", type(value).__name__))
    return repr(value)
