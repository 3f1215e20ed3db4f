"""The check of a folder: every fault at once, each in a sentence with file and remedy, and no fault in good data."""

import shutil
import subprocess
import sys
import zipfile

import cv2
import nibabel as nib
import numpy as np
import pytest
from test_siim import HEADER, ROWS, make_folder
from tiny import SHAPE, SPACING, fill, one_sentence, save, save_series, voxels

from helpers import check, phantoms_l3, runtime
from helpers.trunk_scans import L3Settings
from tests.radiographs import assert_anonymous, change, make_dicom, plain

AFFINE = np.diag([*SPACING, 1.0])


@pytest.fixture(autouse=True)
def quiet(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.setattr(runtime, "BUILD", tmp_path_factory.mktemp("build"))  # where images seen are remembered


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
    root = fill(tmp_path, {"CT-0": 0, "CT-23": 1})
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
    assert "CT-23: 1 of 7 scans can be used" in understood


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

    fill_images(root / "radiography")
    make_folder(root / "siim")

    def state():
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in [root, *root.rglob("*")]}

    before = state()
    assert report(capsys, root)[0] == 1
    assert state() == before


def test_the_command_ends_with_its_code_and_without_a_traceback(tmp_path, capsys):
    root = fill(tmp_path, {"CT-0": 1, "CT-23": 1})
    spoil(root)
    command = [sys.executable, "-m", "helpers.check", "."]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == ""
    assert "refused: 6" in done.stdout
    assert "  CT-23/cut.nii.gz: it is cut short; copy or download it again." in done.stdout
    with pytest.raises(SystemExit) as ended:
        check.main([])
    assert ended.value.code == 2
    assert "usage: python -m helpers.check" in capsys.readouterr().err


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
    assert check.main([str(tmp_path / "l3")]) == 0
    assert "l3 stands alone here: COURSE_DATA must name the folder around it" in capsys.readouterr().out
    (tmp_path / "l3" / "ct" / "study_0001.nii.gz").write_bytes(b"no scan")
    assert check.main([str(tmp_path)]) == 1
    assert "study_0001.nii.gz" in capsys.readouterr().out
    (tmp_path / "l3" / "truth.csv").write_text("name\n")
    assert check.main([str(tmp_path)]) == 1
    assert "truth.csv" in capsys.readouterr().out


# Radiographs with masks


def test_radiographs_with_masks_are_described(tmp_path, capsys):
    folder = make_folder(tmp_path / "siim", [*ROWS, ("1.5", "-1")])
    change(next(folder.rglob("image1.dcm")), PhotometricInterpretation="MONOCHROME1", ViewPosition="AP")
    change(next(folder.rglob("image2.dcm")), ViewPosition=None, PixelSpacing=[0, 0])
    (folder / "notes.txt").write_text("read by nobody")
    code, understood, refused = report(capsys, tmp_path)
    assert (code, refused) == (0, [])
    assert understood[0] == "data set siim"
    assert "chest radiographs: 6 real images of 5 patients, 4 no pneumothorax and 2 pneumothorax" in understood
    assert "siim: 6 of 6 images can be used" in understood
    assert "  4 x 20 x 24 pixels, MONOCHROME2 of 8 bits, PA" in understood
    assert "  1 x 20 x 24 pixels, MONOCHROME1 of 8 bits, AP" in understood
    assert "  1 x 20 x 24 pixels, MONOCHROME2 of 8 bits, view unknown, spacing unknown" in understood
    assert "  ignored: 1 other file" in understood
    assert_anonymous("\n".join(understood))


def test_all_faults_of_radiographs_with_masks_are_told_at_once(tmp_path, capsys):
    folder = make_folder(tmp_path / "siim", [*ROWS, ("1.1", "5 10 7")])
    cut = next(folder.rglob("image4.dcm"))
    cut.write_bytes(cut.read_bytes()[:-100])
    (folder / "dicom-images-train" / "notes.dcm").write_text("404 not found")
    make_dicom(folder / "dicom-images-train" / "icon.dcm", plain(3, 3), SOPInstanceUID="1.9")
    code, understood, refused = report(capsys, tmp_path)
    assert code == 1
    wanted = {
        "(image1.dcm)": ("train-rle.csv", "pairs", "patient 00"),
        "image4.dcm": ("its pixels are cut short", "export it again"),
        "image5.dcm": ("patient 00", "has no row in the table of masks", "add one"),
        "notes.dcm": ("no DICOM file",),
        "icon.dcm": ("only 3 x 3 pixels",),
    }
    assert len(refused) == len(wanted)
    for name, words in wanted.items():
        (line,) = [line for line in refused if name in line]
        assert all(word in line for word in words), line
    assert "siim: 3 of 8 images can be used" in understood
    assert_anonymous("\n".join(understood + refused))


