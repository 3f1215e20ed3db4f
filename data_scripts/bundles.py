"""What comes from outside: a zip archive, a folder that was unpacked by hand, or a single file, handled alike.

Used by `python -m data_scripts.fetch`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

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
        return archives.read_one(self.path, name) if self.packed else self._inside(name).read_bytes()

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
            hashes[name] = files.hash_file(self._inside(name))
            if not (targets[name].is_file() and files.hash_file(targets[name]) == hashes[name]):
                with open(self._inside(name), "rb") as stream:
                    archives.write_whole(stream, targets[name], self.sizes[name])
        return hashes

    def _inside(self, name: str) -> Path:
        return self.path / name if self.path.is_dir() else self.path


def open_bundle(path: str | Path) -> Bundle:
    """List what is in an archive or a folder; any other file is a bundle of itself.

    Raises:
        DataError: If it is missing, or an archive that cannot be trusted.

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
        return Bundle(path, {file.relative_to(path).as_posix(): file.stat().st_size for file in inside}, False)
    if not path.is_file():
        raise DataError(path, "there is no such file", "check the name")
    if path.suffix.lower() == ".zip":
        return Bundle(path, archives.list_files(path), True)
    return Bundle(path, {path.name: path.stat().st_size}, False)
