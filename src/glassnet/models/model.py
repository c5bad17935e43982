"""Define the trained model, which predicts and can be saved, exported, traced and explained."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from glassnet._compile import limit_programs
from glassnet._precision import precision
from glassnet._types import Array, Params, Shape, State
from glassnet.data.tables import dense, is_table
from glassnet.encoding.table_encoder import TableEncoder
from glassnet.encoding.targets import ClassEncoder, LabelsEncoder, TargetEncoder, TargetScaler
from glassnet.errors import ConfigurationError, DataError
from glassnet.models.intervals import interval
from glassnet.nn.losses import Loss
from glassnet.nn.network import Network

BUCKETS = (8, 16, 128, 1024, 8192)  # rows per call: five programs serve any number of rows


@dataclass(frozen=True)
class _Program:
    """What a compiled prediction depends on.

    network: the skeleton of the network. loss: None for logits. members: whether there are several.
    answer: "mean" of the members, "each" member's outputs, or the most likely "class" by the mean.
    """

    network: Network
    loss: Loss | None
    members: bool
    answer: str

    @cached_property
    def _hash(self) -> int:
        return hash((self.network, self.loss, self.members, self.answer))

    def __hash__(self) -> int:  # cached, because every prediction needs it
        return self._hash


def _run(
    program: _Program, params: Params, layer_state: State, temperature: Array, x: Array
) -> Array:
    """Return one network's logits, or its outputs if the program has a loss."""
    logits = temperature * program.network.forward(params, layer_state, x)[0]
    return logits if program.loss is None else program.loss.output(logits)


@limit_programs
@partial(jax.jit, static_argnames="program")
def _forward_separately(
    params: Params, layer_state: State, temperature: Array, x: Array, *, program: _Program
) -> Array:
    """Return each member's outputs for its own rows, (members, n, outputs)."""
    run = jax.vmap(partial(_run, program), in_axes=(0, 0, None, 0))
    outputs: Array = run(params, layer_state, temperature, x)
    return outputs


@limit_programs
@partial(jax.jit, static_argnames="program")
def _forward(
    params: Params, layer_state: State, temperature: Array, x: Array, *, program: _Program
) -> Array:
    """Return the program's answer: (n, outputs), (members, n, outputs), or one class per row, (n,)."""
    run: Any = partial(_run, program)
    if program.members:
        run = jax.vmap(run, in_axes=(0, 0, None, None))
    outputs = run(params, layer_state, temperature, x)
    if program.members and program.answer != "each":
        outputs = outputs.mean(axis=0)
    return jnp.argmax(outputs, axis=1) if program.answer == "class" else outputs


