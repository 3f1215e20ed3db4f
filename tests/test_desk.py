"""The threshold desk: what a threshold costs per 100 patients, and a picture that follows the sliders."""

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from PIL import Image

from helpers import metrics
from helpers.desk import ThresholdDesk, desk, picture
from helpers.estimates import wilson
from helpers.pictures import BLUE, VERMILION

NAMES = ("CT-0", "CT-23")
TRUTH = np.repeat([0, 1], [40, 20])
SCORE = np.concatenate([np.linspace(0.02, 0.80, 40), np.linspace(0.31, 0.97, 20)])
WIDGET = "application/vnd.jupyter.widget-view+json"


def shown(which):
    return np.asarray(Image.open(io.BytesIO(which.image.value)).convert("RGB")).astype(int)


def ink(pixels, colour):
    """How many pixels have a colour."""
    return int((np.abs(pixels - 255 * np.array(to_rgb(colour))).max(-1) < 3).sum())


def test_errors_per_hundred_by_hand():
    """16 of 20 ill found, 30 of 40 healthy spared; 5 of 100 patients are ill."""
    score = np.array([0.9] * 10 + [0.1] * 30 + [0.8] * 16 + [0.2] * 4)
    errors = metrics.per_hundred(TRUTH, score, 0.5, 0.05)
    low, high = wilson(4, 20)
    assert errors.network.missed == pytest.approx((1.0, 5 * low, 5 * high))
    low, high = wilson(10, 40)
    assert errors.network.alarms == pytest.approx((23.75, 95 * low, 95 * high))
    assert errors.always_yes == ((0, 0, 0), pytest.approx((95, 95, 95)))
    assert errors.always_no == (pytest.approx((5, 5, 5)), (0, 0, 0))


@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.floats(0, 1))
def test_errors_stay_among_the_patients_and_move_against_each_other(seed, prevalence, threshold):
    rng = np.random.default_rng(seed)
    truth = np.repeat([0, 1], rng.integers(10, 40, 2))
    score = np.round(rng.random(len(truth)), 2)
    strict, loose = (metrics.per_hundred(truth, score, t, prevalence).network for t in (threshold, threshold / 2))
    assert loose.missed[0] <= strict.missed[0]
    assert loose.alarms[0] >= strict.alarms[0]
    for figures, most in ((strict.missed, 100 * prevalence), (strict.alarms, 100 * (1 - prevalence))):
        value, low, high = figures
        assert -1e-9 <= low <= value + 1e-9 <= high + 2e-9 <= most + 3e-9


@given(st.floats(0, 1))
def test_at_the_ends_the_network_is_the_rule_that_never_looks(prevalence):
    lowest, beyond = (metrics.per_hundred(TRUTH, SCORE, threshold, prevalence) for threshold in (0.0, 1.0))
    for errors, rule in ((lowest, "always_yes"), (beyond, "always_no")):
        for own, trivial in zip(errors.network, getattr(errors, rule), strict=True):
            assert own[0] == pytest.approx(trivial[0])


@pytest.mark.parametrize("prevalence", [-0.1, 1.5, float("nan")])
def test_a_prevalence_is_a_share(prevalence):
    with pytest.raises(ValueError, match="share from 0 to 1"):
        metrics.per_hundred(TRUTH, SCORE, 0.5, prevalence)


def test_too_few_cases_have_no_errors_per_hundred():
    with pytest.raises(ValueError, match="sensitivity cannot be measured: no abnormal case among 40"):
        metrics.per_hundred(TRUTH[:40], SCORE[:40], 0.5, 0.1)


def test_every_slider_changes_picture_and_sentence_and_the_static_one_follows():
    board, seen = desk(TRUTH, SCORE, NAMES, origin="phantom"), []
    assert board.children == (board.threshold, board.ill, board.image, board.sentence)
    for control, value in ((board.threshold, 0.31), (board.threshold, 0.81), (board.ill, 2)):
        control.value = value
        bundle, metadata = board._repr_mimebundle_()
        assert base64.b64decode(bundle["image/png"]) == board.image.value
        assert metadata["image/png"]["alt"] == board.sentence.value == board.text
        seen.append((board.image.value, board.text))
    assert len(set(seen)) == 3
    assert bundle["text/plain"] == "ThresholdDesk(60 cases, threshold 0.81, 2 of 100 ill)"
    assert WIDGET in bundle


