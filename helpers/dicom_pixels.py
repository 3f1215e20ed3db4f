"""The pixels of one DICOM file: unpacked by whichever codec knows them, then turned into what a screen would show.

Used by `dicom` for CT slices (notebooks 01 and 02) and by `xray` for radiographs (notebooks 03 and 04).
"""

import logging
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import cv2
import numpy as np

from helpers import jpegs
from helpers.files import DataError

if TYPE_CHECKING:
    from pydicom import Dataset

JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
LARGEST = 64 << 20  # pixels; the largest detectors have a quarter of that
LUMA = (0.299, 0.587, 0.114)  # how bright red, green and blue look (ITU-R BT.601)
EXPORT = "export it again"

_reading: list[int] = []  # the threads that are inside `quiet`
_turn, _silence = threading.Lock(), ExitStack()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom's and Pillow's remarks off the screen: what matters becomes a DataError, some quote the patient.

    Many threads may read at once: the first hushes all, the last to end lets remarks through again.

    Used by every reader of DICOM files and pictures.
    """
    with _turn:
        if not _reading:
            logger = logging.getLogger("pydicom")
            _silence.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.CRITICAL + 1)
            _silence.enter_context(warnings.catch_warnings(action="ignore"))
        _reading.append(threading.get_ident())
    try:
        yield
    finally:
        with _turn:
            _reading.remove(threading.get_ident())
            if not _reading:
                _silence.close()


def find_start(path: str | os.PathLike) -> str:
    """Tell by its first bytes, whatever its name, if a file is DICOM.

    Returns:
        "preamble" for a usual file, "bare" for a data set without the usual 132 bytes before it, "" for another file.

    Raises:
        DataError: If it cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile(delete=False) as file:
        ...     _ = file.write(bytes(128) + b"DICM")
        >>> find_start(file.name)
        'preamble'

    Used by every reader of DICOM files.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(132)
    except OSError as error:
        raise DataError(path, f"it cannot be read ({error.strerror})", "check the disk and the permissions") from None
    if start[128:] == b"DICM":
        return "preamble"
    return "bare" if start[:2] in (b"\x02\x00", b"\x08\x00") and start[3:4] == b"\0" else ""


def read_stored(path: str | os.PathLike) -> "tuple[Dataset, np.ndarray]":
    """Read a DICOM image: its header, and its pixels as they are stored.

    Args:
        path: The file; raw, RLE, JPEG, JPEG lossless, JPEG-LS or JPEG 2000.

    Returns:
        The header, and the stored numbers [rows, columns], or [rows, columns, 3] in red, green and blue.

    Raises:
        DataError: If there are no pixels, more than one frame, or more than ``LARGEST`` pixels; if they are cut short,
            damaged, or packed in a way that no installed codec knows.

    Seen in notebook 03 through `xray.read_radiograph`.
    """
    import pydicom  # here, because it takes a quarter of a second that readers of NIfTI and PNG need not spend

    with quiet():
        try:
            data = pydicom.dcmread(path, force=True)
            fault = _missing(data)
            pixels = None if fault else _decode(data)
        except Exception:  # a damaged header or its codecs raise nearly anything, in words that may quote the patient
            fault = "its pixels are cut short, damaged or packed in an unknown way"
    if fault:
        raise DataError(path, fault, "export each frame as a file of its own" if "frames" in fault else EXPORT)
    return data, pixels


def _missing(data: "Dataset") -> str:
    """What keeps a data set from being one image, if anything."""
    from pydicom.pixels import get_decoder

    if "PixelData" not in data or data.get("Rows") is None or data.get("Columns") is None:
        return "it is cut short or holds no pixels"
    if (frames := int(data.get("NumberOfFrames") or 1)) != 1:
        return f"it holds {frames} frames instead of one image"
    if data.Rows * data.Columns > LARGEST:
        return f"it promises more than {LARGEST >> 20} million pixels"
    if "TransferSyntaxUID" not in data.file_meta:  # without a preamble nothing names it, and nothing is packed
        from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

        implicit, little = data.original_encoding
        plain = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else plain
    syntax = data.file_meta.TransferSyntaxUID
    try:
        known = get_decoder(syntax).is_available
    except NotImplementedError:
        known = False
    named = syntax.name != syntax  # then it is in the standard; what is not, is damage
    return "" if known or not named else f"its pixels are packed as {syntax.name}, which no installed codec knows"


