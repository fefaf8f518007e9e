# make setup   install into .venv            make test    the test suite
# make demo    the whole way, then serve it  make lint    format, lint, import rules, types

# The Python, at least 3.11, to make .venv with
PYTHON ?= python3
# The demo's service: its port, and 0 to stop before it
PORT ?= 3000
SERVE ?= 1
# The demo's training, thousands of images
KIMG ?= 8
# Processes that share the tests
WORKERS ?= 2

UV_VERSION := 0.13.8
PY := .venv/bin/python
# A copy of the lock file that .venv holds
INSTALLED := .venv/installed.lock
DEMO_MODEL := demo/drawn-cats

export BENTOML_DO_NOT_TRACK := True
# A thread that waits leaves its core to others: spinning makes training several times slower on a busy machine
export OMP_WAIT_POLICY ?= passive

.PHONY: setup install lock demo port test test-long lint bench clean
.NOTPARALLEL:

setup:
	@$(PY) -c '' 2>/dev/null && cmp -s requirements.lock $(INSTALLED) || $(MAKE) --no-print-directory install

install:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1 || echo not there). Name another: make PYTHON=python3.12 ..."; \
	    exit 1; }
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	.venv/bin/uv pip sync --python $(PY) --require-hashes requirements.lock
	@# the commands work from any folder: .venv/bin/python -m data_prep ...
	@echo "$(CURDIR)" > "$$($(PY) -c 'import site; print(site.getsitepackages()[0])')/crescendo.pth"
	@cp requirements.lock $(INSTALLED)

# Pin anew what pyproject.toml asks for; what is pinned and fits stays. Append --upgrade to renew all.
lock: setup
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --group dev --generate-hashes \
	    --no-emit-index-url --no-header pyproject.toml -o requirements.lock

# --- the demo: every step is a command that can be repeated by hand; one that is complete is not done again

SHIPPED = $(patsubst %/config.json,%,$(wildcard models/pretrained/*/config.json))
empty :=
comma := ,

demo: | setup port $(DEMO_MODEL)
	@echo
	@echo "Look at  demo/data/report.html  what was prepared from demo/photos"
	@echo "         demo/run/samples       how the pictures came about: 36 seeds at every resolution"
	@echo "         $(DEMO_MODEL)        the model, with its card and figures"
	@echo "All of it is kept, and the next make demo begins here. To start afresh: make clean"
ifneq ($(SERVE),0)
	@echo; echo "# 6. Serve at http://localhost:$(PORT) (another port: make demo PORT=8080; Ctrl-C stops)"
	CRESCENDO_MODELS=$(subst $(empty) $(empty),$(comma),$(strip $(SHIPPED) $(DEMO_MODEL))) .venv/bin/bentoml serve --port $(PORT)
endif

# Before the work, not after it
port: | setup
ifneq ($(SERVE),0)
	@$(PY) -c 'import socket; socket.create_server(("", $(PORT)))' 2>/dev/null || { \
	    echo "Port $(PORT) is in use, or no port. Take another: make demo PORT=8080"; exit 1; }
endif

demo/photos: | setup
	@echo; echo "# 1. Draw a sample of cat portraits with annotations"
	@rm -rf demo/.photos.*
	$(PY) -m data_prep synthesize $@ --count 400 --size 256

demo/data/manifest.json: | demo/photos
	@echo; echo "# 2. Crop the faces and store them at every resolution from 4x4 to 64x64"
	$(PY) -m data_prep prepare demo/photos demo/data --size 64 --align cat$(if $(wildcard demo/data/UNFINISHED), --replace)

demo/trained: | demo/data/manifest.json
	@echo; echo "# 3. Train a small MSG-GAN at 32x32 for a minute or two (Ctrl-C saves; make demo goes on)"
	@[ -f demo/run/run.json ] || rm -rf demo/run
	$(PY) train.py --recipe msg-gan-cpu --data demo/data --out demo/run --kimg $(KIMG) \
	    --resolution 32 --widths 64 64 64 32 --batch 8 --r1 0.5 0.1 --ema-half-life 0.5 \
	    --log-every 0.5 --snapshot-every 0.5 --checkpoint-every 1$(if $(wildcard demo/run/run.json), --resume)
	@touch $@

demo/run/evaluation.json: | demo/trained
	@echo; echo "# 4. Measure how far the pictures are from the real ones (here: the drawn ones)"
	$(PY) -m evaluation demo/run --data demo/data --samples 128

$(DEMO_MODEL): | demo/run/evaluation.json
	@echo; echo "# 5. Export the model"
	$(PY) -m training.export demo/run $@ --data-note "Drawings, not photographs (python -m data_prep synthesize)."

# --- checks

# One thread a process, for WORKERS processes share the cores
test: setup
	OMP_NUM_THREADS=1 $(PY) -m pytest -m "not long" -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# What needs more time than `make test` has
test-long: setup
	$(PY) -m pytest -m long

lint: setup
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/lint-imports
	.venv/bin/mypy

bench: setup | demo/data/manifest.json
	$(PY) -m benchmarks.store demo/data
	$(PY) -m benchmarks.serving
	OMP_NUM_THREADS=1 $(PY) -m benchmarks.training overhead --data demo/data
	OMP_NUM_THREADS=1 $(PY) -m benchmarks.training eager
	$(PY) -m benchmarks.training ranks --data demo/data --repeats 3

# All that was made but .venv, your runs/ and your data/.
clean:
	rm -rf demo .mypy_cache .pytest_cache .ruff_cache
	find . -name .venv -prune -o -name __pycache__ -type d -exec rm -rf {} +
