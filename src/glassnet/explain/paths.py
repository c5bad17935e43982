"""Integrate gradients along the straight path from a baseline to a row, by the network's backward pass.

The backward pass continues below the first layer to the network's inputs. Codes of an embedding have no
gradient: there the path is a straight line between the outputs of the embedding, and a code gets the sum
over its output numbers. With several members, everything is averaged over them, as predictions are.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from glassnet._compile import limit_programs
from glassnet._types import Array, Params, State
from glassnet.errors import ConfigurationError
from glassnet.models.model import Model
from glassnet.nn.embeddings import Embedding
from glassnet.nn.network import Network, each_layer

NODES = 8  # points of Gauss-Legendre quadrature in each piece of the path
MAX_STEPS = 4096
SIZES = (32, 512)  # points per call: two compiled programs serve any number of points
ROUNDING = 1000  # times the machine epsilon: smaller differences are rounding errors


class Path:
    """The straight path from the baseline to each row, and the slopes of F = Σ seeds · logits on it."""

    def __init__(self, model: Model, x: NDArray[Any], base: NDArray[Any], seeds: NDArray[Any]):
        self.model, self.x, self.base = model, x, base
        self.seeds = (seeds * model.temperature).astype(model.dtype)
        self.network = model.network.skeleton()
        check_embeddings(model)
        self.arrays = jax.device_put((model.params, model.layer_state))

    def at(self, shares: NDArray[Any]) -> NDArray[np.float64]:
        """Return F at the given shares of the path, (rows, shares)."""
        values = np.empty((len(self.x), len(shares)))
        for rows, points, outputs, _ in self._calls(np.arange(len(self.x)), shares):
            values[rows, points] = outputs
        return values

    def mean_slopes(
        self, chosen: NDArray[np.intp], shares: NDArray[Any], weights: NDArray[Any]
    ) -> NDArray[np.float64]:
        """Return Σ weight · (x - b) ∂F/∂x over shares of the path, for the chosen rows and each input."""
        total = np.zeros((len(chosen), *self.x.shape[1:]))
        for rows, points, _, slopes in self._calls(chosen, shares):
            np.add.at(total, rows, weights[points].reshape(-1, *[1] * (slopes.ndim - 1)) * slopes)
        return total

    def gap(self, features: NDArray[Any], difference: NDArray[Any]) -> NDArray[np.float64]:
        """Return for each row |Σ attributions - (F(x) - F(b))| / |F(x) - F(b)|.

        The denominator is at least the size of rounding errors.
        """
        flat = features.reshape(len(features), -1)
        rounding = ROUNDING * float(np.finfo(self.model.dtype).eps) * np.abs(flat).sum(axis=1)
        scale = np.maximum(np.abs(difference), rounding)
        return np.asarray(np.abs(flat.sum(axis=1) - difference) / np.where(scale > 0, scale, 1.0))

    def _calls(self, chosen: NDArray[np.intp], shares: NDArray[Any]) -> Iterator[tuple[Any, ...]]:
        """Yield for each call the indices into `chosen` and `shares`, with F and its slopes there."""
        count = len(chosen) * len(shares)
        size = next((size for size in SIZES if size >= count), SIZES[-1])
        for first in range(0, count, size):
            indices = np.arange(first, min(first + size, count))
            padded = np.concatenate([indices, np.full(size - len(indices), indices[0])])
            rows, points = np.divmod(padded, len(shares))
            row, share = chosen[rows], shares[points]
            values, slopes = _slopes(
                *self.arrays, self.x[row], self.base, share.astype(self.model.dtype), self.seeds[row],
                network=self.network, members=self.model.members > 1,
            )  # fmt: skip
            n = len(indices)
            yield (
                rows[:n], points[:n],
                np.asarray(values, np.float64)[:n], np.asarray(slopes, np.float64)[:n],
            )  # fmt: skip


@limit_programs
@partial(jax.jit, static_argnames=("network", "members"))
def _slopes(
    params: Params, state: State, x: Array, base: Array, share: Array, seeds: Array,
    *, network: Network, members: bool,
) -> tuple[Array, Array]:  # fmt: skip
    """Return F and (x - b) ∂F/∂x at b + share · (x - b), averaged over the members."""

    def one(params: Params, state: State) -> tuple[Array, Array]:
        layers = [(layer, *parts) for _, layer, parts in each_layer(network, params, state)]
        end, start = jnp.asarray(x, seeds.dtype), jnp.asarray(base, seeds.dtype)
        embedding = layers.pop(0) if isinstance(layers[0][0], Embedding) else None
        if embedding is not None:
            layer, embedding_params, embedding_state = embedding
            end, start = (
                layer.forward(embedding_params, embedding_state, a)[0] for a in (end, start)
            )
        start = start.mean(axis=0)
        delta = end - start
        point = start + share.reshape(-1, *[1] * (end.ndim - 1)) * delta
        rest, rest_params, rest_state = zip(*layers, strict=True)
        later = Network(rest)
        logits, _, cache = later.forward(rest_params, rest_state, point)
        slopes = later.backward(rest_params, cache, seeds)[0] * delta
        if embedding is not None:
            slopes = _by_code(embedding[0], slopes)
        return (logits * seeds).sum(axis=1), slopes

    if not members:
        return one(params, state)
    values, slopes = jax.vmap(one)(params, state)
    return values.mean(axis=0), slopes.mean(axis=0)


def _by_code(embedding: Any, slopes: Array) -> Array:
    """Sum the slopes of an embedding's outputs (n, plain + codes · size) by input: (n, plain + codes)."""
    codes = len(embedding.places)
    plain = slopes.shape[1] - codes * embedding.size
    of_codes = slopes[:, plain:].reshape(-1, codes, embedding.size).sum(axis=2)
    return jnp.concatenate([slopes[:, :plain], of_codes], axis=1)


def check_embeddings(model: Model) -> None:
    """Raise if an embedding is not the first layer, because its inputs would not be the encoded rows."""
    _, *later = (layer for _, layer, _ in each_layer(model.network))
    if any(isinstance(layer, Embedding) for layer in later):
        raise ConfigurationError(
            "An Embedding that is not the first layer cannot be explained, because its codes are computed by"
            " other layers: put gn.Embedding first, as the estimators do."
        )


def integrated_gradients(
    path: Path, difference: NDArray[Any], steps: int, tolerance: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return integrated gradients and the numbers of points used, doubled until the gap is small."""
    features = np.zeros(path.x.shape)
    used = np.zeros(len(path.x), np.int64)
    left, pieces = np.arange(len(path.x)), -(-steps // NODES)
    while True:
        shares, weights = _points(pieces)
        features[left], used[left] = path.mean_slopes(left, shares, weights), len(shares)
        left = left[path.gap(features[left], difference[left]) > tolerance]
        pieces *= 2
        if not len(left) or pieces * NODES > max(MAX_STEPS, steps):
            return features, used


def _points(pieces: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the points between 0 and 1 and the weights of Gauss-Legendre quadrature in pieces."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    shares = (np.arange(pieces)[:, None] + (nodes + 1) / 2) / pieces
    return shares.ravel(), np.tile(weights / (2 * pieces), pieces)


def gradient_x_input(
    path: Path, difference: NDArray[Any], steps: int, tolerance: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return gradient x input: the slopes at the row itself."""
    del difference, steps, tolerance
    rows = np.arange(len(path.x))
    return path.mean_slopes(rows, np.ones(1), np.ones(1)), np.ones(len(rows), np.int64)


METHODS = {"integrated_gradients": integrated_gradients, "gradient_x_input": gradient_x_input}
"""Name -> function that computes attributions from the slopes along the path."""
