"""Checkpoints: a run's whole standing in a file, from which it goes on to the same bits.

    DIR/lock                    held by the run that writes here, released by its end, however that comes
    DIR/1-00000042.checkpoint   the 42nd standing of part 1 (networks of one form train together: a part)

Each is written beside its place, forced to the disk and moved there. The last two are kept, and the best; one
that is damaged is passed over for the one before.
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
from glassnet.training.snapshot import Standing
from glassnet.training.state import DIVERGED

SECONDS_BETWEEN = 30.0  # where no number of epochs is given
NAME = re.compile(r"(\d{1,6})-(\d{8})\.checkpoint")
LEFT_OVER = re.compile(r"\.\d{1,6}-\d{8}\.checkpoint\..*")  # of a write that was cut off


@dataclass(frozen=True)
class Checkpoint:
    """Where and how often to write checkpoints, and whether to go on from the last one.

    Parameters
    ----------
    folder: is made if it is not there; one run at a time may use it.
    every: so many epochs; None: about every half minute. Also at the start and at the end, when Ctrl-C is
        pressed and when the process is told to end (SIGTERM). Default None.
    resume: go on from the last checkpoint, if there is one; with False a folder that holds any is refused.

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
    """Return what a person gave for a checkpoint: a folder, a `Checkpoint`, or None.

    Raises
    ------
    ConfigurationError: it is none of these, or `every` or `resume` is given twice, or for nothing.
    """
    if isinstance(given, Checkpoint | None):
        if every is not None or resume:
            raise ConfigurationError(
                "every and resume belong to a folder, as in checkpoint='runs/a', every=5, resume=True;"
                " gn.Checkpoint has its own."
            )
        return given
    return Checkpoint(given, every, resume)


