"""One 3-D model of the thorax, from which the synthetic twins of the course's data sets are drawn.

Used by `organs` and `phantoms`, and so by every notebook that runs without real data. Lengths are in mm, densities
in HU. The patient's frame is RAS: x to the patient's right, y to the front, z to the head, origin in mid-thorax.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from helpers.voxels import Box, Grid

AIR, FAT, MUSCLE, BLOOD, LIVER, CARTILAGE = -1000.0, -100.0, 50.0, 42.0, 60.0, 110.0
SPONGY_BONE, CORTICAL_BONE = 190.0, 650.0
VERTEBRA_PITCH = 25.0


@dataclass(frozen=True)
class Thorax:
    """What makes one chest differ from another; drawn by `sample_thorax`."""

    width: float  # inner half-width of the rib cage
    depth: float  # inner half-depth of the rib cage
    height: float  # from the lowest recess to the apex of the lungs
    fat: float  # under the skin
    dome: float  # height of the left half of the diaphragm: high in expiration
    heart: float  # size; 1 is average
    density: float  # of healthy lung, half-way from back to front
    gravity: float  # how much denser the lung is at the back than at the front
    texture: float  # standard deviation of the lung's own unevenness, bumps of 2 cm
    mosaic: float  # the same in patches of 6 cm: parts that empty badly stay dark
    turn: tuple[float, float, float]  # degrees about x, y and z: nobody lies quite straight
    shift: tuple[float, float, float]  # of mid-thorax from the middle of the scanner
    table_gap: float  # between the back and the table, beyond 12 mm of mattress
    seed: int  # of the branching of vessels and airways, and of the lung's unevenness

    @cached_property
    def rotation(self) -> np.ndarray:
        """From the patient's frame to the scanner's, 3 x 3."""
        a, b, c = np.radians(self.turn)
        about_x = [[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]
        about_y = [[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]]
        about_z = [[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]]
        return np.array(about_z) @ about_y @ about_x

    def to_scanner(self, points: np.ndarray) -> np.ndarray:
        """Points [n, 3] of the patient's frame in the scanner's."""
        return np.asarray(points) @ self.rotation.T + self.shift

    def to_patient(self, grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The voxels of a grid in the patient's frame: x, y and z, each float64 [x, y, z]."""
        # In double precision: which voxel counts as lung must not hang on the last digit of a processor.
        world = [line.astype(float) - s for line, s in zip(grid.axes, self.shift, strict=True)]
        back = self.rotation.T.astype(np.float32)
        return tuple(back[i, 0] * world[0] + back[i, 1] * world[1] + back[i, 2] * world[2] for i in range(3))

    def box(self, grid: Grid, centre: Sequence[float], half: Sequence[float]) -> Box:
        """The voxels of a grid that a part of the patient can touch, from its centre and half-widths in mm."""
        middle = self.to_scanner(centre)
        reach = np.abs(self.rotation) @ half + 2 * grid.spacing[0]
        return grid.box(middle - reach, middle + reach)


def sample_thorax(rng: np.random.Generator) -> Thorax:
    """Draw one chest: size, shape, breath and pose of an adult who lies on a scanner's table.

    Example:
        >>> 100 < sample_thorax(np.random.default_rng(0)).width < 160
        True

    Seen in notebook 01.
    """
    size = rng.normal(1, 0.06)
    breath = rng.uniform(0, 1)
    return Thorax(
        width=size * rng.normal(128, 6),
        depth=size * rng.normal(88, 6),
        height=size * rng.normal(205, 10) + 35 * breath,
        fat=float(np.clip(rng.gamma(3.0, 6.0), 5, 45)),
        dome=rng.normal(62, 6) - 18 * breath,
        heart=rng.normal(1, 0.08),
        density=rng.normal(-790, 42) - 40 * breath,
        gravity=rng.uniform(30, 150),
        texture=rng.uniform(6, 16),
        mosaic=rng.uniform(0, 25),
        turn=tuple(rng.normal(0, (2.5, 2.0, 4.0))),
        shift=tuple(rng.normal(0, (8, 8, 10))),
        table_gap=rng.uniform(0, 10),
        seed=int(rng.integers(2**31)),
    )
