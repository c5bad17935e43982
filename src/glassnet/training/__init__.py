"""The training program: one compiled loop over the batches, and everything that surrounds a run.

Read in this order: state, batches, program, loop, jobs, history; then snapshot, checkpoints, divergence.
May import: `models` and below.
Private: import public names from `glassnet` itself.
"""
