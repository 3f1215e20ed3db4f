# Needs Python 3.11-3.13 and make. Every target first sets up .venv from requirements/dev.txt when it is
# missing or stale: one environment for all of them, so that `make test` after `make lab` installs nothing.

.DEFAULT_GOAL := help
.PHONY: help setup chromium lab run test study browser outputs lock students instructors

# The first suitable Python here; another one with `make lab PYTHON=/path/to/python`.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && exit; \
  done; echo python3)
# Empty for the CPU; cu118, cu126, cu129 or cu130 for Paddle's GPU build.
GPU ?=
VENV := .venv/bin

# Passed on to JupyterLab, and what it opens: make lab FOLDER=build/students shows the copies with open exercises.
OPTIONS ?=
FOLDER ?= notebooks

# The notebooks' kernel is .venv's own, even where the user has another one named python3.
export JUPYTER_PREFER_ENV_PATH := 1
export JUPYTER_PLATFORM_DIRS := 1

help:  ## Print this list
	@echo "make TARGET, with"
	@sed -n 's/^\([a-z]*\):.*## /\1@/p' Makefile | awk -F@ '{ printf "  %-12s %s\n", $$1, $$2 }'
	@echo "Run sizes: make run COURSE_RUN=quick (or class, full).  Real data: make run COURSE_DATA=folder."
	@echo "Paddle's GPU build instead of the CPU one (unmeasured): make lab GPU=cu126 (or cu118, cu129, cu130)."

setup:  ## Only set up .venv (the other targets do it by themselves)
	@$(PYTHON) tools/setup_env.py --gpu "$(GPU)"

# Not listed: what needs a browser asks for it here, and says itself what to do without one.
chromium: setup
	@$(VENV)/python tools/setup_browser.py

lab: setup  ## Open the notebooks in JupyterLab
	@echo "Opening JupyterLab on $(FOLDER)/ (Ctrl-C twice ends it)."
	@$(VENV)/python -m jupyterlab --LabApp.news_url=None $(OPTIONS) $(FOLDER)

run: setup  ## Execute every notebook into build/, with an HTML page each, and end with a table of results
	@$(VENV)/python -m tools.run_notebooks

# What needs the notebooks' fresh results, or a core of its own.
AFTER := tests/test_results.py tests/test_browser.py

test: chromium  ## Check style, then run unit tests, doctests and the notebooks against their committed outputs
	@echo "Checking style: ruff check, ruff format."
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check .
	@echo "Running unit tests and doctests on all cores, then the notebooks (nbval, strict), their results and the browser."
	@$(VENV)/python -m pytest tests helpers data_scripts -n auto --dist loadfile $(AFTER:%=--ignore=%)
	@$(VENV)/python -m pytest notebooks $(AFTER) --nbval --nbval-current-env \
	  --nbval-cell-timeout=300 --nbval-sanitize-with tests/nbval_sanitize.cfg

browser: chromium  ## Run every notebook in JupyterLab in a headless browser, move its sliders, and take screenshots
	@$(VENV)/python -m tools.browser

study: setup  ## Run the comparisons that are too long for a notebook, an hour at a time (resumable)
	@$(VENV)/python -m tools.study $(TASKS)

outputs: chromium  ## Re-run every notebook on phantoms and rewrite its committed outputs (FORCE=1: measured cells too)
	@$(VENV)/python -m tools.run_notebooks --write-outputs $(if $(FORCE),--force)

students: setup  ## Copy the notebooks into build/students/ with their exercises open
	@$(VENV)/python tools/make_students.py

instructors: setup  ## Copy them into build/instructors/ with solutions, typical wrong answers and their hints
	@$(VENV)/python tools/make_students.py --instructors

COMPILE = build/uv/bin/python -m uv pip compile -q --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-header pyproject.toml --extra cpu
lock:  ## Rewrite requirements/*.txt from pyproject.toml (for contributors; keeps the versions that still fit)
	@echo "Compiling requirements/cpu.txt and requirements/dev.txt."
	@$(PYTHON) -m venv --clear build/uv && build/uv/bin/python -m pip install -q uv
	@$(COMPILE) -o requirements/cpu.txt
	@$(COMPILE) --extra dev -o requirements/dev.txt
	@rm -r build/uv
