"""Train and write checkpoints in a process that tests can kill: `python killable.py runs|write FOLDER`."""

from __future__ import annotations

import hashlib
import itertools
import os
import signal
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # for helpers

import glassnet as gn
from glassnet.storage import atomic
from glassnet.training import checkpoint_file, checkpoints
from glassnet.training.history import History
from glassnet.training.snapshot import Snapshot
from glassnet.training.state import Best, TrainState
from helpers import blobs

EPOCHS, AT_ONCE = 200, 5


def one_run(number: int, **options: Any) -> str:
    """Train network `number` with everything that a state can hold, and return the hash of its result."""
    X, y = blobs(60)
    net = gn.Network([gn.Dense(6), gn.BatchNorm(), "relu", gn.Dropout(0.3), gn.Dense(3)])
    run = gn.train(
        net,
        X,
        y,
        optimizer=gn.Averaged(gn.Adam(gn.Cosine(0.02))),
        batch_size=16,
        epochs=EPOCHS,
        validation=(X[::3], y[::3]),
        early_stopping=gn.EarlyStopping(100),
        l2=1e-3,
        seed=number,
        **options,
    )
    parts = [run.state, dict(run.history), run.model.params, run.model.predict_proba(X)]
    leaves = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(parts)]
    return hashlib.sha256(b"".join(leaves) + run.status.encode()).hexdigest()


def runs(folder: Path) -> None:
    """Train or resume AT_ONCE networks, one per thread; print "training" once all train, then the hashes."""
    hashes, all_training = {}, threading.Barrier(AT_ONCE + 1)

    def train_one(number: int) -> None:
        has_waited: list[bool] = []

        def wait_once(event: Any) -> None:
            if not has_waited:
                has_waited.append(True)
                all_training.wait()

        hashes[number] = one_run(
            number, checkpoint=folder / str(number), every=1, resume=True, callbacks=[wait_once]
        )
        if not has_waited:  # the run had already ended before the last kill
            all_training.wait()

    threads = [threading.Thread(target=train_one, args=(number,)) for number in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    all_training.wait()
    print("training", flush=True)
    for thread in threads:
        thread.join()
    print(*(hashes[number] for number in range(AT_ONCE)), flush=True)


def snapshot(number: int) -> Snapshot:
    """Return a snapshot of NumPy arrays, because a process with JAX's threads must not be forked."""
    params: Any = ({"W": np.full((40, 30), number, np.float32)},)
    count: Any = np.asarray(number, np.int32)
    losses: Any = np.ones(1, np.float32) / (1 + number)
    state = TrainState(
        params=params,
        layer_state=({},),
        optimizer_state={"m": params},
        step=count,
        epoch=count,
        average=(),
        best=Best(params, ({},), losses[0], count, losses),
        stale=count,
        key=np.zeros(2, np.uint32),
        order=np.zeros(2, np.uint32),
        status=np.zeros((), np.int32),
        rows=losses[None],
    )
    history = History({"epoch": np.arange(number) + 1, "loss": 1.0 / np.arange(1, number + 1)})
    return Snapshot(state, (history,), (None,), (0,), state)


def write(folder: Path) -> None:
    """Kill a process before each line that writes a checkpoint, and halfway through the bytes."""
    kills = 0
    for kill in killers():
        run = folder / str(kills)
        check_and_write(run, snapshot(1))
        child = os.fork()
        if child == 0:
            with checkpoints.locked_folder(checkpoints.Checkpoint(run, resume=True)) as locked:
                assert locked is not None
                part = locked.part(1, {}, "raise")
                part.begin(snapshot(0))
                kill()
                part.write(snapshot(2))
                sys.settrace(None)
                os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        epoch = check_and_write(run, None)
        assert epoch in (1, 2), epoch
        if code == 0:  # it ended before the line at which to kill it
            assert epoch == 2
            if kills > 1:
                break
        assert code in (0, -signal.SIGKILL), code
        kills += 1
        check_and_write(run, snapshot(3))
        files = sorted(path.name for path in run.iterdir())
        assert len(files) <= 4 and all(not name.startswith(".") for name in files), files
    print(kills, flush=True)


def check_and_write(run: Path, later: Snapshot | None) -> int:
    """Check a folder's checkpoint, then write a later one if given; return the epoch of the first."""
    with checkpoints.locked_folder(checkpoints.Checkpoint(run, resume=True)) as locked:
        assert locked is not None
        part = locked.part(1, {}, "raise")
        stored = part.begin(snapshot(0))
        epoch = int(stored.state.epoch)
        expected = jax.tree.leaves(snapshot(epoch).state)
        leaves = jax.tree.leaves(stored.state)
        assert all(np.array_equal(a, b) for a, b in zip(expected, leaves, strict=True))
        if later is not None:
            part.write(later)
    return epoch


def killers() -> Iterator[Any]:
    """Yield functions that make a process kill itself: halfway through the bytes, then before each line."""
    yield kill_halfway
    for number in itertools.count(1):
        yield partial(kill_before_line, number)


class TruncatedFile:
    """A file that kills its process when half of the bytes are written."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def __enter__(self) -> TruncatedFile:
        return self

    def __exit__(self, *why: object) -> None:
        self.file.close()

    def write(self, data: bytes) -> None:
        self.file.write(data[: len(data) // 2])
        self.file.flush()
        os.kill(os.getpid(), signal.SIGKILL)


def kill_halfway() -> None:
    fdopen = os.fdopen
    os.fdopen = lambda *arguments: TruncatedFile(fdopen(*arguments))  # type: ignore[assignment]


def kill_before_line(number: int) -> None:
    files = {module.__file__ for module in (atomic, checkpoint_file, checkpoints)}
    lines = itertools.count(1)

    def trace(frame: Any, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename not in files:
            return None
        if event == "line" and next(lines) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)


if __name__ == "__main__":
    {"runs": runs, "write": write}[sys.argv[1]](Path(sys.argv[2]))
