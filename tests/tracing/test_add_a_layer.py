"""Add a layer by its class and one row of each table, and check that it gets what built-in layers get."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest
from trace_oracles import check_adds_up

import glassnet as gn
from glassnet import numpy_predict
from glassnet._precision import default_float
from glassnet.exporting.onnx_layers import WRITERS, by_member
from glassnet.nn import optimizer_wrappers
from glassnet.nn.activations import Activation
from glassnet.nn.as_code import typed
from glassnet.nn.layers import LAYERS
from glassnet.nn.losses import LOSSES
from glassnet.nn.network import LAYER_TYPES
from glassnet.nn.optimizers import OPTIMIZERS
from glassnet.tracing.expressions import Number, Product, Sum
from glassnet.tracing.layer_equations import (
    EQUATIONS,
    GENERIC,
    LayerEquations,
    equations_of,
)
from glassnet.tracing.loss_equations import LOSS_EQUATIONS
from glassnet.tracing.pen import column, entry
from glassnet.tracing.step_equations import STEP_EQUATIONS
from glassnet.tracing.symbols import sub
from helpers import assert_close, blobs

X, Y = blobs(40, features=3, classes=2)

# ------------------------------------------------------------------------ the layer and its rows


@dataclass(frozen=True)
class Cubic(gn.Layer):
    """y = x + c x³, with a learned c for every input."""

    start: float = 0.1

    def init(self, key, in_shape):
        return {"c": np.full(in_shape, self.start, default_float())}, {}, in_shape

    def forward(self, params, state, x, **context):
        cube = x * x * x
        return x + params["c"] * cube, state, {"x": x, "cube": cube}

    def backward(self, params, cache, dy):
        dx = dy * (1 + 3 * params["c"] * cache["x"] ** 2)
        return dx, {"c": (dy * cache["cube"]).sum(axis=0)}


def forward_equation(pen, layer, j, x, y):
    value, c = pen.number(layer.input, j), entry(layer.parameters["c"].value, j)
    right = Sum((value, Product((c, value, value, value))))
    yield pen.write(y + sub(j), pen.value(layer.output, j), right, f"{x + sub(j)} + c·x³")


def backward_equation(pen, layer, j, symbol, x, y):
    value, c = pen.number(layer.input, j), entry(layer.parameters["c"].value, j)
    slope = Sum((Number(1.0), Product((Number(3.0), c, value, value))))
    right = Product((pen.number(layer.d_output, j), slope))
    yield pen.write(symbol, pen.value(layer.d_input, j), right, f"∂L/∂{y + sub(j)}·(1 + 3·c·x²)")


def gradient_equation(pen, layer, j, x, slope):
    factors = (column(layer.d_output, j), column(layer.cache["cube"], j))
    yield pen.gradient(
        layer, "c", index=(j,), symbol="c" + sub(j), factors=factors, formula=f"{slope}·x³"
    )


def in_onnx(g, layer, arrays, x, shape):
    cube = g.add("Mul", g.add("Mul", x, x), x)
    return g.add("Add", x, g.add("Mul", cube, by_member(arrays["c"])))


def in_numpy(layer, arrays, x):
    return x + arrays["c"] * x * x * x


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add one row to the table of layers and one for each concern."""
    monkeypatch.setitem(LAYERS, "Cubic", Cubic)
    monkeypatch.setitem(WRITERS, Cubic, in_onnx)
    monkeypatch.setitem(numpy_predict.LAYERS, "Cubic", in_numpy)
    row = LayerEquations(
        "k",
        elementwise=True,
        forward=forward_equation,
        backward=backward_equation,
        gradients=gradient_equation,
    )
    monkeypatch.setitem(EQUATIONS, Cubic, row)


NET = gn.Network([Cubic(), gn.Dense(4), Cubic(0.2), "tanh", gn.Dense(2)])


@pytest.fixture(scope="module")
def run() -> gn.Run:
    return gn.train(NET, X, Y, epochs=8, optimizer=gn.Adam(0.02))


def test_it_trains_and_its_gradients_are_those_of_jax(run):
    assert run.history["loss"][-1] < 0.8 * run.history["loss"][0]
    assert not np.allclose(run.model.params[0]["c"], 0.1)
    assert gn.trace(run, X, Y, dtype="float64").check()


