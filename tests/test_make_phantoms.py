"""The command that makes phantoms: a data root that works at once, plain sentences, and never a traceback."""

import os
import subprocess
import sys

import nibabel as nib
import pytest

from data_scripts import make_phantoms
from helpers import ct, files, l3_scans, masks, phantoms, runtime

ROOT = runtime.ROOT
FEW = ("--count", "2", "--matrix", "32")


def run(*arguments, **environment):
    """The command as a reader types it, in a process of its own."""
    command = [sys.executable, "-m", "data_scripts.make_phantoms", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | environment)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Ten scans, so many that several processes draw them, and what the command said."""
    root = tmp_path_factory.mktemp("data") / "root"
    return root, run("ct", "--out", root, "--count", 5, "--matrix", 32, "--seed", 7)


def test_it_writes_a_data_root_and_says_how_to_use_it(made):
    root, done = made
    assert done.returncode == 0, done.stderr
    assert {path.name for path in root.iterdir()} == {"mosmed"}
    for name, count in (("CT-0", 5), ("CT-23", 5), ("masks", 10)):
        assert len(list((root / "mosmed" / name).glob("*.nii.gz"))) == count
    assert "10 chest CT phantoms" in done.stdout
    assert f"COURSE_DATA={root.resolve()} make run" in done.stdout
    assert done.stderr == ""  # progress is for terminals


def test_the_course_finds_them_and_calls_them_phantoms(made, monkeypatch):
    root, _ = made
    monkeypatch.setenv("COURSE_DATA", str(root))
    folder = runtime.find_data("mosmed")
    assert folder == (root / "mosmed").resolve()
    assert files.read_json(folder / "ORIGIN.json")["origin"] == "phantom"


def test_its_options_reach_the_scans(made):
    root, _ = made
    settings = files.read_json(root / "mosmed" / "ORIGIN.json")["settings"]
    assert settings == {"healthy": 5, "ill": 5, "matrix": 32, "seed": 7}
    scan = ct.read_volume(root / "mosmed" / "CT-23" / "study_0006.nii.gz")
    drawn, _, _ = phantoms.draw_ct(6, True, phantoms.CTSettings(healthy=5, ill=5, matrix=32, seed=7))
    assert (scan.hu == drawn.clip(ct.AIR)).all()
    assert nib.load(root / "mosmed" / "CT-0" / "study_0000.nii.gz").shape[:2] == (32, 32)


def test_an_existing_folder_is_refused_in_one_sentence(made):
    root, _ = made
    before = sorted(path.name for path in root.rglob("*"))
    again = run("ct", "--out", root, *FEW)
    assert again.returncode == 2
    assert again.stdout == ""
    assert again.stderr.strip().endswith("mosmed: it is there already; name another folder.")
    assert again.stderr.count("\n") == 1
    assert sorted(path.name for path in root.rglob("*")) == before


def test_another_data_set_may_lie_beside_it(tmp_path, capsys):
    (tmp_path / "l3").mkdir()
    assert make_phantoms.main(["ct", "--out", str(tmp_path), *FEW]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"l3", "mosmed"}


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path, capsys):
    (tmp_path / "file").write_text("no folder")
    assert make_phantoms.main(["ct", "--out", str(tmp_path / "file"), *FEW]) == 2
    said = capsys.readouterr().err
    assert "file: it cannot be written (" in said
    assert said.count("\n") == 1


def test_a_full_disk_leaves_nothing_and_says_so(tmp_path, capsys, monkeypatch):
    def full(path, write):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_atomic", full)
    assert make_phantoms.main(["ct", "--out", str(tmp_path / "root"), *FEW]) == 2
    assert "it cannot be written (No space left on device)" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.part")) + list(tmp_path.rglob("mosmed"))


def test_a_stopped_run_keeps_nothing(tmp_path, capsys, monkeypatch):
    def stopped(items, **_):
        next(iter(items))
        raise KeyboardInterrupt

    monkeypatch.setattr(runtime, "progress", stopped)
    assert make_phantoms.main(["ct", "--out", str(tmp_path / "root"), *FEW]) == 130
    assert "nothing was kept" in capsys.readouterr().err
    assert not list((tmp_path / "root").iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mri"], "invalid choice: 'mri'"),
        (["ct", "--count", "0"], "must be a whole number of at least 1, but is '0'"),
        (["ct", "--matrix", "8"], "must be a whole number of at least 32, but is '8'"),
        (["ct", "--seed", "-1"], "must be a whole number of at least 0, but is '-1'"),
        (["ct", "--count", "many"], "must be a whole number of at least 1, but is 'many'"),
    ],
)
def test_wrong_words_are_explained(arguments, said, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        make_phantoms.main([*arguments, "--out", str(tmp_path / "root")])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "root").exists()


def test_without_out_it_says_what_is_missing(capsys):
    with pytest.raises(SystemExit):
        make_phantoms.main(["ct"])
    assert "--out" in capsys.readouterr().err


def test_trunk_scans_are_made_with_their_truth(tmp_path):
    done = run("l3", "--out", tmp_path / "root", "--count", 3, "--matrix", 40, "--seed", 7)
    assert done.returncode == 0, done.stderr
    found = l3_scans.read_folder(tmp_path / "root" / "l3")
    assert (len(found.cases), found.origin) == (3, "phantom")
    assert "3 trunk CT phantoms" in done.stdout


def test_the_published_layout_of_projections_can_be_asked_for(tmp_path):
    done = run("l3", "--npz", "--out", tmp_path / "root", "--count", 3, "--matrix", 40, "--seed", 7)
    assert done.returncode == 0, done.stderr
    found = l3_scans.read_folder(tmp_path / "root" / "l3")
    assert 1 <= len(found.cases) <= 3
    assert found.origin == "phantom"
    assert not runtime.is_real("l3", tmp_path / "root")
    again = run("l3", "--npz", "--out", tmp_path / "root", "--count", 3)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "it is there already" in again.stderr


def test_the_layout_of_projections_is_for_l3_alone(tmp_path):
    assert "--npz is for l3 alone" in run("ct", "--npz", "--out", tmp_path / "root").stderr


def test_radiographs_are_made_with_their_table_of_masks(tmp_path):
    done = run("pneumothorax", "--out", tmp_path / "root", "--count", 9, "--matrix", 48, "--seed", 7)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "root" / "siim"
    table = masks.read_table(folder / "train-rle.csv").images
    images = {path.stem for path in folder.rglob("*.dcm")}
    assert len(images) == 9
    assert len(images & set(table)) == 9
    assert files.read_json(folder / "ORIGIN.json")["settings"] == {"count": 9, "pixels": 48, "seed": 7}
    assert "9 chest radiographs" in done.stdout


def test_chest_x_rays_of_other_hospitals_lie_in_a_folder_of_their_own(tmp_path):
    done = run("xray", "--external", "--out", tmp_path / "root", "--count", 2, "--matrix", 48, "--seed", 7)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "root" / "radiography_external"
    assert len(list(folder.glob("*/*"))) == 6
    settings = files.read_json(folder / "ORIGIN.json")["settings"]
    assert (settings["external"], settings["confounded"], settings["seed"]) == (True, False, 7)
    assert "6 chest X-rays" in done.stdout


@pytest.mark.parametrize("task", make_phantoms.MAKERS)
def test_a_switch_is_for_its_own_task_alone(task, tmp_path, capsys):
    for other in set(make_phantoms.MAKERS) - {task}:
        for switch in make_phantoms.MAKERS[other].switches:
            with pytest.raises(SystemExit):
                make_phantoms.main([task, f"--{switch}", "--out", str(tmp_path / "root")])
            assert f"--{switch} is for {other} alone" in capsys.readouterr().err
