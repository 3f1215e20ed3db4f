"""Projected bones: nothing lost between pixels, ribs in the chest wall, hollow as bones are."""

import numpy as np
import pytest

from helpers import anatomy
from helpers.film_bones import Detector, draw_bones, rib_line

CHEST = anatomy.sample_thorax(np.random.default_rng(3))


def test_every_piece_is_shared_out_whole_wherever_it_falls():
    rng = np.random.default_rng(0)
    detector = Detector(40, 200.0, (10.0, -20.0))
    points = rng.uniform(-90, 70, (500, 3)) + (10, 0, -10)
    mass = rng.uniform(1, 2, 500)
    assert detector.deposit(points, mass).sum() * detector.pitch**2 == pytest.approx(mass.sum(), rel=1e-5)


def test_a_piece_falls_where_its_shadow_does():
    detector = Detector(40, 200.0, (10.0, -20.0))
    at = np.array([[37.5, 55.0, 32.5]])  # to the patient's right, and above the middle
    shadow = detector.deposit(at, np.ones(1))
    row, column = detector.to_pixels(at)[0]
    assert (row, column) == (9.0, 14.0)
    assert shadow[9, 14] == pytest.approx(1 / 25)
    assert np.count_nonzero(shadow > 1e-6) == 1


def test_what_falls_beside_the_film_leaves_no_trace():
    assert Detector(16, 100.0, (0.0, 0.0)).deposit(np.array([[400.0, 0.0, -900.0]]), np.ones(1)).sum() == 0


@pytest.mark.parametrize("number", range(1, 13))
def test_ribs_run_in_the_chest_wall_from_the_spine_forwards_and_down(number):
    right, left = (rib_line(CHEST, number, side) for side in (1, -1))
    assert right == pytest.approx(left * (-1, 1, 1))
    assert right[0, 1] < -0.25 * CHEST.depth  # at the back; the first rib's ring is narrow
    assert right[-1, 2] < right[0, 2]
    widest = np.abs(right[:, 0]).max()
    assert widest < CHEST.width + 6
    steps = np.linalg.norm(np.diff(right, axis=0), axis=1)
    assert steps.max() < 1.05 * steps.min()
    if 2 < number < 9:
        assert right[-1, 1] > 0.2 * CHEST.depth  # these reach the front


def test_lower_ribs_lie_lower():
    heads = [rib_line(CHEST, number, 1)[0, 2] for number in range(1, 13)]
    assert (np.diff(heads) < -15).all()


def test_a_finer_film_shows_the_same_bones():
    coarse, fine = (draw_bones(CHEST, Detector(n, 340.0, (0.0, 0.0)), np.random.default_rng(1)) for n in (64, 256))
    assert fine.mean() == pytest.approx(coarse.mean(), rel=0.03)
    shrunk = fine.reshape(64, 4, 64, 4).mean((1, 3))
    assert np.corrcoef(shrunk.ravel(), coarse.ravel())[0, 1] > 0.94  # the blur is a share of a pixel


def test_a_collarbone_is_brighter_at_its_edges_than_in_its_middle():
    bones = draw_bones(CHEST, Detector(512, 340.0, (0.0, 0.0)), np.random.default_rng(1))
    arm = bones[:, :60].max(0)  # the shaft of the right upper arm stands alone at the film's edge
    assert (arm > 0.2).any()
    edges = np.sort(arm)[-4:].mean()
    assert edges > 1.3 * np.median(arm[arm > 0.2])
