"""Read Fashion-MNIST from its four IDX files, if they are there."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np

FOLDER = Path(
    os.environ.get("FASHION_MNIST", Path(__file__).parents[2] / "shared" / "data" / "fashion_mnist")
)


def pictures() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """Return training pictures and classes, then test pictures and classes; None without the files."""
    if not FOLDER.is_dir():
        return None

    def idx(name: str) -> np.ndarray:
        with gzip.open(FOLDER / f"{name}.gz") as file:
            data = file.read()
        axes = data[3]
        shape = [int.from_bytes(data[4 + 4 * k : 8 + 4 * k], "big") for k in range(axes)]
        return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)

    train, test = "train-{}", "t10k-{}"
    images, labels = "images-idx3-ubyte", "labels-idx1-ubyte"
    return (
        idx(train.format(images)), idx(train.format(labels)).astype(np.int32),
        idx(test.format(images)), idx(test.format(labels)).astype(np.int32),
    )  # fmt: skip
