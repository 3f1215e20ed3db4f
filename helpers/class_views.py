"""Pictures of how a network sorts cases into classes: its confusions, and whether it is right as often as it is sure.

Used by notebook 04 through `helpers.views`.
"""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike

from helpers.estimates import plural, wilson
from helpers.pictures import BLUE, GREY, WIDTH, Picture, our_style

SHADES = LinearSegmentedColormap.from_list("shades", ["white", BLUE])
CELL, SIDE, FOOT = 0.75, 1.7, 0.45  # inches: height of a row, room for the names at the left, and below


def confusion(matrix: ArrayLike, classes: Sequence[str], title: str = "", origin: str = "") -> Picture:
    """Draw how many cases of each class were taken for which, as a table shaded by the share of each row.

    Args:
        matrix: Counts [true class, class said].
        classes: Their names, in the same order.
        title: Written above.
        origin: "phantom" or "real", written below.

    Raises:
        ValueError: If the matrix does not hold a count for each pair of classes.

    Example:
        >>> confusion([[9, 1], [0, 5]], ["normal", "covid"]).alt
        'Of 10 normal: 9 said normal, 1 said covid; of 5 covid: 0 said normal, 5 said covid.'

    Taught in notebook 04.
    """
    matrix = np.asarray(matrix)
    if matrix.shape != (len(classes),) * 2 or matrix.dtype.kind not in "iu" or matrix.min(initial=0) < 0:
        raise ValueError(f"{len(classes)} classes need counts for each pair, but found {matrix.tolist()}")
    size, totals = len(classes), matrix.sum(axis=1)
    shares = matrix / np.maximum(totals, 1)[:, None]
    wide = min(1.6 * size, WIDTH - SIDE - 0.3)
    with our_style():
        heads = [textwrap.fill(name, max(4, int(11 * wide / size))) for name in classes]
        top = (0.35 if title else 0) + 0.4 + 0.17 * max(head.count("\n") + 1 for head in heads)
        page = np.array([max(SIDE + wide + 0.3, 4.4), top + CELL * size + FOOT])
        figure = Figure(figsize=page)
        figure.text(0.1 / page[0], 1 - 0.1 / page[1], title, size=11, va="top")
        ax = figure.add_axes([SIDE / page[0], FOOT / page[1], wide / page[0], CELL * size / page[1]])
        ax.imshow(shares, cmap=SHADES, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
        for (row, column), count in np.ndenumerate(matrix):
            colour = "white" if shares[row, column] > 0.95 else "black"
            text = f"{count}\n{100 * shares[row, column]:.0f} %" if totals[row] else "0\nno case"
            weight = "bold" if row == column else "normal"
            ax.text(column, row, text, color=colour, ha="center", va="center", weight=weight)
        ax.set_xticks(range(size), heads)
        names = [f"{name}\n{plural(int(n), 'case')}" for name, n in zip(classes, totals, strict=True)]
        ax.set_yticks(range(size), ["\n".join(textwrap.fill(part, 18) for part in name.split("\n")) for name in names])
        ax.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
        ax.set_xlabel("said by the network", color=GREY)
        ax.xaxis.set_label_position("top")
        ax.set_ylabel("truth", color=GREY)
        _rule(ax, size)
        said = []
        for name, row in zip(classes, matrix, strict=True):
            each = ", ".join(f"{count} said {other}" for other, count in zip(classes, row, strict=True))
            said.append(f"of {row.sum()} {name}: {each}")
        return Picture(figure, "confusion", f"{'; '.join(said)}.", origin, "shares of each row")


def reliability(
    sure: ArrayLike, hits: ArrayLike, cases: ArrayLike, estimate_text: str, title: str = "", origin: str = ""
) -> Picture:
    """Draw whether a network is right as often as it is sure, bin by bin, with 95 % intervals.

    Args:
        sure: The mean confidence of the cases in each bin, in [0, 1].
        hits: How many of them were right.
        cases: How many there are; a bin without a case is left out.
        estimate_text: What is said above, such as the expected calibration error with its interval.
        title: Written above that.
        origin: "phantom" or "real", written below.

    Raises:
        ValueError: If the three do not pair, there is no case, a confidence leaves [0, 1], or as in
            `estimates.wilson`.

    Example:
        >>> reliability([0.65, 0.95], [6, 20], [10, 20], "ECE 0.05").alt
        'Reliability: ECE 0.05; sure 65 %: 60 % of 10 right; sure 95 %: 100 % of 20 right.'

    Taught in notebook 04.
    """
    sure, hits, cases = np.asarray(sure, float), np.asarray(hits), np.asarray(cases)
    if not (sure.shape == hits.shape == cases.shape and sure.ndim == 1 and cases.sum() > 0):
        raise ValueError(f"each bin needs three figures, but found {sure.shape}, {hits.shape}, {cases.shape}")
    sure, hits, cases = sure[cases > 0], hits[cases > 0], cases[cases > 0]
    if not (sure.min() >= 0 and sure.max() <= 1):
        raise ValueError(f"confidences lie in [0, 1], but found {sure.tolist()}")
    right = hits / cases
    limits = np.array([wilson(int(hit), int(n)) for hit, n in zip(hits, cases, strict=True)]).T
    with our_style():
        lines = [line for text in (title, *estimate_text.split("; ")) for line in textwrap.wrap(text, 62)]
        figure = Figure(figsize=(5.2, 5.9 + 0.18 * len(lines)))
        high = figure.get_figheight()
        ax = figure.add_axes([0.16, 1.85 / high, 0.77, 4 / high], aspect="equal")
        ax.plot([0, 1], [0, 1], color=GREY, linestyle=":")
        look = {"color": GREY, "rotation": 45, "rotation_mode": "anchor", "ha": "center", "va": "top"}
        ax.text(0.3, 0.27, "as sure as right", **look)
        ax.vlines(sure, *limits, color=BLUE, alpha=0.5, linewidth=2)
        ax.plot(sure, right, color=BLUE, marker="o", linewidth=1, markersize=7, clip_on=False)
        ax.set(xlim=(0, 1), ylim=(0, 1), ylabel="share of cases that were right", xticklabels=[])
        ax.set_title("\n".join(lines), size=9)
        below = figure.add_axes([0.16, 0.85 / high, 0.77, 0.8 / high])
        below.bar(sure, cases, width=0.03, color=BLUE)
        for x, n in zip(sure, cases, strict=True):
            below.annotate(str(n), (x, n), (0, 2), textcoords="offset points", ha="center", size=8)
        below.set(xlim=(0, 1), ylim=(0, 1.35 * cases.max()), yticks=[], xlabel="how sure the network was")
        below.set_ylabel("cases")
        for axis in (ax.yaxis, below.xaxis):
            axis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        each = "; ".join(
            f"sure {100 * x:.0f} %: {100 * y:.0f} % of {n} right" for x, y, n in zip(sure, right, cases, strict=True)
        )
        alt = f"reliability: {estimate_text.rstrip('.')}; {each}."
        return Picture(figure, "reliability", alt, origin, "bars: 95 % intervals")


def _rule(ax: Axes, size: int) -> None:
    """White lines between the cells of a table."""
    for edge in np.arange(1, size) - 0.5:
        ax.axhline(edge, color="white", linewidth=2)
        ax.axvline(edge, color="white", linewidth=2)
    for spine in ax.spines.values():
        spine.set(visible=True, color=GREY)
