"""Define the options that several subcommands share, and check them before any work begins."""

# Modules that import JAX or scikit-learn are imported inside functions: `glassnet --help` must not wait.
from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from glassnet.data.formats import format_names
from glassnet.errors import ConfigurationError, DataError

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help=f"A file or folder: {format_names()}. Files may be gzipped, and a pattern such as"
        " 'data/*.csv' reads several. Or a sample: sample:digits.",
    ),
]
ModelFile = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A model file written by `glassnet train`.")
]
Query = Annotated[
    str | None, typer.Option(help="For a database file: the SELECT that gives the rows.")
]
TableName = Annotated[
    str | None, typer.Option("--table", help="For a database file: the table to read.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


TrueTarget = Annotated[
    str | None,
    typer.Option(
        "--target", "-t", help="The column of true values; default: the target of the training."
    ),
]


def check_writable(path: Path | None, source: str, *suffixes: str) -> None:
    """Raise before any work begins if the result could not be written, or would overwrite the input."""
    if path is None:
        return
    if path.is_dir():
        raise DataError(
            f"{path} is a folder: give the name of a file, such as {path}/result{suffixes[0]}."
        )
    if path.exists():
        check_replaceable(path, source)
    folder = path.parent
    if not folder.is_dir():
        raise DataError(
            f"The folder {folder} does not exist: make it first, or choose another one."
        )
    if not os.access(folder, os.W_OK):
        raise DataError(f"The folder {folder} is not writable: choose another one.")


def check_replaceable(path: Path, source: str) -> None:
    """Raise if an existing path is a device, or one of the input files."""
    from glassnet.data.files import find

    if not path.is_file():
        raise DataError(f"{path} is a device or a pipe, not a file: choose another file.")
    if not source.startswith("sample:") and any(path.samefile(read) for read in find(source)):
        raise DataError(
            f"{path} is the input: writing there would destroy it. Choose another file."
        )


def check_seed(seed: int) -> None:
    """Raise unless every random number generator accepts the seed."""
    if not 0 <= seed < 2**32:
        raise ConfigurationError(f"--seed is {seed}, but it must lie between 0 and {2**32 - 1}.")


def checked_task(task: str | None) -> Any:
    """Return the task that --task names; None if it was not given."""
    if task not in (None, "classification", "regression"):
        raise ConfigurationError(f"--task is '{task}': choose classification or regression.")
    return task


def estimator_parameters(
    hidden: str | None,
    optimizer: str | None,
    learning_rate: float | None,
    patience: int | None,
    **options: Any,
) -> dict[str, Any]:
    """Return the estimator's parameters that the user chose."""
    from glassnet.nn.optimizer_wrappers import as_optimizer
    from glassnet.training.loop import EarlyStopping

    chosen = {name: value for name, value in options.items() if value is not None}
    if hidden is not None:
        try:
            chosen["hidden"] = tuple(int(width) for width in hidden.split(","))
        except ValueError:
            raise ConfigurationError(
                f"--hidden is '{hidden}': give widths such as 128,64."
            ) from None
    if optimizer is not None or learning_rate is not None:
        rule = as_optimizer(optimizer or "adamw")
        chosen["optimizer"] = (
            rule if learning_rate is None else rule._replace(learning_rate=learning_rate)
        )
    if patience is not None:
        chosen["early_stopping"] = EarlyStopping(patience, calibrated=True)
    return chosen
