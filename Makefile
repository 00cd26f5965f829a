# Everything here needs Python 3.11 or newer and make, nothing else; what it installs goes into .venv.

PYTHON ?= $(shell for p in python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
DEMO := $(CURDIR)/demo
SIGNUPS ?= 10000

QUEUES := sqlite://$(DEMO)/queues.db?topic=
RUN := $(BIN)/python pipelines/new_user_signup.py \
	--signups '$(QUEUES)signups&group=new_user_signup' \
	--confirmations '$(QUEUES)confirmations&group=new_user_signup' \
	--output '$(QUEUES)' --dead_letters '$(QUEUES)dead_letters' --mail '$(DEMO)/outbox'
# Type checkers find the package of a strict editable install only, which has a link for each file that it knows.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --config-settings editable_mode=strict --editable
PYTEST := $(BIN)/python -m pytest --dist loadgroup
FOLDERS := $(shell find transforms pipelines testing -type d -not -name __pycache__)
GENERATE := $(BIN)/python examples/signups.py --count $(SIGNUPS) --confirmations '$(QUEUES)confirmations'

.DEFAULT_GOAL := help
.PHONY: help demo test check lint bench servers templates clean

help: ## Show the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/installed ## Run the sign-up flow on 10,000 generated sign-ups, three times (SIGNUPS=500 for fewer)
	@rm -rf '$(DEMO)' && mkdir -p '$(DEMO)'
	@echo '== $(SIGNUPS) people sign up; most confirm, some of what they send is broken'
	@$(GENERATE) --signups '$(QUEUES)signups'
	@echo; echo '== run 1: verification mails, welcome mails, subscriptions, dead letters'
	@$(RUN)
	@echo; echo '== run 2, at once: nothing to do'
	@$(RUN)
	@echo; echo '== late confirmations arrive'
	@$(GENERATE) --late
	@echo; echo '== run 3: those who had to wait are welcomed'
	@$(RUN)
	@echo; echo 'The mails are a Maildir: mutt -f demo/outbox, or any mail program. The queues are one SQLite file.'

test: $(VENV)/installed-dev ## Run all tests; what they need is installed first
	@$(PYTEST) -n 3 --no-loadscope-reorder --reruns 1 --rerun-except AssertionError -rR $(TESTS)

check: lint ## Run lint, and the tests that need no server and are fast
	@$(PYTEST) -n 2 -q -m 'not integration' $(TESTS)

lint: $(VENV)/installed-dev ## Check style and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: $(VENV)/installed-dev ## Measure the batch path against plain Beam
	@for file in $(filter-out bench/kafka_bytewax.py bench/kafka_loop.py bench/soak.py,$(wildcard bench/*.py)); do echo "== $$file"; $(BIN)/python -m bench.$$(basename $$file .py) || exit 1; done

servers: $(VENV)/installed-dev ## Start Kafka and a Flink cluster, until Ctrl-C, and say what sends a pipeline there
	@$(BIN)/python -m tests.servers

templates: $(VENV)/installed ## Write templates/*.json, providers.yaml and their docs from what is declared
	@$(BIN)/python -m beam_patterns.pipelines.cli.templates

clean: ## Remove the virtual environment, the demo and caches
	rm -rf $(VENV) demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@test -n '$(PYTHON)' || { echo 'beam-patterns needs Python 3.11 or newer; there is none on the PATH' >&2; exit 1; }
	@echo 'making $(VENV) with $(PYTHON)'
	@$(PYTHON) -m venv $(VENV) || { echo 'python -m venv failed; on Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }

$(VENV)/installed: $(VENV)/bin/python setup.py $(FOLDERS)
	@echo 'installing beam-patterns into $(VENV)'
	@$(INSTALL) .
	@touch $@

$(VENV)/installed-dev: $(VENV)/bin/python setup.py $(FOLDERS)
	@echo 'installing beam-patterns and the tools for its tests into $(VENV)'
	@$(INSTALL) '.[dev,fast]'
	@touch $@ $(VENV)/installed
