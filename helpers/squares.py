"""Radiographs brought to the small square that a network sees, and its answers brought back to the radiograph.

Used by notebooks 03 and 04 through `film_arrays`.
"""

import cv2
import numpy as np


def to_square(pixels: np.ndarray, side: int) -> np.ndarray:
    """Add black along the shorter side of an image, then shrink it to a square; nothing is stretched out of shape.

    Args:
        pixels: [rows, columns], an image in [0, 1] or a mask.
        side: Of the square.

    Returns:
        ``float32`` [side, side]; each pixel is the mean of those that it stands for, so a mask becomes the share of
        each pixel that it covers.

    Raises:
        ValueError: If the side is below 1.

    Example:
        >>> to_square(np.ones((2, 4)), 4)
        array([[0., 0., 0., 0.],
               [1., 1., 1., 1.],
               [1., 1., 1., 1.],
               [0., 0., 0., 0.]], dtype=float32)

    Taught in notebook 03.
    """
    if side < 1:
        raise ValueError(f"the side must be at least 1, but is {side}")
    rows, columns = pixels.shape
    longest = max(rows, columns)
    (top, bottom), (left, right) = (_halves(longest - rows), _halves(longest - columns))
    padded = np.pad(np.asarray(pixels, np.float32), ((top, bottom), (left, right)))
    # "area" averages what is shrunk; what is enlarged it would repeat in blocks
    return cv2.resize(padded, (side, side), interpolation=cv2.INTER_AREA if side <= longest else cv2.INTER_LINEAR)


def from_square(square: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Bring a map on the square of `to_square` back to the size of the radiograph.

    Args:
        square: [side, side], such as probabilities.
        shape: Rows and columns of the radiograph.

    Returns:
        ``float32`` [rows, columns].

    Example:
        >>> image = np.zeros((40, 60)); image[10:20, 30:50] = 1
        >>> bool(((from_square(to_square(image, 60), image.shape) > 0.5) == image).all())
        True

    Taught in notebook 03.
    """
    longest = max(shape)
    (top, _), (left, _) = (_halves(longest - size) for size in shape)
    whole = cv2.resize(np.asarray(square, np.float32), (longest, longest), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(whole[top : top + shape[0], left : left + shape[1]])


def _halves(missing: int) -> tuple[int, int]:
    return missing // 2, missing - missing // 2
