# Two commands: `make serve` and `make test`. `make help` lists the others.

HOST ?= 127.0.0.1
PORT ?= 8000
WORKERS ?= 1
REGISTRY ?= var/registry
DATA ?= training/data
PYTHON ?= python3

VENV := .venv
RUN := $(VENV)/bin/python
INSTALL := $(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes
LOCK := $(RUN) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml

.PHONY: help env dev model serve retrain test coverage check format bench screenshots image lock clean

help: ## list the commands
	@sed -n 's/^\([a-z]*\):.*## /\1 — /p' Makefile

serve: model ## serve on http://$(HOST):$(PORT), with a model trained first if there is none
	exec $(RUN) -m service serve --registry "$(REGISTRY)" --host $(HOST) --port $(PORT) --workers $(WORKERS)

model: env ## train a model if the registry has none
	@test -e "$(REGISTRY)/current" || $(RUN) -m training retrain --registry "$(REGISTRY)" --data "$(DATA)"

retrain: env ## train on the passages in $(DATA); goes live unless it is worse
	$(RUN) -m training retrain --registry "$(REGISTRY)" --data "$(DATA)"

test: dev ## run every test
	$(RUN) -m pytest

coverage: dev ## run every test and say which lines none has run
	$(RUN) -m pytest --cov --cov-report=term:skip-covered

check: dev ## format, lint, types, passages
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy
	$(RUN) -m training validate training/data > /dev/null

format: dev ## format the code and mend what the linter can
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .

bench: dev model ## measure speed and memory, beside scikit-learn, fastText and a no-op route (needs wrk)
	$(RUN) tests/benchmarks/bench.py --registry "$(REGISTRY)"
	$(RUN) tests/benchmarks/serving.py --registry "$(REGISTRY)"

screenshots: dev model ## make the README's pictures anew (needs chromium)
	$(RUN) tests/screenshots.py --registry "$(REGISTRY)"

image: ## build the container image
	docker build --tag vigie .

lock: dev ## resolve the requirements anew
	$(LOCK) --output-file requirements.txt
	$(LOCK) --extra training --constraints requirements.txt --output-file requirements-training.txt
	$(LOCK) --extra cluster --constraints requirements.txt --output-file requirements-cluster.txt
	$(LOCK) --extra training --extra cluster --extra dev --extra bench --constraints requirements-training.txt --output-file requirements-dev.txt

env: $(VENV)/.env ## the environment for serving and training
dev: $(VENV)/.dev ## the environment for tests

$(VENV)/.env: requirements-training.txt
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(INSTALL) -r requirements-training.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt | $(VENV)/.env
	$(INSTALL) -r requirements-dev.txt
	@touch $@

clean: ## remove the environment and caches; the registry stays
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*