def test_radiographs_none_of_which_can_be_used_cost_a_sentence(tmp_path, capsys):
    folder = make_folder(tmp_path / "siim")
    table = folder / "train-rle.csv"
    for text, words in ((f"{HEADER}\n2.0,-1\n", "none can be used"), ("a,b\n1,2\n", "no column")):
        table.write_text(text)
        code, understood, refused = report(capsys, tmp_path)
        assert (code, understood) == (1, [])
        assert len(refused) == 1
        assert words in refused[0]
    table.unlink()
    assert "it holds no train-rle.csv" in report(capsys, tmp_path)[2][0]


# Images in class folders


def draw(path, seed, shape=(40, 32)):
    """Save an image unlike all others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 255, (8, 8), np.uint8)
    cv2.imwrite(str(path), cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_LINEAR))
    return path


def fill_images(root, names=("COVID", "NORMAL"), each=3):
    for label, name in enumerate(names):
        for number in range(each):
            draw(root / name / f"image{number}.png", 10 * label + number)
    return root


@pytest.mark.parametrize("around", ["radiography", "radiography_external"])
def test_images_in_class_folders_are_described(tmp_path, capsys, around):
    root = fill_images(tmp_path / around, ("COVID", "NORMAL", "VIRAL"))
    cv2.imwrite(str(root / "VIRAL" / "colour.jpg"), np.random.default_rng(1).integers(0, 255, (50, 60, 3), np.uint8))
    make_dicom(root / "VIRAL" / "film.dcm", plain(40, 30))
    (root / "VIRAL" / "list.csv").write_text("read by nobody")
    draw(root / "COVID" / "masks" / "image0.png", 0)
    code, understood, refused = report(capsys, tmp_path)
    assert (code, refused) == (0, [])
    assert understood[:2] == [f"data set {around}", "NORMAL: 3 of 3 images can be used"]
    assert "VIRAL: 5 of 5 images can be used" in understood
    for kind in ("3 x 40 x 32 pixels, grey", "1 x 50 x 60 pixels, RGB", "1 x 40 x 30 pixels, DICOM"):
        assert f"  {kind}" in understood
    assert "  ignored: 2 other files" in understood
    assert "chest X-rays: 11 real images, 3 NORMAL, 3 COVID, 5 VIRAL" in understood
    assert_anonymous("\n".join(understood))


def test_all_faults_of_images_are_told_at_once(tmp_path, capsys):
    root = fill_images(tmp_path / "radiography")
    cut = draw(root / "NORMAL" / "cut.png", 90)
    cut.write_bytes(cut.read_bytes()[:-60])
    draw(root / "COVID" / "icon.png", 91, (3, 3))
    (root / "COVID" / "text.jpg").write_text("404 not found")
    shutil.copy(draw(root / "COVID" / "both.png", 92), root / "NORMAL" / "again.png")
    code, understood, refused = report(capsys, tmp_path)
    assert code == 1
    wanted = {
        "NORMAL/cut.png": "cut short or damaged",
        "COVID/icon.png": "only 3 x 3 pixels",
        "COVID/text.jpg": "no DICOM, PNG or JPEG file",
        "COVID/both.png": "exact copy of it lies in another class",
        "NORMAL/again.png": "exact copy of it lies in another class",
    }
    assert len(refused) == len(wanted)
    for name, words in wanted.items():
        (line,) = [line for line in refused if line.startswith(f"{(root / name).as_posix()}: ")]
        assert words in line
    assert "COVID: 4 of 6 images can be used" in understood  # the one in two classes can be read
    assert "left out: 3 that cannot be read, 2 that lie in two classes" in "\n".join(understood)


def test_a_class_that_cannot_be_divided_is_told_beside_its_faults(tmp_path, capsys):
    root = fill_images(tmp_path / "radiography")
    for number in (0, 1):
        (root / "COVID" / f"image{number}.png").write_bytes(b"no picture")
    code, understood, refused = report(capsys, tmp_path)
    assert code == 1
    assert "COVID: 1 of 3 images can be used" in understood
    assert len(refused) == 3
    assert "this class holds one image that can be used, of 3" in refused[-1]
    shutil.rmtree(root / "COVID")
    code, understood, refused = report(capsys, tmp_path)
    assert (code, understood, len(refused)) == (1, [], 1)
    assert "1 class folders (NORMAL)" in refused[0]


def test_kinds_of_images_that_are_rare_are_put_together(tmp_path, capsys):
    root = fill_images(tmp_path / "radiography")
    for number in range(10):
        draw(root / "COVID" / f"other{number}.png", 50 + number, (60 + number, 50))
    _, understood, _ = report(capsys, tmp_path)
    assert "  3 x 40 x 32 pixels, grey" in understood
    assert "  3 x others, of 3 kinds" in understood


def test_images_without_the_folder_around_them_are_understood_and_told_where_to_lie(tmp_path, capsys):
    root = fill_images(tmp_path / "mine")
    code, understood, refused = report(capsys, root)
    assert (code, refused) == (0, [])
    assert "the notebooks find it as radiography in the folder that COURSE_DATA names" in understood[0]
    assert "chest X-rays: 6 real images, 3 NORMAL, 3 COVID" in understood
    assert not any("scan" in line for line in understood)


@pytest.mark.parametrize("given", ["data root", "folder", "archive"])
def test_images_in_an_archive_are_described_where_they_lie(tmp_path, capsys, given):
    fill_images(tmp_path / "source")
    folder = tmp_path / "data" / "radiography"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for path in sorted((tmp_path / "source").rglob("*.png")):
            archive.write(path, path.relative_to(tmp_path / "source"))
    places = {"data root": folder.parent, "folder": folder, "archive": folder / "images.zip"}
    code, understood, refused = report(capsys, places[given])
    assert (code, refused) == (0, [])
    assert "COVID: 3 of 3 images can be used" in understood
    assert [path.name for path in folder.iterdir()] == ["images.zip"]


def test_an_archive_that_leads_out_of_its_folder_costs_a_sentence(tmp_path, capsys):
    (tmp_path / "radiography").mkdir()
    with zipfile.ZipFile(tmp_path / "radiography" / "images.zip", "w") as archive:
        archive.writestr("../../x", b"out")
    code, understood, refused = report(capsys, tmp_path)
    assert (code, understood, len(refused)) == (1, [], 1)
    assert "outside of its folder" in refused[0]


# All together


def test_every_data_set_of_a_root_is_checked_one_after_the_other(tmp_path, capsys):
    fill(tmp_path / "mosmed", {"CT-0": 1, "CT-23": 1})
    make_folder(tmp_path / "siim", [*ROWS, ("1.5", "-1")])
    fill_images(tmp_path / "radiography")
    fill_images(tmp_path / "radiography_external")
    broken = {
        save(tmp_path / "mosmed" / "CT-0" / "text.nii.gz", voxels(5)),
        next((tmp_path / "siim").rglob("image3.dcm")),
        draw(tmp_path / "radiography" / "COVID" / "cut.png", 77),
        draw(tmp_path / "radiography_external" / "COVID" / "cut.png", 78),
    }
    for path in broken:
        path.write_bytes(b"nothing of use")
    code, understood, refused = report(capsys, tmp_path)
    assert code == 1
    heads = [line.removeprefix("data set ") for line in understood if line.startswith("data set ")]
    assert heads == ["mosmed", "siim", "radiography", "radiography_external"]
    assert {line.split(":")[0] for line in refused} == {path.as_posix() for path in broken}


def test_scans_beside_other_data_sets_are_told_from_them(tmp_path, capsys):
    fill(tmp_path, {"one": 1, "two": 1, "three": 1})
    make_folder(tmp_path / "siim", [*ROWS, ("1.5", "-1")])
    code, understood, refused = report(capsys, tmp_path)
    assert code == 1
    assert len(refused) == 1
    assert "3 class folders (one, three, two)" in refused[0]
    assert "siim: 6 of 6 images can be used" in understood
    assert "siim: 0 of 0 scans can be used" not in understood


def test_real_radiographs_alone(realdata, capsys):
    code, understood, refused = report(capsys, realdata / "siim")
    assert (code, refused) == (0, [])
    assert "siim stands alone here: COURSE_DATA must name the folder around it" in understood
    assert "  1 x 1024 x 1024 pixels, MONOCHROME1 of 8 bits, PA" in understood
    assert "  ignored: 1 other file" in understood  # a radiograph without an ending
