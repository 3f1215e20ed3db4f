"""How good a two-class network is, counted over cases and never as a mean of batches, beside a trivial rule.

Used by notebooks 01, 03, 04 and 05. A figure with too few cases behind it is not given.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from helpers.estimates import Estimate, auc_interval, plural, table, wilson

# With fewer cases of a class even a perfect score says little: 9 right of 9 may be 0.70 in truth (Wilson).
MIN_CASES = 10
CLASSES = ("normal", "abnormal")


class Confusion(NamedTuple):
    """Counts of cases by truth and decision; "positive" means that the network called it abnormal."""

    true_positive: int
    false_negative: int
    true_negative: int
    false_positive: int


class RocCurve(NamedTuple):
    """The points of a ROC curve, from the strictest threshold to the loosest."""

    false_positive_rate: np.ndarray
    true_positive_rate: np.ndarray
    threshold: np.ndarray


class BinaryReport(NamedTuple):
    """The four figures of a two-class problem; printed, they make a table."""

    accuracy: Estimate
    sensitivity: Estimate
    specificity: Estimate
    auc: Estimate

    def __str__(self) -> str:
        return table(self)


class Errors(NamedTuple):
    """How many of 100 patients a rule gets wrong, each as (figure, lower and upper limit of its 95 % interval)."""

    missed: tuple[float, float, float]
    alarms: tuple[float, float, float]


class PerHundred(NamedTuple):
    """The errors among 100 patients of a network at its threshold, and of the two rules that never look."""

    network: Errors
    always_yes: Errors
    always_no: Errors


def accuracy(truth: ArrayLike, score: ArrayLike, threshold: float = 0.5, *, majority: int) -> Estimate:
    """The share of cases that were called right, beside the rule that always says the commoner class.

    Args:
        truth: 1 for abnormal, 0 for normal; one a case.
        score: The network's confidence that a case is abnormal; one a case.
        threshold: A case with this score or more is called abnormal.
        majority: The commoner class of the **training** set, 0 or 1: the trivial rule may not look at the test set.

    Returns:
        The estimate with its Wilson interval; no value with fewer than ``MIN_CASES`` of either class.

    Raises:
        ValueError: If a score is not finite, a label is not 0 or 1, or the lengths differ.

    Example:
        >>> print(accuracy([0, 1] * 10, [0.2, 0.8] * 9 + [0.7, 0.6], majority=0))
        accuracy 0.95 (19 of 20), 95 % interval 0.76 to 0.99; always-majority 0.50

    Taught in notebook 01.
    """
    if majority not in (0, 1):
        raise ValueError(f"the majority class must be 0 or 1, but found {majority!r}")
    truth, score = _checked(truth, score)
    right = (score >= threshold) == (truth == 1)
    return _proportion("accuracy", right, truth, (0, 1), "always-majority", truth == majority)


def sensitivity(truth: ArrayLike, score: ArrayLike, threshold: float = 0.5) -> Estimate:
    """The share of abnormal cases that were found; "always-yes" finds them all, so never read it alone.

    Arguments, result and errors are those of `accuracy`, which also counts the normal cases.

    Example:
        >>> print(sensitivity([0, 1] * 10, [0.2, 0.8] * 9 + [0.7, 0.4]))
        sensitivity 0.90 (9 of 10), 95 % interval 0.60 to 0.98; always-yes 1.00

    Taught in notebook 01.
    """
    truth, score = _checked(truth, score)
    found = (score >= threshold)[truth == 1]
    return _proportion("sensitivity", found, truth, (1,), "always-yes", np.ones_like(found))


def specificity(truth: ArrayLike, score: ArrayLike, threshold: float = 0.5) -> Estimate:
    """The share of normal cases that were left in peace; "always-no" leaves them all, so never read it alone.

    Arguments, result and errors are those of `accuracy`, which also counts the abnormal cases.

    Example:
        >>> print(specificity([1, 1, 1], [0.9, 0.8, 0.3]))
        specificity cannot be measured: no normal case among 3 test cases (10 of a class are needed).

    Taught in notebook 01.
    """
    truth, score = _checked(truth, score)
    spared = (score < threshold)[truth == 0]
    return _proportion("specificity", spared, truth, (0,), "always-no", np.ones_like(spared))


def per_hundred(truth: ArrayLike, score: ArrayLike, threshold: float, prevalence: float) -> PerHundred:
    """Missed cases and false alarms among 100 patients, where so many are ill as the prevalence says.

    A test set is often half ill and half healthy, a clinic is not: sensitivity and specificity are carried over.

    Args:
        truth, score, threshold: As in `accuracy`.
        prevalence: The share of ill patients, from 0 to 1, taken as known: the intervals are those of sensitivity
            and specificity (Wilson).

    Raises:
        ValueError: If the prevalence is no share, if a class has fewer than ``MIN_CASES``, or as in `accuracy`.

    Example:
        >>> errors = per_hundred([0, 1] * 10, [0.2, 0.8] * 9 + [0.7, 0.4], threshold=0.5, prevalence=0.2)
        >>> print("missed {:.1f} ({:.1f} to {:.1f})".format(*errors.network.missed))
        missed 2.0 (0.4 to 8.1)
        >>> print("false alarms {:.1f} ({:.1f} to {:.1f})".format(*errors.network.alarms))
        false alarms 8.0 (1.4 to 32.3)

    Taught in notebook 01.
    """
    if not 0 <= prevalence <= 1:
        raise ValueError(f"a prevalence must be a share from 0 to 1, but is {prevalence!r}")
    rates = (sensitivity(truth, score, threshold), specificity(truth, score, threshold))
    if reasons := [str(rate) for rate in rates if rate.value is None]:
        raise ValueError(" ".join(reasons))
    ill, healthy = 100 * prevalence, 100 * (1 - prevalence)
    wrong = [(1 - rate.value, 1 - rate.high, 1 - rate.low) for rate in rates]
    network = Errors(*(tuple(size * part for part in parts) for size, parts in zip((ill, healthy), wrong, strict=True)))
    return PerHundred(network, Errors((0.0,) * 3, (healthy,) * 3), Errors((ill,) * 3, (0.0,) * 3))


def auc_value(truth: ArrayLike, score: ArrayLike) -> float:
    """The area under the ROC curve as a bare number, for a training loop that watches it.

    It is the chance that an abnormal case scores higher than a normal one, a tie counting half (Mann-Whitney).

    Raises:
        ValueError: If a class is missing, or as in `accuracy`.

    Example:
        >>> auc_value([0, 0, 1, 1], [0.1, 0.6, 0.6, 0.9])
        0.875

    Taught in notebook 01.
    """
    truth, score = _both_classes(*_checked(truth, score))
    normal, abnormal = np.sort(score[truth == 0]), score[truth == 1]
    wins_and_ties = sum(int(np.searchsorted(normal, abnormal, side).sum()) for side in ("left", "right"))
    return wins_and_ties / (2 * len(normal) * len(abnormal))


def roc_auc(truth: ArrayLike, score: ArrayLike) -> Estimate:
    """The area under the ROC curve with its interval (see `auc_interval`), beside the toss of a coin.

    Arguments, result and errors are those of `accuracy`; there is no threshold.

    Example:
        >>> print(roc_auc([0, 1] * 10, [0.2, 0.8] * 10))
        ROC AUC 1.00 (20 cases), 95 % interval 0.80 to 1.00; coin toss 0.50

    Taught in notebook 01.
    """
    truth, score = _checked(truth, score)
    if reason := _too_few(truth, (0, 1)):
        return Estimate("ROC AUC", cases=len(truth), baseline_name="coin toss", reason=reason)
    auc, abnormal = auc_value(truth, score), int((truth == 1).sum())
    low, high = auc_interval(auc, abnormal, len(truth) - abnormal)
    return Estimate("ROC AUC", auc, low, high, None, len(truth), "coin toss", 0.5)


def roc_curve(truth: ArrayLike, score: ArrayLike) -> RocCurve:
    """The points of the ROC curve, one for each distinct score, from (0, 0) to (1, 1).

    Raises:
        ValueError: If a class is missing, or as in `accuracy`.

    Example:
        >>> roc_curve([0, 1, 1], [0.1, 0.4, 0.9]).true_positive_rate
        array([0. , 0.5, 1. , 1. ])

    Taught in notebook 01.
    """
    truth, score = _both_classes(*_checked(truth, score))
    steps = np.unique(score)[::-1]
    rates = []
    for label in (0, 1):
        cases = np.sort(score[truth == label])
        called = len(cases) - np.searchsorted(cases, steps)
        rates.append(np.concatenate([[0.0], called / len(cases)]))
    return RocCurve(*rates, np.concatenate([[np.inf], steps]))


def confusion(truth: ArrayLike, score: ArrayLike, threshold: float = 0.5) -> Confusion:
    """Count the cases by what they are and what they were called.

    Example:
        >>> confusion([1, 1, 0, 0, 0], [0.9, 0.2, 0.1, 0.3, 0.5])
        Confusion(true_positive=1, false_negative=1, true_negative=2, false_positive=1)

    Taught in notebook 01.
    """
    truth, score = _checked(truth, score)
    ill, called = truth == 1, score >= threshold
    return Confusion(*(int(np.sum(cases)) for cases in (ill & called, ill & ~called, ~ill & ~called, ~ill & called)))


def binary_report(truth: ArrayLike, score: ArrayLike, threshold: float = 0.5, *, majority: int) -> BinaryReport:
    """Accuracy, sensitivity, specificity and ROC AUC of a two-class problem; arguments as in `accuracy`.

    Example:
        >>> binary_report([0, 1] * 10, [0.2, 0.8] * 10, majority=0).auc.value
        1.0

    Taught in notebook 01.
    """
    return BinaryReport(
        accuracy(truth, score, threshold, majority=majority),
        sensitivity(truth, score, threshold),
        specificity(truth, score, threshold),
        roc_auc(truth, score),
    )


def _checked(truth: ArrayLike, score: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    truth, score = np.asarray(truth), np.asarray(score)
    if truth.ndim != 1 or truth.shape != score.shape:
        raise ValueError(f"truth and score need one value a case, but their shapes are {truth.shape} and {score.shape}")
    for index, (label, value) in enumerate(zip(truth.tolist(), score.tolist(), strict=True)):
        if label not in (0, 1):
            raise ValueError(f"a label must be 0 or 1, but case {index} has {label!r}")
        if not isinstance(value, (int, float)) or not np.isfinite(value):
            raise ValueError(f"a score must be a finite number, but case {index} has {value!r}")
    return truth, score


def _both_classes(truth: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    for label, name in enumerate(CLASSES):
        if not (truth == label).any():
            raise ValueError(f"a ROC curve needs both classes, but found no {name} case among {len(truth)}")
    return truth, score


def _too_few(truth: np.ndarray, labels: tuple[int, ...]) -> str:
    found = [(int((truth == label).sum()), f"{CLASSES[label]} case") for label in labels]
    few = [plural(n, name) if n else f"no {name}" for n, name in found if n < MIN_CASES]
    only = "" if not few or few[0].startswith("no ") else "only "
    return (
        f"{only}{' and '.join(few)} among {plural(len(truth), 'test case')} ({MIN_CASES} of a class are needed)"
        if few
        else ""
    )


def _proportion(
    name: str, right: np.ndarray, truth: np.ndarray, labels: tuple[int, ...], rule: str, rule_right: np.ndarray
) -> Estimate:
    hits, cases = int(right.sum()), len(right)
    if reason := _too_few(truth, labels):
        return Estimate(name, cases=cases, baseline_name=rule, reason=reason)
    return Estimate(name, hits / cases, *wilson(hits, cases), hits, cases, rule, float(rule_right.mean()))
