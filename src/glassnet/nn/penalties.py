"""Add L1 and L2 penalties of the weights to the loss and to its gradient.

    penalty = l1 · sum |W| + l2 / 2 · sum W²        d penalty / dW = l1 · sign(W) + l2 · W

Only parameters with the trait `decay` are penalised: weights are; biases, gamma and beta are not.
For weight decay that is decoupled from the gradient, see AdamW in optimizers.py.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from glassnet._types import Array, Params
from glassnet.nn.layers import Trait


class Penalty(NamedTuple):
    """The strengths of the L1 and L2 penalties, at least 0. L1 makes weights sparse, L2 keeps them small.

    >>> traits = {"W": Trait(decay=True), "b": Trait()}
    >>> params = {"W": jnp.array([[2.0, -1.0]]), "b": jnp.array([5.0])}
    >>> float(Penalty(l1=0.5, l2=2.0).value(params, traits))
    6.5
    >>> Penalty(l1=0.5, l2=2.0).gradient(params, traits)["W"].tolist()
    [[4.5, -2.5]]
    """

    l1: float | Array = 0.0
    l2: float | Array = 0.0

    def value(self, params: Params, traits: Any) -> Array:
        """Return l1 · sum |W| + l2 / 2 · sum W²."""

        def term(w: Array, trait: Trait) -> Array:
            if not trait.decay:
                return jnp.zeros((), w.dtype)
            return self.l1 * jnp.sum(jnp.abs(w)) + self.l2 / 2 * jnp.sum(w * w)

        leaves = jax.tree.leaves(jax.tree.map(term, params, traits))
        return jnp.sum(jnp.stack(leaves)) if leaves else jnp.zeros(())

    def gradient(self, params: Params, traits: Any) -> Params:
        """Return l1 · sign(W) + l2 · W, and 0 for parameters that are not penalised."""

        def derivative(w: Array, trait: Trait) -> Array:
            return self.l1 * jnp.sign(w) + self.l2 * w if trait.decay else jnp.zeros_like(w)

        return jax.tree.map(derivative, params, traits)
