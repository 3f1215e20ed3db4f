"""Paints the bones of a `trunk.Trunk` beside its spine: ribs and breastbone, pelvis, thighs and shoulders.

Used by `spines`, and so by notebook 02. Lengths are in mm, densities in HU.
"""

import numpy as np

from helpers.anatomy import CARTILAGE
from helpers.canvas import Canvas
from helpers.trunk import Trunk


def draw_skeleton(canvas: Canvas, trunk: Trunk, rng: np.random.Generator) -> None:
    """Paint every bone but the spine on a canvas, in place.

    Args:
        canvas: Where; the soft parts are on it already.
        trunk: Whose bones.
        rng: Where their densities are drawn from.

    Seen in notebook 02.
    """
    _draw_ribs(canvas, trunk, rng)
    _draw_breastbone(canvas, trunk, rng)
    _draw_pelvis(canvas, trunk, rng)
    _draw_shoulders(canvas, trunk)


def _draw_ribs(canvas, trunk, rng):
    """Ribs from their vertebrae backwards, then around the chest and down; the first ten go on as cartilage."""
    wide, deep = trunk.chest.width + 5, trunk.chest.depth + 4
    apex, broad = trunk.vertebra("T1").centre[2] + 20, trunk.vertebra("T9").centre[2]
    flare = rng.normal(1.0, 0.04)
    slopes = rng.normal(1, 0.12) * np.interp(range(1, 13), [1, 4, 7, 10, 12], [18, 38, 56, 72, 80])
    density = trunk.cortex * rng.uniform(430, 620)
    ends = [1.9, 2.3, 2.45, 2.5, 2.5, 2.45, 2.35, 2.2, 2.05, 1.9]
    for number, (bone, slope) in enumerate(zip(trunk.between("T1", "T12"), slopes, strict=True), start=1):
        for length, side in zip(bone.ribs, (1, -1), strict=True):
            start = bone.at(side * (bone.width / 2 + 1), -bone.depth / 2 + 2, 0.35 * bone.height)
            bump = bone.at(side * (bone.transverse[0] - 2), -bone.depth / 2 - 18, 0.32 * bone.height)
            last = ends[number - 1] if number <= 10 else 2.4
            around = np.linspace(0.42, last, 14)
            # They fall most between the spine and the side, and hardly where they turn to the front.
            z = start[2] - slope * (0.65 * (around - 0.3) + 0.4 * np.sin(np.minimum(around, np.pi / 2)))
            high = np.clip((z - broad) / (apex - broad), 0, 1)
            round_ = np.sqrt(1 - 0.93 * high**2) * (1 + (flare - 1) * (number > 7))
            if number > 10:
                round_ = round_ * (1 - 0.08 * (around > 0.8))
            bowl = np.stack([side * wide * round_ * np.sin(around), -deep * round_ * np.cos(around), z], 1)
            bowl[:, 1] = np.maximum(bowl[:, 1], -deep)
            points = np.concatenate([[start, bump], bowl])
            along = np.r_[0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]
            stop = min(length, along[-1])
            keep = along < stop
            tip = [np.interp(stop, along, points[:, i]) for i in range(3)]
            points = np.concatenate([points[keep], [tip]])
            value = density * rng.uniform(0.88, 1.12)
            for up in (1.8, -1.8):
                radii = np.linspace(3.3, 2.7 if number < 11 else 1.8, len(points)) * trunk.size
                canvas.tube(points + (0, 0, up * trunk.size), radii, value)
            if number <= 10:
                _draw_cartilage(canvas, trunk, rng, np.array(tip), side, number)


def _draw_cartilage(canvas, trunk, rng, tip, side, number):
    """From the end of a rib to the breastbone or the cartilage above, with specks of calcium in the old."""
    goal = np.array(
        [side * 17.0, trunk.chest.depth + 2, _breastbone(trunk)[1] + (7 - min(number, 7)) * 22 * trunk.size]
    )
    if number > 7:
        goal = np.array([side * (25.0 + 24 * (number - 7)), trunk.chest.depth - 6 * (number - 7), tip[2] + 25.0])
    canvas.tube([tip, (tip + goal) / 2 - (0, -4, 8), goal], 4.5 * trunk.size, CARTILAGE)
    for _ in range(rng.poisson(7 * max(trunk.wear - 0.2, 0))):
        at = tip + (goal - tip) * rng.uniform(0, 1) + rng.normal(0, 2.5, 3)
        canvas.ellipsoid(at, rng.uniform(1.5, 4.5, 3), rng.uniform(180, 550))


def _breastbone(trunk):
    """The heights of the top and the bottom of the breastbone."""
    top = trunk.vertebra("T3").centre[2]
    return top, top - 150 * trunk.size


def _draw_breastbone(canvas, trunk, rng):
    top, bottom = _breastbone(trunk)
    value, deep = trunk.cortex * rng.uniform(280, 420), trunk.chest.depth + 3
    for low, high, wide in ((top - 48, top, 25), (bottom, top - 51, 16), (bottom - 30, bottom - 2, 7)):
        half, front = (high - low) / 2, deep - 0.14 * max((high + low) / 2 - bottom, 0)

        def plate(x, y, z, half=half, wide=wide):
            return np.maximum(np.maximum(np.abs(x) - wide, np.abs(y) - 5.5), np.abs(z) - half)

        canvas.solid((0, front, (low + high) / 2), (wide, 7, half), plate, value)
        canvas.solid(
            (0, front, (low + high) / 2), (wide, 7, half), lambda x, y, z, p=plate: p(x, y, z) + 2.2, 0.6 * trunk.spongy
        )


