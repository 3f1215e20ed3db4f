"""The machine under the course: what a run says of itself is true, and the same seed gives the same numbers."""

import io
import os
import random
import re
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest
from tiny import fill, one_sentence, save_series

from helpers import files, runtime
from helpers.files import DataError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """No test sees the data of this checkout, or a variable that the shell has set."""
    monkeypatch.setattr(runtime, "ROOT", tmp_path / "course")
    monkeypatch.setattr(runtime, "BUILD", tmp_path / "course" / "build")
    monkeypatch.setenv("COURSE_RUN", "quick")
    monkeypatch.delenv("COURSE_DATA", raising=False)


@pytest.mark.parametrize("size", ["huge", "Quick", "quick "])
def test_an_unknown_run_size_is_refused(monkeypatch, size):
    monkeypatch.setenv("COURSE_RUN", size)
    with pytest.raises(ValueError, match="COURSE_RUN") as caught:
        runtime.start()
    one_sentence(str(caught.value))
    assert repr(size) in str(caught.value)
    assert all(known in str(caught.value) for known in ("quick", "class", "full"))


@pytest.mark.parametrize(
    ("device", "data", "size"),
    [("cpu", None, "quick"), ("cpu", "real", "quick"), ("gpu", None, "class"), ("gpu", "real", "full")]
    + [("gpu", "phantom", "class")],
)
def test_the_run_size_follows_device_and_data(monkeypatch, tmp_path, device, data, size):
    monkeypatch.delenv("COURSE_RUN")
    monkeypatch.setattr(runtime, "device", lambda: device)
    root = fill(tmp_path / "root", {"mosmed/CT-0": 1, "mosmed/CT-23": 1} if data else {})
    root.mkdir(exist_ok=True)
    if data == "phantom":
        files.write_json(root / "mosmed" / "ORIGIN.json", {"origin": "phantom"})
    assert runtime.run_size(root) == size
    monkeypatch.setenv("COURSE_DATA", str(root))
    assert runtime.run_size() == size
    monkeypatch.setenv("COURSE_RUN", "class")
    assert runtime.run_size() == "class"


def test_a_data_folder_that_is_not_there_is_an_error_and_never_phantoms(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    for name in ("nowhere", "~nosuchuser/data", str(tmp_path / "nowhere"), str(tmp_path / "file")):
        monkeypatch.setenv("COURSE_DATA", name)
        with pytest.raises(DataError) as caught:
            runtime.start()
        one_sentence(str(caught.value))
        assert str(caught.value).startswith(name)
        assert "unset it" in caught.value.remedy


def test_the_data_root_may_be_relative_to_the_shell_or_to_the_course(monkeypatch, tmp_path):
    assert runtime.data_root() == runtime.ROOT / "data"
    (runtime.ROOT / "mine").mkdir(parents=True)
    monkeypatch.setenv("COURSE_DATA", "mine")
    monkeypatch.chdir(tmp_path)
    assert runtime.data_root() == (runtime.ROOT / "mine").resolve()
    (tmp_path / "mine").mkdir()
    assert runtime.data_root() == (tmp_path / "mine").resolve()


def test_data_sets_are_found_where_they_may_lie(tmp_path):
    def found(counts, root=tmp_path / "root"):
        runtime_root = root / str(len(list(root.iterdir())) if root.exists() else 0)
        fill(runtime_root, counts)
        runtime_root.mkdir(parents=True, exist_ok=True)
        place = runtime.find_data("mosmed", runtime_root)
        return place and place.relative_to(runtime_root).as_posix()

    assert found({}) is None
    assert found({"mosmed/CT-0": 1, "mosmed/CT-23": 1}) == "mosmed"
    assert found({"mosmed/CT-0": 0}) == "mosmed"  # there, though of no use: an error later, not phantoms
    assert found({"CT-0": 1, "CT-23": 1}) == "."
    assert found({"CT-0": 0}) == "."
    assert found({"sound": 1, "ill": 1}) == "."
    assert found({"unrelated": 1}) is None
    assert found({"unrelated": 0, "other": 0}) is None
    assert found({"l3": 1, "siim": 1, "radiography": 1}) is None  # the other data sets are no classes of CT
    assert runtime.find_data("mosmed", tmp_path / "nowhere") is None
    assert runtime.find_data("siim", fill(tmp_path / "two", {"siim": 0, "l3": 0})).name == "siim"


def test_class_folders_of_dicom_series_are_found(tmp_path):
    save_series(tmp_path / "sound" / "one", 1)
    assert runtime.find_data("mosmed", tmp_path) is None
    save_series(tmp_path / "ill" / "two", 2)
    assert runtime.find_data("mosmed", tmp_path) == tmp_path


def test_an_empty_data_folder_means_phantoms(monkeypatch, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "empty"))
    run = runtime.start(seed=5)
    text = capsys.readouterr().out
    assert text.splitlines()[-1] == "data root …/empty: no real data here: phantoms"
    assert (run.seed, run.size, run.data_root) == (5, "quick", (tmp_path / "empty").resolve())


