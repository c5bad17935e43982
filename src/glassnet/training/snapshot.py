"""Standing: all that a run is between two calls of its program, and what becomes of networks that diverge.

A network that has diverged is given its last good state, that from which the epoch of its lowest loss began,
to rest in or, where that was asked for, to go on from. Where the run was cut into calls does not show in it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from glassnet._precision import default_float
from glassnet.errors import TrainingWarning
from glassnet.nn.optimizer_wrappers import slowed
from glassnet.nn.penalties import Penalty
from glassnet.training.batches import Data, epoch_batches, take
from glassnet.training.divergence import Rollback, Trouble, where_it_began
from glassnet.training.history import History
from glassnet.training.program import run_epochs
from glassnet.training.state import CAPACITY, DIVERGED, Controls, Plan, TrainState


class Standing(NamedTuple):
    """All that a run is at a moment; what is a tuple holds one a network.

    anchor: for each network a state at or before its last good one (`_goals`).
    """

    state: TrainState
    histories: tuple[History, ...]
    troubles: tuple[Trouble | None, ...]
    rollbacks: tuple[int, ...]
    anchor: TrainState


def begun(state: TrainState, histories: Sequence[History]) -> Standing:
    """Return the standing of a run before its first call."""
    n = len(histories)
    return Standing(state, tuple(histories), (None,) * n, (0,) * n, state)


@dataclass(frozen=True)
class Course:
    """The one program with all that it is given from call to call; what is a tuple holds one a network."""

    plan: Plan
    optimizers: tuple[Any, ...]  # leaves only
    controls: tuple[Controls, ...]
    data: Data
    validation: Data | None
    policy: Any  # "raise", "stop" or a Rollback

    def run(self, state: TrainState, limit: np.ndarray, rollbacks: Sequence[int]) -> TrainState:
        """Return the state after the epoch `limit`, by network, with learning rates lowered so often."""
        moves = [
            slowed(optimizer, np.asarray(self.policy.factor**times, default_float()))
            if isinstance(self.policy, Rollback)
            else optimizer
            for optimizer, times in zip(self.optimizers, rollbacks, strict=True)
        ]
        optimizer, controls = moves[0], self.controls[0]
        if self.plan.stacked:
            optimizer, controls = stack(moves), stack(self.controls)
        controls = controls._replace(epoch_limit=limit.astype(np.int32))
        return run_epochs(state, optimizer, self.data, self.validation, controls, plan=self.plan)


def stack(trees: Sequence[Any]) -> Any:
    """Return many trees of the same form as one, each array with a first axis, one place a tree.

    >>> stack([{"W": np.zeros(2)}, {"W": np.ones(2)}])["W"].tolist()
    [[0.0, 0.0], [1.0, 1.0]]
    """
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *trees)


def advanced(course: Course, before: Standing, limit: np.ndarray) -> Standing:
    """Return the standing after one call, networks that diverged in it taken care of."""
    state = course.run(before.state, limit, before.rollbacks)
    rows = _rows(state, np.asarray(before.state.epoch), course.plan)
    histories = tuple(h.extend(r) for h, r in zip(before.histories, rows, strict=True))
    after = _anchored(before._replace(state=state, histories=histories), before)
    statuses = np.atleast_1d(np.asarray(state.status)) == DIVERGED
    new = np.array([trouble is None for trouble in before.troubles]) & statuses
    return _cared_for(course, before, after, new) if new.any() else after


def _rows(state: TrainState, first: np.ndarray, plan: Plan) -> list[dict[str, np.ndarray]]:
    """Return by network the history's rows of the epochs after `first`, by column."""
    every = np.asarray(state.rows).reshape(-1, CAPACITY, len(plan.columns))
    found = []
    for rows, begun, ended in zip(
        every, np.atleast_1d(first), np.atleast_1d(np.asarray(state.epoch)), strict=True
    ):
        epochs = np.arange(begun, ended)
        columns = rows[epochs % CAPACITY].T
        found.append({"epoch": epochs + 1} | dict(zip(plan.columns, columns, strict=True)))
    return found


def _goals(standing: Standing) -> np.ndarray:
    """Return by network after how many epochs the last good state was: before that of the lowest loss."""
    reached = np.atleast_1d(np.asarray(standing.anchor.epoch))
    goals = []
    for history, least in zip(standing.histories, reached.tolist(), strict=True):
        loss = np.asarray(history.columns.get("loss", np.empty(0)))
        if np.isfinite(loss).any():
            lowest = int(np.argmin(np.where(np.isfinite(loss), loss, np.inf)))
            least = max(least, int(history["epoch"][lowest]) - 1)
        goals.append(least)
    return np.array(goals)


