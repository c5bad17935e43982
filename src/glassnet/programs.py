"""Programs: functions compiled with the options that suit them on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import jax

WIDE = {
    "xla_cpu_prefer_vector_width": 512
}  # measured: a twentieth off a step of 100 000 parameters
ONE_THREAD = {
    "xla_cpu_multi_thread_eigen": False
}  # a quarter off a step of 20 parameters, an eighth of 100


@cache
def compiled(function: Callable[..., Any], static: str, *, few_numbers: bool) -> Callable[..., Any]:
    """Return a function compiled by JAX, for few numbers without threads, whose start would cost more.

    static: the name of the argument that is no array.

    >>> def double(x, *, times):
    ...     return x * times
    >>> float(compiled(double, "times", few_numbers=True)(3.0, times=2))
    6.0
    """
    options = WIDE | (ONE_THREAD if few_numbers else {})
    return jax.jit(
        function, static_argnames=static, compiler_options=_known(tuple(options.items()))
    )


QUICK = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}  # for what runs once (measured: a step of the default network with its record 1.3 instead of 2.3 s)


@cache
def quickly_compiled(function: Callable[..., Any], static: str) -> Callable[..., Any]:
    """Return a function compiled by JAX in little time, for a few calls.

    static: the name of the argument that is no array.
    """
    options = _known(tuple(QUICK.items()))
    return jax.jit(function, static_argnames=static, compiler_options=options)


@cache
def _known(options: tuple[tuple[str, Any], ...]) -> dict[str, Any] | None:
    """Return the options, or None where this version of XLA does not know them: they only save time."""
    chosen = dict(options)
    try:
        jax.jit(lambda x: x, compiler_options=chosen).lower(0.0).compile()
    except RuntimeError:
        return None
    return chosen
