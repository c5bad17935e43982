"""`glassnet train`: train a network on a file, test it, and write its model file and report."""

# Modules that import JAX or scikit-learn are imported inside the commands: `glassnet --help` must not wait.
from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from glassnet.cli.console import print_json, print_result, result_json, say, warn
from glassnet.cli.exits import DIVERGED, INTERRUPTED, exit_on_error, resumable
from glassnet.cli.options import (
    AsJson,
    Data,
    Query,
    TableName,
    check_seed,
    check_writable,
    checked_task,
    estimator_parameters,
)
from glassnet.errors import ConfigurationError

if TYPE_CHECKING:
    from glassnet.cli.experiment import Experiment


def train(
    data: Data,
    target: Annotated[
        Optional[str],
        typer.Option("--target", "-t", help="The column to predict; several separated by commas."),
    ] = None,
    out: Annotated[
        Optional[Path], typer.Option("--out", "-o", help="Write the model here.")
    ] = None,
    report: Annotated[
        Optional[Path], typer.Option(help="Write a report here, one HTML file.")
    ] = None,
    as_json: AsJson = False,
    task: Annotated[
        Optional[str],
        typer.Option(help="classification or regression; default: recognised from the target."),
    ] = None,
    drop: Annotated[
        Optional[list[str]], typer.Option(help="Leave this column out. May be repeated.")
    ] = None,
    query: Query = None,
    table: TableName = None,
    test: Annotated[float, typer.Option(help="Share of the rows to test on.")] = 0.2,
    seed: Annotated[
        int, typer.Option(help="Seed of the split, the initial weights and the order of the rows.")
    ] = 0,
    hidden: Annotated[
        Optional[str], typer.Option(help="Widths of the hidden layers: 128,64.")
    ] = None,
    activation: Annotated[Optional[str], typer.Option(help="relu, tanh, silu, ...")] = None,
    dropout: Annotated[Optional[float], typer.Option(help="Share of neurons to drop.")] = None,
    batch_norm: Annotated[
        bool, typer.Option("--batch-norm", help="Use batch normalization.")
    ] = False,
    optimizer: Annotated[
        Optional[str], typer.Option(help="sgd, momentum, nesterov, rmsprop, adam, adamw.")
    ] = None,
    learning_rate: Annotated[
        Optional[float], typer.Option(help="Learning rate of the optimizer.")
    ] = None,
    batch_size: Annotated[Optional[int], typer.Option(help="Rows per step.")] = None,
    epochs: Annotated[
        Optional[int], typer.Option(help="Maximum number of passes over the rows.")
    ] = None,
    l2: Annotated[Optional[float], typer.Option(help="Strength of the L2 penalty.")] = None,
    patience: Annotated[
        Optional[int], typer.Option(help="Epochs without improvement before stopping.")
    ] = None,
    members: Annotated[
        Optional[int],
        typer.Option(help="Number of networks to train; their predictions are averaged."),
    ] = None,
    max_seconds: Annotated[
        Optional[float],
        typer.Option(help="Stop training after this many seconds and keep the best model."),
    ] = None,
    class_weight: Annotated[
        Optional[str], typer.Option(help="balanced: rare classes count as much as frequent ones.")
    ] = None,
    checkpoint: Annotated[
        Optional[Path], typer.Option(help="Write checkpoints into this folder, to resume from.")
    ] = None,
    every: Annotated[
        Optional[int],
        typer.Option(help="Epochs between checkpoints; default: one about every half minute."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the last checkpoint, if there is one.")
    ] = False,
    on_divergence: Annotated[
        Optional[str],
        typer.Option(help="raise (the default), stop (keep the last good model) or rollback."),
    ] = None,
) -> None:
    """Train a network on DATA, test it, and save it.

    Simple models are tested on the same rows for comparison.
    """
    with exit_on_error(), resumable(checkpoint):
        check_writable(out, data, ".glassnet")
        check_writable(report, data, ".html")
        if out is not None and report is not None and out.resolve() == report.resolve():
            raise ConfigurationError(f"--out and --report both name {out}: give each its own file.")
        check_seed(seed)
        from glassnet.cli.experiment import Choices, prepare, run_experiment, without_columns
        from glassnet.data.read import read
        from glassnet.training.progress import ProgressBar

        dataset = read(data, target=target, query=query, table=table)
        dataset = without_columns(dataset, drop or [])
        parameters = estimator_parameters(
            hidden, optimizer, learning_rate, patience,
            activation=activation, dropout=dropout, batch_norm=batch_norm or None, batch_size=batch_size,
            epochs=epochs, l2=l2, members=members, max_seconds=max_seconds, class_weight=class_weight,
            checkpoint=checkpoints_in(checkpoint, every, resume), on_divergence=on_divergence,
        )  # fmt: skip
        choices = Choices(checked_task(task), test, seed, parameters)
        for note in dataset.notes:
            say(note)
        prepared = prepare(dataset, choices)
        for suspicion in prepared.suspicions:
            warn(suspicion.message)
        result = run_experiment(prepared, choices, [ProgressBar()])
        if out is not None:
            from glassnet.models.model_file import save

            save(result.model, out)
        if report is not None:
            write_report(report, result, dataset.notes, out)
        print_json(result_json(result)) if as_json else print_result(result)
        for path in (out, report):
            if path is not None:
                say(f"Wrote {path}")
        if result.status == "interrupted":
            warn(f"Interrupted after epoch {result.history.n_epochs}: this is the model so far.")
            raise typer.Exit(INTERRUPTED)
        if result.status == "diverged":
            raise typer.Exit(DIVERGED)


def checkpoints_in(folder: Path | None, every: int | None, resume: bool) -> Any:
    """Return where and how often to write checkpoints; None if none are written."""
    from glassnet.training.checkpoints import Checkpoint

    if folder is None:
        if every is not None or resume:
            raise ConfigurationError("--every and --resume need --checkpoint FOLDER.")
        return None
    return Checkpoint(folder, every, resume)


def write_report(
    path: Path, result: Experiment, notes: tuple[str, ...], model_file: Path | None
) -> None:
    """Write the report of an experiment."""
    from glassnet.diagnosis.diagnose import diagnose
    from glassnet.reports.facts import Facts
    from glassnet.reports.report import report_html
    from glassnet.storage.atomic import write_atomically

    prepared = result.prepared
    facts = Facts(
        title=prepared.name,
        target=", ".join(prepared.targets) or "class",
        rows=result.rows,
        seconds=result.seconds,
        command=shlex.join(["glassnet", *sys.argv[1:]]),
        notes=notes,
        suspicions=prepared.suspicions,
        test_rows=prepared.test_rows,
        model_file=str(model_file or ""),
        diagnosis=diagnose(result.estimator, *prepared.train, door="command"),
    )
    html = report_html(result.model, result.history, result.evaluation, facts)
    write_atomically(path, html.encode())
