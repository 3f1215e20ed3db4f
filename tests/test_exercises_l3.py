"""The checkers of notebook 02: right is right, each usual mistake gets its own hint, and no hint tells."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.exercises_l3 import check_change, check_doubt, check_height
from helpers.questions import OPEN, RIGHT

CONFIDENCE = st.lists(st.floats(0, 1).map(lambda value: round(value, 3)), min_size=1, max_size=40).map(np.array)


@pytest.mark.parametrize(
    "check",
    [check_height, lambda answer: check_doubt(answer, [0.9], [0.1]), lambda answer: check_change(answer, 330.0, 280.0)],
)
def test_an_open_exercise_asks_and_what_is_no_number_is_asked_for_in_words(check):
    assert check(None) == OPEN
    assert all("one number is expected" in check(answer) for answer in ("1", [1.0], float("nan")))


@given(st.floats(-1000, 1000))
def test_the_hints_on_the_height_never_tell(answer):
    said = check_height(answer)
    assert said.startswith(RIGHT) == (abs(answer - 241) < 0.5)
    assert said.startswith(RIGHT) or "241" not in said


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (583, "above the first row"),
        (355, "not a millimetre"),
        (244, "0 or 1"),
        (171, "where in the patient"),
        (0, "how many"),
    ],
)
def test_each_wrong_height_gets_the_hint_for_it(answer, hint):
    assert hint in check_height(answer)


@given(CONFIDENCE, CONFIDENCE)
def test_any_validation_set_has_an_accepted_threshold_and_it_is_the_best(shown, hidden):
    best = np.sort(shown)[len(shown) // 10]
    assert check_doubt(best, shown, hidden).startswith(RIGHT)
    above = np.nextafter(best, 2)
    if above <= 1:
        assert "which way" in check_doubt(above, shown, hidden)
    said = check_doubt(0.0, shown, hidden)
    assert ("go further" in said) == bool((hidden < best).any())


def test_thresholds_out_of_range_and_sets_of_one_kind_end_in_a_sentence():
    assert "between 0 and 1" in check_doubt(35, [0.9], [0.1])
    assert "lacks scans" in check_doubt(0.5, [0.9], [])
    assert "lacks scans" in check_doubt(0.5, [], [0.1])


@given(st.floats(50, 500), st.floats(50, 500))
def test_the_change_is_in_percent_of_the_area_at_l3(here, above):
    assert check_change(100 * (above - here) / here, here, above).startswith(RIGHT)
    if abs(above - here) > 5:
        assert not check_change((above - here) / here, here, above).startswith(RIGHT)
        assert not check_change(100 * (here - above) / here, here, above).startswith(RIGHT)


@given(st.floats(-60, 60))
def test_the_hints_on_the_change_never_tell(answer):
    said = check_change(answer, here=330.0, above=280.0)
    if not said.startswith(RIGHT):
        assert not any(abs(abs(float(number)) - 15.15) < 0.1 for number in re.findall(r"-?\d+\.\d+", said))


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (-50, "in cm2"),
        (15.15, "grow or shrink"),
        (-0.1515, "how many percent"),
        (-17.86, "of which of the two"),
        (99, "subtract"),
    ],
)
def test_each_wrong_change_gets_the_hint_for_it(answer, hint):
    assert hint in check_change(answer, here=330.0, above=280.0)
