"""The published data set's file: read as it is, or refused in one sentence."""

import os

import numpy as np
import pytest
from tiny import one_sentence

from helpers import l3data
from helpers.files import DataError


def ragged(images):
    box = np.empty(len(images), object)
    box[:] = images
    return box


def content(count=10, seed=0):
    """Images of uneven sizes, as many bright rows as there are bones, the brightest where L3 is."""
    rng = np.random.default_rng(seed)
    frontal, sagittal, rows = [], [], []
    for _ in range(count):
        height = int(rng.integers(40, 60))
        row = int(rng.integers(5, 35))
        profile = rng.integers(100, 800, (height, 1))
        profile[row] = 1400
        frontal.append((profile + rng.integers(0, 50, (height, int(rng.integers(30, 50))))).astype(np.int16))
        sagittal.append((profile + rng.integers(0, 50, (height, int(rng.integers(20, 40))))).astype(np.int16))
        rows.append(row)
    return {
        "images_f": ragged(frontal),
        "images_s": ragged(sagittal),
        "ydata": np.array({"A": np.array(rows), "B": [row + 2 for row in rows]}),
        "names": np.array([f"SECRET_{number % 7}" for number in range(count)]),
        "spacings": np.tile([0.7, 0.8, 2.5], (count, 1)),
        "num_images": np.array(count),
    }


def written(path, arrays):
    np.savez(path / "l3_dataset.npz", **arrays)
    return path / "l3_dataset.npz"


def test_the_cases_are_those_of_the_file(tmp_path):
    arrays = content()
    cases = l3data.read_dataset(written(tmp_path, arrays))
    assert len(cases) == 10
    for number, case in enumerate(cases):
        np.testing.assert_array_equal(case.frontal.pixels, arrays["images_f"][number])
        np.testing.assert_array_equal(case.sagittal.pixels, arrays["images_s"][number])
        assert (case.frontal.spacing, case.sagittal.spacing) == ((2.5, 0.7), (2.5, 0.8))
        row = int(np.argmax(case.frontal.pixels.mean(axis=1)))
        assert case.marks == (row, row + 2)
        assert (case.row, case.disagreement) == (row + 1, 5.0)
        assert case.frontal.z_of(case.row) == pytest.approx(-2.5 * case.row)  # row 0 is at the head
        assert case.subject == case.frontal.source == f"patient {number:04d}"
        assert "SECRET" not in repr(case) + repr(case.frontal)
    assert cases[0].key == cases[7].key != cases[1].key  # two scans of one patient stay together


def test_annotations_may_be_lists_and_one_annotator_is_enough(tmp_path):
    arrays = content() | {"ydata": np.array({"A": [10.5] * 10})}
    case = l3data.read_dataset(written(tmp_path, arrays))[0]
    assert (case.row, case.disagreement) == (10.5, 0.0)


def test_views_that_run_against_each_other_are_refused(tmp_path):
    """In its makers' code one view is turned over and the other is not: guessing would cost half the data."""
    arrays = content(12)
    arrays["images_s"] = ragged([image[::-1] for image in arrays["images_s"]])
    with pytest.raises(DataError, match="opposite directions") as caught:
        l3data.read_dataset(written(tmp_path, arrays))
    one_sentence(str(caught.value))


def change(key, number, value):
    def changed(arrays):
        arrays[key][number] = value

    return changed


def put(key, value):
    return lambda arrays: arrays.update({key: value(arrays[key])})


class Malice:
    def __reduce__(self):
        return os.mkdir, ("mark",)


HUGE = np.full((50, 40), 99999.0)
UNIT = np.linspace(0, 1, 2000).reshape(50, 40)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        *((lambda arrays, key=key: arrays.pop(key), f"no {key}") for key in l3data.KEYS),
        (put("names", lambda names: names[:-1]), "not equally long"),
        (put("num_images", lambda count: count + 1), "num_images 11"),
        (put("num_images", lambda count: np.array([1, 2])), "not equally long"),
        (put("ydata", lambda marks: np.array({"A": [3] * 9})), "annotator 1 9"),
        (put("ydata", lambda marks: np.array({"A": 3})), "annotator 1 is a single value"),
        (put("ydata", lambda marks: np.array({})), "no dict"),
        (put("ydata", lambda marks: np.array([1, 2])), "no dict"),
        (put("ydata", lambda marks: np.array({"A": [3] * 9 + [float("nan")]})), "case 9 has a row that is no number"),
        (put("ydata", lambda marks: np.array({"A": ["x"] * 10})), "case 0 has a row"),
        (put("ydata", lambda marks: np.array({"A": [None] * 10})), "case 0 has a row"),
        (put("ydata", lambda marks: np.array({"A": [3] * 8 + [500, 3]})), "case 8 has L3 at row 500"),
        (put("ydata", lambda marks: np.array({"A": [-1] * 10})), "row -1"),
        (put("names", lambda names: np.array("x")), "names is a single value"),
        (change("spacings", 3, 0.0), "spacing of case 3 is 0 x 0 x 0 mm"),
        (change("spacings", 3, -2.5), "spacing of case 3"),
        (change("spacings", 3, np.nan), "case 3 has a spacing that is no number"),
        (put("spacings", lambda spacings: spacings[:, :2]), "spacing of case 0 is 0.7 x 0.8 mm"),
        (change("images_f", 2, np.zeros((50, 40, 3))), "frontal image of case 2 is no image"),
        (change("images_s", 2, "x"), "sagittal image of case 2 is no image"),
        (change("images_s", 2, np.full((50, 40), np.nan)), "no numbers"),
        (change("images_f", 2, HUGE), "not Hounsfield units"),
        (change("images_f", 2, UNIT), "not Hounsfield units"),
        (change("images_f", 2, np.full((9, 40), 300)), "have 9 and"),
        (change("images_f", 2, Malice()), "nothing in this one was run"),
        (put("ydata", lambda marks: np.array({"A": Malice()})), "asks for posix.mkdir|nt.mkdir"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_a_sentence(tmp_path, monkeypatch, damage, words):
    arrays = content()
    damage(arrays)
    path = written(tmp_path, arrays)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=words) as caught:
        l3data.read_dataset(path)
    one_sentence(str(caught.value))
    assert "SECRET" not in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["l3_dataset.npz"]


def test_an_empty_data_set_is_refused(tmp_path):
    arrays = {key: value[:0] if value.ndim else value for key, value in content().items()}
    arrays |= {"ydata": np.array({"A": []}), "num_images": np.array(0)}
    with pytest.raises(DataError, match="no image"):
        l3data.read_dataset(written(tmp_path, arrays))
