# Needs only make and some Python >= 3.8 with pip; scripts/bootstrap.sh gets the rest, once. `make help` lists targets.
.DEFAULT_GOAL := help
.PHONY: help setup setup-test run test test-full lint types format docs lock bench clean
SHELL := /bin/sh

# Without stored bytecode every process compiles JAX's sources anew: 20 seconds each instead of 8.
unexport PYTHONDONTWRITEBYTECODE

# make setup EXTRAS="gpu brax"
EXTRAS ?=
# Test processes: `logical` is one a core. make test WORKERS=0 PYTEST_ARGS="-k ppo -x"
WORKERS ?= logical
PYTEST_ARGS ?=
# A file's tests stay in one process: they share compiled functions and module fixtures.
PYTEST = .venv/bin/python -m pytest --numprocesses $(WORKERS) --maxprocesses 8 --dist loadfile $(PYTEST_ARGS)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' Makefile

setup: ## build .venv from requirements.lock (and EXTRAS="gpu brax ...")
	@scripts/bootstrap.sh $(EXTRAS)

setup-test:
	@scripts/bootstrap.sh test

run: setup ## train PPO on CartPole with 32 seeds at once
	.venv/bin/jaxrl train ppo CartPole-v1 --seeds 32 --below 475

test: lint types ## lint, types, notebooks, and every test that is not slow
	$(PYTEST) -m "not slow"

test-full: lint types docs ## every test, with all extras, and the documentation
	@scripts/bootstrap.sh brax docs games tensorboard test
	$(PYTEST)

lint: setup-test ## ruff's rules and format
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types: setup-test ## type checker
	.venv/bin/pyrefly check

format: setup-test ## put code into ruff's format
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

docs: ## build the documentation into build/docs, without network
	@scripts/bootstrap.sh docs
	.venv/bin/python -m sphinx --quiet --fail-on-warning --keep-going docs build/docs
	@echo build/docs/index.html

lock: ## compile the locks from pyproject.toml (UPGRADE=--upgrade takes the newest versions)
	scripts/lock.sh $(UPGRADE)

bench: setup ## speed and memory, beside peers in environments of their own
	UV=$(CURDIR)/.tools/bin/uv .venv/bin/jaxrl bench

clean: ## remove all that make builds again; runs/ stays
	rm -rf .venv .tools .pytest_cache .ruff_cache .hypothesis benchmarks/.envs build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
