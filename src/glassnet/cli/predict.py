"""`glassnet predict`: predict each row of a file."""

# Modules that import JAX or scikit-learn are imported inside the commands: `glassnet --help` must not wait.
from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from glassnet.cli.console import as_csv, as_records, plain, prediction_columns, say
from glassnet.cli.exits import exit_on_error
from glassnet.cli.options import AsJson, Data, ModelFile, Query, TableName, check_writable
from glassnet.cli.rows import trained_columns


def predict(
    model: ModelFile,
    data: Data,
    out: Annotated[
        Optional[Path],
        typer.Option("--out", "-o", help="Write to this file (.csv or .json) instead of printing."),
    ] = None,
    query: Query = None,
    table: TableName = None,
    as_json: AsJson = False,
) -> None:
    """Predict each row of DATA.

    The result has one line per row, with the probability of each class.
    """
    with exit_on_error():
        check_writable(out, data, ".csv", ".json")
        check_writable(out, str(model), ".csv", ".json")
        from glassnet.data.read import read
        from glassnet.models.model_file import load
        from glassnet.storage.atomic import write_atomically

        network = load(model)
        dataset = read(data, query=query, table=table, expected=trained_columns(network))
        X = dataset.X if dataset.test is None else dataset.test[0]
        columns = prediction_columns(network, X)
        json_wanted = as_json or (out is not None and out.suffix == ".json")
        text = as_records(columns) if json_wanted else as_csv(columns)
        if out is None:
            # class names may hold control sequences: a terminal gets them escaped, a file as they are
            sys.stdout.write(plain(text) if sys.stdout.isatty() else text)
        else:
            write_atomically(out, text.encode(errors="backslashreplace"))
            say(f"Wrote {len(next(iter(columns.values())))} predictions to {out}")
