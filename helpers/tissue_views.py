"""The axial slice of L3 with its muscle and fat coloured.

Used by notebook 02 through `helpers.views`.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from helpers import axial, ct
from helpers.pictures import ORANGE, SKY, VERMILION, Picture, draw_scale, draw_slice, our_style, panels
from helpers.stacks import Stack

COLOURS = {"muscle": VERMILION, "fat": SKY}
TINT = 0.45  # how much of the colour lies over the greys
GREYNESS = {"muscle": 0.55, "fat": 0.15}  # how bright each is under it, in the mediastinum window


def tissues(piece: axial.AxialSlice, truth: Mapping[str, float] | None = None, origin: str = "") -> Picture:
    """Draw an axial slice with what counts as muscle and as fat coloured, the body outlined, and the areas in cm2.

    Args:
        piece: The slice, as from `axial.extract`.
        truth: Known areas in cm2 by the names in ``axial.TISSUES``, as of a phantom; written beside those measured.
        origin: "phantom" or "real", written below.

    Example:
        >>> hu = np.full((60, 60), -1000)
        >>> hu[5:55, 5:55] = -100
        >>> hu[15:45, 15:45] = 50
        >>> tissues(axial.AxialSlice(hu, (2.0, 2.0), 7, 2, 7, 35.0), truth={"muscle": 30.0}).alt
        'Axial slice 7 at z = 35 mm: muscle 36 cm², true 30 cm²; fat 64 cm².'

    Taught in notebook 02.
    """
    masks = axial.tissue_masks(piece.hu, piece.spacing)
    areas = axial.tissue_areas(piece.hu, piece.spacing)
    body = axial.outline(piece.hu, piece.spacing)[:, :, None]
    volume = ct.Volume(piece.hu[:, :, None], (*piece.spacing, 1.0), "slice", "RAS")
    stack = Stack(volume, "mediastinum", body)
    name = f"axial slice {piece.index} at z = {round(piece.z_mm, 1):g} mm"
    with our_style():
        figure, (ax,) = panels([f"{name}, mediastinum window"], 1, stack.height / stack.width, 5.4, margin=2.0)
        draw_slice(ax, stack, 0, outline=True)
        handles, labels = [], []
        for tissue, mask in masks.items():
            colour = np.array(to_rgb(COLOURS[tissue]))
            clear = np.array([[*colour, alpha] for alpha in np.linspace(0, TINT, 64)])
            look = {"cmap": ListedColormap(clear), "vmin": 0, "vmax": 1, "interpolation_stage": "data"}
            layer, edges = stack.cut(mask[:, :, None], 0).astype(np.float32), (0, stack.width, stack.height, 0)
            ax.imshow(layer, extent=edges, interpolation="hanning", **look)
            known = f", true {truth[tissue]:.0f} cm²" if truth and tissue in truth else ""
            handles.append(Patch(color=TINT * colour + (1 - TINT) * GREYNESS[tissue], linewidth=0))
            labels.append(f"{tissue} {areas[tissue]:.0f} cm²{known}")
        draw_scale(ax, stack)
        ranges = [f"{low:g} to {high:g} HU" for low, high in axial.TISSUES.values()]
        lines = [label.replace(", ", "\n") + f"\n{hu}" for label, hu in zip(labels, ranges, strict=True)]
        look = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "frameon": False, "labelspacing": 0.9}
        ax.legend([*handles, Line2D([], [], color=ORANGE)], [*lines, "outline of the body"], **look)
        note = "seen from the feet: R is the patient's right"
        return Picture(figure, "tissues", f"{name}: {'; '.join(labels)}.", origin, note)
