"""Files: from what a person types to regular files, opened, unpacked and recognised by content."""

from __future__ import annotations

import glob
import gzip
import os
import re
import shutil
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal, cast

from glassnet.errors import DataError, did_you_mean

Format = Literal["text", "json", "parquet", "duckdb", "sqlite", "npz", "idx"]

# where in the file, which bytes, what it is; the first that fits counts
_MAGIC: tuple[tuple[int, bytes, Format], ...] = (
    (0, b"PAR1", "parquet"),
    (0, b"SQLite format 3\0", "sqlite"),
    (8, b"DUCK", "duckdb"),
    (0, b"PK\x03\x04", "npz"),
)
# what people try, and what to do instead
_REFUSED: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG", "one picture: give the folder that has one subfolder of pictures for each class"),
    (b"\xff\xd8\xff", "one picture: give the folder that has one subfolder of pictures a class"),
    (b"%PDF", "a PDF document: save its table as CSV"),
    (b"\x93NUMPY", "one NumPy array: save X and y together with numpy.savez(file, X=X, y=y)"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd: unpack it first"),
    (b"BZh", "packed with bzip2: unpack it first"),
    (b"\xfd7zXZ", "packed with xz: unpack it first"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook: save it as CSV"),
    (b"ARROW1", "an Arrow file: save it as Parquet"),
    (b"\x80\x04\x95", "a Python pickle, which can run code when it is read: save it as Parquet"),
    (b"\x80\x05\x95", "a Python pickle, which can run code when it is read: save it as Parquet"),
)
_BROKEN_GZIP = (EOFError, gzip.BadGzipFile, zlib.error)


def find(source: str) -> list[Path]:
    """Return the folder, the file or the files (a pattern such as `data/*.csv`) that source names.

    A path that exists is taken as it is, even if it looks like a pattern. Raises `DataError` if
    there is nothing, or something that is neither a folder nor a regular file.
    """
    if "://" in source:
        raise DataError(f"'{source}' is a web address: download the file and give its path.")
    try:
        path = Path(source).expanduser()
        if path.exists():
            return [_regular(path)]
        found = sorted(glob.glob(str(path), recursive=True)) if glob.has_magic(str(path)) else []
        files = [_regular(Path(name)) for name in found if not os.path.isdir(name)]
    except (ValueError, OSError, RuntimeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"'{source}' cannot be opened: {_reason(error)}.") from None
    if not files:
        raise DataError(_not_found(source, path))
    return files


def list_folder(folder: Path) -> list[Path]:
    """Return what is in a folder, sorted by name, less hidden files."""
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"The folder '{folder}' cannot be read: {_reason(error)}.") from None


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading, unpacking gzip by its content, with failures as `DataError`."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if not packed:
                yield raw
                return
            with gzip.open(raw) as unpacked:
                yield cast(IO[bytes], unpacked)
    except _BROKEN_GZIP:
        raise DataError(
            f"'{path}' is a damaged or shortened gzip file, so that its data are not complete: "
            "copy or download it again."
        ) from None
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {_reason(error)}.") from None


def format_of(path: Path) -> Format:
    """Return what a file is, by its content rather than its name.

    Raises `DataError` for an empty file and for formats that cannot be read.
    """
    with opened(path) as file:
        head = file.read(4096)
    if not head:
        raise DataError(f"'{path}' is empty: there is nothing to learn from.")
    for magic, what in _REFUSED:
        if head.startswith(magic):
            raise DataError(f"'{path}' is {what}.")
    for offset, magic, name in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return _unless_excel(path, head) if name == "npz" else name
    if len(head) >= 4 and head[:2] == b"\0\0" and head[2] in range(8, 15) and 1 <= head[3] <= 4:
        return "idx"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if path.name.lower().removesuffix(".gz").endswith((".json", ".jsonl", ".ndjson")):
        return "json"
    if start[:1] in (b"{", b"[") and start[1:].lstrip()[:1] in (b"{", b'"', b"}", b"]"):
        return "json"
    if re.search(rb"^@relation\b", head, re.IGNORECASE | re.MULTILINE):
        raise DataError(f"'{path}' is an ARFF file: save it as CSV.")
    return "text"


def plain_copy(path: Path, folder: Path) -> Path:
    """Return the path of a copy in `folder`, unpacked, whose name no reader takes for a pattern."""
    copy = folder / f"plain{len(list(folder.iterdir()))}"
    with opened(path) as packed, copy.open("wb") as file:
        shutil.copyfileobj(packed, file, 1 << 20)
    return copy


def needs_copy(path: Path) -> bool:
    """Return whether DuckDB would misunderstand this path: packed, or with a pattern's marks."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b" or glob.has_magic(str(path))


def _regular(path: Path) -> Path:
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise DataError(
            f"'{path}' is a device, a pipe or a socket, whose end cannot be known: save the data "
            "to a file first."
        )
    return path


def _unless_excel(path: Path, head: bytes) -> Format:
    if b"xl/" in head or b"[Content_Types].xml" in head:
        raise DataError(f"'{path}' is an Excel workbook: save the sheet as CSV.")
    if b".npy" not in head:
        raise DataError(f"'{path}' is a zip archive: unpack it first.")
    return "npz"


def _not_found(source: str, path: Path) -> str:
    parent = path.parent
    if glob.has_magic(source):
        return f"No file fits the pattern '{source}': check it with ls."
    if not parent.is_dir():
        return f"There is no file '{source}': the folder '{parent}' does not exist."
    try:
        names = sorted(entry.name for entry in parent.iterdir())
    except OSError:
        names = []
    return f"There is no file '{source}'.{did_you_mean(path.name, names)}"


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]
