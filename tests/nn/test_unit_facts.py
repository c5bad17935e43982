"""Test the facts in a course unit on neural networks, from neurons to batch normalization."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassnet import keys
from glassnet._precision import precision
from glassnet.fit.train import train
from glassnet.nn.activations import ACTIVATIONS, LeakyReLU, ReLU, Sigmoid, Tanh
from glassnet.nn.initializers import Normal
from glassnet.nn.layers import BatchNorm, Dense, Dropout
from glassnet.nn.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError
from glassnet.nn.network import Network
from glassnet.nn.optimizers import SGD, Adam
from glassnet.nn.schedules import Cosine

CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR = np.array([0, 1, 1, 0])


def with_params(network: Network, in_shape: tuple[int, ...], seed: int = 0) -> tuple[Any, Any]:
    """Return (params, state) with biases that are not 0."""
    params, state, _ = network.init(keys.key(seed), in_shape)
    rng = np.random.default_rng(seed)
    params = jax.tree.map(
        lambda p: jnp.asarray(p + rng.normal(size=p.shape) * 0.3, p.dtype), params
    )
    return params, jax.tree.map(jnp.asarray, state)


# --- neurons, layers, forward passes -----------------------------------------------------


def test_a_3_4_1_network_has_weights_4_by_3_and_1_by_4() -> None:
    params, _, out_shape = Network([Dense(4), Sigmoid(), Dense(1)]).init(keys.key(0), (3,))
    assert [p.shape for p in (params[0]["W"], params[0]["b"])] == [(4, 3), (4,)]
    assert [p.shape for p in (params[2]["W"], params[2]["b"])] == [(1, 4), (1,)]
    assert params[1] == {} and out_shape == (1,)


def test_a_neuron_sums_its_weighted_inputs_and_its_bias() -> None:
    params = {"W": jnp.array([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]]), "b": jnp.array([5.0, -1.0])}
    z, _, _ = Dense(2).forward(params, {}, jnp.array([[2.0, 1.0, 4.0]]))
    assert z.tolist() == [[1 * 2 - 2 * 1 + 0.5 * 4 + 5, 0 * 2 + 3 * 1 + 1 * 4 - 1]]


def test_a_network_equals_its_formula_written_by_hand() -> None:
    network = Network([Dense(4), Sigmoid(), Dense(1)])
    with precision("float64"):
        params, state = with_params(network, (3,))
        x = np.random.default_rng(1).normal(size=(5, 3))
        logits, _, _ = network.forward(params, state, jnp.asarray(x))
    params = jax.tree.map(np.asarray, params)
    hidden = 1 / (1 + np.exp(-(params[0]["W"] @ x.T + params[0]["b"][:, None])))
    by_hand = params[2]["W"] @ hidden + params[2]["b"][:, None]
    np.testing.assert_allclose(logits, by_hand.T, rtol=1e-12)


@pytest.mark.parametrize("scale", [0, 1, 1e2, 1e4, 1e30])
def test_probabilities_sum_to_1(scale: float) -> None:
    logits = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32) * np.float32(scale)
    p = np.asarray(CrossEntropy().output(jnp.asarray(logits)))
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
    assert (p >= 0).all() and (p <= 1).all()


def test_a_model_gives_one_probability_per_class_and_they_sum_to_1() -> None:
    X = np.random.default_rng(0).normal(size=(30, 4))
    run = train(Network([Dense(3)]), X, np.arange(30) % 3, epochs=1)
    p = run.model.predict_proba(X * 1e4)
    assert p.shape == (30, 3)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(run.model.predict(X * 1e4), p.argmax(axis=1))


# --- the perceptron and XOR -----------------------------------------------------------------------


def test_no_perceptron_on_a_dense_grid_gets_more_than_3_of_4_on_xor() -> None:
    ticks = np.linspace(-3, 3, 61)
    W = np.stack([g.ravel() for g in np.meshgrid(ticks, ticks, ticks)])
    z = CORNERS @ W[:2] + W[2]
    for predicted in (z > 0, z >= 0):
        assert (predicted == XOR[:, None]).sum(axis=0).max() == 3


@given(*[st.integers(-(10**6), 10**6)] * 3)
def test_no_perceptron_at_all_gets_4_of_4_on_xor(w1: int, w2: int, b: int) -> None:
    z = {(x, y): w1 * x + w2 * y + b for x in (0, 1) for y in (0, 1)}  # whole numbers are exact
    # the proof: XOR needs both terms on the left above 0 and both on the right at most 0
    assert z[0, 1] + z[1, 0] == z[0, 0] + z[1, 1]
    assert sum((z[x, y] > 0) == bool(x ^ y) for x, y in z) <= 3


def test_trained_perceptrons_get_at_most_3_of_4_on_xor() -> None:
    for network, loss in (([Dense(1)], "binary_cross_entropy"), ([Dense(2)], "cross_entropy")):
        for seed in range(5):
            run = train(
                Network(network),
                CORNERS,
                XOR,
                loss=loss,
                optimizer=Adam(0.05),
                epochs=200,
                seed=seed,
            )
            assert (run.model.predict(CORNERS) == XOR).sum() <= 3


@pytest.mark.parametrize(
    ("network", "loss"),
    [
        (Network([Dense(4), Tanh(), Dense(2)]), "cross_entropy"),
        (Network([Dense(4), Tanh(), Dense(1)]), "binary_cross_entropy"),
    ],
    ids=["softmax", "sigmoid"],
)
def test_a_hidden_layer_of_4_solves_xor_from_20_of_20_seeds(network: Network, loss: str) -> None:
    solved = 0
    for seed in range(20):
        run = train(network, CORNERS, XOR, loss=loss, optimizer=Adam(0.1), epochs=300, seed=seed)
        solved += (run.model.predict(CORNERS) == XOR).all()
    assert solved == 20


def test_linear_layers_collapse_into_one() -> None:
    deep, shallow = Network([Dense(5), "identity", Dense(4), Dense(2)]), Dense(2)
    with precision("float64"):
        params, state = with_params(deep, (3,))
        (W1, b1), (W2, b2), (W3, b3) = ((params[i]["W"], params[i]["b"]) for i in (0, 2, 3))
        one = {"W": W3 @ W2 @ W1, "b": W3 @ W2 @ b1 + W3 @ b2 + b3}
        x = jnp.asarray(np.random.default_rng(0).normal(size=(20, 3)))
        np.testing.assert_allclose(
            deep.forward(params, state, x)[0],
            shallow.forward(one, {}, x)[0],
            rtol=1e-10,
            atol=1e-12,
        )


def test_an_activation_keeps_layers_from_collapsing() -> None:
    network = Network([Dense(4), Tanh(), Dense(1)])
    with precision("float64"):
        params, state = with_params(network, (2,))
        z = np.asarray(network.forward(params, state, jnp.asarray(CORNERS))[0])[:, 0]
    assert abs(z[1] + z[2] - z[0] - z[3]) > 1e-3  # 0 for every linear function


# --- activations ----------------------------------------------------------------------------------


def test_activations_have_their_ranges_and_values() -> None:
    z = jnp.linspace(-20, 20, 401)
    sigmoid, tanh = Sigmoid().value(z), Tanh().value(z)
    assert sigmoid.min() >= 0 and sigmoid.max() <= 1 and Sigmoid().value(0.0) == 0.5
    assert tanh.min() >= -1 and tanh.max() <= 1 and Tanh().value(0.0) == 0
    np.testing.assert_allclose(tanh, 2 * Sigmoid().value(2 * z) - 1, atol=1e-6)
    np.testing.assert_array_equal(ReLU().value(z), np.where(z > 0, z, 0))
    np.testing.assert_allclose(LeakyReLU(0.1).value(z), np.where(z > 0, z, 0.1 * z), rtol=1e-6)


def test_the_sigmoids_derivative_is_at_most_a_quarter() -> None:
    z = jnp.arange(-2000, 2001) / 100  # includes 0
    slope = Sigmoid().derivative(z, Sigmoid().value(z))
    assert slope.max() == 0.25 and z[slope.argmax()] == 0
    assert slope.min() < 1e-8


def test_gradients_vanish_with_depth_through_sigmoids_but_not_through_relu() -> None:
    def first_gradient(activation: str, depth: int) -> float:
        network = Network(
            [*(layer for _ in range(depth) for layer in (Dense(16), activation)), Dense(1)]
        )
        params, state, _ = network.init(keys.key(0), (16,))
        x = jnp.asarray(np.random.default_rng(0).normal(size=(8, 16)), jnp.float32)
        _, _, cache = network.forward(params, state, x)
        return float(np.abs(network.backward(params, cache, jnp.ones((8, 1)))[1][0]["W"]).max())

    assert first_gradient("sigmoid", 10) < 1e-3 * first_gradient("sigmoid", 1)
    assert first_gradient("relu", 10) > 1e-2 * first_gradient("relu", 1)


def test_one_hidden_layer_fits_a_wave_with_a_kink_within_0_02() -> None:
    x, between = np.linspace(-2, 2, 401)[:, None], np.linspace(-2, 2, 7919)[:, None]

    def largest_error(activation: str, epochs: int = 4000) -> float:
        network = Network([Dense(64, Normal(8.0)), activation, Dense(1)])
        optimizer = Adam(Cosine(0.03))
        run = train(network, x, wave(x)[:, 0], optimizer=optimizer, batch_size=64, epochs=epochs)
        return float(np.abs(run.model.predict(between)[:, None] - wave(between)).max())

    def wave(x: Any) -> Any:
        return np.sin(3 * x) + np.abs(x)

    assert largest_error("tanh") < 0.02
    assert largest_error("identity", 50) > 1  # a straight line, however wide the layer


# --- loss, gradient, descent ----------------------------------------------------------------------


def test_losses_equal_their_formulas() -> None:
    y, predicted = np.array([1.0, 2.0, 4.0]), np.array([[1.5], [2.0], [1.0]])
    assert MeanSquaredError().value(jnp.asarray(predicted), jnp.asarray(y)) == pytest.approx(
        9.25 / 3
    )
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    loss = CrossEntropy().value(jnp.log(jnp.asarray(p)), jnp.array([0, 2]))
    assert loss == pytest.approx(-(np.log(0.7) + np.log(0.8)) / 2)


def test_the_gradient_of_the_exercise_is_4_2_0() -> None:
    def f(v: Any) -> Any:
        x, y, z = v
        return (2 / 3) * x**2 + y**2 - 2 * y + z**4 - (4 / 3) * z**3

    with precision("float64"):
        point = jnp.array([3.0, 2.0, 1.0])
        gradient = jax.grad(f)(point)
        np.testing.assert_allclose(gradient, [4, 2, 0], atol=1e-14)

        optimizer = SGD(0.01)
        step, _ = optimizer.update(gradient, optimizer.init(point), point)
        np.testing.assert_allclose(step, [-0.04, -0.02, 0], atol=1e-14)
        assert f(point + step) < f(point) < f(point - step)


def test_the_chain_rule_of_one_sigmoid_neuron() -> None:
    network = Network([Dense(1), Sigmoid()])
    with precision("float64"):
        params, state = with_params(network, (3,))
        a = jnp.asarray(np.random.default_rng(0).normal(size=(6, 3)))
        y = jnp.asarray(np.random.default_rng(1).uniform(size=6))
        predicted, _, cache = network.forward(params, state, a)
        dy = MeanSquaredError().gradient(predicted, y)
        _, grads = network.backward(params, cache, dy)
    predicted, y = np.asarray(predicted)[:, 0], np.asarray(y)
    # dL/dw_x = sum over examples of -2 (y - ŷ) / N · σ'(z) · a_x
    delta = -2 * (y - predicted) / 6 * predicted * (1 - predicted)
    np.testing.assert_allclose(grads[0]["W"][0], delta @ np.asarray(a), rtol=1e-12)
    np.testing.assert_allclose(grads[0]["b"], [delta.sum()], rtol=1e-12)


def test_gradient_descent_with_small_steps_lowers_the_loss() -> None:
    X = np.random.default_rng(0).normal(size=(40, 3))
    y = X @ [1.0, -2.0, 0.5] + 3
    run = train(Network([Dense(1)]), X, y, optimizer=SGD(0.05), batch_size=None, epochs=200)
    assert (np.diff(run.history["loss"]) <= 1e-6).all()
    np.testing.assert_allclose(run.model.params[0]["W"], [[1, -2, 0.5]], atol=1e-2)
    np.testing.assert_allclose(run.model.params[0]["b"], [3], atol=1e-2)


# --- dropout --------------------------------------------------------------------------------------


def test_the_weights_of_a_dropped_neuron_get_no_gradient_from_that_row() -> None:
    network = Network([Dense(6), Tanh(), Dropout(0.5), Dense(2)])
    with precision("float64"):
        params, state = with_params(network, (3,))
        n_dropped = n_kept = 0
        for step in range(10):
            x = jnp.asarray(np.random.default_rng(step).normal(size=(1, 3)))
            key = keys.fold_in(keys.key(0), step)
            logits, _, cache = network.forward(params, state, x, key=key, train=True)
            gradient = CrossEntropy().gradient(logits, jnp.array([0]))
            _, grads = network.backward(params, cache, gradient)
            dropped = np.asarray(cache[2])[0] == 0
            for gradient in (grads[0]["W"], grads[0]["b"][:, None], grads[3]["W"].T):
                assert (np.asarray(gradient)[dropped] == 0).all()
                assert (np.asarray(gradient)[~dropped] != 0).all()
            n_dropped, n_kept = n_dropped + dropped.sum(), n_kept + (~dropped).sum()
    assert n_dropped > 10 and n_kept > 10


def test_the_expectation_of_dropout_is_scaling_the_outgoing_weights_by_1_minus_rate() -> None:
    rate, n_neurons = 0.3, 8
    with precision("float64"):
        layer = Dropout(rate)
        _, state, _ = layer.init(keys.key(0), (n_neurons,))
        out, _ = with_params(Network([Dense(3)]), (n_neurons,))
        W, b = out[0]["W"], out[0]["b"]
        a = jnp.asarray(np.random.default_rng(0).normal(size=n_neurons))
        rows = jnp.broadcast_to(a, (20_000, n_neurons))
        scaled = layer.forward({}, state, rows, key=keys.key(1), train=True)[0]
        at_prediction = layer.forward({}, state, rows, key=keys.key(1), train=False)[0]
    W, b, a, scaled = (np.asarray(array) for array in (W, b, a, scaled))

    # scaled dropout with weights W equals unscaled dropout with weights W / (1 - rate) exactly;
    unscaled = np.where(scaled == 0, 0, a)
    trained_unscaled = W / (1 - rate)
    np.testing.assert_allclose(
        scaled @ W.T + b, unscaled @ trained_unscaled.T + b, rtol=1e-12, atol=1e-12
    )
    # after training, the unit multiplies these weights by 1 - rate, which gives W again;
    unit_rule = np.asarray(at_prediction) @ (trained_unscaled * (1 - rate)).T + b
    np.testing.assert_allclose(np.asarray(at_prediction) @ W.T + b, unit_rule, rtol=1e-12)
    # the mean over masks is the prediction, within five standard errors
    logits = scaled @ W.T + b
    error = logits.std(axis=0) / np.sqrt(len(logits))
    assert (np.abs(logits.mean(axis=0) - (W @ a + b)) < 5 * error).all()


def test_dropout_does_nothing_at_prediction() -> None:
    x = jnp.ones((2, 5))
    layer = Dropout(0.9)
    assert layer.forward({}, layer.init(keys.key(0), (5,))[1], x)[0] is x


# --- batch normalization --------------------------------------------------------------------------


def batch_norm(x: Any, **context: Any) -> tuple[Any, Any, Any]:
    """Return (output, new state, params) of a layer with gamma = 2, beta = -3."""
    layer = BatchNorm(eps=1e-12)
    params, state, _ = layer.init(keys.key(0), x.shape[1:])
    params = {"gamma": params["gamma"] * 2, "beta": params["beta"] - 3}
    y, state, _ = layer.forward(params, jax.tree.map(jnp.asarray, state), jnp.asarray(x), **context)
    return np.asarray(y), state, params


def test_the_output_of_batch_norm_has_mean_beta_and_deviation_gamma() -> None:
    with precision("float64"):
        x = np.random.default_rng(0).normal(size=(64, 5)) * [1, 10, 100, 1e-3, 3] + [
            0,
            5,
            -70,
            1,
            9,
        ]
        y, _, _ = batch_norm(x, train=True)
    np.testing.assert_allclose(y.mean(axis=0), -3, atol=1e-10)
    np.testing.assert_allclose(y.std(axis=0), 2, rtol=1e-5)


def test_the_deviation_is_the_root_of_the_mean_squared_deviation() -> None:
    with precision("float64"):
        x = np.array([[0.0], [0.0], [0.0], [4.0]])  # the mean deviation without squares is always 0
        y, state, _ = batch_norm(x, train=True)
    np.testing.assert_allclose((y[:, 0] + 3) / 2, (x[:, 0] - 1) / np.sqrt(3), rtol=1e-9)
    np.testing.assert_allclose(state["variance"], [0.9 * 1 + 0.1 * 3], rtol=1e-12)


def test_batch_statistics_while_training_and_moving_averages_at_prediction() -> None:
    with precision("float64"):
        layer = BatchNorm(momentum=0.8, eps=1e-12)
        params, state, _ = layer.init(keys.key(0), (3,))
        rng = np.random.default_rng(0)
        mean, variance = np.zeros(3), np.ones(3)
        for _ in range(5):
            x = rng.normal(size=(16, 3)) * 3 + 2
            y, state, _ = layer.forward(params, state, jnp.asarray(x), train=True)
            np.testing.assert_allclose(y, (x - x.mean(0)) / x.std(0), rtol=1e-9)
            mean, variance = 0.8 * mean + 0.2 * x.mean(0), 0.8 * variance + 0.2 * x.var(0)
        np.testing.assert_allclose(state["mean"], mean, rtol=1e-12)
        np.testing.assert_allclose(state["variance"], variance, rtol=1e-12)

        x = rng.normal(size=(1, 3))  # one row has no statistics of its own
        y, after, _ = layer.forward(params, state, jnp.asarray(x))
        np.testing.assert_allclose(y, (x - mean) / np.sqrt(variance), rtol=1e-9)
        assert after is state


def test_a_prediction_does_not_depend_on_the_other_rows() -> None:
    X = np.random.default_rng(0).normal(size=(40, 3)) * 5 + 3
    net = Network([Dense(4), BatchNorm(), Tanh(), Dropout(0.3), Dense(2)])
    model = train(net, X, X[:, 0] > 3, epochs=5, dtype="float64").model
    together = model.predict_proba(X)
    one_by_one = np.concatenate([model.predict_proba(X[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(one_by_one, together[:5], rtol=1e-10)


def test_a_constant_neuron_is_normalised_to_beta() -> None:
    y, _, _ = batch_norm(np.full((8, 2), 7.0, np.float32), train=True)
    np.testing.assert_allclose(y, -3, atol=1e-3)


def test_every_activation_is_in_the_table_by_its_name() -> None:
    for name in (
        "sigmoid",
        "tanh",
        "relu",
        "leaky_relu",
        "identity",
        "gelu",
        "silu",
        "selu",
        "mish",
    ):
        assert Network([name]).layers == (ACTIVATIONS[name],)


def test_binary_cross_entropy_is_cross_entropy_of_two_classes() -> None:
    z = jnp.array([[-2.0], [0.5], [3.0]])
    y = jnp.array([0, 1, 0])
    two = jnp.concatenate([jnp.zeros_like(z), z], axis=1)
    binary = BinaryCrossEntropy().value(z, y)
    np.testing.assert_allclose(binary, CrossEntropy().value(two, y), rtol=1e-6)
