"""The check of a folder: every fault at once, each in a sentence with file and remedy, and no fault in good data."""

import shutil
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
from tiny import SHAPE, SPACING, fill, one_sentence, save, save_series, voxels

from helpers import check, phantoms_l3, runtime
from helpers.trunk_scans import L3Settings

AFFINE = np.diag([*SPACING, 1.0])


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")


def spoil(root):
    """Put one scan of each fault beside good ones; returns what each sentence must say."""
    ill = root / "CT-23"
    path = save(ill / "cut.nii.gz", voxels(90))
    path.write_bytes(path.read_bytes()[:900])
    nib.save(nib.Nifti1Image(np.stack([voxels(91), voxels(92)], -1), AFFINE), ill / "four.nii.gz")
    colour = np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(colour, AFFINE), ill / "colour.nii.gz")
    (ill / "text.nii.gz").write_text("Patient list of the ward")
    hollow = voxels(93).astype(np.float32)
    hollow[3, 4, 5] = np.nan
    save(ill / "hollow.nii.gz", hollow)
    (ill / "empty_series").mkdir()
    return {
        "cut.nii.gz": ("cut short", "copy or download it again"),
        "four.nii.gz": ("4-D and holds 2 volumes", "save one of them"),
        "colour.nii.gz": ("RGB colours", "export the scan itself"),
        "text.nii.gz": ("not a NIfTI file", "give a .nii or .nii.gz file"),
        "hollow.nii.gz": ("1 of its 1320 voxels are not numbers", "export the scan again"),
        "empty_series": ("no CT slice", "name the folder"),
    }


def report(capsys, folder):
    code = check.main([str(folder)])
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("refused: "))
    refused = [line.removeprefix("  ") for line in lines[at + 1 :]]
    assert lines[at] == f"refused: {len(refused) or 'nothing'}"
    for line in refused:
        one_sentence(line)
        assert line.endswith(".")
        assert "; " in line
    return code, lines[:at], refused


def test_all_faults_are_told_at_once_and_the_good_scans_are_counted(tmp_path, capsys):
    root = fill(tmp_path, {"CT-0": 0, "CT-23": 2})
    wanted = spoil(root)
    code, understood, refused = report(capsys, root)
    assert code == 1
    assert len(refused) == len(wanted) + 1
    for name, words in wanted.items():
        (line,) = [line for line in refused if line.startswith(f"{(root / 'CT-23' / name).as_posix()}: ")]
        assert all(word in line for word in words)
    (line,) = [line for line in refused if line.startswith(f"{(root / 'CT-0').as_posix()}: ")]
    assert "there is no scan in this class folder" in line
    assert "CT-0: 0 of 0 scans can be used" in understood
    assert "CT-23: 2 of 8 scans can be used" in understood


def test_many_scans_are_checked_on_all_cores_with_the_same_answer(tmp_path, capsys, monkeypatch):
    root = fill(tmp_path, {"CT-0": 1, "CT-23": 3})
    spoil(root)
    answers = []
    for cores in (1, 2):
        monkeypatch.setattr(runtime, "cores", lambda cores=cores: cores)
        answers.append(report(capsys, root))
    assert answers[0] == answers[1]
    assert len(answers[0][2]) == 6


@pytest.mark.parametrize(("counts", "words"), [({"CT-0": 2}, "1 class folders (CT-0)"), ({}, "0 class folders (none)")])
def test_a_missing_class_is_refused(tmp_path, capsys, counts, words):
    root = fill(tmp_path / "scans", counts)
    root.mkdir(exist_ok=True)
    code, _, refused = report(capsys, root)
    assert code == 1
    assert len(refused) == 1
    assert words in refused[0]
    assert "CT-0 and CT-23" in refused[0]


def test_a_folder_that_is_not_there_or_is_a_file_is_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("no folder")
    for name in ("nowhere", "file"):
        code, understood, refused = report(capsys, tmp_path / name)
        assert (code, understood) == (1, [])
        assert refused == [f"{(tmp_path / name).as_posix()}: there is no such folder; check the name."]


