"""Show where a model errs on the test rows, and which rows it predicts worst."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet.data.tables import Table, as_table, dense, is_sparse, is_table
from glassnet.display import charts
from glassnet.display.html import (
    Cell,
    bullets,
    counted,
    escape,
    figure,
    name,
    number,
    paragraph,
    percent,
    table,
)
from glassnet.display.thumbnails import thumbnail
from glassnet.encoding.encoders import numbered
from glassnet.evaluation.evaluation import Evaluation, confusion, most_confused
from glassnet.nn.losses import LossTask

MAX_CLASSES = 30
"""A confusion matrix of more classes is unreadable."""
MAX_CLASS_ROWS = 15
WORST_ROWS = 10
MAX_COLUMNS = 12
MAX_TARGETS = 3


# ------------------------------------------------------------------------------------------ errors


def error_tables(evaluation: Evaluation, targets: Sequence[str]) -> str:
    """Return the confusion matrix, the scores of each label, or the residuals."""
    return ERROR_TABLES[evaluation.task](evaluation, targets)


def _class_errors(evaluation: Evaluation, targets: Sequence[str]) -> str:
    classes, counts = confusion(evaluation)
    total, right = int(counts.sum()), int(np.trace(counts))
    text = f"{right} of {counted(total, 'test row')} predicted correctly, {total - right} wrong."
    parts = [paragraph(text)]
    if len(classes) <= MAX_CLASSES:
        parts.append(_matrix(classes, counts))
    else:
        parts.append(
            paragraph(
                f"A confusion matrix of {counted(len(classes), 'class')} would be unreadable. These are "
                "the pairs and the classes with the most mistakes.",
                "note",
            )
        )
    return "".join([*parts, _confused(classes, counts), _by_class(classes, counts)])


def _matrix(classes: NDArray[Any], counts: NDArray[np.int64]) -> str:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows: list[list[str | Cell]] = []
    for i, label in enumerate(classes):
        row: list[str | Cell] = [Cell(name(label), f' title="{escape(label)}"')]
        for j, count in enumerate(counts[i]):
            kind = ' class="right"' if i == j else "" if count else ' class="none"'
            small = f"<small>{percent(shares[i, j])}</small>" if count else ""
            row.append(Cell(f"{count}{small}", f'{kind} style="--s:{shares[i, j]:.3f}"'))
        rows.append(row)
    note = (
        "Test rows, and their share of the true class. The diagonal holds the correct predictions."
    )
    head = ["true ↓<br>predicted →", *(name(label) for label in classes)]
    kind = "matrix dense" if len(classes) > 12 else "matrix"
    return table("Confusion matrix", head, rows, kind=kind, note=note)


def _confused(classes: NDArray[Any], counts: NDArray[np.int64]) -> str:
    pairs = most_confused(counts)[:WORST_ROWS]
    if len(classes) < 3 or not pairs:
        return ""
    rows = [
        [name(classes[i]), name(classes[j]), str(count), percent(count / counts[i].sum())]
        for i, j, count in pairs
    ]
    head = ["True class", "Predicted as", "Rows", "Share of the true class"]
    return "<h3>Most confused pairs</h3>\n" + table(
        "Pairs of true and predicted class, most rows first", head, rows, numeric=(2, 3)
    )


def _by_class(classes: NDArray[Any], counts: NDArray[np.int64]) -> str:
    true, predicted, right = counts.sum(axis=1), counts.sum(axis=0), np.diag(counts)
    present = np.flatnonzero(true)
    few = len(classes) <= MAX_CLASSES
    recall = right[present] / true[present]
    order = present if few else present[np.argsort(recall, kind="stable")[:MAX_CLASS_ROWS]]
    rows = [
        [
            name(classes[i]),
            str(true[i]),
            percent(right[i] / true[i]),
            percent(right[i] / predicted[i]) if predicted[i] else "never predicted",
        ]
        for i in order
    ]
    note = (
        "Recall: the share of the rows of the class that were predicted as it. Precision: the share of "
        "the rows predicted as the class that belong to it."
    )
    caption = "All classes" if few else f"The {len(order)} classes with the lowest recall"
    head = ["Class", "Test rows", "Recall", "Precision"]
    return "<h3>By class</h3>\n" + table(caption, head, rows, numeric=(1, 2, 3), note=note)


def _label_errors(evaluation: Evaluation, targets: Sequence[str]) -> str:
    rows = []
    for j, label in enumerate(_label_names(evaluation)):
        true, predicted = evaluation.y_true[:, j] == 1, evaluation.y_pred[:, j] == 1
        both = int((true & predicted).sum())
        rows.append(
            [
                name(label),
                str(int(true.sum())),
                percent(float((true == predicted).mean())),
                percent(both / true.sum()) if true.any() else "never present",
                percent(both / predicted.sum()) if predicted.any() else "never predicted",
            ]
        )
    note = (
        "Correct: rows in which the label is present and predicted, or neither. Recall: the share of the "
        "rows with the label that were predicted to have it. Precision: the share of the rows predicted "
        "to have it that do."
    )
    head = ["Label", "Rows with it", "Correct", "Recall", "Precision"]
    return table("Scores of each label", head, rows, numeric=(1, 2, 3, 4), note=note)


def _value_errors(evaluation: Evaluation, targets: Sequence[str]) -> str:
    true, predicted = _columns(evaluation.y_true), _columns(evaluation.y_pred)
    parts = []
    for j in range(min(true.shape[1], MAX_TARGETS)):
        target = targets[j] if j < len(targets) else f"y{j}"
        heading = f"<h3>{name(target)}</h3>\n" if true.shape[1] > 1 else ""
        parts.append(heading + _residuals(f"residuals-{j}", target, true[:, j], predicted[:, j]))
    left = true.shape[1] - MAX_TARGETS
    if left > 0:
        parts.append(paragraph(f"{counted(left, 'further target')} not drawn.", "note"))
    return "".join(parts)


def _residuals(key: str, target: str, true: NDArray[Any], predicted: NDArray[Any]) -> str:
    residual = predicted - true
    half, nine_tenths = np.quantile(np.abs(residual), [0.5, 0.9])
    mean = float(residual.mean())
    text = (
        f"Half of the predictions are within ±{number(half)} of the truth, nine in ten within "
        f"±{number(nine_tenths)}."
    )
    if mean:
        text += f" On average they are {number(abs(mean))} too {'high' if mean > 0 else 'low'}."
    drawn = min(len(true), charts.MAX_POINTS)
    thinned = f" {drawn} of {len(true)} rows are drawn." if drawn < len(true) else ""
    scatter = charts.scatter(
        f"{key}-scatter",
        f"Predicted over true values of {target}, {counted(len(true), 'test row')}. {text}",
        true,
        predicted,
    )
    histogram = charts.histogram(
        f"{key}-histogram", f"Histogram of the residuals of {target}. {text}", residual
    )
    figures = figure(scatter, f"Predicted over true {name(target)}.{thinned}")
    figures += figure(histogram, "Residuals. The outermost bins include all larger ones.")
    return paragraph(text) + f'<div class="charts">{figures}</div>\n'


ERROR_TABLES: dict[LossTask, Callable[[Evaluation, Sequence[str]], str]] = {
    "classification": _class_errors,
    "labels": _label_errors,
    "regression": _value_errors,
}


# ---------------------------------------------------------------------------------- the worst rows


def worst_rows(
    evaluation: Evaluation,
    row_numbers: NDArray[Any] | None,
    reasons_for: Callable[[NDArray[np.intp]], list[str] | None] = lambda chosen: None,
) -> str:
    """Return the test rows with the worst predictions, as pictures or with their columns.

    reasons_for: test rows -> what moved the prediction of each (HTML); None if it is unknown.
    """
    badness, describe = WORST[evaluation.task](evaluation)
    worst = np.argsort(-np.nan_to_num(badness, nan=np.inf), kind="stable")[:WORST_ROWS]
    numbers = np.arange(len(badness)) if row_numbers is None else row_numbers
    where = "test set" if row_numbers is None else "data as they were read"
    note = paragraph(f"Row numbers count from 0 in the {where}.", "note")
    lines = [(str(int(numbers[row])), describe(int(row))) for row in worst]
    reasons = reasons_for(worst)
    X = evaluation.X
    if isinstance(X, np.ndarray) and X.ndim in (3, 4):
        return _gallery(X, worst, lines, reasons) + note
    names, values = _cells(X, worst)
    why = (
        [[]] * len(worst)
        if reasons is None
        else [[Cell(reason, ' class="why"')] for reason in reasons]
    )
    head = ["Row", *(label for label, _ in lines[0][1]), *([WHY] if reasons else [])]
    rows: list[list[str | Cell]] = [
        [row, *(text for _, text in facts), *reason, *cells]
        for (row, facts), reason, cells in zip(lines, why, values, strict=True)
    ]
    caption = f"The {counted(len(rows), 'test row')} with the largest error, worst first"
    if reasons:
        note += paragraph(WHY_NOTE[evaluation.task == "regression"], "note")
    return table(caption, [*head, *map(name, names)], rows, kind="wide rows") + note


WHY = "What moved it"
WHY_NOTE = (
    "What moved it: the three columns that most changed the log-odds of the predicted against the true class"
    " (where the prediction is correct: against the second most probable class), and by how much (integrated"
    " gradients, relative to a row of medians).",
    "What moved it: the three columns that most changed the prediction, and by how much (integrated"
    " gradients, relative to the prediction for a row of medians).",
)


Described = Callable[[int], list[tuple[str, str]]]


def _worst_classes(evaluation: Evaluation) -> tuple[NDArray[Any], Described]:
    true, predicted, proba = evaluation.y_true, evaluation.y_pred, evaluation.proba
    if proba is None or evaluation.classes is None:
        badness = (true != predicted).astype(float)
        return badness, lambda i: [("True", name(true[i])), ("Predicted", name(predicted[i]))]
    codes = {label: code for code, label in enumerate(evaluation.classes.tolist())}
    rows = np.arange(len(true))
    of_true = proba[rows, [codes[label] for label in true.tolist()]]
    of_predicted = proba[rows, [codes[label] for label in predicted.tolist()]]
    return 1 - of_true, lambda i: [
        ("True", name(true[i])),
        ("Predicted", f"{name(predicted[i])} ({percent(of_predicted[i])})"),
        ("Probability of the truth", percent(of_true[i])),
    ]


def _worst_labels(evaluation: Evaluation) -> tuple[NDArray[Any], Described]:
    labels = _label_names(evaluation)
    proba = evaluation.y_pred if evaluation.proba is None else evaluation.proba
    badness = np.abs(proba - evaluation.y_true).sum(axis=1)

    def listed(row: NDArray[Any]) -> str:
        return ", ".join(name(labels[j]) for j in np.flatnonzero(row)[:MAX_COLUMNS]) or "none"

    return badness, lambda i: [
        ("True", listed(evaluation.y_true[i])),
        ("Predicted", listed(evaluation.y_pred[i])),
        ("Labels wrong", str(int((evaluation.y_true[i] != evaluation.y_pred[i]).sum()))),
    ]


def _worst_values(evaluation: Evaluation) -> tuple[NDArray[Any], Described]:
    true, predicted = _columns(evaluation.y_true), _columns(evaluation.y_pred)
    residual = predicted - true
    # in standard deviations, so that a target's unit does not matter
    spread = true.std(axis=0) if true.shape[1] > 1 else np.ones(1)
    badness = np.abs(residual / np.where(spread > 0, spread, 1.0)).max(axis=1)

    def listed(row: NDArray[Any]) -> str:
        return ", ".join(number(float(value)) for value in row[:MAX_COLUMNS])

    return badness, lambda i: [
        ("True", listed(true[i])),
        ("Predicted", listed(predicted[i])),
        ("Residual", listed(residual[i])),
    ]


WORST: dict[LossTask, Callable[[Evaluation], tuple[NDArray[Any], Described]]] = {
    "classification": _worst_classes,
    "labels": _worst_labels,
    "regression": _worst_values,
}
"""Task -> how wrong the prediction of each row is, and a function that describes a row."""


def _cells(X: Any, rows: NDArray[np.intp]) -> tuple[list[str], Iterable[list[str]]]:
    """Return the names of the first columns, and their texts in the given rows."""
    if X is None:
        return [], [[] for _ in rows]
    if not is_table(X):
        X = dense(X[rows]) if is_sparse(X) else np.asarray(X)[rows]
        names = list(numbered(X.shape[1])[:MAX_COLUMNS])
        return names, [[number(float(v)) for v in row[:MAX_COLUMNS]] for row in X]
    part: Table = as_table(X).rows(rows)
    names = list(part.names[:MAX_COLUMNS])
    columns = [[_value(v) for v in part[column].tolist()] for column in names]
    return names, [list(row) for row in zip(*columns, strict=True)] or [[] for _ in rows]


def _value(value: object) -> str:
    if value is None or value != value:
        return "missing"
    if isinstance(value, float):
        return number(value)
    return escape(value, 60).removesuffix(" 00:00:00")  # a date without its time


def _gallery(
    X: NDArray[Any], worst: NDArray[np.intp], lines: Sequence[Any], maps: Sequence[str] | None
) -> str:
    items = []
    for i, (index, (row, facts)) in enumerate(zip(worst, lines, strict=True)):
        description = "<br>".join(f"{label}: {text}" for label, text in facts)
        shown = thumbnail(X[index], X, f"Test picture, row {row}")
        if maps is not None:
            shown = f'<div class="pair">{shown}{maps[i]}</div>'
        items.append(figure(shown, f"Row {row}<br>{description}"))
    note = (
        "The map beside each picture shows which pixels moved the prediction: light pixels towards the"
        " predicted class and away from the true one (where the prediction is correct: away from the second"
        " most probable class), dark pixels the other way. Integrated gradients."
    )
    gallery = bullets(items, "gallery pairs" if maps is not None else "gallery")
    return gallery + paragraph(note if maps is not None else "", "note")


def _label_names(evaluation: Evaluation) -> list[str]:
    count = evaluation.y_true.shape[1]
    known = evaluation.classes
    return [f"y{j}" for j in range(count)] if known is None else [str(label) for label in known]


def _columns(y: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(y, dtype=np.float64).reshape(len(y), -1)
