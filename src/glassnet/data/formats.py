"""Keep one table of how each input format is recognised and which function reads it.

To add a format, write a function from a `Request` to a `Dataset` and add a row to `FORMATS`. The
error messages and the help of the command list the formats from this table.

Readers are imported when they are first used, because `glassnet --help` shows this table and must
not wait for NumPy.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from glassnet.data.files import open_unpacked
from glassnet.errors import DataError

if TYPE_CHECKING:
    from glassnet.data.datasets import Dataset, Request


class Candidate(NamedTuple):
    """A file or folder whose format is to be found.

    head: the first bytes of a file, unpacked if it is gzipped; empty for a folder.
    """

    path: Path
    head: bytes


Test: TypeAlias = Callable[[Candidate], bool]


@dataclass(frozen=True)
class Format:
    """A format that can be read.

    name: its usual name.
    recognises: returns whether a file or folder has this format.
    read: returns the data set for a request.
    unites: whether several files (of a pattern) are read as one table.
    has_tables: whether the file holds tables, so that `table=` or `query=` may be given.
    """

    name: str
    recognises: Test
    read: Callable[[Request], Dataset]
    unites: bool = False
    has_tables: bool = False


def format_of(path: Path) -> Format:
    """Return the format of a file or folder, by its content rather than its name.

    Raises `DataError` for an empty file and for a format that cannot be read.
    """
    candidate = Candidate(path, b"")
    if not path.is_dir():
        with open_unpacked(path) as file:
            candidate = Candidate(path, file.read(4096))
        if not candidate.head:
            raise DataError(f"'{path}' is empty: there is nothing to learn from.")
    for recognises, advice in REFUSED:
        if recognises(candidate):
            raise DataError(f"'{path}' is {advice}.")
    for row in FORMATS:
        if row.recognises(candidate):
            return row
    raise DataError(
        f"'{path}' has no format that can be read. The formats are: {format_names()}. "
        f"To read all files of a folder, give a pattern, such as '{path}/*.csv'."
    )


def format_names() -> str:
    """Return the names of the formats as a list for messages, the most common first."""
    return ", ".join(row.name for row in reversed(FORMATS))


def names_of_databases() -> str:
    """Return the names of the formats that take `table=` and `query=`: "DuckDB or SQLite"."""
    return " or ".join(row.name for row in FORMATS if row.has_tables)


# ------------------------------------------------------------------------------------ recognition


def starts_with(magic: bytes, *, at: int = 0) -> Test:
    """Return a test for files that have these bytes at this position."""
    return lambda candidate: candidate.head[at : at + len(magic)] == magic


def _is_zip_with(*parts: bytes) -> Test:
    """Return a test for zip archives whose first entries show one of these names."""
    return lambda candidate: (
        candidate.head.startswith(b"PK\x03\x04") and any(part in candidate.head for part in parts)
    )


def _is_arff(candidate: Candidate) -> bool:
    return bool(re.search(rb"^@relation\b", candidate.head, re.IGNORECASE | re.MULTILINE))


def _is_json(candidate: Candidate) -> bool:
    name = candidate.path.name.lower().removesuffix(".gz")
    if candidate.head and name.endswith((".json", ".jsonl", ".ndjson")):
        return True
    start = candidate.head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return start[:1] in (b"{", b"[") and start[1:].lstrip()[:1] in (b"{", b'"', b"}", b"]")


def _is_duckdb(candidate: Candidate) -> bool:
    # the zeros of the version number distinguish it from text with "DUCK" in its first cells
    return candidate.head[8:12] == b"DUCK" and b"\0" in candidate.head[:20]


def _is_idx(candidate: Candidate) -> bool:
    from glassnet.data.idx import is_idx, is_idx_folder

    return is_idx(candidate.head) or (candidate.path.is_dir() and is_idx_folder(candidate.path))


def _is_picture_folder(candidate: Candidate) -> bool:
    from glassnet.data.pictures import is_picture_folder

    return candidate.path.is_dir() and is_picture_folder(candidate.path)


# ---------------------------------------------------------------------------------------- readers


def _read_text(request: Request) -> Dataset:
    from glassnet.data.delimited import NotTextError, read_delimited

    try:
        return request.dataset(*read_delimited(request.paths, request.header_names))
    except NotTextError as error:
        raise DataError(
            f"'{error}' is neither text nor another format that can be read. The formats are: "
            f"{format_names()}."
        ) from None


def _read_parquet(request: Request) -> Dataset:
    from glassnet.data.databases import read_columnar

    return request.dataset(*read_columnar(request.paths, "parquet"))


def _read_json(request: Request) -> Dataset:
    from glassnet.data.databases import read_columnar

    return request.dataset(*read_columnar(request.paths, "json"))


def _read_duckdb(request: Request) -> Dataset:
    from glassnet.data.databases import read_database

    return request.dataset(*read_database(request.path, "duckdb", request.table, request.query))


def _read_sqlite(request: Request) -> Dataset:
    from glassnet.data.databases import read_database

    return request.dataset(*read_database(request.path, "sqlite", request.table, request.query))


def _read_npz(request: Request) -> Dataset:
    from glassnet.data.arrays import read_npz

    return read_npz(request.path, request.target)


def _read_idx(request: Request) -> Dataset:
    from glassnet.data.idx import read_idx_files
    from glassnet.data.pictures import picture_dataset

    return picture_dataset(read_idx_files(request.path), request.path, request.target)


def _read_pictures(request: Request) -> Dataset:
    from glassnet.data.pictures import picture_dataset, read_picture_folder

    return picture_dataset(read_picture_folder(request.path), request.path, request.target)


# ----------------------------------------------------------------------------------------- tables

# The first row that fits is used. Text comes last, because any remaining file may be text.
FORMATS: tuple[Format, ...] = (
    Format("IDX (as MNIST)", _is_idx, _read_idx),
    Format("folder of pictures (one subfolder per class)", _is_picture_folder, _read_pictures),
    Format("NumPy .npz", _is_zip_with(b".npy"), _read_npz),
    Format("DuckDB", _is_duckdb, _read_duckdb, has_tables=True),
    Format("SQLite", starts_with(b"SQLite format 3\0"), _read_sqlite, has_tables=True),
    Format("JSON", _is_json, _read_json, unites=True),
    Format("Parquet", starts_with(b"PAR1\x15"), _read_parquet, unites=True),
    Format("CSV or TSV", lambda candidate: bool(candidate.head), _read_text, unites=True),
)

_ONE_PICTURE = "one picture: give the folder that has one subfolder of pictures per class"
_PICKLE = "a Python pickle, which can run code when it is read: save it as Parquet"

# Formats that cannot be read, and what to do instead. They are tested before FORMATS.
REFUSED: tuple[tuple[Test, str], ...] = (
    (starts_with(b"\x89PNG"), _ONE_PICTURE),
    (starts_with(b"\xff\xd8\xff"), _ONE_PICTURE),
    (starts_with(b"%PDF"), "a PDF document: save its table as CSV"),
    (
        starts_with(b"\x93NUMPY"),
        "one NumPy array: save X and y together with numpy.savez(file, X=X, y=y)",
    ),
    (starts_with(b"\x28\xb5\x2f\xfd"), "packed with zstd: unpack it first"),
    (starts_with(b"BZh"), "packed with bzip2: unpack it first"),
    (starts_with(b"\xfd7zXZ"), "packed with xz: unpack it first"),
    (starts_with(b"\xd0\xcf\x11\xe0"), "an old Excel workbook: save the sheet as CSV"),
    (starts_with(b"ARROW1"), "an Arrow file: save it as Parquet"),
    (starts_with(b"\x80\x04\x95"), _PICKLE),
    (starts_with(b"\x80\x05\x95"), _PICKLE),
    (_is_zip_with(b"xl/", b"[Content_Types].xml"), "an Excel workbook: save the sheet as CSV"),
    (
        lambda candidate: _is_zip_with(b"")(candidate) and b".npy" not in candidate.head,
        "a zip archive: unpack it first",
    ),
    (_is_arff, "an ARFF file: save it as CSV"),
)
