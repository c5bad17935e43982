"""Save and load a model as one safetensors file with its arrays and one strict JSON record.

    tensors    "params/0/W", "state/1/mean", ...: the arrays of each layer, by position and name
    metadata   {"glassnet": JSON}: format, architecture, loss, preprocessing, classes or units, versions

A file may come from anywhere, so `load` trusts nothing in it. The types of layers come from closed
tables, and every field and shape is checked against the architecture before an array is made. Nothing
in a file can name code, another file or a second format. Anything wrong raises `ModelFormatError` and
no other exception.
"""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from glassnet._types import Shape
from glassnet.encoding.table_encoder import TableEncoder
from glassnet.encoding.targets import ClassEncoder, LabelsEncoder, TargetScaler
from glassnet.errors import ConfigurationError, GlassnetError, ModelFormatError
from glassnet.models.layer_records import (
    LOSS_TYPES,
    describe_layer,
    describe_object,
    layer_of,
    object_of,
)
from glassnet.models.model import Model
from glassnet.nn.losses import Loss
from glassnet.nn.network import Network
from glassnet.nn.shapes import Shapes
from glassnet.storage.atomic import write_atomically
from glassnet.storage.fields import Fields, is_finite_number, is_integer
from glassnet.storage.tensorfile import (
    MAX_AXES,
    Entry,
    TensorFile,
    open_tensors,
    refuse,
    strict_json,
)

FORMAT = 1
MAX_LAYERS = 1000  # a prediction is one program, and more layers would take minutes to compile
MIN_INPUT_LIMIT = 1 << 20  # even a small file may have this many inputs

TARGET_TYPES: dict[str, Any] = {
    "classes": ClassEncoder,
    "labels": LabelsEncoder,
    "values": TargetScaler,
}


def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Write a model to one file. If anything fails, nothing is written and an old file stays.

    Raises
    ------
    ConfigurationError: a layer or the loss is of a class that glassnet does not know, or `load` would
        refuse the file.
    DataError: the folder does not exist or cannot be written.
    """
    write_atomically(Path(path), packed(model))


def packed(model: Model) -> bytes:
    """Return the bytes of a model's file; raises `ConfigurationError` as `save` does."""
    from safetensors.numpy import save as to_bytes  # lazily: `glassnet --help` needs no files

    tensors = {
        name: np.asarray(array, order="C")
        for part, tree in (("params", model.params), ("state", model.layer_state))
        for name, array in _flatten(part, tree)
    }
    if model.errors is not None:
        tensors["errors"] = np.asarray(model.errors, np.float64, order="C")
    try:
        record = json.dumps(describe(model), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"This model cannot go into a file: {error}. Its layers, loss and info may hold only finite"
            " numbers and text."
        ) from None
    unusable = [name for name, array in tensors.items() if not np.isfinite(array).all()]
    if unusable:
        raise ConfigurationError(
            f"This model cannot go into a file: {unusable[0]} holds infinite or undefined numbers, so"
            " its predictions are useless. Train it again with a smaller learning rate."
        )
    data = to_bytes(tensors, metadata={"glassnet": record})
    try:
        _checked_model(TensorFile.of(io.BytesIO(data), len(data)), arrays=False)
    except ModelFormatError as error:
        raise ConfigurationError(
            f"This model cannot go into a file, because `load` would refuse it: {error}"
        ) from None
    return data


def load(path: str | os.PathLike[str]) -> Model:
    """Read a model from a file. Nothing in the file is run or imported, and every field is checked.

    Raises
    ------
    DataError: there is no such file, or it cannot be read.
    ModelFormatError: the file is damaged, cut short, of a later format, or not a model file.
    """
    try:
        with open_tensors(Path(path)) as tensors:
            return _checked_model(tensors)
    except ModelFormatError as error:
        raise ModelFormatError(f"{path}: {error}") from None


def _checked_model(tensors: TensorFile, *, arrays: bool = True) -> Model:
    """Return the model in a file; anything wrong raises `ModelFormatError`."""
    try:
        return _model_of(tensors, arrays=arrays)
    except ModelFormatError:
        raise
    except (
        GlassnetError,
        ValueError,
        TypeError,
        KeyError,
        OverflowError,
        MemoryError,
        RecursionError,
    ) as error:
        refuse(f"{type(error).__name__}: {str(error)[:200]}")


