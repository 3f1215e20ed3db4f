"""Squares for a network: nothing is stretched, nothing moves, and a mask keeps its share of every pixel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.squares import from_square, to_square

SIDES = st.integers(1, 40)


def noise(rows, columns, seed=0):
    return np.random.default_rng(seed).random((rows, columns), np.float32)


def disc(shape, centre, radius):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2


def extent(mask):
    """How many rows and how many columns a mask touches."""
    return int(mask.any(axis=1).sum()), int(mask.any(axis=0).sum())


def centre(weights):
    """The centre of mass, in rows and columns from the corner of the image."""
    rows, columns = np.indices(weights.shape) + 0.5
    return np.array([(rows * weights).sum(), (columns * weights).sum()]) / weights.sum()


@pytest.mark.parametrize("shape", [(120, 80), (80, 120), (100, 100), (121, 64)])
@pytest.mark.parametrize("side", [30, 60, 150])
def test_a_disc_stays_a_disc(shape, side):
    radius = 24
    small = to_square(disc(shape, (shape[0] // 2, shape[1] // 2), radius), side) >= 0.5
    tall, wide = extent(small)
    assert abs(tall - wide) <= 1
    assert tall == pytest.approx((2 * radius + 1) * side / max(shape), abs=1.5)
    found = from_square(small, shape) > 0.5
    assert abs(extent(found)[0] - extent(found)[1]) <= 1 + max(shape) / side


@given(SIDES, SIDES)
def test_padding_is_taken_off_to_the_pixel(rows, columns):
    image = noise(rows, columns)
    square = to_square(image, max(rows, columns))
    assert square.dtype == np.float32
    assert np.count_nonzero(square) == image.size - np.count_nonzero(image == 0)  # all else is black
    np.testing.assert_array_equal(from_square(square, (rows, columns)), image)


@given(SIDES, SIDES, SIDES)
def test_no_light_is_lost_or_added_in_shrinking(rows, columns, side):
    longest = max(rows, columns)
    image = noise(rows, columns)
    square = to_square(image, min(side, longest))
    assert square.mean() * longest**2 == pytest.approx(image.sum(), rel=1e-3, abs=1e-3)
    assert square.min() >= 0
    assert square.max() <= image.max() + 1e-5


@given(st.integers(20, 90), st.integers(20, 90), st.sampled_from([16, 32, 64, 128]), st.integers(0, 9))
def test_nothing_moves_on_the_way_there_and_back(rows, columns, side, seed):
    rng = np.random.default_rng(seed)
    top, left = rng.integers(0, rows - 15), rng.integers(0, columns - 15)
    image = np.zeros((rows, columns), np.float32)
    image[top : top + 12, left : left + 12] = 1
    square = to_square(image, side)
    longest = max(rows, columns)
    padding = np.array([(longest - rows) // 2, (longest - columns) // 2])
    pixel = max(1, longest / side)
    np.testing.assert_allclose(centre(square) * longest / side - padding, centre(image), atol=0.15 * pixel)
    back = from_square(square, image.shape)
    assert back.shape == image.shape
    edge = 2 * pixel + 1
    if edge < top < rows - 12 - edge and edge < left < columns - 12 - edge:  # else its blurred rim leaves the image
        np.testing.assert_allclose(centre(back), centre(image), atol=0.15 * pixel)


def test_a_mask_becomes_the_share_of_each_pixel_that_it_covers():
    mask = np.random.default_rng(1).random((24, 24)) < 0.4
    shares = mask.reshape(8, 3, 8, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(to_square(mask, 8), shares, atol=1e-6)
    wide = to_square(mask[:12], 8)  # 6 black rows above and below: half a pixel's worth of rows is never lost
    np.testing.assert_allclose(wide[2:6], shares[:4], atol=1e-6)
    assert not wide[:2].any()
    assert not wide[6:].any()


def test_what_is_enlarged_gets_no_steps():
    ramp = np.tile(np.linspace(0, 1, 16, dtype=np.float32), (16, 1))
    steps = np.diff(to_square(ramp, 64)[32])
    assert 0 < np.abs(steps[4:-4]).max() < 1.5 / 60
    assert (steps >= 0).all()


@given(st.integers(1, 20), st.integers(1, 20), SIDES)
def test_a_mirrored_image_has_a_mirrored_square(rows, columns, side):
    image = noise(2 * rows, 2 * columns)
    np.testing.assert_allclose(to_square(image[:, ::-1], side), to_square(image, side)[:, ::-1], atol=1e-5)


def test_the_image_itself_is_left_alone():
    image = noise(30, 20)
    before = image.copy()
    square = to_square(image, 30)
    square[:] = 5
    from_square(square, image.shape)[:] = 7
    np.testing.assert_array_equal(image, before)
    same = noise(20, 20)
    before = same.copy()
    to_square(same, 20)[:] = 5
    np.testing.assert_array_equal(same, before)


@pytest.mark.parametrize("side", [0, -3])
def test_a_square_has_a_side(side):
    with pytest.raises(ValueError, match=f"at least 1, but is {side}"):
        to_square(noise(4, 4), side)
