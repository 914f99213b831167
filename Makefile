# Every target sets up what it needs; nothing is expected but git, make and Python 3.11 or later.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: demo test bench lint lock schema clean

demo: $(VENV)/.ready
	$(BIN)/python -m examples.demo $(if $(KEEP),--keep)

test: $(VENV)/.ready lint
	$(BIN)/pytest -n auto --dist worksteal

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

bench: $(VENV)/.ready
	$(BIN)/python -m benchmarks

# After a change of pyproject.toml: pin everything again, with hashes and no index address.
lock: $(BIN)/uv
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --extra dev \
	  --python-version 3.11 pyproject.toml -o requirements.lock

schema: $(VENV)/.ready
	$(BIN)/python -m specs.schema > specs/ml-pipeline.schema.json

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q "$$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements.lock | grep . || echo uv)"

$(VENV)/.ready: requirements.lock pyproject.toml | $(BIN)/uv
	$(BIN)/uv pip sync -q --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps -e .
	touch $@

clean:
	rm -rf $(VENV) .demo
