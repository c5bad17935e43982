"""Define the layers of a network, each with its `backward` directly under its `forward`.

The Layer contract
------------------
A layer is a frozen dataclass that holds hyperparameters and no arrays. It has three pure functions:

    init(key, in_shape)                                      -> (params, state, out_shape)
    forward(params, state, x, *, key, train, weight)         -> (y, state, cache)
    backward(params, cache, dy)                              -> (dx, dparams)

- `in_shape`, `out_shape`: the shape of one row, without the batch axis.
- `params`: arrays by name, which the optimizer updates. `dparams` has the same names and shapes.
- `state`: arrays by name that the layer keeps between batches, or that a schedule or a sweep changes.
- `x`, `y`, `dx`, `dy`: a batch, with the rows as its first axis. `dy` is dL/dy, the gradient of the loss.
- `cache`: whatever `backward` needs from `forward`.
- `key` (of this layer and step) and `weight` (one per row, or None if all are 1) matter only while training,
  when `train` is true. A row of weight 0 is padding and must change nothing.

Law: for every layer, `backward` equals the vector-Jacobian product of `forward`. A layer that defines only
`forward` returns None as its cache and gets its `backward` from `jax.vjp`.

A parameter may have a `Trait`: a factor on its learning rate, and whether penalties and weight decay apply.
`shapes(in_shape)` gives the shapes of what `init` returns; layers with arrays compute them directly.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, TypedDict, Unpack

import jax.numpy as jnp
import numpy as np

from glassnet import keys
from glassnet._checks import check_count, check_range, resolve
from glassnet._precision import default_float
from glassnet._types import Array, Cache, Key, Params, Shape, State
from glassnet.errors import ConfigurationError
from glassnet.nn.derived_backward import derive_backward
from glassnet.nn.initializers import INITIALIZERS, Initializer
from glassnet.nn.shapes import Shapes, shapes_in
from glassnet.nn.small_products import transposed


class Context(TypedDict, total=False):
    """The keyword arguments of `forward`; a layer that needs none of them takes them as **context."""

    key: Key | None
    train: bool
    weight: Array | None


class Trait(NamedTuple):
    """How one parameter is trained: a factor on its learning rate, and whether it decays."""

    factor: float = 1.0
    decay: bool = False


class Layer(ABC):
    """One step of the forward pass, with its derivative. The contract is this module's docstring.

    A layer of your own needs only `forward`:

    >>> @dataclass(frozen=True)
    ... class Sine(Layer):
    ...     def forward(self, params, state, x, **context):
    ...         return jnp.sin(x), state, None
    >>> y, _, cache = Sine().forward({}, {}, jnp.zeros((1, 2)))
    >>> Sine().backward({}, cache, jnp.ones((1, 2)))[0].tolist()
    [[1.0, 1.0]]
    """

    random: ClassVar[bool] = False  # whether `forward` draws random numbers while training

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "forward" in vars(cls) and "backward" not in vars(cls):
            derive_backward(cls)

    def init(self, key: Key, in_shape: Shape) -> tuple[Params, State, Shape]:
        """Return (params, state, out_shape); by default no arrays, and the shape stays the same."""
        del key
        return {}, {}, in_shape

    def shapes(self, in_shape: Shape) -> Shapes:
        """Return the shapes of everything that `init` returns; layers that may be large override this."""
        params, state, out_shape = self.init(keys.key(0), in_shape)
        return Shapes(shapes_in(params), shapes_in(state), out_shape)

    @abstractmethod
    def forward(
        self, params: Params, state: State, x: Array, **context: Unpack[Context]
    ) -> tuple[Array, State, Cache]:
        """Return (y, state, cache)."""

    def backward(self, params: Params, cache: Cache, dy: Array) -> tuple[Array, Params]:
        """Return (dx, dparams): the gradients of the loss with respect to the input and each parameter."""
        raise NotImplementedError  # defined by the layer, or derived from forward

    def traits(self) -> Mapping[str, Any]:
        """Return the traits of parameters by name; those without an entry have the default trait."""
        return {}

    def skeleton(self) -> Layer:
        """Return the layer without the numbers that `init` puts into its state, for compilation."""
        return self


def row_shares(x: Array, weight: Array | None) -> Array:
    """Return each row's share of the batch, w / sum(w); equal shares without weights."""
    if weight is None:
        return jnp.full((x.shape[0],), 1.0 / x.shape[0], x.dtype)
    total = jnp.sum(weight)
    return weight / jnp.where(total > 0, total, jnp.ones_like(total))


