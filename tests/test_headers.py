"""Tables of headers: no pixels read, no patient named, the same patient always known as one."""

import itertools

import numpy as np
import pydicom
import pytest

from helpers import headers
from helpers.files import DataError
from helpers.headers import read_headers
from tests.radiographs import ID, assert_anonymous, make_dicom, plain


@pytest.fixture
def paths(tmp_path):
    """Six images: two of one patient, two that tell none, two of others."""
    made = []
    for number, patient in enumerate([ID, "B", f"{ID} ", None, "", "C"]):
        tags = {"PatientID": patient, "SOPInstanceUID": f"1.2.{number}"}
        made.append(make_dicom(tmp_path / f"{number}.dcm", plain(20 + number), **tags))
    return made


def test_a_table_of_what_headers_say(tmp_path):
    one = make_dicom(tmp_path / "a.dcm", plain(), SOPInstanceUID="1.2.3", PatientAge="012M", PatientSex="O")
    two = make_dicom(tmp_path / "b", plain(30, 40), preamble=False, PatientAge="62", PixelSpacing=[0, 0])
    table, refused = read_headers([one, str(two)])
    assert refused == []
    assert tuple(table.columns) == headers.COLUMNS
    assert table["image"][0] == "1.2.3"
    assert table[["rows", "columns"]].to_numpy().tolist() == [[24, 20], [30, 40]]
    assert table["age"].tolist() == [1.0, 62.0]
    assert table["sex"].tolist() == [None, "F"]
    assert table["view"].tolist() == ["PA", "PA"]
    assert table["spacing"].tolist() == [(0.2, 0.2), None]


def test_what_is_not_told_is_missing(tmp_path):
    bare = dict.fromkeys(("PatientAge", "PatientSex", "ViewPosition", "PixelSpacing", "PatientID", "PatientName"))
    table, _ = read_headers([make_dicom(tmp_path / "a.dcm", plain(), **bare)])
    assert np.isnan(table["age"][0])
    assert table["sex"][0] is table["spacing"][0] is None
    assert table["view"][0] == ""


def test_patients_are_numbered_whatever_the_order_and_the_names(paths, tmp_path):
    table, _ = read_headers(paths)
    known = dict(zip(table["image"], table["patient"], strict=True))
    assert known["1.2.0"] == known["1.2.2"]
    assert len(set(known.values())) == 5  # images that tell no patient are not all of the same one
    assert sorted(set(known.values())) == [f"patient {number:04d}" for number in range(1, 6)]
    assert (table.groupby("group")["patient"].nunique() == 1).all()
    assert (table.groupby("patient")["group"].nunique() == 1).all()
    for order in itertools.islice(itertools.permutations(paths), 1, 720, 97):
        moved = [path.rename(tmp_path / f"x{place}.bin") for place, path in enumerate(order)]
        again, _ = read_headers(moved)
        assert dict(zip(again["image"], again["patient"], strict=True)) == known
        for path, before in zip(moved, order, strict=True):
            path.rename(before)


def test_pixels_are_never_read(paths):
    whole, _ = read_headers(paths)
    for path in paths:
        content = path.read_bytes()
        path.write_bytes(content[: content.rindex(b"\xe0\x7f\x10\x00") + 12])  # the header, and where pixels begin
        assert "PixelData" not in pydicom.dcmread(path) or len(pydicom.dcmread(path).PixelData) == 0
    cut, refused = read_headers(paths)
    assert refused == []
    assert cut.equals(whole)


def test_faults_are_sentences_and_the_rest_goes_on(paths, tmp_path):
    def damage(name, change):
        path = tmp_path / name
        path.write_bytes(change(paths[0].read_bytes()))
        return path

    wrong = {
        damage("text.dcm", lambda data: b"404 not found"): "it is no DICOM file",
        damage("empty.dcm", lambda data: b""): "it is no DICOM file",
        damage("cut.dcm", lambda data: data[:300]): "it is cut short",
        make_dicom(tmp_path / "report.dcm", plain(), Rows=None): "it is cut short or holds no image",
        make_dicom(tmp_path / "flat.dcm", plain(), Rows=0): "it is cut short or holds no image",
        make_dicom(tmp_path / "vast.dcm", plain(), Rows=65535, Columns=65535): "it promises 65535 x 65535 pixels",
        tmp_path / "missing.dcm": "it cannot be read",
    }
    mixed = [path for pair in zip(wrong, paths + paths[:1], strict=True) for path in pair]
    table, refused = read_headers(mixed)
    assert len(table) == len(paths) + 1
    assert [fault.path for fault in refused] == list(wrong)
    for fault, words in zip(refused, wrong.values(), strict=True):
        assert isinstance(fault, DataError)
        assert words in str(fault)
        assert_anonymous(str(fault))


def test_neither_name_nor_id_leaves_the_reader(paths, capfd, recwarn, caplog):
    raw = paths[1].read_bytes()
    assert b"058Y" in raw
    paths[1].write_bytes(raw.replace(b"058Y", b"Erik").replace(b"AS\x04\0", b"AS\x05\0"))  # and what follows is shifted
    table, refused = read_headers(paths)
    seen = capfd.readouterr()
    assert_anonymous(table.to_csv() + table.to_html() + repr(table) + repr(refused) + seen.out + seen.err)
    assert not recwarn.list
    assert not caplog.records
    assert "PatientID" not in table


def test_nothing_to_read():
    table, refused = read_headers([])
    assert tuple(table.columns) == headers.COLUMNS
    assert (len(table), refused) == (0, [])


def test_real_headers(realdata):
    table, refused = read_headers(sorted((realdata / "siim").iterdir()))
    assert len(table) == 3
    assert [fault.path.name for fault in refused] == ["train-rle.csv.gz"]
    by_rows = table.set_index("rows")
    assert by_rows.loc[1955, "spacing"] is None
    assert by_rows.loc[1024, "age"].tolist() == [62.0, 62.0]
    assert by_rows.loc[1024, "patient"].nunique() == 1  # the twin is of the same patient
