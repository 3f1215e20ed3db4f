"""Prove the notebooks in a real JupyterLab: headless Chromium runs them as a student would.

    python -m tools.browser                make browser: each notebook, on phantoms in quick size

It runs all cells, moves every slider by keyboard, and refuses errors, pictures that are not drawn, sliders that change
no picture, and requests to another machine. Screenshots go into build/screenshots/. Name notebooks to take only those.
"""

import argparse
import base64
import json
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import nbformat
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tools.headless import PAGE, WIDTH, NoBrowserError, chrome
from tools.run_notebooks import BUILD, NO_NETWORK, PLOTLY, ROOT, kernel_environment, progress

Answer = TypeVar("Answer")

SCREENSHOTS = BUILD / "screenshots"
OPENS, CHANGES = 90, 20  # seconds that JupyterLab may take to open a notebook, and a picture to change
LAB_SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},  # else cells out of sight are not in the page at all
}
OURS = ("data", "blob", "about", "chrome", "devtools", "chrome-extension")  # addresses that ask no machine

# What a cell shows. A widget's picture gets a new address with every move, so its pixels are compared.
LOOK = """
function pixels(img) {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [img.naturalWidth, img.naturalHeight];
  const pen = canvas.getContext('2d');
  pen.drawImage(img, 0, 0);
  return new Uint32Array(pen.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
}
function drawn(figure) {
  if (figure.tagName !== 'IMG') {
    const svg = figure.querySelector('.main-svg');
    const wide = svg !== null && svg.getBoundingClientRect().width > 0;
    return wide && figure.querySelector('path, text, canvas') !== null;
  }
  if (!figure.complete || !figure.naturalWidth) return false;
  const dots = pixels(figure);
  return dots.some(dot => dot !== dots[0]);
}
function digest(figure) {
  if (figure.tagName !== 'IMG') return figure.innerHTML;
  return figure.complete && figure.naturalWidth ? pixels(figure).reduce((sum, dot) => (31 * sum + dot) | 0, 7) : 0;
}
const cells = [...document.querySelectorAll('.jp-Notebook .jp-CodeCell')];
// JupyterLab keeps a hidden image behind each plotly figure.
const figures = cell => [...cell.querySelectorAll('.jp-OutputArea-child :is(img, .js-plotly-plot)')]
  .filter(figure => figure.getClientRects().length > 0);
"""
CELLS = (
    LOOK
    + """
const error = '[data-mime-type="application/vnd.jupyter.stderr"], .jupyter-widgets-error-widget';  // tracebacks too
return cells.map(cell => ({
  prompt: cell.querySelector('.jp-InputPrompt').textContent.trim(),
  errors: [...cell.querySelectorAll(error)].map(part => part.innerText.trim() || 'without a word'),
  drawn: figures(cell).map(drawn),
}));"""
)
PICTURE = LOOK + "return JSON.stringify(figures(arguments[0].closest('.jp-CodeCell')).map(digest));"
CELL_NUMBER = LOOK + "return 1 + cells.indexOf(arguments[0].closest('.jp-CodeCell'));"
STATUS = """
const light = document.querySelector('.jp-NotebookPanel .jp-Notebook-ExecutionIndicator');
return light ? light.getAttribute('data-status') : '';"""
HEIGHT = """
const frame = document.querySelector('.jp-Notebook .jp-WindowedPanel-outer');
if (frame === null) return 500;  // the notebook did not open
frame.scrollTop = 0;
const cells = [...document.querySelectorAll('.jp-Notebook .jp-Cell')];
const bottom = Math.max(...cells.map(cell => cell.getBoundingClientRect().bottom));
return Math.ceil(bottom - frame.getBoundingClientRect().top) + 250;"""


@dataclass(frozen=True)
class Report:
    """What happened to a notebook: faults in sentences, and how much was looked at."""

    faults: list[str]
    pictures: int = 0
    sliders: int = 0
    seconds: float = 0.0


