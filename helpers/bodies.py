"""Paints what surrounds the bones of a `trunk.Trunk`: fat, muscles, organs and vessels, arms, metal, and the table.

Used by `trunk_scans`, and so by notebook 02. Lengths are in mm, densities in HU.
"""

import numpy as np

from helpers.anatomy import AIR, BLOOD, FAT, LIVER, MUSCLE
from helpers.canvas import Canvas
from helpers.trunk import Trunk
from helpers.voxels import coverage


def draw_body(canvas: Canvas, trunk: Trunk) -> None:
    """Paint skin, fat, muscles, lungs, organs, bowel and vessels, with or without contrast, in place.

    Args:
        canvas: Where; its picture is air.
        trunk: Whose body.

    Example:
        >>> from helpers import trunk, voxels
        >>> person = trunk.sample_trunk(np.random.default_rng(0))
        >>> canvas = Canvas(person.chest, voxels.Grid((60, 60, 9), (8.0, 8.0, 8.0), (-236.0, -236.0, -30.0)))
        >>> draw_body(canvas, person)
        >>> bool(-150 < np.median(canvas.hu[28:32, 20:40]) < 100)
        True

    Seen in notebook 02.
    """
    rng = np.random.default_rng([trunk.seed, 3])
    phase = rng.choice(["none", "arterial", "portal", "late"], p=[0.4, 0.15, 0.35, 0.1])
    canvas_x, canvas_y, canvas_z = canvas.local((0, 0, 0), np.eye(3), (9e4, 9e4, 9e4))[1]
    level = canvas.grid.axes[2].ravel() - trunk.chest.shift[2]  # the outline follows slices: tilts are small
    skin, wall = _outlines(trunk, level, canvas_x, canvas_y)
    everywhere = (slice(None),) * 3
    canvas.fill(everywhere, skin, FAT, "fat")
    canvas.fill(everywhere, wall, MUSCLE, "muscle")
    _draw_cavity(canvas, trunk, wall, rng)
    _draw_lungs(canvas, trunk, wall, canvas_x, canvas_y, canvas_z)
    _draw_muscles(canvas, trunk)
    _draw_organs(canvas, trunk, phase, rng)
    _draw_bowel(canvas, trunk, rng)
    _draw_vessels(canvas, trunk, phase, rng)


def _outlines(trunk, level, x, y):
    """Distances from the skin and from the outside of the muscles; below the crotch two thighs."""
    chest, fat = trunk.chest, trunk.chest.fat
    top, pubis = trunk.vertebra("T2").centre[2], trunk.hips[:, 2].mean() - 40
    at = [pubis - 150, pubis + 40, trunk.crest, 20, trunk.vertebra("T9").centre[2], top - 30, top + 35, top + 70]
    wide, deep = chest.width + 17, chest.depth + 17
    hips = np.abs(trunk.hips[:, 0]).mean() + 75 * trunk.size
    half = np.interp(level, at, [hips, hips, 0.5 * (hips + wide * 0.95), 0.95 * wide, wide, wide + 8, wide, 62])
    front = np.interp(level, at, [0.9 * deep, 0.9 * deep, trunk.belly, trunk.belly, deep, 0.9 * deep, 0.55 * deep, 40])
    back = np.interp(level, at[-2:], [deep, 0.6 * deep])
    half, front, back = (line.astype(np.float32) for line in (half, front, back))
    surfaces = []
    for layer in (float(fat), 0.0):
        deeper = layer * np.where(level < 100, 1.15, 0.7).astype(np.float32)
        depth = np.where(y > 0, front + deeper, back + layer)
        away = np.abs(y) / depth
        away *= np.where(y > 0, away, away * np.sqrt(away))  # the back is flatter
        away = np.sqrt((x / (half + deeper)) ** 2 + away) - 1
        away *= np.minimum(half, front)
        legs = level < pubis
        if legs.any():
            for_legs = x[:, :, legs], y[:, :, legs]
            thigh = [np.hypot(for_legs[0] - hip[0] * 1.05, 0.95 * (for_legs[1] - hip[1] + 10)) for hip in trunk.hips]
            away[:, :, legs] = np.minimum(*thigh) - 72 * trunk.size - deeper[legs]
        surfaces.append(away.astype(np.float32))
    return surfaces


