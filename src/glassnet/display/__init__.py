"""How results look: drawing styles, SVG charts, thumbnails, and HTML without scripts.

Read in this order: text, html, drawing, charts.
May import: the ground modules.
Private: import public names from `glassnet` itself.
"""
