"""The checkers: they accept what is right, ask where nothing is, hint without telling, and know the usual mistakes."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import ct, exercises, metrics
from helpers.exercises import EXERCISES, NOTE, OPEN, RIGHT, Exercise, check_density, check_scans, check_threshold

TRUTH = np.array([0] * 20 + [1] * 20)
SCORE = np.float32(np.concatenate([np.linspace(0.02, 0.60, 20), np.linspace(0.31, 0.97, 20)]))
CHECKERS = [check_density, lambda answer: check_threshold(answer, TRUTH, SCORE), check_scans]


def solve_threshold(truth, score, least=0.9):
    """The reference solution: as many of the ill as may be missed lie below it, and no more."""
    ill = np.sort(score[truth == 1])
    return ill[int(np.floor((1 - least) * len(ill) + 1e-9))]


def solve_scans():
    def half(cases):
        low, high = metrics.wilson(round(0.8 * cases), cases)
        return (high - low) / 2

    return next(cases for cases in range(5, 1000, 5) if half(cases) <= 0.05)


SOLUTIONS = [-650, solve_threshold(TRUTH, SCORE), solve_scans()]


@pytest.mark.parametrize(("check", "solution"), list(zip(CHECKERS, SOLUTIONS, strict=True)))
def test_the_reference_solution_is_right(check, solution):
    assert check(solution).startswith(RIGHT)
    assert check(float(solution)).startswith(RIGHT)
    assert check(np.float64(solution)).startswith(RIGHT)


@pytest.mark.parametrize("check", CHECKERS)
def test_an_open_exercise_asks_for_an_answer(check):
    assert check(None) == OPEN


@pytest.mark.parametrize("check", CHECKERS)
@pytest.mark.parametrize("answer", ["0.5", [0.5], np.zeros(3), float("nan"), float("inf"), 1j])
def test_what_is_no_number_is_asked_for_in_words(check, answer):
    assert "one number is expected" in check(answer)


WRONG = [
    (0, 350, "does not begin at 0 HU"),  # a quarter of the width, counted from 0
    (0, 100, "how wide is it in all"),  # a quarter of the upper end
    (0, 50, "which end of the window becomes 0"),  # counted from the top
    (0, 0.25, "What do 0 and 1 stand for"),  # not turned back at all
    (1, 0.8, "which way must the threshold go"),  # too strict
    (1, 0.31, "go further"),  # finds everyone, and frightens more than it must
    (1, 35, "lies between 0 and 1"),  # percent
    (1, -0.2, "lies between 0 and 1"),
    (2, 60, "9.98 points"),  # the tutorials' number
    (2, 100, "points wide either way"),
    (2, 10_000, "find out how few will do"),
    (2, 245.5, "whole number"),
    (2, 0, "at least 1"),
    (2, -60, "at least 1"),
]


@pytest.mark.parametrize(("exercise", "answer", "hint"), WRONG)
def test_each_wrong_answer_gets_the_hint_for_it(exercise, answer, hint):
    said = CHECKERS[exercise](answer)
    assert said.startswith("Not yet: ")
    assert hint in said


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.check.__name__)
def test_at_least_three_typical_mistakes_each_get_a_hint_of_their_own(exercise):
    hints = [exercise.check(answer, **exercise.given) for answer, _ in exercise.mistakes]
    assert all(hint.startswith("Not yet: ") for hint in hints)
    assert len(set(hints)) == len(hints) >= 3
    assert len({thought for _, thought in exercise.mistakes}) == len(hints)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.check.__name__)
def test_the_table_for_the_teacher_shows_each_mistake_beside_its_hint(exercise):
    lines = exercise.table().splitlines()
    for answer, thought in exercise.mistakes:
        hint = exercise.check(answer, **exercise.given)
        assert [f"{answer:g}", thought, hint] in [line.strip("| ").split(" | ") for line in lines]
    assert len([line for line in lines if line.startswith("| ")]) == 2 + len(exercise.mistakes)
    assert (NOTE in lines) == bool(exercise.given)


def test_every_checker_has_its_entry():
    checkers = {name for name in vars(exercises) if name.startswith("check_")}
    assert sorted(exercise.check.__name__ for exercise in EXERCISES) == sorted(checkers)


def test_an_exercise_hands_its_checker_what_is_given():
    def check(answer, low, high):
        return RIGHT if low < answer < high else f"Not yet: between {low} and {high}."

    assert (
        "| 9 | too far | Not yet: between 1 and 4. |"
        in Exercise(check, ((9, "too far"),), {"low": 1, "high": 4}).table()
    )


def numbers(text):
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text)]


@given(st.one_of(st.floats(-2000, 2000), st.integers(-2000, 2000)))
def test_the_hints_on_density_never_tell(answer):
    said = check_density(answer)
    right = abs(answer - -650) < 1
    assert said.startswith(RIGHT) == right
    assert right or -650 not in numbers(said)


@given(st.floats(0, 1))
def test_the_hints_on_the_threshold_never_tell(answer):
    said, solution = check_threshold(answer, TRUTH, SCORE), float(SOLUTIONS[1])
    assert said.startswith((RIGHT, "Not yet: "))
    if not said.startswith(RIGHT):
        told = [number for number in numbers(said) if number != pytest.approx(answer, rel=1e-4)]
        assert all(abs(number - solution) > 5e-4 for number in told)


def test_the_hints_on_the_number_of_scans_never_tell_and_never_contradict():
    solution = SOLUTIONS[2]
    for answer in range(1, 600):
        said = check_scans(answer)
        assert said.startswith(RIGHT) == (solution <= answer <= 1.25 * solution)
        if not said.startswith(RIGHT):
            assert solution not in numbers(said)
            wide = re.search(r"still ([\d.]+) points", said)
            assert (wide is not None) == (answer < solution)
            assert wide is None or float(wide[1]) > 5  # "still 5 points wide" is what was asked for


def test_the_window_of_the_exercise_is_that_of_the_preparation():
    hu = np.full((2, 2, 2), -650, np.int16)
    assert ct.window(hu) == pytest.approx(0.25)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40))
def test_any_validation_set_has_an_accepted_solution(seed, ill, healthy):
    rng = np.random.default_rng(seed)
    truth = np.repeat([1, 0], [ill, healthy])
    score = np.round(rng.random(ill + healthy), 2)  # with ties
    best = solve_threshold(truth, score)
    assert np.mean(score[truth == 1] >= best) >= 0.9
    assert check_threshold(best, truth, score).startswith(RIGHT)
    above = np.nextafter(best, 2)
    if above <= 1:
        assert "which way" in check_threshold(above, truth, score)  # it is the highest
    spared = np.mean(score[truth == 0] < best)
    assert f"specificity {spared:.2f}" in check_threshold(best, truth, score)


def test_a_lower_threshold_that_frightens_nobody_more_is_as_good():
    truth, score = np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9])
    assert check_threshold(0.5, truth, score).startswith(RIGHT)
    assert "go further" in check_threshold(0.15, truth, score)


def test_validation_sets_with_one_class_end_in_a_sentence():
    ill = np.array([1, 1, 1])
    assert "no case of class 1" in check_threshold(0.5, 1 - ill, np.array([0.1, 0.2, 0.3]))
    assert check_threshold(0.1, ill, np.array([0.1, 0.2, 0.3])).startswith(RIGHT)
