"""Check that planted illnesses are found and cured, that healthy runs have no finding, and the evidence."""

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
from glassnet import cli
from glassnet.cli.options import estimator_parameters
from glassnet.diagnosis import evidence
from glassnet.diagnosis.diagnose import ILLNESSES, encoded_rows, subject_of
from glassnet.diagnosis.findings import Diagnosis, Finding
from glassnet.diagnosis.remedies import inner, remedy
from glassnet.nn.as_code import typed
from glassnet.training.batches import Data
from glassnet.training.passes import pass_through
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
    finding = before(kind).findings[0]
    assert finding.kind == kind
    assert all((finding.seen, finding.where, finding.why, finding.change, finding.parameters))


@pytest.mark.parametrize("kind", PLANTED)
def test_following_the_advice_cures_it(kind: str) -> None:
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
    "digits, five layers": lambda: {"network": deep("relu", 4, 32, 10), "epochs": 40, **digits()},
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
    digits = load_digits()
    return (digits.images[:800] * 15).astype(np.uint8), digits.target[:800]


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_run_has_no_finding(name: str) -> None:
    diagnosis = diagnosed(HEALTHY[name]())
    assert diagnosis.healthy, str(diagnosis)
    assert str(diagnosis).startswith("No finding")


@pytest.mark.parametrize(
    ("estimator", "load"),
    [(gn.NeuralClassifier(random_state=0), load_wine), (gn.NeuralRegressor(random_state=0), load_diabetes)],
)  # fmt: skip
def test_the_default_estimators_have_no_finding(estimator: Any, load: Any) -> None:
    X, y = load(return_X_y=True)
    diagnosis = gn.diagnose(estimator.fit(X[::2], y[::2]), X[::2], y[::2])
    assert diagnosis.healthy, str(diagnosis)
    assert re.search(r"member \d of 8", diagnosis.about)


# ------------------------------------------------------------------- the evidence, computed independently


def small(dtype: str = "float64", **changed: Any) -> Arguments:
    X, y = make_friedman1(60, n_features=5, noise=0.5, random_state=1)
    network = net(gn.Dense(6), gn.BatchNorm(), "tanh", net(gn.Dense(4), "relu"), gn.Dense(1))
    return {"network": network, "X": scale(X), "y": scale(y), "dtype": dtype, "epochs": 2} | changed


def train_and_measure(arguments: Arguments) -> tuple[Any, evidence.Evidence]:
    run = gn.train(**arguments)
    rows = encoded_rows(run.model, arguments["X"], arguments["y"])
    subject = subject_of(run)
    measured = evidence.Evidence(
        run.model, run.model, rows, None, subject.outcomes[0], "train", True
    )
    return run, measured


def test_the_passes_are_those_of_jax_grad() -> None:
    with jax.enable_x64(True):
        inside = net(gn.Dense(4), gn.Dropout(0.5), "relu")
        network = net(gn.Dense(6), gn.BatchNorm(), "tanh", inside, gn.Dense(2))
        params, state, _ = network.init(gn.keys.key(0), (3,))
        x, t = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2
        # as training does, but with no neuron dropped
        kept = jax.tree.map(lambda s: s * 0 if np.ndim(s) == 0 else s, state)

        def loss(params: Any, x: Any) -> Any:
            logits, _, _ = network.forward(params, kept, x, key=gn.keys.key(1), train=True)
            return gn.CrossEntropy().value(logits, t)

        passes = pass_through(network, params, state, Data(x, t), gn.CrossEntropy())
        by_params, by_x = jax.grad(loss, argnums=(0, 1))(params, x)
        flat = [*by_params[:3], *by_params[3], by_params[4]]
        assert_close([p.gradients for p in passes], [dict(p) for p in flat], 1e-12)
        assert_close(passes[0].d_input, by_x, 1e-12)
    assert [p.path for p in passes] == [(0,), (1,), (2,), (3, 0), (3, 1), (3, 2), (4,)]


