"""One CT to look at, varied copies, and scans with a part hidden: what notebook 02 shows beside its training.

Used by notebook 02.
"""

import csv
import math
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from helpers import axial, ct, datasets, l3_scans, mip, phantoms_l3, runtime
from helpers.l3_scans import LEVELS, MM, TARGET
from helpers.rows import Rows
from helpers.trunk_scans import L3Settings, draw_trunk

VERTEBRA = 35.0  # mm from one vertebra to the next in the lower back, where it is not known
LEAST_LEVELS = 10  # in view: then ribs and pelvis are, too
LOOKED_AT, DENSE = 5, 700.0  # of so many scans the plainest is shown: with least that is denser, in HU


@dataclass(frozen=True, eq=False)
class Example:
    """A CT that shows L3, with what is known of it.

    Attributes:
        volume: The scan.
        l3_mm: Height of L3.
        areas: True areas in its slice in cm2 by the names in ``axial.TISSUES``; empty where they are not known.
        origin: "phantom" or "real".
    """

    volume: ct.Volume
    l3_mm: float
    areas: dict[str, float]
    origin: str


def example(data: l3_scans.SpineScans, run: runtime.Run) -> Example:
    """Choose a CT to look at: of the first test scans with L3 that show most vertebrae, the plainest.

    The published data set holds projections and no CT; then, and where no test scan shows L3, a phantom is drawn.

    Args:
        data: The data set.
        run: Its seed tells which scans are test scans, see `datasets.split`.

    Example:
        >>> import tempfile
        >>> folder = phantoms_l3.make_l3(tempfile.mkdtemp() + "/l3", L3Settings(count=6, pixel=6.0))
        >>> data = l3_scans.read_folder(folder)
        >>> sorted(example(data, runtime.Run(seed=1, size="quick", device="cpu", data_root=folder)).areas)
        ['fat', 'muscle']

    Taught in notebook 02.
    """
    cases = [data.cases[index] for index in datasets.split(data, run.seed).test]
    cases = [case for case in cases if case.label == 0 and isinstance(case.source, Path)]
    if not cases:
        return _drawn(run.seed)
    most = max(np.isfinite(case.heights).sum() for case in cases)
    equals = [case for case in cases if np.isfinite(case.heights).sum() == most][:LOOKED_AT]
    volumes = [ct.read_volume(case.source) for case in equals]
    plain = int(np.argmin([np.mean(volume.hu > DENSE) for volume in volumes]))
    best = equals[plain]
    areas = _areas(data.root / "truth.csv", best.source.name)
    return Example(volumes[plain], float(best.heights[TARGET]), areas, data.origin)


def _drawn(seed: int) -> Example:
    settings = L3Settings(seed=seed)
    for number in count():
        hu, truth, grid = draw_trunk(number, settings)
        if truth.l3 is not None and sum(truth.slices.get(level) is not None for level in LEVELS) >= LEAST_LEVELS:
            areas = {"muscle": truth.muscle, "fat": truth.fat}
            volume = phantoms_l3.as_volume(hu, grid, "phantom")
            return Example(volume, truth.centres["L3"][2], areas, "phantom")


def _areas(table: Path, name: str) -> dict[str, float]:
    with open(table, newline="", encoding="utf8") as file:
        row = next(row for row in csv.DictReader(file) if row["name"] == name)
    return {tissue: float(row[f"{tissue}_cm2"]) for tissue in axial.TISSUES if row.get(f"{tissue}_cm2")}


def nearest_slice(volume: ct.Volume, z_mm: float) -> axial.AxialSlice:
    """Take out the axial slice at a height, or the scan's last one where the height lies beyond it.

    Example:
        >>> scan = ct.Volume(np.zeros((4, 4, 9), np.int16), (1.0, 1.0, 5.0), "scan.nii.gz", "RAS")
        >>> nearest_slice(scan, 900.0).index
        8

    Taught in notebook 02.
    """
    first, step = axial.heights(volume)
    reach = sorted((first, first + step * (volume.hu.shape[2] - 1)))
    return axial.extract(volume, float(np.clip(z_mm, *reach)))


class Worst(NamedTuple):
    """The scans with the largest errors, as `views.found_rows` takes them: heights in mm, captions in words."""

    images: list[mip.Mip]
    found: list[float]
    truth: list[float]
    captions: list[str]


def worst(data: l3_scans.SpineScans, prepared: l3_scans.Prepared, found: Any, count: int = 8) -> Worst:
    """Look up the frontal projections of the test scans on which L3 was found furthest from the truth.

    Args:
        data, prepared: The data set, and what the network saw of it.
        found: From `Task.evaluate`.
        count: How many, of those that show L3.

    Taught in notebook 02.
    """
    places = [place for place in found.worst(count) if found.shown[place]]
    cases = found.cases[places]
    heights = [prepared.tops[cases] + prepared.steps[cases] * rows[places] for rows in (found.found, found.truth)]
    captions = [f"{abs(mm):.0f} mm too {'low' if mm > 0 else 'high'}" for mm in heights[1] - heights[0]]
    images = [_projected(data, case).frontal for case in cases]
    return Worst(images, *(column.tolist() for column in heights), captions)


