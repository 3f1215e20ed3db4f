"""Arrays for networks: image and mask lie on each other, a bad file costs itself alone, and every sample repeats."""

import dataclasses
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
from tiny import one_sentence

from helpers import files, film_arrays, masks, runtime, siim, xray
from helpers.datasets import Split
from helpers.files import DataError
from helpers.film_samples import LabelledFilms, MaskedFilms
from tests.radiographs import ID, assert_anonymous, change, make_dicom

SHAPE, SIDE = (60, 48), 32
GOOD = 12  # every second of them ill
CODEC = "1.2.840.10008.1.2.4.100"  # MPEG2, for which there is no codec
# What may be wrong with a row of the table, and what the sentence says of it.
WRONG_ROWS = {"odd": ("5 10 7", "pairs"), "beyond": ("2800 100", "behind pixel 2900"), "minus": ("5 -10", "0 or more")}
# What may be wrong with a file although its header can be read, and what the sentence says of it.
WRONG_FILES = {"empty": "holds no pixels", "short": "cut short", "codec": "packed as MPEG2"}


@pytest.fixture(scope="module", autouse=True)
def one_process():
    """All in one process: starting others takes longer than a dozen small images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "cores", lambda: 1)
        patch.setenv("TQDM_DISABLE", "1")
        yield


def film(number, ill):
    """A noisy image; if ill, with a bright square in it, elsewhere in each, and its mask."""
    rng = np.random.default_rng(number)
    pixels, mask = rng.integers(45, 65, SHAPE, dtype=np.uint8), np.zeros(SHAPE, bool)
    top, left = rng.integers(4, SHAPE[0] - 20), rng.integers(4, SHAPE[1] - 20)
    mask[top : top + 16, left : left + 16] = ill
    pixels[mask] = 240
    return pixels, mask


def make_folder(folder, good=GOOD, wrong=True, **tags):
    """Radiographs with their table: good ones and, if asked for, one of every kind that cannot be used.

    Image 0 and 1 are of one patient. The tags go into the header of every file.
    """
    rows = ["ImageId, EncodedPixels"]

    def add(name, ill, text=None, number=None):
        number = len(rows) if number is None else number
        pixels, mask = film(number, ill)
        path = folder / siim.IMAGES / f"study{number % 3}" / "series" / f"{name}.dcm"
        facts = {"SOPInstanceUID": f"1.2.{number}", "PatientID": f"{ID}-{max(number, 1)}"} | tags
        make_dicom(path, pixels, **facts)
        rows.append(f"1.2.{number}, {masks.encode_rle(mask) if text is None else text}")
        return path

    for number in range(good):
        add(f"image{number:02}", number % 2, number=number)
    if wrong:
        for name, (text, _) in WRONG_ROWS.items():
            add(name, False, text)
        change(add("empty", True), PixelData=None)
        short = add("short", True)
        short.write_bytes(short.read_bytes()[:-500])
        codec = pydicom.dcmread(add("codec", True))
        codec.file_meta.TransferSyntaxUID = CODEC
        codec.PixelData = pydicom.encaps.encapsulate([b"\0" * 64])
        codec["PixelData"].VR = "OB"
        codec.save_as(codec.filename)
        (folder / siim.IMAGES / "page.dcm").write_text("404 not found")
        rows.append("1.2.999, -1")
    (folder / "train-rle.csv").write_text("\n".join([*rows, ""]))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("siim"))


@pytest.fixture(scope="module")
def data(folder):
    return siim.read_folder(folder)


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "BUILD", tmp_path_factory.mktemp("build"))
        yield runtime.BUILD


@pytest.fixture(scope="module")
def films(data, build):
    return film_arrays.prepare(data, SIDE, data.runs)


def place(data, name):
    return next(i for i, case in enumerate(data.cases) if case.path.stem == name)


def good(data):
    return [i for i, case in enumerate(data.cases) if case.path.stem.startswith("image")]


# Faults


def test_every_fault_costs_its_own_image_alone_and_one_sentence(data, films):
    """A wrong row and a wrong header are found when the folder is read, wrong pixels when they are."""
    assert len(data.cases) == GOOD + len(WRONG_FILES)
    assert data.without_image == ("1.2.999",)
    assert "images in the table that are not there: 1" in data.card()
    assert "files or masks that cannot be used: 4, dropped" in data.card()
    refused = {str(fault) for fault in data.refused}
    wanted = {f"({name}.dcm)": words for name, (_, words) in WRONG_ROWS.items()} | {"page.dcm": "no DICOM file"}
    for name, words in wanted.items():
        (sentence,) = [text for text in refused if name in text]
        assert words in sentence
    assert len(refused) == len(wanted)

    assert films.usable.sum() == GOOD
    assert np.flatnonzero(films.usable).tolist() == good(data)
    assert {fault.path.stem for fault in films.faults} == set(WRONG_FILES)
    for fault in films.faults:
        assert WRONG_FILES[fault.path.stem] in str(fault)
    for text in (*refused, *map(str, films.faults)):
        one_sentence(text)
        assert_anonymous(text)


def test_the_card_counts_what_is_left_out_and_says_why(data, films):
    head, *lines = films.card().split("\n")
    assert head == f"{GOOD} images of {SIDE} x {SIDE} pixels, {len(WRONG_FILES)} left out"
    assert [line.strip() for line in lines] == [str(fault) for fault in films.faults]


def test_what_cannot_be_read_is_in_no_set(data, films):
    everything = np.arange(len(data.cases))
    assert films.only_usable(everything).tolist() == good(data)
    assert films.only_usable([place(data, "short"), good(data)[3]]).tolist() == [good(data)[3]]
    assert films.only_usable([]).tolist() == []
    for kind in (MaskedFilms, LabelledFilms):
        samples = kind(films, everything, seed=0)
        assert len(samples) == GOOD
        assert samples.where.tolist() == good(data)
    assert LabelledFilms(films, everything[::-1], 0).targets.tolist() == data.labels[good(data)][::-1].tolist()


def test_a_set_of_which_nothing_can_be_read_is_one_sentence(data, build):
    bad = [place(data, name) for name in WRONG_FILES]
    rest = {"cases": tuple(data.cases[i] for i in bad), "runs": tuple(data.runs[i] for i in bad)}
    for _ in range(2):  # the second time from the cache
        with pytest.raises(DataError, match="none of the others") as caught:
            film_arrays.prepare(dataclasses.replace(data, **rest), SIDE, rest["runs"])
        one_sentence(str(caught.value))
        assert_anonymous(str(caught.value))
        assert caught.value.path.stem in WRONG_FILES


def test_a_run_beyond_its_image_is_a_sentence_here_too(data, build):
    runs = list(data.runs)
    runs[good(data)[2]] = ("0 99999",)
    films = film_arrays.prepare(dataclasses.replace(data, runs=tuple(runs)), SIDE, runs)
    assert films.usable.sum() == GOOD - 1
    (fault,) = [fault for fault in films.faults if fault.path == data.cases[good(data)[2]].path]
    assert "behind pixel 99999" in str(fault)
    one_sentence(str(fault))


# Arrays


def test_image_and_mask_lie_on_each_other(data, films):
    for index in good(data):
        image, mask = films.images[index], films.masks[index]
        assert (image[mask] > 130).all()  # half of it square, half of it background, or more of the square
        assert (image[~mask] < 165).all()
        bright = image > 147
        assert mask.any() == bright.any() == data.labels[index]
        rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
        assert abs(len(rows) - len(columns)) <= 1  # the square is still a square
    assert (films.images.dtype, films.masks.dtype) == (np.uint8, bool)
    assert films.images.shape == films.masks.shape == (len(data.cases), SIDE, SIDE)
    margin = (SIDE - SIDE * SHAPE[1] // SHAPE[0]) // 2
    assert not films.images[:, :, : margin - 1].any()  # black was added, on both sides
    assert not films.images[:, :, 1 - margin :].any()
    assert films.images[good(data)][:, :, margin + 1 : -margin - 1].all()


def test_labels_classes_and_patients_are_those_of_the_data(data, films):
    np.testing.assert_array_equal(films.labels, data.labels)
    assert films.groups.tolist() == [case.group for case in data.cases]
    assert films.groups[place(data, "image00")] == films.groups[place(data, "image01")]
    assert films.classes == data.classes


def test_a_sliver_does_not_turn_an_image_healthy(data, tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "BUILD", tmp_path)
    sliver = np.zeros(SHAPE, bool)
    sliver[20:40, 11] = True  # less than half of every small pixel
    runs = tuple((masks.encode_rle(sliver),) for _ in data.cases)
    films = film_arrays.prepare(dataclasses.replace(data, runs=runs), 16, runs)
    for index in good(data):
        rows, columns = np.nonzero(films.masks[index])
        assert 1 <= len(rows) <= 6
        assert set(columns) == {(11 + 6) * 16 // 60}
        assert 20 * 16 // 60 <= rows.min() <= rows.max() <= 40 * 16 // 60


def test_without_masks_there_are_none(data, build):
    films = film_arrays.prepare(data, SIDE)
    assert films.masks is None
    assert films.usable.sum() == GOOD


# The cache


def test_the_second_call_reads_no_image(data, films, build, monkeypatch):
    monkeypatch.setattr(xray, "read_pixels", lambda _: pytest.fail("it was read again"))
    again = film_arrays.prepare(data, SIDE, data.runs)
    for one, two in zip(films[:4], again[:4], strict=True):
        np.testing.assert_array_equal(one, two)
    assert isinstance(again.images, np.memmap)
    assert again.card() == films.card()
    with pytest.raises(pytest.fail.Exception):
        film_arrays.prepare(data, SIDE + 1, data.runs)


def test_the_cache_is_found_by_content_and_settings(data, build, folder, monkeypatch):
    asked = []

    def prepared(name, facts, fill):
        asked.append(repr(facts))
        raise KeyboardInterrupt

    monkeypatch.setattr(film_arrays.stores, "prepared", prepared)
    runs = (("0 1",), *data.runs[1:])
    other = dataclasses.replace(data, runs=runs)
    for what, side, texts in (
        (data, SIDE, data.runs),
        (data, 2 * SIDE, data.runs),
        (data, SIDE, None),
        (other, SIDE, runs),
        (siim.read_folder(folder), SIDE, data.runs),
    ):
        with pytest.raises(KeyboardInterrupt):
            film_arrays.prepare(what, side, texts)
    assert len(set(asked)) == 4
    assert asked[-1] == asked[0]


def test_nothing_is_written_among_the_data(folder, films, build):
    endings = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert endings == {".dcm", ".csv"}
    assert list((build / "cache").glob("*/images.npy"))
    assert not list((build / "cache").glob("*.part"))


def test_a_moved_folder_is_named_where_it_is_now(data, films, build, folder, tmp_path):
    moved = siim.read_folder(shutil.copytree(folder, tmp_path / "moved"))
    assert moved.hash == data.hash
    faults = film_arrays.prepare(moved, SIDE, moved.runs).faults
    assert len(faults) == len(WRONG_FILES)
    assert all(fault.path.is_relative_to(tmp_path) for fault in faults)
    for written in (build / "cache").rglob("faults.json"):
        assert all(isinstance(index, int) for index, *_ in json.loads(written.read_text()))


def test_what_is_broken_off_leaves_no_half_cache(data, tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "BUILD", tmp_path)
    whole = film_arrays.to_square

    def stop(pixels, side):
        if pixels.dtype == bool:
            raise KeyboardInterrupt
        return whole(pixels, side)

    monkeypatch.setattr(film_arrays, "to_square", stop)
    with pytest.raises(KeyboardInterrupt):
        film_arrays.prepare(data, SIDE, data.runs)
    assert not list(tmp_path.rglob("*.npy"))
    monkeypatch.setattr(film_arrays, "to_square", whole)
    assert film_arrays.prepare(data, SIDE, data.runs).usable.sum() == GOOD


# Samples


def jump(image, mask, rng):
    """A variation that tells its random number."""
    value = np.float32(rng.random())
    return np.full_like(image, value), mask


def only_image(image, rng):
    return np.full_like(image, rng.random())


def values(samples, epoch):
    samples.epoch = epoch
    return [float(samples[item][0].max()) for item in range(len(samples))]


@pytest.mark.parametrize(("kind", "vary"), [(MaskedFilms, jump), (LabelledFilms, only_image)])
def test_variation_hangs_on_seed_epoch_and_index_alone(data, films, kind, vary):
    where = good(data)
    samples = kind(films, where, 7, vary)
    first, second = values(samples, 0), values(samples, 1)
    assert len({*first, *second}) == 2 * GOOD
    assert values(samples, 0) == first  # asked again, in any order
    assert values(kind(films, where[::-1], 7, vary), 0) == first[::-1]
    assert values(kind(films, where[4:], 7, vary), 1) == second[4:]
    assert not set(values(kind(films, where, 8, vary), 0)) & set(first)


@pytest.mark.parametrize("kind", [MaskedFilms, LabelledFilms])
def test_without_variation_a_sample_is_the_stored_image(data, films, kind):
    samples = kind(films, good(data), 0)
    for epoch in (0, 5):
        samples.epoch = epoch
        for item, index in enumerate(good(data)):
            image, target = samples[item]
            assert (image.shape, image.dtype) == ((1, SIDE, SIDE), np.float32)
            np.testing.assert_array_equal(np.round(image[0] * 255), films.images[index])
            assert image.max() <= 1
            if kind is MaskedFilms:
                assert (target.shape, target.dtype) == ((1, SIDE, SIDE), np.float32)
                np.testing.assert_array_equal(target[0] == 1, films.masks[index])
                assert set(np.unique(target)) <= {0, 1}
            else:
                assert (target, type(target)) == (data.labels[index], np.int64)


def test_mirrored_is_the_other_way_round_after_all_variation(data, films):
    for vary in (None, lambda image, mask, rng: (np.roll(image, 3, axis=1), np.roll(mask, 3, axis=1))):
        samples, turned = (MaskedFilms(films, good(data), 0, vary) for _ in range(2))
        turned.mirrored = True
        for item in range(3):
            for one, two in zip(samples[item], turned[item], strict=True):
                np.testing.assert_array_equal(one[:, :, ::-1], two)
                assert two.flags.c_contiguous


def test_a_variation_cannot_reach_the_stored_arrays(data, films):
    def paint(image, mask, _):
        image[:] = 1
        return image, mask

    before = np.array(films.images)
    samples = MaskedFilms(films, good(data), 0, paint)
    assert samples[0][0].min() == 1
    np.testing.assert_array_equal(films.images, before)
    with pytest.raises(ValueError, match="read-only"):
        films.images[0, 0, 0] = 1


def test_other_data_than_masked_ones_can_be_prepared(tmp_path, monkeypatch):
    """Anything with cases, labels and a hash will do: three classes, PNG files, no masks."""
    monkeypatch.setattr(runtime, "BUILD", tmp_path / "build")
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        files.write_atomic(path, lambda file, level=80 * number: xray.Image.new("L", (24, 24), level).save(file, "PNG"))
    cases = [SimpleNamespace(path=path, label=i, key=str(i), group=f"g{i}") for i, path in enumerate(paths)]
    classes, labels = ("normal", "viral", "covid"), np.arange(3)
    some = SimpleNamespace(name="chest X-rays", cases=cases, hash="0f", labels=labels, classes=classes)
    films = film_arrays.prepare(some, 8)
    assert films.images.mean(axis=(1, 2)).tolist() == [0, 80, 160]
    assert films.classes == classes
    split = Split(np.array([0, 1]), np.array([], int), np.array([2]), some)
    assert [int(LabelledFilms(films, split.test, 0)[0][1])] == [2]
    assert len(LabelledFilms(films, split.valid, 0)) == 0