@dataclass(frozen=True)
class Model:
    """A trained network with its encoders, from rows to inputs and from outputs to classes or values.

    Parameters
    ----------
    network: the architecture; params and layer_state: its arrays (NumPy).
    loss: turns logits into outputs.
    in_shape: the shape of one encoded row.
    dtype: "float32" or "float64", the precision of predictions.
    encoder: turns a table or raw numbers into the network's inputs. None: numbers are used as they are.
    target_encoder: turns outputs into classes, labels or the target's unit. None: outputs stay as they are.
    info: plain values to look up later (name of the target, scores, versions).
    members: the number of networks that predict together. If it is above 1, every array in params and
        layer_state has a first axis of this length, and predictions are the members' mean.
    temperature: multiplies the logits, see `EarlyStopping`. Default 1.
    errors: target minus output on held-out rows, in the network's unit, (targets, count), ascending in
        each row, for `predict_interval`. None: no rows were held out.
    """

    network: Network
    params: Params
    layer_state: State
    loss: Loss
    in_shape: Shape
    dtype: str = "float32"
    encoder: TableEncoder | None = None
    target_encoder: TargetEncoder = None
    info: dict[str, Any] = field(default_factory=dict)
    members: int = 1
    temperature: float = 1.0
    errors: np.ndarray | None = None

    def member(self, k: int) -> Model:
        """Return network k of those that predict together, counted from 0, as a model of its own.

        Raises
        ------
        ConfigurationError: there is no network k.
        """
        if not isinstance(k, (int, np.integer)) or not 0 <= k < self.members:
            raise ConfigurationError(
                f"member is {k!r}, but the model has {self.members} network{'s' * (self.members > 1)}:"
                f" give one from 0 to {self.members - 1}."
            )
        if self.members == 1:
            return self
        params, layer_state = jax.tree.map(
            lambda array: np.asarray(array)[k], (self.params, self.layer_state)
        )
        return replace(self, params=params, layer_state=layer_state, members=1, errors=None)

    def inputs(self, X: Any) -> np.ndarray:
        """Return rows encoded as the network's inputs, shape (n, *in_shape).

        Raises
        ------
        DataError: rows of another shape, text instead of numbers, missing columns, infinite values.
        """
        if self.encoder is not None:
            return self.encoder.transform(X, dtype=self.dtype)
        return check_array(X, self.in_shape, self.dtype)

    def logits(self, X: Any) -> np.ndarray:
        """Return the logits, shape (n, outputs); the mean of several members."""
        return self._answer(X, "mean", None)

    def outputs(self, X: Any) -> np.ndarray:
        """Return probabilities of classes or labels, or values in the network's unit, (n, outputs).

        For several members, it is their mean.
        """
        return self._answer(X, "mean", self.loss)

    def outputs_by_member(self, X: Any) -> np.ndarray:
        """Return each member's `outputs`, shape (members, n, outputs)."""
        outputs = self._answer(X, "each", self.loss)
        return outputs if self.members > 1 else outputs[None]

    def outputs_encoded(self, x: np.ndarray) -> np.ndarray:
        """Return the `outputs` of encoded rows, x (n, *in_shape)."""
        return self._computed(x, "mean", self.loss)

    def logits_encoded(self, x: np.ndarray) -> np.ndarray:
        """Return the `logits` of encoded rows, x (n, *in_shape)."""
        return self._computed(x, "mean", None)

    def outputs_apart(self, x: np.ndarray) -> np.ndarray:
        """Return each member's outputs, (members, n, outputs), for its own rows, x (members, n, ...)."""
        with precision(self.dtype):
            program = self._program("each", self.loss)
            return np.asarray(_forward_separately(*self._arrays, x, program=program))

    def spread(self, X: Any) -> np.ndarray:
        """Return the standard deviation of the predictions over the members.

        The predictions are the probabilities of `predict_proba`, or values in the unit of the target, and
        the result has their shape. It is large where another seed might give another prediction, and 0
        for a single member.
        """
        outputs = self.outputs_by_member(X)
        if isinstance(self.target_encoder, TargetScaler):
            return np.asarray(
                np.std([self.target_encoder.inverse(values) for values in outputs], axis=0)
            )
        spread = np.asarray(outputs.std(axis=0))
        return np.concatenate([spread, spread], axis=1) if self._is_single(spread) else spread

    def __getstate__(self) -> dict[str, Any]:
        """Return only the fields; a copy makes its own programs and device arrays."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @cached_property
    def _arrays(self) -> tuple[Params, State, Array]:
        """Parameters, state and temperature, copied to the device once."""
        temperature = np.asarray(self.temperature, self.dtype)
        params, state, t = jax.device_put((self.params, self.layer_state, temperature))
        return params, state, t

    @cached_property
    def _programs(self) -> dict[tuple[str, bool], _Program]:
        return {}

    def _program(self, answer: str, loss: Loss | None) -> _Program:
        kind = (answer, loss is None)
        if kind not in self._programs:
            network = self.network.skeleton()
            self._programs[kind] = _Program(network, loss, self.members > 1, answer)
        return self._programs[kind]

    def _answer(self, X: Any, answer: str, loss: Loss | None) -> np.ndarray:
        """Return the answer for rows X, computed in batches of a few fixed sizes."""
        return self._computed(self.inputs(X), answer, loss)

    def _computed(self, x: np.ndarray, answer: str, loss: Loss | None) -> np.ndarray:
        """Return the answer for encoded rows, computed in batches of a few fixed sizes."""
        program = self._program(answer, loss)
        n, parts = x.shape[0], []
        if n == 0:
            raise DataError("X is empty, so there is no row to predict: give at least one row.")
        with precision(self.dtype):
            for first in range(0, n, BUCKETS[-1]):
                rows = x[first : first + BUCKETS[-1]]
                size = next(b for b in BUCKETS if b >= len(rows))
                if size > len(rows):
                    rows = np.concatenate([rows, np.repeat(rows[:1], size - len(rows), axis=0)])
                parts.append(_forward(*self._arrays, rows, program=program))
        axis = 1 if parts[0].ndim == 3 else 0  # the axis of the rows
        arrays = [np.asarray(part) for part in parts]  # wait for the device only after all calls
        whole = arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=axis)
        return np.asarray(whole[:, :n] if axis else whole[:n])

    def predict(self, X: Any) -> np.ndarray:
        """Return the class of each row, its labels, or its value in the unit of the target."""
        if self.loss.task == "classification":
            codes = self._answer(X, "class", self.loss)
            return (
                self.target_encoder.inverse(codes)
                if isinstance(self.target_encoder, ClassEncoder)
                else codes
            )
        outputs = self.outputs(X)
        if self.loss.task == "regression":
            return (
                self.target_encoder.inverse(outputs)
                if isinstance(self.target_encoder, TargetScaler)
                else outputs
            )
        if isinstance(self.target_encoder, LabelsEncoder):
            return self.target_encoder.inverse((outputs > 0.5).astype(np.int32))
        if outputs.shape[1] > 1:
            return (outputs > 0.5).astype(np.int32)
        codes = (outputs[:, 0] > 0.5).astype(np.int32)
        return (
            self.target_encoder.inverse(codes)
            if isinstance(self.target_encoder, ClassEncoder)
            else codes
        )

    def predict_interval(self, X: Any, coverage: float = 0.9) -> np.ndarray:
        """Return for each row an interval that contains the value with probability `coverage`, (n, 2).

        For several targets the shape is (n, targets, 2), and each target has its own interval. The
        interval is the prediction plus two quantiles of the errors on held-out rows.

        Raises
        ------
        ConfigurationError: the model predicts classes, or no rows were held out in training.
        DataError: too few rows were held out for this coverage.
        """
        if self.loss.task != "regression" or not isinstance(self.target_encoder, TargetScaler):
            raise ConfigurationError(
                "This model predicts classes, but intervals are for values: use model.predict_proba(X)."
            )
        if self.errors is None:
            raise ConfigurationError(
                "This model was trained on all its rows, so its errors on new rows are unknown: train"
                " with early_stopping=True, or fit(X, y, validation=0.2)."
            )
        intervals = interval(self.outputs(X).astype(np.float64), self.errors, coverage)
        ends = [self.target_encoder.inverse(intervals[:, :, end]) for end in (0, 1)]
        return np.stack(ends, axis=-1)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, (n, classes) with rows that sum to 1, or of each label.

        Raises
        ------
        ConfigurationError: the model predicts values, not classes.
        """
        if self.loss.task == "regression":
            raise ConfigurationError(
                "This model predicts values, which have no probabilities: use model.predict(X)."
            )
        outputs = self.outputs(X)
        return (
            np.concatenate([1 - outputs, outputs], axis=1) if self._is_single(outputs) else outputs
        )

    def _is_single(self, outputs: np.ndarray) -> bool:
        """Return whether a single output encodes two classes."""
        labels = isinstance(self.target_encoder, LabelsEncoder)
        return self.loss.task != "regression" and outputs.shape[1] == 1 and not labels

    @property
    def classes(self) -> np.ndarray | None:
        """The classes in the order of the columns of `predict_proba`; None for regression and labels."""
        return (
            self.target_encoder.classes if isinstance(self.target_encoder, ClassEncoder) else None
        )


