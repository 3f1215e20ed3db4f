"""Maximum intensity projections of a CT, prepared for a network, and the row of L3 found in its answer.

Used by notebook 02. Rows run from head to foot. On a frontal image the patient's right is on the left, as radiologists
look at it; on a sagittal one the front is on the left.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from helpers import axial, ct, midline

AIR = -1000.0
WINDOW = (100.0, 1500.0)  # HU: bone; the same for every image, whatever its brightest voxel
HALF_WIDTH = 10.0  # mm to each side of the mid-line: vertebral bodies and spinous processes, hardly a rib
SIDES = 0.35  # of the columns on each side hold no spine on a frontal image
SLAB = 32  # slices projected at a time
STRIDE = 32  # rows, where their number is free: networks halve images up to five times


class _Rows:
    """The height of rows: row 0 lies at ``top`` mm, each further one ``step`` mm above, which is negative."""

    top: float
    step: float

    def z_of(self, row: float) -> float:
        """Height of a row in mm, the patient's z axis (to the head); rows may be fractions."""
        return self.top + self.step * row

    def row_of(self, z_mm: float) -> float:
        """The row at a height in mm, as a fraction."""
        return (z_mm - self.top) / self.step


@dataclass(frozen=True, eq=False, repr=False)
class Mip(_Rows):
    """A maximum intensity projection that knows where its rows lie in the patient.

    Args:
        pixels: [rows from head to foot, columns] in HU.
        spacing: Distance of rows and of columns in mm.
        view: "frontal" or "sagittal".
        top: Height of the first row in mm.
        step: From one row to the next in mm, negative; differs from the spacing where the scan lies oblique.
        source: Name of the scan.
        midline: Column of the spine in every row; None where it is not known.

    Example:
        >>> image = Mip(np.zeros((3, 4), np.int16), (5.0, 0.8), "frontal", 100.0, -5.0, "scan.nii.gz")
        >>> image
        Mip(scan.nii.gz: frontal, 3 x 4 pixels of 5 x 0.8 mm)
        >>> image.z_of(2), image.row_of(97.5)
        (90.0, 0.5)

    Taught in notebook 02.
    """

    pixels: np.ndarray
    spacing: tuple[float, float]
    view: str
    top: float
    step: float
    source: str
    midline: np.ndarray | None = None

    def __repr__(self) -> str:
        rows, columns = self.pixels.shape
        size = f"{rows} x {columns} pixels of {self.spacing[0]:.3g} x {self.spacing[1]:.3g} mm"
        return f"Mip({self.source}: {self.view}, {size})"


class Projections(NamedTuple):
    """The two views of one scan."""

    frontal: Mip
    sagittal: Mip


def project(volume: ct.Volume) -> Projections:
    """Project a scan from front to back, and the part around the mid-line from side to side.

    The sagittal projection follows the spine: ``HALF_WIDTH`` to each side of `midline.find_midline` in every slice,
    so that a bent spine stays in it and the hips stay out.

    Args:
        volume: The scan.

    Returns:
        The frontal and the restricted sagittal projection in HU, -1000 or more, of the scan's own type and spacing.
        Beyond them a few MB of memory are used.

    Example:
        >>> hu = np.full((6, 5, 4), -1000, np.int16)
        >>> hu[1, 3, 2] = 700  # left of the middle, in front, above it
        >>> np.argwhere(project(ct.Volume(hu, (10.0, 10.0, 10.0), "dot", "RAS")).frontal.pixels == 700)
        array([[1, 4]])

    Taught in notebook 02. Source: Kanavati et al. 2018, with a mid-line that the pelvis does not mislead.
    """
    hu, (dx, dy, dz) = volume.hu, volume.spacing
    width, depth, height = hu.shape
    middle = midline.find_midline(volume)
    low = np.clip(np.ceil(middle - HALF_WIDTH / dx), 0, width - 1).astype(int)
    high = np.clip(np.floor(middle + HALF_WIDTH / dx), low, width - 1).astype(int) + 1
    frontal, sagittal = np.empty((height, width), hu.dtype), np.empty((height, depth), hu.dtype)
    for first in range(0, height, SLAB):
        slab = slice(first, first + SLAB)
        frontal[slab] = hu[:, :, slab].max(axis=1).T
        for k in range(first, min(first + SLAB, height)):
            sagittal[k] = hu[low[k] : high[k], :, k].max(axis=0)
    top, step = axial.heights(volume)
    place = {"top": top + step * (height - 1), "step": -step, "source": volume.source}
    views = (np.maximum(image[::-1, ::-1], hu.dtype.type(AIR)) for image in (frontal, sagittal))
    columns = width - 1 - middle[::-1]
    return Projections(
        Mip(next(views), (dz, dx), "frontal", midline=columns, **place), Mip(next(views), (dz, dy), "sagittal", **place)
    )


@dataclass(frozen=True, eq=False)
class Prepared(_Rows):
    """A projection as a network sees it.

    Args:
        pixels: ``float32`` [rows, columns] in [0, 1]; black where the scan has nothing.
        mm: Size of a pixel. It is what was asked for, or more where a tall scan had to be shrunk.
        top: Height of the first row in mm.
        step: From one row to the next in mm, negative.
        rows: How many rows the scan reaches down to; the rest is black.
    """

    pixels: np.ndarray
    mm: float
    top: float
    step: float
    rows: int


