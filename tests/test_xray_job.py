"""The job of notebook 04: trained and asked from the command line, judged honestly, blind where it shall be blind."""

import csv
import io
import json
import shutil
import zipfile
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny import one_sentence

from helpers import (
    controls,
    datasets,
    files,
    film_arrays,
    passports,
    phantoms_radiography,
    predict,
    radiography,
    runtime,
    tasks,
    train,
    training,
    xray_answers,
    xray_job,
)
from helpers.datasets import Split
from helpers.files import DataError
from helpers.film_arrays import Films
from helpers.film_samples import LabelledFilms
from helpers.jobs import Sets
from helpers.schedules import Schedule
from helpers.xray_answers import Evaluation

SIDE, EACH = 32, 12
TINY = (EACH, 48, SIDE, 2, Schedule(1, 8, 1e-2))
NAMES = ("NORMAL", "B", "COVID")


@pytest.fixture(scope="module", autouse=True)
def elsewhere(tmp_path_factory):
    """A small job, in one process, with its outputs in a folder of their own."""
    root = tmp_path_factory.mktemp("course")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "ROOT", root)
        patch.setattr(runtime, "BUILD", root / "build")
        patch.setattr(runtime, "cores", lambda: 1)
        patch.setitem(xray_job.SIZES, "quick", TINY)
        patch.setitem(xray_job.SIZES, "real", TINY)
        patch.delenv("COURSE_DATA", raising=False)
        patch.setenv("COURSE_RUN", "quick")
        patch.setenv("TQDM_DISABLE", "1")
        yield root


def make_task(root="nowhere", size="quick", seed=7, **options):
    return xray_job.xray(runtime.Run(seed=seed, size=size, device="cpu", data_root=Path(root)), **options)


