"""What the network of notebook 02 is shown and asked: projections, and for every vertebra "which row, or none?".

Used by notebook 02 through `l3_job`.
"""

from collections.abc import Sequence

import numpy as np
import paddle
from scipy.special import expit

from helpers import augment_mip, l3_scans, localization
from helpers.l3_scans import MM, TARGET

VIEWS = {"frontal": [0], "sagittal": [1], "both": [0, 1]}  # channels of the prepared images
ROWS = 160  # of a training image: 48 cm; a longer scan is cut at random
SIGMA = 4.0  # mm; how far around the truth a row counts as right in part
AROUND = 2  # rows to each side whose probability is summed: an answer within 6 mm is one answer


class Rows(paddle.io.Dataset):
    """Projections and the rows of their vertebrae, as a data set that Paddle can load from.

    Args:
        prepared: From `l3_scans.prepare`.
        where: Indices of the cases of this set.
        seed: Of the variation.
        view: "frontal", "sagittal" or "both".
        change: "nothing"; "vary" for training; "leave out" for copies on which L3 was cut off.
        ask: "levels" for all vertebrae, "row" or "pixel" for L3 alone, as the published tutorial does.

    An item is (``float32`` [channels, rows, 96] in [0, 1], target). For "levels" the target is ``float32``
    [levels, rows + 1]: for each vertebra the probability of every row and, last, of "not in view"; all 0 where it is
    not known. For "row" and "pixel" it is the published band around L3, [1, rows] or [1, rows, 96]. Like every
    variation of the course it depends on (seed, epoch, index) alone.

    Taught in notebook 02.
    """

    def __init__(
        self,
        prepared: l3_scans.Prepared,
        where: Sequence[int],
        seed: int,
        view: str = "frontal",
        change: str = "nothing",
        ask: str = "levels",
    ):
        self.prepared, self.where, self.seed = prepared, np.asarray(where, dtype=int), seed
        self.view, self.change, self.ask, self.epoch = view, change, ask, 0
        self.mirrored = False  # whether to show right and left swapped

    def __len__(self) -> int:
        return len(self.where)

    def __getitem__(self, item: int) -> tuple[np.ndarray, np.ndarray]:
        index = int(self.where[item])
        image = self.prepared.images[index][VIEWS[self.view]].astype(np.float32) / 255
        levels, known = self.prepared.levels[index], self.prepared.known[index]
        frontal = slice(0, 0 if self.view == "sagittal" else 1)
        rng = np.random.default_rng([self.seed, self.epoch, index])
        if self.change == "leave out":
            middle = (image.shape[2] - 1) / 2
            image, levels = augment_mip.leave_out(image, levels, levels[TARGET], middle, frontal, rng)
        elif self.change == "vary":
            image, levels = augment_mip.vary(image, levels, TARGET, rng, frontal=frontal)
            image, levels = _cut(image, levels, rng)
        if self.mirrored:
            image = augment_mip.flip(image, frontal)
        if self.ask == "levels":
            return np.ascontiguousarray(image), _target(levels, known, image.shape[1])
        row = None if np.isnan(levels[TARGET]) else float(levels[TARGET])
        shape = image.shape[1:2] if self.ask == "row" else image.shape[1:]
        return np.ascontiguousarray(image), localization.band(row, shape, mm=MM)[None]


def _cut(image: np.ndarray, levels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Cut ``ROWS`` rows out of a longer image, or add black to a shorter one."""
    end = int(np.flatnonzero(image.any(axis=(0, 2))).max(initial=0)) + 1
    first = int(rng.integers(max(end - ROWS, 0) + 1))
    image = image[:, first : first + ROWS]
    levels = np.where((levels >= first) & (levels < first + ROWS), levels - first, np.nan)
    return np.pad(image, ((0, 0), (0, ROWS - image.shape[1]), (0, 0))), levels


def _target(levels: np.ndarray, known: np.ndarray, rows: int) -> np.ndarray:
    away = (np.arange(rows) - levels[:, None]) * MM
    bump = np.nan_to_num(np.exp(-((away / SIGMA) ** 2) / 2))
    bump /= np.maximum(bump.sum(axis=1, keepdims=True), 1e-9)
    return (np.concatenate([bump, np.isnan(levels)[:, None]], axis=1) * known[:, None]).astype(np.float32)


def row_entropy(outputs: paddle.Tensor, targets: paddle.Tensor) -> paddle.Tensor:
    """Cross-entropy over "which row, or none?", averaged over the vertebrae whose truth is known.

    Args:
        outputs: Log-odds [cases, levels, rows]; those of "not in view" are 0 and need no output.
        targets: Probabilities [cases, levels, rows + 1].

    Example:
        >>> nothing = paddle.zeros([1, 1, 3])
        >>> round(row_entropy(nothing, paddle.to_tensor([[[0.0, 1.0, 0.0, 0.0]]])).item(), 4)  # one of four
        1.3863

    Taught in notebook 02.
    """
    absent = paddle.zeros([*outputs.shape[:2], 1])
    spread = paddle.nn.functional.log_softmax(paddle.concat([outputs, absent], axis=2), axis=2)
    return -(targets * spread).sum() / targets.sum()


def confidence(outputs: np.ndarray) -> np.ndarray:
    """How sure a network is that L3 lies within 6 mm of each row, 0 to 1.

    Args:
        outputs: Log-odds [cases, levels, rows], or for L3 alone [cases, 1, rows] or [cases, 1, rows, columns].

    Returns:
        ``float64`` [cases, rows]. An answer a pixel counts by the highest tenth of every row's columns.

    Taught in notebook 02.
    """
    if outputs.ndim == 4:
        best = max(1, outputs.shape[3] // 10)
        return np.partition(expit(outputs[:, 0].astype(float)), -best, axis=2)[:, :, -best:].mean(axis=2)
    if outputs.shape[1] == 1:
        return expit(outputs[:, 0].astype(float))
    l3 = np.asarray(outputs, float)[..., TARGET, :]
    top = np.maximum(l3.max(axis=-1, keepdims=True), 0)
    odds = np.exp(l3 - top)
    share = odds / (odds.sum(axis=-1, keepdims=True) + np.exp(-top))
    padded = np.pad(share, [(0, 0)] * (share.ndim - 1) + [(AROUND, AROUND)])
    return np.minimum(sum(padded[..., k : k + share.shape[-1]] for k in range(2 * AROUND + 1)), 1.0)


def right_level(targets: np.ndarray, outputs: np.ndarray) -> float:
    """The share of cases whose L3 is found within half a vertebra; 0 where no case shows it.

    Taught in notebook 02.
    """
    if targets.ndim == 4:
        truth = targets[:, 0].max(axis=2)
    else:
        truth = targets[:, 0] if targets.shape[1] == 1 else targets[:, TARGET, :-1]
    shown = truth.sum(axis=1) > 0
    if not shown.any():
        return 0.0
    rows = np.arange(truth.shape[1])
    true = (truth[shown] * rows).sum(axis=1) / truth[shown].sum(axis=1)  # the middle of the bump or band
    found = confidence(outputs[shown]).argmax(axis=1)
    return float(np.mean(abs(true - found) * MM <= localization.NEAR))
