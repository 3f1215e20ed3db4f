"""What the network of notebook 02 is shown and asked: the truth follows the image through every change."""

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from helpers import l3_scans, rows, training
from helpers.l3_scans import COLUMNS, LEVELS, MM, TARGET
from helpers.networks import RowNet
from helpers.rows import AROUND, ROWS, Rows

CHANGES = ("nothing", "vary", "leave out")


def world(levels, height=192, known=None, seed=0):
    """Prepared scans: dim noise, and the row of L3 marked by a bright bar across the middle of both views."""
    rng = np.random.default_rng(seed)
    levels = np.asarray(levels, float)
    if levels.ndim == 1:
        levels = np.where(np.arange(len(LEVELS)) == TARGET, levels[:, None], np.nan)
    images = rng.integers(5, 25, (len(levels), 2, height, COLUMNS), dtype=np.uint8)
    for image, row in zip(images, levels[:, TARGET], strict=True):
        if np.isfinite(row):
            image[:, int(row) - 1 : int(row) + 2, 44:52] = 255
    known = np.ones(levels.shape, bool) if known is None else np.asarray(known)
    return l3_scans.Prepared(images, np.zeros(len(levels)), np.full(len(levels), -MM), levels, known)


def marked(image):
    """The row of the bar in one channel, wherever its columns went; None where it is not in view."""
    profile = np.sort(image, axis=1)[:, -6:].mean(axis=1)
    bright = np.flatnonzero(profile > 0.5 * profile.max())
    return None if profile.max() < 0.35 else np.average(bright, weights=profile[bright])


# The sets


@pytest.mark.parametrize("view", ["frontal", "sagittal", "both"])
@pytest.mark.parametrize("ask", ["levels", "row", "pixel"])
def test_the_truth_stays_on_the_bar_through_every_variation(view, ask):
    prepared = world([40.0, 90.0, 150.0])
    data = Rows(prepared, [0, 1, 2], 7, view, "vary", ask)
    shown = hidden = 0
    for epoch in range(40):
        data.epoch = epoch
        for number in range(3):
            image, target = data[number]
            assert (image.dtype, target.dtype) == (np.float32, np.float32)
            assert image.shape == (len(rows.VIEWS[view]), ROWS, COLUMNS)
            assert 0 <= image.min() <= image.max() <= 1
            truth = target[TARGET, :-1] if ask == "levels" else target[0] if ask == "row" else target[0].max(axis=1)
            assert len(truth) == ROWS
            seen = [place for place in map(marked, image) if place is not None]
            if truth.sum() > 0:
                middle = np.average(np.arange(ROWS), weights=truth)
                if 4 < middle < ROWS - 5:  # at the edge bump and bar are cut in two, each in its way
                    assert seen
                    assert all(abs(place - middle) < 1.6 for place in seen), (epoch, number)
                shown += 1
            else:
                assert not any(2 < place < ROWS - 3 for place in seen), (epoch, number)
                hidden += 1
    assert min(shown, hidden) >= 12


