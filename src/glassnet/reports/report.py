"""Write a trained model and its test as one HTML page that opens in any browser, offline.

A section is a function from a `ReportContent` to HTML ("": it is left out) and a row of `SECTIONS`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from platform import python_version

import numpy as np

from glassnet.display import charts
from glassnet.display.html import (
    bullets,
    clean,
    code,
    counted,
    escape,
    figure,
    name,
    number,
    page,
    paragraph,
    table,
    thousands,
)
from glassnet.evaluation.evaluation import Evaluation
from glassnet.models.model import Model
from glassnet.nn.shapes import parameter_count
from glassnet.reports import mistakes
from glassnet.reports.facts import Facts, ReportContent
from glassnet.reports.inputs import described_inputs
from glassnet.reports.network import diagnosis_section, network_section
from glassnet.reports.reasons import reasons_for, reliance_section
from glassnet.reports.scores import result_section
from glassnet.training.history import History

MAX_METRICS = 2
PACKAGES = ("glassnet", "jax", "numpy", "scikit-learn")


def report_html(model: Model, history: History, evaluation: Evaluation, facts: Facts) -> str:
    """Return the report as one HTML page for any screen, without scripts or anything to load.

    It shows whether the network is better than simple models, how training went and what held it back,
    where and why the model errs on the test rows, what the network relies on, the data, the network, and
    how to use the model. Sections without data are left out. All text from the data is escaped. The same
    arguments give the same page.

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
    content = ReportContent(model, history, evaluation, facts)
    sections = [(key, heading, body(content)) for key, heading, body in SECTIONS]
    title = f"{facts.target or 'the target'} from {facts.title or 'data'}"
    header = (
        paragraph("glassnet report", "eyebrow")
        + f"<h1>Predicting {name(facts.target or 'the target')} from {name(facts.title)}</h1>\n"
        + paragraph(_learned(content), "lede")
    )
    return page(f"Report: {title}", header, sections)


def _learned(content: ReportContent) -> str:
    """Return a sentence (HTML) about the network, its target and its training."""
    model, facts = content.model, content.facts
    parameters = parameter_count(model.params)
    classes = content.evaluation.classes
    predicted = name(facts.target or "the target")
    if classes is not None:
        noun = "label" if content.evaluation.task == "labels" else "class"
        predicted += f" ({counted(len(classes), noun)})"
    if not content.trained:
        tested = counted(len(content.evaluation.y_true), "row")
        return (
            f"A feedforward network with {counted(parameters, 'parameter')} predicts {predicted}. It was"
            f" read from {name(facts.model_file or 'a file')} and is tested here on {tested}."
        )
    rows = facts.rows.get("training")
    basis = f" from {counted(rows, 'training row')}" if rows else ""
    took = f" in {number(round(facts.seconds, 1))} s" if facts.seconds else ""
    return (
        f"A feedforward network with {counted(parameters, 'parameter')} learned to predict {predicted}"
        f"{basis} in {counted(content.history.n_epochs, 'epoch')}{took}."
    )


# ---------------------------------------------------------------------------------------- learning


def learning_section(content: ReportContent) -> str:
    """Return the curves of loss and metrics in training and validation, with the best epoch."""
    history = content.history
    if not history.n_epochs:
        return ""
    drawn = ["loss", *list(_metrics(history))[:MAX_METRICS]]
    figures = "".join(_curve(history, column) for column in drawn)
    first, last = (number(float(loss)) for loss in history["loss"][[0, -1]])
    text = f"Training loss went from {first} to {last} over {counted(history.n_epochs, 'epoch')}."
    if "validation_loss" in history and history.best_epoch:
        lowest = float(np.nanmin(history["validation_loss"]))
        text += f" Validation loss was lowest, {number(lowest)}, after epoch {history.best_epoch}."
    else:
        text += " No rows were set aside for validation."
    return paragraph(text) + f'<div class="charts">{figures}</div>\n'


def _metrics(history: History) -> Iterator[str]:
    known = ("epoch", "loss", "penalty", "learning_rate", "gradient_norm", "temperature")
    return (c for c in history if c not in known and not c.startswith("validation_"))


def _curve(history: History, column: str) -> str:
    title = column.replace("_", " ")
    keys = {"training": column, "validation": f"validation_{column}"}
    lines = [charts.Line(label, history[key]) for label, key in keys.items() if key in history]
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
    return figure(drawing, f"{escape(title.capitalize())} after each epoch.")


# ---------------------------------------------------------------------------- errors and examples


def errors_section(content: ReportContent) -> str:
    """Return the confusion matrix, the scores of each label, or the residuals."""
    return mistakes.error_tables(content.evaluation, content.targets)


def worst_rows_section(content: ReportContent) -> str:
    """Return the test rows that were predicted worst."""
    return mistakes.worst_rows(
        content.evaluation, content.facts.test_rows, lambda chosen: reasons_for(content, chosen)
    )


# -------------------------------------------------------------------------------------------- data


def data_section(content: ReportContent) -> str:
    """Return the split, what is suspicious, and how each column is encoded."""
    facts = content.facts
    parts = []
    if facts.rows:
        rows = [[escape(part.capitalize()), thousands(count)] for part, count in facts.rows.items()]
        parts.append(table("How the rows were split", ["Rows for", "Rows"], rows, numeric=(1,)))
    parts.append(bullets(escape(note, 400) for note in facts.notes))
    if facts.suspicions:
        items = (f"<b>{escape(s.kind)}</b> {escape(s.message, 600)}" for s in facts.suspicions)
        parts.append("<h3>Suspicious</h3>\n" + bullets(items, "warnings"))
    parts.append("<h3>Inputs of the network</h3>\n")
    parts.append(described_inputs(content.model))
    return "".join(parts)


# ------------------------------------------------------------------------------------ use, versions


def use_section(content: ReportContent) -> str:
    """Return how to predict with the model, on the command line and in Python."""
    file = clean(content.facts.model_file) or "MODEL.glassnet"
    proba = "" if content.evaluation.task == "regression" else "\nmodel.predict_proba(X)"
    rows = "a data frame with the columns above" if content.model.encoder else "an array of rows"
    python = (
        f"import glassnet as gn\n\nmodel = gn.load({file!r})\nmodel.predict(X) # X: {rows}{proba}"
    )
    made = content.facts.command
    return (
        paragraph("To predict new rows on the command line:")
        + code(f"glassnet predict {shlex.quote(file)} NEW_DATA --out predictions.csv")
        + paragraph("In Python:")
        + code(python)
        + (paragraph("This model was made by:") + code(clean(made, 1000)) if made else "")
    )


def versions_section(content: ReportContent) -> str:
    """Return the versions of Python and packages."""
    releases = {"Python": python_version()}
    for package in PACKAGES:
        try:
            releases[package] = version(package)
        except PackageNotFoundError:  # run from a source tree that was never installed
            continue
    rows = [[escape(package), escape(release)] for package, release in releases.items()]
    return table("Made with these versions", ["Package", "Version"], rows)


SECTIONS: tuple[tuple[str, str, Callable[[ReportContent], str]], ...] = (
    ("result", "Result", result_section),
    ("learning", "Learning curves", learning_section),
    ("diagnosis", "Diagnosis", diagnosis_section),
    ("errors", "Errors on the test rows", errors_section),
    ("examples", "Worst-predicted test rows", worst_rows_section),
    ("reasons", "What the network relies on", reliance_section),
    ("data", "Data", data_section),
    ("network", "Network", network_section),
    ("use", "How to use the model", use_section),
    ("versions", "Versions", versions_section),
)
"""Id, heading, and function of each section, which is left out if the function returns ""."""
