"""What glassnet is built from and what it reaches: the lock file, bounds that agree, and no network."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import offline

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCK = (ROOT / "requirements-dev.lock").read_text("utf-8")


def group(name: str) -> Iterator[Requirement]:
    """Yield the requirements of a dependency group, and of those that it includes."""
    for entry in PROJECT["dependency-groups"][name]:
        if isinstance(entry, dict):
            yield from group(entry["include-group"])
        else:
            yield Requirement(entry)


LIBRARY = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
EXTRAS = [
    Requirement(text)
    for extra in PROJECT["project"]["optional-dependencies"].values()
    for text in extra
]
DIRECT = [*LIBRARY, *EXTRAS, *group("dev")]
PINS = [  # the requirement of each entry, without its hashes
    Requirement(entry.split("\\")[0])
    for entry in re.findall(r"^[a-z0-9].*?(?=^[a-z0-9]|\Z)", LOCK, re.MULTILINE | re.DOTALL)
]


@pytest.mark.parametrize("python", ["3.11.7", "3.12.1", "3.13.0", "3.14.0"])
def test_the_lock_holds_one_version_in_range_of_all_that_is_needed(python: str) -> None:
    environment = {"python_full_version": python, "python_version": python.rpartition(".")[0]}
    pins = [pin for pin in PINS if pin.marker is None or pin.marker.evaluate(environment)]
    versions = {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in pins}
    assert len(pins) == len(versions)  # one of each
    for needed in DIRECT:
        name = canonicalize_name(needed.name)
        assert needed.specifier.contains(versions[name]), (
            f"{needed}, but the lock has {versions[name]}"
        )


def test_the_lock_is_exact_and_names_no_place() -> None:
    assert len(PINS) > len(DIRECT)
    assert all([s.operator for s in pin.specifier] == ["=="] for pin in PINS)
    entries = re.split(r"^(?=[a-z0-9])", LOCK, flags=re.MULTILINE)[1:]
    assert len(entries) == len(PINS)
    for entry in entries:
        assert re.search(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$", entry, re.MULTILINE), entry
    assert not re.search(r"://|file:|index|^-|^/| @ ", LOCK, re.MULTILINE)


def test_a_package_has_one_lower_bound_wherever_it_is_named() -> None:
    bounds: dict[str, set[str]] = {}
    for needed in [*DIRECT, *group("bench")]:
        bounds.setdefault(needed.name, set()).add(str(needed.specifier))
    assert {name: versions for name, versions in bounds.items() if len(versions) > 1} == {}


# --- no network -----------------------------------------------------------------------------------


def alone(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a process that is watched by an audit hook, by the kernel where it is Linux, and may not warn."""
    half_written = "ignore:Error reading persistent compilation cache entry"
    options = ["-W", "error", "-W", half_written]
    command = [sys.executable, *options, offline.__file__, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_the_command_reaches_for_no_network(tmp_path: Path) -> None:
    done = alone("commands", tmp_path)
    assert done.returncode == 0 and done.stdout.endswith("done\n"), done.stdout + done.stderr


def test_who_reaches_for_the_network_is_caught() -> None:
    """Else the test above would prove nothing."""
    done = alone("audit")
    assert done.returncode == 1 and "urllib.Request" in done.stderr
    done = alone("native")  # as a library in C would: no audit hook hears of it
    if done.stdout.startswith("sealed"):
        assert done.returncode < 0 and not done.stdout.endswith("done\n")
    elif sys.platform == "linux":
        pytest.skip("this kernel takes no seccomp filter: only Python's own calls are watched")
