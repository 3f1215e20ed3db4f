"""How long and how fast a network learns: the schedule of a training, and the learning rate at each moment of it.

Used by `training` and, through the tasks, by every notebook.
"""

import math
from dataclasses import dataclass

KINDS = ("one-cycle", "exponential")


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a network learns.

    Args:
        epochs: At most so many passes over the training set.
        batch: At most so many cases a step; the batches of an epoch are as even as can be.
        rate: The learning rate; for "one-cycle" its peak.
        kind: "one-cycle" (up and down again, each step) or "exponential" (times ``decay`` after each epoch).
        decay: For "exponential".
        weight_decay: Of AdamW; 0 makes it Adam.
        patience: Stop after so many epochs in which the validation loss found no new low.

    Raises:
        ValueError: If the kind is unknown, or epochs, batch or patience are below 1.

    Example:
        >>> Schedule(epochs=100, batch=2, rate=1e-4).decay
        0.96

    Taught in notebook 01.
    """

    epochs: int
    batch: int
    rate: float
    kind: str = "exponential"
    decay: float = 0.96
    weight_decay: float = 0.0
    patience: int = 15

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"the kind of schedule must be {' or '.join(KINDS)}, but is {self.kind!r}")
        for name in ("epochs", "batch", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, but is {getattr(self, name)}")


def learning_rate(schedule: Schedule, epoch: int, part: float) -> float:
    """The learning rate at a moment of training, a function of time alone, so that nothing needs to be remembered.

    Args:
        schedule: Its kind, rate and decay.
        epoch: From 0.
        part: The part of this epoch that is done, 0 to below 1; "exponential" does not look at it.

    Example:
        >>> plan = Schedule(epochs=10, batch=8, rate=0.01, kind="one-cycle")
        >>> [round(learning_rate(plan, epoch, 0.0), 5) for epoch in (0, 3, 9)]
        [0.0004, 0.01, 0.0005]

    Taught in notebook 01. One cycle: Smith and Topin 2018, up for 30 % of the time and down for the rest.
    """
    if schedule.kind == "exponential":
        return schedule.rate * schedule.decay**epoch
    done = (epoch + part) / schedule.epochs
    if done < 0.3:
        low, turn = schedule.rate / 25, 1 - done / 0.3
    else:
        low, turn = 0.0, (done - 0.3) / 0.7
    return low + (schedule.rate - low) * (0.5 + 0.5 * math.cos(math.pi * turn))
