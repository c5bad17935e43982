"""Columns and targets become the numbers a network takes, and its outputs become answers again.

Read in this order: encoders, dates, table_encoder, targets, target_kinds, objectives.
May import: `nn`, `data`, `storage` and below.
Private: import public names from `glassnet` itself.
"""
