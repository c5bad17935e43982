"""The path from a baseline to a row, and the gradients along it by our own backward pass.

The pass goes on below the first layer, down to the network's inputs. Codes of an embedding have no gradient;
there the straight line runs through what the embedding puts out, and what belongs to a code is the sum over
its numbers. Of many members, whose outputs' mean predicts, it is the mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from glassnet._compile import forgetful
from glassnet._types import Array, Params, State
from glassnet.errors import ConfigurationError
from glassnet.models.model import Model
from glassnet.nn.embeddings import Embedding
from glassnet.nn.network import Network, each_layer

NODES = 8  # of each piece of the path, by Gauss and Legendre
MOST_STEPS = 4096
SIZES = (32, 512)  # points a call computes: two programs serve any number
ROUNDING = 1000  # times the precision: differences smaller than that are rounding


class Path:
    """The straight line from the baseline to each row, and slopes on it; F is the sum of seeds · logits."""

    def __init__(self, model: Model, x: NDArray[Any], base: NDArray[Any], seeds: NDArray[Any]):
        self.model, self.x, self.base = model, x, base
        self.seeds = (seeds * model.temperature).astype(model.dtype)
        self.network = model.network.skeleton()
        check_embeddings(model)
        self.arrays = jax.device_put((model.params, model.layer_state))

    def at(self, shares: NDArray[Any]) -> NDArray[np.float64]:
        """Return F, (rows, shares), at some shares of the way."""
        values = np.empty((len(self.x), len(shares)))
        for rows, points, found, _ in self._calls(np.arange(len(self.x)), shares):
            values[rows, points] = found
        return values

    def mean_slopes(
        self, some: NDArray[np.intp], shares: NDArray[Any], weights: NDArray[Any]
    ) -> NDArray[np.float64]:
        """Return Σ weight · (x - b) ∂F/∂x over some shares of the way, for some rows, by input."""
        total = np.zeros((len(some), *self.x.shape[1:]))
        for rows, points, _, slopes in self._calls(some, shares):
            np.add.at(total, rows, weights[points].reshape(-1, *[1] * (slopes.ndim - 1)) * slopes)
        return total

    def gap(self, features: NDArray[Any], difference: NDArray[Any]) -> NDArray[np.float64]:
        """Return by row how much attributions and F(x) - F(b) differ, a share of the latter.

        Of rounding, where that is more.
        """
        flat = features.reshape(len(features), -1)
        rounding = ROUNDING * float(np.finfo(self.model.dtype).eps) * np.abs(flat).sum(axis=1)
        scale = np.maximum(np.abs(difference), rounding)
        return np.asarray(np.abs(flat.sum(axis=1) - difference) / np.where(scale > 0, scale, 1.0))

    def _calls(self, some: NDArray[np.intp], shares: NDArray[Any]) -> Iterator[tuple[Any, ...]]:
        """Yield, call by call, places in `some` and in `shares`, F there and the slopes."""
        count = len(some) * len(shares)
        size = next((size for size in SIZES if size >= count), SIZES[-1])
        for first in range(0, count, size):
            places = np.arange(first, min(first + size, count))
            padded = np.concatenate([places, np.full(size - len(places), places[0])])
            rows, points = np.divmod(padded, len(shares))
            own, share = some[rows], shares[points]
            values, slopes = _slopes(
                *self.arrays, self.x[own], self.base, share.astype(self.model.dtype), self.seeds[own],
                network=self.network, members=self.model.members > 1,
            )  # fmt: skip
            n = len(places)
            yield (
                rows[:n], points[:n],
                np.asarray(values, np.float64)[:n], np.asarray(slopes, np.float64)[:n],
            )  # fmt: skip


@forgetful
@partial(jax.jit, static_argnames=("network", "members"))
def _slopes(
    params: Params, state: State, x: Array, base: Array, share: Array, seeds: Array,
    *, network: Network, members: bool,
) -> tuple[Array, Array]:  # fmt: skip
    """Return F and (x - b) ∂F/∂x at b + share (x - b), the mean over the members."""

    def one(params: Params, state: State) -> tuple[Array, Array]:
        layers = [(layer, *parts) for _, layer, parts in each_layer(network, params, state)]
        end, start = jnp.asarray(x, seeds.dtype), jnp.asarray(base, seeds.dtype)
        embedding = layers.pop(0) if isinstance(layers[0][0], Embedding) else None
        if embedding is not None:
            layer, own, kept = embedding
            end, start = (layer.forward(own, kept, a)[0] for a in (end, start))
        start = start.mean(axis=0)
        delta = end - start
        here = start + share.reshape(-1, *[1] * (end.ndim - 1)) * delta
        parts, own, kept = zip(*layers, strict=True)
        rest = Network(parts)
        logits, _, cache = rest.forward(own, kept, here)
        slopes = rest.backward(own, cache, seeds)[0] * delta
        if embedding is not None:
            slopes = _by_code(embedding[0], slopes)
        return (logits * seeds).sum(axis=1), slopes

    if not members:
        return one(params, state)
    values, slopes = jax.vmap(one)(params, state)
    return values.mean(axis=0), slopes.mean(axis=0)


def _by_code(embedding: Any, slopes: Array) -> Array:
    """Return what stands behind an embedding (n, plain + codes · size) by its inputs: (n, plain + codes)."""
    codes = len(embedding.places)
    plain = slopes.shape[1] - codes * embedding.size
    of_codes = slopes[:, plain:].reshape(-1, codes, embedding.size).sum(axis=2)
    return jnp.concatenate([slopes[:, :plain], of_codes], axis=1)


def check_embeddings(model: Model) -> None:
    """Raise for an embedding whose codes have no path of their own."""
    _, *later = (layer for _, layer, _ in each_layer(model.network))
    if any(isinstance(layer, Embedding) for layer in later):
        raise ConfigurationError(
            "An Embedding behind the first layer hides which of its codes an output comes from: put"
            " gn.Embedding first, as the estimators do, to have it explained."
        )


def integrated_gradients(
    path: Path, difference: NDArray[Any], steps: int, tolerance: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return integrated gradients and the number of points, doubled for the rows that do not add up."""
    features = np.zeros(path.x.shape)
    used = np.zeros(len(path.x), np.int64)
    left, pieces = np.arange(len(path.x)), -(-steps // NODES)
    while True:
        shares, weights = _points(pieces)
        features[left], used[left] = path.mean_slopes(left, shares, weights), len(shares)
        left = left[path.gap(features[left], difference[left]) > tolerance]
        pieces *= 2
        if not len(left) or pieces * NODES > max(MOST_STEPS, steps):
            return features, used


def _points(pieces: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return places from 0 to 1 and weights whose weighted sum is the integral: Gauss's, piece by piece."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    shares = (np.arange(pieces)[:, None] + (nodes + 1) / 2) / pieces
    return shares.ravel(), np.tile(weights / (2 * pieces), pieces)


def gradient_x_input(
    path: Path, difference: NDArray[Any], steps: int, tolerance: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return gradient x input: the slopes at the row itself alone."""
    del difference, steps, tolerance
    every = np.arange(len(path.x))
    return path.mean_slopes(every, np.ones(1), np.ones(1)), np.ones(len(every), np.int64)


METHODS = {"integrated_gradients": integrated_gradients, "gradient_x_input": gradient_x_input}
"""Name -> how the slopes along the path become attributions."""
