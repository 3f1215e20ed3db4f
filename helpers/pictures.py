"""How a figure of the course is made and shown: its page, its panels, and an axial slice on them.

Used by every notebook through `helpers.views`. No pyplot: a figure is shown once, and its bytes are always the same.
"""

import base64
import io
import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cached_property

import numpy as np
from matplotlib import colormaps, style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from PIL import Image

from helpers.stacks import MARKS, Stack
from helpers.viewer import SHADES

DPI, WIDTH = 100, 9.0  # 900 pixels, the width of a notebook
EDGE, GAP, FOOTER, LINE = 0.1, 0.1, 0.32, 0.2  # inches
# Colours of Okabe and Ito, which colour-blind readers tell apart.
BLUE, VERMILION, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#E69F00", "#009E73", "#595959"
SKY = "#56B4E9"  # their lighter blue, for what lies on black
GREYS = colormaps["gray"].resampled(SHADES)
RIM = (withStroke(linewidth=2, foreground="black"),)  # makes white letters legible on white bone


class Picture:
    """A finished figure: shown once by any notebook, whatever matplotlib's settings, and byte for byte the same.

    Attributes:
        figure: The matplotlib figure.
        kind: What it is, in two or three words that never change between runs.
        alt: The text alternative, one sentence.

    Example:
        >>> Picture(Figure(figsize=(2, 1)), "empty figure", "An empty figure.", origin="phantom")
        Picture(empty figure)

    Used by every notebook.
    """

    def __init__(self, figure: Figure, kind: str, alt: str, origin: str = "", note: str = ""):
        self.figure, self.kind = figure, kind
        self.alt = alt[:1].upper() + alt[1:]
        footer = ", ".join(filter(None, [origin and f"{origin} data", note]))
        figure.text(0.1 / figure.get_figwidth(), 0.08 / figure.get_figheight(), footer, color=GREY, size=8)
        if origin:
            self.alt = f"{self.alt.rstrip('.')} ({origin} data)."
        figure.set(dpi=DPI, facecolor="white")

    @cached_property
    def png(self) -> bytes:
        """The picture as it is shown."""
        with our_style():
            canvas = FigureCanvasAgg(self.figure)
            canvas.draw()
        # Pillow writes no version and no time into the file: its bytes depend on what is drawn alone.
        buffer = io.BytesIO()
        Image.fromarray(np.asarray(canvas.buffer_rgba())[:, :, :3]).save(buffer, "png", compress_level=7)
        return buffer.getvalue()

    def __repr__(self) -> str:
        return f"Picture({self.kind})"

    def _repr_mimebundle_(self, **_) -> tuple[dict, dict]:
        data = {"text/plain": repr(self), "image/png": base64.b64encode(self.png).decode()}
        return data, {"image/png": {"alt": self.alt}}


def our_style() -> AbstractContextManager:
    """Draw with the course's settings, whatever the user's own are.

    Example:
        >>> with our_style():
        ...     Figure().add_subplot().spines["top"].get_visible()
        False

    Used by every notebook.
    """
    plain = {"axes.spines.top": False, "axes.spines.right": False, "axes.titlelocation": "left"}
    return style.context(["default", plain | {"font.size": 9, "axes.titlesize": 10, "axes.labelsize": 9}])