def test_one_scan_in_both_classes_is_told_beside_the_other_faults(tmp_path, capsys):
    root = fill(tmp_path, {"CT-0": 2, "CT-23": 2})
    shutil.copy(root / "CT-0" / "scan0.nii.gz", root / "CT-23" / "again.nii.gz")
    (root / "CT-0" / "text.nii").write_text("nothing of use")
    code, _, refused = report(capsys, root)
    assert code == 1
    assert len(refused) == 2
    assert any("same scan as" in line and "remove one" in line for line in refused)


@pytest.mark.parametrize("around", ["", "mosmed"])
def test_nothing_is_refused_in_good_data(tmp_path, capsys, monkeypatch, around):
    root = fill(tmp_path / "root" / around, {"CT-0": 2, "CT-23": 1, "masks": 1})
    save_series(root / "CT-23" / "series", 70)
    save(root / "CT-0" / "other.nii", voxels(71, (8, 9, 10)))
    (root / "CT-0" / "notes.txt").write_text("read by nobody")
    (root / "CT-0" / "list.csv").write_text("read by nobody")
    monkeypatch.chdir(tmp_path)
    code, understood, refused = report(capsys, "root")
    assert (code, refused) == (0, [])
    assert "CT-0: 3 of 3 scans can be used" in understood
    assert "CT-23: 2 of 2 scans can be used" in understood
    assert "  2 x 12 x 11 x 10 voxels of 3.00 x 2.50 x 4.00 mm, axes RAS" in understood
    assert "  1 x 8 x 9 x 10 voxels of 3.00 x 2.50 x 4.00 mm, axes RAS" in understood
    assert "  ignored: 2 other files" in understood
    assert "chest CT: 5 real scans, 3 CT-0 and 2 CT-23" in understood


def test_a_class_of_one_scan_can_be_used(tmp_path, capsys):
    code, understood, _ = report(capsys, fill(tmp_path, {"CT-0": 1, "CT-23": 1}))
    assert code == 0
    assert "CT-0: 1 of 1 scan can be used" in understood


def test_checking_leaves_the_folder_as_it_was(tmp_path, capsys):
    root = fill(tmp_path, {"CT-0": 1, "CT-23": 1})
    spoil(root)

    def state():
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in [root, *root.rglob("*")]}

    before = state()
    report(capsys, root)
    assert state() == before


def test_the_command_ends_with_its_code_and_without_a_traceback(tmp_path):
    root = fill(tmp_path, {"CT-0": 1, "CT-23": 1})
    spoil(root)
    command = [sys.executable, "-m", "helpers.check", "."]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == ""
    assert "refused: 6" in done.stdout
    assert "  CT-23/cut.nii.gz: it is cut short; copy or download it again." in done.stdout
    nothing = subprocess.run(command[:-1], cwd=root, capture_output=True, text=True, timeout=60)
    assert nothing.returncode == 2
    assert "Traceback" not in nothing.stderr


def test_a_disk_that_fails_is_told_in_a_sentence(tmp_path, capsys, monkeypatch):
    def fail(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(check.scans, "class_folders", fail)
    assert check.main([str(tmp_path)]) == 2
    text = capsys.readouterr().err.strip()
    one_sentence(text)
    assert "Permission denied" in text


def test_scans_of_l3_are_looked_over_too(tmp_path, capsys):
    phantoms_l3.make_l3(tmp_path / "l3", L3Settings(count=2, pixel=9.0, seed=3))
    assert check.main([str(tmp_path)]) == 0
    assert "trunk CT: 2 phantom scans" in capsys.readouterr().out
    (tmp_path / "l3" / "ct" / "study_0001.nii.gz").write_bytes(b"no scan")
    assert check.main([str(tmp_path)]) == 1
    assert "study_0001.nii.gz" in capsys.readouterr().out
    (tmp_path / "l3" / "truth.csv").write_text("name\n")
    assert check.main([str(tmp_path)]) == 1
    assert "truth.csv" in capsys.readouterr().out
