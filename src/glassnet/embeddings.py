"""Embeddings: what a table's columns become before the first layer of neurons.

Each stands in front of a network. Those of numbers put their new features BEHIND the inputs they were
given, which stay in their places, so that they can follow one another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Unpack

import jax.numpy as jnp
import numpy as np

from glassnet import keys
from glassnet._resolve import check_count, check_range
from glassnet._types import Array, Cache, Key, Params, Shape, State, default_float
from glassnet.errors import ConfigurationError
from glassnet.layers import Context, Layer, Trait


@dataclass(frozen=True)
class Scale(Layer):
    """Weigh each input by a number that is learned: y = s x, s = 1 at the start.

    A network can turn an input down that says nothing. s learns `factor` times as fast as weights do.
    Holzmüller et al., "Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on Tabular Data", 2024.

    Parameters
    ----------
    factor: on the learning rate of s, above 0. Default 6.

    >>> params, _, _ = Scale().init(keys.key(0), (3,))
    >>> params["s"].tolist()
    [1.0, 1.0, 1.0]
    """

    factor: float = 6.0

    def __post_init__(self) -> None:
        check_range("Scale's factor", self.factor, 0, math.inf, open_low=True)

    def init(self, key: Key, in_shape: Shape) -> tuple[Params, State, Shape]:
        """s = 1."""
        return {"s": np.ones(in_shape, default_float())}, {}, in_shape

    def forward(
        self, params: Params, state: State, x: Array, **context: Unpack[Context]
    ) -> tuple[Array, State, Cache]:
        """y = s x."""
        return params["s"] * x, state, x

    def backward(self, params: Params, cache: Cache, dy: Array) -> tuple[Array, Params]:
        """dx = s dy; ds = the sum of x dy over the rows."""
        return params["s"] * dy, {"s": (dy * cache).sum(axis=0)}

    def traits(self) -> Mapping[str, Any]:
        """s learns faster, and does not decay."""
        return {"s": Trait(factor=self.factor)}


@dataclass(frozen=True)
class Periodic(Layer):
    """Waves of the first `columns` inputs, behind all inputs: y = [x, cos(2π f x + φ)].

    A number becomes many features that differ from place to place, so that a network can bend a column's
    effect as often as a tree can. Frequencies f and phases φ are learned.
    Gorishniy, Rubachev and Babenko, "On Embeddings for Numerical Features in Tabular Deep Learning", 2022.

    Parameters
    ----------
    columns: how many inputs, from the first, get waves.
    waves: waves a column. Default 16.
    frequency: the deviation of the frequencies at the start, in waves per unit of x. Default 0.25.

    Raises
    ------
    ConfigurationError: there are fewer inputs than `columns`, or the input is not one vector a row.

    >>> layer = Periodic(columns=2, waves=3)
    >>> layer.init(keys.key(0), (5,))[2]
    (11,)
    """

    columns: int
    waves: int = 16
    frequency: float = 0.25

    def __post_init__(self) -> None:
        check_count("columns", self.columns)
        check_count("waves", self.waves)
        check_range("Periodic's frequency", self.frequency, 0, math.inf, open_low=True)

    def init(self, key: Key, in_shape: Shape) -> tuple[Params, State, Shape]:
        """f from a normal distribution, φ evenly from [-π, π)."""
        if len(in_shape) != 1 or in_shape[0] < self.columns:
            raise ConfigurationError(
                f"Periodic makes waves of {self.columns} columns, but each row has shape {in_shape}:"
                " give columns= at most the number of inputs."
            )
        shape, dtype = (self.columns, self.waves), default_float()
        params = {
            "f": np.asarray(keys.normal(keys.fold_in(key, 0), shape) * self.frequency, dtype),
            "phase": np.asarray(
                (keys.uniform(keys.fold_in(key, 1), shape) - 0.5) * 2 * math.pi, dtype
            ),
        }
        return params, {}, (in_shape[0] + self.columns * self.waves,)

    def forward(
        self, params: Params, state: State, x: Array, **context: Unpack[Context]
    ) -> tuple[Array, State, Cache]:
        """y = [x, cos(2π f x + φ)], column after column."""
        first = x[:, : self.columns]
        angle = 2 * math.pi * params["f"] * first[:, :, None] + params["phase"]
        waves = jnp.cos(angle).reshape(x.shape[0], -1)
        return jnp.concatenate([x, waves], axis=1), state, (first, angle)

    def backward(self, params: Params, cache: Cache, dy: Array) -> tuple[Array, Params]:
        """dangle = -sin(angle) dy; df = Σ 2π x dangle, dφ = Σ dangle over the rows; dx = 2π f dangle."""
        first, angle = cache
        inputs = dy.shape[1] - self.columns * self.waves
        dangle = -jnp.sin(angle) * dy[:, inputs:].reshape(angle.shape)
        dx = 2 * math.pi * (params["f"] * dangle).sum(axis=2)
        dx = dy[:, :inputs].at[:, : self.columns].add(dx)
        df = 2 * math.pi * (first[:, :, None] * dangle).sum(axis=0)
        return dx, {"f": df, "phase": dangle.sum(axis=0)}


EMBEDDINGS: dict[str, type[Layer]] = {
    "Scale": Scale,
    "Periodic": Periodic,
}
