"""Define layers that augment the data by varying the inputs in training.

At prediction they change nothing. `AUGMENTATIONS` is part of the table of layers.
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
    """Shift each picture by up to `pixels` pixels in each direction, differently in each training step.

    y[i, j] = x[clip(i + u, 0, h - 1), clip(j + v, 0, w - 1)], with u and v drawn for each picture, uniformly
    from -pixels to pixels. The gap at an edge is filled with copies of that edge. At prediction y = x.
    A shirt moved by a pixel is still a shirt: the layer teaches the network an invariance that no weight
    decay can. Small pictures lose too much in a shift: results on 8 x 8 digits get worse.

    Simard, Steinkraus and Platt, "Best Practices for Convolutional Neural Networks Applied to Visual
    Document Analysis", 2003.

    Parameters
    ----------
    pixels: the largest shift in each direction. Default 1.

    Raises
    ------
    ConfigurationError: pixels is not a whole number of at least 1; the rows are not pictures, of shape (h, w)
        or (h, w, c); or there is no key while training.

    >>> y, _, _ = RandomShift().forward({}, {}, jnp.eye(3)[None], key=keys.key(0), train=True)
    >>> y.shape
    (1, 3, 3)
    """

    pixels: int = 1
    random = True

    def __post_init__(self) -> None:
        check_count("pixels", self.pixels)

    def init(self, key: Key, in_shape: Shape) -> tuple[Params, State, Shape]:
        """Check that the rows are pictures; their shape stays the same."""
        if len(in_shape) not in (2, 3):
            raise ConfigurationError(
                f"RandomShift needs pictures, (h, w) or (h, w, c) per row, but each row has shape {in_shape}."
                " Put it before gn.Flatten(), or leave it out if the rows are not pictures."
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
        shifts = 2 * self.pixels + 1
        drawn = keys.bits(keys.needed(key, "RandomShift"), (n, 2)) % shifts
        u, v = drawn.astype(jnp.int32).T - self.pixels
        rows = jnp.clip(jnp.arange(h, dtype=u.dtype) + u[:, None], 0, h - 1)
        columns = jnp.clip(jnp.arange(w, dtype=v.dtype) + v[:, None], 0, w - 1)
        sources = jnp.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]
        return x[sources], state, sources

    def backward(self, params: Params, cache: Cache, dy: Array) -> tuple[Array, Params]:
        """dx[i, j] = Σ dy over the pixels that copied x[i, j]: one inside; at the edges several, or none."""
        return (dy if cache is None else jnp.zeros_like(dy).at[cache].add(dy)), {}


AUGMENTATIONS: dict[str, type[Layer]] = {"RandomShift": RandomShift}
