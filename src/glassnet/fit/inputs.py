"""Make a training job from rows and choices.

`gn.train` and the estimators check rows in their own ways, and both call `prepare`. The target is encoded
once, before this call, and kept with the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from glassnet import keys
from glassnet._checks import check_count, check_range, resolve
from glassnet._precision import precision
from glassnet._types import Key
from glassnet.data.splits import duplicate_groups, folds, split
from glassnet.data.tables import Table, check_one_target_per_row, rows_at
from glassnet.data.weighted_statistics import check_weights
from glassnet.encoding.objectives import as_target, check_output
from glassnet.encoding.targets import ClassEncoder, TargetEncoder
from glassnet.errors import ConfigurationError, DataError
from glassnet.models.model import Model
from glassnet.nn.losses import CustomLoss, Loss
from glassnet.nn.metrics import METRICS
from glassnet.nn.network import Network
from glassnet.nn.optimizer_wrappers import as_optimizer
from glassnet.nn.penalties import Penalty
from glassnet.training.batches import Data
from glassnet.training.divergence import as_policy
from glassnet.training.history import History
from glassnet.training.jobs import Job
from glassnet.training.loop import Callback, EarlyStopping, start
from glassnet.training.state import DIVERGED, Plan, TrainState, continued

MIN_WEIGHT = 1e-30  # a million times smaller would underflow in float32


class Rows(NamedTuple):
    """Checked rows with encoded targets.

    sample_weight: one number for each row, as given; the column encoders use it. weight: each row's weight
    in the loss, shape (n,) or (n, labels): the sample weight times the class weight.
    """

    X: Table | np.ndarray
    target: np.ndarray
    sample_weight: np.ndarray | None = None
    weight: np.ndarray | None = None

    def at(self, indices: np.ndarray) -> Rows:
        """Return the rows at these indices."""
        sample_weight, weight = (
            None if array is None else array[indices] for array in (self.sample_weight, self.weight)
        )
        return Rows(rows_at(self.X, indices), self.target[indices], sample_weight, weight)


@dataclass(frozen=True, kw_only=True)
class Choices:
    """The settings of a training, apart from its rows.

    model_for: from the training rows to the untrained model, with encoders fitted on these rows.
    validation: validation rows, or the share of the rows to set aside, or None.
    folds: if above 0, the number of folds; member k sets aside fold k instead.
    states, histories: those of each member of the training to continue; empty for a new training.
    reset_best: whether a continued training forgets its best epoch so far.
    """

    model_for: Callable[[Rows], Model]
    target_encoder: TargetEncoder
    optimizer: Any
    batch_size: int | None
    epochs: int
    early_stopping: EarlyStopping | None
    penalty: Penalty
    metrics: Sequence[str] | str
    seed: int
    on_divergence: Any
    validation: Rows | float | None = None
    folds: int = 0
    members: int = 1
    states: tuple[Any, ...] = ()
    histories: tuple[History, ...] = ()
    reset_best: bool = False


def prepare(rows: Rows, choices: Choices) -> Job:
    """Return the job for these rows: set some aside, encode them, and initialise the weights."""
    policy = as_policy(choices.on_divergence)
    seed = _numpy_seed(choices.seed)
    by_class = isinstance(choices.target_encoder, ClassEncoder)
    rows, validation = _set_aside(rows, choices.validation, seed, by_class)
    model, members = choices.model_for(rows), choices.members
    with precision(model.dtype):
        encoded = encoded_rows(model, rows)
        watched = None if validation is None else encoded_rows(model, validation)
        data, watched_by_member = (encoded,) * members, (watched,) * members
        if choices.folds:
            parts = folds(
                rows.target,
                choices.folds,
                seed,
                stratify=by_class,
                groups=duplicate_groups(encoded.x),
            )
            parts = [parts[member % choices.folds] for member in range(members)]
            data = tuple(encoded.at(training) for training, _ in parts)
            watched_by_member = tuple(encoded.at(held_out) for _, held_out in parts)
        plan = _plan(model, choices, len(data[0].x), watched_by_member[0])
        member_seeds = member_keys(keys.key(choices.seed), members)
        states = _states(model, plan, choices, member_seeds, rows.target)
    # after a divergence the history has one row more than the last good state
    histories = tuple(
        history.until(int(state.epoch))
        for history, state in zip(choices.histories or (History(),) * members, states, strict=True)
    )
    return Job(
        blueprint=model,
        plan=plan,
        keys=member_seeds,
        states=states,
        histories=histories,
        optimizers=(as_optimizer(choices.optimizer),) * members,
        penalties=(choices.penalty,) * members,
        data=data,
        validation=watched_by_member,
        epochs=choices.epochs,
        early_stopping=choices.early_stopping,
        on_divergence=policy,
    )


def _numpy_seed(seed: Any) -> int:
    """Return a seed that NumPy takes: not negative, and from both words of a key."""
    low, high = keys.key(seed)
    # the first word of jax.random.key(n) is 0 for each n below 2³²
    return int(low if isinstance(seed, int | np.integer) else low ^ high)


def member_keys(key: Key, members: int) -> tuple[Key, ...]:
    """Return a key for each member of an ensemble; the first is that of a single network."""
    return (key, *(keys.fold_in(key, 1 + member) for member in range(1, members)))


def _set_aside(
    rows: Rows, validation: Rows | float | None, seed: int, by_class: bool
) -> tuple[Rows, Rows | None]:
    """Return the training rows and the validation rows: those given, a share set aside, or None."""
    if validation is None or isinstance(validation, Rows):
        return rows, validation
    training, held_out = split(rows.target, float(validation), seed, stratify=by_class)
    return rows.at(training), rows.at(held_out)


def check_validation(validation: Any) -> tuple[Any, Any, Any] | float | None:
    """Return the given validation rows as (X, y, weight), or a share of the rows, or None."""
    if validation is None or validation is False:
        return None
    if isinstance(validation, tuple | list):
        if len(validation) not in (2, 3):
            raise DataError(
                f"validation has {len(validation)} parts: give (X, y), (X, y, weight), or a share."
            )
        X, y, *weight = validation
        return X, y, weight[0] if weight else None
    check_range("validation", validation, 0, 1, open_low=True)
    return float(validation)


def encoded_rows(model: Model, rows: Rows) -> Data:
    """Return rows encoded for the training program."""
    weight = None if rows.weight is None else rows.weight.astype(model.dtype)
    return Data(model.inputs(rows.X), as_target(rows.target, model.loss, model.dtype), weight)


def row_weights(sample_weight: Any, n_rows: int) -> np.ndarray | None:
    """Return sample weights as float64 (rows,), or None; their sums stay finite in float32.

    Raises
    ------
    DataError: wrong length; a negative, missing or infinite weight; all are 0; or a range too wide.
    """
    weight = check_weights(sample_weight, n_rows)
    if weight is None or not n_rows:
        return weight
    low, high = weight[weight > 0].min(), weight.max()
    if low < MIN_WEIGHT or high > 1 / MIN_WEIGHT:
        raise DataError(
            f"sample_weight ranges from {low:.3g} to {high:.3g}, which float32 cannot add up. Only the"
            " ratios of the weights matter: divide them by their mean."
        )
    return weight


def check_lengths(X: Any, target: Any) -> None:
    """Raise unless X and the target have the same, positive number of rows."""
    if len(X) == 0:
        raise DataError(
            "Found array with 0 sample(s): X is empty, so there is nothing to learn from."
        )
    if getattr(X, "size", 1) == 0:
        raise DataError(
            f"Found array with 0 feature(s) (shape={X.shape}) while a minimum of 1 is required."
        )
    check_one_target_per_row(X, target)


def _plan(model: Model, choices: Choices, n_rows: int, validation: Data | None) -> Plan:
    """Return the plan that the training program is compiled for."""
    network, loss, stopping = model.network, model.loss, choices.early_stopping
    if not isinstance(network, Network):
        raise ConfigurationError(
            f"{network!r} is not a network: put the layers into one, gn.Network([gn.Dense(64), ...])."
        )
    if choices.batch_size is not None:
        check_count("batch_size", choices.batch_size)
    return Plan(
        network=network.skeleton(),
        loss=loss,
        batch_size=min(choices.batch_size or n_rows, n_rows),
        metrics=_metrics(choices.metrics, loss),
        penalised=any(choices.penalty),
        keep_best=stopping is not None,
        validated=validation is not None,
        calibrated=stopping is not None
        and stopping.calibrated
        and validation is not None
        and loss.task != "regression",
    )


def _metrics(metrics: Sequence[str] | str, loss: Loss) -> tuple[str, ...]:
    """Return the names of the metrics; raise for one that does not fit the loss."""
    names = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    for name in names:
        resolve("metric", name, METRICS)
        for_values = name != "accuracy"
        if for_values != (loss.task == "regression") and not isinstance(loss, CustomLoss):
            raise ConfigurationError(
                f"The metric '{name}' does not fit a loss for {loss.task}: 'accuracy' is for classes and"
                " labels, 'absolute_error' and 'squared_error' are for values."
            )
    return names


def _states(
    model: Model, plan: Plan, choices: Choices, member_seeds: Sequence[Key], target: np.ndarray
) -> tuple[TrainState, ...]:
    """Return the state that each member starts from."""
    if choices.states and choices.reset_best:
        return tuple(continued(state, plan) for state in choices.states)
    # a continued network is initialised only for its shapes
    network = model.network.blank() if choices.states else model.network
    started = [start(plan, network, choices.optimizer, model.in_shape, key) for key in member_seeds]
    first, out_shape = started[0]
    check_output(out_shape, model.loss, model.target_encoder, target)
    if choices.states:
        return tuple(_check_state(state, first) for state in choices.states)
    # weights and dropout differ between members, the order of the rows does not
    return tuple(state._replace(order=first.order) for state, _ in started)


def _check_state(state: Any, fresh: TrainState) -> TrainState:
    """Return the state to continue from; raise unless it fits the network, optimizer and options."""

    def structure_of(tree: Any) -> Any:
        leaves, structure = jax.tree.flatten(tree)
        return structure, [(np.shape(leaf), np.asarray(leaf).dtype) for leaf in leaves]

    if not isinstance(state, TrainState) or structure_of(state) != structure_of(fresh):
        raise ConfigurationError(
            "state does not fit this call. Give run.state of a run with the same network, inputs, optimizer,"
            " metrics, dtype and early stopping, and with validation if that run had it."
        )
    # the last good state of a run that diverged may continue
    running: Any = np.zeros((), np.int32)
    return state._replace(status=running) if int(state.status) == DIVERGED else state


def as_callbacks(callbacks: Any) -> list[Callback]:
    """Return callbacks as a list; a single callback may be given without a list."""
    listed = list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]
    for callback in listed:
        if not callable(callback):
            raise ConfigurationError(
                f"The callback {callback!r} cannot be called: give a function of one Event."
            )
    return listed
