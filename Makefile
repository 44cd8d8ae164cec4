# make demo | make test: all that a newcomer needs. Python >= 3.11 and make are enough.
# The first Python on the PATH that runs and is new enough; PYTHON=... chooses another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PEERS := .venv-peers/.installed
ARGS ?=
# Many tests wait for processes: one more at a time than there are cores on a small machine.
WORKERS ?= 3
# Hundreds of processes are started by the tests: each module is compiled once, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test check format bench accuracy soak models gap-net assets schema clean

setup: $(STAMP) models assets

$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer is needed; say where it is: make PYTHON=/path/to/python3.11'; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo 'Try: apt-get install python3-venv'; exit 1; }
	@echo "installing into $(VENV) ..."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --upgrade pip
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[edge,llrp,sims,broker,models,postgres,dev]'
	@touch $@

models: $(STAMP)
	@$(BIN)/python models/build.py

# Trains the shelf-gap net anew; SHELF_EDGE_DATA names the folder of pictures.
gap-net: $(STAMP)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[train]'
	@$(BIN)/python models/train_gap_net.py

assets: $(STAMP)
	@$(BIN)/python models/page_assets.py

demo: setup
	@$(BIN)/device-sims demo $(ARGS)

test: setup
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q tests/test_house.py

format: $(STAMP)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

schema: $(STAMP)
	@$(BIN)/edge-agent schema > configs/store.schema.json
	@$(BIN)/cloud-bridge schema > configs/bridge.schema.json

bench: setup $(PEERS)
	@$(BIN)/python -m benchmarks $(ARGS)

# Other people's trackers, to compare with: they want another build of OpenCV than ours.
$(PEERS): $(STAMP)
	@$(PYTHON) -m venv .venv-peers
	@.venv-peers/bin/python -m pip install -qq --disable-pip-version-check 'supervision>=0.31,<0.32' 'trackers>=2.6,<3'
	@touch $@

accuracy: setup
	@$(BIN)/python -m benchmarks.accuracy $(ARGS)

soak: setup
	@$(BIN)/python -m pytest -m soak $(ARGS)

clean:
	rm -rf $(VENV) .venv-peers build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
