# Every target first does what it needs. `make help` lists them.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv/bin
SETUP := .venv/.setup
TEST_SETUP := .venv/.setup-tests
STANDIN := build/standin

.DEFAULT_GOAL := help
.PHONY: help setup demo standin test check golden soak fuzz acceptance bench clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

setup: $(SETUP) ## install system packages, a virtual environment and the package

$(SETUP): pyproject.toml tools/setup tools/packages.txt
	@PYTHON=$(PYTHON) tools/setup tools/packages.txt $@

$(TEST_SETUP): $(SETUP) tools/test-packages.txt
	@PYTHON=$(PYTHON) tools/setup tools/test-packages.txt $@

standin: $(SETUP) ## build the disc of the stand-in for Windows Setup
	@$(VENV)/python -m tests.standin.build $(STANDIN)

demo: standin ## the main job on real parts: a machine installs itself from the stand-in disc
	@tools/demo $(STANDIN)

test: $(TEST_SETUP) ## run every test
	@tools/test

check: $(SETUP) ## lint and types
	$(VENV)/ruff format --check .
	$(VENV)/ruff check .
	$(VENV)/mypy

golden: $(TEST_SETUP) ## rewrite golden files and generated papers; read the diff before you commit it
	$(VENV)/python -m pytest tests/golden --golden
	$(VENV)/provisioner schema -o provisioner.schema.json
	$(VENV)/python tools/reference
	$(VENV)/python -m tools.manpage

soak: $(TEST_SETUP) ## the long tests: real runs killed at twenty points, guests that hang, sticks that install
	$(VENV)/python -m pytest tests/boot tests/standin tests/integration tests/unit/usb -m soak --timeout 7200

fuzz: $(TEST_SETUP) ## new examples for every property, then ten minutes of damaged input
	$(VENV)/python -m pytest -m "hypothesis and not soak" --hypothesis-profile new -n 2
	$(VENV)/python -m tests.fuzz --seconds 600 --seed 1

acceptance: $(SETUP) ## on genuine Windows: make acceptance ISO=Win11.iso [VIRTIO=virtio-win.iso]
	@test -n "$(ISO)" || { echo "say which disc: make acceptance ISO=Win11.iso" >&2; exit 2; }
	@$(VENV)/python -m acceptance --iso "$(ISO)" $(if $(VIRTIO),--virtio "$(VIRTIO)")

bench: standin $(TEST_SETUP) ## compare with other tools side by side, as ratios
	@$(VENV)/python -m benchmarks

clean: ## remove what the other targets built
	rm -rf build dist .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
