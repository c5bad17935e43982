"""Random numbers without a stream: each is a hash of (seed, step, layer, position).

Nothing is carried from one draw to the next, so that resuming needs no hidden state and a
number depends on its place alone. A key is two 32-bit words, the shape of a raw `jax.random` key:
a layer of your own may hand it to `jax.random`. The hash is some 15 times cheaper on a CPU than
jax.random's threefry, and compiles in a fraction of its time.

The mixing function is `lowbias32`, found by search for the least bias of its output bits:
C. Wellons, "Prospecting for Hash Functions", 2018. `permutation` walks cycles of a keyed bijection:
A. Kensler, "Correlated Multi-Jittered Sampling", Pixar Technical Memo 13-01, 2013.

All functions take NumPy or JAX arrays and compute with what they are given.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from glassnet._precision import default_float
from glassnet._types import Array, Key, Shape
from glassnet.errors import ConfigurationError

_GOLDEN = np.uint32(0x9E3779B9)  # 2³² / golden ratio: spreads consecutive numbers


def key(seed: int) -> Key:
    """Return the key of a seed: any whole number; shape (2,), uint32.

    >>> key(7)
    array([7, 0], dtype=uint32)
    """
    word = (1 << 32) - 1
    try:
        number = operator.index(seed)
    except TypeError:
        raise ConfigurationError(f"The seed is {seed!r}, but it must be a whole number.") from None
    return np.array([number & word, (number >> 32) & word], dtype=np.uint32)


def needed(key: Key | None, layer: str) -> Array:
    """Return the key of a layer that draws while training; ConfigurationError where it was given none."""
    if key is None:
        raise ConfigurationError(
            f"{layer} while training needs a key: forward(..., key=gn.keys.key(0), train=True)."
        )
    return jnp.asarray(key)


def _mix(x: Any) -> Any:
    """Return 32 bits each of which depends on every bit of x; a bijection."""
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x7FEB352D)
    x = x ^ (x >> np.uint32(15))
    x = x * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def fold_in(key: Key, number: Any) -> Key:
    """Return the key of the `number`-th branch of a key: of a step, an epoch, a layer.

    >>> bool((fold_in(key(0), 1) == fold_in(key(0), 2)).any())
    False
    """
    xp: Any = np if isinstance(key, np.ndarray) and not isinstance(number, jax.Array) else jnp
    word = xp.asarray(number).astype(np.uint32).reshape(1)
    salted = xp.concatenate([word * _GOLDEN + np.uint32(1), word ^ _GOLDEN])
    folded: Key = _mix(_mix(key ^ _mix(salted)) + key[::-1])
    return folded


def bits(key: Key, shape: Shape) -> Array:
    """Return 32 random bits for each position, uint32."""
    xp: Any = np if isinstance(key, np.ndarray) else jnp
    position = xp.arange(math.prod(shape), dtype=np.uint32)
    drawn: Array = _mix(_mix(position * _GOLDEN ^ key[0:1]) + key[1:2]).reshape(shape)
    return drawn


def uniform(key: Key, shape: Shape) -> Array:
    """Return uniform numbers, strictly between 0 and 1, in the float in force."""
    # 23 bits and a half: exact in float32, so that float32 and float64 draw the same numbers
    fraction = (bits(key, shape) >> np.uint32(9)).astype(default_float())
    drawn: Array = (fraction + fraction.dtype.type(0.5)) * fraction.dtype.type(2.0**-23)
    return drawn


def normal(key: Key, shape: Shape) -> Array:
    """Return numbers of mean 0 and deviation 1: sqrt(-2 ln u) cos(2πv) (Box and Muller, 1958)."""
    xp: Any = np if isinstance(key, np.ndarray) else jnp
    u, v = uniform(fold_in(key, 0), shape), uniform(fold_in(key, 1), shape)
    drawn: Array = xp.sqrt(-2.0 * xp.log(u)) * xp.cos(2.0 * math.pi * v)
    return drawn.astype(u.dtype)


def permutation(key: Key, n: int) -> jax.Array:
    """Return the numbers 0 .. n-1 in random order, int32.

    A bijection of [0, 2^k), the smallest such interval that holds n, is applied again and again to
    each number until it falls below n. For n = 60 000 this is some 35 times faster than a sort; few
    numbers (n < 64) are sorted by random bits, since a bijection of few bits mixes less well.

    >>> sorted(permutation(key(0), 5).tolist())
    [0, 1, 2, 3, 4]
    """
    if n < 64:
        return jnp.argsort(jnp.asarray(bits(key, (n,)))).astype(jnp.int32)
    n_bits = (n - 1).bit_length()
    mask, shift = np.uint32((1 << n_bits) - 1), np.uint32((n_bits + 1) // 2)
    rounds = [jnp.asarray(fold_in(key, r)) for r in range(3)]

    def scramble(x: jax.Array) -> jax.Array:
        for words in rounds:  # each line is invertible on n_bits bits, so the whole is a bijection
            x = (x + words[0]) & mask
            x = (x * np.uint32(0x7FEB352D)) & mask
            x = x ^ (x >> shift)
            x = (x ^ words[1]) & mask
            x = (x * np.uint32(0x846CA68B)) & mask
            x = x ^ (x >> shift)
        return x

    def outside(x: jax.Array) -> jax.Array:
        return jnp.any(x >= n)

    def walk(x: jax.Array) -> jax.Array:
        return jnp.where(x >= n, scramble(x), x)

    start = scramble(jnp.arange(n, dtype=jnp.uint32))
    return jax.lax.while_loop(outside, walk, start).astype(jnp.int32)
