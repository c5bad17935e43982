"""Find out what keeps a network from learning, and which parameter to change.

Read in this order: diagnose, findings, evidence, network_illnesses, run_illnesses, remedies,
forests.
May import: `training`, `exporting` and what is below them in ARCHITECTURE.md.
Private: import public names from `glassnet` itself.
"""
