"""Zip archives from outside: unpacked once, whole or not at all, and never outside of their own folder.

Used by notebook 04, whose published data set comes as a zip of class folders, and by `python -m data_scripts.fetch`.
"""

import hashlib
import os
import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

from helpers import files, stores
from helpers.files import DataError

LARGEST = 64 << 30  # bytes once unpacked; the largest public set of chest radiographs takes some 45 GiB
MOST_FILES = 200_000
LARGEST_READ = 256 << 20  # bytes of a file that is read into memory, such as a table
# Images are packed already: a zip of them hardly shrinks. Zeros shrink a thousandfold.
MOST_RATIO, HARMLESS = 100, 1 << 20
LARGE, MANY = 56 + 20, 0xFFFF  # bytes of the two records of a large archive; a count that stands for itself or more
END = LARGE + 22 + 0xFFFF  # bytes in which an archive's last records lie
FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError, OverflowError, RuntimeError)
AGAIN = "download it again, or unpack it by hand"
OUTSIDE, DISTRUST = "would be written outside of its folder", "do not trust this archive"


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


def list_files(path: str | os.PathLike) -> dict[str, int]:
    """List the files of a zip archive whose names and sizes can all be trusted.

    Args:
        path: The archive.

    Returns:
        The size in bytes of each file once unpacked, by its name inside of the archive, in the archive's order.

    Raises:
        DataError: As `unzip_once`; nothing is unpacked.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "a.zip")
        >>> with zipfile.ZipFile(path, "w") as archive:
        ...     archive.writestr("CT-0/study_0001.nii.gz", b"voxels")
        >>> list_files(path)
        {'CT-0/study_0001.nii.gz': 6}

    Used by `python -m data_scripts.fetch`.
    """
    with _open(Path(path)) as archive:
        return {name: member.file_size for name, member in _members(Path(path), archive).items()}


def read_one(path: str | os.PathLike, name: str) -> bytes:
    """Read one file of a zip archive into memory, a table for instance.

    Raises:
        DataError: As `unzip_once`, or if it is larger than ``LARGEST_READ``.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "a.zip")
        >>> with zipfile.ZipFile(path, "w") as archive:
        ...     archive.writestr("train-rle.csv", b"ImageId")
        >>> read_one(path, "train-rle.csv")
        b'ImageId'

    Used by `python -m data_scripts.fetch`.
    """
    with _open(Path(path)) as archive:
        member = _members(Path(path), archive)[name]
        if member.file_size > LARGEST_READ:
            fault = f"its file {_shown(name)} has {member.file_size >> 20} MiB"
            raise DataError(path, fault, "give the right archive")
        return archive.read(member)


def unpack_files(
    path: str | os.PathLike, targets: Mapping[str, Path], progress: Callable[[Iterable], Iterable] = iter
) -> dict[str, str]:
    """Unpack some files of a zip archive, each whole or not at all; broken off, the same call goes on.

    Args:
        path: The archive.
        targets: Where each file shall be written, by its name inside of the archive. What is there already and has
            the size and the checksum that the archive states, is left; anything else is overwritten.
        progress: Wraps the iteration over the files, to show how far it is.

    Returns:
        The SHA-256 of each file, by its name inside of the archive.

    Raises:
        DataError: As `unzip_once`. Files that were unpacked before stay, and are whole.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "a.zip")
        >>> with zipfile.ZipFile(path, "w") as archive:
        ...     archive.writestr("set/CT-0/1.nii.gz", b"voxels")
        ...     archive.writestr("set/CT-1/2.nii.gz", b"others")
        >>> hashes = unpack_files(path, {"set/CT-0/1.nii.gz": path.parent / "mosmed" / "1.nii.gz"})
        >>> [file.name for file in (path.parent / "mosmed").iterdir()], hashes["set/CT-0/1.nii.gz"][:6]
        (['1.nii.gz'], '38d113')

    Used by `python -m data_scripts.fetch`.
    """
    path, hashes = Path(path), {}
    with _open(path) as archive:
        members = _members(path, archive)
        found = {name: _hash_if_whole(targets[name], members[name]) for name in targets}
        missing = [name for name, known in found.items() if known is None]
        if missing:
            _check_room(path, sum(members[name].file_size for name in missing), targets[missing[0]].parent)
        for name in progress(targets):
            if found[name] is None:
                with archive.open(members[name]) as packed:
                    found[name] = write_whole(packed, targets[name], members[name].file_size)
            hashes[name] = found[name]
    return hashes


