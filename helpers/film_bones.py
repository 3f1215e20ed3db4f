"""The bones of a chest radiograph: thin shells along curves in 3-D, projected point by point on a detector.

Used by `films`, and so by notebooks 03 and 04. Lengths are in mm, in the patient's frame of `anatomy`.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from helpers.anatomy import VERTEBRA_PITCH, Thorax

CORTEX, CORE = 0.046, 0.021  # how much more a mm of hard and of spongy bone attenuates than a mm of muscle


@dataclass(frozen=True)
class Detector:
    """Where the pixels of a film lie: rows from head to foot, columns from the patient's right to the left.

    Args:
        pixels: Rows and columns of the square film.
        field: Length of its sides in mm.
        centre: x and z of its middle in the scanner's frame, in mm.

    Example:
        >>> Detector(100, 400.0, (0.0, 0.0)).to_pixels(np.array([[200.0, 0.0, 200.0]]))
        array([[-0.5, -0.5]])

    Used by the phantoms of notebooks 03 and 04.
    """

    pixels: int
    field: float
    centre: tuple[float, float]

    @property
    def pitch(self) -> float:
        """Distance of the middles of two pixels in mm."""
        return self.field / self.pixels

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """Row and column of points [n, 3] of the scanner's frame, [n, 2]; the beam runs along y."""
        points = np.asarray(points, float)
        across = np.stack([self.centre[1] - points[:, 2], self.centre[0] - points[:, 0]], axis=1)
        return across / self.pitch + (self.pixels - 1) / 2

    def deposit(self, points: np.ndarray, mass: np.ndarray) -> np.ndarray:
        """Project points that stand for small pieces of matter.

        Args:
            points: [n, 3] in the scanner's frame.
            mass: Volume of each piece in mm3 times its attenuation per mm, [n].

        Returns:
            The line integral, float32 [rows, columns]; each piece is shared among the four nearest pixels.
        """
        size = self.pixels + 2  # a frame of one pixel takes what falls on the edge
        row, column = np.clip(self.to_pixels(points) + 1, 0, size - 1.001).T
        low_row, low_column = row.astype(int), column.astype(int)
        part_row, part_column = row - low_row, column - low_column
        at = low_row * size + low_column
        picture = np.zeros(size * size + size + 2)
        for step, part in (
            (0, (1 - part_row) * (1 - part_column)),
            (1, (1 - part_row) * part_column),
            (size, part_row * (1 - part_column)),
            (size + 1, part_row * part_column),
        ):
            picture += np.bincount(at + step, mass * part, len(picture))
        picture = picture[: size * size].reshape(size, size)[1:-1, 1:-1]
        return (picture / self.pitch**2).astype(np.float32)


def draw_bones(chest: Thorax, detector: Detector, rng: np.random.Generator) -> np.ndarray:
    """Project ribs, collarbones, shoulder blades, upper arms and the details of the spine.

    Args:
        chest: Whose bones.
        detector: Where the film's pixels lie.
        rng: Small differences between people: slope and size of ribs, position of the shoulders.

    Returns:
        What the bones add to the attenuation of soft tissue, float32 [rows, columns].

    Example:
        >>> from helpers import anatomy
        >>> chest = anatomy.sample_thorax(np.random.default_rng(0))
        >>> bones = draw_bones(chest, Detector(64, 360.0, (0.0, 0.0)), np.random.default_rng(0))
        >>> bones.shape, bool(bones.min() >= 0)
        ((64, 64), True)

    Seen in notebook 03.
    """
    pieces = [*_ribs(chest, detector.pitch, rng), *_shoulders(chest, detector.pitch, rng), *_spine(chest)]
    points, mass = (np.concatenate(part) for part in zip(*pieces, strict=True))
    bones = detector.deposit(chest.to_scanner(points), mass)
    return cv2.GaussianBlur(bones, (0, 0), 0.7)  # hides the grid of the points


