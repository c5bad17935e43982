"""The site: `make docs` builds it from these pages, from the docstrings, and from what the code says."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "glassnet"
author = "The glassnet authors"
copyright = "The glassnet authors"  # Sphinx's name for it
html_title = "glassnet"

extensions = [
    "myst_nb",  # Markdown, with the Python blocks run
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",  # the source of each module as a page
    "mathml",
    "docstrings",
    "pages",
    "pictures",
]
exclude_patterns = ["_build", "_ext", "_static"]
nitpicky = False
highlight_language = "none"  # blocks without a language are formulas

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
myst_url_schemes = {
    "http": None,
    "https": None,
    "source": "{{path}}",  # to the pages of highlighted source, see _ext/pages.py
}
nb_custom_formats = {".md": "notebooks.read"}
nb_execution_mode = "force"
nb_execution_excludepatterns = [
    "index.md",
    "about/*",
    "api/*",
    "decisions/*",
    "accuracy.md",
    "benchmarks.md",
    "recipe.md",
    "trust.md",
]
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_execution_in_temp = True  # blocks may write files
nb_merge_streams = True
nb_output_stderr = "remove"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 88
math_numfig = False
html_math_renderer = "mathml"

html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "glassnet"},
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": [],
    "navigation_with_keys": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
