"""Processes that tests kill: `python killable.py runs FOLDER ...` and `python killable.py write FOLDER`."""

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
from glassnet.training.snapshot import Standing
from glassnet.training.state import Best, TrainState
from helpers import blobs

EPOCHS, AT_ONCE = 200, 5


def one_run(number: int, **options: Any) -> str:
    """Train network `number`, with all that a run can carry, and return the hash of all that came out."""
    X, y = blobs(60)
    net = gn.Network([gn.Dense(6), gn.BatchNorm(), "relu", gn.Dropout(0.3), gn.Dense(3)])
    run = gn.train(
        net, X, y, optimizer=gn.Averaged(gn.Adam(gn.Cosine(0.02))), batch_size=16, epochs=EPOCHS,
        validation=(X[::3], y[::3]), early_stopping=gn.EarlyStopping(100), l2=1e-3, seed=number, **options
    )  # fmt: skip
    parts = [run.state, dict(run.history), run.model.params, run.model.predict_proba(X)]
    leaves = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(parts)]
    return hashlib.sha256(b"".join(leaves) + run.status.encode()).hexdigest()


def runs(folder: Path) -> None:
    """Train AT_ONCE networks in as many threads, on from what is there; say when all go, and the hashes."""
    hashes, going = {}, threading.Barrier(AT_ONCE + 1)

    def each(number: int) -> None:
        waited: list[bool] = []

        def told(event: Any) -> None:
            if not waited:
                waited.append(True)
                going.wait()

        place = folder / str(number)
        hashes[number] = one_run(number, checkpoint=place, every=1, resume=True, callbacks=[told])
        if not waited:  # it had ended before the last kill: there is nothing left to train
            going.wait()

    threads = [threading.Thread(target=each, args=(number,)) for number in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    going.wait()
    print("going", flush=True)
    for thread in threads:
        thread.join()
    print(*(hashes[number] for number in range(AT_ONCE)), flush=True)


def standing(number: int) -> Standing:
    """Return a standing made of NumPy alone: a process without JAX's threads may fork."""
    params: Any = ({"W": np.full((40, 30), number, np.float32)},)
    count: Any = np.asarray(number, np.int32)
    losses: Any = np.ones(1, np.float32) / (1 + number)
    state = TrainState(
        params, ({},), {"m": params}, count, count, (), Best(params, ({},), losses[0], count, losses),
        count, np.zeros(2, np.uint32), np.zeros(2, np.uint32), np.zeros((), np.int32), losses[None],
    )  # fmt: skip
    history = History({"epoch": np.arange(number) + 1, "loss": 1.0 / np.arange(1, number + 1)})
    return Standing(state, (history,), (None,), (0,), state)


def write(folder: Path) -> None:
    """Kill a process before each line of writing a checkpoint, and in its middle; say how often."""
    kills = 0
    for kill in killers():
        place = folder / str(kills)
        sound(place, standing(1))
        child = os.fork()
        if child == 0:
            with checkpoints.opened(checkpoints.Checkpoint(place, resume=True)) as held:
                assert held is not None
                part = held.part(1, {}, "raise")
                part.begin(standing(0))
                kill()
                part.write(standing(2))
                sys.settrace(None)
                os._exit(0)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        found = sound(place, None)
        assert found in (1, 2), found
        if ended == 0:  # all lines are behind us
            assert found == 2
            if kills > 1:
                break
        assert ended in (0, -signal.SIGKILL), ended
        kills += 1
        sound(place, standing(3))
        files = sorted(path.name for path in place.iterdir())
        assert len(files) <= 4 and all(not name.startswith(".") for name in files), files
    print(kills, flush=True)


def sound(place: Path, later: Standing | None) -> int:
    """Check what lies there, write a later standing if given, and return the epoch of what was there."""
    with checkpoints.opened(checkpoints.Checkpoint(place, resume=True)) as held:
        assert held is not None
        part = held.part(1, {}, "raise")
        found = part.begin(standing(0))
        epoch = int(found.state.epoch)
        wanted = jax.tree.leaves(standing(epoch).state)
        got = jax.tree.leaves(found.state)
        assert all(np.array_equal(a, b) for a, b in zip(wanted, got, strict=True))
        if later is not None:
            part.write(later)
    return epoch


def killers() -> Iterator[Any]:
    """Yield what makes a process kill itself: amid the bytes, then before each line, one by one."""
    yield kill_halfway
    for number in itertools.count(1):
        yield partial(kill_before_line, number)


class Cut:
    """A file that ends its process when half the bytes are written."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def __enter__(self) -> Cut:
        return self

    def __exit__(self, *why: object) -> None:
        self.file.close()

    def write(self, data: bytes) -> None:
        self.file.write(data[: len(data) // 2])
        self.file.flush()
        os.kill(os.getpid(), signal.SIGKILL)


def kill_halfway() -> None:
    opened = os.fdopen
    os.fdopen = lambda *arguments: Cut(opened(*arguments))  # type: ignore[assignment]


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
