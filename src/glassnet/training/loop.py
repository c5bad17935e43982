"""Run a training from its first to its last epoch, in calls of one compiled program.

Between two calls, Python extends the history, calls the callbacks, writes checkpoints, and checks for Ctrl-C.
How the run is cut into calls does not change a single bit of the result.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from glassnet._checks import check_count, check_range
from glassnet._precision import default_float
from glassnet._types import Shape
from glassnet.errors import ConfigurationError
from glassnet.nn.optimizer_wrappers import as_optimizer, bind_schedules, innermost
from glassnet.nn.penalties import Penalty
from glassnet.nn.schedules import Schedule
from glassnet.nn.shapes import parameter_count
from glassnet.training.batches import Data, batch_count
from glassnet.training.checkpoints import Part
from glassnet.training.divergence import Trouble
from glassnet.training.history import History
from glassnet.training.snapshot import Snapshot, Trainer, advance
from glassnet.training.state import (
    CAPACITY,
    CONVERGED,
    DIVERGED,
    RUNNING,
    STOPPED_EARLY,
    Controls,
    Plan,
    TrainState,
    initial_state,
)

STATUS = {
    RUNNING: "finished",  # it ran all its epochs
    CONVERGED: "converged",
    STOPPED_EARLY: "stopped early",
    DIVERGED: "diverged",
}
SECONDS_PER_CALL = 0.2  # progress bars are drawn and Ctrl-C is checked for between calls


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when the validation loss has not fallen for `patience` epochs, and keep the best epoch.

    Without validation data the training loss is watched instead.

    Parameters
    ----------
    patience: epochs to wait for an improvement. Default 10. `math.inf`: never stop, but keep the best epoch.
    min_delta: the smallest fall of the loss that counts as an improvement. Default 0.
    calibrated: judge an epoch by its validation loss at the best temperature T, softmax(T z), and predict
        with the T that is best for all members. The epoch that separates the classes best then wins, and T
        sets the confidence afterwards. Only for classes and labels with validation rows. Default False.
        Berta et al., "Rethinking Early Stopping: Refine, Then Calibrate", 2025.

    >>> EarlyStopping(patience=5).patience
    5
    """

    patience: float = 10
    min_delta: float = 0.0
    calibrated: bool = False

    def __post_init__(self) -> None:
        check_range("EarlyStopping's patience", self.patience, 1, math.inf, open_high=False)
        check_range("EarlyStopping's min_delta", self.min_delta, 0, math.inf)


class TimeLimit:
    """A callback that ends a run when its time is up; the best epoch so far is kept.

    Parameters
    ----------
    seconds: above 0, counted from the creation of this object, compilation included.

    >>> TimeLimit(60).seconds
    60
    """

    coarse = True
    ending = "out of time"

    def __init__(self, seconds: float) -> None:
        check_range("max_seconds", seconds, 0, math.inf, open_low=True)
        self.seconds = seconds
        self._end = time.perf_counter() + seconds

    def __call__(self, event: Event) -> bool:
        """Return whether the time is up."""
        return time.perf_counter() >= self._end


class Event(NamedTuple):
    """What a callback receives between two calls of the program."""

    epoch: int  # finished epochs; if several networks train together, the largest number
    epochs: int  # the epochs to train in total
    history: History  # if several networks train together, their mean
    state: TrainState
    seconds: float  # since the start of this run


Callback = Callable[[Event], Any]


class FitResult(NamedTuple):
    """How a run ended: its last state, and for each network its history, its status and its trouble.

    A status is one of `STATUS`, "interrupted", or the `ending` of the callback that stopped the run.
    """

    state: TrainState
    histories: tuple[History, ...]
    statuses: tuple[str, ...]
    troubles: tuple[Trouble | None, ...]  # how a network diverged; None if it did not


def start(
    plan: Plan, network: Any, optimizer: Any, in_shape: Shape, key: Any
) -> tuple[TrainState, Shape]:
    """Return the state before the first step, and the shape of the network's output."""
    return initial_state(network, as_optimizer(optimizer), plan, in_shape, key)


