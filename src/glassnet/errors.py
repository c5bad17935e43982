"""Define the errors and warnings of glassnet. Each says what was seen, why it matters, and what to do next.

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
    └── TrainingWarning          training continued, but not as asked
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
    """A checkpoint could not be written. The run stopped, and earlier checkpoints are intact.

    state: the `TrainState` so far. For several networks, their states are stacked along a first axis.
    histories: the networks' histories.
    `gn.train(..., state=error.state, history=error.histories[0])` continues the run.
    """

    state: Any = None
    histories: Any = ()


class ConfigurationError(GlassnetError, ValueError):
    """A parameter or an architecture is wrong."""


class ModelFormatError(GlassnetError, ValueError):
    """A model file is damaged, from another version, or not a model file."""


class DivergenceError(GlassnetError, ValueError):
    """Training produced infinite or undefined numbers and was stopped before they reached the weights.

    step, epoch: where it happened, both counted from 1.
    learning_rate: at that step; NaN if the optimizer does not show it.
    where: the part of the network and the pass in which it began; "" if unknown.
    model: the last good model: with validation rows, that of the best epoch; otherwise, that at the start of
        the epoch with the lowest loss.
    state, history: of that model; `gn.train(..., state=error.state, history=error.history)` continues.
    blueprint: the model without parameters. finished: each network's outcome. `diagnose` reads both.
    diagnosis: the result of `train(..., diagnose=True)`.
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
    """Training continued, but not as asked."""


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """Return " Did you mean 'adam'?" for the choice nearest to a name, or "".

    >>> did_you_mean("adm", ["sgd", "adam"])
    " Did you mean 'adam'?"
    """
    near = difflib.get_close_matches(name, list(choices), n=1)
    return f" Did you mean '{near[0]}'?" if near else ""
