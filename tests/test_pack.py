"""The bundle on the stick: what is in it, that it is whole or marked as not, and that one can start from it."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from packaging.tags import sys_tags
from test_fetch import everything
from test_fetch import pack as pack_archive
from tiny import fill, one_sentence

from data_scripts import fetch, pack, pack_folder, pack_wheels
from data_scripts.sources import SOURCES
from helpers import archives, files, phantoms, phantoms_siim, runtime, scans
from helpers.files import DataError

ROOT = Path(__file__).resolve().parents[1]
HERE = pack_wheels.this_system()
TAG = str(next(tag for tag in sys_tags() if tag.platform.startswith(pack_wheels.SYSTEMS[HERE[1]][0])))
PATCH = f"{HERE[0]}.98"  # of Python; none as new is there
PACKAGES = [  # name, version, tag of its wheel, marker in the lock
    ("paddlepaddle", "3.3.1", TAG, ""),
    ("slim-vessel", "1.0", "py3-none-any", f"python_full_version < '{PATCH}'"),
    ("slim-vessel", "2.0", "py3-none-any", f"python_full_version >= '{PATCH}'"),
    ("setuptools", "99.0", "py3-none-any", "python_full_version >= '3.99'"),
    ("elsewhere", "1.0", "py3-none-any", "sys_platform == 'emscripten'"),
]
NEEDED = 4  # of these: the last one is for no system of the course


def make_wheel(folder: Path, name: str, version: str, tag: str) -> Path:
    """Build a wheel of one module by hand, the same bytes each time."""
    name = name.replace("-", "_")
    info = f"{name}-{version}.dist-info"
    members = {
        f"{name}.py": f"version = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = "".join(f"{member},,\n" for member in (*members, f"{info}/RECORD"))
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for member, text in (members | {f"{info}/RECORD": record}).items():
            wheel.writestr(zipfile.ZipInfo(member), text)
    return path


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """A folder of wheels."""
    folder = tmp_path_factory.mktemp("wheels")
    for name, version, tag, _ in PACKAGES:
        make_wheel(folder, name, version, tag)
    return folder


@pytest.fixture(scope="module")
def usual_course(tmp_path_factory, wheels):
    """A small course without git, with caches and a lock of those wheels."""
    root = tmp_path_factory.mktemp("course")
    lock = ""
    for name, version, tag, marker in PACKAGES:
        digest = files.hash_file(wheels / f"{name.replace('-', '_')}-{version}-{tag}.whl")
        lock += f"{name}=={version}{f' ; {marker}' if marker else ''} \\\n    --hash=sha256:{digest}\n    # via us\n"
    written = {
        "requirements/cpu.txt": lock,
        "README.md": "# The course\n",
        ".gitignore": ".venv/\nbuild/\ndata/\n__pycache__/\n*.egg-info/\n",
        "helpers/ct.py": "WINDOW = (-1350, 150)\n",
        "helpers/__pycache__/ct.pyc": "cache",
        "data/phantoms/mosmed/ORIGIN.json": "{}",
        ".venv/bin/python": "Python",
        "course.egg-info/PKG-INFO": "built",
    }
    for name, text in written.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf8")
    return root


OWN = {"course/requirements/cpu.txt", "course/README.md", "course/.gitignore", "course/helpers/ct.py"}


@pytest.fixture(scope="module")
def usual_data(tmp_path_factory):
    """A data root: MosMed and SIIM fetched, phantoms for radiography, and no L3."""
    root, made = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("made")
    phantoms.make_ct(made / "ct", phantoms.CTSettings(3, 3, 32))
    phantoms_siim.make_siim(made / "siim", phantoms_siim.SIIMSettings(4, 32))
    given = []
    for name, folder in (("CT-0", "ct/CT-0"), ("CT-23", "ct/CT-23"), ("siim", "siim")):
        members = {f"{name}/{inside}": content for inside, content in everything(made / folder).items()}
        given.append(pack_archive(made / f"{name}.zip", members))
    fetch.fetch(SOURCES["mosmed"], root, given=given[:2])
    fetch.fetch(SOURCES["siim"], root, given=given[2:])
    fill(root / "radiography", {"NORMAL": 1, "COVID": 1})
    files.write_json(root / "radiography" / "ORIGIN.json", {"origin": "phantom"})
    (root / "mosmed" / "CT-0" / ".DS_Store").write_bytes(b"of a desktop")
    (root / "mosmed" / "CT-0" / "resampled.nii.gz").write_bytes(b"not one of the original files")
    return root


@pytest.fixture
def course(usual_course, monkeypatch):
    """The small course as the one that is packed; no pip of a test can reach the network."""
    monkeypatch.setattr(runtime, "ROOT", usual_course)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    return usual_course


@pytest.fixture
def data(usual_data, tmp_path):
    """A copy of the data root that a test may change."""
    return Path(shutil.copytree(usual_data, tmp_path / "data"))


@pytest.fixture
def out(tmp_path):
    """Where the bundle shall be."""
    return tmp_path / "stick" / "course"


@pytest.fixture
def run(course, usual_data, out, wheels, capsys):
    """The command on all that; its exit code, and what it said on both ways."""

    def call(*arguments, root=usual_data, given=wheels, to=out):
        words = ["--out", to, "--data", root, *(["--wheels", given] if given else []), *arguments]
        return pack.main([*map(str, words)]), capsys.readouterr()

    return call


def refused(done) -> str:
    """The one sentence of a command that could not be done."""
    code, said = done
    assert code == 2, said
    one_sentence(said.err.removesuffix("\n"))
    return said.err


def sums(folder: Path) -> dict[str, str]:
    """The list of checksums, read without the course's help."""
    pairs = [line.split("  ", 1) for line in (folder / "SHA256SUMS").read_text(encoding="utf8").splitlines()]
    return {name: digest for digest, name in pairs}


