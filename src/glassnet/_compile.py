"""Compile functions with options that make them fast on a CPU, and limit how many programs are kept.

JAX compiles a program for each combination of array shapes and keeps it in memory until its cache is cleared.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, TypeVar

import jax

Function = TypeVar("Function", bound=Callable[..., Any])

# Each program takes 100 to 160 of the 65 530 memory maps that Linux allows a process (measured): without this
# limit, the compiler crashed when it compiled for the 400th shape.
MAX_PROGRAMS = 200

# measured: a step of 100 000 parameters takes 5 % less time
WIDE = {"xla_cpu_prefer_vector_width": 512}

# measured: a step of 20 parameters takes a quarter less time, one of 100 parameters an eighth less
ONE_THREAD = {"xla_cpu_multi_thread_eigen": False}

# measured: compiling a recorded step of the default network takes 1.3 instead of 2.3 s
QUICK = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}

_limited: list[Any] = []  # the jitted functions given to `limit_programs`


def limit_programs(function: Function) -> Function:
    """Return a jitted function whose programs are dropped when MAX_PROGRAMS are kept.

    The limit counts the programs of all such functions together, and all of them are dropped at once; those
    still in use are compiled again. Programs of other functions, such as the user's own, are kept.

    >>> double = limit_programs(jax.jit(lambda x: 2 * x))
    >>> float(double(3.0))
    6.0
    """
    _limited.append(function)

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if program_count() >= MAX_PROGRAMS:
            for limited in _limited:
                limited.clear_cache()
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]  # same signature as the function


def program_count() -> int:
    """Return how many programs the functions of `limit_programs` keep."""
    return sum(function._cache_size() for function in _limited)


@cache
def compiled(function: Callable[..., Any], static: str, *, few_numbers: bool) -> Callable[..., Any]:
    """Return a function compiled by JAX.

    static: the name of the argument that is not an array.
    few_numbers: use one thread, because with few numbers, starting threads costs more than they save.

    >>> def double(x, *, times):
    ...     return x * times
    >>> float(compiled(double, "times", few_numbers=True)(3.0, times=2))
    6.0
    """
    options = WIDE | (ONE_THREAD if few_numbers else {})
    return _jit(function, static, options)


@cache
def quickly_compiled(function: Callable[..., Any], static: str) -> Callable[..., Any]:
    """Return a function that compiles faster but runs slower, for a few calls.

    static: the name of the argument that is not an array.
    """
    return _jit(function, static, QUICK)


def _jit(function: Callable[..., Any], static: str, options: dict[str, Any]) -> Callable[..., Any]:
    supported = _supported(tuple(options.items()))
    return limit_programs(jax.jit(function, static_argnames=static, compiler_options=supported))


@cache
def _supported(options: tuple[tuple[str, Any], ...]) -> dict[str, Any] | None:
    """Return the options, or None if this version of XLA does not support them: they only save time."""
    chosen = dict(options)
    try:
        jax.jit(lambda x: x, compiler_options=chosen).lower(0.0).compile()
    except RuntimeError:
        return None
    return chosen
