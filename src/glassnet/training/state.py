"""What a training run is made of: the record carried forward, and what its program is compiled for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from glassnet import keys
from glassnet._precision import default_float
from glassnet._types import Array, Key, Params, Shape, State
from glassnet.nn.losses import Loss
from glassnet.nn.network import Network
from glassnet.nn.optimizer_wrappers import init_average
from glassnet.nn.penalties import Penalty

RUNNING, CONVERGED, STOPPED_EARLY, DIVERGED = 0, 1, 2, 3
CAPACITY = 1024  # epochs that one call may run: the rows of the history's buffer
TEMPERATURES = tuple(2 ** (k / 6) for k in range(-12, 7))  # a quarter to 2, 1 among them


class Best(NamedTuple):
    """The best epoch so far: its parameters, layer state, score and number, and its losses by temperature."""

    params: Params
    layer_state: State
    score: Array
    epoch: Array
    losses: Array  # one for each of TEMPERATURES with `plan.calibrated`, else the score alone


class TrainState(NamedTuple):
    """Everything that a training run carries from step to step; a pytree of arrays.

    Where many networks train together, each array has a first axis of one entry a network.
    """

    params: Params
    layer_state: State
    optimizer_state: Any
    step: Array  # steps taken
    epoch: Array  # epochs finished
    average: Any  # (params, layer_state) along the way, with an `Averaged` optimizer; else ()
    best: Best | None  # None: the last parameters are the result
    stale: Array  # epochs since the best
    key: Key  # of dropout
    order: Key  # of the order of rows; the same for all networks that train together
    status: Array  # RUNNING, CONVERGED, STOPPED_EARLY or DIVERGED
    rows: Array  # the last CAPACITY epochs' history, one row an epoch


@dataclass(frozen=True)
class Plan:
    """What a program is compiled for, beside the shapes of its arguments."""

    network: Network  # a skeleton: what `init` moves into the state is left out
    loss: Loss
    batch_size: int
    metrics: tuple[str, ...] = ()
    penalised: bool = False
    keep_best: bool = False
    validated: bool = False
    calibrated: bool = False  # the validation loss is that of the best temperature
    stacked: bool = (
        False  # many networks in one program: the state, the optimizer and the controls of each
    )
    own_rows: bool = False  # each of them has rows of its own

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the history's columns, in the order of the buffer."""
        trained = ("loss", "gradient_norm", *self.metrics, "learning_rate")
        penalty = ("penalty",) if self.penalised else ()
        measured = (
            tuple(f"validation_{m}" for m in ("loss", *self.metrics)) if self.validated else ()
        )
        return (*trained, *penalty, *measured, *(("temperature",) if self.calibrated else ()))


class Controls(NamedTuple):
    """What may change from call to call without compiling: traced values."""

    epoch_limit: Any  # run until so many epochs are finished
    patience: Any  # epochs without improvement before stopping
    min_delta: Any  # how much lower counts as an improvement
    penalty: Penalty


def initial_state(
    network: Network, optimizer: Any, plan: Plan, in_shape: Shape, key: Key
) -> tuple[TrainState, Shape]:
    """Return the state before the first step, and the shape of the network's output."""
    params, layer_state, out_shape = network.init(keys.fold_in(key, 0), in_shape)
    params, layer_state = jax.device_put((params, layer_state))
    best = (
        Best(params, layer_state, _infinite(), _ZERO, _no_losses(plan)) if plan.keep_best else None
    )
    state = TrainState(
        params=params,
        layer_state=layer_state,
        optimizer_state=optimizer.init(params),
        step=_ZERO,
        epoch=_ZERO,
        average=init_average(optimizer, (params, layer_state)),
        best=best,
        stale=_ZERO,
        key=keys.fold_in(key, 1),
        order=keys.fold_in(key, 1),
        status=_ZERO,
        rows=_no_rows(plan),
    )
    return state, out_shape


# NumPy's zeros, not JAX's, each of which would be a little program to compile before the first step
_ZERO: Any = np.zeros((), np.int32)


def _no_rows(plan: Plan) -> Any:
    return np.zeros((CAPACITY, len(plan.columns)), default_float())


def _no_losses(plan: Plan) -> Any:
    return np.full(len(temperatures_of(plan)), np.inf, default_float())


def temperatures_of(plan: Plan) -> tuple[float, ...]:
    """Return the temperatures that an epoch is judged by: many where it is calibrated, else 1 alone."""
    return TEMPERATURES if plan.calibrated else (1.0,)


def _infinite() -> Any:
    return np.asarray(np.inf, default_float())


def predicting(state: TrainState) -> tuple[Params, State]:
    """Return what predicts: the average along the way where there is one, else the parameters as they are."""
    return state.average or (state.params, state.layer_state)


def continued(state: TrainState, plan: Plan) -> TrainState:
    """Return a state to go on from under another plan: nothing is best yet, nothing has ended."""
    best = Best(*predicting(state), _infinite(), state.epoch, _no_losses(plan))
    return state._replace(
        best=best if plan.keep_best else None, stale=_ZERO, status=_ZERO, rows=_no_rows(plan)
    )