def test_the_size_of_the_first_step_is_that_of_the_run() -> None:
    arguments = small(optimizer=gn.Adam(0.01), batch_size=None)
    _, measured = train_and_measure(arguments)
    first = gn.train(**{**arguments, "epochs": 1}).model.params
    assert measured.beginning is not None
    before = measured.beginning[0]
    for name, index in (("layer 0 (Dense)", 0), ("layer 4 (Dense)", 4)):
        moved = np.linalg.norm(first[index]["W"] - before[index]["W"])
        expected = moved / np.linalg.norm(before[index]["W"])
        assert measured.step_sizes[name] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_stable_rate_is_one_over_the_largest_curvature(momentum: float) -> None:
    optimizer = gn.Momentum(0.01, momentum) if momentum else gn.SGD(0.01)
    arguments = small(network=net(gn.Dense(4), "tanh", gn.Dense(1)), optimizer=optimizer)
    run, measured = train_and_measure(arguments)
    assert measured.beginning is not None
    with jax.enable_x64(True):
        flat, unravel = ravel_pytree(measured.beginning[0])

        def loss(weights: Any) -> Any:
            logits, _, _ = arguments["network"].forward(
                unravel(weights), ({}, {}, {}), arguments["X"]
            )
            return run.model.loss.value(logits, jnp.asarray(arguments["y"])[:, None])

        largest = float(np.abs(np.linalg.eigvalsh(jax.hessian(loss)(flat))).max())
    assert measured.stable_rate == pytest.approx((1 - momentum) / largest, rel=0.02)


def test_losses_and_shares_are_scikit_learns() -> None:
    arguments = small("float32")
    run, measured = train_and_measure(arguments)
    truth = arguments["y"]
    predicted = np.asarray(measured.last[-1].output)[:, 0]
    assert measured.explained == pytest.approx(r2_score(truth, predicted), abs=1e-5)
    assert measured.loss == pytest.approx(((truth - predicted) ** 2).mean(), rel=1e-4)
    assert measured.guess_loss == pytest.approx(truth.var(), rel=1e-4)
    assert measured.scores()["r2"] == pytest.approx(
        r2_score(truth, run.model.predict(arguments["X"])), abs=1e-5
    )


def test_the_guess_of_classes_has_their_entropy() -> None:
    X, y = load_iris(return_X_y=True)
    _, measured = train_and_measure(
        {"network": net(gn.Dense(3)), "X": X[:120], "y": y[:120], "epochs": 1}
    )
    shares = np.array([50, 50, 20]) / 120
    assert measured.guess_loss == pytest.approx(-(shares * np.log(shares)).sum(), rel=1e-4)


def test_dead_neurons_are_counted() -> None:
    model = gn.train(**small(network=deep("relu", 1, 10, 1), epochs=1)).model
    bias = np.where(np.arange(10) < 6, -1e3, 1e3)
    model = replace(model, params=({**model.params[0], "b": bias}, *model.params[1:]))
    arguments = small()
    findings = gn.diagnose(model, arguments["X"], arguments["y"]).findings
    dead = next(finding for finding in findings if finding.kind == "dead ReLU neurons")
    assert dead.where == "layer 1 (ReLU): 6 of 10 neurons"
    assert typed(dead.parameters["network"]) in dead.change


# ------------------------------------------------------------------------------------------- entry points


def test_the_worst_member_is_examined_and_named() -> None:
    X, y = load_iris(return_X_y=True)
    fitted = gn.NeuralClassifier((8,), activation="relu", members=3, epochs=20, random_state=0).fit(
        X, y
    )
    model = fitted.model_
    bias = np.asarray(model.params[2]["b"]).copy()
    bias[1] = -1e3  # the second member's first hidden layer
    params = list(model.params)
    params[2] = {**model.params[2], "b": bias}
    fitted.model_ = replace(model, params=tuple(params))
    diagnosis = gn.diagnose(fitted, X, y)
    assert "member 2 of 3" in diagnosis.about
    dead = next(finding for finding in diagnosis.findings if finding.kind == "dead ReLU neurons")
    assert dead.parameters == {"activation": "leaky_relu"}
    assert dead.change.startswith("set_params(activation='leaky_relu')")
    assert (
        gn.diagnose(fitted, X, y, door="command")
        .findings[0]
        .change.startswith("glassnet train ... --activation leaky_relu")
    )
    gn.NeuralClassifier().set_params(**dead.parameters)


