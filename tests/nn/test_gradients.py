"""Every derivative written by hand is the derivative of its value.

The tests enumerate LAYER_TYPES, ACTIVATIONS and LOSSES, so that a new row is tested without a new test. The
oracles are jax.grad of the value, and central differences in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import FrozenInstanceError, dataclass, fields, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import special

from glassnet import keys
from glassnet._precision import precision
from glassnet.errors import ConfigurationError
from glassnet.nn.activations import ACTIVATIONS, LeakyReLU, Tanh
from glassnet.nn.augmentation import AUGMENTATIONS, RandomShift
from glassnet.nn.embeddings import Embedding, Periodic, Scale
from glassnet.nn.layers import BatchNorm, Dense, Dropout, Flatten, Layer, Rescale, row_shares
from glassnet.nn.losses import LOSSES, BinaryCrossEntropy, CrossEntropy, CustomLoss, Huber, Loss
from glassnet.nn.network import LAYER_TYPES, Network, spread_traits
from glassnet.nn.optimizers import SGD
from glassnet.nn.penalties import Penalty
from glassnet.training.batches import Data
from glassnet.training.packing import Layout
from glassnet.training.program import train_step
from glassnet.training.state import Plan, initial_state
from helpers import assert_close, central_differences, normal


@pytest.fixture(autouse=True)
def strict_promotion() -> Iterator[None]:
    """Forbid formulas to mix dtypes: a float64 would silently enter a float32 network."""
    with jax.numpy_dtype_promotion("strict"):
        yield


TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
DIFFERENCES = 1e-7  # tolerance for central differences in float64
ROWS = 5
WEIGHT = np.array([1.0, 0.5, 2.0, 0.0, 1.5])

EXAMPLES: dict[str, list[Layer]] = {  # layers that need arguments or have variants
    "Dense": [Dense(3), Dense(2, "glorot", bias=False)],
    "Dropout": [Dropout(0.4), Dropout(0.0)],
    "BatchNorm": [BatchNorm(), BatchNorm(momentum=0.5, eps=0.1)],
    "Rescale": [Rescale(1 / 255, -0.5)],
    "RandomShift": [RandomShift(), RandomShift(pixels=2)],
    "Scale": [Scale(), Scale(factor=1.0)],
    "Periodic": [
        Periodic(columns=4),
        Periodic(columns=1, waves=3, outputs=2, slowest=0.5, fastest=0.5),
    ],
    "Embedding": [Embedding(places=(3,)), Embedding(places=(5, 2), size=3)],
    "LeakyReLU": [LeakyReLU(), LeakyReLU(slope=0.3)],
    "Network": [
        Network(
            [Dense(3), BatchNorm(), Tanh(), Network([Dropout(0.3), Dense(2), "selu"]), Dense(2)]
        )
    ],
}
LAYER_CASES = [
    pytest.param(layer, id=f"{name}{i}")
    for name, cls in LAYER_TYPES.items()
    for i, layer in enumerate(EXAMPLES[name] if name in EXAMPLES else [cls()])
]


def in_shape_of(layer: Layer) -> tuple[int, ...]:
    """Return the shape of one row that a layer of the table can take."""
    return (2, 3) if type(layer).__name__ in AUGMENTATIONS else (4,)


def prepared(layer: Layer, in_shape: tuple[int, ...], dtype: str) -> tuple[Any, Any, Any, Any]:
    """Return (params, state, x, dy), without special values such as 0 or 1."""
    params, state, out_shape = layer.init(keys.key(1), in_shape)
    params = jax.tree.map(lambda p: jnp.asarray(p + normal(p.shape, 2) * 0.5, dtype), params)
    state = jax.tree.map(jnp.asarray, state)
    x, dy = normal((ROWS, *in_shape), 3, dtype), normal((ROWS, *out_shape), 4, dtype)
    return params, state, jnp.asarray(x), jnp.asarray(dy)


CONTEXTS = [(train, weight) for train in (False, True) for weight in (None, WEIGHT)]


def check_layer(layer: Layer, in_shape: tuple[int, ...], dtype: str) -> None:
    """Compare backward with forward, in prediction and training, with and without weights, in one program."""
    with precision(dtype):
        params, state, x, dy = prepared(layer, in_shape, dtype)

        def derivatives(train: bool, weight: Any) -> Any:
            context: Any = {"key": keys.key(5), "train": train}
            context["weight"] = None if weight is None else jnp.asarray(weight, dtype)

            def loss(inputs: Any) -> Any:
                return jnp.sum(layer.forward(inputs[0], state, inputs[1], **context)[0] * dy)

            y, new_state, cache = layer.forward(params, state, x, **context)
            assert (y.shape, y.dtype) == (dy.shape, dy.dtype)
            assert jax.tree.map(jnp.shape, new_state) == jax.tree.map(jnp.shape, state)
            dx, dparams = layer.backward(params, cache, dy)
            return (dparams, dx), *oracles(loss, (params, x), dtype)

        # one program for all, since compiling takes much longer than computing
        for written, *others in jax.jit(lambda: [derivatives(*c) for c in CONTEXTS])():
            compare(written, others, dtype)


def oracles(function: Any, at: Any, dtype: str) -> list[Any]:
    """Return the gradient by jax.grad and, in float64, by central differences."""
    automatic = jax.grad(function)(at)
    return [automatic] + ([central_differences(function, at)] if dtype == "float64" else [])


def compare(written: Any, others: list[Any], dtype: str) -> None:
    assert len(others) == (2 if dtype == "float64" else 1)
    assert {leaf.dtype for leaf in jax.tree.leaves(written)} == {np.dtype(dtype)}
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(written))  # NaN is close to NaN
    for other, tolerance in zip(others, (TOLERANCE[dtype], DIFFERENCES), strict=False):
        assert_close(written, other, tolerance)


def test_the_examples_cover_the_tables() -> None:
    assert set(EXAMPLES) <= set(LAYER_TYPES)
    assert {type(a).__name__ for a in ACTIVATIONS.values()} <= set(LAYER_TYPES)
    assert {type(case.values[0]) for case in LAYER_CASES} == set(LAYER_TYPES.values())


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("layer", LAYER_CASES)
def test_backward_is_the_derivative_of_forward(layer: Layer, dtype: str) -> None:
    check_layer(layer, in_shape_of(layer), dtype)


@pytest.mark.parametrize(
    "layer", [Flatten(), BatchNorm(), Dropout(0.4), LeakyReLU(), RandomShift()]
)
def test_backward_is_the_derivative_of_forward_on_pictures(layer: Layer) -> None:
    check_layer(layer, (2, 3, 1), "float64")


@pytest.mark.parametrize("shape", [(6, 5), (4, 7, 3)])
@pytest.mark.parametrize("pixels", [1, 3])
def test_random_shift_shifts_each_picture_as_numpy_would(
    shape: tuple[int, ...], pixels: int
) -> None:
    """Each picture is one of its (2 pixels + 1)² shifts with repeated edges, all equally often."""
    x, layer = normal((2_000, *shape), 0, np.float32), RandomShift(pixels)
    y = np.asarray(layer.forward({}, {}, jnp.asarray(x), key=keys.key(3), train=True)[0])
    edges = [(0, 0), (pixels, pixels), (pixels, pixels), *[(0, 0)] * (len(shape) - 2)]
    padded, (h, w), shifts = np.pad(x, edges, mode="edge"), shape[:2], range(2 * pixels + 1)
    is_shift = [np.all(y == padded[:, i : i + h, j : j + w], axis=(1, *range(2, y.ndim)))
                for i in shifts for j in shifts]  # fmt: skip
    assert (np.sum(is_shift, axis=0) == 1).all()
    expected = len(x) / len(is_shift)
    counts = np.sum(is_shift, axis=1)
    assert ((counts - expected) ** 2 / expected).sum() < len(is_shift) + 5 * np.sqrt(
        2 * len(is_shift)
    )


@dataclass(frozen=True)
class Bilinear(Layer):
    """A layer that defines only `forward`, with parameters and state."""

    def init(self, key: Any, in_shape: Any) -> Any:
        params = {"A": keys.normal(key, (2, *in_shape)), "c": np.ones(2, np.float32)}
        return params, {"calls": np.zeros((), np.float32)}, (2,)

    def forward(self, params: Any, state: Any, x: Any, **context: Any) -> Any:
        y = jnp.sin(x @ params["A"].T) * params["c"]
        return y, {"calls": state["calls"] + 1}, None


class Steeper(Tanh):
    """A layer that replaces an inherited forward, so that the inherited backward no longer fits."""

    def forward(self, params: Any, state: Any, x: Any, **context: Any) -> Any:
        return jnp.tanh(3 * x), state, None


@pytest.mark.parametrize("layer", [Bilinear(), Steeper(), Network([Bilinear(), "tanh", Dense(2)])])
def test_a_layer_that_defines_only_forward_gets_its_backward(layer: Layer) -> None:
    check_layer(layer, (4,), "float64")


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_stay_finite_far_from_zero(name: str) -> None:
    z = jnp.array([-1e30, -1e4, -90.0, 90.0, 1e4, 1e30])
    activation = ACTIVATIONS[name]
    a = activation.value(z)
    slope = activation.derivative(z, a)
    assert np.isfinite(a).all() and np.isfinite(slope).all()
    assert (np.abs(slope) < 1.2).all()


@pytest.mark.parametrize("layer", LAYER_CASES)
def test_rows_of_weight_0_change_nothing(layer: Layer) -> None:
    with precision("float64"):
        params, state, x, dy = prepared(layer, in_shape_of(layer), "float64")
        weight = jnp.asarray([1.0, 0.5, 2.0, 1.0, 1.5])
        padding = jnp.full((3, *x.shape[1:]), 1e3)  # its values must not matter
        no_gradient = jnp.zeros((3, *dy.shape[1:]))

        def run(x: Any, dy: Any, weight: Any) -> Any:
            y, new_state, cache = layer.forward(
                params, state, x, key=keys.key(5), train=True, weight=weight
            )
            dx, dparams = layer.backward(params, cache, dy)
            return y[:ROWS], dx[:ROWS], new_state, dparams

        plain, padded = jax.jit(
            lambda: (
                run(x, dy, weight),
                run(
                    jnp.concatenate([x, padding]),
                    jnp.concatenate([dy, no_gradient]),
                    jnp.concatenate([weight, jnp.zeros(3)]),
                ),
            )
        )()
        assert_close(padded, plain, 1e-12)


# --- losses ---------------------------------------------------------------------------------------


def targets_of(loss: Loss) -> dict[str, tuple[Any, Any]]:
    """Return (logits, target) for each form that the targets of a loss can have."""
    rng = np.random.default_rng(7)
    many, one = rng.normal(size=(ROWS, 3)) * 2, rng.normal(size=(ROWS, 1)) * 2
    p = rng.dirichlet(np.ones(3), ROWS)
    forms: dict[str, dict[str, tuple[Any, Any]]] = {
        "regression": {
            "one output": (one, rng.normal(size=ROWS)),
            "a column": (one, rng.normal(size=(ROWS, 1))),
            "outputs": (many, rng.normal(size=(ROWS, 3))),
            "whole numbers": (one, np.arange(ROWS)),
        },
        "classification": {
            "codes": (many, np.array([0, 2, 1, 1, 0])),
            "one-hot": (many, np.eye(3)[[0, 2, 1, 1, 0]]),
            "probabilities": (many, p),
            "not summing to 1": (many, 0.7 * p),
        },
        "labels": {
            "one label": (one, np.array([0.0, 1, 1, 0, 1])),
            "labels": (many, np.eye(3)[[0, 2, 1, 1, 0]]),
            "codes": (one, np.array([0, 1, 1, 0, 1])),
            "probabilities": (many, p),
        },
    }
    return forms[loss.task]


def variants(loss: Loss) -> list[Loss]:
    """Return a loss with its defaults, and with label smoothing if it has any."""
    smoothed = any(field.name == "label_smoothing" for field in fields(loss))  # type: ignore[arg-type]
    return [loss, replace(loss, label_smoothing=0.2)] if smoothed else [loss]  # type: ignore[type-var]


LOG_COSH = CustomLoss(lambda z, y: jnp.log(jnp.cosh(z - y.reshape(z.shape))).sum(axis=1))
QUARTIC = CustomLoss(lambda z, y: (z - y.reshape(z.shape)) ** 4)
ALL_LOSSES = {**LOSSES, "steep huber": Huber(0.3), "log cosh": LOG_COSH, "quartic": QUARTIC}
LOSS_CASES = [
    pytest.param(loss, id=f"{name}{i}")
    for name, row in ALL_LOSSES.items()
    for i, loss in enumerate(variants(row))
]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("loss", LOSS_CASES)
def test_the_gradient_of_a_loss_is_the_derivative_of_its_value(loss: Loss, dtype: str) -> None:
    def derivatives(logits: Any, target: Any) -> list[Any]:
        z, t = jnp.asarray(logits, dtype), jnp.asarray(target)
        custom = isinstance(loss, CustomLoss)  # its targets are floats, as in training
        t = t.astype(dtype) if custom or t.dtype.kind != "i" else t
        terms = loss.terms(z, t)
        weights = [None, jnp.asarray(WEIGHT, dtype), jnp.zeros(ROWS, dtype)]
        if terms.ndim == 2:
            weights.append(jnp.asarray(np.abs(normal(terms.shape, 8)), dtype))
        results = []
        for weight in weights:
            value = partial(loss.value, target=t, weight=weight)
            gradient = loss.gradient(z, t, weight)
            assert (gradient.shape, gradient.dtype) == (z.shape, z.dtype)
            results.append((gradient, *oracles(value, z, dtype)))
        return results

    with precision(dtype):
        forms = targets_of(loss).values()
        for cases in jax.jit(lambda: [derivatives(*form) for form in forms])():
            for written, *others in cases:
                compare(written, others, dtype)


def cross_entropy(z: Any, t: Any) -> Any:
    return -(t * special.log_softmax(z, axis=1)).sum(axis=1)


def binary_cross_entropy(z: Any, t: Any) -> Any:
    return -t * special.log_expit(z) - (1 - t) * special.log_expit(-z)


FORMULAS = {  # the losses written in NumPy and SciPy
    "squared_error": lambda z, y: (y.reshape(z.shape) - z) ** 2,
    "absolute_error": lambda z, y: np.abs(y.reshape(z.shape) - z),
    "huber": lambda z, y: special.huber(1.0, y.reshape(z.shape) - z),
    "cross_entropy": lambda z, y: cross_entropy(z, np.eye(3)[y] if y.ndim == 1 else y),
    "binary_cross_entropy": lambda z, y: binary_cross_entropy(z, y.reshape(z.shape)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_the_value_of_a_loss_is_the_weighted_mean_of_its_formula(name: str) -> None:
    assert set(FORMULAS) == set(LOSSES)
    weight = WEIGHT
    for logits, target in targets_of(LOSSES[name]).values():
        terms = FORMULAS[name](logits, target)
        with precision("float64"):
            z, t = jnp.asarray(logits), jnp.asarray(target)
            plain, weighted = (
                LOSSES[name].value(z, t),
                LOSSES[name].value(z, t, jnp.asarray(weight)),
            )
        by_row = terms if terms.ndim == 1 else terms.mean(axis=1)
        np.testing.assert_allclose(plain, terms.mean(), rtol=1e-12)
        np.testing.assert_allclose(weighted, np.average(by_row, weights=weight), rtol=1e-12)


def test_label_smoothing_mixes_the_target_with_equal_shares() -> None:
    z, y = jnp.asarray(normal((ROWS, 3), 1, np.float32)), jnp.array([0, 2, 1, 1, 0])
    mixed = 0.9 * np.eye(3)[y] + 0.1 / 3
    smooth = CrossEntropy(label_smoothing=0.1).value(z, y)
    np.testing.assert_allclose(smooth, cross_entropy(np.asarray(z), mixed).mean(), rtol=1e-6)
    labels = np.eye(3, dtype=np.float32)[y]
    smooth = BinaryCrossEntropy(label_smoothing=0.1).value(z, jnp.asarray(labels))
    expected = binary_cross_entropy(np.asarray(z), 0.9 * labels + 0.1 / 2).mean()
    np.testing.assert_allclose(smooth, expected, rtol=1e-6)


def test_if_all_weights_are_0_no_row_has_a_share() -> None:
    z, zeros = jnp.ones((ROWS, 2)), jnp.zeros(ROWS)
    assert LOSSES["squared_error"].value(z, jnp.zeros((ROWS, 2)), zeros) == 0
    np.testing.assert_array_equal(row_shares(z, zeros), np.zeros(ROWS))
    np.testing.assert_allclose(row_shares(z, jnp.asarray(WEIGHT)), WEIGHT / WEIGHT.sum(), rtol=1e-6)
    np.testing.assert_allclose(row_shares(z, None), np.full(ROWS, 1 / ROWS), rtol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_stay_finite_on_extreme_logits(name: str) -> None:
    loss = LOSSES[name]
    for _, target in targets_of(loss).values():
        k = 1 if np.ndim(target) == 1 and loss.task != "classification" else np.size(target[0])
        k = 3 if loss.task == "classification" else k
        z = jnp.asarray(np.tile([[1e4], [-1e4], [0.0], [80.0], [-200.0]], (1, k)), jnp.float32)
        z = z.at[:, 0].multiply(-1)
        t = jnp.asarray(target)
        assert np.isfinite(loss.value(z, t)) and np.isfinite(loss.gradient(z, t)).all()
        assert np.isfinite(loss.output(z)).all()


SHARE, POSITIVE, FINITE = ([0, 0.999], [-0.001, 1]), ([1e-9, 1e9], [0, np.inf]), ([-9, 9], [np.inf])
RANGES: list[Any] = [  # constructor, (values it takes, values it refuses)
    (CrossEntropy, SHARE),
    (BinaryCrossEntropy, SHARE),
    (Huber, POSITIVE),
    (Dense, ([1, np.int64(2)], [0, 1.5])),
    (Dropout, SHARE),
    (BatchNorm, SHARE),
    (partial(BatchNorm, 0.9), POSITIVE),
    (Rescale, FINITE),
    (partial(Rescale, 1.0), FINITE),
    (LeakyReLU, FINITE),
]


@pytest.mark.parametrize(("make", "values"), RANGES)
def test_hyperparameters_have_ranges(make: Any, values: tuple[list[Any], list[Any]]) -> None:
    for value in values[0]:
        make(value)
    for value in [*values[1], np.nan, -np.inf, "much", None]:
        with pytest.raises(ConfigurationError, match=f"is {value!r}, but it must be a"):
            make(value)


@pytest.mark.parametrize("value", [*(case.values[0] for case in LAYER_CASES), *LOSSES.values()])
def test_layers_and_losses_are_immutable_values(value: Any) -> None:
    same = replace(value)
    assert same == value and hash(same) == hash(value)
    with pytest.raises(FrozenInstanceError):
        value.units = 7


@pytest.mark.parametrize("contract", [Loss, Layer])
def test_the_abstract_classes_cannot_be_instantiated(contract: Any) -> None:
    with pytest.raises(TypeError, match="abstract"):
        contract()


# --- penalties and whole networks -----------------------------------------------------------------

MIXED = Network([Dense(3), BatchNorm(), "tanh", Network([Dense(2), "relu"]), Dense(2, bias=False)])


@pytest.mark.parametrize("penalty", [Penalty(0.3, 0), Penalty(0, 0.7), Penalty(0.3, 0.7)])
def test_the_gradient_of_a_penalty_is_the_derivative_of_its_value(penalty: Penalty) -> None:
    with precision("float64"):
        params, *_ = prepared(MIXED, (4,), "float64")
        traits = spread_traits(MIXED, params)
        value = partial(penalty.value, traits=traits)
        gradient, others = jax.jit(
            lambda p: (penalty.gradient(p, traits), oracles(value, p, "float64"))
        )(params)
        compare(gradient, others, "float64")

        weights = [params[0]["W"], params[3][0]["W"], params[4]["W"]]
        l1 = sum(np.abs(w).sum() for w in weights)
        l2 = sum((np.asarray(w) ** 2).sum() for w in weights)
        np.testing.assert_allclose(value(params), penalty.l1 * l1 + penalty.l2 / 2 * l2, rtol=1e-12)
    names = {path[-1].key: np.any(g) for path, g in jax.tree_util.tree_leaves_with_path(gradient)}
    assert names == {"W": True, "b": False, "gamma": False, "beta": False}


hidden = st.lists(
    st.one_of(
        st.integers(1, 3).map(Dense),
        st.sampled_from([BatchNorm(), Dropout(0.5), Rescale(0.7, 0.1), Flatten()]),
        st.sampled_from(sorted(ACTIVATIONS)),
    ),
    max_size=4,
)


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    hidden, st.sampled_from([r for r in LOSSES.values() if r.task != "classification"] + [LOG_COSH])
)
def test_a_step_of_any_network_is_the_derivative_of_loss_and_penalty(
    layers: Any, loss: Loss
) -> None:
    network = Network([*layers[:2], Network([*layers[2:], "tanh"]), Dense(2)])
    check_step(network, loss, Data(normal((ROWS, 3), 1), np.abs(normal((ROWS, 2), 2))))


def test_a_step_of_a_classifier_is_the_derivative_of_loss_and_penalty() -> None:
    data = Data(normal((ROWS, 3), 1), np.array([0, 1, 1, 0, 1]), WEIGHT)
    check_step(MIXED, CrossEntropy(0.1), data)


def check_step(network: Network, loss: Loss, data: Data) -> None:
    """Check that a step of plain SGD with rate 1 subtracts the gradient from the parameters."""
    with precision("float64"):
        data, penalty = jax.tree.map(jnp.asarray, data), Penalty(0.01, 0.1)
        plan = Plan(network, loss, ROWS, penalised=True)
        state, _ = initial_state(network, SGD(1.0), plan, data.x.shape[1:], keys.key(3))
        traits = spread_traits(network, state.params)

        def objective(params: Any) -> Any:
            key = keys.fold_in(state.key, state.step)
            logits, _, _ = network.forward(
                params, state.layer_state, data.x, key=key, train=True, weight=data.weight
            )
            return loss.value(logits, data.y, data.weight) + penalty.value(params, traits)

        def step_and_oracle() -> Any:
            after, value, norm, _ = train_step(
                state, SGD(1.0), data, penalty, plan, Layout.of({}, allowed=False)
            )
            moved = jax.tree.map(jnp.subtract, state.params, after.params)
            whole = value + penalty.value(state.params, traits)
            return (whole, moved), jax.value_and_grad(objective)(state.params), norm

        written, automatic, norm = jax.jit(step_and_oracle)()
        assert_close(written, automatic, 1e-10)
        squares = sum(float((g**2).sum()) for g in jax.tree.leaves(automatic[1]))
        np.testing.assert_allclose(norm, squares**0.5, rtol=1e-9)
