"""The drawn skeleton and the body around it: bone where the model says, each side and tissue in its place."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from helpers import anatomy, bodies, implants, spines, trunk
from helpers.canvas import Canvas
from helpers.voxels import Grid

GRID = Grid((100, 90, 150), (4.0, 4.0, 4.0), (-198.0, -190.0, -300.0))
SEEDS = range(6)


def person_of(seed):
    person = trunk.sample_trunk(np.random.default_rng(seed))
    return replace(person, chest=replace(person.chest, turn=(2.0, -1.5, 3.0), shift=(5.0, -4.0, 8.0)))


def paint(person, grid=GRID, tissues=(), bones=True):
    canvas = Canvas(person.chest, grid, tissues)
    bodies.draw_body(canvas, person)
    if bones:
        spines.draw_bones(canvas, person)
    return canvas


def values(canvas, person, points):
    at = (person.chest.to_scanner(points) - canvas.grid.origin) / canvas.grid.spacing
    return canvas.hu[tuple(np.rint(at).astype(int).T)]


@pytest.fixture(scope="module")
def drawn():
    return [(person_of(seed), paint(person_of(seed))) for seed in SEEDS]


def test_bodies_are_bone_and_discs_are_softer(drawn):
    for person, canvas in drawn:
        bones = person.between("T10", "L4")
        inside = values(canvas, person, [bone.centre for bone in bones])
        discs = values(canvas, person, [bone.at(0, 0, -(bone.height + bone.disc) / 2) for bone in bones])
        assert np.median(inside) > 0.6 * person.spongy
        walls = [[values(canvas, person, [b.at(a * b.width, 0, 0)])[0] for a in (0.38, 0.42, 0.46)] for b in bones]
        rim = np.max(walls, 1)
        assert np.median(rim) > 150
        wide = [bone.disc > 8 for bone in bones]
        assert (discs[wide] < 320).all()
        assert np.median(discs) < np.median(rim)


def test_in_the_projection_a_vertebra_is_bright_and_its_disc_dark_beside_the_joints(drawn):
    """What the network sees: a maximum over y, between the pedicles and the edge of the body."""
    fine = Grid((80, 60, 120), (1.5, 1.5, 1.5), (-60.0, -90.0, -90.0))
    person = person_of(2)
    canvas = Canvas(person.chest, fine)
    spines.draw_bones(canvas, person)
    picture = canvas.hu.max(1)
    for bone in person.between("L1", "L3"):
        ends = [person.chest.to_scanner([bone.at(0, 0, up)])[0] for up in (0, -0.5 * bone.height)]
        plate = [int((at[2] - fine.origin[2]) / 1.5) for at in ends]
        column = int((ends[0][0] - fine.origin[0]) / 1.5)
        middle = picture[column - 10 : column + 10, plate[0] - 2 : plate[0] + 3].mean()
        edge = picture[column - 10 : column + 10, plate[1] - 2 : plate[1] + 3].max(1).mean()
        assert edge > middle


def test_the_sagittal_projection_shows_as_many_bodies_as_there_are(drawn):
    """Along a curve through the bodies' centres, bone and disc take turns."""
    fine = (1.5, 1.5, 1.5)
    person = replace(person_of(3), spongy=220.0)
    low = person.chest.to_scanner([person.vertebra("L5").centre])[0] - (30, 60, 20)
    canvas = Canvas(person.chest, Grid((40, 80, 190), fine, tuple(low)))
    spines.draw_bones(canvas, person)
    bones = person.between("T10", "L4")
    for bone, below in pairwise(bones):
        line = bone.centre + np.linspace(0, 1, 40)[:, None] * (below.centre - bone.centre)
        seen = values(canvas, person, line)
        gap = seen[8:32].min()
        assert gap < 0.75 * min(seen[:5].max(), seen[-5:].max())


def test_ribs_slope_down_from_their_vertebra_and_the_last_is_short(drawn):
    for person, canvas in drawn[:3]:
        bone = person.vertebra("T9")
        z = bone.centre[2]
        lateral = person.chest.width + 5
        side = values(canvas, person, [(lateral, 0, z - drop) for drop in range(0, 140, 2)])
        assert (side > 200).any()
        below = values(canvas, person, [(lateral, y, -22) for y in range(-60, 60, 4)])
        assert (below < 200).all()  # no rib as low as L4, and the pelvis begins below


