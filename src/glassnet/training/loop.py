"""Fitting: a run from first to last epoch, cut into calls of the one program so that a person can follow.

Between calls Python looks up: it writes the history, tells the callbacks, and sees Ctrl-C. Where the cuts
fall changes no bit of the result.
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
from glassnet.training.batches import Data, batch_count
from glassnet.training.checkpoints import Part
from glassnet.training.divergence import Trouble
from glassnet.training.history import History
from glassnet.training.snapshot import Course, Standing, advanced, begun
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
    RUNNING: "finished",  # all its epochs: nothing ended it before
    CONVERGED: "converged",
    STOPPED_EARLY: "stopped early",
    DIVERGED: "diverged",
}
SECONDS_PER_CALL = 0.2  # how long a call should take: the wait for a progress bar or for Ctrl-C


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when the validation loss has not fallen for `patience` epochs, and keep the best epoch.

    Without validation data the training loss is watched instead.

    Parameters
    ----------
    patience: epochs without improvement to wait for. Default 10. `math.inf`: never stop, keep the best.
    min_delta: how much lower counts as an improvement. Default 0.
    calibrated: judge an epoch by the validation loss that its logits have at the temperature that suits them
        best, softmax(T z), and predict with the T that suits all members best: which epoch tells classes
        apart best, and how sure it may be, are two questions. For classes and labels with validation rows;
        else it changes nothing. Default False.
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
    """A callback that ends a run when its time is up, counted from here; what was best till then is kept.

    Parameters
    ----------
    seconds: above 0, compilation included.

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
    """What a callback is told between two calls of the program."""

    epoch: int  # epochs finished; of many networks, by the one that is farthest
    epochs: int  # epochs asked for
    history: History  # of many networks, their mean
    state: TrainState
    seconds: float  # since the start of this run


Callback = Callable[[Event], Any]


class Fitted(NamedTuple):
    """The end of a run: its state, and by network (mostly one) its history and how it ended.

    An end is one of `STATUS`, "interrupted", or what the callback that stopped it calls its `ending`.
    """

    state: TrainState
    histories: tuple[History, ...]
    statuses: tuple[str, ...]
    troubles: tuple[Trouble | None, ...]  # how it diverged, if it did


def start(
    plan: Plan, network: Any, optimizer: Any, in_shape: Shape, key: Any
) -> tuple[TrainState, Shape]:
    """Return the state before the first step and the shape of the outputs."""
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
) -> Fitted:
    """Train until `epochs` epochs are finished in all, or the run ends by itself.

    histories, optimizers, penalties: one a network, where `plan.stacked`; else of one.
    on_divergence: "raise", "stop" or a `Rollback`; the first two differ in what is made of the end.
    checkpoints: where the run goes on from, if there is anything, and leaves its standing from time to time.
    chunk: epochs per call of the program. None: 1 where there are callbacks that did not say that
    fewer calls do (`callback.coarse`), else as many as take a moment.
    """
    check_count("epochs", epochs, 0)
    if chunk is not None:
        check_count("chunk", chunk)
    if chunk is None and any(not getattr(callback, "coarse", False) for callback in callbacks):
        chunk = 1
    n_rows = data.x.shape[1] if plan.own_rows else data.x.shape[0]
    total_steps = float(max(epochs, 1) * batch_count(n_rows, plan.batch_size))
    moves = [as_leaves(bind_schedules(checked(as_optimizer(o)), total_steps)) for o in optimizers]
    waits = controls_of(early_stopping or EarlyStopping(math.inf), penalties)
    course = Course(plan, tuple(moves), waits, data, validation, on_divergence)
    standing = begun(state, histories)
    if checkpoints is not None:
        standing = checkpoints.begin(standing)
    size, timed = chunk or _first_chunk(state, n_rows, plan), chunk is None
    began, ending = time.perf_counter(), STATUS[RUNNING]
    with interruptible(terminable=checkpoints is not None) as interrupted, closing(callbacks):
        while unfinished(standing.state, epochs).any() and not interrupted.is_set():
            called, first = time.perf_counter(), np.asarray(standing.state.epoch)
            limit = np.minimum(first + min(size, CAPACITY), epochs)
            if checkpoints is not None:
                limit = checkpoints.cut(int(first.max()), limit)
            standing = advanced(course, standing, limit)
            seconds = time.perf_counter() - called
            if timed:
                size = max(1, min(size * 8, int(size * SECONDS_PER_CALL / seconds), CAPACITY))
            if checkpoints is not None and checkpoints.due(standing):
                _keep(checkpoints, standing, on_divergence)
            said = _stopping(callbacks, standing, epochs, time.perf_counter() - began)
            if said:
                ending = getattr(said[0], "ending", ending)
                break
        ending = "interrupted" if interrupted.is_set() else ending
        if checkpoints is not None:
            _keep(checkpoints, standing, on_divergence)
    names = STATUS | {RUNNING: ending}
    codes = np.atleast_1d(np.asarray(standing.state.status)).tolist()
    statuses = tuple(names[code] for code in codes)
    return Fitted(standing.state, standing.histories, statuses, standing.troubles)