def panels(
    captions: Sequence[str], columns: int, ratio: float, widest: float = 4.6, title: str = "", margin: float = 0.0
) -> tuple[Figure, list[Axes]]:
    """Lay out empty panels of one size, captions above, on a page no wider than a notebook.

    Args:
        captions: One for each panel; long ones are wrapped.
        columns: Panels in a row, if there are that many.
        ratio: Height of a panel over its width.
        widest: Width of a panel in inches at most.
        title: Written above all.
        margin: Inches left free at the right.

    Example:
        >>> with our_style():
        ...     figure, axes = panels(["before", "after"], 4, 0.75)
        >>> len(axes), float(figure.get_figwidth())
        (2, 9.0)

    Used by every notebook.
    """
    columns = min(columns, len(captions))
    rows = -(-len(captions) // columns)
    wide = min(widest, (WIDTH - margin - 2 * EDGE - (columns - 1) * GAP) / columns)
    page = 2 * EDGE + margin + columns * (wide + GAP) - GAP
    captions, title = [_wrapped(caption, wide) for caption in captions], _wrapped(title, page - 2 * EDGE)
    high, head = wide * ratio, 0.1 + LINE * max(_lines(caption) for caption in captions)
    top = LINE * _lines(title) + (0.14 if title else 0)
    size = np.array([page, FOOTER + top + rows * (high + head)])
    figure = Figure(figsize=size)
    figure.text(EDGE / size[0], 1 - 0.1 / size[1], title, size=11, va="top")
    axes = []
    for place, caption in enumerate(captions):
        row, column = divmod(place, columns)
        corner = EDGE + column * (wide + GAP), size[1] - top - (row + 1) * (high + head)
        ax = figure.add_axes([*(corner / size), wide / size[0], high / size[1]])
        ax.set_title(caption)
        ax.set_axis_off()
        axes.append(ax)
    return figure, axes


def draw_slice(
    ax: Axes, stack: Stack, z: int, outline: bool = False, at: tuple[float, float] = (0, 0), marks: bool = True
) -> None:
    """Put an axial slice on axes measured in mm, front on top, so that a voxel keeps its proportions.

    Args:
        ax: The axes; afterwards they show this slice.
        stack: The scan.
        z: The slice.
        outline: Whether to outline the mask.
        at: Where the slice's upper left corner comes to lie.
        marks: Whether to mark R and L.

    Example:
        >>> ax = Figure().add_subplot()
        >>> draw_slice(ax, Stack(np.zeros((4, 4, 2)), spacing=(1.0, 5.0, 1.0)), z=0)
        >>> [float(edge) for edge in (*ax.get_xlim(), *ax.get_ylim())]
        [0.0, 4.0, 20.0, 0.0]

    Used by every notebook.
    """
    x, y, wide, high = *at, stack.width, stack.height
    # "hanning" smooths what is enlarged, and averages what is reduced instead of dropping voxels.
    look = {"cmap": GREYS, "vmin": 0, "vmax": 1, "interpolation": "hanning", "interpolation_stage": "data"}
    ax.imshow(stack.picture(z), extent=(x, x + wide, y + high, y), **look)
    if outline and stack.mask is not None and stack.cut(stack.mask, z).any():
        inside = np.pad(stack.cut(stack.mask, z), 1)
        rows, columns = (np.arange(size) - 0.5 for size in inside.shape)
        dx, dy = wide / (len(columns) - 2), high / (len(rows) - 2)
        ax.contour(x + columns * dx, y + rows * dy, inside, [0.5], colors=ORANGE, linewidths=1.2 if marks else 0.8)
    for letter, place, side in zip(MARKS[stack.plane], (0.02, 0.98), ("left", "right"), strict=False) if marks else ():
        look = {"ha": side, "va": "center", "weight": "bold", "path_effects": RIM}
        ax.text(x + place * wide, y + high / 2, letter, color="white", **look)
    ax.set(xlim=(x, x + wide), ylim=(y + high, y))


def draw_scale(ax: Axes, stack: Stack) -> None:
    """Draw a bar of a round length in mm, or none where the size of the voxels is not known."""
    if stack.spacing is None:
        return
    length = next((mm for mm in (100, 50, 20, 10, 5, 2) if mm <= stack.width / 3), 1)
    left, level = 0.04 * stack.width, 0.95 * stack.height
    for colour, linewidth in (("black", 5), ("white", 3)):
        ax.plot([left, left + length], [level, level], color=colour, linewidth=linewidth, solid_capstyle="butt")
    ax.text(left, level - 0.02 * stack.height, f"{length} mm", color="white", va="bottom", path_effects=RIM)


def heat_colours() -> ListedColormap:
    """Colours of a heat map over an image: from clear to nearly opaque, ever lighter.

    Dark on dark would hide the weak end, so they start at purple.

    Example:
        >>> heat_colours()(0.0)[3], round(heat_colours()(1.0)[3], 2)
        (np.float64(0.0), np.float64(0.85))

    Used by notebooks 01 and 04.
    """
    colours = colormaps["inferno"](np.linspace(0.35, 1, 256))
    colours[:, 3] = (
        0.85 * np.clip(np.linspace(-0.2, 1, 256), 0, 1) ** 0.7
    )  # a haze of weak heat would tint all that is bright
    return ListedColormap(colours)


def _wrapped(text: str, inches: float) -> str:
    return "\n".join(line for part in text.split("\n") for line in textwrap.wrap(part, int(13 * inches)))


def _lines(text: str) -> int:
    return text.count("\n") + bool(text)
