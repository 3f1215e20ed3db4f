"""tools/run_notebooks.py on toy notebooks: results, failures in a sentence, outputs that are the same twice."""

import base64
import io
import os
import sys
from dataclasses import replace

import nbformat
import numpy as np
import pytest
from PIL import Image

from helpers import passports
from tools import run_notebooks, setup_browser

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course in a folder of its own: a function that adds a notebook, and runs over all of them."""
    for name in ("notebooks", "build/passports"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(run_notebooks, "ROOT", tmp_path)
    monkeypatch.setattr(run_notebooks, "BUILD", tmp_path / "build")
    monkeypatch.setattr(run_notebooks, "PASSPORTS", tmp_path / "build" / "passports")
    monkeypatch.setattr(run_notebooks, "NO_DATA", tmp_path / "build" / "no-real-data")
    return tmp_path


def add(course, name, *sources, tags=()):
    """Write a notebook of code cells; the last one gets the tags."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    cells[-1].metadata["tags"] = list(tags)
    path = course / "notebooks" / f"{name}.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def run(monkeypatch, *arguments):
    """Call the program; return what it says at the end, or "" if all went well."""
    monkeypatch.setattr(sys, "argv", ["run_notebooks.py", *arguments])
    try:
        run_notebooks.main()
    except SystemExit as end:
        return str(end.code)
    return ""


def passport(value=0.97):
    interval = None if value is None else (0.9, 0.99)
    facts = {"published": None, "data": "phantom", "data_hash": "d1", "split_hash": "5e", "seed": 0, "run": "quick"}
    facts |= {"device": "cpu", "versions": {}, "seconds_per_step": None, "minutes": None, "peak_memory_gb": None}
    figures = {"value": value, "interval": interval, "counts": (None, 60), "baseline": ("always-majority", 0.5)}
    return passports.Passport(task="ct", metric="ROC AUC", **figures, **facts)


def test_run_reports_results_and_goes_on_after_a_failure(course, monkeypatch, capsys):
    ready = passports.write(passport(), course / "ready.json")
    passports.write(passport(0.1), course / "build" / "passports" / "l3-quick.json")
    os.utime(course / "build" / "passports" / "l3-quick.json", (1, 1))
    add(course, "01_breaks", "values = {}", "values['scan\\n3']", "print('never')")
    hoard = "hoard = bytearray(300_000_000)"
    add(
        course, "02_works", hoard, f"import shutil\n_ = shutil.copy({str(ready)!r}, '../build/passports/ct-quick.json')"
    )

    said = run(monkeypatch)

    assert said.strip() == "01_breaks: code cell 2 raised KeyError: 'scan\\n3'"
    *_, breaks, works = [line for line in capsys.readouterr().out.splitlines() if line.startswith("0")]
    assert breaks.split()[:2] == ["01_breaks", "failed"]
    for part in ("ROC AUC 0.97", "0.90 to 0.99", "always-majority 0.50", "phantom, quick"):
        assert part in works, works
    assert 0.3 < float(works.split()[-2]) < 2, "peak memory in GB"
    executed = nbformat.read(course / "build" / "01_breaks.ipynb", as_version=4)
    assert [cell.execution_count for cell in executed.cells] == [1, 2, None]
    assert executed.cells[1].outputs[0].ename == "KeyError"
    assert "KeyError" in (course / "build" / "01_breaks.html").read_text(encoding="utf8")


def test_dead_kernel_is_one_sentence(course, monkeypatch, capsys):
    add(course, "01_dies", "1", "import os", "os._exit(9)")
    assert "01_dies: the kernel died in code cell 3" in run(monkeypatch)
    assert "unknown" in capsys.readouterr().out.splitlines()[-1]


def test_tampered_passport_is_refused(course, monkeypatch):
    text = passports.write(passport(), course / "ready.json").read_text(encoding="utf8").replace("0.97", "0.99")
    (course / "ready.json").write_text(text, encoding="utf8")
    copy = f"import shutil\n_ = shutil.copy({str(course / 'ready.json')!r}, '../build/passports/ct-quick.json')"
    add(course, "01_cheats", copy)
    assert "ct-quick.json: it was changed after it was written" in run(monkeypatch)


def test_run_size_and_data_pass_through_but_outputs_are_quick_phantoms(course, monkeypatch):
    monkeypatch.setenv("COURSE_RUN", "class")
    monkeypatch.setenv("COURSE_DATA", "real")
    ask = "import os\nprint(os.environ['COURSE_RUN'], os.path.basename(os.environ['COURSE_DATA']))"
    path = add(course, "01_asks", ask)
    assert run(monkeypatch) == ""
    built = nbformat.read(course / "build" / path.name, as_version=4)
    assert built.cells[0].outputs[0].text == "class real\n"
    assert nbformat.read(path, as_version=4).cells[0].outputs == []
    assert run(monkeypatch, "--write-outputs") == ""
    assert nbformat.read(path, as_version=4).cells[0].outputs[0].text == "quick no-real-data\n"
    assert list((course / "build" / "no-real-data").iterdir()) == []


