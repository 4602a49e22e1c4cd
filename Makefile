# Two commands: `make demo` shows what it does, `make test` proves that it works.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Wheels and checksums only from the package index that pip is set up for; exact versions of the tested set.
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt

# Finds accessibility faults in the page, in the browser tests.
AXE := axe-core@4.14.1

.PHONY: install demo test test-fast test-long lint format benchmarks clean

install: $(VENV)/.installed

demo: install
	$(BIN)/sceneseek demo

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=term:skip-covered

test-fast: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n 2 -m "not e2e and not slow"

# Random libraries with 32 seeds instead of 8.
test-long: $(VENV)/.installed-test
	RANDOM_LIBRARIES=32 $(BIN)/python -m pytest tests/e2e/test_random_corpus.py

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmarks: $(VENV)/.installed-test
	for each in quality speed models shots; do $(BIN)/python -m benchmarks.$$each || exit 1; done

clean:
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing into $(VENV); PyTorch is large, so this takes a few minutes ..."
	$(INSTALL) --editable '.[all]'
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(INSTALL) --editable '.[all,test]'
	@if command -v npm > /dev/null; then npm install --silent --no-audit --no-fund --prefix $(VENV)/axe-core $(AXE); \
	else echo "npm is not installed: accessibility will not be checked"; fi
	@touch $@
