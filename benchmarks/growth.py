"""Growth: seconds of an epoch against the number of rows, and the exponent b of seconds = a · rows^b."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

ROWS = (1_000, 10_000, 100_000, 1_000_000)


def measure(rounds: int = 3) -> dict[str, Any]:
    """Return the seconds of an epoch of a 32-64-10 network at batch 256, and the fitted exponent."""
    import glassnet as gn

    rng = np.random.default_rng(0)
    seconds = {}
    for n_rows in ROWS:
        X = rng.normal(size=(n_rows, 32)).astype(np.float32)
        y = rng.integers(0, 10, n_rows)
        network = gn.Network([gn.Dense(64), gn.ReLU(), gn.Dense(10)])
        epochs = max(1, 200_000 // n_rows)
        run = gn.train(network, X, y, batch_size=256, epochs=1)
        best = np.inf
        for _ in range(rounds):
            began = time.perf_counter()
            run = gn.train(
                network, X, y, batch_size=256, epochs=int(run.state.epoch) + epochs, state=run.state
            )
            best = min(best, (time.perf_counter() - began) / epochs)
        seconds[str(n_rows)] = best
    exponent = float(np.polyfit(np.log(ROWS[1:]), np.log([*seconds.values()][1:]), 1)[0])
    print({k: round(v, 4) for k, v in seconds.items()}, f"exponent {exponent:.3f}", flush=True)
    return {"seconds an epoch": seconds, "exponent": exponent}
