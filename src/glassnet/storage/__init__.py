"""Files on disk: atomic writes, the tensor file format, and checked JSON fields.

Read in this order: atomic, tensorfile, fields.
May import: the ground modules.
Private: import public names from `glassnet` itself.
"""
