"""diagnose: what keeps a network from learning, where that shows, and which parameter to change."""

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
    "inputs on wild scales": network_illnesses.wild_inputs,
    "exploding gradients": network_illnesses.exploding,
    "divergence": run_illnesses.divergence,
    "duplicate neurons": network_illnesses.alike,
    "vanishing gradients": network_illnesses.vanishing,
    "learning rate too large": run_illnesses.rate_too_large,
    "dead ReLU neurons": network_illnesses.dead,
    "saturated neurons": network_illnesses.saturated,
    "layers that do nothing": network_illnesses.idle,
    "learning rate too small": run_illnesses.rate_too_small,
    "class imbalance": run_illnesses.imbalance,
    "underfitting": run_illnesses.underfitting,
    "overfitting": run_illnesses.overfitting,
}
"""Illness -> its check, causes before what they bring about; a new illness is a new row."""


CONSEQUENCES = ("underfitting",)
"""Left out where a severe illness is found that brings it about: the advice would be another's."""


class Patient(NamedTuple):
    """What is diagnosed: what predicts, the outcome of each network (none for a model), and the door."""

    model: Model
    outcomes: tuple[Outcome, ...]
    door: Door
    own_network: bool


def diagnose(
    what: Any,
    X: Any,
    y: Any,
    *,
    validation: Any = None,
    before: Any = None,
    door: Door | None = None,
) -> Diagnosis:
    """Look for what keeps a network from learning, and say which parameter to change.

    One forward and one backward pass of up to 1000 rows, at the first weights and at those that predict,
    tell of inputs, gradients and neurons; the history tells of the learning rate and of fitting. Of an
    estimator's many members the one with the largest error on the rows is looked at.

    Parameters
    ----------
    what: a `Run`, a fitted estimator, a `Model` (without its history: what its passes tell), or the
        `DivergenceError` that training ended with.
    X, y: the rows it was trained on, as they were given to training.
    validation: (X, y) that it has not learned from, to score on.
    before: what was diagnosed before the change: the same kinds of thing, or its `Diagnosis`; the result's
        `change` then says which findings are gone, and what the score did.
    door: whose parameters the advice names: "train", "estimator", "command". Default: what it came from.

    Raises
    ------
    DataError: rows that the model cannot take. ConfigurationError: nothing that can be diagnosed.

    >>> import glassnet as gn
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> net = gn.Network([gn.Dense(8), "tanh", gn.Dense(3)])
    >>> run = gn.train(net, X, y, optimizer=gn.SGD(1e-6), epochs=10)
    >>> found = gn.diagnose(run, X, y).findings[0]
    >>> found.kind, found.parameters
    ('learning rate too small', {'optimizer': SGD(learning_rate=0.3)})
    """
    patient = patient_of(what)
    if door is not None:
        patient = patient._replace(door=door)
    rows = encoded_rows(patient.model, X, y)
    held = None
    if validation is not None:
        if not isinstance(validation, tuple | list) or len(validation) < 2:
            raise DataError(
                "validation must be (X, y): rows that the network has not learned from."
            )
        held = encoded_rows(patient.model, validation[0], validation[1])
    found = examined(patient, rows, held)
    if before is None:
        return found
    if not isinstance(before, Diagnosis):
        before = diagnose(before, X, y, validation=validation, door=door)
    return replace(found, change=before.compare(found))


def diagnose_job(job: Job, outcome: Outcome, model: Model | None) -> Diagnosis:
    """Return the diagnosis of a network of one's own that has trained, by the rows of its job.

    model: what predicts; None: it diverged.
    """
    patient = Patient(model or last_model(job.blueprint, outcome), (outcome,), "train", True)
    return examined(patient, job.data[0], job.validation[0])


def check_loss(loss: Loss) -> None:
    """Raise for a loss whose best guess and whose targets are not known."""
    if isinstance(loss, CustomLoss):
        raise ConfigurationError(
            "A loss of your own does not say what its targets are, so that nothing can be held against it:"
            " diagnose a network with one of gn's losses."
        )


def patient_of(what: Any) -> Patient:
    """Return what is to be diagnosed from whatever a person has."""
    if isinstance(what, Model):
        from_table = what.encoder is not None or "task" in what.info
        return Patient(what, (), "estimator" if from_table else "train", not from_table)
    if isinstance(what, DivergenceError) and what.finished:
        outcome = what.finished[0]
        door: Door = "train" if what.blueprint.encoder is None else "estimator"
        return Patient(last_model(what.blueprint, outcome), (outcome,), door, door == "train")
    if hasattr(what, "model_"):
        healthy = tuple(outcome for outcome in what.outcomes_ if not outcome.diverged)
        return Patient(what.model_, healthy, "estimator", what.network is not None)
    if isinstance(getattr(what, "outcome", None), Outcome):
        return Patient(what.model, (what.outcome,), "train", True)
    return patient_of(model_of(what))


def last_model(blueprint: Model, outcome: Outcome) -> Model:
    """Return a network that diverged, with its last good weights."""
    params, state = jax.tree.map(np.asarray, (outcome.state.params, outcome.state.layer_state))
    return replace(blueprint, params=params, layer_state=state)


def examined(patient: Patient, rows: Data, held: Data | None) -> Diagnosis:
    """Return the diagnosis of encoded rows."""
    check_loss(patient.model.loss)
    with np.errstate(all="ignore"):  # weights that diverged overflow, and that is what is looked at
        return _examined(patient, rows, held)


def _examined(patient: Patient, rows: Data, held: Data | None) -> Diagnosis:
    model, outcomes = patient.model, patient.outcomes
    place = worst_member(model, rows)
    evidence = Evidence(
        model.member(place), model, rows, held, outcomes[place] if outcomes else None,
        patient.door, patient.own_network,
    )  # fmt: skip
    found = [finding for check in ILLNESSES.values() for finding in check(evidence)]
    if any(finding.severity == "severe" and finding.kind not in CONSEQUENCES for finding in found):
        found = [finding for finding in found if finding.kind not in CONSEQUENCES]
    found.sort(key=lambda finding: SEVERITIES.index(finding.severity))  # stable: causes first
    scored_on = "these rows" if held is None else "validation rows"
    return Diagnosis(tuple(found), _about(evidence, place), evidence.scores(), scored_on)


def _about(e: Evidence, place: int) -> str:
    """Return what was looked at, in words."""
    epochs = f" after {e.history.n_epochs} epochs" if e.history.n_epochs else ""
    epochs += ", the best of which is kept" if e.kept_best else ""
    of = e.whole.members
    member = f", member {place + 1} of {of} (the one with the largest error)" if of > 1 else ""
    return f"a network of {len(e.dense)} layers{epochs}, {len(e.rows.x)} rows{member}"
