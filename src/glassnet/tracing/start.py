"""Turn a model, an estimator or a run into the state and the batch that a step is traced from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from glassnet import keys
from glassnet.data.tables import check_one_target_per_row
from glassnet.encoding.objectives import as_target, encoded
from glassnet.errors import ConfigurationError, DataError
from glassnet.fit.inputs import row_weights
from glassnet.fit.parameters import is_auto
from glassnet.fit.train import Run
from glassnet.models.model import Model, model_of
from glassnet.nn.layers import BatchNorm
from glassnet.nn.optimizer_wrappers import averaging
from glassnet.nn.optimizers import SGD
from glassnet.nn.penalties import Penalty
from glassnet.nn.schedules import rate_at
from glassnet.tracing.recording import same_structure, state_of
from glassnet.tracing.records import LayerTrace, OptimizerStep
from glassnet.tracing.units import as_targets
from glassnet.training.batches import Data
from glassnet.training.loop import as_leaves, checked_optimizer
from glassnet.training.state import TrainState


class Source(NamedTuple):
    """A model to trace, with the state, optimizer and penalty of its training if known."""

    model: Model
    state: TrainState | None = None
    optimizer: Any = None
    penalty: Penalty = Penalty()


def source_of(given: Any) -> Source:
    """Return the source behind a model, a fitted estimator or a run.

    Raises
    ------
    ConfigurationError: it is none of these, or was not fitted.
    """
    if isinstance(given, Run):
        return Source(given.model, given.state, given.optimizer, given.penalty)
    model = model_of(given)
    if model is given:
        return Source(model)
    optimizer = None if is_auto(given.optimizer) else given.optimizer
    return Source(model, None, optimizer, Penalty(0.0, given.l2))


def batch_of(model: Model, rows: Any, y: Any, sample_weight: Any) -> Data:
    """Return rows, targets and weights encoded for the training program."""
    x = model.inputs(rows)
    if len(x) == 0:
        raise DataError("x has no rows: give at least one row to trace.")
    weight = row_weights(sample_weight, len(x))
    weight = None if weight is None else weight.astype(model.dtype)
    if y is None:
        return Data(x, None, weight)
    t = as_target(encoded(as_targets(y, len(x)), model.target_encoder), model.loss, model.dtype)
    check_one_target_per_row(x, t, name="x")
    return Data(x, t, weight)


def start_of(
    source: Source, optimizer: Any, member: int, seed: int | None, dtype: str
) -> tuple[TrainState, Any]:
    """Return the state before the step, and the optimizer that takes it."""

    def cast(tree: Any) -> Any:
        arrays = jax.tree.map(np.asarray, tree)
        return jax.tree.map(lambda a: a.astype(dtype) if a.dtype.kind == "f" else a, arrays)

    optimizer = _optimizer(source.optimizer if optimizer is None else optimizer)
    key = keys.key(0 if seed is None else seed)
    state = source.state
    if state is None:
        model = source.model.member(member)
        params, layer_state = cast((model.params, model.layer_state))
        return state_of(params, layer_state, optimizer, key), optimizer
    params, layer_state, optimizer_state = cast(
        (state.params, state.layer_state, state.optimizer_state)
    )
    start = state_of(params, layer_state, optimizer, key)
    if same_structure(optimizer_state, start.optimizer_state):
        start = start._replace(optimizer_state=optimizer_state, step=state.step)
    if start.average and state.average:
        start = start._replace(average=cast(state.average))
    if seed is None:
        start = start._replace(key=state.key, step=state.step)
    return start, optimizer


def _optimizer(given: Any) -> Any:
    """Return an optimizer whose learning rate is known for a single step; by default plain SGD."""
    optimizer = as_leaves(checked_optimizer(SGD() if given is None else given))
    try:
        rate_at(getattr(optimizer, "learning_rate", np.nan), 0)
    except ValueError:
        raise ConfigurationError(
            "The learning rate's schedule has no length, and a trace of one step cannot set it: give steps=,"
            " as in gn.Cosine(0.1, steps=1000), or a number as the learning rate."
        ) from None
    return optimizer


def notes_on(
    source: Source,
    layers: tuple[LayerTrace, ...],
    batch: Data,
    step: OptimizerStep | None,
    *,
    member: int,
    train: bool,
) -> Iterator[str]:
    """Yield notes on what is special in this trace."""
    model = source.model
    if model.members > 1:
        yield f"This is member {member} of {model.members} (from 0); prediction is the mean of all."
    if model.temperature != 1:
        yield (
            f"Prediction multiplies the logits by {model.temperature:.4g}, the temperature learned from"
            " held-out rows. Training does not, and neither does this trace."
        )
    if source.state is not None and (source.state.best is not None or source.state.average):
        yield (
            "This step continues from the run's last parameters; run.model predicts with"
            f" {'the average over its steps' if source.state.average else 'those of its best epoch'}."
        )
    normalised = any(isinstance(layer.layer, BatchNorm) for layer in layers)
    if train and normalised and len(batch.x) == 1:
        yield (
            "BatchNorm normalises by the statistics of this batch, so for a single row its output is beta:"
            " give more rows, or train=False."
        )
    if not train:
        yield "Dropout and batch norm work as in prediction (train=False)."
    if batch.y is None:
        yield "There is no target, and so no loss and no backward pass: this is only the forward pass."
    if step is not None:
        yield from _notes_on_step(source, step)


def _notes_on_step(source: Source, step: OptimizerStep) -> Iterator[str]:
    if not step.finite:
        yield "Loss or gradient is not finite: training would stop here, and no parameter changes."
    if source.optimizer is None and isinstance(step.optimizer, SGD):
        yield "A model stores no optimizer: this is a step of SGD, whatever the model was trained with."
    if averaging(step.optimizer) is not None:
        yield (
            "The optimizer averages the parameters over its steps. Prediction uses the average, but the next"
            " step starts from the new parameters themselves."
        )
