"""Measure how the models improve with more training rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from glassnet.evaluation.comparison import Curve, Standing
from glassnet.evaluation.verdicts import (
    GUESS,
    LEVEL,
    MIN_SHARE_OF_BEST,
    NETWORK,
    Difference,
    paired_folds,
)

SHARES = (1 / 8, 1 / 4, 1 / 2)
MIN_ROWS = 20


def sizes_of(rows: int) -> tuple[int, ...]:
    """Return the smaller numbers of training rows to train on.

    >>> sizes_of(800), sizes_of(100)
    ((100, 200, 400), (25, 50))
    """
    return tuple(round(rows * share) for share in SHARES if rows * share >= MIN_ROWS)


def curve_of(
    errors_at: Callable[[int], Mapping[str, np.ndarray] | None],
    standings: Mapping[str, Standing],
    sizes: Sequence[int],
    folds: int,
    full: Sequence[int],
) -> Curve | None:
    """Return the learning curves; None if there was no time for them.

    errors_at: number of rows -> each model's errors by fold, None if time ran out. standings: the results
    with all training rows. sizes: smaller numbers of rows. full: the training rows of each fold.
    """
    points: list[tuple[int, Mapping[str, np.ndarray]]] = []
    # the largest size first, because the last step of the curve says most if time runs out
    for size in sorted(sizes, reverse=True):
        errors = errors_at(size)
        if errors is None:
            break
        points.insert(0, (size, errors))
    first = points[0][1] if points else {}
    keys = [k for k in standings if k in first and len(standings[k].errors) >= folds]
    if not keys:
        return None
    points.append((round(np.mean(full)), {key: standings[key].errors[:folds] for key in keys}))
    scale = standings[GUESS].errors[:folds].mean()
    explained = {key: 1 - np.stack([errors[key] for _, errors in points]) / scale for key in keys}
    rows = tuple(count for count, _ in points)
    return Curve(rows, explained, _sentence(rows, explained, standings, folds))


def _sentence(
    rows: Sequence[int], explained: Mapping[str, Any], standings: Mapping[str, Standing], folds: int
) -> str:
    """Return whether the last step, up to all rows, still improved the models."""
    best = max(explained, key=lambda key: explained[key][-1].mean())
    worth = MIN_SHARE_OF_BEST * max(float(explained[best][-1].mean()), 0.0)
    parts = []
    for key in dict.fromkeys([best, NETWORK]):
        if key in explained:
            before, now = explained[key][-2:]
            gain = paired_folds(now - before, 1 / (folds - 1))
            shares = f"share explained {before.mean():.3f} with {rows[-2]}, {now.mean():.3f} with {rows[-1]}"
            parts.append(f"for {standings[key].title} {_gain(gain, worth)} ({shares})")
    return f"Would more training rows help? {'; '.join(parts)}.".replace("? f", "? F")


def _gain(gain: Difference, worth: float) -> str:
    """Return whether the gain of the last step promises more from even more rows.

    More rows do no harm, so the test is one-sided.
    """
    if gain.p <= LEVEL and gain.mean > worth:
        return "yes"
    if gain.high < 2 * worth or abs(gain.mean) <= worth:
        return "hardly"
    return "that is unclear"
