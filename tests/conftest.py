"""Settings of every test: strict promotion of dtypes, no display, no cache of compiled programs."""

import os

import matplotlib

matplotlib.use("Agg")
os.environ["GLASSNET_CACHE"] = "off"  # a test leaves nothing in a person's folders
os.environ["SCIPY_ARRAY_API"] = "1"  # before SciPy is imported: else scikit-learn skips a check
