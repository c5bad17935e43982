"""train: a network of your own, on arrays, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from glassnet import keys
from glassnet._checks import check_count, check_range, resolve
from glassnet._precision import precision
from glassnet.data.splits import split
from glassnet.data.tables import check_one_target_per_row
from glassnet.diagnosis.diagnose import check_loss, diagnose_job
from glassnet.diagnosis.findings import Diagnosis
from glassnet.encoding.objectives import (
    as_target,
    check_output,
    encode_target,
    encoded,
    resolve_loss,
)
from glassnet.encoding.targets import TargetEncoder
from glassnet.errors import ConfigurationError, DataError, DivergenceError
from glassnet.models.model import Model, check_array
from glassnet.nn.losses import CustomLoss, Loss
from glassnet.nn.metrics import METRICS
from glassnet.nn.network import Network
from glassnet.nn.penalties import Penalty
from glassnet.training.batches import Data
from glassnet.training.checkpoints import as_checkpoint
from glassnet.training.divergence import as_policy
from glassnet.training.history import History
from glassnet.training.jobs import (
    Job,
    Outcome,
    Settings,
    finished_model,
    run_jobs,
)
from glassnet.training.loop import Callback, EarlyStopping, start
from glassnet.training.progress import ProgressBar
from glassnet.training.state import DIVERGED, Plan, TrainState


@dataclass(frozen=True)
class Run:
    """What `train` returns.

    model: predicts, with the best epoch's parameters where those were kept.
    history: one row an epoch.
    state: everything the run is made of; `train(..., state=run.state)` goes on from there.
    status: "finished" (all epochs), "converged", "stopped early", "interrupted" or, with
        on_divergence="stop", "diverged": the model is then the last good one.
    optimizer: as it was used, schedules with the run's length. penalty: L1 and L2.
    settings: what it was trained with.
    outcome: the record that history, state, status and settings are read from.
    diagnosis: what `train(..., diagnose=True)` found, else None.
    """

    model: Model
    outcome: Outcome
    diagnosis: Diagnosis | None = None

    @property
    def history(self) -> History:
        """One row an epoch."""
        return self.outcome.history

    @property
    def state(self) -> TrainState:
        """Parameters, optimizer state and counters after the last step."""
        return self.outcome.state

    @property
    def status(self) -> str:
        """How the run ended."""
        return self.outcome.status

    @property
    def settings(self) -> Settings:
        """What the network was trained with."""
        return self.outcome.settings

    @property
    def optimizer(self) -> Any:
        """The optimizer as it was used."""
        return self.settings.bound_optimizer

    @property
    def penalty(self) -> Penalty:
        """The strengths of the L1 and L2 penalties."""
        return self.settings.penalty


def train(
    network: Network,
    X: Any,
    y: Any,
    *,
    loss: Loss | str | Any = "auto",
    optimizer: Any = "adam",
    batch_size: int | None = 32,
    epochs: int = 100,
    validation: Any = None,
    early_stopping: EarlyStopping | bool = False,
    l1: float = 0.0,
    l2: float = 0.0,
    sample_weight: Any = None,
    metrics: Sequence[str] = (),
    seed: int = 0,
    dtype: str = "float32",
    state: TrainState | None = None,
    history: History | None = None,
    callbacks: Sequence[Callback] = (),
    chunk: int | None = None,
    progress: bool = False,
    diagnose: bool = False,
    on_divergence: Any = "raise",
    checkpoint: Any = None,
    every: int | None = None,
    resume: bool = False,
) -> Run:
    """Train a network on arrays and return the run: model, history, state.

    Each step moves the parameters against the gradient of
    L = sum(w · l) / sum(w) + l1 · sum |W| + l2 / 2 · sum W² over one batch.

    Main arguments
    --------------
    network: its last layer puts out one number a class (CrossEntropy), a label, or a target column.
    X: numbers, shape (n, features), or pictures (n, h, w[, c]); bytes stay bytes until the batch.
    y: classes (text or whole numbers), values, 0/1 labels (n, labels), or probabilities (n, classes).
    loss: a loss, its name, a function (logits, target) -> one loss a row, or "auto": cross-entropy for
        text, whole numbers and booleans, squared error for other numbers.
    optimizer: an optimizer or its name, or any optax transformation. Default Adam with rate 1e-3.
    batch_size: rows a step; None: all rows at once, which is plain gradient descent. Default 32.
    epochs: walks through all rows, counted from the start of the run. Default 100.
    validation: (X, y) or (X, y, weight) of your own, or a share of the rows to set aside, stratified.
    early_stopping: True, or EarlyStopping(patience=...): stop, and keep the best epoch's parameters.

    Other arguments
    ---------------
    l1, l2: penalties on weights; biases, gamma and beta are not penalised. Default 0.
    sample_weight: one number a row, at least 0.
    metrics: names measured each epoch beside the loss: "accuracy", "absolute_error", "squared_error".
    seed: of initialisation, order of rows, dropout. The same seed gives the same bits.
    dtype: "float32" (default) or "float64".
    state, history: of an earlier run to continue; with the same data it ends as one run would have.
    callbacks: each is called with an `Event` between calls of the program; one that returns true stops.
    chunk: epochs a call of the program. Default: 1 with callbacks, else about a fifth of a second.
    progress: show a bar with loss, validation loss and time left, if the output is a terminal.
    diagnose: look for what kept it from learning: `run.diagnosis`, or `error.diagnosis` if it diverged.
    on_divergence: "raise"; "stop": warn and return the last finite model; "rollback" or gn.Rollback(times=5):
        go back to the last good state and on with half the learning rate.
    checkpoint: a folder for checkpoints, from which a run that was cut off goes on to the same bits; see
        `Checkpoint`. every: epochs between two; None: about half a minute. resume: go on from the last.

    Raises
    ------
    DataError, ConfigurationError: see the message. DivergenceError: loss or gradient not finite.
    CheckpointError: a checkpoint could not be written.

    >>> import glassnet as gn
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> net = gn.Network([gn.Dense(4), gn.Tanh(), gn.Dense(2)])
    >>> run = gn.train(net, X, y, optimizer=gn.Adam(0.05), epochs=300)
    >>> run.model.predict(X).tolist()
    [0, 1, 1, 0]
    """
    job = network_job(
        network, X, y, loss=loss, optimizer=optimizer, batch_size=batch_size, epochs=epochs,
        validation=validation, early_stopping=early_stopping, l1=l1, l2=l2, sample_weight=sample_weight,
        metrics=metrics, seed=seed, dtype=dtype, state=state, history=history,
        on_divergence=on_divergence,
    )  # fmt: skip
    if diagnose:
        check_loss(job.plan.loss)
    bar: list[Callback] = [ProgressBar()] if progress else []
    saved = as_checkpoint(checkpoint, every, resume)
    ((outcome,),) = run_jobs([job], [*as_callbacks(callbacks), *bar], chunk, saved)
    if not diagnose:
        return finished_run(job, outcome)
    try:
        run = finished_run(job, outcome)
    except DivergenceError as error:
        error.diagnosis = diagnose_job(job, outcome, None)
        raise
    return replace(run, diagnosis=diagnose_job(job, outcome, run.model))


def network_job(
    network: Network,
    X: Any,
    y: Any,
    *,
    loss: Loss | str | Any = "auto",
    optimizer: Any = "adam",
    batch_size: int | None = 32,
    epochs: int = 100,
    validation: Any = None,
    early_stopping: EarlyStopping | bool = False,
    l1: float = 0.0,
    l2: float = 0.0,
    sample_weight: Any = None,
    metrics: Sequence[str] = (),
    seed: int = 0,
    dtype: str = "float32",
    state: TrainState | None = None,
    history: History | None = None,
    on_divergence: Any = "raise",
) -> Job:
    """Return what `train` is to do, all of it decided and checked."""
    check_range("l1", l1, 0, np.inf)
    check_range("l2", l2, 0, np.inf)
    check_settings(dtype, early_stopping, y)
    policy = as_policy(on_divergence)
    with precision(dtype):
        x = check_array(X, None, dtype)
        found = resolve_loss(loss, y)
        target, t = encode_target(y, found)
        rows = Data(x, as_target(t, found, dtype), check_weights(sample_weight, len(x), dtype))
        check_lengths(rows)
        data, held = set_aside(rows, validation, found, target, seed, dtype)
        stopping = EarlyStopping() if early_stopping is True else early_stopping or None
        plan = make_plan(
            network, found, len(data.x), batch_size,
            metrics=metrics, stopping=stopping, held=held, penalised=l1 + l2 > 0,
        )  # fmt: skip
        key = keys.key(seed)
        drawn = network if state is None else network.blank()  # only its shapes are asked for
        fresh, out_shape = start(plan, drawn, optimizer, x.shape[1:], key)
        check_output(out_shape, found, target, t)
        state = fresh if state is None else check_state(state, fresh)
    blueprint = Model(
        network=network,
        params=(),
        layer_state=(),
        loss=found,
        in_shape=x.shape[1:],
        dtype=dtype,
        target_encoder=target,
    )
    so_far = (history or History()).until(int(state.epoch))  # one that diverged tells a row more
    return Job(
        blueprint, plan, (key,), (state,), (so_far,), (optimizer,), (Penalty(l1, l2),),
        (data,), (held,), epochs, stopping, policy,
    )  # fmt: skip


def finished_run(job: Job, outcome: Outcome) -> Run:
    """Return the run of a network that has trained.

    Raises
    ------
    DivergenceError: it diverged, and `on_divergence` is not "stop".
    """
    return Run(finished_model(job.blueprint, [outcome], job.on_divergence), outcome)


def check_settings(dtype: Any, early_stopping: Any, y: Any) -> None:
    """Raise for what would fail only deep inside."""
    if dtype not in ("float32", "float64"):
        raise ConfigurationError(f"dtype is {dtype!r}, but it must be 'float32' or 'float64'.")
    if not isinstance(early_stopping, (bool, EarlyStopping, type(None))):
        raise ConfigurationError(
            f"early_stopping is {early_stopping!r}, but it must be True, False or an object:"
            " gn.EarlyStopping(patience=10)."
        )
    try:
        np.shape(y)
    except ValueError:
        raise DataError("y is ragged: its rows differ in length. Give one target a row.") from None


def check_state(state: Any, fresh: TrainState) -> TrainState:
    """Return the state to go on from, if it fits the network, optimizer and options of this call."""

    def form(tree: Any) -> Any:
        leaves, structure = jax.tree.flatten(tree)
        return structure, [(np.shape(leaf), np.asarray(leaf).dtype) for leaf in leaves]

    if not isinstance(state, TrainState) or form(state) != form(fresh):
        raise ConfigurationError(
            "state is no state of a run like this one. Give run.state of a run with the same network, inputs,"
            " optimizer, metrics, dtype, early stopping, and with validation if that run had it."
        )
    diverged = int(state.status) == DIVERGED  # what a run leaves then is sound, and may go on
    running: Any = np.zeros((), np.int32)
    return state._replace(status=running) if diverged else state


def as_callbacks(callbacks: Any) -> list[Callback]:
    """Return a list of callbacks; a single one may stand by itself."""
    listed = list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]
    for callback in listed:
        if not callable(callback):
            raise ConfigurationError(
                f"The callback {callback!r} cannot be called: give a function of one Event."
            )
    return listed


SMALLEST_WEIGHT = 1e-30  # a million times smaller it would be 0 in float32


def check_weights(weight: Any, n_rows: int, dtype: str) -> np.ndarray | None:
    """Return sample weights as an array, or None.

    Raises
    ------
    DataError: another length, negative, missing or infinite weights, or all of them 0.
    """
    if weight is None:
        return None
    try:
        with np.errstate(over="ignore"):  # seen below
            w = np.asarray(weight, np.float64).astype(dtype)
    except (TypeError, ValueError):
        raise DataError(
            "sample_weight holds something that is no number: give one weight a row."
        ) from None
    if w.ndim == 0:
        w = np.full(n_rows, w)
    if w.ndim != 1 or len(w) != n_rows:
        raise DataError(
            f"sample_weight has shape {w.shape}, but X has {n_rows} rows: give one weight a row."
        )
    if not np.isfinite(w).all() or (w < 0).any():
        raise DataError(
            "sample_weight holds negative, missing or infinite numbers: weights start at 0."
        )
    if not (w > 0).any():
        raise DataError("All sample weights are zero: at least one row must count.")
    low, high = w[w > 0].min(), w.max()
    if low < SMALLEST_WEIGHT or high > 1 / SMALLEST_WEIGHT:
        raise DataError(
            f"sample_weight reaches from {low:.3g} to {high:.3g}, which cannot be added up in float32. Only"
            " their ratios count: divide them by their mean."
        )
    return w


def check_lengths(data: Data) -> None:
    """Raise unless X and y have the same, positive number of rows."""
    if len(data.x) == 0:
        raise DataError("Found array with 0 sample(s): X is empty, there is nothing to learn from.")
    if data.x.size == 0:
        raise DataError(
            f"Found array with 0 feature(s) (shape={data.x.shape}) while a minimum of 1 is required."
        )
    check_one_target_per_row(data.x, data.y)


def set_aside(
    data: Data, validation: Any, loss: Loss, target: TargetEncoder, seed: int, dtype: str
) -> tuple[Data, Data | None]:
    """Return training and validation rows: a share set aside, the person's own, or none."""
    if validation is None or validation is False:
        return data, None
    if isinstance(validation, (tuple, list)):
        return data, own_validation(validation, data, loss, target, dtype)
    check_range("validation", validation, 0, 1, open_low=True)
    stratify = loss.task == "classification" and data.y.ndim == 1
    drawn_by = int(keys.key(seed)[0])  # scikit-learn takes no negative seed
    train_rows, held_rows = split(data.y, float(validation), drawn_by, stratify=stratify)

    return data.at(train_rows), data.at(held_rows)


