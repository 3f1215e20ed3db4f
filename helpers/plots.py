"""Plots of how a network learned and where it errs: training curves, the ROC curve, the score of each case.

Used through `helpers.views` by every notebook.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike

from helpers import metrics
from helpers.estimates import plural
from helpers.pictures import BLUE, GREEN, GREY, ORANGE, VERMILION, WIDTH, Picture, our_style


class RatesLike(Protocol):
    """Whatever holds the points of a ROC curve, such as `metrics.RocCurve`."""

    false_positive_rate: np.ndarray
    true_positive_rate: np.ndarray


def curves(
    rows: Sequence[dict],
    best_epoch: int,
    metric_name: str,
    origin: str = "",
    chance: float | None = 0.5,
    chance_name: str = "chance",
) -> Picture:
    """Draw loss and metric over the epochs, for training and validation, with the kept epoch marked.

    Args:
        rows: One dict an epoch with ``epoch, loss, valid_loss, metric, valid_metric``; what was not measured is None.
            No row at all, after a training that was stopped in its first epoch, gives a picture that says so.
        best_epoch: The epoch whose weights were kept; one of those in ``rows``.
        metric_name: What the metric is; it is drawn on an axis from 0 to 1.
        origin: "phantom" or "real", written below.
        chance: What guessing reaches, drawn as a line; None where that is not known.
        chance_name: What is written beside that line.

    Raises:
        ValueError: If there is no such best epoch.

    Example:
        >>> row = dict(epoch=1, loss=0.7, valid_loss=0.6, metric=0.5, valid_metric=0.6)
        >>> curves([row, row | dict(epoch=2, loss=0.5)], best_epoch=2, metric_name="ROC AUC").alt
        'Loss and ROC AUC over 2 epochs, for training and validation; the kept epoch is 2.'

    Taught in notebook 01.
    """
    if not rows:
        with our_style():
            figure = Figure(figsize=(WIDTH, 1))
            figure.text(0.5, 0.6, "no epoch was finished", size=11, ha="center")
            return Picture(figure, "training curves", "no curves, because no epoch was finished.", origin)
    epochs = [row["epoch"] for row in rows]
    if best_epoch not in epochs:
        raise ValueError(f"the best epoch must be one of those trained, {epochs}, but is {best_epoch}")
    with our_style():
        figure = Figure(figsize=(WIDTH, 3.6))
        axes = figure.subplots(1, 2, gridspec_kw={"left": 0.06, "right": 0.9, "bottom": 0.21, "wspace": 0.42})
        validated = False
        for ax, key, title in zip(axes, ("loss", "metric"), ("loss", metric_name), strict=True):
            lines = {}
            for name, column, colour in (("training", key, BLUE), ("validation", f"valid_{key}", VERMILION)):
                values = np.array([row[column] for row in rows], float)
                if np.isfinite(values).any():
                    ax.plot(epochs, values, color=colour, marker="o", markersize=4 if len(epochs) < 30 else 2)
                    lines[name] = (values[np.isfinite(values)][-1], colour)
            validated |= "validation" in lines
            ax.set(title=title, xlabel="epoch", xlim=(min(epochs) - 0.5, max(epochs) + 0.5))
            ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            ax.set_ylim(0, 1.02 if key == "metric" else None)
            _mark_epoch(ax, best_epoch, high=key == "loss")  # where curves that fall, or rise, leave room
            if key == "metric" and chance is not None:
                ax.axhline(chance, color=GREY, linestyle=":", zorder=0)
                lines[chance_name] = (chance, GREY)
            _label_ends(ax, lines)
        sets = "training and validation" if validated else "training"
        alt = f"loss and {metric_name} over {plural(len(rows), 'epoch')}, for {sets}; the kept epoch is {best_epoch}."
        return Picture(figure, "training curves", alt, origin)


def roc(curve: RatesLike, estimate_text: str, origin: str = "") -> Picture:
    """Draw a ROC curve: how many more abnormal cases are found for how many more false alarms.

    Args:
        curve: The points, as from `metrics.roc_curve`.
        estimate_text: The area under it with counts, interval and trivial rule, as from ``print(report.auc)``.
        origin: "phantom" or "real", written below.

    Example:
        >>> roc(metrics.roc_curve([0, 1, 1], [0.1, 0.4, 0.9]), "ROC AUC 1.00 (3 cases)").alt
        'ROC curve: ROC AUC 1.00 (3 cases).'

    Taught in notebook 01.
    """
    with our_style():
        lines = [line for part in estimate_text.split("; ") for line in textwrap.wrap(part, 62)]
        figure = Figure(figsize=(5.2, 4.9 + 0.18 * len(lines)))
        height = figure.get_figheight()
        ax = figure.add_axes([0.16, 0.85 / height, 0.77, 4 / height], aspect="equal")
        ax.plot([0, 1], [0, 1], color=GREY, linestyle=":")
        ax.text(0.62, 0.58, "coin toss", color=GREY, rotation=45, rotation_mode="anchor", ha="center", va="top")
        ax.fill_between(curve.false_positive_rate, curve.true_positive_rate, color=BLUE, alpha=0.08, linewidth=0)
        ax.plot(curve.false_positive_rate, curve.true_positive_rate, color=BLUE, linewidth=2, clip_on=False)
        ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="false alarms: share of normal cases called abnormal")
        ax.set_ylabel("sensitivity: share of abnormal cases found")
        ax.set_title("\n".join(lines), size=9)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        return Picture(figure, "ROC curve", f"ROC curve: {estimate_text.rstrip('.')}.", origin)


def scores(
    truth: ArrayLike, score: ArrayLike, names: Sequence[str], threshold: float = 0.5, origin: str = ""
) -> Picture:
    """Draw each case's predicted probability, one strip a class, and which side of the threshold it fell on.

    Args:
        truth: 1 for abnormal, 0 for normal; one a case.
        score: The predicted probability of the abnormal class; one a case.
        names: The two classes, the normal one first.
        threshold: A case with this score or more is called abnormal.
        origin: "phantom" or "real", written below.

    Raises:
        ValueError: If there are not two names, or as in `metrics.accuracy`.

    Example:
        >>> scores([0, 0, 1], [0.1, 0.7, 0.9], ("CT-0", "CT-23")).alt
        'Predicted probability of CT-23 for 3 cases: 1 of 2 CT-0 and 1 of 1 CT-23 are right at the threshold 0.5.'

    Taught in notebook 01.
    """
    if len(names) != 2:
        raise ValueError(f"scores are drawn for two classes, but found the names {list(names)}")
    found, missed, spared, alarms = metrics.confusion(truth, score, threshold)
    truth, score = np.asarray(truth), np.asarray(score, float)
    right = (score >= threshold) == (truth == 1)
    counts = [f"{spared} of {spared + alarms}", f"{found} of {found + missed}"]
    with our_style():
        figure = Figure(figsize=(WIDTH, 3.2))
        ax = figure.add_axes([0.1, 0.24, 0.76, 0.66])
        for label, colour in enumerate((BLUE, VERMILION)):
            # Multiples of the golden ratio spread neighbours apart, and are the same every time.
            places = label + 0.5 * ((np.arange(np.sum(truth == label)) * 0.6180339887 + 0.5) % 1 - 0.5)
            ordered, hits = np.argsort(score[truth == label], kind="stable"), right[truth == label]
            points, hits = score[truth == label][ordered], hits[ordered]
            ax.scatter(points[hits], places[hits], s=26, color=colour, alpha=0.7, linewidth=0, clip_on=False)
            ax.scatter(points[~hits], places[~hits], s=40, color=colour, marker="x", linewidth=1.8, clip_on=False)
            text = f"{counts[label]}\nright"
            ax.text(1.03, label, text, transform=ax.get_yaxis_transform(), color=colour, va="center")
        ax.axvline(threshold, color=GREY, linestyle="--", zorder=0)
        ax.text(
            threshold, 1.02, f"threshold {threshold:g}", transform=ax.get_xaxis_transform(), color=GREY, ha="center"
        )
        ax.set(xlim=(0, 1), ylim=(1.5, -0.5), yticks=[0, 1], yticklabels=names)
        ax.set_xlabel(f"predicted probability of {names[1]}   (a dot: right, a cross: wrong)")
        ax.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        ax.tick_params(axis="y", length=0)
        alt = f"predicted probability of {names[1]} for {len(truth)} cases: {counts[0]} {names[0]} and {counts[1]} "
        return Picture(figure, "scores a case", f"{alt}{names[1]} are right at the threshold {threshold:g}.", origin)


def errors(by_method: Mapping[str, ArrayLike], near: float = 15.0, origin: str = "") -> Picture:
    """Draw every scan's error, one strip a method, with the median, the bias and the share that is near enough.

    Args:
        by_method: Found minus true place in mm, positive towards the feet, by the name of the method.
        near: Errors up to this many mm are near enough; the axis ends at six times as many, and what lies beyond is
            counted at its end.
        origin: "phantom" or "real", written below.

    Raises:
        ValueError: If there is no method, or an error is no number.

    Example:
        >>> errors({"network": [1.0, -2.0, 33.0]}).alt
        'Errors of the scans: network, median 2.0 mm, bias +10.7 mm, 2 of 3 within 15 mm.'

    Taught in notebook 02.
    """
    strips = {name: np.asarray(values, float) for name, values in by_method.items()}
    if not strips or not all(np.isfinite(values).all() for values in strips.values()):
        raise ValueError("errors need a method or more, and numbers; leave out the scans where L3 was not found")
    reach = max((float(abs(values).max()) for values in strips.values() if values.size), default=0.0)
    limit = float(np.clip(1.05 * reach, 2 * near, 6 * near))
    said = []
    with our_style():
        figure = Figure(figsize=(WIDTH, 1.25 + 0.85 * len(strips)))
        high = figure.get_figheight()
        ax = figure.add_axes([0.13, 0.85 / high, 0.64, 1 - 1.1 / high])
        ax.axvspan(-near, near, color=GREEN, alpha=0.12, linewidth=0, zorder=0)
        ax.axvline(0, color=GREY, linewidth=0.8, zorder=0)
        for level, (name, values) in enumerate(strips.items()):
            text = _draw_strip(ax, level, values, near, limit)
            ax.text(1.03, level, text, transform=ax.get_yaxis_transform(), va="center")
            said.append(f"{name}, {', '.join(text.splitlines())}")
        names = ["\n".join(textwrap.wrap(name, 14)) for name in strips]
        ax.set(xlim=(-limit, limit), ylim=(len(strips) - 0.5, -0.5), yticks=range(len(strips)), yticklabels=names)
        ax.set_xlabel(f"too near the head   ←   error in mm   →   too near the feet;   shaded: within {near:g} mm")
        ax.tick_params(axis="y", length=0)
        note = "a dot is a scan; bar: half of the errors are no larger (median); diamond: bias (mean)"
        note += "; arrow: so many beyond the axis" * bool(reach > limit)
        return Picture(figure, "errors", f"errors of the scans: {'; '.join(said)}.", origin, note)


def _mark_epoch(ax: Axes, epoch: int, high: bool) -> None:
    ax.axvline(epoch, color=GREEN, linestyle="--", zorder=0)
    # Written towards the inside, so that it stays clear of the title and of the labels at the right.
    late = epoch > np.mean(ax.get_xlim())
    ax.annotate(
        f"kept epoch {epoch}",
        (epoch, int(high)),
        (-4 if late else 4, -12 if high else 4),
        xycoords=ax.get_xaxis_transform(),
        textcoords="offset points",
        color=GREEN,
        ha="right" if late else "left",
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},  # a rule's line may pass below it
    )


def _label_ends(ax: Axes, lines: dict[str, tuple[float, str]]) -> None:
    """Write each line's name at its right end; names that would touch are pushed apart."""
    low, high = ax.get_ylim()
    gap, lowest = 0.07 * (high - low), -np.inf
    for name, (value, colour) in sorted(lines.items(), key=lambda item: item[1][0]):
        lowest = max(value, lowest + gap)
        ax.text(1.02, lowest, name, transform=ax.get_yaxis_transform(), color=colour, va="center")


