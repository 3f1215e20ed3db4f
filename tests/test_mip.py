"""Projections: head up and left left whatever the file's order, every row with its height, nobody dropped."""

import itertools
import tracemalloc

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import axial, ct, mip

SPACING = (3.0, 4.0, 5.0)
SHAPE = (31, 25, 14)


def phantom():
    """A body with a spine, and a marker where it cannot be mistaken: right, in front, near the head."""
    hu = np.full(SHAPE, -1000, np.int16)
    hu[3:28, 3:22] = 40
    hu[13:18, 6:12] = 400
    hu[24, 19, 11] = 900  # right, in front, high
    hu[14, 20, 2] = 800  # on the mid-line, in front, low
    return hu


def test_head_is_up_and_left_is_left_in_all_48_orientations(tmp_path):
    canonical = phantom()
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            stored = canonical.transpose(order)[tuple(slice(None, None, sign) for sign in signs)]
            affine = np.zeros((4, 4))
            affine[:, 3] = (-40, -50, 200, 1)
            for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
                affine[world, axis] = sign * SPACING[world]
                affine[world, 3] += (SHAPE[world] - 1) * SPACING[world] if sign < 0 else 0
            nib.save(nib.Nifti1Image(stored, affine), tmp_path / "scan.nii")
            volume = ct.read_volume(tmp_path / "scan.nii")
            frontal, sagittal = mip.project(volume)
            # rows from head to foot, the patient's right in the first column; then the front in the first column
            assert np.argwhere(frontal.pixels == 900).tolist() == [[13 - 11, 30 - 24]]
            assert np.argwhere(sagittal.pixels == 800).tolist() == [[13 - 2, 24 - 20]]
            assert not (sagittal.pixels == 900).any()
            assert (frontal.spacing, sagittal.spacing) == ((5.0, 3.0), (5.0, 4.0))
            assert (frontal.view, sagittal.view) == ("frontal", "sagittal")
            for image in (frontal, sagittal):
                assert image.z_of(2) == pytest.approx(200 + 11 * 5)
                assert axial.extract(volume, image.z_of(2)).index == 11
            assert abs(frontal.midline - 15).max() < 1


@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_it_is_the_maximum_and_of_the_scans_type(kind):
    hu = phantom().astype(kind)
    frontal, sagittal = mip.project(ct.Volume(hu, SPACING, "phantom", "RAS"))
    np.testing.assert_array_equal(frontal.pixels, hu.max(axis=1).T[::-1, ::-1])
    assert frontal.pixels.dtype == sagittal.pixels.dtype == kind
    middle = 30 - frontal.midline[::-1]
    for k in range(SHAPE[2]):
        near = abs(np.arange(SHAPE[0]) - middle[k]) * 3 <= mip.HALF_WIDTH
        np.testing.assert_array_equal(sagittal.pixels[13 - k], hu[near, :, k].max(axis=0)[::-1])


def test_padding_is_air_and_coarse_voxels_leave_no_empty_image():
    hu = phantom()
    hu[:2] = -1024
    hu[:, :, 0] = -1024
    frontal, sagittal = mip.project(ct.Volume(hu, (40.0, 40.0, 5.0), "phantom", "RAS"))
    assert frontal.pixels.min() == sagittal.pixels.min() == -1000
    assert sagittal.pixels.max() >= 400  # one voxel is wider than what is asked for


