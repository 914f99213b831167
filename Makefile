# Every target sets up what it needs; nothing is expected but git, make and Python 3.11 or later.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: demo test simulate test-s3 test-spark kubernetes test-kubernetes test-image test-crashes bench lint lock schema \
  manifests docs github-double clean

demo: $(VENV)/.ready
	$(BIN)/python -m examples.demo $(if $(KEEP),--keep) $(if $(BUCKET),--bucket $(BUCKET)) \
	  $(if $(ENGINE),--engine $(ENGINE))

test: $(VENV)/.ready lint
	$(BIN)/pytest -n auto --dist worksteal

# The whole controller in a simulated world: 10,000 schedules. SEED=17 plays that one alone.
simulate: $(VENV)/.ready
	$(if $(SEED),SEED=$(SEED)) SCHEDULES=$(or $(SCHEDULES),10000) $(BIN)/pytest tests/simulation \
	  -k good_end -n auto --dist worksteal

# A controller killed wherever it saves or applies, over PostgreSQL: of these, `test` has a few.
test-crashes: $(VENV)/.ready
	CRASHES=all $(BIN)/pytest tests/crash -n auto --dist worksteal

# Object stores on real servers: radosgw, rclone, Azurite; OBJECTS=1000000 for the large listing.
test-s3: $(VENV)/.ready
	sh tests/integration/set-up.sh $(CURDIR)/$(VENV)
	$(if $(OBJECTS),OBJECTS=$(OBJECTS)) $(BIN)/pytest -m s3 tests/integration -n 2 --dist loadfile

# The programs of a real Kubernetes: built once, in ten minutes, and kept in ~/.cache.
kubernetes: $(VENV)/.ready
	sh tests/integration/kubernetes/build.sh $$($(BIN)/python -m tests.servers.kubernetes.programs)

# A real Kubernetes of one node, started for the tests.
test-kubernetes: kubernetes
	$(BIN)/pytest -m kubernetes tests/integration/kubernetes

# The image, built on a Debian of its own, which is made once and kept in ~/.cache; and run.
test-image: $(VENV)/.ready
	sh tests/integration/image/base.sh
	$(BIN)/pytest -m image tests/integration/image -n 0

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

# Great Expectations on Spark: pyspark in a folder of its own, as it is half a gigabyte; and Java.
test-spark: $(VENV)/.ready
	test -d .spark/pyspark || $(BIN)/uv pip install -q --target .spark --no-deps --require-hashes \
	  --python $(BIN)/python -r tests/validators/data/spark/pyspark.txt
	PYTHONPATH=$(CURDIR)/.spark $(BIN)/pytest -m spark -n 0

bench: $(VENV)/.ready
	$(BIN)/python -m benchmarks

# After a change of pyproject.toml: pin everything again, with hashes and no index address.
lock: $(BIN)/uv
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --extra dev \
	  --python-version 3.11 pyproject.toml -o requirements.lock

schema: $(VENV)/.ready
	$(BIN)/python -m specs.schema > specs/ml-pipeline.schema.json

# What is made from the chart: the settings in its schema, its table of values, plain manifests.
manifests: $(VENV)/.ready
	$(BIN)/python -m tests.deploy.chart

# The page of the spec is made of the models; then the site, in .site.
docs: $(VENV)/.ready
	$(BIN)/python -m specs.docs.reference > docs/spec.md
	$(BIN)/python -m specs.docs.metric_table docs/model-gate.md
	$(BIN)/python -m controller.telemetry.catalogue docs/operations.md
	$(BIN)/python -m tests.docs.architecture
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

# What a bare machine may lack is named with its fix; all that is installed is checked by hash.
$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Headgate needs Python 3.11 or later. If it has another name: make PYTHON=python3.12"; exit 1; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv."; \
	  echo "Or name a Python that can: make PYTHON=/path/to/python3"; exit 1; } >&2
	$(PYTHON) -m venv $(VENV)
	sed -n '/^uv==/,/^ *# via/p' requirements.lock > $(VENV)/uv.txt
	$(BIN)/python -m pip install -q --require-hashes -r $(VENV)/uv.txt

$(VENV)/.ready: requirements.lock pyproject.toml | $(BIN)/uv
	$(BIN)/uv pip sync -q --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q specs validators deployers controller
	touch $@

# A GitHub to try the product on: it keeps state, and refuses what GitHub refuses.
github-double: $(VENV)/.ready
	$(BIN)/python -m tests.doubles.github $(if $(REPOSITORY),--repository $(REPOSITORY)) \
	  $(if $(WEBHOOK),--webhook $(WEBHOOK))

clean:
	rm -rf $(VENV) .demo .site
