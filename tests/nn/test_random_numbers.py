"""Random numbers are hashes of their position that pass tests of independence and uniformity.

The seeds are fixed, so that each test always has the same result. The bounds are those of p = 1e-4 per test.
"""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from glassnet import keys
from glassnet._precision import precision
from glassnet.nn.layers import Dropout

P = 1e-4


def assert_uniform(counts: Any) -> None:
    """Fail if counts of equally likely events are too uneven, or too even, for chance."""
    counts = np.asarray(counts, float).ravel()
    assert counts.mean() >= 5  # otherwise the statistic is not chi-squared
    statistic = ((counts - counts.mean()) ** 2).sum() / counts.mean()
    p = stats.chi2.sf(statistic, counts.size - 1)
    assert P / 2 < p < 1 - P / 2


def assert_uncorrelated(columns: Any) -> None:
    """Fail if any two columns of samples are correlated more than chance allows."""
    x = np.asarray(columns, float)
    x = (x - x.mean(0)) / x.std(0)
    n, k = x.shape
    z = (x.T @ x / n * np.sqrt(n))[np.triu_indices(k, 1)]
    assert np.abs(z).max() < stats.norm.isf(P / 2 / len(z))
    assert_chance_spread(z)


def assert_chance_spread(z: Any) -> None:
    """Fail if scores are spread more, or less, than independent normal numbers."""
    p = stats.chi2.sf((np.asarray(z) ** 2).sum(), np.size(z))
    assert P / 2 < p < 1 - P / 2


# --- the same in NumPy and JAX --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, -1, 2**31, 2**32, 2**40 + 7, 123456789])
def test_numpy_and_jax_draw_the_same_bits(seed: int) -> None:
    k = keys.key(seed)
    on_jax = jnp.asarray(k)
    assert k.dtype == np.uint32 and k.shape == (2,)
    for number in (0, 1, 7, 2**31 - 1):
        np.testing.assert_array_equal(keys.fold_in(k, number), keys.fold_in(on_jax, number))
        np.testing.assert_array_equal(keys.fold_in(k, number), keys.fold_in(k, jnp.asarray(number)))
    assert isinstance(keys.bits(k, (3, 5)), np.ndarray)
    np.testing.assert_array_equal(keys.bits(k, (3, 5)), keys.bits(on_jax, (3, 5)))
    np.testing.assert_array_equal(keys.uniform(k, (3, 5)), keys.uniform(on_jax, (3, 5)))
    np.testing.assert_allclose(keys.normal(k, (3, 5)), keys.normal(on_jax, (3, 5)), atol=1e-5)
    np.testing.assert_array_equal(keys.permutation(k, 70), keys.permutation(on_jax, 70))


def test_the_hash_is_lowbias32() -> None:
    def lowbias32(x: int) -> int:
        x = (x ^ x >> 16) * 0x7FEB352D % 2**32
        x = (x ^ x >> 15) * 0x846CA68B % 2**32
        return x ^ x >> 16

    numbers = [0, 1, 2, 255, 2**16, 2**31, 2**32 - 1, 0xDEADBEEF]
    mixed = keys._mix(np.array(numbers, np.uint32))
    assert mixed.tolist() == [lowbias32(x) for x in numbers]


def test_float64_draws_the_numbers_of_float32() -> None:
    u = keys.uniform(keys.key(3), (100,))
    with precision("float64"):
        wide = keys.uniform(keys.key(3), (100,))
    assert (u.dtype, wide.dtype) == (np.float32, np.float64)
    np.testing.assert_array_equal(u, wide)


def test_seeds_and_branches_do_not_collide() -> None:
    fold = jax.jit(jax.vmap(keys.fold_in, (None, 0)))
    numbers = jnp.arange(20_000)
    branches = np.asarray(fold(keys.key(0), numbers))
    assert len({tuple(b) for b in branches.tolist()}) == 20_000
    nested = np.asarray(fold(jnp.asarray(branches[5]), numbers))
    assert not {tuple(b) for b in branches.tolist()} & {tuple(b) for b in nested.tolist()}
    assert len({tuple(keys.key(s).tolist()) for s in [*range(-5, 5), 2**32, 2**33]}) == 12
    by_seed = np.stack([keys.bits(keys.key(s), (4,)) for s in range(500)])
    assert len(np.unique(by_seed)) == by_seed.size


def test_each_bit_of_a_key_changes_half_of_the_bits() -> None:
    base = keys.bits(keys.key(9), (512,))
    for bit in range(64):
        flipped = keys.key(9 ^ (1 << bit))
        changed = np.bitwise_count(base ^ keys.bits(flipped, (512,))).sum()
        n = 512 * 32
        assert abs(changed - n / 2) < stats.norm.isf(P / 128) * np.sqrt(n) / 2


# --- uniformity -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_bits_are_uniform(seed: int) -> None:
    x = keys.bits(keys.key(seed), (1 << 18,))
    for shift in (0, 8, 16, 24):
        byte = (x >> np.uint32(shift)) & np.uint32(255)
        assert_uniform(np.bincount(byte, minlength=256))
    ones = [(x >> np.uint32(b) & np.uint32(1)).sum() for b in range(32)]
    assert_chance_spread((np.array(ones) - x.size / 2) / (np.sqrt(x.size) / 2))


@pytest.mark.parametrize("lag", [1, 2, 64, 256, 1000])
def test_pairs_of_bits_are_uniform(lag: int) -> None:
    x = keys.bits(keys.key(2), (1 << 18,))
    for shift in (0, 28):  # lowest and highest four bits
        nibble = (x >> np.uint32(shift)) & np.uint32(15)
        first, second = nibble[:-lag].astype(int), nibble[lag:].astype(int)
        assert_uniform(np.bincount(16 * first + second, minlength=256))


