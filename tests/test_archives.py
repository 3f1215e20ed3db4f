"""Zip archives: whole or not at all, once, and nothing outside of their folder."""

import io
import shutil
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny import one_sentence

from helpers import archives, files, runtime
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
    members = {"set/NORMAL/1.png": b"one", "set/COVID/images/2.png": b"two" * 1000, "set/empty.txt": b""}
    path = pack(house / "data" / "a.zip", [("set/", b""), *members.items()])
    folder = archives.unzip_once(path)
    assert {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    } == members
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


def widen(content: bytes, count: int) -> bytes:
    """The archive as some writers end it beyond 4 GB: the true numbers stand in a record of their own alone."""
    end = content.rindex(b"PK\5\6")
    size, start = struct.unpack_from("<LL", content, end + 12)
    large = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
    large += struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    return content[:end] + large + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *[0xFFFF] * 2, *[0xFFFFFFFF] * 2, 0)


def test_a_large_archive_counts_its_files_elsewhere(house):
    path = pack(house / "data" / "a.zip", [("1", b"one"), ("2", b"two")])
    content = path.read_bytes()
    path.write_bytes(widen(content, 2))
    assert archives.list_files(path) == {"1": 3, "2": 3}
    path.write_bytes(widen(content, 3))  # one is lost
    assert "not a whole zip" in refusal(house, path)


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


def test_files_are_listed_with_their_sizes_and_folders_are_none(house):
    entries = [("set/", b""), ("set/CT-0/1.nii", b"one"), ("set/empty", b"")]
    path = pack(house / "data" / "a.zip", entries)
    assert archives.list_files(path) == {"set/CT-0/1.nii": 3, "set/empty": 0}
    assert everything(house) == {"data", "data/a.zip"}


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize(
    "work", [archives.list_files, lambda path: archives.unpack_files(path, {}), archives.unzip_once]
)
def test_no_way_in_takes_a_name_that_leads_outside(house, work, name):
    path = pack(house / "data" / "a.zip", [("NORMAL/1.png", b"one"), (name, b"out")])
    with pytest.raises(DataError, match="outside of its folder"):
        work(path)


def test_a_list_names_each_file_once_and_knows_bombs(house):
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = pack(house / "data" / "a.zip", [("1.png", b"one"), ("1.png", b"two")])
    with pytest.raises(DataError, match="two files of one name"):
        archives.list_files(path)
    with pytest.raises(DataError, match="as images never do"):
        archives.list_files(pack(house / "data" / "bomb.zip", [("NORMAL/1.png", bytes(4 << 20))]))


def test_one_file_is_read_and_no_large_one(house, monkeypatch):
    path = pack(house / "data" / "a.zip", [("table.csv", b"ImageId")])
    assert archives.read_one(path, "table.csv") == b"ImageId"
    monkeypatch.setattr(archives, "LARGEST_READ", 6)
    with pytest.raises(DataError, match="its file 'table"):
        archives.read_one(path, "table.csv")


def test_chosen_files_are_unpacked_and_no_others(house):
    path = pack(house / "data" / "a.zip", [("x/1.nii", b"one"), ("x/2.nii", b"two" * 1000), ("x/3.nii", b"three")])
    targets = {"x/2.nii": house / "out" / "CT-0" / "2.nii", "x/3.nii": house / "out" / "3.nii"}
    hashes = archives.unpack_files(path, targets)
    assert everything(house / "out") == {"CT-0", "CT-0/2.nii", "3.nii"}
    assert targets["x/2.nii"].read_bytes() == b"two" * 1000
    assert hashes == {name: files.hash_file(target) for name, target in targets.items()}


def test_what_is_there_and_whole_is_left_and_anything_else_is_written_again(house):
    path = pack(house / "data" / "a.zip", [("1", b"one"), ("2", b"two"), ("3", b"three")])
    targets = {name: house / "out" / name for name in "123"}
    hashes = archives.unpack_files(path, targets)
    before = {name: target.stat().st_mtime_ns for name, target in targets.items()}
    targets["2"].write_bytes(b"tow")  # as long as it should be
    targets["3"].unlink()
    assert archives.unpack_files(path, targets) == hashes
    assert {name: files.hash_file(target) for name, target in targets.items()} == hashes
    assert targets["1"].stat().st_mtime_ns == before["1"]


def test_room_is_needed_for_what_is_missing_alone(house, monkeypatch):
    path = pack(house / "data" / "a.zip", [("1", b"one"), ("2", b"two")])
    targets = {name: house / "out" / name for name in "12"}
    archives.unpack_files(path, {"1": targets["1"]})
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: archives.shutil._ntuple_diskusage(9, 0, 3))
    archives.unpack_files(path, targets)
    targets["1"].unlink()
    targets["2"].unlink()
    with pytest.raises(DataError, match="make room"):
        archives.unpack_files(path, targets)
    assert everything(house / "out") == set()


@pytest.mark.parametrize("size", [2, 4])
def test_a_file_of_another_length_is_not_written(tmp_path, size):
    (tmp_path / "1").write_bytes(b"older")
    with pytest.raises(EOFError):
        archives.write_whole(io.BytesIO(b"one"), tmp_path / "1", size)
    assert everything(tmp_path) == {"1"}
    assert (tmp_path / "1").read_bytes() == b"older"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_chosen_files_of_a_damaged_archive_are_whole_or_refused(house, data):
    path = pack(house / "data" / "a.zip", WHOLE)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    out = house / "out"
    shutil.rmtree(out, ignore_errors=True)
    try:
        targets = {name: out / str(number) for number, name in enumerate(archives.list_files(path))}
        archives.unpack_files(path, targets)
    except DataError as fault:
        one_sentence(str(fault))
    whole = {packed for _, packed in WHOLE}
    assert all(file.read_bytes() in whole for file in out.rglob("*"))
