"""Show a trace in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from glassnet.display.html import clean, counted
from glassnet.display.text import text_table
from glassnet.nn.optimizer_wrappers import unwrapped
from glassnet.tracing.expressions import written
from glassnet.tracing.records import LayerTrace, norm
from glassnet.tracing.units import Answer, GivenColumn, value_text

if TYPE_CHECKING:
    from glassnet.tracing.trace import Trace

MAX_NUMBERS = 4  # of one row that are listed; for more, their count and range
MAX_COLUMNS = 20
MAX_PIXELS = 32  # height and width of a picture that is drawn
SHADES = " .:-=+*#%@"
MAX_ANSWERS = 12


def trace_text(trace: Trace) -> str:
    """Return a trace as text: the row as given, the layers, the loss, and the optimizer's step."""
    given = trace.inputs()
    parts = [headline(trace), *trace.notes, ""]
    if given and given[0].kind == "pixel":
        parts += [picture_text(given), *(f"  {line}" for line in shades(trace.layers[0].input[0]))]
    else:
        parts += [
            "Row 0 as given, and the inputs that it becomes:",
            text_table(given_rows(given), left=None, indent=2),
        ]
        if len(given) > MAX_COLUMNS:
            parts.append(f"  and {counted(len(given) - MAX_COLUMNS, 'more column')}")
    parts += ["", "Row 0 through the layers:", text_table(layer_rows(trace), left=None, indent=2)]
    parts += ["", "Answer for row 0: " + answers_text(trace.answers())]
    if trace.loss is not None:
        parts += [
            "",
            loss_text(trace),
            "",
            step_text(trace),
            text_table(parameter_rows(trace), left=None, indent=2),
        ]
    return "\n".join(parts)


def headline(trace: Trace) -> str:
    """Return a headline: a step or a forward pass, the number of rows, and the dtype."""
    kind = "One step of training" if trace.loss is not None else "One forward pass"
    return f"{kind} on {counted(trace.rows, 'row')}, in {trace.dtype}"


def picture_text(given: Sequence[GivenColumn]) -> str:
    """Return the size and range of a picture."""
    values = [float(column.value or 0) for column in given]
    span = f"{value_text(min(values))} to {value_text(max(values))}"
    return f"Row 0 as given: a picture of {counted(len(values), 'number')}, {span}"


def shades(picture: Any) -> list[str]:
    """Return a small picture, (h, w) or (h, w, channels), as lines with two characters for each pixel.

    >>> shades(np.array([[0.0, 1.0], [0.5, 0.0]]))
    ['  @@', '==']
    """
    values = np.asarray(picture, np.float64)
    grey = values.mean(axis=2) if values.ndim == 3 else values
    if grey.ndim != 2 or max(grey.shape) > MAX_PIXELS:
        return []
    low, high = float(grey.min()), float(grey.max())
    steps = np.rint((grey - low) / ((high - low) or 1.0) * (len(SHADES) - 1)).astype(int)
    return ["".join(SHADES[k] * 2 for k in line).rstrip() for line in steps]


def given_rows(given: Sequence[GivenColumn]) -> list[list[str]]:
    """Return a row of cells for each column: its name, its value, its inputs."""
    rows = [["column", "value", "inputs"]]
    for column in given[:MAX_COLUMNS]:
        several = len(column.inputs) > 1 or column.name not in column.inputs
        inputs = [
            (f"{clean(name, 40)} " if several else "") + written(value)
            for name, value in column.inputs.items()
        ]
        shown = ", ".join(inputs[:6]) + (f", and {len(inputs) - 6} more" if len(inputs) > 6 else "")
        rows.append([clean(column.name, 40), value_text(column.value), shown or clean(column.note)])
    return rows


