"""The drawn chest: organs of the right density, size and number, each in its place, however the patient lies."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from helpers import anatomy, organs
from helpers.voxels import Grid

GRID = Grid((90, 74, 76), (4.5, 4.5, 4.5), (-200.0, -172.0, -172.0))
PEOPLE = [anatomy.sample_thorax(np.random.default_rng(seed)) for seed in range(10)]


@pytest.fixture(scope="module", params=range(len(PEOPLE)))
def patient(request):
    """One chest after the other, with its drawing."""
    return PEOPLE[request.param], organs.draw_thorax(PEOPLE[request.param], GRID)


def runs(flags):
    """How many unbroken runs of True there are in a line."""
    return int(np.sum(np.diff(np.concatenate([[0], flags.astype(int)])) == 1))


def test_two_separate_lungs_of_two_to_seven_litres(patient):
    _, drawing = patient
    assert 2 < drawing.lungs.sum() * np.prod(GRID.spacing) / 1e6 < 7
    parts, _ = ndimage.label(drawing.lungs > 0.5)
    sizes = np.bincount(parts.ravel())[1:]
    first, second = np.argsort(sizes)[::-1][:2] + 1
    assert sizes[first - 1] + sizes[second - 1] > 0.98 * sizes.sum()
    assert sizes[second - 1] > 0.8 * sizes[first - 1]
    middles = [drawing.patient[0][parts == part].mean() for part in (first, second)]
    assert middles[0] > 40 > -40 > middles[1]  # the right one is the larger: the heart takes from the left


def test_lungs_hold_air_and_vessels_and_are_denser_at_the_back(patient):
    chest, drawing = patient
    inside, y = drawing.hu[drawing.lungs > 0.99], drawing.patient[1][drawing.lungs > 0.99]
    assert np.median(inside) == pytest.approx(chest.density, abs=60)
    assert 0.005 < np.mean(inside > -300) < 0.1  # vessels
    fall = np.median(inside[y < -0.4 * chest.depth]) - np.median(inside[y > 0.4 * chest.depth])
    assert fall == pytest.approx(0.6 * chest.gravity, abs=40)  # the lung's unevenness adds its own


def test_heart_on_the_left_liver_on_the_right(patient):
    chest, drawing = patient
    x, y, z = drawing.patient
    level = np.abs(z + 0.17 * chest.height) < 15
    blood = np.abs(drawing.hu - anatomy.BLOOD) < 1
    assert x[blood & level & (y > 0.2 * chest.depth)].mean() < -12
    parts, _ = ndimage.label(np.abs(drawing.hu - anatomy.LIVER) < 1)
    liver = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    assert 35 < x[liver].mean() < 80
    assert z[liver].max() < 0.1 * chest.height
    assert 150 < blood[z > -0.5 * chest.height].sum() * np.prod(GRID.spacing) / 1000 < 1200  # ml of heart and vessels


def test_the_right_half_of_the_diaphragm_stands_higher(patient):
    chest, drawing = patient
    x, y, z = drawing.patient
    lowest = [
        z[(np.abs(x - side * 0.5 * chest.width) < 10) & (np.abs(y) < 20) & (drawing.lungs > 0.5)].min()
        for side in (-1, 1)
    ]
    assert lowest[1] > lowest[0]


def test_windpipe_is_a_tube_of_air_in_the_middle(patient):
    chest, drawing = patient
    x, y, z = drawing.patient
    outside = (np.abs(x) < 25) & (np.abs(y) < 0.4 * chest.depth) & (drawing.lungs < 0.01)
    for height in (0.2, 0.3):
        near = outside & (np.abs(z - height * chest.height) < GRID.spacing[2] / 2)
        air = np.clip((-150 - drawing.hu[near]) / (-150 - anatomy.AIR), 0, 1)
        assert air.max() > 0.95
        assert 120 < air.sum() * GRID.spacing[0] ** 2 < 330  # mm2
        assert abs(np.average(x[near], weights=air)) < 8


@pytest.mark.parametrize("side", [-1, 1])
def test_ribs_are_bone_and_can_be_counted(side):
    chest = replace(PEOPLE[0], turn=(0, 0, 0), shift=(0, 0, 0))
    start = side * 1.05 * chest.width - 20
    flank = Grid((41, 2, 140), (1.0, 1.0, 1.0), (start, 0.0, -0.45 * chest.height))  # below the shoulder
    drawing = organs.draw_thorax(chest, flank)
    bone = drawing.hu.max((0, 1)) > 250
    assert 6 <= runs(bone) <= 8  # of twelve
    assert 0.3 < bone.mean() < 0.8
    assert (drawing.lungs[drawing.hu > 250] < 0.01).all()


def test_the_spine_is_at_the_back_and_has_a_disc_every_25_mm():
    chest = replace(PEOPLE[0], turn=(0, 0, 0), shift=(0, 0, 0))
    column = Grid((3, 121, 200), (2.0, 2.0, 1.0), (-2.0, -180.0, -100.0))
    hu = organs.draw_thorax(chest, column).hu[1]
    y = column.axes[1].ravel()
    bone = (hu > 150).mean(1) > 0.3
    assert bone[(y > -chest.depth) & (y < -0.8 * chest.depth)].any()
    assert not bone[(y > -0.6 * chest.depth) & (y < 0.5 * chest.depth)].any()
    body = hu[np.argmin(np.abs(y + 0.88 * chest.depth)), :125]  # above, ribs join it
    assert runs(body < 100) == 125 / anatomy.VERTEBRA_PITCH
    assert 60 < body.min() < body.max() < 250  # a disc is soft, the inside of a vertebra spongy


def test_skin_and_fat_wrap_the_body_and_air_surrounds_it(patient):
    _, drawing = patient
    body = ndimage.binary_fill_holes(drawing.hu[:, :, 20] > -500)
    parts, _ = ndimage.label(body)
    sizes = np.bincount(parts.ravel())[1:]
    assert sizes.max() > 0.995 * sizes.sum()  # one body
    rim = body & ~ndimage.binary_erosion(body, iterations=2)
    assert -400 < np.median(drawing.hu[:, :, 20][rim]) < 0
    assert (drawing.hu[:, :, 20][~ndimage.binary_dilation(body, iterations=3)] == anatomy.AIR).all()


def test_nothing_is_denser_than_bone_or_thinner_than_air(patient):
    _, drawing = patient
    assert np.isfinite(drawing.hu).all()
    assert anatomy.AIR - 0.01 < drawing.hu.min() < -990
    assert 400 < drawing.hu.max() < anatomy.CORTICAL_BONE + 0.01
    assert 0 <= drawing.lungs.min() < drawing.lungs.max() <= 1


def test_the_drawing_follows_the_pose():
    """Solids are drawn in the patient's frame, tubes in the scanner's: both must turn alike."""
    still = replace(PEOPLE[1], turn=(0, 0, 0), shift=(0, 0, 0))
    posed = replace(still, turn=(6, -5, 12), shift=(9, -7, 11))
    drawings = [organs.draw_thorax(chest, GRID) for chest in (still, posed)]
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (20_000, 3)) * (0.7 * still.width, 0.8 * still.depth, 0.4 * still.height)
    seen = []
    for chest, drawing in zip((still, posed), drawings, strict=True):
        voxel = (chest.to_scanner(points) - GRID.origin) / GRID.spacing
        seen.append(ndimage.map_coordinates(drawing.hu, voxel.T, order=1))
    solid = np.array(seen) > -400
    assert np.mean(solid[0] == solid[1]) > 0.98
    dense = seen[0] > 250
    assert np.median(np.abs(seen[1] - seen[0])[dense]) < 60


def test_moving_patient_and_grid_together_changes_nothing():
    away = (13.0, -4.0, 21.0)
    moved = replace(PEOPLE[2], shift=tuple(np.add(PEOPLE[2].shift, away)))
    there = Grid(GRID.shape, GRID.spacing, tuple(np.add(GRID.origin, away)))
    one, other = organs.draw_thorax(PEOPLE[2], GRID), organs.draw_thorax(moved, there)
    np.testing.assert_allclose(one.hu, other.hu, atol=0.5)


def test_a_part_of_the_grid_shows_a_part_of_the_drawing():
    """Each organ is painted in a box of its own; here the boxes are cut anew. The lung's own noise fits the grid."""
    whole = organs.draw_thorax(PEOPLE[3], GRID)
    box = (slice(20, 71), slice(9, 60), slice(14, 55))
    part = organs.draw_thorax(PEOPLE[3], GRID.crop(box))
    np.testing.assert_allclose(part.lungs, whole.lungs[box], atol=1e-4)
    firm = (part.lungs == 0) & (whole.lungs[box] == 0)
    assert firm.mean() > 0.3
    calm = np.abs(part.hu - whole.hu[box])[firm]
    assert np.mean(calm > 0.5) < 0.01  # the heart's rim mixes with the lung beneath