def test_an_estimator_that_diverged_is_diagnosed_by_its_error() -> None:
    X, y = load_diabetes(return_X_y=True)
    with pytest.raises(gn.DivergenceError) as caught:
        gn.NeuralRegressor((8,), activation="relu", optimizer=gn.SGD(1e6), members=1, epochs=5).fit(
            X, y
        )
    diagnosis = gn.diagnose(caught.value, X, y)
    assert diagnosis.kinds[0] == "divergence"
    assert isinstance(diagnosis.findings[0].parameters["optimizer"], gn.SGD)
    assert json.dumps(diagnosis.to_dict(), allow_nan=False)


def test_a_diagnosis_is_compared_with_the_run_before_the_change() -> None:
    arguments = small("float32", optimizer=gn.SGD(1e-7), epochs=10)
    before = gn.train(**arguments)
    first = gn.diagnose(before, arguments["X"], arguments["y"])
    after = gn.train(**{**arguments, **first.findings[0].parameters})
    diagnosis = gn.diagnose(after, arguments["X"], arguments["y"], before=before)
    assert diagnosis.change == first.compare(diagnosis)
    assert diagnosis.change.gone == ("learning rate too small",)
    assert diagnosis.change.score == "r2 on these rows"
    assert diagnosis.change.improved
    assert "Gone: learning rate too small" in str(diagnosis)
    same = gn.diagnose(after, arguments["X"], arguments["y"], before=first)
    assert same.change == diagnosis.change


def test_a_score_that_becomes_finite_improves_and_other_rows_are_not_compared() -> None:
    undefined = Diagnosis((), "", {}, "validation rows")
    known = Diagnosis((), "", {"loss": 0.4, "r2": 0.5}, "validation rows")
    assert undefined.compare(known).improved is True
    assert known.compare(undefined).improved is False
    assert known.compare(known).improved is False
    assert known.compare(replace(known, scored_on="these rows")).improved is None
    lower = replace(known, scores={"loss": 0.3})
    assert replace(known, scores={"loss": 0.4}).compare(lower).improved is True


@pytest.mark.parametrize("kind", ["class imbalance", "divergence", "vanishing gradients"])
def test_a_diagnosis_reads_well_everywhere(kind: str) -> None:
    diagnosis = before(kind)
    shown = str(diagnosis)
    assert max(map(len, shown.splitlines()[2:])) <= 100 or "network=" in shown
    for finding in diagnosis.findings:
        assert f"{finding.kind} ({finding.severity})" in shown
        assert finding.kind in diagnosis._repr_html_()
    plain = json.loads(json.dumps(diagnosis.to_dict(), allow_nan=False))
    assert [finding["kind"] for finding in plain["findings"]] == list(diagnosis.kinds)


def test_names_from_the_data_are_harmless_in_a_notebook() -> None:
    finding = Finding("class imbalance", "severe", "class '<script>'", "here", "why", "change")
    assert "<script>" not in Diagnosis((finding,), "", {}, "these rows")._repr_html_()


def test_the_code_of_an_object_evaluates_to_it() -> None:
    inside = net(gn.Dropout(0.5), gn.Dense(2, bias=False))
    network = net(gn.Dense(8, gn.Normal(0.1)), gn.LeakyReLU(0.2), inside)
    optimizer = gn.ClipByNorm(gn.AdamW(gn.WarmUp(0.01, 20), weight_decay=0.1), max_norm=2.0)
    for value in (network, optimizer, gn.EarlyStopping(3), (64,), "relu", True):
        assert eval(typed(value), {"gn": gn}) == value


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (gn.SGD(0.08), ("sgd", 0.08)),
        (gn.Momentum(0.01, nesterov=True), ("nesterov", 0.01)),
        (gn.Averaged(gn.ClipByNorm(gn.AdamW(3e-4), 1.0)), ("adamw", 0.0003)),
    ],
)  # fmt: skip
def test_an_optimizer_is_written_as_options_of_the_command(optimizer: Any, options: Any) -> None:
    text = remedy("command", {"optimizer": optimizer}, "smaller steps")
    match = re.search("--optimizer ([a-z]+) --learning-rate ([0-9.]+): smaller steps", text)
    assert match is not None, text
    name, rate = match[1], float(match[2])
    assert (name, rate) == options
    parsed = estimator_parameters(None, name, rate, None)["optimizer"]
    assert isinstance(inner(optimizer), type(parsed))  # parsed as the command does