def _flatten(name: str, tree: Any) -> Iterator[tuple[str, Any]]:
    """Yield the arrays of a tree with their names, "params/0/W"."""
    if isinstance(tree, Mapping):
        for key, branch in tree.items():
            yield from _flatten(f"{name}/{key}", branch)
    elif isinstance(tree, (tuple, list)):
        for index, branch in enumerate(tree):
            yield from _flatten(f"{name}/{index}", branch)
    else:
        yield name, np.asarray(tree)


def describe(model: Model) -> dict[str, Any]:
    """Return everything but a model's arrays as strict JSON values."""
    target = None
    if model.target_encoder is not None:
        (kind,) = (k for k, t in TARGET_TYPES.items() if type(model.target_encoder) is t)
        target = {"type": kind, "record": model.target_encoder.to_spec()}
    return {
        "format": FORMAT,
        "network": describe_layer(model.network),
        "loss": describe_object(model.loss, LOSS_TYPES, "loss"),
        "in_shape": list(model.in_shape),
        "members": model.members,
        "temperature": model.temperature,
        "dtype": model.dtype,
        "encoder": None if model.encoder is None else model.encoder.to_spec(),
        "target": target,
        "info": model.info,
        "versions": {name: version(name) for name in ("glassnet", "jax", "numpy")},
    }


NAMES = (
    "format", "network", "loss", "in_shape", "members", "temperature", "dtype", "encoder", "target", "info",
    "versions",
)  # fmt: skip


def _model_of(tensors: TensorFile, *, arrays: bool = True) -> Model:
    """Return the model in a file; without `arrays`, only check their names, types and shapes."""
    if "glassnet" not in tensors.metadata:
        refuse("a safetensors file, but not a glassnet model")
    record = strict_json(tensors.metadata["glassnet"])
    _check_format(record)
    fields = Fields.of(record, "model", NAMES)
    in_shape = _in_shape(fields, tensors.size)
    network = layer_of(record["network"], 0)
    if not isinstance(network, Network):
        fields.refuse("network", "a network")
    if _count(network) > MAX_LAYERS:
        refuse(f"{_count(network)} layers, but at most {MAX_LAYERS} are allowed")
    dtype = fields.text("dtype", ("float32", "float64"))
    members = record["members"]
    if not is_integer(members) or not 0 < members <= tensors.size:
        fields.refuse("members", "the number of networks")
    temperature = record["temperature"]
    if not is_finite_number(temperature) or temperature <= 0:
        fields.refuse("temperature", "a positive number")
    shapes = network.shapes(in_shape)
    entries = {name: entry for name, entry in tensors.entries.items() if name != "errors"}
    _check_entries(shapes, np.dtype(dtype), members, entries)
    loss = object_of(record["loss"], LOSS_TYPES, "loss")
    encoder = None if record["encoder"] is None else TableEncoder.from_spec(record["encoder"])
    if encoder is not None and (encoder.n_features,) != in_shape:
        refuse(f"{encoder.n_features} features for a network of inputs {in_shape}")
    target = _target_of(record["target"], shapes.out, loss)
    for name in ("info", "versions"):
        if not isinstance(record[name], dict):
            fields.refuse(name, "a record")
    params, state = (
        _filled(part, tree, tensors) if arrays else ()
        for part, tree in (("params", shapes.params), ("state", shapes.state))
    )
    return Model(
        network=network,
        params=params,
        layer_state=state,
        loss=loss,
        in_shape=in_shape,
        dtype=dtype,
        encoder=encoder,
        target_encoder=target,
        info=record["info"],
        members=members,
        temperature=float(temperature),
        errors=_errors(tensors, math.prod(shapes.out)) if arrays else None,
    )


def _check_format(record: Any) -> None:
    if isinstance(record, dict) and "format" in record:
        seen = record["format"]
        if not is_integer(seen) or seen != FORMAT:
            refuse(f"format {str(seen)[:20]}, but this version of glassnet reads format {FORMAT}")


