"""Model files: one safetensors file, arrays beside one strict JSON record; no code, no pickle.

    tensors    "params/0/W", "state/1/mean", ...: the arrays of each layer by its place and name
    metadata   {"glassnet": JSON}: format, architecture, loss, preprocessing, classes or units, versions

Reading believes nothing: names come from closed tables, every field and every shape is checked against
the architecture before an array is made, and whatever is off is a `ModelFormatError` and no other
exception. Nothing in the file names code, another file, or a second format.
"""

from __future__ import annotations

import dataclasses
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
from glassnet.models.model import Model
from glassnet.nn.initializers import INITIALIZERS
from glassnet.nn.layers import Layer
from glassnet.nn.losses import LOSSES, Loss
from glassnet.nn.network import LAYER_TYPES, Network
from glassnet.nn.shapes import Shapes, shapes_of
from glassnet.storage.atomic import write_atomically
from glassnet.storage.fields import Fields, is_finite_number, is_integer
from glassnet.storage.tensorfile import (
    MOST_AXES,
    Entry,
    TensorFile,
    open_tensors,
    refuse,
    strict_json,
)

FORMAT = 1
DEEPEST = 64  # how deep networks may nest
MOST_LAYERS = 1000  # what predicts is compiled whole, and more would take minutes
LEAST = 1 << 20  # inputs that any file may ask for, however small it is

LOSS_TYPES: dict[str, type[Loss]] = {type(loss).__name__: type(loss) for loss in LOSSES.values()}
INITIALIZER_TYPES: dict[str, type[Any]] = {type(i).__name__: type(i) for i in INITIALIZERS.values()}
TARGET_TYPES: dict[str, Any] = {
    "classes": ClassEncoder,
    "labels": LabelsEncoder,
    "values": TargetScaler,
}


def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Write a model to one file: all of it or, if anything fails, nothing; an old file stays till then.

    Raises
    ------
    ConfigurationError: the network or its loss is of a class of your own, or `load` would refuse the file.
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
            f"This model cannot go into a file: {error}. Give its layers, loss and info plain, finite"
            " numbers and texts."
        ) from None
    unusable = [name for name, array in tensors.items() if not np.isfinite(array).all()]
    if unusable:
        raise ConfigurationError(
            f"This model cannot go into a file: {unusable[0]} holds infinite or undefined numbers, with which"
            " nothing can be predicted. Train it again with a smaller learning rate."
        )
    data = to_bytes(tensors, metadata={"glassnet": record})
    try:
        _believed(TensorFile.of(io.BytesIO(data), len(data)), arrays=False)
    except ModelFormatError as error:
        raise ConfigurationError(
            f"This model cannot go into a file, since none like it would be read again: {error}"
        ) from None
    return data


def load(path: str | os.PathLike[str]) -> Model:
    """Read a model from a file; nothing in the file is run, imported or believed unchecked.

    Raises
    ------
    DataError: there is no such file, or it cannot be read.
    ModelFormatError: the file is damaged, cut short, of a later format, or no model file.
    """
    try:
        with open_tensors(Path(path)) as tensors:
            return _believed(tensors)
    except ModelFormatError as error:
        raise ModelFormatError(f"{path}: {error}") from None


def _believed(tensors: TensorFile, *, arrays: bool = True) -> Model:
    """Return the model in a file, with whatever is off as `ModelFormatError`."""
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
        for place, branch in enumerate(tree):
            yield from _flatten(f"{name}/{place}", branch)
    else:
        yield name, np.asarray(tree)


def describe(model: Model) -> dict[str, Any]:
    """Return all of a model but its arrays as strict JSON values."""
    target = None
    if model.target_encoder is not None:
        (kind,) = (k for k, t in TARGET_TYPES.items() if type(model.target_encoder) is t)
        target = {"type": kind, "record": model.target_encoder.to_spec()}
    return {
        "format": FORMAT,
        "network": describe_layer(model.network),
        "loss": _describe_object(model.loss, LOSS_TYPES, "loss"),
        "in_shape": list(model.in_shape),
        "members": model.members,
        "temperature": model.temperature,
        "dtype": model.dtype,
        "encoder": None if model.encoder is None else model.encoder.to_spec(),
        "target": target,
        "info": model.info,
        "versions": {name: version(name) for name in ("glassnet", "jax", "numpy")},
    }


