"""End the command with one sentence and an exit code for each known error, never with a traceback."""

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
def exit_on_error() -> Iterator[None]:
    """Print each known error as one sentence, and end the command with its exit code."""
    import warnings  # here, because `glassnet --help` does not need it

    from glassnet._cache import use_cache
    from glassnet.errors import TrainingWarning

    def show(message: Warning | str, *details: Any, **options: Any) -> None:
        warn(str(message))

    gc.set_threshold(100_000, 20, 20)  # a command is short, and imports leave little garbage
    try:
        with warnings.catch_warnings():
            # suspicions and notes tell the user what matters; warnings of other packages do not
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", TrainingWarning)
            warnings.showwarning = show
            use_cache()
            yield
            sys.stdout.flush()  # inside the block, which handles a closed pipe
    except GlassnetError as error:
        fail(str(error), next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind)))
    except MemoryError:
        fail(
            "There is not enough memory for these data. Use fewer rows (--query) or fewer columns (--drop).",
            3,
        )
    except KeyboardInterrupt:
        fail("Interrupted; nothing was written.", INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has ended, as `head` does early
        silence()
    except OSError as error:  # for example, the standard output goes to a full disk
        silence()
        fail(f"{error.strerror or error}.", 1)


@contextmanager
def resumable(folder: str | os.PathLike[str] | None) -> Iterator[None]:
    """Say how to continue when SIGTERM ends this process; training writes a checkpoint first."""

    def end(number: int, frame: object) -> NoReturn:
        warn(
            f"Ended by SIGTERM. The checkpoints are in {folder}: continue with the same command and --resume."
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
    """Discard the rest of the output, so that Python does not try to write it again when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(message: str, code: int) -> None:
    """Print an error and end with an exit code."""
    typer.echo(f"Error: {one_line(message)}", err=True)
    raise typer.Exit(code)
