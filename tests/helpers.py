"""Make small data, compare trees and take derivatives by differences, for several test files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree


def blobs(n: int = 50, features: int = 4, classes: int = 3, seed: int = 0) -> tuple[Any, Any]:
    """Return points around one centre per class, float64, and their classes; no class is empty."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    centres = rng.normal(size=(classes, features)) * 1.5
    return centres[y] + rng.normal(size=(n, features)), y


def assert_same_bits(one: Any, other: Any) -> None:
    """Fail unless two trees have the same form, dtypes and bits."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert a.tobytes() == b.tobytes()


def assert_close(one: Any, other: Any, tolerance: float) -> None:
    """Fail unless two trees have the same form and nearly the same numbers."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def central_differences(function: Callable[[Any], Any], at: Any, h: float = 1e-5) -> Any:
    """Return the gradient of a function of a tree by (f(x + h) - f(x - h)) / 2h, number by number."""
    flat, unravel = ravel_pytree(at)
    steps = h * jnp.eye(flat.size, dtype=flat.dtype)
    of_all = jax.vmap(lambda v: function(unravel(v)))
    return unravel((of_all(flat + steps) - of_all(flat - steps)) / (2 * h))


def normal(shape: tuple[int, ...], seed: int, dtype: Any = np.float64) -> Any:
    """Return normal numbers at least 0.05 away from 0, where activations may have a kink."""
    x = np.random.default_rng(seed).normal(size=shape)
    return (x + np.copysign(0.05, x)).astype(dtype)
