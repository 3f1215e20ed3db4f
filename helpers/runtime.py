"""The machine under the course: device, memory, seeds, run size, folders, progress.

Every notebook opens with `runtime.start`. Paddle is imported only inside the functions that need it.
"""

import ctypes
import logging
import os
import platform
import random
import shlex
import sys
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import numpy as np

from helpers.files import DataError, read_json

Item = TypeVar("Item")

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
SIZES = ("quick", "class", "full")
DATA_SETS = ("mosmed", "l3", "siim", "radiography", "radiography_external")


@dataclass(frozen=True)
class Run:
    """How this run is made: its seed, its size, the device and the folder of real data."""

    seed: int
    size: str
    device: str
    data_root: Path


def prepare_process() -> None:
    """Set what must be set before Paddle is loaded; called when `helpers` is imported.

    On AMD processors Intel's MKL, which Paddle brings, takes a slow path unless told otherwise: 2.7 times slower
    matrix products. Messages of Paddle's that no student can act on are hushed.
    """
    os.environ.setdefault("GLOG_minloglevel", "2")
    warnings.filterwarnings("ignore", message="No ccache found")
    warnings.filterwarnings("ignore", message="When training, we now always track global mean")
    if _processor_vendor() == "AuthenticAMD":
        os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")
    _keep_memory()


def start(seed: int = 2020, data: Path | None = None, size: str | None = None) -> Run:
    """Seed everything, choose the device, and print an honest report of what this run is.

    Args:
        seed: The same seed on the same machine gives the same run.
        data: The folder of real data; from ``COURSE_DATA`` when left out.
        size: quick, class or full; from ``COURSE_RUN`` when left out.

    Returns:
        The run. Its size comes from the variable ``COURSE_RUN`` (quick, class or full); without it, it is quick on a
        CPU, class on a GPU and full on a GPU with real data. Without ``COURSE_DATA``, real data
        is looked for in ``data/`` beside the notebooks' folder.

    Raises:
        ValueError: If ``COURSE_RUN`` is none of the three sizes.
        DataError: If ``COURSE_DATA`` names a folder that is not there.

    Example:
        >>> run = start(seed=1)  # doctest: +ELLIPSIS
        Python ... PaddlePaddle ...
        >>> run.seed
        1

    Taught in notebook 01.
    """
    import paddle

    for handler in list(logging.getLogger().handlers):  # Paddle's own: without this every library chats
        if type(handler) is logging.StreamHandler:
            logging.getLogger().removeHandler(handler)
    root = data_root() if data is None else data.resolve()
    run = Run(seed, size or run_size(root), device(), root)
    paddle.set_device(run.device)
    paddle.disable_signal_handler()  # it prints a stack trace when a kernel is shut down in good order
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - for libraries that still draw from the global state
    paddle.seed(seed)
    real = [name for name in DATA_SETS if is_real(name, run.data_root)]
    found = f"real: {', '.join(real)}; the rest phantoms" if real else "no real data here: phantoms"
    names = [f"{name} {version(name)}" for name in ("numpy", "nibabel", "pydicom")]
    print(f"Python {platform.python_version()}, PaddlePaddle {paddle.__version__}, {', '.join(names)}")
    print(f"device {run.device}, {cores()} cores, {platform.system()} on {platform.machine()}")
    print(f"run size {run.size}, seed {seed}")
    print(f"data root {_short(run.data_root)}: {found}")
    return run


def run_size(root: Path | None = None) -> str:
    """The size of the run, from ``COURSE_RUN`` or the device; read here and nowhere else.

    Args:
        root: The folder of real data, which makes a run on a GPU a full one; the data root when left out.

    Raises:
        ValueError: If ``COURSE_RUN`` is none of the three sizes.
    """
    size = os.environ.get("COURSE_RUN", "")
    if not size:
        real = any(is_real(name, root) for name in DATA_SETS)
        size = "quick" if device() == "cpu" else "full" if real else "class"
    if size not in SIZES:
        raise ValueError(f"COURSE_RUN must be one of {', '.join(SIZES)}, but is {size!r}")
    return size


def device() -> str:
    """ "gpu" where this Paddle was built for one and finds one, else "cpu"."""
    import paddle

    return "gpu" if paddle.is_compiled_with_cuda() and paddle.device.cuda.device_count() else "cpu"


