"""`glassnet export`: a model file as one that runs without glassnet."""

# Modules that import JAX or scikit-learn are imported inside the commands: `glassnet --help` must not wait.
from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from glassnet.cli.console import say
from glassnet.cli.exits import told
from glassnet.cli.options import ModelFile, check_writable


def export(
    model: ModelFile,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="Write here: .onnx, or .py for one file that needs NumPy alone."
        ),
    ],
    input_type: Annotated[
        Optional[str],
        typer.Option(help="Of pictures in ONNX: uint8, float32, float64; as trained if not given."),
    ] = None,
) -> None:
    """Write MODEL as ONNX or as one Python file, preprocessing inside, checked against the model."""
    with told():
        check_writable(out, str(model), ".onnx", ".py")
        from glassnet.exporting.export import export as write
        from glassnet.models.model_file import load

        write(load(model), out, input_type=input_type)
        say(f"Wrote {out}")
