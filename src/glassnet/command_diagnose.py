"""`glassnet diagnose`: what keeps a model from doing better on these rows."""

# Modules that import JAX or scikit-learn are imported inside the commands: `glassnet --help` must not wait.
from __future__ import annotations

from typing import Annotated, Optional

import typer

from glassnet.console import plain, print_json, target_names
from glassnet.errors import DataError
from glassnet.exits import told
from glassnet.options import AsJson, Data, ModelFile, Query, TableName


def diagnose(
    model: ModelFile,
    data: Data,
    target: Annotated[
        Optional[str], typer.Option("--target", "-t", help="The true values; default: as trained.")
    ] = None,
    query: Query = None,
    table: TableName = None,
    as_json: AsJson = False,
) -> None:
    """Say what keeps MODEL from learning DATA, the rows it was trained on, and what to change."""
    with told():
        from glassnet.datasets import read
        from glassnet.diagnosis import diagnose as examine
        from glassnet.experiment import target_values
        from glassnet.persistence import load
        from glassnet.tasks import Task

        found = load(model)
        name = target or ",".join(target_names(found)) or None
        columns = found.encoder.names if found.encoder is not None else ()
        rows = read(data, target=name, query=query, table=table, expected=columns)
        if rows.y is None:
            raise DataError(
                f"Nothing in '{data}' says what is true: name the column with --target COLUMN."
            )
        task: Task = "regression" if found.loss.task == "regression" else "classification"
        test = rows.test if rows.test is not None and rows.test[1] is not None else None
        validation = None if test is None else (test[0], target_values(test[1], task))
        y = target_values(rows.y, task)
        result = examine(found, rows.X, y, validation=validation, door="command")
        print_json(result.to_dict()) if as_json else typer.echo(plain(str(result)))
