"""The command `python -m helpers.train`: it runs on a handful of scans, says what it cannot measure, and repeats."""

import csv
import dataclasses
import errno
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from tiny import fill, one_sentence, save, voxels

from helpers import (
    ct_job,
    datasets,
    files,
    l3_job,
    l3_scans,
    metrics,
    networks,
    passports,
    phantoms_l3,
    runtime,
    tasks,
    train,
    training,
)
from helpers.trunk_scans import L3Settings


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


def table(path):
    with open(path, newline="", encoding="utf8") as file:
        return list(csv.DictReader(file))


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
    about = files.read_about(out / "weights.safetensors")
    assert about == {"task": "ct", "run": "quick", "data": "real", "classes": ["CT-0", "CT-23"]}
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
    endings = ("csv", "json", "safetensors")
    wanted = [f"fold{number}.{ending}" for number in (1, 2) for ending in endings] + ["folds.csv"]
    assert sorted(path.name for path in out.iterdir()) == wanted
    cases = [row for number in (1, 2) for row in table(out / f"fold{number}.csv")]
    assert sorted(row["case"] for row in cases) == sorted(files.hash_file(path) for path in scans.rglob("*.nii.gz"))
    folder = {files.hash_file(path): path.parent.name for path in scans.rglob("*.nii.gz")}
    assert all(int(row["truth"]) == (folder[row["case"]] == "CT-23") for row in cases)
    assert all(0 < float(row["score"]) < 1 for row in cases)
    rows = table(out / "folds.csv")
    assert [row["fold"] for row in rows] == ["fold1"] * 4 + ["fold2"] * 4 + ["all"] * 4
    assert {(row["name"], row["value"], row["cases"]) for row in rows[8:] if row["name"] == "ROC AUC"} == {
        ("ROC AUC", "", "8")
    }


