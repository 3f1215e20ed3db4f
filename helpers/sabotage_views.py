"""Pictures for the sabotage lab: two rows of every scan against each other, and what a network was given.

Used by notebook 05 through `sabotage`. The head is on top.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from helpers.estimates import plural
from helpers.localization import NEAR
from helpers.pictures import BLUE, GREEN, GREY, GREYS, Picture, our_style, panels

SHOWN = 6  # images of each set


def scatter(
    across: np.ndarray,
    up: np.ndarray,
    names: tuple[str, str],
    rows: int,
    mm: float,
    origin: str = "",
    constant: float | None = None,
) -> Picture:
    """Draw two places of L3 for every scan against each other, with the line on which both are the same.

    Args:
        across, up: Rows, one a scan.
        names: Of both, such as ("true", "found").
        rows: Of an image; the axes show all of it, so that all such pictures are on one scale.
        mm: Size of a row.
        origin: "phantom" or "real", written below.
        constant: A row that a trivial rule names for every scan, drawn as a line; None for no rule.

    Raises:
        ValueError: If the two do not pair.

    Example:
        >>> scatter(np.array([10.0, 30.0]), np.array([10.0, 31.0]), ("true", "found"), 64, 6.0).alt
        'L3 of 2 scans in mm below the top, true against found: 2 lie within 15 mm of the diagonal.'

    Taught in notebook 05.
    """
    if across.shape != up.shape:
        raise ValueError(f"each scan needs both rows, but their shapes are {across.shape} and {up.shape}")
    x, y = across * mm, up * mm
    with our_style():
        figure = Figure(figsize=(5.6, 5.2))
        ax = figure.add_axes([0.13, 0.16, 0.72, 0.78], aspect="equal")
        ends = np.array([0, rows * mm])
        ax.fill_between(ends, ends - NEAR, ends + NEAR, color=GREEN, alpha=0.12, linewidth=0)
        ax.plot(ends, ends, color=GREEN, linestyle="--", linewidth=1)
        ax.text(1.02, 0.99, "the same", transform=ax.transAxes, color=GREEN, va="top")
        if constant is not None:
            ax.axhline(constant * mm, color=GREY, linestyle=":", zorder=0)
            side = ax.get_yaxis_transform()
            ax.text(1.02, constant * mm, "trivial\nrule", transform=side, color=GREY, va="center")
        ax.scatter(x, y, s=22, color=BLUE, alpha=0.7, linewidth=0, clip_on=False)
        ax.set(xlim=ends, ylim=ends)
        ax.set_xlabel(f"{names[0]}: mm below the top of the image")
        ax.set_ylabel(f"{names[1]}: mm below the top of the image")
        close = int(np.sum(abs(x - y) <= NEAR))
        alt = f"L3 of {plural(len(x), 'scan')} in mm below the top, {names[0]} against {names[1]}"
        note = f"a dot is a test scan; shaded: within {NEAR:g} mm"
        return Picture(figure, "scatter", f"{alt}: {close} lie within {NEAR:g} mm of the diagonal.", origin, note)


def examples(sets: Mapping[str, tuple[np.ndarray, np.ndarray]], origin: str = "") -> Picture:
    """Draw the first images of each set as a network is given them, a row a set, with the rows that its labels name.

    Args:
        sets: Images [scans, rows, columns] in [0, 1] and rows of L3 [scans], by the name of the set.
        origin: "phantom" or "real", written below.

    Example:
        >>> examples({"test": (np.zeros((9, 64, 48)), np.full(9, 30.0))}, "phantom").alt
        'Inputs as the network is given them, with the row of the label: 6 of the test set (phantom data).'

    Taught in notebook 05.
    """
    shown = [(name, *pair) for name, (images, rows) in sets.items() for pair in zip(images, rows[:SHOWN], strict=False)]
    ratio = shown[0][1].shape[0] / shown[0][1].shape[1]
    with our_style():
        figure, axes = panels([name for name, _, _ in shown], SHOWN, ratio)
        for ax, (_, image, row) in zip(axes, shown, strict=True):
            ax.imshow(np.sqrt(image), cmap=GREYS, vmin=0, vmax=1, interpolation="nearest")
            ax.axhline(row, color=GREEN, linestyle="--", linewidth=1.2)
        counts = [f"{min(SHOWN, len(rows))} of the {name} set" for name, (_, rows) in sets.items()]
        alt = f"inputs as the network is given them, with the row of the label: {', '.join(counts)}."
        return Picture(figure, "inputs", alt, origin, "brightened; dashed: L3 as the label has it")
