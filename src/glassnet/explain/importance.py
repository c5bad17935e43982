"""Measure how important each of the user's columns is, with scikit-learn's permutation importance.

scikit-learn shuffles a column of a matrix. Here the matrix holds row numbers instead of values: entry (i, j)
is the row from which row i takes its column j. So text, dates and missing values are shuffled together with
all their inputs, and no row is encoded twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import inspection
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import check_scoring

from glassnet._checks import check_count
from glassnet.data.tables import frame_of, no_such_column
from glassnet.display.drawing import axes_for
from glassnet.display.text import text_bar, text_table
from glassnet.errors import ConfigurationError
from glassnet.explain.plots import draw_bars
from glassnet.explain.rows import Rows
from glassnet.models.model import Model, model_of

MAX_ROWS = 10_000  # more rows change the mean by less than its standard deviation


@dataclass(frozen=True, eq=False)
class Importance:
    """The result of `permutation_importance`: how much the score drops when a column is shuffled.

    columns: names of columns or groups. falls: the drops, (columns, repeats). score: the score without
    shuffling, by `scoring`. rows: the number of rows used.
    """

    columns: tuple[str, ...]
    falls: NDArray[np.float64]
    score: float
    scoring: str
    rows: int

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean drop over the repeats, by column."""
        return np.asarray(self.falls.mean(axis=1))

    @property
    def deviation(self) -> NDArray[np.float64]:
        """The standard deviation of the drop over the repeats, by column."""
        return np.asarray(self.falls.std(axis=1))

    def ranked(self) -> list[str]:
        """Return the columns, the most important first."""
        return [self.columns[j] for j in self._order]

    @property
    def _order(self) -> NDArray[np.intp]:
        return np.argsort(-self.mean, kind="stable")

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        columns = {
            self.columns[j]: {
                "mean": float(self.mean[j]),
                "deviation": float(self.deviation[j]),
                "falls": self.falls[j].tolist(),
            }
            for j in self._order
        }
        return {"scoring": self.scoring, "score": self.score, "rows": self.rows, "columns": columns}

    def to_frame(self) -> Any:
        """Return a data frame (column, mean, deviation), the most important column first."""
        order = self._order
        return frame_of(
            {"column": self.ranked(), "mean": self.mean[order], "deviation": self.deviation[order]}
        )

    def __str__(self) -> str:
        largest = float(np.abs(self.mean).max()) or 1.0
        rows = [["column", "drop", "±", ""]]
        for j in self._order:
            shown = text_bar(self.mean[j] / largest).replace("+", "*").ljust(20)
            rows.append([self.columns[j], f"{self.mean[j]:.4f}", f"{self.deviation[j]:.4f}", shown])
        head = f"drop of {self.scoring} ({self.score:.4f} on {self.rows} rows) when a column is shuffled"
        return f"{head}\n{text_table(rows)}"

    def plot(self, ax: Any = None) -> Any:
        """Draw the mean drop and its deviation for up to 30 columns; return the axes."""
        order = self._order[:30]
        names = [self.columns[j] for j in order]
        label = f"drop of {self.scoring} when shuffled"
        return draw_bars(axes_for(ax, None), names, self.mean[order], self.deviation[order], label)


