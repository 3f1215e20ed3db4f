"""The radiographs of notebook 03: every image finds its masks, what is left out is counted, nobody is named."""

import gzip
import json
import shutil

import numpy as np
import pytest

from helpers import datasets, files, masks, siim
from helpers.files import DataError
from helpers.siim import read_folder
from tests.radiographs import ID, assert_anonymous, change, make_dicom, plain

SHAPE = (20, 24)
HEADER = "ImageId, EncodedPixels"
ROWS = [
    ("1.0", " -1"),
    ("1.1", "-1"),
    ("1.2", ""),
    ("1.3", "5 10 7 20"),
    ("1.4", "0 30"),
    ("1.4", "20 30"),
    ("1.9", "-1"),
]


def make_folder(folder, rows=ROWS, count=6):
    """Images 1.0, 1.1, ... in folders three levels deep, in files of other names; 1.0 and 1.3 are of one patient."""
    for number in range(count):
        path = folder / siim.IMAGES / f"study{number % 2}" / "series" / f"image{number}.dcm"
        patient = ID if number in (0, 3) else f"{ID}-{number}"
        make_dicom(path, plain(*SHAPE, seed=number), SOPInstanceUID=f"1.{number}", PatientID=patient)
    folder.mkdir(exist_ok=True)
    (folder / "train-rle.csv").write_text("\n".join([HEADER, *(f"{image},{text}" for image, text in rows), ""]))
    return folder


def by_name(data) -> dict[str, int]:
    return {case.path.name: index for index, case in enumerate(data.cases)}


def test_every_image_finds_its_rows(tmp_path):
    data = read_folder(make_folder(tmp_path))
    place = by_name(data)
    assert sorted(place) == [f"image{number}.dcm" for number in range(5)]
    for name, masked, count in (
        ("image0", 0, 0),
        ("image1", 0, 0),
        ("image2", 0, 0),
        ("image3", 30, 1),
        ("image4", 50, 2),
    ):
        index = place[f"{name}.dcm"]
        assert data.mask(index).shape == SHAPE
        assert data.mask(index).sum() == masked  # a union: where two masks overlap, pixels count once
        assert data.mask_count(index) == count
        assert data.cases[index].label == data.labels[index] == int(masked > 0)
    third = data.mask(place["image3.dcm"]).ravel(order="F")
    assert np.flatnonzero(third).tolist() == [*range(5, 15), *range(22, 42)]  # gaps, and down the columns
    assert data.runs[place["image4.dcm"]] == ("0 30", "20 30")
    assert (data.name, data.unit, data.origin) == ("chest radiographs", "image", "real")
    assert data.classes == ("no pneumothorax", "pneumothorax")


def test_what_is_left_out_is_counted_and_listed(tmp_path):
    data = read_folder(make_folder(tmp_path))
    assert len(data.without_row) == 1
    assert data.without_row[0].endswith(" (image5.dcm)")
    assert data.without_row[0].startswith("patient 00")
    assert data.without_image == ("1.9",)
    assert data.refused == ()
    card = data.card()
    for line in (
        "chest radiographs: 5 real images of 4 patients, 3 no pneumothorax and 2 pneumothorax",
        "masks: 3, several of them on 1 image",
        "images without a row in the table: 1, dropped",
        "images in the table that are not there: 1",
        "files or masks that cannot be used: 0, dropped",
        "images that are there twice: 0",
        "Kaggle",
    ):
        assert line in card


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("5 10 7", "pairs"),
        ("5 10 470 20", "beyond|behind"),
        ("5 -10", "0 or more"),
        ("-3 10", "0 or more"),
        ("5 ten", "whole numbers"),
    ],
)
def test_a_mask_that_cannot_be_drawn_takes_out_its_image_alone(tmp_path, text, words):
    data = read_folder(make_folder(tmp_path, [*ROWS, ("1.1", text)]))
    assert sorted(by_name(data)) == ["image0.dcm", "image2.dcm", "image3.dcm", "image4.dcm"]
    (fault,) = data.refused
    assert isinstance(fault, DataError)
    assert fault.path.name == "train-rle.csv"
    assert "(image1.dcm)" in str(fault)
    assert "patient 00" in str(fault)
    assert any(word in str(fault) for word in words.split("|"))
    assert str(fault).count("\n") == 0
    assert "files or masks that cannot be used: 1, dropped" in data.card()
    assert "1.1" not in data.without_image


