"""The job of notebook 03: judged honestly, asked about one file, and silent about whose radiographs they are."""

import dataclasses
import json
import logging
import os
import pickle
import traceback
import warnings
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import paddle
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from test_film_arrays import GOOD, SHAPE, SIDE, WRONG_FILES, film, make_folder
from tiny import one_sentence

from helpers import (
    datasets,
    files,
    masks,
    networks,
    overlap,
    passports,
    predict,
    rules,
    runtime,
    siim,
    siim_answers,
    siim_examples,
    siim_job,
    train,
    training,
    triplets,
    xray,
)
from helpers.datasets import Split
from helpers.estimates import Estimate
from helpers.files import DataError
from helpers.film_arrays import Films
from helpers.film_samples import MaskedFilms
from helpers.jobs import Sets
from helpers.phantoms_siim import SIIMSettings
from helpers.schedules import Schedule
from helpers.siim_answers import Evaluation
from helpers.triplets import Triplet
from tests.radiographs import ID, NAME, assert_anonymous, change, make_dicom

TINY = (6, 64, SIDE, 2, Schedule(1, 8, 1e-2, kind="cosine", weight_decay=1e-4))
ABOUT = {"top": 0.5, "area": 1, "bottom": 0.5}


@pytest.fixture(scope="module", autouse=True)
def elsewhere(tmp_path_factory):
    """A small job, in one process, with its outputs in a folder of their own."""
    root = tmp_path_factory.mktemp("course")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "ROOT", root)
        patch.setattr(runtime, "BUILD", root / "build")
        patch.setattr(runtime, "cores", lambda: 1)
        patch.setitem(siim_job.SIZES, "quick", TINY)
        patch.delenv("COURSE_DATA", raising=False)
        patch.setenv("COURSE_RUN", "quick")
        patch.setenv("TQDM_DISABLE", "1")
        yield root


def make_task(size="quick", root=Path("data"), **options):
    return siim_job.pneumothorax(runtime.Run(seed=7, size=size, device="cpu", data_root=root), **options)


class Paints(paddle.nn.Layer):
    """Stands in for a network: what is brighter than a level is air, the brighter the surer."""

    def __init__(self, level=0.75, gain=1000.0):
        super().__init__()
        self.level, self.gain = level, gain

    def forward(self, images):
        return (images - self.level) * self.gain


class Empty(paddle.nn.Layer):
    """Finds nothing anywhere, and is sure of it."""

    def forward(self, images):
        return images * 0 - 1000


def make_films(count=80, side=20, alarm=0):
    """Every second image has a bright square, which is its mask; the others a smaller one, which is none."""
    rng = np.random.default_rng(3)
    images, truth = rng.integers(0, 120, (count, side, side), dtype=np.uint8), np.zeros((count, side, side), bool)
    for i in range(count):
        top, left = rng.integers(0, side - 8, 2)
        edge = rng.integers(4, 8) if i % 2 else alarm
        images[i, top : top + edge, left : left + edge] = 250
        truth[i, top : top + edge, left : left + edge] = i % 2
    groups = np.array([f"patient {i // 3}" for i in range(count)])
    return Films(images, truth, truth.any(axis=(1, 2)).astype(int), groups, ("none", "air"), np.ones(count, bool))


def thirds(films, train=range(10), valid=range(10, 30), test=range(30, 80)):
    return Sets(*(MaskedFilms(films, where, 0) for where in (train, valid, test)))


# Judging


def test_the_surest_pixels_speak_for_an_image():
    found = np.zeros((4, 40, 40))  # a share of 0.005 is 8 pixels
    found[1, :2, :4] = 0.8
    found[2, 10:30, 10:30] = 0.8  # more air is no surer air
    found[3, 0, 0] = 0.8
    np.testing.assert_allclose(siim_answers.image_score(found), [0, 0.8, 0.8, 0.1])
    np.testing.assert_array_equal(siim_answers.image_score(found[::-1]), siim_answers.image_score(found)[::-1])
    assert siim_answers.image_score(np.float32([[[0.3, 0.7]]])) == pytest.approx(0.7)  # one pixel at least
    assert siim_answers.image_score(found[:0]).shape == (0,)


def test_a_network_that_paints_the_truth_is_perfect():
    films = make_films()
    found = siim_answers.evaluate(Paints(), thirds(films))
    report = found.report
    assert [estimate.value for estimate in (report.dice, report.positives, report.iou, report.pooled)] == [1] * 4
    assert report.gain.value == pytest.approx(0.5)
    assert found.headline.value == 1
    np.testing.assert_array_equal(found.masks, films.masks[30:])
    np.testing.assert_array_equal(found.truth, films.labels[30:])
    assert found.cases.tolist() == list(range(30, 80))
    assert found.groups.tolist() == films.groups[30:].tolist()
    assert found.triplet == triplets.PLAIN
    assert found.about == ABOUT
    assert found.curve.threshold.size
    assert [estimate.name in str(found) for estimate in found.estimates] == [True] * 6
    json.dumps(found.about)