def test_there_is_no_finding_where_there_is_nothing_to_find() -> None:
    X = small("float32")["X"]
    run = gn.train(net(gn.Dense(4), "relu", gn.Dense(1)), X, np.full(len(X), 3.0), epochs=20)
    assert gn.diagnose(run, X, np.full(len(X), 3.0)).healthy
    two = gn.train(net(gn.Dense(4), "relu", gn.Dense(2)), X[:2], [0, 1], epochs=50)
    assert gn.diagnose(two, X[:2], [0, 1]).healthy


def churn() -> Arguments:
    """Return rows whose classes depend a little on numbers and categories, and mostly on chance."""
    rng = np.random.default_rng(1)
    numbers = rng.normal(size=(2000, 4))
    contract, region = rng.integers(3, size=2000), rng.integers(12, size=2000)
    logit = 0.35 * (numbers[:, 0] - numbers[:, 1] + (contract == 0))
    y = rng.random(2000) < 1 / (1 + np.exp(-logit))
    return halves(scale(np.hstack([numbers, np.eye(3)[contract], np.eye(12)[region]])), y)


def test_overfitting_is_found_where_there_is_little_to_learn() -> None:
    """A validation loss that rises while the training loss falls, both of them near the guess's."""
    network = deep("relu", 1, 8, 2)
    arguments = {"network": network, "epochs": 15, "optimizer": gn.Adam(0.01), **churn()}
    run = gn.train(**arguments, diagnose=True)
    held, guess = run.history["validation_loss"], np.log(2)
    assert run.history.best_epoch < 8 and held[-1] > held.min() + 0.015
    assert run.history["loss"][-1] > 0.92 * guess  # not a tenth of it was learned
    assert run.diagnosis.kinds == ("overfitting",), str(run.diagnosis)
    kept = gn.train(**arguments, early_stopping=gn.EarlyStopping(np.inf), diagnose=True)
    assert kept.history["validation_loss"][-1] == held[-1]
    assert kept.diagnosis.healthy and "the best of which is kept" in str(kept.diagnosis)


def test_an_optimizer_of_optax_that_diverged_is_replaced() -> None:
    optax = pytest.importorskip("optax")
    arguments = small("float32", network=deep("relu", 1, 8, 1), optimizer=optax.sgd(1e6), epochs=20)
    with pytest.raises(gn.DivergenceError) as caught:
        gn.train(**arguments, diagnose=True)
    assert caught.value.diagnosis.findings[0].parameters["optimizer"] == gn.Adam()


def test_what_cannot_be_diagnosed_is_refused() -> None:
    run = gn.train(**small("float32"))
    X, y = small()["X"], small()["y"]
    with pytest.raises(gn.ConfigurationError, match="'a name' is not a trained model"):
        gn.diagnose("a name", X, y)
    with pytest.raises(gn.ConfigurationError, match="loss of your own"):
        gn.train(**small("float32"), loss=lambda z, t: ((z - t) ** 2).mean(axis=1), diagnose=True)
    with pytest.raises(gn.DataError, match="rows"):
        gn.diagnose(run, X, y[:-1])
    with pytest.raises(gn.DataError, match="y is None"):
        gn.diagnose(run, X, None)
    with pytest.raises(gn.DataError, match="validation"):
        gn.diagnose(run, X, y, validation=0.2)


def test_the_command_diagnoses_a_model(tmp_path: Any) -> None:
    X, y = load_iris(return_X_y=True)
    path = tmp_path / "m.glassnet"
    straight = gn.NeuralClassifier(
        (16,), activation="identity", members=1, epochs=20, random_state=0
    )
    straight.fit(X, load_iris().target_names[y]).save(path)

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(cli.app, ["diagnose", str(path), "sample:iris", *arguments])

    shown = run()
    assert shown.exit_code == 0, shown.output
    assert "--activation relu" in shown.output
    record = json.loads(run("--json").output)
    assert record["findings"][0]["kind"] == "layers that do nothing"
    assert record["findings"][0]["parameters"] == {"activation": "relu"}
