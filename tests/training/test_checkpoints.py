"""A run resumes from its checkpoints with the same bits, whatever ended it, and checks every file."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import killable
import numpy as np
import optax
import pytest
from safetensors.numpy import save as to_file
from sklearn.base import clone
from typer.testing import CliRunner

import glassnet as gn
from glassnet import cli
from glassnet.errors import (
    CheckpointError,
    ConfigurationError,
    DataError,
    ModelFormatError,
    TrainingWarning,
)
from glassnet.training import checkpoint_file, checkpoints, fingerprint
from glassnet.training.checkpoint_file import KEY, checked_parts
from helpers import assert_same_bits, blobs

X, Y = blobs(50)
NET = gn.Network([gn.Dense(6), gn.BatchNorm(), "relu", gn.Dropout(0.3), gn.Dense(3)])
CHILD = [sys.executable, str(Path(__file__).with_name("killable.py"))]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}  # so that it finds helpers.py


def full_run(**changes: Any) -> Any:
    """Return a run with everything that a state can hold."""
    settings: dict[str, Any] = {
        "optimizer": gn.Averaged(gn.Adam(gn.Cosine(0.02))),
        "batch_size": 16,
        "epochs": 12,
        "l2": 1e-3,
        "validation": (X[:9], Y[:9]),
        "early_stopping": gn.EarlyStopping(9),
        "metrics": ["accuracy"],
    }
    return gn.train(NET, X, Y, **(settings | changes))


def everything(run: Any) -> Any:
    return run.state, run.history.to_dict(), run.model.params, run.model.layer_state, run.status


def stop_at(epoch: int) -> Any:
    return lambda event: event.epoch >= epoch


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.checkpoint"))


@pytest.fixture(scope="module")
def whole() -> Any:
    """Return an uninterrupted run."""
    return full_run()


# --- resuming with the same bits ------------------------------------------------------------------


@pytest.mark.parametrize("every", [None, 1, 5])
def test_a_resumed_run_ends_with_the_same_bits(every, whole, tmp_path):
    for epoch in (0, 4, 7):
        stopped = full_run(
            checkpoint=tmp_path, every=every, resume=True, callbacks=[stop_at(epoch)]
        )
        assert stopped.history.n_epochs == max(epoch, 1)
    resumed = full_run(checkpoint=tmp_path, every=every, resume=True)
    assert_same_bits(everything(resumed), everything(whole))
    before = [path.read_bytes() for path in files(tmp_path)]
    again = full_run(checkpoint=gn.Checkpoint(tmp_path, resume=True))  # no epoch is left
    assert_same_bits(everything(again), everything(whole))
    assert [path.read_bytes() for path in files(tmp_path)] == before


def test_a_resumed_run_remembers_how_much_patience_is_left(tmp_path):
    patient = {"early_stopping": gn.EarlyStopping(6, min_delta=100)}  # no epoch is that much better
    full_run(**patient, checkpoint=tmp_path, callbacks=[stop_at(4)])
    resumed = full_run(**patient, checkpoint=tmp_path, resume=True)
    assert resumed.status == "stopped early" and resumed.history.n_epochs == 7
    assert_same_bits(everything(resumed), everything(full_run(**patient)))


def test_a_run_can_be_resumed_with_more_epochs(tmp_path):
    settings = {"optimizer": "adam", "batch_size": 16}
    full_run(**settings, epochs=5, checkpoint=tmp_path)
    longer = full_run(**settings, epochs=9, checkpoint=tmp_path, resume=True)
    assert_same_bits(everything(longer), everything(full_run(**settings, epochs=9)))
    with pytest.raises(ConfigurationError, match="differs in the optimizer"):
        # its schedule depends on the number of epochs
        full_run(epochs=13, **{"checkpoint": tmp_path, "resume": True})


def test_a_run_with_an_optax_optimizer_resumes(tmp_path):
    settings = {"optimizer": optax.adam(0.01), "epochs": 6, "early_stopping": False}
    full_run(**settings, checkpoint=tmp_path, callbacks=[stop_at(3)])
    resumed = full_run(**settings, checkpoint=tmp_path, resume=True)
    assert_same_bits(everything(resumed), everything(full_run(**settings)))


def test_cross_validation_with_folds_of_two_sizes_resumes(tmp_path):
    rows, values = X[:41], X[:41] @ [1.0, -2.0, 0.5, 0.0]
    model = gn.NeuralRegressor((4,), members=2, epochs=6, random_state=0, early_stopping=False)
    whole = gn.cross_validate(model, rows, values, cv=4)
    saved = clone(model).set_params(checkpoint=tmp_path)
    gn.cross_validate(saved, rows, values, cv=4, callbacks=[stop_at(3)])
    assert {path.name[0] for path in files(tmp_path)} == {"1", "2"}  # one part for each program
    with pytest.raises(ConfigurationError, match="resume"):
        gn.cross_validate(saved, rows, values, cv=4)
    saved.set_params(checkpoint=gn.Checkpoint(tmp_path, resume=True))
    resumed = gn.cross_validate(saved, rows, values, cv=4)
    for one, other in zip(resumed.estimators, whole.estimators, strict=True):
        assert_same_bits(one.states_, other.states_)
    assert_same_bits(resumed.predictions, whole.predictions)


def test_an_estimator_resumes(tmp_path):
    model = gn.NeuralClassifier((4,), members=2, epochs=6, random_state=0, early_stopping=False)
    whole = clone(model).fit(X, Y)
    stopped = clone(model).set_params(checkpoint=tmp_path, callbacks=[stop_at(3)]).fit(X, Y)
    assert stopped.n_iter_ == 3
    resumed = clone(model).set_params(checkpoint=gn.Checkpoint(tmp_path, resume=True)).fit(X, Y)
    assert_same_bits(resumed.states_, whole.states_)
    assert_same_bits(resumed.predict_proba(X), whole.predict_proba(X))
    with pytest.raises(ConfigurationError, match="earlier run"):
        stopped.fit(X, Y)
    stopped.partial_fit(X, Y)  # a single epoch writes no checkpoint


# --- signals and killed processes------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_checkpoint_is_written_before_a_signal_ends_the_run(number, whole, tmp_path):
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        run = full_run(
            checkpoint=tmp_path,
            callbacks=[lambda event: event.epoch == 3 and signal.raise_signal(number)],
        )
        assert received == ([number] if number == signal.SIGTERM else [])
        assert run.status == "interrupted" and run.history.n_epochs == 3
        assert int(record_of(files(tmp_path)[-1])["epoch"]) == 3
        full_run(
            epochs=1, callbacks=[lambda event: received.append(signal.getsignal(signal.SIGTERM))]
        )
        # without checkpoints, the handler of SIGTERM is left alone
        assert received[-1] is signal.getsignal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    resumed = full_run(checkpoint=tmp_path, resume=True)
    assert_same_bits(everything(resumed), everything(whole))


def record_of(path: Path) -> dict[str, Any]:
    arrays, record, _ = checked_parts(path.read_bytes())
    return record | {"epoch": arrays["state.epoch"]}


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="only POSIX has kill -9")
def test_fifty_runs_killed_at_random_moments_resume(tmp_path):
    """At least ten processes of five runs each are killed while they start, train, or write."""
    expected = [killable.one_run(number) for number in range(killable.AT_ONCE)]
    rng = np.random.default_rng(0)
    environment = ENVIRONMENT | {"GLASSNET_CACHE": str(tmp_path / "programs")}
    killed, rounds, ends = 0, 0, []
    while killed < 50 or not ends:
        folder = tmp_path / f"round {rounds}"
        with subprocess.Popen(
            [*CHILD, "runs", str(folder)], env=environment, stdout=subprocess.PIPE, text=True
        ) as child:
            if killed >= 50 or (folder.exists() and not unfinished(folder)):
                ends.append(child.communicate()[0].split()[1:])
                rounds += 1
                continue
            assert child.stdout is not None
            if rng.random() < 0.9:
                assert child.stdout.readline() == "training\n"
                time.sleep(rng.uniform(0, 0.2))
            else:  # while it imports, compiles or reads
                time.sleep(rng.uniform(0, 1))
            child.kill()
        assert child.returncode == -signal.SIGKILL
        killed += len(unfinished(folder))
    assert ends == [expected] * rounds
    print(f"{killed} killed in {rounds} rounds")


def unfinished(folder: Path) -> list[Path]:
    """Return the runs that have not ended; their files must be intact and few."""
    runs = []
    for run in folder.glob("*"):
        written = files(run)
        assert len(written) <= 4 and len(list(run.iterdir())) <= 6
        if written and all(record_of(path) for path in written):
            newest = checked_parts(written[-1].read_bytes())[0]
            running = newest["state.status"] == 0 and newest["state.epoch"] < killable.EPOCHS
            runs += [run] if running else []
    return runs


@pytest.mark.skipif(os.name != "posix", reason="only POSIX has kill -9")
def test_a_process_killed_at_any_line_of_the_write_leaves_an_intact_checkpoint(tmp_path):
    """Kill it before each line of the three modules that write, and halfway through the bytes."""
    done = subprocess.run(
        [*CHILD, "write", str(tmp_path)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


def test_a_checkpoint_is_flushed_to_the_disk_before_and_after_its_renaming(tmp_path, monkeypatch):
    """Killing a process cannot show that bytes are flushed before the renaming and the folder after it."""
    seen: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(handle: int) -> None:
        seen.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file")
        fsync(handle)

    def noted_replace(*paths: Any) -> None:
        seen.append("name")
        replace(*paths)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    full_run(checkpoint=tmp_path, every=4)
    assert seen == ["file", "name", "folder"] * 4  # epochs 0, 4, 8 and 12


# --- failing disks --------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_full_disk_raises_and_keeps_the_earlier_checkpoints(code, whole, tmp_path, monkeypatch):
    real, calls = os.fsync, []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) > 6:  # three files and their folder
            raise OSError(code, os.strerror(code))
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=os.strerror(code)) as caught:
        full_run(checkpoint=tmp_path, every=2)
    monkeypatch.undo()
    assert "after epoch 6" in str(caught.value)
    assert [int(record_of(path)["epoch"]) for path in files(tmp_path)] == [2, 4] or len(
        files(tmp_path)
    ) == 3
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]
    resumed = full_run(checkpoint=tmp_path, every=2, resume=True)
    assert_same_bits(everything(resumed), everything(whole))
    carried = full_run(state=caught.value.state, history=caught.value.histories[0])
    assert_same_bits(everything(carried), everything(whole))


def test_a_folder_that_cannot_be_written_is_refused_before_training(tmp_path, monkeypatch):
    events: list[Any] = []
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(DataError, match="Cannot write checkpoints to"):
            full_run(checkpoint=folder, callbacks=[events.append])

    def denied(**options: Any) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("tempfile.mkstemp", denied)
    with pytest.raises(CheckpointError, match="Permission denied"):
        full_run(checkpoint=tmp_path / "new", callbacks=[events.append])
    assert events == []


# --- one run per folder ---------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="only POSIX has these locks")
def test_two_runs_cannot_write_to_one_folder(tmp_path):
    def second(event: Any) -> None:
        with pytest.raises(ConfigurationError, match="Another run is writing"):
            full_run(checkpoint=tmp_path, resume=True)

    full_run(epochs=1, checkpoint=tmp_path, callbacks=[second])
    full_run(epochs=1, checkpoint=tmp_path, resume=True)


DIFFERENCES: dict[str, tuple[dict[str, Any], str]] = {
    "seed": ({"seed": 1}, r"the start \(seed"),
    "batches": ({"batch_size": 8}, "the batch size: 16 there, 8 here"),
    "rate": ({"optimizer": gn.Averaged(gn.Adam(gn.Cosine(0.03)))}, "the optimizer: .*0.02.* there"),
    "penalty": ({"l2": 0.1}, "the penalty"),
    "patience": ({"early_stopping": gn.EarlyStopping(8)}, "early stopping: .*9.* there, .*8"),
    "metrics": ({"metrics": []}, "the metrics: accuracy there, none here"),
    "validation rows": ({"validation": (X[:9] + 1, Y[:9])}, "the validation rows"),
    "no validation rows": ({"validation": None}, "the validation rows: .* there, none here"),
    "dtype": ({"dtype": "float64"}, "dtype: float32 there, float64 here"),
    "weights": ({"sample_weight": np.arange(50) + 1}, "the training rows: 50 x 4 float32"),
    "loss": ({"loss": gn.CrossEntropy(0.1)}, "the loss"),
}


def test_a_checkpoint_of_another_run_is_refused_and_the_difference_named(tmp_path, monkeypatch):
    full_run(
        epochs=1, optimizer=gn.Averaged(gn.Adam(gn.Cosine(0.02, steps=48))), checkpoint=tmp_path
    )
    before = [path.read_bytes() for path in files(tmp_path)]
    same = {"epochs": 2, "checkpoint": tmp_path, "resume": True}
    for changes, reason in DIFFERENCES.values():
        optimizer = {"optimizer": gn.Averaged(gn.Adam(gn.Cosine(0.02, steps=48)))}
        with pytest.raises(ConfigurationError, match=f"differs in {reason}"):
            full_run(**(same | optimizer | changes))
    with pytest.raises(ConfigurationError, match=r"differs in the network: .*units=3.* there"):
        wider = gn.Network([gn.Dense(4), "relu", gn.Dense(3)])
        gn.train(wider, X, Y, **same)
    with pytest.raises(ConfigurationError, match="holds checkpoints of an earlier run"):
        full_run(checkpoint=tmp_path)
    monkeypatch.setattr(fingerprint, "version", lambda package: "0.0")
    with pytest.raises(ConfigurationError, match=r"differs in glassnet: .* there, 0.0 here"):
        full_run(**same)
    assert [path.read_bytes() for path in files(tmp_path)] == before


def test_invalid_checkpoint_arguments_are_refused():
    for wrong in (3, "", object()):
        with pytest.raises(ConfigurationError, match="must name a folder"):
            full_run(checkpoint=wrong)
    with pytest.raises(ConfigurationError, match="every is 0"):
        full_run(checkpoint="x", every=0)
    for options in ({"every": 2}, {"resume": True}):
        with pytest.raises(ConfigurationError, match="belong to a folder"):
            full_run(**options)
        with pytest.raises(ConfigurationError, match="has its own"):
            full_run(checkpoint=gn.Checkpoint("x"), **options)


# --- which files are kept -------------------------------------------------------------------------


def test_the_last_two_checkpoints_and_the_best_are_kept(tmp_path):
    run = full_run(epochs=9, optimizer=gn.Adam(0.5), checkpoint=tmp_path, every=1)
    kept = [int(record_of(path)["epoch"]) for path in files(tmp_path)]
    assert kept == sorted({8, 9, run.history.best_epoch}) and len(kept) == 3
    (tmp_path / "mine.txt").write_text("a file that belongs to someone else")
    left_over = tmp_path / ".1-00000077.checkpoint.abc"  # as a killed process may leave behind
    files(tmp_path)[0].rename(left_over)
    full_run(epochs=9, optimizer=gn.Adam(0.5), checkpoint=tmp_path, resume=True)
    assert sorted(os.listdir(tmp_path))[-2:] == ["lock", "mine.txt"]
    assert not left_over.exists()


def test_a_damaged_checkpoint_is_skipped(whole, tmp_path):
    full_run(checkpoint=tmp_path, every=4, callbacks=[stop_at(8)])
    newest = files(tmp_path)[-1]
    data = bytearray(newest.read_bytes())
    data[-5] ^= 1
    newest.write_bytes(data)
    with pytest.warns(TrainingWarning, match="damaged .*checksum.* of epoch 4"):
        resumed = full_run(checkpoint=tmp_path, resume=True)
    assert_same_bits(everything(resumed), everything(whole))
    for path in files(tmp_path):
        path.write_bytes(b"")
    with pytest.raises(ModelFormatError, match="holds no usable checkpoint"):
        full_run(checkpoint=tmp_path, resume=True)


# --- everything in a file is checked --------------------------------------------------------------


@pytest.fixture(scope="module")
def stored() -> tuple[bytes, Any]:
    """Return a small checkpoint's bytes, and a fresh snapshot of its form."""
    fresh = killable.snapshot(0)
    data = checkpoint_file.to_bytes(killable.snapshot(2), {"a": "b"}, 0.5, anchored=True)
    return data, fresh


