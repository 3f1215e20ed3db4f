"""Make .venv from the locks, or leave it alone while it is still right.

    python tools/setup_env.py [--gpu cu126]

The Makefile calls this before every target. It needs Python and nothing else, and is written so that an older
Python, too, gets as far as the sentence that refuses it.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements" / "dev.txt"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "course.json"  # what .venv was made from; written last, so that an interrupted set-up has none

PYTHONS = ((3, 11), (3, 12), (3, 13))
PLATFORMS = (("Linux", "x86_64"), ("Windows", "AMD64"), ("Darwin", "arm64"))  # where Paddle has wheels
CUDA = ("cu118", "cu126", "cu129", "cu130")
PADDLE_INDEX = "https://www.paddlepaddle.org.cn/packages/stable/{}/"

REASONS = {  # by key of the stamp: why an environment that exists is made again
    "folder": "it was made in another folder",
    "python": "it was made with another Python",
    "paddle": "it holds another build of Paddle",
    "requirements": "requirements/dev.txt or pyproject.toml has changed",
}


def refusal(version: tuple, system: str, machine: str, gpu: str) -> str:
    """Say in one sentence why the course cannot be set up here, or return an empty string if it can."""
    if version[:2] not in PYTHONS:
        found = ".".join(map(str, version[:2]))
        return f"The course needs Python 3.11, 3.12 or 3.13, and this is {found}: name one, as in PYTHON=python3.12."
    if (system, machine) not in PLATFORMS:
        return (
            f"Paddle has no wheels for this machine ({system}, {machine}): "
            "it has them for Linux and Windows on x86-64 processors, and for Macs with Apple silicon."
        )
    if gpu and gpu not in CUDA:
        return f"There is no Paddle GPU build named {gpu!r}: choose GPU={', '.join(CUDA)}, or none for the CPU."
    if gpu and system == "Darwin":
        return "Paddle has no GPU build for Macs: leave GPU away."
    return ""


def wanted(gpu: str) -> dict:
    """Describe the environment that should be there; equal to the stamp when .venv is that one."""
    import tomllib  # not at the top: Python before 3.11 lacks it, and must reach `refusal`

    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))
    # The settings of ruff and pytest stand in the same file and install nothing.
    installs = [pyproject["project"], pyproject["build-system"], pyproject["tool"]["setuptools"]]
    content = LOCK.read_text(encoding="utf8") + json.dumps(installs, sort_keys=True)
    return {
        "folder": str(VENV),
        "python": "{}.{}".format(*sys.version_info),
        "paddle": gpu or "cpu",
        "requirements": hashlib.sha256(content.encode()).hexdigest(),
    }


def why_stale(target: dict) -> str:
    """Say why .venv has to be made, or return an empty string if it is the wanted one."""
    if not VENV.exists():
        return "there is none yet"
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf8"))
    except (OSError, ValueError):
        return "its set-up was not finished"
    if not PYTHON.exists():
        return "its Python is gone"
    return next((reason for key, reason in REASONS.items() if stamp.get(key) != target[key]), "")


def without_paddle(lock: str) -> str:
    """Leave the CPU build of Paddle, with its hashes, out of a lock."""
    return re.sub(r"(?m)^paddlepaddle==.*\n(?:[ \t].*\n)*", "", lock)


def pip_install(*arguments: str) -> None:
    """Run pip inside .venv, counting packages where somebody watches; end with pip's last lines if it fails."""
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *arguments]
    environment = dict(os.environ, PYTHONUNBUFFERED="1")
    lines, count = [], 0
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf8"
    ) as process:
        for line in process.stdout:
            lines.append(line)
            count += line.startswith("Collecting ")
            if sys.stdout.isatty() and count:
                installing = line.startswith("Installing ")
                print(f"\r  {count} packages{', installing them' * installing:<30}\r", end="", flush=True)
    if process.returncode:
        print("".join(lines[-12:]), end="", file=sys.stderr)
        sys.exit("Set-up stopped: pip could not install the packages; its last lines stand above.")


def make(target: dict) -> None:
    """Make .venv from nothing, and stamp it when Paddle and the helpers load."""
    STAMP.unlink(missing_ok=True)
    venv.create(VENV, clear=True, symlinks=os.name != "nt", with_pip=True)
    lock = LOCK
    if target["paddle"] != "cpu":
        lock = VENV / "requirements.txt"
        lock.write_text(without_paddle(LOCK.read_text(encoding="utf8")), encoding="utf8")
    # Nothing is built here, so that no compiler is needed. Python compiles what it imports, at its first import:
    # compiling all of it at once takes a quarter of the set-up.
    pip_install("--no-compile", "--only-binary", ":all:", "--require-hashes", "-r", str(lock))
    if target["paddle"] != "cpu":
        version = re.search(r"(?m)^paddlepaddle==(\S+)", LOCK.read_text(encoding="utf8"))[1]
        print("  Paddle's GPU build, several GB, from Paddle's own index (not measured by us).", flush=True)
        pip_install(f"paddlepaddle-gpu=={version}", "--extra-index-url", PADDLE_INDEX.format(target["paddle"]))
    pip_install("--no-deps", "-e", ".")
    loads = subprocess.run([PYTHON, "-c", "import paddle, helpers"], cwd=VENV, capture_output=True, encoding="utf8")
    if loads.returncode:
        last = (loads.stderr.strip() or f"it ended with code {loads.returncode}").splitlines()[-1]
        sys.exit(f"Set-up stopped: everything is installed, but Paddle does not load here ({last}).")
    STAMP.write_text(json.dumps(target, indent=1), encoding="utf8")


def main() -> None:
    """Check the machine, then .venv, and make it if it has to be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gpu", default="", help="Paddle's GPU build, one of " + ", ".join(CUDA))
    gpu = parser.parse_args().gpu
    refused = refusal(sys.version_info, platform.system(), platform.machine(), gpu)
    if refused:
        sys.exit(refused)
    if not importlib.util.find_spec("ensurepip"):
        sys.exit(
            "This Python cannot make environments: on Debian and Ubuntu, "
            "`sudo apt-get install python{}.{}-venv` adds what is missing.".format(*sys.version_info)
        )
    target = wanted(gpu)
    stale = why_stale(target)
    if not stale:
        return
    build = "the CPU" if not gpu else f"a GPU ({gpu})"
    print(f"Setting up .venv, because {stale}: Python {target['python']}, Paddle for {build}.")
    print("  This takes a minute or two and about 2 GB of disk, after a download of 420 MB.", flush=True)
    start = time.monotonic()
    try:
        make(target)
    except KeyboardInterrupt:
        sys.exit("Set-up was interrupted; the same command starts it again.")
    print(f".venv is ready after {time.monotonic() - start:.0f} s.", flush=True)


if __name__ == "__main__":
    main()