def test_the_sagittal_view_follows_a_bent_spine():
    hu = np.full((80, 60, 40), -1000, np.int16)
    hu[2:78, 4:56] = 40
    for k in range(40):
        hu[25 + k // 2 : 32 + k // 2, 10:20, k] = 500
    frontal, sagittal = mip.project(ct.Volume(hu, (4.0, 4.0, 5.0), "bent", "RAS"))
    assert (sagittal.pixels == 500).sum() == 40 * 10
    assert (frontal.midline[0], frontal.midline[-1]) == pytest.approx((79 - 28 - 19, 79 - 28), abs=2)


@pytest.mark.parametrize("view", [lambda hu: hu, lambda hu: np.asfortranarray(hu)[::-1, :, ::-1]])
def test_memory_stays_bounded(view):
    hu = view(np.random.default_rng(0).integers(-1000, 1000, (256, 256, 160), dtype=np.int16))
    volume = ct.Volume(hu, (0.8, 0.8, 1.0), "noise", "RAS")
    mip.project(volume)
    tracemalloc.start()
    mip.project(volume)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.2 * hu.nbytes  # a grid of coordinates would take 12 times the volume


def test_an_oblique_scan_has_heights_along_z():
    angle = np.radians(10)
    affine = np.eye(4)
    affine[:3, :3] = [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    affine[:3, :3] *= SPACING
    frontal, _ = mip.project(ct.Volume(phantom(), SPACING, "oblique", "RAS", affine))
    assert frontal.step == pytest.approx(-5 * np.cos(angle))
    assert frontal.z_of(13) == pytest.approx((affine @ [15, 12, 0, 1])[2])
    prepared = mip.prepare(frontal, (64, 32), 2.0)
    assert prepared.z_of(32.5) == pytest.approx(frontal.z_of(13))  # 65 mm along the body


IMAGES = st.builds(
    lambda rows, columns, dz, dx, top: mip.Mip(
        np.random.default_rng(rows).integers(-1000, 1500, (rows, columns)), (dz, dx), "frontal", top, -dz, "scan"
    ),
    *(st.integers(2, 90), st.integers(2, 90), st.floats(0.5, 10), st.floats(0.4, 5), st.floats(-2000, 2000)),
)


@settings(max_examples=150)
@given(IMAGES, st.integers(8, 80) | st.none(), st.integers(8, 80), st.floats(0.5, 6), st.floats(0, 1))
def test_rows_and_heights_are_each_others_inverse_and_nobody_is_dropped(image, rows, columns, mm, part):
    prepared = mip.prepare(image, (rows, columns), mm)
    assert prepared.pixels.shape == (rows or len(prepared.pixels), columns)
    assert prepared.pixels.dtype == np.float32
    assert 0 <= prepared.pixels.min() <= prepared.pixels.max() <= 1
    row = part * (len(prepared.pixels) - 1)
    assert prepared.row_of(prepared.z_of(row)) == pytest.approx(row, abs=1e-6)
    last = image.z_of(len(image.pixels) - 1)
    assert -1e-6 <= prepared.row_of(image.top) <= prepared.row_of(last) <= len(prepared.pixels) - 1 + 1e-6
    assert prepared.rows == int(np.ceil(prepared.row_of(last) - 1e-4)) + 1
    assert not prepared.pixels[prepared.rows + int(np.ceil(image.spacing[0] / prepared.mm)) :].any()
    if rows is None:
        assert len(prepared.pixels) % mip.STRIDE == 0
        assert prepared.mm == mm
    assert prepared.mm == pytest.approx(max(mm, (len(image.pixels) - 1) * image.spacing[0] / ((rows or 10**6) - 1)))


@pytest.mark.parametrize("shape", [(160, 96), (None, 90), (40, 64), (512, 512)])
@pytest.mark.parametrize("mm", [1.0, 3.0])
def test_a_landmark_keeps_its_height_and_its_column(shape, mm):
    rows, columns = np.arange(120)[:, None], np.arange(90)
    bump = 1300 * np.exp(-(((rows - 70) * 2.5 / 8) ** 2) / 2 - ((columns - 60) * 1.2 / 8) ** 2 / 2)
    image = mip.Mip((bump + 100).astype(np.float32), (2.5, 1.2), "frontal", 500.0, -2.5, "scan")
    prepared = mip.prepare(image, shape, mm)
    profile = prepared.pixels.sum(axis=1)
    row = np.average(np.arange(len(profile)), weights=profile)
    assert prepared.z_of(row) == pytest.approx(500 - 70 * 2.5, abs=0.3)
    across = prepared.pixels.sum(axis=0)
    column = np.average(np.arange(len(across)), weights=across) - (shape[1] - 1) / 2
    assert column * prepared.mm == pytest.approx((60 - 44.5) * 1.2, abs=0.3)


def test_at_its_own_spacing_an_image_is_only_windowed():
    pixels = np.random.default_rng(0).integers(-1000, 2000, (20, 30))
    prepared = mip.prepare(mip.Mip(pixels, (2.0, 2.0), "frontal", 0.0, -2.0, "scan"), (24, 34), 2.0)
    np.testing.assert_allclose(prepared.pixels[:20, 2:32], np.clip((pixels - 100) / 1400, 0, 1), atol=1e-5)
    assert not prepared.pixels[20:].any()
    assert not prepared.pixels[:, [0, 1, 32, 33]].any()


def test_the_brightest_voxel_does_not_change_the_window():
    pixels = np.full((20, 30), 800)
    metal = pixels.copy()
    metal[3, 4] = 20_000
    plain, bright = (
        mip.prepare(mip.Mip(image, (1.0, 1.0), "frontal", 0.0, -1.0, "scan"), (20, 30)) for image in (pixels, metal)
    )
    assert (plain.pixels != bright.pixels).sum() == 1


def test_a_fine_image_is_averaged_where_it_shrinks():
    noise = np.random.default_rng(0).normal(800, 200, (300, 300))
    shrunk = mip.prepare(mip.Mip(noise, (0.5, 0.5), "frontal", 0.0, -0.5, "scan"), (50, 50), 3.0).pixels
    assert shrunk.std() * 1400 < 40


@pytest.mark.parametrize(("shape", "mm"), [((1, 9), 1.0), ((9, 1), 1.0), ((9, 9), 0.0), ((9, 9), -1.0)])
def test_impossible_sizes_are_refused(shape, mm):
    with pytest.raises(ValueError, match="2 rows and columns of some size"):
        mip.prepare(mip.Mip(np.zeros((5, 5)), (1.0, 1.0), "frontal", 0.0, -1.0, "scan"), shape, mm)


def test_blank_sides_keep_the_middle():
    kept = mip.blank_sides(np.ones((3, 512), np.float32))
    assert (kept[0, :179] == 0).all()
    np.testing.assert_array_equal(kept, kept[:, ::-1])
    assert kept.mean() == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("two_d", [False, True])
@pytest.mark.parametrize("row", [3.0, 20.25, 47.5, 60.0])
def test_the_middle_of_a_peak_is_found_to_a_fraction_of_a_row(row, two_d):
    profile = np.exp(-(((np.arange(64) - row) / 4) ** 2) / 2) * 0.8
    confidence = profile[:, None] * (abs(np.arange(40) - 20) < 6) if two_d else profile
    found = mip.locate(confidence)
    assert found.in_view
    assert found.row == pytest.approx(row, abs=0.6)
    assert found.confidence == pytest.approx(profile.max(), abs=1e-6)


def test_the_middle_of_a_band_is_found_not_its_upper_edge():
    confidence = np.zeros((64, 40))
    confidence[27:34, 12:28] = 1
    assert mip.locate(confidence) == (30.0, 1.0)
    assert mip.locate(confidence[:, 20]) == (30.0, 1.0)


def test_a_second_lower_peak_and_single_bright_pixels_do_not_move_it():
    rows = np.arange(64)
    profile = 0.9 * np.exp(-(((rows - 20) / 2) ** 2) / 2) + 0.6 * np.exp(-(((rows - 50) / 2) ** 2) / 2)
    assert mip.locate(profile).row == pytest.approx(20, abs=0.05)
    confidence = np.repeat(profile[:, None], 60, axis=1)
    confidence[50, 3] = 1
    assert mip.locate(confidence).row == pytest.approx(20, abs=0.05)


@pytest.mark.parametrize(("threshold", "seen"), [(0.0, True), (0.4, True), (0.41, False)])
def test_below_the_threshold_it_is_not_in_view(threshold, seen):
    confidence = np.full(30, 0.1)
    confidence[12] = 0.4
    found = mip.locate(confidence, threshold)
    assert found.in_view == seen == (found.row is not None)
    assert found.confidence == 0.4


def test_where_nothing_is_nothing_is_found():
    assert mip.locate(np.zeros(30)) == (None, 0.0)


@pytest.mark.parametrize(
    ("confidence", "match"),
    [
        (np.array([0.2, -3.0]), r"\[-3, 0.2\]"),
        (np.array([0.2, 1.5]), "1.5"),
        (np.array([0.2, np.nan]), "nan"),
        (np.zeros((2, 3, 4)), r"\(2, 3, 4\)"),
        (np.zeros(0), r"\(0,\)"),
    ],
)
def test_what_is_no_confidence_is_refused(confidence, match):
    with pytest.raises(ValueError, match=match):
        mip.locate(confidence)
