"""The exercises of notebook 03: a run-length code by hand, the mean Dice of four images, and how much air is enough.

Used by notebook 03 through `exercises`.
"""

import numpy as np

from helpers.overlap import Overlaps
from helpers.questions import RIGHT, Exercise, unusable

GAP, LENGTH, NEXT_GAP = 26, 12, 9  # of exercise 1: the text is "26 12 9 2"
ROWS, COLUMNS = 10, 12
NEAR = 0.005  # of exercise 2: two figures this close are the same
ALARMED = 10  # of exercise 3: one in so many healthy images may raise a false alarm


def check_run(answer: float | None) -> str:
    """Exercise 1: in which column, counted from 0, begins the second run of "26 12 9 2" in 10 rows and 12 columns?

    Example:
        >>> check_run(5)
        'Not yet: nearly; does the first column have the number 0 or 1?'

    Taught in notebook 03.
    """
    if fault := unusable(answer):
        return fault
    start = GAP + LENGTH + NEXT_GAP
    right = start // ROWS
    if answer == right:
        return RIGHT + " This is what `decode_rle` does for every run of the table."
    hints = {
        NEXT_GAP // ROWS: f"{NEXT_GAP} is a gap, not the number of a pixel; from where is it counted?",
        (GAP + NEXT_GAP) // ROWS: "two gaps and a run lie before it; are all in your sum, and by what did you divide?",
        GAP // ROWS: "that is where the first run begins; the second was asked for.",
        right + 1: "nearly; does the first column have the number 0 or 1?",
        start % ROWS: "that is its row; the column was asked for.",
        start % COLUMNS: "that is counted along the rows, as NumPy does; which way do these texts count?",
        start: "so many pixels come before it; how many whole columns do they fill?",
    }
    if answer in hints:
        return f"Not yet: {hints[answer]}"
    if answer != int(answer) or not 0 <= answer < COLUMNS:
        return f"Not yet: the columns are whole numbers from 0 to {COLUMNS - 1}, and {answer:g} is none of them."
    return "Not yet: how many pixels come before the second run, and how many of them fill a column?"


def check_mean_dice(answer: float | None, truth: np.ndarray, found: np.ndarray, both: np.ndarray) -> str:
    """Exercise 2: the mean Dice per image, as the competition counts it.

    Args:
        answer: Between 0 and 1.
        truth: Pixels of the true mask of every image.
        found: Pixels of the found mask.
        both: Pixels in both.

    Example:
        >>> check_mean_dice(0.875, np.array([4, 0]), np.array([4, 1]), np.array([3, 0]))
        'Not yet: the alarm on a healthy image went unpunished; what does it get?'

    Taught in notebook 03.
    """
    if fault := unusable(answer):
        return fault
    overlaps = Overlaps(*map(np.asarray, (both, truth, found)))
    dice, ill = overlaps.dice, overlaps.positive
    empty, alarm = ~ill & (overlaps.found == 0), ~ill & (overlaps.found > 0)
    if abs(answer - dice.mean()) < NEAR:
        return f"{RIGHT} An empty answer to every image would get {(~ill).mean():.2f}; always ask for that figure, too."
    if not 0 <= answer <= 1:
        return f"Not yet: a mean Dice lies between 0 and 1, and {answer:g} does not."
    hints = (
        (overlaps.pooled, "that is pooled, all pixels in one pot; every image has a Dice of its own."),
        (_mean(dice[ill]), "that is the mean of the positives; healthy images count, too."),
        (np.where(empty, 0, dice).mean(), "nothing to find and nothing found: what does that image get?"),
        (np.where(alarm, 1, dice).mean(), "the alarm on a healthy image went unpunished; what does it get?"),
        (_mean(dice[alarm | ill]), "an image on which nothing is to be found, and nothing was, counts as well."),
        (_mean(dice[~alarm]), f"one figure for each image, and the mean is over all {len(dice)} of them."),
        (np.where(empty, 1, dice / 2).mean(), "the overlap counts twice in Dice; why else could it reach 1?"),
        (overlaps.iou.mean(), "that is the mean IoU; what stands above and below the line in Dice?"),
        ((~ill).mean(), "so much gets an empty answer to every image, but here something was found."),
    )
    for value, hint in hints:
        if abs(answer - value) < NEAR:
            return f"Not yet: {hint}"
    return "Not yet: write down the Dice of each image; which of them are 0, and which 1?"


