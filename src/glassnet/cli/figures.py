"""`glassnet figures`: draw all figures from networks trained on the spot."""

# Modules that import JAX or scikit-learn are imported inside the commands: `glassnet --help` must not wait.
from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from glassnet.cli.console import say
from glassnet.cli.exits import exit_on_error
from glassnet.cli.options import check_seed
from glassnet.errors import ConfigurationError, DataError


def figures(
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="The folder to draw into; created if it does not exist."),
    ],
    only: Annotated[
        Optional[list[str]], typer.Option(help="Draw only this figure. May be repeated.")
    ] = None,
    kind: Annotated[str, typer.Option("--format", help="svg or png.")] = "svg",
    seed: Annotated[int, typer.Option(help="Seed of the networks and of the generated data.")] = 0,
) -> None:
    """Draw the standard figures of the field from small networks.

    The networks are trained on the spot. Each figure is drawn in light and dark, and one page shows them all.
    """
    with exit_on_error():
        check_seed(seed)
        from glassnet.figures.gallery import FORMATS, Networks, draw_all, picture_named

        for name in only or []:
            picture_named(name)  # raises before anything is drawn
        if kind not in FORMATS:
            raise ConfigurationError(f"--format is '{kind}': choose svg or png.")
        if out.exists() and not out.is_dir():
            raise DataError(f"{out} is a file, but the figures need a folder: name another.")
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"Cannot create the folder {out}: {error.strerror}.") from None
        for drawn in draw_all(out, Networks(seed), kind, only):
            typer.echo(f"{drawn.name}: {drawn.finding}")
        say(f"Wrote {out / 'index.html'}")
