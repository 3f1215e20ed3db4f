"""Get the real data: download, check and lay out a data set so that the notebooks find it.

    python -m data_scripts.fetch {mosmed,l3,siim,radiography} [--out DIR] [--subset N]
    python -m data_scripts.fetch --list
    python -m data_scripts.fetch --verify

Stopped at any moment, the same command goes on where it was.
"""

import argparse
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from functools import partial
from pathlib import Path

from data_scripts import arrange, checksums, commands, kaggle_client, layouts, sources
from data_scripts.bundles import open_bundle
from data_scripts.download import download
from data_scripts.sources import Source, Variant
from helpers import files, runtime
from helpers.files import DataError

ARCHIVES = ".downloads"  # in the data root; hidden, so that no notebook takes it for a class of scans
MOST = 20  # faults that are listed one by one


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns 0 if all is well, 1 if ``--verify`` found a fault, 2 if it could not be done."""
    parser = argparse.ArgumentParser(prog="python -m data_scripts.fetch", description="Get the real data.")
    variants = "; ".join(
        f"{name}: {', '.join(variant.name for variant in source.variants)}"
        for name, source in sources.SOURCES.items()
        if len(source.variants) > 1
    )
    parser.add_argument("name", nargs="?", choices=sources.SOURCES, help="which data set")
    parser.add_argument("--out", type=Path, metavar="DIR", help="the data root (COURSE_DATA, or data/)")
    fewer = "lay out N cases of each class, always the same; the download stays whole"
    parser.add_argument("--subset", type=commands.at_least(1), metavar="N", help=fewer)
    given = "archives that are here already, or folders with what was in them"
    parser.add_argument("--from", dest="given", type=Path, nargs="+", metavar="FILE", help=given)
    parser.add_argument("--variant", default="", help=f"which of its versions ({variants}); the first if not said")
    parser.add_argument("--yes", action="store_true", help="accept the terms without being asked")
    parser.add_argument("--list", action="store_true", help="all data sets: size, terms, source, and what is here")
    parser.add_argument("--verify", action="store_true", help="hash again what was fetched")
    chosen = parser.parse_args(arguments)
    if not (chosen.name or chosen.list or chosen.verify):
        parser.error(f"name a data set ({', '.join(sources.SOURCES)}), or give --list or --verify")
    return commands.finish(partial(_run, parser, chosen), chosen.out or Path("data"))


def _run(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> int:
    root = chosen.out or runtime.data_root()
    names = [chosen.name] if chosen.name else list(sources.SOURCES)
    if chosen.list:
        print("\n\n".join("\n".join(describe(sources.SOURCES[name], root)) for name in names))
        return 0
    if chosen.verify:
        return _verify(chosen.name, root)
    source = sources.SOURCES[chosen.name]
    if chosen.variant not in ("", *(variant.name for variant in source.variants)):
        parser.error(f"the variants of {source.name} are {', '.join(each.name for each in source.variants)}")
    fetch(source, root, chosen.variant, chosen.subset, chosen.given or [], accept if not chosen.yes else None)
    return 0


def fetch(
    source: Source,
    root: Path,
    variant: str = "",
    subset: int | None = None,
    given: Sequence[Path] = (),
    agree: Callable[[Source], None] | None = None,
) -> Path:
    """Get one data set and lay it out.

    Args:
        source: The data set.
        root: The data root; made if missing.
        variant: Which of its variants; the usual one, or the first one that fits to what is given.
        subset: How many cases of each class at most; all without.
        given: Archives, folders or files that are here already; else they are downloaded.
        agree: Asked after the terms were shown; raises if they are not accepted.

    Returns:
        The folder of the data set.

    Raises:
        DataError: In one sentence what is wrong and what to do; the same call goes on from what is there.
        OSError: If something cannot be read or written.
    """
    bundles = [open_bundle(path) for path in given]
    wanted = source.variant(variant)
    if given and not variant:
        wanted = next((each for each in source.variants if layouts.fits(each, bundles)), wanted)
    folder = root / source.name
    if _stands(folder, wanted, subset):
        return folder
    print("\n".join(_terms(source, wanted)))
    if subset and not given:
        print(f"  download: whole, about {_size(wanted.size)}; of it, at most {subset} of each class are laid out")
    if agree:
        agree(source)
    root.mkdir(parents=True, exist_ok=True)
    with checksums.locked(root / f".{source.name}", print):
        if _stands(folder, wanted, subset):  # another process has done it meanwhile
            return folder
        if not given:
            _need_room(root, source.name, wanted, subset)
            bundles = [open_bundle(path) for path in _download(source, wanted, root / ARCHIVES / source.name)]
        planned = layouts.plan(source, wanted, bundles, subset)
        record = {
            "name": source.name,
            "title": source.title,
            "variant": wanted.name,
            "subset": subset,
            "cases": planned.counts,
            "aside": planned.aside,
            "where": wanted.where,
            "fetched": date.today().isoformat(),
            "archives": [_describe_archive(bundle.path, bool(given)) for bundle in bundles],
            "licence": source.licence,
            "citation": source.citation,
        }
        arrange.lay_out(folder, source, planned, record)
    print("\n".join(_done(folder, wanted, planned, bool(given))))
    return folder


def accept(source: Source) -> None:
    """Ask whether the terms are accepted.

    Raises:
        DataError: If they are not, or if nobody is there to answer.
    """
    if not sys.stdin.isatty():
        raise DataError(Path(source.name), "nobody is here to accept its terms", "give --yes if you accept them")
    try:
        answer = input("Do you accept these terms? [y/N] ")
    except (EOFError, UnicodeDecodeError):  # Ctrl-D, and keys that stand for no text
        answer = ""
        print()
    if answer.strip().lower() not in ("y", "yes"):
        raise DataError(Path(source.name), "its terms are not accepted, so nothing was downloaded", "go on on phantoms")


def describe(source: Source, root: Path) -> list[str]:
    """What ``--list`` says of a data set: where it comes from, on whose terms, and what of it is here."""
    lines = [f"{source.name}: {source.title}", f"  licence: {source.licence}", f"  citation: {source.citation}"]
    for variant in source.variants:
        lines.append(f"  variant {variant.name}: {variant.what}; download of about {_size(variant.size)}")
        lines.append(f"    from {variant.where}")
        lines += [f"    {variant.notes}"] if variant.notes else []
    try:
        return [*lines, f"  here: {_state(source, root)}"]
    except DataError as fault:  # of this one; the others can still be listed
        return [*lines, f"  here: {fault}"]


def _state(source: Source, root: Path) -> str:
    folder, kept = root / source.name, root / ARCHIVES / source.name
    waiting = f"; archives of {_size(_bytes(kept))} in {kept}" if kept.is_dir() else ""
    if folder.is_dir():
        record = arrange.read_record(folder)
        if record is None:
            return f"a folder that this command did not make ({folder}){waiting}"
        what = f"{_counted(record['cases'])}; {record['variant']}, {_size(_bytes(folder))}, of {record.get('fetched')}"
        return f"{what}, in {folder}{waiting}"
    begun = waiting or arrange.part_of(folder).is_dir()
    return f"begun, not laid out yet{waiting}: the same command goes on" if begun else "nothing"


def _stands(folder: Path, variant: Variant, subset: int | None) -> bool:
    """Whether just this is laid out already; anything else in its place is refused."""
    if not folder.exists():
        return False
    record = arrange.read_record(folder)
    if record is None:
        fault = "it is there already, and was not made by this command"
        raise DataError(folder, fault, "move it away, or name another data root with --out")
    if (record["variant"], record["subset"]) != (variant.name, subset):
        has = f"{record['variant']}, {record['subset'] or 'all'} of each class"
        raise DataError(folder, f"something else is there already ({has})", "move it away, or name another with --out")
    print(f"{folder} is there already, whole: {_counted(record['cases'])}; --verify hashes it again.")
    return True


def _terms(source: Source, variant: Variant) -> Iterator[str]:
    yield f"{source.title}: {variant.what}"
    yield from (f"  note: {variant.notes}",) if variant.notes else ()
    yield f"  from: {variant.where}"
    yield f"  citation: {source.citation}"
    yield f"  licence: {source.licence}"
    yield from (f"  {line}" for line in source.terms.splitlines())


def _need_room(root: Path, source: str, variant: Variant, subset: int | None) -> None:
    """Refuse before the first byte if archives and data together do not fit; the sizes are about right."""
    share = 1.0
    if subset and variant.counts:
        share = sum(min(subset, count) for count in variant.counts.values()) / sum(variant.counts.values())
    missing = max(variant.size - _bytes(root / ARCHIVES / source), 0)
    needed = missing + max(share * variant.unpacked - _bytes(arrange.part_of(root / source)), 0)
    free = shutil.disk_usage(root).free
    if needed > free:
        fault = f"about {_size(needed)} are needed for the archives and what is unpacked, and {_size(free)} are free"
        raise DataError(root, fault, "make room, or name a folder on another disk with --out")


def _download(source: Source, variant: Variant, folder: Path) -> list[Path]:
    """The archives of a variant, each whole."""
    if variant.kaggle:
        path = folder / f"{variant.kaggle.rpartition('/')[2]}.zip"
        if not path.exists():
            kaggle_client.fetch_archive(variant.kaggle, path, variant.size)
        return [download(variant.where, path)]  # it is there: its checksum is recorded, or held against the record
    if not variant.files:
        fault = f"{source.title} cannot be downloaded by a program"
        raise DataError(folder, fault, f"see {variant.where}; then give the file with --from")
    return [download(file.url, folder / file.name, size=file.size, sha256=file.sha256) for file in variant.files]


def _describe_archive(path: Path, given: bool) -> dict[str, object]:
    """What the record says of an archive; of a folder that was unpacked by hand, its name alone."""
    if path.is_dir():
        return {"name": path.resolve().name}
    digest = files.hash_file(path) if given else checksums.recorded(path)["sha256"]
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": digest}


def _done(folder: Path, variant: Variant, planned: layouts.Plan, given: bool) -> Iterator[str]:
    yield f"Laid out {_counted(planned.counts)} in {folder} ({_size(_bytes(folder))})."
    for name, count in planned.counts.items():
        if count < planned.found[name]:
            yield f"  {count} of {planned.found[name]} {name} were drawn, by name; the others stay in the archive."
        elif not given and count < variant.counts.get(name, count):
            yield f"  {variant.counts[name]} {name} are published, but the archive holds {count}."
    if planned.aside:
        yield f"  Kept aside, in the archive: {_counted(planned.aside)}."
    kept = folder.parent / ARCHIVES / folder.name
    if not given:
        yield f"The archives stay in {kept} ({_size(_bytes(kept))}); delete them if you need the room."
    yield f"To look it over: python -m helpers.check {folder.parent}"
    yield runtime.say_how(folder.parent)


def _verify(wanted: str | None, root: Path) -> int:
    """Hash everything again that was fetched, one data set or all, and say what is not as it was."""
    names = [wanted] if wanted else [name for name in sources.SOURCES if _was_fetched(root, name)]
    failed = False
    for name in names:
        folder, kept, whole = root / name, root / ARCHIVES / name, "as it was fetched"
        faults = []
        if folder.is_dir():
            faults += arrange.verify(folder)
        elif wanted:
            faults += [f"{name} is not laid out here"]
        else:
            whole = "its archives are as they were fetched; it is not laid out here"
        for path in sorted(kept.glob("*")):
            try:
                _ = checksums.recorded(path) and checksums.check(path)
            except DataError as fault:
                faults.append(str(fault))
        failed = failed or bool(faults)
        print(f"{name}: {f'{len(faults)} faults' if faults else whole}")
        print("".join(f"  {line}\n" for line in faults[:MOST]), end="")
        if len(faults) > MOST:
            print(f"  and {len(faults) - MOST} more")
        if faults and folder.is_dir():
            print(f"  To get it back, move {folder} away and fetch it again.")
        elif faults:
            print(f"  To get it, fetch it; if it is elsewhere, name its data root with --out instead of {root}.")
    if not names:
        print(f"Nothing in {root} was fetched by this command.")
    return int(failed)


def _was_fetched(root: Path, name: str) -> bool:
    """Whether this command left traces of a data set; one of them may have been deleted since."""
    traces = (root / name / arrange.SUMS, root / name / arrange.RECORD, root / ARCHIVES / name)
    return any(trace.exists() for trace in traces)


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _size(count: float) -> str:
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.{0 if count >= 1e7 else 1}f} MB"


if __name__ == "__main__":
    sys.exit(main())
