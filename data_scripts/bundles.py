"""What comes from outside: a zip archive, a folder that was unpacked by hand, or a single file, handled alike.

Used by `python -m data_scripts.fetch`.
"""

import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from helpers import archives, files
from helpers.files import DataError


@dataclass(frozen=True, eq=False)
class Bundle:
    """Files from outside.

    Attributes:
        path: Where they are.
        sizes: Bytes of each file, by its name inside.
        packed: Whether it is a zip archive.
    """

    path: Path
    sizes: Mapping[str, int]
    packed: bool

    def read(self, name: str) -> bytes:
        """Read one small file."""
        return archives.read_one(self.path, name) if self.packed else self.locate(name).read_bytes()

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Read one file bit by bit; what zipfile finds wrong meanwhile, it raises itself."""
        if self.packed:
            with zipfile.ZipFile(self.path) as archive, archive.open(name) as stream:
                yield stream
        else:
            with open(self.locate(name), "rb") as stream:
                yield stream

    def locate(self, name: str) -> Path:
        """Where one file is, as a user would say it; in an archive, as if that were a folder."""
        return self.path / name if self.packed or self.path.is_dir() else self.path

    def copy(self, targets: Mapping[str, Path], progress: Callable[[Iterable], Iterable] = iter) -> dict[str, str]:
        """Write files to where they belong; what is there already and the same is left.

        Args:
            targets: Where each file shall be, by its name inside.
            progress: Wraps the iteration over the files.

        Returns:
            The SHA-256 of each, by its name inside.

        Raises:
            DataError: If the archive is damaged.
            OSError: If the disk is full, or something cannot be read or written.
        """
        if self.packed:
            return archives.unpack_files(self.path, targets, progress)
        hashes = {}
        for name in progress(targets):
            hashes[name] = files.hash_file(self.locate(name))
            if not (targets[name].is_file() and files.hash_file(targets[name]) == hashes[name]):
                with self.open(name) as stream:
                    archives.write_whole(stream, targets[name], self.sizes[name])
        return hashes


def open_bundle(path: str | Path) -> Bundle:
    """List what is in an archive or a folder; any other file is a bundle of itself.

    Raises:
        DataError: If it is missing, an archive that cannot be trusted, or bears or holds a name that is no text.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "l3_dataset.npz")
        >>> _ = path.write_bytes(b"arrays")
        >>> open_bundle(path).sizes
        {'l3_dataset.npz': 6}
        >>> open_bundle(path.parent).read("l3_dataset.npz")
        b'arrays'
    """
    path = Path(path)
    if path.is_dir():
        inside = sorted(file for file in path.rglob("*") if file.is_file())
        sizes = {file.relative_to(path).as_posix(): file.stat().st_size for file in inside}
        for name in (path.resolve().name, *sizes):
            _check_name(path, name)
        return Bundle(path, sizes, False)
    _check_name(path, path.name)
    if not path.is_file():
        raise DataError(path, "there is no such file", "check the name")
    if path.suffix.lower() == ".zip":
        return Bundle(path, archives.list_files(path), True)
    return Bundle(path, {path.name: path.stat().st_size}, False)


def _check_name(path: Path, name: str) -> None:
    """Refuse a name of bytes that stand for no text: no list of checksums and no record could say it."""
    try:
        name.encode("utf8")
    except UnicodeEncodeError:
        raise DataError(path, f"the name {name!a} is not UTF-8", "rename that file or folder") from None