def read(data: bytes, fresh: Any) -> Any:
    return checkpoint_file.from_bytes(data, fresh, {"a": "b"}, "here")


def test_any_flipped_bit_or_missing_byte_is_noticed(stored):
    data, fresh = stored
    snapshot, score = read(data, fresh)
    assert score == 0.5
    assert_same_bits(snapshot.state, jax.tree.map(np.asarray, killable.snapshot(2).state))
    rng = np.random.default_rng(0)
    for position in [*range(0, 3000, 7), *rng.integers(0, len(data), 200)]:
        broken = bytearray(data)
        broken[position] ^= 1 << rng.integers(8)
        with pytest.raises((ModelFormatError, ConfigurationError)):
            read(bytes(broken), fresh)
    for length in [*range(0, 3000, 7), *rng.integers(0, len(data), 50)]:
        with pytest.raises(ModelFormatError):
            read(data[:length], fresh)


def forged(data: bytes, arrays: dict[str, Any], fields: dict[str, Any]) -> bytes:
    """Return the file with changed arrays (None: removed) and fields (...: removed), and a valid checksum."""
    old, record, _ = checked_parts(data)
    record |= fields
    old |= arrays
    old = {name: array for name, array in old.items() if array is not None}
    record = {name: value for name, value in record.items() if value is not ...}
    record["digest"] = checkpoint_file._digest(record, old)
    return to_file(old, metadata={KEY: json.dumps(record)})


