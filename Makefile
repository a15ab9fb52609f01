# All targets work in a fresh checkout with Python 3.11 or later and access to a package index.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
NATIVE := setup.py $(wildcard vfs/c/*.c vfs/c/*.h vfs/c/*/*.c vfs/c/*/*.h)
# Tests start hundreds of interpreters: each would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE
PARALLEL := -n auto --dist worksteal
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g

# Coverage is recorded by sys.monitoring where Python has it.  Recording slows tests down, so CI does it for a part of them.
COVERAGE := $(BIN)/coverage
COVERAGE_PART := $(addprefix tests/,scripts core/test_control.py past diff dbapi2 flavours/test_alter.py)
COVERAGE_ENV = $(shell $(BIN)/python -c 'import sys; print("COVERAGE_CORE=sysmon" if sys.version_info >= (3, 12) else "")')

.PHONY: demo test test-slow test-python test-sqlglot test-server coverage coverage-part torture suites sanitized sanitize fuzz race lint hooks docs pictures bench package clean

$(VENV)/.installed: pyproject.toml clusterdb/__init__.py $(NATIVE)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

demo: $(VENV)/.installed
	$(BIN)/clusterdb demo

test: $(VENV)/.installed
	$(BIN)/pytest $(PARALLEL) -m 'not slow'

test-slow: $(VENV)/.installed
	$(BIN)/pytest $(PARALLEL) -m slow

# Storage and the control plane on the data plane in Python.
test-python: $(VENV)/.installed
	CLUSTERDB_IMPL=python $(BIN)/pytest $(PARALLEL) -m 'not slow' tests/vfs tests/core tests/ha

coverage: $(VENV)/.installed
	$(COVERAGE) erase
	$(COVERAGE_ENV) $(COVERAGE) run -m pytest $(PARALLEL) -m 'not slow' $(TESTS)
	$(COVERAGE) combine --quiet
	$(COVERAGE) report

coverage-part:
	$(MAKE) coverage TESTS="$(COVERAGE_PART)"

test-sqlglot: $(VENV)/.installed
	.ci/test-sqlglot $(BIN)/python $(SQLGLOT)

test-server: $(VENV)/.installed
	.ci/test-server $(BIN)/python

torture: $(VENV)/.installed
	$(BIN)/python -m tests.torture --minutes $(or $(MINUTES),10)

# A copy of the package whose extension module checks itself, in a directory of its own.
SANITIZED = cd build/sanitize && export CLUSTERDB_IMPL=c PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 \
    UBSAN_OPTIONS=print_stacktrace=1:abort_on_error=1 LD_PRELOAD="$$($(CC) -print-file-name=libasan.so)" && $(abspath $(BIN))/python -m
SANITIZE_TESTS := $(addprefix tests/,vfs/contract vfs/test_full_disk.py core/distrust/test_pool.py core/races)

sanitized: $(VENV)/.installed
	rm -rf build/sanitize
	CLUSTERDB_CFLAGS="$(SANITIZERS)" $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --target build/sanitize .
	cp -r tests pyproject.toml build/sanitize

sanitize: sanitized
	$(SANITIZED) clusterdb --version
	$(SANITIZED) pytest -p no:cacheprovider $(PARALLEL) -m 'not slow' -k 'not python-' $(or $(TESTS),$(SANITIZE_TESTS))

fuzz: sanitized
	$(SANITIZED) tests.native.fuzz --minutes $(or $(MINUTES),10)

# Threads of several processes on one store, under ThreadSanitizer.
race: $(VENV)/.installed
	$(BIN)/python -m tests.native.race --seconds $(or $(SECONDS),60)

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

hooks: $(VENV)/.installed
	$(BIN)/pre-commit install

docs: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[docs]'
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs docs/_build

pictures:
	$(PYTHON) docs/pictures

bench: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[bench]'
	$(BIN)/python benchmarks/run.py $(FLAGS)

package: $(VENV)/.installed
	rm -rf dist build
	$(BIN)/python -m build --outdir dist
	$(BIN)/twine check --strict dist/*
	$(PYTHON) -m venv build/venv
	build/venv/bin/pip install --quiet --disable-pip-version-check "$$(ls dist/*.whl)[demo]"
	cd build && venv/bin/python -I ../tests/house/packaged.py && venv/bin/clusterdb --version && venv/bin/clusterdb demo

suites: $(VENV)/.installed
	$(BIN)/python -m tests.suites

clean:
	rm -rf $(VENV) build dist docs/_build *.egg-info vfs/*.so .coverage .coverage.*
