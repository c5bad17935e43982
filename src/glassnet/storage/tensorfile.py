"""Tensor files: safetensors read without belief, the header first and arrays only when they are wanted.

    8 bytes      n, the length of the header
    n bytes      the header, JSON: {"name": {"dtype", "shape", "data_offsets"}, "__metadata__": {...}}
    the rest     the arrays, one after the other, without gaps

safetensors' own reader takes names that stand twice, unknown fields and unknown types, and it copies
all arrays before anything about them is known. So the header is read here: what it says must account
for every byte of the file, and no array is made before its shape is the one that was expected.

Sizes are bounded before JSON becomes objects, since a list of lists takes some thirty times the memory
of its text: a header has at most 16 MiB and a million items.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from glassnet.errors import DataError, ModelFormatError, did_you_mean
from glassnet.storage.fields import is_integer

LARGEST_HEADER = 1 << 24  # bytes
MOST_ITEMS = 1_000_000  # values in one JSON document, whose objects take some 100 bytes each
DEEPEST_JSON = 200  # lists and records in one another: what prints them calls itself once a level
LONGEST_NUMBER = 400  # digits; 1e308 written out has 309, and far more take time to read
MOST_AXES = 8
DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}


@dataclass(frozen=True)
class Entry:
    """What the header says of one array: its type, its shape and where it begins, in bytes."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int

    @property
    def size(self) -> int:
        """The bytes that it takes."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class TensorFile:
    """The checked header of a tensor file, and the file to read its arrays from.

    size: of the whole file in bytes. metadata: texts by name. entries: arrays by name.
    """

    file: BufferedIOBase
    size: int
    metadata: dict[str, str]
    entries: dict[str, Entry]

    @classmethod
    def of(cls, file: BufferedIOBase, size: int) -> TensorFile:
        """Read the header of a file of so many bytes; raises `ModelFormatError`."""
        start = file.read(9)
        if len(start) < 9 or start[8:] != b"{":
            refuse("it does not start like one")
        length = int.from_bytes(start[:8], "little")
        if length > size - 8:
            refuse("it is cut short")
        if length > LARGEST_HEADER:
            refuse(f"a header of {length} bytes, where {LARGEST_HEADER} are the most")
        header = strict_json(b"{" + file.read(length - 1))
        metadata = header.pop("__metadata__", {})
        texts = isinstance(metadata, dict) and all(isinstance(v, str) for v in metadata.values())
        if not texts:
            refuse("its metadata are no texts")
        return cls(file, size, metadata, _entries(header, 8 + length, size))

    def read(self, name: str) -> np.ndarray:
        """Return one array, in memory of its own; raises `ModelFormatError` if the file has shrunk."""
        entry = self.entries[name]
        array = np.empty(entry.shape, entry.dtype)
        self.file.seek(entry.begin)
        view = array.reshape(-1).view(np.uint8).data  # its bytes, to be filled in place
        while len(view):
            count = self.file.readinto(view)
            if not count:
                refuse("it became shorter while it was read")
            view = view[count:]
        return array.astype(entry.dtype.newbyteorder("="), copy=False)


@contextmanager
def open_tensors(path: Path) -> Iterator[TensorFile]:
    """Open a regular file, and nothing that could block or never end; raises as `TensorFile.of` does.

    Raises
    ------
    DataError: there is no such file, it is a folder, a device or a pipe, or it cannot be read.
    """
    try:
        # a pipe would wait for its writer; what is opened, and not what the name stood for, is looked at
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", getattr(os, "O_BINARY", 0)))
        with os.fdopen(handle, "rb", closefd=True) as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise DataError(_not_a_file(path))
            yield TensorFile.of(file, status.st_size)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise DataError(_not_a_file(path)) from None
    except OSError as error:
        raise DataError(f"Cannot read the model file {path}: {error.strerror}.") from None
    except ValueError as error:  # a NUL in the name
        if isinstance(error, (DataError, ModelFormatError)):
            raise
        raise DataError(f"Cannot read the model file {str(path)!r}: {error}.") from None


def _not_a_file(path: Path) -> str:
    near = did_you_mean(path.name, os.listdir(path.parent)) if path.parent.is_dir() else ""
    seen = "is a folder or no regular file" if path.exists() else "does not exist"
    return f"The model file {path} {seen}.{near}"


def _entries(header: dict[str, Any], start: int, size: int) -> dict[str, Entry]:
    """Return the arrays of a header, which must fill the file from `start` on, each byte once."""
    entries, ends = {}, []
    for name, fields in header.items():
        if not isinstance(fields, dict) or set(fields) != {"dtype", "shape", "data_offsets"}:
            refuse(f"the array {name[:50]!r} lacks a field or has one too many")
        dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
        if not isinstance(dtype, str) or dtype not in DTYPES:
            refuse(f"the array {name[:50]!r} is of type {str(dtype)[:20]!r}")
        if not _are_sizes(shape) or len(shape) > MOST_AXES:
            refuse(f"the array {name[:50]!r} has no usable shape")
        if not _are_sizes(offsets) or len(offsets) != 2:
            refuse(f"the array {name[:50]!r} has no usable place")
        entry = Entry(DTYPES[dtype], tuple(shape), start + offsets[0])
        if offsets[1] - offsets[0] != entry.size:
            refuse(f"the array {name[:50]!r} has {entry.size} bytes at {offsets}")
        entries[name] = entry
        ends.append((entry.begin, start + offsets[1]))
    for begin, end in sorted(ends):
        if begin != start:
            refuse("its arrays overlap or leave gaps")
        start = end
    if start != size:
        refuse("it is cut short, or longer than its arrays")
    return entries


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(is_integer(n) and 0 <= n < 2**63 for n in value)


def strict_json(text: str | bytes) -> Any:
    """Return a JSON document whose names are unique and whose numbers are finite.

    Raises
    ------
    ModelFormatError: anything else, a document of too many or too deeply nested values.
    """
    counts = (
        [text.count(mark) for mark in ",[{"]
        if isinstance(text, str)
        else [text.count(mark) for mark in (b",", b"[", b"{")]
    )
    if sum(counts) > MOST_ITEMS:
        refuse(f"more than {MOST_ITEMS} values in one record")
    try:
        document = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_integer,
        )
    except RecursionError:
        refuse("records nested too deep")
    except ModelFormatError:
        raise
    except ValueError as error:  # no JSON, or no UTF-8
        refuse(f"no JSON: {str(error)[:100]}")
    _check_depth(document)
    return document


def _check_depth(document: Any) -> None:
    """Refuse deep documents, without calling itself."""
    level = [document]
    for _ in range(DEEPEST_JSON):
        branches = [b for b in level if isinstance(b, dict | list) and b]
        if not branches:
            return
        level = [v for b in branches for v in (b.values() if isinstance(b, dict) else b)]
    refuse("records nested too deep")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; one with a name twice is refused, since readers differ in which they take."""
    found = dict(pairs)
    if len(found) < len(pairs):
        refuse("a name stands twice")
    return found


def _constant(text: str) -> NoReturn:
    refuse(f"{text} in the record")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        refuse(f"{text[:20]} in the record")
    return number


def _integer(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        refuse(f"a number of {len(text)} digits")
    return int(text)


def refuse(what: str) -> NoReturn:
    """Raise `ModelFormatError`, what was seen printable whatever the file holds."""
    seen = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in what)
    raise ModelFormatError(
        f"This is no usable glassnet model file ({seen}). Use another copy of it, or train the model"
        " again."
    )
