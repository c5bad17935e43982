"""Every error and warning of glassnet, each with what was seen, why it matters, what to do next.

Exception
├── GlassnetError                everything below; catch this one to catch them all
│   ├── DataError                (also ValueError) the data cannot be used as it is
│   │   ├── NestedValueError     (also TypeError) a cell holds a list, a dictionary or the like
│   │   └── CheckpointError      a checkpoint could not be written; it carries the run so far
│   ├── ConfigurationError       (also ValueError) a parameter or an architecture is wrong
│   ├── ModelFormatError         (also ValueError) a model file is damaged or not one of ours
│   └── DivergenceError          (also ValueError) training produced infinite or undefined numbers
Warning
└── GlassnetWarning              (UserWarning)
    ├── DataWarning              the data can be used, but something about it is suspicious
    └── TrainingWarning          training went on, but not as it was asked to
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class GlassnetError(Exception):
    """The root of all errors that glassnet raises on purpose."""


class DataError(GlassnetError, ValueError):
    """The data cannot be used as it is."""


class NestedValueError(DataError, TypeError):
    """A cell of a table holds a list, a dictionary or the like instead of one plain value."""


class CheckpointError(DataError):
    """A checkpoint could not be written. The run ended there, and nothing that was there before is lost.

    state: the `TrainState` so far; of several networks, theirs stacked along a first axis.
    histories: their histories. `gn.train(..., state=error.state, history=error.histories[0])` goes on.
    """

    state: Any = None
    histories: Any = ()


class ConfigurationError(GlassnetError, ValueError):
    """A parameter or an architecture is wrong."""


class ModelFormatError(GlassnetError, ValueError):
    """A model file is damaged, of another version, or no model file at all."""


class DivergenceError(GlassnetError, ValueError):
    """Training produced infinite or undefined numbers and was stopped before they reached the weights.

    step, epoch: where, both from 1. learning_rate: there (NaN if the optimizer keeps it to itself).
    where: the part of the network where it began, and in which pass; "" if that could not be told.
    model: the last good one: of the best epoch where rows were watched, else that from which the epoch of the
        lowest loss began.
    state, history: of that model's run; `gn.train(..., state=error.state, history=error.history)` goes on.
    blueprint, finished: the model without parameters, and the end of each network, for `diagnose`.
    diagnosis: what `train(..., diagnose=True)` found.
    """

    step: int = 0
    epoch: int = 0
    learning_rate: float = float("nan")
    where: str = ""
    model: Any = None
    state: Any = None
    history: Any = None
    blueprint: Any = None
    finished: tuple[Any, ...] = ()
    diagnosis: Any = None


class GlassnetWarning(UserWarning):
    """The root of all warnings that glassnet gives."""


class DataWarning(GlassnetWarning):
    """The data can be used, but something about it is suspicious."""


class TrainingWarning(GlassnetWarning):
    """Training went on, but not as it was asked to."""


def did_you_mean(seen: str, choices: Iterable[str]) -> str:
    """Return " Did you mean 'adam'?" for the choice nearest to what was seen, or "".

    >>> did_you_mean("adm", ["sgd", "adam"])
    " Did you mean 'adam'?"
    """
    near = difflib.get_close_matches(seen, list(choices), n=1)
    return f" Did you mean '{near[0]}'?" if near else ""