def test_a_scan_longer_than_a_training_image_is_cut_everywhere_and_the_truth_moves_along():
    data, firsts = Rows(world([200.0], height=448), [0], 1, change="vary"), set()
    for epoch in range(60):
        data.epoch = epoch
        image, target = data[0]
        place, truth = marked(image[0]), target[TARGET]
        if truth[-1] == 0 and 4 < truth[:-1].argmax() < ROWS - 5:
            assert place == pytest.approx(np.average(np.arange(ROWS), weights=truth[:-1]), abs=1.6)
            firsts.add(int(truth[:-1].argmax()) // 20)
        assert truth.sum() == pytest.approx(1)
    assert len(firsts) >= 4


def test_a_change_depends_on_seed_epoch_and_case_alone():
    prepared = world([40.0, 90.0, 120.0])
    data, other = Rows(prepared, [0, 1, 2], 7, change="vary"), Rows(prepared, [2, 1], 7, change="vary")
    assert np.array_equal(data[2][0], other[0][0])
    before = data[1][0]
    assert np.array_equal(before, data[1][0])
    data.epoch = 1
    assert not np.array_equal(before, data[1][0])
    assert not np.array_equal(before, Rows(prepared, [1], 8, change="vary")[0][0])
    assert np.array_equal(prepared.images, world([40.0, 90.0, 120.0]).images)  # and the data stay as they were


@pytest.mark.parametrize(("view", "flipped"), [("frontal", [True]), ("sagittal", [False]), ("both", [True, False])])
def test_a_mirror_swaps_left_and_right_and_nothing_else(view, flipped):
    prepared = world([40.0])
    data = Rows(prepared, [0], 0, view)
    one, data.mirrored = data[0], True
    mirrored = data[0]
    for here, there, turned in zip(one[0], mirrored[0], flipped, strict=True):
        np.testing.assert_array_equal(there, here[:, ::-1] if turned else here)
    np.testing.assert_array_equal(one[1], mirrored[1])
    np.testing.assert_array_equal((one[0] * 255).round().astype(int), prepared.images[0][rows.VIEWS[view]])


@pytest.mark.parametrize("view", ["frontal", "sagittal", "both"])
@pytest.mark.parametrize("row", [3.0, 40.0, 188.0])
def test_a_copy_that_leaves_l3_out_has_none(view, row):
    for seed in range(30):
        image, target = Rows(world([row]), [0], seed, view, "leave out")[0]
        assert target[TARGET, -1] == 1
        assert target[TARGET, :-1].sum() == 0
        assert image.shape == (len(rows.VIEWS[view]), 192, COLUMNS)  # not cut: a validation scan stays whole
        assert not any(place is not None for place in map(marked, image)), seed


def test_unknown_levels_ask_nothing_and_known_ones_share_out_one():
    levels = np.full((1, len(LEVELS)), np.nan)
    levels[0, TARGET], levels[0, TARGET + 1] = 60.0, 69.5
    known = np.zeros((1, len(LEVELS)), bool)
    known[0, TARGET : TARGET + 3] = True
    for change in CHANGES:
        target = Rows(world(levels, known=known), [0], 3, change=change)[0][1]
        assert target.sum(axis=1)[~known[0]].tolist() == [0] * (len(LEVELS) - 3)
        assert target.sum(axis=1)[known[0]] == pytest.approx(1)
    target = Rows(world(levels, known=known), [0], 3)[0][1]
    assert target[TARGET].argmax() == 60
    middle = np.average(np.arange(192), weights=target[TARGET + 1, :-1])
    assert middle == pytest.approx(69.5)
    spread = np.sqrt(np.average((np.arange(192) - middle) ** 2, weights=target[TARGET + 1, :-1])) * MM
    assert spread == pytest.approx(rows.SIGMA, rel=0.05)
    assert target[TARGET + 2].argmax() == 192  # known to be out of view


@pytest.mark.parametrize("row", [0.0, 191.0, 95.5])
@pytest.mark.parametrize("ask", ["levels", "row", "pixel"])
def test_l3_in_the_first_and_the_last_row_is_still_asked_for(row, ask):
    target = Rows(world([row]), [0], 0, ask=ask)[0][1]
    truth = target[TARGET, :-1] if ask == "levels" else target[0] if ask == "row" else target[0].max(axis=1)
    assert abs(int(truth.argmax()) - row) <= 1.5
    assert truth.sum() >= 0.99


# The loss


def outputs_of(seed=0, cases=2, height=24):
    return np.random.default_rng(seed).normal(0, 2, (cases, len(LEVELS), height)).astype(np.float32)


def loss(outputs, targets):
    return rows.row_entropy(paddle.to_tensor(outputs), paddle.to_tensor(targets)).item()


def random_targets(seed=1, cases=2, height=24, known=1.0):
    rng = np.random.default_rng(seed)
    targets = rng.random((cases, len(LEVELS), height + 1)).astype(np.float32)
    targets /= targets.sum(axis=2, keepdims=True)
    return targets * (rng.random((cases, len(LEVELS), 1)) < known)


def test_the_loss_is_the_cross_entropy_of_rows_and_none():
    outputs, targets = outputs_of(), random_targets()
    shares = softmax(np.pad(outputs.astype(float), ((0, 0), (0, 0), (0, 1))), axis=2)
    assert loss(outputs, targets) == pytest.approx(-(targets * np.log(shares)).sum(axis=2).mean(), rel=1e-5)


def test_unknown_levels_count_for_nothing_in_the_loss():
    outputs, targets = outputs_of(), random_targets(known=0.4).astype(np.float32)
    lost = targets.sum(axis=2) == 0
    assert lost.any()
    poisoned = outputs.copy()
    poisoned[lost] = 50 * np.random.default_rng(2).normal(size=poisoned[lost].shape)
    assert loss(poisoned, targets) == pytest.approx(loss(outputs, targets), rel=1e-6)
    tensor = paddle.to_tensor(outputs, stop_gradient=False)
    rows.row_entropy(tensor, paddle.to_tensor(targets)).backward()
    slope = tensor.grad.numpy()
    assert not slope[lost].any()
    assert slope[~lost].any(axis=1).all()


def test_the_loss_is_lowest_where_the_answer_is_the_target():
    targets = random_targets()
    right = np.log(targets[..., :-1]) - np.log(targets[..., -1:])
    entropy = -(targets * np.log(targets)).sum(axis=2).mean()
    assert loss(right.astype(np.float32), targets) == pytest.approx(entropy, rel=1e-4)
    assert loss((right + outputs_of(seed=4)).astype(np.float32), targets) > entropy + 0.1


# The confidence


def test_the_confidence_equals_a_case_worked_out_by_hand():
    outputs = np.full((1, len(LEVELS), 8), 9.0, np.float32)  # what is said of other vertebrae does not matter
    outputs[0, TARGET] = np.log([1, 1, 2, 4, 1, 1, 1, 1])  # beside 1 for "none", so thirteenths
    found = rows.confidence(outputs)
    np.testing.assert_allclose(found[0] * 13, [4, 8, 9, 9, 9, 8, 4, 3], rtol=1e-6)
    pixels = np.full((1, 1, 2, 20), -30.0, np.float32)
    pixels[0, 0, 1, [3, 17]] = [0.0, np.log(3)]  # a half and three quarters; the highest two of twenty count
    np.testing.assert_allclose(rows.confidence(pixels)[0], [0, 0.625], atol=1e-9)
    np.testing.assert_allclose(rows.confidence(np.float32([[[0.0, np.log(3)]]])), [[0.5, 0.75]])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 300), st.integers(1, 40))
