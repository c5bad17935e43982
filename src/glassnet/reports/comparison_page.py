"""Write the result of `compare` as one HTML page that opens in any browser, offline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from glassnet.display import charts
from glassnet.display.html import (
    Cell,
    bar,
    bullets,
    clean,
    code,
    counted,
    escape,
    figure,
    name,
    number,
    page,
    paragraph,
    percent,
    table,
)
from glassnet.evaluation.comparison import SCORE_TITLES, Comparison, byte_size, plus_minus, signed
from glassnet.evaluation.verdicts import GUESS, MIN_SHARE_OF_BEST, NETWORK, seconds

STYLES = (
    (charts.MUTED, ":", "o"),
    (charts.SECOND, ":", "^"),
    (charts.SECOND, "--", "s"),
    (charts.MUTED, "--", "D"),
    (charts.SECOND, "-", "v"),
    (charts.FIRST, "-", "o"),
)
"""Colour, dashes and marker of each model's line, in the order of the models."""


class _Content(NamedTuple):
    """The content that every section draws on."""

    comparison: Comparison
    title: str
    target: str
    command: str
    notes: tuple[str, ...]


def comparison_html(
    comparison: Comparison,
    *,
    title: str = "",
    target: str = "",
    command: str = "",
    notes: Sequence[str] = (),
) -> str:
    """Return a comparison as one HTML page for any screen, without scripts or anything to load.

    Parameters
    ----------
    comparison: the result of `compare`.
    title: the name of the data. target: the column that is predicted. command: the command line.
    notes: sentences about what reading the data decided or dropped.

    >>> from sklearn.datasets import load_iris
    >>> from glassnet.evaluation.compare import compare
    >>> from glassnet.fit.estimators import NeuralClassifier
    >>> network = NeuralClassifier((16,), members=1, epochs=20, random_state=0)
    >>> comparison = compare(*load_iris(return_X_y=True), estimator=network, repeats=1)
    >>> html = comparison_html(comparison, title="iris", target="species")
    >>> html.startswith("<!DOCTYPE html>"), "http://" in html, "https://" in html
    (True, False, False)
    """
    content = _Content(comparison, title, target, command, tuple(notes))
    predicted = target or "the target"
    sections = [(key, heading, body(content)) for key, heading, body in SECTIONS]
    head = (
        paragraph("glassnet comparison of models", "eyebrow")
        + f"<h1>Predicting {name(predicted)} from {name(title or 'data')}: which model?</h1>\n"
        + paragraph(_tested(comparison), "lede")
    )
    return page(f"Comparison: {predicted} from {title or 'data'}", head, sections)


def _tested(comparison: Comparison) -> str:
    """Return a sentence (HTML) about the models and the data."""
    times = counted(comparison.folds, "fold")
    times += f", {comparison.repeats} times over" if comparison.repeats > 1 else ""
    return (
        f"{counted(len(comparison.standings), 'model')} on the same {times}:"
        f" a {comparison.task} of {counted(comparison.rows, 'row')}"
        f" with {counted(comparison.columns, 'column')}, in {seconds(comparison.seconds)}."
    )


def _verdict(content: _Content) -> str:
    """Return the verdict, a card for each model, and what was left out."""
    comparison = content.comparison
    cards = "".join(_card(comparison, key) for key in comparison.standings)
    return (
        paragraph(escape(comparison.verdict.sentence, 1000), "verdict")
        + f'<dl class="cards">{cards}</dl>\n'
        + bullets((escape(note, 1000) for note in comparison.notes), "warnings")
    )


def _card(comparison: Comparison, key: str) -> str:
    standing = comparison.standings[key]
    headline = next(iter(standing.scores))
    mean = float(standing.scores[headline].mean())
    share = mean if headline == "accuracy" else float(comparison.explained(key).mean())
    value = percent(mean) if headline == "accuracy" else number(mean)
    fitting = seconds(float(standing.fit_seconds.mean()))
    kind = ' class="main"' if key == comparison.verdict.use else ""
    title = _short(comparison, key) + (
        " (use this)" if key == comparison.verdict.use and key != GUESS else ""
    )
    return (
        f'<div{kind}><dt>{escape(title)}</dt><dd><span class="value">{value}</span>'
        f'{bar(share)}<span class="note">{SCORE_TITLES[headline]}; fitted in {fitting}'
        "</span></dd></div>"
    )


