"""Write files atomically, and read tensor files and JSON records with every field checked.

Read in this order: atomic, tensorfile, fields.
May import: `errors` and the private modules of the library.
Private: import public names from `glassnet` itself.
"""
