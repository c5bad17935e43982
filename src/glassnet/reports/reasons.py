"""Show what the network relies on, and what moved its worst predictions.

Everything is computed on a sample of the test rows that is small enough for a report to take seconds.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from glassnet.data.tables import Table, as_table, indexable, is_table, rows_at
from glassnet.display.html import (
    Cell,
    bar,
    bullets,
    counted,
    escape,
    figure,
    name,
    number,
    paragraph,
    table,
)
from glassnet.display.thumbnails import pixel_map, thumbnail
from glassnet.errors import ConfigurationError, DataError
from glassnet.evaluation.evaluation import Evaluation
from glassnet.explain.attribution import Attribution, attribute
from glassnet.explain.examples import prototypes
from glassnet.explain.importance import Importance, permutation_importance
from glassnet.explain.rows import as_text
from glassnet.models.model import Model
from glassnet.nn.shapes import parameter_count
from glassnet.reports.facts import ReportContent

MIN_ROWS = 10
MAX_ROWS = 1000
MAX_COLUMNS = 1000
MAX_WORK = 4e10  # multiplications for the importance of columns: one to three seconds on two cores
SHOWN_COLUMNS = 20
SHOWN_REASONS = 3
MAPPED_PICTURES = 200
MAX_CLASSES = 12


def reliance_section(content: ReportContent) -> str:
    """Return the importance of columns; for pictures, of pixels, and a typical picture of each class."""
    evaluation = content.evaluation
    if evaluation.X is None or len(evaluation.y_true) < MIN_ROWS:
        return ""
    if len(content.model.in_shape) > 1:
        return _pixels(content) + _prototypes(content)
    return _importance(content)


# ---------------------------------------------------------------------------------------- columns


def _importance(content: ReportContent) -> str:
    model, evaluation = content.model, content.evaluation
    columns = _width(evaluation)
    if columns > MAX_COLUMNS:
        return paragraph(
            f"Shuffling {counted(columns, 'column')} takes too long for a report. To do it, run"
            " <code>glassnet explain MODEL DATA</code>."
        )
    repeats = 5 if columns <= 100 else 2
    parameters = parameter_count(model.params)
    rows = int(np.clip(MAX_WORK / (parameters * columns * repeats), 100, MAX_ROWS))
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # undefined scores, which are left out
            importance = permutation_importance(
                model, evaluation.X, evaluation.y_true, repeats=repeats, max_rows=rows
            )
    except (ConfigurationError, DataError):  # the model uses no column
        return ""
    return _ranked(importance) if np.isfinite(importance.falls).all() else ""


def _width(evaluation: Evaluation) -> int:
    X = evaluation.X
    return len(as_table(X).names) if is_table(X) else int(np.shape(X)[1])


def _ranked(importance: Importance) -> str:
    order = np.argsort(-importance.mean, kind="stable")
    largest = max(float(importance.mean.max()), 1e-12)
    rows: list[list[str | Cell]] = []
    for j in order[:SHOWN_COLUMNS]:
        mean, deviation = float(importance.mean[j]), float(importance.deviation[j])
        shown = Cell(bar(mean / largest), ' class="bars"')
        rows.append([name(importance.columns[j]), f"{number(mean)} ± {deviation:.2g}", shown])
    left = len(order) - len(rows)
    noise = int((importance.mean <= 2 * importance.deviation).sum())
    measured = f"{importance.scoring} ({number(importance.score)} on {counted(importance.rows, 'test row')})"
    text = (
        f"How much {measured} drops when the values of one column are shuffled among the rows, so that the"
        " column says nothing about its row."
    )
    note = (
        "Columns with the same information can replace each other: shuffling only one of them costs"
        " little."
    )
    if noise:
        note += f" The drop of {counted(noise, 'column')} is within two standard deviations of 0."
    if left:
        note += f" {counted(left, 'less important column')} not shown."
    head = ["Column", "Drop", "Relative to the largest"]
    repeats = counted(importance.falls.shape[1], "shuffle")
    caption = f"Importance of columns, largest first: mean ± standard deviation over {repeats}"
    return paragraph(text) + table(caption, head, rows, numeric=(1,), kind="barred", note=note)


# --------------------------------------------------------------------------------------- pictures


def _pixels(content: ReportContent) -> str:
    X = np.asarray(content.evaluation.X)
    rows = X[np.unique(np.linspace(0, len(X) - 1, MAPPED_PICTURES).astype(int))]
    attribution = _attributed(content.model, rows)
    if attribution is None:
        return ""
    text = (
        f"How far each pixel moves the prediction up or down, relative to a black picture: the mean size of"
        f" the integrated gradients over {counted(len(rows), 'test picture')} (unit:"
        f" {escape(attribution.unit)})."
    )
    pictures = [
        figure(thumbnail(rows.mean(axis=0), X, "Mean picture"), "The mean of these pictures"),
        figure(
            pixel_map(attribution.overall(), "Map of how far each pixel moves the prediction"),
            "Lighter pixels move the prediction more",
        ),
    ]
    return paragraph(text) + bullets(pictures, "gallery")


def _prototypes(content: ReportContent) -> str:
    """Return the most typical picture of each class, and which of its pixels support the class."""
    evaluation = content.evaluation
    classes = evaluation.classes
    if evaluation.task != "classification" or classes is None:
        return ""
    typical = prototypes(content.model, evaluation.X, evaluation.y_true, count=1)
    chosen = typical.rows[:MAX_CLASSES]
    X = np.asarray(evaluation.X)
    labels = evaluation.y_true[chosen]
    reasons = _attributed(content.model, X[chosen], labels)
    items = []
    for i, (row, label) in enumerate(zip(chosen, labels, strict=True)):
        pair = thumbnail(X[row], X, f"Test picture {row} of class {label}")
        if reasons is not None:
            pair += pixel_map(reasons.values[i], f"Map of the pixels that support class {label}")
        items.append(figure(f'<div class="pair">{pair}</div>', name(label)))
    left = len(typical.rows) - len(chosen)
    more = f" {counted(left, 'further class')} not shown." if left else ""
    text = (
        "For each class, the test picture nearest to the mean of its class in the last hidden layer. The map"
        f" beside it shows which pixels support the class: light pixels do, dark pixels oppose it.{more}"
    )
    heading = "<h3>Typical pictures</h3>\n"
    return heading + paragraph(text) + bullets(items, "gallery pairs")


# -------------------------------------------------------------------------------- worst predictions


def reasons_for(content: ReportContent, chosen: NDArray[np.intp]) -> list[str] | None:
    """Return for each chosen test row, as HTML, what moved the prediction away from the truth.

    If the prediction is right, return what moved it away from the second most probable class. None if the
    model cannot be explained.
    """
    model, evaluation = content.model, content.evaluation
    if evaluation.X is None:
        return None
    X = evaluation.X
    rows = rows_at(indexable(X), chosen)
    target = against = None
    if evaluation.task == "classification":
        target, against = evaluation.y_pred[chosen], _rivals(evaluation, chosen)
        if against is None:
            return None
    elif evaluation.task == "labels" or len(content.targets) > 1:
        return None
    attribution = _attributed(model, rows, target, against)
    if attribution is None:
        return None
    if not attribution.columns:
        alt = "Map of the pixels that support the prediction"
        return [pixel_map(values, f"{alt}, row {i}") for i, values in enumerate(attribution.values)]
    return [_top_columns(attribution, i) for i in range(len(attribution))]


def _rivals(evaluation: Evaluation, chosen: NDArray[np.intp]) -> NDArray[np.generic] | None:
    """Return for each row the true class or, if it was predicted, the second most probable class."""
    classes, proba = evaluation.classes, evaluation.proba
    if classes is None or proba is None or len(classes) < 2:
        return None
    second = classes[np.argsort(-proba[chosen], axis=1, kind="stable")[:, 1]]
    true, predicted = evaluation.y_true[chosen], evaluation.y_pred[chosen]
    return np.where(true == predicted, second, true)


def _top_columns(attribution: Attribution, i: int) -> str:
    """Return the columns that moved the prediction of a row most, such as "age 31 (+1.2)"."""
    order = np.argsort(-np.abs(attribution.values[i]), kind="stable")[:SHOWN_REASONS]
    lines = []
    for j in order:
        column, value = attribution.columns[j], float(attribution.values[i, j])
        cell, sign = escape(as_text(attribution.cells[i][column]), 30), "+" if value > 0 else ""
        lines.append(f"{name(column)} {cell} ({sign}{number(value)})")
    return "<br>".join(lines)


def _attributed(
    model: Model,
    rows: Table | NDArray[np.generic],
    target: NDArray[np.generic] | None = None,
    against: NDArray[np.generic] | None = None,
) -> Attribution | None:
    """Return what moved the predictions; None if the network has no gradient with respect to its inputs."""
    try:
        with np.errstate(all="ignore"):
            return attribute(model, rows, target, against=against)
    except ConfigurationError:
        return None