def _draw_cavity(canvas, trunk, wall, rng):
    """Inside the wall of muscle: fat, with the soft bowel in it as slow noise."""
    low = canvas.grid.box((-9e4, -9e4, trunk.hips[0, 2] - 30 + trunk.chest.shift[2]), (9e4,) * 3)
    soft = np.clip(_slow_noise(rng, canvas.grid.crop(low)) * 3 + rng.uniform(-0.6, 1.0), 0, 1)
    part = coverage(wall[low] + rng.uniform(13, 22), canvas.edge)
    hu = canvas.hu[low]
    hu += part * (FAT + soft * (35 - FAT) - hu)
    for name, whole in canvas.parts.items():
        whole[low] += part * ((name == "fat") * (1 - soft) - whole[low])


def _slow_noise(rng, grid):
    """Noise of 26 mm that hangs on the scanner's millimetres and not on the grid: a single slice shows the same."""
    noise = rng.standard_normal((24, 24, 40), np.float32)
    for axis, line in enumerate(grid.axes):
        at = np.clip(line.ravel() / 26 + noise.shape[axis] / 2, 0, noise.shape[axis] - 1.001)
        low = at.astype(int)
        part = (at - low).reshape([-1 if other == axis else 1 for other in range(3)])
        noise = noise.take(low, axis) * (1 - part) + noise.take(low + 1, axis) * part
    return noise


def _draw_lungs(canvas, trunk, wall, x, y, z):
    """Lungs from the top ribs to the diaphragm's domes and the recess behind them, beside heart and great vessels."""
    chest = trunk.chest
    base = trunk.vertebra("L1").centre[2] + 8
    dome = trunk.vertebra("T11").centre[2] + chest.dome * 0.6
    box = canvas.grid.box((-9e4, -9e4, base + chest.shift[2] - 15), (9e4,) * 3)
    if box[2].start == box[2].stop:
        return
    x, y, z, wall = x[box], y[box], z[box], wall[box]
    aside = np.abs(np.abs(x) - 0.55 * chest.width) / chest.width
    floor = dome + 14 * (x > 0) - 260 * aside**2 - np.where(y < 0, 0.012, 0.004) * (y - 10) ** 2
    floor = np.maximum(floor, base)
    middle = 30 + np.where(y > -20, 22, 0) * (y < 0.8 * chest.depth) - np.abs(x)
    apex = z - trunk.vertebra("T2").centre[2]
    canvas.fill(box, np.maximum(np.maximum(wall + 20, floor - z), np.maximum(middle, apex)), chest.density, "lung")


def _draw_muscles(canvas, trunk):
    """The muscles of the back and the psoas beside the lumbar spine; buttocks."""
    bones = (*trunk.vertebrae, trunk.sacrum)
    for side in (1, -1):
        back = [bone.at(side * 33, -bone.depth / 2 - 33, 0) for bone in bones[5:]]
        canvas.tube(back, 23 * trunk.size, MUSCLE, "muscle")
        first = [bone.name for bone in bones].index("T12")
        psoas = [bone.at(side * (bone.width / 2 + 11), -2, 0) for bone in bones[first:]]
        hip = trunk.hips[0 if side > 0 else 1]
        psoas[-1] = psoas[-1] + np.array([side * 16, 22, 0])
        psoas += [hip + (side * -6, 34, 20)]
        canvas.tube(
            psoas, np.interp(range(len(psoas)), [0, 3, len(psoas) - 1], [6, 17, 19]) * trunk.size, MUSCLE, "muscle"
        )
        seat = hip + (side * 10, -62, 25)
        canvas.ellipsoid(seat, (62, 30, 85), MUSCLE, "muscle")


