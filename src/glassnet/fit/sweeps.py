"""Train many networks with different settings in one program."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from glassnet._checks import check_count, check_range
from glassnet.display.text import text_table
from glassnet.errors import ConfigurationError, did_you_mean
from glassnet.fit.inputs import as_callbacks
from glassnet.fit.parameters import seed_of
from glassnet.fit.train import finished_run, network_job
from glassnet.fit.variations import Settings, grid, vary
from glassnet.nn.network import Network
from glassnet.training.batches import batch_count
from glassnet.training.history import History
from glassnet.training.jobs import Job, Outcome, run_jobs
from glassnet.training.loop import Callback
from glassnet.training.progress import ProgressBar


@dataclass(frozen=True)
class Trial:
    """One network of a sweep.

    settings: its numbers. fitted: its `Run` or estimator; None if it diverged.
    history: one row for each epoch.
    status: "finished", "converged", "stopped early", "interrupted" or "diverged".
    score: its lowest validation loss, or its last training loss without validation rows; infinite if
        it diverged.
    """

    settings: Settings
    fitted: Any
    history: History
    status: str
    score: float


@dataclass(frozen=True)
class Sweep:
    """What `sweep` returns: one trial for each network, in the order of the settings.

    >>> print(Sweep((Trial({"seed": 0}, None, History(), "diverged", math.inf),)))
    seed  epochs  score  status
    0     0       inf    diverged
    """

    trials: tuple[Trial, ...]

    @property
    def runs(self) -> list[Any]:
        """The `Run` or estimator of each trial, in order; None where it diverged."""
        return [trial.fitted for trial in self.trials]

    @property
    def best(self) -> Trial:
        """The trial with the lowest score."""
        return min(self.trials, key=lambda trial: trial.score)

    def to_dict(self) -> dict[str, list[Any]]:
        """Return columns of equal length, for a data frame: settings, epochs, score, status."""
        names = list(dict.fromkeys(name for trial in self.trials for name in trial.settings))
        columns: dict[str, list[Any]] = {
            name: [trial.settings.get(name) for trial in self.trials] for name in names
        }
        columns["epochs"] = [trial.history.n_epochs for trial in self.trials]
        columns["score"] = [trial.score for trial in self.trials]
        columns["status"] = [trial.status for trial in self.trials]
        return columns

    def __str__(self) -> str:
        columns = self.to_dict()
        rows = [list(columns), *(list(row) for row in zip(*columns.values(), strict=True))]
        texts = [[f"{v:.4g}" if isinstance(v, float) else str(v) for v in row] for row in rows]
        return text_table(texts, left=None)


def sweep(
    network: Any,
    X: Any,
    y: Any,
    *,
    over: Mapping[str, Iterable[Any]] | Sequence[Mapping[str, Any]],
    callbacks: Sequence[Callback] = (),
    progress: bool = False,
    **options: Any,
) -> Sweep:
    """Train many networks that differ only in numbers together, and return a trial for each.

    All share one compiled program and see the rows in the same order. A network that diverges does not
    affect the others.

    Parameters
    ----------
    network: a `Network` (then `options` are those of `train`), or an estimator, which is not changed
        (then `options` are `sample_weight` and `validation`, as for its `fit`).
    X, y: as for `train` or for the estimator's `fit`.
    over: lists of values by name, to try all combinations, or a list of settings. Names: "seed" (of the
        weights and dropout), "dropout" (the rate of all dropout layers), "l1", "l2", and each number of the
        optimizer or its schedule: "learning_rate", "weight_decay", "momentum", "beta1", "warm_up", ...
    callbacks, progress: as for `train`; a callback gets the mean over the networks.

    Raises
    ------
    ConfigurationError: a name that cannot vary, or an unknown option. DataError: as for `train`.

    >>> import glassnet as gn
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> net = gn.Network([gn.Dense(4), gn.Tanh(), gn.Dense(2)])
    >>> rates = gn.sweep(net, X, y, over={"learning_rate": [1e-4, 0.1], "seed": range(3)}, epochs=100)
    >>> len(rates.trials), rates.best.settings["learning_rate"]
    (6, 0.1)
    """
    bar: list[Callback] = [ProgressBar()] if progress else []
    return Sweep(_trials(network, X, y, grid(over), options, [*as_callbacks(callbacks), *bar]))


def _trials(
    network: Any,
    X: Any,
    y: Any,
    settings: Sequence[Settings],
    options: dict[str, Any],
    callbacks: Sequence[Callback] = (),
    steps: int | None = None,
) -> tuple[Trial, ...]:
    """Train one network for each of the settings, for about `steps` steps if that is given."""
    job, numbers, finish = _prepared(network, X, y, settings, options)
    if steps is not None:
        steps_per_epoch = batch_count(len(job.data[0].x), job.plan.batch_size)
        job = job._replace(epochs=math.ceil(steps / steps_per_epoch), early_stopping=None)
    jobs = [vary(job, numbers(point)) for point in settings]
    return tuple(
        _trial(point, varied, outcomes, finish)
        for point, varied, outcomes in zip(settings, jobs, run_jobs(jobs, callbacks), strict=True)
    )


class _Prepared(NamedTuple):
    """The job to vary, and functions from settings to its numbers and from outcomes to a run or estimator."""

    job: Job
    numbers: Callable[[Settings], Settings]
    finish: Callable[[Settings, Job, Sequence[Outcome]], Any]


def _prepared(
    network: Any, X: Any, y: Any, settings: Sequence[Settings], options: dict[str, Any]
) -> _Prepared:
    """Return the job that `train` would run for a network, or `fit` for an estimator."""
    if isinstance(network, Network):
        names = inspect.signature(network_job).parameters
        _check_options(options, [name for name in names if name not in _NOT_OPTIONS])
        job = network_job(network, X, y, **options)
        return _Prepared(
            job, lambda settings: settings, lambda _, job, outcomes: finished_run(job, outcomes[0])
        )
    from glassnet.fit.base import NeuralEstimator, fitted  # lazily: scikit-learn
    from glassnet.fit.estimator_inputs import estimator_job

    if not isinstance(network, NeuralEstimator):
        raise ConfigurationError(
            f"{network!r} is neither a network nor an estimator: give gn.Network([...]) or"
            " gn.NeuralClassifier()."
        )
    _check_options(options, ("sample_weight", "validation"))
    estimator = copy.copy(network)
    highest = max((point.get("dropout") or 0.0 for point in settings), default=0.0)
    if highest > 0 and network.network is None:
        estimator.dropout = highest  # so that the network has dropout layers

    def numbers(settings: Settings) -> Settings:
        return {k: seed_of(v) if k == "seed" else v for k, v in settings.items()}

    def finish(settings: Settings, job: Job, outcomes: Sequence[Outcome]) -> Any:
        parameters = {"seed": "random_state", "dropout": "dropout", "l2": "l2"}
        changed = {parameters[k]: value for k, value in settings.items() if k in parameters}
        return fitted(estimator, job, outcomes, optimizer=job.optimizers[0], **changed)

    return _Prepared(estimator_job(estimator, X, y, **options), numbers, finish)


_NOT_OPTIONS = ("network", "X", "y", "state", "history")


def _check_options(options: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in options:
        if name not in known:
            raise ConfigurationError(
                f"There is no option '{name}'.{did_you_mean(name, known)} The options"
                f" are: {', '.join(known)}."
            )


def _trial(settings: Settings, job: Job, outcomes: Sequence[Outcome], finish: Any) -> Trial:
    diverged = all(outcome.diverged for outcome in outcomes)
    history = History.mean([outcome.history for outcome in outcomes])
    losses = history["validation_loss" if job.validation[0] is not None else "loss"]
    score = losses.min() if job.validation[0] is not None else losses[-1]
    return Trial(
        settings=settings,
        fitted=None if diverged else finish(settings, job, outcomes),
        history=history,
        status="diverged" if diverged else outcomes[0].status,
        score=math.inf if diverged or np.isnan(score) else float(score),
    )


@dataclass(frozen=True)
class LearningRates:
    """What `find_learning_rate` returns.

    rates: shape (rates,). losses: the final losses, shape (rates, repeats); infinite where a network
    diverged. untrained: the loss in the first epoch at the lowest rate, about that of an untrained network.
    sweep: all networks.
    """

    rates: np.ndarray
    losses: np.ndarray
    untrained: float
    sweep: Sweep

    @property
    def best(self) -> float:
        """The rate with the lowest median loss."""
        return float(self.rates[np.argmin(np.median(self.losses, axis=1))])

    def __str__(self) -> str:
        rows = [
            f"{rate:8.2g}  {np.median(losses):.4g}{'  <- best' if rate == self.best else ''}"
            for rate, losses in zip(self.rates, self.losses, strict=True)
        ]
        return "\n".join(["    rate  loss", *rows])

    def plot(self, ax: Any = None) -> Any:
        """Draw loss against learning rate, the best rate, and where networks diverged; return the axes."""
        if ax is None:
            import matplotlib.pyplot as plt  # lazily: half a second that training does not need

            ax = plt.subplots()[1]
        median = np.median(self.losses, axis=1)
        finite = np.isfinite(median)
        ax.plot(self.rates[finite], median[finite], "o-", label="median loss")
        low, high = self.losses.min(axis=1), self.losses.max(axis=1)
        top = np.where(np.isfinite(high), high, median)
        ax.fill_between(self.rates[finite], low[finite], top[finite],
                        alpha=0.2, label="lowest to highest")  # fmt: skip
        ax.axhline(self.untrained, color="0.5", linestyle=":", label="before training")
        ax.axvline(self.best, color="0.5", linestyle="--", label=f"best: {self.best:.2g}")
        diverged = self.rates[~np.isfinite(self.losses).all(axis=1)]
        if len(diverged):
            ax.plot(
                diverged,
                np.full(len(diverged), self.untrained),
                "x",
                color="tab:red",
                label="diverged",
            )
        typical = float(np.median(median[finite])) if finite.any() else self.untrained
        limit = 1.5 * max(self.untrained, typical)
        ax.set(xscale="log", xlabel="learning rate", ylabel="loss", ylim=(0, limit))
        ax.legend()
        return ax


def find_learning_rate(
    network: Any,
    X: Any,
    y: Any,
    *,
    low: float = 1e-5,
    high: float = 1.0,
    points: int = 21,
    repeats: int = 3,
    steps: int = 200,
    **options: Any,
) -> LearningRates:
    """Try learning rates on your data: a learning-rate range test, with all rates trained together.

    Each rate gets its own `repeats` networks, trained briefly from the same initial weights. So the loss of a
    rate does not depend on the rates before it, as it does in one run with a growing rate. The best rate of a
    short run is often a little too high for a long run at a constant rate: halve it, or use a schedule.

    Smith, "Cyclical Learning Rates for Training Neural Networks", 2017 (section 3.3), uses one run.

    Parameters
    ----------
    network, X, y, options: as for `sweep`.
    low, high: the lowest and the highest rate. Defaults 1e-5 and 1.
    points: the number of rates, evenly spaced on a log scale. Default 21: four in each factor of 10.
    repeats: the number of networks for each rate. Default 3.
    steps: the number of training steps, rounded up to whole epochs. Default 200.

    >>> import glassnet as gn
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> net = gn.Network([gn.Dense(4), gn.Tanh(), gn.Dense(2)])
    >>> test = gn.find_learning_rate(net, X, y, low=1e-4, high=1.0, points=5)
    >>> test.losses.shape, 1e-3 < test.best <= 1.0
    ((5, 3), True)
    """
    check_range("low", low, 0, math.inf, open_low=True)
    check_range("high", high, low, math.inf, open_low=True)
    check_count("points", points, 2)
    check_count("repeats", repeats)
    check_count("steps", steps)
    rates = np.geomspace(low, high, points)
    settings = grid({"learning_rate": rates.tolist(), "seed": list(range(repeats))})
    trials = _trials(network, X, y, settings, options, steps=steps)
    losses = np.array([trial.score for trial in trials]).reshape(points, repeats)
    untrained = float(np.median([trial.history["loss"][0] for trial in trials[:repeats]]))
    return LearningRates(rates, losses, untrained, Sweep(trials))
