"""What every test shares: the smallest run, fixed seeds, no network, and the real files where they are."""

import os
import socket
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # tools/ is not an installed package

os.environ.setdefault("COURSE_RUN", "quick")
os.environ["PYTHONHASHSEED"] = "0"  # for the processes that tests start
os.environ["JUPYTER_PLATFORM_DIRS"] = "1"
os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
os.environ["MPLBACKEND"] = "Agg"

THIS_MACHINE = ("localhost", "127.0.0.1", "::1", "", None, socket.gethostname())
STARTED = pytest.StashKey[float]()  # when this session began: results written since then are fresh


class NetworkError(RuntimeError):
    """A test tried to reach another machine."""


def refuse_network(event: str, args: tuple) -> None:
    """Audit hook: end every connection and name look-up that leaves this machine."""
    host = None
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        connection, address = args
        if connection.family in (socket.AF_INET, socket.AF_INET6) and address:
            host = address[0]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = args[0].decode() if isinstance(args[0], bytes) else args[0]
    if host not in THIS_MACHINE:
        raise NetworkError(f"tests must not reach the network, but this one asked for {host}")


class NotebookRules:
    """How nbval runs our notebooks; a plugin, because hooks of this file would not see the folder notebooks/."""

    @staticmethod
    def pytest_collectstart(collector: pytest.Collector) -> None:
        # A library's new warning on somebody's machine is not a fault of the notebook; that none is committed,
        # test_notebooks.py asserts.
        if type(collector).__name__ == "IPyNbFile":
            collector.skip_compare += ("stderr",)


def pytest_configure(config: pytest.Config) -> None:
    """Shut the network for the whole run, doctests included, and start nbval's kernels as `make outputs` does."""
    config.stash[STARTED] = time.time()
    sys.addaudithook(refuse_network)
    config.pluginmanager.register(NotebookRules())

    import nbval.kernel

    from tools.run_notebooks import NO_NETWORK, kernel_environment

    start = nbval.kernel.start_new_kernel

    def start_alike(*args, **kwargs):
        return start(*args, env=kernel_environment(phantoms=True) | NO_NETWORK, **kwargs)

    nbval.kernel.start_new_kernel = start_alike


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Compare results last: the notebooks of this very session write them."""
    items.sort(key=lambda item: item.path.name == "test_results.py")


@pytest.fixture(scope="session")
def session_start(pytestconfig: pytest.Config) -> float:
    """When this session began; a result written since then is fresh."""
    return pytestconfig.stash[STARTED]


@pytest.fixture(scope="session")
def browser() -> None:
    """For tests that need a headless browser; without one they are skipped by name, and fail where CI is set."""
    need_browser()


def need_browser() -> None:
    """Skip or fail, unless there is a browser."""
    from tools import setup_browser

    if setup_browser.find() is None:
        leave = pytest.fail if os.environ.get("CI") else pytest.skip
        leave(setup_browser.MISSING)


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of real files beside the checkout; tests that need it are skipped where it is missing."""
    folder = ROOT.parent / "shared" / "realdata"
    if not folder.is_dir():
        pytest.skip("real files are not here: ../shared/realdata")
    return folder
