"""Paints the spine of a `trunk.Trunk`, vertebra by vertebra with discs and sacrum, and all other bones with it.

Used by `trunk_scans`, and so by notebook 02. Lengths are in mm, densities in HU.
"""

import numpy as np

from helpers import skeleton
from helpers.canvas import Canvas
from helpers.trunk import Trunk, Vertebra

DISC = 85.0


def draw_bones(canvas: Canvas, trunk: Trunk) -> None:
    """Paint every bone of the trunk on a canvas, in place.

    Args:
        canvas: Where; the soft parts are on it already.
        trunk: Whose bones.

    Example:
        >>> from helpers import trunk, voxels
        >>> person = trunk.sample_trunk(np.random.default_rng(0))
        >>> canvas = Canvas(person.chest, voxels.Grid((60, 60, 30), (4.0, 4.0, 4.0), (-118.0, -160.0, -60.0)))
        >>> draw_bones(canvas, person)
        >>> bool(canvas.hu.max() > 400)
        True

    Seen in notebook 02.
    """
    rng = np.random.default_rng([trunk.seed, 1])
    skeleton.draw_skeleton(canvas, trunk, rng)
    for vertebra in trunk.vertebrae:
        draw_vertebra(
            canvas, trunk, vertebra, np.random.default_rng([trunk.seed, 2, int(vertebra.centre[2] * 10) % 9973])
        )
    _draw_sacrum(canvas, trunk, rng)
    # No bone is even inside: a maximum over many voxels shows the grain of the densest.
    bone = np.nonzero(canvas.hu > 150)
    canvas.hu[bone] *= 1 + rng.uniform(0.08, 0.2) * rng.standard_normal(len(bone[0]), np.float32)


def draw_vertebra(canvas: Canvas, trunk: Trunk, bone: Vertebra, rng: np.random.Generator) -> None:
    """Paint one vertebra and the disc below it: body, arch, joints and processes."""
    lumbar = bone.name[0] == "L"
    _draw_body(canvas, trunk, bone, rng)
    hind, tall, size = -bone.depth / 2, bone.height, trunk.size
    cortex = trunk.cortex

    def put(points, radii, value):
        canvas.tube([bone.at(*point) for point in points], radii, value)

    last = bone.name in ("L5", "L6")
    thick = (3.4 if lumbar else 2.7) * size * (1.5 if last else 1)
    apart = bone.width * (0.42 if last else 0.37)
    joint = bone.width * (0.39 if last else 0.32 if lumbar else 0.30)
    for side, tip in zip((1, -1), bone.transverse, strict=True):
        # The pedicle, a bony ring that leads from the body to the arch.
        for up in (0.08, 0.30):
            put([(side * (apart - 2), hind + 3, up * tall), (side * apart, hind - 13, up * tall)], thick, 470 * cortex)
        above = [(side * apart, hind - 15, 0.2 * tall), (side * (joint + 5), hind - 19, 0.6 * tall)]
        below = [(side * apart, hind - 16, 0.1 * tall), (side * joint, hind - 23, -0.7 * tall)]
        put(above, (thick, 3.4 * size), 480 * cortex)
        put(below, (thick, 3.6 * size), 430 * cortex)
        # The joint with the vertebra below is the densest part of the spine, the more so in the old.
        dense = cortex * (620 + 330 * trunk.wear) * rng.uniform(0.8, 1.2)
        spread = (1 + 0.5 * trunk.wear * rng.uniform(0, 1)) * size
        centre = bone.at(side * (joint + 3), hind - 21, -0.5 * (tall + bone.disc))
        canvas.ellipsoid(centre, (4.2 * spread, 4.5 * spread, 6.0 * spread), dense)
        put([(side * joint, hind - 20, -0.1 * tall), (side * 2, hind - 31, -0.2 * tall)], 3.6 * size, 400 * cortex)
        put([(side * joint, hind - 21, -0.38 * tall), (side * 2, hind - 31, -0.4 * tall)], 2.6 * size, 420 * cortex)
        if lumbar:
            rise = (0.28 if last else 0.12) * tall
            fat = (5.0 if last else 3.2) * size
            put([(side * apart, hind - 8, 0.12 * tall), (side * tip, hind - 13, rise)], (fat, 0.75 * fat), 340 * cortex)
        else:
            put([(side * apart, hind - 14, 0.2 * tall), (side * tip, hind - 24, 0.3 * tall)], 3.6 * size, 400 * cortex)
    reach = (30 if lumbar else 36 if bone.name[0] == "T" else 22) * size
    fall = -0.15 * tall if lumbar else -(0.9 if bone.name in ("T5", "T6", "T7", "T8", "T9") else 0.55) * tall
    for up in (-0.22, -0.42) if lumbar else (-0.3,):
        put([(0, hind - 29, up * tall), (0, hind - 29 - reach, up * tall + fall)], (2.8, 3.4), 400 * cortex)


