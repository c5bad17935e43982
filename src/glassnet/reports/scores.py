"""The result: a report's verdict, and the scores of the model beside those of the baselines."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from glassnet.display.html import (
    Cell,
    bullets,
    counted,
    escape,
    name,
    number,
    paragraph,
    percent,
    table,
    thousands,
)
from glassnet.evaluation.single_split import verdict_of
from glassnet.evaluation.suspicions import Suspicion
from glassnet.reports.facts import ReportContent


class Score(NamedTuple):
    """How a score is called, written and explained."""

    title: str
    write: Callable[[float], str]
    meaning: str


SCORES = {
    "accuracy": Score("Accuracy", percent, "share of the rows predicted right"),
    "balanced_accuracy": Score("Balanced accuracy", percent, "mean of the classes' recalls"),
    "subset_accuracy": Score("Subset accuracy", percent, "share of the rows with all labels right"),
    "macro_f1": Score("Macro F1", number, "mean over classes of the F1 of precision and recall"),
    "log_loss": Score(
        "Log-loss", number, "mean of −ln of the truth's probability; lower is better, 0 is best"
    ),
    "r2": Score("R²", number, "share of the variance explained; 0 is the mean's, 1 is best"),
    "rmse": Score("RMSE", number, "root of the mean squared error; lower is better"),
    "mae": Score("MAE", number, "mean absolute error; lower is better"),
}
MODELS = {
    "network": "Network",
    "linear": "Linear model",
    "boosting": "Gradient boosting",
    "majority": "Always the most frequent",
    "mean": "Always the mean",
}
SHARES = ("accuracy", "subset_accuracy")


def result(source: ReportContent) -> str:
    """Return the verdict, the headline score of each model as a card, and all scores."""
    evaluation = source.evaluation
    if not evaluation.scores:
        return ""
    models = {"network": evaluation.scores, **evaluation.baselines}
    order = [key for key in MODELS if key in models] + [key for key in models if key not in MODELS]
    headline = next(iter(evaluation.scores))
    rows = len(evaluation.y_true)
    cards = "".join(_card(key, models[key], headline, rows) for key in order)
    return (
        paragraph(escape(verdict_of(evaluation), 1000), "verdict")
        + f'<dl class="cards">{cards}</dl>\n'
        + _score_table(
            _caption(source), {key: models[key] for key in order}, list(evaluation.scores)
        )
        + ("" if source.trained else _at_training(source))
        + _doubts(source.facts.suspicions)
    )


def _caption(source: ReportContent) -> str:
    if source.trained:
        return "Scores on the test rows, which no model has seen"
    rows = counted(len(source.evaluation.y_true), "row")
    return f"Scores on {rows} of {name(source.facts.title)}"


def _at_training(source: ReportContent) -> str:
    """Return the scores that the model's file tells of its test after training, if it does."""
    info, names = source.model.info, list(source.evaluation.scores)
    stored = info.get("baselines")
    told = {"network": info.get("scores"), **(stored if isinstance(stored, dict) else {})}
    models = {str(key): _finite(scores) for key, scores in told.items()}  # a file may say anything
    models = {key: scores for key, scores in models.items() if scores.keys() & set(names)}
    said = (
        "This is worth something only if the model was not trained on these rows: on its own rows a network"
        " scores better than on new ones."
    )
    if info.get("data") == source.facts.title:
        said = (
            f"The model was trained on data of the same name, {name(source.facts.title)}: if these are the"
            " same rows, the scores say little about new ones."
        )
    caption = "Scores on its own test rows when the model was trained, as its file tells"
    return paragraph(said, "note") + (_score_table(caption, models, names) if models else "")


def _finite(scores: object) -> dict[str, float]:
    if not isinstance(scores, dict):
        return {}
    return {
        str(key): float(value)
        for key, value in scores.items()
        if isinstance(value, int | float) and abs(value) < float("inf")
    }


def _doubts(suspicions: tuple[Suspicion, ...]) -> str:
    """Return a pointer to what may make the score mean little."""
    if not suspicions:
        return ""
    kinds = ", ".join(dict.fromkeys(escape(s.kind) for s in suspicions))
    text = f'Before you believe this score, read what is <a href="#data">suspicious in the data</a>: {kinds}.'
    return bullets([text], "warnings")


def _card(key: str, scores: dict[str, float], headline: str, rows: int) -> str:
    if headline not in scores:
        return ""
    score, value = _score(headline), scores[headline]
    share = f"{min(max(value, 0.0), 1.0) * 100:.1f}%"
    bar = (
        f'<div class="bar"><i style="width:{share}"></i></div>'
        if headline in (*SHARES, "r2")
        else ""
    )
    note = score.title.lower() if score.title != "R²" else "R²"
    if key == "network" and headline in SHARES:
        low, high = interval(value, rows)
        note += f"; 95 % interval {percent(low)} to {percent(high)}"
    kind = ' class="main"' if key == "network" else ""
    return (
        f'<div{kind}><dt>{escape(MODELS.get(key, key))}</dt><dd><span class="value">'
        f'{score.write(value)}</span>{bar}<span class="note">{note}</span></dd></div>'
    )


def interval(share: float, rows: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share of so many rows (Wilson, 1927).

    >>> [round(end, 3) for end in interval(0.8, 100)]
    [0.711, 0.867]
    """
    z = 1.96
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * (share * (1 - share) / rows + z * z / (4 * rows * rows)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def _score_table(caption: str, models: dict[str, dict[str, float]], names: list[str]) -> str:
    rows: list[list[str | Cell]] = []
    for key, scores in models.items():
        cells = [_score(n).write(scores[n]) if n in scores else "not defined" for n in names]
        fitted = scores.get("fitted_on")
        label = escape(MODELS.get(key, key))
        label += f" (fitted on {thousands(fitted)} rows)" if fitted else ""
        rows.append([Cell(f"<strong>{label}</strong>" if key == "network" else label), *cells])
    meanings = "; ".join(f"{_score(n).title}: {_score(n).meaning}" for n in names)
    head = ["Model", *(_score(n).title for n in names)]
    return table(caption, head, rows, numeric=range(1, len(head)), note=f"{meanings}.")


def _score(key: str) -> Score:
    return SCORES.get(key) or Score(escape(key), number, "as scikit-learn defines it")
