"""A folder that is brought to hold just certain files: marked as long as it is not whole, then with their checksums.

Used by `python -m data_scripts.pack`.
"""

import io
import os
import re
from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from helpers import archives, files, runtime
from helpers.files import DataError

SUMS, UNFINISHED = "SHA256SUMS", "UNFINISHED.txt"
TELLTALE = "course/requirements/cpu.txt"  # is in every bundle, and at this place in nothing else
WHEELS = "wheels/*.whl"  # what pip brings into it, whatever it is called
BUSY = "bundle"  # the name of its lock
GO_ON = "This bundle is not whole yet: call data_scripts.pack again. What was meant to be in it:"
LINE = re.compile(r"[0-9a-f]{64}  [^/].*")
OF_WINDOWS = ("System Volume Information", "$RECYCLE.BIN")  # on every stick that it formatted; others' begin with a dot


class Item(NamedTuple):
    """A file of the bundle: where it comes from, or its bytes; and the SHA-256 that it must have, if that is known."""

    content: Path | bytes
    sha256: str | None = None

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return len(self.content) if isinstance(self.content, bytes) else length(self.content)


def find_stale(out: Path, wanted: Collection[str]) -> set[str]:
    """What an earlier call wrote into a folder and is not wanted any more.

    Raises:
        DataError: If the folder holds something that no call wrote, hidden files and those of Windows aside.

    Example:
        >>> import tempfile
        >>> out = Path(tempfile.mkdtemp())
        >>> begin(out, ["course/a.py", "course/b.py"])
        >>> _ = write(out / "course" / "a.py", Item(b"pass"))
        >>> find_stale(out, ["course/b.py"])
        {'course/a.py'}
    """
    there = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    there = {name for name in there if name.split("/")[0] not in OF_WINDOWS}
    ours = {f"{UNFINISHED}.part", f"{BUSY}.lock"}
    begun = (out / UNFINISHED).read_text(encoding="utf8").splitlines() if (out / UNFINISHED).is_file() else []
    known = begun[1:] if begun[:1] == [GO_ON] else list(read_sums(out / SUMS))
    if TELLTALE in known or begun[:1] == [GO_ON]:
        ours |= {SUMS, UNFINISHED, *known, *wanted}
        ours |= {name for name in there if fnmatch(name, WHEELS)}
    for name in sorted(there):
        hidden = name.startswith(".") or "/." in name
        if not (hidden or name in ours or name.removesuffix(".part") in ours):
            raise DataError(out, f"it holds something else, {name}", "move that away, or name another folder")
    keep = {SUMS, UNFINISHED, f"{BUSY}.lock", *wanted}
    return {name for name in there - keep if name in ours or name.removesuffix(".part") in ours}


def begin(out: Path, names: Iterable[str]) -> None:
    """Mark a folder as not whole, and list what is or shall be in it, so that a later call knows its own."""
    write(out / UNFINISHED, Item("\n".join([GO_ON, *sorted(names), ""]).encode()))
    (out / SUMS).unlink(missing_ok=True)


def finish(out: Path, items: Mapping[str, Item], stale: Iterable[str]) -> None:
    """Bring everything into its place, then write the list of checksums, then take the mark away.

    Raises:
        DataError: If a file is missing or not what it must be.
        OSError: If something cannot be read or written.
    """
    for name in set(stale) - set(items):
        (out / name).unlink(missing_ok=True)
        for folder in Path(name).parents[:-2]:  # below course/, data/ and wheels/; an empty class would stop a notebook
            if (out / folder).is_dir() and not any((out / folder).iterdir()):
                (out / folder).rmdir()
    done = {name: write(out / name, item) for name, item in runtime.progress(items.items(), len(items), "copying")}
    if hasattr(os, "sync"):
        os.sync()  # so that the list stands for data on the stick, even if it is pulled out now
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(done.items()))
    write(out / SUMS, Item(lines.encode()))
    (out / UNFINISHED).unlink()


def verify(out: Path) -> list[str]:
    """Hash everything again that is listed in a bundle, and tell what is missing or changed, in a line each.

    Raises:
        DataError: If it is no bundle, or one that is not whole.

    Example:
        >>> import tempfile
        >>> out = Path(tempfile.mkdtemp())
        >>> _ = (out / SUMS).write_text("0f" * 32 + f"  {TELLTALE}\\n")
        >>> verify(out)
        ['course/requirements/cpu.txt is missing']
    """
    if (out / UNFINISHED).is_file():
        raise DataError(out, "it is not whole", "pack it again: the same command goes on")
    known = read_sums(out / SUMS)
    if TELLTALE not in known:
        raise DataError(out, "it is no bundle, or its list of checksums is damaged", "name another, or pack it again")
    faults = []
    for name, digest in runtime.progress(known.items(), len(known), "hashing"):
        if not (out / name).is_file():
            faults.append(f"{name} is missing")
        elif files.hash_file(out / name) != digest:
            faults.append(f"{name} is changed")
    return faults


def read_sums(path: Path) -> dict[str, str]:
    """SHA-256 by name, as ``sha256sum`` writes it; nothing where it is no such list, or leads out of its folder.

    Example:
        >>> read_sums(Path("no/such/SHA256SUMS"))
        {}
    """
    lines = path.read_text(encoding="utf8", errors="replace").splitlines() if path.is_file() else []
    whole = all(LINE.fullmatch(line) and ".." not in line[66:].split("/") for line in lines)
    return {line[66:]: line[:64] for line in lines} if whole else {}


def write(target: Path, item: Item) -> str:
    """Write one file, unless the right one is there, and return its SHA-256.

    Raises:
        DataError: If it is missing or not what it must be; nothing is written then.
    """
    if isinstance(item.content, bytes):
        source, digest, stream = target, files.hash_bytes(item.content), io.BytesIO(item.content)
    elif item.content.is_file():
        source, digest, stream = item.content, files.hash_file(item.content), open(item.content, "rb")  # noqa: SIM115
    else:
        raise DataError(item.content, "it is missing", "get it again; data_scripts.fetch --verify tells what is")
    with stream:
        if item.sha256 not in (None, digest):
            remedy = "get it again; data_scripts.fetch --verify tells all that is changed"
            raise DataError(source, "it is not what its checksum says, so it is not handed on", remedy)
        if length(target) == item.size and files.hash_file(target) == digest:
            return digest
        try:
            if archives.write_whole(stream, target, item.size) == digest:
                return digest
        except EOFError:
            pass  # it has another length by now
    target.unlink(missing_ok=True)
    raise DataError(source, "it was changed while it was copied", "run the same command again")


def length(path: Path) -> int:
    """Bytes of a file, or -1 where there is none."""
    return path.stat().st_size if path.is_file() else -1