def _draw_pelvis(canvas, trunk, rng):
    """Hip bones with their broad wings, the rings of the pubis, and the upper ends of the thighs."""
    size, cortex = trunk.size, trunk.cortex
    rim = [
        (42, -100, 62),
        (52, -95, 95),
        (76, -74, 117),
        (108, -36, 128),
        (131, -4, 123),
        (139, 20, 109),
        (125, 44, 80),
        (104, 35, 38),
    ]
    base = [
        (40, -84, 46),
        (44, -74, 42),
        (52, -58, 34),
        (70, -34, 28),
        (80, -14, 30),
        (89, 6, 33),
        (95, 18, 30),
        (96, 24, 24),
    ]
    flare = rng.normal(1, 0.05)
    wing, crest = cortex * rng.uniform(330, 470), cortex * rng.uniform(470, 640)
    for hip, side in zip(trunk.hips, (1, -1), strict=True):

        def place(points, hip=hip, side=side):
            points = np.asarray(points, float) * size
            points[:, 0] = points[:, 0] * np.where(points[:, 2] > 0, flare, 1)
            out = points * (side, 1, 1) + (0, hip[1], hip[2])
            out[:, 2] = hip[2] + points[:, 2] * np.where(points[:, 2] > 0, (trunk.crest - hip[2]) / (128 * size), 1)
            out[:, 0] += hip[0] - side * 85 * size
            return out

        steps = np.linspace(0, 7, 34)
        tops, feet = (
            np.stack([np.interp(steps, range(8), place(line)[:, i]) for i in range(3)], 1) for line in (rim, base)
        )
        for top, foot in zip(tops, feet, strict=True):
            middle = (top + foot) / 2 - (side * 5 * size, 0, 0)
            canvas.tube([foot, middle, top], (5.0 * size, 3.4 * size, 4.0 * size), wing * rng.uniform(0.95, 1.05))
        canvas.tube(place(rim), 5.2 * size, crest)
        canvas.tube(place([(60, -60, 45), (72, -30, 20), (82, 0, 28)]), 9 * size, wing)
        reach = 33 * size

        def cup(x, y, z, side=side):
            away = np.sqrt(x**2 + y**2 + z**2)
            return np.maximum(np.abs(away - 28.5 * size) - 3.2 * size, 0.75 * side * x - 0.55 * z - 10 * size)

        canvas.solid(hip, (reach,) * 3, cup, 520 * cortex)
        canvas.tube(place([(66, 20, 4), (42, 42, -8), (14, 52, -20)]), 7.5 * size, wing)
        canvas.tube(place([(11, 50, -22), (10, 47, -48)]), 7.5 * size, wing)
        canvas.tube(place([(12, 46, -50), (30, 22, -72), (50, -14, -84)]), 5.5 * size, wing)
        canvas.tube(place([(72, -28, -16), (62, -36, -48), (54, -26, -86)]), (13 * size, 11 * size, 13 * size), wing)
        canvas.tube(place([(62, 22, 0), (70, 5, -30), (58, -20, -80)])[:2], 9 * size, wing)
        _draw_thigh(canvas, trunk, hip, side)


def _draw_thigh(canvas, trunk, hip, side):
    size, cortex = trunk.size, trunk.cortex

    def at(x, y, z):
        return hip + np.array([side * x, y, z]) * size

    canvas.ellipsoid(hip, (24 * size,) * 3, 330 * cortex)
    canvas.ellipsoid(hip, (20.5 * size,) * 3, 1.25 * trunk.spongy + 60)
    canvas.tube([hip, at(40, -6, -26)], (17 * size, 15 * size), 480 * cortex)
    canvas.tube([at(46, -14, -6), at(48, -12, -34)], (11 * size, 15 * size), 430 * cortex)
    canvas.tube([at(42, -8, -34), at(40, -4, -70), at(26, 4, -320)], (20 * size, 16 * size, 14.5 * size), 1000 * cortex)
    canvas.tube([hip, at(38, -6, -26)], (12 * size, 10 * size), trunk.spongy)
    canvas.tube([at(46, -12, -12), at(44, -10, -34)], (7 * size, 11 * size), 0.8 * trunk.spongy)
    canvas.tube([at(42, -8, -34), at(40, -4, -70), at(26, 4, -320)], (15 * size, 9 * size, 7 * size), 60.0)


def _draw_shoulders(canvas, trunk):
    """Collarbones and shoulder blades, seen in scans that begin above the diaphragm."""
    wide, deep, size = trunk.chest.width, trunk.chest.depth, trunk.size
    top = trunk.vertebra("T3").centre[2]
    for side in (1, -1):

        def at(x, y, z, side=side):
            return np.array([side * x, y, top + z])

        joint = at(wide + 16, -0.15 * deep, 22)
        canvas.tube([at(16, 0.75 * deep, 2), at(0.5 * wide, 0.55 * deep, 14), joint], 5.5 * size, 600 * trunk.cortex)
        low, inner = at(0.82 * wide, -deep - 2, -105), at(0.55 * wide, -deep - 4, 20)
        canvas.tube([inner, low, at(wide + 8, -0.5 * deep, 5), joint], 4.5 * size, 420 * trunk.cortex)
        canvas.tube([inner, at(wide, -0.6 * deep - 8, 14), joint], 5 * size, 480 * trunk.cortex)
        for part in (0.25, 0.5, 0.75):
            edge = low + part * (at(wide + 8, -0.5 * deep, 5) - low)
            canvas.tube([inner + part * (low - inner), edge], 2.2, 330 * trunk.cortex)
        canvas.ellipsoid(joint + (side * 8, 0, -4), (23 * size,) * 3, 330 * trunk.cortex)