def _models(content: _Content) -> str:
    """Return a table with all scores, times and sizes of each model."""
    comparison = content.comparison
    names = list(next(iter(comparison.standings.values())).scores)
    rows: list[list[str | Cell]] = []
    for key, standing in comparison.standings.items():
        label = f"{escape(_short(comparison, key))}<br><span class='note'>{escape(standing.about)}</span>"
        cells = [plus_minus(standing.scores[score]) for score in names]
        cells.append(plus_minus(comparison.explained(key), share=True))
        fitting = seconds(float(standing.fit_seconds.mean()))
        predicting = seconds(float(np.median(standing.predict_seconds)))
        cells += [fitting, predicting, byte_size(standing.bytes), str(len(standing.errors))]
        kind = ' class="main-row"' if key == comparison.verdict.use else ""
        rows.append([Cell(label, kind), *map(_figures, cells)])
    head = [
        "Model",
        *(SCORE_TITLES[score][0].upper() + SCORE_TITLES[score][1:] for score in names),
        "Share explained",
        "Fit",
    ]
    head += ["Predict 1000 rows", "Memory", "Folds"]
    note = (
        "Mean ± standard deviation over the folds, on rows that the model has not seen. Share explained: 1 −"
        " error / error of guessing, with squared errors, or for classes the Brier scores of the"
        " probabilities. 0 is as good as guessing, 1 is perfect. Models are compared by it, because accuracy"
        " hides differences if one class is frequent, and because no single row can make it infinite. Fit:"
        " includes the encoding, and for a network the compilation. Memory: all arrays that the fitted model"
        " and its encoding hold."
    )
    return table(
        "Scores, times and memory of the models", head, rows, numeric=range(1, len(head)), note=note
    )


def _differences(content: _Content) -> str:
    """Return how much more the network and the best simpler model explain than the other models."""
    comparison = content.comparison
    best = comparison.best_simpler()
    heads = [key for key in (NETWORK, best) if key is not None and key in comparison.standings]
    parts = []
    for key in heads:
        others = [other for other in comparison.standings if other != key]
        drawing = _leads(comparison, key, others)
        titles = {o: comparison.standings[o].title for o in others}
        leads = "; ".join(f"{titles[o]} {signed(comparison.difference(key, o))}" for o in others)
        caption = f"{escape(_short(comparison, key))} over {escape(leads, 1000)}."
        parts.append(figure(drawing, caption.replace("-", "−")))
    note = (
        "Each line is the mean difference of the share explained, paired over the folds, with its 95 %"
        " interval, corrected for the training rows that the folds share (Nadeau and Bengio, 2003). If the"
        " interval lies right of 0, the model is better; if it includes 0, the difference may be chance. A"
        f" more complex model is preferred only if it explains at least {percent(MIN_SHARE_OF_BEST)} more, or"
        " a tenth of what the simpler one leaves unexplained, and its lead is significant after correction"
        " for the number of models (Holm, 1979)."
    )
    return f'<div class="charts">{"".join(parts)}</div>\n' + paragraph(note, "note")


