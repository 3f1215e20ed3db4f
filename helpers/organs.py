"""Paints a chest of `anatomy` on the voxels of a grid: body, lungs, heart, vessels, bones, and the scanner's table.

Used by `phantoms`, and so by every notebook that runs without real data. Lengths are in mm, densities in HU.
"""

from dataclasses import dataclass

import numpy as np

from helpers.anatomy import (
    AIR,
    BLOOD,
    CARTILAGE,
    CORTICAL_BONE,
    FAT,
    LIVER,
    MUSCLE,
    SPONGY_BONE,
    VERTEBRA_PITCH,
    Thorax,
)
from helpers.voxels import Grid, coverage, fill, smooth_noise, tube


@dataclass(frozen=True)
class Drawing:
    """A thorax on a grid, and the coordinates by which more can be drawn on top; every array is [x, y, z].

    Args:
        grid: Where the voxels lie, in the scanner's frame.
        hu: Density, float32.
        lungs: The part of each voxel that lies in a lung, 0 to 1; the lung's vessels belong to it, the heart does not.
        patient: x, y and z of each voxel in the patient's frame, in mm.
        wall: 0 in the middle of the chest, 1 at the inner chest wall.
    """

    grid: Grid
    hu: np.ndarray
    lungs: np.ndarray
    patient: tuple[np.ndarray, np.ndarray, np.ndarray]
    wall: np.ndarray


def draw_thorax(thorax: Thorax, grid: Grid) -> Drawing:
    """Draw body, lungs, heart, great vessels, airways, liver, stomach, spine, ribs and shoulder blades.

    Args:
        thorax: The chest to draw.
        grid: Where the voxels lie, in the scanner's frame.

    Returns:
        The drawing, free of noise.

    Example:
        >>> from helpers import anatomy
        >>> chest = anatomy.sample_thorax(np.random.default_rng(1))
        >>> drawing = draw_thorax(chest, Grid((48, 48, 20), (8.0, 8.0, 12.0), (-188.0, -188.0, -114.0)))
        >>> bool(drawing.hu[drawing.lungs > 0.9].mean() < -600)
        True

    Seen in notebook 01.
    """
    edge = grid.spacing[0]
    x, y, z = patient = thorax.to_patient(grid)
    up = z / thorax.height + 0.5  # 0 at the lowest recess, 1 at the apex
    front = y / thorax.depth  # -1 at the back of the rib cage, 1 at its front
    profile = np.sqrt(np.clip(1 - (np.maximum(up - 0.3, 0) / 0.74) ** 2, 0.05, 1)) - 0.06 * np.clip(0.3 - up, 0, 1)
    lean = front - 0.08 * np.clip(1 - up, 0, 1)
    flat = np.where(lean < 0, lean * lean * np.abs(lean), lean * lean)  # the back is flatter than the front
    wall = np.sqrt((x / thorax.width) ** 2 + flat) / profile
    to_wall = (wall - 1) * np.sqrt(thorax.width * thorax.depth) * profile

    hu = np.full(grid.shape, AIR, np.float32)
    _draw_body(hu, thorax, x, y, up, edge)
    _draw_belly(hu, thorax, grid, patient, to_wall)
    rng = np.random.default_rng(thorax.seed)
    lungs = coverage(_lung_surface(thorax, x, z, up, front, to_wall), edge)
    hu += lungs * (_parenchyma(thorax, grid, front, rng) - hu)
    _draw_heart(hu, lungs, thorax, grid, patient)
    _draw_spine(hu, thorax, grid, patient)
    _draw_ribs(hu, thorax, patient, up, to_wall, edge)
    _draw_breastbone(hu, thorax, grid, patient, up)
    _draw_tubes(hu, thorax, grid, rng)
    return Drawing(grid, hu, lungs, patient, wall)


def draw_table(hu: np.ndarray, thorax: Thorax, grid: Grid) -> None:
    """Draw the scanner's table into a picture in place; it lies still when the patient turns.

    Args:
        hu: The picture [x, y, z] in HU, changed in place.
        thorax: Who lies on it.
        grid: Where the voxels lie, in the scanner's frame.

    Example:
        >>> from helpers import anatomy
        >>> grid, hu = Grid((2, 400, 2), (1.0, 1.0, 1.0), (0.0, -300.0, 0.0)), np.full((2, 400, 2), -1000.0)
        >>> draw_table(hu, anatomy.sample_thorax(np.random.default_rng(1)), grid)
        >>> np.unique(hu.round())[[0, -1]]
        array([-1000.,  -120.])

    Seen in notebook 01.
    """
    x, y, _ = grid.axes
    back = thorax.shift[1] - thorax.depth - 17 - thorax.fat - 12 - thorax.table_gap
    depth = back + (x / 210) ** 2 * 60 - y
    inside = np.maximum(np.abs(depth - 14) - 14, np.abs(x) - 200)
    edge = grid.spacing[0]
    shell = np.full(inside.shape, AIR, np.float32)
    fill(shell, inside, -120.0, edge)
    fill(shell, inside + 4, -930.0, edge)  # foam
    np.maximum(hu, shell, out=hu)  # the patient lies on the table, never in it


