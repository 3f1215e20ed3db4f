"""One axial slice of a CT: taken out at a height, its body told from the table, its muscle and fat measured.

Used by notebook 02. Axes are those of `ct.Volume`: x to the patient's right, y to the front, z to the head.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from helpers import ct

TISSUES = {"muscle": (-29.0, 150.0), "fat": (-190.0, -30.0)}  # HU, the ranges of body composition at L3
SOFT = -300.0  # HU; body is denser, lung, mattress and blankets are thinner
NECK = 8.0  # mm; what hangs on the body by less is table, cable or hand


@dataclass(frozen=True, eq=False, repr=False)
class AxialSlice:
    """One axial slice of a scan.

    Args:
        hu: [x, y] in HU, x to the patient's right, y to the front.
        spacing: Of its pixels in mm.
        index: Its number in the volume, from the feet.
        file_axis: The axis of the file, 0 to 2, along which slices follow each other.
        file_index: Its number along that axis of the file.
        z_mm: Its height in mm.
    """

    hu: np.ndarray
    spacing: tuple[float, float]
    index: int
    file_axis: int
    file_index: int
    z_mm: float

    def __repr__(self) -> str:
        stored = f"{self.file_index} on axis {self.file_axis}"
        return f"AxialSlice({self.index} at z = {self.z_mm:.1f} mm; in the file {stored})"


def extract(volume: ct.Volume, z_mm: float) -> AxialSlice:
    """Take the axial slice nearest to a height out of a scan.

    Args:
        volume: The scan.
        z_mm: The height in mm, such as ``frontal.z_of(found.row)``.

    Returns:
        The slice, and where it lies in the file as it was stored.

    Raises:
        ValueError: If the scan does not reach that height.

    Example:
        >>> scan = ct.Volume(np.zeros((4, 4, 9), np.int16), (1.0, 1.0, 5.0), "scan.nii.gz", "LPI")
        >>> extract(scan, 11.0)
        AxialSlice(2 at z = 10.0 mm; in the file 6 on axis 2)

    Taught in notebook 02.
    """
    first, step = heights(volume)
    height = volume.hu.shape[2]
    place = (z_mm - first) / step
    if not -0.5 <= place < height - 0.5:
        raise ValueError(f"the scan spans z = {first:.1f} to {first + step * (height - 1):.1f} mm, not {z_mm:.1f}")
    index = min(round(place), height - 1)
    axis = next(axis for axis, letter in enumerate(volume.file_axes) if letter in "SI")
    stored = index if volume.file_axes[axis] == "S" else height - 1 - index
    return AxialSlice(volume.hu[:, :, index], volume.spacing[:2], index, axis, stored, first + step * index)


def heights(volume: ct.Volume) -> tuple[float, float]:
    """Tell the height of slice 0 in mm, and that of the next above it, in the middle of the slices.

    In a scan that lies oblique, other parts of a slice are higher or lower.

    Example:
        >>> heights(ct.Volume(np.zeros((4, 4, 9), np.int16), (1.0, 1.0, 5.0), "scan.nii.gz", "RAS"))
        (0.0, 5.0)

    Used by the projections of notebook 02.
    """
    x, y = (np.array(volume.hu.shape[:2]) - 1) / 2
    return float(volume.affine[2] @ [x, y, 0, 1]), float(volume.affine[2, 2])


def outline(hu: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    """Find the body on one axial slice: the largest soft region, its air and lungs filled, without the table.

    Args:
        hu: [x, y] in HU.
        spacing: Of its pixels in mm.

    Returns:
        ``bool`` [x, y]; nowhere true where there is no body.

    Example:
        >>> hu = np.full((40, 40), -1000)
        >>> hu[8:30, 10:34] = 40
        >>> hu[:, 4] = 200  # the table
        >>> int(outline(hu, (3.0, 3.0)).sum()) == 22 * 24
        True

    Taught in notebook 02.
    """
    soft = np.pad(hu > SOFT, 1)
    core, count = ndimage.label(ndimage.distance_transform_edt(soft, sampling=spacing) > NECK)
    if count == 0:
        return np.zeros(hu.shape, bool)
    core = core == 1 + np.argmax(np.bincount(core.ravel())[1:])
    near = ndimage.distance_transform_edt(~core, sampling=spacing) <= NECK * np.sqrt(2)  # to the corners
    return ndimage.binary_fill_holes(soft & near)[1:-1, 1:-1]


def tissue_masks(hu: np.ndarray, spacing: tuple[float, float]) -> dict[str, np.ndarray]:
    """Tell which pixels of an axial slice count as muscle and as fat, inside the body alone, by density.

    Arguments and what counts are those of `tissue_areas`.

    Returns:
        ``bool`` [x, y] by the names in ``TISSUES``.

    Example:
        >>> hu = np.full((60, 60), -1000)
        >>> hu[5:55, 5:55] = 50
        >>> {name: int(mask.sum()) for name, mask in tissue_masks(hu, (2.0, 2.0)).items()}
        {'muscle': 2500, 'fat': 0}

    Taught in notebook 02.
    """
    inside = outline(hu, spacing)
    return {name: inside & (hu >= low) & (hu <= high) for name, (low, high) in TISSUES.items()}


def tissue_areas(hu: np.ndarray, spacing: tuple[float, float]) -> dict[str, float]:
    """Measure muscle and fat on an axial slice, inside the body alone, by density.

    What counts is density, so bowel wall, organs and blood of 150 HU or less count as muscle, too.

    Args:
        hu: [x, y] in HU.
        spacing: Of its pixels in mm.

    Returns:
        Area in cm2 by the names in ``TISSUES``.

    Example:
        >>> hu = np.full((60, 60), -1000)
        >>> hu[5:55, 5:55] = -100
        >>> hu[15:45, 15:45] = 50
        >>> tissue_areas(hu, (2.0, 2.0))
        {'muscle': 36.0, 'fat': 64.0}

    Taught in notebook 02. The ranges are those of the body-composition literature (Mourtzakis et al. 2008 for muscle).
    """
    pixel = spacing[0] * spacing[1] / 100
    return {name: float(mask.sum() * pixel) for name, mask in tissue_masks(hu, spacing).items()}
