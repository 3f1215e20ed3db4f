"""Rules without a network: what two numbers a case can tell, and that they are learned on the training set alone."""

from types import SimpleNamespace

import numpy as np
import pytest

from helpers import rules
from helpers.datasets import Split

COUNT = 90


def make(labels, gain=0.0, spread=0.0, seed=0):
    """Noisy images, the ill ones brighter by ``gain`` and noisier by ``spread``, and a split into thirds."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(COUNT, 12, 12)) * (1 + spread * labels[:, None, None])
    images = 0.5 + 0.1 * noise + gain * labels[:, None, None] + 0.05 * rng.normal(size=(COUNT, 1, 1))
    return images, Split(*np.split(rng.permutation(COUNT), 3), SimpleNamespace(labels=labels))


def half():
    return np.arange(COUNT) % 2


@pytest.mark.parametrize("kind", [{"gain": 0.3}, {"gain": -0.3}, {"spread": 0.5}])
def test_brightness_or_spread_that_tells_is_found(kind):
    found = rules.mean_and_sd(*make(half(), **kind))
    assert found.value > 0.97
    assert (found.name, found.cases, found.baseline) == ("ROC AUC", COUNT // 3, 0.5)


def test_where_nothing_tells_it_is_a_coin_toss():
    values = [rules.mean_and_sd(*make(half(), seed=seed)).value for seed in range(8)]
    assert np.mean(values) == pytest.approx(0.5, abs=0.1)


def test_it_is_fitted_on_the_training_set_alone():
    images, split = make(half(), gain=0.3)
    honest = rules.mean_and_sd(images, split).value
    labels = split.data.labels.copy()
    labels[split.valid] = 1 - labels[split.valid]
    assert rules.mean_and_sd(images, Split(split.train, split.valid, split.test, SimpleNamespace(labels=labels))) == (
        rules.mean_and_sd(images, split)
    )
    labels = split.data.labels.copy()
    labels[split.test] = 1 - labels[split.test]  # were the test set learned from, the rule would turn round with it
    poisoned = Split(split.train, split.valid, split.test, SimpleNamespace(labels=labels))
    assert rules.mean_and_sd(images, poisoned).value == pytest.approx(1 - honest)
    labels = split.data.labels.copy()
    labels[split.train] = 1 - labels[split.train]
    taught = Split(split.train, split.valid, split.test, SimpleNamespace(labels=labels))
    assert rules.mean_and_sd(images, taught).value == pytest.approx(1 - honest, abs=0.02)


def test_a_training_set_of_one_class_teaches_nothing():
    images, split = make(half(), gain=0.3)
    ill = np.flatnonzero(split.data.labels)
    found = rules.mean_and_sd(images, Split(ill[:5], split.valid, split.test, split.data))
    assert found.value == 0.5


def test_a_test_set_of_one_class_has_no_figure_but_a_reason():
    images, split = make(half(), gain=0.3)
    healthy = np.flatnonzero(split.data.labels == 0)
    found = rules.mean_and_sd(images, Split(split.train, split.valid, healthy, split.data))
    assert found.value is None
    assert found.reason


def test_images_may_come_one_by_one_and_grey_values_in_any_unit():
    images, split = make(half(), gain=0.05)
    plain = rules.mean_and_sd(images, split).value
    assert rules.mean_and_sd((image for image in images), split).value == plain
    assert rules.mean_and_sd(255 * images + 1000, split).value == pytest.approx(plain, abs=1e-3)
