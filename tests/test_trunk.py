"""The model of the trunk: adults who differ, vertebrae in their order, and a pelvis and ribs that number them."""

from itertools import pairwise

import numpy as np
import pytest

from helpers import trunk

PEOPLE = [trunk.sample_trunk(np.random.default_rng(seed)) for seed in range(300)]
USUAL = [person for person in PEOPLE if person.vertebrae[-1].name == "L5"]


def pitches(person, first, last):
    centres = np.array([bone.centre for bone in person.between(first, last)])
    return np.linalg.norm(np.diff(centres, axis=0), axis=1)


def test_the_same_seed_is_the_same_trunk_and_another_seed_another():
    one, other = (trunk.sample_trunk(np.random.default_rng(3)) for _ in range(2))
    assert one.size == other.size
    assert all((a.centre == b.centre).all() for a, b in zip(one.vertebrae, other.vertebrae, strict=True))
    assert len({person.size * person.crest for person in PEOPLE}) == len(PEOPLE)


def test_vertebrae_stand_on_one_another_from_the_neck_to_the_sacrum():
    for person in PEOPLE:
        bones = (*person.vertebrae, person.sacrum)
        assert [bone.name for bone in bones[:15]] == ["C5", "C6", "C7", *(f"T{i}" for i in range(1, 13))]
        heights = np.array([bone.centre[2] for bone in bones])
        assert (np.diff(heights) < -9).all()
        for above, below in pairwise(bones[:-1]):  # neither gap nor overlap, within a bend
            wanted = above.height / 2 + above.disc + below.height / 2
            assert np.linalg.norm(above.centre - below.centre) == pytest.approx(wanted, abs=1.5)


def test_the_origin_is_at_the_height_of_l3_which_is_counted_from_the_last_ribs():
    for person in PEOPLE:
        assert person.vertebra("L3").centre[2] == 0
        without = [bone.name for bone in person.vertebrae if max(bone.ribs) == 0 and bone.name[0] != "C"]
        assert without[2] == "L3"
        assert min(person.vertebra("T12").ribs) > 15


def test_lumbar_vertebrae_are_as_far_apart_as_in_adults():
    """Body and disc: 34 to 39 mm in the mean, from small and old to large and young."""
    lumbar = np.array([pitches(person, "L1", "L5") for person in USUAL])
    thoracic = np.array([pitches(person, "T5", "T10") for person in PEOPLE])
    assert 33 < lumbar.mean() < 38
    assert 22 < thoracic.mean() < 27
    assert 20 < lumbar.min() < lumbar.max() < 50
    assert lumbar.mean(1).std() > 1.5
    widths = np.array([[person.vertebra(name).width for name in ("T6", "T12", "L3", "L5")] for person in USUAL]).mean(0)
    assert (np.diff(widths) > 3).all()


def test_the_crests_are_as_high_as_the_disc_between_l4_and_l5():
    above = np.array([person.vertebra("L4").centre[2] - person.crest for person in USUAL])
    below = np.array([person.crest - person.vertebra("L5").centre[2] for person in USUAL])
    assert np.median(np.abs(above - below)) / 2 < 10
    assert np.mean((above > 0) & (below > 0)) > 0.85


def test_the_spine_has_lordosis_below_and_kyphosis_above():
    y = np.array([[person.vertebra(name).centre[1] for name in ("T1", "T7", "L3", "S1")] for person in PEOPLE]).mean(0)
    assert y[1] < y[0] - 5  # the chest's spine lies behind the neck's
    assert y[1] < y[2] - 8
    assert y[3] < y[2] - 15


def test_some_count_differently_and_some_are_crooked():
    last = [person.vertebrae[-1].name for person in PEOPLE]
    assert {"L4", "L5", "L6"} == set(last)
    assert 0.85 < np.mean(np.array(last) == "L5") < 0.97
    aside = np.array([np.ptp([bone.centre[0] for bone in person.vertebrae]) for person in PEOPLE])
    assert np.median(aside) < 12
    assert 0.01 < np.mean(aside > 25) < 0.2


def test_the_third_lumbar_vertebra_has_the_longest_transverse_processes_above_the_fifth():
    spans = np.array([[np.mean(p.vertebra(name).transverse) for name in ("L1", "L2", "L3", "L4")] for p in PEOPLE])
    assert spans.mean(0).argmax() == 2


def test_axes_are_turns_without_mirroring():
    for person in PEOPLE[:50]:
        for bone in (*person.vertebrae, person.sacrum):
            np.testing.assert_allclose(bone.axes.T @ bone.axes, np.eye(3), atol=1e-9)
            assert np.linalg.det(bone.axes) == pytest.approx(1)


def test_hips_lie_below_the_crests_and_apart():
    for person in PEOPLE:
        assert person.hips[0, 0] > 55
        assert person.hips[1, 0] < -55
        assert (person.crest - person.hips[:, 2] > 85).all()
