"""Pictures of projections: both views of a scan, the confidence of each row, and where L3 was found.

Used by notebook 02 through `helpers.views`. The head is on top; a vertical axis is the height in the patient, in mm.
Where L3 was found is solid and vermilion, where it truly is dashed and green.
"""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from helpers import ct
from helpers.estimates import plural
from helpers.mip import Mip, Projections
from helpers.pictures import (
    BLUE,
    EDGE,
    FOOTER,
    GREEN,
    GREY,
    GREYS,
    ORANGE,
    RIM,
    SKY,
    VERMILION,
    WIDTH,
    Picture,
    our_style,
    panels,
)
from helpers.stacks import MARKS

# Wider and brighter than what a network is shown: thin bone is seen, and a breath of the body around it.
DISPLAY, GAMMA = (0.0, 1200.0), 0.7
STYLES = ((VERMILION, "-"), (GREEN, "--"), (ORANGE, "-."), (SKY, ":"))
NAMES = ("found", "true")
BACKING = {"facecolor": "black", "linewidth": 0, "pad": 1.5}  # of words on an image
TALL = 5.0  # inches; an image is never higher
NOTE = f"shown from {DISPLAY[0]:g} to {DISPLAY[1]:g} HU, thin bone brightened"


def projections(
    images: Projections,
    heights: Mapping[str, float | None] | None = None,
    sides: bool = True,
    title: str = "",
    origin: str = "",
) -> Picture:
    """Draw both projections of a scan side by side, on one scale in mm, with lines at heights that have a name.

    Args:
        images: As from `mip.project`; the same rows in both.
        heights: Height in mm by name, such as ``{"L3 found": 31.5, "L3 true": 29.0}``; the first is drawn solid, the
            second dashed, and so on. None stands for "not in view", which is then written beside the images.
        sides: Whether to mark right, left, front and back; False where a file does not say which side comes first.
        title: Written above.
        origin: "phantom" or "real", written below.

    Raises:
        ValueError: If the two do not show the same rows.

    Example:
        >>> blank = np.full((40, 30), -1000, np.int16)
        >>> pair = [Mip(blank, (5.0, 5.0), view, 195.0, -5.0, "scan.nii.gz") for view in ("frontal", "sagittal")]
        >>> projections(Projections(*pair), {"L3": 100.0}).alt
        'Frontal and sagittal projection, 200 mm high; L3: 100 mm.'

    Taught in notebook 02.
    """
    if _edges(images.frontal)[2:] != _edges(images.sagittal)[2:]:
        raise ValueError(f"both projections must show the same rows, but found {images.frontal} and {images.sagittal}")
    lines = dict(heights or {})
    with our_style():
        captions = [f"{image.view} projection" for image in images]
        figure, axes = _beside(images, captions, title=title, right=_room(lines, images.sagittal))
        for ax, image in zip(axes, images, strict=True):
            _draw_mip(ax, image)
            _draw_marks(ax, image, sides)
            _draw_lines(ax, image, lines.values())
        _name_lines(axes[-1], images.sagittal, lines)
        axes[-1].yaxis.set_visible(False)
        high = len(images.frontal.pixels) * images.frontal.spacing[0]
        alt = f"frontal and sagittal projection, {high:.0f} mm high{_listed(lines, images.frontal)}."
        return Picture(figure, "projections", alt, origin, NOTE)


def confidence(
    image: Mip,
    z: ArrayLike,
    confidence: ArrayLike,
    found: float | None,
    truth: float | None,
    threshold: float,
    origin: str = "",
) -> Picture:
    """Draw a projection, and beside it how sure a network is of each row that L3 is there.

    Args:
        image: The projection.
        z: Height of each row that the network judged, in mm, see `mip.Prepared.z_of`.
        confidence: Of each of these rows, 0 to 1.
        found, truth: Where L3 was found and where it is, in mm; None for "not in view".
        threshold: Below this confidence L3 is not in view.
        origin: "phantom" or "real", written below.

    Raises:
        ValueError: If there is not one confidence from 0 to 1 for each height.

    Example:
        >>> image = Mip(np.full((40, 30), -1000, np.int16), (5.0, 5.0), "frontal", 195.0, -5.0, "scan.nii.gz")
        >>> confidence(image, [90.0, 85.0, 80.0], [0.1, 0.8, 0.2], found=85.0, truth=None, threshold=0.3).alt
        'Frontal projection, confidence up to 0.80, threshold 0.30; L3 found: 85 mm, L3 true: not in view.'

    Taught in notebook 02.
    """
    z, sure = np.asarray(z, float), np.asarray(confidence, float)
    if z.shape != sure.shape or z.ndim != 1 or not z.size:
        raise ValueError(f"each height needs one confidence, but their shapes are {z.shape} and {sure.shape}")
    if not (np.isfinite(z).all() and sure.min() >= 0 and sure.max() <= 1):
        raise ValueError("heights must be numbers, and confidences lie in [0, 1]")
    lines = {"L3 found": found, "L3 true": truth}
    with our_style():
        captions = [f"{image.view} projection", "confidence of each row"]
        figure, (ax, curve) = _beside([image], captions, right=_room(lines, image), curve=2.6)
        _draw_mip(ax, image)
        curve.fill_betweenx(z, 0, sure, color=BLUE, alpha=0.25, linewidth=0)
        curve.plot(sure, z, color=BLUE, linewidth=1.5)
        curve.axvline(threshold, color=GREY, linestyle=":", linewidth=1.5)
        curve.set(xlim=(0, 1), ylim=ax.get_ylim())
        curve.set_xlabel(f"dotted: threshold {threshold:.2f}", color=GREY)
        curve.yaxis.set_visible(False)
        for where in (ax, curve):
            _draw_lines(where, image, lines.values())
        _name_lines(curve, image, lines)
        alt = f"{image.view} projection, confidence up to {sure.max():.2f}, threshold {threshold:.2f}"
        return Picture(figure, "confidence", f"{alt}{_listed(lines, image)}.", origin, NOTE)


