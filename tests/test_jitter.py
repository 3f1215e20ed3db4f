"""Varied radiographs for classification: Pillow's meaning of every change, signed noise, both ends of the angles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from helpers import jitter

SHAPES = st.sampled_from([(31, 24), (24, 31, 3)])
PILLOW = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "colour": ImageEnhance.Color,
    "sharpness": ImageEnhance.Sharpness,
}


def photograph(shape, seed=0):
    """8-bit grey values, smooth enough and with a few sharp edges."""
    rng = np.random.default_rng(seed)
    stored = rng.integers(0, 256, shape, dtype=np.uint8)
    stored[:, : shape[1] // 2] = stored[:, : shape[1] // 2] // 4 + 90
    return stored


@pytest.mark.parametrize("name", PILLOW)
@settings(max_examples=30)
@given(shape=SHAPES, factor=st.floats(0.5, 1.5), seed=st.integers(0, 99))
def test_a_change_is_that_of_pillow(name, shape, factor, seed):
    stored = photograph(shape, seed)
    image = stored.astype(np.float32) / 255
    pillow = np.asarray(PILLOW[name](Image.fromarray(stored)).enhance(factor), float)
    ours = getattr(jitter, name)(image, factor)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours * 255, pillow, atol=2.1)  # it rounds twice, or cuts what is behind the point


@pytest.mark.parametrize("name", PILLOW)
def test_a_factor_of_one_changes_nothing(name):
    for shape in ((9, 8), (9, 8, 3)):
        image = photograph(shape).astype(np.float32) / 255
        np.testing.assert_allclose(getattr(jitter, name)(image, 1.0), image, atol=1e-6)


@given(st.floats(0.5, 1.5), st.integers(0, 99))
def test_colour_does_exactly_nothing_to_grey(factor, seed):
    grey = np.random.default_rng(seed).random((12, 10), np.float32)
    np.testing.assert_array_equal(jitter.colour(grey, factor), grey)
    three = np.repeat(grey[..., None], 3, axis=2)
    np.testing.assert_array_equal(jitter.colour(three, factor), three)


def test_colour_moves_colours_to_and_from_grey_of_the_same_luminance():
    image = np.random.default_rng(0).uniform(0.3, 0.6, (8, 8, 3)).astype(np.float32)
    spread = [jitter.colour(image, factor).std(axis=2).mean() for factor in (0.0, 0.5, 1.0, 1.5)]
    assert spread == pytest.approx([0, 0.5 * spread[2], spread[2], 1.5 * spread[2]], abs=1e-6)
    np.testing.assert_allclose(jitter.luminance(jitter.colour(image, 0.5)), jitter.luminance(image), atol=1e-6)


@settings(max_examples=40)
@given(st.floats(-30, 30), st.sampled_from([(64, 64), (90, 111)]))
def test_a_landmark_turns_anticlockwise_about_the_middle(degrees, shape):
    rows, columns = np.indices(shape)
    middle = (np.array(shape) - 1) / 2
    place = middle + (-9, 14)
    image = np.exp(-((rows - place[0]) ** 2 + (columns - place[1]) ** 2) / 8).astype(np.float32)
    turned = jitter.rotate(image, degrees)
    found = [np.average(part, weights=turned) for part in (rows, columns)]
    angle = np.radians(degrees)
    up, right = 9 * np.cos(angle) + 14 * np.sin(angle), 14 * np.cos(angle) - 9 * np.sin(angle)
    np.testing.assert_allclose(found, middle + (-up, right), atol=0.1)


def test_the_angle_turns_the_way_pillow_does_and_leaves_no_black_corner():
    image = np.full((40, 40), 0.6, np.float32)
    image[5:15, 25:35] = 0.9
    ours = jitter.rotate(image, 30)
    pillow = np.asarray(Image.fromarray(image).rotate(30, Image.Resampling.BILINEAR))
    np.testing.assert_allclose(ours[8:32, 8:32], pillow[8:32, 8:32], atol=0.1)
    assert ours.min() == pytest.approx(0.6)
    assert pillow.min() == 0
    colours = np.dstack([image, image / 2, image / 3])
    np.testing.assert_allclose(jitter.rotate(colours, 30)[..., 1], ours / 2, atol=1e-6)


def test_noise_has_its_size_and_sign_and_is_cut_at_both_ends():
    rng = np.random.default_rng(0)
    grey = jitter.add_noise(np.full((200, 200), 0.5, np.float32), 10 / 255, rng)
    assert (grey.mean(), grey.std()) == pytest.approx((0.5, 10 / 255), rel=0.02)
    black = jitter.add_noise(np.zeros((99, 99), np.float32), 10 / 255, rng)
    assert 0.4 < (black == 0).mean() < 0.6  # every second one went below
    assert black.max() < 0.25  # and none came out white
    white = jitter.add_noise(np.ones((99, 99), np.float32), 10 / 255, rng)
    assert 0.4 < (white == 1).mean() < 0.6
    assert white.min() > 0.75
    image = np.full((4, 4), 0.5, np.float32)
    np.testing.assert_array_equal(jitter.add_noise(image, 0.0, rng), image)


@settings(max_examples=150)
@given(st.integers(0, 2**32), SHAPES)
def test_the_mix_keeps_shape_type_and_range_and_repeats(seed, shape):
    image = photograph(shape, seed).astype(np.float32) / 255
    before = image.copy()
    varied, again = (jitter.vary(image, np.random.default_rng(seed)) for _ in range(2))
    assert (varied.shape, varied.dtype) == (image.shape, np.float32)
    assert 0 <= varied.min() <= varied.max() <= 1
    np.testing.assert_array_equal(varied, again)
    np.testing.assert_array_equal(image, before)
    assert not np.shares_memory(varied, image)


def test_each_change_comes_every_second_time_in_any_order_over_its_whole_range(monkeypatch):
    orders, amounts = (
        [],
        {name: [] for name in ("brightness", "contrast", "colour", "sharpness", "rotate", "add_noise")},
    )

    def noted(name):
        def change(image, amount, *others):
            orders[-1].append(name)
            amounts[name].append(amount)
            return image

        return change

    for name in amounts:
        monkeypatch.setattr(jitter, name, noted(name))
    rng, image, draws = np.random.default_rng(0), np.zeros((4, 4), np.float32), 4000
    for _ in range(draws):
        orders.append([])
        jitter.vary(image, rng, jitter.add_noise)
    for name, found in amounts.items():
        assert len(found) / draws == pytest.approx(0.5, abs=4 * (0.25 / draws) ** 0.5)
        low, high = {"rotate": (-30, 30), "add_noise": (0, 10 / 255)}.get(name, (0.5, 1.5))
        assert low <= min(found) < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < max(found) <= high
    full = [tuple(order) for order in orders if len(order) == 6]
    assert {order[0] for order in full} == {order[-1] for order in full} == set(amounts)
    assert len(set(full)) > 0.9 * len(full)  # of 720 orders
    both = [order.index("rotate") < order.index("add_noise") for order in orders if {"rotate", "add_noise"} <= {*order}]
    assert np.mean(both) == pytest.approx(0.5, abs=4 * (0.25 / len(both)) ** 0.5)


def test_other_shapes_and_types_are_refused():
    for wrong in (np.zeros((4, 4)), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.float32), np.zeros(4, "f4")):
        with pytest.raises(ValueError, match=r"a float32 image \[rows, columns\] or \[rows, columns, 3\] is expected"):
            jitter.vary(wrong, np.random.default_rng(0))
