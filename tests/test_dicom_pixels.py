"""Pixels of DICOM files: shown as the standard says, whatever packs them, and no file ends the process."""

import io
import logging
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import gdcm
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence

from helpers.dicom_pixels import find_start, fit_bits, quiet, read_display, read_stored
from helpers.files import DataError
from tests.radiographs import assert_anonymous, change, make_dicom, plain
from tests.test_dicom import pack

JPEG = "1.2.840.10008.1.2.4."


def refusal(path) -> str:
    with pytest.raises(DataError) as caught:
        read_display(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert path.name in text
    assert_anonymous(text)
    return text


def display(path) -> np.ndarray:
    pixels = read_display(path)[1]
    assert pixels.dtype == np.float32
    assert pixels.min() >= 0
    assert pixels.max() <= 1
    return pixels


def table(entries, first=0, bits=8) -> Sequence:
    """A look-up table of the header."""
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [len(entries), first, bits], [int(entry) for entry in entries]
    item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
    return Sequence([item])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16])
@pytest.mark.parametrize("preamble", [True, False])
def test_without_a_window_the_ends_of_the_stored_bits_are_black_and_white(tmp_path, kind, preamble):
    stored = plain(kind=kind)
    path = make_dicom(tmp_path / "a", stored, preamble=preamble)
    limits = np.iinfo(kind)
    expected = (stored.astype(float) - limits.min) / (limits.max - limits.min)
    np.testing.assert_allclose(display(path), expected, atol=1e-6)
    np.testing.assert_array_equal(read_stored(path)[1], stored)
    assert find_start(path) == ("preamble" if preamble else "bare")


