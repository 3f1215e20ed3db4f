"""Phantom trunks as scans and as files: the truth is in the voxels, and L3 can only be told by its neighbours."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from helpers import ct, files, mip, phantoms_l3, trunk_scans
from helpers.canvas import Canvas
from helpers.trunk_scans import L3Settings

COARSE = L3Settings(count=10, pixel=6.0)
SHAPES = L3Settings(pixel=9.0)
COUNT = 240


@pytest.fixture(scope="module")
def outlines():
    """What is scanned of many patients, without the drawing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trunk_scans, "_paint", lambda trunk, grid, tissues=(): Canvas(trunk.chest, grid, tissues))
        scans = (trunk_scans.draw_trunk(number, SHAPES) for number in range(COUNT))
        return [(truth.l3, grid.shape, grid.spacing, truth.region) for _, truth, grid in scans]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return phantoms_l3.make_l3(tmp_path_factory.mktemp("data") / "l3", COARSE)


def test_the_same_number_is_the_same_scan_alone_and_in_parallel(folder):
    for number in (0, 7):
        hu, _, grid = trunk_scans.draw_trunk(number, COARSE)
        stored = ct.read_volume(folder / "ct" / f"study_{number:04d}.nii.gz")
        np.testing.assert_array_equal(stored.hu, np.maximum(hu, ct.AIR))
        np.testing.assert_allclose(stored.spacing, grid.spacing, atol=1e-4)
        np.testing.assert_allclose(stored.affine[:3, 3], grid.origin, atol=1e-3)
    other = trunk_scans.draw_trunk(0, replace(COARSE, seed=5))[0]
    assert other.shape != hu.shape or (other != hu).any()


def test_the_truth_is_in_the_voxels():
    """Around the centre of a body in view there is bone; the slice is the one next to the centre."""
    dense = []
    for number in range(12):
        hu, truth, grid = trunk_scans.draw_trunk(number, replace(COARSE, pixel=4.0))
        for name, index in truth.slices.items():
            if index is None:
                continue
            x, y, z = (np.array(truth.centres[name]) - grid.origin) / grid.spacing
            assert abs(z - index) <= 0.5
            near = hu[max(int(x) - 4, 0) : int(x) + 5, max(int(y) - 4, 0) : int(y) + 5, index]
            dense.append(near.max())
    assert len(dense) > 60
    assert np.mean(np.array(dense) > 150) > 0.97


def test_what_is_out_of_view_is_said_to_be():
    seen = set()
    for number in range(16):
        _, truth, grid = trunk_scans.draw_trunk(number, SHAPES)
        low, high = grid.origin[2] - grid.spacing[2] / 2, grid.origin[2] + (grid.shape[2] - 0.5) * grid.spacing[2]
        for name, centre in truth.centres.items():
            if truth.slices[name] is not None:
                assert low <= centre[2] <= high
            elif low < centre[2] < high:
                seen.add("beside")
            else:
                seen.add("above" if centre[2] > high else "below")
        assert (truth.l3 is None) == (truth.muscle is None) == (truth.fat is None)
    assert {"above", "below"} <= seen


def test_a_fifth_to_a_third_of_the_scans_lack_l3_above_and_below(outlines):
    lacking = np.array([row[0] is None for row in outlines])
    assert 0.18 < lacking.mean() < 0.38
    regions = np.array([row[3] for row in outlines])
    assert set(regions[lacking]) >= {"chest", "pelvis"}
    assert lacking[np.isin(regions, ["chest", "pelvis", "upper abdomen"])].mean() > 0.95
    assert lacking[np.isin(regions, ["abdomen", "trunk", "abdomen and pelvis"])].mean() < 0.15


@pytest.mark.parametrize("end", ["head", "feet", "share of the length"])
def test_a_constant_row_is_off_by_more_than_25_mm(outlines, end):
    """The trivial baseline: the mean row of all scans that show L3, counted from either end, is far from most."""
    shown = [row for row in outlines if row[0] is not None]
    index, length, step = np.transpose([(row[0], row[1][2] - 1, row[2][2]) for row in shown])
    place = {"head": (length - index) * step, "feet": index * step, "share of the length": index / length}[end]
    error = np.abs(place - place.mean()) * (length * step if end[0] == "s" else 1)
    assert np.median(error) >= 25


def test_scans_differ_in_slices_and_field_of_view(outlines):
    fine = [trunk_scans.draw_trunk(n, replace(SHAPES, pixel=3.5))[2].spacing[2] for n in range(4)]
    steps, sides = np.transpose([(row[2][2], row[1][0] * row[2][0]) for row in outlines])
    assert min(fine) < 3 < 5 < max(steps)
    assert sides.min() < 280 < 400 < sides.max()


