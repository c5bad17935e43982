"""Measure predictions of the digits network for one row, a thousand rows and a million rows."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

SIZES = {1: 300, 1000: 50, 1_000_000: 3}


def predictors() -> dict[str, Callable[[np.ndarray], Any]]:
    """Return each library's function from rows to classes, for a 64-64-10 network."""
    import os

    os.environ["KERAS_BACKEND"] = "jax"
    import keras
    import torch
    from sklearn.neural_network import MLPClassifier

    import glassnet as gn

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(500, 64)).astype(np.float32), np.arange(500) % 10
    ours = gn.train(gn.Network([gn.Dense(64), gn.ReLU(), gn.Dense(10)]), X, y, epochs=1).model
    theirs = MLPClassifier((64,), max_iter=1).fit(X, y)
    net = torch.nn.Sequential(
        torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)
    ).eval()
    model = keras.Sequential(
        [keras.Input((64,)), keras.layers.Dense(64, "relu"), keras.layers.Dense(10)]
    )

    def by_torch(X: np.ndarray) -> Any:
        with torch.inference_mode():
            return net(torch.from_numpy(X)).argmax(1).numpy()

    def by_keras(X: np.ndarray) -> Any:
        logits = model(X) if len(X) <= 1000 else model.predict(X, batch_size=8192, verbose=0)
        return np.asarray(logits).argmax(1)

    return {
        "glassnet": ours.predict,
        "PyTorch": by_torch,
        "Keras": by_keras,
        "scikit-learn": theirs.predict,
    }


def measure(rounds: int = 5) -> dict[str, Any]:
    """Return by number of rows the median seconds of one call, for each contestant."""
    rng = np.random.default_rng(1)
    contestants, results = predictors(), {}
    for n_rows, calls in SIZES.items():
        X = rng.normal(size=(n_rows, 64)).astype(np.float32)
        times: dict[str, list[float]] = {name: [] for name in contestants}
        for predict in contestants.values():
            predict(X)
        for _ in range(rounds):
            for name, predict in contestants.items():
                began = time.perf_counter()
                for _ in range(calls):
                    predict(X)
                times[name].append((time.perf_counter() - began) / calls)
        results[str(n_rows)] = {name: statistics.median(values) for name, values in times.items()}
        print(n_rows, {k: f"{v * 1e6:.0f} us" for k, v in results[str(n_rows)].items()}, flush=True)
    return results
