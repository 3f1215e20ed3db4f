"""Figures against published values, scikit-learn, brute force and simulation."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from helpers import estimates, metrics
from helpers.estimates import Estimate, auc_interval, wilson


@pytest.mark.parametrize(
    ("hits", "cases", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_equals_the_published_table(hits, cases, low, high):  # Newcombe 1998, table I, method 3
    assert wilson(hits, cases) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 300).flatmap(lambda cases: st.tuples(st.integers(0, cases), st.just(cases))))
def test_wilson_is_symmetric_and_inside_the_scale(pair):
    hits, cases = pair
    low, high = wilson(hits, cases)
    assert 0 <= low <= hits / cases <= high <= 1
    assert low < high
    assert wilson(cases - hits, cases) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize(("hits", "cases"), [(0, 0), (5, 4), (-1, 3)])
def test_wilson_refuses_impossible_counts(hits, cases):
    with pytest.raises(ValueError, match=f"{hits} of {cases}"):
        wilson(hits, cases)


@given(st.floats(0, 1), st.integers(2, 200), st.integers(2, 200))
def test_auc_interval_solves_its_equation(auc, abnormal, normal):
    low, high = auc_interval(auc, abnormal, normal)
    assert 0 <= low <= auc <= high <= 1
    assert low < high
    for limit in (low, high):
        if 1e-6 < limit < 1 - 1e-6:  # 1.96 of Hanley and McNeil's standard errors lie between limit and figure
            first, second, half = limit / (2 - limit), 2 * limit**2 / (1 + limit), (abnormal + normal) / 2 - 1
            variance = limit * (1 - limit) + half * (first - limit**2) + half * (second - limit**2)
            assert abs(limit - auc) == pytest.approx(1.959964 * math.sqrt(variance / (abnormal * normal)), rel=1e-4)
    mirrored = auc_interval(1 - auc, abnormal, normal)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-7)


@pytest.mark.parametrize("distance", [0.0, 1.2, 1.8, 2.3, 3.3])  # areas of 0.50 to 0.99
@pytest.mark.parametrize("spread", [1.0, 2.0])
def test_auc_interval_covers_the_truth(distance, spread):
    rng = np.random.default_rng(7)
    true_area = 0.5 * (1 + math.erf(distance / math.sqrt(1 + spread**2) / math.sqrt(2)))
    truth = np.repeat([0, 1], 30)
    covered = []
    for _ in range(400):
        score = np.concatenate([rng.normal(0, 1, 30), rng.normal(distance, spread, 30)])
        low, high = auc_interval(metrics.auc_value(truth, score), 30, 30)
        covered.append(low <= true_area <= high)
    assert 0.92 <= np.mean(covered) <= 0.995


def test_a_perfect_auc_is_not_claimed_to_be_certain():
    perfect = metrics.roc_auc([0] * 30 + [1] * 30, np.arange(60))
    assert perfect.value == perfect.high == 1
    assert 0.90 < perfect.low < 0.95
    worst = metrics.roc_auc([1] * 30 + [0] * 30, np.arange(60))
    assert (worst.low, worst.high) == pytest.approx((0, 1 - perfect.low))


labelled = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8)), min_size=2).filter(
    lambda cases: 0 < sum(label for label, _ in cases) < len(cases)
)


@given(labelled)  # nine distinct scores: many ties
def test_auc_and_curve_equal_brute_force_and_scikit_learn(cases):
    truth, score = np.array(cases).T
    pairs = [(a > n) + (a == n) / 2 for a in score[truth == 1] for n in score[truth == 0]]
    auc, curve = metrics.auc_value(truth, score), metrics.roc_curve(truth, score)
    assert auc == pytest.approx(np.mean(pairs))
    assert np.trapezoid(curve.true_positive_rate, curve.false_positive_rate) == pytest.approx(auc)
    for ours, theirs in zip(curve, reference.roc_curve(truth, score, drop_intermediate=False), strict=True):
        np.testing.assert_allclose(ours, theirs)
    assert metrics.auc_value(1 - truth, score) == pytest.approx(1 - auc)


@given(labelled, st.integers(-1, 9))
def test_confusion_equals_scikit_learn(cases, threshold):
    truth, score = np.array(cases).T
    (tn, fp), (fn, tp) = reference.confusion_matrix(truth, score >= threshold, labels=[0, 1])
    assert metrics.confusion(truth, score, threshold) == (tp, fn, tn, fp)


def test_report_counts_cases_and_names_the_trivial_rules():
    truth = [1] * 20 + [0] * 40
    score = [0.9] * 15 + [0.1] * 5 + [0.5] * 4 + [0.2] * 36  # a score at the threshold counts as abnormal
    report = metrics.binary_report(truth, score, majority=0)
    assert [(e.hits, e.cases) for e in report] == [(51, 60), (15, 20), (36, 40), (None, 60)]
    assert report.auc.value == pytest.approx(reference.roc_auc_score(truth, score))
    assert [(e.baseline_name, e.baseline) for e in report] == [
        ("always-majority", 40 / 60),
        ("always-yes", 1.0),
        ("always-no", 1.0),
        ("coin toss", 0.5),
    ]
    assert str(report.accuracy) == ("accuracy 0.85 (51 of 60), 95 % interval 0.74 to 0.92; always-majority 0.67")
    lines = str(report).splitlines()
    assert [line.split("  ")[0] for line in lines] == ["metric", "accuracy", "sensitivity", "specificity", "ROC AUC"]
    assert len({line.index(word) for line, word in zip(lines, ("value", "0.85", "0.75", "0.90"), strict=False)}) == 1


def test_the_trivial_rule_comes_from_the_training_set():
    truth, score = [1] * 30 + [0] * 10, [0.9] * 40
    assert metrics.accuracy(truth, score, majority=0).baseline == 0.25
    assert metrics.accuracy(truth, score, majority=1).baseline == 0.75
    with pytest.raises(ValueError, match="found 2"):
        metrics.accuracy(truth, score, majority=2)


@pytest.mark.parametrize("batch", [7, 16])
def test_accuracy_is_no_mean_of_batch_means(batch):
    rng = np.random.default_rng(3)
    truth, score = rng.integers(0, 2, 60), np.r_[rng.random(55), np.full(5, 2.0)]
    right = (score >= 0.5) == truth
    means = [right[start : start + batch].mean() for start in range(0, 60, batch)]
    assert metrics.accuracy(truth, score, majority=0).value == right.sum() / 60 != pytest.approx(np.mean(means))


def test_few_cases_give_a_reason_and_no_figure():
    alone = metrics.binary_report([0, 0, 0], [0.1, 0.2, 0.3], majority=0)
    assert str(alone.sensitivity) == (
        "sensitivity cannot be measured: no abnormal case among 3 test cases (10 of a class are needed)."
    )
    assert "only 3 normal cases and no abnormal case" in str(alone.auc)
    assert all(e.value is None and e.low is None and e.hits is None for e in alone)
    few = metrics.binary_report([0] * 50 + [1] * 9, np.linspace(0, 1, 59), majority=0)
    assert few.specificity.value is not None
    assert "only 9 abnormal cases among 59" in few.accuracy.reason
    assert [e.value is None for e in few] == [True, True, False, True]
    enough = metrics.binary_report([0] * 50 + [1] * 10, np.linspace(0, 1, 60), majority=0)
    assert all(e.value is not None for e in enough)
    assert "no normal case and no abnormal case among 0 test cases" in metrics.roc_auc([], []).reason
    assert "too few" in str(alone)
    assert str(few).count("cannot be measured") == 3


@pytest.mark.parametrize(
    ("truth", "score", "quoted"),
    [
        ([0, 1], [0.1, np.nan], "case 1 has nan"),
        ([0, 1], [np.inf, 0.1], "case 0 has inf"),
        ([0, 1], [0.1, "high"], "case 0 has '0.1'"),
        ([0, 2], [0.1, 0.2], "case 1 has 2"),
        ([0, np.nan], [0.1, 0.2], "case 1 has nan"),
        (["CT-0", "CT-23"], [0.1, 0.2], "case 0 has 'CT-0'"),
        ([0, 1, 1], [0.1, 0.2], r"\(3,\) and \(2,\)"),
        ([[0], [1]], [[0.1], [0.2]], r"\(2, 1\)"),
    ],
)
def test_bad_input_is_quoted(truth, score, quoted):
    for measure in (metrics.sensitivity, metrics.specificity, metrics.roc_auc, metrics.roc_curve, metrics.confusion):
        with pytest.raises(ValueError, match=quoted):
            measure(truth, score)


def test_a_curve_needs_both_classes():
    with pytest.raises(ValueError, match="no abnormal case among 2"):
        metrics.roc_curve([0, 0], [0.1, 0.2])


@given(st.floats(0, 1))
def test_a_printed_figure_reads_like_0_or_1_only_when_it_nearly_is(value):
    text = estimates.figure(value)
    assert abs(float(text) - value) <= 0.005 + 1e-12
    if 1e-8 < value < 1 - 1e-8:
        assert 0 < float(text) < 1


def test_the_sentence_of_an_estimate():
    words = str(Estimate("ROC AUC", 0.9996, 0.92, 1.0, None, 1, "coin toss", 0.5))
    assert words == "ROC AUC 0.9996 (1 case), 95 % interval 0.92 to 1.00; coin toss 0.50"


def test_no_paddle_is_loaded():
    code = "import sys; from helpers import augment, metrics, passports; print('paddle' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
