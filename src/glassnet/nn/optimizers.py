"""Define the optimizers, from SGD to AdamW, which turn gradients into steps.

The Optimizer contract
----------------------
A NamedTuple whose hyperparameters are leaves of a pytree: changing a learning rate compiles nothing,
and `jax.vmap` can sweep it. It has two methods, those of optax:

    init(params)                 -> state
    update(grads, state, params) -> (updates, state)        then params + updates

so any optax transformation can be used instead. `learning_rate` is a number or a schedule.
`decay`, a tree like params of 0 and 1, says which parameters decoupled decay applies to (default: all).
`ok` says whether the gradient is finite (default: true): where it is not, the state stays as it was.
g is the gradient, w the parameter, η the learning rate.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from glassnet._precision import default_float
from glassnet._types import Array, Params
from glassnet.nn.schedules import rate_at

Rate: TypeAlias = Any  # a number, an array (several numbers: a sweep), or a schedule


class SGDState(NamedTuple):
    """The number of steps taken."""

    step: Array


class SGD(NamedTuple):
    """Gradient descent: w ← w - η g; stochastic on batches, plain with batch_size=None (all rows at once).

    >>> optimizer = SGD(0.1)
    >>> updates, _ = optimizer.update(jnp.array([2.0]), optimizer.init(jnp.array([1.0])))
    >>> updates.tolist() == [-jnp.float32(0.2)]
    True
    """

    learning_rate: Rate = 0.01

    def init(self, params: Params) -> SGDState:
        """Start counting steps."""
        del params
        return SGDState(_zero())

    def update(
        self,
        grads: Params,
        state: SGDState,
        params: Params = None,
        *,
        decay: Params = None,
        ok: Any = None,
    ) -> tuple[Params, SGDState]:
        """Return -η g."""
        rate = rate_at(self.learning_rate, state.step)
        return jax.tree.map(lambda g: -rate * g, grads), SGDState(_counted(ok, state.step))


class MomentumState(NamedTuple):
    """Steps taken, and the running sum of gradients."""

    step: Array
    velocity: Params


class Momentum(NamedTuple):
    """Gradient descent with momentum: v ← μ v + g, w ← w - η v; Nesterov's: w ← w - η (g + μ v).

    Polyak, 1964; Sutskever et al., "On the importance of initialization and momentum", 2013.
    """

    learning_rate: Rate = 0.01
    momentum: Any = 0.9
    nesterov: bool = False

    def init(self, params: Params) -> MomentumState:
        """v = 0."""
        return MomentumState(_zero(), _zeros_like(params))

    def update(
        self,
        grads: Params,
        state: MomentumState,
        params: Params = None,
        *,
        decay: Params = None,
        ok: Any = None,
    ) -> tuple[Params, MomentumState]:
        """Return -η v, or -η (g + μ v) with Nesterov."""
        rate = rate_at(self.learning_rate, state.step)
        velocity = jax.tree.map(lambda v, g: self.momentum * v + g, state.velocity, grads)
        velocity = keep_if_finite(ok, velocity, state.velocity)
        ahead = jnp.asarray(self.nesterov)
        updates = jax.tree.map(
            lambda v, g: -rate * jnp.where(ahead, g + self.momentum * v, v), velocity, grads
        )
        return updates, MomentumState(_counted(ok, state.step), velocity)


class RMSpropState(NamedTuple):
    """Steps taken, and the moving average of squared gradients."""

    step: Array
    square: Params


class RMSprop(NamedTuple):
    """Scale each weight's step by its recent gradients: s ← ρ s + (1 - ρ) g², w ← w - η g / (√s + ε).

    Tieleman and Hinton, Coursera lecture 6.5, 2012.
    """

    learning_rate: Rate = 1e-3
    rho: Any = 0.9
    eps: Any = 1e-8

    def init(self, params: Params) -> RMSpropState:
        """s = 0."""
        return RMSpropState(_zero(), _zeros_like(params))

    def update(
        self,
        grads: Params,
        state: RMSpropState,
        params: Params = None,
        *,
        decay: Params = None,
        ok: Any = None,
    ) -> tuple[Params, RMSpropState]:
        """Return -η g / (√s + ε)."""
        rate = rate_at(self.learning_rate, state.step)
        square = jax.tree.map(
            lambda s, g: self.rho * s + (1 - self.rho) * g * g, state.square, grads
        )
        square = keep_if_finite(ok, square, state.square)
        updates = jax.tree.map(lambda s, g: -rate * g / (jnp.sqrt(s) + self.eps), square, grads)
        return updates, RMSpropState(_counted(ok, state.step), square)


class AdamState(NamedTuple):
    """Steps taken, and the moving averages of gradients and of squared gradients."""

    step: Array
    m: Params
    v: Params


class Adam(NamedTuple):
    """Momentum, with a scale for each weight, both corrected for their bias towards 0.

    m ← β₁ m + (1 - β₁) g;  v ← β₂ v + (1 - β₂) g²;  w ← w - η m̂ / (√v̂ + ε),
    m̂ = m / (1 - β₁ᵗ), v̂ = v / (1 - β₂ᵗ), where t is the number of the step, from 1.

    Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015.
    """

    learning_rate: Rate = 1e-3
    beta1: Any = 0.9
    beta2: Any = 0.999
    eps: Any = 1e-8

    def init(self, params: Params) -> AdamState:
        """m = v = 0."""
        zeros = _zeros_like(params)
        return AdamState(_zero(), zeros, zeros)

    def update(
        self,
        grads: Params,
        state: AdamState,
        params: Params = None,
        *,
        decay: Params = None,
        ok: Any = None,
    ) -> tuple[Params, AdamState]:
        """Return -η m̂ / (√v̂ + ε)."""
        rate = rate_at(self.learning_rate, state.step)
        m = jax.tree.map(lambda m, g: self.beta1 * m + (1 - self.beta1) * g, state.m, grads)
        v = jax.tree.map(lambda v, g: self.beta2 * v + (1 - self.beta2) * g * g, state.v, grads)
        m, v = keep_if_finite(ok, (m, v), (state.m, state.v))
        t = (state.step + 1).astype(default_float())
        # factors, because a division for each parameter costs more than the rest of the update
        unbias_m, unbias_v = 1 / (1 - jnp.power(self.beta1, t)), 1 / (1 - jnp.power(self.beta2, t))
        step = -rate * unbias_m
        updates = jax.tree.map(lambda m, v: step * m / (jnp.sqrt(unbias_v * v) + self.eps), m, v)
        return updates, AdamState(_counted(ok, state.step), m, v)


class AdamW(NamedTuple):
    """Adam with decoupled weight decay: w ← w - η (m̂ / (√v̂ + ε) + λ w).

    Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.
    """

    learning_rate: Rate = 1e-3
    weight_decay: Any = 0.01
    beta1: Any = 0.9
    beta2: Any = 0.999
    eps: Any = 1e-8

    def init(self, params: Params) -> AdamState:
        """m = v = 0."""
        return Adam().init(params)

    def update(
        self,
        grads: Params,
        state: AdamState,
        params: Params = None,
        *,
        decay: Params = None,
        ok: Any = None,
    ) -> tuple[Params, AdamState]:
        """Return -η (m̂ / (√v̂ + ε) + λ w), with λ w only where `decay` is 1."""
        shrink = rate_at(self.learning_rate, state.step) * self.weight_decay
        adam = Adam(self.learning_rate, self.beta1, self.beta2, self.eps)
        updates, state = adam.update(grads, state, ok=ok)
        if decay is None:
            decay = jax.tree.map(lambda _: 1.0, params)
        updates = jax.tree.map(lambda u, w, d: u - shrink * d * w, updates, params, decay)
        return updates, state


def keep_if_finite(ok: Any, new: Any, old: Any) -> Any:
    """Return the new state if the gradient is finite, else the old one.

    Without the barrier, XLA recomputes the updates from the old state, and has to copy that state before it
    is overwritten (measured: an eighth to a sixth of the time of a large step).
    """
    if ok is None:
        return new
    kept = jax.tree.map(partial(jnp.where, ok), new, old)
    return jax.lax.optimization_barrier(kept)  # type: ignore[no-untyped-call]  # JAX's own is untyped


def _counted(ok: Any, step: Array) -> Array:
    """Return the number of steps taken, including this one unless its gradient is not finite."""
    return step + 1 if ok is None else step + jnp.where(ok, 1, 0)


def _zero() -> Any:
    return np.zeros((), np.int32)


def _zeros_like(params: Params) -> Any:
    """Return NumPy zeros, because JAX would compile a small program for each shape of its own."""
    return jax.tree.map(lambda p: np.zeros(p.shape, p.dtype), params)


def global_norm(tree: Params) -> Array:
    """Return the root of the sum of all squares in a tree.

    >>> float(global_norm({"W": jnp.array([3.0]), "b": jnp.array([4.0])}))
    5.0
    """
    return jnp.sqrt(sum((jnp.sum(x * x) for x in jax.tree.leaves(tree)), jnp.zeros(())))


OPTIMIZERS: dict[str, Any] = {
    "sgd": SGD(),
    "momentum": Momentum(),
    "nesterov": Momentum(nesterov=True),
    "rmsprop": RMSprop(),
    "adam": Adam(),
    "adamw": AdamW(),
}
