# make help     these lines
# make try      learn block lifting from 30 demonstrations in 20 minutes, evaluate it, draw it
# make train TASK=...   learn a task to the end, as the policies that ship were: hours on two cores
# make test     the tests, ten minutes        make lint     style, types and which package may import which
# make test-long  more tests: pages in a browser, another arm, the documents' examples
# make test-warp  tests of the physics for GPUs, on the CPU: eight minutes      make test-gpu  the same on a GPU
# make fuzz     a thousand hostile files and messages of each kind, kills and full disks, about half an hour
# make docs     the documentation site, in build/site, links checked
# make figures  every figure, picture and table of the documentation: seven hours. Some of them: make figures PARTS="pictures tables"
# make bench    speed on this machine        make setup    only the environment, in .venv
# make setup LOCKED=1   the same, and each package must have the hash in locked.txt; see docs/security.md
# make lock     write locked.txt and locked-torch.txt anew, by uv (pip install uv)
#
# Every target sets up what it needs. To shorten or change a training: make train TASK=block-stacking MINUTES=60 RUN=runs/short

PYTHON ?= python3
VENV ?= .venv
TASK ?= block-lifting
RECIPE ?= teacher-student
SEED ?= 0
RUN ?= runs/$(TASK)
# Without MINUTES, a training takes as long as its recipe says.
MINUTES ?=
NUM_EPISODES ?= 500
# Levels of randomisation at which a training is evaluated; the film is of the last. Without a teacher, only what it learned at.
LEVELS ?= $(if $(filter quick,$(RECIPE)),task,task full)
# Of make figures: what to make, without it everything, and the machine in words.
PARTS ?=
MACHINE ?=

# Set, packages are installed by the hashes of their files.
LOCKED ?=
UV ?= uv

bin := $(VENV)/bin
installed := $(VENV)/.installed$(if $(LOCKED),-locked)
pip := $(bin)/python -m pip install -qq --disable-pip-version-check
by_hash := $(pip) --require-hashes --no-deps --only-binary :all:
lock := pip compile --quiet --universal --python-version 3.11.5 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links --constraint constraints.txt
budget := $(if $(MINUTES),--minutes $(MINUTES))

.PHONY: help setup lock try train test fuzz test-long test-warp test-gpu lint format docs figures bench clean

# Without a target, everything is set up; see `make help`.
.DEFAULT_GOAL := setup

help:
	@sed -n 's/^# //p; /^$$/q' $(firstword $(MAKEFILE_LIST))

setup: $(installed)

$(installed): pyproject.toml constraints.txt $(if $(LOCKED),locked.txt locked-torch.txt locked-sources.txt)
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("handful needs Python 3.11 or newer; \
	$(PYTHON) is %d.%d. Name another one: make setup PYTHON=python3.11" % sys.version_info[:2])'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments here;" \
	"install python3-venv, or name another Python: make setup PYTHON=..." >&2; exit 1; }
	@echo "Setting up $(VENV); the first time takes a few minutes."
	@test -x $(bin)/python || $(PYTHON) -m venv $(VENV)
ifdef LOCKED
	@$(bin)/python -c 'import importlib.metadata as found; found.version("torch")' 2>/dev/null || \
		$(by_hash) --requirement locked-torch.txt
	@$(by_hash) --requirement locked.txt
	@$(pip) --require-hashes --no-deps --no-build-isolation --requirement locked-sources.txt
	@$(pip) --no-deps --no-build-isolation --editable .
	@$(bin)/python -m pip check --disable-pip-version-check
else
	@$(pip) --constraint constraints.txt --editable '.[dev]'
endif
	@touch $@

# easyhid, which a SpaceMouse needs, has no wheel and is built from its source, by the setuptools of locked.txt.
# Without torch, of which a machine may have another build, and without the CUDA that only torch needs.
lock:
	@mkdir -p build
	echo 'torch; python_version < "3"' > build/without-torch.txt
	$(UV) $(lock) --extra dev --override build/without-torch.txt --no-emit-package easyhid \
		pyproject.toml --output-file locked.txt
	echo easyhid | $(UV) $(lock) --no-deps - --output-file locked-sources.txt
	echo torch | $(UV) $(lock) - --output-file locked-torch.txt

try:
	@$(MAKE) --no-print-directory train RECIPE=quick MINUTES=20 NUM_EPISODES=200 RUN=runs/first

# A run that exists is resumed; one that is finished is only evaluated and drawn again.
train: $(installed)
	@if [ -e $(RUN)/config.json ]; then set -x; $(bin)/handful train $(TASK) --resume $(RUN) $(budget); \
	else set -x; $(bin)/handful train $(TASK) --recipe $(RECIPE) --seed $(SEED) --run $(RUN) $(budget); fi
	@set -e; for level in $(LEVELS); do (set -x; $(bin)/handful evaluate $(TASK) --policy $(RUN) \
	--num-episodes $(NUM_EPISODES) --randomization $$level --video $(RUN)/evaluation.mp4); done
	$(bin)/handful plot $(RUN)

test: $(installed)
	$(bin)/python -m pytest -q

fuzz: $(installed)
	HANDFUL_FUZZ_CASES=1000 $(bin)/python -m pytest -q tests/fuzz tests/viewing/test_gate.py

test-long: $(installed)
	$(bin)/python -m pytest -q -m long

test-warp: $(installed)
	$(bin)/python -m pytest -q -m warp

test-gpu: $(installed)
	$(bin)/python -m pytest -q -m gpu

lint: $(installed)
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/pyright --pythonpath $(bin)/python
	$(bin)/lint-imports --no-cache

format: $(installed)
	$(bin)/ruff check --fix
	$(bin)/ruff format

docs: $(installed)
	$(bin)/mkdocs build --strict --quiet
	@echo "The site is in build/site: open build/site/index.html"

figures: $(installed)
	$(bin)/python docs/make_figures.py $(PARTS) $(if $(MACHINE),--machine "$(MACHINE)")

bench: $(installed)
	$(bin)/handful bench $(TASK)

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .import_linter_cache
	find handful tests -name __pycache__ -type d -prune -exec rm -rf {} +
