"""The data sets: where they lie, whether they are phantoms or real, what they hold, and how they are split.

Used by every notebook; notebook 01 opens the CT scans with `open_ct`.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers import ct, files, phantoms, runtime
from helpers.files import DataError

MOSMED = "Morozov et al. 2020, MosMedData: chest CT scans with COVID-19 related findings"
MOSMED_LICENCE = "CC BY-NC-ND 3.0: not for sale, and no altered copy may be shared"
FRACTIONS = (0.7, 0.1, 0.2)  # training, validation, test


@dataclass(frozen=True)
class Case:
    """One scan: where it lies, its class as a number, and a key made from its content alone."""

    path: Path
    label: int
    key: str


@dataclass(frozen=True)
class ScanFolder:
    """Scans sorted into one folder a class.

    Cases stand in the order of their keys, so that neither names nor the order of a directory listing matter.
    """

    name: str
    root: Path
    origin: str  # "phantom" or "real"
    licence: str
    citation: str
    classes: tuple[str, str]
    cases: tuple[Case, ...]

    @cached_property
    def labels(self) -> np.ndarray:
        """int64 [cases], 0 for the first class and 1 for the second."""
        return np.array([case.label for case in self.cases])

    @cached_property
    def hash(self) -> str:
        """One hash of all content and labels, the same on every machine."""
        return files.hash_bytes(*(f"{case.key} {case.label};".encode() for case in self.cases))

    def example(self, class_name: str, number: int = 0) -> Path:
        """The path of one scan of a class.

        Raises:
            ValueError: If there is no such class.
        """
        if class_name not in self.classes:
            raise ValueError(f"the classes are {' and '.join(self.classes)}, but found {class_name!r}")
        paths = [case.path for case in self.cases if case.label == self.classes.index(class_name)]
        return paths[number % len(paths)]

    def read(self, index: int) -> ct.Volume:
        """Read one scan whole, in Hounsfield units."""
        return ct.read_volume(self.cases[index].path)

    def lesions(self, index: int) -> np.ndarray | None:
        """The lesion mask stored beside a scan, bool [x, y, z] on its voxels; None where there is none."""
        path = self.cases[index].path
        mask = self.root / "masks" / f"{path.name.split('.nii')[0]}_mask.nii.gz"
        return ct.read_mask(mask, self.read(index)) if mask.is_file() else None

    def card(self) -> str:
        """What a reader must know of the data before any result, as plain text."""
        counts = [f"{np.sum(self.labels == i)} {name}" for i, name in enumerate(self.classes)]
        repeats = len(self.cases) - len({case.key for case in self.cases})
        rows = [
            f"{self.name}: {len(self.cases)} {self.origin} scans, {' and '.join(counts)}",
            f"class 0 is {self.classes[0]}, class 1 is {self.classes[1]}",
            f"scans that are there twice: {repeats}",
            f"licence: {self.licence}",
            f"source: {self.citation}",
        ]
        return "\n".join(rows)


@dataclass(frozen=True, eq=False)
class Split:
    """Which cases train, which validate and which test, as indices into the cases."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    data: ScanFolder

    @cached_property
    def hash(self) -> str:
        """A hash of which case fell into which set."""
        keys = [self.data.cases[i].key.encode() for part in (self.train, self.valid, self.test) for i in (*part, -1)]
        return files.hash_bytes(*keys)

    def card(self) -> str:
        """Sizes, balance and overlap of the three sets, as plain text."""
        rows = [f"{'set':<12}{'scans':>6}" + "".join(f"{name:>9}" for name in self.data.classes)]
        keys = []
        for name, part in (("training", self.train), ("validation", self.valid), ("test", self.test)):
            counts = [int(np.sum(self.data.labels[part] == label)) for label in (0, 1)]
            rows.append(f"{name:<12}{len(part):>6}" + "".join(f"{count:>9}" for count in counts))
            keys.append({self.data.cases[i].key for i in part})
        overlap = sum(len(a & b) for a, b in ((keys[0], keys[1]), (keys[0], keys[2]), (keys[1], keys[2])))
        return "\n".join([*rows, f"scans in more than one set: {overlap}"])


