"""The projected chest: every organ on its side, physics in range, changes in 3-D seen, the same person on each film."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from helpers import anatomy, films
from helpers.films import draw_film

PIXELS = 96


def chest_of(seed):
    return anatomy.sample_thorax(np.random.default_rng(seed))


def draw(seed, change=None, pixels=PIXELS):
    return draw_film(chest_of(seed), pixels, change, np.random.default_rng([seed, 1]))


@pytest.fixture(scope="module", params=range(6))
def film(request):
    return draw(request.param)[0]


def test_the_right_lung_is_on_the_pictures_left(film):
    columns = [np.nonzero(film.sides == films.SIDES[side])[1].mean() for side in ("right", "left")]
    assert columns[0] < PIXELS / 2 - 10 < PIXELS / 2 + 10 < columns[1]


def test_two_lungs_of_like_size_fill_a_fair_part_of_the_film(film):
    shares = [np.mean(film.sides == side) for side in (1, 2)]
    assert 0.25 < sum(shares) < 0.6
    assert 0.55 < shares[1] / shares[0] < 1.2  # the heart takes from the left


def test_attenuation_is_that_of_a_chest(film):
    lungs, top, bottom = film.attenuation[film.sides > 0], film.attenuation[:2], film.attenuation[-4:]
    assert 1.2 < np.median(lungs) < 3.2
    assert np.median(bottom[:, PIXELS // 4 : -PIXELS // 4]) > np.median(lungs) + 1
    assert film.attenuation.min() >= -0.05
    assert top.max() < 8


def test_the_heart_lies_to_the_patients_left(film):
    rows = slice(int(film.landmarks["left hilum"][0]), int(film.landmarks["left hilum"][0] + 0.2 * PIXELS))
    middle = round(np.mean([film.landmarks[f"{side} hilum"][1] for side in films.SIDES]))
    right, left = film.lungs[rows, middle - 24 : middle], film.lungs[rows, middle : middle + 24]
    assert left.sum() < 0.92 * right.sum()


def test_vessels_are_part_of_the_attenuation_and_lie_in_the_lungs(film):
    assert (film.vessels >= 0).all()
    assert film.vessels[film.lungs == 0].max() < 0.02
    assert film.vessels[film.sides > 0].mean() > 0.01
    assert (film.attenuation - film.vessels > -0.05).all()


def test_landmarks_lie_where_their_names_say(film):
    for side, number in films.SIDES.items():
        row, column = film.landmarks[f"{side} hilum"]
        rows, columns = np.nonzero(film.sides == number)
        assert rows.min() < row < rows.max()
        assert abs(column - PIXELS / 2) < np.abs(columns - PIXELS / 2).mean()
        apex = film.landmarks[f"{side} apex"]
        assert np.hypot(apex[0] - rows, apex[1] - columns).min() < 0.06 * PIXELS


def test_the_same_chest_and_seed_give_the_same_film():
    one, other, third = draw(1)[0], draw(1)[0], draw_film(chest_of(1), PIXELS, None, np.random.default_rng(9))[0]
    assert one.attenuation.tobytes() == other.attenuation.tobytes()
    assert one.attenuation.tobytes() != third.attenuation.tobytes()
    assert ("left breast" in one.landmarks) == ("left breast" in third.landmarks)  # the same person


def test_a_finer_film_shows_the_same_chest():
    coarse, fine = draw(2)[0], draw(2, pixels=4 * PIXELS)[0]
    shrunk = cv2.resize(fine.attenuation, (PIXELS, PIXELS), interpolation=cv2.INTER_AREA)
    assert np.corrcoef(shrunk.ravel(), coarse.attenuation.ravel())[0, 1] > 0.99
    assert fine.spacing[0] == pytest.approx(coarse.spacing[0] / 4)


def test_a_change_in_the_chest_is_seen_on_its_side_alone():
    def drown(drawing, rng):
        right = (drawing.lungs > 0.5) & (drawing.patient[0] > 30)
        drawing.hu[right] = 0.0
        return "drowned"

    healthy, ill = draw(3)[0], draw(3, drown)
    assert ill[1] == "drowned"
    rise = ill[0].attenuation - healthy.attenuation
    assert np.median(rise[healthy.sides == 1]) > 1
    assert np.median(np.abs(rise[healthy.sides == 2])) < 0.01


def test_no_vessels_are_drawn_where_a_change_took_the_lung():
    def take_left(drawing, rng):
        drawing.lungs[drawing.patient[0] < 0] = 0

    healthy, ill = draw(4)[0], draw(4, take_left)[0]
    assert ill.vessels[healthy.sides == 2].sum() < 0.01 * healthy.vessels[healthy.sides == 2].sum()
    assert ill.vessels[healthy.sides == 1].sum() == pytest.approx(healthy.vessels[healthy.sides == 1].sum(), rel=0.35)


def test_a_fatter_patient_lets_less_through():
    thin, fat = (
        draw_film(replace(chest_of(5), fat=fat), PIXELS, None, np.random.default_rng(0))[0] for fat in (6.0, 40.0)
    )
    assert np.median(fat.attenuation[fat.sides > 0]) > np.median(thin.attenuation[thin.sides > 0]) + 0.4