def own_validation(
    validation: Any, data: Data, loss: Loss, target: TargetEncoder, dtype: str
) -> Data:
    """Return a person's own validation rows, checked against the training rows."""
    if len(validation) not in (2, 3):
        raise DataError(
            f"validation has {len(validation)} parts, but it must be (X, y), (X, y, weight), or a share."
        )
    x = check_array(validation[0], data.x.shape[1:], dtype)
    t = encoded(validation[1], target)
    if target is None and t.shape[1] != data.y.shape[1]:
        raise DataError(
            f"validation's y has {t.shape[1]} columns, but the training rows' has {data.y.shape[1]}."
        )
    weight = check_weights(validation[2] if len(validation) == 3 else None, len(x), dtype)
    held = Data(x, as_target(t, loss, dtype), weight)
    check_lengths(held)
    return held


def make_plan(
    network: Network,
    loss: Loss,
    n_rows: int,
    batch_size: int | None,
    *,
    metrics: Sequence[str],
    stopping: EarlyStopping | None,
    held: Data | None,
    penalised: bool,
) -> Plan:
    """Return what to compile the program for."""
    if not isinstance(network, Network):
        raise ConfigurationError(
            f"{network!r} is no network. Put the layers into one: gn.Network([gn.Dense(64), gn.ReLU(), ...])."
        )
    if batch_size is not None:
        check_count("batch_size", batch_size)
    metrics = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    for metric in metrics:
        resolve("metric", metric, METRICS)
        if (metric == "accuracy") == (loss.task == "regression") and not isinstance(
            loss, CustomLoss
        ):
            raise ConfigurationError(
                f"The metric '{metric}' does not fit a loss for {loss.task}: 'accuracy' is for classes and"
                " labels, 'absolute_error' and 'squared_error' are for values."
            )
    return Plan(
        network=network.skeleton(),
        loss=loss,
        batch_size=min(batch_size or n_rows, n_rows),
        metrics=metrics,
        penalised=penalised,
        keep_best=stopping is not None,
        validated=held is not None,
        calibrated=stopping is not None
        and stopping.calibrated
        and held is not None
        and loss.task != "regression",
    )
