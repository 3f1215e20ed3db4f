"""The viewer that leafs through a scan in three planes; where no code runs, its slice stands as a picture.

Used through `helpers.views` by notebooks 01 and 02.
"""

import base64
import io

import numpy as np
from ipywidgets import HTML, Checkbox, Dropdown, Image, IntSlider, Layout, VBox
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from helpers import ct
from helpers.stacks import AXES, MARKS, Scan, Stack

DISPLAY_WIDTH, PIXELS = 420, 512  # shown size on the page, and pixels across: sharp on dense screens, light to send
LOWEST, STRIP = 72, 28  # pixels: a thin stack keeps room for its marks; the caption stands below and hides nothing
SHADES = 64  # greys: a step is 23 HU in the lung window, less than the noise, and a notebook becomes a third smaller
OUTLINE = (230, 159, 0)  # orange of Okabe and Ito: far from every grey, for colour-blind readers too
GREYS = [round(shade * 255 / (SHADES - 1)) for shade in range(SHADES)]
PALETTE = [part for grey in GREYS for part in (grey, grey, grey)] + [*OUTLINE]


class SliceViewer(VBox):
    """Leaf through a scan by mouse or arrow keys; where nothing runs, the slice stands as a picture.

    Each plane keeps its own slice. Arguments are those of `Stack`, with a window given by name, and ``origin`` is
    written below the picture.

    Attributes:
        plane: Dropdown of axial, coronal and sagittal.
        slice: Slider for the slice.
        window: Dropdown of ``ct.WINDOWS``; None for a prepared array.
        outline: Checkbox that outlines the mask; None without a mask.
        image: The picture shown.
        text: What it shows, in words, which a screen reader speaks after each move.

    Raises:
        ValueError: If the window is not one of ``ct.WINDOWS``, or as in `Stack`.

    Example:
        >>> viewer = SliceViewer(ct.Volume(np.full((64, 64, 9), -1000, np.int16), (5.0, 5.0, 8.0), "air", "RAS"))
        >>> viewer
        SliceViewer(64 x 64 x 9 voxels, axial slice 4 of 9, lung window)
        >>> viewer.plane.value = "coronal"
        >>> viewer
        SliceViewer(64 x 64 x 9 voxels, coronal slice 32 of 64, lung window)

    Taught in notebook 01.
    """

    def __init__(
        self,
        scan: Scan,
        window: str = "lung",
        mask: np.ndarray | None = None,
        spacing: tuple[float, float, float] | None = None,
        origin: str = "",
    ):
        if window not in ct.WINDOWS:
            raise ValueError(f"the window must be one of {', '.join(ct.WINDOWS)}, but is {window!r}")
        self._stack, self._origin, self._kept = Stack(scan, window, mask, spacing), origin, {}
        wide = Layout(width=f"{DISPLAY_WIDTH}px")
        self.plane = Dropdown(options=list(AXES), value=self._stack.plane, description="plane", layout=wide)
        self.slice = IntSlider(self._stack.choose(None), 0, len(self._stack) - 1, description="slice", layout=wide)
        self.window = self.outline = None
        if self._stack.in_hu:
            self.window = Dropdown(options=list(ct.WINDOWS), value=window, description="window", layout=wide)
        if mask is not None:
            self.outline = Checkbox(True, description="outline", layout=wide)
        self.image = Image(format="png", layout=Layout(width=f"{DISPLAY_WIDTH}px", height="auto"))
        self.text = HTML(layout=wide)
        self._draw()
        self.plane.observe(self._turn, "value")
        controls = [control for control in (self.slice, self.window, self.outline) if control is not None]
        for control in controls:
            control.observe(self._draw, "value")
        super().__init__([self.plane, *controls, self.image, self.text])

    def _turn(self, _) -> None:
        """Change the plane: the slider gets its range and slice in silence, and the picture is drawn once."""
        self._stack.plane = self.plane.value
        number = self._kept.get(self.plane.value)
        number = self._stack.choose(None) if number is None else number
        self.slice.unobserve(self._draw, "value")
        with self.slice.hold_sync():  # the page, too, gets both at once
            self.slice.max = len(self._stack) - 1  # first: a value beyond the range would be cut
            self.slice.value = number
        self.slice.observe(self._draw, "value")
        self._draw()

    def _draw(self, *_) -> None:
        number = self._kept[self.plane.value] = self.slice.value
        if self.window is not None:
            self._stack.window = self.window.value
        outlined = self.outline is not None and self.outline.value
        self.image.value = _render(self._stack, number, self._origin, outlined)
        self.text.value = f'<span role="status" aria-live="polite">{self._alt()}</span>'

    def _alt(self) -> str:
        stack, number = self._stack, self.slice.value
        said = stack.describe(number)
        said = said[0].upper() + said[1:]
        if self.outline is not None:
            there = stack.cut(stack.mask, number).any()
            said += (", mask outlined" if self.outline.value else ", mask not outlined") if there else ", no mask here"
        return said + (f" ({self._origin} data)." if self._origin else ".")

    def __repr__(self) -> str:
        shape = " x ".join(str(size) for size in self._stack.values.shape)
        return f"SliceViewer({shape} voxels, {self.plane.value} {self._stack.caption(self.slice.value)})"

    def _repr_mimebundle_(self, **kwargs) -> tuple[dict, dict]:
        data = super()._repr_mimebundle_(**kwargs)
        # GitHub and a page saved as HTML run no widget: they show this picture instead.
        data |= {"text/plain": repr(self), "image/png": base64.b64encode(self.image.value).decode()}
        return data, {"image/png": {"alt": self._alt(), "width": DISPLAY_WIDTH}}


