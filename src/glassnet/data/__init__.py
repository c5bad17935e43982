"""Read tables, databases and pictures (CSV, Parquet, JSON, data frames, folders) into NumPy arrays.

Read in this order: tables, columns, conversion, datasets, read, formats, files, delimited, dialects,
databases, arrays, pictures, idx, samples, splits, weighted_statistics.
May import: `keys`, `storage` and what is below them in ARCHITECTURE.md.
Private: import public names from `glassnet` itself.
"""
