"""Show the network in a report, and its diagnosis."""

from __future__ import annotations

from glassnet.diagnosis.findings import Finding
from glassnet.display import charts
from glassnet.display.html import clean, counted, escape, figure, number, paragraph, table
from glassnet.errors import ConfigurationError
from glassnet.figures.diagrams import network as diagram
from glassnet.figures.networks import DenseLayer, dense_layers, first_member
from glassnet.models.model import Model
from glassnet.reports.facts import ReportContent

MAX_NEURONS = 8


def diagnosis_section(content: ReportContent) -> str:
    """Return what keeps the network from learning, why, and which parameter to change."""
    diagnosis = content.facts.diagnosis
    if diagnosis is None:
        return ""
    about = escape(diagnosis.about, 300)
    if diagnosis.healthy:
        return paragraph(f"Nothing keeps the network from learning. Checked: {about}.")
    count = counted(len(diagnosis.findings), "finding")
    findings = "".join(_finding(finding) for finding in diagnosis.findings)
    return paragraph(f"{count} in {about}, the most serious first.") + findings


def _finding(finding: Finding) -> str:
    parts = (("Where", finding.where), ("Seen", finding.seen), ("Why", finding.why))
    lines = "".join(f"<dt>{label}</dt><dd>{escape(text, 1000)}</dd>" for label, text in parts)
    kind = escape(finding.kind[:1].upper() + finding.kind[1:])
    return (
        f'<article class="finding {finding.severity}"><h3>{kind} <small>({finding.severity})</small></h3>\n'
        f"<dl>{lines}<dt>Change</dt><dd>{escape(finding.change, 1000)}</dd></dl></article>\n"
    )


def network_section(content: ReportContent) -> str:
    """Return the network as a diagram and a table of layers, and how it was trained."""
    model, history = content.model, content.history
    head, *lines, total = model.network.summary(model.in_shape).split("\n")
    starts = [head.index(column) for column in head.split()]
    ends = [*starts[1:], None]
    rows = [[escape(line[a:b]) for a, b in zip(starts, ends, strict=True)] for line in lines]
    shape = "×".join(map(str, model.in_shape))
    caption = f"Layers from input (shape {shape}) to output: {escape(total)}"
    facts = [["Loss", escape(model.loss)], ["Numbers", escape(model.dtype)]]
    if model.members > 1:
        facts.append(
            ["Networks", f"{model.members} with these layers; their predictions are averaged"]
        )
    if "learning_rate" in history and history.n_epochs:
        rates = [number(float(rate)) for rate in history["learning_rate"][[0, -1]]]
        facts.append(["Learning rate", f"{rates[0]} in the first epoch, {rates[1]} in the last"])
    heads = ["Layer", "Name", "Output", "Parameters"]
    listed = table(caption, heads, rows) + table("Training", ["Setting", "Value"], facts)
    return _drawn(model) + listed


def _drawn(model: Model) -> str:
    """Return the diagram of neurons and weights; "" if this network has no such diagram."""
    titles: list[str] = []

    def draw(ax: object) -> None:
        drawn = diagram(model, ax=ax, inputs=_inputs(model, layers[0]), limit=MAX_NEURONS)
        titles.append(" ".join(drawn.get_title().split()))
        drawn.set_title("")  # shown in the caption, where long lines wrap
        drawn.set_title("", loc="left")

    try:
        layers = dense_layers(first_member(model))
        size = (1.2 + 1.3 * (len(layers) + 1), 4.0)
        title = "Diagram of the network: neurons in layers, and a line for each weight."
        drawing = charts.svg("network-diagram", title, draw, size, formulas=True)
    except ConfigurationError:
        return ""
    one = f"One of {model.members} networks. " if model.members > 1 else ""
    caption = (
        f"{one}{titles[0]}. Each line is a weight: wide if it is large, solid if positive, dashed if"
        f" negative. Layers of more than {MAX_NEURONS} neurons show the first and the last."
    )
    box = f'<div class="scroll diagram" tabindex="0" role="group" aria-label="Diagram">{drawing}</div>'
    return figure(box, escape(caption, 600))


def _inputs(model: Model, first: DenseLayer) -> list[str] | None:
    """Return the names of the first layer's inputs, if they are the encoded columns."""
    encoder = model.encoder
    if encoder is None or len(encoder.feature_names) != first.W.shape[1]:
        return None
    return [clean(name, 18) for name in encoder.feature_names]