def test_a_network_that_finds_nothing_is_the_all_empty_rule_in_every_figure():
    found = siim_answers.evaluate(Empty(), thirds(make_films()))
    for estimate in found.report:
        assert estimate.value == estimate.baseline
    assert found.report.dice.value == 0.5
    assert (found.report.gain.low, found.report.gain.value, found.report.gain.high) == (0, 0, 0)
    assert found.headline.value == found.headline.baseline == 0.5
    assert not found.masks.any()
    assert set(found.captions(range(50))) == {"missed", "rightly empty"}


def test_the_image_and_its_mirror_image_are_asked():
    films = make_films(4)

    class Left(paddle.nn.Layer):
        """Sees in the left half alone, and half as surely what is mirrored."""

        def forward(self, images):
            half = paddle.concat([paddle.ones([1, 1, 1, 10]), paddle.zeros([1, 1, 1, 10])], axis=3)
            return ((images > 0.75).astype("float32") * half - 0.5) * 1000

    samples = MaskedFilms(films, range(4), 0)
    found = siim_answers.probabilities(Left(), samples)
    np.testing.assert_allclose(found, (films.images > 191) / 2)  # either half is seen once
    assert not samples.mirrored
    assert found.shape == films.images.shape


def test_the_triplet_is_chosen_on_validation_images_alone():
    films = make_films(alarm=2)  # small false alarms, which a least area keeps out
    honest = siim_answers.evaluate(Paints(), thirds(films))
    assert honest.triplet.area > 4
    assert honest.report.dice.value == 1
    assert honest.plain.dice.mean() == 0.5  # a threshold alone raises an alarm on every healthy image

    truth = films.masks.copy()
    truth[30:], truth[:10] = ~truth[30:], True
    images = films.images.copy()
    images[:10] = 255
    poisoned = siim_answers.evaluate(Paints(), thirds(films._replace(masks=truth, images=images)))
    assert poisoned.triplet == honest.triplet
    np.testing.assert_array_equal(poisoned.found, honest.found)
    np.testing.assert_array_equal(poisoned.score, honest.score)

    images[10:30] = make_films().images[10:30]  # no false alarms there: a plain threshold will do
    assert siim_answers.evaluate(Paints(), thirds(films._replace(images=images))).triplet == triplets.PLAIN


def test_without_validation_images_the_threshold_is_plain():
    found = siim_answers.evaluate(Paints(), thirds(make_films(), valid=[]))
    assert found.triplet == triplets.PLAIN
    assert found.report.dice.value == 1


def test_without_a_usable_test_image_there_are_reasons_instead_of_figures():
    films = make_films()
    films.usable[30:] = False
    found = siim_answers.evaluate(Paints(), thirds(films))
    assert len(found.cases) == 0
    assert all(estimate.value is None and estimate.reason for estimate in found.estimates)
    assert "cannot be measured" in str(found)
    assert found.curve.threshold.size == 0
    assert found.worst().tolist() == []


def test_folds_are_pooled_with_each_ones_own_triplet():
    films, tame = make_films(alarm=2), make_films()
    one = siim_answers.evaluate(Paints(), thirds(films, test=range(30, 55)))
    two = siim_answers.evaluate(Paints(), thirds(tame, test=range(55, 80)))
    assert one.triplet != two.triplet
    both = make_task().pool([one, two])
    assert both.cases.tolist() == list(range(30, 80))
    np.testing.assert_array_equal(both.masks, np.concatenate([one.masks, two.masks]))
    for name in ("truth", "score", "dice", "found_pixels", "true_pixels"):
        assert list(both.columns()[name]) == [*one.columns()[name], *two.columns()[name]]
    assert both.plain.dice.tolist() == [*one.plain.dice, *two.plain.dice]
    assert both.groups.tolist() == [*one.groups, *two.groups]
    assert both.report.dice.value == overlap.measure(films.masks[30:], both.masks).dice.mean()


def evaluation(truth, found, both, pixels=10_000):
    counts = overlap.Overlaps(*(np.array(part, int) for part in (both, truth, found)))
    many, side = len(counts.truth), int(pixels**0.5)
    groups, shown = np.arange(many).astype(str), np.zeros((many, side, side), np.uint8)
    return Evaluation(np.arange(many) + 100, np.linspace(0, 1, many), counts, counts, triplets.PLAIN, groups, shown)


