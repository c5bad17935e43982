"""Encode rows for the simple models, with unclipped numbers and with pictures as rows of pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet.data.tables import Table, is_table, rows_at
from glassnet.encoding.table_encoder import TableEncoder

FAR = 1e18
"""The distance from the centre, in scales, at which numbers are cut off. Its square fits into float32."""
BLOCK_ROWS = 8192


class Features:
    """The encoding that all contestants share, learned from training rows alone.

    A table is encoded by `TableEncoder`, with numbers scaled but not clipped: clipping bends a straight
    line, and linear data would no longer look linear. Pictures become rows of pixels.
    """

    def __init__(self, X: Any) -> None:
        self._scale, self._encoder = 1.0, None
        if isinstance(X, np.ndarray) and X.ndim != 2:
            self._scale = 1 / (float(np.abs(X).max()) or 1.0)
        else:
            self._encoder = TableEncoder.fit(X, clip=False)

    @property
    def pictures(self) -> bool:
        """Whether the rows are pictures."""
        return self._encoder is None

    def of(self, X: Table | NDArray[Any]) -> NDArray[Any]:
        """Return the features of rows, (n, features), float32."""
        if self._encoder is None:
            return np.asarray(X, np.float32).reshape(len(X), -1) * np.float32(self._scale)
        out = np.empty((len(X), self._encoder.n_features), np.float32)
        for start in range(0, len(X), BLOCK_ROWS):  # cutting off takes a copy in float64
            block = slice(start, start + BLOCK_ROWS)
            rows = self._cut_off(self._encoder, rows_at(X, block))
            out[block] = self._encoder.transform(rows)
        return out

    @staticmethod
    def _cut_off(encoder: TableEncoder, X: Any) -> Any:
        """Return rows without numbers so far from the centre that float32 cannot hold them."""
        numeric = encoder.numeric
        center, scale = np.array(numeric.center), np.array(numeric.scale)
        with np.errstate(
            over="ignore"
        ):  # a bound that overflows to ±inf has no effect, as it should
            low, high = center - FAR * scale, center + FAR * scale
        if encoder.kind == "array" and not is_table(X):
            return X if np.isinf(X).any() else np.clip(X, low, high)
        used = encoder.used_columns(X)
        columns = dict(used.columns)
        for name, least, largest in zip(numeric.names, low, high, strict=True):
            if not np.isinf(used[name]).any():
                columns[name] = np.clip(used[name], least, largest)
        return Table(columns)
