# Two commands: `make demo` shows what glassnet does, `make test` checks it.
# Each creates .venv and installs what it needs. Python 3.11 or later is the only requirement.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test slow lint types fast lowest coverage mutants lock docs bench clean

demo: .venv/installed
	mkdir -p demo
	$(BIN)/glassnet train sample:digits --out demo/digits.glassnet --report demo/digits.html
	$(BIN)/glassnet inspect demo/digits.glassnet
	$(BIN)/glassnet predict demo/digits.glassnet sample:digits --out demo/predictions.csv
	@echo "Open demo/digits.html in a browser; the model is demo/digits.glassnet."

# QUICK=1 compiles with little optimisation, which takes less time. CI tests programs compiled as users' are: make test QUICK=0
QUICK ?= 1
test: lint types
	JAX_DISABLE_MOST_OPTIMIZATIONS=$(QUICK) SCIPY_ARRAY_API=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow" $(COVER)

# The tests that take minutes, mainly scikit-learn's checks over a matrix of settings. CI runs them too.
slow: .venv/dev
	SCIPY_ARRAY_API=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m slow $(COVER)

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: .venv/dev
	$(BIN)/mypy

# Run some tests only: make fast ARGS=tests/test_tiny.py
fast: .venv/dev
	$(BIN)/python -m pytest -q -m "not slow" $(ARGS)

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "glassnet needs Python 3.11 or later; name one: make PYTHON=python3.11 " + "demo")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

# Development uses the versions in the lock; a user gets the newest that pyproject.toml allows.
.venv/dev: .venv/installed requirements-dev.lock
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.lock
	touch $@

# Update the lock: the newest versions of all development dependencies, for every platform and Python, with hashes.
lock: .venv/dev
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --all-extras --group dev pyproject.toml --output-file requirements-dev.lock

# The tests marked `lowest`, with the lowest versions that pyproject.toml allows. Deprecation warnings are ignored, because
# old packages call functions that newer ones deprecate. One test is left out, because the reference evaluator of an old
# onnx returns the wrong shape for a lookup in no rows. Programs are not kept, because an old jaxlib writes a line to the
# standard error output for each program that it loads from the cache.
lowest: .venv-lowest/installed
	JAX_ENABLE_COMPILATION_CACHE=false .venv-lowest/bin/python -m pytest -n 2 --dist worksteal -m "lowest and not slow" -W ignore::DeprecationWarning tests \
		--deselect tests/exporting/test_export.py::test_four_runtimes_agree_on_generated_architectures

.venv-lowest/installed: pyproject.toml .venv/dev
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-lowest
	$(BIN)/uv pip compile --quiet --resolution lowest-direct --python .venv-lowest --no-emit-index-url \
		--all-extras pyproject.toml --output-file .venv-lowest/lowest.txt
	$(BIN)/uv pip install --quiet --python .venv-lowest --constraint .venv-lowest/lowest.txt --editable . --group test
	touch $@

# All tests, with line and branch coverage; fails below 95 %.
coverage:
	rm -f .coverage
	$(MAKE) test slow QUICK=0 COVER="--cov --cov-append --cov-report= --cov-fail-under=0"
	$(BIN)/coverage report

# Mutation testing: change each operator and number of a module, one by one, and print the changes that no test notices.
# It takes some minutes per module: make mutants MODULE=losses
MODULE ?= losses layers optimizers
mutants: .venv/dev
	$(BIN)/python -m pip install --quiet --group mutants
	PATH="$(CURDIR)/$(BIN):$$PATH" tests/mutants/run $(MODULE)

# Build the site. Every code block of its pages runs. Compiled programs are kept for the next build.
docs: .venv/dev
	GLASSNET_CACHE=$(CURDIR)/docs/_build/cache $(BIN)/python -m sphinx -W --keep-going -q -j 2 -b html docs docs/_build/html
	@echo "Open docs/_build/html/index.html in a browser."

# Compare the speed with PyTorch, Keras and scikit-learn, on an otherwise idle machine: make bench PARTS=steps
# Measure the accuracy on many tables: make bench PARTS="accuracy --help"
bench: .venv/dev
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python -m benchmarks $(PARTS)

clean:
	rm -rf .venv .venv-lowest build demo docs/_build docs/about docs/api .pytest_cache .mypy_cache .ruff_cache .hypothesis
