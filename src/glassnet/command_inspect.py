"""`glassnet inspect`: what a model file holds, and a report of it on rows whose target is known."""

# Modules that import JAX or scikit-learn are imported inside the commands: `glassnet --help` must not wait.
from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from glassnet.console import print_json, print_model, say
from glassnet.errors import ConfigurationError
from glassnet.exits import told
from glassnet.known_rows import read_known, truth
from glassnet.options import AsJson, ModelFile, Query, TableName, TrueTarget, check_writable

if TYPE_CHECKING:
    from glassnet.datasets import Dataset


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
    """Show what a model file holds: network, columns, target, scores. With DATA, write a report of it."""
    with told():
        if report is None and data is not None:
            raise ConfigurationError(
                f"What should become of '{data}'? For a report give --report FILE.html too; for scores alone:"
                f" glassnet evaluate {shlex.quote(str(model))} {shlex.quote(data)}"
            )
        if report is not None and data is None:
            raise ConfigurationError(
                "A report shows how the model does on rows whose target is known: name their file after the"
                f" model, as in: glassnet inspect {shlex.quote(str(model))} DATA --report {report}"
            )
        if report is None and (target, query, table) != (None, None, None):
            raise ConfigurationError("--target, --query and --table are for DATA and --report.")
        from glassnet.persistence import describe, load

        if report is not None and data is not None:
            check_writable(report, data, ".html")
            check_writable(report, str(model), ".html")
        found = load(model)
        if report is not None and data is not None:
            rows = read_known(found, data, target, query, table)
            write_report(report, found, model, data, rows)
        print_json(describe(found)) if as_json else print_model(found)
        if report is not None:
            say(f"Wrote {report}")


def write_report(path: Path, model: Any, model_file: Path, data: str, rows: Dataset) -> None:
    """Write the report of a model on rows whose target is known."""
    from glassnet.atomic import write_atomically
    from glassnet.evaluation import evaluate
    from glassnet.experiment import names_of
    from glassnet.history import History
    from glassnet.report import report_html
    from glassnet.report_source import Facts

    X, y = rows.test or (rows.X, rows.y)
    tested = evaluate(model, X, truth(model, y, data))
    facts = Facts(
        title=Path(data).name,
        target=", ".join(names_of(rows.target)) or "class",
        rows={"test": len(tested.y_true)},
        command=shlex.join(["glassnet", *sys.argv[1:]]),
        notes=rows.notes,
        model_file=str(model_file),
        diagnosis=diagnosed(model, X, tested.y_true),
    )
    write_atomically(path, report_html(model, History(), tested, facts).encode())


def diagnosed(model: Any, X: Any, y: Any) -> Any:
    """Return what the passes of some rows tell of a model; None of one that cannot be diagnosed."""
    from glassnet.diagnosis import diagnose

    try:
        return diagnose(model, X, y, door="command")
    except ConfigurationError:
        return None
