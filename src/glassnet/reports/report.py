"""Report: a trained model and its test on one HTML page that opens anywhere, without a network.

A section is one function from a `ReportContent` to HTML ("": it is left out) and one row of `SECTIONS`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import NamedTuple

import jax
import numpy as np

from glassnet.display import charts
from glassnet.display.html import (
    bullets,
    clean,
    code,
    counted,
    escape,
    name,
    number,
    page,
    paragraph,
    table,
    thousands,
)
from glassnet.evaluation.evaluation import Evaluation
from glassnet.models.model import Model
from glassnet.reports import mistakes
from glassnet.reports.facts import Facts, ReportContent
from glassnet.reports.inputs import described_inputs
from glassnet.reports.network import diagnosis, network
from glassnet.reports.reasons import relied_on, spoke_for
from glassnet.reports.scores import result
from glassnet.training.history import History

MOST_METRICS = 2
PACKAGES = ("glassnet", "jax", "numpy", "scikit-learn")


class Section(NamedTuple):
    """One part of the page: its id, its heading, and what writes it."""

    key: str
    heading: str
    body: Callable[[ReportContent], str]


def report_html(model: Model, history: History, evaluation: Evaluation, facts: Facts) -> str:
    """Return the report as one HTML page: no scripts, nothing loaded from anywhere, for any screen.

    It says what was learned from what, whether the network is better than the baselines, how
    training went and what hindered it, where the test went wrong and why, what the network relies on and
    looks like, what the data are and how to use the model; what is not known is left out. All text from
    the data is escaped. The same arguments give the same text.

    >>> from sklearn.datasets import load_iris
    >>> from glassnet.fit.estimators import NeuralClassifier
    >>> from glassnet.evaluation.evaluation import evaluate
    >>> X, y = load_iris(return_X_y=True)
    >>> estimator = NeuralClassifier(random_state=0, epochs=5).fit(X, y)
    >>> tested = evaluate(estimator.model_, X, y)
    >>> html = report_html(estimator.model_, estimator.history_, tested, Facts("iris", "species"))
    >>> html.startswith("<!DOCTYPE html>"), "http://" in html, "https://" in html
    (True, False, False)
    """
    source = ReportContent(model, history, evaluation, facts)
    written = [(key, heading, body(source)) for key, heading, body in SECTIONS]
    title = f"{facts.target or 'the target'} from {facts.title or 'data'}"
    header = (
        paragraph("glassnet report", "eyebrow")
        + f"<h1>Predicting {name(facts.target or 'the target')} from {name(facts.title)}</h1>\n"
        + paragraph(_learned(source), "lede")
    )
    return page(f"Report: {title}", header, [part for part in written if part[2]])


def _learned(source: ReportContent) -> str:
    """Return what was learned from what, in a sentence of HTML."""
    model, facts = source.model, source.facts
    parameters = sum(int(np.size(leaf)) for leaf in jax.tree.leaves(model.params))
    classes = source.evaluation.classes
    what = name(facts.target or "the target")
    if classes is not None:
        noun = "label" if source.evaluation.task == "labels" else "class"
        what += f" ({counted(len(classes), noun)})"
    if not source.trained:
        tested = counted(len(source.evaluation.y_true), "row")
        return (
            f"A feedforward network with {counted(parameters, 'parameter')} predicts {what}. It was read from"
            f" {name(facts.model_file or 'a file')} and is tested here on {tested}."
        )
    rows = facts.rows.get("training")
    basis = f" from {counted(rows, 'training row')}" if rows else ""
    took = f" in {number(round(facts.seconds, 1))} s" if facts.seconds else ""
    return (
        f"A feedforward network with {counted(parameters, 'parameter')} learned to predict {what}"
        f"{basis} in {counted(source.history.n_epochs, 'epoch')}{took}."
    )


# ---------------------------------------------------------------------------------------- learning


def learning(source: ReportContent) -> str:
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
    known = ("epoch", "loss", "penalty", "learning_rate", "gradient_norm", "temperature")
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


def errors(source: ReportContent) -> str:
    """Return where the test went wrong, by task."""
    return mistakes.errors(source.evaluation, source.targets)


def examples(source: ReportContent) -> str:
    """Return the test rows that were predicted worst."""
    return mistakes.examples(
        source.evaluation, source.facts.test_rows, lambda places: spoke_for(source, places)
    )


# -------------------------------------------------------------------------------------------- data


def data(source: ReportContent) -> str:
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


# ------------------------------------------------------------------------------------ use, versions


def use(source: ReportContent) -> str:
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


def versions(source: ReportContent) -> str:
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
    Section("diagnosis", "Diagnosis", diagnosis),
    Section("errors", "Errors on the test rows", errors),
    Section("examples", "Worst-predicted test rows", examples),
    Section("reasons", "What the network relies on", relied_on),
    Section("data", "Data", data),
    Section("network", "Network", network),
    Section("use", "How to use the model", use),
    Section("versions", "Versions", versions),
)
