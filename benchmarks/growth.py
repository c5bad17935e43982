"""Measure how the time and memory of an epoch grow with rows, width and batch, as seconds = a · size^b.

An epoch's time is the slope between a shorter and a longer training, each of which continues from the last
state. This excludes the fixed cost of a call (checking the rows, encoding the target). Peak memory is that
of a fresh process, less that of a process that only imports and trains on 64 rows.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Any, NamedTuple

import numpy as np


class Setting(NamedTuple):
    """A training: a network of `width` hidden neurons on 32 inputs and 10 classes."""

    rows: int = 100_000
    width: int = 64
    batch: int = 256


AXES = {
    "rows": (1_000, 10_000, 100_000, 1_000_000),
    "width": (32, 128, 512, 2048),
    "batch": (16, 64, 256, 1024, 4096),
}
MEMORY = """
import sys
import glassnet as gn
from benchmarks.cases import peak_mebibytes
from benchmarks.growth import Setting, network, rows
setting = Setting(*map(int, sys.argv[1:]))
if setting.rows:
    gn.train(network(setting), *rows(setting), batch_size=setting.batch, epochs=2)
else:
    gn.train(network(Setting()), *rows(Setting(rows=64)), epochs=1)
print(peak_mebibytes())
"""


def rows(setting: Setting) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and classes."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((setting.rows, 32), dtype=np.float32)
    return X, rng.integers(0, 10, setting.rows)


def network(setting: Setting) -> Any:
    """Return the network."""
    import glassnet as gn

    return gn.Network([gn.Dense(setting.width), gn.ReLU(), gn.Dense(10)])


def measure(rounds: int = 5) -> dict[str, Any]:
    """Return by axis the seconds per epoch, the MiB beyond the baseline, and the exponent of the seconds."""
    results: dict[str, Any] = {}
    baseline = peak(Setting(rows=0))
    for axis, values in AXES.items():
        settings = {value: Setting()._replace(**{axis: value}) for value in values}
        seconds = {str(value): epoch_seconds(s, rounds) for value, s in settings.items()}
        memory = {str(value): peak(s) - baseline for value, s in settings.items()}
        exponent = float(np.polyfit(np.log(values), np.log(list(seconds.values())), 1)[0])
        results[axis] = {"seconds an epoch": seconds, "MiB": memory, "exponent": exponent}
        times = {k: f"{v * 1e3:.2f} ms" for k, v in seconds.items()}
        sizes = {k: f"{v:.0f} MiB" for k, v in memory.items()}
        print(axis, times, sizes, f"exponent {exponent:.3f}", flush=True)
    return results


def epoch_seconds(setting: Setting, rounds: int) -> float:
    """Return the median slope of seconds over epochs."""
    import glassnet as gn

    X, y = rows(setting)
    run = gn.train(network(setting), X, y, batch_size=setting.batch, epochs=1)

    def seconds(epochs: int) -> float:
        nonlocal run
        until = int(run.state.epoch) + epochs
        began = time.perf_counter()
        run = gn.train(
            network(setting),
            X,
            y,
            batch_size=setting.batch,
            epochs=until,
            state=run.state,
            chunk=epochs,
        )
        return time.perf_counter() - began

    few = max(1, int(0.1 / max(seconds(1), 1e-4)))
    slopes = [(seconds(3 * few) - seconds(few)) / (2 * few) for _ in range(rounds)]
    return statistics.median(slopes)


def peak(setting: Setting) -> float:
    """Return the peak memory of a fresh process in MiB."""
    command = [sys.executable, "-c", MEMORY, *map(str, setting)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])
