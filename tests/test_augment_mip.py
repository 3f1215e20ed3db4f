"""Every change of a projection takes the rows of its vertebrae along, followed by bright landmarks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import augment_mip

ROWS, COLUMNS = 96, 48
LEVELS = np.array([20.0, 36.0, 52.0, 68.0])
SPINE = 23.5


def landmarks(levels=LEVELS):
    """A faint body, and on it a bright bump for every vertebra, in two channels."""
    rows, columns = np.arange(ROWS)[:, None], np.arange(COLUMNS)
    image = np.full((2, ROWS, COLUMNS), 0.05, np.float32)
    image[:, 90:] = 0  # the scan ends here
    for level in levels:
        image += 0.7 * np.exp(-(((rows - level) / 1.8) ** 2) / 2 - ((columns - SPINE) / 3) ** 2 / 2).astype(np.float32)
    return image


def assert_followed(image, levels, tolerance=0.6):
    """At every row that is given, the profile of the image has its bump; nowhere else is one of full height."""
    profile = image[0].max(axis=1) - 0.05
    for level in levels[np.isfinite(levels)]:
        near = np.arange(max(0, int(level) - 5), min(ROWS, int(level) + 7))
        inside = near[(profile[near] > 0.15)]
        assert len(inside), level
        cut = len(near) < 12 or not image[0, near].any(axis=1).all()
        if inside[0] > near[0] and inside[-1] < near[-1] and not cut:
            assert np.average(inside, weights=profile[inside]) == pytest.approx(level, abs=tolerance)
    return profile


@pytest.mark.parametrize("factor", [0.8, 0.93, 1.0, 1.1, 1.3])
def test_a_larger_patient_has_lower_rows(factor):
    image, levels = augment_mip.scale(landmarks(), LEVELS, factor)
    np.testing.assert_allclose(levels, np.where(LEVELS * factor <= ROWS - 1, LEVELS * factor, np.nan))
    assert_followed(image, levels)
    columns = image[0, int(levels[0])]
    assert np.average(np.arange(COLUMNS), weights=np.clip(columns - 0.1, 0, 1)) == pytest.approx(SPINE, abs=0.1)
    if factor == 1:
        np.testing.assert_allclose(image, landmarks(), atol=1e-6)


@pytest.mark.parametrize(("first", "last"), [(0, 90), (10, 60), (30, 90), (0, 30), (55, 65)])
def test_a_crop_along_moves_the_rows_up_and_loses_the_others(first, last):
    image, levels = augment_mip.crop_rows(landmarks(), LEVELS, first, last)
    kept = (first <= LEVELS) & (last - 1 >= LEVELS)
    np.testing.assert_array_equal(levels, np.where(kept, LEVELS - first, np.nan))
    np.testing.assert_array_equal(image[:, : last - first], landmarks()[:, first:last])
    assert not image[:, last - first :].any()


@pytest.mark.parametrize(("first", "last", "seen"), [(10, 40, True), (0, 20, False), (28, 48, False), (20, 28, True)])
def test_a_crop_across_shows_no_vertebra_without_the_spine(first, last, seen):
    image, levels = augment_mip.crop_columns(landmarks(), LEVELS, first, last, SPINE, slice(0, 1))
    np.testing.assert_array_equal(levels, LEVELS if seen else np.full(4, np.nan))
    start = (COLUMNS - (last - first)) // 2
    np.testing.assert_array_equal(image[0, :, start : start + last - first], landmarks()[0, :, first:last])
    assert not image[0, :, :start].any()
    assert not image[0, :, start + last - first :].any()
    np.testing.assert_array_equal(image[1], landmarks()[1] if seen else 0)


def test_a_flip_swaps_sides_on_the_frontal_view_alone():
    image = landmarks()
    image[:, :, 3] = 1
    flipped = augment_mip.flip(image, slice(0, 1))
    assert (flipped[0, :, COLUMNS - 4] == 1).all()
    np.testing.assert_array_equal(flipped[1], image[1])
    np.testing.assert_array_equal(augment_mip.flip(augment_mip.flip(image)), image)


@settings(max_examples=60)
@given(st.integers(1, 6), st.data())
def test_thicker_slices_leave_rows_and_brightness_where_they_are(thickness, data):
    image = landmarks()
    thick = augment_mip.thicken(image, thickness, data.draw(st.integers(0, thickness - 1)))
    assert (thick.shape, thick.dtype) == (image.shape, image.dtype)
    if thickness == 1:
        np.testing.assert_allclose(thick, image, atol=1e-6)
    profile = thick[0, :84].max(axis=1) - 0.05
    for level in LEVELS:
        near = np.arange(int(level) - 7, int(level) + 8)
        assert np.average(near, weights=profile[near]) == pytest.approx(level, abs=0.8)
    assert thick[:, :84].mean() == pytest.approx(image[:, :84].mean(), rel=0.05)


def test_a_ramp_of_rows_is_not_changed_by_thicker_slices_inside():
    ramp = np.linspace(0, 1, ROWS, dtype=np.float32)[None, :, None] * np.ones((1, 1, 4), np.float32)
    np.testing.assert_allclose(augment_mip.thicken(ramp, 4, 1)[:, 3:-3], ramp[:, 3:-3], atol=1e-6)


def test_shading_and_noise_leave_black_black_and_stay_in_range():
    image, rng = landmarks(), np.random.default_rng(0)
    for changed in (augment_mip.shade(image, 1.5, 0.2), augment_mip.add_noise(image, 0.3, rng)):
        assert not changed[image == 0].any()
        assert changed.min() >= 0
        assert changed.max() <= 1
        assert changed.dtype == np.float32
        assert (changed != image).any()
    assert augment_mip.add_noise(np.full((1, 99, 99), 0.5, np.float32), 0.1, rng).std() == pytest.approx(0.1, rel=0.05)


def test_varied_copies_keep_their_rows_and_a_fifth_lacks_the_target():
    image, lacking, shown, before = landmarks(), 0, set(), landmarks()
    for index in range(400):
        copy, levels = augment_mip.vary(image, LEVELS, 2, np.random.default_rng([3, index]), SPINE, slice(0, 1))
        assert (copy.shape, copy.dtype) == (image.shape, np.float32)
        assert 0 <= copy.min() <= copy.max() <= 1
        lacking += np.isnan(levels[2])
        assert_followed(copy, levels, 1.0)
        shown.add(tuple(np.isfinite(levels)))
        if not np.isfinite(levels).any() and not copy[1].any():
            assert copy[0].max() < 0.6  # a field beside the spine
    np.testing.assert_array_equal(image, before)
    assert 0.15 < lacking / 400 < 0.25
    assert len(shown) >= 6


def test_the_same_generator_gives_the_same_copy():
    one, two = (augment_mip.vary(landmarks(), LEVELS, 2, np.random.default_rng([5, 8])) for _ in range(2))
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])


@settings(max_examples=80)
@given(st.integers(0, 2**32), st.lists(st.floats(0, 40) | st.just(float("nan")), min_size=1, max_size=5))
def test_small_images_and_absent_levels_are_varied_too(seed, levels):
    image = np.full((1, 41, 17), 0.4, np.float32)
    copy, moved = augment_mip.vary(image, np.array(levels), 0, np.random.default_rng(seed))
    assert np.isfinite(copy).all()
    assert np.isnan(moved[np.isnan(levels)]).all()
    assert np.nanmax(moved, initial=0) <= 40
