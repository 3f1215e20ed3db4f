"""Pack a bundle to hand out on a stick: the course, data whose licence allows it, and wheels, with their checksums.

    python -m data_scripts.pack --out DIR [--data DIR] [--subset N] [--wheels DIR]
    python -m data_scripts.pack --out DIR --verify

Stopped at any moment, the same command goes on where it was. README.txt in the bundle tells how to start from it.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

from data_scripts import arrange, checksums, commands, layouts, pack_folder, pack_readme, pack_wheels, sources
from data_scripts.pack_folder import Item
from data_scripts.sources import Source
from helpers import files, runtime
from helpers.files import DataError

LOCK, README = "requirements/cpu.txt", "README.txt"
WHEELS = 450_000_000  # bytes of all wheels of one system; measured: 418 MB for Python 3.11 on Linux
MOST = 20  # faults that are listed one by one


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns 0 if all is well, 1 if ``--verify`` found a fault, 2 if it could not be done."""
    parser = argparse.ArgumentParser(prog="python -m data_scripts.pack", description="Pack a bundle to hand out.")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the bundle, a folder of its own")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the data root (COURSE_DATA, or data/)")
    parser.add_argument(
        "--subset", type=commands.at_least(1), metavar="N", help="N cases of each class, always the same"
    )
    given = "a folder of wheels, or none to leave them out; downloaded by pip if not said"
    parser.add_argument("--wheels", metavar="DIR", help=given)
    parser.add_argument("--verify", action="store_true", help="hash again what is in the bundle")
    chosen = parser.parse_args(arguments)
    return commands.finish(partial(_run, chosen), chosen.out)


def _run(chosen: argparse.Namespace) -> int:
    if chosen.verify:
        faults = pack_folder.verify(chosen.out)
        print(f"{chosen.out}: {f'{len(faults)} faults' if faults else 'as it was packed'}")
        print("".join(f"  {line}\n" for line in faults[:MOST]), end="")
        print(f"  and {len(faults) - MOST} more\n" if len(faults) > MOST else "", end="")
        return int(bool(faults))
    pack(chosen.out, chosen.data, chosen.subset, chosen.wheels)
    return 0


def pack(out: Path, data: Path | None = None, subset: int | None = None, wheels: str | None = None) -> Path:
    """Make a bundle, or bring one up to date.

    Args:
        out: The folder; made if missing, and else empty or an earlier bundle. A file in it that is the right one stays.
        data: The data root; `runtime.data_root` without.
        subset: How many cases of each class at most; all without.
        wheels: A folder of them, "none", or nothing to have pip download those for this system.

    Returns:
        The folder. While it holds UNFINISHED.txt, it is not whole; only a whole one holds SHA256SUMS.

    Raises:
        DataError: In one sentence what is wrong and what to do.
        OSError: If something cannot be read or written.
    """
    if data is not None and not data.is_dir():
        raise DataError(data, "there is no such folder", "correct --data, or leave it away")
    data, course = data or runtime.data_root(), runtime.ROOT
    _refuse_place(out, course, data)
    lock = pack_wheels.read_lock(course / LOCK)
    items = {f"course/{name}": Item(course / name) for name in course_files(course)}
    print(f"course: {len(items)} files")
    packed, absent = {}, {}
    for name, source in sources.SOURCES.items():
        absent[name] = why_not(source, data)
        if not absent[name]:
            del absent[name]
            found, packed[name] = _choose_data(data / name, subset)
            items |= {f"data/{name}/{inside}": item for inside, item in found.items()}
        print(f"{name}: {packed.get(name) or f'left out: {absent[name]}'}")
    there = pack_wheels.check_given(lock, Path(wheels)) if wheels not in (None, "none") else {}
    items |= {f"wheels/{name}": Item(Path(wheels, name), digest) for name, digest in there.items()}
    wanted = {*items, README}
    pack_folder.find_stale(out, wanted)  # before anything is made there, and again when nobody else is at work on it
    _need_room(out, items, wheels is None)
    out.mkdir(parents=True, exist_ok=True)
    with checksums.locked(out / pack_folder.BUSY, print):
        stale = pack_folder.find_stale(out, wanted)
        pack_folder.begin(out, wanted | stale)
        if wheels is None:
            there = pack_wheels.download(course / LOCK, out / "wheels")
            items |= {f"wheels/{name}": Item(out / "wheels" / name, digest) for name, digest in there.items()}
        systems = pack_wheels.systems(there)
        pairs = ", ".join(f"Python {python} on {system}" for python, system in systems)
        print(f"wheels: {f'{len(there)}, for {pairs}' if there else 'left out, as --wheels none says'}")
        items[README] = Item(pack_readme.write(len(there), systems, packed, absent))
        pack_folder.finish(out, items, stale)
    print(f"Packed {len(items):,} files, {sum(item.size for item in items.values()) / 1e6:,.1f} MB, in {out}.")
    print(f"{README} in it tells how to start. To hash it again: python -m data_scripts.pack --out {out} --verify")
    return out


