"""`glassnet export`: turn a model file into one that runs without glassnet."""

# Modules that import JAX or scikit-learn are imported inside the commands: `glassnet --help` must not wait.
from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from glassnet.cli.console import say
from glassnet.cli.exits import exit_on_error
from glassnet.cli.options import ModelFile, check_writable


def export(
    model: ModelFile,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="Write to this file: .onnx, or .py for one file that needs only NumPy.",
        ),
    ],
    input_type: Annotated[
        Optional[str],
        typer.Option(
            help="Type of pictures in ONNX: uint8, float32 or float64; default: as trained."
        ),
    ] = None,
) -> None:
    """Write MODEL as ONNX or as one Python file.

    Preprocessing is inside, and the file is checked against the model before it is written.
    """
    with exit_on_error():
        check_writable(out, str(model), ".onnx", ".py")
        from glassnet.exporting.export import export as write
        from glassnet.models.model_file import load

        write(load(model), out, input_type=input_type)
        say(f"Wrote {out}")