def open_ct(settings: phantoms.CTSettings, root: Path | None = None) -> ScanFolder:
    """Open the chest CT scans: the real ones if they are there, else their phantom twins, which are made once.

    Args:
        settings: How many phantoms, how fine, which seed.
        root: The data root; ``COURSE_DATA`` when left out.

    Returns:
        The scans. Real scans lie in ``mosmed/CT-0`` and ``mosmed/CT-23``, or in any two class folders.

    Raises:
        DataError: If there are real scans that cannot be used. They are never replaced by phantoms in silence.

    Taught in notebook 01.
    """
    folder = runtime.find_data("mosmed", root)
    if folder is None:
        made = files.hash_bytes(repr((phantoms.VERSION, asdict(settings))).encode())[:12]
        folder = runtime.ROOT / "data" / "phantoms" / f"mosmed-{made}"
        if not folder.exists():
            total = settings.healthy + settings.ill
            phantoms.make_ct(folder, settings, partial(runtime.progress, total=total, label="drawing phantoms"))
    return read_folder(folder)


def read_folder(folder: Path) -> ScanFolder:
    """List the scans of a folder that holds one folder a class; a scan is a NIfTI file or a folder of DICOM slices.

    Args:
        folder: It must hold exactly two class folders; ``masks`` and hidden folders do not count.

    Returns:
        The scans, unread. Class 0 is the healthy one (``CT-0``, ``normal`` and the like), else the first by name.

    Raises:
        DataError: If a class is missing or empty, or if one scan lies in both classes.

    Taught in notebook 01.
    """
    folder = Path(folder)
    classes = class_folders(folder)
    if len(classes) != 2:
        found = f"it holds {len(classes)} class folders ({', '.join(path.name for path in classes) or 'none'})"
        raise DataError(folder, found, "arrange the scans in two, such as CT-0 and CT-23")
    origin = files.read_json(folder / "ORIGIN.json") if (folder / "ORIGIN.json").exists() else {}
    cases = []
    for label, path in enumerate(classes):
        scans = list_scans(path)
        if not scans:
            raise DataError(path, "there is no scan in this class folder", "put .nii.gz files into it")
        for scan in scans:
            content = _hash_scan(scan)
            cases.append(Case(scan, label, origin.get("keys", {}).get(content, content)))
    cases.sort(key=lambda case: (case.key, case.path.name))
    for one, next_one in pairwise(cases):
        if one.key == next_one.key and one.label != next_one.label:
            raise DataError(one.path, f"it is the same scan as {next_one.path}, of the other class", "remove one")
    return ScanFolder(
        name="chest CT",
        root=folder,
        origin=origin.get("origin", "real"),
        licence=origin.get("licence", MOSMED_LICENCE if folder.name == "mosmed" else "that of your own data"),
        citation=origin.get("what", MOSMED if folder.name == "mosmed" else f"your own folder, {folder.name}"),
        classes=tuple(path.name for path in classes),
        cases=tuple(cases),
    )


def class_folders(folder: Path) -> list[Path]:
    """The class folders of a data set, the healthy class first."""
    if not folder.is_dir():
        raise DataError(folder, "there is no such folder", "check the name")
    found = [path for path in folder.iterdir() if path.is_dir() and path.name[0] != "." and path.name != "masks"]
    return sorted(found, key=lambda path: (not path.name.lower().startswith(("ct-0", "normal", "health")), path.name))


def list_scans(folder: Path) -> list[Path]:
    """The scans of a class folder: NIfTI files, and sub-folders of DICOM slices."""
    seen = sorted(path for path in folder.iterdir() if path.name[0] != ".")
    return [path for path in seen if path.is_dir() or path.name.endswith((".nii", ".nii.gz"))]


def _hash_scan(path: Path) -> str:
    if path.is_file():
        return files.hash_file(path)
    slices = sorted(files.hash_file(file) for file in path.rglob("*") if file.is_file())
    return files.hash_bytes(*(digest.encode() for digest in slices))


def split(data: ScanFolder, seed: int, fractions: Sequence[float] = FRACTIONS) -> Split:
    """Divide the cases into training, validation and test set, each class in the same proportions.

    Which set a scan falls into depends on its content and the seed, never on names or the order of files; copies of
    one scan stay together. A class of two scans gives one to training and one to testing.

    Args:
        data: The cases.
        seed: Another seed, another split.
        fractions: Of training, validation and test.

    Raises:
        ValueError: If the fractions do not sum to 1.

    Taught in notebook 01.
    """
    if abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f"the fractions must sum to 1, but {tuple(fractions)} sum to {sum(fractions):g}")
    sets: tuple[list[int], list[int], list[int]] = ([], [], [])
    for label in (0, 1):
        keys = {case.key for case in data.cases if case.label == label}
        drawn = sorted(keys, key=lambda key: files.hash_bytes(f"{seed} {key}".encode()))
        test = max(round(fractions[2] * len(drawn)), int(len(drawn) > 1))
        valid = max(round(fractions[1] * len(drawn)), int(len(drawn) > 2))
        place = {key: 2 if rank < test else 1 if rank < test + valid else 0 for rank, key in enumerate(drawn)}
        for index, case in enumerate(data.cases):
            if case.label == label:
                sets[place[case.key]].append(index)
    return Split(*(np.array(sorted(part), dtype=int) for part in sets), data)


