"""The luck of the seed: how far results of one recipe lie apart, and how often two equal recipes look different.

Used by notebook 05. Seeds are few, so intervals of their mean are Student's; every result prints as a sentence.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from helpers.estimates import Z, figure, plural
from helpers.records import Record

LEAST_SEEDS = 3  # for an interval: that of two seeds is 13 standard errors wide to each side
DRAWS = 40_000  # of the simulation; a share of 5 % is then off by 0.1 %
RARELY = 0.05
MOST = 100_000  # test scans; whoever needs more has another problem


class Mean(NamedTuple):
    """The mean of some seeds, their standard deviation, and the mean's 95 % interval; None where seeds are too few."""

    mean: float
    sd: float | None
    low: float | None
    high: float | None


def mean_interval(values: Sequence[float]) -> Mean:
    """The mean of one value a seed with Student's 95 % interval.

    Args:
        values: One a seed, at least one.

    Returns:
        The mean, the standard deviation (from two seeds on) and the interval (from ``LEAST_SEEDS`` on).

    Raises:
        ValueError: If there is no value, or one is not finite.

    Example:
        >>> mean, sd, low, high = mean_interval([1.0, 2.0, 3.0])
        >>> print(f"{mean:.1f}, SD {sd:.1f}, {low:.1f} to {high:.1f}")
        2.0, SD 1.0, -0.5 to 4.5

    Taught in notebook 05. Source: Student 1908, Biometrika 6:1-25.
    """
    if not len(values) or not np.isfinite(values).all():
        raise ValueError(f"one finite value a seed is needed, but found {list(values)}")
    mean, count = float(np.mean(values)), len(values)
    sd = float(np.std(values, ddof=1)) if count > 1 else None
    if count < LEAST_SEEDS:
        return Mean(mean, sd, None, None)
    half = float(stdtrit(count - 1, 0.975)) * sd / math.sqrt(count)
    return Mean(mean, sd, mean - half, mean + half)


def by_seed(records: Iterable[Record]) -> tuple[dict[int, Record], str]:
    """Sort the records of one recipe by seed, unless they are unlike.

    Args:
        records: Of one task, all with the same flaw or all without.

    Returns:
        The records by seed, and "". If their metric, kind of data or run size differ, or a seed is there twice: none,
        and the reason.

    Used by `seeds` and by `prices`.
    """
    records = list(records)
    kinds = sorted(
        {f"{one.passport.metric} of a {one.passport.run} run on {one.passport.data} data" for one in records}
    )
    if len(kinds) > 1:
        return {}, f"unlike runs cannot be put together: {', '.join(kinds)}"
    twice = [seed for seed, count in sorted(Counter(one.seed for one in records).items()) if count > 1]
    if twice:
        return {}, f"there are several runs of seed {', '.join(map(str, twice))}"
    return {one.seed: one for one in sorted(records, key=lambda one: one.seed)}, ""


class Seeds(NamedTuple):
    """The headline figure of one recipe over several seeds.

    ``values`` has one figure for each of ``seeds``. ``mean``, ``sd``, ``low`` and ``high`` are those of
    `mean_interval`. ``chance`` is the standard deviation that test sets of this size make by themselves, were every
    network as good as the next. ``reason`` tells why there are no values, or what was left out.
    """

    task: str
    metric: str = ""
    seeds: tuple[int, ...] = ()
    values: tuple[float, ...] = ()
    mean: float | None = None
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    chance: float | None = None
    reason: str = ""

    @property
    def spread(self) -> float | None:
        """Standard deviation of the true figure between seeds: what the chance of the test set does not explain.

        With few seeds it is rough. Test sets that overlap, as those of one small real set do, make it too small.

        Taught in notebook 05.
        """
        return None if self.sd is None else math.sqrt(max(0.0, self.sd**2 - self.chance**2))

    def __str__(self) -> str:
        if not self.values:
            return f"{self.task}: {self.reason}."
        parts = [f"{self.task}: {self.metric} {figure(self.mean)} on average over {plural(len(self.values), 'seed')}"]
        if self.low is None:
            parts.append(f"too few for an interval ({LEAST_SEEDS} are needed)")
        else:
            parts.append(f"95 % interval {figure(self.low)} to {figure(self.high)}")
        if self.sd is not None:
            parts.append(f"from {figure(min(self.values))} to {figure(max(self.values))}")
            parts.append(f"SD {self.sd:.3f}, where test sets of this size alone make {self.chance:.3f}")
        return f"{'; '.join([', '.join(parts[:2]), *parts[2:], *filter(None, [self.reason])])}."


