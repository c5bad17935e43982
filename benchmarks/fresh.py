"""End to end in fresh processes: from the start of Python to fitted and scored; and `glassnet --help`.

Each script is what a person would write. "cold" starts with JAX's compilation cache empty,
"warm" with what an earlier process of the same script left there.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

IRIS = "from sklearn.datasets import load_iris as load\nX, y = load(return_X_y=True)\nX = X.astype('float32')\n"
DIGITS = IRIS.replace("iris", "digits")
SMALL = {
    "glassnet train": """
import numpy as np, glassnet as gn
net = gn.Network([gn.Dense({hidden}), gn.ReLU(), gn.Dense({classes})])
run = gn.train(net, X, y, batch_size={batch}, epochs={epochs})
score = (run.model.predict(X) == y).mean()
""",
    "glassnet estimator": """
import glassnet as gn
model = gn.NeuralClassifier(({hidden},), batch_size={batch}, epochs={epochs}, optimizer="adam",
                            early_stopping=False, dropout=0.0).fit(X, y)
score = model.score(X, y)
""",
    "scikit-learn": """
import warnings; warnings.simplefilter("ignore")
from sklearn.neural_network import MLPClassifier
model = MLPClassifier(({hidden},), batch_size={batch}, max_iter={epochs}, tol=0, n_iter_no_change=10**9).fit(X, y)
score = model.score(X, y)
""",
    "PyTorch": """
import torch
net = torch.nn.Sequential(torch.nn.Linear(X.shape[1], {hidden}), torch.nn.ReLU(), torch.nn.Linear({hidden}, {classes}))
optimizer, loss = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True), torch.nn.CrossEntropyLoss()
Xt, yt = torch.from_numpy(X), torch.from_numpy(y.astype('int64'))
for epoch in range({epochs}):
    order = torch.randperm(len(X))
    for first in range(0, len(X), {batch}):
        rows = order[first:first + {batch}]
        optimizer.zero_grad(set_to_none=True)
        loss(net(Xt[rows]), yt[rows]).backward()
        optimizer.step()
with torch.no_grad():
    score = (net(Xt).argmax(1) == yt).float().mean().item()
""",
    "Keras": """
import os; os.environ["KERAS_BACKEND"] = "jax"
import keras
net = keras.Sequential([keras.Input((X.shape[1],)), keras.layers.Dense({hidden}, "relu"), keras.layers.Dense({classes})])
net.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=True)
net.fit(X, y, batch_size={batch}, epochs={epochs}, verbose=0)
score = (net.predict(X, verbose=0).argmax(1) == y).mean()
""",
}
TASKS = {
    "iris": (IRIS, {"hidden": 16, "classes": 3, "batch": 16, "epochs": 50}),
    "digits": (DIGITS, {"hidden": 64, "classes": 10, "batch": 32, "epochs": 20}),
}
CACHE = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
CACHED = ("glassnet train", "glassnet estimator")


def measure(rounds: int = 5) -> dict[str, Any]:
    """Return by task: median seconds of a whole process for each contestant."""
    found: dict[str, Any] = {}
    for task, (load, sizes) in TASKS.items():
        scripts = {
            name: load + body.format(**sizes) + "assert score > 0.6, score\n"
            for name, body in SMALL.items()
        }
        found[task] = alternate(scripts, rounds)
        print(task, {k: round(v, 2) for k, v in found[task].items()}, flush=True)
    command = [str(Path(sys.executable).with_name("glassnet")), "--help"]
    found["glassnet --help"] = statistics.median(seconds_of(command, {}) for _ in range(rounds))
    print("glassnet --help", round(found["glassnet --help"], 3), flush=True)
    return found


def alternate(scripts: dict[str, str], rounds: int) -> dict[str, float]:
    """Return median seconds by contestant, they taking turns; cold and warm where there is a cache."""
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as caches:
        for turn in range(rounds):
            for name, script in scripts.items():
                command = [sys.executable, "-c", script]
                if name in CACHED:
                    cold = CACHE | {"JAX_COMPILATION_CACHE_DIR": f"{caches}/{name}-{turn}"}
                    times.setdefault(f"{name}, cold", []).append(seconds_of(command, cold))
                    times.setdefault(f"{name}, warm", []).append(seconds_of(command, cold))
                else:
                    times.setdefault(name, []).append(seconds_of(command, {}))
    return {name: statistics.median(values) for name, values in times.items()}


def seconds_of(command: list[str], extra: dict[str, str]) -> float:
    """Return the seconds that a command takes; it must succeed."""
    began = time.perf_counter()
    subprocess.run(command, env=os.environ | extra, check=True, capture_output=True)
    return time.perf_counter() - began