@dataclass(frozen=True)
class Dense(Layer):
    """A fully connected layer of neurons: the logits z = W a + b.

    z_j = sum_i W_ji a_i + b_j. For a batch of rows, Z = A Wᵀ + b.

    Parameters
    ----------
    units: the number of neurons.
    initializer: draws W, of shape (units, inputs): "he" (default), "glorot", "lecun", "normal", "uniform",
        "zeros", or an object of `glassnet.nn.initializers`. b, of shape (units,), starts at 0.
    bias: whether there is a b. Default True.

    Raises
    ------
    ConfigurationError: units is not a whole number of at least 1, or the rows are not vectors.

    >>> params, state, out_shape = Dense(4).init(keys.key(0), (3,))
    >>> params["W"].shape, params["b"].shape, out_shape
    ((4, 3), (4,), (4,))
    """

    units: int
    initializer: Initializer | str = "he"
    bias: bool = True

    def __post_init__(self) -> None:
        check_count("units", self.units)
        resolve("initializer", self.initializer, INITIALIZERS)

    def init(self, key: Key, in_shape: Shape) -> tuple[Params, State, Shape]:
        """Draw W; b = 0."""
        if len(in_shape) != 1:
            raise ConfigurationError(
                f"Dense needs one vector per row, but each row has shape {in_shape}."
                " Put gn.Flatten() before the first Dense."
            )
        drawn = resolve("initializer", self.initializer, INITIALIZERS).draw(
            key, (self.units, in_shape[0])
        )
        params = {"W": np.asarray(drawn, default_float())}
        if self.bias:
            params["b"] = np.zeros(self.units, default_float())
        return params, {}, (self.units,)

    def shapes(self, in_shape: Shape) -> Shapes:
        """W (units, inputs), b (units,)."""
        (inputs,) = in_shape
        bias = {"b": (self.units,)} if self.bias else {}
        return Shapes({"W": (self.units, inputs), **bias}, {}, (self.units,))

    def forward(
        self, params: Params, state: State, x: Array, **context: Unpack[Context]
    ) -> tuple[Array, State, Cache]:
        """Z = A Wᵀ + b."""
        z = x @ params["W"].T
        return (z + params["b"] if self.bias else z), state, x

    def backward(self, params: Params, cache: Cache, dy: Array) -> tuple[Array, Params]:
        """dA = dZ W; dW = dZᵀ A; db = the sum of dZ over the rows."""
        a = cache
        dparams = {"W": transposed(dy, a.shape[1]) @ a}
        if self.bias:
            dparams["b"] = dy.sum(axis=0)
        return dy @ params["W"], dparams

    def traits(self) -> Mapping[str, Any]:
        """Let W decay and be penalised, but not b."""
        return {"W": Trait(decay=True)}


