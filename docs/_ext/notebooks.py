"""Pages of plain Markdown as notebooks: each Python block is a cell, and runs when the site is built.

GitHub shows the same file, with the blocks in colour. `#| alt: ...` as a block's first line says in words
what its picture shows, for whoever cannot see it.
"""

import re

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

BLOCK = re.compile(r"^```python\n(?:#\| alt: (?P<alt>[^\n]*)\n)?(?P<code>.*?)^```$", re.M | re.S)
PYTHON = {"name": "python3", "language": "python", "display_name": "Python 3"}
SETUP = """\
%config InlineBackend.figure_formats = ["svg"]
import sys
import matplotlib
from glassnet import figures
style = figures.style(transparent=True)  # kept: the style would end with it
style.__enter__()
matplotlib.rcParams["svg.hashsalt"] = "glassnet"
sys.stdout.flush_interval = 600  # what a cell prints comes in one piece
"""


def read(text: str) -> NotebookNode:
    """Return a page as a notebook. A page without Python blocks becomes one without cells to run."""
    cells, end = [], 0
    for block in BLOCK.finditer(text):
        cells.append(new_markdown_cell(text[end : block.start()]))
        image = {"mystnb": {"image": {"alt": block["alt"]}}} if block["alt"] else {}
        cells.append(new_code_cell(block["code"].rstrip("\n"), metadata=image))
        end = block.end()
    cells.append(new_markdown_cell(text[end:]))
    if len(cells) > 1:  # after the title, which must come first
        title, _, rest = cells[0].source.partition("\n\n")
        setup = new_code_cell(SETUP, metadata={"tags": ["remove-cell"]})
        cells[:1] = [new_markdown_cell(title), setup, new_markdown_cell(rest)]
    notebook = new_notebook(cells=cells, metadata={"kernelspec": PYTHON})
    nbformat.validate(notebook)
    return notebook