def _render(stack: Stack, number: int, origin: str, outlined: bool) -> bytes:
    """Draw a slice as PNG: true aspect, centred on black, a mark at each edge, and the mask as an outline."""
    scale = PIXELS / max(stack.width, stack.height)
    size = tuple(max(1, round(length * scale)) for length in (stack.width, stack.height))
    bottom = max(size[1], LOWEST)
    left, top = (PIXELS - size[0]) // 2, (bottom - size[1]) // 2
    page = Pillow.new("L", (PIXELS, bottom + STRIP))
    picture = (stack.picture(number) * 255).round().astype(np.uint8)
    page.paste(Pillow.fromarray(picture).resize(size, Pillow.Resampling.BILINEAR), (left, top))
    plain = np.array(page)

    pen, font, margin = ImageDraw.Draw(page), ImageFont.load_default(18), 8
    places = (margin, bottom / 2), (PIXELS - margin, bottom / 2), (PIXELS / 2, margin), (PIXELS / 2, bottom - margin)
    for letter, place, anchor in zip(MARKS[stack.plane], places, ("lm", "rm", "mt", "ms"), strict=True):
        pen.text(place, letter, "white", font, anchor, stroke_width=2, stroke_fill="black")
    footer = ", ".join(filter(None, [f"{stack.plane} {stack.caption(number)}", origin and f"{origin} data"]))
    pen.text((margin, bottom + STRIP - margin), footer, "white", ImageFont.load_default(16), "ls")

    shades = np.array(page) // (256 // SHADES)
    if outlined:
        inside = Pillow.fromarray(stack.cut(stack.mask, number).astype(np.uint8)).resize(
            size, Pillow.Resampling.NEAREST
        )
        edge = np.zeros_like(shades, bool)
        edge[top : top + size[1], left : left + size[0]] = _edge(np.asarray(inside).astype(bool))
        shades[edge & (np.asarray(page) == plain)] = SHADES  # letters stay on top
    coloured = Pillow.fromarray(shades)
    coloured.putpalette(PALETTE)
    buffer = io.BytesIO()
    coloured.save(buffer, "png", compress_level=4)  # a third of the time of level 6, for a twentieth more bytes
    return buffer.getvalue()


def _edge(inside: np.ndarray) -> np.ndarray:
    """Voxels inside that lie within two pixels of the outside."""
    padded = np.pad(inside, 2)
    kernel = [
        padded[2 + dy : 2 + dy + inside.shape[0], 2 + dx : 2 + dx + inside.shape[1]]
        for dy, dx in ((-2, 0), (2, 0), (0, -2), (0, 2))
    ]
    return inside & ~np.logical_and.reduce(kernel)
