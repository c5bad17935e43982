"""Page of a trace: what a notebook shows of one step of training; plain HTML that loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from glassnet.display.html import counted, escape, paragraph, table
from glassnet.tracing.expressions import written
from glassnet.tracing.own_units import Answer, GivenColumn
from glassnet.tracing.records import LayerTrace, Traced
from glassnet.tracing.text import (
    MOST_COLUMNS,
    answers_text,
    given_rows,
    headline,
    layer_rows,
    loss_text,
    parameter_rows,
    picture_text,
    shades,
    step_text,
)

MOST_ROWS, MOST_NUMBERS = 12, 16  # of an array that are shown

STYLE = """<style>
.glassnet-trace { font: 0.9rem/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
.glassnet-trace .scroll { overflow-x: auto; }
.glassnet-trace table { border-collapse: collapse; margin: .4rem 0 1rem; font-variant-numeric: tabular-nums; }
.glassnet-trace caption { text-align: left; white-space: nowrap; font-weight: 600; padding: .2rem 0; }
.glassnet-trace th, .glassnet-trace td { text-align: left; padding: .15rem .6rem .15rem 0;
  border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
.glassnet-trace .number { text-align: right; }
.glassnet-trace summary { cursor: pointer; }
</style>
"""


def trace_html(
    traced: Traced, given: Sequence[GivenColumn], answers: Sequence[Answer], notes: Sequence[str]
) -> str:
    """Return a trace as a piece of HTML: the same as in a terminal, and each layer's arrays to unfold."""
    parts = [f'<div class="glassnet-trace">\n{STYLE}<p><b>{escape(headline(traced))}</b></p>\n']
    parts += [paragraph(escape(note, 1000)) for note in notes]
    if given and given[0].kind == "pixel":
        lines = "\n".join(shades(traced.layers[0].input[0]))  # of characters that HTML leaves alone
        drawn = f"<pre>{lines}</pre>\n" if lines else ""
        parts.append(paragraph(escape(picture_text(given))) + drawn)
    else:
        parts.append(_cells("Row 0 as given, and what the network takes it for", given_rows(given)))
        left = len(given) - MOST_COLUMNS
        parts.append(paragraph(f"And {counted(left, 'further column')}." if left > 0 else ""))
    parts.append(_cells("Row 0 through the layers", layer_rows(traced)))
    parts.append(paragraph("Row 0 as answered: " + escape(answers_text(answers), 2000)))
    if traced.loss is not None:
        parts.append(paragraph(escape(loss_text(traced))))
        parts.append(_cells(escape(step_text(traced)), parameter_rows(traced)))
    parts += [_unfolded(layer) for layer in traced.layers]
    return "".join(parts) + "</div>\n"


def _cells(caption: str, rows: Sequence[Sequence[str]]) -> str:
    head, *body = ([escape(cell) for cell in row] for row in rows)
    return table(caption, head, body)


def _unfolded(layer: LayerTrace) -> str:
    """Return all that a layer was given and gave, to unfold."""
    arrays: list[tuple[str, Any]] = [("input", layer.input), ("output", layer.output)]
    if layer.d_output is not None:
        arrays += [("dL/d(output)", layer.d_output), ("dL/d(input)", layer.d_input)]
    for name, p in layer.parameters.items():
        arrays += [(name, p.value)]
        if p.gradient is not None:
            arrays += [(f"dL/d{name}", p.gradient), (f"Δ{name}", p.update), (f"{name} new", p.new)]
    shown = "".join(_array(name, array) for name, array in arrays)
    heading = f"Layer {escape(layer.place)}: {escape(layer.kind)}"
    return f"<details><summary>{heading}</summary>\n{shown}</details>\n"


def _array(name: str, array: Any) -> str:
    """Return an array as a table, the first of many rows and numbers."""
    values = np.asarray(array)
    flat = values.reshape(len(values), -1) if values.ndim > 1 else values.reshape(1, -1)
    shape = " × ".join(map(str, values.shape))
    cut = flat[:MOST_ROWS, :MOST_NUMBERS]
    caption = f"{escape(name)}, {shape}" + (", its first numbers" if cut.size < flat.size else "")
    rows = [[str(k), *(written(float(v)) for v in row)] for k, row in enumerate(cut)]
    head = ["", *map(str, range(cut.shape[1]))]
    return table(caption, head, rows, numeric=tuple(range(1, cut.shape[1] + 1)))
