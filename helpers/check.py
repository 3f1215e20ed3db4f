"""Look a folder of real data over before any training: `python -m helpers.check DIR`.

It lists what was understood, and everything that was refused, with the reason, all at once.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pydicom

from helpers import ct, dicom_pixels, image_folders, l3_scans, looks, radiography, runtime, scans, siim, xray
from helpers.estimates import plural
from helpers.files import DataError
from helpers.parallel import in_threads

MOST = 8  # kinds of files that are listed one by one; pictures from the web come in a thousand sizes
PICTURES = tuple(ending for ending in image_folders.IMAGES if ending != ".dcm")  # what no scan is stored as


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0 if all can be used, 1 if anything is refused, 2 if the folder cannot be looked at."""
    parser = argparse.ArgumentParser(prog="python -m helpers.check", description="Check a folder of real data.")
    held = ", ".join(CHECKS)
    parser.add_argument("folder", type=Path, help=f"a data root ({held}), or a folder with one folder a class")
    chosen = parser.parse_args(arguments)
    try:
        understood, refused = check(chosen.folder)
    except OSError as error:
        fault = f"it cannot be read ({error.strerror})"
        print(DataError(error.filename or chosen.folder, fault, "check the disk and the permissions"), file=sys.stderr)
        return 2
    for line in understood:
        print(line)
    print(f"refused: {len(refused) or 'nothing'}")
    for line in refused:
        print(f"  {line}")
    return 1 if refused else 0


def check(folder: Path) -> tuple[list[str], list[str]]:
    """Read every scan and every image of a folder and say what can be used.

    Args:
        folder: A data root that holds data sets by their names (see `runtime.DATA_SETS`), one data set alone, or a
            folder with one folder a class, of scans or of images; these may also lie in a zip archive.

    Returns:
        Lines on what was understood, and one sentence for each thing that was refused.

    Used by the command `python -m helpers.check`, which notebook 01 names.
    """
    found = {name: path for name in CHECKS if (path := runtime.find_data(name, folder))}
    understood, refused = [], []
    if not found or set(found.values()) == {folder}:  # no data set by its name
        alone = _recognise(folder)
        found = {alone: folder}
        understood += _say_where(alone, folder)
    for name, path in found.items():
        checked = CHECKS[name](path)
        understood += [f"data set {name}", *checked.understood] if checked.understood else []
        refused += map(str, checked.refused)
    return understood, list(dict.fromkeys(refused))


class Checked(NamedTuple):
    """Of one data set: lines on what was understood, and what was refused."""

    understood: list[str]
    refused: list[DataError]


def _recognise(folder: Path) -> str:
    """Which data set a folder is that does not lie under its name in a data root."""
    if any((folder / name).is_file() for name in siim.TABLES):
        return "siim"
    if any((folder / name).is_file() for name in ("l3_dataset.npz", "truth.csv")):
        return "l3"
    if runtime.find_data("mosmed", folder):
        return "mosmed"
    packed = (folder.is_file() and folder.suffix.lower() == ".zip") or any(folder.glob("*.zip"))
    pictures = packed or any(path.suffix.lower() in PICTURES for path in folder.rglob("*"))
    return "radiography" if pictures else "mosmed"


def _say_where(name: str, folder: Path) -> list[str]:
    """Where the notebooks would find a data set that stands alone; scans they find also so."""
    if name == "mosmed":
        return []
    if folder.resolve().name in (name, f"{name}_external"):
        return [f"{folder.resolve().name} stands alone here: COURSE_DATA must name the folder around it"]
    return [f"this looks like {name}: the notebooks find it as {name} in the folder that COURSE_DATA names"]


def _check_scans(folder: Path) -> Checked:
    """Notebook 01: CT scans in two class folders."""
    try:
        classes = scans.class_folders(folder)
    except DataError as fault:
        return Checked([], [fault])
    understood, refused = [], []
    if len(classes) != 2:
        names = ", ".join(path.name for path in classes) or "none"
        fault = f"it holds {len(classes)} class folders ({names})"
        refused.append(DataError(folder, fault, "arrange the scans in two, such as CT-0 and CT-23"))
    for path in classes:
        paths = scans.list_scans(path)
        if not paths:
            refused.append(DataError(path, *scans.NO_SCAN))
        kinds, faults = _read_all(_describe_scan, paths, path.name)
        refused += faults
        understood += [_say_usable(path.name, len(kinds), len(paths), "scan"), *_count_kinds(kinds)]
        understood += _say_ignored(sum(file not in paths for file in path.iterdir()))
    if len(classes) == 2:
        try:
            card = scans.read_folder(folder).card()
            understood += [] if refused else [card]
        except DataError as fault:  # what only the whole folder can show, such as one scan in both classes
            refused.append(fault)
    return Checked(understood, refused)


def _check_l3(folder: Path) -> Checked:
    """Notebook 02: projections, or CT scans and a table of heights."""
    try:
        data = l3_scans.read_folder(folder)
    except DataError as fault:
        return Checked([], [fault])
    paths = [case.source for case in data.cases if isinstance(case.source, Path)]
    kinds, refused = _read_all(_describe_scan, paths, "l3")
    return Checked([data.card(), *_count_kinds(kinds)], refused)


