"""Wrap an optimizer to clip its gradients or to average its steps, and accept optax transformations.

A wrapper obeys the Optimizer contract (`optimizers`) and holds another optimizer in its field `optimizer`.
Wrappers nest in any order. Everything that looks inside them uses `unwrapped`, `innermost`, `map_innermost`.

    ClipByNorm, Averaged          the wrappers
    Transformation                an optax transformation as an optimizer
    as_optimizer                  turns a name, an object or an optax transformation into an optimizer
    init_average, update_average  the average used for prediction, if one of the wrappers is an `Averaged`
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from glassnet._checks import resolve
from glassnet._precision import default_float
from glassnet._types import Params
from glassnet.errors import ConfigurationError
from glassnet.nn.optimizers import OPTIMIZERS, Adam, Rate, global_norm, keep_if_finite
from glassnet.nn.schedules import Schedule, Slowed


class ClipByNorm(NamedTuple):
    """Clip the gradients that another optimizer receives to a common norm of at most `max_norm`.

    g ← g · min(1, max_norm / ‖g‖), with ‖g‖ the norm over all parameters together.
    Pascanu et al., "On the difficulty of training recurrent neural networks", 2013.

    >>> from glassnet.nn.optimizers import SGD
    >>> optimizer = ClipByNorm(SGD(1.0), max_norm=1.0)
    >>> grads = jnp.array([3.0, 4.0])
    >>> [round(u, 4) for u in optimizer.update(grads, optimizer.init(grads))[0].tolist()]
    [-0.6, -0.8]
    """

    optimizer: Any = Adam()
    max_norm: Any = 1.0

    @property
    def learning_rate(self) -> Rate:
        """The learning rate of the optimizer inside."""
        return getattr(self.optimizer, "learning_rate", jnp.nan)

    def init(self, params: Params) -> Any:
        """The state of the optimizer inside."""
        return self.optimizer.init(params)

    def update(
        self,
        grads: Params,
        state: Any,
        params: Params = None,
        *,
        decay: Params = None,
        ok: Any = None,
    ) -> tuple[Params, Any]:
        """Clip, then let the optimizer inside update."""
        norm = global_norm(grads)
        factor = jnp.minimum(1.0, self.max_norm / jnp.maximum(norm, np.finfo(norm.dtype).tiny))
        clipped = jax.tree.map(lambda g: g * factor, grads)
        updates, state = self.optimizer.update(clipped, state, params, decay=decay, ok=ok)
        return updates, state


class Averaged(NamedTuple):
    """Average the parameters over the steps of another optimizer, and predict with the average.

    w̄ ← w̄ + (w - w̄) / (1 + share · t) after step t: the mean over about the last `share` of the steps so
    far. The optimizer continues from w, not from w̄. At a constant learning rate, w wanders around a minimum
    and w̄ stays close to it, so no schedule for the length of the run is needed. Validation, the best epoch
    and prediction use w̄. The state of layers, such as the moving mean of batch norm, is averaged too.

    It may be inside or around `ClipByNorm`, with the same result, but not inside another `Averaged`.

    Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992.

    Parameters
    ----------
    optimizer: an optimizer or its name. share: fraction of the run so far, in (0, 1]. Default 0.1.

    >>> optimizer = Averaged(Adam(1e-3), share=1.0)
    >>> optimizer.average(jnp.array([1.0]), jnp.array([3.0]), step=1).tolist()  # of step 0 and step 1
    [2.0]
    """

    optimizer: Any = Adam()
    share: Any = 0.1

    @property
    def learning_rate(self) -> Rate:
        """The learning rate of the optimizer inside."""
        return getattr(self.optimizer, "learning_rate", jnp.nan)

    def init(self, params: Params) -> Any:
        """The state of the optimizer inside."""
        return self.optimizer.init(params)

    def update(
        self,
        grads: Params,
        state: Any,
        params: Params = None,
        *,
        decay: Params = None,
        ok: Any = None,
    ) -> tuple[Params, Any]:
        """The updates of the optimizer inside."""
        updates, state = self.optimizer.update(grads, state, params, decay=decay, ok=ok)
        return updates, state

    def average(self, average: Any, new: Any, step: Any) -> Any:
        """Return w̄ + (w - w̄) / (1 + share · t) for each array of floats; other arrays are those of `new`."""
        fraction = jnp.asarray(1 / (1 + self.share * step), default_float())

        def update(mean: Any, w: Any) -> Any:
            floating = jnp.issubdtype(jnp.result_type(w), jnp.floating)
            return mean + fraction * (w - mean) if floating else w

        return jax.tree.map(update, average, new)


@partial(jax.tree_util.register_dataclass, data_fields=[], meta_fields=["transformation"])
@dataclass(frozen=True)
class Transformation:
    """Use an optax transformation, or any object with `init` and `update`, as an optimizer."""

    transformation: Any

    def init(self, params: Params) -> Any:
        """The transformation's own state."""
        return self.transformation.init(params)

    def update(
        self,
        grads: Params,
        state: Any,
        params: Params = None,
        *,
        decay: Params = None,
        ok: Any = None,
    ) -> tuple[Params, Any]:
        """The transformation's own updates; for weight decay, use its mask instead of `decay`."""
        updates, new = self.transformation.update(grads, state, params)
        return updates, keep_if_finite(ok, new, state)


