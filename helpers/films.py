"""Projects the 3-D thorax of `anatomy` to a chest radiograph: what every beam has passed through, free of noise.

Used by the phantoms of notebooks 03 and 04. Lengths are in mm; `exposures` makes a displayed picture of a film.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import cv2
import numpy as np

from helpers import voxels
from helpers.anatomy import AIR, BLOOD, FAT, MUSCLE, Thorax
from helpers.film_bones import Detector, draw_bones
from helpers.organs import Drawing, draw_thorax

Change = TypeVar("Change")
WATER = 0.019  # attenuation of water per mm, at the energies of a chest film
COARSE = 4.8  # mm; the voxels of the soft parts
FINEST = 512  # pixels; no edge in a chest is sharper, so finer films are enlarged
SIDES = {"right": 1, "left": 2}


@dataclass(frozen=True)
class Film:
    """A projected chest as in a PA radiograph: rows from head to foot, the patient's right on the picture's left.

    Args:
        attenuation: Line integral of the linear attenuation coefficient, float32 [rows, columns].
        lungs: How many mm of lung the beam passes through, float32 [rows, columns].
        vessels: The part of the attenuation that the lungs' vessels bring, float32 [rows, columns].
        sides: 0 outside the lungs' outline, 1 in the right lung, 2 in the left, uint8 [rows, columns].
        spacing: Of rows and columns on the detector in mm.
        landmarks: (row, column) of "right hilum", "left hilum", "right apex", "left apex", and in women of
            "right breast" and "left breast".

    Seen in notebook 03.
    """

    attenuation: np.ndarray
    lungs: np.ndarray
    vessels: np.ndarray
    sides: np.ndarray
    spacing: tuple[float, float]
    landmarks: dict[str, tuple[float, float]]


def draw_film(
    chest: Thorax,
    pixels: int,
    change: Callable[[Drawing, np.random.Generator], Change] | None,
    rng: np.random.Generator,
) -> tuple[Film, Change | None]:
    """Draw a chest upright and project it along y, with bones and vessels finer than the voxels of the soft parts.

    Args:
        chest: From `anatomy.sample_thorax`; it is made to stand and to breathe in.
        pixels: Rows and columns of the film.
        change: Draws an illness into the 3-D chest in place (``hu``, and ``lungs`` where the lung is gone), or None.
            Its voxels are about 4.8 x 9 x 4.8 mm. Vessels are drawn after it, where ``lungs`` still is.
        rng: How the patient stands, and the field; handed to ``change``. Bones and vessels are the chest's own.

    Returns:
        The film, and what ``change`` returned.

    Example:
        >>> from helpers import anatomy
        >>> rng = np.random.default_rng(0)
        >>> film, _ = draw_film(anatomy.sample_thorax(rng), 64, None, rng)
        >>> film.attenuation.shape, sorted(np.unique(film.sides).tolist())
        ((64, 64), [0, 1, 2])

    Seen in notebook 03.
    """
    chest, own = _stand(chest, rng), np.random.default_rng(chest.seed)  # bones and vessels stay a person's own
    field = rng.uniform(1.02, 1.12) * max(2 * (chest.width + 20), 1.22 * chest.height)
    centre = (rng.normal(0, 4), 0.5 * chest.height + rng.uniform(0.07, 0.12) * field - field / 2)
    cells = round(field / COARSE)
    step = field / cells
    deep = int(2 * (chest.depth + chest.fat + 26) / 9)
    origin = (centre[0] - (cells - 1) * step / 2, -(deep - 1) * 4.5 - 3, centre[1] - (cells - 1) * step / 2)
    drawing = draw_thorax(chest, voxels.Grid((cells, deep, cells), (step, 9.0, step), origin))
    _leave_soft_parts(drawing, chest)
    _draw_mediastinum(drawing, chest, own)
    _draw_arms(drawing, chest)
    outline = _project(drawing.lungs, drawing.grid)
    made = None if change is None else change(drawing, rng)

    fine = Detector(min(pixels, FINEST), field, centre)
    lungs = _project(drawing.lungs, drawing.grid)
    attenuation = WATER * _project(1 + drawing.hu / 1000, drawing.grid)
    # Beside the lungs nothing is as sharp as a voxel, and its steps would show.
    near = cv2.dilate(lungs, np.ones((3, 3))) > 1
    attenuation = _resize(np.where(near, attenuation, cv2.GaussianBlur(attenuation, (0, 0), 1.2)), fine.pixels)
    breasts = _breasts(chest, own) if own.random() < 0.45 else {}
    vessels = _draw_vessels(drawing, chest, fine, own)
    attenuation += vessels + draw_bones(chest, fine, own)
    for middle, radii in breasts.values():
        attenuation += _bulge(chest, fine, middle, radii)

    detector = Detector(pixels, field, centre)
    places = _hila_and_apices(chest) | {name: middle for name, (middle, _) in breasts.items()}
    shadows = detector.to_pixels(chest.to_scanner(list(places.values()))).tolist()
    landmarks = dict(zip(places, map(tuple, shadows), strict=True))
    return Film(
        attenuation=_resize(attenuation, pixels),
        lungs=np.maximum(_resize(lungs, pixels), 0),
        vessels=np.maximum(_resize(vessels, pixels), 0),
        sides=_sides(_resize(outline, pixels), landmarks, detector.pitch),
        spacing=(detector.pitch, detector.pitch),
        landmarks=landmarks,
    ), made


def _stand(chest, rng):
    """The chest of somebody who stands and has breathed in: taller, with flatter domes, blood less at the back."""
    return replace(
        chest,
        height=chest.height * rng.uniform(1.08, 1.2),
        dome=chest.dome * rng.uniform(0.7, 1.0),
        gravity=chest.gravity * 0.2,
        density=chest.density - 40,
        turn=tuple(rng.normal(0, (2.0, 1.5, 2.5))),
        shift=(0.0, 0.0, 0.0),
    )


def _leave_soft_parts(drawing, chest):
    """Take out, in place, what is drawn finer later: bones beside the spine and the vessels within the lungs."""
    hu, x = drawing.hu, drawing.patient[0]
    hu[(hu > 70) & (np.abs(x) > 25)] = MUSCLE
    np.minimum(hu, chest.density + 120, out=hu, where=drawing.lungs > 0.99)


def _draw_mediastinum(drawing, chest, rng):
    """What stands upright between the lungs and makes their inner borders: great vessels, right atrium, aortic knob."""
    wide, deep, high = chest.width, chest.depth, chest.height
    size = chest.heart * wide / 128
    knob = rng.uniform(13, 19) * size
    parts = [
        ((17 * size, 0.2 * deep, 0.25 * high), (14, 26, 75)),  # upper caval vein
        ((18 * size, 0.25 * deep, -0.2 * high), (31, 34, 50)),  # right atrium
        ((-16 * size, -0.15 * deep, 0.2 * high), (1.1 * knob, 1.6 * knob, knob)),
        ((-14 * size, -0.1 * deep, 0.36 * high), (13, 20, 50)),  # left subclavian artery
        ((-19 * size, 0.1 * deep, 0.1 * high), (20, 22, 24)),  # trunk of the pulmonary artery
        ((-34 * size, 0.25 * deep, -0.21 * high), (40, 38, 42)),  # left ventricle
        ((-14 * size, -0.65 * deep, -0.1 * high), (12, 12, 110)),  # descending aorta
    ]
    for centre, radii in parts:
        radii = np.array(radii) * (1.0 if radii[2] > 60 else size)
        box = chest.box(drawing.grid, centre, radii)
        away = sum(((line[box] - c) / r) ** 2 for line, c, r in zip(drawing.patient, centre, radii, strict=True))
        part = voxels.coverage((np.sqrt(away) - 1) * radii.min(), drawing.grid.spacing[0]) * (drawing.wall[box] < 1)
        part *= drawing.lungs[box]  # it takes the place of lung, and of nothing else
        drawing.hu[box] += part * (BLOOD - drawing.hu[box])
        drawing.lungs[box] -= part


def _draw_arms(drawing, chest):
    """Shoulders and upper arms, which hang beside the chest."""
    for side in (-1, 1):
        shoulder = np.array([side * 1.32 * chest.width, -0.2 * chest.depth, 0.37 * chest.height])
        elbow = shoulder + (side * 75, 0, -260)
        neck = np.array([side * 0.3 * chest.width, -0.3 * chest.depth, 0.56 * chest.height])
        for start, end, radii in ((shoulder, elbow, (44, 40)), (neck, shoulder, (24, 42))):
            start, end = chest.to_scanner([start, end])
            outside = np.where(drawing.hu < -500, AIR, drawing.hu)
            voxels.tube(outside, drawing.grid, start, end, radii, MUSCLE)
            np.copyto(drawing.hu, outside, where=(drawing.wall > 1.02))


def _project(values, grid):
    """The sum of voxels [x, y, z] along the beam, times their depth in mm, as float32 [rows, columns]."""
    return np.ascontiguousarray(values.sum(1)[::-1, ::-1].T * grid.spacing[1], np.float32)


def _resize(layer, pixels):
    if len(layer) == pixels:
        return layer
    return cv2.resize(layer, (pixels, pixels), interpolation=cv2.INTER_CUBIC)


def _hila_and_apices(chest):
    hilum, high = 0.09 * chest.height, chest.height
    return {
        "right hilum": (38.0, -0.1 * chest.depth, hilum - 32),
        "left hilum": (-38.0, -0.1 * chest.depth, hilum - 20),
        "right apex": (0.3 * chest.width, -0.2 * chest.depth, 0.5 * high),
        "left apex": (-0.3 * chest.width, -0.2 * chest.depth, 0.5 * high),
    }


def _sides(lungs, landmarks, pitch):
    """Which pixels show the right lung, and which the left: out to the chest wall, in to where the middle covers it."""
    middle = round((landmarks["right hilum"][1] + landmarks["left hilum"][1]) / 2)
    sides = np.zeros(lungs.shape, np.uint8)
    for side, half in (("right", np.s_[:, :middle]), ("left", np.s_[:, : middle - 1 : -1])):
        depth = lungs[half]
        lines = np.stack([depth.max(1), depth.argmax(1)], axis=1).astype(np.float32)
        deepest, where = np.hsplit(cv2.blur(lines, (1, 2 * round(8 / pitch) + 1)), 2)
        seen = depth > np.where(np.arange(depth.shape[1]) > where, np.maximum(0.5 * deepest, 25), 25)
        # Lung behind the dome of the diaphragm is not seen as lung.
        seen &= (depth > 0.45 * depth.max(0)) | (np.arange(len(depth))[:, None] < depth.argmax(0))
        size = 2 * round(4 / pitch) + 1
        seen = cv2.morphologyEx(seen.astype(np.uint8), cv2.MORPH_OPEN, np.ones((size, size), np.uint8))
        _, parts, stats, _ = cv2.connectedComponentsWithStats(seen, connectivity=4)
        sides[half][parts == 1 + np.argmax(stats[1:, cv2.CC_STAT_AREA])] = SIDES[side]
    return sides


def _breasts(chest, rng):
    """Centres and radii of two breasts."""
    size, sag = rng.uniform(0.75, 1.25), rng.uniform(-0.08, 0.06)
    radii = np.array([52.0, 34.0 * size, 46.0]) * size * chest.width / 128
    return {
        name: (np.array([side * 0.58 * chest.width, chest.depth, (sag - 0.17) * chest.height]), radii)
        for name, side in (("right breast", 1), ("left breast", -1))
    }


def _bulge(chest, detector, centre, radii):
    """What the front half of an ellipsoid of fat and gland adds; it hangs, so its lower edge shows."""
    row, column = detector.to_pixels(chest.to_scanner([centre]))[0]
    rows, columns = np.ogrid[: detector.pixels, : detector.pixels]
    down = (rows - row) * (detector.pitch / radii[2])
    across = (columns - column) * (detector.pitch / radii[0])
    depth = np.maximum(1 - across**2 - np.where(down > 0, down**2, (down / 2.2) ** 2), 0)
    depth **= np.where(down > 0, 0.5, 0.5 - 0.3 * down)  # the upper edge fades
    return (depth * radii[1] * (1 + FAT / 2000) * WATER).astype(np.float32)


def _draw_vessels(drawing, chest, detector, rng):
    """The branching vessels of both lungs as line integrals, float32 [rows, columns]; only where the lung is."""
    starts, ends, radii = [], [], []
    for side, hilum in ((1, (38.0, -0.1, -32)), (-1, (-38.0, -0.1, -20))):
        at = np.array([hilum[0], hilum[1] * chest.depth, 0.09 * chest.height + hilum[2]])
        for start, end, radius in _grow(chest, at, side, drawing, rng):
            starts.append(start), ends.append(end), radii.append(radius)
    start, end, radius = np.concatenate(starts), np.concatenate(ends), np.concatenate(radii)
    picture = np.zeros((detector.pixels, detector.pixels), np.float32)
    for low, high in ((0, 0.9), (0.9, 1.8), (1.8, 3.4), (3.4, 99)):
        here = (radius > low) & (radius <= high)
        length = np.linalg.norm(end - start, axis=1)
        count = max(2, int(length[here].max() / detector.pitch * 1.5))
        part = (np.arange(count) + 0.5) / count
        points = start[here, None] + part[:, None] * (end - start)[here, None]
        thick = radius[here, None] * (1 - 0.3 * part)
        # Twigs stand for the bronchi and veins beside them too, which are not drawn.
        mass = np.pi * thick**2 * (length[here, None] / count) * (1.35 if high < 2 else 0.9) * WATER
        layer = detector.deposit(points.reshape(-1, 3), mass.ravel())
        picture += cv2.GaussianBlur(layer, (0, 0), max(0.45, radius[here].mean() * 0.55 / detector.pitch))
    return picture


def _grow(chest, hilum, side, drawing, rng):
    """Start, end and radius of one lung's vessels, generation by generation, in the scanner's frame."""
    count = 15
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.uniform(-0.2, 0.2, count)
    ways = np.stack([side * rng.uniform(0.1, 0.9, count), 0.6 * np.cos(7 * angle), np.sin(angle)], axis=1)
    start = np.tile(hilum, (count, 1))
    radius = 3.8 + 2.4 * np.maximum(-ways[:, 2], 0)
    reach = np.array([chest.width - 30, 0.8 * chest.depth, 0.5 * chest.height])
    for fork, length in ((1, 0.13), (1, 0.14), (2, 0.15), (2, 0.16), (2, 0.15), (2, 0.14), (2, 0.12), (2, 0.1)):
        start, radius = np.repeat(start, fork, axis=0), np.repeat(radius, fork)
        ways = np.repeat(ways, fork, axis=0) + rng.normal(0, 0.28 * fork, (len(start), 3))
        ways /= np.linalg.norm(ways, axis=1, keepdims=True)
        end = start + ways * reach * length * rng.uniform(0.7, 1.3, (len(ways), 1))
        seen = _sample(drawing, chest.to_scanner(end)) > 0.5
        start, end, ways, radius = start[seen], end[seen], ways[seen], radius[seen]
        yield chest.to_scanner(start), chest.to_scanner(end), radius
        start, radius = end, radius * rng.uniform(0.7, 0.9, len(end))


def _sample(drawing, points):
    """How much of the voxels around points [n, 3] of the scanner's frame is lung."""
    at = np.rint((points - drawing.grid.origin) / drawing.grid.spacing).astype(int)
    inside = ((at >= 0) & (at < drawing.grid.shape)).all(1)
    found = np.zeros(len(points))
    found[inside] = drawing.lungs[tuple(at[inside].T)]
    return found