def data_root() -> Path:
    """The folder of real data: ``COURSE_DATA``, or ``data/`` beside the notebooks' folder.

    Raises:
        DataError: If ``COURSE_DATA`` names a folder that is not there: a slip of the pen must not end in phantoms.
    """
    named = os.environ.get("COURSE_DATA")
    if not named:
        return ROOT / "data"
    folder = Path(named)
    with suppress(RuntimeError):  # of a home that is not there: it is no folder, as said below
        folder = folder.expanduser()
    folder = folder if folder.is_absolute() or folder.is_dir() else ROOT / folder
    if not folder.is_dir():
        raise DataError(named, "there is no such folder", "correct COURSE_DATA, or unset it to work on phantoms")
    return folder.resolve()


def find_data(name: str, root: Path | None = None) -> Path | None:
    """The folder of a real data set under a data root, or None.

    A data set lies in a folder of its own name. Scans in class folders are also found without ``mosmed`` around them,
    so that a user can name a folder of two classes and nothing else. A class folder holds NIfTI files, or a folder of
    ``.dcm`` slices for each scan.

    Args:
        name: One of ``DATA_SETS``.
        root: Where to look; the data root when left out.
    """
    root = data_root() if root is None else root
    if (root / name).is_dir():
        return root / name
    if name != "mosmed" or not root.is_dir():
        return None
    folders = [path for path in root.iterdir() if path.is_dir() and path.name not in DATA_SETS]
    named = any(path.name.startswith("CT-") for path in folders)
    return root if named or sum(map(_holds_scans, folders)) > 1 else None


def say_how(root: Path) -> str:
    """How to work on a data root, in the words of this system's shell.

    Used by the commands that write data for the notebooks.
    """
    if os.name == "nt":
        command = f'$env:COURSE_DATA = "{root.resolve()}"; .venv\\Scripts\\python -m tools.run_notebooks'
    else:
        command = f"COURSE_DATA={shlex.quote(str(root.resolve()))} make run"
    return f"To work on it, set COURSE_DATA to that data root: {command}"


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_memory() -> float | None:
    """The most memory this process has held, in GB; None where the system does not tell (Windows)."""
    status = Path("/proc/self/status")
    if status.is_file():  # what Linux tells by `getrusage` is at least what the parent held when it started this one
        held = next(line for line in status.read_text(encoding="utf8").splitlines() if line.startswith("VmHWM"))
        return 1024 * int(held.split()[1]) / 1e9
    try:
        import resource
    except ModuleNotFoundError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e9  # of macOS: in bytes


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that results depend on."""
    import paddle

    names = ("numpy", "scipy", "nibabel", "pydicom")
    return {"python": platform.python_version(), "paddle": paddle.__version__, **{n: version(n) for n in names}}


def progress(items: Iterable[Item], total: int | None = None, label: str = "") -> Iterable[Item]:
    """Show how far a loop is and how long it still takes; silent in committed outputs (``TQDM_DISABLE``).

    Example:
        >>> list(progress([1, 2]))
        [1, 2]

    Used by every notebook.
    """
    from tqdm.auto import tqdm

    hidden = bool(os.environ.get("TQDM_DISABLE")) or not ("ipykernel" in sys.modules or sys.stderr.isatty())
    return tqdm(items, total=total, desc=label, leave=False, disable=hidden)


def _keep_memory() -> None:
    """Keep freed memory in the process instead of handing it back to the system after each array.

    On virtual machines fresh pages cost more than the arithmetic on them: drawing phantoms became 2.8 times faster
    with this, training 1.4 times. Only glibc (Linux) has the switch.
    """
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        trim_threshold, top_pad, mmap_threshold = -1, -2, -3
        library.mallopt(mmap_threshold, 1 << 30)
        library.mallopt(trim_threshold, (1 << 31) - 1)
        library.mallopt(top_pad, 1 << 26)


def _processor_vendor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf8")
    except OSError:  # Windows and macOS have no such file
        return "AuthenticAMD" if "AuthenticAMD" in platform.processor() else ""
    return next((line.split(":")[1].strip() for line in text.splitlines() if line.startswith("vendor_id")), "")


def _holds_scans(folder: Path) -> bool:
    return any(next(folder.glob(pattern), None) for pattern in ("*.nii", "*.nii.gz", "*/*.dcm"))


def is_real(name: str, root: Path | None) -> bool:
    """Whether a data set is there and is not itself made of phantoms, which say so in their ORIGIN.json."""
    folder = find_data(name, root)
    if folder is None:
        return False
    origin = read_json(folder / "ORIGIN.json") if (folder / "ORIGIN.json").is_file() else {}
    return not (isinstance(origin, dict) and origin.get("origin") == "phantom")


def _short(folder: Path) -> str:
    """A folder as the reader knows it: inside the course from its root, elsewhere by its last name."""
    return folder.relative_to(ROOT).as_posix() if folder.is_relative_to(ROOT) else f"…/{folder.name}"
