"""Measure how far the outputs are from the targets, each loss with its gradient under its value.

The Loss contract
-----------------
A loss is a frozen dataclass with three functions of the LOGITS, the network's raw outputs. Softmax and
cross-entropy are therefore computed together, and never overflow:

    value(logits, target, weight)      L = sum(w · l) / sum(w), a number
    gradient(logits, target, weight)   dL/dlogits, the shape of the logits
    output(logits)                     what a user wants to see: probabilities, or values

A loss defines `terms(logits, target)`, the loss l of each row (or of each row and output, then averaged
over outputs too), and `slopes(logits, target)`, the derivative of each term with respect to the logits.
A loss that defines only `terms` gets its slopes from `jax.vjp`.

`weight` is None (all 1), one number per row, or one per row and output. Rows of weight 0 do not count.
`task` says what the targets are: values ("regression"), one of several classes ("classification"), or labels
that are each present or not ("labels").
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp

from glassnet._checks import check_range
from glassnet._types import Array
from glassnet.errors import ConfigurationError

LossTask = Literal["regression", "classification", "labels"]


class Loss(ABC):
    """The number that training minimises, with its derivative. The contract is this module's docstring."""

    task: ClassVar[LossTask] = "regression"

    @abstractmethod
    def terms(self, logits: Array, target: Array) -> Array:
        """Return the loss of each row, shape (n,), or of each row and output, shape (n, k)."""

    def slopes(self, logits: Array, target: Array) -> Array:
        """Return the derivative of each term with respect to its logits, in the shape of the logits."""
        terms, vjp = jax.vjp(lambda z: self.terms(z, target), logits)
        slopes: Array = vjp(jnp.ones_like(terms))[0]
        return slopes

    def output(self, logits: Array) -> Array:
        """Return probabilities or values from the logits; by default the logits themselves."""
        return logits

    def value(self, logits: Array, target: Array, weight: Array | None = None) -> Array:
        """Return L = sum(w · l) / sum(w)."""
        terms = self.terms(logits, target)
        return jnp.sum(terms * _shares(terms, weight))

    def gradient(self, logits: Array, target: Array, weight: Array | None = None) -> Array:
        """Return dL/dlogits = w / sum(w) · dl/dlogits."""
        terms = jax.eval_shape(self.terms, logits, target)
        shares = _shares(terms, weight)
        return self.slopes(logits, target) * (
            shares[:, None] if shares.ndim < logits.ndim else shares
        )


def _aligned(target: Array, logits: Array) -> Array:
    """Return the target in the shape and type of the logits."""
    return target.reshape(logits.shape).astype(logits.dtype)


def _shares(terms: Any, weight: Array | None) -> Array:
    """Return the share of each term in the weighted mean, w / sum(w)."""
    if weight is None:
        return jnp.full((1,) * len(terms.shape), 1.0 / terms.size, terms.dtype)
    aligned = weight if weight.ndim == len(terms.shape) else weight[:, None]
    weights = jnp.broadcast_to(aligned, terms.shape)
    total = jnp.sum(weights)
    return weights / jnp.where(total > 0, total, jnp.ones_like(total))


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """l = (y - ŷ)², averaged over rows and outputs: for regression.

    Its best constant prediction is the mean. Targets: numbers, shape (n,) or (n, outputs).

    >>> float(MeanSquaredError().value(jnp.array([[1.0], [2.0]]), jnp.array([[1.0], [4.0]])))
    2.0
    """

    def terms(self, logits: Array, target: Array) -> Array:
        """l = (ŷ - y)²."""
        return (logits - _aligned(target, logits)) ** 2

    def slopes(self, logits: Array, target: Array) -> Array:
        """dl/dŷ = 2 (ŷ - y)."""
        return 2 * (logits - _aligned(target, logits))


@dataclass(frozen=True)
class MeanAbsoluteError(Loss):
    """l = |y - ŷ|: for regression with outliers. Its best constant prediction is the median.

    >>> float(MeanAbsoluteError().value(jnp.array([[1.0], [2.0]]), jnp.array([[1.0], [4.0]])))
    1.0
    """

    def terms(self, logits: Array, target: Array) -> Array:
        """l = |ŷ - y|."""
        return jnp.abs(logits - _aligned(target, logits))

    def slopes(self, logits: Array, target: Array) -> Array:
        """dl/dŷ = sign(ŷ - y), 0 at 0."""
        return jnp.sign(logits - _aligned(target, logits))


