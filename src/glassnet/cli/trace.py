"""`glassnet trace`: one step of training on rows of a file, every number of it."""

# Modules that import JAX or scikit-learn are imported inside the commands: `glassnet --help` must not wait.
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from glassnet.cli.console import plain, print_json, say, target_names
from glassnet.cli.exits import told
from glassnet.cli.options import AsJson, Data, ModelFile, Query, TableName, TrueTarget
from glassnet.cli.rows import columns_of, truth
from glassnet.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from glassnet.models.model import Model

MOST_ROWS = 32  # of a batch where no row was asked for


def trace(
    model: ModelFile,
    data: Data,
    row: Annotated[
        Optional[int], typer.Option(help=f"This row alone, from 0; else the first {MOST_ROWS}.")
    ] = None,
    neuron: Annotated[
        Optional[str],
        typer.Option(help="Open one neuron into its equations: LAYER:INDEX, both from 0."),
    ] = None,
    member: Annotated[
        int, typer.Option(help="Which of the networks that predict together, from 0.")
    ] = 0,
    prediction: Annotated[
        bool, typer.Option("--prediction", help="Dropout and batch norm as in prediction.")
    ] = False,
    target: TrueTarget = None,
    query: Query = None,
    table: TableName = None,
    as_json: AsJson = False,
) -> None:
    """Show one step of training on rows of DATA: forward pass, backward pass, and the new weights.

    The model file stays as it is. Without the target among the columns, the forward pass alone is shown.
    """
    with told():
        from glassnet.models.model_file import load
        from glassnet.tracing.trace import trace as traced

        place = None if neuron is None else parsed(neuron)
        found = load(model)
        X, y = rows_of(found, data, row, target, query, table)
        if y is None:
            say("The data hold no target: this is the forward pass alone.")
        result = traced(found, X, y, member=member, train=not prediction)
        shown = result if place is None else result.neuron(*place)
        print_json(shown.to_dict()) if as_json else typer.echo(plain(str(shown)))


def parsed(neuron: str) -> tuple[str, int]:
    """Return layer and index of "LAYER:INDEX"."""
    layer, _, index = neuron.rpartition(":")
    if not layer or not index.isdecimal() or not layer.replace(".", "").isdecimal():
        raise ConfigurationError(
            f"--neuron is '{neuron}': give the layer's number and the neuron's, as in --neuron 2:0."
        )
    return layer, int(index)


def rows_of(
    model: Model,
    data: str,
    row: int | None,
    target: str | None,
    query: str | None,
    table: str | None,
) -> tuple[Any, Any]:
    """Return the rows asked for with their target, or None for it where the data have none."""
    from glassnet.data.read import read

    found = read(data, query=query, table=table, expected=columns_of(model))
    if row is not None and not 0 <= row < len(found.X):
        count = len(found.X)
        raise DataError(
            f"--row is {row}, but there are {count} rows: give one from 0 to {count - 1}."
        )
    chosen = slice(0, MOST_ROWS) if row is None else slice(row, row + 1)
    X, y = some(found.X, chosen), some(found.y, chosen)
    if y is None:
        X, y = with_target(X, target, target_names(model), found.name)
    return X, None if y is None else truth(model, y, data)


def some(rows: Any, chosen: slice) -> Any:
    """Return some rows of a table or an array, and None of None."""
    return rows.rows(chosen) if hasattr(rows, "rows") else None if rows is None else rows[chosen]


def with_target(X: Any, named: str | None, known: list[str], source: str) -> tuple[Any, Any]:
    """Return X and y of columns; y by the name given, or by the model's own where those are there.

    Rows whose target is missing are dropped; where all are, there is no target.
    """
    from glassnet.data.datasets import split_target
    from glassnet.data.tables import Table

    if not isinstance(X, Table) or (named is None and not known):
        return X, None
    if named is None and any(name not in X for name in known):
        return X, None
    names = known if named is None else [named]
    if all(name in X and X.missing(name).all() for name in names):
        return X.without(*names), None
    split = split_target(X, ",".join(names), name=source)
    for note in split.notes:
        say(note)
    return split.X, split.y
