"""`glassnet diagnose`: what keeps a model from doing better on these rows."""

# Modules that import JAX or scikit-learn are imported inside the commands: `glassnet --help` must not wait.
from __future__ import annotations

import typer

from glassnet.cli.console import plain, print_json
from glassnet.cli.exits import told
from glassnet.cli.options import AsJson, Data, ModelFile, Query, TableName, TrueTarget
from glassnet.cli.rows import read_known, truth


def diagnose(
    model: ModelFile,
    data: Data,
    target: TrueTarget = None,
    query: Query = None,
    table: TableName = None,
    as_json: AsJson = False,
) -> None:
    """Say what keeps MODEL from learning DATA, the rows it was trained on, and what to change."""
    with told():
        from glassnet.diagnosis.diagnose import diagnose as examine
        from glassnet.models.model_file import load

        found = load(model)
        rows = read_known(found, data, target, query, table)
        y = truth(found, rows.y, data)
        test = rows.test if rows.test is not None and rows.test[1] is not None else None
        validation = None if test is None else (test[0], truth(found, test[1], data))
        result = examine(found, rows.X, y, validation=validation, door="command")
        print_json(result.to_dict()) if as_json else typer.echo(plain(str(result)))
