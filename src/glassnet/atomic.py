"""Writing a file whole: all of it is there or, if anything fails, what was there before."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from glassnet.errors import DataError


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole: beside its place first, then moved there, both forced to the disk."""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:50]}.")
    except OSError as error:
        raise DataError(
            f"Cannot write {path}: {error.strerror}. Choose a folder that exists and that you may write to."
        ) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise DataError(
            f"Cannot write {path}: {error.strerror}. What was there before is untouched."
        ) from None
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Force a folder's entries to the disk, where the system can."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            with contextlib.suppress(
                OSError
            ):  # not every file system can; the file itself is there
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