def _projected(data: l3_scans.SpineScans, index: int) -> mip.Projections:
    source = data.cases[index].source
    if isinstance(source, Path):
        return l3_scans.project(ct.read_volume(source))
    return mip.Projections(source.frontal, source.sagittal)


def varied(rows: Rows, copies: int) -> tuple[list[np.ndarray], list[float]]:
    """Show one training scan as it is and as the network meets it in the first epochs.

    Args:
        rows: The training set, asking for the levels.
        copies: How many epochs.

    Returns:
        Images ``float32`` [rows, columns], the scan itself first: the one that shows most of its vertebrae. And the
        row of L3 in each, NaN where it is not in view.

    Taught in notebook 02.
    """
    item = int(np.isfinite(rows.prepared.levels[rows.where]).sum(axis=1).argmax())
    plain = Rows(rows.prepared, rows.where, rows.seed, rows.view)
    shown = [plain[item]]
    for epoch in range(copies):
        fresh = Rows(rows.prepared, rows.where, rows.seed, rows.view, rows.change)
        fresh.epoch = epoch
        shown.append(fresh[item])
    places = [float(np.nan if target[TARGET, -1] else target[TARGET].argmax()) for _, target in shown]
    return [image[0] for image, _ in shown], places


def cut_off(rows: Rows) -> Rows:
    """The scans of a set that show L3, as copies on which it was cut off: scans where "not in view" is right.

    Taught in notebook 02.
    """
    shown = rows.where[np.isfinite(rows.prepared.levels[rows.where, TARGET])]
    return Rows(rows.prepared, shown, rows.seed, rows.view, "leave out", rows.ask)


def hide(rows: Rows, above: str = "", below: str = "") -> Rows:
    """Blacken what lies above or below a vertebra on each image of a set, to see what a network counts from.

    Where a vertebra's place is not known, it is taken to be ``VERTEBRA`` mm a level from L3; a scan without L3 is left
    as it is.

    Args:
        rows: The set.
        above, below: Names in `l3_scans.LEVELS`; a side without a name stays.

    Raises:
        ValueError: If there is no such level.

    Example:
        >>> known = np.arange(len(LEVELS)) == TARGET
        >>> levels = np.where(known, 40.0, np.nan)
        >>> one = l3_scans.Prepared(np.full((1, 2, 96, 32), 9, np.uint8), *np.zeros((2, 1)), levels[None], known[None])
        >>> np.flatnonzero(hide(Rows(one, [0], seed=0), above="L2", below="L4").prepared.images[0, 0, :, 0])[[0, -1]]
        array([29, 51])

    Taught in notebook 02.
    """
    for name in filter(None, (above, below)):
        if name not in LEVELS:
            raise ValueError(f"the level must be one of {', '.join(LEVELS)}, but is {name!r}")
    images = np.array(rows.prepared.images)
    for index in rows.where:
        levels = rows.prepared.levels[index]
        if np.isfinite(levels[TARGET]):
            if above:
                images[index, :, : max(math.ceil(_row(levels, above)), 0)] = 0
            if below:
                images[index, :, max(math.floor(_row(levels, below)) + 1, 0) :] = 0
    prepared = rows.prepared._replace(images=images)
    return Rows(prepared, rows.where, rows.seed, rows.view, rows.change, rows.ask)


def cut_errors(rows: Rows, part: float = 2 / 3) -> np.ndarray:
    """How far off a rule is that only knows where an image was cut: L3 lies so far down what is left.

    Args:
        rows: Scans of which only the middle of L1 to the middle of L4 can be seen, three vertebrae further down.
        part: How far down, 0 being the upper end of what is left; L3 lies two of those three vertebrae below L1.

    Returns:
        Errors in mm, positive towards the feet, one a scan of the set that shows L3.

    Taught in notebook 02.
    """
    shown = rows.where[np.isfinite(rows.prepared.levels[rows.where, TARGET])]
    bright = rows.prepared.images[shown].any(axis=(1, 3))
    ends = np.array([np.flatnonzero(scan)[[0, -1]] for scan in bright])
    return (ends @ [1 - part, part] - rows.prepared.levels[shown, TARGET]) * MM


def _row(levels: np.ndarray, name: str) -> float:
    place = LEVELS.index(name)
    return levels[place] if np.isfinite(levels[place]) else levels[TARGET] + (place - TARGET) * VERTEBRA / MM
