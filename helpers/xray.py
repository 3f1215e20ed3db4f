"""Radiographs: DICOM, PNG or JPEG files read as grey pictures in display polarity, and what a caption may say of them.

Used by notebooks 03 and 04. A patient's name and id never leave this reader.
"""

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from PIL import Image

from helpers import dicom_pixels
from helpers.files import DataError

if TYPE_CHECKING:
    from pydicom import Dataset

SMALLEST = 16  # pixels a side; less is an icon
OLDEST = 125.0  # years; what lies above is a slip of the pen
YEARS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
# The views DICOM names, and two that are often written. Free text, in which a name might stand, is left out.
VIEWS = ("PA", "AP", "LL", "RL", "RLD", "LLD", "RLO", "LLO", "LAT", "LATERAL")
DAMAGED = ("it is cut short or damaged", "copy or download it again")


class Facts(NamedTuple):
    """What a DICOM header says of a patient and a view that a caption may show; see `Radiograph` for the units."""

    spacing: tuple[float, float] | None
    view: str
    age: float | None
    sex: str | None


@dataclass(frozen=True, eq=False, repr=False)
class Radiograph:
    """A radiograph as a viewing box would show it.

    Args:
        pixels: ``float32`` [rows, columns] in [0, 1]; bone is bright, air is dark.
        spacing: Distance of rows and of columns in mm; None where the file does not tell.
        view: Such as "PA", from the back to the front; "" where the file does not tell.
        age: In years, None if unknown.
        sex: "F", "M" or None.
        subject: Who it is, such as "patient 0007", never a name.

    Example:
        >>> Radiograph(np.zeros((20, 30), np.float32), (0.168, 0.168), "PA", 58.0, "F", "patient 0007")
        Radiograph(patient 0007, 58 years, F, PA, 0.168 mm: 20 x 30 pixels)

    Taught in notebook 03.
    """

    pixels: np.ndarray
    spacing: tuple[float, float] | None = None
    view: str = ""
    age: float | None = None
    sex: str | None = None
    subject: str = "patient"

    @property
    def caption(self) -> str:
        """What is known of it in one line, such as "patient 0007, 58 years, F, PA, 0.168 mm"."""
        known = [self.subject, _name_age(self.age), self.sex, self.view, _name_spacing(self.spacing)]
        return ", ".join(part for part in known if part)

    def __repr__(self) -> str:
        rows, columns = self.pixels.shape
        return f"Radiograph({self.caption}: {rows} x {columns} pixels)"


def _name_age(age: float | None) -> str:
    if age is None:
        return ""
    return f"{int(age)} years" if age >= 2 else f"{int(age * 12 + 1e-6)} months"


def _name_spacing(spacing: tuple[float, float] | None) -> str:
    if spacing is None:
        return "spacing unknown"
    down, along = (f"{part:.3g}" for part in spacing)
    return f"{down} mm" if down == along else f"{down} x {along} mm"


def read_radiograph(path: str | os.PathLike, subject: str = "patient") -> Radiograph:
    """Read a radiograph from a DICOM, PNG or JPEG file, whatever its name.

    DICOM files are shown as `dicom_pixels.read_display` describes. Colours become grey, what is transparent black.
    Pictures of 16 bits are scaled by `dicom_pixels.fit_bits`. EXIF is left unread: a radiograph is stored upright.

    Args:
        path: The file.
        subject: What captions shall call the patient.

    Returns:
        The radiograph. Only DICOM files know more than the pixels.

    Raises:
        DataError: If it is none of the three, holds no single image, is cut short, damaged or packed in a way that no
            installed codec knows, or has a side of less than ``SMALLEST`` pixels.

    Example:
        >>> import tempfile
        >>> path = f"{tempfile.mkdtemp()}/chest.png"
        >>> Image.new("L", (32, 24), 255).save(path)
        >>> read_radiograph(path)
        Radiograph(patient, spacing unknown: 24 x 32 pixels)

    Taught in notebook 03.
    """
    header, pixels = _read(path)
    facts = Facts(None, "", None, None) if header is None else read_facts(header)
    return Radiograph(pixels, *facts, subject)


def read_pixels(path: str | os.PathLike) -> np.ndarray:
    """Read the pixels of a radiograph alone, where thousands are prepared; see `read_radiograph`.

    Returns:
        ``float32`` [rows, columns] in [0, 1], air dark.

    Raises:
        DataError: As `read_radiograph`.

    Used by notebooks 03 and 04 through `film_arrays.prepare`.
    """
    return _read(path)[1]


def _read(path: str | os.PathLike) -> "tuple[Dataset | None, np.ndarray]":
    """The header, where there is one, and the pixels."""
    dicom = dicom_pixels.find_start(path)
    header, pixels = dicom_pixels.read_display(path) if dicom else (None, _read_picture(Path(path)))
    rows, columns = pixels.shape
    if min(rows, columns) < SMALLEST:
        raise DataError(path, f"it has only {rows} x {columns} pixels", "use the image in its original size")
    return header, pixels


