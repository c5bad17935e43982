"""Jobs: trainings with everything decided, run one by one or many networks in one program.

A job is what a door (`train`, an estimator, a sweep, folds) has made of a person's choices; what comes out
is one `Finished` a network. Networks whose programs would be the same train together.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from glassnet._precision import precision
from glassnet._types import Key
from glassnet.errors import DataWarning, TrainingWarning
from glassnet.models.intervals import kept_errors
from glassnet.models.model import Model
from glassnet.nn.optimizer_wrappers import as_optimizer, bind_schedules
from glassnet.nn.penalties import Penalty
from glassnet.training.batches import Data, batch_count
from glassnet.training.checkpoints import Checkpoint, Folder, opened
from glassnet.training.divergence import Trouble
from glassnet.training.fingerprint import identity
from glassnet.training.history import History
from glassnet.training.loop import Callback, EarlyStopping, fit
from glassnet.training.snapshot import stack
from glassnet.training.state import TEMPERATURES, Plan, TrainState, predicting

MOST_PARAMETERS = (
    20_000_000  # that train together: some 400 MB with gradients, moments and the best
)
MOST_NUMBERS = 200_000_000  # of rows that are stacked, where each network has its own: 800 MB


class Job(NamedTuple):
    """One training, or that of an ensemble's members: what is a tuple holds one a network."""

    blueprint: Model  # encodings, network and loss; no parameters yet
    plan: Plan
    keys: tuple[Key, ...]  # what its weights and dropout are drawn by
    states: tuple[TrainState, ...]
    histories: tuple[History, ...]
    optimizers: tuple[Any, ...]
    penalties: tuple[Penalty, ...]
    data: tuple[Data, ...]  # one and the same where members share their rows
    validation: tuple[Data | None, ...]
    epochs: int
    early_stopping: EarlyStopping | None
    on_divergence: Any = "raise"  # or "stop", or a Rollback


class Settings(NamedTuple):
    """What one network was trained with, as far as its state and history do not tell."""

    optimizer: Any
    batch_size: int
    epochs: int
    penalty: Penalty
    key: Key
    weighted: bool  # whether its rows had weights

    @classmethod
    def of(cls, job: Job, place: int) -> Settings:
        """Return the settings of one network of a job."""
        return cls(
            job.optimizers[place], job.plan.batch_size, job.epochs, job.penalties[place],
            job.keys[place], job.data[place].weight is not None,
        )  # fmt: skip


class Finished(NamedTuple):
    """The end of one network's training; of one that diverged, with its last good state."""

    state: TrainState
    history: History
    status: str
    settings: Settings
    trouble: Trouble | None = None


def run_jobs(
    jobs: Sequence[Job],
    callbacks: Sequence[Callback] = (),
    chunk: int | None = None,
    checkpoint: Checkpoint | None = None,
) -> list[list[Finished]]:
    """Train the networks of all jobs and return by job what became of each of its networks."""
    lanes = [(job, place) for job in jobs for place in range(len(job.states))]
    found: dict[int, Finished] = {}
    with opened(checkpoint) as folder:
        for number, some in enumerate(parts_of(lanes), start=1):
            ended = _run_together([lanes[n] for n in some], callbacks, chunk, folder, number)
            found.update(zip(some, ended, strict=True))
    by_job: dict[int, list[Finished]] = {id(job): [] for job in jobs}
    for number, (job, _) in enumerate(lanes):
        by_job[id(job)].append(found[number])
    return [by_job[id(job)] for job in jobs]


def parts_of(lanes: Sequence[tuple[Job, int]]) -> list[list[int]]:
    """Return the numbers of the networks that train together, one program after the other."""
    groups: dict[Any, list[int]] = {}
    for number, (job, place) in enumerate(lanes):
        groups.setdefault(_form(job, place), []).append(number)
    parts: list[list[int]] = []
    for numbers in groups.values():
        most = _most_together([lanes[n] for n in numbers])
        parts += [numbers[first : first + most] for first in range(0, len(numbers), most)]
    return parts


def _form(job: Job, place: int) -> Any:
    """Return what must be the same for networks to train together."""

    def shapes(tree: Any) -> Any:
        leaves, structure = jax.tree.flatten(tree)
        return structure, tuple((np.shape(leaf), np.asarray(leaf).dtype) for leaf in leaves)

    state, optimizer = job.states[place], job.optimizers[place]
    order = np.asarray(state.order).tobytes()
    together = (int(state.epoch), order, job.epochs, job.early_stopping, job.on_divergence)
    rows = (shapes(job.data[place]), shapes(job.validation[place]), job.blueprint.dtype)
    return job.plan, together, rows, shapes(state), jax.tree.structure(optimizer)


