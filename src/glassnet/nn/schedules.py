"""Define schedules, which give the learning rate of each step.

A schedule is a NamedTuple whose fields are leaves of a pytree, so that changing one compiles nothing. It has
two methods: `rate(step)`, and `bind(total)`, which fills in the length of the run where `steps` is None.
Steps are counted from 0. A new schedule is one class and one row of `SCHEDULES`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import jax.numpy as jnp
import numpy as np

Number: TypeAlias = Any  # a number, or an array (several numbers: a sweep)


@runtime_checkable
class Schedule(Protocol):
    """The methods of a schedule."""

    def rate(self, step: Any) -> Any:
        """Return the learning rate of a step."""

    def bind(self, total: Any) -> Any:
        """Return the schedule with the length of the run, unless it has one of its own."""


class Constant(NamedTuple):
    """rate = learning_rate.

    >>> Constant(0.1).rate(7)
    0.1
    """

    learning_rate: Number

    def rate(self, step: Any) -> Any:
        """rate = learning_rate."""
        return self.learning_rate

    def bind(self, total: Any) -> Constant:
        """Return itself: the length of the run does not matter."""
        return self


class Step(NamedTuple):
    """rate = learning_rate · factor^floor(step / every): a staircase.

    >>> round(float(Step(0.1, factor=0.5, every=10).rate(25)), 4)
    0.025
    """

    learning_rate: Number
    factor: Number = 0.1
    every: Number = 1000

    def rate(self, step: Any) -> Any:
        """rate = learning_rate · factor^floor(step / every)."""
        return self.learning_rate * jnp.power(1.0 * self.factor, jnp.floor(step / self.every))

    def bind(self, total: Any) -> Step:
        """Return itself: the length of the run does not matter."""
        return self


class Exponential(NamedTuple):
    """rate = learning_rate · factor^(step / steps): the same decay each step, down to learning_rate · factor.

    >>> round(float(Exponential(0.1, factor=0.01, steps=10).rate(5)), 4)
    0.01
    """

    learning_rate: Number
    factor: Number = 0.01
    steps: Number | None = None

    def rate(self, step: Any) -> Any:
        """rate = learning_rate · factor^(step / steps)."""
        return self.learning_rate * jnp.power(1.0 * self.factor, step / _length(self.steps))

    def bind(self, total: Any) -> Exponential:
        """Fill in the length of the run."""
        return self._replace(steps=total) if self.steps is None else self


class Cosine(NamedTuple):
    """rate = end + (learning_rate - end) (1 + cos(π t)) / 2, t = step / steps, at most 1.

    Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017.

    >>> round(float(Cosine(0.1, steps=10).rate(5)), 4)
    0.05
    """

    learning_rate: Number
    end: Number = 0.0
    steps: Number | None = None

    def rate(self, step: Any) -> Any:
        """rate = end + (learning_rate - end) (1 + cos(π t)) / 2."""
        t = jnp.minimum(step / _length(self.steps), 1.0)
        return self.end + (self.learning_rate - self.end) * 0.5 * (1 + jnp.cos(math.pi * t))

    def bind(self, total: Any) -> Cosine:
        """Fill in the length of the run."""
        return self._replace(steps=total) if self.steps is None else self


class WarmUp(NamedTuple):
    """Rise linearly over `warm_up` steps, then follow another schedule (or stay constant).

    Step `warm_up - 1` is the first with the full rate; the other schedule starts at step `warm_up`.

    >>> [round(float(WarmUp(0.1, warm_up=4).rate(s)), 3) for s in (0, 1, 3, 9)]
    [0.025, 0.05, 0.1, 0.1]
    """

    after: Any  # a schedule, or a number
    warm_up: Number = 100

    def rate(self, step: Any) -> Any:
        """rate = min(1, (step + 1) / warm_up) · after(step - warm_up)."""
        rise = jnp.minimum((step + 1) / self.warm_up, 1.0)
        return rise * rate_at(self.after, jnp.maximum(step - self.warm_up, 0))

    def bind(self, total: Any) -> WarmUp:
        """Fill in the number of steps after the warm-up."""
        if not isinstance(self.after, Schedule):
            return self
        return self._replace(after=self.after.bind(np.maximum(total - self.warm_up, 1)))


class OneCycle(NamedTuple):
    """Rise from learning_rate / start_factor to learning_rate, then fall to learning_rate / end_factor.

    Both follow half a cosine; the rise takes the fraction `rise` of the run.
    Smith and Topin, "Super-Convergence", 2019.

    >>> [round(float(OneCycle(0.1, steps=10).rate(s)), 4) for s in (0, 3, 10)]
    [0.004, 0.1, 0.0]
    """

    learning_rate: Number
    rise: Number = 0.3
    start_factor: Number = 25.0
    end_factor: Number = 1e4
    steps: Number | None = None

    def rate(self, step: Any) -> Any:
        """rate = half a cosine from start to peak, then half a cosine from peak to end."""
        t = jnp.minimum(step / _length(self.steps), 1.0)
        up = 0.5 * (1 - jnp.cos(math.pi * jnp.minimum(t / self.rise, 1.0)))
        down = 0.5 * (1 + jnp.cos(math.pi * jnp.maximum((t - self.rise) / (1 - self.rise), 0.0)))
        low = jnp.where(t < self.rise, 1 / self.start_factor, 1 / self.end_factor)
        return self.learning_rate * (low + (1 - low) * jnp.where(t < self.rise, up, down))

    def bind(self, total: Any) -> OneCycle:
        """Fill in the length of the run."""
        return self._replace(steps=total) if self.steps is None else self


class Slowed(NamedTuple):
    """rate = factor · after(step): slows any schedule down after a rollback.

    >>> Slowed(0.1, 0.5).rate(3)
    0.05
    """

    after: Any  # a schedule, or a number
    factor: Number = 1.0

    def rate(self, step: Any) -> Any:
        """rate = factor · after(step)."""
        return self.factor * rate_at(self.after, step)

    def bind(self, total: Any) -> Slowed:
        """Fill in the length of the run."""
        bound = self.after.bind(total) if isinstance(self.after, Schedule) else self.after
        return self._replace(after=bound)


def _length(steps: Any) -> Any:
    """Return the length of a schedule; ValueError if it has none yet."""
    if steps is None:
        raise ValueError(
            "The schedule has no length yet: give steps=, or call schedule.bind(total)."
        )
    return steps


def rate_at(learning_rate: Any, step: Any) -> Any:
    """Return the learning rate of a step; a plain number is the rate of all steps.

    >>> rate_at(0.1, 3), rate_at(Constant(0.2), 3)
    (0.1, 0.2)
    """
    return learning_rate.rate(step) if isinstance(learning_rate, Schedule) else learning_rate


SCHEDULES: dict[str, type[Any]] = {
    "Constant": Constant,
    "Step": Step,
    "Exponential": Exponential,
    "Cosine": Cosine,
    "WarmUp": WarmUp,
    "OneCycle": OneCycle,
}