def seeds(records: Iterable[Record], task: str) -> Seeds:
    """Sum up the headline figure of a task over seeds, which lies between 0 and 1.

    On phantoms another seed is another set of phantoms, another split, other starting weights and another order; on
    real data all but the first.

    Args:
        records: Any; those of other tasks, and those with a flaw, are passed over.
        task: Such as "ct".

    Returns:
        The figures; without records, or if they are unlike, only the reason.

    Example:
        >>> print(seeds([], "ct"))
        ct: no run is recorded here, `make study` makes them.

    Taught in notebook 05.
    """
    chosen, reason = by_seed(one for one in records if one.task == task and not one.flaw)
    if not chosen:
        return Seeds(task, reason=reason or "no run is recorded here, `make study` makes them")
    found = {seed: one.passport.estimate for seed, one in chosen.items()}
    few = [str(seed) for seed, one in found.items() if one.value is None]
    reason = f"seed {', '.join(few)} left out, too few cases" if few else ""
    found = {seed: one for seed, one in found.items() if one.value is not None}
    metric = next(iter(chosen.values())).passport.metric
    if not found:
        return Seeds(task, metric, reason=reason)
    values = tuple(one.value for one in found.values())
    mean, sd, low, high = mean_interval(values)
    if low is not None:
        low, high = max(0.0, low), min(1.0, high)  # where no figure can lie
    # An interval reaches Z standard errors to both sides.
    chance = math.sqrt(np.mean([((one.high - one.low) / (2 * Z)) ** 2 for one in found.values()]))
    return Seeds(task, metric, tuple(found), values, mean, sd, low, high, chance, reason)


class Apart(NamedTuple):
    """How often two equal recipes look at least ``gap`` apart in accuracy, by luck alone.

    ``own`` is the share of pairs if each recipe has ``cases`` test scans of its own, and ``own_needed`` the number of
    test scans from which on it is below ``RARELY``. ``same`` and ``same_needed`` are those if both are tested on the
    same scans, and None without an ``agreement``. A number is also None where not even ``MOST`` would do.
    """

    accuracy: float
    cases: int
    gap: float
    spread: float
    agreement: float | None
    own: float
    own_needed: int | None
    same: float | None
    same_needed: int | None

    def __str__(self) -> str:
        spread = f" that varies by {100 * self.spread:.1f} points (SD) from seed to seed" if self.spread else ""
        equal = f"Two equal recipes with an accuracy of {figure(self.accuracy)}{spread}"
        gap = f"look {100 * self.gap:.3g} points or more apart"
        own = f"{_percent(self.own)} of the time with {self.cases} test scans each"
        text = f"{equal} {gap} {own}; {_needed(self.own_needed)}."
        if self.same is None:
            return text
        agree = f"On the same {self.cases} scans, if both are right or both wrong on {_percent(self.agreement)} of them"
        return f"{text} {agree}, it is {_percent(self.same)}; {_needed(self.same_needed)}."


