"""Show a progress bar with loss, validation loss and time left, if the output is a terminal."""

from __future__ import annotations

from typing import Any

from glassnet.training.loop import Event


class ProgressBar:
    """A callback that draws a bar on the standard error output, if that is a terminal.

    >>> ProgressBar().coarse  # it need not be called after every epoch
    True
    """

    coarse = True

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None

    def __call__(self, event: Event) -> None:
        """Advance the bar."""
        if self._bar is None:
            self._start(event.epochs)
        columns = event.history.columns
        parts = [f"loss {columns['loss'][-1]:.4f}"]
        if "validation_loss" in columns:
            parts.append(f"validation {columns['validation_loss'][-1]:.4f}")
        if "validation_accuracy" in columns:
            parts.append(f"accuracy {columns['validation_accuracy'][-1]:.1%}")
        self._bar.update(self._task, completed=event.epoch, scores=", ".join(parts))

    def close(self) -> None:
        """Remove the bar; `loop.fit` calls this at the end of a run."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _start(self, epochs: int) -> None:
        from rich.console import (
            Console,
        )  # lazily: it takes a tenth of a second, which silent runs need not wait for
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("epoch"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.fields[scores]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("train", total=epochs, scores="")
        self._bar.start()


class StepBar:
    """A bar like `ProgressBar`, but over the named steps of a longer task.

    >>> bar = StepBar("compare", steps=2, wanted=False)
    >>> bar.step("the linear model")
    >>> bar.close()
    """

    def __init__(self, title: str, steps: int, wanted: bool) -> None:
        self._bar: Any = None
        if not wanted:
            return
        from rich.console import Console  # lazily, as above
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn(title),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.fields[step]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task(title, total=steps, step="")
        self._bar.start()
        self._completed = 0

    def step(self, name: str) -> None:
        """Start the next step, which completes the one before."""
        if self._bar is not None:
            self._bar.update(self._task, completed=self._completed, step=name)
            self._completed += 1

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