def test_enough_cases_are_measured_across_folds(tmp_path, capsys):
    root = fill(tmp_path / "many", {"CT-0": 10, "CT-23": 0}, shape=(4, 4, 4))
    for number in range(10):  # plainly denser, so that the figures have something to find
        save(root / "CT-23" / f"{number}.nii.gz", voxels(100 + number, (4, 4, 4)) // 4 + np.int16(100))
    code, text, _ = run(capsys, "--data", root, "--epochs", 1, "--folds", 2, "--out", tmp_path / "out")
    assert code == 0
    assert "cannot be measured" not in text
    assert [line.split()[0] for line in text.splitlines() if " of 20 " in line] == ["accuracy"]
    cases = [row for number in (1, 2) for row in table(tmp_path / "out" / f"fold{number}.csv")]
    report = metrics.binary_report(
        [int(row["truth"]) for row in cases], [np.float32(row["score"]) for row in cases], majority=0
    )
    rows = {row["name"]: row for row in table(tmp_path / "out" / "folds.csv") if row["fold"] == "all"}
    for estimate in report:  # the files hold what is needed to work the figures out again
        assert [float(rows[estimate.name][name]) for name in ("value", "low", "high", "baseline")] == pytest.approx(
            [estimate.value, estimate.low, estimate.high, estimate.baseline]
        )
        assert estimate.value is not None


# Broken off


def interrupt_after(monkeypatch, epochs):
    """Press Ctrl-C at the end of the training part of the epoch that follows, counted over all folds."""
    counts = []

    def metric(targets, log_odds):
        counts.append(1)
        if len(counts) == 2 * epochs + 1:  # one call for the training set and one for the validation set
            signal.raise_signal(signal.SIGINT)
        return correct_share(targets, log_odds)

    correct_share = ct_job.correct_share
    monkeypatch.setattr(ct_job, "correct_share", metric)
    return counts


def contents(folder):
    """All that a run leaves, but for measured time."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.name == "passport.json":
            found[path.name] = passports.read(path).result
        elif path.suffix == ".json":
            found[path.name] = [{k: v for k, v in row.items() if k != "seconds"} for row in files.read_json(path)]
        else:
            found[path.name] = path.read_bytes()
    return found


@pytest.fixture
def elsewhere_run(tmp_path):
    """The command in a process of its own, which leaves nothing in the course's folders."""
    code = "import sys; from pathlib import Path; from helpers import runtime, train; "
    code += f"runtime.ROOT = Path({str(tmp_path / 'course')!r}); runtime.BUILD = runtime.ROOT / 'build'; "
    command = [sys.executable, "-u", "-c", code + "sys.exit(train.main(sys.argv[1:]))", "ct"]

    def begin(*arguments):
        return subprocess.Popen(
            [*command, *map(str, arguments)], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    return begin


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends Ctrl-C to a whole group of processes")
def test_ctrl_c_says_how_to_go_on_and_going_on_ends_with_the_same_files(tmp_path, capsys, scans, elsewhere_run):
    arguments = ("--data", scans, "--epochs", 4, "--seed", 3)
    process = elsewhere_run(*arguments, "--out", tmp_path / "out")
    while not process.stdout.readline().startswith("epoch   2/4"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    text, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped by hand in epoch " in text
    assert err.startswith("Stopped; the same command with --resume goes on")
    one_sentence(err.strip())
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"best.safetensors", "last.safetensors"}

    text = refusal(capsys, *arguments, "--out", tmp_path / "out")  # and it is not lost by starting anew
    assert text.startswith(f"{(tmp_path / 'out').as_posix()}: it holds a training that was not finished; add --resume")
    code, text, err = run(capsys, *arguments, "--out", tmp_path / "out", "--resume")
    assert (code, err) == (0, "")
    assert "going on after epoch " in text
    assert "epoch   1/4" not in text
    assert run(capsys, *arguments, "--out", tmp_path / "whole")[0] == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_folds_that_are_done_are_not_trained_again(tmp_path, capsys, monkeypatch, scans):
    arguments = ("--data", scans, "--epochs", 3, "--folds", 3, "--out", tmp_path / "out")
    with monkeypatch.context() as patch:
        interrupt_after(patch, 3 + 1)  # in the second epoch of the second fold
        code, text, err = run(capsys, *arguments)
    assert (code, err.count("\n")) == (130, 1)
    assert "--resume" in err
    assert "stopped by hand in epoch 2" in text
    assert (tmp_path / "out" / "fold1.csv").exists()
    assert not (tmp_path / "out" / "fold2.csv").exists()
    assert "add --resume" in refusal(capsys, *arguments)
    with monkeypatch.context() as patch:
        calls = interrupt_after(patch, 1000)
        code, text, err = run(capsys, *arguments, "--resume")
    assert (code, err) == (0, "")
    assert len(calls) == 2 * (2 + 3)  # two epochs of the second fold, three of the third
    lines = text.splitlines()
    assert lines[lines.index("fold 1 of 3") + 1 :][:2] == ["going on after epoch 3 of 3", "fold 2 of 3"]
    assert lines[lines.index("fold 2 of 3") + 1] == "going on after epoch 1 of 3"
    assert run(capsys, *arguments[:-1], tmp_path / "whole")[0] == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_ctrl_c_before_an_epoch_is_finished_leaves_nothing_to_resume(tmp_path, capsys, monkeypatch, scans):
    arguments = ("--data", scans, "--epochs", 1, "--out", tmp_path / "out")
    with monkeypatch.context() as patch:
        interrupt_after(patch, 0)
        code, _, err = run(capsys, *arguments)
    assert (code, err) == (130, "Stopped before an epoch was finished, so there is nothing to resume.\n")
    assert list((tmp_path / "out").iterdir()) == []
    code, text, _ = run(capsys, *arguments, "--resume")
    assert code == 0
    assert f"there is no training to go on with in {tmp_path / 'out'}, so it starts at the first epoch" in text


def test_an_unfinished_training_is_told_before_the_data_are_prepared(tmp_path, capsys, monkeypatch, scans):
    (tmp_path / "fold2-last.safetensors").write_bytes(b"hours of work")
    monkeypatch.setattr(datasets, "prepare", lambda *_: pytest.fail("it was prepared first"))
    assert "--resume" in refusal(capsys, "--data", scans, "--out", tmp_path)
    assert (tmp_path / "fold2-last.safetensors").read_bytes() == b"hours of work"


@pytest.mark.parametrize(
    ("change", "words"),
    [(("--epochs", 3), "epochs is 2 there and 3 here"), (("--seed", 4), "seed is 2020 there and 4")],
)
def test_going_on_with_other_settings_is_refused(tmp_path, capsys, monkeypatch, scans, change, words):
    arguments = ("--data", scans, "--epochs", 2, "--out", tmp_path / "out")
    with monkeypatch.context() as patch:
        interrupt_after(patch, 1)
        assert run(capsys, *arguments)[0] == 130
    assert words in refusal(capsys, *arguments, "--resume", *change)
    (next(scans.rglob("CT-0/*.nii.gz"))).unlink()
    assert "it belongs to another training: " in refusal(capsys, *arguments, "--resume")


def test_results_that_cannot_be_written_cost_no_training(tmp_path, capsys, monkeypatch, scans):
    arguments = ("--data", scans, "--epochs", 1, "--out", tmp_path / "out")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_json", full)
        text = refusal(capsys, *arguments)
    assert text.startswith(f"{(tmp_path / 'out').as_posix()}: the results cannot be written there (No space left")
    assert "--resume" in text
    with monkeypatch.context() as patch:
        patch.setattr(training, "_train_epoch", lambda *_: pytest.fail("it was trained again"))
        assert run(capsys, *arguments, "--resume")[0] == 0
    names = ["history.json", "passport.json", "weights.safetensors"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names


@pytest.mark.parametrize(("name", "start"), [(None, "the disk: "), ("cache", "cache: ")])
def test_a_disk_that_fails_anywhere_else_is_told_in_a_sentence(tmp_path, capsys, monkeypatch, scans, name, start):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)

    monkeypatch.setattr(datasets, "prepare", full)
    text = refusal(capsys, "--data", scans, "--out", tmp_path / "out")
    assert text == f"{start}it cannot be read or written (No space left on device); check the disk and the permissions."


# Arguments and data


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


# Notebook 02's job


@pytest.fixture(scope="module")
def trunks(tmp_path_factory):
    """A handful of phantoms as somebody's own scans."""
    root = tmp_path_factory.mktemp("trunks")
    folder = phantoms_l3.make_l3(root / "l3", L3Settings(count=16, pixel=9.0, seed=4))
    (folder / "ORIGIN.json").unlink()
    return root


@pytest.fixture
def small_l3(monkeypatch):
    def small(run):
        task = l3_job.l3(run)
        return dataclasses.replace(task, network=lambda *_: networks.RowNet(2, depth=3, outputs=len(l3_scans.LEVELS)))

    monkeypatch.setitem(tasks.TASKS, "l3", small)


def run_l3(capsys, *arguments):
    code = train.main(["l3", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_l3_is_trained_on_somebodys_own_scans_and_its_weights_know_their_threshold(tmp_path, capsys, trunks, small_l3):
    out = tmp_path / "out"
    code, text, err = run_l3(capsys, "--data", trunks, "--epochs", 1, "--out", out)
    assert (code, err) == (0, "")
    assert "trunk CT: 16 real scans" in text
    about = files.read_about(out / "weights.safetensors")
    assert {name: about[name] for name in ("task", "run", "classes")} == {
        "task": "l3",
        "run": "quick",
        "classes": ["with L3", "without"],
    }
    assert 0 <= about["threshold"] <= 1
    assert passports.read(out / "passport.json").task == "l3"
    assert not list(trunks.rglob("*.npy"))


def test_folds_of_l3_give_a_table_each_and_a_row_over_all(tmp_path, capsys, trunks, small_l3):
    out = tmp_path / "out"
    code, _, err = run_l3(capsys, "--data", trunks, "--epochs", 1, "--folds", 2, "--out", out)
    assert (code, err) == (0, "")
    cases = [row for number in (1, 2) for row in table(out / f"fold{number}.csv")]
    assert {"case", "true_row", "found_row", "confidence", "error_mm"} <= set(cases[0])
    data = l3_scans.read_folder(trunks / "l3")
    prepared = l3_scans.prepare(data)
    assert sorted(row["case"] for row in cases) == sorted(case.key for case in data.cases)
    truth = {case.key: prepared.levels[index, l3_scans.TARGET] for index, case in enumerate(data.cases)}
    for row in cases:
        true, found = float(row["true_row"]), float(row["found_row"])
        assert true == pytest.approx(truth[row["case"]], nan_ok=True)
        assert float(row["error_mm"]) == pytest.approx((found - true) * l3_scans.MM, nan_ok=True)
        assert 0 <= float(row["confidence"]) <= 1
    rows = [row for row in table(out / "folds.csv") if row["fold"] == "all"]
    errors = np.abs([float(row["error_mm"]) for row in cases])
    shown = errors[np.isfinite(errors)]
    by_name = {row["name"]: row for row in rows}
    assert by_name["median error, mm"]["value"] == "" or float(by_name["median error, mm"]["value"]) == pytest.approx(
        np.median(shown)
    )
    assert int(by_name["'not in view' with L3"]["cases"]) == len(shown)
    assert int(by_name["'not in view' without L3"]["cases"]) == len(errors) - len(shown)


def test_going_on_after_the_truth_was_corrected_is_refused(tmp_path, capsys, monkeypatch, trunks, small_l3):
    root = tmp_path / "mine"
    (root / "l3").mkdir(parents=True)
    os.symlink(trunks / "l3" / "ct", root / "l3" / "ct")
    text = (trunks / "l3" / "truth.csv").read_text()
    (root / "l3" / "truth.csv").write_text(text)
    arguments = ("--data", root, "--epochs", 2, "--out", tmp_path / "out")
    with monkeypatch.context() as patch:
        counts, right = [], l3_job.right_level

        def metric(targets, outputs):
            counts.append(1)
            if len(counts) == 3:
                signal.raise_signal(signal.SIGINT)
            return right(targets, outputs)

        patch.setattr(l3_job, "right_level", metric)
        assert run_l3(capsys, *arguments)[0] == 130
    lines = text.splitlines()
    column = lines[0].split(",").index("l3_mm")
    number = next(n for n, line in enumerate(lines[1:], 1) if line.split(",")[column])
    cells = lines[number].split(",")
    cells[column] = str(float(cells[column]) + 3)
    lines[number] = ",".join(cells)
    (root / "l3" / "truth.csv").write_text("\n".join(lines))
    code, _, err = run_l3(capsys, *arguments, "--resume")
    assert code == 2
    assert "it belongs to another training: data is " in err
    (root / "l3" / "truth.csv").write_text(text)
    assert run_l3(capsys, *arguments, "--resume")[0] == 0
