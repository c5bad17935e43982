"""Record every number of one training step, and write each neuron's equations.

Read in this order: trace, recording, records, layer_equations, loss_equations, step_equations,
neuron_equations, gradient_check; then the rest.
May import: `fit` and what is below them in ARCHITECTURE.md.
Private: import public names from `glassnet` itself.
"""
