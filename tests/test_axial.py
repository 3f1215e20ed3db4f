"""The axial slice at a height, the body without its table, and areas that are known from geometry."""

import itertools

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import axial, ct


def disc(radius, spacing, size=120):
    place = (np.arange(size) - (size - 1) / 2) * spacing
    return place[:, None] ** 2 + place**2 < radius**2


@pytest.mark.parametrize("spacing", [0.8, 2.0, 3.0])
def test_areas_are_those_of_geometry(spacing):
    size = int(360 / spacing)
    hu = np.full((size, size), -1000)
    for radius, value in ((150, -100), (120, 50), (60, -100), (40, 500), (20, -900)):  # fat, muscle, fat, bone, gas
        hu[disc(radius, spacing, size)] = value
    areas = axial.tissue_areas(hu, (spacing, spacing))
    assert areas["muscle"] == pytest.approx(np.pi * (12**2 - 6**2), rel=0.01)
    assert areas["fat"] == pytest.approx(np.pi * (15**2 - 12**2 + 6**2 - 4**2), rel=0.02)


@pytest.mark.parametrize(
    ("value", "tissue"),
    [(-191, None), (-190, "fat"), (-30, "fat"), (-29, "muscle"), (150, "muscle"), (151, None)],
)
def test_the_ranges_hold_their_ends(value, tissue):
    areas = axial.tissue_areas(np.where(disc(100, 2.0), value, -1000), (2.0, 2.0))
    assert [name for name, area in areas.items() if area > 300] == ([tissue] if tissue else [])


def test_table_cables_arms_and_blankets_are_no_body():
    body = disc(100, 2.0)
    hu = np.where(body, 40, -1000)
    hu[:, 2:5] = 300  # the table
    hu[5:9, 40:80] = 40  # an arm
    hu[60, 5:12] = 40  # a cable between table and body
    hu[20:100, 6:9] = -100
    outline = axial.outline(hu, (2.0, 2.0))
    assert np.sum(outline & ~body) < 0.005 * body.sum()
    assert np.sum(body & ~outline) < 0.005 * body.sum()


def test_lungs_and_bowel_gas_are_inside():
    hu = np.where(disc(100, 2.0), 40, -1000)
    hu[disc(60, 2.0)] = -850
    np.testing.assert_array_equal(axial.outline(hu, (2.0, 2.0)), disc(100, 2.0))
    assert axial.tissue_areas(hu, (2.0, 2.0))["muscle"] < np.pi * 10**2


@pytest.mark.parametrize("value", [-1000, -400])
def test_air_has_no_outline_and_no_tissue(value):
    hu = np.full((50, 50), value)
    assert not axial.outline(hu, (2.0, 2.0)).any()
    assert axial.tissue_areas(hu, (2.0, 2.0)) == {"muscle": 0.0, "fat": 0.0}


def test_a_body_that_fills_the_picture_is_all_body():
    assert axial.outline(np.full((50, 50), 40), (2.0, 2.0)).mean() > 0.99


HEIGHTS = np.arange(7) * 5.0 - 300


def test_the_slice_is_the_right_one_in_all_48_orientations(tmp_path):
    canonical = np.random.default_rng(0).integers(-1000, 1000, (5, 6, 7)).astype(np.int16)
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            stored = canonical.transpose(order)[tuple(slice(None, None, sign) for sign in signs)]
            affine = np.zeros((4, 4))
            affine[:, 3] = (-40, -50, HEIGHTS[0], 1)
            for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
                step = (0.8, 0.9, 5.0)[world]
                affine[world, axis] = sign * step
                affine[world, 3] += (canonical.shape[world] - 1) * step if sign < 0 else 0
            nib.save(nib.Nifti1Image(stored, affine), tmp_path / "scan.nii")
            found = axial.extract(ct.read_volume(tmp_path / "scan.nii"), HEIGHTS[2] + 2.1)
            assert found.index == 2
            assert found.z_mm == pytest.approx(HEIGHTS[2])
            assert found.spacing == pytest.approx((0.8, 0.9))
            np.testing.assert_array_equal(found.hu, canonical[:, :, 2])
            raw = np.take(stored, found.file_index, axis=found.file_axis)  # what another program shows there
            assert sorted(raw.ravel()) == sorted(canonical[:, :, 2].ravel())


@given(st.integers(0, 29), st.floats(-0.49, 0.49))
def test_the_nearest_slice_is_taken(index, aside):
    affine = np.diag([1.0, 1, 2.5, 1])
    affine[2, 3] = -812.5
    volume = ct.Volume(np.zeros((4, 4, 30), np.int16), (1.0, 1.0, 2.5), "scan.nii.gz", "LPI", affine)
    found = axial.extract(volume, -812.5 + 2.5 * (index + aside))
    assert (found.index, found.file_axis, found.file_index) == (index, 2, 29 - index)
    assert found.z_mm == pytest.approx(-812.5 + 2.5 * index)


@pytest.mark.parametrize("z", [-3.0, 48.0, float("inf")])
def test_a_height_outside_is_refused(z):
    volume = ct.Volume(np.zeros((4, 4, 10), np.int16), (1.0, 1.0, 5.0), "scan.nii.gz", "RAS")
    with pytest.raises(ValueError, match=r"spans z = 0\.0 to 45\.0 mm"):
        axial.extract(volume, z)
