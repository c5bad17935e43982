"""Show a trace in a notebook, as self-contained HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from glassnet.display.html import counted, escape, paragraph, table
from glassnet.tracing.expressions import written
from glassnet.tracing.records import LayerTrace
from glassnet.tracing.text import (
    MAX_COLUMNS,
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

if TYPE_CHECKING:
    from glassnet.tracing.trace import Trace

MAX_ROWS, MAX_NUMBERS = 12, 16  # of an array that are shown

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


def trace_html(trace: Trace) -> str:
    """Return a trace as HTML: the content of the terminal, and each layer's arrays in sections to open."""
    parts = [f'<div class="glassnet-trace">\n{STYLE}<p><b>{escape(headline(trace))}</b></p>\n']
    parts += [paragraph(escape(note, 1000)) for note in trace.notes]
    given = trace.inputs()
    if given and given[0].kind == "pixel":
        # none of these characters needs escaping
        lines = "\n".join(shades(trace.layers[0].input[0]))
        picture = f"<pre>{lines}</pre>\n" if lines else ""
        parts.append(paragraph(escape(picture_text(given))) + picture)
    else:
        parts.append(_cells("Row 0 as given, and the inputs that it becomes", given_rows(given)))
        hidden = len(given) - MAX_COLUMNS
        parts.append(paragraph(f"And {counted(hidden, 'more column')}." if hidden > 0 else ""))
    parts.append(_cells("Row 0 through the layers", layer_rows(trace)))
    parts.append(paragraph("Answer for row 0: " + escape(answers_text(trace.answers()), 2000)))
    if trace.loss is not None:
        parts.append(paragraph(escape(loss_text(trace))))
        parts.append(_cells(escape(step_text(trace)), parameter_rows(trace)))
    parts += [_details(layer) for layer in trace.layers]
    return "".join(parts) + "</div>\n"


def _cells(caption: str, rows: Sequence[Sequence[str]]) -> str:
    head, *body = ([escape(cell) for cell in row] for row in rows)
    return table(caption, head, body)


def _details(layer: LayerTrace) -> str:
    """Return a section to open with every array of a layer."""
    arrays: list[tuple[str, Any]] = [("input", layer.input), ("output", layer.output)]
    if layer.d_output is not None:
        arrays += [("dL/d(output)", layer.d_output), ("dL/d(input)", layer.d_input)]
    for name, p in layer.parameters.items():
        arrays += [(name, p.value)]
        if p.gradient is not None:
            arrays += [(f"dL/d{name}", p.gradient), (f"Δ{name}", p.update), (f"{name} new", p.new)]
    arrays += layer.cache.items()
    shown = "".join(_array(name, array) for name, array in arrays)
    heading = f"Layer {escape(layer.path)}: {escape(layer.kind)}"
    return f"<details><summary>{heading}</summary>\n{shown}</details>\n"


def _array(name: str, array: Any) -> str:
    """Return an array as a table, cut to its first rows and numbers."""
    values = np.asarray(array)
    flat = values.reshape(len(values), -1) if values.ndim > 1 else values.reshape(1, -1)
    shape = " × ".join(map(str, values.shape))
    cut = flat[:MAX_ROWS, :MAX_NUMBERS]
    caption = f"{escape(name)}, {shape}" + (", its first numbers" if cut.size < flat.size else "")
    rows = [[str(k), *(written(float(v)) for v in row)] for k, row in enumerate(cut)]
    head = ["", *map(str, range(cut.shape[1]))]
    return table(caption, head, rows, numeric=tuple(range(1, cut.shape[1] + 1)))
