# Two commands: `make demo` shows what glassnet does, `make test` checks it.
# Each makes .venv and installs what it needs; Python 3.11 or later is all that must be there.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test slow lint types fast lowest coverage mutants lock docs bench clean

demo: .venv/installed
	mkdir -p demo
	$(BIN)/glassnet train sample:digits --out demo/digits.glassnet --report demo/digits.html
	$(BIN)/glassnet inspect demo/digits.glassnet
	$(BIN)/glassnet predict demo/digits.glassnet sample:digits --out demo/predictions.csv
	@echo "Open demo/digits.html in a browser; the model is demo/digits.glassnet."

# QUICK=1 compiles with little optimisation, in 60 % of the time; CI tests what users run: make test QUICK=0
QUICK ?= 1
test: lint types
	JAX_DISABLE_MOST_OPTIMIZATIONS=$(QUICK) SCIPY_ARRAY_API=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow" $(COVER)

# What takes minutes, above all scikit-learn's checks over a matrix of settings; CI runs it too.
slow: .venv/dev
	SCIPY_ARRAY_API=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m slow $(COVER)

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

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

# Everybody develops with the versions of the lock; a user gets the newest that pyproject.toml allows.
.venv/dev: .venv/installed requirements-dev.lock
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.lock
	touch $@

# The newest versions of all that development needs, for every platform and Python, with their hashes.
lock: .venv/dev
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --all-extras --group dev pyproject.toml --output-file requirements-dev.lock

# The tests marked `lowest`, of what each package is used for, with the lowest versions that pyproject.toml allows. Old
# packages call what newer ones deprecate: that is not ours to mend. Nor is an old onnx's evaluator, which gives
# a lookup in no rows the wrong shape: the one test that asks it that is left out.
lowest: .venv-lowest/installed
	.venv-lowest/bin/python -m pytest -n 2 --dist worksteal -m "lowest and not slow" -W ignore::DeprecationWarning tests \
		--deselect tests/exporting/test_export.py::test_four_runtimes_agree_on_generated_architectures

.venv-lowest/installed: pyproject.toml .venv/dev
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-lowest
	$(BIN)/uv pip compile --quiet --resolution lowest-direct --python .venv-lowest --no-emit-index-url \
		--all-extras pyproject.toml --output-file .venv-lowest/lowest.txt
	$(BIN)/uv pip install --quiet --python .venv-lowest --constraint .venv-lowest/lowest.txt --editable . --group test
	touch $@

# The whole suite, with the lines and branches that it reaches: 95 % at least.
coverage:
	rm -f .coverage
	$(MAKE) test slow QUICK=0 COVER="--cov --cov-append --cov-report= --cov-fail-under=0"
	$(BIN)/coverage report

# Each operator and number of a file changed, one by one, in a copy; what no test notices is printed: some
# minutes a file. make mutants MODULE=losses
MODULE ?= losses layers optimizers
mutants: .venv/dev
	$(BIN)/python -m pip install --quiet --group mutants
	PATH="$(CURDIR)/$(BIN):$$PATH" tests/mutants/run $(MODULE)

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
	rm -rf .venv .venv-lowest build demo docs/_build docs/about docs/api .pytest_cache .mypy_cache .ruff_cache .hypothesis
