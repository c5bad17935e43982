"""Forks: a process that was split off from one that had computed cannot compute, and is told so.

JAX works with threads. A fork copies the process without them, but with the locks that they held: the first
computation in the copy waits for ever.
"""

from __future__ import annotations

import os
import sys

from glassnet.errors import ConfigurationError

_forked_from = 0  # the process that had computed before it was forked; 0: there is none


def check_fork() -> None:
    """Raise in a process in which no computation would end.

    Raises
    ------
    ConfigurationError: this process is a fork of one that had used JAX.

    >>> check_fork()
    """
    if _forked_from:
        raise ConfigurationError(
            f"This process ({os.getpid()}) is a fork of one ({_forked_from}) that had already computed with"
            " JAX, whose threads a fork leaves behind: here no computation would ever end. Use processes that"
            " start anew: n_jobs=2 as it is, with joblib's own backend ('loky'), not 'multiprocessing',"
            " or multiprocessing.get_context('spawn'), or threads."
        )


def _note() -> None:
    """Note, in the new process, whether the old one had used JAX, through glassnet or not."""
    global _forked_from
    bridge = sys.modules.get("jax._src.xla_bridge")
    if getattr(bridge, "_backends", None):
        _forked_from = os.getppid()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_note)
