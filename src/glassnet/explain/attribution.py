"""Compute how much each column or pixel of a row moved the network's output.

The backward pass continues below the first layer to the network's inputs:

    integrated gradients     a_i = (x_i - b_i) ∫₀¹ ∂F/∂x_i (b + t (x - b)) dt
    gradient x input         a_i = (x_i - b_i) ∂F/∂x_i (x)

F is the output to explain, x the encoded row, b the baseline. Integrated gradients are complete: their sum
is F(x) - F(b). The integral is computed as a sum over points, and rows get more points until this holds.
Codes of an embedding have no gradient: there the path is a straight line between the outputs of the
embedding, and a code gets the sum over its output numbers. With several members, attributions are averaged
over them, as their predictions are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glassnet._checks import check_count, check_range, resolve
from glassnet._precision import precision
from glassnet.data.tables import frame_of
from glassnet.display.drawing import axes_for
from glassnet.display.text import text_bar, text_table
from glassnet.encoding.targets import ClassEncoder, TargetScaler
from glassnet.errors import ConfigurationError, did_you_mean
from glassnet.evaluation.evaluation import task_of
from glassnet.explain.paths import METHODS, Path
from glassnet.explain.plots import draw_bars, draw_picture
from glassnet.explain.rows import Rows, as_text
from glassnet.models.model import Model, model_of


@dataclass(frozen=True, eq=False)
class Attribution:
    """The result of `attribute`: how much each column of each row moved the output.

    values: (rows, columns), or (rows, *picture), in `unit`. columns: their names; empty for pictures.
    features, feature_names: the attributions of the encoded inputs, such as each level of a category.
    cells: the rows in original units. targets: the explained class or value of each row.
    unit: "logit", "log-odds", or the name of the target, if attributions are in its unit.
    output, baseline_output: F(x) and F(b), (rows,). steps: the number of points on each row's path, (rows,).
    gap: |sum of the attributions - (F(x) - F(b))| / |F(x) - F(b)|, (rows,).
    """

    values: NDArray[np.float64]
    columns: tuple[str, ...]
    features: NDArray[np.float64]
    feature_names: tuple[str, ...]
    cells: tuple[dict[str, Any], ...]
    targets: tuple[str, ...]
    unit: str
    output: NDArray[np.float64]
    baseline_output: NDArray[np.float64]
    gap: NDArray[np.float64]
    steps: NDArray[np.int64]
    method: str

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.values)

    def __getitem__(self, row: int) -> Attribution:
        """Return the attribution of one row."""
        one = slice(row, row + 1) if row != -1 else slice(row, None)
        by_row = (
            "values",
            "features",
            "cells",
            "targets",
            "output",
            "baseline_output",
            "gap",
            "steps",
        )
        return replace(self, **{name: getattr(self, name)[one] for name in by_row})

    def overall(self) -> NDArray[np.float64]:
        """Return the mean absolute attribution of each column or pixel over the rows."""
        return np.asarray(np.abs(self.values).mean(axis=0))

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        rows = [
            {
                "target": self.targets[i],
                "output": float(self.output[i]),
                "baseline_output": float(self.baseline_output[i]),
                "gap": float(self.gap[i]),
                "steps": int(self.steps[i]),
                "values": self.cells[i],
                "attributions": self._named(i),
            }
            for i in range(len(self))
        ]
        return {"method": self.method, "unit": self.unit, "rows": rows}

    def _named(self, i: int) -> Any:
        values = self.values[i].tolist()
        return dict(zip(self.columns, values, strict=True)) if self.columns else values

    def to_frame(self) -> Any:
        """Return a data frame with one row per row and column (or pixel) of X, with value and attribution."""
        flat = self.values.reshape(len(self), -1)
        shape = self.values.shape[1:]
        names = self.columns or ["pixel " + ",".join(map(str, at)) for at in np.ndindex(*shape)]
        records = [
            (
                i,
                self.targets[i],
                name,
                self.cells[i].get(name) if self.columns else None,
                float(flat[i, j]),
            )
            for i in range(len(self))
            for j, name in enumerate(names)
        ]
        heads = ("row", "target", "column", "value", "attribution")
        parts = [list(part) for part in zip(*records, strict=True)]
        if not all(isinstance(value, (int, float)) for value in parts[3]):
            parts[3] = [as_text(value) for value in parts[3]]
        return frame_of(dict(zip(heads, parts, strict=True)))

    def __str__(self) -> str:
        if len(self) > 1:
            head = f"{self.method} over {len(self)} rows: mean absolute attribution, in {self.unit}"
            foot = f"largest gap {self.gap.max():.2%}"
            values, cells = self.overall(), {}
        else:
            head = f"{self.method} of {self.targets[0]}, in {self.unit}"
            change = "their sum" if self.method == "integrated_gradients" else "F(x) - F(baseline)"
            foot = (
                f"output {self.baseline_output[0]:.4g} at the baseline, {self.output[0]:.4g} at the row;"
                f" {change} is {self.output[0] - self.baseline_output[0]:+.4g}, gap {self.gap[0]:.2%}"
            )
            values, cells = self.values[0], self.cells[0]
        if not self.columns:
            pixel = np.unravel_index(int(np.abs(values).argmax()), values.shape)
            position = ", ".join(str(int(p)) for p in pixel)
            return f"{head}\nlargest at pixel {position}: {values[pixel]:+.4g}\n{foot}"
        largest = float(np.abs(values).max()) or 1.0
        order = np.argsort(-np.abs(values), kind="stable")
        rows = [["column", *(["value"] if cells else []), "attribution", ""]]
        for j in order:
            name = self.columns[j]
            shown = [as_text(cells[name])] if cells else []
            drawn = text_bar(values[j] / largest).ljust(20)
            rows.append([name, *shown, f"{values[j]:+.4g}", drawn])
        return f"{head}\n{text_table(rows)}\n{foot}"

    def plot(self, ax: Any = None) -> Any:
        """Draw the attributions of one row, or the mean size over several rows; return the axes.

        Columns are bars, the largest on top. Pixels are a picture, light where positive and dark where
        negative.
        """
        ax = axes_for(ax, None)
        one = len(self) == 1
        values = self.values[0] if one else self.overall()
        title = (
            f"{self.method.replace('_', ' ')}: {self.targets[0] if one else f'{len(self)} rows'}"
        )
        ax.set_title(title)
        if not self.columns:
            return draw_picture(ax, values, signed=True)
        order = np.argsort(-np.abs(values), kind="stable")[:30]
        names = [self.columns[j] for j in order]
        if one:
            names = [f"{name} = {as_text(self.cells[0][name])}" for name in names]
        label = (
            f"attribution, in {self.unit}" if one else f"mean absolute attribution, in {self.unit}"
        )
        return draw_bars(ax, names, values[order], None, label)


def attribute(
    model: Any,
    X: Any,
    target: Any = None,
    *,
    against: Any = None,
    method: str = "integrated_gradients",
    baseline: Any = None,
    steps: int = 32,
    tolerance: float = 0.01,
) -> Attribution:
    """Return how much each column or pixel of the rows moved the network's output away from a baseline.

    Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", 2017 (integrated gradients);
    Shrikumar, Greenside and Kundaje, "Learning Important Features", 2017 (gradient x input).

    Parameters
    ----------
    model: a fitted estimator, a `Run`, or a `Model`.
    X: rows as the model takes them: a table, numbers (n, features), pictures (n, h, w[, c]).
    target: what to explain. A class, or one class for each row; default: the predicted class. With several
        labels or values, the name or index of one. Two classes are explained by their log-odds
        ln p / (1 - p), more by the logit of the class, both with the temperature; values in their own unit.
    against: a second class; then the log-odds of `target` against it, the difference of the logits.
    method: "integrated_gradients" (default), or "gradient_x_input" (one backward pass, exact only for linear
        networks).
    baseline: rows like X, whose mean input is the start of the path. Default: all inputs 0, which is the
        median of a number, no level of a category, or a black picture.
    steps: the initial number of points on the path, doubled up to 4096 for rows whose gap is above
        `tolerance`. Default 32.
    tolerance: the largest gap, as a share of F(x) - F(b). Default 0.01. If that difference is below the size
        of rounding errors (1000 times the machine epsilon), the gap is a share of these instead.

    Raises
    ------
    ConfigurationError: the method, class or value is unknown, or an `Embedding` is not the first layer.
    DataError: the model cannot take these rows.

    >>> import glassnet as gn
    >>> X, y = [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.0]], [0.0, 2.0, 4.0, 6.0]
    >>> run = gn.train(gn.Network([gn.Dense(1)]), X, y, optimizer=gn.SGD(0.1), epochs=300)
    >>> attribution = attribute(run, [[3.0, 1.0]])
    >>> attribution.values.round(2).tolist(), bool(attribution.gap[0] < 0.01)  # y = 2 x0 + 0 x1
    ([[6.0, 0.0]], True)
    """
    fitted = model_of(model)
    compute: Callable[..., tuple[Any, Any]] = resolve("method of attribution", method, METHODS)
    check_count("steps", steps)
    check_range("tolerance", tolerance, 0, np.inf, open_low=True)
    rows = Rows.of(fitted, X)
    explained = _explained(rows, target, against)
    base = (
        np.zeros((1, *fitted.in_shape), fitted.dtype)
        if baseline is None
        else fitted.inputs(baseline)
    )
    with precision(fitted.dtype):
        path = Path(fitted, rows.x, base, explained.seeds)
        at_base, at_row = path.at(np.array([0.0, 1.0])).T
        features, used = compute(path, at_row - at_base, steps, tolerance)
    cells = rows.cells(range(len(rows.x))) if rows.columns else [{} for _ in rows.x]
    return Attribution(
        values=rows.by_column(features),
        columns=rows.columns,
        features=features,
        feature_names=rows.feature_names,
        cells=tuple(cells),
        targets=explained.names,
        unit=explained.unit,
        output=at_row + explained.offset,
        baseline_output=at_base + explained.offset,
        gap=path.gap(features, at_row - at_base),
        steps=used,
        method=method,
    )


class _Explained(NamedTuple):
    """The output to explain of each row, F = Σ seeds · logits + offset, its name and its unit."""

    seeds: NDArray[np.float64]
    names: tuple[str, ...]
    unit: str
    offset: float = 0.0


def _explained(rows: Rows, target: Any, against: Any) -> _Explained:
    """Return the output to explain of each row."""
    model, count = rows.model, len(rows.x)
    outputs = model.outputs_encoded(rows.x)
    width = outputs.shape[1]
    if task_of(model) != "classification":
        if against is not None:
            raise ConfigurationError(
                "against names a second class, but this model predicts no classes: leave it out."
            )
        return _explained_value(model, target, count, width)
    single = width == 1
    names = np.arange(2 if single else width) if model.classes is None else model.classes
    if target is None:
        codes = (outputs[:, 0] > 0.5).astype(int) if single else outputs.argmax(axis=1)
    else:
        codes = _codes(model, target, count, len(names))
    seeds = np.eye(len(names))[codes]
    unit = "logit"
    if single or len(names) == 2 or against is not None:
        # the probabilities of two classes depend on the difference of their logits
        other = 1 - codes if against is None else _codes(model, against, count, len(names))
        seeds, unit = seeds - np.eye(len(names))[other], "log-odds"
    rival = "" if against is None else f" against {against}"
    return _Explained(
        seeds[:, 1:] if single else seeds, tuple(f"{names[code]}{rival}" for code in codes), unit
    )


def _codes(model: Model, target: Any, count: int, classes: int) -> NDArray[np.intp]:
    """Return the code of a class for each row."""
    given = np.asarray(target)
    if given.ndim and len(given) != count:
        raise ConfigurationError(
            f"target names {len(given)} classes for {count} rows: give one class, or one for each row."
        )
    wanted = np.broadcast_to(given, (count,))
    if isinstance(model.target_encoder, ClassEncoder):
        return model.target_encoder.transform(wanted).astype(np.intp)
    codes = wanted.astype(np.intp) if wanted.dtype.kind in "iu" else np.full(count, -1)
    if not ((codes >= 0) & (codes < classes)).all():
        raise ConfigurationError(f"target is {target!r}, but the classes are 0 to {classes - 1}.")
    return codes


def _explained_value(model: Model, target: Any, count: int, width: int) -> _Explained:
    """Return the log-odds of a label, or a value in its own unit, as the output to explain."""
    encoder = model.target_encoder
    names = [str(n) for n in getattr(encoder, "names", [])] or [
        f"y{index}" for index in range(width)
    ]
    if target is None and width > 1:
        raise ConfigurationError(
            f"The model predicts {', '.join(names[:20])}: choose one to explain, such as target={names[0]!r}."
        )
    index = 0 if target is None else names.index(target) if target in names else target
    if not isinstance(index, (int, np.integer)) or not 0 <= index < width:
        near = did_you_mean(str(target), names)
        raise ConfigurationError(
            f"target is {target!r}, which the model does not predict.{near} It predicts:"
            f" {', '.join(names[:20])}."
        )
    scale, center = 1.0, 0.0
    unit = "log-odds" if model.loss.task == "labels" else "output"
    if isinstance(encoder, TargetScaler):
        scale, center, unit = encoder.scale[index], encoder.center[index], names[index]
    seeds = np.zeros((count, width))
    seeds[:, index] = scale
    return _Explained(seeds, (names[index],) * count, unit, center)