def permutation_importance(
    model: Any,
    X: Any,
    y: Any,
    *,
    groups: Mapping[str, Sequence[str]] | None = None,
    scoring: Any = None,
    repeats: int = 5,
    max_rows: int | None = MAX_ROWS,
    seed: int = 0,
) -> Importance:
    """Return how much a score drops when one column of X is shuffled, so that it says nothing about its row.

    drop_j = score(X, y) - score(X with column j shuffled, y). Columns with the same information can replace
    each other, so shuffling one of them costs little. Shuffle them together, as a group. Use rows that the
    model was not trained on: on training rows, the score also drops where the model has learned noise.

    Breiman, "Random Forests", 2001, section 10; computed by scikit-learn.

    Parameters
    ----------
    model: a fitted estimator, a `Run`, or a `Model`.
    X, y: rows as the model takes them, text and missing values included, and their true targets.
    groups: group name -> columns to shuffle together; every other column is shuffled alone.
    scoring: a name of scikit-learn's scores ("neg_log_loss", "balanced_accuracy") or a function
        (estimator, X, y). Default: accuracy of classes, R² of values.
    repeats: the number of shuffles per column. Default 5.
    max_rows: a random sample of this size is used if there are more rows; None: all. Default 10 000.
    seed: of the shuffles.

    Raises
    ------
    ConfigurationError: the rows are pictures, or a column or score is unknown. DataError: unusable rows.

    >>> import glassnet as gn
    >>> X = {"size": [0.0, 1.0, 2.0, 3.0] * 15, "city": ["Ulm", "Bonn", "Rom"] * 20}
    >>> regressor = gn.NeuralRegressor((8,), members=2, epochs=30, random_state=0).fit(X, X["size"])
    >>> permutation_importance(regressor, X, X["size"]).ranked()
    ['size', 'city']
    """
    check_count("repeats", repeats)
    fitted = model_of(model)
    rows = Rows.of(fitted, X, max_rows, seed)
    truth = rows.truth(y)
    names, columns = grouped(rows, groups)
    kind = _Values if fitted.loss.task == "regression" else _Classes
    estimator = kind(fitted, rows.x, columns)
    sources = np.tile(np.arange(len(rows.x))[:, None], len(names))
    try:
        scorer = check_scoring(estimator, scoring=scoring)
        result = inspection.permutation_importance(
            estimator, sources, truth, scoring=scorer, n_repeats=repeats, random_state=seed
        )
        score = float(scorer(estimator, sources, truth))
    except ValueError as error:
        raise ConfigurationError(f"scoring={scoring!r} cannot be used here: {error}") from error
    default = "R²" if kind is _Values else "accuracy"
    scored_by = default if scoring is None else str(getattr(scoring, "__name__", scoring))
    falls = np.asarray(result.importances, np.float64)
    return Importance(names, falls, score, scored_by, len(rows.x))


def grouped(
    rows: Rows, groups: Mapping[str, Sequence[str]] | None
) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    """Return the names of columns and groups, and for each input of the network the index of its name."""
    if not rows.columns:
        raise ConfigurationError(
            "Shuffling a single pixel shows nothing, because its neighbours can replace it. Explain pictures"
            " one by one, with gn.attribute(model, X) or the command's --row N."
            if rows.pictures
            else "The model uses none of its columns, so there is nothing to shuffle."
        )
    group_of: dict[str, str] = {}
    for group, columns in (groups or {}).items():
        for name in columns:
            if name not in rows.columns:
                raise ConfigurationError(no_such_column(name, rows.columns))
            if name in group_of:
                raise ConfigurationError(
                    f"Column '{name}' is in two groups: leave it in one of them."
                )
            group_of[name] = group
    owners = [group_of.get(name, name) for name in rows.columns]
    names = tuple(dict.fromkeys(owners))
    return names, np.array([names.index(owner) for owner in owners], np.intp)[rows.column_indices]


class Gathered(BaseEstimator):  # type: ignore[misc]  # scikit-learn publishes no types
    """A fitted model as a scikit-learn estimator of matrices of row numbers (see the module's docstring)."""

    def __init__(self, model: Model, x: NDArray[Any], columns: NDArray[np.intp]):
        self.model = replace(model, encoder=None)  # the rows are already encoded
        self.x, self.columns = x, columns

    def fit(self, X: Any, y: Any) -> Any:
        """Return the estimator, whose model is already fitted."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def rows(self, sources: Any) -> NDArray[Any]:
        """Return the inputs of the rows that a matrix of row numbers describes."""
        numbers = np.asarray(sources, np.intp)
        return self.x[numbers[:, self.columns], np.arange(self.x.shape[1])]

    def predict(self, sources: Any) -> NDArray[Any]:
        """Return the class, the labels or the value of each row."""
        return self.model.predict(self.rows(sources))


class _Classes(ClassifierMixin, Gathered):  # type: ignore[misc]  # as above
    """A model of classes or labels."""

    @property
    def classes_(self) -> NDArray[Any]:
        if self.model.classes is not None:
            return self.model.classes
        first = np.zeros((1, int(self.columns.max()) + 1))
        return np.arange(self.predict_proba(first).shape[1])

    def predict_proba(self, sources: Any) -> NDArray[Any]:
        """Return the probability of each class or label."""
        return self.model.predict_proba(self.rows(sources))


class _Values(RegressorMixin, Gathered):  # type: ignore[misc]  # as above
    """A model of values."""
