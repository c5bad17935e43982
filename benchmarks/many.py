"""Measure many networks with different seeds and learning rates, together in one program and in turn."""

from __future__ import annotations

import statistics
import time
from typing import Any

from benchmarks.cases import CASES, data_for

COUNTS = (1, 8, 32, 128)
SIZES = {"iris": 40, "digits": 6}  # epochs of one measurement


def measure(rounds: int = 3, counts: tuple[int, ...] = COUNTS) -> dict[str, Any]:
    """Return by case and number of networks the microseconds per step of all networks, and two ratios.

    The ratios compare this time with that of one network, and with training the networks in turn. The time is
    the slope between a short and a long training, which excludes encoding the rows and drawing the initial
    weights.
    """
    import glassnet as gn

    results: dict[str, Any] = {}
    for case in CASES:
        if case.name not in SIZES:
            continue
        X, y = data_for(case)
        network = gn.Network([gn.Dense(case.widths[1]), gn.ReLU(), gn.Dense(case.widths[2])])
        steps = -(-case.n_rows // case.batch_size)
        options: dict[str, Any] = {"optimizer": "adam", "batch_size": case.batch_size}

        def together(n: int, epochs: int) -> float:
            points = [{"learning_rate": 1e-3 * (1 + i / n), "seed": i} for i in range(n)]
            began = time.perf_counter()
            gn.sweep(network, X, y, over=points, epochs=epochs, **options)  # noqa: B023 - called here
            return time.perf_counter() - began

        short, long = 1, 1 + SIZES[case.name]
        by_count: dict[str, dict[str, float]] = {}
        for n in counts:
            together(n, short)
            times = [(together(n, short), together(n, 1 + 8 * (long - 1))) for _ in range(rounds)]
            slopes = [(b - a) / (8 * (long - 1) * steps) * 1e6 for a, b in times]
            by_count[str(n)] = {"microseconds": statistics.median(slopes)}
        one = by_count[str(counts[0])]["microseconds"]
        for n in counts:
            result = by_count[str(n)]
            result["times one"] = result["microseconds"] / one
            result["faster than in turn"] = n * one / result["microseconds"]
        results[case.name] = by_count
        print(
            case.name,
            {n: {k: round(v, 1) for k, v in r.items()} for n, r in by_count.items()},
            flush=True,
        )
    return results
