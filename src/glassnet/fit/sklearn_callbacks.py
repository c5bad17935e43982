"""Call scikit-learn's callbacks (from version 1.9 on): `fit` is a task, and each epoch a task inside it.

With an older scikit-learn an estimator has no `set_callbacks`, and this module does nothing.
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

    class CallbackSupportMixin:  # type: ignore[no-redef]  # replaces scikit-learn's
        """An empty class: this scikit-learn has no callbacks."""

    def with_callbacks(method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method unchanged."""
        return method


__all__ = ["CallbackSupportMixin", "fit_tasks", "with_callbacks"]


@contextmanager
def fit_tasks(
    estimator: Any, job: Job, fit_arguments: tuple[Any, Any, Any] | None
) -> Iterator[list[FitTasks]]:
    """Call an estimator's scikit-learn callbacks, if it has any, when `fit` begins and ends.

    fit_arguments: X, y and the sample weights of `fit`; with None no callback is called.
    """
    if fit_arguments is None or not getattr(estimator, "_skl_callbacks", None):
        yield []
        return
    tasks = FitTasks(estimator, job, fit_arguments)
    yield [tasks]
    tasks.end()


class FitTasks:
    """A callback that calls scikit-learn's callbacks after every epoch, and stops if one of them asks to.

    The task "fit" contains a task "epoch" for each epoch. Each gets the rows and sample weights as given
    and, on request, the estimator as it would be if `fit` ended now. The number of epochs is unknown if the
    networks need several programs, or if training may roll back.
    """

    def __init__(self, estimator: Any, job: Job, fit_arguments: tuple[Any, Any, Any]) -> None:
        X, y, weight = fit_arguments
        metadata = {} if weight is None else {"sample_weight": weight}
        self._context = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._estimator, self._job = estimator, job
        self._earlier: list[Outcome] = []  # of the networks whose programs have ended
        self._last: Event | None = None
        self._stopped = False
        open_ended = len(groups_of(job.members)) > 1 or isinstance(job.on_divergence, Rollback)
        limit = None if open_ended else max(0, job.epochs - int(job.states[0].epoch))
        self._fit = estimator._init_callback_context(max_subtasks=limit)
        self._fit.call_on_fit_task_begin(**self._context)
        self._begin()

    def _begin(self) -> None:
        """Report that an epoch begins."""
        context = self._fit.subcontext(task_name="epoch")
        self._epoch = context.call_on_fit_task_begin(**self._context)

    def __call__(self, event: Event) -> bool:
        """Report that an epoch has ended, and that the next one begins if there is one."""
        if self._epoch is None:
            self._begin()
        self._last = event
        fitted = self._attributes if event.epoch else None  # 0: rolled back to the start
        stop = self._epoch.call_on_fit_task_end(**self._context, reconstruction_attributes=fitted)
        self._epoch = None
        self._stopped = self._stopped or bool(stop)
        if not self._stopped and unfinished(event.state, event.epochs).any():
            self._begin()
        return self._stopped

    def close(self) -> None:
        """Keep the outcomes of the networks of a program that has ended."""
        self._earlier, self._last = self._current_outcomes(), None

    def _current_outcomes(self) -> list[Outcome]:
        """Return the outcomes if training ended now; networks still in training get their mean history."""
        if self._last is None:
            return self._earlier
        history = self._last.history
        members = self._job.members[len(self._earlier) :]
        return self._earlier + [
            Outcome(state, history, STATUS[int(state.status)], Settings.of(member))
            for member, state in zip(members, unstacked(self._last.state), strict=False)
        ]

    def _attributes(self) -> dict[str, Any]:
        """Return the fitted attributes if `fit` ended now."""
        estimator = copy.copy(self._estimator)._set_fitted(self._job, self._current_outcomes())
        return {name: value for name, value in vars(estimator).items() if name.endswith("_")}

    def end(self) -> None:
        """Report that `fit` has ended."""
        self._fit.call_on_fit_task_end(**self._context, reconstruction_attributes={})