def _decode(data: "Dataset") -> np.ndarray:
    """Unpack the pixels of one image."""
    from pydicom.encaps import generate_frames
    from pydicom.uid import JPEGLosslessSV1

    size = (data.Rows, data.Columns, data.get("SamplesPerPixel", 1))
    syntax = str(data.file_meta.TransferSyntaxUID)
    pillow = syntax in JPEG_2000
    if syntax in jpegs.FRAMES or pillow:
        frame = next(generate_frames(data.PixelData, number_of_frames=1))
        if not frame.rstrip(b"\0\xff").endswith(b"\xff\xd9"):  # codecs fill up in grey what was cut off
            raise ValueError
    if syntax in jpegs.FRAMES:
        *announced, bits = jpegs.read_header(frame, jpegs.FRAMES[syntax])
        depth = (8, range(8, 9)) if bits <= 8 else (16, range(1, 17))
        if tuple(announced) != size or data.BitsAllocated != depth[0] or data.BitsStored not in depth[1]:
            raise ValueError  # gdcm would end the process
        pillow = 0xC0 in jpegs.FRAMES[syntax] and bits == 8
        # gdcm unpacks 12 bits, but pydicom hands them over under another name only.
        if syntax == jpegs.TWELVE_BIT and not pillow:
            data.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    data.pixel_array_options(decoding_plugin="pillow" if pillow else "")
    pixels = data.pixel_array
    if pixels.shape != (size if size[2] > 1 else size[:2]) or size[2] not in (1, 3):
        raise ValueError
    return pixels


def read_display(path: str | os.PathLike) -> "tuple[Dataset, np.ndarray]":
    """Read a DICOM image as a screen would show it.

    The stored numbers pass the modality's table or rescale, then the table or the first window that the file brings.
    Without either, black and white are the ends of what the stored bits can hold (`fit_bits`). MONOCHROME1, where large
    numbers are dark, is inverted last; colours become grey.

    Args:
        path: The file.

    Returns:
        The header, and ``float32`` [rows, columns] in [0, 1], where 1 is white.

    Raises:
        DataError: As `read_stored`, and if the header says things about the pixels that cannot be.

    Taught in notebook 03 through `xray.read_radiograph`.
    """
    data, stored = read_stored(path)
    with quiet():
        try:
            return data, _show(data, stored)
        except Exception:  # whatever stands in a header where a number should be
            raise DataError(path, "its header describes its pixels wrongly", EXPORT) from None


