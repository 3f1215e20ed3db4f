"""What the published pneumothorax tutorial got wrong, as arithmetic on tables and masks: what does each mistake cost?

Used by notebook 03. Every result prints as one sentence.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from helpers.masks import decode_rle, decode_union, is_empty
from helpers.overlap import Overlaps

KNOWN = " -1"  # the one text that the tutorial takes for an empty mask
BATCH = 16  # of the tutorial, whose Dice is pooled over a batch and then averaged
FILTERS = 16
EPSILON = 1e-5  # of Paddle's batch normalisation


class Misread(NamedTuple):
    """What becomes of a table's healthy images when one way of writing "empty" is known, and another was used.

    ``healthy`` of the ``images`` have no mask, ``ill`` have one, ``turned`` of the healthy are taken for ill.
    """

    written: str
    images: int
    healthy: int
    ill: int
    turned: int

    def __str__(self) -> str:
        found = f'written "{self.written}", {self.turned} of {self.healthy} healthy images would be taken for ill'
        return f"With an empty mask {found}: {self.ill + self.turned} of {self.images} instead of {self.ill}."


def misread(table: Mapping[str, Sequence[str]], written: str = "-1") -> Misread:
    """Count the healthy images that the tutorial takes for ill, if the table writes every empty mask like this.

    Args:
        table: All texts of every image.
        written: How an empty mask is written.

    Example:
        >>> print(misread({"a": ["-1"], "b": ["5 2"], "c": ["-1"]}))
        With an empty mask written "-1", 2 of 2 healthy images would be taken for ill: 3 of 3 instead of 1.

    Taught in notebook 03. The table that was published later writes "-1", the tutorial knows " -1" alone.
    """
    healthy = sum(all(map(is_empty, texts)) for texts in table.values())
    return Misread(written, len(table), healthy, len(table) - healthy, 0 if written == KNOWN else healthy)


class SeveralMasks(NamedTuple):
    """What becomes of images with several masks if only the last is kept, or if all are added up.

    Of ``images`` with several masks ``overlapping`` have some that share pixels. Keeping the last loses the share
    ``lost`` of all their pixels, and has the mean Dice ``dice`` with the union. Adding up counts the share ``twice``
    of all pixels more than once, and gives an answer that is right to the pixel a Dice of up to ``highest``.
    """

    images: int
    overlapping: int
    lost: float
    dice: float
    twice: float
    highest: float

    def __str__(self) -> str:
        last = f"the last mask alone loses {100 * self.lost:.0f} % of the pixels and has a mean Dice of {self.dice:.2f}"
        added = f'added up, a perfect answer would get a "Dice" of up to {self.highest:.2f}'
        return f"Of {self.images} images with several masks {self.overlapping} overlap: {last}; {added}."


def several_masks(table: Mapping[str, Sequence[str]], shape: tuple[int, int]) -> SeveralMasks:
    """Compare the union of an image's masks with the last of them, and with their sum.

    Args:
        table: All texts of every image.
        shape: (rows, columns) of the images.

    Raises:
        ValueError: If no image has several masks, or a text cannot be decoded.

    Example:
        >>> print(several_masks({"a": ["0 6", "4 4"], "b": ["-1"]}, (4, 4)))  # doctest: +NORMALIZE_WHITESPACE
        Of 1 images with several masks 1 overlap: the last mask alone loses 50 % of the pixels and has a mean Dice of
        0.67; added up, a perfect answer would get a "Dice" of up to 1.11.

    Taught in notebook 03.
    """
    union, last, added, twice = [], [], [], []
    for texts in table.values():
        texts = [text for text in texts if not is_empty(text)]
        if len(texts) > 1:
            drawn = [np.count_nonzero(decode_rle(text, shape)) for text in texts]
            union.append(np.count_nonzero(decode_union(texts, shape)))
            last.append(drawn[-1])
            added.append(sum(drawn))
            twice.append(added[-1] - union[-1])
    if not union:
        raise ValueError(f"several masks on an image are needed, but none of {len(table)} images has them")
    union, last, added, twice = map(np.array, (union, last, added, twice))
    return SeveralMasks(
        images=len(union),
        overlapping=int(np.count_nonzero(twice)),
        lost=float(1 - last.sum() / union.sum()),
        dice=float((2 * last / (last + union)).mean()),
        twice=float(twice.sum() / union.sum()),
        highest=float((2 * added / (added + union)).max()),
    )


class DiceKinds(NamedTuple):
    """Four figures for the same masks, all called Dice.

    ``per_image`` is that of the competition, an image with nothing to find and nothing found counting 1;
    ``positives`` is the same over the images with something to find, NaN without any; ``pooled`` takes all images for
    one; ``batches`` pools over a batch and averages the batches, as the tutorial does; ``all_empty`` is the per-image
    figure of a network that never finds anything.
    """

    images: int
    per_image: float
    positives: float
    pooled: float
    batches: float
    all_empty: float

    def __str__(self) -> str:
        kinds = f"per image {self.per_image:.3f}, positives only {self.positives:.3f}, pooled {self.pooled:.3f}"
        rest = f"pooled by batch {self.batches:.3f}; all-empty gets {self.all_empty:.3f} per image"
        return f"Dice of the same {self.images} images: {kinds}, {rest}."


def dice_kinds(overlaps: Overlaps, batch: int = BATCH) -> DiceKinds:
    """Compute the Dice per image beside the pooled ones, for the same masks.

    Args:
        overlaps: The pixels of every image.
        batch: Images that the tutorial pools over; the last batch may be smaller.

    Raises:
        ValueError: If there is no image, or a batch holds none.

    Example:
        >>> counts = np.array([90, 0, 0]), np.array([100, 0, 20]), np.array([100, 10, 0])
        >>> print(dice_kinds(Overlaps(*counts)))  # doctest: +NORMALIZE_WHITESPACE
        Dice of the same 3 images: per image 0.300, positives only 0.450, pooled 0.783, pooled by batch 0.783;
        all-empty gets 0.333 per image.

    Taught in notebook 03.
    """
    images = len(overlaps.truth)
    if not images or batch < 1:
        raise ValueError(f"images in batches are needed, but found {images} in batches of {batch}")
    counts = np.array([overlaps.both, overlaps.truth, overlaps.found])
    pooled = [Overlaps(*counts[:, start : start + batch]).pooled for start in range(0, images, batch)]
    positives = overlaps.dice[overlaps.positive]
    return DiceKinds(
        images=images,
        per_image=float(overlaps.dice.mean()),
        positives=float(positives.mean()) if positives.size else float("nan"),
        pooled=overlaps.pooled,
        batches=float(np.mean(pooled)),
        all_empty=float((~overlaps.positive).mean()),
    )


class FirstLayer(NamedTuple):
    """How far a first layer's answers spread (standard deviation), for greys from 0 to 1 and from 0 to 255.

    ``unit`` and ``bytes`` are those of the convolution; ``apart`` is by how much the two differ (root mean square),
    in standard deviations, once a batch normalisation has followed.
    """

    unit: float
    bytes: float
    apart: float

    def __str__(self) -> str:
        spread = f"spread by {self.unit:.2f} for greys from 0 to 1, by {self.bytes:.0f} for 0 to 255"
        return f"The first layer's answers {spread}; behind a batch normalisation they differ by {self.apart:.4f}."


def first_layer(images: np.ndarray, seed: int = 0) -> FirstLayer:
    """Send images through the convolution that a network starts with, as greys from 0 to 1 and from 0 to 255.

    The tutorial's images enter as 0 to 255, where it means 0 to 1. The answers then spread 255 times as far as the
    weights are drawn for. A batch normalisation that follows takes it back, as in the tutorial's network: not every
    mistake has a price.

    Args:
        images: ``float32`` [images, rows, columns] in [0, 1].
        seed: Of the weights, ``FILTERS`` kernels of 3 x 3 in Kaiming's manner.

    Raises:
        ValueError: If no image is given, or it is not in [0, 1].

    Example:
        >>> layer = first_layer(np.random.default_rng(0).random((2, 32, 32), np.float32))
        >>> round(layer.bytes / layer.unit), layer.apart < 0.01
        (255, True)

    Taught in notebook 03.
    """
    if images.ndim != 3 or not images.size or not (images.min() >= 0 and images.max() <= 1):
        raise ValueError(f"images [images, rows, columns] in [0, 1] are expected, but the shape is {images.shape}")
    kernels = np.random.default_rng(seed).normal(0, (2 / 9) ** 0.5, (FILTERS, 3, 3))
    spread, apart = [], []
    for kernel in kernels:
        unit = np.stack([cv2.filter2D(image.astype(np.float64), -1, kernel) for image in images])
        spread.append(unit.std())
        normal = [(answers - answers.mean()) / np.sqrt(answers.var() + EPSILON) for answers in (unit, unit * 255)]
        apart.append(np.square(normal[0] - normal[1]).mean())
    return FirstLayer(float(np.mean(spread)), float(np.mean(spread)) * 255, float(np.mean(apart)) ** 0.5)


class Unseen(NamedTuple):
    """How many of the images for validation are never looked at, because they do not fill a batch."""

    images: int
    batch: int
    unseen: int

    def __str__(self) -> str:
        return (
            f"In whole batches of {self.batch}, {self.unseen} of {self.images} validation images are never looked at."
        )


def never_validated(images: int, batch: int = BATCH) -> Unseen:
    """Count the validation images that are left over by whole batches.

    Raises:
        ValueError: If a batch holds no image, or there are fewer than none.

    Example:
        >>> print(never_validated(1067))
        In whole batches of 16, 11 of 1067 validation images are never looked at.

    Taught in notebook 03.
    """
    if batch < 1 or images < 0:
        raise ValueError(f"images in batches are needed, but found {images} in batches of {batch}")
    return Unseen(images, batch, images % batch)
