"""Find what keeps a network from learning, where it shows, and which parameter to change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from glassnet.diagnosis import network_illnesses, run_illnesses
from glassnet.diagnosis.evidence import Evidence, worst_member
from glassnet.diagnosis.findings import SEVERITIES, Diagnosis, Finding
from glassnet.diagnosis.remedies import Door
from glassnet.errors import ConfigurationError, DataError, DivergenceError
from glassnet.models.model import Model, model_of
from glassnet.nn.losses import CustomLoss, Loss
from glassnet.training.batches import Data
from glassnet.training.jobs import Job, Outcome
from glassnet.training.passes import encoded_rows

Check = Callable[[Evidence], Iterable[Finding]]

ILLNESSES: dict[str, Check] = {
    "inputs on wild scales": network_illnesses.badly_scaled_inputs,
    "exploding gradients": network_illnesses.exploding_gradients,
    "divergence": run_illnesses.divergence,
    "duplicate neurons": network_illnesses.duplicate_neurons,
    "vanishing gradients": network_illnesses.vanishing_gradients,
    "learning rate too large": run_illnesses.learning_rate_too_large,
    "dead ReLU neurons": network_illnesses.dead_neurons,
    "saturated neurons": network_illnesses.saturated_neurons,
    "layers that do nothing": network_illnesses.idle_layers,
    "learning rate too small": run_illnesses.learning_rate_too_small,
    "class imbalance": run_illnesses.class_imbalance,
    "underfitting": run_illnesses.underfitting,
    "overfitting": run_illnesses.overfitting,
}
"""The check for each illness, causes before their consequences. A new illness is a new row."""


CONSEQUENCES = ("underfitting",)
"""Not reported together with another severe illness: that one is the cause, and its advice comes first."""


class Subject(NamedTuple):
    """What is diagnosed.

    outcomes: one per network; empty for a model without a history. door: the interface that the advice names.
    own_network: whether the caller passed a `Network`.
    """

    model: Model
    outcomes: tuple[Outcome, ...]
    door: Door
    own_network: bool


def diagnose(
    trained: Any,
    X: Any,
    y: Any,
    *,
    validation: Any = None,
    before: Any = None,
    door: Door | None = None,
) -> Diagnosis:
    """Look for what keeps a network from learning, and say which parameter to change.

    Inputs, gradients and neurons are examined in a forward and a backward pass over up to 1000 rows, once
    with the initial weights and once with those used for prediction. The history shows the learning rate and
    the fit. If an estimator has several members, the one with the largest error on the rows is examined.

    Parameters
    ----------
    trained: a `Run`, a fitted estimator, a `Model` (which has no history: only its passes are examined), or
        the `DivergenceError` that training ended with.
    X, y: the training rows, as they were passed to training.
    validation: held-out (X, y) to score on.
    before: the run, estimator or model from before a change, or its `Diagnosis`. The result's `change` then
        says which findings are gone, and how the score changed.
    door: the interface whose parameters the advice names: "train", "estimator" or "command". Default: the
        one that `trained` comes from.

    Raises
    ------
    DataError: the model cannot take the rows. ConfigurationError: the object cannot be diagnosed.

    >>> import glassnet as gn
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> net = gn.Network([gn.Dense(8), "tanh", gn.Dense(3)])
    >>> run = gn.train(net, X, y, optimizer=gn.SGD(1e-6), epochs=10)
    >>> finding = gn.diagnose(run, X, y).findings[0]
    >>> finding.kind, finding.parameters
    ('learning rate too small', {'optimizer': SGD(learning_rate=0.3)})
    """
    subject = subject_of(trained)
    if door is not None:
        subject = subject._replace(door=door)
    rows = encoded_rows(subject.model, X, y)
    held = None
    if validation is not None:
        if not isinstance(validation, tuple | list) or len(validation) < 2:
            raise DataError("validation must be (X, y): rows that the network was not trained on.")
        held = encoded_rows(subject.model, validation[0], validation[1])
    diagnosis = diagnose_subject(subject, rows, held)
    if before is None:
        return diagnosis
    if not isinstance(before, Diagnosis):
        before = diagnose(before, X, y, validation=validation, door=door)
    return replace(diagnosis, change=before.compare(diagnosis))


def diagnose_job(job: Job, outcome: Outcome, model: Model | None) -> Diagnosis:
    """Return the diagnosis of a network that `gn.train` has trained, on the rows of its job.

    model: the trained model, or None if training diverged.
    """
    subject = Subject(model or last_model(job.blueprint, outcome), (outcome,), "train", True)
    return diagnose_subject(subject, job.data[0], job.validation[0])


def check_loss(loss: Loss) -> None:
    """Raise for a custom loss, whose targets and best constant guess are not known."""
    if isinstance(loss, CustomLoss):
        raise ConfigurationError(
            "A loss of your own does not say what its targets are, so no guess can be compared with it:"
            " diagnose a network that has one of gn's losses."
        )


def subject_of(trained: Any) -> Subject:
    """Return what is to be diagnosed from a run, an estimator, a model or a `DivergenceError`."""
    if isinstance(trained, Model):
        from_table = trained.encoder is not None or "task" in trained.info
        return Subject(trained, (), "estimator" if from_table else "train", not from_table)
    if isinstance(trained, DivergenceError) and trained.finished:
        outcome = trained.finished[0]
        door: Door = "train" if trained.blueprint.encoder is None else "estimator"
        return Subject(last_model(trained.blueprint, outcome), (outcome,), door, door == "train")
    if hasattr(trained, "model_"):
        healthy = tuple(outcome for outcome in trained.outcomes_ if not outcome.diverged)
        return Subject(trained.model_, healthy, "estimator", trained.network is not None)
    if isinstance(getattr(trained, "outcome", None), Outcome):
        return Subject(trained.model, (trained.outcome,), "train", True)
    return subject_of(model_of(trained))


def last_model(blueprint: Model, outcome: Outcome) -> Model:
    """Return a network that diverged as a model with its last finite weights."""
    params, state = jax.tree.map(np.asarray, (outcome.state.params, outcome.state.layer_state))
    return replace(blueprint, params=params, layer_state=state)


def diagnose_subject(subject: Subject, rows: Data, held: Data | None) -> Diagnosis:
    """Return the diagnosis of encoded rows."""
    check_loss(subject.model.loss)
    with np.errstate(all="ignore"):  # diverged weights overflow here, as expected
        return _diagnose_subject(subject, rows, held)


def _diagnose_subject(subject: Subject, rows: Data, held: Data | None) -> Diagnosis:
    model, outcomes = subject.model, subject.outcomes
    member = worst_member(model, rows)
    evidence = Evidence(
        model.member(member), model, rows, held, outcomes[member] if outcomes else None,
        subject.door, subject.own_network,
    )  # fmt: skip
    findings = [finding for check in ILLNESSES.values() for finding in check(evidence)]
    if any(
        finding.severity == "severe" and finding.kind not in CONSEQUENCES for finding in findings
    ):
        findings = [finding for finding in findings if finding.kind not in CONSEQUENCES]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))  # stable: causes first
    scored_on = "these rows" if held is None else "validation rows"
    return Diagnosis(tuple(findings), _about(evidence, member), evidence.scores(), scored_on)


def _about(e: Evidence, member: int) -> str:
    """Return what was examined, in words."""
    epochs = f" after {e.history.n_epochs} epochs" if e.history.n_epochs else ""
    epochs += ", the best of which is kept" if e.kept_best else ""
    members = e.whole.members
    which = (
        f", member {member + 1} of {members} (the one with the largest error)"
        if members > 1
        else ""
    )
    return f"a network of {len(e.dense)} layers{epochs}, {len(e.rows.x)} rows{which}"