def _draw_organs(canvas, trunk, phase, rng):
    """Liver on the patient's right, spleen and stomach on the left, kidneys behind, heart above, bladder below."""
    chest, size = trunk.chest, trunk.size
    z = {name: trunk.vertebra(name).centre[2] for name in ("T8", "T9", "T11", "T12", "L1", "L2")}
    liver = (
        LIVER
        - rng.choice([0, 30, 60], p=[0.7, 0.2, 0.1])
        + {"none": 0, "arterial": 15, "portal": 50, "late": 30}[phase]
    )
    canvas.ellipsoid((0.42 * chest.width, 12, z["T12"] + 10), (0.55 * chest.width, 78, 82 * size), liver)
    canvas.ellipsoid((-5, 38, z["T11"] - 5), (70, 42, 45), liver)
    spleen = 50 + {"none": 0, "arterial": 60, "portal": 65, "late": 35}[phase]
    canvas.ellipsoid((-0.72 * chest.width, -38, z["T11"] - 8), (24, 38, 50 * size * rng.uniform(0.8, 1.3)), spleen)
    heart = BLOOD + {"none": 0, "arterial": 190, "portal": 100, "late": 50}[phase] * rng.uniform(0.5, 1.2)
    canvas.ellipsoid((-18, 25, z["T8"] - 5), (58, 45, 52), heart)
    cortex = 32 + {"none": 0, "arterial": 130, "portal": 150, "late": 120}[phase] * rng.uniform(0.7, 1.3)
    urine = rng.uniform(400, 1500) if phase == "late" else 5.0
    for side, height in ((1, z["L2"] + 8), (-1, z["L1"] - 4)):
        if rng.random() < 0.02:
            continue  # born with one, or left with one
        centre = np.array([side * 58 * size, -48, height + rng.normal(0, 12)])
        canvas.ellipsoid(centre, np.array([28, 24, 54]) * size, cortex)
        canvas.ellipsoid(centre - (side * 9, -6, 0), np.array([9, 8, 24]) * size, urine if phase == "late" else FAT)
        if phase == "late":
            ureter = [centre - (side * 14, -8, 20), (side * 36, -20, -30), (side * 38, -30, trunk.crest - 20)]
            end = min(3, int(rng.integers(1, 5)))
            canvas.tube(ureter[: max(end, 2)], 2.5, urine * 0.8)
        if rng.random() < 0.05:
            canvas.ellipsoid(centre, rng.uniform(2, 6, 3), rng.uniform(300, 1200))  # a stone
    bladder = rng.uniform(150, 900) if phase == "late" and rng.random() < 0.6 else 8.0
    hip = trunk.hips.mean(0)
    canvas.ellipsoid(hip + (0, 22, 10), np.array([38, 28, 30]) * rng.uniform(0.6, 1.4), bladder)
    if rng.random() < 0.1:
        for _ in range(rng.integers(1, 8)):  # gallstones
            stone = np.array([0.4 * chest.width, 55, z["L2"]]) + rng.normal(0, 6, 3)
            canvas.ellipsoid(stone, rng.uniform(2, 5, 3), rng.uniform(150, 600))


