"""What pneumonia adds to a lung in three dimensions, and what healthy lungs show too.

Used by the phantom radiographs of notebook 04. The classes differ in texture and place; their mean density does not
tell them apart.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from helpers import voxels
from helpers.organs import Drawing

NORMAL, VIRAL, COVID = CLASSES = ("NORMAL", "Viral_Pneumonia", "COVID")
SOFT = 30.0  # HU; an opacity fills air, it never outweighs soft tissue


def change(finding: str) -> Callable[[Drawing, np.random.Generator], None]:
    """What a class of the radiography set does to a chest before it is projected.

    Args:
        finding: A name from ``CLASSES``.

    Returns:
        A function of a drawing, changed in place, and a generator.

    Raises:
        ValueError: If no such class is known.

    Example:
        >>> from helpers import anatomy, organs
        >>> chest = anatomy.sample_thorax(np.random.default_rng(1))
        >>> grid = voxels.Grid((48, 24, 40), (8.0, 10.0, 8.0), (-188.0, -115.0, -156.0))
        >>> drawing = organs.draw_thorax(chest, grid)
        >>> before = drawing.hu[drawing.lungs > 0.9].mean()
        >>> change("COVID")(drawing, np.random.default_rng(1))
        >>> bool(drawing.hu[drawing.lungs > 0.9].mean() > before)
        True

    Seen in notebook 04.
    """
    if finding not in CLASSES:
        raise ValueError(f"the finding must be one of {', '.join(CLASSES)}, but is {finding!r}")
    return partial(_change, finding)


def _change(finding, drawing, rng):
    """What every lung may show, then what the class shows; changes the drawing in place."""
    _add_incidental(drawing, rng)
    if finding == VIRAL:
        _add_interstitial(drawing, rng)
    elif finding == COVID:
        _add_patches(drawing, rng)


def _add_incidental(drawing, rng):
    """Draw what ill and healthy lungs show alike: uneven filling, scars, granulomas, bands of atelectasis."""
    x, y, z = drawing.patient
    # Breath and gravity: a smooth veil, as heavy as pneumonia is on average, so that brightness tells nothing.
    slope = rng.normal(0, 0.5) * z / 100 + rng.normal(0, 0.3) * y / 100
    _add(drawing, np.maximum(rng.normal(35, 65) + 45 * slope, -90))
    for _ in range(rng.poisson(1.5)):
        _add_blob(drawing, rng, radius=rng.uniform(3, 7), density=rng.uniform(300, 800))
    for _ in range(rng.poisson(0.6)):
        at, tilt = _somewhere(drawing, rng), rng.normal(0, 0.35)
        away = np.abs(z - at[2] - tilt * (x - at[0])) / rng.uniform(1.5, 3.5)
        reach = np.hypot(x - at[0], y - at[1]) / rng.uniform(15, 40)
        _add(drawing, rng.uniform(200, 500) * np.clip(1.5 - away, 0, 1) * np.clip(2 - 2 * reach, 0, 1))
    _add_streaks(drawing, rng, count=rng.poisson(2), radius=(1.2, 2.4), density=350)


def _add_interstitial(drawing, rng):
    """Draw a viral pneumonia: a net of fine lines in both lungs, thick walls along the bronchi, hazy hila."""
    severity = rng.uniform(0.55, 1.0)
    central = np.exp(-((_to_hilum(drawing) / rng.uniform(40, 60)) ** 2))
    # Lines as long in depth as a septum with its neighbours: shorter ones would cancel in the projection.
    net = _noise(drawing, rng, (12, 40, 12))
    lines = np.clip(1 - np.abs(net) / 0.4, 0, 1)
    uneven = np.clip(0.75 + 0.3 * _noise(drawing, rng, (60, 60, 60)), 0.2, 1.4)
    _add(drawing, severity * uneven * (560 * lines - 110))
    _add(drawing, severity * rng.uniform(100, 240) * central)
    _add_streaks(drawing, rng, count=rng.integers(26, 40), radius=(2.4, 5.0), density=severity * 800)


def _add_patches(drawing, rng):
    """Draw COVID-19: ragged patches of ground glass or consolidation near the chest wall, in both lungs, mostly low."""
    severity = rng.uniform(0.55, 1.0)
    ragged = _noise(drawing, rng, (12, 12, 12))
    count = 3 + rng.poisson(3.5 * severity)
    for number in range(count):
        _add_blob(
            drawing,
            rng,
            radius=rng.uniform(17, 25) + 14 * severity * rng.random(),
            density=rng.uniform(480, 620) + 260 * severity,
            side=(-1, 1)[number % 2],
            outside=3.0,
            ragged=ragged,
            stretch=1.4,
        )


def _add(drawing, density, box=(slice(None),) * 3):
    """Add density to the lungs, or to what of them lies in a box, up to that of soft tissue."""
    hu = drawing.hu[box]
    hu += drawing.lungs[box] * np.minimum(density, np.maximum(SOFT - hu, 0))


def _noise(drawing, rng, size):
    """Slow noise on the drawing's grid, its bumps of a given size along x, y and z in mm."""
    grid = drawing.grid
    cells = (max(3, round(n * s / mm)) for n, s, mm in zip(grid.shape, grid.spacing, size, strict=True))
    return voxels.smooth_noise(rng, grid.shape, tuple(cells))


