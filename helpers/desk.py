"""The threshold desk: what a decision threshold costs, in missed cases and false alarms per 100 patients.

Used through `helpers.views` by notebooks 01 and 03.
"""

import base64
import html
import textwrap
from collections.abc import Sequence

import numpy as np
from ipywidgets import HTML, FloatSlider, Image, IntSlider, Layout, VBox
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from helpers import metrics
from helpers.estimates import plural
from helpers.pictures import BLUE, DPI, GREY, VERMILION, WIDTH, Picture, our_style

LIGHT = "#D9D9D9"  # cases that were called right: there, but not what one looks for
BINS = np.linspace(0, 1, 21)
ERRORS = ("missed", "false alarms")
ROOM = 144  # the bars end at 100 patients; to the right of them stand the figures


class ThresholdDesk(VBox):
    """Move the threshold and see who is missed and who is frightened; where nothing runs, it stands as a picture.

    With too few cases of a class there is neither slider nor picture, but a sentence that says so.

    Arguments and errors are those of `desk`.

    Attributes:
        threshold: Slider for the decision threshold; None with too few cases.
        ill: Slider for the prevalence, as ill patients among 100; None with too few cases.
        image: The picture shown; None with too few cases.
        sentence: The text alternative, which follows the sliders.

    Example:
        >>> ThresholdDesk([0, 1] * 10, [0.2, 0.8] * 10, ("CT-0", "CT-23"))
        ThresholdDesk(20 cases, threshold 0.5, 10 of 100 ill)

    Taught in notebook 01.
    """

    def __init__(
        self,
        truth: ArrayLike,
        score: ArrayLike,
        names: Sequence[str],
        threshold: float = 0.5,
        prevalence: float = 0.1,
        origin: str = "",
    ):
        self._truth, self._score, self._names, self._origin = np.asarray(truth), np.asarray(score), names, origin
        if len(names) != 2:
            raise ValueError(f"the desk decides between two classes, but found the names {list(names)}")
        rates = (metrics.sensitivity(truth, score), metrics.specificity(truth, score))
        if len(self._score) and not 0 <= self._score.min() <= self._score.max() <= 1:
            found = f"but found {self._score.min():g} to {self._score.max():g}"
            raise ValueError(f"the scores must be probabilities from 0 to 1, {found}")
        for name, value in (("threshold", threshold), ("prevalence", prevalence)):
            if not 0 <= value <= 1:
                raise ValueError(f"the {name} must be from 0 to 1, but is {value!r}")
        self.threshold = self.ill = self.image = None
        self.sentence = HTML()
        if any(rate.value is None for rate in rates):
            self._say("No threshold desk: " + " ".join(str(rate) for rate in rates if rate.value is None))
            super().__init__([self.sentence])
            return
        wide = Layout(width="420px")
        self.threshold = FloatSlider(threshold, min=0, max=1, step=0.01, description="threshold", layout=wide)
        self.ill = IntSlider(round(100 * prevalence), 0, 100, description="ill of 100", layout=wide)
        # As wide as the static picture, and never wider than the page.
        self.image = Image(format="png", layout=Layout(width=f"{round(WIDTH * DPI)}px", max_width="100%"))
        self._draw()
        for control in (self.threshold, self.ill):
            control.observe(self._draw, "value")
        super().__init__([self.threshold, self.ill, self.image, self.sentence])

    def _draw(self, *_) -> None:
        drawn = picture(self._truth, self._score, self._names, self.threshold.value, self.ill.value / 100, self._origin)
        self.image.value = drawn.png
        self._say(drawn.alt)

    def _say(self, text: str) -> None:
        self.text = text
        self.sentence.value = html.escape(text)

    def __repr__(self) -> str:
        if self.image is None:
            return self.text
        facts = f"threshold {self.threshold.value:g}, {self.ill.value} of 100 ill"
        return f"ThresholdDesk({plural(len(self._truth), 'case')}, {facts})"

    def _repr_mimebundle_(self, **kwargs) -> tuple[dict, dict]:
        data = super()._repr_mimebundle_(**kwargs) | {"text/plain": repr(self)}
        if self.image is None:
            return data, {}
        # GitHub and a page saved as HTML run no widget: they show this picture instead.
        data["image/png"] = base64.b64encode(self.image.value).decode()
        return data, {"image/png": {"alt": self.text}}


def desk(
    truth: ArrayLike,
    score: ArrayLike,
    names: Sequence[str],
    threshold: float = 0.5,
    prevalence: float = 0.1,
    origin: str = "",
) -> ThresholdDesk:
    """Show what a decision threshold costs among 100 patients, with a slider for it and one for the prevalence.

    Beside the network stand the two rules that never look: always-yes and always-no.

    Args:
        truth: 1 for abnormal, 0 for normal; one a case.
        score: The predicted probability of the abnormal class; one a case.
        names: The two classes, the normal one first.
        threshold: Where the slider stands at first; a case with this score or more is called abnormal.
        prevalence: The share of ill patients at first; the slider moves in whole patients among 100.
        origin: "phantom" or "real", written below.

    Raises:
        ValueError: If there are not two names, if score, threshold or prevalence leave [0, 1], or as in
            `metrics.accuracy`.

    Example:
        >>> desk([0, 1, 1], [0.1, 0.7, 0.9], ("CT-0", "CT-23")).text.split(": ")[1]
        'sensitivity cannot be measured'

    Taught in notebook 01.
    """
    return ThresholdDesk(truth, score, names, threshold, prevalence, origin)


