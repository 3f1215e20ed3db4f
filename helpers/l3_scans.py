"""The scans of notebook 02: CTs of the trunk or the published projections, with the heights of their vertebrae.

Used by notebook 02 and by `python -m helpers.train l3`. What a network sees of them is made once and kept on disk.
"""

from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers import ct, files, l3data, midline, mip, phantoms_l3, stores
from helpers.files import DataError
from helpers.phantoms_l3 import LEVELS
from helpers.scans import hash_scan, read_origin
from helpers.trunk_scans import L3Settings

TARGET = LEVELS.index("L3")
MM, COLUMNS = 3.0, 96  # what a network sees: 29 cm across, all of the height
FINE = 2.5  # mm; scans are averaged to about this before projection, so that all look alike
BEYOND = 10.0  # mm; a height so far outside of a scan is no half slice any more, but a mistake
CITATION = "Kanavati et al. 2018, Automatic L3 slice detection in 3D CT images using fully-convolutional networks"
PREPARED = 1  # version of what a cache holds; a change of the preparation raises it


@dataclass(frozen=True, eq=False)
class SpineCase:
    """One scan: where it is, whether it shows L3 (label 0) or not (1), and the heights of its vertebrae.

    Attributes:
        key: Made from the content of a scan, or from the patient's name in the published file; what has one key stays
            in one set.
        content: Hash of what was scanned.
        source: The path of a CT, or the projections of the published file.
        heights: float64 [levels] in mm by ``LEVELS``; NaN where a vertebra is not in view, or not known.
        known: Whether it is known of each level if it is in view, bool [levels].
    """

    key: str
    content: str
    label: int
    source: Path | l3data.L3Case
    heights: np.ndarray
    known: np.ndarray

    @property
    def group(self) -> str:
        """Whose scan it is."""
        return self.key


@dataclass(frozen=True, eq=False)
class SpineScans:
    """Scans of the trunk whose L3 is known, in the order of their keys."""

    name: str
    root: Path
    origin: str  # "phantom" or "real"
    licence: str
    citation: str
    cases: tuple[SpineCase, ...]
    unit: str = "scan"

    @property
    def classes(self) -> tuple[str, ...]:
        """What a label stands for; one class alone where all scans show L3, as in the published set."""
        return ("with L3", "without")[: 1 + int(self.labels.max())]

    @cached_property
    def labels(self) -> np.ndarray:
        """int64 [cases]: 0 where L3 is in view, 1 where it is not."""
        return np.array([case.label for case in self.cases])

    @cached_property
    def hash(self) -> str:
        """One hash of all content and truth, the same on every machine."""
        lines = (f"{case.content} {np.round(case.heights, 1).tolist()} {case.known.tolist()};" for case in self.cases)
        return files.hash_bytes(*(line.encode() for line in lines))

    def read(self, index: int) -> ct.Volume:
        """Read one CT whole.

        Raises:
            ValueError: If the data set holds projections only.
        """
        path = self.cases[index].source
        if not isinstance(path, Path):
            raise ValueError("the published data set holds projections only, and no CT to read")
        return ct.read_volume(path)

    def card(self) -> str:
        """What a reader must know of the data before any result, as plain text."""
        lacking = int(self.labels.sum())
        rows = [
            f"{self.name}: {len(self.cases)} {self.origin} scans, {lacking} of them without L3 in view",
            f"scans that are there twice: {len(self.cases) - len({case.content for case in self.cases})}",
        ]
        apart = [case.source.disagreement for case in self.cases if isinstance(case.source, l3data.L3Case)]
        if apart:
            rows.append(f"annotators apart by {np.mean(apart):.1f} mm on average: no result can be shown to be better")
        return "\n".join([*rows, f"licence: {self.licence}", f"source: {self.citation}"])


def open_l3(settings: L3Settings, root: Path | None = None) -> SpineScans:
    """Open the scans of notebook 02: real ones if they are there, else their phantom twins, which are made once.

    Args:
        settings: How many phantoms, how fine, which seed.
        root: The data root; ``COURSE_DATA`` when left out.

    Returns:
        The scans. Real ones lie in ``l3/l3_dataset.npz``, or as ``l3/ct/*.nii.gz`` with ``l3/truth.csv``.

    Raises:
        DataError: If there are real scans that cannot be used. They are never replaced by phantoms in silence.

    Taught in notebook 02.
    """
    made = (phantoms_l3.make_l3, settings, phantoms_l3.VERSION, settings.count)
    return read_folder(stores.find_or_make("l3", *made, root))


def read_folder(folder: Path) -> SpineScans:
    """List the scans of a folder that holds `l3_dataset.npz`, or `ct/` and `truth.csv`.

    The table has a line a scan: ``name`` (of the file in ``ct/``), ``l3_mm`` (height of L3 in the scan's own
    millimetres, empty where it is not in view), and, where they are known, the same for other vertebrae.

    Raises:
        DataError: If neither is there, or one cannot be used.

    Taught in notebook 02.
    """
    folder = Path(folder)
    packed, table = folder / "l3_dataset.npz", folder / "truth.csv"
    origin = read_origin(folder / "ORIGIN.json")
    if packed.is_file():
        cases = [_packed(case) for case in l3data.read_dataset(packed)]
    elif table.is_file():
        cases = list(_listed(folder, table, origin.get("keys", {})))
    else:
        raise DataError(folder, "it holds no l3_dataset.npz and no truth.csv", "see README.md for what belongs there")
    return SpineScans(
        name="trunk CT",
        root=folder,
        origin=origin.get("origin", "real"),
        licence=origin.get("licence", "that of your own data, or of the published set's sources"),
        citation=origin.get("what", CITATION if packed.is_file() else f"your own folder, {folder.resolve().name}"),
        cases=tuple(sorted(cases, key=lambda case: (case.key, case.content))),
    )


