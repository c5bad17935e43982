"""Turn a snapshot of a run into the bytes of a safetensors file, and read it back.

Like a model file, it holds arrays and one strict JSON record, plus the SHA-256 of both. The reader checks
that names, shapes and types are those of the current run, and otherwise raises `ModelFormatError`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

import jax
import numpy as np

from glassnet.errors import ConfigurationError, ModelFormatError
from glassnet.storage.fields import Fields, is_finite_number, is_integer
from glassnet.storage.tensorfile import MAX_HEADER, strict_json
from glassnet.training.divergence import Trouble
from glassnet.training.history import History
from glassnet.training.snapshot import Snapshot
from glassnet.training.state import TrainState

FORMAT = 1
RECORD = ("format", "identity", "score", "troubles", "rollbacks", "anchored")  # besides the digest
KEY = "glassnet-checkpoint"


def to_bytes(
    snapshot: Snapshot, identity: Mapping[str, str], score: float, *, anchored: bool
) -> bytes:
    """Return a snapshot as the bytes of a safetensors file, with or without its anchor."""
    from safetensors.numpy import save  # lazily: most runs write no checkpoint

    tensors = dict(_named("state", snapshot.state))
    if anchored:
        tensors |= _named("anchor", snapshot.anchor)
    for k, history in enumerate(snapshot.histories):
        tensors |= {f"history/{k}/{name}": values for name, values in history.columns.items()}
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    record: dict[str, Any] = {
        "format": FORMAT,
        "identity": dict(identity),
        "score": score if math.isfinite(score) else None,
        "troubles": [None if t is None else _trouble_record(t) for t in snapshot.troubles],
        "rollbacks": list(snapshot.rollbacks),
        "anchored": anchored,
    }
    record["digest"] = _digest(record, arrays)
    return save(arrays, metadata={KEY: json.dumps(record, allow_nan=False)})


def from_bytes(
    data: bytes, fresh: Snapshot, identity: Mapping[str, str], folder: str
) -> tuple[Snapshot, float]:
    """Read a snapshot and its score from the bytes of a file, and check every part.

    fresh: the snapshot of this run at its start; the file must have the same names, shapes and types.

    Raises
    ------
    ModelFormatError: the file is damaged. ConfigurationError: it is intact, but from another run.
    """
    arrays, record, score = checked_parts(data)
    check_identity(record["identity"], identity, folder)
    n = len(fresh.histories)
    state = _filled("state", fresh.state, arrays)
    anchor = _filled("anchor", fresh.state, arrays) if record["anchored"] else state
    histories = tuple(_history(arrays, k) for k in range(n))
    if arrays:
        damaged("it holds arrays that do not belong to a run's state")
    troubles = tuple(None if t is None else _trouble(t) for t in record["troubles"])
    rollbacks = tuple(record["rollbacks"])
    if len(troubles) != n or len(rollbacks) != n:
        damaged("it holds another number of networks")
    return Snapshot(state, histories, troubles, rollbacks, anchor), score


def check_identity(theirs: Mapping[str, str], ours: Mapping[str, str], folder: str) -> None:
    """Raise unless two runs have the same data, recipe, network and versions."""
    for name in dict.fromkeys([*ours, *theirs]):
        old, new = theirs.get(name, "none"), ours.get(name, "none")
        if old == new:
            continue
        first = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), 0)
        shown = [
            ("..." if first > 60 else "") + text[max(0, first - 60) :][:160] for text in (old, new)
        ]
        raise ConfigurationError(
            f"{folder} holds checkpoints of a run that differs in {name}: {shown[0]} there, {shown[1]} here."
            " Only the same run can continue: use the same settings, or choose another folder."
        )


def _arrays_and_record(data: bytes) -> tuple[dict[str, np.ndarray], Any]:
    """Return the arrays and the record in a checkpoint's bytes; the caller translates other errors."""
    from safetensors import SafetensorError  # lazily: most runs write no checkpoint
    from safetensors.numpy import load

    size = int.from_bytes(data[:8], "little")
    if len(data) < 10 or size > min(MAX_HEADER, len(data) - 8):
        damaged("it is cut short, or not a checkpoint")
    header = strict_json(data[8 : 8 + size])
    record = strict_json(header["__metadata__"][KEY])
    try:
        return load(data), record
    except SafetensorError as error:
        damaged(str(error)[:200])