def test_start_tells_what_this_run_is_and_no_path_of_this_machine(monkeypatch, tmp_path, capsys):
    root = fill(tmp_path / "hospital", {"mosmed/CT-0": 1, "mosmed/CT-23": 1})
    monkeypatch.setenv("COURSE_DATA", str(root))
    run = runtime.start(seed=7)
    text = capsys.readouterr().out
    assert f"PaddlePaddle {paddle.__version__}" in text
    assert f"numpy {np.__version__}" in text
    assert f"device {run.device}, {runtime.cores()} core" in text
    assert "run size quick, seed 7" in text
    assert text.splitlines()[-1] == "data root …/hospital: real: mosmed; the rest phantoms"
    runtime.start(data=runtime.ROOT / "data", size="class")
    text += capsys.readouterr().out
    assert text.splitlines()[-1] == "data root data: no real data here: phantoms"
    assert "run size class" in text
    assert not re.search(r"(?<![\w…])/\w", text)


def test_phantoms_in_the_data_folder_are_not_called_real(tmp_path, capsys):
    root = fill(tmp_path / "made", {"mosmed/CT-0": 1, "mosmed/CT-23": 1})
    files.write_json(root / "mosmed" / "ORIGIN.json", {"origin": "phantom"})
    runtime.start(data=root)
    assert capsys.readouterr().out.splitlines()[-1] == "data root …/made: no real data here: phantoms"


def draw(seed):
    runtime.start(seed)
    return [random.random(), float(np.random.rand()), *paddle.rand([3]).numpy().tolist()]  # noqa: NPY002


def test_one_seed_governs_python_numpy_and_paddle():
    first, other, again = draw(3), draw(4), draw(3)
    assert first == again
    assert all(a != b for a, b in zip(first, other, strict=True))


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("disable", "silent"), [("1", True), (None, False)])
def test_progress_is_silent_in_committed_outputs(monkeypatch, disable, silent):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    if disable:
        monkeypatch.setenv("TQDM_DISABLE", disable)
    assert list(runtime.progress(iter("abc"), total=3, label="preparing scans")) == ["a", "b", "c"]
    assert (sys.stderr.getvalue() == "") == silent
    assert ("preparing scans" in sys.stderr.getvalue()) != silent


def test_progress_is_silent_in_a_log(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    assert list(runtime.progress([1, 2])) == [1, 2]
    assert sys.stderr.getvalue() == ""


@pytest.mark.parametrize(("vendor", "value"), [("AuthenticAMD", "5"), ("GenuineIntel", None), ("", None)])
def test_the_switch_for_amd_is_set_on_amd_alone(monkeypatch, vendor, value):
    monkeypatch.setenv("MKL_DEBUG_CPU_TYPE", "to be restored")
    monkeypatch.delenv("MKL_DEBUG_CPU_TYPE")
    monkeypatch.setattr(runtime, "_processor_vendor", lambda: vendor)
    runtime.prepare_process()
    assert os.environ.get("MKL_DEBUG_CPU_TYPE") == value
    monkeypatch.setenv("MKL_DEBUG_CPU_TYPE", "4")  # who set it knows why
    runtime.prepare_process()
    assert os.environ["MKL_DEBUG_CPU_TYPE"] == "4"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells it in a second place")
def test_peak_memory_is_what_the_system_says_in_gigabytes():
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e9
    # A process may start with the peak of the one that started it, so there is no close upper bound.
    assert 0.999 * peak <= runtime.peak_memory() < 100 * peak


def test_versions_are_those_of_the_loaded_packages():
    found = runtime.versions()
    assert found["paddle"] == paddle.__version__
    assert found["numpy"] == np.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