def _draw_body(hu, thorax, x, y, up, edge):
    """Skin, fat and muscle: a flattened cylinder that widens to the shoulders and closes to the neck."""
    shoulders = 26 * np.exp(-(((up - 0.86) / 0.16) ** 2))
    neck = np.clip((up - 0.97) / 0.2, 0, 1)
    neck = neck * neck * (3 - 2 * neck)
    wide = (thorax.width + 17 + shoulders) * (1 - neck) + 62 * neck
    deep = (thorax.depth * (1 - 0.16 * np.clip(up - 0.5, 0, 1)) + 17) * (1 - neck) + 60 * neck
    for rim, value in ((thorax.fat, FAT), (0.0, MUSCLE)):
        a, b = wide + rim, deep + rim
        away = np.sqrt((x / a) ** 2 + ((y + 3) / b) ** 2)
        fill(hu, (away - 1) * np.sqrt(a * b), value, edge)


def _draw_belly(hu, thorax, grid, patient, to_wall):
    """Liver on the right, stomach with its bubble of air on the left, fat around them."""
    edge, low, scale = grid.spacing[0], -thorax.height / 2, thorax.width / 128
    box = thorax.box(grid, (0, 0, low - 480), (500, 500, 500))
    fill(hu[box], np.maximum(to_wall[box] + 6, patient[2][box] - (low + 20)), FAT + 30, edge)
    for centre, half, value in (
        ((58, 0, low - 5), (72, 74, 88), LIVER),
        ((-62, -25, low + 0), (42, 44, 66), MUSCLE),
        ((-52, 34, low + 2), (30, 26, 30), AIR + 80),
    ):
        box = thorax.box(grid, np.multiply(centre, scale), np.multiply(half, scale))
        here = (line[box] for line in patient)
        away = sum(((line - c * scale) / (h * scale)) ** 2 for line, c, h in zip(here, centre, half, strict=True))
        fill(hu[box], np.maximum((np.sqrt(away) - 1) * min(half), to_wall[box] + 5), value, edge)


def _lung_surface(thorax, x, z, up, front, to_wall):
    """Signed distance in mm from the lungs: within the chest wall, beside the middle, above the diaphragm."""
    middle = 5 + 24 * np.exp(-(((front + 0.1) / 0.42) ** 2)) + 15 * np.exp(-(((front + 0.95) / 0.35) ** 2))
    middle *= 1.12 - 0.3 * up
    side = np.where(x > 0, 12.0, 0.0)  # the liver lifts the right dome
    across = (np.abs(x) / thorax.width - 0.45) / 0.62
    dome = (thorax.dome + side) * (1 - across**2 - ((front - 0.15) / 1.05) ** 2)
    under = -thorax.height / 2 + np.maximum(dome, 0) - z
    return np.maximum(np.maximum(to_wall + 3, middle - np.abs(x)), under)


def _parenchyma(thorax, grid, front, rng):
    """Density of healthy lung: heavier at the back, where the patient lies, and uneven."""
    density = thorax.density - thorax.gravity * front / 2
    for size, strength in ((22, thorax.texture), (60, thorax.mosaic)):
        cells = tuple(max(2, round(n * s / size)) for n, s in zip(grid.shape, grid.spacing, strict=True))
        density += strength * smooth_noise(rng, grid.shape, cells)
    return density


def _draw_heart(hu, lungs, thorax, grid, patient):
    """An ellipsoid that points to the left and down, and takes its place from the lungs."""
    scale = thorax.heart * thorax.width / 128
    centre = np.array([-0.19 * thorax.width, 0.26 * thorax.depth, -0.17 * thorax.height])
    box = thorax.box(grid, centre, np.array([66, 42, 66]) * scale)
    a, b, c = (line[box] - at for line, at in zip(patient, centre, strict=True))
    along, across = 0.8 * a + 0.5 * c, 0.8 * c - 0.5 * a
    away = np.sqrt((along / (58 * scale)) ** 2 + (b / (40 * scale)) ** 2 + (across / (46 * scale)) ** 2)
    part = coverage((away - 1) * 44, grid.spacing[0])
    hu[box] += part * (BLOOD - hu[box])
    lungs[box] *= 1 - part


def _draw_spine(hu, thorax, grid, patient):
    """Vertebrae with discs, arches and spinous processes, one every `VERTEBRA_PITCH` mm."""
    edge, spine_y = grid.spacing[0], -0.88 * thorax.depth
    box = thorax.box(grid, (0, spine_y - 22, 0), (18, 38, 1000))
    x, y, z = (line[box] for line in patient)
    hu = hu[box]
    level = (z / VERTEBRA_PITCH) % 1
    disc = np.abs(level - 0.5) < 0.12
    body = np.sqrt((x / 17) ** 2 + ((y - spine_y) / 14) ** 2)
    fill(hu, (body - 1) * 15, np.where(disc, 80.0, CORTICAL_BONE * 0.7), edge)
    fill(hu, (body - 0.82) * 15, np.where(disc, 80.0, SPONGY_BONE), edge)
    canal = np.sqrt(x**2 + (y - spine_y + 23) ** 2)
    fill(hu, np.abs(canal - 11) - 3, np.where(disc, MUSCLE, CORTICAL_BONE * 0.6), edge)
    spinous = np.maximum(np.abs(x) - 4, np.abs(y - spine_y + 45) - 14)
    fill(hu, np.maximum(spinous, (np.abs(level - 0.1) - 0.3) * VERTEBRA_PITCH), CORTICAL_BONE * 0.6, edge)


