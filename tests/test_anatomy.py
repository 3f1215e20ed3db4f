"""The model of a chest: plausible adults, each his own, and a pose that is a rigid motion."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import anatomy
from helpers.voxels import Grid

angles = st.tuples(*[st.floats(-25, 25)] * 3)
places = st.tuples(*[st.floats(-100, 100)] * 3)
GRID = Grid((30, 26, 20), (13.0, 14.0, 16.0), (-190.0, -180.0, -150.0))


def chest(seed=0, **changes):
    return replace(anatomy.sample_thorax(np.random.default_rng(seed)), **changes)


def test_the_same_seed_is_the_same_patient_and_another_seed_another():
    assert chest(5) == chest(5)
    assert len({chest(seed).width for seed in range(50)}) == 50


def test_patients_are_adults_who_differ():
    people = [chest(seed) for seed in range(400)]
    for name, low, high, spread in (
        ("width", 95, 165, 6),
        ("depth", 55, 125, 5),
        ("height", 150, 300, 10),
        ("fat", 5, 45, 5),
        ("density", -970, -650, 25),
    ):
        values = np.array([getattr(person, name) for person in people])
        assert low <= values.min() < values.max() <= high, name
        assert values.std() > spread, name
    assert np.abs([person.turn for person in people]).max() < 20
    # A deep breath makes the chest long, the diaphragm flat and the lung light.
    height, dome, density = np.transpose([(person.height, person.dome, person.density) for person in people])
    assert np.corrcoef(height, dome)[0, 1] < -0.2
    assert np.corrcoef(height, density)[0, 1] < -0.05


@settings(max_examples=40, deadline=None)
@given(angles, places)
def test_the_pose_keeps_lengths_and_sides_and_can_be_undone(turn, shift):
    patient = chest(turn=turn, shift=shift)
    np.testing.assert_allclose(patient.rotation @ patient.rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(patient.rotation) == pytest.approx(1)  # never a mirror image
    points = np.stack([line.ravel() for line in patient.to_patient(GRID)], axis=1)
    scanner = np.stack([line.ravel() for line in np.broadcast_arrays(*GRID.axes)], axis=1)
    np.testing.assert_allclose(patient.to_scanner(points), scanner, atol=1e-3)


@pytest.mark.parametrize(
    ("turn", "towards"),
    [((90, 0, 0), [0, 0, 1]), ((0, 0, 90), [-1, 0, 0])],
    ids=["about x: the front rises to the head", "about z: the front turns to the left"],
)
def test_turns_go_the_right_way_round(turn, towards):
    front = chest(turn=turn, shift=(0, 0, 0)).to_scanner([[0, 1, 0]])
    np.testing.assert_allclose(front, [towards], atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(angles, places, places, st.tuples(*[st.floats(1, 80)] * 3))
def test_a_box_around_a_part_of_the_patient_misses_none_of_it(turn, shift, centre, half):
    patient = chest(turn=turn, shift=shift)
    inside = np.ones(GRID.shape, bool)
    for line, middle, width in zip(patient.to_patient(GRID), centre, half, strict=True):
        inside &= np.abs(line - middle) <= width
    inside[patient.box(GRID, centre, half)] = False
    assert not inside.any()