def fit(
    state: TrainState,
    histories: Sequence[History],
    *,
    plan: Plan,
    optimizers: Sequence[Any],
    data: Data,
    validation: Data | None = None,
    epochs: int,
    penalties: Sequence[Penalty] = (Penalty(),),
    early_stopping: EarlyStopping | None = None,
    callbacks: Sequence[Callback] = (),
    chunk: int | None = None,
    on_divergence: Any = "raise",
    checkpoints: Part | None = None,
) -> FitResult:
    """Train until `epochs` epochs are finished in total, or until the run ends early.

    histories, optimizers, penalties: one for each network.
    on_divergence: "raise", "stop" or a `Rollback`; this function treats the first two alike.
    checkpoints: continue from its newest checkpoint, if there is one, and write new ones there.
    chunk: epochs per call of the program. None: 1 if a callback needs every epoch (see `callback.coarse`),
        else as many as fit into about SECONDS_PER_CALL.
    """
    check_count("epochs", epochs, 0)
    if chunk is not None:
        check_count("chunk", chunk)
    if chunk is None and any(not getattr(callback, "coarse", False) for callback in callbacks):
        chunk = 1
    n_rows = data.x.shape[1] if plan.separate_rows else data.x.shape[0]
    total_steps = float(max(epochs, 1) * batch_count(n_rows, plan.batch_size))
    trainer = Trainer(
        plan=plan,
        optimizers=tuple(
            as_leaves(bind_schedules(checked_optimizer(optimizer), total_steps))
            for optimizer in optimizers
        ),
        controls=controls_of(early_stopping or EarlyStopping(math.inf), penalties),
        data=data,
        validation=validation,
        policy=on_divergence,
    )
    snapshot = Snapshot.first(state, histories)
    if checkpoints is not None:
        snapshot = checkpoints.begin(snapshot)
    size, adaptive = chunk or _first_chunk(state, n_rows, plan), chunk is None
    start, ending = time.perf_counter(), STATUS[RUNNING]
    with interruptible(terminable=checkpoints is not None) as interrupted, closing(callbacks):
        while unfinished(snapshot.state, epochs).any() and not interrupted.is_set():
            call_start, first = time.perf_counter(), np.asarray(snapshot.state.epoch)
            limit = np.minimum(first + min(size, CAPACITY), epochs)
            if checkpoints is not None:
                limit = checkpoints.cut(int(first.max()), limit)
            snapshot = advance(trainer, snapshot, limit)
            if adaptive:
                size = _next_chunk(size, time.perf_counter() - call_start)
            if checkpoints is not None and checkpoints.due(snapshot):
                _write(checkpoints, snapshot, on_divergence)
            stopping = _stopping(callbacks, snapshot, epochs, time.perf_counter() - start)
            if stopping:
                ending = getattr(stopping[0], "ending", ending)
                break
        ending = "interrupted" if interrupted.is_set() else ending
        if checkpoints is not None:
            _write(checkpoints, snapshot, on_divergence)
    names = STATUS | {RUNNING: ending}
    codes = np.atleast_1d(np.asarray(snapshot.state.status)).tolist()
    statuses = tuple(names[code] for code in codes)
    return FitResult(snapshot.state, snapshot.histories, statuses, snapshot.troubles)


def controls_of(stopping: EarlyStopping, penalties: Sequence[Penalty]) -> tuple[Controls, ...]:
    """Return each network's controls; the epoch limit is filled in at each call."""
    patience = int(min(stopping.patience, np.iinfo(np.int32).max))
    return tuple(
        Controls(
            epoch_limit=np.int32(0),
            patience=np.int32(patience),
            min_delta=float(stopping.min_delta),
            penalty=Penalty(*map(float, penalty)),
        )
        for penalty in penalties
    )


def _write(checkpoints: Part, snapshot: Snapshot, on_divergence: Any) -> None:
    """Write a checkpoint, but not if the run will raise: it then resumes from the one before."""
    if on_divergence == "stop" or None in snapshot.troubles:
        checkpoints.write(snapshot)


