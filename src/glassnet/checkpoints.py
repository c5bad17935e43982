"""Checkpoints: a run's whole standing in a file, from which it goes on to the same bits.

    DIR/lock                    held by the run that writes here, released by its end, however that comes
    DIR/1-00000042.checkpoint   the 42nd standing of part 1 (networks of one form train together: a part)

Each is one safetensors file, as a model file is: arrays, and one strict JSON record with their SHA-256. It
is written beside its place, forced to the disk and moved there. The last two are kept, and the best.
Reading believes nothing: names, shapes and types are those of the run at hand, and a file that is damaged
is passed over for the one before.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import jax
import numpy as np

from glassnet._resolve import check_count
from glassnet.atomic import write_atomically
from glassnet.divergence import Trouble
from glassnet.errors import (
    CheckpointError,
    ConfigurationError,
    DataError,
    ModelFormatError,
    TrainingWarning,
)
from glassnet.history import History
from glassnet.persistence import arrays_and_record
from glassnet.records import Fields, is_finite_number, is_integer
from glassnet.standing import Standing
from glassnet.training_state import DIVERGED, TrainState

FORMAT = 1
SECONDS_BETWEEN = 30.0  # where no number of epochs is given
NAME = re.compile(r"(\d{1,6})-(\d{8})\.checkpoint")
LEFT_OVER = re.compile(r"\.\d{1,6}-\d{8}\.checkpoint\..*")  # of a write that was cut off
RECORD = ("format", "identity", "score", "troubles", "rollbacks", "anchored")  # and its digest


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
    """Take the lock of an open file, which the system releases when the process ends; false if it is taken."""
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

    def part(self, number: int, identity: Mapping[str, str]) -> Part:
        """Return the checkpoints of one part of the run, counted from 1."""
        return Part(self, number, dict(identity))


class Part:
    """The checkpoints of networks that train together."""

    def __init__(self, folder: Folder, number: int, identity: dict[str, str]) -> None:
        self._folder, self._number, self._identity = folder, number, identity
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
                f"{self._folder.path} holds no usable checkpoint ({damage[0]}): start again in another folder."
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
            write_atomically(self._path(place), to_bytes(standing, self._identity, score))
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
                _damaged("it is no regular file")
            data = path.read_bytes()
        except OSError as error:
            raise DataError(f"Cannot read the checkpoint {path}: {error.strerror}.") from None
        return from_bytes(data, fresh, self._identity, str(self._folder.path))

    def _score_of(self, place: int) -> float:
        """Return the score of an older checkpoint; infinite if it is damaged."""
        try:
            return _sound(self._path(place).read_bytes())[2]
        except (ModelFormatError, OSError):
            return math.inf


def _epoch(standing: Standing) -> int:
    return int(np.max(np.asarray(standing.state.epoch)))


def _score(standing: Standing) -> float:
    """Return the mean of the networks' last validation losses, or training losses; infinite if there is none."""
    statuses = np.atleast_1d(np.asarray(standing.state.status)).tolist()
    last = [
        history.columns.get("validation_loss", history["loss"])[-1]
        for history, status in zip(standing.histories, statuses, strict=True)
        if history.n_epochs and status != DIVERGED
    ]
    mean = float(np.mean(last)) if last else math.inf
    return mean if math.isfinite(mean) else math.inf


# --- a standing as bytes ------------------------------------------------------------------------------

KEY = "glassnet-checkpoint"


def to_bytes(standing: Standing, identity: Mapping[str, str], score: float) -> bytes:
    """Return a standing as the bytes of a safetensors file."""
    from safetensors.numpy import save  # lazily: most runs write no checkpoint

    tensors = dict(_named("state", standing.state))
    if standing.anchor is not None:
        tensors |= _named("anchor", standing.anchor)
    for k, history in enumerate(standing.histories):
        tensors |= {f"history/{k}/{name}": values for name, values in history.columns.items()}
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    record: dict[str, Any] = {
        "format": FORMAT,
        "identity": dict(identity),
        "score": score if math.isfinite(score) else None,
        "troubles": [None if t is None else _plain(t) for t in standing.troubles],
        "rollbacks": list(standing.rollbacks),
        "anchored": standing.anchor is not None,
    }
    record["digest"] = _digest(record, arrays)
    return save(arrays, metadata={KEY: json.dumps(record, allow_nan=False)})


def from_bytes(
    data: bytes, fresh: Standing, identity: Mapping[str, str], where: str
) -> tuple[Standing, float]:
    """Return the standing in the bytes of a file, every part of it checked, and its score.

    fresh: the standing of this run at its start, whose names, shapes and types the file must have.

    Raises
    ------
    ModelFormatError: it is damaged. ConfigurationError: it is sound, but of another run.
    """
    arrays, record, score = _sound(data)
    check_identity(record["identity"], identity, where)
    n = len(fresh.histories)
    state = _filled("state", fresh.state, arrays)
    anchor = _filled("anchor", fresh.state, arrays) if record["anchored"] else None
    if fresh.anchor is not None and anchor is None:
        anchor = state  # written where nothing was to be rolled back
    histories = tuple(_history(arrays, k) for k in range(n))
    if arrays:
        _damaged("it holds more than a run's state")
    troubles = tuple(None if t is None else _trouble(t) for t in record["troubles"])
    rollbacks = tuple(record["rollbacks"])
    if len(troubles) != n or len(rollbacks) != n:
        _damaged("it is of another number of networks")
    kept = anchor if fresh.anchor is not None else None
    return Standing(state, histories, troubles, rollbacks, kept), score


