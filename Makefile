# Every target does its own set-up: it finds a CPython >= 3.13 (or takes PYTHON=), makes $(VENV),
# installs what it needs there and compiles the C core where it changed. See tools/setup.

VENV ?= .venv
ARGS ?=

setup = PYTHON="$(PYTHON)" VENV="$(VENV)" tools/setup
python = $(VENV)/bin/python
packages = $(VENV)-packages
debug = $(VENV)-debug
# Tests are shared out among a few processes; ARGS="-n 0" keeps them in one. pytest-benchmark would
# warn that it does not measure then.
shared_out = -n auto --maxprocesses 4 --dist worksteal --benchmark-disable
extras_of_packages = test packages dask joblib tqdm
c_files = $(wildcard _native/*.[ch] tests/core/*.[ch] tests/isolated/*.c bench/*.[ch])

# Without bytecode, every interpreter and program of the tests would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test test-packages stress soak bench bench-origins docs lint format types core-sanitizers asan debug-python dist clean

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20
	@echo 'PYTHON=/path/to/python3 chooses the interpreter, VENV=folder the environment;'
	@echo 'ARGS="-x -k name" goes to pytest, the benchmarks or the demo; IX_DEV=1 compiles with'
	@echo 'warnings as errors and assertions on.'

demo: ## run the main job on every executor, with a table and a chart
	@$(setup) plot
	@$(python) -m bench.demo $(ARGS)

test: ## run the test suite
	@$(setup) test
	@$(python) -m pytest tests $(shared_out) $(ARGS)

test-packages: ## run the tests against other packages, in an environment of their own
	@PYTHON="$(PYTHON)" VENV="$(packages)" tools/setup $(extras_of_packages)
	@IX_INSTALLS=1 $(packages)/bin/python -m pytest tests/packages tests/test_docs.py tests/test_shared_buffer.py $(ARGS)

stress: ## run the long tests that `make test` leaves out
	@$(setup) test
	@$(python) -m pytest tests -m slow $(ARGS)

soak: ## run tasks, executors and programs at random, and count what is lost (ARGS="--help" tells more)
	@$(setup) test
	@$(python) -m tests.soak $(ARGS)

bench: ## run the benchmarks
	@$(setup) test plot bench
	@$(python) -m bench $(ARGS)

bench-origins: ## reproduce the published experiments that started the field
	@$(setup) test
	@$(python) -m bench.origins $(ARGS)

docs: ## write docs/api.md from the docstrings
	@$(setup) test
	@$(python) tools/reference.py

lint: ## check Python and C for errors and format
	@$(setup) dev
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(if $(c_files),$(VENV)/bin/clang-format --dry-run -Werror $(c_files))

format: ## format Python and C, and repair what can be repaired
	@$(setup) dev
	@$(VENV)/bin/ruff check --fix-only
	@$(VENV)/bin/ruff format
	@$(if $(c_files),$(VENV)/bin/clang-format -i $(c_files))

types: ## check the types, and the stubs against the compiled module
	@$(setup) dev test
	@$(python) -m mypy
	@$(python) -m mypy.stubtest interp_executor._native

core-sanitizers: ## run the tests of the pure C core under ASan with UBSan, then TSan
	@$(setup) test
	@VENV="$(VENV)" tools/sanitize address core $(ARGS)
	@VENV="$(VENV)" tools/sanitize thread core $(ARGS)

asan: ## run the whole suite with the extension under ASan and UBSan
	@$(setup) test
	@VENV="$(VENV)" tools/sanitize address all $(shared_out) $(ARGS)

debug-python: ## run the suite on a debug build of CPython (PYTHON=python3.14d, of Debian's python3.14-dbg)
	@PYTHON="$(or $(PYTHON),python3.14d)" VENV="$(debug)" IX_DEV=1 tools/setup test
	@IX_LANES="$${IX_LANES:-ours}" $(debug)/bin/python -m pytest $(shared_out) tests $(ARGS)

dist: ## build the sdist and the wheel into dist/
	@$(setup) test
	@$(python) -m pip wheel --quiet --no-deps --wheel-dir dist .
	@$(python) setup.py -q sdist

clean: ## remove what the other targets made, the environment too
	rm -rf .venv .venv-* build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	rm -rf .hypothesis .benchmarks interp_executor/*.so
	find bench interp_executor tests tools -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
