"""Model files: one safetensors file, arrays beside one strict JSON record; no code, no pickle.

    tensors    "params/0/W", "state/1/mean", ...: the arrays of each layer by its place and name
    metadata   {"glassnet": JSON}: format, architecture, loss, preprocessing, classes or units, versions

Reading believes nothing: names come from closed tables, every field and every shape is checked against
the architecture before it is used, and whatever is off is a `ModelFormatError` and no other exception.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from glassnet import keys
from glassnet._types import precision
from glassnet.atomic import write_atomically
from glassnet.embeddings import Embedding, Periodic
from glassnet.errors import (
    ConfigurationError,
    DataError,
    GlassnetError,
    ModelFormatError,
    did_you_mean,
)
from glassnet.initializers import INITIALIZERS
from glassnet.layers import Dense, Layer
from glassnet.losses import LOSSES, Loss
from glassnet.model import Model
from glassnet.network import LAYER_TYPES, Network
from glassnet.preprocessing import TableEncoder
from glassnet.records import Fields, is_finite_number, is_integer
from glassnet.targets import ClassEncoder, LabelsEncoder, TargetScaler

FORMAT = 1
DEEPEST = 64  # how deep networks may nest, and JSON with them
LARGEST_HEADER = 100_000_000  # bytes; safetensors' own limit

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
    ConfigurationError: the network or its loss is of a class of your own.
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
    return to_bytes(tensors, metadata={"glassnet": record})


def load(path: str | os.PathLike[str]) -> Model:
    """Read a model from a file; nothing in the file is run, imported or believed unchecked.

    Raises
    ------
    DataError: there is no such file, or it cannot be read.
    ModelFormatError: the file is damaged, cut short, of a later format, or no model file.
    """
    data = _read(Path(path))
    try:
        return _model_of(data)
    except ModelFormatError as error:
        raise ModelFormatError(f"{path}: {error}") from None
    except (
        GlassnetError,
        ValueError,
        TypeError,
        KeyError,
        OverflowError,
        MemoryError,
        RecursionError,
    ) as error:
        what = f"{type(error).__name__}: {str(error)[:200]}"
        raise ModelFormatError(f"{path}: {_unusable(what)}") from None


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
    if model.target is not None:
        (kind,) = (k for k, t in TARGET_TYPES.items() if type(model.target) is t)
        target = {"type": kind, "record": model.target.to_spec()}
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


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            near = did_you_mean(path.name, os.listdir(path.parent)) if path.parent.is_dir() else ""
            seen = "is a folder or no regular file" if path.exists() else "does not exist"
            raise DataError(f"The model file {path} {seen}.{near}")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"Cannot read the model file {path}: {error.strerror}.") from None


def _damaged(what: str) -> NoReturn:
    raise ModelFormatError(_unusable(what))


def _unusable(what: str) -> str:
    return (
        f"This is no usable glassnet model file ({what}). Use another copy of it, or train the model"
        " again."
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; one with a name twice is refused, since readers differ in which they take."""
    if len({name for name, _ in pairs}) < len(pairs):
        _damaged("a name stands twice")
    return dict(pairs)


def _no_constant(text: str) -> NoReturn:
    _damaged(f"{text} in the record")


def _strict_json(text: str | bytes) -> Any:
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)


def _model_of(data: bytes) -> Model:
    """Return the model in the bytes of a file."""
    from safetensors import SafetensorError  # lazily: `glassnet --help` needs no files
    from safetensors.numpy import load as from_bytes

    if len(data) < 10 or data[8:9] != b"{":
        _damaged("it does not start like one")
    size = int.from_bytes(data[:8], "little")
    if size > min(LARGEST_HEADER, len(data) - 8):
        _damaged("it is cut short")
    header = _strict_json(data[8 : 8 + size])
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not isinstance(metadata.get("glassnet"), str):
        _damaged("a safetensors file of something else")
    try:
        tensors = from_bytes(data)
    except (SafetensorError, AttributeError) as error:
        _damaged(str(error)[:200])
    return _build(_strict_json(metadata["glassnet"]), tensors, len(data))


def _build(record: Any, tensors: dict[str, np.ndarray], file_size: int) -> Model:
    """Return the model of a record and its arrays, each checked."""
    if isinstance(record, dict) and record.get("format") != FORMAT:
        _damaged(
            f"format {str(record.get('format'))[:20]}, but this version of glassnet reads format {FORMAT}"
        )
    names = (
        "format",
        "network",
        "loss",
        "in_shape",
        "members",
        "temperature",
        "dtype",
        "encoder",
        "target",
        "info",
        "versions",
    )
    fields = Fields.of(record, "model", names)
    in_shape = fields.items("in_shape")
    sized = all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in in_shape)
    if not in_shape or not sized or math.prod(in_shape) > file_size:
        fields.refuse("in_shape", "a list of sizes")
    network = _layer_of(record["network"], file_size, 0)
    if not isinstance(network, Network):
        fields.refuse("network", "a network")
    dtype = fields.text("dtype", ("float32", "float64"))
    members = record["members"]
    if not isinstance(members, int) or isinstance(members, bool) or not 0 < members <= file_size:
        fields.refuse("members", "the number of networks")
    temperature = record["temperature"]
    if not is_finite_number(temperature) or temperature <= 0:
        fields.refuse("temperature", "a positive number")
    errors = tensors.pop("errors", None)
    params, state, out_shape = _arrays_of(network, tuple(in_shape), dtype, members, tensors)
    loss = _object_of(record["loss"], LOSS_TYPES, "loss")
    encoder = None if record["encoder"] is None else TableEncoder.from_spec(record["encoder"])
    if encoder is not None and (encoder.n_features,) != tuple(in_shape):
        _damaged(f"{encoder.n_features} features for a network of inputs {in_shape}")
    target = _target_of(record["target"], out_shape, loss)
    _check_errors(errors, out_shape)
    if not isinstance(record["info"], dict):
        fields.refuse("info", "a record")
    return Model(
        network,
        params,
        state,
        loss,
        tuple(in_shape),
        dtype,
        encoder,
        target,
        record["info"],
        members,
        float(temperature),
        errors,
    )


