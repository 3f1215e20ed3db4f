"""How long and how fast a network learns: the schedule of a training, and the learning rate at each moment of it.

Used by `training` and, through the tasks, by every notebook.
"""

import math
from dataclasses import dataclass, fields

KINDS = ("one-cycle", "exponential", "cosine")


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a network learns.

    Args:
        epochs: At most so many passes over the training set.
        batch: At most so many cases a step; the batches of an epoch are as even as can be.
        rate: The learning rate; for "one-cycle" its peak, for "cosine" where it starts.
        kind: "one-cycle" (up and down again, each step), "exponential" (times ``decay`` after each epoch) or "cosine"
            (down to nothing, each step, once in every cycle).
        decay: For "exponential".
        weight_decay: Of AdamW; 0 makes it Adam.
        patience: Stop after so many epochs in which the validation loss found no new low.
        cycles: For "cosine": so many equal parts, each of which starts at ``rate`` again and ends in a snapshot.

    Raises:
        ValueError: If the kind is unknown, if epochs, batch, patience or cycles are below 1, or if the epochs cannot be
            shared out evenly among the cycles, or if there are cycles where there is no cosine.

    Example:
        >>> Schedule(epochs=100, batch=2, rate=1e-4)
        Schedule(epochs=100, batch=2, rate=0.0001, kind='exponential', decay=0.96, weight_decay=0.0, patience=15)

    Taught in notebook 01.
    """

    epochs: int
    batch: int
    rate: float
    kind: str = "exponential"
    decay: float = 0.96
    weight_decay: float = 0.0
    patience: int = 15
    cycles: int = 1

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"the kind of schedule must be one of {', '.join(KINDS)}, but is {self.kind!r}")
        for name in ("epochs", "batch", "patience", "cycles"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, but is {getattr(self, name)}")
        if self.cycles > 1 and self.kind != "cosine":
            raise ValueError(f"cycles are for the kind 'cosine', but the kind is {self.kind!r}")
        if self.epochs % self.cycles:
            raise ValueError(f"{self.epochs} epochs cannot be shared out evenly among {self.cycles} cycles")

    def __repr__(self) -> str:
        """What counts: a decay where the kind knows one, cycles where there are several."""
        unused = {"decay"} if self.kind != "exponential" else set()
        unused |= {"cycles"} if self.cycles == 1 else set()
        shown = (f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.name not in unused)
        return f"Schedule({', '.join(shown)})"


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
        >>> plan = Schedule(epochs=8, batch=8, rate=0.01, kind="cosine", cycles=2)
        >>> [round(learning_rate(plan, epoch, 0.0), 4) for epoch in range(8)]
        [0.01, 0.0085, 0.005, 0.0015, 0.01, 0.0085, 0.005, 0.0015]

        Natural exponential decay by 0.6 is "exponential" with a decay of e to the -0.6:

        >>> plan = Schedule(epochs=8, batch=64, rate=3e-4, decay=math.exp(-0.6))
        >>> math.isclose(learning_rate(plan, 5, 0.0), 3e-4 * math.exp(-0.6 * 5))
        True

    Taught in notebook 01. One cycle: Smith and Topin 2018, up for 30 % of the time and down for the rest. Cosine:
    Loshchilov and Hutter 2017.
    """
    if schedule.kind == "exponential":
        return schedule.rate * schedule.decay**epoch
    if schedule.kind == "cosine":
        length = schedule.epochs // schedule.cycles
        return schedule.rate * (0.5 + 0.5 * math.cos(math.pi * (epoch % length + part) / length))
    done = (epoch + part) / schedule.epochs
    if done < 0.3:
        low, turn = schedule.rate / 25, 1 - done / 0.3
    else:
        low, turn = 0.0, (done - 0.3) / 0.7
    return low + (schedule.rate - low) * (0.5 + 0.5 * math.cos(math.pi * turn))


def ends_cycle(schedule: Schedule, epochs: int) -> bool:
    """Whether a cosine cycle is over after so many epochs: the moment of a snapshot.

    Example:
        >>> plan = Schedule(epochs=6, batch=8, rate=0.01, kind="cosine", cycles=2)
        >>> [ends_cycle(plan, epochs) for epochs in (1, 2, 3, 4, 5, 6)]
        [False, False, True, False, False, True]

    Taught in notebook 03.
    """
    return schedule.kind == "cosine" and epochs % (schedule.epochs // schedule.cycles) == 0
