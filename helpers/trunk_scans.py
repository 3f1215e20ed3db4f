"""Synthetic CT scans of the trunk: who is scanned, which region, how finely, and what the scanner adds.

Used by `phantoms_l3`, and so by notebook 02. A scan is drawn from (seed, number) alone: same settings, same scan.
"""

from dataclasses import dataclass

import numpy as np

from helpers import bodies, implants, spines
from helpers.canvas import Canvas
from helpers.trunk import Trunk, sample_trunk
from helpers.voxels import Grid

# The region that was ordered, how often, and where it begins and ends, in mm above a landmark of the skeleton.
REGIONS = {
    "abdomen and pelvis": (0.30, ("T9", 10, 22), ("hips", -62, 18)),
    "trunk": (0.15, ("T2", 30, 30), ("hips", -70, 22)),
    "abdomen": (0.15, ("T9", 5, 22), ("L5", -30, 30)),
    "chest and upper abdomen": (0.10, ("T2", 30, 30), ("L4", -10, 25)),
    "chest": (0.10, ("T2", 35, 25), ("L1", 5, 15)),
    "upper abdomen": (0.04, ("T8", 10, 15), ("L2", 12, 9)),
    "pelvis": (0.08, ("L4", -2, 9), ("hips", -90, 25)),
    "a piece": (0.08, None, None),
}


