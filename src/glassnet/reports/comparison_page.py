"""Comparison page: what `compare` found on one HTML page that opens anywhere, without a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from glassnet.display import charts
from glassnet.display.html import (
    Cell,
    bullets,
    clean,
    code,
    counted,
    escape,
    name,
    number,
    page,
    paragraph,
    percent,
    table,
)
from glassnet.evaluation.comparison import TITLES, Comparison, plus_minus, signed, size
from glassnet.evaluation.verdicts import GUESS, NETWORK, WORTH, seconds
from glassnet.reports.mistakes import figure

STYLES = (
    (charts.MUTED, ":", "o"),
    (charts.SECOND, ":", "^"),
    (charts.SECOND, "--", "s"),
    (charts.MUTED, "--", "D"),
    (charts.SECOND, "-", "v"),
    (charts.FIRST, "-", "o"),
)
"""Color, dashes and marker of each model's line, by its place among all models."""


class _Source(NamedTuple):
    """What every section is made from."""

    found: Comparison
    title: str
    target: str
    command: str
    notes: tuple[str, ...]


def comparison_html(
    found: Comparison,
    *,
    title: str = "",
    target: str = "",
    command: str = "",
    notes: Sequence[str] = (),
) -> str:
    """Return a comparison as one HTML page: no scripts, nothing loaded from anywhere, for any screen.

    Parameters
    ----------
    found: what `compare` returned.
    title: what the data are called. target: the column that is predicted. command: what was typed.
    notes: what reading the data decided or dropped, a sentence each.

    >>> from sklearn.datasets import load_iris
    >>> from glassnet.evaluation.compare import compare
    >>> from glassnet.fit.estimators import NeuralClassifier
    >>> network = NeuralClassifier((16,), members=1, epochs=20, random_state=0)
    >>> found = compare(*load_iris(return_X_y=True), estimator=network, repeats=1)
    >>> html = comparison_html(found, title="iris", target="species")
    >>> html.startswith("<!DOCTYPE html>"), "http://" in html, "https://" in html
    (True, False, False)
    """
    source = _Source(found, title, target, command, tuple(notes))
    what = target or "the target"
    written = [(key, heading, body(source)) for key, heading, body in SECTIONS]
    head = (
        paragraph("glassnet comparison of models", "eyebrow")
        + f"<h1>Predicting {name(what)} from {name(title or 'data')}: which model?</h1>\n"
        + paragraph(_tested(found), "lede")
    )
    return page(f"Comparison: {what} from {title or 'data'}", head, [s for s in written if s[2]])


def _tested(found: Comparison) -> str:
    """Return what was compared on what, in a sentence of HTML."""
    times = counted(found.folds, "fold")
    times += f", {found.repeats} times over" if found.repeats > 1 else ""
    return (
        f"{counted(len(found.standings), 'model')} on the same {times}:"
        f" a {found.task} of {counted(found.rows, 'row')} with {counted(found.columns, 'column')},"
        f" in {seconds(found.seconds)}."
    )


def _verdict(source: _Source) -> str:
    """Return the sentence, a card a model, and what was left out."""
    found = source.found
    cards = "".join(_card(found, key) for key in found.standings)
    return (
        paragraph(escape(found.verdict.sentence, 1000), "verdict")
        + f'<dl class="cards">{cards}</dl>\n'
        + bullets((escape(note, 1000) for note in found.notes), "warnings")
    )


def _card(found: Comparison, key: str) -> str:
    standing = found.standings[key]
    headline = next(iter(standing.scores))
    mean = float(standing.scores[headline].mean())
    share = min(
        max(mean if headline == "accuracy" else float(found.explained(key).mean()), 0.0), 1.0
    )
    value = percent(mean) if headline == "accuracy" else number(mean)
    kind = ' class="main"' if key == found.verdict.use else ""
    title = _short(found, key) + (
        " (use this)" if key == found.verdict.use and key != GUESS else ""
    )
    return (
        f'<div{kind}><dt>{escape(title)}</dt><dd><span class="value">{value}</span>'
        f'<div class="bar"><i style="width:{share * 100:.1f}%"></i></div>'
        f'<span class="note">{TITLES[headline]}; fitted in {seconds(float(standing.fit_seconds.mean()))}'
        "</span></dd></div>"
    )


def _models(source: _Source) -> str:
    """Return all scores, times and sizes, a line a model."""
    found = source.found
    names = list(next(iter(found.standings.values())).scores)
    rows: list[list[str | Cell]] = []
    for key, standing in found.standings.items():
        label = (
            f"{escape(_short(found, key))}<br><span class='note'>{escape(standing.about)}</span>"
        )
        cells = [plus_minus(standing.scores[score]) for score in names]
        cells.append(plus_minus(found.explained(key), share=True))
        fitting, predicting = (
            float(standing.fit_seconds.mean()),
            float(np.median(standing.predict_seconds)),
        )
        cells += [
            seconds(fitting),
            seconds(predicting),
            size(standing.bytes),
            str(len(standing.errors)),
        ]
        kind = ' class="main-row"' if key == found.verdict.use else ""
        rows.append([Cell(label, kind), *map(_figures, cells)])
    head = [
        "Model",
        *(TITLES[score][0].upper() + TITLES[score][1:] for score in names),
        "Share explained",
        "Fit",
    ]
    head += ["Predict 1000 rows", "Memory", "Folds"]
    note = (
        "Mean ± standard deviation over the folds, on rows that the model has not seen. Share explained: 1 −"
        " error / error of guessing, of squared errors or of the probabilities' (Brier) errors; 0 is the"
        " guess, 1 is perfect. It decides, because it sees what accuracy is blind to where one class is"
        " frequent, and no single row can make it infinite. Fit: encoding included, for a network also"
        " compiling. Memory: all arrays that the fitted model and its encoding keep."
    )
    return table("How each model did", head, rows, numeric=range(1, len(head)), note=note)


