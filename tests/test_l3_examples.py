"""What notebook 02 shows beside its training: the CT to look at, varied copies, hidden landmarks."""

from dataclasses import replace

import numpy as np
import pytest

from helpers import axial, ct, datasets, l3_examples, l3_scans, phantoms_l3, runtime
from helpers.l3_scans import LEVELS, MM, TARGET
from helpers.rows import Rows
from helpers.trunk_scans import L3Settings

RUN = runtime.Run(seed=3, size="quick", device="cpu", data_root="data")
ROW = 60.0
ALL = ROW + (np.arange(len(LEVELS)) - TARGET) * 10  # a level each 30 mm


def one(levels, images=None) -> Rows:
    images = np.full((1, 2, 160, 96), 9, np.uint8) if images is None else images
    levels = np.asarray(levels, float)[None]
    prepared = l3_scans.Prepared(images, np.zeros(1), -MM * np.ones(1), levels, np.isfinite(levels))
    return Rows(prepared, [0], seed=0)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    return l3_scans.read_folder(phantoms_l3.make_l3(tmp_path_factory.mktemp("made") / "l3", L3Settings(12, pixel=6.0)))


def test_the_example_is_a_test_scan_with_l3_and_its_true_areas(phantoms):
    case = l3_examples.example(phantoms, RUN)
    tested = {phantoms.cases[i].source.name: phantoms.cases[i] for i in datasets.split(phantoms, RUN.seed).test}
    chosen = tested[case.volume.source]
    assert case.origin == "phantom"
    assert case.l3_mm == chosen.heights[TARGET]
    most = max(np.isfinite(other.heights).sum() for other in tested.values() if other.label == 0)
    assert np.isfinite(chosen.heights).sum() == most
    line = next(
        row for row in (phantoms.root / "truth.csv").read_text().splitlines() if row.startswith(chosen.source.name)
    )
    assert [float(number) for number in line.split(",")[3:5]] == [case.areas["muscle"], case.areas["fat"]]


def test_where_there_is_no_ct_a_phantom_is_drawn_and_said_to_be_one(phantoms, monkeypatch):
    monkeypatch.setattr(l3_examples, "L3Settings", lambda seed: L3Settings(pixel=6.0, seed=seed))
    packed = replace(phantoms, origin="real", cases=tuple(replace(case, source=None) for case in phantoms.cases))
    case = l3_examples.example(packed, RUN)
    assert case.origin == "phantom"
    assert case.areas.keys() == axial.TISSUES.keys()
    piece = l3_examples.nearest_slice(case.volume, case.l3_mm)
    assert abs(piece.z_mm - case.l3_mm) <= case.volume.spacing[2] / 2 + 1e-6


def test_a_height_beyond_the_scan_gives_its_last_slice():
    scan = ct.Volume(np.zeros((4, 4, 9), np.int16), (1.0, 1.0, 5.0), "scan.nii.gz", "RAS")
    assert [l3_examples.nearest_slice(scan, z).index for z in (-80.0, 11.0, 1e4)] == [0, 2, 8]


def test_varied_copies_begin_with_the_scan_itself_and_lines_follow_l3():
    images = np.zeros((1, 2, 160, 96), np.uint8)
    images[0, :, :150] = 60
    images[0, :, 60] = 255  # L3 is the brightest row
    rows = one(ALL, images)
    rows.change = "vary"
    shown, places = l3_examples.varied(rows, copies=12)
    assert len(shown) == len(places) == 13
    assert np.array_equal(shown[0], images[0, 0].astype(np.float32) / 255)
    seen = [(image, place) for image, place in zip(shown, places, strict=True) if np.isfinite(place)]
    assert len(seen) > 6
    for image, place in seen:
        assert abs(image.mean(axis=1).argmax() - place) <= 2
    assert l3_examples.varied(rows, copies=12)[1] == pytest.approx(places, nan_ok=True)


def test_cut_off_leaves_only_copies_without_l3():
    both = one(ALL)
    cut = l3_examples.cut_off(both)
    assert len(cut) == 1
    assert cut[0][1][TARGET, -1] == 1
    assert len(l3_examples.cut_off(one(np.full(len(LEVELS), np.nan)))) == 0


def test_hidden_is_what_lies_beyond_a_level_and_nothing_else():
    rows = one(ALL)
    before = rows.prepared.images.copy()
    left = l3_examples.hide(rows, above="L1", below="L4").prepared.images[0, :, :, 0].any(axis=0)
    assert np.flatnonzero(left)[[0, -1]].tolist() == [40, 70]
    assert l3_examples.hide(rows, below="L4").prepared.images[0, 0, :70].all()
    assert np.array_equal(rows.prepared.images, before)  # the set itself stays


def test_a_level_that_is_not_known_is_estimated_from_l3():
    lone = np.where(np.arange(len(LEVELS)) == TARGET, ROW, np.nan)
    left = l3_examples.hide(one(lone), below="L5").prepared.images[0, 0, :, 0]
    assert np.flatnonzero(left)[-1] == int(ROW + 2 * l3_examples.VERTEBRA / MM)


def test_a_scan_without_l3_is_not_hidden_and_an_unknown_level_is_refused():
    nothing = one(np.full(len(LEVELS), np.nan))
    assert l3_examples.hide(nothing, above="L1").prepared.images.all()
    with pytest.raises(ValueError, match=r"T9, T10, .*'C3'"):
        l3_examples.hide(one(ALL), above="C3")


def test_the_rule_for_what_is_left_knows_the_cut_alone():
    hidden = l3_examples.hide(one(ALL), above="L1", below="L4")  # rows 40 to 70, L3 at 60
    np.testing.assert_allclose(l3_examples.cut_errors(hidden, 0.5), [-5 * MM])
    np.testing.assert_allclose(l3_examples.cut_errors(hidden), [0], atol=1e-9)
