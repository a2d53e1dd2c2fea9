PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check bench docs clean

demo: .venv/installed
	$(BIN)/python demo.py --output_dir demo_output

test: .venv/installed-dev
	MPLBACKEND=agg $(BIN)/python -m pytest -n 2 --dist loadfile

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/installed-docs
	$(BIN)/python -m sphinx -q -W --keep-going -j 2 docs docs/_build/html

bench: .venv/installed-dev
	$(BIN)/python benchmarks/run_all.py

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, found " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv

.venv/installed: requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements.txt
	touch $@

.venv/installed-dev: requirements.txt requirements-dev.txt requirements-hdf4.txt requirements-dask.txt requirements-segmentation.txt .venv/installed
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements-dev.txt -r requirements-hdf4.txt -r requirements-dask.txt -r requirements-segmentation.txt
	touch $@

.venv/installed-docs: docs/requirements.txt requirements-sphere.txt .venv/installed
	$(BIN)/python -m pip install --disable-pip-version-check -q -r docs/requirements.txt -r requirements-sphere.txt
	touch $@

clean:
	rm -rf .venv demo_output docs/_build docs/api/generated
