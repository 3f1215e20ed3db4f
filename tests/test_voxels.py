"""Grids know their millimetres, and the brushes paint volumes that are right at any voxel size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import voxels
from helpers.voxels import Grid

CUBE = Grid((61, 61, 41), (1.0, 1.0, 1.5), (-30.0, -30.0, -30.0))
SMALL = Grid((21, 17, 13), (1.0, 2.0, 1.5), (-10.0, -16.0, -9.0))
lengths = st.integers(-250, 250).map(lambda tenths: tenths / 10 + 0.05)  # never on a voxel's centre


@settings(max_examples=60, deadline=None)
@given(st.tuples(lengths, lengths, lengths), st.tuples(lengths, lengths, lengths))
def test_a_box_holds_exactly_the_voxels_between_its_corners(one, other):
    low, high = np.minimum(one, other), np.maximum(one, other)
    held = np.zeros(SMALL.shape, bool)
    held[SMALL.box(low, high)] = True
    between = np.ones(SMALL.shape, bool)
    for axis, a, b in zip(SMALL.axes, low, high, strict=True):
        between &= (axis >= a) & (axis <= b)
    np.testing.assert_array_equal(held, between)


def test_a_crop_keeps_every_voxel_where_it_was():
    box = CUBE.box((-10, -5, 0), (12, 9, 20))
    for axis, (part, whole) in enumerate(zip(CUBE.crop(box).axes, CUBE.axes, strict=True)):
        np.testing.assert_allclose(part.ravel(), whole.ravel()[box[axis]], atol=1e-4)


@pytest.mark.parametrize("spacing", [1.0, 2.0, 3.0])
def test_a_solid_keeps_its_volume_at_any_voxel_size(spacing):
    n = round(60 / spacing) + 1
    x, y, z = Grid((n, n, n), (spacing,) * 3, (-30.3, -29.8, -30.1)).axes
    covered = voxels.coverage(np.sqrt(x**2 + y**2 + z**2) - 20, spacing)
    assert covered.sum() * spacing**3 == pytest.approx(4 / 3 * np.pi * 20**3, rel=0.01)


def test_filling_replaces_inside_keeps_outside_and_mixes_at_the_rim():
    hu = np.full((1, 5), -800.0, np.float32)
    voxels.fill(hu, np.array([[-4.0, -0.5, 0.0, 0.5, 4.0]]), 200.0, 2.0)
    np.testing.assert_allclose(hu, [[200, -50, -300, -550, -800]])


def straight_tube(radius):
    """Volume in mm3 that a tube covers, and that of a cylinder with two round ends."""
    hu = np.zeros(CUBE.shape)
    start, end = np.array([-14.0, -3.0, -18.0]), np.array([11.0, 8.0, 16.0])
    voxels.tube(hu, CUBE, start, end, (radius, radius), 1.0)
    length = np.linalg.norm(end - start) + 4 / 3 * radius  # the two ends make one ball
    return hu.sum() * np.prod(CUBE.spacing), np.pi * radius**2 * length


@pytest.mark.parametrize("radius", [1.5, 3.0, 6.0])
def test_a_tube_has_the_volume_of_a_cylinder(radius):
    drawn, expected = straight_tube(radius)
    assert drawn == pytest.approx(expected, rel=0.05)


def test_a_tube_thinner_than_a_voxel_fades_in_proportion():
    (thin, expected), (thinner, _) = straight_tube(0.4), straight_tube(0.2)
    assert thin / thinner == pytest.approx(4, rel=0.02)
    assert expected < thin < 1.5 * expected


def test_a_tube_narrows_towards_its_end_and_stays_on_its_line():
    hu = np.zeros(CUBE.shape)
    voxels.tube(hu, CUBE, np.array([0.0, 0.0, -25.0]), np.array([0.0, 0.0, 25.0]), (8.0, 2.0), 1.0)
    area = hu.sum((0, 1))[5:35]
    assert (np.diff(area) < 0).all()
    middle = (hu * CUBE.axes[0]).sum() / hu.sum()
    assert middle == pytest.approx(0, abs=1e-3)


def test_a_tube_elsewhere_leaves_the_picture_alone():
    hu = np.zeros(CUBE.shape)
    voxels.tube(hu, CUBE, np.array([90.0, 0, 0]), np.array([120.0, 0, 0]), (5.0, 5.0), 1.0)
    assert not hu.any()


def test_smooth_noise_is_smooth_centred_and_of_unit_variance():
    draws = np.stack([voxels.smooth_noise(np.random.default_rng(i), (60, 50, 40), (9, 8, 7)) for i in range(40)])
    assert draws.dtype == np.float32
    assert draws.mean() == pytest.approx(0, abs=0.05)
    assert draws.var() == pytest.approx(1, abs=0.15)
    assert np.abs(np.diff(draws, axis=1)).mean() < 0.25  # eight voxels from knot to knot
    apart = [draws[:, x].ravel() @ draws[:, x + 30].ravel() / draws[:, x].size for x in (0, 10, 20)]
    assert np.abs(apart).max() < 0.1  # four knots apart nothing is shared
