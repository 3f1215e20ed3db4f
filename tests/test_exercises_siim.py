"""The checkers of notebook 03: right is right, each usual mistake gets its own hint, and no hint tells."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import exercises_siim, masks
from helpers.exercises_siim import check_area, check_mean_dice, check_run
from helpers.questions import OPEN, RIGHT

TEXT, SHAPE = "26 12 9 2", (10, 12)
FOUR = exercises_siim.EXERCISES[1].given
FILMS = exercises_siim.EXERCISES[2].given
FOUND = st.lists(st.tuples(st.booleans(), st.integers(0, 30)), min_size=1, max_size=60)


def told(said):
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", said)]


@pytest.mark.parametrize(
    "check",
    [check_run, lambda answer: check_mean_dice(answer, **FOUR), lambda answer: check_area(answer, **FILMS)],
)
def test_an_open_exercise_asks_and_what_is_no_number_is_asked_for_in_words(check):
    assert check(None) == OPEN
    assert all("one number is expected" in check(answer) for answer in ("1", [1.0], float("nan")))


def test_the_second_run_begins_where_the_decoder_says():
    columns = np.flatnonzero(masks.decode_rle(TEXT, SHAPE).any(axis=0))
    second = columns[-1]  # the last run lies in one column, so that no other answer can be meant
    assert masks.decode_rle(TEXT, SHAPE)[:, second].sum() == int(TEXT.split()[-1])
    assert check_run(second).startswith(RIGHT)
    assert check_run(float(second)).startswith(RIGHT)
    assert [column for column in range(SHAPE[1]) if check_run(column).startswith(RIGHT)] == [second]


@given(st.one_of(st.floats(-200, 200), st.integers(-200, 200)))
def test_the_hints_on_the_run_never_tell(answer):
    said = check_run(answer)
    assert said.startswith(RIGHT) == (answer == 4)
    if answer != 4:
        assert said.startswith("Not yet: ")
        assert 4 not in [number for number in told(said) if number != pytest.approx(answer, rel=1e-4)]


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (0, "from where is it counted"),
        (3, "two gaps and a run"),
        (2, "the first run begins"),
        (5, "0 or 1"),
        (7, "its row"),
        (11, "along the rows"),
        (47, "whole columns"),
        (4.7, "whole numbers from 0 to 11"),
        (12, "from 0 to 11"),
        (-1, "from 0 to 11"),
        (8, "come before the second run"),
    ],
)
def test_each_wrong_column_gets_the_hint_for_it(answer, hint):
    said = check_run(answer)
    assert said.startswith("Not yet: ")
    assert hint in said


def mean_dice(truth, found, both):
    """The reference: image by image, as the competition writes it."""
    figures = [1.0 if t + f == 0 else 2 * b / (t + f) for t, f, b in zip(truth, found, both, strict=True)]
    return sum(figures) / len(figures)


def test_the_mean_dice_of_the_four_images_lies_below_an_empty_answer():
    assert mean_dice(**FOUR) == pytest.approx(0.45)
    said = check_mean_dice(0.45, **FOUR)
    assert said.startswith(RIGHT)
    assert "0.50" in said


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(0, 90), st.floats(0, 1)), min_size=1, max_size=8))
def test_any_images_have_an_accepted_mean_dice(images):
    truth, found, shares = map(np.array, zip(*images, strict=True))
    both = (np.minimum(truth, found) * shares).astype(int)
    right = mean_dice(truth, found, both)
    assert check_mean_dice(right, truth, found, both).startswith(RIGHT)
    for wrong in (right - 0.02, right + 0.02):
        assert check_mean_dice(wrong, truth, found, both).startswith("Not yet: ")


@given(st.floats(-2, 2))
def test_the_hints_on_the_mean_dice_never_tell(answer):
    said = check_mean_dice(answer, **FOUR)
    assert said.startswith(RIGHT) == (abs(answer - 0.45) < 0.005)
    if not said.startswith(RIGHT):
        assert all(abs(number - 0.45) > 0.005 for number in told(said) if number != pytest.approx(answer, rel=1e-4))


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (2 * 440 / (640 + 506), "pooled"),
        ((0.8 + 0) / 2, "healthy images count"),
        ((0 + 0 + 0.8 + 0) / 4, "nothing to find and nothing found"),
        ((1 + 1 + 0.8 + 0) / 4, "unpunished"),
        ((0 + 0.8 + 0) / 3, "counts as well"),
        ((1 + 0.8 + 0) / 3, "over all 4"),
        ((1 + 0 + 440 / 1100 + 0) / 4, "counts twice"),
        ((1 + 0 + 440 / 660 + 0) / 4, "mean IoU"),
        (0.5, "an empty answer to every image"),
        (45, "between 0 and 1"),
        (-0.1, "between 0 and 1"),
        (0.9, "write down the Dice of each"),
    ],
)
def test_each_wrong_mean_dice_gets_the_hint_for_it(answer, hint):
    said = check_mean_dice(answer, **FOUR)
    assert said.startswith("Not yet: ")
    assert hint in said


@given(FOUND)
def test_any_validation_set_has_one_accepted_number_of_pixels(images):
    ill, pixels = map(np.array, zip(*images, strict=True))
    healthy = pixels[~ill]
    accepted = [area for area in range(1, 33) if check_area(area, ill, pixels).startswith(RIGHT)]
    enough = [area for area in range(1, 33) if 10 * (healthy >= area).sum() <= len(healthy)]
    assert accepted == (enough[:1] if len(healthy) else [])
    if len(healthy):
        best = accepted[0]
        assert check_area(np.int64(best), ill, pixels).startswith(RIGHT)
        assert "go down" in check_area(best + 1, ill, pixels)
        if best > 1:
            assert f'"at least" takes in those with just {best - 1} pixels' in check_area(best - 1, ill, pixels)
        # what the notebook's solution does: a tenth of the healthy may lie above, and no more
        kept = np.sort(healthy)[: len(healthy) - len(healthy) // 10]
        assert kept[-1] + 1 == best


@pytest.mark.parametrize(("healthy", "alarms"), [(1, 0), (9, 0), (10, 1), (18, 1), (19, 1), (20, 2), (99, 9)])
def test_a_tenth_is_the_most_whole_images_that_are_no_more(healthy, alarms):
    ill, pixels = np.zeros(healthy, bool), np.arange(1, healthy + 1)
    said = check_area(healthy + 1 - alarms, ill, pixels)
    assert said.startswith(RIGHT)
    assert f"{alarms} of {healthy} healthy images" in said


@given(st.integers(-5, 200))
def test_the_hints_on_the_area_never_tell_and_never_contradict(answer):
    said = check_area(answer, **FILMS)
    assert said.startswith(RIGHT) == (answer == 23)
    if answer != 23:
        assert 23 not in told(said)
        assert ("go down" in said) == (answer > 23)
        assert ("which way" in said) == (1 <= answer < 22)


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (1, "8 of 20 healthy images raise a false alarm, which is more than a tenth"),
        (22, "at least"),
        (61, "go down"),
        (23.5, "whole number"),
        (0, "at least 1"),
        (-3, "at least 1"),
        (0.5, "a probability or a share"),
        (0.1, "a probability or a share"),
    ],
)
def test_each_wrong_area_gets_the_hint_for_it(answer, hint):
    said = check_area(answer, **FILMS)
    assert said.startswith("Not yet: ")
    assert hint in said


def test_the_right_area_counts_alarms_and_ill_at_that_very_area():
    assert "2 of 20 healthy images raise a false alarm, and 8 of 10 ill ones are found" in check_area(23, **FILMS)
    assert "1 of 2 ill ones" in check_area(6, [0, 0, 1, 1], [0, 5, 6, 5])


def test_sets_of_one_kind_and_sets_without_alarms_end_in_a_sentence():
    assert "no healthy image" in check_area(5, [True, True], [4, 9])
    said = check_area(6, [False, False], [0, 5])
    assert said.startswith(RIGHT)
    assert "nobody is ill" in said
    assert check_area(1, [False, True], [0, 7]).startswith(RIGHT)
    assert "go down" in check_area(2, [False, True], [0, 7])
