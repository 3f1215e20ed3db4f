"""Folders of scans: told apart by content alone, the healthy class first, and refused in one sentence."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny import SPACING, fill, one_sentence, save, save_series, voxels

from helpers import files, scans
from helpers.files import DataError


def refusal(folder) -> DataError:
    with pytest.raises(DataError) as caught:
        scans.read_folder(folder)
    one_sentence(str(caught.value))
    assert caught.value.remedy
    return caught.value


def test_cases_are_ordered_and_keyed_by_content_whatever_names_and_listing(tmp_path, monkeypatch):
    root = fill(tmp_path / "one", {"CT-0": 4, "CT-23": 3})
    data = scans.read_folder(root)
    assert [case.key for case in data.cases] == sorted(files.hash_file(case.path) for case in data.cases)
    assert [case.path.parent.name for case in data.cases] == [data.classes[case.label] for case in data.cases]

    twin = tmp_path / "two"  # the same scans under other names, written in another order
    for number, case in enumerate(data.cases):
        target = twin / case.path.parent.name / f"{(number * 5) % 7}.nii.gz"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(case.path, target)
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda path: sorted(listed(path), reverse=True))
    other = scans.read_folder(twin)
    assert [(case.key, case.label) for case in other.cases] == [(case.key, case.label) for case in data.cases]
    assert other.hash == data.hash


def test_the_hash_changes_with_content_and_with_labels(tmp_path):
    root = fill(tmp_path, {"CT-0": 2, "CT-23": 2})
    before = scans.read_folder(root).hash
    (root / "CT-0" / "scan0.nii.gz").rename(root / "scan.nii.gz")
    (root / "CT-23" / "scan0.nii.gz").rename(root / "CT-0" / "scan0.nii.gz")
    (root / "scan.nii.gz").rename(root / "CT-23" / "scan0.nii.gz")
    swapped = scans.read_folder(root).hash
    save(root / "CT-0" / "scan1.nii.gz", voxels(99))
    assert len({before, swapped, scans.read_folder(root).hash}) == 3


@pytest.mark.parametrize(
    ("names", "first"),
    [(("CT-0", "CT-23"), "CT-0"), (("abnormal", "normal"), "normal"), (("COVID", "Healthy"), "Healthy")]
    + [(("benign", "malignant"), "benign"), (("B", "A"), "A"), (("A-4", "ct-0"), "ct-0")],
)
def test_the_healthy_class_comes_first_and_names_are_the_users(tmp_path, names, first):
    data = scans.read_folder(fill(tmp_path, dict.fromkeys(names, 1)))
    assert data.classes[0] == first
    assert set(data.classes) == set(names)
    assert data.example(first).parent.name == first
    assert data.labels[[case.path.parent.name for case in data.cases].index(first)] == 0
    with pytest.raises(ValueError, match="found 'neither'"):
        data.example("neither")


def test_examples_are_the_scans_of_their_class_one_after_the_other(tmp_path):
    data = scans.read_folder(fill(tmp_path, {"CT-0": 2, "CT-23": 3}))
    paths = [data.example("CT-23", number) for number in range(4)]
    assert set(paths) == set((tmp_path / "CT-23").iterdir())
    assert paths[3] == paths[0]


def test_masks_and_hidden_folders_are_no_classes_and_other_files_no_scans(tmp_path):
    root = fill(tmp_path, {"CT-0": 1, "CT-23": 1, "masks": 1, ".trash": 1})
    for name in ("notes.txt", ".hidden.nii.gz", "scan.nii.gz.part"):
        (root / "CT-0" / name).write_text("nothing")
    save(root / "CT-0" / "LOUD.nii.gz", voxels(50)).rename(root / "CT-0" / "LOUD.NII.GZ")
    data = scans.read_folder(root)
    assert data.classes == ("CT-0", "CT-23")
    assert sorted(case.path.name for case in data.cases) == ["LOUD.NII.GZ", "scan0.nii.gz", "scan0.nii.gz"]


@pytest.mark.parametrize(
    ("counts", "named", "words"),
    [
        ({"CT-0": 2, "CT-23": 0}, "CT-23", "there is no scan"),
        ({"CT-0": 2}, "", "1 class folders (CT-0)"),
        ({}, "", "0 class folders (none)"),
        ({"CT-0": 1, "CT-1": 1, "CT-2": 1}, "", "3 class folders (CT-0, CT-1, CT-2)"),
    ],
)
def test_folders_that_are_not_two_filled_classes_are_refused(tmp_path, counts, named, words):
    root = fill(tmp_path / "scans", counts)
    root.mkdir(exist_ok=True)
    error = refusal(root)
    assert error.path == root / named
    assert words in error.fault
    assert "CT-0 and CT-23" in error.remedy or ".nii.gz" in error.remedy


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    assert refusal(tmp_path / "nowhere").path == tmp_path / "nowhere"


def test_one_scan_in_both_classes_is_refused_and_copies_in_one_class_are_told(tmp_path):
    root = fill(tmp_path, {"CT-0": 2, "CT-23": 2})
    shutil.copy(root / "CT-0" / "scan0.nii.gz", root / "CT-0" / "copy.nii.gz")
    data = scans.read_folder(root)
    assert "scans that are there twice: 1" in data.card()
    assert len(data.cases) == 5
    shutil.copy(root / "CT-0" / "scan0.nii.gz", root / "CT-23" / "again.nii.gz")
    error = refusal(root)
    assert "CT-23/again.nii.gz" in str(error)
    assert "CT-0/" in str(error)


def test_the_card_says_what_the_data_are(tmp_path):
    own = fill(tmp_path / "mine", {"benign": 2, "malignant": 3})
    card = scans.read_folder(own).card()
    assert "5 real scans, 2 benign and 3 malignant" in card
    assert "class 0 is benign, class 1 is malignant" in card
    assert "scans that are there twice: 0" in card
    assert "your own folder, mine" in card
    card = scans.read_folder(fill(tmp_path / "mosmed", {"CT-0": 1, "CT-23": 1})).card()
    assert "MosMedData" in card
    assert "CC BY-NC-ND" in card


def test_a_folder_named_by_a_dot_keeps_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(fill(tmp_path / "mosmed", {"CT-0": 1, "CT-23": 1}))
    assert "MosMedData" in scans.read_folder(Path(".")).citation


def test_phantoms_carry_their_keys_in_origin_json(tmp_path):
    root = fill(tmp_path, {"CT-0": 1, "CT-23": 1})
    hashes = [files.hash_file(path) for path in sorted(root.glob("*/*"))]
    plain = scans.read_folder(root)
    origin = {"origin": "phantom", "what": "synthetic", "licence": "CC0-1.0", "keys": {hashes[0]: "z", hashes[1]: "a"}}
    files.write_json(root / "ORIGIN.json", origin)
    data = scans.read_folder(root)
    assert (plain.origin, data.origin, data.licence, data.citation) == ("real", "phantom", "CC0-1.0", "synthetic")
    assert [(case.key, case.label) for case in data.cases] == [("a", 1), ("z", 0)]
    # Densities may differ in the last digit between machines; the keys, and so every split, may not.
    new = files.hash_file(save(root / "CT-0" / "scan0.nii.gz", voxels(77)))
    files.write_json(root / "ORIGIN.json", origin | {"keys": {new: "z", hashes[1]: "a"}})
    assert scans.read_folder(root).hash == data.hash


@pytest.mark.parametrize("text", ["[]", '{"origin": "guessed"}', '{"keys": []}', '{"origin": "phan'])
def test_an_origin_that_cannot_be_understood_is_refused_and_not_taken_for_real(tmp_path, text):
    root = fill(tmp_path, {"CT-0": 1, "CT-23": 1})
    (root / "ORIGIN.json").write_text(text)
    assert refusal(root).path == root / "ORIGIN.json"


def test_folders_of_dicom_slices_are_scans_known_by_their_slices(tmp_path):
    root = tmp_path / "scans"
    save_series(root / "sound" / "first", 1)
    save_series(root / "ill" / "second", 2)
    data = scans.read_folder(root)
    assert sorted(case.path.name for case in data.cases) == ["first", "second"]
    one = data.read(int(np.flatnonzero(data.labels == data.classes.index("sound"))[0]))
    assert one.spacing == SPACING
    np.testing.assert_array_equal(one.hu[::-1, ::-1], voxels(1))  # DICOM counts to the left and to the back
    for number, path in enumerate(sorted((root / "sound" / "first").iterdir())):
        path.rename(path.with_name(f"{9 - number}.ima"))
    (root / "sound" / "first").rename(root / "sound" / "renamed")
    assert scans.read_folder(root).hash == data.hash
    (root / "sound" / "renamed" / "3.ima").unlink()
    assert scans.read_folder(root).hash != data.hash


def test_lesions_lie_on_their_scan_and_are_none_where_there_is_no_mask(tmp_path):
    root = fill(tmp_path, {"CT-0": 1, "CT-23": 1})
    (root / "CT-23" / "scan0.nii.gz").rename(root / "CT-23" / "ill.nii.gz")
    mask = np.zeros(voxels(0).shape, np.uint8)
    mask[2:4, 3:5, 6] = 1
    save(root / "masks" / "ill_mask.nii.gz", mask)
    data = scans.read_folder(root)
    ill = int(np.flatnonzero(data.labels == 1)[0])
    np.testing.assert_array_equal(data.lesions(ill), mask.astype(bool))
    assert data.lesions(1 - ill) is None
    save(root / "masks" / "ill_mask.nii.gz", mask[:-1])
    with pytest.raises(DataError, match=r"ill\.nii\.gz"):
        data.lesions(ill)
