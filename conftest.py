"""Set up every test and every example in a docstring: no display, kept programs, closed figures."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "build" / "test-programs"
"""JAX keeps what it compiles here, for the other test processes and for the next run."""

MAX_PROGRAM_BYTES = 1_000_000_000

os.environ["MPLBACKEND"] = "Agg"
os.environ["GLASSNET_CACHE"] = "off"  # a test leaves nothing in a person's folders
os.environ["SCIPY_ARRAY_API"] = (
    "1"  # before SciPy is imported: otherwise scikit-learn skips a check
)
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(PROGRAMS))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


def pytest_configure(config: pytest.Config) -> None:
    """Start the cache anew when edits of the library have left too many programs in it."""
    if hasattr(config, "workerinput") or not PROGRAMS.exists():
        return  # a worker of xdist must not remove what the others write
    if sum(path.stat().st_size for path in PROGRAMS.iterdir()) > MAX_PROGRAM_BYTES:
        shutil.rmtree(PROGRAMS)


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    """Close the figures that a test has drawn: pyplot keeps them, and warns when there are many."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
