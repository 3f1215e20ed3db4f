"""What notebook 04 shows beside its training: images, controls, verdicts in words, and the trap of the hospitals."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import paddle
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_xray_job import NAMES, Knows, evaluation, fill, make_films, make_sets, make_task, split_of

from helpers import (
    anatomy,
    controls,
    datasets,
    exposures,
    films,
    infiltrates,
    networks,
    phantoms_radiography,
    radiography,
    runtime,
    xray_answers,
    xray_examples,
    xray_job,
)
from helpers.datasets import Split
from helpers.film_arrays import Films
from helpers.film_samples import LabelledFilms
from helpers.jobs import Sets
from helpers.phantoms_radiography import CLASSES, RadiographySettings
from helpers.schedules import Schedule

SIDE, EACH, LOOKS, SEED = 64, 18, 3, 1
QUICK = Schedule(12, 16, 1e-2, kind="one-cycle", weight_decay=0.01, patience=12)


@pytest.fixture(scope="module", autouse=True)
def elsewhere(tmp_path_factory):
    """A small job, in one process, with its outputs in a folder of their own."""
    root = tmp_path_factory.mktemp("course")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "ROOT", root)
        patch.setattr(runtime, "BUILD", root / "build")
        patch.setattr(runtime, "cores", lambda: 1)
        patch.setitem(xray_job.SIZES, "quick", (EACH, SIDE, SIDE, 4, QUICK))
        patch.setenv("TQDM_DISABLE", "1")
        yield root


# Disease or hospital?


@pytest.fixture(scope="module")
def hospitals():
    """The same chests, radiographed three times each: at home, where the hospital gives the class away, and elsewhere.

    To draw a chest takes long and to expose it does not.
    """
    chests = []
    for label, name in enumerate(CLASSES):
        for number in range(EACH):
            rng = np.random.default_rng([SEED, label, number])
            film, _ = films.draw_film(anatomy.sample_thorax(rng), SIDE, infiltrates.change(name), rng)
            chests.append((label, number, film))
    kinds = {"home": {}, "trap": {"confounded": True}, "away": {"external": True}}
    return SimpleNamespace(**{name: expose(chests, turn, **kind) for turn, (name, kind) in enumerate(kinds.items())})


def expose(chests, turn, **kind):
    """The films of one data set as a network sees them, and the data set."""
    settings, images, boxes = RadiographySettings(pixels=SIDE, seed=SEED, **kind), [], []
    for place, (label, number, film) in enumerate(chests):
        for look in range(LOOKS):
            rng = np.random.default_rng([SEED, place, look, turn])
            _, hospital = phantoms_radiography._choose_site(number + look, label, settings, rng)
            taken = exposures.random_look(rng, hospital.habits)
            images.append(exposures.expose(film, taken, rng))
            boxes.append(phantoms_radiography._box(exposures.place(film.lungs > 1, taken)))
    data = imagined(np.repeat([label for label, _, _ in chests], LOOKS), LOOKS, np.array(boxes))
    return SimpleNamespace(films=films_of(data, np.round(np.stack(images) * 255).astype(np.uint8)), data=data)


def imagined(labels, together=1, boxes=None, classes=CLASSES):
    """A data set of nothing but labels, where so many in a row belong together."""
    keys = [(int(label), f"{i:03}", f"{i - i % together:03}") for i, label in enumerate(labels)]
    cases = [radiography.RadiographCase(Path("x"), *key, (SIDE, SIDE), "grey", False, False) for key in keys]
    return radiography.Radiographs(Path("x"), "phantom", "", "", tuple(classes), tuple(cases), boxes=boxes)


def films_of(data, images):
    groups = np.array([case.group for case in data.cases])
    return Films(images, None, data.labels, groups, data.classes, np.ones(len(images), bool))


def right(one, shown):
    """What a linear rule gets of what is shown: greys and roughness of small cells, on chests that it has not seen."""
    images = xray_job.hide(one.films, shown, one.data.boxes).images / np.float32(255)
    rough = np.stack([image - cv2.GaussianBlur(image, (0, 0), 1.5) for image in images])
    greys = images.reshape(-1, 16, 4, 16, 4).mean((2, 4))
    noise = np.log(rough.reshape(-1, 8, 8, 8, 8).std((2, 4)) + 0.005)
    features = np.hstack([part.reshape(len(images), -1) for part in (greys, noise)])
    rule, folds = make_pipeline(StandardScaler(), RidgeClassifier(30)), GroupKFold(4, shuffle=True, random_state=0)
    said = cross_val_predict(rule, features, one.films.labels, cv=folds, groups=one.films.groups)
    return np.mean(said == one.films.labels)


def test_where_hospitals_see_all_alike_the_borders_say_nothing_and_the_lungs_do(hospitals):
    borders, no_lungs, full = (right(hospitals.home, shown) for shown in ("borders", "no lungs", "all"))
    assert borders < 0.42
    assert no_lungs < 0.45
    assert full > max(borders, no_lungs) + 0.12


def test_where_the_hospital_goes_with_the_class_the_borders_suffice(hospitals):
    assert right(hospitals.trap, "borders") > 0.75
    assert right(hospitals.trap, "no lungs") > 0.7


@pytest.fixture(scope="module")
def trapped(hospitals):
    task = make_task(confounded=True, seed=SEED)
    task = replace(task, data=lambda: hospitals.trap.data, prepare=lambda _: hospitals.trap.films)
    return SimpleNamespace(task=task, **xray_examples.fall_into(task)._asdict())


def test_a_trapped_network_does_well_at_home_and_so_do_its_borders(trapped):
    assert trapped.found.headline.low > trapped.found.headline.baseline
    assert trapped.found.headline.value > 0.6
    assert trapped.borders.headline.value > 0.6
    said = xray_examples.verdict(trapped.found, {"borders": trapped.borders})
    assert said.endswith("With borders alone it comes near the full result: this accuracy is no evidence of disease.")


def test_a_trapped_network_falls_in_another_hospital(trapped, hospitals, monkeypatch):
    monkeypatch.setattr(xray_job, "open_external", lambda run, confounded: hospitals.away.data if confounded else None)
    monkeypatch.setattr(xray_examples.film_arrays, "prepare", lambda *_: hospitals.away.films)
    said = xray_examples.elsewhere(trapped.task, trapped.network, trapped.found)
    away = xray_answers.elsewhere(trapped.network, trapped.found, hospitals.away.films)
    assert away.headline.cases == len(hospitals.away.films.labels)
    assert away.headline.value < 0.5
    fall = trapped.found.headline.value - away.headline.value
    assert f"fall: {fall:.2f}, 95 % interval" in said
    assert float(said.split()[-3]) > 0.1  # the lower end
    assert [line.split("  ")[0] for line in said.split("\n")[1:3]] == ["at home", "elsewhere"]


# Controls and verdicts


def judged(share, cases=60, classes=NAMES):
    """An evaluation of which so large a share is right, the first ones."""
    truth = np.arange(cases) % len(classes)
    return evaluation(truth, np.where(np.arange(cases) < round(share * cases), truth, (truth + 1) % len(classes)))


def test_controls_that_come_near_are_named():
    others = {"borders": judged(0.8), "no lungs": judged(0.36), "histogram": judged(0.7)}
    first, second, third, end = xray_examples.verdict(judged(0.9), others).split("\n")
    assert end == "With borders alone it comes near the full result: this accuracy is no evidence of disease."
    assert "the full image is better by 0.10 (95 % interval" in first
    for line, name, share in ((first, "borders", 82), (second, "no lungs", 6), (third, "histogram", 65)):
        assert line.startswith(f"{name} alone: {share} % of what the full image gains over chance; ")


def test_controls_that_stay_away_are_no_alarm():
    said = xray_examples.verdict(judged(0.95), {"borders": judged(0.3), "histogram": judged(0.5)})
    assert "come near the full result: by these figures most of it needs what lies inside the box" in said
    assert ": 0 % of what" in said  # below chance is nothing, not less


@pytest.mark.parametrize("full", [1 / 3, 0.2])
def test_where_nothing_is_gained_every_control_comes_near(full):
    assert "With borders alone it comes near" in xray_examples.verdict(judged(full), {"borders": judged(0.2)})


def test_a_control_that_cannot_be_told_apart_comes_near():
    """Few images: a share of less than half, but the interval of the difference holds 0."""
    said = xray_examples.verdict(judged(0.6, 15), {"borders": judged(0.4, 15)})
    assert ": 25 % of what" in said
    assert "With borders alone it comes near" in said


def test_too_few_images_get_a_sentence_and_no_verdict():
    said = xray_examples.verdict(judged(1, 8), {"borders": judged(0.1, 8)})
    assert said == "accuracy cannot be measured: there are only 8 images (10 are needed)."


def test_the_table_of_accuracies_has_a_line_each():
    table = xray_examples.accuracies({"full image": judged(1), "borders": judged(0.5), "few": judged(1, 8)})
    head, *lines = table.split("\n")
    assert head.startswith("metric")
    assert [line.split("  ")[0] for line in lines[:3]] == ["full image", "borders", "few"]
    assert "60 of 60" in lines[0]
    assert "30 of 60" in lines[1]
    assert "always-majority 0.33" in lines[1]
    assert "too few" in lines[2]
    assert lines[3] == "few cannot be measured: there are only 8 images (10 are needed)."


def test_controls_are_trained_like_the_task_itself(monkeypatch):
    monkeypatch.setitem(xray_job.SIZES, "quick", (4, 32, 32, 2, Schedule(1, 8, 1e-2)))
    data, seen = imagined(np.arange(30) % 3), []
    images = np.random.default_rng(0).integers(1, 256, (30, 32, 32), np.uint8)
    task, split = make_task(depth=34), datasets.split(data, 0)
    train, given = task.train, films_of(data, images)
    object.__setattr__(task, "train", lambda network, sets: seen.append((network, sets)) or train(network, sets))
    found = xray_examples.all_controls(task, given, split)
    assert list(found) == ["borders", "no lungs", "histogram"]
    for shown, (network, sets) in zip(xray_job.SHOWN[1:], seen, strict=True):
        np.testing.assert_array_equal(sets.test.films.images, xray_job.hide(given, shown).images)
        assert len(network.state_dict()) == len(task.network().state_dict())  # of the same depth
        assert sets.train.where.tolist() == split.train.tolist()
    assert all(one.cases.tolist() == split.test.tolist() for one in found.values())
    assert found["histogram"].headline == task.baseline(given, split)


def test_without_another_hospital_nobody_knows(monkeypatch):
    monkeypatch.setattr(xray_job, "open_external", lambda *_: None)
    said = xray_examples.elsewhere(make_task(), Knows(), judged(1))
    assert said.startswith("There is no folder radiography_external")


@pytest.mark.parametrize(("count", "fall"), [(60, "fall: 0.00, 95 % interval -0.16 to 0.11"), (8, "too few")])
def test_the_fall_stands_beside_both_figures(monkeypatch, count, fall):
    monkeypatch.setattr(xray_job, "open_external", lambda *_: "there")
    monkeypatch.setattr(xray_examples.film_arrays, "prepare", lambda data, side: make_films(count))
    home = xray_answers.evaluate(Knows(), make_sets(make_films()))
    said = xray_examples.elsewhere(make_task(), Knows(), home)
    assert "at home" in said
    assert fall in said
    assert ("fall" in said) == (count == 60)


# Images to look at


@pytest.fixture(scope="module")
def folder(elsewhere):
    """A real data set of noise with two copies, which are one group."""
    root = fill(elsewhere / "data", ("NORMAL", "COVID", "Viral"), 8) / "radiography"
    first = root / "COVID" / "image 0.png"
    (root / "COVID" / "another name.png").write_bytes(first.read_bytes())
    data = radiography.read_folder(root)
    return SimpleNamespace(data=data, split=datasets.split(data, 3, aside=True))


def test_counts_are_those_of_the_sets(folder):
    found = xray_examples.counts(folder.split)
    assert list(found) == ["NORMAL", "COVID", "Viral"]
    assert all(list(row) == ["training", "validation", "test"] for row in found.values())
    assert [sum(row[part] for row in found.values()) for part in ("training", "validation", "test")] == [
        *map(len, (folder.split.train, folder.split.valid, folder.split.test))
    ]
    assert [sum(row.values()) for row in found.values()] == [7, 8, 7]  # but for the one aside


def test_examples_are_training_images_of_every_class_in_turn(folder):
    images, captions = xray_examples.examples(folder.data, folder.split, each=2)
    assert captions == ["NORMAL", "COVID", "Viral"] * 2
    known = {
        folder.data.read(i).pixels.tobytes(): folder.data.classes[folder.data.labels[i]] for i in folder.split.train
    }
    assert [known[image.tobytes()] for image in images] == captions
    assert len({image.tobytes() for image in images}) == 6
    many, _ = xray_examples.examples(folder.data, folder.split, each=99)
    assert len(many) == len(folder.split.train)


def test_varied_shows_what_training_sees_and_leaves_the_epoch_alone():
    given = make_films(12, side=16)._replace(images=np.random.default_rng(1).integers(0, 256, (12, 16, 16), np.uint8))
    samples = LabelledFilms(given, range(4, 12), 5, xray_job.vary)
    samples.epoch = 9
    images, captions = xray_examples.varied(samples, copies=5)
    assert samples.epoch == 9
    assert captions == ["the image", *(f"epoch {number}" for number in range(1, 6))]
    np.testing.assert_array_equal(np.round(images[0] * 255), given.images[4])
    for epoch in range(5):
        samples.epoch = epoch
        np.testing.assert_array_equal(images[1 + epoch], samples[0][0][0])
    assert len({image.tobytes() for image in images}) > 3


def test_every_depth_has_a_line_with_its_parameters():
    lines = xray_examples.sizes().split("\n")
    assert [line.split()[0] for line in lines] == [f"ResNet-{depth}" for depth in (18, 34, 50, 101, 152)]
    whole = [int(line.split()[1].replace(",", "")) for line in lines]
    trained = [int(line.split()[3].replace(",", "")) for line in lines]
    assert whole == sorted(whole)
    assert all(one < other for one, other in zip(trained, whole, strict=True))
    assert whole[2] == 23_567_299
    more = [int(line.split()[1].replace(",", "")) for line in xray_examples.sizes(4).split("\n")]
    assert [other - one for one, other in zip(whole, more, strict=True)] == [513, 513, 2049, 2049, 2049]


def test_the_majority_is_that_of_the_training_set():
    given = make_films(12)._replace(labels=np.array([0] * 3 + [2] * 4 + [0] * 1 + [1] * 4))
    train, valid = LabelledFilms(given, range(7), 0), LabelledFilms(given, range(6, 12), 0)
    assert xray_examples.majority(Sets(train, valid, valid)) == pytest.approx(1 / 6)


def test_the_noisiest_test_image_is_shown_and_all_are_counted():
    given = make_films(12)._replace(images=np.full((12, 32, 32), 128, np.uint8))
    given.images[3] = 255  # not a test image
    given.images[7] = 0
    found = replace(evaluation([0, 1, 2], [0, 1, 2]), cases=np.array([6, 7, 8]))
    noisy, said = xray_examples.wrapped(given, found, 10, 0)
    assert noisy.white > 0.4
    assert said == f"On average over 3 test images: {100 * noisy.white / 3:.1f} % to white, 0.0 % to black."


def test_bins_are_those_of_the_reliability():
    found = evaluation([0, 0, 1, 2, 2, 1] * 4, [0, 1, 1, 2, 0, 1] * 4, [0.55, 0.55, 0.95, 0.95, 0.95, 0.75] * 4)
    confidence, hits, counts, words = xray_examples.bins(found)
    assert counts.tolist() == [0, 0, 0, 0, 0, 8, 0, 4, 0, 12]
    assert hits.tolist() == [0, 0, 0, 0, 0, 4, 0, 4, 0, 8]
    np.testing.assert_allclose(confidence[[5, 7, 9]], [0.55, 0.75, 0.95])
    assert not np.isnan(confidence).any()
    error = (8 * 0.05 + 4 * 0.25 + 12 * (0.95 - 2 / 3)) / 24
    assert words == f"expected calibration error {error:.2f}"


def test_the_worst_are_shown_with_what_was_said_of_them():
    given = make_films(60)
    found = xray_answers.evaluate(Knows(order=(0, 2, 1)), make_sets(given))  # takes B for COVID, COVID for B
    images, captions = xray_examples.worst(given, found, 5)
    assert len(images) == len(captions) == 5
    for image, caption in zip(images, captions, strict=True):
        truth = NAMES[round(float(image.mean()) * 255 / 60)]
        assert caption.startswith({"B": "B, called COVID", "COVID": "COVID, called B"}[truth])


def test_a_heat_map_is_drawn_for_each_class_that_was_found():
    given = make_films(30, side=32)
    paddle.seed(0)
    network = networks.ResNet(18, 3, channels=1, width=2)
    said = np.array([1, 0, 2, 2, 2, 0, 2])  # nobody was rightly called B
    found = replace(
        evaluation([2, 0, 1, 1, 2, 0, 2], said, np.array([0.6, 0.7, 0.6, 0.6, 0.8, 0.9, 0.7])), cases=np.arange(7) + 20
    )
    images, heats, captions = xray_examples.cams(network, given, found)
    assert captions == ["NORMAL, called NORMAL (90 %)", "COVID, called COVID (80 %)"]
    for image, place in zip(images, (25, 24), strict=True):
        np.testing.assert_array_equal(np.round(image * 255), given.images[place])
    for heat in heats:
        assert heat.shape == (32, 32)
        assert 0 <= heat.min() <= heat.max() <= 1
    assert xray_examples.cams(network, given, evaluation([0, 1], [1, 0])) == ([], [], [])


@pytest.mark.parametrize("boxes", [None, np.tile([0.25, 0.25, 0.5, 0.75], (12, 1))])
def test_one_test_image_is_shown_as_each_control_sees_it(boxes):
    given = make_films(12, side=20)._replace(images=np.full((12, 20, 20), 255, np.uint8))
    images, captions = xray_examples.shown(given, split_of(given, boxes))
    assert captions == ["full image", "borders", "no lungs"]
    assert [image.shape for image in images] == [(20, 20)] * 3
    lost = [np.mean(image == 0) for image in images]
    assert lost[0] == 0
    assert lost[1] > 0.7
    assert lost[2] == np.mean(
        controls.blank_boxes(given.images[:1], controls.LUNGS if boxes is None else boxes[0]) == 0
    )


def test_the_image_shown_has_a_box_of_usual_size():
    given, sides = make_films(12, side=20), 0.5 + np.arange(12) / 40
    given.images[:] = 1 + np.arange(12)[:, None, None]
    split = split_of(given, np.stack([0 * sides, 0 * sides, sides, sides], axis=1))
    images, _ = xray_examples.shown(given, split)
    assert np.round(255 * images[0][0, 0]) == 1 + np.sort(split.test)[len(split.test) // 2]


def test_the_first_test_image_that_could_be_read_is_shown():
    given = make_films(12)
    given.usable[6] = False
    given.images[7] = 77
    images, _ = xray_examples.shown(given, split_of(given))
    assert (np.round(images[0] * 255) == 77).all()


def test_the_cost_of_not_asking_for_copies_is_told():
    labels = np.arange(80) // 2 % 2
    pairs = xray_examples.straddling(imagined(labels, 2, classes=("a", "b")))
    alone = xray_examples.straddling(imagined(labels, classes=("a", "b")))
    assert "Over 20 random splits, 0.0 of 8 test images on average (0 to 0)" in alone
    mean = float(pairs.split("splits, ")[1].split(" of")[0])
    assert 6 < mean <= 8  # the other one of each pair is in the training set nine times in ten
    assert pairs.endswith("have a copy or their patient in the training set; in ours none.")


def test_what_was_kept_aside_is_shown_last_and_is_in_no_set(folder):
    data, split = folder.data, folder.split
    assert data.labels[split.aside].tolist() == [0, 1, 2]
    used = np.concatenate([split.train, split.valid, split.test])
    assert not set(data.groups[split.aside]) & set(data.groups[used])
    labels = data.labels
    images = np.repeat(60 * labels, 64).reshape(-1, 8, 8).astype(np.uint8)
    given = Films(images, None, labels, data.groups, data.classes, np.ones(len(labels), bool))
    shown, captions = xray_examples.aside(Knows(), given, split)
    assert captions == [f"{name}, called {name} (100 %)" for name in data.classes]
    for image, place in zip(shown, split.aside, strict=True):
        np.testing.assert_array_equal(np.round(image * 255), images[place])
    everything = Split(np.arange(len(labels)), np.arange(0), np.arange(0), data)
    assert xray_examples.aside(Knows(), given, everything) == ([], [])


def test_a_copy_is_never_the_one_that_is_kept_aside(folder):
    kept = set()
    for seed in range(30):
        kept.update(datasets.split(folder.data, seed, aside=True).aside.tolist())
    sizes = np.bincount(folder.data.groups)[folder.data.groups]
    assert sizes.max() == 2
    assert (sizes[list(kept)] == 1).all()
    assert len(kept) > 12


def test_plain_shares_are_counted_however_few_the_images():
    truth = np.array([0, 0, 1])
    found, control = (
        SimpleNamespace(truth=truth, called=np.array(called), majority=0) for called in ([0, 0, 1], [1, 0, 0])
    )
    assert xray_examples.shares(found, control) == (1.0, 1 / 3, 2 / 3)
