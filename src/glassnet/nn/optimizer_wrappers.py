"""Wrappers: what goes around an optimizer, and what a person may give for one.

A wrapper obeys the Optimizer contract (`optimizers`) and holds another optimizer in its field `optimizer`.
"""

from __future__ import annotations

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
from glassnet.nn.optimizers import OPTIMIZERS, Adam, Rate, global_norm, settled
from glassnet.nn.schedules import Schedule, Slowed


class ClipByNorm(NamedTuple):
    """Another optimizer, fed gradients whose common norm is at most `max_norm`.

    g ← g · min(1, max_norm / ‖g‖), ‖g‖ over all parameters together.
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
    """Another optimizer, whose parameters are averaged along its way; the average is what predicts.

    w̄ ← w̄ + (w - w̄) / (1 + share · t) after step t: the mean of about the last `share` of all steps so
    far. The steps themselves go on from w. At a steady learning rate w wanders about a minimum and w̄ lies
    near its middle, at any time: no length of the run has to be known for a schedule to end it well.
    Validation, the best epoch and prediction take w̄; what layers keep between batches is averaged too.

    Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992.

    Parameters
    ----------
    optimizer: an optimizer or its name. share: of the run so far, in (0, 1]. Default 0.1.

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
        """Let the optimizer inside update."""
        updates, state = self.optimizer.update(grads, state, params, decay=decay, ok=ok)
        return updates, state

    def average(self, average: Any, new: Any, step: Any) -> Any:
        """Return w̄ + (w - w̄) / (1 + share · t) of each array of floats; others as they are in `new`."""
        part = jnp.asarray(1 / (1 + self.share * step), default_float())

        def toward(mean: Any, w: Any) -> Any:
            floating = jnp.issubdtype(jnp.result_type(w), jnp.floating)
            return mean + part * (w - mean) if floating else w

        return jax.tree.map(toward, average, new)


@partial(jax.tree_util.register_dataclass, data_fields=[], meta_fields=["transformation"])
@dataclass(frozen=True)
class Transformation:
    """An optax transformation (or anything with its two functions) in the place of an optimizer."""

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
        """The transformation's own updates; it knows nothing of `decay`, use its mask."""
        updates, moved = self.transformation.update(grads, state, params)
        return updates, settled(ok, moved, state)


def as_optimizer(given: Any) -> Any:
    """Return one of our optimizers as it is, and any optax transformation as a `Transformation`.

    Raises
    ------
    ConfigurationError: it is neither, nor the name of one.

    >>> as_optimizer("adam").learning_rate
    0.001
    """
    found = resolve("optimizer", given, OPTIMIZERS)
    if isinstance(found, (ClipByNorm, Averaged)):
        return found._replace(optimizer=as_optimizer(found.optimizer))
    if isinstance(found, (Transformation, *map(type, OPTIMIZERS.values()))):
        return found
    has_both = callable(getattr(found, "init", None)) and callable(getattr(found, "update", None))
    if has_both and not isinstance(found, type):  # a class has them too, but gn.Adam lacks its ()
        return Transformation(found)
    raise ConfigurationError(
        f"{given!r} is no optimizer. Give its name ('adam'), an object (gn.Adam(1e-3)),"
        " or an optax transformation."
    )


def bind_schedules(optimizer: Any, total_steps: Any) -> Any:
    """Return the optimizer with the run's length in each schedule that has none of its own.

    >>> from glassnet.nn.schedules import Cosine
    >>> bind_schedules(Adam(Cosine(0.1)), 500).learning_rate.steps
    500
    """
    if isinstance(optimizer, (ClipByNorm, Averaged)):
        return optimizer._replace(optimizer=bind_schedules(optimizer.optimizer, total_steps))
    rate = getattr(optimizer, "learning_rate", None)
    if isinstance(rate, Schedule):
        return optimizer._replace(learning_rate=rate.bind(total_steps))
    return optimizer


def slowed(optimizer: Any, factor: Any) -> Any:
    """Return the optimizer with its learning rate, a number or a schedule, times a factor.

    Raises
    ------
    ConfigurationError: it keeps its learning rate to itself, as optax's transformations do.

    >>> from glassnet.nn.schedules import rate_at
    >>> rate_at(slowed(Averaged(Adam(0.1)), 0.5).learning_rate, 0)
    0.05
    """
    if isinstance(optimizer, (ClipByNorm, Averaged)):
        return optimizer._replace(optimizer=slowed(optimizer.optimizer, factor))
    if not hasattr(optimizer, "learning_rate"):
        raise ConfigurationError(
            'on_divergence="rollback" halves the learning rate, which an optax transformation keeps to'
            ' itself: use an optimizer of glassnet, such as gn.Adam(1e-3), or on_divergence="stop".'
        )
    return optimizer._replace(learning_rate=Slowed(optimizer.learning_rate, factor))


def is_foreign(optimizer: Any) -> bool:
    """Return whether the optimizer is, or holds, a transformation of optax: it must see each parameter."""
    inside = getattr(optimizer, "optimizer", None)
    return isinstance(optimizer, Transformation) or (inside is not None and is_foreign(inside))
