"""Write checkpoints of a run to a folder, and continue from them to the same bits.

    DIR/lock                    locked by the run that writes here; the lock ends with its process
    DIR/1-00000042.checkpoint   checkpoint 42 of part 1 (a part: networks that train in one program)

A checkpoint is written to a temporary file, flushed to the disk, and then renamed. The last two and
the best are kept. If the newest is damaged, the one before it is used.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from glassnet._checks import check_count
from glassnet.errors import (
    CheckpointError,
    ConfigurationError,
    DataError,
    ModelFormatError,
    TrainingWarning,
)
from glassnet.storage.atomic import write_atomically
from glassnet.training.checkpoint_file import checked_parts, damaged, from_bytes, to_bytes
from glassnet.training.snapshot import Snapshot
from glassnet.training.state import DIVERGED

SECONDS_BETWEEN = 30.0  # if no number of epochs is given
NAME = re.compile(r"(\d{1,6})-(\d{8})\.checkpoint")
LEFT_OVER = re.compile(r"\.\d{1,6}-\d{8}\.checkpoint\..*")  # the temporary file of a killed process


@dataclass(frozen=True)
class Checkpoint:
    """Where and how often to write checkpoints, and whether to continue from the last one.

    Parameters
    ----------
    folder: created if it does not exist; only one run at a time may use it.
    every: epochs between two checkpoints. Default None: one about every half minute. Checkpoints are also
        written at the start, at the end, on Ctrl-C and on SIGTERM.
    resume: continue from the last checkpoint, if there is one. With False, a folder that holds checkpoints
        is refused. Default False.

    >>> Checkpoint("runs/a", every=5).every
    5
    """

    folder: str | os.PathLike[str]
    every: int | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.folder, str | os.PathLike) or not str(self.folder):
            raise ConfigurationError(
                f"checkpoint is {self.folder!r}, but it must name a folder, such as 'runs/a'."
            )
        if self.every is not None:
            check_count("every", self.every)


def as_checkpoint(given: Any, every: int | None = None, resume: bool = False) -> Checkpoint | None:
    """Return a `Checkpoint` from a folder, a `Checkpoint` or None; None stays None.

    Raises
    ------
    ConfigurationError: it is none of these, or `every` or `resume` is given without a folder.
    """
    if isinstance(given, Checkpoint | None):
        if every is not None or resume:
            raise ConfigurationError(
                "every and resume belong to a folder, as in checkpoint='runs/a', every=5, resume=True."
                " gn.Checkpoint has its own: gn.Checkpoint('runs/a', every=5, resume=True)."
            )
        return given
    return Checkpoint(given, every, resume)


@contextmanager
def locked_folder(checkpoint: Checkpoint | None) -> Iterator[Folder | None]:
    """Create a checkpoint folder and lock it for this run until the end of the block.

    Raises
    ------
    ConfigurationError: another run uses it, or it holds an earlier run's checkpoints and `resume` is not set.
    DataError: it cannot be created or written to.
    """
    if checkpoint is None:
        yield None
        return
    path = Path(checkpoint.folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = open(path / "lock", "a+b")  # noqa: SIM115  # closed below, whatever happens
    except OSError as error:
        raise DataError(
            f"Cannot write checkpoints to {path}: {error.strerror}. Choose a folder that you may write to."
        ) from None
    with lock:
        if not _locked(lock):
            raise ConfigurationError(
                f"Another run is writing checkpoints to {path}: wait for it, stop it, or choose another"
                " folder."
            )
        if not checkpoint.resume and any(NAME.fullmatch(name) for name in os.listdir(path)):
            raise ConfigurationError(
                f"{path} holds checkpoints of an earlier run. Set resume (resume=True, --resume) to continue"
                " from the last one, or choose another folder."
            )
        for name in filter(LEFT_OVER.fullmatch, os.listdir(path)):
            with contextlib.suppress(OSError):
                (path / name).unlink()
        yield Folder(path, checkpoint)


def _locked(file: Any) -> bool:
    """Lock an open file until the process ends; return false if another run has locked it."""
    try:
        import fcntl  # not on Windows, where nothing keeps two runs apart
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


class Folder(NamedTuple):
    """A folder that is locked for this run."""

    path: Path
    checkpoint: Checkpoint

    def part(self, number: int, identity: Mapping[str, str], on_divergence: Any) -> Part:
        """Return the checkpoints of one part of the run, counted from 1."""
        # with "raise", only the error needs the last good state, which is not worth twice the bytes
        return Part(self, number, dict(identity), anchored=on_divergence != "raise")


class Part:
    """The checkpoints of one part: of the networks that train together in one program."""

    def __init__(
        self, folder: Folder, number: int, identity: dict[str, str], anchored: bool
    ) -> None:
        self._folder, self._part, self._identity = folder, number, identity
        self._anchored = anchored
        self._scores: dict[int, float] = {}  # of the checkpoints in the folder, by number
        self._last: Snapshot | None = None
        self._last_time, self._last_epoch = 0.0, 0

    def begin(self, fresh: Snapshot) -> Snapshot:
        """Return the newest intact checkpoint; if there is none, write `fresh` and return it.

        Raises
        ------
        ConfigurationError: the checkpoints are from another run. ModelFormatError: all of them are damaged.
        """
        numbers = sorted(self._numbers(), reverse=True)
        damage: list[ModelFormatError] = []
        for n, number in enumerate(numbers, start=1):
            try:
                snapshot, self._scores[number] = self._read(number, fresh)
            except ModelFormatError as error:
                damage.append(error)
                self._scores[number] = math.inf
                continue
            if damage:
                warnings.warn(
                    f"The newest checkpoint in {self._folder.path} is damaged ({damage[0]}): training"
                    f" continues from an older one, {self._path(number).name}, of epoch {_epoch(snapshot)}.",
                    TrainingWarning,
                    stacklevel=2,
                )
            self._scores |= {older: self._read_score(older) for older in numbers[n:]}
            self._remember(snapshot)
            return snapshot
        if damage:
            raise ModelFormatError(
                f"{self._folder.path} holds no usable checkpoint ({damage[0]}): start again in another"
                " folder."
            )
        self.write(fresh)
        return fresh

    def cut(self, epoch: int, limit: np.ndarray) -> np.ndarray:
        """Return the epoch limit of the next call, lowered to where a checkpoint is due."""
        every = self._folder.checkpoint.every
        return limit if every is None else np.minimum(limit, (epoch // every + 1) * every)

    def due(self, snapshot: Snapshot) -> bool:
        """Return whether it is time to write a checkpoint."""
        every = self._folder.checkpoint.every
        if every is None:
            return time.monotonic() - self._last_time >= SECONDS_BETWEEN
        return _epoch(snapshot) // every != self._last_epoch // every

    def write(self, snapshot: Snapshot) -> None:
        """Write a snapshot unless it is already written, and remove all but the last two and the best.

        Raises
        ------
        CheckpointError: it cannot be written; the earlier checkpoints are untouched.
        """
        if snapshot is self._last:
            return
        number, score = max(self._scores, default=0) + 1, _score(snapshot)
        try:
            data = to_bytes(snapshot, self._identity, score, anchored=self._anchored)
            write_atomically(self._path(number), data)
        except DataError as error:
            failed = CheckpointError(
                f"{error} Training ended after epoch {_epoch(snapshot)}. The earlier checkpoints are intact:"
                " set resume to continue from them."
            )
            failed.state, failed.histories = snapshot.state, snapshot.histories
            raise failed from None
        self._scores[number] = score
        self._remember(snapshot)
        best = min(self._scores, key=lambda number: (self._scores[number], -number))
        for older in set(self._scores) - {number, number - 1, best}:
            with contextlib.suppress(OSError):  # an extra file does no harm
                self._path(older).unlink(missing_ok=True)
            del self._scores[older]

    def _remember(self, snapshot: Snapshot) -> None:
        self._last, self._last_time = snapshot, time.monotonic()
        self._last_epoch = _epoch(snapshot)

    def _numbers(self) -> list[int]:
        """Return the numbers of this part's files."""
        matches = [NAME.fullmatch(name) for name in os.listdir(self._folder.path)]
        return [int(m[2]) for m in matches if m is not None and int(m[1]) == self._part]

    def _path(self, number: int) -> Path:
        return self._folder.path / f"{self._part}-{number:08d}.checkpoint"

    def _read(self, number: int, fresh: Snapshot) -> tuple[Snapshot, float]:
        path = self._path(number)
        try:
            if not path.is_file():
                damaged("it is not a regular file")
            data = path.read_bytes()
        except OSError as error:
            raise DataError(f"Cannot read the checkpoint {path}: {error.strerror}.") from None
        return from_bytes(data, fresh, self._identity, str(self._folder.path))

    def _read_score(self, number: int) -> float:
        """Return the score of an older checkpoint; infinite if it is damaged."""
        try:
            return checked_parts(self._path(number).read_bytes())[2]
        except (ModelFormatError, OSError):
            return math.inf


def _epoch(snapshot: Snapshot) -> int:
    return int(np.max(np.asarray(snapshot.state.epoch)))


def _score(snapshot: Snapshot) -> float:
    """Return the mean of the networks' last validation (or training) losses; infinite if there are none."""
    statuses = np.atleast_1d(np.asarray(snapshot.state.status)).tolist()
    losses = [
        history.columns.get("validation_loss", history["loss"])[-1]
        for history, status in zip(snapshot.histories, statuses, strict=True)
        if history.n_epochs and status != DIVERGED
    ]
    mean = float(np.mean(losses)) if losses else math.inf
    return mean if math.isfinite(mean) else math.inf
