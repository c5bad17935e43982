"""Define the state of a training run, and the plan that its program is compiled for."""

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
CAPACITY = 1024  # the most epochs that one call runs: the rows of the history's buffer
TEMPERATURES = tuple(2 ** (k / 6) for k in range(-12, 7))  # from a quarter to 2, with 1 among them


class Best(NamedTuple):
    """The best epoch so far: its parameters, layer state, score, number, and losses by temperature."""

    params: Params
    layer_state: State
    score: Array
    epoch: Array
    losses: Array  # with `plan.calibrated` one for each of TEMPERATURES, else just the score


class TrainState(NamedTuple):
    """Everything that a training run carries from step to step; a pytree of arrays.

    Where many networks train together, each array has a first axis of one entry a network.
    """

    params: Params
    layer_state: State
    optimizer_state: Any
    step: Array  # steps taken
    epoch: Array  # epochs finished
    average: Any  # with an `Averaged` optimizer the mean (params, layer_state) so far, else ()
    best: Best | None  # None: the last parameters are the result
    stale: Array  # epochs since the best
    key: Key  # of dropout and other random layers
    order: Key  # of the order of rows; the same for all networks that train together
    status: Array  # RUNNING, CONVERGED, STOPPED_EARLY or DIVERGED
    rows: Array  # the history of the last CAPACITY epochs: a row an epoch, a column for each of plan.columns


@dataclass(frozen=True)
class Plan:
    """Everything that a program is compiled for, besides the shapes of its arguments."""

    network: Network  # a skeleton: numbers that `init` puts into the layer state are left out
    loss: Loss
    batch_size: int
    metrics: tuple[str, ...] = ()
    penalised: bool = False
    keep_best: bool = False
    validated: bool = False
    calibrated: bool = False  # the validation loss is measured at the best temperature
    stacked: bool = False  # many networks in one program; state, optimizer and controls are stacked
    separate_rows: bool = False  # each of these networks has its own rows

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the history's columns, in the order of the buffer `TrainState.rows`."""
        names = ["loss", "gradient_norm", *self.metrics, "learning_rate"]
        if self.penalised:
            names.append("penalty")
        if self.validated:
            names += [f"validation_{name}" for name in ("loss", *self.metrics)]
        if self.calibrated:
            names.append("temperature")
        return tuple(names)


class Controls(NamedTuple):
    """Traced values: they may change from call to call without compiling."""

    epoch_limit: Any  # run until this number of epochs is finished
    patience: Any  # epochs without improvement before stopping
    min_delta: Any  # by how much the loss must fall to count as an improvement
    penalty: Penalty


def initial_state(
    network: Network, optimizer: Any, plan: Plan, in_shape: Shape, key: Key
) -> tuple[TrainState, Shape]:
    """Return the state before the first step, and the shape of the network's output."""
    params, layer_state, out_shape = network.init(keys.fold_in(key, 0), in_shape)
    state = first_state(params, layer_state, optimizer, keys.fold_in(key, 1), _no_rows(plan))
    if plan.keep_best:
        best = Best(state.params, state.layer_state, _infinite(), _ZERO, _no_losses(plan))
        state = state._replace(best=best)
    return state, out_shape


def first_state(
    params: Params, layer_state: State, optimizer: Any, key: Key, rows: Any
) -> TrainState:
    """Return the state of a run that starts from these parameters: no steps, no moments, nothing best."""
    params, layer_state = jax.device_put((params, layer_state))
    return TrainState(
        params=params,
        layer_state=layer_state,
        optimizer_state=optimizer.init(params),
        step=_ZERO,
        epoch=_ZERO,
        average=init_average(optimizer, (params, layer_state)),
        best=None,
        stale=_ZERO,
        key=key,
        order=key,
        status=_ZERO,
        rows=rows,
    )


# zeros of NumPy, because JAX would compile a small program for each of its own
_ZERO: Any = np.zeros((), np.int32)


def _no_rows(plan: Plan) -> Any:
    return np.zeros((CAPACITY, len(plan.columns)), default_float())


def _no_losses(plan: Plan) -> Any:
    return np.full(len(temperatures_of(plan)), np.inf, default_float())


def temperatures_of(plan: Plan) -> tuple[float, ...]:
    """Return the temperatures at which an epoch is judged: many if the plan is calibrated, else just 1."""
    return TEMPERATURES if plan.calibrated else (1.0,)


def _infinite() -> Any:
    return np.asarray(np.inf, default_float())


def predicting(state: TrainState) -> tuple[Params, State]:
    """Return the (params, layer_state) that predict: their average if there is one, else the last ones."""
    return state.average or (state.params, state.layer_state)


def continued(state: TrainState, plan: Plan) -> TrainState:
    """Return a state to continue from under another plan: running, and with no best epoch yet."""
    best = Best(*predicting(state), _infinite(), state.epoch, _no_losses(plan))
    return state._replace(
        best=best if plan.keep_best else None, stale=_ZERO, status=_ZERO, rows=_no_rows(plan)
    )
