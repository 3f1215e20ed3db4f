"""A scan as a stack of axial pictures in radiological convention, and the viewer that leafs through it.

Used through `helpers.views` by notebooks 01 and 02.
"""

import base64
import io

import numpy as np
from ipywidgets import Dropdown, Image, IntSlider, Layout, VBox
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from helpers import ct

Scan = ct.Volume | np.ndarray
DISPLAY_WIDTH, PIXELS = 420, 512  # shown size on the page, and pixels across: sharp on dense screens, light to send
SHADES = 64  # greys: a step is 23 HU in the lung window, less than the noise, and a notebook becomes a third smaller
OUTLINE = (230, 159, 0)  # orange of Okabe and Ito: far from every grey, for colour-blind readers too


class Stack:
    """A scan that hands out its axial slices as pictures: seen from the feet, patient's right on the left.

    Args:
        scan: A `ct.Volume`, or a prepared ``float32`` [x, y, z] in [0, 1]; axes to the right, front and head.
        window: Name from ``ct.WINDOWS`` or (low, high) in HU; a prepared array has been windowed already.
        mask: ``bool`` [x, y, z] on the same voxels, or None.
        spacing: Of a prepared array, in mm along x, y, z; None draws its voxels as cubes, with no scale.

    Attributes:
        width, height: Size of a slice in mm, or in voxels where no spacing is known.

    Raises:
        ValueError: If the scan is not three-dimensional, holds NaN or, prepared, values outside [0, 1]; if the mask
            is not ``bool`` of the same shape; if the spacing is not three positive lengths or a volume's own.

    Example:
        >>> scan = np.zeros((4, 3, 2), np.float32)
        >>> scan[3, 2, 1] = 1  # the patient's front right
        >>> Stack(scan).picture(1)[0]
        array([1., 0., 0., 0.], dtype=float32)

    Taught in notebook 01.
    """

    def __init__(
        self,
        scan: Scan,
        window: str | tuple[float, float] = "lung",
        mask: np.ndarray | None = None,
        spacing: tuple[float, float, float] | None = None,
    ):
        self.in_hu = isinstance(scan, ct.Volume)
        if self.in_hu and spacing is not None:
            raise ValueError("a ct.Volume knows its own spacing: leave the argument out")
        self.values = scan.hu if self.in_hu else np.asarray(scan)
        self.spacing = scan.spacing if self.in_hu else spacing
        self.window, self.mask = window, mask
        if self.values.ndim != 3 or not self.values.size:
            raise ValueError(f"a scan needs three axes [x, y, z], but its shape is {self.values.shape}")
        if self.values.dtype.kind == "f" and not np.isfinite([self.values.min(), self.values.max()]).all():
            raise ValueError("a scan must hold numbers only, but this one has NaN or infinite voxels")
        low, high = (0, 1) if self.in_hu else (self.values.min(), self.values.max())
        if low < -1e-6 or high > 1 + 1e-6:
            found = f"but found {low:g} to {high:g}: wrap Hounsfield units in a ct.Volume"
            raise ValueError(f"a prepared scan holds values from 0 to 1, {found}")
        if self.in_hu:
            ct.window(0, window)  # refuses a window that does not exist
        if self.spacing is not None and not (
            len(self.spacing) == 3 and all(0 < size < np.inf for size in self.spacing)
        ):
            raise ValueError(f"spacing must be three lengths in mm, but is {self.spacing}")
        if mask is not None and (mask.shape != self.values.shape or mask.dtype != bool):
            found = f"{mask.dtype} {mask.shape} on a scan of {self.values.shape}"
            raise ValueError(f"the mask must be bool on the voxels of the scan, but is {found}")
        dx, dy, _ = self.spacing or (1.0, 1.0, 1.0)
        self.width, self.height = self.values.shape[0] * dx, self.values.shape[1] * dy

    def __len__(self) -> int:
        """How many slices there are."""
        return self.values.shape[2]

    def picture(self, z: int) -> np.ndarray:
        """Slice z as ``float32`` [rows, columns] in [0, 1]; no other slice is touched."""
        values = self.values[:, :, z]
        return as_displayed(ct.window(values, self.window) if self.in_hu else values.astype(np.float32))

    def choose(self, z: int | None, weight: np.ndarray | None = None) -> int:
        """Return z if there is such a slice; for None the slice with most weight (default: the mask), or the middle.

        Raises:
            ValueError: If there is no slice z.
        """
        if z is not None:
            if not 0 <= z < len(self):
                raise ValueError(f"the slice must be from 0 to {len(self) - 1}, but is {z}")
            return int(z)
        weight = self.mask if weight is None else weight
        return int(weight.sum((0, 1)).argmax()) if weight is not None and weight.any() else len(self) // 2

    def caption(self, z: int) -> str:
        """What slice z is, in words."""
        named = isinstance(self.window, str)
        window = self.window if named else f"{self.window[0]:g} to {self.window[1]:g} HU"
        return f"slice {z} of {len(self)}" + (f", {window} window" if self.in_hu else "")


