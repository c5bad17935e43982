"""Compare figures with independently computed numbers, and check colours and the gallery."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from sklearn.metrics import confusion_matrix
from typer.testing import CliRunner

import glassnet as gn
from glassnet.cli import app
from glassnet.display.drawing import (
    DARK,
    DASHES,
    HATCHES,
    LIGHT,
    MARKERS,
    Palette,
    palette,
    signed_colors,
)
from glassnet.figures import gallery
from glassnet.figures.landscape import direction, landscape
from helpers import blobs

F = gn.figures
XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), np.array([0, 1, 1, 0])


@pytest.fixture(scope="module")
def xor() -> Any:
    net = gn.Network([gn.Dense(4), "tanh", gn.Dense(2)])
    return gn.train(net, *XOR, optimizer=gn.Adam(0.05), epochs=200)


@pytest.fixture(scope="module")
def rows() -> Any:
    X, y = blobs(60, 9, 3)
    return X.astype(np.float32), y


@pytest.fixture(scope="module")
def normed(rows: Any) -> Any:
    net = gn.Network([gn.Dense(6), gn.BatchNorm(), "relu", gn.Dropout(0.5), gn.Dense(3)])
    return gn.train(net, *rows, epochs=3, validation=0.2)


@pytest.fixture(scope="module")
def values() -> Any:
    X = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    y = X @ [2.0, -1.0] + 5.0
    net = gn.Network([gn.Dense(5), "tanh", gn.Dense(1)])
    return gn.train(net, X, y, optimizer=gn.Adam(0.05), epochs=40), X, y


def by_gid(ax: Any, gid: str) -> list[Any]:
    return [artist for artist in ax.get_children() if artist.get_gid() == gid]


def parsed(text: str) -> float:
    return float(text.replace("−", "-"))


def numbers(texts: list[Any]) -> list[float]:
    return [parsed(re.findall(r"[−-]?[\d.]+(?:e[−-]?\d+)?$", t.get_text())[0]) for t in texts]


# ------------------------------------------------------------------------------- the network


@pytest.mark.parametrize("layer, position", [(0, 0), (1, 2)])
def test_a_weights_line_is_as_wide_as_it_is_large_and_dashed_below_zero(xor, layer, position):
    ax = F.network(xor)
    W = xor.model.params[position]["W"]
    largest = max(np.abs(xor.model.params[k]["W"]).max() for k in (0, 2))
    for sign, chosen in (("plus", W >= 0), ("minus", W < 0)):
        (lines,) = by_gid(ax, f"{sign}-{layer}")
        assert (np.array(lines.get_linestyles()[0][1]) != None).any() == (sign == "minus")  # noqa: E711
        size = (np.asarray(lines.get_linewidths()) - 0.3) / 3.7 * largest
        np.testing.assert_allclose(size, np.abs(W[chosen]), rtol=1e-5, atol=1e-6)
        drawn = {tuple(np.round(s.ravel(), 5)) for s in map(np.asarray, lines.get_segments())}
        heights = [by_gid(ax, f"neurons-{k}")[0].get_offsets()[:, 1] for k in (layer, layer + 1)]
        ends = {
            tuple(np.round([layer, heights[0][i], layer + 1, heights[1][j]], 5))
            for j, i in np.argwhere(chosen)
        }
        assert drawn == ends


def test_the_numbers_of_a_row_are_written_into_the_neurons(xor):
    ax = F.network(xor, XOR[0][1], inputs=["left", "right"])
    hidden = np.tanh(XOR[0][1] @ xor.model.params[0]["W"].T + xor.model.params[0]["b"])
    drawn = [parsed(text.get_text()) for text in by_gid(ax, "value-1")]
    np.testing.assert_allclose(drawn, hidden, atol=0.0051)
    probabilities = [parsed(text.get_text()) for text in by_gid(ax, "value-2")]
    np.testing.assert_allclose(probabilities, xor.model.predict_proba(XOR[0][1:2])[0], atol=0.0051)
    assert {"left", "right"} <= {text.get_text() for text in ax.texts}


def test_only_the_first_and_last_of_many_neurons_are_drawn(normed):
    ax = F.network(normed, limit=5)
    assert len(by_gid(ax, "neurons-0")[0].get_offsets()) == 4  # and dots for the other five
    assert [text.get_text() for text in ax.texts].count("⋮") == 2
    assert "x₉" in {text.get_text() for text in ax.texts}


def test_a_network_that_widens_between_layers_is_refused():
    net = gn.Network([gn.Dense(2), gn.Periodic(columns=2), gn.Dense(1)])
    with pytest.raises(gn.ConfigurationError, match="changes the number"):
        F.network(F.untrained(net, (2,)))
    with pytest.raises(gn.ConfigurationError, match="has no weights"):
        F.network(net)


def test_the_neuron_shown_is_the_neuron_asked_for(xor):
    row, p = XOR[0][1:2], xor.model.params
    a = np.tanh(row @ p[0]["W"].T + p[0]["b"])[0]
    ax = F.neuron(xor, row, layer=1, unit=1)
    np.testing.assert_allclose(numbers(by_gid(ax, "w")), p[2]["W"][1], rtol=0.01)
    np.testing.assert_allclose(numbers(by_gid(ax, "a")), a, rtol=0.01)
    z = float(p[2]["W"][1] @ a + p[2]["b"][1])
    assert parsed(by_gid(ax, "out")[0].get_text()) == pytest.approx(z, rel=0.01)
    hidden = F.neuron(xor, row, layer=0, unit=3)
    assert parsed(by_gid(hidden, "out")[0].get_text()) == pytest.approx(a[3], rel=0.01)


def test_the_equation_below_a_neuron_adds_up(normed, rows):
    ax = F.neuron(normed, rows[0][:1], layer=0, unit=2, limit=3)
    text = by_gid(ax, "equation")[0].get_text().split("\na = ")[0]
    text = text.replace("\n", " ").replace("\u00a0", " ")
    left, right = text.removeprefix("z = ").rsplit(" = ", 1)
    total = eval(left.replace("·", "*").replace("−", "-"))
    W, b = normed.model.params[0]["W"][2], normed.model.params[0]["b"][2]
    assert total == pytest.approx(parsed(right), abs=0.05)
    assert parsed(right) == pytest.approx(float(W @ rows[0][0] + b), abs=0.01)
    assert "6 others" in " ".join(text.get_text() for text in ax.texts)


@pytest.mark.parametrize("where", [{"layer": 7}, {"unit": 9}, {"inputs": ["a"]}])
def test_a_neuron_that_does_not_exist_is_refused(xor, where):
    with pytest.raises(gn.ConfigurationError):
        F.neuron(xor, XOR[0][:1], **where)
    with pytest.raises(gn.DataError, match="2 rows"):
        F.neuron(xor, XOR[0][:2])


@pytest.mark.parametrize("shape", [(3, 4), (2, 2, 3), (4, 3, 1)])
def test_a_picture_becomes_its_rows_one_after_the_other(shape):
    picture = np.random.default_rng(0).integers(0, 255, shape)
    ax = F.picture_as_vector(picture)
    flattened = gn.Flatten().forward({}, {}, jnp.asarray(picture)[None])[0][0]
    np.testing.assert_array_equal(np.asarray(ax.images[1].get_array()).ravel(), flattened)
    for row, line in enumerate(by_gid(ax, "row")):  # a row of pixels lies level with its numbers
        assert set(line.get_ydata()) == {row}
    assert ax.images[1].get_extent()[2:] == ax.images[0].get_extent()[2:] == [shape[0], 0]
    with pytest.raises(gn.DataError, match="pictures"):
        F.picture_as_vector(np.zeros((5, 3, 4, 3)))


def test_weights_are_drawn_as_the_pictures_they_belong_to(normed):
    W = normed.model.params[0]["W"]
    image = np.ma.filled(F.weights(normed).images[0].get_array(), np.nan)
    for k in range(6):
        row, column = divmod(k, 3)
        drawn = image[row * 5 + 2 : row * 5 + 5, column * 5 : column * 5 + 3]
        np.testing.assert_allclose(drawn, W[k].reshape(3, 3))
    assert np.isfinite(image).sum() == W.size
    table = F.weights(normed, layer=1, limit=2)
    strongest = np.sort(np.argsort(-np.linalg.norm(normed.model.params[4]["W"], axis=1))[:2])
    np.testing.assert_allclose(table.images[0].get_array(), normed.model.params[4]["W"][strongest])
    with pytest.raises(gn.ConfigurationError, match="9 weights"):
        F.weights(normed, shape=(2, 3))


def test_the_crossed_out_neurons_are_those_dropped_in_the_pass(normed, rows):
    key = gn.keys.key(3)
    ax = F.dropout(normed, rows[0][:1], key=key)
    model = normed.model
    _, _, cache = model.network.forward(
        model.params, model.layer_state, rows[0][:1], key=key, train=True
    )
    lost = np.asarray(cache[3])[0] == 0
    assert 0 < lost.sum() < 6
    columns = [by_gid(ax, name)[0].get_offsets()[:, 1] for name in ("neurons-1", "crossed-1")]
    order = sorted([*((-h, False) for h in columns[0]), *((-h, True) for h in columns[1])])
    assert [crossed for _, crossed in order] == lost.tolist()
    assert len(by_gid(ax, "dropped-0")[0].get_segments()) == lost.sum() * 9
    assert len(by_gid(ax, "dropped-1")[0].get_segments()) == lost.sum() * 3
    assert f"{lost.sum()} of 6" in ax.get_title()


def test_dropout_is_drawn_for_the_next_step_of_a_run(normed, rows):
    key = gn.keys.fold_in(normed.state.key, normed.state.step)
    titles = [
        by_gid(F.dropout(normed, rows[0][:1], **k), "crossed-1")[0].get_offsets().tolist()
        for k in ({}, {"key": key})
    ]
    assert titles[0] == titles[1]
    with pytest.raises(gn.ConfigurationError, match="no Dropout"):
        F.dropout(F.untrained(gn.Network([gn.Dense(1)]), (2,)), [[1.0, 2.0]])


# --------------------------------------------------------------------------------- functions


@pytest.mark.lowest
def test_activations_are_drawn_with_their_slopes():
    names = ["sigmoid", "tanh", "softplus", "gelu", "mish"]
    axes = F.activations(names)
    assert len(axes) == 5
    for ax in axes:
        value, slope = ax.lines[2], ax.lines[3]
        z, a = np.asarray(value.get_xdata(), float), np.asarray(value.get_ydata(), float)
        differences = (a[2:] - a[:-2]) / (z[2:] - z[:-2])
        np.testing.assert_allclose(slope.get_ydata()[1:-1], differences, atol=2e-3)
        assert value.get_linestyle() != slope.get_linestyle()
    with pytest.raises(gn.ConfigurationError, match="Did you mean"):
        F.activations(["rellu"])


def test_panels_replace_the_given_axes():
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4))
    axes = F.activations(["relu", "tanh"], right)
    assert left in figure.axes and right not in figure.axes
    assert all(ax.figure is figure and ax.get_position().x0 > 0.5 for ax in axes)


def test_the_gradients_of_losses_are_their_slopes():
    loss, back = F.losses()
    for value, slope in zip(loss.lines, back.lines, strict=True):
        z, L = np.asarray(value.get_xdata(), float), np.asarray(value.get_ydata(), float)
        differences = np.abs((L[2:] - L[:-2]) / (z[2:] - z[:-2]))
        np.testing.assert_allclose(slope.get_ydata()[1:-1], differences, atol=2e-3)


def test_descent_draws_the_paths_of_optimizers_and_the_gradient():
    ax = F.descent(optimizers={"plain": gn.SGD(0.05), "heavy": gn.Momentum(0.02, 0.8)}, steps=6)
    point, slow, speed = np.array([-4.0, 1.5]), np.array([-4.0, 1.5]), np.zeros(2)
    for step in range(7):
        np.testing.assert_allclose(ax.lines[0].get_xydata()[step], point, rtol=1e-5)
        np.testing.assert_allclose(ax.lines[1].get_xydata()[step], slow, rtol=1e-5)
        point = point - 0.05 * np.array([2, 24]) * point
        speed = 0.8 * speed + np.array([2, 24]) * slow
        slow = slow - 0.02 * speed
    assert [line.get_label().split(":")[0] for line in ax.lines[:2]] == ["plain", "heavy"]
    assert re.fullmatch(r"From 43 down in 6 steps: (plain|heavy) gets lowest", ax.get_title())
    (arrow,) = [t for t in ax.texts if t.get_text() == "" and hasattr(t, "xyann")]
    way = np.asarray(arrow.xy) - np.asarray(arrow.xyann)
    np.testing.assert_allclose(
        way / np.linalg.norm(way), np.array([-8, 36]) / np.hypot(8, 36), rtol=1e-5
    )


def test_a_surface_shows_its_function_and_the_descent():
    ax = F.surface(
        lambda x, y: x * x + 3 * y, at=(1.0, 1.0), optimizer=gn.SGD(0.25), steps=2, span=1
    )
    (way,) = [line for line in ax.lines if line.get_label() == "descent"]
    x, y, z = (np.asarray(array) for array in way.get_data_3d())
    np.testing.assert_allclose(np.stack([x, y]).T, [[1, 1], [0.5, 0.25], [0.25, -0.5]])
    np.testing.assert_allclose(z, x * x + 3 * y)
    assert "(2, 3)" in " ".join(ax.get_title().split())
    figure = plt.figure()
    ax = F.surface(ax=figure.add_subplot())
    assert ax.name == "3d" and figure.axes == [ax]


# ---------------------------------------------------------------------------------- training


def test_gradient_descent_and_sgd_start_together_and_step_by_their_rows():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(12, 2)).astype(np.float32)
    y = X @ [1.0, 2.0] + rng.normal(size=12)
    net = gn.Network([gn.Dense(1, bias=False)])
    ax = F.sgd_against_gd(net, X, y, learning_rate=0.1, batch_size=4, epochs=2)
    plain, noisy = (line.get_xydata() for line in ax.lines[:2])
    w = F.untrained(net, (2,)).params[0]["W"][0].astype(float)
    np.testing.assert_allclose(noisy[0], w, rtol=1e-6)
    for step in range(7):
        np.testing.assert_allclose(plain[step], w, rtol=1e-4)
        w = w - 0.1 * 2 * X.T @ (X @ w - y) / 12
    order = np.asarray(gn.keys.permutation(gn.keys.fold_in(gn.keys.key(0), 0), 12))[:4]
    first = noisy[0] - 0.1 * 2 * X[order].T @ (X[order] @ noisy[0] - y[order]) / 4
    np.testing.assert_allclose(noisy[1], first, rtol=1e-4)


def test_learning_rates_draw_the_losses_of_trainings_at_these_rates(rows):
    X, y = rows
    net, rates = gn.Network([gn.Dense(3)]), [1e-4, 0.1]
    ax = F.learning_rates(net, X, y, rates=rates, epochs=4, optimizer="sgd")
    for rate, line in zip(rates, ax.lines, strict=False):
        alone = gn.train(net, X, y, optimizer=gn.SGD(rate), epochs=4)
        np.testing.assert_allclose(line.get_ydata(), alone.history["loss"], rtol=1e-4)
    assert ax.get_title() == "0.1 learns; 0.0001 is too small"


def test_learning_rates_finds_rates_that_are_too_small_right_and_too_large(values):
    _, X, y = values
    ax = F.learning_rates(gn.Network([gn.Dense(1)]), X, y, optimizer="sgd", epochs=5)
    small, right, large = (line.get_label().split(": ") for line in ax.lines[:3])
    assert float(small[0]) < float(right[0]) < float(large[0])
    assert large[1] == "diverged" or parsed(large[1]) > parsed(right[1])
    assert parsed(small[1]) > parsed(right[1])


def test_learning_curves_are_the_history(normed):
    ax = F.learning_curves(normed)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), normed.history["loss"])
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), normed.history["validation_loss"])
    assert set(ax.lines[2].get_xdata()) == {normed.history.best_epoch}
    again = F.learning_curves(SimpleNamespace(history_=normed.history))  # as estimators have it
    assert again.get_title() == F.learning_curves(normed.history).get_title() == ax.get_title()
    with pytest.raises(gn.ConfigurationError, match="history"):
        F.learning_curves(normed.model)


def test_the_title_names_overfitting():
    losses = np.array([1.0, 0.5, 0.8])
    history = gn.History({"epoch": np.arange(1, 4), "loss": losses / 2, "validation_loss": losses})
    text = " ".join(F.learning_curves(history).get_title().split())
    assert text.endswith("after epoch 2 of 3, then rises to 0.8: overfitting")


def test_the_gradient_by_layer_is_jax_grads(xor):
    model = xor.model
    ax = F.gradient_flow({"trained": xor, "fresh": F.untrained(model.network, (2,), XOR[1])}, *XOR)

    def loss(params: Any) -> Any:
        logits = model.network.forward(params, model.layer_state, jnp.asarray(XOR[0]))[0]
        return gn.CrossEntropy().value(logits, jnp.asarray(XOR[1]))

    expected = jax.grad(loss)(jax.tree.map(jnp.asarray, model.params))
    sizes = [float(jnp.sqrt(jnp.mean(expected[k]["W"] ** 2))) for k in (0, 2)]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), sizes, rtol=1e-4)
    assert [line.get_label() for line in ax.lines[:2]] == ["trained", "fresh"]


def test_activity_shows_the_spread_and_the_idle_share(normed, rows):
    model = normed.model
    ax = F.activity(normed, rows[0])
    z, _, _ = gn.Network(model.network.layers[:3]).forward(
        model.params[:3], model.layer_state[:3], rows[0]
    )
    a = np.asarray(z)
    ends = [np.asarray(line.get_ydata()) for line in ax.lines if len(line.get_ydata()) == 2]
    whiskers = np.unique(np.concatenate(ends))
    assert np.abs(whiskers - np.percentile(a, 95)).min() < a.max() / 10
    assert f"{np.mean(a == 0):.0%} idle" in ax.get_xticklabels()[0].get_text()


def test_boxes_before_and_after_batch_normalisation(rows):
    net = gn.Network([gn.Dense(3), gn.BatchNorm(), "relu", gn.Dense(1)])
    model = F.untrained(net, (9,))
    ax = F.batch_norm(model, rows[0])
    z = rows[0] @ model.params[0]["W"].T
    hat = (z - z.mean(axis=0)) / z.std(axis=0)  # the root of the mean SQUARED deviation
    boxes = [patch.get_path().vertices[:, 1] for patch in ax.patches]
    for k in range(3):
        for box, column in ((boxes[k], z[:, k]), (boxes[3 + k], hat[:, k])):
            quartiles = np.percentile(column, [25, 75])
            np.testing.assert_allclose([box.min(), box.max()], quartiles, atol=1e-3)
    assert ax.patches[0].get_hatch() != ax.patches[3].get_hatch()
    with pytest.raises(gn.ConfigurationError, match="0 BatchNorm"):
        F.batch_norm(F.untrained(gn.Network([gn.Dense(1)]), (9,)), rows[0])


# ----------------------------------------------------------------------------------- answers


def contour_points(ax: Any, k: int) -> np.ndarray:
    """Return the points of the k-th contour line set of an axes."""
    sets = [c for c in ax.collections if type(c).__name__ == "QuadContourSet" and not c.filled]
    return np.concatenate([path.vertices for path in sets[k].get_paths() if len(path.vertices)])


@pytest.mark.lowest
def test_xor_is_drawn_with_the_best_line_and_the_networks_boundary(xor):
    ax = F.xor(xor)
    boundary = contour_points(ax, 0)
    assert np.abs(xor.model.predict_proba(boundary)[:, 1] - 0.5).max() < 0.05
    (line,) = [array for array in ax.lines if array.get_label() == "a perceptron's best line"]
    (x0, y0), (x1, y1) = line.get_xydata()[[0, -1]]
    side = (x1 - x0) * (XOR[0][:, 1] - y0) - (y1 - y0) * (XOR[0][:, 0] - x0)
    right = ((side > 0) == XOR[1]).sum()
    assert max(right, 4 - right) == 3
    points = [c.get_offsets().tolist() for c in ax.collections if len(c.get_offsets()) == 2]
    assert points == [XOR[0][XOR[1] == k].tolist() for k in (0, 1)]
    assert ax.get_title() == "A line gets 3 of 4 right, the network 4"


def test_a_boundary_runs_where_two_classes_are_equally_likely(rows):
    X, y = rows[0][:, :3], np.array(["low", "mid", "top"])[rows[1]]
    run = gn.train(gn.Network([gn.Dense(3)]), X, y, optimizer=gn.Adam(0.05), epochs=20)
    ax = F.decision_boundary(run, X, y, features=(2, 0), points=61)
    points = contour_points(ax, 0)
    full = np.tile(np.median(X, axis=0), (len(points), 1)).astype(np.float32)
    full[:, 2], full[:, 0] = points[:, 0], points[:, 1]
    proba = np.sort(run.model.predict_proba(full), axis=1)
    assert np.abs(proba[:, 2] - proba[:, 1]).max() < 0.1
    drawn = {
        c.get_label(): np.asarray(c.get_offsets()) for c in ax.collections if c.get_label() in y
    }
    for name in ("low", "mid", "top"):
        np.testing.assert_array_equal(drawn[name], X[y == name][:, [2, 0]])
    wrong = (run.model.predict(X) != y).sum()
    assert f"{wrong} of 60" in ax.get_title() and "1 other feature" in " ".join(
        ax.get_title().split()
    )


def test_a_boundary_of_a_table_by_column_names_with_fixed_categories():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"cost in $": rng.normal(size=40), "kind": ["a", "b", "b", "b"] * 10})
    table["size"] = rng.normal(size=40)
    y = (table["size"] > 0).astype(int)
    model = gn.NeuralClassifier((4,), members=1, epochs=2, random_state=0).fit(table, y)
    ax = F.decision_boundary(model, table, y, features=("cost in $", "size"), points=9)
    assert ax.get_xlabel() == "cost in \\$"  # read as it is, not as a formula
    ax.figure.canvas.draw()
    for wrong in (("cost in $", "kind"), ("size", "size"), ("size", "sise"), (0, 7)):
        with pytest.raises(gn.DataError):
            F.decision_boundary(model, table, y, features=wrong)


def test_values_over_two_features_and_residuals(values):
    run, X, y = values
    ax = F.decision_boundary(run, X, y, points=15)
    (points,) = [c for c in ax.collections if type(c).__name__ == "PathCollection"]
    np.testing.assert_array_equal(points.get_offsets(), X)
    np.testing.assert_array_equal(points.get_array(), y)
    ax = F.residuals(run, X, y)
    predicted = run.model.predict(X).ravel()
    np.testing.assert_allclose(
        ax.collections[0].get_offsets(), np.stack([predicted, y - predicted], 1), rtol=1e-5
    )
    rmse = np.sqrt(np.mean((y - predicted) ** 2))
    assert any(np.allclose(line.get_ydata(), rmse) for line in ax.lines)
    with pytest.raises(gn.ConfigurationError, match="confusion_matrix"):
        F.residuals(
            gn.Model(
                network=run.model.network,
                params=(),
                layer_state=(),
                loss=gn.CrossEntropy(),
                in_shape=(2,),
            ),
            X,
            y,
        )
    with pytest.raises(gn.ConfigurationError, match="residuals"):
        F.confusion_matrix(run, X, y)


def test_the_confusion_matrix_is_scikit_learns(normed, rows):
    ax = F.confusion_matrix(normed, *rows)
    expected = confusion_matrix(rows[1], normed.model.predict(rows[0]))
    np.testing.assert_array_equal(ax.images[0].get_array(), expected)
    assert ax.get_title().startswith(f"{np.trace(expected)} of 60 right")


# -------------------------------------------------------------------------------- landscapes


def test_the_landscape_is_the_loss_along_directions_as_long_as_the_weights(xor):
    model = xor.model
    losses = landscape(model, *XOR, np.linspace(-1, 1, 5), seed=0)
    d, e = (direction(model.params, gn.keys.key(0), k) for k in (0, 1))
    for k in (0, 2):
        for along in (d, e):
            sizes = [np.linalg.norm(array[k]["W"], axis=1) for array in (along, model.params)]
            np.testing.assert_allclose(*sizes, rtol=1e-5)
            assert not along[k]["b"].any()
    moved = jax.tree.map(lambda w, d, e: w + 0.5 * d - e, model.params, d, e)
    logits = np.asarray(model.network.forward(moved, model.layer_state, XOR[0])[0], float)
    expected = np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(4), XOR[1]])
    assert losses[0, 3] == pytest.approx(expected, rel=1e-4)  # β = -1, α = 0.5
    ax = F.loss_landscape(xor, *XOR, points=5)
    assert ax.lines[0].get_xydata().tolist() == [[0, 0]]
    assert f"({losses[2, 2]:.3g})" in " ".join(ax.get_title().split())


def test_wider_layers_approximate_better_and_the_error_is_the_largest_between_the_rows():
    ax = F.approximation(widths=[1, 8], points=61, epochs=400)
    errors = ax.lines[0].get_ydata()
    assert ax.lines[0].get_xdata().tolist() == [1, 8] and errors[1] < errors[0]
    net = gn.Network(
        [gn.Dense(1, initializer=gn.Normal(8.0)), "tanh", gn.Dense(1, initializer="glorot")]
    )
    x, z = (np.linspace(-2, 2, n, dtype=np.float32)[:, None] for n in (61, 244))

    def wave(x: Any) -> Any:
        return np.sin(3 * x) + np.abs(x)

    rate = gn.Adam(gn.Cosine(0.05))
    run = gn.train(
        net, x / 2, wave(x[:, 0]).astype(float), optimizer=rate, batch_size=None, epochs=400
    )
    expected = np.abs(run.model.predict(z / 2).ravel() - wave(z[:, 0])).max()
    assert errors[0] == pytest.approx(expected, rel=1e-3)


# ----------------------------------------------------------------------------------- drawing


def luminance(color: Any) -> float:
    """Return the relative luminance of WCAG 2."""
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return float(np.dot([0.2126, 0.7152, 0.0722], parts))


def contrast(one: Any, other: Any) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colors", [LIGHT, DARK])
def test_colours_stand_out_from_their_background(colors: Palette):
    assert contrast(colors.ink, colors.face) > 7
    assert contrast(colors.muted, colors.face) > 4.5
    for color in colors.series:
        assert contrast(color, colors.face) > 3


def test_without_colour_lines_areas_and_signs_still_differ():
    looks = [LIGHT.look(k, 1) for k in range(len(DASHES))]
    assert len({(str(look["linestyle"]), look["marker"]) for look in looks}) == len(DASHES)
    assert len(set(map(str, DASHES))) == len(DASHES)
    assert len(set(MARKERS)) == len(MARKERS) and len(set(HATCHES)) == len(HATCHES)
    scale = [luminance(signed_colors()(v)[:3]) for v in np.linspace(0, 1, 21)]
    assert all(np.diff(scale) > 0)


def test_the_colours_follow_the_background():
    assert palette(plt.figure().add_subplot()) is LIGHT
    with plt.style.context("dark_background"):
        assert palette(plt.figure().add_subplot()) is DARK
    with F.style(dark=True, transparent=True):
        assert palette(plt.figure().add_subplot()) is DARK
    before = dict(plt.rcParams)
    with F.style():
        pass
    assert dict(plt.rcParams) == before


# ----------------------------------------------------------------------------------- gallery


@pytest.fixture(scope="module")
def networks(xor: Any, rows: Any, normed: Any, values: Any) -> Any:
    """Return small networks in place of the gallery's."""
    gallery_networks = gallery.Networks()
    pair = rows[0][:, :2], rows[1]
    moons = gn.train(
        gn.Network([gn.Dense(4), "tanh", gn.Dense(3)]), *pair, epochs=3, validation=0.2
    )
    gallery_networks.__dict__ |= {
        "xor": xor, "moon_rows": pair, "moons": moons, "digits": normed, "unseen_digits": rows,
        "digit_rows": rows, "diabetes": values[0],
        "diabetes_rows": values[1:], "deep": {"one": moons},
    }  # fmt: skip
    return gallery_networks


