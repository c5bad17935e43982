"""The model: everything that predicts, and nothing else. What is saved, exported, traced and explained."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import numpy as np

from glassnet._types import Array, Params, Shape, State, precision
from glassnet.errors import ConfigurationError, DataError
from glassnet.losses import Loss
from glassnet.network import Network
from glassnet.preprocessing import TableEncoder
from glassnet.tables import is_table
from glassnet.targets import ClassEncoder, LabelsEncoder, Target, TargetScaler

BUCKETS = (
    1,
    16,
    128,
    1024,
    8192,
)  # rows that one call predicts: five programs serve any number of rows


@partial(jax.jit, static_argnames=("network", "loss"))
def _forward(
    params: Params, layer_state: State, x: Array, *, network: Network, loss: Loss | None
) -> Array:
    logits = network.forward(params, layer_state, x)[0]
    return logits if loss is None else loss.output(logits)


@dataclass(frozen=True)
class Model:
    """A trained network with what turns a person's rows into its inputs and its outputs into answers.

    Parameters
    ----------
    network: the architecture; params and layer_state: its arrays (NumPy).
    loss: says what the outputs mean.
    in_shape: the shape of one row as the network takes it.
    dtype: "float32" or "float64", in which it computes.
    encoder: from a table or raw numbers to the network's input; None: the numbers as they are.
    target: from the network's output to classes, labels or the target's own unit; None: as it is.
    info: what a person wants to know later (name of the target, scores, versions); plain values.
    """

    network: Network
    params: Params
    layer_state: State
    loss: Loss
    in_shape: Shape
    dtype: str = "float32"
    encoder: TableEncoder | None = None
    target: Target = None
    info: dict[str, Any] = field(default_factory=dict)

    def inputs(self, X: Any) -> np.ndarray:
        """Return rows as the network takes them, shape (n, *in_shape).

        Raises
        ------
        DataError: rows of another shape, text where numbers belong, missing columns, infinite values.
        """
        if self.encoder is not None:
            return self.encoder.transform(X, dtype=self.dtype)
        return check_array(X, self.in_shape, self.dtype)

    def logits(self, X: Any) -> np.ndarray:
        """Return what leaves the network, shape (n, outputs)."""
        return self._by_batches(X, None)

    def outputs(self, X: Any) -> np.ndarray:
        """Return probabilities of classes or labels, or values before they get their own unit."""
        return self._by_batches(X, self.loss)

    def _by_batches(self, X: Any, loss: Loss | None) -> np.ndarray:
        """Return logits, or the loss's outputs, computed in batches of a few fixed sizes."""
        x = self.inputs(X)
        n = x.shape[0]
        if n == 0:
            raise DataError("There is no row to predict: X is empty.")
        parts, first, network = [], 0, self.network.skeleton()
        with precision(self.dtype):
            while first < n:
                rows = x[first : first + BUCKETS[-1]]
                size = next(b for b in BUCKETS if b >= len(rows))
                if size > len(rows):
                    rows = np.concatenate([rows, np.repeat(rows[:1], size - len(rows), axis=0)])
                out = _forward(self.params, self.layer_state, rows, network=network, loss=loss)
                parts.append(np.asarray(out)[: n - first])
                first += BUCKETS[-1]
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def predict(self, X: Any) -> np.ndarray:
        """Return the class of each row, its labels, or its value in the target's own unit."""
        outputs = self.outputs(X)
        if self.loss.task == "regression":
            return (
                self.target.inverse(outputs) if isinstance(self.target, TargetScaler) else outputs
            )
        if isinstance(self.target, LabelsEncoder):
            return self.target.inverse((outputs > 0.5).astype(np.int32))
        single = outputs.shape[1] == 1
        codes = (outputs[:, 0] > 0.5).astype(np.int32) if single else outputs.argmax(axis=1)
        if self.loss.task == "labels" and not single:
            return (outputs > 0.5).astype(np.int32)
        return self.target.inverse(codes) if isinstance(self.target, ClassEncoder) else codes

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class (n, classes), each row summing to 1, or of each label.

        Raises
        ------
        ConfigurationError: the model predicts values, not classes.
        """
        if self.loss.task == "regression":
            raise ConfigurationError(
                "This model predicts values, which have no probabilities: use model.predict(X)."
            )
        outputs = self.outputs(X)
        if outputs.shape[1] == 1 and not isinstance(self.target, LabelsEncoder):
            return np.concatenate([1 - outputs, outputs], axis=1)
        return outputs

    @property
    def classes(self) -> np.ndarray | None:
        """The classes in the order of `predict_proba`'s columns; None for regression."""
        return self.target.classes if isinstance(self.target, ClassEncoder) else None


def check_array(X: Any, in_shape: Shape | None, dtype: str) -> np.ndarray:
    """Return rows of numbers or pictures as an array, their bytes as they are.

    Raises
    ------
    DataError: text, a table, one row without its axis, missing or infinite values, another shape.
    """
    if is_table(X):
        raise DataError(
            "This network takes arrays of numbers, but X is a table. Tables with names, categories and"
            " missing values go to gn.NeuralClassifier(network=...) or gn.NeuralRegressor(network=...)."
        )
    if hasattr(X, "toarray"):
        X = X.toarray()
    try:
        x = np.asarray(X)
        if not (np.issubdtype(x.dtype, np.integer) or np.issubdtype(x.dtype, np.bool_)):
            if x.dtype.kind not in "fOUS":
                raise TypeError(f"it holds {x.dtype}")
            with np.errstate(over="ignore"):  # what became infinite is reported below
                x = x.astype(dtype, copy=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"X must be an array of numbers, one row an example: {error}.") from None
    if x.ndim < 2:
        raise DataError(
            f"X has shape {x.shape}, but it needs one row an example and one column a feature."
            " Use X.reshape(-1, 1) for one feature, X.reshape(1, -1) for one example."
        )
    if in_shape is not None and x.shape[1:] != tuple(in_shape):
        raise DataError(
            f"X has rows of shape {x.shape[1:]}, but the network was trained on rows of shape"
            f" {tuple(in_shape)}: {_features(x.shape[1:])} instead of {_features(in_shape)}."
        )
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        row = int(np.argwhere(~np.isfinite(x.reshape(len(x), -1)))[0, 0]) if x.size else 0
        raise DataError(
            f"X holds missing or infinite numbers in {dtype}, first in row {row}: a network cannot compute"
            " with them. Drop or replace them; NeuralClassifier and NeuralRegressor replace missing ones."
        )
    return x


def _features(shape: Shape) -> str:
    """Return "4 numbers a row"."""
    return f"{int(np.prod(shape))} numbers a row"
