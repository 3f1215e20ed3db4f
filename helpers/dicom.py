"""A folder with the files of one DICOM CT series, put in order by where each slice lies in the patient.

Used by `ct`, and through it by notebooks 01 and 02.
"""

import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers.dicom_pixels import find_start, quiet, read_stored
from helpers.files import DataError

HEADER = [
    *("SOPClassUID", "Modality", "ImageType", "SeriesInstanceUID", "NumberOfFrames", "SamplesPerPixel"),
    *("Rows", "Columns", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient"),
    *("RescaleSlope", "RescaleIntercept"),
]
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
SCREENSHOT = "1.2.840.10008.5.1.4.1.1.7"  # secondary capture: dose sheets and the like, filed among the slices
LARGEST = 4 << 30  # bytes of voxels
SPACING = (0.01, 100.0)  # mm a voxel; what lies outside is damage
TILT = 1.0  # degrees; less is rounding
EXPORT = "export the series again"


class Slice(NamedTuple):
    """What the header of one slice says; positions in mm, in DICOM's axes (left, back, head)."""

    path: Path
    series: str
    modality: str
    size: tuple[int, int]
    planes: int
    spacing: np.ndarray | None
    position: np.ndarray | None
    orientation: np.ndarray | None
    slope: float
    intercept: float


def read_series(folder: str | os.PathLike) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Read the CT series in a folder; names, order and number of the files do not matter, where the slices lie does.

    Scouts, screenshots and files that are not DICOM images are passed over; the distance of slices is measured from
    their positions, since the slice thickness is another thing.

    Args:
        folder: Folder with one file a slice, with any extension or none.

    Returns:
        The stored voxels [column, row, slice], the rescale slope and intercept of each slice, and the affine,
        float64 [4, 4], from voxel to millimetres (right, front, head).

    Raises:
        DataError: If there is no CT slice, only one, or more than one series; if a slice is missing, there twice,
            damaged or unlike the others; if the gantry was tilted.

    Example:
        >>> import tempfile
        >>> try:
        ...     read_series(tempfile.mkdtemp())
        ... except DataError as error:
        ...     print(error.fault)
        it holds no CT slice

    Seen in notebook 01 through `ct.read_volume`.
    """
    folder = Path(folder)
    with quiet():
        slices = _select(folder)
        slices, affine = _arrange(folder, slices)
        if math.prod(slices[0].size) * len(slices) * 2 > LARGEST:
            raise DataError(folder, f"it promises more than {LARGEST >> 30} GiB of voxels", EXPORT)
        stored = np.stack([_pixels(piece) for piece in slices]).transpose(2, 1, 0)
    slope, intercept = (np.array([getattr(piece, name) for piece in slices]) for name in ("slope", "intercept"))
    return stored, slope, intercept, affine


def _select(folder: Path) -> list[Slice]:
    """The slices of the one CT series in a folder, in no order."""
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise DataError(folder, f"it cannot be read ({error.strerror})", "check the disk and the permissions") from None
    images = [piece for path in files if (piece := _header(path))]
    slices = [piece for piece in images if piece.modality in ("CT", "")]
    if not slices:
        kinds = ", ".join(sorted({piece.modality for piece in images}))
        fault = f"it holds {kinds} images, no CT" if images else "it holds no CT slice"
        raise DataError(folder, fault, "name the folder that holds the files of one CT series")
    if (series := len({piece.series for piece in slices})) > 1:
        raise DataError(folder, f"it holds {series} CT series", "give each a folder of its own")
    for piece in slices:
        if piece.planes != 1:
            raise DataError(piece.path, "it is coloured or holds several frames", "export one grey file a slice")
        if piece.position is None or piece.orientation is None or piece.spacing is None:
            raise DataError(piece.path, "it does not tell where in the patient it lies", "export the original slices")
    if len(slices) == 1:
        raise DataError(slices[0].path, "it is the only CT slice there, which is no volume", "export the whole series")
    return slices


def _header(path: Path) -> Slice | None:
    """Read all but the pixels of a file; None if it is no image or none that belongs to a volume."""
    import pydicom  # here, because it takes a quarter of a second that NIfTI readers need not spend

    start = find_start(path)
    if not start:
        if path.suffix.lower() in (".dcm", ".dicom", ".ima"):
            raise DataError(path, "it is named like a DICOM file and is none", f"{EXPORT}, or take the file away")
        return None
    try:
        header = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=HEADER)
        kind = str(header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID") or "")
        if header.get("Rows") is None or header.get("Columns") is None:
            # Passing over half a slice would shorten the patient in silence.
            if kind == CT_IMAGE or (not kind and start == "preamble"):
                raise DataError(path, "it is cut short or holds no pixels", EXPORT)
            return None
        if "LOCALIZER" in (header.get("ImageType") or ()) or kind.startswith(SCREENSHOT):
            return None
        slope, intercept = _numbers(header, "RescaleSlope", 1), _numbers(header, "RescaleIntercept", 1)
        return Slice(
            path,
            str(header.get("SeriesInstanceUID") or ""),
            "".join(filter(str.isalnum, str(header.get("Modality") or "")))[:16],  # it is shown in messages
            (int(header.Rows), int(header.Columns)),
            int(header.get("NumberOfFrames") or 1) * int(header.get("SamplesPerPixel") or 1),
            _numbers(header, "PixelSpacing", 2),
            _numbers(header, "ImagePositionPatient", 3),
            _numbers(header, "ImageOrientationPatient", 6),
            1.0 if slope is None else float(slope[0]),
            0.0 if intercept is None else float(intercept[0]),
        )
    except DataError:
        raise
    except Exception:  # a damaged header makes pydicom raise nearly anything, in words that may quote the patient
        raise DataError(path, "its DICOM header is damaged", EXPORT) from None


def _numbers(header, name: str, count: int) -> np.ndarray | None:
    """A header field of several numbers; None if it is absent."""
    if header.get(name) in (None, ""):
        return None
    numbers = np.array(header.get(name), float).reshape(-1)
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise ValueError
    return numbers


def _arrange(folder: Path, slices: list[Slice]) -> tuple[list[Slice], np.ndarray]:
    """Sort slices along their normal, and build the affine from their positions."""
    first = slices[0]
    for piece in slices:
        same = piece.size == first.size and np.allclose(piece.spacing, first.spacing, rtol=1e-3)
        if not same or not np.allclose(piece.orientation, first.orientation, atol=1e-3):
            fault = f"it differs from {first.path.name} in size, pixel spacing or orientation"
            raise DataError(piece.path, fault, "give each series a folder of its own")
    down, along = first.spacing  # DICOM gives the distance of rows before that of columns
    if min(down, along) < SPACING[0] or max(down, along) > SPACING[1]:
        raise DataError(first.path, f"its pixel spacing is {down:g} x {along:g} mm", EXPORT)
    across, downward = first.orientation[:3], first.orientation[3:]
    if not np.allclose([across @ across, downward @ downward, across @ downward], [1, 1, 0], atol=0.01):
        raise DataError(first.path, "its orientation is not two directions at right angles", EXPORT)
    normal = np.cross(across, downward)

    slices = sorted(slices, key=lambda piece: piece.position @ normal)
    places = np.array([piece.position for piece in slices])
    depths = places @ normal
    gaps = np.diff(depths)
    if gaps.min() < 0.01:
        twin = int(gaps.argmin())
        pair = f"{slices[twin].path.name} and {slices[twin + 1].path.name}"
        raise DataError(folder, f"{pair} lie at the same place", "keep one of them, or give each phase its own folder")
    step = (places[-1] - places[0]) / (len(places) - 1)
    tilt = math.degrees(math.acos(min(1.0, step @ normal / np.linalg.norm(step))))
    if tilt > TILT:
        fault = f"the gantry was tilted by {tilt:.1f} degrees, so its slices are shifted against each other"
        raise DataError(folder, fault, "convert it with a tool that corrects the tilt, such as dcm2niix")
    usual = float(np.median(gaps))
    if (uneven := np.abs(gaps - usual)).max() > 0.1 * usual:
        worst = int(uneven.argmax())
        fault = f"slices {worst + 1} and {worst + 2} of {len(slices)} are {gaps[worst]:.2f} mm apart"
        raise DataError(folder, f"{fault}, the others {usual:.2f} mm", "add the missing slice, or export them all")
    drift = places - places[0] - np.outer(np.arange(len(places)), step)
    if np.linalg.norm(drift, axis=1).max() > max(min(down, along), 0.5 * usual):
        raise DataError(folder, "its slices are shifted sideways against each other", EXPORT)

    affine = np.eye(4)
    affine[:3, :3] = np.stack([across * along, downward * down, step], axis=1)
    affine[:3, 3] = places[0]
    return slices, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine  # left, back, head -> right, front, head


def _pixels(piece: Slice) -> np.ndarray:
    """The stored numbers [row, column] of one slice."""
    _, pixels = read_stored(piece.path)
    if pixels.shape != piece.size:
        raise DataError(piece.path, "its pixels do not fill the image that its header describes", EXPORT)
    return pixels
