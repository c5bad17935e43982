"""Show the verdict of a report, and the scores of the network and the baselines."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from glassnet.display.html import (
    Cell,
    bar,
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
    """How to name, write and explain a score."""

    title: str
    write: Callable[[float], str]
    meaning: str


SCORES = {
    "accuracy": Score("Accuracy", percent, "share of rows predicted correctly"),
    "balanced_accuracy": Score("Balanced accuracy", percent, "mean of the classes' recalls"),
    "subset_accuracy": Score("Subset accuracy", percent, "share of rows with all labels correct"),
    "macro_f1": Score("Macro F1", number, "mean over classes of the F1 of precision and recall"),
    "log_loss": Score(
        "Log-loss", number, "mean of −ln(probability of the true class); lower is better, 0 is best"
    ),
    "r2": Score(
        "R²", number, "share of the variance explained; 0 is as good as the mean, 1 is best"
    ),
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


def result_section(content: ReportContent) -> str:
    """Return the verdict, a card with the main score of each model, and a table of all scores."""
    evaluation = content.evaluation
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
            _caption(content), {key: models[key] for key in order}, list(evaluation.scores)
        )
        + ("" if content.trained else _at_training(content))
        + _doubts(content.facts.suspicions)
    )


def _caption(content: ReportContent) -> str:
    if content.trained:
        return "Scores on the test rows, which no model has seen"
    rows = counted(len(content.evaluation.y_true), "row")
    return f"Scores on {rows} of {name(content.facts.title)}"


def _at_training(content: ReportContent) -> str:
    """Return the test scores after training that the model file holds, if any."""
    info, names = content.model.info, list(content.evaluation.scores)
    stored = info.get("baselines")
    stored = {"network": info.get("scores"), **(stored if isinstance(stored, dict) else {})}
    # the file may hold anything
    models = {str(key): _finite(scores) for key, scores in stored.items()}
    models = {key: scores for key, scores in models.items() if scores.keys() & set(names)}
    warning = (
        "These scores mean something only if the model was not trained on these rows: a network scores"
        " better on rows that it was trained on than on new ones."
    )
    if info.get("data") == content.facts.title:
        warning = (
            f"The model was trained on data of the same name, {name(content.facts.title)}. If these are the"
            " same rows, the scores say little about new rows."
        )
    caption = "Scores on the test rows when the model was trained, from the model file"
    return paragraph(warning, "note") + (_score_table(caption, models, names) if models else "")


def _finite(scores: object) -> dict[str, float]:
    if not isinstance(scores, dict):
        return {}
    return {
        str(key): float(value)
        for key, value in scores.items()
        if isinstance(value, int | float) and abs(value) < float("inf")
    }


def _doubts(suspicions: tuple[Suspicion, ...]) -> str:
    """Return a warning about what may make the score meaningless."""
    if not suspicions:
        return ""
    kinds = ", ".join(dict.fromkeys(escape(s.kind) for s in suspicions))
    text = f'Before you believe this score, read what is <a href="#data">suspicious in the data</a>: {kinds}.'
    return bullets([text], "warnings")


def _card(key: str, scores: dict[str, float], headline: str, rows: int) -> str:
    if headline not in scores:
        return ""
    score, value = _score(headline), scores[headline]
    drawn = bar(value) if headline in (*SHARES, "r2") else ""
    note = score.title.lower() if score.title != "R²" else "R²"
    if key == "network" and headline in SHARES:
        low, high = wilson_interval(value, rows)
        note += f"; 95 % interval {percent(low)} to {percent(high)}"
    kind = ' class="main"' if key == "network" else ""
    return (
        f'<div{kind}><dt>{escape(MODELS.get(key, key))}</dt><dd><span class="value">'
        f'{score.write(value)}</span>{drawn}<span class="note">{note}</span></dd></div>'
    )


def wilson_interval(share: float, rows: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share of rows (Wilson, 1927).

    >>> [round(end, 3) for end in wilson_interval(0.8, 100)]
    [0.711, 0.867]
    """
    z = 1.96
    center = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half_width = (
        z / (1 + z * z / rows) * (share * (1 - share) / rows + z * z / (4 * rows * rows)) ** 0.5
    )
    return max(0.0, center - half_width), min(1.0, center + half_width)


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
