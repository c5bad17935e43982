"""scikit-learn's callbacks, since its version 1.9: `fit` is a task, each epoch a task inside it.

Where scikit-learn has none, an estimator has no `set_callbacks`, and nothing here does anything.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from glassnet.training.divergence import Rollback
from glassnet.training.jobs import Job, Outcome, Settings, groups_of, unstacked
from glassnet.training.loop import STATUS, Event, unfinished

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]  # a stand-in
        """Nothing: estimators have no callbacks of scikit-learn's."""

    def with_callbacks(method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method as it is."""
        return method


__all__ = ["CallbackSupportMixin", "fit_tasks", "with_callbacks"]


@contextmanager
def fit_tasks(
    estimator: Any, job: Job, told: tuple[Any, Any, Any] | None
) -> Iterator[list[FitTasks]]:
    """Tell an estimator's callbacks of scikit-learn's, if it has any, that `fit` begins and ends.

    told: X, y and the sample weights of `fit`; None: nobody is told.
    """
    if told is None or not getattr(estimator, "_skl_callbacks", None):
        yield []
        return
    tasks = FitTasks(estimator, job, told)
    yield [tasks]
    tasks.end()


class FitTasks:
    """A callback of ours that tells scikit-learn's of every epoch, and stops when one of them says so.

    They are told of `fit`, and inside it of one task "epoch" after the other, each with the rows as they
    were given, the sample weights, and (made for who asks) the estimator as it would be if `fit` ended.
    Networks too many for one program train one part after the other, and so do their epochs: how many there
    will be is then not known before, nor is it with a rollback.
    """

    def __init__(self, estimator: Any, job: Job, told: tuple[Any, Any, Any]) -> None:
        X, y, weight = told
        metadata = {} if weight is None else {"sample_weight": weight}
        self._said = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._estimator, self._job = estimator, job
        self._earlier: list[Outcome] = []  # networks of the parts that have ended
        self._last: Event | None = None
        self._stopped = False
        open_ended = len(groups_of(job.members)) > 1 or isinstance(job.on_divergence, Rollback)
        most = None if open_ended else max(0, job.epochs - int(job.states[0].epoch))
        self._fit = estimator._init_callback_context(max_subtasks=most)
        self._fit.call_on_fit_task_begin(**self._said)
        self._begin()

    def _begin(self) -> None:
        """Tell that an epoch begins."""
        context = self._fit.subcontext(task_name="epoch")
        self._epoch = context.call_on_fit_task_begin(**self._said)

    def __call__(self, event: Event) -> bool:
        """Tell that an epoch has ended, and that the next begins, unless there is none."""
        if self._epoch is None:
            self._begin()
        self._last = event
        fitted = self._attributes if event.epoch else None  # 0: rolled back to the start
        stop = self._epoch.call_on_fit_task_end(**self._said, reconstruction_attributes=fitted)
        self._epoch = None
        self._stopped = self._stopped or bool(stop)
        if not self._stopped and unfinished(event.state, event.epochs).any():
            self._begin()
        return self._stopped

    def close(self) -> None:
        """Note that a part of the networks has ended."""
        self._earlier, self._last = self._ends(), None

    def _ends(self) -> list[Outcome]:
        """Return all networks so far as if they had ended here; of their histories the mean is known."""
        if self._last is None:
            return self._earlier
        history = self._last.history
        members = self._job.members[len(self._earlier) :]
        return self._earlier + [
            Outcome(state, history, STATUS[int(state.status)], Settings.of(member))
            for member, state in zip(members, unstacked(self._last.state), strict=False)
        ]

    def _attributes(self) -> dict[str, Any]:
        """Return what would be fitted had `fit` ended here."""
        kept = copy.copy(self._estimator)._keep(self._job, self._ends())
        return {name: value for name, value in vars(kept).items() if name.endswith("_")}

    def end(self) -> None:
        """Tell that `fit` has ended."""
        self._fit.call_on_fit_task_end(**self._said, reconstruction_attributes={})
