"""Draw initial weights that are large enough to carry signals and all different.

An initializer is a frozen dataclass with one method, `draw(key, shape) -> array`, for a weight matrix of
shape (units, inputs). To add one, write a class and a row of `INITIALIZERS`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from glassnet import keys
from glassnet._precision import default_float
from glassnet._types import Key, Shape


@dataclass(frozen=True)
class Zeros:
    """W = 0. All neurons of a layer stay identical forever: only for biases and demonstrations.

    >>> Zeros().draw(keys.key(0), (1, 2)).tolist()
    [[0.0, 0.0]]
    """

    def draw(self, key: Key, shape: Shape) -> np.ndarray:
        """Return zeros."""
        del key
        return np.zeros(shape, default_float())


@dataclass(frozen=True)
class Normal:
    """W ~ N(0, std²); `std` defaults to 0.05.

    >>> Normal(std=0.1).draw(keys.key(0), (4, 3)).shape
    (4, 3)
    """

    std: float = 0.05

    def draw(self, key: Key, shape: Shape) -> np.ndarray:
        """Return normal numbers of deviation `std`."""
        return np.asarray(keys.normal(key, shape) * self.std)


@dataclass(frozen=True)
class Uniform:
    """W ~ U(-limit, limit); `limit` defaults to 0.05.

    >>> bool(abs(Uniform(limit=0.1).draw(keys.key(0), (4, 3))).max() < 0.1)
    True
    """

    limit: float = 0.05

    def draw(self, key: Key, shape: Shape) -> np.ndarray:
        """Return uniform numbers within ±`limit`."""
        return np.asarray(keys.uniform(key, shape) * (2 * self.limit) - self.limit)


@dataclass(frozen=True)
class LeCun:
    """W ~ N(0, 1 / inputs): preserves the variance from layer to layer, for linear and SELU layers.

    LeCun et al., "Efficient BackProp", 1998.
    """

    def draw(self, key: Key, shape: Shape) -> np.ndarray:
        """Return normal numbers of deviation sqrt(1 / inputs)."""
        return Normal(math.sqrt(1 / max(shape[1], 1))).draw(key, shape)


@dataclass(frozen=True)
class Glorot:
    """W ~ U(-r, r), r = sqrt(6 / (inputs + units)): for tanh and sigmoid.

    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    2010.
    """

    def draw(self, key: Key, shape: Shape) -> np.ndarray:
        """Return uniform numbers within ±sqrt(6 / (inputs + units))."""
        return Uniform(math.sqrt(6 / (shape[0] + shape[1]))).draw(key, shape)


@dataclass(frozen=True)
class He:
    """W ~ N(0, 2 / inputs): for ReLU, which cuts off half of the signal.

    He et al., "Delving Deep into Rectifiers", 2015.
    """

    def draw(self, key: Key, shape: Shape) -> np.ndarray:
        """Return normal numbers of deviation sqrt(2 / inputs)."""
        return Normal(math.sqrt(2 / max(shape[1], 1))).draw(key, shape)


Initializer = Zeros | Normal | Uniform | LeCun | Glorot | He

INITIALIZERS: dict[str, Initializer] = {
    "he": He(),
    "glorot": Glorot(),
    "lecun": LeCun(),
    "normal": Normal(),
    "uniform": Uniform(),
    "zeros": Zeros(),
}