def test_a_bundle_that_is_unpacked_elsewhere_has_every_sum_right(run, out, tmp_path):
    code, said = run()
    assert (code, said.err) == (0, "")
    elsewhere = Path(shutil.copytree(out, tmp_path / "laptop"))
    there = everything(elsewhere)
    assert {name: hashlib.sha256(content).hexdigest() for name, content in there.items() if name != "SHA256SUMS"} == (
        sums(elsewhere)
    )
    done = subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=elsewhere, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b": OK") == len(there) - 1
    assert run("--verify", to=elsewhere)[0] == 0


def test_it_holds_the_course_the_wheels_and_what_may_be_handed_on_and_nothing_else(run, out, usual_data, wheels):
    _, said = run()
    names = set(sums(out))
    assert {name for name in names if name.startswith("course/")} == OWN
    assert {name for name in names if name.startswith("wheels/")} == {
        f"wheels/{path.name}" for path in wheels.iterdir()
    }
    mosmed = everything(usual_data / "mosmed")
    assert set(mosmed) - {"CT-0/.DS_Store", "CT-0/resampled.nii.gz"} == {
        name.removeprefix("data/mosmed/") for name in names if name.startswith("data/")
    }
    for name, content in everything(out / "data" / "mosmed").items():
        assert content == mosmed[name]
    assert names - {name for name in names if "/" in name} == {"README.txt"}
    readme = (out / "README.txt").read_text(encoding="utf8")
    unwrapped = " ".join(readme.split())
    for name, why in (
        ("l3", "it was not among the data at hand"),
        ("siim", f"its terms do not allow to hand it on ({SOURCES['siim'].licence})"),
        ("radiography", "there were only phantoms of it"),
    ):
        assert f"{name}: left out: {why}" in said.out
        assert f" {name}: {SOURCES[name].title} It is not here because {why}" in unwrapped
        assert f"-m data_scripts.fetch {name} --out ../data" in readme
    assert "fetch l3 --out ../data --from FILE" in readme
    assert "data/mosmed/  3 CT-0, 3 CT-23: original files" in readme
    assert SOURCES["mosmed"].licence in readme
    assert "fetch mosmed" not in readme


