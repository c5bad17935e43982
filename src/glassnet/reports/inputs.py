"""Describe how each column of the data is encoded for the network."""

from __future__ import annotations

from collections.abc import Iterator

from glassnet.display.html import clean, counted, escape, name, number, paragraph, table
from glassnet.encoding.dates import DateEncoder
from glassnet.encoding.encoders import CategoryEncoder
from glassnet.encoding.table_encoder import TableEncoder
from glassnet.models.model import Model
from glassnet.nn.layers import Rescale

MAX_COLUMNS = 60


def described_inputs(model: Model) -> str:
    """Return a table of columns and their encodings, or a sentence about pictures or plain numbers."""
    return _plain(model) if model.encoder is None else _encodings(model.encoder)


def _plain(model: Model) -> str:
    shape = " × ".join(map(str, model.in_shape))
    kind = "a picture" if len(model.in_shape) > 1 else "an array of numbers"
    scaled = [layer for layer in model.network if isinstance(layer, Rescale)]
    scaling = "which the network takes as it is"
    if scaled:
        scale, shift = number(scaled[0].scale), number(scaled[0].shift)
        scaling = f"whose values x the network takes as {scale} · x + {shift}".replace("+ −", "− ")
    return paragraph(f"Each row is {kind} of shape {shape}, {scaling}.")


def _encodings(encoder: TableEncoder) -> str:
    described = {**dict(_numbers(encoder)), **dict(_others(encoder))}
    described |= {n: ("dropped", reason, 0) for n, reason in encoder.dropped.items()}
    kinds = dict(zip(encoder.names, encoder.kinds, strict=True))
    rows = []
    for column in encoder.names[:MAX_COLUMNS]:
        treatment, how, features = described[column]
        rows.append([name(column), kinds[column], treatment, escape(how, 300), str(features)])
    left = len(encoder.names) - len(rows)
    more = f" {counted(left, 'further column')} not shown." if left else ""
    caption = (
        f"Encoding of {counted(len(encoder.names), 'column')}, as "
        f"{counted(encoder.n_features, 'input')} of the network.{more}"
    )
    head = ["Column", "Kind", "Encoding", "How", "Inputs"]
    return table(caption, head, rows, numeric=(4,), kind="wide")


Encoding = tuple[str, tuple[str, str, int]]


def _numbers(encoder: TableEncoder) -> Iterator[Encoding]:
    numeric = encoder.numeric
    columns = zip(numeric.names, numeric.center, numeric.scale, numeric.missing, strict=True)
    for column, center, scale, missing in columns:
        how = f"(x − {number(center)}) / {number(scale)}" if scale else "constant: 0"
        how += ", smoothly clipped at ±3" if numeric.clip and scale else ""
        how += "; one more input is 1 where the value is missing" if missing else ""
        yield column, ("scaled", how.replace("− −", "+ "), 1 + missing)


def _others(encoder: TableEncoder) -> Iterator[Encoding]:
    for other in encoder.others:
        count = len(other.feature_names)
        if isinstance(other, DateEncoder):
            how = "; ".join(
                ["days since the median", *(f"{part} on a circle" for part in other.parts)]
            )
            yield other.name, ("date", how, count)
            continue
        form = "embedded" if other.coded else "one-hot" if count > 1 else "±1"
        yield other.name, (form, _levels(other), count)


def _levels(encoder: CategoryEncoder) -> str:
    shown = [clean(level, 24) for level in encoder.levels[:8]]
    more = len(encoder.levels) - len(shown)
    levels = ", ".join(shown) + (f" and {more} more" if more else "")
    return levels + "; other" * encoder.other + "; missing" * encoder.missing
