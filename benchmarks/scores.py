"""Score a model on a table, and rank models over many tables; nothing is trained here."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import log_loss, root_mean_squared_error

Row = dict[str, Any]  # one model on one table: names, scores, seconds; "failed" where it raised
MEANS = ("error", "logloss", "nrmse")  # compared by their geometric mean; lower is better
BINS = 15


def of_classes(y: np.ndarray, probabilities: np.ndarray, classes: np.ndarray) -> dict[str, float]:
    """Return error, log-loss and calibration error; a class that was never trained on has probability 0."""
    every = np.union1d(classes, y)
    full = np.zeros((len(y), len(every)))
    full[:, np.searchsorted(every, classes)] = probabilities
    right = every[full.argmax(axis=1)] == y
    # float32 rows sum to one within 1e-6 only, of which log_loss would warn
    full /= full.sum(axis=1, keepdims=True)
    return {
        "error": float(1 - right.mean()),
        "logloss": float(log_loss(y, full, labels=every)),
        "ece": calibration_error(full.max(axis=1), right),
    }


def of_values(y: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Return the root mean squared error over the standard deviation of y: guessing y's mean scores 1."""
    return {"nrmse": float(root_mean_squared_error(y, predicted) / y.std())}


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """Return Σ_b (n_b / n) · |share right in b − mean confidence in b|, over equal bins of the confidence.

    Guo et al., 2017, "On Calibration of Modern Neural Networks".

    >>> calibration_error(np.array([0.9, 0.9]), np.array([True, False]))
    0.4
    """
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(bin_of, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(right))


def coverage(y: np.ndarray, intervals: np.ndarray) -> float:
    """Return the share of values inside their intervals, (n, 2)."""
    return float(((intervals[:, 0] <= y) & (y <= intervals[:, 1])).mean())


def geometric_mean(values: Iterable[float], shift: float = 0.01) -> float:
    """Return exp(mean(log(v + shift))) − shift, in which a table of tiny errors does not drown the others.

    >>> round(geometric_mean([0.09, 0.39]), 6)
    0.19
    """
    return math.exp(statistics.fmean(math.log(v + shift) for v in values)) - shift


def mean_ranks(scores: Sequence[Sequence[float]]) -> list[float]:
    """Return each model's mean rank from a row of scores a table, a column a model; ties share theirs.

    >>> mean_ranks([[0.1, 0.2, 0.2], [0.5, 0.4, 0.6]])
    [1.5, 1.75, 2.75]
    """
    return [float(rank) for rank in rankdata(scores, axis=1).mean(axis=0)]


def summary(rows: list[Row]) -> dict[str, dict[str, float]]:
    """Return by model what it comes to over the tables on which no model failed.

    rank: the mean over tables, by error or nRMSE. error, logloss, nrmse: geometric means. ece, coverage:
    means. seconds: fit and prediction, all tables together; "fit seconds" of the models that ran here.
    """
    models = list(dict.fromkeys(row["model"] for row in rows))
    by_table: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_table.setdefault(row["table"], {})[row["model"]] = row
    whole = [t for t in by_table.values() if len(t) == len(models) and not _failed(t.values())]
    if not whole:
        return {}
    ranks = mean_ranks([[main(table[model]) for model in models] for table in whole])
    means = {}
    for model, rank in zip(models, ranks, strict=True):
        mine = [table[model] for table in whole]
        means[model] = {
            "rank": rank,
            **_over(mine, MEANS, geometric_mean),
            **_over(mine, ("ece", "coverage"), statistics.fmean),
            **_over(mine, ("fit seconds", "seconds"), sum),
        }
    return means


def main(row: Row) -> float:
    """Return the score that ranks a model on a table."""
    return float(row["error"] if "error" in row else row["nrmse"])


def changes(summary: dict[str, dict[str, float]], default: str) -> dict[str, dict[str, float]]:
    """Return by model the change of each mean against the default's, in per cent: above 0 is worse."""
    base = summary[default]
    return {
        model: {key: 100 * (mine[key] / base[key] - 1) for key in (*MEANS, "seconds") if key in mine}
        for model, mine in summary.items()
    }  # fmt: skip


def _failed(rows: Iterable[Row]) -> bool:
    return any("failed" in row for row in rows)


def _over(rows: list[Row], keys: Iterable[str], mean: Any) -> dict[str, float]:
    return {key: float(mean(v)) for key in keys if (v := [row[key] for row in rows if key in row])}
