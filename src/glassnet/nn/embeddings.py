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
from glassnet._checks import check_count, check_range
from glassnet._precision import default_float
from glassnet._types import Array, Cache, Key, Params, Shape, State
from glassnet.errors import ConfigurationError
from glassnet.nn.layers import Context, Layer, Trait
from glassnet.nn.shapes import Shapes


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

    def shapes(self, in_shape: Shape) -> Shapes:
        """s has the shape of a row."""
        return Shapes({"s": in_shape}, {}, in_shape)

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
    """Waves of the first `columns` inputs, mixed, behind all inputs: y = [x, W cos(2π (f x + φ)) + b].

    A number becomes features that differ from place to place, so that a network can bend a column's effect
    often. Frequencies f, phases φ, mixtures W and b are learned; no two columns share any.
    Gorishniy, Rubachev and Babenko, "On Embeddings for Numerical Features in Tabular Deep Learning", 2022;
    linear mixtures beside the plain input: Holzmüller et al., "Better by Default", 2024.

    Parameters
    ----------
    columns: how many inputs, from the first, get waves.
    waves: waves a column. Default 16.
    outputs: mixtures of its waves a column. Default 3.
    slowest, fastest: between these lie the frequencies at the start, in waves per unit of x, as many in each
        octave: a column may be bent gently or cut finely, and which of them is learned. Default 0.1 and 4.

    Raises
    ------
    ConfigurationError: there are fewer inputs than `columns`, or the input is not one vector a row.

    >>> layer = Periodic(columns=2)
    >>> layer.init(keys.key(0), (5,))[2]  # 5 inputs, and 3 more for each of the first two
    (11,)
    """

    columns: int
    waves: int = 16
    outputs: int = 3
    slowest: float = 0.1
    fastest: float = 4.0

    def __post_init__(self) -> None:
        for name in ("columns", "waves", "outputs"):
            check_count(name, getattr(self, name))
        check_range("Periodic's slowest", self.slowest, 0, math.inf, open_low=True)
        check_range("Periodic's fastest", self.fastest, self.slowest, math.inf)

    def init(self, key: Key, in_shape: Shape) -> tuple[Params, State, Shape]:
        """ln f evenly between its ends, φ evenly from all of a turn, W and b evenly from ±1 / √waves."""
        self._check_inputs(in_shape)
        shape, reach = (self.columns, self.waves), 1 / math.sqrt(self.waves)

        def even(number: int, shape: Shape, reach: float) -> np.ndarray:
            drawn = keys.uniform(keys.fold_in(key, number), shape)
            return np.asarray((drawn - 0.5) * 2 * reach, default_float())

        share = keys.uniform(keys.fold_in(key, 0), shape)
        f = self.slowest * (self.fastest / self.slowest) ** share
        params = {
            "f": np.asarray(f, default_float()),
            "phase": even(1, shape, 0.5),
            "W": even(2, (self.columns, self.outputs, self.waves), reach),
            "b": even(3, (self.columns, self.outputs), reach),
        }
        return params, {}, (in_shape[0] + self.columns * self.outputs,)

    def shapes(self, in_shape: Shape) -> Shapes:
        """f and φ (columns, waves), W (columns, outputs, waves), b (columns, outputs)."""
        self._check_inputs(in_shape)
        waves, outputs = (self.columns, self.waves), (self.columns, self.outputs)
        params = {"f": waves, "phase": waves, "W": (*outputs, self.waves), "b": outputs}
        return Shapes(params, {}, (in_shape[0] + math.prod(outputs),))

    def _check_inputs(self, in_shape: Shape) -> None:
        if len(in_shape) != 1 or in_shape[0] < self.columns:
            raise ConfigurationError(
                f"Periodic makes waves of {self.columns} columns, but each row has shape {in_shape}:"
                " give columns= at most the number of inputs."
            )

    def forward(
        self, params: Params, state: State, x: Array, **context: Unpack[Context]
    ) -> tuple[Array, State, Cache]:
        """y = [x, W cos(2π (f x + φ)) + b], column after column."""
        # columns first: then each column's product stands in one piece of memory
        first = x[:, : self.columns].T[:, :, None]
        turns = first * params["f"][:, None] + params["phase"][:, None]
        waves = cosine_of_turns(turns)
        mixed = jnp.einsum("cnw,cow->cno", waves, params["W"]) + params["b"][:, None]
        beside = mixed.transpose(1, 0, 2).reshape(x.shape[0], -1)
        return jnp.concatenate([x, beside], axis=1), state, (first, turns, waves)

    def backward(self, params: Params, cache: Cache, dy: Array) -> tuple[Array, Params]:
        """dW = Σ dm waves, db = Σ dm, m the mixtures; dt = -2π sin(2π t) Wᵀ dm, t = f x + φ; Σ over rows.

        df = Σ x dt, dφ = Σ dt; dx = dy of the plain input, plus f dt.
        """
        first, turns, waves = cache
        inputs = dy.shape[1] - self.columns * self.outputs
        dm = dy[:, inputs:].reshape(-1, self.columns, self.outputs).transpose(1, 0, 2)
        # written out: so few outputs are no product worth the name (measured: a third of the time)
        dwaves = sum(
            dm[:, :, k, None] * params["W"][:, None, k] for k in range(1, self.outputs)
        ) + (dm[:, :, 0, None] * params["W"][:, None, 0])
        dt = -2 * math.pi * cosine_of_turns(turns - 0.25) * dwaves  # cos(a - π/2) = sin(a)
        dx = (dt * params["f"][:, None]).sum(axis=2).T
        dparams = {
            "f": (dt * first).sum(axis=1),
            "phase": dt.sum(axis=1),
            "W": jnp.einsum("cno,cnw->cow", dm, waves),
            "b": dm.sum(axis=1),
        }
        return dy[:, :inputs].at[:, : self.columns].add(dx), dparams


