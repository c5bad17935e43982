"""Write the pages that have no file of their own: the root's documents, and the reference by package."""

import os
import re
from importlib import import_module
from inspect import getdoc, isfunction
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

DOCS = Path(__file__).parent.parent
ROOT = DOCS.parent
SOURCES = ROOT / "src" / "glassnet"
ABOUT = ("README", "ARCHITECTURE", "CONTRIBUTING", "CHANGELOG", "SECURITY")
LINK = re.compile(r"\[([^\]]+)\]\(((?!https?:|source:|#)[^)#]+)(#[^)]*)?\)")


def public_names() -> dict[str, list[str]]:
    """Return the public names of each module, such as "nn.layers", in the order of `__init__.pyi`."""
    from glassnet import _MODULE_OF, _MODULES

    names: dict[str, list[str]] = {}
    for name, module in _MODULE_OF.items():
        names.setdefault(module.removeprefix("glassnet."), []).append(name)
    return names | {name: public_functions(name) for name in _MODULES}


def public_functions(name: str) -> list[str]:
    """Return the names of what a public module offers as `gn.module.name`."""
    module = import_module(f"glassnet.{name}")
    functions = [
        attribute
        for attribute, value in vars(module).items()
        if isfunction(value) and value.__module__ == module.__name__ and attribute[0] != "_"
    ]
    return list(getattr(module, "__all__", functions))


def relinked(text: str, written_in: Path, shown_in: Path) -> str:
    """Return a page of the repository with its links as they must be on the site.

    A link to a source file leads to its page of highlighted source, where there is one; a package
    leads to the reference. What is not on the site becomes plain text.

    written_in, shown_in: the folders of the page in the repository and on the site.
    """

    def link(match: re.Match[str]) -> str:
        words, target, anchor = match[1], (written_in / match[2]).resolve(), match[3] or ""
        up = os.path.relpath(DOCS, shown_in)
        if target.parent == ROOT and target.stem in ABOUT:
            return f"[{words}]({up}/about/{target.stem.lower()}.md{anchor})"
        if target.is_relative_to(SOURCES) and target.suffix == ".py":
            package = target.stem == "__init__"
            module = (target.parent if package else target).relative_to(SOURCES).with_suffix("")
            name = ".".join(module.parts)
            if package and any(f"{known}.".startswith(f"{name}.") for known in public_names()):
                return f"[{words}]({up}/api/index.md#{name})"
            if not package and name in public_names():
                return f"[{words}](source:{up}/_modules/glassnet/{module}.html)"
        elif target.is_relative_to(DOCS) and target.suffix in (".md", ".json", ".svg"):
            return f"[{words}]({os.path.relpath(target, shown_in)}{anchor})"
        return words if "`" in words else f"`{words}`"

    return LINK.sub(link, text)


def relink(app: Sphinx, page: str, source: list[str]) -> None:
    """Relink a page of docs/ before Sphinx reads it."""
    del app
    if page.partition("/")[0] not in ("about", "api"):
        folder = (DOCS / page).parent
        source[0] = relinked(source[0], folder, folder)


def module_page(name: str, names: list[str]) -> str:
    """Return the page of one module: its docstring, then its public names."""
    lines = [f"# {name}", "", "```{eval-rst}", f".. automodule:: glassnet.{name}", ""]
    for public in names:
        directive = "autoclass" if public[0].isupper() else "autofunction"
        lines += [f".. {directive}:: glassnet.{name}.{public}"]
        lines += ["   :members:", ""] if directive == "autoclass" else [""]
    return "\n".join([*lines, "```", ""])


def reference(modules: dict[str, list[str]]) -> str:
    """Return the index of the reference: each package, what lives there, its modules and their names."""
    packages: dict[str, list[str]] = {}
    for name in sorted(modules):
        package = name.partition(".")[0] if (SOURCES / name.partition(".")[0]).is_dir() else ""
        packages.setdefault(package, []).append(name)
    lines = ["# Reference", "", "Every public name, by the package that defines it."]
    lines += ["All but those of `keys` and `figures` are used as `gn.NAME`.", ""]
    for package, names in sorted(packages.items()):
        doc = getdoc(import_module(f"glassnet.{package}")) if package else ""
        lines += [f"## {package or 'glassnet itself'}", "", (doc or "").partition("\n")[0], ""]
        for name in names:
            listed = ", ".join(f"`{public}`" for public in sorted(modules[name], key=str.lower))
            lines += [f"- [{name}]({name}.md): {listed}"]
        lines += [""]
    return "\n".join([*lines, "```{toctree}", ":hidden:", "", *sorted(modules), "```", ""])


def write(path: Path, text: str) -> None:
    """Write a page, and leave its date alone where nothing changed."""
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")


def write_pages(app: Sphinx, config: Config) -> None:
    """Write docs/about and docs/api, and remove the pages of modules that are gone."""
    del app, config
    about, api = DOCS / "about", DOCS / "api"
    for name in ABOUT:
        text = relinked((ROOT / f"{name}.md").read_text("utf-8"), ROOT, about)
        write(about / f"{name.lower()}.md", text)
    modules = public_names()
    for name, names in modules.items():
        write(api / f"{name}.md", module_page(name, sorted(names, key=str.lower)))
    write(api / "index.md", reference(modules))
    for path in api.glob("*.md"):
        if path.stem not in (*modules, "index"):
            path.unlink()


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before Sphinx looks for them."""
    app.connect("config-inited", write_pages)
    app.connect("source-read", relink)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
