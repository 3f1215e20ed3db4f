"""Rotations and mirroring, followed by landmarks and held against SciPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from helpers import augment

volumes = arrays(
    np.float32,
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 6)),
    elements=st.floats(0, 1, width=32),
)


def as_displayed(volume):
    """The first slice as an axial picture: rows from front to back, the patient's right in the first column."""
    return volume[::-1, ::-1, 0].T


@pytest.mark.parametrize("degrees", augment.ROTATIONS)
def test_a_landmark_turns_anticlockwise_on_the_axial_picture(degrees):
    size, radius = 61, 22
    volume = np.zeros((size, size, 1), np.float32)
    volume[30, 30 + radius] = 1  # straight in front: at twelve o'clock on the picture
    picture = as_displayed(ndimage.gaussian_filter(volume, (1.5, 1.5, 0)))
    assert np.unravel_index(picture.argmax(), picture.shape) == (30 - radius, 30)
    turned = as_displayed(augment.rotate_in_plane(ndimage.gaussian_filter(volume, (1.5, 1.5, 0)), degrees))
    row, column = ndimage.center_of_mass(turned)
    up, rightward = 30 - row, column - 30
    assert np.degrees(np.arctan2(-rightward, up)) == pytest.approx(degrees, abs=0.05)  # positive: towards the left
    assert np.hypot(up, rightward) == pytest.approx(radius, abs=0.05)


def test_quarter_turns_are_exact_and_turn_the_picture():
    volume = np.random.default_rng(0).random((12, 12, 3), dtype=np.float32)
    turned = augment.rotate_in_plane(volume, 90)
    np.testing.assert_array_equal(as_displayed(turned), np.rot90(as_displayed(volume)))
    np.testing.assert_array_equal(augment.rotate_in_plane(turned, -90), volume)


@pytest.mark.parametrize("shape", [(20, 20, 5), (17, 24, 1), (24, 17, 2), (30, 21, 70)])
@pytest.mark.parametrize("degrees", [-20, 5, 33.3])
def test_rotation_equals_linear_interpolation_into_air(shape, degrees):
    volume = np.random.default_rng(1).random(shape, dtype=np.float32)
    padded = np.pad(volume, ((40, 40), (40, 40), (0, 0)))
    truth = ndimage.rotate(padded, -degrees, order=1, reshape=False)[40:-40, 40:-40]
    turned = augment.rotate_in_plane(volume, degrees)
    assert turned.dtype == np.float32
    assert turned.flags.c_contiguous
    np.testing.assert_allclose(turned, truth, atol=1e-5)


def test_every_slice_is_treated_alike():
    plane = np.random.default_rng(2).random((25, 31, 1), dtype=np.float32)
    turned = augment.rotate_in_plane(np.tile(plane, (1, 1, 37)), 10)
    np.testing.assert_array_equal(turned, np.tile(augment.rotate_in_plane(plane, 10), (1, 1, 37)))


@given(volumes, st.sampled_from((0, *augment.ROTATIONS)))
def test_rotation_stays_in_range_and_leaves_its_input_alone(volume, degrees):
    before = volume.copy()
    turned = augment.rotate_in_plane(volume, degrees)
    np.testing.assert_array_equal(volume, before)
    assert not np.shares_memory(turned, volume)
    assert turned.min() >= 0
    assert turned.max() <= 1
    if degrees == 0:
        np.testing.assert_array_equal(turned, volume)


def test_what_comes_from_outside_is_air():
    turned = augment.rotate_in_plane(np.ones((40, 40, 2), np.float32), 20)
    assert turned[0, 0, 0] == turned[-1, -1, 1] == 0
    assert (turned[10:30, 10:30] > 0.999999).all()


def test_a_view_with_other_strides_is_turned_alike():
    volume = np.random.default_rng(3).random((9, 14, 6), dtype=np.float32)
    view = np.asfortranarray(volume)
    np.testing.assert_array_equal(augment.rotate_in_plane(view, 20), augment.rotate_in_plane(volume, 20))


def test_random_rotation_draws_all_six_and_only_from_its_generator():
    volume = np.random.default_rng(4).random((16, 16, 2), dtype=np.float32)
    expected = {augment.rotate_in_plane(volume, angle).tobytes() for angle in augment.ROTATIONS}
    drawn = [augment.random_rotation(volume, np.random.default_rng([5, index])).tobytes() for index in range(80)]
    assert set(drawn) == expected
    assert len(expected) == 6
    np.random.seed(1)  # noqa: NPY002 - the global state must not matter
    assert drawn[:5] == [augment.random_rotation(volume, np.random.default_rng([5, i])).tobytes() for i in range(5)]


@pytest.mark.parametrize(
    ("volume", "quoted"),
    [
        (np.zeros((4, 4), np.float32), r"\(4, 4\)"),
        (np.full((4, 4, 2), -1000, np.float32), "-1000"),
        (np.full((4, 4, 2), np.nan, np.float32), "nan"),
        (np.full((4, 4, 2), 1.5, np.float32), r"1\.5"),
    ],
)
def test_what_is_no_prepared_volume_is_refused(volume, quoted):
    with pytest.raises(ValueError, match=quoted):
        augment.rotate_in_plane(volume, 5)


def test_mirror_moves_the_heart_to_the_right():
    volume = np.zeros((10, 8, 6), np.float32)
    volume[2, 5, 3] = 1  # left of the middle, in front
    mirrored = augment.mirror(volume)
    assert np.argwhere(mirrored).tolist() == [[7, 5, 3]]
    assert mirrored.flags.c_contiguous
    assert not np.shares_memory(mirrored, volume)


@given(volumes, st.sampled_from(augment.ROTATIONS))
def test_mirroring_twice_is_nothing_and_swaps_the_sense_of_a_turn(volume, degrees):
    np.testing.assert_array_equal(augment.mirror(augment.mirror(volume)), volume)
    one = augment.mirror(augment.rotate_in_plane(volume, degrees))
    other = augment.rotate_in_plane(augment.mirror(volume), -degrees)
    np.testing.assert_allclose(one, other, atol=1e-6)
