"""Decide which model to use, and say why in one sentence.

Models are compared by the error of each row: the squared error of a value, (ŷ - y)², or of the class
probabilities, Σ (p - [class is true])² (Brier, 1950). Divided by the error of a guess that ignores all
columns, it gives the share explained, 1 - error / error of the guess: R² on new rows for values, the
Brier skill score for classes. 0 is as good as the guess, 1 is perfect.

Accuracy and log-loss are shown, but do not decide. If one class is frequent, accuracy hides differences:
all models may always predict "no" and still rank the rows differently. Log-loss becomes infinite with a
single wrong probability of 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVEL = 0.05
"""The two-sided level of all tests: intervals contain the true value in 95 of 100 cases."""
MIN_SHARE_OF_BEST, MIN_SHARE_OF_REST, MIN_LEAD = 0.01, 0.1, 0.001
"""How much more a complex model has to explain: a hundredth of what the best model explains, or a tenth of
what the simpler model leaves unexplained; and in any case a thousandth."""
GUESS, NETWORK = "guess", "network"
GUESSES = {
    "classification": "guessing the most frequent class",
    "labels": "guessing the most frequent labels",
    "regression": "guessing the mean",
}
"""Task -> the name of the guess."""
TITLES = {
    "linear": "the linear model",
    "tree": "the small tree",
    "neighbours": "k nearest neighbours",
    "boosting": "gradient boosting",
    NETWORK: "the network",
}
"""Key -> the name of each other model, the simplest first."""

Answer = Literal["yes", "no", "undecided", "absent"]


class Difference(NamedTuple):
    """A mean difference with its 95 % interval and its p-value.

    p is the probability of a difference at least as large if the models were equally good. It is
    one-sided: small where the first of the two models is better.
    """

    mean: float
    low: float
    high: float
    p: float


def paired_folds(differences: ArrayLike, ratio: float) -> Difference:
    """Return the mean of fold-by-fold differences with the corrected resampled t interval.

    For J differences d of variance s²: mean(d) ± t(J - 1) · s · √(1 / J + ratio), where `ratio` is a
    fold's test rows divided by its training rows. Folds share most of their training rows, so the usual
    √(1 / J) would give intervals that are far too narrow (Nadeau & Bengio, 2003, Machine Learning 52,
    239-281). The interval of a single fold is infinite.

    >>> difference = paired_folds([0.02, 0.04, 0.03, 0.05, 0.01], ratio=0.25)
    >>> [round(value, 4) for value in difference]
    [0.03, 0.0006, 0.0594, 0.0237]
    """
    d = np.asarray(differences, dtype=np.float64)
    return _interval(d, 1 / max(len(d), 1) + ratio)


def paired_rows(differences: ArrayLike) -> Difference:
    """Return the mean of row-by-row differences on one set of test rows with its t interval.

    The interval is for these two fitted models. It does not include that the training rows are a random
    sample, too.

    >>> difference = paired_rows([0.2, 0.4, 0.3, 0.5, 0.1])
    >>> [round(value, 4) for value in difference]
    [0.3, 0.1037, 0.4963, 0.0066]
    """
    d = np.asarray(differences, dtype=np.float64)
    return _interval(d, 1 / max(len(d), 1))


def _interval(d: NDArray[np.float64], factor: float) -> Difference:
    from scipy import stats  # lazily: slow to import

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
    """Return the squared error of each row (n,), of its probabilities if there are any.

    truth: class codes (n,) with proba (n, classes); labels (n, labels) with proba (n, labels); or
    values (n,) or (n, targets), whose errors are averaged over the targets.

    >>> row_errors(np.array([0, 1]), np.array([0, 0]), np.array([[0.8, 0.2], [0.8, 0.2]])).round(2)
    array([0.08, 1.28])
    """
    if proba is None:
        squared = np.square(predicted.astype(np.float64) - truth.astype(np.float64))
    elif truth.ndim == 2:
        squared = np.square(proba.astype(np.float64) - truth.astype(np.float64))
    else:
        one_hot = truth[:, None] == np.arange(proba.shape[1])
        squared = np.square(proba.astype(np.float64) - one_hot)
        return np.asarray(squared.sum(axis=1))
    return np.asarray(squared.reshape(len(squared), -1).mean(axis=1))


# ------------------------------------------------------------------------------------------ choice


@dataclass(frozen=True)
class Field:
    """The models to choose from, all by key.

    Parameters
    ----------
    titles: the name of each model, the guess first, then from simple to complex. If the data cannot
        distinguish models, the first is chosen.
    explained: the share that each model explains.
    difference: (a, b) -> how much more a explains than b.
    shown: the scores to show of each model, by name.
    seconds: the time to fit each model once; may be empty.
    rows: the number of rows that the differences were measured on. noun: what to call these rows.
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
        """The number of rows in words, such as "100 test rows"."""
        return f"{_count(self.rows)} {self.noun}{'' if self.rows == 1 else 's'}"

    def leads(self, first: str, second: str) -> bool:
        """Return whether the first model leads by an amount that matters (see `MIN_SHARE_OF_BEST`)."""
        best, other = max(0.0, *self.explained.values()), self.explained[second]
        least = max(MIN_LEAD, min(MIN_SHARE_OF_BEST * best, MIN_SHARE_OF_REST * (1 - other)))
        return self.explained[first] - other > least