def _stopping(
    callbacks: Sequence[Callback], snapshot: Snapshot, epochs: int, seconds: float
) -> list[Callback]:
    """Call all callbacks and return those that stop the run."""
    if not callbacks:
        return []
    event = Event(
        epoch=int(np.max(snapshot.state.epoch)),
        epochs=epochs,
        history=History.mean(snapshot.histories),
        state=snapshot.state,
        seconds=seconds,
    )
    return [callback for callback in callbacks if callback(event)]


def _first_chunk(state: TrainState, n_rows: int, plan: Plan) -> int:
    """Return a low estimate of the epochs that fit into a call; timing the first call corrects it."""
    n_parameters = parameter_count(state.params)
    seconds_per_step = 1e-5 + 6 * n_parameters * plan.batch_size / 1e10  # at a modest 10 GFLOP/s
    seconds_per_epoch = seconds_per_step * batch_count(n_rows, plan.batch_size)
    return int(np.clip(SECONDS_PER_CALL / seconds_per_epoch / 4, 1, CAPACITY))


def _next_chunk(size: int, seconds: float) -> int:
    """Return how many epochs the next call should run, given the time of a call of `size` epochs."""
    return max(1, min(size * 8, int(size * SECONDS_PER_CALL / seconds), CAPACITY))


def unfinished(state: TrainState, epochs: int) -> np.ndarray:
    """Return for each network whether it still has epochs to run."""
    return np.asarray((np.asarray(state.epoch) < epochs) & (np.asarray(state.status) == RUNNING))


def checked_optimizer(given: Any) -> Any:
    """Return an optimizer from a name or an object, and check its learning rate.

    Raises
    ------
    ConfigurationError: it is not an optimizer, or its learning rate is a number out of range.

    >>> checked_optimizer("sgd")
    SGD(learning_rate=0.01)
    """
    optimizer = as_optimizer(given)
    inside = innermost(optimizer)
    if hasattr(inside, "learning_rate") and not isinstance(inside.learning_rate, Schedule):
        check_range("learning_rate", inside.learning_rate, 0, math.inf)
    return optimizer


def as_leaves(tree: Any) -> Any:
    """Return a tree with its numbers as float arrays, so that new numbers need no recompilation."""

    def leaf(x: Any) -> Any:
        try:
            array = np.asarray(x)
            numeric = array.dtype.kind in "iuf"
            if not (numeric or array.dtype == bool):
                raise TypeError
        except (TypeError, ValueError):
            raise ConfigurationError(
                f"The optimizer has {x!r} where a number belongs, as in gn.Adam(learning_rate=1e-3)."
            ) from None
        return array.astype(default_float()) if numeric else array

    return jax.tree.map(leaf, tree)


@contextmanager
def closing(callbacks: Sequence[Callback]) -> Iterator[None]:
    """Call `close` on the callbacks that have it, however the run ends, so that no bar keeps drawing."""
    try:
        yield
    finally:
        for callback in callbacks:
            getattr(callback, "close", lambda: None)()


@contextmanager
def interruptible(terminable: bool = False) -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into a flag that is checked between calls; a second one interrupts at once.

    terminable: treat SIGTERM in the same way, and raise it again at the end of the block, after checkpoints
    are written. Only the main thread can set signal handlers, so in other threads nothing changes.
    """
    flag, terminated = threading.Event(), threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    numbers = (signal.SIGINT, signal.SIGTERM) if terminable else (signal.SIGINT,)
    handlers: dict[int, Any] = {number: signal.getsignal(number) for number in numbers}

    def handle(number: int, frame: Any) -> None:
        flag.set()
        if number == signal.SIGTERM:
            terminated.set()
        restore(number)

    def restore(number: int) -> None:
        if handlers[number] is not None:  # None: it was not set from Python
            signal.signal(number, handlers[number])

    for number in numbers:
        signal.signal(number, handle)
    try:
        yield flag
    finally:
        for number in numbers:
            restore(number)
        if terminated.is_set():
            signal.raise_signal(signal.SIGTERM)