def _mean(figures: np.ndarray) -> float:
    """The mean; NaN, to which no answer is near, of none."""
    return float(figures.mean()) if len(figures) else float("nan")


def check_area(answer: float | None, ill: np.ndarray, pixels: np.ndarray) -> str:
    """Exercise 3: the least number of pixels at which no more than a tenth of the healthy raise a false alarm.

    Args:
        answer: An image counts as ill if at least so many pixels were found.
        ill: Whether there is air, ``bool`` for every image of the validation set.
        pixels: How many pixels were found.

    Example:
        >>> check_area(9, np.array([False, False, True]), np.array([0, 3, 8]))
        'Not yet: 0 of 2 healthy images raise a false alarm, and it need not be so many pixels for that; go down.'

    Taught in notebook 03.
    """
    if fault := unusable(answer):
        return fault
    ill, pixels = np.asarray(ill, bool), np.asarray(pixels)
    healthy = pixels[~ill]
    if not len(healthy):
        return "This validation set holds no healthy image, so that no false alarm can be counted on it."
    if 0 < answer < 1:
        return f"Not yet: {answer:g} may be a probability or a share, but a number of pixels was asked for."
    if answer != int(answer) or answer < 1:
        return f"Not yet: a number of pixels is a whole number of at least 1, and {answer:g} is not."
    allowed = len(healthy) // ALARMED
    alarms = int((healthy >= answer).sum())
    raised = f"{alarms} of {len(healthy)} healthy images raise a false alarm"
    if alarms > allowed:
        if (healthy > answer).sum() <= allowed:
            return f'Not yet: {raised}; "at least" takes in those with just {answer:g} pixels.'
        return f"Not yet: {raised}, which is more than a tenth; which way must the number go?"
    if answer > 1 and (healthy >= answer - 1).sum() <= allowed:
        return f"Not yet: {raised}, and it need not be so many pixels for that; go down."
    caught = f"{(pixels[ill] >= answer).sum()} of {ill.sum()} ill ones are found" if ill.any() else "nobody is ill"
    return f"{RIGHT} {raised}, and {caught}. On new images it may well be more than a tenth."


EXERCISES = (
    Exercise(
        check_run,
        (
            (0, "the gap taken for the number of a pixel"),
            (3, "the length of the first run forgotten"),
            (7, "the row in place of the column"),
            (11, "pixels counted along the rows"),
            (5, "the first column counted as column 1"),
            (47, "the number of the pixel"),
        ),
    ),
    Exercise(
        check_mean_dice,
        (
            (880 / 1146, "pooled: the pixels of all images in one pot"),
            (0.4, "the positives only"),
            (0.2, "0 where both masks are empty"),
            (0.7, "a few pixels of false alarm do not matter"),
            (5 / 12, "IoU in place of Dice"),
            (45, "in percent"),
        ),
        {
            "truth": np.array([0, 0, 600, 40]),
            "found": np.array([0, 6, 500, 0]),
            "both": np.array([0, 0, 440, 0]),
        },
    ),
    Exercise(
        check_area,
        (
            (1, "any pixel at all is an alarm"),
            (22, '"more than" in place of "at least"'),
            (61, "so that nobody healthy is frightened"),
            (23.5, "the 90th percentile, which lies between two images"),
            (0.5, "the threshold on the probabilities"),
        ),
        {
            "ill": np.repeat([False, True], [20, 10]),
            "pixels": np.array([0] * 12 + [2, 3, 5, 8, 14, 22, 37, 60] + [0, 9, 25, 40, 70, 90, 120, 180, 260, 400]),
        },
    ),
)
