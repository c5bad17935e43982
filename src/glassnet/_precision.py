"""Choose float32 or float64 for computations, and check that this process can compute.

JAX uses threads. A fork copies a process without its threads but with the locks that they held, so the first
computation in the copy would wait forever.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from glassnet.errors import ConfigurationError

_forked_from = (
    0  # the id of the parent that used JAX before it forked this process; 0 if there is none
)


def check_fork() -> None:
    """Raise if a computation in this process would never end.

    Raises
    ------
    ConfigurationError: this process is a fork of one that had used JAX.

    >>> check_fork()
    """
    if _forked_from:
        raise ConfigurationError(
            f"This process ({os.getpid()}) is a fork of one ({_forked_from}) that had already used JAX. A"
            " fork lacks JAX's threads, so a computation here would never end. Start new processes"
            " instead: with n_jobs=2 and joblib's default backend ('loky', not 'multiprocessing'), or with"
            " multiprocessing.get_context('spawn'). Threads work too."
        )


def _note_fork() -> None:
    """Note in the child whether its parent had used JAX, through glassnet or not."""
    global _forked_from
    bridge = sys.modules.get("jax._src.xla_bridge")
    if getattr(bridge, "_backends", None):
        _forked_from = os.getppid()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_note_fork)


def default_float() -> np.dtype[Any]:
    """Return float64 inside `precision("float64")`, float32 outside."""
    return np.dtype(jax.dtypes.canonicalize_dtype(np.float64))


@contextmanager
def precision(dtype: str | np.dtype[Any]) -> Iterator[None]:
    """Compute in float32 or float64 inside the block, without changing a global setting.

    Raises
    ------
    ConfigurationError: this process is a fork of one that had used JAX.

    >>> with precision("float64"):
    ...     default_float()
    dtype('float64')
    """
    check_fork()
    with jax.enable_x64(np.dtype(dtype) == np.float64):
        yield
