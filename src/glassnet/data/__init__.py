"""Whatever a person brings (CSV, Parquet, JSON, databases, data frames, pictures) as named NumPy columns.

Read in this order: tables, columns, datasets, files, delimited, dialects, databases, pictures, splits.
May import: the ground modules.
Private: import public names from `glassnet` itself.
"""
