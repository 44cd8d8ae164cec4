# make demo | make test: all that a newcomer needs. Python >= 3.11 and make are enough.
PYTHON ?= $(shell command -v python3.13 || command -v python3.12 || command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=

.PHONY: setup demo test check format bench soak models assets schema clean

setup: $(STAMP) models assets

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed, found " + sys.version.split()[0] + "; set PYTHON=...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo 'Try: apt-get install python3-venv'; exit 1; }
	@echo "installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[edge,sims,broker,models,dev]'
	@touch $@

models: $(STAMP)
	@$(BIN)/python models/build.py

assets: $(STAMP)
	@$(BIN)/python models/page_assets.py

demo: setup
	@$(BIN)/device-sims demo $(ARGS)

test: setup
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

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

bench: setup
	@$(BIN)/python -m benchmarks $(ARGS)

soak: setup
	@$(BIN)/python -m pytest -m soak $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
