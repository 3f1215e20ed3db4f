"""The jobs: the published recipe at full size, sets that keep apart, the leak, the trivial rule, the record."""

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import paddle
import pytest
from tiny import save, voxels

from helpers import ct, ct_job, datasets, metrics, networks, passports, runtime, scans, tasks, training
from helpers.samples import Samples


def make_task(size="quick", seed=7):
    return tasks.ct(runtime.Run(seed=seed, size=size, device="cpu", data_root=Path("data")))


def make_split(labels, train, valid, test, origin="phantom"):
    cases = tuple(scans.Case(Path(f"{i}.nii.gz"), int(label), f"key{i:04}") for i, label in enumerate(labels))
    classes = ("CT-0", "CT-23")
    data = scans.ScanFolder("chest CT", Path("scans"), origin, "none", "made up", classes, cases)
    return datasets.Split(*(np.asarray(part, dtype=int) for part in (train, valid, test)), data)


def thirds(cases=90, seed=0):
    """Labels drawn by lot, and three sets that share nothing."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(cases)
    return make_split(rng.permutation(np.arange(cases) % 2), *np.split(order, [cases // 3, cases // 2]))


def noise(cases=90, side=3, seed=1):
    return np.random.default_rng(seed).random((cases, side, side, side), dtype=np.float32)


def prepared(volumes):
    return datasets.Prepared(volumes, np.ones((len(volumes), 3), np.float32))


def make_sets(task, volumes, split):
    return task.sets(prepared(volumes), split)


class Plain(paddle.nn.Layer):
    """A small stand-in for the 3-D network, for volumes of any size."""

    def __init__(self, inputs, width=64):
        super().__init__()
        nn = paddle.nn
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, volumes):
        return self.layers(volumes)


class Says(paddle.nn.Layer):
    """Its log-odds are the first voxel of the volume, whatever that is."""

    def forward(self, volumes):
        return volumes[:, :, 0, 0, 0]


# The task itself


def test_full_is_the_published_recipe():
    task = make_task("full")
    plan = task.schedule
    assert task.shape == (128, 128, 64)
    assert (plan.epochs, plan.rate, plan.batch) == (100, 1e-4, 2)
    assert (plan.kind, plan.decay, plan.weight_decay, plan.patience) == ("exponential", 0.96, 0, 15)
    assert networks.count_parameters(task.network()) == (1_352_897, 1_351_873)
    assert task.published[0] == pytest.approx(47 / 60, abs=5e-5)


def test_the_smaller_sizes_are_cut_to_a_laptop(monkeypatch):
    drawn = []
    monkeypatch.setattr(datasets, "open_ct", lambda settings, root: drawn.append((settings, root)))
    quick, middle = make_task("quick", seed=3), make_task("class", seed=3)
    widths = [task.network().blocks[0].conv.weight.shape[0] for task in (quick, middle)]
    assert widths[0] <= widths[1] <= 16
    for task in (quick, middle):
        task.data()
        assert max(task.shape) <= 64
        assert task.schedule.kind == "one-cycle"
    scans, counts = zip(*[(settings, settings.healthy + settings.ill) for settings, _ in drawn], strict=True)
    assert counts[0] < counts[1]
    assert 0.2 * counts[0] >= 60  # test scans; with fewer the interval says little
    assert 0.2 * counts[1] >= 100
    assert all(settings.healthy == settings.ill and settings.seed == 3 for settings in scans)
    assert {root for _, root in drawn} == {Path("data")}


def test_a_task_cannot_be_changed_in_passing():
    task = make_task()
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.shape = (64, 64, 64)
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.schedule.epochs = 1
    assert dataclasses.replace(task, shape=(64, 64, 64)).schedule is task.schedule


def test_every_size_of_the_run_has_its_task():
    for size in runtime.SIZES:
        assert min(make_task(size).shape) >= networks.LEAST_SIDE
    assert tasks.TASKS["ct"] is tasks.ct


def test_a_network_built_twice_starts_from_the_same_weights():
    task = make_task()
    one = task.network().state_dict()
    paddle.seed(99)
    paddle.rand([3])
    again, other = task.network().state_dict(), make_task(seed=8).network().state_dict()
    assert all(np.array_equal(one[name].numpy(), again[name].numpy()) for name in one)
    assert not np.array_equal(one["blocks.0.conv.weight"].numpy(), other["blocks.0.conv.weight"].numpy())


def test_the_loss_is_the_cross_entropy_of_the_probability():
    log_odds, truth = np.float32([[-2.0], [0.5], [3.0]]), np.float32([[0], [1], [0]])
    p = 1 / (1 + np.exp(-log_odds))
    wanted = -np.mean(truth * np.log(p) + (1 - truth) * np.log(1 - p))
    assert make_task().loss(paddle.to_tensor(log_odds), paddle.to_tensor(truth)).item() == pytest.approx(wanted)
    assert make_task().metric(truth, log_odds) == pytest.approx(np.mean((p > 0.5) == truth))


# The sets


def test_only_the_training_set_is_varied():
    split, volumes = thirds(), noise(side=6)
    sets = make_sets(make_task(), volumes, split)
    for samples, where in zip(sets, (split.train, split.valid, split.test), strict=True):
        assert samples.where.tolist() == where.tolist()
        assert samples.targets.tolist() == split.data.labels[where].tolist()
    moved = set()
    for epoch in range(4):
        for samples in sets:
            samples.epoch = epoch
        assert all(np.array_equal(sets.valid[i][0][0], volumes[split.valid[i]].transpose(2, 1, 0)) for i in range(9))
        assert all(np.array_equal(sets.test[i][0][0], volumes[split.test[i]].transpose(2, 1, 0)) for i in range(9))
        moved.add(sets.train[0][0].tobytes())
    assert len(moved) > 1


def test_varying_turns_or_mirrors_and_nothing_else():
    volume = noise(1, side=9)[0]
    vary, kinds = ct_job.vary_scan, {"as it is": 0, "mirrored": 0, "turned": 0}
    rng = np.random.default_rng(0)
    for _ in range(400):
        varied = vary(volume, rng)
        assert varied.shape == volume.shape
        assert varied.dtype == np.float32
        assert varied.min() >= 0
        assert varied.max() <= 1
        same, mirrored = np.array_equal(varied, volume), np.array_equal(varied, volume[::-1])
        kinds["as it is" if same else "mirrored" if mirrored else "turned"] += 1
    assert min(kinds.values()) >= 20, kinds


# The published leak


def test_the_leak_validates_on_its_own_training_scans():
    split, volumes = thirds(), noise()
    leaky = tasks.leaky_sets(make_task(), prepared(volumes), split)
    assert leaky.train.where.tolist() == leaky.valid.where.tolist()
    assert len(leaky.train) == 24
    assert set(leaky.train.where) <= set(split.train)
    assert leaky.test.where.tolist() == split.test.tolist()
    assert not set(leaky.test.where) & set(leaky.train.where)
    volume = leaky.train[0][0]
    leaky.train.epoch = 5
    assert np.array_equal(volume, leaky.train[0][0])  # not varied: there is nothing to generalise


def test_the_leaks_labels_have_nothing_to_do_with_the_truth():
    split = thirds(cases=1000)
    volumes = np.zeros((1000, 1, 1, 1), np.float32)
    agreements = []
    for seed in range(20):
        leaky = tasks.leaky_sets(make_task(seed=seed), prepared(volumes), split)
        assert leaky.train.labels.sum() == 500
        agreements.append(np.mean(leaky.train.labels == split.data.labels))
    assert np.mean(agreements) == pytest.approx(0.5, abs=0.02)
    assert np.std(agreements) < 0.04
    assert len(set(agreements)) > 5  # another seed, other labels
    # shuffled whatever the truth is: the very same labels for a data set that is all of one class
    ones = make_split(np.ones(1000), split.train, split.valid, split.test)
    assert np.array_equal(
        tasks.leaky_sets(make_task(seed=19), prepared(volumes), ones).train.labels, leaky.train.labels
    )


def test_the_leak_seems_to_learn_and_the_honest_set_says_chance():
    split, volumes, task = thirds(cases=400), noise(400, side=5), make_task()
    leaky = tasks.leaky_sets(task, prepared(volumes - 0.5), split)
    paddle.seed(0)
    network = Plain(125)
    fit = task.train(network, leaky, schedule=training.Schedule(epochs=60, batch=8, rate=5e-3, decay=1.0))
    assert fit.rows[0]["valid_metric"] < 0.9
    assert fit.rows[-1]["valid_metric"] == 1  # "validation accuracy", as published
    honest = make_task().evaluate(network, leaky).report
    assert honest.accuracy.low < 0.5 < honest.accuracy.high
    assert honest.auc.low < 0.5 < honest.auc.high


def test_the_honest_sets_do_learn_what_is_there():
    split, volumes, task = thirds(cases=240), noise(240, side=3), make_task()
    volumes[split.data.labels == 1, 1, 1, 1] = 1  # a voxel at the centre, where turning and mirroring leave it
    volumes[split.data.labels == 0, 1, 1, 1] = 0
    paddle.seed(0)
    network = Plain(27)
    sets = make_sets(task, volumes, split)
    fit = task.train(network, sets, schedule=training.Schedule(epochs=15, batch=8, rate=1e-2))
    found = make_task().evaluate(network, sets)
    assert found.report.auc.value > 0.98
    assert fit.rows[fit.best_epoch - 1]["valid_metric"] > 0.9


def test_train_takes_the_tasks_own_settings_unless_told():
    split, task = thirds(cases=24), make_task()
    seen = []
    task = dataclasses.replace(task, metric=lambda truth, output: seen.append(len(truth)) or 0.0)
    sets = make_sets(task, noise(24), split)
    assert len(task.train(Plain(27, 4), sets).rows) == task.schedule.epochs
    assert seen[:2] == [8, 4]
    short = task.train(Plain(27, 4), sets, schedule=training.Schedule(2, 8, 1e-3))
    assert len(short.rows) == 2


# Judging


def judged(scores, truth, train_labels=(0, 1)):
    """The evaluation of a network that says what is written into the volumes."""
    labels = np.array([*truth, *train_labels])
    volumes = np.zeros((len(labels), 2, 2, 2), np.float32)
    log_odds = np.log(np.asarray(scores) / (1 - np.asarray(scores)))
    volumes[: len(truth), 0, 0, 0] = log_odds
    split = make_split(labels, range(len(truth), len(labels)), [], range(len(truth)))
    return make_task().evaluate(Says(), make_sets(make_task(), volumes, split))


def test_probabilities_are_those_of_class_1_in_the_order_of_the_set():
    found = judged([0.9, 0.2, 0.6], [1, 0, 0])
    assert found.score == pytest.approx([0.9, 0.2, 0.6])
    assert found.cases.tolist() == [0, 1, 2]
    assert found.truth.tolist() == [1, 0, 0]


def test_a_network_beyond_all_doubt_gives_no_warning():
    volumes = np.float32([-500, 500]).reshape(2, 1, 1, 1)
    sets = make_sets(make_task(), volumes, make_split([0, 1], [], [], [0, 1]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tasks.probabilities(Says(), sets.test).tolist() == [0, 1]


def test_evaluation_equals_the_metrics_of_its_scores():
    rng = np.random.default_rng(3)
    truth, scores = np.arange(60) % 2, rng.uniform(0.05, 0.95, 60).astype(np.float32)
    found = judged(scores, truth)
    assert found.report.auc.value == pytest.approx(metrics.auc_value(truth, scores))
    assert found.report.accuracy.hits == np.sum((scores >= 0.5) == truth)
    assert str(found) == str(found.report)


def test_the_majority_is_that_of_the_training_set():
    # Commoner in the test set is class 0; a rule that knew that would have peeked.
    found = judged(np.linspace(0.1, 0.9, 40), [0] * 30 + [1] * 10, train_labels=[1, 1, 1, 0])
    assert found.report.accuracy.baseline == 0.25


def test_worst_begins_with_the_surest_and_wrong():
    found = judged([0.9, 0.2, 0.6, 0.01, 0.5], [1, 1, 0, 1, 0])
    assert found.worst().tolist() == [3, 1, 2, 4, 0]
    assert found.worst(2).tolist() == [3, 1]
    assert found.worst(99).tolist() == [3, 1, 2, 4, 0]


def test_captions_name_truth_and_answer_of_each_place():
    found = judged([0.9, 0.2], [0, 1])
    assert found.captions([1, 0], ("clear", "ill")) == ["ill, said 20 % ill", "clear, said 90 % ill"]


def test_the_curve_is_empty_where_there_is_too_little_to_measure():
    for found in (judged([0.2, 0.7, 0.4], [1, 1, 1]), judged([0.2, 0.7, 0.4], [1, 0, 1])):
        assert [len(part) for part in found.curve] == [0, 0, 0]
        assert found.report.auc.value is None
    enough = judged([0.7] * 10 + [0.4] * 10, [1] * 10 + [0] * 10)
    assert enough.curve.true_positive_rate.tolist() == [0, 1, 1]


@pytest.mark.parametrize("probability", [0.0, 0.0004, 0.126, 0.5, 1.0])
def test_say_shares_out_a_hundred_percent_by_class(probability):
    words = tasks.say(("CT-0", "CT-23"), probability, 0)
    first, second = (float(part.split(" %")[0]) for part in words.split(", "))
    assert first + second == pytest.approx(100, abs=0.11)
    assert second == pytest.approx(100 * probability, abs=0.051)
    assert words.index("CT-0,") < words.index("CT-23")
    assert words.endswith("(truth: CT-0)")
    assert tasks.say(("a", "b"), 0.5, 1).endswith("(truth: b)")


# The rule that knows two numbers a scan


def two_number_world(seed=0):
    """Ill scans are a little denser in the mean, so that the rule gets it about three times in four."""
    split = thirds(cases=160, seed=seed)
    volumes = noise(160, side=4, seed=seed)
    volumes += 0.06 * split.data.labels[:, None, None, None].astype(np.float32)
    return volumes, split


def relabelled(split, labels):
    return make_split(labels, split.train, split.valid, split.test)


def test_the_trivial_rule_learns_from_the_training_set_alone():
    volumes, split = two_number_world()
    area = make_task().baseline(prepared(volumes), split).value
    assert 0.6 < area < 0.95
    poisoned = split.data.labels.copy()
    poisoned[split.test] = 1 - poisoned[split.test]
    # Had it seen the test labels, its scores would move with them; as they stay, the area is turned upside down.
    assert make_task().baseline(prepared(volumes), relabelled(split, poisoned)).value == pytest.approx(1 - area)
    unseen = split.data.labels.copy()
    unseen[split.valid] = 1 - unseen[split.valid]
    assert make_task().baseline(prepared(volumes), relabelled(split, unseen)).value == area


def test_the_trivial_rule_is_not_scaled_by_the_test_set():
    volumes, split = two_number_world()
    sub = make_split(split.data.labels, split.train, split.valid, split.test[1:])
    area = make_task().baseline(prepared(volumes), sub).value
    volumes[split.test[0]] = 1e4  # an outlier outside the test set that is judged
    assert make_task().baseline(prepared(volumes), sub).value == area


def test_the_trivial_rule_uses_the_spread_as_well_as_the_mean():
    split, rng = thirds(cases=160), np.random.default_rng(2)
    spread = np.where(split.data.labels == 1, 0.30, 0.20)[:, None, None, None]
    volumes = (0.5 + spread * rng.standard_normal((160, 5, 5, 5))).astype(np.float32)
    volumes -= volumes.mean(axis=(1, 2, 3), keepdims=True)
    assert make_task().baseline(prepared(volumes), split).value > 0.95


def test_the_trivial_rule_cannot_tell_what_is_not_in_two_numbers():
    split, volumes = thirds(cases=300), noise(300)
    volumes.reshape(300, -1).sort(axis=1)  # one order for class 1, the other for class 0: same mean, same spread
    volumes[split.data.labels == 0] = volumes[split.data.labels == 0, ::-1, ::-1, ::-1]
    area = make_task().baseline(prepared(volumes), split)
    assert area.low < 0.5 < area.high


def test_the_trivial_rule_with_one_class_to_learn_from_tosses_a_coin():
    volumes, split = two_number_world()
    labels = split.data.labels.copy()
    labels[split.train] = 1
    assert make_task().baseline(prepared(volumes), relabelled(split, labels)).value == 0.5


# The record


def make_passport(monkeypatch, folder, origin="phantom", truth=None):
    monkeypatch.setattr(runtime, "BUILD", folder)
    truth = np.arange(40) % 2 if truth is None else truth
    found = judged(np.linspace(0.1, 0.9, 40), truth)
    split = make_split(truth, [0], [1], range(2, 40), origin)
    fit = training.Fit(rows=[{"seconds": 3.0}, {"seconds": 5.0}], steps=16, minutes=0.25)
    return make_task(seed=5).passport(split, fit, found), found, split


def test_the_passport_holds_the_figure_and_what_it_hangs_on(monkeypatch, tmp_path):
    passport, found, split = make_passport(monkeypatch, tmp_path)
    area = found.report.auc
    assert (passport.metric, passport.value, passport.interval) == ("ROC AUC", area.value, (area.low, area.high))
    assert (passport.counts, passport.baseline) == ((None, 40), ("coin toss", 0.5))
    assert (passport.task, passport.run, passport.seed, passport.device) == ("ct", "quick", 5, "cpu")
    assert (passport.data, passport.data_hash, passport.split_hash) == ("phantom", split.data.hash, split.hash)
    assert passport.published == make_task().published
    assert passport.versions["paddle"] == paddle.__version__
    assert (passport.seconds_per_step, passport.minutes) == (0.5, 0.25)
    assert passports.read(tmp_path / "passports" / "ct-quick-phantom.json") == passport


def test_a_real_passport_does_not_overwrite_a_phantom_one(monkeypatch, tmp_path):
    make_passport(monkeypatch, tmp_path)
    real, _, _ = make_passport(monkeypatch, tmp_path, origin="real")
    assert sorted(path.name for path in (tmp_path / "passports").iterdir()) == [
        "ct-quick-phantom.json",
        "ct-quick-real.json",
    ]
    assert real.data == "real"


def test_too_few_cases_make_a_passport_without_a_figure(monkeypatch, tmp_path):
    passport, _, _ = make_passport(monkeypatch, tmp_path, truth=np.zeros(40, int))
    assert (passport.value, passport.interval) == (None, None)


def test_a_training_stopped_by_hand_gets_no_passport(monkeypatch, tmp_path):
    monkeypatch.setattr(runtime, "BUILD", tmp_path)
    split = thirds()
    with pytest.raises(ValueError, match="stopped by hand"):
        make_task().passport(split, training.Fit(by_hand=True), judged([0.9, 0.2], [1, 0]))
    assert not list(tmp_path.iterdir())


def test_folds_are_pooled_case_by_case():
    one = judged(np.linspace(0.1, 0.8, 24), np.arange(24) % 2)
    other = judged(np.linspace(0.2, 0.9, 12), np.ones(12, int))
    found = make_task().pool([one, other])
    assert found.columns()["truth"].tolist() == [*one.truth, *other.truth]
    assert found.columns()["score"].tolist() == [*one.score, *other.score]
    assert found.report.accuracy.hits == np.sum((found.score >= 0.5) == found.truth)
    assert found.report.accuracy.baseline == 24 / 36
    assert found.headline.cases == 36


# One file


def test_the_answer_for_a_file_is_that_of_the_test_set(tmp_path):
    """Asked about one file, a network says what it says of the same scan in a set."""
    shape = (6, 6, 6)
    path = save(tmp_path / "scan.nii.gz", voxels(3))
    paddle.seed(5)
    network = Plain(216)
    volume = ct.load_scan(path, shape)
    score = float(tasks.probabilities(network, Samples(volume[None], [1], [0], 0))[0])
    said = ct_job.predict(network, {"classes": ["sound", "ill"]}, path, shape)
    assert said["probability"] == {"sound": pytest.approx(1 - score, abs=1e-6), "ill": pytest.approx(score, abs=1e-6)}
    assert said["class"] == ("ill" if score >= 0.5 else "sound")
    assert sum(said["probability"].values()) == pytest.approx(1)


@pytest.mark.parametrize("name", list(tasks.TASKS))
@pytest.mark.parametrize("size", runtime.SIZES)
def test_every_task_of_every_size_answers_to_its_name_and_fits_its_network(name, size):
    task = tasks.TASKS[name](runtime.Run(seed=1, size=size, device="cpu", data_root=Path("data")))
    assert (task.name, task.run.size) == (name, size)
    if size == "quick":
        outputs = task.network()(paddle.zeros([2, *((1, *task.shape) if name == "ct" else task.shape)]))
        assert outputs.shape[0] == 2
        assert np.isfinite(outputs.numpy()).all()
