"""Programs: functions compiled with the options that suit them on a CPU, and forgotten when there are many.

A program is compiled for each shape of its arrays, and its code stays in memory until it is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, TypeVar

import jax

Function = TypeVar("Function", bound=Callable[..., Any])

MOST_PROGRAMS = 200
"""How many are kept. Each takes 100 to 160 of the 65 530 memory maps that Linux allows a process (measured):
the 400th training of another shape ended in a crash of the compiler."""

WIDE = {
    "xla_cpu_prefer_vector_width": 512
}  # measured: a twentieth off a step of 100 000 parameters
ONE_THREAD = {
    "xla_cpu_multi_thread_eigen": False
}  # a quarter off a step of 20 parameters, an eighth of 100


_forgettable: list[Any] = []  # our functions, as JAX compiles them


def forgetful(function: Function) -> Function:
    """Return a function compiled by JAX whose programs are forgotten, with those of all such, when too many.

    What is in use after that is compiled again. JAX's other programs, a person's own, stay.

    >>> double = forgetful(jax.jit(lambda x: 2 * x))
    >>> float(double(3.0))
    6.0
    """
    _forgettable.append(function)

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if program_count() >= MOST_PROGRAMS:
            for each in _forgettable:
                each.clear_cache()
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]  # it is called as the function is


def program_count() -> int:
    """Return how many programs of forgetful functions are kept."""
    return sum(each._cache_size() for each in _forgettable)


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
    return forgetful(
        jax.jit(function, static_argnames=static, compiler_options=_known(tuple(options.items())))
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
    return forgetful(jax.jit(function, static_argnames=static, compiler_options=options))


@cache
def _known(options: tuple[tuple[str, Any], ...]) -> dict[str, Any] | None:
    """Return the options, or None where this version of XLA does not know them: they only save time."""
    chosen = dict(options)
    try:
        jax.jit(lambda x: x, compiler_options=chosen).lower(0.0).compile()
    except RuntimeError:
        return None
    return chosen
