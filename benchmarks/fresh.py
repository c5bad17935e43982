"""Measure whole processes from the start of Python to a scored model, and `glassnet --help`.

Each script is typical user code. It reads its rows from an .npz file, so that no contestant pays for another
library's loader, and prints the time when it has its score. "cold" starts with an empty cache of compiled programs,
"warm" with the cache that an earlier process of the same script left (glassnet's own cache, and JAX's for Keras).
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.fashion import pictures


class Script(NamedTuple):
    """A contestant's script: its imports, fit and score, and the environment variable of its cache, if any."""

    imports: str
    fit: str
    score: str
    cache: str = ""


SMALL = {
    "glassnet train": Script(
        "import glassnet as gn",
        """
net = gn.Network([gn.Dense({hidden}), gn.ReLU(), gn.Dense({classes})])
run = gn.train(net, X, y, batch_size={batch}, epochs={epochs})
""",
        "score = (run.model.predict(Xt) == yt).mean()",
        "GLASSNET_CACHE",
    ),
    "glassnet estimator": Script(
        "import glassnet as gn",
        """
model = gn.NeuralClassifier(({hidden},), batch_size={batch}, epochs={epochs}, optimizer="adam",
                            early_stopping=False, dropout=0.0).fit(X, y)
""",
        "score = model.score(Xt, yt)",
        "GLASSNET_CACHE",
    ),
    "scikit-learn": Script(
        """
import warnings; warnings.simplefilter("ignore")
from sklearn.neural_network import MLPClassifier
""",
        """
model = MLPClassifier(({hidden},), batch_size={batch}, max_iter={epochs}, tol=0, n_iter_no_change=10**9)
model.fit(X, y)
""",
        "score = model.score(Xt, yt)",
    ),
    "PyTorch": Script(
        "import torch",
        """
net = torch.nn.Sequential(torch.nn.Linear(X.shape[1], {hidden}), torch.nn.ReLU(), torch.nn.Linear({hidden}, {classes}))
optimizer, loss = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True), torch.nn.CrossEntropyLoss()
Xf, yf = torch.from_numpy(X), torch.from_numpy(y.astype("int64"))
for epoch in range({epochs}):
    order = torch.randperm(len(X))
    for first in range(0, len(X), {batch}):
        rows = order[first:first + {batch}]
        optimizer.zero_grad(set_to_none=True)
        loss(net(Xf[rows]), yf[rows]).backward()
        optimizer.step()
""",
        """
with torch.inference_mode():
    score = (net(torch.from_numpy(Xt)).argmax(1).numpy() == yt).mean()
""",
    ),
    "Keras": Script(
        'import os; os.environ["KERAS_BACKEND"] = "jax"\nimport keras',
        """
net = keras.Sequential([keras.Input((X.shape[1],)), keras.layers.Dense({hidden}, "relu"), keras.layers.Dense({classes})])
net.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=True)
net.fit(X, y, batch_size={batch}, epochs={epochs}, verbose=0)
""",
        "score = (net.predict(Xt, verbose=0).argmax(1) == yt).mean()",
        "JAX_COMPILATION_CACHE_DIR",
    ),
}
# pictures stay bytes until the batch if the library can do that, else they are floats in memory
FLOATS = "X, Xt = (a.reshape(len(a), -1).astype('float32') / 255 for a in (X, Xt))\n"
PICTURES = {
    "glassnet train": Script(
        "import glassnet as gn",
        """
net = gn.Network([gn.Rescale(1 / 255), gn.Flatten(), gn.Dense({hidden}), gn.ReLU(), gn.Dense({classes})])
run = gn.train(net, X, y, batch_size={batch}, epochs={epochs})
""",
        "score = (run.model.predict(Xt) == yt).mean()",
        "GLASSNET_CACHE",
    ),
    **{
        name: SMALL[name]._replace(fit=FLOATS + SMALL[name].fit)
        for name in ("scikit-learn", "PyTorch", "Keras")
    },
}
TASKS = {
    "iris": {"hidden": 16, "classes": 3, "batch": 16, "epochs": 50},
    "digits": {"hidden": 64, "classes": 10, "batch": 32, "epochs": 20},
    "Fashion-MNIST": {"hidden": 128, "classes": 10, "batch": 128, "epochs": 10},
}
JAX_KEEPS_ALL = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
WHOLE = """
import numpy as np
data = np.load({path!r}); X, y, Xt, yt = (data[name] for name in ("X", "y", "Xt", "yt"))
{imports}
import time; began = time.time()
{fit}
fitted = time.time()
{score}
scored = time.time()
from benchmarks.cases import peak_mebibytes
assert score > 0.6, score
print(scored, fitted - began, peak_mebibytes(), score)
"""


