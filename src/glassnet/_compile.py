"""Compile functions with options that make them fast on a CPU, and forget programs when there are many.

JAX compiles a program for each shape of its arrays, and keeps its code in memory until it is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, TypeVar

import jax

Function = TypeVar("Function", bound=Callable[..., Any])

# Each program takes 100 to 160 of the 65 530 memory maps that Linux allows a process (measured): without this
# limit, the compiler crashed at the 400th training of another shape.
MAX_PROGRAMS = 200

# measured: a step of 100 000 parameters takes a twentieth less time
WIDE = {"xla_cpu_prefer_vector_width": 512}

# measured: a step of 20 parameters takes a quarter less time, one of 100 an eighth
ONE_THREAD = {"xla_cpu_multi_thread_eigen": False}

# measured: to compile a step of the default network with its record takes 1.3 instead of 2.3 s
QUICK = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}

_forgettable: list[Any] = []  # the functions of `forgetful`, as compiled by JAX


def forgetful(function: Function) -> Function:
    """Return a function compiled by JAX whose programs are forgotten when MAX_PROGRAMS are kept.

    Then all programs of all such functions are forgotten; those still in use are compiled again. Programs of
    other functions, such as those of the person who uses the library, are kept.

    >>> double = forgetful(jax.jit(lambda x: 2 * x))
    >>> float(double(3.0))
    6.0
    """
    _forgettable.append(function)

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if program_count() >= MAX_PROGRAMS:
            for compiled_function in _forgettable:
                compiled_function.clear_cache()
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]  # it has the function's signature


def program_count() -> int:
    """Return how many programs of `forgetful` functions are kept."""
    return sum(function._cache_size() for function in _forgettable)


@cache
def compiled(function: Callable[..., Any], static: str, *, few_numbers: bool) -> Callable[..., Any]:
    """Return a function compiled by JAX.

    static: the name of the argument that is not an array.
    few_numbers: use one thread, because for few numbers it costs more to start threads than they save.

    >>> def double(x, *, times):
    ...     return x * times
    >>> float(compiled(double, "times", few_numbers=True)(3.0, times=2))
    6.0
    """
    options = WIDE | (ONE_THREAD if few_numbers else {})
    return _jit(function, static, options)


@cache
def quickly_compiled(function: Callable[..., Any], static: str) -> Callable[..., Any]:
    """Return a function that JAX compiles in less time and that runs slower, for a few calls.

    static: the name of the argument that is not an array.
    """
    return _jit(function, static, QUICK)


def _jit(function: Callable[..., Any], static: str, options: dict[str, Any]) -> Callable[..., Any]:
    known = _supported(tuple(options.items()))
    return forgetful(jax.jit(function, static_argnames=static, compiler_options=known))


@cache
def _supported(options: tuple[tuple[str, Any], ...]) -> dict[str, Any] | None:
    """Return the options, or None if this version of XLA does not support them: they only save time."""
    chosen = dict(options)
    try:
        jax.jit(lambda x: x, compiler_options=chosen).lower(0.0).compile()
    except RuntimeError:
        return None
    return chosen
