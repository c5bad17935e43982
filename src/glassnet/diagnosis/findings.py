"""Hold the result of a diagnosis as plain records, for the terminal, a notebook and JSON."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from glassnet.display.html import bullets, escape, paragraph
from glassnet.nn.as_code import typed

Severity = Literal["severe", "moderate"]
SEVERITIES: tuple[Severity, ...] = ("severe", "moderate")
"""Severe: the network learns little, or nothing useful. Moderate: it could be better."""
WIDTH = 100  # of the text in a terminal


@dataclass(frozen=True)
class Finding:
    """One illness, described in plain sentences.

    kind: the illness, a key of `diagnose.ILLNESSES`. severity: "severe" or "moderate".
    seen: the evidence in numbers. where: the layers or columns. why: the cause.
    change: what to type.
    parameters: the same change for `gn.train(..., **parameters)` or `estimator.set_params(**parameters)`.
    numbers: the evidence by name.
    """

    kind: str
    severity: Severity
    seen: str
    where: str
    why: str
    change: str
    parameters: Mapping[str, Any] = field(default_factory=dict, compare=False)
    numbers: Mapping[str, float] = field(default_factory=dict, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold; parameters that are objects become code."""
        texts = ("kind", "severity", "seen", "where", "why", "change")
        return {name: getattr(self, name) for name in texts} | {
            "parameters": {name: _plain(value) for name, value in self.parameters.items()},
            "numbers": {n: float(v) for n, v in self.numbers.items() if math.isfinite(v)},
        }

    def __str__(self) -> str:
        parts = {"where": self.where, "seen": self.seen, "why": self.why, "change": self.change}
        lines = [f"{self.kind} ({self.severity})"]
        for name, text in parts.items():
            lines += textwrap.wrap(
                text, WIDTH, initial_indent=f"  {name:<8}", subsequent_indent=" " * 10,
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
        return "\n".join(lines)


@dataclass(frozen=True)
class Change:
    """The effect of a change of parameters: the kinds of findings before and after, and the scores.

    gone, left, new: kinds found only before, both times, and only after.
    score: the name of the score compared; for "loss" lower is better, for all others higher.
    before, after: its values; None where it was not finite, and both None if the rows differ.
    """

    gone: tuple[str, ...]
    left: tuple[str, ...]
    new: tuple[str, ...]
    score: str
    before: float | None
    after: float | None

    @property
    def improved(self) -> bool | None:
        """Whether the score got better; a score that becomes finite did. None if neither value is known."""
        if self.before is None or self.after is None:
            return None if self.before is self.after else self.before is None
        better = self.after < self.before if self.score == "loss" else self.after > self.before
        return bool(better)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return {
            "gone": list(self.gone), "left": list(self.left), "new": list(self.new),
            "score": self.score, "before": self.before, "after": self.after, "improved": self.improved,
        }  # fmt: skip

    def __str__(self) -> str:
        changes = [
            f"{name}: {', '.join(kinds)}"
            for name, kinds in (("Gone", self.gone), ("Still there", self.left), ("New", self.new))
            if kinds
        ]
        words = {True: "better", False: "not better", None: "not known"}
        numbers = [
            f"{value:.4g}" if value is not None else "undefined"
            for value in (self.before, self.after)
        ]
        score = f"{self.score.replace('_', ' ')} {numbers[0]} -> {numbers[1]}"
        return ". ".join([*(changes or ["No finding before or after"]), score]) + (
            f" ({words[self.improved]})."
        )


@dataclass(frozen=True)
class Diagnosis:
    """The result of `diagnose`: findings, the most severe first, causes before their consequences.

    findings: empty for a healthy network.
    about: what was examined: rows, epochs, which member.
    scores: "loss" and the task's score (balanced accuracy, macro F1 or R²), on `scored_on`.
    scored_on: "validation rows", or "these rows" if no others are known.
    change: compared with an earlier run, see `diagnose(before=...)`.
    """

    findings: tuple[Finding, ...]
    about: str
    scores: Mapping[str, float]
    scored_on: str
    change: Change | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of the findings, in their order."""
        return tuple(finding.kind for finding in self.findings)

    @property
    def healthy(self) -> bool:
        """Whether there is no finding."""
        return not self.findings

    def compare(self, after: Diagnosis) -> Change:
        """Return which findings are gone in a later diagnosis, and how the score changed.

        >>> one = Finding("overfitting", "moderate", "seen", "where", "why", "change")
        >>> before = Diagnosis((one,), "", {"loss": 0.5, "r2": 0.4}, "validation rows")
        >>> print(before.compare(Diagnosis((), "", {"loss": 0.4, "r2": 0.5}, "validation rows")))
        Gone: overfitting. r2 on validation rows 0.4 -> 0.5 (better).
        """
        known = {} if self.scored_on != after.scored_on else {**after.scores, **self.scores}
        name = next((name for name in known if name != "loss"), "loss")
        label = name if name == "loss" else f"{name} on {self.scored_on}"
        return Change(
            gone=tuple(kind for kind in self.kinds if kind not in after.kinds),
            left=tuple(kind for kind in self.kinds if kind in after.kinds),
            new=tuple(kind for kind in after.kinds if kind not in self.kinds),
            score=label,
            before=self.scores.get(name) if known else None,
            after=after.scores.get(name) if known else None,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        return {
            "healthy": self.healthy,
            "about": self.about,
            "scores": dict(self.scores),
            "scored_on": self.scored_on,
            "findings": [finding.to_dict() for finding in self.findings],
            "change": None if self.change is None else self.change.to_dict(),
        }

    def _head(self) -> str:
        count = len(self.findings)
        head = "No finding" if not count else f"{count} finding{'s' * (count > 1)}"
        scores = ", ".join(f"{k.replace('_', ' ')} {v:.4g}" for k, v in self.scores.items())
        return f"{head} in {self.about}." + (f" On {self.scored_on}: {scores}." if scores else "")

    def __str__(self) -> str:
        change = [] if self.change is None else [str(self.change)]
        numbered = [f"{n}. {finding}" for n, finding in enumerate(self.findings, start=1)]
        return "\n\n".join(["\n".join([self._head(), *change]), *numbered])

    def _repr_html_(self) -> str:
        """Return it for a notebook."""

        def shown(finding: Finding) -> str:
            rows = (("where", finding.where), ("seen", finding.seen), ("why", finding.why))
            evidence = "".join(f"<br>{name}: {escape(text, 2000)}" for name, text in rows)
            kind = f"<strong>{escape(finding.kind)}</strong> ({finding.severity})"
            return f"{kind}{evidence}<br>change: <code>{escape(finding.change, 2000)}</code>"

        change = "" if self.change is None else paragraph(escape(self.change, 2000))
        items = bullets(shown(finding) for finding in self.findings)
        return paragraph(escape(self._head(), 2000)) + change + items


def _plain(value: Any) -> Any:
    """Return a parameter for JSON: numbers, text and arrays as they are, other objects as code."""
    if isinstance(value, str | int | float | bool | None):
        return value
    return value.tolist() if hasattr(value, "tolist") else typed(value)
