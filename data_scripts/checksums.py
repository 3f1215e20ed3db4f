"""Whether a file from outside is what it should be, remembered in `checksums.json`; and one process at a time.

Used by `python -m data_scripts.fetch` and by `data_scripts.download`.
"""

import glob
import os
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from helpers import archives, files
from helpers.files import DataError

if os.name == "nt":
    import msvcrt
else:
    import fcntl

NAME = "checksums.json"
ANEW = "run the same command again, which begins anew"


@contextmanager
def locked(path: str | os.PathLike, report: Callable[[str], object] = print) -> Iterator[None]:
    """Be the only process that works on a file or folder; the others wait, and say so.

    The lock is the system's own on ``<name>.lock``, so that it ends with its process, however that ends.

    Args:
        path: What is worked on. Its folder must be there.
        report: Takes the line that says so.

    Raises:
        OSError: If nothing can be written there.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with locked(folder / "CT-0.zip"):
        ...     print(*(path.name for path in folder.iterdir()))
        CT-0.zip.lock
        >>> list(folder.iterdir())
        []

    Used by `python -m data_scripts.fetch`.
    """
    lock, told = Path(f"{os.fspath(path)}.lock"), False
    while (file := _take(lock)) is None:
        if not told:
            report(f"{Path(path).name}: another process is at work on it; waiting for its end")
        told = True
        time.sleep(0.1)
    try:
        yield
    finally:
        if os.name == "nt":  # where an open file cannot be removed; elsewhere it must be, while it is still held
            file.close()
        with suppress(PermissionError):  # the next process has it open by now
            lock.unlink(missing_ok=True)
        file.close()


def check(
    path: str | os.PathLike, *, size: int | None = None, sha256: str | None = None, part: Path | None = None
) -> str:
    """Hold a file against all that is known of it.

    Args:
        path: The file. Without ``sha256``, what ``checksums.json`` beside it says of it counts.
        size: Bytes, where they are known.
        sha256: 64 hexadecimal digits, where they are published.
        part: Where its content lies as long as it does not bear its name.

    Returns:
        Its SHA-256.

    Raises:
        DataError: If it is missing, or not what it should be: another length, another SHA-256, no whole zip archive.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "train.csv"
        >>> _ = path.write_text("ImageId")
        >>> check(path, size=7)[:12]
        '11f9e0e28f13'

    Used by `python -m data_scripts.fetch --verify`.
    """
    path, found = Path(path), Path(part or path)
    again = ANEW if part else "delete it, and get it again"
    first, digest = recorded(path).get("sha256"), files.hash_file(found)
    length = found.stat().st_size
    if size is not None and length != size:
        raise DataError(path, f"it has {length:,} bytes, but must have {size:,}", again)
    if not length:
        raise DataError(path, "it is empty", again)
    if sha256 and digest != sha256.lower():
        fault = f"its SHA-256 is {digest[:12]}…, but the published one is {sha256[:12].lower()}…"
        raise DataError(path, fault, f"{again}, and if that does not help, its source has another file by now")
    if not sha256 and first and digest != first:
        fault = f"its SHA-256 is {digest[:12]}…, but the one first seen, in {NAME}, is {first[:12]}…"
        raise DataError(path, fault, f"{again}, and if its source has a new version, remove its entry there first")
    if path.suffix.lower() == ".zip":
        try:
            zipfile.ZipFile(found).close()
        except archives.FAULTS:
            raise DataError(path, "it is no zip archive, or one that is not whole", again) from None
    return digest


def recorded(path: str | os.PathLike) -> dict[str, Any]:
    """What ``checksums.json`` beside a file says of it: ``sha256``, ``bytes`` and whether that was ``published``.

    Returns:
        Nothing where it says nothing.

    Raises:
        DataError: If ``checksums.json`` is damaged.

    Example:
        >>> recorded("no/such/CT-0.zip")
        {}

    Used by `python -m data_scripts.fetch --verify`.
    """
    return _entries(Path(path).with_name(NAME)).get(Path(path).name, {})


def record(path: str | os.PathLike, digest: str, size: int, published: bool, report: Callable = print) -> bool:
    """Write what a file must be into ``checksums.json`` beside it.

    Args:
        path: The file.
        digest: Its SHA-256.
        size: Its length in bytes.
        published: Whether its source publishes the SHA-256; else it is only the one seen first.
        report: As for `locked`.

    Returns:
        Whether that is new.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "CT-0.zip"
        >>> [record(path, "0f", 7, published=False) for _ in range(2)], recorded(path)
        ([True, False], {'sha256': '0f', 'bytes': 7, 'published': False})

    Used by `python -m data_scripts.fetch`.
    """
    sums = Path(path).with_name(NAME)
    with locked(sums, report):
        entries, entry = _entries(sums), {"sha256": digest, "bytes": size, "published": published}
        old = entries.get(Path(path).name, {})
        if old.get("sha256") == digest and old["published"] >= published:
            return False
        sweep(sums)
        files.write_json(sums, entries | {Path(path).name: entry})
    return True


def sweep(path: Path) -> None:
    """Remove what writings of a file that were cut short left beside it; for whoever holds its lock.

    Used by `python -m data_scripts.fetch`.
    """
    for part in path.parent.glob(f"{glob.escape(path.name)}.*.part"):
        part.unlink(missing_ok=True)


def _entries(sums: Path) -> dict[str, dict[str, Any]]:
    entries = files.read_json(sums) if sums.exists() else {}
    kinds = {"sha256": str, "bytes": int, "published": bool}  # of what a hand may have changed
    whole = isinstance(entries, dict) and all(
        isinstance(entry, dict) and all(isinstance(entry.get(key), kind) for key, kind in kinds.items())
        for entry in entries.values()
    )
    if not whole:
        remedy = "correct or delete it; what is beside it is then taken as it is"
        raise DataError(sums, "it does not say what files must be", remedy)
    return entries


def _take(lock: Path) -> BinaryIO | None:
    """The open lock file, or None where another process holds it."""
    file = open(lock, "ab")  # noqa: SIM115 - it stays open for as long as it is held
    try:
        if os.name == "nt":
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file.fileno()), os.stat(lock)):
            return file
    except (BlockingIOError, PermissionError, FileNotFoundError):  # held; so on Windows; removed by its last owner
        pass
    file.close()
    return None