def call(command, *arguments):
    """The exit code of a command, and what it wrote to both streams."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = command.main(list(map(str, arguments)))
    return SimpleNamespace(code=code, out=out.getvalue(), err=err.getvalue())


def picture(seed, side=40):
    return np.random.default_rng(seed).integers(0, 256, (side, side), np.uint8)


def fill(root: Path, classes, each=4) -> Path:
    """A real data set: so many images of each class under a data root, no two alike."""
    for label, name in enumerate(classes):
        (root / "radiography" / name).mkdir(parents=True)
        for number in range(each):
            Image.fromarray(picture(100 * label + number)).save(root / "radiography" / name / f"image {number}.png")
    return root


class Knows(paddle.nn.Layer):
    """Stands in for a network: the brightness of an image says its class, one step of ``step`` greys each."""

    def __init__(self, classes=3, step=60, order=None):
        super().__init__()
        self.step, self.order = step, paddle.to_tensor(list(order or range(classes)), dtype="float32")

    def forward(self, images):
        grey = images.mean(axis=[1, 2, 3]).unsqueeze(1) * (255 / self.step)
        return -8 * (grey - self.order) ** 2


class Always(paddle.nn.Layer):
    """Says one class whatever it sees."""

    def __init__(self, label, classes=3):
        super().__init__()
        self.odds = paddle.to_tensor([5.0 * (other == label) for other in range(classes)])

    def forward(self, images):
        return self.odds + 0 * images.mean(axis=[1, 2, 3]).unsqueeze(1)


def make_films(count=60, side=8, classes=NAMES):
    """Images whose brightness is their class; every two belong together."""
    labels = np.arange(count) // 2 % len(classes)
    images = np.repeat(60 * labels, side * side).reshape(count, side, side).astype(np.uint8)
    groups = np.array([f"patient {i // 2}" for i in range(count)])
    return Films(images, None, labels.astype(np.int64), groups, tuple(classes), np.ones(count, bool))


def make_sets(films, train=range(20), test=range(20, 60)):
    return Sets(*(LabelledFilms(films, where, 0) for where in (train, [], test)))


def split_of(films, boxes=None):
    """The first half of the images trains, the other is tested."""
    half = len(films.labels) // 2
    data = SimpleNamespace(labels=films.labels, classes=films.classes, boxes=boxes)
    return Split(np.arange(half), np.arange(0), np.arange(half, len(films.labels)), data)


# From the command line


@pytest.fixture(scope="module")
def trained(elsewhere):
    """Phantoms, trained on once with one split and once in two folds."""
    once = call(train, "xray", "--out", elsewhere / "once")
    folds = call(train, "xray", "--folds", 2, "--out", elsewhere / "folds")
    (root,) = (elsewhere / "data" / "phantoms").iterdir()
    data = radiography.read_folder(root)
    return SimpleNamespace(once=once, folds=folds, data=data, out=elsewhere)


def test_one_split_leaves_weights_history_and_passport(trained):
    assert (trained.once.code, trained.once.err) == (0, "")
    assert {path.name for path in (trained.out / "once").iterdir()} == {
        "weights.safetensors",
        "history.json",
        "passport.json",
    }
    about = files.read_about(trained.out / "once" / "weights.safetensors")
    assert (about["task"], about["run"], tuple(about["classes"])) == ("xray", "quick", trained.data.classes)
    result = passports.read(trained.out / "once" / "passport.json")
    assert (result.task, result.data, result.metric) == ("xray", "phantom", "accuracy")
    assert len(files.read_json(trained.out / "once" / "history.json")) == 1
    for name in trained.data.classes:
        assert f"sensitivity to {name}" in trained.once.out
    assert "kept aside: 3" in trained.once.out


def test_in_folds_every_image_is_tested_once_and_nothing_straddles(trained):
    assert (trained.folds.code, trained.folds.err) == (0, "")
    tested, told = [], []
    for fold in (1, 2):
        with open(trained.out / "folds" / f"fold{fold}.csv", encoding="utf8") as file:
            rows = list(csv.DictReader(file))
        tested.append([row["case"] for row in rows])
        told += [(row["truth"], [float(row[f"p_{name}"]) for name in trained.data.classes]) for row in rows]
    assert Counter(tested[0] + tested[1]) == Counter(case.key for case in trained.data.cases)
    group = {case.key: case.group for case in trained.data.cases}
    assert max(Counter(case.group for case in trained.data.cases).values()) > 1
    assert not {group[key] for key in tested[0]} & {group[key] for key in tested[1]}
    assert Counter(name for name, _ in told) == Counter(trained.data.classes[c.label] for c in trained.data.cases)
    assert all(sum(chances) == pytest.approx(1) for _, chances in told)
    with open(trained.out / "folds" / "folds.csv", encoding="utf8") as file:
        (whole,) = [row for row in csv.DictReader(file) if (row["fold"], row["name"]) == ("all", "accuracy")]
    right = sum(name == trained.data.classes[int(np.argmax(chances))] for name, chances in told)
    assert (int(whole["hits"]), int(whole["cases"])) == (right, len(trained.data.cases))
    assert float(whole["value"]) == pytest.approx(right / len(trained.data.cases))


@pytest.fixture(scope="module")
def answered(trained, elsewhere):
    """The command `predict`, asked about a PNG and a JPEG file and two that cannot be used."""
    folder = elsewhere / "upload"
    folder.mkdir()
    image = Image.fromarray((phantoms_radiography.draw_radiograph(1, 0, SETTINGS)[0] * 255).astype(np.uint8))
    image.save(folder / "chest.png")
    image.convert("RGB").save(folder / "chest.jpg", quality=100, subsampling=0)
    (folder / "cut.png").write_bytes((folder / "chest.png").read_bytes()[:300])
    Image.fromarray(picture(1, 3)).save(folder / "tiny.png")
    paths = [folder / name for name in ("cut.png", "chest.png", "tiny.png", "chest.jpg")]
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    out = elsewhere / "answers"
    done = call(predict, "xray", *paths, "--weights", trained.out / "once" / "weights.safetensors", "--out", out)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    return SimpleNamespace(done=done, out=out, paths=paths)


SETTINGS = phantoms_radiography.RadiographySettings(pixels=48, seed=5)


def test_a_png_and_a_jpeg_are_answered_by_the_names_of_the_classes(trained, answered):
    png, jpeg = (files.read_json(answered.out / f"{name}.json") for name in ("chest", "chest-2"))
    assert (png["file"], jpeg["file"]) == ("chest.png", "chest.jpg")
    for answer in (png, jpeg):
        assert set(answer) == {"file", "task", "probability", "class"}
        assert tuple(answer["probability"]) == trained.data.classes
        assert sum(answer["probability"].values()) == pytest.approx(1, abs=1e-5)
        assert answer["class"] == max(answer["probability"], key=answer["probability"].get)
    assert list(jpeg["probability"].values()) == pytest.approx(list(png["probability"].values()), abs=0.05)
    pictures = sorted(path.name for path in answered.out.glob("*.png"))
    assert pictures == ["chest-2_cam.png", "chest_cam.png"]
    assert all(Image.open(answered.out / name).width > 300 for name in pictures)


def test_files_that_cannot_be_used_cost_a_sentence_each_and_the_others_go_on(answered):
    assert answered.done.code == 1
    cut, tiny = answered.done.err.strip().split("\n")
    for line, name in ((cut, "cut.png"), (tiny, "tiny.png")):
        one_sentence(line)
        assert f"{name}: " in line
    assert "3 x 3" in tiny
    assert not list(answered.out.glob("cut*")) + list(answered.out.glob("tiny*"))


def test_one_file_is_answered_as_it_is_in_a_set(trained, tmp_path):
    task = make_task(seed=2020)
    network = task.network(trained.data.classes)
    training.load(trained.out / "once" / "weights.safetensors", network)
    network.train()  # an answer must not depend on what was done before
    films = task.prepare(trained.data)
    where = [0, len(films.labels) - 1]
    found = xray_answers.probabilities(network, LabelledFilms(films, where, 0))
    for index, chances in zip(where, found, strict=True):
        about = {"classes": trained.data.classes}
        said = task.predict(network, about, trained.data.cases[index].path, tmp_path / "a")
        assert list(said["probability"].values()) == pytest.approx(chances, abs=1e-5)
        json.dumps(said, allow_nan=False)


@pytest.mark.parametrize("classes", [("NORMAL", "Pneumonia"), ("A b", "COVID", "No_findings", "Pneumonia")])
def test_any_number_of_classes_is_trained_and_asked(tmp_path, classes):
    root = fill(tmp_path / "data", classes)
    Image.fromarray(picture(1, 3)).save(root / "radiography" / classes[0] / "tiny.png")
    (root / "radiography" / classes[1] / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = call(train, "xray", "--data", root, "--out", tmp_path / "out")
    assert (done.code, done.err) == (0, "")
    _, *listed = done.out[done.out.index("left out: 2 that cannot be read") :].split("\n")[:3]
    assert sorted(line.split(": ")[0].rpartition("/")[2] for line in listed) == ["cut.png", "tiny.png"]
    for line in listed:
        one_sentence(line.strip())
    weights = tmp_path / "out" / "weights.safetensors"
    assert files.load_weights(weights)["head.2.bias"].shape == (len(classes),)
    path = root / "radiography" / classes[0] / "image 0.png"
    asked = call(predict, "xray", path, "--weights", weights, "--out", tmp_path / "answers")
    assert (asked.code, asked.err) == (0, "")
    answer = files.read_json(tmp_path / "answers" / "image 0.json")
    assert sorted(answer["probability"]) == sorted(classes)
    assert tuple(answer["probability"]) == tuple(files.read_about(weights)["classes"])


def test_weights_of_real_images_can_be_asked_without_the_data(tmp_path, monkeypatch):
    monkeypatch.setitem(xray_job.SIZES, "real", (5, 48, 48, 4, Schedule(1, 8, 1e-3)))
    root = fill(tmp_path / "data", ("NORMAL", "COVID"))
    assert call(train, "xray", "--data", root, "--out", tmp_path / "out").code == 0
    path = root / "radiography" / "COVID" / "image 0.png"
    weights = tmp_path / "out" / "weights.safetensors"
    assert call(predict, "xray", path, "--weights", weights, "--out", tmp_path / "answers").err == ""


def test_weights_without_names_number_the_classes(tmp_path):
    path = fill(tmp_path, ["NORMAL"], 1) / "radiography" / "NORMAL" / "image 0.png"
    task = make_task()
    said = task.predict(task.network(), {}, path, tmp_path / "a")
    assert list(said["probability"]) == ["class 0", "class 1", "class 2"]


def everything(root: Path):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def packed(root: Path, entries) -> Path:
    (root / "radiography").mkdir(parents=True)
    with zipfile.ZipFile(root / "radiography" / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return root


def one_image(root):
    for path in sorted((fill(root, ("NORMAL", "COVID")) / "radiography" / "COVID").iterdir())[1:]:
        path.unlink()


FAULTS = {
    "COVID: this class holds one image": one_image,
    "would be written outside of its folder": lambda root: packed(root, [("NORMAL/1.png", b"1"), ("../../x", b"2")]),
    "as images never do": lambda root: packed(root, [("NORMAL/1.png", bytes(4 << 20)), ("COVID/1.png", b"2")]),
    "1 class folders": lambda root: fill(root, ["COVID"]),
}


@pytest.mark.parametrize("words", FAULTS)
def test_a_data_set_that_cannot_be_used_costs_one_sentence_and_nothing_is_written(tmp_path, monkeypatch, words):
    monkeypatch.setattr(runtime, "BUILD", tmp_path / "build")
    FAULTS[words](tmp_path / "data")
    before = everything(tmp_path)
    done = call(train, "xray", "--data", tmp_path / "data", "--out", tmp_path / "out")
    assert (done.code, done.out.count("chest X-rays")) == (2, 0)
    one_sentence(done.err.strip())
    assert words in done.err
    after = everything(tmp_path)
    assert {name: after[name] for name in before} == before
    assert all(name.startswith("build/cache/images-seen-") for name in after.keys() - before.keys())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("folds", [5, 7])
def test_more_folds_than_images_of_a_class_are_refused(tmp_path, folds):
    root = fill(tmp_path / "data", ("NORMAL", "COVID"))
    done = call(train, "xray", "--data", root, "--folds", folds, "--out", tmp_path / "out")
    assert done.code == 2
    one_sentence(done.err.strip())
    assert f"4 images of NORMAL cannot be divided into {folds} folds" in done.err


# The task


def test_a_depth_that_no_resnet_has_is_refused_by_name():
    with pytest.raises(ValueError, match="18, 34, 50, 101, 152, but is 42") as fault:
        make_task(depth=42).network(NAMES)
    one_sentence(str(fault.value))


def test_names_tell_what_is_trained():
    assert make_task().name == "xray" in tasks.TASKS
    assert make_task(shown="no lungs", confounded=True).name == "xray-confounded-no-lungs"
    assert make_task(depth=34, shortcuts=False).name == "xray-34-plain"
    assert make_task().aside
    plain, other = make_task(depth=34, shortcuts=False).network(), make_task(depth=34).network()
    assert len(plain.state_dict()) < len(other.state_dict())
    with pytest.raises(ValueError, match="must be one of all, borders, no lungs, but is 'lungs'"):
        make_task(shown="lungs").sets(make_films(), split_of(make_films()))


def test_a_network_built_twice_starts_from_the_same_weights():
    one, again, other = (make_task(seed=seed).network(NAMES).head[2].weight.numpy() for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_real_images_get_a_larger_network_in_a_quick_run(tmp_path, monkeypatch):
    monkeypatch.setitem(xray_job.SIZES, "real", (5, 48, 64, 4, Schedule(3, 8, 1e-3)))
    root = fill(tmp_path, ("NORMAL", "COVID"), 1)
    real, phantom, trap = make_task(root), make_task(), make_task(root, confounded=True)
    assert [task.shape[1] for task in (real, phantom, trap)] == [64, SIDE, SIDE]
    assert [task.schedule.epochs for task in (real, phantom, trap)] == [3, 1, 1]
    assert make_task(root, "class").schedule == xray_job.SIZES["class"][-1]
    asked = []
    monkeypatch.setattr(xray_job, "open_radiography", lambda settings, root: asked.append((settings, root)))
    real.data()
    trap.data()  # phantoms, whatever is there
    assert (asked[0][1], asked[1][1]) == (root, xray_job.NOWHERE)
    assert [(one.each, one.confounded) for one, _ in asked] == [(5, False), (EACH // 2, True)]


def test_real_images_are_never_replaced_by_phantoms(tmp_path):
    root = fill(tmp_path, ("NORMAL", "COVID"), 1)
    with pytest.raises(DataError, match="holds one image"):
        make_task(root).data()


def test_another_hospital_is_of_the_kind_of_the_first(tmp_path, monkeypatch, trained):
    root = fill(tmp_path, ("NORMAL", "COVID"))
    run = make_task(root).run
    assert xray_job.open_external(run) is None  # phantoms would be no external test of real images
    (root / "radiography").rename(root / "radiography_external")
    fill(root, ("NORMAL", "COVID"))
    assert xray_job.open_external(run).root == root / "radiography_external"
    made = []

    def find_or_make(name, make, wanted, version, total, root):
        made.append((name, wanted, root))
        return Path(name)

    monkeypatch.setattr(xray_job.radiography, "read_folder", lambda folder: folder)
    monkeypatch.setattr(xray_job.stores, "find_or_make", find_or_make)
    assert xray_job.open_external(run, confounded=True) == Path("radiography_external")
    shutil.rmtree(root / "radiography")  # a network of phantoms is not asked about real images
    assert xray_job.open_external(run) == Path("radiography_external")
    for name, wanted, place in made:
        assert (name, place) == ("radiography_external", xray_job.NOWHERE)
        assert (wanted.external, wanted.confounded, wanted.each) == (True, False, EACH // 3)
    assert len(made) == 2


def test_only_the_training_set_is_varied_and_may_be_mirrored(trained):
    task = make_task()
    films, split = task.prepare(trained.data), task.split(trained.data)
    sets = task.sets(films, split)
    for samples, where in zip(sets, (split.train, split.valid, split.test), strict=True):
        assert samples.where.tolist() == where.tolist()
        assert samples.targets.tolist() == trained.data.labels[where].tolist()
    seen = set()
    for epoch in range(6):
        for samples in sets:
            samples.epoch = epoch
        np.testing.assert_array_equal(np.round(sets.test[0][0][0] * 255), films.images[split.test[0]])
        np.testing.assert_array_equal(np.round(sets.valid[0][0][0] * 255), films.images[split.valid[0]])
        image, label = sets.train[0]
        seen.add(image.tobytes())
        assert (image.shape, image.dtype, image.flags["C_CONTIGUOUS"]) == ((1, SIDE, SIDE), np.float32, True)
        assert label == films.labels[split.train[0]]
    assert len(seen) > 3


def test_a_varied_image_shows_right_and_left_swapped_every_second_time():
    image = np.tile(np.linspace(0, 1, 32, dtype=np.float32), (32, 1))
    slopes = [np.diff(xray_job.vary(image, np.random.default_rng(seed)).mean(axis=0)).mean() for seed in range(60)]
    assert 15 < np.sum(np.array(slopes) < 0) < 45


# What it may not see


RNG = np.random.default_rng(11)
BOXES = np.array([(0.1, 0.1, 0.8, 0.7), (0.2, 0.05, 0.6, 0.95), (0.0, 0.3, 0.5, 1.0), (0.25, 0.25, 0.75, 0.75)])


def noise(count=4, side=24):
    images = RNG.integers(30, 256, (count, side, side), np.uint8)
    return make_films(count)._replace(images=images)


def inside(shown, boxes, side=24, cut=0.0):
    """Which pixels lie in the hidden part, bool [images, side, side]; with 0.5 also those that its edge cuts."""
    if shown == "borders":
        boxes = np.tile([controls.MARGIN, controls.MARGIN, 1 - controls.MARGIN, 1 - controls.MARGIN], (4, 1))
    elif boxes is None:
        boxes = np.tile(controls.LUNGS, (4, 1))
    at = (np.arange(side) + 0.5) / side
    low, high = at + cut / side, at - cut / side
    return np.stack([np.outer((low > b[0]) & (high < b[2]), (low > b[1]) & (high < b[3])) for b in boxes])


@pytest.mark.parametrize(("shown", "boxes"), [("borders", BOXES), ("no lungs", BOXES), ("no lungs", None)])
@settings(max_examples=10)
@given(seed=st.integers(0, 999))
def test_what_is_hidden_cannot_change_what_the_network_is_fed(shown, boxes, seed):
    films, hidden = noise(), inside(shown, boxes)
    other = films.images.copy()
    other[hidden] = np.random.default_rng(seed).integers(0, 256, hidden.sum())
    task = make_task(shown=shown, seed=seed)
    one, two = (task.sets(part, split_of(part, boxes)) for part in (films, films._replace(images=other)))
    for before, after in zip(one, two, strict=True):
        for item in range(len(before)):
            np.testing.assert_array_equal(before[item][0], after[item][0])
    beyond = films.images.copy()
    beyond[~hidden] //= 2  # the rest does change it
    seen = task.sets(films._replace(images=beyond), split_of(films, boxes))
    assert all((seen.test[item][0] != one.test[item][0]).any() for item in range(len(one.test)))


def test_the_hidden_part_is_constant_and_the_rest_is_as_it_was():
    films = noise()
    before = films.images.copy()
    for shown, boxes in (("borders", None), ("no lungs", BOXES), ("no lungs", None)):
        found = xray_job.hide(films, shown, boxes).images
        hidden = inside(shown, boxes)
        assert (found[hidden] == found[hidden][0]).all()
        beyond = ~inside(shown, boxes, cut=0.5)
        np.testing.assert_array_equal(found[beyond], before[beyond])
        assert beyond.mean() > 0.1
        assert found.dtype == np.uint8
    np.testing.assert_array_equal(films.images, before)
    assert xray_job.hide(films, "all") is films
    with pytest.raises(ValueError, match="'heart'"):
        xray_job.hide(films, "heart")


def test_phantoms_bring_the_box_of_each_image(trained):
    task = make_task(shown="no lungs")
    films, split = task.prepare(trained.data), task.split(trained.data)
    boxes = trained.data.boxes
    assert boxes.shape == (len(films.labels), 4)
    assert len(np.unique(boxes, axis=0)) > EACH
    sets = task.sets(films, split)
    wanted = controls.blank_boxes(films.images, boxes)[split.test] / np.float32(255)
    np.testing.assert_array_equal([sets.test[item][0][0] for item in range(len(split.test))], wanted)
    one_for_all = make_task(shown="no lungs").sets(films, split_of(films)).test
    assert one_for_all[0][0].tobytes() != sets.test[0][0].tobytes()


# Judging


def test_a_network_that_knows_is_right_everywhere():
    films = make_films()
    found = xray_answers.evaluate(Knows(), make_sets(films))
    assert [estimate.value for estimate in found.estimates] == [1] * 4
    assert found.headline.hits == found.headline.cases == 40
    assert found.cases.tolist() == list(range(20, 60))
    np.testing.assert_array_equal(found.called, films.labels[20:])
    np.testing.assert_array_equal(found.report.confusion, np.diag(np.bincount(films.labels[20:])))
    assert found.groups.tolist() == films.groups[20:].tolist()
    assert found.about == {}
    assert [f"sensitivity to {name}" in str(found) for name in NAMES] == [True] * 3
    columns = found.columns()
    assert list(columns) == ["truth", "p_NORMAL", "p_B", "p_COVID"]
    assert columns["truth"] == [NAMES[label] for label in films.labels[20:]]


def test_saying_one_class_always_is_the_trivial_rule_in_every_figure():
    films = make_films()
    for label in range(3):
        found = xray_answers.evaluate(Always(label), make_sets(films, train=[2 * label, 2 * label + 1]))
        assert found.majority == label
        assert found.headline.value == found.headline.baseline
        assert found.headline.baseline_name == "always-majority"
        assert [one.value for one in found.report.sensitivities] == [float(label == other) for other in range(3)]


def test_the_majority_is_that_of_the_training_set():
    films = make_films()
    commonest = np.flatnonzero(films.labels == 2)
    found = xray_answers.evaluate(Knows(), make_sets(films, train=commonest, test=range(0, 12)))
    assert found.headline.baseline == pytest.approx(4 / 12)
    assert found.majority == 2


def test_images_that_belong_together_are_no_independent_tests():
    films = make_films()
    alone = films._replace(groups=np.arange(60).astype(str))
    one, two = (xray_answers.evaluate(Knows(), make_sets(part)).headline for part in (films, alone))
    assert one.value == two.value
    assert one.low < two.low


def test_images_that_could_not_be_read_are_not_judged():
    films = make_films()
    films.usable[20:30] = False
    found = xray_answers.evaluate(Knows(), make_sets(films))
    assert found.cases.tolist() == list(range(30, 60))
    few = xray_answers.evaluate(Knows(), make_sets(films, test=range(25, 38)))
    assert "there are only 8 images" in str(few.headline)


def test_the_image_and_its_mirror_image_are_asked():
    class Left(paddle.nn.Layer):
        """Class 1 is what is bright on the left."""

        def forward(self, images):
            bright = images[:, 0, :, :4].mean(axis=[1, 2]) > 0.5
            return paddle.stack([bright * 0.0, bright * 100.0 - 50], axis=1)

    films = make_films(4, classes=("a", "b"))
    images = np.zeros_like(films.images)
    images[1, :, :4], images[2, :, 4:], images[3] = 255, 255, 255
    samples = LabelledFilms(films._replace(images=images), range(4), 0)
    found = xray_answers.probabilities(Left(), samples)
    np.testing.assert_allclose(found[:, 1], [0, 0.5, 0.5, 1], atol=1e-6)
    assert not samples.mirrored
    assert xray_answers.probabilities(Left(), LabelledFilms(films, [], 0)).shape[0] == 0


def evaluation(truth, called, sure=0.6, classes=NAMES, groups=None):
    truth, called = np.array(truth), np.array(called)
    chances = np.full((len(truth), len(classes)), 0.0)
    chances[:] = ((1 - np.broadcast_to(sure, len(truth))) / (len(classes) - 1))[:, None]
    chances[np.arange(len(truth)), called] = sure
    groups = np.arange(len(truth)) if groups is None else groups
    return Evaluation(np.arange(len(truth)) + 100, truth, chances, groups, tuple(classes), 0)


def test_folds_are_pooled_in_their_order():
    films = make_films()
    parts = [xray_answers.evaluate(Knows(), make_sets(films, test=where)) for where in (range(30, 60), range(6))]
    parts[1] = evaluation([2, 2, 1], [0, 2, 1], groups=np.array(["x", "x", "y"]))
    both = make_task().pool(parts)
    assert both.cases.tolist() == [*range(30, 60), 100, 101, 102]
    assert both.called.tolist() == [*films.labels[30:60], 0, 2, 1]
    assert (both.headline.hits, both.headline.cases) == (32, 33)
    assert both.groups.tolist() == [*films.groups[30:60], "x", "x", "y"]
    assert both.classes == NAMES
    assert both.majority == 2
    for name, column in both.columns().items():
        assert list(column) == [*parts[0].columns()[name], *parts[1].columns()[name]]


def test_captions_tell_truth_and_answer():
    found = evaluation([0, 2, 1], [2, 2, 0], [0.88, 0.501, 0.999])
    assert found.captions([0, 2]) == ["NORMAL, called COVID (88 %)", "B, called NORMAL (100 %)"]
    assert found.captions(range(1, 2)) == ["COVID, called COVID (50 %)"]
    assert found.captions([]) == []


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.floats(0.4, 1)), min_size=1, max_size=12))
def test_the_worst_come_first(rows):
    truth, called, sure = (np.array(column) for column in zip(*rows, strict=True))
    found = evaluation(truth, called, sure)
    order = found.worst(99)
    assert sorted(order) == list(range(len(rows)))
    chances = [found.probabilities[place, truth[place]] for place in order]
    assert chances == sorted(chances)
    assert found.worst(3).tolist() == order[:3].tolist()


def test_above_is_the_difference_on_the_same_images():
    truth = np.arange(60) % 3
    good = evaluation(truth, truth)
    half = evaluation(truth, np.where(np.arange(60) < 30, truth, (truth + 1) % 3))
    above = good.above(half, "borders")
    assert above.value == pytest.approx(0.5)
    assert above.low > 0.3
    assert "borders" in above.name
    assert good.above(good, "itself").value == 0


def test_accuracy_of_the_curves():
    odds = np.float32([[3, 1, 0], [0, 1, 2], [5, 4, 6], [0, 2, 1]])
    assert xray_answers.correct_share(np.array([0, 2, 0, 1]), odds) == 0.75


# Another hospital


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_classes_in_another_order_are_known_by_their_names(order):
    home = xray_answers.evaluate(Knows(), make_sets(make_films()))
    there = make_films()
    names = tuple(NAMES[label] for label in order)
    numbers = np.array([names.index(NAMES[label]) for label in there.labels])
    away = xray_answers.elsewhere(Knows(), home, there._replace(classes=names, labels=numbers))
    assert away.headline.value == 1
    assert away.classes == NAMES
    np.testing.assert_array_equal(away.truth, there.labels)
    assert away.majority == home.majority
    assert len(away.cases) == 60


@pytest.mark.parametrize("names", [("NORMAL", "B", "Covid"), ("NORMAL", "B"), (*NAMES, "other")])
def test_other_classes_are_refused_by_name(names):
    home = xray_answers.evaluate(Knows(), make_sets(make_films()))
    with pytest.raises(ValueError, match="the classes must be NORMAL, B, COVID, but here are NORMAL, B") as fault:
        xray_answers.elsewhere(Knows(), home, make_films(classes=names))
    one_sentence(str(fault.value))


def test_away_only_what_could_be_read_is_judged():
    home = xray_answers.evaluate(Knows(), make_sets(make_films()))
    there = make_films()
    there.usable[::2] = False
    away = xray_answers.elsewhere(Knows(), home, there)
    assert away.cases.tolist() == list(range(1, 60, 2))
    assert away.groups.tolist() == there.groups[1::2].tolist()


# The rule of greys


def test_the_histogram_rule_is_fitted_on_the_training_set_alone():
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    images = np.clip(rng.normal(60 + 60 * labels[:, None, None], 30, (90, 8, 8)), 0, 255).astype(np.uint8)
    films = make_films(90)._replace(images=images, labels=labels)
    split = split_of(films)
    found = xray_answers.histogram(films, split)
    assert found.headline.value > 0.9
    assert found.cases.tolist() == list(range(45, 90))
    poisoned = labels.copy()
    poisoned[45:] = (poisoned[45:] + 1) % 3
    other = xray_answers.histogram(films._replace(labels=poisoned), split)
    np.testing.assert_array_equal(other.probabilities, found.probabilities)  # test labels are not looked at
    assert other.headline.value < 0.1
    blind = images.copy()
    blind[45:-1] = 0  # nor test images, to scale the features
    again = xray_answers.histogram(films._replace(images=blind), split)
    np.testing.assert_allclose(again.probabilities[-1], found.probabilities[-1])
    assert make_task().baseline(films, split) == found.headline


def test_the_histogram_rule_says_nothing_of_a_class_it_never_saw():
    films = make_films(60)
    split = split_of(films)
    two = split.train[films.labels[split.train] < 2]
    found = xray_answers.histogram(films, Split(two, split.valid, split.test, split.data))
    assert found.probabilities.shape == (30, 3)
    assert (found.probabilities[:, 2] == 0).all()
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)
    few = films._replace(labels=np.minimum(films.labels, 1))  # nor of one that the test set lacks as well
    assert xray_answers.histogram(few, split_of(few)).probabilities.shape == (30, 3)


def test_the_histogram_rule_knows_nothing_of_where():
    films = make_films(60, side=8)
    images = np.full((60, 8, 8), 20, np.uint8)
    for image, label in zip(images, films.labels, strict=True):
        image[2 * label : 2 * label + 2] = 200  # as much white in all, elsewhere in each
    found = xray_answers.histogram(films._replace(images=images), split_of(films))
    assert found.headline.value < 0.5


# Kept aside


def test_what_is_kept_aside_is_in_no_set_nor_is_anything_that_belongs_to_it(trained):
    for seed in range(4):
        split = datasets.split(trained.data, seed, aside=True)
        assert trained.data.labels[split.aside].tolist() == [0, 1, 2]
        sets = np.concatenate([split.train, split.valid, split.test])
        assert not set(trained.data.groups[split.aside]) & set(trained.data.groups[sets])
        assert len(sets) + 3 == len(trained.data.cases)
    assert film_arrays.prepare(trained.data, SIDE).usable[split.aside].all()
