"""Test explanations against jax.grad, scikit-learn and NumPy."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_array
from sklearn import inspection
from sklearn.datasets import load_digits
from sklearn.metrics import confusion_matrix
from typer.testing import CliRunner

import glassnet as gn
from glassnet import cli
from glassnet._precision import precision
from glassnet.encoding.encoders import numbered
from glassnet.explain.rows import Rows
from glassnet.models.model import Model
from helpers import blobs

LEVELS = 70  # more than become inputs of their own: they are looked up in an Embedding


@pytest.fixture(autouse=True)
def close_figures() -> Any:
    yield
    plt.close("all")


@cache
def table() -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Return a table with every kind of column, classes that depend on two of them, and values."""
    rng = np.random.default_rng(0)
    n = 240
    size, city = rng.normal(size=n), rng.choice(["Ulm", "Bonn", "Rom"], n)
    columns = {
        "size": size,
        "age": np.where(rng.uniform(size=n) < 0.2, np.nan, 40 + 9 * rng.normal(size=n)),
        "city": city,
        "postcode": np.array([f"z{i % LEVELS}" for i in range(n)], dtype=object),
        "when": np.datetime64("2024-01-01") + rng.integers(0, 300, n),
        "unit": np.full(n, "cm"),
    }
    signal = size + 2 * (city == "Ulm")
    return columns, np.where(signal > 0.5, "yes", "no"), 1000 + 50 * signal


@cache
def classifier() -> Any:
    X, y, _ = table()
    return gn.NeuralClassifier((16, 16), members=2, epochs=10, random_state=0).fit(X, y)


@cache
def regressor() -> Any:
    X, _, y = table()
    return gn.NeuralRegressor((16,), members=2, epochs=10, random_state=0).fit(X, y)


@cache
def digits() -> tuple[Any, Any, Any]:
    X, y = load_digits(return_X_y=True)
    X, y = X[:400].reshape(-1, 8, 8), y[:400]
    net = gn.Network([gn.Rescale(1 / 16), gn.Flatten(), gn.Dense(12), "relu", gn.Dense(10)])
    return X, y, gn.train(net, X, y, epochs=15, optimizer=gn.Adam(1e-2))


@cache
def plain(kind: str) -> tuple[np.ndarray, Any]:
    """Return numbers and a network that is trained on them, defined layer by layer."""
    X, y = blobs(48, features=3, classes=2 if kind in ("single", "labels") else 3)
    hidden: list[Any] = [gn.Dense(8), gn.BatchNorm(), "tanh", gn.Dropout(0.2)]
    if kind == "nested":
        net = gn.Network([gn.Scale(), gn.Periodic(3), gn.Network(hidden), gn.Dense(3)])
        return X, gn.train(net, X, y, epochs=10)
    if kind == "float64":
        net = gn.Network([*hidden, gn.Dense(3)])
        return X, gn.train(net, X, y, epochs=10, dtype="float64")
    loss = gn.BinaryCrossEntropy()
    if kind == "single":
        net = gn.Network([*hidden, gn.Dense(1)])
        return X, gn.train(net, X, y, loss=loss, epochs=10)
    y = np.stack([y, 1 - y], axis=1)
    return X, gn.train(gn.Network([*hidden, gn.Dense(2)]), X, y, loss=loss, epochs=10)


@cache
def numbers() -> tuple[np.ndarray, np.ndarray, Any]:
    """Return numbers, classes that depend on x2 alone, and a classifier."""
    X = np.random.default_rng(1).normal(size=(120, 4))
    y = np.digitize(X[:, 2], [-0.5, 0.5])
    return X, y, gn.NeuralClassifier((16,), members=2, epochs=20, random_state=0).fit(X, y)


def bare(model: Any) -> Model:
    """Return the model without its encoder, for encoded rows."""
    return replace(getattr(model, "model_", getattr(model, "model", model)), encoder=None)


def rows(X: dict[str, Any], n: int) -> dict[str, Any]:
    return {name: column[:n] for name, column in X.items()}


def plain_values(explanation: Any) -> Any:
    return json.loads(json.dumps(explanation.to_dict(), allow_nan=False))


