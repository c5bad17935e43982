"""How results look: drawing styles, SVG charts, thumbnails, and HTML without scripts.

Read in this order: drawing, charts, html.
May import: the ground modules.
Private: import public names from `glassnet` itself.
"""
