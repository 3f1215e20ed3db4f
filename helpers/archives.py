"""Zip archives from outside: unpacked once, whole or not at all, and never outside of their own folder.

Used by notebook 04, whose published data set comes as a zip of class folders.
"""

import os
import re
import shutil
import stat
import struct
import zipfile
import zlib
from functools import partial
from pathlib import Path

from helpers import files, stores
from helpers.files import DataError

LARGEST = 64 << 30  # bytes once unpacked; the largest public set of chest radiographs takes some 45 GiB
MOST_FILES = 200_000
# Images are packed already: a zip of them hardly shrinks. Zeros shrink a thousandfold.
MOST_RATIO, HARMLESS = 100, 1 << 20
FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError, OverflowError, RuntimeError)
AGAIN = "download it again, or unpack it by hand"


def unzip_once(path: str | os.PathLike) -> Path:
    """Unpack a zip archive under ``build/``, where later calls find it; archives inside of it stay packed.

    Args:
        path: The archive. It stays as it is, and nothing is written beside it.

    Returns:
        The folder with all that the archive holds. Its name is made from the archive's content.

    Raises:
        DataError: If it is missing, damaged, encrypted or no zip; if a name in it leads out of the folder or stands for
            a link; or if it would grow beyond reason. Nothing is left unpacked then.

    Example:
        >>> import tempfile
        >>> stores.runtime.BUILD, before = Path(tempfile.mkdtemp()), stores.runtime.BUILD
        >>> with zipfile.ZipFile(stores.runtime.BUILD / "a.zip", "w") as archive:
        ...     archive.writestr("NORMAL/1.png", b"pixels")
        >>> (unzip_once(stores.runtime.BUILD / "a.zip") / "NORMAL" / "1.png").read_bytes()
        b'pixels'
        >>> stores.runtime.BUILD = before

    Taught in notebook 04.
    """
    return stores.prepared("unpacked", files.hash_file(path), partial(_unpack, Path(path)))


def _unpack(path: Path, folder: Path) -> None:
    """Check all names and sizes of an archive before the first byte is written."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_sizes(path, members, shutil.disk_usage(folder).free)
            targets = [_target(path, folder, member) for member in members]
            for member, target in zip(members, targets, strict=True):
                _write(archive, member, target)
    except DataError:
        raise
    except FileExistsError:
        raise DataError(path, "it holds two files of one name", "unpack it by hand, and rename one") from None
    except OSError as error:
        raise DataError(path, f"it cannot be unpacked ({error.strerror})", "check the disk") from None
    except FAULTS:
        raise DataError(path, "it is not a whole zip archive", AGAIN) from None


def _check_sizes(path: Path, members: list[zipfile.ZipInfo], free: int) -> None:
    # The sizes are those the archive states; no more than that is read of a member, and less is an error.
    total = sum(member.file_size for member in members)
    if len(members) > MOST_FILES:
        raise DataError(path, f"it holds more than {MOST_FILES} files", "unpack by hand what you need")
    ratio = total / max(path.stat().st_size, 1)
    if total > LARGEST or (total > HARMLESS and ratio > MOST_RATIO):
        fault = f"it would grow {ratio:.0f}-fold, to {total / 1e9:.2g} GB, as images never do"
        raise DataError(path, fault, "unpack it by hand if you trust it")
    if total > free:
        raise DataError(
            path, f"it needs {total / 1e9:.2g} GB, and {free / 1e9:.2g} GB are free", "make room on the disk"
        )


def _target(path: Path, folder: Path, member: zipfile.ZipInfo) -> Path:
    """Where a member goes, if its name is one that stays inside the folder."""
    name, kind = member.filename.replace("\\", "/"), stat.S_IFMT(member.external_attr >> 16)
    shown = ascii(name if len(name) <= 60 else f"{name[:60]}...")
    if member.flag_bits & 1:
        raise DataError(path, f"its file {shown} is encrypted", "unpack it by hand, with its password")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DataError(path, f"its entry {shown} is a link or a device, not a file", AGAIN)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(path, f"its file {shown} is packed in a way not read here", "unpack it by hand")
    target = folder.joinpath(*filter(None, name.split("/")))
    leaves = ".." in name.split("/") or name.startswith("/") or re.match("[A-Za-z]:", name)
    if leaves or not target.resolve().is_relative_to(folder.resolve()):
        raise DataError(path, f"its entry {shown} would be written outside of its folder", "do not trust this archive")
    return target


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    if member.filename.endswith(("/", "\\")):
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as packed, open(target, "xb") as file:
        shutil.copyfileobj(packed, file, 1 << 20)
    if target.stat().st_size != member.file_size:
        raise EOFError