def _check_siim(folder: Path) -> Checked:
    """Notebook 03: DICOM radiographs and a table of masks."""
    try:
        data = siim.read_folder(folder)
    except DataError as fault:
        return Checked([], [fault])
    kinds, faults = _read_all(_describe_film, [case.path for case in data.cases], "siim")
    fault, remedy = "has no row in the table of masks", "add one, or expect it to be left out"
    lacking = [DataError(folder, f"{image} {fault}", remedy) for image in data.without_row]
    total = len(data.cases) + len(data.refused) + len(lacking)
    others = _count_files(folder, siim.TABLES) - total
    understood = [data.card(), _say_usable("siim", len(kinds), total, "image"), *_count_kinds(kinds)]
    return Checked(understood + _say_ignored(others), [*data.refused, *faults, *lacking])


def _check_radiography(folder: Path) -> Checked:
    """Notebook 04: images in class folders, or a zip archive of these."""
    try:
        root = image_folders.find_root(folder)
        listed = image_folders.list_images(root)
        paths = [path for inside in listed.values() for path in inside]
        seen = dict(zip(paths, looks.look_at_all(paths), strict=True))
    except DataError as fault:
        return Checked([], [fault])
    understood = []
    for name, inside in listed.items():
        usable = [look for look in map(seen.get, inside) if not look.fault]
        understood.append(_say_usable(name, len(usable), len(inside), "image"))
        understood += _count_kinds([f"{_say_size(look.shape)} pixels, {look.mode}" for look in usable])
    understood += _say_ignored(_count_files(root) - len(paths))
    refused = [DataError(path, look.fault, look.remedy) for path, look in seen.items() if look.fault]
    try:
        data = radiography.read_folder(folder)
    except DataError as fault:  # what only the whole folder can show, such as a class of one image
        return Checked(understood, [*refused, fault])
    twice = ("an exact copy of it lies in another class, so both are left out", "keep the one that is right")
    return Checked([*understood, data.card()], refused + [DataError(path, *twice) for path in data.contradictory])


CHECKS: dict[str, Callable[[Path], Checked]] = {
    "mosmed": _check_scans,
    "l3": _check_l3,
    "siim": _check_siim,
    "radiography": _check_radiography,
    "radiography_external": _check_radiography,
}


def _describe_scan(path: Path) -> str | DataError:
    try:
        scan = ct.read_volume(path)
    except DataError as fault:
        return fault
    spacing = " x ".join(f"{size:.2f}" for size in scan.spacing)
    return f"{_say_size(scan.hu.shape)} voxels of {spacing} mm, axes {scan.file_axes}"


def _describe_film(path: Path) -> str | DataError:
    try:
        film = xray.read_radiograph(path)
    except DataError as fault:
        return fault
    with dicom_pixels.quiet():
        wanted = ["PhotometricInterpretation", "BitsStored"]
        header = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=wanted)
    kind = str(header.get("PhotometricInterpretation"))
    mode = f"{kind if kind in ('MONOCHROME1', 'MONOCHROME2') else 'colour'} of {header.get('BitsStored')} bits"
    spacing = "" if film.spacing else ", spacing unknown"  # known ones are as many as there are patients
    return f"{_say_size(film.pixels.shape)} pixels, {mode}, {film.view or 'view unknown'}{spacing}"


def _read_all(work: Callable[[Path], str | DataError], paths: Sequence[Path], name: str):
    """Describe all files on all cores: the descriptions of those that can be read, and the faults of the others."""
    done = list(runtime.progress(in_threads(work, paths), len(paths), name))
    kinds = [kind for kind in done if not isinstance(kind, DataError)]
    return kinds, [fault for fault in done if isinstance(fault, DataError)]


def _count_kinds(kinds: Sequence[str]) -> list[str]:
    """A line for each kind of file, the most frequent first; rare ones are put together."""
    counts = Counter(kinds).most_common()
    lines = [f"  {count} x {kind}" for kind, count in counts[:MOST]]
    rest = sum(count for _, count in counts[MOST:])
    return lines + [f"  {rest} x others, of {plural(len(counts) - MOST, 'kind')}"] * (rest > 0)


def _count_files(folder: Path, known: Sequence[str] = ()) -> int:
    """How many files lie in a folder at any depth, without hidden ones and those that the course reads by name."""
    found = (path for path in folder.rglob("*") if path.name[0] != "." and path.is_file())
    return sum(path.name not in (*known, "ORIGIN.json") for path in found)


def _say_size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _say_usable(name: str, usable: int, total: int, unit: str) -> str:
    return f"{name}: {usable} of {plural(total, unit)} can be used"


def _say_ignored(count: int) -> list[str]:
    return [f"  ignored: {plural(count, 'other file')}"] * (count > 0)


if __name__ == "__main__":
    sys.exit(main())
