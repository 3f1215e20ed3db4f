"""Class folders of radiographs: any names, modes and depth; copies and patients kept together; faults listed."""

import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from test_duplicates import picture, resave
from tiny import one_sentence

from helpers import datasets, files, image_folders, looks, radiography, runtime
from helpers.files import DataError


@pytest.fixture(autouse=True)
def build(tmp_path, monkeypatch) -> Path:
    """A build folder of its own, so that nothing is remembered from another test."""
    monkeypatch.setattr(runtime, "BUILD", tmp_path / "build")
    return tmp_path / "build"


def save(path: Path, pixels: np.ndarray, mode: str = "L") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image if pixels.dtype == np.uint16 else image.convert(mode)).save(path)
    return path


def fill(root: Path, counts: dict[str, int], inner: str = "", seed: int = 0) -> Path:
    """Write so many images into each class folder, no two alike."""
    for name, count in counts.items():
        for number in range(count):
            save(root / name / inner / f"image {number + 1}.png", picture(seed, (40, 36)))
            seed += 1
    return root


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        radiography.read_folder(folder)
    one_sentence(str(caught.value))
    return str(caught.value)


def names(data: radiography.Radiographs) -> set[str]:
    return {case.path.relative_to(data.root).as_posix() for case in data.cases}


def groups(data: radiography.Radiographs) -> set[frozenset[str]]:
    """The groups of more than one image, by file name."""
    found = {}
    for case in data.cases:
        found.setdefault(case.group, set()).add(case.path.name)
    return {frozenset(members) for members in found.values() if len(members) > 1}


def test_any_number_of_classes_with_any_names_the_healthy_first(tmp_path):
    data = radiography.read_folder(fill(tmp_path / "x", {"Covid": 3, "No_findings": 2, "Pneumonia": 4, "A b": 2}))
    assert data.classes == ("No_findings", "A b", "Covid", "Pneumonia")
    assert np.bincount(data.labels).tolist() == [2, 2, 3, 4]
    assert [case.key for case in data.cases] == sorted(files.hash_file(case.path) for case in data.cases)
    assert all(case.path.parent.name == data.classes[case.label] for case in data.cases)
    assert data.example("Covid", 3) == data.example("Covid", 0)
    assert (data.unit, data.origin, data.boxes) == ("image", "real", None)
    with pytest.raises(ValueError, match="found 'COVID'"):
        data.example("COVID")


def test_neither_names_nor_listing_matter(tmp_path):
    data = radiography.read_folder(fill(tmp_path / "x", {"NORMAL": 3, "COVID": 3}))
    for number, case in enumerate(data.cases):
        target = tmp_path / "y" / case.path.parent.name / "deep" / f"{(number * 5) % 7}.PNG"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(case.path, target)
    other = radiography.read_folder(tmp_path / "y")
    assert (other.hash, [case.group for case in other.cases]) == (data.hash, [case.group for case in data.cases])
    (tmp_path / "y" / "COVID" / "deep").rename(tmp_path / "y" / "NORMAL" / "deeper")
    fill(tmp_path / "y", {"COVID": 2}, seed=50)
    assert radiography.read_folder(tmp_path / "y").hash != data.hash


def test_masks_tables_and_hidden_files_are_no_images(tmp_path):
    root = fill(tmp_path / "x", {"COVID": 2, "Normal": 2}, "images")
    fill(root, {"COVID": 2, "Normal": 2}, "masks", seed=9)
    fill(root, {"masks": 1, "__MACOSX": 1, ".hidden": 1}, seed=20)
    save(root / "COVID" / ".hidden.png", picture(30))
    (root / "COVID.metadata.xlsx").write_bytes(b"PK")
    (root / "COVID" / "README.txt").write_text("nothing")
    data = radiography.read_folder(root)
    assert names(data) == {f"{name}/images/image {number}.png" for name in ("COVID", "Normal") for number in (1, 2)}
    assert data.refused == ()


def test_classes_divided_into_train_and_test_are_put_together(tmp_path):
    fill(tmp_path / "x" / "set" / "train", {"COVID": 2, "NORMAL": 2})
    fill(tmp_path / "x" / "set" / "test", {"COVID": 1, "NORMAL": 1}, seed=9)
    save(tmp_path / "x" / "set" / "train" / "COVID" / "c-7-a.png", picture(20))
    save(tmp_path / "x" / "set" / "test" / "COVID" / "c-7-b.png", picture(21))
    data = radiography.read_folder(tmp_path / "x")
    assert data.classes == ("NORMAL", "COVID")
    assert np.bincount(data.labels).tolist() == [3, 5]
    assert groups(data) == {frozenset(["c-7-a.png", "c-7-b.png"])}


