"""Everything drawn in the course except interactive charts: pictures of scans, curves, and the slice viewer.

Used by every notebook. Scans stand as radiologists see them: axial slices seen from the feet, patient's right on the
picture's left.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from helpers.class_views import confusion, reliability
from helpers.desk import desk
from helpers.estimates import plural
from helpers.film_views import cam, compare, radiographs, segmentations, varied
from helpers.mip_views import confidence, found_rows, projections
from helpers.pictures import RIM, WIDTH, Picture, draw_scale, draw_slice, heat_colours, our_style, panels
from helpers.plots import curves, errors, roc, scores
from helpers.row_views import inputs
from helpers.stacks import Scan, Stack
from helpers.tissue_views import tissues
from helpers.viewer import SliceViewer

__all__ = [
    "axial",
    "before_after",
    "cam",
    "compare",
    "confidence",
    "confusion",
    "curves",
    "desk",
    "errors",
    "found_rows",
    "gallery",
    "heat",
    "inputs",
    "montage",
    "projections",
    "radiographs",
    "reliability",
    "roc",
    "scores",
    "segmentations",
    "slices",
    "tissues",
    "varied",
]

Spacing = tuple[float, float, float] | None
Window = str | tuple[float, float]
CONVENTION = "seen from the feet: R is the patient's right"


def slices(
    scan: Scan, window: str = "lung", mask: np.ndarray | None = None, spacing: Spacing = None, origin: str = ""
) -> SliceViewer:
    """Leaf through a scan: plane, slice, window (in HU) and the outline of a mask, by mouse or keys; see `SliceViewer`.

    Example:
        >>> slices(np.zeros((48, 48, 40), np.float32))
        SliceViewer(48 x 48 x 40 voxels, axial slice 20 of 40)

    Taught in notebook 01.
    """
    return SliceViewer(scan, window, mask, spacing, origin)


def axial(
    scan: Scan,
    z: int | None = None,
    window: Window = "lung",
    mask: np.ndarray | None = None,
    spacing: Spacing = None,
    title: str = "",
    origin: str = "",
) -> Picture:
    """Draw one axial slice with true proportions and a scale.

    Args:
        scan: A `ct.Volume`, or a prepared ``float32`` [x, y, z] in [0, 1].
        z: The slice, 0 nearest the feet; None takes the one with most mask, or the middle.
        window: Name from ``ct.WINDOWS`` or (low, high) in HU, for a volume.
        mask: ``bool`` [x, y, z], drawn as an outline.
        spacing: Of a prepared array in mm; without it there is no scale and voxels are cubes.
        title: Written above.
        origin: "phantom" or "real", written below.

    Raises:
        ValueError: If scan and mask cannot be used (see `Stack`), or there is no such slice.

    Example:
        >>> axial(np.zeros((48, 48, 40), np.float32), z=30, origin="phantom").alt
        'Axial slice 30 of 40 (phantom data).'

    Taught in notebook 01.
    """
    stack = Stack(scan, window, mask, spacing)
    z = stack.choose(z)
    caption = stack.caption(z)
    with our_style():
        figure, (ax,) = panels([f"{title}\n{caption}" if title else caption], 1, stack.height / stack.width)
        draw_slice(ax, stack, z, outline=True)
        draw_scale(ax, stack)
        return Picture(figure, "axial slice", f"axial {caption}.", origin, _note(stack))


def montage(
    scan: Scan,
    rows: int = 4,
    columns: int = 10,
    window: Window = "lung",
    mask: np.ndarray | None = None,
    spacing: Spacing = None,
    title: str = "",
    origin: str = "",
) -> Picture:
    """Draw slices at even steps from the feet to the head, row by row, numbered; never one slice twice.

    Arguments and errors are those of `axial`, with ``rows * columns`` slices at most.

    Example:
        >>> montage(np.zeros((48, 48, 40), np.float32)).alt
        'Montage of 40 of 40 axial slices, from feet to head.'

    Taught in notebook 01.
    """
    stack = Stack(scan, window, mask, spacing)
    shown = np.unique(np.linspace(0, len(stack) - 1, min(rows * columns, len(stack))).round().astype(int))
    columns = min(columns, len(shown))
    rows = -(-len(shown) // columns)
    wide, high = stack.width, stack.height
    with our_style():
        figure, (ax,) = panels([title], 1, rows * high / (columns * wide), WIDTH)
        for place, z in enumerate(shown):
            row, column = divmod(place, columns)
            draw_slice(ax, stack, z, outline=True, at=(column * wide, row * high), marks=place == 0)
            corner = ((column + 0.04) * wide, (row + 0.96) * high)
            ax.text(*corner, str(z), color="white", size=8, va="bottom", path_effects=RIM)
        ax.set(xlim=(0, columns * wide), ylim=(rows * high, 0))
        alt = f"montage of {len(shown)} of {len(stack)} axial slices, from feet to head."
        return Picture(figure, "montage", alt, origin, f"slices from feet to head, {_note(stack)}")


def before_after(
    before: Scan,
    after: Sequence[Scan],
    titles: Sequence[str],
    z: int | None = None,
    window: Window = "lung",
    spacing: Spacing = None,
    columns: int = 4,
    origin: str = "",
) -> Picture:
    """Draw the same slice of a scan as it is, and after each of several augmentations.

    Args:
        before: The scan as it is.
        after: The augmented scans.
        titles: One for each of ``after``; the first panel is called "original".
        z, window, spacing, origin: As in `axial`.
        columns: Panels in a row.

    Raises:
        ValueError: If titles and scans do not pair, or as in `axial`.

    Example:
        >>> scan = np.zeros((48, 48, 40), np.float32)
        >>> before_after(scan, [scan[::-1]], ["mirrored"]).alt
        'Slice 20 of 40 before and after augmentation: original, mirrored.'

    Taught in notebook 01.
    """
    stacks = [Stack(scan, window, None, spacing) for scan in (before, *after)]
    z, titles = stacks[0].choose(z), ["original", *titles]
    _paired(stacks, titles=titles)
    if len({stack.values.shape for stack in stacks}) > 1:
        raise ValueError(f"an augmented scan must keep its shape, {stacks[0].values.shape}")
    with our_style():
        figure, axes = panels(titles, columns, stacks[0].height / stacks[0].width)
        for ax, stack in zip(axes, stacks, strict=True):
            draw_slice(ax, stack, z)
        caption = stacks[0].caption(z)
        alt = f"{caption} before and after augmentation: {', '.join(titles)}."
        return Picture(figure, "before and after", alt, origin, f"{caption}, {CONVENTION}")


def gallery(
    scans: Sequence[Scan],
    captions: Sequence[str],
    masks: Sequence[np.ndarray | None] | None = None,
    z: Sequence[int | None] | None = None,
    window: Window = "lung",
    spacing: Spacing = None,
    columns: int = 4,
    title: str = "",
    origin: str = "",
) -> Picture:
    """Draw one slice of each of several scans, such as the network's worst errors.

    Args:
        scans: Volumes or prepared arrays; none at all gives a picture that says so.
        captions: What stands above each, such as "CT-23, said 12 %".
        masks: One mask or None for each scan.
        z: One slice for each; None takes the one with most mask, or the middle.
        window, spacing, title, origin: As in `axial`.
        columns: Pictures in a row.

    Raises:
        ValueError: If the lists do not pair, or as in `axial`.

    Example:
        >>> gallery([np.zeros((48, 48, 40), np.float32)], ["CT-23, said 12 %"]).alt
        'Gallery of 1 scan: CT-23, said 12 %.'

    Taught in notebook 01.
    """
    masks = [None] * len(scans) if masks is None else masks
    z = [None] * len(scans) if z is None else z
    _paired(scans, captions=captions, masks=masks, z=z)
    stacks = [Stack(scan, window, mask, spacing) for scan, mask in zip(scans, masks, strict=True)]
    chosen = [stack.choose(wanted) for stack, wanted in zip(stacks, z, strict=True)]
    with our_style():
        if not stacks:
            figure = Figure(figsize=(WIDTH, 1))
            figure.text(0.5, 0.6, "no scan to show", size=11, ha="center")
            return Picture(figure, "gallery", "gallery without a scan.", origin)
        figure, axes = panels(captions, columns, max(stack.height / stack.width for stack in stacks), title=title)
        for ax, stack, place in zip(axes, stacks, chosen, strict=True):
            draw_slice(ax, stack, place, outline=True)
            ax.text(0.03, 0.03, f"slice {place}", color="white", size=8, transform=ax.transAxes, path_effects=RIM)
        alt = f"gallery of {plural(len(stacks), 'scan')}: {'; '.join(captions)}."
        return Picture(figure, "gallery", alt, origin, max(map(_note, stacks), key=len))


def heat(
    scan: Scan,
    heat: np.ndarray,
    mask: np.ndarray | None = None,
    z: int | None = None,
    window: Window = "lung",
    spacing: Spacing = None,
    label: str = "mean fall of the log-odds where hidden",
    title: str = "",
    origin: str = "",
) -> Picture:
    """Draw a slice plain, with a heat map over it, and with the true lesion outlined.

    Args:
        scan, mask, window, spacing, title, origin: As in `axial`.
        heat: Float [x, y, z] on the voxels of the scan, larger where the network leaned on it; 0 and less is clear.
        z: The slice; None takes the one with most mask or, without a mask, with most heat.
        label: What the colour bar measures.

    Raises:
        ValueError: If the heat map does not fit or holds NaN, or as in `axial`.

    Example:
        >>> scan = np.zeros((48, 48, 40), np.float32)
        >>> heat(scan, heat=scan).alt
        'Slice 20 of 40 plain, under a heat map, and with the lesion outlined (no mask for this scan).'

    Taught in notebook 01.
    """
    stack = Stack(scan, window, mask, spacing)
    if heat.shape != stack.values.shape or not np.isfinite(heat).all():
        found = f"but its shape is {heat.shape}" if heat.shape != stack.values.shape else "but it holds NaN or infinity"
        raise ValueError(f"the heat map must be finite, one number a voxel of {stack.values.shape}, {found}")
    warm = np.maximum(heat, 0)
    z = stack.choose(z, None if mask is not None and mask.any() else warm)
    truth = "lesion outlined" if mask is not None else "no mask for this scan"
    if mask is not None and not mask[:, :, z].any():
        truth = "no lesion in this slice"
    with our_style():
        figure, axes = panels(["slice", "heat map", truth], 3, stack.height / stack.width, title=title, margin=0.75)
        for ax, outline in zip(axes, (False, False, True), strict=True):
            draw_slice(ax, stack, z, outline)
        colours = ScalarMappable(Normalize(0, warm.max() or 1), heat_colours())
        layer = stack.cut(warm, z)
        look = {"cmap": colours.cmap, "norm": colours.norm, "interpolation": "hanning", "interpolation_stage": "data"}
        axes[1].imshow(layer, extent=(0, stack.width, stack.height, 0), **look)
        box = axes[-1].get_position()
        bar = figure.add_axes([box.x1 + 0.015, box.y0, 0.014, box.height], facecolor="black")
        figure.colorbar(colours, cax=bar).set_label(label, size=8)
        bar.tick_params(labelsize=8)
        ending = " (no mask for this scan)" if mask is None else ""
        alt = f"{stack.caption(z)} plain, under a heat map, and with the lesion outlined{ending}."
        return Picture(figure, "heat map", alt, origin, f"{stack.caption(z)}, {_note(stack)}")


def _note(stack: Stack) -> str:
    return CONVENTION if stack.mask is None else f"{CONVENTION}; orange: the mask"


def _paired(scans: Sequence, **lists: Sequence) -> None:
    for name, given in lists.items():
        if len(given) != len(scans):
            raise ValueError(f"each scan needs its own: found {len(scans)} scans, but {len(given)} {name}")
