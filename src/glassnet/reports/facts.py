"""What a report is made from: the model, its training, its test, and what a person wants to read beside."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glassnet.diagnosis.findings import Diagnosis
from glassnet.encoding.targets import TargetScaler
from glassnet.evaluation.evaluation import Evaluation
from glassnet.evaluation.suspicions import Suspicion
from glassnet.models.model import Model
from glassnet.training.history import History


@dataclass(frozen=True)
class Facts:
    """What a report says beside model, history and test.

    Parameters
    ----------
    title: what the data are called: a file, a folder.
    target: the name of what is predicted; several with commas between.
    rows: how many rows were for "training", "validation", "test".
    seconds: how long training took.
    command: what was typed; "" if nothing was.
    notes: what reading the data decided or dropped, a sentence each.
    suspicions: what in the data makes a good score mean little.
    test_rows: the row number in the data of each test row; None: they are counted by themselves.
    model_file: where the model was written; "" if that is not known.
    diagnosis: what keeps the network from learning; None: it was not looked for.
    """

    title: str
    target: str
    rows: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    command: str = ""
    notes: tuple[str, ...] = ()
    suspicions: tuple[Suspicion, ...] = ()
    test_rows: NDArray[np.intp] | None = None
    model_file: str = ""
    diagnosis: Diagnosis | None = None


class ReportContent(NamedTuple):
    """What every section is made from; the history of a model from a file is empty."""

    model: Model
    history: History
    evaluation: Evaluation
    facts: Facts

    @property
    def trained(self) -> bool:
        """Whether the model was trained just now, and not read from a file."""
        return bool(self.history.n_epochs)

    @property
    def targets(self) -> list[str]:
        """The names of what is predicted."""
        target = self.model.target_encoder
        if isinstance(target, TargetScaler) and len(target.names) > 1:
            return list(target.names)
        return [self.facts.target or "the target"]
