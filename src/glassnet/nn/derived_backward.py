"""Derive the backward pass of a layer that has only a forward pass, by `jax.vjp`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import jax

from glassnet._types import Array, Cache, Params, State

if TYPE_CHECKING:
    from glassnet.nn.layers import Context, Layer


def derive_backward(cls: type[Layer]) -> None:
    """Add a `backward` to a layer class, and wrap its `forward` so that the cache is the `vjp` function."""
    original = cls.forward

    def forward(
        self: Layer, params: Params, state: State, x: Array, **context: Unpack[Context]
    ) -> tuple[Array, State, Cache]:
        def run(params: Params, x: Array) -> tuple[Array, State]:
            y, new_state, _ = original(self, params, state, x, **context)
            return y, new_state

        y, vjp, new_state = jax.vjp(run, params, x, has_aux=True)
        return y, new_state, vjp

    def backward(self: Layer, params: Params, cache: Cache, dy: Array) -> tuple[Array, Params]:
        del self, params
        dparams, dx = cache(dy)
        return dx, dparams

    forward.__doc__ = original.__doc__
    backward.__doc__ = "Return (dx, dparams), by jax.vjp of `forward`."
    cls.forward, cls.backward = forward, backward  # type: ignore[method-assign]  # on purpose