def test_an_image_that_cannot_be_read_is_left_out(tmp_path):
    folder = make_folder(tmp_path)
    path = next(folder.rglob("image3.dcm"))
    path.write_bytes(path.read_bytes()[:300])
    (folder / siim.IMAGES / "notes.dcm").write_text("404 not found")
    (folder / siim.IMAGES / "._image0.dcm").write_bytes(b"\0\5\x16\7")
    (folder / siim.IMAGES / "README").write_text("not an image")
    data = read_folder(folder)
    assert len(data.cases) == 4
    assert sorted(fault.path.name for fault in data.refused) == ["image3.dcm", "notes.dcm"]
    pixels = next(folder.rglob("image4.dcm"))
    pixels.write_bytes(pixels.read_bytes()[:-100])  # only reading its pixels tells
    data = read_folder(folder)
    with pytest.raises(DataError, match=r"image4.dcm: its pixels are cut short"):
        data.read(by_name(data)["image4.dcm"])


def test_folders_that_cannot_be_used(tmp_path):
    def fault(folder):
        with pytest.raises(DataError) as caught:
            read_folder(folder)
        assert_anonymous(str(caught.value))
        return str(caught.value)

    assert "there is no such folder" in fault(tmp_path / "missing")
    assert "it holds no train-rle.csv" in fault(tmp_path)
    assert "0 DICOM files, of which none" in fault(make_folder(tmp_path / "none", count=0))
    assert "6 DICOM files, of which none" in fault(make_folder(tmp_path / "others", [("2.0", "-1")]))
    worse = fault(make_folder(tmp_path / "bad", [("1.0", "1"), ("1.1", "2")]))
    assert "pairs" in worse
    assert worse.count("\n") == 0
    folder = make_folder(tmp_path / "table")
    (folder / "train-rle.csv").write_text("a,b\n1,2\n")
    assert "no column" in fault(folder)


def test_names_and_places_of_files_change_nothing(tmp_path):
    data = read_folder(make_folder(tmp_path / "one"))
    flat = tmp_path / "two"
    flat.mkdir()
    for path in (tmp_path / "one").rglob("*.dcm"):
        shutil.copyfile(path, flat / f"x{9 - int(path.stem[-1])}.DCM")
    with gzip.open(flat / "train-rle.csv.gz", "wt") as file:
        file.write((tmp_path / "one/train-rle.csv").read_text())
    other = read_folder(flat)
    assert other.hash == data.hash
    assert [(case.key, case.group, case.label) for case in other.cases] == [
        (case.key, case.group, case.label) for case in data.cases
    ]
    assert other.table().equals(data.table())


def test_the_hash_knows_masks_and_labels(tmp_path):
    seen = {read_folder(make_folder(tmp_path / "a")).hash}
    seen.add(read_folder(make_folder(tmp_path / "b", [*ROWS, ("1.3", "0 1")])).hash)
    seen.add(read_folder(make_folder(tmp_path / "c", [*ROWS, ("1.0", "0 1")])).hash)
    assert len(seen) == 3


def test_a_patient_stays_in_one_group_whoever_else_is_there(tmp_path):
    data = read_folder(make_folder(tmp_path / "six"))
    place = by_name(data)
    groups = {name: data.cases[index].group for name, index in place.items()}
    assert groups["image0.dcm"] == groups["image3.dcm"]
    assert len(set(groups.values())) == 4
    fewer = read_folder(make_folder(tmp_path / "five", [row for row in ROWS if row[0] != "1.1"]))
    assert {name: fewer.cases[index].group for name, index in by_name(fewer).items()}.items() <= groups.items()


