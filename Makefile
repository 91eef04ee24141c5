# Everything here needs only Python 3.11 or 3.12 (with venv), git and make; the rest is set up on first use.
.DEFAULT_GOAL := help
.PHONY: help ship up down test test-e2e lint format lock clean
SHELL := /bin/bash

FITS := import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for python in python3.12 python3.11 python3 python; do \
	$$python -c '$(FITS)' 2>/dev/null && { echo $$python; break; }; done)
BIN := .venv/bin
READY := .venv/.ready
MODEL ?= churn

help:  ## say what can be made
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 with its venv module is needed (Debian: apt install python3 python3-venv); or set PYTHON=/path/to/python3.12" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@

ship: $(READY)  ## take a model from data to all traffic (DATA=file.csv SABOTAGE=errors RPS=100 MODEL=churn)
	@$(BIN)/slipway ship "$(MODEL)" $(if $(DATA),--data "$(DATA)") $(if $(SABOTAGE),--sabotage "$(SABOTAGE)") $(if $(RPS),--rps "$(RPS)")

up: $(READY)  ## start the local stack
	@$(BIN)/slipway up

down: $(READY)  ## stop the local stack; its data stays
	@$(BIN)/slipway down

lint: $(READY)  ## style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(READY)  ## put the code into the house's format
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

test: lint  ## lint and test with real servers
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -m "not e2e"
	$(BIN)/coverage combine --quiet
	$(BIN)/python tests/coverage_bars.py

test-e2e: $(READY)  ## the long tests: a fresh clone, every sabotage, kills in every step
	$(BIN)/python -m pytest -m e2e --timeout 1500

lock: $(READY)  ## choose library versions anew within pyproject.toml's floors (UPGRADE=1: the newest)
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header $(if $(UPGRADE),--upgrade) \
		--group serve --group train --group load --group local --group dev pyproject.toml --output-file requirements.lock

clean:  ## stop the stack and remove everything that was made here, its data too
	@! test -x $(BIN)/slipway || $(BIN)/slipway down
	rm -rf .venv .slipway .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.*
