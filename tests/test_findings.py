"""Air in the pleural space: where it was asked for, without vessels, beside a denser lung; and what looks like it."""

from dataclasses import replace

import numpy as np
import pytest

from helpers import anatomy, films, findings
from helpers.findings import Collapse, pneumothorax

SHAPE = (160, 160)
CASES = [(side, pattern) for side in films.SIDES for pattern in findings.PATTERNS]


def draw(seed):
    chest = anatomy.sample_thorax(np.random.default_rng(seed))
    return films.draw_film(chest, SHAPE[0], None, np.random.default_rng(0))[0]


FILM = draw(8)


def collapse(side, pattern, depth=30.0, seed=0, film=FILM):
    return pneumothorax(film, Collapse(side, pattern, depth), np.random.default_rng(seed))


@pytest.mark.parametrize(("side", "pattern"), CASES)
def test_air_lies_in_its_lung_alone_and_holds_no_vessels(side, pattern):
    ill, mask = collapse(side, pattern)
    own = FILM.sides == films.SIDES[side]
    assert mask.dtype == bool
    assert 0.03 < mask[own].mean() < 0.6
    assert not mask[~own].any()
    assert not ill.vessels[mask].any()
    assert not ill.lungs[mask].any()
    assert (ill.attenuation[~own] == FILM.attenuation[~own]).all()


@pytest.mark.parametrize(("side", "pattern"), CASES)
def test_air_is_darker_than_the_lung_was_and_the_lung_behind_it_denser(side, pattern):
    ill, mask = collapse(side, pattern, 60.0)
    rest = (FILM.sides == films.SIDES[side]) & ~mask
    change = ill.attenuation - FILM.attenuation
    assert np.median(change[mask]) < -0.1
    assert np.median(change[rest]) > 0.02
    assert ill.attenuation.min() > -0.1


def test_the_air_lies_where_its_pattern_says():
    rows = {pattern: np.nonzero(collapse("left", pattern)[1])[0].mean() for pattern in findings.PATTERNS}
    assert rows["apical"] < rows["apicolateral"] < rows["lateral"] < rows["basal"]
    mask = collapse("right", "lateral")[1]
    own = np.nonzero(FILM.sides == films.SIDES["right"])[1]
    assert np.nonzero(mask)[1].mean() < own.mean()  # on the side of the chest wall, the picture's left


def test_air_reaches_the_outline_of_the_lung():
    for side, pattern in CASES:
        mask = collapse(side, pattern)[1]
        around = np.pad(FILM.sides != films.SIDES[side], 1)
        beside = around[:-2, 1:-1] | around[2:, 1:-1] | around[1:-1, :-2] | around[1:-1, 2:]
        assert (mask & beside).sum() > 10


def test_more_collapse_is_more_air_and_a_stump_remains():
    sizes = [collapse("right", "apicolateral", depth)[1].sum() for depth in (8.0, 20.0, 45.0, 110.0)]
    assert (np.diff(sizes) > 0).all()
    row, column = (round(at) for at in FILM.landmarks["right hilum"])
    assert not collapse("right", "apicolateral", 110.0)[1][row, column]


def test_a_thin_bright_line_bounds_the_air():
    ill, mask = collapse("right", "apical", 40.0)
    rise = ill.attenuation - FILM.attenuation
    inner = np.zeros(SHAPE, bool)
    inner[1:] = mask[:-1] & ~mask[1:]  # the first pixel below the air
    inner &= FILM.sides == films.SIDES["right"]
    assert np.median(rise[inner]) > np.median(rise[mask]) + 0.1


def test_vessels_are_drawn_in_with_the_lung():
    ill, mask = collapse("left", "lateral", 45.0)
    own = FILM.sides == films.SIDES["left"]
    assert ill.vessels[own & ~mask].mean() > 0.6 * FILM.vessels[own & ~mask].mean()
    assert np.abs(ill.vessels - FILM.vessels)[own & ~mask].mean() > 0.2 * FILM.vessels[own].mean()


@pytest.mark.parametrize("wrong", [{"side": "up"}, {"pattern": "somewhere"}])
def test_an_unknown_side_or_pattern_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong.values()))):
        pneumothorax(FILM, replace(Collapse("left", "apical", 20.0), **wrong), np.random.default_rng(0))


def test_mostly_rims_a_few_slivers_a_few_nearly_whole_lungs():
    drawn = [findings.random_collapse(np.random.default_rng(seed)) for seed in range(400)]
    depths = np.array([one.depth for one in drawn])
    assert 22 < np.median(depths) < 36
    assert 0.005 < np.mean(depths < 13) < 0.12
    assert 0.08 < np.mean(depths > 55) < 0.25
    assert {(one.side, one.pattern) for one in drawn} == set(CASES)


def test_mimics_leave_lungs_and_input_alone_and_differ_from_film_to_film():
    before = FILM.attenuation.copy()
    changed = [findings.add_mimics(FILM, np.random.default_rng(seed)) for seed in range(40)]
    assert (FILM.attenuation == before).all()
    touched = [float(np.abs(film.attenuation - before).max()) for film in changed]
    assert 0.05 < np.mean(np.array(touched) == 0) < 0.6
    assert len(set(touched)) > 15
    for film in changed:
        assert film.lungs is FILM.lungs
        assert film.sides is FILM.sides


@pytest.mark.parametrize("name", ["_add_bulla", "_add_companion", "_add_fold"])
@pytest.mark.parametrize("side", films.SIDES)
def test_every_mimic_shows_on_its_side(name, side):
    film = replace(FILM, attenuation=FILM.attenuation.copy())
    getattr(findings, name)(film, side, np.random.default_rng(2))
    change = np.abs(film.attenuation - FILM.attenuation)
    assert change.max() > 0.03
    assert np.isfinite(change).all()
    other = FILM.sides == 3 - films.SIDES[side]
    assert change[other].mean() < 0.2 * change[FILM.sides == films.SIDES[side]].mean()


@pytest.mark.parametrize("side", films.SIDES)
def test_a_drain_enters_from_its_side(side):
    change = findings.add_drain(FILM, side, np.random.default_rng(1)).attenuation - FILM.attenuation
    assert change.max() > 0.1
    assert change[FILM.sides == films.SIDES[side]].sum() > 3 * abs(change[FILM.sides == 3 - films.SIDES[side]].sum())
