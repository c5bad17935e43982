"""Draw predictions of a network as decision boundaries, a confusion matrix or residuals."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glassnet.data.tables import Table, as_table, is_table, no_such_column
from glassnet.display.drawing import (
    HATCHES,
    MARKERS,
    Axes,
    axes_for,
    literal,
    number,
    palette,
    title,
)
from glassnet.errors import ConfigurationError, DataError
from glassnet.evaluation.evaluation import most_confused, task_of
from glassnet.fit.train import Run, train
from glassnet.models.model import Model, model_of
from glassnet.nn.layers import Dense
from glassnet.nn.network import Network
from glassnet.nn.optimizers import Adam

__all__ = ["confusion_matrix", "decision_boundary", "residuals", "xor"]

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
XOR = np.array([0, 1, 1, 0])


def xor(model: Any = None, ax: Axes | None = None) -> Axes:
    """Draw XOR's four points, the best line that a perceptron can put between them, and a network's boundary.

    The line is found by a search over directions and offsets, because training a perceptron on XOR does not
    converge. Among the lines that classify most points correctly, it is the one farthest from its nearest
    point.

    Parameters
    ----------
    model: trained on two inputs and classes 0 and 1. Default: a 2-4-2 tanh network, trained on the spot.

    >>> ax = xor()
    >>> ax.get_title()
    'A line gets 3 of 4 right, the network 4'
    """
    if model is None:
        model = train_xor()
    predictor = model_of(model)
    ax = axes_for(ax, (5.6, 5.0))
    colors = palette(ax)
    grid = np.linspace(-0.4, 1.4, 121, dtype=np.float32)
    X, Y = np.meshgrid(grid, grid)
    rows = np.stack([X.ravel(), Y.ravel()], axis=1)
    yes = np.asarray(predictor.predict_proba(rows))[:, 1].reshape(X.shape)
    ax.contourf(
        X, Y, yes, levels=[0.5, 1.01], colors=[colors.series[0]], alpha=0.16, hatches=["//"]
    )
    ax.contour(X, Y, yes, levels=[0.5], colors=[colors.series[0]], linewidths=2)
    ax.plot([], [], color=colors.series[0], linewidth=2, label="the network's boundary")
    (w1, w2, b), right = best_line(CORNERS, XOR)
    ends = np.array([-0.4, 1.4])
    steep = abs(w2) < abs(w1)
    across = -(b + (w2 if steep else w1) * ends) / (w1 if steep else w2)
    line = (across, ends) if steep else (ends, across)
    ax.plot(
        *line, color=colors.series[1], linestyle="--", linewidth=2, label="a perceptron's best line"
    )
    for k, (marker, face) in enumerate((("o", colors.face), ("s", colors.ink))):
        chosen = CORNERS[k == XOR]
        ax.scatter(chosen[:, 0], chosen[:, 1], s=130, marker=marker, facecolors=face, edgecolors=colors.ink,
                   linewidths=1.8, zorder=4, label=f"XOR is {k}")  # fmt: skip
    ax.set(
        xlabel="x₁",
        ylabel="x₂",
        xlim=(-0.4, 1.4),
        ylim=(-0.4, 1.4),
        xticks=[0, 1],
        yticks=[0, 1],
        aspect="equal",
    )
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2)
    network_right = int((np.asarray(predictor.predict(CORNERS)) == XOR).sum())
    title(ax, f"A line gets {right} of 4 right, the network {network_right}")
    return ax


def train_xor(seed: int = 0) -> Run:
    """Train a 2-4-2 tanh network on XOR."""
    net = Network([Dense(4), "tanh", Dense(2)])
    return train(net, CORNERS, XOR, optimizer=Adam(0.05), epochs=200, seed=seed)


def best_line(
    points: NDArray[Any], classes: NDArray[Any]
) -> tuple[tuple[float, float, float], int]:
    """Return (w₁, w₂, b) of the line w₁ x₁ + w₂ x₂ + b = 0 that classifies most points correctly, and how
    many.

    >>> best_line(CORNERS, np.array([0, 0, 0, 1]))[1], best_line(CORNERS, XOR)[1]
    (4, 3)
    """
    angles = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    W = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    offsets = np.linspace(-2, 2, 161)
    z = (W @ points.T)[:, None] + offsets[None, :, None]
    right = ((z > 0) == (classes == 1)).sum(axis=2)
    margin = np.abs(z).min(axis=2)
    best = np.unravel_index(np.argmax(right + 0.1 * margin), right.shape)
    w, b = W[best[0]], offsets[best[1]]
    return (float(w[0]), float(w[1]), float(b)), int(right[best])


def decision_boundary(
    model: Any,
    X: Any,
    y: Any,
    ax: Axes | None = None,
    *,
    features: tuple[Any, Any] = (0, 1),
    points: int = 121,
) -> Axes:
    """Draw what a model predicts over the plane of two features, with the rows as points.

    The other features are held at their medians, and categories at the most frequent one. The area of each
    class is hatched and outlined. Predicted values are drawn as contours.

    Parameters
    ----------
    model: a model, a run or a fitted estimator; all members predict. X, y: rows, drawn as points.
    features: two numeric columns, by index or by name. Default: the first two.
    points: grid points along each side. Default 121.

    Raises
    ------
    ConfigurationError: the model takes pictures or predicts labels.
    DataError: a column does not exist or does not hold numbers.

    >>> import glassnet as gn
    >>> X, y = np.array([[0.0, 0], [0, 1], [3, 0], [3, 1]]), np.array(["a", "a", "b", "b"])
    >>> run = gn.train(gn.Network([gn.Dense(2)]), X, y, optimizer=gn.Adam(0.1), epochs=60)
    >>> gn.figures.decision_boundary(run, X, y, points=11).get_title()
    'All 4 rows lie on their own side'
    """
    predictor = model_of(model)
    task = task_of(predictor)
    if task == "labels" or len(predictor.in_shape) != 1:
        raise ConfigurationError(
            "A decision boundary needs rows of numbers, and classes or one value: this model has"
            + (" several labels per row." if task == "labels" else " pictures.")
        )
    plane = _plane(X, features, points)
    ax = axes_for(ax)
    truth = np.asarray(y).ravel()
    if task == "regression":
        finding = _draw_values(ax, plane, np.asarray(predictor.predict(plane.rows)), truth)
    else:
        finding = _draw_classes(ax, plane, predictor, truth, X)
    fixed = (
        ""
        if plane.others == 0
        else f" ({plane.others} other feature{'s' * (plane.others > 1)} at the median)"
    )
    ax.set(xlabel=literal(plane.names[0], 40), ylabel=literal(plane.names[1], 40))
    ax.set(xlim=(plane.A.min(), plane.A.max()), ylim=(plane.B.min(), plane.B.max()))
    title(ax, finding + fixed)
    return ax


class _Plane(NamedTuple):
    """A grid over two features.

    rows: its points as rows of all features. A, B: their coordinates.
    data: the coordinates of the given rows.
    names: of the two features. others: the number of features that are held fixed.
    """

    rows: Any
    A: NDArray[np.float64]
    B: NDArray[np.float64]
    data: list[NDArray[np.float64]]
    names: list[str]
    others: int


def _plane(X: Any, features: tuple[Any, Any], points: int) -> _Plane:
    """Return the grid, with the other features held fixed."""
    table = as_table(X) if is_table(X) else None
    array: Any = None if table is not None else np.asarray(X)
    names = (
        list(table.names) if table is not None else [f"feature {k}" for k in range(array.shape[1])]
    )
    chosen = [_feature(names, feature) for feature in features]
    if len(chosen) != 2 or chosen[0] == chosen[1]:
        raise DataError(f"features is {features!r}, but it must name two different columns.")
    data = []
    for index in chosen:
        values = table[names[index]] if table is not None else array[:, index]
        if values.dtype.kind not in "fiub":
            raise DataError(
                f"The feature '{names[index]}' does not hold numbers, so it cannot be an axis: choose two"
                " columns of numbers."
            )
        data.append(values.astype(np.float64))
    axes = []
    for values in data:
        low, high = np.nanmin(values), np.nanmax(values)
        margin = 0.08 * (high - low) or 1.0
        axes.append(np.linspace(low - margin, high + margin, points))
    A, B = np.meshgrid(*axes)
    if table is not None:
        columns = {
            name: np.repeat(_typical_value(table, name), A.size) for name in names
        }  # fmt: skip
        columns |= {names[chosen[0]]: A.ravel(), names[chosen[1]]: B.ravel()}
        rows: Any = Table(columns)
    else:
        rows = np.repeat(np.median(np.asarray(array, np.float64), axis=0)[None], A.size, axis=0)
        rows[:, chosen[0]], rows[:, chosen[1]] = A.ravel(), B.ravel()
        rows = rows.astype(np.result_type(np.asarray(array).dtype, np.float32))
    return _Plane(rows, A, B, data, [names[k] for k in chosen], len(names) - 2)


def _feature(names: list[str], wanted: Any) -> int:
    if isinstance(wanted, str):
        if wanted not in names:
            raise DataError(no_such_column(wanted, names))
        return names.index(wanted)
    if not isinstance(wanted, int | np.integer) or not -len(names) <= wanted < len(names):
        raise DataError(
            f"There is no feature {wanted!r}: X has {len(names)} columns, counted from 0."
        )
    return int(wanted) % len(names)


def _typical_value(table: Table, name: str) -> Any:
    """Return a typical value of a column, (1,): its median, or its most frequent level."""
    column = table[name]
    known = column[~table.missing(name)]
    if not len(known):
        return column[:1]
    if table.kind(name) == "number":
        return np.array([np.median(known)])
    values, counts = np.unique(
        known.astype(str) if known.dtype == object else known, return_counts=True
    )
    return np.array([values[counts.argmax()]], dtype=column.dtype)


def _draw_values(ax: Axes, plane: _Plane, answers: Any, truth: Any) -> str:
    values = answers.reshape(plane.A.shape).astype(np.float64)
    colors = palette(ax)
    drawn = ax.contourf(plane.A, plane.B, values, levels=12, cmap="cividis")
    ax.contour(plane.A, plane.B, values, levels=12, colors=colors.face, linewidths=0.5)
    ax.scatter(
        *plane.data,
        c=truth,
        cmap="cividis",
        norm=drawn.norm,
        edgecolors="white",
        linewidths=0.8,
        s=26,
    )
    ax.figure.colorbar(drawn, ax=ax, label="prediction (points: truth)")
    return f"Predictions run from {number(values.min())} to {number(values.max())}"


def _draw_classes(ax: Axes, plane: _Plane, predictor: Model, truth: Any, X: Any) -> str:
    """Draw the area where each class is the most probable."""
    proba = np.asarray(predictor.predict_proba(plane.rows), np.float64)
    classes = predictor.classes if predictor.classes is not None else np.arange(proba.shape[1])
    colors = palette(ax)
    for k, name in enumerate(classes):
        color, look = colors.series[k % len(colors.series)], k % len(HATCHES)
        lead = (proba[:, k] - np.delete(proba, k, axis=1).max(axis=1)).reshape(plane.A.shape)
        if lead.max() > 0:
            ax.contourf(
                plane.A,
                plane.B,
                lead,
                levels=[0, 1.01],
                colors=[color],
                hatches=[HATCHES[look]],
                alpha=0.16,
            )
        if lead.max() > 0 > lead.min():
            ax.contour(plane.A, plane.B, lead, levels=[0], colors=[colors.ink], linewidths=1.4)
        chosen = truth == name
        ax.scatter(
            plane.data[0][chosen], plane.data[1][chosen], s=28, marker=MARKERS[k % len(MARKERS)], color=color,
            edgecolors=colors.face, linewidths=0.7, label=literal(name), zorder=3,
        )  # fmt: skip
    ax.legend(title="true class", fontsize=9)
    wrong = int((np.asarray(predictor.predict(X)).ravel() != truth).sum())
    if not wrong:
        return f"All {len(truth)} rows lie on their own side"
    return f"{wrong} of {len(truth)} rows are predicted wrongly"


def confusion_matrix(model: Any, X: Any, y: Any, ax: Axes | None = None) -> Axes:
    """Draw scikit-learn's confusion matrix: how often each true class was predicted as each class.

    Raises
    ------
    ConfigurationError: the model predicts values, or several labels per row.

    >>> import glassnet as gn
    >>> X, y = np.array([[0.0], [1.0], [2.0]]), ["a", "a", "b"]
    >>> run = gn.train(gn.Network([gn.Dense(2)]), X, y, optimizer=gn.Adam(0.3), epochs=100)
    >>> gn.figures.confusion_matrix(run, X, y).images[0].get_array().tolist()
    [[2, 0], [0, 1]]
    """
    from sklearn.metrics import ConfusionMatrixDisplay

    predictor = model_of(model)
    if task_of(predictor) != "classification":
        raise ConfigurationError(
            "A confusion matrix needs one class per row, but this model predicts values or labels. For"
            " values, draw gn.figures.residuals."
        )
    predicted, truth = np.asarray(predictor.predict(X)).ravel(), np.asarray(y).ravel()
    ax = axes_for(ax, (5.8, 5.0))
    shown = ConfusionMatrixDisplay.from_predictions(
        truth, predicted, ax=ax, cmap="cividis", colorbar=False,
        labels=predictor.classes, text_kw={"fontsize": 9},
    )  # fmt: skip
    names = [literal(name, 14) for name in shown.display_labels]
    ax.set_xticks(range(len(names)), names, rotation=45 if max(map(len, names)) > 3 else 0)
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="predicted class", ylabel="true class")
    ax.grid(False)
    counts = np.asarray(shown.confusion_matrix)
    finding = f"{int(np.diag(counts).sum())} of {len(truth)} right"
    for i, j, rows in most_confused(counts)[:1]:
        finding += f"; the most frequent mistake is {names[i]} taken for {names[j]} ({rows} times)"
    title(ax, finding)
    return ax


def residuals(model: Any, X: Any, y: Any, ax: Axes | None = None) -> Axes:
    """Draw scikit-learn's residuals, true − predicted value, over the predicted value, in the target's unit.

    Raises
    ------
    ConfigurationError: the model predicts classes, or several values per row.

    >>> import glassnet as gn
    >>> X = np.arange(8.0).reshape(-1, 1)
    >>> run = gn.train(gn.Network([gn.Dense(1)]), X, X[:, 0], epochs=1)
    >>> len(gn.figures.residuals(run, X, X[:, 0]).collections[0].get_offsets())
    8
    """
    from sklearn.metrics import PredictionErrorDisplay, r2_score, root_mean_squared_error

    predictor = model_of(model)
    predicted = (
        np.asarray(predictor.predict(X)) if task_of(predictor) == "regression" else np.zeros((0, 2))
    )
    truth = np.asarray(y, np.float64).ravel() if len(predicted) else np.zeros(0)
    if predicted.size != truth.size or not truth.size:
        raise ConfigurationError(
            "Residuals need one predicted value per row, but this model predicts classes or several"
            " values. For classes, draw gn.figures.confusion_matrix."
        )
    ax = axes_for(ax)
    colors = palette(ax)
    PredictionErrorDisplay.from_predictions(
        truth, predicted.ravel(), kind="residual_vs_predicted", ax=ax, subsample=None,
        scatter_kwargs={"color": colors.series[0], "alpha": 0.6, "s": 22},
        line_kwargs={"color": colors.ink, "linestyle": "--"},
    )  # fmt: skip
    rmse = float(root_mean_squared_error(truth, predicted.ravel()))
    for k in (-1, 1):
        ax.axhline(
            k * rmse, color=colors.series[1], linestyle=":", label="± RMSE" if k > 0 else None
        )
    ax.set(xlabel="predicted value", ylabel="residual: true − predicted")
    ax.legend()
    r2 = f", R² {number(r2_score(truth, predicted.ravel()), 2)}" if len(truth) > 1 else ""
    title(ax, f"RMSE {number(rmse)}{r2}, over {len(truth)} rows")
    return ax
