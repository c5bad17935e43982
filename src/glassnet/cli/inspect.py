"""`glassnet inspect`: show what a model file holds, or report on it with rows whose target is known."""

# Modules that import JAX or scikit-learn are imported inside the commands: `glassnet --help` must not wait.
from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from glassnet.cli.console import print_json, print_model, say
from glassnet.cli.exits import exit_on_error
from glassnet.cli.options import AsJson, ModelFile, Query, TableName, TrueTarget, check_writable
from glassnet.cli.rows import read_known, true_values
from glassnet.errors import ConfigurationError

if TYPE_CHECKING:
    from glassnet.data.datasets import Dataset


def inspect(
    model: ModelFile,
    data: Annotated[
        Optional[str],
        typer.Argument(
            metavar="[DATA]", help="With --report: rows whose target is known, as for `evaluate`."
        ),
    ] = None,
    report: Annotated[
        Optional[Path], typer.Option(help="Write a report here, one HTML file: needs DATA.")
    ] = None,
    target: TrueTarget = None,
    query: Query = None,
    table: TableName = None,
    as_json: AsJson = False,
) -> None:
    """Show what MODEL holds, or write a report on it.

    It shows the network, columns, target and scores. A report needs DATA whose target is known.
    """
    with exit_on_error():
        if report is None and data is not None:
            raise ConfigurationError(
                f"'{data}' is only used for a report: add --report FILE.html. For scores alone, run:"
                f" glassnet evaluate {shlex.quote(str(model))} {shlex.quote(data)}"
            )
        if report is not None and data is None:
            raise ConfigurationError(
                "A report needs rows whose target is known: give their file after the model, as in:"
                f" glassnet inspect {shlex.quote(str(model))} DATA --report {report}"
            )
        if report is None and (target, query, table) != (None, None, None):
            raise ConfigurationError("--target, --query and --table need DATA and --report.")
        from glassnet.models.model_file import describe, load

        if report is not None and data is not None:
            check_writable(report, data, ".html")
            check_writable(report, str(model), ".html")
        network = load(model)
        if report is not None and data is not None:
            rows = read_known(network, data, target, query, table)
            write_report(report, network, model, data, rows)
        print_json(describe(network)) if as_json else print_model(network)
        if report is not None:
            say(f"Wrote {report}")


def write_report(path: Path, model: Any, model_file: Path, data: str, rows: Dataset) -> None:
    """Write the report of a model on rows whose target is known."""
    from glassnet.cli.experiment import target_columns
    from glassnet.evaluation.evaluation import evaluate
    from glassnet.reports.facts import Facts
    from glassnet.reports.report import report_html
    from glassnet.storage.atomic import write_atomically
    from glassnet.training.history import History

    X, y = rows.test or (rows.X, rows.y)
    tested = evaluate(model, X, true_values(model, y, data))
    facts = Facts(
        title=Path(data).name,
        target=", ".join(target_columns(rows)) or "class",
        rows={"test": len(tested.y_true)},
        command=shlex.join(["glassnet", *sys.argv[1:]]),
        notes=rows.notes,
        model_file=str(model_file),
        diagnosis=diagnosed(model, X, tested.y_true),
    )
    write_atomically(path, report_html(model, History(), tested, facts).encode())


def diagnosed(model: Any, X: Any, y: Any) -> Any:
    """Return the diagnosis of a model on these rows; None if it cannot be diagnosed."""
    from glassnet.diagnosis.diagnose import diagnose

    try:
        return diagnose(model, X, y, door="command")
    except ConfigurationError:
        return None