def test_a_subset_is_what_fetch_would_have_laid_out(run, out, usual_data, tmp_path, capsys, monkeypatch):
    run("--subset", "2")
    packed = out / "data"
    members = {name: everything(usual_data)[f"mosmed/{name}"] for name in sums(usual_data / "mosmed") if "/" in name}
    fetch.fetch(SOURCES["mosmed"], tmp_path / "again", subset=2, given=[pack_archive(tmp_path / "a.zip", members)])
    scans_of = [{name for name in everything(root / "mosmed") if "/" in name} for root in (packed, tmp_path / "again")]
    assert scans_of[0] == scans_of[1]
    assert len(scans_of[0]) == 4
    for name in scans_of[0]:
        assert (packed / "mosmed" / name).read_bytes() == (usual_data / "mosmed" / name).read_bytes()
    record = json.loads((packed / "mosmed" / "SOURCE.json").read_text(encoding="utf8"))
    before = json.loads((usual_data / "mosmed" / "SOURCE.json").read_text(encoding="utf8"))
    assert record == before | {"subset": 2, "cases": {"CT-0": 2, "CT-23": 2}}
    capsys.readouterr()
    assert fetch.main(["--verify", "--out", str(packed)]) == 0
    assert fetch.main(["mosmed", "--subset", "2", "--out", str(packed)]) == 0
    assert "is there already, whole: 2 CT-0, 2 CT-23" in capsys.readouterr().out
    monkeypatch.setenv("COURSE_DATA", str(packed))
    assert len(scans.read_folder(runtime.find_data("mosmed")).cases) == 4
    assert pack_folder.verify(out) == []


def test_a_subset_as_large_as_all_changes_nothing(run, out, usual_data):
    run("--subset", "3")
    record = (out / "data" / "mosmed" / "SOURCE.json").read_bytes()
    assert record == (usual_data / "mosmed" / "SOURCE.json").read_bytes()


def test_one_changed_byte_and_one_missing_file_are_found(run, out):
    run()
    scan, lost = sorted((out / "data" / "mosmed" / "CT-23").iterdir())[:2]
    content = bytearray(scan.read_bytes())
    content[len(content) // 2] ^= 1
    scan.write_bytes(content)
    lost.unlink()
    code, said = run("--verify")
    assert code == 1
    assert "2 faults" in said.out
    assert f"  data/mosmed/CT-23/{scan.name} is changed\n" in said.out
    assert f"  data/mosmed/CT-23/{lost.name} is missing\n" in said.out
    assert run()[0] == 0
    assert run("--verify")[0] == 0


def test_called_again_it_copies_nothing(run, out):
    run()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file() and path.name != "SHA256SUMS"}
    was = everything(out)
    assert run()[0] == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert everything(out) == was


class Killed(BaseException):
    pass


