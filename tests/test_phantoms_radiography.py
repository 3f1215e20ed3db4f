"""Phantom chest X-rays: files as in the real set, copies that are copies, hospitals that give the class away or not."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from helpers import anatomy, exposures, files, hospitals, phantoms_radiography
from helpers.phantoms_radiography import CLASSES, RadiographySettings, draw_radiograph, make_radiography

SMALL = RadiographySettings(each=2, pixels=48, duplicates=0.5)
DRAWN = (0, 1, 2, 3, 4, 5, 6, 10, 11)  # of each class; the last two are of one patient


@pytest.fixture(scope="module")
def drawn():
    """Radiographs of every class, unconfounded, and what is known of them."""
    settings = RadiographySettings(pixels=64)
    pictures = [draw_radiograph(number, label, settings) for label in range(3) for number in DRAWN]
    return pictures, np.repeat(range(3), len(DRAWN))


@pytest.fixture
def bodies_alike(monkeypatch):
    """Every chest is projected to one of two films, a child's or an adult's: what differs is the hospital alone."""
    rows, columns = np.mgrid[-1:1:64j, -1:1:64j].astype(np.float32)

    def draw_film(chest, pixels, change, rng):
        wide = 0.5 + chest.width / 500
        body = np.clip(1 - (columns / wide) ** 2, 0, 1) * 4
        lungs = np.clip(1 - ((np.abs(columns) - 0.4) / 0.25) ** 2 - (rows / 0.6) ** 2, 0, 1) * 120
        return SimpleNamespace(attenuation=(body - lungs / 60).astype(np.float32), lungs=lungs), None

    monkeypatch.setattr(phantoms_radiography.films, "draw_film", draw_film)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_radiography(tmp_path_factory.mktemp("data") / "radiography", SMALL)


def accuracy(features, labels):
    """Of logistic regression on cases that it has not seen."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=2000))
    return np.mean(cross_val_predict(model, np.array(features), labels, cv=4) == labels)


def border(image):
    """What lies outside the middle of a picture, in coarse cells."""
    cells = image.reshape(8, 8, 8, 8).mean((1, 3))
    return np.concatenate([cells[:2].ravel(), cells[-1:].ravel(), cells[2:-1, [0, -1]].ravel()])


# What is drawn


def test_pictures_are_grey_and_the_box_holds_the_lungs(drawn):
    for image, facts in drawn[0]:
        assert image.shape == facts.mask.shape == (64, 64)
        assert image.dtype == np.float32
        assert image.min() >= 0
        assert image.max() <= 1
        assert image.std() > 0.08
        top, left, bottom, right = (round(side * 64) for side in facts.lungs)
        assert facts.mask[top:bottom, left:right].sum() == facts.mask.sum() > 0.15 * facts.mask.size
        assert all(side.any() for side in (facts.mask[top], facts.mask[bottom - 1]))
        assert all(side.any() for side in (facts.mask[:, left], facts.mask[:, right - 1]))


def test_lungs_are_darker_than_the_rest_of_the_body(drawn):
    darker = [np.median(image[facts.mask]) < np.median(image[20:50, 28:36]) for image, facts in drawn[0]]
    assert np.mean(darker) > 0.9


def test_brightness_does_not_tell_the_class(drawn):
    pictures, labels = drawn
    histograms = [np.histogram(image, 16, (0, 1))[0] for image, _ in pictures]
    assert accuracy(histograms, labels) < 0.62
    assert accuracy([[image.mean(), image.std()] for image, _ in pictures], labels) < 0.62


def test_a_second_radiograph_shows_the_same_patient_taken_anew(drawn):
    pictures, _ = drawn
    other, one, two = pictures[6:9]
    assert one[1].patient == two[1].patient != other[1].patient
    assert one[1].site == two[1].site
    assert (one[0] != two[0]).any()
    both = one[1].mask & two[1].mask
    assert both.sum() > 0.7 * (one[1].mask | two[1].mask).sum()


def test_a_number_is_the_same_radiograph_every_time_and_a_seed_another():
    settings = RadiographySettings(pixels=48)
    one, again = (draw_radiograph(3, 1, settings)[0] for _ in range(2))
    np.testing.assert_array_equal(one, again)
    assert (draw_radiograph(3, 1, replace(settings, seed=1))[0] != one).any()


def test_children_are_smaller_than_any_adult_of_their_kind():
    for seed in range(20):
        chest = anatomy.sample_thorax(np.random.default_rng(seed))
        child = phantoms_radiography._as_child(chest, np.random.default_rng(seed))
        assert child.width < 0.9 * chest.width
        assert child.height < 0.9 * chest.height
        assert child.heart * child.width / child.depth > 0.9 * chest.heart * chest.width / chest.depth


# Where it was taken


def test_borders_tell_the_class_only_if_hospitals_go_with_it(bodies_alike):
    def right(**choice):
        settings = RadiographySettings(pixels=64, **choice)
        borders = [border(draw_radiograph(n, label, settings)[0]) for label in range(3) for n in range(30)]
        return accuracy(borders, np.repeat(range(3), 30))

    assert right(confounded=True) > 0.8
    assert right(confounded=False) < 0.45
    assert right(external=True) < 0.45


