"""The house and its floors: who may import whom, what loads without Paddle, and what no module may do."""

import ast
import importlib
import inspect
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# From the ground up. A module imports only from the steps before its own; a new one gets its place here.
FLOORS = {
    "1": "unpickle estimates stopping jpegs",
    "1, a step up": "files",
    "1, two steps up": "runtime nifti dicom_pixels",
    "1, three steps up": "dicom parallel",
    "1, four steps up": "stores",
    "2": "ct augment masks metrics overlap voxels xray archives controls duplicates patients exposures",
    "2, a step up": "headers image_folders looks multiclass anatomy axial augment_mip stacks triplets hospitals",
    "2, two steps up": "squares midline organs canvas trunk film_bones warps jitter",
    "2, three steps up": "mip skeleton bodies implants films infiltrates",
    "2, four steps up": "spines findings",
    "2, five steps up": "trunk_scans siim_flaws xray_flaws",
    "3": "localization losses residuals passports phantoms scans schedules",
    "3, a step up": "siim networks phantoms_l3 l3data radiography phantoms_siim phantoms_radiography",
    "4": "datasets samples checkpoints explain viewer l3_scans records costs sabotage_scans",
    "4, a step up": "studies pictures snapshots training rows rules film_arrays luck",
    "4, two steps up": "plots desk mip_views tissue_views row_views l3_examples charts film_panels film_samples",
    "4, three steps up": "film_views class_views report chart_parts sabotage_views",
    "4, four steps up": "views comparison_charts sabotage",
    "5": "jobs questions l3_flaws",
    "5, a step up": "ct_job l3_job exercises_l3 exercises_siim exercises_xray siim_answers xray_answers "
    "exercises_comparison",
    "5, two steps up": "siim_job xray_job siim_examples exercises",
    "5, three steps up": "tasks xray_examples",
    "5, four steps up": "judgements switches clock",
    "5, five steps up": "flaws variants",
    "5, six steps up": "prices comparison",
    "5, seven steps up": "comparison_examples",
    "6": "train predict check",
}
STEP = {module: step for step, modules in enumerate(FLOORS.values()) for module in modules.split()}
LIGHT = [module for floor, modules in FLOORS.items() if floor[0] in "12" for module in modules.split()]
DATA = """
    siim phantoms_radiography phantoms_siim localization l3data radiography scans phantoms phantoms_l3 passports
    datasets check
"""
LIGHT += DATA.split()
UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}

MODULES = sorted(path.stem for path in (ROOT / "helpers").glob("*.py") if path.stem != "__init__")
SOURCES = sorted(path for folder in ("helpers", "data_scripts", "tools") for path in (ROOT / folder).glob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf8"))


def imported(source: ast.Module) -> set[str]:
    """Every module that is imported anywhere in a source, also inside functions."""
    names = set()
    for node in ast.walk(source):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "modules are named in full, never relative"
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def test_every_module_has_a_floor():
    assert sorted(STEP) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_the_floors_below(module):
    names = imported(tree(ROOT / "helpers" / f"{module}.py"))
    own = {name.split(".")[1] for name in names if name.startswith("helpers.")} & set(STEP)
    assert [other for other in sorted(own) if STEP[other] >= STEP[module]] == []
    assert not {"tests", "tools", "data_scripts"} & {name.split(".")[0] for name in names}


def test_the_lower_floors_and_the_data_load_without_paddle():
    """In one process, one after the other, so that the first module that loads it is named."""
    lines = [
        "import importlib, sys",
        f"for name in {LIGHT}:",
        "    importlib.import_module('helpers.' + name)",
        "    assert 'paddle' not in sys.modules, name + ' loads Paddle'",
        "import helpers.training",
        "assert 'paddle' in sys.modules, 'this test could not fail'",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("module", MODULES)
def test_whatever_is_public_is_described(module):
    """Functions and classes, and the methods of classes; `forward` is described by its network."""
    loaded = importlib.import_module(f"helpers.{module}")
    silent = []
    for name, thing in vars(loaded).items():
        if name.startswith("_") or getattr(thing, "__module__", None) != loaded.__name__:
            continue
        if not (inspect.isclass(thing) or inspect.isfunction(thing)):
            continue
        # dataclass and NamedTuple write a docstring of their own, which only repeats the fields
        written = (thing.__doc__ or "").strip()
        if not written or written.startswith(f"{name}("):
            silent.append(name)
        for part, method in vars(thing).items() if inspect.isclass(thing) else ():
            method = getattr(method, "func", getattr(method, "fget", method))
            if inspect.isfunction(method) and part[0] != "_" and part != "forward" and not method.__doc__:
                silent.append(f"{name}.{part}")
    assert silent == []


@pytest.mark.parametrize("module", MODULES)
def test_a_module_opens_with_what_it_is_for_and_who_uses_it(module):
    text = ast.get_docstring(tree(ROOT / "helpers" / f"{module}.py"))
    assert "notebook" in text or "python -m" in text
    assert text.splitlines()[0].endswith((".", ":", "?", "`."))


@pytest.mark.parametrize("module", MODULES)
def test_a_module_fits_in_one_room(module):
    assert len((ROOT / "helpers" / f"{module}.py").read_text(encoding="utf8").splitlines()) <= 320


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_nothing_is_unpickled(path):
    source = tree(path)
    assert not UNPICKLERS & {name.split(".")[0] for name in imported(source)}
    for node in ast.walk(source):
        if isinstance(node, ast.keyword):
            assert node.arg != "allow_pickle"
        if (
            isinstance(node, ast.Attribute)
            and node.attr in ("load", "read_pickle")
            and isinstance(node.value, ast.Name)
        ):
            assert (node.value.id, node.attr) not in (("paddle", "load"), ("torch", "load"), ("pd", "read_pickle"))


def test_the_size_of_the_run_and_the_data_folder_are_read_in_one_place():
    readers = set()
    for path in SOURCES:
        for node in ast.walk(tree(path)):
            # tools/ sets both for the kernels that it starts: keys of a dictionary, not reads
            text = [node.args[0]] if isinstance(node, ast.Call) and node.args else []
            text += [node.slice] if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) else []
            values = {part.value for part in text if isinstance(part, ast.Constant)}
            readers.update((path.stem, name) for name in values & {"COURSE_RUN", "COURSE_DATA"})
    assert readers == {("runtime", "COURSE_RUN"), ("runtime", "COURSE_DATA")}
