"""Define layers that turn a table's columns into better inputs for the first layer of neurons.

They come first in a network. `Periodic` appends its features BEHIND the inputs, which keep their
positions, so that embeddings can follow one another.
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
    """Multiply each input by a learned factor: y = s x, with s = 1 at the start.

    So the network can turn down uninformative inputs. s learns `factor` times as fast as the weights.
    Holzmüller et al., "Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on Tabular Data", 2024.

    Parameters
    ----------
    factor: multiplies the learning rate of s, above 0. Default 6.

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
        """Let s learn faster, and not decay."""
        return {"s": Trait(factor=self.factor)}


@dataclass(frozen=True)
class Periodic(Layer):
    """Append mixed waves of the first `columns` inputs to all inputs: y = [x, W cos(2π (f x + φ)) + b].

    Waves rise and fall many times over an input's range, so the network can fit effects that do so too.
    Frequencies f, phases φ, mixtures W and b are learned, separately for each column.
    Gorishniy, Rubachev and Babenko, "On Embeddings for Numerical Features in Tabular Deep Learning", 2022;
    linear mixtures beside the plain input: Holzmüller et al., "Better by Default", 2024.

    Parameters
    ----------
    columns: how many inputs, counted from the first, get waves.
    waves: waves per column. Default 16.
    outputs: mixtures of waves per column. Default 3.
    slowest, fastest: the range of the initial frequencies, in waves per unit of x, drawn uniformly on a log
        scale: slow waves fit gentle effects, fast waves fine ones. Default 0.1 and 4.

    Raises
    ------
    ConfigurationError: there are fewer inputs than `columns`, or the rows are not vectors.

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
        """Draw ln f, φ (from a whole turn), W and b (within ±1 / √waves) uniformly."""
        self._check_inputs(in_shape)
        shape, limit = (self.columns, self.waves), 1 / math.sqrt(self.waves)

        def uniform(branch: int, shape: Shape, limit: float) -> np.ndarray:
            drawn = keys.uniform(keys.fold_in(key, branch), shape)
            return np.asarray((drawn - 0.5) * 2 * limit, default_float())

        share = keys.uniform(keys.fold_in(key, 0), shape)
        f = self.slowest * (self.fastest / self.slowest) ** share
        params = {
            "f": np.asarray(f, default_float()),
            "phase": uniform(1, shape, 0.5),
            "W": uniform(2, (self.columns, self.outputs, self.waves), limit),
            "b": uniform(3, (self.columns, self.outputs), limit),
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
        # with columns as the first axis, each column's product is contiguous in memory
        first = x[:, : self.columns].T[:, :, None]
        turns = first * params["f"][:, None] + params["phase"][:, None]
        waves = cosine_of_turns(turns)
        mixed = jnp.einsum("cnw,cow->cno", waves, params["W"]) + params["b"][:, None]
        features = mixed.transpose(1, 0, 2).reshape(x.shape[0], -1)
        return jnp.concatenate([x, features], axis=1), state, (first, turns, waves)

    def backward(self, params: Params, cache: Cache, dy: Array) -> tuple[Array, Params]:
        """dW = Σ dm waves, db = Σ dm, m the mixtures; dt = -2π sin(2π t) Wᵀ dm, t = f x + φ; Σ over rows.

        df = Σ x dt, dφ = Σ dt; dx = dy of the plain inputs, plus f dt.
        """
        first, turns, waves = cache
        inputs = dy.shape[1] - self.columns * self.outputs
        dm = dy[:, inputs:].reshape(-1, self.columns, self.outputs).transpose(1, 0, 2)
        # summing these few terms takes a third of the time of a matrix product (measured)
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
    """Return cos(2π t), with t in turns; in float32 by a series, 15 times faster than `jnp.cos`.

    cos(2π t) = sin(v) with v = 2π (1/4 - |t - round(t)|), which lies within ±π/2. There, six terms of the
    sine's series are accurate to 2e-7.

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
    """Look up codes in learned tables: y = [x, E₁[code₁], E₂[code₂], ...], x the inputs before the codes.

    The LAST inputs are the codes, whole numbers from 0. Each is replaced by `size` numbers, its row of E. A
    category with thousands of levels, which would otherwise need as many inputs, becomes a few numbers.
    Guo and Berkhahn, "Entity Embeddings of Categorical Variables", 2016.

    Parameters
    ----------
    places: the number of values of each code, in the order of the inputs.
    size: numbers per code. Default 8.

    Raises
    ------
    ConfigurationError: there are fewer inputs than codes, or the rows are not vectors.

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
            check_count("each of places", count)
        check_count("size", self.size)

    def init(self, key: Key, in_shape: Shape) -> tuple[Params, State, Shape]:
        """Draw E from a normal distribution of deviation 0.1, so that untrained rows have little effect."""
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
                " let places= hold at most one number per input."
            )

    def forward(
        self, params: Params, state: State, x: Array, **context: Unpack[Context]
    ) -> tuple[Array, State, Cache]:
        """y = [x, E₁[code₁], ...], with the tables stacked. A code that is too large selects the last row."""
        plain = x.shape[1] - len(self.places)
        counts = np.array(self.places, np.int32)
        starts = np.cumsum(counts, dtype=np.int32) - counts
        codes = jnp.clip(x[:, plain:].astype(jnp.int32), 0, counts - 1) + starts
        embedded = params["E"][codes].reshape(x.shape[0], -1)
        return jnp.concatenate([x[:, :plain], embedded], axis=1), state, codes

    def backward(self, params: Params, cache: Cache, dy: Array) -> tuple[Array, Params]:
        """dE[code] = Σ dy over the rows with the code; dx = 0 for codes, which are not quantities."""
        codes = cache
        plain = dy.shape[1] - len(self.places) * self.size
        d_embedded = dy[:, plain:].reshape(*codes.shape, self.size)
        dE = jnp.zeros_like(params["E"]).at[codes].add(d_embedded)
        dx = jnp.concatenate([dy[:, :plain], jnp.zeros(codes.shape, dy.dtype)], axis=1)
        return dx, {"E": dE}

    def traits(self) -> Mapping[str, Any]:
        """Let E decay, which matters for codes that occur in few rows."""
        return {"E": Trait(decay=True)}


EMBEDDINGS: dict[str, type[Layer]] = {
    "Scale": Scale,
    "Periodic": Periodic,
    "Embedding": Embedding,
}
