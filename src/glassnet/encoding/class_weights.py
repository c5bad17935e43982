"""Turn class weights into row weights."""

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
    """Return the weight of each row: its class weight times its sample weight (default 1).

    class_weight: None, a dictionary {class: weight}, or "balanced": n / (classes · rows of the class),
        where rows are counted by their sample weights.

    Raises
    ------
    ConfigurationError: another value, a class that y does not have, or a weight below 0.

    >>> class_weights("balanced", np.array([0, 0, 0, 1]), ("no", "yes"), None).round(2).tolist()
    [0.67, 0.67, 0.67, 2.0]
    """
    sample_weight: np.ndarray = np.ones(len(codes)) if weight is None else weight
    if class_weight is None:
        return sample_weight
    if isinstance(class_weight, Mapping):
        table: np.ndarray = _weight_table(class_weight, labels)[codes] * sample_weight
        return table
    if not isinstance(class_weight, str) or class_weight != "balanced":
        raise ConfigurationError(
            f"class_weight is {class_weight!r}, but it must be None, 'balanced', or {{class: weight}}."
        )
    # sample weights count rows: a row of weight 2 counts as two
    totals = np.bincount(codes, weights=sample_weight, minlength=len(labels))
    present = totals > 0
    by_class = sample_weight.sum() / (present.sum() * np.where(present, totals, 1.0))
    row_weight: np.ndarray = by_class[codes] * sample_weight
    return row_weight


def _weight_table(class_weight: Mapping[Any, Any], labels: tuple[Any, ...]) -> np.ndarray:
    """Return the weight of each class; a class that is not named gets 1."""
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
    class_weight: Any,
    target: np.ndarray,
    weight: np.ndarray | None,
    target_encoder: TargetEncoder,
) -> np.ndarray | None:
    """Return sample weights times class weights, shape (n,), or (n, labels) for several labels.

    target: the target, encoded by `target_encoder`.

    Raises
    ------
    ConfigurationError: the targets are not classes, or the list has not one entry for each label.
    """
    if class_weight is None:
        return weight
    if isinstance(target_encoder, LabelsEncoder):
        n_labels = len(target_encoder.names)
        by_label = (
            class_weight if isinstance(class_weight, list | tuple) else [class_weight] * n_labels
        )
        if len(by_label) != n_labels:
            raise ConfigurationError(
                f"class_weight lists {len(by_label)} entries for {n_labels} labels: give one for each."
            )
        columns = zip(by_label, target.T.astype(np.int64), strict=True)
        return np.stack(
            [class_weights(entry, codes, (0, 1), weight) for entry, codes in columns], axis=1
        )
    if not isinstance(target_encoder, ClassEncoder):
        raise ConfigurationError(
            "class_weight needs one class for each row, but y holds probabilities: leave it out."
        )
    return class_weights(class_weight, target, target_encoder.labels, weight)
