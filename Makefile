# The few words of this repository. Each does its own set-up; PYTHON=… chooses the Python (3.11 or later).
PYTHON ?= python3
# One more than the two cores that we think of: browsers and servers are waited for.
PYTEST_WORKERS ?= 3

BIN := .venv/bin
SET_UP := $(PYTHON) scripts/bootstrap.py
CHECKED := src tests scripts clients/python $(wildcard benchmarks)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run test test-quick soak lint fix bench docs set-up set-up-dev set-up-test linters

help: ## list these words
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

run: set-up ## start the demo: One Runtime, a playground and Acme CRM, on loopback (ARGS=… for options)
	@$(BIN)/one-runtime demo $(ARGS)

test: set-up-test linters ## everything: linters, types, both databases, a real browser
	@$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist worksteal -m "not soak" $(ARGS)

test-quick: set-up-dev ## under a minute: both databases, no browser, no foreign servers
	@$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist worksteal -m "not browser and not foreign and not slow" $(ARGS)

soak: set-up-dev ## at length, what make test does in short: keys are rotated and processes killed
	@$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist worksteal -m soak $(ARGS)

lint: set-up-dev linters ## style, types, the order of imports, dependencies

fix: set-up-dev ## format, and fix what ruff can fix
	@$(BIN)/ruff check --fix $(CHECKED)
	@$(BIN)/ruff format $(CHECKED)

bench: set-up-dev ## measure (ARGS=… for options)
	@$(BIN)/python -m benchmarks $(ARGS)

docs: set-up-dev ## run the tests that hold the documentation to the code
	@$(BIN)/python -m pytest -m docs $(ARGS)

set-up:
	@$(SET_UP)

set-up-dev:
	@$(SET_UP) --dev

set-up-test:
	@$(SET_UP) --dev --browser --foreign --proxies

# Each in its own line, so that the first that finds something is the last that speaks.
linters:
	@$(BIN)/ruff check $(CHECKED)
	@$(BIN)/ruff format --check $(CHECKED)
	@$(BIN)/mypy $(CHECKED)
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/deptry src
