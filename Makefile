# The two to start with: `make demo` and `make test`. Neither needs root, and neither installs
# anything outside this directory.
VENV    ?= .venv
BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip --quiet --disable-pip-version-check
ARGS    ?=

.DEFAULT_GOAL := help
.PHONY: help demo test lint format venv bench clean

help:  ## Say what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.run  ## Roll a small real fleet on this machine under load, and report
	$(BIN)/winch demo $(ARGS)

test: $(VENV)/.dev  ## Run every test that this machine allows
	$(BIN)/pytest --durations=10 $(ARGS)

lint: $(VENV)/.dev  ## Check style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev  ## Format the code and mend what ruff can mend
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

venv: $(VENV)/.dev  ## Make the virtual environment in $(VENV)

bench: $(VENV)/.dev  ## Measure the time a host above the floor
	$(BIN)/python -m tests.bench.roll $(ARGS)

clean:  ## Remove the virtual environment and every cache
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	rm -rf *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	tools/make-venv $(VENV)

# What runs, and then what tests: the demo waits for the first only.
$(VENV)/.run: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	@touch $@
