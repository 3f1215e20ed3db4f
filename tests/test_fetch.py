"""The whole way of the real data, on phantoms in the real archives: fetched, checked, laid out, found by readers."""

import functools
import gzip
import http.server
import io
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from tiny import fill, one_sentence

from data_scripts import arrange, bundles, fetch, kaggle_client, layouts, sources
from helpers import (
    archives,
    check,
    files,
    image_folders,
    l3_scans,
    masks,
    phantoms,
    phantoms_l3,
    phantoms_siim,
    radiography,
    runtime,
    scans,
    siim,
)
from helpers.files import DataError
from helpers.phantoms_radiography import RadiographySettings, make_radiography
from helpers.trunk_scans import L3Settings

TOP = "MosMedData Chest CT Scans with COVID-19 Related Findings COVID19_1110 1.0"
MOSMED, SIIM, XRAYS = (
    "mosmeddata-chest-ct-scans-with-covid19.zip",
    "siim-acr-pneumothorax-segmentation-data.zip",
    "covid19-radiography-database.zip",
)
KAGGLE = """#!{python}
import os, sys, urllib.request
name, folder = sys.argv[sys.argv.index("-d") + 1], sys.argv[sys.argv.index("-p") + 1]
if os.environ.get("SAYS"):
    sys.exit(os.environ["SAYS"])
path = os.path.join(folder, name.split("/")[1] + ".zip")
content = urllib.request.urlopen("{address}/" + os.path.basename(path)).read()
open(path, "wb").write(content[: int(os.environ.get("BYTES", "1000000000"))])
"""


