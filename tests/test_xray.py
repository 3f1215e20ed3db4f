"""Radiographs: the right way round in every format, silent about the patient, honest about what is unknown."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from helpers import dicom_pixels, xray
from helpers.files import DataError
from helpers.xray import Radiograph, clahe, parse_age, read_radiograph
from tests.radiographs import ID, NAME, assert_anonymous, make_dicom, plain


def refusal(path) -> str:
    with pytest.raises(DataError) as caught:
        read_radiograph(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert path.name in text
    assert_anonymous(text)
    return text


@pytest.mark.parametrize(
    ("written", "years"),
    [
        ("058Y", 58),  # int("058Y") ended the published notebook
        ("012M", 1),
        ("003W", 21 / 365.25),
        ("010D", 10 / 365.25),
        (" 58 ", 58),
        ("62y", 62),
        (58, 58),
        (58.5, 58.5),
        ("000Y", 0),
        *((nothing, None) for nothing in ("", None, "Y", "058X", "-5", "nan", np.nan, "413", 148, "5 8", "٥٨")),
    ],
)
def test_ages(written, years):
    age = parse_age(written)
    assert age == pytest.approx(years) if years is not None else age is None


@given(st.text(max_size=6))
def test_any_text_is_an_age_or_none(text):
    age = parse_age(text)
    assert age is None or 0 <= age <= 125


def test_a_dicom_file_is_known_by_its_content(tmp_path):
    stored = plain()
    for number, name in enumerate(("a.dcm", "b.png", "c")):
        path = make_dicom(tmp_path / name, stored, preamble=number < 2)
        radiograph = read_radiograph(path, "patient 0007")
        np.testing.assert_allclose(radiograph.pixels, stored / 255, atol=1e-6)
        assert radiograph.pixels.dtype == np.float32
        assert (radiograph.spacing, radiograph.view, radiograph.age, radiograph.sex) == ((0.2, 0.2), "PA", 58.0, "F")
        assert radiograph.caption == "patient 0007, 58 years, F, PA, 0.2 mm"
        assert repr(radiograph) == f"Radiograph({radiograph.caption}: 24 x 20 pixels)"
        assert_anonymous(repr(radiograph) + str(vars(radiograph)))


@pytest.mark.parametrize(
    ("tags", "spacing", "words"),
    [
        ({"PixelSpacing": None}, None, "spacing unknown"),
        ({"PixelSpacing": [0, 0]}, None, "spacing unknown"),
        ({"PixelSpacing": [0.2, -0.2]}, None, "spacing unknown"),
        ({"PixelSpacing": ["nan", 1]}, None, "spacing unknown"),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.1, 0.3]}, (0.1, 0.3), "0.1 x 0.3 mm"),
        ({"PixelSpacing": None, "ImagerPixelSpacing": [0.143, 0.143]}, (0.143, 0.143), "0.143 mm"),
    ],
)
def test_spacing(tmp_path, tags, spacing, words):
    radiograph = read_radiograph(make_dicom(tmp_path / "a.dcm", plain(), **tags))
    assert radiograph.spacing == spacing
    assert radiograph.caption == f"patient, 58 years, F, PA, {words}"


def test_what_is_unknown_is_none(tmp_path):
    tags = dict.fromkeys(("PatientAge", "PatientSex", "ViewPosition", "PixelSpacing"))
    radiograph = read_radiograph(make_dicom(tmp_path / "a.dcm", plain(), **tags))
    assert (radiograph.spacing, radiograph.view, radiograph.age, radiograph.sex) == (None, "", None, None)
    assert radiograph.caption == "patient, spacing unknown"
    baby = Radiograph(plain() / 255, None, "AP", parse_age("007W"), "O", "patient 0001")
    assert "1 months" in baby.caption


def test_a_name_written_into_another_field_is_not_shown(tmp_path):
    path = make_dicom(tmp_path / "a.dcm", plain(), ViewPosition="Muster", PatientSex="Erika", PatientAge=None)
    assert_anonymous(repr(read_radiograph(path)))


MODES = ["1", "L", "P", "LA", "RGB", "RGBA", "I;16", "CMYK", "YCbCr"]


@pytest.mark.parametrize("mode", MODES)
def test_pictures_of_every_mode(tmp_path, mode):
    stored = plain(32, 40)
    stored[:] = np.where(stored > 127, 255, 0) if mode == "1" else stored
    grey = Image.fromarray(stored)
    if mode == "I;16":
        image = Image.fromarray(stored.astype(np.uint16) * 257)
    else:
        image = grey.convert("RGB").convert(mode) if mode in ("CMYK", "YCbCr") else grey.convert(mode)
    lossy = mode in ("CMYK", "YCbCr")
    path = tmp_path / "a.bin"  # the name does not matter
    image.save(path, "JPEG" if lossy else "PNG", **({"quality": 100, "subsampling": 0} if lossy else {}))
    radiograph = read_radiograph(path, "patient 0001")
    np.testing.assert_allclose(radiograph.pixels, stored / 255, atol=6 / 255 if lossy else 1e-6)
    assert radiograph.pixels.dtype == np.float32
    assert radiograph.caption == "patient 0001, spacing unknown"


def test_transparent_is_black_and_12_bits_are_not_dark(tmp_path):
    pixels = np.full((20, 20, 4), 255, np.uint8)
    pixels[:, :10, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    seen = read_radiograph(tmp_path / "a.png").pixels
    np.testing.assert_array_equal(seen, pixels[..., 3] / 255)
    deep = plain(kind=np.uint16) >> 4
    Image.fromarray(deep).save(tmp_path / "b.png")
    np.testing.assert_allclose(read_radiograph(tmp_path / "b.png").pixels, deep / 4095, atol=1e-6)


def test_exif_and_texts_are_left_unread(tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 6, "Muster Erika"  # turned by 90 degrees; the artist
    Image.fromarray(plain(32, 40)).save(tmp_path / "a.jpg", exif=exif, quality=100)
    radiograph = read_radiograph(tmp_path / "a.jpg")
    assert radiograph.pixels.shape == (32, 40)
    note = PngImagePlugin.PngInfo()
    note.add_text("Patient", f"{NAME} {ID}")
    Image.fromarray(plain(32, 40)).save(tmp_path / "a.png", pnginfo=note)
    assert_anonymous(repr(radiograph) + repr(read_radiograph(tmp_path / "a.png")))


@pytest.mark.parametrize("format_", ["PNG", "JPEG"])
def test_cut_and_damaged_pictures(tmp_path, format_):
    path = tmp_path / "a"
    Image.fromarray(plain(64, 64)).save(path, format_)
    whole = path.read_bytes()
    for share in (0.02, 0.3, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        assert "cut short or damaged" in refusal(path) or "no DICOM, PNG or JPEG" in refusal(path)


def test_what_is_no_radiograph(tmp_path, monkeypatch, recwarn):
    path = tmp_path / "a.dcm"
    for content in (b"", b"404 not found", bytes(500)):
        path.write_bytes(content)
        assert "it is no DICOM, PNG or JPEG file" in refusal(path)
    assert "cannot be read" in refusal(tmp_path / "missing.png")
    assert "cannot be read" in refusal(tmp_path)
    Image.fromarray(plain(30, 15)).save(tmp_path / "icon.png")
    assert "it has only 30 x 15 pixels" in refusal(tmp_path / "icon.png")
    assert "it has only 8 x 30 pixels" in refusal(make_dicom(tmp_path / "icon.dcm", plain(8, 30)))
    Image.fromarray(plain()).save(tmp_path / "bomb.gif")
    assert "no DICOM, PNG or JPEG" in refusal(tmp_path / "bomb.gif")
    monkeypatch.setattr(dicom_pixels, "LARGEST", 1 << 20)
    for side, name in ((1025, "a.png"), (20000, "bomb.png")):
        Image.new("1", (side, side)).save(tmp_path / name)
        assert "it promises more than 1 million pixels" in refusal(tmp_path / name)
    assert not recwarn.list


def test_clahe_is_that_of_the_published_notebook(tmp_path):
    stored = (np.add.outer(np.arange(200), np.arange(170)) // 3 + plain(200, 170) // 16).astype(np.uint8)
    expected = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(16, 16)).apply(stored)
    np.testing.assert_allclose(clahe(stored.astype(np.float32) / 255), expected / 255, atol=1e-6)
    wide = clahe(stored.astype(np.float32) / 255, tiles=(1, 4))
    np.testing.assert_allclose(wide.T, clahe(stored.T.astype(np.float32) / 255, tiles=(4, 1)), atol=1 / 255)


def test_clahe_wants_a_picture():
    for wrong in (plain(), plain() / 255 - 0.5, np.full((20, 20), np.nan), np.zeros((20, 20, 3))):
        with pytest.raises(ValueError, match=r"must be \[rows, columns\] in \[0, 1\]"):
            clahe(wrong)


def test_the_same_pixels_as_monochrome1_are_the_exact_inverse(realdata):
    original = next((realdata / "siim").glob("1.2.276*.dcm"))
    one, two = read_radiograph(original), read_radiograph(realdata / "siim/monochrome1_twin.dcm")
    np.testing.assert_array_equal(two.pixels, 1 - one.pixels)
    assert one.caption == "patient, 62 years, M, PA, 0.168 mm"
    assert one.pixels[500, 20] > one.pixels[500, 300] + 0.2  # shoulder above lung: bone and flesh are bright


def test_the_radiograph_of_15_bits_opens_and_its_spacing_is_unknown(realdata):
    radiograph = read_radiograph(realdata / "siim/cr_chest_15bit_monochrome1_RG1_J2KI", "patient 0002")
    assert radiograph.spacing is None
    assert radiograph.caption == "patient 0002, F, PA, spacing unknown"
    assert radiograph.pixels.shape == (1955, 1841)
    rows = radiograph.pixels[800:1000].mean(axis=0)
    assert rows[850:1000].min() > rows[450:600].min() + 0.1  # the spine is brighter than a lung


def test_every_awkward_file_opens_or_is_refused(realdata, recwarn):
    opened = 0
    for path in sorted((realdata / "hard/dicom").iterdir()):
        try:
            pixels = read_radiograph(path).pixels
        except DataError:
            continue
        opened += 1
        assert np.isfinite(pixels).all()
        assert min(pixels.shape) >= xray.SMALLEST
    assert opened >= 28
    assert not recwarn.list


def test_published_radiographs_of_two_modes(realdata):
    for folder in (realdata / "radiography").iterdir():
        for path in sorted(folder.iterdir())[::30]:
            assert read_radiograph(path).pixels.shape == (640, 640)
