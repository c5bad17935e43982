"""Identity: by what two runs are the same, in words and hashes; a checkpoint belongs to one run alone."""

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
    """Return what decides each bit of a run, by a name that a person understands.

    Callbacks, time limits, the number of epochs (where no schedule depends on it) and what to do on a
    divergence are not among it: they say how far the run goes, not its way.

    >>> from glassnet.training.batches import Data
    >>> digest(Data(np.zeros((2, 3), np.float32), np.zeros(2)))[:26]
    '2 x 3 float32, 2 float64, '
    """
    found = {package: version(package) for package in PACKAGES}
    found["the kind of machine"] = (
        f"{platform.system()} {platform.machine()}, {jax.device_count()} {jax.default_backend()}"
    )
    found |= {
        "the network": _text(plan.network),
        "the loss": _text(plan.loss),
        "the batch size": str(plan.batch_size),
        "the optimizer": _several(optimizers),
        "the penalty": _several(penalties),
        "early stopping": str(early_stopping),
        "the metrics": ", ".join(plan.metrics) or "none",
        "dtype": dtype,
        "the number of networks": str(len(optimizers)),
        "the training rows": digest(data),
        "the validation rows": "none" if validation is None else digest(validation),
        "the start (seed, first weights, or the state to go on from)": digest(state),
    }
    return found


def digest(tree: Any) -> str:
    """Return the shapes and the SHA-256 of a tree's arrays, as a short text.

    Raises
    ------
    ConfigurationError: something in it is no plain array.
    """
    whole, shapes = hashlib.sha256(), []
    for leaf in jax.tree.leaves(tree):
        try:
            array = np.asarray(leaf)
        except TypeError as error:
            raise ConfigurationError(
                f"This run cannot go into a checkpoint: {error}. Its optimizer must keep plain arrays."
            ) from None
        shape = " x ".join(map(str, array.shape))
        shapes.append(f"{shape} {array.dtype}".strip())
        whole.update(f"{shapes[-1]}\n".encode())
        whole.update(np.ascontiguousarray(array).data)
    told = ", ".join(shapes) if len(shapes) <= 3 else f"{len(shapes)} arrays"
    return f"{told}, {whole.hexdigest()[:32]}"


def _several(things: Sequence[Any]) -> str:
    """Return the text of each, or of one where all are alike."""
    texts = [_text(thing) for thing in things]
    return texts[0] if len(set(texts)) == 1 else "; ".join(texts)


def _text(thing: Any) -> str:
    """Return an object in words that are the same in every process: no addresses of functions."""
    if isinstance(thing, tuple) and hasattr(thing, "_fields"):
        inside = ", ".join(f"{n}={_text(v)}" for n, v in zip(thing._fields, thing, strict=True))
        return f"{type(thing).__name__}({inside})"
    if isinstance(thing, tuple | list):
        return f"[{', '.join(map(_text, thing))}]"
    fields = getattr(thing, "__dataclass_fields__", None)
    if fields is not None:
        inside = ", ".join(f"{n}={_text(getattr(thing, n))}" for n in fields)
        return f"{type(thing).__name__}({inside})"
    if isinstance(thing, np.ndarray | np.generic | jax.Array):
        return str(np.asarray(thing).tolist())
    if callable(thing) or " object at 0x" in repr(thing):
        return str(getattr(thing, "__qualname__", type(thing).__name__))
    return repr(thing)
