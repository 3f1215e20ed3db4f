"""What the published L3 tutorial got wrong, as arithmetic on the answers of any network: what does each mistake cost?

Used by notebook 02. The tutorial works on rows of 1 mm, 512 of them; errors are in mm, positive towards the feet.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from helpers import localization, mip

PRINTED = (7, 11, 7, 6, -23, 5, 3, 6)  # mm; the eight errors that the tutorial prints, and whose mean it reports
ROWS = 512  # of the tutorial's images, of 1 mm; what lies below is cut off
HALF, ADDED = 3, 3  # mm: its label reaches so far up and down, and so much it adds to the row it found
REACH = 0.70  # of the columns; as far does its label reach to the right
DRAWS = 2000


def means(errors: ArrayLike, count: int = 8, seed: int = 0) -> np.ndarray:
    """Draw so many scans again and again, and take the mean error of each draw.

    Args:
        errors: In mm, one a scan; their sign does not matter.
        count: Scans in a draw; one may come twice.
        seed: Of the draws.

    Returns:
        ``float64`` [``DRAWS``], in mm.

    Raises:
        ValueError: If there is no error to draw from.

    Example:
        >>> low, high = np.percentile(means(PRINTED), [2.5, 97.5])
        >>> float(low) < 8.5 < float(high)
        True

    Taught in notebook 02. The tutorial reports the mean of eight.
    """
    sizes = abs(np.asarray(errors, float))
    if not sizes.size:
        raise ValueError("there is no error to draw from")
    rng = np.random.default_rng(seed)
    return sizes[rng.integers(len(sizes), size=(DRAWS, count))].mean(axis=1)


def say_means(errors: ArrayLike, count: int = 8) -> str:
    """The mean error of all scans beside the means of ``count`` of them, in a sentence.

    Example:
        >>> say_means([4.0, -4.0, 4.0])
        'Mean error of all 3 scans 4.0 mm; of the means of 8 scans, 95 % lie between 4.0 and 4.0 mm.'

    Taught in notebook 02.
    """
    low, high = np.percentile(means(errors, count), [2.5, 97.5])
    mean, scans = abs(np.asarray(errors, float)).mean(), len(np.asarray(errors))
    spread = f"of the means of {count} scans, 95 % lie between {low:.1f} and {high:.1f} mm"
    return f"Mean error of all {scans} scans {mean:.1f} mm; {spread}."


def edge_errors(found: ArrayLike, truth: ArrayLike) -> np.ndarray:
    """Measure as the tutorial does: add ``ADDED`` to what was found, and compare it with the label's upper edge.

    Args:
        found, truth: Height below the first row in mm, one a scan; those without a truth (NaN) are left out.

    Returns:
        Errors in mm, one a scan that shows L3.

    Example:
        >>> edge_errors([200.0, 250.0], [200.0, 250.0])  # nothing is wrong with these answers
        array([6., 6.])

    Taught in notebook 02.
    """
    found, truth = np.asarray(found, float), np.asarray(truth, float)
    shown = np.isfinite(truth)
    edge = localization.band(ROWS // 2, (ROWS,), HALF).argmax() - ROWS // 2  # from the true row
    return found[shown] + ADDED - (truth[shown] + edge)


class Overrun(NamedTuple):
    """Columns of a label: how many there are, and how many of them lie where the image was blackened."""

    label: int
    black: int


def overrun(columns: int = ROWS) -> Overrun:
    """Count the columns of the tutorial's label, and those of them on which its mask leaves nothing to be seen.

    Args:
        columns: Width of the image.

    Example:
        >>> overrun(100)
        Overrun(label=35, black=5)

    Taught in notebook 02.
    """
    seen = mip.middle_columns(columns)
    label = (np.arange(columns) >= np.flatnonzero(seen)[0]) & (np.arange(columns) < int(columns * REACH))
    return Overrun(int(label.sum()), int((label & ~seen).sum()))


class Lost(NamedTuple):
    """What becomes of scans on images of ``ROWS`` rows of 1 mm: how many lose their lower end, their L3, their label.

    ``shown`` of the ``scans`` show L3; ``cut`` of the scans are taller than the image and lose what is below it;
    ``dropped`` have their L3 there, and are left out without a word; ``unlabelled`` have it so near the upper edge
    that the label vanishes.
    """

    scans: int
    shown: int
    cut: int
    dropped: int
    unlabelled: int

    def __str__(self) -> str:
        vanished = f"{self.dropped} would be dropped, {self.unlabelled} would lose their label"
        return f"Of {self.scans} scans {self.cut} would lose their lower end; of {self.shown} with L3 {vanished}."


def lost(images: np.ndarray, rows: ArrayLike, mm: float) -> Lost:
    """Count the scans that do not fit into the tutorial's images, whose first row is the scan's.

    Args:
        images: [scans, ..., rows, columns], black below the end of a scan.
        rows: Row of L3 in each, NaN where it is not in view.
        mm: Size of a pixel.

    Example:
        >>> images = np.ones((3, 200, 4))
        >>> images[0, 100:] = 0  # a shorter scan
        >>> print(lost(images, [90.0, 190.0, np.nan], mm=3.0))
        Of 3 scans 2 would lose their lower end; of 2 with L3 1 would be dropped, 0 would lose their label.

    Taught in notebook 02.
    """
    bright = images.any(axis=tuple(range(1, images.ndim - 2)) + (images.ndim - 1,))
    ends = np.array([np.flatnonzero(scan).max(initial=-1) + 1 for scan in bright]) * mm
    below = np.asarray(rows, float) * mm
    counts = (np.isfinite(below).sum(), (ends > ROWS).sum(), (below >= ROWS).sum(), (below < HALF).sum())
    return Lost(len(images), *map(int, counts))


def greys(images: np.ndarray, hu: float = 400.0) -> np.ndarray:
    """Tell the grey that one density gets on each image, if each is stretched until its brightest pixel is white.

    Args:
        images: ``uint8`` [scans, ..., rows, columns] in the fixed window of `mip.prepare`.
        hu: The density, inside of the window; 400 HU is bone, not very dense.

    Returns:
        ``float64`` [scans], 0 (black) to 1 (white); in the fixed window it would be the same for all.

    Example:
        >>> images = np.zeros((2, 4, 4), np.uint8)
        >>> images[0, 2, 2], images[1, 2, 2] = 255, 109  # metal in the first; the second ends at 698 HU
        >>> greys(images).round(2)
        array([0.21, 0.5 ])

    Taught in notebook 02.
    """
    low, high = mip.WINDOW
    brightest = images.reshape(len(images), -1).max(axis=1) / 255 * (high - low)
    return np.minimum((hu - low) / np.maximum(brightest, 1e-9), 1.0)