def describe_layer(layer: Layer) -> dict[str, Any]:
    """Return a layer as strict JSON values; a network with its layers inside.

    >>> from glassnet.nn.layers import Dense
    >>> describe_layer(Dense(4))
    {'type': 'Dense', 'units': 4, 'initializer': 'he', 'bias': True}
    """
    if isinstance(layer, Network):
        return {"type": "Network", "layers": [describe_layer(part) for part in layer]}
    return _describe_object(layer, LAYER_TYPES, "layer")


def _describe_object(thing: Any, types: Mapping[str, type[Any]], what: str) -> dict[str, Any]:
    """Return a dataclass of one of the known types as its type's name and its fields."""
    name = type(thing).__name__
    if types.get(name) is not type(thing):
        raise ConfigurationError(
            f"A {what} of your own ({name}) cannot go into a model file, which holds no code."
            " Keep the script that makes the network, or pickle the model for your own use."
        )
    fields = {f.name: getattr(thing, f.name) for f in dataclasses.fields(thing)}
    fields = {k: v.item() if isinstance(v, np.generic) else v for k, v in fields.items()}
    nested = {
        key: _describe_object(value, INITIALIZER_TYPES, "initializer")
        for key, value in fields.items()
        if dataclasses.is_dataclass(value)
    }
    return {"type": name} | fields | nested


NAMES = (
    "format", "network", "loss", "in_shape", "members", "temperature", "dtype", "encoder", "target", "info",
    "versions",
)  # fmt: skip


def _model_of(tensors: TensorFile, *, arrays: bool = True) -> Model:
    """Return the model in a file, each part checked; without its arrays only what they must be is checked."""
    if "glassnet" not in tensors.metadata:
        refuse("a safetensors file of something else")
    record = strict_json(tensors.metadata["glassnet"])
    _check_format(record)
    fields = Fields.of(record, "model", NAMES)
    in_shape = _in_shape(fields, tensors.size)
    network = _layer_of(record["network"], 0)
    if not isinstance(network, Network):
        fields.refuse("network", "a network")
    if _count(network) > MOST_LAYERS:
        refuse(f"{_count(network)} layers, where {MOST_LAYERS} are the most")
    dtype = fields.text("dtype", ("float32", "float64"))
    members = record["members"]
    if not is_integer(members) or not 0 < members <= tensors.size:
        fields.refuse("members", "the number of networks")
    temperature = record["temperature"]
    if not is_finite_number(temperature) or temperature <= 0:
        fields.refuse("temperature", "a positive number")
    shapes = shapes_of(network, in_shape)
    own = {name: entry for name, entry in tensors.entries.items() if name != "errors"}
    _check_entries(shapes, np.dtype(dtype), members, own)
    loss = _object_of(record["loss"], LOSS_TYPES, "loss")
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
        network, params, state, loss, in_shape, dtype, encoder, target, record["info"], members,
        float(temperature), _errors(tensors, math.prod(shapes.out)) if arrays else None,
    )  # fmt: skip


def _check_format(record: Any) -> None:
    if isinstance(record, dict) and "format" in record:
        seen = record["format"]
        if not is_integer(seen) or seen != FORMAT:
            refuse(
                f"format {str(seen)[:20]}, but this version of glassnet reads format {FORMAT}, a number"
            )


