"""Air in the pleural space drawn into a chest film, and what looks like it: folds, bullae, tubes, wires.

Used by `phantoms_siim`, and so by notebook 03. Lengths are in mm; places on a film are (row, column).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from helpers.films import SIDES, WATER, Film
from helpers.voxels import smooth_noise

LUNG = 0.17 * WATER  # attenuation of a mm of healthy lung without its large vessels
PATTERNS = {  # where the air lies: direction from the hilum (0 to the side, 90 to the head), spread, how often
    "apical": (78, 48, 0.42),
    "apicolateral": (45, 62, 0.33),
    "lateral": (5, 52, 0.13),
    "basal": (-42, 42, 0.12),
}


@dataclass(frozen=True)
class Collapse:
    """How far a lung has drawn back from the chest wall.

    Args:
        side: "right" or "left".
        pattern: One of ``PATTERNS``.
        depth: Of the air at its deepest, between chest wall and lung, in mm.

    Seen in notebook 03.
    """

    side: str
    pattern: str
    depth: float


def random_collapse(rng: np.random.Generator) -> Collapse:
    """Draw how far a lung has collapsed: a few slivers, mostly rims of one to four cm, sometimes nearly all of it.

    Example:
        >>> 8 <= random_collapse(np.random.default_rng(0)).depth <= 120
        True

    Seen in notebook 03.
    """
    shares = [share for _, _, share in PATTERNS.values()]
    large = rng.random() < 0.15
    depth = rng.uniform(50, 110) if large else float(np.clip(rng.lognormal(np.log(27), 0.45), 8, 70))
    return Collapse(str(rng.choice(list(SIDES))), str(rng.choice(list(PATTERNS), p=shares)), depth)


def pneumothorax(film: Film, collapse: Collapse, rng: np.random.Generator) -> tuple[Film, np.ndarray]:
    """Let air between chest wall and lung: a rim without vessels behind the thin line of the pleura.

    Args:
        film: A chest without it.
        collapse: Which lung, where and how far.
        rng: Makes the lung's edge uneven.

    Returns:
        The film with it, and where the beam meets air but no lung, bool [rows, columns].

    Raises:
        ValueError: If the side or the pattern is unknown.

    Example:
        >>> from helpers import anatomy, films
        >>> rng = np.random.default_rng(3)
        >>> film, _ = films.draw_film(anatomy.sample_thorax(rng), 96, None, rng)
        >>> ill, mask = pneumothorax(film, Collapse("left", "apical", 30.0), rng)
        >>> bool(ill.attenuation[mask].mean() < film.attenuation[mask].mean()), int(ill.vessels[mask].sum())
        (True, 0)

    Seen in notebook 03.
    """
    if collapse.side not in SIDES or collapse.pattern not in PATTERNS:
        raise ValueError(f"a collapse has one of the sides {list(SIDES)} and patterns {list(PATTERNS)}: {collapse}")
    region, box = _region(film, collapse.side)
    from_wall, from_hilum, angle, rows, columns = _place(film, region, box, collapse.side)
    heading, spread, _ = PATTERNS[collapse.pattern]
    spread = spread * (1 + max(0.0, collapse.depth - 40) / 80)
    bump = np.exp(-(((angle - heading - rng.normal(0, 8)) / (spread * rng.uniform(0.85, 1.2))) ** 2))
    uneven = 1 + 0.09 * smooth_noise(rng, region.shape, (6, 5))
    rim = collapse.depth * np.maximum(bump - 0.12, 0) / 0.88 * uneven
    # However much has collapsed, a stump of lung stays at the hilum.
    air = np.minimum(rim - from_wall, from_hilum - 34).astype(np.float32)
    mask = _without_crumbs(region & (air > 0))

    depth = np.where(region, film.lungs[box], 0)
    # Near its edge the lung is round: air lies before and behind it.
    share = np.where(rim > 0.5, np.where(air > 0, 0, np.sqrt(np.clip(-air / 9, 0, 1))), 1)
    denser = min(depth.sum() / max((depth * share).sum(), 1.0), 2.6)  # the same tissue in less room
    inner = np.clip(2 * cv2.GaussianBlur(region.astype(np.float32), (0, 0), 6 / film.spacing[0]) - 1, 0, 1)
    line = _line(air, film.spacing[0]) * (rim > 1) * np.clip(from_wall / 3, 0, 1) * rng.uniform(0.12, 0.22)
    drawn_in = (from_hilum + from_wall) / (from_hilum + np.maximum(from_wall - rim, 1))
    row, column = film.landmarks[f"{collapse.side} hilum"]
    source = (column + (columns - column) * drawn_in - box[1].start, row + (rows - row) * drawn_in - box[0].start)
    vessels = cv2.remap(film.vessels[box], *(way.astype(np.float32) for way in source), cv2.INTER_LINEAR)
    vessels = np.where(region, vessels * (share > 0), film.vessels[box])

    changed = replace(film, **{name: getattr(film, name).copy() for name in ("attenuation", "lungs", "vessels")})
    changed.attenuation[box] += vessels - film.vessels[box] + region * line
    changed.attenuation[box] += LUNG * depth * (share * (1 + (denser - 1) * inner) - 1)
    changed.vessels[box] = vessels
    changed.lungs[box] = np.where(region, depth * share, film.lungs[box])
    full = np.zeros(film.lungs.shape, bool)
    full[box] = mask
    return changed, full


def add_mimics(film: Film, rng: np.random.Generator) -> Film:
    """Add what may be taken for a pneumothorax, or hide one; healthy and ill alike have these.

    Folds of skin, bullae at the apex, the shadow that accompanies the upper ribs, wires of a monitor, and tubes.

    Args:
        film: A chest; it is not changed.
        rng: Draws what is added, often nothing.

    Example:
        >>> from helpers import anatomy, films
        >>> rng = np.random.default_rng(4)
        >>> film, _ = films.draw_film(anatomy.sample_thorax(rng), 64, None, rng)
        >>> add_mimics(film, rng).attenuation.shape
        (64, 64)

    Seen in notebook 03.
    """
    film = replace(film, attenuation=film.attenuation.copy())
    for side in SIDES:
        if rng.random() < 0.13:
            _add_bulla(film, side, rng)
        if rng.random() < 0.2:
            _add_companion(film, side, rng)
        if rng.random() < 0.15:
            _add_fold(film, side, rng)
    if rng.random() < 0.2:
        _add_wires(film, rng)
    if rng.random() < 0.15:
        _add_lines(film, rng)
    return film


def add_drain(film: Film, side: str, rng: np.random.Generator) -> Film:
    """Add a chest drain: a tube from the patient's side towards the apex.

    Args:
        film: A chest; it is not changed.
        side: "right" or "left".
        rng: Its way and width.

    Example:
        >>> from helpers import anatomy, films
        >>> rng = np.random.default_rng(5)
        >>> film, _ = films.draw_film(anatomy.sample_thorax(rng), 64, None, rng)
        >>> bool((add_drain(film, "left", rng).attenuation >= film.attenuation).all())
        True

    Seen in notebook 03.
    """
    attenuation = film.attenuation.copy()
    region, box = _region(film, side)
    high, wide = region.shape
    outward = -1 if side == "right" else 1
    middle = (box[1].start + box[1].stop) / 2
    edge = middle + outward * wide * 0.75
    enter = box[0].start + high * rng.uniform(0.45, 0.7)
    end = box[0].start + high * rng.uniform(0.1, 0.3), middle - outward * wide * rng.uniform(-0.2, 0.15)
    way = ((enter + 0.1 * high, edge), (enter, middle + outward * wide * 0.45))
    way += ((enter - 0.25 * high, middle + outward * wide * rng.uniform(0.2, 0.45)), end)
    width = rng.uniform(5, 8)
    _tube(attenuation, way, width, 0.10, film.spacing[0])
    _tube(attenuation, way, width * 0.7, -0.07, film.spacing[0])
    _tube(attenuation, way, 1.2, 0.3, film.spacing[0])
    return replace(film, attenuation=attenuation)


def _region(film, side):
    """The outline of one lung in its box, bool, and the box."""
    region = film.sides == SIDES[side]
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return region[box], box


def _place(film, region, box, side):
    """Where each pixel of a lung's box lies: mm from the lung's outline and from the hilum, direction, row, column."""
    pitch = film.spacing[0]
    rows, columns = np.ogrid[box]
    row, column = film.landmarks[f"{side} hilum"]
    outward = -1 if side == "right" else 1
    # Towards the middle there is no chest wall: for the distance the lung goes on there.
    inner = np.maximum.accumulate(region[:, ::-outward], axis=1).astype(np.uint8)
    inner = np.pad(np.pad(inner, ((1, 1), (1, 0))), ((0, 0), (0, 1)), mode="edge")
    wall = cv2.distanceTransform(inner, cv2.DIST_L2, 5)[1:-1, 1:-1][:, ::-outward]
    wall = cv2.GaussianBlur(wall * pitch, (0, 0), 3.0 / pitch)
    angle = np.degrees(np.arctan2(row - rows, outward * (columns - column)))
    angle = np.where(angle < -135, angle + 360, angle)
    return wall, np.hypot(rows - row, columns - column) * pitch, angle, rows, columns


def _without_crumbs(mask):
    """A mask without parts of less than a tenth of its largest part."""
    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    sizes = stats[:, cv2.CC_STAT_AREA] * (np.arange(len(stats)) > 0)  # the first part is what lies around
    return np.isin(parts, np.flatnonzero(sizes > 0.1 * sizes.max()))


def _line(distance, pitch, width=0.6):
    """A thin line where a distance in mm is 0; one thinner than a pixel is fainter instead."""
    seen = max(width, 0.55 * pitch)
    return (width / seen) ** 0.5 * np.exp(-((distance / seen) ** 2) / 2)


def _add_bulla(film, side, rng):
    """A bubble of emphysema near the apex: dark, nearly without vessels, with a thin wall; no lung is drawn back."""
    pitch = film.spacing[0]
    radius = rng.uniform(9, 24)
    row, column = film.landmarks[f"{side} apex"]
    outward = -1 if side == "right" else 1
    rows, columns = np.ogrid[: film.lungs.shape[0], : film.lungs.shape[1]]
    down, across = (
        (rows - row) * pitch - radius - rng.uniform(2, 30),
        (columns - column) * pitch - outward * rng.uniform(-8, 25),
    )
    away = radius - np.hypot(down, across * rng.uniform(0.8, 1.2))
    inside = np.clip(away / pitch + 0.5, 0, 1) * (film.sides == SIDES[side])
    thick = 2 * np.sqrt(np.maximum(radius**2 - (radius - np.maximum(away, 0)) ** 2, 0))
    film.attenuation[...] -= inside * (LUNG * np.minimum(thick, film.lungs) * 0.8 + 0.6 * film.vessels)
    film.attenuation[...] += _line(away, pitch, 0.5) * (film.sides == SIDES[side]) * rng.uniform(0.02, 0.07)


def _add_companion(film, side, rng):
    """Soft parts that line the upper ribs from within: an edge that runs along the chest wall."""
    region, box = _region(film, side)
    from_wall, _, angle, _, _ = _place(film, region, box, side)
    width = rng.uniform(2, 5) * np.exp(-(((angle - rng.uniform(50, 95)) / 40) ** 2))
    film.attenuation[box] += region * np.clip((width - from_wall) / film.spacing[0] + 0.5, 0, 1) * (width > 0.5) * 0.09


def _add_fold(film, side, rng):
    """A fold of skin: denser and denser up to an edge, beyond which the lung, with its vessels, goes on."""
    region, box = _region(film, side)
    pitch = film.spacing[0]
    outward = -1 if side == "right" else 1
    rows, columns = np.ogrid[: film.lungs.shape[0], : film.lungs.shape[1]]
    row = box[0].start + region.shape[0] * rng.uniform(0.25, 0.6)
    column = (box[1].start + box[1].stop) / 2 + outward * region.shape[1] * rng.uniform(-0.1, 0.38)
    tilt = outward * np.radians(rng.normal(4, 14))
    along = ((rows - row) * np.cos(tilt) + (columns - column) * np.sin(tilt)) * pitch
    beyond = outward * ((columns - column) * np.cos(tilt) - (rows - row) * np.sin(tilt)) * pitch
    beyond = beyond + along**2 * rng.normal(0.0008, 0.0012)
    ends = np.clip(1.5 - np.abs(along) / rng.uniform(40, 110), 0, 1)
    rise = np.exp(np.minimum(beyond, 0) / rng.uniform(6, 22)) * np.clip(0.5 - beyond / max(pitch, 0.8), 0, 1)
    film.attenuation[...] += ends * rise * rng.uniform(0.06, 0.2) * (film.attenuation > 0.8)


def _add_wires(film, rng):
    """Electrodes of a monitor on the skin, with their wires."""
    rows, columns = film.lungs.shape
    for _ in range(rng.integers(2, 5)):
        end = rng.uniform(0.2, 0.75) * rows, rng.uniform(0.12, 0.88) * columns
        leave = (rows, columns * rng.uniform(0.1, 0.9)) if rng.random() < 0.6 else (0, columns * rng.uniform(0.1, 0.9))
        bends = [(rng.uniform(0.2, 0.9) * rows, rng.uniform(0.15, 0.85) * columns) for _ in range(2)]
        _tube(film.attenuation, (end, *bends, leave), 1.3, 0.35, film.spacing[0])
        _tube(film.attenuation, (end,) * 4, 10.0, 0.18, film.spacing[0])
        _tube(film.attenuation, (end,) * 4, 4.0, 0.5, film.spacing[0])


def _add_lines(film, rng):
    """A central venous line from the neck or below a collarbone, or a tube in the stomach."""
    right, left = film.landmarks["right hilum"], film.landmarks["left hilum"]
    middle, rows = (right[1] + left[1]) / 2, len(film.lungs)
    reach = abs(left[1] - right[1])
    if rng.random() < 0.6:
        side = rng.choice([-1, 1])
        start = (right[0] - rng.uniform(2.0, 2.6) * reach, middle + side * rng.uniform(0.5, 2.2) * reach)
        way = start, (start[0] + 0.2 * reach, middle + 0.4 * side * reach), (right[0] - reach, middle - 0.35 * reach)
        _tube(film.attenuation, (*way, (right[0] + 0.1 * reach, middle - 0.4 * reach)), 2.2, 0.22, film.spacing[0])
    else:
        way = (
            (0, middle),
            (rows * 0.4, middle + 0.1 * reach),
            (rows * 0.6, middle - 0.1 * reach),
            (rows, middle + reach),
        )
        _tube(film.attenuation, way, 4.0, 0.16, film.spacing[0])


def _tube(attenuation: np.ndarray, way: Sequence[tuple[float, float]], width: float, strength: float, pitch: float):
    """Add a smooth curve (Bezier, of four points) of some mm's width, in place."""
    a, b, c, d = np.array(way, float)
    part = np.linspace(0, 1, 100)[:, None]
    curve = (1 - part) ** 3 * a + 3 * (1 - part) ** 2 * part * b + 3 * (1 - part) * part**2 * c + part**3 * d
    thick = max(1, round(width / pitch))
    canvas = np.zeros(attenuation.shape, np.uint8)
    at = np.rint(curve[:, ::-1] * 16).astype(np.int32)
    cv2.polylines(canvas, [at], False, 255, thick, cv2.LINE_AA, shift=4)
    attenuation += canvas * np.float32(strength * min(1, width / pitch) / 255)
