"""Generate tables of different kinds from a seed, with the best possible score if it is known.

`KINDS[name](seed)` returns (task, X_train, y_train, X_test, y_test) in the form of the real tables: pandas
frames with text columns as object and missing values as None or NaN, classes as text, values as float64.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.datasets import make_friedman1, make_friedman2, make_friedman3

Table = tuple[str, pd.DataFrame, np.ndarray, pd.DataFrame, np.ndarray]
Made = tuple[pd.DataFrame, np.ndarray]
Maker = Callable[[np.random.Generator, int], Made]
N_TEST = 2000  # generated rows cost nothing; so many give a score to about one percentage point


class Kind(NamedTuple):
    """A table of one kind.

    make: draws n rows. rows: the number of training rows. best: the error or nRMSE with the true rule.
    spoil: a change to the training rows only.
    """

    make: Maker
    rows: int
    best: float | None = None
    spoil: Callable[[np.random.Generator, pd.DataFrame, np.ndarray], Made] | None = None

    def __call__(self, seed: int) -> Table:
        """Return the table of this seed; its rows are drawn independently, so that any split is fair."""
        name = next(name for name, kind in KINDS.items() if kind is self)
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        X, y = self.make(rng, self.rows + N_TEST)
        for column in X.select_dtypes(exclude="number"):
            X[column] = X[column].astype(object).where(X[column].notna(), None)
        train, test = X.iloc[: self.rows], X.iloc[self.rows :].reset_index(drop=True)
        y_train, y_test = y[: self.rows], y[self.rows :]
        if self.spoil is not None:
            train, y_train = self.spoil(rng, train, y_train)
        task = "classification" if y.dtype.kind == "U" else "regression"
        return task, train, y_train, test, y_test


def frame(X: np.ndarray) -> pd.DataFrame:
    """Return numbers as a frame with columns x0, x1, ..."""
    return pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])


def noisy(rng: np.random.Generator, f: np.ndarray, share: float) -> np.ndarray:
    """Return f plus noise, scaled such that predicting f itself scores an nRMSE of `share`."""
    return f + rng.normal(size=len(f)) * f.std() * share / np.sqrt(1 - share**2)


def flipped(rng: np.random.Generator, classes: np.ndarray, share: float) -> np.ndarray:
    """Return classes as "yes" and "no", with a share of them flipped, which is the best possible error."""
    return np.where(classes ^ (rng.random(len(classes)) < share), "yes", "no")


def drawn(rng: np.random.Generator, logits: np.ndarray) -> np.ndarray:
    """Return "yes" with the probabilities 1 / (1 + exp(−logits)), else "no"."""
    return np.where(rng.random(len(logits)) < 1 / (1 + np.exp(-logits)), "yes", "no")


# Values ------------------------------------------------------------------------------------------------


def smooth(rng: np.random.Generator, n: int) -> Made:
    """Return a sum of waves with almost no noise, for which long training and fine frequencies pay."""
    X = rng.uniform(-1, 1, (n, 8))
    waves = np.sin(2 * np.pi * X[:, :4] * [0.5, 1, 1.5, 2] + rng.uniform(0, np.pi, 4))
    f = waves.sum(axis=1) + 2 * X[:, 4] * X[:, 5] + np.cos(3 * X[:, 6] + 2 * X[:, 7])
    return frame(X), noisy(rng, f, 0.02)


def pendulum(rng: np.random.Generator, n: int) -> Made:
    """Return the angle of a damped pendulum at a given time."""
    length, damping, time = rng.uniform(0.2, 2, n), rng.uniform(0.05, 0.5, n), rng.uniform(0, 3, n)
    gravity, start = rng.choice([1.62, 3.71, 9.81], n), rng.uniform(-0.3, 0.3, n)
    angle = start * np.exp(-damping * time) * np.cos(np.sqrt(gravity / length) * time)
    columns = {"length": length, "damping": damping, "time": time, "gravity": gravity}
    return pd.DataFrame({**columns, "start": start}), noisy(rng, angle, 0.03)


def friedman(maker: Callable[..., tuple[np.ndarray, np.ndarray]], share: float) -> Maker:
    """Return a maker of one of Friedman's formulas (1991), with columns in their original units."""

    def make(rng: np.random.Generator, n: int) -> Made:
        X, f = maker(n_samples=n, random_state=int(rng.integers(2**31)))
        return frame(X), noisy(rng, f, share)

    return make


