"""Describe layers, losses and initializers as JSON records, and read such records back.

A record is the name of a type and the fields of the object: `{"type": "Dropout", "rate": 0.1}`. The
names of types come from closed tables, so a record cannot name any other class or code.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, get_type_hints

import numpy as np

from glassnet.errors import ConfigurationError
from glassnet.nn.initializers import INITIALIZERS, Initializer
from glassnet.nn.layers import Layer
from glassnet.nn.losses import LOSSES, Loss
from glassnet.nn.network import LAYER_TYPES, Network
from glassnet.storage.fields import Fields, is_finite_number, is_integer, refuse_field
from glassnet.storage.tensorfile import refuse

MAX_DEPTH = 64  # of nested networks

LOSS_TYPES: dict[str, type[Loss]] = {type(loss).__name__: type(loss) for loss in LOSSES.values()}
INITIALIZER_TYPES: dict[str, type[Any]] = {type(i).__name__: type(i) for i in INITIALIZERS.values()}


def describe_layer(layer: Layer) -> dict[str, Any]:
    """Return a layer as strict JSON values; a network includes its layers.

    >>> from glassnet.nn.layers import Dense
    >>> describe_layer(Dense(4))
    {'type': 'Dense', 'units': 4, 'initializer': 'he', 'bias': True}
    """
    if isinstance(layer, Network):
        return {"type": "Network", "layers": [describe_layer(part) for part in layer]}
    return describe_object(layer, LAYER_TYPES, "layer")


def describe_object(value: Any, types: Mapping[str, type[Any]], role: str) -> dict[str, Any]:
    """Return the type name and the fields of a dataclass of one of the known types."""
    name = type(value).__name__
    if types.get(name) is not type(value):
        raise ConfigurationError(
            f"A {role} of your own ({name}) cannot go into a model file, which holds no code."
            " Keep the script that makes the network, or pickle the model for your own use."
        )
    fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    fields = {k: v.item() if isinstance(v, np.generic) else v for k, v in fields.items()}
    nested = {
        key: describe_object(field, INITIALIZER_TYPES, "initializer")
        for key, field in fields.items()
        if dataclasses.is_dataclass(field)
    }
    return {"type": name} | fields | nested


def layer_of(record: Any, depth: int) -> Layer:
    """Return the layer that a record describes, of a type in LAYER_TYPES."""
    if depth > MAX_DEPTH:
        refuse("networks nested too deeply")
    if isinstance(record, dict) and record.get("type") == "Network":
        parts = Fields.of(record, "network", ("type", "layers")).items("layers")
        return Network([layer_of(part, depth + 1) for part in parts])
    layer: Layer = object_of(record, LAYER_TYPES, "layer")
    return layer


class FieldType(NamedTuple):
    """How to read a field of a layer, loss or initializer: a description, a test, and a conversion."""

    description: str
    accepts: Callable[[Any], bool]
    convert: Callable[[Any], Any]


def object_of(record: Any, types: Mapping[str, type[Any]], role: str) -> Any:
    """Return the object that a record describes; its constructor checks the fields further."""
    if not isinstance(record, dict) or record.get("type") not in types:
        refuse(f"an unknown {role}")
    cls = types[record["type"]]
    field_types = _field_types(cls)
    Fields.of(record, role, ("type", *field_types))
    values = {}
    for name, field_type in field_types.items():
        if not field_type.accepts(record[name]):
            refuse_field(f"{role}.{name}", field_type.description, record[name])
        values[name] = field_type.convert(record[name])
    return cls(**values)


def _is_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(is_integer(size) and size > 0 for size in value)


def _initializer_of(value: Any) -> Any:
    """Return the name of an initializer as it is, or the initializer that a record describes."""
    return value if isinstance(value, str) else object_of(value, INITIALIZER_TYPES, "initializer")


# by the annotation of a field; a field of a new type needs a new row
FIELD_TYPES: dict[Any, FieldType] = {
    bool: FieldType("true or false", lambda value: isinstance(value, bool), bool),
    int: FieldType("a whole number", lambda v: is_integer(v) and is_finite_number(v), int),
    float: FieldType("a finite number", is_finite_number, float),
    tuple[int, ...]: FieldType("a list of positive whole numbers", _is_sizes, tuple),
    Initializer | str: FieldType(
        "the name or record of an initializer",
        lambda value: isinstance(value, str | dict),
        _initializer_of,
    ),
}


def _field_types(cls: type[Any]) -> dict[str, FieldType]:
    """Return the types of a dataclass's fields, cached by class."""
    if cls not in _FIELDS:
        hints = get_type_hints(cls)
        _FIELDS[cls] = {f.name: FIELD_TYPES[hints[f.name]] for f in dataclasses.fields(cls)}
    return _FIELDS[cls]


# Filled on import, because evaluating annotations compiles them, and reading a file compiles nothing.
_FIELDS: dict[type[Any], dict[str, FieldType]] = {}
for _types in (LAYER_TYPES, LOSS_TYPES, INITIALIZER_TYPES):
    for _cls in _types.values():
        if _cls is not Network:
            _field_types(_cls)