@dataclass(frozen=True)
class L3Settings:
    """How many trunk CT twins to draw, and how finely.

    Args:
        count: Scans.
        pixel: Finest side of a voxel in mm; the quick setting is coarse. Scanners reach 0.6.
        seed: Another seed, other patients.
    """

    count: int = 300
    pixel: float = 3.0
    seed: int = 1811


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of a phantom, in the scanner's frame (RAS, mm).

    Args:
        centres: Of the bodies of every vertebra, C5 to S1, in view or not, by name.
        slices: The index of the slice that shows each centre, None where it is out of view.
        muscle: Area of muscle in the slice of L3 in cm2, None where L3 is out of view.
        fat: Area of fat in that slice in cm2.
        region: What was scanned.
    """

    centres: dict[str, tuple[float, float, float]]
    slices: dict[str, int | None]
    muscle: float | None
    fat: float | None
    region: str

    @property
    def l3(self) -> int | None:
        """The index of the slice through the centre of L3, None where it is out of view."""
        return self.slices["L3"]


def draw_trunk(number: int, settings: L3Settings) -> tuple[np.ndarray, Truth, Grid]:
    """Draw one scan of a trunk.

    Args:
        number: Which patient.
        settings: Size and seed.

    Returns:
        HU as int16 [x, y, z], what is known of it, and the grid, all with axes RAS+.

    Example:
        >>> hu, truth, grid = draw_trunk(0, L3Settings(pixel=5.0))
        >>> hu.dtype, hu.shape == grid.shape
        (dtype('int16'), True)

    Seen in notebook 02.
    """
    rng = np.random.default_rng([settings.seed, number])
    trunk = sample_trunk(rng)
    region = str(rng.choice(list(REGIONS), p=[row[0] for row in REGIONS.values()]))
    grid, parts = _choose_grid(trunk, region, settings.pixel, rng)
    thin = Grid((*grid.shape[:2], grid.shape[2] * parts), (*grid.spacing[:2], grid.spacing[2] / parts), grid.origin)
    # Sub-slices lie around the centre of their slice, which averages them: partial volume as in a scanner.
    thin = Grid(thin.shape, thin.spacing, (*grid.origin[:2], grid.origin[2] - (parts - 1) / 2 * thin.spacing[2]))
    canvas = _paint(trunk, thin)
    hu = _scan(_average(canvas.hu, parts), grid, rng)
    bones = (*trunk.vertebrae, trunk.sacrum)
    centres = dict(zip((b.name for b in bones), trunk.chest.to_scanner([b.centre for b in bones]), strict=True))
    slices = {name: _slice_of(centre, grid) for name, centre in centres.items()}
    areas = (None, None)
    if slices["L3"] is not None:
        here = slices["L3"] * parts
        box = (slice(0, grid.shape[0]), slice(0, grid.shape[1]), slice(here, here + parts))
        slab = _paint(trunk, thin.crop(box), ("muscle", "fat"))
        pixel = grid.spacing[0] * grid.spacing[1] / 100
        areas = tuple(float(slab.parts[name].mean(2).sum() * pixel) for name in ("muscle", "fat"))
    centres = {name: tuple(float(value) for value in centre) for name, centre in centres.items()}
    return hu, Truth(centres, slices, *areas, region), grid


def _paint(trunk, grid, tissues=()):
    canvas = Canvas(trunk.chest, grid, tissues)
    bodies.draw_body(canvas, trunk)
    implants.draw_arms(canvas, trunk)
    spines.draw_bones(canvas, trunk)
    implants.draw_metal(canvas, trunk)
    implants.draw_table(canvas, trunk)
    return canvas


def _choose_grid(trunk: Trunk, region: str, pixel: float, rng) -> tuple[Grid, int]:
    """Field of view and slices as a technician would choose them, and how many sub-slices one averages."""
    heights = {bone.name: trunk.chest.to_scanner([bone.centre])[0][2] for bone in (*trunk.vertebrae, trunk.sacrum)}
    heights["hips"] = trunk.chest.to_scanner([trunk.hips.mean(0)])[0][2]
    heights.setdefault("L5", heights["S1"] + 30)
    if region == "a piece":
        low = rng.uniform(heights["hips"] - 60, heights["T4"])
        high = min(low + rng.uniform(90, 260), heights["C7"])
    else:
        (top, above, spread), (bottom, below, scatter) = REGIONS[region][1:]
        high = heights[top] + above + np.clip(rng.normal(0, spread), -2.2 * spread, 2.2 * spread)
        low = heights[bottom] + below + np.clip(rng.normal(0, scatter), -2.2 * scatter, 2.2 * scatter)
    thickness = float(rng.choice([0.8, 1, 1.25, 1.5, 2, 2.5, 3, 3.75, 5], p=np.array([1, 2, 2, 2, 2, 2, 2, 1, 4]) / 18))
    step = max(thickness, 0.65 * pixel)  # coarse phantoms have no thinner slices than this
    parts = max(1, round(step / max(0.9 * pixel, 1.0)))
    wide = 2 * (trunk.chest.width + 17 + 1.1 * trunk.chest.fat)
    view = float(np.clip(wide + rng.normal(25, 25), 290, 500))
    middle = np.array([rng.normal(0, 10), rng.normal(0, 10) - 5])
    if rng.random() < 0.08:  # a small field of view, such as one around a kidney, the spine or the lungs
        view, middle = rng.uniform(180, 300), middle + rng.normal(0, 15, 2) - (0, 20)
        if rng.random() < 0.35:  # beside the spine
            middle[0] += rng.choice([-1, 1]) * (view / 2 + rng.uniform(0, 50))
    matrix = round(view / pixel / rng.uniform(1.0, 1.15))
    slices = max(4, int((high - low) / step))
    side = view / matrix
    origin = tuple(float(at - (matrix - 1) * side / 2) for at in middle)
    return Grid((matrix, matrix, slices), (side, side, step), (*origin, float(low))), parts


def _average(hu, parts):
    return hu if parts == 1 else hu.reshape(*hu.shape[:2], -1, parts).mean(3)


def _slice_of(centre, grid) -> int | None:
    """The slice nearest to a point; None where the point lies above, below or beside the scan."""
    index = (np.asarray(centre) - grid.origin) / grid.spacing
    inside = (index >= -0.5).all() and (index < np.array(grid.shape) - 0.5).all()
    return round(float(index[2])) if inside else None


def _scan(hu, grid, rng):
    """What the scanner adds: noise with a grain, more in thin slices; an offset; overlap of slices; padding."""
    if rng.random() < 0.4 and hu.shape[2] > 4:
        blur = rng.uniform(0.08, 0.25)
        hu[:, :, 1:-1] = (1 - 2 * blur) * hu[:, :, 1:-1] + blur * (hu[:, :, 2:] + hu[:, :, :-2])
    if rng.random() < 0.35:  # a sharp kernel raises edges
        lift = rng.uniform(0.1, 0.35)
        hu[1:-1, 1:-1] += lift * (4 * hu[1:-1, 1:-1] - hu[2:, 1:-1] - hu[:-2, 1:-1] - hu[1:-1, 2:] - hu[1:-1, :-2]) / 4
    grain = rng.standard_normal(hu.shape, np.float32)
    grain += 0.6 * np.roll(grain, 1, 0)
    grain *= np.exp(rng.uniform(np.log(6), np.log(38))) * (3 / max(grid.spacing[2], 1)) ** 0.3
    hu += grain
    hu += rng.normal(0, 5)
    np.rint(hu, out=hu)
    hu = np.clip(hu, -1024, 3071, out=hu).astype(np.int16)
    if rng.random() < 0.3:
        x, y, _ = grid.axes
        reach = grid.spacing[0] * grid.shape[0] / 2
        outside = (x - x.mean()) ** 2 + (y - y.mean()) ** 2 > reach**2
        hu[outside[:, :, 0]] = rng.choice([-2048, -1024, -3024])
    return hu