def found_rows(
    images: Sequence[Mip],
    found: Sequence[float | None],
    truth: Sequence[float | None],
    captions: Sequence[str],
    columns: int = 4,
    title: str = "",
    origin: str = "",
) -> Picture:
    """Draw several projections, such as the worst errors, each with where L3 was found and where it is.

    All are on one scale, so that the same error looks the same in each.

    Args:
        images: The projections; none at all gives a picture that says so.
        found, truth: Heights in mm, one for each image; None for "not in view", which is then written in the panel.
        captions: What stands above each, such as "23 mm too low".
        columns: Images in a row.
        title, origin: As in `projections`.

    Raises:
        ValueError: If the lists do not pair.

    Example:
        >>> image = Mip(np.full((40, 30), -1000, np.int16), (5.0, 5.0), "frontal", 195.0, -5.0, "scan.nii.gz")
        >>> found_rows([image], found=[85.0], truth=[None], captions=["false alarm"]).alt
        '1 projection: false alarm (found 85 mm, true not in view).'

    Taught in notebook 02.
    """
    for name, given in (("found", found), ("truth", truth), ("captions", captions)):
        if len(given) != len(images):
            raise ValueError(f"each image needs its own: found {len(images)} images, but {len(given)} {name}")
    with our_style():
        if not len(images):
            figure = Figure(figsize=(WIDTH, 1))
            figure.text(0.5, 0.6, "no image to show", size=11, ha="center")
            return Picture(figure, "found rows", "no image to show.", origin)
        high = max(len(image.pixels) * image.spacing[0] for image in images)
        wide = max(high / 2, *(image.pixels.shape[1] * image.spacing[1] for image in images))
        figure, axes = panels(captions, columns, high / wide, TALL * wide / high, title)
        said = []
        for ax, image, *pair in zip(axes, images, found, truth, strict=True):
            _draw_mip(ax, image)
            _draw_lines(ax, image, pair)
            low, top = _edges(image)[2:]
            ax.set(xlim=(0, wide), ylim=(top + high * image.step / image.spacing[0], top))
            heights = [_said(z, image) for z in pair]
            for place, number in enumerate(number for number in (1, 0) if not heights[number].endswith("mm")):
                look = {"color": STYLES[number][0], "size": 8, "textcoords": "offset points", "bbox": BACKING}
                ax.annotate(f"{NAMES[number]}: {heights[number]}", (0, low), (4, 5 + 13 * place), **look)
            said.append(", ".join(f"{name} {height}" for name, height in zip(NAMES, heights, strict=True)))
        handles = [Line2D([], [], color=colour, linestyle=style, linewidth=2) for colour, style in STYLES[:2]]
        look = {"loc": "lower right", "ncols": 2, "frameon": False, "fontsize": 8, "borderaxespad": 0.2}
        figure.legend(handles, NAMES, **look)
        cases = "; ".join(f"{caption} ({text})" for caption, text in zip(captions, said, strict=True))
        return Picture(figure, "found rows", f"{plural(len(images), 'projection')}: {cases}.", origin)


def _edges(image: Mip) -> tuple[float, float, float, float]:
    """Left, right, lower and upper edge of an image in mm: across from its left edge, up in the patient."""
    rows, columns = image.pixels.shape
    return 0.0, columns * image.spacing[1], image.z_of(rows - 0.5), image.z_of(-0.5)


def _said(z: float | None, image: Mip) -> str:
    """A height in words."""
    low, top = _edges(image)[2:]
    if z is None:
        return "not in view"
    return f"{round(z)} mm" if low <= z <= top else f"{'above' if z > top else 'below'} the image"


def _listed(heights: Mapping[str, float | None], image: Mip) -> str:
    """All heights in words, to end a sentence."""
    return "".join(
        f"{', ' if place else '; '}{name}: {_said(heights[name], image)}" for place, name in enumerate(heights)
    )


def _label(name: str, z: float | None, image: Mip) -> str:
    """What is written beside a line, or in its place."""
    said = _said(z, image)
    return name if said.endswith("mm") else f"{name}: {said}"


