"""CT scans: read from NIfTI or DICOM into Hounsfield units with geometry, windowed, and resized for a network.

Used by notebooks 01 (classification) and 02 (the L3 vertebra), and by the phantoms.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nibabel import aff2axcodes, apply_orientation, io_orientation
from nibabel.orientations import inv_ornt_aff

from helpers import dicom, nifti
from helpers.files import DataError

WINDOWS = {
    "published": (-1000.0, 400.0),
    "lung": (-1350.0, 150.0),
    "mediastinum": (-160.0, 240.0),
    "bone": (-450.0, 1050.0),
}
AIR = -1024  # the lowest CT number; whatever is stored below it was never measured


@dataclass(frozen=True, eq=False, repr=False)
class Volume:
    """A CT scan in Hounsfield units that knows where it lies in the patient.

    Args:
        hu: ``int16`` or ``float32`` [x, y, z] in HU; x grows to the patient's right, y to the front, z to the head.
        spacing: Distance of voxel centres along x, y, z in mm.
        source: Name of the file or folder it came from.
        file_axes: Axes of the file as it was stored, such as "LPS".
        affine: [4, 4], from voxel [x, y, z] to mm (right, front, head); without one, voxel 0 is the origin.

    Example:
        >>> Volume(np.full((4, 4, 2), -1000, np.int16), (0.75, 0.75, 8.0), "air.nii.gz", "LPS")
        Volume(air.nii.gz: 4 x 4 x 2 voxels of 0.75 x 0.75 x 8 mm, -1000 to -1000 HU, stored LPS)

    Taught in notebook 01.
    """

    hu: np.ndarray
    spacing: tuple[float, float, float]
    source: str
    file_axes: str
    affine: np.ndarray | None = None

    def __post_init__(self):
        if self.affine is None:
            object.__setattr__(self, "affine", np.diag([*self.spacing, 1.0]))

    def __repr__(self) -> str:
        shape = " x ".join(str(size) for size in self.hu.shape)
        spacing = " x ".join(f"{size:.3g}" for size in self.spacing)
        span = f"{self.hu.min():.0f} to {self.hu.max():.0f} HU"
        return f"Volume({self.source}: {shape} voxels of {spacing} mm, {span}, stored {self.file_axes})"


def window(hu: np.ndarray, preset: str | tuple[float, float] = "published") -> np.ndarray:
    """Map Hounsfield units to [0, 1] inside a display window.

    Args:
        hu: Voxels in Hounsfield units, any shape.
        preset: A name from ``WINDOWS`` or ``(low, high)`` in HU.

    Returns:
        ``float32`` array of the same shape; values outside the window are clipped.

    Raises:
        ValueError: If the preset is unknown or ``low >= high``.

    Example:
        >>> window(np.array([-1000.0, -300.0, 400.0]))
        array([0. , 0.5, 1. ], dtype=float32)

    Taught in notebook 01. The published window is that of the MosMedData tutorials.
    """
    if isinstance(preset, str) and preset not in WINDOWS:
        raise ValueError(f"the window must be one of {', '.join(WINDOWS)} or (low, high), but is {preset!r}")
    low, high = WINDOWS[preset] if isinstance(preset, str) else preset
    if not low < high:
        raise ValueError(f"a window needs low < high, but is ({low:g}, {high:g})")
    scaled = np.array(hu, dtype=np.float32)
    scaled -= np.float32(low)
    scaled /= np.float32(high - low)
    return np.clip(scaled, 0, 1, out=scaled)


def read_volume(path: str | os.PathLike) -> Volume:
    """Read a CT scan into Hounsfield units, patient's left on the left whatever the order of the file.

    Axes are only swapped and flipped, never resampled, so an oblique scan keeps its voxels and turns to the nearest
    axes. Values below -1024 HU become -1024: no matter is thinner than air, and scanners fill what lies outside the
    round field of view with -2000, -2048 or -3024.

    Args:
        path: A .nii or .nii.gz file, or a folder with the files of one DICOM series.

    Returns:
        The volume; ``int16`` where that holds the values exactly, ``float32`` otherwise.

    Raises:
        DataError: If the file cannot be used, in one sentence with the file, the fault and the remedy. Refused are
            damaged or cut files, several volumes or series, colours, voxels that are no number, gaps, gantry tilt,
            a header without orientation, and values that are no Hounsfield units.

    Example:
        >>> read_volume("nowhere.nii.gz")
        Traceback (most recent call last):
            ...
        helpers.files.DataError: nowhere.nii.gz: there is no such file or folder; check the name.

    Taught in notebook 01.
    """
    path = Path(path)
    stored, slope, intercept, affine = dicom.read_series(path) if os.path.isdir(path) else nifti.read(path)
    if min(stored.shape) < 2:
        shape = " x ".join(str(size) for size in stored.shape)
        raise DataError(path, f"it has {shape} voxels, which is no volume", "give the whole scan")
    hu, canonical, file_axes = _turn(_hounsfield(path, stored, slope, intercept), affine)
    spacing = tuple(float(length) for length in np.linalg.norm(canonical[:3, :3], axis=0).round(6))
    return Volume(hu, spacing, path.resolve().name, file_axes, canonical)


def read_mask(path: str | os.PathLike, like: Volume) -> np.ndarray:
    """Read a mask that was stored beside a scan, such as a phantom's lesions or a lung mask.

    Args:
        path: A .nii or .nii.gz file of whole numbers; every voxel that is not 0 belongs to the mask.
        like: The scan it belongs to.

    Returns:
        ``bool`` [x, y, z], on the voxels of the scan.

    Raises:
        DataError: If the file cannot be read, is no mask, or lies on another grid than the scan.

    Example:
        >>> import nibabel, tempfile
        >>> path = f"{tempfile.mkdtemp()}/mask.nii.gz"
        >>> nibabel.save(nibabel.Nifti1Image(np.eye(3, dtype=np.uint8)[:, :, None] * np.uint8([1, 0]), np.eye(4)), path)
        >>> int(read_mask(path, Volume(np.zeros((3, 3, 2)), (1.0, 1.0, 1.0), "scan.nii.gz", "RAS")).sum())
        3

    Taught in notebook 01.
    """
    path = Path(path)
    stored, slope, intercept, affine = nifti.read(path)
    values, canonical, _ = _turn(stored, affine)
    remedy = f"give the mask that was drawn on {like.source}"
    shift = np.abs((canonical - like.affine)[:3] * [*like.hu.shape, 1]).max()
    if values.shape != like.hu.shape or shift > 0.1 * min(like.spacing):
        raise DataError(path, f"it does not lie on the voxels of {like.source}", remedy)
    empty = -intercept / slope  # the stored number that stands for 0
    if not np.isfinite(stored.max()) or (stored.min() - empty) * slope < 0 or (stored % 1 != 0).any():
        raise DataError(path, "its values are not the whole numbers of a mask", remedy)
    return values != empty


def prepare(volume: Volume, shape: tuple[int, int, int] = (128, 128, 64)) -> np.ndarray:
    """Turn a scan into the input of a network: published window, linear interpolation, corners on corners.

    Args:
        volume: The scan.
        shape: Voxels along x, y, z of the result, at least 2 each.

    Returns:
        ``float32`` [x, y, z] in [0, 1], C-contiguous.

    Raises:
        ValueError: If an axis of ``shape`` is below 2.

    Example:
        >>> ramp = np.array([-1000, 400], np.int16)[:, None, None] * np.ones((2, 2), np.int16)
        >>> prepare(Volume(ramp, (1.0, 1.0, 1.0), "ramp", "RAS"), (3, 2, 2))[:, 0, 0]
        array([0. , 0.5, 1. ], dtype=float32)

    Taught in notebook 01.
    """
    if len(shape) != 3 or min(shape) < 2:
        raise ValueError(f"a volume needs 3 axes of at least 2 voxels, but shape is {shape}")
    # Work in the order of the memory: whole planes and rows are copied, and a flipped axis costs nothing.
    order = np.argsort([-abs(stride) for stride in volume.hu.strides], kind="stable")
    flipped = [volume.hu.strides[axis] < 0 for axis in order]
    block = volume.hu.transpose(order)[tuple(slice(None, None, -1 if flip else 1) for flip in flipped)]
    steps = []
    for axis, flip in enumerate(flipped):
        places = np.linspace(0, block.shape[axis] - 1, shape[order[axis]])
        places = places[::-1] if flip else places
        below = np.minimum(places.astype(int), block.shape[axis] - 2)
        needed = np.unique([below, below + 1])
        if len(needed) < block.shape[axis]:
            block = block.take(needed, axis)
        steps.append((len(needed) / len(below), axis, np.searchsorted(needed, below), places - below))
    block = window(block)
    for _, axis, below, weight in sorted(steps, key=lambda step: -step[0]):  # what shrinks most goes first
        weight = weight.astype(np.float32).reshape([-1 if other == axis else 1 for other in range(3)])
        low, high = block.take(below, axis), block.take(below + 1, axis)
        high -= low
        high *= weight
        block = np.add(low, high, out=low)
    return np.ascontiguousarray(block.transpose(np.argsort(order)))


def load_scan(path: str | os.PathLike, shape: tuple[int, int, int] = (128, 128, 64)) -> np.ndarray:
    """Read a CT scan and make it the input of a network, in one step.

    This is the published recipe (clip to [-1000, 400] HU, scale to [0, 1], linear zoom with corners on corners) in a
    tenth of its time: only the rows and columns that the interpolation needs are converted. Mapped back to the
    file's order it differs from the published steps by at most 2.4e-7, two steps of ``float32``, borders included.
    Two things are other by intent: the axes are patient's right, front and head instead of the file's turned by 90
    degrees, and where a slice is not square nothing is cut off by the turn.

    Args:
        path: A .nii or .nii.gz file, or a folder with the files of one DICOM series.
        shape: Voxels along x, y, z of the result.

    Returns:
        ``float32`` [x, y, z] in [0, 1], C-contiguous.

    Raises:
        DataError: If the file cannot be used; see `read_volume`.

    Example:
        >>> import nibabel, tempfile
        >>> path = f"{tempfile.mkdtemp()}/scan.nii.gz"
        >>> ramp = np.int16([-1000, 400])[:, None, None] * np.ones((2, 2), np.int16)
        >>> nibabel.save(nibabel.Nifti1Image(ramp, np.eye(4)), path)
        >>> load_scan(path, (3, 2, 2))[:, 0, 0]
        array([0. , 0.5, 1. ], dtype=float32)

    Taught in notebook 01.
    """
    return prepare(read_volume(path), shape)


def _turn(values: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    """Swap and flip the axes towards right, front and head; no voxel is copied."""
    orientation = io_orientation(affine)
    canonical = affine @ inv_ornt_aff(orientation, values.shape)
    return apply_orientation(values, orientation), canonical, "".join(aff2axcodes(affine))


def _hounsfield(path: Path, stored: np.ndarray, slope: float | np.ndarray, intercept: float | np.ndarray) -> np.ndarray:
    """Apply slope and intercept, exactly where whole numbers allow it, and make sure that the result can be HU."""
    if stored.dtype.kind == "f" and (bad := stored.size - np.count_nonzero(np.isfinite(stored))):
        raise DataError(path, f"{bad} of its {stored.size} voxels are not numbers", "export the scan again")
    slope, intercept = np.asarray(slope, float), np.asarray(intercept, float)
    ends = np.multiply.outer([float(stored.min()), float(stored.max())], slope) + intercept
    low, high = ends.min(), ends.max()
    if low == high:
        raise DataError(path, f"all its voxels have the value {low:g}", "export the scan again")
    remedy = "give the scan in Hounsfield units, with the rescale slope and intercept applied"
    if not -32768 <= low <= high <= 32767:  # the widest scale of any scanner ends near 30,000
        raise DataError(path, f"its values, {low:.6g} to {high:.6g}, are not Hounsfield units", remedy)
    exact = stored.dtype.kind in "iu" and np.all(slope % 1 == 0) and np.all(intercept % 1 == 0)
    # Whole numbers may overflow on the way and come back: arithmetic modulo 65536 ends at the right value.
    kind, through = (np.int16, np.int64) if exact else (np.float32, np.float32)
    hu = stored.astype(kind, copy=False)
    if np.any(slope != 1):
        hu = hu * slope.astype(through).astype(kind)
    if np.any(intercept != 0):
        hu = hu + intercept.astype(through).astype(kind)
    # Any body holds fat (about -100 HU) or has air around it. Without such a voxel these are grey levels, masks, MR,
    # or stored numbers that were never rescaled; padding alone does not count.
    lowest = hu.min()
    if lowest > -50 or (lowest < -1100 and not np.any((hu > -1100) & (hu < -50))):
        fault = f"its values, {low:.6g} to {high:.6g}, are not Hounsfield units (neither air nor fat is among them)"
        raise DataError(path, fault, remedy)
    return np.maximum(hu, kind(AIR), out=hu) if lowest < AIR else hu
