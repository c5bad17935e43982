"""Microseconds a training step at six sizes, contestants alternating, and the floor that the machine sets.

The floor of a size is the time of its matrix products alone at the best rate measured in the same run
for products of these very shapes, plus the bytes of parameters and optimizer state that a step must
move (read and written) over the measured memory bandwidth.
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
    bandwidth = memory_bandwidth()
    for case in CASES:
        if only and case.name not in only:
            continue
        found[case.name] = measure_case(case, rounds, extras) | {
            "floor": floor(case, bandwidth, rounds)
        }
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


def floor(case: Case, bandwidth: float, rounds: int) -> dict[str, float]:
    """Return the microseconds of a step's matrix products and of its memory traffic."""
    products = 0.0
    for place, (inputs, units) in enumerate(zip(case.widths, case.widths[1:], strict=False)):
        rows = min(case.batch_size, case.n_rows)
        shapes = [(rows, inputs, units), (units, rows, inputs)]
        if place:
            shapes.append((rows, units, inputs))
        products += sum(product_seconds(shape, rounds) for shape in shapes)
    n_params = sum(a * b + b for a, b in zip(case.widths, case.widths[1:], strict=False))
    moved = (
        n_params * 4 * (3 * 2 + 1)
    )  # parameters, two moments: read and written; the gradient: read
    traffic = moved / bandwidth if moved > 2**20 else 0.0  # less stays in the cache
    return {
        "microseconds": (products + traffic) * 1e6,
        "products": products * 1e6,
        "traffic": traffic * 1e6,
    }


def product_seconds(shape: tuple[int, int, int], rounds: int) -> float:
    """Return the best time of one matrix product of this shape: in a compiled loop, and by NumPy's BLAS."""
    import jax
    import jax.numpy as jnp

    n, k, m = shape
    repeats = int(np.clip(2e8 / (2 * n * k * m), 3, 2000))
    A, B = np.ones((n, k), np.float32), np.ones((k, m), np.float32)
    scale = np.float32(1e-9)

    @jax.jit
    def loop(A: Any, B: Any) -> Any:
        def body(_: int, carry: Any) -> Any:
            A, total = carry
            C = A @ B
            return A + scale * C[0, 0], total + C[0, 0]

        return jax.lax.fori_loop(0, repeats, body, (A, jnp.float32(0)))[1]

    def blas() -> None:
        for _ in range(repeats):
            A @ B

    Aj, Bj = jnp.asarray(A), jnp.asarray(B)
    loop(Aj, Bj).block_until_ready()
    seconds = []
    for _ in range(rounds):
        for go in (lambda: loop(Aj, Bj).block_until_ready(), blas):
            began = time.perf_counter()
            go()
            seconds.append((time.perf_counter() - began) / repeats)
    return min(seconds)


def memory_bandwidth() -> float:
    """Return bytes a second of reading and writing, the best of several copies of 256 MiB."""
    source = np.ones(2**26, np.float32)
    target = np.empty_like(source)
    best = 0.0
    for _ in range(5):
        began = time.perf_counter()
        np.copyto(target, source)
        best = max(best, 2 * source.nbytes / (time.perf_counter() - began))
    return best
