"""Where a trace starts from: a model, an estimator or a run becomes one network's state and one batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from glassnet import keys
from glassnet.encoding.objectives import as_target, encoded
from glassnet.errors import ConfigurationError, DataError
from glassnet.fit.parameters import is_auto
from glassnet.fit.train import Run, check_weights
from glassnet.models.model import Model
from glassnet.nn.layers import BatchNorm
from glassnet.nn.network import Network
from glassnet.nn.optimizer_wrappers import as_optimizer, averaging
from glassnet.nn.optimizers import SGD
from glassnet.nn.penalties import Penalty
from glassnet.nn.schedules import rate_at
from glassnet.tracing.own_units import as_targets
from glassnet.tracing.recording import same_form, state_of
from glassnet.tracing.records import LayerTrace, Taken
from glassnet.training.batches import Data
from glassnet.training.loop import as_leaves, checked
from glassnet.training.state import TrainState


class Source(NamedTuple):
    """What a person gave to be traced."""

    model: Model
    state: TrainState | None = None
    optimizer: Any = None
    penalty: Penalty = Penalty()


def source_of(given: Any) -> Source:
    """Return what a model, a fitted estimator or a run brings; raises `ConfigurationError` for others."""
    if isinstance(given, Model):
        return Source(given)
    if isinstance(given, Run):
        return Source(given.model, given.state, given.optimizer, given.penalty)
    if isinstance(getattr(given, "model_", None), Model):
        optimizer = None if is_auto(given.optimizer) else given.optimizer
        return Source(given.model_, None, optimizer, Penalty(0.0, given.l2))
    if isinstance(given, Network):
        raise ConfigurationError(
            "A network alone has no weights to trace: give what gn.train(network, X, y) returns."
        )
    if hasattr(given, "fit"):
        raise ConfigurationError(
            f"This {type(given).__name__} holds no network of glassnet: call fit(X, y) first, or give a"
            " gn.Model, a fitted gn.NeuralClassifier or gn.NeuralRegressor, or a gn.Run."
        )
    raise ConfigurationError(
        f"{type(given).__name__} cannot be traced: give a gn.Model, a fitted estimator, or a gn.Run."
    )


def batch_of(model: Model, rows: Any, y: Any, sample_weight: Any) -> Data:
    """Return rows, targets and weights as the training program takes them."""
    x = model.inputs(rows)
    if len(x) == 0:
        raise DataError("x holds no row: there is nothing to trace.")
    weight = check_weights(sample_weight, len(x), model.dtype)
    if y is None:
        return Data(x, None, weight)
    t = as_target(encoded(as_targets(y, len(x)), model.target_encoder), model.loss, model.dtype)
    if len(t) != len(x):
        raise DataError(
            f"x has {len(x)} rows and y has {len(t)}: each row needs exactly one target."
        )
    return Data(x, t, weight)


def start_of(
    source: Source, given: Any, member: int, seed: int | None, dtype: str
) -> tuple[TrainState, Any]:
    """Return the state that the step is taken from, and the optimizer that takes it."""

    def cast(tree: Any) -> Any:
        arrays = jax.tree.map(np.asarray, tree)
        return jax.tree.map(lambda a: a.astype(dtype) if a.dtype.kind == "f" else a, arrays)

    named = source.optimizer if given is None else given
    moves = as_leaves(checked(as_optimizer(SGD() if named is None else named)))
    try:
        rate_at(getattr(moves, "learning_rate", np.nan), 0)
    except ValueError:
        raise ConfigurationError(
            "The learning rate's schedule has no length, and a single step gives it none: give steps=,"
            " as in gn.Cosine(0.1, steps=1000), or a number."
        ) from None
    key = keys.key(seed or 0)
    if source.state is None:
        arrays = (source.model.params, source.model.layer_state)
        if source.model.members > 1:
            arrays = jax.tree.map(lambda leaf: leaf[member], arrays)
        params, layer_state = cast(arrays)
        return state_of(params, layer_state, moves, key), moves
    state = source.state
    params, layer_state, kept = cast((state.params, state.layer_state, state.optimizer_state))
    fresh = state_of(params, layer_state, moves, key)
    if same_form(kept, fresh.optimizer_state):
        fresh = fresh._replace(optimizer_state=kept, step=state.step)
    if fresh.average and state.average:
        fresh = fresh._replace(average=cast(state.average))
    if seed is None:
        fresh = fresh._replace(key=state.key, step=state.step)
    return fresh, moves


def notes_on(
    source: Source,
    layers: tuple[LayerTrace, ...],
    batch: Data,
    step: Taken | None,
    moves: Any,
    member: int,
    train: bool,
) -> Iterator[str]:
    """Yield what a person should know of a trace, a sentence each."""
    model = source.model
    if model.members > 1:
        yield f"This is member {member} of {model.members} (from 0); prediction is the mean of all."
    if model.temperature != 1:
        yield (
            f"Prediction multiplies the logits by {model.temperature:.4g}, the temperature learned from"
            " held-out rows; training, and so this trace, does not."
        )
    if source.state is not None and (source.state.best is not None or source.state.average):
        yield (
            "This step goes on from the run's last parameters; run.model predicts with"
            f" {'the average of its steps' if source.state.average else 'those of its best epoch'}."
        )
    alone = len(batch.x) == 1 and any(isinstance(layer.layer, BatchNorm) for layer in layers)
    if train and alone:
        yield (
            "BatchNorm normalises by the statistics of this batch, and of a single row nothing is left but"
            " beta: give more rows, or train=False."
        )
    if not train:
        yield "Dropout and batch norm work as in prediction (train=False)."
    if batch.y is None:
        yield "Without a target there is no loss: this is the forward pass alone."
    if step is not None and not step.finite:
        yield "Loss or gradient is not finite: training would stop here, and no parameter moves."
    if source.optimizer is None and isinstance(moves, SGD) and step is not None:
        yield "A model by itself keeps no optimizer: this step is SGD's, whatever it was trained with."
    if averaging(moves) is not None and step is not None:
        yield "The optimizer averages the parameters along its way; the average predicts, w goes on stepping."
