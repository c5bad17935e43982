"""The cache of compiled programs: what one process has compiled, the next one takes from the disk.

The command uses it always; the library when asked: by `gn.use_cache()`, or by the environment variable
GLASSNET_CACHE ("on", or a folder; "off" turns the command's off too). JAX's own variable
JAX_COMPILATION_CACHE_DIR, where it is set, is left to rule. What lies in the folder is run as code, so it
belongs to the person alone.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import os
import platform
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glassnet.errors import DataWarning

VARIABLE = "GLASSNET_CACHE"
OFF = ("off", "0", "no", "false")
ON = ("on", "1", "yes", "true")
LARGEST = 500_000_000  # bytes; then the oldest half goes


def use_cache(folder: str | os.PathLike[str] | None = None) -> Path | None:
    """Keep compiled programs in a folder for later processes, and return it; None if there is no cache.

    The second process that trains a network of the same shape starts in half the time. JAX then keeps all
    that this process compiles there.

    folder: default the variable GLASSNET_CACHE, or "glassnet" in the user's cache folder.

    A folder that cannot be made, or that others may write to, is not used: a `DataWarning` says so.
    """
    asked = os.environ.get(VARIABLE, "") if folder is None else os.fspath(folder)
    if asked.lower() in OFF or (folder is None and os.environ.get("JAX_COMPILATION_CACHE_DIR")):
        return None
    base = user_cache() / "glassnet" if asked.lower() in ("", *ON) else Path(asked).expanduser()
    place = base / f"programs-{_machine()}"
    trouble = _prepare(base, place)
    if trouble:
        warnings.warn(
            f"Compiled programs are not kept: {trouble} Set {VARIABLE} to a folder of your own, or to off.",
            DataWarning,
            stacklevel=2,
        )
        return None
    import jax  # lazily: `glassnet --help` compiles nothing

    def set_option(name: str, value: object) -> None:
        jax.config.update(name, value)  # type: ignore[no-untyped-call]  # JAX's own is untyped

    set_option("jax_compilation_cache_dir", str(place))
    set_option("jax_persistent_cache_min_compile_time_secs", 0.0)
    set_option("jax_persistent_cache_min_entry_size_bytes", -1)
    return place


def user_cache() -> Path:
    """Return the folder where this system keeps a user's caches."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    given = os.environ.get("XDG_CACHE_HOME", "")
    return Path(given) if os.path.isabs(given) else Path.home() / ".cache"


def _machine() -> str:
    """Return a name for this kind of processor: a home may be shared by machines that differ."""
    told = [platform.system(), platform.machine(), platform.processor()]
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        told += [line for line in file if line.startswith(("flags", "Features"))][:1]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:8]


def _prepare(base: Path, place: Path) -> str:
    """Make the folder, check it, keep it small; return what is wrong with it, or ""."""
    try:
        base.parent.mkdir(parents=True, exist_ok=True)
        for folder in (base, place):
            folder.mkdir(mode=0o700, exist_ok=True)
            if os.name == "posix":
                found = folder.stat()
                if found.st_uid != os.getuid() or found.st_mode & 0o022:
                    return f"others may write to {folder}, and what lies there is run as code."
        if not os.access(place, os.W_OK | os.X_OK):
            return f"{place} may not be written to."
        _prune(place)
    except (OSError, RuntimeError) as error:  # RuntimeError: a person without a home
        return f"{getattr(error, 'strerror', None) or error} ({base})."
    return ""


def _prune(place: Path) -> None:
    """Remove the oldest programs once there are too many; other processes may do so at the same time."""
    files = [entry for entry in os.scandir(place) if entry.is_file(follow_symlinks=False)]
    sizes = {}
    for entry in files:
        with contextlib.suppress(FileNotFoundError):
            sizes[entry.path] = (entry.stat().st_mtime, entry.stat().st_size)
    total = sum(size for _, size in sizes.values())
    if total <= LARGEST:
        return
    for path, (_, size) in sorted(sizes.items(), key=lambda item: item[1][0]):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        total -= size
        if total <= LARGEST // 2:
            return


def use_cache_if_asked() -> None:
    """Use the cache if the environment asks for it."""
    if os.environ.get(VARIABLE, "").lower() not in ("", *OFF):
        use_cache()


@contextmanager
def collection_paused() -> Iterator[None]:
    """Collect no garbage while modules are imported, which makes none; what they made counts as old then.

    Measured: a fifth of the time of importing JAX and scikit-learn goes into looking for it.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            if gc.get_freeze_count() == 0:  # someone else's frozen objects stay frozen
                gc.freeze()
                gc.unfreeze()  # to the oldest generation, past the two that are looked through often
            gc.enable()
