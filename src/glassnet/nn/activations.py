"""Define the activation functions, each with its derivative directly under its value.

An activation is a layer without parameters, given by two functions of numbers:

    value(z)          a = φ(z)
    derivative(z, a)  φ'(z), which may use a where that is cheaper

Without activations, a network of any depth would be one linear function. To add one, write a class and a row
of `ACTIVATIONS`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Unpack

import jax
import jax.numpy as jnp

from glassnet._checks import check_range
from glassnet._types import Array, Cache, Params, State
from glassnet.nn.layers import Context, Layer


class Activation(Layer):
    """An elementwise function of the logits: a = φ(z), so that dz = φ'(z) da."""

    @abstractmethod
    def value(self, z: Any) -> Any:
        """Return a = φ(z)."""

    @abstractmethod
    def derivative(self, z: Any, a: Any) -> Any:
        """Return φ'(z)."""

    def forward(
        self, params: Params, state: State, x: Array, **context: Unpack[Context]
    ) -> tuple[Array, State, Cache]:
        """a = φ(z)."""
        a = self.value(x)
        return a, state, (x, a)

    def backward(self, params: Params, cache: Cache, dy: Array) -> tuple[Array, Params]:
        """dz = φ'(z) da."""
        z, a = cache
        return dy * self.derivative(z, a), {}


@dataclass(frozen=True)
class Identity(Activation):
    """φ(z) = z: a linear layer stays linear.

    >>> Identity().value(3.0)
    3.0
    """

    def value(self, z: Any) -> Any:
        """φ(z) = z."""
        return z

    def derivative(self, z: Any, a: Any) -> Any:
        """φ'(z) = 1."""
        return jnp.ones_like(z)


@dataclass(frozen=True)
class Sigmoid(Activation):
    """σ(z) = 1 / (1 + exp(-z)), between 0 and 1; its derivative is at most 1/4, so gradients vanish.

    >>> float(Sigmoid().value(0.0)), float(Sigmoid().derivative(0.0, 0.5))
    (0.5, 0.25)
    """

    def value(self, z: Any) -> Any:
        """σ(z) = 1 / (1 + exp(-z))."""
        return jax.nn.sigmoid(z)

    def derivative(self, z: Any, a: Any) -> Any:
        """σ'(z) = a (1 - a)."""
        return a * (1 - a)


@dataclass(frozen=True)
class Tanh(Activation):
    """tanh(z) = (exp(z) - exp(-z)) / (exp(z) + exp(-z)), between -1 and 1, centred on 0.

    >>> float(Tanh().derivative(0.0, 0.0))
    1.0
    """

    def value(self, z: Any) -> Any:
        """tanh(z)."""
        return jnp.tanh(z)

    def derivative(self, z: Any, a: Any) -> Any:
        """tanh'(z) = 1 - a²."""
        return 1 - a * a


@dataclass(frozen=True)
class ReLU(Activation):
    """φ(z) = max(0, z). At 0 the derivative is taken as 0.

    >>> ReLU().value(jnp.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def value(self, z: Any) -> Any:
        """φ(z) = max(0, z)."""
        return jnp.maximum(z, 0)

    def derivative(self, z: Any, a: Any) -> Any:
        """φ'(z) = 1 where z > 0, else 0."""
        return (z > 0).astype(z.dtype)


@dataclass(frozen=True)
class LeakyReLU(Activation):
    """φ(z) = z where z > 0, else slope · z: no neuron can die. `slope` defaults to 0.01.

    Maas et al., "Rectifier Nonlinearities Improve Neural Network Acoustic Models", 2013.

    >>> LeakyReLU().value(jnp.array([-1.0, 2.0])).tolist() == [-jnp.float32(0.01), 2.0]
    True
    """

    slope: float = 0.01

    def __post_init__(self) -> None:
        check_range("LeakyReLU's slope", self.slope, -math.inf, math.inf, open_low=True)

    def value(self, z: Any) -> Any:
        """φ(z) = z where z > 0, else slope · z."""
        return jnp.where(z > 0, z, self.slope * z)

    def derivative(self, z: Any, a: Any) -> Any:
        """φ'(z) = 1 where z > 0, else slope."""
        return jnp.where(z > 0, jnp.ones_like(z), jnp.full_like(z, self.slope))