def _draw_bowel(canvas, trunk, rng):
    """Stomach and loops of bowel: gas, stool, and now and then the contrast that was drunk."""
    drunk = rng.uniform(180, 700) if rng.random() < 0.3 else 0.0
    chest = trunk.chest
    low, high = trunk.hips[0, 2] + 20, trunk.vertebra("L1").centre[2]
    reach = 0.62 * chest.width
    stomach = np.array([-0.45 * chest.width, 25, trunk.vertebra("T12").centre[2]])
    canvas.ellipsoid(stomach, (38, 32, 48), drunk * rng.uniform(0.4, 1) if drunk and rng.random() < 0.6 else 25.0)
    canvas.ellipsoid(stomach + (0, 14, 26), (28, 18, 18), AIR)
    colon = [
        (0.78, low + 50),
        (0.8, 0),
        (0.75, high - 25),
        (0.3, high - 45),
        (-0.3, high - 35),
        (-0.78, high + 10),
        (-0.8, -20),
    ]
    path = np.array([(x * chest.width, 15 if abs(x) > 0.5 else 60, z) for x, z in (*colon, (-0.72, low + 40))])
    path += rng.normal(0, 9, path.shape)
    steps = np.linspace(0, len(path) - 1, 34)
    loops = np.stack([np.interp(steps, range(len(path)), path[:, i]) for i in range(3)], 1)
    small = np.stack([rng.uniform(-reach, reach, 36), rng.uniform(-5, 70, 36), rng.uniform(low, high - 30, 36)], 1)
    for places, gas, filled in ((loops, 0.45, rng.random()), (small, 0.12, rng.random())):
        for at in places + rng.normal(0, 4, places.shape):
            radius = rng.uniform(9, 21)
            canvas.ellipsoid(at, radius * rng.uniform(0.8, 1.3, 3), 35.0)
            kind = rng.random()
            if kind < gas:
                canvas.ellipsoid(at + (0, 2, 0), radius * rng.uniform(0.5, 0.9, 3), AIR)
            elif drunk and kind < gas + 0.6 * filled:
                canvas.ellipsoid(at, radius * rng.uniform(0.5, 0.85, 3), drunk * rng.uniform(0.4, 1.1))
    for _ in range(rng.poisson(0.5)):  # a tablet, a clip, a fruit stone
        canvas.ellipsoid(small[rng.integers(36)], rng.uniform(1.5, 4, 3), rng.uniform(500, 2500))


def _draw_vessels(canvas, trunk, phase, rng):
    """Aorta and vena cava in front of the spine, their branches to the thighs, and the calcium of age in the walls."""
    blood = {"none": 0, "arterial": rng.uniform(140, 330), "portal": rng.uniform(70, 140), "late": 60}[phase] + BLOOD
    vein = {"none": 0, "arterial": 30, "portal": 100, "late": 60}[phase] + BLOOD
    bones = trunk.between("T4", trunk.vertebrae[-2].name)
    wide = np.interp(range(len(bones)), [0, len(bones) - 1], [13, 9.5]) * rng.uniform(0.85, 1.25)
    aorta = np.array([bone.at(-14, bone.depth / 2 + 12, 0) for bone in bones])
    cava = np.array([bone.at(20, bone.depth / 2 + 9, 0) for bone in bones[5:]])
    canvas.tube(cava, 11, vein)
    canvas.tube(aorta, wide, blood)
    branches = []
    for hip, side in zip(trunk.hips, (1, -1), strict=True):
        groin = hip + (-side * 12, 42, 10)
        branch = np.array(
            [aorta[-1], (aorta[-1] + groin) / 2 + (side * 8, -22, -10), groin, groin + (side * 8, 0, -160)]
        )
        canvas.tube(branch, 5.5, blood)
        canvas.tube(branch + (side * -4, -12, 0), 6.5, vein)
        branches.append((branch[:3], np.full(3, 5.0)))
    for _ in range(rng.poisson(45 * max(trunk.wear - 0.35, 0) ** 1.2)):
        path, radii = [(aorta, wide), (aorta[-4:], wide[-4:]), *branches][rng.integers(4)]
        at, around = rng.uniform(0, len(path) - 1), rng.uniform(0, 2 * np.pi)
        middle = np.array([np.interp(at, range(len(path)), path[:, i]) for i in range(3)])
        edge = np.interp(at, range(len(path)), radii) * np.array([np.cos(around), np.sin(around), 0])
        canvas.ellipsoid(middle + edge, rng.uniform([1.2, 1.2, 1.5], [3, 3, 8]), rng.uniform(300, 1100))
