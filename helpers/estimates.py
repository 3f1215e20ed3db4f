"""What a measured figure is: its value, its 95 % interval, what it was counted over, and a trivial rule beside it.

Used by every notebook: no figure is shown without the three.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scipy.optimize import brentq

Z = 1.959963984540054  # the normal deviate that leaves 2.5 % on each side
HEADER = ["metric", "value", "counts", "95 % interval", "trivial rule"]


@dataclass(frozen=True)
class Estimate:
    """A figure measured on some cases, or the reason why it cannot be measured.

    Attributes:
        name: What was measured, such as "ROC AUC".
        value: The figure, or None where there are too few cases.
        low, high: Its 95 % interval.
        hits: How many cases were right, where the figure is a proportion.
        cases: How many cases it was counted over.
        baseline_name, baseline: The trivial rule beside it, and what that rule gets on the same cases.
        reason: Why there is no value.

    Example:
        >>> print(Estimate("accuracy", 47 / 60, *wilson(47, 60), 47, 60, "always-majority", 0.5))
        accuracy 0.78 (47 of 60), 95 % interval 0.66 to 0.87; always-majority 0.50

    Taught in notebook 01.
    """

    name: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    hits: int | None = None
    cases: int = 0
    baseline_name: str = ""
    baseline: float | None = None
    reason: str = ""

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.name} cannot be measured: {self.reason}."
        name, figure, counts, interval, rule = self.row
        return f"{name} {figure} ({counts}), 95 % interval {interval}; {rule}"

    @property
    def verdict(self) -> str:
        """Whether the figure can be told from that of the trivial rule, in words.

        Example:
            >>> print(Estimate("accuracy", 47 / 60, *wilson(47, 60), 47, 60, "always-majority", 0.5).verdict)
            accuracy is better than always-majority: the whole interval lies above it
        """
        if self.value is None:
            return str(self)
        if self.low > self.baseline:
            return f"{self.name} is better than {self.baseline_name}: the whole interval lies above it"
        return f"{self.name} cannot be told from {self.baseline_name}: the interval reaches down to it"

    @property
    def row(self) -> list[str]:
        """Its line in a table, under ``HEADER``."""
        counts = plural(self.cases, "case") if self.hits is None else f"{self.hits} of {self.cases}"
        if self.value is None:
            return [self.name, "too few", counts, "-", "-"]
        interval = f"{figure(self.low)} to {figure(self.high)}"
        return [self.name, figure(self.value), counts, interval, f"{self.baseline_name} {figure(self.baseline)}"]


def figure(value: float) -> str:
    """Print a figure between 0 and 1 with two decimals, or with as many as keep it from reading like 0 or 1.

    Example:
        >>> figure(0.875), figure(0.9996), figure(1.0)
        ('0.88', '0.9996', '1.00')

    Used by every notebook that shows a result: 0.9996 is not perfect.
    """
    digits = 2
    while 0 < value < 1 and digits < 9 and round(value, digits) in (0, 1):
        digits += 1
    return f"{value:.{digits}f}"


def plural(count: int, noun: str) -> str:
    """Count something in words: "1 case", "2 cases"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def wilson(hits: int, cases: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a proportion.

    It stays inside [0, 1] and does not collapse when all cases are right, as the textbook interval does.

    Args:
        hits: How many cases were right.
        cases: How many cases there were.

    Returns:
        The lower and the upper limit.

    Raises:
        ValueError: Unless ``0 <= hits <= cases`` and there is a case.

    Example:
        >>> low, high = wilson(60, 60)
        >>> print(f"60 of 60 right: at least {low:.2f}")
        60 of 60 right: at least 0.94

    Taught in notebook 01. Source: Wilson 1927; see Newcombe 1998, Statistics in Medicine 17:857-872.
    """
    if not 0 <= hits <= cases or cases == 0:
        raise ValueError(f"a proportion needs 0 <= hits <= cases and a case, but found {hits} of {cases}")
    middle = (hits + Z * Z / 2) / (cases + Z * Z)
    half = Z / (cases + Z * Z) * math.sqrt(hits * (cases - hits) / cases + Z * Z / 4)
    # Exact at the ends, where rounding would leave 1e-17.
    return (0.0 if hits == 0 else middle - half), (1.0 if hits == cases else middle + half)


def auc_interval(auc: float, abnormal: int, normal: int) -> tuple[float, float]:
    """A 95 % interval of the area under a ROC curve that stays honest near 1.

    As in Wilson's interval, the limits are the areas from which the measured one lies 1.96 standard errors away, the
    error being that of the limit itself. So a perfect ranking of 30 and 30 cases still reads "0.93 to 1.00", where
    a bootstrap and DeLong's formula claim "1.00 to 1.00". The standard error is Hanley and McNeil's. In simulations
    with 30 and 30 cases, true areas of 0.5 to 0.995 and unequal spread, it covered the truth in 94-98 % of the runs,
    DeLong's interval in 49-94 %. With 12 against 48 cases and spreads of 1 to 2 it sank to 89 %.

    Args:
        auc: The measured area.
        abnormal: Number of abnormal cases.
        normal: Number of normal cases.

    Returns:
        The lower and the upper limit.

    Example:
        >>> low, high = auc_interval(1.0, 30, 30)
        >>> print(f"{low:.2f} to {high:.2f}")
        0.93 to 1.00

    Taught in notebook 01. Source: Newcombe 2006, Statistics in Medicine 25:559-573, method 5.
    """
    spread = (abnormal + normal) / 2 - 1

    def excess(area: float) -> float:
        pairs = 1 + spread * ((1 - area) / (2 - area) + area / (1 + area))
        return (area - auc) ** 2 - Z * Z * area * (1 - area) * pairs / (abnormal * normal)

    # 0 and 1 solve the equation for a measured 0 and 1 as well, but are not the limits: start just inside of them.
    low = 0.0 if auc == 0 else brentq(excess, 0.0, auc * (1 - 1e-9))
    high = 1.0 if auc == 1 else brentq(excess, auc + (1 - auc) * 1e-9, 1.0)
    return low, high


def table(estimates: Iterable[Estimate]) -> str:
    """Set estimates out as plain text; the reason why one cannot be measured stands below.

    Example:
        >>> right = Estimate("sensitivity", 0.9, *wilson(9, 10), 9, 10, "always-yes", 1.0)
        >>> print(table([right, Estimate("specificity", cases=0, reason="no normal case among 10 test cases")]))
        metric       value    counts   95 % interval  trivial rule
        sensitivity  0.90     9 of 10  0.60 to 0.98   always-yes 1.00
        specificity  too few  0 cases  -              -
        specificity cannot be measured: no normal case among 10 test cases.

    Taught in notebook 01.
    """
    estimates = list(estimates)
    return "\n".join([aligned([HEADER, *(e.row for e in estimates)]), *(str(e) for e in estimates if e.value is None)])


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Set rows of texts out in columns, two spaces apart.

    Example:
        >>> print(aligned([["set", "cases"], ["training", "140"]]))
        set       cases
        training  140

    Used by the tables of every notebook.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
