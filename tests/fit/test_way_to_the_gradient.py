"""The call path from an estimator's `fit` to the gradient enters ten files in the documented order."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

import glassnet as gn

ROOT = Path(gn.__file__).parent
PATH = [
    ("fit/base.py", "fit"),
    ("fit/estimator_inputs.py", "estimator_job"),
    ("fit/recipes.py", "chosen_recipe"),
    ("fit/inputs.py", "prepare"),
    ("encoding/table_encoder.py", "fit"),
    ("training/jobs.py", "run_jobs"),
    ("training/loop.py", "fit"),
    ("training/snapshot.py", "run"),
    ("training/program.py", "train_step"),
    ("nn/network.py", "backward"),
]


def test_fit_enters_the_files_of_the_path_in_order() -> None:
    # a shape that no other test uses, so that the program is traced
    X = np.random.default_rng(0).normal(size=(83, 5))
    entered: dict[tuple[str, str], int] = {}

    def record(frame: Any, event: str, _: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and ROOT in path.parents:
            function = (path.relative_to(ROOT).as_posix(), frame.f_code.co_name)
            entered.setdefault(function, len(entered))

    estimator = gn.NeuralClassifier((7,), epochs=1, random_state=0)
    sys.setprofile(record)
    try:
        estimator.fit(X, X[:, 0] > 0)
    finally:
        sys.setprofile(None)
    indices = [entered[function] for function in PATH]
    assert indices == sorted(indices)