def _draw_body(canvas, trunk, bone, rng):
    """The body, a waisted cylinder of spongy bone in a thin shell between dense end plates, and the disc below."""
    half, wide, deep = bone.height / 2, bone.width / 2, bone.depth / 2
    spurs = np.maximum(rng.normal(5.5 * trunk.wear - 1.5, 2.0, 4), 0)  # above and below, right and left
    box, (a, b, c) = canvas.local(
        bone.at(0, 0, -bone.disc / 2), bone.axes, (wide + 9, deep + 9, half + bone.disc / 2 + 3)
    )
    if min(s.stop - s.start for s in box) == 0:
        return
    c = c - bone.disc / 2
    part = np.clip(c / half, -1, 1)
    lip = np.where(c > 0, *(np.where(a > 0, *pair) for pair in (spurs[:2], spurs[2:])))
    waist = 1 - 0.10 * (1 - part**2)
    radial = np.sqrt((a / (waist * wide)) ** 2 + (b / (waist * deep)) ** 2)
    radial = np.where(b < 0, np.maximum(radial, (np.abs(b) / deep) * 1.12), radial)  # the hind wall is flat
    aside = (radial - 1) * deep
    spur = aside - lip * np.exp(-(((np.abs(c) - half) / 3.5) ** 2))
    end = np.abs(c) - half + 1.4 * np.maximum(1 - radial**2, 0)  # end plates are hollow
    canvas.fill(box, np.maximum(aside + 1, np.abs(c + half + bone.disc / 2) - bone.disc / 2 - 1), DISC)
    outer = np.maximum(spur, end)
    plate = trunk.cortex * (430 + 200 * trunk.wear) * rng.uniform(0.85, 1.15)
    shell = trunk.cortex * rng.uniform(330, 450)
    canvas.fill(box, outer, np.where(end > -2.5, plate, shell).astype(np.float32))
    grain = rng.standard_normal(a.shape, np.float32)
    grain = (grain + np.roll(grain, 1, 2) + 0.5 * np.roll(grain, 1, 0)) / 1.5
    inside = trunk.spongy * (1 + 0.16 * grain + 0.25 * part**2) * rng.normal(1, 0.06)
    canvas.fill(box, np.maximum(aside + 2.2, end + 2.4), inside)


def _draw_sacrum(canvas, trunk, rng):
    """Five fused pieces that lean back and curve, with wings to the pelvis, holes for the nerves, and the coccyx."""
    bone, size = trunk.sacrum, trunk.size
    lean = np.arctan2(bone.axes[1, 2], bone.axes[2, 2])
    at, value = bone.centre.copy(), trunk.cortex * rng.uniform(330, 430)
    full = np.array([54, 49, 39, 30, 21]) * size
    body = np.array([bone.width / 2, 19 * size, 15 * size, 13 * size, 11 * size])
    deep = np.array([bone.depth / 2, 12 * size, 9 * size, 7 * size, 5 * size])
    for i, (tall, turn) in enumerate(zip(np.array([30, 26, 22, 19, 17]) * size, (0, 8, 4, -22, -48), strict=True)):
        slope = lean + np.radians(turn)
        axes = np.array([[1, 0, 0], [0, np.cos(slope), np.sin(slope)], [0, -np.sin(slope), np.cos(slope)]])
        if i:
            at = at - axes[:, 2] * tall / 2

        def wing(x, y, z, i=i, tall=tall):
            aside = np.abs(x) - full[i] + 0.12 * (tall / 2 - z)
            thick = np.abs(y + deep[i] * 0.5) - 0.8 * deep[i] - 3 * (1 - np.abs(x) / full[i])
            return np.maximum(np.maximum(aside, thick), np.abs(z + 0.12 * np.abs(x) * (i == 0)) - tall / 2)

        def core(x, y, z, i=i, tall=tall):
            return np.maximum((np.sqrt((x / body[i]) ** 2 + (y / deep[i]) ** 2) - 1) * deep[i], np.abs(z) - tall / 2)

        half = (full[i], deep[i] * 1.5 + 3, tall / 2 + 8)
        for part in (wing, core):
            canvas.solid(at, half, part, value, axes=axes)
            canvas.solid(at, half, lambda *p, part=part: part(*p) + 2.3, 0.75 * trunk.spongy, axes=axes)
        canvas.tube(
            [at + axes @ (0, -deep[i] - 5, tall / 2), at + axes @ (0, -deep[i] - 9, -tall / 2)], 4, 430 * trunk.cortex
        )
        at = at - axes[:, 2] * tall / 2
        if i < 4:
            canvas.solid(
                at,
                (body[i], deep[i], 2),
                lambda x, y, z, i=i: np.maximum(np.abs(z) - 1, np.abs(x) - body[i] * 0.8),
                value * 0.5,
                axes=axes,
            )
            for side in (1, -1):
                ends = [at + axes @ (side * (15 - 1.8 * i) * size, y, 1) for y in (deep[i] + 6, -deep[i] - 12)]
                canvas.tube(ends, (5.2 - 0.6 * i) * size, -20.0)
    slope = lean - np.radians(65)
    down = -np.array([0, np.sin(slope), np.cos(slope)])
    for i in range(3):
        canvas.ellipsoid(at + down * (6 + 11 * i) * size, np.array([8 - 2 * i, 4, 5]) * size, value)