def check_identity(theirs: Mapping[str, str], ours: Mapping[str, str], where: str) -> None:
    """Raise unless two runs have the same data, recipe, network and versions."""
    for what in dict.fromkeys([*ours, *theirs]):
        there, here = theirs.get(what, "none"), ours.get(what, "none")
        if there == here:
            continue
        first = next((i for i, (a, b) in enumerate(zip(there, here, strict=False)) if a != b), 0)
        shown = [
            ("..." if first > 60 else "") + text[max(0, first - 60) :][:160]
            for text in (there, here)
        ]
        raise ConfigurationError(
            f"{where} holds checkpoints of another run: {what} was {shown[0]} there and is {shown[1]} here."
            " To the same bits only the same run can go on: give what was given there, or another folder."
        )


def _sound(data: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any], float]:
    """Return a checkpoint's arrays, its record with each field checked, and its score.

    Raises
    ------
    ModelFormatError: it is damaged. ConfigurationError: it is of a later format.
    """
    try:
        arrays, record = arrays_and_record(data, KEY)
        if is_integer(record["format"]) and record["format"] != FORMAT:
            raise ConfigurationError(
                f"The checkpoint is of format {record['format']}, but this version of glassnet reads format"
                f" {FORMAT}: go on with the version that wrote it, or start again in another folder."
            )
        if record.pop("digest") != _digest(record, arrays):
            _damaged("its checksum is another")
        fields = Fields.of(record, "checkpoint", RECORD)
        identity, score = record["identity"], record["score"]
        if not isinstance(identity, dict) or not all(isinstance(v, str) for v in identity.values()):
            fields.refuse("identity", "a record of texts")
        if score is not None and not is_finite_number(score):
            fields.refuse("score", "a number or null")
        if not all(is_integer(times) and times >= 0 for times in fields.items("rollbacks")):
            fields.refuse("rollbacks", "a list of counts")
        fields.items("troubles")
        fields.flag("anchored")
    except (ValueError, TypeError, KeyError, OverflowError, MemoryError, RecursionError) as error:
        if isinstance(error, ModelFormatError | ConfigurationError):
            raise
        _damaged(f"{type(error).__name__}: {str(error)[:200]}")
    return arrays, record, math.inf if score is None else float(score)


def _digest(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of a record and its arrays."""
    whole = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        whole.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        whole.update(array.tobytes())
    return whole.hexdigest()


def _named(name: str, tree: Any) -> dict[str, Any]:
    """Return the arrays of a tree by their paths, "state.params[0]['W']"."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {name + jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _filled(name: str, template: TrainState, arrays: dict[str, np.ndarray]) -> Any:
    """Return a tree of the template's form, its arrays taken out of the file's and checked."""
    leaves = []
    for path, wanted in _named(name, template).items():
        if path not in arrays:
            _damaged(f"the array {path[:80]} is missing")
        found = arrays.pop(path)
        if found.shape != np.shape(wanted) or found.dtype != np.asarray(wanted).dtype:
            _damaged(f"{path[:80]} is {found.dtype}{found.shape}")
        leaves.append(found)
    state: TrainState = jax.tree.unflatten(jax.tree.structure(template), leaves)
    if not all(
        np.isfinite(leaf).all() for leaf in jax.tree.leaves((state.params, state.layer_state))
    ):
        _damaged("its parameters are infinite or undefined")
    return state


def _history(arrays: dict[str, np.ndarray], k: int) -> History:
    """Return network k's history, taken out of the file's arrays."""
    start = f"history/{k}/"
    columns = {
        name[len(start) :]: arrays.pop(name) for name in list(arrays) if name.startswith(start)
    }
    epoch = columns.get("epoch", np.empty(0, np.int64))
    if any(c.shape != epoch.shape or c.ndim != 1 for c in columns.values()):
        _damaged("the columns of its history differ in length")
    if columns and (epoch.dtype.kind != "i" or (np.diff(epoch) < 1).any()):
        _damaged("the epochs of its history are not in order")
    return History(columns)


def _plain(trouble: Trouble) -> dict[str, Any]:
    """Return a trouble as strict JSON values."""
    values = trouble._asdict().items()
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values}


def _trouble(record: Any) -> Trouble:
    """Return a trouble from its JSON record, checked."""
    fields = Fields.of(record, "trouble", Trouble._fields)
    fields.text("where")
    for name in ("step", "epoch"):
        if not is_integer(record[name]):
            fields.refuse(name, "a count")
    numbers = {}
    for name in ("learning_rate", "largest_input"):
        value = record[name]
        if value is not None and not is_finite_number(value):
            fields.refuse(name, "a number or null")
        numbers[name] = math.nan if value is None else float(value)
    return Trouble(**(record | numbers))


def _damaged(what: str) -> NoReturn:
    raise ModelFormatError(what)