def test_its_neurons_are_written_in_equations(run, registered):
    trace = gn.trace(run, X[:5], Y[:5])
    opened = trace.neuron(0, 1, row=2)
    assert opened.equations[0].symbol == "k₂"
    assert {"∂L/∂k₂", "∂L/∂x₂", "∂L/∂c₂", "c₂ new"} <= {e.symbol for e in opened.equations}
    for equation in opened.equations:
        assert check_adds_up(str(equation)), equation
    assert opened["k₂"].value == trace.layers[0].output[2, 1]
    assert opened["∂L/∂c₂"].value == trace.layers[0].parameters["c"].gradient[1]
    assert opened["c₂ new"].value == trace.layers[0].parameters["c"].new[1]
    assert "Inputs: x₂ x1" in opened.legend
    # as part of the chain behind a layer of neurons
    symbols = [e.symbol for e in trace.neuron(1, 3).equations]
    assert symbols[:3] == ["z₄", "k₄", "a₄"]
    assert "δ₄" in symbols


def test_its_cache_is_shown_with_and_without_a_row(run, registered, monkeypatch):
    for _ in range(2):
        trace = gn.trace(run, X[:5], Y[:5])
        cache = trace.layers[0].cache
        assert_close(cache["cube"], X[:5].astype(np.float32) ** 3, 1e-6)
        assert trace.to_dict()["layers"][0]["cache"]["cube"] == cache["cube"].tolist()
        assert "cube" in trace._repr_html_()
        monkeypatch.delitem(EQUATIONS, Cubic, raising=False)


def test_it_goes_into_a_model_file(run, registered, tmp_path):
    gn.save(run.model, tmp_path / "m.glassnet")
    loaded = gn.load(tmp_path / "m.glassnet")
    np.testing.assert_array_equal(loaded.predict_proba(X), run.model.predict_proba(X))
    assert loaded.network == NET
    params, _, out = NET.init(gn.keys.key(0), (3,))
    assert NET.shapes((3,)).params == tuple(
        {name: array.shape for name, array in layer.items()} for layer in params
    )
    assert NET.shapes((3,)).out == out


