"""Train a network on arrays in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glassnet._checks import check_range
from glassnet.diagnosis.diagnose import check_loss, diagnose_job
from glassnet.diagnosis.findings import Diagnosis
from glassnet.encoding.objectives import encode_target, encoded, resolve_loss
from glassnet.encoding.targets import TargetEncoder
from glassnet.errors import ConfigurationError, DataError, DivergenceError
from glassnet.fit.inputs import (
    Choices,
    Rows,
    as_callbacks,
    check_lengths,
    check_validation,
    prepare,
    row_weights,
)
from glassnet.models.model import Model, check_array
from glassnet.nn.losses import Loss
from glassnet.nn.network import Network
from glassnet.nn.penalties import Penalty
from glassnet.training.checkpoints import as_checkpoint
from glassnet.training.history import History
from glassnet.training.jobs import Job, Outcome, Settings, finished_model, run_jobs
from glassnet.training.loop import Callback, EarlyStopping
from glassnet.training.progress import ProgressBar
from glassnet.training.state import TrainState


@dataclass(frozen=True)
class Run:
    """What `train` returns.

    model: the trained model, with the best epoch's parameters if early stopping kept them.
    history: one row for each epoch.
    state: parameters, optimizer state and counters; `train(..., state=run.state)` continues from it.
    status: "finished" (all epochs), "converged", "stopped early", "interrupted" or, with
        on_divergence="stop", "diverged": the model is then the last good one.
    optimizer: the optimizer as used, its schedules set to the length of the run. penalty: L1 and L2.
    settings: the settings of the training.
    outcome: the record that holds history, state, status and settings.
    diagnosis: the findings of `train(..., diagnose=True)`, else None.
    """

    model: Model
    outcome: Outcome
    diagnosis: Diagnosis | None = None

    @property
    def history(self) -> History:
        """One row for each epoch."""
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
        """The settings that the network was trained with."""
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
    """Train a network on arrays, and return the run: model, history and state.

    Each step moves the parameters against the gradient of
    L = sum(w · l) / sum(w) + l1 · sum |W| + l2 / 2 · sum W² over one batch.

    Main arguments
    --------------
    network: its last layer has one output for each class (CrossEntropy), label, or target column.
    X: numbers, shape (n, features), or pictures (n, h, w[, c]); uint8 is converted only batch by batch.
    y: classes (text or whole numbers), values, 0/1 labels (n, labels), or probabilities (n, classes).
    loss: a loss, its name, a function (logits, target) -> one loss for each row, or "auto": cross-entropy
        for text, whole numbers and booleans, squared error for other numbers.
    optimizer: an optimizer, its name, or any optax transformation. Default Adam with rate 1e-3.
    batch_size: rows in each step; None: all rows, which is full-batch gradient descent. Default 32.
    epochs: passes over all rows, counted from the start of the run. Default 100.
    validation: your own rows, (X, y) or (X, y, weight), or a share of the rows to set aside, stratified.
    early_stopping: True, or EarlyStopping(patience=...): stop early and keep the best epoch's parameters.

    Other arguments
    ---------------
    l1, l2: penalties on weights; biases, gamma and beta are not penalised. Default 0.
    sample_weight: one number for each row, at least 0.
    metrics: names of metrics for each epoch: "accuracy", "absolute_error", "squared_error".
    seed: for initialisation, order of rows and dropout. The same seed gives the same bits.
    dtype: "float32" (default) or "float64".
    state, history: those of an earlier run to continue; with the same data the result is that of one run.
    callbacks: each is called with an `Event` between calls of the program; returning true stops training.
    chunk: epochs in each call of the program. Default: 1 with callbacks, else about a fifth of a second.
    progress: show a bar with loss, validation loss and time left, if the output is a terminal.
    diagnose: look for training problems: `run.diagnosis`, or `error.diagnosis` if training diverged.
    on_divergence: "raise"; "stop": warn and return the last finite model; "rollback" or gn.Rollback(times=5):
        return to the last good state and continue with half the learning rate.
    checkpoint: a folder for checkpoints, from which an interrupted run continues with the same bits; see
        `Checkpoint`. every: epochs between two checkpoints; None: about half a minute. resume: continue
        from the last checkpoint.

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
    """Return the job that `train` runs, with all arguments checked."""
    check_range("l1", l1, 0, np.inf)
    check_range("l2", l2, 0, np.inf)
    _check_settings(dtype, early_stopping, y)
    loss = resolve_loss(loss, y)
    x = check_array(X, None, dtype)
    target_encoder, target = encode_target(y, loss)
    weight = row_weights(sample_weight, len(x))
    check_lengths(x, target)
    validation = check_validation(validation)
    if isinstance(validation, tuple):
        validation = _validation_rows(validation, x, target, target_encoder, dtype)
    blueprint = Model(
        network=network,
        params=(),
        layer_state=(),
        loss=loss,
        in_shape=x.shape[1:],
        dtype=dtype,
        target_encoder=target_encoder,
    )
    return prepare(
        Rows(x, target, weight, weight),
        Choices(
            model_for=lambda _: blueprint,
            target_encoder=target_encoder,
            optimizer=optimizer,
            batch_size=batch_size,
            epochs=epochs,
            early_stopping=EarlyStopping() if early_stopping is True else early_stopping or None,
            penalty=Penalty(l1, l2),
            metrics=metrics,
            seed=seed,
            on_divergence=on_divergence,
            validation=validation,
            states=() if state is None else (state,),
            histories=() if history is None else (history,),
        ),
    )


def finished_run(job: Job, outcome: Outcome) -> Run:
    """Return the run of a trained network.

    Raises
    ------
    DivergenceError: it diverged, and `on_divergence` is not "stop".
    """
    return Run(finished_model(job.blueprint, [outcome], job.on_divergence), outcome)


def _check_settings(dtype: Any, early_stopping: Any, y: Any) -> None:
    """Raise for settings that would otherwise fail with an unclear message."""
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
        raise DataError(
            "y is ragged: its rows differ in length. Give each row one target."
        ) from None


def _validation_rows(
    validation: tuple[Any, Any, Any],
    x: np.ndarray,
    target: np.ndarray,
    target_encoder: TargetEncoder,
    dtype: str,
) -> Rows:
    """Return the user's validation rows, checked against the training rows."""
    X, y, sample_weight = validation
    held_out = check_array(X, x.shape[1:], dtype)
    held_out_target = encoded(y, target_encoder)
    if target_encoder is None and held_out_target.shape[1] != target.shape[1]:
        raise DataError(
            f"y of validation has {held_out_target.shape[1]} columns, but y has {target.shape[1]}: give both"
            " the same columns."
        )
    weight = row_weights(sample_weight, len(held_out))
    check_lengths(held_out, held_out_target)
    return Rows(held_out, held_out_target, weight, weight)
