"""The exercises of notebook 02: heights of rows, "not in view", and what a wrong level does to an area.

Used by notebook 02 through `exercises`.
"""

import numpy as np

from helpers.questions import RIGHT, Exercise, unusable

TOP, MM, ROW = 412.0, 3.0, 57  # of exercise 1: height of the first row, size of a pixel, the row that was found
REFUSED = 0.1  # of exercise 2: so many of the scans with L3 may be refused


def check_height(answer: float | None) -> str:
    """Exercise 1: at which height lies row 57 of an image with pixels of 3 mm, whose first row is at z = 412 mm?

    Example:
        >>> check_height(583)
        'Not yet: that lies above the first row, but rows run from head to foot while z runs to the head.'

    Taught in notebook 02.
    """
    if fault := unusable(answer):
        return fault
    right = TOP - ROW * MM
    if abs(answer - right) < 0.5:
        return RIGHT + " This is what `z_of` does, and from there it is one step to the slice in the file."
    if abs(answer - (TOP - ROW)) < 0.5:
        return "Not yet: the direction is right, but a row is not a millimetre."
    if abs(answer - (right + MM)) < 0.5:
        return "Not yet: nearly; does the first row have the number 0 or 1?"
    if abs(answer - ROW * MM) < 0.5:
        return "Not yet: so far below the first row it lies; and where in the patient is that row?"
    if answer > TOP:
        return "Not yet: that lies above the first row, but rows run from head to foot while z runs to the head."
    return "Not yet: how many millimetres below the first row is it, and at which height is that one?"


def check_doubt(answer: float | None, with_l3: np.ndarray, without_l3: np.ndarray) -> str:
    """Exercise 2: the threshold that refuses at most a tenth of the scans with L3 and most of the others.

    Args:
        answer: A confidence; below it "not in view" is said.
        with_l3: Confidence for every validation scan that shows L3.
        without_l3: The same for those that do not.

    Example:
        >>> check_doubt(0.0, np.array([0.6, 0.9]), np.array([0.1, 0.2]))
        'Not yet: 0 of 2 scans with L3 are refused, but of those without L3 more could be; go further.'

    Taught in notebook 02.
    """
    if fault := unusable(answer):
        return fault
    shown, hidden = np.asarray(with_l3, float), np.asarray(without_l3, float)
    if not len(shown) or not len(hidden):
        return "This validation set lacks scans with or without L3, so that no threshold can be chosen on it."
    if not 0 <= answer <= 1:
        return f"Not yet: a confidence lies between 0 and 1, and {answer:g} does not."
    lost, caught = int((shown < answer).sum()), int((hidden < answer).sum())
    refused = f"{lost} of {len(shown)} scans with L3 are refused"
    if lost > REFUSED * len(shown):
        return f"Not yet: {refused}, which is more than a tenth; which way must the threshold go?"
    highest = np.sort(shown)[int(REFUSED * len(shown) + 1e-9)]
    if caught < (hidden < highest).sum():
        return f"Not yet: {refused}, but of those without L3 more could be; go further."
    return f"{RIGHT} {refused}, and {caught} of {len(hidden)} without. A test set would only flatter this choice."


def check_change(answer: float | None, here: float, above: float) -> str:
    """Exercise 3: by how many percent does an area change if the slice is taken one vertebra too high?

    Args:
        answer: In percent of the area at L3, positive where it grows.
        here: Area in the slice of L3 in cm2.
        above: Area one vertebra higher.

    Example:
        >>> check_change(-50, here=330.0, above=280.0)
        'Not yet: that is the change in cm2; which part of the area at L3 is it?'

    Taught in notebook 02.
    """
    if fault := unusable(answer):
        return fault
    change = above - here
    percent = 100 * change / here
    if abs(answer - percent) < 0.1:
        return f"{RIGHT} One wrong vertebra, and the patient seems to have changed by that much."
    if abs(answer - percent / 100) < 0.001:
        return "Not yet: that is a share of 1; how many percent are that?"
    if abs(answer + percent) < 0.1:
        return "Not yet: the size is right; does the area grow or shrink?"
    if abs(answer - change) < 0.1:
        return "Not yet: that is the change in cm2; which part of the area at L3 is it?"
    if abs(answer - 100 * change / above) < 0.1:
        return "Not yet: of which of the two areas are these percent? The one that was asked for is that of L3."
    return "Not yet: subtract the area at L3 from the other, and divide by the area at L3."


EXERCISES = (
    Exercise(
        check_height,
        (
            (583, "rows counted upwards, as z is"),
            (355, "a row taken for a millimetre"),
            (244, "the first row counted as row 1"),
            (171, "the distance from the first row, and not the height"),
        ),
    ),
    Exercise(
        check_doubt,
        (
            (0.9, "so sure that no scan without L3 slips through"),
            (0.1, "a low threshold, so that nobody with L3 is refused"),
            (40, "the threshold in percent"),
        ),
        {"with_l3": np.linspace(0.25, 0.97, 20), "without_l3": np.linspace(0.02, 0.6, 20)},
    ),
    Exercise(
        check_change,
        (
            (-50, "the change in cm2"),
            (50 / 330 * 100, "the larger area minus the smaller"),
            (-50 / 330, "the share, not in percent"),
            (-50 / 280 * 100, "in percent of the wrong slice"),
        ),
        {"here": 330.0, "above": 280.0},
    ),
)