@given(st.lists(st.tuples(*[st.integers(0, 9)] * 3), max_size=12), st.integers(0, 12))
def test_the_worst_come_first_and_among_equals_the_largest(rows, count):
    rows = [(max(row[:2]), row[2], min(*row)) for row in rows]
    found = evaluation(*(zip(*rows, strict=True) if rows else ([], [], [])))
    dice, wrong = found.overlaps.dice, [truth + said - 2 * both for truth, said, both in rows]
    wanted = sorted(range(len(rows)), key=lambda i: (dice[i], -wrong[i]))[:count]
    assert found.worst(count).tolist() == wanted


def test_captions_say_what_came_of_each():
    found = evaluation([10, 10, 0, 0, 10], [0, 10, 5, 0, 7], [0, 7, 0, 0, 0])
    assert found.captions(range(5)) == ["missed", "Dice 0.70", "false alarm", "rightly empty", "Dice 0.00"]
    assert found.captions([3, 1]) == ["rightly empty", "Dice 0.70"]
    assert found.captions([]) == []


def test_the_columns_are_one_figure_an_image():
    columns = evaluation([10, 0, 10], [0, 0, 10], [0, 0, 7]).columns()
    assert list(columns) == ["truth", "score", "true_pixels", "found_pixels", "both_pixels", "dice"]
    assert [list(map(float, column)) for column in columns.values()] == [
        [1, 0, 1],
        [0, 0.5, 1],
        [10, 0, 10],
        [0, 0, 10],
        [0, 0, 7],
        [0, 1, 0.7],
    ]


def test_the_curves_show_the_mean_dice_of_a_plain_threshold():
    rng = np.random.default_rng(5)
    truth, odds = (rng.random((6, 1, 8, 8)) < 0.3).astype(np.float32), rng.normal(size=(6, 1, 8, 8))
    truth[0], odds[0] = 0, -1
    wanted = overlap.dice(truth[:, 0] == 1, odds[:, 0] > 0)
    assert siim_answers.mean_dice(truth, odds) == pytest.approx(wanted.mean())
    assert wanted[0] == 1


# The task


@contextmanager
def overheard(path):
    """Whatever is printed, warned of or logged meanwhile, also by libraries in C, goes into a file."""
    logger, before = logging.getLogger(), [os.dup(1), os.dup(2)]
    with open(path, "a", encoding="utf8") as file, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        handler = logging.StreamHandler(file)
        logger.addHandler(handler)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            with redirect_stdout(file), redirect_stderr(file):
                yield
        finally:
            for number, old in enumerate(before, 1):
                os.dup2(old, number)
                os.close(old)
            logger.removeHandler(handler)
            file.writelines(f"{warning.message}\n" for warning in warned)


PLANTED = (
    *("PatientBirthName", "OtherPatientNames", "PatientMotherBirthName", "ReferringPhysicianName", "OperatorsName"),
    *("PatientComments", "ImageComments", "AdditionalPatientHistory", "PatientAddress", "OtherPatientIDs"),
    *("StudyDescription", "SeriesDescription", "RequestedProcedureDescription", "ProtocolName", "InstitutionName"),
)


def plant(path):
    """Put the name and the id where no keyword leads: before the file itself, and into a private block."""
    image = pydicom.dcmread(path)
    image.preamble = f"{NAME} {ID}".encode().ljust(128, b"\0")
    image.private_block(0x0011, NAME, create=True).add_new(1, "LO", f"{NAME} {ID}")
    image.save_as(path)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """Radiographs that carry a name and an id wherever people write them, and some that cannot be used."""
    root = tmp_path_factory.mktemp("hospital")
    free = {"ViewPosition": "ERIKA MUSTER", "AccessionNumber": ID, "StudyID": ID, "PatientSex": "F"}
    folder = make_folder(root / "siim", **dict.fromkeys(PLANTED, f"{NAME} {ID}"), **free)
    paths = sorted(folder.rglob("image*.dcm"))
    for path in paths[:4]:
        plant(path)
    change(paths[5], PatientSex="ERIKA", PatientAge="MUST")
    cut = make_dicom(paths[0].with_name("cut.dcm"), film(0, True)[0], PatientComments=f"{NAME} {ID}")
    cut.write_bytes(cut.read_bytes()[:-3000])  # in the middle of its header
    page = paths[0].with_name("cut2.dcm")
    page.write_bytes(cut.read_bytes()[: cut.read_bytes().index(ID.encode()) + 4])
    return root


@pytest.fixture(scope="module")
def trained(hospital, elsewhere):
    """One training by the command, on all that, and what it said."""
    said, out = elsewhere / "said.txt", elsewhere / "out"
    with overheard(said):
        arguments = ["--data", hospital, "--out", out, "--seed", 3]
        assert train.main(["pneumothorax", *map(str, arguments)]) == 0
    return SimpleNamespace(out=out, said=said.read_text(encoding="utf8"), data=siim.read_folder(hospital / "siim"))


