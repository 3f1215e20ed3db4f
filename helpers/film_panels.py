"""Radiographs on panels: laid out, drawn with their proportions, and outlined.

Used through `helpers.views` by notebooks 03 and 04.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.pictures import GREYS, WIDTH, panels
from helpers.xray import Radiograph

Film = Radiograph | np.ndarray


class Sheet(NamedTuple):
    """An image to be drawn, and its size in mm, or in pixels where the spacing is not known.

    Used by notebooks 03 and 04.
    """

    pixels: np.ndarray
    width: float
    height: float


def sheet_of(film: Film) -> Sheet:
    """Look at a film as a sheet of a certain size.

    Args:
        film: A radiograph, or prepared pixels [rows, columns] in [0, 1], taken as squares.

    Raises:
        ValueError: If it has no two axes, holds NaN, or values outside [0, 1].

    Example:
        >>> sheet_of(Radiograph(np.zeros((20, 30), np.float32), spacing=(0.5, 0.2)))[1:]
        (6.0, 10.0)

    Used by notebooks 03 and 04.
    """
    pixels = film if isinstance(film, np.ndarray) else film.pixels
    if pixels.ndim != 2 or not pixels.size:
        raise ValueError(f"a radiograph needs two axes [rows, columns], but its shape is {pixels.shape}")
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= -1e-6 and high <= 1 + 1e-6):
        raise ValueError(f"a radiograph holds values from 0 to 1, but found {low:g} to {high:g}")
    row, column = getattr(film, "spacing", None) or (1.0, 1.0)
    return Sheet(pixels, pixels.shape[1] * column, pixels.shape[0] * row)


def on_film(film: Film, pixels: np.ndarray) -> np.ndarray:
    """Return pixels that lie on those of a film.

    Raises:
        ValueError: If they do not, or as in `sheet_of`.

    Example:
        >>> on_film(np.zeros((2, 2)), np.ones((2, 2), bool)).all()
        np.True_

    Used by notebooks 03 and 04.
    """
    shape = sheet_of(film).pixels.shape
    if pixels.shape != shape:
        raise ValueError(f"what lies on a film has its shape {shape}, but found {pixels.shape}")
    return pixels


def paired(films: Sequence[Film], **lists: Sequence) -> None:
    """Refuse lists that do not hold one thing for each film.

    Raises:
        ValueError: If one is longer or shorter.

    Example:
        >>> paired([np.zeros((2, 2))], captions=["normal"])

    Used by notebooks 03 and 04.
    """
    for name, given in lists.items():
        if len(given) != len(films):
            raise ValueError(f"each image needs its own: found {len(films)} images, but {len(given)} {name}")


def lay_out(
    films: Sequence[Film], captions: Sequence[str], columns: int, title: str = "", margin: float = 0.0
) -> tuple[Figure, list[Axes]]:
    """Lay out panels in which the tallest film just fits, or words that there is none; see `pictures.panels`.

    Example:
        >>> _, axes = lay_out([np.zeros((40, 20)), np.zeros((30, 30))], ["tall", "square"], 4)
        >>> [str(ax.get_window_extent().size.round()) for ax in axes]
        ['[435. 653.]', '[435. 653.]']

    Used by notebooks 03 and 04.
    """
    if not len(films):
        figure = Figure(figsize=(WIDTH, 1))
        figure.text(0.5, 0.6, "no image to show", size=11, ha="center")
        return figure, []
    ratio = max(sheet.height / sheet.width for sheet in map(sheet_of, films))
    # A strip, or a film that is much taller than wide, gets free room beside it instead of a page of its own.
    return panels(captions, columns, float(np.clip(ratio, 0.5, 1.5)), title=title, margin=margin)


def draw(ax: Axes, film: Film, pixels: np.ndarray | None = None) -> None:
    """Put a film on axes, centred and with its proportions; one larger than its panel is averaged down first.

    Args:
        ax: The axes; afterwards they are measured in mm, or in pixels where the spacing is not known.
        film: As in `sheet_of`.
        pixels: Drawn in place of the film's own, if given.

    Example:
        >>> ax = Figure().add_axes([0, 0, 0.5, 1])
        >>> draw(ax, np.zeros((40, 20)))
        >>> [float(edge) for edge in ax.get_xlim()]  # the axes are 320 x 480 pixels
        [-3.333333333333334, 23.333333333333336]

    Used by notebooks 03 and 04.
    """
    sheet, box = sheet_of(film), ax.get_window_extent()
    scale = min(box.width / sheet.width, box.height / sheet.height)  # of the picture's pixels a mm
    pixels = sheet.pixels if pixels is None else pixels
    room = (max(1, round(scale * sheet.height)), max(1, round(scale * sheet.width)))
    rows, columns = np.minimum(pixels.shape, room).tolist()
    small = cv2.resize(pixels.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
    look = {"cmap": GREYS, "vmin": 0, "vmax": 1, "interpolation": "hanning", "interpolation_stage": "data"}
    ax.imshow(small, extent=(0, sheet.width, sheet.height, 0), aspect="auto", **look)
    across, down = (box.width / scale - sheet.width) / 2, (box.height / scale - sheet.height) / 2
    ax.set(xlim=(-across, sheet.width + across), ylim=(sheet.height + down, -down))


def outline(ax: Axes, film: Film, mask: np.ndarray, colour: str, width: float, style: str | tuple = "-") -> None:
    """Draw the edge of a mask over its film, at the mask's own size: averaged down, a sliver would vanish.

    Args:
        ax: Axes with the film on them, see `draw`.
        film: As in `sheet_of`.
        mask: ``bool`` on the film's pixels; of an empty one nothing is drawn.
        colour, width, style: Of the line; the width in points, the style as matplotlib names it.

    Raises:
        ValueError: If the mask is not ``bool`` or not of the film's shape.

    Example:
        >>> ax = Figure().add_axes([0, 0, 1, 1])
        >>> outline(ax, np.zeros((2, 2)), np.eye(2, dtype=bool), "red", 1.0)
        >>> len(ax.collections)
        1

    Used by notebooks 03 and 04.
    """
    sheet = sheet_of(film)
    if mask.dtype != bool:
        raise ValueError(f"a mask must be bool, but is {mask.dtype}: compare probabilities with a threshold first")
    if on_film(film, mask).any():
        y, x = ((np.arange(size + 2) - 0.5) / size for size in mask.shape)
        look = {"colors": colour, "linewidths": width, "linestyles": [style]}
        ax.contour(x * sheet.width, y * sheet.height, np.pad(mask, 1), [0.5], **look)