def _somewhere(drawing, rng, side=0, outside=0.0):
    """A point in the lungs, in the patient's frame; `outside` seeks the chest wall and the bases of one side."""
    tries = rng.choice(np.flatnonzero(drawing.lungs > 0.9), 24)
    x, y, z = (line.ravel()[tries] for line in drawing.patient)
    liked = outside * (2.0 * drawing.wall.ravel()[tries] + 0.006 * np.abs(x) - 0.01 * z) + rng.gumbel(size=len(tries))
    liked -= np.where(side * x < 0, 1e3, 0)
    best = int(np.argmax(liked))
    return np.array([x[best], y[best], z[best]])


def _add_blob(drawing, rng, radius, density, side=0, outside=0.0, ragged=None, stretch=1.0):
    """Add an ellipsoid of density, stretched from back to front."""
    at = _somewhere(drawing, rng, side, outside)
    radii = radius * rng.uniform(0.75, 1.35, 3) * (1, stretch, 1)
    middle = _to_scanner(drawing, at)
    box = drawing.grid.box(middle - 1.7 * radii.max(), middle + 1.7 * radii.max())
    away = sum(((line[box] - c) / r) ** 2 for line, c, r in zip(drawing.patient, at, radii, strict=True))
    depth = 1 - np.sqrt(away) + (0.0 if ragged is None else 0.3 * ragged[box])
    _add(drawing, density * np.clip(2 * depth + 0.25, 0, 1), box)


def _hila(drawing):
    """Where vessels and bronchi enter the right and the left lung, in the patient's frame, in mm."""
    inside = drawing.lungs > 0.5
    z = drawing.patient[2][inside]
    low, high = np.quantile(z, [0.02, 0.98])
    return [np.array([side * 38.0, -10.0, low + (high - low) * share]) for side, share in ((1, 0.48), (-1, 0.53))]


def _to_hilum(drawing):
    """Distance of each voxel to the nearer hilum in mm."""
    away = [sum((line - c) ** 2 for line, c in zip(drawing.patient, hilum, strict=True)) for hilum in _hila(drawing)]
    return np.sqrt(np.minimum(*away))


def _add_streaks(drawing, rng, count, radius, density):
    """Add cuffed bronchi and thick septa: short rods that point away from the hilum."""
    layer = np.zeros(drawing.hu.shape, np.float32)
    hila, grid = _hila(drawing), drawing.grid
    for _ in range(count):
        at = _somewhere(drawing, rng)
        hilum = hila[0] if at[0] > 0 else hila[1]
        way = at - hilum
        length = np.sqrt(way @ way)
        way = way / max(length, 1.0) + rng.normal(0, 0.12, 3)
        start, stop = at - way * rng.uniform(0.15, 0.45) * length, at + way * rng.uniform(5, 14)
        width = rng.uniform(*radius)
        voxels.tube(layer, grid, *(_to_scanner(drawing, end) for end in (start, stop)), (width, 0.7 * width), density)
    _add(drawing, layer)


def _to_scanner(drawing, point):
    """A point of the patient's frame in the scanner's, in mm."""
    grid, lines = drawing.grid, drawing.patient
    corner = np.array([line[0, 0, 0] for line in lines], float)
    ends = np.array([[line[where] for line in lines] for where in ((-1, 0, 0), (0, -1, 0), (0, 0, -1))], float)
    reach = (np.array(grid.shape) - 1) * grid.spacing
    turn = (ends - corner) / reach[:, None]  # its rows: one mm along x, y and z of the scanner, seen by the patient
    return np.array(grid.origin) + turn @ (point - corner)