def folds(data: ScanFolder, count: int, seed: int) -> list[Split]:
    """Divide the cases so that each is tested once: cross-validation, by content and stratified as in `split`.

    Args:
        data: The cases.
        count: How many folds; each class needs as many scans.
        seed: Another seed, other folds.

    Raises:
        ValueError: If there are fewer than two folds, or more folds than scans of a class.

    Taught in notebook 05.
    """
    ranks = {}
    for label in (0, 1):
        keys = {case.key for case in data.cases if case.label == label}
        if not 2 <= count <= len(keys):
            raise ValueError(f"{len(keys)} scans of {data.classes[label]} cannot be divided into {count} folds")
        drawn = sorted(keys, key=lambda key: files.hash_bytes(f"{seed} {key}".encode()))
        ranks |= {key: rank for rank, key in enumerate(drawn)}
    rank = np.array([ranks[case.key] for case in data.cases])
    result = []
    for fold in range(count):
        test = rank % count == fold
        valid = ~test & ((rank // count + fold) % 8 == 0)  # an eighth of what is left
        result.append(Split(*(np.flatnonzero(part) for part in (~test & ~valid, valid, test)), data))
    return result


class Prepared(NamedTuple):
    """Scans as a network sees them.

    ``volumes`` is ``float32`` [cases, x, y, z] in [0, 1], axes RAS+; ``spacings`` is ``float32`` [cases, 3], in mm.
    """

    volumes: np.ndarray
    spacings: np.ndarray

    def spacing(self, index: int) -> tuple[float, float, float]:
        """Distance of the voxels of one prepared volume in mm, so that it can be drawn in true proportions."""
        return tuple(float(size) for size in self.spacings[index])


def prepare(data: ScanFolder, shape: tuple[int, int, int]) -> Prepared:
    """Make every scan the input of a network, once, on all cores; later runs find the result on disk.

    Args:
        data: The scans.
        shape: Voxels along x, y, z.

    Returns:
        The volumes, memory-mapped, and their spacings; see `ct.load_scan`. The cache lies under ``build/``, never
        among the data, and its name holds a hash of content and settings.

    Raises:
        DataError: Naming the first scan that cannot be used, and how many more there are.

    Taught in notebook 01.
    """
    name = files.hash_bytes(repr((data.hash, shape, 2)).encode())[:16]
    folder = runtime.BUILD / "cache" / f"{data.name.replace(' ', '-')}-{name}"
    if not folder.exists():
        part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
        part.mkdir(parents=True, exist_ok=True)
        try:
            _fill_cache(part, data, shape)
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return Prepared(np.load(folder / "volumes.npy", mmap_mode="r"), np.load(folder / "spacings.npy"))


def _fill_cache(folder: Path, data: ScanFolder, shape: tuple[int, int, int]) -> None:
    done = runtime.in_parallel(partial(_prepare_scan, shape), [case.path for case in data.cases])
    volumes = np.lib.format.open_memmap(folder / "volumes.npy", "w+", np.float32, (len(data.cases), *shape))
    spacings = np.zeros((len(data.cases), 3), np.float32)
    faults = []
    for index, scan in enumerate(runtime.progress(done, len(data.cases), "preparing scans")):
        if isinstance(scan, DataError):
            faults.append(scan)
        else:
            volumes[index], spacings[index] = scan
    if faults:
        first, more = faults[0], len(faults) - 1
        others = f" ({more} more cannot be used: python -m helpers.check lists them all)" if more else ""
        raise DataError(first.path, first.fault, f"{first.remedy}, or move it out of the folder{others}")
    volumes.flush()
    np.save(folder / "spacings.npy", spacings)


def _prepare_scan(shape: tuple[int, int, int], path: Path) -> tuple[np.ndarray, list[float]] | DataError:
    try:
        scan = ct.read_volume(path)
    except DataError as fault:
        return fault
    spacing = [s * (old - 1) / (new - 1) for s, old, new in zip(scan.spacing, scan.hu.shape, shape, strict=True)]
    return ct.prepare(scan, shape), spacing