def test_the_command_trains_and_leaves_weights_history_and_passport(trained, elsewhere):
    out = trained.out
    assert sorted(path.name for path in out.iterdir()) == ["history.json", "passport.json", "weights.safetensors"]
    for line in ("real: siim", f"chest radiographs: {GOOD + 3} real images", "epoch   1/1", "mean Dice per image"):
        assert line in trained.said
    (row,) = files.read_json(out / "history.json")
    assert all(np.isfinite(row[name]) for name in ("loss", "metric", "valid_loss", "valid_metric"))
    passport = passports.read(out / "passport.json")
    assert (passport.task, passport.metric, passport.data, passport.seed) == ("pneumothorax", "ROC AUC", "real", 3)
    assert passport == passports.read(elsewhere / "build" / "passports" / "pneumothorax-quick-real.json")
    assert passport.data_hash == trained.data.hash
    about = files.read_about(out / "weights.safetensors")
    assert about.keys() == {"task", "run", "data", "classes", "top", "area", "bottom"}
    assert about["classes"] == ["no pneumothorax", "pneumothorax"]
    Triplet(about["top"], about["area"], about["bottom"])
    training.load(out / "weights.safetensors", make_task().network())


def test_folds_test_every_usable_image_once(trained, hospital, elsewhere):
    out, said = elsewhere / "folds", elsewhere / "folds.txt"
    with overheard(said):
        arguments = ["--data", hospital, "--out", out, "--folds", 2]
        assert train.main(["pneumothorax", *map(str, arguments)]) == 0
    assert f"all {GOOD} cases, each tested once" in said.read_text()
    lines = [line for number in (1, 2) for line in (out / f"fold{number}.csv").read_text().splitlines()[1:]]
    usable = {case.key for case in trained.data.cases if case.path.stem.startswith("image")}
    assert sorted(line.split(",")[0] for line in lines) == sorted(usable)


def test_every_image_is_prepared_with_its_own_masks(trained):
    films = make_task().prepare(trained.data)
    for index in films.only_usable(range(len(films.labels))):
        bright = films.images[index] > 147
        assert bright.any() == films.masks[index].any() == films.labels[index]
        assert overlap.dice(bright, np.asarray(films.masks[index])) > 0.9


def test_only_the_training_set_is_varied():
    films = make_films(side=32)
    split = Split(np.arange(10), np.arange(10, 30), np.arange(30, 80), SimpleNamespace(labels=films.labels))
    sets = make_task().sets(films, split)
    changed = []
    for samples in sets:
        seen = []
        for epoch in (0, 1):
            samples.epoch = epoch
            seen.append(np.stack([samples[item][0] for item in range(10)]))
        changed.append(not np.array_equal(*seen))
    assert changed == [True, False, False]
    for samples, where in zip(sets, (split.train, split.valid, split.test), strict=True):
        assert samples.where.tolist() == where.tolist()


@pytest.mark.parametrize("name", siim_job.NETWORKS)
def test_both_networks_start_alike_every_time_and_learn(name):
    task = make_task(network=name)
    assert task.name == ("pneumothorax" if name == "ResUNet" else "pneumothorax-UNet")
    first, again = task.network(), task.network(("no", "yes"))
    assert type(first) is getattr(networks, name)
    state = again.state_dict()
    assert all(np.array_equal(tensor.numpy(), state[key].numpy()) for key, tensor in first.state_dict().items())
    films = make_films(16, side=SIDE)
    sets = thirds(films, range(8), range(8, 12), range(12, 16))
    fit = task.train(first, sets)
    assert np.isfinite(fit.rows[0]["valid_loss"])
    assert any(not np.array_equal(tensor.numpy(), state[key].numpy()) for key, tensor in first.state_dict().items())
    assert task.evaluate(first, sets).found.shape == (4, SIDE, SIDE)


def test_a_network_that_is_not_there_is_refused_at_once():
    with pytest.raises(ValueError, match="ResUNet, UNet, but is 'ResNet'"):
        make_task(network="ResNet")


def test_every_size_learns_by_half_a_cosine_and_full_is_the_published_one():
    for size in ("class", "full"):
        task = make_task(size)
        assert task.schedule.kind == "cosine"
        assert task.schedule.patience == task.schedule.epochs
        assert task.shape[1] % 16 == 0  # both networks halve that often
    assert (task.shape, task.schedule.epochs, siim_job.SIZES["full"][3]) == ((1, 256, 256), 70, 64)


