"""Learning curves over rows: is there enough data, and would more of it help?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from glassnet.comparison import Curve, Standing
from glassnet.tasks import Task
from glassnet.verdicts import GUESS, NETWORK, WORTH, Difference, paired_folds

SHARES = (1 / 8, 1 / 4, 1 / 2)
FEWEST = 20


def sizes_of(rows: int) -> tuple[int, ...]:
    """Return the numbers of training rows, below all of them, to train on.

    >>> sizes_of(800), sizes_of(100)
    ((100, 200, 400), (25, 50))
    """
    return tuple(round(rows * share) for share in SHARES if rows * share >= FEWEST)


def some_rows(target: np.ndarray, count: int, seed: int, task: Task) -> np.ndarray:
    """Return the places of so many rows: a larger count has all those of a smaller one.

    Classes keep their shares: the i-th of a class's m rows, in random order, has its place at (i + u) / m
    of the whole, u uniform between 0 and 1.

    >>> some_rows(np.array([0, 0, 0, 0, 1, 1]), 3, 0, "classification").shape
    (3,)
    """
    rng = np.random.default_rng(seed)
    if task == "regression":
        return np.sort(rng.permutation(len(target))[:count])
    place = np.empty(len(target))
    for label in np.unique(target):
        rows = rng.permutation(np.flatnonzero(target == label))
        place[rows] = (np.arange(len(rows)) + rng.uniform(size=len(rows))) / len(rows)
    return np.sort(np.argsort(place)[:count])


def curve_of(
    errors_at: Callable[[int], Mapping[str, np.ndarray] | None],
    standings: Mapping[str, Standing],
    sizes: Sequence[int],
    folds: int,
    full: Sequence[int],
) -> Curve | None:
    """Return the curves up to all rows, whose errors are known; None if there was no time for them."""
    found: list[tuple[int, Mapping[str, np.ndarray]]] = []
    for rows in sizes:
        errors = errors_at(rows)
        if errors is None:
            break
        found.append((rows, errors))
    if not found:
        return None
    keys = [k for k in standings if k in found[0][1] and len(standings[k].errors) >= folds]
    found.append((round(np.mean(full)), {key: standings[key].errors[:folds] for key in keys}))
    scale = standings[GUESS].errors[:folds].mean()
    explained = {key: 1 - np.stack([errors[key] for _, errors in found]) / scale for key in keys}
    rows = tuple(count for count, _ in found)
    return Curve(rows, explained, _sentence(rows, explained, standings, folds))


def _sentence(
    rows: Sequence[int], explained: Mapping[str, Any], standings: Mapping[str, Standing], folds: int
) -> str:
    """Return whether the last step, from some rows to all, still brought something."""
    best = max(explained, key=lambda key: explained[key][-1].mean())
    worth = WORTH * max(float(explained[best][-1].mean()), 0.0)
    parts = []
    for key in dict.fromkeys([best, NETWORK]):
        if key in explained:
            gain = paired_folds(explained[key][-1] - explained[key][-2], 1 / (folds - 1))
            shares = f"{explained[key][-2].mean():.3f} to {explained[key][-1].mean():.3f}"
            parts.append(f"{standings[key].title} ({shares}: {_gain(gain, worth)})")
    return (
        f"Enough data? From {rows[-2]} to {rows[-1]} training rows the share explained went, for "
        + ", and for ".join(parts)
        + "."
    )


def _gain(gain: Difference, worth: float) -> str:
    """Return in words what a gain says about still more rows."""
    if gain.low > 0 and gain.mean > worth:
        return "more rows would help"
    if gain.high < 2 * worth or abs(gain.mean) <= worth:
        return "more rows would hardly help"
    return "whether more rows would help cannot be told"