def model_of(given: Any) -> Model:
    """Return the `Model` behind a `gn.Run`, a fitted estimator, or the model itself.

    Raises
    ------
    ConfigurationError: it is none of these, or is not fitted.

    >>> model_of("churn.glassnet")
    Traceback (most recent call last):
    glassnet.errors.ConfigurationError: 'churn.glassnet' is not a trained model: give a gn.Model, a gn.Run,
    or a fitted gn.NeuralClassifier or gn.NeuralRegressor. gn.load(path) reads a model from its file.
    """
    for candidate in (given, getattr(given, "model_", None), getattr(given, "model", None)):
        if isinstance(candidate, Model):
            return candidate
    kinds = "give a gn.Model, a gn.Run, or a fitted gn.NeuralClassifier or gn.NeuralRegressor."
    if isinstance(given, Network):
        raise ConfigurationError(
            "A gn.Network has no weights: give what gn.train(network, X, y) returns."
        )
    if hasattr(given, "fit"):
        raise ConfigurationError(
            f"This {type(given).__name__} has no trained network: call fit(X, y) first, or {kinds}"
        )
    shown = (
        repr(given[:60]) if isinstance(given, str) else f"An object of type {type(given).__name__}"
    )
    hint = " gn.load(path) reads a model from its file." if isinstance(given, str) else ""
    raise ConfigurationError(f"{shown} is not a trained model: {kinds}{hint}")


def check_array(X: Any, in_shape: Shape | None, dtype: str) -> np.ndarray:
    """Check rows of numbers or pictures and return them as an array; integers keep their type.

    Raises
    ------
    DataError: text, a table, a single row without its axis, missing or infinite values, another shape.
    """
    if is_table(X):
        raise DataError(
            "This network takes arrays of numbers, but X is a table. For tables with names, categories and"
            " missing values use gn.NeuralClassifier(network=...) or gn.NeuralRegressor(network=...)."
        )
    try:
        x = np.asarray(dense(X))
        if not (np.issubdtype(x.dtype, np.integer) or np.issubdtype(x.dtype, np.bool_)):
            if x.dtype.kind not in "fOUS":
                raise TypeError(f"it holds {x.dtype}")
            with np.errstate(over="ignore"):  # infinite values are reported below
                x = x.astype(dtype, copy=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"X must be an array of numbers, one row per example: {error}.") from None
    if x.ndim < 2:
        raise DataError(
            f"X has shape {x.shape}, but it needs one row per example and one column per feature."
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
            f"X holds missing or infinite numbers in {dtype}, first in row {row}, and a network cannot"
            " use them. Drop or replace them; NeuralClassifier and NeuralRegressor replace missing ones."
        )
    return x


def _features(shape: Shape) -> str:
    """Return "4 numbers per row"."""
    return f"{int(np.prod(shape))} numbers per row"