HEADERS = [
    {},
    {"WindowCenter": 100, "WindowWidth": 80},
    {"WindowCenter": [100, 20], "WindowWidth": [80, 200]},
    {"WindowCenter": "50.5", "WindowWidth": 1},
    {"WindowCenter": 100, "WindowWidth": 80, "VOILUTFunction": "LINEAR_EXACT"},
    {"WindowCenter": 100, "WindowWidth": 80, "VOILUTFunction": "SIGMOID"},
    {"RescaleSlope": "0.5", "RescaleIntercept": "-20", "WindowCenter": 10, "WindowWidth": 60},
    {"RescaleSlope": "2", "RescaleIntercept": "-20"},
    {"VOILUTSequence": table(np.arange(256) ** 2 // 255), "WindowCenter": 1, "WindowWidth": 2},
    {"VOILUTSequence": table(np.arange(200, dtype=int) * 20, first=30, bits=12)},
    {"ModalityLUTSequence": table(np.arange(256)[::-1])},
]


@pytest.mark.parametrize("header", HEADERS)
def test_monochrome1_is_the_exact_inverse_of_the_same_pixels(tmp_path, header):
    stored = plain()
    pixels = display(make_dicom(tmp_path / "one.dcm", stored, **header))
    twin = display(make_dicom(tmp_path / "two.dcm", stored, PhotometricInterpretation="MONOCHROME1", **header))
    np.testing.assert_array_equal(twin, 1 - pixels)
    assert np.ptp(pixels) > 0.5


@pytest.mark.parametrize("header", HEADERS)
def test_tables_and_windows_are_those_of_another_reader(tmp_path, header):
    path = make_dicom(tmp_path / "a.dcm", plain(), **header)
    data = pydicom.dcmread(path)
    values = apply_voi_lut(apply_modality_lut(data.pixel_array, data), data)
    slope, intercept = float(header.get("RescaleSlope", 1)), float(header.get("RescaleIntercept", 0))
    low, high = intercept, 255 * slope + intercept
    if "VOILUTSequence" in header:
        low, high = 0, 2 ** header["VOILUTSequence"][0].LUTDescriptor[2] - 1
    np.testing.assert_allclose(display(path), (values - low) / (high - low), atol=1e-6)


def test_a_table_after_a_rescale(tmp_path):
    """pydicom fails here: it looks up fractions."""
    stored = plain()
    header = {"RescaleSlope": "1", "RescaleIntercept": "-10", "VOILUTSequence": table(np.arange(256), first=0)}
    expected = np.clip(stored.astype(int) - 10, 0, 255) / 255
    np.testing.assert_allclose(display(make_dicom(tmp_path / "a.dcm", stored, **header)), expected, atol=1e-6)


def test_a_falling_rescale_turns_bright_into_dark(tmp_path):
    stored = plain()
    path = make_dicom(tmp_path / "a.dcm", stored, RescaleSlope="-1", RescaleIntercept="255")
    np.testing.assert_allclose(display(path), 1 - stored / np.float32(255), atol=1e-6)


def test_bits_that_lie(tmp_path):
    """12 bits that claim to be 16 are no black picture, and numbers beyond the claim are not cut off."""
    stored = plain(kind=np.uint16) >> 4
    path = make_dicom(tmp_path / "a.dcm", stored)
    np.testing.assert_allclose(display(path), stored / 4095, atol=1e-6)
    np.testing.assert_allclose(display(change(path, WindowCenter="", WindowWidth="")), stored / 4095, atol=1e-6)
    dark = plain() // 4
    np.testing.assert_allclose(display(make_dicom(tmp_path / "b.dcm", dark)), dark / 255, atol=1e-6)
    assert fit_bits(np.array([0, 300]), 8) == (0, 511)
    assert fit_bits(np.array([0, 0]), 1) == (0, 1)
    assert fit_bits(np.array([-2048, 0]), 12) == (-2048, 2047)


def test_colours_become_grey(tmp_path):
    colours = np.stack([plain(seed=seed) for seed in range(3)], axis=-1)
    expected = colours @ np.array([0.299, 0.587, 0.114]) / 255
    np.testing.assert_allclose(display(make_dicom(tmp_path / "rgb.dcm", colours)), expected, atol=1e-6)
    grey = np.repeat(plain()[..., None], 3, axis=-1)
    np.testing.assert_allclose(display(make_dicom(tmp_path / "g.dcm", grey)), plain() / 255, atol=1e-6)
    wheel = {f"{name}PaletteColorLookupTableDescriptor": [256, 0, 8] for name in ("Red", "Green", "Blue")}
    wheel |= {f"{name}PaletteColorLookupTableData": bytes(range(256)) for name in ("Red", "Green", "Blue")}
    path = make_dicom(tmp_path / "palette.dcm", plain(), PhotometricInterpretation="PALETTE COLOR", **wheel)
    np.testing.assert_allclose(display(path), plain() / 255, atol=1e-6)


def test_one_bit(tmp_path):
    mask = np.zeros((16, 16), np.uint8)
    mask[4:9, 3:12] = 1
    packed = np.packbits(mask, bitorder="little").tobytes()
    bits = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0, "PixelData": packed}
    np.testing.assert_array_equal(display(make_dicom(tmp_path / "a.dcm", mask, **bits)), mask)


LOSSLESS = [JPEG + end for end in ("57", "70", "80", "90")] + ["1.2.840.10008.1.2.5"]


def smooth(kind) -> np.ndarray:
    """Pixels that lossy codecs hardly change; 12 bits where the type has more than 8."""
    return (np.add.outer(np.arange(48), np.arange(40)) * (2 if kind == np.uint8 else 40)).astype(kind)


@pytest.mark.parametrize("syntax", LOSSLESS)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_every_lossless_codec(tmp_path, syntax, kind):
    bits = {"BitsStored": 12, "HighBit": 11} if kind == np.uint16 else {}
    make_dicom(tmp_path / "a.dcm", smooth(kind), **bits)
    pack(tmp_path, syntax)
    np.testing.assert_array_equal(read_stored(tmp_path / "a.dcm")[1], smooth(kind))


@pytest.mark.parametrize(("end", "kind"), [("50", np.uint8), ("51", np.uint8), ("51", np.uint16), ("81", np.uint8)])
def test_every_lossy_codec(tmp_path, end, kind):
    """JPEG of 12 bits too, which pydicom does not hand to gdcm."""
    bits = {"BitsStored": 12, "HighBit": 11} if kind == np.uint16 else {}
    make_dicom(tmp_path / "a.dcm", smooth(kind), **bits)
    pack(tmp_path, JPEG + end)
    np.testing.assert_allclose(read_stored(tmp_path / "a.dcm")[1], smooth(kind), atol=3 if not bits else 40)


def test_jpeg_of_a_camera(tmp_path):
    """A JPEG of another make, as the published radiographs have it."""
    buffer = io.BytesIO()
    Image.fromarray(smooth(np.uint8)).save(buffer, "JPEG", quality=95)
    path = make_dicom(tmp_path / "a.dcm", smooth(np.uint8), frame=buffer.getvalue(), TransferSyntaxUID=JPEG + "50")
    np.testing.assert_allclose(display(path), smooth(np.uint8) / 255, atol=3 / 255)


@pytest.mark.parametrize("syntax", [*LOSSLESS, JPEG + "50", JPEG + "51"])
def test_packed_pixels_that_are_cut_short(tmp_path, syntax):
    path = make_dicom(tmp_path / "a.dcm", smooth(np.uint8))
    pack(tmp_path, syntax)
    data = pydicom.dcmread(path)
    frame = next(pydicom.encaps.generate_frames(data.PixelData, number_of_frames=1))
    assert display(path).any()
    data.PixelData = pydicom.encaps.encapsulate([frame[: len(frame) * 2 // 3]])
    data.save_as(path)
    assert "cut short, damaged" in refusal(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - len(frame) // 2])
    assert "cut short" in refusal(path)


@pytest.mark.parametrize(
    ("tags", "word"),
    [
        ({"PixelData": None}, "holds no pixels"),
        ({"Rows": None}, "holds no pixels"),
        ({"PixelData": plain().tobytes()[:-40]}, "cut short"),
        ({"NumberOfFrames": 2, "PixelData": 2 * plain().tobytes()}, "it holds 2 frames"),
        ({"Rows": 60000, "Columns": 60000}, "million pixels"),
        ({"Rows": 0}, "cut short, damaged"),
        ({"PhotometricInterpretation": "HSV"}, "its header describes its pixels wrongly"),
        ({"RescaleSlope": "0", "RescaleIntercept": "0"}, "its header describes its pixels wrongly"),
        ({"BitsStored": None}, "damaged"),
        ({"TransferSyntaxUID": JPEG + "201", "frame": b"\xff\x4f"}, "packed as High-Throughput JPEG 2000"),
        ({"TransferSyntaxUID": JPEG + "100", "frame": b"\0\0"}, "packed as MPEG2"),
        ({"TransferSyntaxUID": JPEG + "70", "frame": b"\xff\xd8\xff\xd9"}, "cut short, damaged"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(tmp_path, tags, word):
    assert word in refusal(make_dicom(tmp_path / "a.dcm", plain(), **tags))


@pytest.mark.parametrize(
    ("end", "tags"),
    [
        ("70", {"BitsStored": 7}),
        ("70", {"BitsAllocated": 16, "BitsStored": 12}),
        ("57", {"BitsAllocated": 32, "BitsStored": 32}),
        ("70", {"Rows": 47}),
        ("80", {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}),
        ("51", {"file_meta.TransferSyntaxUID": JPEG + "70"}),
    ],
)
def test_headers_at_which_gdcm_would_end_the_process(tmp_path, end, tags):
    path = make_dicom(tmp_path / "a.dcm", smooth(np.uint8))
    pack(tmp_path, JPEG + end)
    data = pydicom.dcmread(path)
    for name, value in tags.items():
        holder = data.file_meta if name.startswith("file_meta.") else data
        setattr(holder, name.removeprefix("file_meta."), value)
    data.save_as(path)
    assert "damaged" in refusal(path)
    assert gdcm.Version.GetVersion()  # still here


def test_nothing_is_printed_and_nothing_told(tmp_path, capfd, recwarn, caplog):
    path = make_dicom(tmp_path / "a.dcm", plain(), PatientAge="058Y")
    path.write_bytes(path.read_bytes().replace(b"058Y", b"Erik") + bytes(10))
    display(path)
    refusal(make_dicom(tmp_path / "b.dcm", plain(), PixelData=b"\0\0"))
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list
    assert not caplog.records


def test_every_awkward_file_opens_or_is_refused_for_its_reason(realdata):
    reasons = {
        "MR_truncated.dcm": "cut short",
        "SC_rgb_rle_16bit_2frame.dcm": "2 frames",
        "ExplVR_LitEndNoMeta.dcm": "no pixels",
        "empty_charset_LEI.dcm": "no pixels",
        "meta_missing_tsyntax.dcm": "no pixels",
        "reportsi.dcm": "no pixels",
        "rtplan_truncated.dcm": "no pixels",
        "no_meta.dcm": "no pixels",
    }
    for path in sorted((realdata / "hard/dicom").iterdir()):
        reason = reasons.get(path.name.split("__")[-1])
        if reason is None:
            assert display(path).ndim == 2
        else:
            with pytest.raises(DataError, match=reason):
                read_display(path)


def test_the_12_bit_jpeg_is_read_as_other_readers_read_it(realdata):
    """Two pixels that the tests of pydicom, whose file it is, name."""
    stored = read_stored(next((realdata / "hard/dicom").glob("*__JPEG-lossy.dcm")))[1]
    assert (stored[420, 140], stored[230, 120]) == (244, 95)


# Many at once


def test_remarks_are_hushed_until_the_last_reader_has_ended():
    logger, usual = logging.getLogger("pydicom"), list(warnings.filters)
    level = logger.level
    inside, leave = threading.Barrier(2, timeout=20), [threading.Event(), threading.Event()]

    def read(number):
        with quiet():
            inside.wait()
            assert leave[number].wait(20)

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read, number) for number in range(2)]
        for number in range(2):  # they end in the order in which they came, which a stack of settings cannot undo
            leave[number].set()
            readers[number].result()
            hushed = logger.level > logging.CRITICAL
            assert hushed == (number == 0)
    assert (logger.level, warnings.filters) == (level, usual)


def test_files_read_side_by_side_are_those_read_one_by_one(tmp_path):
    paths = []
    for number in range(24):
        kind = (np.uint8, np.uint16, np.int16)[number % 3]
        paths.append(make_dicom(tmp_path / str(number), plain(kind=kind) // (1 + number), preamble=number % 2))
        if number % 4 == 0:
            paths[-1].write_bytes(paths[-1].read_bytes()[: -number - 9])

    def look(path):
        try:
            return read_display(path)[1].tobytes()
        except DataError as fault:
            return str(fault)

    alone = [look(path) for path in paths]
    assert len(set(alone)) > 12
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(look, paths * 5)) == alone * 5
