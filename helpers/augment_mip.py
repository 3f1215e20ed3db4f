"""Varied copies of a projection and of the rows of its vertebrae, which follow wherever the image goes.

Used by notebook 02. An image is ``float32`` [channels, rows, columns] in [0, 1], black where there is nothing; the rows
are ``float64`` [levels], NaN where a vertebra is not in view. Every random choice comes from a generator passed in.
"""

import numpy as np
from scipy import ndimage


def flip(image: np.ndarray, channels: slice = slice(None)) -> np.ndarray:
    """Swap left and right on a frontal image; the rows stay.

    Args:
        image: [channels, rows, columns].
        channels: Which to flip; a sagittal image keeps its front in front.

    Example:
        >>> flip(np.array([[[1, 2, 3]], [[1, 2, 3]]]), slice(0, 1))[:, 0].tolist()
        [[3, 2, 1], [1, 2, 3]]

    Taught in notebook 02.
    """
    flipped = image.copy()
    flipped[channels] = image[channels, :, ::-1]
    return flipped


def scale(image: np.ndarray, levels: np.ndarray, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Make the patient larger or smaller, from the first row and the middle column, linearly interpolated.

    Args:
        image: [channels, rows, columns].
        levels: Row of every vertebra.
        factor: Above 1 enlarges.

    Returns:
        An image of the same shape, and the rows; NaN where one left the image.

    Example:
        >>> scale(np.zeros((1, 9, 5), "float32"), np.array([2.0, 6.0]), 1.5)[1]
        array([ 3., nan])

    Taught in notebook 02.
    """
    _, rows, columns = image.shape
    matrix, middle = np.array([1.0, 1 / factor, 1 / factor]), (columns - 1) / 2
    scaled = ndimage.affine_transform(image, matrix, (0, 0, middle * (1 - 1 / factor)), order=1)
    return scaled, _in_view(levels * factor, rows)


def shade(image: np.ndarray, gain: float, offset: float) -> np.ndarray:
    """Make bone brighter or darker, as another tube voltage or a thinner skeleton does; what is black stays black.

    Example:
        >>> shade(np.array([[[0.0, 0.5, 0.9]]]), 1.2, 0.1).tolist()
        [[[0.0, 0.7, 1.0]]]

    Taught in notebook 02.
    """
    return np.where(image > 0, np.clip(image * gain + offset, 0, 1), 0).astype(image.dtype)


def add_noise(image: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Add noise of a standard deviation to what is not black.

    Example:
        >>> add_noise(np.zeros((1, 2, 2)), 0.1, np.random.default_rng(0)).any()
        np.False_

    Taught in notebook 02.
    """
    noisy = image + sigma * rng.standard_normal(image.shape, np.float32)
    return np.where(image > 0, np.clip(noisy, 0, 1), 0).astype(image.dtype)


def thicken(image: np.ndarray, slice_rows: int, phase: int = 0) -> np.ndarray:
    """Show the image as thicker slices would have given it: rows averaged, then interpolated back.

    Averaging a projection is not quite projecting an average, but comes close enough to train with. The rows of the
    vertebrae stay.

    Args:
        image: [channels, rows, columns].
        slice_rows: So many rows become one slice; 1 changes nothing.
        phase: Rows of the first slice that lie above the image, below ``slice_rows``.

    Example:
        >>> thicken(np.array([[[0.0], [0.0], [0.9], [0.0], [0.0], [0.0]]]), 3).ravel().round(2).tolist()
        [0.3, 0.3, 0.2, 0.1, 0.0, 0.0]

    Taught in notebook 02.
    """
    rows = image.shape[1]
    starts = np.unique(np.clip(np.arange(-phase, rows, slice_rows), 0, None))
    counts = np.diff(starts, append=rows)
    means = np.add.reduceat(image, starts, axis=1) / counts[:, None]
    centres = starts + (counts - 1) / 2
    places = np.interp(np.arange(rows), centres, np.arange(len(centres)))
    below = np.minimum(places.astype(int), max(len(centres) - 2, 0))
    part = (places - below)[:, None]
    above = np.minimum(below + 1, len(centres) - 1)
    return (means[:, below] * (1 - part) + means[:, above] * part).astype(image.dtype)


def crop_rows(image: np.ndarray, levels: np.ndarray, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """Scan less of the patient: keep some rows, which move to the top, with black below.

    Args:
        image: [channels, rows, columns].
        levels: Row of every vertebra.
        first, last: The rows that are kept, ``last`` not among them.

    Returns:
        An image of the same shape, and the rows; NaN where one was cut off.

    Example:
        >>> crop_rows(np.zeros((1, 9, 5), "float32"), np.array([2.0, 6.0]), 3, 9)[1]
        array([nan,  3.])

    Taught in notebook 02.
    """
    cropped = np.zeros_like(image)
    cropped[:, : last - first] = image[:, first:last]
    return cropped, _in_view(levels - first, last - first)


def crop_columns(
    image: np.ndarray, levels: np.ndarray, first: int, last: int, spine: float, channels: slice = slice(None)
) -> tuple[np.ndarray, np.ndarray]:
    """Scan a narrower field: keep some columns of a frontal image, which move to the middle, with black beside them.

    A field without the spine shows no vertebra, however well the rows would fit: all rows become NaN.

    Args:
        image: [channels, rows, columns].
        levels: Row of every vertebra.
        first, last: The columns that are kept, ``last`` not among them.
        spine: Column of the spine.
        channels: Which to crop. A sagittal one is left, or turns black where the spine is cut off.

    Returns:
        An image of the same shape, and the rows.

    Example:
        >>> image = np.arange(1.0, 9).reshape(1, 1, 8)
        >>> crop_columns(image, np.array([0.0]), 4, 8, spine=3.5)
        (array([[[0., 0., 5., 6., 7., 8., 0., 0.]]]), array([nan]))

    Taught in notebook 02.
    """
    lost = not first <= spine <= last - 1
    cropped = np.zeros_like(image) if lost else image.copy()
    cropped[channels] = 0
    start = (image.shape[2] - (last - first)) // 2
    cropped[channels, :, start : start + last - first] = image[channels, :, first:last]
    return cropped, np.full_like(levels, np.nan, dtype=float) if lost else levels.astype(float)


def vary(
    image: np.ndarray,
    levels: np.ndarray,
    target: int,
    rng: np.random.Generator,
    spine: float | None = None,
    frontal: slice = slice(None),
    lacking: float = 0.2,
) -> tuple[np.ndarray, np.ndarray]:
    """Vary an image as scanners and patients vary: side, size, brightness, noise, slices, and what was scanned.

    Args:
        image: [channels, rows, columns].
        levels: Row of every vertebra.
        target: Which of them is to be found, L3: a share of the crops leaves it out.
        rng: Where the randomness comes from.
        spine: Column of the spine; the middle when left out.
        frontal: The channels that hold the frontal view.
        lacking: This share of the copies does not show the target, by a crop along or across.

    Returns:
        A new image of the same shape and its rows.

    Example:
        >>> image = np.ones((1, 64, 32), "float32")
        >>> copies = [vary(image, np.array([40.0]), 0, np.random.default_rng([7, i])) for i in range(200)]
        >>> 0.15 < np.mean([np.isnan(levels[0]) for _, levels in copies]) < 0.25
        np.True_

    Taught in notebook 02.
    """
    spine = (image.shape[2] - 1) / 2 if spine is None else spine
    image, levels = image.copy(), np.array(levels, float)
    row, draw = levels[target], rng.random()
    if np.isfinite(row) and draw < lacking:
        image, levels = leave_out(image, levels, row, spine, frontal, rng)
    elif np.isfinite(row) and draw < 0.7:  # a shorter scan that still shows it
        first = rng.integers(0, int(0.9 * row) + 1)
        image, levels = crop_rows(image, levels, first, rng.integers(min(int(row) + 3, _end(image)), _end(image) + 1))
    if rng.random() < 0.25:  # a narrower field around the spine
        width = image.shape[2]
        first = rng.integers(0, max(1, int(spine - width / 8)))
        last = rng.integers(min(int(spine + width / 8), width - 1), width) + 1
        if first <= spine <= last - 1:
            image, levels = crop_columns(image, levels, first, last, spine, frontal)
    image, levels = scale(image, levels, float(rng.uniform(0.88, 1.14)))
    if rng.random() < 0.5:
        image = flip(image, frontal)
    if rng.random() < 0.4:
        thickness = int(rng.integers(2, 4))
        image = thicken(image, thickness, int(rng.integers(thickness)))
    image = shade(image, float(rng.uniform(0.75, 1.3)), float(rng.uniform(-0.05, 0.07)))
    return add_noise(image, float(rng.uniform(0, 0.04)), rng), levels


def leave_out(
    image: np.ndarray, levels: np.ndarray, row: float, spine: float, frontal: slice, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Scan what lies above a row, below it, or beside the spine."""
    end, width, gap = _end(image), image.shape[2], int(rng.integers(1, 30))
    choices = ["beside"] if width >= 16 else []
    choices += (["above"] if row > 8 else []) + (["below"] if end - row > 8 else [])
    match choices[rng.integers(len(choices))] if choices else "none":
        case "above":
            return crop_rows(image, levels, 0, max(int(np.ceil(row)) - gap, 8))
        case "below":
            return crop_rows(image, levels, min(int(row) + 1 + gap, end - 7), end)
        case "beside":
            away = max(4, image.shape[2] // 11)  # half a vertebra, so that none is left in half
            edge = int(spine) - away if rng.random() < 0.5 else int(spine) + away + 1
            edge = min(max(edge, 4), width - 4)
            return crop_columns(image, levels, *((0, edge) if edge < spine else (edge, width)), spine, frontal)
    return image, levels


def _end(image: np.ndarray) -> int:
    """The row below the last one that is not black."""
    return int(np.flatnonzero(image.any(axis=(0, 2))).max(initial=0)) + 1


def _in_view(levels: np.ndarray, rows: int) -> np.ndarray:
    return np.where((levels >= 0) & (levels <= rows - 1), levels, np.nan)
