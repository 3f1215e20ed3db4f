"""The exercises: a checker for each, which gives a hint and never the solution, and the mistakes one makes.

Used by the last part of every notebook, and by ``make instructors``, which sets the mistakes out for a teacher. The
solution of an exercise stands in its notebook and nowhere else. Those of notebook 01 are here, the others beside it.
"""

import numpy as np

from helpers import ct, exercises_comparison, exercises_l3, exercises_siim, exercises_xray, metrics
from helpers.exercises_comparison import check_belief, check_mcnemar, check_sabotage
from helpers.exercises_l3 import check_change, check_doubt, check_height
from helpers.exercises_siim import check_area, check_mean_dice, check_run
from helpers.exercises_xray import check_control, check_ece, check_wrapped
from helpers.questions import NOTE, OPEN, RIGHT, Exercise, unusable
from helpers.sabotage import sabotage

__all__ = [
    "EXERCISES",
    "NOTE",
    "OPEN",
    "RIGHT",
    "Exercise",
    "check_area",
    "check_belief",
    "check_change",
    "check_control",
    "check_density",
    "check_doubt",
    "check_ece",
    "check_height",
    "check_mcnemar",
    "check_mean_dice",
    "check_run",
    "check_sabotage",
    "check_scans",
    "check_threshold",
    "check_wrapped",
    "sabotage",
]


def check_density(answer: float | None) -> str:
    """Exercise 1: how many HU has a voxel that is 0.25 after preparation?

    Example:
        >>> check_density(350)
        'Not yet: 0.25 of the width of the window is right, but the window does not begin at 0 HU.'

    Taught in notebook 01.
    """
    if fault := unusable(answer):
        return fault
    low, high = ct.WINDOWS["published"]
    part = 0.25 * (high - low)
    if abs(answer - (low + part)) < 1:
        return RIGHT + " Lung with some haze in it looks like this."
    if abs(answer - part) < 1:
        return "Not yet: 0.25 of the width of the window is right, but the window does not begin at 0 HU."
    if abs(answer - 0.25 * high) < 1:
        return "Not yet: the window reaches down to air, not to 0 HU; how wide is it in all?"
    if abs(answer - (high - part)) < 1:
        return "Not yet: that is 0.25 below the top; which end of the window becomes 0?"
    return "Not yet: turn the formula around. What do 0 and 1 stand for in ct.WINDOWS['published']?"


def check_threshold(answer: float | None, truth: np.ndarray, score: np.ndarray) -> str:
    """Exercise 2: the highest threshold at which the sensitivity on the validation set is still 0.9.

    Args:
        answer: A probability.
        truth: 0 or 1 a case of the validation set.
        score: Probability of class 1 a case.

    Example:
        >>> check_threshold(0.8, np.array([0, 1, 1]), np.array([0.1, 0.6, 0.9]))
        'Not yet: at 0.8 the sensitivity is 0.50, which is below 0.9; which way must the threshold go?'

    Taught in notebook 01.
    """
    if fault := unusable(answer):
        return fault
    if not (truth == 1).any():
        return "This validation set holds no case of class 1, so that no sensitivity can be measured on it."
    if not 0 <= answer <= 1:
        return f"Not yet: a threshold on probabilities lies between 0 and 1, and {answer:g} does not."
    least = 0.9
    found = np.mean(score[truth == 1] >= answer)
    if found < least:
        where = f"at {answer:g} the sensitivity is {found:.2f}, which is below {least:g}"
        return f"Not yet: {where}; which way must the threshold go?"
    candidates = [value for value in score if np.mean(score[truth == 1] >= value) >= least]
    best = max(np.mean(score[truth == 0] < value) for value in candidates) if (truth == 0).any() else 0.0
    now = np.mean(score[truth == 0] < answer) if (truth == 0).any() else 0.0
    if now < best:
        return f"Not yet: the sensitivity is {found:.2f}, but fewer healthy people need be frightened; go further."
    figures = f"Sensitivity {found:.2f} and specificity {now:.2f}."
    return f"{RIGHT} {figures} Chosen on the test set, the threshold would fit that set's chance errors."


def check_scans(answer: int | None) -> str:
    """Exercise 3: how many test scans bring the 95 % interval of an accuracy of 0.80 down to 5 points either way?

    Example:
        >>> check_scans(60)
        'Not yet: with 60 scans the interval is still 9.98 points wide either way.'

    Taught in notebook 01.
    """
    if fault := unusable(answer):
        return fault
    if answer != int(answer) or answer < 1:
        return f"Not yet: a number of scans is a whole number of at least 1, and {answer:g} is not."

    def points(cases: int) -> float:
        low, high = metrics.wilson(round(0.8 * cases), cases)
        return 100 * (high - low) / 2

    if (found := points(int(answer))) > 5:
        return f"Not yet: with {answer:g} scans the interval is still {found:.3g} points wide either way."
    if answer > 1.25 * next(cases for cases in range(5, 1000, 5) if points(cases) <= 5):
        return "Not yet: that is enough, but scans are dear; find out how few will do."
    return RIGHT + " The Keras tutorial had 60, and only to validate on."


SCORES = {
    "truth": np.repeat([0, 1], 20),
    "score": np.concatenate([np.linspace(0.02, 0.60, 20), np.linspace(0.31, 0.97, 20)]),
}
EXERCISES = (
    Exercise(
        check_density,
        (
            (350, "a quarter of the width of the window, counted from 0"),
            (100, "a quarter of the upper end, 400 HU"),
            (50, "a quarter of the width, counted down from the top"),
            (0.25, "the prepared value taken for a density"),
        ),
    ),
    Exercise(
        check_threshold,
        (
            (0.8, "a high threshold, so as to be sure of each ill patient"),
            (0.31, "the lowest score of an ill patient, so that nobody is missed"),
            (35, "the threshold in percent"),
        ),
        SCORES,
    ),
    Exercise(
        check_scans,
        (
            (60, "the tutorial's number: it was published, so it must do"),
            (10_000, "many scans never hurt"),
            (245.86, "the textbook formula, its result not rounded"),
        ),
    ),
    *exercises_l3.EXERCISES,
    *exercises_siim.EXERCISES,
    *exercises_xray.EXERCISES,
    *exercises_comparison.EXERCISES,
)
