"""`python -m benchmarks [PART ...]`: measure, print, and write docs/benchmarks.json and its page.

`python -m benchmarks page` only writes the page.
`python -m benchmarks accuracy [OPTION ...]` writes another page: see its `--help`.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks import accuracy, fresh, growth, many, page, prediction, steps, targets

PARTS = {
    "steps": steps.measure,
    "steps with batch norm and dropout": lambda: steps.measure(rounds=5, extras=True),
    "fresh": fresh.measure,
    "many": many.measure,
    "prediction": prediction.measure,
    "growth": growth.measure,
}
DOCS = Path(__file__).parent.parent / "docs"


def main(names: list[str]) -> None:
    """Measure the named parts (all by default) and rewrite the page from all results."""
    DOCS.mkdir(exist_ok=True)
    if names[:1] == ["accuracy"]:
        accuracy.main(names[1:], DOCS, machine())
        return
    path = DOCS / "benchmarks.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    for name in names or PARTS:
        if name == "page":
            continue
        print(f"--- {name}", flush=True)
        results[name] = PARTS[name]() | {"machine": machine()}
        path.write_text(json.dumps(results, indent=1) + "\n")
    page.write(results, DOCS)
    for description, number, bound, met in targets.verdicts(results):
        print(f"{'met   ' if met else 'MISSED'} {description}: {number:.3g}, {bound}", flush=True)


def machine() -> dict[str, str]:
    """Return what the measurements depend on: processor, cores, versions, date."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        **{name: _version(name) for name in ("jax", "torch", "keras", "scikit-learn", "optax")},
    }


def _processor() -> str:
    """Return the processor's name if the system reports it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return (
                next(line for line in file if line.startswith("model name")).split(":")[1].strip()
            )
    except (OSError, StopIteration):
        return platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    main(sys.argv[1:])
