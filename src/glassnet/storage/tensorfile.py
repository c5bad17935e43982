"""Read safetensors files that may be hostile: check the header first, then read arrays on demand.

    8 bytes      n, the length of the header
    n bytes      the header, JSON: {"name": {"dtype", "shape", "data_offsets"}, "__metadata__": {...}}
    the rest     the arrays, one after the other, without gaps

The reader of the safetensors package accepts repeated names, unknown fields and unknown types, and it
copies all arrays before their shapes can be checked. Therefore the header is read here: it must account
for every byte of the file, and an array is made only after its shape has been checked.

The size of a header is limited to 16 MiB and a million values before it is parsed, because a list of
lists takes about thirty times the memory of its text.
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

MAX_HEADER = 1 << 24  # bytes
MAX_ITEMS = 1_000_000  # values in one JSON document; each takes about 100 bytes of memory
MAX_JSON_DEPTH = 200  # nested lists and records; printing them takes one call per level
MAX_DIGITS = 400  # of a number: 1e308 written out has 309, and very long ones are slow to read
MAX_AXES = 8
DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}


@dataclass(frozen=True)
class Entry:
    """An array as the header describes it: type, shape, and the byte at which it begins."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int

    @property
    def size(self) -> int:
        """The size of the array in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class TensorFile:
    """The checked header of a tensor file, and the file to read its arrays from.

    size: bytes of the whole file. metadata: texts by name. entries: arrays by name.
    """

    file: BufferedIOBase
    size: int
    metadata: dict[str, str]
    entries: dict[str, Entry]

    @classmethod
    def of(cls, file: BufferedIOBase, size: int) -> TensorFile:
        """Read the header of a file of `size` bytes; raises `ModelFormatError`."""
        start = file.read(9)
        if len(start) < 9 or start[8:] != b"{":
            refuse("it does not start like one")
        length = int.from_bytes(start[:8], "little")
        if length > size - 8:
            refuse("it is cut short")
        if length > MAX_HEADER:
            refuse(f"a header of {length} bytes, but at most {MAX_HEADER} are allowed")
        header = strict_json(b"{" + file.read(length - 1))
        metadata = header.pop("__metadata__", {})
        valid = isinstance(metadata, dict) and all(isinstance(v, str) for v in metadata.values())
        if not valid:
            refuse("its metadata is not text")
        return cls(file, size, metadata, _entries(header, 8 + length, size))

    def read(self, name: str) -> np.ndarray:
        """Return a copy of one array; raises `ModelFormatError` if the file has become shorter."""
        entry = self.entries[name]
        array = np.empty(entry.shape, entry.dtype)
        self.file.seek(entry.begin)
        view = array.reshape(-1).view(np.uint8).data  # the bytes of `array`, filled by readinto
        while len(view):
            count = self.file.readinto(view)
            if not count:
                refuse("it became shorter while it was read")
            view = view[count:]
        return array.astype(entry.dtype.newbyteorder("="), copy=False)


@contextmanager
def open_tensors(path: Path) -> Iterator[TensorFile]:
    """Open a regular file as a tensor file.

    Raises
    ------
    DataError: the file does not exist, is a folder, a device or a pipe, or cannot be read.
    ModelFormatError: it is not a tensor file.
    """
    try:
        # O_NONBLOCK: opening a pipe would wait for its writer. The check is on the opened file, because
        # the name may refer to another file by then.
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
    seen = "is a folder or not a regular file" if path.exists() else "does not exist"
    return f"The model file {path} {seen}.{near}"


def _entries(header: dict[str, Any], start: int, size: int) -> dict[str, Entry]:
    """Return the arrays of a header, which must cover each byte from `start` to the end once."""
    entries, ends = {}, []
    for name, fields in header.items():
        if not isinstance(fields, dict) or set(fields) != {"dtype", "shape", "data_offsets"}:
            refuse(f"the array {name[:50]!r} lacks a field or has one too many")
        dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
        if not isinstance(dtype, str) or dtype not in DTYPES:
            refuse(f"the array {name[:50]!r} has type {str(dtype)[:20]!r}")
        if not _are_sizes(shape) or len(shape) > MAX_AXES:
            refuse(f"the array {name[:50]!r} has no usable shape")
        if not _are_sizes(offsets) or len(offsets) != 2:
            refuse(f"the array {name[:50]!r} has no usable offsets")
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
    """Parse a JSON document whose names are unique and whose numbers are finite.

    Raises
    ------
    ModelFormatError: it is not such a document, or has too many or too deeply nested values.
    """
    counts = (
        [text.count(mark) for mark in ",[{"]
        if isinstance(text, str)
        else [text.count(mark) for mark in (b",", b"[", b"{")]
    )
    if sum(counts) > MAX_ITEMS:
        refuse(f"more than {MAX_ITEMS} values in one record")
    try:
        document = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_integer,
        )
    except RecursionError:
        refuse("records nested too deeply")
    except ModelFormatError:
        raise
    except ValueError as error:  # not JSON, or not UTF-8
        refuse(f"not JSON: {str(error)[:100]}")
    _check_depth(document)
    return document


def _check_depth(document: Any) -> None:
    """Refuse deeply nested documents, without recursion."""
    level = [document]
    for _ in range(MAX_JSON_DEPTH):
        branches = [b for b in level if isinstance(b, dict | list) and b]
        if not branches:
            return
        level = [v for b in branches for v in (b.values() if isinstance(b, dict) else b)]
    refuse("records nested too deeply")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; a repeated name is refused, because readers differ in which value they keep."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        refuse("a name occurs twice")
    return fields


def _constant(text: str) -> NoReturn:
    refuse(f"{text} in the record")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        refuse(f"{text[:20]} in the record")
    return number


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        refuse(f"a number of {len(text)} digits")
    return int(text)


def refuse(fault: str) -> NoReturn:
    """Raise `ModelFormatError` with this fault, escaped where the file holds unprintable characters."""
    printable = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in fault)
    raise ModelFormatError(
        f"This is not a usable glassnet model file ({printable}). Use another copy of it, or train the"
        " model again."
    )
