"""Check traces against jax.grad, NumPy and training itself; their equations are parsed and evaluated."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import polars as pl
import pytest
from trace_oracles import by_complex_steps, check_adds_up, layer_in_numpy, loss_in_numpy
from typer.testing import CliRunner

import glassnet as gn
from glassnet import cli, keys
from glassnet._precision import precision
from glassnet.encoding.objectives import encode_target
from glassnet.nn.activations import ACTIVATIONS
from glassnet.nn.losses import LOSSES
from glassnet.tracing.expressions import Equation
from helpers import assert_close, blobs

ROWS, WIDTH = 4, 3


@dataclass(frozen=True)
class Sine(gn.Layer):
    """A layer of one's own that has only a forward."""

    def forward(self, params, state, x, **context):
        return jnp.sin(x), state, None


@dataclass(frozen=True)
class Wrong(gn.Layer):
    """A layer whose backward is not the derivative of its forward."""

    def forward(self, params, state, x, **context):
        return jnp.sin(x), state, x

    def backward(self, params, cache, dy):
        return dy * jnp.sin(cache), {}


# ------------------------------------------------------------------------ fifty random networks


def drawn_network(rng: Any, loss: str) -> gn.Network:
    """Return a network of random layers, all of WIDTH so that little has to be compiled."""

    def block(depth: int) -> list[Any]:
        layers: list[Any] = [gn.Dense(WIDTH, bias=bool(rng.random() < 0.8))]
        layers += [gn.BatchNorm()] * (rng.random() < 0.4)
        name = rng.choice([*ACTIVATIONS, "sine"])
        layers.append(Sine() if name == "sine" else str(name))
        layers += [gn.Dropout(0.3)] * (rng.random() < 0.4)
        return [gn.Network(layers)] if depth and rng.random() < 0.3 else layers

    front = [
        [],
        [gn.Scale()],
        [gn.Rescale(0.5, 0.1)],
        [gn.Scale(), gn.Periodic(2, waves=3, outputs=1)],
    ]
    front += [[gn.Embedding((3,), size=2)], [gn.Flatten()]]
    layers = list(front[rng.integers(len(front))])
    for depth in range(rng.integers(0, 3)):
        layers += block(depth)
    outputs = WIDTH if "entropy" in loss else rng.integers(1, 3)
    layers.append(gn.Dense(int(outputs)))
    if loss == "squared_error" and rng.random() < 0.5:
        layers.append("sigmoid")
    return gn.Network(layers)


def drawn_case(number: int) -> tuple[gn.Model, Any, Any, dict[str, Any]]:
    """Return a float64 model, rows, targets, and further arguments of `trace`."""
    rng = np.random.default_rng(number)
    name = list(LOSSES)[number % len(LOSSES)]
    loss = LOSSES[name]
    if name == "cross_entropy" and rng.random() < 0.5:
        loss = gn.CrossEntropy(label_smoothing=0.1)
    network = drawn_network(rng, name)
    coded = isinstance(network.layers[0], gn.Embedding)
    x = rng.normal(size=(ROWS, WIDTH))
    x[:, -1] = rng.integers(0, 3, ROWS) if coded else x[:, -1]
    with precision("float64"):
        params, state, out_shape = network.init(keys.key(number), (WIDTH,))
        y: Any = rng.normal(size=(ROWS, *out_shape))
        if name == "cross_entropy":
            y = np.array([0, 1, 2, 1])
        if name == "binary_cross_entropy":
            y = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 0], [0, 0, 1]])
        target, _ = encode_target(y, loss)
        moved = jax.tree.map(lambda p: np.asarray(p + 0.3 * rng.normal(size=p.shape)), params)
        state = jax.tree.map(lambda s: np.asarray(s, np.float64), state)
    model = gn.Model(
        network=network,
        params=moved,
        layer_state=state,
        loss=loss,
        in_shape=(WIDTH,),
        dtype="float64",
        target_encoder=target,
    )
    options: dict[str, Any] = {"seed": number, "train": bool(rng.random() < 0.8)}
    options |= {"l1": 0.01, "l2": 0.1} if rng.random() < 0.4 else {}
    options |= {"sample_weight": rng.uniform(0.2, 2, ROWS)} if rng.random() < 0.3 else {}
    return model, x, y, options


