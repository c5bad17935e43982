"""Every error and warning of glassnet, each with what was seen, why it matters, what to do next.

Exception
├── GlassnetError                everything below; catch this one to catch them all
│   ├── DataError                (also ValueError) the data cannot be used as it is
│   │   └── NestedValueError     (also TypeError) a cell holds a list, a dictionary or the like
│   ├── ConfigurationError       (also ValueError) a parameter or an architecture is wrong
│   ├── ModelFormatError         (also ValueError) a model file is damaged or not one of ours
│   └── DivergenceError          (also ValueError) training produced infinite or undefined numbers
Warning
└── GlassnetWarning              (UserWarning)
    └── DataWarning              the data can be used, but something about it is suspicious
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


class ConfigurationError(GlassnetError, ValueError):
    """A parameter or an architecture is wrong."""


class ModelFormatError(GlassnetError, ValueError):
    """A model file is damaged, of another version, or no model file at all."""


class DivergenceError(GlassnetError, ValueError):
    """Training produced an infinite or undefined loss or gradient and was stopped.

    blueprint, finished: the model without parameters, and the end of each network, for `diagnose`.
    diagnosis: what `train(..., diagnose=True)` found.
    """

    def __init__(self, message: str, blueprint: Any = None, finished: tuple[Any, ...] = ()) -> None:
        super().__init__(message)
        self.blueprint, self.finished = blueprint, finished
        self.diagnosis: Any = None


class GlassnetWarning(UserWarning):
    """The root of all warnings that glassnet gives."""


class DataWarning(GlassnetWarning):
    """The data can be used, but something about it is suspicious."""


def did_you_mean(seen: str, choices: Iterable[str]) -> str:
    """Return " Did you mean 'adam'?" for the choice nearest to what was seen, or "".

    >>> did_you_mean("adm", ["sgd", "adam"])
    " Did you mean 'adam'?"
    """
    near = difflib.get_close_matches(seen, list(choices), n=1)
    return f" Did you mean '{near[0]}'?" if near else ""
