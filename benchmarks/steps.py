"""Measure the microseconds of a training step at six sizes, and the lower bound that the machine sets.

The lower bound, the floor, is the time of the matrix products at the best rate measured in the same run for
these shapes, plus the time to read and write the parameters, gradients and optimizer state at the bandwidth
measured for this working set.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from benchmarks.cases import CASES, Case, data_for
from benchmarks.contestants import CONTESTANTS, PEERS, Runner


def measure(rounds: int = 9, only: tuple[str, ...] = (), extras: bool = False) -> dict[str, Any]:
    """Return by case each contestant's median microseconds per step and last loss, ratios, and the floor.

    A ratio is the median over rounds of the ratio within a round. A round goes through all cases, so that
    fast and slow phases of the machine affect all of them. A contestant runs twice, and only the second run
    counts: the first wakes its threads, and gives the previous contestant's spinning threads time to go to
    sleep.
    """
    cases = [case for case in CASES if not only or case.name in only]
    runners = {case.name: _runners(case, extras) for case in cases}
    times: dict[str, dict[str, list[float]]] = {case.name: {} for case in cases}
    losses: dict[str, dict[str, float]] = {case.name: {} for case in cases}
    for _ in range(rounds):
        for case in cases:
            for name, go in runners[case.name].items():
                go()
                began = time.perf_counter()
                losses[case.name][name] = go()
                microseconds = (time.perf_counter() - began) / case.steps * 1e6
                times[case.name].setdefault(name, []).append(microseconds)
            times[case.name].setdefault("floor", []).append(floor(case)["microseconds"])
    results = {case.name: _summary(case, times[case.name], losses[case.name]) for case in cases}
    for name, result in results.items():
        print(name, {k: round(v, 1) for k, v in result["microseconds"].items()},
              f"x{result['times faster than the best peer']:.1f}, floor x{result['times the floor']:.1f}",
              flush=True)  # fmt: skip
    return results


def _runners(case: Case, extras: bool) -> dict[str, Runner]:
    X, y = data_for(case)
    runners = {name: make(case, X, y, extras) for name, make in CONTESTANTS.items()}
    return {name: go for name, go in runners.items() if go}


def _summary(case: Case, times: dict[str, list[float]], losses: dict[str, float]) -> dict[str, Any]:
    """Return medians, and the medians of the ratios within each round."""
    medians = {name: statistics.median(values) for name, values in times.items()}

    def ratio(name: str) -> float:
        pairs = zip(times[name], times["glassnet"], strict=True)
        return statistics.median(theirs / ours for theirs, ours in pairs)

    ratios = {name: ratio(name) for name in times if name != "glassnet"}
    return {
        "microseconds": {name: value for name, value in medians.items() if name != "floor"},
        "times faster than": {name: value for name, value in ratios.items() if name != "floor"},
        "times faster than the best peer": min(ratios[p] for p in PEERS if p in ratios),
        "floor": floor(case) | {"microseconds": medians["floor"]},
        "times the floor": 1 / ratios["floor"],
        "loss": losses,
        "steps": case.steps,
    }


def floor(case: Case, rounds: int = 2) -> dict[str, float]:
    """Return the microseconds of a step's matrix products and of its memory traffic."""
    products = 0.0
    for index, (inputs, units) in enumerate(zip(case.widths, case.widths[1:], strict=False)):
        rows = min(case.batch_size, case.n_rows)
        shapes = [(rows, inputs, units), (units, rows, inputs)]
        if index:
            shapes.append((rows, units, inputs))
        products += sum(product_seconds(shape, rounds) for shape in shapes)
    n_params = sum(a * b + b for a, b in zip(case.widths, case.widths[1:], strict=False))
    # parameters, two moments and the gradient, each read once and written once
    bytes_moved = n_params * 4 * 8
    traffic = bytes_moved / bandwidth(max(bytes_moved, 2**16))
    return {
        "microseconds": (products + traffic) * 1e6,
        "products": products * 1e6,
        "traffic": traffic * 1e6,
    }


def product_seconds(shape: tuple[int, int, int], rounds: int) -> float:
    """Return the best time of a product (n, k) by (k, m), with XLA in either layout or NumPy's BLAS."""
    seconds = []
    repeats, contestants = product_loops(shape)
    for _ in range(rounds):
        for go in contestants:
            began = time.perf_counter()
            go()
            seconds.append((time.perf_counter() - began) / repeats)
    return min(seconds)


@cache
def product_loops(shape: tuple[int, int, int]) -> tuple[int, list[Callable[[], Any]]]:
    """Return the number of products in a loop, and compiled loops of XLA and BLAS."""
    import jax
    import jax.numpy as jnp

    n, k, m = shape
    repeats = int(np.clip(5e8 / (2 * n * k * m), 8, 3000))
    A, B = np.ones((n, k), np.float32), np.ones((k, m), np.float32)
    C = np.empty((n, m), np.float32)

    def loop(axis: int) -> Callable[[], Any]:
        """Return a compiled loop of products, with the second factor as it is (0) or transposed (1)."""

        @jax.jit
        def run(A: Any, B: Any) -> Any:
            def body(_: int, carry: Any) -> Any:
                A, B, _ = carry
                C = jax.lax.dot_general(A, B, (((1,), (axis,)), ((), ())))
                tiny = C[0, 0] * 1e-9  # changes one number, so that no two products are equal
                return A.at[0, 0].add(tiny), B.at[0, 0].add(tiny), C

            return jax.lax.fori_loop(0, repeats, body, (A, B, jnp.zeros((n, m))))[2]

        first, second = jnp.asarray(A), jnp.asarray(B.T if axis else B)
        run(first, second).block_until_ready()
        return lambda: run(first, second).block_until_ready()

    def blas() -> None:
        for _ in range(repeats):
            np.matmul(A, B, out=C)

    return repeats, [loop(0), loop(1), blas]


def bandwidth(working_set: int) -> float:
    """Return the bytes per second of repeatedly reading and writing a working set of this size.

    A small working set stays in the caches, which are faster than memory. The best of several measurements
    counts. Two threads copy at once, because a step's updates run on both cores.
    """
    from concurrent.futures import ThreadPoolExecutor

    half = max(working_set // 4 // 4, 1024)  # floats; two threads, each a source and a target
    repeats = max(1, int(5e7 // (16 * half)))
    arrays = [(np.ones(half, np.float32), np.empty(half, np.float32)) for _ in range(2)]

    def copy(index: int) -> None:
        source, target = arrays[index]
        for _ in range(repeats):
            np.copyto(target, source)

    best = 0.0
    with ThreadPoolExecutor(2) as threads:
        for _ in range(3):
            began = time.perf_counter()
            list(threads.map(copy, range(2)))
            best = max(best, 2 * 2 * 4 * half * repeats / (time.perf_counter() - began))
    return best
