"""What a network of notebook 03 answers, and how its answers are judged: probabilities, masks, figures.

Used by notebook 03 and by `python -m helpers.train pneumothorax`, through `siim_job`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
from scipy.special import expit

from helpers import metrics, overlap, training, triplets
from helpers.estimates import Estimate, table
from helpers.film_samples import MaskedFilms
from helpers.jobs import Sets
from helpers.triplets import Triplet

SURE = 0.005  # the share of an image whose most suspicious pixels speak for the whole of it


def probabilities(network: paddle.nn.Layer, where: MaskedFilms) -> np.ndarray:
    """How likely air is at each pixel of every image of a set: the mean over the image and its mirror image.

    Returns:
        ``float32`` [images, rows, columns].

    Taught in notebook 03.
    """
    if not len(where):
        return np.zeros((0, *where.films.images.shape[1:]), np.float32)
    seen, turned = (expit(training.predict(network, part)[:, 0]) for part in (where, where.mirror()))
    return (seen + turned[:, :, ::-1]) / 2


def image_score(found: np.ndarray) -> np.ndarray:
    """One figure an image: the mean over its most suspicious pixels.

    The brightest pixel alone would be a matter of luck, the mean of all a matter of size.

    Args:
        found: Probabilities [images, rows, columns].

    Returns:
        ``float64`` [images].

    Example:
        >>> found = np.zeros((2, 20, 20)); found[1, 3, 4:6] = 0.9, 0.7
        >>> image_score(found)
        array([0. , 0.8])

    Taught in notebook 03.
    """
    flat = np.asarray(found, float).reshape(len(found), found[0].size if len(found) else 0)
    count = max(1, round(SURE * flat.shape[1]))
    return np.partition(flat, -count, axis=1)[:, -count:].mean(axis=1) if len(flat) else np.zeros(0)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a network said of the test images.

    Attributes:
        cases: Their indices.
        score: One figure an image, see `image_score`.
        overlaps: Pixels of the true masks, of those found by the triplet, and of both.
        plain: The same for a threshold of 0.5.
        triplet: How probabilities became masks; chosen on the validation images.
        groups: Whose images they are.
        found: Probabilities in steps of 1/255, ``uint8`` [images, rows, columns].
    """

    cases: np.ndarray
    score: np.ndarray
    overlaps: overlap.Overlaps
    plain: overlap.Overlaps
    triplet: Triplet
    groups: np.ndarray
    found: np.ndarray

    @property
    def truth(self) -> np.ndarray:
        """Whether there is air, 0 or 1 an image."""
        return self.overlaps.positive.astype(int)

    @property
    def report(self) -> overlap.OverlapReport:
        """Dice and IoU per image, of the positives, and pooled, beside the rule that finds nothing."""
        return overlap.overlap_report(self.overlaps, self.groups)

    @property
    def headline(self) -> Estimate:
        """The area under the ROC curve of "is there air?"."""
        return metrics.roc_auc(self.truth, self.score)

    @property
    def estimates(self) -> Sequence[Estimate]:
        """All figures."""
        return (self.headline, *self.report)

    @property
    def about(self) -> dict[str, Any]:
        """What the command `predict` must know beside the weights."""
        triplet = self.triplet
        return {"top": triplet.top, "area": triplet.area, "bottom": triplet.bottom}

    @property
    def curve(self) -> metrics.RocCurve:
        """The ROC curve; without a point where there are too few images to measure."""
        if self.headline.value is None:
            return metrics.RocCurve(np.zeros(0), np.zeros(0), np.zeros(0))
        return metrics.roc_curve(self.truth, self.score)

    @property
    def masks(self) -> np.ndarray:
        """What was found, ``bool`` [images, rows, columns]."""
        return triplets.apply(self.found / np.float32(255), self.triplet)

    def columns(self) -> dict[str, Sequence]:
        """Truth, score, pixels and Dice of each image."""
        return {
            "truth": self.truth,
            "score": self.score,
            "true_pixels": self.overlaps.truth,
            "found_pixels": self.overlaps.found,
            "both_pixels": self.overlaps.both,
            "dice": self.overlaps.dice,
        }

    def worst(self, count: int = 8) -> np.ndarray:
        """Places in this evaluation, the lowest Dice first, and among equals the largest miss or false alarm."""
        wrong = self.overlaps.truth + self.overlaps.found - 2 * self.overlaps.both
        return np.lexsort((-wrong, self.overlaps.dice))[:count]

    def captions(self, places: Sequence[int]) -> list[str]:
        """For each place what came of it, such as "Dice 0.71" or "false alarm"."""
        rows = zip(self.overlaps.truth[places], self.overlaps.found[places], self.overlaps.dice[places], strict=True)
        return [_caption(int(truth), int(found), float(dice)) for truth, found, dice in rows]

    def __str__(self) -> str:
        return table(self.estimates)


def _caption(truth: int, found: int, dice: float) -> str:
    if truth and found:
        return f"Dice {dice:.2f}"
    return "missed" if truth else "false alarm" if found else "rightly empty"


def evaluate(network: paddle.nn.Layer, sets: Sets) -> Evaluation:
    """Find air on the test set, with the triplet that is best on the validation set.

    Taught in notebook 03.
    """
    valid, test = sets.valid, sets.test
    known, found = (np.round(probabilities(network, part) * 255).astype(np.uint8) for part in (valid, test))
    triplet = triplets.PLAIN
    if len(valid):
        triplet = triplets.choose(known / np.float32(255), np.asarray(valid.films.masks[valid.where]))
    truth = np.asarray(test.films.masks[test.where])
    values = found / np.float32(255)
    return Evaluation(
        cases=test.where,
        score=image_score(values),
        overlaps=overlap.measure(truth, triplets.apply(values, triplet)),
        plain=overlap.measure(truth, triplets.apply(values, triplets.PLAIN)),
        triplet=triplet,
        groups=test.films.groups[test.where],
        found=found,
    )


def pool(parts: Sequence[Evaluation]) -> Evaluation:
    """The test sets of several folds as one, each image judged by its own fold's triplet.

    Used by `python -m helpers.train --folds`.
    """
    whole = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ("cases", "score", "groups")}
    counts = {name: overlap.join(getattr(part, name) for part in parts) for name in ("overlaps", "plain")}
    found = np.concatenate([np.where(part.masks, np.uint8(255), np.uint8(0)) for part in parts])
    return Evaluation(**whole, **counts, triplet=triplets.PLAIN, found=found)


def mean_dice(truth: np.ndarray, log_odds: np.ndarray) -> float:
    """Mean Dice per image at a probability of one half, for the curves of a training.

    Example:
        >>> truth = np.array([[[[1.0, 1.0]]], [[[0.0, 0.0]]]])
        >>> mean_dice(truth, np.array([[[[3.0, -3.0]]], [[[-3.0, -3.0]]]])).round(3)
        np.float64(0.833)

    Taught in notebook 03.
    """
    return overlap.dice(truth[:, 0] > 0.5, log_odds[:, 0] > 0).mean()
