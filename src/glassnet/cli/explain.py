"""`glassnet explain`: show which columns a model relies on, or what led to its answer for one row."""

# Modules that import JAX or scikit-learn are imported inside the commands: `glassnet --help` must not wait.
from __future__ import annotations

from typing import Annotated, Any, Optional

import typer

from glassnet.cli.console import plain, print_json
from glassnet.cli.exits import exit_on_error
from glassnet.cli.options import AsJson, Data, ModelFile, Query, TableName, TrueTarget, check_seed
from glassnet.cli.rows import read_known, trained_columns, true_values
from glassnet.errors import ConfigurationError, DataError


def explain(
    model: ModelFile,
    data: Data,
    row: Annotated[
        Optional[int],
        typer.Option(help="Explain the answer for this row of DATA, counted from 0."),
    ] = None,
    of: Annotated[
        Optional[str],
        typer.Option(
            help="With --row: the class, label or value to explain; default: what is predicted."
        ),
    ] = None,
    target: TrueTarget = None,
    scoring: Annotated[
        Optional[str],
        typer.Option(help="scikit-learn's name of the score to use; default: accuracy or R²."),
    ] = None,
    repeats: Annotated[int, typer.Option(help="How often each column is shuffled.")] = 5,
    seed: Annotated[int, typer.Option(help="Seed of the shuffles.")] = 0,
    query: Query = None,
    table: TableName = None,
    as_json: AsJson = False,
) -> None:
    """Show which columns MODEL relies on in DATA.

    With --row, show what led to its answer for one row.
    """
    with exit_on_error():
        check_seed(seed)
        if row is None and of is not None:
            raise ConfigurationError(
                "--of says which answer for one row to explain: give --row N too."
            )
        from glassnet.data.read import read
        from glassnet.models.model_file import load

        network = load(model)
        result: Any
        if row is None:
            rows = read_known(network, data, target, query, table)
            result = importance(
                network, *(rows.test or (rows.X, rows.y)), data, scoring, repeats, seed
            )
        else:
            # without a target: rows that lack it would be dropped, and the others renumbered
            rows = read(data, query=query, table=table, expected=trained_columns(network))
            result = attribution(network, rows.test[0] if rows.test else rows.X, row, of)
        print_json(result.to_dict()) if as_json else typer.echo(plain(str(result)))


def importance(
    model: Any, X: Any, y: Any, data: str, scoring: str | None, repeats: int, seed: int
) -> Any:
    """Return the importance of each column."""
    if y is None:
        raise DataError(
            f"'{data}' has no known target, and the importance of a column is what the score loses without"
            " it: name the target with --target COLUMN, or explain one row with --row N."
        )
    from glassnet.explain.importance import permutation_importance

    known = true_values(model, y, data)
    return permutation_importance(model, X, known, scoring=scoring, repeats=repeats, seed=seed)


def attribution(model: Any, X: Any, row: int, of: str | None) -> Any:
    """Return the attribution of one row."""
    if not 0 <= row < len(X):
        raise ConfigurationError(f"--row is {row}, but the data have rows 0 to {len(X) - 1}.")
    import numpy as np  # here, because `glassnet --help` does not need it

    from glassnet.data.tables import rows_at
    from glassnet.explain.attribution import attribute

    return attribute(model, rows_at(X, np.array([row])), of)
