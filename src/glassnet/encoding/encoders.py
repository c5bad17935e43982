"""Encode numeric and categorical columns as inputs of a network (for dates see `dates`).

Each encoder is a record of plain numbers and texts, learned only from the training rows:

    fit(column, weight) -> encoder      encoder.transform(column) -> (rows, features)
    encoder.to_spec() -> dict of strict JSON      from_spec(dict) -> encoder, or ModelFormatError
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from glassnet.data.weighted_statistics import (
    SMALLEST,
    Floats,
    check_weights,
    counted_rows,
    difference,
    distribution,
    mean_and_deviation,
    quantiles,
)
from glassnet.errors import ConfigurationError, DataError, did_you_mean
from glassnet.storage.fields import Fields

Scaling = Literal["robust", "standard", "none"]
BLOCK = 1 << 20
"""Numbers converted at once, so that the float64 copies stay small for data of any size."""
RARE = 3  # rows: a level seen less often may be there by chance
FAR = 1e150
"""Beyond this value the smooth clip is exactly 3 in float64; its square is still finite."""


def _robust(values: Floats, weight: Floats) -> tuple[float, float]:
    low, middle, high = quantiles(values, weight, 0.25, 0.5, 0.75)
    spread = difference(high, low)
    return middle, spread or difference(values[-1] / 2, values[0] / 2)


def _unscaled(values: Floats, weight: Floats) -> tuple[float, float]:
    return 0.0, 1.0


SCALINGS = {"robust": _robust, "standard": mean_and_deviation, "none": _unscaled}
"""Scaling -> function from the distribution of a column to its centre and scale."""


def numbered(count: int) -> tuple[str, ...]:
    """Return names for unnamed columns, as scikit-learn gives them.

    >>> numbered(2)
    ('x0', 'x1')
    """
    return tuple(f"x{index}" for index in range(count))


@dataclass(frozen=True)
class NumericEncoder:
    """Numbers, scaled: z = (x - centre) / scale, then smoothly clipped to z / √(1 + (z/3)²).

    - "robust" (default): the centre is the median, and the scale the interquartile range (if 0: half
      the range). Quantiles are values of the column (inverted distribution function).
    - "standard": mean and population standard deviation.
    - "none": numbers are neither scaled nor clipped.

    A constant column becomes 0 (with "none" it stays). A missing number (NaN) becomes 0. Each column
    that had both known and missing numbers in training gets an indicator (1 missing, 0 not); the
    indicators follow all columns.

    >>> encoder = NumericEncoder.fit(np.array([[1.0], [2.0], [3.0], [np.nan]]), clip=False)
    >>> encoder.transform(np.array([[2.0], [4.0], [np.nan]]))
    array([[0., 0.], [1., 0.], [0., 1.]], dtype=float32)
    >>> encoder.feature_names
    ('x0', 'x0: missing')
    """

    names: tuple[str, ...]
    center: tuple[float, ...]
    scale: tuple[float, ...]
    missing: tuple[bool, ...]
    clip: bool = True

    @classmethod
    def fit(
        cls,
        X: NDArray[Any],
        weight: ArrayLike | None = None,
        *,
        names: Sequence[str] | None = None,
        scaling: Scaling = "robust",
        clip: bool = True,
    ) -> NumericEncoder:
        """Learn the centre and scale of each column of X (rows, columns), of any real dtype.

        Raises `DataError` for an infinite number or unusable weights, `ConfigurationError` for an
        unknown scaling.
        """
        if scaling not in SCALINGS:
            raise ConfigurationError(
                f"scaling={scaling!r} is unknown; use one of {', '.join(SCALINGS)}."
                + did_you_mean(str(scaling), SCALINGS)
            )
        names = numbered(X.shape[1]) if names is None else tuple(names)
        weight = check_weights(weight, len(X))
        rows = counted_rows(weight)
        counted = weight if weight is None or rows is None else weight[rows]
        scalings: list[tuple[float, float, bool]] = []
        for columns in _blocks(X.shape[1], len(X)):
            part = X[:, columns] if rows is None else X[rows, columns]
            for column in np.ascontiguousarray(part.T):
                values, total, missing = _values(column, counted)
                if len(values) and not np.isfinite(values[[0, -1]]).all():
                    raise _infinite(X[:, len(scalings)], names[len(scalings)])
                center, scale = SCALINGS[scaling](values, total) if len(values) else (0.0, 0.0)
                # half of a smaller scale would underflow: such a column counts as constant
                scalings.append((center, scale if scale >= SMALLEST * 2 else 0.0, missing))
        centers, scales, indicators = zip(*scalings, strict=True) if scalings else ((), (), ())
        return cls(names, centers, scales, indicators, clip and scaling != "none")

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the columns that `transform` returns."""
        indicated = zip(self.names, self.missing, strict=True)
        return self.names + tuple(f"{name}: missing" for name, missing in indicated if missing)

    def transform(self, X: NDArray[Any], dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """Return X (rows, columns) scaled, then the indicators: (rows, features) of the dtype.

        Computed in float64. Raises `DataError` for a number that is infinite or beyond the dtype's
        range.
        """
        rows, columns = X.shape
        indicators = np.flatnonzero(self.missing)
        out = np.zeros((rows, columns + len(indicators)), dtype)
        for block in _blocks(rows, columns):
            part = X[block]
            z = part.astype(np.float64)
            not_finite = ~np.isfinite(z)
            if not_finite.any():
                infinite = np.flatnonzero(np.isinf(z).any(axis=0))
                if len(infinite):
                    raise _infinite(X[:, infinite[0]], self.names[infinite[0]])
                out[block, columns:] = not_finite[:, indicators]
                z[not_finite] = np.broadcast_to(self.center, z.shape)[not_finite]
            out[block, :columns] = self._scaled(z, np.dtype(dtype), block.start)
        return out

    def _scaled(self, z: Floats, dtype: np.dtype[Any], first: int) -> Floats:
        center, scale = np.array(self.center), np.array(self.scale)
        with np.errstate(over="ignore"):
            # halved, so that the difference of two numbers near 1e308 stays finite
            z *= 0.5
            z -= center / 2
            z /= np.where(scale == 0, np.inf, scale / 2)
        if self.clip:
            np.clip(z, -FAR, FAR, out=z)
            z /= np.sqrt(1 + np.square(z / 3))
        else:
            beyond = np.abs(z) > np.finfo(dtype).max
            if beyond.any():
                row, column = np.argwhere(beyond)[0]
                raise DataError(
                    f"Column {self.names[column]!r} holds a number that {dtype} cannot hold (row "
                    f"{first + row}; the first row is 0). Scale or correct it, or use "
                    "dtype='float64'."
                )
        return z

    def inverse(self, z: NDArray[Any]) -> Floats:
        """Return scaled numbers (rows, columns), without indicators, in their original units.

        A constant column becomes its centre. The limits of the clip, ±3, become infinite.

        >>> encoder = NumericEncoder.fit(np.array([[1.0], [2.0], [4.0], [8.0]]))
        >>> encoder.inverse(encoder.transform(np.array([[8.0]]), np.float64)).round(6)
        array([[8.]])
        """
        values: Floats = np.asarray(z, np.float64)
        if self.clip:
            with np.errstate(divide="ignore"):
                values = values / np.sqrt(np.maximum(1 - np.square(values / 3), 0.0))
        values = values * np.array(self.scale)
        values += np.array(self.center)
        return values

    def to_spec(self) -> dict[str, Any]:
        """Return the record as strict JSON values."""
        return {
            "names": list(self.names),
            "center": list(self.center),
            "scale": list(self.scale),
            "missing": list(self.missing),
            "clip": self.clip,
        }

    @classmethod
    def from_spec(cls, spec: object) -> NumericEncoder:
        """Return the encoder that `to_spec` described; raises `ModelFormatError`."""
        fields = Fields.of(spec, "numeric", ("names", "center", "scale", "missing", "clip"))
        names = fields.texts("names")
        scale = fields.numbers("scale", len(names), at_least=0.0)
        if any(0 < number < SMALLEST * 2 for number in scale):
            fields.refuse("scale", f"a list of numbers, each 0 or at least {SMALLEST * 2:g}")
        return cls(
            names,
            fields.numbers("center", len(names)),
            scale,
            fields.flags("missing", len(names)),
            fields.flag("clip"),
        )


@dataclass(frozen=True)
class CategoryEncoder:
    """A category, one feature for each level; levels are sorted by frequency, ties by name.

    - Two levels: one feature; the first level is +1, the second -1, missing and unseen are 0.
    - Otherwise: one-hot, one feature for each level, and one for "missing" if training had missing
      values. A level unseen in training is 0 in all of them.
    - More than `max_levels` levels (default 64): only the most frequent get a feature; the others, and
      levels unseen in training, share the feature "other".
    - `coded` (more than `code_above` levels, if given): one feature, the level's code, for
      `embeddings.Embedding`. Code 0 is for missing values, code 1 for levels that are unseen or have
      fewer than RARE rows.

    >>> encoder = CategoryEncoder.fit(np.array(["b", "a", "b", "c", None], object), name="city")
    >>> encoder.feature_names
    ('city=b', 'city=a', 'city=c', 'city: missing')
    >>> encoder.transform(np.array(["a", None, "new"], object))
    array([[0., 1., 0., 0.], [0., 0., 0., 1.], [0., 0., 0., 0.]], dtype=float32)
    """

    name: str
    levels: tuple[str, ...]
    missing: bool
    other: bool
    coded: bool = False

    @classmethod
    def fit(
        cls,
        column: NDArray[np.object_],
        weight: ArrayLike | None = None,
        *,
        name: str = "x0",
        max_levels: int = 64,
        code_above: int | None = None,
    ) -> CategoryEncoder:
        """Learn the levels of a column of texts, None for missing.

        Raises `DataError` for unusable weights, `ConfigurationError` for `max_levels` below 1.
        """
        if max_levels < 1:
            raise ConfigurationError(f"max_levels={max_levels}, but it must be at least 1.")
        weight = check_weights(weight, len(column))
        code_of: dict[str | None, int] = {}
        codes = [code_of.setdefault(value, len(code_of)) for value in column]
        totals = np.bincount(codes, weights=weight, minlength=len(code_of))
        frequency = {value: totals[code] for value, code in code_of.items() if totals[code] > 0}
        missing = bool(frequency.pop(None, 0) > 0)
        ranked = sorted(frequency, key=lambda level: (-frequency[level], str(level)))
        if code_above is not None and len(ranked) > code_above:
            frequent = tuple(str(level) for level in ranked if frequency[level] >= RARE)
            return cls(name, frequent, missing=True, other=True, coded=True)
        levels = tuple(str(level) for level in ranked[:max_levels])
        return cls(name, levels, missing, other=len(ranked) > max_levels)

    @property
    def places(self) -> int:
        """The number of codes of a `coded` feature."""
        return len(self.levels) + 2

    @property
    def _signed(self) -> bool:
        return len(self.levels) == 2 and not self.other

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the columns that `transform` returns; the feature of two levels has the first's."""
        if self.coded:
            return (f"{self.name}: code",)
        if self._signed:
            return (f"{self.name}={self.levels[0]}",)
        names = [f"{self.name}={level}" for level in self.levels]
        names += [f"{self.name}: other"] * self.other + [f"{self.name}: missing"] * self.missing
        return tuple(names)

    def transform(self, column: NDArray[np.object_], dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """Return the features (rows, features) of a column of texts, None for missing."""
        if self.coded:
            code_of = {level: code for code, level in enumerate(self.levels, start=2)}
            coded = [0 if v is None else code_of.get(v, 1) for v in column]
            return np.array(coded, dtype).reshape(-1, 1)
        codes = {level: code for code, level in enumerate(self.levels)}
        width = len(self.levels) + self.other + self.missing  # the index `width`: no feature
        unseen = len(self.levels) if self.other else width
        absent = width - 1 if self.missing else width
        index = np.array([absent if v is None else codes.get(v, unseen) for v in column], np.intp)
        if self._signed:
            sign = np.zeros(width + 1, dtype)
            sign[:2] = 1, -1
            return sign[index][:, None]
        out = np.zeros((len(column), width), dtype)
        rows = np.flatnonzero(index < width)
        out[rows, index[rows]] = 1
        return out

    def to_spec(self) -> dict[str, Any]:
        """Return the record as strict JSON values."""
        return {
            "name": self.name,
            "levels": list(self.levels),
            "missing": self.missing,
            "other": self.other,
            "coded": self.coded,
        }

    @classmethod
    def from_spec(cls, spec: object) -> CategoryEncoder:
        """Return the encoder that `to_spec` described; raises `ModelFormatError`."""
        fields = Fields.of(spec, "category", ("name", "levels", "missing", "other", "coded"))
        return cls(
            fields.text("name"),
            fields.texts("levels"),
            fields.flag("missing"),
            fields.flag("other"),
            fields.flag("coded"),
        )


def _blocks(count: int, size: int) -> Iterator[slice]:
    """Yield slices of `count` rows or columns of `size` numbers, about BLOCK numbers in each."""
    step = max(1, BLOCK // max(1, size))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def _values(column: NDArray[Any], weight: Floats | None) -> tuple[Floats, Floats, bool]:
    """Return the distribution of the known numbers, and whether some but not all are missing."""
    if column.dtype.kind != "f":
        return *distribution(column, weight), False
    missing = np.isnan(column)
    if not missing.any():
        return *distribution(column, weight), False
    known = ~missing
    values, total = distribution(column[known], None if weight is None else weight[known])
    return values, total, bool(known.any())


def _infinite(column: NDArray[Any], name: str) -> DataError:
    row = int(np.flatnonzero(np.isinf(column))[0])
    return DataError(
        f"Column {name!r} holds an infinite value ({column[row]} in row {row}; the first row is "
        "0), which a network cannot compute with. Put a finite number there, or leave it empty "
        "(NaN) for missing."
    )
