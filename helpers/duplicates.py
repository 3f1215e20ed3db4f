"""The same picture twice: perceptual hashes that survive saving anew, and which cases must stay in one set.

Used by notebook 04: a copy of a training image in the test set is no test.
"""

from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SIDE = 64  # pixels; what a picture is shrunk to
SIGNS, WAVES = 8, 24  # so many waves a side make the hash, and the details
MOST_BITS = 10  # of 63 in which copies may differ
LEAST_MATCH = 0.95  # correlation of the details of copies


class Marks(NamedTuple):
    """What a picture is known by.

    ``hash`` holds, as bits, the signs of its 63 coarsest waves; ``details`` is ``float32`` [575] of length 1, its waves
    up to 24 a side, the finer the more weight. A picture of one grey has neither: both are 0.
    """

    hash: int
    details: np.ndarray


def mark(pixels: np.ndarray) -> Marks:
    """Describe a grey picture so that a copy saved anew, resized or brightened is described alike.

    The picture is shrunk to 64 x 64 and taken apart into waves (a cosine transform); its mean is left out. All chests
    share the coarse waves, so the finer count more: each is weighted by its frequency to the power of 0.75.

    Args:
        pixels: [rows, columns], any range of grey.

    Example:
        >>> picture = np.random.default_rng(0).random((90, 80))
        >>> one, brighter = mark(picture), mark(0.5 + 0.3 * picture)
        >>> (one.hash ^ brighter.hash).bit_count(), round(float(one.details @ brighter.details), 3)
        (0, 1.0)

    Taught in notebook 04. Source of the hash: the "pHash" of Zauner 2010, Implementation and benchmarking of perceptual
    image hash functions.
    """
    small = cv2.resize(np.asarray(pixels, np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    spread = float(small.max() - small.min())
    if spread < 1e-6 * max(abs(float(small.max())), 1e-30):
        return Marks(0, np.zeros(WAVES * WAVES - 1, np.float32))
    waves = cv2.dct((small - small.mean()) / spread)
    signs = waves[:SIGNS, :SIGNS].ravel()[1:] > 0
    row, column = np.indices((WAVES, WAVES))
    details = (waves[:WAVES, :WAVES] * np.hypot(row, column) ** 0.75).ravel()[1:]
    packed = int.from_bytes(np.packbits(signs).tobytes(), "big")
    return Marks(packed, (details / np.linalg.norm(details)).astype(np.float32))


def near_pairs(hashes: np.ndarray, details: np.ndarray) -> np.ndarray:
    """Find the pictures that are nearly the same.

    Hashes of different chests may differ in 4 bits only, so a hash alone cannot tell: it says who is compared, and the
    details decide. Among 251 radiographs of children and adults from several hospitals, different ones matched by 0.80
    at most; phantoms of different patients, which are more alike, by 0.946. Copies matched by 0.957 or more when they
    were saved as JPEG of quality 30, resized to a third or twice the size, made brighter, or given another contrast
    (0.8 to 1.3) or gamma (0.7 to 1.3): all were found. So were 99 % of those cropped by 1 % a side and 89 % of those
    turned by 1 degree; most that are cropped or turned further, mirrored, or written on in large letters are not.

    Args:
        hashes: ``uint64`` [pictures], of `mark`.
        details: ``float32`` [pictures, 575], of `mark`.

    Returns:
        ``int64`` [pairs, 2], the smaller index first.

    Example:
        >>> one, other = np.random.default_rng(0).random((2, 64, 64))
        >>> marks = [mark(one), mark(other), mark(one**1.1)]
        >>> near_pairs(np.array([m.hash for m in marks], np.uint64), np.stack([m.details for m in marks]))
        array([[0, 2]])

    Taught in notebook 04.
    """
    found = [np.zeros((0, 2), np.int64)]
    for index in range(len(hashes) - 1):
        alike = index + 1 + np.flatnonzero(np.bitwise_count(hashes[index + 1 :] ^ hashes[index]) <= MOST_BITS)
        alike = alike[details[alike] @ details[index] >= LEAST_MATCH]
        found.append(np.stack([np.full(len(alike), index), alike], axis=1))
    return np.concatenate(found)


def unite(count: int, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    """Number the groups of what hangs together, over however many pairs.

    Args:
        count: How many members there are in all.
        pairs: Indices of two members that belong together.

    Returns:
        ``int64`` [count], the group of each member.

    Example:
        >>> unite(5, [(0, 3), (3, 4)])
        array([0, 1, 2, 0, 0])

    Taught in notebook 04.
    """
    one, other = np.array([*pairs], np.int64).reshape(-1, 2).T
    return connected_components(coo_array((np.ones(len(one)), (one, other)), (count, count)))[1].astype(np.int64)
