"""Real scans read as what they are, and awkward real files are refused for the right reason."""

import shutil

import numpy as np
import pytest

from helpers import ct
from helpers.files import DataError

SCANS = [
    ("ct/cip_64x64x79.nii.gz", (64, 64, 79), (4.172, 4.172, 3.987), "LPS", (-1007, 1095)),
    ("ct/lidc_0314_512x512x28.nii.gz", (512, 512, 28), (0.781, 0.781, 10.0), "LPS", (-1000, 1927)),
    ("ct/totalseg_abdomen_122x101x30.nii.gz", (122, 101, 30), (3.0, 3.0, 3.0), "RAS", (-1024, 1207)),
    ("ct/totalseg_thorax_crop_120x126x164.nii.gz", (120, 126, 164), (1.5, 1.5, 1.5), "LPS", (-1024, 3343)),
    ("ct_dicom/totalseg_siemens_j2k_20slices", (512, 512, 20), (0.977, 0.977, 2.0), "LPS", (-1024, 1839)),
    ("ct_dicom/lungmask_pair", (512, 512, 2), (0.625, 0.625, 1.0), "LPS", (-1024, 1502)),
]

# A word of the reason for each awkward file; one that is not listed must still end in a volume or a sentence.
HARD_NIFTI = {
    "CT_pitch.nii.gz": "not Hounsfield units",
    "analyze.hdr": "header without its image",
    "example4d.nii.gz": "2 volumes",
    "functional.nii": "20 volumes",
    "nifti2.hdr": "header without its image",
    "resampled_anat_moved.nii": "153 of its 1071 voxels",
    "standard.nii.gz": "not Hounsfield units",
    "LFSPOINTER.nii.gz": "Git-LFS pointer",
}
HARD_DICOM = {
    "GE__01.dcm": "only CT slice",
    "693_J2KI.dcm": "only CT slice",
    "MR_small.dcm": "MR images",
    "MR_small_bigendian.dcm": "MR images",
    "MR_small_implicit.dcm": "MR images",
    "MR_small_jpeg_ls_lossless.dcm": "MR images",
    "MR_truncated.dcm": "MR images",
    "decimal_rescale.dcm": "MR images",
    "ExplVR_BigEnd.dcm": "US images",
    "examples_palette.dcm": "US images",
    "liver_1frame.dcm": "SEG images",
    "OT_Implicit_Little_Headless.dcm": "no CT slice",
    "SC_rgb_rle.dcm": "no CT slice",
    "reportsi.dcm": "no CT slice",
    "rtplan_truncated.dcm": "no CT slice",
    "empty_charset_LEI.dcm": "no pixels",
    "no_meta.dcm": "named like a DICOM file",
}


def verdict(path) -> str:
    """What becomes of a file: the sentence of its refusal, or nothing if it is a sound volume."""
    try:
        volume = ct.read_volume(path)
    except DataError as error:
        text = str(error)
        assert "\n" not in text
        assert text.endswith(".")
        assert path.name in text
        return text
    assert np.isfinite(volume.hu).all()
    assert volume.hu.min() >= -1024
    return ""


@pytest.mark.parametrize(("name", "shape", "spacing", "axes", "span"), SCANS)
def test_real_scans(realdata, name, shape, spacing, axes, span):
    volume = ct.read_volume(realdata / name)
    assert volume.hu.shape == shape
    assert volume.spacing == pytest.approx(spacing, abs=1e-3)
    assert volume.file_axes == axes
    assert (volume.hu.min(), volume.hu.max()) == span
    assert volume.hu.dtype == np.int16


def test_lungs_lie_where_lungs_lie(realdata):
    """The mask falls on air, and the right lung, to which x grows, is the larger one: the heart takes from the left."""
    scan = ct.read_volume(realdata / "ct/cip_64x64x79.nii.gz")
    lungs = ct.read_mask(realdata / "ct/cip_64x64x79_lung_mask.nii.gz", scan)
    assert np.median(scan.hu[lungs]) < -750
    assert lungs[32:].sum() > 1.05 * lungs[:32].sum()


def test_slices_lie_in_the_patient_as_their_headers_say(realdata):
    volume = ct.read_volume(realdata / "ct_dicom/totalseg_siemens_j2k_20slices")
    feet, head = (volume.affine @ [0, 0, slice_, 1] for slice_ in (0, 19))
    assert head[2] - feet[2] == pytest.approx(38)
    assert head[2] == pytest.approx(-766.5)


def test_every_awkward_nifti(realdata):
    for path in sorted((realdata / "hard/nifti").iterdir()):
        text = verdict(path)
        for name, reason in HARD_NIFTI.items():
            if path.name.endswith(name):
                assert reason in text


def test_every_awkward_dicom(realdata, tmp_path, capfd, recwarn):
    for path in sorted((realdata / "hard/dicom").iterdir()):
        folder = tmp_path / f"{path.stem}_alone"
        folder.mkdir()
        shutil.copyfile(path, folder / path.name)
        try:
            text = str(ct.read_volume(folder))
        except DataError as error:
            text = str(error)
            assert "\n" not in text
            assert text.endswith(".")
            assert folder.name in text
        for name, reason in HARD_DICOM.items():
            if path.name.endswith("__" + name):
                assert reason in text
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


def test_tilted_series_with_gaps(realdata, tmp_path):
    for path in (realdata / "hard/dicom").glob("*GE__*.dcm"):
        shutil.copyfile(path, tmp_path / path.name)
    assert "tilted by 18.5 degrees" in verdict(tmp_path)


def test_a_real_series_with_a_slice_lost(realdata, tmp_path):
    files = sorted((realdata / "ct_dicom/totalseg_siemens_j2k_20slices").iterdir())
    for path in files[:9] + files[10:]:
        shutil.copyfile(path, tmp_path / path.name)
    assert "slices 10 and 11 of 19 are 4.00 mm apart, the others 2.00 mm" in verdict(tmp_path)


def test_a_real_scan_cut_anywhere(realdata, tmp_path):
    whole = (realdata / "ct/cip_64x64x79.nii.gz").read_bytes()
    path = tmp_path / "cut.nii.gz"
    for share in (0.001, 0.01, 0.5, 0.99, 0.99999):
        path.write_bytes(whole[: int(len(whole) * share)])
        assert "cut short" in verdict(path) or "not a NIfTI" in verdict(path)
