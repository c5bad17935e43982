"""Hold the state of a run between two calls of its program, and restore networks that diverge.

A network that has diverged gets back its last good state: the one at the start of the epoch with its lowest
loss. There it stops or, with a rollback, continues. The result does not depend on how the run is cut into
calls.
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


class Snapshot(NamedTuple):
    """A run between two calls of its program; the tuples have one entry per network.

    anchor: for each network, a state that is its last good one or an earlier one (see `_restore_epochs`).
    """

    state: TrainState
    histories: tuple[History, ...]
    troubles: tuple[Trouble | None, ...]
    rollbacks: tuple[int, ...]
    anchor: TrainState

    @classmethod
    def first(cls, state: TrainState, histories: Sequence[History]) -> Snapshot:
        """Return the snapshot of a run before its first call."""
        n = len(histories)
        return cls(state, tuple(histories), (None,) * n, (0,) * n, anchor=state)


@dataclass(frozen=True)
class Trainer:
    """The compiled program with its constant inputs; the tuples have one entry per network."""

    plan: Plan
    optimizers: tuple[Any, ...]  # see `loop.as_leaves`
    controls: tuple[Controls, ...]
    data: Data
    validation: Data | None
    policy: Any  # "raise", "stop" or a Rollback

    def run(self, state: TrainState, limit: np.ndarray, rollbacks: Sequence[int]) -> TrainState:
        """Return the state after epoch `limit`, with learning rates lowered once for each rollback."""
        optimizers = [
            slowed(optimizer, np.asarray(self.policy.factor**count, default_float()))
            if isinstance(self.policy, Rollback)
            else optimizer
            for optimizer, count in zip(self.optimizers, rollbacks, strict=True)
        ]
        optimizer, controls = optimizers[0], self.controls[0]
        if self.plan.stacked:
            optimizer, controls = stack(optimizers), stack(self.controls)
        controls = controls._replace(epoch_limit=limit.astype(np.int32))
        return run_epochs(state, optimizer, self.data, self.validation, controls, plan=self.plan)


def stack(trees: Sequence[Any]) -> Any:
    """Stack trees of the same form into one, whose arrays have a first axis with one entry per tree.

    >>> stack([{"W": np.zeros(2)}, {"W": np.ones(2)}])["W"].tolist()
    [[0.0, 0.0], [1.0, 1.0]]
    """
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *trees)


def advance(trainer: Trainer, before: Snapshot, limit: np.ndarray) -> Snapshot:
    """Run one call and return the snapshot after it, with networks that diverged restored."""
    state = trainer.run(before.state, limit, before.rollbacks)
    rows = _history_rows(state, np.asarray(before.state.epoch), trainer.plan)
    histories = tuple(h.extend(r) for h, r in zip(before.histories, rows, strict=True))
    after = _with_later_anchor(before._replace(state=state, histories=histories), before)
    known = np.array([trouble is not None for trouble in before.troubles])
    diverged = (np.atleast_1d(np.asarray(state.status)) == DIVERGED) & ~known
    return _restored(trainer, before, after, diverged) if diverged.any() else after


def _history_rows(state: TrainState, first: np.ndarray, plan: Plan) -> list[dict[str, np.ndarray]]:
    """Return for each network the history of the epochs after `first`, by column."""
    buffers = np.asarray(state.rows).reshape(-1, CAPACITY, len(plan.columns))
    starts, ends = np.atleast_1d(first), np.atleast_1d(np.asarray(state.epoch))
    histories = []
    for buffer, start, end in zip(buffers, starts, ends, strict=True):
        epochs = np.arange(start, end)
        columns = buffer[epochs % CAPACITY].T
        histories.append({"epoch": epochs + 1} | dict(zip(plan.columns, columns, strict=True)))
    return histories


def _restore_epochs(snapshot: Snapshot) -> np.ndarray:
    """Return each network's number of epochs in its last good state: those before its lowest loss."""
    anchors = np.atleast_1d(np.asarray(snapshot.anchor.epoch))
    epochs = []
    for history, earliest in zip(snapshot.histories, anchors.tolist(), strict=True):
        epoch = earliest
        loss = np.asarray(history.columns.get("loss", np.empty(0)))
        if np.isfinite(loss).any():
            lowest = int(np.argmin(np.where(np.isfinite(loss), loss, np.inf)))
            epoch = max(earliest, int(history["epoch"][lowest]) - 1)
        epochs.append(epoch)
    return np.array(epochs)


def _with_later_anchor(after: Snapshot, before: Snapshot) -> Snapshot:
    """Move the anchor of each network that was good at the call's start to that start."""
    was_good = _restore_epochs(after) >= np.atleast_1d(np.asarray(before.state.epoch))
    return after._replace(anchor=_select(was_good, before.state, after.anchor))