@contextmanager
def opened(checkpoint: Checkpoint | None) -> Iterator[Folder | None]:
    """Hold a checkpoint's folder for this run, and let go of it at the end.

    Raises
    ------
    ConfigurationError: another run holds it, or it holds another run's checkpoints and `resume` is not set.
    DataError: it cannot be made or written to.
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
                f"Another run is writing checkpoints to {path}: wait for it, end it, or give another folder."
            )
        if not checkpoint.resume and any(NAME.fullmatch(name) for name in os.listdir(path)):
            raise ConfigurationError(
                f"{path} holds checkpoints of an earlier run. Set resume (resume=True, --resume) to go on"
                " from the last of them, or give another folder."
            )
        for name in filter(LEFT_OVER.fullmatch, os.listdir(path)):
            with contextlib.suppress(OSError):
                (path / name).unlink()
        yield Folder(path, checkpoint)


def _locked(file: Any) -> bool:
    """Take the lock of an open file, which ends with the process; false if another run has it."""
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
    """A folder that this run holds."""

    path: Path
    checkpoint: Checkpoint

    def part(self, number: int, identity: Mapping[str, str], on_divergence: Any) -> Part:
        """Return the checkpoints of one part of the run, counted from 1."""
        # what "raise" would go back to is for its error alone, and not worth twice the bytes
        return Part(self, number, dict(identity), anchored=on_divergence != "raise")


class Part:
    """The checkpoints of networks that train together."""

    def __init__(
        self, folder: Folder, number: int, identity: dict[str, str], anchored: bool
    ) -> None:
        self._folder, self._number, self._identity = folder, number, identity
        self._anchored = anchored
        self._scores: dict[
            int, float
        ] = {}  # of the files that are there, by their place in the row
        self._last: Standing | None = None
        self._wrote, self._epoch = 0.0, 0

    def begin(self, fresh: Standing) -> Standing:
        """Return the standing to go on from: that of the newest sound checkpoint, else `fresh`, now written.

        Raises
        ------
        ConfigurationError: the checkpoints are of another run. ModelFormatError: none of them is sound.
        """
        places = sorted(self._places(), reverse=True)
        damage: list[ModelFormatError] = []
        for n, place in enumerate(places, start=1):
            try:
                found, self._scores[place] = self._read(place, fresh)
            except ModelFormatError as error:
                damage.append(error)
                self._scores[place] = math.inf
                continue
            if damage:
                warnings.warn(
                    f"The newest checkpoint in {self._folder.path} is damaged ({damage[0]}): training goes on"
                    f" from one before, {self._path(place).name}, of epoch {_epoch(found)}.",
                    TrainingWarning,
                    stacklevel=2,
                )
            self._scores |= {older: self._score_of(older) for older in places[n:]}
            self._noted(found)
            return found
        if damage:
            raise ModelFormatError(
                f"{self._folder.path} holds no usable checkpoint ({damage[0]}): start again in another"
                " folder."
            )
        self.write(fresh)
        return fresh

    def cut(self, epoch: int, limit: np.ndarray) -> np.ndarray:
        """Return the limit of the next call, cut where a checkpoint is due."""
        every = self._folder.checkpoint.every
        return limit if every is None else np.minimum(limit, (epoch // every + 1) * every)

    def due(self, standing: Standing) -> bool:
        """Return whether it is time to write."""
        every, epoch = self._folder.checkpoint.every, _epoch(standing)
        if every is None:
            return time.monotonic() - self._wrote >= SECONDS_BETWEEN
        return epoch // every != self._epoch // every

    def write(self, standing: Standing) -> None:
        """Write a standing, unless it is there already, and remove what is neither recent nor the best.

        Raises
        ------
        CheckpointError: it cannot be written; all that was there before is untouched.
        """
        if standing is self._last:
            return
        place, score = max(self._scores, default=0) + 1, _score(standing)
        try:
            data = to_bytes(standing, self._identity, score, anchored=self._anchored)
            write_atomically(self._path(place), data)
        except DataError as error:
            failed = CheckpointError(
                f"{error} Training ended after epoch {_epoch(standing)}; the checkpoints written before are"
                " there, to go on from with resume."
            )
            failed.state, failed.histories = standing.state, standing.histories
            raise failed from None
        self._scores[place] = score
        self._noted(standing)
        best = min(self._scores, key=lambda place: (self._scores[place], -place))
        for older in set(self._scores) - {place, place - 1, best}:
            with contextlib.suppress(OSError):  # what stays too long does no harm
                self._path(older).unlink(missing_ok=True)
            del self._scores[older]

    def _noted(self, standing: Standing) -> None:
        self._last, self._wrote, self._epoch = standing, time.monotonic(), _epoch(standing)

    def _places(self) -> list[int]:
        """Return the places in the row of the files of this part."""
        found = [NAME.fullmatch(name) for name in os.listdir(self._folder.path)]
        return [int(m[2]) for m in found if m is not None and int(m[1]) == self._number]

    def _path(self, place: int) -> Path:
        return self._folder.path / f"{self._number}-{place:08d}.checkpoint"

    def _read(self, place: int, fresh: Standing) -> tuple[Standing, float]:
        path = self._path(place)
        try:
            if not path.is_file():
                damaged("it is no regular file")
            data = path.read_bytes()
        except OSError as error:
            raise DataError(f"Cannot read the checkpoint {path}: {error.strerror}.") from None
        return from_bytes(data, fresh, self._identity, str(self._folder.path))

    def _score_of(self, place: int) -> float:
        """Return the score of an older checkpoint; infinite if it is damaged."""
        try:
            return checked_parts(self._path(place).read_bytes())[2]
        except (ModelFormatError, OSError):
            return math.inf


def _epoch(standing: Standing) -> int:
    return int(np.max(np.asarray(standing.state.epoch)))


def _score(standing: Standing) -> float:
    """Return the mean of the networks' last validation losses, or training losses; infinite without any."""
    statuses = np.atleast_1d(np.asarray(standing.state.status)).tolist()
    last = [
        history.columns.get("validation_loss", history["loss"])[-1]
        for history, status in zip(standing.histories, statuses, strict=True)
        if history.n_epochs and status != DIVERGED
    ]
    mean = float(np.mean(last)) if last else math.inf
    return mean if math.isfinite(mean) else math.inf
