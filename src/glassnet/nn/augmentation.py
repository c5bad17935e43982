"""Augmentation: layers that change the inputs while training, so that the network sees more than was given.

At prediction they let everything pass as it is. A table of them is a part of the table of layers.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp

from glassnet import keys
from glassnet._checks import check_count
from glassnet._types import Array, Cache, Key, Params, Shape, State
from glassnet.errors import ConfigurationError
from glassnet.nn.layers import Layer


@dataclass(frozen=True)
class RandomShift(Layer):
    """Move each picture by up to `pixels` pixels, up or down, left or right, anew in each training step.

    y[i, j] = x[clip(i + u, 0, h - 1), clip(j + v, 0, w - 1)]; u and v are drawn evenly from -pixels to
    pixels, each picture its own. What comes in at an edge repeats that edge. At prediction y = x.
    A picture of a shirt is one of a shirt still when it is moved by a pixel: so the network is told what
    no weight decay can tell it. Pictures of a few pixels say less for each move: 8 x 8 digits get worse.

    Simard, Steinkraus and Platt, "Best Practices for Convolutional Neural Networks Applied to Visual
    Document Analysis", 2003.

    Parameters
    ----------
    pixels: the furthest that a picture is moved, in each direction. Default 1.

    Raises
    ------
    ConfigurationError: pixels is no whole number of at least 1; rows are no pictures, (h, w) or (h, w, c); or
        training is given no key.

    >>> y, _, _ = RandomShift().forward({}, {}, jnp.eye(3)[None], key=keys.key(0), train=True)
    >>> y.shape
    (1, 3, 3)
    """

    pixels: int = 1
    random = True

    def __post_init__(self) -> None:
        check_count("pixels", self.pixels)

    def init(self, key: Key, in_shape: Shape) -> tuple[Params, State, Shape]:
        """Pictures of the same shape."""
        if len(in_shape) not in (2, 3):
            raise ConfigurationError(
                f"RandomShift needs pictures, (h, w) or (h, w, c) a row, but each row has shape {in_shape}."
                " Put it before gn.Flatten(), or leave it out where the rows are no pictures."
            )
        return {}, {}, in_shape

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
        """y[i, j] = x[i + u, j + v] while training, y = x otherwise."""
        if not train:
            return x, state, None
        n, h, w = x.shape[:3]
        ways = 2 * self.pixels + 1
        drawn = keys.bits(keys.needed(key, "RandomShift"), (n, 2)) % ways
        u, v = drawn.astype(jnp.int32).T - self.pixels
        rows = jnp.clip(jnp.arange(h) + u[:, None], 0, h - 1)
        columns = jnp.clip(jnp.arange(w) + v[:, None], 0, w - 1)
        taken = jnp.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]
        return x[taken], state, taken

    def backward(self, params: Params, cache: Cache, dy: Array) -> tuple[Array, Params]:
        """dx[i, j] = Σ dy over the places that took x[i, j]: one, at the edges several or none."""
        return (dy if cache is None else jnp.zeros_like(dy).at[cache].add(dy)), {}


AUGMENTATIONS: dict[str, type[Layer]] = {"RandomShift": RandomShift}
