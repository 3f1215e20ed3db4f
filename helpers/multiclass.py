"""How good a network of several classes is: accuracy, sensitivity of each class, loss, and whether it is too sure.

Used by notebook 04. Counted over images, never as a mean of batches.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from helpers.estimates import Estimate, Z, aligned, figure, table, wilson
from helpers.metrics import MIN_CASES

LEAST = 1e-7  # a probability of 0 that turns out true would cost infinitely much
BINS = 10


class Reliability(NamedTuple):
    """Images sorted into bins by how sure the network was, and how often it was right there.

    ``edges`` [bins + 1] divide confidence, the probability of the called class; ``counts`` are images in a bin,
    ``confidence`` their mean confidence, ``accuracy`` the share that was right, ``low`` and ``high`` its 95 % interval:
    all [bins], NaN where a bin is empty. ``error`` is the expected calibration error (ECE): how far confidence and
    accuracy lie apart, averaged over images.
    """

    edges: np.ndarray
    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    low: np.ndarray
    high: np.ndarray
    error: float

    def __str__(self) -> str:
        rows = [["confidence", "images", "mean", "right", "95 % interval"]]
        for i in np.flatnonzero(self.counts):
            interval = f"{figure(self.low[i])} to {figure(self.high[i])}"
            shares = [figure(self.confidence[i]), figure(self.accuracy[i]), interval]
            rows.append([f"{self.edges[i]:.1f} to {self.edges[i + 1]:.1f}", f"{self.counts[i]}", *shares])
        return f"{aligned(rows)}\nexpected calibration error {figure(self.error)}"


class ClassesReport(NamedTuple):
    """What is known of a network of several classes on test images; printed, it makes a table."""

    accuracy: Estimate
    sensitivities: tuple[Estimate, ...]
    confusion: np.ndarray  # int64 [truth, called]
    loss: float
    loss_of_guessing: float  # of the same probability for each class
    reliability: Reliability

    def __str__(self) -> str:
        losses = f"cross-entropy {self.loss:.3f}; guessing {self.loss_of_guessing:.3f}"
        ece = f"expected calibration error {figure(self.reliability.error)}"
        return "\n".join([table([self.accuracy, *self.sensitivities]), losses, ece])


def accuracy(truth: ArrayLike, probabilities: ArrayLike, *, majority: int, groups: ArrayLike | None = None) -> Estimate:
    """The share of images that were called right, beside the rule that always says the commonest class.

    The interval is Wilson's. Two images of one patient, or two copies of one image, are no two independent tests:
    with groups the interval is that of fewer images, ``n * n / sum(size * size)``, as if all of a group were right or
    wrong together (Kish's effective sample size, at its most cautious). Without such groups nothing changes.

    Args:
        truth: [images], an index into the classes.
        probabilities: [images, classes]; the largest is what the network calls, the first of equals.
        majority: The commonest class of the **training** set: the trivial rule may not look at the test set.
        groups: [images], equal for images of one patient; each image for itself when left out.

    Returns:
        The estimate; no value with fewer than ``MIN_CASES`` images.

    Raises:
        ValueError: If there is a label without a probability, or probabilities that are none, or lengths that differ.

    Example:
        >>> truth = np.arange(30) % 3
        >>> print(accuracy(truth, np.eye(3)[np.where(truth == 2, 0, truth)], majority=1))
        accuracy 0.67 (20 of 30), 95 % interval 0.49 to 0.81; always-majority 0.33

    Taught in notebook 04.
    """
    truth, probabilities = _checked(truth, probabilities)
    if majority not in range(probabilities.shape[1]):
        raise ValueError(f"the majority must be a class from 0 to {probabilities.shape[1] - 1}, but is {majority!r}")
    right = probabilities.argmax(1) == truth
    return _share("accuracy", right, _counted(truth, groups), "always-majority", truth == majority)


def sensitivity(
    truth: ArrayLike, probabilities: ArrayLike, label: int, name: str, groups: ArrayLike | None = None
) -> Estimate:
    """The share of one class's images that were called by its name; arguments and result as in `accuracy`.

    Args:
        label: The class.
        name: What the class is called.

    Example:
        >>> truth = np.arange(30) % 3
        >>> print(sensitivity(truth, np.eye(3)[np.where(truth == 2, 0, truth)], 0, "COVID"))
        sensitivity to COVID 1.00 (10 of 10), 95 % interval 0.72 to 1.00; always-COVID 1.00

    Taught in notebook 04.
    """
    truth, probabilities = _checked(truth, probabilities)
    own = truth == label
    found = probabilities.argmax(1)[own] == label
    return _share(f"sensitivity to {name}", found, _counted(truth, groups)[own], f"always-{name}", np.ones_like(found))


def compare(
    truth: ArrayLike, probabilities: ArrayLike, others: ArrayLike, name: str, groups: ArrayLike | None = None
) -> Estimate:
    """By how much the accuracy of one network lies above that of another one, on the same test images.

    The interval is Agresti and Min's for pairs: Wald's, after half an image is added to each of the four outcomes
    (both right, one right, the other right, none); with groups as in `accuracy`. Where it holds 0, the two cannot be
    told apart.

    Args:
        truth, probabilities, groups: As in `accuracy`.
        others: [images, classes], the probabilities of the other network.
        name: What the other one is called.

    Returns:
        The difference, from -1 to 1, beside 0; no value with fewer than ``MIN_CASES`` images.

    Example:
        >>> truth = np.arange(60) % 3
        >>> print(compare(truth, np.eye(3)[truth], np.full((60, 3), 1 / 3), "borders only"))
        accuracy above borders only 0.67 (60 cases), 95 % interval 0.52 to 0.77; no difference 0.00

    Taught in notebook 04. Source: Agresti and Min 2005, Statistics in Medicine 24:729-740.
    """
    truth, probabilities = _checked(truth, probabilities)
    truth, others = _checked(truth, others)
    first, second = (one.argmax(1) == truth for one in (probabilities, others))
    label = f"accuracy above {name}"
    if len(truth) < MIN_CASES:
        return Estimate(label, cases=len(truth), baseline_name="no difference", reason=_too_few(len(truth)))
    value = float(first.mean() - second.mean())
    effective = _effective(_counted(truth, groups))
    better, worse = (effective * float(np.mean(one)) + 0.5 for one in (first & ~second, second & ~first))
    total = effective + 2
    middle = (better - worse) / total
    half = Z * math.sqrt(better + worse - (better - worse) ** 2 / total) / total
    low, high = min(max(middle - half, -1.0), value), max(min(middle + half, 1.0), value)
    return Estimate(label, value, low, high, None, len(truth), "no difference", 0.0)


def confusion(truth: ArrayLike, probabilities: ArrayLike) -> np.ndarray:
    """Count the images by what they are (rows) and what they were called (columns): int64 [classes, classes].

    Example:
        >>> confusion([0, 1, 1], [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
        array([[1, 0],
               [1, 1]])

    Taught in notebook 04.
    """
    truth, probabilities = _checked(truth, probabilities)
    counts = np.zeros((probabilities.shape[1],) * 2, np.int64)
    np.add.at(counts, (truth, probabilities.argmax(1)), 1)
    return counts


def cross_entropy(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """The mean of minus the logarithm of the true class's probability, which is floored at ``LEAST``.

    Example:
        >>> round(cross_entropy([0, 1], [[0.5, 0.5], [0.5, 0.5]]), 3)
        0.693

    Taught in notebook 04.
    """
    truth, probabilities = _checked(truth, probabilities)
    return float(-np.log(np.maximum(probabilities[np.arange(len(truth)), truth], LEAST)).mean())


def reliability(truth: ArrayLike, probabilities: ArrayLike, bins: int = BINS) -> Reliability:
    """Compare how sure a network was with how often it was right, bin by bin of equal width.

    Args:
        truth, probabilities: As in `accuracy`.
        bins: How many; a confidence on an edge counts for the bin below it.

    Example:
        >>> print(reliability([0, 0, 1, 1], [[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.3, 0.7]]))
        confidence  images  mean  right  95 % interval
        0.6 to 0.7  1       0.70  1.00   0.21 to 1.00
        0.8 to 0.9  3       0.90  0.67   0.21 to 0.94
        expected calibration error 0.25

    Taught in notebook 04. Source: Guo et al. 2017, On calibration of modern neural networks.
    """
    truth, probabilities = _checked(truth, probabilities)
    sure, right = probabilities.max(1), probabilities.argmax(1) == truth
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, sure - 1e-9) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    hits = np.bincount(place, right, minlength=bins)
    some = np.where(counts, counts, np.nan)
    mean, share = np.bincount(place, sure, minlength=bins) / some, hits / some
    limits = [wilson(int(hit), int(n)) if n else (np.nan, np.nan) for hit, n in zip(hits, counts, strict=True)]
    low, high = np.array(limits).T
    error = float(np.nansum(abs(mean - share) * counts) / len(truth))
    return Reliability(edges, counts, mean, share, low, high, error)


def report(
    truth: ArrayLike,
    probabilities: ArrayLike,
    classes: Sequence[str],
    *,
    majority: int,
    groups: ArrayLike | None = None,
) -> ClassesReport:
    """All figures of a network on test images; arguments as in `accuracy`, and the names of the classes.

    Raises:
        ValueError: As `accuracy`, and if the classes have not one name each.

    Example:
        >>> truth = np.arange(30) % 3
        >>> print(report(truth, 0.1 + 0.7 * np.eye(3)[truth], ["NORMAL", "COVID", "VIRAL"], majority=0))
        metric                 value  counts    95 % interval  trivial rule
        accuracy               1.00   30 of 30  0.89 to 1.00   always-majority 0.33
        sensitivity to NORMAL  1.00   10 of 10  0.72 to 1.00   always-NORMAL 1.00
        sensitivity to COVID   1.00   10 of 10  0.72 to 1.00   always-COVID 1.00
        sensitivity to VIRAL   1.00   10 of 10  0.72 to 1.00   always-VIRAL 1.00
        cross-entropy 0.223; guessing 1.099
        expected calibration error 0.20

    Taught in notebook 04.
    """
    checked = _checked(truth, probabilities)
    if len(classes) != checked[1].shape[1]:
        raise ValueError(f"there are {checked[1].shape[1]} probabilities an image, but {len(classes)} classes")
    return ClassesReport(
        accuracy(*checked, majority=majority, groups=groups),
        tuple(sensitivity(*checked, label, name, groups) for label, name in enumerate(classes)),
        confusion(*checked),
        cross_entropy(*checked),
        math.log(len(classes)),
        reliability(*checked),
    )


def _checked(truth: ArrayLike, probabilities: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    truth, probabilities = np.asarray(truth), np.asarray(probabilities, float)
    if truth.ndim != 1 or probabilities.ndim != 2 or len(truth) != len(probabilities) or not len(truth):
        shapes = f"{truth.shape} and {probabilities.shape}"
        raise ValueError(f"truth must be [images] and probabilities [images, classes], but their shapes are {shapes}")
    for index in np.flatnonzero(~np.isin(truth, np.arange(probabilities.shape[1]))):
        raise ValueError(f"a label must be a class from 0, but image {index} has {truth[index].item()!r}")
    valid = (probabilities >= 0).all(1) & (abs(probabilities.sum(1) - 1) < 1e-3)  # also false for NaN
    for index in np.flatnonzero(~valid):
        found = [round(value, 4) for value in probabilities[index].tolist()]
        raise ValueError(f"probabilities must be 0 or more and sum to 1, but image {index} has {found}")
    return truth.astype(np.int64), probabilities


def _counted(truth: np.ndarray, groups: ArrayLike | None) -> np.ndarray:
    """The group of each image as a number; each its own where none are given."""
    if groups is None:
        return np.arange(len(truth))
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1]
    if len(numbers) != len(truth):
        raise ValueError(f"there must be one group an image, but there are {len(numbers)} for {len(truth)} images")
    return numbers


def _effective(groups: np.ndarray) -> float:
    """As many independent images as these are worth at least."""
    return len(groups) ** 2 / float((np.unique(groups, return_counts=True)[1] ** 2).sum())


def _too_few(cases: int) -> str:
    return f"there are only {cases} images ({MIN_CASES} are needed)"


def _share(name: str, right: np.ndarray, groups: np.ndarray, rule: str, rule_right: np.ndarray) -> Estimate:
    hits, cases = int(right.sum()), len(right)
    if cases < MIN_CASES:
        return Estimate(name, cases=cases, baseline_name=rule, reason=_too_few(cases))
    effective = _effective(groups)
    limits = wilson(min(hits / cases * effective, effective), effective)
    return Estimate(name, hits / cases, *limits, hits, cases, rule, float(rule_right.mean()))