def _draw_ribs(hu, thorax, patient, up, to_wall, edge):
    """Ribs in the chest wall that slope down to the front, where they end in cartilage."""
    near = np.nonzero(np.abs(to_wall - 5) < 5.2 + edge)
    x, y, z = (line[near] for line in patient)
    around = np.arctan2(np.abs(x), -y)  # 0 at the back, pi at the front
    pitch = thorax.height / 10.5
    rib = (z + 24 * around) / pitch
    to_rib = np.sqrt((np.abs(rib - np.round(rib)) * pitch / 1.15) ** 2 + (to_wall[near] - 5) ** 2) - 5.2
    bony = np.where(around < 2.3, CORTICAL_BONE * 0.75, CARTILAGE)
    painted = hu[near]
    fill(painted, np.maximum(to_rib, (up[near] - 1.02) * 60), bony, edge)
    hu[near] = painted


def _draw_breastbone(hu, thorax, grid, patient, up):
    """A plate in the front of the chest wall, broader and further back towards the head."""
    centre = (0, 0.98 * thorax.depth - 13, 0.08 * thorax.height)
    box = thorax.box(grid, centre, (24, 40, 85))
    x, y, up = patient[0][box], patient[1][box], up[box]
    plate = np.maximum(np.abs(x) - 16 * (0.7 + 0.5 * np.clip(up, 0, 1)), np.abs(y - thorax.depth * 0.98 + 26 * up) - 6)
    fill(hu[box], np.maximum(plate, np.abs(up - 0.58) * thorax.height - 75), SPONGY_BONE + 60, grid.spacing[0])


def _draw_tubes(hu, thorax, grid, rng):
    """Aorta, collarbones, shoulder blades, windpipe and bronchi, and the branching vessels of both lungs."""
    wide, deep, high = thorax.width, thorax.depth, thorax.height

    def put(start, end, radii, value):
        tube(hu, grid, *thorax.to_scanner([start, end]), radii, value)

    arch = 0.16 * high
    put((10, 20, -10), (8, 18, arch), (16, 15), BLOOD)
    put((8, 18, arch), (-16, -0.5 * deep, arch), (15, 13), BLOOD)
    put((-20, -0.62 * deep, arch), (-14, -0.64 * deep, -0.6 * high), (13, 11), BLOOD)
    for side in (-1, 1):
        put((side * 12, 0.62 * deep, 0.44 * high), (side * 1.02 * wide, 0.1 * deep, 0.52 * high), (6, 6), CORTICAL_BONE)
        blade = np.array([side * 0.8 * wide, -deep - 3, 0.38 * high])
        put(blade, blade + (side * 20, 12, -62), (5, 4), CORTICAL_BONE * 0.7)
        put(blade + (side * 30, 18, 8), blade + (side * 20, 12, -62), (5, 4), CORTICAL_BONE * 0.7)
    carina = np.array([2.0, -0.12 * deep, 0.09 * high])
    top = carina + (0, 8, 0.62 * high)
    put(top, carina, (11, 10.5), MUSCLE)
    put(top, carina, (8.5, 8.0), AIR)
    for side, drop in ((1, 32), (-1, 20)):
        hilum = np.array([side * 38.0, -0.1 * deep, carina[2] - drop])
        put(carina, hilum, (8, 6.5), MUSCLE)
        put(hilum, hilum - (0, 0, 12), (14, 11), BLOOD)
        put(carina, hilum, (6, 5), AIR)
        for start, end, radius in _branch(thorax, hilum, side, rng):
            put(start, end, (radius, radius * 0.7), BLOOD)


def _branch(thorax, hilum, side, rng):
    """The vessels of one lung, from the hilum outwards in four generations: start, end and radius of each."""
    reach = np.array([0.62 * thorax.width - 20, 0.7 * thorax.depth, 0.4 * thorax.height])
    angles = np.linspace(0, 2 * np.pi, 9, endpoint=False) + rng.uniform(-0.3, 0.3, 9)
    ways = [np.array([side * rng.uniform(0.2, 1), np.cos(angle), np.sin(angle)]) for angle in angles]
    branches = [(hilum, way, 4.2) for way in ways]
    for length in (0.4, 0.27, 0.22, 0.18):
        grown = []
        for start, way, radius in branches:
            way = way / np.sqrt(way @ way)
            end = start + way * reach * length
            if np.hypot(end[0] / thorax.width, end[1] / thorax.depth) > 0.95:
                continue
            yield start, end, radius
            grown += [(end, way + rng.normal(0, 0.55, 3), radius * 0.68) for _ in range(2)]
        branches = grown
