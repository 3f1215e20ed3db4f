"""Notebook 01 in a real JupyterLab; and toy notebooks that show each fault, so that none of the checks is idle."""

import io
import json
import os
import sys

import nbformat
import numpy as np
import pytest
from conftest import need_browser
from PIL import Image

from tools import browser as lab
from tools import headless, setup_browser
from tools.run_notebooks import PLOTLY, ROOT, tidy

FIGURE = "import plotly.graph_objects as go\ngo.Figure(go.Scatter(x=[1, 2, 3], y=[2, 1, 3]))"
SURFACE = "go.Figure(go.Surface(z=[[1, 2], [3, 1]]))"
PLOT = "import matplotlib.pyplot as plt\n_ = plt.plot([1, 2])"
SLIDER = """
import io, ipywidgets, numpy as np
from PIL import Image
def draw(level):
    file = io.BytesIO()
    Image.fromarray(np.arange(4096).reshape(64, 64).astype("uint8") // level).save(file, "PNG")
    return file.getvalue()
slider = ipywidgets.IntSlider(START, 1, 5)
image = ipywidgets.Image(value=draw(3))
slider.observe(lambda change, image=image: setattr(image, "value", draw(LEVEL)), "value")
ipywidgets.VBox([slider, image])
"""
LIVE = SLIDER.replace("LEVEL", "change['new']")
GOOD = [FIGURE, SURFACE, PLOT, LIVE.replace("START", "5"), LIVE.replace("START", "1")]  # 5: only to the left
PAGE = '<img src="http://192.0.2.1/a.png"><img src="https://data.invalid/b.png">'
BLANK = "import ipywidgets\nfrom PIL import Image\nImage.new('L', (9, 9), 255)"
BAD = [SLIDER.replace("LEVEL", "3").replace("START", "2"), f"from IPython.display import HTML\nHTML({PAGE!r})", BLANK]
BAD += ["print('no picture here')", "1 / 0", "print('never')"]


def write(folder, name, sources):
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source.strip()) for source in sources])
    tidy(nb)
    nbformat.write(nb, folder / f"{name}.ipynb")
    return nb, folder / f"{name}.ipynb"


def test_notebook_01_runs_in_jupyterlab(browser):
    path = ROOT / "notebooks" / "01_ct_3d_classification.ipynb"
    ((name, report),) = lab.prove_all([path])
    assert report.faults == []
    assert report.pictures == sum(lab.pictures_expected(nbformat.read(path, as_version=4))) > 8
    assert report.sliders >= 1
    first = np.asarray(Image.open(lab.SCREENSHOTS / f"{name}-1.png").convert("L"))
    assert first.shape == (lab.PAGE, lab.WIDTH)
    assert len(np.unique(first)) > 50


def test_faults_are_found_and_only_faults(browser, monkeypatch, tmp_path):
    prove = lab.prove
    patience = {"endless": 3}
    monkeypatch.setattr(lab, "prove", lambda a, b, path, *rest: prove(a, b, path, patience.get(path.stem, 90), rest[1]))
    monkeypatch.setattr(lab, "CHANGES", 4)
    _, endless = write(tmp_path, "endless", ["import time\ntime.sleep(600)"])
    _, good = write(tmp_path, "good", GOOD)
    nb, bad = write(tmp_path, "bad", BAD)
    picture = nbformat.v4.new_output("display_data", {"image/png": ""})
    nb.cells[3].outputs, nb.cells[3].execution_count = [picture], 4  # as committed, it showed a picture
    nbformat.write(nb, bad)
    committed = bad.read_bytes()
    reports = dict(lab.prove_all([good, endless, bad], screenshots=tmp_path / "shots"))
    assert (reports["good"].faults, reports["good"].pictures, reports["good"].sliders) == ([], 5, 2)
    assert reports["bad"].faults == [
        "cell 2 shows 0 of 2 pictures",
        "cell 3 shows 0 of 1 pictures",
        "cell 4 shows 0 of 1 pictures",
        "cell 5 shows an error: ZeroDivisionError: division by zero",
        "a slider in cell 1 changes no picture",
        "the page asked for http://192.0.2.1/a.png",
        "the page asked for https://data.invalid/b.png",
    ]
    assert reports["endless"].faults == ["the end of the last cell did not happen within 3 s"]
    assert bad.read_bytes() == committed, "the notebook itself is not touched"
    assert {path.name for path in (tmp_path / "shots").iterdir()} >= {"good-1.png", "bad-1.png"}


def test_plotly_figures_become_pictures(browser):
    import plotly.graph_objects as go

    figures = [go.Figure(go.Scatter(x=[0, 1], y=[0, k], line_color="#ff0000")).to_dict() for k in (1, -1)]
    up, down = headless.plotly_pngs([json.loads(json.dumps(figure, default=list)) for figure in figures])
    assert up != down
    for picture in (up, down):
        colours = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))
        assert colours.shape == (500, 800, 3)
        assert (colours == (255, 0, 0)).all(axis=-1).sum() > 300, "the red line"
    with pytest.raises(headless.NoBrowserError, match="could not draw"):
        headless.plotly_pngs([None])


