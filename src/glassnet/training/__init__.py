"""Train networks in one compiled loop over the batches, with checkpoints, history and early stopping.

Read in this order: state, batches, program, loop, jobs, history; then snapshot, checkpoints, divergence;
then the rest.
May import: `models` and what is below them in ARCHITECTURE.md.
Private: import public names from `glassnet` itself.
"""
