# make demo    watch a network learn to finish sentences, about two minutes
# make test    lint, types and the whole suite
# make check   the fast gate alone: lint, types, quick tests
# make bench   elman beside its peers, about 13 minutes; SUITE=training for one, QUICK=1 for a look
# make sanitize  the native core under the sanitisers of the compiler
# make install .venv with everything, and nothing else

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
PEERS := .venv/.peers
CORE := $(shell find csrc tests/core -name "*.h" -o -name "*.cpp")

.PHONY: install demo check lint test test-slow bench sanitize clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt CMakeLists.txt $(CORE)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "[install] Python must be 3.11 or newer; run: make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv .venv
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[train,serve,dev]' \
		--config-settings=cmake.define.ELMAN_DEV=ON
	@touch $@

demo: $(INSTALLED)
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(CORE)

# One thread a test process: two processes with two threads each on two cores wait for one another.
check test: export OMP_NUM_THREADS = 1

check: lint
	$(BIN)/pytest -q -n auto -m "not slow and not commands"

test: lint
	$(BIN)/pytest -q -n auto -m "not slow"

test-slow: $(INSTALLED)
	$(BIN)/pytest -q -m slow

sanitize: $(INSTALLED)
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh tests/core/sanitize.sh

# The peers come from the extra "bench"; one that cannot be had is named as absent.
EXTRA := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["bench"])

$(PEERS): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		$$($(BIN)/python -c '$(EXTRA)') && touch $@

bench: $(INSTALLED)
	-@$(MAKE) --no-print-directory $(PEERS)
	$(BIN)/python -m benchmarks $(SUITE) $(if $(QUICK),--quick)

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
