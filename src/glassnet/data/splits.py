"""Splits: which rows a network learns from, and which are kept from it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glassnet.data.weighted_statistics import check_weight
from glassnet.errors import ConfigurationError, DataError


def folds(
    y: ArrayLike, count: int, seed: int, *, stratify: bool, alike: ArrayLike | None = None
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Return for each of `count` folds the rows for training and the rows set aside, drawn at random.

    All folds set aside equally many rows, so that networks of all of them fit into one program: a row is set
    aside once, or, of the few that are left over, never. With `stratify` each class of y (rows,) has about
    the same share in every fold. Rows with the same number in `alike` (rows,) fall into one fold, but where a
    fold is full or their class has fewer rows than there are folds. Raises `DataError` for fewer rows than
    folds.

    >>> [held.tolist() for _, held in folds([0, 1, 0, 1, 0], 2, seed=0, stratify=True)]
    [[0, 2], [3, 4]]
    >>> dealt = folds([1.5, 2.5, 1.5, 2.5], 2, seed=0, stratify=False, alike=[0, 1, 0, 1])
    >>> [held.tolist() for _, held in dealt]
    [[1, 3], [0, 2]]
    """
    target = np.asarray(y)
    if len(target) < count:
        raise DataError(
            f"There are {len(target)} rows for {count} folds: give more rows, or fewer folds."
        )
    rng = np.random.default_rng(seed)
    order, kind = rng.permutation(len(target)), np.zeros(len(target), np.intp)
    if stratify:
        kind = np.unique(target, return_inverse=True)[1]
    if alike is None:
        order = order[np.argsort(kind[order], kind="stable")]
        size = len(target) // count
        held = list(order[: size * count].reshape(size, count).T)  # dealt out like cards
    else:
        group = np.unique(np.asarray(alike), return_inverse=True)[1]
        # a class after the other, and in each the groups in random order, cut into `count` runs
        order = np.lexsort((rng.permutation(len(group))[group], kind))
        sizes = np.bincount(kind)
        place = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        fold = place * count // np.repeat(sizes, sizes)
        rare = (
            np.repeat(sizes, sizes) < count
        )  # these would all fall into the first folds: dealt out
        fold[rare] = np.arange(rare.sum()) % count
        held = [order[fold == number] for number in range(count)]
        size = min(map(len, held))
        held = [rows[:size] for rows in held]
    every = np.arange(len(target))
    return [(np.setdiff1d(every, rows), np.sort(rows)) for rows in held]


def alike(x: NDArray[np.generic]) -> NDArray[np.intp] | None:
    """Return for each row of numbers a number that equal rows share; None where there is nothing to share.

    That is where no two rows are equal, and where rows are of so few kinds (fewer than a tenth as many as
    rows) that meeting one again is no copy, but another observation.

    >>> alike(np.array([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]])).tolist()
    [0, 1, 0]
    >>> alike(np.array([[1.0], [2.0]])) is None
    True
    """
    flat = np.ascontiguousarray(x.reshape(len(x), -1))
    if not flat.size:
        return None
    whole = flat.view(np.dtype((np.void, flat.dtype.itemsize * flat.shape[1]))).ravel()
    _, first, number = np.unique(whole, return_index=True, return_inverse=True)
    if len(first) == len(flat) or 10 * len(first) < len(flat):
        return None
    return np.argsort(np.argsort(first))[number]


def in_one_order(
    x: NDArray[Any], t: NDArray[Any], weight: NDArray[np.float64] | None
) -> tuple[NDArray[np.intp], NDArray[np.float64] | None]:
    """Return the rows (x, t) in an order of their own, equal ones once, and their weights, None if all 1.

    So a row that stands there three times, wherever, is the very same as one of weight 3.

    >>> x, t = np.array([[5], [7], [5]]), np.array([0, 1, 0])
    >>> in_one_order(x, t, None)
    (array([0, 1]), array([2., 1.]))
    """
    # missing numbers are equal to each other; infinite ones are refused before this
    parts = [np.where(np.isnan(part), np.inf, part) for part in map(_as_numbers, (x, t))]
    _, first, place = np.unique(
        np.concatenate(parts, axis=1), axis=0, return_index=True, return_inverse=True
    )
    total = np.bincount(place.ravel(), weights=weight)
    return first, None if (total == 1).all() else total.astype(np.float64)


def _as_numbers(x: NDArray[Any]) -> NDArray[np.float64]:
    return x.reshape(len(x), -1).astype(np.float64)


def split(
    y: ArrayLike, fraction: float, seed: int, *, stratify: bool, weight: ArrayLike | None = None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows for training and the rows set aside, both ascending, drawn at random.

    About `fraction` of the rows is set aside, at least one. With `stratify` each class of y (rows,)
    has about the same share on both sides, and keeps at least one row in training. Rows of weight 0
    stay in training. Raises `DataError` for too few rows, `ConfigurationError` unless 0 < fraction
    < 1.

    >>> train, aside = split([0, 0, 0, 0, 1, 1, 1, 1], 0.25, seed=0, stratify=True)
    >>> len(train), len(aside)
    (6, 2)
    """
    from sklearn.model_selection import train_test_split  # lazily: it takes a second to import

    if not 0 < fraction < 1:
        raise ConfigurationError(
            f"The fraction of rows to set aside is {fraction}, but must lie between 0 and 1."
        )
    target = np.asarray(y)
    weight = check_weight(weight, len(target))
    rows = np.arange(len(target)) if weight is None else np.flatnonzero(weight)
    if len(rows) < 2:
        raise DataError(
            f"Too few rows to set some aside (n_samples={len(rows)}): give more rows, or a validation set of"
            " your own."
        )
    size = min(max(1, round(fraction * len(rows))), len(rows) - 1)
    stratify = stratify and target.ndim == 1
    code, count = np.zeros(len(rows), np.intp), np.array([len(rows)])
    if stratify:
        _, code, count = np.unique(target[rows], return_inverse=True, return_counts=True)
    several = count[code] > 1
    free, size = rows[several], min(size, int(several.sum()))
    if not size:
        raise DataError(
            "Every class has a single row, so that none can be set aside for validation: give more "
            "rows for each class, or a validation set of your own."
        )
    # scikit-learn gives each class its share only if both sides have room for one row of each
    room = min(size, len(free) - size) >= (count > 1).sum()
    aside = free
    if size < len(free):
        classes = code[several] if stratify and room else None
        _, aside = train_test_split(free, test_size=size, random_state=seed, stratify=classes)
    if stratify:
        aside = np.setdiff1d(aside, _last_of_their_class(rows, code, aside))
    return np.setdiff1d(np.arange(len(target)), aside), np.sort(aside)


def _last_of_their_class(
    rows: NDArray[np.intp], code: NDArray[np.intp], aside: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Return one row of each class of which all rows were set aside."""
    kept = np.isin(code, code[~np.isin(rows, aside)])
    _, first = np.unique(code[~kept], return_index=True)
    return rows[~kept][first]