@dataclass(frozen=True)
class Verdict:
    """Which model to use, and why.

    use: the key of the model; "guess": none. network: whether to use the network: "yes", "no",
    "undecided" (it leads a simpler model, but that may be chance), "absent" (it was not tested).
    beats_guess: the models that beat guessing. network_beats: the models that the network beats.
    rows_needed: about how many rows would decide a lead that may be chance; None if there is none.
    """

    sentence: str
    use: str
    network: Answer
    beats_guess: tuple[str, ...]
    network_beats: tuple[str, ...]
    rows_needed: int | None


def verdict(field: Field) -> Verdict:
    """Return which model to use: the simplest one that no more complex one beats.

    A model beats a simpler one if it explains more by an amount that matters (`MIN_SHARE_OF_BEST`) and a
    one-sided test is significant at 2.5 %, corrected for the number of models tested against the simpler
    one (Holm, 1979). A model that does not beat the guess is not considered. So on pure noise, some model
    is said to beat guessing in about one of forty data sets, and the network in fewer.
    """
    beats_guess = beating(field, GUESS, [key for key in field.titles if key != GUESS])
    use = GUESS
    for index, key in enumerate(beats_guess):
        if not beating(field, key, beats_guess[index + 1 :]):
            use = key
            break
    simpler = [key for key in field.titles if key != NETWORK]
    beaten = [key for key in simpler if NETWORK in field.titles and beating(field, key, [NETWORK])]
    rival = _rival(field, use)
    needed = None if rival is None else rows_needed(field.rows, field.difference(rival, use))
    answer: Answer = "no"
    if NETWORK not in field.titles:
        answer = "absent"
    elif use == NETWORK:
        answer = "yes"
    elif rival == NETWORK and use != GUESS:
        answer = "undecided"
    choice = Verdict("", use, answer, tuple(beats_guess), tuple(beaten), needed)
    sentence_of = {GUESS: _no_model, NETWORK: _network}.get(use, _simpler_model)
    return replace(choice, sentence=sentence_of(field, choice, rival))


def beating(field: Field, simple: str, others: Sequence[str]) -> list[str]:
    """Return those of the others that beat a simpler model (Holm's step-down at 2.5 %)."""
    tests = {key: field.difference(key, simple).p for key in others}
    significant = []
    for done, key in enumerate(sorted(tests, key=lambda key: tests[key])):
        if tests[key] * (len(tests) - done) > LEVEL / 2:
            break
        significant.append(key)
    return [key for key in others if key in significant and field.leads(key, simple)]


def _rival(field: Field, use: str) -> str | None:
    """Return the best of the more complex models if it leads the chosen one, which may be chance."""
    keys = list(field.titles)
    later = keys[keys.index(use) + 1 :]
    best = max(later, key=lambda key: field.explained[key], default=None)
    return best if best is not None and field.leads(best, use) else None


def rows_needed(rows: int, lead: Difference) -> int | None:
    """Return about how many rows would distinguish a lead of this size from chance, to two digits.

    The half-width of an interval shrinks as 1 / √rows, so it is rows · (half-width / lead)². None if
    the lead is not positive, or if it would take more than about a thousand times the rows.

    >>> rows_needed(200, Difference(0.01, -0.03, 0.05, 0.3)), rows_needed(200, Difference(-0.1, -1, 1, 0.9))
    (3200, None)
    """
    half_width = (lead.high - lead.low) / 2
    if not lead.mean > 0 or not np.isfinite(half_width) or half_width > 30 * lead.mean:
        return None
    needed = max(rows * (half_width / lead.mean) ** 2, rows * 1.1)
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


