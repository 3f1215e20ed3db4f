"""Varied radiographs: whatever the image does, its mask does too, and nothing folds, tears or leaves its range."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import warps

SIDE = 256
SEEDS = st.integers(0, 2**32)
BENDS = {
    "elastic": lambda image, mask, seed: warps.elastic(image, mask, np.random.default_rng(seed)),
    "grid": lambda image, mask, seed: warps.grid(image, mask, np.random.default_rng(seed)),
    "optical": lambda image, mask, seed: warps.optical(
        image, mask, np.random.default_rng(seed).uniform(-warps.BEND, warps.BEND)
    ),
    "crop": lambda image, mask, seed: warps.crop(image, mask, *np.random.default_rng(seed).uniform((0.61, 0, 0), 1)),
    "flip": lambda image, mask, seed: warps.flip(image, mask),
}
PLACES = st.tuples(st.integers(32, SIDE - 33), st.integers(32, SIDE - 33))  # nearer to the border they are mirrored


def dot(row, column, shape=(SIDE, SIDE)):
    """A bright dot and its mask, both round about the same place."""
    rows, columns = np.indices(shape)
    far = np.hypot(rows - row, columns - column)
    return np.clip(3 - far, 0, 1).astype(np.float32), far < 2.5


def ramps(shape=(SIDE, SIDE)):
    """Two images that hold the row and the column of every pixel, from 0 to 1."""
    rows, columns = np.indices(shape).astype(np.float32)
    return rows / (shape[0] - 1), columns / (shape[1] - 1)


def came_from(change, seed, shape=(SIDE, SIDE)):
    """Row and column where each pixel of a changed image was, read from images that hold them."""
    return [change(ramp, ramp > 2, seed)[0] * (length - 1) for ramp, length in zip(ramps(shape), shape, strict=True)]


def centre(weights):
    return np.array([np.average(part, weights=weights) for part in np.indices(weights.shape)])


@pytest.mark.parametrize("change", BENDS.values(), ids=BENDS)
@settings(max_examples=40)
@given(seed=SEEDS, place=PLACES)
def test_a_landmark_and_its_mask_end_where_the_change_takes_them(change, seed, place):
    image, mask = change(*dot(*place), seed)
    assert (image.shape, image.dtype, mask.shape, mask.dtype) == ((SIDE, SIDE), np.float32, (SIDE, SIDE), bool)
    rows, columns = came_from(change, seed)
    away = np.hypot(rows - place[0], columns - place[1])
    if away.min() > 0.8:  # cut off, or pushed out
        return
    nearest = np.unravel_index(away.argmin(), away.shape)
    slopes = [[slope[nearest] for slope in np.gradient(part)] for part in (rows, columns)]
    expected = nearest + np.linalg.solve(slopes, np.subtract(place, (rows[nearest], columns[nearest])))
    if expected.min() < 6 or expected.max() > SIDE - 7:  # half of the dot is beyond the border
        return
    assert abs(centre(image) - expected).max() < 1
    assert abs(centre(mask) - expected).max() < 1


@pytest.mark.parametrize("change", BENDS.values(), ids=BENDS)
@settings(max_examples=25)
@given(seed=SEEDS)
def test_the_mask_covers_the_same_pixels_of_the_image(change, seed):
    """On the image of a mask, also where both are mirrored: they agree but for the pixels of the edge."""
    soft = np.add(*np.sin(np.indices((80, 112)) / 7)) > 0.4
    image, mask = change(soft.astype(np.float32), soft, seed)
    assert not (image[mask] < 0.25).any()
    assert not (image[~mask] > 0.75).any()


@settings(max_examples=25)
@given(seed=SEEDS, places=st.lists(PLACES, min_size=2, max_size=5))
def test_several_landmarks_follow_the_whole_mix(seed, places):
    for place in places:  # one at a time, for the same draws
        image, mask = warps.vary(*dot(*place), np.random.default_rng(seed))
        edge = np.concatenate([mask[[0, -1]].ravel(), mask[:, [0, -1]].ravel()])
        if mask.sum() > 20 and not edge.any():
            bright = np.clip((image - np.median(image)) / (image.max() - np.median(image)), 0, 1)
            np.testing.assert_allclose(centre(bright), centre(mask), atol=1.0)


@pytest.mark.parametrize("shape", [(64, 64), (128, 128), (60, 90)])
def test_nothing_folds(shape):
    for name in ("elastic", "grid", "optical", "crop"):
        for seed in range(12):
            rows, columns = came_from(BENDS[name], seed, shape)
            (down, across), (skew_down, skew_across) = np.gradient(rows), np.gradient(columns)
            inside = (slice(12, -12), slice(12, -12))  # what is mirrored there runs backwards
            assert (down * skew_across - across * skew_down)[inside].min() > 0, (name, seed)


def test_a_lens_that_would_fold_is_refused():
    image = np.zeros((9, 9), np.float32)
    for coefficient in (-2.0, warps.FOLD):
        with pytest.raises(ValueError, match=f"but {coefficient} would fold the image"):
            warps.optical(image, image > 0, coefficient)
    # just above, the diagonal still runs on, up to the very corner
    place = np.linspace(0, 0.5**0.5, 1000)
    for coefficient, folds in ((warps.FOLD + 0.001, False), (warps.FOLD - 0.01, True)):
        assert (np.diff(place * (1 + coefficient * place**2 * (1 + place**2))) < 0).any() == folds


@pytest.mark.parametrize("coefficient", [-0.3, 0.0, 0.25])
def test_a_lens_reads_from_where_its_formula_says(coefficient):
    rows, columns = came_from(lambda image, mask, seed: warps.optical(image, mask, coefficient), 0)
    x, y = 20 - 127.5, 60 - 127.5  # from the middle
    far = np.hypot(x, y) / SIDE
    pull = 1 + coefficient * (far**2 + far**4)
    assert (columns[60, 20], rows[60, 20]) == pytest.approx((127.5 + x * pull, 127.5 + y * pull), abs=0.05)


@pytest.mark.parametrize("side", [64, 128, 256])
def test_rubber_moves_pixels_by_the_same_share_of_the_side(side, monkeypatch):
    monkeypatch.setattr(warps, "AFFINE", 0)  # the pulls alone
    moved = []
    for seed in range(8):
        _, columns = came_from(BENDS["elastic"], seed, (side, side))
        moved.append((columns - np.arange(side))[8:-8, 8:-8].std() / side)
    uniform, smoothed = 3**-0.5, 1 / (2 * np.pi**0.5 * warps.SIGMA)
    assert np.mean(moved) == pytest.approx(warps.ALPHA * uniform * smoothed / 256, rel=0.12)


def test_a_grid_keeps_the_edges_and_its_tiles_stay_within_their_limits():
    narrowest, widest = [], []
    for seed in range(200):
        _, columns = came_from(BENDS["grid"], seed, (11, 101))
        assert columns[5, [0, -1]] == pytest.approx([0, 100], abs=1e-4)
        widths = columns[5, 20::20] - columns[5, :-20:20]
        narrowest.append(widths.min() / widths.mean())
        widest.append(widths.max() / widths.min())
    assert min(narrowest) < 0.75
    assert 1.5 < max(widest) < 1.3 / 0.7 + 0.05


def test_a_crop_enlarges_exactly_its_part():
    image = np.zeros((40, 60), np.float32)
    image[20:, 30:] = 1
    whole = warps.crop(image, image > 0, 0.5, 1.0, 1.0)
    assert whole[0][1:, 1:].min() == 1  # the first row and column are blended with what lies beside the part
    assert whole[1].all()
    part = warps.crop(image, image > 0, 0.5, 0.5, 0.5)[1]
    np.testing.assert_array_equal(part, image > 0)  # about the corner in the middle, which stays there
    for right in (0.0, 0.3, 1.0):
        np.testing.assert_array_equal(warps.crop(image, image > 0, 1.0, 0.5, right)[0], image)
    for wrong in ((0, 0, 0), (1.2, 0, 0), (0.7, -0.1, 0), (0.7, 0, 1.1)):
        with pytest.raises(ValueError, match="shares between 0 and 1 are expected"):
            warps.crop(image, image > 0, *wrong)


def test_tones_are_what_they_say():
    image = np.array([[0.1, 0.5], [0.6, 0.8]], np.float32)
    assert warps.contrast(image, 0.8).mean() == pytest.approx(image.mean())
    assert warps.contrast(image, 0.8).std() == pytest.approx(0.8 * image.std())
    np.testing.assert_allclose(warps.brightness(image, -0.2), [[0, 0.3], [0.4, 0.6]], atol=1e-6)
    np.testing.assert_allclose(warps.gamma(image, 1.2), image**1.2, rtol=1e-5)
    for changed in (warps.contrast(image, 3), warps.gamma(image, 0.8), warps.brightness(image, 0.2)):
        assert changed.dtype == np.float32
        assert 0 <= changed.min() <= changed.max() <= 1


@settings(max_examples=100)
@given(SEEDS, st.integers(17, 70), st.integers(17, 70))
def test_the_mix_keeps_range_type_and_emptiness_and_repeats(seed, rows, columns):
    image = np.random.default_rng(seed).random((rows, columns), np.float32)
    before = image.copy()
    copies = [warps.vary(image, np.zeros(image.shape, bool), np.random.default_rng(seed)) for _ in range(2)]
    varied, mask = copies[0]
    assert (varied.shape, varied.dtype, mask.dtype) == (image.shape, np.float32, bool)
    assert 0 <= varied.min() <= varied.max() <= 1
    assert not mask.any()
    assert warps.vary(image, np.ones(image.shape, bool), np.random.default_rng(seed))[1].all()
    np.testing.assert_array_equal(varied, copies[1][0])
    np.testing.assert_array_equal(image, before)
    assert not np.shares_memory(varied, image)


def test_each_change_comes_as_often_as_published(monkeypatch):
    counts = dict.fromkeys(("flip", "contrast", "gamma", "brightness", "elastic", "grid", "optical", "crop"), 0)

    def counted(name):
        def change(image, *others):
            counts[name] += 1
            return image if name in ("contrast", "gamma", "brightness") else (image, others[0])

        return change

    for name in counts:
        monkeypatch.setattr(warps, name, counted(name))
    rng, image, draws = np.random.default_rng(0), np.zeros((4, 4), np.float32), 6000
    for _ in range(draws):
        warps.vary(image, image > 0, rng)
    published = {"flip": 0.5, "crop": 0.25} | dict.fromkeys(set(counts) - {"flip", "crop"}, 0.1)
    for name, share in published.items():
        assert counts[name] / draws == pytest.approx(share, abs=4 * (share * (1 - share) / draws) ** 0.5), name


def test_other_shapes_and_types_are_refused():
    image, mask = np.zeros((8, 8), np.float32), np.zeros((8, 8), bool)
    for wrong in ((image, mask[:7]), (image.astype(float), mask), (image, mask.astype(np.uint8)), (image[None], mask)):
        with pytest.raises(ValueError, match=r"a float32 image \[rows, columns\] and a bool mask alike are expected"):
            warps.vary(*wrong, np.random.default_rng(0))