def _anchored(after: Standing, before: Standing) -> Standing:
    """Return the standing with the anchor moved to the last call's start, where the goal lies after that."""
    moved = _goals(after) >= np.atleast_1d(np.asarray(before.state.epoch))
    return after._replace(anchor=_chosen(moved, before.state, after.anchor))


def _cared_for(course: Course, before: Standing, after: Standing, sick: np.ndarray) -> Standing:
    """Return the standing with networks that have just diverged where they were good."""
    policy, failed = course.policy, after.state
    epochs = np.atleast_1d(np.asarray(failed.epoch))
    limit = _limits(failed, np.where(sick, epochs - 1, 0))
    whole = course.run(before.state, limit, before.rollbacks)  # a part of the call once more
    found = {int(k): _explained(course, after, whole, int(k)) for k in np.flatnonzero(sick)}
    troubles = [found.get(k, trouble) for k, trouble in enumerate(after.troubles)]
    goals = _goals(after)
    starts = _chosen(sick, after.anchor, failed)
    good = course.run(starts, _limits(failed, np.where(sick, goals, 0)), before.rollbacks)
    most = policy.times if isinstance(policy, Rollback) else 0
    healed = sick & (np.array(after.rollbacks) < most)
    best = failed.best if course.plan.validated else good.best  # measured as it is
    rested = good._replace(status=failed.status, best=best)
    state = _chosen(sick & ~healed, rested, good)
    for k in np.flatnonzero(healed):
        _tell(found[int(k)], policy, after.rollbacks[k] + 1, int(goals[k]))
    each = list(
        zip(after.histories, after.rollbacks, troubles, healed, goals.tolist(), strict=True)
    )
    return Standing(
        state,
        tuple(h.until(goal) if ill else h for h, _, _, ill, goal in each),
        tuple(None if ill else trouble for _, _, trouble, ill, _ in each),
        tuple(times + int(ill) for _, times, _, ill, _ in each),
        _chosen(sick, state, after.anchor),
    )


def _limits(state: TrainState, epochs: np.ndarray) -> np.ndarray:
    """Return epoch limits in the form of the state's: one a network, or one."""
    limits: np.ndarray = epochs.reshape(np.shape(state.epoch))
    return limits


def _explained(course: Course, after: Standing, whole: TrainState, k: int) -> Trouble:
    """Return how network k diverged; `whole` is the state at the start of the epoch in which it did."""
    plan, data = course.plan, course.data
    failed, start = _alone(after.state, plan, k), _alone(whole, plan, k)
    if plan.own_rows:
        data = jax.tree.map(lambda rows: rows[k], data)
    epoch, step = int(failed.epoch), int(failed.step)
    batches = epoch_batches(failed.order, jnp.int32(epoch - 1), len(data.x), plan.batch_size)
    if batches is not None:
        at = min(step - int(start.step), len(batches.rows) - 1)
        data = take(data, *jax.tree.map(lambda rows: rows[at], batches))
    penalty = Penalty(*course.controls[k].penalty)
    ruined = not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(failed.params))
    return Trouble(
        step=max(step + (not ruined), 1),
        epoch=epoch,
        learning_rate=float(after.histories[k]["learning_rate"][-1]),
        where=where_it_began(plan, failed, data, penalty),
        largest_input=float(np.abs(np.asarray(data.x, np.float64)).max()),
    )


def _alone(state: TrainState, plan: Plan, k: int) -> TrainState:
    """Return the state of network k alone."""
    if not plan.stacked:
        return state
    single: TrainState = jax.tree.map(lambda leaf: np.asarray(leaf)[k], state)
    return single


def _chosen(mask: np.ndarray, new: TrainState, old: TrainState) -> TrainState:
    """Return the state of some networks from `new`, of the others from `old`."""
    if not mask.any() or mask.all():
        return new if mask.any() else old

    def choose(new: Any, old: Any) -> Any:
        return np.where(
            mask.reshape(-1, *(1,) * (np.ndim(new) - 1)), np.asarray(new), np.asarray(old)
        )

    chosen: TrainState = jax.tree.map(choose, new, old)
    return chosen


def _tell(trouble: Trouble, policy: Rollback, times: int, epoch: int) -> None:
    """Warn that a network was rolled back."""
    warnings.warn(
        f"{trouble.description} Rolled back to {f'the end of epoch {epoch}' if epoch else 'the start'},"
        f" and on with {policy.factor**times:g} of the learning rate (rollback {times} of {policy.times}).",
        TrainingWarning,
        stacklevel=2,
    )
