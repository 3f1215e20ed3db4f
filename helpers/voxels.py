"""A grid of voxels that knows its millimetres, and the brushes that paint solids and slow noise on it.

Used by `anatomy` and `phantoms`, and so by every notebook that runs without real data.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Grid:
    """Where voxels lie: axes RAS+, that is x to the patient's right, y to the front, z to the head.

    Args:
        shape: Voxels along x, y, z.
        spacing: Distance of voxel centres along x, y, z in mm.
        origin: Centre of voxel 0 in mm.

    Example:
        >>> Grid((3, 2, 2), (2.0, 2.0, 5.0), (-2.0, -1.0, 0.0)).axes[0].ravel()
        array([-2.,  0.,  2.], dtype=float32)

    Seen in notebook 01 through the scans drawn on it.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]

    @cached_property
    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The x, y and z of the voxels in mm, float32, shaped to broadcast against each other."""
        lines = (o + s * np.arange(n) for n, s, o in zip(self.shape, self.spacing, self.origin, strict=True))
        return tuple(line.astype(np.float32) for line in np.ix_(*lines))

    def box(self, low: Sequence[float], high: Sequence[float]) -> Box:
        """The voxels whose centres lie between two corners in mm; empty slices where there are none."""
        slices = []
        for a, b, n, s, o in zip(low, high, self.shape, self.spacing, self.origin, strict=True):
            first = min(max(math.ceil((a - o) / s), 0), n)
            slices.append(slice(first, max(first, min(math.floor((b - o) / s), n - 1) + 1)))
        return tuple(slices)

    def crop(self, box: Box) -> "Grid":
        """The part of the grid that lies in a box."""
        origin = tuple(o + b.start * s for o, b, s in zip(self.origin, box, self.spacing, strict=True))
        return Grid(tuple(b.stop - b.start for b in box), self.spacing, origin)


def coverage(distance: np.ndarray, edge: float) -> np.ndarray:
    """How much of each voxel a solid covers.

    Args:
        distance: From the solid's surface in mm, negative inside; any shape.
        edge: Width over which the surface is blurred, in mm: that of a voxel, as in a scanner.

    Returns:
        0 to 1, same shape.

    Example:
        >>> coverage(np.array([-5.0, -0.5, 0.0, 5.0]), 2.0)
        array([1.  , 0.75, 0.5 , 0.  ])

    Used by the phantoms of every notebook.
    """
    part = 0.5 - distance / edge
    return np.minimum(np.maximum(part, 0, out=part), 1, out=part)


def fill(hu: np.ndarray, distance: np.ndarray, value: float | np.ndarray, edge: float) -> None:
    """Paint a solid into a picture in place, mixing old and new density at its rim.

    Args:
        hu: The picture in HU, changed in place.
        distance: See `coverage`; broadcasts to the shape of ``hu``.
        value: Density of the solid in HU, one number or one a voxel.
        edge: See `coverage`.

    Example:
        >>> hu = np.full(3, -1000.0)
        >>> fill(hu, np.array([-9.0, 0.0, 9.0]), 40.0, 2.0)
        >>> hu
        array([   40.,  -480., -1000.])

    Used by the phantoms of every notebook.
    """
    hu += coverage(distance, edge) * (value - hu)


def tube(
    hu: np.ndarray, grid: Grid, start: np.ndarray, end: np.ndarray, radii: tuple[float, float], value: float
) -> None:
    """Paint a tapering tube with round ends, such as a vessel, into a picture in place.

    Args:
        hu: The picture [x, y, z] in HU, changed in place.
        grid: Where its voxels lie.
        start: Where the middle line begins, [3] in mm.
        end: Where it ends.
        radii: In mm at both ends. What is thinner than a voxel is painted as wide as one, but fainter, as a scanner
            shows it.
        value: Density in HU.

    Example:
        >>> hu = np.zeros((5, 5, 5))
        >>> grid = Grid((5, 5, 5), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
        >>> tube(hu, grid, np.array([2.0, 2.0, 0.0]), np.array([2.0, 2.0, 4.0]), (0.6, 0.6), 100.0)
        >>> hu[:, 2, 2].round()
        array([  0.,  10., 100.,  10.,   0.])

    Used by the phantoms of every notebook.
    """
    edge = grid.spacing[0]
    reach = max(radii) + edge
    box = grid.box(np.minimum(start, end) - reach, np.maximum(start, end) + reach)
    if any(s.start == s.stop for s in box):
        return
    axis = end - start
    x, y, z = grid.axes
    dx, dy, dz = x[box[0]] - start[0], y[:, box[1]] - start[1], z[:, :, box[2]] - start[2]
    along = (dx * axis[0] + dy * axis[1] + dz * axis[2]) / (axis @ axis)
    along = np.minimum(np.maximum(along, 0), 1).astype(np.float32)
    away = np.sqrt((dx - along * axis[0]) ** 2 + (dy - along * axis[1]) ** 2 + (dz - along * axis[2]) ** 2)
    radius = radii[0] + (radii[1] - radii[0]) * along
    part = coverage(away - np.maximum(radius, edge / 2), edge) * np.minimum(1, (2 * radius / edge) ** 2)
    view = hu[box]
    view += part * (value - view)


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], cells: tuple[int, ...]) -> np.ndarray:
    """Draw noise that varies slowly: random numbers on a coarse lattice, blended smoothly between its knots.

    Args:
        rng: Where the randomness comes from.
        shape: Of the result.
        cells: Knots of the lattice along each axis, at least 2.

    Returns:
        ``float32``, mean 0, variance about 1.

    Example:
        >>> noise = smooth_noise(np.random.default_rng(0), (60, 60, 60), (12, 12, 12))
        >>> bool(0.8 < noise.std() < 1.2)
        True

    Used by the phantoms of every notebook.
    """
    noise = rng.standard_normal(cells).astype(np.float32)
    for axis, (n, knots) in enumerate(zip(shape, cells, strict=True)):
        at = np.linspace(0, knots - 1, n, dtype=np.float32)
        low = np.minimum(at.astype(int), knots - 2)
        part = at - low.astype(np.float32)
        part = (part * part * (3 - 2 * part)).reshape([-1 if other == axis else 1 for other in range(noise.ndim)])
        # No matrix product: its threads get in each other's way where several processes draw at once.
        noise = noise.take(low, axis) * (1 - part) + noise.take(low + 1, axis) * part
    return noise * 1.6
