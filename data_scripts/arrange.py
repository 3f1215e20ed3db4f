"""A data set laid out whole or not at all, with its terms and checksums beside it, and checked again later.

Used by `python -m data_scripts.fetch`.
"""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from data_scripts.layouts import ORIGIN, Plan
from data_scripts.sources import Source
from helpers import files, runtime
from helpers.files import DataError
from helpers.parallel import in_threads

SUMS, RECORD, LICENCE = "SHA256SUMS", "SOURCE.json", "LICENCE.txt"
ANEW = "move its folder away, and fetch it again"


def lay_out(folder: Path, source: Source, planned: Plan, record: Mapping[str, object]) -> None:
    """Write what was planned; broken off at any moment, the same call goes on.

    Until all is there, the folder is called ``.<name>.part``, where no notebook looks. Beside the data stand
    LICENCE.txt, SOURCE.json (the record), ORIGIN.json (what the notebooks show of licence and citation) and SHA256SUMS,
    which ``sha256sum -c`` can read, too.

    Args:
        folder: Where the data set shall be; it must not exist yet.
        source: Its terms.
        planned: What goes where.
        record: For SOURCE.json.

    Raises:
        DataError: If an archive is damaged or there is no room for it.
        OSError: If something cannot be written.
    """
    part = part_of(folder)
    part.mkdir(parents=True, exist_ok=True)
    for path in _files(part):  # of another choice, or half written
        if path.relative_to(part).as_posix() not in planned.targets:
            path.unlink()
    hashes = {}
    for bundle in {item.bundle: None for item in planned.targets.values()}:
        inside = {item.name: target for target, item in planned.targets.items() if item.bundle is bundle}
        show = partial(runtime.progress, total=len(inside), label=f"unpacking {bundle.path.name}")
        done = bundle.copy({name: part / target for name, target in inside.items()}, show)
        hashes |= {inside[name]: digest for name, digest in done.items()}
    own = [planned.trim(part)] if planned.trim else []
    terms = f"{source.title}\n\nLicence: {source.licence}.\n\n{source.terms}\n\nCitation: {source.citation}.\n"
    files.write_atomic(part / LICENCE, lambda file: file.write(terms.encode()))
    files.write_json(part / RECORD, record)
    if ORIGIN not in planned.targets:
        files.write_json(part / ORIGIN, {"origin": "real", "what": source.citation, "licence": source.licence})
    hashes |= {name: files.hash_file(part / name) for name in (LICENCE, RECORD, ORIGIN, *own)}
    lines = [f"{digest}  {name}\n" for name, digest in sorted(hashes.items()) if (part / name).is_file()]
    files.write_atomic(part / SUMS, lambda file: file.write("".join(lines).encode()))
    for path in sorted((path for path in part.rglob("*") if path.is_dir()), reverse=True):
        if not any(path.iterdir()):
            path.rmdir()
    if hasattr(os, "sync"):
        os.sync()  # so that the last name stands for data on the disk, even if a stick is pulled out now
    part.rename(folder)


def part_of(folder: Path) -> Path:
    """What the folder of a data set is called until all of it is there."""
    return folder.with_name(f".{folder.name}.part")


def read_record(folder: Path) -> dict | None:
    """What SOURCE.json says of a data set that was fetched; None where there is none.

    Raises:
        DataError: If it is damaged.
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        record = files.read_json(path)
    except DataError as error:
        raise DataError(path, error.fault, ANEW) from None
    if not (isinstance(record, dict) and _says_what(record)):
        raise DataError(path, "it does not say what was fetched", ANEW)
    return record


def _says_what(record: dict) -> bool:
    """Whether a record holds what is read from it, in the kinds that were written; a hand may have changed it."""
    cases, archives = record.get("cases"), record.get("archives", [])
    return (
        isinstance(record.get("variant"), str)
        and isinstance(record.get("subset", ""), int | None)
        and isinstance(cases, dict)
        and all(isinstance(count, int) for count in cases.values())
        and isinstance(archives, list)
        and all(isinstance(archive, dict) for archive in archives)
    )


def verify(folder: Path) -> list[str]:
    """Hash everything again that was laid out, and tell what is missing, changed or new, in a line each.

    Raises:
        DataError: If it was not fetched, or if its list of checksums is damaged.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / SUMS).write_text("0f" * 32 + "  CT-0/1.nii.gz\\n")
        >>> verify(folder)
        ['CT-0/1.nii.gz is missing']
    """
    sums = folder / SUMS
    try:
        lines = sums.read_text(encoding="utf8").splitlines()
    except FileNotFoundError:
        if (folder / RECORD).is_file():
            return [f"{SUMS} is missing, so that nothing tells what else is changed"]
        raise DataError(
            folder, f"it holds no {SUMS}", "only what was fetched by this command can be verified"
        ) from None
    except (OSError, UnicodeDecodeError):
        raise DataError(sums, "it cannot be read", ANEW) from None
    known = {line[66:]: line[:64] for line in lines}
    if not known or any(len(line) < 67 or line[64:66] != "  " for line in lines):
        raise DataError(sums, "it is no list of checksums", ANEW)
    there = {_printable(path.relative_to(folder).as_posix()): path for path in _files(folder)}
    both = sorted(known.keys() & there.keys())
    digests = list(runtime.progress(in_threads(files.hash_file, map(there.get, both)), len(both), folder.name))
    faults = [f"{name} is missing" for name in sorted(known.keys() - there.keys())]
    faults += [f"{name} is changed" for name, digest in zip(both, digests, strict=True) if digest != known[name]]
    return faults + [f"{name} is new here" for name in sorted(there.keys() - known.keys() - {SUMS})]


def _files(folder: Path) -> list[Path]:
    """All files of a folder, without what desktops hide there."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in found if all(part[0] != "." for part in path.relative_to(folder).parts)]


def _printable(name: str) -> str:
    """A name of bytes that stand for no text, spelled out; any other as it is."""
    return name.encode("utf8", "backslashreplace").decode()
