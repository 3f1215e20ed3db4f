"""The data sets of the course: opened real or as phantoms, split by content, prepared once and kept on disk.

Used by every notebook; notebook 01 opens the CT scans with `open_ct`.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from helpers import ct, files, phantoms, runtime
from helpers.files import DataError
from helpers.scans import Case, ScanFolder, read_folder

FRACTIONS = (0.7, 0.1, 0.2)  # training, validation, test
PREPARED = 2  # version of what a cache holds; a change of the preparation raises it


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
            try:
                phantoms.make_ct(folder, settings, partial(runtime.progress, total=total, label="drawing phantoms"))
            except (OSError, DataError):
                if not folder.exists():  # else another notebook made the same phantoms meanwhile
                    raise
    return read_folder(folder)


class Cases(Protocol):
    """What every data set of the course knows of its cases."""

    name: str
    origin: str  # "phantom" or "real"
    classes: tuple[str, ...]
    cases: tuple[Case, ...]
    labels: np.ndarray
    hash: str

    def card(self) -> str:
        """What a reader must know of the data before any result."""


@dataclass(frozen=True, eq=False)
class Split:
    """Which cases train, which validate and which test, as indices into the cases."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    data: Cases

    @cached_property
    def hash(self) -> str:
        """A hash of which case fell into which set."""
        sets = ("".join(self.data.cases[i].key for i in part) for part in (self.train, self.valid, self.test))
        return files.hash_bytes("|".join(sets).encode())

    def card(self) -> str:
        """Sizes, balance and overlap of the three sets, as plain text."""
        rows = [f"{'set':<12}{'scans':>6}" + "".join(f"{name:>9}" for name in self.data.classes)]
        keys = []
        for name, part in (("training", self.train), ("validation", self.valid), ("test", self.test)):
            counts = [int(np.sum(self.data.labels[part] == label)) for label in range(len(self.data.classes))]
            rows.append(f"{name:<12}{len(part):>6}" + "".join(f"{count:>9}" for count in counts))
            keys.append({self.data.cases[i].key for i in part})
        overlap = sum(len(a & b) for a, b in ((keys[0], keys[1]), (keys[0], keys[2]), (keys[1], keys[2])))
        return "\n".join([*rows, f"scans in more than one set: {overlap}"])


def split(data: Cases, seed: int, fractions: Sequence[float] = FRACTIONS) -> Split:
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
    for label in range(len(data.classes)):
        drawn = _draw(data, label, seed)
        test = max(round(fractions[2] * len(drawn)), int(len(drawn) > 1))
        valid = max(round(fractions[1] * len(drawn)), int(len(drawn) > 2))
        place = {key: 2 if rank < test else 1 if rank < test + valid else 0 for rank, key in enumerate(drawn)}
        for index, case in enumerate(data.cases):
            if case.label == label:
                sets[place[case.key]].append(index)
    return Split(*(np.array(sorted(part), dtype=int) for part in sets), data)


def folds(data: Cases, count: int, seed: int) -> list[Split]:
    """Divide the cases so that each is tested once: cross-validation, by content and stratified as in `split`.

    An eighth of what is not tested validates, and at least one scan of each class that can spare it.

    Args:
        data: The cases.
        count: How many folds; each class needs as many scans.
        seed: Another seed, other folds.

    Raises:
        ValueError: If there are fewer than two folds, or more folds than scans of a class.

    Taught in notebook 05.
    """
    drawn = [_draw(data, label, seed) for label in range(len(data.classes))]
    for name, keys in zip(data.classes, drawn, strict=True):
        if not 2 <= count <= len(keys):
            raise ValueError(f"{len(keys)} scans of {name} cannot be divided into {count} folds")
    result = []
    for fold in range(count):
        tested, validated = set(), set()
        for keys in drawn:
            tested.update(keys[fold::count])
            rest = [key for key in keys if key not in tested]
            validated.update(rest[: max(round(len(rest) / 8), int(len(rest) > 1))])
        test = np.array([case.key in tested for case in data.cases])
        valid = np.array([case.key in validated for case in data.cases])
        result.append(Split(*(np.flatnonzero(part) for part in (~test & ~valid, valid, test)), data))
    return result


def _draw(data: Cases, label: int, seed: int) -> list[str]:
    """The keys of one class in an order that depends on them and the seed alone."""
    keys = {case.key for case in data.cases if case.label == label}
    return sorted(keys, key=lambda key: files.hash_bytes(f"{seed} {key}".encode()))


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
    name = files.hash_bytes(repr((data.hash, shape, PREPARED)).encode())[:16]
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
