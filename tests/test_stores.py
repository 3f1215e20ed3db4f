"""What is made once: whole or not at all, kept by its facts, never among real data, and shared by two that make it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

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
