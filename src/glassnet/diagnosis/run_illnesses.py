"""Find illnesses in a run's history, losses and predictions.

Each check takes evidence, yields findings, and is one row of `diagnose.ILLNESSES`. Each threshold has a name
and a reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from glassnet.diagnosis.evidence import Evidence
from glassnet.diagnosis.findings import Finding
from glassnet.diagnosis.remedies import (
    LARGE_STEP,
    LEARNED,
    SMALL_STEP,
    USUAL_STEP,
    with_dropout,
    with_widths,
)
from glassnet.encoding.class_weights import class_weights
from glassnet.nn.layers import Dropout
from glassnet.nn.network import each_layer
from glassnet.training.loop import EarlyStopping

SWING, SWINGS = 0.05, 0.3
"""A loss oscillates if it changes by a twentieth of a constant guess's loss per epoch on average, and rises
in three epochs of ten."""
FALLING = 0.5
"""A loss is still falling if its last quarter fell at least half as fast as the whole run."""
STILL = 0.01
"""Weights have hardly changed if all steps together could change them by less than a hundredth."""
RARE, MISSED = 0.2, 0.5
"""A class is rare if it has less than a fifth of an equal share (10 % of the rows, for two classes), and
missed if less than half of its rows are found."""
LOST, BY_HEART = 0.2, 0.5
"""LOST: the share of the best improvement on new rows that further training lost again. BY_HEART: the share
of the improvement on training rows that does not carry over to new ones."""
ENOUGH, RISEN = 0.1, 0.02
"""These shares mean something if a tenth of a constant guess's loss was learned, or if the loss on new rows
rose by a fiftieth of it. The second condition is for data with little to learn, where memorising gains
little too."""
MARGIN, ERRORS = 0.05, 2
"""A forest must explain more of rows it has not seen than the network explains of its training rows: by at
least MARGIN, and by ERRORS standard errors."""
FEW_EPOCHS = 8
"""Fewer epochs than this show no trend."""


def divergence(e: Evidence) -> Iterator[Finding]:
    """Find a run that ended because a number became infinite or NaN."""
    if not e.diverged or e.outcome is None:
        return
    state, rate = e.outcome.state, e.learning_rate
    step = max(e.step_sizes.values(), default=math.nan)
    detail = "" if rate is None else f"; the learning rate was {rate:g}"
    detail += "" if math.isnan(step) else f", and its first step {step:.2g} of the weights' size"
    yield Finding(
        "divergence",
        "severe",
        f"the loss or its gradient was not finite at step {int(state.step) + 1}, in epoch"
        f" {int(state.epoch)}{detail}",
        "the whole network",
        "Steps that overshoot the valley climb its other side: each gradient is larger than the one before,"
        " until it overflows.",
        *e.advice(*e.slower()),
        {"step": float(state.step), "step_size": step},
    )


def learning_rate_too_large(e: Evidence) -> Iterator[Finding]:
    """Find a loss that goes up and down while steps are large relative to the weights."""
    step, losses = max(e.step_sizes.values(), default=0.0), e.losses
    if step < LARGE_STEP or e.diverged or len(losses) < FEW_EPOCHS or not e.guess_loss > 0:
        return
    changes = np.diff(losses[len(losses) // 2 - 1 :])
    swing, rises = float(np.abs(changes).mean()) / e.guess_loss, float((changes > 0).mean())
    if swing < SWING or rises < SWINGS:
        return
    yield Finding(
        "learning rate too large",
        "severe",
        f"in the second half of {len(losses)} epochs the loss rose in {rises:.0%} of them and changed by"
        f" {swing:.2g} of a constant guess's loss per epoch; the first step was {step:.2g} of the weights'"
        f" size (usual: {USUAL_STEP:g}) at learning rate {e.learning_rate:g}",
        max(e.step_sizes, key=lambda name: e.step_sizes[name]),
        "Each step jumps across the valley instead of going down into it.",
        *e.advice(*e.slower()),
        {"step_size": step, "swing": swing, "rises": rises},
    )


def learning_rate_too_small(e: Evidence) -> Iterator[Finding]:
    """Find a loss that has hardly fallen, or was still falling, with steps small relative to the weights."""
    step, losses = max(e.step_sizes.values(), default=math.inf), e.losses
    if step > SMALL_STEP or e.outcome is None or not len(losses) or e.explained > LEARNED:
        return
    path = step * int(e.outcome.state.step)
    if not (path < STILL or _falling(losses)):
        return
    yield Finding(
        "learning rate too small",
        "severe",
        f"after {len(losses)} epochs the loss had gone from {losses[0]:.4g} to {losses[-1]:.4g} and"
        f" {'was still falling' if _falling(losses) else 'had hardly begun to fall'}; the first step was"
        f" {step:.2g} of the weights' size (usual: {USUAL_STEP:g}) at learning rate {e.learning_rate:g},"
        f" and {int(e.outcome.state.step)} such steps add up to {path:.2g} of it",
        "all layers",
        "Steps that are small relative to the weights need very many epochs to get anywhere.",
        *e.advice(*e.faster()),
        {"step_size": step, "path": path},
    )


def class_imbalance(e: Evidence) -> Iterator[Finding]:
    """Find a rare class that the network mostly misses."""
    if e.classes is None or (e.outcome is not None and e.outcome.settings.weighted):
        return
    truth, predicted = e.answers(e.rows)
    counts = np.bincount(truth, minlength=len(e.classes))
    recall = [
        float((predicted[truth == k] == k).mean()) if counts[k] else 1.0 for k in range(len(counts))
    ]
    rare = [
        k for k in range(len(counts))
        if counts[k] < RARE * len(truth) / len(counts) and recall[k] < MISSED
    ]  # fmt: skip
    if not rare:
        return
    worst = min(rare, key=lambda k: recall[k])
    parameters: dict[str, Any] = {"class_weight": "balanced"}
    if e.door == "train":
        weight = class_weights("balanced", truth, tuple(e.classes), None)
        parameters = {"sample_weight": weight}
    yield Finding(
        "class imbalance",
        "severe",
        f"class {e.classes[worst]!r} has {counts[worst]} of {len(truth)} rows"
        f" ({counts[worst] / len(truth):.1%}), and {recall[worst]:.0%} of them are found",
        ", ".join(f"class {e.classes[k]!r}: {recall[k]:.0%} found" for k in rare),
        "The loss is a mean over rows: if one class has nearly all of them, missing the others costs"
        " little.",
        *e.advice(
            parameters, "all classes count equally: weights n / (classes · rows of the class)"
        ),
        {"share": float(counts[worst] / len(truth)), "recall": recall[worst]},
    )


def overfitting(e: Evidence) -> Iterator[Finding]:
    """Find a network that memorises its training rows while its loss on new rows rises."""
    now = e.validation_loss
    if now is None or e.kept_best or not e.loss < e.guess_loss:
        return
    learned = e.guess_loss - e.loss
    by_heart = (now - e.loss) / learned
    past = e.history.columns.get("validation_loss", np.empty(0))
    best = float(np.nanmin(past)) if np.isfinite(past).any() else now
    lost = (now - best) / (e.guess_loss - best) if best < e.guess_loss else 0.0
    enough = learned > ENOUGH * e.guess_loss or _validation_rose(e, now)
    if not (enough and (by_heart > BY_HEART or lost > LOST)):
        return
    parameters: dict[str, Any] = {"early_stopping": EarlyStopping(10)}
    if not len(past) and e.door == "train":
        parameters["validation"] = 0.2
    rose = (
        f"; it was {best:.4g} in epoch {e.history.best_epoch}" if len(past) and now > best else ""
    )
    yield Finding(
        "overfitting",
        "severe" if now >= e.guess_loss else "moderate",
        f"the loss is {e.loss:.4g} on the training rows and {now:.4g} on new ones{rose}; that of a constant"
        f" guess is {e.guess_loss:.4g}",
        "the whole network",
        "The network has more parameters than the rows can determine, so it memorises them, noise included,"
        " and gets worse on new rows with every epoch.",
        *e.advice(
            parameters, "stop when the validation loss no longer falls, and keep the best epoch"
        ),
        {"by_heart": by_heart, "lost": lost},
    )


def _validation_rose(e: Evidence, now: float) -> bool:
    """Return whether the loss on new rows has clearly risen from its minimum while the training loss fell."""
    losses, past = (
        e.history.columns.get(name, np.empty(0)) for name in ("loss", "validation_loss")
    )
    if not np.isfinite(past).any():
        return False
    lowest = int(np.nanargmin(past))
    return bool(now - past[lowest] > RISEN * e.guess_loss and losses[-1] < losses[lowest])


def underfitting(e: Evidence) -> Iterator[Finding]:
    """Find a network that explains less of its training rows than a simple model explains of new ones."""
    # with sample weights, the unweighted error is not what the network was trained on
    weighted = e.outcome is not None and e.outcome.settings.weighted
    if weighted or e.diverged or e.explained > LEARNED:
        return
    if e.forest is None:
        return
    forest, lead, error = e.forest
    if lead < max(MARGIN, ERRORS * error):
        return
    parameters, detail, purpose = _limiting_factor(e)
    yield Finding(
        "underfitting",
        "severe" if e.explained < forest / 2 else "moderate",
        f"the network explains {max(e.explained, 0.0):.0%} of its training rows, a random forest {forest:.0%}"
        " of rows that it has not seen",
        "the whole network",
        "There is more to learn in these rows than the network has learned: " + detail,
        *e.advice(parameters, purpose),
        {"explained": e.explained, "forest": forest},
    )


def _limiting_factor(e: Evidence) -> tuple[dict[str, Any], str, str]:
    """Return what to change, what keeps the network from learning more, and the purpose of the change."""
    network = e.model.network
    if e.outcome is not None:
        penalty = e.outcome.settings.penalty
        for name in ("l1", "l2"):
            if float(getattr(penalty, name)) > 0 and e.penalty > MARGIN * e.guess_loss:
                detail = f"{name}={float(getattr(penalty, name)):g} keeps the weights too small."
                return {name: 0.0}, detail, "train without the penalty"
    rates = [layer.rate for _, layer, _ in each_layer(network) if isinstance(layer, Dropout)]
    if rates and max(rates) > 0.5:
        parameters: dict[str, Any] = (
            {"dropout": 0.1} if e.built else {"network": with_dropout(network, 0.1)}
        )
        detail = f"dropout leaves only {1 - max(rates):.0%} of a layer's neurons in each step."
        return parameters, detail, "drop fewer neurons"
    epochs = 0 if e.outcome is None else e.outcome.settings.epochs
    if _falling(e.losses) and len(e.losses) == epochs:  # early stopping did not end it
        detail = f"the loss was still falling after {len(e.losses)} epochs."
        return {"epochs": 10 * epochs}, detail, "more epochs"
    widths = [layer.params["W"].shape[0] for layer in e.dense[:-1]]
    width = max(64, 4 * max(widths, default=0))
    hidden = (width,) * max(len(widths), 1)
    parameters = {"hidden": hidden} if e.built else {"network": with_widths(network, hidden)}
    size = f"{'-'.join(map(str, widths))} hidden neurons are" if widths else "no hidden layer is"
    return parameters, f"{size} not enough.", "more neurons"


def _falling(losses: np.ndarray) -> bool:
    """Return whether the loss fell steadily in its last quarter, at FALLING of its mean pace or more."""
    if len(losses) < FEW_EPOCHS or not np.isfinite(losses).all():
        return False
    quarter = len(losses) // 4
    late, whole = losses[-1 - quarter] - losses[-1], losses[0] - losses[-1]
    steady = (np.diff(losses[-1 - quarter :]) < 0).mean() > 0.5
    return bool(whole > 0 and steady and late >= FALLING * whole * quarter / (len(losses) - 1))
