"""The command `python -m helpers.train`: it runs on a handful of scans, says what it cannot measure, and repeats."""

import subprocess
import sys

import numpy as np
import pytest
from tiny import fill, one_sentence, save, voxels

from helpers import files, passports, runtime, tasks, train, training


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "ROOT", tmp_path / "course")
    monkeypatch.setattr(runtime, "BUILD", tmp_path / "course" / "build")
    monkeypatch.setenv("COURSE_RUN", "quick")
    monkeypatch.delenv("COURSE_DATA", raising=False)
    monkeypatch.setenv("TQDM_DISABLE", "1")


@pytest.fixture
def scans(tmp_path):
    return fill(tmp_path / "hospital", {"mosmed/CT-0": 4, "mosmed/CT-23": 4})


def run(capsys, *arguments):
    code = train.main(["ct", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def refusal(capsys, *arguments) -> str:
    code, _, err = run(capsys, *arguments)
    assert code == 2
    one_sentence(err.strip())
    return err.strip()


def test_one_epoch_on_a_handful_of_real_scans(tmp_path, capsys, scans):
    out = tmp_path / "out"
    code, text, err = run(capsys, "--data", scans, "--epochs", 1, "--out", out, "--seed", 3)
    assert (code, err) == (0, "")
    assert "real: mosmed" in text
    assert "chest CT: 8 real scans, 4 CT-0 and 4 CT-23" in text
    assert "epoch   1/1" in text
    for metric in ("accuracy", "sensitivity", "specificity", "ROC AUC"):
        assert f"{metric} cannot be measured: only 1 " in text  # one scan of a class is tested: no figure

    passport = passports.read(out / "passport.json")
    assert (passport.task, passport.data, passport.run, passport.seed) == ("ct", "real", "quick", 3)
    assert (passport.value, passport.interval, passport.counts[1]) == (None, None, 2)
    assert passport == passports.read(runtime.BUILD / "passports" / "ct-quick-real.json")

    (row,) = files.read_json(out / "history.json")
    assert row["epoch"] == 1
    assert all(np.isfinite(row[name]) for name in ("loss", "metric", "valid_loss", "valid_metric"))

    network = tasks.ct(runtime.Run(2020, "quick", "cpu", tmp_path)).network()
    training.load(out / "weights.safetensors", network)
    saved = files.load_weights(out / "weights.safetensors")
    assert all(np.array_equal(tensor.numpy(), saved[name]) for name, tensor in network.state_dict().items())
    assert sorted(path.name for path in out.iterdir()) == ["history.json", "passport.json", "weights.safetensors"]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path, capsys, scans):
    found = []
    for number, seed in enumerate((5, 5, 6)):
        out = tmp_path / str(number)
        assert run(capsys, "--data", scans, "--epochs", 2, "--seed", seed, "--out", out)[0] == 0
        found.append(((out / "weights.safetensors").read_bytes(), passports.read(out / "passport.json").result))
    assert found[0] == found[1]
    assert found[0][0] != found[2][0]
    assert found[0][1]["split_hash"] != found[2][1]["split_hash"]


def test_folds_test_every_case_once(tmp_path, capsys, scans):
    out = tmp_path / "out"
    code, text, _ = run(capsys, "--data", scans, "--epochs", 1, "--folds", 2, "--out", out)
    assert code == 0
    assert "fold 1 of 2" in text
    assert "fold 2 of 2" in text
    assert "all 8 cases, each tested once" in text
    assert "ROC AUC cannot be measured: only 4 normal cases and 4 abnormal cases among 8 test cases" in text
    first, second = (files.load_weights(out / f"fold{number}.safetensors") for number in (1, 2))
    assert any(not np.array_equal(first[name], second[name]) for name in first)


def test_enough_cases_are_measured_across_folds(tmp_path, capsys):
    root = fill(tmp_path / "many", {"CT-0": 10, "CT-23": 0}, shape=(4, 4, 4))
    for number in range(10):  # plainly denser, so that the figures have something to find
        save(root / "CT-23" / f"{number}.nii.gz", voxels(100 + number, (4, 4, 4)) // 4 + np.int16(100))
    code, text, _ = run(capsys, "--data", root, "--epochs", 1, "--folds", 2, "--out", tmp_path / "out")
    assert code == 0
    assert "cannot be measured" not in text
    assert [line.split()[0] for line in text.splitlines() if " of 20 " in line] == ["accuracy"]


@pytest.mark.parametrize("place", ["mosmed", ""])
def test_data_named_relative_or_by_the_variable_are_the_same_run(tmp_path, capsys, monkeypatch, place):
    fill(tmp_path / "mine" / place, {"CT-0": 2, "CT-23": 3})
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "--data", "mine", "--epochs", 1, "--out", "a")[0] == 0
    monkeypatch.setenv("COURSE_DATA", "mine")
    code, text, _ = run(capsys, "--epochs", 1)
    assert code == 0
    assert "data root …/mine: real: mosmed" in text
    named, found = (
        passports.read(path / "passport.json") for path in (tmp_path / "a", runtime.BUILD / "runs/ct-quick")
    )
    assert named.result == found.result
    assert named.data == "real"


@pytest.mark.parametrize("counts", [(1, 1), (1, 3), (2, 2)])
def test_the_smallest_data_run_to_the_end_and_are_not_measured(tmp_path, capsys, counts):
    root = fill(tmp_path / "few", dict(zip(("sound", "ill"), counts, strict=True)))
    code, text, err = run(capsys, "--data", root, "--epochs", 1, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    assert "ROC AUC cannot be measured" in text
    assert passports.read(tmp_path / "out" / "passport.json").value is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--epochs", 0), "--epochs must be at least 1, but is 0"), (("--epochs", -3), "--epochs must be at least 1")]
    + [(("--folds", 1), "--folds must be at least 2, but is 1"), (("--seed", -1), "--seed must be at least 0")]
    + [(("--folds", 9), "4 scans of CT-0 cannot be divided into 9 folds")],
)
def test_numbers_that_cannot_be_are_refused(tmp_path, capsys, scans, arguments, words):
    assert words in refusal(capsys, "--data", scans, "--out", tmp_path / "out", *arguments)


def test_a_data_folder_that_is_wrong_is_named(tmp_path, capsys):
    assert refusal(capsys, "--data", tmp_path / "nowhere").startswith(
        f"{(tmp_path / 'nowhere').as_posix()}: there is no"
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    text = refusal(capsys, "--data", empty)
    assert "there is no data set in it" in text
    assert "CT-0 and CT-23" in text
    assert not (runtime.ROOT / "data").exists()  # and no phantoms were drawn instead


def test_scans_that_are_wrong_are_named(tmp_path, capsys, scans):
    path = scans / "mosmed" / "CT-0" / "scan1.nii.gz"
    path.write_bytes(path.read_bytes()[:700])
    text = refusal(capsys, "--data", scans, "--epochs", 1)
    assert text.startswith(f"{path.as_posix()}: it is cut short; ")
    for scan in (scans / "mosmed" / "CT-23").iterdir():
        scan.unlink()
    assert "CT-23: there is no scan" in refusal(capsys, "--data", scans, "--epochs", 1)


def test_a_run_size_that_is_wrong_is_told(capsys, monkeypatch, scans):
    monkeypatch.setenv("COURSE_RUN", "huge")
    assert "COURSE_RUN must be one of quick, class, full" in refusal(capsys, "--data", scans)


def test_an_output_folder_that_cannot_be_made_is_told_before_the_training(tmp_path, capsys, monkeypatch, scans):
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setattr(training, "fit", lambda *_, **__: pytest.fail("it was trained first"))
    text = refusal(capsys, "--data", scans, "--epochs", 1, "--out", tmp_path / "taken")
    assert text.startswith(f"{(tmp_path / 'taken').as_posix()}: ")
    assert "--out" in text


def test_the_command_ends_with_a_code_and_one_sentence(tmp_path):
    command = [sys.executable, "-m", "helpers.train", "ct"]
    done = subprocess.run([*command, "--epochs", "0"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (2, "--epochs must be at least 1, but is 0\n")


@pytest.mark.parametrize("arguments", [[], ["unknown"], ["ct", "--run", "huge"], ["ct", "--epochs", "many"]])
def test_words_that_are_wrong_end_with_code_2(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        train.main(arguments)
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err
