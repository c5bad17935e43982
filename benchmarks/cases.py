"""Define six network sizes and the data that every contestant trains them on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Case(NamedTuple):
    """A network, a number of rows, a batch size, and the number of epochs in one measurement."""

    name: str
    widths: tuple[int, ...]
    n_rows: int
    batch_size: int
    epochs: int

    @property
    def steps(self) -> int:
        """The number of steps in one measurement."""
        return self.epochs * -(-self.n_rows // self.batch_size)


CASES = (
    Case("xor", (2, 4, 1), 4, 4, 2000),
    Case("iris", (4, 16, 3), 150, 16, 100),
    Case("digits", (64, 64, 10), 1797, 32, 20),
    Case("mnist", (784, 128, 10), 10_000, 64, 3),
    Case("deep", (784, 256, 128, 10), 10_000, 128, 3),
    Case("wide", (1024, 2048, 2048, 10), 8192, 256, 1),
)


def data_for(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs (float32) and classes that can be learned: XOR, or a random linear rule with noise."""
    if case.name == "xor":
        return np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), np.array(
            [0, 1, 1, 0], np.int32
        )
    rng = np.random.default_rng(0)
    X = rng.normal(size=(case.n_rows, case.widths[0])).astype(np.float32)
    n_classes = max(case.widths[-1], 2)
    scores = X @ rng.normal(size=(case.widths[0], n_classes)) + rng.normal(
        size=(case.n_rows, n_classes)
    )
    return X, scores.argmax(axis=1).astype(np.int32)


def peak_mebibytes() -> float:
    """Return the peak memory of this process in MiB (Linux).

    `ru_maxrss` is not used, because a process inherits it from the one that started it.
    """
    with open("/proc/self/status", encoding="utf-8") as file:
        line = next(line for line in file if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
