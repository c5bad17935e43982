"""A checkpoint's file: a run's standing as the bytes of a safetensors file, and back.

Arrays beside one strict JSON record, as in a model file, with the SHA-256 of both. Reading believes nothing:
names, shapes and types are those of the run at hand, and a file that is damaged is a `ModelFormatError`.
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
from glassnet.training.snapshot import Standing
from glassnet.training.state import TrainState

FORMAT = 1
RECORD = ("format", "identity", "score", "troubles", "rollbacks", "anchored")  # and its digest
KEY = "glassnet-checkpoint"


def to_bytes(
    standing: Standing, identity: Mapping[str, str], score: float, *, anchored: bool
) -> bytes:
    """Return a standing as the bytes of a safetensors file, with or without its anchor."""
    from safetensors.numpy import save  # lazily: most runs write no checkpoint

    tensors = dict(_named("state", standing.state))
    if anchored:
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
        "anchored": anchored,
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
    arrays, record, score = checked_parts(data)
    check_identity(record["identity"], identity, where)
    n = len(fresh.histories)
    state = _filled("state", fresh.state, arrays)
    anchor = _filled("anchor", fresh.state, arrays) if record["anchored"] else state
    histories = tuple(_history(arrays, k) for k in range(n))
    if arrays:
        damaged("it holds more than a run's state")
    troubles = tuple(None if t is None else _trouble(t) for t in record["troubles"])
    rollbacks = tuple(record["rollbacks"])
    if len(troubles) != n or len(rollbacks) != n:
        damaged("it is of another number of networks")
    return Standing(state, histories, troubles, rollbacks, anchor), score


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
            f"{where} holds checkpoints of a run that differs in {what}: {shown[0]} there, {shown[1]} here."
            " Only the same run can go on: give what was given there, or another folder."
        )


def _arrays_and_record(data: bytes) -> tuple[dict[str, np.ndarray], Any]:
    """Return the arrays in a checkpoint's bytes and its record; raises `ModelFormatError`, or what it is."""
    from safetensors import SafetensorError  # lazily: most runs write no checkpoint
    from safetensors.numpy import load

    size = int.from_bytes(data[:8], "little")
    if len(data) < 10 or size > min(MAX_HEADER, len(data) - 8):
        damaged("it is cut short, or something else")
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
    ModelFormatError: it is damaged. ConfigurationError: it is of a later format.
    """
    try:
        arrays, record = _arrays_and_record(data)
        if is_integer(record["format"]) and record["format"] != FORMAT:
            raise ConfigurationError(
                f"The checkpoint is of format {record['format']}, but this version of glassnet reads format"
                f" {FORMAT}: go on with the version that wrote it, or start again in another folder."
            )
        if record["format"] != FORMAT:
            damaged("its format is no number")
        if record.pop("digest") != _digest(record, arrays):
            damaged("its checksum is another")
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
        damaged(f"{type(error).__name__}: {str(error)[:200]}")
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
            damaged(f"the array {path[:80]} is missing")
        found = arrays.pop(path)
        if found.shape != np.shape(wanted) or found.dtype != np.asarray(wanted).dtype:
            damaged(f"{path[:80]} is {found.dtype}{found.shape}")
        leaves.append(found)
    state: TrainState = jax.tree.unflatten(jax.tree.structure(template), leaves)
    if not all(
        np.isfinite(leaf).all() for leaf in jax.tree.leaves((state.params, state.layer_state))
    ):
        damaged("its parameters are infinite or undefined")
    return state


def _history(arrays: dict[str, np.ndarray], k: int) -> History:
    """Return network k's history, taken out of the file's arrays."""
    start = f"history/{k}/"
    columns = {
        name[len(start) :]: arrays.pop(name) for name in list(arrays) if name.startswith(start)
    }
    epoch = columns.get("epoch", np.empty(0, np.int64))
    if any(c.shape != epoch.shape or c.ndim != 1 for c in columns.values()):
        damaged("the columns of its history differ in length")
    if columns and (epoch.dtype.kind != "i" or (np.diff(epoch) < 1).any()):
        damaged("the epochs of its history are not in order")
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


def damaged(what: str) -> NoReturn:
    """Raise `ModelFormatError`: the file is not what it should be."""
    raise ModelFormatError(what)