def test_the_rule_beside_the_network_knows_usable_images_alone(monkeypatch):
    asked = []
    monkeypatch.setattr(rules, "mean_and_sd", lambda images, split: asked.append(split) or Estimate("ROC AUC", 0.5))
    films = make_films()
    films.usable[[0, 35]] = False
    make_task().baseline(films, Split(np.arange(10), np.arange(10, 30), np.arange(30, 80), None))
    assert asked[0].train.tolist() == list(range(1, 10))
    assert asked[0].test.tolist() == [i for i in range(30, 80) if i != 35]


def test_phantoms_are_made_once_where_there_are_no_radiographs(tmp_path, hospital, monkeypatch):
    monkeypatch.setattr(runtime, "ROOT", tmp_path)
    settings = SIIMSettings(count=2, pixels=48, seed=1)
    data = siim_job.open_siim(settings, tmp_path / "nothing")
    assert (data.origin, len(data.cases)) == ("phantom", 2)
    monkeypatch.setattr(siim_job, "make_siim", lambda *_: pytest.fail("they were made again"))
    assert siim_job.open_siim(settings, tmp_path / "nothing").hash == data.hash
    assert siim_job.open_siim(settings, hospital).origin == "real"
    (tmp_path / "broken" / "siim").mkdir(parents=True)
    with pytest.raises(DataError, match=r"holds no train-rle\.csv"):  # never phantoms in silence
        siim_job.open_siim(settings, tmp_path / "broken")


# One file


@pytest.mark.parametrize("shape", [SHAPE, (48, 90), (32, 32), (20, 24)])
def test_air_is_outlined_at_the_size_of_the_radiograph(tmp_path, shape):
    truth = np.zeros(shape, bool)
    truth[4:14, 6:18] = True
    found = siim_job.outline(Paints(), ABOUT, xray.Radiograph(np.where(truth, 0.95, 0.1).astype(np.float32)), SIDE)
    assert found.mask.shape == found.chance.shape == shape
    assert found.mask.dtype == bool
    assert overlap.dice(truth, found.mask) > 0.75
    rows, columns = (np.flatnonzero(found.mask.any(axis=axis)) for axis in (1, 0))
    pixel = max(shape) / SIDE
    np.testing.assert_allclose([rows.min(), columns.min()], [4, 6], atol=1 + pixel)
    assert found.score == pytest.approx(1)
    nothing = siim_job.outline(Paints(), {"top": 0.5, "area": 900, "bottom": 0.5}, xray.Radiograph(truth * 0.95), SIDE)
    assert not nothing.mask.any()  # too small for that triplet, however bright
    assert nothing.score == pytest.approx(1)


def test_one_file_is_answered_as_it_is_in_a_set(trained, hospital):
    """Asked about one file, a network says what it says of the same file in a set."""
    task = make_task(root=hospital)
    network = task.network()
    training.load(trained.out / "weights.safetensors", network)
    films = task.prepare(trained.data)
    where = np.flatnonzero(films.usable)[:3]
    found = siim_answers.probabilities(network, MaskedFilms(films, where, 0))
    for index, chance in zip(where, found, strict=True):
        alone = siim_job.outline(network, ABOUT, trained.data.read(int(index)), SIDE)
        assert alone.score == pytest.approx(siim_answers.image_score(chance[None])[0], abs=1e-5)


@pytest.fixture(scope="module")
def answered(trained, hospital, elsewhere):
    """The command `predict`, asked about a DICOM file, the same as PNG, and three that cannot be used."""
    pixels, _ = film(3, True)
    dicom = next(hospital.rglob("image03.dcm"))
    note = PngInfo()
    note.add_text("Comment", f"{NAME} {ID}")
    note.add_text("Patient", f"{NAME} {ID}", zip=True)
    png = elsewhere / "upload" / "chest.png"
    png.parent.mkdir()
    Image.fromarray(pixels).save(png, pnginfo=note)
    bad = [next(hospital.rglob(f"{name}.dcm")) for name in (*WRONG_FILES, "cut", "cut2", "page")]
    out, said = elsewhere / "answers", elsewhere / "answers.txt"
    with overheard(said):
        arguments = [dicom, *bad, png, "--weights", trained.out / "weights.safetensors", "--out", out]
        code = predict.main(["pneumothorax", *map(str, arguments)])
    answers = [files.read_json(path) for path in sorted(out.glob("*.json"))]
    return SimpleNamespace(code=code, said=said.read_text(), out=out, answers=answers, bad=bad)


