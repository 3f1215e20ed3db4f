"""The job of notebook 02: judged on the test set alone, doubted by what validation says, asked about one scan."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import paddle
import pytest
from test_l3_scans import block
from test_rows import world

from helpers import ct, datasets, l3_job, l3_scans, mip, networks, rows, runtime, tasks, training
from helpers.l3_scans import COLUMNS, LEVELS, MM, TARGET
from helpers.rows import Rows


class Looks(paddle.nn.Layer):
    """Stands in for a network: of a row it says what it sees in a band of columns, the brighter the surer."""

    def __init__(self, columns=slice(None), gain=30.0):
        super().__init__()
        self.columns, self.gain = columns, gain
        self.bias = self.create_parameter([1])

    def forward(self, images):
        bright = images[:, 0, :, self.columns].max(axis=2) * self.gain - self.gain / 2
        return (bright + 0 * self.bias).unsqueeze(1).tile([1, len(LEVELS), 1])


def make_task(size="quick", **options):
    return tasks.l3(runtime.Run(seed=7, size=size, device="cpu", data_root=Path("data")), **options)


def make_split(prepared, train, valid, test):
    labels = np.isnan(prepared.levels[:, TARGET]).astype(int)
    cases = [
        l3_scans.SpineCase(f"key{i:03}", f"content{i}", int(label), Path(f"{i}.nii.gz"), levels, known)
        for i, (label, levels, known) in enumerate(zip(labels, prepared.levels, prepared.known, strict=True))
    ]
    data = l3_scans.SpineScans("trunk CT", Path("l3"), "phantom", "none", "made up", tuple(cases))
    return datasets.Split(*(np.asarray(part, int) for part in (train, valid, test)), data)


def many(seed=0, cases=60, lacking=5):
    """Scans with a bar at L3; every fifth lacks it. And thirds of them."""
    levels = np.random.default_rng(seed).integers(20, 140, cases).astype(float)
    levels[::lacking] = np.nan
    prepared = world(levels, height=160, seed=seed)
    return prepared, make_split(prepared, *np.split(np.random.default_rng(1).permutation(cases), [20, 40]))


def moved(prepared, index, rows_down):
    """The image of a case slides, its truth does not: so much is the network off."""
    images = prepared.images.copy()
    images[index] = np.roll(images[index], rows_down, axis=1)
    return prepared._replace(images=images)


# Asking


def test_the_answer_is_the_mean_over_the_image_and_its_mirror_image():
    prepared = world([50.0], height=64)
    prepared.images[0, 0, 40:, :48] = 0  # the bar is now on the right half alone
    data = Rows(prepared, [0], 0)
    for half in (slice(0, 48), slice(48, 96)):
        network = Looks(half)
        turned = Rows(prepared, [0], 0)
        turned.mirrored = True
        one, two = (rows.confidence(training.predict(network, asked)) for asked in (data, turned))
        found = l3_job.answers(network, data)
        np.testing.assert_allclose(found, (one + two) / 2)
        assert abs(one - two).max() > 0.5  # so it matters
    both = (l3_job.answers(Looks(half), data) for half in (slice(0, 48), slice(48, 96)))
    np.testing.assert_allclose(next(both), next(both))  # left or right, the answer is the same


def test_a_sagittal_image_is_not_mirrored_and_keeps_its_front_in_front():
    prepared = world([50.0], height=64)
    prepared.images[0, 1, :, :48] = 0
    data = Rows(prepared, [0], 0, "sagittal")
    network = Looks(slice(0, 48))
    np.testing.assert_array_equal(l3_job.answers(network, data), rows.confidence(training.predict(network, data)))


# Judging


def evaluated(prepared, split):
    return l3_job.evaluate(Looks(), make_task().sets(prepared, split))


def test_errors_are_in_mm_positive_towards_the_feet_and_those_of_the_images():
    prepared, split = many()
    shown = [i for i in split.test if np.isfinite(prepared.levels[i, TARGET])]
    prepared = moved(moved(prepared, shown[0], 4), shown[1], -7)
    found = evaluated(prepared, split)
    assert found.cases.tolist() == split.test.tolist()
    np.testing.assert_array_equal(found.truth, prepared.levels[split.test, TARGET])
    by_case = dict(zip(found.cases, found.columns()["error_mm"], strict=True))
    assert by_case[shown[0]] == pytest.approx(4 * MM, abs=0.6)
    assert by_case[shown[1]] == pytest.approx(-7 * MM, abs=0.6)
    assert all(abs(by_case[i]) < 0.6 for i in shown[2:])
    assert len(found.errors) == len(shown) == found.report.median.cases
    assert found.report.bias.value == pytest.approx(np.mean(found.errors))
    assert found.headline.hits == len(shown) - 1
    assert found.cases[found.worst(2)].tolist() == [shown[1], shown[0]]
    lacking = np.isnan(found.truth)
    assert np.isnan(found.columns()["error_mm"][lacking]).all()


def test_not_in_view_is_said_by_the_threshold_and_counted_on_both_sides():
    prepared, split = many()
    found = evaluated(prepared, split)
    caught, refused = found.doubt
    assert caught.cases + refused.cases == len(split.test)
    assert (caught.value, refused.value) == (1.0, 0.0)  # a bar is plain to see
    hidden = next(i for i in split.test if np.isfinite(prepared.levels[i, TARGET]))
    prepared.images[hidden] = 20
    found = evaluated(prepared, split)
    assert found.doubt[1].hits == 1
    assert found.confidence[found.cases == hidden] < found.threshold[0]
    assert len(found.errors) == refused.cases  # a doubted case still counts as an error


def test_the_threshold_is_chosen_on_validation_scans_alone():
    prepared, split = many()
    honest = evaluated(prepared, split)
    images, levels = prepared.images.copy(), prepared.levels.copy()
    images[split.test] = 255 - images[split.test]
    levels[split.test] = np.where(np.isnan(levels[split.test]), 30.0, np.nan)
    images[split.train] = 0
    poisoned = evaluated(prepared._replace(images=images, levels=levels), split)
    assert poisoned.threshold[0] == honest.threshold[0]
    assert honest.about["threshold"] == pytest.approx(honest.threshold[0], abs=1e-12)
    assert 0 < honest.about["threshold"] < 1
    images = prepared.images.copy()
    images[split.valid] //= 2  # the bars of the validation scans fade: now the threshold must fall
    assert evaluated(prepared._replace(images=images), split).about["threshold"] < honest.about["threshold"]


def test_nobody_lacks_l3_in_the_published_set_and_there_is_a_threshold_all_the_same():
    prepared = world(np.random.default_rng(2).integers(20, 140, 40).astype(float), height=160)
    found = evaluated(prepared, make_split(prepared, range(10), range(10, 25), range(25, 40)))
    assert 0 < found.about["threshold"] < 1
    assert found.doubt[0].value is None
    assert found.doubt[1].value == 0


def test_without_a_validation_scan_nothing_is_refused():
    prepared, split = many()
    found = evaluated(prepared, make_split(prepared, split.train, [], split.test))
    assert found.about == {"threshold": 0.0}
    assert found.doubt[1].value == 0


def test_the_constant_row_is_that_of_the_training_scans_alone():
    prepared, split = many()
    row = np.nanmedian(prepared.levels[split.train, TARGET])
    found = evaluated(prepared, split)
    assert set(found.constant) == {row}
    baseline = make_task().baseline(prepared, split)
    assert baseline.value == found.headline.baseline == np.mean(abs(found.constant_errors) <= 15)
    levels = prepared.levels.copy()
    levels[split.valid] = 3.0
    levels[split.test] = np.where(np.isnan(levels[split.test]), np.nan, row)
    poisoned = prepared._replace(levels=levels)
    assert set(evaluated(poisoned, split).constant) == {row}
    assert make_task().baseline(poisoned, split).value == 1.0


def test_folds_are_pooled_with_each_ones_own_threshold_and_row():
    prepared, split = many()
    one = evaluated(prepared, split)
    two = evaluated(prepared, make_split(prepared, split.test, split.valid, split.train))
    two = dataclasses.replace(two, threshold=np.full(len(two.cases), 1.1))  # this fold doubts everybody
    both = make_task().pool([one, two])
    assert both.cases.tolist() == [*split.test, *split.train]
    assert sorted(both.errors) == sorted([*one.errors, *two.errors])
    assert both.doubt[1].hits == one.doubt[1].hits + len(two.errors)
    np.testing.assert_array_equal(both.constant, [*one.constant, *two.constant])
    assert len(both.columns()["confidence"]) == 40
    names = [estimate.name for estimate in both.estimates]
    assert all(name in str(both) for name in names)


# The task


@pytest.mark.parametrize("view", ["frontal", "sagittal", "both"])
@pytest.mark.parametrize("ask", ["levels", "row"])
def test_every_view_and_question_trains_one_step_and_is_judged(view, ask):
    prepared, split = many(cases=18, lacking=4)
    split = make_split(prepared, *np.split(np.arange(18), [8, 12]))
    task = make_task(view=view, ask=ask)
    channels = len(rows.VIEWS[view])
    network = networks.RowNet(2, depth=3, channels=channels, outputs=len(LEVELS))
    if ask == "row":
        network = networks.UNet(2, depth=2, channels=channels, rows=True, columns=COLUMNS)
    sets = task.sets(prepared, split)
    assert sets.train[0][0].shape == task.shape
    fit = task.train(network, sets, schedule=dataclasses.replace(task.schedule, epochs=1))
    assert np.isfinite(fit.rows[0]["valid_loss"])
    found = task.evaluate(network, sets)
    assert found.cases.tolist() == list(range(12, 18))
    assert 0 <= found.confidence.min() <= found.confidence.max() <= 1
    assert (task.name == "l3") == ((view, ask) == ("frontal", "levels"))


def test_only_the_training_set_is_varied():
    prepared, split = many()
    sets = make_task().sets(prepared, split)
    for samples, where in zip(sets, (split.train, split.valid, split.test), strict=True):
        assert samples.where.tolist() == where.tolist()
    before = [samples[0][0] for samples in sets]
    for samples in sets:
        samples.epoch = 3
    assert [np.array_equal(samples[0][0], old) for samples, old in zip(sets, before, strict=True)] == [0, 1, 1]


# One scan


@pytest.mark.parametrize("thickness", [0.8, 2.0, 5.0])
def test_find_returns_the_height_of_what_the_network_points_at(thickness):
    spacing = (5.0, 5.0, thickness)
    hu, index = block(spacing)
    views, sure, heights, found = l3_job.find(Looks(), ct.Volume(hu, spacing, "block", "RAS"), 0.5)
    assert isinstance(views, mip.Projections)
    assert len(sure) == len(heights)
    assert (np.diff(heights) < 0).all()
    assert np.interp(found.row, range(len(heights)), heights) == pytest.approx(index * thickness, abs=1.6)
    assert found.confidence == pytest.approx(sure.max())
    assert 0 <= sure.min() <= sure.max() <= 1


def test_find_sees_what_training_saw():
    """A scan that is asked about alone gets the answer that it gets in a set beside a longer one."""
    spacing = (5.0, 5.0, 3.0)
    hu, _ = block(spacing)
    volume = ct.Volume(hu, spacing, "block", "RAS")
    paddle.seed(0)
    network = networks.RowNet(2, depth=3, outputs=len(LEVELS))
    _, sure, _, _ = l3_job.find(network, volume, 0.0)
    seen = l3_scans.see(l3_scans.project(volume))
    shape = (1, len(LEVELS))
    alone = l3_scans.Prepared(seen.images[None], np.zeros(1), np.ones(1), np.full(shape, np.nan), np.ones(shape, bool))
    np.testing.assert_allclose(sure, l3_job.answers(network, Rows(alone, [0], 0))[0, : len(sure)])


def test_a_tall_scan_is_answered_whole(tmp_path):
    spacing = (8.0, 8.0, 2.0)
    hu, index = block(spacing, size=(240, 180, 1400), plate=1200)
    _, sure, heights, found = l3_job.find(Looks(), ct.Volume(hu, spacing, "tall", "RAS"), 0.5)
    assert len(sure) == pytest.approx(1400 / MM, abs=2)
    assert np.interp(found.row, range(len(heights)), heights) == pytest.approx(2 * index, abs=1.6)


def test_a_real_scan_goes_through_with_an_untrained_network(realdata, tmp_path):
    paddle.seed(0)
    network = networks.RowNet(4, outputs=len(LEVELS))
    path = realdata / "ct" / "totalseg_abdomen_122x101x30.nii.gz"
    volume = ct.read_volume(path)
    _, sure, heights, _ = l3_job.find(network, volume, 0.0)
    assert len(heights) == pytest.approx(29 * 3 / MM + 1, abs=1)
    assert 0 <= sure.min() <= sure.max() <= 1
    answer = l3_job.predict(network, {"threshold": 0.0}, path, tmp_path / "scan")
    low, high = sorted((float(volume.affine[2, 3]), float(volume.affine[2, 3] + 29 * 3)))
    assert answer["in_view"]
    assert low - 1e-3 <= answer["z_mm"] <= high + 1e-3
    assert answer["file_axis"] == 2
    assert answer["file_index"] == round((answer["z_mm"] - low) / 3)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["scan_l3.png", "scan_mips.png"]
    assert all(file.read_bytes()[:4] == b"\x89PNG" for file in tmp_path.iterdir())
    assert not l3_job.predict(network, {"threshold": 1.1}, path, tmp_path / "none")["in_view"]
    assert not (tmp_path / "none_l3.png").exists()
    json.dumps(answer, allow_nan=False)