def test_keys_of_phantoms_are_those_of_their_makers(tmp_path):
    folder = make_folder(tmp_path)
    keys = {files.hash_file(path): f"phantom {path.stem[-1]}" for path in folder.rglob("*.dcm")}
    about = {"origin": "phantom", "what": "drawn", "licence": "CC0-1.0", "keys": keys}
    (folder / "ORIGIN.json").write_text(json.dumps(about))
    data = read_folder(folder)
    assert [case.key for case in data.cases] == [f"phantom {number}" for number in range(5)]
    assert data.cases[3].group == data.cases[0].group == "phantom 0"
    assert "5 phantom images" in data.card()
    assert (data.origin, data.licence, data.citation) == ("phantom", "CC0-1.0", "drawn")


def test_the_same_file_twice(tmp_path):
    folder = make_folder(tmp_path)
    first = next(folder.rglob("image3.dcm"))
    shutil.copyfile(first, first.with_name("copy.dcm"))
    data = read_folder(folder)
    place = by_name(data)
    one, two = (data.cases[place[name]] for name in ("image3.dcm", "copy.dcm"))
    assert (one.key, one.group, one.label) == (two.key, two.group, two.label)
    assert "images that are there twice: 1" in data.card()


def test_the_published_test_images_do_not_count_as_lacking_a_row(tmp_path):
    folder = make_folder(tmp_path)
    make_dicom(folder / "dicom-images-test" / "a" / "b" / "c.dcm", plain(), SOPInstanceUID="1.77")
    assert len(read_folder(folder).without_row) == 1


def test_nobody_is_named(tmp_path, capfd, recwarn, caplog):
    folder = make_folder(tmp_path, [*ROWS, ("1.1", "5")])
    broken = next(folder.rglob("image2.dcm"))
    broken.write_bytes(broken.read_bytes()[:400])
    data = read_folder(folder)
    said = [repr(data), data.card(), repr(data.cases), data.table().to_csv(), data.table().to_html(), data.hash]
    said += [repr(data.read(0)), data.read(0).caption, *map(str, data.refused), *data.without_row, *data.without_image]
    said += [repr(data.facts.to_dict("list"))]
    assert len(data.refused) == 2
    assert data.read(0).caption == f"{data.table()['patient'][0]}, 58 years, F, PA, 0.2 mm"
    assert_anonymous("\n".join(said) + "".join(capfd.readouterr()))
    assert not recwarn.list
    assert not caplog.records


def test_the_table_is_what_the_charts_need(tmp_path):
    folder = make_folder(tmp_path)
    change(next(folder.rglob("image0.dcm")), PatientAge=None, PatientSex=None)
    table = read_folder(folder).table()
    assert list(table.columns) == ["patient", "age", "sex", "view", "spacing", "has_pneumothorax", "masks"]
    assert table["has_pneumothorax"].dtype == bool
    assert table["masks"].sum() == 3
    assert table["age"].isna().sum() == table["sex"].isna().sum() == 1
    assert set(table["spacing"]) == {(0.2, 0.2)}


def test_a_split_keeps_patients_together(tmp_path):
    rows = [(f"1.{number}", "0 9" if number % 2 else "-1") for number in range(24)]
    data = read_folder(make_folder(tmp_path, rows, count=24))
    split = datasets.split(data, seed=1)
    parts = [{data.cases[index].group for index in part} for part in (split.train, split.valid, split.test)]
    assert not parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2]


def test_real_radiographs(realdata):
    data = read_folder(realdata / "siim")
    assert len(data.cases) == 2  # the radiograph and its twin; the third has no ending, and is of another set
    assert data.labels.tolist() == [0, 0]
    assert data.cases[0].group == data.cases[1].group
    assert len(data.without_image) == 12046
    twin = by_name(data)["monochrome1_twin.dcm"]
    np.testing.assert_array_equal(data.read(twin).pixels, 1 - data.read(1 - twin).pixels)
    assert masks.area(data.mask(0)) == 0
    assert data.mask(0).shape == (1024, 1024)
