"""DICOM series: ordered by where the slices lie, refused when they make no volume, silent about the patient."""

import itertools
import random

import gdcm
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from helpers import ct
from helpers.files import DataError

HU = np.random.default_rng(3).integers(-1000, 1200, (6, 7, 8)).astype(np.int16)  # right, front, head
SPACING = np.array([0.7, 0.9, 2.5])
SERIES = generate_uid(entropy_srcs=["a series"])
PATIENT = "Muster^Erika"


def make(plane, corner, row, column, spacing, intercept=-1024):
    """One CT slice [rows, columns] in HU; directions and positions are DICOM's (left, back, head)."""
    slice_ = Dataset()
    slice_.file_meta = FileMetaDataset()
    slice_.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    slice_.file_meta.MediaStorageSOPClassUID = slice_.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    slice_.file_meta.MediaStorageSOPInstanceUID = slice_.SOPInstanceUID = generate_uid()
    slice_.PatientName, slice_.PatientID = PATIENT, "0815-4711"
    slice_.Modality, slice_.SeriesInstanceUID = "CT", SERIES
    slice_.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    slice_.ImagePositionPatient = [f"{number:.5f}" for number in corner]
    slice_.ImageOrientationPatient = [f"{number:.6f}" for number in (*row, *column)]
    slice_.PixelSpacing, slice_.SliceThickness = list(spacing), "9.0"  # not the distance of slices
    slice_.Rows, slice_.Columns = plane.shape
    slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
    slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = 16, 16, 15, 0
    slice_.RescaleSlope, slice_.RescaleIntercept = 1, intercept
    slice_.WindowCenter, slice_.WindowWidth = [40, -600], [400, 1500]
    slice_.PixelData = (plane.astype(int) - intercept).astype("<u2").tobytes()
    return slice_


def series(rows=(1, -1), columns=(0, -1), hu=HU):
    """The slices of ``hu``; an image row runs along world axis ``rows[0]`` (right, front, head) with sign ``rows[1]``.

    The default is the usual axial slice: from the patient's right to the left, from the front to the back.
    """
    (along, sign_along), (down, sign_down) = columns, rows
    through = 3 - along - down
    units = np.eye(3)
    to_dicom = np.array([-1, -1, 1])
    made = []
    for place in range(hu.shape[through]):
        plane = np.moveaxis(hu, (down, along, through), (0, 1, 2))[:, :, place][::sign_down, ::sign_along]
        first = np.zeros(3)
        first[through] = place
        first[down] = 0 if sign_down > 0 else hu.shape[down] - 1
        first[along] = 0 if sign_along > 0 else hu.shape[along] - 1
        row, column = units[along] * sign_along * to_dicom, units[down] * sign_down * to_dicom
        made.append(make(plane, first * SPACING * to_dicom, row, column, (SPACING[down], SPACING[along])))
    return made


def write(folder, slices, suffix=".dcm"):
    """Write slices under shuffled names."""
    folder.mkdir(exist_ok=True)
    names = list(range(len(slices)))
    random.Random(0).shuffle(names)
    for name, slice_ in zip(names, slices, strict=True):
        slice_.save_as(folder / f"I{name:04d}{suffix}", enforce_file_format=True)
    return folder


def refusal(folder) -> str:
    with pytest.raises(DataError) as caught:
        ct.read_volume(folder)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert folder.name in text
    assert "Muster" not in text
    assert "0815" not in text
    return text


def test_every_orientation_of_the_slices(tmp_path):
    for number, (down, along) in enumerate(itertools.permutations(range(3), 2)):
        for signs in itertools.product((1, -1), repeat=2):
            made = series(rows=(down, signs[0]), columns=(along, signs[1]))
            volume = ct.read_volume(write(tmp_path / f"{number}{signs}", made, suffix=""))
            np.testing.assert_array_equal(volume.hu, HU)
            np.testing.assert_allclose(volume.spacing, SPACING, rtol=1e-5)
            np.testing.assert_allclose(volume.affine, np.diag([*SPACING, 1]), atol=1e-4)
            assert volume.hu.dtype == np.int16


def test_usual_axial_series(tmp_path):
    volume = ct.read_volume(write(tmp_path / "series", series()))
    assert (volume.file_axes, volume.source) == ("LPS", "series")
    assert PATIENT not in repr(volume)


def test_each_slice_has_its_own_rescale(tmp_path):
    made = series()
    for number, slice_ in enumerate(made):
        slice_.RescaleSlope, slice_.RescaleIntercept = "0.5", str(-1024 - number)
        slice_.PixelData = ((HU[::-1, ::-1, number].T.astype(int) + 1024 + number) * 2).astype("<u2").tobytes()
    volume = ct.read_volume(write(tmp_path / "series", made))
    np.testing.assert_allclose(volume.hu, HU, atol=1e-3)
    assert volume.hu.dtype == np.float32


