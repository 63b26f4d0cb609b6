# guywire from a clone. `make help` lists the targets.
#
# Needs Python 3.11 (or later) and make; everything else goes into var/venv, in the versions of requirements.lock.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
INI ?= development.ini

VENV := var/venv
BIN := $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable
INPUTS := setup.cfg pyproject.toml requirements.lock

# In continuous integration a skipped test is a failed one.
ifdef CI
PYTEST_FLAGS += -p no_skips
export PYTHONPATH := .ci
endif
PYTEST = $(BIN)/python -m pytest $(PYTEST_FLAGS)
# Each process has a database server of its own, so more than a few do not help.
IN_PARALLEL = --numprocesses auto --maxprocesses 4 --dist worksteal
# Files run beside each other: the tests of one share its servers and its names of interfaces.
TWO_AT_ONCE = --numprocesses 2 --dist loadfile

.PHONY: help serve test test-system test-long lint conformance bench docs clean
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
		|| sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1: \2/p' $(MAKEFILE_LIST)

serve: $(VENV)/.runtime ## install, prepare the database and serve on 127.0.0.1:6543; INI=production.ini takes another file
	@$(BIN)/guywire init $(INI)
	@exec $(BIN)/guywire serve $(INI)

test: $(VENV)/.test ## the tests that need no root and no daemons, on SQLite and on PostgreSQL (a few minutes)
	$(PYTEST) $(IN_PARALLEL)

test-system: $(VENV)/.test ## the tests with real daemons; installs Debian packages, as root
	tests/system/install-packages
	$(PYTEST) $(TWO_AT_ONCE) -m system tests/system

test-long: $(VENV)/.test ## the tests with ten thousand of everything
	$(PYTEST) -m long

lint: $(VENV)/.lint ## style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy core plugins/*
	$(PYTEST) tests/test_imports.py

conformance: $(VENV)/.test ## a fresh instance against what the reference implementation answered; ARGS="--area device"
	$(BIN)/python tests/contract/run.py $(ARGS)

bench: $(VENV)/.test ## measure: one program after the other
	@for program in $$(grep -l __main__ bench/*.py); do echo "$$program"; $(BIN)/python $$program || exit 1; done

docs: $(VENV)/.runtime ## write the reference of the command line anew and check the links
	$(BIN)/python docs/build.py

clean: ## remove the environment and what tools left behind; var/ keeps the database and the key ring
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info

$(BIN)/python:
	@echo "Making the environment in $(VENV) and installing into it: about half a minute, once."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "guywire needs Python 3.11: make PYTHON=/path/of/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@# The pip that comes with Python 3.11 takes twice as long for what follows.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --upgrade pip

$(VENV)/.runtime: $(INPUTS) | $(BIN)/python
	$(INSTALL) .
	@touch $@

$(VENV)/.test: $(INPUTS) | $(BIN)/python
	$(INSTALL) '.[test]'
	@touch $@ $(VENV)/.runtime

$(VENV)/.lint: $(INPUTS) | $(BIN)/python
	$(INSTALL) '.[test,lint]'
	@touch $@ $(VENV)/.test $(VENV)/.runtime
