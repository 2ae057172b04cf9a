# Two commands matter: `make demo` runs Autores on this machine, `make test` proves it.
# Nothing beyond GNU make 3.81, which is what macOS has: no .ONESHELL.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Every test process would compile Autores anew.
unexport PYTHONDONTWRITEBYTECODE

VENV ?= .venv
PYTHON := $(VENV)/bin/python
# Installed again only when what is required has changed.
STAMP := $(VENV)/.installed
BENCH_STAMP := $(VENV)/.bench-installed
# Compiled where there is a compiler; what is not there is done by Python.
ACCELERATED := $(VENV)/.accelerated
ARGS ?=
# A worker per core and one more (autores/tests/plugin.py), each with databases of its own; the
# tests of a file stay together.
PYTEST := $(PYTHON) -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# A deployment's environment with values of the right form, for `check --deploy`. No secret here.
PRODUCTION_LIKE := AUTORES_DOTENV= ENVIRONMENT=production \
	ALLOWED_HOSTS=autores.example.com \
	SECRET_KEY=$$(head -c 48 /dev/urandom | base64 | tr -d '\n') \
	TOKEN_ENCRYPTION_KEYS=$$(head -c 32 /dev/urandom | base64 | tr '+/' '-_') \
	MONGODB_URL='mongodb://db.example.com:27017/?replicaSet=rs0' \
	REDIS_URL=redis://cache.example.com:6379/0 \
	BACKEND_CORS_ORIGINS='["https://autores.example.com"]' \
	TWITTER_CALLBACK_URL=https://autores.example.com/api/v1/auth/twitter/callback \
	TWITTER_CLIENT_ID=client TWITTER_CLIENT_SECRET=client-secret OPENAI_API_KEY=key

.PHONY: help
help: ## Show what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(STAMP) ## Run everything on this machine until Ctrl-C (ARGS="--port 8001 --fresh")
	@exec $(PYTHON) -m autores.embedded demo $(ARGS)

.PHONY: test
test: $(STAMP) $(ACCELERATED) ## Run all tests, on servers of their own (ARGS="-k outbox")
	@exec $(PYTEST) $(ARGS)

.PHONY: chaos
chaos: $(STAMP) ## Break everything while it works, and check what came of it (ARGS="--size small --seed 7")
	@exec $(PYTHON) -m chaos $(ARGS)

.PHONY: install
install: $(STAMP) ## Make .venv and install what the demo, the tests and the checks need

.PHONY: accelerator
accelerator: $(STAMP) ## Compile what stores mentions faster (needs a C compiler and Python's headers)
	$(PYTHON) -m autores.mongo.accelerator

.PHONY: lint
lint: $(STAMP) ## Style, types and import rules
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy autores accounts mentions chaos
	$(VENV)/bin/lint-imports

.PHONY: format
format: $(STAMP) ## Rewrite the code in the agreed style
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

.PHONY: check
check: lint $(ACCELERATED) ## Everything that must pass before a change is merged (missing migrations: a test)
	$(PRODUCTION_LIKE) $(PYTHON) manage.py check --deploy --fail-level WARNING
	$(PYTEST) $(ARGS)

.PHONY: bench
bench: $(BENCH_STAMP) $(ACCELERATED) ## Compare the API with the former system (ARGS="--messages 100000"); minutes
	@exec $(PYTHON) -m bench.api $(ARGS)

.PHONY: clean
clean: ## Remove .venv, caches and the demo's data
	@if kill -0 "$$(cat .data/demo.lock 2>/dev/null)" 2>/dev/null; then \
		echo "The demo is running: stop it first (Ctrl-C in its terminal)." >&2; exit 1; \
	fi
	rm -f autores/mongo/_fastbson.*.so
	rm -rf $(VENV) .data .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): requirements.txt requirements-dev.txt
	@found=; \
	for version in 3.14 3.13 3.12 3.11; do \
		if python$$version -c '' 2>/dev/null; then found=python$$version; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "Autores needs Python 3.11 or newer: install python3 and python3-venv." >&2; exit 1; \
	fi; \
	if ! $(PYTHON) -m pip --version >/dev/null 2>&1; then \
		if ! $$found -c 'import venv, ensurepip' 2>/dev/null; then \
			echo "$$found cannot make virtual environments: apt-get install $$found-venv." >&2; exit 1; \
		fi; \
		echo "Making $(VENV) with $$found ..."; \
		rm -rf $(VENV) && $$found -m venv $(VENV) || exit 1; \
	fi; \
	echo "Installing requirements-dev.txt into $(VENV) ..."; \
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt && touch $@

$(ACCELERATED): $(STAMP) autores/mongo/_fastbson.c autores/mongo/accelerator.py
	@if $(PYTHON) -m autores.mongo.accelerator; then touch $@; fi

$(BENCH_STAMP): $(STAMP) requirements-bench.txt
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check -r requirements-bench.txt && touch $@
