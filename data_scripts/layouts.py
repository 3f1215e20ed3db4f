"""Which file of an archive goes where in the data root, decided from the names alone, and which cases a choice keeps.

Used by `python -m data_scripts.fetch`. What the folders must look like, README.md says under "Real data".
"""

import gzip
import re
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_scripts.bundles import Bundle
from data_scripts.sources import Source, Variant
from helpers import files, image_folders, masks, siim
from helpers.files import DataError

SEED = 2020  # of the draws: another one, other cases
ORIGIN = "ORIGIN.json"
WITHOUT_MASKS = "dicom-images-test"  # the competition's own test images
PROJECTIONS = "l3_dataset.npz"
# On Windows, and on sticks that all systems read; and what ends a line, in a list of checksums too.
UNWRITABLE = re.compile(r'[<>:"|?*\x00-\x1f\x7f-\x9f\u2028\u2029]|[. ]$')
AGAIN = "download it again from the authors' page, which data_scripts.fetch l3 --list names"


class Item(NamedTuple):
    """One file of a bundle; its parts are the bundle's own name, all folders, and the name of the file."""

    bundle: Bundle
    name: str
    parts: tuple[str, ...]

    @property
    def file(self) -> str:
        """The name of the file."""
        return self.parts[-1]

    @property
    def stem(self) -> str:
        """That without its ending."""
        return re.sub(r"(\.nii)?\.[^.]*$", "", self.parts[-1])


class Plan(NamedTuple):
    """What goes where.

    Attributes:
        targets: Files by their path in the data set's folder.
        counts: How many cases of each class are laid out.
        found: How many of each class there are to choose from.
        aside: How many files stay where they are, by their folder there.
        trim: Makes a file fit to the choice; takes the folder, and returns the name of what it wrote.
    """

    targets: dict[str, Item]
    counts: dict[str, int]
    found: dict[str, int]
    aside: dict[str, int]
    trim: Callable[[Path], str] | None = None


def plan(source: Source, variant: Variant, bundles: Sequence[Bundle], subset: int | None = None) -> Plan:
    """Decide what goes where; nothing is written yet.

    Args:
        source: The data set.
        variant: Which way it was published.
        bundles: What came from outside, at least one.
        subset: How many cases of each class at most.

    Raises:
        DataError: If a class or the table is missing, if a name cannot be written, or if projections are damaged.

    Example:
        >>> from data_scripts.sources import SOURCES
        >>> names = ["CT-0/study_0001.nii.gz", "CT-23/study_0938.nii.gz", "__MACOSX/CT-0/._study_0001.nii.gz"]
        >>> bundle = Bundle(Path("mosmed.zip"), dict.fromkeys(names, 9), True)
        >>> list(plan(SOURCES["mosmed"], SOURCES["mosmed"].variant(), [bundle]).targets)
        ['CT-0/study_0001.nii.gz', 'CT-23/study_0938.nii.gz']
    """
    items = []
    for bundle in bundles:
        outer = bundle.path.resolve().name.removesuffix(".zip")
        for name in bundle.sizes:  # some programs pack CT-0/1.nii.gz as ./CT-0/1.nii.gz
            inside = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
            items.append(Item(bundle, name, (outer, *inside)))
    items = [item for item in items if all(part[:1] != "." and part != "__MACOSX" for part in item.parts[1:])]
    planned = LAYOUTS[source.layout](variant, items, subset)
    empty = [name for name, count in planned.counts.items() if not count]
    if empty:
        shown = ", ".join(bundle.path.name for bundle in bundles)
        fault = f"there is nothing for {' and '.join(empty)} in {shown}"
        raise DataError(bundles[0].path, fault, f"give all files of {source.name} {variant.name} with --from")
    origins = sorted((item for item in items if item.file == ORIGIN), key=lambda item: len(item.parts))
    if origins:  # phantoms stay phantoms
        planned.targets[ORIGIN] = origins[0]
    alike = {}
    for target, item in planned.targets.items():
        _add(alike, target.lower(), item)  # most systems take these for one name
        if any(map(UNWRITABLE.search, target.split("/"))):
            fault = f"its file {target!a} has a name that not every system can write"
            raise DataError(item.bundle.path, fault, "unpack it, rename the file, and give the folder with --from")
    return planned