def _most_together(lanes: Sequence[tuple[Job, int]]) -> int:
    """Return how many networks one program takes, for what they need in memory."""
    job = lanes[0][0]
    most = MOST_PARAMETERS // max(1, _size(job.states[0].params))
    if _own_rows(lanes):
        most = min(most, MOST_NUMBERS // max(1, _size((job.data[0], job.validation[0]))))
    return max(1, most)


def _size(tree: Any) -> int:
    return sum(math.prod(np.shape(leaf)) for leaf in jax.tree.leaves(tree))


def _own_rows(lanes: Sequence[tuple[Job, int]]) -> bool:
    first, place = lanes[0]
    return any(job.data[p] is not first.data[place] for job, p in lanes)


def _run_together(
    lanes: Sequence[tuple[Job, int]],
    callbacks: Sequence[Callback],
    chunk: int | None,
    folder: Folder | None,
    number: int,
) -> list[Finished]:
    """Train networks of one form in one program; they are so many'th part of the run."""
    job, place = lanes[0]
    states = [job.states[place] for job, place in lanes]
    data, validation, plan = job.data[place], job.validation[place], job.plan
    with precision(job.blueprint.dtype):
        if len(lanes) == 1:
            state = states[0]
        else:
            plan = replace(plan, stacked=True, own_rows=_own_rows(lanes))
            if plan.own_rows:
                data, validation = stack([(job.data[p], job.validation[p]) for job, p in lanes])
            stacked = stack([state._replace(order=()) for state in states])
            state = stacked._replace(order=states[0].order)
        ended = fit(
            jax.device_put(state),
            [job.histories[place] for job, place in lanes],
            plan=plan,
            optimizers=[job.optimizers[place] for job, place in lanes],
            data=jax.device_put(data),
            validation=jax.device_put(validation),
            epochs=job.epochs,
            penalties=[job.penalties[place] for job, place in lanes],
            early_stopping=job.early_stopping,
            callbacks=callbacks,
            chunk=chunk,
            on_divergence=job.on_divergence,
            checkpoints=folder and folder.part(number, _identity(lanes), job.on_divergence),
        )
    return [
        Finished(state, history, status, Settings.of(*lane), trouble)
        for state, history, status, trouble, lane in zip(
            apart(ended.state), ended.histories, ended.statuses, ended.troubles, lanes, strict=True
        )
    ]


def apart(state: TrainState) -> list[TrainState]:
    """Return the states of networks that train together, one by one; of a single one its own."""
    if np.ndim(state.epoch) == 0:
        return [state]
    arrays = jax.tree.map(np.asarray, state)
    each = (
        jax.tree.map(lambda leaf, k=k: leaf[k], arrays._replace(order=()))
        for k in range(len(arrays.epoch))
    )
    return [one._replace(order=arrays.order) for one in each]


def bound_optimizer(job: Job, place: int) -> Any:
    """Return the optimizer of one network of a job as it is used, schedules with the run's length."""
    total = float(max(job.epochs, 1) * batch_count(len(job.data[place].x), job.plan.batch_size))
    return bind_schedules(as_optimizer(job.optimizers[place]), total)


def _identity(lanes: Sequence[tuple[Job, int]]) -> dict[str, str]:
    """Return what decides each bit of a part of a run."""
    job, place = lanes[0]
    own = _own_rows(lanes)
    return identity(
        job.plan,
        optimizers=[bound_optimizer(j, p) for j, p in lanes],
        penalties=[j.penalties[p] for j, p in lanes],
        early_stopping=job.early_stopping,
        data=[j.data[p] for j, p in lanes] if own else job.data[place],
        validation=[j.validation[p] for j, p in lanes] if own else job.validation[place],
        state=[j.states[p] for j, p in lanes],
        dtype=job.blueprint.dtype,
    )


def finished_model(
    blueprint: Model, finished: Sequence[Finished], on_divergence: Any = "raise"
) -> Model:
    """Return the model of a job's networks, each with the parameters of its best epoch where that was kept.

    Members of an ensemble that diverged are left out, with a `DataWarning`. Where all did, with "stop" the
    model is that of their last good states, with a `TrainingWarning`.

    Raises
    ------
    DivergenceError: all of them diverged; its `blueprint` and `finished` tell `diagnose` of what.
    """
    healthy = [end for end in finished if end.status != "diverged"]
    lost = next((end.trouble for end in finished if end.trouble is not None), None)
    if healthy and lost is not None:
        warnings.warn(
            f"{len(finished) - len(healthy)} of {len(finished)} members diverged and are left out. {lost}",
            DataWarning,
            stacklevel=2,
        )
    model = _joined(blueprint, healthy or finished)
    if not healthy and lost is not None:
        if on_divergence != "stop":
            error = lost.error()
            error.model, error.state, error.history = model, finished[0].state, finished[0].history
            error.blueprint, error.finished = blueprint, tuple(finished)
            raise error
        warnings.warn(f"{lost} The model is the last good one.", TrainingWarning, stacklevel=2)
    return model


def _joined(blueprint: Model, finished: Sequence[Finished]) -> Model:
    """Return the model of networks that predict together."""
    arrays = [jax.tree.map(np.asarray, _best(end.state)) for end in finished]
    params, layer_state, losses = arrays[0] if len(arrays) == 1 else stack(arrays)
    together = losses.reshape(len(arrays), -1).mean(
        axis=0
    )  # one temperature for all: from all rows held out
    temperature = TEMPERATURES[int(np.argmin(together))] if together.size > 1 else 1.0
    return replace(
        blueprint,
        params=params,
        layer_state=layer_state,
        members=len(arrays),
        temperature=temperature,
    )


def _best(state: TrainState) -> Any:
    """Return parameters, the layers' state and losses by temperature of the best epoch, or of the last."""
    best = state.best
    if best is not None and np.isfinite(float(best.score)):
        return best.params, best.layer_state, best.losses
    return *predicting(state), np.zeros(1) if best is None else np.zeros_like(best.losses)


def with_errors(model: Model, job: Job, finished: Sequence[Finished]) -> Model:
    """Return a model of values with its errors on the rows held out, each member's on its own if any."""
    ended = list(zip(job.validation, finished, strict=True))
    lost = all(end.status == "diverged" for _, end in ended)  # then all of them predict
    held = [rows for rows, end in ended if (lost or end.status != "diverged") and rows is not None]
    if not held or model.loss.task != "regression":
        return model
    own = any(rows is not held[0] for rows in held)
    rows = stack(held if own else held[:1])
    each = model.outputs_apart(rows.x) if own else model.outputs_encoded(rows.x[0])[None]
    errors = (rows.y.reshape(each.shape) - each).reshape(-1, each.shape[-1])
    weight = None if rows.weight is None else rows.weight.ravel()
    return replace(model, errors=kept_errors(errors, weight))
