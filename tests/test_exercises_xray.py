"""The checkers of notebook 04: right is right, each usual mistake gets its own hint, and no hint tells."""

import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from helpers import exercises_xray, multiclass, xray_flaws
from helpers.exercises_xray import check_control, check_ece, check_wrapped
from helpers.questions import OPEN, RIGHT

SHARES = exercises_xray.EXERCISES[1].given
BINS = exercises_xray.EXERCISES[2].given
ACCURACY = st.integers(0, 1000).map(lambda hits: hits / 1000)


def told(said):
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", said)]


@pytest.mark.parametrize(
    "check",
    [check_wrapped, lambda answer: check_control(answer, **SHARES), lambda answer: check_ece(answer, **BINS)],
)
def test_an_open_exercise_asks_and_what_is_no_number_is_asked_for_in_words(check):
    assert check(None) == OPEN
    assert all("one number is expected" in check(answer) for answer in ("1", [1.0], float("nan")))


def test_the_pixel_is_what_the_published_noise_makes_of_it():
    stored = xray_flaws.add_wrapped(np.array([3], np.uint8), [-5])[0]
    assert check_wrapped(int(stored)).startswith(RIGHT)
    assert check_wrapped(stored).startswith(RIGHT)
    assert [value for value in range(256) if check_wrapped(value).startswith(RIGHT)] == [stored]


@given(st.one_of(st.floats(-600, 600), st.integers(-600, 600)))
def test_the_hints_on_the_pixel_never_tell(answer):
    said = check_wrapped(answer)
    assert said.startswith(RIGHT) == (answer == 254)
    if answer != 254:
        assert said.startswith("Not yet: ")
        assert 254 not in [number for number in told(said) if number != pytest.approx(answer, rel=1e-4)]


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (-2, "8 bits know no minus"),
        (0, "nothing is cut"),
        (255, "first number below 0"),
        (253, "how many values"),
        (8, "win or lose"),
        (2, "not just dropped"),
        (256, "from 0 to 255"),
        (-3, "from 0 to 255"),
        (1.5, "from 0 to 255"),
        (100, "modulo"),
    ],
)
def test_each_wrong_pixel_gets_the_hint_for_it(answer, hint):
    said = check_wrapped(answer)
    assert said.startswith("Not yet: ")
    assert hint in said


@given(ACCURACY, ACCURACY, ACCURACY)
def test_any_control_has_an_accepted_share_and_no_usual_mistake_passes(full, borders, chance):
    assume(full > chance)
    right = 100 * (borders - chance) / (full - chance)
    said = check_control(right, full, borders, chance)
    assert said.startswith(RIGHT)
    assert ("no better than chance" in said) == (borders <= chance)
    mistakes = (
        100 * borders / full,
        100 * (full - borders),
        100 * (borders - chance),
        100 - right,
        -right,
        right / 100,
    )
    for mistake in mistakes:
        if abs(mistake - right) > 0.51:
            assert check_control(mistake, full, borders, chance).startswith("Not yet: ")


def test_a_network_that_only_guesses_ends_in_a_sentence():
    for full in (0.3, 0.4):
        assert "no gain" in check_control(50, full, borders=0.45, chance=0.4)


@given(st.floats(-200, 200))
def test_the_hints_on_the_control_never_tell(answer):
    said = check_control(answer, **SHARES)
    assert said.startswith(RIGHT) == (abs(answer - 52) < 0.5)
    assert said.startswith(RIGHT) or 52 not in told(said)


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (71.8, "compares the accuracies"),
        (30.6, "from the border only"),
        (122, "from the whole image only"),
        (48, "needs more than the border"),
        (24, "fall behind"),
        (26, "does the border gain"),
        (-52, "better or worse"),
        (0.52, "a share of 1"),
        (90, "by how much"),
    ],
)
def test_each_wrong_share_gets_the_hint_for_it(answer, hint):
    said = check_control(answer, **SHARES)
    assert said.startswith("Not yet: ")
    assert hint in said


def drawn(seed, images):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet([0.5] * 3, images)
    return rng.integers(3, size=images), probabilities


@given(st.integers(0, 2**32 - 1), st.integers(1, 200))
def test_the_error_that_is_taught_is_accepted_for_any_network(seed, images):
    found = multiclass.reliability(*drawn(seed, images))  # bins without an image are NaN
    bins = (found.counts, found.confidence, found.accuracy)
    assert check_ece(100 * found.error, *bins).startswith(RIGHT)
    for wrong in (100 * found.error + 0.2, 100 * found.error - 0.2):
        assert check_ece(wrong, *bins).startswith("Not yet: ")


def test_the_error_of_the_three_bins_is_accepted_and_so_is_a_list():
    assert check_ece((20 * 20 + 40 * 5 + 140 * 5) / 200, **BINS).startswith(RIGHT)
    assert "+2.5 points" in check_ece(6.5, **{name: part.tolist() for name, part in BINS.items()})
    assert "+0.0 points" in check_ece(10, [5, 5], [0.6, 0.8], [0.7, 0.7])


def test_bins_without_any_image_end_in_a_sentence():
    assert "hold no image" in check_ece(5, [0, 0], [np.nan, np.nan], [np.nan, np.nan])


@given(st.floats(-50, 50))
def test_the_hints_on_the_error_never_tell(answer):
    said = check_ece(answer, **BINS)
    assert said.startswith(RIGHT) == (abs(answer - 6.5) < 0.1)
    assert said.startswith(RIGHT) or 6.5 not in told(said)


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (10, "every bin counts alike"),
        (2.5, "cancel there"),
        (-2.5, "cancel there"),
        (20, "worst of the bins"),
        (30, "sum over the bins"),
        (5, "fullest bin"),
        (0.065, "a share of 1"),
        (-6.5, "never negative"),
        (40, "how far apart"),
    ],
)
def test_each_wrong_error_gets_the_hint_for_it(answer, hint):
    said = check_ece(answer, **BINS)
    assert said.startswith("Not yet: ")
    assert hint in said