def fits(variant: Variant, bundles: Sequence[Bundle]) -> bool:
    """Whether bundles hold a folder for each class of a variant."""
    parts = {_plain(part) for bundle in bundles for name in bundle.sizes for part in name.split("/")[:-1]}
    parts |= {_plain(bundle.path.name.removesuffix(".zip")) for bundle in bundles}
    return all(parts & set(map(_plain, folders)) for folders in variant.classes.values())


def choose(names: Iterable[str], count: int) -> list[str]:
    """Draw by name, whatever order they come in; a smaller choice is part of every larger one.

    Example:
        >>> choose(["study_0003", "study_0001", "study_0002"], 2)
        ['study_0002', 'study_0003']
    """
    return sorted(sorted(names, key=lambda name: files.hash_bytes(f"{SEED} {name}".encode()))[:count])


def _class_folders(variant: Variant, items: Sequence[Item], subset: int | None, *, endings: tuple[str, ...]) -> Plan:
    """Scans or images in one folder a class; masks of the lungs lie beside their images, where readers pass them by."""
    class_of = {_plain(folder): name for name, folders in variant.classes.items() for folder in folders}
    cases: dict[str, dict[str, Item]] = {name: {} for name in variant.classes}
    lungs, aside = {}, Counter()
    for item in items:
        folders = [part for part in item.parts[:-1] if part.lower() != "images"] or list(item.parts[:1])
        if not item.file.lower().endswith(endings):
            continue
        is_mask = folders[-1].lower() in image_folders.NO_CLASSES
        name = class_of.get(_plain(folders[-2 if is_mask and len(folders) > 1 else -1]))
        if name is None:
            aside[folders[-1]] += 1
        elif is_mask:
            lungs[name, item.stem] = item
        else:
            _add(cases[name], f"{name}/{item.file}", item)
    targets, counts = {}, {}
    for name, there in cases.items():
        chosen = choose(there, min(subset or len(there), variant.counts.get(name, len(there))))
        targets |= {target: there[target] for target in chosen}
        masked = [lungs[name, there[target].stem] for target in chosen if (name, there[target].stem) in lungs]
        targets |= {f"{name}/masks/{item.file}": item for item in masked}
        counts[name] = len(chosen)
    return Plan(targets, counts, {name: len(there) for name, there in cases.items()}, dict(aside))


def _table(variant: Variant, items: Sequence[Item], subset: int | None) -> Plan:
    """DICOM files at any depth, and the table of their masks."""
    tables = sorted((item for item in items if item.file in siim.TABLES), key=lambda item: len(item.parts))
    if not tables:
        path = items[0].bundle.path if items else Path(siim.TABLES[0])
        raise DataError(path, f"there is no {siim.TABLES[0]} in it", "give the table of masks with --from, too")
    table, films, aside = tables[0], {}, Counter()
    dicom = [item for item in items if item.file.lower().endswith(".dcm")]
    apart = any(siim.IMAGES in item.parts for item in dicom)
    for item in dicom:
        if WITHOUT_MASKS in item.parts or (apart and siim.IMAGES not in item.parts):
            aside[WITHOUT_MASKS if WITHOUT_MASKS in item.parts else item.parts[-2]] += 1
        else:
            inside = item.parts[item.parts.index(siim.IMAGES) + 1 if apart else 1 :]
            _add(films, "/".join((siim.IMAGES, *inside)), item)
    if subset is None:
        counts = {"radiographs": len(films)}
        return Plan(films | {table.file: table}, counts, counts, dict(aside))
    by_class = _by_class(table, films)
    chosen = {name: choose(there, subset) for name, there in by_class.items()}
    kept = {target: films[target] for names in chosen.values() for target in names}
    counts, found = ({name: len(part) for name, part in parts.items()} for parts in (chosen, by_class))
    trim = partial(_keep_rows, table.file, {item.stem for item in kept.values()})
    return Plan(kept | {table.file: table}, counts, found, dict(aside), trim)


