"""Record the losses and other measurements of a run, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class History(Mapping[str, np.ndarray]):
    """Columns of equal length, with one row per epoch: "epoch" (from 1), "loss", "learning_rate" and others.

    - "loss": the mean loss of the training batches, each measured just before its step, without penalties.
    - "penalty": the L1 and L2 penalties at the end of the epoch, if there are any.
    - "gradient_norm": the norm of the whole gradient, averaged over the epoch's steps.
    - "validation_loss", and one column per metric ("accuracy", "validation_accuracy").
    - "temperature": with `EarlyStopping(calibrated=True)`, the one that gave the validation loss.

    >>> history = History({"epoch": np.array([1, 2]), "loss": np.array([0.5, 0.25])})
    >>> history["loss"].tolist(), len(history), history.n_epochs
    ([0.5, 0.25], 2, 2)
    """

    columns: dict[str, np.ndarray] = field(default_factory=dict)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def n_epochs(self) -> int:
        """The number of epochs."""
        return len(self.columns.get("epoch", ()))

    @property
    def best_epoch(self) -> int:
        """The epoch (from 1) with the lowest validation loss, or without validation the lowest training loss.

        It is 0 if no epoch has a finite loss.
        """
        losses = self.columns.get("validation_loss", self.columns.get("loss", np.empty(0)))
        if not np.isfinite(losses).any():
            return 0
        lowest = np.nanargmin(np.where(np.isfinite(losses), losses, np.inf))
        return int(self.columns["epoch"][lowest])

    def extend(self, rows: Mapping[str, np.ndarray]) -> History:
        """Return the history with rows appended; a column that only they have starts with NaN.

        >>> one = History({"epoch": np.array([1]), "loss": np.array([0.5])})
        >>> rows = {"epoch": np.array([2]), "loss": np.array([0.4]), "validation_loss": np.array([0.6])}
        >>> one.extend(rows)["validation_loss"].tolist()
        [nan, 0.6]
        """
        if not self.columns:
            return History(dict(rows))
        unmeasured = np.full(self.n_epochs, np.nan, np.float32)
        return History(
            {
                name: np.concatenate([self.columns.get(name, unmeasured), values])
                for name, values in rows.items()
            }
        )

    def until(self, epoch: int) -> History:
        """Return the rows up to and including an epoch.

        >>> History({"epoch": np.array([1, 2, 3])}).until(2)["epoch"].tolist()
        [1, 2]
        """
        kept = self.columns.get("epoch", np.empty(0)) <= epoch
        return History({name: values[kept] for name, values in self.columns.items()})

    @classmethod
    def mean(cls, histories: Sequence[History]) -> History:
        """Return the mean of several histories: in each epoch, over the networks that reached it.

        >>> one, two = History({"epoch": np.array([1])}), History({"epoch": np.array([1, 2])})
        >>> History.mean([one, two])["epoch"].tolist()
        [1, 2]
        """
        longest = max(histories, key=lambda history: history.n_epochs)

        def column(name: str) -> np.ndarray:
            total = np.zeros(longest.n_epochs, np.float64)
            count = np.zeros(longest.n_epochs)
            for history in histories:
                total[: history.n_epochs] += history[name]
                count[: history.n_epochs] += 1
            return (total / count).astype(longest[name].dtype)

        if len(histories) == 1:
            return longest
        return cls({name: column(name) for name in longest})

    def to_dict(self) -> dict[str, list[float]]:
        """Return the columns as plain lists by name, for JSON or a data frame."""
        return {name: values.tolist() for name, values in self.columns.items()}

    def plot(self, ax: Any = None) -> Any:
        """Draw training and validation loss over the epochs, and return the matplotlib axes."""
        if ax is None:
            import matplotlib.pyplot as plt  # lazily: it takes half a second

            ax = plt.subplots()[1]
        ax.plot(self["epoch"], self["loss"], label="training")
        if "validation_loss" in self.columns:
            ax.plot(self["epoch"], self["validation_loss"], "--", label="validation")
            ax.axvline(
                self.best_epoch, color="0.6", linewidth=1, label=f"best: epoch {self.best_epoch}"
            )
        ax.set(xlabel="epoch", ylabel="loss")
        ax.legend()
        return ax
