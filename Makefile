# Two commands: `make demo` shows what glassnet does, `make test` checks all of it.
# Each makes .venv and installs what it needs; Python 3.11 or later is all that must be there.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint types fast docs bench clean

demo: .venv/installed
	mkdir -p demo
	$(BIN)/glassnet train sample:digits --out demo/digits.glassnet --report demo/digits.html
	$(BIN)/glassnet inspect demo/digits.glassnet
	$(BIN)/glassnet predict demo/digits.glassnet sample:digits --out demo/predictions.csv
	@echo "Open demo/digits.html in a browser; the model is demo/digits.glassnet."

test: lint types
	SCIPY_ARRAY_API=1 $(BIN)/python -m pytest -n 2 --dist worksteal

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/dev
	$(BIN)/mypy

# The tests of one file or a moment's check: make fast ARGS=tests/test_tiny.py
fast: .venv/dev
	$(BIN)/python -m pytest -q -m "not slow" $(ARGS)

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "glassnet needs Python 3.11 or later; name one: make PYTHON=python3.11 " + "demo")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/dev: .venv/installed
	$(BIN)/python -m pip install --quiet --group dev
	touch $@

# The site, with the unit: every block of its pages runs. Compiled programs are kept for the next time.
docs: .venv/dev
	GLASSNET_CACHE=$(CURDIR)/docs/_build/cache $(BIN)/python -m sphinx -W --keep-going -q -j 2 -b html docs docs/_build/html
	@echo "Open docs/_build/html/index.html in a browser."

# Beside PyTorch, Keras and scikit-learn; alone on the machine, some minutes: make bench PARTS=steps
# The default network on many tables: make bench PARTS="accuracy --help"
bench: .venv/dev
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python -m benchmarks $(PARTS)

clean:
	rm -rf .venv demo docs/_build docs/about docs/api .pytest_cache .mypy_cache .ruff_cache .hypothesis
