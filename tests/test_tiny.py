"""The whole way in ten seconds, and the tutorial: read it from top to bottom.

Run it alone with `make fast ARGS=tests/test_tiny.py`.
"""

import json

import numpy as np
import pytest
from sklearn.datasets import load_iris
from typer.testing import CliRunner

import glassnet as gn
from glassnet.cli import app

pytestmark = pytest.mark.lowest


def test_1_a_neuron_is_a_weighted_sum_and_a_bias():
    neuron = gn.Dense(1)
    params = {"W": np.array([[0.5, -1.0, 2.0]]), "b": np.array([0.25])}
    z, _, _ = neuron.forward(params, {}, np.array([[1.0, 2.0, 3.0]]))
    assert z[0, 0] == 0.5 * 1 - 1.0 * 2 + 2.0 * 3 + 0.25


def test_2_layers_make_a_network_whose_shapes_follow_from_the_input():
    network = gn.Network([gn.Dense(4), gn.Tanh(), gn.Dense(1)])
    (first, _, last), _, out_shape = network.init(gn.keys.key(0), (3,))
    assert first["W"].shape == (4, 3) and last["W"].shape == (1, 4) and first["b"].shape == (4,)
    assert out_shape == (1,)
    assert network.summary((3,)).endswith("21 parameters")


def test_3_the_backward_pass_is_the_forward_pass_reversed():
    network, x, y = (
        gn.Network([gn.Dense(4), "tanh", gn.Dense(2)]),
        np.ones((5, 3)),
        np.zeros(5, int),
    )
    params, state, _ = network.init(gn.keys.key(0), (3,))
    loss = gn.CrossEntropy()

    logits, _, cache = network.forward(params, state, x)  # forward
    before = loss.value(logits, y)  # loss
    _, grads = network.backward(params, cache, loss.gradient(logits, y))  # backward
    params = tuple({k: p[k] - 0.1 * g[k] for k in p} for p, g in zip(params, grads, strict=True))

    assert loss.value(network.forward(params, state, x)[0], y) < before  # one step of descent


def test_4_a_hidden_layer_solves_xor_and_a_perceptron_cannot():
    X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    two_layers = gn.Network([gn.Dense(4), gn.Tanh(), gn.Dense(2)])
    perceptron = gn.Network([gn.Dense(2)])
    solved = gn.train(two_layers, X, y, optimizer=gn.Adam(0.05), epochs=300)
    stuck = gn.train(perceptron, X, y, optimizer=gn.Adam(0.05), epochs=300)
    assert solved.model.predict(X).tolist() == y
    assert (stuck.model.predict(X) == y).sum() <= 3
    assert solved.history["loss"][-1] < solved.history["loss"][0]


def test_5_an_estimator_takes_a_table_as_it_is_and_its_model_goes_into_one_file(tmp_path):
    table = {
        "height": [1.6, 1.8, None, 1.7, 1.9, 1.5] * 5,
        "club": ["swim", "chess", "chess", None, "swim", "chess"] * 5,
    }
    y = ["f", "m", "m", "f", "m", "f"] * 5
    classifier = gn.NeuralClassifier(hidden=(16,), random_state=0).fit(table, y)
    assert classifier.score(table, y) == 1.0
    classifier.save(tmp_path / "club.glassnet")
    model = gn.load(tmp_path / "club.glassnet")
    unseen = {"height": [1.85], "club": ["a new one"]}
    assert (model.predict_proba(unseen) == classifier.predict_proba(unseen)).all()


def test_6_the_command_trains_predicts_and_shows(tmp_path):
    X, y = load_iris(return_X_y=True)
    data, model = tmp_path / "iris.csv", tmp_path / "iris.glassnet"
    lines = [",".join([*map(str, row), f"kind{label}"]) for row, label in zip(X, y, strict=True)]
    data.write_text("\n".join(["a,b,c,d,species", *lines]))

    def glassnet(*arguments: object) -> str:
        result = CliRunner().invoke(app, [str(a) for a in arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    said = glassnet(
        "train", data, "--target", "species", "--out", model, "--epochs", "60", "--json"
    )
    assert json.loads(said)["scores"]["accuracy"] > 0.9
    assert glassnet("predict", model, data).splitlines()[1].startswith("kind0,")
    assert "accuracy" in glassnet("evaluate", model, data)
    assert "species" in glassnet("inspect", model)
