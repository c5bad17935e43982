"""Write the golden model files of the current format; files that exist are never changed.

    python tests/golden/make.py

Beside each model file, a JSON file holds inputs and what the model must always predict for them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import glassnet as gn
from glassnet.models.model_file import FORMAT
from glassnet.nn.activations import ACTIVATIONS

FOLDER = Path(__file__).parent
TABLE = {
    "age": [31.0, 44.5, None, 27.0, 63.25, 50.0, 38.0, 41.0] * 6,
    "town": ["Köln", "Rom", "Rom", None, "Ulm", "Köln", "Oslo", "Rom"] * 6,
    "seen": np.array(["2024-01-01", "2024-06-01", "NaT", "2025-01-01"] * 12, "datetime64[us]"),
    "member": [True, False, True, True] * 12,
    "unit": ["cm"] * 48,
}
KIND = ["no", "yes", "maybe", "yes", "no", "no", "yes", "maybe"] * 6
UNSEEN = {
    "age": [31.0, None, 900.0],
    "town": ["Paris", None, "Rom"],
    "seen": np.array(["2024-03-01", "NaT", "1999-12-31"], "datetime64[us]"),
    "member": [True, None, False],
}


def write_golden(name: str, model: Any, X: Any) -> None:
    """Write one model and its predictions, unless its file exists."""
    path = FOLDER / f"{name}-{FORMAT}.glassnet"
    if path.exists():
        return
    gn.save(model, path)
    expected: dict[str, Any] = {"predict": model.predict(X).tolist()}
    if model.loss.task == "regression":
        expected["predict_interval"] = model.predict_interval(X, 0.8).tolist()
    else:
        expected["predict_proba"] = model.predict_proba(X).tolist()
    if isinstance(X, dict):
        dates = [str(value) for value in X["seen"]]
        shown: Any = {**X, "seen": dates}
    else:
        shown = np.asarray(X).tolist()
    path.with_suffix(".json").write_text(json.dumps({"X": shown, **expected}, indent=1) + "\n")


def main() -> None:
    """Write all golden files."""
    quick: Any = {"hidden": (4,), "members": 2, "epochs": 100, "random_state": 0}
    rng = np.random.default_rng(0)
    write_golden("table", gn.NeuralClassifier(**quick).fit(TABLE, KIND).model_, UNSEEN)
    X = rng.normal(size=(60, 3))
    values = gn.NeuralRegressor(**quick).fit(X, X @ [3.0, -2.0, 1.0] + 100)
    write_golden("values", values.model_, X[:4])
    labels = (X[:, :2] > 0).astype(int)
    write_golden("labels", gn.NeuralClassifier(**quick).fit(X, labels).model_, X[:4])
    pictures = rng.integers(0, 256, (40, 4, 4), np.uint8)
    bright = np.where(pictures.mean(axis=(1, 2)) > 127, "bright", "dark")
    every = gn.Network(
        [
            gn.Flatten(),
            gn.Rescale(0.5, 0.1),
            gn.Embedding((3,), size=2),
            gn.Scale(),
            gn.Periodic(2, waves=3, outputs=1),
            gn.Dense(4, "glorot"),
            gn.BatchNorm(),
            gn.Dropout(0.1),
            *(gn.Network([activation, gn.Dense(4)]) for activation in ACTIVATIONS),
            gn.Dense(3, bias=False),
        ]
    )
    codes = np.column_stack([X[:, :2], rng.integers(0, 3, 60)])
    deep = gn.train(every, codes, X.argmax(axis=1), loss="cross_entropy", epochs=5, dtype="float64")
    write_golden("layers", deep.model, codes[:4])
    small: Any = {
        "hidden": (4,),
        "batch_norm": True,
        "dropout": 0.2,
        "epochs": 5,
        "random_state": 0,
    }
    write_golden(
        "pictures", gn.NeuralClassifier(**small).fit(pictures, bright).model_, pictures[:4]
    )
    moved = gn.NeuralClassifier(**small, embedding=gn.RandomShift(2)).fit(pictures, bright)
    write_golden("pictures_moved", moved.model_, pictures[:4])


if __name__ == "__main__":
    main()
