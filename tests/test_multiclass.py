"""Figures of several classes against scikit-learn, brute force and simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from helpers import metrics, multiclass
from helpers.estimates import wilson


def draw(rng, count, classes=3, sharp=2.0):
    """Truth, and probabilities that know something of it."""
    truth = rng.integers(0, classes, count)
    scores = np.exp(rng.normal(size=(count, classes)) + sharp * np.eye(classes)[truth])
    return truth, scores / scores.sum(1, keepdims=True)


RESULTS = st.tuples(st.integers(0, 999), st.integers(10, 60), st.integers(2, 6)).map(
    lambda drawn: draw(np.random.default_rng(drawn[0]), drawn[1], drawn[2])
)


@given(RESULTS)
def test_figures_equal_those_of_scikit_learn(result):
    truth, probabilities = result
    called, classes = probabilities.argmax(1), list(range(probabilities.shape[1]))
    report = multiclass.report(truth, probabilities, [str(name) for name in classes], majority=0)
    assert report.accuracy.value == pytest.approx(reference.accuracy_score(truth, called))
    assert (report.accuracy.low, report.accuracy.high) == pytest.approx(wilson(report.accuracy.hits, len(truth)))
    assert np.array_equal(report.confusion, reference.confusion_matrix(truth, called, labels=classes))
    assert report.loss == pytest.approx(reference.log_loss(truth, probabilities, labels=classes))
    for label, estimate in enumerate(report.sensitivities):
        own = truth == label
        assert estimate.cases == own.sum()
        if own.sum() >= multiclass.MIN_CASES:
            assert estimate.value == pytest.approx(np.mean(called[own] == label))
        else:
            assert estimate.value is None


@given(st.integers(0, 999), st.integers(10, 60))
def test_two_classes_are_judged_as_by_the_figures_of_two_classes(seed, count):
    truth, probabilities = draw(np.random.default_rng(seed), count, 2)
    one = multiclass.accuracy(truth, probabilities, majority=1)
    other = metrics.accuracy(truth, probabilities[:, 1], majority=1)
    if other.value is not None:
        assert (one.value, one.low, one.high, one.baseline) == pytest.approx(
            (other.value, other.low, other.high, other.baseline)
        )


def test_the_trivial_rule_is_that_of_the_training_set():
    truth = np.repeat([0, 1, 2], [5, 5, 20])
    assert multiclass.accuracy(truth, np.eye(3)[truth], majority=0).baseline == pytest.approx(5 / 30)
    with pytest.raises(ValueError, match="from 0 to 2, but is 3"):
        multiclass.accuracy(truth, np.eye(3)[truth], majority=3)


def test_copies_add_no_certainty():
    truth, probabilities = draw(np.random.default_rng(0), 40)
    groups = np.arange(40)
    one = multiclass.accuracy(truth, probabilities, majority=0, groups=groups)
    assert one == multiclass.accuracy(truth, probabilities, majority=0)
    truth3, probabilities3, groups3 = np.tile(truth, 3), np.tile(probabilities, (3, 1)), np.tile(groups, 3)
    thrice = multiclass.accuracy(truth3, probabilities3, majority=0, groups=groups3)
    assert (thrice.value, thrice.low, thrice.high) == pytest.approx((one.value, one.low, one.high))
    assert (thrice.hits, thrice.cases) == (3 * one.hits, 120)
    careless = multiclass.accuracy(truth3, probabilities3, majority=0)
    assert careless.high - careless.low < 0.7 * (thrice.high - thrice.low)


def test_the_interval_covers_the_truth_where_images_come_in_groups():
    rng = np.random.default_rng(3)
    covered, careless = [], []
    for _ in range(300):
        groups = np.repeat(np.arange(30), rng.integers(1, 5, 30))
        right = (rng.random(30) < 0.8)[groups]  # a patient's images are right or wrong together
        probabilities = np.where(right[:, None], [1.0, 0.0], [0.0, 1.0])
        for found, given_groups in ((covered, groups), (careless, None)):
            estimate = multiclass.accuracy(np.zeros(len(right), int), probabilities, majority=0, groups=given_groups)
            found.append(estimate.low <= 0.8 <= estimate.high)
    assert np.mean(covered) > 0.92
    assert np.mean(careless) < 0.85


@given(st.data(), st.integers(1, 20), st.integers(1, 50), st.integers(2, 5))
def test_the_calibration_error_is_a_share_and_its_bins_hold_every_image_once(data, bins, count, classes):
    rows = st.lists(st.floats(0.001, 1), min_size=classes, max_size=classes)
    scores = np.array(data.draw(st.lists(rows, min_size=count, max_size=count)))
    probabilities = scores / scores.sum(1, keepdims=True)
    truth = np.array(data.draw(st.lists(st.integers(0, classes - 1), min_size=count, max_size=count)))
    found = multiclass.reliability(truth, probabilities, bins)
    right, sure = probabilities.argmax(1) == truth, probabilities.max(1)
    assert 0 <= found.error <= 1
    assert found.error >= abs(right.mean() - sure.mean()) - 1e-9  # bins can only add to the error of the whole
    assert found.counts.sum() == count
    some = found.counts > 0
    assert (found.low[some] <= found.accuracy[some]).all()
    assert (found.accuracy[some] <= found.high[some]).all()
    assert (found.confidence[some] >= found.edges[:-1][some] - 1e-6).all()
    assert (found.confidence[some] <= found.edges[1:][some] + 1e-6).all()
    assert np.isnan(found.accuracy[~some]).all()
    assert np.sum(found.accuracy[some] * found.counts[some]) == pytest.approx(right.sum())


def test_the_calibration_error_is_zero_where_confidence_is_earned_and_large_where_it_is_not():
    truth = np.repeat([0, 1], [80, 20])
    earned = multiclass.reliability(truth, np.tile([0.8, 0.2], (100, 1)))
    assert earned.error == pytest.approx(0, abs=1e-9)
    too_sure = multiclass.reliability(truth, np.tile([0.99, 0.01], (100, 1)))
    assert too_sure.error == pytest.approx(0.19)
    assert too_sure.counts.tolist() == [0] * 9 + [100]
    assert "0.9 to 1.0  100     0.99  0.80   0.71 to 0.87" in str(too_sure)


@given(RESULTS, st.integers(0, 999))
def test_a_comparison_is_mirrored_when_the_two_change_places(result, seed):
    truth, probabilities = result
    others = probabilities[np.random.default_rng(seed).permutation(len(truth))]
    one = multiclass.compare(truth, probabilities, others, "others")
    two = multiclass.compare(truth, others, probabilities, "others")
    assert (one.value, one.low, one.high) == pytest.approx((-two.value, -two.high, -two.low))
    assert -1 <= one.low <= one.value <= one.high <= 1
    accuracies = [multiclass.accuracy(truth, each, majority=0).value for each in (probabilities, others)]
    assert one.value == pytest.approx(accuracies[0] - accuracies[1])


def test_a_comparison_covers_the_true_difference():
    rng = np.random.default_rng(5)
    covered = []
    for _ in range(400):
        hard = rng.random(50)
        first, second = hard < 0.9, (hard < 0.9) & (rng.random(50) < 0.8)  # 0.90 and 0.72
        one, other = (np.where(part[:, None], [1.0, 0.0], [0.0, 1.0]) for part in (first, second))
        estimate = multiclass.compare(np.zeros(50, int), one, other, "other")
        covered.append(estimate.low <= 0.18 <= estimate.high)
    assert 0.92 < np.mean(covered) < 0.99


def test_a_network_compared_with_itself_is_no_better_and_that_is_not_certain():
    truth, probabilities = draw(np.random.default_rng(1), 60)
    same = multiclass.compare(truth, probabilities, probabilities, "itself")
    assert same.value == 0
    assert same.low == pytest.approx(-same.high)
    assert 0.01 < same.high < 0.1
    assert "cannot be told from no difference" in same.verdict


def test_too_few_images_have_no_figure():
    truth = np.arange(9) % 3
    report = multiclass.report(truth, np.eye(3)[truth], "abc", majority=0)
    assert report.accuracy.value is None
    assert "only 9 images (10 are needed)" in str(report)
    assert multiclass.compare(truth, np.eye(3)[truth], np.eye(3)[truth], "x").value is None


def test_a_sure_mistake_costs_much_but_not_without_end():
    assert multiclass.cross_entropy([0], [[0.0, 1.0]]) == pytest.approx(-math.log(multiclass.LEAST))


@pytest.mark.parametrize(
    ("truth", "probabilities", "words"),
    [
        ([0, 3], np.full((2, 3), 1 / 3), "image 1 has 3"),
        ([0, -1], np.full((2, 3), 1 / 3), "image 1 has -1"),
        ([0, 0.5], np.full((2, 3), 1 / 3), r"image 1 has 0\.5"),
        ([0, 1], [[0.5, 0.5], [0.9, 0.9]], r"image 1 has \[0.9, 0.9\]"),
        ([0, 1], [[0.5, 0.5], [np.nan, 1.0]], "image 1 has"),
        ([0, 1], [[1.5, -0.5], [0.5, 0.5]], "image 0 has"),
        ([0, 1, 1], np.full((2, 2), 0.5), r"\(3,\) and \(2, 2\)"),
        ([], np.zeros((0, 3)), r"\(0,\) and \(0, 3\)"),
    ],
)
def test_what_is_no_result_is_refused(truth, probabilities, words):
    for figure in (multiclass.confusion, multiclass.cross_entropy, multiclass.reliability):
        with pytest.raises(ValueError, match=words):
            figure(truth, probabilities)


def test_groups_and_names_must_fit():
    truth, probabilities = draw(np.random.default_rng(0), 20)
    with pytest.raises(ValueError, match="19 for 20 images"):
        multiclass.accuracy(truth, probabilities, majority=0, groups=np.arange(19))
    with pytest.raises(ValueError, match="3 probabilities an image, but 2 classes"):
        multiclass.report(truth, probabilities, ["a", "b"], majority=0)
