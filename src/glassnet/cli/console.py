"""Print scores, models and predictions, and one line for each message.

Data go to the standard output, messages to the standard error output.
"""

from __future__ import annotations

import csv
import io
import json
import math
from typing import TYPE_CHECKING, Any

import typer

from glassnet.display.text import text_table
from glassnet.storage.fields import is_finite_number

if TYPE_CHECKING:
    from glassnet.cli.experiment import Experiment
    from glassnet.evaluation.evaluation import Evaluation
    from glassnet.models.model import Model


def say(message: str) -> None:
    """Print a message."""
    typer.echo(one_line(message), err=True)


def warn(message: str) -> None:
    """Print a warning."""
    typer.echo(f"Warning: {one_line(message)}", err=True)


def one_line(text: str) -> str:
    """Return `plain` text on one line, so that no name can pass for a message of ours.

    >>> one_line("a\\nWrote b")
    'a\\\\nWrote b'
    """
    return plain(text).replace("\n", "\\n")


def plain(text: str) -> str:
    """Return text that cannot steer a terminal: control and direction characters as escapes.

    >>> plain("a\\x1b[31mb\\u202e")
    'a\\\\x1b[31mb\\\\u202e'
    """
    return "".join(
        c if c in "\n\t" or c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )


def print_json(document: Any) -> None:
    """Print one JSON document."""
    typer.echo(as_json(document, indent=2))


def as_json(document: Any, indent: int | None = None) -> str:
    r"""Return a document as JSON, with whatever could steer a terminal escaped; it reads back the same.

    >>> print(as_json(["a\x9b\u202eb", "é"]))
    ["a\u009b\u202eb", "é"]
    """
    text = json.dumps(strict(document), ensure_ascii=False, allow_nan=False, indent=indent)
    if text.isprintable():
        return text
    # json.dumps has escaped control characters; the line ends of the indentation stay
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def strict(value: Any) -> Any:
    """Return a document that JSON can hold, with infinite and undefined numbers as null.

    >>> strict({"loss": [0.5, float("nan")]})
    {'loss': [0.5, None]}
    """
    if isinstance(value, dict):
        return {str(name): strict(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [strict(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def result_json(result: Experiment) -> dict[str, Any]:
    """Return an experiment as a JSON document."""
    return {
        **result.model.info,
        "status": result.status,
        "seconds": round(result.seconds, 3),
        "epochs": result.history.n_epochs,
        "best_epoch": result.history.best_epoch,
        "warnings": [
            {"kind": s.kind, "columns": list(s.columns), "message": s.message}
            for s in result.prepared.suspicions
        ],
        "history": result.history.to_dict(),
    }


def print_result(result: Experiment) -> None:
    """Print the scores of an experiment and its verdict."""
    counts = ", ".join(f"{count} {name}" for name, count in result.rows.items())
    target = ", ".join(result.model.info["target"]) or "the class"
    history = result.history
    typer.echo(
        plain(
            f"{result.model.info['task'].capitalize()} of {target}: rows {counts};"
            f" {history.n_epochs} epochs (best {history.best_epoch}) in {result.seconds:.1f} s"
        )
    )
    print_scores(result.evaluation)
    from glassnet.evaluation.single_split import verdict_of

    sentence = verdict_of(result.evaluation)
    if sentence:
        typer.echo(plain(sentence))
        typer.echo("One split says little: `glassnet compare` tests more models on many splits.")


def print_scores(evaluation: Evaluation) -> None:
    """Print a table of scores with one line per model."""
    models = {"network": evaluation.scores}
    for name, scores in evaluation.baselines.items():
        fitted_on = f" (on {scores['fitted_on']:.0f} rows)" if "fitted_on" in scores else ""
        models[name + fitted_on] = scores
    names = list(evaluation.scores)
    rows = [["test scores", *names]]
    rows += [
        [model, *(f"{scores.get(n, float('nan')):.4g}" for n in names)]
        for model, scores in models.items()
    ]
    typer.echo(text_table(rows))


def print_model(model: Model) -> None:
    """Print the contents of a model file."""
    info = model.info  # from a file: it may hold anything
    lines = [
        f"{info.get('task', model.loss.task)} of {', '.join(target_names(model)) or 'the target'}"
    ]
    rows = info.get("rows")
    if "data" in info:
        count = f": {rows.get('training')} rows" if isinstance(rows, dict) else ""
        lines.append(f"trained on {info['data']}{count}")
    if model.classes is not None:
        lines.append(f"classes: {', '.join(map(str, model.classes[:50]))}")
    if model.members > 1:
        lines.append(
            f"{model.members} networks, whose predictions are averaged; each has the layers:"
        )
    lines += ["", model.network.summary(model.in_shape)]
    if model.encoder is not None and model.encoder.kind == "table":
        lines += ["", "columns:"]
        lines += [
            f"  {name}: {kind}"
            + (
                f", not used: {model.encoder.dropped[name]}"
                if name in model.encoder.dropped
                else ""
            )
            for name, kind in zip(model.encoder.names, model.encoder.kinds, strict=True)
        ]
    baselines = info.get("baselines")
    tests = {"network": info.get("scores"), **(baselines if isinstance(baselines, dict) else {})}
    lines.append("")
    for name, scores in tests.items():
        if isinstance(scores, dict):
            numbers = ((k, v) for k, v in scores.items() if is_finite_number(v))
            lines.append(f"test scores, {name}: " + ", ".join(f"{k} {v:.4g}" for k, v in numbers))
    typer.echo(plain("\n".join(lines)))


def target_names(model: Model) -> list[str]:
    """Return the names of the columns that a model predicts; [] if its file does not say."""
    names = model.info.get("target")
    return [str(name) for name in names] if isinstance(names, list) else []


def prediction_columns(model: Model, X: Any) -> dict[str, Any]:
    """Return the columns of a table of predictions."""
    predicted = model.predict(X)
    names = target_names(model) or ["prediction"]
    classes: Any
    if predicted.ndim == 2:
        labels = getattr(model.target_encoder, "names", range(predicted.shape[1]))
        columns = {str(name): predicted[:, i] for i, name in enumerate(labels)}
    else:
        columns = {names[0]: predicted}
    if model.loss.task != "regression":
        proba = model.predict_proba(X)
        classes = model.classes
        if classes is None:  # several labels, or a custom network whose classes have no names
            classes = list(columns) if predicted.ndim == 2 else range(proba.shape[1])
        columns |= {f"probability {c}": p for c, p in zip(classes, proba.T, strict=True)}
    return columns


def as_csv(columns: dict[str, Any]) -> str:
    """Return columns as CSV with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
    return text.getvalue()


def as_records(columns: dict[str, Any]) -> str:
    """Return columns as a JSON list of one record per row."""
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    return as_json([dict(zip(columns, row, strict=True)) for row in rows]) + "\n"