def test_the_sentence_says_what_is_drawn():
    text = desk(TRUTH, SCORE, NAMES, threshold=0.31, prevalence=0.2, origin="real").text
    missed, alarms = metrics.per_hundred(TRUTH, SCORE, 0.31, 0.2).network
    assert missed[0] == 0  # 0.31 is the lowest score of an ill case
    assert f"of 100 patients (20 CT-23 and 80 CT-0): 0.0 (0.0 to {missed[2]:.1f}) missed" in text
    assert f"{alarms[0]:.1f} ({alarms[1]:.1f} to {alarms[2]:.1f}) false alarms (in brackets 95 % intervals);" in text
    assert "always-yes misses none and raises 80 false alarms, always-no misses 20 and raises none" in text
    assert text.endswith("(real data).")


def test_a_small_figure_does_not_read_like_none():
    score = np.where(np.arange(60) == 59, 0.1, SCORE)  # one of 20 missed, 1 of 100 ill: 0.05
    assert ": 0.05 (" in desk(TRUTH, score, NAMES, threshold=0.3, prevalence=0.01).text


def test_the_bars_are_as_long_as_the_errors():
    """On one scale: at 10 of 100 ill, always-yes has a bar nine times as long as that of always-no."""
    lengths = {}
    for ill, colour in ((0.1, VERMILION), (0.2, VERMILION), (0.1, BLUE), (0.2, BLUE)):
        pixels = np.asarray(Image.open(io.BytesIO(picture(TRUTH, SCORE, NAMES, 0.5, ill).png)).convert("RGB"))
        right = pixels[:, 460:770].astype(int)  # the bars, without the words to their left
        rows = (np.abs(right - 255 * np.array(to_rgb(colour))).max(-1) < 3).sum(1)
        lengths[ill, colour] = rows[rows.size // 2 :].max() if colour == VERMILION else rows.max()
    assert lengths[0.1, BLUE] / lengths[0.1, VERMILION] == pytest.approx(9, rel=0.08)
    assert lengths[0.2, BLUE] / lengths[0.2, VERMILION] == pytest.approx(4, rel=0.05)


def test_coloured_are_the_cases_on_the_wrong_side():
    board = desk(TRUTH, SCORE, NAMES, threshold=0.0)
    for threshold, missed, alarms in ((0.0, False, True), (0.5, True, True), (1.0, True, False)):
        board.threshold.value = threshold
        left = shown(board)[:, :360]
        assert (ink(left, VERMILION) > 100, ink(left, BLUE) > 100) == (missed, alarms)


def test_two_desks_are_the_same_to_the_byte():
    (first, _), (second, _) = (desk(TRUTH, SCORE, NAMES, origin="phantom")._repr_mimebundle_() for _ in range(2))
    assert first.pop(WIDGET) != second.pop(WIDGET)
    assert first == second


@pytest.mark.parametrize(
    ("truth", "sentences"),
    [
        (np.ones(30, int), ["specificity cannot be measured: no normal case among 30"]),
        (np.zeros(30, int), ["sensitivity cannot be measured: no abnormal case among 30"]),
        (np.arange(30) < 4, ["sensitivity cannot be measured: only 4 abnormal cases among 30"]),
        (np.arange(12) < 6, ["sensitivity cannot", "specificity cannot"]),
        (np.zeros(0, int), ["sensitivity cannot", "specificity cannot"]),
    ],
)
def test_too_few_cases_give_a_sentence_and_no_figure(truth, sentences):
    board = desk(truth, np.full(len(truth), 0.5), NAMES)
    bundle, _ = board._repr_mimebundle_()
    assert "image/png" not in bundle
    assert board.children == (board.sentence,)
    assert bundle["text/plain"] == board.text == board.sentence.value
    for sentence in sentences:
        assert sentence in board.text


def test_a_class_named_like_markup_stays_text():
    board = desk(TRUTH, SCORE, ("a", "<b>"))
    assert "&lt;b&gt;" in board.sentence.value
    assert "<b>" in board.text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"names": ("CT-0",)}, r"two classes, but found the names \['CT-0'\]"),
        ({"score": SCORE * 20}, "probabilities from 0 to 1, but found 0.4 to 19.4"),
        ({"threshold": 1.2}, "threshold must be from 0 to 1, but is 1.2"),
        ({"prevalence": 10}, "prevalence must be from 0 to 1, but is 10"),
        ({"truth": TRUTH * 2}, "a label must be 0 or 1, but case 40 has 2"),
        ({"score": np.where(SCORE > 0.9, np.nan, SCORE)}, "finite number"),
        ({"score": SCORE[:-1]}, "one value a case"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_a_sentence(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        ThresholdDesk(**({"truth": TRUTH, "score": SCORE, "names": NAMES} | changes))