def pack(path: Path, members: dict[str, Path | bytes]) -> Path:
    """Write an archive from files or bytes by their names in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(name, content if isinstance(content, bytes) else content.read_bytes())
    return path


def below(folder: Path, prefix: str = "", pattern: str = "*") -> dict[str, Path]:
    """All files of a folder, by their path in it behind a prefix."""
    return {prefix + path.relative_to(folder).as_posix(): path for path in folder.rglob(pattern) if path.is_file()}


@pytest.fixture(scope="module")
def phantom_sets(tmp_path_factory):
    """A few phantoms of each data set, in the layout of the course."""
    root = tmp_path_factory.mktemp("phantoms")
    phantoms.make_ct(root / "mosmed", phantoms.CTSettings(3, 3, 32))
    phantoms_l3.make_l3_npz(root / "l3" / "l3_dataset.npz", L3Settings(4, pixel=12.0))
    phantoms_siim.make_siim(root / "siim", phantoms_siim.SIIMSettings(7, 40))
    make_radiography(root / "radiography", RadiographySettings(2, 40, duplicates=0))
    return root


@pytest.fixture(scope="module")
def published(phantom_sets, tmp_path_factory):
    """A web site with their archives, in the layouts of the real ones."""
    web = tmp_path_factory.mktemp("web")
    ct, films, xrays = (phantom_sets / name for name in ("mosmed", "siim", "radiography"))
    for name in ("CT-0", "CT-23"):
        junk = {f"__MACOSX/{name}/._study.nii.gz": b"junk", f"{name}/.DS_Store": b"junk"}
        pack(web / f"{name}.zip", below(ct / name, f"{name}/") | junk)
    healthy, ill = (sorted((ct / name).iterdir()) for name in ("CT-0", "CT-23"))
    folders = {"CT-0": healthy, "CT-1": healthy[:1], "CT-2": ill[:2], "CT-3": ill[2:], "CT-4": ill[:1]}
    members = {f"{TOP}/studies/{name}/{path.name}": path for name, paths in folders.items() for path in paths}
    members |= {f"{TOP}/masks/{path.name}": path for path in (ct / "masks").iterdir()}
    pack(web / MOSMED, members | {f"{TOP}/dataset_registry.xlsx": b"table"})

    members = below(films, "pneumothorax/")
    test_image = {"pneumothorax/dicom-images-test/1/2/1.2.3.dcm": next(films.rglob("*.dcm"))}
    pack(web / SIIM, members | test_image)

    members = {}
    for name, inside in (("COVID", "COVID"), ("NORMAL", "Normal"), ("Viral_Pneumonia", "Viral Pneumonia")):
        for path in sorted((xrays / name).iterdir()):
            for kind in ("images", "masks"):
                members[f"COVID-19_Radiography_Dataset/{inside}/{kind}/{path.name}"] = path
        members[f"COVID-19_Radiography_Dataset/{inside}.metadata.xlsx"] = b"table"
    for number, path in enumerate(sorted((xrays / "NORMAL").iterdir()), 1):
        with Image.open(path) as picture:  # other images, whatever they show
            content = io.BytesIO()
            ImageOps.mirror(picture.convert("L")).save(content, "png")
        for kind in ("images", "masks"):
            name = f"COVID-19_Radiography_Dataset/Lung_Opacity/{kind}/Lung_Opacity-{number}.png"
            members[name] = content.getvalue()
    pack(web / XRAYS, members | {"COVID-19_Radiography_Dataset/README.md.txt": b"read me"})
    return web


@pytest.fixture(scope="module")
def address(published):
    """Where that site is."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=published))
    server.handle_error = lambda *_: None  # a client that hangs up is no fault of the site's
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def root(address, tmp_path, monkeypatch):
    """An empty data root, in a world where the sources are that site, and Kaggle's client asks there, too."""
    for source in sources.SOURCES.values():
        variants = []
        for variant in source.variants:
            here = tuple(replace(file, url=f"{address}/{file.name}", size=None) for file in variant.files)
            variants.append(replace(variant, files=here, size=1000, unpacked=1000))
        monkeypatch.setitem(sources.SOURCES, source.name, replace(source, variants=tuple(variants)))
    client = tmp_path / "bin" / "kaggle"
    client.parent.mkdir()
    client.write_text(KAGGLE.format(python=sys.executable, address=address))
    client.chmod(client.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{client.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(kaggle_client, "PAUSE", 0.01)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.setattr(runtime, "BUILD", tmp_path / "build")
    return tmp_path / "root"


@pytest.fixture
def get(root, capsys):
    """The command with ``--out`` and ``--yes``: its exit code, and what it said on both ways."""

    def run(*arguments, yes: bool = True):
        code = fetch.main([*map(str, arguments), "--out", str(root), *["--yes"] * yes])
        return code, capsys.readouterr()

    return run


def refused(done) -> str:
    """The one sentence of a command that could not be done."""
    code, said = done
    assert code == 2, said
    one_sentence(said.err.removesuffix("\n"))
    return said.err


def everything(folder: Path) -> dict[str, bytes]:
    """All files with their content, but for the day of the record and its sum."""
    return {name: path.read_bytes() for name, path in below(folder).items()}


READERS = {
    "mosmed": scans.read_folder,
    "l3": l3_scans.read_folder,
    "siim": siim.read_folder,
    "radiography": radiography.read_folder,
}
CHAIN = [
    ("mosmed", "subset", 6),
    ("mosmed", "full", 6),
    ("l3", "", None),
    ("siim", "", None),
    ("radiography", "2020", 6),
    ("radiography", "2021", 6),
    ("radiography", "2021-four-classes", 8),
]


@pytest.mark.parametrize(("name", "variant", "count"), CHAIN, ids=[" ".join(row[:2]) for row in CHAIN])
def test_what_is_fetched_is_found_by_the_notebooks_and_stands_the_check(
    name, variant, count, get, root, phantom_sets, published, monkeypatch
):
    given = ["--from", phantom_sets / "l3" / "l3_dataset.npz"] if name == "l3" else []
    code, said = get(name, "--variant", variant, *given)
    assert code == 0, said.err
    assert said.err == ""
    folder = root / name
    monkeypatch.setenv("COURSE_DATA", str(root))
    assert runtime.find_data(name) == folder.resolve()
    if count is None:
        count = len(READERS[name](phantom_sets / name).cases)
        assert count >= 3
    found = READERS[name](folder)
    assert len(found.cases) == count
    source = sources.SOURCES[name]
    if not (folder / "ORIGIN.json").read_text().count("phantom"):
        assert f"licence: {source.licence}" in found.card()
        assert f"source: {source.citation}" in found.card()
    terms = (folder / "LICENCE.txt").read_text(encoding="utf8")
    assert source.terms in terms
    assert source.terms.splitlines()[0] in said.out
    record = files.read_json(folder / "SOURCE.json")
    assert (record["variant"], record["subset"]) == (variant or source.variant().name, None)
    for archive in record["archives"]:
        packed = (phantom_sets / "l3" if name == "l3" else published) / archive["name"]
        assert (archive["bytes"], archive["sha256"]) == (packed.stat().st_size, files.hash_file(packed))
    assert fetch.main(["--verify", "--out", str(root)]) == 0
    (both, refused), (_, refused_twins) = check.check(root), check.check(phantom_sets / name)
    assert both
    assert len(refused) == len(refused_twins)


def test_the_sums_are_those_that_other_tools_read(get, root):
    get("mosmed")
    done = subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=root / "mosmed", capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b": OK") == 6 + 3


def test_scans_come_as_they_were_published(get, root, phantom_sets):
    get("mosmed")
    for name in ("CT-0", "CT-23"):
        assert everything(root / "mosmed" / name) == everything(phantom_sets / "mosmed" / name)
    assert {path.name for path in (root / "mosmed").iterdir()} == {
        *("CT-0", "CT-23", "LICENCE.txt", "SOURCE.json", "ORIGIN.json", "SHA256SUMS")
    }


def test_the_second_time_nothing_is_done(get, root):
    get("mosmed")
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    code, said = get("mosmed")
    assert code == 0
    assert "is there already, whole: 3 CT-0, 3 CT-23" in said.out
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_the_archives_stay_and_may_be_deleted(get, root):
    _, said = get("mosmed")
    assert "delete them if you need the room" in said.out
    shutil.rmtree(root / ".downloads")
    assert get("--verify", yes=False)[0] == 0
    assert get("mosmed")[0] == 0


def test_classes_that_the_notebook_does_not_have_are_kept_aside(get, root):
    _, said = get("mosmed", "--variant", "full")
    assert "Kept aside, in the archive: 1 CT-1, 1 CT-4, 6 masks." in said.out
    assert {path.name for path in (root / "mosmed").iterdir() if path.is_dir()} == {"CT-0", "CT-23"}
    assert len(list((root / "mosmed" / "CT-23").iterdir())) == 3


def test_the_variant_is_told_from_what_is_given(get, root, published):
    get("mosmed", "--from", published / MOSMED)
    assert files.read_json(root / "mosmed" / "SOURCE.json")["variant"] == "full"
    shutil.rmtree(root / "mosmed")
    get("mosmed", "--from", published / "CT-23.zip", published / "CT-0.zip")
    assert files.read_json(root / "mosmed" / "SOURCE.json")["variant"] == "subset"
    assert not (root / ".downloads").exists()


def test_a_folder_that_was_unpacked_by_hand_will_do(get, root, published, phantom_sets):
    unpacked = root.parent / "unpacked"
    with zipfile.ZipFile(published / XRAYS) as archive:
        archive.extractall(unpacked)
    assert get("radiography", "--variant", "2021", "--from", unpacked)[0] == 0
    assert len(radiography.read_folder(root / "radiography").cases) == 6
    assert get("mosmed", "--from", phantom_sets / "mosmed" / "CT-0", phantom_sets / "mosmed" / "CT-23")[0] == 0
    assert len(scans.read_folder(root / "mosmed").cases) == 6
    assert get("--verify", yes=False)[0] == 0


def test_a_bare_archive_of_scans_is_taken_for_the_class_of_its_name(get, root, phantom_sets):
    given = [pack(root.parent / f"{name}.zip", below(phantom_sets / "mosmed" / name)) for name in ("CT-0", "CT-23")]
    assert get("mosmed", "--from", *given)[0] == 0
    assert len(scans.read_folder(root / "mosmed").cases) == 6


def test_phantoms_stay_phantoms(get, root, phantom_sets):
    given = pack(root.parent / "a.zip", below(phantom_sets / "mosmed", "mosmed/"))
    get("mosmed", "--from", given)
    assert not runtime.is_real("mosmed", root)
    assert scans.read_folder(root / "mosmed").hash == scans.read_folder(phantom_sets / "mosmed").hash


def test_masks_of_lungs_are_there_and_taken_for_no_image(get, root):
    get("radiography", "--variant", "2021")
    folder = root / "radiography"
    for name in ("COVID", "NORMAL", "Viral Pneumonia"):
        inside = {path.name for path in (folder / name).iterdir()} - {"masks"}
        assert {path.name for path in (folder / name / "masks").iterdir()} == inside
        assert len(inside) == 2
    listed = image_folders.list_images(image_folders.find_root(folder))
    assert {name: len(paths) for name, paths in listed.items()} == {"NORMAL": 2, "COVID": 2, "Viral Pneumonia": 2}


def test_the_older_version_is_reproduced_by_count_and_that_is_said(get, root, monkeypatch):
    source = sources.SOURCES["radiography"]
    first = replace(source.variant(), counts={"COVID": 1, "NORMAL": 2, "Viral Pneumonia": 3})
    monkeypatch.setitem(sources.SOURCES, "radiography", replace(source, variants=(first, *source.variants[1:])))
    _, said = get("radiography")
    assert "Laid out 1 COVID, 2 NORMAL, 2 Viral Pneumonia in" in said.out
    assert "1 of 2 COVID were drawn, by name" in said.out
    assert "3 Viral Pneumonia are published, but the archive holds 2." in said.out
    assert "Kept aside, in the archive: 2 Lung_Opacity, 2 masks." in said.out
    listed = image_folders.list_images(root / "radiography")
    assert {name: len(paths) for name, paths in listed.items()} == {"NORMAL": 2, "COVID": 1, "Viral Pneumonia": 2}
    (mask,) = (root / "radiography" / "COVID" / "masks").iterdir()
    assert mask.stem == listed["COVID"][0].stem


def test_the_older_archive_is_taken_as_it_is(get, root, phantom_sets):
    names = {"COVID": "COVID-19", "NORMAL": "NORMAL", "Viral_Pneumonia": "Viral Pneumonia"}
    members = {}
    for name, inside in names.items():
        members |= below(phantom_sets / "radiography" / name, f"COVID-19 Radiography Database/{inside}/")
    given = pack(root.parent / "older.zip", members | {"COVID-19 Radiography Database/NORMAL.metadata.xlsx": b"x"})
    get("radiography", "--from", given)
    assert files.read_json(root / "radiography" / "SOURCE.json")["variant"] == "2020"
    for name in names.values():
        assert len(list((root / "radiography" / name.replace("-19", "")).iterdir())) == 2
    assert len(radiography.read_folder(root / "radiography").cases) == 6


@pytest.mark.parametrize("packed", [False, True])
def test_a_subset_of_radiographs_brings_the_rows_of_its_images_alone(packed, get, root, phantom_sets):
    members = below(phantom_sets / "siim", "pneumothorax/", "*.dcm")
    table = (phantom_sets / "siim" / "train-rle.csv").read_bytes()
    members |= {"pneumothorax/train-rle.csv.gz": gzip.compress(table)} if packed else {"train-rle.csv": table}
    code, said = get("siim", "--subset", 2, "--from", pack(root.parent / "a.zip", members))
    assert code == 0, said.err
    found = siim.read_folder(root / "siim")
    assert found.labels.tolist().count(1) == 2
    assert len(found.cases) == 4
    assert (found.without_row, found.without_image, found.refused) == ((), (), ())
    rows = (root / "siim" / "train-rle.csv").read_text().splitlines(keepends=True)
    assert set(rows) < set(table.decode().splitlines(keepends=True))
    whole = masks.read_table(phantom_sets / "siim" / "train-rle.csv").images
    kept = masks.read_table(root / "siim" / "train-rle.csv").images
    assert all(texts == whole[image] for image, texts in kept.items())
    assert get("--verify", yes=False)[0] == 0


def test_test_images_without_masks_are_kept_aside(get, root):
    _, said = get("siim")
    assert "Kept aside, in the archive: 1 dicom-images-test." in said.out
    assert not list(root.rglob("1.2.3.dcm"))


def test_the_real_table_and_a_real_image_are_laid_out(get, root, realdata):
    given = root.parent / "given" / "dicom-images-train" / "1" / "2"
    given.mkdir(parents=True)
    film = next((realdata / "siim").glob("*850819.dcm"))
    shutil.copy(film, given)
    code, said = get("siim", "--from", root.parent / "given", realdata / "siim" / "train-rle.csv.gz")
    assert code == 0, said.err
    found = siim.read_folder(root / "siim")
    assert (len(found.cases), len(found.without_image), found.origin) == (1, 12_046, "real")
    assert found.cases[0].key == files.hash_file(film)
    shutil.rmtree(root / "siim")
    said = refused(get("siim", "--subset", 1, "--from", root.parent / "given", realdata / "siim" / "train-rle.csv.gz"))
    assert "there is nothing for pneumothorax in given, train-rle.csv.gz" in said


def test_a_subset_of_projections_holds_whole_cases(get, root, phantom_sets):
    path = phantom_sets / "l3" / "l3_dataset.npz"
    get("l3", "--subset", 2, "--from", path)
    whole, less = (files.read_npz(each) for each in (path, root / "l3" / "l3_dataset.npz"))
    names = list(whole["names"])
    assert (len(less["names"]), int(less["num_images"])) == (2, 2)
    for index, name in enumerate(less["names"]):
        old = names.index(name)
        assert np.array_equal(less["images_f"][index], whole["images_f"][old])
        assert np.array_equal(less["spacings"][index], whole["spacings"][old])
        for who, rows in less["ydata"].item().items():
            assert rows[index] == whole["ydata"].item()[who][old]
    assert len(l3_scans.read_folder(root / "l3").cases) == 2
    assert get("--verify", yes=False)[0] == 0


def test_a_subset_is_drawn_by_name_whatever_the_order_and_is_part_of_larger_ones(get, root, published):
    drawn = {}
    for subset, archive in ((1, ("CT-0.zip", "CT-23.zip")), (2, ("CT-23.zip", "CT-0.zip"))):
        _, said = get("mosmed", "--subset", subset, "--from", *(published / name for name in archive))
        assert f"{subset} of 3 CT-0 were drawn, by name" in said.out
        drawn[subset] = set(below(root / "mosmed", pattern="*.nii.gz"))
        shutil.rmtree(root / "mosmed")
    assert drawn[1] < drawn[2]
    assert (len(drawn[1]), len(drawn[2])) == (2, 4)


def test_a_choice_is_seeded_and_not_the_first_by_name():
    names = [f"study_{number:04d}" for number in range(100)]
    drawn = layouts.choose(names, 20)
    assert drawn == layouts.choose(reversed(names), 20)
    assert drawn != names[:20]
    assert len({int(name[-2]) for name in drawn}) >= 6  # from everywhere


def test_another_choice_does_not_replace_what_is_there(get, root):
    get("mosmed")
    before = everything(root / "mosmed")
    said = refused(get("mosmed", "--subset", 2))
    assert "something else is there already (subset, all of each class); move it away" in said
    assert everything(root / "mosmed") == before


def test_a_folder_of_the_users_own_is_left_alone(get, root):
    fill(root / "mosmed", {"mine": 1, "yours": 1})
    before = everything(root)
    assert "was not made by this command; move it away, or name another" in refused(get("mosmed"))
    assert everything(root) == before


class Killed(BaseException):
    pass


@pytest.mark.parametrize("after", range(7))
@pytest.mark.parametrize("ended", [KeyboardInterrupt, Killed])
def test_unpacking_goes_on_where_it_was_stopped_and_half_of_it_is_no_data_set(after, ended, get, root, monkeypatch):
    whole, wrote = archives.write_whole, []

    def stop(stream, target, size):
        wrote.append(target.name)
        if len(wrote) > after:
            (target.parent / f"{target.name}.part").parent.mkdir(parents=True, exist_ok=True)
            (target.parent / f"{target.name}.part").write_bytes(stream.read(size // 2))
            raise ended
        return whole(stream, target, size)

    monkeypatch.setattr(archives, "write_whole", stop)
    if after < 6 and ended is Killed:
        with pytest.raises(Killed):
            get("mosmed")
    elif after < 6:
        code, said = get("mosmed")
        assert code == 130
        assert said.err == "Stopped; what is here is kept, and the same command goes on.\n"
    if after < 6:
        assert runtime.find_data("mosmed", root) is None
        assert not (root / "mosmed").exists()
    before, wrote[:] = wrote[:after], []
    monkeypatch.setattr(archives, "write_whole", lambda *job: (wrote.append(job[1].name), whole(*job))[1])
    assert get("mosmed")[0] == 0
    if after < 6:
        assert len(wrote) == 6 - after
        assert not set(wrote) & set(before)
    assert {path.name for path in root.iterdir()} == {"mosmed", ".downloads"}
    assert not list(root.rglob("*.part"))
    assert len(scans.read_folder(root / "mosmed").cases) == 6
    assert get("--verify", yes=False)[0] == 0


KILLED = """
import os, signal, sys
from pathlib import Path
from data_scripts import arrange, fetch
from helpers import archives, files
left, name = int(sys.argv[1]), sys.argv[2]
module = {"write_whole": archives, "write_atomic": files}[name]
whole = getattr(module, name)
def die(*job):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*job)
setattr(module, name, die)
sys.exit(fetch.main(sys.argv[3:]))
"""


@pytest.mark.parametrize(("left", "where"), [(2, "write_whole"), (3, "write_atomic")])
def test_a_process_that_is_killed_leaves_nothing_that_passes_for_whole(left, where, get, root, published):
    given = ["mosmed", "--from", published / "CT-0.zip", published / "CT-23.zip"]
    command = [sys.executable, "-c", KILLED, left, where, *given, "--out", root, "--yes"]
    done = subprocess.run([*map(str, command)], cwd=runtime.ROOT, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert runtime.find_data("mosmed", root) is None
    assert get(*given)[0] == 0
    assert get("--verify", yes=False)[0] == 0
    assert {path.name for path in root.iterdir()} == {"mosmed"}


def test_two_at_once_do_not_collide(root, published, capsys):
    given = [published / "CT-0.zip", published / "CT-23.zip"]
    with ThreadPoolExecutor(2) as pool:  # the lock is one of open files, so that threads stand for processes
        done = [pool.submit(fetch.fetch, sources.SOURCES["mosmed"], root, given=given) for _ in range(2)]
    assert [each.result() for each in done] == [root / "mosmed"] * 2
    said = capsys.readouterr().out
    assert said.count("Laid out 3 CT-0, 3 CT-23") == 1
    assert said.count("is there already, whole") == 1
    assert arrange.verify(root / "mosmed") == []
    assert [path.name for path in root.iterdir()] == ["mosmed"]


def test_an_unfinished_choice_leaves_nothing_in_the_next_one(get, root, monkeypatch):
    monkeypatch.setattr(arrange.Path, "rename", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert get("mosmed")[0] == 130
    monkeypatch.undo()
    assert len(below(arrange.part_of(root / "mosmed"), pattern="*.nii.gz")) == 6
    web = sorted((root / ".downloads" / "mosmed").glob("*.zip"))
    assert get("mosmed", "--subset", 2, "--from", *web)[0] == 0
    assert len(scans.read_folder(root / "mosmed").cases) == 4
    assert get("--verify", yes=False)[0] == 0


def test_verify_tells_what_is_missing_changed_or_new(get, root):
    get("mosmed")
    lost, changed, *_ = sorted((root / "mosmed" / "CT-0").iterdir())
    lost.unlink()
    content = bytearray(changed.read_bytes())
    content[len(content) // 2] ^= 1
    changed.write_bytes(content)
    shutil.copy(changed, root / "mosmed" / "CT-0" / "study_9999.nii.gz")
    (root / "mosmed" / ".DS_Store").write_bytes(b"of a desktop")
    archive = root / ".downloads" / "mosmed" / "CT-23.zip"
    archive.write_bytes(archive.read_bytes() + b"\0")
    code, said = get("--verify", yes=False)
    assert code == 1
    assert "mosmed: 4 faults" in said.out
    for line in (
        f"CT-0/{lost.name} is missing",
        f"CT-0/{changed.name} is changed",
        "CT-0/study_9999.nii.gz is new here",
    ):
        assert f"  {line}\n" in said.out
    assert "CT-23.zip: its SHA-256 is" in said.out
    assert "move" in said.out


@pytest.mark.parametrize(
    ("left", "said_of_it"),
    [
        ([], "Nothing in"),
        ([".mosmed.part"], "Nothing in"),
        ([".downloads"], "mosmed: its archives are as they were fetched; it is not laid out here"),
    ],
    ids=str,
)
def test_what_is_not_laid_out_does_not_pass_for_whole(left, said_of_it, get, root):
    get("mosmed")
    (root / "mosmed").rename(root / ".mosmed.part")
    for path in list(root.iterdir()):
        if path.name not in left:
            shutil.rmtree(path)
    code, said = get("mosmed", "--verify", yes=False)
    assert code == 1
    assert "mosmed: 1 faults\n  mosmed is not laid out here\n  To get it, fetch it" in said.out
    code, said = get("--verify", yes=False)
    assert (code, said_of_it in said.out) == (0, True), said.out


@pytest.mark.parametrize("words", [["--verify"], ["mosmed", "--verify"]])
def test_without_the_list_of_checksums_nothing_passes_for_whole(words, get, root, published):
    get("mosmed", "--from", published / "CT-0.zip", published / "CT-23.zip")
    (root / "mosmed" / "SHA256SUMS").unlink()
    code, said = get(*words, yes=False)
    assert code == 1
    assert "  SHA256SUMS is missing, so that nothing tells what else is changed\n  To get it back, move" in said.out


def test_verify_of_nothing_says_so(get, root):
    root.mkdir()
    code, said = get("--verify", yes=False)
    assert (code, "Nothing in" in said.out) == (0, True)
    fill(root / "mosmed", {"mine": 1, "yours": 1})
    assert "holds no SHA256SUMS" in refused(get("mosmed", "--verify", yes=False))
    (root / "mosmed" / "SHA256SUMS").write_text("no sums")
    assert "no list of checksums" in refused(get("mosmed", "--verify", yes=False))


def test_the_list_tells_terms_sources_and_what_is_here(get, root):
    get("mosmed")
    fill(root / "radiography", {"NORMAL": 1, "COVID": 1})
    arrange.part_of(root / "siim").mkdir()
    _, said = get("--list", yes=False)
    for source in sources.SOURCES.values():
        assert f"{source.name}: {source.title}" in said.out
        assert source.licence in said.out
        assert source.citation in said.out
        assert all(variant.where in said.out for variant in source.variants)
    assert "here: 3 CT-0, 3 CT-23; subset, " in said.out
    assert "here: a folder that this command did not make" in said.out
    assert "here: begun, not laid out yet" in said.out
    assert "here: nothing" in said.out


RECORDED = {"variant": "subset", "subset": None, "cases": {"CT-0": 3}}
DAMAGED = [
    "",
    "[]",
    *(json.dumps(RECORDED | other) for other in ({"cases": 3}, {"cases": {"CT-0": "3"}}, {"subset": "2"})),
    *(json.dumps(RECORDED | other) for other in ({"variant": 1}, {"archives": 5}, {"archives": ["CT-0.zip"]})),
]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_record_is_told_and_the_others_are_listed(text, get, root):
    root.joinpath("mosmed").mkdir(parents=True)
    root.joinpath("mosmed", "SOURCE.json").write_text(json.dumps(RECORDED))
    assert "here: 3 CT-0; subset" in get("--list", yes=False)[1].out
    root.joinpath("mosmed", "SOURCE.json").write_text(text)
    code, said = get("--list", yes=False)
    assert (code, said.err) == (0, "")
    (line,) = (line for line in said.out.splitlines() if "SOURCE.json" in line)
    one_sentence(line.removeprefix("  here: "))
    assert line.endswith("; move its folder away, and fetch it again.")
    assert said.out.count("here: nothing") == 3
    assert "move its folder away, and fetch it again" in refused(get("mosmed"))


def test_before_a_subset_is_downloaded_it_is_said_that_the_download_is_whole(get, published):
    said = get("mosmed", "--subset", 2)[1].out
    line = "  download: whole, about 0.0 MB; of it, at most 2 of each class are laid out\n"
    assert said.index(line) < said.index("getting")


@pytest.mark.parametrize("fault", [EOFError, UnicodeDecodeError("utf8", b"\xff", 0, 1, "invalid start byte")])
def test_the_end_of_the_input_is_a_no(fault, get, root, monkeypatch):
    def end(_):
        raise fault

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", end)
    assert "its terms are not accepted" in refused(get("mosmed", yes=False))
    assert not root.exists()


def test_terms_come_before_the_download_and_must_be_accepted(get, root, monkeypatch):
    assert "nobody is here to accept its terms; give --yes" in refused(get("mosmed", yes=False))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: "")
    assert "its terms are not accepted" in refused(get("mosmed", yes=False))
    assert not root.exists()
    monkeypatch.setattr("builtins.input", lambda _: "y")
    code, said = get("mosmed", yes=False)
    assert code == 0
    assert said.out.index("CC BY-NC-ND") < said.out.index("CT-0.zip")


def test_the_room_is_looked_at_before_the_first_byte(get, root, monkeypatch):
    usage = shutil._ntuple_diskusage(9, 0, 1999)
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _: usage)
    said = refused(get("mosmed"))
    assert "about 0.0 MB are needed for the archives and what is unpacked" in said
    assert not list(root.rglob("*.zip"))
    room = shutil._ntuple_diskusage(9, 0, 2000)
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _: room)
    said = refused(get("mosmed"))  # the archives turn out to be larger than their page says
    assert "make room" in said
    assert not (root / "mosmed").exists()


def test_what_is_here_already_needs_no_room_again(get, root, monkeypatch):
    monkeypatch.setattr(arrange.Path, "rename", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert get("mosmed")[0] == 130
    monkeypatch.undo()
    nothing = shutil._ntuple_diskusage(9, 9, 0)
    with monkeypatch.context() as full:
        full.setattr(fetch.shutil, "disk_usage", lambda _: nothing)
        fetch._need_room(root, "mosmed", replace(sources.SOURCES["mosmed"].variant(), size=1000, unpacked=1000), None)
        with pytest.raises(DataError, match="make room"):
            fetch._need_room(root, "siim", sources.SOURCES["siim"].variant(), None)


def test_a_full_disk_while_unpacking_is_a_sentence(get, root, monkeypatch):
    def full(stream, target, size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archives, "write_whole", full)
    assert "No space left on device" in refused(get("mosmed"))
    monkeypatch.undo()


def test_a_data_root_that_cannot_be_written_is_a_sentence(get, root):
    root.write_text("no folder")
    assert "it cannot be read or written" in refused(get("mosmed"))


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(content)


def test_a_damaged_archive_is_never_laid_out(get, root, published):
    copies = [shutil.copy(published / name, root.parent) for name in ("CT-0.zip", "CT-23.zip")]
    damage(Path(copies[1]))
    assert "CT-23.zip: it is not a whole zip archive; download it again" in refused(get("mosmed", "--from", *copies))
    assert not (root / "mosmed").exists()
    shutil.copy(published / "CT-23.zip", root.parent)
    assert get("mosmed", "--from", *copies)[0] == 0
    assert get("--verify", yes=False)[0] == 0


@pytest.mark.parametrize("name", ["../CT-0/a.nii.gz", "/CT-0/a.nii.gz", "C:/CT-0/a.nii.gz"])
def test_an_archive_that_would_write_elsewhere_is_refused(name, get, root):
    given = pack(root.parent / "a.zip", {"CT-23/b.nii.gz": b"b", name: b"a"})
    assert "outside of its folder" in refused(get("mosmed", "--from", given))
    assert not root.exists()


@pytest.mark.parametrize(
    "name", ["a?.nii.gz", "a:b.nii.gz", 'a".nii.gz', "a\n.nii.gz", "a\u2028.nii.gz", "a\x85.nii.gz"]
)
def test_names_that_windows_cannot_write_are_refused(name, get, root):
    given = pack(root.parent / "a.zip", {"CT-23/b.nii.gz": b"b", f"CT-0/{name}": b"a"})
    assert "not every system can write" in refused(get("mosmed", "--from", given))


def test_two_files_of_one_name_are_refused(get, root):
    given = pack(root.parent / "a.zip", {"CT-23/b.nii.gz": b"b", "x/CT-0/a.nii.gz": b"a", "y/CT-0/A.nii.gz": b"b"})
    assert "two files would become ct-0/a.nii.gz" in refused(get("mosmed", "--from", given))
    given = pack(root.parent / "b.zip", {"CT-23/b.nii.gz": b"b", "x/CT-0/a.nii.gz": b"a", "y/CT-0/a.nii.gz": b"b"})
    assert "two files would become CT-0/a.nii.gz" in refused(get("mosmed", "--from", given))


def test_a_name_that_is_no_text_is_refused_before_the_terms(get, root):
    given = root.parent / "given"
    fill(given, {"CT-0": 1, "CT-23": 1})
    (given / "CT-0" / os.fsdecode(b"\xff.nii.gz")).write_bytes(b"a")
    said = refused(get("mosmed", "--from", given, yes=False))
    assert r"the name 'CT-0/\udcff.nii.gz' is not UTF-8; rename that file or folder" in said
    (given / "CT-0" / os.fsdecode(b"\xff.nii.gz")).rename(given / "CT-0" / "a.nii.gz")
    assert get("mosmed", "--from", given)[0] == 0
    (root / "mosmed" / "CT-0" / os.fsdecode(b"\xff.nii.gz")).write_bytes(b"a")
    code, said = get("--verify", yes=False)
    assert (code, r"CT-0/\udcff.nii.gz is new here" in said.out) == (1, True)


def test_names_in_an_archive_may_begin_in_its_own_folder(get, root, phantom_sets):
    """As `zip -r a.zip ./CT-0 ./CT-23` of some programs, and what joins folders with two slashes."""
    members = below(phantom_sets / "mosmed" / "CT-0", "./CT-0/") | below(phantom_sets / "mosmed" / "CT-23", "CT-23//")
    code, said = get("mosmed", "--from", pack(root.parent / "a.zip", members))
    assert code == 0, said.err
    assert len(scans.read_folder(root / "mosmed").cases) == 6


def bytes_of(**arrays) -> bytes:
    """An .npz file of such arrays."""
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


NAMES = ["a", "b", "c"]
NO_PROJECTIONS = {
    "nothing": b"",
    "a page": b"<html>Please log in</html>",
    "half": bytes_of(names=NAMES, ydata={"A": [1, 2, 3]})[:-200],
    "another": bytes_of(names=NAMES, weights=np.ones(3)),
}
HARDLY = {
    "too few": bytes_of(names=NAMES, ydata={"A": [1, 2, 3], "B": [1]}),
    "no list": bytes_of(names=NAMES, ydata={"A": 5}),
    "a text": bytes_of(names=NAMES, ydata={"A": "abc"}),
    "no dict": bytes_of(names=NAMES, ydata=np.ones(3)),
    "no names": bytes_of(names=[], ydata={"A": []}),
    "damaged": bytes_of(names=NAMES, ydata={"A": [1, 2, 3]}).replace(b"descr", b"drcse"),
}


@pytest.mark.parametrize("way", ["file", "folder", "archive"])
@pytest.mark.parametrize("content", NO_PROJECTIONS.values(), ids=NO_PROJECTIONS)
def test_what_only_ends_like_the_projections_is_not_laid_out(content, way, get, root):
    given = root.parent / "mine.npz"
    given.write_bytes(content)
    named = given
    if way == "folder":
        given = root.parent / "folder"
        given.mkdir()
        named = named.rename(given / "mine.npz")
    elif way == "archive":
        given = pack(root.parent / "box.zip", {"mine.npz": content})
        named = given / "mine.npz"
    said = refused(get("l3", "--from", given))
    assert said.startswith(f"{named.as_posix()}: it ")
    assert "; download it again from the authors' page" in said
    assert not (root / "l3").exists()


@pytest.mark.parametrize("content", HARDLY.values(), ids=HARDLY)
def test_a_subset_of_damaged_projections_is_a_sentence_on_the_file_that_was_given(content, get, root):
    given = root.parent / "mine.npz"
    given.write_bytes(content)
    said = refused(get("l3", "--subset", 2, "--from", given))
    assert said.startswith(f"{given.as_posix()}: it")
    assert "download it again" in said
    assert not (root / "l3").exists()


def test_what_lacks_is_named(get, root, published):
    said = refused(get("mosmed", "--from", published / "CT-0.zip"))
    assert "there is nothing for CT-23 in CT-0.zip; give all files of mosmed subset with --from" in said
    said = refused(get("siim", "--from", pack(root.parent / "a.zip", {"dicom-images-train/a.dcm": b"a"})))
    assert "there is no train-rle.csv in it" in said
    said = refused(get("l3", "--from", pack(root.parent / "b.zip", {"readme.txt": b"a"})))
    assert "there is nothing for l3_dataset.npz" in said
    assert "there is no such file" in refused(get("l3", "--from", root.parent / "none.npz"))
    assert not (root / "mosmed").exists()


def test_l3_is_downloaded_by_hand_and_may_come_in_an_archive(get, root, phantom_sets):
    said = refused(get("l3"))
    assert "cannot be downloaded by a program" in said
    assert "--from" in said
    given = pack(root.parent / "box.zip", {"L3/dataset.npz": phantom_sets / "l3" / "l3_dataset.npz"})
    assert get("l3", "--from", given)[0] == 0
    assert (root / "l3" / "l3_dataset.npz").read_bytes() == (phantom_sets / "l3" / "l3_dataset.npz").read_bytes()


def test_without_kaggles_client_a_sentence_tells_how_to_get_it(get, root, monkeypatch):
    monkeypatch.setattr(kaggle_client.shutil, "which", lambda _: None)
    monkeypatch.setattr(kaggle_client.importlib.util, "find_spec", lambda _: None)
    said = refused(get("siim"))
    assert "Python package kaggle" in said
    assert "token" in said
    assert "https://www.kaggle.com/datasets/jesperdramsch/siim-acr-pneumothorax-segmentation-data" in said


@pytest.mark.parametrize(
    "words",
    [
        "OSError: Could not find kaggle.json. Make sure",
        "ValueError: Error: Missing username in configuration.",
        "403 - Forbidden",
        "401 Client Error: Unauthorized for url",
    ],
)
def test_without_a_token_a_sentence_tells_how_to_get_one(words, get, root, monkeypatch):
    monkeypatch.setenv("SAYS", words)
    said = refused(get("siim"))
    assert "Kaggle does not let its client in; make a token on kaggle.com" in said


def test_what_else_goes_wrong_with_kaggles_client_is_told_and_the_next_try_goes_on(get, root, monkeypatch):
    monkeypatch.setenv("SAYS", "12%|#   | 401M/3.3G\r12%|#   | 403M/3.3G\nConnection reset by peer")
    assert "Kaggle's client failed and said 'Connection reset by peer'" in refused(get("siim"))
    monkeypatch.delenv("SAYS")
    for number in ("4000", "5000"):
        monkeypatch.setenv("BYTES", number)
        said = refused(get("siim"))
        assert "what Kaggle's client brought was of no use, it is not a whole zip archive, and is kept as " in said
        assert not list(root.rglob("*.zip"))
        (kept,) = root.rglob("*.refused")
        assert (f" {kept}; " in said, kept.stat().st_size) == (True, int(number))
    monkeypatch.delenv("BYTES")
    assert get("siim")[0] == 0
    sums = json.loads((root / ".downloads" / "siim" / "checksums.json").read_text())
    assert sums[SIIM]["sha256"] == files.hash_file(root / ".downloads" / "siim" / SIIM)
    assert {path.name for path in (root / ".downloads" / "siim").iterdir()} == {SIIM, "checksums.json"}


@pytest.mark.parametrize("program", ["", "#!/no/such/python\n"])
def test_a_kaggle_client_that_does_not_start_is_told(program, get, root):
    (root.parent / "bin" / "kaggle").write_text(program)
    said = refused(get("siim"))
    assert "the program of Kaggle's client cannot be started (" in said
    assert said.endswith("); install it again with pip.\n")


def test_a_stopped_command_stops_kaggles_client(root, monkeypatch):
    started = []

    def stop(_):
        raise KeyboardInterrupt

    class Slow(subprocess.Popen):
        def __init__(self, command, **settings):
            super().__init__([sys.executable, "-c", "import time; time.sleep(60)"], **settings)
            started.append(self)

    monkeypatch.setattr(kaggle_client.subprocess, "Popen", Slow)
    monkeypatch.setattr(kaggle_client.time, "sleep", stop)
    with pytest.raises(KeyboardInterrupt):
        kaggle_client.fetch_archive("owner/name", root / "name.zip", 1000)
    assert started[0].poll() is not None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name a data set (mosmed, l3, siim, radiography)"),
        (["mri"], "invalid choice: 'mri'"),
        (["mosmed", "--subset", "0"], "must be a whole number of at least 1, but is '0'"),
        (["mosmed", "--variant", "half"], "the variants of mosmed are subset, full"),
    ],
)
def test_wrong_words_are_explained(arguments, said, get, root, capsys):
    with pytest.raises(SystemExit) as ended:
        get(*arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert not root.exists()


def test_without_out_it_goes_to_the_data_root(root, monkeypatch, published):
    root.mkdir()
    monkeypatch.setenv("COURSE_DATA", str(root))
    fetch.main(["mosmed", "--yes", "--from", str(published / MOSMED)])
    assert len(scans.read_folder(root / "mosmed").cases) == 6


def test_a_bundle_reads_the_same_from_an_archive_and_from_its_folder(tmp_path):
    members = {"a/b.csv": b"table", "c.bin": bytes(3 << 20)}
    for name, content in members.items():
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(content)
    both = [bundles.open_bundle(pack(tmp_path / "set.zip", members)), bundles.open_bundle(tmp_path / "set")]
    done = []
    for number, bundle in enumerate(both):
        assert dict(bundle.sizes) == {"a/b.csv": 5, "c.bin": 3 << 20}
        assert bundle.read("a/b.csv") == b"table"
        done.append(bundle.copy({name: tmp_path / str(number) / name for name in members}))
        assert everything(tmp_path / str(number)) == members
    assert done[0] == done[1] == {name: files.hash_bytes(content) for name, content in members.items()}
    with pytest.raises(DataError, match="no such file"):
        bundles.open_bundle(tmp_path / "none.zip")
