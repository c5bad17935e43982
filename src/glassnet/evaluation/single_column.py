"""Find single columns that predict the target almost without error."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from glassnet.data.columns import missing_in
from glassnet.data.tables import Column
from glassnet.encoding.target_kinds import Task


def evidence_of_a_leak(column: Column, target: Column, task: Task) -> str | None:
    """Return, as part of a sentence, how well a column predicts the target; None unless almost exactly."""
    judge = _class_evidence if task == "classification" else _value_evidence
    return judge(column, target)


def _class_evidence(column: Column, target: Column) -> str | None:
    """Return how well a tree on one column predicts the class, if it is almost always right."""
    _, codes, counts = np.unique(target, return_inverse=True, return_counts=True)
    if len(counts) < 2:
        return None
    predicted = _cross_predicted(column, codes, classify=True)
    wrong, guess_wrong = float((predicted != codes).mean()), 1 - counts.max() / len(codes)
    if wrong > 0.01 or wrong > guess_wrong / 10:
        return None
    return (
        f"predicts the class of {1 - wrong:.1%} of the rows correctly"
        f" ({1 - guess_wrong:.1%} of the rows are of one class)"
    )


def _value_evidence(column: Column, target: Column) -> str | None:
    """Return how well one column predicts the value, if it is almost exact."""
    if target.dtype.kind != "f" or not np.isfinite(target).all() or (target == target[0]).all():
        return None
    target = target / np.abs(target).max()  # sums of values near 1e308 would overflow
    present = ~missing_in(column)
    if column.dtype.kind != "O" and present.mean() > 0.5:
        from scipy.stats import rankdata  # lazily: slow to import

        values = column.astype(np.float64)[present]  # dates: microseconds
        if len(np.unique(values)) > 10 and len(np.unique(target[present])) > 1:
            rank = abs(np.corrcoef(rankdata(values), rankdata(target[present]))[0, 1])
            if rank > 0.999:
                return f"ranks the rows as the target does (rank correlation {rank:.4f})"
    scaled = (target - target.mean()) / target.std()
    explained = 1 - float(((_cross_predicted(column, scaled, classify=False) - scaled) ** 2).mean())
    return f"explains {explained:.2%} of the target's variance" if explained > 0.999 else None


def _cross_predicted(column: Column, target: Column, *, classify: bool) -> Column:
    """Return the predictions of a tree on one column for rows it was not fitted on (three folds)."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor  # lazily: slow to import

    x = as_ranks(column)[:, None]
    fold = np.random.default_rng(0).permutation(len(x)) % 3
    predicted = np.empty_like(target)
    make = DecisionTreeClassifier if classify else DecisionTreeRegressor
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other checks report classes of few rows
        for k in range(3):
            # five rows a leaf, so that a tree cannot single out a row by its identifier
            tree = make(min_samples_leaf=5, max_leaf_nodes=256, random_state=0)
            predicted[fold == k] = tree.fit(x[fold != k], target[fold != k]).predict(x[fold == k])
    return predicted


def as_ranks(column: Column) -> NDArray[np.float64]:
    """Return a column as finite numbers for a tree, in the order of its values; missing is -1."""
    missing = missing_in(column)
    if column.dtype.kind == "O":
        codes = {level: code for code, level in enumerate(sorted(set(column[~missing])))}
        values = np.array([codes.get(value, -1) for value in column], np.float64)
    else:
        # ranks: a tree needs only the order, and 1e308 does not fit its float32
        _, ranks = np.unique(column, return_inverse=True)
        values = ranks.astype(np.float64)
    values[missing] = -1
    return values
