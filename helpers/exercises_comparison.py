"""The exercises of notebook 05: two recipes on the same scans, which result to believe, and the sabotage lab.

Used by notebook 05 through `exercises`.
"""

from collections.abc import Sequence
from math import erfc, sqrt
from numbers import Real

from scipy.stats import binomtest, fisher_exact

from helpers.estimates import Estimate, wilson
from helpers.questions import OPEN, RIGHT, Exercise, unusable
from helpers.sabotage_scans import SOUND, SUSPECTS, draw_way

NEAR_P = 0.001  # of exercise 1
NEAR_POINTS = 0.5  # of exercise 2
LEVEL = 0.05


def check_mcnemar(answer: float | None, both: int, first: int, second: int, neither: int) -> str:
    """Exercise 1: two recipes on the same test scans; how often would chance alone set two equal ones so far apart?

    Args:
        answer: The p-value of McNemar's exact test, two-sided.
        both: Scans that both recipes call right.
        first: Scans that only the first calls right.
        second: Scans that only the second calls right.
        neither: Scans that both call wrong.

    Example:
        >>> check_mcnemar(0.059, both=35, first=13, second=5, neither=7)
        'Not yet: close, but the normal curve is a rough guide for so few scans; count with a binomial instead.'

    Taught in notebook 05.
    """
    if fault := unusable(answer):
        return fault
    apart, cases = first + second, both + first + second + neither
    if not apart:
        return "These two recipes agree on every scan, so that there is nothing to tell them apart by."
    if answer < 0:
        return f"Not yet: a probability lies between 0 and 1, and {answer:g} does not."
    low, high = sorted((first, second))
    right = binomtest(low, apart).pvalue
    if abs(answer - right) < NEAR_P:
        verdict = "cannot be told apart" if right > LEVEL else "can be told apart"
        return f"{RIGHT} On these scans the two {verdict}: only where they disagree is there anything to learn."
    statistic = (high - low) ** 2 / apart
    corrected = (max(high - low - 1, 0)) ** 2 / apart
    table = [[both + first, second + neither], [both + second, first + neither]]
    hints = (
        (
            binomtest(low, apart, alternative="less").pvalue,
            "that is one side; would you not be as surprised by the other?",
        ),
        (fisher_exact(table).pvalue, "that takes them for two sets of patients; here the same scans were asked twice."),
        (
            erfc(sqrt(statistic / 2)),
            "close, but the normal curve is a rough guide for so few scans; count with a binomial instead.",
        ),
        (
            erfc(sqrt(corrected / 2)),
            "close, and corrected for counting, but still the normal curve; count with a binomial instead.",
        ),
        (statistic, "that is the statistic; how probable is one as large, if both recipes are equal?"),
        ((high - low) / cases, "that is how far they are apart; how often would chance do that?"),
        (binomtest(low, cases).pvalue, "scans on which both agree say nothing; leave them out of the count."),
        (apart / cases, "that is the share of scans on which they disagree; how uneven is it shared between them?"),
    )
    for value, hint in hints:
        if abs(answer - value) < NEAR_P:
            return f"Not yet: {hint}"
    if answer > 1:
        return f"Not yet: a probability lies between 0 and 1, and {answer:g} does not."
    return "Not yet: on how many scans do they disagree, and how would as many tosses of a coin fall?"


def check_belief(answer: float | None, reports: Sequence[Estimate]) -> str:
    """Exercise 2: by how many points does the better-proven result surely beat its trivial rule?

    Surely: from the trivial rule to the lower limit of the 95 % interval; the better-proven one has more of it.

    Args:
        answer: In points, that is per cent.
        reports: Two results on test sets of their own, each with interval and trivial rule.

    Example:
        >>> small = Estimate("accuracy", 19 / 20, *wilson(19, 20), 19, 20, "always-majority", 0.9)
        >>> large = Estimate("accuracy", 0.8, *wilson(480, 600), 480, 600, "always-majority", 0.5)
        >>> check_belief(30, [small, large])
        'Not yet: the right report, but its figure has an interval; what can be said of it for sure?'

    Taught in notebook 05.
    """
    if fault := unusable(answer):
        return fault
    if any(report.value is None for report in reports):
        return "One of these results could not be measured, so that there is nothing to choose."
    better, other = sorted(reports, key=lambda report: report.baseline - report.low)
    right = 100 * (better.low - better.baseline)
    if abs(answer - right) < NEAR_POINTS:
        if right <= 0:
            return RIGHT + " Neither is known to beat its trivial rule: believe neither yet."
        figures = f"{better.value:.2f} over {better.baseline:.2f} on {better.cases} scans"
        return f"{RIGHT} {figures}: that one is the better proven."
    value, gain = 100 * better.value, 100 * (better.value - better.baseline)
    hints = (
        (gain, "the right report, but its figure has an interval; what can be said of it for sure?"),
        (100 * better.low, "the right limit; what does the trivial rule reach on the same scans?"),
        (100 * (better.high - better.baseline), "that is the end where luck was bad; which end is sure?"),
        (value, "that is the accuracy; how much of it is there without any network?"),
        (100 * (other.value - other.baseline), "on how many scans was that counted? Compare the intervals."),
        (100 * (other.low - other.baseline), "for that report so much is sure; is it more for the other?"),
        (100 * other.value, "the rules that look at no image differ between the two; take them off first."),
        (100 * (other.high - other.baseline), "on how many scans was that counted? And which end is sure?"),
        (-right, "the size is right; does the network do better or worse than the trivial rule?"),
        (right / 100, "that is a share of 1; how many points are that?"),
    )
    for wrong, hint in hints:
        if abs(answer - wrong) < min(NEAR_POINTS, abs(right - wrong) / 2):
            return f"Not yet: {hint}"
    return "Not yet: for each report, how far does the lower limit lie above the trivial rule?"


