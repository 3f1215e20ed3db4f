"""The SIIM-ACR chest radiographs: DICOM files in folders, a table of masks beside them, and whose image each is.

Used by notebook 03 and by `python -m helpers.train pneumothorax`.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from helpers import files, headers, masks, xray
from helpers.estimates import plural
from helpers.files import DataError
from helpers.parallel import in_threads
from helpers.scans import read_origin

if TYPE_CHECKING:
    import pandas as pd

TABLES = ("train-rle.csv", "train-rle.csv.gz")
IMAGES = "dicom-images-train"  # the published test images, which have no masks, lie in a folder beside it
CITATION = "Zawacki et al. 2019, SIIM-ACR Pneumothorax Segmentation, kaggle.com; images of ChestX-ray14 (NIH)"
LICENCE = "the rules of the Kaggle competition SIIM-ACR 2019, which whoever downloads the images accepts"


@dataclass(frozen=True)
class Case:
    """One radiograph: where it lies, its class, a key made from its content, and what must stay in one set with it.

    Attributes:
        path: The DICOM file.
        label: 1 with a pneumothorax, 0 without.
        key: Hash of the file.
        group: The same for all images of a patient.
    """

    path: Path
    label: int
    key: str
    group: str


@dataclass(frozen=True, eq=False, repr=False)
class MaskedRadiographs:
    """Radiographs whose masks are known, in the order of their keys.

    Attributes:
        runs: For each case the texts of its masks (see `masks`), as the table has them.
        facts: For each case what `headers.read_headers` tells of it.
        without_row: Images that the table does not name, as "patient 0007 (its file)"; they are not among the cases.
        without_image: The names of images in the table that are not among the files.
        refused: Why files or masks cannot be used; they are not among the cases.
    """

    name: str
    unit: str
    root: Path
    origin: str  # "phantom" or "real"
    licence: str
    citation: str
    classes: tuple[str, str]
    cases: tuple[Case, ...]
    runs: tuple[tuple[str, ...], ...]
    facts: "pd.DataFrame"
    without_row: tuple[str, ...]
    without_image: tuple[str, ...]
    refused: tuple[DataError, ...]

    def __repr__(self) -> str:
        return f"MaskedRadiographs({self.name}: {len(self.cases)} {self.origin} images)"

    @cached_property
    def labels(self) -> np.ndarray:
        """int64 [cases]: 1 with a pneumothorax, 0 without."""
        return np.array([case.label for case in self.cases], np.int64)

    @cached_property
    def hash(self) -> str:
        """One hash of all content, labels and masks, the same on every machine."""
        lines = (f"{case.key} {case.label} {texts};" for case, texts in zip(self.cases, self.runs, strict=True))
        return files.hash_bytes(*(line.encode() for line in lines))

    def read(self, index: int) -> xray.Radiograph:
        """Read one radiograph.

        Raises:
            DataError: If its pixels cannot be used.
        """
        return xray.read_radiograph(self.cases[index].path, self.facts["patient"].iloc[index])

    def mask(self, index: int) -> np.ndarray:
        """Where one radiograph shows a pneumothorax, bool [rows, columns] at its full size: the union of its masks."""
        return masks.decode_union(self.runs[index], self._shape(index))

    def mask_count(self, index: int) -> int:
        """How many masks the table has for one radiograph; they may overlap."""
        return sum(not masks.is_empty(text) for text in self.runs[index])

    def table(self) -> "pd.DataFrame":
        """A line for each case: patient, age, sex, view, spacing, has_pneumothorax, masks. No name and no id."""
        lines = self.facts[["patient", "age", "sex", "view", "spacing"]].copy()
        lines["has_pneumothorax"] = self.labels == 1
        lines["masks"] = [self.mask_count(index) for index in range(len(self.cases))]
        return lines

    def card(self) -> str:
        """What a reader must know of the data before any result, as plain text."""
        counts = [int(np.sum(self.labels == label)) for label in range(len(self.classes))]
        several = sum(self.mask_count(index) > 1 for index in np.flatnonzero(self.labels))
        classes = " and ".join(f"{count} {name}" for count, name in zip(counts, self.classes, strict=True))
        people = plural(len({case.group for case in self.cases}), "patient")
        drawn = sum(map(self.mask_count, range(len(self.cases))))
        rows = [
            f"{self.name}: {len(self.cases)} {self.origin} images of {people}, {classes}",
            f"masks: {drawn}, several of them on {plural(several, 'image')}",
            f"images without a row in the table: {len(self.without_row)}, dropped",
            f"images in the table that are not there: {len(self.without_image)}",
            f"files or masks that cannot be used: {len(self.refused)}, dropped",
            *(f"  {fault}" for fault in self.refused),
            f"images that are there twice: {len(self.cases) - len({case.key for case in self.cases})}",
            f"licence: {self.licence}",
            f"source: {self.citation}",
        ]
        return "\n".join(rows)

    def _shape(self, index: int) -> tuple[int, int]:
        return tuple(int(self.facts[name].iloc[index]) for name in ("rows", "columns"))


def read_folder(folder: Path) -> MaskedRadiographs:
    """List the radiographs of a folder that holds DICOM files at any depth and train-rle.csv.

    An ImageId of the table is the SOPInstanceUID of an image; what the files are called does not matter. Pixels are
    not read yet.

    Args:
        folder: Where ``dicom-images-train`` lies (else all that lies there counts), and train-rle.csv or .csv.gz.

    Returns:
        The radiographs with a row in the table. What is left out is counted and listed.

    Raises:
        DataError: If the table is missing or damaged, or if no image is left.

    Example:
        >>> import tempfile
        >>> from helpers.phantoms_siim import SIIMSettings, make_siim
        >>> data = read_folder(make_siim(tempfile.mkdtemp() + "/siim", SIIMSettings(count=2, pixels=64)))
        >>> data, data.mask(0).shape
        (MaskedRadiographs(chest radiographs: 2 phantom images), (64, 64))

    Taught in notebook 03.
    """
    folder = Path(folder)
    table = masks.read_table(_find_table(folder))
    origin = read_origin(folder / "ORIGIN.json")
    paths = _find_images(folder)
    found, refused = headers.read_headers(paths)
    unread = {fault.path for fault in refused}
    found = found.assign(path=[path for path in paths if path not in unread])

    listed = found["image"].isin(list(table.images))
    lacking = tuple(f"{line.patient} ({line.path.name})" for line in found[~listed].itertuples())
    faults = {line.Index: _find_fault(table, line) for line in found[listed].itertuples()}
    refused += [fault for fault in faults.values() if fault]
    used = found.loc[[index for index, fault in faults.items() if fault is None]]
    if used.empty:
        first = f"; {refused[0]}".rstrip(".") if refused else ""
        fault = f"it has {plural(len(paths), 'DICOM file')}, of which none can be used with {table.path.name}{first}"
        raise DataError(folder, fault, "see README.md for what belongs there")

    used = _add_keys(used, origin.get("keys", {}))
    runs = tuple(table.images[image] for image in used["image"])
    labels = [int(not all(map(masks.is_empty, texts))) for texts in runs]
    return MaskedRadiographs(
        name="chest radiographs",
        unit="image",
        root=folder,
        origin=origin.get("origin", "real"),
        licence=origin.get("licence", LICENCE),
        citation=origin.get("what", CITATION),
        classes=("no pneumothorax", "pneumothorax"),
        cases=tuple(map(Case, used["path"], labels, used["key"], used["group"])),
        runs=runs,
        facts=used[["patient", "age", "sex", "view", "rows", "columns", "spacing"]],
        without_row=lacking,
        without_image=tuple(sorted(set(table.images) - set(found["image"]))),
        refused=tuple(refused),
    )


def _find_table(folder: Path) -> Path:
    """The table of masks in a folder."""
    if not folder.is_dir():
        raise DataError(folder, "there is no such folder", "check the name")
    there = [folder / name for name in TABLES if (folder / name).is_file()]
    if not there:
        raise DataError(folder, f"it holds no {TABLES[0]}", "put the table of masks beside the images")
    return there[0]


def _find_images(folder: Path) -> list[Path]:
    """The DICOM files that the table is about, at any depth."""
    root = folder / IMAGES if (folder / IMAGES).is_dir() else folder
    seen = (path for path in root.rglob("*") if path.suffix.lower() == ".dcm" and path.name[0] != ".")
    return sorted(path for path in seen if path.is_file())


def _find_fault(table: masks.RunTable, line) -> DataError | None:
    """Why the masks of one image cannot be drawn, if so."""
    try:
        masks.decode_union(table.images[line.image], (line.rows, line.columns))
    except ValueError as error:
        remedy = "correct its rows in the table, or remove them"
        return DataError(table.path, f"the masks of {line.patient} ({line.path.name}) are wrong: {error}", remedy)
    return None


def _add_keys(used: "pd.DataFrame", known: dict[str, str]) -> "pd.DataFrame":
    """Call images and patients by content, and put them in that order; names and other patients change neither."""
    content = in_threads(files.hash_file, used["path"])
    used = used.assign(key=[known.get(digest, digest) for digest in content], file=[path.name for path in used["path"]])
    used = used.assign(group=used.groupby("group")["key"].transform("min"))
    return used.sort_values(["key", "file"], ignore_index=True)
