"""Triplets: what they do is what they say, the chosen one is the best of the grid, and earns its place."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from helpers import overlap, triplets
from helpers.triplets import PLAIN, Triplet

LEVELS = [0.0, 0.1, 0.25, 0.3, 0.45, 0.5, 0.55, 0.65, 0.75, 0.85, 0.95, 1.0]
CASES = arrays.array_shapes(min_dims=3, max_dims=3, max_side=5).flatmap(
    lambda shape: st.tuples(
        arrays.arrays(np.float32, shape, elements=st.sampled_from(LEVELS).map(np.float32)), arrays.arrays(bool, shape)
    )
)


def planted(images=60, seed=0, alarm=0.75):
    """Air of 0.9 with a rim of 0.35 on a third of the images, and 6 pixels of a false alarm on all others."""
    rng = np.random.default_rng(seed)
    probabilities = rng.uniform(0, 0.15, (images, 32, 32)).astype(np.float32)
    truths = np.zeros((images, 32, 32), bool)
    for i in range(images):
        top, left = rng.integers(2, 14, 2)
        if i % 3 == 0:
            truths[i, top : top + 14, left : left + 14] = True
            probabilities[i][truths[i]] = 0.35
            probabilities[i, top + 3 : top + 11, left + 3 : left + 11] = 0.9
        else:
            probabilities[i, top : top + 2, left : left + 3] = alarm
    return probabilities, truths


def score(probabilities, truths, triplet):
    return overlap.dice(truths, triplets.apply(probabilities, triplet)).mean()


def test_a_triplet_does_what_it_says():
    images = np.array([[[0.8, 0.8, 0.4]], [[0.8, 0.7, 0.4]], [[0.6, 0.6, 0.6]]])
    found = triplets.apply(images, Triplet(top=0.7, area=2, bottom=0.3))
    assert found.dtype == bool
    assert found.tolist() == [[[True] * 3], [[False] * 3], [[False] * 3]]  # 0.7 does not exceed 0.7
    for image, mask in zip(images, found, strict=True):
        np.testing.assert_array_equal(triplets.apply(image, Triplet(0.7, 2, 0.3)), mask)


@given(CASES)
def test_the_plain_threshold_is_a_triplet(case):
    np.testing.assert_array_equal(triplets.apply(case[0], PLAIN), case[0] > 0.5)


@settings(max_examples=40, deadline=None)
@given(CASES, st.randoms(use_true_random=False))
def test_the_chosen_one_is_the_best_of_the_grid_in_any_order_of_the_images(case, random):
    probabilities, truths = case
    chosen = triplets.choose(probabilities, truths)
    size = truths[0].size
    areas = {max(1, int(np.ceil(share * size))) for share in triplets.SHARES}
    grid = itertools.product(triplets.TOPS, areas, triplets.BOTTOMS)
    every = [Triplet(*figures) for figures in grid if figures[2] <= figures[0]]
    assert PLAIN in every
    assert chosen in every
    best = max(score(probabilities, truths, triplet) for triplet in every)
    assert score(probabilities, truths, chosen) == pytest.approx(best, abs=1e-12)
    order = list(range(len(truths)))
    random.shuffle(order)
    assert triplets.choose(probabilities[order], truths[order]) == chosen


@pytest.mark.parametrize(
    ("alarm", "best"),
    [(0.75, Triplet(0.8, 1, 0.3)), (0.95, Triplet(0.5, 11, 0.3))],  # 11: the first beyond 6 pixels, 1 % of 32 x 32
    ids=["faint alarms", "small alarms"],
)
def test_a_plain_threshold_is_beaten_where_alarms_are_small_or_faint_and_rims_too(alarm, best):
    probabilities, truths = planted(alarm=alarm)
    assert score(probabilities, truths, PLAIN) < 0.25  # every healthy image has its alarm
    assert triplets.choose(probabilities, truths) == best
    assert score(probabilities, truths, best) == 1
    assert score(*planted(seed=1, alarm=alarm), best) == 1  # on others too
    for lesser in (Triplet(0.5, 1, best.bottom), Triplet(best.top, best.area, 0.5)):
        assert score(probabilities, truths, lesser) < 0.9


def test_what_a_plain_threshold_does_as_well_a_triplet_need_not_do():
    truths = planted()[1]
    assert triplets.choose(truths.astype(np.float32), truths) == PLAIN
    # a tie between 0.4 and 0.6 is decided for the lower
    probabilities = np.where(truths, 0.95, 0.55)
    assert triplets.choose(probabilities, truths) == Triplet(0.6, 1, 0.6)
    probabilities = np.where(truths, 0.45, 0.05)
    assert triplets.choose(probabilities, truths) == Triplet(0.4, 1, 0.4)


def test_the_least_area_grows_with_the_images():
    large = [array.repeat(4, axis=1).repeat(4, axis=2) for array in planted(alarm=0.95)]
    assert triplets.choose(*large) == Triplet(0.5, 164, 0.3)  # 1 % of 128 x 128 pixels


def test_a_tie_is_a_tie_in_every_order_of_the_images():
    """Images in pairs that swap their Dice between two bottoms: rounding on the way would prefer one of them."""
    rng = np.random.default_rng(0)
    probabilities, truths = np.zeros((200, 20, 22)), np.zeros((200, 20, 22), bool)
    truths.reshape(200, -1)[:, :20] = True
    for i in range(0, 200, 2):
        few = int(rng.choice([1, 2, 4, 5, 10]))
        many = int(rng.integers(few + 1, 21))
        first, second = probabilities.reshape(200, -1)[i : i + 2]
        first[:few], first[few:many] = 0.55, 0.45  # more of the truth below
        second[:many], second[20 : 20 + 20 * (many - few) // few] = 0.55, 0.45  # as much lost by what is wrong below
    upper, lower = (overlap.dice(truths, probabilities > bottom) for bottom in (0.5, 0.4))
    assert sorted(upper) == sorted(lower) != list(upper)
    for _ in range(20):
        order = rng.permutation(200)
        assert triplets.choose(probabilities[order], truths[order]) == PLAIN


@pytest.mark.parametrize("figures", [(0.3, 1, 0.5), (1.1, 1, 0.5), (0.5, 1, -0.1), (float("nan"), 1, 0.5)])
def test_a_triplet_has_its_order(figures):
    with pytest.raises(ValueError, match="0 <= bottom <= top <= 1"):
        Triplet(*figures)


@pytest.mark.parametrize("area", [0, -3, 2.5])
def test_an_area_is_a_whole_number_of_pixels(area):
    with pytest.raises(ValueError, match="whole number of pixels"):
        Triplet(0.5, area, 0.5)


def test_what_cannot_be_chosen_on_is_refused():
    some, none = np.zeros((2, 4, 4)), np.zeros((0, 4, 4))
    with pytest.raises(ValueError, match=r"the shape is \(0, 4, 4\)"):
        triplets.choose(none, none.astype(bool))
    with pytest.raises(ValueError, match="differ in shape"):
        triplets.choose(some, np.zeros((3, 4, 4), bool))
    with pytest.raises(ValueError, match="masks are bool"):
        triplets.choose(some, some)
    for wrong in (some - 2, some + 2, some * np.nan):
        with pytest.raises(ValueError, match="probabilities lie in"):
            triplets.choose(wrong, some.astype(bool))
        with pytest.raises(ValueError, match="probabilities lie in"):
            triplets.apply(wrong, PLAIN)
    with pytest.raises(ValueError, match="one probability a pixel"):
        triplets.apply(some[None], PLAIN)
