"""Class weights: how much each class counts, as weights of rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from glassnet._checks import check_range
from glassnet.encoding.targets import ClassEncoder, LabelsEncoder, TargetEncoder
from glassnet.errors import ConfigurationError


def class_weights(
    class_weight: Any, codes: np.ndarray, labels: tuple[Any, ...], weight: np.ndarray | None
) -> np.ndarray:
    """Return each row's weight: that of its class times its own, if it has one.

    class_weight: None, a dictionary {class: weight}, or "balanced": n / (classes · rows of the class).

    Raises
    ------
    ConfigurationError: none of these, a class that y does not have, or a weight that is no weight.

    >>> class_weights("balanced", np.array([0, 0, 0, 1]), ("no", "yes"), None).round(2).tolist()
    [0.67, 0.67, 0.67, 2.0]
    """
    own: np.ndarray = np.ones(len(codes)) if weight is None else weight
    if class_weight is None:
        return own
    if isinstance(class_weight, Mapping):
        table: np.ndarray = _weight_table(class_weight, labels)[codes] * own
        return table
    if not isinstance(class_weight, str) or class_weight != "balanced":
        raise ConfigurationError(
            f"class_weight is {class_weight!r}, but it must be None, 'balanced', or {{class: weight}}."
        )
    # a row of weight 2 counts as two rows, here too
    count = np.bincount(codes, weights=own, minlength=len(labels))
    there = count > 0
    each = own.sum() / (there.sum() * np.where(there, count, 1.0))
    balanced: np.ndarray = each[codes] * own
    return balanced


def _weight_table(class_weight: Mapping[Any, Any], labels: tuple[Any, ...]) -> np.ndarray:
    """Return the weight of each class, 1 for those not named."""
    known = {
        label.item() if isinstance(label, np.generic) else label: weight
        for label, weight in class_weight.items()
    }
    unknown = [label for label in known if label not in labels]
    if unknown:
        raise ConfigurationError(
            f"class_weight names {unknown[0]!r}, but the classes are {list(labels)}."
        )
    for label, weight in known.items():
        check_range(f"class_weight of {label!r}", weight, 0, np.inf)
    table = np.array([float(known.get(label, 1.0)) for label in labels])
    if not table.any():
        raise ConfigurationError("All class weights are zero: at least one class must count.")
    return table


def balanced(
    class_weight: Any, y: np.ndarray, weight: np.ndarray | None, target: TargetEncoder
) -> np.ndarray | None:
    """Return sample weights times class weights; of shape (n, labels) for several labels.

    Raises
    ------
    ConfigurationError: class weights for targets that are no classes, or another number than labels.
    """
    if class_weight is None:
        return weight
    if isinstance(target, LabelsEncoder):
        each = class_weight
        each = each if isinstance(each, list | tuple) else [each] * len(target.names)
        if len(each) != len(target.names):
            raise ConfigurationError(
                f"class_weight lists {len(each)} entries for {len(target.names)} labels: give one each."
            )
        columns = zip(each, target.transform(y, np.int64).T, strict=True)
        return np.stack([class_weights(w, codes, (0, 1), weight) for w, codes in columns], axis=1)
    if not isinstance(target, ClassEncoder):
        raise ConfigurationError(
            "class_weight needs one class a row, but y holds probabilities: leave it out."
        )
    return class_weights(class_weight, target.transform(y), target.labels, weight)
