"""What is made once: whole or not at all, kept by its facts, never among real data, and shared by two that make it."""

import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tiny import one_sentence

from helpers import runtime, stores
from helpers.files import DataError


@dataclass(frozen=True)
class Settings:
    count: int = 3


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "ROOT", tmp_path / "course")
    monkeypatch.setattr(runtime, "BUILD", tmp_path / "course" / "build")
    monkeypatch.setattr(runtime, "cores", lambda: 1)  # here; processes of their own have several


def make(folder: Path, settings: Settings, progress) -> None:
    folder.mkdir(parents=True)
    for number in progress(range(settings.count)):
        (folder / f"{number}.dcm").write_text("drawn")


def fill(folder: Path) -> None:
    (folder / "images.npy").write_bytes(b"whole")


def test_real_data_are_taken_as_they_are_and_nothing_is_made(tmp_path):
    (tmp_path / "own" / "siim").mkdir(parents=True)
    found = stores.find_or_make("siim", pytest.fail, Settings(), 1, 3, tmp_path / "own")
    assert found == tmp_path / "own" / "siim"


def test_phantoms_are_made_once_for_each_settings_and_version(tmp_path):
    places = [
        stores.find_or_make("siim", make, settings, version, 3, tmp_path / "own")
        for settings, version in ((Settings(), 1), (Settings(2), 1), (Settings(), 2))
    ]
    assert len(set(places)) == 3
    assert [len(list(place.iterdir())) for place in places] == [3, 2, 3]
    assert stores.find_or_make("siim", pytest.fail, Settings(), 1, 3, tmp_path / "own") == places[0]
    assert not (tmp_path / "own").exists()


def test_who_comes_second_takes_the_phantoms_of_the_first(tmp_path):
    def overtaken(folder, settings, progress):
        make(folder, settings, progress)
        raise DataError(folder, "it is there already", "name another folder")

    place = stores.find_or_make("siim", overtaken, Settings(), 1, 3, tmp_path / "own")
    assert len(list(place.iterdir())) == 3
    with pytest.raises(DataError, match="full"):
        stores.find_or_make("l3", lambda *_: (_ for _ in ()).throw(DataError("x", "full", "y")), Settings(), 1, 3)


def test_arrays_are_kept_by_all_that_they_depend_on():
    one = stores.prepared("chest CT", ("0f", 64), fill)
    assert one.parent == runtime.BUILD / "cache"
    assert stores.prepared("chest CT", ("0f", 64), pytest.fail) == one
    for other in (("0e", 64), ("0f", 65), ("0f", "64")):
        assert stores.prepared("chest CT", other, fill) != one


def test_what_fails_half_way_leaves_nothing():
    def break_off(folder):
        fill(folder)
        raise DataError("scan.nii.gz", "it ends too early", "copy it again")

    with pytest.raises(DataError, match="ends too early"):
        stores.prepared("chest CT", 1, break_off)
    assert list((runtime.BUILD / "cache").iterdir()) == []


def test_who_prepares_second_takes_what_the_first_made():
    def overtaken(folder):
        fill(folder)
        shutil.copytree(folder, folder.parent / folder.name.split(".")[0])

    assert (stores.prepared("chest CT", 1, overtaken) / "images.npy").read_bytes() == b"whole"
    assert not list(runtime.BUILD.rglob("*.part"))


# Case by case

COUNT = 24


def draw(log: Path, number: int):
    """Rows of several sizes for one case, or a fault; that it was drawn is noted."""
    (log / f"{number}.{time.time_ns()}").touch()
    if number == 5:
        return DataError(f"{number}.nii.gz", "it ends too early", "copy it again")
    rng = np.random.default_rng(number)
    images = rng.integers(1, 255, (2, 3 + number % 4), np.uint8)
    return {"images": images, "places": np.array([number, 0.5]), "lit": images[0] > 99}


def draw_half(log: Path, number: int):
    """As `draw`, but from the middle on it takes long."""
    if number >= COUNT // 2:
        time.sleep(3)
    return draw(log, number)


def draw_slowly(log: Path, number: int):
    time.sleep(0.01)
    return draw(log, number)


def prepare_rows(log: Path, work=draw, remedy: str = "") -> Path:
    log.mkdir(exist_ok=True, parents=True)
    fill = partial(stores.fill_rows, work=partial(work, log), jobs=range(COUNT), label="drawing", remedy=remedy)
    return stores.prepared("chest CT", "facts", fill)


def noted(log: Path) -> list[str]:
    return [path.stem for path in log.iterdir()]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def whole(tmp_path, monkeypatch) -> dict[str, bytes]:
    """What one process makes in one go."""
    with monkeypatch.context() as patch:
        patch.setattr(runtime, "BUILD", tmp_path / "whole")
        return content(prepare_rows(tmp_path / "whole"))


def start(log: Path, work: str, cores: int) -> subprocess.Popen:
    """Prepare in a process of its own, which can be killed."""
    code = f"""if True:
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_stores
        from helpers import runtime
        runtime.BUILD, runtime.cores = Path({str(runtime.BUILD)!r}), lambda: {cores}
        test_stores.prepare_rows(Path({str(log)!r}), test_stores.{work})
    """
    command = [sys.executable, "-c", code]
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=Path(stores.__file__).parents[1]
    )