def test_crests_heads_and_sacrum_are_bone(drawn):
    for person, canvas in drawn:
        for hip, side in zip(person.hips, (1, -1), strict=True):
            assert values(canvas, person, [hip])[0] > 70
            column = [
                (side * x * person.size, y, person.crest - 6) for x in range(95, 135, 3) for y in range(-110, 60, 3)
            ]
            assert values(canvas, person, column).max() > 250
        above = [(x, y, person.crest + 22) for x in (-110, -95, 95, 110) for y in range(-60, 40, 4)]
        assert np.quantile(values(canvas, person, above), 0.9) < 250
        assert values(canvas, person, [person.sacrum.centre])[0] > 40


def test_the_liver_is_on_the_patients_right_and_air_is_outside(drawn):
    for person, canvas in drawn:
        z = person.vertebra("T12").centre[2]
        right, left = (values(canvas, person, [(s * 70, y, z) for y in range(-10, 40, 5)]) for s in (1, -1))
        assert np.median(right) > 20
        assert np.std(right) < np.std(left) + 30
        assert (canvas.hu[:, -2:] == anatomy.AIR).mean() > 0.95
        assert canvas.hu.min() >= anatomy.AIR - 0.01
        assert values(canvas, person, [(0.55 * person.chest.width, -40, person.vertebra("T6").centre[2])])[0] < -500


def test_muscle_and_fat_fill_their_share_of_the_slice_of_l3():
    for seed in SEEDS:
        person = person_of(seed)
        grid = Grid((240, 200, 1), (2.0, 2.0, 2.0), (-239.0, -200.0, person.chest.shift[2]))
        canvas = paint(person, grid, ("muscle", "fat"))
        muscle, fat = canvas.parts["muscle"], canvas.parts["fat"]
        assert 0 <= muscle.min() <= (muscle + fat).max() < 1.001
        assert 80 < muscle.sum() * 0.04 < 300
        assert 30 < fat.sum() * 0.04 < 900
        # Where a voxel is all muscle or all fat, its density says so.
        assert np.quantile(canvas.hu[muscle > 0.99], [0.01, 0.99]) == pytest.approx(anatomy.MUSCLE, abs=1)
        assert np.quantile(canvas.hu[fat > 0.99], [0.05, 0.95]) == pytest.approx(anatomy.FAT, abs=1)


def test_a_slice_drawn_alone_is_the_slice_of_the_whole():
    person = person_of(1)
    box = (slice(0, 100), slice(0, 90), slice(70, 74))
    whole, alone = paint(person, bones=False), paint(person, GRID.crop(box), bones=False)
    np.testing.assert_allclose(alone.hu, whole.hu[box], atol=0.5)


def test_moving_patient_and_grid_together_changes_nothing():
    person, away = person_of(4), (12.0, -8.0, 16.0)
    moved = replace(person, chest=replace(person.chest, shift=tuple(np.add(person.chest.shift, away))))
    small = Grid((60, 60, 40), (4.0, 4.0, 4.0), (-120.0, -120.0, -80.0))
    there = replace(small, origin=tuple(np.add(small.origin, away)))
    one, other = Canvas(person.chest, small), Canvas(moved.chest, there)
    for canvas, who in ((one, person), (other, moved)):
        spines.draw_bones(canvas, who)
    np.testing.assert_allclose(one.hu, other.hu, rtol=1e-2, atol=1.0)


def test_metal_arms_and_rails_are_seen_now_and_then_and_never_inside_the_bones_only():
    plain, more, arms = [], [], []
    for seed in range(120):
        person = person_of(seed)
        coarse = Grid((44, 40, 60), (10.0, 10.0, 10.0), (-215.0, -200.0, -260.0))
        canvas = Canvas(person.chest, coarse)
        implants.draw_metal(canvas, person)
        more.append(canvas.hu.max() > 400)
        canvas = Canvas(person.chest, coarse)
        implants.draw_arms(canvas, person)
        arms.append(canvas.hu[:, :, :30].max() > 0)
        canvas = Canvas(person.chest, coarse)
        implants.draw_table(canvas, person)
        plain.append(canvas.hu.max() > 50)
    assert 0.15 < np.mean(more) < 0.65
    assert 0.1 < np.mean(arms) < 0.35
    assert 0.2 < np.mean(plain) < 0.7
