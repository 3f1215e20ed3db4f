"""What each published mistake costs: by how many points it flatters or harms a result, over seeds.

Used by notebook 05. A sound run and a flawed one are held against each other seed by seed, so that both have the same
cases and the same luck.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from helpers.estimates import aligned, plural
from helpers.flaws import FLAWS, Flaw
from helpers.judgements import headlines
from helpers.luck import by_seed, mean_interval
from helpers.records import FLAWED, Record

HEADER = ["mistake", "in", "metric", "seeds", "points", "95 % interval", "verdict"]
LIKE = {"data": "kind of data", "run": "run size", "data_hash": "files"}  # a sound and a flawed run of one seed


class Price(NamedTuple):
    """By how many points a mistake changes a figure: 100 x (flawed - sound), more than 0 where it flatters.

    ``differences`` has one value for each of ``seeds``; ``low`` and ``high`` are Student's 95 % limits of their
    ``mean``, None with fewer than three seeds.
    """

    flaw: Flaw
    metric: str
    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    mean: float
    low: float | None
    high: float | None

    @property
    def verdict(self) -> str:
        """Whether the mistake flatters or harms, in words; an interval that holds 0 shows neither.

        Example:
            >>> Price(None, "accuracy", (1, 2, 3), (11.0, 12.0, 13.0), 12.0, 9.5, 14.5).verdict
            'flatters by 12 points'

        Taught in notebook 05.
        """
        if self.low is None:
            return f"{plural(len(self.seeds), 'seed')}, too few to tell"
        if not any(self.differences):
            return "no difference in any run"
        if self.low <= 0 <= self.high:
            return "no measurable effect here"
        return f"{'flatters' if self.mean > 0 else 'harms'} by {_size(self.mean)}"

    @property
    def row(self) -> list[str]:
        """Its line in a table, under ``HEADER``.

        Seen in notebook 05.
        """
        interval = "-" if self.low is None else f"{_signed(self.low)} to {_signed(self.high)}"
        figures = [str(len(self.seeds)), _signed(self.mean), interval]
        return [self.flaw.name, self.flaw.source, self.metric, *figures, self.verdict]

    def __str__(self) -> str:
        name, _, metric, _, mean, interval, verdict = self.row
        each = f"{_signed(min(self.differences))} to {_signed(max(self.differences))}"
        limits = "" if self.low is None else f", 95 % interval {interval}"
        figures = f"{metric} {mean} points on average over {plural(len(self.seeds), 'seed')}{limits}, by seed {each}"
        worst = max(map(abs, self.differences))
        though = f"; yet a single run is off by up to {_size(worst)}" if verdict == "no measurable effect here" else ""
        return f"{name}: {verdict}; {figures}{though}."


def prices(records: Iterable[Record], flaws: Sequence[Flaw] = FLAWS) -> tuple[list[Price], list[str]]:
    """Work out what each mistake costs, from the records of a study.

    Args:
        records: Sound runs and flawed ones, of one kind of data and one run size.
        flaws: The mistakes in question.

    Returns:
        The prices, largest first, and a sentence for each mistake or seed that has none, with the reason.

    Example:
        >>> found, missing = prices([], FLAWS[:1])
        >>> print(len(found), missing[0].partition(": ")[2])
        0 no run of ct is recorded, `make study` makes them.

    Taught in notebook 05.
    """
    records, found, missing = list(records), [], []
    for flaw in flaws:
        sound, fault = by_seed(one for one in records if one.task == flaw.task and not one.flaw)
        flawed = sound
        if flaw.retrains and not fault:
            flawed, fault = by_seed(one for one in records if (one.task, one.flaw) == (flaw.task, flaw.slug))
        if not fault and not (sound and flawed):
            name = f"{flaw.task}{FLAWED}{flaw.slug}" if sound else flaw.task
            fault = f"no run of {name} is recorded, `make study` makes them"
        if fault:
            missing.append(f"{flaw.name} has no price here: {fault}.")
            continue
        differences, left_out = _differences(flaw, sound, flawed)
        missing += left_out
        if differences:
            mean, _, low, high = mean_interval(list(differences.values()))
            found.append(Price(flaw, flaw.metric, tuple(differences), tuple(differences.values()), mean, low, high))
    return sorted(found, key=lambda price: -abs(price.mean)), missing


def table(prices: Sequence[Price]) -> str:
    """Set prices out as plain text, one a line, and how many of the intervals luck alone makes wrong.

    Taught in notebook 05.
    """
    if not prices:
        return "No mistake has a price here."
    lines = [aligned([HEADER, *(price.row for price in prices)]), "Points: + flatters, - harms."]
    if count := sum(price.low is not None and any(price.differences) for price in prices):
        lines.append(
            f"Of {plural(count, 'interval')} of 95 %, {count * 0.05:.1g} miss the truth by luck alone, on average."
        )
    return "\n".join(lines)


def _differences(
    flaw: Flaw, sound: Mapping[int, Record], flawed: Mapping[int, Record]
) -> tuple[dict[int, float], list[str]]:
    """Points by seed, and a sentence for each seed that has none."""
    differences, left_out = {}, []
    for seed, spoilt in flawed.items():
        fault = _unlike(flaw, sound[seed], spoilt) if seed in sound else f"no sound run of {flaw.task} has it"
        before, after = (None, None) if fault else flaw.judge(sound[seed], spoilt)
        if fault:
            left_out.append(f"{flaw.name}: seed {seed} is left out, {fault}.")
        elif before is None or after is None or not math.isfinite(after - before):
            left_out.append(f"{flaw.name}: seed {seed} is left out, too few cases for {flaw.metric}.")
        else:
            differences[seed] = round(100 * (after - before), 6)  # sums in another order differ by less
    return differences, left_out


def _unlike(flaw: Flaw, sound: Record, flawed: Record) -> str:
    """Why two runs cannot be held against each other, if they cannot."""
    names = [LIKE[name] for name in LIKE if getattr(sound.passport, name) != getattr(flawed.passport, name)]
    if flaw.judge is not headlines and names == [LIKE["data_hash"]]:
        return ""  # both figures come from one run, whose data may be its own
    return f"its sound and its flawed run differ in {' and '.join(names)}" if names else ""


def _signed(points: float) -> str:
    return f"{round(points, 1) + 0.0:+.1f}"  # -0.0 + 0.0 is 0.0


def _size(points: float) -> str:
    size = abs(points)
    text = f"{size:.0f}" if size >= 9.95 else f"{size:.1f}".removesuffix(".0") if size >= 0.1 else f"{size:.1g}"
    return f"{text} point{'' if text == '1' else 's'}"
