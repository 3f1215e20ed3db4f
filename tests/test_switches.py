"""Mistakes put into a job: each changes what it is about and nothing else, and the sound job stays sound."""

import dataclasses
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_l3_job import many
from test_tasks import make_split
from test_xray_job import make_films

from helpers import flaws, jitter, mip, runtime, switches, tasks, xray_flaws, xray_job
from helpers.l3_scans import COLUMNS

RETRAINED = {flaw.slug: flaw for flaw in flaws.FLAWS if flaw.retrains}
# The fields of a task that a mistake may change, beside the name.
CHANGED = {
    "unsorted": {"divide"},
    "no-relu": {"network"},
    "band": {"sets"},
    "bytes": {"network"},
    "wrapped": {"sets"},
    "copies": {"divide"},
}


def make_task(name, seed=7, size="quick"):
    run = runtime.Run(seed=seed, size=size, device="cpu", data_root=Path("nowhere"))
    if name == flaws.PIXEL:
        return tasks.l3(run, view="frontal", ask="pixel")
    return tasks.TASKS[name](run)


def fields(task):
    return {field.name: getattr(task, field.name) for field in dataclasses.fields(task)}


def weights(task):
    return [value.numpy() for value in task.network(["a", "b", "c"]).state_dict().values()]


# What is changed, and what is not


@pytest.mark.parametrize("slug", CHANGED)
def test_nothing_else_is_changed(slug):
    flaw = RETRAINED[slug]
    task = make_task(flaw.task)
    before = fields(task)
    after = fields(flaw.on(task))
    assert fields(task) == before
    assert {name for name in before if after[name] is not before[name]} == CHANGED[slug] | {"name"}
    assert after["name"] == f"{flaw.task}+{slug}"


def test_of_one_hospital_a_class_only_the_data_are_others(monkeypatch):
    task = make_task("xray")
    flawed = RETRAINED["hospital"].on(task)
    same = {"folder", "layout", "run", "shape", "loss", "metric", "schedule", "evaluate", "pool", "published"}
    same |= {"aside", "divide"}
    assert {name for name, value in fields(task).items() if fields(flawed)[name] == value} >= same
    asked = []
    monkeypatch.setattr(xray_job, "open_radiography", lambda settings, root: asked.append((settings, root)))
    task.data()
    flawed.data()
    (sound, _), (trap, root) = asked
    assert (sound.confounded, trap.confounded) == (False, True)
    assert dataclasses.replace(trap, confounded=False, each=sound.each) == sound
    assert root == xray_job.NOWHERE  # phantoms, whatever is there


@pytest.mark.parametrize("slug", RETRAINED)
def test_a_mistake_starts_from_the_same_weights(slug):
    task = make_task(RETRAINED[slug].task)
    for sound, flawed in zip(weights(task), weights(RETRAINED[slug].on(task)), strict=True):
        np.testing.assert_array_equal(sound, flawed)


@pytest.mark.parametrize("slug", RETRAINED)
def test_a_mistake_is_made_with_every_seed_and_size(slug):
    for size in runtime.SIZES:
        task = make_task(RETRAINED[slug].task, seed=3, size=size)
        flawed = RETRAINED[slug].on(task)
        assert flawed.run is task.run
        assert flawed.schedule == task.schedule


# The split


def keys(split):
    return [{split.data.cases[i].key for i in part} for part in (split.train, split.valid, split.test)]


def reversed_listing(data):
    cases = tuple(reversed(data.cases))
    return dataclasses.replace(data, cases=cases)


def test_an_unsorted_listing_decides_the_split_and_content_does_not():
    data = make_split(np.arange(80) % 2, [], [], []).data
    other = reversed_listing(data)
    sound, flawed = make_task("ct"), RETRAINED["unsorted"].on(make_task("ct"))
    assert keys(sound.split(data)) == keys(sound.split(other))
    assert keys(flawed.split(data)) != keys(flawed.split(other))
    assert keys(flawed.split(data)) != keys(sound.split(data))
    assert keys(flawed.split(data)) == keys(flawed.split(data))  # the same listing and seed, the same split
    another = RETRAINED["unsorted"].on(make_task("ct", seed=8))
    assert keys(flawed.split(data)) != keys(another.split(data))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 1), min_size=4, max_size=60), st.integers(0, 99))
