"""Encode targets for a network, and decode its outputs.

Classes become codes, labels become 0 and 1, and values are standardised.

Like the encoders of columns, each is a record of plain numbers and texts with `fit`, `transform`,
`inverse`, `to_spec` and `from_spec`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from glassnet.data.columns import column_of, missing_in
from glassnet.data.tables import Table
from glassnet.data.weighted_statistics import (
    Floats,
    check_weights,
    counted_rows,
    distribution,
    mean_and_deviation,
)
from glassnet.encoding.target_kinds import as_array, as_numbers, is_indicator, target_columns
from glassnet.errors import DataError, did_you_mean
from glassnet.storage.fields import Fields, is_finite_number, is_integer

Label = str | int | float | bool

_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_FLOATS = ("float16", "float32", "float64")
CLASS_DTYPES = ("bool", *_INTEGERS, *_FLOATS, "str", "object")
"""Types of class labels; "object" is an array of Python texts, as data frames give it."""


@dataclass(frozen=True)
class ClassEncoder:
    """Class labels and their codes 0 ... k-1, in the order of the labels.

    >>> encoder = ClassEncoder.fit(np.array(["no", "yes", "no"]))
    >>> encoder.transform(["yes", "no"]), encoder.inverse(np.array([1, 1])).tolist()
    (array([1, 0], dtype=int32), ['yes', 'yes'])
    """

    labels: tuple[Label, ...]
    dtype: str

    @classmethod
    def fit(cls, y: Any) -> ClassEncoder:
        """Learn the classes from labels (rows,): texts, booleans or whole numbers.

        Raises `DataError` if labels are missing, of mixed types, fractions or not one-dimensional.
        """
        labels, dtype, _ = _labels_of(y)
        fractions = [v for v in labels if isinstance(v, float) and not v.is_integer()]
        if fractions:
            raise DataError(
                f"Unknown label type: continuous. The target holds {fractions[0]}, which is a "
                "value, not a class: use a regression, or turn the target into text."
            )
        return cls(tuple(sorted(labels)), dtype)

    @property
    def classes(self) -> NDArray[Any]:
        """The labels as an array of their original type."""
        return np.array(self.labels, dtype=np.dtype(self.dtype))

    def transform(self, y: Any) -> NDArray[np.int32]:
        """Return the codes (rows,) of labels; 3, 3.0 and "3" are the same label.

        Raises `DataError` for a label that is not one of the classes.
        """
        known = {_text(label): code for code, label in enumerate(self.labels)}
        labels, _, index = _labels_of(y)
        for label in labels:
            if _text(label) not in known:
                raise DataError(
                    f"The target holds the class {label!r}, which was not in the training data."
                    f"{did_you_mean(_text(label), known)} The classes are: {_listed(known)}. "
                    "Correct or drop these rows, or train again with them."
                )
        codes = np.array([known[_text(label)] for label in labels], dtype=np.int32)
        return codes[index]

    def inverse(self, codes: NDArray[Any]) -> NDArray[Any]:
        """Return the labels (rows,) of codes."""
        labels: NDArray[Any] = self.classes[codes]
        return labels

    def to_spec(self) -> dict[str, Any]:
        """Return the record as strict JSON values."""
        return {"dtype": self.dtype, "classes": list(self.labels)}

    @classmethod
    def from_spec(cls, spec: object) -> ClassEncoder:
        """Return the encoder that `to_spec` described; raises `ModelFormatError`."""
        fields = Fields.of(spec, "classes", ("dtype", "classes"))
        dtype = fields.text("dtype", CLASS_DTYPES)
        labels = fields.items("classes")
        if not labels or not all(_is_label(label, dtype) for label in labels):
            fields.refuse("classes", f"a list of labels of type {dtype}")
        if dtype in _FLOATS:
            labels = [float(label) for label in labels]
            with np.errstate(over="ignore"):  # an overflow to infinity is refused below
                stored = np.array(labels, np.float64).astype(dtype).tolist()
            if stored != labels:
                fields.refuse("classes", f"a list of numbers that {dtype} can hold")
        if not all(low < high for low, high in pairwise(labels)):
            fields.refuse("classes", "a list of different labels in ascending order")
        return cls(tuple(labels), dtype)


@dataclass(frozen=True)
class LabelsEncoder:
    """Multilabel targets: a matrix (rows, labels) of 0 and 1, one column for each label.

    >>> encoder = LabelsEncoder.fit([[1, 0], [1, 1]], names=("red", "round"))
    >>> encoder.transform([[True, False]]), encoder.inverse(np.array([[0.0, 1.0]]))
    (array([[1., 0.]], dtype=float32), array([[0, 1]]))
    """

    names: tuple[str, ...]

    @classmethod
    def fit(cls, y: Any, names: Sequence[str] | None = None) -> LabelsEncoder:
        """Learn the names of the labels (a Table's own, or y0, y1, ...); raises `DataError`."""
        columns = target_columns(y)
        if isinstance(y, Table):
            names = y.names
        encoder = cls(_target_names(len(columns), names))
        encoder.transform(y)
        return encoder

    def transform(self, y: Any, dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """Return y as 0 and 1 (rows, labels) of the dtype; raises `DataError` for anything else."""
        columns = target_columns(y)
        if len(columns) != len(self.names):
            raise DataError(
                f"The target has {len(columns)} columns, but the model has {len(self.names)} "
                f"labels: {_listed(self.names)}. Give one column of 0 and 1 for each label."
            )
        for column, name in zip(columns, self.names, strict=True):
            if not is_indicator(column):
                raise DataError(
                    f"Label {name!r} holds something other than 0 and 1. A classification with several "
                    "targets needs columns of 0 (no) and 1 (yes)."
                )
        numbers: NDArray[Any] = np.stack([as_numbers(column) for column in columns], axis=1)
        return numbers.astype(dtype)

    def inverse(self, indicator: NDArray[Any]) -> NDArray[np.int64]:
        """Return a matrix (rows, labels) of True and False, or 1 and 0, as whole numbers."""
        return np.asarray(indicator).astype(np.int64)

    def to_spec(self) -> dict[str, Any]:
        """Return the record as strict JSON values."""
        return {"names": list(self.names)}

    @classmethod
    def from_spec(cls, spec: object) -> LabelsEncoder:
        """Return the encoder that `to_spec` described; raises `ModelFormatError`."""
        fields = Fields.of(spec, "labels", ("names",))
        names = fields.texts("names")
        if not names:
            fields.refuse("names", "at least one name")
        return cls(names)


@dataclass(frozen=True)
class TargetScaler:
    """Regression targets, standardised: z = (y - mean) / σ (population σ; 1 for a constant target).

    >>> scaler = TargetScaler.fit([1.0, 3.0])
    >>> scaler.transform([1.0, 3.0]).ravel(), scaler.inverse(np.array([[0.0], [1.0]]))
    (array([-1.,  1.], dtype=float32), array([2., 3.]))
    """

    names: tuple[str, ...]
    center: tuple[float, ...]
    scale: tuple[float, ...]
    one_dimensional: bool

    @classmethod
    def fit(
        cls, y: Any, weight: ArrayLike | None = None, names: Sequence[str] | None = None
    ) -> TargetScaler:
        """Learn the mean and standard deviation of each target; y is (rows,) or (rows, targets).

        Raises `DataError` if a target is missing, infinite or not a number, or weights are unusable.
        """
        if isinstance(y, Table):
            names = y.names
        values = _finite_targets(y)
        weight = check_weights(weight, len(values))
        rows = counted_rows(weight)
        if rows is not None and weight is not None:
            values, weight = values[rows], weight[rows]
        moments = [mean_and_deviation(*distribution(column, weight)) for column in values.T]
        return cls(
            _target_names(len(moments), names),
            tuple(mean for mean, _ in moments),
            tuple(deviation or 1.0 for _, deviation in moments),
            not isinstance(y, Table) and np.ndim(y) == 1,
        )

    def transform(self, y: Any, dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """Return y standardised, (rows, targets) of the dtype; raises `DataError` as `fit` does."""
        values = _finite_targets(y)
        if values.shape[1] != len(self.names):
            raise DataError(
                f"The target has {values.shape[1]} columns, but the model predicts "
                f"{len(self.names)}: {_listed(self.names)}."
            )
        with np.errstate(over="ignore"):
            z = (values / 2 - np.array(self.center) / 2) / np.array(self.scale) * 2
        largest = np.finfo(dtype).max
        # beyond this lies an outlier of more than 1e38 deviations: it only has to stay finite
        scaled: NDArray[Any] = np.clip(z, -largest, largest).astype(dtype)
        return scaled

    def inverse(self, z: NDArray[Any]) -> Floats:
        """Return outputs (rows, targets) in the unit of y, float64; shape (rows,) if y had that shape."""
        values: Floats = np.asarray(z, dtype=np.float64) * np.array(self.scale)
        values = values + np.array(self.center)
        return values[:, 0] if self.one_dimensional else values

    def to_spec(self) -> dict[str, Any]:
        """Return the record as strict JSON values."""
        return {
            "names": list(self.names),
            "center": list(self.center),
            "scale": list(self.scale),
            "one_dimensional": self.one_dimensional,
        }

    @classmethod
    def from_spec(cls, spec: object) -> TargetScaler:
        """Return the scaler that `to_spec` described; raises `ModelFormatError`."""
        fields = Fields.of(spec, "target", ("names", "center", "scale", "one_dimensional"))
        names = fields.texts("names")
        scaler = cls(
            names,
            fields.numbers("center", len(names)),
            fields.numbers("scale", len(names), at_least=math.ulp(0.0)),
            fields.flag("one_dimensional"),
        )
        if not names or (scaler.one_dimensional and len(names) > 1):
            fields.refuse("names", "one name for each target")
        return scaler


TargetEncoder = ClassEncoder | LabelsEncoder | TargetScaler | None


def _target_names(count: int, names: Sequence[str] | None) -> tuple[str, ...]:
    if names is None:
        return ("y",) if count == 1 else tuple(f"y{index}" for index in range(count))
    if len(names) != count or len(set(names)) < count:
        raise DataError(
            f"There are {count} targets, but the names are {_listed(names)}: give each target a name"
            " of its own."
        )
    return tuple(names)


def _finite_targets(y: Any) -> Floats:
    columns = target_columns(y)
    for column in columns:
        if column.dtype.kind != "f":
            known = column[~missing_in(column)]
            raise DataError(
                f"The target holds {str(known[0])!r}, which is not a number, and a regression "
                "predicts numbers: use a classification, or turn the target into numbers."
            )
        unusable = np.flatnonzero(~np.isfinite(column))
        if len(unusable):
            raise DataError(
                f"Input y contains NaN or infinity ({column[unusable[0]]} in row {unusable[0]}; "
                f"counted from 0; {len(unusable)} in all). A network can only learn from finite "
                "targets: drop these rows."
            )
    return np.stack(columns, axis=1)


def _labels_of(y: Any) -> tuple[list[Label], str, NDArray[np.intp]]:
    """Return the distinct labels as Python values, their type, and each row's index into them."""
    array = np.stack(target_columns(y), axis=1) if isinstance(y, Table) else as_array(y)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(
            f"The target has shape {array.shape}: a class label is one value for each row, (rows,)."
        )
    if array.dtype.kind == "O":
        array = _typed(array)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise _missing_labels(~np.isfinite(array))
    name = "str" if array.dtype.kind in "UT" else str(array.dtype)
    if name not in CLASS_DTYPES:
        raise DataError(
            f"Unknown label type: the target is of type {array.dtype}. Class labels are texts, "
            "whole numbers or booleans: turn the target into one of them."
        )
    if name != "object":
        distinct, index = np.unique(array, return_inverse=True)
        return distinct.tolist(), name, index
    code_of: dict[Label, int] = {}
    codes = [code_of.setdefault(label, len(code_of)) for label in array]
    return list(code_of), name, np.array(codes, dtype=np.intp)


def _typed(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array of texts unchanged, and an array of other objects in their own type."""
    missing = missing_in(column_of(array, name="the target"))
    if missing.any():
        raise _missing_labels(missing)
    types = {str if isinstance(label, str) else np.asarray(label).dtype.kind for label in array}
    if len(types) > 1 and not types <= {"i", "u", "f"}:
        raise DataError(
            "Unknown label type: the target mixes text, numbers or booleans, so it is unclear "
            "which labels are equal: turn all of them into text."
        )
    return array if types <= {str} else np.array(array.tolist())


def _missing_labels(missing: NDArray[np.bool_]) -> DataError:
    rows = np.flatnonzero(missing)
    return DataError(
        f"Input y contains NaN, None or infinity in {len(rows)} rows (the first is row {rows[0]}, "
        "counted from 0). A network can only learn from known classes: drop these rows."
    )


def _text(label: Label) -> str:
    """Return the text of a label, the same for 3 and 3.0."""
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)


def _is_label(value: object, dtype: str) -> bool:
    if dtype in ("str", "object"):
        return isinstance(value, str)
    if dtype == "bool":
        return isinstance(value, bool)
    if dtype in _FLOATS:
        return is_finite_number(value) and float(value).is_integer()  # type: ignore[arg-type]
    limits = np.iinfo(dtype)
    return is_integer(value) and limits.min <= value <= limits.max  # type: ignore[operator]


def _listed(names: Any, limit: int = 20) -> str:
    names = list(names)
    return ", ".join(names[:limit]) + (f", ... ({len(names)} in all)" if len(names) > limit else "")
