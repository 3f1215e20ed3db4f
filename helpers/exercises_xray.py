"""The exercises of notebook 04: noise in 8 bits, what the border alone explains, and how far sure is from right.

Used by notebook 04 through `exercises`.
"""

import numpy as np

from helpers.questions import RIGHT, Exercise, unusable

PIXEL, NOISE, VALUES = 3, -5, 256  # of exercise 1
NEAR_PERCENT = 0.5  # of exercise 2
NEAR_POINTS = 0.1  # of exercise 3


def check_wrapped(answer: float | None) -> str:
    """Exercise 1: a pixel of 3 gets noise of -5, and the sum is stored in 8 bits; what does the image then hold?

    Example:
        >>> check_wrapped(-2)
        'Not yet: that is the sum, but 8 bits know no minus; what do they hold instead?'

    Taught in notebook 04.
    """
    if fault := unusable(answer):
        return fault
    total = PIXEL + NOISE
    if answer == total % VALUES:
        return RIGHT + " From nearly black to nearly white: first add with a sign, then cut at 0 and 255, then store."
    hints = {
        total: "that is the sum, but 8 bits know no minus; what do they hold instead?",
        0: "that would be the cure, but nothing is cut at black here; 8 bits go round like a clock.",
        VALUES - 1: "it comes round to the bright end, but the sum is not the first number below 0.",
        total % (VALUES - 1): "nearly; how many values do 8 bits hold, 0 included?",
        PIXEL - NOISE: "the noise has a minus; does the pixel win or lose by it?",
        -total: "the minus is not just dropped; what comes before 0 where numbers go round?",
    }
    if answer in hints:
        return f"Not yet: {hints[answer]}"
    if answer != int(answer) or not 0 <= answer < VALUES:
        return f"Not yet: 8 bits hold whole numbers from 0 to {VALUES - 1}, and {answer:g} is none of them."
    return f"Not yet: what is the sum, and what is left of it modulo {VALUES}?"


def check_control(answer: float | None, full: float, borders: float, chance: float) -> str:
    """Exercise 2: how many percent of what the network gains over chance does the border of the images reach alone?

    Args:
        answer: In percent of the gain of the whole image; negative if the border does worse than chance.
        full: Accuracy with the whole image, in [0, 1].
        borders: Accuracy with nothing but the border.
        chance: Accuracy of always calling the commonest class.

    Example:
        >>> check_control(24, full=0.85, borders=0.61, chance=0.35)
        'Not yet: so many points does the border fall behind; what share of the gain does it reach?'

    Taught in notebook 04.
    """
    if fault := unusable(answer):
        return fault
    gain, reached = full - chance, borders - chance
    if gain <= 0:
        return "This network is no better than chance, so that there is no gain of which the border could have a share."
    percent = 100 * reached / gain
    if abs(answer - percent) < NEAR_PERCENT:
        if reached <= 0:
            return RIGHT + " The border alone does no better than chance here."
        return RIGHT + " So much can be had without a look at a lung; accuracy alone cannot tell whether it was."
    hints = (
        (100 * borders / full, "that compares the accuracies; how much of each does one get by chance?"),
        (100 * reached / full, "chance is taken from the border only; what does the whole image gain over it?"),
        (100 * borders / gain, "chance is taken from the whole image only; the border has it, too."),
        (100 - percent, "that share needs more than the border; which share does not?"),
        (100 * (full - borders), "so many points does the border fall behind; what share of the gain does it reach?"),
        (100 * reached, "so many points does the border gain; what share is that of what the whole image gains?"),
        (-percent, "the size is right; does the border do better or worse than chance?"),
    )
    for value, hint in hints:
        if abs(answer - value) < NEAR_PERCENT:
            return f"Not yet: {hint}"
    if abs(answer - percent / 100) < NEAR_PERCENT / 100:
        return "Not yet: that is a share of 1; how many percent are that?"
    return "Not yet: by how much is the whole image better than chance, and by how much the border?"


def check_ece(answer: float | None, counts: np.ndarray, confidence: np.ndarray, accuracy: np.ndarray) -> str:
    """Exercise 3: the expected calibration error of some bins, in points (percent of confidence).

    Args:
        answer: In points.
        counts: Images of every bin.
        confidence: Their mean confidence, in [0, 1]; of a bin without images anything.
        accuracy: Which share of them was called right; likewise.

    Example:
        >>> check_ece(20, [20, 180], [0.6, 0.9], [0.4, 0.9])
        'Not yet: that is the worst of the bins; how many images lie in it?'

    Taught in notebook 04.
    """
    if fault := unusable(answer):
        return fault
    counts, confidence, accuracy = (np.asarray(part, float) for part in (counts, confidence, accuracy))
    some = counts > 0
    if not some.any():
        return "These bins hold no image, so that no calibration can be measured on them."
    counts, gaps = counts[some], 100 * (confidence - accuracy)[some]
    error, signed = (float(np.average(part, weights=counts)) for part in (abs(gaps), gaps))
    if abs(answer - error) < NEAR_POINTS:
        drift = f"With their signs the gaps would come to {signed:+z.1f} points"
        return f"{RIGHT} {drift}: too sure here and too modest there would cancel, but both are wrong."
    hints = (
        (abs(gaps).max(), "that is the worst of the bins; how many images lie in it?"),
        (abs(gaps).mean(), "every bin counts alike there; does a bin with few images weigh as much as a full one?"),
        (abs(signed), "too sure in one bin and too modest in another cancel there; the ECE counts both."),
        (abs(gaps).sum(), "that is the sum over the bins; the ECE is a mean over the images."),
        (float(abs(gaps)[counts.argmax()]), "that is the fullest bin alone; the others hold images, too."),
    )
    for value, hint in hints:
        if abs(abs(answer) - value) < NEAR_POINTS:
            return f"Not yet: {hint}"
    if answer < 0:
        return "Not yet: how far confidence and accuracy lie apart is never negative, whichever is larger."
    if abs(answer - error / 100) < NEAR_POINTS / 100:
        return "Not yet: that is a share of 1; how many points are that?"
    return "Not yet: how far apart are confidence and accuracy in each bin, and for how many images is that so?"


EXERCISES = (
    Exercise(
        check_wrapped,
        (
            (-2, "the sum, as if numbers of 8 bits had a sign"),
            (0, "cut at black"),
            (255, "below 0 is the brightest value"),
            (253, "modulo 255"),
            (8, "the sign of the noise lost"),
            (2, "the sign of the sum lost"),
        ),
    ),
    Exercise(
        check_control,
        (
            (100 * 0.61 / 0.85, "one accuracy in percent of the other"),
            (24, "the difference of both"),
            (26, "the points above chance, and not their share"),
            (100 * 0.26 / 0.85, "chance forgotten for the whole image"),
            (-52, "chance minus the border"),
            (0.52, "the share, not in percent"),
        ),
        {"full": 0.85, "borders": 0.61, "chance": 0.35},
    ),
    Exercise(
        check_ece,
        (
            (10, "the mean over the bins, however full they are"),
            (2.5, "gaps with their signs, so that they cancel"),
            (20, "the largest gap"),
            (0.065, "the share, not in points"),
        ),
        {
            "counts": np.array([20, 40, 140]),
            "confidence": np.array([0.55, 0.75, 0.95]),
            "accuracy": np.array([0.75, 0.70, 0.90]),
        },
    ),
)