def steps(rng: np.random.Generator, n: int) -> Made:
    """Return jumps along single columns and at one corner, which trees describe easily."""
    X = rng.uniform(size=(n, 10))
    thresholds = rng.uniform(0.15, 0.85, (5, 3))
    f = sum((X[:, [i]] > thresholds[i]) @ rng.normal(size=3) for i in range(5))
    f = f + 2 * ((X[:, 5] > 0.6) & (X[:, 6] < 0.5))
    return frame(X), noisy(rng, f, 0.2)


def straight(rng: np.random.Generator, n: int) -> Made:
    """Return an almost linear target of correlated columns in different units."""
    X = rng.normal(size=(n, 12)) @ rng.normal(size=(12, 12))
    f = X @ rng.normal(size=12)
    f = f + 0.1 * f.std() * np.tanh(X[:, 0])
    return frame(X * 10.0 ** rng.integers(-3, 4, 12)), noisy(rng, f, 0.4)


def noise(rng: np.random.Generator, n: int) -> Made:
    """Return a target that is pure noise: guessing the mean is best."""
    return frame(rng.normal(size=(n, 10))), rng.normal(size=n)


def heavy_tails(rng: np.random.Generator, n: int) -> Made:
    """Return inputs and a target that span orders of magnitude, like incomes and prices."""
    Z = rng.standard_t(3, (n, 8))
    y = np.exp(0.6 * noisy(rng, Z[:, 0] - Z[:, 1] + np.sin(2 * Z[:, 2]), 0.4).clip(-9, 9))
    X = Z.copy()
    X[:, :4] = np.exp(Z[:, :4].clip(-8, 8))
    return frame(X), y


def many_weak(rng: np.random.Generator, n: int) -> Made:
    """Return two hundred columns, each with a small effect."""
    X = rng.normal(size=(n, 200))
    f = X @ rng.normal(size=200) + np.abs(X[:, :50]) @ rng.normal(size=50)
    return frame(X), noisy(rng, f, 0.5)


def missing(rng: np.random.Generator, n: int) -> Made:
    """Return values that are missing because they are large, at random, or as a signal about the target."""
    X = rng.normal(size=(n, 8))
    signal = rng.random(n) < 0.3
    y = noisy(rng, 2 * X[:, 0] + X[:, 1] ** 2 + X[:, 2] * X[:, 3] + 1.5 * signal, 0.3)
    X[(X[:, 0] > 0.8) & (rng.random(n) < 0.7), 0] = np.nan
    X[:, 1:4][rng.random((n, 3)) < 0.1] = np.nan
    X[signal, 4] = np.nan
    table = frame(X)
    table["text"] = rng.choice(["a", "b", "c"], n)
    table.loc[rng.random(n) < 0.2, "text"] = None
    return table, y


def many_levels(rng: np.random.Generator, n: int) -> Made:
    """Return ten thousand places, some rare and some only in the test rows, with an effect by region."""
    levels = np.minimum(rng.zipf(1.3, n) - 1, 9_999)
    levels = np.where(rng.random(n) < 0.4, rng.integers(0, 10_000, n), levels)
    region = rng.integers(0, 12, 10_000)
    effect = rng.normal(size=12)[region] + 0.5 * rng.normal(size=10_000)
    size = rng.lognormal(size=n)
    columns = {
        "place": np.char.add("place ", levels.astype(str)),
        "region": np.char.add("r", region[levels].astype(str)),
        "size": size,
        "age": rng.integers(0, 90, n).astype(float),
    }
    f = effect[levels] + np.log(size) - 0.0004 * (columns["age"] - 40) ** 2
    return pd.DataFrame(columns), noisy(rng, f, 0.3)


