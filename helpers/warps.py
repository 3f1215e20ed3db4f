"""Varied copies of a radiograph and of its mask, which goes wherever the image goes.

Used by notebook 03. An image is ``float32`` [rows, columns] in [0, 1], its mask ``bool`` of the same shape. Every
random choice comes from a generator that is passed in. What a change of shape reads beyond the border is mirrored, in
the image and in the mask alike: an edge of black would teach the network where an image was bent, and a mask without
its mirrored part would call mirrored air healthy.
"""

import cv2
import numpy as np

SIDE = 256  # pixels; the published figures are for images of this side, and scale with the shorter side of others
CONTRAST, BRIGHTNESS, GAMMA = (0.8, 1.2), (-0.2, 0.2), (0.8, 1.2)  # those of the library that the tutorial used
ALPHA, SIGMA, AFFINE = 50.0, 6.0, 3.6  # pixels; alpha is 120 in the tutorial: see `elastic`
STEPS, STRETCH = 5, 0.3
BEND = 0.3  # 2 in the tutorial: see `optical`
FOLD = -4 / 11  # at and below this coefficient the corner of a square image folds
SMALLEST = 156 / 256  # of a side; the least that a crop leaves


def flip(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Swap left and right.

    The heart then lies on the wrong side. Air in the pleural space is as likely on either.

    Args:
        image, mask: [rows, columns].

    Returns:
        New arrays.

    Example:
        >>> image, mask = flip(np.array([[0.1, 0.2, 0.3]]), np.array([[True, False, False]]))
        >>> image.tolist(), mask.tolist()
        ([[0.3, 0.2, 0.1]], [[False, False, True]])

    Taught in notebook 03.
    """
    return np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(mask[:, ::-1])


def contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Stretch the greys away from their mean, or towards it with a factor below 1; the mask stays.

    Example:
        >>> contrast(np.array([[0.3, 0.5]]), 1.5).round(2).tolist()
        [[0.25, 0.55]]

    Taught in notebook 03.
    """
    mean = image.mean()
    return np.clip(mean + (image - mean) * factor, 0, 1).astype(image.dtype)


def gamma(image: np.ndarray, exponent: float) -> np.ndarray:
    """Raise the greys to a power: below 1 the dark ones gain, above 1 they lose; black and white stay.

    Example:
        >>> gamma(np.array([[0.0, 0.25, 1.0]]), 0.5).tolist()
        [[0.0, 0.5, 1.0]]

    Taught in notebook 03.
    """
    return np.power(image, exponent, dtype=image.dtype)


def brightness(image: np.ndarray, offset: float) -> np.ndarray:
    """Add to all greys, and cut at black and white; the mask stays.

    Example:
        >>> brightness(np.array([[0.25, 0.75]]), 0.5).tolist()
        [[0.75, 1.0]]

    Taught in notebook 03.
    """
    return np.clip(image + offset, 0, 1).astype(image.dtype)


def elastic(image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Tilt the image a little, and pull it about like a sheet of rubber.

    Uniform noise, smoothed by a Gaussian of ``SIGMA`` pixels and multiplied by ``ALPHA``, says from where each pixel
    comes; three points of the image move by up to ``AFFINE``. All three are meant for a side of ``SIDE``: half the
    side halves the sigma and the shift, and takes a quarter of alpha, for smoothing over fewer pixels leaves more of
    the noise. The tutorial's alpha of 120 moves pixels by 3.6 (standard deviation), and folds 2 % of every image over
    itself, where a pleural line is seen twice or not at all. With the alpha of 50 here they move by 2, and none folds.

    Args:
        image, mask: [rows, columns].
        rng: Where the randomness comes from.

    Returns:
        New arrays of the same shape.

    Example:
        >>> empty = np.zeros((64, 64), bool)
        >>> image, mask = elastic(np.ones((64, 64), "float32"), empty, np.random.default_rng(0))
        >>> image.min(), mask.any()
        (np.float32(1.0), np.False_)

    Taught in notebook 03.
    """
    rows, columns = image.shape
    scale = min(rows, columns) / SIDE
    middle, third = np.array([columns, rows], np.float32) / 2, min(rows, columns) / 3
    corners = middle + third * np.array([[1, 1], [1, -1], [-1, -1]], np.float32)
    moved = corners + rng.uniform(-AFFINE, AFFINE, (3, 2)) * scale
    tilt = cv2.getAffineTransform(corners.astype(np.float32), moved.astype(np.float32)).astype(np.float32)
    x, y = _grid(rows, columns)
    pulls = rng.random((rows, columns, 2), np.float32) * 2 - 1
    pulls = cv2.GaussianBlur(pulls, (0, 0), SIGMA * scale) * (ALPHA * scale**2)
    from_x = tilt[0, 0] * x + tilt[0, 1] * y + tilt[0, 2] + pulls[..., 0]
    from_y = tilt[1, 0] * x + tilt[1, 1] * y + tilt[1, 2] + pulls[..., 1]
    return _read(image, mask, from_x, from_y)


def grid(image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Cut the image into ``STEPS`` x ``STEPS`` tiles and make their rows and columns wider or narrower by up to 30 %.

    The widths are scaled to fill the image. The tutorial's library leaves what is missing to the last pixel, which
    tears the image there.

    Args:
        image, mask: [rows, columns].
        rng: Where the randomness comes from.

    Returns:
        New arrays of the same shape.

    Example:
        >>> ramp = np.linspace(0, 1, 50, dtype="float32") * np.ones((50, 1), "float32")
        >>> image, _ = grid(ramp, ramp > 0.5, np.random.default_rng(0))
        >>> bool((np.diff(image[0]) > 0).all()), image[0, [0, -1]].tolist()
        (True, [0.0, 1.0])

    Taught in notebook 03.
    """
    rows, columns = image.shape
    from_x, from_y = _stretched(columns, rng), _stretched(rows, rng)
    return _read(image, mask, from_x[None, :], from_y[:, None])


def optical(image: np.ndarray, mask: np.ndarray, coefficient: float) -> tuple[np.ndarray, np.ndarray]:
    """Bend the image as a lens does, about its middle.

    What is r away from the middle comes from r (1 + k r^2 + k r^4), where k is the coefficient and 1 is the width:
    above 0 the edges are drawn in, below 0 they are pushed out. In the tutorial's library "(2, .5)" lets k reach from
    -2 to 2, and shifts the middle by up to half a pixel, rounded: by none. At and below -4/11 the image folds, from
    the corners inwards (at -2 from 0.37 widths off the middle); at +2 each edge shows what would lie a third of the
    image beyond it, a second, mirrored chest. `vary` stays within ``BEND`` on both sides.

    Args:
        image, mask: [rows, columns].
        coefficient: k, above ``FOLD``.

    Returns:
        New arrays of the same shape.

    Raises:
        ValueError: If the image would fold.

    Example:
        >>> ramp = np.linspace(0, 1, 101, dtype="float32") * np.ones((101, 1), "float32")
        >>> image, _ = optical(ramp, ramp > 0.5, -0.3)
        >>> image[50, [0, 25, 50]].round(2)  # from the left edge to the middle
        array([0.05, 0.25, 0.5 ], dtype=float32)

    Taught in notebook 03.
    """
    if coefficient <= FOLD:
        raise ValueError(f"a coefficient above {FOLD:.3f} is expected, but {coefficient} would fold the image")
    rows, columns = image.shape
    x, y = _grid(rows, columns)
    x, y = x - np.float32((columns - 1) / 2), y - np.float32((rows - 1) / 2)
    # Measured in widths and heights, so that the corner of an oblong image is as far away as that of a square one.
    square = (x / columns) ** 2 + (y / rows) ** 2
    pull = 1 + np.float32(coefficient) * square * (1 + square)
    return _read(image, mask, x * pull + np.float32((columns - 1) / 2), y * pull + np.float32((rows - 1) / 2))


def crop(image: np.ndarray, mask: np.ndarray, share: float, down: float, right: float) -> tuple[np.ndarray, np.ndarray]:
    """Cut out a part and enlarge it to the size of the image.

    Args:
        image, mask: [rows, columns].
        share: Of each side that is kept.
        down, right: Where the part lies, from 0 (at the upper or left edge) to 1 (at the lower or right edge).

    Returns:
        New arrays of the same shape.

    Raises:
        ValueError: If one of the three is not within 0 and 1, or nothing is left.

    Example:
        >>> mask = np.eye(4, dtype=bool)
        >>> crop(mask.astype("float32"), mask, share=0.5, down=1.0, right=1.0)[1].astype(int)
        array([[1, 1, 0, 0],
               [1, 1, 0, 0],
               [0, 0, 1, 1],
               [0, 0, 1, 1]])

    Taught in notebook 03.
    """
    if not (0 < share <= 1 and 0 <= down <= 1 and 0 <= right <= 1):
        raise ValueError(f"shares between 0 and 1 are expected, but found {share}, {down} and {right}")
    rows, columns = image.shape
    x, y = _grid(rows, columns)
    # Pixel centres lie at halves: the edges of the part, not the middles of its pixels, come to the image's edges.
    from_x = (x + 0.5) * np.float32(share) + np.float32(right * (1 - share) * columns - 0.5)
    from_y = (y + 0.5) * np.float32(share) + np.float32(down * (1 - share) * rows - 0.5)
    return _read(image, mask, from_x, from_y)


def tone(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change contrast, gamma or brightness, one of the three; the mask stays.

    Example:
        >>> tone(np.full((2, 2), 0.5, "float32"), np.random.default_rng(0)).shape
        (2, 2)

    Taught in notebook 03.
    """
    change, limits = ((contrast, CONTRAST), (gamma, GAMMA), (brightness, BRIGHTNESS))[rng.integers(3)]
    return change(image, float(rng.uniform(*limits)))


def bend(image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Distort image and mask by rubber, by grid or by lens, one of the three.

    Example:
        >>> image = np.ones((32, 32), "float32")
        >>> bend(image, image > 0, np.random.default_rng(0))[1].all()
        np.True_

    Taught in notebook 03.
    """
    match rng.integers(3):
        case 0:
            return elastic(image, mask, rng)
        case 1:
            return grid(image, mask, rng)
        case _:
            return optical(image, mask, float(rng.uniform(-BEND, BEND)))


def vary(image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Vary an image and its mask in the published mix.

    With probability 0.5 they are flipped; with 0.3 the tone changes; with 0.3 they are bent; with 0.25 a part is cut
    out, of 61 to 100 % of each side, and enlarged.

    Args:
        image: ``float32`` [rows, columns] in [0, 1].
        mask: ``bool`` [rows, columns].
        rng: Where the randomness comes from.

    Returns:
        A new image and a new mask of the same shapes and types.

    Raises:
        ValueError: If image and mask are not of these shapes and types.

    Example:
        >>> image = np.linspace(0, 1, 64 * 64, dtype="float32").reshape(64, 64)
        >>> varied, mask = vary(image, image > 0.5, np.random.default_rng(1))
        >>> varied.shape, mask.dtype
        ((64, 64), dtype('bool'))

    Taught in notebook 03. The recipe is that of the published tutorial.
    """
    if image.ndim != 2 or image.dtype != np.float32 or mask.shape != image.shape or mask.dtype != bool:
        found = f"{image.dtype} {list(image.shape)} and {mask.dtype} {list(mask.shape)}"
        raise ValueError(f"a float32 image [rows, columns] and a bool mask alike are expected, but found {found}")
    image, mask = flip(image, mask) if rng.random() < 0.5 else (image.copy(), mask.copy())
    if rng.random() < 0.3:
        image = tone(image, rng)
    if rng.random() < 0.3:
        image, mask = bend(image, mask, rng)
    if rng.random() < 0.25:
        image, mask = crop(image, mask, float(rng.uniform(SMALLEST, 1)), float(rng.random()), float(rng.random()))
    return image, mask


def _grid(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Column and row of every pixel, in a form that spreads to [rows, columns]."""
    return np.arange(columns, dtype=np.float32)[None, :], np.arange(rows, dtype=np.float32)[:, None]


def _stretched(length: int, rng: np.random.Generator) -> np.ndarray:
    """From where each pixel of a line comes, when its tiles change their widths and its ends stay."""
    widths = rng.uniform(1 - STRETCH, 1 + STRETCH, STEPS)
    ends = np.concatenate([[0], np.cumsum(widths)]) / widths.sum() * (length - 1)
    return np.interp(np.arange(length), np.linspace(0, length - 1, STEPS + 1), ends).astype(np.float32)


def _read(image: np.ndarray, mask: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Image (linearly) and mask (from the nearest pixel) read at columns x and rows y, mirrored at the border."""
    x, y = (np.ascontiguousarray(np.broadcast_to(part, image.shape)) for part in (x, y))
    turned = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    found = cv2.remap(mask.view(np.uint8), x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101)
    return turned, found.astype(bool)