WRAPPERS = (ClipByNorm, Averaged)


def unwrapped(optimizer: Any) -> Iterator[Any]:
    """Yield an optimizer, then the one inside it, and so on to the innermost.

    >>> [type(o).__name__ for o in unwrapped(ClipByNorm(Averaged(Adam())))]
    ['ClipByNorm', 'Averaged', 'Adam']
    """
    yield optimizer
    if isinstance(optimizer, WRAPPERS):
        yield from unwrapped(optimizer.optimizer)


def innermost(optimizer: Any) -> Any:
    """Return the optimizer inside all wrappers.

    >>> innermost(ClipByNorm(Averaged(Adam(0.1)))).learning_rate
    0.1
    """
    *_, inside = unwrapped(optimizer)
    return inside


def map_innermost(change: Callable[[Any], Any], optimizer: Any) -> Any:
    """Return the same wrappers around a changed innermost optimizer.

    >>> map_innermost(lambda adam: adam._replace(learning_rate=0.1), ClipByNorm(Adam())).learning_rate
    0.1
    """
    if isinstance(optimizer, WRAPPERS):
        return optimizer._replace(optimizer=map_innermost(change, optimizer.optimizer))
    return change(optimizer)


def averaging(optimizer: Any) -> Averaged | None:
    """Return the `Averaged` among the wrappers, or None if there is none."""
    return next((o for o in unwrapped(optimizer) if isinstance(o, Averaged)), None)


def init_average(optimizer: Any, weights: Any) -> Any:
    """Return the average before the first step: the weights themselves, or () if nothing is averaged."""
    return () if averaging(optimizer) is None else weights


def update_average(optimizer: Any, average: Any, weights: Any, step: Any) -> Any:
    """Return the average after the step that gave these weights; () if nothing is averaged."""
    wrapper = averaging(optimizer)
    return () if wrapper is None else wrapper.average(average, weights, step)


def as_optimizer(given: Any) -> Any:
    """Return an optimizer, given as a name, an object, or an optax transformation, which is wrapped.

    Raises
    ------
    ConfigurationError: it is none of these, or an `Averaged` is inside another.

    >>> as_optimizer("adam").learning_rate
    0.001
    """
    optimizer = map_innermost(_as_innermost, given)
    if sum(isinstance(o, Averaged) for o in unwrapped(optimizer)) > 1:
        raise ConfigurationError(
            "One gn.Averaged is inside another, but a network predicts with a single average: leave one of"
            " them out."
        )
    return optimizer


def _as_innermost(given: Any) -> Any:
    """Return the innermost optimizer, given as a name, an object, or an optax transformation."""
    optimizer = resolve("optimizer", given, OPTIMIZERS)
    if isinstance(optimizer, (Transformation, *map(type, OPTIMIZERS.values()))):
        return optimizer
    methods = (getattr(optimizer, "init", None), getattr(optimizer, "update", None))
    if all(map(callable, methods)) and not isinstance(optimizer, type):  # gn.Adam without ()
        return Transformation(optimizer)
    raise ConfigurationError(
        f"{given!r} is not an optimizer. Give a name ('adam'), an object (gn.Adam(1e-3)),"
        " or an optax transformation."
    )


def bind_schedules(optimizer: Any, total_steps: Any) -> Any:
    """Return the optimizer with its schedule bound to the run's length, unless it has its own.

    >>> from glassnet.nn.schedules import Cosine
    >>> bind_schedules(Adam(Cosine(0.1)), 500).learning_rate.steps
    500
    """

    def bind(inside: Any) -> Any:
        rate = getattr(inside, "learning_rate", None)
        return (
            inside._replace(learning_rate=rate.bind(total_steps))
            if isinstance(rate, Schedule)
            else inside
        )

    return map_innermost(bind, optimizer)


def slowed(optimizer: Any, factor: Any) -> Any:
    """Return the optimizer with its learning rate, a number or a schedule, times a factor.

    Raises
    ------
    ConfigurationError: it does not expose its learning rate, as optax transformations do not.

    >>> from glassnet.nn.schedules import rate_at
    >>> rate_at(slowed(Averaged(Adam(0.1)), 0.5).learning_rate, 0)
    0.05
    """

    def slow(inside: Any) -> Any:
        if not hasattr(inside, "learning_rate"):
            raise ConfigurationError(
                'on_divergence="rollback" halves the learning rate, but that of an optax transformation'
                " cannot be changed from outside: use an optimizer of glassnet, such as gn.Adam(1e-3), or"
                ' on_divergence="stop".'
            )
        return inside._replace(learning_rate=Slowed(inside.learning_rate, factor))

    return map_innermost(slow, optimizer)


def is_foreign(optimizer: Any) -> bool:
    """Return whether the innermost optimizer is from optax, which must see parameters one by one."""
    return isinstance(innermost(optimizer), Transformation)