def course_files(root: Path) -> list[str]:
    """The files of the course: those that git tracks, or without git all but what ``.gitignore`` names.

    Raises:
        DataError: If git cannot tell, or if one of them is not there.
    """
    if (root / ".git").exists() and shutil.which("git"):
        done = subprocess.run(["git", "-C", str(root), "ls-files", "-z"], capture_output=True)
        if done.returncode:
            raise DataError(root, "git cannot list its files", "run git status there, which tells why")
        names = sorted(set(os.fsdecode(done.stdout).split("\0")) - {""})
        gone = [name for name in names if not (root / name).is_file()]
        if gone:
            raise DataError(root / gone[0], "git tracks it, but it is not there", "get it back with git restore")
        return names
    ignored = [".git"]
    if (root / ".gitignore").is_file():
        ignored += [line.rstrip("/") for line in (root / ".gitignore").read_text(encoding="utf8").split()]
    names = []
    for folder, inside, there in os.walk(root):
        inside[:] = [name for name in inside if not any(fnmatch(name, pattern) for pattern in ignored)]
        names += [Path(folder, name).relative_to(root).as_posix() for name in there]
    return sorted(names)


def why_not(source: Source, data: Path) -> str:
    """Why a data set cannot be part of the bundle; nothing if it can.

    Only of what `python -m data_scripts.fetch` laid out from the archives is it known that it is the original files.
    """
    folder = data / source.name
    if not folder.is_dir():
        return "it was not among the data at hand"
    record = arrange.read_record(folder)
    if record is None and runtime.find_data(source.name, data) and not runtime.is_real(source.name, data):
        return "there were only phantoms of it, which every notebook makes by itself"
    if not source.may_hand_on:
        return f"its terms do not allow to hand it on ({source.licence})"
    if record is None or not all("sha256" in archive for archive in record.get("archives", [{}])):
        return "it was not laid out by data_scripts.fetch from archives, so nothing tells whether it is the original"
    return ""


def _choose_data(folder: Path, subset: int | None) -> tuple[dict[str, Item], str]:
    """The original files of a data set that was fetched, or of some of its cases, and what that is in words."""
    record, known = arrange.read_record(folder), pack_folder.read_sums(folder / arrange.SUMS)
    by_class: dict[str, list[str]] = {}
    for name in known:
        by_class.setdefault(name.rpartition("/")[0].split("/")[0], []).append(name)
    beside = by_class.pop("", [])
    if not by_class:
        raise DataError(folder / arrange.SUMS, "it is no list of checksums", "move its folder away, and fetch it again")
    chosen = {name: layouts.choose(there, subset or len(there)) for name, there in sorted(by_class.items())}
    kept = sorted([*beside, *(name for there in chosen.values() for name in there)])
    items = {name: Item(folder / name, known[name]) for name in kept}
    counts = {name: len(there) for name, there in chosen.items()}
    if any(counts[name] < len(there) for name, there in by_class.items()):
        fewer = record | {"subset": subset, "cases": counts}  # what stands beside the cases must be true of them
        text = (json.dumps(fewer, indent=2, ensure_ascii=False) + "\n").encode()
        items[arrange.RECORD] = Item(text, files.hash_bytes(text))
    lines = "".join(f"{item.sha256}  {name}\n" for name, item in items.items())
    items[arrange.SUMS] = Item(lines.encode())
    return items, ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _refuse_place(out: Path, course: Path, data: Path) -> None:
    place = out.resolve()
    if place.is_relative_to(data.resolve()):
        raise DataError(out, "it lies in the data root, where nothing else may be written", "name another folder")
    if place.is_relative_to(course) and not place.is_relative_to(course / "build"):
        raise DataError(out, "it lies in the course's own folder", "name one elsewhere, or in build/")


def _need_room(out: Path, items: Mapping[str, Item], download: bool) -> None:
    """Refuse before the first byte if the rest does not fit."""
    needed = sum(item.size for name, item in items.items() if pack_folder.length(out / name) != item.size)
    if download:
        needed += max(WHEELS - sum(path.stat().st_size for path in (out / "wheels").glob("*.whl")), 0)
    place = out.resolve()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed > free:
        fault = f"about {needed / 1e6:,.1f} MB are needed, and {free / 1e6:,.1f} MB are free"
        raise DataError(out, fault, "make room, choose a smaller --subset, or name a folder on another disk")


if __name__ == "__main__":
    sys.exit(main())