def test_missing_modality_and_signed_padding(tmp_path):
    made = series()
    for slice_ in made:
        del slice_.Modality, slice_.RescaleSlope, slice_.RescaleIntercept
        pixels = np.frombuffer(slice_.PixelData, "<u2").astype("<i2") - 1024
        pixels[0] = -2048
        slice_.PixelData, slice_.PixelRepresentation = pixels.astype("<i2").tobytes(), 1
    hu = ct.read_volume(write(tmp_path / "series", made)).hu
    assert (hu[-1, -1] == -1024).all()
    np.testing.assert_array_equal(hu[:-1], HU[:-1])


def test_what_lies_beside_the_slices_is_passed_over(tmp_path):
    folder = write(tmp_path / "series", series())
    (folder / "README").write_text("nothing to see\n" * 50)
    (folder / "DICOMDIR").write_bytes(bytes(200))
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (folder / "._I0001.dcm").write_bytes(b"\0\5\x16\7")
    (folder / "Thumbs.db").write_bytes(bytes(1000))
    (folder / "thumbnails").mkdir()
    scout = make(HU[:, :, 0], (0, 0, 0), (1, 0, 0), (0, 0, -1), (1, 1))
    scout.ImageType, scout.SeriesInstanceUID = ["ORIGINAL", "PRIMARY", "LOCALIZER"], generate_uid()
    scout.save_as(folder / "A", enforce_file_format=True)
    dose_sheet = make(HU[:, :, 0], (0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1))
    dose_sheet.SOPClassUID, dose_sheet.SeriesInstanceUID = "1.2.840.10008.5.1.4.1.1.7", generate_uid()
    dose_sheet.save_as(folder / "B", enforce_file_format=True)
    np.testing.assert_array_equal(ct.read_volume(folder).hu, HU)


def test_files_without_preamble(tmp_path):
    made = series()
    for slice_ in made:
        slice_.file_meta = FileMetaDataset()
    (tmp_path / "bare").mkdir()
    for number, slice_ in enumerate(made):
        slice_.save_as(tmp_path / "bare" / str(number), implicit_vr=True, little_endian=True, enforce_file_format=False)
    np.testing.assert_array_equal(ct.read_volume(tmp_path / "bare").hu, HU)


def pack(folder, syntax):
    """Compress every file of a folder in place."""
    for path in folder.iterdir():
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.SetFileName(str(path))
        assert writer.Write()
    return folder


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1])
def test_packed_pixels(tmp_path, syntax):
    large = np.tile(HU, (4, 4, 1))
    folder = pack(write(tmp_path / "series", series(hu=large)), syntax)
    assert {pydicom.dcmread(path).file_meta.TransferSyntaxUID for path in folder.iterdir()} == {syntax}
    np.testing.assert_array_equal(ct.read_volume(folder).hu, large)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1])
@pytest.mark.parametrize("damage", ["bits", "rows", "colours", "tables"])
def test_damaged_codec_headers_do_not_end_the_process(tmp_path, syntax, damage):
    """gdcm would call abort() on these, which no ``except`` can catch."""
    folder = pack(write(tmp_path / "series", series(hu=np.tile(HU, (4, 4, 1)))), syntax)
    path = folder / "I0003.dcm"
    data = bytearray(path.read_bytes())
    start = data.index(b"\xff\x4f\xff\x51" if syntax == JPEG2000Lossless else b"\xff\xd8\xff")
    if syntax == JPEG2000Lossless:
        place, value = {"bits": (42, 0x7F), "rows": (12, 1), "colours": (41, 3), "tables": (2, 0)}[damage]
    else:
        place, value = {"bits": (6, 64), "rows": (8, 1), "colours": (11, 3), "tables": (15, 0)}[damage]
        if damage == "tables" and syntax == JPEGLSLossless:
            place = 2
    assert data[start + place] != value
    data[start + place] = value
    path.write_bytes(data)
    assert "I0003.dcm: its pixels" in refusal(folder)


def test_folders_without_a_ct(tmp_path):
    assert "no CT slice" in refusal(tmp_path)
    (tmp_path / "notes.txt").write_text("no images here")
    assert "no CT slice" in refusal(tmp_path)
    made = series()
    for slice_ in made:
        slice_.Modality = "MR"
    assert "MR images" in refusal(write(tmp_path / "mr", made))
    assert "only CT slice" in refusal(write(tmp_path / "one", series()[:1]))


def test_a_text_named_dcm_is_a_fault(tmp_path):
    folder = write(tmp_path / "series", series())
    (folder / "I0099.dcm").write_text("404 not found")
    text = refusal(folder)
    assert "I0099.dcm" in text
    assert "named like a DICOM file" in text


def test_two_series_are_counted(tmp_path):
    made = series() + series()
    for slice_ in made[8:]:
        slice_.SeriesInstanceUID = generate_uid(entropy_srcs=["another"])
    assert "2 CT series" in refusal(write(tmp_path / "both", made))
    assert "same place" in refusal(write(tmp_path / "twice", series() + series()[3:4]))


