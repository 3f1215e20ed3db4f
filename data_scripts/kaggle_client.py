"""Archives from Kaggle, fetched by Kaggle's own client: it alone reads the user's token, and it alone asks Kaggle.

Used by `python -m data_scripts.fetch`.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from helpers import archives, runtime
from helpers.files import DataError

TOKEN = "make a token on kaggle.com under Settings, API, and put it where that page says"
# No numbers: the client shows its progress, and "403M/3.3G" is no refusal.
LET_IN = ("kaggle.json", "access_token", "credential", "authent", "in configuration", "unauthorized", "forbidden")
PAUSE = 0.2  # seconds between two looks at how far it is


def fetch_archive(name: str, path: Path, size: int) -> Path:
    """Get the archive of a data set; what the client has got of it is kept beside it, and gone on from next time.

    Args:
        name: Of the data set, as owner/name.
        path: Where the archive shall be; it must not be there yet.
        size: Bytes, about, for the progress bar.

    Returns:
        The path.

    Raises:
        DataError: If the client is not here, does not start, is not let in, fails, or leaves something that is no
            whole archive, which is kept as ``<name>.refused``.
        OSError: If nothing can be written.
    """
    page = f"https://www.kaggle.com/datasets/{name}"
    by_hand = f"download it in a browser from {page} and give it with --from"
    program = find_program()
    if not program:
        fault = "it is on Kaggle, whose own client (the Python package kaggle) is not installed here"
        raise DataError(path, fault, f"install that and {TOKEN}, or {by_hand}")
    folder = path.with_name(f"{path.name}.kaggle")
    folder.mkdir(parents=True, exist_ok=True)
    code, said = _run([*program, "datasets", "download", "-d", name, "-p", str(folder)], folder, size, path)
    came = folder / f"{name.rpartition('/')[2]}.zip"
    if code and any(word in said.lower() for word in LET_IN):
        raise DataError(path, "Kaggle does not let its client in", f"{TOKEN}, or {by_hand}")
    if code or not came.is_file():
        last = (said.strip().splitlines() or ["nothing"])[-1].strip()[:120]
        raise DataError(path, f"Kaggle's client failed and said {last!a}", f"run the same command again, or {by_hand}")
    try:
        archives.list_files(came)
    except DataError as fault:
        refused = came.with_name(f"{came.name}.refused")
        os.replace(came, refused)  # it took hours to get, and may be of use to other programs
        what = f"what Kaggle's client brought was of no use, {fault.fault}, and is kept as {refused}"
        raise DataError(path, what, by_hand) from None
    os.replace(came, path)
    shutil.rmtree(folder, ignore_errors=True)
    return path


def find_program() -> list[str]:
    """The command that starts Kaggle's client; empty where there is none."""
    if program := shutil.which("kaggle"):
        return [program]
    return [sys.executable, "-m", "kaggle.cli"] if importlib.util.find_spec("kaggle") else []


def _run(command: list[str], folder: Path, size: int, path: Path) -> tuple[int, str]:
    """Run the client until it ends, and show how far it is; its exit code, and all that it said."""
    log = folder / "said.txt"
    bar = runtime.progress((), total=size, label=path.name)
    bar.unit, bar.unit_scale = "B", True
    with open(log, "wb") as said, bar:
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT)
        except OSError as error:  # such as a script for a Python that is gone
            fault = f"the program of Kaggle's client cannot be started ({error.strerror})"
            raise DataError(path, fault, "install it again with pip") from None
        try:
            while process.poll() is None:
                time.sleep(PAUSE)
                bar.update(sum(file.stat().st_size for file in folder.glob("*.zip")) - bar.n)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    return process.returncode, log.read_text(encoding="utf8", errors="replace")
