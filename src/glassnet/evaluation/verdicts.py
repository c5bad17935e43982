"""Verdicts: which model to use, and why, in one sentence; the statistics and the words of all comparisons.

What decides is the error of each row: the squared error of a value, (ŷ - y)², or of a class's
probabilities, Σ (p - [class is true])² (Brier, 1950). Against the error of a guess that ignores all
columns it gives the share explained, 1 - error / error of the guess: R² on new rows for values, the
Brier skill score for classes; 0 is the guess, 1 is perfect. Accuracy does not decide, because it is blind
where one class is frequent (every model may say "no" and still tell who is likelier to leave), and
log-loss does not, because a single probability of 0 makes it infinite. Both are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVEL = 0.05
"""Of all tests, two-sided: intervals hold the truth in 95 of 100 cases."""
WORTH, OF_THE_REST, LEAST = 0.01, 0.1, 0.001
"""A more complex model has to explain a hundredth more of what the best one explains, or a tenth of what the
simpler one leaves unexplained; and a thousandth of all in any case."""
GUESS, NETWORK = "guess", "network"
GUESSES = {
    "classification": "guessing the most frequent class",
    "labels": "guessing the most frequent labels",
    "regression": "guessing the mean",
}
"""Task -> what the guess is called."""
TITLES = {
    "linear": "the linear model",
    "tree": "the small tree",
    "neighbours": "k nearest neighbours",
    "boosting": "gradient boosting",
    NETWORK: "the network",
}
"""Key -> what every other model is called, the simplest first."""

Answer = Literal["yes", "no", "undecided", "absent"]


class Difference(NamedTuple):
    """A mean difference with its 95 % interval, and the chance p to see as much if there were none.

    p is one-sided: small where the first of the two is better.
    """

    mean: float
    low: float
    high: float
    p: float


def paired_folds(differences: ArrayLike, ratio: float) -> Difference:
    """Return the mean of fold-by-fold differences with the corrected resampled t interval.

    With J differences d of variance s², mean(d) ± t(J - 1) · s · √(1 / J + ratio), where `ratio` is a
    fold's test rows over its training rows: folds share most of their training rows, so that the
    usual √(1 / J) would be far too sure (Nadeau & Bengio, 2003, Machine Learning 52, 239-281).
    A single fold tells nothing: the interval is infinite.

    >>> found = paired_folds([0.02, 0.04, 0.03, 0.05, 0.01], ratio=0.25)
    >>> [round(value, 4) for value in found]
    [0.03, 0.0006, 0.0594, 0.0237]
    """
    d = np.asarray(differences, dtype=np.float64)
    return _interval(d, 1 / max(len(d), 1) + ratio)


def paired_rows(differences: ArrayLike) -> Difference:
    """Return the mean of row-by-row differences on one set of test rows with its t interval.

    It speaks of these two fitted models; that training rows, too, were drawn by chance it leaves out.

    >>> found = paired_rows([0.2, 0.4, 0.3, 0.5, 0.1])
    >>> [round(value, 4) for value in found]
    [0.3, 0.1037, 0.4963, 0.0066]
    """
    d = np.asarray(differences, dtype=np.float64)
    return _interval(d, 1 / max(len(d), 1))


def _interval(d: NDArray[np.float64], factor: float) -> Difference:
    from scipy import stats  # lazily: it takes a moment to import

    mean = float(d.mean()) if len(d) else np.nan
    if len(d) < 2:
        return Difference(mean, -np.inf, np.inf, 1.0)
    error = float(np.sqrt(d.var(ddof=1) * factor))
    if not error > 1e-12 * (1 + abs(mean)):
        return Difference(mean, mean, mean, 0.0 if mean > 0 else 1.0)
    half = float(stats.t.ppf(1 - LEVEL / 2, len(d) - 1)) * error
    p = float(stats.t.sf(mean / error, len(d) - 1))
    return Difference(mean, mean - half, mean + half, p)


def row_errors(
    truth: NDArray[np.generic], predicted: NDArray[np.generic], proba: NDArray[np.generic] | None
) -> NDArray[np.float64]:
    """Return what decides: the squared error of each row (n,), of its probabilities where there are any.

    truth: codes of classes (n,) with proba (n, classes); labels (n, labels) with proba (n, labels); or
    values (n,) or (n, targets).

    >>> row_errors(np.array([0, 1]), np.array([0, 0]), np.array([[0.8, 0.2], [0.8, 0.2]])).round(2)
    array([0.08, 1.28])
    """
    if proba is None:
        squared = np.square(predicted.astype(np.float64) - truth.astype(np.float64))
    elif truth.ndim == 2:
        squared = np.square(proba.astype(np.float64) - truth.astype(np.float64))
    else:
        aim = truth[:, None] == np.arange(proba.shape[1])
        squared = np.square(proba.astype(np.float64) - aim)
        return np.asarray(squared.sum(axis=1))
    return np.asarray(squared.reshape(len(squared), -1).mean(axis=1))


# ------------------------------------------------------------------------------------------ choice


@dataclass(frozen=True)
class Field:
    """Models to choose from.

    Parameters
    ----------
    titles: what each is called, the simplest first, the guess before all: that order decides between
        models that the data cannot tell apart.
    explained: the share that each explains.
    difference: (a, b) -> how much more a explains than b.
    shown: for each the scores to show, by name.
    seconds: to fit each once; may be empty.
    rows: how many rows the differences were taken on. noun: what these are called.
    """

    titles: Mapping[str, str]
    explained: Mapping[str, float]
    difference: Callable[[str, str], Difference]
    shown: Mapping[str, Mapping[str, float]]
    seconds: Mapping[str, float]
    rows: int
    noun: str = "row"

    @property
    def counted(self) -> str:
        """The rows in words."""
        return f"{_count(self.rows)} {self.noun}{'' if self.rows == 1 else 's'}"

    def leads(self, first: str, second: str) -> bool:
        """Return whether the first model explains more by what is worth speaking of (see `WORTH`)."""
        best, other = max(0.0, *self.explained.values()), self.explained[second]
        least = max(LEAST, min(WORTH * best, OF_THE_REST * (1 - other)))
        return self.explained[first] - other > least


@dataclass(frozen=True)
class Verdict:
    """What to do.

    use: the model to use; "guess": none. network: whether it should be the network: "yes", "no",
    "undecided" (it leads a simpler model, but the data cannot tell), "absent" (it did not get its turn).
    beats_guess: the models that beat guessing. network_beats: the models that the network beats.
    rows_needed: about how many rows would tell, where the data cannot.
    """

    sentence: str
    use: str
    network: Answer
    beats_guess: tuple[str, ...]
    network_beats: tuple[str, ...]
    rows_needed: int | None


def verdict(field: Field) -> Verdict:
    """Return which model to use: the simplest that no more complex one beats.

    A model beats a simpler one if it explains more by what is worth it (`WORTH`) and the one-sided
    test says so at 2.5 %, corrected for the number of models tested against that one (Holm, 1979).
    A model that does not beat the guess is not considered. So on pure noise some model is called better
    than guessing in about one of forty data sets, and the network, which has to beat them all, in fewer.
    """
    beats_guess = beating(field, GUESS, [key for key in field.titles if key != GUESS])
    use = GUESS
    for place, key in enumerate(beats_guess):
        if not beating(field, key, beats_guess[place + 1 :]):
            use = key
            break
    simpler = [key for key in field.titles if key != NETWORK]
    over = [key for key in simpler if NETWORK in field.titles and beating(field, key, [NETWORK])]
    rival = _rival(field, use)
    needed = None if rival is None else rows_needed(field.rows, field.difference(rival, use))
    answer: Answer = "no"
    if NETWORK not in field.titles:
        answer = "absent"
    elif use == NETWORK:
        answer = "yes"
    elif rival == NETWORK and use != GUESS:
        answer = "undecided"
    found = Verdict("", use, answer, tuple(beats_guess), tuple(over), needed)
    words = {GUESS: _no_model, NETWORK: _network}.get(use, _simpler_model)
    return Verdict(words(field, found, rival), *list(vars(found).values())[1:])


def beating(field: Field, simple: str, others: Sequence[str]) -> list[str]:
    """Return those of the others that beat a simpler model (Holm's step-down at 2.5 %)."""
    tests = {key: field.difference(key, simple).p for key in others}
    found = []
    for done, key in enumerate(sorted(tests, key=lambda key: tests[key])):
        if tests[key] * (len(tests) - done) > LEVEL / 2:
            break
        found.append(key)
    return [key for key in others if key in found and field.leads(key, simple)]


def _rival(field: Field, use: str) -> str | None:
    """Return the best of the more complex models whose lead over the chosen one may be chance."""
    keys = list(field.titles)
    later = keys[keys.index(use) + 1 :]
    best = max(later, key=lambda key: field.explained[key], default=None)
    return best if best is not None and field.leads(best, use) else None


def rows_needed(rows: int, found: Difference) -> int | None:
    """Return about how many rows would tell a lead of this size from chance, in two digits.

    The half width of an interval shrinks as 1 / √rows: rows · (half width / lead)². None where the lead
    is not positive, or the number more than a thousand times the rows.

    >>> rows_needed(200, Difference(0.01, -0.03, 0.05, 0.3)), rows_needed(200, Difference(-0.1, -1, 1, 0.9))
    (3200, None)
    """
    half = (found.high - found.low) / 2
    if not found.mean > 0 or not np.isfinite(half) or half > 30 * found.mean:
        return None
    needed = max(rows * (half / found.mean) ** 2, rows * 1.1)
    return int(float(f"{needed:.1e}"))


# ------------------------------------------------------------------------------------------- words

SCORE_WORDS = {
    "accuracy": "accuracy",
    "subset_accuracy": "subset accuracy",
    "r2": "R²",
    "log_loss": "log-loss",
    "rmse": "RMSE",
    "explained": "share explained",
}
LOWER_IS_BETTER = ("log_loss", "rmse", "mae")


def _no_model(field: Field, found: Verdict, rival: str | None) -> str:
    sentence = f"Use no model: nothing beats {field.titles[GUESS]} beyond chance in {field.counted}"
    if rival is not None and found.rows_needed is not None:
        sentence += (
            f"; if the lead of {field.titles[rival]} ({against(field, rival, GUESS)}) is real,"
            f" about {_count(found.rows_needed)} would show it"
        )
    return sentence + "."


def _network(field: Field, found: Verdict, rival: str | None) -> str:
    simpler = [key for key in field.titles if key != NETWORK]
    best = max(simpler, key=lambda key: field.explained[key])
    sentence = f"Use the network: {against(field, NETWORK, best)} for {field.titles[best]}"
    if len(simpler) > 2:
        sentence += ", the best of the simpler models"
    return sentence + _price(field, NETWORK, best) + "."


def _simpler_model(field: Field, found: Verdict, rival: str | None) -> str:
    title = field.titles[found.use]
    if NETWORK in field.titles:
        parts = [f"Use {title}, not the network: {_why_not(field, found.use)}"]
    else:
        worse = GUESS if len(found.beats_guess) == 1 else _best_but(field, found.use)
        parts = [f"Use {title}: {against(field, found.use, worse)} for {field.titles[worse]}"]
    if rival not in (None, NETWORK):
        parts.append(_within_noise(field, str(rival), found.use))
    if found.use != "linear" and "linear" in found.network_beats:
        both = "both beat" if beating(field, "linear", [found.use]) else "the network beats"
        parts.append(f"{both} the linear model ({_one(field, NETWORK, 'linear')})")
    return "; ".join(parts) + "."


def _why_not(field: Field, use: str) -> str:
    """Return why it is the simpler model and not the network."""
    if field.leads(NETWORK, use):
        return f"it is simpler, and {_within_noise(field, NETWORK, use)}"
    if field.difference(NETWORK, use).high < 0 and field.leads(use, NETWORK):
        return f"it is better, {against(field, use, NETWORK)}{_price(field, use, NETWORK)}"
    cost = ""
    if field.seconds.get(NETWORK, 0.0) > field.seconds.get(use, np.inf):
        cost = _price(field, NETWORK, use)
    return f"the network is no better, {against(field, NETWORK, use)}{cost}"


def _within_noise(field: Field, rival: str, use: str) -> str:
    """Return that a model's lead may be chance, and how many rows would tell."""
    title = "the network's lead" if rival == NETWORK else f"the lead of {field.titles[rival]}"
    needed = rows_needed(field.rows, field.difference(rival, use))
    more = "" if needed is None else f" (about {_count(needed)} would tell)"
    sure = f"within the noise of {field.counted}"
    if field.difference(rival, use).low > 0:
        sure = f"not sure enough among so many models in {field.counted}"
    return f"{title}, {against(field, rival, use)}, is {sure}{more}"


def _best_but(field: Field, use: str) -> str:
    """Return the best of the other models."""
    return max((k for k in field.titles if k != use), key=lambda key: field.explained[key])


def against(field: Field, first: str, second: str) -> str:
    """Return both models' scores in words, by the first score that orders them as what decides does.

    Accuracy is understood by all, but need not agree with the probabilities' error.
    """
    name = _telling(field, first, second)
    a, b = (field.shown[key][name] for key in (first, second))
    digits = 3
    while f"{a:.{digits}g}" == f"{b:.{digits}g}" and digits < 5:
        digits += 1
    return f"{SCORE_WORDS.get(name, name)} {a:.{digits}g} against {b:.{digits}g}"


def _one(field: Field, first: str, second: str) -> str:
    name = _telling(field, first, second)
    return f"{SCORE_WORDS.get(name, name)} {field.shown[second][name]:.3g}"


def _telling(field: Field, first: str, second: str) -> str:
    """Return the score to show two models by."""
    ahead = field.explained[first] > field.explained[second]
    names = [n for n in field.shown[first] if n in field.shown[second] and n in SCORE_WORDS]
    for name in names:
        a, b = field.shown[first][name], field.shown[second][name]
        if a != b and ((a < b) if name in LOWER_IS_BETTER else (a > b)) == ahead:
            return name
    return names[0]


def _price(field: Field, first: str, second: str) -> str:
    """Return what the first model costs beside the second, where that was measured."""
    if not {first, second} <= set(field.seconds):
        return ""
    a, b = field.seconds[first], field.seconds[second]
    return f", {'for' if a > b else 'in'} {seconds(a)} of fitting instead of {seconds(b)}"


def seconds(value: float) -> str:
    """Return a duration in words.

    >>> seconds(0.0004), seconds(0.034), seconds(2.345), seconds(75.2)
    ('under 0.01 s', '0.03 s', '2.3 s', '75 s')
    """
    if value < 0.01:
        return "under 0.01 s"
    return f"{value:.2f} s" if value < 1 else f"{value:.1f} s" if value < 10 else f"{value:.0f} s"


def _count(rows: int) -> str:
    return f"{rows:,}".replace(",", " ") if rows >= 10_000 else str(rows)