def _restored(
    trainer: Trainer, before: Snapshot, after: Snapshot, diverged: np.ndarray
) -> Snapshot:
    """Return the snapshot after a call, with its diverged networks in their last good state."""
    policy, failed = trainer.policy, after.state
    # rerun part of the call, up to the start of the epoch in which a network diverged
    epochs = np.atleast_1d(np.asarray(failed.epoch))
    limits = _epoch_limits(failed, np.where(diverged, epochs - 1, 0))
    epoch_start = trainer.run(before.state, limits, before.rollbacks)
    new = {int(k): _trouble(trainer, after, epoch_start, int(k)) for k in np.flatnonzero(diverged)}
    troubles = [new.get(k, trouble) for k, trouble in enumerate(after.troubles)]
    # run from the anchor to the last good state
    targets = _restore_epochs(after)
    starts = _select(diverged, after.anchor, failed)
    limits = _epoch_limits(failed, np.where(diverged, targets, 0))
    good = trainer.run(starts, limits, before.rollbacks)
    max_rollbacks = policy.times if isinstance(policy, Rollback) else 0
    rolled_back = diverged & (np.array(after.rollbacks) < max_rollbacks)
    # a validation loss belongs to the kept parameters; a training loss is a mean over earlier steps
    best = failed.best if trainer.plan.validated else good.best
    stopped = good._replace(status=failed.status, best=best)
    state = _select(diverged & ~rolled_back, stopped, good)
    for k in np.flatnonzero(rolled_back):
        _warn_rollback(new[int(k)], policy, after.rollbacks[k] + 1, int(targets[k]))
    return Snapshot(
        state=state,
        histories=tuple(
            history.until(epoch) if again else history
            for history, again, epoch in zip(
                after.histories, rolled_back, targets.tolist(), strict=True
            )
        ),
        troubles=tuple(
            None if again else trouble for trouble, again in zip(troubles, rolled_back, strict=True)
        ),
        rollbacks=tuple(
            count + int(again) for count, again in zip(after.rollbacks, rolled_back, strict=True)
        ),
        anchor=_select(diverged, state, after.anchor),
    )


def _epoch_limits(state: TrainState, epochs: np.ndarray) -> np.ndarray:
    """Return epoch limits in the shape of the state's: one per network, or a single number."""
    limits: np.ndarray = epochs.reshape(np.shape(state.epoch))
    return limits


def _trouble(trainer: Trainer, after: Snapshot, epoch_start: TrainState, k: int) -> Trouble:
    """Describe how network k diverged, given the state at the start of that epoch."""
    plan, data = trainer.plan, trainer.data
    failed, start = _single(after.state, plan, k), _single(epoch_start, plan, k)
    if plan.separate_rows:
        data = jax.tree.map(lambda rows: rows[k], data)
    epoch, step = int(failed.epoch), int(failed.step)
    batches = epoch_batches(failed.order, jnp.int32(epoch - 1), len(data.x), plan.batch_size)
    if batches is not None:
        number = min(step - int(start.step), len(batches.rows) - 1)
        data = take(data, *jax.tree.map(lambda rows: rows[number], batches))
    penalty = Penalty(*trainer.controls[k].penalty)
    overflowed = not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(failed.params))
    return Trouble(
        step=max(step + (not overflowed), 1),
        epoch=epoch,
        learning_rate=float(after.histories[k]["learning_rate"][-1]),
        where=where_it_began(plan, failed, data, penalty),
        largest_input=float(np.abs(np.asarray(data.x, np.float64)).max()),
    )


def _single(state: TrainState, plan: Plan, k: int) -> TrainState:
    """Return the state of network k."""
    if not plan.stacked:
        return state
    single: TrainState = jax.tree.map(lambda leaf: np.asarray(leaf)[k], state)
    return single


def _select(mask: np.ndarray, new: TrainState, old: TrainState) -> TrainState:
    """Return the networks in the mask from `new`, the others from `old`."""
    if not mask.any() or mask.all():
        return new if mask.any() else old

    def select(new: Any, old: Any) -> Any:
        networks = mask.reshape(-1, *(1,) * (np.ndim(new) - 1))
        return np.where(networks, np.asarray(new), np.asarray(old))

    selected: TrainState = jax.tree.map(select, new, old)
    return selected


def _warn_rollback(trouble: Trouble, policy: Rollback, count: int, epoch: int) -> None:
    """Warn that a network was rolled back."""
    where = f"the end of epoch {epoch}" if epoch else "the start"
    factor = policy.factor**count
    warnings.warn(
        f"{trouble.description} Rolled back to {where}; training continues with {factor:g} of the"
        f" learning rate (rollback {count} of {policy.times}).",
        TrainingWarning,
        stacklevel=2,
    )