def _packed(case: l3data.L3Case) -> SpineCase:
    heights = np.full(len(LEVELS), np.nan)
    heights[TARGET] = case.frontal.z_of(case.row)
    parts = [part for view in (case.frontal, case.sagittal) for part in (view.pixels, np.array(view.spacing))]
    content = files.hash_bytes(*(f"{part.shape}".encode() + part.tobytes() for part in parts))
    return SpineCase(case.key, content, 0, case, heights, np.arange(len(LEVELS)) == TARGET)


def _listed(folder: Path, table: Path, keys: dict[str, str]) -> list[SpineCase]:
    cases = []
    names, known, lines = l3data.read_heights(table, LEVELS)
    for name, heights in zip(names, lines, strict=True):
        path = folder / "ct" / name
        if not name or not path.exists():
            raise DataError(path, f"{table.name} names it, but it is not there", "correct the table")
        content, lacks = hash_scan(path), int(np.isnan(heights[TARGET]))
        cases.append(SpineCase(keys.get(content, content), content, lacks, path, heights, known))
    for one, other in pairwise(sorted(cases, key=lambda case: case.content)):
        if one.content == other.content and not np.array_equal(one.heights, other.heights, equal_nan=True):
            fault = f"{one.source.name} and {other.source.name} are the same scan, but their heights are not"
            raise DataError(table, fault, "keep the line that is right")
    return cases


class Seen(NamedTuple):
    """What a network sees of one scan.

    ``images`` is ``uint8`` [2, rows, columns], frontal and sagittal; ``frontal`` knows the heights of its rows.
    """

    images: np.ndarray
    frontal: mip.Prepared


class Prepared(NamedTuple):
    """Scans as a network sees them.

    ``images`` is ``uint8`` [cases, 2, rows, columns], black below a scan that is shorter than others; ``tops`` and
    ``steps`` [cases] give the height of row 0 and of each further row in mm; ``levels`` [cases, levels] are the rows
    of the vertebrae, NaN where out of view; ``known`` [cases, levels] tells where that is certain; ``patients`` [cases]
    tells whose scan it is.
    """

    images: np.ndarray
    tops: np.ndarray
    steps: np.ndarray
    levels: np.ndarray
    known: np.ndarray
    patients: np.ndarray | None = None


def see(views: mip.Projections) -> Seen:
    """Bring both projections of one scan to the size and grey values that a network expects.

    Taught in notebook 02.
    """
    prepared = [mip.prepare(_centred(view), (None, COLUMNS), MM) for view in views]
    rows = max(len(part.pixels) for part in prepared)
    images = [np.pad(part.pixels, ((0, rows - len(part.pixels)), (0, 0))) for part in prepared]
    return Seen(np.round(np.stack(images) * 255).astype(np.uint8), prepared[0])


def project(volume: ct.Volume) -> mip.Projections:
    """Project a scan as `mip.project` does, after averaging it to voxels of about ``FINE`` mm.

    Taught in notebook 02.
    """
    return mip.project(midline.coarsen(volume, FINE))


def _centred(image: mip.Mip) -> mip.Mip:
    """Add air on one side of a frontal projection, so that the spine stands in its middle."""
    if image.midline is None:
        return image
    width = image.pixels.shape[1]
    away = round(2 * float(np.median(image.midline)) - (width - 1))
    air = (max(-away, 0), max(away, 0))
    pixels = np.pad(image.pixels, ((0, 0), air), constant_values=image.pixels.dtype.type(mip.AIR))
    return mip.Mip(pixels, image.spacing, image.view, image.top, image.step, image.source)


def prepare(data: SpineScans) -> Prepared:
    """Project every scan, once, on all cores; later runs find the result on disk.

    Returns:
        The images, memory-mapped, and where the vertebrae lie on them. The cache lies under ``build/``, never among
        the data, and its name holds a hash of content and settings.

    Raises:
        DataError: Naming the first scan that cannot be used, and how many more there are.

    Taught in notebook 02.
    """
    facts = (data.hash, MM, COLUMNS, FINE, PREPARED)
    folder = stores.prepared(data.name, facts, partial(_fill_cache, data))
    places = np.load(folder / "places.npy")
    levels = np.array([case.heights for case in data.cases])
    levels = (levels - places[:, :1]) / places[:, 1:]
    images = np.load(folder / "images.npy", mmap_mode="r")
    levels = np.clip(levels, 0, images.shape[2] - 1)  # half of a first slice lies above its row
    known = np.array([case.known for case in data.cases])
    patients = np.array([case.key for case in data.cases])
    return Prepared(images, places[:, 0], places[:, 1], levels, known, patients)


def _fill_cache(data: SpineScans, folder: Path) -> None:
    stores.fill_rows(folder, _look, data.cases, "projecting scans", "or take it out of truth.csv")


def _look(case: SpineCase) -> dict[str, np.ndarray] | DataError:
    source = case.source
    try:
        views = project(ct.read_volume(source)) if isinstance(source, Path) else (source.frontal, source.sagittal)
    except DataError as fault:
        return fault
    images, frontal = see(mip.Projections(*views))
    rows = (case.heights - frontal.top) / frontal.step
    for level in np.flatnonzero((rows < -BEYOND / MM) | (rows > frontal.rows - 1 + BEYOND / MM)):
        span = f"{frontal.z_of(frontal.rows - 1):.0f} to {frontal.top:.0f} mm"
        fault = f"its {LEVELS[level]} is said to be at {case.heights[level]:g} mm, but it spans z = {span}"
        return DataError(source, fault, "correct it in truth.csv, in the millimetres of the scan's own z axis (RAS)")
    return {"images": images, "places": np.array([frontal.top, frontal.step])}