W = "state.params[0]['W']"
FORGERIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "missing array": ({W: None}, {}),
    "unexpected array": ({"x": np.ones(1)}, {}),
    "other shape": ({W: np.ones((2, 2), np.float32)}, {}),
    "other type": ({W: np.ones((40, 30), np.float64)}, {}),
    "infinite weights": ({W: np.full((40, 30), np.inf, np.float32)}, {}),
    "no anchor": ({"anchor.step": None}, {}),
    "uneven history": ({"history/0/loss": np.ones(5)}, {}),
    "reversed history": ({"history/0/epoch": np.array([2, 1])}, {}),
    "epochs of floats": ({"history/0/epoch": np.array([1.0, 2.0])}, {}),
    "two networks": ({}, {"rollbacks": [0, 0]}),
    "rollbacks below 0": ({}, {"rollbacks": [-1]}),
    "rollbacks of text": ({}, {"rollbacks": "0"}),
    "trouble that is not a record": ({}, {"troubles": [7]}),
    "half a trouble": ({}, {"troubles": [{"step": 1}]}),
    "score of text": ({}, {"score": "low"}),
    "identity of numbers": ({}, {"identity": {"a": 1}}),
    "an extra field": ({}, {"code": "import os"}),
    "a missing field": ({}, {"anchored": ...}),
    "anchored of numbers": ({}, {"anchored": 1}),
    "format of text": ({}, {"format": "1"}),
    "no format": ({}, {"format": ...}),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_checkpoint_is_refused(name, stored):
    data, fresh = stored
    with pytest.raises(ModelFormatError):
        read(forged(data, *FORGERIES[name]), fresh)


