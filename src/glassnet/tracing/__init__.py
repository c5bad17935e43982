"""One training step with every number kept, and each neuron's equations.

Read in this order: trace, recording, records, layer_equations, loss_equations, step_equations,
neuron_equations, gradient_check.
May import: `fit` and below.
Private: import public names from `glassnet` itself.
"""
