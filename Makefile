# Two commands for a newcomer: `make run` and `make test`. Both create .venv and install what they need.
#
#   TORCH_INDEX=URL   an index of yours to take torch from (for example one with CPU-only wheels)
#   PYTHON=python3.12 another interpreter

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
TORCH := torch>=2.6,<2.14
# Two torch threads on a busy machine are many times slower than one.
export OMP_NUM_THREADS ?= 1

.PHONY: run test lint bench mutants coverage clean
.DEFAULT_GOAL := run

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
	  { echo "guard needs Python 3.11, 3.12 or 3.13; name one with PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# torch goes first when it comes from an index of its own, so that nothing else is looked for there.
$(VENV)/run.stamp: pyproject.toml | $(BIN)/python
	$(if $(TORCH_INDEX),$(PIP) install "$(TORCH)" --index-url "$(TORCH_INDEX)")
	$(PIP) install -q -e '.[local,hosted]'
	touch $@

$(VENV)/dev.stamp: pyproject.toml $(VENV)/run.stamp
	$(PIP) install -q -e '.[local,hosted,dev]'
	touch $@

run: $(VENV)/run.stamp
	$(BIN)/guard serve $(ARGS)

test: $(VENV)/dev.stamp coverage
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

# The pure core is covered in every branch by its own tests, without the random ones.
coverage: $(VENV)/dev.stamp
	$(BIN)/python -m coverage run --branch --source=guard/core -m pytest -q tests/core --ignore=tests/core/test_session_fuzz.py
	$(BIN)/python -m coverage report --fail-under=100 --show-missing --skip-covered

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/dev.stamp
	$(BIN)/python -m tests.bench.run $(ARGS)

mutants: $(VENV)/dev.stamp
	$(BIN)/python -m tests.mutants $(ARGS)

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