@pytest.mark.parametrize("around", ["", "COVID-19_Radiography_Dataset"])
@pytest.mark.parametrize("given", ["folder", "archive"])
def test_an_archive_is_unpacked_once_and_nothing_beside_it(tmp_path, build, around, given):
    source = fill(tmp_path / "source" / around, {"COVID": 2, "NORMAL": 3})
    (tmp_path / "x").mkdir()
    archive = shutil.make_archive(str(tmp_path / "x" / "set"), "zip", tmp_path / "source")
    folder = tmp_path / "x" if given == "folder" else Path(archive)
    data = radiography.read_folder(folder)
    assert data.hash == radiography.read_folder(source).hash
    assert data.cases[0].path.is_relative_to(build)
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["set.zip"]
    unpacked = data.cases[0].path
    before = unpacked.stat().st_mtime_ns
    assert radiography.read_folder(folder).cases[0].path == unpacked
    assert unpacked.stat().st_mtime_ns == before


def test_folders_go_before_archives_and_several_archives_are_no_answer(tmp_path):
    (tmp_path / "x").mkdir()
    for name in ("one.zip", "two.zip"):
        (tmp_path / "x" / name).write_bytes(b"nothing")
    assert "2 zip archives" in refusal(tmp_path / "x")
    (tmp_path / "x" / "two.zip").unlink()
    assert "not a whole zip" in refusal(tmp_path / "x")
    with zipfile.ZipFile(tmp_path / "x" / "one.zip", "w") as archive:
        archive.writestr("../../x.png", b"out")
    assert "outside of its folder" in refusal(tmp_path / "x")
    fill(tmp_path / "x", {"COVID": 2, "NORMAL": 2})
    assert len(radiography.read_folder(tmp_path / "x").cases) == 4


def test_all_modes_are_read_and_counted(tmp_path):
    root = fill(tmp_path / "x", {"NORMAL": 2})
    for seed, mode in enumerate(("RGB", "RGBA", "P", "LA", "1"), start=10):
        save(root / "COVID" / f"{mode}.png", picture(seed), mode)
    save(root / "COVID" / "sixteen.png", picture(20).astype(np.uint16) * 257)
    save(root / "COVID" / "photo.jpg", picture(21), "RGB")
    data = radiography.read_folder(root)
    stored = {case.path.name: case.mode for case in data.cases}
    assert (stored["P.png"], stored["sixteen.png"], stored["photo.jpg"]) == ("palette", "16-bit grey", "RGB")
    assert "2 grey" in data.card()
    assert "sides of 36 to 160 pixels" in data.card()
    index = [case.path.name for case in data.cases].index("sixteen.png")
    assert data.read(index).pixels.shape == (160, 140)
    assert data.read(index).subject == f"image {index:04}"


def test_what_cannot_be_read_is_listed_counted_and_left_out(tmp_path):
    root = fill(tmp_path / "x", {"COVID": 3, "NORMAL": 2})
    whole = (root / "COVID" / "image 1.png").read_bytes()
    save(root / "COVID" / "tiny.png", np.zeros((3, 3), np.uint8))
    (root / "COVID" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (root / "NORMAL" / "empty.jpg").write_bytes(b"")
    (root / "NORMAL" / "text.bmp").write_text("no image")
    for _ in range(2):  # the second time from memory
        data = radiography.read_folder(root)
        assert sorted(fault.path.name for fault in data.refused) == ["cut.png", "empty.jpg", "text.bmp", "tiny.png"]
        for fault in data.refused:
            one_sentence(str(fault))
        assert "3 x 3" in next(str(fault) for fault in data.refused if fault.path.name == "tiny.png")
        assert len(data.cases) == 5
        assert "left out: 4 that cannot be read, 0 that" in data.card()
    assert (root / "COVID" / "cut.png").exists()


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"COVID": 2, "NORMAL": 1}, "NORMAL: this class holds one image; add images"),
        ({"COVID": 0, "NORMAL": 2}, "COVID: this class holds no image; add images"),
        ({"NORMAL": 2}, "it holds 1 class folders (NORMAL)"),
        ({}, "it holds 0 class folders (none)"),
    ],
)
def test_too_few_classes_or_images_are_refused(tmp_path, counts, words):
    root = fill(tmp_path / "x", counts)
    for name in counts or [""]:
        (root / name).mkdir(parents=True, exist_ok=True)
    assert words in refusal(root)


def test_a_class_that_cannot_be_divided_is_refused(tmp_path):
    root = fill(tmp_path / "x", {"COVID": 1, "NORMAL": 2})
    (root / "COVID" / "cut.png").write_bytes(b"\x89PNG")
    assert "COVID: this class holds one image that can be used, of 2" in refusal(root)
    shutil.copy(root / "COVID" / "image 1.png", root / "COVID" / "cut.png")
    assert "COVID: its 2 images are copies of one, or of one patient" in refusal(root)
    assert "no such folder" in refusal(tmp_path / "nowhere")


