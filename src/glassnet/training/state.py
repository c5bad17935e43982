"""Define the state of a training run, and the plan for which its program is compiled."""

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
CAPACITY = 1024  # the most epochs in one call: the rows of the history's buffer
TEMPERATURES = tuple(2 ** (k / 6) for k in range(-12, 7))  # from 1/4 to 2, including 1


class Best(NamedTuple):
    """The best epoch so far: its parameters, layer state, score, number, and losses by temperature."""

    params: Params
    layer_state: State
    score: Array
    epoch: Array
    losses: Array  # with `plan.calibrated`, one for each of TEMPERATURES, else only the score


class TrainState(NamedTuple):
    """Everything that a training run carries from step to step; a pytree of arrays.

    If several networks train together, each array has a first axis with one entry per network.
    """

    params: Params
    layer_state: State
    optimizer_state: Any
    step: Array  # steps taken
    epoch: Array  # epochs finished
    average: Any  # with an `Averaged` optimizer, the mean (params, layer_state) so far, else ()
    best: Best | None  # None: the last parameters are the result
    stale: Array  # epochs since the best
    key: Key  # for dropout and other random layers
    order: Key  # for the order of rows; the same for all networks that train together
    status: Array  # RUNNING, CONVERGED, STOPPED_EARLY or DIVERGED
    rows: Array  # the history of the last CAPACITY epochs: (epochs, plan.columns)


@dataclass(frozen=True)
class Plan:
    """Everything that a compiled program depends on, besides the shapes of its arguments."""

    network: Network  # its skeleton, without the numbers that `init` puts into the layer state
    loss: Loss
    batch_size: int
    metrics: tuple[str, ...] = ()
    penalised: bool = False
    keep_best: bool = False
    validated: bool = False
    calibrated: bool = False  # the validation loss is measured at the best temperature
    stacked: bool = (
        False  # several networks in one program; state, optimizer and controls are stacked
    )
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
    """Traced values, which may change from call to call without recompilation."""

    epoch_limit: Any  # run until this number of epochs is finished
    patience: Any  # epochs without improvement before stopping
    min_delta: Any  # the smallest fall of the loss that counts as an improvement
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
    """Return the state of a run that starts from these parameters, without steps or a best epoch."""
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


# from NumPy, because JAX would compile a small program to make it
_ZERO: Any = np.zeros((), np.int32)


def _no_rows(plan: Plan) -> Any:
    return np.zeros((CAPACITY, len(plan.columns)), default_float())


def _no_losses(plan: Plan) -> Any:
    return np.full(len(temperatures_of(plan)), np.inf, default_float())


def temperatures_of(plan: Plan) -> tuple[float, ...]:
    """Return the temperatures at which epochs are judged: several if calibrated, else only 1."""
    return TEMPERATURES if plan.calibrated else (1.0,)


def _infinite() -> Any:
    return np.asarray(np.inf, default_float())


def predicting(state: TrainState) -> tuple[Params, State]:
    """Return the (params, layer_state) used for prediction: their average if there is one, else the last."""
    return state.average or (state.params, state.layer_state)


def continued(state: TrainState, plan: Plan) -> TrainState:
    """Return a state to continue from under another plan: running, and with no best epoch yet."""
    best = Best(*predicting(state), _infinite(), state.epoch, _no_losses(plan))
    return state._replace(
        best=best if plan.keep_best else None, stale=_ZERO, status=_ZERO, rows=_no_rows(plan)
    )