def rib_line(chest: Thorax, number: int, side: int, steepness: float = 1.0, samples: int = 200) -> np.ndarray:
    """The middle line of a rib, from the spine to where its cartilage begins.

    Args:
        chest: Whose rib.
        number: 1 to 12, from the head down.
        side: 1 right, -1 left.
        steepness: How far it slopes down; 1 is average.
        samples: Points along it.

    Returns:
        Points [samples, 3] in the patient's frame.

    Example:
        >>> from helpers import anatomy
        >>> line = rib_line(anatomy.sample_thorax(np.random.default_rng(0)), 5, 1)
        >>> bool(line[0, 2] > line[-1, 2]), bool(line[0, 1] < 0 < line[-1, 1])
        (True, True)

    Used by the phantoms of notebooks 03 and 04.
    """
    ends = (2.45, 2.4, 2.35, 2.35, 2.35, 2.35, 2.3, 2.2, 2.05, 1.85, 1.25, 0.85)
    head = chest.height * (0.505 - 0.088 * (number - 1))
    drop = steepness * 108 * (1 - np.exp(-number / 2.2)) * chest.height / 240
    wide, deep = chest.width + 4.5, chest.depth + 4.5
    angle = np.linspace(0.02, ends[number - 1], samples)
    part = angle / np.pi
    z = head - drop * part * part * (3 - 2 * part) + 5 * np.sin(np.minimum(angle * 2.2, np.pi))
    up = z / chest.height + 0.5
    profile = np.sqrt(np.clip(1 - (np.maximum(up - 0.3, 0) / 0.74) ** 2, 0.05, 1)) - 0.06 * np.clip(0.3 - up, 0, 1)
    bulge = profile**2 * np.cos(angle) ** 2  # the cross-section of `organs`: flat at the back
    lean = np.where(angle < np.pi / 2, -np.cbrt(bulge), np.sqrt(bulge))
    y = (lean + 0.08 * np.clip(1 - up, 0, 1)) * deep
    x = side * np.maximum(wide * profile * np.sin(angle), 14 + 30 * angle)
    line = np.stack([x, y, z], axis=1)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    even = np.linspace(0, length[-1], samples)
    return np.stack([np.interp(even, length, line[:, i]) for i in range(3)], axis=1)


def _ribs(chest, pitch, rng):
    """Twelve pairs; flat bands that stand upright in the chest wall."""
    steepness, size = rng.normal(1, 0.12), rng.normal(1, 0.08)
    samples = int(190 / pitch)
    for number in range(1, 13):
        for side in (-1, 1):
            line = rib_line(chest, number, side, steepness + rng.normal(0, 0.02), samples)
            line[:, 2] += rng.normal(0, 1.2)
            tall = size * rng.normal(6.3, 0.3) * (0.85 if number in (1, 11, 12) else 1)
            yield _tube(line, tall, 3.2 * size, 0.75, pitch)


def _shoulders(chest, pitch, rng):
    """Collarbones, shoulder blades and the upper ends of the arms, half turned out of the way."""
    wide, deep, high = chest.width, chest.depth, chest.height
    lift, out = rng.normal(0, 7), rng.uniform(-0.14, 0.2)
    along = np.linspace(0, 1, int(120 / pitch))[:, None]
    for side in (-1, 1):
        lift_here, out_here = lift + rng.normal(0, 3), out + rng.normal(0, 0.03)

        def at(x, y, z, side=side, lift=lift_here):
            return np.array([side * x * wide, y * deep, z * high + lift])

        start, end = at(0.12, 0.65, 0.395), at(1.12, -0.1, 0.47)
        line = start + along * (end - start)
        line[:, 2] += 7 * np.sin(2 * np.pi * (along[:, 0] + 0.06))
        yield _tube(line, 6.0 + 2.5 * np.abs(along[:, 0] - 0.5) ** 1.5 * 2.8, 5.5, 1.1, pitch)

        socket, tip = at(1.2 + out_here, -0.5, 0.375), at(0.93 + 0.8 * out_here, -1.08, -0.02)
        corner, root = at(0.72 + out_here, -1.05, 0.45), at(0.7 + out_here, -1.1, 0.36)
        acromion = at(1.26, -0.45, 0.47)
        for a, b, thick in ((socket, tip, 4.2), (corner, tip, 2.0), (corner, socket, 2.4), (root, acromion, 4.5)):
            line = a + along * (b - a) + np.sin(np.pi * along) * np.array([side * 5.0, 0, -4.0])
            yield _tube(line, thick, thick, 0.9, pitch)
        yield _sheet(socket, corner, tip, 1.6, pitch)
        head, round_off = at(1.36, -0.35, 0.40), np.sqrt(1.001 - (2 * along[::2, 0] - 1) ** 2)
        yield _tube(head + (along[::2] - 0.5) * (side * 6.0, 0, 44.0), 22 * round_off, 22 * round_off, 0.8, pitch)
        yield _tube(head + along * (side * 60.0, 0, -230.0) - (0, 0, 15), 11.0, 11.0, 2.5, pitch)


