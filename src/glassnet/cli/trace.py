"""`glassnet trace`: show every number of one training step on rows of a file."""

# Modules that import JAX or scikit-learn are imported inside the commands: `glassnet --help` must not wait.
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from glassnet.cli.console import plain, print_json, say, target_names
from glassnet.cli.exits import exit_on_error
from glassnet.cli.options import AsJson, Data, ModelFile, Query, TableName, TrueTarget
from glassnet.cli.rows import trained_columns, true_values
from glassnet.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from glassnet.models.model import Model

MAX_ROWS = 32  # of the batch when no row is chosen


def trace(
    model: ModelFile,
    data: Data,
    row: Annotated[
        Optional[int],
        typer.Option(
            help=f"Trace only this row, counted from 0; default: the first {MAX_ROWS} rows."
        ),
    ] = None,
    neuron: Annotated[
        Optional[str],
        typer.Option(help="Show the equations of one neuron: LAYER:INDEX, both counted from 0."),
    ] = None,
    member: Annotated[
        int, typer.Option(help="Which of the networks that predict together, counted from 0.")
    ] = 0,
    prediction: Annotated[
        bool, typer.Option("--prediction", help="Let dropout and batch norm work as in prediction.")
    ] = False,
    target: TrueTarget = None,
    query: Query = None,
    table: TableName = None,
    as_json: AsJson = False,
) -> None:
    """Show every number of one training step on DATA.

    These are the forward pass, the backward pass and the new weights. The model file is not changed. If
    DATA lacks the target, only the forward pass is shown.
    """
    with exit_on_error():
        from glassnet.models.model_file import load
        from glassnet.tracing.trace import trace as traced

        address = None if neuron is None else parsed_neuron(neuron)
        network = load(model)
        X, y = traced_rows(network, data, row, target, query, table)
        if y is None:
            say("The data have no target: only the forward pass is shown.")
        result = traced(network, X, y, member=member, train=not prediction)
        shown = result if address is None else result.neuron(*address)
        print_json(shown.to_dict()) if as_json else typer.echo(plain(str(shown)))


def parsed_neuron(neuron: str) -> tuple[str, int]:
    """Return the layer's path and the neuron's index of "LAYER:INDEX"."""
    layer, _, index = neuron.rpartition(":")
    if not layer or not index.isdecimal() or not layer.replace(".", "").isdecimal():
        raise ConfigurationError(
            f"--neuron is '{neuron}': give the layer's number and the neuron's, as in --neuron 2:0."
        )
    return layer, int(index)


def traced_rows(
    model: Model,
    data: str,
    row: int | None,
    target: str | None,
    query: str | None,
    table: str | None,
) -> tuple[Any, Any]:
    """Return the chosen rows and their target, which is None if the data have none."""
    from glassnet.data.read import read

    dataset = read(data, query=query, table=table, expected=trained_columns(model))
    if row is not None and not 0 <= row < len(dataset.X):
        count = len(dataset.X)
        raise DataError(
            f"--row is {row}, but there are {count} rows: give one from 0 to {count - 1}."
        )
    chosen = slice(0, MAX_ROWS) if row is None else slice(row, row + 1)
    X, y = rows_in(dataset.X, chosen), rows_in(dataset.y, chosen)
    if y is None:
        X, y = with_target(X, target, target_names(model), dataset.name)
    return X, None if y is None else true_values(model, y, data)


def rows_in(rows: Any, chosen: slice) -> Any:
    """Return a slice of the rows of a table or an array; None for None."""
    return rows.rows(chosen) if hasattr(rows, "rows") else None if rows is None else rows[chosen]


def with_target(X: Any, named: str | None, known: list[str], source: str) -> tuple[Any, Any]:
    """Split columns into X and y: y is the column named, or the model's own target if it is there.

    Rows whose target is missing are dropped; if it is missing in all rows, there is no target.
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
