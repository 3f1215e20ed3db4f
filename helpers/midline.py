"""Where the spine runs from side to side in a CT, whatever else is bright in it.

Used by `mip` and so by notebook 02. Axes are those of `ct.Volume`: x to the patient's right, y to the front, z to the
head.
"""

import numpy as np
from scipy import ndimage

from helpers import axial, ct

SIDEWAYS = 28.0  # mm from the body's middle; the spine is nearer, the iliac crests and the hips are farther
VERTEBRA = 28.0  # mm, a window that a vertebra fills from side to side and a rib does not


def coarsen(volume: ct.Volume, mm: float) -> ct.Volume:
    """Average a scan's voxels in blocks of about so many millimetres a side.

    A maximum over hundreds of fine voxels is mostly noise; over averaged ones, scans of any make look alike. An axis
    whose voxels are as long already stays as it is, and blocks at the far end may be smaller than the others.

    Args:
        volume: The scan.
        mm: Wanted size of a block.

    Returns:
        A smaller scan, ``int16``, in the same place. Memory beyond it: one block of slices.

    Example:
        >>> fine = ct.Volume(np.arange(16, dtype=np.int16).reshape(4, 2, 2) * 10, (1.0, 1.0, 4.0), "fine", "RAS")
        >>> coarsen(fine, 2.0)
        Volume(fine: 2 x 1 x 2 voxels of 2 x 2 x 4 mm, 30 to 120 HU, stored RAS)

    Taught in notebook 02.
    """
    factors = [max(1, round(mm / size)) for size in volume.spacing]
    starts = [np.arange(0, size, factor) for size, factor in zip(volume.hu.shape, factors, strict=True)]
    counts = [np.diff(start, append=size) for start, size in zip(starts, volume.hu.shape, strict=True)]
    hu = np.empty([len(start) for start in starts], np.int16)
    for index, first in enumerate(starts[2]):
        plane = volume.hu[:, :, first : first + factors[2]].sum(axis=2, dtype=np.float32)
        plane = np.add.reduceat(np.add.reduceat(plane, starts[1], axis=1), starts[0], axis=0)
        hu[:, :, index] = np.rint(plane / (counts[0][:, None] * counts[1] * counts[2][index]))
    scale = np.diag([*map(float, factors), 1.0])
    scale[:3, 3] = (np.array(factors) - 1) / 2  # the middle of the first block
    spacing = tuple(size * factor for size, factor in zip(volume.spacing, factors, strict=True))
    return ct.Volume(hu, spacing, volume.source, volume.file_axes, volume.affine @ scale)


def find_midline(volume: ct.Volume) -> np.ndarray:
    """Find where the spine runs from side to side.

    The column with most bone will not do: in the pelvis that is the ilium, beside a contrast-filled vessel that is the
    vessel. What tells a spine is that a vertebra's width of bone goes on from slice to slice, in the back half of the
    body and near its middle; the best path under these terms is found by dynamic programming, then centred.

    Args:
        volume: The scan.

    Returns:
        ``float64`` [z], the place along x in voxels for every slice; where no bone helps, the middle of the body.

    Example:
        >>> hu = np.full((60, 50, 20), -1000, np.int16)
        >>> hu[5:55, 5:45] = 40
        >>> hu[26:33, 10:20] = 400  # vertebrae
        >>> hu[45:52, 8:30] = 700  # an ilium
        >>> find_midline(ct.Volume(hu, (4.0, 4.0, 5.0), "block", "RAS")).round().tolist() == [29.0] * 20
        True

    Taught in notebook 02.
    """
    coarse = coarsen(volume, 4.0)
    dx, dy, dz = coarse.spacing
    width, _, height = coarse.hu.shape
    bone, rear, middle = np.zeros((width, height)), np.zeros((width, height)), np.full(height, np.nan)
    for k in range(height):
        plane = coarse.hu[:, :, k]
        body = axial.outline(plane, (dx, dy))
        if body.any():
            x, y = np.nonzero(body)
            middle[k] = x.mean()
            back = body & (np.arange(plane.shape[1]) < y.mean() + 0.15 * np.ptp(y))
            density = np.clip((plane - 120.0) / 150, 0, 1) * back  # metal counts no more than bone
            bone[:, k] = np.minimum(density.sum(axis=1) * dy / 30, 1)  # 3 cm are enough: an ilium is deeper
            rear[:, k] = density[:, : int(y.mean())].sum(axis=1)  # behind the aorta
    if np.isnan(middle).all():
        return np.full(volume.hu.shape[2], (volume.hu.shape[0] - 1) / 2)
    known = np.flatnonzero(~np.isnan(middle))
    middle = np.interp(np.arange(height), known, middle[known])
    middle = ndimage.gaussian_filter1d(middle, 25 / dz, mode="nearest")
    score = ndimage.uniform_filter1d(bone, max(1, round(VERTEBRA / dx)), axis=0, mode="constant")
    score = ndimage.gaussian_filter1d(score, 10 / dz, axis=1, mode="nearest")
    places = np.arange(width)[:, None]
    score *= np.exp(-(((places - middle) * dx / SIDEWAYS) ** 2) / 2)
    score += 1e-3 * np.exp(-(((places - middle) * dx / SIDEWAYS) ** 2) / 2)  # without bone: the middle
    path = _best_path(score, 0.2 * dx / dz)
    near = rear * (abs(places - path) * dx <= 1.2 * VERTEBRA) + 1e-3 * (places == path)
    near = ndimage.gaussian_filter1d(near, 12 / dz, axis=1, mode="nearest")
    centre = (near * places).sum(axis=0) / near.sum(axis=0)
    factors = [round(big / small) for big, small in zip(coarse.spacing, volume.spacing, strict=True)]
    at = (np.arange(volume.hu.shape[2]) - (factors[2] - 1) / 2) / factors[2]
    return np.interp(at, np.arange(height), centre) * factors[0] + (factors[0] - 1) / 2


def _best_path(score: np.ndarray, price: float) -> np.ndarray:
    """The row in every column of [rows, columns] that make the highest sum; a step of one row costs the price."""
    rows, columns = score.shape
    total, came = score[:, 0].copy(), np.zeros((columns, rows), int)
    for k in range(1, columns):
        padded = np.pad(total, 1, constant_values=-np.inf)
        choices = np.stack([padded[1:-1], padded[:-2] - price, padded[2:] - price])
        best = choices.argmax(axis=0)
        came[k] = np.arange(rows) + np.array([0, -1, 1])[best]
        total = choices.max(axis=0) + score[:, k]
    path = np.empty(columns, int)
    path[-1] = total.argmax()
    for k in range(columns - 1, 0, -1):
        path[k - 1] = came[k, path[k]]
    return path
