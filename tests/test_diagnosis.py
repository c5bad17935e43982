"""Diagnosis: planted illnesses are found and healed, healthy runs have none, the evidence is right."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
    make_classification,
    make_friedman1,
    make_moons,
    make_multilabel_classification,
)
from sklearn.metrics import r2_score
from sklearn.preprocessing import scale
from typer.testing import CliRunner

import glassnet as gn
from glassnet import cli, evidence
from glassnet.diagnosis import ILLNESSES, encoded_rows, examined, patient_of
from glassnet.findings import Diagnosis, Finding
from glassnet.passes import pass_through
from glassnet.typed import typed
from helpers import assert_close

Arguments = dict[str, Any]


def halves(X: Any, y: Any) -> Arguments:
    """Return the even rows to train on, and the odd ones to validate on."""
    X = np.asarray(X)
    X = X if X.dtype == np.uint8 else X.astype(np.float32)
    return {"X": X[::2], "y": y[::2], "validation": (X[1::2], y[1::2])}


def scaled(load: Callable[..., Any]) -> Arguments:
    X, y = load(return_X_y=True)
    return halves(scale(X), scale(y) if y.dtype.kind == "f" else y)


def digits() -> Arguments:
    X, y = load_digits(return_X_y=True)
    return halves(X[:800] / 16, y[:800])


def moons() -> Arguments:
    X, y = make_moons(600, noise=0.2, random_state=0)
    return halves(scale(X), y)


def friedman(n: int, noise: float) -> Arguments:
    X, y = make_friedman1(n, noise=noise, random_state=0)
    return halves(scale(X), scale(y))


def rare() -> Arguments:
    X, y = make_classification(
        2000, 6, n_informative=4, weights=[0.97], class_sep=0.7, flip_y=0, random_state=3
    )
    return halves(scale(X), y)


def deep(activation: str, depth: int, units: int, outputs: int, initializer: Any = "he") -> Any:
    layers: list[Any] = []
    for _ in range(depth):
        layers += [gn.Dense(units, initializer), activation]
    return gn.Network([*layers, gn.Dense(outputs)])


def net(*layers: Any) -> gn.Network:
    return gn.Network(layers)


PLANTED: dict[str, Callable[[], Arguments]] = {
    "inputs on wild scales": lambda: {
        "network": deep("relu", 1, 32, 2), "epochs": 20,
        **halves(*load_breast_cancer(return_X_y=True)),
    },
    "exploding gradients": lambda: {
        "network": deep("relu", 4, 32, 10, gn.Normal(2.0)), "epochs": 30, **digits(),
    },
    "divergence": lambda: {
        "network": deep("relu", 1, 32, 1), "epochs": 30, "optimizer": gn.SGD(10.0), **friedman(400, 1),
    },
    "duplicate neurons": lambda: {
        "network": net(gn.Dense(32, "zeros"), "sigmoid", gn.Dense(2, "zeros")), "epochs": 60,
        "optimizer": gn.Adam(0.03), **moons(),
    },
    "vanishing gradients": lambda: {
        "network": deep("sigmoid", 7, 32, 2), "epochs": 40, "optimizer": gn.SGD(0.1), **moons(),
    },
    "learning rate too large": lambda: {
        "network": deep("tanh", 1, 32, 10), "epochs": 40, "optimizer": gn.Adam(3.0), **digits(),
    },
    "dead ReLU neurons": lambda: {
        "network": deep("relu", 4, 32, 10), "epochs": 30, "optimizer": gn.Adam(0.3), **digits(),
    },
    "saturated neurons": lambda: {
        "network": deep("tanh", 2, 32, 10, gn.Normal(5.0)), "epochs": 30, **digits(),
    },
    "layers that do nothing": lambda: {
        "network": net(gn.Dense(32), "identity", gn.Dense(32), gn.Dense(2)), "epochs": 60,
        "optimizer": gn.Adam(0.01), **moons(),
    },
    "learning rate too small": lambda: {
        "network": deep("relu", 1, 32, 3), "epochs": 30, "optimizer": gn.SGD(1e-5),
        **scaled(load_iris),
    },
    "class imbalance": lambda: {"network": deep("relu", 1, 16, 2), "epochs": 20, **rare()},
    "underfitting": lambda: {
        "network": deep("relu", 1, 2, 10), "epochs": 60, "optimizer": gn.Adam(0.01), **digits(),
    },
    "overfitting": lambda: {
        "network": deep("relu", 2, 128, 1), "epochs": 100, **friedman(160, 4),
    },
}  # fmt: skip


def diagnosed(arguments: Arguments) -> Diagnosis:
    try:
        return gn.train(**arguments, diagnose=True).diagnosis
    except gn.DivergenceError as error:
        return error.diagnosis


@cache
def before(kind: str) -> Diagnosis:
    return diagnosed(PLANTED[kind]())


@cache
def after(kind: str) -> Diagnosis:
    """Return the diagnosis after the first finding's advice was followed to the letter."""
    return diagnosed({**PLANTED[kind](), **before(kind).findings[0].parameters})


