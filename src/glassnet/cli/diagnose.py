"""`glassnet diagnose`: say what keeps a model from doing better on these rows."""

# Modules that import JAX or scikit-learn are imported inside the commands: `glassnet --help` must not wait.
from __future__ import annotations

import typer

from glassnet.cli.console import plain, print_json
from glassnet.cli.exits import exit_on_error
from glassnet.cli.options import AsJson, Data, ModelFile, Query, TableName, TrueTarget
from glassnet.cli.rows import read_known, true_values


def diagnose(
    model: ModelFile,
    data: Data,
    target: TrueTarget = None,
    query: Query = None,
    table: TableName = None,
    as_json: AsJson = False,
) -> None:
    """Say what keeps MODEL from learning DATA.

    DATA are the rows that it was trained on. Each finding names the option to change.
    """
    with exit_on_error():
        from glassnet.diagnosis.diagnose import diagnose as examine
        from glassnet.models.model_file import load

        network = load(model)
        rows = read_known(network, data, target, query, table)
        y = true_values(network, rows.y, data)
        test = rows.test if rows.test is not None and rows.test[1] is not None else None
        validation = None if test is None else (test[0], true_values(network, test[1], data))
        result = examine(network, rows.X, y, validation=validation, door="command")
        print_json(result.to_dict()) if as_json else typer.echo(plain(str(result)))
