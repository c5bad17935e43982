"""The command: `glassnet train`, `compare`, `predict`, `evaluate`, `inspect`. All printing lives here.

Data go to the standard output, messages to the standard error output. Exit codes: 0 done, 1 something
unforeseen, 2 wrong usage, 3 unusable data, 4 unusable model file, 5 training diverged, 130 interrupted (the
model so far is saved).
"""

# Modules that import JAX or scikit-learn are imported inside the commands: `glassnet --help` must not wait.
from __future__ import annotations

import gc
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from glassnet.console import (
    as_csv,
    as_records,
    plain,
    prediction_columns,
    print_json,
    print_model,
    print_result,
    print_scores,
    result_json,
    say,
    target_names,
    warn,
)
from glassnet.errors import ConfigurationError, DataError
from glassnet.exits import INTERRUPTED, told
from glassnet.options import (
    AsJson,
    Data,
    ModelFile,
    Query,
    TableName,
    check_seed,
    check_writable,
    checked_task,
)

if TYPE_CHECKING:
    from glassnet.experiment import Experiment

app = typer.Typer(
    name="glassnet",
    help="Neural networks with glass walls: train on your own table or pictures, and see what came out.",
    epilog="Exit codes: 0 done, 1 unforeseen, 2 wrong usage, 3 unusable data, 4 unusable model file,"
    " 5 training diverged, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def show_version(wanted: bool) -> None:
    """Print the version and end."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"glassnet {version('glassnet')}")
        raise typer.Exit


@app.callback()
def glassnet(
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


@app.command()
def train(
    data: Data,
    target: Annotated[
        Optional[str],
        typer.Option("--target", "-t", help="The column to predict; several with commas between."),
    ] = None,
    out: Annotated[
        Optional[Path], typer.Option("--out", "-o", help="Write the model here.")
    ] = None,
    report: Annotated[
        Optional[Path], typer.Option(help="Write a report here, one HTML file.")
    ] = None,
    as_json: AsJson = False,
    task: Annotated[
        Optional[str], typer.Option(help="classification or regression; recognised if not given.")
    ] = None,
    drop: Annotated[
        Optional[list[str]], typer.Option(help="Leave this column out. May be repeated.")
    ] = None,
    query: Query = None,
    table: TableName = None,
    test: Annotated[float, typer.Option(help="The share of the rows to test on.")] = 0.2,
    seed: Annotated[
        int, typer.Option(help="Of the split, the initial weights and the order of rows.")
    ] = 0,
    hidden: Annotated[
        Optional[str], typer.Option(help="Widths of the hidden layers: 128,64.")
    ] = None,
    activation: Annotated[Optional[str], typer.Option(help="relu, tanh, silu, ...")] = None,
    dropout: Annotated[Optional[float], typer.Option(help="The share of neurons dropped.")] = None,
    batch_norm: Annotated[
        bool, typer.Option("--batch-norm", help="Use batch normalization.")
    ] = False,
    optimizer: Annotated[
        Optional[str], typer.Option(help="sgd, momentum, nesterov, rmsprop, adam, adamw.")
    ] = None,
    learning_rate: Annotated[Optional[float], typer.Option(help="Of the optimizer.")] = None,
    batch_size: Annotated[Optional[int], typer.Option(help="Rows a step.")] = None,
    epochs: Annotated[Optional[int], typer.Option(help="Walks through the rows, at most.")] = None,
    l2: Annotated[Optional[float], typer.Option(help="Strength of the L2 penalty.")] = None,
    patience: Annotated[
        Optional[int], typer.Option(help="Epochs without improvement before stopping.")
    ] = None,
    members: Annotated[
        Optional[int], typer.Option(help="Networks to train at once; their mean predicts.")
    ] = None,
    max_seconds: Annotated[
        Optional[float], typer.Option(help="Stop training then, and keep what was best.")
    ] = None,
    class_weight: Annotated[
        Optional[str], typer.Option(help="balanced: rare classes count as much.")
    ] = None,
) -> None:
    """Train a network on DATA, test it beside simple baselines, and save it."""
    with told():
        check_writable(out, data, ".glassnet")
        check_writable(report, data, ".html")
        if out is not None and report is not None and out.resolve() == report.resolve():
            raise ConfigurationError(f"--out and --report both name {out}: give each its own file.")
        check_seed(seed)
        from glassnet.datasets import read
        from glassnet.experiment import Plan, described, prepare, run_experiment, without
        from glassnet.progress import ProgressBar

        found = read(data, target=target, query=query, table=table)
        found = without(found, drop or [])
        parameters = estimator_parameters(
            hidden, optimizer, learning_rate, patience,
            activation=activation, dropout=dropout, batch_norm=batch_norm or None, batch_size=batch_size,
            epochs=epochs, l2=l2, members=members, max_seconds=max_seconds, class_weight=class_weight,
        )  # fmt: skip
        plan = Plan(checked_task(task), test, seed, parameters)
        for note in found.notes:
            say(note)
        prepared = prepare(found, plan)
        for suspicion in prepared.suspicions:
            warn(suspicion.message)
        result = run_experiment(prepared, plan, [ProgressBar()])
        result = described(result, found.target, plain(Path(data).name), prepared.task)
        if out is not None:
            from glassnet.persistence import save

            save(result.model, out)
        if report is not None:
            write_report(report, result, found, data, out)
        print_json(result_json(result)) if as_json else print_result(result)
        for written in (out, report):
            if written is not None:
                say(f"Wrote {written}")
        if result.status == "interrupted":
            warn(f"Interrupted after epoch {result.history.n_epochs}: this is the model so far.")
            raise typer.Exit(INTERRUPTED)


@app.command()
def compare(
    data: Data,
    target: Annotated[
        Optional[str], typer.Option("--target", "-t", help="The column to predict.")
    ] = None,
    report: Annotated[
        Optional[Path], typer.Option(help="Write a report here, one HTML file.")
    ] = None,
    as_json: AsJson = False,
    task: Annotated[
        Optional[str], typer.Option(help="classification or regression; recognised if not given.")
    ] = None,
    drop: Annotated[
        Optional[list[str]], typer.Option(help="Leave this column out. May be repeated.")
    ] = None,
    query: Query = None,
    table: TableName = None,
    folds: Annotated[int, typer.Option(help="Into how many parts the rows are cut.")] = 5,
    repeats: Annotated[
        Optional[int], typer.Option(help="Of all folds; by the number of rows if not given.")
    ] = None,
    learning_curve: Annotated[
        bool, typer.Option("--learning-curve", help="Tell whether more rows would help.")
    ] = False,
    max_seconds: Annotated[
        Optional[float], typer.Option(help="Time to spend; what is done by then counts.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the folds and of all models.")] = 0,
    hidden: Annotated[
        Optional[str], typer.Option(help="Widths of the network's hidden layers: 128,64.")
    ] = None,
    epochs: Annotated[Optional[int], typer.Option(help="Of the network, at most.")] = None,
    members: Annotated[
        Optional[int], typer.Option(help="Networks to train at once; their mean predicts.")
    ] = None,
) -> None:
    """Compare a network with simpler models on the rows of DATA, and say which to use."""
    with told():
        check_writable(report, data, ".html")
        check_seed(seed)
        from glassnet.comparing import compare as compared
        from glassnet.datasets import read
        from glassnet.experiment import comparable, without

        found = without(read(data, target=target, query=query, table=table), drop or [])
        parameters = estimator_parameters(hidden, None, None, None, epochs=epochs, members=members)
        rows = comparable(found, checked_task(task), seed, parameters)
        for note in rows.notes:
            say(note)
        result = compared(
            rows.X, rows.y, estimator=rows.estimator, folds=folds,
            repeats="auto" if repeats is None else repeats, learning_curve=learning_curve,
            max_seconds=max_seconds, seed=seed, progress=True,
        )  # fmt: skip
        print_json(result.to_dict()) if as_json else typer.echo(plain(str(result)))
        if report is not None:
            from glassnet.atomic import write_atomically
            from glassnet.comparison_page import comparison_html

            html = comparison_html(
                result, title=Path(data).name, target=str(found.target or "class"),
                command=shlex.join(["glassnet", *sys.argv[1:]]), notes=rows.notes,
            )  # fmt: skip
            write_atomically(report, html.encode())
            say(f"Wrote {report}")
        if result.interrupted:
            warn("Interrupted: this is what was done so far.")
            raise typer.Exit(INTERRUPTED)


@app.command()
def predict(
    model: ModelFile,
    data: Data,
    out: Annotated[
        Optional[Path], typer.Option("--out", "-o", help="Write here (.csv or .json) instead.")
    ] = None,
    query: Query = None,
    table: TableName = None,
    as_json: AsJson = False,
) -> None:
    """Predict each row of DATA: one line a row, with the probability of each class."""
    with told():
        check_writable(out, data, ".csv", ".json")
        check_writable(out, str(model), ".csv", ".json")
        from glassnet.atomic import write_atomically
        from glassnet.datasets import read
        from glassnet.persistence import load

        found = load(model)
        rows = read(data, query=query, table=table, expected=columns_of(found))
        columns = prediction_columns(found, inputs_of(rows))
        json_wanted = as_json or (out is not None and out.suffix == ".json")
        text = as_records(columns) if json_wanted else as_csv(columns)
        if out is None:
            # a terminal obeys what the names of classes may hold; a file or a pipe gets them as they are
            sys.stdout.write(plain(text) if sys.stdout.isatty() else text)
        else:
            write_atomically(out, text.encode())
            say(f"Wrote {len(next(iter(columns.values())))} predictions to {out}")


@app.command()
def evaluate(
    model: ModelFile,
    data: Data,
    target: Annotated[
        Optional[str], typer.Option("--target", "-t", help="The true values; default: as trained.")
    ] = None,
    query: Query = None,
    table: TableName = None,
    as_json: AsJson = False,
) -> None:
    """Test a model on the rows of DATA, whose target is known."""
    with told():
        from glassnet.datasets import read
        from glassnet.evaluation import evaluate as test
        from glassnet.experiment import target_values
        from glassnet.persistence import load

        found = load(model)
        name = target or ",".join(target_names(found)) or None
        rows = read(data, target=name, query=query, table=table, expected=columns_of(found))
        X, y = rows.test or (rows.X, rows.y)
        if y is None:
            raise DataError(
                f"Nothing in '{data}' says what is true: name the column with --target COLUMN."
            )
        values = found.loss.task == "regression"
        result = test(found, X, target_values(y, "regression" if values else "classification"))
        if as_json:
            print_json({"rows": len(result.y_true), "scores": result.scores})
        else:
            print_scores(result)


@app.command()
def inspect(model: ModelFile, as_json: AsJson = False) -> None:
    """Show what a model file holds: network, columns, target, scores."""
    with told():
        from glassnet.persistence import describe, load

        found = load(model)
        print_json(describe(found)) if as_json else print_model(found)


# --- between the command line and the library ---------------------------------------------------------


def estimator_parameters(
    hidden: str | None,
    optimizer: str | None,
    learning_rate: float | None,
    patience: int | None,
    **given: Any,
) -> dict[str, Any]:
    """Return the estimator's parameters that a person chose."""
    from glassnet.fitting import EarlyStopping
    from glassnet.wrappers import as_optimizer

    chosen = {name: value for name, value in given.items() if value is not None}
    if hidden is not None:
        try:
            chosen["hidden"] = tuple(int(width) for width in hidden.split(","))
        except ValueError:
            raise ConfigurationError(
                f"--hidden is '{hidden}': give widths such as 128,64."
            ) from None
    if optimizer is not None or learning_rate is not None:
        best = as_optimizer(optimizer or "adamw")
        chosen["optimizer"] = (
            best if learning_rate is None else best._replace(learning_rate=learning_rate)
        )
    if patience is not None:
        chosen["early_stopping"] = EarlyStopping(patience, calibrated=True)
    return chosen


def columns_of(model: Any) -> tuple[str, ...]:
    """Return the names of the columns that a model was trained on."""
    return model.encoder.names if model.encoder is not None else ()


def inputs_of(found: Any) -> Any:
    """Return the rows of a data set; those of its test set, where one came with it."""
    return found.test[0] if found.test is not None else found.X


def write_report(
    path: Path, result: Experiment, found: Any, data: str, model_file: Path | None
) -> None:
    """Write the report of an experiment."""
    from glassnet.atomic import write_atomically
    from glassnet.report import Facts, report_html

    names = [found.target] if isinstance(found.target, str) else list(found.target or ["class"])
    facts = Facts(
        title=Path(data).name,
        target=", ".join(names),
        rows=result.rows,
        seconds=result.seconds,
        command=shlex.join(["glassnet", *sys.argv[1:]]),
        notes=found.notes,
        suspicions=result.suspicions,
        test_rows=result.test_rows,
        model_file=str(model_file or ""),
    )
    html = report_html(result.model, result.history, result.evaluation, facts)
    write_atomically(path, html.encode())


def main() -> None:
    """Run the command."""
    for stream in (sys.stdout, sys.stderr):
        # a console of another encoding shows escapes instead of ending the command
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        app()
    finally:
        gc.freeze()  # the system takes the memory back: looking for garbage at the end would take a while