def test_uniform_and_normal_have_their_distributions() -> None:
    n = 100_000
    for seed in range(3):
        u, z = keys.uniform(keys.key(seed), (n,)), keys.normal(keys.key(seed), (n,))
        assert u.min() > 0 and u.max() < 1
        assert np.isfinite(z).all()
        assert stats.kstest(u, "uniform").pvalue > P
        assert stats.kstest(z, "norm").pvalue > P
        for power, moment, spread in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
            z_score = ((z.astype(float) ** power).mean() - moment) / np.sqrt(spread / n)
            assert abs(z_score) < stats.norm.isf(P / 2)


# --- dropout's masks ------------------------------------------------------------------------------

N_STEPS, N_ROWS, N_NEURONS = 96, 40, 50


def masks(rate: float, seed: int = 0, layers: int = 1) -> Any:
    """Return which neurons are kept with training's keys, shape (layers, steps, rows, neurons)."""
    run_key = keys.fold_in(keys.key(seed), 1)
    layer = Dropout(rate)
    _, state, _ = layer.init(run_key, (N_NEURONS,))
    ones = jnp.ones((N_ROWS, N_NEURONS))

    def mask(index: Any, step: Any) -> Any:
        key = keys.fold_in(keys.fold_in(run_key, step), index)
        return layer.forward({}, state, ones, key=key, train=True)[0] > 0

    over_steps = jax.vmap(mask, (None, 0))
    both = jax.jit(jax.vmap(over_steps, (0, None)))
    return np.asarray(both(jnp.arange(layers), jnp.arange(N_STEPS)))


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.2, 0.5, 0.9])
def test_the_rate_of_dropout_is_the_share_dropped(rate: float) -> None:
    kept = masks(rate)
    if rate == 0:
        assert kept.all()
        return
    z = (kept.sum() - kept.size * (1 - rate)) / np.sqrt(kept.size * rate * (1 - rate))
    assert abs(z) < stats.norm.isf(P / 2)


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_masks_are_independent_over_rows_neurons_steps_and_layers(rate: float) -> None:
    kept = masks(rate, layers=3)
    for axis in range(4):  # one column per index on this axis, samples along the others
        assert_uncorrelated(np.moveaxis(kept, axis, -1).reshape(-1, kept.shape[axis]))


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_neurons_are_kept_equally_often_everywhere(rate: float) -> None:
    kept = masks(rate, layers=3)
    for axes in itertools.combinations(range(4), 2):
        counts = kept.sum(axis=axes)  # at each index on the other two axes
        n = kept.size / counts.size
        assert_chance_spread((counts - n * (1 - rate)) / np.sqrt(n * rate * (1 - rate)))


def test_masks_of_different_seeds_are_uncorrelated() -> None:
    both = np.stack([masks(0.5, seed).ravel() for seed in range(6)], axis=1)
    assert_uncorrelated(both)


def test_masks_depend_only_on_seed_and_step() -> None:
    np.testing.assert_array_equal(masks(0.5), masks(0.5))


# --- permutations ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 63, 64, 65, 128, 129, 60_000])
def test_a_permutation_contains_each_number_once(n: int) -> None:
    orders = [np.asarray(keys.permutation(keys.key(seed), n)) for seed in range(3)]
    for order in orders:
        assert order.dtype == np.int32
        np.testing.assert_array_equal(np.sort(order), np.arange(n))
    if n > 60:
        assert not (orders[0] == orders[1]).all()
        assert not (orders[0] == np.arange(n)).all()


def permutations(n: int, count: int) -> Any:
    """Return the orders of `count` epochs, as training draws them."""
    run_key = jnp.asarray(keys.fold_in(keys.key(0), 1))
    draw = jax.jit(jax.vmap(lambda epoch: keys.permutation(keys.fold_in(run_key, epoch), n)))
    return np.asarray(draw(jnp.arange(count)))


def test_all_orders_of_few_rows_are_equally_likely() -> None:
    orders = permutations(4, 6000)
    indices = {order: i for i, order in enumerate(itertools.permutations(range(4)))}
    assert_uniform(np.bincount([indices[tuple(o)] for o in orders.tolist()], minlength=24))


@pytest.mark.parametrize("n", [20, 64, 100, 300])
def test_rows_take_each_position_and_follow_each_other_equally_often(n: int) -> None:
    orders = permutations(n, 6000)
    table = np.zeros((n, n))
    for position in range(n):
        table[position] = np.bincount(orders[:, position], minlength=n)
    # rows and columns sum to 6000: (n - 1)² numbers are free, each of variance 6000 / (n - 1)
    statistic = ((table - 6000 / n) ** 2).sum() * (n - 1) / 6000
    p = stats.chi2.sf(statistic, (n - 1) ** 2)
    assert P / 2 < p < 1 - P / 2

    gaps = np.bincount(((orders[:, 1] - orders[:, 0]) % n), minlength=n)
    assert gaps[0] == 0
    assert_uniform(gaps[1:])


def test_the_first_batch_of_many_rows_is_spread_evenly() -> None:
    n = 5000
    first = permutations(n, 400)[:, :64]
    assert_uniform(np.histogram(first, bins=50, range=(0, n))[0])
    rising = (np.diff(first, axis=1) > 0).sum(axis=1)
    # the number of rises among 64 is normal with mean 63/2 and variance 65/12
    z = (rising.mean() - 31.5) / np.sqrt(65 / 12 / len(rising))
    assert abs(z) < stats.norm.isf(P / 2)