def picture(
    truth: np.ndarray, score: np.ndarray, names: Sequence[str], threshold: float, prevalence: float, origin: str = ""
) -> Picture:
    """Draw the desk as it stands: the scores with the threshold on the left, what comes of it on the right.

    Arguments are those of `desk`, errors those of `metrics.per_hundred`.

    Example:
        >>> picture(np.array([0, 1] * 10), np.array([0.2, 0.8] * 10), ("CT-0", "CT-23"), 0.5, 0.1).alt[:59]
        'At threshold 0.50, of 100 patients (10 CT-23 and 90 CT-0): '

    Taught in notebook 01.
    """
    errors = metrics.per_hundred(truth, score, threshold, prevalence)
    ill = round(100 * prevalence)
    patients = f"{ill} {names[1]} and {100 - ill} {names[0]}"
    with our_style():
        figure = Figure(figsize=(WIDTH, 4.1))
        _draw_scores(figure.add_axes([0.025, 0.2, 0.35, 0.63]), truth, score, names, threshold)
        _draw_errors(figure.add_axes([0.52, 0.2, 0.47, 0.63]), errors, threshold)
        titles = (f"The {plural(len(truth), 'case')} measured, by score", f"Of 100 patients, {patients}")
        for left, title, wide in zip((0.025, 0.41), titles, (40, 62), strict=True):
            figure.text(left, 0.97, textwrap.fill(title, wide), size=11, va="top")
        counted = f"{int((truth == 1).sum())} {names[1]} and {int((truth == 0).sum())} {names[0]} cases"
        missed, alarms = (_with_interval(figures) for figures in errors.network)
        alt = (
            f"at threshold {threshold:.2f}, of 100 patients ({patients}): {missed} missed, {alarms} false alarms "
            "(in brackets 95 % intervals); "
            f"always-yes misses none and raises {100 - ill} false alarms, always-no misses {ill} and raises none."
        )
        return Picture(figure, "threshold desk", alt, origin, f"coloured: called wrong; 95 % intervals from {counted}")


def _draw_scores(ax: Axes, truth: np.ndarray, score: np.ndarray, names: Sequence[str], threshold: float) -> None:
    """The abnormal cases upwards, the normal ones downwards; coloured are those on the wrong side of the line."""
    called, highest = score >= threshold, 0.0
    for label, sign, colour in ((1, 1, VERMILION), (0, -1, BLUE)):
        cases = truth == label
        wrong, both = (
            np.histogram(score[chosen], BINS)[0] / cases.sum() for chosen in (cases & (called != label), cases)
        )
        look = {"width": BINS[1], "align": "edge", "edgecolor": "white", "linewidth": 0.5}
        ax.bar(BINS[:-1], sign * (both - wrong), color=LIGHT, **look)
        ax.bar(BINS[:-1], sign * wrong, bottom=sign * (both - wrong), color=colour, **look)
        highest = max(highest, both.max())
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.axvline(threshold, color="black", linewidth=1.5)
    ax.set(xlim=(0, 1), ylim=(-1.25 * highest, 1.25 * highest), yticks=[], xlabel=f"score: how sure of {names[1]}")
    ax.spines["left"].set_visible(False)
    ax.annotate(
        f"threshold {threshold:.2f}",
        (threshold, 1),
        (0, 3),
        xycoords=ax.get_xaxis_transform(),
        textcoords="offset points",
        ha="left" if threshold < 0.2 else "right" if threshold > 0.8 else "center",
    )
    for label, place, side in ((1, 0.97, "top"), (0, 0.03, "bottom")):
        ax.text(0.01, place, names[label], transform=ax.transAxes, va=side, weight="bold")


def _draw_errors(ax: Axes, errors: metrics.PerHundred, threshold: float) -> None:
    """Two bars for each rule, on one scale of 100 patients, with their figures in a column at the right."""
    titles = (f"the network at {threshold:.2f}", "always yes", "always no")
    for rule, (title, both) in enumerate(zip(titles, errors, strict=True)):
        ax.text(-0.235, 3 * rule - 0.75, title, transform=ax.get_yaxis_transform(), weight="bold", va="center")
        for row, (name, colour, figures) in enumerate(zip(ERRORS, (VERMILION, BLUE), both, strict=True)):
            level = 3 * rule + 0.8 * row
            value, low, high = figures
            ax.barh(level, value, 0.7, color=colour)
            if low < high:
                ax.errorbar(value, level, xerr=[[value - low], [high - value]], color="black", capsize=3, linewidth=1)
            ax.text(-1.5, level, name, color=colour, ha="right", va="center")
            ax.text(103, level, _with_interval(figures), va="center")
    ax.set(xlim=(0, ROOM), ylim=(7.4, -1.2), yticks=[], xticks=range(0, 101, 20), xlabel="patients")
    ax.spines["left"].set_visible(False)
    ax.spines["bottom"].set_bounds(0, 100)
    ax.xaxis.set_label_coords(50 / ROOM, -0.11)


def _with_interval(figures: tuple[float, float, float]) -> str:
    value, low, high = figures
    return f"{_short(value)} ({_short(low)} to {_short(high)})" if low < high else f"{value:g}"


def _short(value: float) -> str:
    """One decimal, or two digits of what is less than one, so that a small figure does not read like none."""
    return f"{value:.1f}" if value > 0.95 or value == 0 else f"{value:.2g}"
