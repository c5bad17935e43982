"""Compute the partial dependence of predictions on one or two columns, with scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import inspection
from sklearn.base import RegressorMixin

from glassnet._checks import check_count
from glassnet.data.tables import Kind, Table, frame_of, missing_in
from glassnet.display.drawing import axes_for
from glassnet.display.text import text_table
from glassnet.errors import ConfigurationError, DataError, did_you_mean
from glassnet.explain.importance import Gathered, grouped
from glassnet.explain.plots import COLORS
from glassnet.explain.rows import Rows, as_plain, as_text
from glassnet.models.model import model_of

ENDS = (0.05, 0.95)  # quantiles between which numbers are varied, as in scikit-learn
MAX_ROWS = 1_000  # each row is predicted once for every value


@dataclass(frozen=True, eq=False)
class PartialDependence:
    """The result of `partial_dependence`: the mean prediction for each value that a column is set to.

    columns: one or two names. kinds: "number", "category" or "date" of each column. values: the values that
    each column was set to, in its original unit; None is missing. average: (outputs, *lengths of the
    values). individual: the predictions of each row, (outputs, rows, *lengths), if asked for. outputs: the
    classes, labels or targets. unit: "probability", or "value" in the target's unit. rows: the number of
    rows averaged over.
    """

    columns: tuple[str, ...]
    kinds: tuple[Kind, ...]
    values: tuple[tuple[Any, ...], ...]
    average: NDArray[np.float64]
    individual: NDArray[np.float64] | None
    outputs: tuple[str, ...]
    unit: str
    rows: int

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        return {
            "columns": list(self.columns),
            "values": [list(values) for values in self.values],
            "average": dict(zip(self.outputs, self.average.tolist(), strict=True)),
            "unit": self.unit,
            "rows": self.rows,
        }

    def to_frame(self) -> Any:
        """Return a data frame with one row per value (or pair of values): the columns, then the outputs."""
        grid = np.meshgrid(*(np.arange(len(v)) for v in self.values), indexing="ij")
        columns: dict[str, Any] = {
            name: [values[index] for index in indices.ravel()]
            for name, values, indices in zip(self.columns, self.values, grid, strict=True)
        }
        means = zip(self.outputs, self.average.reshape(len(self.outputs), -1), strict=True)
        return frame_of(columns | {f"mean {name}": mean for name, mean in means})

    def __str__(self) -> str:
        head = f"mean {self.unit} over {self.rows} rows when {' and '.join(self.columns)} is set"
        grid = np.meshgrid(*(np.arange(len(v)) for v in self.values), indexing="ij")
        means = self.average.reshape(len(self.outputs), -1)
        rows = [[*self.columns, *self.outputs]]
        for point, indices in enumerate(zip(*(g.ravel() for g in grid), strict=True)):
            set_to = [as_text(v[i]) for v, i in zip(self.values, indices, strict=True)]
            rows.append([*set_to, *(f"{mean:.4g}" for mean in means[:, point])])
        return f"{head}\n{text_table(rows)}"

    def plot(self, ax: Any = None) -> Any:
        """Draw a line for each output, points for a category, or a map for two columns; return the axes."""
        ax = axes_for(ax, None)
        if len(self.columns) == 2:
            return self._map(ax)
        shown = (
            range(1, 2)
            if self.unit == "probability" and len(self.outputs) == 2
            else range(len(self.outputs))
        )
        values = self.values[0]
        line = self.kinds[0] != "category"  # there is nothing between two categories
        known = [i for i, value in enumerate(values) if value is not None or not line]
        x: Any = [values[i] if line else as_text(values[i]) for i in known]
        if self.kinds[0] == "date":
            x = np.array(x, "datetime64[s]")
            ax.tick_params(axis="x", rotation=30)
        for output, marker in zip(shown, "os^vDPX*" * (len(self.outputs) // 8 + 1), strict=False):
            style, name = f"{marker}-" if line else marker, self.outputs[output]
            (drawn,) = ax.plot(x, self.average[output, known], style, ms=4, label=name)
            if len(known) < len(values):
                missing = float(self.average[output, values.index(None)])
                ax.axhline(missing, color=drawn.get_color(), ls=":", label=f"{name}, missing")
        if not line and len(values) > 8:
            ax.tick_params(axis="x", rotation=90)
        ax.set(xlabel=self.columns[0], ylabel=f"mean {self.unit}")
        ax.legend()
        return ax

    def _map(self, ax: Any) -> Any:
        """Draw the last output over two columns."""
        first, second = self.values
        image = ax.imshow(self.average[-1].T, origin="lower", aspect="auto", cmap=COLORS)
        ax.figure.colorbar(image, ax=ax, label=f"mean {self.unit} of {self.outputs[-1]}")
        for values, axis in ((first, ax.xaxis), (second, ax.yaxis)):
            ticks = np.unique(np.linspace(0, len(values) - 1, min(len(values), 6)).astype(int))
            axis.set_ticks(ticks, [as_text(values[tick]) for tick in ticks])
        ax.set(xlabel=self.columns[0], ylabel=self.columns[1])
        return ax


def partial_dependence(
    model: Any,
    X: Any,
    columns: Any,
    *,
    points: int = 30,
    individual: bool = False,
    max_rows: int | None = MAX_ROWS,
    seed: int = 0,
) -> PartialDependence:
    """Return the mean prediction over rows X when one column is set to each of several values.

    f(v) = mean over rows of the prediction for (v, the row's other columns). Where columns depend on each
    other, this creates rows that cannot occur, and f is not the effect of the column.

    Friedman, "Greedy Function Approximation", 2001, section 8.2; computed by scikit-learn.

    Parameters
    ----------
    model: a fitted estimator, a `Run`, or a `Model`. X: rows as the model takes them.
    columns: the name of a column (or its index, from 0), or two of them for all pairs of values.
    points: the number of values. Numbers and dates are spaced evenly between their 5th and 95th percentile,
        or take all their values if there are fewer; categories take their most frequent levels. If X has
        missing values, "missing" is added. Default 30.
    individual: whether to keep the predictions of each row (individual conditional expectation).
    max_rows: a random sample of this size is used if there are more rows; None: all. Default 1000.

    Raises
    ------
    ConfigurationError: the rows are pictures, or a column is unknown. DataError: unusable rows.

    >>> import glassnet as gn
    >>> X = {"size": [0.0, 1.0, 2.0, 3.0] * 15, "city": ["Ulm", "Bonn", "Rom"] * 20}
    >>> regressor = gn.NeuralRegressor((8,), members=2, epochs=30, random_state=0).fit(X, X["size"])
    >>> dependence = partial_dependence(regressor, X, "size")
    >>> dependence.values, bool(dependence.average[0, 3] > dependence.average[0, 0] + 1)
    (((0.0, 1.0, 2.0, 3.0),), True)
    """
    check_count("points", points, 2)
    fitted = model_of(model)
    rows = Rows.of(fitted, X, max_rows, seed)
    names, column_indices = grouped(rows, None)
    asked = list(columns) if isinstance(columns, (tuple, list)) else [columns]
    if not 1 <= len(asked) <= 2:
        raise ConfigurationError(f"columns names {len(asked)} columns: give one, or two for a map.")
    chosen = [_column_index(rows, name) for name in asked]
    pool, pooled, custom = [rows.x], len(rows.x), {}
    kinds = [rows.kind(names[j]) for j in chosen]
    values = [
        _values_of(rows.column(names[j]), kind, points)
        for j, kind in zip(chosen, kinds, strict=True)
    ]
    for j, (_, column) in zip(chosen, values, strict=True):
        pool.append(_encoded(rows, names[j], column))
        custom[j] = np.arange(pooled, pooled + len(column), dtype=np.float64)
        pooled += len(column)
    sources = np.tile(np.arange(len(rows.x), dtype=np.float64)[:, None], len(names))
    result = inspection.partial_dependence(
        _Predictions(fitted, np.concatenate(pool), column_indices), sources, chosen,
        custom_values=custom, method="brute", kind="both" if individual else "average",
    )  # fmt: skip
    regression = fitted.loss.task == "regression"
    outputs = getattr(fitted.target_encoder, "names", fitted.classes)
    if outputs is None:
        outputs = range(len(result["average"]))
    return PartialDependence(
        tuple(names[j] for j in chosen), tuple(kinds), tuple(plain for plain, _ in values),
        np.asarray(result["average"], np.float64),
        np.asarray(result["individual"], np.float64) if individual else None,
        tuple(map(str, outputs)), "value" if regression else "probability", len(rows.x),
    )  # fmt: skip


def _column_index(rows: Rows, name: Any) -> int:
    """Return the index of a column that the user names."""
    if name in rows.columns:
        return rows.columns.index(name)
    if isinstance(name, (int, np.integer)) and 0 <= name < len(rows.columns):
        return int(name)
    near = did_you_mean(str(name), rows.columns)
    raise ConfigurationError(
        f"The model uses no column {name!r}.{near} It uses: {', '.join(rows.columns[:20])}."
    )


def _values_of(
    column: NDArray[Any], kind: Kind, points: int
) -> tuple[tuple[Any, ...], NDArray[Any]]:
    """Return the values that a column is set to, as plain values and as a column of its kind."""
    from scipy.stats.mstats import mquantiles  # lazily: the quantiles that scikit-learn uses

    missing = missing_in(column)
    present = column[~missing]
    if kind == "category":
        levels, counts = np.unique(present.astype(str), return_counts=True)
        grid: NDArray[Any] = levels[np.argsort(-counts, kind="stable")[:points]].astype(object)
    else:
        grid = np.unique(present)
        if len(grid) > points:
            # dates are whole microseconds
            low, high = mquantiles(present.astype(np.int64 if kind == "date" else np.float64), ENDS)
            even = np.linspace(low, high, points)
            grid = even.astype(np.int64).astype(present.dtype) if kind == "date" else even
    if missing.any():
        grid = np.concatenate([grid, column[missing][:1]])
    if not len(grid):
        raise DataError("Every value of the column is missing, so there is no value to set it to.")
    return tuple(as_plain(value) for value in grid), grid


def _encoded(rows: Rows, name: str, grid: NDArray[Any]) -> NDArray[Any]:
    """Return the inputs of the first row, with one column set to each of these values."""
    key = rows.key(name)
    first = np.zeros(len(grid), np.intp)
    if isinstance(rows.X, Table):
        return rows.model.inputs(Table(rows.X.rows(first).columns | {key: grid}))
    X = rows.X[first].astype(np.result_type(rows.X.dtype, grid.dtype))
    X[:, key] = grid
    return rows.model.inputs(X)


class _Predictions(RegressorMixin, Gathered):  # type: ignore[misc]  # scikit-learn publishes no types
    """Predict values, or all probabilities as values: scikit-learn would leave out one of two classes."""

    def predict(self, sources: Any) -> NDArray[Any]:
        rows = self.rows(sources)
        regression = self.model.loss.task == "regression"
        return self.model.predict(rows) if regression else self.model.predict_proba(rows)