def test_hospitals_are_shared_out_as_stated():
    def sites(**choice):
        settings, rng = RadiographySettings(**choice), np.random.default_rng(0)
        choose = phantoms_radiography._choose_site
        return [Counter(choose(n, label, settings, rng)[0] for n in range(600)) for label in range(3)]

    assert sites() == [dict.fromkeys(hospitals.HOME, 200)] * 3
    confounded = [share.most_common(1)[0] for share in sites(confounded=True)]
    assert [name for name, _ in confounded] == list(hospitals.HOME)
    assert all(0.95 * 600 < count < 600 for _, count in confounded)
    for away in (sites(external=True), sites(external=True, confounded=True)):
        assert away == [dict.fromkeys(hospitals.AWAY, 300)] * 3


def test_hospitals_have_looks_and_no_two_radiographs_are_alike():
    for habits, children in (hospitals.HOME | hospitals.AWAY).values():
        looks = [exposures.random_look(np.random.default_rng(seed), habits) for seed in range(20)]
        assert len(set(looks)) == 20
        assert 0 <= children <= 1


# The files


def test_every_file_is_known_by_its_hash_its_hospital_and_the_box_of_its_lungs(folder):
    origin = files.read_json(folder / "ORIGIN.json")
    found = sorted(folder.glob("*/*"))
    assert origin["origin"] == "phantom"
    assert RadiographySettings(**origin["settings"]) == SMALL
    assert {files.hash_file(path) for path in found} == set(origin["keys"])
    assert set(origin["keys"].values()) == set(origin["sites"]) == set(origin["lungs"])
    assert Counter(path.parent.name for path in found) == dict.fromkeys(CLASSES, 2 + 1)
    for top, left, bottom, right in origin["lungs"].values():
        assert 0 <= top < bottom <= 1
        assert 0 <= left < right <= 1


def grey(path):
    """Any of the files as float [rows, columns] in [0, 1]."""
    with Image.open(path) as picture:
        if picture.mode == "I;16":
            return np.array(picture) / 65535
        return np.array(picture.convert("L")) / 255


def test_files_read_back_as_they_were_drawn(folder):
    for label, name in enumerate(CLASSES):
        stem = "person2_virus_1" if label == 1 else f"{name}-2"
        stored = grey(next((folder / name).glob(f"{stem}.*")))
        assert np.abs(stored - draw_radiograph(1, label, SMALL)[0]).mean() < 0.02


def test_copies_are_copies_of_three_kinds(folder):
    copies = files.read_json(folder / "ORIGIN.json")["copies"]
    assert len(copies) == 3
    kinds = Counter()
    for name, original in copies.items():
        assert name.split("/")[0] == original.split("/")[0]
        assert name.split("/")[1] != original.split("/")[1]
        one, two = grey(folder / name), grey(folder / original)
        if (folder / name).read_bytes() == (folder / original).read_bytes():
            kinds["file"] += 1
        elif one.shape == two.shape:
            np.testing.assert_array_equal(one, two)
            kinds["pixels"] += 1
        else:
            smaller = np.array(Image.fromarray((two * 255).astype(np.uint8)).resize(one.shape[::-1])) / 255
            assert np.abs(one - smaller).mean() < 0.03
            kinds["saved again"] += 1
    assert kinds == {"file": 1, "pixels": 1, "saved again": 1}


@pytest.mark.parametrize(("mode", "kind"), sorted(set(phantoms_radiography.KINDS)))
def test_all_modes_can_be_read_and_copied(mode, kind):
    image = np.tile(np.linspace(0, 1, 40, dtype=np.float32), (40, 1))
    content = phantoms_radiography._pack(image, mode, kind)
    for how in range(3):
        copied, copy = phantoms_radiography._copy(f"a.{kind}", content, how, np.random.default_rng(0))
        assert (copy == content) == (how == 0)
        with Image.open(phantoms_radiography.io.BytesIO(copy)) as picture:
            assert picture.format.lower() == copied
            most = 65535 if picture.mode == "I;16" else 255
            values = np.array(picture if picture.mode == "I;16" else picture.convert("L")) / most
        assert np.abs(values.mean(0) - np.linspace(0, 1, values.shape[1])).max() < 0.03


def test_the_kind_of_file_has_nothing_to_do_with_the_class():
    kinds = np.array([kind == "jpeg" for _, kind in phantoms_radiography.KINDS])
    assert 0.2 < kinds.mean() < 0.6
    assert {mode for mode, _ in phantoms_radiography.KINDS} == {"L", "RGB", "RGBA", "P", "I;16"}


def test_making_them_again_gives_the_same_files(folder, tmp_path):
    again = make_radiography(tmp_path / "radiography", SMALL)
    names = sorted(path.relative_to(folder) for path in folder.rglob("*.*"))
    assert names == sorted(path.relative_to(again) for path in again.rglob("*.*"))
    for name in names:
        assert (folder / name).read_bytes() == (again / name).read_bytes(), name


def test_a_run_that_fails_leaves_nothing_behind_and_a_folder_is_never_mixed(folder, tmp_path):
    def stop(done):
        yield next(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_radiography(tmp_path / "radiography", SMALL, stop)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(files.DataError, match="there already"):
        make_radiography(folder, SMALL)
