"""Find the model in a run or an estimator, and take single members out of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import glassnet as gn
from glassnet.models.model import model_of
from helpers import blobs

X, Y = blobs(30)


@pytest.fixture(scope="module")
def classifier() -> gn.NeuralClassifier:
    return gn.NeuralClassifier(
        (3,), epochs=1, members=3, optimizer="sgd", embedding="none", random_state=0
    ).fit(X, Y)


def test_the_mean_over_the_members_is_the_model(classifier: gn.NeuralClassifier) -> None:
    model = classifier.model_
    members = [model.member(k) for k in range(3)]
    assert all(member.members == 1 and member.errors is None for member in members)
    outputs = np.stack([member.outputs(X) for member in members])
    np.testing.assert_allclose(outputs, model.outputs_by_member(X), atol=1e-6)
    np.testing.assert_allclose(outputs.mean(axis=0), model.outputs(X), atol=1e-6)
    single = members[0]
    assert single.member(0) is single


@pytest.mark.parametrize("k", [3, -1, 0.5, "0"])
def test_a_member_that_does_not_exist_is_refused(classifier: gn.NeuralClassifier, k: Any) -> None:
    with pytest.raises(gn.ConfigurationError, match="3 networks: give one from 0 to 2"):
        classifier.model_.member(k)


def test_the_model_of_an_estimator_and_of_a_run(classifier: gn.NeuralClassifier) -> None:
    run = gn.train(gn.Network([gn.Dense(3)]), X, Y, epochs=0)
    assert model_of(classifier) is model_of(classifier.model_) is classifier.model_
    assert model_of(run) is run.model


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (gn.Network([gn.Dense(1)]), "has no weights: give what gn.train"),
        (gn.NeuralClassifier(), r"This NeuralClassifier has no trained network: call fit\(X, y\)"),
        ("m.glassnet", r"'m.glassnet' is not a trained model: .* gn\.load\(path\)"),
        (3, "type int is not a trained model"),
        (None, "type NoneType is not a trained model"),
    ],
    ids=str,
)
def test_all_functions_refuse_objects_without_a_model_with_the_same_message(
    given: Any, message: str
) -> None:
    for function in (
        model_of,
        lambda g: gn.trace(g, X, Y),
        lambda g: gn.export(g, "m.py"),
        lambda g: gn.attribute(g, X),
        lambda g: gn.diagnose(g, X, Y),
        lambda g: gn.figures.confusion_matrix(g, X, Y),
    ):
        with pytest.raises(gn.ConfigurationError, match=message):
            function(given)