def prepare(mip: Mip, shape: tuple[int | None, int] = (512, 512), mm: float = 1.0) -> Prepared:
    """Bring a projection to square pixels, the window of bone, and the size of a network's input.

    The first row stays the first, the width is centred. A scan with more rows than there is room for is shrunk until
    all are in, so nobody is dropped and every row has its height.

    Args:
        mip: The projection.
        shape: Rows and columns; None rows for as many as it needs, a multiple of ``STRIDE``.
        mm: Size of a pixel.

    Returns:
        The input, resampled linearly, and over as many neighbours as a pixel covers where it shrinks.

    Raises:
        ValueError: If it has fewer than two rows or columns, or pixels of no size.

    Example:
        >>> image = Mip(np.full((201, 10), 800, np.int16), (5.0, 1.0), "frontal", 0.0, -5.0, "tall.nii.gz")
        >>> prepared = prepare(image, (101, 8))  # 1000 mm of patient on 100 mm of rows
        >>> prepared.mm, prepared.z_of(100), float(prepared.pixels[100, 4])
        (10.0, -1000.0, 0.5)

    Taught in notebook 02.
    """
    length = (len(mip.pixels) - 1) * mip.spacing[0]
    if not mm > 0 or min(side for side in shape if side is not None) < 2:
        raise ValueError(f"an image needs 2 rows and columns of some size, but found {shape} of {mm:g} mm")
    if shape[0] is not None:
        mm = max(mm, length / (shape[0] - 1))
    needed = math.ceil(length / mm - 1e-6) + 1
    total = shape[0] or math.ceil(needed / STRIDE) * STRIDE
    down = _weights(np.arange(total) * mm / mip.spacing[0], len(mip.pixels), mm / mip.spacing[0])
    width = mip.pixels.shape[1]
    columns = (np.arange(shape[1]) - (shape[1] - 1) / 2) * mm / mip.spacing[1] + (width - 1) / 2
    across = _weights(columns, width, mm / mip.spacing[1])
    hu = down @ (mip.pixels.astype(np.float32) - np.float32(AIR)) @ across.T + np.float32(AIR)
    return Prepared(ct.window(hu, WINDOW), mm, mip.top, mip.step * mm / mip.spacing[0], needed)


def _weights(places: np.ndarray, size: int, scale: float) -> np.ndarray:
    """How much each of ``size`` samples counts at each place; nothing at places beyond the ends."""
    reach = max(scale, 1.0)
    weights = np.maximum(1 - abs(places[:, None] - np.arange(size)) / reach, 0)
    inside = (places >= -0.5) & (places <= size - 0.5)
    return (weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9) * inside[:, None]).astype(np.float32)


def blank_sides(pixels: np.ndarray) -> np.ndarray:
    """Blacken ``SIDES`` of the columns on the left and on the right of a frontal image, where no spine is.

    Example:
        >>> blank_sides(np.ones((1, 10))).astype(int)
        array([[0, 0, 0, 1, 1, 1, 1, 0, 0, 0]])

    For studies beside notebook 02, which draws its labels there alone. Source: the published tutorial.
    """
    return pixels * middle_columns(pixels.shape[-1]).astype(pixels.dtype)


def middle_columns(columns: int) -> np.ndarray:
    """Tell the columns that `blank_sides` leaves, ``bool`` [columns]. Seen in notebook 02."""
    cut = math.floor(columns * SIDES)
    return (np.arange(columns) >= cut) & (np.arange(columns) < columns - cut)


class Found(NamedTuple):
    """Where L3 is: the row, a fraction, or None if it is not in view; and how sure that is, from 0 to 1."""

    row: float | None
    confidence: float

    @property
    def in_view(self) -> bool:
        """Whether L3 is on the image at all."""
        return self.row is not None


def locate(confidence: np.ndarray, threshold: float = 0.0) -> Found:
    """Find the row of L3 in what a network answered.

    The row is the middle of the peak, that is of the rows around the most confident one that reach half of it. So the
    middle of a band is found, not its upper edge, and a bump is found to a fraction of a row.

    Args:
        confidence: [rows] or [rows, columns], 0 to 1. An image counts by the highest tenth of every row's columns.
        threshold: Below this confidence L3 is not in view; chosen on validation scans, see
            `localization.choose_threshold`.

    Returns:
        The row and its confidence.

    Raises:
        ValueError: If it has neither shape, or values outside [0, 1], such as log-odds.

    Example:
        >>> locate(np.array([0.0, 0.1, 0.9, 0.9, 0.9, 0.2, 0.0]))
        Found(row=3.0, confidence=0.9)
        >>> locate(np.full(64, 0.1), threshold=0.3).in_view
        False

    Taught in notebook 02.
    """
    confidence = np.asarray(confidence, np.float64)
    if confidence.ndim not in (1, 2) or confidence.size == 0:
        raise ValueError(f"one confidence a row or a pixel is expected, but the shape is {confidence.shape}")
    if not (confidence.min() >= 0 and confidence.max() <= 1):
        raise ValueError(f"confidences lie in [0, 1], but these in [{confidence.min():g}, {confidence.max():g}]")
    if confidence.ndim == 2:
        best = max(1, confidence.shape[1] // 10)
        confidence = np.partition(confidence, -best, axis=1)[:, -best:].mean(axis=1)
    peak = int(confidence.argmax())
    height = float(confidence[peak])
    if height == 0 or height < threshold:
        return Found(None, height)
    first = last = peak
    while first > 0 and confidence[first - 1] >= height / 2:
        first -= 1
    while last < len(confidence) - 1 and confidence[last + 1] >= height / 2:
        last += 1
    rows = np.arange(first, last + 1)
    return Found(round(float(np.average(rows, weights=confidence[rows])), 6), height)
