# `make help` names the targets. Everything that is made lies in .venv/ and build/.

PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed
SYNTH_INSTALLED := $(VENV)/.synth-installed
FUZZ_INSTALLED := $(VENV)/.fuzz-installed
FORMAL_INSTALLED := $(VENV)/.formal-installed
PIP := $(VENV)/bin/python -m pip install -qq --disable-pip-version-check

RUN := $(VENV)/bin/python -m

# A file's tests stay in one process; tests/conftest.py has the order.
PARALLEL := -q -n auto --dist loadfile --no-loadscope-reorder

# The order of things in generated Verilog follows that of Python's sets: were it another in each process of the tests,
# each would build its simulators anew.
export PYTHONHASHSEED := 0

# An argument in single quotes, whatever is in it.
quote = '$(subst ','\'',$(1))'

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help tools setup report test lint check compiled fuzz fuzz-parsers tables bench coverage synth formal linux linux-quick calibrate fidelity clean

help:
	@echo "make report  [FILE=path] [MODES=0,1,3,4,8000] [JOBS=n] [WAVES=1]   run the main job, make build/report/"
	@echo "make report  EXPERIMENT='a.toml b.toml' [JOBS=n]   the same from experiments (docs/experiments.md)"
	@echo "make test    all tests"
	@echo "make lint    lint, types and import rules"
	@echo "make check   the same, and the fast tests (two minutes or so)"
	@echo "make fuzz  [SECONDS=n] [SEED=n] [ONLY=test]   the property tests over and over, with new seeds, until Ctrl-C"
	@echo "make fuzz-parsers TARGET=name [SECONDS=n]   one parser of the stack under atheris; without TARGET it lists them"
	@echo "make tables   simulate TCP over many paths, make docs/tcp-tables.md"
	@echo "make compiled   compile model, driver and stack (a minute or two): runs on the model take half the time or less"
	@echo "make bench   measure speed, print it, make build/bench.json"
	@echo "make calibrate  measure the stages of the RTL, make sim/model/calibration.json"
	@echo "make fidelity   the distance of the fast model to the RTL, make build/fidelity.json and docs/fidelity.md"
	@echo "make coverage   lines, toggles and functional points that the whole-NIC tests reach, make build/coverage.json"
	@echo "make synth   synthesise, place and route for an ECP5, print area and timing, make build/synth.json"
	@echo "make formal  [ONLY=names]   prove what the NIC's parts promise, refute a mutant of each, make build/formal.json"
	@echo "make linux   boot Linux guests in QEMU whose stock driver has to work with this NIC, both back ends (as root)"
	@echo "make linux-quick   the same on the model alone, up to pings (under 3 minutes)"
	@echo "make setup   create .venv and install what requirements.lock pins (the others do it when needed)"
	@echo "make clean   remove build/ and the caches of the tools"
	@echo "PYTHON=...   chooses the Python (3.11 or later) that .venv is created with"

tools:
	@WAVES=$(call quote,$(WAVES)) sh sim/tools_check.sh $(call quote,$(PYTHON))

# A virtual environment whose Python is gone, or too old, is created anew.
$(INSTALLED): requirements.lock pyproject.toml | tools
	@echo "Installing into $(VENV) (a few minutes the first time)"
	@$(VENV)/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| $(PYTHON) -m venv --clear $(VENV)
	@$(PIP) --requirement requirements.lock
	@$(PIP) --no-deps --editable .
	@touch $@

setup: $(INSTALLED)

report: $(INSTALLED) | tools
	@$(RUN) sim.cli report $(EXPERIMENT) $(if $(FILE),--file $(call quote,$(FILE))) $(if $(MODES),--modes $(call quote,$(MODES))) \
		$(if $(JOBS),--jobs $(call quote,$(JOBS))) $(if $(filter 1,$(WAVES)),--waves)

test: $(FORMAL_INSTALLED) | tools
	@$(RUN) pytest $(PARALLEL)

lint: $(INSTALLED) | tools
	@$(RUN) ruff check --quiet
	@$(RUN) ruff format --check --quiet
	@$(RUN) mypy --no-error-summary
	@$(VENV)/bin/lint-imports --no-logo --no-cache

check: lint $(FORMAL_INSTALLED) | tools
	@$(RUN) pytest $(PARALLEL) -m "not slow and not rtl"

fuzz: $(INSTALLED) | tools
	@$(RUN) tests.fuzz $(if $(SECONDS),--seconds $(call quote,$(SECONDS))) $(if $(SEED),--seed $(call quote,$(SEED))) \
		$(if $(ONLY),--only $(call quote,$(ONLY)))

$(FUZZ_INSTALLED): requirements-fuzz.lock $(INSTALLED)
	@echo "Installing atheris into $(VENV)"
	@$(PIP) --requirement requirements-fuzz.lock
	@touch $@

fuzz-parsers: $(FUZZ_INSTALLED) | tools
	@$(RUN) tests.atheris_fuzz $(call quote,$(TARGET)) $(if $(SECONDS),-max_total_time=$(call quote,$(SECONDS)))

tables: $(INSTALLED) | tools
	@NICLAB_INTERPRETED=1 $(RUN) sim.tcp_tables

$(SYNTH_INSTALLED): requirements-synth.lock $(INSTALLED)
	@echo "Installing Yosys and nextpnr into $(VENV)"
	@$(PIP) --requirement requirements-synth.lock
	@touch $@

synth: $(SYNTH_INSTALLED) | tools
	@$(RUN) sim.cli synth

$(FORMAL_INSTALLED): requirements-formal.lock $(INSTALLED)
	@echo "Installing Yosys, sby and Bitwuzla into $(VENV)"
	@$(PIP) --requirement requirements-formal.lock
	@touch $@

formal: $(FORMAL_INSTALLED) | tools
	@$(RUN) sim.cli formal $(ONLY)

linux: $(INSTALLED) | tools
	@$(RUN) sim.cli linux

linux-quick: $(INSTALLED) | tools
	@$(RUN) sim.cli linux --quick

compiled: $(INSTALLED) | tools
	@$(RUN) sim.cli compile

bench: compiled
	@$(RUN) sim.cli bench

calibrate: $(INSTALLED) | tools
	@$(RUN) sim.cli calibrate

fidelity: $(INSTALLED) | tools
	@$(RUN) sim.cli fidelity $(if $(JOBS),--jobs $(call quote,$(JOBS)))

coverage: $(INSTALLED) | tools
	@VERILOG_COVERAGE=1 $(RUN) pytest $(PARALLEL) tests/hw/test_nic_*.py
	@$(RUN) sim.cli coverage

clean:
	rm -rf build .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
