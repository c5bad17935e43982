"""Hold the result of `compare` as records, and format it for the terminal and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet.display.text import text_table
from glassnet.encoding.target_kinds import Task
from glassnet.evaluation.verdicts import (
    GUESS,
    NETWORK,
    Difference,
    Field,
    Verdict,
    paired_folds,
    seconds,
)

Values = NDArray[np.float64]

SHOWN: dict[Task, tuple[str, ...]] = {
    "classification": ("accuracy", "log_loss"),
    "regression": ("rmse", "mae"),
}
"""The scores that tables show next to the share explained."""
SCORE_TITLES = {"accuracy": "accuracy", "log_loss": "log-loss", "rmse": "RMSE", "mae": "MAE"}


@dataclass(frozen=True)
class Standing:
    """The results of one model, with one value per fold.

    title, about: its name, and what it is.
    errors: the mean error of the fold's test rows (`verdicts.row_errors`), by which models are compared.
    scores: scikit-learn's scores, by name. fit_seconds: including the encoding, and for a network the
    compilation. predict_seconds: per 1 000 rows. bytes: of all arrays that the fitted model keeps.
    fitted_on: the number of a fold's training rows that it was fitted on; None: all.
    """

    title: str
    about: str
    errors: Values
    scores: Mapping[str, Values]
    fit_seconds: Values
    predict_seconds: Values
    bytes: int
    fitted_on: int | None = None


@dataclass(frozen=True)
class Curve:
    """Learning curves: the share explained over the number of training rows.

    rows: the numbers of training rows. explained: by model, (sizes, folds). sentence: whether more rows
    would help.
    """

    rows: tuple[int, ...]
    explained: Mapping[str, Values]
    sentence: str


@dataclass(frozen=True)
class Comparison:
    """The result of `compare`.

    task, rows, columns: of the data. folds, repeats: as planned; a standing has only the folds done.
    standings: by key ("guess", "linear", "tree", "neighbours", "boosting", "network"), simplest first.
    verdict: which model to use, and why. curve: None unless it was asked for.
    seconds: the total time. notes: sentences that say what was left out. interrupted: by the user.
    """

    task: Task
    rows: int
    columns: int
    folds: int
    repeats: int
    standings: Mapping[str, Standing]
    verdict: Verdict
    curve: Curve | None
    seconds: float
    notes: tuple[str, ...] = ()
    interrupted: bool = False

    @property
    def splits(self) -> int:
        """The planned number of folds in all repeats."""
        return self.folds * self.repeats

    def explained(self, key: str) -> Values:
        """Return the share that a model explains in each fold: 1 - error / mean error of the guess."""
        return np.asarray(1 - self.standings[key].errors / self.standings[GUESS].errors.mean())

    def difference(self, first: str, second: str) -> Difference:
        """Return how much more the first model explains than the second, with the 95 % interval.

        The difference is paired over the folds that both models did, and corrected for the training rows
        that folds share (`paired_folds`).
        """
        return difference(self.standings, first, second, self.folds)

    def best_simpler(self) -> str | None:
        """Return the key of the best model that is simpler than the network; None if there is none."""
        keys = [key for key in self.standings if key not in (GUESS, NETWORK)]
        return max(keys, key=lambda key: self.explained(key).mean(), default=None)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        return {
            "task": self.task,
            "rows": self.rows,
            "columns": self.columns,
            "folds": self.folds,
            "repeats": self.repeats,
            "verdict": vars(self.verdict),
            "models": {key: self._model(key) for key in self.standings},
            "differences": [
                {"first": a, "second": b, **_finite(self.difference(a, b))}
                for index, a in enumerate(self.standings)
                for b in list(self.standings)[:index]
            ],
            "learning_curve": None
            if self.curve is None
            else {
                "rows": list(self.curve.rows),
                "explained": {key: v.tolist() for key, v in self.curve.explained.items()},
                "sentence": self.curve.sentence,
            },
            "seconds": round(self.seconds, 3),
            "notes": list(self.notes),
            "interrupted": self.interrupted,
        }

    def _model(self, key: str) -> dict[str, Any]:
        standing = self.standings[key]
        by_fold = {"explained": self.explained(key), **standing.scores}
        return {
            "title": standing.title,
            "about": standing.about,
            "scores": {name: float(values.mean()) for name, values in by_fold.items()},
            "folds": {name: values.tolist() for name, values in by_fold.items()},
            "fit_seconds": float(standing.fit_seconds.mean()),
            "predict_seconds_per_1000_rows": float(np.median(standing.predict_seconds)),
            "bytes": standing.bytes,
            "fitted_on": standing.fitted_on,
        }

    def __str__(self) -> str:
        times = f"{self.folds} folds" + (f" x {self.repeats}" if self.repeats > 1 else "")
        head = f"{self.task.capitalize()}, {self.rows} rows, {times}, {self.seconds:.1f} s"
        names = [name for name in SHOWN[self.task] if name in self.standings[GUESS].scores]
        lead = [] if NETWORK not in self.standings else ["network's lead [95 %]"]
        heads = ["model", *(SCORE_TITLES[name] for name in names), "explained", *lead]
        table = [[*heads, "fit", "predict 1000", "memory"]]
        for key, standing in self.standings.items():
            cells = [standing.title.removeprefix("the ")]
            cells += [plus_minus(standing.scores[name]) for name in names]
            cells.append(plus_minus(self.explained(key), share=True))
            if lead:
                cells.append("" if key == NETWORK else signed(self.difference(NETWORK, key)))
            predicting = seconds(float(np.median(standing.predict_seconds)))
            cells += [
                seconds(float(standing.fit_seconds.mean())),
                predicting,
                byte_size(standing.bytes),
            ]
            table.append(cells)
        curve = [] if self.curve is None else [curve_text(self), self.curve.sentence]
        return "\n".join([head, text_table(table), *self.notes, *curve, self.verdict.sentence])


def _finite(difference: Difference) -> dict[str, float | None]:
    """Return a difference with None for infinite bounds, which JSON cannot hold."""
    return {k: v if np.isfinite(v) else None for k, v in difference._asdict().items()}


def difference(
    standings: Mapping[str, Standing], first: str, second: str, folds: int
) -> Difference:
    """Return how much more the first model explains than the second."""
    a, b = standings[first].errors, standings[second].errors
    both = min(len(a), len(b))
    scale = standings[GUESS].errors.mean()
    return paired_folds((b[:both] - a[:both]) / scale, 1 / (folds - 1))


def field_of(standings: Mapping[str, Standing], folds: int, rows: int) -> Field:
    """Return the models to choose from: those that were tested on at least two folds."""
    counted = {key: s for key, s in standings.items() if len(s.errors) > 1}
    scale = standings[GUESS].errors.mean()
    explained = {key: float(1 - s.errors.mean() / scale) for key, s in counted.items()}
    task_scores = {
        key: {name: float(values.mean()) for name, values in s.scores.items()}
        | {"explained": explained[key]}
        for key, s in counted.items()
    }
    return Field(
        titles={key: s.title for key, s in counted.items()},
        explained=explained,
        difference=lambda a, b: difference(standings, a, b, folds),
        shown=task_scores,
        seconds={key: float(s.fit_seconds.mean()) for key, s in counted.items() if key != GUESS},
        rows=rows,
    )


def curve_text(comparison: Comparison) -> str:
    """Return the learning curves as a table for the terminal."""
    assert comparison.curve is not None
    lines = [
        "explained after training rows".ljust(30)
        + "".join(f"{n:>9}" for n in comparison.curve.rows)
    ]
    for key, values in comparison.curve.explained.items():
        title = comparison.standings[key].title.removeprefix("the ")
        lines.append(f"  {title}".ljust(30) + "".join(f"{v:>9.3f}" for v in values.mean(axis=1)))
    return "\n".join(lines)


def plus_minus(values: Values, share: bool = False) -> str:
    """Return a mean with the standard deviation over the folds; a share always has three decimals.

    >>> plus_minus(np.array([0.9, 0.92]))
    '0.910 ± 0.014'
    """
    mean = float(values.mean())
    deviation = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    if share or abs(mean) < 1e-9 or 0.01 <= abs(mean) < 100:
        return f"{mean:.3f} ± {deviation:.3f}".replace("-0.000", "0.000")
    return f"{mean:.3g} ± {deviation:.2g}"


def signed(difference: Difference) -> str:
    """Return a difference with its sign and its interval.

    >>> signed(Difference(0.01, -0.02, 0.04, 0.2))
    '+0.010 [-0.020, +0.040]'
    """
    if not np.isfinite(difference.low):
        return f"{difference.mean:+.3f} [one fold]"
    return f"{difference.mean:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"


def byte_size(count: float) -> str:
    """Return a number of bytes with its unit.

    >>> byte_size(96), byte_size(20_480), byte_size(5_000_000)
    ('96 B', '20 kB', '5.0 MB')
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            value = count / factor
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{count:.0f} B"