def write_whole(stream: IO[bytes], target: Path, size: int) -> str:
    """Write what a stream holds; the file gets its name once all of it is there.

    Args:
        stream: Where it comes from.
        target: The file; its folder is made, and an older file of that name is replaced.
        size: How many bytes there must be.

    Returns:
        Its SHA-256.

    Raises:
        EOFError: If there are more or fewer bytes; no file is left then.

    Example:
        >>> import io, tempfile
        >>> write_whole(io.BytesIO(b"voxels"), Path(tempfile.mkdtemp(), "a", "1.nii"), 6)[:6]
        '38d113'

    Used by `python -m data_scripts.fetch`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part, digest, count = target.with_name(f"{target.name}.part"), hashlib.sha256(), 0
    try:
        with open(part, "wb") as file:
            while block := stream.read(1 << 20):
                digest.update(block)
                count += file.write(block)
        if count != size:
            raise EOFError
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    return digest.hexdigest()


@contextmanager
def _open(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive, and say in a sentence what is wrong with it, also later while it is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check_count(path, archive)
            yield archive
    except DataError:
        raise
    except FileExistsError:
        raise DataError(path, "it holds two files of one name", "unpack it by hand, and rename one") from None
    except OSError as error:
        raise DataError(path, f"it cannot be unpacked ({error.strerror})", "check the disk") from None
    except FAULTS:
        raise DataError(path, "it is not a whole zip archive", AGAIN) from None


def _check_count(path: Path, archive: zipfile.ZipFile) -> None:
    """Python reads what fits into the stated size of the list of files; the stated number tells if some are lost."""
    with open(path, "rb") as file:
        file.seek(-min(END, path.stat().st_size), os.SEEK_END)
        tail = file.read()
    end = tail.rfind(b"PK\5\6")
    (stated,) = struct.unpack_from("<H", tail, end + 10)
    large = tail[max(end - LARGE, 0) : end]
    if stated == MANY and large[:4] == b"PK\6\6" and large[56:60] == b"PK\6\7":
        (stated,) = struct.unpack_from("<Q", large, 32)  # beyond 4 GB, some writers say MANY however few there are
    if stated != len(archive.infolist()):
        raise zipfile.BadZipFile


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The files of an archive by name, all of them checked."""
    entries = archive.infolist()
    _check_sizes(path, entries)
    for member in entries:
        _check_member(path, member)
    members = [member for member in entries if not _is_folder(member)]
    named = {member.filename: member for member in members}
    if len(named) < len(members):
        raise FileExistsError
    return named


def _hash_if_whole(target: Path, member: zipfile.ZipInfo) -> str | None:
    """The SHA-256 of a file that an earlier call unpacked, or None if it is not what the archive holds."""
    if not target.is_file() or target.stat().st_size != member.file_size:
        return None
    digest, checksum = hashlib.sha256(), 0
    with open(target, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            checksum = zlib.crc32(block, checksum)
    return digest.hexdigest() if checksum == member.CRC else None


def _unpack(path: Path, folder: Path) -> None:
    """Check all names and sizes of an archive before the first byte is written."""
    with _open(path) as archive:
        members = archive.infolist()
        _check_sizes(path, members)
        _check_room(path, sum(member.file_size for member in members), folder)
        targets = [_target(path, folder, member) for member in members]
        for member, target in zip(members, targets, strict=True):
            _write(archive, member, target)


def _check_sizes(path: Path, members: list[zipfile.ZipInfo]) -> None:
    # The sizes are those the archive states; no more than that is read of a member, and less is an error.
    total = sum(member.file_size for member in members)
    if len(members) > MOST_FILES:
        raise DataError(path, f"it holds more than {MOST_FILES} files", "unpack by hand what you need")
    ratio = total / max(path.stat().st_size, 1)
    if total > LARGEST or (total > HARMLESS and ratio > MOST_RATIO):
        fault = f"it would grow {ratio:.0f}-fold, to {total / 1e9:.2g} GB, as images never do"
        raise DataError(path, fault, "unpack it by hand if you trust it")


def _check_room(path: Path, needed: int, folder: Path) -> None:
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if needed > free:
        fault = f"it needs {needed / 1e9:.2g} GB, and {free / 1e9:.2g} GB are free"
        raise DataError(path, fault, "make room on the disk")


def _check_member(path: Path, member: zipfile.ZipInfo) -> None:
    """Refuse what is no plain file or folder, or whose name leads elsewhere."""
    name, kind = member.filename.replace("\\", "/"), stat.S_IFMT(member.external_attr >> 16)
    shown = _shown(name)
    if member.flag_bits & 1:
        raise DataError(path, f"its file {shown} is encrypted", "unpack it by hand, with its password")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DataError(path, f"its entry {shown} is a link or a device, not a file", AGAIN)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(path, f"its file {shown} is packed in a way not read here", "unpack it by hand")
    if ".." in name.split("/") or name.startswith("/") or re.match("[A-Za-z]:", name):
        raise DataError(path, f"its entry {shown} {OUTSIDE}", DISTRUST)


def _target(path: Path, folder: Path, member: zipfile.ZipInfo) -> Path:
    """Where a member goes, if its name is one that stays inside the folder."""
    _check_member(path, member)
    name = member.filename.replace("\\", "/")
    target = folder.joinpath(*filter(None, name.split("/")))
    if not target.resolve().is_relative_to(folder.resolve()):
        raise DataError(path, f"its entry {_shown(name)} {OUTSIDE}", DISTRUST)
    return target


def _shown(name: str) -> str:
    return ascii(name if len(name) <= 60 else f"{name[:60]}...")


def _is_folder(member: zipfile.ZipInfo) -> bool:
    return member.filename.endswith(("/", "\\"))


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    if _is_folder(member):
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as packed, open(target, "xb") as file:
        shutil.copyfileobj(packed, file, 1 << 20)
    if target.stat().st_size != member.file_size:
        raise EOFError
