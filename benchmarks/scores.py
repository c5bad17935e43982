"""Score a model on a table, and rank models over many tables."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import log_loss, root_mean_squared_error

Row = dict[
    str, Any
]  # one model on one table: names, scores and seconds, or the error under "failed"
MEANS = ("error", "logloss", "nrmse")  # compared by their geometric mean; lower is better
BINS = 15


def of_classes(y: np.ndarray, probabilities: np.ndarray, classes: np.ndarray) -> dict[str, float]:
    """Return error, log-loss and calibration error; a class without training rows has probability 0."""
    all_classes = np.union1d(classes, y)
    full = np.zeros((len(y), len(all_classes)))
    full[:, np.searchsorted(all_classes, classes)] = probabilities
    right = all_classes[full.argmax(axis=1)] == y
    # float32 rows sum to 1 only within 1e-6, and log_loss would warn about that
    full /= full.sum(axis=1, keepdims=True)
    return {
        "error": float(1 - right.mean()),
        "logloss": float(log_loss(y, full, labels=all_classes)),
        "ece": calibration_error(full.max(axis=1), right),
    }


def of_values(y: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Return the root mean squared error divided by y's standard deviation: guessing y's mean scores 1."""
    return {"nrmse": float(root_mean_squared_error(y, predicted) / y.std())}


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """Return Σ_b (n_b / n) · |accuracy in b − mean confidence in b| over bins b of equal width.

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
    """Return exp(mean(log(v + shift))) − shift; the shift limits the weight of tables with tiny errors.

    >>> round(geometric_mean([0.09, 0.39]), 6)
    0.19
    """
    return math.exp(statistics.fmean(math.log(v + shift) for v in values)) - shift


def mean_ranks(scores: Sequence[Sequence[float]]) -> list[float]:
    """Return each model's mean rank from scores by table (rows) and model (columns); ties share a rank.

    >>> mean_ranks([[0.1, 0.2, 0.2], [0.5, 0.4, 0.6]])
    [1.5, 1.75, 2.75]
    """
    return [float(rank) for rank in rankdata(scores, axis=1).mean(axis=0)]


def summary(rows: list[Row]) -> dict[str, dict[str, float]]:
    """Return each model's means and totals over the tables on which no model failed.

    rank: the mean over tables, by error or nRMSE. error, logloss, nrmse: geometric means. ece, coverage:
    means. seconds: total of fit and prediction. fit seconds: total, for the models that ran here.
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
    """Return by model the change of each mean from the default's in percent; above 0 is worse."""
    base = summary[default]
    return {
        model: {key: 100 * (mine[key] / base[key] - 1) for key in (*MEANS, "seconds") if key in mine}
        for model, mine in summary.items()
    }  # fmt: skip


def _failed(rows: Iterable[Row]) -> bool:
    return any("failed" in row for row in rows)


def _over(rows: list[Row], keys: Iterable[str], mean: Any) -> dict[str, float]:
    return {key: float(mean(v)) for key in keys if (v := [row[key] for row in rows if key in row])}
