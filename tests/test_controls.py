"""Controls: the lungs are gone, the rest stays, and the histogram's rule never sees the test images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import controls

SHARES = st.tuples(st.floats(0, 0.9), st.floats(0.02, 1)).map(lambda pair: (pair[0], min(1.0, pair[0] + pair[1])))


def images(count=3, rows=20, columns=24, seed=0):
    return np.random.default_rng(seed).uniform(0.1, 1, (count, rows, columns)).astype(np.float32)


def test_borders_keep_the_frame_and_nothing_else():
    before = images()
    original = before.copy()
    after = controls.borders_only(before, 0.1)
    inside = np.zeros((20, 24), bool)
    inside[2:18, 2:22] = True
    assert (after[:, inside] == controls.BLANK).all()
    assert np.array_equal(after[:, ~inside], before[:, ~inside])
    assert np.array_equal(before, original)
    assert after.dtype == np.float32


@pytest.mark.parametrize("margin", [0, -0.1, 0.5, 1])
def test_a_margin_must_leave_a_frame_and_an_inside(margin):
    with pytest.raises(ValueError, match="between 0 and"):
        controls.borders_only(images(), margin)


@given(SHARES, SHARES)
def test_a_box_is_blanked_wholly_and_nothing_beyond_the_pixels_it_touches(down, across):
    before = images(1)
    after = controls.blank_boxes(before, (down[0], across[0], down[1], across[1]))[0]
    for axis, (low, high), size in ((0, down, 20), (1, across, 24)):
        other = (np.arange(after.shape[1 - axis]) + 0.5) / after.shape[1 - axis]
        crossed = (other > (across, down)[axis][0]) & (other < (across, down)[axis][1])
        centres = (np.arange(size) + 0.5) / size
        lines = np.moveaxis(after, axis, 0)
        if crossed.any():
            assert (lines[(centres > low) & (centres < high)][:, crossed] == controls.BLANK).all()
        far = (centres < low - 1 / size) | (centres > high + 1 / size)
        assert (lines[far] > 0).all()


def test_each_image_has_its_own_box_or_all_have_one():
    before = images(2)
    own = controls.blank_boxes(before, np.array([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]]))
    assert (own[0, :10, :12] == 0).all()
    assert (own[1, 10:, 12:] == 0).all()
    assert np.array_equal(own[0, 10:], before[0, 10:])
    assert np.array_equal(own[1, :10], before[1, :10])
    one = controls.blank_boxes(before)
    assert np.array_equal(one[0] == 0, one[1] == 0)
    assert 0.5 < np.mean(one[0] == 0) < 0.8


@pytest.mark.parametrize("box", [(0.5, 0, 0.5, 1), (0, 0, 1, 1.1), (-0.1, 0, 1, 1), (0, np.nan, 1, 1)])
def test_what_is_no_box_is_refused(box):
    with pytest.raises(ValueError, match="top < bottom"):
        controls.blank_boxes(images(), box)


def test_there_must_be_a_box_for_each_image():
    with pytest.raises(ValueError, match=r"3 images need .* but found \(2, 4\)"):
        controls.blank_boxes(images(3), np.tile(controls.LUNGS, (2, 1)))


@given(st.integers(0, 99), st.integers(1, 32))
def test_a_histogram_counts_every_pixel_once_wherever_it_lies(seed, bins):
    before = images(2, seed=seed)
    features = controls.histogram_features(before, bins)
    assert features.shape == (2, bins)
    assert features.sum(1) == pytest.approx(1, abs=1e-5)
    moved = np.random.default_rng(seed).permutation(before.reshape(2, -1), axis=1).reshape(before.shape)
    assert np.array_equal(controls.histogram_features(moved, bins), features)
    expected = [np.histogram(np.minimum(image.astype(float), 1), bins, (0, 1))[0] / 480 for image in before]
    assert np.abs(features - expected).sum() < 0.02  # an edge may round to either side


def test_the_rule_reads_hospitals_from_grey_and_nothing_where_there_is_nothing():
    rng = np.random.default_rng(2)
    labels = np.arange(120) % 3
    plain = rng.random((120, 16, 16)).astype(np.float32)
    habits = plain ** np.array([0.6, 1.0, 1.6])[labels][:, None, None]
    train, test = np.arange(80), np.arange(80, 120)
    for pictures, least, most in ((habits.astype(np.float32), 0.9, 1.0), (plain, 0.1, 0.6)):
        found = controls.histogram_rule(pictures, labels, train, test)
        assert found.sum(1) == pytest.approx(1)
        assert least <= np.mean(found.argmax(1) == labels[test]) <= most


def test_the_rule_learns_from_the_training_images_only():
    labels = np.arange(60) % 2
    pictures = images(60)
    train, test = np.arange(30), np.arange(30, 60)
    one = controls.histogram_rule(pictures, labels, train, test)
    changed, others = pictures.copy(), labels.copy()
    changed[31:], others[30:] = 0.9, 1 - labels[30:]
    again = controls.histogram_rule(changed, others, train, test)
    assert np.array_equal(one[0], again[0])


def test_a_class_without_training_images_is_never_called():
    labels = np.array([0, 2] * 10 + [1])
    found = controls.histogram_rule(images(21), labels, np.arange(20), np.array([20]))
    assert found.shape == (1, 3)
    assert found[0, 1] == 0
    assert found.sum() == pytest.approx(1)
    with pytest.raises(ValueError, match=r"all are of class \[0\]"):
        controls.histogram_rule(images(4), np.array([0, 0, 1, 1]), np.array([0, 1]), np.array([2]))
