"""Turns a projected chest into the grey picture that a hospital would store: exposure, scatter, noise, crop, marker.

Used by the phantom radiographs of notebooks 03 and 04. A hospital's habits in all this are what a network may learn
instead of the disease.
"""

from dataclasses import dataclass

import cv2
import numpy as np

FONT = cv2.FONT_HERSHEY_SIMPLEX
CORNERS = {"top left": (0.05, 0.09), "top right": (0.05, 0.91), "left": (0.3, 0.06), "right": (0.3, 0.94)}
VEIL = 0.09  # width of the blur of scattered rays, as a share of the picture


@dataclass(frozen=True)
class Look:
    """How one radiograph was taken, cropped and labelled; lengths are shares of the picture's side.

    Args:
        exposure: What turns mid-grey, in units of attenuation above the mean of lungs and body.
        contrast: Slope of the S-shaped curve from attenuation to grey.
        gamma: Bends the grey scale: above 1 darker.
        scatter: Share of the rays that lost their way and veil the picture, 0 to below 1.
        blur: Standard deviation of the focal spot's and the patient's unsharpness.
        noise: Standard deviation of the attenuation at mid-grey; few rays pass dense parts: more noise.
        enhance: Local contrast that the machine adds, 0 for none.
        zoom: 1 shows the whole film, more a part of it.
        shift: Where the middle of that part lies beside the film's middle: down and to the picture's right.
        margins: What the collimator covers at the top, left, bottom and right.
        shade: Grey of the covered margins: 0 black, 1 white.
        marker: Letter of the patient's side, or nothing.
        marker_at: Where it stands: row and column of its middle.
        marker_size: Its height.
        note: Small print at the edge, or nothing.
    """

    exposure: float = 0.0
    contrast: float = 1.3
    gamma: float = 1.0
    scatter: float = 0.2
    blur: float = 0.0
    noise: float = 0.0
    enhance: float = 0.0
    zoom: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    margins: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    shade: float = 0.0
    marker: str = ""
    marker_at: tuple[float, float] = (0.1, 0.1)
    marker_size: float = 0.05
    note: str = ""
    note_at: tuple[float, float] = (0.97, 0.03)


@dataclass(frozen=True)
class Habits:
    """From which ranges (low, high) and lists a hospital's looks are drawn, see `Look`."""

    exposure: tuple[float, float]
    contrast: tuple[float, float]
    gamma: tuple[float, float]
    scatter: tuple[float, float]
    blur: tuple[float, float]
    noise: tuple[float, float]
    enhance: tuple[float, float]
    zoom: tuple[float, float]
    drop: tuple[float, float]  # how far below the film's middle the crop lies
    margin: tuple[float, float]  # of each side; what is drawn below 0 leaves no margin
    shades: tuple[float, ...]
    markers: tuple[str, ...]
    corners: tuple[str, ...]
    marker_size: tuple[float, float]
    notes: tuple[str, ...]


ANYWHERE = Habits(
    exposure=(-0.45, 0.45),
    contrast=(0.9, 1.9),
    gamma=(0.7, 1.3),
    scatter=(0.05, 0.5),
    blur=(0.0, 0.003),
    noise=(0.0, 0.04),
    enhance=(0.0, 0.7),
    zoom=(1.0, 1.18),
    drop=(-0.05, 0.05),
    margin=(-0.1, 0.03),
    shades=(0.0, 0.0, 0.0, 1.0),
    markers=("R", "L", "R", "L", ""),
    corners=tuple(CORNERS),
    marker_size=(0.03, 0.07),
    notes=("", "", "AP", "PORTABLE", "AP ERECT", "PA"),
)


def random_look(rng: np.random.Generator, habits: Habits = ANYWHERE) -> Look:
    """Draw how a radiograph looks.

    Args:
        rng: Where the randomness comes from.
        habits: Those of one hospital; of any when left out.

    Example:
        >>> 1 <= random_look(np.random.default_rng(0)).zoom <= 1.18
        True

    Seen in notebooks 03 and 04.
    """
    zoom = rng.uniform(*habits.zoom)
    room = (1 - 1 / zoom) / 2
    row, column = CORNERS[str(rng.choice(habits.corners))]
    return Look(
        exposure=rng.uniform(*habits.exposure),
        contrast=rng.uniform(*habits.contrast),
        gamma=rng.uniform(*habits.gamma),
        scatter=rng.uniform(*habits.scatter),
        blur=rng.uniform(*habits.blur),
        noise=rng.uniform(*habits.noise),
        enhance=rng.uniform(*habits.enhance),
        zoom=zoom,
        shift=(float(np.clip(rng.uniform(*habits.drop), -room, room)), rng.uniform(-0.3, 0.3) * room),
        margins=tuple(max(0.0, rng.uniform(*habits.margin)) for _ in range(4)),
        shade=float(rng.choice(habits.shades)),
        # The letter is that of the side on which it stands: the patient's right is on the picture's left.
        marker=("R" if column < 0.5 else "L") * bool(rng.choice(habits.markers)),
        marker_at=(row + rng.uniform(0.02, 0.08), column + rng.normal(0, 0.015)),
        marker_size=rng.uniform(*habits.marker_size),
        note=str(rng.choice(habits.notes)),
        note_at=(float(rng.choice([0.045, 0.965])), float(rng.choice([0.03, 0.72]))),
    )