def _by_class(table: Item, films: dict[str, Item]) -> dict[str, list[str]]:
    """The images that the table names, with and without a pneumothorax; such files bear the name of the table."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, table.file)
        copy.write_bytes(table.bundle.read(table.name))
        runs = masks.read_table(copy).images
    by_class = {"no pneumothorax": [], "pneumothorax": []}
    for target, item in films.items():
        if item.stem in runs:
            ill = not all(map(masks.is_empty, runs[item.stem]))
            by_class["pneumothorax" if ill else "no pneumothorax"].append(target)
    return by_class


def _keep_rows(name: str, images: set[str], folder: Path) -> str:
    """Leave those rows in a table that tell of some images, each as it is."""
    content = (folder / name).read_bytes()
    text = (gzip.decompress(content) if name.endswith(".gz") else content).decode("utf-8-sig")
    header, *rows = text.splitlines(keepends=True)
    kept = [header, *(row for row in rows if row.split(",")[0].strip(' "') in images)]
    (folder / name).unlink()
    return files.write_atomic(folder / siim.TABLES[0], lambda file: file.write("".join(kept).encode())).name


def _projections(variant: Variant, items: Sequence[Item], subset: int | None) -> Plan:
    """The published file of projections, under its own name."""
    found = [item for item in items if item.file.lower().endswith(".npz")]
    if len(found) > 1:
        raise DataError(found[0].bundle.path, f"{len(found)} .npz files are there", f"give {PROJECTIONS} alone")
    for item in found:
        _check_projections(item)
    counts = {PROJECTIONS: len(found)}
    trim = partial(_keep_projections, found[0], subset) if subset and found else None
    return Plan(dict.fromkeys([PROJECTIONS], found[0]) if found else {}, counts, counts, {}, trim)


def _check_projections(item: Item) -> None:
    """Refuse what only bears the name of such a file, without reading all of it."""
    try:
        with item.bundle.open(item.name) as stream, zipfile.ZipFile(stream) as archive:
            there = set(archive.namelist())
    except files.NPZ_FAULTS:
        raise DataError(item.bundle.locate(item.name), "it is not a whole .npz file", AGAIN) from None
    if not {"names.npy", "ydata.npy"} <= there:
        raise DataError(item.bundle.locate(item.name), "it does not hold names and ydata as published", AGAIN)


def _keep_projections(item: Item, count: int, folder: Path) -> str:
    """Leave some cases in the file of projections; what is wrong with it is said of the file that was given."""
    path, given = folder / PROJECTIONS, item.bundle.locate(item.name)
    try:
        arrays = files.read_npz(path)
    except DataError as error:
        raise DataError(given, error.fault, error.remedy) from None
    names = [str(name) for name in np.ravel(arrays.get("names", ()))]
    drawn = set(choose(set(names), count))
    kept = [index for index, name in enumerate(names) if name in drawn]
    less = {name: array[kept] for name, array in arrays.items() if array.shape[:1] == (len(names),)}
    marks = arrays["ydata"].item() if arrays.get("ydata", np.zeros(1)).shape == () else None
    if not isinstance(marks, dict) or not kept:
        raise DataError(given, "it does not hold names and ydata as published", AGAIN)
    for rows in marks.values():
        if np.asarray(rows, object).shape[:1] != (len(names),):
            raise DataError(given, "its ydata does not hold a row of each annotator for each of its names", AGAIN)
    less["ydata"] = np.array({who: [rows[index] for index in kept] for who, rows in marks.items()}, dtype=object)
    less |= {"num_images": np.array(len(kept))} if "num_images" in arrays else {}
    return files.write_atomic(path, lambda file: np.savez_compressed(file, **(arrays | less))).name


def _add(there: dict[str, Item], target: str, item: Item) -> None:
    if target in there:
        raise DataError(item.bundle.path, f"two files would become {target}", "give one of them with --from")
    there[target] = item


def _plain(name: str) -> str:
    return re.sub("[ _-]", "", name.lower())


LAYOUTS = {
    "scans": partial(_class_folders, endings=(".nii", ".nii.gz")),
    "images": partial(_class_folders, endings=image_folders.IMAGES),
    "table": _table,
    "projections": _projections,
}