def _room(heights: Mapping[str, float | None], image: Mip) -> float:
    """Inches that labels need at the right."""
    return max((0.2 + 0.085 * len(_label(name, z, image)) for name, z in heights.items()), default=0.0)


def _beside(
    images: Sequence[Mip], captions: Sequence[str], title: str = "", right: float = 0.0, curve: float = 0.0
) -> tuple[Figure, list[Axes]]:
    """Lay out images with the same rows, heights at the left; room at the right, and for a curve, is in inches."""
    left, gap, below = 0.75, 0.15, 0.45 if curve else 0.1
    wide = [image.pixels.shape[1] * image.spacing[1] for image in images]
    high = len(images[0].pixels) * images[0].spacing[0]
    room = WIDTH - left - right - EDGE - gap * (len(captions) - 1) - curve
    scale = min(TALL / high, room / sum(wide))  # inches a mm
    widths = [scale * mm for mm in wide] + [curve] * bool(curve)
    page = max(left + sum(widths) + gap * (len(widths) - 1) + right + EDGE, 4.4)  # of which the footer takes 4
    title = "\n".join(textwrap.wrap(title, int(12 * (page - 2 * EDGE))))
    top = 0.35 + (0.14 + 0.2 * (title.count("\n") + 1) if title else 0)
    size = np.array([page, FOOTER + below + scale * high + top])
    figure = Figure(figsize=size)
    figure.text(EDGE / size[0], 1 - 0.1 / size[1], title, size=11, va="top")
    axes = []
    for caption, inches in zip(captions, widths, strict=True):
        corner, shape = np.array([left, FOOTER + below]), np.array([inches, scale * high])
        axes.append(figure.add_axes([*(corner / size), *(shape / size)], title=caption))
        left += inches + gap
    axes[0].set_ylabel("height z, mm")
    return figure, axes


def _draw_mip(ax: Axes, image: Mip) -> None:
    """Put a projection on axes: across in mm, up in mm of the patient, with its true proportions."""
    edges = _edges(image)
    look = {"cmap": GREYS, "vmin": 0, "vmax": 1, "interpolation": "hanning", "interpolation_stage": "data"}
    # A row's height in the patient differs from its thickness where a scan lies oblique.
    look["aspect"] = image.spacing[0] / -image.step
    ax.imshow(ct.window(image.pixels, DISPLAY) ** GAMMA, extent=edges, **look)
    ax.set(xlim=edges[:2], ylim=edges[2:])
    ax.xaxis.set_visible(False)


def _draw_marks(ax: Axes, image: Mip, sides: bool) -> None:
    look = {"color": "white", "weight": "bold", "path_effects": RIM, "transform": ax.transAxes}
    left, right, head, feet = MARKS["coronal" if image.view == "frontal" else "sagittal"]
    for letter, x, align in ((left, 0.02, "left"), (right, 0.98, "right")) if sides else ():
        ax.text(x, 0.86, letter, ha=align, va="center", **look)
    for letter, y, align in ((head, 0.98, "top"), (feet, 0.02, "bottom")):
        ax.text(0.5, y, letter, ha="center", va=align, **look)


def _draw_lines(ax: Axes, image: Mip, heights: Sequence[float | None]) -> None:
    """Draw heights across an image, or a curve beside it; those out of it are left to words."""
    _, right, low, top = _edges(image) if ax.images else (0, 1, *_edges(image)[2:])
    for number, z in enumerate(heights):
        if z is not None and low <= z <= top:
            colour, style = STYLES[number % len(STYLES)]
            ax.plot([0, right], [z, z], color=colour, linestyle=style, linewidth=1.5, solid_capstyle="butt")


def _name_lines(ax: Axes, image: Mip, heights: Mapping[str, float | None]) -> None:
    """Write the names of heights at the right of axes; names that would touch are pushed apart."""
    low, top = _edges(image)[2:]
    box, (page, high) = ax.get_position(), ax.figure.get_size_inches()
    at = {name: top if z is None else float(np.clip(z, low, top)) for name, z in heights.items()}
    order = sorted(at, key=lambda name: (at[name], -list(at).index(name)))  # the first on top of its equals
    steps = 0.16 / (high * box.height) * (top - low) * np.arange(len(at))
    places = np.maximum.accumulate(np.array([at[name] for name in order]) - steps) + steps
    # Pushed up, the last may have left the picture: the pile is set down until it ends at the top.
    places = np.minimum(places, top - steps[::-1])
    for name, place in zip(order, places, strict=True):
        colour = STYLES[list(heights).index(name) % len(STYLES)][0]
        leader = {"arrowstyle": "-", "color": colour, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0}
        text, side = _label(name, heights[name], image), ax.get_yaxis_transform()
        look = {"va": "center", "arrowprops": leader if text == name else None, "annotation_clip": False}
        beside = (1 + 0.12 / (page * box.width), place)
        ax.annotate(text, (1, at[name]), beside, color=colour, xycoords=side, textcoords=side, **look)
