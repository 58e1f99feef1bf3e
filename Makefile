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

.PHONY: run test lint bench bench-store mutants coverage experiment llama-server clients clients-parts clean
.DEFAULT_GOAL := run

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
	  { echo "guard needs Python 3.11, 3.12 or 3.13; name one with PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# torch goes first when it comes from an index of its own, so that nothing else is looked for there.
$(VENV)/run.stamp: pyproject.toml | $(BIN)/python
	$(if $(TORCH_INDEX),$(PIP) install "$(TORCH)" --index-url "$(TORCH_INDEX)")
	$(PIP) install -q -e '.[local,hosted,encoder]'
	touch $@

$(VENV)/dev.stamp: pyproject.toml $(VENV)/run.stamp
	$(PIP) install -q -e '.[local,hosted,encoder,dev]'
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

# The log at a million interruptions, on SQLite and PostgreSQL: pages, filters, exports, replay; half an hour.
bench-store: $(VENV)/dev.stamp
	$(BIN)/python -m tests.bench.store_scale $(ARGS)
	$(BIN)/python -m tests.bench.export_scale
	$(BIN)/python -m tests.bench.replay_scale

mutants: $(VENV)/dev.stamp
	$(BIN)/python -m tests.mutants $(ARGS)

# The training idea on the closed world, from nothing; `make experiment ARGS=--quick` takes minutes instead of hours.
OUT ?= .cache/experiment
experiment: $(VENV)/dev.stamp
	$(BIN)/guard world experiment --out $(OUT) $(ARGS)

# The clients that guard is tried with: their Python packages go beside guard's own, which they disagree with.
clients-parts: .venv-clients/stamp tests/clients/node_modules/stamp

.venv-clients/stamp: pyproject.toml | $(BIN)/python
	$(BIN)/python -m venv .venv-clients
	.venv-clients/bin/python -m pip --disable-pip-version-check install -q -e '.[clients]'
	touch $@

tests/clients/node_modules/stamp: tests/clients/package.json
	cd tests/clients && npm install --no-package-lock --no-audit --no-fund --loglevel=error
	touch $@

# Tries every client against every upstream and writes the README's table; needs `make llama-server` for its column.
clients: $(VENV)/dev.stamp $(VENV)/llama.stamp clients-parts
	CLIENTS_TABLE=write $(BIN)/python -m pytest -q tests/clients -k "not readme" $(ARGS)

# Optional, ten minutes: llama.cpp's own server, which the live tests then put guard in front of.
llama-server: .cache/llama/llama-server $(VENV)/llama.stamp
	@echo "llama-server: $(CURDIR)/$<"

.cache/llama/llama-server: tests/live/build_llama.sh | $(BIN)/python
	PYTHON="$(CURDIR)/$(BIN)/python" $< $(@D)

$(VENV)/llama.stamp: $(VENV)/dev.stamp
	$(PIP) install -q -e '.[local,hosted,encoder,dev,llama]'
	touch $@

clean:
	rm -rf $(VENV) .venv-clients tests/clients/node_modules build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