def _leads(comparison: Comparison, key: str, others: Sequence[str]) -> str:
    """Return a drawing of a model's leads over others, with their intervals."""
    leads = [comparison.difference(key, other) for other in others]
    heights = np.arange(len(others))[::-1]

    def draw(ax: Any) -> None:
        for height, lead in zip(heights, leads, strict=True):
            ends = [lead.low, lead.high] if np.isfinite(lead.low) else [lead.mean, lead.mean]
            color = charts.FIRST if ends[0] > 0 else charts.SECOND if ends[1] < 0 else charts.MUTED
            ax.plot(ends, [height, height], color=color, lw=2)
            ax.plot([lead.mean], [height], "o", color=color, ms=6)
        ax.axvline(0, color=charts.INK, lw=1)
        ax.set_yticks(heights, [_short(comparison, other) for other in others])
        ax.set_ylim(-0.6, len(others) - 0.4)
        ax.set(xlabel="lead in share explained")
        ax.locator_params(axis="x", nbins=6)

    title = (
        f"Leads of {comparison.standings[key].title} over the other models, with 95 % intervals."
    )
    return charts.svg(f"leads-{key}", title, draw)


def _curves(content: _Content) -> str:
    """Return the learning curves, as a drawing and as a table."""
    comparison = content.comparison
    curve = comparison.curve
    if curve is None:
        return ""
    order = list(comparison.standings)

    def draw(ax: Any) -> None:
        for key, values in curve.explained.items():
            color, dashes, marker = STYLES[order.index(key)] if len(order) == 6 else STYLES[-1]
            ax.plot(curve.rows, values.mean(axis=1), color=color, ls=dashes, marker=marker, ms=5,
                    label=_short(comparison, key))  # fmt: skip
        ax.axhline(0, color=charts.INK, lw=1)
        ax.set_xscale("log")
        ax.set_xticks(curve.rows, [str(count) for count in curve.rows])
        ax.xaxis.set_minor_formatter(lambda value, position: "")
        ax.set(xlabel="training rows", ylabel="share explained")
        low = min(values.mean(axis=1).min() for values in curve.explained.values())
        ax.set_ylim(max(-0.5, low - 0.05), None)
        ax.legend(fontsize=9)

    drawing = charts.svg(
        "learning-curve", "Share explained by each model over the number of training rows.", draw
    )
    rows: list[list[str | Cell]] = [
        [escape(_short(comparison, key)), *(_figures(plus_minus(v, share=True)) for v in values)]
        for key, values in curve.explained.items()
    ]
    head = ["Model", *(counted(count, "row") for count in curve.rows)]
    return (
        paragraph(escape(curve.sentence, 1000))
        + f'<div class="charts">{figure(drawing, "Mean over the folds. Guessing explains 0.")}</div>\n'
        + table(
            "Share explained by number of training rows", head, rows, numeric=range(1, len(head))
        )
    )


def _folds(content: _Content) -> str:
    """Return the share explained in each fold."""
    comparison = content.comparison
    count = max(len(standing.errors) for standing in comparison.standings.values())
    rows: list[list[str | Cell]] = []
    for key in comparison.standings:
        values = [_figures(f"{value:.3f}") for value in comparison.explained(key)]
        rows.append(
            [escape(_short(comparison, key)), *values, *["not tested"] * (count - len(values))]
        )
    head = ["Model", *(str(fold + 1) for fold in range(count))]
    caption = "Share explained in each fold (the folds are the same for all models)"
    return table(caption, head, rows, numeric=range(1, len(head)), kind="dense")


def _made(content: _Content) -> str:
    """Return notes about reading the data, and the command line."""
    command = clean(content.command, 1000)
    return bullets(escape(note, 400) for note in content.notes) + (
        paragraph("This page was made by:") + code(command) if command else ""
    )


def _figures(text: str) -> str:
    """Return numbers with true minus signs and without line breaks."""
    return text.replace("-", "−").replace(" ", "\xa0")


def _short(comparison: Comparison, key: str) -> str:
    title = comparison.standings[key].title.removeprefix("the ")
    return title[0].upper() + title[1:]


SECTIONS: tuple[tuple[str, str, Callable[[_Content], str]], ...] = (
    ("verdict", "Verdict", _verdict),
    ("models", "Models", _models),
    ("differences", "Differences", _differences),
    ("data", "Do you have enough data?", _curves),
    ("folds", "Folds", _folds),
    ("made", "How this was made", _made),
)
"""Id, heading, and function of each section, which is left out if the function returns ""."""