def test_a_dicom_file_and_the_same_as_png_get_one_answer(answered):
    chest, image = answered.answers
    assert (chest.pop("file"), image.pop("file")) == ("chest.png", "image03.dcm")
    assert chest == image
    assert set(chest) == {"task", "pneumothorax", "score", "pixels", "box", "rle"}
    mask = masks.decode_rle(chest["rle"], SHAPE)
    assert masks.area(mask) == chest["pixels"]
    assert chest["pneumothorax"] == (chest["pixels"] > 0)
    assert chest["box"] == (list(masks.bounding_box(mask)) if mask.any() else None)
    assert 0 <= chest["score"] <= 1
    pictures = sorted(path.name for path in answered.out.glob("*.png"))
    assert pictures == ["chest_mask.png", "image03_mask.png"]
    assert all(Image.open(answered.out / name).width > 400 for name in pictures)


def test_files_that_cannot_be_used_cost_a_sentence_each(answered):
    assert answered.code == 1
    lines = answered.said.strip().split("\n")
    assert len(lines) == 2 + len(answered.bad)
    for path in answered.bad:
        (line,) = [line for line in lines if f"{path.name}: " in line]
        one_sentence(line)
        assert line.endswith(".")


@pytest.mark.parametrize("level", [0.75, 2.0])
def test_the_answer_holds_the_mask_that_was_found(tmp_path, monkeypatch, level):
    monkeypatch.setattr(siim_job.film_views, "compare", lambda *_: SimpleNamespace(png=b"\x89PNG"))
    pixels, truth = film(3, True)
    path = make_dicom(tmp_path / "a.dcm", pixels)
    said = siim_job.predict(Paints(level), ABOUT, path, tmp_path / "out" / "a", SIDE)
    assert (tmp_path / "out" / "a_mask.png").read_bytes() == b"\x89PNG"
    json.dumps(said, allow_nan=False)
    if level > 1:
        assert said == {"pneumothorax": False, "score": 0, "pixels": 0, "box": None, "rle": "-1"}
    else:
        assert said["pneumothorax"] is True
        assert overlap.dice(truth, masks.decode_rle(said["rle"], SHAPE)) > 0.85


@pytest.mark.parametrize("lacking", [["area"], ["top", "area", "bottom"]])
def test_weights_without_a_triplet_are_refused_in_a_sentence(tmp_path, hospital, capsys, lacking):
    about = {"task": "pneumothorax", "run": "quick", **ABOUT}
    about = {name: value for name, value in about.items() if name not in lacking}
    weights = training.save(tmp_path / "weights.safetensors", make_task().network(), about)
    path = next(hospital.rglob("image03.dcm"))
    arguments = ["pneumothorax", path, "--weights", weights, "--out", tmp_path / "out"]
    assert predict.main(list(map(str, arguments))) == 2
    said = capsys.readouterr().err.strip()
    one_sentence(said)
    assert f"no {', '.join(lacking)} to make a mask with; train again" in said


# Whose radiographs they are


def assert_unnamed(content, where):
    """Neither the planted name nor the planted id, in whole or in part, in any usual encoding."""
    content = content.lower()
    for word in (*NAME.split("^"), *ID.split("-")):
        for code in ("latin-1", "utf-16-le", "utf-16-be"):
            assert word.lower().encode(code) not in content, f"{word} in {where}"


def test_the_search_would_find_a_name(hospital):
    files_with_names = [path for path in hospital.rglob("*.dcm") if path.stem != "page"]
    assert len(files_with_names) > GOOD
    for path in files_with_names:
        with pytest.raises(AssertionError):
            assert_unnamed(path.read_bytes(), path)
    with pytest.raises(AssertionError):
        assert_unnamed("Frau Muster".encode("utf-16"), "a text")


def test_no_file_and_no_word_names_a_patient(trained, answered, hospital, elsewhere):
    """Cache, weights, history, passports, scores, answers, pictures, and all that was said meanwhile."""
    written = [path for path in elsewhere.rglob("*") if path.is_file() and path.parent.name != "upload"]
    endings = {path.suffix for path in written}
    assert {".npy", ".json", ".safetensors", ".png", ".txt"} <= endings
    for path in written:
        assert_unnamed(path.as_posix().encode(), path)
        assert_unnamed(path.read_bytes(), path)
        if path.suffix == ".png":
            with Image.open(path) as picture:  # notes in a picture may be packed
                picture.load()
                assert_anonymous(str(picture.info))
    assert len(trained.said.splitlines()) > 10
    assert len(answered.said.splitlines()) > 2


def test_no_object_holds_a_name(trained):
    data = trained.data
    films = make_task().prepare(data)
    split = datasets.split(data, 0)
    said = [repr(data), data.card(), split.card(), films.card(), repr(films), data.table().to_html()]
    shown = siim_examples.random_films(data, seed=0, count=8)
    said += [*shown.captions, *map(repr, shown.films), *(film.caption for film in shown.films), *data.without_row]
    said += [repr(siim_examples.texts(data)), *map(repr, data.refused), *map(repr, films.faults)]
    assert_anonymous("\n".join(said))
    for thing in (data, films, shown):
        assert_unnamed(pickle.dumps(thing), type(thing))  # to the last field