def test_it_is_exported_to_onnx_and_to_numpy(run, registered, tmp_path):
    expected = run.model.predict_proba(X)
    gn.export(run.model, tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    _, p = session.run(None, {"X": X.astype(np.float32)})
    np.testing.assert_allclose(p, expected, atol=1e-5)
    gn.save(run.model, tmp_path / "m.glassnet")
    predictor = numpy_predict.load(tmp_path / "m.glassnet")
    np.testing.assert_allclose(predictor.predict_proba(X), expected, atol=1e-5)
    gn.export(run.model, tmp_path / "cubic.py")
    code = "import sys; sys.path.insert(0, ''); import cubic; print(cubic.predict_proba([[1, -2, 3.0]]))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    p = np.array(done.stdout.replace("[", "").replace("]", "").split(), float)
    row = np.array([[1, -2, 3.0]])
    np.testing.assert_allclose(p, run.model.predict_proba(row)[0], atol=1e-5)


def test_a_numpy_row_that_needs_its_own_file_is_refused(
    run, registered, monkeypatch, tmp_path: Path
):
    def uses_this_file(layer, arrays, x):
        return in_numpy(layer, arrays, x)

    for function, message in [
        (uses_this_file, "uses in_numpy"),
        (lambda layer, arrays, x: x + arrays["c"] * x * x * x, "is a lambda"),
    ]:
        monkeypatch.setitem(numpy_predict.LAYERS, "Cubic", function)
        with pytest.raises(gn.ConfigurationError, match=message):
            gn.export(run.model, tmp_path / "m.py")
    monkeypatch.delitem(numpy_predict.LAYERS, "Cubic")
    with pytest.raises(gn.ConfigurationError, match=r"has no function"):
        gn.export(run.model, tmp_path / "m.py")


def test_it_is_written_as_code():
    assert typed(Cubic(0.3)) == "gn.Cubic(0.3)"


# ------------------------------------------------------------------------ a layer of forward alone


@dataclass(frozen=True)
class Sway(gn.Layer):
    """y = x + a sin(x), by forward alone, with no row in any table."""

    def init(self, key, in_shape):
        return {"a": np.full(in_shape, 0.5, default_float())}, {}, in_shape

    def forward(self, params, state, x, **context):
        return x + params["a"] * jnp.sin(x), state, None


def test_a_layer_of_forward_alone_trains_and_has_a_readable_trace(tmp_path):
    run = gn.train(
        gn.Network([gn.Dense(3), Sway(), gn.Dense(2)]), X, Y, epochs=8, optimizer=gn.Adam(0.02)
    )
    assert run.history["loss"][-1] < run.history["loss"][0]
    trace = gn.trace(run, X[:4], Y[:4], dtype="float64")
    assert trace.check()
    assert trace.layers[1].cache == {}
    assert "Sway" in str(trace) and "Sway" in trace._repr_html_()
    opened = trace.neuron(1, 2, row=1)
    assert str(opened["y₃"]).endswith("(computed by Sway.forward)")
    assert opened["y₃"].value == trace.layers[1].output[1, 2]
    behind = trace.neuron(0, 2, row=1)
    assert str(behind["δ₃"]).endswith("(computed by Sway.backward)")
    assert behind["δ₃"].value == trace.layers[1].d_input[1, 2]
    step = trace.weight(1, 2, "a")
    assert step["a₃ new"].value == trace.layers[1].parameters["a"].new[2]
    with pytest.raises(gn.ConfigurationError, match=r"layer of your own \(Sway\)"):
        gn.export(run.model, tmp_path / "m.onnx")


# ------------------------------------------------------------------------ which row a class gets


class Doubled(gn.Dense):
    """A Dense layer with another forward: its equations are not those of Dense."""

    def forward(self, params, state, x, **context):
        z, state, cache = super().forward(params, state, x, **context)
        return 2 * z, state, cache


@dataclass(frozen=True)
class Square(Activation):
    """An activation function of one's own."""

    def value(self, z):
        return z * z

    def derivative(self, z, a):
        return 2 * z


def test_a_row_serves_subclasses_that_compute_the_same():
    assert equations_of(Square()) is equations_of(gn.Tanh())
    assert equations_of(Doubled(2)) is GENERIC
    run = gn.train(gn.Network([gn.Dense(2), Square(), gn.Dense(2)]), X, Y, epochs=1)
    trace = gn.trace(run, X[:1], Y[:1])
    assert "square(" in str(trace.neuron(0, 1)["a₂"])
    assert trace.check()


# ------------------------------------------------------------------------ every table is complete


def kinds(objects: Any) -> set[type]:
    return {type(member) for member in objects}


def test_every_layer_has_a_row_of_equations():
    network = {"Network"}  # its layers are traced one by one
    for name in set(LAYER_TYPES) - network:
        rows = [cls for cls in LAYER_TYPES[name].__mro__ if cls in EQUATIONS]
        assert rows, f"{name} has no equations"


def test_every_loss_has_a_row_of_equations():
    assert kinds(LOSSES.values()) == set(LOSS_EQUATIONS)
    assert gn.CustomLoss not in LOSS_EQUATIONS  # its formula is not known: written as ∂l/∂z


def test_every_optimizer_and_wrapper_has_a_row_of_equations():
    wrappers = {gn.ClipByNorm, gn.Averaged}
    assert kinds(OPTIMIZERS.values()) | wrappers == set(STEP_EQUATIONS)
    # optax's own update is not known: written as its result
    assert optimizer_wrappers.Transformation not in STEP_EQUATIONS


@pytest.mark.parametrize("name", [n for n in LOSSES if LOSSES[n].task == "regression"])
def test_the_slopes_of_losses_add_up(name: str) -> None:
    """Each loss on small and large errors of both signs."""
    target = np.array([[0.1], [-0.2], [3.0], [-4.0]])
    x = np.array([[0.3, 0.1], [0.2, -0.7], [0.4, 0.4], [-0.1, 0.9]])
    run = gn.train(gn.Network([gn.Dense(1)]), x, target, loss=name, epochs=0, dtype="float64")
    with jax.disable_jit():
        trace = gn.trace(run, x, target)
    slopes: Iterator[Any] = (trace.neuron(0, 0, row=row)["δ₁"] for row in range(4))
    for row, slope in enumerate(slopes):
        assert check_adds_up(str(slope)), slope
        assert "∂l" not in slope.formula
        assert slope.value == trace.layers[0].delta[row, 0]
