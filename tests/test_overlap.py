"""Dice and IoU image by image: by hand, beside the rule that finds nothing, with intervals that cover the truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from helpers import masks, overlap
from helpers.overlap import Overlaps

PAIRS = arrays.array_shapes(min_dims=3, max_dims=3, max_side=5).flatmap(
    lambda shape: st.tuples(arrays.arrays(bool, shape), arrays.arrays(bool, shape))
)


def case(both: int, truth: int, found: int) -> tuple[np.ndarray, np.ndarray]:
    """A true and a found mask of 10 x 10 pixels with so many pixels in both, and in each."""
    masks = np.zeros((2, 100), bool)
    masks[0, :truth] = True
    masks[1, truth - both : truth - both + found] = True
    return masks.reshape(2, 10, 10)


def counts(images=200, share=0.25, seed=0) -> Overlaps:
    """Images of which a share has something to find, most of it found, with false alarms on some of the others."""
    rng = np.random.default_rng(seed)
    truth = np.where(rng.random(images) < share, rng.integers(20, 400, images), 0)
    both = (truth * rng.random(images)).astype(int)
    alarms = np.where(rng.random(images) < 0.1, rng.integers(1, 50, images), 0)
    return Overlaps(both, truth, both + alarms)


def test_by_hand():
    truth, found = np.stack([case(30, 40, 40), case(0, 0, 5), case(0, 0, 0), case(0, 10, 0)], axis=1)
    np.testing.assert_allclose(overlap.dice(truth, found), [60 / 80, 0, 1, 0])
    np.testing.assert_allclose(overlap.iou(truth, found), [30 / 50, 0, 1, 0])
    assert overlap.pooled_dice(truth, found) == pytest.approx(60 / 95)  # 2 * 30 / (50 + 45)
    assert overlap.dice(truth, found).mean() == pytest.approx(0.4375)  # not the same thing


def test_pooled_and_per_image_figures_disagree_about_the_same_masks():
    """One large mask found, nine small ones missed: pooled it looks nearly perfect."""
    pairs = [case(80, 80, 80), *[case(0, 1, 0)] * 9]
    truth, found = np.stack(pairs, axis=1)
    assert overlap.pooled_dice(truth, found) == pytest.approx(160 / 169)
    assert overlap.dice(truth, found).mean() == pytest.approx(0.1)


@settings(max_examples=100)
@given(PAIRS)
def test_of_several_images_each_is_measured_alone(pair):
    truth, found = pair
    for figure in (overlap.dice, overlap.iou):
        alone = [figure(one, other) for one, other in zip(truth, found, strict=True)]
        assert all(isinstance(value, float) and 0 <= value <= 1 for value in alone)
        np.testing.assert_array_equal(figure(truth, found), alone)
        np.testing.assert_array_equal(figure(found, truth), alone)
        assert (figure(truth, truth) == 1).all()
    dice, iou = overlap.dice(truth, found), overlap.iou(truth, found)
    np.testing.assert_allclose(dice, 2 * iou / (1 + iou))
    joined = overlap.join(overlap.measure(one, other) for one, other in zip(truth, found, strict=True))
    np.testing.assert_array_equal(joined.dice, dice)
    assert joined.pooled == overlap.pooled_dice(truth, found)
    assert joined.both.dtype == np.int64


def test_finding_nothing_scores_the_share_of_empty_images_on_the_published_table(realdata):
    table = masks.read_table(realdata / "siim" / "train-rle.csv.gz")
    areas = [sum(map(int, " ".join(texts).split()[1::2])) for texts in table.images.values()]
    nothing = np.zeros(len(areas), np.int64)
    found = Overlaps(nothing, np.array(areas), nothing)
    assert found.dice.mean() == found.iou.mean() == 9378 / 12047
    assert round(found.dice.mean(), 4) == 0.7785
    report = overlap.overlap_report(found)
    assert report.dice.value == report.dice.baseline == 9378 / 12047
    assert (report.positives.value, report.positives.cases, report.pooled.value) == (0, 2669, 0)
    assert (report.gain.low, report.gain.value, report.gain.high) == (0, 0, 0)
    assert "cannot be told from all-empty" in report.verdict


def test_the_figures_are_numpys_beside_those_of_the_rule():
    found = counts()
    ill = found.truth > 0
    report = overlap.overlap_report(found)
    assert report.dice.value == pytest.approx(found.dice.mean())
    assert report.positives.value == pytest.approx(found.dice[ill].mean())
    assert report.iou.value == pytest.approx(found.iou.mean())
    assert report.pooled.value == pytest.approx(found.pooled)
    assert report.gain.value == pytest.approx(found.dice.mean() - np.mean(~ill))
    assert report.dice.baseline == report.iou.baseline == np.mean(~ill)
    assert report.positives.baseline == report.pooled.baseline == report.gain.baseline == 0
    assert (report.dice.cases, report.positives.cases) == (200, ill.sum())
    for estimate in report:
        assert estimate.low < estimate.value < estimate.high
        assert estimate.baseline_name == "all-empty"
    for estimate, figures in ((report.dice, found.dice), (report.positives, found.dice[ill])):
        width = 2 * 1.96 * figures.std() / np.sqrt(len(figures))  # of the textbook, near the middle of the scale
        assert estimate.high - estimate.low == pytest.approx(width, rel=0.12)
    assert len(str(report).splitlines()) == 6


def test_the_gain_is_paired():
    """How many images happen to be empty moves the mean Dice of network and rule alike, and not the difference."""
    truth = np.array([0] * 150 + [100] * 50)
    both = truth // 10
    report = overlap.overlap_report(Overlaps(both, truth, both))
    assert report.gain.value == pytest.approx(0.25 * 20 / 110)
    assert "cannot be told from all-empty" in report.dice.verdict
    assert report.verdict == "gain in mean Dice is better than all-empty: the whole interval lies above it"


def test_false_alarms_everywhere_are_worse_than_nothing():
    truth = np.array([0] * 60 + [100] * 20)
    both = truth // 10
    report = overlap.overlap_report(Overlaps(both, truth, both + 50))
    assert report.gain.high < 0
    assert "worse than all-empty" in report.verdict
    as_much_lost = overlap.overlap_report(Overlaps(truth, truth, truth + np.repeat([0, 9], [60, 20])[::-1]))
    assert as_much_lost.gain.low < 0 < as_much_lost.gain.high
    assert "cannot be told from all-empty" in as_much_lost.verdict


def test_the_intervals_cover_the_truth():
    large = counts(200_000, seed=99)
    ill = large.truth > 0
    truths = (large.dice.mean(), large.dice[ill].mean(), large.iou.mean(), large.pooled, (large.dice - ~ill).mean())
    covered = np.zeros(5, int)
    for seed in range(25):
        report = overlap.overlap_report(counts(150, seed=seed), seed=seed)
        covered += [e.low <= truth <= e.high for e, truth in zip(report, truths, strict=True)]
    assert (covered >= 21).all()


def test_images_of_one_patient_are_no_independent_proofs():
    once = counts(40, share=0.5)
    many = overlap.join([once] * 8)
    patients = np.tile(np.arange(40), 8)
    alone, together = overlap.overlap_report(many), overlap.overlap_report(many, patients)
    for one, other in zip(alone, together, strict=True):
        assert other.high - other.low > 2 * (one.high - one.low)
        assert one.value == pytest.approx(other.value)


def test_the_same_seed_gives_the_same_intervals_and_names_of_patients_do_not_matter():
    found, patients = counts(), np.arange(200) // 2
    first = overlap.overlap_report(found, patients)
    assert first == overlap.overlap_report(found, [f"p{number:04}" for number in patients])
    assert first != overlap.overlap_report(found, patients, seed=1)


def test_with_nothing_to_find_there_is_no_figure_of_finding():
    nothing = np.zeros(30, np.int64)
    report = overlap.overlap_report(Overlaps(nothing, nothing, np.arange(30) % 3))
    assert report.dice.value == report.iou.value == pytest.approx(1 / 3)
    assert report.dice.baseline == 1
    for estimate in (report.positives, report.pooled, report.gain):
        assert (estimate.value, estimate.reason) == (None, "nothing to find on 30 images")
    assert report.verdict == "gain in mean Dice cannot be measured: nothing to find on 30 images."


def test_with_something_to_find_everywhere_the_rule_gets_nothing():
    report = overlap.overlap_report(counts(60, share=1.0))
    assert report.dice.value == report.positives.value == report.gain.value
    assert {estimate.baseline for estimate in report} == {0}


def test_too_few_patients_give_a_reason_and_no_figure():
    found = counts(40, share=0.1)
    ill = int((found.truth > 0).sum())
    assert 0 < ill < 10
    report = overlap.overlap_report(found)
    assert report.positives.reason == f"something to find in {ill} patients (10 are needed)"
    assert report.positives.cases == ill
    assert None not in (report.dice.value, report.gain.value)
    report = overlap.overlap_report(found, [0] * 20 + [1] * 20)
    assert {estimate.value for estimate in report} == {None}
    assert str(report.dice) == "mean Dice per image cannot be measured: 2 patients (10 are needed)."
    empty = overlap.overlap_report(Overlaps(*[np.zeros(0, np.int64)] * 3))
    assert {estimate.value for estimate in empty} == {None}


def test_what_cannot_be_compared_is_refused():
    mask = np.zeros((4, 4), bool)
    with pytest.raises(ValueError, match="found bool and float64; compare with a threshold"):
        overlap.dice(mask, mask.astype(float))
    with pytest.raises(ValueError, match="same rows and columns"):
        overlap.dice(mask, mask[:2])
    with pytest.raises(ValueError, match="same rows and columns"):
        overlap.dice(mask[0], mask[0])
    with pytest.raises(ValueError, match="one number an image"):
        Overlaps(np.zeros(2), np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="image 1 cannot have 5 pixels in both masks, and 4 and 9"):
        Overlaps(np.array([0, 5]), np.array([0, 4]), np.array([0, 9]))
    with pytest.raises(ValueError, match="one group, but 200 images"):
        overlap.overlap_report(counts(), [1, 2])