def fit_bits(stored: np.ndarray, bits: int) -> tuple[float, float]:
    """The numbers that stand for black and white where no window tells.

    Files of more than 8 bits often claim more bits than the detector has, and some have more than they claim. Then
    the bits count that the numbers need; up to 8 bits the claim counts, so that a dark image stays dark.

    Args:
        stored: Whole numbers, any shape.
        bits: How many bits they are said to have.

    Example:
        >>> fit_bits(np.array([0, 3000]), 16), fit_bits(np.array([0, 100]), 8), fit_bits(np.array([-5, 100]), 16)
        ((0.0, 4095.0), (0.0, 255.0), (-128.0, 127.0))

    Taught in notebook 03.
    """
    low, high = int(stored.min()), int(stored.max())
    sign = low < 0
    needed = max(high.bit_length(), (-low - 1).bit_length() if sign else 1) + sign
    bits = needed if bits > 8 else max(bits, needed)
    return (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if sign else (0.0, 2.0**bits - 1)


def _show(data: "Dataset", stored: np.ndarray) -> np.ndarray:
    """Stored numbers as float32 grey in [0, 1]."""
    kind = str(data.PhotometricInterpretation)
    if kind == "PALETTE COLOR":
        from pydicom.pixels import apply_color_lut

        stored = apply_color_lut(stored, data)[..., :3]
    if stored.ndim == 3:
        low, high = fit_bits(stored, 8 * stored.dtype.itemsize)
        return (((stored.astype(float) - low) / (high - low)) @ np.array(LUMA)).astype(np.float32).clip(0, 1)
    if kind not in ("MONOCHROME1", "MONOCHROME2"):
        raise ValueError
    if stored.dtype != np.uint8:
        return _shade(data, kind, stored)
    # Few numbers, many pixels: each number is shaded once, from the smallest that is stored to the largest.
    levels = np.arange(int(stored.min()), int(stored.max()) + 1).astype(np.uint8)
    table = np.zeros(256, np.float32)
    table[levels] = _shade(data, kind, levels)
    return cv2.LUT(np.ascontiguousarray(stored), table)


def _shade(data: "Dataset", kind: str, stored: np.ndarray) -> np.ndarray:
    """Stored numbers of one colour, of any shape, as float32 grey in [0, 1]."""
    low, high = fit_bits(stored, int(data.BitsStored))
    values = stored
    if data.get("ModalityLUTSequence"):
        values, high = _look_up(values, data.ModalityLUTSequence[0])
        low = 0.0
    elif (slope := _number(data, "RescaleSlope")) is not None:
        intercept = _number(data, "RescaleIntercept") or 0.0
        values = stored * slope + intercept
        low, high = sorted((low * slope + intercept, high * slope + intercept))
    tables = data.get("VOILUTSequence")
    centre, width = _number(data, "WindowCenter"), _number(data, "WindowWidth")
    if tables and "LUTData" in tables[0]:
        values, white = _look_up(values, tables[0])
        grey = values / white
    elif centre is not None and width is not None and width >= 1:
        grey = _window(values, centre, width, str(data.get("VOILUTFunction") or "LINEAR"))
    else:  # also where the window has no width
        grey = (values - low) / (high - low)
    grey = np.clip(grey, 0, 1).astype(np.float32)
    if not np.isfinite(grey).all():
        raise ValueError
    return 1 - grey if kind == "MONOCHROME1" else grey


def _number(data: "Dataset", name: str) -> float | None:
    """A header field of one number, the first of several; None if it is absent or empty."""
    if data.get(name) in (None, ""):
        return None
    number = float(np.atleast_1d(np.array(data.get(name), float))[0])
    if not np.isfinite(number) or (name == "RescaleSlope" and number == 0):
        raise ValueError
    return number


def _window(values: np.ndarray, centre: float, width: float, function: str) -> np.ndarray:
    """Grey values in a window, by the formulas of the DICOM standard, part 3, C.11.2.1."""
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -500, 500)))
    if function == "LINEAR":  # its half and its one are the standard's, made for whole numbers
        centre, width = centre - 0.5, width - 1
    if width == 0:
        return (values > centre).astype(float)
    return (values - centre) / width + 0.5


def _look_up(values: np.ndarray, item: "Dataset") -> tuple[np.ndarray, float]:
    """What a table of the header makes of values, and the number that stands for white."""
    from pydicom.valuerep import VR

    count, first, bits = (int(number) for number in item.LUTDescriptor)
    table = item.LUTData
    count = count or 1 << 16
    if item["LUTData"].VR == VR.OW:
        wide = ">u2" if item.original_encoding[1] is False else "<u2"
        table = np.frombuffer(table, "u1" if bits <= 8 and len(table) < 2 * count else wide)
    table = np.atleast_1d(np.array(table, np.int64))[:count]
    places = np.clip(np.round(values).astype(np.int64) - first, 0, len(table) - 1)
    return table[places], fit_bits(table, bits)[1]
