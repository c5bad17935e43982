"""`glassnet compare`: say whether a network is worth it on these rows."""

# Modules that import JAX or scikit-learn are imported inside the commands: `glassnet --help` must not wait.
from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from glassnet.cli.console import plain, print_json, say, warn
from glassnet.cli.exits import INTERRUPTED, exit_on_error
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


def compare(
    data: Data,
    target: Annotated[
        Optional[str], typer.Option("--target", "-t", help="The column to predict.")
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
    folds: Annotated[int, typer.Option(help="How many folds the rows are split into.")] = 5,
    repeats: Annotated[
        Optional[int],
        typer.Option(help="How often to repeat all folds; default: by the number of rows."),
    ] = None,
    learning_curve: Annotated[
        bool, typer.Option("--learning-curve", help="Say whether more rows would help.")
    ] = False,
    max_seconds: Annotated[
        Optional[float],
        typer.Option(help="Stop after this many seconds and compare the folds done."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the folds and of all models.")] = 0,
    hidden: Annotated[
        Optional[str], typer.Option(help="Widths of the network's hidden layers: 128,64.")
    ] = None,
    epochs: Annotated[
        Optional[int], typer.Option(help="Maximum number of epochs of the network.")
    ] = None,
    members: Annotated[
        Optional[int],
        typer.Option(help="Number of networks to train; their predictions are averaged."),
    ] = None,
) -> None:
    """Say whether a network beats simpler models on DATA.

    All models are tested on the same folds of the rows.
    """
    with exit_on_error():
        check_writable(report, data, ".html")
        check_seed(seed)
        from glassnet.cli.experiment import Choices, comparable, target_columns, without_columns
        from glassnet.data.read import read
        from glassnet.evaluation.compare import compare as compared

        dataset = read(data, target=target, query=query, table=table)
        dataset = without_columns(dataset, drop or [])
        parameters = estimator_parameters(hidden, None, None, None, epochs=epochs, members=members)
        choices = Choices(task=checked_task(task), seed=seed, parameters=parameters)
        rows = comparable(dataset, choices)
        for note in rows.notes:
            say(note)
        result = compared(
            rows.X, rows.y, estimator=rows.estimator, folds=folds,
            repeats="auto" if repeats is None else repeats, learning_curve=learning_curve,
            max_seconds=max_seconds, seed=seed, progress=True,
        )  # fmt: skip
        print_json(result.to_dict()) if as_json else typer.echo(plain(str(result)))
        if report is not None:
            from glassnet.reports.comparison_page import comparison_html
            from glassnet.storage.atomic import write_atomically

            html = comparison_html(
                result, title=Path(data).name, target=", ".join(target_columns(dataset)) or "class",
                command=shlex.join(["glassnet", *sys.argv[1:]]), notes=rows.notes,
            )  # fmt: skip
            write_atomically(report, html.encode())
            say(f"Wrote {report}")
        if result.interrupted:
            warn("Interrupted: these are the results so far.")
            raise typer.Exit(INTERRUPTED)