def test_outputs_are_the_same_twice_and_measured_cells_are_kept(course, monkeypatch):
    figure = "import matplotlib.pyplot as plt\n_ = plt.plot([1, 2])"
    sets = "print({'lung', 'bone', 'air'})\nprint('again')"
    path = add(course, "01_stable", figure, sets, "import time; print(time.time_ns())", tags=["measured"])
    assert run(monkeypatch, "--write-outputs") == ""
    first = path.read_bytes()
    assert run(monkeypatch, "--write-outputs") == ""
    assert path.read_bytes() == first
    nb = nbformat.read(path, as_version=4)
    assert [cell.execution_count for cell in nb.cells] == [1, 2, 3]
    assert "image/png" in nb.cells[0].outputs[0].data
    assert len(nb.cells[1].outputs) == 1, "lines of one stream stand together"
    assert run(monkeypatch, "--write-outputs", "--force") == ""
    assert path.read_bytes() != first


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import sys\nprint('careful', file=sys.stderr)", "code cell 2 (import sys) wrote to stderr: careful"),
        ("import os\nprint(os.getcwd())", "code cell 2 (import os) holds a path of this machine"),
        ("1 / 0", "code cell 2 raised ZeroDivisionError: division by zero"),
    ],
)
def test_outputs_not_fit_to_commit_are_refused(course, monkeypatch, source, words):
    path = add(course, "01_loud", "1 + 1", source)
    before = path.read_bytes()
    assert words in run(monkeypatch, "--write-outputs")
    assert path.read_bytes() == before


def test_tidy_keeps_tags_and_the_picture():
    data = {"image/png": PNG, run_notebooks.WIDGET: {"model_id": "1"}, "text/plain": "SliceViewer"}
    cell = nbformat.v4.new_code_cell(metadata={"tags": ["measured"], "collapsed": True})
    cell.outputs = [nbformat.v4.new_output("display_data", data), nbformat.v4.new_output("stream", text="a")]
    kernel = {"name": "gpu", "display_name": "GPU"}
    nb = nbformat.v4.new_notebook(cells=[cell], metadata={"widgets": {}, "kernelspec": kernel})
    run_notebooks.tidy(nb)
    assert nb.cells[0].metadata == {"tags": ["measured"]}
    assert nb.cells[0].outputs[0].data.keys() == {"image/png", "text/plain"}
    assert nb.cells[0].outputs[1].text == "a"
    assert nb.metadata.keys() == {"kernelspec", "language_info"}
    assert nb.metadata.kernelspec.name == "python3"


def test_a_plotly_figure_gets_a_picture_the_same_twice(browser, course, monkeypatch):
    source = "import plotly.graph_objects as go\ngo.Figure(go.Scatter(x=[0, 1], y=[0, 1], line_color='#ff0000'))"
    path = add(course, "01_chart", source, "1 + 1")
    assert run(monkeypatch, "--write-outputs") == ""
    first = path.read_bytes()
    nb = nbformat.read(path, as_version=4)
    data = nb.cells[0].outputs[0].data
    assert run_notebooks.PLOTLY in data
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB"))
    assert (picture == (255, 0, 0)).all(axis=-1).sum() > 300, "the red line is in the picture"
    assert run_notebooks.output_faults(nb) == []
    assert run(monkeypatch, "--write-outputs") == ""
    assert path.read_bytes() == first
    del data["image/png"]
    assert "plotly figure without a PNG" in run_notebooks.output_faults(nb)[0]


def test_without_a_browser_a_plotly_figure_is_not_written_and_the_rest_is(course, monkeypatch):
    monkeypatch.setattr(setup_browser, "find", lambda: None)
    path = add(course, "01_chart", "import plotly.graph_objects as go\ngo.Figure()")
    plain = add(course, "02_plain", "1 + 1")
    before = path.read_bytes()
    said = run(monkeypatch, "--write-outputs")
    assert said.strip().startswith("01_chart: not written: No browser is here for the notebooks: install Chromium")
    assert path.read_bytes() == before
    assert nbformat.read(plain, as_version=4).cells[0].execution_count == 1


def test_passports_are_committed_once_and_rewritten_for_another_result(course, monkeypatch):
    ready = course / "ready.json"
    copy = "import shutil\n_ = shutil.copy('../ready.json', '../build/passports/ct-quick-phantom.json')"
    add(course, "01_writes", copy)
    place = course / "notebooks" / "passports" / "ct-quick-phantom.json"

    def committed(result, *arguments):
        passports.write(result, ready)
        assert run(monkeypatch, "--write-outputs", *arguments) == ""
        return passports.read(place)

    first = committed(replace(passport(), minutes=1.0))
    assert first.minutes == 1.0
    before = place.read_bytes()
    assert committed(replace(passport(), minutes=2.0, seconds_per_step=0.1, peak_memory_gb=3.0)) == first
    assert place.read_bytes() == before
    assert committed(replace(passport(), minutes=2.0), "--force").minutes == 2.0
    better = committed(replace(passport(0.98), minutes=3.0))
    assert (better.value, better.minutes) == (0.98, 3.0)
    place.write_text(place.read_text(encoding="utf8").replace("0.98", "0.99"), encoding="utf8")
    assert "it was changed after it was written" in run(monkeypatch, "--write-outputs")
