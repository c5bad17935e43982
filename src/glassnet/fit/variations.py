"""Vary the numbers of a training job, for a sweep.

Only traced values may vary (the seed, dropout rates, penalties, and the numbers of the optimizer and its
schedule), so that all networks share one program.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from glassnet import keys
from glassnet._checks import check_range
from glassnet._precision import precision
from glassnet.diagnosis.remedies import with_dropout
from glassnet.errors import ConfigurationError, did_you_mean
from glassnet.fit.inputs import member_keys
from glassnet.nn.layers import Dropout
from glassnet.nn.network import Network, each_layer
from glassnet.nn.optimizer_wrappers import as_optimizer
from glassnet.nn.penalties import Penalty
from glassnet.nn.schedules import Schedule, WarmUp
from glassnet.training.jobs import Job
from glassnet.training.loop import start

Settings = dict[str, Any]


def grid(over: Mapping[str, Iterable[Any]] | Sequence[Mapping[str, Any]]) -> list[Settings]:
    """Return a list of settings: all combinations of a mapping's values, or the settings listed.

    Raises
    ------
    ConfigurationError: `over` has neither form, or is empty.

    >>> grid({"learning_rate": [0.1, 0.01], "seed": [0]})
    [{'learning_rate': 0.1, 'seed': 0}, {'learning_rate': 0.01, 'seed': 0}]
    """
    if isinstance(over, Mapping):
        values = {name: _values(name, items) for name, items in over.items()}
        points = [
            dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())
        ]
        listed = points if values else []
    elif isinstance(over, list | tuple) and all(isinstance(point, Mapping) for point in over):
        listed = [dict(point) for point in over]
    else:
        raise ConfigurationError(
            f"over is {over!r}, but it must name what varies, as in"
            ' {"learning_rate": [1e-3, 1e-2], "seed": range(3)}, or list such settings one by one.'
        )
    if not listed or not all(listed):
        raise ConfigurationError(
            'over is empty: name what varies, as in {"learning_rate": [1e-3, 1e-2]}.'
        )
    return listed


def _values(name: str, items: Any) -> list[Any]:
    if isinstance(items, str) or not isinstance(items, Iterable):
        raise ConfigurationError(
            f"over[{name!r}] is {items!r}, but it must list values: [{items!r}, ...]."
        )
    return [value.item() if isinstance(value, np.generic) else value for value in items]


def vary(job: Job, settings: Settings) -> Job:
    """Return the job with other numbers; the order of the rows stays the same.

    Raises
    ------
    ConfigurationError: a name that is not a traced number of this training, or a number out of range.
    """
    network, optimizer = job.blueprint.network, as_optimizer(job.optimizers[0])
    penalty, member_seeds = job.penalties[0], job.keys
    for name, value in settings.items():
        if name == "seed":
            member_seeds = member_keys(keys.key(value), len(job.keys))
        elif name == "dropout":
            _check_has_dropout(network)
            network = with_dropout(network, value)
        elif name in Penalty._fields:
            check_range(name, value, 0, np.inf)
            penalty = penalty._replace(**{name: value})
        else:
            optimizer = with_number(optimizer, name, value)
    plan = replace(job.plan, penalised=job.plan.penalised or any(penalty))
    n_networks = len(member_seeds)
    with precision(job.blueprint.dtype):
        in_shape = job.blueprint.in_shape
        fresh = [start(plan, network, optimizer, in_shape, key)[0] for key in member_seeds]
    return job._replace(
        blueprint=replace(job.blueprint, network=network),
        plan=plan,
        keys=member_seeds,
        states=tuple(state._replace(order=job.states[0].order) for state in fresh),
        optimizers=(optimizer,) * n_networks,
        penalties=(penalty,) * n_networks,
    )


def _check_has_dropout(network: Network) -> None:
    if not any(isinstance(layer, Dropout) for _, layer, _ in each_layer(network)):
        raise ConfigurationError(
            "dropout cannot vary, because the network has no dropout layer: add gn.Dropout(0.1) to it."
        )


def with_number(optimizer: Any, name: str, value: Any) -> Any:
    """Return the optimizer with a new value of one of its numbers, or of a number of its schedule.

    Raises
    ------
    ConfigurationError: there is no number of this name.

    >>> from glassnet.nn.optimizers import AdamW
    >>> from glassnet.nn.optimizer_wrappers import ClipByNorm
    >>> with_number(ClipByNorm(AdamW()), "weight_decay", 0.5).optimizer.weight_decay
    0.5
    """
    varied = _replaced(optimizer, name, value)
    if varied is None:
        known = sorted({"seed", "dropout", *Penalty._fields, *_numbers(optimizer)})
        raise ConfigurationError(
            f"'{name}' cannot vary here.{did_you_mean(name, known)} These can: {', '.join(known)}."
        )
    return varied


def _replaced(part: Any, name: str, value: Any) -> Any:
    """Return an optimizer or schedule with its innermost number of this name replaced, or None."""
    if (
        name == "learning_rate"
        and isinstance(part, WarmUp)
        and not isinstance(part.after, Schedule)
    ):
        return part._replace(after=value)
    for field in getattr(part, "_fields", ()):
        inner = getattr(part, field)
        # a schedule replaces a whole schedule, not a number in it
        replaces_schedule = isinstance(value, Schedule) and isinstance(inner, Schedule)
        if hasattr(inner, "_fields") and not replaces_schedule:
            new = _replaced(inner, name, value)
            if new is not None:
                return part._replace(**{field: new})
    return part._replace(**{name: value}) if name in getattr(part, "_fields", ()) else None


def _numbers(part: Any) -> Iterator[str]:
    for field in getattr(part, "_fields", ()):
        inner = getattr(part, field)
        if hasattr(inner, "_fields"):
            yield from _numbers(inner)
        if not hasattr(inner, "_fields") or field == "learning_rate":
            yield field