HINTS = {
    "leak": "if validation scans were training scans, they would be known by heart, and the validation loss would sink "
    "as low as the training loss. Do the two curves stay together to the end?",
    "labels": "from shuffled labels nothing carries over to new scans, and the validation loss would not come down "
    "with the training loss. Does it?",
    "window": "another window changes what is black and what is white. Is the test set's mean grey unlike the others'?",
    "eval mode": "with dropout on, and BatchNorm on the batch, a scan gets another answer in another batch. Do the two "
    "askings differ?",
    "flip": "upside down the pelvis comes above the ribs, and what lies high is found low. How do the test images "
    "stand, and which way does the cloud run?",
}


def check_sabotage(answer: int | str | None, name: str) -> str:
    """Exercise 3: what is broken in the pipeline `sabotage(name)`?

    Args:
        answer: One of ``sabotage_scans.SUSPECTS``, or its number in that list, from 1.
        name: The one that the pipeline was made with.

    Example:
        >>> check_sabotage("dropout", "Ada")
        'Not yet: name one of the suspects: leak, labels, window, eval mode, flip.'

    Taught in notebook 05.
    """
    if answer is None:
        return OPEN
    suspects = [*SUSPECTS]
    if isinstance(answer, str):
        said = " ".join(answer.split()).casefold()
    else:
        said = suspects[int(answer) - 1] if isinstance(answer, Real) and answer in range(1, 1 + len(suspects)) else ""
    if said not in SUSPECTS:
        return f"Not yet: name one of the suspects: {', '.join(suspects)}."
    truth = draw_way(name)
    if truth == SOUND:
        return "Nothing is broken where the name is empty: that one is to compare with. Take a name, such as yours."
    if said == truth:
        return f"{RIGHT} {SUSPECTS[truth][0].upper()}{SUSPECTS[truth][1:]}."
    return f"Not yet: {HINTS[said]}"


EXERCISES = (
    Exercise(
        check_mcnemar,
        (
            (binomtest(5, 18, alternative="less").pvalue, "one side only"),
            (fisher_exact([[48, 12], [40, 20]]).pvalue, "the same scans taken for two sets of patients"),
            (erfc(sqrt(64 / 18 / 2)), "the chi-square formula as in a textbook"),
            (64 / 18, "the chi-square statistic itself"),
            (8 / 60, "the difference of the accuracies"),
        ),
        {"both": 35, "first": 13, "second": 5, "neither": 7},
    ),
    Exercise(
        check_belief,
        (
            (95, "the higher accuracy wins"),
            (5, "the higher accuracy, its trivial rule taken off"),
            (30, "the right report, its interval forgotten"),
            (100 * wilson(480, 600)[0], "the lower limit, its trivial rule forgotten"),
            (100 * (wilson(19, 20)[0] - 0.9), "the lower limit of the higher accuracy"),
        ),
        {
            "reports": (
                Estimate("accuracy", 19 / 20, *wilson(19, 20), 19, 20, "always-majority", 0.9),
                Estimate("accuracy", 480 / 600, *wilson(480, 600), 480, 600, "always-majority", 0.5),
            )
        },
    ),
    Exercise(
        check_sabotage,
        (
            (1, "leak: validation is so much better than the test"),
            (2, "labels: the test is no better than the trivial rule"),
            (4, "eval mode: all was well as long as it trained"),
            (5, "flip: all was well until the test"),
        ),
        {"name": "Ada"},
    ),
)