@dataclass(frozen=True)
class Softplus(Activation):
    """φ(z) = ln(1 + exp(z)): a smooth ReLU whose derivative is the sigmoid.

    >>> round(float(Softplus().value(0.0)), 4)
    0.6931
    """

    def value(self, z: Any) -> Any:
        """φ(z) = ln(1 + exp(z))."""
        return jax.nn.softplus(z)

    def derivative(self, z: Any, a: Any) -> Any:
        """φ'(z) = σ(z)."""
        return jax.nn.sigmoid(z)


@dataclass(frozen=True)
class SiLU(Activation):
    """φ(z) = z σ(z), also called Swish: smooth, and slightly negative for z < 0.

    Elfwing et al., "Sigmoid-Weighted Linear Units", 2018.

    >>> float(SiLU().value(0.0))
    0.0
    """

    def value(self, z: Any) -> Any:
        """φ(z) = z σ(z)."""
        return z * jax.nn.sigmoid(z)

    def derivative(self, z: Any, a: Any) -> Any:
        """φ'(z) = σ(z) + a (1 - σ(z))."""
        s = jax.nn.sigmoid(z)
        return s + a * (1 - s)


@dataclass(frozen=True)
class GELU(Activation):
    """φ(z) = z Φ(z), with Φ the cumulative distribution function of the normal distribution.

    Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016. Exact, with erf.

    >>> float(GELU().value(0.0))
    0.0
    """

    def value(self, z: Any) -> Any:
        """φ(z) = z Φ(z), Φ(z) = (1 + erf(z / √2)) / 2."""
        return z * 0.5 * (1 + jax.lax.erf(z * math.sqrt(0.5)))

    def derivative(self, z: Any, a: Any) -> Any:
        """φ'(z) = Φ(z) + z exp(-z²/2) / √(2π)."""
        cumulative = 0.5 * (1 + jax.lax.erf(z * math.sqrt(0.5)))
        return cumulative + z * jnp.exp(-0.5 * z * z) * (1 / math.sqrt(2 * math.pi))


@dataclass(frozen=True)
class SELU(Activation):
    """φ(z) = λ z where z > 0, else λ α (exp(z) - 1): keeps mean 0 and deviation 1 from layer to layer.

    λ = 1.0507…, α = 1.6733…: Klambauer et al., "Self-Normalizing Neural Networks", 2017.

    >>> float(SELU().value(0.0))
    0.0
    """

    def value(self, z: Any) -> Any:
        """φ(z) = λ z where z > 0, else λ α (exp(z) - 1)."""
        below = _SELU_ALPHA * jnp.expm1(jnp.minimum(z, 0))
        return _SELU_LAMBDA * jnp.where(z > 0, z, below)

    def derivative(self, z: Any, a: Any) -> Any:
        """φ'(z) = λ where z > 0, else φ(z) + λ α."""
        return jnp.where(z > 0, jnp.full_like(z, _SELU_LAMBDA), a + _SELU_LAMBDA * _SELU_ALPHA)


_SELU_ALPHA, _SELU_LAMBDA = 1.6732632423543772, 1.0507009873554805


@dataclass(frozen=True)
class Mish(Activation):
    """φ(z) = z tanh(softplus(z)).

    Misra, "Mish: A Self Regularized Non-Monotonic Activation Function", 2019.

    >>> float(Mish().value(0.0))
    0.0
    """

    def value(self, z: Any) -> Any:
        """φ(z) = z tanh(ln(1 + exp(z)))."""
        return z * jnp.tanh(jax.nn.softplus(z))

    def derivative(self, z: Any, a: Any) -> Any:
        """φ'(z) = t + z (1 - t²) σ(z), t = tanh(ln(1 + exp(z)))."""
        t = jnp.tanh(jax.nn.softplus(z))
        return t + z * (1 - t * t) * jax.nn.sigmoid(z)


ACTIVATIONS: dict[str, Activation] = {
    "identity": Identity(),
    "sigmoid": Sigmoid(),
    "tanh": Tanh(),
    "relu": ReLU(),
    "leaky_relu": LeakyReLU(),
    "softplus": Softplus(),
    "silu": SiLU(),
    "gelu": GELU(),
    "selu": SELU(),
    "mish": Mish(),
}