def _no_model(field: Field, choice: Verdict, rival: str | None) -> str:
    sentence = f"Use no model: nothing beats {field.titles[GUESS]} beyond chance in {field.counted}"
    if rival is not None and choice.rows_needed is not None:
        sentence += (
            f"; if the lead of {field.titles[rival]} ({against(field, rival, GUESS)}) is real,"
            f" about {_count(choice.rows_needed)} rows would show it"
        )
    return sentence + "."


def _network(field: Field, choice: Verdict, rival: str | None) -> str:
    simpler = [key for key in field.titles if key != NETWORK]
    best = max(simpler, key=lambda key: field.explained[key])
    sentence = f"Use the network: {against(field, NETWORK, best)} for {field.titles[best]}"
    if len(simpler) > 2:
        sentence += ", the best of the simpler models"
    return sentence + _price(field, NETWORK, best) + "."


def _simpler_model(field: Field, choice: Verdict, rival: str | None) -> str:
    title = field.titles[choice.use]
    if NETWORK in field.titles:
        parts = [f"Use {title}, not the network: {_why_not(field, choice.use)}"]
    else:
        worse = GUESS if len(choice.beats_guess) == 1 else _best_but(field, choice.use)
        parts = [f"Use {title}: {against(field, choice.use, worse)} for {field.titles[worse]}"]
    if rival not in (None, NETWORK):
        parts.append(_within_noise(field, str(rival), choice.use))
    if choice.use != "linear" and "linear" in choice.network_beats:
        winners = "both beat" if beating(field, "linear", [choice.use]) else "the network beats"
        parts.append(f"{winners} the linear model ({_score_of_second(field, NETWORK, 'linear')})")
    return "; ".join(parts) + "."


def _why_not(field: Field, use: str) -> str:
    """Return why to use the simpler model rather than the network."""
    if field.leads(NETWORK, use):
        return f"it is simpler, and {_within_noise(field, NETWORK, use)}"
    if field.difference(NETWORK, use).high < 0 and field.leads(use, NETWORK):
        return f"it is better, {against(field, use, NETWORK)}{_price(field, use, NETWORK)}"
    cost = ""
    if field.seconds.get(NETWORK, 0.0) > field.seconds.get(use, np.inf):
        cost = _price(field, NETWORK, use)
    return f"the network is no better, {against(field, NETWORK, use)}{cost}"


def _within_noise(field: Field, rival: str, use: str) -> str:
    """Return that a model's lead may be chance, and how many rows would decide it."""
    title = "the network's lead" if rival == NETWORK else f"the lead of {field.titles[rival]}"
    needed = rows_needed(field.rows, field.difference(rival, use))
    more = "" if needed is None else f" (about {_count(needed)} rows would decide it)"
    doubt = f"within the noise of {field.counted}"
    if field.difference(rival, use).low > 0:
        doubt = f"not significant among so many models in {field.counted}"
    return f"{title}, {against(field, rival, use)}, is {doubt}{more}"


def _best_but(field: Field, use: str) -> str:
    """Return the best of the other models."""
    return max((k for k in field.titles if k != use), key=lambda key: field.explained[key])


def against(field: Field, first: str, second: str) -> str:
    """Return the scores of two models in words, such as "accuracy 0.9 against 0.8".

    The score is the first one shown that orders the models as the share explained does: accuracy is
    easiest to understand, but may disagree.
    """
    name = _score_to_show(field, first, second)
    a, b = (field.shown[key][name] for key in (first, second))
    digits = 3
    while f"{a:.{digits}g}" == f"{b:.{digits}g}" and digits < 5:
        digits += 1
    return f"{SCORE_WORDS.get(name, name)} {a:.{digits}g} against {b:.{digits}g}"


def _score_of_second(field: Field, first: str, second: str) -> str:
    """Return the second model's score in words."""
    name = _score_to_show(field, first, second)
    return f"{SCORE_WORDS.get(name, name)} {field.shown[second][name]:.3g}"


def _score_to_show(field: Field, first: str, second: str) -> str:
    """Return the name of the score to compare two models by in words."""
    ahead = field.explained[first] > field.explained[second]
    names = [n for n in field.shown[first] if n in field.shown[second] and n in SCORE_WORDS]
    for name in names:
        a, b = field.shown[first][name], field.shown[second][name]
        if a != b and ((a < b) if name in LOWER_IS_BETTER else (a > b)) == ahead:
            return name
    return names[0]


def _price(field: Field, first: str, second: str) -> str:
    """Return the fitting times of two models in words, if they were measured."""
    if not {first, second} <= set(field.seconds):
        return ""
    a, b = field.seconds[first], field.seconds[second]
    return f", fitted in {seconds(a)} instead of {seconds(b)}"


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