def measure(rounds: int = 5, tasks: tuple[str, ...] = tuple(TASKS)) -> dict[str, Any]:
    """Return by task and contestant the median seconds to the score, seconds of the fit, peak MiB, and score."""
    results: dict[str, Any] = {}
    for task in tasks:
        data = _data(task)
        if data is None:
            print(f"{task}: not measured, because the data are not there", flush=True)
            continue
        large = task == "Fashion-MNIST"
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "data.npz")
            np.savez(path, X=data[0], y=data[1], Xt=data[2], yt=data[3])
            scripts = PICTURES if large else SMALL
            results[task] = _alternate(
                scripts, TASKS[task], path, max(1, rounds // 2 if large else rounds)
            )
        for name, result in results[task].items():
            print(task, name, {k: round(v, 3) for k, v in result.items()}, flush=True)
    command = [str(Path(sys.executable).with_name("glassnet")), "--help"]
    help_seconds = []
    for _ in range(rounds):
        began = time.time()
        subprocess.run(command, check=True, capture_output=True)
        help_seconds.append(time.time() - began)
    results["glassnet --help"] = {"seconds": statistics.median(help_seconds)}
    print("glassnet --help", results["glassnet --help"], flush=True)
    return results


def _data(task: str) -> tuple[np.ndarray, ...] | None:
    """Return training and test rows."""
    if task == "Fashion-MNIST":
        return pictures()
    from sklearn import datasets

    X, y = getattr(datasets, f"load_{task}")(return_X_y=True)
    X = X.astype(np.float32)
    return X, y, X, y


def _alternate(
    scripts: dict[str, Script], sizes: dict[str, int], path: str, rounds: int
) -> dict[str, dict[str, float]]:
    """Return medians by contestant, which take turns; cold and warm if there is a cache."""
    measured: dict[str, list[tuple[float, ...]]] = {}
    with tempfile.TemporaryDirectory() as caches:
        for turn in range(rounds):
            for name, script in scripts.items():
                code = WHOLE.format(
                    path=path,
                    imports=script.imports,
                    score=script.score,
                    fit=script.fit.format(**sizes),
                )
                if not script.cache:
                    measured.setdefault(name, []).append(_run(code, {}))
                    continue
                extra = JAX_KEEPS_ALL if script.cache.startswith("JAX") else {}
                extra = extra | {script.cache: f"{caches}/{name.replace(' ', '-')}-{turn}"}
                for state in ("cold", "warm"):
                    measured.setdefault(f"{name}, {state}", []).append(_run(code, extra))
    names = ("seconds", "fit seconds", "MiB", "score")
    return {
        contestant: {
            name: statistics.median(values)
            for name, values in zip(names, zip(*runs, strict=True), strict=True)
        }
        for contestant, runs in measured.items()
    }


def _run(code: str, extra: dict[str, str]) -> tuple[float, ...]:
    """Return the seconds to the score, the seconds of the fit, the peak memory in MiB, and the score."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "GLASSNET_"))}
    began = time.time()
    done = subprocess.run(
        [sys.executable, "-c", code], env=env | extra, check=True, capture_output=True, text=True
    )
    scored, fit, mebibytes, score = map(float, done.stdout.split()[-4:])
    return scored - began, fit, mebibytes, score
