# `make demo` runs the main job, `make test` the tests; both set up .venv themselves.
PYTHON ?= python3
INPUTS ?= 20000
# The order of the tests and the examples of Hypothesis: the same for everyone, so that a failure can be seen again; `make test SEED=default` draws another.
SEED ?= 20261127
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test fuzz check coverage docs bench clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[all]' --group dev --group databases
	touch $@

demo: $(READY)
	$(BIN)/mrl-sweep demo --precision all --rescore 4x

test: $(READY)
	$(BIN)/python -m pytest --numprocesses 2 --randomly-seed=$(SEED) --hypothesis-seed=$(SEED)

fuzz: $(READY)
	$(BIN)/python tests/fuzz.py --inputs $(INPUTS)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tests
	$(BIN)/zizmor --offline --quiet action.yml .github/workflows configs/ci/github.yml

coverage: $(READY)
	$(BIN)/python -m pytest --numprocesses 2 --cov --cov-report term:skip-covered

docs: $(READY)
	$(BIN)/python docs/make.py
	$(BIN)/python -m mrl_sweep demo --precision all --rescore 4x --project-docs 100k --out build/page --force --quiet
	$(BIN)/python -m mrl_sweep report build/page --output build/page.html --quiet
	$(BIN)/python tests/browser.py build/page.html build

bench: $(READY)
	$(BIN)/pip install --quiet --constraint constraints.txt --group bench
	$(BIN)/python -m benchmarks
	$(BIN)/python tests/readme_parts.py --lists

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