def test_an_unsorted_listing_gives_sets_of_the_same_size_and_no_case_twice(labels, seed):
    data = make_split(labels, [], [], []).data
    sound, flawed = (
        task.split(data) for task in (make_task("ct", seed), RETRAINED["unsorted"].on(make_task("ct", seed)))
    )
    for one, other in zip(
        (sound.train, sound.valid, sound.test), (flawed.train, flawed.valid, flawed.test), strict=True
    ):
        assert Counter(data.labels[one]) == Counter(data.labels[other])
    everything = np.concatenate([flawed.train, flawed.valid, flawed.test])
    assert sorted(everything) == list(range(len(labels)))
    assert flawed.data is data


def test_case_by_case_parts_what_belongs_together():
    labels = np.repeat([0, 1], 30)
    cases = [SimpleNamespace(label=label, key=f"k{i}", group=f"g{i // 3}") for i, label in enumerate(labels)]
    data = SimpleNamespace(cases=cases, labels=labels, classes=("a", "b"), unit="image")
    sound, flawed = make_task("xray"), RETRAINED["copies"].on(make_task("xray"))

    def parted(split):
        groups = [{cases[i].group for i in part} for part in (split.train, split.test)]
        return len(groups[0] & groups[1])

    assert parted(sound.split(data)) == 0
    assert parted(flawed.split(data)) >= 6  # of twelve test images nearly each has a copy in training
    assert len(flawed.split(data).aside) == 2  # one of each class, as in the sound job
    assert flawed.split(data).hash != sound.split(data).hash


# The ReLU


def hidden(network, features):
    """What comes out of a head with dropout off."""
    network.eval()
    return network.head(paddle.to_tensor(np.float32(features))).numpy()


def test_without_its_relu_the_head_is_a_straight_line():
    task = make_task("ct")
    a, b = np.random.default_rng(1).normal(0, 2, (2, 50, 32))
    bent = []
    for job in (task, RETRAINED["no-relu"].on(task)):
        network = job.network()
        bent.append(hidden(network, a) + hidden(network, b) - hidden(network, a + b) - hidden(network, 0 * a))
    assert abs(bent[1]).max() < 1e-4
    assert np.median(abs(bent[0])) > 0.05


def test_only_the_relu_of_the_head_is_gone():
    task = make_task("ct")
    sound, flawed = task.network(), RETRAINED["no-relu"].on(task).network()
    kinds = [[type(layer).__name__ for layer in network.sublayers()] for network in (sound, flawed)]
    odd = [pair for pair in zip(*kinds, strict=True) if pair[0] != pair[1]]
    assert odd == [("ReLU", "Identity")]
    assert sum(name == "ReLU" for name in kinds[1]) == 4  # those of the blocks


# The band


@pytest.fixture(scope="module")
def spines():
    """Projections whose sides are black, as the frontal ones are."""
    prepared, split = many()
    prepared.images[:, 0, :, ~mip.middle_columns(COLUMNS)] = 0
    return prepared, split


def band_sets(spines):
    task = make_task(flaws.PIXEL)
    return task.sets(*spines), RETRAINED["band"].on(task).sets(*spines)


def test_the_long_band_lies_on_black_columns_and_the_image_stays(spines):
    seen = mip.middle_columns(COLUMNS)
    sound, flawed = band_sets(spines)
    lengths = set()
    for one, other in ((sound.train, flawed.train), (sound.valid, flawed.valid)):
        for epoch in range(2):
            one.epoch = other.epoch = epoch
            for item in range(len(one)):
                (image, label), (same, longer) = one[item], other[item]
                np.testing.assert_array_equal(image, same)
                assert (longer.shape, longer.dtype) == (label.shape, label.dtype)
                assert set(np.unique(longer)) <= {0, 1}
                np.testing.assert_array_equal(label.any(axis=2), longer.any(axis=2))  # the same rows
                assert not label[..., ~seen].any()
                np.testing.assert_array_equal(longer[..., seen], label[..., seen])
                lengths.add((int(label.any(axis=(0, 1)).sum()), int(longer.any(axis=(0, 1)).sum())))
    black = int(np.floor(0.7 * COLUMNS)) + 1 - np.flatnonzero(seen)[-1] - 1
    assert black >= 4
    assert lengths == {(0, 0), (seen.sum(), seen.sum() + black)}  # some do not show L3