def test_copies_stay_together_and_are_counted(tmp_path):
    root = fill(tmp_path / "x", {"COVID": 3, "NORMAL": 3})
    large = picture(40, (300, 280))
    save(root / "COVID" / "large.png", large)
    save(root / "COVID" / "saved anew.jpg", resave(cv2.resize(large, None, fx=0.5, fy=0.5), 75), "RGB")
    shutil.copy(root / "COVID" / "large.png", root / "COVID" / "twice.png")
    save(root / "NORMAL" / "brighter.png", np.uint8(np.clip(large * 1.05, 0, 255)))
    save(root / "COVID" / "mirrored.png", large[:, ::-1])
    data = radiography.read_folder(root)
    assert groups(data) == {frozenset(["large.png", "saved anew.jpg", "twice.png", "brighter.png"])}
    assert all(case.group == min(c.key for c in data.cases if c.group == case.group) for case in data.cases)
    assert "there twice: 1; nearly the same as another one: 4" in data.card()
    assert "the largest of 4 images; in more than one class: 1" in data.card()


def test_patients_and_copies_hang_together_over_both(tmp_path):
    root = fill(tmp_path / "x", {"COVID": 3, "NORMAL": 3})
    save(root / "COVID" / "person7_virus_1.png", picture(50))
    save(root / "COVID" / "person7_virus_2.png", picture(51))
    save(root / "COVID" / "copy.jpg", resave(picture(51), 80))
    data = radiography.read_folder(root)
    assert groups(data) == {frozenset(["person7_virus_1.png", "person7_virus_2.png", "copy.jpg"])}
    assert "tells the patient: 2" in data.card()
    assert "person7" not in data.card()
    parts = datasets.split(data, seed=1)
    sets = [{data.cases[index].group for index in part} for part in (parts.train, parts.valid, parts.test)]
    assert sum(map(len, sets)) == len(set().union(*sets)) == 7


def test_one_picture_in_two_classes_is_left_out_and_stays_where_it_is(tmp_path):
    root = fill(tmp_path / "x", {"COVID": 3, "NORMAL": 3})
    shutil.copy(root / "COVID" / "image 1.png", root / "NORMAL" / "other name.png")
    data = radiography.read_folder(root)
    assert sorted(path.name for path in data.contradictory) == ["image 1.png", "other name.png"]
    assert len(data.cases) == 5
    assert "0 that cannot be read, 2 that lie in two classes" in data.card()
    assert (root / "NORMAL" / "other name.png").exists()


def test_phantoms_say_so_and_bring_their_keys_and_boxes(tmp_path):
    root = fill(tmp_path / "x", {"COVID": 2, "NORMAL": 2})
    contents = [files.hash_file(path) for path in sorted(root.glob("*/*"))]
    keys = {content: f"key {number}" for number, content in enumerate(contents)}
    lungs = {key: [0.1, 0.2, 0.7, 0.1 * number] for number, key in enumerate(keys.values())}
    about = {"origin": "phantom", "what": "drawn", "licence": "free", "keys": keys, "lungs": lungs}
    files.write_json(root / "ORIGIN.json", about)
    data = radiography.read_folder(root)
    assert [case.key for case in data.cases] == ["key 0", "key 1", "key 2", "key 3"]
    assert [case.group for case in data.cases] == ["key 0", "key 1", "key 2", "key 3"]
    assert data.boxes[:, 3] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert data.take([2, 0]).boxes[:, 3] == pytest.approx([0.2, 0])
    assert [case.key for case in data.take([2, 0]).cases] == ["key 2", "key 0"]
    assert "phantom images" in data.card()
    assert "licence: free" in data.card()


def test_images_are_looked_at_once(tmp_path, monkeypatch):
    root = fill(tmp_path / "x", {"COVID": 2, "NORMAL": 2})
    first = radiography.read_folder(root)
    monkeypatch.setattr(looks, "_look", None)
    again = radiography.read_folder(root)
    assert [vars(case) for case in again.cases] == [vars(case) for case in first.cases]
    save(root / "COVID" / "new.png", picture(60))
    with pytest.raises(TypeError):
        radiography.read_folder(root)


def test_the_real_set(realdata):
    data = radiography.read_folder(realdata / "radiography")
    assert data.classes == ("NORMAL", "COVID", "Viral_Pneumonia")
    assert np.bincount(data.labels).tolist() == [70, 111, 70]
    assert groups(data) == {
        frozenset(["019.jpeg", "020.jpeg"]),
        frozenset(["093.jpeg", "094.jpeg"]),
        frozenset(["057.jpeg", "078.jpeg"]),
        frozenset(["COVID-00033.jpg", "COVID-00037.jpg"]),
        frozenset(["COVID-00003a.jpg", "COVID-00003b.jpg"]),
        frozenset(["COVID-00013a.jpg", "COVID-00013b.jpg"]),
        frozenset(["COVID-00015a.png", "COVID-00015b.png"]),
    }
    assert len(set(data.groups)) == 251 - 8  # in two classes, the names 019 and 020 are those of one picture
    assert "there twice: 3; nearly the same as another one: 4" in data.card()
    assert "214 RGB, 37 grey" in data.card()


def test_classes_are_found_in_a_folder_of_a_folder_but_not_deeper_than_they_lie(tmp_path):
    root = fill(tmp_path / "x" / "one" / "two", {"COVID": 2, "NORMAL": 2})
    assert image_folders.find_root(tmp_path / "x") == root
    only = fill(tmp_path / "y", {"COVID": 2}, "images")
    assert image_folders.find_root(only) == only
