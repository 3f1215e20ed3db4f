"""Zip archives: whole or not at all, once, and nothing outside of their folder."""

import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny import one_sentence

from helpers import archives, runtime
from helpers.files import DataError


@pytest.fixture
def house(tmp_path, monkeypatch) -> Path:
    """A folder for archives, with a build folder of its own beside it and nothing else."""
    monkeypatch.setattr(runtime, "BUILD", tmp_path / "build")
    (tmp_path / "data").mkdir()
    return tmp_path


def pack(path: Path, entries, **settings) -> Path:
    """Write an archive from pairs of names (or ZipInfo) and bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **settings) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def everything(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*")}


def refusal(house: Path, path: Path) -> str:
    """The sentence of a refusal, after which the archive is as it was and nothing is left of it."""
    before, content = everything(house), path.read_bytes() if path.is_file() else b""
    with pytest.raises(DataError) as caught:
        archives.unzip_once(path)
    one_sentence(str(caught.value))
    assert path.name in str(caught.value)
    assert everything(house) - before <= {"build", "build/cache"}
    assert not content or path.read_bytes() == content
    return str(caught.value)


def test_all_files_come_out_as_they_went_in_and_nothing_beside_the_archive(house):
    files = {"set/NORMAL/1.png": b"one", "set/COVID/images/2.png": b"two" * 1000, "set/empty.txt": b""}
    path = pack(house / "data" / "a.zip", [("set/", b""), *files.items()])
    folder = archives.unzip_once(path)
    assert {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    } == files
    assert list((house / "data").iterdir()) == [path]
    assert folder.is_relative_to(house / "build")


def test_the_second_call_unpacks_nothing_and_other_content_goes_elsewhere(house):
    path = pack(house / "data" / "a.zip", [("NORMAL/1.png", b"one")])
    folder = archives.unzip_once(path)
    (folder / "NORMAL" / "1.png").write_bytes(b"touched")
    moved = path.rename(path.with_name("b.zip"))
    assert archives.unzip_once(moved) == folder
    assert (folder / "NORMAL" / "1.png").read_bytes() == b"touched"
    assert archives.unzip_once(pack(path, [("NORMAL/1.png", b"two")])) != folder


OUTSIDE = ["../../x", "NORMAL/../../x", "/tmp/x", "..", "C:/x", "c:x", "..\\..\\x", "\\x", "a/..", "//host/x"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leads_outside_is_refused_and_nothing_is_written(house, name):
    path = pack(house / "data" / "a.zip", [("NORMAL/1.png", b"one"), (name, b"out")])
    assert "outside of its folder" in refusal(house, path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(house, kind):
    link = zipfile.ZipInfo("NORMAL/link.png")
    link.create_system, link.external_attr = 3, (kind | 0o777) << 16
    assert "link or a device" in refusal(house, pack(house / "data" / "a.zip", [(link, b"/etc/passwd")]))


def test_a_bomb_is_refused_before_it_grows(house):
    path = pack(house / "data" / "bomb.zip", [("NORMAL/1.png", bytes(4 << 20))])
    assert "-fold, to 0.0042 GB, as images never do" in refusal(house, path)
    few = pack(house / "data" / "few.zip", [("NORMAL/1.png", bytes(1 << 19))])  # too small to harm anyone
    assert (archives.unzip_once(few) / "NORMAL" / "1.png").stat().st_size == 1 << 19


def test_a_bomb_that_lies_about_its_size_does_not_grow_beyond_it(house):
    path = pack(house / "data" / "a.zip", [("NORMAL/1.png", bytes(4 << 20))])
    content = path.read_bytes()
    true, told = (4 << 20).to_bytes(4, "little"), (1000).to_bytes(4, "little")
    assert content.count(true) == 2
    path.write_bytes(content.replace(true, told))
    assert "not a whole zip" in refusal(house, path)


def test_too_much_is_refused(house, monkeypatch):
    path = pack(house / "data" / "a.zip", [(f"{i}.txt", b"text") for i in range(6)])
    monkeypatch.setattr(archives, "MOST_FILES", 5)
    assert "more than 5 files" in refusal(house, path)
    monkeypatch.setattr(archives, "MOST_FILES", 6)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: archives.shutil._ntuple_diskusage(9, 0, 9))
    assert "make room" in refusal(house, path)
    monkeypatch.setattr(archives, "LARGEST", 20)
    assert "as images never do" in refusal(house, path)


def test_an_encrypted_archive_is_refused(house):
    path = pack(house / "data" / "a.zip", [("NORMAL/1.png", b"one")])
    content = bytearray(path.read_bytes())
    for start, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(start) + offset] |= 1
    path.write_bytes(content)
    assert "encrypted" in refusal(house, path)


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"PK\x03\x04 and no more", b"\x1f\x8b gzip"])
def test_what_is_no_archive_is_refused(house, content):
    path = house / "data" / "a.zip"
    path.write_bytes(content)
    assert "not a whole zip" in refusal(house, path)


def test_a_missing_archive_is_refused(house):
    refusal(house, house / "data" / "a.zip")


def test_one_name_twice_is_refused_since_one_of_them_would_be_lost(house):
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = pack(house / "data" / "a.zip", [("NORMAL/1.png", b"one"), ("NORMAL/1.png", b"two")])
    assert "two files of one name" in refusal(house, path)
    refusal(house, pack(house / "data" / "b.zip", [("NORMAL", b"a file"), ("NORMAL/1.png", b"in it")]))


def test_names_of_another_alphabet_are_unpacked(house):
    path = pack(house / "data" / "a.zip", [("正常/肺 é.png", b"one"), ("\u0001x\n/y.png", b"two")])
    assert (archives.unzip_once(path) / "正常" / "肺 é.png").read_bytes() == b"one"
    content = path.read_bytes().replace("肺".encode(), b"\xff\xfe\xfd")  # said to be UTF-8, but is not
    path.write_bytes(content)
    assert "not a whole zip" in refusal(house, path)


WHOLE = [("NORMAL/1.png", bytes(range(256)) * 8), ("COVID/2.png", b"covid" * 99)]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_damaged_archive_is_unpacked_whole_or_refused(house, data):
    path = pack(house / "data" / "a.zip", WHOLE)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        folder = archives.unzip_once(path)
    except DataError as fault:
        one_sentence(str(fault))
        assert not list(house.rglob("*.part"))
    else:
        sizes = sorted(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        assert sizes == sorted(len(content) for _, content in WHOLE)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.sampled_from(["..", ".", "a", "b", "", "C:", "\\", "x.png"]), min_size=1, max_size=5).filter(any))
def test_whatever_the_name_nothing_is_written_outside(house, parts):
    path = house / "data" / "a.zip"
    pack(path, [("/".join(parts), b"content")])
    try:
        archives.unzip_once(path)
    except DataError as fault:
        one_sentence(str(fault))
    outside = {name for name in everything(house) if not name.startswith("build/cache/unpacked-")}
    assert outside <= {"build", "build/cache", "data", "data/a.zip"}
    assert everything(house.parent) >= {house.name}
    assert not list(house.parent.glob("x*")) + list(house.parent.glob("a")) + list(house.parent.glob("b"))