def _layer_of(record: Any, most: int, depth: int) -> Layer:
    """Return a layer of the closed table of layers; `most` bounds its sizes, before anything is made."""
    if depth > DEEPEST:
        _damaged("networks nested too deep")
    if isinstance(record, dict) and record.get("type") == "Network":
        parts = Fields.of(record, "network", ("type", "layers")).items("layers")
        return Network([_layer_of(part, most, depth + 1) for part in parts])
    layer: Layer = _object_of(record, LAYER_TYPES, "layer")
    for what, count in _sizes(layer):
        if count > most:
            _damaged(f"a layer of {count} {what} in so small a file")
    return layer


def _sizes(layer: Layer) -> Iterator[tuple[str, int]]:
    """Yield what the record of a layer says of its size; the file holds at least as many numbers."""
    if isinstance(layer, Dense):
        yield "units", layer.units
    if isinstance(layer, Embedding):
        yield "numbers", sum(layer.places) * layer.size
    if isinstance(layer, Periodic):
        yield "waves", layer.columns * layer.waves * layer.outputs


def _object_of(record: Any, types: Mapping[str, type[Any]], what: str) -> Any:
    """Return an object of one of the known types, its fields checked by its own constructor."""
    if not isinstance(record, dict) or record.get("type") not in types:
        _damaged(f"an unknown {what}")
    cls = types[record["type"]]
    expected = {f.name: f for f in dataclasses.fields(cls)}
    Fields.of(record, what, ("type", *expected))
    values = {name: record[name] for name in expected}
    for name, value in values.items():
        if str(expected[name].type) == "tuple[int, ...]":
            sizes = Fields(record, what).items(name)
            if not all(is_integer(size) and size > 0 for size in sizes):
                _damaged(f"{what}.{name}")
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
            _damaged(f"{what}.{name}")
    return cls(**values)


def _arrays_of(
    network: Network,
    in_shape: tuple[int, ...],
    dtype: str,
    members: int,
    tensors: dict[str, np.ndarray],
) -> tuple[Any, Any, tuple[int, ...]]:
    """Return the parameters and the layers' state, each array of the shape that the architecture asks for."""
    with precision(dtype):
        params, state, out_shape = network.blank().init(keys.key(0), in_shape)
    wanted = dict([*_flatten("params", params), *_flatten("state", state)])
    if set(wanted) != set(tensors):
        odd = sorted(set(wanted) ^ set(tensors))[0]
        _damaged(f"the array {odd[:50]!r} is {'missing' if odd in wanted else 'one too many'}")
    for name, array in wanted.items():
        found = tensors[name]
        shape = (members, *array.shape) if members > 1 else array.shape
        if found.shape != shape or found.dtype != np.dtype(dtype):
            _damaged(f"{name} is {found.dtype}{found.shape}, but should be {dtype}{shape}")
        if not np.isfinite(found).all():
            _damaged(f"{name} holds infinite or undefined numbers")
        if name.endswith("/variance") and (found < 0).any():
            _damaged(f"{name} is negative")
        if name.endswith("/rate") and not ((found >= 0) & (found < 1)).all():
            _damaged(f"{name} is no share")
    return _filled("params", params, tensors), _filled("state", state, tensors), out_shape


def _check_errors(errors: np.ndarray | None, out_shape: tuple[int, ...]) -> None:
    """Raise unless errors on held-out rows are what a model has of them."""
    if errors is None:
        return
    if errors.ndim != 2 or errors.dtype != np.float64 or errors.shape[:1] != out_shape:
        _damaged(f"errors are {errors.dtype}{errors.shape} for outputs of shape {out_shape}")
    if not errors.size or not np.isfinite(errors).all() or (np.diff(errors) < 0).any():
        _damaged("errors are none, infinite, undefined, or not in order")


def _filled(name: str, tree: Any, tensors: dict[str, np.ndarray]) -> Any:
    """Return a tree of the same form with the file's arrays in it."""
    if isinstance(tree, Mapping):
        return {key: _filled(f"{name}/{key}", branch, tensors) for key, branch in tree.items()}
    if isinstance(tree, tuple):
        return tuple(_filled(f"{name}/{i}", branch, tensors) for i, branch in enumerate(tree))
    return tensors[name]


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
