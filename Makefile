# ARMORA hub. `make demo` and `make test` are all that a fresh machine needs.

SHELL      := /bin/bash
GO         ?= go
LINT       := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
PG_BIN     := $(firstword $(wildcard /usr/lib/postgresql/*/bin) $(dir $(shell command -v initdb 2>/dev/null)))
WASM       := schema/timescaletest
STRIPEMOCK := $(shell sed -n 's/^const Tool = "\(.*\)"/\1/p' sim/stripe/mock/mock.go)
TEST_FLAGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo run test lint bench matchbench build generate postgres tools scipy stripemock clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: build postgres ## Run the hub on a private PostgreSQL with a simulated city around London
	bin/armora demo

run: build postgres ## Run the hub alone, on a private PostgreSQL or on DATABASE_URL
	bin/armora serve

build: ## Build bin/armora
	$(GO) build -trimpath -o bin/armora ./cmd/armora

# Most tests wait for a database or a hub: four of a package at a time, whatever the cores.
test: postgres tools stripemock $(WASM)/node_modules ## Run vet and every test, with the race detector (allocations and memory are counted without)
	$(GO) vet ./...
	$(GO) test -race -parallel 4 -timeout 14m $(TEST_FLAGS) ./...
	$(GO) test -run 'Alloc|MemoryIsBounded' $(TEST_FLAGS) ./ingest/... ./live/... ./sim/wire ./dispatch/match ./cmd/armora

lint: ## Run golangci-lint with the repository's configuration
	$(GO) run $(LINT) run ./...

bench: build postgres ## Measure ingest beside the COPY ceiling of the same PostgreSQL, and the live index beside an R-tree
	bin/armora bench ingest
	$(GO) test -run '^$$' -bench Ratio ./live

matchbench: scipy ## Measure the matching engine beside scipy on the same edges
	$(GO) test -run '^$$' -bench . ./dispatch/match

generate: ## Regenerate the protobuf Go (needs protoc)
	$(GO) generate ./deploy/...

clean: ## Remove what was built; data in ./var stays
	rm -rf bin $(WASM)/node_modules

$(WASM)/node_modules: $(WASM)/package.json $(WASM)/package-lock.json
	@command -v npm >/dev/null || { echo 'make: npm is missing; install Node.js 20 or newer (TimescaleDB for the tests comes from npm)'; exit 1; }
	npm ci --prefix $(WASM) --no-audit --no-fund
	@touch $@

# What tests start: the shell sessions of docs/ run curl, a page is looked at in
# Chromium, and the committed protobuf is compared with what protoc says. Without one of
# the latter two its test says that it is skipped.
tools:
	@command -v curl >/dev/null && command -v chromium >/dev/null && command -v protoc >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends curl chromium protobuf-compiler; } || \
	  { echo 'make: tests want curl, chromium and protoc; install them (Debian: sudo apt-get install curl chromium protobuf-compiler)'; \
	    command -v curl >/dev/null; }

# The tests build and run it; here it is only made sure that it can be had.
stripemock:
	@$(GO) mod download $(STRIPEMOCK) || { echo 'make: $(STRIPEMOCK) could not be downloaded; the tests of payments run it'; exit 1; }

# The matching engine is measured beside scipy; without it that part is left out.
scipy:
	@/usr/bin/python3 -c 'import scipy' 2>/dev/null || python3 -c 'import scipy' 2>/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends python3-scipy; } || \
	  echo 'make: scipy is missing; install it (Debian: sudo apt-get install python3-scipy)'

# The hub runs a PostgreSQL of its own and needs only the server's programs.
postgres:
ifeq ($(PG_BIN),)
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends postgresql; \
	else \
	  echo 'make: the PostgreSQL server (15 or newer) is missing; install it (Debian: sudo apt-get install postgresql) or set DATABASE_URL'; \
	  [ -n "$$DATABASE_URL" ]; \
	fi
endif
