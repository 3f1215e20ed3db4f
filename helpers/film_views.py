"""Pictures of radiographs: films with their captions, masks true and found, and where a network looked.

Used by notebooks 03 and 04 through `helpers.views`. A true mask is light blue; beside a found one, which is solid and
vermilion, it is dashed, so that both are seen where they agree.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from helpers.estimates import plural
from helpers.film_panels import Film, draw, lay_out, on_film, outline, paired, sheet_of
from helpers.masks import bounding_box
from helpers.pictures import SKY, VERMILION, Picture, heat_colours, our_style

FOUND, TRUTH = (VERMILION, 1.5, "-"), (SKY, 1.5, (0, (3, 2)))  # colour, width and dashes of an outline
BACKING = {"facecolor": "black", "linewidth": 0, "pad": 1.2}  # of words on an image
FRONTAL = ("PA", "AP")
SIDES = "the patient's right is on the left"


def radiographs(
    films: Sequence[Film],
    captions: Sequence[str] | None = None,
    columns: int = 4,
    title: str = "",
    origin: str = "",
) -> Picture:
    """Draw radiographs side by side, each with its proportions, as large as its panel allows.

    Args:
        films: `xray.Radiograph`, or prepared ``float32`` [rows, columns] in [0, 1]; none gives a picture that says so.
        captions: What stands above each, such as its label; what is known of a radiograph follows by itself.
        columns: Radiographs in a row.
        title: Written above all.
        origin: "phantom" or "real", written below.

    Raises:
        ValueError: If captions and films do not pair, or a film is not an image with values from 0 to 1.

    Example:
        >>> radiographs([np.zeros((96, 80), np.float32)], ["normal"], origin="phantom").alt
        '1 radiograph: normal (phantom data).'

    Taught in notebook 03.
    """
    captions = [""] * len(films) if captions is None else captions
    paired(films, captions=captions)
    facts = [getattr(film, "caption", "") for film in films]
    lines = ["\n".join(filter(None, pair)) for pair in zip(captions, facts, strict=True)]
    frontal = bool(films) and all(getattr(film, "view", "") in FRONTAL for film in films)
    with our_style():
        figure, axes = lay_out(films, lines, columns, title)
        for ax, film in zip(axes, films, strict=True):
            draw(ax, film)
        said = "; ".join(line.replace("\n", ", ") for line in lines)
        alt = f"{plural(len(films), 'radiograph')}: {said}."
        return Picture(figure, "radiographs", alt, origin, SIDES if frontal else "")


def compare(film: Film, mask: np.ndarray, enhanced: np.ndarray, title: str = "", origin: str = "") -> Picture:
    """Draw a radiograph as it is, after CLAHE, and with its mask outlined inside the bounding box.

    Args:
        film: The radiograph, as in `radiographs`.
        mask: ``bool`` [rows, columns] on its pixels; an empty one has no box, and the picture says so.
        enhanced: The same pixels after `xray.clahe`.
        title, origin: As in `radiographs`.

    Raises:
        ValueError: If mask or enhanced do not fit the film, or as in `radiographs`.

    Example:
        >>> film, mask = np.zeros((96, 80), np.float32), np.zeros((96, 80), bool)
        >>> mask[10:30, 20:40] = True
        >>> compare(film, mask, film).alt
        'A radiograph as it is, after CLAHE, and with its mask (5.2 % of the image) in rows 10 to 29, columns 20 to 39.'

    Taught in notebook 03.
    """
    box = bounding_box(mask)
    last = "mask and bounding box" if box else "no mask: nothing to outline"
    with our_style():
        figure, axes = lay_out([film] * 3, ["as it is", "after CLAHE", last], 3, title)
        for ax, pixels in zip(axes, (None, on_film(film, enhanced), None), strict=True):
            draw(ax, film, pixels)
        sheet, said, note = sheet_of(film), "an empty mask", "an empty mask has no bounding box"
        outline(axes[2], film, mask, SKY, 2.0)
        if box:
            top, left, bottom, right = box
            dy, dx = sheet.height / len(mask), sheet.width / mask.shape[1]
            place = (left * dx, top * dy), (right - left) * dx, (bottom - top) * dy
            axes[2].add_patch(Rectangle(*place, fill=False, edgecolor=VERMILION, linewidth=1.5))
            where = f"in rows {top} to {bottom - 1}, columns {left} to {right - 1}"
            said, note = f"its mask ({_share(mask)}) {where}", "light blue: mask; orange: its box"
        return Picture(figure, "comparison", f"a radiograph as it is, after CLAHE, and with {said}.", origin, note)


def varied(
    images: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    captions: Sequence[str],
    columns: int = 4,
    title: str = "",
    origin: str = "",
) -> Picture:
    """Draw what augmentation makes of an image and its mask, which must move together.

    Args:
        images: ``float32`` [rows, columns] in [0, 1], such as the original and its variants.
        masks: ``bool`` of the same shapes.
        captions: What was done to each.
        columns, title, origin: As in `radiographs`.

    Raises:
        ValueError: As in `segmentations`.

    Example:
        >>> image = np.zeros((96, 96), np.float32)
        >>> varied([image, image], [image > 0] * 2, ["original", "flipped"]).alt
        '2 images with their masks: original; flipped.'

    Taught in notebook 03.
    """
    paired(images, masks=masks, captions=captions)
    with our_style():
        figure, axes = lay_out(images, captions, columns, title)
        for ax, image, mask in zip(axes, images, masks, strict=True):
            draw(ax, image)
            outline(ax, image, mask, SKY, 2.0)
        alt = f"{plural(len(images), 'image')} with their masks: {'; '.join(captions)}."
        return Picture(figure, "variants", alt, origin, "light blue: the mask")


def segmentations(
    images: Sequence[Film],
    truths: Sequence[np.ndarray],
    found: Sequence[np.ndarray],
    captions: Sequence[str],
    columns: int = 4,
    plain: bool = False,
    title: str = "",
    origin: str = "",
) -> Picture:
    """Draw images with the outline of the true mask and of the one that a network found.

    Args:
        images: As in `radiographs`.
        truths, found: ``bool`` masks on the pixels of each image; an empty one is said in words.
        captions: What stands above each, such as "Dice 0.71".
        columns: Panels in a row.
        plain: Whether each image stands plain beside itself as well, so that nothing covers what was missed.
        title, origin: As in `radiographs`.

    Raises:
        ValueError: If the lists do not pair, a mask is not ``bool`` or not of its image's shape, or as in
            `radiographs`.

    Example:
        >>> image = np.zeros((96, 96), np.float32)
        >>> segmentations([image], [image > 0], [np.eye(96, k=95) > 0], ["false alarm"]).alt
        '1 image with true and found mask: false alarm (truth empty, found 0.011 % of the image).'

    Taught in notebook 03.
    """
    paired(images, truths=truths, found=found, captions=captions)
    twice = 1 + plain
    with our_style():
        lines = [line for caption in captions for line in (caption, "")[:twice]]
        figure, axes = lay_out([image for image in images for _ in range(twice)], lines, columns, title)
        said = []
        for number, (image, *masks) in enumerate(zip(images, found, truths, strict=True)):
            for ax in axes[twice * number : twice * (number + 1)]:
                draw(ax, image)
            said.append(_draw_masks(ax, image, masks))
        if images:
            handles = [Line2D([], [], color=k, linewidth=width, linestyle=style) for k, width, style in (TRUTH, FOUND)]
            look = {"loc": "lower right", "ncols": 2, "frameon": False, "fontsize": 8, "borderaxespad": 0.2}
            figure.legend(handles, ["truth", "found"], **look)
        cases = "; ".join(f"{caption} ({text})" for caption, text in zip(captions, said, strict=True))
        alt = f"{plural(len(images), 'image')} with true and found mask: {cases}."
        return Picture(figure, "segmentations", alt, origin)


def cam(
    images: Sequence[Film],
    heats: Sequence[np.ndarray],
    captions: Sequence[str],
    label: str = "weight, strongest in the image = 1",
    title: str = "",
    origin: str = "",
) -> Picture:
    """Draw images plain, and again with a heat map of where the network looked, such as Grad-CAM.

    Args:
        images: One to four, as in `radiographs`.
        heats: A finite float array [rows, columns] of any size for each, stretched over the whole image; 0 and less
            is clear, and each map is drawn relative to its own largest value.
        captions: What stands above each.
        label: What the colour bar measures.
        title, origin: As in `radiographs`.

    Raises:
        ValueError: If there are not one to four images, the lists do not pair, or a map is not finite.

    Example:
        >>> cam([np.zeros((96, 96), np.float32)], [np.ones((3, 3))], ["covid, said covid"]).alt
        '1 image plain and under a heat map: covid, said covid.'

    Taught in notebook 04.
    """
    paired(images, heats=heats, captions=captions)
    if not 1 <= len(images) <= 4:
        raise ValueError(f"heat maps are drawn for one to four images, but found {len(images)}")
    if not all(heat.ndim == 2 and np.isfinite(heat).all() for heat in heats):
        raise ValueError("a heat map must have two axes and be finite")
    with our_style():
        lines = [*captions, *[""] * len(images)]
        figure, axes = lay_out([*images, *images], lines, max(2, len(images)), title, margin=0.8)
        colours = ScalarMappable(Normalize(0, 1), heat_colours())
        for ax, image in zip(axes, [*images, *images], strict=True):
            draw(ax, image)
        for ax, image, heat in zip(axes[len(images) :], images, heats, strict=True):
            warm, sheet = np.maximum(heat, 0), sheet_of(image)
            look = {"cmap": colours.cmap, "norm": colours.norm, "interpolation": "hanning"}
            extent = (0, sheet.width, sheet.height, 0)
            # The axes have their limits already, and keep them.
            ax.imshow(warm / (warm.max() or 1), extent=extent, aspect="auto", interpolation_stage="data", **look)
        box = axes[-1].get_position()
        bar = figure.add_axes([box.x1 + 0.015, box.y0, 0.014, box.height], facecolor="black")
        figure.colorbar(colours, cax=bar).set_label(label, size=8)
        bar.tick_params(labelsize=8)
        alt = f"{plural(len(images), 'image')} plain and under a heat map: {'; '.join(captions)}."
        return Picture(figure, "heat maps", alt, origin)


def _draw_masks(ax: Axes, film: Film, masks: Sequence[np.ndarray]) -> str:
    """Outline the found and the true mask; an empty one is said in the panel. Returns both in words."""
    said, empty = [], []
    for name, mask, look in zip(("found", "truth"), masks, (FOUND, TRUTH), strict=True):
        outline(ax, film, mask, *look)
        said.append(f"{name} {_share(mask)}" if mask.any() else f"{name} empty")
        if not mask.any():
            words = {"color": look[0], "size": 8, "textcoords": "offset points", "bbox": BACKING}
            ax.annotate(f"{name}: empty", (0, 0), (4, 5 + 13 * len(empty)), xycoords="axes fraction", **words)
            empty.append(name)
    return ", ".join(reversed(said))


def _share(mask: np.ndarray) -> str:
    share = 100 * mask.mean()
    return f"{share:.0f} % of the image" if share >= 10 else f"{share:.2g} % of the image"
