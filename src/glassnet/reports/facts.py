"""Hold the content of a report."""

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
    """Facts that a report states besides model, history and test.

    Parameters
    ----------
    title: the name of the data, such as a file or a folder.
    target: the name of the predicted column; several are separated by commas.
    rows: the numbers of rows for "training", "validation" and "test".
    seconds: how long training took.
    command: the command line; "" if there was none.
    notes: sentences about what reading the data decided or dropped.
    suspicions: problems of the data that may make a good score meaningless.
    test_rows: the row number in the data of each test row; None: test rows are numbered from 0.
    model_file: the path of the model file; "" if unknown.
    diagnosis: what keeps the network from learning; None: it was not diagnosed.
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
    """The content that every section draws on; the history of a model from a file is empty."""

    model: Model
    history: History
    evaluation: Evaluation
    facts: Facts

    @property
    def trained(self) -> bool:
        """Whether the model was just trained, rather than read from a file."""
        return bool(self.history.n_epochs)

    @property
    def targets(self) -> list[str]:
        """The names of the predicted columns."""
        target = self.model.target_encoder
        if isinstance(target, TargetScaler) and len(target.names) > 1:
            return list(target.names)
        return [self.facts.target or "the target"]
