"""Judging anew: known answers, agreement with what the notebooks count, and no figure where there is no case."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_records import make_record

from helpers import judgements, l3_flaws, localization, overlap, siim_flaws
from helpers.l3_scans import MM


def judge(how, record, other=None):
    return how(record, record if other is None else other)


def scans(truth, score):
    return {"truth": np.array(truth), "score": np.array(score)}


def spines(true_mm, errors, missing=()):
    """Answers to scans of which some do not show L3."""
    true_row, errors = np.array(true_mm, float) / MM, np.array(errors, float)
    found_row = true_row + errors / MM
    true_row[list(missing)] = errors[list(missing)] = np.nan
    return make_record({"test": {"true_row": true_row, "found_row": found_row, "error_mm": errors}})


def masks(*rows, kind=None):
    """Answers to images: pixels found, true and both; with ``kind`` also true and both of the wrong truth."""
    found, true, both, *other = np.array(rows, int).T
    columns = {"truth": (true > 0).astype(int), "found_pixels": found, "true_pixels": true, "both_pixels": both}
    if kind:
        columns |= {f"{kind}_pixels": other[0], f"{kind}_both": other[1]}
    return make_record({"test": columns})


# Scans of the chest


def test_by_heart_is_the_accuracy_on_the_training_scans():
    parts = {"test": scans([0, 1, 1, 0], [0.2, 0.9, 0.1, 0.6]), "train": scans([1, 0, 1], [0.5, 0.49, 0.99])}
    assert judge(judgements.by_heart, make_record(parts)) == (0.5, 1.0)


def test_the_best_of_all_epochs_stands_beside_the_one_that_was_kept():
    rows = [{"valid_loss": loss, "valid_metric": right} for loss, right in ((0.9, 0.6), (0.8, 0.75), (0.4, 0.7))]
    record = make_record({"test": scans([0, 1], [0.2, 0.4])}, rows)
    assert judge(judgements.best_of_all, record) == (0.7, 0.75)
    nothing = [{"valid_loss": None, "valid_metric": None}]
    assert judge(judgements.best_of_all, make_record({"test": scans([0], [0.2])}, nothing)) == (None, None)


def test_headlines_are_those_of_both_passports():
    assert judge(judgements.headlines, make_record(value=0.8), make_record(value=0.6)) == (0.8, 0.6)
    assert judge(judgements.headlines, make_record(value=0.8), make_record(value=None)) == (0.8, None)


# Spines


def test_the_first_eight_are_the_first_that_show_l3():
    errors = [0, 99, 0, 0, 99, 0, 0, 0, 0, 99, 99, 0, 99]
    found = judge(judgements.first_eight, spines([200] * 13, errors, missing=[1, 4]))
    assert found == (8 / 11, 7 / 8)  # the eighth that shows it is the tenth of all
    found = judge(judgements.first_eight, spines([200] * 3, [0, 16, -16]))
    assert found == (1 / 3, 1 / 3)  # fewer than eight are all


ERRORS = st.lists(st.integers(-40, 40), min_size=1, max_size=20)


@settings(max_examples=60, deadline=None)
@given(ERRORS, st.integers(0, 3))
def test_from_the_edge_all_errors_move_six_millimetres(errors, missing):
    missing = range(min(missing, len(errors) - 1))
    sound, flawed = judge(judgements.from_the_edge, spines([300] * len(errors), errors, missing))
    kept = np.array(errors[len(missing) :])
    assert sound == np.mean(abs(kept) <= judgements.CLOSE)
    assert flawed == np.mean(abs(kept + 6) <= judgements.CLOSE)


@settings(max_examples=60, deadline=None)
@given(ERRORS, st.integers(0, 99))
def test_tall_scans_are_those_that_the_notebook_counts(errors, seed):
    rng = np.random.default_rng(seed)
    rows = rng.integers(100, 240, len(errors))
    record = spines(rows * MM, errors)
    sound, flawed = judge(judgements.without_the_tall, record)
    images = np.ones((len(rows), 260, 2), np.uint8)
    dropped = l3_flaws.lost(images, rows.astype(float), MM).dropped
    near, tall = abs(np.array(errors)) <= localization.NEAR, rows * MM >= 512
    assert dropped == tall.sum()
    assert sound == near.mean()
    assert flawed == (near[~tall].mean() if (~tall).any() else None)


@pytest.mark.parametrize(
    "how",
    [
        judgements.first_eight,
        judgements.without_the_tall,
        judgements.from_the_edge,
    ],
)
def test_where_no_scan_shows_l3_there_is_no_figure(how):
    assert judge(how, spines([200, 300], [0, 0], missing=[0, 1])) == (None, None)


@pytest.mark.parametrize("limit", [localization.NEAR, 5.0])
def test_near_means_up_to_the_limit_on_both_sides(limit):
    errors = np.array([-limit - 0.1, -limit, 0.0, limit, limit + 0.1, np.nan])
    columns, among = {"error_mm": errors}, np.array([True, True, False, False, False, True])
    assert judgements.near(columns, limit=limit) == 3 / 5
    assert judgements.near(columns, among, limit) == 1 / 2
    assert judgements.near(columns, np.arange(6) == 5, limit) is None
    assert judgements.near(columns) == judgements.near(columns, limit=15.0)


# Masks


COUNTS = st.lists(st.tuples(*[st.integers(0, 40)] * 3), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(COUNTS)
def test_dice_is_what_the_notebook_calls_so(rows):
    rows = [(found + both, true + both, both) for found, true, both in rows]
    record = masks(*rows)
    found, true, both = np.array(rows).T
    kinds = siim_flaws.dice_kinds(overlap.Overlaps(both, true, found))
    positives = None if np.isnan(kinds.positives) else pytest.approx(kinds.positives)
    assert judge(judgements.healthy_as_ill, record) == (positives, pytest.approx(kinds.per_image))
    assert judge(judgements.pooled_by_batch, record) == (pytest.approx(kinds.per_image), pytest.approx(kinds.batches))


def test_batches_are_those_of_the_tutorial():
    """One large image found and 16 small ones missed: the last stands alone in its batch."""
    record = masks((1000, 1000, 1000), *[(0, 10, 0)] * 16)
    batches = [2 * 1000 / (2000 + 150), 0]
    assert judge(judgements.pooled_by_batch, record) == (pytest.approx(1 / 17), pytest.approx(np.mean(batches)))


@pytest.mark.parametrize("kind", ["last", "summed"])
def test_the_truth_is_another_one_and_what_was_found_is_not(kind):
    record = masks((10, 20, 10, 6, 4), (0, 0, 0, 0, 0), (30, 30, 20, 30, 20), kind=kind)
    sound, flawed = judge(partial(judgements.against, kind), record)
    assert sound == pytest.approx(np.mean([20 / 30, 40 / 60]))
    assert flawed == pytest.approx(np.mean([8 / 16, 40 / 60]))


@pytest.mark.parametrize("kind", ["last", "summed"])
def test_without_a_mask_there_is_no_dice_of_positives(kind):
    assert judge(partial(judgements.against, kind), masks((3, 0, 0, 0, 0), kind=kind)) == (None, None)


# Hospitals


def test_at_home_is_the_passport_and_elsewhere_is_counted():
    names = ["NORMAL", "p_odd", "COVID"]
    said = np.array([[0.5, 0.3, 0.2], [0.1, 0.7, 0.2], [0.2, 0.2, 0.6], [0.2, 0.5, 0.3], [0.9, 0.1, 0.0]])
    away = {"truth": np.array(["NORMAL", "p_odd", "NORMAL", "COVID", "NORMAL"])}
    away |= {f"p_{name}": said[:, place] for place, name in enumerate(names)} | {"group": np.arange(5)}
    flawed = make_record({"test": {}, "elsewhere": away}, value=0.95)
    assert judge(judgements.at_home, make_record(value=0.4), flawed) == (3 / 5, 0.95)


def test_a_judgement_changes_nothing():
    record = spines([200, 600, 300], [0, 20, -10])
    before = {name: column.copy() for name, column in record.parts["test"].items()}
    for how in (judgements.first_eight, judgements.from_the_edge, judgements.without_the_tall):
        judge(how, record)
    for name, column in record.parts["test"].items():
        np.testing.assert_array_equal(column, before[name])
