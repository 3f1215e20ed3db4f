"""The Python packages of an offline bundle: which ones the lock names, for which systems they are, and getting them.

Used by `python -m data_scripts.pack`.
"""

import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from packaging.markers import Marker
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from helpers import files
from helpers.files import DataError

BUILDER = "setuptools"  # installs the course's own packages; a Python of 3.11 gets it from nowhere else
TELLTALE = "paddlepaddle"  # has a wheel for each system and Python apart, and nothing works without it
POSIX = {"os_name": "posix", "implementation_name": "cpython"}
SYSTEMS = {  # by name: how tags of its wheels begin, and what markers ask
    "Linux": ("manylinux", POSIX | {"sys_platform": "linux"}),
    "macOS": ("macosx", POSIX | {"sys_platform": "darwin"}),
    "Windows": ("win", {"os_name": "nt", "implementation_name": "cpython", "sys_platform": "win32"}),
}
BLOCK = re.compile(r"(?m)^([\w.-]+)==([^\s;]+)(?: ; (.+?))? \\\n((?:[ \t].*(?:\n|\Z))+)")
GIVE = "connect to a network and run the same command again, give a folder of wheels with --wheels DIR, or leave them "
GIVE += "out with --wheels none"


class Locked(NamedTuple):
    """A package in the lock, on the condition of its marker."""

    name: str
    version: str
    marker: str
    hashes: frozenset[str]

    @property
    def pin(self) -> str:
        """Its lines in a lock, without the condition."""
        return f"{self.name}=={self.version} " + " ".join(f"--hash=sha256:{each}" for each in sorted(self.hashes))

    def needed(self, python: str, system: str) -> bool:
        """Whether any Python of that minor version needs it there."""
        if not self.marker or self.name == BUILDER:
            return True
        asked = SYSTEMS[system][1] | {"python_version": python}
        fulls = (f"{python}.0", f"{python}.99")
        return any(Marker(self.marker).evaluate(asked | {"python_full_version": full}) for full in fulls)


def read_lock(path: Path) -> list[Locked]:
    """Read requirements with hashes, as pip compiles them.

    Raises:
        DataError: If there is none.

    Example:
        >>> path = Path(tempfile.mkdtemp()) / "cpu.txt"
        >>> lines = ["appnope==1.0 ; sys_platform == 'darwin' \\\\", "    --hash=sha256:0f", "    # via ipykernel", ""]
        >>> _ = path.write_text("\\n".join(lines))
        >>> read_lock(path)
        [Locked(name='appnope', version='1.0', marker="sys_platform == 'darwin'", hashes=frozenset({'0f'}))]
    """
    try:
        text = path.read_text(encoding="utf8")
    except FileNotFoundError:
        raise DataError(path, "there is no such file", "pack from a whole copy of the course") from None
    return [
        Locked(canonicalize_name(name), version, marker or "", frozenset(re.findall("sha256:([0-9a-f]+)", rest)))
        for name, version, marker, rest in BLOCK.findall(text)
    ]


def systems(names: Iterable[str]) -> list[tuple[str, str]]:
    """For which Python and which system wheels are.

    Example:
        >>> systems(["paddlepaddle-3.3.1-cp311-cp311-manylinux1_x86_64.whl", "six-1.17.0-py3-none-any.whl"])
        [('3.11', 'Linux')]
    """
    tags = [tag for name in names for tag in _parse(name)[2] if _parse(name)[0] == TELLTALE]
    found = {
        (f"{tag.interpreter[2]}.{tag.interpreter[3:]}", system)
        for tag in tags
        for system, (begin, _) in SYSTEMS.items()
        if tag.platform.startswith(begin) and re.fullmatch(r"cp3\d+", tag.interpreter)
    }
    return sorted(found, key=lambda pair: (list(SYSTEMS).index(pair[1]), int(pair[0].split(".")[1])))


def lacking(lock: Sequence[Locked], names: Iterable[str], python: str, system: str) -> list[str]:
    """What of the lock has no wheel that fits.

    Example:
        >>> lock = [Locked("six", "1.17.0", "", frozenset()), Locked("appnope", "1.0", "os_name == 'nt'", frozenset())]
        >>> lacking(lock, ["six-1.17.0-py2.py3-none-any.whl"], "3.12", "Linux")
        []
        >>> lacking(lock, ["six-1.16.0-py2.py3-none-any.whl"], "3.12", "Windows")
        ['six==1.17.0', 'appnope==1.0']
    """
    there = {_parse(name)[:2] for name in names if _fits(name, python, system)}
    return [
        f"{each.name}=={each.version}"
        for each in lock
        if each.needed(python, system) and (each.name, each.version) not in there
    ]