class SliceViewer(VBox):
    """Leaf through a scan with sliders, by mouse or arrow keys; where nothing runs, the slice stands as a picture.

    Arguments are those of `Stack`, with a window given by name, and ``origin`` is written into the picture.

    Attributes:
        z: Slider for the slice.
        window: Dropdown of ``ct.WINDOWS``; None for a prepared array.
        image: The picture shown.

    Raises:
        ValueError: If the window is not one of ``ct.WINDOWS``, or as in `Stack`.

    Example:
        >>> SliceViewer(ct.Volume(np.full((64, 64, 9), -1000, np.int16), (5.0, 5.0, 8.0), "air", "RAS"))
        SliceViewer(64 x 64 x 9 voxels, slice 4 of 9, lung window)

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
        self._stack, self._origin = Stack(scan, window, mask, spacing), origin
        wide = Layout(width=f"{DISPLAY_WIDTH}px")
        controls = [IntSlider(self._stack.choose(None), 0, len(self._stack) - 1, description="slice", layout=wide)]
        if self._stack.in_hu:
            controls.append(Dropdown(options=list(ct.WINDOWS), value=window, description="window", layout=wide))
        self.z, self.window = controls[0], controls[1] if self._stack.in_hu else None
        self.image = Image(format="png", layout=Layout(width=f"{DISPLAY_WIDTH}px", height="auto"))
        self._draw()
        for control in controls:
            control.observe(self._draw, "value")
        super().__init__([*controls, self.image])

    def _draw(self, *_) -> None:
        if self.window is not None:
            self._stack.window = self.window.value
        self.image.value = _render(self._stack, self.z.value, self._origin)

    def __repr__(self) -> str:
        shape = " x ".join(str(size) for size in self._stack.values.shape)
        return f"SliceViewer({shape} voxels, {self._stack.caption(self.z.value)})"

    def _repr_mimebundle_(self, **kwargs) -> tuple[dict, dict]:
        data = super()._repr_mimebundle_(**kwargs)
        # GitHub and a page saved as HTML run no widget: they show this picture instead.
        data |= {"text/plain": repr(self), "image/png": base64.b64encode(self.image.value).decode()}
        return data, {"image/png": {"alt": f"Axial {self._stack.caption(self.z.value)}", "width": DISPLAY_WIDTH}}


def as_displayed(values: np.ndarray) -> np.ndarray:
    """Turn an axial slice [x, y] into rows and columns: front on top, the patient's right on the left.

    Example:
        >>> as_displayed(np.array([["left back", "left front"], ["right back", "right front"]])).tolist()
        [['right front', 'left front'], ['right back', 'left back']]

    Taught in notebook 01.
    """
    return values.T[::-1, ::-1]


def _render(stack: Stack, z: int, origin: str) -> bytes:
    """Draw slice z as PNG with true aspect, R and L, and the mask as an outline."""
    size = (PIXELS, max(1, round(PIXELS * stack.height / stack.width)))
    grey = Pillow.fromarray((stack.picture(z) * 255).round().astype(np.uint8)).resize(size, Pillow.Resampling.BILINEAR)
    grey = grey.point([round(level // (256 / SHADES) * 255 / (SHADES - 1)) for level in range(256)])
    if stack.mask is not None:
        inside = Pillow.fromarray(as_displayed(stack.mask[:, :, z]).astype(np.uint8)).resize(size, 0)
        grey = grey.convert("RGB")
        grey.paste(OUTLINE, mask=Pillow.fromarray(_edge(np.asarray(inside).astype(bool))))
    pen, font = ImageDraw.Draw(grey), ImageFont.load_default(18)
    middle, margin = size[1] / 2, 8
    footer = ", ".join(filter(None, [stack.caption(z), origin and f"{origin} data"]))
    texts = (("R", (margin, middle), "lm"), ("L", (size[0] - margin, middle), "rm"))
    for text, place, anchor in (*texts, (footer, (margin, size[1] - margin), "ls")):
        pen.text(place, text, "white", font, anchor, stroke_width=2, stroke_fill="black")
    buffer = io.BytesIO()
    grey.save(buffer, "png", compress_level=6)
    return buffer.getvalue()


def _edge(inside: np.ndarray) -> np.ndarray:
    """Voxels inside that lie within two pixels of the outside."""
    padded = np.pad(inside, 2)
    kernel = [
        padded[2 + dy : 2 + dy + inside.shape[0], 2 + dx : 2 + dx + inside.shape[1]]
        for dy, dx in ((-2, 0), (2, 0), (0, -2), (0, 2))
    ]
    return inside & ~np.logical_and.reduce(kernel)
