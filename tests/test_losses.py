"""The loss of notebook 03: its formula, over cases and not batches, and where numbers get large or masks empty."""

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from helpers.losses import bce_dice


def by_hand(logits, target):
    """The same in float64, image by image."""
    losses = []
    for x, y in zip(np.float64(logits), np.float64(target), strict=True):
        found = 1 / (1 + np.exp(-x))
        entropy = -(y * np.log(found) + (1 - y) * np.log(1 - found)).mean()
        dice = (2 * (found * y).sum() + 1) / (found.sum() + y.sum() + 1)
        losses.append(entropy + (1 - dice) * y.any())
    return losses


def loss(logits, target):
    return bce_dice(paddle.to_tensor(np.float32(logits)), paddle.to_tensor(np.float32(target))).item()


def masks(cases, seed=0, shape=(1, 12, 10)):
    """Logits, and masks of very different areas: the first is empty, the last is full."""
    rng = np.random.default_rng(seed)
    shares = np.linspace(0, 1, cases).reshape([-1, *[1] * len(shape)])
    return rng.normal(0, 2, (cases, *shape)), rng.random((cases, *shape)) < shares


@settings(deadline=None)
@given(array_shapes(min_dims=4, max_dims=4, max_side=5).flatmap(lambda s: arrays("bool", s)), st.integers(0, 99))
def test_it_is_the_mean_over_images_of_what_the_formula_says(target, seed):
    logits = np.random.default_rng(seed).normal(0, 3, target.shape)
    assert loss(logits, target) == pytest.approx(np.mean(by_hand(logits, target)), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("sizes", [(1, 6), (3, 4), (2, 2, 3), (1,) * 7])
def test_over_all_cases_it_is_the_mean_over_batches_weighed_by_their_size(sizes):
    """A Dice pooled over the batch, as published, is not: what a case costs then depends on its neighbours."""
    logits, target = masks(7)
    ends = np.cumsum(sizes)
    parts = [loss(logits[end - size : end], target[end - size : end]) for size, end in zip(sizes, ends, strict=True)]
    assert np.average(parts, weights=sizes) == pytest.approx(loss(logits, target), rel=1e-5)


def test_a_right_mask_costs_nothing_and_a_wrong_one_much():
    for share in (0, 0.3, 1):
        target = np.random.default_rng(0).random((2, 1, 16, 16)) < share
        sure = 30.0 * (2 * target - 1)
        assert loss(sure, target) == pytest.approx(0, abs=1e-5)
        assert loss(-sure, target) > 29


def test_an_empty_mask_found_empty_costs_nothing_whatever_the_size():
    for side in (4, 64, 256):
        empty = np.zeros((1, 1, side, side))
        assert loss(empty - 30, empty) < 1e-5
        assert loss(empty + 30, empty) > 29


def test_faint_doubt_on_a_healthy_image_costs_little_and_no_more_on_a_large_one():
    """With a Dice of the healthy images it would cost nearly 1, and to answer nothing would be the easiest way out."""
    costs = [loss(np.full((1, 1, side, side), -5.0), np.zeros((1, 1, side, side))) for side in (8, 64, 256)]
    assert costs == pytest.approx([np.log1p(np.exp(-5.0))] * 3, rel=1e-3)


@pytest.mark.parametrize("size", [1e2, 1e4, 1e30])
@pytest.mark.parametrize("kind", ["empty", "mixed", "full"])
def test_loss_and_slope_stay_finite(size, kind):
    _, target = masks(3)
    target = {"empty": 0 * target, "mixed": target, "full": 0 * target + 1}[kind].astype("float32")
    for sign in (-1, 1):
        logits = paddle.full(target.shape, sign * size)
        logits.stop_gradient = False
        found = bce_dice(logits, paddle.to_tensor(target))
        found.backward()
        assert np.isfinite(found.item())
        assert np.isfinite(logits.grad.numpy()).all()


def test_the_slope_is_that_of_the_formula():
    logits, target = masks(4, shape=(1, 3, 4))
    asked = paddle.to_tensor(np.float32(logits))
    asked.stop_gradient = False
    bce_dice(asked, paddle.to_tensor(np.float32(target))).backward()
    wanted, step = np.zeros(logits.shape), 1e-5
    for index in np.ndindex(logits.shape):
        nudge = np.zeros(logits.shape)
        nudge[index] = step
        wanted[index] = (np.mean(by_hand(logits + nudge, target)) - np.mean(by_hand(logits - nudge, target))) / step / 2
    assert asked.grad.numpy() == pytest.approx(wanted, abs=1e-5)
    assert ((wanted < 0) == target).all()  # down the slope lies the mask, be it empty, full or in between


def test_a_small_mask_counts_as_much_as_a_large_one():
    """The share of an image's loss that is Dice: missing four pixels entirely costs as much as missing four hundred."""
    costs = []
    for side in (2, 20):
        target = np.zeros((1, 1, 64, 64))
        target[..., :side, :side] = 1
        logits = np.full(target.shape, -20.0)
        costs.append(loss(logits, target) - 20 * target.mean())  # without the cross-entropy
    assert costs == pytest.approx([1 - 1 / 5, 1 - 1 / 401], abs=1e-3)


def test_masks_of_another_shape_are_refused_not_stretched():
    with pytest.raises(ValueError, match=r"the shape of the answers, \[2, 1, 4, 4\], but have \[2, 4, 4\]"):
        bce_dice(paddle.zeros([2, 1, 4, 4]), paddle.zeros([2, 4, 4]))
