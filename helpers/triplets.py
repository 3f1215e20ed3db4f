"""From probabilities to masks by three figures: is anything there at all, and if so, how far does it reach?

Used by notebook 03. A plain threshold leaves a few pixels on many healthy images, and each costs the whole image.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from helpers import overlap

# The grid that `choose` searches. It holds the plain threshold: 0.5, 1 pixel, 0.5.
TOPS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
SHARES = (0.0, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02)  # of the pixels of an image; at least one pixel
BOTTOMS = (0.2, 0.3, 0.4, 0.5, 0.6)


@dataclass(frozen=True)
class Triplet:
    """An image is positive if at least ``area`` pixels exceed ``top``; its mask is then all that exceeds ``bottom``.

    Args:
        top: A probability.
        area: Pixels, 1 or more, of images of the size that it was chosen on.
        bottom: A probability, no more than ``top``.

    Raises:
        ValueError: Unless ``0 <= bottom <= top <= 1`` and ``area`` is a whole number from 1.

    Example:
        >>> Triplet(top=0.7, area=40, bottom=0.3)
        Triplet(top=0.7, area=40, bottom=0.3)

    Taught in notebook 03. Source: the first place of the SIIM-ACR competition, 2019.
    """

    top: float
    area: int
    bottom: float

    def __post_init__(self):
        if not 0 <= self.bottom <= self.top <= 1:
            raise ValueError(f"a triplet needs 0 <= bottom <= top <= 1, but found {self.bottom!r} and {self.top!r}")
        if self.area != int(self.area) or self.area < 1:
            raise ValueError(f"the area of a triplet is a whole number of pixels from 1, but found {self.area!r}")


PLAIN = Triplet(0.5, 1, 0.5)


def apply(probabilities: np.ndarray, triplet: Triplet) -> np.ndarray:
    """Turn probabilities into masks.

    Args:
        probabilities: [images, rows, columns], or [rows, columns] for one image, in [0, 1].
        triplet: The three figures.

    Returns:
        ``bool`` of the same shape.

    Raises:
        ValueError: If they have another shape, or values outside [0, 1], such as log-odds.

    Example:
        >>> apply(np.array([[[0.9, 0.4, 0.1]], [[0.6, 0.4, 0.1]]]), Triplet(top=0.8, area=1, bottom=0.3)).astype(int)
        array([[[1, 1, 0]],
        <BLANKLINE>
               [[0, 0, 0]]])

    Taught in notebook 03.
    """
    probabilities = _checked(probabilities)
    large = (probabilities > triplet.top).sum(axis=(-2, -1), keepdims=True) >= triplet.area
    return (probabilities > triplet.bottom) & large


def choose(probabilities: np.ndarray, truths: np.ndarray) -> Triplet:
    """Choose the triplet of the best mean Dice per image, on validation images.

    Every triplet of ``TOPS``, ``SHARES`` and ``BOTTOMS`` is tried. Of equals the least area wins, then the top nearest
    to 0.5, then the bottom nearest to 0.5, then the lower top and the lower bottom: what a plain threshold does as
    well, a triplet need not do. The order of the images does not matter.

    Args:
        probabilities: [images, rows, columns] in [0, 1].
        truths: ``bool`` of the same shape.

    Returns:
        The triplet. On these images it is no worse than a threshold of 0.5; on others that must be measured.

    Raises:
        ValueError: If there is no image, if the shapes differ, or as in `apply` and `overlap.measure`.

    Example:
        >>> probabilities = np.array([[[0.9, 0.7, 0.3]], [[0.6, 0.1, 0.1]]])  # the second is a false alarm
        >>> choose(probabilities, np.array([[[True, True, False]], [[False] * 3]]))
        Triplet(top=0.6, area=1, bottom=0.5)

    Taught in notebook 03.
    """
    probabilities, truths = _checked(probabilities), np.asarray(truths)
    if probabilities.ndim != 3 or not len(probabilities):
        raise ValueError(f"a triplet is chosen on images, rows and columns, but the shape is {probabilities.shape}")
    if truths.shape != probabilities.shape:
        raise ValueError(f"truths and probabilities differ in shape: {truths.shape} and {probabilities.shape}")
    counts = np.stack([(probabilities > top).sum(axis=(1, 2)) for top in TOPS])
    dices = np.stack([overlap.dice(truths, probabilities > bottom) for bottom in BOTTOMS])
    empty = (~truths.any(axis=(1, 2))).astype(float)
    best = None
    areas = sorted({max(1, math.ceil(share * truths[0].size)) for share in SHARES})
    tops, bottoms = (sorted(enumerate(values), key=lambda pair: abs(pair[1] - 0.5)) for values in (TOPS, BOTTOMS))
    for area, (i, top), (j, bottom) in itertools.product(areas, tops, bottoms):
        if bottom > top:
            continue
        # fsum rounds once, at the end: the same sum in every order of the images
        total = math.fsum(np.where(counts[i] >= area, dices[j], empty))
        if best is None or total > best[0]:
            best = total, Triplet(top, area, bottom)
    return best[1]


def _checked(probabilities: np.ndarray) -> np.ndarray:
    probabilities = np.asarray(probabilities)
    if probabilities.ndim not in (2, 3) or not all(probabilities.shape[-2:]):
        raise ValueError(f"one probability a pixel is expected, but the shape is {probabilities.shape}")
    if probabilities.size and not (probabilities.min() >= 0 and probabilities.max() <= 1):
        span = f"[{probabilities.min():g}, {probabilities.max():g}]"
        raise ValueError(f"probabilities lie in [0, 1], but these in {span}")
    return probabilities
