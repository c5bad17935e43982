"""Encode dates as numbers, with the interface of the encoders in `encoders`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from glassnet.data.weighted_statistics import Floats, check_weights, counted_rows
from glassnet.encoding.encoders import NumericEncoder, Scaling
from glassnet.storage.fields import Fields, refuse_field

DAY = 86_400_000_000
"""Microseconds in a day."""


def _month(time: NDArray[np.int64]) -> Floats:
    months: NDArray[np.int64] = time.view("datetime64[us]").astype("datetime64[M]").astype(np.int64)
    return (months % 12) / 12


def _weekday(time: NDArray[np.int64]) -> Floats:
    return (time // DAY + 3) % 7 / 7  # 1970-01-01 was a Thursday; Monday is 0


def _hour(time: NDArray[np.int64]) -> Floats:
    return time % DAY / DAY


PARTS = {"month": _month, "weekday": _weekday, "hour": _hour}
"""Microseconds since 1970 -> share of the year, week or day that has passed."""


@dataclass(frozen=True)
class DateEncoder:
    """A date as numbers: scaled days since the median date, and its position in year, week and day.

    Each of month, weekday and hour (with minutes) that varies in training becomes a point on a
    circle, sin(2π·share) and cos(2π·share), so that December is next to January. A missing date
    (NaT) becomes zeros, with an indicator if training had missing dates.

    >>> dates = np.array(["2024-01-01", "2024-01-08", "2024-01-15"], "datetime64[us]")
    >>> encoder = DateEncoder.fit(dates, name="day", clip=False)
    >>> encoder.feature_names, encoder.transform(dates).ravel()
    (('day: days',), array([-0.5,  0. ,  0.5], dtype=float32))
    """

    name: str
    days: NumericEncoder
    parts: tuple[str, ...]

    @classmethod
    def fit(
        cls,
        column: NDArray[np.datetime64],
        weight: ArrayLike | None = None,
        *,
        name: str = "x0",
        scaling: Scaling = "robust",
        clip: bool = True,
    ) -> DateEncoder:
        """Learn the encoding of a column of datetime64, NaT for missing; raises `DataError`."""
        weight = check_weights(weight, len(column))
        # an unscaled date would be its days since 1970, about 20 000
        scaling = "robust" if scaling == "none" else scaling
        days = NumericEncoder.fit(
            _days(column), weight, names=(f"{name}: days",), scaling=scaling, clip=clip
        )
        rows = counted_rows(weight)
        time = _microseconds(column if rows is None else column[rows])
        varying = tuple(part for part, share in PARTS.items() if len(np.unique(share(time))) > 1)
        return cls(name, days, varying)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the columns that `transform` returns."""
        names = (f"{self.name}: days", f"{self.name}: missing")[: len(self.days.feature_names)]
        circles = [(part, wave) for part in self.parts for wave in ("sin", "cos")]
        return names + tuple(f"{self.name}: {part} {wave}" for part, wave in circles)

    def transform(
        self, column: NDArray[np.datetime64], dtype: DTypeLike = np.float32
    ) -> NDArray[Any]:
        """Return the features (rows, features) of a column of datetime64, NaT for missing."""
        known = ~np.isnat(column)
        time = _microseconds(column)
        out = np.zeros((len(column), len(self.feature_names)), dtype)
        first = len(self.days.feature_names)
        out[:, :first] = self.days.transform(_days(column), dtype)
        for index, part in enumerate(self.parts):
            angle = 2 * np.pi * PARTS[part](time)
            out[known, first + 2 * index] = np.sin(angle)
            out[known, first + 2 * index + 1] = np.cos(angle)
        return out

    def to_spec(self) -> dict[str, Any]:
        """Return the record as strict JSON values."""
        return {"name": self.name, "days": self.days.to_spec(), "parts": list(self.parts)}

    @classmethod
    def from_spec(cls, spec: object) -> DateEncoder:
        """Return the encoder that `to_spec` described; raises `ModelFormatError`."""
        fields = Fields.of(spec, "date", ("name", "days", "parts"))
        name, days = fields.text("name"), NumericEncoder.from_spec(fields.values["days"])
        if days.names != (f"{name}: days",):
            refuse_field("date.days.names", repr(f"{name}: days"), days.names)
        return cls(name, days, fields.texts("parts", PARTS))


def _microseconds(column: NDArray[np.datetime64]) -> NDArray[np.int64]:
    known: NDArray[np.int64] = column[~np.isnat(column)].astype("datetime64[us]").view(np.int64)
    return known


def _days(column: NDArray[np.datetime64]) -> Floats:
    days = np.full((len(column), 1), np.nan)
    days[~np.isnat(column), 0] = _microseconds(column) / DAY
    return days
