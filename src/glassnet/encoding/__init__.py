"""Encode columns and targets as numbers for a network, and decode its outputs.

Read in this order: encoders, dates, table_encoder, targets, target_kinds, objectives,
class_weights.
May import: `nn`, `data`, `storage` and what is below them in ARCHITECTURE.md.
Private: import public names from `glassnet` itself.
"""
