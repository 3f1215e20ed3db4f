"""NIfTI files that lie, break off or hold something else: one sentence each, and no memory spent on them."""

import gzip
import struct
import tracemalloc
import zlib

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import ct, nifti
from helpers.files import DataError

HU = np.random.default_rng(5).integers(-1024, 1500, (9, 8, 7)).astype(np.int16)


def image(data=HU, spacing=(2.0, 2.5, 3.0)) -> nib.Nifti1Image:
    made = nib.Nifti1Image(data, np.diag([*spacing, 1.0]))
    made.set_qform(made.affine, 1)
    made.set_sform(made.affine, 1)
    return made


def plain(made=None) -> bytearray:
    return bytearray((made or image()).to_bytes())


def refusal(path) -> str:
    with pytest.raises(DataError) as caught:
        ct.read_volume(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert path.name in text
    return text


def put(folder, data: bytes, name="scan.nii.gz"):
    path = folder / name
    path.write_bytes(data)
    return path


def edited(field: str, value) -> bytes:
    """The bytes of a sound file with one header field overwritten, as no library would do it."""
    data = plain()
    dtype = nib.Nifti1Header().structarr.dtype
    kind, offset = dtype.fields[field][:2]
    data[offset : offset + kind.itemsize] = np.array(value, kind.base).tobytes()
    return bytes(data)


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "scan", "SCAN.NII.GZ"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_content_decides_not_the_name(tmp_path, name, pack):
    stored, slope, intercept, affine = nifti.read(put(tmp_path, pack(plain()), name))
    assert (slope, intercept) == (1, 0)
    np.testing.assert_array_equal(stored, HU)
    np.testing.assert_array_equal(affine, np.diag([2, 2.5, 3, 1]))


def test_gzip_of_many_members_and_padding(tmp_path):
    data = bytes(plain())
    parts = b"".join(gzip.compress(data[i : i + 100]) for i in range(0, len(data), 100))
    for packed in (parts, parts + bytes(700), gzip.compress(b"") + parts + gzip.compress(b"")):
        np.testing.assert_array_equal(nifti.read(put(tmp_path, packed))[0], HU)
    assert "damaged" in refusal(put(tmp_path, parts + b"rubbish that is no gzip member"))


def test_nifti_2_and_big_endian(tmp_path):
    second = nib.Nifti2Image(HU, np.diag([2, 2.5, 3, 1.0]))
    np.testing.assert_array_equal(nifti.read(put(tmp_path, second.to_bytes()))[0], HU)
    big = nib.Nifti1Image(HU, np.diag([2, 2.5, 3, 1.0]), nib.Nifti1Header(endianness=">"))
    big.header.set_data_dtype(np.dtype(">i2"))
    stored, *_, affine = nifti.read(put(tmp_path, big.to_bytes()))
    np.testing.assert_array_equal(stored, HU)
    np.testing.assert_array_equal(affine, np.diag([2, 2.5, 3, 1]))


def test_qform_alone_is_enough(tmp_path):
    made = image()
    made.set_sform(None, 0)
    made.set_qform(np.diag([-2, -2.5, 3, 1.0]), 1)
    assert ct.read_volume(put(tmp_path, plain(made))).file_axes == "LPS"


@pytest.mark.parametrize("cut", [0, 1, 200, 347, 348, 400, -8, -1])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_cut_short(tmp_path, cut, pack):
    text = refusal(put(tmp_path, pack(plain())[:cut]))
    assert any(word in text for word in ("cut short", "empty", "not a NIfTI")), text


def test_checksum_is_verified(tmp_path):
    packed = bytearray(gzip.compress(plain()))
    packed[-6] ^= 1
    assert "damaged" in refusal(put(tmp_path, packed))


def test_things_that_are_no_nifti(tmp_path):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    assert "git lfs pull" in refusal(put(tmp_path, pointer))
    assert "not a NIfTI" in refusal(put(tmp_path, b"not found\n" * 100))
    assert "not a NIfTI" in refusal(put(tmp_path, gzip.compress(b"not found\n" * 100)))
    assert "folder" in refusal(put(tmp_path, bytes(128) + b"DICM" + bytes(500), "slice.dcm"))
    assert "no such file" in refusal(tmp_path / "nowhere.nii.gz")


def test_pairs_are_refused(tmp_path):
    nib.save(nib.Nifti1Pair(HU, np.eye(4)), tmp_path / "pair.hdr")
    assert "header without its image" in refusal(tmp_path / "pair.hdr")
    assert "image without its header" in refusal(tmp_path / "pair.img")


def test_kinds_of_voxels_and_shapes(tmp_path):
    colour = np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    assert "RGB" in refusal(put(tmp_path, plain(nib.Nifti1Image(colour, np.eye(4)))))
    assert "damaged" in refusal(put(tmp_path, plain(image(HU.astype(np.complex64)))))
    assert "holds 5 volumes" in refusal(put(tmp_path, plain(image(np.stack([HU] * 5, -1)))))
    assert "single image" in refusal(put(tmp_path, plain(image(HU[:, :, 0]))))
    assert "no volume" in refusal(put(tmp_path, plain(image(HU[:, :, :1]))))
    assert ct.read_volume(put(tmp_path, plain(image(HU[..., None])))).hu.shape == HU.shape


@pytest.mark.parametrize("bad", [0, -2.5, np.nan, np.inf, 1e-4, 2500])
def test_spacing_must_be_possible(tmp_path, bad):
    assert "spacing is 2 x " in refusal(put(tmp_path, edited("pixdim", [1, 2, bad, 3, 0, 0, 0, 0])))


def test_orientation_must_be_told_once(tmp_path):
    made = image()
    made.set_sform(None, 0)
    made.set_qform(None, 0)
    assert "left and right cannot be told" in refusal(put(tmp_path, plain(made)))
    made = image()
    made.set_qform(np.diag([-2, 2.5, 3, 1.0]), 1)
    assert "sform says RAS and its qform LAS" in refusal(put(tmp_path, plain(made)))
    assert "contradict" in refusal(put(tmp_path, edited("pixdim", [1, 2, 2.5, 5, 0, 0, 0, 0])))
    assert "contradict" in refusal(put(tmp_path, edited("srow_x", [np.nan, 0, 0, 0])))


def test_sheared_axes_are_refused(tmp_path):
    made = image()
    sheared = np.diag([2, 2.5, 3, 1.0])
    sheared[1:3, 2] = 3 * np.sin(np.radians(15)), 3 * np.cos(np.radians(15))
    made.set_sform(sheared, 1)
    assert "right angles" in refusal(put(tmp_path, plain(made)))


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("dim", [3, 32767, 32767, 32767, 1, 1, 1, 1], "GiB"),
        ("dim", [3, 9, 8, 70, 1, 1, 1, 1], "cut short"),
        ("dim", [3, 9, 8, 6, 1, 1, 1, 1], "more than its header promises"),
        ("dim", [3, -9, 8, 7, 1, 1, 1, 1], "damaged"),
        ("dim", [3, 0, 8, 7, 1, 1, 1, 1], "damaged"),
        ("dim", [9, 9, 8, 7, 1, 1, 1, 1], "damaged"),
        ("datatype", 4097, "damaged"),
        ("vox_offset", 3, "damaged"),
        ("vox_offset", np.nan, "damaged"),
        ("vox_offset", 1e30, "damaged"),
        ("magic", b"ni1", "header without its image"),
        ("magic", b"xyz", "not a NIfTI"),
    ],
)
def test_headers_that_lie(tmp_path, field, value, word):
    assert word in refusal(put(tmp_path, edited(field, value)))


