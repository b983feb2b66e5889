# Two commands: `make demo` and `make test`. Each sets up .venv by itself and is safe to run again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RUN := runs/embedded

.PHONY: demo test lint types clean

demo: $(READY)
	$(BIN)/python -m train --config configs/embedded.yaml --resume
	$(BIN)/python -m train.evaluate $(RUN) --split test
	$(BIN)/rasd predict data/sample_article.txt --model $(RUN)/model --table

test: $(READY)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

# torch comes first, in the pinned version: its CPU build is enough everywhere.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "rasd needs Python 3.11 or newer; set PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade-strategy only-if-needed $$(grep '^torch==' constraints.txt)
	$(BIN)/python -m pip install --quiet --editable '.[train,report,offline,onnx,openvino,dev]' --constraint constraints.txt
	touch $@

clean:
	rm -rf $(VENV) runs