def until(seconds: float, what: str, ask: Callable[[], Answer]) -> Answer:
    """Ask again and again until the answer is true; TimeoutError with a sentence when the time is up."""
    end = time.monotonic() + seconds
    while not (answer := ask()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(0.2)
    return answer


class Lab:
    """A JupyterLab of its own, with no settings of the user's, on a free port of this machine."""

    def __init__(self, folder: Path):
        self.token = secrets.token_hex(16)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        own = folder / "jupyter"
        for name, content in LAB_SETTINGS.items():
            path = own / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content), encoding="utf8")
        environment = kernel_environment(phantoms=True) | NO_NETWORK | {"JUPYTER_TOKEN": self.token}
        environment |= {"JUPYTERLAB_SETTINGS_DIR": f"{own}/settings", "JUPYTERLAB_WORKSPACES_DIR": f"{own}/workspaces"}
        environment |= {"JUPYTER_CONFIG_DIR": f"{own}/config", "JUPYTER_RUNTIME_DIR": f"{own}/runtime"}
        environment |= {"IPYTHONDIR": f"{own}/ipython", "JUPYTER_PREFER_ENV_PATH": "1"}
        environment.pop("TQDM_DISABLE")  # students see progress bars, so they are tried as well
        options = [
            "--no-browser",
            "--ip=127.0.0.1",
            f"--port={self.port}",
            "--ServerApp.port_retries=0",
            "--allow-root",
        ]
        options += [f"--ServerApp.root_dir={folder}", "--LabApp.extension_manager=readonly", "--LabApp.news_url="]
        self.log = folder / "jupyterlab.log"
        with open(self.log, "wb") as log:
            command = [sys.executable, "-m", "jupyterlab", *options]
            self.process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT)

    def __enter__(self) -> "Lab":
        try:
            until(OPENS, "the start of JupyterLab", self._answers)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()  # its kernels end with it
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            last = self.log.read_text(encoding="utf8", errors="replace").strip().splitlines()[-1:]
            raise NoBrowserError(f"JupyterLab did not start: {''.join(last)}")
        try:
            self.ask("status")
        except OSError:
            return False
        return True

    def ask(self, path: str, method: str = "GET") -> bytes:
        """Ask the server; never by way of a proxy."""
        address = f"http://127.0.0.1:{self.port}/api/{path}"
        request = urllib.request.Request(address, method=method, headers={"Authorization": f"token {self.token}"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            return answer.read()

    def end_kernels(self) -> None:
        """End all kernels: the next notebook needs the memory."""
        for session in json.loads(self.ask("sessions")):
            self.ask(f"sessions/{session['id']}", "DELETE")


def pictures_expected(nb: nbformat.NotebookNode) -> list[int]:
    """How many pictures each code cell shows in its committed outputs."""
    kinds = [[output.get("data", {}).keys() for output in c.outputs] for c in nb.cells if c.cell_type == "code"]
    return [sum(PLOTLY in keys or any(key.startswith("image/") for key in keys) for keys in cell) for cell in kinds]


def open_notebook(driver: webdriver.Chrome, lab: Lab, path: str) -> None:
    """Open a notebook, and wait until its kernel is ready."""
    driver.get(f"http://127.0.0.1:{lab.port}/lab/tree/{path}?token={lab.token}&reset")
    until(OPENS, f"opening {path}", lambda: driver.execute_script(CELLS))
    until(OPENS, "the start of the kernel", lambda: driver.execute_script(STATUS) == "idle")


def run_all_cells(driver: webdriver.Chrome, seconds: float, name: str) -> list[dict]:
    """Click Run, Run All Cells, and wait until all have run or one has failed; return what each cell shows."""

    def started() -> bool:
        return any(cell["prompt"] not in ("[ ]:", "") for cell in driver.execute_script(CELLS))

    def click() -> bool:
        # A click that lands while the kernel is still connecting is lost, whatever the status says.
        time.sleep(1.5)
        driver.find_element(By.XPATH, "//div[contains(@class, 'lm-MenuBar-itemLabel') and text()='Run']").click()
        item = "li[data-command='runmenu:run-all']"
        until(10, "opening the menu Run", lambda: driver.find_elements(By.CSS_SELECTOR, item))[0].click()
        try:
            return until(3, "the start of the first cell", started)
        except TimeoutError:
            return False

    def finished() -> list[dict]:
        cells = driver.execute_script(CELLS)
        numbered = [cell["prompt"].strip("[]:").isdigit() for cell in cells]
        progress(f"  {name}: {sum(numbered)} of {len(cells)} cells, {time.monotonic() - start:.0f} s")
        waiting = any("*" in cell["prompt"] for cell in cells) or driver.execute_script(STATUS) != "idle"
        failed = any(cell["errors"] for cell in cells)
        return cells if not waiting and (all(numbered) or failed) else []

    start = time.monotonic()
    until(30, "the start of the first cell", click)
    until(seconds, "the end of the last cell", finished)
    time.sleep(1)  # for the last picture to be drawn
    return driver.execute_script(CELLS)


def cell_faults(cells: list[dict], expected: list[int]) -> list[str]:
    """Say which cells ended in an error, or show fewer pictures than they should."""
    faults = []
    for number, (cell, count) in enumerate(zip(cells, expected, strict=True), 1):
        faults += [f"cell {number} shows an error: {error.splitlines()[-1]}" for error in cell["errors"]]
        if sum(cell["drawn"]) < max(count, len(cell["drawn"])):
            wanted = max(count, len(cell["drawn"]))
            faults.append(f"cell {number} shows {sum(cell['drawn'])} of {wanted} pictures")
    return faults


def move_sliders(driver: webdriver.Chrome) -> tuple[int, list[str]]:
    """Press an arrow key on every slider; returns how many there are, and those that changed no picture."""
    faults = []
    handles = driver.find_elements(By.CSS_SELECTOR, ".jp-OutputArea .noUi-handle, .jp-OutputArea input[type=range]")
    handles = [handle for handle in handles if handle.is_displayed()]
    for handle in handles:
        driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", handle)
        before = driver.execute_script(PICTURE, handle)
        handle.send_keys(Keys.ARROW_LEFT if _at_its_end(handle) else Keys.ARROW_RIGHT)
        try:
            until(CHANGES, "a change", lambda h=handle, b=before: driver.execute_script(PICTURE, h) != b)
        except TimeoutError:
            faults.append(f"a slider in cell {driver.execute_script(CELL_NUMBER, handle)} changes no picture")
    return len(handles), faults


def _at_its_end(handle: WebElement) -> bool:
    if handle.tag_name == "input":
        return float(handle.get_attribute("value")) >= float(handle.get_attribute("max") or 100)
    return float(handle.get_attribute("aria-valuenow")) >= float(handle.get_attribute("aria-valuemax"))


def requests_elsewhere(driver: webdriver.Chrome, port: int) -> list[str]:
    """List every address that the pages asked for and that is not our own server; empties the browser's log."""
    addresses = set()
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            addresses.add(message["params"]["request"]["url"])
        elif message["method"] == "Network.webSocketCreated":
            addresses.add(message["params"]["url"])
    found = [(urlsplit(address), address) for address in sorted(addresses)]
    return [address for parts, address in found if parts.scheme not in OURS and parts.netloc != f"127.0.0.1:{port}"]


def photograph(driver: webdriver.Chrome, name: str, folder: Path) -> None:
    """Write the whole notebook as pages NAME-1.png, NAME-2.png ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{name}-*.png"):
        old.unlink()
    metrics = {"width": WIDTH, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics | {"height": driver.execute_script(HEIGHT)})
    time.sleep(1)  # JupyterLab lays itself out anew
    height = driver.execute_script(HEIGHT)
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics | {"height": height})
    time.sleep(1)
    for number, top in enumerate(range(0, height, PAGE), 1):
        clip = {"x": 0, "y": top, "width": WIDTH, "height": min(PAGE, height - top), "scale": 1}
        data = driver.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})["data"]
        (folder / f"{name}-{number}.png").write_bytes(base64.b64decode(data))
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def prove(driver: webdriver.Chrome, lab: Lab, path: Path, seconds: float, screenshots: Path) -> Report:
    """Run the copy of one notebook, and say what is wrong with it."""
    start = time.monotonic()
    expected = pictures_expected(nbformat.read(path, as_version=4))
    requests_elsewhere(driver, lab.port)  # forget what an earlier notebook asked for
    sliders = 0
    try:
        open_notebook(driver, lab, f"notebooks/{path.name}")
        cells = run_all_cells(driver, seconds, path.stem)
        faults = cell_faults(cells, expected)
        sliders, unmoved = move_sliders(driver)
        faults += unmoved + [fault for fault in cell_faults(driver.execute_script(CELLS), expected) if not faults]
    except TimeoutError as error:
        faults, cells = [str(error)], []
    faults += [f"the page asked for {address}" for address in requests_elsewhere(driver, lab.port)]
    photograph(driver, path.stem, screenshots)
    lab.end_kernels()
    progress("")
    return Report(faults, sum(len(cell["drawn"]) for cell in cells), sliders, time.monotonic() - start)


def prove_all(paths: list[Path], seconds: float = 600, screenshots: Path = SCREENSHOTS) -> Iterator[tuple[str, Report]]:
    """Run notebooks one after the other in one JupyterLab; yields name and report of each.

    Args:
        paths: The notebooks; they are not touched.
        seconds: How long one may take.
        screenshots: Folder for the pictures.

    Raises:
        NoBrowserError: If there is no browser or JupyterLab does not start.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "notebooks").mkdir()
        shutil.copytree(ROOT / "docs", folder / "docs")  # pictures that a notebook's text may show
        for path in paths:
            nb = nbformat.read(path, as_version=4)
            for cell in nb.cells:
                if cell.cell_type == "code":  # a number left over from an earlier run would look finished
                    cell.outputs, cell.execution_count = [], None
            nbformat.write(nb, folder / "notebooks" / path.name)
        with chrome() as driver, Lab(folder) as lab:
            for path in paths:
                yield path.stem, prove(driver, lab, path, seconds, screenshots)


def main() -> None:
    """Prove the notebooks named, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all in notebooks/")
    arguments = parser.parse_args()
    paths = [path.resolve() for path in arguments.notebooks] or sorted((ROOT / "notebooks").glob("*.ipynb"))
    print(f"Running {len(paths)} notebook{'s' * (len(paths) != 1)} in JupyterLab, in a headless browser.", flush=True)
    failed = []
    try:
        for name, report in prove_all(paths):
            done = f"{report.pictures} pictures drawn, {report.sliders} sliders moved"
            state = "failed" if report.faults else done
            print(f"  {name}: {state}, {report.seconds:.0f} s", flush=True)
            failed += [f"{name}: {fault}" for fault in report.faults]
    except NoBrowserError as error:
        sys.exit(str(error))
    print(f"Screenshots are in {SCREENSHOTS.relative_to(ROOT)}/.")
    if failed:
        sys.exit("\n" + "\n".join(failed))


if __name__ == "__main__":
    main()
