"""Match a loss with its target, and encode the target for training."""

from __future__ import annotations

from typing import Any

import numpy as np

from glassnet._checks import resolve
from glassnet._types import Shape
from glassnet.encoding.targets import ClassEncoder, LabelsEncoder, TargetEncoder, TargetScaler
from glassnet.errors import ConfigurationError, DataError
from glassnet.nn.losses import LOSSES, CustomLoss, Loss


def resolve_loss(loss: Any, y: Any) -> Loss:
    """Return the loss for a name, a function, or "auto"."""
    if loss == "auto":
        kind = np.asarray(y).dtype.kind
        return LOSSES["squared_error" if kind == "f" else "cross_entropy"]
    resolved = resolve("loss", loss, LOSSES)
    if isinstance(resolved, Loss):
        return resolved
    if callable(resolved) and not isinstance(resolved, type):
        return CustomLoss(resolved)
    raise ConfigurationError(
        f"{loss!r} is not a loss. Give a name, such as 'squared_error', or a function."
    )


def encode_target(
    y: Any, loss: Loss, *, weight: Any = None, scaled: bool = False
) -> tuple[TargetEncoder, Any]:
    """Return the fitted encoder of the target, and the target as codes, labels or values.

    scaled: standardise the values of a regression; otherwise they keep their unit.
    """
    if loss.task == "regression":
        scaler = TargetScaler.fit(y, weight)
        if not scaled:
            n = len(scaler.names)
            scaler = TargetScaler(scaler.names, (0.0,) * n, (1.0,) * n, scaler.one_dimensional)
        return scaler, scaler.transform(y, np.float64)
    shape = np.shape(y)
    if len(shape) == 2 and shape[1] > 1:
        if loss.task == "labels":
            labels = LabelsEncoder.fit(y)
            return labels, labels.transform(y)
        return None, _probabilities(y)
    classes = ClassEncoder.fit(y)
    if not classes.labels:
        raise DataError(
            "Found array with 0 sample(s): y is empty, so there is nothing to learn from."
        )
    if len(classes.labels) < 2:
        raise DataError(
            f"Every row has the same class, {classes.labels[0]!r}: with one class there is nothing to"
            " learn. Give rows of at least two classes."
        )
    return classes, classes.transform(y)


def _probabilities(y: Any) -> np.ndarray:
    """Return a matrix of probabilities, checked."""
    try:
        p = np.asarray(y, np.float64)
    except (TypeError, ValueError):
        p = np.full((1, 2), np.nan)  # text: refused below
    if (
        p.ndim != 2
        or not np.isfinite(p).all()
        or (p < 0).any()
        or not np.allclose(p.sum(axis=1), 1, atol=1e-3)
    ):
        raise DataError(
            "y has several columns, which cross-entropy takes as probabilities (or one-hot), but they are"
            " not all between 0 and 1 with sum 1 in each row. Use loss='binary_cross_entropy' for several"
            " yes-or-no labels, or loss='squared_error' for several values."
        )
    return p


def as_target(t: Any, loss: Loss, dtype: str) -> np.ndarray:
    """Return an encoded target in the dtype that the loss computes with."""
    codes = loss.task == "classification" and np.ndim(t) == 1
    with np.errstate(over="ignore"):  # refused just below
        cast = np.asarray(t).astype(np.int32 if codes else dtype)
    if not np.isfinite(cast).all():
        raise DataError(
            f"y holds a number beyond the range of {dtype}: give it in a larger unit, or use dtype='float64'."
        )
    return cast


def encoded(y: Any, target: TargetEncoder) -> np.ndarray:
    """Return a target encoded by its fitted encoder; without an encoder, as checked probabilities."""
    if target is None:
        return _probabilities(y)
    return (
        target.transform(y, np.float64) if isinstance(target, TargetScaler) else target.transform(y)
    )


def check_same_classes(classes: Any, target: TargetEncoder) -> None:
    """Raise if classes are given again and differ from the encoder's."""
    if classes is None or not isinstance(target, ClassEncoder):
        return
    known = np.asarray(target.classes)
    if not np.array_equal(np.unique(np.asarray(classes)), known):
        raise ConfigurationError(
            f"classes is {list(classes)!r}, but the first call of partial_fit set them to"
            f" {known.tolist()!r}: leave classes out in later calls, or give the same."
        )


def outputs_needed(loss: Loss, target: TargetEncoder, t: np.ndarray) -> int:
    """Return how many outputs the network needs for each row."""
    if isinstance(target, ClassEncoder):
        return 1 if loss.task == "labels" else len(target.labels)
    return int(t.shape[1]) if t.ndim == 2 else 1


def check_output(out_shape: Shape, loss: Loss, target: TargetEncoder, t: np.ndarray) -> None:
    """Raise unless the network has as many outputs as the target needs."""
    if isinstance(loss, CustomLoss):
        return  # only its function knows which outputs it needs
    needed = outputs_needed(loss, target, t)
    n_classes = len(target.labels) if isinstance(target, ClassEncoder) else 0
    if loss.task == "labels" and n_classes > 2:
        raise ConfigurationError(
            f"y has {n_classes} classes, but binary cross-entropy takes two: use"
            f" loss='cross_entropy' with a last layer gn.Dense({n_classes})."
        )
    if out_shape != (needed,):
        target_width = (
            f"{n_classes} classes" if n_classes else f"{needed} column{'s' * (needed > 1)}"
        )
        raise ConfigurationError(
            f"The network's output has shape {out_shape} for each row, but y has {target_width}:"
            f" its last layer with weights must be gn.Dense({needed})."
        )
