"""Labels that never vanish, a threshold that keeps its promise, and errors whose intervals cover the truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import localization, mip


@pytest.mark.parametrize("label", [localization.band, localization.gaussian])
@pytest.mark.parametrize("row", [0, 1.0, 2.4, 31.5, 61, 63])
@pytest.mark.parametrize("mm", [1.0, 3.0])
def test_a_label_is_found_where_it_was_drawn_even_at_the_edge(label, row, mm):
    one, two = label(row, (64,), mm=mm), label(row, (64, 40), mm=mm)
    assert one.dtype == two.dtype == np.float32
    assert one.max() > 0.9
    for drawn in (one, two):
        found = mip.locate(drawn).row
        assert found == pytest.approx(row, abs=0.6 if 8 < row < 56 else 3)  # cut at the edge, its middle moves in
    np.testing.assert_array_equal(two[:, 20], one)


def test_the_band_reaches_three_mm_to_both_sides_and_the_middle_columns_alone():
    drawn = localization.band(100, (512, 512))
    assert np.flatnonzero(drawn.any(axis=1)).tolist() == list(range(97, 104))
    np.testing.assert_array_equal(drawn.any(axis=0), mip.blank_sides(np.ones((1, 512)))[0] > 0)
    assert np.flatnonzero(localization.band(100, (512,), half_mm=3, mm=3.0)).tolist() == [99, 100, 101]
    assert np.flatnonzero(localization.band(100, (512,), half_mm=0.1)).tolist() == [100]


def test_the_bump_has_its_width_in_mm():
    for mm in (1.0, 2.0):
        rows = np.arange(200)
        drawn = localization.gaussian(90.0, (200,), sigma_mm=8.0, mm=mm)
        assert np.sqrt(np.average((rows - 90.0) ** 2, weights=drawn)) * mm == pytest.approx(8, rel=0.01)


@pytest.mark.parametrize("label", [localization.band, localization.gaussian])
def test_what_is_not_in_view_is_black_and_what_is_outside_is_refused(label):
    assert not label(None, (64, 40)).any()
    for row in (-1.0, 64.0, float("nan")):
        with pytest.raises(ValueError, match="lies outside an image of 64 rows"):
            label(row, (64, 40))


CONFIDENCES = st.lists(st.integers(0, 1000).map(lambda number: number / 1000), min_size=1, max_size=40)


@settings(max_examples=200)
@given(CONFIDENCES, CONFIDENCES, st.sampled_from([0.0, 0.05, 0.1, 0.3]))
def test_the_threshold_refuses_no_more_than_promised_and_none_does_better(shown, hidden, refused):
    shown, hidden = np.array(shown), np.array(hidden)
    threshold = localization.choose_threshold(shown, hidden, refused)
    assert np.mean(shown < threshold) <= refused
    score = np.mean(hidden < threshold) - np.mean(shown < threshold)
    for other in np.unique([*shown, *hidden]):
        if np.mean(shown < other) <= refused:
            assert np.mean(hidden < other) - np.mean(shown < other) <= score + 1e-9


def test_the_threshold_lies_half_way_and_needs_both_kinds():
    assert localization.choose_threshold([0.8, 0.9], [0.2, 0.1]) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="there are 0 and 1"):
        localization.choose_threshold([], [0.5])


ERRORS = np.random.default_rng(0).normal(3, 4, 200)


def test_the_figures_are_numpys():
    found = localization.report(ERRORS, ERRORS * 10)
    assert found.median.value == pytest.approx(np.median(abs(ERRORS)))
    assert found.mean.value == pytest.approx(abs(ERRORS).mean())
    assert found.spread.value == pytest.approx(ERRORS.std())
    assert found.percentile95.value == pytest.approx(np.percentile(abs(ERRORS), 95))
    assert found.bias.value == pytest.approx(ERRORS.mean())
    assert localization.report(-ERRORS, ERRORS).bias.value == pytest.approx(-ERRORS.mean())
    assert (found.near.hits, found.near.cases) == (np.sum(abs(ERRORS) <= 15), 200)
    assert found.median.baseline == pytest.approx(10 * np.median(abs(ERRORS)))
    for estimate in found:
        assert estimate.low <= estimate.value <= estimate.high
    assert "smaller than that of constant row" in found.verdict
    assert "cannot be told" in localization.report(ERRORS, ERRORS).verdict
    assert len(str(found).splitlines()) == 7


def test_the_interval_of_the_bias_covers_the_truth():
    rng, covered = np.random.default_rng(1), 0
    for seed in range(25):
        bias = localization.report(errors := rng.normal(2, 5, 40), errors, seed=seed).bias
        covered += bias.low <= 2 <= bias.high
    assert 21 <= covered <= 25


def test_scans_of_one_patient_are_no_independent_proofs():
    errors = np.repeat(np.random.default_rng(2).normal(0, 5, 20), 10)
    alone = localization.report(errors, errors).bias
    together = localization.report(errors, errors, patients=np.repeat(np.arange(20), 10)).bias
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_too_few_patients_give_a_reason_and_no_figure():
    found = localization.report(ERRORS[:20], ERRORS[:20], patients=["a"] * 11 + ["b"] * 9)
    assert {estimate.value for estimate in found} == {None}
    assert str(found.median) == found.verdict == "median error, mm cannot be measured: 2 patients (10 are needed)."


@pytest.mark.parametrize(
    ("errors", "baseline", "match"), [([1.0, np.nan], [1.0, 1.0], "no number"), ([1.0], [1.0, 2.0], "as many")]
)
def test_what_cannot_be_summed_up_is_refused(errors, baseline, match):
    with pytest.raises(ValueError, match=match):
        localization.report(errors, baseline)
