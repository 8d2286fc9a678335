# make train    learn block lifting from 30 demonstrations, evaluate it, draw it   (half an hour on two cores)
# make test     all tests but the next two   make lint     style, types and the arrows between packages
# make test-warp  the GPU's physics on the CPU (compiles for eight minutes, once)   make test-gpu  the same on a GPU
# make bench    speed on this machine        make setup    only the environment, in .venv
#
# Every target sets up what it needs. To shorten or change the main job: make train MINUTES=5 RUN=runs/short

PYTHON ?= python3
VENV ?= .venv
TASK ?= block-lifting
RUN ?= runs/first
MINUTES ?= 20
NUM_DEMONSTRATIONS ?= 30
NUM_EPISODES ?= 200

bin := $(VENV)/bin
installed := $(VENV)/.installed
demonstrations := $(RUN)/demonstrations.hdf5

.PHONY: setup train test test-warp test-gpu lint format bench clean

setup: $(installed)

$(installed): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("handful needs Python 3.11 or newer; \
	$(PYTHON) is %d.%d. Name another one: make setup PYTHON=python3.11" % sys.version_info[:2])'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments here;" \
	"install python3-venv, or name another Python: make setup PYTHON=..." >&2; exit 1; }
	@echo "Setting up $(VENV); the first time takes a few minutes."
	@test -x $(bin)/python || $(PYTHON) -m venv $(VENV)
	@$(bin)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

# A run that exists goes on from its last checkpoint; one that has had its minutes is only evaluated and drawn again.
train: $(installed)
	@mkdir -p $(RUN)
	$(bin)/handful demonstrate $(TASK) --num-episodes $(NUM_DEMONSTRATIONS) --output $(demonstrations)
	@if [ -e $(RUN)/checkpoint.safetensors ]; then set -x; $(bin)/handful train $(TASK) --resume $(RUN) --minutes $(MINUTES); \
	else set -x; \
	$(bin)/handful train $(TASK) --demonstrations $(demonstrations) --minutes $(MINUTES) --run $(RUN); fi
	$(bin)/handful evaluate $(TASK) --policy $(RUN) --num-episodes $(NUM_EPISODES) --randomization task \
		--video $(RUN)/evaluation.mp4
	$(bin)/handful plot $(RUN)

test: $(installed)
	$(bin)/python -m pytest -q

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

bench: $(installed)
	$(bin)/handful bench $(TASK)

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .import_linter_cache
	find handful tests -name __pycache__ -type d -prune -exec rm -rf {} +
