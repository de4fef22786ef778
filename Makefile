# Two commands do everything on a machine with python3 and a package index: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

# Every program that the tests start would compile all that it imports anew: 2.4 s for JAX alone.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint types check docs links dist clean

# Trains a small network on invented birds, and explains one of them beside two photos.
demo: .venv/ready
	$(BIN)/python experiments/train.py experiment=synthetic_birds_fast
	$(BIN)/galore demo --trained outputs/training/synthetic_birds-small_cnn-seed0 \
		--birds data/synthetic_birds-20x150-96px-seed0
	@echo 'galore is installed in .venv; to have it on the path: source .venv/bin/activate'

test: .venv/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal -q

lint: .venv/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/ready
	$(BIN)/pyright

check: test lint types

# The site in build/site; its notebooks run the commands of .venv, and what one compiled the next one finds.
docs: .venv/ready
	PATH="$(CURDIR)/$(BIN):$$PATH" JAX_COMPILATION_CACHE_DIR=$(CURDIR)/build/compiled JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 \
		TTY_COMPATIBLE=0 $(BIN)/python -m sphinx -W --keep-going -c docs/site . build/site

# Asks every address outside that the pages name; not part of CI, which reaches none.
links: .venv/ready
	$(BIN)/python -m sphinx -c docs/site -b linkcheck -D nb_execution_mode=off . build/links

# The wheel and the source distribution, in dist/.
dist: .venv/ready
	$(BIN)/python -m build

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("galore needs Python 3.11 or newer, this is " + sys.version) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	# Python compiles what is imported, a small part of what is installed: not to do it here halves the time.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[weights,experiments,test,lint,docs]'
	# Carries axe-core, by which the tests look at pages; the browsers that it wants are not needed.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps axe-playwright-python==0.1.8
	touch $@

clean:
	rm -rf .venv