def _in_shape(fields: Fields, file_size: int) -> Shape:
    """Return the shape of a row, no larger than the file has numbers: each input has a weight."""
    sizes, most = fields.items("in_shape"), max(file_size // 4, LEAST)
    if not 0 < len(sizes) <= MOST_AXES or not all(is_integer(n) and 0 < n <= most for n in sizes):
        fields.refuse("in_shape", "a list of sizes")
    if math.prod(sizes) > most:
        fields.refuse("in_shape", f"at most {most} numbers")
    return tuple(sizes)


def _layer_of(record: Any, depth: int) -> Layer:
    """Return a layer of the closed table of layers."""
    if depth > DEEPEST:
        refuse("networks nested too deep")
    if isinstance(record, dict) and record.get("type") == "Network":
        parts = Fields.of(record, "network", ("type", "layers")).items("layers")
        return Network([_layer_of(part, depth + 1) for part in parts])
    layer: Layer = _object_of(record, LAYER_TYPES, "layer")
    return layer


def _count(network: Network) -> int:
    return sum(_count(layer) if isinstance(layer, Network) else 1 for layer in network)


def _object_of(record: Any, types: Mapping[str, type[Any]], what: str) -> Any:
    """Return an object of one of the known types, its fields checked by its own constructor."""
    if not isinstance(record, dict) or record.get("type") not in types:
        refuse(f"an unknown {what}")
    cls = types[record["type"]]
    expected = {f.name: f for f in dataclasses.fields(cls)}
    Fields.of(record, what, ("type", *expected))
    values = {name: record[name] for name in expected}
    for name, value in values.items():
        if str(expected[name].type) == "tuple[int, ...]":
            sizes = Fields(record, what).items(name)
            if not all(is_integer(size) and size > 0 for size in sizes):
                refuse(f"{what}.{name}")
            values[name] = tuple(sizes)
        elif isinstance(value, dict) and "Initializer" in str(expected[name].type):
            values[name] = _object_of(value, INITIALIZER_TYPES, "initializer")
        elif (
            not isinstance(value, str | int | float | bool)
            or isinstance(value, float | int)
            != (str(expected[name].type) in ("float", "int", "bool"))
            or (str(expected[name].type) == "bool") != isinstance(value, bool)
            or not (isinstance(value, str | bool) or is_finite_number(value))
        ):
            refuse(f"{what}.{name}")
        elif str(expected[name].type) == "float":
            values[name] = float(value)  # a whole number may be too large to compute with
    return cls(**values)


def _named(part: str, shapes: Any) -> Iterator[tuple[str, Shape]]:
    """Yield the arrays of a tree of shapes with their names, "params/0/W"."""
    if isinstance(shapes, dict):
        yield from ((f"{part}/{name}", shape) for name, shape in shapes.items())
    else:
        for place, branch in enumerate(shapes):
            yield from _named(f"{part}/{place}", branch)


def _check_entries(
    shapes: Shapes, dtype: np.dtype[Any], members: int, entries: Mapping[str, Entry]
) -> None:
    """Raise unless the file has exactly the arrays that the architecture asks for."""
    wanted = dict([*_named("params", shapes.params), *_named("state", shapes.state)])
    odd = sorted(set(wanted) ^ set(entries))
    if odd:
        refuse(f"the array {odd[0][:50]!r} is {'missing' if odd[0] in wanted else 'one too many'}")
    for name, one in wanted.items():
        found, shape = entries[name], (members, *one) if members > 1 else one
        if found.shape != shape or found.dtype != dtype:
            refuse(f"{name} is {found.dtype}{found.shape}, but should be {dtype}{shape}")


def _filled(part: str, shapes: Any, tensors: TensorFile) -> Any:
    """Return a tree of shapes with the file's arrays in their places."""
    if isinstance(shapes, dict):
        return {name: _array(f"{part}/{name}", tensors) for name in shapes}
    return tuple(_filled(f"{part}/{i}", branch, tensors) for i, branch in enumerate(shapes))


def _array(name: str, tensors: TensorFile) -> np.ndarray:
    """Return one array, its numbers in the range that they have in every model."""
    found = tensors.read(name)
    if not np.isfinite(found).all():
        refuse(f"{name} holds infinite or undefined numbers")
    if name.endswith("/variance") and (found < 0).any():
        refuse(f"{name} is negative")
    if name.endswith("/rate") and not ((found >= 0) & (found < 1)).all():
        refuse(f"{name} is no share")
    return found


def _errors(tensors: TensorFile, outputs: int) -> np.ndarray | None:
    """Return the errors on held-out rows, if there are any."""
    if "errors" not in tensors.entries:
        return None
    entry = tensors.entries["errors"]
    shape = entry.shape
    if len(shape) != 2 or shape[0] != outputs or not shape[1] or entry.dtype != np.float64:
        refuse(f"errors are {entry.dtype}{shape} for {outputs} outputs")
    errors = _array("errors", tensors)
    if (errors[:, 1:] < errors[:, :-1]).any():
        refuse("errors are not in order")
    return errors


def _target_of(record: Any, out_shape: tuple[int, ...], loss: Loss) -> Any:
    """Return the target's encoder, of the size of the network's output."""
    if record is None:
        return None
    fields = Fields.of(record, "target", ("type", "record"))
    target = TARGET_TYPES[fields.text("type", TARGET_TYPES)].from_spec(record["record"])
    if isinstance(target, ClassEncoder):
        size = 1 if loss.task == "labels" else len(target.labels)
        fits = len(target.labels) == 2 or loss.task != "labels"
    else:
        size, fits = (
            len(target.names),
            isinstance(target, TargetScaler) == (loss.task == "regression"),
        )
    if not fits or out_shape != (size,):
        fields.refuse("record", f"a target for outputs of shape {out_shape}")
    return target
