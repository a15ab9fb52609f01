# make demo, make test: a fresh checkout needs nothing but Python 3.11 and the package index.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3

.PHONY: demo test test-slow test-sqlglot torture suites lint docs bench clean

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

demo: $(VENV)/.installed
	$(BIN)/clusterdb demo

test: $(VENV)/.installed
	$(BIN)/pytest -n auto -m 'not slow'

test-slow: $(VENV)/.installed
	$(BIN)/pytest -n auto -m slow

test-sqlglot: $(VENV)/.installed
	.ci/test-sqlglot $(BIN)/python $(SQLGLOT)

torture: $(VENV)/.installed
	PYTHONPATH=tests $(BIN)/python -m torture --minutes $(or $(MINUTES),10)

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[docs]'
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs docs/_build

bench: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[bench]'
	$(BIN)/python benchmarks/run.py

suites: $(VENV)/.installed
	PYTHONPATH=tests $(BIN)/python -m suites

clean:
	rm -rf $(VENV) build docs/_build *.egg-info
