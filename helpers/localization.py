"""Finding L3 as a task: what a network is shown as the truth, when it may say "not in view", and how far off it is.

Used by notebook 02. Errors are in mm along the body, positive towards the feet.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from helpers.estimates import Estimate, table, wilson
from helpers.mip import middle_columns

NEAR = 15.0  # mm; half a vertebra and its disc: nearer than this, it is the right level
DRAWS = 1000  # of the bootstrap
LEAST_PATIENTS = 10


def band(row: float | None, shape: tuple[int, ...], half_mm: float = 3.0, mm: float = 1.0) -> np.ndarray:
    """Draw L3 as a band of rows, over the middle columns of an image: those that `blank_sides` leaves.

    Args:
        row: Where L3 is, or None if it is not in view.
        shape: (rows, columns) of the image, or (rows,) for one confidence a row.
        half_mm: The band reaches so far up and down; at the edge of the image it is cut, but never gone.
        mm: Size of a pixel.

    Returns:
        ``float32`` of the shape, 1 in the band and 0 elsewhere.

    Example:
        >>> band(1.0, (6,), half_mm=3.0)
        array([1., 1., 1., 1., 1., 0.], dtype=float32)

    Taught in notebook 02. Source: the published tutorial, whose band vanished near the edge.
    """
    rows = np.arange(shape[0])
    label = np.zeros(shape[0]) if row is None else abs(rows - _checked(row, shape[0])) <= max(half_mm / mm, 0.5)
    return _spread(label, shape)


def gaussian(row: float | None, shape: tuple[int, ...], sigma_mm: float = 5.0, mm: float = 1.0) -> np.ndarray:
    """Draw L3 as a bump of confidence that fades to both sides; arguments and result are those of `band`.

    Args:
        sigma_mm: Standard deviation of the bump.

    Example:
        >>> gaussian(2.0, (5,), sigma_mm=2.0, mm=2.0).round(2)
        array([0.14, 0.61, 1.  , 0.61, 0.14], dtype=float32)

    For studies beside notebook 02, which asks with `band`. Source: Kanavati et al. 2018.
    """
    rows = np.arange(shape[0])
    label = np.zeros(shape[0])
    if row is not None:
        label = np.exp(-(((rows - _checked(row, shape[0])) * mm / sigma_mm) ** 2) / 2)
    return _spread(label, shape)


def _checked(row: float, rows: int) -> float:
    if not -0.5 <= row <= rows - 0.5:
        raise ValueError(f"row {row:g} lies outside an image of {rows} rows")
    return row


def _spread(label: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if len(shape) == 1:
        return label.astype(np.float32)
    return (label[:, None] * middle_columns(shape[1])).astype(np.float32)


def choose_threshold(with_l3: ArrayLike, without_l3: ArrayLike, refused: float = 0.1) -> float:
    """Choose the confidence below which L3 is "not in view", on validation scans.

    Of the thresholds that refuse few enough of the scans with L3, the one with the best balanced accuracy, half-way
    between the two confidences around it.

    Args:
        with_l3: Confidence for every validation scan that shows L3.
        without_l3: The same for those that do not.
        refused: At most this share of the scans with L3 may be refused.

    Returns:
        The threshold: confidences below it mean that L3 is not in view.

    Raises:
        ValueError: If there is no scan of either kind.

    Example:
        >>> choose_threshold([0.9, 0.8, 0.7, 0.95], [0.1, 0.3, 0.2])
        0.5

    Taught in notebook 02.
    """
    shown, hidden = np.sort(np.asarray(with_l3, float)), np.asarray(without_l3, float)
    if not len(shown) or not len(hidden):
        raise ValueError(f"a threshold needs scans with and without L3, but there are {len(shown)} and {len(hidden)}")
    values = np.unique([0.0, *shown, *hidden, 1.0])
    choices = np.append(0.0, (values[:-1] + values[1:]) / 2)  # 0 refuses nobody
    lost = np.array([np.mean(shown < choice) for choice in choices])
    caught = np.array([np.mean(hidden < choice) for choice in choices])
    gain = np.where(lost <= refused, caught - lost, -np.inf)
    return float(choices[np.flatnonzero(gain == gain.max())[-1]])


class LocalizationReport(NamedTuple):
    """Distances between the found and the true row; printed, they make a table."""

    median: Estimate
    mean: Estimate
    spread: Estimate
    percentile95: Estimate
    bias: Estimate
    near: Estimate

    def __str__(self) -> str:
        return table(self)

    @property
    def verdict(self) -> str:
        """Whether the median error can be told from that of the trivial rule, in words; smaller is better."""
        median = self.median
        if median.value is None:
            return str(median)
        if median.high < median.baseline:
            return f"the median error is smaller than that of {median.baseline_name}: the whole interval lies below it"
        return f"the median error cannot be told from that of {median.baseline_name}: the interval reaches up to it"


STATISTICS = {
    "median error, mm": lambda errors: np.median(abs(errors)),
    "mean error, mm": lambda errors: np.mean(abs(errors)),
    "SD of the signed error, mm": lambda errors: np.std(errors),
    "95th percentile, mm": lambda errors: np.percentile(abs(errors), 95),
    "bias, mm (+ towards the feet)": lambda errors: np.mean(errors),
}


def report(
    errors: ArrayLike, baseline: ArrayLike, patients: Sequence | None = None, rule: str = "constant row", seed: int = 0
) -> LocalizationReport:
    """Sum up how far off the found rows are, with 95 % intervals and the trivial rule beside every figure.

    The intervals come from a bootstrap that draws patients, not scans: two scans of one patient are no two proofs.

    Args:
        errors: Found minus true place in mm, positive towards the feet; one a scan.
        baseline: The same for the trivial rule.
        patients: Who was scanned, one a scan; everybody once when left out.
        rule: What the trivial rule is called.
        seed: Of the bootstrap.

    Returns:
        Median, mean, SD, 95th percentile, bias and the share within ``NEAR`` mm; no value below ``LEAST_PATIENTS``.

    Raises:
        ValueError: If an error is not finite or the lengths differ.

    Example:
        >>> errors = [1.0, -2.0, 3.0, 0.0, 2.0, -1.0, 4.0, 1.0, 2.0, 30.0, 1.0, 0.0]
        >>> print(report(errors, np.linspace(-60, 60, 12)).median)
        median error, mm 1.50 (12 cases), 95 % interval 1.00 to 2.50; constant row 32.73

    Taught in notebook 02.
    """
    errors, baseline = np.asarray(errors, float), np.asarray(baseline, float)
    patients = np.arange(len(errors)) if patients is None else np.unique(np.asarray(patients), return_inverse=True)[1]
    if not errors.shape == baseline.shape == patients.shape or errors.ndim != 1:
        lengths = f"{errors.shape}, {baseline.shape} and {patients.shape}"
        raise ValueError(f"errors, baseline and patients must be as many, but have the shapes {lengths}")
    if not (np.isfinite(errors).all() and np.isfinite(baseline).all()):
        raise ValueError("an error is no number; leave out the scans where L3 was not found, and count them apart")
    groups = [np.flatnonzero(patients == patient) for patient in np.unique(patients)]
    if len(groups) < LEAST_PATIENTS:
        reason = f"{len(groups)} patients ({LEAST_PATIENTS} are needed)"
        names = [*STATISTICS, f"within {NEAR:g} mm"]
        return LocalizationReport(*(Estimate(name, cases=len(errors), reason=reason) for name in names))
    rng = np.random.default_rng(seed)
    draws = [np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))]) for _ in range(DRAWS)]
    estimates = []
    for name, statistic in STATISTICS.items():
        low, high = np.percentile([statistic(errors[draw]) for draw in draws], [2.5, 97.5])
        value, trivial = float(statistic(errors)), float(statistic(baseline))
        estimates.append(Estimate(name, value, float(low), float(high), None, len(errors), rule, trivial))
    hits = int(np.sum(abs(errors) <= NEAR))
    near = (
        hits / len(errors),
        *wilson(hits, len(errors)),
        hits,
        len(errors),
        rule,
        float(np.mean(abs(baseline) <= NEAR)),
    )
    return LocalizationReport(*estimates, Estimate(f"within {NEAR:g} mm", *near))