def test_every_illness_is_planted() -> None:
    assert set(PLANTED) == set(ILLNESSES)


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_illness_is_found_first(kind: str) -> None:
    found = before(kind).findings[0]
    assert found.kind == kind
    assert all((found.seen, found.where, found.why, found.change, found.parameters))


@pytest.mark.parametrize("kind", PLANTED)
def test_following_the_advice_heals_it(kind: str) -> None:
    change = before(kind).compare(after(kind))
    assert kind in change.gone
    assert change.score.endswith("on validation rows")
    assert change.improved, str(change)


HEALTHY: dict[str, Callable[[], Arguments]] = {
    "iris, tanh": lambda: {
        "network": deep("tanh", 1, 16, 3), "epochs": 40, "optimizer": gn.Adam(0.01),
        **scaled(load_iris),
    },
    "digits, relu and batch norm": lambda: {
        "network": net(gn.Dense(64), gn.BatchNorm(), "relu", gn.Dropout(0.2), gn.Dense(10)),
        "epochs": 30, **digits(),
    },
    "digits, five layers": lambda: {"network": deep("relu", 4, 64, 10), "epochs": 30, **digits()},
    "cancer, sigmoid": lambda: {
        "network": deep("sigmoid", 1, 16, 1), "epochs": 40, "optimizer": gn.Adam(0.01),
        "loss": "binary_cross_entropy", **scaled(load_breast_cancer),
    },
    "wine, momentum": lambda: {
        "network": deep("relu", 1, 32, 3), "epochs": 40, "optimizer": gn.Momentum(0.05),
        **scaled(load_wine),
    },
    "diabetes, stopped early": lambda: {
        "network": deep("tanh", 1, 16, 1), "epochs": 100, "early_stopping": True,
        **scaled(load_diabetes),
    },
    "a smooth function, averaged": lambda: {
        "network": deep("silu", 2, 64, 1), "epochs": 40, "optimizer": gn.Averaged(gn.Adam(0.005)),
        "early_stopping": True, **friedman(1000, 1),
    },
    "moons": lambda: {
        "network": deep("relu", 1, 32, 2), "epochs": 60, "optimizer": gn.Adam(0.01), **moons(),
    },
    "labels": lambda: {
        "network": deep("gelu", 1, 32, 3), "epochs": 40, "loss": "binary_cross_entropy",
        "early_stopping": True,
        **halves(*make_multilabel_classification(400, 10, n_classes=3, random_state=0)),
    },
    "pictures": lambda: {
        "network": net(gn.Rescale(1 / 255), gn.Flatten(), gn.Dense(64), "relu", gn.Dense(10)),
        "epochs": 30, **halves(*_pictures()),
    },
}  # fmt: skip


def _pictures() -> tuple[Any, Any]:
    found = load_digits()
    return (found.images[:800] * 15).astype(np.uint8), found.target[:800]


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_run_has_no_finding(name: str) -> None:
    found = diagnosed(HEALTHY[name]())
    assert found.healthy, str(found)
    assert str(found).startswith("No finding")


@pytest.mark.parametrize(
    ("estimator", "load"),
    [(gn.NeuralClassifier(random_state=0), load_wine), (gn.NeuralRegressor(random_state=0), load_diabetes)],
)  # fmt: skip
def test_the_default_estimators_have_no_finding(estimator: Any, load: Any) -> None:
    X, y = load(return_X_y=True)
    found = gn.diagnose(estimator.fit(X[::2], y[::2]), X[::2], y[::2])
    assert found.healthy, str(found)
    assert re.search(r"member \d of 8", found.about)