def checked_parts(data: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any], float]:
    """Return a checkpoint's arrays, its record with each field checked, and its score.

    Raises
    ------
    ModelFormatError: the file is damaged. ConfigurationError: it has another format.
    """
    try:
        arrays, record = _arrays_and_record(data)
        if is_integer(record["format"]) and record["format"] != FORMAT:
            raise ConfigurationError(
                f"The checkpoint has format {record['format']}, but this version of glassnet reads format"
                f" {FORMAT}: continue with the version that wrote it, or start again in another folder."
            )
        if record["format"] != FORMAT:
            damaged("its format is not a number")
        if record.pop("digest") != _digest(record, arrays):
            damaged("its checksum does not match")
        fields = Fields.of(record, "checkpoint", RECORD)
        identity, score = record["identity"], record["score"]
        if not isinstance(identity, dict) or not all(isinstance(v, str) for v in identity.values()):
            fields.refuse("identity", "a record of texts")
        if score is not None and not is_finite_number(score):
            fields.refuse("score", "a number or null")
        if not all(is_integer(count) and count >= 0 for count in fields.items("rollbacks")):
            fields.refuse("rollbacks", "a list of counts")
        fields.items("troubles")
        fields.flag("anchored")
    except (ValueError, TypeError, KeyError, OverflowError, MemoryError, RecursionError) as error:
        if isinstance(error, ModelFormatError | ConfigurationError):
            raise
        damaged(f"{type(error).__name__}: {str(error)[:200]}")
    return arrays, record, math.inf if score is None else float(score)


def _digest(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of a record and its arrays."""
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _named(name: str, tree: Any) -> dict[str, Any]:
    """Return the arrays of a tree by their paths, "state.params[0]['W']"."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {name + jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _filled(name: str, template: TrainState, arrays: dict[str, np.ndarray]) -> Any:
    """Return a tree like the template, with arrays removed from the file's and checked."""
    leaves = []
    for path, expected in _named(name, template).items():
        if path not in arrays:
            damaged(f"the array {path[:80]} is missing")
        array = arrays.pop(path)
        if array.shape != np.shape(expected) or array.dtype != np.asarray(expected).dtype:
            damaged(f"{path[:80]} is {array.dtype}{array.shape}")
        leaves.append(array)
    state: TrainState = jax.tree.unflatten(jax.tree.structure(template), leaves)
    if not all(
        np.isfinite(leaf).all() for leaf in jax.tree.leaves((state.params, state.layer_state))
    ):
        damaged("its parameters are infinite or undefined")
    return state


def _history(arrays: dict[str, np.ndarray], k: int) -> History:
    """Return network k's history, with columns removed from the file's arrays."""
    prefix = f"history/{k}/"
    columns = {
        name.removeprefix(prefix): arrays.pop(name)
        for name in list(arrays)
        if name.startswith(prefix)
    }
    epoch = columns.get("epoch", np.empty(0, np.int64))
    if any(c.shape != epoch.shape or c.ndim != 1 for c in columns.values()):
        damaged("the columns of its history differ in length")
    if columns and (epoch.dtype.kind != "i" or (np.diff(epoch) < 1).any()):
        damaged("the epochs of its history are not in order")
    return History(columns)


def _trouble_record(trouble: Trouble) -> dict[str, Any]:
    """Return a trouble as strict JSON values."""
    values = trouble._asdict().items()
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values}


def _trouble(record: Any) -> Trouble:
    """Return the trouble in a JSON record, with each field checked."""
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


def damaged(reason: str) -> NoReturn:
    """Raise `ModelFormatError` with the reason."""
    raise ModelFormatError(reason)