def test_slope_without_intercept(tmp_path):
    data = bytearray(edited("scl_slope", 1.0))
    data[116:120] = struct.pack("<f", np.inf)
    assert "slope" in refusal(put(tmp_path, data))


def test_bombs_cost_no_memory(tmp_path):
    packer = zlib.compressobj(9, wbits=31)
    bomb = packer.compress(plain()) + b"".join(packer.compress(bytes(1 << 20)) for _ in range(300)) + packer.flush()
    promise = gzip.compress(edited("dim", [3, 1000, 1000, 1000, 1, 1, 1, 1]))
    tracemalloc.start()
    try:
        assert "more than its header promises" in refusal(put(tmp_path, bomb))
        assert "cut short" in refusal(put(tmp_path, promise))
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def assert_sound(volume: ct.Volume):
    assert min(volume.hu.shape) >= 2
    assert volume.hu.dtype in (np.int16, np.float32)
    assert np.isfinite(volume.hu).all()
    assert volume.hu.min() >= -1024
    assert all(0 < size <= 100 for size in volume.spacing)
    assert np.isfinite(volume.affine).all()
    assert volume.source in repr(volume)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(
    edits=st.lists(st.tuples(st.integers(0, 420), st.integers(0, 255)), max_size=4),
    cut=st.none() | st.integers(0, 1400),
    packed=st.booleans(),
    damaged_packing=st.none() | st.tuples(st.integers(0, 900), st.integers(0, 255)),
)
def test_any_damage_is_a_sentence_or_a_sound_volume(tmp_path_factory, edits, cut, packed, damaged_packing):
    data = plain()
    for place, value in edits:
        data[place] = value
    data = data[:cut]
    if packed:
        data = bytearray(gzip.compress(data, mtime=0))
        if damaged_packing and damaged_packing[0] < len(data):
            data[damaged_packing[0]] = damaged_packing[1]
    path = put(tmp_path_factory.getbasetemp(), data, "fuzz.nii.gz")
    try:
        result = ct.read_volume(path)
    except DataError as error:
        result = str(error)
    if isinstance(result, str):
        assert result.endswith(".")
    else:
        assert_sound(result)
