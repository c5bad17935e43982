"""Report: a trained model and its test on one HTML page that opens anywhere, without a network.

A section is one function from a `Source` to HTML ("": it is left out) and one row of `SECTIONS`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from glassnet import charts, mistakes
from glassnet.evaluation import Evaluation, verdict
from glassnet.history import History
from glassnet.inputs import described_inputs
from glassnet.markup import (
    Cell,
    bullets,
    clean,
    code,
    counted,
    escape,
    name,
    number,
    page,
    paragraph,
    percent,
    table,
    thousands,
)
from glassnet.model import Model
from glassnet.suspicions import Suspicion
from glassnet.targets import TargetScaler

MOST_METRICS = 2
PACKAGES = ("glassnet", "jax", "numpy", "scikit-learn")


@dataclass(frozen=True)
class Facts:
    """What a report says beside model, history and test.

    Parameters
    ----------
    title: what the data are called: a file, a folder.
    target: the name of what is predicted; several with commas between.
    rows: how many rows were for "training", "validation", "test".
    seconds: how long training took.
    command: what was typed; "" if nothing was.
    notes: what reading the data decided or dropped, a sentence each.
    suspicions: what in the data makes a good score mean little.
    test_rows: the row number in the data of each test row; None: they are counted by themselves.
    model_file: where the model was written; "" if that is not known.
    """

    title: str
    target: str
    rows: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    command: str = ""
    notes: tuple[str, ...] = ()
    suspicions: tuple[Suspicion, ...] = ()
    test_rows: NDArray[np.intp] | None = None
    model_file: str = ""


class Source(NamedTuple):
    """What every section is made from."""

    model: Model
    history: History
    evaluation: Evaluation
    facts: Facts


class Section(NamedTuple):
    """One part of the page: its id, its heading, and what writes it."""

    key: str
    heading: str
    body: Callable[[Source], str]


def report_html(model: Model, history: History, evaluation: Evaluation, facts: Facts) -> str:
    """Return the report as one HTML page: no scripts, nothing loaded from anywhere, for any screen.

    It says what was learned from what, whether the network is better than the baselines, how
    training went, where the test went wrong, what the data are and how to use the model. All text
    from the data is escaped. The same arguments give the same text.

    >>> from sklearn.datasets import load_iris
    >>> from glassnet.estimators import NeuralClassifier
    >>> from glassnet.evaluation import evaluate
    >>> X, y = load_iris(return_X_y=True)
    >>> estimator = NeuralClassifier(random_state=0, epochs=5).fit(X, y)
    >>> tested = evaluate(estimator.model_, X, y)
    >>> html = report_html(estimator.model_, estimator.history_, tested, Facts("iris", "species"))
    >>> html.startswith("<!DOCTYPE html>"), "http://" in html, "https://" in html
    (True, False, False)
    """
    source = Source(model, history, evaluation, facts)
    written = [(key, heading, body(source)) for key, heading, body in SECTIONS]
    title = f"{facts.target or 'the target'} from {facts.title or 'data'}"
    header = (
        paragraph("glassnet training report", "eyebrow")
        + f"<h1>Predicting {name(facts.target or 'the target')} from {name(facts.title)}</h1>\n"
        + paragraph(_learned(source), "lede")
    )
    return page(f"Report: {title}", header, [part for part in written if part[2]])


# ------------------------------------------------------------------------------------------ result


class _Score(NamedTuple):
    """How a score is called, written and explained."""

    title: str
    write: Callable[[float], str]
    meaning: str


SCORES = {
    "accuracy": _Score("Accuracy", percent, "share of the rows predicted right"),
    "balanced_accuracy": _Score("Balanced accuracy", percent, "mean of the classes' recalls"),
    "subset_accuracy": _Score(
        "Subset accuracy", percent, "share of the rows with all labels right"
    ),
    "macro_f1": _Score("Macro F1", number, "mean over classes of the F1 of precision and recall"),
    "log_loss": _Score(
        "Log-loss", number, "mean of −ln of the truth's probability; lower is better, 0 is best"
    ),
    "r2": _Score("R²", number, "share of the variance explained; 0 is the mean's, 1 is best"),
    "rmse": _Score("RMSE", number, "root of the mean squared error; lower is better"),
    "mae": _Score("MAE", number, "mean absolute error; lower is better"),
}
MODELS = {
    "network": "Network",
    "linear": "Linear model",
    "boosting": "Gradient boosting",
    "majority": "Always the most frequent",
    "mean": "Always the mean",
}
SHARES = ("accuracy", "subset_accuracy")


def _learned(source: Source) -> str:
    """Return what was learned from what, in a sentence of HTML."""
    model, facts = source.model, source.facts
    parameters = sum(int(np.size(leaf)) for leaf in jax.tree.leaves(model.params))
    classes = source.evaluation.classes
    what = name(facts.target or "the target")
    if classes is not None:
        noun = "label" if source.evaluation.task == "labels" else "class"
        what += f" ({counted(len(classes), noun)})"
    rows = facts.rows.get("training")
    basis = f" from {counted(rows, 'training row')}" if rows else ""
    took = f" in {number(round(facts.seconds, 1))} s" if facts.seconds else ""
    return (
        f"A feedforward network with {counted(parameters, 'parameter')} learned to predict {what}"
        f"{basis} in {counted(source.history.n_epochs, 'epoch')}{took}."
    )


def result(source: Source) -> str:
    """Return the verdict, the headline score of each model as a card, and all scores."""
    evaluation = source.evaluation
    if not evaluation.scores:
        return ""
    models = {"network": evaluation.scores, **evaluation.baselines}
    order = [key for key in MODELS if key in models] + [key for key in models if key not in MODELS]
    headline = next(iter(evaluation.scores))
    rows = len(evaluation.y_true)
    cards = "".join(_card(key, models[key], headline, rows) for key in order)
    return (
        paragraph(escape(verdict(evaluation), 1000), "verdict")
        + f'<dl class="cards">{cards}</dl>\n'
        + _score_table({key: models[key] for key in order}, list(evaluation.scores))
        + _doubts(source.facts.suspicions)
    )


def _doubts(suspicions: tuple[Suspicion, ...]) -> str:
    """Return a pointer to what may make the score mean little."""
    if not suspicions:
        return ""
    kinds = ", ".join(dict.fromkeys(escape(s.kind) for s in suspicions))
    text = f'Before you believe this score, read what is <a href="#data">suspicious in the data</a>: {kinds}.'
    return bullets([text], "warnings")


def _card(key: str, scores: dict[str, float], headline: str, rows: int) -> str:
    if headline not in scores:
        return ""
    score, value = _score(headline), scores[headline]
    share = f"{min(max(value, 0.0), 1.0) * 100:.1f}%"
    bar = (
        f'<div class="bar"><i style="width:{share}"></i></div>'
        if headline in (*SHARES, "r2")
        else ""
    )
    note = score.title.lower() if score.title != "R²" else "R²"
    if key == "network" and headline in SHARES:
        low, high = interval(value, rows)
        note += f"; 95 % interval {percent(low)} to {percent(high)}"
    kind = ' class="main"' if key == "network" else ""
    return (
        f'<div{kind}><dt>{escape(MODELS.get(key, key))}</dt><dd><span class="value">'
        f'{score.write(value)}</span>{bar}<span class="note">{note}</span></dd></div>'
    )


def interval(share: float, rows: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share of so many rows (Wilson, 1927).

    >>> [round(end, 3) for end in interval(0.8, 100)]
    [0.711, 0.867]
    """
    z = 1.96
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * (share * (1 - share) / rows + z * z / (4 * rows * rows)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def _score_table(models: dict[str, dict[str, float]], names: list[str]) -> str:
    rows: list[list[str | Cell]] = []
    for key, scores in models.items():
        cells = [_score(n).write(scores[n]) if n in scores else "not defined" for n in names]
        fitted = scores.get("fitted_on")
        label = escape(MODELS.get(key, key))
        label += f" (fitted on {thousands(fitted)} rows)" if fitted else ""
        rows.append([Cell(f"<strong>{label}</strong>" if key == "network" else label), *cells])
    meanings = "; ".join(f"{_score(n).title}: {_score(n).meaning}" for n in names)
    head = ["Model", *(_score(n).title for n in names)]
    caption = "Scores on the test rows, which no model has seen"
    return table(caption, head, rows, numeric=range(1, len(head)), note=f"{meanings}.")


def _score(key: str) -> _Score:
    return SCORES.get(key) or _Score(escape(key), number, "as scikit-learn defines it")


# ---------------------------------------------------------------------------------------- learning


def learning(source: Source) -> str:
    """Return the curves of loss and metrics, training and validation, and the best epoch."""
    history = source.history
    if not history.n_epochs:
        return ""
    drawn = ["loss", *list(_metrics(history))[:MOST_METRICS]]
    figures = "".join(_curve(history, column) for column in drawn)
    first, last = (number(float(loss)) for loss in history["loss"][[0, -1]])
    said = f"Training loss went from {first} to {last} over {counted(history.n_epochs, 'epoch')}."
    if "validation_loss" in history and history.best_epoch:
        lowest = float(np.nanmin(history["validation_loss"]))
        said += f" Validation loss was lowest, {number(lowest)}, after epoch {history.best_epoch}."
    else:
        said += " No rows were set aside for validation."
    return paragraph(said) + f'<div class="charts">{figures}</div>\n'


def _metrics(history: History) -> Iterator[str]:
    known = ("epoch", "loss", "penalty", "learning_rate", "gradient_norm")
    return (c for c in history if c not in known and not c.startswith("validation_"))


def _curve(history: History, column: str) -> str:
    title = column.replace("_", " ")
    found = {"training": column, "validation": f"validation_{column}"}
    lines = [charts.Line(label, history[key]) for label, key in found.items() if key in history]
    ends = "; ".join(
        f"{line.label} from {number(float(line.values[0]))} to {number(float(line.values[-1]))}"
        for line in lines
    )
    best = history.best_epoch if len(lines) > 1 else 0
    drawing = charts.curves(
        f"learning-{column.replace('_', '-')}",
        f"{title.capitalize()} over {counted(history.n_epochs, 'epoch')}: {ends}.",
        history["epoch"],
        lines,
        best,
        title,
    )
    return mistakes.figure(drawing, f"{escape(title.capitalize())} after each epoch.")


# ---------------------------------------------------------------------------- errors and examples


def errors(source: Source) -> str:
    """Return where the test went wrong, by task."""
    return mistakes.errors(source.evaluation, _targets(source))


def examples(source: Source) -> str:
    """Return the test rows that were predicted worst."""
    return mistakes.examples(source.evaluation, source.facts.test_rows)


def _targets(source: Source) -> list[str]:
    target = source.model.target
    if isinstance(target, TargetScaler) and len(target.names) > 1:
        return list(target.names)
    return [source.facts.target or "the target"]


# -------------------------------------------------------------------------------------------- data


def data(source: Source) -> str:
    """Return the split, what is suspicious, and how each column enters the network."""
    facts = source.facts
    parts = []
    if facts.rows:
        rows = [[escape(part.capitalize()), thousands(count)] for part, count in facts.rows.items()]
        parts.append(table("How the rows were split", ["Rows for", "Rows"], rows, numeric=(1,)))
    parts.append(bullets(escape(note, 400) for note in facts.notes))
    if facts.suspicions:
        told = (f"<b>{escape(s.kind)}</b> {escape(s.message, 600)}" for s in facts.suspicions)
        parts.append("<h3>Suspicious</h3>\n" + bullets(told, "warnings"))
    parts.append("<h3>Inputs of the network</h3>\n")
    parts.append(described_inputs(source.model))
    return "".join(parts)


# ----------------------------------------------------------------------------------------- network


def network(source: Source) -> str:
    """Return the layers with their shapes and parameters, and what was trained on what."""
    model, history = source.model, source.history
    head, *lines, total = model.network.summary(model.in_shape).split("\n")
    starts = [head.index(column) for column in head.split()]
    ends = [*starts[1:], None]
    rows = [[escape(line[a:b]) for a, b in zip(starts, ends, strict=True)] for line in lines]
    shape = "×".join(map(str, model.in_shape))
    caption = f"Layers from input (shape {shape}) to output: {escape(total)}"
    facts = [["Loss", escape(model.loss)], ["Numbers", escape(model.dtype)]]
    if "learning_rate" in history and history.n_epochs:
        rates = [number(float(rate)) for rate in history["learning_rate"][[0, -1]]]
        facts.append(["Learning rate", f"{rates[0]} in the first epoch, {rates[1]} in the last"])
    heads = ["Layer", "Name", "Output", "Parameters"]
    return table(caption, heads, rows) + table("Training", ["What", "Value"], facts)


# ------------------------------------------------------------------------------------ use, versions


def use(source: Source) -> str:
    """Return how to predict with the model, by the command and in Python."""
    file = clean(source.facts.model_file) or "MODEL.glassnet"
    proba = "" if source.evaluation.task == "regression" else "\nmodel.predict_proba(X)"
    rows = (
        "a data frame with the columns above" if source.model.encoder else "an array of such rows"
    )
    python = (
        f"import glassnet as gn\n\nmodel = gn.load({file!r})\nmodel.predict(X) # X: {rows}{proba}"
    )
    made = source.facts.command
    return (
        paragraph("On new rows, with the command:")
        + code(f"glassnet predict {shlex.quote(file)} NEW_DATA --out predictions.csv")
        + paragraph("In Python:")
        + code(python)
        + (paragraph("This model was made by:") + code(clean(made, 1000)) if made else "")
    )


def versions(source: Source) -> str:
    """Return what the report was made with."""
    found = {"Python": python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # run from a source tree that was never installed
            continue
    rows = [[escape(package), escape(release)] for package, release in found.items()]
    return table("Made with these versions", ["Package", "Version"], rows)


SECTIONS: tuple[Section, ...] = (
    Section("result", "Result", result),
    Section("learning", "Learning curves", learning),
    Section("errors", "Errors on the test rows", errors),
    Section("examples", "Worst-predicted test rows", examples),
    Section("data", "Data", data),
    Section("network", "Network", network),
    Section("use", "How to use the model", use),
    Section("versions", "Versions", versions),
)