def periodic(rng: np.random.Generator, n: int) -> Made:
    """Return a daily cycle, a weekly cycle and a slow trend in one time column."""
    time = rng.uniform(0, 60, n)
    warm = rng.normal(size=n)
    f = np.sin(2 * np.pi * time) * (1 + 0.3 * warm) + np.sin(2 * np.pi * time / 7) + time / 40
    return pd.DataFrame({"days": time, "warm": warm}), noisy(rng, f, 0.2)


def counts(rng: np.random.Generator, n: int) -> Made:
    """Return small counts, Poisson distributed with mean exp(...)."""
    X = rng.normal(size=(n, 6))
    rate = np.exp(0.5 * X[:, 0] + 0.4 * X[:, 1] * X[:, 2] + 0.3 * np.sin(3 * X[:, 3]))
    return frame(X), rng.poisson(rate.clip(max=50)).astype(float)


def curved(rng: np.random.Generator, n: int) -> Made:
    """Return a smooth surface, into which wrong entries are then put."""
    X = rng.uniform(-2, 2, (n, 6))
    return frame(X), noisy(rng, X[:, 0] ** 2 + np.sin(2 * X[:, 1]) + X[:, 2] * X[:, 3], 0.2)


def wrong_entries(rng: np.random.Generator, X: pd.DataFrame, y: np.ndarray) -> Made:
    """Return targets of which one in fifty has a wrong sign or a misplaced decimal point."""
    return X, np.where(rng.random(len(y)) < 0.02, y * rng.choice([-1, 10], len(y)), y)


def few_values(rng: np.random.Generator, n: int) -> Made:
    """Return a quadratic and a linear effect, for very few rows."""
    X = rng.normal(size=(n, 5))
    return frame(X), noisy(rng, 2 * X[:, 0] + X[:, 1] ** 2, 0.3)


# Classes -----------------------------------------------------------------------------------------------


def straight_classes(rng: np.random.Generator, n: int) -> Made:
    """Return classes drawn from a logistic model."""
    X = rng.normal(size=(n, 12)) @ rng.normal(size=(12, 12))
    f = X @ rng.normal(size=12)
    return frame(X), drawn(rng, 3 * f / f.std())


def noise_classes(rng: np.random.Generator, n: int) -> Made:
    """Return random classes: there is nothing to learn."""
    return frame(rng.normal(size=(n, 10))), flipped(rng, np.zeros(n, bool), 0.5)


def text_pairs(rng: np.random.Generator, n: int) -> Made:
    """Return text columns that matter only in pairs, and a number whose effect depends on a text."""
    names = {"colour": 8, "shape": 6, "shop": 20}
    codes = {name: rng.integers(0, k, n) for name, k in names.items()}
    colour, shape, shop = codes.values()
    number = rng.normal(size=n)
    of_pair, of_shop = rng.normal(size=(8, 6)), rng.normal(size=20)
    logits = 3 * of_pair[colour, shape] + of_shop[shop] * number
    table = pd.DataFrame({name: np.char.add(name, c.astype(str)) for name, c in codes.items()})
    return table.assign(number=number), drawn(rng, logits)


def imbalanced(rng: np.random.Generator, n: int) -> Made:
    """Return classes of which three in a hundred are "yes"."""
    X = rng.normal(size=(n, 10))
    logits = 2 * X[:, 0] + 1.5 * X[:, 1] * X[:, 2] - np.abs(X[:, 3])
    return frame(X), drawn(rng, logits - 5.1)


def many_classes(rng: np.random.Generator, n: int) -> Made:
    """Return fifty clusters of points in six dimensions."""
    label = rng.integers(0, 50, n)
    X = 2.2 * rng.normal(size=(50, 6))[label] + rng.normal(size=(n, 6))
    return frame(X), np.char.add("class ", label.astype(str))


