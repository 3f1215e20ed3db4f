"""What the published X-ray tutorial got wrong, as arithmetic on images and figures: what does each mistake cost?

Used by notebook 04. Every result prints as one sentence.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

SIGMA = 10.0  # greys of 255; the largest of the tutorial's noise
LIMIT = 30  # degrees
TESTED = 0.1  # of the images


class Noisy(NamedTuple):
    """One image with the same noise, added as the tutorial does and as it was meant.

    ``wrong`` and ``right`` are ``uint8`` of the image's shape. ``white`` and ``black`` are the shares of pixels that
    fell below 0 and came out nearly white, or rose above 255 and came out nearly black; ``wrong_change`` and
    ``right_change`` tell by how many greys a pixel differs from the image before, on average.
    """

    wrong: np.ndarray
    right: np.ndarray
    white: float
    black: float
    wrong_change: float
    right_change: float

    def __str__(self) -> str:
        white, black = (f"{100 * share:.1f} %" for share in (self.white, self.black))
        turned = f"{white} of the pixels turn from black to white, {black} from white to black"
        return f"{turned}; the mean change is {self.wrong_change:.1f} greys instead of {self.right_change:.1f}."


def add_wrapped(image: ArrayLike, noise: ArrayLike) -> np.ndarray:
    """Add noise as the tutorial does: in 8 bits, where 256 is 0 again and -1 is 255.

    Args:
        image: ``uint8``, any shape.
        noise: Whole numbers of the same shape.

    Returns:
        ``uint8`` of the same shape.

    Raises:
        ValueError: If the image is not of 8 bits.

    Example:
        >>> add_wrapped(np.array([2, 250, 100], np.uint8), [-3, 10, 5]).tolist()
        [255, 4, 105]

    Taught in notebook 04.
    """
    image = np.asarray(image)
    if image.dtype != np.uint8:
        raise ValueError(f"an image of 8 bits is expected, but this one is {image.dtype}")
    return ((image.astype(np.int64) + np.asarray(noise)) % 256).astype(np.uint8)


def wrapped_noise(image: np.ndarray, sigma: float = SIGMA, seed: int = 0) -> Noisy:
    """Add the same noise to an image in the tutorial's way and in the right one.

    Args:
        image: ``uint8``, any shape.
        sigma: Standard deviation, in greys.
        seed: Of the noise.

    Raises:
        ValueError: If the image is not of 8 bits, or has no pixel.

    Example:
        >>> noisy = wrapped_noise(np.zeros((100, 100), np.uint8))
        >>> print(noisy)  # doctest: +NORMALIZE_WHITESPACE
        48.2 % of the pixels turn from black to white, 0.0 % from white to black; the mean change is 123.5 greys instead
        of 4.0.
        >>> int(noisy.right.max()) < 60
        True

    Taught in notebook 04.
    """
    if not np.size(image):
        raise ValueError("an image with pixels is expected, but this one has none")
    noise = np.rint(np.random.default_rng(seed).normal(0, sigma, np.shape(image))).astype(np.int64)
    wrong = add_wrapped(image, noise)
    before = image.astype(np.int64)
    right = np.clip(before + noise, 0, 255).astype(np.uint8)
    white, black = (before + noise < 0).mean(), (before + noise > 255).mean()
    changes = (float(abs(added - before).mean()) for added in (wrong.astype(np.int64), right.astype(np.int64)))
    return Noisy(wrong, right, float(white), float(black), *changes)


class Angles(NamedTuple):
    """The lowest, the highest and the mean of many angles in degrees, as the tutorial draws them and as it means to."""

    published: tuple[int, int, float]
    meant: tuple[int, int, float]

    def __str__(self) -> str:
        low, high, mean = self.published
        right = f"from {self.meant[0]} to {self.meant[1]}, {self.meant[2]:+.2f} on average"
        return f"The angles drawn reach from {low} to {high} degrees, {mean:+.2f} on average, instead of {right}."


def angles(draws: int = 100_000, seed: int = 0) -> Angles:
    """Draw whole degrees from a range without its upper end, as the tutorial does, and from the whole of it.

    Args:
        draws: How many.
        seed: Of the draws.

    Example:
        >>> print(angles())
        The angles drawn reach from -30 to 29 degrees, -0.52 on average, instead of from -30 to 30, -0.02 on average.

    Taught in notebook 04.
    """
    drawn = [np.random.default_rng(seed).integers(-LIMIT, LIMIT, draws, endpoint=closed) for closed in (False, True)]
    return Angles(*((int(some.min()), int(some.max()), float(some.mean())) for some in drawn))


class Straddling(NamedTuple):
    """How many test images have a copy in training, if images are split one by one.

    ``images`` in all and ``test`` of them for testing; ``copied`` of those have another image of their group in
    training.
    """

    images: int
    test: int
    copied: int

    def __str__(self) -> str:
        return f"Of {self.test} test images out of {self.images}, {self.copied} have a copy in training."


def straddling(groups: ArrayLike, labels: ArrayLike, seed: int = 0, share: float = TESTED) -> Straddling:
    """Split as the tutorial does, image by image within each class, and count the copies that straddle the split.

    The tutorial takes files in the order in which the disk lists them, which is any order: here it is drawn.

    Args:
        groups: Of every image; those of one group are copies of each other, or show one patient.
        labels: Class of every image.
        seed: Of the order.
        share: Of each class that is for testing, at least one image.

    Raises:
        ValueError: If there are not as many groups as labels.

    Example:
        >>> print(straddling([0, 0, 1, 1, 2, 2, 3, 3], [0, 0, 0, 0, 1, 1, 1, 1], seed=1, share=0.25))
        Of 2 test images out of 8, 2 have a copy in training.

    Taught in notebook 04.
    """
    groups, labels = np.asarray(groups), np.asarray(labels)
    if groups.shape != labels.shape or groups.ndim != 1:
        raise ValueError(f"one group and one label an image are expected, but found {groups.shape} and {labels.shape}")
    rng, tested = np.random.default_rng(seed), np.zeros(len(labels), bool)
    for label in np.unique(labels):
        order = rng.permutation(np.flatnonzero(labels == label))
        tested[order[: max(1, int(len(order) * share))]] = True
    copied = np.isin(groups[tested], groups[~tested])
    return Straddling(len(labels), int(tested.sum()), int(copied.sum()))


class BatchMean(NamedTuple):
    """A mean over all cases, and the mean of the means of batches, of which the last may be smaller."""

    cases: int
    batch: int
    mean: float
    of_batches: float

    def __str__(self) -> str:
        wrong = f"{self.of_batches:.5f} as a mean of the means of batches of {self.batch}"
        return f"{self.mean:.5f} over {self.cases} cases, {wrong}."


def mean_of_batches(values: ArrayLike, batch: int = 64) -> BatchMean:
    """Average batches first and then their means, as the tutorial does, beside the plain mean.

    Args:
        values: One a case: 1 where it was right and 0 where not, or its loss.
        batch: Cases in a batch.

    Raises:
        ValueError: If there is no case, or a batch holds none.

    Example:
        >>> print(mean_of_batches([1, 1, 1, 1, 0], batch=4))
        0.80000 over 5 cases, 0.50000 as a mean of the means of batches of 4.

    Taught in notebook 04.
    """
    values = np.asarray(values, float)
    if not values.size or batch < 1:
        raise ValueError(f"cases in batches are needed, but found {values.size} in batches of {batch}")
    means = [values[start : start + batch].mean() for start in range(0, len(values), batch)]
    return BatchMean(len(values), batch, float(values.mean()), float(np.mean(means)))
