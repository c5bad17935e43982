"""Keep compiled programs on the disk, so that the next process need not compile them again.

The command always uses this cache. The library uses it after `gn.use_cache()`, or if the environment variable
GLASSNET_CACHE is "on" or names a folder; "off" turns off the command's cache too. JAX's own variable
JAX_COMPILATION_CACHE_DIR takes precedence. The files in the folder are run as code, so only its owner may
write to it.
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
MAX_BYTES = 500_000_000  # beyond this size, the oldest programs are removed until half is left


def use_cache(folder: str | os.PathLike[str] | None = None) -> Path | None:
    """Keep compiled programs in a folder for later processes, and return it; None if there is no cache.

    From now on JAX keeps everything that this process compiles there. The next process that trains a network
    of the same shape starts in half the time.

    folder: the default is the variable GLASSNET_CACHE, or "glassnet" in the user's cache folder.

    If the folder cannot be created, or others may write to it, a `DataWarning` is given instead.
    """
    choice = os.environ.get(VARIABLE, "") if folder is None else os.fspath(folder)
    if choice.lower() in OFF or (folder is None and os.environ.get("JAX_COMPILATION_CACHE_DIR")):
        return None
    base = user_cache() / "glassnet" if choice.lower() in ("", *ON) else Path(choice).expanduser()
    programs = base / f"programs-{_machine()}"
    problem = _prepare(base, programs)
    if problem:
        warnings.warn(
            f"Compiled programs are not kept: {problem} Set {VARIABLE} to a folder of your own, or to off.",
            DataWarning,
            stacklevel=2,
        )
        return None
    import jax  # lazily: `glassnet --help` compiles nothing

    def set_option(name: str, value: object) -> None:
        jax.config.update(name, value)  # type: ignore[no-untyped-call]  # JAX's own is untyped

    set_option("jax_compilation_cache_dir", str(programs))
    set_option("jax_persistent_cache_min_compile_time_secs", 0.0)
    set_option("jax_persistent_cache_min_entry_size_bytes", -1)
    return programs


def user_cache() -> Path:
    """Return the folder in which this system keeps a user's caches."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    folder = os.environ.get("XDG_CACHE_HOME", "")
    return Path(folder) if os.path.isabs(folder) else Path.home() / ".cache"


def _machine() -> str:
    """Return a name for this kind of processor, because different machines may share a home folder."""
    description = [platform.system(), platform.machine(), platform.processor()]
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        description += [line for line in file if line.startswith(("flags", "Features"))][:1]
    return hashlib.sha256("\n".join(description).encode()).hexdigest()[:8]


def _prepare(base: Path, programs: Path) -> str:
    """Create the folders, check and prune them; return what is wrong with them, or ""."""
    try:
        base.parent.mkdir(parents=True, exist_ok=True)
        for folder in (base, programs):
            folder.mkdir(mode=0o700, exist_ok=True)
            if os.name == "posix":
                status = folder.stat()
                if status.st_uid != os.getuid() or status.st_mode & 0o022:
                    return f"others may write to {folder}, and its files are run as code."
        if not os.access(programs, os.W_OK | os.X_OK):
            return f"this process may not write to {programs}."
        _prune(programs)
    except (OSError, RuntimeError) as error:  # RuntimeError: the user has no home folder
        return f"{getattr(error, 'strerror', None) or error} ({base})."
    return ""


def _prune(programs: Path) -> None:
    """Remove the oldest programs if they are too large; other processes may do so at the same time."""
    files = [entry for entry in os.scandir(programs) if entry.is_file(follow_symlinks=False)]
    sizes = {}
    for entry in files:
        with contextlib.suppress(FileNotFoundError):
            sizes[entry.path] = (entry.stat().st_mtime, entry.stat().st_size)
    total = sum(size for _, size in sizes.values())
    if total <= MAX_BYTES:
        return
    for path, (_, size) in sorted(sizes.items(), key=lambda item: item[1][0]):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        total -= size
        if total <= MAX_BYTES // 2:
            return


def use_cache_from_environment() -> None:
    """Use the cache if GLASSNET_CACHE turns it on."""
    if os.environ.get(VARIABLE, "").lower() not in ("", *OFF):
        use_cache()


@contextmanager
def collection_paused() -> Iterator[None]:
    """Pause garbage collection while modules are imported, then move their objects to the oldest generation.

    Imports leave no garbage, but the collector takes a fifth of the time that importing JAX and scikit-learn
    takes (measured).
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            if gc.get_freeze_count() == 0:  # objects that other code froze must stay frozen
                gc.freeze()
                gc.unfreeze()  # into the oldest generation, which is rarely collected
            gc.enable()