def objective(traced: gn.Trace, options: dict[str, Any], changed: Any) -> Any:
    """Return loss and penalty, computed by NumPy alone; `changed` may replace any array.

    Only inputs of the computation are taken from the trace: parameters, rows, dropout's masks.
    """
    weight = options.get("sample_weight", np.ones(ROWS))
    x, penalty = changed(("input",), traced.layers[0].input), 0.0
    for k, layer in enumerate(traced.layers):
        params = {n: changed((k, n), p.value) for n, p in layer.parameters.items()}
        mask = layer.cache.get("mask")
        shares = weight / weight.sum()
        x = layer_in_numpy(
            layer.kind, layer.layer, params, layer.state, x, options["train"], mask, shares
        )
        x = x + changed((k, "offset"), np.zeros(layer.output.shape))
        for n in ("W", "E"):
            if n in params and layer.kind in ("Dense", "Embedding"):
                w = params[n]
                penalty = penalty + options.get("l1", 0) * (w * np.sign(np.real(w))).sum()
                penalty = penalty + options.get("l2", 0) / 2 * (w * w).sum()
    kind = type(traced.loss_function).__name__
    return loss_in_numpy(kind, traced.loss_function, x, traced.target, weight) + penalty


def check_against_numpy(traced: gn.Trace, options: dict[str, Any]) -> None:
    def same(name: Any, value: Any) -> Any:
        return value

    def by(name: Any, at: Any) -> Any:
        def function(moved: Any) -> Any:
            return objective(traced, options, lambda n, v: moved if n == name else v)

        return by_complex_steps(function, at)

    close = {"rtol": 1e-9, "atol": 1e-11}
    np.testing.assert_allclose(traced.total, objective(traced, options, same), **close)
    first = traced.layers[0]
    if first.kind != "Embedding":  # codes are no numbers
        np.testing.assert_allclose(first.d_input, by(("input",), first.input), **close)
    for k, layer in enumerate(traced.layers):
        np.testing.assert_allclose(layer.d_output, by((k, "offset"), 0 * layer.output), **close)
        for name, p in layer.parameters.items():
            np.testing.assert_allclose(p.gradient + p.penalty, by((k, name), p.value), **close)
            np.testing.assert_allclose(p.new, p.value + p.update, **close)
            np.testing.assert_allclose(
                p.update, -0.01 * p.factor * (p.gradient + p.penalty), **close
            )
        if layer.kind == "Dropout" and options["train"]:
            assert set(np.round(np.unique(layer.cache["mask"]), 12)) <= {0.0, round(1 / 0.7, 12)}


def check_equations(traced: gn.Trace, rng: Any) -> int:
    """Evaluate the equations of a random neuron of each layer; return how many had numbers."""
    evaluated = 0
    for layer in traced.layers:
        row, j = int(rng.integers(ROWS)), int(rng.integers(layer.output[0].size))
        opened = traced.neuron(layer.path, j, row=row, terms=2)
        lines = str(opened).split("\n  ")[1:]
        evaluated += sum(check_adds_up(line) for line in lines if " = " in line)
        check_values(layer, opened.equations, row, j)
    return evaluated


def check_values(layer: Any, equations: tuple[Equation, ...], row: int, j: int) -> None:
    """Compare the equations' values with the arrays of the trace."""
    values = {e.symbol: e.value for e in equations}
    if layer.kind == "Dense":
        at = str(j + 1).translate(str.maketrans("123", "₁₂₃"))
        assert values["z" + at] == layer.z[row, j]
        assert values["δ" + at] == layer.delta[row, j]
        gradients = [v for s, v in values.items() if s.startswith("∂L/∂w")]
        assert set(gradients) <= set(layer.dW[j])
        assert len(gradients) >= min(len(layer.dW[j]), 2)


