"""Format results as figures, SVG charts, thumbnails, text tables and HTML pages.

Read in this order: text, html, drawing, charts, thumbnails.
May import: nothing else in the library.
Private: import public names from `glassnet` itself.
"""