def expose(film, look: Look, rng: np.random.Generator) -> np.ndarray:
    """Take the radiograph: what a chest lets through, as the picture that a hospital stores.

    Args:
        film: A projected chest, see `films.Film`: ``attenuation``, the line integral, and ``lungs``, the depth of
            lung in mm, both float32 [rows, columns].
        look: How it is taken.
        rng: Draws the noise.

    Returns:
        float32 [rows, columns] in [0, 1], of the film's size; bone is white. What lies where in the picture, `place`
        tells.

    Example:
        >>> from types import SimpleNamespace
        >>> wedge = np.tile(np.linspace(0, 6, 64, dtype=np.float32), (64, 1))
        >>> image = expose(SimpleNamespace(attenuation=wedge, lungs=30 * (6 - wedge)), Look(), np.random.default_rng(0))
        >>> bool((np.diff(image[32]) > 0).all())
        True

    Seen in notebook 03.
    """
    # An automatic exposure measures behind the lungs: what is mid-grey lies between them and the rest of the body.
    regions = (film.lungs > 0.5 * film.lungs.max(), (film.lungs == 0) & (film.attenuation > 0.3))
    middle = np.mean([np.median(film.attenuation[region]) for region in regions if region.any()])
    seen = _crop(film.attenuation, look, cv2.INTER_LINEAR) - middle
    rays = np.exp(-seen)
    # Only the patient scatters: rays that pass beside the body are as bright, but veil nothing.
    veil = _blurred(np.minimum(rays, 4.0), VEIL)
    seen = -np.log((1 - look.scatter) * rays + look.scatter * veil)
    if look.blur:
        seen = _blurred(seen, look.blur)
    if look.noise:
        grain = rng.standard_normal(seen.shape, dtype=np.float32)
        seen += look.noise * np.exp(np.clip(seen, -4, 4) / 2) * grain
    image = 1 / (1 + np.exp(-look.contrast * (seen - look.exposure)))
    image = image**look.gamma
    if look.enhance:
        image += look.enhance * (image - _blurred(image, 0.03))
    return _label(np.clip(image, 0, 1), look)


def place(mask: np.ndarray, look: Look) -> np.ndarray:
    """Move a mask as `expose` moves the picture: the crop, and nothing under the collimator.

    Args:
        mask: bool [rows, columns] on the film.
        look: How the radiograph was taken.

    Returns:
        bool [rows, columns]: where the same parts lie in the picture.

    Example:
        >>> mask = np.zeros((8, 8), bool)
        >>> mask[3:5, 3:5] = True
        >>> int(place(mask, Look(zoom=2.0)).sum())
        16

    Seen in notebook 03.
    """
    moved = _crop(mask.astype(np.uint8), look, cv2.INTER_NEAREST) > 0
    moved[_covered(moved.shape, look)] = False
    return moved


def _crop(image, look, how):
    """The part of a picture that the look shows, at the picture's own size."""
    if look.zoom == 1 and look.shift == (0.0, 0.0):
        return image.copy()
    rows, columns = image.shape
    step = 1 / look.zoom
    # Pixel centres: the middle of the picture lies between two pixels where their number is even.
    down = (rows - 1) / 2 * (1 - step) + look.shift[0] * rows
    right = (columns - 1) / 2 * (1 - step) + look.shift[1] * columns
    where = np.float32([[step, 0, right], [0, step, down]])
    return cv2.warpAffine(
        image, where, (columns, rows), flags=how | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )


def _blurred(image, width):
    """Blurred by a Gaussian whose standard deviation is a share of the side; wide ones on a coarse copy, for speed."""
    sigma = width * max(image.shape)
    if sigma < 4:
        return cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    coarse = max(1, int(sigma / 2))
    size = (max(8, image.shape[1] // coarse), max(8, image.shape[0] // coarse))
    small = cv2.GaussianBlur(
        cv2.resize(image, size, interpolation=cv2.INTER_AREA),
        (0, 0),
        width * max(size),
        borderType=cv2.BORDER_REPLICATE,
    )
    return cv2.resize(small, image.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _covered(shape, look):
    """Which pixels the collimator covers."""
    top, left, bottom, right = (
        round(margin * side) for margin, side in zip(look.margins, (*shape, *shape), strict=True)
    )
    covered = np.ones(shape, bool)
    covered[top : shape[0] - bottom, left : shape[1] - right] = False
    return covered


def _label(image, look):
    """Draw the margins, the marker and the small print."""
    image[_covered(image.shape, look)] = look.shade
    rows, columns = image.shape
    letters = np.zeros(image.shape, np.uint8)
    for text, (row, column), size in (
        (look.marker, look.marker_at, look.marker_size),
        (look.note, look.note_at, 0.025),
    ):
        if not text:
            continue
        scale = size * rows / 21  # the font's capitals are 21 pixels high at scale 1
        thick = max(1, round(size * rows / 9))
        (width, height), _ = cv2.getTextSize(text, FONT, scale, thick)
        left = column * columns - (width / 2 if text == look.marker else 0)
        foot = row * rows + height / 2
        at = (round(min(max(left, 1), columns - width - 1)), round(min(max(foot, height + 1), rows - 2)))
        cv2.putText(letters, text, at, FONT, scale, 255, thick, cv2.LINE_AA)
    part = np.minimum(letters / np.float32(160), 1)  # strokes thinner than a pixel come out grey: lift them
    return image + part * (1 - image)