def test_no_error_names_a_patient(hospital, tmp_path):
    whole = next(hospital.rglob("image03.dcm")).read_bytes()
    path, raised = tmp_path / "a.dcm", 0
    starts = range(140, len(whole) - 1, 67)
    rng = np.random.default_rng(0)
    damaged = [whole[:start] for start in starts]
    for start in starts[: len(starts) // 2]:
        damaged.append(whole[:start] + rng.bytes(3) + whole[start + 3 :])
    for content in damaged:
        path.write_bytes(content)
        try:
            film = xray.read_radiograph(path)
        except DataError as fault:
            raised += 1
            said = "".join(traceback.format_exception(fault)) + repr(fault) + repr(fault.args)
        else:
            said = repr(film) + film.caption
        assert_anonymous(said)
    assert raised > len(starts) // 2


# Examples


def test_random_films_hang_on_seed_and_content_alone(trained, tmp_path):
    data = trained.data
    one, again = (siim_examples.random_films(data, seed=4) for _ in range(2))
    assert one.captions == again.captions == ["no pneumothorax"] * 2 + ["pneumothorax"] * 2
    for film_one, film_again in zip(one.films, again.films, strict=True):
        np.testing.assert_array_equal(film_one.pixels, film_again.pixels)
    draws = [siim_examples.random_films(data, seed).films for seed in range(6)]
    drawn = {tuple(float(film.pixels.sum()) for film in films) for films in draws}
    assert len(drawn) > 3

    flat = tmp_path / "flat"
    flat.mkdir()
    for number, path in enumerate(sorted(data.root.rglob("*.dcm"), key=lambda path: path.name[::-1])):
        (flat / f"{number:02}.dcm").write_bytes(path.read_bytes())
    (flat / "train-rle.csv").write_bytes((data.root / "train-rle.csv").read_bytes())
    other = siim_examples.random_films(siim.read_folder(flat), seed=4)
    assert [film.caption for film in other.films] == [film.caption for film in one.films]
    for film_one, film_other in zip(one.films, other.films, strict=True):
        np.testing.assert_array_equal(film_one.pixels, film_other.pixels)


def test_films_that_cannot_be_read_are_passed_over(trained):
    """Three of the nine ill ones cannot."""
    for seed in range(12):
        shown = siim_examples.random_films(trained.data, seed, count=8)
        assert shown.captions == ["no pneumothorax"] * 4 + ["pneumothorax"] * 4
    assert len(siim_examples.random_films(trained.data, 0, count=99).films) == GOOD


@dataclasses.dataclass
class Few:
    """Stands in for the data: labels, the rows of every mask and what can be read."""

    sizes: list[int]
    several: tuple[int, ...] = ()
    broken: tuple[int, ...] = ()
    classes = ("well", "ill")

    @property
    def labels(self):
        return np.array([int(size > 0) for size in self.sizes])

    @property
    def cases(self):
        return self.sizes

    def mask(self, index):
        mask = np.zeros((40 + 10 * index, 20), bool)  # of sizes of their own: the share counts, not the pixels
        mask[: self.sizes[index] * len(mask) // 20] = True
        return mask

    def mask_count(self, index):
        return int(self.sizes[index] > 0) + (index in self.several)

    def read(self, index):
        if index in self.broken:
            raise DataError("a.dcm", "it is cut short", "copy it again")
        return xray.Radiograph(np.full((20, 20), index / 100, np.float32))


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (Few([0, 9, 3, 6, 1, 8]), 3),
        (Few([0, 9, 3, 6, 1, 8], several=(1, 2, 5)), 5),
        (Few([0, 9, 3, 6, 1, 8], several=(4,)), 4),
        (Few([0, 9, 3, 6, 1, 8], broken=(3,)), 2),
        (Few([0, 0, 0]), 0),
        (Few([0, 0, 0], broken=(0,)), 1),
        (Few([0, 5], broken=(0, 1)), 0),
    ],
)
def test_the_plain_case_is_the_median_of_those_with_several_masks(data, wanted):
    assert siim_examples.plain_case(data) == wanted