# --------------------------------------------------------------------------------- attribution


def differences(model: Any, x: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Return the differences between the logits of encoded rows and of a baseline."""
    short = bare(model)
    return np.asarray(short.logits(x) - short.logits(base), np.float64)


def assert_complete(attribution: Any, difference: np.ndarray) -> None:
    total = attribution.values.reshape(len(attribution), -1).sum(axis=1)
    assert (
        np.abs(total - difference) <= 0.01 * np.abs(difference) + 1e-4 * np.abs(difference).max()
    ).all()
    assert (attribution.gap <= 0.01).all()


def test_attributions_of_a_table_add_up_to_the_log_odds() -> None:
    X, _, _ = table()
    model = classifier().model_
    assert [type(layer).__name__ for layer in model.network][:3] == [
        "Embedding",
        "Scale",
        "Periodic",
    ]
    attribution = gn.attribute(classifier(), X)
    x = model.inputs(X)
    d = differences(model, x, np.zeros_like(x[:1]))
    sign = np.where(np.array(attribution.targets) == "yes", 1, -1)
    assert attribution.unit == "log-odds"
    assert_complete(attribution, sign * (d[:, 1] - d[:, 0]))
    assert attribution.columns == (
        "size",
        "age",
        "city",
        "postcode",
        "when",
    )  # what is constant is not used
    proba = classifier().predict_proba(X).max(axis=1)
    # the mean of the members' logits is not that of their probabilities, but nearly
    assert np.corrcoef(attribution.output, np.log(proba / (1 - proba)))[0, 1] > 0.99
    assert set(np.argsort(-attribution.overall())[:2]) == {0, 2}  # size and city, which decide


def test_attributions_of_values_are_in_their_own_unit() -> None:
    X, _, _ = table()
    attribution = gn.attribute(regressor(), X)
    zero = np.zeros((1, *regressor().model_.in_shape), np.float32)
    predicted, at_baseline = regressor().predict(X), bare(regressor()).predict(zero)[0]
    np.testing.assert_allclose(attribution.output, predicted, rtol=1e-4)
    np.testing.assert_allclose(attribution.baseline_output, at_baseline, rtol=1e-4)
    assert_complete(attribution, predicted - at_baseline)


@pytest.mark.parametrize("kind", ["nested", "float64", "single", "labels"])
def test_attributions_of_any_network_add_up_and_equal_jax_grad(kind: str) -> None:
    X, run = plain(kind)
    model = run.model
    target = {"labels": 1}.get(kind)
    attribution = gn.attribute(run, X, target)
    d = differences(model, X, np.zeros_like(X[:1]))
    predicted = model.predict(X)
    if kind == "single":
        weights = np.where(predicted == 1, 1.0, -1.0)[:, None]
    else:
        weights = np.tile([0.0, 1.0], (len(X), 1)) if kind == "labels" else np.eye(3)[predicted]
    assert_complete(attribution, (weights * d).sum(axis=1))

    with precision(model.dtype):

        def output(x: Any) -> Any:
            logits = model.network.forward(model.params, model.layer_state, x)[0]
            return (logits * weights.astype(model.dtype)).sum()

        slopes = np.asarray(jax.grad(output)(jnp.asarray(X, model.dtype)))
    simple = gn.attribute(run, X, target, method="gradient_x_input")
    tolerance = 1e-9 if kind == "float64" else 1e-4
    np.testing.assert_allclose(simple.values, slopes * X, rtol=tolerance, atol=tolerance)


def test_the_gradient_of_a_code_is_that_of_its_embedding() -> None:
    X, _, _ = table()
    model = classifier().model_
    x = model.inputs(X)[:20]
    expected = np.zeros(x.shape)
    embedding, rest = model.network.layers[0], gn.Network(model.network.layers[1:])
    for member in range(2):
        params, state = jax.tree.map(lambda a: a[member], (model.params, model.layer_state))  # noqa: B023
        here, there = (
            embedding.forward(params[0], {}, jnp.asarray(a))[0] for a in (x, np.zeros_like(x[:1]))
        )
        slopes = jax.grad(
            lambda e: (rest.forward(params[1:], state[1:], e)[0] @ jnp.array([-1.0, 1.0])).sum()  # noqa: B023
        )(here)
        moved = np.asarray(slopes * (here - there)) * model.temperature / 2
        expected += np.concatenate(
            [moved[:, :-8], moved[:, -8:].sum(axis=1, keepdims=True)], axis=1
        )
    attribution = gn.attribute(model, rows(X, 20), "yes", method="gradient_x_input")
    np.testing.assert_allclose(attribution.features, expected, rtol=1e-3, atol=1e-4)
    assert (np.abs(attribution.features[:, -1]) > 0).any()
    np.testing.assert_allclose(attribution.features.sum(axis=1), attribution.values.sum(axis=1))


def test_attributions_of_pictures_add_up() -> None:
    X, y, run = digits()
    attribution = gn.attribute(run, X[:30], y[:30], baseline=X[30:40])
    assert attribution.values.shape == (30, 8, 8) and attribution.columns == ()
    d = differences(run, X[:30], X[30:40].mean(axis=0)[None])
    assert_complete(attribution, d[np.arange(30), y[:30]])
    assert "pixel" in str(attribution[0])


def test_a_linear_network_is_explained_exactly_by_one_gradient() -> None:
    X, y = blobs(30, features=3)
    run = gn.train(gn.Network([gn.Dense(3)]), X, y, epochs=5, dtype="float64")
    W = run.model.params[0]["W"]
    for method in ("gradient_x_input", "integrated_gradients"):
        attribution = gn.attribute(run, X, 2, method=method)
        np.testing.assert_allclose(attribution.values, W[2] * X, rtol=1e-9)
        assert attribution.gap.max() < 1e-9
    between = gn.attribute(run, X, 2, against=0)
    np.testing.assert_allclose(between.values, (W[2] - W[0]) * X, rtol=1e-9)
    assert (between.unit, between.targets[0]) == ("log-odds", "2 against 0")


def test_points_are_added_until_the_gap_is_small() -> None:
    X, y = blobs(20, features=2)
    wavy = gn.Network([gn.Periodic(2, slowest=20.0, fastest=40.0), gn.Dense(3)])
    run = gn.train(wavy, X, y, epochs=1)
    attribution = gn.attribute(run, X, steps=8)
    assert attribution.steps.max() > 100 and attribution.gap.max() <= 0.01
    assert gn.attribute(run, X, steps=8, tolerance=1e9).steps.tolist() == [8] * 20


def test_an_attribution_prints_and_draws_and_becomes_a_frame() -> None:
    X, _, _ = table()
    attribution = gn.attribute(classifier(), rows(X, 3))
    one = attribution[1]
    assert len(one) == 1 and "log-odds" in str(one) and "gap" in str(one)
    assert [line.split()[0] for line in str(attribution).split("\n")[2:7]] == [
        attribution.columns[j] for j in np.argsort(-attribution.overall())
    ]
    frame = attribution.to_frame()
    assert len(frame) == 15 and frame["attribution"].tolist() == attribution.values.ravel().tolist()
    assert plain_values(attribution)["rows"][2]["attributions"]["city"] == attribution.values[2, 2]
    drawn = [patch.get_width() for patch in one.plot().patches]
    assert sorted(drawn) == sorted(one.values[0].tolist())
    pictures, _, run = digits()
    picture = gn.attribute(run, pictures[:1])
    np.testing.assert_array_equal(picture.plot().images[0].get_array(), picture.values[0])
    assert len(picture.to_frame()) == 64


def test_what_cannot_be_attributed_is_refused_with_a_reason() -> None:
    X, _, _ = table()
    wrong: list[tuple[Any, str]] = [
        (lambda: gn.attribute("model.glassnet", X), "not a trained model"),
        (lambda: gn.attribute(gn.NeuralClassifier(), X), "call fit"),
        (lambda: gn.attribute(classifier(), X, "maybe"), "not in the training data"),
        (lambda: gn.attribute(classifier(), X, ["yes", "no"]), "2 classes for 240 rows"),
        (
            lambda: gn.attribute(classifier(), X, method="gradients"),
            "not a known method of attribution",
        ),
        (lambda: gn.attribute(classifier(), X, tolerance=0), "tolerance"),
        (lambda: gn.attribute(regressor(), X, "y0"), "does not predict"),
        (lambda: gn.attribute(regressor(), X, against="no"), "against"),
        (lambda: gn.attribute(plain("labels")[1], plain("labels")[0]), "choose one"),
        (lambda: gn.attribute(digits()[2], digits()[0][0]), "shape"),
    ]
    for call, message in wrong:
        with pytest.raises(gn.GlassnetError, match=message):
            call()
    late = gn.Network([gn.Scale(), gn.Embedding((3,)), gn.Dense(2)])
    run = gn.train(late, np.array([[0.0], [1.0], [2.0]]), [0, 1, 1], epochs=1)
    # numbers that are written as text are numbers all the same
    texts = table()[0] | {"size": np.array([f"{v:.3f}" for v in table()[0]["size"]], dtype=object)}
    assert gn.attribute(classifier(), texts).cells[0]["size"] == round(table()[0]["size"][0], 3)
    with pytest.raises(gn.ConfigurationError, match="put"):
        gn.attribute(run, [[1.0]])


# ---------------------------------------------------------------- importance and dependence


def test_importance_equals_scikit_learn_and_finds_the_planted_column() -> None:
    X, y, model = numbers()
    importance = gn.permutation_importance(model, X, y, repeats=3)
    expected = inspection.permutation_importance(model, X, y, n_repeats=3, random_state=0)
    np.testing.assert_allclose(importance.falls, expected.importances, atol=1e-9)
    np.testing.assert_allclose(importance.score, model.score(X, y), atol=1e-9)
    assert (
        importance.ranked()[0] == "x2"
        and importance.mean[2] > 5 * np.delete(importance.mean, 2).max()
    )


def test_importance_of_a_table_with_text_dates_and_missing_values() -> None:
    X, y, values = table()
    importance = gn.permutation_importance(classifier(), X, y)
    assert importance.columns == ("size", "age", "city", "postcode", "when")
    assert set(importance.ranked()[:2]) == {"size", "city"}
    # one shuffle by hand: the person's own column, through the whole model
    order = np.arange(240)
    state = np.random.RandomState(np.random.RandomState(0).randint(np.iinfo(np.int32).max + 1))
    state.shuffle(order)
    shuffled = X | {"city": X["city"][order]}
    fall = np.mean(classifier().predict(X) == y) - np.mean(classifier().predict(shuffled) == y)
    np.testing.assert_allclose(importance.falls[2, 0], fall)
    grouped = gn.permutation_importance(
        regressor(), X, values, groups={"both": ["size", "city"]}, repeats=2, max_rows=200
    )
    assert grouped.ranked()[0] == "both" and len(grouped.columns) == 4 and grouped.rows == 200
    surprise = gn.permutation_importance(classifier(), X, y, scoring="neg_log_loss", repeats=1)
    assert surprise.score < 0 and set(surprise.ranked()[:2]) == {"size", "city"}
    assert importance.to_frame()["column"].tolist() == importance.ranked()
    assert list(plain_values(importance)["columns"]) == importance.ranked()
    drawn = [patch.get_width() for patch in importance.plot().patches]
    assert drawn == sorted(importance.mean.tolist(), reverse=True)
    assert str(importance).split("\n")[2].split()[0] == importance.ranked()[0]


def test_importance_of_labels() -> None:
    X, run = plain("labels")
    y = run.model.predict(X)
    importance = gn.permutation_importance(run, X, y, repeats=2)
    assert importance.score == 1.0 and importance.mean.max() > 0


def test_dependence_equals_scikit_learn() -> None:
    X, _, model = numbers()
    for columns in (1, ("x0", "x2")):
        places = [0, 2] if isinstance(columns, tuple) else [1]
        expected = inspection.partial_dependence(model, X, places, grid_resolution=6, kind="both")
        dependence = gn.partial_dependence(model, X, columns, points=6, individual=True)
        np.testing.assert_allclose(dependence.average, expected["average"], atol=1e-5)
        np.testing.assert_allclose(dependence.individual, expected["individual"], atol=1e-5)
        for own, theirs in zip(dependence.values, expected["grid_values"], strict=True):
            np.testing.assert_allclose(own, theirs)


def test_dependence_on_categories_dates_and_missing_values() -> None:
    X, _, _ = table()
    dependence = gn.partial_dependence(classifier(), X, "city")
    assert dependence.values == (("Ulm", "Rom", "Bonn"),) and dependence.outputs == ("no", "yes")
    for place, city in enumerate(dependence.values[0]):
        proba = classifier().predict_proba(X | {"city": np.full(240, city)}).mean(axis=0)
        np.testing.assert_allclose(dependence.average[:, place], proba, atol=1e-5)
    age = gn.partial_dependence(regressor(), X, "age", points=5)
    assert age.values[0][-1] is None and len(age.values[0]) == 6
    for value, mean in zip(age.values[0], age.average[0], strict=True):
        column = np.full(240, np.nan if value is None else value)
        expected = regressor().predict(X | {"age": column}).mean()
        np.testing.assert_allclose(mean, expected, rtol=1e-4)
    when = gn.partial_dependence(classifier(), X, ("when", "city"), points=3)
    assert when.average.shape == (2, 3, 3) and when.values[0][0].startswith("2024-01")
    assert len(when.to_frame()) == 9 and len(str(when).split("\n")) == 11
    (line,) = [line for line in age.plot().lines if len(line.get_xdata()) == 5]
    np.testing.assert_allclose(line.get_ydata(), age.average[0, :5])
    np.testing.assert_allclose(when.plot().images[0].get_array(), when.average[1].T)
    assert plain_values(age)["values"] == [list(age.values[0])]


def test_what_cannot_be_shuffled_or_varied_is_refused_with_a_reason() -> None:
    X, y, _ = table()
    pictures, codes, run = digits()
    wrong: list[tuple[Any, str]] = [
        (lambda: gn.permutation_importance(run, pictures, codes), "pictures"),
        (lambda: gn.permutation_importance(classifier(), X, y[:9]), "exactly one"),
        (lambda: gn.permutation_importance(classifier(), X, y, scoring="r3"), "scoring"),
        (lambda: gn.permutation_importance(classifier(), X, y, groups={"a": ["town"]}), "town"),
        (lambda: gn.permutation_importance(classifier(), X, y, repeats=0), "repeats"),
        (lambda: gn.partial_dependence(classifier(), X, "sise"), "Did you mean 'size'"),
        (lambda: gn.partial_dependence(classifier(), X, ["size"] * 3), "3 columns"),
    ]
    for call, message in wrong:
        with pytest.raises(gn.GlassnetError, match=message):
            call()


# -------------------------------------------------------------------------- neurons and examples


def hidden(X: np.ndarray, run: Any) -> np.ndarray:
    """Return the hidden layer of the digits network, computed by NumPy."""
    p = run.model.params[2]
    return np.maximum(X.reshape(len(X), -1) / 16 @ p["W"].T + p["b"], 0)


def test_the_strongest_examples_equal_those_computed_by_numpy() -> None:
    X, _, run = digits()
    a = hidden(X, run)
    for neuron in (0, 5):
        strongest = gn.strongest_examples(run, X, layer=3, neuron=neuron, count=5)
        np.testing.assert_allclose(
            strongest.facts["activation"], np.sort(a[:, neuron])[::-1][:5], rtol=1e-4
        )
        assert strongest.rows[0] == a[:, neuron].argmax()
    assert strongest.plot().images[0].get_array().shape == (8, 40)
    assert f"{strongest.rows[0]}" in str(strongest) and len(strongest.to_frame()) == 5
    Xt, _, _ = table()
    own = gn.strongest_examples(classifier(), Xt, layer=4, neuron=3, member=1)
    assert own.cells[0]["city"] == Xt["city"][own.rows[0]]
    assert own.to_frame()["size"].tolist() == Xt["size"][own.rows].tolist()
    np.testing.assert_array_equal(own.plot().images[0].get_array(), own.inputs[:, :-1])


def test_the_input_that_excites_most_excites_more_than_any_row() -> None:
    X, _, run = digits()
    a = hidden(X, run)
    for neuron in np.flatnonzero(a.max(axis=0) > 0)[:6]:
        excitation = gn.maximize_activation(run, X, layer=3, neuron=int(neuron), steps=60)
        assert excitation.activation > a[:, neuron].max()
        again = hidden(excitation.input[None], run)[0, neuron]
        np.testing.assert_allclose(excitation.activation, again, rtol=1e-4)
        assert (excitation.input >= X.min(axis=0)).all() and (
            excitation.input <= X.max(axis=0)
        ).all()
        far = gn.maximize_activation(run, X, layer=3, neuron=int(neuron), steps=60, l2=0)
        assert far.activation > excitation.activation
    np.testing.assert_array_equal(excitation.plot().images[0].get_array(), excitation.input)


def test_the_maximising_input_of_a_linear_neuron_is_a_corner_or_as_far_as_rows() -> None:
    X, y = blobs(200, features=4)
    run = gn.train(gn.Network([gn.Dense(3)]), X, y, epochs=5, dtype="float64")
    w, low, high = run.model.params[0]["W"][1], X.min(axis=0), X.max(axis=0)
    corner = gn.maximize_activation(run, X, 0, 1, l2=0)
    np.testing.assert_allclose(corner.input, np.where(w > 0, high, low), rtol=1e-9)
    held = gn.maximize_activation(run, X, 0, 1)
    # where the slope of a(x) / s is that of the pull, by hand: each input has its own parabola
    off = X.std(axis=0) ** 2 * w / (X @ w).std() * np.sqrt(4) / held.l2
    np.testing.assert_allclose(held.input, np.clip(X.mean(axis=0) + off, low, high), atol=0.02)
    assert (X @ w).max() - 1e-9 <= held.input @ w < corner.input @ w


def test_the_maximising_input_of_a_table_is_in_original_units() -> None:
    X, _, _ = table()
    model = classifier().model_
    for neuron in range(4):
        excitation = gn.maximize_activation(classifier(), X, layer=4, neuron=neuron, member=1)
        assert excitation.activation > excitation.strongest
        assert (
            excitation.cells["city"] in X["city"] and excitation.cells["postcode"] in X["postcode"]
        )
        row = {name: [value] for name, value in excitation.cells.items()} | {"unit": ["cm"]}
        row["when"] = np.array(row["when"], "datetime64[us]")
        again = gn.strongest_examples(model, row, layer=4, neuron=neuron, member=1, count=1)
        np.testing.assert_allclose(again.facts["activation"][0], excitation.activation, rtol=1e-3)
    assert (
        "maximum" in str(excitation)
        and plain_values(excitation)["cells"]["city"] == excitation.cells["city"]
    )
    assert (
        len(excitation.plot().patches) == len(excitation.input) - 1
    )  # the code of the postcode is no number
    assert len(excitation.to_frame()) == len(excitation.input)


def test_prototypes_are_nearest_to_the_mean_of_their_class() -> None:
    X, y, run = digits()
    a = hidden(X, run)
    typical = gn.prototypes(run, X, y, count=2)
    assert typical.facts["class"] == tuple(np.repeat(np.arange(10), 2))
    for digit in range(10):
        own = np.flatnonzero(y == digit)
        distance = np.linalg.norm(a[own] - a[own].mean(axis=0), axis=1)
        assert typical.rows[2 * digit] == own[distance.argmin()]
    Xt, yt, _ = table()
    both = gn.prototypes(classifier(), Xt, yt, count=1)
    assert both.facts["class"] == both.facts["predicted"] == ("no", "yes")


def test_confusions_are_the_most_confident_mistakes() -> None:
    X, y, run = digits()
    wrong_labels = np.where(np.arange(400) == 17, (y + 1) % 10, y)
    confusions = gn.confusions(run, X, wrong_labels)
    examples = confusions.mistakes
    proba = run.model.predict_proba(X)
    mistaken = proba.argmax(axis=1) != wrong_labels
    assert 17 in examples.rows and mistaken[examples.rows].all()
    assert examples.facts["probability"][0] == pytest.approx(proba.max(axis=1)[mistaken].max())
    np.testing.assert_array_equal(
        confusions.counts, confusion_matrix(wrong_labels, proba.argmax(axis=1))
    )
    assert sum(count for _, _, count in confusions.pairs()) == mistaken.sum()
    assert "classes confused" in str(confusions) and plain_values(confusions)["pairs"]
    right = gn.confusions(run, X, run.model.predict(X))
    assert len(right.mistakes) == 0 and right.pairs() == [] and "none" in str(right)


def test_impossible_neurons_and_examples_are_refused_with_a_reason() -> None:
    X, _, values = table()
    wrong: list[tuple[Any, str]] = [
        (lambda: gn.strongest_examples(classifier(), X, 99, 0), "layers 0 to"),
        (lambda: gn.strongest_examples(classifier(), X, 4, 16), "neuron is 16"),
        (lambda: gn.maximize_activation(classifier(), X, 4, 0, member=2), "member is 2"),
        (lambda: gn.prototypes(regressor(), X, values), "model of classes"),
        (lambda: gn.confusions(plain("labels")[1], plain("labels")[0], values), "model of classes"),
        (lambda: gn.strongest_examples(classifier(), rows(X, 0), 4, 0), "empty"),
    ]
    for call, message in wrong:
        with pytest.raises(gn.GlassnetError, match=message):
            call()


def test_columns_are_matched_by_name_or_position() -> None:
    X, _, model = numbers()
    named = {name: X[:20, place] for place, name in enumerate("abcd")}
    assert Rows.of(model.model_, named).cells([3]) == [dict(zip(numbered(4), X[3], strict=True))]
    given = [gn.attribute(model, form).values for form in (named, X[:20], csr_array(X[:20]))]
    np.testing.assert_allclose(given[0], given[1], rtol=1e-5)
    np.testing.assert_allclose(given[2], given[1], rtol=1e-5)


# ---------------------------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def home(tmp_path_factory: Any) -> Any:
    folder = tmp_path_factory.mktemp("home")
    X, y, _ = table()
    frame = pl.DataFrame({name: list(map(str, v)) for name, v in X.items()} | {"kind": y})
    frame.write_csv(folder / "data.csv")
    frame.drop("kind").write_csv(folder / "new.csv")
    model = replace(classifier().model_, info={"target": ["kind"], "task": "classification"})
    gn.save(model, folder / "m.glassnet")
    return folder


def run(*arguments: object) -> Any:
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


def test_the_command_explains_columns_and_single_rows(home: Any) -> None:
    done = run("explain", home / "m.glassnet", home / "data.csv")
    assert done.exit_code == 0, done.output
    assert {line.split()[0] for line in done.stdout.split("\n")[2:4]} == {"size", "city"}
    done = run("explain", home / "m.glassnet", home / "data.csv", "--json", "--repeats", 2)
    assert set(list(json.loads(done.stdout)["columns"])[:2]) == {"size", "city"}
    for of in ([], ["--of", "no"]):
        done = run("explain", home / "m.glassnet", home / "new.csv", "--row", 7, "--json", *of)
        assert done.exit_code == 0, done.output
        (row,) = json.loads(done.stdout)["rows"]
        X, _, _ = table()
        expected = gn.attribute(classifier(), X, "no" if of else None)
        assert row["target"] == expected.targets[7]
        np.testing.assert_allclose(
            [row["attributions"][name] for name in expected.columns], expected.values[7], atol=1e-4
        )


def test_the_command_refuses_what_it_cannot_explain(home: Any) -> None:
    model = home / "m.glassnet"
    for arguments, code, message in [
        ((model, home / "data.csv", "--row", 999), 2, "rows 0 to 239"),
        ((model, home / "data.csv", "--of", "yes"), 2, "--row"),
        ((model, home / "data.csv", "--row", 0, "--of", "maybe"), 3, "not in the training data"),
        ((model, home / "new.csv"), 3, "kind"),
        ((model, home / "data.csv", "--scoring", "r3"), 2, "scoring"),
    ]:
        done = run("explain", *arguments)
        assert done.exit_code == code, done.output
        assert message in done.stderr