def named(lock: Sequence[Locked], folder: Path) -> dict[str, str]:
    """The wheels of a folder whose content the lock names, and their SHA-256; half a wheel is none."""
    known = {digest for each in lock for digest in each.hashes}
    wheels = [path for path in sorted(folder.glob("*.whl")) if _parse(path.name)[0]]
    return {path.name: digest for path in wheels if (digest := files.hash_file(path)) in known}


def check_given(lock: Sequence[Locked], folder: Path) -> dict[str, str]:
    """The wheels of a folder from outside, as `named`.

    Raises:
        DataError: If it is not all that is needed for the systems that it is for.
    """
    if not folder.is_dir():
        raise DataError(folder, "there is no such folder", "check the name")
    wheels = named(lock, folder)
    found = systems(wheels)
    if not found:
        remedy = "fill it with pip download --require-hashes -r requirements/cpu.txt"
        raise DataError(folder, f"no wheel in it is the {TELLTALE} that the lock names", remedy)
    for python, system in found:
        missing = lacking(lock, wheels, python, system)
        if missing:
            fault = f"for Python {python} on {system} it lacks {', '.join(missing[:5])}"
            fault += f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            raise DataError(folder, fault, "add these with pip download")
    return wheels


def download(lock_file: Path, folder: Path) -> dict[str, str]:
    """Get the wheels for this Python and system by pip, beside those for others that are there already.

    Args:
        lock_file: requirements/cpu.txt.
        folder: Where they shall be.

    Returns:
        As `named`.

    Raises:
        DataError: If pip cannot; what it got stays.
    """
    lock, here = read_lock(lock_file), this_system()
    if here[1] not in SYSTEMS:
        raise DataError(folder, f"{TELLTALE} has no wheels for {here[1]}", "pack on Linux, macOS or Windows")
    wheels = named(lock, folder)
    if here in systems(wheels) and not lacking(lock, wheels, *here):
        return wheels
    _run_pip(folder, lock_file)
    # Another Python of this minor version may need what this very one does not.
    wheels = named(lock, folder)
    missing = lacking(lock, wheels, *here)
    for each in lock:
        if f"{each.name}=={each.version}" in missing:
            with tempfile.TemporaryDirectory() as scratch:
                pin = Path(scratch, "lock.txt")
                pin.write_text(f"{each.pin}\n", encoding="utf8")
                _run_pip(folder, pin, "--no-deps")
    return check_given(lock, folder)


def this_system() -> tuple[str, str]:
    """This Python and this system, as `systems` calls them."""
    system = {"Darwin": "macOS"}.get(platform.system(), platform.system())
    return "{}.{}".format(*sys.version_info), system


def _run_pip(folder: Path, lock_file: Path, *options: str) -> None:
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input", *options]
    command += ["--only-binary", ":all:", "--require-hashes", "--dest", str(folder), "-r", str(lock_file)]
    shown = None if sys.stdout.isatty() else subprocess.DEVNULL
    done = subprocess.run(command, stdout=shown, stderr=subprocess.PIPE, encoding="utf8", errors="replace")
    if done.returncode:
        said = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        raise DataError(folder, f"pip could not download the wheels and said {(said or ['nothing'])[-1]!r}", GIVE)


def _fits(name: str, python: str, system: str) -> bool:
    """Whether a wheel can be installed by that Python there, as far as its name tells."""
    compact, begin = python.replace(".", ""), SYSTEMS[system][0]
    return any(
        (tag.platform == "any" or tag.platform.startswith(begin))
        and (tag.interpreter in (f"cp{compact}", "py3", f"py{compact}") or tag.abi == "abi3")
        for tag in _parse(name)[2]
    )


def _parse(name: str) -> tuple[str, str, frozenset]:
    """A wheel's package, version and tags; nothing where the name is not that of a wheel."""
    try:
        package, version, _, tags = parse_wheel_filename(name)
    except InvalidWheelFilename:
        return "", "", frozenset()
    return package, str(version), tags
