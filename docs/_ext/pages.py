"""Pages that are written nowhere else: the documents of the repository's root, and one a public module."""

import re
from importlib import import_module
from inspect import isfunction
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

DOCS = Path(__file__).parent.parent
ROOT = DOCS.parent
ABOUT = ("README", "ARCHITECTURE", "CONTRIBUTING", "CHANGELOG")


def relinked(text: str) -> str:
    """Return a document of the root with its links as they are from docs/about."""

    def link(match: re.Match[str]) -> str:
        words, path = match[1], match[2]
        if path.startswith("docs/"):
            return f"[{words}](../{path.removeprefix('docs/')})"
        if path.startswith("src/glassnet/"):
            return f"[{words}](source:{path.removeprefix('src/glassnet/').removesuffix('.py')})"
        if path.removesuffix(".md") in ABOUT:
            return f"[{words}]({path.lower()})"
        return f"`{path}`" if words == path else f"{words} (`{path}`)"

    return re.sub(r"\[([^\]]+)\]\(((?!https?:)[^)#]+)\)", link, text)


def api_page(module: str, names: list[str]) -> str:
    """Return the page of one module: its docstring, then its public names."""
    title = module.removeprefix("glassnet.")
    lines = [f"# {title}", "", "```{eval-rst}", f".. automodule:: {module}", ""]
    for name in names:
        directive = "autoclass" if name[0].isupper() else "autofunction"
        lines += [f".. {directive}:: {module}.{name}"]
        lines += ["   :members:", ""] if directive == "autoclass" else [""]
    return "\n".join([*lines, "```", ""])


def public_functions(module: str) -> list[str]:
    """Return the names of what a module offers as `gn.module.name`."""
    found = import_module(module)
    own = [
        name for name, thing in vars(found).items()
        if isfunction(thing) and thing.__module__ == found.__name__ and name[0] != "_"
    ]  # fmt: skip
    return list(getattr(found, "__all__", own))


def write(path: Path, text: str) -> None:
    """Write a page, and leave its date alone where nothing changed."""
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")


def write_pages(app: Sphinx, config: Config) -> None:
    """Write docs/about and docs/api."""
    del app, config
    from glassnet import _MODULE_OF, _MODULES

    for name in ABOUT:
        write(
            DOCS / "about" / f"{name.lower()}.md",
            relinked((ROOT / f"{name}.md").read_text("utf-8")),
        )
    pages: dict[str, list[str]] = {}
    for name, module in _MODULE_OF.items():
        pages.setdefault(module, []).append(name)
    pages |= {f"glassnet.{name}": public_functions(f"glassnet.{name}") for name in _MODULES}
    titles = []
    for module, names in sorted(pages.items()):
        titles.append(module.removeprefix("glassnet."))
        write(DOCS / "api" / f"{titles[-1]}.md", api_page(module, sorted(names, key=str.lower)))
    index = [
        "# Reference",
        "",
        "Every public name, by the file that defines it.",
        "",
        "```{toctree}",
        ":maxdepth: 1",
        "",
    ]
    write(DOCS / "api" / "index.md", "\n".join([*index, *titles, "```", ""]))


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before Sphinx looks for them."""
    app.connect("config-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