def _spine(chest):
    """End plates, pedicles and spinous processes, one set every `VERTEBRA_PITCH` mm."""
    y = -0.88 * chest.depth
    turns = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    rings = np.linspace(0.2, 1, 6)
    around = turns + 0.11 * np.arange(6)[:, None]  # each ring turned, so that edge-on they make no dots
    disc = np.stack([rings[:, None] * np.cos(around), rings[:, None] * np.sin(around), 0 * around], axis=-1)
    disc = disc.reshape(-1, 3) * (17.5, 14.5, 0)
    weight = np.repeat(rings, 40)
    weight *= 0.5 * CORTEX * np.pi * 17.5 * 14.5 / weight.sum()
    for level in range(-12, 13):
        z = level * VERTEBRA_PITCH
        for edge in (-0.36, 0.36):
            yield disc + (0, y, z + edge * VERTEBRA_PITCH), weight
        for x in (-12.5, 12.5):
            ring = np.stack([x + 3.2 * np.cos(turns), np.full(40, y - 12), z + 3 + 5 * np.sin(turns)], axis=1)
            yield ring, np.full(40, 0.5)
        tip = np.stack([2.6 * np.cos(turns), np.full(40, y - 50), z - 9 + 6.5 * np.sin(turns)], axis=1)
        yield tip, np.full(40, 0.45)


def _tube(line, tall, thick, cortex, pitch):
    """Points and masses of a hollow tube with a spongy core; `tall` across its line and along the chest wall."""
    line = line.astype(np.float32)
    tangent = np.gradient(line, axis=0)
    step = np.linalg.norm(tangent, axis=1)
    tangent, step = tangent / step[:, None], step * (1 - 1 / len(line))  # n points divide n - 1 steps
    outward = line * np.float32([1, 1, 0]) / np.maximum(np.hypot(line[:, :1], line[:, 1:2]), 1)
    across = np.cross(tangent, outward)
    across /= np.maximum(np.linalg.norm(across, axis=1), 1e-6)[:, None]
    outward = np.cross(across, tangent)
    tall, thick = (np.broadcast_to(np.float32(half), len(line))[:, None] for half in (tall, thick))
    points, masses = [], []
    around = max(12, int(4.5 * float(tall.mean()) / max(pitch, 0.8)))
    for share, count in ((1.0, around), (0.62, around // 3)):
        # Twisted, so that the points of neighbouring rings never make lines.
        turns = np.linspace(0, 2 * np.pi, count, endpoint=False) + 2.4 * np.arange(len(line))[:, None]
        up, out = tall * np.cos(turns, dtype=np.float32), thick * np.sin(turns, dtype=np.float32)
        place = line[:, None] + (share * up)[..., None] * across[:, None] + (share * out)[..., None] * outward[:, None]
        if share == 1:
            mass = np.hypot(out * (tall / thick), up * (thick / tall)) * (2 * np.pi / count * cortex * CORTEX)
        else:
            mass = np.repeat(np.pi * tall * thick * CORE / count, count, axis=1)
        points.append(place.reshape(-1, 3))
        masses.append((mass * step[:, None]).ravel())
    return np.concatenate(points), np.concatenate(masses)


def _sheet(a, b, c, thick, pitch):
    """Points and masses of a flat triangle of hard bone."""
    count = int(130 / max(pitch, 0.8))
    u, v = (line.ravel() for line in np.meshgrid(*[(np.arange(count) + 0.5) / count] * 2))
    u, v = u[u + v < 1], v[u + v < 1]
    area = np.linalg.norm(np.cross(b - a, c - a)) / 2
    points = a + np.outer(u, b - a) + np.outer(v, c - a)
    return points, np.full(len(points), area * thick * CORTEX / len(points))
