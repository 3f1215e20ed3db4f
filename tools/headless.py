"""A headless browser that reaches no machine but this one, and plotly's figures drawn by it.

`make browser` runs the notebooks in it; `make outputs` gets from it the pictures that GitHub shows of plotly figures.
"""

import base64
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver

from tools import setup_browser

WIDTH, PAGE = 1400, 1800  # of its window, in pixels
DRAW_PLOTLY = """
const [figure, done] = arguments, box = document.createElement('div');
document.body.append(box);
async function draw() {
  const layout = {...figure.layout, width: 800, height: figure.layout.height || 500, autosize: false};
  await Plotly.newPlot(box, figure.data, layout, {staticPlot: true});
  return Plotly.toImage(box, {format: 'png', width: 800, height: figure.layout.height || 500, scale: 1});
}
draw().then(done, fault => done(String(fault)));"""


class NoBrowserError(RuntimeError):
    """There is no browser here, or it did not get as far as it should."""


@contextmanager
def chrome() -> Iterator[webdriver.Chrome]:
    """Start a headless browser that finds no machine but this one.

    Raises:
        NoBrowserError: If there is none; says what to install.
    """
    found = setup_browser.find()
    if found is None:
        raise NoBrowserError(setup_browser.MISSING)
    options = webdriver.ChromeOptions()
    options.binary_location = found.binary
    switches = "headless=new disable-dev-shm-usage disable-background-networking disable-component-update "
    switches += "disable-sync no-first-run hide-scrollbars use-angle=swiftshader enable-unsafe-swiftshader "
    switches += f"force-device-scale-factor=1 window-size={WIDTH},{PAGE} "
    switches += "no-sandbox"  # without which it does not start for root; it opens only our own pages
    for switch in switches.split():
        options.add_argument(f"--{switch}")
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    os.environ.setdefault("NO_PROXY", "127.0.0.1,localhost")  # the driver is asked over a port of this machine
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(found.driver))
    try:
        driver.set_script_timeout(60)
        yield driver
    finally:
        driver.quit()


def plotly_pngs(figures: list[dict]) -> list[bytes]:
    """Draw plotly figures, given as the JSON that notebooks hold, with plotly's own script; 800 x 500 pixels each.

    Raises:
        NoBrowserError: If there is no browser, or plotly cannot draw a figure.
    """
    from plotly.offline import get_plotlyjs

    pictures = []
    with chrome() as driver, tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(f"<!doctype html><meta charset=utf-8><script>{get_plotlyjs()}</script>", encoding="utf8")
        driver.get(page.as_uri())
        for figure in figures:
            address = driver.execute_async_script(DRAW_PLOTLY, figure)
            if not address.startswith("data:image/png;base64,"):
                raise NoBrowserError(f"plotly could not draw a figure ({address})")
            pictures.append(base64.b64decode(address.split(",")[1]))
    return pictures