def test_densities_are_those_of_a_scanner():
    for number in range(8):
        hu = trunk_scans.draw_trunk(number, SHAPES)[0]
        assert hu.dtype == np.int16
        assert hu.min() >= -3024
        assert 250 < hu.max() <= 3071
        assert -1024 in np.unique(np.maximum(hu, -1024))


def test_the_areas_of_muscle_and_fat_can_be_read_from_the_slice():
    """By density alone fat is nearly right, and muscle too large: organs and bowel are as dense."""
    fat_error, muscle_error = [], []
    for number in range(14):
        hu, truth, grid = trunk_scans.draw_trunk(number, replace(COARSE, pixel=4.0))
        if truth.l3 is None:
            continue
        plane, pixel = hu[:, :, truth.l3], grid.spacing[0] * grid.spacing[1] / 100
        fat_error.append(((plane >= -190) & (plane <= -30)).sum() * pixel / truth.fat)
        muscle_error.append(((plane >= -29) & (plane <= 150)).sum() * pixel / truth.muscle)
    assert 0.75 < np.median(fat_error) < 1.35
    assert 0.95 < np.median(muscle_error) < 2.2


def test_the_folder_holds_scans_a_table_and_their_origin(folder):
    with open(folder / "truth.csv", encoding="utf8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [f"study_{number:04d}.nii.gz" for number in range(COARSE.count)]
    for number, row in enumerate(rows):
        truth = trunk_scans.draw_trunk(number, COARSE)[1] if number < 4 else None
        assert (row["l3_slice"] == "") == (row["l3_mm"] == "") == (row["muscle_cm2"] == "")
        if truth:
            assert row["l3_slice"] == ("" if truth.l3 is None else str(truth.l3))
    origin = files.read_json(folder / "ORIGIN.json")
    assert origin["origin"] == "phantom"
    assert set(origin["keys"]) == {files.hash_file(path) for path in (folder / "ct").iterdir()}
    with pytest.raises(files.DataError, match="there already"):
        phantoms_l3.make_l3(folder, COARSE)


def test_a_run_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(phantoms_l3.phantoms, "save_nifti", fail)
    with pytest.raises(OSError, match="full"):
        phantoms_l3.make_l3(tmp_path / "l3", replace(COARSE, count=2))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    path = tmp_path_factory.mktemp("npz") / "l3_dataset.npz"
    return files.read_npz(phantoms_l3.make_l3_npz(path, replace(COARSE, count=24)))


def test_the_npz_has_the_published_layout_and_is_read_without_running_anything(npz):
    count = int(npz["num_images"])
    shown = [n for n in range(24) if trunk_scans.draw_trunk(n, COARSE)[1].l3 is not None]
    assert list(npz["names"]) == [f"study_{number:04d}" for number in shown]
    assert count == len(npz["images_f"]) == len(npz["images_s"]) == len(npz["spacings"]) == len(shown)
    assert all(len(marks) == count for marks in npz["ydata"].item().values())
    for frontal, sagittal, spacing in zip(npz["images_f"], npz["images_s"], npz["spacings"], strict=True):
        assert frontal.dtype == sagittal.dtype == np.int16
        assert len(frontal) == len(sagittal)
        assert spacing[0] == spacing[1] <= 7


def test_annotators_mark_the_row_of_l3_and_differ_by_a_millimetre_or_two(npz):
    truth = {f"study_{n:04d}": trunk_scans.draw_trunk(n, COARSE) for n in (0, 1, 2)}
    marks = np.array(list(npz["ydata"].item().values()), float)
    for column, name in enumerate(npz["names"]):
        if name in truth:
            hu, known, grid = truth[name]
            views = mip.project(phantoms_l3.as_volume(hu, grid, name))
            np.testing.assert_array_equal(views.frontal.pixels, npz["images_f"][column])
            assert np.abs(views.frontal.z_of(marks[:, column].mean()) - known.centres["L3"][2]) < 6
    steps = npz["spacings"][:, 2]
    apart = (marks[0] - marks[1]) * steps
    assert 0 < np.sqrt((apart**2).mean()) < 4


def test_readers_of_fine_slices_differ_as_stated():
    draws = np.random.default_rng(0)
    apart = [np.subtract(*(draws.normal(*reader) for reader in phantoms_l3.ANNOTATORS.values())) for _ in range(4000)]
    assert 1 < np.std(apart) < 2