def test_pictures_are_counted_a_cell():
    nb = nbformat.v4.new_notebook()
    shown = [{"image/png": ""}, {PLOTLY: {}, "image/png": ""}, {"text/plain": "3"}]
    outputs = [nbformat.v4.new_output("display_data", data) for data in shown]
    nb.cells = [
        nbformat.v4.new_markdown_cell(),
        nbformat.v4.new_code_cell(outputs=outputs),
        nbformat.v4.new_code_cell(),
    ]
    assert lab.pictures_expected(nb) == [2, 0]


class Log:
    """A driver's log of requests."""

    def __init__(self, *urls):
        send = [("Network.requestWillBeSent", {"request": {"url": url}}) for url in urls if url[:2] != "ws"]
        send += [("Network.webSocketCreated", {"url": url}) for url in urls if url[:2] == "ws"]
        send.append(("Network.dataReceived", {}))
        self.entries = [{"message": json.dumps({"message": {"method": m, "params": p}})} for m, p in send]

    def get_log(self, name):
        assert name == "performance"
        return self.entries


def test_only_the_own_server_may_be_asked():
    own = [
        "http://127.0.0.1:88/lab",
        "ws://127.0.0.1:88/api",
        "data:image/png;base64,eA==",
        "blob:http://127.0.0.1:88/a",
    ]
    assert lab.requests_elsewhere(Log(*own), 88) == []
    other = ["http://127.0.0.1:8/", "http://127.0.0.1:88.data.invalid/", "wss://data.invalid/", "file:///etc/hosts"]
    assert lab.requests_elsewhere(Log(*own, *other), 88) == sorted(other)


def program(folder, name, text="exit 0"):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A machine without a browser: a PATH with one empty folder."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_browser_and_driver_are_found_only_together(bare):
    assert setup_browser.find() is None
    chrome = program(bare, "google-chrome")
    assert setup_browser.find() is None
    driver = program(bare, "chromedriver")
    assert setup_browser.find() == (str(chrome), str(driver))
    assert setup_browser.find() == (str(chrome), str(driver))
    chromium = program(bare, "chromium")
    assert setup_browser.find().binary == str(chromium)


@pytest.mark.skipif(sys.platform == "win32", reason="no apt-get on Windows")
@pytest.mark.parametrize(
    ("user", "system", "installs"), [(0, "debian", True), (1000, "debian", False), (0, "ubuntu", False)]
)
def test_only_root_on_debian_gets_packages(bare, monkeypatch, capsys, user, system, installs):
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(setup_browser.platform, "freedesktop_os_release", lambda: {"ID": system})
    make = "for p in chromium chromedriver; do echo '#!/bin/sh' > $D/$p; /bin/chmod 755 $D/$p; done"
    program(bare, "apt-get", f'D={bare}; echo "$@" >> $D/calls; case "$*" in *install*) {make};; esac')
    setup_browser.main()
    said = capsys.readouterr()
    if installs:
        update, install = (bare / "calls").read_text().splitlines()
        assert update.endswith(" update")
        assert install.endswith("install -y --no-install-recommends chromium chromium-driver fonts-dejavu-core")
        assert said.out.startswith("Installing a headless browser")
        assert said.err == ""
        assert setup_browser.find() is not None
    else:
        assert not (bare / "calls").exists()
        assert said.err.strip() == setup_browser.MISSING
    monkeypatch.setattr(setup_browser, "install", lambda: pytest.fail("it is there already"))
    if installs:
        setup_browser.main()


def test_apt_get_that_fails_is_quoted(bare, monkeypatch, capsys):
    monkeypatch.setattr(setup_browser, "may_install", lambda: True)
    program(bare, "apt-get", "echo 'E: Could not resolve'; exit 100")
    setup_browser.main()
    said = capsys.readouterr().err.splitlines()
    assert said == ["apt-get could not install it: E: Could not resolve", setup_browser.MISSING]


def test_without_a_browser_tests_are_skipped_and_fail_in_ci(bare, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="install Chromium"):
        need_browser()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="install Chromium"):
        need_browser()


def test_make_browser_says_what_is_missing(bare, monkeypatch, tmp_path):
    _, path = write(tmp_path, "toy", ["1"])
    monkeypatch.setattr(sys, "argv", ["browser.py", str(path)])
    with pytest.raises(SystemExit, match="install Chromium or Chrome and a chromedriver"):
        lab.main()


def test_make_browser_ends_with_the_faults(monkeypatch, capsys):
    reports = [("01", lab.Report([], 3, 1, 9.0)), ("02", lab.Report(["cell 2 shows 0 of 1 pictures"]))]
    monkeypatch.setattr(lab, "prove_all", lambda paths: iter(reports))
    monkeypatch.setattr(sys, "argv", ["browser.py", "01.ipynb", "02.ipynb"])
    with pytest.raises(SystemExit, match=r"^\n02: cell 2 shows 0 of 1 pictures$"):
        lab.main()
    assert "01: 3 pictures drawn, 1 sliders moved, 9 s" in capsys.readouterr().out
