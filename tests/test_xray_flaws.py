"""The X-ray tutorial's mistakes: known answers, and what must hold for any image, split and figures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from helpers import xray_flaws

IMAGES = arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def test_near_black_turns_white_and_near_white_black():
    image, noise = np.array([2, 250, 0, 255, 128], np.uint8), np.array([-3, 10, 0, 0, -128])
    assert xray_flaws.add_wrapped(image, noise).tolist() == [255, 4, 0, 255, 0]
    with np.errstate(over="ignore"):  # what uint8 itself does, which is what the tutorial relies on
        assert (image + noise.astype(np.uint8)).tolist() == [255, 4, 0, 255, 0]
    with pytest.raises(ValueError, match="this one is float32"):
        xray_flaws.add_wrapped(image.astype(np.float32), noise)


@given(IMAGES, st.floats(0, 10), st.integers(0, 99))
def test_the_two_ways_differ_exactly_where_a_pixel_wrapped(image, sigma, seed):
    noisy = xray_flaws.wrapped_noise(image, sigma, seed)
    wrong, right = noisy.wrong.astype(int), noisy.right.astype(int)
    assert (noisy.wrong.dtype, noisy.wrong.shape) == (noisy.right.dtype, noisy.right.shape) == (np.uint8, image.shape)
    assert noisy.white == ((wrong != right) & (wrong > 128)).mean()
    assert noisy.black == ((wrong != right) & (wrong < 128)).mean()
    assert not ((wrong != right) & (right != 0) & (right != 255)).any()
    assert noisy.wrong_change == abs(wrong - image).mean() >= noisy.right_change == abs(right - image).mean()


def test_half_of_black_turns_white_and_grey_takes_no_harm():
    black = xray_flaws.wrapped_noise(np.zeros((200, 200), np.uint8))
    assert black.white == pytest.approx(0.48, abs=0.01)  # half, but for what rounds to 0
    assert black.black == 0
    assert black.wrong_change > 25 * black.right_change
    grey = xray_flaws.wrapped_noise(np.full((200, 200), 128, np.uint8))
    np.testing.assert_array_equal(grey.wrong, grey.right)
    assert grey.right.std() == pytest.approx(10, rel=0.03)
    assert str(grey).startswith("0.0 % of the pixels turn from black to white, 0.0 % from white to black; the mean")
    with pytest.raises(ValueError, match="this one has none"):
        xray_flaws.wrapped_noise(np.zeros((0, 4), np.uint8))


def test_the_angle_of_thirty_is_never_drawn_and_the_mean_is_half_a_degree_off():
    angles = xray_flaws.angles(seed=3)
    assert angles.published[:2] == (-30, 29)
    assert angles.meant[:2] == (-30, 30)
    assert angles.published[2] == pytest.approx(-0.5, abs=0.25)
    assert angles.meant[2] == pytest.approx(0, abs=0.25)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2)), min_size=1, max_size=40), st.integers(0, 99))
def test_copies_that_straddle_are_counted_in_any_split(rows, seed):
    groups, labels = np.array(rows).T
    found = xray_flaws.straddling(groups, labels, seed, share=0.3)
    assert found == xray_flaws.straddling(groups, labels, seed, share=0.3)
    sizes = np.unique(labels, return_counts=True)[1]
    assert found.images == len(rows)
    assert found.test == sum(max(1, int(size * 0.3)) for size in sizes)
    alone = np.unique(groups, return_counts=True)[1] == 1
    assert found.copied <= min(found.test, len(rows) - alone.sum())


def test_without_copies_none_straddle_and_with_one_group_all_do():
    labels = np.repeat([0, 1, 2], 50)
    assert xray_flaws.straddling(np.arange(150), labels) == (150, 15, 0)
    assert xray_flaws.straddling(np.zeros(150), labels) == (150, 15, 15)
    with pytest.raises(ValueError, match="one group and one label an image"):
        xray_flaws.straddling(np.arange(3), labels)


def test_of_images_in_pairs_nearly_all_test_images_have_their_copy_in_training():
    copied = [xray_flaws.straddling(np.arange(200) // 2, np.zeros(200), seed).copied for seed in range(40)]
    # one of 20 test images has its copy in training unless that is one of the other 19 of 199
    assert np.mean(copied) == pytest.approx(20 * (1 - 19 / 199), abs=1)
    assert len(set(copied)) > 2  # another order, another count


@given(arrays(float, st.integers(1, 60), elements=st.floats(0, 5)), st.integers(1, 70))
def test_batches_weigh_alike_whatever_their_size(values, batch):
    found = xray_flaws.mean_of_batches(values, batch)
    assert found.mean == pytest.approx(values.mean())
    if len(values) % batch == 0 or batch > len(values):
        assert found.of_batches == pytest.approx(found.mean)
    else:
        whole, rest = values[: len(values) // batch * batch], values[len(values) // batch * batch :]
        count = len(whole) // batch
        assert found.of_batches == pytest.approx((count * whole.mean() + rest.mean()) / (count + 1))


def test_a_mean_of_nothing_is_refused():
    for values, batch in (([], 4), ([1.0], 0)):
        with pytest.raises(ValueError, match=f"found {len(values)} in batches of {batch}"):
            xray_flaws.mean_of_batches(values, batch)
