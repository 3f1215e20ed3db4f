"""The mid-line follows the spine, whatever else is bright: hips, vessels, metal, arms, table."""

import numpy as np
import pytest

from helpers import axial, ct, midline

SPACING = (3.0, 3.0, 4.0)
SHAPE = (110, 80, 60)


def trunk(spine, shape=SHAPE, spacing=SPACING):
    """A body of soft tissue with vertebrae along a line, one place in mm from the middle for every slice."""
    x = (np.arange(shape[0]) - (shape[0] - 1) / 2)[:, None] * spacing[0]
    y = (np.arange(shape[1]) - (shape[1] - 1) / 2)[None, :] * spacing[1]
    hu = np.full(shape, -1000, np.int16)
    hu[(x / 150) ** 2 + (y / 100) ** 2 < 1] = 40
    for k, place in enumerate(np.broadcast_to(spine, shape[2])):
        hu[((x - place) / 20) ** 2 + ((y + 45) / 16) ** 2 < 1, k] = 260
        hu[(abs(x - place) < 4) & (abs(y + 75) < 16), k] = 500
    return hu, x, y


def places(hu, spacing=SPACING):
    """The mid-line in mm from the middle of the picture."""
    found = midline.find_midline(ct.Volume(hu, spacing, "trunk", "RAS"))
    return (found - (hu.shape[0] - 1) / 2) * spacing[0]


BEND = 18 * np.sin(np.linspace(0, 2.5, SHAPE[2]))


def hips(hu, x, y):
    hu[(abs(abs(x) - 95) < 14) & (abs(y) < 60), :35] = 700


def table(hu, x, y):
    hu[:, 2:4] = 500
    hu[:4] = hu[-3:] = 400


def arm(hu, x, y):
    hu[((x - 158) ** 2 + (y + 20) ** 2 < 6**2)] = 900


def vessel(hu, x, y):
    hu[((x + 28) ** 2 + (y + 20) ** 2 < 12**2)] = 350


def metal(hu, x, y):
    hu[((x - 95) ** 2 + (y + 10) ** 2 < 12**2), :20] = 3000
    hu[:, 5, 30] = 3000


def bowel(hu, x, y):
    hu[((x - 70) ** 2 + (y - 50) ** 2 < 30**2), 10:50] = 600


@pytest.mark.parametrize("spine", [0, -25, BEND, -BEND])
@pytest.mark.parametrize("extra", [None, hips, table, arm, vessel, metal, bowel])
def test_the_spine_is_followed(spine, extra):
    hu, x, y = trunk(spine)
    if extra:
        extra(hu, x, y)
    assert abs(places(hu) - spine).max() < 10


def test_the_column_with_most_bone_would_be_the_hip():
    """Else the test above would prove nothing."""
    hu, x, y = trunk(0)
    hips(hu, x, y)
    most = np.argmax((hu > 200).sum(axis=(1, 2)))
    assert abs(x[most, 0]) > 60


@pytest.mark.parametrize("cut", [(0, 30), (30, 0), (20, 10)])
def test_a_narrow_field_does_not_mislead_it(cut):
    hu, _, _ = trunk(BEND)
    cropped = hu[cut[0] : SHAPE[0] - cut[1]]
    assert abs(places(cropped) + (cut[0] - cut[1]) / 2 * SPACING[0] - BEND).max() < 12


@pytest.mark.parametrize("spacing", [(0.9, 0.9, 5.0), (1.5, 1.5, 1.0), (5.0, 5.0, 10.0)])
def test_it_is_in_the_voxels_of_the_scan_whatever_their_size(spacing):
    shape = tuple(int(330 / size) for size in spacing[:2]) + (int(150 / spacing[2]),)
    spine = np.linspace(-20, 20, shape[2])
    hu, _, _ = trunk(spine, shape, spacing)
    assert abs(places(hu, spacing) - spine).max() < 8


def test_without_bone_it_is_the_middle_of_the_body_and_without_a_body_that_of_the_picture():
    hu, _, _ = trunk(0)
    soft = np.roll(np.minimum(hu, 40), 5, axis=0)
    assert abs(places(soft) - 5 * SPACING[0]).max() < 3
    assert abs(places(np.full(SHAPE, -1000, np.int16))).max() == 0
    some = hu.copy()
    some[:, :, :20] = some[:, :, 40:] = -1000  # and where slices are empty, that of their neighbours
    assert abs(places(some)).max() < 3


@pytest.mark.parametrize("view", [lambda hu: hu, lambda hu: np.asfortranarray(hu)[::-1], lambda hu: hu[:, ::-1]])
def test_blocks_are_means_and_lie_where_they_were(view):
    rng = np.random.default_rng(1)
    hu = view(rng.integers(-1000, 1000, (13, 12, 9)).astype(np.int16))
    affine = np.array([[1.0, 0, 0, -50], [0, 1, 0, 20], [0, 0, 2, 300], [0, 0, 0, 1]])
    coarse = midline.coarsen(ct.Volume(hu, (1.0, 1.0, 2.0), "fine", "LPS", affine), 4.0)
    assert coarse.hu.shape == (4, 3, 5)
    assert coarse.spacing == (4.0, 4.0, 4.0)
    assert coarse.file_axes == "LPS"
    for index in np.ndindex(coarse.hu.shape):
        part = hu[tuple(slice(i * f, (i + 1) * f) for i, f in zip(index, (4, 4, 2), strict=True))]
        assert coarse.hu[index] == pytest.approx(part.mean(), abs=0.51)
    np.testing.assert_allclose(coarse.affine @ [1, 1, 1, 1], affine @ [5.5, 5.5, 2.5, 1])
    same = midline.coarsen(ct.Volume(hu, (3.0, 3.0, 5.0), "coarse", "RAS"), 3.0)
    np.testing.assert_array_equal(same.hu, hu)


def test_coarse_scans_do_not_share_the_noise_of_fine_ones():
    noise = np.random.default_rng(2).normal(40, 40, (96, 96, 32)).astype(np.int16)
    coarse = midline.coarsen(ct.Volume(noise, (0.8, 0.8, 0.8), "noise", "RAS"), 3.2)
    assert noise.max(axis=1).mean() > 120  # bone, to the window
    assert coarse.hu.max(axis=1).mean() < 60


@pytest.mark.parametrize("cut", [0, 15])
def test_real_scans(realdata, cut):
    """Checked by eye: the vertebrae of this scan lie 8 mm to the left of its middle, and follow it when cropped."""
    volume = ct.read_volume(realdata / "ct" / "totalseg_abdomen_122x101x30.nii.gz")
    hu = volume.hu[cut:]
    found = places(hu, volume.spacing) + cut / 2 * 3
    assert abs(found + 8).max() < 4
    assert axial.outline(hu[:, :, 10], (3.0, 3.0)).mean() > 0.2