def test_a_missing_slice_is_found_where_it_is_missing(tmp_path):
    made = series()
    del made[5]
    assert "slices 5 and 6 of 7 are 5.00 mm apart, the others 2.50 mm" in refusal(write(tmp_path / "gap", made))


def test_gantry_tilt_is_told_in_degrees(tmp_path):
    made = series()
    for number, slice_ in enumerate(made):
        x, y, z = slice_.ImagePositionPatient
        slice_.ImagePositionPatient = [x, y + number * 2.5 * np.tan(np.radians(12)), z]
    assert "12.0 degrees" in refusal(write(tmp_path / "tilt", made))


def test_slices_that_jump_sideways(tmp_path):
    made = series()
    made[4].ImagePositionPatient = [30, *made[4].ImagePositionPatient[1:]]
    assert "sideways" in refusal(write(tmp_path / "jump", made))


def change_size(slice_):
    slice_.Rows, slice_.Columns = slice_.Columns, slice_.Rows


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (change_size, "differs from"),
        (lambda s: setattr(s, "PixelSpacing", [1, 1]), "differs from"),
        (lambda s: setattr(s, "ImageOrientationPatient", [1, 0, 0, 0, 0, -1]), "differs from"),
        (lambda s: delattr(s, "ImagePositionPatient"), "where in the patient"),
        (lambda s: delattr(s, "ImageOrientationPatient"), "where in the patient"),
        (lambda s: delattr(s, "PixelSpacing"), "where in the patient"),
        (lambda s: delattr(s, "PixelData"), "no pixels"),
        (lambda s: delattr(s, "Rows"), "no pixels"),
        (lambda s: setattr(s, "PixelData", s.PixelData[:-20]), "cut short"),
        (lambda s: setattr(s, "NumberOfFrames", 4), "several frames"),
        (lambda s: setattr(s, "SamplesPerPixel", 3), "coloured"),
    ],
)
def test_one_bad_slice_is_named(tmp_path, change, word):
    made = series()
    change(made[3])
    folder = write(tmp_path / "bad", made)
    text = refusal(folder)
    assert word in text
    assert "I0" in text


def test_unknown_packing(tmp_path):
    folder = write(tmp_path / "series", series())
    path = folder / "I0003.dcm"
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0"))
    assert "I0003.dcm: its pixels are cut short, damaged or packed in an unknown way" in refusal(folder)


def test_impossible_geometry(tmp_path):
    for name, field, value, word in (
        ("spacing", "PixelSpacing", [0, 0], "pixel spacing"),
        ("angles", "ImageOrientationPatient", [1, 0, 0, 1, 0, 0], "right angles"),
        ("zeros", "ImageOrientationPatient", [0, 0, 0, 0, 0, 0], "right angles"),
    ):
        made = series()
        for slice_ in made:
            setattr(slice_, field, value)
        assert word in refusal(write(tmp_path / name, made))


def test_cut_files(tmp_path):
    for cut in (0, 100, 200, 500, -60):
        folder = write(tmp_path / f"cut{cut}", series())
        path = folder / "I0003.dcm"
        path.write_bytes(path.read_bytes()[:cut])
        assert "I0003.dcm" in refusal(folder)


def test_nothing_is_printed_about_odd_files(tmp_path, capfd, recwarn, caplog):
    made = series()
    for slice_ in made:
        slice_.PixelData += bytes(10)  # pydicom warns of the excess
    folder = write(tmp_path / "odd", made)
    np.testing.assert_array_equal(ct.read_volume(folder).hu, HU)
    path = folder / "I0003.dcm"
    slope = b"DS\x04\x001.0 "
    assert slope in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(slope, b"DS\x04\x00,1.0"))
    assert "I0003.dcm: its DICOM header is damaged" in refusal(folder)
    folder = pack(write(tmp_path / "packed", series(hu=np.tile(HU, (4, 4, 1)))), JPEGLSLossless)
    path = folder / "I0003.dcm"
    data = bytearray(path.read_bytes())
    data[-900:-300] = bytes(600)
    path.write_bytes(data)
    assert "I0003.dcm: its pixels" in refusal(folder)
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list
    assert not caplog.records


@settings(max_examples=150, derandomize=True, deadline=None)
@given(
    edits=st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.none() | st.integers(0, 1000),
)
def test_any_damage_is_a_sentence_or_a_sound_volume(tmp_path_factory, edits, cut):
    folder = write(tmp_path_factory.getbasetemp() / "fuzz", series()[:3])
    path = folder / "I0001.dcm"
    data = bytearray(path.read_bytes())
    for place, value in edits:
        data[place % len(data)] = value
    path.write_bytes(data[:cut])
    try:
        result = ct.read_volume(folder)
    except DataError as error:
        result = str(error)
    if isinstance(result, str):
        assert result.endswith(".")
        assert "Muster" not in result
    else:
        assert min(result.hu.shape) >= 2
        assert np.isfinite(result.hu).all()
        assert result.hu.min() >= -1024
        assert all(0 < size <= 100 for size in result.spacing)