@dataclass(frozen=True)
class Huber(Loss):
    """l = e²/2 where |e| <= delta, else delta (|e| - delta/2), e = ŷ - y: quadratic near 0, linear beyond.

    Huber, "Robust Estimation of a Location Parameter", 1964.

    Parameters
    ----------
    delta: where the quadratic part ends, above 0. Default 1.

    >>> float(Huber().value(jnp.array([[3.0]]), jnp.array([[0.0]])))
    2.5
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        check_range("Huber's delta", self.delta, 0, float("inf"), open_low=True)

    def terms(self, logits: Array, target: Array) -> Array:
        """l = e²/2 where |e| <= delta, else delta (|e| - delta/2)."""
        e = logits - _aligned(target, logits)
        size = jnp.abs(e)
        return jnp.where(size <= self.delta, 0.5 * e * e, self.delta * (size - 0.5 * self.delta))

    def slopes(self, logits: Array, target: Array) -> Array:
        """dl/dŷ = e, clipped to ±delta."""
        return jnp.clip(logits - _aligned(target, logits), -self.delta, self.delta)


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """l = -sum_k t_k ln p_k with p = softmax(z): for one of several classes.

    Targets: the number of the class, shape (n,); or probabilities, such as one-hot rows, shape (n, classes).

    Parameters
    ----------
    label_smoothing: ε in [0, 1): the target becomes (1 - ε) t + ε / classes. Default 0.
        Szegedy et al., "Rethinking the Inception Architecture", 2016.

    >>> round(float(CrossEntropy().value(jnp.zeros((1, 2)), jnp.array([0]))), 4)
    0.6931
    """

    label_smoothing: float = 0.0
    task: ClassVar[LossTask] = "classification"

    def __post_init__(self) -> None:
        check_range("label_smoothing", self.label_smoothing, 0, 1)

    def probabilities(self, logits: Array, target: Array) -> Array:
        """Return the target as probabilities t, smoothed."""
        t = target
        if t.ndim == 1:
            t = jax.nn.one_hot(t, logits.shape[1], dtype=logits.dtype)
        if self.label_smoothing:
            t = (1 - self.label_smoothing) * t + self.label_smoothing / logits.shape[1]
        return t

    def terms(self, logits: Array, target: Array) -> Array:
        """l = -sum_k t_k ln softmax(z)_k."""
        return -jnp.sum(self.probabilities(logits, target) * jax.nn.log_softmax(logits), axis=1)

    def slopes(self, logits: Array, target: Array) -> Array:
        """dl/dz = softmax(z) sum_k t_k - t, which is p - t for targets that sum to 1."""
        t = self.probabilities(logits, target)
        return jax.nn.softmax(logits) * jnp.sum(t, axis=1, keepdims=True) - t

    def output(self, logits: Array) -> Array:
        """p = softmax(z): non-negative, and summing to 1."""
        return jax.nn.softmax(logits)


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """l = -t ln p - (1 - t) ln(1 - p) with p = σ(z): for two classes, or several labels at once.

    Targets: 0 and 1 (or probabilities), shape (n,) or (n, labels).

    Parameters
    ----------
    label_smoothing: ε in [0, 1): the target becomes (1 - ε) t + ε / 2. Default 0.

    >>> round(float(BinaryCrossEntropy().value(jnp.zeros((1, 1)), jnp.array([1.0]))), 4)
    0.6931
    """

    label_smoothing: float = 0.0
    task: ClassVar[LossTask] = "labels"

    def __post_init__(self) -> None:
        check_range("label_smoothing", self.label_smoothing, 0, 1)

    def probabilities(self, logits: Array, target: Array) -> Array:
        """Return the target in the shape of the logits, smoothed."""
        t = _aligned(target, logits)
        return (1 - self.label_smoothing) * t + self.label_smoothing / 2

    def terms(self, logits: Array, target: Array) -> Array:
        """l = ln(1 + exp(z)) - t z: the same loss, without overflow."""
        return jax.nn.softplus(logits) - self.probabilities(logits, target) * logits

    def slopes(self, logits: Array, target: Array) -> Array:
        """dl/dz = σ(z) - t."""
        return jax.nn.sigmoid(logits) - self.probabilities(logits, target)

    def output(self, logits: Array) -> Array:
        """p = σ(z)."""
        return jax.nn.sigmoid(logits)


@dataclass(frozen=True)
class CustomLoss(Loss):
    """A loss of your own, from a function of (logits, target); its gradient comes from `jax.vjp`.

    Parameters
    ----------
    function: returns l, the loss of each row, shape (n,) or (n, outputs). It must use jax.numpy.

    >>> log_cosh = CustomLoss(lambda z, y: jnp.log(jnp.cosh(z - y)).sum(axis=1))
    >>> round(float(log_cosh.gradient(jnp.array([[1.0]]), jnp.array([[0.0]]))[0, 0]), 4)
    0.7616
    """

    function: Callable[[Any, Any], Any]

    def terms(self, logits: Array, target: Array) -> Array:
        """l = function(logits, target)."""
        try:
            terms: Array = self.function(logits, target)
        except jax.errors.TracerArrayConversionError:
            raise ConfigurationError(
                "The loss function turns its arguments into NumPy arrays, which cannot be compiled:"
                " write it with jax.numpy instead."
            ) from None
        if terms.ndim not in (1, 2) or terms.shape[0] != logits.shape[0]:
            raise ConfigurationError(
                f"The loss function returned shape {terms.shape} for {logits.shape[0]} rows. It must return"
                " one loss per row: average over the outputs (axis=1), not over the rows."
            )
        return terms


LOSSES: dict[str, Loss] = {
    "squared_error": MeanSquaredError(),
    "absolute_error": MeanAbsoluteError(),
    "huber": Huber(),
    "cross_entropy": CrossEntropy(),
    "binary_cross_entropy": BinaryCrossEntropy(),
}
