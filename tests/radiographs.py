"""Small DICOM radiographs for tests, with a name and an id planted that no output may show."""

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from helpers.dicom_pixels import quiet

NAME, ID = "Muster^Erika", "Zq0815-Wk4711"  # letters that stand in no hash
CR = "1.2.840.10008.5.1.4.1.1.1"


def make_dicom(path: Path, pixels: np.ndarray, *, preamble: bool = True, frame: bytes | None = None, **tags) -> Path:
    """Write a radiograph.

    Args:
        path: The file; its folders are made.
        pixels: uint8, int16 or uint16 [rows, columns], or [rows, columns, 3]; all of their bits are said to be stored.
        preamble: False leaves out the first 132 bytes and all that tells how the rest is written.
        frame: The pixels already packed, as the tag ``TransferSyntaxUID`` says.
        **tags: What the header shall say by DICOM keyword; None takes a field away.
    """
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = tags.pop("TransferSyntaxUID", ExplicitVRLittleEndian)
    image = tags.pop("SOPInstanceUID", generate_uid(entropy_srcs=[str(path)]))
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = CR
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = image
    data.Modality, data.PatientName, data.PatientID = "CR", NAME, ID
    data.PatientAge, data.PatientSex, data.ViewPosition = "058Y", "F", "PA"
    data.PixelSpacing = [0.2, 0.2]
    data.Rows, data.Columns = pixels.shape[:2]
    data.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    data.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        data.PlanarConfiguration = 0
    bits = 8 * pixels.dtype.itemsize
    data.BitsAllocated, data.BitsStored, data.HighBit = bits, bits, bits - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.PixelData = encapsulate([frame]) if frame else pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    with quiet():  # some tests want what pydicom warns of
        _set(data, tags)
        if preamble:
            data.save_as(path, enforce_file_format=True)
        else:
            data.file_meta = FileMetaDataset()
            data.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
    return path


def change(path: Path, **tags) -> Path:
    """Write other header fields into a file that `make_dicom` made; None takes one away."""
    data = pydicom.dcmread(path)
    with quiet():
        _set(data, tags)
        data.save_as(path)
    return path


def _set(data: Dataset, tags: dict) -> None:
    for name, value in tags.items():
        if value is None:
            del data[name]
        else:
            setattr(data, name, value)


def plain(rows: int = 24, columns: int = 20, kind: type = np.uint8, seed: int = 0) -> np.ndarray:
    """Stored pixels that use the whole range of their type, black in the first corner and white in the last."""
    limits = np.iinfo(kind)
    pixels = np.random.default_rng(seed).integers(limits.min, limits.max, (rows, columns), endpoint=True, dtype=kind)
    pixels[0, 0], pixels[-1, -1] = limits.min, limits.max
    return pixels


def assert_anonymous(text: str) -> None:
    """Neither the planted name nor the planted id, in whole or in part."""
    for word in (*NAME.split("^"), *ID.split("-")):
        assert word.lower() not in text.lower()