def test_painting_organs_in_boxes_only_saves_time(monkeypatch):
    in_boxes = [organs.draw_thorax(chest, GRID) for chest in PEOPLE[:4]]
    monkeypatch.setattr(anatomy.Thorax, "box", lambda *_: (slice(None),) * 3)
    for chest, drawing in zip(PEOPLE[:4], in_boxes, strict=True):
        whole = organs.draw_thorax(chest, GRID)
        np.testing.assert_array_equal(drawing.hu, whole.hu)
        np.testing.assert_array_equal(drawing.lungs, whole.lungs)


def test_finer_voxels_show_the_same_lungs():
    volumes = []
    for size in (3.0, 6.0, 9.0):
        shape = tuple(round(n * 4.5 / size) for n in GRID.shape)
        drawing = organs.draw_thorax(PEOPLE[4], Grid(shape, (size,) * 3, GRID.origin))
        volumes.append(drawing.lungs.sum() * size**3)
    np.testing.assert_allclose(volumes, volumes[0], rtol=0.03)


def test_the_same_chest_is_drawn_the_same_twice():
    assert organs.draw_thorax(PEOPLE[5], GRID).hu.tobytes() == organs.draw_thorax(PEOPLE[5], GRID).hu.tobytes()


def test_the_table_lies_below_the_back_and_never_cuts_the_patient(patient):
    chest, drawing = patient
    with_table = drawing.hu.copy()
    organs.draw_table(with_table, chest, GRID)
    added = with_table > drawing.hu + 1
    assert 0.005 < added.mean() < 0.2
    assert (with_table >= drawing.hu).all()
    assert (with_table[added] <= -119).all()
    body = drawing.hu > -500
    y = np.broadcast_to(GRID.axes[1], GRID.shape)
    middle = (slice(38, 52), slice(None), slice(20, 50))  # to the sides the table curves up beside the patient
    assert y[middle][added[middle]].max() < y[middle][body[middle]].min() + 2 * GRID.spacing[1]
    assert (with_table[:, :, 10] == with_table[:, :, 60])[added[:, :, 10] & added[:, :, 60]].all()  # the same all along