@pytest.mark.parametrize("after", [0, 1, 2, 7, 12, 19])
@pytest.mark.parametrize("ended", [KeyboardInterrupt, Killed])
def test_it_goes_on_where_it_was_stopped_and_half_of_it_does_not_pass_for_whole(after, ended, run, out, monkeypatch):
    whole, wrote = archives.write_whole, []

    def stop(stream, target, size):
        if len(wrote) == after:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.with_name(f"{target.name}.part").write_bytes(stream.read(size // 2))
            raise ended
        wrote.append(target)
        return whole(stream, target, size)

    with monkeypatch.context() as once:
        once.setattr(archives, "write_whole", stop)
        if ended is Killed:
            with pytest.raises(Killed):
                run()
        else:
            code, said = run()
            assert (code, said.err) == (130, "Stopped; what is here is kept, and the same command goes on.\n")
    assert len(wrote) == after
    assert not (out / "SHA256SUMS").exists()
    assert ("it is not whole" if after else "it is no bundle") in refused(run("--verify"))
    copied = []
    monkeypatch.setattr(archives, "write_whole", lambda *job: (copied.append(job[1]), whole(*job))[1])
    assert run()[0] == 0
    assert not {path for path in copied if path.name != "UNFINISHED.txt"} & set(wrote)
    assert set(everything(out)) == {*sums(out), "SHA256SUMS"}
    assert run("--verify")[0] == 0


KILLED = """
import os, signal, sys
from pathlib import Path
from data_scripts import pack
from helpers import archives, runtime
runtime.ROOT, left, whole = Path(sys.argv[1]), 6, archives.write_whole
def die(*job):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*job)
archives.write_whole = die
sys.exit(pack.main(sys.argv[2:]))
"""


def test_a_process_that_is_killed_leaves_a_bundle_that_says_so(run, out, course, usual_data, wheels):
    words = [course, "--out", out, "--data", usual_data, "--wheels", wheels]
    done = subprocess.run([sys.executable, "-c", KILLED, *map(str, words)], cwd=ROOT, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (out / "UNFINISHED.txt").read_text(encoding="utf8").startswith("This bundle is not whole yet")
    assert not (out / "README.txt").exists()
    assert run()[0] == 0
    assert {path.name for path in out.iterdir()} == {"course", "data", "wheels", "README.txt", "SHA256SUMS"}
    assert run("--verify")[0] == 0


def test_two_at_once_do_not_collide(course, usual_data, out, wheels, capsys):
    with ThreadPoolExecutor(2) as pool:  # the lock is one of open files, so that threads stand for processes
        done = [pool.submit(pack.pack, out, usual_data, 2, str(wheels)) for _ in range(2)]
    assert [each.result() for each in done] == [out, out]
    assert pack_folder.verify(out) == []
    assert set(everything(out)) == {*sums(out), "SHA256SUMS"}


def test_another_choice_takes_away_what_is_not_in_it(run, out):
    run()
    assert run("--subset", "1", given="none")[0] == 0
    assert len(list((out / "data" / "mosmed").rglob("*.nii.gz"))) == 2
    assert not list(out.rglob("*.whl"))
    assert set(everything(out)) == {*sums(out), "SHA256SUMS"}
    assert run("--verify")[0] == 0
    (out.parent / "empty").mkdir()
    assert run(root=out.parent / "empty", given="none")[0] == 0
    assert list((out / "data").iterdir()) == []  # a class without scans would stop a notebook
    assert run("--verify")[0] == 0


def test_a_whole_bundle_is_not_whole_while_it_is_changed(run, out, monkeypatch):
    run("--subset", "1")

    def stop(stream, target, size):
        if target.name.endswith(".nii.gz"):
            raise KeyboardInterrupt
        return whole(stream, target, size)

    whole = archives.write_whole
    with monkeypatch.context() as once:
        once.setattr(archives, "write_whole", stop)
        assert run()[0] == 130
    assert not (out / "SHA256SUMS").exists()
    assert "it is not whole; pack it again" in refused(run("--verify"))
    assert run("--subset", "1")[0] == 0
    assert len(list((out / "data" / "mosmed").rglob("*.nii.gz"))) == 2
    assert run("--verify")[0] == 0


def test_from_within_a_bundle_it_can_be_packed_again(run, out, monkeypatch):
    """To bring wheels for another system into it, or to make a smaller one."""
    run()
    was = everything(out)
    (out / "course" / ".venv").mkdir()
    (out / "course" / ".venv" / "python").write_bytes(b"made on this laptop")
    monkeypatch.setattr(runtime, "ROOT", out / "course")
    elsewhere = out.parent / "copy"
    for to in (elsewhere, out):
        assert run(root=out / "data", given=out / "wheels", to=to)[0] == 0
        there = everything(to)
        there.pop("course/.venv/python", None)
        assert there.keys() == was.keys()
        differ = {name for name in was if there[name] != was[name]}
        assert differ == {"README.txt", "SHA256SUMS"}  # why a data set is not here is another thing there


def test_a_folder_with_something_else_is_left_alone(run, out):
    out.mkdir(parents=True)
    (out / "holiday.jpg").write_bytes(b"beach")
    assert "it holds something else, holiday.jpg; move that away, or name another folder" in refused(run())
    assert everything(out) == {"holiday.jpg": b"beach"}
    (out / "holiday.jpg").unlink()
    (out / ".Trashes").write_bytes(b"of a desktop")
    for name in ("System Volume Information/IndexerVolumeGuid", "$RECYCLE.BIN/desktop.ini"):
        (out / name).parent.mkdir()
        (out / name).write_bytes(b"of Windows, on a stick that it formatted")
    assert run()[0] == 0
    assert (out / name).is_file()
    assert name not in sums(out)
    (out / "course" / "mine.py").write_bytes(b"pass")
    assert "something else, course/mine.py" in refused(run())
    assert (out / "SHA256SUMS").exists()


def test_a_folder_with_checksums_of_its_own_is_no_bundle(run, data):
    fetched = data.parent / "fetched"
    shutil.copytree(data / "mosmed", fetched)
    (fetched / "CT-0" / "resampled.nii.gz").unlink()  # so that the list names all of it
    before = everything(fetched)
    assert "it holds something else" in refused(run(to=fetched))
    assert "it is no bundle" in refused(run("--verify", to=fetched))
    assert everything(fetched) == before
    (fetched / "SHA256SUMS").write_text("0f" * 32 + "  ../../secret\n")
    assert "it is no bundle" in refused(run("--verify", to=fetched))


def test_places_that_are_not_for_it_are_refused(run, course, usual_data, out):
    assert "it lies in the data root" in refused(run(to=usual_data / "bundle"))
    assert "it lies in the course's own folder" in refused(run(to=course / "bundle"))
    assert "it lies in the course's own folder" in refused(run(to=course))
    assert not (course / "bundle").exists()
    out.parent.mkdir()
    out.write_bytes(b"a file")
    assert "it cannot be read or written" in refused(run())
    assert "no such folder; correct --data" in refused(run(root=out.parent / "none"))


def test_altered_or_missing_originals_are_never_handed_on(run, out, data):
    scan = sorted((data / "mosmed" / "CT-0").glob("study*"))[0]
    content = scan.read_bytes()
    scan.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    said = refused(run(root=data))
    assert f"{scan.name}: it is not what its checksum says, so it is not handed on" in said
    assert not list(out.rglob(scan.name))
    scan.unlink()
    assert f"{scan.name}: it is missing" in refused(run(root=data))
    assert not (out / "SHA256SUMS").exists()
    scan.write_bytes(content)
    assert run(root=data)[0] == 0
    (data / "mosmed" / "SHA256SUMS").write_text("no sums")
    assert "it is no list of checksums" in refused(run(root=data))


@pytest.mark.parametrize("way", ["own", "unpacked by hand"])
def test_scans_of_unknown_origin_are_left_out(way, run, out, tmp_path):
    root = tmp_path / "root"
    fill(tmp_path / "mine" / "mosmed", {"CT-0": 2, "CT-23": 2})
    if way == "own":
        shutil.move(tmp_path / "mine", root)
    else:
        fetch.fetch(SOURCES["mosmed"], root, given=[tmp_path / "mine" / "mosmed"])
    code, said = run(root=root)
    assert code == 0
    assert "mosmed: left out: it was not laid out by data_scripts.fetch from archives" in said.out
    assert not (out / "data").exists()


def test_the_room_is_looked_at_before_the_first_byte(run, out, monkeypatch):
    run()
    size = sum(len(content) for name, content in everything(out).items() if name not in ("README.txt", "SHA256SUMS"))
    shutil.rmtree(out)
    room = shutil._ntuple_diskusage(9, 9, size - 1)
    monkeypatch.setattr(pack.shutil, "disk_usage", lambda _: room)
    assert "are free; make room, choose a smaller --subset" in refused(run())
    assert not out.exists()
    room = shutil._ntuple_diskusage(9, 0, size)
    assert run()[0] == 0
    room = shutil._ntuple_diskusage(9, 9, 0)
    assert run()[0] == 0  # what is there already needs no room again
    assert re.search(r"about 45\d\.\d MB are needed", refused(run(given=None, to=out.parent / "other")))


def test_a_full_disk_is_a_sentence(run, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archives, "write_whole", full)
    assert "No space left on device" in refused(run())


def test_a_folder_of_wheels_must_hold_what_the_lock_names(run, out, wheels, tmp_path):
    assert "there is no such folder; check the name" in refused(run(given=tmp_path / "none"))
    mine = Path(shutil.copytree(wheels, tmp_path / "mine"))
    (mine / "notes.txt").write_text("not a wheel")
    (mine / "odd.whl").write_bytes(b"not a wheel either")
    make_wheel(mine, "other", "1.0", "py3-none-any")
    assert run(given=mine)[0] == 0
    assert {path.name for path in (out / "wheels").iterdir()} == {path.name for path in wheels.iterdir()}
    for path in mine.glob("slim*"):
        path.write_bytes(path.read_bytes()[:-1])  # half a wheel is none
    said = refused(run(given=mine))
    assert f"for Python {HERE[0]} on {HERE[1]} it lacks slim-vessel==1.0, slim-vessel==2.0; add these" in said
    next(mine.glob("paddle*")).unlink()
    assert "no wheel in it is the paddlepaddle that the lock names" in refused(run(given=mine))


def test_without_a_network_pips_failure_is_one_sentence_and_the_bundle_goes_on(run, out):
    said = refused(run(given=None))
    assert "pip could not download the wheels and said" in said
    assert "connect to a network and run the same command again, give a folder of wheels with --wheels DIR" in said
    assert "--wheels none" in said
    assert "it is not whole" in refused(run("--verify"))
    code, said = run(given="none")
    assert code == 0
    assert "wheels: left out, as --wheels none says" in said.out
    assert "pip gets them from the network" in (out / "README.txt").read_text(encoding="utf8")


def test_pip_brings_what_any_such_python_needs_and_the_builder(run, out, wheels, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    (out / "wheels").mkdir(parents=True)
    pack_folder.begin(out, [])
    (out / "wheels" / "slim_vessel-1.0-py3-none-any.whl").write_bytes(b"half of it")
    make_wheel(out / "wheels", "slim-vessel", "0.9", "py3-none-any")  # of an older lock
    code, said = run(given=None)
    assert code == 0, said.err
    assert f"wheels: {NEEDED}, for Python {HERE[0]} on {HERE[1]}" in said.out
    got = {path.name: path.read_bytes() for path in (out / "wheels").iterdir()}
    assert {name.split("-")[0] for name in got} == {"paddlepaddle", "slim_vessel", "setuptools"}
    assert all(content == (wheels / name).read_bytes() for name, content in got.items())
    assert len(got) == NEEDED
    assert run("--verify")[0] == 0
    monkeypatch.setattr(pack_wheels, "_run_pip", lambda *_: pytest.fail("all of it is there"))
    assert run(given=None)[0] == 0
    assert run("--verify")[0] == 0


def test_what_pip_is_asked_for_is_wheels_with_hashes(monkeypatch, course, out):
    asked = []

    def note(command, **_):
        asked.append(command)
        return subprocess.CompletedProcess(command, 1, stderr="WARNING: slow\nERROR: no such host\nERROR: given up\n")

    monkeypatch.setattr(pack_wheels.subprocess, "run", note)
    with pytest.raises(DataError, match="said 'given up'"):
        pack_wheels.download(course / "requirements" / "cpu.txt", out / "wheels")
    (command,) = asked
    assert command[1:4] == ["-m", "pip", "download"]
    assert "--require-hashes" in command
    assert command[command.index("--only-binary") + 1] == ":all:"
    assert command[command.index("-r") + 1] == str(course / "requirements" / "cpu.txt")


def test_one_can_start_from_it_without_a_network(run, out, tmp_path):
    """The line of the README, with the pip that is here: a new one in the environment would take long."""
    run()
    laptop = Path(shutil.copytree(out, tmp_path / "laptop"))
    readme = (laptop / "README.txt").read_text(encoding="utf8")
    line = re.search(r"  \.venv/bin/python -m (pip install .*--require-hashes.*)\n", readme)[1]
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", ".venv"], cwd=laptop / "course", check=True)
    python = laptop / "course" / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    command = [sys.executable, "-m", "pip", "--python", str(python), *line.split()[1:]]
    done = subprocess.run(command, cwd=laptop / "course", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    code = "import paddlepaddle, slim_vessel; print(slim_vessel.version)"
    assert subprocess.run([python, "-c", code], capture_output=True, text=True).stdout == "1.0\n"
    wheel = next((laptop / "wheels").glob("paddle*"))
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    command.insert(-3, "--force-reinstall")
    assert subprocess.run(command, cwd=laptop / "course", capture_output=True).returncode != 0


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("all_here", [True, False])
def test_the_readme_names_only_what_is_there(given, all_here, run, out, wheels, usual_data, tmp_path):
    root = usual_data
    if not all_here:
        root = tmp_path / "empty"
        root.mkdir()
    run(given=wheels if given else "none", root=root)
    readme = (out / "README.txt").read_text(encoding="utf8")
    contents = readme.split("WHAT IS HERE")[1].split("You need")[0]
    listed = set(re.findall(r"(?m)^  (\S+?)/? {2,}", contents))
    here = {path.name for path in out.iterdir()} - {"README.txt", "data"}
    assert listed - {"data/mosmed"} == here
    assert ("data/mosmed" in listed) == all_here == (out / "data").exists()
    known = {"pip", "venv", "jupyter"}
    modules = set(re.findall(r"-m ([\w.]+)", readme)) - known
    assert modules == {"data_scripts.pack", "data_scripts.fetch", "tools.run_notebooks"}
    for module in modules:
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
    assert set(re.findall(r"-r (\S+)", readme)) == {"requirements/cpu.txt", "requirements\\cpu.txt"}
    assert ("../wheels" in readme) == ("--no-index" in readme) == ("..\\wheels" in readme) == given
    for line in re.findall(r"(?m)^  \.venv\S+ -m pip install .*", readme):
        assert ("--no-index --find-links" in line) == given
    assert readme.count("COURSE_DATA") >= 2
    for system in ("Linux", "macOS", "Windows"):
        assert re.search(rf"(?m)^{system}( \(no wheels yet: see OTHER SYSTEMS\))?, in ", readme)
        assert (f"{system} (no wheels yet" in readme) == (given and system != HERE[1])
    assert ("OTHER SYSTEMS\n" in readme) == given
    assert max(map(len, readme.splitlines())) <= 130
    for option in re.findall(r"(?<= )--\w[\w-]*", " ".join(re.findall(r"-m data_scripts\.\S+ .*", readme))):
        assert f'"{option}"' in "".join(
            (ROOT / "data_scripts" / f"{name}.py").read_text() for name in ("pack", "fetch")
        )


def test_what_git_tracks_is_the_course_and_without_git_it_is_all_but_caches(usual_course, tmp_path):
    root = Path(shutil.copytree(usual_course, tmp_path / "checkout"))
    walked = pack.course_files(root)
    assert {f"course/{name}" for name in walked} == OWN
    for command in (["init", "-q"], ["add", "README.md", "requirements", "helpers"]):
        subprocess.run(["git", "-C", str(root), *command], check=True, capture_output=True)
    assert pack.course_files(root) == ["README.md", "helpers/ct.py", "requirements/cpu.txt"]
    (root / "helpers" / "ct.py").unlink()
    with pytest.raises(DataError, match=r"ct\.py: git tracks it, but it is not there"):
        pack.course_files(root)
    shutil.rmtree(root / ".git" / "refs")
    with pytest.raises(DataError, match="git cannot list its files"):
        pack.course_files(root)


def test_the_course_itself_can_be_packed(monkeypatch):
    names = set(pack.course_files(ROOT))
    assert {"requirements/cpu.txt", "README.md", "pyproject.toml", "tools/run_notebooks.py", "LICENSE"} <= names
    monkeypatch.setattr(pack.shutil, "which", lambda _: None)
    walked = set(pack.course_files(ROOT))
    assert names <= walked
    for folder in (".git/", ".venv/", "build/", "data/"):
        assert not any(name.startswith(folder) for name in walked)
    assert not any("__pycache__" in name or name.endswith(".pyc") for name in walked)


def test_the_courses_lock_is_read_whole():
    text = (ROOT / "requirements" / "cpu.txt").read_text(encoding="utf8")
    lock = pack_wheels.read_lock(ROOT / "requirements" / "cpu.txt")
    assert len(lock) == len(re.findall(r"(?m)^\w", text)) > 50
    assert sum(len(each.hashes) for each in lock) == len(set(re.findall("sha256:([0-9a-f]{64})", text)))
    named = {each.name for each in lock}
    assert {"paddlepaddle", "jupyterlab", pack_wheels.BUILDER} <= named  # else nothing installs the course's packages
    for python in ("3.11", "3.12", "3.13"):
        on = {system: {each.name for each in lock if each.needed(python, system)} for system in pack_wheels.SYSTEMS}
        assert on["Windows"] - on["Linux"] >= {"colorama", "pywinpty"}
        assert on["macOS"] - on["Linux"] == {"appnope"}
        assert len([each for each in lock if each.name == "numpy" and each.needed(python, "Linux")]) == 1


def test_wheels_of_another_system_do_not_do_for_this_one():
    names = [f"paddlepaddle-3.3.1-cp312-cp312-{tag}.whl" for tag in ("win_amd64", "macosx_11_0_arm64")]
    assert pack_wheels.systems([*names, "odd.whl", "six-1.17.0-py3-none-any.whl"]) == [
        ("3.12", "macOS"),
        ("3.12", "Windows"),
    ]
    lock = [pack_wheels.Locked("paddlepaddle", "3.3.1", "", frozenset())]
    assert pack_wheels.lacking(lock, names, "3.12", "Windows") == []
    assert pack_wheels.lacking(lock, names, "3.12", "Linux") == ["paddlepaddle==3.3.1"]
    assert pack_wheels.lacking(lock, names, "3.11", "Windows") == ["paddlepaddle==3.3.1"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the following arguments are required: --out"),
        (["--out", "a", "--subset", "0"], "a whole number of at least 1"),
    ],
)
def test_wrong_words_are_explained(arguments, said, capsys):
    with pytest.raises(SystemExit) as ended:
        pack.main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
