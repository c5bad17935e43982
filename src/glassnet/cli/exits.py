"""How the command ends: each known error as one sentence and its exit code, never a traceback."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer

from glassnet.cli.console import one_line, warn
from glassnet.errors import (
    ConfigurationError,
    DataError,
    DivergenceError,
    GlassnetError,
    ModelFormatError,
)

DIVERGED = 5
EXIT_CODES = {ModelFormatError: 4, DivergenceError: DIVERGED, DataError: 3, ConfigurationError: 2}
INTERRUPTED, TERMINATED = 130, 143


@contextmanager
def told() -> Iterator[None]:
    """Turn each known error into one sentence and its exit code."""
    import warnings  # lazily, as all that `glassnet --help` does not need

    from glassnet._cache import use_cache
    from glassnet.errors import TrainingWarning

    def show(message: Warning | str, *where: Any, **more: Any) -> None:
        warn(str(message))

    gc.set_threshold(100_000, 20, 20)  # a command is over soon, and importing makes no garbage
    try:
        with warnings.catch_warnings():
            # what a person should know is said by suspicions and notes
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", TrainingWarning)
            warnings.showwarning = show
            use_cache()
            yield
            sys.stdout.flush()  # here, where a reader that has gone is no surprise
    except GlassnetError as error:
        fail(str(error), next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind)))
    except MemoryError:
        fail(
            "There is not enough memory for these data. Use fewer rows (a --query) or --drop columns.",
            3,
        )
    except KeyboardInterrupt:
        fail("Interrupted; nothing was written.", INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        silence()
    except OSError as error:  # a full disk behind the standard output, for example
        silence()
        fail(f"{error.strerror or error}.", 1)


@contextmanager
def resumable(folder: str | os.PathLike[str] | None) -> Iterator[None]:
    """Say, when the system tells this process to end (SIGTERM), how to go on; training saves itself first."""

    def end(number: int, frame: object) -> NoReturn:
        warn(
            f"Told to end. The checkpoints are in {folder}: go on with the same command and --resume."
        )
        raise typer.Exit(TERMINATED)

    if folder is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def silence() -> None:
    """Send what is left of the output nowhere, so that Python's end does not try it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(message: str, code: int) -> None:
    """Say what is wrong and end with a code."""
    typer.echo(f"Error: {one_line(message)}", err=True)
    raise typer.Exit(code)