def apart(
    accuracy: float,
    cases: int = 60,
    gap: float = 0.05,
    spread: float = 0.0,
    agreement: float | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Apart:
    """How often would two equal recipes look ``gap`` apart? By simulation of pairs of networks and their test sets.

    A network's true accuracy is drawn around that of the recipe (a beta distribution), then every test scan is
    answered rightly with that chance.

    Args:
        accuracy: Of the recipe, between 0 and 1.
        cases: Test scans.
        gap: How far apart the two measured accuracies must lie; 0.05 are 5 points.
        spread: Standard deviation of the true accuracy between seeds, such as `Seeds.spread`.
        agreement: Share of the scans on which both are right or both are wrong, if they see the same; two networks
            whose true accuracies differ agree at most as far as that allows.
        draws: Simulated pairs.
        seed: Of the simulation.

    Returns:
        The shares and the numbers of test scans; printed, they make one or two sentences.

    Raises:
        ValueError: If the figures cannot be: an accuracy of 0 or 1, a spread or an agreement that it does not allow.

    Example:
        >>> print(apart(0.9))  # doctest: +NORMALIZE_WHITESPACE
        Two equal recipes with an accuracy of 0.90 look 5 points or more apart 44 % of the time with 60 test scans
        each; about 300 scans would bring that below 5 %.

    Taught in notebook 05.
    """
    if not 0 < accuracy < 1:
        raise ValueError(f"the accuracy must lie between 0 and 1, but is {accuracy!r}")
    if cases < 1 or draws < 1 or not 0 < gap < 1:
        raise ValueError(f"cases, draws and a gap below 1 are needed, but found {cases!r}, {draws!r} and {gap!r}")
    widest = math.sqrt(accuracy * (1 - accuracy))  # of networks that are always right or always wrong
    if not 0 <= spread < widest:
        raise ValueError(f"a spread at an accuracy of {accuracy:g} must lie in [0, {widest:.3f}), but is {spread!r}")
    least = abs(2 * accuracy - 1)  # as if no scan were hard for both, or easy for both
    if agreement is not None and not least - 1e-9 <= agreement <= 1:
        fault = f"an agreement at an accuracy of {accuracy:g} must lie in [{least:.2f}, 1]"
        raise ValueError(f"{fault}, but is {agreement!r}")
    rng = np.random.default_rng(seed)
    pairs = np.full((2, draws), float(accuracy))
    if spread > 1e-6:  # less is none, and too little for the arithmetic
        both = accuracy * (1 - accuracy) / spread**2 - 1  # the beta distribution's two parameters together
        pairs = rng.beta(accuracy * both, (1 - accuracy) * both, (2, draws))
    found = []
    for agreed in (None,) if agreement is None else (None, agreement):
        share = partial(_share, pairs, agreed, gap, rng)
        found += [share(cases), _fewest(share, gap)]
    return Apart(accuracy, cases, gap, spread, agreement, *found, *[None] * (4 - len(found)))


def _share(pairs: np.ndarray, agreement: float | None, gap: float, rng: np.random.Generator, cases: int) -> float:
    """The share of pairs that look the gap apart; without an agreement each network has test scans of its own."""
    if agreement is None:
        lead = np.subtract(*rng.binomial(cases, pairs))
    else:
        better, total = pairs[0] - pairs[1], pairs.sum(axis=0)
        differ = np.clip(1 - agreement, abs(better), np.minimum(total, 2 - total))
        alone = rng.binomial(cases, differ)  # scans that only one of the two gets right
        first = np.divide(better, differ, out=np.zeros_like(differ), where=differ > 0)
        first = np.clip((1 + first) / 2, 0, 1)  # of these, the share that the first gets right
        lead = 2 * rng.binomial(alone, first) - alone
    # In floating point a gap may lie just above a whole number of scans.
    return float(np.mean(abs(lead) >= max(1, math.ceil(gap * cases - 1e-9))))


def _fewest(share: Callable[[int], float], gap: float) -> int | None:
    """The fewest test scans with which a share is rare, and stays so with more of them.

    A share falls where one more scan is needed for the gap, and rises from there to the next fall: only the numbers of
    scans just before a fall are tried.
    """
    low, high = 0, int(MOST * gap)
    if not high or share(_scans(high, gap)) >= RARELY:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if share(_scans(middle, gap)) < RARELY else (middle, high)
    return _scans(high, gap)


def _scans(apart: int, gap: float) -> int:
    """The most test scans of which so many make the gap."""
    return math.floor(apart / gap + 1e-9)


def _needed(cases: int | None) -> str:
    scans = f"not even {MOST:,}" if cases is None else f"about {cases:,}"
    return f"{scans} scans would bring that below {_percent(RARELY)}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share == 0 or share >= 0.01 else f"{100 * share:.1g} %"
