"""Report: a trained model and its test on one HTML page that opens anywhere, without a network.

(in the making)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from glassnet.evaluation import Evaluation
from glassnet.history import History
from glassnet.model import Model
from glassnet.suspicions import Suspicion


@dataclass(frozen=True)
class Facts:
    """What a report says beside model, history and test."""

    title: str
    target: str
    rows: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    command: str = ""
    notes: tuple[str, ...] = ()
    suspicions: tuple[Suspicion, ...] = ()
    test_rows: NDArray[Any] | None = None


def report_html(model: Model, history: History, evaluation: Evaluation, facts: Facts) -> str:
    """Return the page."""
    raise NotImplementedError