def test_the_black_columns_are_black(spines):
    _, flawed = band_sets(spines)
    shown = 0
    for item in range(len(flawed.valid)):
        image, label = flawed.valid[item]
        beyond = label.any(axis=(0, 1)) & ~mip.middle_columns(COLUMNS)
        assert not image[0][:, beyond].any()
        shown += beyond.any()
    assert shown


def test_the_long_band_is_for_learning_and_the_test_set_is_as_it_was(spines):
    sound, flawed = band_sets(spines)
    assert type(flawed.test) is type(sound.test)
    for item in range(len(sound.test)):
        for one, other in zip(sound.test[item], flawed.test[item], strict=True):
            np.testing.assert_array_equal(one, other)
    assert [part.where.tolist() for part in sound] == [part.where.tolist() for part in flawed]


# Greys of 0 to 255


def test_greys_enter_255_times_as_large():
    seen = []

    class Sees(paddle.nn.Layer):
        def forward(self, images):
            seen.append(images.numpy())
            return images

    task = dataclasses.replace(make_task("pneumothorax"), network=lambda classes=(): Sees())
    images = paddle.to_tensor(np.random.default_rng(0).random((2, 1, 4, 4), np.float32))
    switches.in_bytes(task).network(("a", "b"))(images)
    np.testing.assert_allclose(seen[0], images.numpy() * 255)


# The noise


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.floats(0, 10 / 255))
def test_noise_wraps_around_where_sound_noise_is_cut(seed, sigma):
    image = (np.random.default_rng(seed).integers(0, 256, (40, 40)) / 255).astype(np.float32)
    found = switches.wrapped(image, sigma, np.random.default_rng(seed))
    assert (found.dtype, found.shape) == (image.dtype, image.shape)
    before, after = np.rint(image * 255).astype(int), np.rint(found * 255).astype(int)
    np.testing.assert_allclose(found * 255, after, atol=1e-3)  # whole greys
    assert 0 <= after.min() <= after.max() <= 255
    noise = (after - before + 128) % 256 - 128  # on a dial of 256 greys
    assert abs(noise).max() <= 6 * 255 * sigma + 1
    beyond = (before + noise < 0) | (before + noise > 255)
    if sigma > 4 / 255:
        assert noise.std() == pytest.approx(255 * sigma, rel=0.15)
        assert beyond.any()
    wrapped_around = abs(after - before) > 128
    np.testing.assert_array_equal(wrapped_around, beyond)
    np.testing.assert_array_equal(after, xray_flaws.add_wrapped(before.astype(np.uint8), noise))


def test_only_training_images_are_varied_with_noise_that_wraps():
    films = make_films()
    data = SimpleNamespace(labels=films.labels, classes=films.classes, boxes=None)
    split = SimpleNamespace(train=np.arange(30), valid=np.arange(30, 40), test=np.arange(40, 60), data=data)
    task = make_task("xray")
    flawed, sound = RETRAINED["wrapped"].on(task).sets(films, split), task.sets(films, split)
    assert flawed.train.vary.keywords == {"noise": switches.wrapped}
    assert sound.train.vary is xray_job.vary
    assert [part.vary for part in flawed[1:]] == [None, None]
    assert [part.where.tolist() for part in sound] == [part.where.tolist() for part in flawed]
    assert flawed.train.seed == sound.train.seed


def test_where_no_noise_is_drawn_images_are_varied_alike():
    """The same changes by the same amounts, up to where noise is added."""
    image = np.random.default_rng(1).random((16, 16), np.float32)
    same = {True: 0, False: 0}
    for seed in range(60):
        drawn = []

        def spy(image, sigma, rng, drawn=drawn):
            drawn.append(sigma)
            return image

        jitter.vary(image, np.random.default_rng(seed), spy)
        one, other = (
            xray_job.vary(image, np.random.default_rng(seed), noise) for noise in (jitter.add_noise, switches.wrapped)
        )
        assert np.array_equal(one, other) != bool(drawn)
        same[bool(drawn)] += 1
    assert min(same.values()) > 15