def _in_shape(fields: Fields, file_size: int) -> Shape:
    """Return the shape of a row. Each input has a weight, so the file size limits the inputs."""
    sizes, limit = fields.items("in_shape"), max(file_size // 4, MIN_INPUT_LIMIT)
    if not 0 < len(sizes) <= MAX_AXES or not all(is_integer(n) and 0 < n <= limit for n in sizes):
        fields.refuse("in_shape", "a list of sizes")
    if math.prod(sizes) > limit:
        fields.refuse("in_shape", f"at most {limit} numbers")
    return tuple(sizes)


def _count(network: Network) -> int:
    return sum(_count(layer) if isinstance(layer, Network) else 1 for layer in network)


def _named(part: str, shapes: Any) -> Iterator[tuple[str, Shape]]:
    """Yield the arrays of a tree of shapes with their names, "params/0/W"."""
    if isinstance(shapes, dict):
        yield from ((f"{part}/{name}", shape) for name, shape in shapes.items())
    else:
        for index, branch in enumerate(shapes):
            yield from _named(f"{part}/{index}", branch)


def _check_entries(
    shapes: Shapes, dtype: np.dtype[Any], members: int, entries: Mapping[str, Entry]
) -> None:
    """Raise unless the file has exactly the arrays that the architecture needs."""
    wanted = dict([*_named("params", shapes.params), *_named("state", shapes.state)])
    unmatched = sorted(set(wanted) ^ set(entries))
    if unmatched:
        name = unmatched[0]
        refuse(f"the array {name[:50]!r} is {'missing' if name in wanted else 'unexpected'}")
    for name, member_shape in wanted.items():
        entry, shape = entries[name], (members, *member_shape) if members > 1 else member_shape
        if entry.shape != shape or entry.dtype != dtype:
            refuse(f"{name} is {entry.dtype}{entry.shape}, but should be {dtype}{shape}")


def _filled(part: str, shapes: Any, tensors: TensorFile) -> Any:
    """Return the file's arrays in the form of a tree of shapes."""
    if isinstance(shapes, dict):
        return {name: _array(f"{part}/{name}", tensors) for name in shapes}
    return tuple(_filled(f"{part}/{i}", branch, tensors) for i, branch in enumerate(shapes))


def _array(name: str, tensors: TensorFile) -> np.ndarray:
    """Read one array, and check that its numbers are possible in a model."""
    array = tensors.read(name)
    if not np.isfinite(array).all():
        refuse(f"{name} holds infinite or undefined numbers")
    if name.endswith("/variance") and (array < 0).any():
        refuse(f"{name} holds negative numbers")
    if name.endswith("/rate") and not ((array >= 0) & (array < 1)).all():
        refuse(f"{name} is not between 0 and 1")
    return array


def _errors(tensors: TensorFile, outputs: int) -> np.ndarray | None:
    """Return the errors on held-out rows; None if the file has none."""
    if "errors" not in tensors.entries:
        return None
    entry = tensors.entries["errors"]
    shape = entry.shape
    if len(shape) != 2 or shape[0] != outputs or not shape[1] or entry.dtype != np.float64:
        refuse(f"errors are {entry.dtype}{shape} for {outputs} outputs")
    errors = _array("errors", tensors)
    if (errors[:, 1:] < errors[:, :-1]).any():
        refuse("errors are not in ascending order")
    return errors


def _target_of(record: Any, out_shape: tuple[int, ...], loss: Loss) -> Any:
    """Return the target's encoder, and check that it fits the network's output and loss."""
    if record is None:
        return None
    fields = Fields.of(record, "target", ("type", "record"))
    target = TARGET_TYPES[fields.text("type", TARGET_TYPES)].from_spec(record["record"])
    if isinstance(target, ClassEncoder):
        size = 1 if loss.task == "labels" else len(target.labels)
        fits = len(target.labels) == 2 or loss.task != "labels"
    else:
        size = len(target.names)
        fits = isinstance(target, TargetScaler) == (loss.task == "regression")
    if not fits or out_shape != (size,):
        fields.refuse("record", f"a target for outputs of shape {out_shape}")
    return target
