"""Run the same training in each library, in the way that the library recommends.

A contestant is a function of (case, X, y). It compiles what has to be compiled, and returns a function that
trains for `case.epochs` more epochs and returns the mean loss of the last one. All use ReLU between layers,
softmax cross-entropy (sigmoid and binary cross-entropy for one output), Adam with learning rate 1e-3, and
float32. `extras` adds batch normalization and dropout of 0.1 to each hidden layer.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.cases import Case

Runner = Callable[[], float]


def glassnet(case: Case, X: np.ndarray, y: np.ndarray, extras: bool = False) -> Runner:
    """Return glassnet's runner: `gn.train` continues from its last state."""
    import glassnet as gn
    from glassnet.nn.network import hidden_layers

    blocks = hidden_layers(case.widths[1:-1], dropout=0.1 * extras, batch_norm=extras)
    network = gn.Network([*blocks, gn.Dense(case.widths[-1])])
    loss = "binary_cross_entropy" if case.widths[-1] == 1 else "cross_entropy"
    options: dict[str, Any] = {
        "loss": loss,
        "optimizer": gn.Adam(1e-3),
        "batch_size": case.batch_size,
    }
    run = gn.train(network, X, y, epochs=1, **options)

    def go() -> float:
        nonlocal run
        epochs = int(run.state.epoch) + case.epochs
        run = gn.train(network, X, y, epochs=epochs, state=run.state, **options)
        return float(run.history["loss"][-1])

    return go


def torch(case: Case, X: np.ndarray, y: np.ndarray, extras: bool = False) -> Runner:
    """Return PyTorch's runner: eager, tensors in memory, fused Adam."""
    import torch

    torch.manual_seed(0)
    layers: list[Any] = []
    for a, b in zip(case.widths, case.widths[1:-1], strict=False):
        layers += [torch.nn.Linear(a, b), *([torch.nn.BatchNorm1d(b)] if extras else [])]
        layers += [torch.nn.ReLU(), *([torch.nn.Dropout(0.1)] if extras else [])]
    model = torch.nn.Sequential(*layers, torch.nn.Linear(case.widths[-2], case.widths[-1])).train()
    binary = case.widths[-1] == 1
    loss = torch.nn.BCEWithLogitsLoss() if binary else torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    Xt = torch.from_numpy(X)
    yt = torch.from_numpy(y.astype(np.float32)[:, None] if binary else y.astype(np.int64))

    def go(epochs: int = case.epochs) -> float:
        total = 0.0
        for _ in range(epochs):
            total = 0.0
            order = torch.randperm(case.n_rows)
            for first in range(0, case.n_rows, case.batch_size):
                rows = order[first : first + case.batch_size]
                optimizer.zero_grad(set_to_none=True)
                value = loss(model(Xt[rows]), yt[rows])
                value.backward()
                optimizer.step()
                total += value.detach() * len(rows)
        return float(total) / case.n_rows

    go(1)
    return go


def keras(case: Case, X: np.ndarray, y: np.ndarray, extras: bool = False) -> Runner:
    """Return the runner of Keras 3 on JAX: compiled `fit`."""
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    keras.utils.set_random_seed(0)
    layers: list[Any] = [keras.Input((case.widths[0],))]
    for units in case.widths[1:-1]:
        layers += [
            keras.layers.Dense(units),
            *([keras.layers.BatchNormalization()] if extras else []),
        ]
        layers += [keras.layers.ReLU(), *([keras.layers.Dropout(0.1)] if extras else [])]
    model = keras.Sequential([*layers, keras.layers.Dense(case.widths[-1])])
    binary = case.widths[-1] == 1
    loss = (
        keras.losses.BinaryCrossentropy if binary else keras.losses.SparseCategoricalCrossentropy
    )(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss, jit_compile=True)

    def go(epochs: int = case.epochs) -> float:
        fitted = model.fit(X, y, batch_size=case.batch_size, epochs=epochs, verbose=0, shuffle=True)
        return float(fitted.history["loss"][-1])

    go(1)
    return go


def scikit_learn(case: Case, X: np.ndarray, y: np.ndarray, extras: bool = False) -> Runner | None:
    """Return the runner of scikit-learn's MLP; None with extras, which it lacks."""
    if extras:
        return None
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(
        case.widths[1:-1], batch_size=case.batch_size, alpha=0, max_iter=case.epochs, tol=0,
        n_iter_no_change=10**9, warm_start=True, random_state=0,
    )  # fmt: skip

    def go() -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is not meant to converge
            model.fit(X, y)
        return float(model.loss_curve_[-1])

    go()
    return go


def optax(case: Case, X: np.ndarray, y: np.ndarray, extras: bool = False) -> Runner | None:
    """Return the runner of plain JAX with optax: a compiled step, and the loop in Python."""
    if extras:
        return None
    import jax
    import jax.numpy as jnp
    import optax

    rng = np.random.default_rng(0)
    sizes = list(zip(case.widths, case.widths[1:], strict=False))
    params = [
        (jnp.asarray(rng.normal(size=s) * np.sqrt(2 / s[0]), jnp.float32), jnp.zeros(s[1]))
        for s in sizes
    ]
    optimizer = optax.adam(1e-3)
    state, Xj, yj = optimizer.init(params), jnp.asarray(X), jnp.asarray(y)

    def loss(params: Any, x: Any, t: Any) -> Any:
        for W, b in params[:-1]:
            x = jax.nn.relu(x @ W + b)
        z = x @ params[-1][0] + params[-1][1]
        if case.widths[-1] == 1:
            return optax.sigmoid_binary_cross_entropy(z[:, 0], t).mean()
        return optax.softmax_cross_entropy_with_integer_labels(z, t).mean()

    @jax.jit
    def step(params: Any, state: Any, Xj: Any, yj: Any, rows: Any) -> Any:
        value, grads = jax.value_and_grad(loss)(params, Xj[rows], yj[rows])
        updates, state = optimizer.update(grads, state)
        return optax.apply_updates(params, updates), state, value

    def go(epochs: int = case.epochs) -> float:
        nonlocal params, state
        total = 0.0
        for _ in range(epochs):
            total = 0.0
            order = rng.permutation(case.n_rows)
            for first in range(0, case.n_rows, case.batch_size):
                rows = order[first : first + case.batch_size]
                params, state, value = step(params, state, Xj, yj, rows)
                total += value * len(rows)
        return float(total) / case.n_rows

    go(1)
    return go


CONTESTANTS = {
    "glassnet": glassnet,
    "PyTorch": torch,
    "Keras": keras,
    "scikit-learn": scikit_learn,
    "JAX + optax": optax,
}
PEERS = ("PyTorch", "Keras", "scikit-learn")