def _differences(source: _Source) -> str:
    """Return how much more the network, and the best simpler model, explain than each other model."""
    found = source.found
    best = found.best_simpler()
    heads = [key for key in (NETWORK, best) if key is not None and key in found.standings]
    parts = []
    for key in heads:
        others = [other for other in found.standings if other != key]
        drawing = _leads(found, key, others)
        titles = {o: found.standings[o].title for o in others}
        said = "; ".join(f"{titles[o]} {signed(found.difference(key, o))}" for o in others)
        caption = f"{escape(_short(found, key))} over {escape(said, 1000)}."
        parts.append(figure(drawing, caption.replace("-", "−")))
    note = (
        "Each line is a mean difference of the share explained, paired over the folds, with its 95 %"
        " interval, corrected for the training rows that the folds share (Nadeau and Bengio, 2003)."
        " An interval right"
        " of 0: the model is better; over 0: the data cannot tell. A more complex model is preferred only if"
        f" it explains at least {percent(WORTH)} more, or a tenth of what is left, and its lead stays"
        " sure after correction for the number of models tried (Holm, 1979)."
    )
    return f'<div class="charts">{"".join(parts)}</div>\n' + paragraph(note, "note")


def _leads(found: Comparison, key: str, others: Sequence[str]) -> str:
    """Return a drawing of a model's leads over others with their intervals."""
    leads = [found.difference(key, other) for other in others]
    places = np.arange(len(others))[::-1]

    def draw(ax: Any) -> None:
        for place, lead in zip(places, leads, strict=True):
            ends = [lead.low, lead.high] if np.isfinite(lead.low) else [lead.mean, lead.mean]
            color = charts.FIRST if ends[0] > 0 else charts.SECOND if ends[1] < 0 else charts.MUTED
            ax.plot(ends, [place, place], color=color, lw=2)
            ax.plot([lead.mean], [place], "o", color=color, ms=6)
        ax.axvline(0, color=charts.INK, lw=1)
        ax.set_yticks(places, [_short(found, other) for other in others])
        ax.set_ylim(-0.6, len(others) - 0.4)
        ax.set(xlabel="lead in share explained")
        ax.locator_params(axis="x", nbins=6)

    title = f"Leads of {found.standings[key].title} over the other models, with 95 % intervals."
    return charts.svg(f"leads-{key}", title, draw)


def _curves(source: _Source) -> str:
    """Return the learning curves, drawn and as numbers."""
    found = source.found
    curve = found.curve
    if curve is None:
        return ""
    order = list(found.standings)

    def draw(ax: Any) -> None:
        for key, values in curve.explained.items():
            color, dashes, marker = STYLES[order.index(key)] if len(order) == 6 else STYLES[-1]
            ax.plot(curve.rows, values.mean(axis=1), color=color, ls=dashes, marker=marker, ms=5,
                    label=_short(found, key))  # fmt: skip
        ax.axhline(0, color=charts.INK, lw=1)
        ax.set_xscale("log")
        ax.set_xticks(curve.rows, [str(count) for count in curve.rows])
        ax.xaxis.set_minor_formatter(lambda value, place: "")
        ax.set(xlabel="training rows", ylabel="share explained")
        low = min(values.mean(axis=1).min() for values in curve.explained.values())
        ax.set_ylim(max(-0.5, low - 0.05), None)
        ax.legend(fontsize=9)

    drawing = charts.svg("learning-curve", "Share explained after so many training rows.", draw)
    rows: list[list[str | Cell]] = [
        [escape(_short(found, key)), *(_figures(plus_minus(v, share=True)) for v in values)]
        for key, values in curve.explained.items()
    ]
    head = ["Model", *(counted(count, "row") for count in curve.rows)]
    return (
        paragraph(escape(curve.sentence, 1000))
        + f'<div class="charts">{figure(drawing, "Mean over the folds; guessing is 0.")}</div>\n'
        + table("Share explained after training rows", head, rows, numeric=range(1, len(head)))
    )


def _folds(source: _Source) -> str:
    """Return the share explained in each fold."""
    found = source.found
    most = max(len(standing.errors) for standing in found.standings.values())
    rows: list[list[str | Cell]] = []
    for key in found.standings:
        values = [_figures(f"{value:.3f}") for value in found.explained(key)]
        rows.append([escape(_short(found, key)), *values, *["not tested"] * (most - len(values))])
    head = ["Model", *(str(fold + 1) for fold in range(most))]
    caption = "Share explained in each fold; all models have the same folds"
    return table(caption, head, rows, numeric=range(1, len(head)), kind="dense")


def _made(source: _Source) -> str:
    """Return what was typed and what reading the data decided."""
    command = clean(source.command, 1000)
    return bullets(escape(note, 400) for note in source.notes) + (
        paragraph("This page was made by:") + code(command) if command else ""
    )


def _figures(text: str) -> str:
    """Return figures with true minus signs, on one line."""
    return text.replace("-", "−").replace(" ", "\xa0")


def _short(found: Comparison, key: str) -> str:
    title = found.standings[key].title.removeprefix("the ")
    return title[0].upper() + title[1:]


SECTIONS: tuple[tuple[str, str, Callable[[_Source], str]], ...] = (
    ("verdict", "Verdict", _verdict),
    ("models", "Models", _models),
    ("differences", "Differences", _differences),
    ("data", "Do you have enough data?", _curves),
    ("folds", "Folds", _folds),
    ("made", "How this was made", _made),
)
"""Id, heading, and what writes it ("": it is left out)."""
