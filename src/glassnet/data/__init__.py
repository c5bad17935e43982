"""Read what a person brings (CSV, Parquet, JSON, databases, data frames, pictures) as NumPy arrays.

Read in this order: tables, columns, conversion, datasets, read, formats, files, delimited, dialects,
databases, arrays, pictures, idx, samples, splits, weighted_statistics.
May import: `storage` and the modules below it.
Private: import public names from `glassnet` itself.
"""
