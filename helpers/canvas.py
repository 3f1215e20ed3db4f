"""A picture of a patient on a grid, and the brushes that know the patient's pose.

Used by `spines` and `bodies`, and so by notebook 02. Brushes take the patient's frame, in mm; densities are HU.
"""

from collections.abc import Callable, Sequence

import numpy as np

from helpers.anatomy import AIR, Thorax
from helpers.voxels import Box, Grid, coverage, tube

Lines = tuple[np.ndarray, np.ndarray, np.ndarray]
STRAIGHT = np.eye(3)


class Canvas:
    """A picture in HU that is painted upon in the patient's frame.

    Args:
        pose: How the patient lies in the scanner.
        grid: Where the voxels lie, in the scanner's frame.
        tissues: Names of tissues whose part in every voxel is kept, such as "muscle": the truth of body composition.

    Example:
        >>> from helpers import anatomy
        >>> pose = anatomy.sample_thorax(np.random.default_rng(0))
        >>> canvas = Canvas(pose, Grid((9, 9, 9), (9.0, 9.0, 9.0), (-36.0, -36.0, -36.0)), ["muscle"])
        >>> canvas.ellipsoid((0, 0, 0), (30, 30, 30), 50.0, "muscle")
        >>> bool(np.isclose(canvas.parts["muscle"].sum() * 9**3, 4 / 3 * np.pi * 30**3, rtol=0.1))
        True

    Used by the phantoms of notebook 02.
    """

    def __init__(self, pose: Thorax, grid: Grid, tissues: Sequence[str] = ()):
        self.pose, self.grid, self.edge = pose, grid, grid.spacing[0]
        self.hu = np.full(grid.shape, AIR, np.float32)
        self.parts = {name: np.zeros(grid.shape, np.float32) for name in tissues}

    def fill(self, box: Box, distance: np.ndarray, value: float | np.ndarray, tissue: str = "") -> None:
        """Paint a solid into a box of the picture; see `voxels.fill`."""
        part = coverage(distance, self.edge)
        hu = self.hu[box]
        hu += part * (value - hu)
        for name, whole in self.parts.items():
            whole[box] += part * ((name == tissue) - whole[box])

    def local(self, centre: Sequence[float], axes: np.ndarray, half: Sequence[float]) -> tuple[Box, Lines]:
        """The voxels around a part of the patient, and where they lie in that part's own frame.

        Args:
            centre: Of the part, in the patient's frame.
            axes: [3, 3], its own three directions as columns, in the patient's frame.
            half: How far it reaches along each of them.

        Returns:
            The box and the three coordinates in mm, float32.
        """
        turn = self.pose.rotation @ axes
        origin = self.pose.to_scanner(np.asarray(centre, float))
        reach = np.abs(turn) @ np.asarray(half, float) + self.edge
        box = self.grid.box(origin - reach, origin + reach)
        world = [np.float32(o) for o in origin]
        world = [self.grid.axes[i][(slice(None),) * i + (box[i],)] - world[i] for i in range(3)]
        turn = turn.astype(np.float32)
        return box, tuple(world[0] * turn[0, i] + world[1] * turn[1, i] + world[2] * turn[2, i] for i in range(3))

    def solid(
        self,
        centre: Sequence[float],
        half: Sequence[float],
        distance: Callable[..., np.ndarray],
        value: float,
        tissue: str = "",
        axes: np.ndarray = STRAIGHT,
    ) -> None:
        """Paint what a function of a part's own three coordinates calls inside: its distance is negative there."""
        box, lines = self.local(centre, axes, half)
        if min(s.stop - s.start for s in box) > 0:
            self.fill(box, distance(*lines), value, tissue)

    def ellipsoid(
        self,
        centre: Sequence[float],
        radii: Sequence[float],
        value: float,
        tissue: str = "",
        axes: np.ndarray = STRAIGHT,
    ) -> None:
        """Paint an ellipsoid from its centre and three radii."""
        a, b, c = radii

        def distance(x, y, z):
            return (np.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2) - 1) * min(radii)

        self.solid(centre, radii, distance, value, tissue, axes)

    def tube(self, points: Sequence, radii: float | Sequence[float], value: float, tissue: str = "") -> None:
        """Paint a chain of tubes with round ends through points, with one radius or one a point."""
        points = self.pose.to_scanner(np.asarray(points, float))
        radii = np.broadcast_to(np.asarray(radii, float), len(points))
        for i in range(len(points) - 1):
            ends = points[i], points[i + 1], (radii[i], radii[i + 1])
            tube(self.hu, self.grid, *ends, value)
            for name, whole in self.parts.items():
                tube(whole, self.grid, *ends, float(name == tissue))
