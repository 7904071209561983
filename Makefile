# make demo   clean the example and say where the report is     make check  format, lint, types, layers
# make test   the whole suite, with coverage                    make docs   write the reference pages from the code
# make site   build the documentation site into site/
# make lock   resolve the dependencies anew                     make clean  remove everything that was made here
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := demo
.PHONY: demo test check docs site lock clean

BIN := .venv/bin
KERNELS := */steps/*,*/pii/*,*/duplicates/*,*/profile/*,*/data_cleaning.py

demo: .venv/installed
	@$(BIN)/data-sanitizer clean examples/customers.csv -o demo/run --force
	@echo "The report of the demo: $(CURDIR)/demo/run/report.html"

# One process more than there are cores: tests of leases, retries and kills wait for most of their time.
# Coverage is held twice: over everything (pyproject.toml), and higher where the data is touched. pytest's own end comes last.
test: .venv/installed-dev
	@mkdir -p .pytest_cache && rm -f .coverage .coverage.*
	@$(BIN)/pytest -n $$(($$(nproc) + 1)) --dist worksteal --cov --cov-report= --cov-fail-under=0 | tee .pytest_cache/last-run.txt
	@$(BIN)/coverage report --skip-covered
	@$(BIN)/coverage report --skip-covered --include='$(KERNELS)' --fail-under=90 | sed -n 's|^TOTAL|KERNELS|p; /^Coverage failure/p'
	@grep '^skipped tests:' .pytest_cache/last-run.txt | tail -1
	@tail -1 .pytest_cache/last-run.txt

check: .venv/installed-dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

docs: .venv/installed-dev
	@$(BIN)/python docs/build_reference.py

site: .venv/installed-dev
	@$(BIN)/mkdocs build --strict --quiet
	@echo "The site: $(CURDIR)/site/index.html"

# --no-emit-index-url: the lock names packages and hashes, never where they are fetched from.
RESOLVE = $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
lock: .venv/installed-dev
	@$(RESOLVE) pyproject.toml --group build -o requirements.lock
	@$(RESOLVE) pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock
	@$(RESOLVE) pyproject.toml --extra service --group build -c requirements-dev.lock -o deploy/docker/requirements.lock

clean:
	@rm -rf .venv demo dist site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage .coverage.*
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is newer than what it was made from, so the second call installs nothing. The development lock contains the other one.
.venv/installed: requirements.lock pyproject.toml .ci/environment
	@.ci/environment requirements.lock
	@touch $@

.venv/installed-dev: requirements-dev.lock pyproject.toml .ci/environment
	@.ci/environment requirements-dev.lock
	@touch $@ .venv/installed