def _read_picture(path: Path) -> np.ndarray:
    """A PNG or JPEG as float32 grey in [0, 1]."""
    with dicom_pixels.quiet():  # Pillow warns of what is refused here
        try:
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                large = math.prod(image.size) > dicom_pixels.LARGEST
                pixels = None if large else _turn_grey(image)
        except Image.DecompressionBombError:
            pixels = None
        except Image.UnidentifiedImageError:
            remedy = "use one of these, or take it away"
            raise DataError(path, "it is no DICOM, PNG or JPEG file", remedy) from None
        except Exception:  # Pillow raises nearly anything when a file is damaged
            raise DataError(path, *DAMAGED) from None
    if pixels is None:
        most = f"{dicom_pixels.LARGEST >> 20} million pixels"
        raise DataError(path, f"it promises more than {most}", "use an image of a usual size")
    return pixels


def _turn_grey(image: Image.Image) -> np.ndarray:
    """A picture of any mode as float32 grey in [0, 1]."""
    if image.mode.startswith("I"):  # 16 bits
        stored = np.asarray(image)
        low, high = dicom_pixels.fit_bits(stored, 16)
        return ((stored - low) / (high - low)).astype(np.float32)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
    return np.asarray(image.convert("L"), np.float32) / 255


def read_facts(header: "Dataset") -> Facts:
    """What the header of a radiograph says that a caption may show; what is missing or makes no sense is None.

    Args:
        header: As pydicom reads it.

    Example:
        >>> from pydicom import Dataset
        >>> header = Dataset()
        >>> header.PatientName, header.PatientAge, header.PatientSex = "Muster^Erika", "058Y", "F"
        >>> read_facts(header)
        Facts(spacing=None, view='', age=58.0, sex='F')

    Seen in notebook 03 through `headers.read_headers`.
    """
    with dicom_pixels.quiet():
        spacing = _read_spacing(header, "PixelSpacing") or _read_spacing(header, "ImagerPixelSpacing")
        view, sex = (_read_text(header, name) for name in ("ViewPosition", "PatientSex"))
        age = parse_age(_read_text(header, "PatientAge"))
    return Facts(spacing, view if view in VIEWS else "", age, sex if sex in ("F", "M") else None)


def _read_text(header: "Dataset", name: str) -> str:
    try:
        return str(header.get(name) or "").strip().upper()
    except Exception:  # pydicom raises nearly anything at a damaged field
        return ""


def _read_spacing(header: "Dataset", name: str) -> tuple[float, float] | None:
    """Distance of rows and columns in mm; None unless both are above zero."""
    try:
        down, along = (float(part) for part in header.get(name) or ())
    except Exception:  # as above
        return None
    return (down, along) if 0 < down < math.inf and 0 < along < math.inf else None


def parse_age(age: str | float | None) -> float | None:
    """Years from an age as DICOM writes it, or as people do.

    Args:
        age: "058Y" (years), "012M" (months), "003W" (weeks), "010D" (days), or a plain number of years.

    Returns:
        Years; None for an empty field, for what is no age, and above ``OLDEST`` years.

    Example:
        >>> parse_age("058Y"), parse_age("012M"), parse_age("62"), parse_age(""), parse_age("413")
        (58.0, 1.0, 62.0, None, None)

    Taught in notebook 03.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([YMWD]?)", str("" if age is None else age).strip().upper(), re.ASCII)
    if found is None:
        return None
    years = float(found[1]) * YEARS[found[2] or "Y"]
    return years if years <= OLDEST else None


def clahe(pixels: np.ndarray, clip: float = 2.0, tiles: tuple[int, int] = (16, 16)) -> np.ndarray:
    """Equalise contrast tile by tile, within limits (CLAHE), so that faint markings show.

    Args:
        pixels: [rows, columns] in [0, 1].
        clip: How often a grey value may occur in a tile, in multiples of an even share; more means more contrast.
        tiles: Number of tiles down and across.

    Returns:
        ``float32`` of the same shape in [0, 1], in steps of 1/255: with the 65,536 grey values of 16 bits, an even
        share of a tile would be less than one pixel.

    Raises:
        ValueError: If the pixels are no picture in [0, 1].

    Example:
        >>> faint = np.tile(np.linspace(0.4, 0.6, 64, dtype=np.float32), (64, 1))
        >>> bool(np.ptp(clahe(faint)) > 1.4 * np.ptp(faint))
        True

    Taught in notebook 03.
    """
    if pixels.ndim != 2 or not (pixels.min() >= 0 and pixels.max() <= 1):  # also false for NaN
        raise ValueError(f"pixels must be [rows, columns] in [0, 1], but found {pixels.shape} from {pixels.min():g}")
    down, across = tiles
    equalise = cv2.createCLAHE(clipLimit=clip, tileGridSize=(across, down))
    return equalise.apply(np.round(pixels * 255).astype(np.uint8)).astype(np.float32) / 255