@pytest.mark.parametrize(
    ("sizes", "count", "captions"),
    [
        ([0] * 6 + [3] * 6, 4, "wwii"),
        ([0] * 6 + [3] * 6, 5, "wwwii"),
        ([0] * 6 + [3], 4, "wwwi"),
        ([0] + [3] * 6, 4, "wiii"),
        ([0] * 6, 4, "wwww"),
        ([0, 3], 4, "wi"),
    ],
)
def test_half_of_the_films_are_ill_if_there_are_as_many(sizes, count, captions):
    shown = siim_examples.random_films(Few(sizes), seed=1, count=count)
    assert "".join(caption[0] for caption in shown.captions) == captions
    assert len({float(film.pixels[0, 0]) for film in shown.films}) == len(captions)  # nobody twice


def test_varied_shows_what_training_sees_and_leaves_the_epoch_alone():
    films = make_films(side=32)
    films.masks[3] = True
    task = make_task()
    split = Split(np.arange(20), np.arange(0), np.arange(20, 80), SimpleNamespace(labels=films.labels))
    samples = task.sets(films, split).train
    samples.epoch = 9
    images, found, captions = siim_examples.varied(samples, copies=4)
    assert samples.epoch == 9
    assert captions == ["the image", "epoch 1", "epoch 2", "epoch 3", "epoch 4"]
    assert len(images) == len(found) == 5
    (index,) = [i for i in range(20) if np.array_equal(films.images[i], np.round(images[0] * 255))]
    np.testing.assert_array_equal(found[0], films.masks[index])
    areas = sorted(np.count_nonzero(films.masks[i]) for i in range(20))
    assert np.count_nonzero(found[0]) == areas[-2] < areas[-1]  # large, but not the largest
    for epoch in range(4):
        samples.epoch = epoch
        image, mask = samples[index]
        np.testing.assert_array_equal(images[1 + epoch], image[0])
        np.testing.assert_array_equal(found[1 + epoch], mask[0] == 1)
    assert len({image.tobytes() for image in images}) > 2


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=30), st.integers(0, 20))
def test_mixed_shows_good_and_bad_in_their_proportion(rows, count):
    found = evaluation(*zip(*[(a, b, min(a, b)) for a, b in rows], strict=True)) if rows else evaluation([], [], [])
    places = siim_examples.mixed(found, count).tolist()
    ill = [place for place in places if found.overlaps.positive[place]]
    assert len(set(places)) == len(places) <= count
    assert places[: len(ill)] == ill
    there = int(found.overlaps.positive.sum())
    assert len(ill) == min(there, count - count // 4)
    assert len(places) == len(ill) + min(len(rows) - there, count - len(ill))
    dice = found.overlaps.dice
    assert [dice[place] for place in ill] == sorted((dice[place] for place in ill), reverse=True)
    if len(ill) > 1:  # from the best to the worst of all
        assert dice[ill[0]] == dice[found.overlaps.positive].max()
        assert dice[ill[-1]] == dice[found.overlaps.positive].min()


def test_panels_are_those_of_their_places():
    films = make_films()
    found = siim_answers.evaluate(Paints(), thirds(films))
    images, truths, said, captions = siim_examples.segmented(films, found, [7, 0])
    for place, case in enumerate((37, 30)):
        np.testing.assert_array_equal(np.round(images[place] * 255), films.images[case])
        np.testing.assert_array_equal(truths[place], films.masks[case])
        np.testing.assert_array_equal(said[place], films.masks[case])
    assert captions == ["Dice 1.00", "rightly empty"]
    assert siim_examples.segmented(films, found, []) == ([], [], [], [])


def test_dice_is_told_by_the_size_of_what_there_is_to_find():
    truth = [600, 0, 100, 200, 0, 400, 500, 300]
    lines = siim_examples.by_size(evaluation(truth, [600, 9, 0, 100, 0, 400, 0, 300], [600, 0, 0, 100, 0, 200, 0, 300]))
    assert lines.split("\n") == [
        "smallest  third:  1.5 % of the image, Dice 0.33, 1 of 2 outlined",
        "middle    third:  3.5 % of the image, Dice 0.75, 2 of 2 outlined",
        "largest   third:  5.5 % of the image, Dice 0.50, 1 of 2 outlined",
    ]
    assert "too few" in siim_examples.by_size(evaluation([5, 0, 9], [0] * 3, [0] * 3))


def test_what_a_notebook_shows_of_a_handful_of_healthy_images_is_a_sentence_and_not_an_error():
    """As of the two real radiographs that tests have: one patient, nothing to find, nobody tested."""
    nothing = np.zeros(0, int)
    empty = overlap.Overlaps(nothing, nothing, nothing)
    found = Evaluation(nothing, np.zeros(0), empty, empty, triplets.PLAIN, nothing, np.zeros((0, 4, 4), np.uint8))
    assert siim_examples.published_dice(found) == "There is no test image."
    assert siim_examples.surest(found) == 0
    assert siim_examples.kinds(found).splitlines()[1].split() == ["triplet", "-", "-", "-"]
