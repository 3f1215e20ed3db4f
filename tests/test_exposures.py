"""Exposures: denser is whiter, masks move with the picture, and nothing of the film itself is changed."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import exposures
from helpers.exposures import Look

PLAIN = Look(scatter=0.0)


def chest(pixels=64, blob=None):
    """A body with two lungs, and a dense square where `blob` says (top, left, size)."""
    attenuation = np.full((pixels, pixels), 3.0, np.float32)
    lungs = np.zeros_like(attenuation)
    part = pixels // 8
    for left in (part, 5 * part):
        lungs[part : 6 * part, left : left + 2 * part] = 100
    attenuation[lungs > 0] = 1.5
    if blob:
        top, left, size = blob
        attenuation[top : top + size, left : left + size] = 9
    return SimpleNamespace(attenuation=attenuation, lungs=lungs)


def expose(film, look, seed=0):
    return exposures.expose(film, look, np.random.default_rng(seed))


def test_what_is_denser_is_whiter():
    image = expose(chest(), PLAIN)
    lungs = chest().lungs > 0
    assert image[lungs].mean() < 0.4 < 0.6 < image[~lungs].mean()
    assert image.dtype == np.float32


def test_the_same_generator_gives_the_same_picture_and_the_film_stays_as_it_was():
    film = chest()
    before = film.attenuation.copy(), film.lungs.copy()
    look = exposures.random_look(np.random.default_rng(3))
    np.testing.assert_array_equal(expose(film, look), expose(film, look))
    np.testing.assert_array_equal(film.attenuation, before[0])
    np.testing.assert_array_equal(film.lungs, before[1])


@pytest.mark.parametrize("pixels", [48, 65, 192])
def test_every_look_gives_a_picture_of_the_films_size_between_black_and_white(pixels):
    for seed in range(30):
        image = expose(chest(pixels), exposures.random_look(np.random.default_rng(seed)), seed)
        assert image.shape == (pixels, pixels)
        assert image.dtype == np.float32
        assert np.isfinite(image).all()
        assert image.min() >= 0
        assert image.max() <= 1


def test_exposure_darkens_contrast_spreads_and_scatter_veils():
    film = chest()
    lungs = film.lungs > 0

    def difference(look):
        image = expose(film, look)
        return image[~lungs].mean() - image[lungs].mean()

    assert expose(film, replace(PLAIN, exposure=0.5)).mean() < expose(film, PLAIN).mean() - 0.05
    assert expose(film, replace(PLAIN, gamma=1.5)).mean() < expose(film, PLAIN).mean() - 0.05
    assert difference(replace(PLAIN, contrast=2.0)) > difference(PLAIN) + 0.05
    assert difference(replace(PLAIN, scatter=0.5)) < difference(PLAIN) - 0.05
    assert difference(replace(PLAIN, enhance=0.6)) > difference(PLAIN) + 0.02


def test_noise_is_strongest_where_few_rays_come_through():
    film = chest(192)
    noisy, clean = expose(film, replace(PLAIN, noise=0.02)), expose(film, PLAIN)
    # Back through the curve: as attenuation, the noise grows with the square root of what is lost.
    error = np.log(noisy / (1 - noisy)) - np.log(clean / (1 - clean))
    lungs = film.lungs > 0
    assert error[~lungs].std() / error[lungs].std() == pytest.approx(np.exp(1.5 / 2), rel=0.1)


def test_blur_takes_fine_detail_away():
    film = chest(128, blob=(60, 20, 2))
    sharp, soft = expose(film, PLAIN), expose(film, replace(PLAIN, blur=0.02))
    assert soft[60:62, 20:22].mean() < sharp[60:62, 20:22].mean() - 0.2


@settings(max_examples=40, deadline=None)
@given(
    zoom=st.floats(1.0, 1.6),
    down=st.floats(-0.15, 0.15),
    right=st.floats(-0.15, 0.15),
    top=st.integers(20, 60),
    left=st.integers(20, 60),
    margin=st.floats(0, 0.15),
)
def test_a_mask_moves_with_what_it_marks(zoom, down, right, top, left, margin):
    film = chest(96, blob=(top, left, 14))
    look = replace(PLAIN, zoom=zoom, shift=(down, right), margins=(margin, 0.0, 0.0, margin))
    moved = exposures.place(film.attenuation > 5, look)
    white = expose(film, look) > 0.99
    assert moved.dtype == bool
    # Half a pixel at each rim, where the picture is blended and the mask is not.
    assert (moved ^ white).sum() <= 2 * 14 * zoom * 2 + 4
    assert (moved & white).sum() >= moved.sum() * 0.75


def test_nothing_lies_under_the_collimator():
    look = replace(PLAIN, margins=(0.1, 0.2, 0.05, 0.0), shade=1.0)
    seen = exposures.place(np.ones((100, 100), bool), look)
    assert np.argwhere(seen).min(0).tolist() == [10, 20]
    assert np.argwhere(seen).max(0).tolist() == [94, 99]
    assert (expose(chest(100), look)[~seen] == 1).all()


@pytest.mark.parametrize("row", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("column", [0.0, 0.5, 1.0])
def test_a_marker_is_white_where_it_was_put_and_always_in_the_picture(row, column):
    plain = expose(chest(128), PLAIN)
    marked = expose(chest(128), replace(PLAIN, marker="R", marker_at=(row, column), marker_size=0.08))
    new = np.argwhere(marked != plain)
    assert marked[marked != plain].max() == 1
    middle = new.mean(0) / 128
    assert np.abs(middle - (row, column)).max() < 0.09
    assert np.ptp(new[:, 0]) == pytest.approx(0.08 * 128, abs=3.5)


def test_small_print_is_drawn():
    plain, printed = (expose(chest(192), replace(PLAIN, note=note)) for note in ("", "PORTABLE"))
    where = np.argwhere(plain != printed)
    assert len(where) > 40
    assert where[:, 0].min() > 0.9 * 192


def test_looks_are_as_wide_as_their_habits():
    looks = [exposures.random_look(np.random.default_rng(seed)) for seed in range(200)]
    for name in ("exposure", "contrast", "gamma", "scatter", "blur", "noise", "enhance", "zoom"):
        low, high = getattr(exposures.ANYWHERE, name)
        drawn = np.array([getattr(look, name) for look in looks])
        assert drawn.min() >= low
        assert drawn.max() <= high
        assert np.ptp(drawn) > 0.8 * (high - low)
    assert {look.marker for look in looks} == set(exposures.ANYWHERE.markers)


def test_the_crop_never_leaves_the_film():
    for seed in range(200):
        look = exposures.random_look(np.random.default_rng(seed))
        assert max(map(abs, look.shift)) <= (1 - 1 / look.zoom) / 2 + 1e-12
