"""Find the files that a path or pattern names, and open them, unpacked if gzipped."""

from __future__ import annotations

import glob
import gzip
import os
import shutil
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, cast

from glassnet.errors import DataError, did_you_mean

_GZIP = b"\x1f\x8b"
_BROKEN_GZIP = (EOFError, gzip.BadGzipFile, zlib.error)


def find(source: str) -> list[Path]:
    """Return the folder, the file or the files (a pattern such as `data/*.csv`) that source names.

    A path that exists is not treated as a pattern. Raises `DataError` if nothing has this name, or if it
    is neither a folder nor a regular file.
    """
    if "://" in source:
        raise DataError(f"'{source}' is a web address: download the file and give its path.")
    try:
        path = Path(source).expanduser()
        if path.exists():
            return [_regular(path)]
        matches = sorted(glob.glob(str(path), recursive=True)) if glob.has_magic(str(path)) else []
        files = [_regular(Path(name)) for name in matches if not os.path.isdir(name)]
    except (ValueError, OSError, RuntimeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"'{source}' cannot be opened: {_reason(error)}.") from None
    if not files:
        raise DataError(_not_found(source, path))
    return files


def list_folder(folder: Path) -> list[Path]:
    """Return the entries of a folder, sorted by name, without hidden files."""
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"The folder '{folder}' cannot be read: {_reason(error)}.") from None


@contextmanager
def open_unpacked(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading; gzip is recognised by content and unpacked.

    Raises `DataError` if the file cannot be opened or, later, while it is being read.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == _GZIP
            raw.seek(0)
            if not packed:
                yield raw
                return
            with gzip.open(raw) as unpacked:
                yield cast(IO[bytes], unpacked)
    except _BROKEN_GZIP:
        raise DataError(
            f"'{path}' is a damaged or truncated gzip file, so part of its data is lost: "
            "copy or download it again."
        ) from None
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {_reason(error)}.") from None


@contextmanager
def unpacked_path(path: Path) -> Iterator[Path]:
    """Yield a path for readers that cannot unpack a file: this path, or that of a temporary copy."""
    with TemporaryDirectory(prefix="glassnet-") as folder:
        yield plain_copy(path, Path(folder)) if needs_copy(path) else path


def plain_copy(path: Path, folder: Path) -> Path:
    """Return an unpacked copy in `folder`, with a name that no reader mistakes for a pattern."""
    copy = folder / f"plain{len(list(folder.iterdir()))}"
    with open_unpacked(path) as packed, copy.open("wb") as file:
        shutil.copyfileobj(packed, file, 1 << 20)
    return copy


def needs_copy(path: Path) -> bool:
    """Return whether DuckDB would misread this path: a packed file, or a name like a pattern."""
    with path.open("rb") as file:
        return file.read(2) == _GZIP or glob.has_magic(str(path))


def _regular(path: Path) -> Path:
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise DataError(
            f"'{path}' is a device, a pipe or a socket, which may never end: save the data to a "
            "file first."
        )
    return path


def _not_found(source: str, path: Path) -> str:
    parent = path.parent
    if glob.has_magic(source):
        return f"No file matches the pattern '{source}': check it with ls."
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
