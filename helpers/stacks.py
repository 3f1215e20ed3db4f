"""A scan as a stack of pictures, axial, coronal or sagittal, as radiologists hang them; nothing is drawn here.

Used through `helpers.views` by every notebook that shows a scan.
"""

import numpy as np

from helpers import ct

Scan = ct.Volume | np.ndarray
AXES = {"axial": 2, "coronal": 1, "sagittal": 0}  # the axis along which a plane is leafed through
MARKS = {"axial": "RLAP", "coronal": "RLHF", "sagittal": "APHF"}  # left, right, upper and lower edge of the picture
SIDES = {"R": "the patient's right", "A": "front", "H": "head"}


class Stack:
    """A scan that hands out the slices of one plane as pictures, in radiological convention.

    Axial slices are seen from the feet (patient's right on the left, front on top), coronal ones from the front
    (patient's right on the left, head on top), sagittal ones from the patient's left (front on the left, head on top).
    Slices are counted along the axis: from the feet, from the back, from the patient's left.

    Args:
        scan: A `ct.Volume`, or a prepared ``float32`` [x, y, z] in [0, 1]; axes to the right, front and head.
        window: Name from ``ct.WINDOWS`` or (low, high) in HU; a prepared array has been windowed already.
        mask: ``bool`` [x, y, z] on the same voxels, or None.
        spacing: Of a prepared array, in mm along x, y, z; None draws its voxels as cubes, with no scale.
        plane: "axial", "coronal" or "sagittal".

    Attributes:
        plane, window: As given; either may be set anew.
        in_hu: Whether the values are Hounsfield units, which a window turns into greys.

    Raises:
        ValueError: If the scan is not three-dimensional, holds NaN or, prepared, values outside [0, 1]; if the mask
            is not ``bool`` of the same shape; if the spacing is not three positive lengths or a volume's own; if
            there is no such window or plane.

    Example:
        >>> scan = np.zeros((4, 3, 2), np.float32)
        >>> scan[3, 2, 1] = 1  # the patient's front right, in the upper slice
        >>> Stack(scan).picture(1)[0]
        array([1., 0., 0., 0.], dtype=float32)
        >>> Stack(scan, plane="sagittal").picture(3)[0]
        array([1., 0., 0.], dtype=float32)

    Taught in notebook 01.
    """

    def __init__(
        self,
        scan: Scan,
        window: str | tuple[float, float] = "lung",
        mask: np.ndarray | None = None,
        spacing: tuple[float, float, float] | None = None,
        plane: str = "axial",
    ):
        self.in_hu = isinstance(scan, ct.Volume)
        if self.in_hu and spacing is not None:
            raise ValueError("a ct.Volume knows its own spacing: leave the argument out")
        self.values = scan.hu if self.in_hu else np.asarray(scan)
        self.spacing = scan.spacing if self.in_hu else spacing
        self.window, self.mask, self.plane = window, mask, plane
        if plane not in AXES:
            raise ValueError(f"the plane must be one of {', '.join(AXES)}, but is {plane!r}")
        if self.values.ndim != 3 or not self.values.size:
            raise ValueError(f"a scan needs three axes [x, y, z], but its shape is {self.values.shape}")
        self._check_values()
        if self.in_hu:
            ct.window(0, window)  # refuses a window that does not exist
        if self.spacing is not None and not (
            len(self.spacing) == 3 and all(0 < size < np.inf for size in self.spacing)
        ):
            raise ValueError(f"spacing must be three lengths in mm, but is {self.spacing}")
        if mask is not None and (mask.shape != self.values.shape or mask.dtype != bool):
            found = f"{mask.dtype} {mask.shape} on a scan of {self.values.shape}"
            raise ValueError(f"the mask must be bool on the voxels of the scan, but is {found}")

    def _check_values(self) -> None:
        if self.in_hu and self.values.dtype.kind != "f":
            return  # any whole number may be a HU, and a large scan opens at once
        low, high = float(self.values.min()), float(self.values.max())
        if not np.isfinite([low, high]).all():
            raise ValueError("a scan must hold numbers only, but this one has NaN or infinite voxels")
        if not self.in_hu and (low < -1e-6 or high > 1 + 1e-6):
            found = f"but found {low:g} to {high:g}: wrap Hounsfield units in a ct.Volume"
            raise ValueError(f"a prepared scan holds values from 0 to 1, {found}")

    def __len__(self) -> int:
        """How many slices there are."""
        return self.values.shape[AXES[self.plane]]

    @property
    def width(self) -> float:
        """Width of a slice in mm, or in voxels where no spacing is known."""
        return self._lengths()[0]

    @property
    def height(self) -> float:
        """Height of a slice in mm, or in voxels where no spacing is known."""
        return self._lengths()[1]

    def _lengths(self) -> list[float]:
        sizes = zip(self.values.shape, self.spacing or (1.0, 1.0, 1.0), strict=True)
        return [voxels * mm for axis, (voxels, mm) in enumerate(sizes) if axis != AXES[self.plane]]

    def cut(self, values: np.ndarray, number: int) -> np.ndarray:
        """One slice of any [x, y, z] on the scan's voxels as [rows, columns], in place: no other slice is touched."""
        # In each plane both axes that remain lead away from the corner where a radiologist's picture starts.
        return np.moveaxis(values, AXES[self.plane], 0)[number].T[::-1, ::-1]

    def picture(self, number: int) -> np.ndarray:
        """One slice as ``float32`` [rows, columns] in [0, 1]."""
        values = self.cut(self.values, number)
        return ct.window(values, self.window) if self.in_hu else values.astype(np.float32)

    def choose(self, number: int | None, weight: np.ndarray | None = None) -> int:
        """Return the number if there is such a slice; for None the slice with most weight (the mask), or the middle.

        Raises:
            ValueError: If there is no such slice.
        """
        if number is not None:
            if not 0 <= number < len(self):
                raise ValueError(f"the slice must be from 0 to {len(self) - 1}, but is {number}")
            return int(number)
        weight = self.mask if weight is None else weight
        if weight is None or not weight.any():
            return len(self) // 2
        return int(weight.sum(tuple(axis for axis in range(3) if axis != AXES[self.plane])).argmax())

    def caption(self, number: int) -> str:
        """Which slice it is, in words."""
        named = isinstance(self.window, str)
        window = self.window if named else f"{self.window[0]:g} to {self.window[1]:g} HU"
        return f"slice {number} of {len(self)}" + (f", {window} window" if self.in_hu else "")

    def describe(self, number: int) -> str:
        """Which slice it is and how it hangs, for those who cannot see it."""
        left, _, top, _ = MARKS[self.plane]
        return f"{self.plane} {self.caption(number)}, {SIDES[left]} on the left, {SIDES[top]} on top"
