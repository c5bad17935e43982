"""Write a file completely, or leave the old one as it was."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from glassnet.errors import DataError


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file to a temporary name in its folder, force it to the disk, and rename it.

    A symbolic link stays, and the file that it points to is written. Raises `DataError` if the file
    cannot be written, or if `path` is a device, a pipe or a folder.
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
            f"Cannot write {path}: {error.strerror}. The old file, if there was one, is untouched."
        ) from None
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _regular(path: Path) -> Path:
    """Return the path with links resolved; it names a regular file, or nothing yet."""
    try:
        real = Path(os.path.realpath(path))
        mode = real.stat().st_mode
    except FileNotFoundError:
        return real
    except (OSError, ValueError) as error:  # a loop of links, a NUL in the name, a file as folder
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"Cannot write {path}: {reason}. Choose another name.") from None
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a device, a pipe or a socket"
        raise DataError(f"Cannot write {path}: it is {kind}, not a file. Choose another name.")
    return real


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Force a folder's entries to the disk if the system can."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            # not every file system can do this for a folder; the file itself is already on the disk
            with contextlib.suppress(OSError):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
