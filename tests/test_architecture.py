"""Check the rules that a reader relies on about imports, the size of files and functions, and names."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "glassnet"
LAYERS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
    "contracts"
][0]["layers"]

MAX_ENTRIES = 30  # in src/glassnet
MAX_FILES = 20  # in one package
MAX_LINES = 400  # in one file
MAX_CODE_LINES = 60  # in one function, without its docstring

# Packages that take long to import: only inside the functions that use them, so that
# `glassnet --help` and `import glassnet` stay quick. The files named may import them at their top.
HEAVY: dict[str, set[str]] = {
    "duckdb": set(),
    "matplotlib": set(),
    "narwhals": set(),
    "onnx": set(),
    "onnxruntime": set(),
    "PIL": set(),
    "rich": set(),
    "safetensors": set(),
    "scipy": set(),
    "skl2onnx": set(),
    "sklearn": {
        "evaluation.compare",
        "evaluation.race",
        "explain.dependence",
        "explain.importance",
        "fit.base",
        "fit.cross_validation",
        "fit.estimator_inputs",
        "fit.estimators",
        "fit.sklearn_callbacks",
    },
}
FILLERS = {
    *("found", "told", "said", "own", "each", "some", "most", "what", "there", "here"),
    *("thing", "things", "place", "waits", "moves", "lane", "lanes"),
    *("sick", "healed", "rested"),
}
"""Words that do not say what a variable, a parameter, a function or a class is."""

FORBIDDEN = {"pickle", "cloudpickle", "joblib", "torch", "keras", "tensorflow"}


def dotted_name(path: Path) -> str:
    """Return "nn.layers" for .../glassnet/nn/layers.py, "nn" for its package, "" for the library."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


SOURCES = {dotted_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in SOURCES.items()}
PACKAGES = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
MODULES = [name for name in TREES if name]  # packages too: some of them hold code


def imports(node: ast.AST, inside: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield each name that is imported, with dots, and whether that waits: in a function, or for types."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, inside) for alias in child.names)
        if isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"relative import in line {child.lineno}"
            yield from ((f"{child.module}.{alias.name}", inside) for alias in child.names)
        function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for_types = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        yield from imports(child, inside or function or for_types)


def without_types(tree: ast.Module) -> ast.Module:
    """Return a module without what it imports for type checkers alone."""
    body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    return ast.Module(body, tree.type_ignores)


def modules_imported_by(name: str) -> set[str]:
    """Return the modules of glassnet that a module imports; "" for the library itself."""
    modules = set()
    for dotted, _ in imports(without_types(TREES[name])):
        if dotted.split(".")[0] == "glassnet":
            _, *parts = dotted.split(".")
            while parts and ".".join(parts) not in TREES:
                parts.pop()
            modules.add(".".join(parts))
    return modules


def functions(tree: ast.AST) -> Iterator[Any]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def test_imports_point_down() -> None:
    """The contract of pyproject.toml, which ARCHITECTURE.md shows; a reversed import breaks it."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_architecture_shows_the_layers_of_the_contract() -> None:
    shown = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    assert "```\n" + "\n".join(LAYERS) + "\n```" in shown


@pytest.mark.parametrize("name", MODULES)
def test_no_module_imports_the_library_itself(name: str) -> None:
    assert "" not in modules_imported_by(name) or name == "__main__"


def test_no_cycle_of_imports() -> None:
    """Modules that import nothing that is left can be removed, until none is left."""
    left = {name: modules_imported_by(name) for name in MODULES}
    while left:
        free = {name for name, needs in left.items() if not needs & set(left)}
        assert free, f"a cycle among {sorted(left)}"
        left = {name: needs for name, needs in left.items() if name not in free}


def test_a_listing_of_the_package_can_be_read_at_a_glance() -> None:
    entries = [path for path in PACKAGE.iterdir() if path.name != "__pycache__"]
    assert len(entries) <= MAX_ENTRIES
    for package in PACKAGES:
        assert len(list((PACKAGE / package).glob("*.py"))) <= MAX_FILES, package


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_says_what_it_holds_and_in_which_order_to_read_it(package: str) -> None:
    text = ast.get_docstring(TREES[package]) or ""
    assert "May import: " in text and re.search("^(Private|Public): ", text, re.MULTILINE)
    order = re.search(r"Read in this order: (.*?)\nMay import", text, re.DOTALL)
    assert order, "the docstring lists the modules in the order in which to read them"
    modules = {path.stem for path in (PACKAGE / package).glob("*.py")} - {"__init__"}
    listed = re.findall(r"\b[a-z]\w*", order[1].split(";")[0])
    assert set(listed) <= modules


@pytest.mark.parametrize("name", MODULES)
def test_heavy_packages_are_imported_where_they_are_used(name: str) -> None:
    for dotted, inside in imports(TREES[name]):
        package = dotted.split(".")[0]
        assert package not in FORBIDDEN, f"{name} imports {package}"
        if package in HEAVY and name not in HEAVY[package]:
            assert inside, f"{name} imports {package} at its top"


@pytest.mark.parametrize("name", TREES)
def test_every_file_and_public_function_says_what_it_is(name: str) -> None:
    assert ast.get_docstring(TREES[name])
    for node in TREES[name].body:
        public = isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name[0] != "_"
        assert not public or ast.get_docstring(node), f"{name}.{node.name}"  # type: ignore[attr-defined, arg-type]


def names_given(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of each variable, parameter, function and class of a module."""
    for node in ast.walk(tree):
        match node:
            case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()):
                yield node.lineno, name


@pytest.mark.parametrize("name", TREES)
def test_names_say_what_a_thing_is(name: str) -> None:
    assert [pair for pair in names_given(TREES[name]) if pair[1].strip("_") in FILLERS] == []


@pytest.mark.parametrize("name", MODULES)
def test_a_modules_docstring_is_a_sentence(name: str) -> None:
    """It does not have the form "Word: explanation", with a heading of up to three words."""
    first = (ast.get_docstring(TREES[name]) or "").splitlines()[0]
    assert not re.match(r"([\w'-]+ ){0,2}[\w'-]+: ", first)


@pytest.mark.parametrize("name", TREES)
def test_files_and_functions_are_short(name: str) -> None:
    assert SOURCES[name].read_text("utf-8").count("\n") <= MAX_LINES
    for function in functions(TREES[name]):
        body = function.body[1:] if ast.get_docstring(function) else function.body
        length = function.end_lineno - body[0].lineno + 1 if body else 0
        assert length <= MAX_CODE_LINES, f"{function.name} has {length} lines"


@pytest.mark.parametrize("name", [name for name in MODULES if name.split(".")[0] != "cli"])
def test_only_the_command_prints(name: str) -> None:
    for node in ast.walk(TREES[name]):
        called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        assert not (called and node.func.id in ("print", "exec", "eval"))  # type: ignore[attr-defined]
