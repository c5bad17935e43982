"""Train jobs, with networks that need the same program trained together in one.

A job is a fully specified training. `train`, the estimators, sweeps and cross-validation make jobs;
`run_jobs` trains them and returns one `Outcome` per network.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
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
from glassnet.training.checkpoints import Checkpoint, Folder, locked_folder
from glassnet.training.divergence import Trouble
from glassnet.training.fingerprint import identity
from glassnet.training.history import History
from glassnet.training.loop import Callback, EarlyStopping, fit
from glassnet.training.snapshot import stack
from glassnet.training.state import TEMPERATURES, Plan, TrainState, predicting

MAX_PARAMETERS = 20_000_000
"""The most parameters of all networks that train together: about 400 MB, with gradients and moments."""
MAX_STACKED_NUMBERS = 200_000_000
"""The most numbers in the rows of networks that train together, each on its own rows: about 800 MB."""


class Job(NamedTuple):
    """A fully specified training of one network, or of the members of an ensemble.

    Each tuple holds one entry per network.
    """

    blueprint: Model  # encoders, network and loss; no parameters yet
    plan: Plan
    keys: tuple[Key, ...]  # for the initial weights and dropout
    states: tuple[TrainState, ...]
    histories: tuple[History, ...]
    optimizers: tuple[Any, ...]
    penalties: tuple[Penalty, ...]
    data: tuple[Data, ...]  # the same object where networks share their rows
    validation: tuple[Data | None, ...]
    epochs: int
    early_stopping: EarlyStopping | None
    on_divergence: Any = "raise"  # or "stop", or a Rollback

    @property
    def members(self) -> list[Member]:
        """The networks of the job, one by one."""
        columns = zip(
            self.keys,
            self.states,
            self.histories,
            self.optimizers,
            self.penalties,
            self.data,
            self.validation,
            strict=True,
        )
        return [Member(self, *column) for column in columns]


class Member(NamedTuple):
    """One network of a job: entry k of each of the job's tuples."""

    job: Job
    key: Key
    state: TrainState
    history: History
    optimizer: Any
    penalty: Penalty
    data: Data
    validation: Data | None


class Settings(NamedTuple):
    """What one network was trained with, apart from what its state and history show."""

    optimizer: Any  # as given: a schedule may have no length yet
    penalty: Penalty
    key: Key
    batch_size: int
    epochs: int
    n_rows: int
    n_validation: int  # validation rows
    weighted: bool  # whether the rows had weights

    @classmethod
    def of(cls, member: Member) -> Settings:
        """Return the settings of one network of a job."""
        return cls(
            optimizer=member.optimizer,
            penalty=member.penalty,
            key=member.key,
            batch_size=member.job.plan.batch_size,
            epochs=member.job.epochs,
            n_rows=len(member.data.x),
            n_validation=0 if member.validation is None else len(member.validation.x),
            weighted=member.data.weight is not None,
        )

    @property
    def bound_optimizer(self) -> Any:
        """The optimizer as used: a schedule without a length of its own gets the run's."""
        steps = float(max(self.epochs, 1) * batch_count(self.n_rows, self.batch_size))
        return bind_schedules(as_optimizer(self.optimizer), steps)


class Outcome(NamedTuple):
    """How the training of one network ended. If it diverged, the state is the last good one.

    `Run` and the estimators keep these records and read their other attributes from them.
    """

    state: TrainState  # NumPy arrays
    history: History
    status: str
    settings: Settings
    trouble: Trouble | None = None  # how it diverged, if it did

    @property
    def diverged(self) -> bool:
        """Whether the training ended because it diverged."""
        return self.status == "diverged"


def run_jobs(
    jobs: Sequence[Job],
    callbacks: Sequence[Callback] = (),
    chunk: int | None = None,
    checkpoint: Checkpoint | None = None,
) -> list[list[Outcome]]:
    """Train the networks of all jobs and return the outcomes of each job's networks."""
    members = [member for job in jobs for member in job.members]
    outcomes: dict[int, Outcome] = {}
    with locked_folder(checkpoint) as folder:
        for number, indices in enumerate(groups_of(members), start=1):
            group = [members[index] for index in indices]
            trained = _train_together(group, callbacks, chunk, folder, number)
            outcomes.update(zip(indices, trained, strict=True))
    in_order = iter([outcomes[index] for index in range(len(members))])
    return [list(islice(in_order, len(job.states))) for job in jobs]


