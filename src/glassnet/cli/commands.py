"""The command: each subcommand a function; `predict` and `evaluate` are here.

Data go to the standard output, messages to the standard error output. Exit codes: 0 done, 1 something
unforeseen, 2 wrong usage, 3 unusable data, 4 unusable model file, 5 training diverged, 130 interrupted (the
model so far is saved), 143 told to end while writing checkpoints.
"""

# Modules that import JAX or scikit-learn are imported inside the commands: `glassnet --help` must not wait.
from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from glassnet.cli.compare import compare
from glassnet.cli.console import (
    as_csv,
    as_records,
    plain,
    prediction_columns,
    print_json,
    print_scores,
    say,
)
from glassnet.cli.diagnose import diagnose
from glassnet.cli.exits import told
from glassnet.cli.explain import explain
from glassnet.cli.export import export
from glassnet.cli.figures import figures
from glassnet.cli.inspect import inspect
from glassnet.cli.options import (
    AsJson,
    Data,
    ModelFile,
    Query,
    TableName,
    TrueTarget,
    check_writable,
)
from glassnet.cli.rows import columns_of, read_known, truth
from glassnet.cli.trace import trace
from glassnet.cli.train import train

app = typer.Typer(
    name="glassnet",
    help="Neural networks with glass walls: train on your own table or pictures, and see what came out.",
    epilog="Exit codes: 0 done, 1 unforeseen, 2 wrong usage, 3 unusable data, 4 unusable model file,"
    " 5 training diverged, 130 interrupted, 143 told to end.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def show_version(wanted: bool) -> None:
    """Print the version and end."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"glassnet {version('glassnet')}")
        raise typer.Exit


@app.callback()
def glassnet(
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


app.command()(train)
app.command()(compare)
app.command()(diagnose)
app.command()(explain)
app.command()(figures)
app.command()(trace)
app.command()(export)


@app.command()
def predict(
    model: ModelFile,
    data: Data,
    out: Annotated[
        Optional[Path], typer.Option("--out", "-o", help="Write here (.csv or .json) instead.")
    ] = None,
    query: Query = None,
    table: TableName = None,
    as_json: AsJson = False,
) -> None:
    """Predict each row of DATA: one line a row, with the probability of each class."""
    with told():
        check_writable(out, data, ".csv", ".json")
        check_writable(out, str(model), ".csv", ".json")
        from glassnet.data.read import read
        from glassnet.models.model_file import load
        from glassnet.storage.atomic import write_atomically

        found = load(model)
        rows = read(data, query=query, table=table, expected=columns_of(found))
        columns = prediction_columns(found, inputs_of(rows))
        json_wanted = as_json or (out is not None and out.suffix == ".json")
        text = as_records(columns) if json_wanted else as_csv(columns)
        if out is None:
            # a terminal obeys what the names of classes may hold; a file or a pipe gets them as they are
            sys.stdout.write(plain(text) if sys.stdout.isatty() else text)
        else:
            write_atomically(out, text.encode(errors="backslashreplace"))
            say(f"Wrote {len(next(iter(columns.values())))} predictions to {out}")


@app.command()
def evaluate(
    model: ModelFile,
    data: Data,
    target: TrueTarget = None,
    query: Query = None,
    table: TableName = None,
    as_json: AsJson = False,
) -> None:
    """Test a model on the rows of DATA, whose target is known."""
    with told():
        from glassnet.evaluation.evaluation import evaluate as test
        from glassnet.models.model_file import load

        found = load(model)
        rows = read_known(found, data, target, query, table)
        X, y = rows.test or (rows.X, rows.y)
        result = test(found, X, truth(found, y, data))
        if as_json:
            print_json({"rows": len(result.y_true), "scores": result.scores})
        else:
            print_scores(result)


app.command()(inspect)


# --- between the command line and the library ---------------------------------------------------------


def inputs_of(found: Any) -> Any:
    """Return the rows of a data set; those of its test set, where one came with it."""
    return found.test[0] if found.test is not None else found.X


def main() -> None:
    """Run the command."""
    for stream in (sys.stdout, sys.stderr):
        # a console of another encoding shows escapes instead of ending the command
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        app()
    finally:
        gc.freeze()  # the system takes the memory back: looking for garbage at the end would take a while