@dataclass(frozen=True)
class Dropout(Layer):
    """Drop each neuron with probability `rate` while training: y = x m / (1 - rate), m = 0 or 1.

    Scaling while training keeps the expectation of y, so that prediction needs no change. It is the same, in
    expectation, as scaling the outgoing weights by 1 - rate afterwards. A dropped neuron outputs 0 and
    gets no gradient from that row, and neither do its incoming and outgoing weights. The masks are hashes of
    (seed, step, layer, position).

    Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", 2014.

    Parameters
    ----------
    rate: the share of neurons that is DROPPED, in [0, 1).

    >>> layer = Dropout(0.5)
    >>> _, state, _ = layer.init(keys.key(0), (4,))
    >>> y, _, _ = layer.forward({}, state, jnp.ones((1, 4)), key=keys.key(1), train=True)
    >>> sorted(set(y[0].tolist())) in ([0.0], [2.0], [0.0, 2.0])
    True
    """

    rate: float
    random = True

    def __post_init__(self) -> None:
        check_range("Dropout's rate, the share dropped,", self.rate, 0, 1)

    def init(self, key: Key, in_shape: Shape) -> tuple[Params, State, Shape]:
        """Put the rate into the state, so that a new rate needs no recompilation."""
        return {}, {"rate": np.asarray(self.rate, default_float())}, in_shape

    def forward(
        self,
        params: Params,
        state: State,
        x: Array,
        *,
        key: Key | None = None,
        train: bool = False,
        weight: Array | None = None,
    ) -> tuple[Array, State, Cache]:
        """y = x m / (1 - rate) while training, y = x otherwise."""
        if not train:
            return x, state, None
        rate = state["rate"]
        threshold = (rate * 2.0**32).astype(jnp.uint32)
        kept = keys.bits(keys.needed(key, "Dropout"), x.shape) >= threshold
        mask = jnp.where(kept, 1 / (1 - rate), jnp.zeros_like(rate)).astype(x.dtype)
        return x * mask, state, mask

    def backward(self, params: Params, cache: Cache, dy: Array) -> tuple[Array, Params]:
        """dx = dy m / (1 - rate)."""
        return (dy if cache is None else dy * cache), {}

    def skeleton(self) -> Layer:
        """Leave out the rate, which the state holds."""
        return Dropout(0.0)


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Normalise each neuron over the batch, then scale and shift: y = gamma (x - mean) / deviation + beta.

    While training, mean and variance are those of the batch, and deviation = sqrt(variance + eps). Prediction
    uses moving averages instead, which training updates: moving = momentum * moving + (1 - momentum) * batch.
    Rows count in proportion to their weight: a row of weight 0 changes nothing.

    Ioffe and Szegedy, "Batch Normalization", 2015.

    Parameters
    ----------
    momentum: the share of the old value in a moving average, in [0, 1). Default 0.9.
    eps: added to the variance. Default 1e-5.

    >>> layer = BatchNorm()
    >>> params, state, _ = layer.init(keys.key(0), (1,))
    >>> y, _, _ = layer.forward(params, state, jnp.array([[1.0], [3.0]]), train=True)
    >>> [round(v, 3) for v in y[:, 0].tolist()]
    [-1.0, 1.0]
    """

    momentum: float = 0.9
    eps: float = 1e-5

    def __post_init__(self) -> None:
        check_range("BatchNorm's momentum", self.momentum, 0, 1)
        check_range("BatchNorm's eps", self.eps, 0, math.inf, open_low=True)

    def init(self, key: Key, in_shape: Shape) -> tuple[Params, State, Shape]:
        """gamma = 1, beta = 0; moving mean 0, moving variance 1."""
        dtype = default_float()
        params = {"gamma": np.ones(in_shape, dtype), "beta": np.zeros(in_shape, dtype)}
        state = {"mean": np.zeros(in_shape, dtype), "variance": np.ones(in_shape, dtype)}
        return params, state, in_shape

    def shapes(self, in_shape: Shape) -> Shapes:
        """All four arrays have the shape of a row."""
        params, state = ("gamma", "beta"), ("mean", "variance")
        return Shapes(dict.fromkeys(params, in_shape), dict.fromkeys(state, in_shape), in_shape)

    def forward(
        self,
        params: Params,
        state: State,
        x: Array,
        *,
        key: Key | None = None,
        train: bool = False,
        weight: Array | None = None,
    ) -> tuple[Array, State, Cache]:
        """x̂ = (x - mean) / sqrt(variance + eps); y = gamma x̂ + beta."""
        mean, variance, shares = state["mean"], state["variance"], None
        if train:
            shares = row_shares(x, weight)
            mean = jnp.tensordot(shares, x, 1)
            variance = jnp.tensordot(shares, (x - mean) ** 2, 1)
            state = {
                "mean": self.momentum * state["mean"] + (1 - self.momentum) * mean,
                "variance": self.momentum * state["variance"] + (1 - self.momentum) * variance,
            }
        scale = 1 / jnp.sqrt(variance + self.eps)
        x_hat = (x - mean) * scale
        return params["gamma"] * x_hat + params["beta"], state, (x_hat, scale, shares)

    def backward(self, params: Params, cache: Cache, dy: Array) -> tuple[Array, Params]:
        """dx̂ = dy gamma; dx = scale (dx̂ - s (Σ dx̂ + x̂ Σ dx̂ x̂)), with s a row's share and Σ over rows.

        At prediction, mean and deviation are constants: dx = scale dx̂.
        """
        x_hat, scale, shares = cache
        dbeta, dgamma = dy.sum(axis=0), (dy * x_hat).sum(axis=0)
        dx = dy * (params["gamma"] * scale)
        if shares is not None:
            through_statistics = (dbeta + x_hat * dgamma) * (params["gamma"] * scale)
            dx = dx - shares.reshape(-1, *[1] * (dy.ndim - 1)) * through_statistics
        return dx, {"gamma": dgamma, "beta": dbeta}


@dataclass(frozen=True)
class Flatten(Layer):
    """Flatten each picture into one vector: (n, h, w, c) becomes (n, h·w·c).

    >>> Flatten().forward({}, {}, jnp.zeros((5, 8, 8)))[0].shape
    (5, 64)
    """

    def init(self, key: Key, in_shape: Shape) -> tuple[Params, State, Shape]:
        """Return the shape of a vector with as many numbers as the picture."""
        return {}, {}, (math.prod(in_shape),)

    def forward(
        self, params: Params, state: State, x: Array, **context: Unpack[Context]
    ) -> tuple[Array, State, Cache]:
        """Reshape to (n, numbers)."""
        return x.reshape(x.shape[0], math.prod(x.shape[1:])), state, x.shape

    def backward(self, params: Params, cache: Cache, dy: Array) -> tuple[Array, Params]:
        """Reshape back."""
        return dy.reshape(cache), {}


@dataclass(frozen=True)
class Rescale(Layer):
    """Bring inputs to a common scale: y = scale x + shift, with fixed scale and shift.

    Pictures can therefore stay bytes in memory: they become floats here, one batch at a time.

    >>> Rescale(1 / 255, shift=-0.5).forward({}, {}, jnp.array([[0.0, 255.0]]))[0].tolist()
    [[-0.5, 0.5]]
    """

    scale: float
    shift: float = 0.0

    def __post_init__(self) -> None:
        check_range("Rescale's scale", self.scale, -math.inf, math.inf, open_low=True)
        check_range("Rescale's shift", self.shift, -math.inf, math.inf, open_low=True)

    def forward(
        self, params: Params, state: State, x: Array, **context: Unpack[Context]
    ) -> tuple[Array, State, Cache]:
        """y = scale x + shift."""
        return x * self.scale + self.shift, state, None

    def backward(self, params: Params, cache: Cache, dy: Array) -> tuple[Array, Params]:
        """dx = scale dy."""
        return dy * self.scale, {}


LAYERS: dict[str, type[Layer]] = {
    "Dense": Dense,
    "Dropout": Dropout,
    "BatchNorm": BatchNorm,
    "Flatten": Flatten,
    "Rescale": Rescale,
}
