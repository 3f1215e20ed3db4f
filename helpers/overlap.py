"""How well a found mask covers the true one, image by image, beside the rule that finds nothing anywhere.

Used by notebook 03. Dice and IoU of an image are 1 where both masks are empty, as in the SIIM-ACR competition.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from helpers.estimates import Estimate, plural, table

RULE = "all-empty"
DRAWS = 1000  # of the bootstrap
LEAST_PATIENTS = 10
NAMES = ("mean Dice per image", "mean Dice of positives", "mean IoU per image", "pooled Dice", "gain in mean Dice")


@dataclass(frozen=True, eq=False)
class Overlaps:
    """The pixels of every image that Dice and IoU are made of, so that no mask needs to be kept.

    Args:
        both: Pixels in the true and in the found mask, int64 [images].
        truth: Pixels in the true mask.
        found: Pixels in the found mask.

    Raises:
        ValueError: If they are not as many, or an image has more pixels in both masks than in one.

    Example:
        >>> overlaps = Overlaps(np.array([6, 0]), np.array([8, 0]), np.array([8, 4]))
        >>> overlaps.dice, overlaps.iou, overlaps.pooled
        (array([0.75, 0.  ]), array([0.6, 0. ]), 0.6)

    Taught in notebook 03.
    """

    both: np.ndarray
    truth: np.ndarray
    found: np.ndarray

    def __post_init__(self):
        shapes = [np.shape(part) for part in (self.both, self.truth, self.found)]
        if len(set(shapes)) > 1 or len(shapes[0]) != 1:
            raise ValueError(f"both, truth and found need one number an image, but their shapes are {shapes}")
        wrong = (self.both < 0) | (self.both > np.minimum(self.truth, self.found))
        if wrong.any():
            i = int(wrong.argmax())
            raise ValueError(
                f"image {i} cannot have {self.both[i]} pixels in both masks, and {self.truth[i]} and {self.found[i]}"
            )

    @property
    def dice(self) -> np.ndarray:
        """Dice of every image, float64 [images]."""
        return _share(2 * self.both, self.truth + self.found)

    @property
    def iou(self) -> np.ndarray:
        """Intersection over union of every image, float64 [images]."""
        return _share(self.both, self.truth + self.found - self.both)

    @property
    def pooled(self) -> float:
        """Dice of all pixels of all images as if they were one image: large masks decide, alarms hardly count."""
        return float(_share(2 * self.both.sum(), self.truth.sum() + self.found.sum()))

    @property
    def positive(self) -> np.ndarray:
        """Which images have something to find, bool [images]."""
        return self.truth > 0


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """The share of a whole; 1 of nothing."""
    return np.where(whole == 0, 1.0, part / np.maximum(whole, 1))


def measure(truth: np.ndarray, found: np.ndarray) -> Overlaps:
    """Count the pixels that true and found masks share.

    Args:
        truth: ``bool`` [images, rows, columns], or [rows, columns] for one image.
        found: The same of what was found.

    Returns:
        The counts, one an image.

    Raises:
        ValueError: If they are not ``bool``, such as probabilities, or differ in shape.

    Example:
        >>> measure(np.array([[True, True]]), np.array([[True, False]])).dice.round(2)
        array([0.67])

    Taught in notebook 03.
    """
    truth, found = np.asarray(truth), np.asarray(found)
    if truth.dtype != bool or found.dtype != bool:
        raise ValueError(f"masks are bool, but found {truth.dtype} and {found.dtype}; compare with a threshold first")
    if truth.shape != found.shape or truth.ndim not in (2, 3):
        raise ValueError(f"masks need the same rows and columns, but their shapes are {truth.shape} and {found.shape}")
    parts = (truth & found, truth, found)
    return Overlaps(*(np.atleast_1d(np.count_nonzero(part, axis=(-2, -1))) for part in parts))


def join(parts: Iterable[Overlaps]) -> Overlaps:
    """Put the counts of several images or batches in one row, in their order.

    Example:
        >>> one = Overlaps(np.array([1]), np.array([2]), np.array([2]))
        >>> join([one, one]).dice
        array([0.5, 0.5])

    Used by notebook 03, which measures images at their full size, one after the other.
    """
    parts = list(parts)
    return Overlaps(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("both", "truth", "found")))


def dice(truth: np.ndarray, found: np.ndarray) -> float | np.ndarray:
    """Twice the shared pixels, over the pixels of the one mask and of the other; 1 if both are empty.

    Arguments and errors are those of `measure`.

    Returns:
        One figure for one image, float64 [images] for several; never a mean of them.

    Example:
        >>> round(dice(np.array([[True, True, False]]), np.array([[True, False, False]])), 2)
        0.67
        >>> dice(np.zeros((2, 4, 4), bool), np.zeros((2, 4, 4), bool))
        array([1., 1.])

    Taught in notebook 03.
    """
    return _one_or_all(measure(truth, found).dice, np.ndim(truth))


def iou(truth: np.ndarray, found: np.ndarray) -> float | np.ndarray:
    """The shared pixels, over those in either mask; 1 if both are empty. All else is as in `dice`.

    Example:
        >>> iou(np.array([[True, True, False]]), np.array([[True, False, False]]))
        0.5

    Taught in notebook 03.
    """
    return _one_or_all(measure(truth, found).iou, np.ndim(truth))


def _one_or_all(figures: np.ndarray, axes: int) -> float | np.ndarray:
    return float(figures[0]) if axes == 2 else figures


def pooled_dice(truth: np.ndarray, found: np.ndarray) -> float:
    """Dice of all images as if they were one; arguments and errors are those of `measure`.

    Example:
        >>> truth, found = np.zeros((2, 2, 4), bool), np.zeros((2, 2, 4), bool)
        >>> truth[0] = found[0] = True  # the first is found, the second a false alarm of one pixel
        >>> found[1, 0, 0] = True
        >>> print(f"per image {dice(truth, found).mean():.2f}, pooled {pooled_dice(truth, found):.2f}")
        per image 0.50, pooled 0.94

    Taught in notebook 03. The published tutorial pools over a batch, which is not what the competition counts.
    """
    return measure(truth, found).pooled


class OverlapReport(NamedTuple):
    """The figures of a segmentation; printed, they make a table."""

    dice: Estimate
    positives: Estimate
    iou: Estimate
    pooled: Estimate
    gain: Estimate

    def __str__(self) -> str:
        return table(self)

    @property
    def verdict(self) -> str:
        """Whether the masks are better than none at all, in words, by the paired difference on the same images."""
        gain = self.gain
        if gain.value is not None and gain.high < 0:
            return f"{gain.name} is worse than {RULE}: the whole interval lies below it"
        return gain.verdict


def overlap_report(overlaps: Overlaps, groups: Sequence | None = None, seed: int = 0) -> OverlapReport:
    """Sum up how well masks were found, with 95 % intervals and the rule that finds nothing beside every figure.

    The intervals come from a bootstrap that draws patients, not images: two images of one patient are no two proofs.

    Args:
        overlaps: The counts, one an image.
        groups: Who is on an image, one an image; everybody once when left out.
        seed: Of the bootstrap.

    Returns:
        Mean Dice and IoU per image, mean Dice of the images that have something to find, pooled Dice, and by how much
        the mean Dice beats that of the rule on the same images. A reason instead of a value where there are fewer than
        ``LEAST_PATIENTS``, or, for all but the means per image, where nothing is to be found.

    Raises:
        ValueError: If the numbers of images and groups differ.

    Example:
        >>> truth = np.array([0] * 9 + [100] * 12)
        >>> both = np.array([0] * 10 + [60, 70, 80, 90] * 2 + [70, 80, 90])
        >>> report = overlap_report(Overlaps(both, truth, both))
        >>> print(report.dice)
        mean Dice per image 0.88 (21 cases), 95 % interval 0.77 to 0.95; all-empty 0.43
        >>> print(report.verdict)
        gain in mean Dice is better than all-empty: the whole interval lies above it

    Taught in notebook 03.
    """
    images, positive = len(overlaps.truth), overlaps.positive
    groups = np.arange(images) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    if groups.shape != (images,):
        raise ValueError(f"every image needs one group, but {images} images have groups of the shape {groups.shape}")
    needed = f"({LEAST_PATIENTS} are needed)"
    patients, ill = len(np.unique(groups)), len(np.unique(groups[positive]))
    few = f"{plural(patients, 'patient')} {needed}" if patients < LEAST_PATIENTS else ""
    few_ill = f"something to find in {plural(ill, 'patient')} {needed}" if ill < LEAST_PATIENTS else ""
    nothing = "" if ill else f"nothing to find on {plural(images, 'image')}"
    everyone, ones, empty = np.ones(images, bool), np.ones(images), (~positive).astype(float)
    share = float(empty.sum()) / max(images, 1)
    rows = (  # what is summed up, over what, on which images, the rule's own figure, and why not
        (overlaps.dice, ones, everyone, share, few),
        (overlaps.dice, ones, positive, 0.0, nothing or few_ill),
        (overlaps.iou, ones, everyone, share, few),
        (2 * overlaps.both, overlaps.truth + overlaps.found, everyone, 0.0, few or nothing),
        (overlaps.dice - empty, ones, everyone, 0.0, few or nothing),
    )
    estimates = []
    for name, (parts, wholes, among, trivial, reason) in zip(NAMES, rows, strict=True):
        cases = int(among.sum())
        if reason:
            estimates.append(Estimate(name, cases=cases, baseline_name=RULE, reason=reason))
        else:
            value, low, high = _bootstrap(parts[among], wholes[among], groups[among], seed)
            estimates.append(Estimate(name, value, low, high, None, cases, RULE, trivial))
    return OverlapReport(*estimates)


def _bootstrap(parts: np.ndarray, wholes: np.ndarray, groups: np.ndarray, seed: int) -> tuple[float, float, float]:
    """The sum of the parts over the sum of the wholes, and its 95 % interval when whole groups are drawn again."""
    places = np.unique(groups, return_inverse=True)[1]
    count = places.max() + 1
    sums = np.stack([np.bincount(places, numbers, count) for numbers in (parts, wholes)], axis=1)
    rng = np.random.default_rng(seed)
    draws = np.stack([np.bincount(rng.integers(count, size=count), minlength=count) @ sums for _ in range(DRAWS)])
    low, high = np.percentile(_share(*draws.T), [2.5, 97.5])
    return float(_share(*sums.sum(axis=0))), float(low), float(high)
