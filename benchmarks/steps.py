"""Microseconds a training step at six sizes, contestants alternating, and the floor that the machine sets.

The floor of a size is the time of its matrix products alone at the best rate measured in the same run
for products of these very shapes, plus the bytes of parameters, gradients and optimizer state that a step
must read and write over the bandwidth measured at this working set.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np

from benchmarks.cases import CASES, Case, data_for
from benchmarks.contestants import CONTESTANTS, PEERS


def measure(rounds: int = 5, only: tuple[str, ...] = (), extras: bool = False) -> dict[str, Any]:
    """Return by case: median microseconds a step and final loss of each contestant, ratios, the floor."""
    found = {}
    for case in CASES:
        if only and case.name not in only:
            continue
        found[case.name] = measure_case(case, rounds, extras) | {"floor": floor(case, rounds)}
        result = found[case.name]
        best = min(result["microseconds"][p] for p in PEERS if p in result["microseconds"])
        result["times faster than the best peer"] = best / result["microseconds"]["glassnet"]
        result["times the floor"] = (
            result["microseconds"]["glassnet"] / result["floor"]["microseconds"]
        )
        print(case.name, {k: round(v, 1) for k, v in result["microseconds"].items()},
              f"x{result['times faster than the best peer']:.1f}, floor x{result['times the floor']:.1f}",
              flush=True)  # fmt: skip
    return found


def measure_case(case: Case, rounds: int, extras: bool) -> dict[str, Any]:
    """Return medians over rounds in which the contestants take turns."""
    X, y = data_for(case)
    runners = {name: make(case, X, y, extras) for name, make in CONTESTANTS.items()}
    times: dict[str, list[float]] = {name: [] for name, go in runners.items() if go}
    losses = {}
    for _ in range(rounds):
        for name in times:
            go = runners[name]
            assert go is not None
            began = time.perf_counter()
            losses[name] = go()
            times[name].append((time.perf_counter() - began) / case.steps * 1e6)
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {"microseconds": medians, "loss": losses, "steps": case.steps}


def floor(case: Case, rounds: int) -> dict[str, float]:
    """Return the microseconds of a step's matrix products, and of the memory that it must move."""
    products = 0.0
    for place, (inputs, units) in enumerate(zip(case.widths, case.widths[1:], strict=False)):
        rows = min(case.batch_size, case.n_rows)
        shapes = [(rows, inputs, units), (units, rows, inputs)]
        if place:
            shapes.append((rows, units, inputs))
        products += sum(product_seconds(shape, rounds) for shape in shapes)
    n_params = sum(a * b + b for a, b in zip(case.widths, case.widths[1:], strict=False))
    # parameters and two moments are read and written, the gradient is written and read
    moved = n_params * 4 * 8
    traffic = moved / bandwidth(max(moved, 2**16))
    return {
        "microseconds": (products + traffic) * 1e6,
        "products": products * 1e6,
        "traffic": traffic * 1e6,
    }


def product_seconds(shape: tuple[int, int, int], rounds: int) -> float:
    """Return the best time of a product (n, k) by (k, m): by XLA in either layout, by NumPy's BLAS."""
    import jax
    import jax.numpy as jnp

    n, k, m = shape
    repeats = int(np.clip(1e9 / (2 * n * k * m), 3, 5000))
    A, B = np.ones((n, k), np.float32), np.ones((k, m), np.float32)
    C = np.empty((n, m), np.float32)

    def loop(axis: int) -> Any:
        """A compiled loop of products; the second factor stands as it is (0) or transposed (1)."""

        @jax.jit
        def run(A: Any, B: Any) -> Any:
            def body(_: int, carry: Any) -> Any:
                A, B, _ = carry
                C = jax.lax.dot_general(A, B, (((1,), (axis,)), ((), ())))
                tiny = C[0, 0] * 1e-9  # one number in place, so that no product is the one before
                return A.at[0, 0].add(tiny), B.at[0, 0].add(tiny), C

            return jax.lax.fori_loop(0, repeats, body, (A, B, jnp.zeros((n, m))))[2]

        first, second = jnp.asarray(A), jnp.asarray(B.T if axis else B)
        run(first, second).block_until_ready()
        return lambda: run(first, second).block_until_ready()

    def blas() -> None:
        for _ in range(repeats):
            np.matmul(A, B, out=C)

    seconds = []
    contestants = [loop(0), loop(1), blas]
    for _ in range(rounds):
        for go in contestants:
            began = time.perf_counter()
            go()
            seconds.append((time.perf_counter() - began) / repeats)
    return min(seconds)


def bandwidth(working_set: int) -> float:
    """Return bytes a second of reading and writing so many bytes again and again: caches are no memory.

    The best of several; both cores copy at once, as a step's updates run on both.
    """
    from concurrent.futures import ThreadPoolExecutor

    half = max(working_set // 4 // 4, 1024)  # floats; two threads, each a source and a target
    repeats = max(1, int(2e8 // (16 * half)))
    arrays = [(np.ones(half, np.float32), np.empty(half, np.float32)) for _ in range(2)]

    def copy(place: int) -> None:
        source, target = arrays[place]
        for _ in range(repeats):
            np.copyto(target, source)

    best = 0.0
    with ThreadPoolExecutor(2) as threads:
        for _ in range(7):
            began = time.perf_counter()
            list(threads.map(copy, range(2)))
            best = max(best, 2 * 2 * 4 * half * repeats / (time.perf_counter() - began))
    return best
