"""Pictures of projections as a network sees them, in grey from 0 to 1, with the row of L3.

Used by notebook 02 through `helpers.views`.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.patches import Rectangle

from helpers.estimates import plural
from helpers.l3_scans import MM
from helpers.pictures import GREEN, GREYS, WIDTH, Picture, our_style, panels

HIGHEST = 3.6  # inches; an image is never higher


def inputs(
    images: Sequence[np.ndarray],
    rows: Sequence[float],
    captions: Sequence[str],
    columns: int = 8,
    title: str = "",
    origin: str = "",
) -> Picture:
    """Draw images as a network sees them, all on one scale, with a line at the row of L3.

    Args:
        images: [rows, columns] in [0, 1], or ``uint8``; what is black below the last of them is not shown.
        rows: Row of L3 in each, NaN where it is not in view.
        captions: What stands above each.
        columns: Images in a row.
        title, origin: As in `mip_views.projections`.

    Raises:
        ValueError: If the lists do not pair, or there is no image.

    Example:
        >>> inputs([np.ones((32, 16)), np.ones((24, 16))], [20.0, np.nan], ["original", "cut"], origin="phantom").alt
        '2 images as the network sees them: original (L3 in row 20), cut (L3 not in view) (phantom data).'

    Taught in notebook 02.
    """
    if not len(images) == len(rows) == len(captions) or not len(images):
        found = f"but found {len(images)} images, {len(rows)} rows and {len(captions)} captions"
        raise ValueError(f"each image needs its row and its caption, {found}")
    shades = [image / 255 if image.dtype == np.uint8 else image for image in map(np.asarray, images)]
    high = max(np.flatnonzero(image.any(axis=1)).max(initial=0) + 1 for image in shades)
    wide = max(image.shape[1] for image in shades)
    with our_style():
        figure, axes = panels(captions, columns, high / wide, min(HIGHEST * wide / high, WIDTH), title)
        said = []
        for ax, image, row, caption in zip(axes, shades, rows, captions, strict=True):
            edges = (-0.5, image.shape[1] - 0.5, len(image) - 0.5, -0.5)
            look = {"cmap": GREYS, "vmin": 0, "vmax": 1, "interpolation": "nearest"}
            ax.imshow(np.sqrt(image), extent=edges, **look)
            ax.add_patch(Rectangle((-0.5, -0.5), wide, high, color="black", zorder=-1))  # below a shorter image
            ax.set(xlim=(-0.5, wide - 0.5), ylim=(high - 0.5, -0.5))
            if np.isfinite(row):
                ax.plot(edges[:2], [row, row], color=GREEN, linestyle="--", linewidth=1.2)
            place = f"in row {row:.0f}" if np.isfinite(row) else "not in view"
            said.append(f"{caption} (L3 {place})")
        note = f"pixels of {MM:g} mm, brightened; dashed: L3"
        alt = f"{plural(len(images), 'image')} as the network sees them: {', '.join(said)}."
        return Picture(figure, "inputs", alt, origin, note)