def _draw_strip(ax: Axes, level: int, values: np.ndarray, near: float, limit: float) -> str:
    """Draw one method's errors around a level; returns what is to be said of them."""
    if not values.size:
        return "no scan"
    colour = (BLUE, VERMILION, GREEN, ORANGE)[level % 4]
    inside = np.sort(values[abs(values) <= limit])
    # Multiples of the golden ratio spread neighbours apart, and are the same every time.
    places = level - 0.08 + 0.4 * ((np.arange(len(inside)) * 0.6180339887 + 0.5) % 1 - 0.5)
    ax.scatter(inside, places, s=16, color=colour, alpha=0.6, linewidth=0)
    for side in (-1, 1):
        if beyond := np.sum(side * values > limit):
            arrow = {"arrowstyle": "-|>", "color": colour, "shrinkB": 0}
            look = {"color": colour, "weight": "bold", "ha": "center", "va": "center", "arrowprops": arrow}
            look["annotation_clip"] = False  # the left edge counts as outside
            ax.annotate(str(beyond), (side * limit, level - 0.38), (-side * 24, 0), textcoords="offset points", **look)
    median, bias = float(np.median(abs(values))), float(values.mean())
    bar, middle = np.clip([-median, median], -limit, limit), np.clip(bias, -limit, limit)
    ax.plot(bar, [level + 0.3] * 2, color="black", linewidth=3, solid_capstyle="butt")
    ax.plot(middle, level + 0.3, marker="D", color="white", markeredgecolor="black", markersize=6, clip_on=False)
    hits = int(np.sum(abs(values) <= near))
    return f"median {median:.1f} mm\nbias {bias:+.1f} mm\n{hits} of {len(values)} within {near:g} mm"
