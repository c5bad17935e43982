"""Settings of every test: strict promotion of dtypes, no display, no cache of compiled programs."""

import os

import matplotlib

matplotlib.use("Agg")
os.environ["GLASSNET_CACHE"] = "off"  # a test leaves nothing in a person's folders
