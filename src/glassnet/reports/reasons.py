"""Reasons: what the network relies on, and what spoke for its mistakes, as parts of a report.

All of it is computed on the test rows, on few enough of them that a report takes seconds.
"""

from __future__ import annotations

import warnings

import jax
import numpy as np
from numpy.typing import NDArray

from glassnet.data.tables import Table, as_table, dense, is_table
from glassnet.display.html import Cell, bullets, counted, escape, name, number, paragraph, table
from glassnet.display.thumbnails import pixel_map, thumbnail
from glassnet.errors import ConfigurationError, DataError
from glassnet.evaluation.evaluation import Evaluation
from glassnet.explain.attribution import Attribution, attribute
from glassnet.explain.examples import prototypes
from glassnet.explain.importance import Importance, permutation_importance
from glassnet.explain.rows import as_text
from glassnet.models.model import Model
from glassnet.reports.facts import ReportContent
from glassnet.reports.mistakes import figure

FEWEST_ROWS = 10
MOST_ROWS = 1000
MOST_COLUMNS = 1000
WORK = 4e10  # multiplications for the importance of columns: one to three seconds on two cores
SHOWN = 20
MOVERS = 3
MAPPED = 200
MOST_CLASSES = 12


def relied_on(source: ReportContent) -> str:
    """Return how much each column matters, or for pictures which pixels, and each class's typical one."""
    evaluation = source.evaluation
    if evaluation.X is None or len(evaluation.y_true) < FEWEST_ROWS:
        return ""
    if len(source.model.in_shape) > 1:
        return _pixels(source) + _prototypes(source)
    return _importance(source)


# ------------------------------------------------------------------------------------- of columns


def _importance(source: ReportContent) -> str:
    model, evaluation = source.model, source.evaluation
    columns = _width(evaluation)
    if columns > MOST_COLUMNS:
        return paragraph(
            f"Shuffling each of {counted(columns, 'column')} would take long, and a report should not:"
            " <code>glassnet explain MODEL DATA</code> does it."
        )
    repeats = 5 if columns <= 100 else 2
    parameters = sum(int(np.size(leaf)) for leaf in jax.tree.leaves(model.params))
    rows = int(np.clip(WORK / (parameters * columns * repeats), 100, MOST_ROWS))
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # of scores that are not defined, which are left out
            found = permutation_importance(
                model, evaluation.X, evaluation.y_true, repeats=repeats, max_rows=rows
            )
    except (ConfigurationError, DataError):  # it uses no column
        return ""
    return _ranked(found) if np.isfinite(found.falls).all() else ""


def _width(evaluation: Evaluation) -> int:
    X = evaluation.X
    return len(as_table(X).names) if is_table(X) else int(np.shape(X)[1])


def _ranked(found: Importance) -> str:
    order = np.argsort(-found.mean, kind="stable")
    most = max(float(found.mean.max()), 1e-12)
    rows: list[list[str | Cell]] = []
    for j in order[:SHOWN]:
        mean, deviation = float(found.mean[j]), float(found.deviation[j])
        share = f"{min(max(mean / most, 0.0), 1.0) * 100:.1f}%"
        shown = Cell(f'<div class="bar"><i style="width:{share}"></i></div>', ' class="bars"')
        rows.append([name(found.columns[j]), f"{number(mean)} ± {deviation:.2g}", shown])
    left = len(order) - len(rows)
    noise = int((found.mean <= 2 * found.deviation).sum())
    said = (
        f"By how much {found.scoring} ({number(found.score)} on {counted(found.rows, 'test row')}) falls"
        " where the values of one column are shuffled among the rows, so that it tells nothing."
    )
    note = (
        "Columns that tell the same stand in for each other: little falls for each of them alone."
    )
    if noise:
        note += f" The fall of {counted(noise, 'column')} is within two deviations of nothing."
    if left:
        note += f" {counted(left, 'column')} of less importance not shown."
    head = ["Column", "Fall", "Beside the largest"]
    repeats = counted(found.falls.shape[1], "shuffle")
    caption = f"Importance of columns, the largest first: mean ± deviation of {repeats}"
    return paragraph(said) + table(caption, head, rows, numeric=(1,), kind="barred", note=note)


# ------------------------------------------------------------------------------------- of pictures