@pytest.mark.parametrize("count", [20, pytest.param(50, marks=pytest.mark.slow)])
def test_random_networks_agree_with_jax_and_numpy_and_their_equations_add_up(count: int):
    """Without jit, so that networks share what is compiled. The first 20 have every layer."""
    seen, evaluated = set(), 0
    with jax.disable_jit():
        for number in range(count):
            model, x, y, options = drawn_case(number)
            traced = gn.trace(model, x, y, **options)
            checked = traced.check()
            assert checked and checked.relative < 1e-11, f"network {number}: {checked}"
            assert checked.compared > 10
            check_against_numpy(traced, options)
            evaluated += check_equations(traced, np.random.default_rng(number))
            seen |= {layer.kind for layer in traced.layers}
    assert evaluated > 30 * count
    assert {
        "Dense",
        "BatchNorm",
        "Dropout",
        "Scale",
        "Rescale",
        "Periodic",
        "Embedding",
        "Sine",
    } <= seen
    assert {type(a).__name__ for a in ACTIVATIONS.values()} <= seen


# ------------------------------------------------------------------------ the step is training's own

X, Y = blobs(12, features=3, classes=2)
NET = gn.Network([gn.Dense(4, bias=False), gn.BatchNorm(), "tanh", gn.Dropout(0.3), gn.Dense(2)])


def eager(*arguments: Any, **options: Any) -> gn.Trace:
    """Trace without jit, so that traces share what is compiled."""
    with jax.disable_jit():
        return gn.trace(*arguments, **options)


def trained(optimizer: Any, epochs: int = 2, **options: Any) -> gn.Run:
    return gn.train(
        NET, X, Y, optimizer=optimizer, epochs=epochs, batch_size=None, l2=0.01, **options
    )


