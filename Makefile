# Everything a clone needs: `make run` trains and serves the example, `make test` runs the tests.
# Needs Python 3.11 or newer, and nothing started by hand. Plain sh and make 3.81, as macOS has them.

VENV := .venv
PORT ?= 8000
EXAMPLES := iris loan credit_risk
PYTHONS := $(or $(PYTHON),python3.11 python3 python3.12 python3.13)
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --quiet
SETUP := $(VENV)/.setup
DEV := $(VENV)/.dev

.DEFAULT_GOAL := help
.PHONY: help setup run test lint bench coverage docs lock clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1	\2/p' Makefile

setup: $(SETUP) ## .venv with everything that trains and serves

run: $(SETUP) ## bring the examples to production and serve them on http://127.0.0.1:8000 (PORT=…)
	@$(VENV)/bin/python examples/demo.py $(EXAMPLES:%=examples/%)
	@exec $(VENV)/bin/windlass serve $(EXAMPLES:%=examples/%) --port $(PORT)

# one thread a process: on small data, more of them only spin while they wait for one another
test: export OMP_NUM_THREADS := 1
test: export OPENBLAS_NUM_THREADS := 1
# hundreds of processes start: none of them compiles again what another one has compiled
test: export PYTHONDONTWRITEBYTECODE :=
test: $(DEV) ## the tests
	@exec $(VENV)/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

lint: $(DEV) ## style, types and import contracts
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

bench: $(SETUP) ## measure side by side with other servers and Feast (BENCH="--quick --peers --large")
	@$(VENV)/bin/python -m benchmarks.serving $(filter-out --large,$(BENCH))
	@$(VENV)/bin/python -m benchmarks.swap
	@$(VENV)/bin/python -m benchmarks.soak
	@$(VENV)/bin/python -m benchmarks.by_id $(filter --quick,$(BENCH))
	@exec $(VENV)/bin/python -m benchmarks.features $(filter --quick --peers --large,$(BENCH))

coverage: $(DEV) ## every estimator, exact, native or refused: the table in docs/models.md (minutes)
	@OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(VENV)/bin/python -m benchmarks.coverage

COMPILE := $(VENV)/bin/uv pip compile --upgrade --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header

docs: $(DEV) ## build the documentation site, build/site
	@exec $(VENV)/bin/python docs/site/build.py

lock: $(SETUP) ## pin the newest versions that agree, after a change of pyproject.toml
	@$(PIP) install uv
	@$(COMPILE) pyproject.toml --extra train --extra mlflow --extra postgres --extra features --extra redis --extra signing --extra client --extra excel --group build -o requirements.txt
	@$(COMPILE) pyproject.toml --extra boosters --group test --group lint --group docs -c requirements.txt -o requirements/dev.txt

clean: ## remove .venv, caches and what the examples trained; .windlass stays
	@rm -rf $(VENV) build dist .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@rm -rf .schemathesis benchmarks/.peers examples/*/artifacts
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is written last. Where an installation was interrupted, .partial stays, and the next one starts afresh.
$(SETUP): pyproject.toml requirements.txt
	@if [ -e $(VENV)/.partial ] || ! $(VENV)/bin/python -c '' 2>/dev/null; then \
	    for python in $(PYTHONS) none; do \
	        $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
	    done; \
	    if [ $$python = none ]; then \
	        echo 'Windlass needs Python 3.11 or newer with its venv module' \
	            '(Debian: apt install python3-venv). Or say where it is: make PYTHON=…' >&2; \
	        exit 1; \
	    fi; \
	    rm -rf $(VENV) && mkdir $(VENV) && touch $(VENV)/.partial && $$python -m venv $(VENV); \
	fi
	@rm -f $(SETUP) $(DEV) && touch $(VENV)/.partial
	@echo 'Installing Windlass into $(VENV) …'
	@$(PIP) install -r requirements.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@rm $(VENV)/.partial && touch $@

$(DEV): $(SETUP) requirements/dev.txt
	@rm -f $(SETUP) $@ && touch $(VENV)/.partial
	@echo 'Installing what tests and lint need …'
	@$(PIP) install -r requirements/dev.txt
	@rm $(VENV)/.partial && touch $(SETUP) $@