def layer_rows(trace: Trace) -> list[list[str]]:
    """Return a row of cells for each layer: its output for row 0, dL/d(output), its parameters' gradients."""
    backward = trace.loss is not None
    rows = [["layer", "kind", "output", *(["dL/d(output)", "gradients"] if backward else [])]]
    for layer in trace.layers:
        row = [layer.path, layer.kind, values_text(layer.output[0])]
        if backward:
            row += [values_text(layer.d_output[0]), gradients_text(layer)]  # type: ignore[index]  # with a loss
        rows.append(row)
    return rows


def gradients_text(layer: LayerTrace) -> str:
    """Return the norm of each parameter's gradient."""
    parameters = layer.parameters.items()
    return ", ".join(f"‖d{name}‖ {written(norm(p.gradient))}" for name, p in parameters)


def values_text(values: Any) -> str:
    """Return a few numbers in full; for many, their count and range.

    >>> values_text([0.5, -1.0]), values_text(np.arange(9.0))
    ('0.5 -1.0', '9 numbers, 0.0 to 8.0')
    """
    flat = np.reshape(values, -1)
    if flat.size <= MAX_NUMBERS:
        return " ".join(written(float(v)) for v in flat)
    return f"{flat.size} numbers, {written(float(flat.min()))} to {written(float(flat.max()))}"


def answers_text(answers: Sequence[Answer]) -> str:
    """Return the outputs by name, then the targets that are not 0."""
    shown = sorted(answers, key=lambda a: -abs(a.value))[:MAX_ANSWERS]
    shown = list(answers) if len(answers) <= MAX_ANSWERS else shown
    text = ", ".join(f"{a.name} {written(a.value)}" for a in shown)
    more = f", and {len(answers) - len(shown)} more" if len(shown) < len(answers) else ""
    truths = [a for a in answers if a.target]
    if not answers or answers[0].target is None:
        return text + more
    truth = ", ".join(f"{a.name} {written(a.target or 0)}" for a in truths) or "0 in all"
    return f"{text}{more}; target: {truth}"


def loss_text(trace: Trace) -> str:
    """Return the loss and its penalty in a line."""
    assert trace.loss is not None and trace.total is not None
    text = f"Loss ({type(trace.loss_function).__name__}): {written(trace.loss, 6)}"
    if trace.penalty:
        text += f" + penalty {written(trace.penalty, 6)} = {written(trace.total, 6)}"
    return text


def step_text(trace: Trace) -> str:
    """Return the optimizer's step in a line."""
    step = trace.step
    assert step is not None
    rate = f", learning rate {step.rate:.4g}" if np.isfinite(step.rate) else ""
    name = optimizer_name(step.optimizer)
    return f"Step {step.number} by {name}{rate}; the gradient's norm is {written(step.norm)}:"


def optimizer_name(optimizer: Any) -> str:
    """Return an optimizer's name, with the names of the optimizers that it wraps.

    >>> from glassnet.nn.optimizer_wrappers import ClipByNorm
    >>> from glassnet.nn.optimizers import Adam
    >>> optimizer_name(ClipByNorm(Adam()))
    'ClipByNorm(Adam)'
    """
    names = [type(part).__name__ for part in unwrapped(optimizer)]
    return "(".join(names) + ")" * (len(names) - 1)


def parameter_rows(trace: Trace) -> list[list[str]]:
    """Return a row of cells for each parameter: norms of value, gradient, update and moments."""
    norms = ["‖w‖", "‖gradient‖", "‖Δw‖", "‖Δw‖/‖w‖", "effective rate", "moments"]
    rows = [["layer", "parameter", "shape", *norms]]
    for layer in trace.layers:
        for name, p in layer.parameters.items():
            shape = "×".join(map(str, p.value.shape)) or "1"
            value, gradient, update = norm(p.value), norm(p.total_gradient), norm(p.update)
            ratios = (update / by if by else np.nan for by in (value, gradient))
            numbers = (value, gradient, update, *ratios)
            cells = ["–" if np.isnan(n) else written(n) for n in numbers]
            moments = ", ".join(f"‖{moment}‖ {written(norm(a))}" for moment, a in p.moments.items())
            rows.append([layer.path, name, shape, *cells, moments])
    return rows
