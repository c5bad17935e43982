"""Attribution: how much each column, or pixel, of a row moved the network's output.

Our own backward pass is carried on below the first layer, down to the network's inputs:

    integrated gradients     a_i = (x_i - b_i) ∫₀¹ ∂F/∂x_i (b + t (x - b)) dt
    gradient x input         a_i = (x_i - b_i) ∂F/∂x_i (x)

F is the output that is explained, x the encoded row, b the baseline. Integrated gradients are complete:
their sum is F(x) - F(b). The integral is a sum over points, and points are added, row by row, until that
holds. Codes of an embedding have no gradient; there the straight line from b to x runs through what the
embedding puts out, and a code's attribution is the sum over its numbers. Of many members, whose outputs'
mean predicts, the attributions are the mean.
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
from glassnet.display.text import text_table
from glassnet.encoding.targets import ClassEncoder, TargetScaler
from glassnet.errors import ConfigurationError, did_you_mean
from glassnet.explain.paths import METHODS, Path
from glassnet.explain.rows import (
    Rows,
    as_text,
    axes,
    bar,
    draw_bars,
    draw_picture,
    model_of,
)
from glassnet.models.model import Model


@dataclass(frozen=True, eq=False)
class Attribution:
    """What `attribute` returns: for each row how much each column moved the output, and whether it adds up.

    values: (rows, columns), or (rows, *picture), in `unit`. columns: their names; none of a picture.
    features, feature_names: the same by encoded input, one place a level of a category, and so on.
    cells: the rows in their own units. targets: for each row the class or value that is explained.
    unit: "logit", "log-odds", or the name of the target, whose own unit it is.
    output, baseline_output: F(x) and F(b), (rows,). steps: points on each row's path, (rows,).
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
        """Return the mean over rows of the attributions' size, by column or pixel."""
        return np.asarray(np.abs(self.values).mean(axis=0))

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values that JSON can hold."""
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
        """Return a data frame, one line a row and column (or pixel): row, column, value, attribution."""
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
            head = f"{self.method} over {len(self)} rows: mean size, in {self.unit}"
            foot = f"largest gap {self.gap.max():.2%}"
            values, cells = self.overall(), {}
        else:
            head = f"{self.method} of {self.targets[0]}, in {self.unit}"
            added = "their sum" if self.method == "integrated_gradients" else "F(x) - F(baseline)"
            foot = (
                f"{self.baseline_output[0]:.4g} at the baseline, {self.output[0]:.4g} here;"
                f" {added} is {self.output[0] - self.baseline_output[0]:+.4g}, gap {self.gap[0]:.2%}"
            )
            values, cells = self.values[0], self.cells[0]
        if not self.columns:
            place = np.unravel_index(int(np.abs(values).argmax()), values.shape)
            said = f"most at pixel {', '.join(str(int(p)) for p in place)}: {values[place]:+.4g}"
            return f"{head}\n{said}\n{foot}"
        most = float(np.abs(values).max()) or 1.0
        order = np.argsort(-np.abs(values), kind="stable")
        rows = [["column", *(["value"] if cells else []), "attribution", ""]]
        for j in order:
            name = self.columns[j]
            shown = [as_text(cells[name])] if cells else []
            rows.append([name, *shown, f"{values[j]:+.4g}", bar(values[j] / most).ljust(20)])
        return f"{head}\n{text_table(rows)}\n{foot}"

    def plot(self, ax: Any = None) -> Any:
        """Draw one row's attributions, or the mean size over several rows; return the axes.

        Of a table a bar a column, the largest on top; of a picture a picture, light for, dark against.
        """
        ax = axes(ax)
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
            f"attribution, in {self.unit}" if one else f"mean size of attribution, in {self.unit}"
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
    """Return how much each column, or pixel, of some rows moved the network's output away from a baseline.

    Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", 2017 (integrated gradients);
    Shrikumar, Greenside and Kundaje, "Learning Important Features", 2017 (gradient x input).

    Parameters
    ----------
    model: a fitted estimator, a `Run`, or a `Model`.
    X: rows as the model takes them: a table, numbers (n, features), pictures (n, h, w[, c]).
    target: what is explained: a class, or one class a row (default: what is predicted); the name or the
        place of a label or of a value, where there are several. Classes are explained on their logits,
        temperature included: with two classes on the log-odds ln p / (1 - p), with more on the logit of the
        class. Values in the target's own unit.
    against: a second class: then log-odds of `target` against it, the difference of their logits.
    method: "integrated_gradients" (default) or "gradient_x_input" (one backward pass; exact for a linear
        network only).
    baseline: rows like X, whose mean input is where the path begins. Default: all inputs 0, which is the
        median of a number, no level of a category, a black picture.
    steps: points on the path to begin with; doubled for the rows whose gap is above `tolerance`, up to 4096.
    tolerance: the largest gap, a share of F(x) - F(b). Default 0.01. Where that difference is as small as
        rounding (1000 times the precision of the model's numbers) the gap is a share of that instead.

    Raises
    ------
    ConfigurationError: an unknown method, no such class or value, an `Embedding` that is not the first layer.
    DataError: rows that the model cannot take.

    >>> import glassnet as gn
    >>> X, y = [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.0]], [0.0, 2.0, 4.0, 6.0]
    >>> run = gn.train(gn.Network([gn.Dense(1)]), X, y, optimizer=gn.SGD(0.1), epochs=300)
    >>> found = attribute(run, [[3.0, 1.0]])
    >>> found.values.round(2).tolist(), bool(found.gap[0] < 0.01)  # y = 2 x0 + 0 x1
    ([[6.0, 0.0]], True)
    """
    found = model_of(model)
    explain: Callable[..., tuple[Any, Any]] = resolve("method of attribution", method, METHODS)
    check_count("steps", steps)
    check_range("tolerance", tolerance, 0, np.inf, open_low=True)
    rows = Rows.of(found, X)
    aim = _aim(rows, target, against)
    base = (
        np.zeros((1, *found.in_shape), found.dtype) if baseline is None else found.inputs(baseline)
    )
    with precision(found.dtype):
        path = Path(found, rows.x, base, aim.seeds)
        there, here = path.at(np.array([0.0, 1.0])).T
        features, used = explain(path, here - there, steps, tolerance)
    return Attribution(
        rows.by_column(features), rows.columns, features, rows.feature_names,
        tuple(rows.cells(range(len(rows.x))) if rows.columns else [{} for _ in rows.x]), aim.names, aim.unit,
        here + aim.offset, there + aim.offset, path.gap(features, here - there), used, method,
    )  # fmt: skip


class _Aim(NamedTuple):
    """What is explained: F = Σ seeds · logits + offset, by row; what it is called; its unit."""

    seeds: NDArray[np.float64]
    names: tuple[str, ...]
    unit: str
    offset: float = 0.0


def _aim(rows: Rows, target: Any, against: Any) -> _Aim:
    """Return what is explained of each row."""
    model, count = rows.model, len(rows.x)
    outputs = model.outputs_encoded(rows.x)
    width = outputs.shape[1]
    classes = model.loss.task == "classification" or isinstance(model.target_encoder, ClassEncoder)
    if not classes:
        if against is not None:
            raise ConfigurationError("against is for two classes of one target: leave it out.")
        return _aim_at_value(model, target, count, width)
    single = width == 1
    names = np.arange(2 if single else width) if model.classes is None else model.classes
    if target is None:
        codes = (outputs[:, 0] > 0.5).astype(int) if single else outputs.argmax(axis=1)
    else:
        codes = _codes(model, target, count, len(names))
    seeds = np.eye(len(names))[codes]
    unit = "logit"
    if single or len(names) == 2 or against is not None:
        # the difference of two logits is what the probabilities of both depend on
        other = 1 - codes if against is None else _codes(model, against, count, len(names))
        seeds, unit = seeds - np.eye(len(names))[other], "log-odds"
    said = "" if against is None else f" against {against}"
    return _Aim(
        seeds[:, 1:] if single else seeds, tuple(f"{names[code]}{said}" for code in codes), unit
    )


def _codes(model: Model, target: Any, count: int, classes: int) -> NDArray[np.intp]:
    """Return the place of a class, or of one class a row, for each row."""
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


def _aim_at_value(model: Model, target: Any, count: int, width: int) -> _Aim:
    """Return a label's log-odds, or a value in its own unit."""
    encoder = model.target_encoder
    names = [str(n) for n in getattr(encoder, "names", [])] or [
        f"y{place}" for place in range(width)
    ]
    if target is None and width > 1:
        raise ConfigurationError(
            f"The model answers {', '.join(names[:20])}: say which one to explain, target={names[0]!r}."
        )
    place = 0 if target is None else names.index(target) if target in names else target
    if not isinstance(place, (int, np.integer)) or not 0 <= place < width:
        near = did_you_mean(str(target), names)
        raise ConfigurationError(
            f"target is {target!r}, which the model does not answer.{near} It answers:"
            f" {', '.join(names[:20])}."
        )
    scaled = isinstance(encoder, TargetScaler)
    scale = encoder.scale[place] if isinstance(encoder, TargetScaler) else 1.0
    center = encoder.center[place] if isinstance(encoder, TargetScaler) else 0.0
    seeds = np.zeros((count, width))
    seeds[:, place] = scale
    log_odds = model.loss.task == "labels"
    unit = "log-odds" if log_odds else names[place] if scaled else "output"
    return _Aim(seeds, (names[place],) * count, unit, center)
