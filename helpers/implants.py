"""Paints what a scan of the trunk may hold beside the patient: arms, metal inside and outside, leads, and the table.

Used by `trunk_scans`, and so by notebook 02. Lengths are in mm, densities in HU.
"""

import numpy as np

from helpers import organs
from helpers.anatomy import FAT, MUSCLE
from helpers.canvas import Canvas
from helpers.trunk import Trunk

METAL = 3500.0  # beyond the scale: scanners stop at 3071


def draw_arms(canvas: Canvas, trunk: Trunk) -> None:
    """Paint the arms in place where they lie beside the body or on the belly; mostly they are raised, out of view.

    Args:
        canvas: Where; the body is on it already.
        trunk: Whose arms.

    Seen in notebook 02.
    """
    rng = np.random.default_rng([trunk.seed, 4])
    pose = rng.choice(["up", "down", "belly"], p=[0.8, 0.14, 0.06])
    size, cortex, fat = trunk.size, 750 * trunk.cortex, trunk.chest.fat
    top, wide = trunk.vertebra("T3").centre[2], trunk.chest.width + 17 + fat
    for side in (1, -1) if rng.random() < 0.75 else (1,) if rng.random() < 0.5 else (-1,):
        shoulder = np.array([side * (trunk.chest.width + 24), -10, top + 15])
        if pose == "up":
            canvas.tube([shoulder, shoulder + (side * 45, 10, 240)], 12 * size, cortex)
            continue
        elbow = np.array([side * (wide + 42), rng.uniform(-50, 0), top - 275 * size])
        hand = elbow + (side * -10, 45, -250 * size)
        if pose == "belly":
            hand = np.array([-side * 20, trunk.belly + fat + 28, elbow[2] + rng.uniform(-70, 40)])
        canvas.tube([shoulder, elbow, hand], (42, 36, 25), FAT, "fat")
        canvas.tube([shoulder, elbow, hand], (36, 31, 20), MUSCLE)
        canvas.tube([shoulder, elbow], (11.5 * size, 11 * size), cortex)
        canvas.tube([shoulder, elbow], (6 * size, 5 * size), 50.0)
        across = np.cross(hand - elbow, (0, 1, 0.3))
        across *= 11 / np.linalg.norm(across)
        for way, radii in ((1, (8, 5)), (-1, (5.5, 8))):
            canvas.tube(
                [elbow + way * 0.6 * across, (elbow + hand) / 2 + way * across, hand + way * across], 6.5, cortex
            )
            canvas.ellipsoid(hand + way * across, (radii[1],) * 3, 0.6 * cortex)
        for finger in range(4):  # the bones of the hand
            start = hand + across * (finger - 1.5) * 0.8
            canvas.tube([start, start + (hand - elbow) * 0.3], 4.0, 0.55 * cortex)


def draw_metal(canvas: Canvas, trunk: Trunk) -> None:
    """Paint screws, artificial hips, clips, buttons, zips, leads and tubes in place; most patients have none.

    Args:
        canvas: Where; bones are on it already.
        trunk: Who wears it.

    Seen in notebook 02.
    """
    rng = np.random.default_rng([trunk.seed, 5])
    front = trunk.belly + trunk.chest.fat + 3
    if rng.random() < 0.05:
        side = rng.integers(2)
        hip = trunk.hips[side]
        way = np.array([1 - 2 * side, 1, 1])
        canvas.ellipsoid(hip, (26,) * 3, METAL)
        canvas.tube([hip, hip + way * (40, -6, -30), hip + way * (32, 0, -150)], (9, 11, 5), METAL)
    if rng.random() < 0.05:
        first = rng.integers(13, len(trunk.vertebrae) - 1)
        bones = trunk.vertebrae[first : first + rng.integers(2, 5)]
        for side in (1, -1):
            heads = [bone.at(side * 0.42 * bone.width, -bone.depth / 2 - 32, 4) for bone in bones]
            canvas.tube(heads, 3.0, METAL)
            for bone, head in zip(bones, heads, strict=True):
                canvas.tube([head, bone.at(side * 0.2 * bone.width, bone.depth * 0.2, 3)], 3.2, METAL)
    if rng.random() < 0.04:
        bone = trunk.vertebrae[rng.integers(9, len(trunk.vertebrae))]
        canvas.ellipsoid(bone.centre, np.array([14, 10, 9]) * trunk.size, rng.uniform(1500, 2500))  # bone cement
    if rng.random() < 0.08:
        centre = trunk.vertebrae[rng.integers(11, 19)].centre + rng.normal(0, (35, 15, 10)) + (15, 45, 0)
        for at in centre + rng.normal(0, 14, (rng.integers(2, 14), 3)):
            canvas.tube([at, at + rng.normal(0, 4, 3)], 1.2, METAL)  # clips of an operation
    if rng.random() < 0.12:
        height, step = trunk.crest + rng.uniform(-60, 20), 10 if rng.random() < 0.5 else 60
        for i in range(rng.integers(1, 9)):
            canvas.ellipsoid((rng.normal(0, 1.5), front, height - i * step), (5, 3, 5), rng.uniform(900, METAL))
    if rng.random() < 0.06:
        for side in (1, -1):  # clips of a bra
            canvas.ellipsoid(
                (side * 12, trunk.back - trunk.chest.fat - 2, trunk.vertebra("T8").centre[2]), (5, 2, 8), 2500
            )
    if rng.random() < 0.12:
        for _ in range(rng.integers(1, 4)):  # leads and lines on the skin
            start = np.array([rng.uniform(-90, 90), front + 4, rng.uniform(-50, 320)])
            points = start + np.cumsum(rng.normal(0, (30, 2, 45), (6, 3)), 0)
            canvas.tube(points, 1.6, rng.uniform(600, 2500))
            canvas.ellipsoid(start, (8, 2, 8), rng.uniform(500, 2500))
    if rng.random() < 0.03:
        stent = [bone.at(-14, bone.depth / 2 + 12, 0) for bone in trunk.vertebrae[-4:-1]]
        canvas.tube(stent, 11, 1100)
        canvas.tube(stent, 8.5, 200)


def draw_table(canvas: Canvas, trunk: Trunk) -> None:
    """Paint the scanner's table in place; some have rails of metal or a dense shell that a projection shows.

    Args:
        canvas: Where; the patient is on it already.
        trunk: Who lies on it.

    Seen in notebook 02.
    """
    rng = np.random.default_rng([trunk.seed, 6])
    organs.draw_table(canvas.hu, trunk.chest, canvas.grid)
    kind = rng.random()
    if kind > 0.5:
        return
    x, y, _ = canvas.grid.axes
    top = trunk.chest.shift[1] + trunk.back - trunk.chest.fat - 20 - trunk.chest.table_gap
    inner, dense = rng.uniform(90, 200), rng.uniform(150, 700)
    depth = np.abs(y - top + rng.uniform(12, 35) - (x / 210) ** 2 * 60)
    if kind < 0.3:
        inside = (np.abs(np.abs(x) - inner) < rng.uniform(3, 7)) & (depth < 5)
    else:
        inside = (np.abs(x) < inner) & (depth < canvas.edge / 2)
    thin = np.broadcast_to(inside, canvas.hu.shape) & (canvas.hu < -500)
    canvas.hu[thin] = dense if kind < 0.3 else 0.6 * dense
