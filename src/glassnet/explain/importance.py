"""Importance of columns and partial dependence: scikit-learn's, on a person's own columns.

scikit-learn shuffles, or sets, a column of a matrix. Here that matrix holds no values but numbers of rows:
entry (i, j) says from which row the i-th row takes its column j. So text, dates and missing values are
shuffled as they are, each with all its inputs, and no row is encoded twice.
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
from glassnet.display.text import text_table
from glassnet.errors import ConfigurationError
from glassnet.explain.rows import (
    Rows,
    axes,
    bar,
    draw_bars,
    model_of,
)
from glassnet.models.model import Model

MOST_ROWS = 10_000  # more change the mean by less than its spread


@dataclass(frozen=True, eq=False)
class Importance:
    """What `permutation_importance` returns: by how much the score falls where a column is shuffled.

    columns: names of columns, or of groups of them. falls: (columns, repeats). score: of the rows as they
    are, by `scoring`. rows: how many were used.
    """

    columns: tuple[str, ...]
    falls: NDArray[np.float64]
    score: float
    scoring: str
    rows: int

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean fall over the repeats, by column."""
        return np.asarray(self.falls.mean(axis=1))

    @property
    def deviation(self) -> NDArray[np.float64]:
        """The standard deviation over the repeats, by column."""
        return np.asarray(self.falls.std(axis=1))

    def ranked(self) -> list[str]:
        """Return the columns, the most important first."""
        return [self.columns[place] for place in self._order]

    @property
    def _order(self) -> NDArray[np.intp]:
        return np.argsort(-self.mean, kind="stable")

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values that JSON can hold."""
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
        """Return a data frame, one line a column, the most important first: column, mean, deviation."""
        order = self._order
        return frame_of(
            {"column": self.ranked(), "mean": self.mean[order], "deviation": self.deviation[order]}
        )

    def __str__(self) -> str:
        most = float(np.abs(self.mean).max()) or 1.0
        rows = [["column", "fall", "±", ""]]
        for j in self._order:
            shown = bar(self.mean[j] / most).replace("+", "*").ljust(20)
            rows.append([self.columns[j], f"{self.mean[j]:.4f}", f"{self.deviation[j]:.4f}", shown])
        head = f"fall of {self.scoring} ({self.score:.4f} on {self.rows} rows) where a column is shuffled"
        return f"{head}\n{text_table(rows)}"

    def plot(self, ax: Any = None) -> Any:
        """Draw the mean fall of each column with its deviation, at most 30; return the axes."""
        order = self._order[:30]
        names = [self.columns[j] for j in order]
        label = f"fall of {self.scoring} where shuffled"
        return draw_bars(axes(ax), names, self.mean[order], self.deviation[order], label)


def permutation_importance(
    model: Any,
    X: Any,
    y: Any,
    *,
    groups: Mapping[str, Sequence[str]] | None = None,
    scoring: Any = None,
    repeats: int = 5,
    max_rows: int | None = MOST_ROWS,
    seed: int = 0,
) -> Importance:
    """Return by how much a score falls where one column of X is shuffled, so that it tells nothing.

    fall_j = score(X, y) - score(X with column j shuffled, y). Columns that tell the same can stand in for
    each other, and little falls for each of them: shuffle them together, as a group. Use rows that the model
    was not trained on: on its own rows its score also falls where it has learned noise.

    Breiman, "Random Forests", 2001, section 10; computed by scikit-learn.

    Parameters
    ----------
    model: a fitted estimator, a `Run`, or a `Model`.
    X, y: rows as the model takes them, text and missing values included, and their true targets.
    groups: names of groups and the columns of each, shuffled together; other columns stay by themselves.
    scoring: a name of scikit-learn's scores ("neg_log_loss", "balanced_accuracy") or a function
        (estimator, X, y). Default: accuracy of classes, R² of values.
    repeats: shuffles a column. Default 5.
    max_rows: of more rows so many are taken at random; None: all. Default 10 000.
    seed: of the shuffles.

    Raises
    ------
    ConfigurationError: the rows are pictures, an unknown column or score. DataError: unusable rows.

    >>> import glassnet as gn
    >>> X = {"size": [0.0, 1.0, 2.0, 3.0] * 15, "city": ["Ulm", "Bonn", "Rom"] * 20}
    >>> regressor = gn.NeuralRegressor((8,), members=2, epochs=30, random_state=0).fit(X, X["size"])
    >>> permutation_importance(regressor, X, X["size"]).ranked()
    ['size', 'city']
    """
    check_count("repeats", repeats)
    found = model_of(model)
    rows = Rows.of(found, X, max_rows, seed)
    truth = rows.truth(y)
    names, place = grouped(rows, groups)
    kind = _Values if found.loss.task == "regression" else _Classes
    estimator = kind(found, rows.x, place)
    picked = np.tile(np.arange(len(rows.x))[:, None], len(names))
    try:
        scorer = check_scoring(estimator, scoring=scoring)
        result = inspection.permutation_importance(
            estimator, picked, truth, scoring=scorer, n_repeats=repeats, random_state=seed
        )
        score = float(scorer(estimator, picked, truth))
    except ValueError as error:
        raise ConfigurationError(f"scoring={scoring!r} cannot be used here: {error}") from error
    default = "R²" if kind is _Values else "accuracy"
    said = default if scoring is None else str(getattr(scoring, "__name__", scoring))
    return Importance(names, np.asarray(result.importances, np.float64), score, said, len(rows.x))


def grouped(
    rows: Rows, groups: Mapping[str, Sequence[str]] | None
) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    """Return the names of what is shuffled, and for each input of the network which of them it is in."""
    if not rows.columns:
        raise ConfigurationError(
            "A pixel shuffled alone tells nothing: its neighbours stand in for it. Explain pictures one by"
            " one: gn.attribute(model, X), or --row N of the command."
            if rows.pictures
            else "The model uses none of its columns, so that there is nothing to shuffle."
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
    return names, np.array([names.index(owner) for owner in owners], np.intp)[rows.place]


class Gathered(BaseEstimator):  # type: ignore[misc]  # scikit-learn publishes no types
    """A fitted model, to scikit-learn, over a matrix of row numbers: the module's docstring."""

    def __init__(self, model: Model, x: NDArray[Any], place: NDArray[np.intp]):
        self.model = replace(model, encoder=None)  # of rows that are encoded already
        self.x, self.place = x, place

    def fit(self, X: Any, y: Any) -> Any:
        """Return itself: the model is fitted."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def rows(self, picked: Any) -> NDArray[Any]:
        """Return the inputs that a matrix of row numbers stands for."""
        numbers = np.asarray(picked, np.intp)
        return self.x[numbers[:, self.place], np.arange(self.x.shape[1])]

    def predict(self, picked: Any) -> NDArray[Any]:
        """Return the class, the labels or the value of each row."""
        return self.model.predict(self.rows(picked))


class _Classes(ClassifierMixin, Gathered):  # type: ignore[misc]  # as above
    """The same for classes and labels."""

    @property
    def classes_(self) -> NDArray[Any]:
        if self.model.classes is not None:
            return self.model.classes
        first = np.zeros((1, int(self.place.max()) + 1))
        return np.arange(self.predict_proba(first).shape[1])

    def predict_proba(self, picked: Any) -> NDArray[Any]:
        """Return the probability of each class or label."""
        return self.model.predict_proba(self.rows(picked))


class _Values(RegressorMixin, Gathered):  # type: ignore[misc]  # as above
    """The same for values."""