def _pixels(source: ReportContent) -> str:
    X = np.asarray(source.evaluation.X)
    rows = X[np.unique(np.linspace(0, len(X) - 1, MAPPED).astype(int))]
    found = _attributed(source.model, rows)
    if found is None:
        return ""
    said = (
        f"Over {counted(len(rows), 'test picture')}: how far each pixel moves the answer, up or down, away"
        f" from a black picture's (integrated gradients, mean size; unit: {escape(found.unit)})."
    )
    pictures = [
        figure(thumbnail(rows.mean(axis=0), X, "The mean picture"), "The mean of these pictures"),
        figure(
            pixel_map(found.overall(), "Map: how far each pixel moves the answer"),
            "What moves the answers: the lighter the more",
        ),
    ]
    return paragraph(said) + bullets(pictures, "gallery")


def _prototypes(source: ReportContent) -> str:
    """Return the most typical picture of each class, and which of its pixels speak for the class."""
    evaluation = source.evaluation
    classes = evaluation.classes
    if evaluation.task != "classification" or classes is None:
        return ""
    found = prototypes(source.model, evaluation.X, evaluation.y_true, count=1)
    chosen = found.rows[:MOST_CLASSES]
    X = np.asarray(evaluation.X)
    labels = evaluation.y_true[chosen]
    reasons = _attributed(source.model, X[chosen], labels)
    items = []
    for i, (place, label) in enumerate(zip(chosen, labels, strict=True)):
        pair = thumbnail(X[place], X, f"Test picture {place} of class {label}")
        if reasons is not None:
            pair += pixel_map(reasons.values[i], f"Map: which pixels speak for class {label}")
        items.append(figure(f'<div class="pair">{pair}</div>', name(label)))
    left = len(found.rows) - len(chosen)
    more = f" {counted(left, 'further class')} not shown." if left else ""
    said = (
        "Of each class the test picture that lies nearest to the middle of its class in the last hidden"
        f" layer, beside it what speaks for the class: light pixels for it, dark pixels against it.{more}"
    )
    heading = "<h3>Typical pictures</h3>\n"
    return heading + paragraph(said) + bullets(items, "gallery pairs")


# -------------------------------------------------------------------------------------- of mistakes


def spoke_for(source: ReportContent, places: NDArray[np.intp]) -> list[str] | None:
    """Return for some test rows, as HTML each, what spoke for the prediction against the truth.

    Where the prediction is right: against the class next to it. None: that cannot be explained.
    """
    model, evaluation = source.model, source.evaluation
    if evaluation.X is None:
        return None
    X = evaluation.X
    rows = as_table(X).rows(places) if is_table(X) else np.asarray(_dense(X)[places])
    target = against = None
    if evaluation.task == "classification":
        target, against = evaluation.y_pred[places], _others(evaluation, places)
        if against is None:
            return None
    elif evaluation.task == "labels" or len(source.targets) > 1:
        return None
    found = _attributed(model, rows, target, against)
    if found is None:
        return None
    if not found.columns:
        alt = "Map: pixels that spoke for the prediction"
        return [pixel_map(values, f"{alt}, row {i}") for i, values in enumerate(found.values)]
    return [_movers(found, i) for i in range(len(found))]


def _dense(X: object) -> NDArray[np.generic]:
    return np.asarray(dense(X))


def _others(evaluation: Evaluation, places: NDArray[np.intp]) -> NDArray[np.generic] | None:
    """Return for each row the true class, or the second most probable one where the truth is predicted."""
    classes, proba = evaluation.classes, evaluation.proba
    if classes is None or proba is None or len(classes) < 2:
        return None
    second = classes[np.argsort(-proba[places], axis=1, kind="stable")[:, 1]]
    true, predicted = evaluation.y_true[places], evaluation.y_pred[places]
    return np.where(true == predicted, second, true)


def _movers(found: Attribution, i: int) -> str:
    """Return the columns that moved one row's answer most: "age 31 (+1.2)"."""
    order = np.argsort(-np.abs(found.values[i]), kind="stable")[:MOVERS]
    told = []
    for j in order:
        value, sign = float(found.values[i, j]), "+" if found.values[i, j] > 0 else ""
        cell = escape(as_text(found.cells[i][found.columns[j]]), 30)
        told.append(f"{name(found.columns[j])} {cell} ({sign}{number(value)})")
    return "<br>".join(told)


def _attributed(
    model: Model,
    rows: Table | NDArray[np.generic],
    target: NDArray[np.generic] | None = None,
    against: NDArray[np.generic] | None = None,
) -> Attribution | None:
    """Return what moved the answers; None where the network has no gradient down to its inputs."""
    try:
        with np.errstate(all="ignore"):
            return attribute(model, rows, target, against=against)
    except ConfigurationError:
        return None
