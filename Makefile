# Commands of this repository. Each command installs what it needs. PYTHON=… selects the Python (3.11 or later).
PYTHON ?= python3
# Two workers for each of two cores, because tests often wait for browsers and servers. Six workers are not faster.
PYTEST_WORKERS ?= 4
# One worker more than a machine of two cores has cores. Each worker spends time to import and collect all tests.
PYTEST_QUICK_WORKERS ?= 3
# Container images of Python often disable the bytecode cache. Without the cache, each worker compiles all tests.
export PYTHONDONTWRITEBYTECODE :=

BIN := .venv/bin
SET_UP := $(PYTHON) scripts/bootstrap.py
CHECKED := src tests scripts clients/python $(wildcard benchmarks)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run test test-quick soak lint fix bench docs set-up set-up-dev set-up-test set-up-soak linters

help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

run: set-up ## start the demo: One Runtime, a sample product and Acme CRM, on loopback (ARGS=… for options)
	@$(BIN)/one-runtime demo $(ARGS)

test: set-up-test ## linters, types and all tests: both databases, a real browser
	@$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist worksteal -m "not soak" $(ARGS)

test-quick: set-up-dev ## tests that need neither a browser nor third-party servers, on one database each
	@$(BIN)/python -m pytest -n $(PYTEST_QUICK_WORKERS) --dist worksteal --database first -m "not browser and not foreign and not slow and not soak" $(ARGS)

soak: set-up-soak ## long tests and drills, such as a full disk, with figures; timed drills run last, one at a time
	@$(BIN)/python -m scripts.soak -n $(PYTEST_WORKERS) $(ARGS)

lint: set-up-dev linters ## check style, types, import layers and dependencies

fix: set-up-dev ## format, and fix what ruff can fix
	@$(BIN)/ruff check --fix $(CHECKED)
	@$(BIN)/ruff format $(CHECKED)

bench: set-up-dev ## run the benchmarks (ARGS=… for options)
	@$(BIN)/python -m benchmarks $(ARGS)

docs: set-up-dev ## print how the pages read, and compare the documentation with the code
	@$(BIN)/python -m scripts.prose
	@$(BIN)/python -m pytest -m docs $(ARGS)

set-up:
	@$(SET_UP)

set-up-dev:
	@$(SET_UP) --dev

set-up-test:
	@$(SET_UP) --dev --browser --foreign --proxies

set-up-soak:
	@$(SET_UP) --dev --browser --foreign --runtimes --proxies --cluster

# One command per line: make stops after the first failing command, so the output ends with its findings.
linters:
	@$(BIN)/ruff check $(CHECKED)
	@$(BIN)/ruff format --check $(CHECKED)
	@$(BIN)/mypy $(CHECKED)
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/deptry src