OPTIMIZERS = {
    "sgd": gn.SGD(0.1),
    "momentum": gn.Momentum(gn.Cosine(0.1)),
    "nesterov": gn.Momentum(0.1, nesterov=True),
    "rmsprop": gn.RMSprop(0.01),
    "adam": gn.Adam(0.01),
    "adamw": gn.ClipByNorm(
        gn.Averaged(gn.ClipByNorm(gn.AdamW(0.01), max_norm=0.02)), max_norm=0.05
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_trace_of_a_run_is_the_step_that_training_takes_next(name):
    run = trained(OPTIMIZERS[name])
    traced = eager(run, X, Y)
    later = gn.train(
        NET, X, Y, optimizer=OPTIMIZERS[name], epochs=3, batch_size=None, l2=0.01, state=run.state
    )
    if name != "momentum":  # a cosine of three epochs is another than that of two
        for k, layer in enumerate(traced.layers):
            new = {n: p.new for n, p in layer.parameters.items()}
            assert_close(new, jax.tree.map(np.asarray, later.state.params[k]), 1e-6)
            assert_close(
                dict(layer.new_state), jax.tree.map(np.asarray, later.state.layer_state[k]), 1e-6
            )
        np.testing.assert_allclose(traced.loss, later.history["loss"][-1], rtol=1e-5)
        np.testing.assert_allclose(traced.step.norm, later.history["gradient_norm"][-1], rtol=1e-5)
    for index in [(0, 0), (3, 1)]:
        lines = [str(e) for e in traced.weight(0, index).equations]
        assert sum(check_adds_up(line) for line in lines) >= 3, lines
    assert [check_adds_up(str(e)) for e in traced.weight(1, 2, "gamma").equations][-1]
    assert traced.step.number == 3
    if name == "adamw":
        average = traced.layers[0].parameters["W"].moments["average"]
        np.testing.assert_allclose(average, np.asarray(later.state.average[0][0]["W"]), rtol=1e-5)


def test_another_rate_keeps_the_moments_and_another_optimizer_starts_afresh():
    run = trained(gn.Adam(0.01))
    small, other = (
        eager(run, X, Y, optimizer=gn.Adam(1e-4)),
        eager(run, X, Y, optimizer="momentum"),
    )
    old = np.asarray(run.state.optimizer_state.m[0]["W"])
    np.testing.assert_array_equal(small.layers[0].parameters["W"].past["m"], old)
    assert not other.layers[0].parameters["W"].past["velocity"].any()


def test_transformations_of_optax_take_the_step_too():
    import optax

    ours, theirs = (
        eager(trained("sgd").model, X, Y, optimizer=o) for o in (gn.Adam(0.1), optax.adam(0.1))
    )
    for a, b in zip(ours.layers, theirs.layers, strict=True):
        for name, p in a.parameters.items():
            np.testing.assert_allclose(p.new, b.parameters[name].new, rtol=1e-4, atol=1e-6)
            assert {"mu", "nu"} <= set(b.parameters[name].moments)
    assert "computed by the optimizer's own update" in str(theirs.weight(0, (0, 0)))


def test_a_step_that_is_not_finite_changes_nothing():
    model = trained("sgd").model
    params = jax.tree.map(np.copy, model.params)
    params[0]["W"][0, 0] = np.nan
    traced = eager(replace(model, params=params), X, Y)
    assert not traced.step.finite
    assert "not finite" in str(traced)
    np.testing.assert_array_equal(traced.layers[4].parameters["W"].new, params[4]["W"])
    assert json.loads(traced.to_json())["loss"] is None


def test_check_names_the_layer_whose_backward_is_wrong():
    net = gn.Network([gn.Dense(3), gn.Network([Wrong(), gn.Dense(3)]), gn.Dense(2)])
    run = gn.train(net, X, Y, epochs=1, batch_size=None)
    checked = eager(run, X, Y).check()
    assert not checked
    assert checked.suspect == "layer 1.0 (Wrong)"
    assert "not the derivative" in str(checked)
    assert "The trace is right" in str(eager(trained("sgd"), X, Y).check())


def test_relu_at_its_corner_agrees():
    net = gn.Network([gn.Dense(3, "zeros"), "relu", gn.Dense(2)])
    run = gn.train(net, X, Y, epochs=0)
    assert eager(run, X, Y).check()


# ------------------------------------------------------------------------ equations


def small_trace(**options: Any) -> gn.Trace:
    """Return the trace of a small network: 2 inputs, 2 neurons with tanh, 1 output."""
    net = gn.Network([gn.Dense(2), "tanh", gn.Dense(1)])
    params = (
        {"W": np.array([[0.5, -0.5], [0.31, -1.2]]), "b": np.array([0.1, 0.05])},
        {},
        {"W": np.array([[0.7, -0.4]]), "b": np.array([0.2])},
    )
    target, _ = encode_target([0.5], LOSSES["squared_error"])
    model = gn.Model(
        network=net,
        params=params,
        layer_state=({},) * 3,
        loss=LOSSES["squared_error"],
        in_shape=(2,),
        dtype="float64",
        target_encoder=target,
    )
    return eager(model, [1.0, 0.0], 0.5, **options)


def test_the_equations_of_a_neuron_by_hand():
    opened = small_trace().neuron(0, 1)
    lines = {e.symbol: str(e) for e in opened.equations}
    assert lines["z₂"] == "z₂ = 0.31·1.0 - 1.2·0.0 + 0.05 = 0.36"
    assert lines["a₂"] == "a₂ = tanh(0.36) = 0.3452"
    y = 0.7 * np.tanh(0.6) - 0.4 * np.tanh(0.36) + 0.2
    slope = 2 * (y - 0.5) * -0.4
    delta = slope * (1 - np.tanh(0.36) ** 2)
    assert lines["∂L/∂a₂"].startswith("∂L/∂a₂ = Σ w⁺ₖ₂·δ⁺ₖ = -0.4·")
    np.testing.assert_allclose(opened["δ₂"].value, delta)
    assert re.fullmatch(r"δ₂ = ∂L/∂a₂·tanh′\(z₂\) = \S+·tanh′\(0\.36\d*\) = \S+", lines["δ₂"])
    assert lines["∂L/∂w₂₁"].startswith("∂L/∂w₂₁ = δ₂·x₁ = ")
    np.testing.assert_allclose(opened["∂L/∂w₂₁"].value, delta)
    np.testing.assert_allclose(opened["w₂₁ new"].value, 0.31 - 0.01 * delta)
    last = small_trace().neuron(2, 0)
    assert str(last["δ₁"]).startswith("δ₁ = 2·(z₁ - y₁) = 2·(")
    assert "a⁻₁" in str(last["∂L/∂w₁₁"])
    with pytest.raises(KeyError):
        opened["q"]


def test_long_sums_show_the_largest_terms_and_the_rest_as_one_number():
    wide = gn.Network([gn.Dense(2)])
    data = np.random.default_rng(0).normal(size=(30, 40)).astype(np.float32)
    run = gn.train(wide, data, np.arange(30) % 2, epochs=1)
    traced = eager(run, data, np.arange(30) % 2)
    for terms, digits in ((1, 3), (5, 6)):
        line = str(traced.neuron(0, 1, row=3, terms=terms, digits=digits)["z₂"])
        assert line.count("·") == terms
        assert f"[the other {40 - terms}]" in line
        assert check_adds_up(line, digits)
    assert "[the other" not in str(traced.neuron(0, 1, terms=50)["z₂"])
    assert check_adds_up(
        str(traced.neuron(0, 1, digits=12, terms=50)["z₂"]), 6
    )  # float32 has no more


def test_float32_that_cancels_shows_only_digits_that_are_exact():
    params = ({"W": np.array([[1e4, -1e4]], np.float32), "b": np.array([0.1], np.float32)},)
    target, _ = encode_target([0.5], LOSSES["squared_error"])
    model = gn.Model(
        network=gn.Network([gn.Dense(1)]),
        params=params,
        layer_state=({},),
        loss=LOSSES["squared_error"],
        in_shape=(2,),
        target_encoder=target,
    )
    line = str(eager(model, [[1.0, 1.00001]]).neuron(0, 0)["z₁"])
    numbers, result = line.split(" = ")[1:]
    assert abs(eval(numbers.replace("·", "*")) - float(result)) < 0.001


# ------------------------------------------------------------------------ rows as people have them

TABLE = pd.DataFrame(
    {
        "age": [31.0, 54.0, np.nan, 44.0, 25.0, 61.0] * 8,
        "<b>city": ["Ulm", "Bonn", "Köln", None, "Ulm", "Bonn"] * 8,
        "since": pd.date_range("2024-01-01", periods=48),
        "id": [f"row {k}" for k in range(48)],
    }
)
ANSWERS = np.array(["no", "<i>yes"])[np.arange(48) % 2]


@pytest.fixture(scope="module")
def classifier():
    return gn.NeuralClassifier((4,), epochs=2, members=2, random_state=0).fit(TABLE, ANSWERS)


def test_a_row_of_a_table_is_shown_in_its_own_units(classifier):
    traced = gn.trace(classifier, TABLE.iloc[1:4], ANSWERS[1:4])
    age, city, since, name = traced.inputs(0)
    assert (age.value, age.kind) == (54.0, "number")
    assert list(age.inputs) == ["age", "age: missing"]
    assert city.value == "Bonn"
    assert city.inputs["<b>city=Bonn"] == 1
    assert since.value == "2024-01-02"
    assert not name.inputs
    assert "it names rows" in name.note
    assert traced.inputs(1)[0].value is None
    assert traced.inputs(1)[0].inputs["age: missing"] == 1
    assert traced.inputs(2)[1].value is None
    encoded = np.concatenate([list(c.inputs.values()) for c in traced.inputs()])
    assert sorted(encoded) == sorted(traced.layers[0].input[0].astype(float))
    text = str(traced)
    assert re.search(r"age +54 ", text) and "<b>city=Bonn 1.0" in text
    assert "target: <i>yes 1.0" in text
    assert "age wave 1" in str(traced.neuron(2, 0, terms=40))


@pytest.mark.parametrize(
    "row", [TABLE.iloc[1], dict(TABLE.iloc[1]), TABLE.iloc[[1]], pl.from_pandas(TABLE)[1]], ids=str
)
def test_a_single_row_in_any_form(classifier, row):
    traced = gn.trace(classifier, row, "no")
    assert traced.inputs()[0].value == 54.0
    np.testing.assert_allclose(traced.logits, gn.trace(classifier, TABLE[1:2], ["no"]).logits)


def test_members_and_temperature(classifier):
    model = replace(classifier.model_, temperature=0.5)
    members = [gn.trace(model, TABLE[:3], train=False, member=k) for k in range(2)]
    np.testing.assert_allclose(
        np.mean([t.prediction for t in members], axis=0), model.predict_proba(TABLE[:3]), rtol=1e-5
    )
    assert np.abs(members[0].logits - members[1].logits).max() > 1e-3
    assert "member 1 of 2" in str(members[1])
    assert "multiplies the logits by 0.5" in str(members[1])
    assert members[0].loss is None and members[0].layers[-1].delta is None
    assert "only the forward pass" in str(members[0]) and "train=False" in str(members[0])
    assert "z₁" in str(members[0].neuron(2, 0))
    assert "<details>" in members[0]._repr_html_()
    with pytest.raises(gn.ConfigurationError, match="from 0 to 1"):
        gn.trace(model, TABLE[:3], member=2)


def test_an_estimators_own_optimizer_and_penalty_are_the_default():
    fitted = gn.NeuralRegressor(
        (4,), epochs=1, members=1, optimizer=gn.Adam(0.02), l2=0.5, random_state=0
    )
    fitted.fit(X, X[:, 0])
    traced = gn.trace(fitted, X[0], X[0, 0])
    assert isinstance(traced.step.optimizer, gn.Adam) and traced.step.rate == pytest.approx(0.02)
    assert traced.penalty > 0 and f"= {traced.total:.5f}"[:-1] in str(traced)
    np.testing.assert_allclose(traced.answers()[0].target, X[0, 0], rtol=1e-5)
    np.testing.assert_allclose(
        gn.trace(fitted, X[:1], train=False).answers()[0].value, fitted.predict(X[:1])[0], rtol=1e-5
    )
    assert not gn.trace(fitted, X[0], X[0, 0], l2=0).penalty


def test_a_picture():
    pictures = (np.random.default_rng(0).integers(0, 256, (6, 3, 4))).astype(np.uint8)
    net = gn.Network([gn.Rescale(1 / 255), gn.Flatten(), gn.Dense(3), "relu", gn.Dense(2)])
    run = gn.train(net, pictures, np.arange(6) % 2, epochs=1)
    traced = gn.trace(run, pictures[4], 1)
    assert traced.inputs()[5].value == pictures[4, 1, 1]
    assert traced.inputs()[5].name == "pixel (1, 1)"
    assert "a picture of 12 numbers" in str(traced)
    assert "<pre>" in traced._repr_html_()
    assert "pixel (2, 3)" in str(traced.neuron(2, 0, terms=12))
    assert traced.neuron(0, (1, 1))["y₆"].value == pytest.approx(pictures[4, 1, 1] / 255)
    assert check_adds_up(str(traced.neuron(0, (1, 1))["∂L/∂x₆"]))
    assert traced.check()


def test_a_picture_that_was_moved():
    pictures = np.random.default_rng(0).integers(0, 256, (6, 3, 4)).astype(np.uint8)
    run = gn.train(
        gn.Network([gn.RandomShift(), gn.Flatten(), gn.Dense(2)]),
        pictures,
        np.arange(6) % 2,
        epochs=1,
    )
    traced = gn.trace(run, pictures, np.arange(6) % 2)
    edges = np.pad(pictures, [(0, 0), (1, 1), (1, 1)], mode="edge")
    u, v = next(
        (u, v)
        for u in range(3)
        for v in range(3)
        if (traced.layers[0].output[2] == edges[2, u : u + 3, v : v + 4]).all()
    )
    taken = (
        min(max(u, 0), 2),
        min(max(1 + v, 0), 3),
    )  # pixel (1, 2) comes from (1 + u - 1, 2 + v - 1)
    equation = traced.neuron(0, (1, 2), row=2)["y₇"]
    assert f"pixel {taken} moved to (1, 2)" in str(equation)
    assert equation.value == pictures[(2, *taken)]
    still = gn.trace(run, pictures, np.arange(6) % 2, train=False)
    assert "nothing is moved" in str(still.neuron(0, (1, 2), row=2)["y₇"])
    assert traced.check()


def test_batch_norm_of_a_single_row_is_explained():
    assert "for a single row its output is beta" in str(eager(trained("sgd"), X[:1], Y[:1]))


# ------------------------------------------------------------------------ what leaves the library


def test_columns_and_frames(monkeypatch):
    traced = eager(trained(gn.Adam(0.01)), X, Y)
    weights = traced.to_frame("weights")
    assert isinstance(weights, pd.DataFrame)
    assert len(weights) == 4 * 3 + 4 + 4 + 2 * 4 + 2
    picked = weights.query("layer == '0' and parameter == 'W' and neuron == 2 and input == 1")
    for name, array in {"value": "value", "gradient": "gradient", "new": "new"}.items():
        assert picked[name].item() == getattr(traced.layers[0].parameters["W"], array)[2, 1]
    assert {"m", "v", "effective_rate", "penalty"} <= set(weights)
    moved = weights[weights.gradient + weights.penalty != 0]
    np.testing.assert_allclose(
        -moved.effective_rate * (moved.gradient + moved.penalty), moved["update"], rtol=1e-4
    )
    neurons = traced.to_frame(backend="polars")
    assert isinstance(neurons, pl.DataFrame)
    one = neurons.filter((pl.col("layer") == "4") & (pl.col("row") == 3) & (pl.col("neuron") == 1))
    assert one["d_output"].item() == traced.layers[4].delta[3, 1]
    assert traced.to_frame("layers", "pyarrow").num_rows == 5
    norms = traced.to_columns("layers")
    np.testing.assert_allclose(norms["dW"][4], np.linalg.norm(traced.layers[4].dW), rtol=1e-6)
    with pytest.raises(gn.ConfigurationError, match="Did you mean 'weights'"):
        traced.to_frame("weight")
    with pytest.raises(gn.ConfigurationError, match="polars"):
        traced.to_frame(backend="polar")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(gn.ConfigurationError, match="pip install pandas"):
        traced.to_frame()


def test_json_gives_back_every_number():
    traced = eager(trained("sgd"), X, Y)
    read = json.loads(traced.to_json())
    assert read == traced.to_dict()
    for layer, plain in zip(traced.layers, read["layers"], strict=True):
        for name in ("input", "output", "d_output", "d_input"):
            np.testing.assert_array_equal(np.array(plain[name], np.float32), getattr(layer, name))
        for name, p in layer.parameters.items():
            back = plain["parameters"][name]
            np.testing.assert_array_equal(np.array(back["gradient"], np.float32), p.gradient)
            np.testing.assert_array_equal(np.array(back["new"], np.float32), p.new)
    equations = json.loads(json.dumps(traced.neuron(0, 0).to_dict()))["equations"]
    assert equations[0]["symbol"] == "z₁"


class Reader(HTMLParser):
    """Collects the tags, and fails where one is closed that was not open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_escapes_and_loads_nothing(classifier):
    traced = eager(classifier, TABLE[:2], ANSWERS[:2])
    for html in (traced._repr_html_(), traced.neuron(2, 1, terms=40)._repr_html_()):
        reader = Reader()
        reader.feed(html)
        assert not reader.open
        assert not {"script", "i", "img", "link"} & reader.seen
        assert "<b>city" not in html and "&lt;b&gt;city" in html
        assert "http" not in html


# ------------------------------------------------------------------------ mistakes


def test_mistakes_are_explained():
    run = trained("sgd")
    traced, wrong = eager(run, X, Y), gn.ConfigurationError
    cases: list[tuple[Any, type, str]] = [
        (lambda: eager(NET, X, Y), wrong, "no weights"),
        (lambda: eager(gn.NeuralClassifier(), X, Y), wrong, "call fit"),
        (lambda: eager(3, X, Y), wrong, "type int is not a trained model"),
        (lambda: eager(run, X, Y[:5]), gn.DataError, "12 rows and y has 5"),
        (lambda: eager(run, X[:, :2], Y), gn.DataError, "2 numbers per row instead of 3"),
        (lambda: eager(run, X[:0], Y[:0]), gn.DataError, "no rows"),
        (lambda: eager(run, X[:1], [7]), gn.DataError, "class 7"),
        (lambda: eager(run, X, Y, optimizer="adm"), wrong, "Did you mean"),
        (lambda: eager(run, X, Y, optimizer=gn.SGD(gn.Cosine(0.1))), wrong, "give steps="),
        (lambda: eager(run, X, Y, dtype="float16"), wrong, "float16"),
        (lambda: eager(run, X, Y, l2=-1), wrong, "l2"),
        (lambda: eager(run, X, Y, member=1), wrong, "the model has 1 network:"),
        (lambda: eager(run, X, Y, sample_weight=[1]), gn.DataError, "one weight per row"),
        (lambda: eager(run, X).check(), gn.DataError, "give y"),
        (lambda: eager(run, X).weight(0, (0, 0)), gn.DataError, "give y"),
        (lambda: traced.neuron(9, 0), wrong, "no layer 9.*4 \\(Dense\\)"),
        (lambda: traced.neuron("x", 0), wrong, "no layer 'x'"),
        (lambda: traced.neuron(0, 4), wrong, "counted from 0 to 3"),
        (lambda: traced.neuron(0, 0, row=12), gn.DataError, "from 0 to 11"),
        (lambda: traced.neuron(0, 0, digits=0), wrong, "digits"),
        (lambda: traced.weight(0, (4, 0)), wrong, "shape \\(4, 3\\)"),
        (lambda: traced.weight(0, 0, "V"), wrong, "no parameter 'V'"),
    ]
    for call, kind, message in cases:
        with pytest.raises(kind, match=message):
            call()


# ------------------------------------------------------------------------ the command


def command(*arguments: object) -> Any:
    return CliRunner().invoke(cli.app, ["trace", *map(str, arguments)])


@pytest.fixture(scope="module")
def home(tmp_path_factory, classifier):
    folder = tmp_path_factory.mktemp("trace")
    model = replace(classifier.model_, info={"target": ["answer"]})
    gn.save(model, folder / "m.glassnet")
    TABLE.assign(answer=ANSWERS).to_csv(folder / "data.csv", index=False)
    TABLE.to_csv(folder / "new.csv", index=False)
    return folder


def test_the_command_traces_rows_of_a_file(home, classifier):
    model, data = home / "m.glassnet", home / "data.csv"
    result = command(model, data)
    assert result.exit_code == 0, result.output
    assert "One step of training on 32 rows" in result.stdout
    assert "stores no optimizer: this is a step of SGD" in result.stdout
    one = command(model, data, "--row", 5, "--member", 1, "--json")
    read = json.loads(one.stdout)
    expected = gn.trace(classifier, TABLE.iloc[5], ANSWERS[5], member=1)
    assert read["loss"] == pytest.approx(expected.loss)
    assert read["given"][0]["value"] == 61.0
    opened = command(model, data, "--row", 5, "--neuron", "2:1", "--prediction")
    assert opened.stdout.startswith("Layer 2 (Dense), neuron 1")
    assert all(check_adds_up(line) for line in opened.stdout.split("\n") if line.startswith("  z₂"))


def test_the_command_without_a_target_shows_the_forward_pass(home):
    result = command(home / "m.glassnet", home / "new.csv", "--row", 0)
    assert result.exit_code == 0
    assert "One forward pass on 1 row" in result.stdout
    assert "no target" in result.stderr


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--row", 48), 3, "from 0 to 47"),
        (("--neuron", "2"), 2, "--neuron 2:0"),
        (("--neuron", "2:9"), 2, "counted from 0 to 3"),
        (("--member", 2), 2, "from 0 to 1"),
        (("--target", "nothing"), 3, "no column 'nothing'"),
    ],
)
def test_the_commands_mistakes(home, options, code, message):
    result = command(home / "m.glassnet", home / "data.csv", *options)
    assert result.exit_code == code
    assert message in result.stderr
