"""One file over HTTP, on bad Wi-Fi: resumed where it broke off, checked, and under its own name only when whole.

Used by `python -m data_scripts.fetch`, which gets the real data of the notebooks.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

import requests

from data_scripts import answers, checksums
from data_scripts.answers import BY_HAND, Broken, Patience
from helpers import files, runtime
from helpers.files import DataError

GO_ON = "run the same command again: it goes on from there"
Report = Callable[[str], object]
USUAL = Patience()


def download(
    url: str,
    path: str | os.PathLike,
    *,
    size: int | None = None,
    sha256: str | None = None,
    report: Report = print,
    patience: Patience = USUAL,
) -> Path:
    """Get a file, or what is still missing of it.

    Until it is whole, it is called ``<name>.part``, and ``<name>.part.json`` says what that is half of. After a stop at
    any moment and by any means, the same call goes on.

    Args:
        url: Its address, http or https.
        path: Where it shall be; the folder is made if missing. A file that is there already is checked, not replaced.
        size: Bytes, where they are known.
        sha256: 64 hexadecimal digits, where they are published. Where they are not, those first seen are written to
            ``checksums.json`` beside the file, and whatever comes later under this name is held against them.
        report: Takes one line at a time.
        patience: How often and how long to try.

    Returns:
        The path.

    Raises:
        DataError: If it cannot be had, or is not what it should be. A part that can be gone on from is kept.
        ValueError: If the address is not one of the web.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "train.csv"
        >>> _ = path.write_text("ImageId")
        >>> download("https://data.invalid/train.csv", path, size=7).name
        train.csv: it is there already, 0.0 MB
        train.csv: no SHA-256 is published; the one first seen, 11f9e0e28f13…, now stands in checksums.json
        'train.csv'

    Used by `python -m data_scripts.fetch`.
    """
    path = Path(path)
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"an address begins with http or https, but this is {url!r}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with checksums.locked(path, report):
            _finish(url, path, size, sha256, report, patience)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            fault = f"the disk is full, and {_size(_length(_part(path)))} of it are kept"
            raise DataError(path, fault, f"make room, then {GO_ON}") from None
        remedy = f"check the disk and the permissions, then {GO_ON}"
        raise DataError(path, f"it cannot be written ({error.strerror})", remedy) from None
    return path


def _finish(url: str, path: Path, size: int | None, sha256: str | None, report: Report, patience: Patience) -> None:
    """All that is done under the lock. The checksum is written down before the file bears its name."""
    part = None if path.exists() else _part(path)
    checksums.recorded(path)  # if that is damaged, it is said before hours of work
    if part:
        _try_often(url, path, size, sha256, report, patience)
    try:
        digest = checksums.check(path, size=size, sha256=sha256, part=part)
    except DataError:
        if part:
            _forget(path)
        raise
    length = _length(part or path)
    report(f"{path.name}: it is {'whole' if part else 'there already'}, {_size(length)}")
    if checksums.record(path, digest, length, bool(sha256), report) and not sha256:
        seen = f"no SHA-256 is published; the one first seen, {digest[:12]}…, now stands in {checksums.NAME}"
        report(f"{path.name}: {seen}")
    if part:
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    _forget(path)


def _try_often(url: str, path: Path, size: int | None, sha256: str | None, report: Report, patience: Patience) -> None:
    """Leave the whole file in its part, after as many tries as it takes."""
    known = _known(path, url, size)
    failed, furthest, version = 0, _length(_part(path)) if known else 0, known.get("version")
    with requests.Session() as session:
        while True:
            try:
                return _receive(session, url, path, size, sha256, report, patience)
            except Broken as broken:
                reached, latest = _length(_part(path)), _known(path, url, size).get("version", version)
                if version not in (None, latest):  # no progress in itself, else it could change without end
                    furthest = reached
                # A server that cannot go on in the middle must come further than it ever did with this version.
                further = reached - furthest >= patience.slowest * patience.stall
                failed, furthest, version = 1 if further else failed + 1, max(furthest, reached), latest
                if failed == patience.tries:
                    fault = f"{broken}, {failed} tries in a row brought it no further, and {_size(reached)} are kept"
                    raise DataError(path, fault, f"check the network, then {GO_ON}") from None
                wait = min(2.0 ** (failed - 1) if broken.wait is None else broken.wait, patience.longest)
                report(f"{path.name}: {broken}; trying again{f' in {wait:.0f} s' if wait else ''}")
                patience.sleep(wait)


def _receive(session, url: str, path: Path, size: int | None, sha256: str | None, report, patience: Patience) -> None:
    """One try: ask for what is missing, and write it down as it comes."""
    there = _length(_part(path))
    known = _known(path, url, size) if there else {}
    if known.get("bytes") == there and there:
        return
    version = known.get("version", "")
    asked = there if known and (version or sha256) else 0
    headers = {"Accept-Encoding": "identity"}  # else a length would be that of something packed
    if asked:
        headers |= {"Range": f"bytes={asked}-"} | ({"If-Range": version} if version else {})
    with answers.ask(session, url, path, headers, patience) as response:
        start, total = answers.place(response)
        offered = answers.version(response)
        chunks = answers.chunks(response, patience)
        head = next(chunks, b"")
        if not head and total != 0 and not response.headers.get("Content-Range", "").startswith("bytes *"):
            # Its header may be cut off, too: nothing that is missing there may cost the part.
            raise Broken("the connection broke off before a byte came")
        if response.status_code == 416 or start not in (0, asked) or (start and _other(known, offered, total)):
            _forget(path)
            raise Broken("the server offers the rest of something else, so it is begun anew", 0)
        total = known.get("bytes") if start and total is None else total
        _refuse(response, head, path, start, total, size, sha256)
        total = total if size is None else size
        _need_room(path, (total or 0) - there)
        if start:
            report(f"{path.name}: going on after {_size(start)}{f' of {_size(total)}' if total else ''}")
        elif there:
            why = "nothing tells whether its part still belongs to it"
            if asked:
                why = "it was changed at its source" if offered != version else "the server can only begin at the start"
            report(f"{path.name}: begun anew, because {why}")
        else:
            report(f"{path.name}: getting {_size(total) if total else 'it'} from {urlsplit(response.url).hostname}")
        with open(_part(path), "ab" if start else "wb", buffering=0) as file:
            if not start:  # the part is empty now: no bytes ever lie beside a note on others
                files.write_json(_note(path), {"url": url, "version": offered, "bytes": total})
            length = _write(file.fileno(), chain([head], chunks), start, total, path.name)
    if total is not None and length > total:
        _forget(path)
        raise DataError(path, f"the server sends more than the {total:,} bytes that it must have", BY_HAND)
    if total is not None and length < total:
        raise Broken("the connection broke off")


def _refuse(
    response: requests.Response, head: bytes, path: Path, start: int, total: int | None, size: int | None, sha256
) -> None:
    """Refuse what cannot be the file, before a byte of it is written and a part is lost for it."""
    host = urlsplit(response.url).hostname
    page = "html" in response.headers.get("Content-Type", "") or head.lstrip().startswith(b"<")
    if page and not start and not head.startswith(b"PK"):
        fault = f"{host} sends a web page instead of it, such as one to log in"
        raise DataError(path, fault, f"log in to the network or the site in a browser and try again, or {BY_HAND}")
    if (packed := response.headers.get("Content-Encoding", "").lower()) not in ("", "identity"):
        fault = f"{host} packs it on the way ({packed!a}), although it is asked not to"
        raise DataError(path, fault, BY_HAND)
    if None not in (size, total) and total != size:
        fault = f"{host} offers {total:,} bytes, but it must have {size:,}"
        raise DataError(path, fault, f"look whether its source has a new version, or {BY_HAND}")
    if total == 0:
        raise DataError(path, f"{host} sends an empty file instead of it", f"try again later, or {BY_HAND}")
    if total is None and size is None and not sha256 and not response.raw.chunked:
        raise DataError(path, f"{host} does not say how long it is, so that half of it could pass", BY_HAND)


def _write(file: int, chunks: Iterable[bytes], start: int, total: int | None, label: str) -> int:
    """Write chunks as they come, show how far they are, and return how far they came."""
    place, bar = start, runtime.progress((), total=total, label=label)
    bar.unit, bar.unit_scale, bar.n, bar.initial = "B", True, start, start
    with bar:
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:  # a disk that fills up takes less than it is given
                rest = rest[os.write(file, rest) :]
            place += len(chunk)
            bar.update(len(chunk))
            if total is not None and place > total:
                break
    return place


def _other(known: dict, offered: str, total: int | None) -> bool:
    """Whether the rest that is offered is the rest of another file."""
    lengths = {total, known["bytes"]} - {None}
    return bool(offered and known["version"] and offered != known["version"]) or len(lengths) > 1


def _known(path: Path, url: str, size: int | None) -> dict:
    """What an earlier call noted on its part, if that is part of what is wanted."""
    try:
        known = files.read_json(_note(path))
    except DataError:
        return {}  # the caller says that nothing is known
    if not (isinstance(known, dict) and known.keys() == {"url", "version", "bytes"} and known["url"] == url):
        return {}
    if not (isinstance(known["bytes"], int | None) and isinstance(known["version"], str | None)):
        return {}
    total = size if known["bytes"] is None else known["bytes"]
    return known if size in (None, total) and (total is None or _length(_part(path)) <= total) else {}


def _need_room(path: Path, more: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if more > free:
        raise DataError(path, f"it needs {_size(more)} more, and {_size(free)} are free", "make room on the disk")


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.part.json")


def _forget(path: Path) -> None:
    """Remove the part, its note, and halves of notes."""
    checksums.sweep(_note(path))
    for leftover in (_part(path), _note(path)):
        leftover.unlink(missing_ok=True)


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _size(length: int) -> str:
    return f"{length / 1e6:,.1f} MB"
