"""Split rows into training rows and rows that are set aside."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glassnet.data.weighted_statistics import check_weights
from glassnet.errors import ConfigurationError, DataError


def folds(
    y: ArrayLike, count: int, seed: int, *, stratify: bool, groups: ArrayLike | None = None
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Return the training rows and the rows set aside for each of `count` random folds.

    All folds set aside the same number of rows, so that their networks share one program. Each row is
    set aside once, except for the remainder of the division, which never is. With `stratify` each
    class of y (rows,) has about the same share in every fold. Rows of the same group, `groups` (rows,),
    fall into one fold, unless the fold is full or their class has fewer rows than folds. Raises
    `DataError` for fewer rows than folds.

    >>> [held.tolist() for _, held in folds([0, 1, 0, 1, 0], 2, seed=0, stratify=True)]
    [[0, 2], [3, 4]]
    >>> parts = folds([1.5, 2.5, 1.5, 2.5], 2, seed=0, stratify=False, groups=[0, 1, 0, 1])
    >>> [held.tolist() for _, held in parts]
    [[1, 3], [0, 2]]
    """
    target = np.asarray(y)
    if len(target) < count:
        raise DataError(
            f"There are {len(target)} rows for {count} folds: give more rows, or fewer folds."
        )
    rng = np.random.default_rng(seed)
    order, code = rng.permutation(len(target)), np.zeros(len(target), np.intp)
    if stratify:
        code = np.unique(target, return_inverse=True)[1]
    if groups is None:
        order = order[np.argsort(code[order], kind="stable")]
        size = len(target) // count
        held = list(order[: size * count].reshape(size, count).T)  # each fold takes every k-th row
    else:
        group = np.unique(np.asarray(groups), return_inverse=True)[1]
        # rows sorted by class, groups in random order within a class, then cut into `count` parts
        order = np.lexsort((rng.permutation(len(group))[group], code))
        sizes = np.bincount(code)
        size_of_class = np.repeat(sizes, sizes)
        position = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        fold = position * count // size_of_class
        # spread the rows of small classes, which would all fall into the first folds
        rare = size_of_class < count
        fold[rare] = np.arange(rare.sum()) % count
        held = [order[fold == number] for number in range(count)]
        size = min(map(len, held))
        held = [rows[:size] for rows in held]
    all_rows = np.arange(len(target))
    return [(np.setdiff1d(all_rows, rows), np.sort(rows)) for rows in held]


def duplicate_groups(x: NDArray[np.generic]) -> NDArray[np.intp] | None:
    """Return a group number for each row, the same for equal rows; None if groups would not help.

    Groups do not help if all rows differ, or if fewer than a tenth of the rows are distinct: equal rows
    are then separate observations rather than copies.

    >>> duplicate_groups(np.array([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]])).tolist()
    [0, 1, 0]
    >>> duplicate_groups(np.array([[1.0], [2.0]])) is None
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


def merge_duplicates(
    x: NDArray[Any], t: NDArray[Any], weight: NDArray[np.float64] | None
) -> tuple[NDArray[np.intp], NDArray[np.float64] | None]:
    """Return the indices of the distinct rows (x, t), sorted, and their total weights, None if all are 1.

    So three equal rows, at any positions, train exactly like one row of weight 3.

    >>> x, t = np.array([[5], [7], [5]]), np.array([0, 1, 0])
    >>> merge_duplicates(x, t, None)
    (array([0, 1]), array([2., 1.]))
    """
    # missing numbers count as equal; infinite numbers were refused earlier
    parts = [np.where(np.isnan(part), np.inf, part) for part in map(_as_numbers, (x, t))]
    _, first, index = np.unique(
        np.concatenate(parts, axis=1), axis=0, return_index=True, return_inverse=True
    )
    total = np.bincount(index.ravel(), weights=weight)
    return first, None if (total == 1).all() else total.astype(np.float64)


def _as_numbers(x: NDArray[Any]) -> NDArray[np.float64]:
    return x.reshape(len(x), -1).astype(np.float64)


def split(
    y: ArrayLike, fraction: float, seed: int, *, stratify: bool, weight: ArrayLike | None = None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows for training and the rows set aside, both ascending, drawn at random.

    About `fraction` of the rows is set aside, at least one. With `stratify` each class of y (rows,)
    has about the same share on both sides and keeps at least one row for training. Rows of weight 0
    stay in training. Raises `DataError` for too few rows and `ConfigurationError` unless
    0 < fraction < 1.

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
    weight = check_weights(weight, len(target))
    rows = np.arange(len(target)) if weight is None else np.flatnonzero(weight)
    if len(rows) < 2:
        raise DataError(
            f"There are too few rows to set any aside (n_samples={len(rows)}): give more rows, or a"
            " validation set of your own."
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
            "Every class has a single row, so no row can be set aside for validation: give more "
            "rows of each class, or a validation set of your own."
        )
    # scikit-learn stratifies only if both sides have room for one row of each class
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
    """Return one row of each class whose rows were all set aside."""
    kept = np.isin(code, code[~np.isin(rows, aside)])
    _, first = np.unique(code[~kept], return_index=True)
    return rows[~kept][first]