def groups_of(members: Sequence[Member]) -> list[list[int]]:
    """Return the indices of the networks that train together, one list per program."""
    by_form: dict[Any, list[int]] = {}
    for index, member in enumerate(members):
        by_form.setdefault(_form(member), []).append(index)
    groups: list[list[int]] = []
    for indices in by_form.values():
        limit = _max_together([members[index] for index in indices])
        groups += [indices[first : first + limit] for first in range(0, len(indices), limit)]
    return groups


def _form(member: Member) -> Any:
    """Return what must be equal for networks to train in one program."""

    def shapes(tree: Any) -> Any:
        leaves, structure = jax.tree.flatten(tree)
        return structure, tuple((np.shape(leaf), np.asarray(leaf).dtype) for leaf in leaves)

    job, state = member.job, member.state
    order = np.asarray(state.order).tobytes()
    schedule = (int(state.epoch), order, job.epochs, job.early_stopping, job.on_divergence)
    rows = (shapes(member.data), shapes(member.validation), job.blueprint.dtype)
    return job.plan, schedule, rows, shapes(state), jax.tree.structure(member.optimizer)


def _max_together(members: Sequence[Member]) -> int:
    """Return how many of these networks fit into one program without using too much memory."""
    first = members[0]
    limit = MAX_PARAMETERS // max(1, _size(first.state.params))
    if _have_separate_rows(members):
        rows = _size((first.data, first.validation))
        limit = min(limit, MAX_STACKED_NUMBERS // max(1, rows))
    return max(1, limit)


def _size(tree: Any) -> int:
    return sum(math.prod(np.shape(leaf)) for leaf in jax.tree.leaves(tree))


def _have_separate_rows(members: Sequence[Member]) -> bool:
    return any(member.data is not members[0].data for member in members)


def _train_together(
    members: Sequence[Member],
    callbacks: Sequence[Callback],
    chunk: int | None,
    folder: Folder | None,
    number: int,
) -> list[Outcome]:
    """Train networks of the same form in one program; `number` counts the run's programs from 1."""
    first = members[0]
    job, plan, data, validation = first.job, first.job.plan, first.data, first.validation
    with precision(job.blueprint.dtype):
        if len(members) == 1:
            state = first.state
        else:
            plan = replace(plan, stacked=True, separate_rows=_have_separate_rows(members))
            if plan.separate_rows:
                data, validation = stack([(member.data, member.validation) for member in members])
            state = stack([member.state for member in members])
        result = fit(
            jax.device_put(state),
            [member.history for member in members],
            plan=plan,
            optimizers=[member.optimizer for member in members],
            data=jax.device_put(data),
            validation=jax.device_put(validation),
            epochs=job.epochs,
            penalties=[member.penalty for member in members],
            early_stopping=job.early_stopping,
            callbacks=callbacks,
            chunk=chunk,
            on_divergence=job.on_divergence,
            checkpoints=folder and folder.part(number, _identity(members), job.on_divergence),
        )
    columns = zip(
        unstacked(result.state),
        result.histories,
        result.statuses,
        map(Settings.of, members),
        result.troubles,
        strict=True,
    )
    return [Outcome(*column) for column in columns]


def unstacked(state: TrainState) -> list[TrainState]:
    """Return each network's state from a stacked one, as NumPy arrays."""
    arrays: TrainState = jax.tree.map(np.asarray, state)
    if np.ndim(arrays.epoch) == 0:
        return [arrays]
    return [jax.tree.map(lambda leaf, k=k: leaf[k], arrays) for k in range(len(arrays.epoch))]


def _identity(members: Sequence[Member]) -> dict[str, str]:
    """Return what determines the bits of this training; checkpoints are compared with it."""
    first, job = members[0], members[0].job
    separate = _have_separate_rows(members)
    return identity(
        job.plan,
        optimizers=[Settings.of(member).bound_optimizer for member in members],
        penalties=[member.penalty for member in members],
        early_stopping=job.early_stopping,
        data=[member.data for member in members] if separate else first.data,
        validation=[member.validation for member in members] if separate else first.validation,
        state=[member.state for member in members],
        dtype=job.blueprint.dtype,
    )


def finished_model(
    blueprint: Model, outcomes: Sequence[Outcome], on_divergence: Any = "raise"
) -> Model:
    """Return the model of a job's networks, with the parameters of their best epochs if those were kept.

    Members of an ensemble that diverged are left out, with a `DataWarning`. If all of them diverged and
    `on_divergence` is "stop", the model has their last good parameters, with a `TrainingWarning`.

    Raises
    ------
    DivergenceError: all of them diverged; `diagnose` reads its `blueprint` and `finished`.
    """
    healthy = [outcome for outcome in outcomes if not outcome.diverged]
    trouble = next((outcome.trouble for outcome in outcomes if outcome.trouble is not None), None)
    if healthy and trouble is not None:
        warnings.warn(
            f"{len(outcomes) - len(healthy)} of {len(outcomes)} members diverged and are left out. {trouble}",
            DataWarning,
            stacklevel=2,
        )
    model = _joined(blueprint, healthy or outcomes)
    if not healthy and trouble is not None:
        if on_divergence != "stop":
            error = trouble.error()
            error.model, error.state, error.history = model, outcomes[0].state, outcomes[0].history
            error.blueprint, error.finished = blueprint, tuple(outcomes)
            raise error
        warnings.warn(f"{trouble} The model is the last good one.", TrainingWarning, stacklevel=2)
    return model


def _joined(blueprint: Model, outcomes: Sequence[Outcome]) -> Model:
    """Return one model of networks that predict together."""
    arrays = [jax.tree.map(np.asarray, _best(outcome.state)) for outcome in outcomes]
    params, layer_state, losses = arrays[0] if len(arrays) == 1 else stack(arrays)
    # one temperature for all members: that with the lowest mean loss over their rows
    mean_losses = losses.reshape(len(arrays), -1).mean(axis=0)
    calibrated = mean_losses.size > 1
    return replace(
        blueprint,
        params=params,
        layer_state=layer_state,
        members=len(arrays),
        temperature=TEMPERATURES[int(np.argmin(mean_losses))] if calibrated else 1.0,
    )


def _best(state: TrainState) -> Any:
    """Return the best epoch's parameters, layer state and losses by temperature, or else the last epoch's."""
    best = state.best
    if best is not None and np.isfinite(float(best.score)):
        return best.params, best.layer_state, best.losses
    return *predicting(state), np.zeros(1) if best is None else np.zeros_like(best.losses)


def with_errors(
    model: Model, validation: Sequence[Data | None], outcomes: Sequence[Outcome]
) -> Model:
    """Return a regression model with its errors on validation rows, which prediction intervals need.

    validation: each network's validation rows. If they differ, each member is measured on its own rows.

    Without validation rows, and for classes, the model stays as it is.
    """
    all_diverged = all(outcome.diverged for outcome in outcomes)  # then none is left out
    held_out = [
        rows
        for rows, outcome in zip(validation, outcomes, strict=True)
        if rows is not None and (all_diverged or not outcome.diverged)
    ]
    if not held_out or model.loss.task != "regression":
        return model
    separate = any(rows is not held_out[0] for rows in held_out)
    rows = stack(held_out if separate else held_out[:1])
    outputs = model.outputs_apart(rows.x) if separate else model.outputs_encoded(rows.x[0])[None]
    errors = (rows.y.reshape(outputs.shape) - outputs).reshape(-1, outputs.shape[-1])
    weight = None if rows.weight is None else rows.weight.ravel()
    return replace(model, errors=kept_errors(errors, weight))
