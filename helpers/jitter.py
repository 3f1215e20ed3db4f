"""Varied copies of a radiograph for classification: tone, sharpness, angle and noise, as published but right.

Used by notebook 04. An image is ``float32`` [rows, columns] or [rows, columns, 3] in [0, 1]. Every random choice comes
from a generator that is passed in.
"""

from collections.abc import Callable

import cv2
import numpy as np

FACTORS = (0.5, 1.5)  # of brightness, contrast, colour and sharpness; 1 changes nothing
ANGLES = (-30.0, 30.0)  # degrees, both of them within reach
NOISE = (0.0, 10 / 255)  # standard deviation
SHARE = 0.5  # of the copies get each change
Noise = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
CHANGES = ("brightness", "contrast", "colour", "sharpness", "rotation", "noise")


def brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply all greys, and cut at white; black stays black.

    Example:
        >>> brightness(np.array([[0.0, 0.25, 0.75]]), 1.5).tolist()
        [[0.0, 0.375, 1.0]]

    Taught in notebook 04.
    """
    return np.clip(image * factor, 0, 1).astype(image.dtype)


def contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Stretch the greys away from their mean, or towards it with a factor below 1.

    Example:
        >>> contrast(np.array([[0.25, 0.5]]), 0.5).tolist()
        [[0.3125, 0.4375]]

    Taught in notebook 04.
    """
    mean = luminance(image).mean()
    return np.clip(mean + (image - mean) * factor, 0, 1).astype(image.dtype)


def colour(image: np.ndarray, factor: float) -> np.ndarray:
    """Stretch the colours away from grey, or towards it with a factor below 1.

    It does nothing to a grey image, and a radiograph is one: not one bit changes, whether it is stored in one channel
    or in three equal ones. The published recipe draws it all the same; so do we, to be comparable.

    Example:
        >>> colour(np.array([[[0.5, 0.5, 0.5], [0.75, 0.25, 0.25]]]), 0.0).round(2).tolist()
        [[[0.5, 0.5, 0.5], [0.4, 0.4, 0.4]]]

    Taught in notebook 04.
    """
    if image.ndim == 2:
        return image.copy()
    grey = luminance(image)[..., None]
    return np.clip(image + (grey - image) * (1 - factor), 0, 1).astype(image.dtype)


def sharpness(image: np.ndarray, factor: float) -> np.ndarray:
    """Stretch each pixel away from the smooth image, or towards it with a factor below 1.

    Smooth is the mean of 3 x 3 pixels, of which the middle one counts five times. The outermost pixels stay.

    Example:
        >>> sharpness(np.array([[0, 0, 0], [0, 0.5, 0], [0, 0, 0]], "float32"), 1.5)[1].round(2).tolist()
        [0.0, 0.6499999761581421, 0.0]

    Taught in notebook 04.
    """
    kernel = np.ones((3, 3), np.float32)
    kernel[1, 1] = 5
    smooth = cv2.filter2D(image, -1, kernel / kernel.sum())
    smooth[[0, -1]], smooth[:, [0, -1]] = image[[0, -1]], image[:, [0, -1]]
    return np.clip(smooth + (image - smooth) * factor, 0, 1).astype(image.dtype)


def rotate(image: np.ndarray, degrees: float) -> np.ndarray:
    """Turn an image anticlockwise about its middle; what comes from beyond the border is mirrored.

    The published rotation leaves black corners, which no test image has, and which hide what stood in them.

    Args:
        image: [rows, columns] or [rows, columns, 3].
        degrees: The angle.

    Returns:
        A new array of the same shape, linearly interpolated.

    Example:
        >>> image = np.zeros((5, 5), "float32")
        >>> image[2, 4] = 1  # right of the middle
        >>> np.argwhere(rotate(image, 90) > 0.5)  # now above it
        array([[0, 2]])

    Taught in notebook 04.
    """
    rows, columns = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((columns - 1) / 2, (rows - 1) / 2), degrees, 1)
    turned = cv2.warpAffine(image, matrix, (columns, rows), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.clip(turned, 0, 1)


def add_noise(image: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Add Gaussian noise with a sign, and cut at black and white.

    Example:
        >>> noisy = add_noise(np.zeros((50, 50)), 0.1, np.random.default_rng(0))
        >>> float(noisy.min()), bool(0.2 < noisy.max() < 0.6)  # nothing has turned white
        (0.0, True)

    Taught in notebook 04.
    """
    noise = rng.standard_normal(image.shape, np.float32)
    return np.clip(image + np.float32(sigma) * noise, 0, 1).astype(image.dtype)


def vary(image: np.ndarray, rng: np.random.Generator, noise: Noise = add_noise) -> np.ndarray:
    """Vary an image in the published mix: each of ``CHANGES`` with probability 0.5, in random order.

    Args:
        image: ``float32`` [rows, columns] or [rows, columns, 3] in [0, 1].
        rng: Where the randomness comes from.
        noise: How noise is added.

    Returns:
        A new image of the same shape and type.

    Raises:
        ValueError: If the image is not of this shape and type.

    Example:
        >>> image = np.linspace(0, 1, 64 * 64, dtype="float32").reshape(64, 64)
        >>> varied = vary(image, np.random.default_rng(1))
        >>> varied.shape, bool((varied != image).any())
        ((64, 64), True)

    Taught in notebook 04. The recipe is that of the published tutorial.
    """
    if image.dtype != np.float32 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
        found = f"{image.dtype} {list(image.shape)}"
        raise ValueError(f"a float32 image [rows, columns] or [rows, columns, 3] is expected, but found {found}")
    image = image.copy()
    for place in rng.permutation(len(CHANGES)):
        if rng.random() < SHARE:
            image = _change(image, CHANGES[place], rng, noise)
    return image


def luminance(image: np.ndarray) -> np.ndarray:
    """The grey that the eye sees in a colour: 30 % red, 59 % green, 11 % blue.

    Args:
        image: [rows, columns, 3], or [rows, columns], which is grey and comes back as it is.

    Returns:
        [rows, columns].

    Example:
        >>> luminance(np.array([[[1.0, 0.0, 0.0], [0.3, 0.3, 0.3]]])).round(3).tolist()
        [[0.299, 0.3]]

    Used in notebook 04.
    """
    if image.ndim == 2:
        return image
    red, green, blue = np.moveaxis(image, 2, 0)
    return red + (green - red) * 0.587 + (blue - red) * 0.114  # written so that grey comes out to the last bit


def _change(image: np.ndarray, name: str, rng: np.random.Generator, noise: Noise) -> np.ndarray:
    """One of the changes, by an amount that is drawn."""
    match name:
        case "brightness":
            return brightness(image, float(rng.uniform(*FACTORS)))
        case "contrast":
            return contrast(image, float(rng.uniform(*FACTORS)))
        case "colour":
            return colour(image, float(rng.uniform(*FACTORS)))
        case "sharpness":
            return sharpness(image, float(rng.uniform(*FACTORS)))
        case "rotation":
            return rotate(image, float(rng.uniform(*ANGLES)))
        case _:
            return noise(image, float(rng.uniform(*NOISE)), rng)
