"""Find a headless browser and its driver, or install Debian's.

    python tools/setup_browser.py

`make browser`, `make test` and `make outputs` call this first. What is there is left alone; root on Debian gets the
packages; everybody else is told in a sentence what to install, and whoever needs the browser decides what follows.
"""

import os
import platform
import shutil
import subprocess
import sys
from typing import NamedTuple

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
DRIVER = "chromedriver"
PACKAGES = ("chromium", "chromium-driver", "fonts-dejavu-core")
MISSING = (
    "No browser is here for the notebooks: install Chromium or Chrome and a chromedriver of the same version, both on "
    "the PATH (on Debian: apt-get install --no-install-recommends " + " ".join(PACKAGES) + ")."
)


class Browser(NamedTuple):
    """The two programs that selenium drives."""

    binary: str
    driver: str


def find() -> Browser | None:
    """Look for browser and driver on the PATH; None unless both are there."""
    binary = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which(DRIVER)
    return Browser(binary, driver) if binary and driver else None


def may_install() -> bool:
    """Whether Debian's packages can be installed here without asking anybody: root, on Debian, with apt-get.

    Ubuntu's package of that name installs a snap, which containers cannot run.
    """
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    try:
        return platform.freedesktop_os_release()["ID"] == "debian"
    except OSError:
        return False


def install() -> str:
    """Install the packages; return what went wrong, in apt-get's own last line, or ""."""
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    # A machine without a network shall learn so in seconds, not after apt's usual tries.
    patience = ("-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=20")
    for command in (["update"], ["install", "-y", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(
            ["apt-get", "-q", *patience, *command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf8",
            errors="replace",
        )
        if done.returncode:
            return (done.stdout.strip() or "it said nothing").splitlines()[-1]
    return ""


def main() -> None:
    """Find the browser, install it where that is possible, or say what is missing."""
    if find():
        return
    if may_install():
        print(f"Installing a headless browser: Debian's {', '.join(PACKAGES)} (about 400 MB).", flush=True)
        fault = install()
        if not fault and find():
            return
        print(f"apt-get could not install it: {fault or 'it is still not found'}", file=sys.stderr)
    print(MISSING, file=sys.stderr)


if __name__ == "__main__":
    main()