def test_a_confidence_is_a_probability_however_sure_the_network_is(seed, scale, height):
    outputs = outputs_of(seed, height=height) * np.float32(scale)
    found = rows.confidence(outputs)
    assert found.shape == (2, height)
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 1
    shares = softmax(np.pad(outputs.astype(float), ((0, 0), (0, 0), (0, 1))), axis=2)[:, TARGET]
    for row in range(height):
        near = shares[:, max(row - AROUND, 0) : min(row + AROUND + 1, height)].sum(axis=1)
        np.testing.assert_allclose(found[:, row], near, atol=1e-9)


def test_a_network_that_says_none_is_not_confident_of_any_row():
    outputs = np.full((1, len(LEVELS), 50), -20.0, np.float32)
    assert rows.confidence(outputs).max() < 1e-6


# The metric


@pytest.mark.parametrize("ask", ["levels", "row", "pixel"])
def test_the_metric_counts_those_within_half_a_vertebra_of_those_in_view(ask):
    data = Rows(world([50.0, 60.0, 70.0, np.nan]), range(4), 0, ask=ask)
    targets = np.stack([data[number][1] for number in range(4)])
    shape = {"levels": (4, len(LEVELS), 192), "row": (4, 1, 192), "pixel": (4, 1, 192, COLUMNS)}[ask]
    outputs = np.full(shape, -20.0, np.float32)
    half = int(rows.localization.NEAR / MM)
    for case, place in enumerate([50 + half - AROUND, 60 - half - AROUND - 1, 70, 100]):
        # by sums over five rows the first of five equal ones is named, two above the only one there is
        outputs[case, TARGET if ask == "levels" else 0, place] = 20
    assert rows.right_level(targets, outputs) == pytest.approx(2 / 3)
    assert rows.right_level(targets[3:], outputs[3:]) == 0.0
    perfect = np.log(targets[..., :192] + 1e-6) if ask == "levels" else 20 * targets - 10
    assert rows.right_level(targets, perfect.astype(np.float32)) == 1.0


# All of it


def test_a_small_network_learns_to_find_the_bar():
    """Targets, loss and metric belong together: three bars a scan, of which the middle one is to be found."""
    rng = np.random.default_rng(5)
    known = np.tile(np.arange(len(LEVELS)) == TARGET, (72, 1))
    prepared = world(rng.uniform(30, 110, 72), height=160, known=known, seed=5)
    for image, row in zip(prepared.images, prepared.levels[:, TARGET], strict=True):
        for other in (int(row) - 20, int(row) + 20):
            image[:, other - 1 : other + 2, 44:52] = 255
    paddle.seed(1)
    network = RowNet(4, depth=4, outputs=len(LEVELS))
    train, valid, test = (Rows(prepared, part, 3) for part in np.split(np.arange(72), [48, 60]))
    plan = training.Schedule(9, 8, 2e-2, kind="one-cycle", patience=9)
    facts = {"loss": rows.row_entropy, "metric": rows.right_level, "schedule": plan, "seed": 2}
    fit = training.fit(network, train, valid, **facts)
    assert fit.rows[-1]["loss"] < 0.5 * fit.rows[0]["loss"]
    sure = rows.confidence(training.predict(network, test))
    error = abs(sure.argmax(axis=1) - prepared.levels[test.where, TARGET]) * MM
    assert np.median(error) < 8
    assert np.mean(error < 15) > 0.8
