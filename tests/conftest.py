"""Settings of every test: strict promotion of dtypes, no display."""

import matplotlib

matplotlib.use("Agg")
