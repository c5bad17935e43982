"""`glassnet inspect`: what a model file holds, and a report of it on rows whose target is known."""

# Modules that import JAX or scikit-learn are imported inside the commands: `glassnet --help` must not wait.
from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from glassnet.cli.console import print_json, print_model, say
from glassnet.cli.exits import told
from glassnet.cli.options import AsJson, ModelFile, Query, TableName, TrueTarget, check_writable
from glassnet.cli.rows import read_known, truth
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
        from glassnet.models.model_file import describe, load

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
    from glassnet.cli.experiment import names_of
    from glassnet.evaluation.evaluation import evaluate
    from glassnet.reports.facts import Facts
    from glassnet.reports.report import report_html
    from glassnet.storage.atomic import write_atomically
    from glassnet.training.history import History

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
    from glassnet.diagnosis.diagnose import diagnose

    try:
        return diagnose(model, X, y, door="command")
    except ConfigurationError:
        return None
