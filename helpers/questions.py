"""What an exercise is made of: its checker, the usual mistakes, and the words that every checker uses.

Used by the exercises of every notebook.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

OPEN = "Put your answer in place of None, and run the cell again."
RIGHT = "Right."
NOTE = "The figures in these hints are those of a small made-up set; in class they are those of the run."


@dataclass(frozen=True)
class Exercise:
    """What a notebook asks: its checker, and the answers that students typically give instead of the right one.

    Attributes:
        check: Takes the answer and what is given; returns a sentence.
        mistakes: Typical wrong answers, each with the thought behind it; at least three, each with a hint of its own.
        given: What the checker needs beside the answer, by name; in the notebook it comes from the run, here it is an
            example.

    Example:
        >>> print(Exercise(lambda answer: f"Not yet: {answer} is odd.", ((3, "the first that came to mind"),)).table())
        | answer | the thought behind it | what the checker says |
        | --- | --- | --- |
        | 3 | the first that came to mind | Not yet: 3 is odd. |

    Used by every notebook with exercises.
    """

    check: Callable[..., str]
    mistakes: tuple[tuple[float, str], ...]
    given: dict[str, Any] = field(default_factory=dict)

    def table(self) -> str:
        """The mistakes with the hint that each gets, as a table in Markdown."""
        rows = [("answer", "the thought behind it", "what the checker says"), ("---",) * 3]
        rows += [(f"{answer:g}", thought, self.check(answer, **self.given)) for answer, thought in self.mistakes]
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        return "\n".join([*lines, "", NOTE] if self.given else lines)


def unusable(answer: object) -> str:
    """What to say of no answer, and of one that is no number, such as a text or a whole array; "" for a number.

    Example:
        >>> unusable("0.5")
        'Not yet: one number is expected, such as 1 or 0.5.'

    Used by every checker.
    """
    if answer is None:
        return OPEN
    if isinstance(answer, Real) and math.isfinite(answer):
        return ""
    return "Not yet: one number is expected, such as 1 or 0.5."
