"""The data sets of the course: opened real or as phantoms, split by content, prepared once and kept on disk.

Used by every notebook; notebook 01 opens the CT scans with `open_ct`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from helpers import ct, files, phantoms, stores
from helpers.files import DataError
from helpers.scans import ScanFolder, read_folder

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
    total = settings.healthy + settings.ill
    return read_folder(stores.find_or_make("mosmed", phantoms.make_ct, settings, phantoms.VERSION, total, root))


class CaseLike(Protocol):
    """What a split must know of a case."""

    label: int
    key: str  # made from its content
    group: str  # whose case it is: what belongs to one patient, or is nearly the same, stays in one set


class Cases(Protocol):
    """What every data set of the course knows of its cases."""

    name: str
    unit: str  # what a case is: "scan" or "image"
    origin: str  # "phantom" or "real"
    classes: tuple[str, ...]
    cases: Sequence[CaseLike]
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
    def aside(self) -> np.ndarray:
        """The cases that are in no set, in the order of their classes."""
        used = np.concatenate([self.train, self.valid, self.test])
        left = np.setdiff1d(np.arange(len(self.data.cases)), used)
        return left[np.argsort(self.data.labels[left], kind="stable")]

    @cached_property
    def hash(self) -> str:
        """A hash of which case fell into which set."""
        sets = ("".join(self.data.cases[i].key for i in part) for part in (self.train, self.valid, self.test))
        return files.hash_bytes("|".join(sets).encode())

    def card(self) -> str:
        """Sizes, balance and overlap of the three sets, as plain text."""
        wide = max(9, *(len(name) + 2 for name in self.data.classes))
        unit = f"{self.data.unit}s"
        rows = [f"{'set':<12}{unit:>{len(unit) + 1}}" + "".join(f"{name:>{wide}}" for name in self.data.classes)]
        groups = []
        for name, part in (("training", self.train), ("validation", self.valid), ("test", self.test)):
            counts = [int(np.sum(self.data.labels[part] == label)) for label in range(len(self.data.classes))]
            total = f"{len(part):>{len(unit) + 1}}"
            rows.append(f"{name:<12}{total}" + "".join(f"{count:>{wide}}" for count in counts))
            groups.append({self.data.cases[i].group for i in part})
        overlap = sum(len(a & b) for a, b in ((groups[0], groups[1]), (groups[0], groups[2]), (groups[1], groups[2])))
        what = unit if all(case.group == case.key for case in self.data.cases) else "patients or copies"
        rows.append(f"{what} in more than one set: {overlap}")
        return "\n".join([*rows, f"kept aside: {len(self.aside)}"] if len(self.aside) else rows)


def split(data: Cases, seed: int, fractions: Sequence[float] = FRACTIONS, aside: bool = False) -> Split:
    """Divide the cases into training, validation and test set, each class in the same proportions.

    Which set a case falls into depends on its content and the seed, never on names or the order of files; copies, and
    all that is of one patient, stay together. A class of two cases gives one to training and one to testing.

    Args:
        data: The cases.
        seed: Another seed, another split.
        fractions: Of training, validation and test.
        aside: Whether to keep one case of each class that has four or more out of all sets, for a last prediction. It
            is one that nothing else belongs to.

    Raises:
        ValueError: If the fractions do not sum to 1.

    Taught in notebook 01.
    """
    if abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f"the fractions must sum to 1, but {tuple(fractions)} sum to {sum(fractions):g}")
    sets: tuple[list[int], list[int], list[int]] = ([], [], [])
    sizes = Counter(case.group for case in data.cases)
    for label in range(len(data.classes)):
        drawn = _draw(data, label, seed)
        alone = [group for group in drawn if sizes[group] == 1]
        if aside and alone and len(drawn) > 3:
            drawn.remove(alone[-1])
        test = max(round(fractions[2] * len(drawn)), int(len(drawn) > 1))
        valid = max(round(fractions[1] * len(drawn)), int(len(drawn) > 2))
        place = {group: 2 if rank < test else 1 if rank < test + valid else 0 for rank, group in enumerate(drawn)}
        for index, case in enumerate(data.cases):
            if case.group in place:
                sets[place[case.group]].append(index)
    return Split(*(np.array(sorted(part), dtype=int) for part in sets), data)


def folds(data: Cases, count: int, seed: int) -> list[Split]:
    """Divide the cases so that each is tested once: cross-validation, by content and stratified as in `split`.

    An eighth of what is not tested validates, and at least one case of each class that can spare it.

    Args:
        data: The cases.
        count: How many folds; each class needs as many cases.
        seed: Another seed, other folds.

    Raises:
        ValueError: If there are fewer than two folds, or more folds than cases of a class.

    Used by `python -m helpers.train --folds`.
    """
    drawn = [_draw(data, label, seed) for label in range(len(data.classes))]
    for name, keys in zip(data.classes, drawn, strict=True):
        if not 2 <= count <= len(keys):
            raise ValueError(f"{len(keys)} {data.unit}s of {name} cannot be divided into {count} folds")
    result = []
    for fold in range(count):
        tested, validated = set(), set()
        for keys in drawn:
            tested.update(keys[fold::count])
            rest = [key for key in keys if key not in tested]
            validated.update(rest[: max(round(len(rest) / 8), int(len(rest) > 1))])
        test = np.array([case.group in tested for case in data.cases])
        valid = np.array([case.group in validated for case in data.cases])
        result.append(Split(*(np.flatnonzero(part) for part in (~test & ~valid, valid, test)), data))
    return result


def _draw(data: Cases, label: int, seed: int) -> list[str]:
    """The groups of one class in an order that depends on them and the seed alone.

    A group with cases of several classes, such as a patient before and after, counts for the last of them.
    """
    last: dict[str, int] = {}
    for case in data.cases:
        last[case.group] = max(case.label, last.get(case.group, 0))
    groups = [group for group, its_label in last.items() if its_label == label]
    return sorted(groups, key=lambda group: files.hash_bytes(f"{seed} {group}".encode()))


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
    folder = stores.prepared(data.name, (data.hash, shape, PREPARED), partial(_fill_cache, data, shape))
    return Prepared(np.load(folder / "volumes.npy", mmap_mode="r"), np.load(folder / "spacings.npy"))


def _fill_cache(data: ScanFolder, shape: tuple[int, int, int], folder: Path) -> None:
    paths, remedy = [case.path for case in data.cases], "or move it out of the folder"
    stores.fill_rows(folder, partial(_prepare_scan, shape), paths, "preparing scans", remedy)


def _prepare_scan(shape: tuple[int, int, int], path: Path) -> dict[str, np.ndarray] | DataError:
    try:
        scan = ct.read_volume(path)
    except DataError as fault:
        return fault
    spacing = [s * (old - 1) / (new - 1) for s, old, new in zip(scan.spacing, scan.hu.shape, shape, strict=True)]
    return {"volumes": ct.prepare(scan, shape), "spacings": np.array(spacing, np.float32)}
