"""Scans sorted into one folder a class: found, told apart by their content, and described before they are read.

Used by every notebook on CT through `datasets`, and by `python -m helpers.check`.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from helpers import ct, files, runtime
from helpers.files import DataError

MOSMED = "Morozov et al. 2020, MosMedData: chest CT scans with COVID-19 related findings"
MOSMED_LICENCE = "CC BY-NC-ND 3.0: not for sale, and no altered copy may be shared"
NO_SCAN = ("there is no scan in this class folder", "put .nii.gz files or folders of DICOM slices into it")


@dataclass(frozen=True)
class Case:
    """One scan: where it lies, its class as a number, and a key made from its content alone."""

    path: Path
    label: int
    key: str

    @property
    def group(self) -> str:
        """Whose scan it is: no name tells, so each stands for itself, and copies for one another."""
        return self.key


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
    unit: str = "scan"

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
    origin = read_origin(folder / "ORIGIN.json")
    cases = []
    for label, path in enumerate(classes):
        scans = list_scans(path)
        if not scans:
            raise DataError(path, *NO_SCAN)
        for scan in scans:
            content = hash_scan(scan)
            cases.append(Case(scan, label, origin.get("keys", {}).get(content, content)))
    cases.sort(key=lambda case: (case.key, case.path.name))
    for one, next_one in pairwise(cases):
        if one.key == next_one.key and one.label != next_one.label:
            other = f"{next_one.path.parent.name}/{next_one.path.name}"
            raise DataError(one.path, f"it is the same scan as {other}, of the other class", "remove one")
    name = folder.resolve().name
    return ScanFolder(
        name="chest CT",
        root=folder,
        origin=origin.get("origin", "real"),
        licence=origin.get("licence", MOSMED_LICENCE if name == "mosmed" else "that of your own data"),
        citation=origin.get("what", MOSMED if name == "mosmed" else f"your own folder, {name}"),
        classes=tuple(path.name for path in classes),
        cases=tuple(cases),
    )


def class_folders(folder: Path) -> list[Path]:
    """The class folders of a data set, the healthy class first.

    Raises:
        DataError: If there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(folder, "there is no such folder", "check the name")
    others = ("masks", *runtime.DATA_SETS)
    found = [path for path in folder.iterdir() if path.is_dir() and path.name[0] != "." and path.name not in others]
    return sorted(found, key=lambda path: (not path.name.lower().startswith(("ct-0", "normal", "health")), path.name))


def list_scans(folder: Path) -> list[Path]:
    """The scans of a class folder: NIfTI files, and sub-folders of DICOM slices."""
    seen = sorted(path for path in folder.iterdir() if path.name[0] != ".")
    return [path for path in seen if path.is_dir() or path.name.lower().endswith((".nii", ".nii.gz"))]


def read_origin(path: Path) -> dict:
    """What a maker of phantoms left beside the scans; nothing beside real ones.

    Raises:
        DataError: If the file is there, but does not say what it should.
    """
    if not path.exists():
        return {}
    origin = files.read_json(path)
    known = isinstance(origin, dict) and origin.get("origin", "real") in ("phantom", "real")
    if not known or not isinstance(origin.get("keys", {}), dict):
        remedy = "make the phantoms again, or take it away if these are real scans"
        raise DataError(path, "it does not say whether the scans are phantoms or real", remedy)
    return origin


def hash_scan(path: Path) -> str:
    """SHA-256 of a scan's content, be it one file or a folder of slices in whatever order.

    Raises:
        DataError: If it cannot be read.
    """
    if path.is_file():
        return files.hash_file(path)
    slices = sorted(files.hash_file(file) for file in path.rglob("*") if file.is_file())
    return files.hash_bytes(*(digest.encode() for digest in slices))
