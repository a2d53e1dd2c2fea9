PYTHON ?= python3
BIN := .venv/bin
# The versions of requirements.txt, for what the extras of pyproject.toml ask for.
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -q -c requirements.txt
LOCK := .venv-lock/bin/python -m pip --disable-pip-version-check -q
LOWEST := .venv-lowest/bin/python -m pip --disable-pip-version-check -q
TORCH := 2.13.0

.PHONY: demo test thorough test-browser quick check docs bench lock lowest clean

demo: .venv/installed
	$(BIN)/python demo.py --output_dir demo_output

test: .venv/installed-dev
	MPLBACKEND=agg $(BIN)/python -m pytest -n 2 --dist loadfile

thorough: .venv/installed-dev
	MPLBACKEND=agg $(BIN)/python -m pytest -n 2 --dist loadfile --thorough

quick: .venv/installed-dev
	MPLBACKEND=agg $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

# The page of browse.py in the system's Chromium.
test-browser: .venv/installed-dev
	$(INSTALL) -e ".[browser-tests]"
	MPLBACKEND=agg $(BIN)/python -m pytest tests/browser

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/installed-docs
	$(BIN)/python -m sphinx -q -W --keep-going -j 2 docs docs/_build/html

bench: .venv/installed-dev
	$(BIN)/python benchmarks/run_all.py

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, found " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv

.venv/installed: requirements.txt pyproject.toml | .venv/bin/python
	$(INSTALL) -e ".[train,maps,amsr2]"
	touch $@

.venv/installed-dev: .venv/installed
	$(INSTALL) -e ".[dev]"
	touch $@

.venv/installed-docs: .venv/installed
	$(INSTALL) -e ".[docs]"
	touch $@

# The newest versions that fit together, but for torch.
lock:
	$(PYTHON) -m venv .venv-lock
	$(LOCK) install torch==$(TORCH) ".[dev,docs]"
	grep '^#' requirements.txt > .venv-lock/requirements.txt
	$(LOCK) freeze --all --exclude pip --exclude seaice-toolbox | sed 's/+cpu$$//' >> .venv-lock/requirements.txt
	mv .venv-lock/requirements.txt requirements.txt
	rm -rf .venv-lock

# The quick tests with the lower bounds of pyproject.toml. Three warnings of that age are no faults: pyproj
# and rioxarray try what numpy deprecates, and netCDF4 was built with a newer numpy.
lowest:
	$(PYTHON) -m venv .venv-lowest
	grep -oE '"[A-Za-z0-9_-]+>=[0-9][^"]*"' pyproject.toml | tr -d '"' | sed 's/>=/==/' > .venv-lowest/lowest.txt
	$(LOWEST) install -c .venv-lowest/lowest.txt -e ".[all]" \
		hypothesis pytest pytest-randomly pytest-timeout pytest-xdist rioxarray
	MPLBACKEND=agg .venv-lowest/bin/python -m pytest -n 2 --dist loadfile -m "not slow" \
		-W "ignore:Conversion of an array with ndim:DeprecationWarning" \
		-W "ignore:string or file could not be read:DeprecationWarning" \
		-W "ignore:numpy.ndarray size changed:RuntimeWarning"

clean:
	rm -rf build .venv .venv-lock .venv-lowest demo_output docs/_build docs/api/generated
