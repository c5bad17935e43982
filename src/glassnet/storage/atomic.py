"""Writing a file whole: all of it is there or, if anything fails, what was there before."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from glassnet.errors import DataError


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole: beside its place first, then moved there, both forced to the disk.

    Where a symbolic link points is written, and the link stays. Raises `DataError` where nothing can be
    written, or where a device, a pipe or a folder stands, which a file would replace.
    """
    path = _regular(path)
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


def _regular(path: Path) -> Path:
    """Return the place of a regular file, there already or not yet."""
    try:
        real = Path(os.path.realpath(path))
        mode = real.stat().st_mode
    except FileNotFoundError:
        return real
    except (
        OSError,
        ValueError,
    ) as error:  # a circle of links, a NUL in the name, a file as a folder
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"Cannot write {path}: {reason}. Choose another name.") from None
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "a device, a pipe or a socket"
        raise DataError(f"Cannot write {path}: it is {what}, which a file would replace.")
    return real


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