def test_every_case_is_a_row_of_each_array(tmp_path, whole):
    faults = stores.fill_rows(tmp_path / "x", partial(draw, tmp_path / "whole"), range(COUNT), "drawing")
    assert [str(fault) for fault in faults if fault] == ["5.nii.gz: it ends too early; copy it again."]
    assert faults[5]
    images, places, lit = (np.load(tmp_path / "x" / f"{name}.npy") for name in ("images", "places", "lit"))
    assert (images.shape, images.dtype, lit.dtype, places.dtype) == ((COUNT, 2, 6), np.uint8, bool, float)
    for number in range(COUNT):
        rows = draw(tmp_path / "whole", number)
        if faults[number]:
            assert not images[number].any()
            assert not places[number].any()
            continue
        width = 3 + number % 4
        np.testing.assert_array_equal(images[number, :, :width], rows["images"])
        np.testing.assert_array_equal(lit[number], images[number, 0] > 99)
        assert not images[number, :, width:].any()
        assert places[number].tolist() == [number, 0.5]
    saved = tmp_path / "saved.npy"
    np.save(saved, images)
    assert saved.read_bytes() == whole["images.npy"]


def test_a_fault_refuses_all_where_there_is_a_remedy_and_nothing_is_kept(tmp_path):
    with pytest.raises(DataError, match=r"^5.nii.gz: it ends too early; copy it again, or leave it out\.$"):
        prepare_rows(tmp_path / "log", remedy="or leave it out")
    assert list((runtime.BUILD / "cache").iterdir()) == []


def test_if_not_one_case_can_be_used_there_are_no_arrays(tmp_path):
    faults = stores.fill_rows(tmp_path / "x", partial(draw, tmp_path), [5, 5], "drawing")
    assert all(faults)
    assert not list(tmp_path.rglob("*.npy"))


def test_what_was_done_before_a_break_is_not_done_again(tmp_path, whole):
    log = tmp_path / "log"

    def stop(folder, number):
        if number == 17:
            raise KeyboardInterrupt
        return draw(folder, number)

    with pytest.raises(KeyboardInterrupt):
        prepare_rows(log, stop)
    (torn,) = runtime.BUILD.rglob("3.npz")
    torn.write_bytes(torn.read_bytes()[:-40])  # as after a power cut
    (changed,) = runtime.BUILD.rglob("9.npz")
    changed.write_bytes(changed.read_bytes().replace(np.array([9, 0.5]).tobytes(), np.array([8, 0.5]).tobytes()))
    again = tmp_path / "again"
    assert content(prepare_rows(again)) == whole
    assert sorted(map(int, noted(again))) == [3, 5, 9, *range(17, COUNT)]  # 5 is the fault
    assert len(list((runtime.BUILD / "cache").iterdir())) == 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_at_any_moment_the_next_call_goes_on(tmp_path, whole, how):
    log, again = tmp_path / "log", tmp_path / "again"
    process = start(log, "draw_half", cores=2)
    done = {str(number) for number in range(COUNT // 2)} - {"5"}  # the fault
    while process.poll() is None and {path.stem for path in runtime.BUILD.rglob("*.npz")} != done:
        time.sleep(0.01)
    process.send_signal(how)
    text = process.communicate(timeout=60)[1]
    assert process.returncode == -how
    assert text.count("Traceback") == (how == signal.SIGINT)
    kept = {path.stem for path in runtime.BUILD.rglob("*.npz")} - done
    assert kept <= ({"12", "13"} if how == signal.SIGINT else set())  # Ctrl-C waits for the two that are under way
    assert content(prepare_rows(again)) == whole
    assert {*noted(again)} == {str(number) for number in range(COUNT)} - done - kept
    assert not list(runtime.BUILD.rglob("*.part"))


def test_two_that_prepare_the_same_do_not_harm_each_other(tmp_path, whole):
    both = [start(tmp_path / "log", "draw_slowly", cores=1) for _ in range(2)]
    for process in both:
        assert process.communicate(timeout=60)[1].count("Traceback") == 0
        assert process.returncode == 0
    (folder,) = (runtime.BUILD / "cache").iterdir()
    assert content(folder) == whole


def ones(number: int):
    return {"ones": np.full((1000, 1000), number, np.uint8)}


def test_no_more_than_a_case_is_held_at_once(tmp_path):
    tracemalloc.start()
    try:
        stores.fill_rows(tmp_path / "x", ones, range(COUNT), "drawing")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.load(tmp_path / "x" / "ones.npy")[:, 0, 0].tolist() == [*range(COUNT)]
    assert peak < 6e6  # bytes; all are 24e6


def test_of_several_faults_the_first_is_named_and_the_others_counted():
    faults = [DataError(f"{name}.nii.gz", "it ends too early", "copy it again") for name in "abc"]
    with pytest.raises(DataError) as caught:
        stores.raise_first(["fine", *faults], "or move it out of the folder")
    one_sentence(str(caught.value))
    words = (
        "copy it again, or move it out of the folder (2 more cannot be used: python -m helpers.check lists them all)"
    )
    assert str(caught.value) == f"a.nii.gz: it ends too early; {words}."
    stores.raise_first(["fine"], "or move it out of the folder")
