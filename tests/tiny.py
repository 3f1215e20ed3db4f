"""Scans of a few voxels, in the files and folders of real ones, for the tests of what handles whole folders."""

import os
from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SHAPE, SPACING = (12, 11, 10), (3.0, 2.5, 4.0)


def voxels(seed: int, shape=SHAPE) -> np.ndarray:
    """Whole Hounsfield units between air and bone, other ones for another seed."""
    return np.random.default_rng(seed).integers(-1000, 400, shape).astype(np.int16)


def save(path: Path, data: np.ndarray, spacing=SPACING) -> Path:
    """Write an array as NIfTI, with its axes to the right, front and head."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, np.diag([*spacing, 1.0])), path)
    return path


def fill(root: Path, counts: Mapping[str, int], shape=SHAPE) -> Path:
    """Write so many scans into each class folder, no two alike, named from 0 in each; returns the root."""
    seed = 0
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            save(root / name / f"scan{number}.nii.gz", voxels(seed, shape))
            seed += 1
    return root


def save_series(folder: Path, seed: int) -> Path:
    """Write a scan as a folder of DICOM slices."""
    folder.mkdir(parents=True)
    series = generate_uid(entropy_srcs=[f"series {seed}"])
    for number, plane in enumerate(voxels(seed).transpose(2, 1, 0)):
        slice_ = pydicom.Dataset()
        slice_.file_meta = pydicom.dataset.FileMetaDataset()
        slice_.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        slice_.file_meta.MediaStorageSOPClassUID = slice_.SOPClassUID = CTImageStorage
        uid = generate_uid(entropy_srcs=[f"slice {seed} {number}"])
        slice_.file_meta.MediaStorageSOPInstanceUID = slice_.SOPInstanceUID = uid
        slice_.SeriesInstanceUID, slice_.Modality = series, "CT"
        slice_.Rows, slice_.Columns = plane.shape
        slice_.PixelSpacing = [SPACING[1], SPACING[0]]
        slice_.ImagePositionPatient = [0, 0, SPACING[2] * number]
        slice_.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        slice_.BitsAllocated = slice_.BitsStored = 16
        slice_.HighBit, slice_.PixelRepresentation = 15, 1
        slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
        slice_.RescaleSlope, slice_.RescaleIntercept = 1, 0
        slice_.PixelData = plane.tobytes()
        slice_.save_as(folder / f"slice{number:03d}.dcm", enforce_file_format=True)
    return folder


def process_id(_: object) -> int:
    """Say which process did a job; here, because a worker imports the module of what it does, so it must be light."""
    return os.getpid()


def one_sentence(text: str) -> None:
    """Assert that a message is one line that ends as a sentence does, without Python's own words."""
    assert text.strip() == text
    assert text
    assert "\n" not in text
    assert "Traceback" not in text
    assert "Errno" not in text
