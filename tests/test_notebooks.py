"""Hygiene of the committed notebooks, and proof that each rule can fail.

nbval never compares a cell without an execution count, so that a notebook with its outputs stripped passes in vain:
here is asserted that every notebook was run, top to bottom, and is short, quiet and free of traces of a machine.
"""

import ast
import copy
import json
import statistics
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

from tools.run_notebooks import ROOT, output_faults, strings, tidy

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LINES, MEDIAN, LARGEST, LOOP = 120, 5, 20, 3
BYTES = 1_500_000
LAMBDA = (ast.Assign, ast.AnnAssign, ast.NamedExpr)


def code_cells(nb: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def length_faults(nb: nbformat.NotebookNode) -> list[str]:
    """At most 120 lines of code, 5 in the median cell, 20 in any; blank lines and comments are free."""
    lines = [[line.strip() for line in cell.source.splitlines()] for cell in code_cells(nb)]
    counts = [sum(1 for line in cell if line and not line.startswith("#")) for cell in lines]
    found = (sum(counts), statistics.median(counts or [0]), max(counts, default=0))
    names, limits = ("lines of code", "lines in the median cell", "lines in a cell"), (LINES, MEDIAN, LARGEST)
    return [f"{n:g} {name}" for n, name, limit in zip(found, names, limits, strict=True) if n > limit]


def code_faults(nb: nbformat.NotebookNode) -> list[str]:
    """No function, class, named lambda, long loop, `if` or trailing semicolon: notebooks call, helpers do."""
    faults = []
    for number, cell in enumerate(code_cells(nb), 1):
        if cell.source.rstrip().endswith(";"):
            faults.append(f"cell {number} ends in ';', which nbval does not honour: write _ =")
        for node in ast.walk(ast.parse(TransformerManager().transform_cell(cell.source))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                faults.append(f"cell {number} defines {node.name}")
            if isinstance(node, LAMBDA) and isinstance(node.value, ast.Lambda):
                faults.append(f"cell {number} names a lambda")
            if isinstance(node, ast.For | ast.While) and node.end_lineno - node.lineno + 1 > LOOP:
                faults.append(f"cell {number} has a loop of more than {LOOP} lines")
            if isinstance(node, ast.If):
                faults.append(f"cell {number} has an if: the run size and the like are decided in helpers")
    return faults


def form_faults(nb: nbformat.NotebookNode) -> list[str]:
    """Executed top to bottom, no metadata beyond tags and kernel, the warning at the top."""
    faults = []
    counts = [cell.execution_count for cell in code_cells(nb) if cell.source.strip()]
    if counts != list(range(1, len(counts) + 1)):
        faults.append(f"execution counts are {counts}: run `make outputs`")
    canonical = copy.deepcopy(nb)
    tidy(canonical)
    if canonical != nb:
        faults.append("metadata beyond tags and kernel python3, or a widget in the outputs: run `make outputs`")
    for number, cell in enumerate(code_cells(nb), 1):
        tags = cell.metadata.get("tags", [])
        if "measured" in tags and "nbval-ignore-output" not in tags:
            faults.append(f"cell {number} is tagged measured, so it needs the tag nbval-ignore-output as well")
    first = nb.cells[0] if nb.cells else nbformat.v4.new_raw_cell()
    if first.cell_type != "markdown" or "not for clinical use" not in first.source.lower():
        faults.append("the first cell does not say: not for clinical use")
    return faults


def all_faults(text: str) -> list[str]:
    """Every fault of a notebook file; from its text, because nbformat mends missing ids while it reads."""
    faults = [f"{len(text) / 1e6:.1f} MB is over {BYTES / 1e6} MB"] if len(text) > BYTES else []
    if not all(cell.get("id") for cell in json.loads(text)["cells"]):
        faults.append("a cell has no id: run `make outputs`")
        return faults
    nb = nbformat.reads(text, as_version=4)
    return faults + length_faults(nb) + code_faults(nb) + form_faults(nb) + output_faults(nb)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_notebook(path: Path):
    assert all_faults(path.read_text(encoding="utf8")) == []


def good() -> nbformat.NotebookNode:
    """A notebook without a fault, with one output of each kind."""
    v4 = nbformat.v4
    sources = ["import math", "for turn in range(2):\n    turn += 1\n    print(turn)", "%time math.pi", "# a comment"]
    nb = v4.new_notebook(
        cells=[v4.new_markdown_cell("# Title\nFor teaching; not for clinical use."), *map(v4.new_code_cell, sources)]
    )
    for number, cell in enumerate(code_cells(nb), 1):
        cell.execution_count = number
    nb.cells[2].outputs = [v4.new_output("stream", name="stdout", text="1\n2\n")]
    nb.cells[3].outputs = [v4.new_output("display_data", {"image/png": "/work/x", "text/plain": "<Figure>"})]
    tidy(nb)
    return nb


def test_good_notebook_has_no_fault():
    assert all_faults(json.dumps(good())) == []


def put(nb: nbformat.NotebookNode, source: str) -> None:
    nb.cells[1].source = source


def add(nb: nbformat.NotebookNode, *sources: str) -> None:
    nb.cells += [nbformat.v4.new_code_cell(source, execution_count=n) for n, source in enumerate(sources, 5)]


def show(nb: nbformat.NotebookNode, kind: str, **content: object) -> None:
    nb.cells[1].outputs = [nbformat.v4.new_output(kind, **content)]


WIDGET = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "image/png": "eA=="}
BAD = {
    "defines look": lambda nb: put(nb, "def look(scan):\n    return scan"),
    "defines Net": lambda nb: put(nb, "class Net:\n    pass"),
    "names a lambda": lambda nb: put(nb, "look = lambda scan: scan"),
    "loop of more than 3": lambda nb: put(nb, "for i in range(2):\n    i += 1\n    i += 2\n    print(i)"),
    "has an if": lambda nb: put(nb, "import os\nif os.environ.get('COURSE_RUN') == 'quick':\n    epochs = 1"),
    "ends in ';'": lambda nb: put(nb, "1 + 1;  \n"),
    "21 lines in a cell": lambda nb: put(nb, "\n".join(["x = 1"] * 21)),
    "125 lines of code": lambda nb: add(nb, *["x = 1\ny = 2"] * 60),
    "6 lines in the median": lambda nb: add(nb, *["\n".join(["x = 1"] * 6)] * 6),
    "execution counts are [1, 3": lambda nb: nb.cells[2].update(execution_count=3),
    "execution counts are [None": lambda nb: nb.cells[1].update(execution_count=None),
    "has no id": lambda nb: nb.cells[1].pop("id"),
    "metadata beyond": lambda nb: nb.cells[1].metadata.update(collapsed=True),
    "metadata beyond tags": lambda nb: nb.metadata.update(widgets={}),
    "kernel python3": lambda nb: nb.metadata.kernelspec.update(name="paddle"),
    "a widget in the outputs": lambda nb: show(nb, "display_data", data=WIDGET),
    "nbval-ignore-output": lambda nb: nb.cells[1].metadata.update(tags=["measured"]),
    "not for clinical use": lambda nb: nb.cells[0].update(source="# Title"),
    "ended in an error: ValueError": lambda nb: show(nb, "error", ename="ValueError", evalue="", traceback=[]),
    "wrote to stderr: careful": lambda nb: show(nb, "stream", name="stderr", text="careful"),
    "path of this machine": lambda nb: show(nb, "stream", name="stdout", text=f"read\n{ROOT}/scan.nii.gz"),
    "holds a path": lambda nb: show(nb, "execute_result", data={"text/plain": f"'{Path.home()}/scan'"}),
    "a path of this": lambda nb: put(nb, "open('/home/someone/scan.nii.gz')"),
    "MB is over": lambda nb: show(nb, "display_data", data={"image/png": "A" * BYTES}),
}


@pytest.mark.parametrize("words", BAD)
def test_each_rule_can_fail(words: str):
    nb = good()
    BAD[words](nb)
    faults = all_faults(json.dumps(nb))
    assert len(faults) == 1, faults
    assert words in faults[0]


def test_pictures_are_not_searched_for_paths():
    assert strings({"data": {"image/png": "/work/x", "text/plain": ["a", "b"]}, "id": "c"}) == ["a", "b", "c"]