def controls_of(stopping: EarlyStopping, penalties: Sequence[Penalty]) -> tuple[Controls, ...]:
    """Return the traced values of each network's run but its epoch limit, which each call is given."""
    patience = int(min(stopping.patience, np.iinfo(np.int32).max))
    delta = float(stopping.min_delta)
    return tuple(
        Controls(np.int32(0), np.int32(patience), delta, Penalty(*map(float, penalty)))
        for penalty in penalties
    )


def _keep(checkpoints: Part, standing: Standing, on_divergence: Any) -> None:
    """Write the standing, unless it is that of an error: then the one before is what to go on from."""
    if on_divergence == "stop" or None in standing.troubles:
        checkpoints.write(standing)


def _stopping(
    callbacks: Sequence[Callback], standing: Standing, epochs: int, seconds: float
) -> list[Callback]:
    """Tell all callbacks how the run stands and return those that stop it."""
    if not callbacks:
        return []
    epoch, history = int(np.max(standing.state.epoch)), History.mean(standing.histories)
    event = Event(epoch, epochs, history, standing.state, seconds)
    return [callback for callback in callbacks if callback(event)]


def _first_chunk(state: TrainState, n_rows: int, plan: Plan) -> int:
    """Return a cautious guess of how many epochs take a moment; the first call tells better."""
    n_parameters = sum(math.prod(np.shape(leaf)) for leaf in jax.tree.leaves(state.params))
    a_step = 1e-5 + 6 * n_parameters * plan.batch_size / 1e10  # products at a modest rate
    an_epoch = a_step * batch_count(n_rows, plan.batch_size)
    return int(np.clip(SECONDS_PER_CALL / an_epoch / 4, 1, CAPACITY))


def unfinished(state: TrainState, epochs: int) -> np.ndarray:
    """Return whether there is more to do, by network."""
    return np.asarray((np.asarray(state.epoch) < epochs) & (np.asarray(state.status) == RUNNING))


def checked(optimizer: Any) -> Any:
    """Return an optimizer whose learning rate, if it is a number of its own, can be one."""
    inside = innermost(optimizer)
    if hasattr(inside, "learning_rate") and not isinstance(inside.learning_rate, Schedule):
        check_range("learning_rate", inside.learning_rate, 0, math.inf)
    return optimizer


def as_leaves(tree: Any) -> Any:
    """Return numbers as arrays of the float in force, so that a program sees one type."""

    def leaf(x: Any) -> Any:
        try:
            array = np.asarray(x)
            numbers = array.dtype.kind in "iuf"
            if not (numbers or array.dtype == bool):
                raise TypeError
        except (TypeError, ValueError):
            raise ConfigurationError(
                f"The optimizer has {x!r} where a number belongs, as in gn.Adam(learning_rate=1e-3)."
            ) from None
        return array.astype(default_float()) if numbers else array

    return jax.tree.map(leaf, tree)


@contextmanager
def closing(callbacks: Sequence[Callback]) -> Iterator[None]:
    """Call `close` of the callbacks that have it, however the run ends: no bar goes on drawing."""
    try:
        yield
    finally:
        for callback in callbacks:
            getattr(callback, "close", lambda: None)()


@contextmanager
def interruptible(terminable: bool = False) -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into a flag, seen between calls; a second one interrupts at once.

    terminable: so too the system's word to end (SIGTERM), which then is said again at the end of the block,
    when what was to be saved is. Only the main thread may set signal handlers: elsewhere all stays as it is.
    """
    flag, terminated = threading.Event(), threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    seen = (signal.SIGINT, signal.SIGTERM) if terminable else (signal.SIGINT,)
    before: dict[int, Any] = {number: signal.getsignal(number) for number in seen}

    def handle(number: int, frame: Any) -> None:
        flag.set()
        if number == signal.SIGTERM:
            terminated.set()
        restore(number)

    def restore(number: int) -> None:
        if before[number] is not None:  # None: set by something that is not Python
            signal.signal(number, before[number])

    for number in seen:
        signal.signal(number, handle)
    try:
        yield flag
    finally:
        for number in seen:
            restore(number)
        if terminated.is_set():
            signal.raise_signal(signal.SIGTERM)
