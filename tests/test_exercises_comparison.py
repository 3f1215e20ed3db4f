"""The checkers of notebook 05: right is right, each usual mistake gets its own hint, and no hint tells."""

import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from helpers import exercises
from helpers.estimates import Estimate, wilson
from helpers.exercises_comparison import EXERCISES, HINTS, NEAR_POINTS, check_belief, check_mcnemar, check_sabotage
from helpers.questions import OPEN, RIGHT
from helpers.sabotage_scans import SUSPECTS, draw_way

TABLE, REPORTS = EXERCISES[0].given, EXERCISES[1].given
COUNT = st.integers(0, 60)


def told(said):
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", said)]


def tosses(first, second):
    """Both ends of a coin tossed as often as the two disagree, counted term by term."""
    apart = first + second
    odds = [1.0]
    for k in range(apart):
        odds.append(odds[-1] * (apart - k) / (k + 1))
    return min(1.0, 2 * sum(odds[: min(first, second) + 1]) / 2.0**apart)


def report(hits, cases, trivial):
    return Estimate("accuracy", hits / cases, *wilson(hits, cases), hits, cases, "always-majority", trivial)


@pytest.mark.parametrize(
    "check", [lambda answer: check_mcnemar(answer, **TABLE), lambda answer: check_belief(answer, **REPORTS)]
)
def test_an_open_exercise_asks_and_what_is_no_number_is_asked_for_in_words(check):
    assert check(None) == OPEN
    assert all("one number is expected" in check(answer) for answer in ("1", [1.0], float("nan")))


@given(COUNT, COUNT, COUNT, COUNT)
def test_any_table_has_an_accepted_answer(both, first, second, neither):
    assume(first + second)
    said = check_mcnemar(np.float64(tosses(first, second)), both, first, second, neither)
    assert said.startswith(RIGHT)
    assert ("cannot be told apart" in said) == (tosses(first, second) > 0.05)


def test_recipes_that_always_agree_end_in_a_sentence():
    assert "agree on every scan" in check_mcnemar(0.5, 50, 0, 0, 10)


@given(st.floats(-2, 5))
def test_the_hints_on_the_table_never_tell(answer):
    said, right = check_mcnemar(answer, **TABLE), tosses(TABLE["first"], TABLE["second"])
    assert said.startswith(RIGHT) == (abs(answer - right) < 0.001)
    if not said.startswith(RIGHT):
        assert said.startswith("Not yet: ")
        assert not [number for number in told(said) if abs(number - right) < 0.001 and number != pytest.approx(answer)]


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (0.048, "would you not be as surprised by the other"),
        (0.148, "two sets of patients"),
        (0.059, "rough guide"),
        (0.099, "corrected"),
        (3.556, "that is the statistic"),
        (0.133, "how far they are apart"),
        (0.3, "share of scans on which they disagree"),
        (1e-6, "leave them out"),
        (-0.1, "between 0 and 1"),
        (9.6, "between 0 and 1"),
        (0.5, "tosses of a coin"),
    ],
)
def test_each_wrong_p_value_gets_the_hint_for_it(answer, hint):
    said = check_mcnemar(answer, **TABLE)
    assert said.startswith("Not yet: ")
    assert hint in said


@given(*[st.integers(5, 300)] * 2, *[st.floats(0, 1)] * 4)
def test_any_two_reports_have_an_accepted_answer_and_it_is_the_larger_margin(few, many, a, b, trivial, other):
    reports = [report(round(a * few), few, trivial), report(round(b * many), many, other)]
    margins = [100 * (one.low - one.baseline) for one in reports]
    said = check_belief(max(margins), reports)
    assert said.startswith(RIGHT)
    assert ("believe neither" in said) == (max(margins) <= 0)
    assert check_belief(max(margins), reports[::-1]).startswith(RIGHT)
    if abs(margins[0] - margins[1]) >= NEAR_POINTS:
        assert not check_belief(min(margins), reports).startswith(RIGHT)


def test_a_report_without_a_figure_ends_in_a_sentence():
    assert "could not be measured" in check_belief(5, [report(9, 10, 0.5), Estimate("accuracy", reason="no test case")])


@given(st.floats(-100, 100))
def test_the_hints_on_belief_never_tell(answer):
    right = 100 * (wilson(480, 600)[0] - 0.5)
    said = check_belief(answer, **REPORTS)
    assert said.startswith(RIGHT) == (abs(answer - right) < 0.5)
    assert said.startswith(RIGHT) or not [number for number in told(said) if abs(number - right) < 1]


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (95, "differ between the two"),
        (5, "Compare the intervals"),
        (-13.6, "is it more for the other"),
        (30, "has an interval"),
        (76.6, "what does the trivial rule reach"),
        (80, "without any network"),
        (33, "which end is sure"),
        (-26.6, "better or worse"),
        (0.266, "share of 1"),
        (50, "for each report"),
    ],
)
def test_each_wrong_margin_gets_the_hint_for_it(answer, hint):
    said = check_belief(answer, **REPORTS)
    assert said.startswith("Not yet: ")
    assert hint in said


@given(st.text(min_size=1).filter(str.strip))
def test_of_five_suspects_one_is_right_by_name_and_by_number(name):
    for number, suspect in enumerate(SUSPECTS, 1):
        said = check_sabotage(suspect, name)
        assert said == check_sabotage(number, name) == check_sabotage(f" {suspect.upper()} ", name)
        assert said == check_sabotage(np.int64(number), name) == check_sabotage(float(number), name)
        assert said.startswith(RIGHT) == (suspect == draw_way(name))
        # the hint depends on what was said and not on what is true, so that it cannot tell
        assert said.startswith(RIGHT) or said == f"Not yet: {HINTS[suspect]}"


@pytest.mark.parametrize("answer", ["", "dropout", 0, 6, 2.5, float("nan"), [1], np.zeros(3), "Leak!"])
def test_who_is_no_suspect_is_sent_to_the_list(answer):
    said = check_sabotage(answer, "Ada")
    assert said.startswith("Not yet: ")
    assert all(suspect in said for suspect in SUSPECTS)


def test_an_open_lab_asks_and_the_empty_name_is_for_comparison():
    assert check_sabotage(None, "Ada") == OPEN
    for suspect in SUSPECTS:
        assert "Nothing is broken" in check_sabotage(suspect, " ")


def test_the_lab_is_where_a_notebook_looks_for_it():
    assert callable(exercises.sabotage)
    assert exercises.check_sabotage is check_sabotage