def few_classes(rng: np.random.Generator, n: int) -> Made:
    """Return two overlapping clusters and three columns of noise."""
    label = rng.random(n) < 0.5
    X = rng.normal(size=(n, 5))
    X[:, :2] += 1.5 * label[:, None]
    return frame(X), np.where(label, "yes", "no")


def wide(rng: np.random.Generator, n: int) -> Made:
    """Return two thousand columns, of which twenty matter."""
    X = rng.normal(size=(n, 2000))
    return frame(X), flipped(rng, X[:, :20].sum(axis=1) > 0, 0.05)


def spirals(rng: np.random.Generator, n: int) -> Made:
    """Return two intertwined spirals."""
    label, turn = rng.random(n) < 0.5, np.sqrt(rng.random(n)) * 3 * np.pi
    angle = turn + np.pi * label
    X = np.column_stack([turn * np.cos(angle), turn * np.sin(angle)])
    return frame(X + 0.3 * rng.normal(size=X.shape)), np.where(label, "in", "out")


def xor(rng: np.random.Generator, n: int) -> Made:
    """Return XOR of the signs of two columns among twelve."""
    X = rng.normal(size=(n, 12))
    return frame(X), flipped(rng, (X[:, 0] > 0) ^ (X[:, 1] > 0), 0.05)


def constant(rng: np.random.Generator, n: int) -> Made:
    """Return columns with a single number, a single text and no value at all, and three that matter."""
    X = rng.normal(size=(n, 3))
    table = frame(X).assign(one=1.0, same="same", empty=np.nan)
    return table, drawn(rng, 3 * X[:, 0] * X[:, 1] + X[:, 2])


def repeated(rng: np.random.Generator, X: pd.DataFrame, y: np.ndarray) -> Made:
    """Return each training row three times, in random order."""
    order = rng.permutation(len(y)) // 3
    return X.iloc[order].reset_index(drop=True), y[order]


KINDS: dict[str, Kind] = {
    "smooth": Kind(smooth, 8000, best=0.02),
    "pendulum": Kind(pendulum, 6000, best=0.03),
    "friedman 1": Kind(friedman(make_friedman1, 0.2), 4000, best=0.2),
    "friedman 2": Kind(friedman(make_friedman2, 0.3), 2000, best=0.3),
    "friedman 3": Kind(friedman(make_friedman3, 0.1), 2000, best=0.1),
    "steps": Kind(steps, 6000, best=0.2),
    "straight": Kind(straight, 3000, best=0.4),
    "noise": Kind(noise, 1000, best=1.0),
    "heavy tails": Kind(heavy_tails, 4000),
    "many weak columns": Kind(many_weak, 3000, best=0.5),
    "missing values": Kind(missing, 4000),
    "many levels": Kind(many_levels, 12_000, best=0.3),
    "periodic": Kind(periodic, 3000, best=0.2),
    "counts": Kind(counts, 5000),
    "wrong entries": Kind(curved, 4000, best=0.2, spoil=wrong_entries),
    "200 rows": Kind(few_values, 200, best=0.3),
    "straight classes": Kind(straight_classes, 4000),
    "noise classes": Kind(noise_classes, 1000, best=0.5),
    "text pairs": Kind(text_pairs, 4000),
    "imbalanced": Kind(imbalanced, 8000),
    "many classes": Kind(many_classes, 6000),
    "50 rows": Kind(few_classes, 50, best=0.144),  # Φ(−1.5/√2)
    "2000 columns": Kind(wide, 600, best=0.05),
    "two spirals": Kind(spirals, 1000),
    "xor": Kind(xor, 2000, best=0.05),
    "constant columns": Kind(constant, 2000),
    "repeated rows": Kind(text_pairs, 3000, spoil=repeated),
}