def test_another_format_or_another_run_is_not_reported_as_damage(stored):
    data, fresh = stored
    with pytest.raises(ConfigurationError, match="format 2, but this version"):
        read(forged(data, {}, {"format": 2}), fresh)
    with pytest.raises(ConfigurationError, match="differs in a: c there, b here"):
        read(forged(data, {}, {"identity": {"a": "c"}}), fresh)
    with pytest.raises(ModelFormatError):
        read(to_file({"x": np.ones(1)}, metadata={"glassnet": "{}"}), fresh)


def test_the_identity_of_a_run_contains_no_memory_address():
    def loss(logits: Any, target: Any) -> Any:
        return (logits[:, 0] - target) ** 2

    for value in (gn.CustomLoss(loss), optax.adam(0.1), object()):
        assert " at 0x" not in fingerprint._text(value)


# --- the command ----------------------------------------------------------------------------------


def test_the_command_resumes_after_sigterm(tmp_path):
    table = tmp_path / "d.csv"
    lines = [f"{a},{b},{'yes' if k else 'no'}" for (a, b), k in zip(X[:, :2], Y > 0, strict=True)]
    table.write_text("\n".join(["a,b,kind", *lines]))
    command = [
        "train",
        str(table),
        "-t",
        "kind",
        "--epochs",
        "40",
        "--hidden",
        "4",
        "--members",
        "2",
        "--patience",
        "40",
    ]

    def run(*more: object) -> Any:
        return CliRunner().invoke(cli.app, [*command, *map(str, more)])

    assert run("--out", tmp_path / "whole.glassnet").exit_code == 0
    folder, original = tmp_path / "c", checkpoints.Part.due

    def due(part: Any, snapshot: Any) -> bool:
        if int(np.max(snapshot.state.epoch)) == 12:
            signal.raise_signal(signal.SIGTERM)
        return original(part, snapshot)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(checkpoints.Part, "due", due)
        ended = run("--checkpoint", folder, "--every", 4, "--out", tmp_path / "m.glassnet")
    assert ended.exit_code == 143 and "continue with the same command and --resume" in ended.stderr
    assert not (tmp_path / "m.glassnet").exists()
    assert "earlier run" in run("--checkpoint", folder).stderr
    resumed = run("--checkpoint", folder, "--resume", "--out", tmp_path / "m.glassnet")
    assert resumed.exit_code == 0, resumed.stderr
    one, other = gn.load(tmp_path / "whole.glassnet"), gn.load(tmp_path / "m.glassnet")
    assert_same_bits(one.params, other.params)
    assert "--every and --resume need --checkpoint" in run("--resume").stderr
