"""The command `python -m helpers.predict`: one answer a file, in the file's own count, or one sentence."""

import dataclasses
import itertools
import json
import subprocess
import sys

import nibabel as nib
import numpy as np
import paddle
import pydicom
import pytest
from matplotlib.text import Text
from test_l3_job import Looks
from test_l3_scans import block, stored
from tiny import one_sentence, save, save_series, voxels

from helpers import ct_job, l3_job, networks, predict, runtime, tasks, training

SPACING = (6.0, 6.0, 4.0)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Tasks as they are, with networks that take no time: for L3 one that points at the brightest row."""
    l3, ct = l3_job.l3, ct_job.ct

    def tiny_ct(run):
        return dataclasses.replace(ct(run), network=lambda *_: networks.CNN3D(1, (46, 46, 46)))

    monkeypatch.setitem(tasks.TASKS, "l3", lambda run: dataclasses.replace(l3(run), network=lambda *_: Looks()))
    monkeypatch.setitem(tasks.TASKS, "ct", tiny_ct)


class Blank:
    png = b"\x89PNG"


@pytest.fixture
def unpainted(monkeypatch):
    """Leave out what takes the time: the drawing."""
    monkeypatch.setattr(l3_job.views, "axial", lambda *_, **__: Blank)
    monkeypatch.setattr(l3_job.mip_views, "projections", lambda *_, **__: Blank)


@pytest.fixture
def weights(tmp_path):
    about = {"task": "l3", "run": "quick", "threshold": 0.5}
    return training.save(tmp_path / "weights.safetensors", Looks(), about)


def run(capsys, *arguments):
    code = predict.main([*map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def scan(path, plate=100.0, **layout):
    path.parent.mkdir(parents=True, exist_ok=True)
    hu, index = block(SPACING, plate=plate)
    nib.save(stored(hu, SPACING, **layout), path)
    return path, index


def answer(path):
    return json.loads(path.read_text(encoding="utf8"))


def refusal(capsys, *arguments):
    code, _, err = run(capsys, *arguments)
    assert code == 2
    one_sentence(err.strip())
    return err


# The answer


def test_the_index_is_that_slice_of_the_stored_file_in_all_48_orientations(tmp_path, capsys, weights, unpainted):
    layouts = itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3))
    paths = [
        scan(tmp_path / "in" / f"{number}.nii", order=order, signs=signs)
        for number, (order, signs) in enumerate(layouts)
    ]
    code, _, err = run(capsys, "l3", *(path for path, _ in paths), "--weights", weights, "--out", tmp_path / "out")
    assert (code, err, len(paths)) == (0, "", 48)
    places = set()
    for path, index in paths:
        found = answer(tmp_path / "out" / f"{path.stem}.json")
        assert list(found) == [
            *("file", "task", "in_view", "confidence", "threshold", "z_mm", "file_axis", "file_index")
        ]
        assert (found["file"], found["task"], found["in_view"]) == (path.name, "l3", True)
        image = nib.load(path)
        piece = np.asanyarray(image.dataobj).take(found["file_index"], axis=found["file_axis"])
        assert piece.max() == 2000
        assert found["z_mm"] == pytest.approx(200 + index * SPACING[2], abs=1.5)
        place = np.zeros(4)
        place[found["file_axis"]], place[3] = found["file_index"], 1
        assert (image.affine @ place)[2] == pytest.approx(200 + index * SPACING[2], abs=1e-3)
        assert 0.5 <= found["confidence"] <= 1
        places.add((found["file_axis"], found["file_index"]))
    assert len(places) == 6  # three axes, from either end


def test_the_pictures_show_the_slice_and_the_line(tmp_path, capsys, weights, monkeypatch):
    path, index = scan(tmp_path / "scan.nii.gz")
    drawn = {}
    for module, name in ((l3_job.views, "axial"), (l3_job.mip_views, "projections")):
        draw = getattr(module, name)

        def spy(*arguments, draw=draw, name=name, **options):
            drawn[name] = draw(*arguments, **options)
            return drawn[name]

        monkeypatch.setattr(module, name, spy)
    assert run(capsys, "l3", path, "--weights", weights, "--out", tmp_path / "out")[0] == 0
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["scan.json", "scan_l3.png", "scan_mips.png"]
    assert f"slice {index} of 60" in drawn["axial"].alt
    found = answer(tmp_path / "out" / "scan.json")
    assert f"L3: {found['z_mm']:.0f} mm" in drawn["projections"].alt.replace("L3, ", "L3: ")
    for name, file in (("axial", "scan_l3.png"), ("projections", "scan_mips.png")):
        assert (tmp_path / "out" / file).read_bytes() == drawn[name].png


def test_what_is_not_in_view_has_no_slice(tmp_path, capsys, weights):
    hu, _ = block(SPACING)
    nib.save(stored(np.minimum(hu, 300), SPACING), tmp_path / "scan.nii.gz")
    assert run(capsys, "l3", tmp_path / "scan.nii.gz", "--weights", weights, "--out", tmp_path / "out")[0] == 0
    found = answer(tmp_path / "out" / "scan.json")
    assert list(found) == ["file", "task", "in_view", "confidence", "threshold"]
    assert found["in_view"] is False
    assert found["confidence"] < found["threshold"] == 0.5
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["scan.json", "scan_mips.png"]


def test_ct_answers_with_probabilities_that_sum_to_one(tmp_path, capsys):
    network = networks.CNN3D(1, (46, 46, 46))
    about = {"task": "ct", "run": "quick", "classes": ["sound", "ill"]}
    weights = training.save(tmp_path / "w.safetensors", network, about)
    for seed in (1, 2):
        save(tmp_path / f"{seed}.nii.gz", voxels(seed))
    paths = [tmp_path / "1.nii.gz", tmp_path / "2.nii.gz"]
    assert run(capsys, "ct", *paths, "--weights", weights, "--out", tmp_path / "out")[0] == 0
    for path, name in zip(paths, ("1.json", "2.json"), strict=True):
        found = answer(tmp_path / "out" / name)
        assert list(found) == ["file", "task", "probability", "class"]
        assert list(found["probability"]) == ["sound", "ill"]
        assert sum(found["probability"].values()) == pytest.approx(1, abs=1e-6)
        assert found["class"] == max(found["probability"], key=found["probability"].get)
        assert found["file"] == path.name


# The files


def test_files_of_one_name_do_not_overwrite_each_other(tmp_path, capsys, weights, unpainted):
    wanted = {}
    paths = []
    for folder, name, plate, answered in [
        ("a", "scan.nii.gz", 60, "scan"),
        ("b", "scan.nii", 80, "scan-2"),
        ("c", "scan-2.nii.gz", 100, "scan-2-2"),
        ("d", "SCAN.nii", 120, "SCAN-3"),  # Windows and macOS take this for the first
    ]:
        path, index = scan(tmp_path / folder / name, plate=plate)
        paths.append(path)
        wanted[answered] = (name, index)
    assert run(capsys, "l3", *paths, "--weights", weights, "--out", tmp_path / "out")[0] == 0
    assert {path.stem for path in (tmp_path / "out").glob("*.json")} == set(wanted)
    for stem, (name, index) in wanted.items():
        found = answer(tmp_path / "out" / f"{stem}.json")
        assert (found["file"], found["file_index"]) == (name, index)
    assert len(list((tmp_path / "out").glob("*_mips.png"))) == 4


def test_a_broken_file_costs_a_sentence_and_the_others_go_on(tmp_path, capsys, weights, unpainted):
    good, index = scan(tmp_path / "good.nii.gz")
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(good.read_bytes()[:3000])
    code, out, err = run(
        capsys, "l3", broken, tmp_path / "nowhere.nii", good, "--weights", weights, "--out", tmp_path / "out"
    )
    assert code == 1
    assert [line.split(": ")[1].split(";")[0] for line in err.splitlines()] == [
        "it is cut short",
        "there is no such file or folder",
    ]
    for line in err.splitlines():
        one_sentence(line)
    assert answer(tmp_path / "out" / "good.json")["file_index"] == index
    assert [path.name for path in (tmp_path / "out").glob("*.json")] == ["good.json"]
    assert "good.nii.gz: " in out


def test_a_folder_of_slices_is_answered_and_no_patient_is_named(tmp_path, capsys, weights, monkeypatch):
    folder = save_series(tmp_path / "in" / "series", seed=2)
    for path in folder.iterdir():
        piece = pydicom.dcmread(path)
        piece.PatientName, piece.PatientID, piece.InstitutionName = "SECRET^Jane", "SECRET-7", "SECRET clinic"
        piece.save_as(path)
    hu, _ = block(SPACING)
    image = stored(hu, SPACING)
    image.header["descrip"] = image.header["db_name"] = b"SECRET"
    nib.save(image, tmp_path / "in" / "scan.nii")
    words = []
    for module, name in ((l3_job.views, "axial"), (l3_job.mip_views, "projections")):
        draw = getattr(module, name)

        def spy(*arguments, draw=draw, **options):
            picture = draw(*arguments, **options)
            words.extend([picture.alt, *(text.get_text() for text in picture.figure.findobj(Text))])
            return picture

        monkeypatch.setattr(module, name, spy)
    monkeypatch.setattr(Looks, "forward", lambda self, images: paddle.ones([len(images), 11, images.shape[2]]))
    monkeypatch.chdir(folder)
    loose = training.save(tmp_path / "loose", Looks(), {"task": "l3", "run": "quick", "threshold": 0.0})
    code, out, err = run(capsys, "l3", ".", tmp_path / "in" / "scan.nii", "--weights", loose, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    found = answer(tmp_path / "out" / "series.json")  # "." has a name, and nothing is written beside --out
    assert (found["file"], found["file_axis"]) == ("series", 2)
    assert 0 <= found["file_index"] < 10
    assert "SECRET" not in out + err + " ".join(words)
    assert not [path for path in (tmp_path / "out").iterdir() if b"SECRET" in path.read_bytes()]
    names = [f"{stem}{end}" for stem in ("scan", "series") for end in (".json", "_l3.png", "_mips.png")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert len(list(folder.iterdir())) == 10


def test_a_real_scan_gets_its_json_and_pictures(tmp_path, capsys, monkeypatch, realdata):
    def network(*_):
        paddle.seed(1)
        return networks.RowNet(2, depth=3, outputs=11)

    monkeypatch.setitem(tasks.TASKS, "l3", lambda run: dataclasses.replace(l3_job.l3(run), network=network))
    weights = training.save(tmp_path / "w", network(), {"task": "l3", "run": "quick", "threshold": 0.0})
    path = realdata / "ct" / "totalseg_abdomen_122x101x30.nii.gz"
    assert run(capsys, "l3", path, "--weights", weights, "--out", tmp_path / "out")[0] == 0
    stem = "totalseg_abdomen_122x101x30"
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        f"{stem}{end}" for end in (".json", "_l3.png", "_mips.png")
    ]
    assert 0 <= answer(tmp_path / "out" / f"{stem}.json")["file_index"] < 30


# The weights


def test_weights_that_do_not_belong_are_refused(tmp_path, capsys, weights):
    path, _ = scan(tmp_path / "scan.nii")
    out = ("--out", tmp_path / "out")
    assert "weights of the task l3; give weights from python -m helpers.train ct" in refusal(
        capsys, "ct", path, "--weights", weights, *out
    )
    nameless = training.save(tmp_path / "nameless", Looks())
    assert "it does not say of which task; give" in refusal(capsys, "l3", path, "--weights", nameless, *out)
    sizeless = training.save(tmp_path / "sizeless", Looks(), {"task": "l3", "run": ["quick"]})
    assert "of which run size" in refusal(capsys, "l3", path, "--weights", sizeless, *out)
    other = training.save(tmp_path / "other", paddle.nn.Linear(2, 1), {"task": "l3", "run": "quick", "threshold": 0.5})
    assert "where this network has" in refusal(capsys, "l3", path, "--weights", other, *out)
    assert "there is no such file; train first" in refusal(capsys, "l3", path, "--weights", tmp_path / "no", *out)
    (tmp_path / "pickle").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert "not a safetensors file" in refusal(capsys, "l3", path, "--weights", tmp_path / "pickle", *out)
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_cannot_be_is_told_in_a_sentence(tmp_path, capsys, weights, unpainted):
    path, _ = scan(tmp_path / "scan.nii")
    (tmp_path / "taken").write_text("a file")
    text = refusal(capsys, "l3", path, "--weights", weights, "--out", tmp_path / "taken")
    assert text.startswith(f"{(tmp_path / 'taken').as_posix()}")
    assert "it cannot be read or written" in text


def test_the_run_size_is_that_of_the_weights(tmp_path, capsys, monkeypatch, unpainted):
    sizes = []
    task = tasks.TASKS["l3"]
    monkeypatch.setitem(tasks.TASKS, "l3", lambda run: sizes.append(run.size) or task(run))
    monkeypatch.setenv("COURSE_RUN", "quick")
    path, _ = scan(tmp_path / "scan.nii")
    for size in runtime.SIZES:
        weights = training.save(tmp_path / "w", Looks(), {"task": "l3", "run": size, "threshold": 0.5})
        assert run(capsys, "l3", path, "--weights", weights, "--out", tmp_path / "out")[0] == 0
    assert sizes == list(runtime.SIZES)


@pytest.mark.parametrize("arguments", [[], ["l3"], ["unknown", "a", "--weights", "w", "--out", "o"]])
def test_words_that_are_wrong_end_with_code_2(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        predict.main(arguments)
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_the_command_ends_with_a_code_and_one_sentence(tmp_path):
    command = [sys.executable, "-m", "helpers.predict", "l3", "a.nii", "--weights", "none", "--out", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (2, "none: there is no such file; train first, or check the name.\n")
