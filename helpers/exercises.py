"""The checkers of the exercises: each takes an answer and gives a hint, never the solution.

Used by the last part of notebook 01.
"""

import numpy as np

from helpers import ct, metrics

OPEN = "Put your answer in place of None, and run the cell again."
RIGHT = "Right."


def check_density(answer: float | None) -> str:
    """Exercise 1: how many HU has a voxel that is 0.25 after preparation?

    Example:
        >>> check_density(350)
        'Not yet: 0.25 of the width of the window is right, but the window does not begin at 0 HU.'

    Taught in notebook 01.
    """
    if answer is None:
        return OPEN
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


def check_threshold(answer: float | None, truth: np.ndarray, score: np.ndarray, least: float = 0.9) -> str:
    """Exercise 2: the highest threshold at which the sensitivity on the validation set is still ``least``.

    Args:
        answer: A probability.
        truth: 0 or 1 a case of the validation set.
        score: Probability of class 1 a case.
        least: The sensitivity that is wanted.

    Example:
        >>> check_threshold(0.8, np.array([0, 1, 1]), np.array([0.1, 0.6, 0.9]))
        'Not yet: at 0.8 the sensitivity is 0.50, which is below 0.9; which way must the threshold go?'

    Taught in notebook 01.
    """
    if answer is None:
        return OPEN
    if not (truth == 1).any():
        return "This validation set holds no case of class 1, so that no sensitivity can be measured on it."
    if not 0 <= answer <= 1:
        return f"Not yet: a threshold on probabilities lies between 0 and 1, and {answer:g} does not."
    found = np.mean(score[truth == 1] >= answer)
    if found < least:
        where = f"at {answer:g} the sensitivity is {found:.2f}, which is below {least:g}"
        return f"Not yet: {where}; which way must the threshold go?"
    candidates = [value for value in score if np.mean(score[truth == 1] >= value) >= least]
    best = max(np.mean(score[truth == 0] < value) for value in candidates) if (truth == 0).any() else 0.0
    now = np.mean(score[truth == 0] < answer) if (truth == 0).any() else 0.0
    if now < best:
        return f"Not yet: the sensitivity is {found:.2f}, but fewer healthy people need be frightened; go further."
    return RIGHT + f" Sensitivity {found:.2f} and specificity {now:.2f}, on the validation set."


def check_scans(answer: int | None, accuracy: float = 0.8, half_width: float = 0.05) -> str:
    """Exercise 3: how many test scans bring the 95 % interval of an accuracy of 0.80 down to 5 points either way?

    Example:
        >>> check_scans(60)
        'Not yet: with 60 scans the interval is still 10 points wide either way.'

    Taught in notebook 01.
    """
    if answer is None:
        return OPEN
    if answer != int(answer) or answer < 1:
        return f"Not yet: a number of scans is a whole number of at least 1, and {answer:g} is not."

    def half(cases: int) -> float:
        low, high = metrics.wilson(round(accuracy * cases), cases)
        return (high - low) / 2

    if half(int(answer)) > half_width:
        points = 100 * half(int(answer))
        return f"Not yet: with {answer} scans the interval is still {points:.0f} points wide either way."
    if answer > 1.25 * next(cases for cases in range(5, 100_000, 5) if half(cases) <= half_width):
        return "Not yet: that is enough, but scans are dear; find out how few will do."
    return RIGHT + " The tutorials tested on 60."