SLOW_TO_DRAW = ("approximation", "learning_rates", "sgd_against_gd")  # tested above


@pytest.mark.parametrize("name", [n for n in gallery.PICTURES if n not in SLOW_TO_DRAW])
def test_no_text_of_a_figure_is_cut_off(name: str, networks: Any, rows: Any, monkeypatch: Any):
    if name == "picture_as_vector":
        pictures = np.tile(rows[0], 8)[:, :64], rows[1]
        monkeypatch.setitem(networks.__dict__, "digit_rows", pictures)
    with F.style(dark=True):
        figure, axes = gallery._figure(gallery.PICTURES[name], networks)
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        FigureCanvasAgg(figure).draw()
    assert all(ax.get_title() for ax in np.ravel(np.asarray(axes, object)))
    width, height = figure.bbox.size
    for ax in figure.axes:
        for text in [ax.title, ax.xaxis.label, ax.yaxis.label, *ax.texts]:
            box = text.get_window_extent()
            if text.get_visible() and text.get_text():
                assert box.x0 > -3 and box.x1 < width + 3, text.get_text()
                assert box.y0 > -3 and box.y1 < height + 3, text.get_text()


def test_every_figure_is_in_the_gallery():
    assert set(gallery.PICTURES) == set(F.__all__) - {"style", "untrained"}


def test_the_command_draws_into_a_folder_with_a_page(tmp_path, monkeypatch):
    out = tmp_path / "made" / "figures"
    chosen = ["--only", "losses", "--only", "descent"]
    done = CliRunner().invoke(app, ["figures", "--out", str(out), *chosen])
    assert done.exit_code == 0 and "losses: " in done.stdout
    files = sorted(path.name for path in out.iterdir())
    assert files == [
        "descent-dark.svg", "descent.svg", "index.html", "losses-dark.svg", "losses.svg",
    ]  # fmt: skip
    page = (out / "index.html").read_text()
    assert page.count("prefers-color-scheme: dark") >= 2 and 'src="descent.svg"' in page
    assert re.search(r'alt="Paths of several optimizers .* From 43 down in 40 steps', page)
    assert "http" not in page.replace("http-equiv", "")
    assert DARK.face in (out / "losses-dark.svg").read_text()
    for wrong in (["--only", "nothing"], ["--format", "gif"], ["--seed", "-1"]):
        assert CliRunner().invoke(app, ["figures", "--out", str(out), *wrong]).exit_code == 2
    (tmp_path / "file").touch()
    assert CliRunner().invoke(app, ["figures", "--out", str(tmp_path / "file")]).exit_code == 3