def cosine_of_turns(turns: Array) -> Array:
    """Return cos(2π t) of whole turns t; in float32 by a series, a fifteenth of the time of the exact one.

    cos(2π t) = sin(v), v = 2π (1/4 - |t - round(t)|) within ±π/2, where six terms of sin's series are exact
    to 2e-7.

    >>> cosine_of_turns(jnp.array([0.0, 0.25, 10.5])).round(6).tolist()
    [1.0, 0.0, -1.0]
    """
    v = 2 * math.pi * (0.25 - jnp.abs(turns - jnp.round(turns)))
    if turns.dtype == np.float64:
        return jnp.sin(v)
    q, series = v * v, jnp.zeros_like(v)
    for k in range(11, 1, -2):
        series = (series + 1) * -q / (k * (k - 1))
    return v * (1 + series)


@dataclass(frozen=True)
class Embedding(Layer):
    """Look codes up in a table that is learned: y = [x, E₁[code₁], E₂[code₂], ...], x the inputs before them.

    The LAST inputs are the codes, whole numbers from 0; each gives way to `size` numbers of its place. A
    category of thousands of levels, which would need as many inputs, becomes a few.
    Guo and Berkhahn, "Entity Embeddings of Categorical Variables", 2016.

    Parameters
    ----------
    places: for each code how many values it has, in the order of the inputs.
    size: numbers for each code. Default 8.

    Raises
    ------
    ConfigurationError: there are fewer inputs than codes, or the input is not one vector a row.

    >>> layer = Embedding(places=(10,), size=2)
    >>> params, _, out_shape = layer.init(keys.key(0), (3,))
    >>> params["E"].shape, out_shape
    ((10, 2), (4,))
    """

    places: tuple[int, ...]
    size: int = 8

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", tuple(self.places))
        for count in self.places:
            check_count("each number of places", count)
        check_count("size", self.size)

    def init(self, key: Key, in_shape: Shape) -> tuple[Params, State, Shape]:
        """E from a normal distribution of deviation 0.1: what is not learned yet says little."""
        self._check_inputs(in_shape)
        table = keys.normal(key, (sum(self.places), self.size)) * 0.1
        return {"E": np.asarray(table, default_float())}, {}, self.shapes(in_shape).out

    def shapes(self, in_shape: Shape) -> Shapes:
        """E (values of all codes, size)."""
        self._check_inputs(in_shape)
        outputs = in_shape[0] - len(self.places) + len(self.places) * self.size
        return Shapes({"E": (sum(self.places), self.size)}, {}, (outputs,))

    def _check_inputs(self, in_shape: Shape) -> None:
        if len(in_shape) != 1 or in_shape[0] < len(self.places):
            raise ConfigurationError(
                f"Embedding looks up {len(self.places)} codes, but each row has shape {in_shape}:"
                " give at most as many numbers of places as there are inputs."
            )

    def forward(
        self, params: Params, state: State, x: Array, **context: Unpack[Context]
    ) -> tuple[Array, State, Cache]:
        """y = [x, E₁[code₁], ...]; the tables stand one below the other. A code too large is its last."""
        plain = x.shape[1] - len(self.places)
        most = np.array(self.places)
        codes = jnp.clip(x[:, plain:].astype(jnp.int32), 0, most - 1) + (np.cumsum(most) - most)
        found = params["E"][codes].reshape(x.shape[0], -1)
        return jnp.concatenate([x[:, :plain], found], axis=1), state, codes

    def backward(self, params: Params, cache: Cache, dy: Array) -> tuple[Array, Params]:
        """dE[code] = Σ dy over the rows that have the code; codes are no numbers to have a gradient: 0."""
        codes = cache
        plain = dy.shape[1] - len(self.places) * self.size
        each = dy[:, plain:].reshape(*codes.shape, self.size)
        dE = jnp.zeros_like(params["E"]).at[codes].add(each)
        dx = jnp.concatenate([dy[:, :plain], jnp.zeros(codes.shape, dy.dtype)], axis=1)
        return dx, {"E": dE}

    def traits(self) -> Mapping[str, Any]:
        """What few rows ask for decays."""
        return {"E": Trait(decay=True)}


EMBEDDINGS: dict[str, type[Layer]] = {
    "Scale": Scale,
    "Periodic": Periodic,
    "Embedding": Embedding,
}
