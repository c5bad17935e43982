"""The `glassnet` command, put together from its subcommands.

Data go to the standard output, messages to the standard error output. Exit codes: 0 done, 1 unexpected
error, 2 wrong usage, 3 unusable data, 4 unusable model file, 5 training diverged, 130 interrupted (the
model so far was saved), 143 ended by SIGTERM while writing checkpoints.
"""

from __future__ import annotations

import gc
import sys
from typing import Annotated

import typer

from glassnet.cli.compare import compare
from glassnet.cli.diagnose import diagnose
from glassnet.cli.evaluate import evaluate
from glassnet.cli.explain import explain
from glassnet.cli.export import export
from glassnet.cli.figures import figures
from glassnet.cli.inspect import inspect
from glassnet.cli.predict import predict
from glassnet.cli.trace import trace
from glassnet.cli.train import train

COMMANDS = (
    train,
    compare,
    predict,
    evaluate,
    inspect,
    explain,
    trace,
    diagnose,
    export,
    figures,
)
"""The subcommands, in the order in which `glassnet --help` lists them; a new one is a new row."""

app = typer.Typer(
    name="glassnet",
    help="Neural networks with glass walls: train on your own table or pictures, and see inside.",
    epilog="Exit codes: 0 done, 1 unexpected error, 2 wrong usage, 3 unusable data, 4 unusable model file,"
    " 5 training diverged, 130 interrupted, 143 ended by SIGTERM.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def show_version(wanted: bool) -> None:
    """Print the version and exit."""
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
    """Take the options that come before a subcommand."""


for command in COMMANDS:
    app.command()(command)


def main() -> None:
    """Run the command."""
    for stream in (sys.stdout, sys.stderr):
        # characters that the console's encoding lacks are shown as escapes instead of raising an error
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        app()
    finally:
        gc.freeze()  # skips the last garbage collection, which is slow and of no use at exit
