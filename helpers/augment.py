"""Varied copies of a training volume: turned in the axial plane, mirrored from left to right.

Used by notebook 01. Every random choice comes from a generator that is passed in, so that it can be made again.
"""

import math
from functools import lru_cache

import numpy as np
from scipy import sparse

ROTATIONS = (-20, -10, -5, 5, 10, 20)  # degrees, those of the published tutorials


def rotate_in_plane(volume: np.ndarray, degrees: float) -> np.ndarray:
    """Turn a volume about the long axis of the body, every slice alike.

    Positive is anticlockwise on the usual axial picture (front up, the patient's right on the viewer's left): what was
    in front moves towards the patient's right. Voxels must be as wide along x as along y, as CT voxels are.

    Args:
        volume: ``float32`` [x, y, z] in [0, 1], axes to the right, front and head.
        degrees: The angle.

    Returns:
        A new ``float32`` array of the same shape in [0, 1], linearly interpolated; what comes from outside is air, 0.

    Raises:
        ValueError: If the volume has not three axes, or holds a value outside [0, 1].

    Example:
        >>> volume = np.zeros((5, 5, 1), "float32")
        >>> volume[2, 4] = 1  # in front of the centre
        >>> np.argwhere(rotate_in_plane(volume, 90) > 0.5)  # now at its right
        array([[4, 2, 0]])

    Taught in notebook 01. The recipe is that of the published tutorials.
    """
    if volume.ndim != 3:
        raise ValueError(f"a volume has three axes, but this one has the shape {volume.shape}")
    low, high = volume.min(), volume.max()
    if not (low >= 0 and high <= 1):
        raise ValueError(f"a volume in [0, 1] is expected, but this one reaches from {low} to {high}")
    width, depth, height = volume.shape
    # One sparse matrix turns all slices at once: exact, and faster than OpenCV, which rounds coordinates to 1/32 of a
    # pixel as soon as an image has more than four channels.
    planes = volume.reshape(width * depth, height).astype(np.float32, copy=False)
    turned = _rotation(width, depth, float(degrees)) @ planes
    return np.clip(turned, 0, 1, out=turned).reshape(volume.shape)


def random_rotation(volume: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn a volume by one of the six angles in ``ROTATIONS``, each as likely as the others.

    Arguments, result and errors are those of `rotate_in_plane`.

    Example:
        >>> random_rotation(np.zeros((4, 4, 2), "float32"), np.random.default_rng(0)).shape
        (4, 4, 2)

    Taught in notebook 01.
    """
    return rotate_in_plane(volume, ROTATIONS[rng.integers(len(ROTATIONS))])


def mirror(volume: np.ndarray) -> np.ndarray:
    """Swap left and right.

    The heart then lies on the patient's right, as it does in one person of some ten thousand: harmless where the
    question is whether a lung is ill, wrong wherever the side is part of the answer.

    Args:
        volume: [x, y, z], the first axis running from left to right.

    Returns:
        A new array of the same shape and type.

    Example:
        >>> mirror(np.array([[[1]], [[2]], [[3]]])).ravel()
        array([3, 2, 1])

    Taught in notebook 01.
    """
    return np.ascontiguousarray(volume[::-1])


@lru_cache(maxsize=32)  # six angles for each of a few shapes; 0.5 MB each at 128 x 128
def _rotation(width: int, depth: int, degrees: float) -> sparse.csr_array:
    """The matrix that takes the pixels of a plane [x, y] to those of the turned one, outside being 0."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = np.meshgrid(np.arange(width) - (width - 1) / 2, np.arange(depth) - (depth - 1) / 2, indexing="ij")
    # Seen from the feet x runs to the left, so that "anticlockwise" is clockwise in (x, y). Here runs the inverse:
    # where each pixel comes from. Rounding keeps 90 degrees on the grid.
    from_x = np.round(cosine * x - sine * y + (width - 1) / 2, 9).ravel()
    from_y = np.round(sine * x + cosine * y + (depth - 1) / 2, 9).ravel()
    rows, columns, weights = [], [], []
    for near_x in (np.floor(from_x), np.floor(from_x) + 1):
        for near_y in (np.floor(from_y), np.floor(from_y) + 1):
            inside = (near_x >= 0) & (near_x < width) & (near_y >= 0) & (near_y < depth)
            rows.append(np.flatnonzero(inside))
            columns.append((near_x * depth + near_y)[inside].astype(np.int32))
            weights.append(((1 - abs(from_x - near_x)) * (1 - abs(from_y - near_y)))[inside].astype(np.float32))
    index = (np.concatenate(rows).astype(np.int32), np.concatenate(columns))
    return sparse.csr_array((np.concatenate(weights), index), shape=(width * depth, width * depth))
